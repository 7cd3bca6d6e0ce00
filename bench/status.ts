import type { Row } from "./measure.ts";
import postgres from "postgres";
import { kitDatabase, startPostgres } from "../tests/support/postgres.ts";

const TABLES = 500;

/** How long the whole status takes on 500 protected tables with 1,500 foreign keys and 1,000 policies. */
export async function status(): Promise<Row[]> {
  await using server = await startPostgres();
  await using db = await kitDatabase(server);
  const sql = postgres(db.url, { max: 1, onnotice: () => {} });
  await sql.unsafe(`
    create table public.tenants (id uuid primary key);
    select bulkhead.configure('public.tenants');
    select bulkhead.protect('public.tenants');
    do $$ begin
      for i in 1 .. ${TABLES} loop
        execute format('create table public.t%s (id uuid primary key, tenant_id uuid not null, a uuid, b uuid,
          unique (tenant_id, id), foreign key (tenant_id) references public.tenants (id) on delete restrict)', i);
        if i > 2 then
          execute format('alter table public.t%1$s
            add foreign key (tenant_id, a) references public.t%2$s (tenant_id, id) on delete restrict,
            add foreign key (tenant_id, b) references public.t%3$s (tenant_id, id) on delete restrict', i, i - 1, i - 2);
        end if;
        perform bulkhead.protect(format('public.t%s', i)::regclass);
      end loop;
    end $$`);
  await sql`select bulkhead.seal()`;
  await sql`analyze`;
  const times: number[] = [];
  for (let round = 0; round < 5; round++) {
    const began = performance.now();
    await sql`select bulkhead.status()`;
    times.push((performance.now() - began) / 1000);
  }
  await sql.end();
  const median = times.toSorted((a, b) => a - b)[2] ?? NaN;
  return [{
    what: "status on 500 tables, 1,500 foreign keys, 1,000 policies / 1 s",
    ratio: median,
    atMost: 1,
  }];
}
