// needs: deno-edge
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Database as Tables } from "../examples/openhouse/database.ts";
import { asPlatform } from "../functions/_core/adapters/supabase.ts";
import { denoCommand, denoEnv } from "../scripts/local/deno.ts";
import {
  type Database,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { sign } from "./support/postgrest-jwt.ts";
import { type Postgrest, startPostgrest } from "./support/postgrest.ts";
import { ROOT } from "./support/sql-files.ts";

const SECRET = "a-secret-of-this-test-run-of-32-bytes-and-more";

describe("OpenHouse's edge function under Deno, with the service key", () => {
  let server: Server;
  let db: Database;
  let rest: Postgrest;
  let child: ReturnType<typeof spawn>;
  let address = "";
  let own = { tenant: "", unit: "", development: "" };
  let other = own;
  before(async () => {
    server = await startPostgres();
    db = await openhouseDatabase(server, { rows: 200 });
    rest = await startPostgrest({
      url: db.urlAs("authenticator"),
      jwtSecret: SECRET,
      schemas: ["public", "bulkhead_api"],
    });
    const rows = await withSql(db.url, (sql) =>
      sql<(typeof own)[]>`
      select distinct on (tenant_id) tenant_id as tenant, unit_id as unit, development_id as development
      from public.messages order by tenant_id, id`);
    [own, other] = [...rows] as [typeof own, typeof own];
    const { program, args } = denoCommand("edge");
    const host = fileURLToPath(new URL("../scripts/local/functions-host.mjs", import.meta.url));
    const folder = pathToFileURL(join(ROOT, "examples/openhouse/functions/")).href;
    const flags = ["--quiet", "--no-lock", "--config", join(ROOT, "deno.json"), "--allow-env"];
    const rights = ["--allow-net=127.0.0.1", `--allow-read=${ROOT}`, "--no-prompt"];
    child = spawn(program, [...args, "run", ...flags, ...rights, host, folder, "inbox"], {
      env: denoEnv("edge", {
        SUPABASE_URL: rest.url,
        SUPABASE_SERVICE_ROLE_KEY: rest.key("service_role"),
        OPENHOUSE_JWT_SECRET: SECRET,
      }),
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = once(child, "exit").then(([code]) => assert.fail(`the host ended with ${code}`));
    const [line] = await Promise.race([
      once(child.stdout as NodeJS.ReadableStream, "data"),
      ended,
    ]);
    ended.catch(() => {});
    address = `http://127.0.0.1:${/listening (\d+)/.exec(String(line))?.[1]}/functions/v1/inbox`;
  });
  after(async () => {
    child?.kill("SIGKILL");
    await rest?.stop();
    await server?.stop();
  });
  const ask = async (options: RequestInit = {}, tenant = own.tenant) => {
    const claims = { sub: "ada", role: "authenticated", aud: "authenticated", exp: 4_102_444_800 };
    const token = sign({ ...claims, app_metadata: { tenant_id: tenant } }, SECRET);
    const headers = { authorization: `Bearer ${token}`, "x-tenant-id": other.tenant };
    const response = await fetch(address, { headers, ...options });
    return { status: response.status, body: await response.json() };
  };
  const message = (at: typeof own) => ({
    development_id: at.development,
    unit_id: at.unit,
    sender: "staff",
    body: "from the edge",
  });

  test("reads the token's tenant, whatever x-tenant-id says", async () => {
    const { status, body } = await ask();
    assert.equal(status, 200);
    assert.ok(body.data.length > 10);
    assert.deepEqual(
      new Set(body.data.map((row: { tenant_id: string }) => row.tenant_id)),
      new Set([own.tenant]),
    );
  });

  test("writes with the token's actor into the ledger, and refuses a body that names another tenant", async () => {
    const written = await ask({ method: "POST", body: JSON.stringify(message(own)) });
    assert.equal(written.body.error, null);
    const events = await withSql(
      db.url,
      (sql) =>
        sql`select tenant_id, actor from bulkhead.audit_events where after ->> 'body' = 'from the edge'`,
    );
    assert.deepEqual([...events], [{ tenant_id: own.tenant, actor: "ada" }]);
    const forged = { ...message(other), tenant_id: other.tenant };
    const refused = await ask({ method: "POST", body: JSON.stringify(forged) });
    assert.deepEqual([refused.status, refused.body.code], [403, "BH_TENANT_MISMATCH"]);
    const half = await ask({
      method: "POST",
      body: JSON.stringify({ ...message(own), unit_id: other.unit }),
    });
    assert.equal(half.body.error.code, "23503");
  });

  test("answers 401 and 403 without a token or a tenant", async () => {
    assert.equal((await ask({ headers: {} })).status, 401);
    assert.equal((await ask({}, "acme")).status, 403);
  });

  test("asPlatform() against the database: one event, then reads across tenants, and writes still refused", async () => {
    const platform = await asPlatform<Tables>({
      url: rest.url,
      key: rest.key("service_role"),
      actor: "billing job",
      requestId: "req-platform",
      reason: "monthly usage of all tenants",
    });
    const [event] = await withSql(
      db.url,
      (sql) =>
        sql`select tenant_id, actor, operation, metadata ->> 'reason' as reason from bulkhead.audit_events where request_id = 'req-platform'`,
    );
    assert.deepEqual(event, {
      tenant_id: null,
      actor: "billing job",
      operation: "bulkhead.platform_access",
      reason: "monthly usage of all tenants",
    });
    const { data } = await platform.from("messages").select("tenant_id");
    assert.ok(new Set(data?.map((row) => row["tenant_id"])).size > 1);
    const { error } = await platform.from("messages").update({ body: "x" }).neq("sender", "");
    assert.equal(error?.code, "42501");
  });
});
