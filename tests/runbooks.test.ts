import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { splitStatements } from "../scripts/local/sql-statements.ts";
import { backupWorld, bulkhead } from "./support/backup-world.ts";
import { openhouseDatabase, type Server, startPostgres, withSql } from "./support/postgres.ts";
import { ROOT } from "./support/sql-files.ts";

let server: Server;
before(async () => void (server = await startPostgres()));
after(async () => await server.stop());

const folder = join(ROOT, "docs/runbooks");
const pages = readdirSync(folder).filter((name) => name.endsWith(".md"));

/** A project's folder, and programs `bulkhead` and `npx` that are this checkout's. */
const project = mkdtempSync(join(tmpdir(), "bulkhead-runbooks-"));
after(() => rmSync(project, { recursive: true, force: true }));
const bin = join(project, "bin");
mkdirSync(bin);
mkdirSync(join(project, "supabase/migrations"), { recursive: true });
for (const name of ["schema.sql", "harden.sql"]) {
  const to = name === "schema.sql" ? "1_schema.sql" : "2_harden.sql";
  copyFileSync(
    join(ROOT, "examples/openhouse", name),
    join(project, "supabase/migrations", to),
  );
}
for (
  const [name, shift] of [["bulkhead", ""], ["npx", 'test "$1" = bulkhead || exit 127; shift']]
) {
  const script = `#!/bin/sh\n${shift}\nexec '${process.execPath}' '${ROOT}/scripts/bin.mjs' "$@"\n`;
  writeFileSync(join(bin, name ?? ""), script);
  chmodSync(join(bin, name ?? ""), 0o755);
}

/** The commands of a block, one a line; what only names secrets is left out. */
function commandsOf(block: string): string[] {
  return block.replace(/\\\n\s*/g, " ").split("\n").map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#") && !line.startsWith("export "));
}

function hasFourParts(file: string): void {
  const page = readFileSync(join(folder, file), "utf8");
  assert.match(page, /^# Runbook: .+\n\n\*\*What it means\.\*\* /, file);
  const headings = [...page.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading);
  assert.deepEqual(headings, ["Confirm", "Fix", "Prevent"], file);
  assert.match(page, /^ *```(sql|sh)$/m, file);
}

async function sh(command: string, env: Record<string, string>) {
  const child = spawn("bash", ["--noprofile", "--norc", "-c", command], {
    cwd: project,
    env: { HOME: project, NO_COLOR: "1", ...env, PATH: `${bin}:/usr/bin:/bin` },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (part: string) => said += part);
  }
  const code = await new Promise<number>((resolve) =>
    child.once("close", (status) => resolve(status ?? -1))
  );
  return { code, said };
}

describe("the runbooks", () => {
  for (const page of pages) {
    const text = readFileSync(join(folder, page), "utf8");
    const blocks = [...text.matchAll(/^ *```(sql|sh)\n([\s\S]*?)```/gm)]
      .map(([, language = "", block = ""]) => ({ language, block }));
    if (blocks.length === 0) continue;
    test(`${page}: every command runs as it stands`, async () => {
      await using db = await openhouseDatabase(server);
      using world = await backupWorld({ DATABASE_URL: db.url });
      const needsStore = blocks.some(({ language }) => language === "sh");
      if (needsStore) {
        const made = await bulkhead(["backup"], world.env);
        assert.equal(made.code, 0, made.stderr);
      }
      const [row] = await withSql(
        db.url,
        (sql) => sql<{ id: string }[]>`select id from public.tenants order by id limit 1`,
      );
      const filled = (block: string) => block.replace(/<(?:tenant|id)>/g, row?.id ?? "");
      const env = {
        ...world.env,
        BULKHEAD_STATUS_URL: "http://127.0.0.1:1/status.json",
      };
      for (const { language, block } of blocks) {
        if (language === "sql") {
          await withSql(db.url, async (sql) => {
            for (const { text } of splitStatements(filled(block))) {
              await assert.doesNotReject(sql.unsafe(text), `${page}: ${text}`);
            }
          });
          continue;
        }
        for (const command of commandsOf(filled(block))) {
          const { code, said } = await sh(command, env);
          // Red and unknown are answers; a mistaken command (2, 127) and damage (5) are not.
          const allowed = /\bwatchdog\b/.test(command)
            ? [1, 3, 4]
            : /\bstatus\b/.test(command)
            ? [0, 1, 3]
            : [0];
          assert.ok(allowed.includes(code), `${page}: ${command} exits ${code}: ${said}`);
        }
      }
    });
  }

  test("every canary, and every check of the watch itself, of backups and drills has a page with the four headings", async () => {
    await using db = await openhouseDatabase(server);
    const [canaries, found] = await withSql(db.url, async (sql) => [
      await sql<{ name: string; runbook: string }[]>`select name, runbook from bulkhead.canaries`,
      await sql<{ name: string }[]>`select name from bulkhead.checks_backups()`,
    ]);
    assert.ok(canaries.length >= 16);
    for (const { name, runbook } of canaries) {
      assert.match(runbook, /^docs\/runbooks\/[a-z_]+\.md$/, name);
      hasFourParts(runbook.replace("docs/runbooks/", ""));
    }
    for (const name of ["seal_lag", "break_glass_active", "alerts_undelivered", "dead_letters"]) {
      hasFourParts(`${name}.md`);
      const check = readFileSync(join(ROOT, "docs/checks", `${name}.md`), "utf8");
      assert.ok(check.includes(`../runbooks/${name}.md`), `docs/checks/${name}.md has no runbook`);
    }
    const names = found.map(({ name }) => name);
    assert.ok(names.length >= 8);
    const table = readFileSync(join(ROOT, "docs/checks/README.md"), "utf8");
    for (const name of names) {
      hasFourParts(`${name}.md`);
      const check = readFileSync(join(ROOT, "docs/checks", `${name}.md`), "utf8");
      assert.ok(check.includes(`../runbooks/${name}.md`), `docs/checks/${name}.md has no runbook`);
      assert.ok(table.includes(`[${name}](${name}.md)`), `docs/checks/README.md lacks ${name}`);
    }
  });
});
