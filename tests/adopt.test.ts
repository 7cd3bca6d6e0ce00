import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type postgres from "postgres";
import { readCatalog } from "../functions/_core/adapters/catalog.ts";
import { countWrongRows } from "../functions/_core/adapters/adopt-source.ts";
import { suggestConfig } from "../functions/_core/adopt/starter.ts";
import {
  allRows,
  applyFiles,
  downs,
  fingerprint,
  planFiles,
  ups,
  worldOf,
} from "./support/adopt.ts";
import {
  cloneOf,
  type Database,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";

const TABLES = ["tenants", "members", "developments", "units", "messages", "onboarding_attempts"]
  .map((name) => `public.${name}`);

/** What a person would write after reading the report. */
const OPENHOUSE = {
  version: 1,
  tenants: { table: "public.tenants", column: "tenant_id" },
  membership: { table: "public.members", user_column: "user_id", active: "is_active" },
  roles: { service_role: "close" },
  policies: {
    'public.tenants."read tenants"': "drop",
    'public.developments."read developments"': "drop",
    'public.units."read units"': "drop",
    'public.messages."chat widget"': "narrow",
    'public.members."own membership"': "drop",
  },
  functions: {
    "public.mark_sold(uuid)": ["pin", "close", "invoker"],
    "public.search_messages(text)": ["pin", "close", "invoker"],
  },
};

/** Wrong in every way that the schema lets in. */
const WRONG = `
  -- a unit of the first tenant in a house of the second, with messages of its own
  update public.units set development_id = (select id from public.developments where tenant_id = (select id from public.tenants order by name offset 1 limit 1) limit 1)
  where id = (select id from public.units where tenant_id = (select id from public.tenants order by name limit 1) order by id limit 1);
  -- of a tenant that is gone, and of none at all
  insert into public.units (id, tenant_id, label) values (md5('gone')::uuid, md5('nobody')::uuid, 'gone'), (md5('lost')::uuid, null, 'lost');
  insert into public.messages (id, tenant_id, unit_id, sender, body) values (md5('orphan')::uuid, null, md5('lost')::uuid, 'staff', 'who am I');
  insert into public.onboarding_attempts (id, tenant_id, email, succeeded, attempted_at) values (md5('nowhere')::uuid, null, 'x@y.example', false, '2026-01-01 10:00:00.123456+00');
`;

describe("adopt on OpenHouse as it was shipped", () => {
  let server: Server;
  let raw: Database;
  before(async () => {
    server = await startPostgres();
    raw = await openhouseDatabase(server, { rows: 1_000, hardened: false });
    await withSql(raw.url, (sql) => sql.unsafe(WRONG).simple());
  });
  after(async () => await server?.stop());

  test("counts what is wrong with sample keys, and changes nothing", async () => {
    await withSql(raw.url, async (sql) => {
      const rows = await allRows(sql, TABLES);
      const findings = await countWrongRows(sql, await worldOf(sql, OPENHOUSE));
      const of = (rule: string, subject: string) =>
        findings.filter((one) => one.rule === rule && one.subject === subject);
      assert.equal(of("tenant_null", "public.messages")[0]?.rows, 6);
      assert.equal(of("tenant_missing", "public.messages")[0]?.rows, 1);
      assert.equal(of("tenant_missing", "public.units")[0]?.rows, 1);
      assert.equal(of("tenant_missing", "public.onboarding_attempts")[0]?.rows, 1);
      assert.equal(of("tenant_unknown", "public.units")[0]?.rows, 1);
      assert.equal(of("parent_of_other_tenant", "public.units")[0]?.rows, 1);
      assert.match(of("tenant_missing", "public.units")[0]?.samples[0] ?? "", /^[0-9a-f-]{36}$/);
      assert.deepEqual(await allRows(sql, TABLES), rows);
    });
  });

  test("goes from red to green by its plan alone, every row kept, and the second plan is empty", async () => {
    await using db = await cloneOf(server, raw.name);
    await withSql(db.url, async (sql) => {
      const before = await allRows(sql, TABLES);
      await applyFiles(sql, ups(await planFiles(sql, OPENHOUSE)));
      assert.deepEqual(await verdicts(sql), { boundary: "green", guard: "green" });
      const present = await allRows(sql, TABLES);
      const aside = await sql<
        { relation: string; content: Record<string, string | null> }[]
      >`select relation, content from bulkhead.adopt_quarantine`;
      assert.ok(aside.length >= 5);
      for (const { relation, content } of aside) {
        present.set(`${relation} ${content["id"]}`, content);
      }
      assert.equal(present.size, before.size);
      for (const [key, was] of before) {
        const is = present.get(key);
        assert.ok(is, key);
        for (const [column, value] of Object.entries(was)) {
          if (column.endsWith("_at")) continue;
          if (column !== "tenant_id" || value !== null) {
            assert.equal(is[column], value, `${key} ${column}`);
          }
        }
      }
      assert.deepEqual(
        (await planFiles(sql, OPENHOUSE)).map((file) => file.content.split("\n")[0]),
        [],
      );
      for (const table of TABLES) {
        const steps = await sql`select * from bulkhead.plan(${table}::regclass)`;
        assert.equal(steps.length, 1, `protect() finds every key of ${table} in place`);
      }
    });
  });

  test("up, down and up again leave catalogs and rows equal; each file may run twice", async () => {
    await using db = await cloneOf(server, raw.name);
    await withSql(db.url, async (sql) => {
      const files = await planFiles(sql, OPENHOUSE);
      const start = {
        catalog: await fingerprint(sql, ["public"]),
        rows: await allRows(sql, TABLES),
      };
      for (const file of ups(files)) await applyFiles(sql, [file, file]);
      const sealed = {
        catalog: await fingerprint(sql, ["public"]),
        rows: await allRows(sql, TABLES),
      };
      await applyFiles(sql, downs(files));
      assert.deepEqual(await fingerprint(sql, ["public"]), start.catalog);
      assert.deepEqual(await allRows(sql, TABLES), start.rows);
      assert.deepEqual(
        ups(await planFiles(sql, OPENHOUSE)).map((file) => file.path),
        ups(files).map((file) => file.path),
      );
      await applyFiles(sql, ups(files));
      assert.deepEqual(await fingerprint(sql, ["public"]), sealed.catalog);
      assert.deepEqual(await allRows(sql, TABLES), sealed.rows);
    });
  });

  test("suggestConfig() finds the tenants, their column and the members", async () => {
    await withSql(raw.url, async (sql) => {
      const config = suggestConfig(await readCatalog(sql));
      assert.deepEqual(config?.tenants, { table: "public.tenants", column: "tenant_id" });
      assert.deepEqual(config?.membership, {
        table: "public.members",
        user_column: "user_id",
        active: "is_active",
      });
    });
  });
});

async function verdicts(sql: postgres.Sql): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const category of ["boundary", "guard"]) {
    const [row] = await sql`select bulkhead.status(${category}) as status`;
    found[category] = row?.["status"].verdict;
    if (found[category] !== "green") {
      console.error(
        row?.["status"].checks.filter((one: { status: string }) => one.status !== "pass"),
      );
    }
  }
  return found;
}
