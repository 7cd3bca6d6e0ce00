import postgres from "postgres";
import { kitDatabase, startPostgres } from "../tests/support/postgres.ts";
import { inTurn, type Row } from "./measure.ts";

/**
 * What the guard adds to an audited write: the same table twice, once with the check of each row's tenant taken out of
 * its trigger function. Who writes, and for whom, is looked up for the ledger in both.
 */
export async function guard(): Promise<Row[]> {
  await using server = await startPostgres();
  await using db = await kitDatabase(server);
  const sql = postgres(db.url, { max: 1, onnotice: () => {} });
  await sql.unsafe(`
    create table public.tenants (id uuid primary key);
    insert into public.tenants select md5(i::text)::uuid from generate_series(1, 1000) as i;
    select bulkhead.configure('public.tenants');
    select bulkhead.protect('public.tenants');
    do $$
    declare
      v_table text;
    begin
      foreach v_table in array '{guarded,unguarded}'::text[] loop
        execute format('create table public.%I (id bigint generated always as identity primary key, tenant_id uuid not null, body text)', v_table);
        perform bulkhead.protect(format('public.%I', v_table)::regclass);
      end loop;
    end $$`);
  const [found] = await sql<{ definition: string }[]>`
    select pg_get_functiondef(format('bulkhead.%I()', audit_function)::regprocedure) as definition
    from bulkhead.protected_tables where relation = 'public.unguarded'::regclass`;
  const parts = (found?.definition ?? "").split("case when bh_is_free or ");
  if (parts.length !== 4) throw new Error(`Cannot measure: ${parts.length - 1} checks were found`);
  await sql.unsafe(parts.join("case when true or "));
  const [tenant] = await sql`select id from public.tenants limit 1`;
  const id = String(tenant?.["id"]);
  await sql`select set_config('request.headers', ${JSON.stringify({ "x-tenant-id": id })}, false)`;
  await sql`set role service_role`;
  const write = (table: string) => async () => {
    for (let i = 0; i < 400; i++) {
      await sql.unsafe(`insert into public.${table} (tenant_id, body) values ($1, $2)`, [
        id,
        `message ${i}`,
      ]);
    }
  };
  const { ratio } = await inTurn(9, write("unguarded"), write("guarded"));
  await sql.end();
  return [{
    what: "guarded / audited only, single-row writes of the service role",
    ratio,
    atMost: 1.05,
  }];
}
