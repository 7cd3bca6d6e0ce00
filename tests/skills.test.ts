import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { and, eq, getTableName, sql as raw } from "drizzle-orm";
import { getTableConfig } from "drizzle-orm/pg-core";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate } from "drizzle-orm/postgres-js/migrator";
import postgres from "postgres";
import { generateSkills, TENANTS } from "../examples/skills/generate.ts";
import { skills, TABLES, tenants, users } from "../examples/skills/service/schema.ts";
import { withTenant } from "../examples/skills/service/with-tenant.ts";
import { runPgTap } from "../scripts/backup/pgtap.ts";
import { adoptExample } from "./support/adopted.ts";
import { backupWorld, bulkhead } from "./support/backup-world.ts";
import {
  cloneOf,
  type Database,
  kitDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { DRIZZLE, hardenSkills, letIn, skillsDatabase } from "./support/skills.ts";
import { ROOT } from "./support/sql-files.ts";
import { isExecutable } from "../scripts/local/unprivileged.ts";

const majors = ([17, 15] as const)
  .filter((major) => major === 17 || isExecutable("/usr/lib/postgresql/15/bin/postgres"));
const NINE = Object.values(TABLES).map(getTableName);
const PGTAP = join(ROOT, "examples/skills/tests/skills.test.sql");

/** What becomes of the wrong rows: repaired to a tenant, or in quarantine for a reason. */
const REPAIRED = {
  "skills fix-skill": "12",
  "skill_versions fix-version": "12",
  "skill_embeddings fix-embedding": "12",
  "ratings fix-rating": "12",
  "usage_events fix-event": "12",
  "skill_reviews fix-review": "12",
  "api_keys fix-key": "acme",
};
const QUARANTINED = {
  "users lost-user": "no tenant that exists",
  "users lost-user-of-a-tenant-that-left": "no tenant that exists",
  "skills lost-skill": "no tenant that exists",
  "skills lost-skill-two-answers": "its author is not of its tenant",
  "ratings lost-rating-of-a-lost-user": "its user is not of its tenant",
  "ratings lost-rating-across": "its user is not of its tenant",
  "usage_events lost-event-of-the-default": "its skill is not of its tenant",
  "usage_events lost-event-orphan": "its skill is not of its tenant",
  "api_keys lost-key-across": "its user is not of its tenant",
  "skill_versions lost-version": "its skill is not of its tenant",
  "skill_embeddings lost-embedding": "its skill is not of its tenant",
  "skill_reviews lost-review-across": "its reviewer is not of its tenant",
  "site_settings lost-setting": "no tenant that exists",
};

for (const major of majors) {
  describe(`skills marketplace on ${major}`, () => {
    let server: Server;
    let raw4: Database;
    let hardened: Database;
    before(async () => {
      server = await startPostgres({ major });
      raw4 = await skillsDatabase(server, { hardened: false });
      hardened = await cloneOf(server, raw4.name);
      await hardenSkills(server, hardened);
    });
    after(async () => await server?.stop());

    test("Drizzle's own migrator takes the folder, 0005 and 0006 after rows have come, and nothing twice", async () => {
      await using db = await kitDatabase(server);
      const folder = mkdtempSync(join(tmpdir(), "bulkhead-drizzle-"));
      const sql = postgres(db.url, { max: 1, onnotice: () => {} });
      try {
        cpSync(DRIZZLE, folder, { recursive: true });
        const journal = JSON.parse(readFileSync(join(DRIZZLE, "meta/_journal.json"), "utf8"));
        const upTo = (entries: unknown[]) =>
          writeFileSync(
            join(folder, "meta/_journal.json"),
            JSON.stringify({ ...journal, entries }),
          );
        upTo(journal.entries.slice(0, 5));
        await migrate(drizzle(sql), { migrationsFolder: folder });
        await generateSkills(sql);
        upTo(journal.entries);
        for (const _ of [1, 2]) await migrate(drizzle(sql), { migrationsFolder: folder });
        const applied = await sql`select created_at from drizzle.__drizzle_migrations order by id`;
        assert.deepEqual(
          applied.map((row) => Number(row["created_at"])),
          journal.entries.map((entry: { when: number }) => entry.when),
        );
        assert.equal(await verdict(sql), "green");
      } finally {
        await sql.end();
        rmSync(folder, { recursive: true });
      }
    });

    test("the journal names each file, in order, with breakpoints", () => {
      const journal = JSON.parse(readFileSync(join(DRIZZLE, "meta/_journal.json"), "utf8"));
      assert.deepEqual([journal.version, journal.dialect], ["7", "postgresql"]);
      let last = 0;
      journal.entries.forEach((entry: Record<string, unknown>, idx: number) => {
        assert.deepEqual(Object.keys(entry), ["idx", "version", "when", "tag", "breakpoints"]);
        assert.deepEqual([entry["idx"], entry["version"], entry["breakpoints"]], [idx, "7", true]);
        assert.ok(Number(entry["when"]) > last, "Drizzle skips what is not newer than the last");
        last = Number(entry["when"]);
        assert.ok(readFileSync(join(DRIZZLE, `${entry["tag"]}.sql`), "utf8").length > 0);
      });
      assert.deepEqual(journal.entries.slice(-2).map((entry: { tag: string }) => entry.tag), [
        "0005_enforce_tenant_id",
        "0006_create_audit_logs",
      ]);
    });

    test("before, the status is red and a visitor reads every tenant's skills; after, green and nothing", async () => {
      const asAnon = (sql: postgres.Sql) =>
        sql.begin(async (tx) => {
          await tx`set local role anon`;
          return await tx`select distinct tenant_id from public.skills`;
        });
      await withSql(raw4.url, async (sql) => {
        assert.equal(await verdict(sql), "red");
        assert.ok((await asAnon(sql)).length >= TENANTS.length);
      });
      await withSql(hardened.url, async (sql) => {
        assert.equal(await verdict(sql), "green");
        assert.deepEqual([...await sql`select name, subject from bulkhead.findings('trail')`], []);
        assert.deepEqual([...await sql`select name, subject from bulkhead.findings('guard')`], []);
        await assert.rejects(asAnon(sql), { code: "42501" });
      });
    });

    test("no row is lost or changed: what is not in its table is whole in quarantine", async () => {
      const [was, is] = [await withSql(raw4.url, content), await withSql(hardened.url, content)];
      assert.deepEqual(is, was);
      await withSql(hardened.url, async (sql) => {
        const [moved] = await sql`select count(*)::integer as n from quarantine.rows`;
        assert.equal(moved?.["n"], Object.keys(QUARANTINED).length);
      });
    });

    test("of the planted rows each is repaired or in quarantine as it says, and no other row changed tenants", async () => {
      await withSql(hardened.url, async (sql) => {
        const found = await sql<{ row: string; reason: string }[]>`
          select split_part(table_name, '.', 2) || ' ' || case when row_id ~ '^\\d+$' then content ->> 'kind' else row_id end as row, reason
          from quarantine.rows`;
        assert.deepEqual(
          Object.fromEntries(found.map(({ row, reason }) => [row, reason])),
          QUARANTINED,
        );
      });
      const [was, is] = [await withSql(raw4.url, owners), await withSql(hardened.url, owners)];
      const changed = Object.fromEntries(
        [...is].filter(([row, tenant]) =>
          was.get(row) !== tenant && !row.includes(" v-") && !row.includes(" e-")
        ),
      );
      assert.deepEqual(changed, REPAIRED);
    });

    test("bulkhead adopt and bulkhead.toml alone lead from red to green, every row kept, and the second plan is empty", async () => {
      await using db = await cloneOf(server, raw4.name);
      const moved = await withSql(
        db.url,
        (sql) => adoptExample(sql, { example: "skills", tables: NINE, column: "tenant_id" }),
      );
      // Of what 0005 moves, all but the event of a skill that is gone: no foreign key says that it should be there.
      const expected = Object.keys(QUARANTINED).filter((row) => !row.startsWith("usage_events"));
      assert.deepEqual(moved.filter((row) => !row.startsWith("usage_events")), expected.sort());
      assert.equal(moved.length, expected.length + 1);
    });

    test("its pgTAP file passes on these rows, leaves nothing, and fails when a policy or a key is gone", async () => {
      const was = await withSql(hardened.url, content);
      assert.deepEqual(await runPgTap(hardened.url, PGTAP), {
        file: "skills.test.sql",
        passed: 37,
        failed: [],
      });
      assert.deepEqual(await withSql(hardened.url, content), was);
      for (
        const change of [
          "drop policy tenant_isolation on public.skills",
          "alter policy tenant_isolation on public.skills using (true); drop policy bulkhead_tenant on public.skills",
          "alter table public.skill_versions drop constraint skill_versions_skill_id_fkey",
          "alter role skills_app inherit",
        ]
      ) {
        await using copy = await cloneOf(server, hardened.name);
        await withSql(copy.superUrl, (sql) => sql.unsafe(change).simple());
        const { failed } = await runPgTap(copy.url, PGTAP);
        if (change.startsWith("alter role")) {
          await withSql(copy.superUrl, (sql) => sql.unsafe("alter role skills_app noinherit"));
        }
        assert.ok(failed.length > 0, change);
      }
    });

    test("the Drizzle schema names the columns, uniques and keys that the catalog has", async () => {
      await withSql(hardened.url, async (sql) => {
        for (const table of [...Object.values(TABLES), tenants]) {
          const { name, columns, uniqueConstraints, foreignKeys } = getTableConfig(table);
          const [found] = await sql<{ columns: string[]; keys: string[] }[]>`
            select
              (select array_agg(a.attname || ':' || a.attnotnull order by a.attname) from pg_catalog.pg_attribute as a
               where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
              coalesce((select array_agg(k.conname || ':' || cardinality(k.conkey) order by k.conname) from pg_catalog.pg_constraint as k
               where k.conrelid = c.oid and k.contype in ('u', 'f') and k.conname not like '%tenant_id_fkey'), '{}') as keys
            from pg_catalog.pg_class as c where c.oid = ${`public.${name}`}::regclass`;
          assert.deepEqual(
            columns.map((c) => `${c.name}:${c.notNull}`).sort(),
            [...found?.columns ?? []].sort(),
            name,
          );
          const keys = [
            ...uniqueConstraints.map((key) => `${key.name}:${key.columns.length}`),
            ...foreignKeys.filter((key) => key.reference().columns.length > 1)
              .map((key) => `${key.getName()}:${key.reference().columns.length}`),
          ];
          assert.deepEqual(keys.sort(), [...found?.keys ?? []].sort(), name);
        }
      });
    });

    describe("the service, as skills_app", () => {
      let pool: postgres.Sql;
      before(async () => {
        await letIn(server, hardened, "skills_app");
        pool = postgres(hardened.urlAs("skills_app"), { max: 4, onnotice: () => {} });
      });
      after(async () => await pool?.end());
      const as = <T>(tenantId: string, work: Parameters<typeof withTenant<T>>[2]) =>
        withTenant(
          drizzle(pool),
          { tenantId, actorId: `u-${tenantId}-1`, requestId: "req-1" },
          work,
        );

      test("withTenant() shows each tenant all of its rows of all nine tables and no other, whatever its id looks like", async () => {
        for (const tenantId of TENANTS) {
          for (const table of Object.values(TABLES)) {
            const rows = await as(
              tenantId,
              (tx) => tx.select({ tenantId: table.tenantId }).from(table),
            );
            const [truth] = await withSql(
              hardened.url,
              (sql) =>
                sql`select count(*)::integer as n from ${
                  sql(getTableName(table))
                } where tenant_id = ${tenantId}`,
            );
            assert.equal(rows.length, truth?.["n"], `${getTableName(table)} of ${tenantId}`);
            assert.ok(
              rows.every((row) => row.tenantId === tenantId),
              `${getTableName(table)} of ${tenantId}`,
            );
          }
        }
      });

      test("no tenant reads, changes, deletes or takes a row of another, in any of the nine tables", async () => {
        for (const tenantId of TENANTS) {
          for (const other of TENANTS.filter((id) => id !== tenantId)) {
            await as(tenantId, async (tx) => {
              for (const table of Object.values(TABLES)) {
                const theirs = eq(table.tenantId, other);
                const name = `${getTableName(table)} of ${other} by ${tenantId}`;
                assert.deepEqual(
                  await tx.select({ t: table.tenantId }).from(table).where(theirs),
                  [],
                  name,
                );
                assert.equal(
                  (await tx.update(table).set({ tenantId: other }).where(theirs)).count,
                  0,
                  name,
                );
                assert.equal((await tx.delete(table).where(theirs)).count, 0, name);
              }
            });
          }
        }
        for (
          const [tenantId, other] of [["1", "12"], ["12", "1"], ["acme", "acme-eu"], [
            "acme-eu",
            "acme",
          ]] as const
        ) {
          const row = { id: "x", email: "x@skills.example", name: "X", tenantId: other };
          await refused("42501", as(tenantId, (tx) => tx.insert(users).values(row)));
          await refused("42501", as(tenantId, (tx) => tx.update(skills).set({ tenantId: other })));
          await refused(
            "23503",
            as(tenantId, (tx) =>
              tx.insert(skills)
                .values({ id: "x", slug: "x", title: "X", tenantId, authorId: `u-${other}-1` })),
          );
        }
      });

      test("no context, an empty one and half of one show nothing and write nothing", async () => {
        const db = drizzle(pool);
        assert.deepEqual(await db.select().from(skills), []);
        await refused(
          "42501",
          db.insert(users).values({ id: "x", email: "x", name: "x", tenantId: "1" }),
        );
        for (const tenantId of ["", "  ", undefined as unknown as string]) {
          await assert.rejects(
            withTenant(db, { tenantId, actorId: "x" }, () => assert.fail("it ran")),
            TypeError,
          );
        }
        const half = (setting: string) =>
          db.transaction(async (tx) => {
            await tx.execute(raw`select set_config(${setting}, '1', true)`);
            return await tx.select().from(skills);
          });
        assert.deepEqual(await half("app.current_tenant_id"), []);
        assert.deepEqual(await half("bulkhead.tenant"), []);
        await as("1", (tx) => tx.select().from(skills));
        const left = await Promise.all(
          Array.from(
            { length: 4 },
            () =>
              pool`select coalesce(current_setting('app.current_tenant_id', true), '') || coalesce(current_setting('bulkhead.tenant', true), '') as left, pg_sleep(0.05)`,
          ),
        );
        assert.deepEqual(left.map(([row]) => row?.["left"]), ["", "", "", ""]);
      });

      test("a slug that another tenant has is free, one's own is taken", async () => {
        await using copy = await cloneOf(server, raw4.name);
        await hardenSkills(server, copy);
        const own = postgres(copy.urlAs("skills_app"), { max: 1, onnotice: () => {} });
        try {
          const add = (tenantId: string, id: string) =>
            withTenant(
              drizzle(own),
              { tenantId, actorId: "ada" },
              (tx) =>
                tx.insert(skills).values({ id, tenantId, slug: "summarise", title: "Summarise" }),
            );
          await add("1", "a");
          await add("12", "b");
          await refused("23505", add("12", "c"));
          const seen = await withTenant(
            drizzle(own),
            { tenantId: "12", actorId: "ada" },
            (tx) =>
              tx.select({ id: skills.id }).from(skills).where(and(eq(skills.slug, "summarise"))),
          );
          assert.deepEqual(seen, [{ id: "b" }]);
        } finally {
          await own.end();
        }
      });

      test("audit_logs shows a tenant who did what and from where, and cannot be changed by anybody", async () => {
        await as("12", async (tx) => {
          await tx.update(skills).set({ title: "Better" }).where(eq(skills.id, "s-12-1"));
          await tx.execute(
            raw`select public.log_audit('skill.published', 'skill', 's-12-1', '2001:db8::1:7', '{"via": "api"}')`,
          );
          await tx.execute(
            raw`select public.log_audit('odd', 'skill', null, null, '{"ip_address": "no address"}')`,
          );
        });
        const logs = (tenantId: string) =>
          as(
            tenantId,
            (tx) =>
              tx.execute(
                raw`select * from public.audit_logs where created_at > now() - interval '1 minute' and action <> 'INSERT' order by action`,
              ),
          );
        const mine = await logs("12");
        assert.deepEqual(Object.keys(mine[0] ?? {}), [
          "actor_id",
          "tenant_id",
          "action",
          "resource_type",
          "resource_id",
          "ip_address",
          "metadata",
          "created_at",
        ]);
        const told = mine.filter((row) =>
          row["action"] === "skill.published" || row["action"] === "odd" ||
          row["resource_id"] === "s-12-1" && row["actor_id"] !== null
        )
          .map((
            row,
          ) => [
            row["actor_id"],
            row["tenant_id"],
            row["action"],
            row["resource_type"],
            row["resource_id"],
            row["ip_address"],
            row["metadata"],
          ]);
        assert.deepEqual(told, [
          ["u-12-1", "12", "UPDATE", "public.skills", "s-12-1", null, {
            before: { title: "Skill 1" },
            after: { title: "Better" },
          }],
          ["u-12-1", "12", "odd", "skill", null, null, {}],
          ["u-12-1", "12", "skill.published", "skill", "s-12-1", "2001:db8::1:7", { via: "api" }],
        ]);
        await refused("42501", pool`select public.log_audit('forged', 'skill')`);
        assert.deepEqual((await logs("1")).filter((row) => row["tenant_id"] !== "1"), []);
        for (
          const statement of [
            "update public.audit_logs set actor_id = 'x'",
            "delete from public.audit_logs",
            "insert into public.audit_logs (actor_id) values ('x')",
          ]
        ) {
          await refused("42501", as("12", (tx) => tx.execute(raw.raw(statement))));
        }
        for (
          const statement of [
            "update bulkhead.audit_events set actor = 'x'",
            "delete from public.audit_logs",
            "truncate bulkhead.audit_events",
          ]
        ) {
          await refused("42501", withSql(hardened.url, (sql) => sql.unsafe(statement)));
        }
      });

      test("audit_logs is served by its partial indexes by tenant, actor and action, under row level security", async () => {
        await using copy = await cloneOf(server, raw4.name);
        await hardenSkills(server, copy);
        await withSql(copy.url, async (sql) => {
          await sql`
            insert into bulkhead.audit_events (tenant_id, actor, actor_role, table_name, operation, record_id)
            select 't' || n % 200, 'a' || n % 500, 'skills_app', 'public.skills',
                   case when n % 100 = 0 then 'skill.' || chr(97 + n / 100 % 20) else 'UPDATE' end, n::text
            from generate_series(1, 40000) as n`;
          await sql`insert into bulkhead.audit_events (tenant_id, actor, actor_role, table_name, operation) values ('12', 'ada', 'skills_app', 'skill', 'skill.rare')`;
          await sql`analyze bulkhead.audit_events`;
        });
        await letIn(server, copy, "skills_app");
        const own = postgres(copy.urlAs("skills_app"), { max: 1, onnotice: () => {} });
        try {
          for (
            const [where, index] of [
              ["tenant_id = '12'", "tenant_id_created_at"],
              ["actor_id = 'ada'", "actor_created_at"],
              ["action = 'skill.rare'", "operation_created_at"],
            ] as const
          ) {
            const plan = await withTenant(
              drizzle(own),
              { tenantId: "12", actorId: "ada" },
              (tx) =>
                tx.execute(
                  raw.raw(
                    `explain select * from public.audit_logs where ${where} order by created_at desc limit 20`,
                  ),
                ),
            );
            const text = plan.map((row) => row["QUERY PLAN"]).join("\n");
            assert.match(
              text,
              new RegExp(`Index Scan.* audit_events_\\d+_${index}_idx`),
              text,
            );
          }
        } finally {
          await own.end();
        }
      });
    });

    if (major === 17) {
      test("text tenants survive a backup and a restore, the awkward one too, and one tenant alone comes back", async () => {
        await using db = await cloneOf(server, raw4.name);
        await hardenSkills(server, db);
        using world = await backupWorld({ DATABASE_URL: db.url });
        const backup = await bulkhead(["backup"], world.env);
        assert.equal(backup.code, 0, backup.stderr);
        await using target = await kitDatabase(server);
        await withSql(target.url, async (sql) => {
          const folder = drizzle(sql);
          await migrate(folder, { migrationsFolder: DRIZZLE });
        });
        const restored = await bulkhead(["restore", "--into-env", "TARGET_URL"], {
          ...world.env,
          TARGET_URL: target.url,
        });
        assert.equal(restored.code, 0, restored.stderr);
        assert.deepEqual(await withSql(target.url, owners), await withSql(db.url, owners));
        assert.deepEqual(await withSql(target.url, inTables), await withSql(db.url, inTables));
        assert.deepEqual((await runPgTap(target.url, PGTAP)).failed, []);
        for (const tenantId of ["1", TENANTS[4] ?? ""]) {
          const was = await withSql(db.url, inTables);
          await withSql(
            db.url,
            (sql) => sql`delete from public.skill_versions where tenant_id = ${tenantId}`,
          );
          const back = await bulkhead([
            "restore",
            "--tenant",
            tenantId,
            "--table",
            "public.skill_versions",
            "--insert-missing",
          ], world.env);
          assert.equal(back.code, 0, back.stderr);
          assert.deepEqual(await withSql(db.url, inTables), was);
        }
      });
    }
  });
}

async function verdict(sql: postgres.Sql): Promise<unknown> {
  const [row] = await sql`select bulkhead.status('boundary') ->> 'verdict' as verdict`;
  return row?.["verdict"];
}

/** Expect an SQLSTATE, wrapped by Drizzle or not. */
async function refused(code: string, work: PromiseLike<unknown>): Promise<void> {
  await assert.rejects(async () => await work, (error: Error & { code?: string }) => {
    const cause = error.cause as { code?: string } | undefined;
    assert.equal(cause?.code ?? error.code, code, error.message);
    return true;
  });
}

/** Rows of each table without their tenant, as a count and an order-free hash; quarantined ones count for their table. */
async function content(sql: postgres.Sql): Promise<Record<string, string>> {
  const [found] = await sql`select to_regclass('quarantine.rows') is not null as has`;
  return await hashes(
    sql,
    (table) =>
      `select to_jsonb(t) - 'tenant_id' as row from public.${table} as t` +
      (found?.["has"]
        ? ` union all select content - 'tenant_id' from quarantine.rows where table_name = 'public.${table}'`
        : ""),
  );
}

/** The rows that are in their tables, whole. */
function inTables(sql: postgres.Sql): Promise<Record<string, string>> {
  return hashes(sql, (table) => `select to_jsonb(t) as row from public.${table} as t`);
}

async function hashes(
  sql: postgres.Sql,
  rows: (table: string) => string,
): Promise<Record<string, string>> {
  const result: Record<string, string> = {};
  for (const table of ["tenants", ...NINE]) {
    const [row] = await sql.unsafe(
      `select count(*) || ':' || coalesce(sum(hashtextextended(row::text, 0)::numeric), 0) as h from (${
        rows(table)
      }) as r`,
    );
    result[table] = String(row?.["h"]);
  }
  return result;
}

/** Table and key of each row, and its tenant. */
async function owners(sql: postgres.Sql): Promise<Map<string, string | null>> {
  const result = new Map<string, string | null>();
  for (const table of NINE) {
    const rows = await sql.unsafe<{ key: string; tenant: string | null }[]>(
      `select case when j ->> 'kind' like '%-event%' then j ->> 'kind' else coalesce(j ->> 'id', j ->> 'key') end as key, j ->> 'tenant_id' as tenant
       from (select to_jsonb(t) as j from public.${table} as t) as r`,
    );
    for (const { key, tenant } of rows) result.set(`${table} ${key}`, tenant);
  }
  return result;
}
