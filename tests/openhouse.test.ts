import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import postgres from "postgres";
import { generateOpenHouse } from "../examples/openhouse/generate.ts";
import { messageServiceAfter } from "../examples/openhouse/service/after.ts";
import { messageServiceBefore } from "../examples/openhouse/service/before.ts";
import {
  cloneOf,
  type Database,
  kitDatabase,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { startPostgrest } from "./support/postgrest.ts";
import { ROOT, runSql } from "./support/sql-files.ts";

const read = (path: string) =>
  readFileSync(new URL(`../examples/openhouse/${path}`, import.meta.url), "utf8");
const DAY = "2026-08-01";
type Home = { tenant: string; development: string; unit: string; message: string };

describe("OpenHouse", () => {
  let server: Server;
  let raw: Database;
  let hardened: Database;
  before(async () => {
    server = await startPostgres();
    raw = await openhouseDatabase(server, { rows: 400, hardened: false });
    hardened = await openhouseDatabase(server, { rows: 400 });
  });
  after(async () => await server?.stop());

  test("generateOpenHouse() gives the same rows for the same seed, others for another", async () => {
    const hashes: string[] = [];
    for (const seed of [7, 7, 8]) {
      await using db = await kitDatabase(server);
      await withSql(db.url, async (sql) => {
        await runSql(sql, read("schema.sql"), "schema.sql");
        await generateOpenHouse(sql, { rows: 250, seed });
        hashes.push(await contentHash(sql));
      });
    }
    assert.equal(hashes[0], hashes[1]);
    assert.notEqual(hashes[0], hashes[2]);
  });

  test("generateOpenHouse() writes what was asked, reports progress, and lets several tenants in", async () => {
    await using db = await kitDatabase(server);
    await withSql(db.url, async (sql) => {
      await runSql(sql, read("schema.sql"), "schema.sql");
      const progress: number[] = [];
      const counts = await generateOpenHouse(sql, {
        rows: 25_000,
        tenants: 12,
        onProgress: (done) => progress.push(done),
      });
      assert.deepEqual(progress, [0, 10_000, 20_000, 25_000]);
      assert.equal(counts.messages, 25_000);
      assert.equal(counts.tenants, 12);
      for (const [table, n] of Object.entries(counts)) {
        const [row] = await sql.unsafe(
          `select count(*)::integer as n from ${
            table === "users" ? "auth.users" : `public.${table}`
          }`,
        );
        assert.equal(row?.["n"], n, table);
      }
      const [spread] =
        await sql`select count(distinct body) as bodies, count(distinct tenant_id) as tenants, bool_and(body !~ '[{}]') as filled from public.messages`;
      assert.deepEqual([Number(spread?.["tenants"]), spread?.["filled"]], [12, true]);
      assert.ok(Number(spread?.["bodies"]) > 500);
    });
  });

  test("generateOpenHouse() refuses nonsense and writes nothing when it fails halfway", async () => {
    await withSql(raw.url, async (sql) => {
      const before = await contentHash(sql);
      for (
        const options of [{ rows: -1 }, { rows: 1.5 }, { rows: 1, tenants: 0 }, { rows: NaN }, {
          rows: 1,
          seed: 0.5,
        }]
      ) {
        await assert.rejects(generateOpenHouse(sql, options));
      }
      await assert.rejects(generateOpenHouse(sql, { rows: 10 }), { code: "23505" });
      assert.equal(await contentHash(sql), before);
    });
  });

  test("generateOpenHouse() fills a hardened database too", async () => {
    await using db = await kitDatabase(server);
    await withSql(db.url, async (sql) => {
      await runSql(sql, read("schema.sql"), "schema.sql");
      await runSql(sql, read("harden.sql"), "harden.sql");
      await generateOpenHouse(sql, { rows: 300 });
      const [row] =
        await sql`select count(*)::integer as n from public.messages where tenant_id is not null`;
      assert.equal(row?.["n"], 300);
    });
  });

  test("its command prints counts, and one line each for what is wrong", () => {
    const run = (args: string[], env: Record<string, string>) =>
      spawnSync(process.execPath, ["--import", "tsx", "examples/openhouse/generate.ts", ...args], {
        cwd: ROOT,
        encoding: "utf8",
        env: { PATH: process.env["PATH"] ?? "", ...env },
      });
    const missing = run(["--rows", "1"], {});
    assert.equal(missing.status, 2);
    assert.match(missing.stderr, /^Error: .*DATABASE_URL.*\nTry: .*\n$/);
    const malformed = run(["--rows", "many"], { DATABASE_URL: raw.url });
    assert.equal(malformed.status, 2);
    const unreachable = run([], { OTHER: "postgresql://nobody:hunter22@127.0.0.1:1/none" });
    assert.equal(unreachable.status, 2);
    const refused = run(["--database-env", "OTHER"], {
      OTHER: "postgresql://nobody:hunter22@127.0.0.1:1/none",
    });
    assert.equal(refused.status, 4);
    assert.doesNotMatch(refused.stderr + refused.stdout, /hunter22/);
  });

  test("before hardening the schema has the holes of a real one", async () => {
    await withSql(raw.url, async (sql) => {
      const [found] = await sql`select
        (select count(*) from public.messages where tenant_id is null)::integer as orphans,
        (select count(*) from pg_catalog.pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace and confdeltype = 'c')::integer as cascades,
        (select count(*) from pg_catalog.pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace and cardinality(conkey) > 1)::integer as composite,
        (select count(*) from pg_catalog.pg_policies where schemaname = 'public' and (qual = 'true' or with_check = 'true'))::integer as permissive,
        has_table_privilege('anon', 'public.messages', 'insert') as anon`;
      assert.deepEqual({ ...found }, {
        orphans: 2,
        cascades: 7,
        composite: 0,
        permissive: 7,
        anon: true,
      });
    });
  });

  test("hardening keeps every message and repairs those that lost their tenant", async () => {
    const hash = (sql: postgres.Sql) =>
      sql`select count(*) as n, sum(hashtext(id::text || unit_id || body || created_at)) as h from public.messages`;
    assert.deepEqual(await withSql(hardened.url, hash), await withSql(raw.url, hash));
    const [orphans] = await withSql(
      hardened.url,
      (sql) => sql`select count(*)::integer as n from public.messages where tenant_id is null`,
    );
    assert.equal(orphans?.["n"], 0);
  });

  test("the DDL of messages is exactly what it says", async () => {
    await withSql(hardened.url, async (sql) => {
      const nullable = await sql`select attname from pg_catalog.pg_attribute
        where attrelid = 'public.messages'::regclass and attname in ('tenant_id', 'unit_id', 'development_id') and not attnotnull`;
      assert.equal(nullable.length, 0);
      const keys =
        await sql`select pg_get_constraintdef(oid) as definition from pg_catalog.pg_constraint
        where conrelid = 'public.messages'::regclass and contype = 'f' order by 1`;
      assert.deepEqual(keys.map((key) => key["definition"]), [
        "FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE RESTRICT",
        "FOREIGN KEY (tenant_id, development_id) REFERENCES developments(tenant_id, id) ON DELETE RESTRICT",
        "FOREIGN KEY (tenant_id, development_id, unit_id) REFERENCES units(tenant_id, development_id, id) ON DELETE RESTRICT",
      ]);
      const loose = await sql`select conname from pg_catalog.pg_constraint
        where contype = 'f' and connamespace = 'public'::regnamespace and (confdeltype <> 'r' or not convalidated)`;
      assert.equal(loose.length, 0);
    });
  });

  test("a message can't disagree with its unit about the development, even for the owner of the schema", async () => {
    await withSql(hardened.url, async (sql) => {
      const [pair] =
        await sql`select u.tenant_id, u.id as unit, d.id as development from public.units as u
        join public.developments as d on d.tenant_id = u.tenant_id and d.id <> u.development_id limit 1`;
      assert.ok(pair);
      await assert.rejects(
        sql`insert into public.messages (tenant_id, development_id, unit_id, sender, body) values (${
          pair["tenant_id"]
        }, ${pair["development"]}, ${pair["unit"]}, 'staff', 'x')`,
        { code: "23503" },
      );
      await assert.rejects(sql`delete from public.units where id = ${pair["unit"]}`, {
        code: /23503|23001/,
      });
    });
  });

  test("nothing is left for anon, and each table is protected", async () => {
    await withSql(hardened.url, async (sql) => {
      const rows =
        await sql`select c.relname, c.relrowsecurity and c.relforcerowsecurity as is_forced,
          has_table_privilege('anon', c.oid, 'select, insert, update, delete') as anon,
          exists (select from bulkhead.protected_tables as t where t.relation = c.oid) as is_protected
        from pg_catalog.pg_class as c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'`;
      assert.equal(rows.length, 6);
      for (const row of rows) {
        assert.deepEqual(
          [row["is_forced"], row["anon"], row["is_protected"]],
          [true, false, true],
          row["relname"],
        );
      }
    });
  });

  test("the Database type names the columns that the catalog has", async () => {
    const text = read("database.ts");
    const columns = await withSql(
      hardened.url,
      (sql) =>
        sql<
          { table: string; names: string[] }[]
        >`select table_name as table, array_agg(column_name::text order by ordinal_position) as names
        from information_schema.columns where table_schema = 'public' group by 1`,
    );
    assert.equal(columns.length, 6);
    for (const { table, names } of columns) {
      const row = new RegExp(`\\b${table}: Table<\\s*\\{([^}]*)\\}`).exec(text)?.[1] ?? "";
      assert.deepEqual([...row.matchAll(/(\w+):/g)].map((match) => match[1]), names, table);
    }
  });

  test("its pgTAP file passes on these rows and leaves nothing", async () => {
    await withSql(hardened.url, async (sql) => {
      const before = await contentHash(sql);
      const lines = await pgtap(sql);
      assert.deepEqual(
        lines.filter((line) => !line.startsWith("ok ") && !line.startsWith("1..")),
        [],
      );
      assert.equal(lines.filter((line) => line.startsWith("ok ")).length, 26);
      assert.equal(await contentHash(sql), before);
    });
  });

  test("its pgTAP file fails when a policy, a key or a row is missing", async () => {
    for (
      const change of [
        "drop policy bulkhead_tenant on public.messages; create policy hole on public.messages using (true)",
        "alter table public.messages drop constraint messages_unit_id_fkey",
        "alter table public.messages disable trigger user",
        "alter table public.messages disable trigger all; update public.messages set tenant_id = (select id from public.tenants order by id desc limit 1)",
      ]
    ) {
      await using copy = await cloneOf(server, hardened.name);
      await withSql(copy.superUrl, (sql) => sql.unsafe(change).simple());
      // An error ends the file before its plan is done: that fails too.
      const lines = await withSql(copy.url, pgtap).catch((
        error: Error,
      ) => [`not ok ${error.message}`]);
      assert.ok(lines.some((line) => line.startsWith("not ok")), change);
    }
  });

  describe("service", () => {
    /** Both versions on a copy of their own, as staff of the first tenant; `other` is somebody else's home. */
    async function open(original: Database) {
      const copy = await cloneOf(server, original.name);
      const rest = await startPostgrest({ url: copy.urlAs("authenticator") });
      const sql = postgres(copy.url, { max: 1, onnotice: () => {} });
      const homes = await sql<
        Home[]
      >`select distinct on (tenant_id) tenant_id as tenant, development_id as development, unit_id as unit, id as message
        from public.messages where tenant_id is not null order by tenant_id, id`;
      const [own, other] = homes as unknown as [Home, Home];
      await sql`select bulkhead.set_tenant(${own.tenant})`.catch(() => {});
      const key = rest.key("service_role");
      const count = async (where: string) =>
        Number(
          (await sql.unsafe(
            `select count(*) as n from public.messages where tenant_id = $1 and ${where}`,
            [other.tenant],
          ))[0]?.["n"],
        );
      return {
        sql,
        own,
        other,
        theirs: count,
        before: messageServiceBefore(rest.url, key),
        after: messageServiceAfter(rest.url, key, {
          tenantId: own.tenant,
          userId: "ada",
          requestId: "req-7",
        }),
        reply: {
          tenant: other.tenant,
          development: other.development,
          unit: other.unit,
          body: "reply",
        },
        async [Symbol.asyncDispose]() {
          await rest.stop();
          await sql.end();
          await copy.drop();
        },
      };
    }

    test("before, on the old schema, reads and writes every tenant's messages", async () => {
      await using s = await open(raw);
      assert.ok((await s.before.inbox(s.other.unit)).length > 0);
      await s.before.reply(s.reply);
      assert.equal(await s.theirs("body = 'reply'"), 1);
      await s.before.markAllRead();
      assert.equal(await s.theirs("not is_read"), 0);
      await s.before.deleteBefore(DAY);
      assert.equal(await s.theirs("body <> 'reply'"), 0);
    });

    test("before, on the hardened schema, may not write any more, but still reads", async () => {
      await using s = await open(hardened);
      const messages = await s.theirs("true");
      assert.ok(
        (await s.before.inbox(s.other.unit)).length > 0,
        "the known open class: a raw service_role read",
      );
      await assert.rejects(s.before.reply(s.reply), { code: "42501" });
      await assert.rejects(s.before.markAllRead(), { code: "42501" });
      await assert.rejects(s.before.deleteBefore(DAY), { code: "42501" });
      assert.equal(await s.theirs("true"), messages);
    });

    test("after, reaches its own tenant and no other, and signs what it does", async () => {
      await using s = await open(hardened);
      const [messages, unread] = [await s.theirs("true"), await s.theirs("not is_read")];
      assert.deepEqual(await s.after.inbox(s.other.unit), []);
      assert.ok((await s.after.inbox(s.own.unit)).length > 0);
      await assert.rejects(s.after.reply(s.reply), { code: "BH_TENANT_MISMATCH" });
      await s.after.reply({ ...s.reply, ...s.own, body: "reply" });
      assert.ok(await s.after.markAllRead() > 0);
      assert.ok(await s.after.deleteBefore(DAY) > 0);
      assert.deepEqual([await s.theirs("true"), await s.theirs("not is_read")], [messages, unread]);
      const events = await s
        .sql`select distinct operation, actor, tenant_id, table_name from bulkhead.audit_events where request_id = 'req-7' order by 1`;
      assert.deepEqual(
        events.map((event) => ({ ...event })),
        ["DELETE", "INSERT", "UPDATE"].map((operation) => ({
          operation,
          actor: "ada",
          tenant_id: s.own.tenant,
          table_name: "public.messages",
        })),
      );
    });
  });
});

async function contentHash(sql: postgres.Sql): Promise<string> {
  const tables = ["tenants", "members", "developments", "units", "messages", "onboarding_attempts"];
  const parts = await Promise.all(tables.map(async (table) => {
    const [row] = await sql.unsafe(
      `select count(*) || ':' || coalesce(sum(hashtextextended((to_jsonb(t) - 'created_at')::text, 0)::numeric), 0) as h from public.${table} as t`,
    );
    return String(row?.["h"]);
  }));
  return parts.join(" ");
}

/** Run the file as a harness without psql does: all statements, every line of TAP. */
async function pgtap(sql: postgres.Sql): Promise<string[]> {
  const results = await sql.unsafe(read("tests/openhouse.test.sql")).simple();
  const lines: string[] = [];
  for (const result of results as unknown as Record<string, unknown>[][]) {
    for (const row of result) {
      for (const value of Object.values(row)) {
        if (typeof value === "string" && /^(not )?ok |^1\.\./.test(value)) {
          lines.push(...value.split("\n"));
        }
      }
    }
  }
  return lines;
}
