import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import postgres from "postgres";
import { type Database, kitDatabase, type Server, startPostgres } from "./support/postgres.ts";

const ACME = "7d444840-9dc0-41d1-b245-5ffdce74fad2";
const BIRCH = "c9bf9e57-1685-4c89-bafb-ff5af830be8a";

let server: Server;
let db: Database;
let sql: postgres.Sql;
before(async () => {
  server = await startPostgres();
  db = await kitDatabase(server);
  // Supabase lets postgres create event triggers; a plain server only its superuser.
  const superuser = postgres(db.superUrl, { max: 1, onnotice: () => {} });
  await superuser`create event trigger bulkhead_follow_ddl on ddl_command_end
    when tag in ('CREATE TABLE', 'CREATE TABLE AS', 'ALTER TABLE') execute function bulkhead.follow_ddl()`;
  await superuser.end();
  sql = postgres(db.url, { max: 1, onnotice: () => {} });
  await sql.unsafe(`
    create table public.tenants (id uuid primary key);
    insert into public.tenants values ('${ACME}'), ('${BIRCH}');
    create table public.readings (id int, tenant_id uuid not null, value int, primary key (tenant_id, id)) partition by range (id);
    select bulkhead.configure('public.tenants');
    select bulkhead.protect('public.tenants'), bulkhead.protect('public.readings')`);
});
after(async () => {
  await sql.end();
  await server.stop();
});

test("a new partition is covered in the transaction that creates it", async () => {
  await sql`create table public.readings_1 partition of public.readings for values from (0) to (10)`;
  await sql`insert into public.readings_1 values (1, ${BIRCH}, 1)`;
  const claims = JSON.stringify({ role: "authenticated", app_metadata: { tenant_id: ACME } });
  const seen = await sql.begin(async (tx) => {
    await tx`select set_config('role', 'authenticated', true), set_config('request.jwt.claims', ${claims}, true)`;
    return await tx`select * from public.readings_1`;
  });
  assert.equal(seen.length, 0);
  const [event] =
    await sql`select count(*)::int as n from bulkhead.audit_events where table_name = 'public.readings' and operation = 'INSERT'`;
  assert.equal(event?.["n"], 1);
});

test("columns that are added, dropped or renamed stop no write", async () => {
  await sql`alter table public.readings add column note text`;
  await sql`update public.readings set note = 'x'`;
  await sql`alter table public.readings rename column note to remark`;
  await sql`update public.readings set remark = 'y'`;
  await sql`alter table public.readings drop column value`;
  await sql`update public.readings set remark = 'z'`;
  const rows =
    await sql`select after from bulkhead.audit_events where table_name = 'public.readings' and operation = 'UPDATE' order by id`;
  assert.deepEqual(rows.map((row) => row["after"]), [{ note: "x" }, { remark: "y" }, {
    remark: "z",
  }]);
  const findings = await sql`select name, subject from bulkhead.findings()
      where category in ('boundary', 'guard') and name <> 'service_role_reads'`;
  assert.deepEqual([...findings], []);
});

test("protect() and unprotect() work with the event trigger in place", async () => {
  await sql`create table public.notes (id int primary key, tenant_id uuid, body text)`;
  await sql`select bulkhead.protect('public.notes')`;
  await sql`select bulkhead.unprotect('public.notes')`;
  await sql`select bulkhead.exempt('public.notes', 'a list that everybody may read')`;
});
