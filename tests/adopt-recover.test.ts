import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import {
  assignQuarantine,
  listQuarantine,
  restoreQuarantine,
} from "../functions/_core/adapters/quarantine.ts";
import { applyFiles, planFiles, ups } from "./support/adopt.ts";
import { NASTY_CONFIG, nastySchema } from "./support/nasty-schema.ts";
import {
  cloneOf,
  type Database,
  kitDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { ROOT } from "./support/sql-files.ts";

const run = promisify(execFile);

describe("recover", () => {
  let server: Server;
  let sealed: Database;
  before(async () => {
    server = await startPostgres();
    sealed = await kitDatabase(server);
    await withSql(sealed.url, async (sql) => {
      await sql.unsafe(nastySchema("text").ddl).simple();
      await applyFiles(sql, ups(await planFiles(sql, NASTY_CONFIG)));
    });
  });
  after(async () => await server?.stop());

  test("list says which rows wait and why", async () => {
    await withSql(sealed.url, async (sql) => {
      const rows = await listQuarantine(sql, { table: '"My App".categories' });
      assert.deepEqual(rows.map((row) => [row.key["id"], row.reason]).sort(), [
        ["5", "parent leads to \"My App\".categories of tenant org'1, the row is of org'2"],
        ["6", 'its row of "My App".categories is in quarantine (parent)'],
        ["7", "it names no tenant, and no parent says it"],
      ]);
    });
  });

  test("assign and restore change nothing unless told to, then bring a whole circle home at once", async () => {
    await using db = await cloneOf(server, sealed.name);
    await withSql(db.url, async (sql) => {
      const circle = (await listQuarantine(sql)).filter((row) => /teams|people/.test(row.relation));
      // team 3 and person 3 lead each other; person 4 belongs to team 1 and is a friend of tenant 2's
      const ids = circle.filter((row) => row.key["id"] === "3").map((row) => row.id);
      assert.equal(ids.length, 2);
      const shown = await assignQuarantine(sql, { ids }, {
        tenant: "org'1",
        changes: {},
        apply: false,
      });
      assert.deepEqual(shown.map((row) => row.assignedTenant), ["org'1", "org'1"]);
      assert.deepEqual((await listQuarantine(sql, { ids })).map((row) => row.assignedTenant), [
        null,
        null,
      ]);

      await assignQuarantine(sql, { ids }, { tenant: "org'1", changes: {}, apply: true });
      assert.equal((await restoreQuarantine(sql, { ids }, { apply: false })).restored.length, 2);
      assert.equal((await sql`select from "My App".people where id = 3`).length, 0);
      await restoreQuarantine(sql, { ids }, { apply: true });
      const [person] = await sql`select "Org", team from "My App".people where id = 3`;
      assert.deepEqual({ ...person }, { Org: "org'1", team: 3 });
      assert.equal((await listQuarantine(sql, { table: '"My App".teams' })).length, 0);

      const events =
        await sql`select operation, count(*)::integer as n from bulkhead.audit_events where operation like 'bulkhead.recover%' group by 1 order by 1`;
      assert.deepEqual(events.map((one) => [one["operation"], one["n"]]), [[
        "bulkhead.recover_assign",
        2,
      ], ["bulkhead.recover_restore", 2]]);
      const [audited] =
        await sql`select count(*)::integer as n from bulkhead.audit_events where operation = 'INSERT' and table_name like '%people' and tenant_id = ${"org'1"}`;
      assert.equal(audited?.["n"], 1);
    });
  });

  test("restore keeps what a constraint refuses, and a corrected column lets it in", async () => {
    await using db = await cloneOf(server, sealed.name);
    await withSql(db.url, async (sql) => {
      const [row] = (await listQuarantine(sql, { table: '"My App".people' })).filter((one) =>
        one.key["id"] === "4"
      );
      assert.ok(row);
      const ids = [row.id];
      await assignQuarantine(sql, { ids }, { tenant: "org'1", changes: {}, apply: true });
      await assert.rejects(restoreQuarantine(sql, { ids }, { apply: true }), {
        code: "BH_QUARANTINE",
        message: /friend/,
      });
      assert.equal((await listQuarantine(sql, { ids })).length, 1);
      await assignQuarantine(sql, { ids }, {
        tenant: "org'1",
        changes: { friend: null },
        apply: true,
      });
      await restoreQuarantine(sql, { ids }, { apply: true });
      const [home] = await sql`select "Org", friend from "My App".people where id = 4`;
      assert.deepEqual({ ...home }, { Org: "org'1", friend: null });
    });
  });

  test("values survive the quarantine: arrays, numeric NaN, jsonb strings and null, bytes, identity", async () => {
    await using db = await cloneOf(server, sealed.name);
    await withSql(db.url, async (sql) => {
      const ids = (await listQuarantine(sql)).filter((row) =>
        !/people|categories|teams/.test(row.relation)
      ).map((row) => row.id);
      await assignQuarantine(sql, { ids }, { tenant: "org'2", changes: {}, apply: true });
      await restoreQuarantine(sql, { ids }, { apply: true });
      const [line] =
        await sql`select "Org", amount::text, tags::text, body::text, raw::text from "My App".lines where "order" = 99`;
      assert.deepEqual({ ...line }, {
        Org: "org'2",
        amount: "NaN",
        tags: '[0:1]={a,"b c"}',
        body: '"text"',
        raw: "\\xdead",
      });
      const [customer] =
        await sql`select id::integer, "Org", shout from "My App".customers where slug = 'stray'`;
      assert.deepEqual({ ...customer }, { id: 4, Org: "org'2", shout: "STRAY" });
    });
  });

  test("refuses tenants, rows and columns that do not exist; the command says so in two lines", async () => {
    await withSql(sealed.url, async (sql) => {
      const [row] = await listQuarantine(sql);
      const ids = [row?.id ?? ""];
      await assert.rejects(
        assignQuarantine(sql, { ids }, { tenant: "nobody", changes: {}, apply: true }),
        { code: "BH_QUARANTINE" },
      );
      await assert.rejects(
        assignQuarantine(sql, { ids: ["123456"] }, { tenant: "org'1", changes: {}, apply: true }),
        { code: "BH_QUARANTINE" },
      );
      await assert.rejects(
        assignQuarantine(sql, { ids }, { tenant: "org'1", changes: { nothing: "1" }, apply: true }),
        { code: "BH_QUARANTINE" },
      );
    });
    const recover = (...args: string[]) =>
      run(process.execPath, ["--import", "tsx", "scripts/cli.ts", "recover", ...args], {
        cwd: ROOT,
        env: { PATH: process.env["PATH"], DATABASE_URL: sealed.url },
      });
    const listed = JSON.parse((await recover("list", "--json")).stdout);
    assert.equal(listed.rows.length, 12);
    assert.match(
      (await recover("assign", "1-2", "--tenant", "org'1")).stdout,
      /nothing was changed, add --apply/,
    );
    await assert.rejects(
      recover("assign", "1", "--tenant", "nobody"),
      (error: { code: number; stderr: string }) =>
        error.code === 2 &&
        /^Error: Cannot recover: there is no tenant "nobody".*\nTry: /.test(error.stderr),
    );
  });
});
