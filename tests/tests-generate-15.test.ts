// needs: postgres-15, pgtap-15, pg_prove
import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { after, before, test } from "node:test";
import { runProgram } from "./runner/child.ts";
import { contentHash } from "./support/content-hash.ts";
import { openhouseDatabase, type Server, startPostgres, withSql } from "./support/postgres.ts";
import { bulkhead, projectsFolder, removeFolder } from "./support/project.ts";
import { surveyDatabase } from "./support/survey.ts";

let server: Server;
const home = projectsFolder();
before(async () => void (server = await startPostgres({ major: 15 })));
after(async () => {
  await server?.stop();
  removeFolder(home);
});

/** As `supabase test db` runs a folder. */
async function prove(name: string, folder: string) {
  return await runProgram("pg_prove", ["--ext", ".sql", "-r", folder], {
    env: {
      PATH: process.env["PATH"] ?? "/usr/bin:/bin",
      PGHOST: "127.0.0.1",
      PGPORT: String(server.port),
      PGUSER: "postgres",
      PGPASSWORD: server.password,
      PGDATABASE: name,
    },
  });
}

for (
  const [example, create] of [["openhouse", openhouseDatabase], ["survey", surveyDatabase]] as const
) {
  test(`pg_prove runs the generated files of ${example} on Postgres 15, and notices a missing policy`, async () => {
    await using db = await create(server, {});
    const was = await contentHash(db.superUrl);
    const env = { DATABASE_URL: db.url };
    const folder = join(home, example);
    const made = await bulkhead(["tests", "generate", "--out", folder], { env });
    assert.equal(made.code, 0, made.stdout + made.stderr);
    const matrix = await bulkhead(["matrix"], { env });
    assert.equal(matrix.code, 0, matrix.stdout + matrix.stderr);
    const green = await prove(db.name, folder);
    assert.equal(green.code, 0, green.output);
    assert.match(green.output, /Result: PASS/);
    assert.deepEqual(await contentHash(db.superUrl), was);
    const table = example === "openhouse" ? "messages" : "answers";
    await withSql(
      db.url,
      (sql) => sql.unsafe(`alter table public.${table} disable row level security`),
    );
    const red = await prove(db.name, folder);
    assert.notEqual(red.code, 0);
    assert.match(red.output, new RegExp(`${table}\\.test\\.sql`));
    assert.match(red.output, /may not read 12/);
  });
}
