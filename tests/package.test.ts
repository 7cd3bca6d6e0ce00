// needs: deno-edge
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { denoCommand, denoEnv } from "../scripts/local/deno.ts";
import { installKit, packKit } from "./support/packed.ts";
import { ROOT } from "./support/sql-files.ts";

const run = promisify(execFile);
const ENTRIES = ["", "/drizzle", "/express", "/hono", "/jwt", "/pg", "/postgres"];
const NAMES: Record<string, string> = {
  "": "createTenantClient",
  "/jwt": "jwtVerifier",
  "/hono": "tenantSession",
  "/express": "tenantSession",
};

const home = mkdtempSync(join(tmpdir(), "bulkhead-package-"));
let archive: string;
before(async () => void (archive = await packKit(home)));
after(() => rmSync(home, { recursive: true, force: true }));

describe("the package", () => {
  let project: string;
  before(async () => {
    ({ project } = await installKit(archive, home, { dev: true }));
    copyFileSync(join(ROOT, "examples/openhouse/database.ts"), join(project, "database.types.ts"));
    // Every block of the page that is TypeScript, as a file.
    const page = readFileSync(join(ROOT, "docs/service.md"), "utf8");
    const blocks = [...page.matchAll(/```ts\n(.*?)```/gs)].map((match) => match[1] ?? "");
    assert.ok(blocks.length >= 8, `${blocks.length} blocks`);
    for (const [index, text] of blocks.entries()) {
      const lines = text.split("\n").filter((line) => line.trim() !== "").length;
      assert.ok(lines <= 18, `block ${index} has ${lines} lines`);
      writeFileSync(join(project, `page-${index}.ts`), text);
    }
    writeFileSync(
      join(project, "strict.ts"),
      `import { createTenantClient } from "bulkhead";
import type { Database } from "./database.types.ts";
const client = createTenantClient<Database>({ url: "", key: "", tenantId: "", actor: "" });
client.from("messages").insert({ development_id: "", unit_id: "", sender: "", body: "" });
// @ts-expect-error: no tenant table
client.from("tenants");
// @ts-expect-error: no such column
client.from("units").insert({ development_id: "", label: "", nope: 1 });
`,
    );
  });

  for (const moduleResolution of ["nodenext", "bundler"]) {
    test(`has types under "${moduleResolution}", and every example of docs/service.md compiles`, async () => {
      const config = {
        compilerOptions: {
          target: "es2022",
          module: moduleResolution === "nodenext" ? "nodenext" : "esnext",
          moduleResolution,
          strict: true,
          skipLibCheck: true,
          noEmit: true,
          allowImportingTsExtensions: true,
          types: ["node"],
        },
        include: ["*.ts"],
      };
      writeFileSync(join(project, "tsconfig.json"), JSON.stringify(config));
      const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
      const failed = await run(process.execPath, [tsc], { cwd: project }).then(
        () => "",
        (error) => String(error.stdout),
      );
      assert.equal(failed, "");
    });
  }

  test("is imported by Node without a loader, every entry of it", async () => {
    const script = ENTRIES.map((entry) =>
      `if (typeof (await import("bulkhead${entry}"))["${
        NAMES[entry] ?? "withTenant"
      }"] !== "function") throw new Error("bulkhead${entry}");`
    ).join("\n");
    await run(process.execPath, ["--input-type=module", "--eval", script], { cwd: project });
  });

  test("is imported by the edge's Deno", async () => {
    writeFileSync(join(project, "deno.json"), '{ "nodeModulesDir": "manual", "lock": false }');
    writeFileSync(
      join(project, "edge.ts"),
      `import { createTenantClient } from "bulkhead";
import { jwtVerifier } from "bulkhead/jwt";
const tenantId = "11111111-1111-4111-8111-111111111111";
const client = createTenantClient({ url: "http://x.example", key: "k", tenantId, actor: "a",
  fetch: (input) => Promise.resolve(Response.json([String(input)])) });
const { data } = await client.from("messages").select("id");
if (!String(data).includes("tenant_id=eq." + tenantId)) throw new Error(String(data));
jwtVerifier({ secret: "x".repeat(32) });
`,
    );
    const { program, args } = denoCommand("edge");
    await run(program, [...args, "run", "--no-check", "--allow-env", "--allow-read", "edge.ts"], {
      cwd: project,
      env: denoEnv("edge", { HOME: dirname(project) }),
      timeout: 60_000,
    });
  });
});
