// needs: postgres-15
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import postgres from "postgres";
import { connect, copyIn, type TransactionSql } from "../functions/_core/adapters/postgres.ts";
import { type Actor, asRole } from "./support/as-role.ts";
import {
  type Database,
  kitDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";

const MEMBER = "7d444840-9dc0-41d1-b245-5ffdce74fad2";
const SCHEMA = `
  create table public.tenants (id bigint primary key);
  create table public.members (tenant_id bigint not null, user_id uuid not null, primary key (tenant_id, user_id));
  create table public.notes (id bigint primary key, tenant_id bigint not null, body text);
  create table public.readings (id bigint, tenant_id bigint not null, body text, primary key (tenant_id, id))
    partition by range (id);
  create table public.readings_low partition of public.readings for values from (0) to (1000);
  insert into public.tenants values (1), (12);
  insert into public.members values (1, '${MEMBER}');
  insert into public.notes select i, t, 'as it was' from (values (1, 1), (12, 12)) as v (i, t);
  insert into public.readings select i, t, 'as it was' from (values (1, 1), (12, 12)) as v (i, t);
  create role paths_app nologin;
  grant paths_app, bulkhead_service to current_user;
  select bulkhead.configure('public.tenants', membership_table => 'public.members', direct_roles => '{paths_app}');
  grant all on all tables in schema public to authenticated, service_role, paths_app;
  grant usage on schema public to paths_app;
  select bulkhead.protect('public.members'), bulkhead.protect('public.notes'), bulkhead.protect('public.readings');
  -- Around RLS, as an RPC of an application may be; the guard asks who called.
  create function public.run(statement text) returns void language plpgsql security definer
    as $$ begin execute statement; end $$;
`;

/** Each way in which rows are written; \`t\` is the tenant, rows of the tenants 1 and 12 are there. */
const PATHS: Record<string, { sql: (t: number) => string; rows: number }> = {
  "an insert": { sql: (t) => `insert into public.notes values (100, ${t}, 'new')`, rows: 1 },
  "a hundred rows at once": {
    sql: (t) =>
      `insert into public.notes select i, ${t}, 'new' from generate_series(100, 199) as i`,
    rows: 100,
  },
  "an upsert over a row": {
    sql: (t) =>
      `insert into public.notes values (${t}, ${t}, 'new') on conflict (id) do update set body = excluded.body`,
    rows: 1,
  },
  "an update": { sql: (t) => `update public.notes set body = 'new' where id = ${t}`, rows: 1 },
  "a delete": { sql: (t) => `delete from public.notes where id = ${t}`, rows: 1 },
  "a merge that updates": {
    sql: (t) =>
      `merge into public.notes as n using (values (${t}::bigint)) as v (id) on n.id = v.id
       when matched then update set body = 'new'`,
    rows: 1,
  },
  "a merge that inserts": {
    sql: (t) =>
      `merge into public.notes as n using (values (100::bigint)) as v (id) on n.id = v.id
       when not matched then insert values (100, ${t}, 'new')`,
    rows: 1,
  },
  "a writable CTE": {
    sql: (t) =>
      `with gone as (delete from public.notes where id = ${t} returning *)
       insert into public.readings select 200, tenant_id, body from gone`,
    rows: 2,
  },
  "an insert into a partition": {
    sql: (t) => `insert into public.readings_low values (100, ${t}, 'new')`,
    rows: 1,
  },
  "an update of a partition": {
    sql: (t) => `update public.readings_low set body = 'new' where id = ${t}`,
    rows: 1,
  },
};
const COPY = "copy";

const STATE = `select jsonb_agg(r order by r.name, r.id) as state from (
  select 'notes' as name, n.id, n.body from public.notes as n where n.tenant_id = 12
  union all select 'readings', m.id, m.body from public.readings as m where m.tenant_id = 12) as r`;

class Undo extends Error {}

for (const major of [17, 15] as const) {
  describe(`every way to write, on Postgres ${major}`, () => {
    let server: Server;
    let db: Database;
    let sql: postgres.Sql;
    before(async () => {
      server = await startPostgres({ major });
      db = await kitDatabase(server);
      await withSql(db.url, (one) => one.unsafe(SCHEMA));
      sql = connect(db.url, { max: 1 });
    });
    after(async () => {
      await sql?.end({ timeout: 1 });
      await server?.stop();
    });

    /** What one statement of a caller did, everything undone: refused with a code, or events and the other's rows. */
    async function attempt(who: Actor, path: string, tenant: number, around: boolean) {
      let seen: { events: number; state: string } | undefined;
      try {
        await asRole(sql, who, async (tx) => {
          await write(tx, path, tenant, around);
          await tx`reset role`;
          const [events] = await tx`select count(*)::int as n from bulkhead.audit_events
            where xid = pg_current_xact_id()::text::bigint and operation = upper(operation)`;
          const [state] = await tx.unsafe(STATE);
          seen = { events: events?.["n"], state: JSON.stringify(state?.["state"]) };
          throw new Undo();
        });
      } catch (error) {
        if (!(error instanceof Undo)) return String((error as { code?: string }).code);
      }
      return seen;
    }

    async function write(tx: TransactionSql, path: string, tenant: number, around: boolean) {
      if (path === COPY) {
        const rows = new Blob([`100\t${tenant}\tnew\n101\t${tenant}\tnew\n`]).stream();
        return await copyIn(tx, "copy public.notes from stdin", rows);
      }
      const statement = PATHS[path]?.sql(tenant) ?? "";
      if (around) await tx`select public.run(${statement})`;
      else await tx.unsafe(statement);
    }

    const named = (role: string): Actor => ({ role, settings: { "bulkhead.tenant": "1" } });
    const member: Actor = { role: "authenticated", claims: { sub: MEMBER } };
    const callers: [string, Actor, boolean][] = [
      ["service_role", named("service_role"), false],
      ["bulkhead_service", named("bulkhead_service"), false],
      ["a direct role", named("paths_app"), false],
      ["a member", member, false],
      ["a member, through a definer function", member, true],
    ];

    for (const [who, actor, around] of callers) {
      test(`${who}: its own tenant's rows, one event each; never another's`, async () => {
        const [before] = await withSql(db.url, (one) => one.unsafe(STATE));
        const untouched = JSON.stringify(before?.["state"]);
        for (const [path, { rows }] of Object.entries(PATHS)) {
          const own = await attempt(actor, path, 1, around);
          assert.deepEqual(own, { events: rows, state: untouched }, `${path}, own`);
          const other = await attempt(actor, path, 12, around);
          if (typeof other === "string") assert.equal(other, "42501", `${path}, other`);
          else assert.deepEqual(other, { events: 0, state: untouched }, `${path}, other`);
        }
      });
    }

    for (const [who, actor, around] of callers.filter(([, { role }]) => role !== "authenticated")) {
      test(`${who} without a tenant writes nothing`, async () => {
        for (const path of Object.keys(PATHS)) {
          const without = await attempt({ role: actor.role }, path, 1, around);
          if (typeof without === "string") assert.equal(without, "42501", path);
          else assert.equal(without?.events, 0, path);
        }
      });
    }

    test("COPY: a service's own rows, two events; another's, or without a tenant, refused", async () => {
      const service = named("service_role");
      assert.deepEqual((await attempt(service, COPY, 1, false) as { events: number }).events, 2);
      assert.equal(await attempt(service, COPY, 12, false), "42501");
      assert.equal(await attempt({ role: "service_role" }, COPY, 1, false), "42501");
      // Postgres itself takes no COPY FROM of a role that policies hold.
      for (const role of ["bulkhead_service", "paths_app"]) {
        assert.equal(await attempt(named(role), COPY, 12, false), "0A000", role);
      }
    });
  });
}
