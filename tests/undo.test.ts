// needs: postgres-15
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";
import { type Database, kitDatabase, type Server, startPostgres } from "./support/postgres.ts";

const ACME = "7d444840-9dc0-41d1-b245-5ffdce74fad2";
const BIRCH = "0c9a1f4e-52cb-4d0f-8a66-19d5b2a3a111";

const WORLD = `
  create table public.tenants (id uuid primary key, name text);
  insert into public.tenants values ('${ACME}', 'acme'), ('${BIRCH}', 'birch');
  create domain public.code as text not null check (value <> '');
  create type public.mood as enum ('good', 'bad');
  create domain public.paper as json check (value is not null);
  create type public.page as (at timestamptz, raw json);
  create table public.notes (id bigint generated always as identity primary key, tenant_id uuid, body text, t text, n numeric, touched_at timestamptz);
  create table public.files (tenant_id uuid, "Path" text, note_id bigint references public.notes (id), data bytea, tags text[], span int4range,
    moods public.mood[], code public.code, doc jsonb not null, raw json,
    raws json[], paper public.paper, page public.page, size int generated always as (length(data)) stored, primary key (tenant_id, "Path"));
  create table public.sent (note_id bigint);
  create function public.send() returns trigger language plpgsql as $$
  begin insert into public.sent values (new.id); new.touched_at := clock_timestamp(); return new; end $$;
  create trigger send before insert or update on public.notes for each row execute function public.send();
  select bulkhead.configure('public.tenants');
  select bulkhead.protect('public.tenants'), bulkhead.protect('public.notes'), bulkhead.protect('public.files');
  insert into public.notes (tenant_id, body, t, n) values ('${ACME}', 'one', 'x', 1.0), ('${ACME}', 'two', 'y', 2), ('${BIRCH}', 'theirs', 'z', 3);
  insert into public.files (tenant_id, "Path", note_id, data, tags, span, moods, code, doc, raw, raws, paper, page) values
    ('${ACME}', '/a "b"', 1, '\\x00ff', '{x,NULL,"y z"}', '[1,5)', '{good,bad}', 'c', 'null', '{"a":  1, "a": 2}',
      array['"\\u0000"'::json, '{"b": 1, "b":2}', null], '{"z":1,  "z":"\\u0000"}', row('2026-02-03 04:05:06.7+02', '{"q": [1.0]}'));
`;

type Step = {
  record_id: string;
  action: string;
  state: string;
  reason: string | null;
  digest: string;
};

for (const major of [17, 15] as const) {
  describe(`undo on Postgres ${major}`, () => {
    let server: Server;
    before(async () => {
      server = await startPostgres({ major });
    });
    after(() => server?.stop());

    async function world(): Promise<{ sql: postgres.Sql; db: Database } & AsyncDisposable> {
      const db = await kitDatabase(server);
      const sql = postgres(db.url, { max: 3, onnotice: () => {} });
      await sql.unsafe(WORLD);
      const end = async () => {
        await sql.end({ timeout: 1 });
        await db.drop();
      };
      return { sql, db, [Symbol.asyncDispose]: end };
    }

    /** Run statements as one transaction; its number. */
    async function written(sql: postgres.Sql, statements: string): Promise<string> {
      return await sql.begin(async (tx) => {
        await tx.unsafe(statements);
        const [row] = await tx`select pg_current_xact_id()::text as x`;
        return row?.["x"];
      }) as string;
    }

    const rows = async (sql: postgres.Sql, table: string) =>
      (await sql.unsafe(`select w::text as row from ${table} as w order by 1`)).map((r) =>
        r["row"]
      );

    const plan = (sql: postgres.Sql, x: string, conflicts = "refuse") =>
      sql<
        Step[]
      >`select * from bulkhead.undo_plan(transaction_id => ${x}::text::bigint, conflicts => ${conflicts})`;

    async function undo(sql: postgres.Sql, x: string, conflicts = "refuse"): Promise<void> {
      const [step] = await plan(sql, x, conflicts);
      await sql`select from bulkhead.apply_undo(${
        step?.digest ?? ""
      }, transaction_id => ${x}::text::bigint, conflicts => ${conflicts})`;
    }

    const code = (promise: Promise<unknown>) =>
      promise.then(() => "done", (error: { code?: string }) => error.code);

    it("apply_undo() restores every type exactly, and holds the project's triggers back", async () => {
      await using w = await world();
      const { sql } = w;
      const was = [
        await rows(sql, "public.notes"),
        await rows(sql, "public.files"),
        await rows(sql, "public.sent"),
      ];
      const x = await written(
        sql,
        `
        delete from public.files; update public.notes set body = 'uno', n = 1.00 where id = 1; delete from public.notes where id = 2;
        insert into public.notes (tenant_id, body) values ('${ACME}', 'new')`,
      );
      const sent = (await rows(sql, "public.sent")).length;
      await undo(sql, x);
      assert.deepEqual(
        [await rows(sql, "public.notes"), await rows(sql, "public.files")],
        was.slice(0, 2),
      );
      assert.equal((await rows(sql, "public.sent")).length, sent, "no mail goes out twice");
      await sql`insert into public.notes (tenant_id, body) values (${ACME}, 'after')`;
      assert.equal((await rows(sql, "public.sent")).length, sent + 1, "the triggers fire again");
    });

    it("apply_undo() is recorded as the tenant's own write, with who undid what", async () => {
      await using w = await world();
      const { sql } = w;
      const x = await written(
        sql,
        `delete from public.files; delete from public.notes where tenant_id = '${ACME}'`,
      );
      const [step] = await plan(sql, x);
      await sql.begin(async (tx) => {
        await tx`select bulkhead.set_tenant(${BIRCH}, 'before')`;
        await tx`select from bulkhead.apply_undo(${
          step?.digest ?? ""
        }, transaction_id => ${x}::text::bigint, acting => 'alice')`;
        const [context] =
          await tx`select current_setting('bulkhead.tenant') as tenant, current_setting('bulkhead.actor') as actor`;
        assert.deepEqual(
          { ...context },
          { tenant: BIRCH, actor: "before" },
          "the caller's context is back",
        );
      });
      const events =
        await sql`select operation, tenant_id, actor, request_id, metadata from bulkhead.audit_events
        where xid = (select max(xid) from bulkhead.audit_events) order by id`;
      assert.deepEqual(events.map((e) => e["operation"]), [
        "INSERT",
        "INSERT",
        "INSERT",
        "bulkhead.undo",
      ]);
      assert.deepEqual(
        new Set(events.map((e) => `${e["tenant_id"]} ${e["actor"]}`)),
        new Set([`${ACME} alice`]),
      );
      assert.equal(events[0]?.["request_id"], `undo:${x}`);
      assert.equal(events[3]?.["metadata"]["transaction_id"], Number(x));
    });

    it("what a session prints otherwise is kept exactly: dates, ranges, intervals, floats, bytes, money", async () => {
      await using w = await world();
      const { sql } = w;
      await sql.unsafe(`
        create table public.odd (at timestamptz, id int, tenant_id uuid, day date, span tstzrange, days datemultirange, gap interval,
          f double precision, r real, fs float8[], b bytea, bs bytea[], price money, note text, primary key (at, id));
        select bulkhead.protect('public.odd');
        insert into public.odd values ('2026-02-03 04:05:06.789012+00', 1, '${ACME}', '2026-02-03', '[2026-02-03 01:00+00, 2026-03-04 02:00+00)',
          '{[2026-02-03,2026-04-05),[2026-07-08,2026-09-10)}', '-1 year -2 mons +3 days -04:05:06.5', 0.1::float8 + 0.2::float8, 1.1::real / 3,
          array[1e-300, 1.0 / 3], '\\x00ff27', array['\\x5c'::bytea], 12.5::text::money, 'a')`);
      const text = "select o::text as row from public.odd as o";
      const [before] = await sql.unsafe(text);
      const x = await sql.begin(async (tx) => {
        await tx.unsafe(
          `set local datestyle = 'SQL, DMY'; set local timezone = 'Asia/Kolkata'; set local intervalstyle = 'sql_standard';
          set local extra_float_digits = -3; set local bytea_output = 'escape'; delete from public.odd`,
        );
        return (await tx`select pg_current_xact_id()::text as x`)[0]?.["x"] as string;
      });
      await undo(sql, x);
      const [after] = await sql.unsafe(text);
      assert.equal(after?.["row"], before?.["row"]);
      const events = await sql`
        select distinct record_id from bulkhead.audit_events where table_name = 'public.odd' and record_id is not null
      `;
      assert.equal(events.length, 1, "one row has one id in the ledger, whoever wrote");
    });

    it("apply_undo() names the index where a value to be put back is taken, and writes nothing", async () => {
      await using w = await world();
      const { sql } = w;
      await sql`create unique index notes_body on public.notes (tenant_id, lower(body)) where t <> 'draft'`;
      const x = await written(sql, "update public.notes set body = 'uno' where id = 1");
      await sql`insert into public.notes (tenant_id, body, t) values (${ACME}, 'ONE', 'w')`;
      await assert.rejects(
        undo(sql, x),
        (error: postgres.PostgresError) =>
          error.code === "BH107" && /notes_body of notes/.test(error.message),
      );
      const [row] = await sql`select body from public.notes where id = 1`;
      assert.equal(row?.["body"], "uno");
    });

    it("apply_undo() refuses a plan that something was written after, and undoing twice has nothing left to do", async () => {
      await using w = await world();
      const { sql } = w;
      const x = await written(sql, "update public.notes set body = 'uno' where id in (1, 2)");
      const [step] = await plan(sql, x);
      await sql`update public.notes set t = 'later' where id = 1`;
      assert.equal(
        await code(
          sql`select from bulkhead.apply_undo(${
            step?.digest ?? ""
          }, transaction_id => ${x}::text::bigint)`,
        ),
        "BH106",
      );
      assert.equal(await code(undo(sql, x)), "BH107");
      await undo(sql, x, "skip");
      assert.deepEqual(
        await sql`select body from public.notes where id in (1, 2) order by id`.then((r) =>
          r.map((y) => y["body"])
        ),
        ["uno", "two"],
      );
      await undo(sql, x, "overwrite");
      assert.deepEqual(
        await sql`select body, t from public.notes where id = 1`.then((r) => ({ ...r[0] })),
        { body: "one", t: "later" },
        "only what the transaction changed is set back",
      );
      assert.equal((await plan(sql, x)).length, 0);
    });

    it("apply_undo() waits for writers and refuses when they changed the plan; two at once do it once", async () => {
      await using w = await world();
      const { sql } = w;
      const x = await written(sql, "update public.notes set body = 'uno' where id = 1");
      const [step] = await plan(sql, x);
      const apply = () =>
        code(
          sql`select from bulkhead.apply_undo(${
            step?.digest ?? ""
          }, transaction_id => ${x}::text::bigint)`,
        );
      const writer = await sql.reserve();
      await writer.unsafe("begin; update public.notes set body = 'in flight' where id = 1");
      const waiting = apply();
      await sleep(300);
      await writer.unsafe("commit");
      writer.release();
      assert.equal(await waiting, "BH106");
      await undo(sql, x, "overwrite");
      const y = await written(sql, "update public.notes set body = 'twice' where id = 1");
      const [second] = await plan(sql, y);
      const both = await Promise.all(
        [1, 2].map(() =>
          code(
            sql`select from bulkhead.apply_undo(${
              second?.digest ?? ""
            }, transaction_id => ${y}::text::bigint)`,
          )
        ),
      );
      assert.deepEqual(both.sort(), ["BH106", "done"]);
      const [events] =
        await sql`select count(*)::int as n from bulkhead.audit_events where request_id = ${`undo:${y}`}`;
      assert.equal(events?.["n"], 1);
    });

    it("an undo that is killed in the middle never happened", async () => {
      await using w = await world();
      const { sql, db } = w;
      const x = await written(
        sql,
        `delete from public.files; delete from public.notes where tenant_id = '${ACME}'`,
      );
      const was = await rows(sql, "public.notes");
      const own = postgres(db.url, { max: 1, onnotice: () => {} });
      const [me] = await own`select pg_backend_pid() as pid`;
      const [step] = await plan(sql, x);
      await own.unsafe("begin");
      await own`select from bulkhead.apply_undo(${
        step?.digest ?? ""
      }, transaction_id => ${x}::text::bigint)`;
      await sql`select pg_terminate_backend(${me?.["pid"]})`;
      await own.end({ timeout: 0 }).catch(() => {});
      await sleep(200);
      assert.deepEqual(await rows(sql, "public.notes"), was);
      const [trigger] = await sql`select tgenabled from pg_trigger where tgname = 'send'`;
      assert.equal(trigger?.["tgenabled"], "O");
      assert.equal((await plan(sql, x))[0]?.digest, step?.digest);
    });

    it("what cannot be put back is named before anything happens", async () => {
      await using w = await world();
      const { sql } = w;
      const reason = async (x: string) =>
        (await plan(sql, x)).map((s) => `${s.state}: ${s.reason}`);
      await sql`delete from public.files`;
      const gone = await written(sql, "delete from public.notes where id = 2");
      await sql`alter table public.notes add column must text not null default 'd'`;
      await sql`alter table public.notes alter column must drop default`;
      await sql`select bulkhead.follow_schema()`;
      assert.match(
        (await reason(gone)).join(),
        /^blocked: the ledger does not hold must, which must not be null$/,
      );
      await sql`alter table public.notes drop column must`;
      await sql`select bulkhead.follow_schema()`;

      const typed = await written(
        sql,
        "update public.notes set t = 'word' where id = 1; update public.notes set t = 'x1' where id = 1",
      );
      await sql`update public.notes set t = '7'`;
      await sql`alter table public.notes alter column t type int using t::int`;
      await sql`select bulkhead.follow_schema()`;
      assert.match(
        (await reason(typed)).join(),
        /^blocked: a value does not fit its column any more/,
      );

      const past = await written(sql, "update public.notes set body = 'recorded' where id = 1");
      await sql.unsafe(
        "alter table public.notes disable trigger bulkhead_update; update public.notes set body = 'unrecorded' where id = 1; alter table public.notes enable always trigger bulkhead_update",
      );
      assert.deepEqual(await reason(past), ["conflict: changed later, past the ledger"]);

      const tenant = await written(
        sql,
        `insert into public.tenants values ('${BIRCH.replace("0c", "1c")}', 'new')`,
      );
      assert.deepEqual(await reason(tenant), [
        "blocked: a tenant is not made or removed by an undo",
      ]);

      const parent = await written(
        sql,
        `insert into public.notes (tenant_id, body) values ('${ACME}', 'parent')`,
      );
      await sql.unsafe(
        `insert into public.files (tenant_id, "Path", note_id, code, doc, paper) select '${ACME}', '/child', max(id), 'c', '{}', '{}' from public.notes`,
      );
      assert.deepEqual(await reason(parent), ["blocked: 1 row(s) of public.files point to it"]);
      const child = await written(sql, `delete from public.files`);
      await sql`delete from public.notes where body = 'parent'`;
      assert.deepEqual(await reason(child), [
        "blocked: the row of public.notes that it points to is gone",
      ]);

      await sql`select bulkhead.unprotect('public.files')`;
      assert.deepEqual(await reason(child), ["blocked: the table is gone, or protected no more"]);
      assert.equal(await code(undo(sql, child)), "BH107");
    });

    it("a value that the ledger masks or cuts is never written back", async () => {
      await using w = await world();
      const { sql } = w;
      const [now] = await sql`select clock_timestamp()::text as at, pg_sleep(0.005)`;
      // what the triggers write for a masked column, in an event of its own
      const x = await written(
        sql,
        `insert into bulkhead.audit_events (tenant_id, actor_role, table_name, operation, record_id, before, after)
        values ('${ACME}', 'postgres', 'public.notes', 'UPDATE', '1', '{"body": {"$bulkhead": "masked", "hmac": "00"}}', '{"body": {"$bulkhead": "masked", "hmac": "01"}}')`,
      );
      const [step] = await plan(sql, x);
      assert.deepEqual([step?.state, step?.reason], [
        "blocked",
        "the ledger does not hold body: masked",
      ]);
      assert.equal(await code(undo(sql, x)), "BH107");
      const [then] = await sql.unsafe(
        `select body, t from bulkhead.as_of(null::public.notes, '${ACME}', '${
          now?.["at"]
        }') where id = 1`,
      );
      assert.deepEqual({ ...then }, { body: null, t: "x" }, "unknown is null, not what it is now");
    });

    it("a TRUNCATE is undone; of columns that are masked or ignored nothing is made up", async () => {
      await using w = await world();
      const { sql } = w;
      const was = await rows(sql, "public.files");
      const x = await written(sql, "truncate public.files");
      await undo(sql, x);
      assert.deepEqual(await rows(sql, "public.files"), was);

      await sql`select bulkhead.protect('public.notes', options => '{"mask": ["body"], "ignore": ["t"]}')`;
      const [now] = await sql`select clock_timestamp()::text as at, pg_sleep(0.005)`;
      const y = await written(
        sql,
        "update public.notes set body = 'secret', t = 'seen', n = 5 where id = 1",
      );
      const z = await written(sql, "delete from public.notes where id = 2");
      assert.deepEqual((await plan(sql, y)).map((s) => s.reason), [
        "the ledger does not hold body: masked",
      ]);
      assert.deepEqual((await plan(sql, z)).map((s) => s.state), ["blocked"]);
      const then = await sql.unsafe(
        `select id, body, t, n from bulkhead.as_of(null::public.notes, '${ACME}', '${
          now?.["at"]
        }') order by id`,
      );
      assert.deepEqual(then.map((r) => ({ ...r })), [
        { id: "1", body: null, t: null, n: "1.0" },
        { id: "2", body: null, t: null, n: "2" },
      ]);
    });

    it("values that rows pass round among themselves come back", async () => {
      await using w = await world();
      const { sql } = w;
      await sql.unsafe(
        `alter table public.notes add column place int; update public.notes set place = id;
        alter table public.notes alter column place set not null, add unique (tenant_id, place); select bulkhead.follow_schema()`,
      );
      const was = await rows(sql, "public.notes");
      const x = await written(
        sql,
        `update public.notes set place = 99 where id = 1; update public.notes set place = 1 where id = 2; update public.notes set place = 2 where id = 1`,
      );
      await undo(sql, x);
      const body = (row: string) => row.replace(/"\d{4}-[^"]*"/, "");
      assert.deepEqual((await rows(sql, "public.notes")).map(body), was.map(body));
    });

    it("as_of() reads rows of a table whose columns changed since", async () => {
      await using w = await world();
      const { sql } = w;
      const [row] = await sql`select clock_timestamp()::text as at`;
      const at = row?.["at"];
      await sql.unsafe(
        `update public.notes set body = 'uno', t = 'changed' where id = 1; delete from public.notes where id = 3;
        alter table public.notes drop column t; alter table public.notes add column extra text default 'e'; alter table public.notes alter column n type text; select bulkhead.follow_schema()`,
      );
      const acme = await sql.unsafe(
        `select id, body, n, extra from bulkhead.as_of(null::public.notes, '${ACME}', '${at}') order by id`,
      );
      assert.deepEqual(acme.map((r) => ({ ...r })), [
        { id: "1", body: "one", n: "1.0", extra: "e" },
        { id: "2", body: "two", n: "2", extra: "e" },
      ]);
      const birch = await sql.unsafe(
        `select id, body, n, extra from bulkhead.as_of(null::public.notes, '${BIRCH}', '${at}')`,
      );
      assert.deepEqual(birch.map((r) => ({ ...r })), [{
        id: "3",
        body: "theirs",
        n: "3",
        extra: null,
      }]);
    });

    it("as_of() counts a transaction from the moment it began, whole, and never shows half a row", async () => {
      await using w = await world();
      const { sql } = w;
      const early = await sql.reserve();
      await early.unsafe(`begin; select bulkhead.current_tenants()`);
      await sleep(5);
      const [row] = await sql`select clock_timestamp()::text as at, pg_sleep(0.005)`;
      // begins after the moment, and writes before the early one does
      await sql`update public.notes set body = 'late' where id = 1`;
      await early.unsafe(
        "update public.notes set body = 'early', t = 'early' where id in (1, 2); commit",
      );
      early.release();
      const then = await sql.unsafe(
        `select id, body, t from bulkhead.as_of(null::public.notes, '${ACME}', '${
          row?.["at"]
        }') order by id`,
      );
      assert.deepEqual(then.map((r) => ({ ...r })), [
        // over what began later nothing earlier counts
        { id: "1", body: "one", t: "x" },
        { id: "2", body: "early", t: "early" },
      ]);
    });

    it("as_of() refuses to guess when a row was written past the ledger", async () => {
      await using w = await world();
      const { sql } = w;
      const [row] = await sql`select clock_timestamp()::text as at, pg_sleep(0.005)`;
      await sql.unsafe(`update public.notes set body = 'uno' where id = 2;
        alter table public.notes disable trigger bulkhead_delete; delete from public.notes where id = 2; alter table public.notes enable always trigger bulkhead_delete`);
      assert.equal(
        await code(
          sql.unsafe(
            `select * from bulkhead.as_of(null::public.notes, '${ACME}', '${row?.["at"]}')`,
          ),
        ),
        "BH109",
      );
    });

    it("as_of() shows a member the own tenant alone, also when the project grants it", async () => {
      await using w = await world();
      const { sql } = w;
      await sql.unsafe(`grant select on bulkhead.audit_events, public.notes to authenticated;
        grant execute on all functions in schema bulkhead to authenticated`);
      const [row] = await sql`select clock_timestamp()::text as at, pg_sleep(0.005)`;
      await sql`delete from public.files`;
      await sql`delete from public.notes`;
      const as = (tenant: string) =>
        code(sql.begin(async (tx) => {
          await tx`select set_config('role', 'authenticated', true), set_config('request.jwt.claims', ${
            JSON.stringify({ role: "authenticated", sub: ACME, app_metadata: { tenant_id: ACME } })
          }, true)`;
          const seen = await tx.unsafe(
            `select body from bulkhead.as_of(null::public.notes, '${tenant}', '${
              row?.["at"]
            }') order by 1`,
          );
          assert.deepEqual(seen.map((r) => r["body"]), ["one", "two"]);
        }));
      assert.equal(await as(ACME), "done");
      assert.equal(await as(BIRCH), "42501");
    });
  });
}
