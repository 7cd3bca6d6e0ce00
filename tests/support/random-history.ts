import type postgres from "postgres";

export const TENANTS = [
  "11111111-0000-4000-8000-000000000001",
  "11111111-0000-4000-8000-000000000002",
] as const;

/** Tables that point to themselves, to each other and in a circle, with keys of one column and of two. */
export const TABLES = ["nodes", "docs", "lefts", "rights"] as const;

export const RANDOM_WORLD = `
  create table public.tenants (id uuid primary key, name text);
  insert into public.tenants values ('${TENANTS[0]}', 'acme'), ('${TENANTS[1]}', 'birch');
  create table public.nodes (
    id bigint primary key, tenant_id uuid not null, parent_id bigint references public.nodes (id), label text, n numeric(10, 2),
    path text, shout text generated always as (upper(label)) stored, unique (tenant_id, label));
  create table public.docs (
    tenant_id uuid, "Code" text, node_id bigint not null references public.nodes (id), body jsonb, raw json, tags text[], seen tstzrange,
    primary key (tenant_id, "Code"));
  create table public.lefts (id uuid primary key, tenant_id uuid, right_id uuid, note text);
  create table public.rights (id uuid primary key, tenant_id uuid, left_id uuid not null references public.lefts (id), data bytea);
  alter table public.lefts add foreign key (right_id) references public.rights (id);
  -- A trigger that changes its own row again: its event stands before the one of the change that fired it.
  create function public.set_path() returns trigger language plpgsql as $$
  begin
    update public.nodes set path = new.label || '/' || new.id, n = coalesce(n, 0) + 1 where id = new.id and path is distinct from new.label || '/' || new.id;
    return null;
  end $$;
  create trigger set_path after insert or update on public.nodes for each row execute function public.set_path();
  select bulkhead.configure('public.tenants');
  select bulkhead.protect('public.tenants'), bulkhead.protect('public.nodes'), bulkhead.protect('public.docs'),
    bulkhead.protect('public.lefts'), bulkhead.protect('public.rights');
`;

const pick = <T>(random: () => number, from: readonly T[]): T =>
  from[Math.floor(random() * from.length)] as T;

const uuid = (random: () => number, tenant: string) =>
  `${tenant.slice(-1)}0000000-0000-4000-8000-00000000000${Math.floor(random() * 6)}`;

/** One random statement for one tenant; many fail, which is part of the history too. */
export function randomStatement(random: () => number, tenant: string): string {
  const base = tenant === TENANTS[0] ? 100 : 200;
  const id = () => base + Math.floor(random() * 12);
  const word = () => `'${pick(random, ["a", "b", "c", "d", "e", "f", "g", "h"])}'`;
  const maybe = (value: () => string) => random() < 0.3 ? "null" : value();
  const some = `tenant_id = '${tenant}' and random() < 0.5`;
  const json = () =>
    maybe(() => `'{"k": ${Math.floor(random() * 3)}, "s":  "${Math.floor(random() * 9)}"}'`);
  return pick(random, [
    () =>
      `insert into public.nodes (id, tenant_id, parent_id, label, n) values (${id()}, '${tenant}', ${
        maybe(() => `${id()}`)
      }, ${word()} || ${id()}, ${maybe(() => "1.10")})`,
    () =>
      `insert into public.nodes (id, tenant_id, label) values (${id()}, '${tenant}', ${word()}), (${id()}, '${tenant}', ${word()})
      on conflict (id) do update set label = excluded.label || '!'`,
    () => `update public.nodes set parent_id = ${maybe(() => `${id()}`)} where id = ${id()}`,
    () => `update public.nodes set label = ${word()} || id, n = ${maybe(() => "2")} where ${some}`,
    () => `delete from public.nodes where id = ${id()}`,
    () => `delete from public.nodes where parent_id = ${id()}`,
    () =>
      `insert into public.docs values ('${tenant}', ${word()}, ${id()}, ${json()}, ${json()}, ${
        maybe(() => "'{x,NULL,\"y z\"}'")
      }, ${maybe(() => "'[2026-01-01,2026-02-01)'")})
      on conflict (tenant_id, "Code") do update set body = excluded.body, node_id = excluded.node_id`,
    () => `update public.docs set raw = ${json()}, tags = array[${word()}] where ${some}`,
    () => `update public.docs set node_id = ${id()} where ${some}`,
    () => `delete from public.docs where ${some}`,
    () =>
      `with l as (insert into public.lefts values ('${uuid(random, tenant)}', '${tenant}', '${
        uuid(random, tenant)
      }', ${word()}) returning id, right_id)
      insert into public.rights select right_id, '${tenant}', id, '\\x00ff' from l`,
    () =>
      `insert into public.rights values ('${uuid(random, tenant)}', '${tenant}', '${
        uuid(random, tenant)
      }', '\\x01')`,
    () =>
      `update public.lefts set right_id = ${
        maybe(() => `'${uuid(random, tenant)}'`)
      }, note = ${word()} where ${some}`,
    () => `delete from public.rights where ${some}`,
    () =>
      `with r as (delete from public.rights where tenant_id = '${tenant}') delete from public.lefts where tenant_id = '${tenant}'`,
  ])();
}

/** One random transaction of a tenant: a few statements, some of them taken back by a savepoint. */
export async function randomTransaction(
  sql: postgres.Sql | postgres.ReservedSql,
  random: () => number,
  tenant: string,
): Promise<void> {
  const statements = 1 + Math.floor(random() * 4);
  await sql.unsafe(
    `begin; select bulkhead.set_tenant('${tenant}', 'writer-${
      Math.floor(random() * 3)
    }'); select setseed(${random()})`,
  );
  for (let i = 0; i < statements; i++) {
    await sql.unsafe("savepoint s");
    const failed = await sql.unsafe(randomStatement(random, tenant)).then(() => false, () => true);
    if (failed || random() < 0.1) await sql.unsafe("rollback to savepoint s");
  }
  await sql.unsafe(random() < 0.1 ? "rollback" : "commit");
}

/** Every row of a tenant as text, by table and key. */
export type State = Map<string, string>;

/** The present state of a tenant, or with `from` what another query has in place of each table. */
export async function stateOf(
  sql: postgres.Sql | postgres.ReservedSql,
  tenant: string,
  from = (table: string) => `(select * from public.${table} where tenant_id = '${tenant}')`,
): Promise<State> {
  const key = {
    nodes: "w.id::text",
    docs: `jsonb_build_array(w.tenant_id, w."Code")::text`,
    lefts: "w.id::text",
    rights: "w.id::text",
  };
  const state: State = new Map();
  for (const table of TABLES) {
    for (
      const row of await sql.unsafe(
        `select ${key[table]} as key, w::text as row from ${from(table)} as w order by 1`,
      )
    ) {
      state.set(`public.${table} ${row["key"]}`, row["row"]);
    }
  }
  return state;
}
