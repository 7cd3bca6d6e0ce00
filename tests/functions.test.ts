// needs: deno, deno-edge
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type FunctionsHost, startFunctions } from "./support/functions-host.ts";
import { type Database, kitDatabase, type Server, startPostgres } from "./support/postgres.ts";

const NAMES = ["alert", "backup", "status"];
const store = mkdtempSync(join(tmpdir(), "bulkhead-store-"));
let server: Server;
let db: Database;

before(async () => {
  server = await startPostgres();
  db = await kitDatabase(server);
});
after(async () => {
  await server?.stop();
  rmSync(store, { recursive: true, force: true });
});

const env = (): Record<string, string> => ({
  SUPABASE_DB_URL: db.url,
  BULKHEAD_HMAC_SECRET: randomBytes(32).toString("hex"),
  BULKHEAD_KEK: randomBytes(32).toString("base64"),
  BULKHEAD_STORE: `file://${store}`,
  SLACK_WEBHOOK_URL: "http://127.0.0.1:9/services/T/B/secret-token",
});

for (const deno of ["edge", "current"] as const) {
  describe(`the functions under Deno ${deno}`, () => {
    let host: FunctionsHost;
    before(async () => {
      host = await startFunctions({ deno, env: env(), names: NAMES, write: [store] });
    });
    after(() => host?.stop());

    for (const name of NAMES) {
      it(`${name} answers 405 to DELETE, with a code and without a stack`, async () => {
        const response = await fetch(`${host.functionsUrl}/${name}`, { method: "DELETE" });
        assert.equal(response.status, 405);
        await assertRefusal(response);
      });

      it(`${name} answers 401 to a caller with a wrong secret`, async () => {
        // what status shows to everybody has no secret to be wrong about
        const request = name === "status"
          ? { headers: { authorization: "Bearer wrong" } }
          : { method: "POST", body: "{}", headers: { "x-bulkhead-signature": `t=${now()},v1=00` } };
        const response = await fetch(`${host.functionsUrl}/${name}`, request);
        assert.equal(response.status, 401);
        await assertRefusal(response);
      });
    }
  });
}

describe("a function whose environment is missing", () => {
  it("says which variable and nothing else", async () => {
    await using host = await startFunctions({ deno: "edge", env: {}, names: ["alert"] });
    const response = await fetch(`${host.functionsUrl}/alert`, { method: "POST", body: "{}" });
    assert.equal(response.status >= 400, true);
    await assertRefusal(response);
  });
});

function now(): number {
  return Math.floor(Date.now() / 1000);
}

async function assertRefusal(response: Response): Promise<void> {
  const text = await response.text();
  const body = JSON.parse(text) as { code?: unknown; message?: unknown };
  assert.equal(typeof body.code, "string", text);
  assert.equal(typeof body.message, "string", text);
  assert.doesNotMatch(text, /\.ts:\d|\bat \w+ \(|secret-token|postgresql:/, text);
}
