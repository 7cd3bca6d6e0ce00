import type { Catalog } from "../adopt/catalog.ts";
import { type Facts, factsSchema } from "../matrix/facts.ts";
import type { Sql } from "./postgres.ts";

const TYPES = `
  with recursive used as (
    select distinct a.atttypid as oid, a.atttypmod as typmod
    from pg_attribute as a
    where a.attrelid = any ($1::regclass[]) and a.attnum > 0 and not a.attisdropped
  ), below as (
    select u.oid as of_type, u.typmod as of_typmod, u.oid, u.typmod, 0 as depth from used as u
    union all
    select b.of_type, b.of_typmod, t.typbasetype, t.typtypmod, b.depth + 1
    from below as b join pg_type as t on t.oid = b.oid and t.typtype = 'd'
  ), bases as (
    select distinct on (of_type, of_typmod) * from below order by of_type, of_typmod, depth desc
  )
  select coalesce(jsonb_agg(jsonb_build_object(
    'name', format_type(b.of_type, b.of_typmod),
    'base', format_type(b.oid, null),
    'length', case when b.typmod >= 0 then case
      when b.oid in ('varchar'::regtype, 'bpchar'::regtype) then b.typmod - 4
      when b.oid in ('bit'::regtype, 'varbit'::regtype) or t.typname in ('vector', 'halfvec') then b.typmod end end,
    'precision', case when b.oid = 'numeric'::regtype and b.typmod >= 0 then ((b.typmod - 4) >> 16) & 65535 end,
    'scale', case when b.oid = 'numeric'::regtype and b.typmod >= 0 then (b.typmod - 4) & 2047 end,
    'kind', t.typtype,
    'labels', (select coalesce(jsonb_agg(e.enumlabel order by e.enumsortorder), '[]') from pg_enum as e where e.enumtypid = t.oid),
    'element', case when t.typcategory = 'A' and t.typelem <> 0 then format_type(t.typelem, null) end,
    'checks', (select coalesce(jsonb_agg(pg_get_constraintdef(o.oid) order by o.conname), '[]')
      from below as d join pg_constraint as o on o.contypid = d.oid and o.contype = 'c'
      where d.of_type = b.of_type and d.of_typmod = b.of_typmod),
    'notNull', (select bool_or(dt.typnotnull) from below as d join pg_type as dt on dt.oid = d.oid
      where d.of_type = b.of_type and d.of_typmod = b.of_typmod)
  ) order by b.of_type, b.of_typmod), '[]')
  from bases as b join pg_type as t on t.oid = b.oid`;

const PARTITIONS = `
  select coalesce(jsonb_agg(jsonb_build_object(
    'id', format('%I.%I', n.nspname, c.relname),
    'columns', (select coalesce(jsonb_agg(a.attname order by k.n), '[]')
      from unnest(p.partattrs::smallint[]) with ordinality as k (attnum, n)
      join pg_attribute as a on a.attrelid = c.oid and a.attnum = k.attnum),
    'bounds', (select coalesce(jsonb_agg(pg_get_expr(child.relpartbound, child.oid) order by child.relname), '[]')
      from pg_inherits as i join pg_class as child on child.oid = i.inhrelid where i.inhparent = c.oid)
  ) order by n.nspname, c.relname), '[]')
  from pg_partitioned_table as p
  join pg_class as c on c.oid = p.partrelid join pg_namespace as n on n.oid = c.relnamespace
  where c.oid = any ($1::regclass[])`;

/** Settings that the boundary of the application reads; those of PostgREST and of the kit are set anyway. */
const SETTINGS = String.raw`
  select coalesce(jsonb_agg(distinct m.name order by m.name), '[]')
  from (
    select pg_get_expr(p.polqual, p.polrelid) from pg_policy as p
    union all select pg_get_expr(p.polwithcheck, p.polrelid) from pg_policy as p
    union all select f.prosrc from pg_proc as f join pg_namespace as n on n.oid = f.pronamespace
      where n.nspname <> all ('{pg_catalog,information_schema,bulkhead,bulkhead_api,auth,storage,extensions,graphql,realtime,vault,net,cron,pgbouncer}')
  ) as source (body)
  cross join lateral (
    select lower(found[1]) from regexp_matches(source.body, 'current_setting\(\s*''([A-Za-z_][\w.]*\.[\w.]+)''', 'g') as found
  ) as m (name)
  where m.name !~ '^(request|bulkhead)\.'`;

/** From 16 on, a membership does not always allow SET ROLE: who made a role may administer it only. */
const SETTABLE =
  "(me.rolsuper or pg_has_role(r.oid, case when current_setting('server_version_num')::integer >= 160000 then 'set' else 'member' end))";

const ROLES = `
  select coalesce(jsonb_agg(jsonb_build_object(
    'name', r.rolname, 'bypasses', r.rolbypassrls or r.rolsuper,
    'reachable', ${SETTABLE}
      or exists (select from pg_auth_members as m where m.roleid = r.oid and m.member = me.oid and m.admin_option)
      or (me.rolcreaterole and current_setting('server_version_num')::integer < 160000),
    'mustGrant', not ${SETTABLE}
  ) order by r.rolname), '[]')
  from pg_roles as r cross join (select * from pg_roles where rolname = current_user) as me
  where r.rolname = any ($2)`;

const READABLE = `
  select coalesce(jsonb_agg(jsonb_build_object('id', format('%I.%I', n.nspname, c.relname), 'role', r.rolname)
    order by c.oid, r.rolname), '[]')
  from pg_class as c join pg_namespace as n on n.oid = c.relnamespace cross join pg_roles as r
  where c.oid = any ($1::regclass[]) and r.rolname = any ($2)
    and has_schema_privilege(r.oid, n.oid, 'usage') and has_any_column_privilege(r.oid, c.oid, 'select')`;

const TRUNCATE = `
  select coalesce(jsonb_agg(jsonb_build_object('id', format('%I.%I', n.nspname, c.relname), 'role', r.rolname,
    'guarded', exists (select from pg_trigger as t join pg_proc as f on f.oid = t.tgfoid join pg_namespace as fn on fn.oid = f.pronamespace
      where t.tgrelid = c.oid and t.tgname = 'bulkhead_truncate' and t.tgenabled = 'A' and fn.nspname = 'bulkhead')
  ) order by c.oid, r.rolname), '[]')
  from pg_class as c join pg_namespace as n on n.oid = c.relnamespace cross join pg_roles as r
  where c.oid = any ($1::regclass[]) and r.rolname = any ($2) and has_table_privilege(r.oid, c.oid, 'truncate')`;

const INSERTABLE = `
  select coalesce(jsonb_agg(jsonb_build_object('id', format('%I.%I', n.nspname, c.relname), 'role', r.rolname,
    'columns', (select coalesce(jsonb_agg(a.attname order by a.attnum), '[]') from pg_attribute as a
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and has_column_privilege(r.oid, c.oid, a.attnum, 'insert'))
  ) order by c.oid, r.rolname), '[]')
  from pg_class as c join pg_namespace as n on n.oid = c.relnamespace cross join pg_roles as r
  where c.oid = any ($1::regclass[]) and r.rolname = any ($2)
    and not has_table_privilege(r.oid, c.oid, 'insert') and has_any_column_privilege(r.oid, c.oid, 'insert')`;

/**
 * Read what the matrix needs beside the catalog: types and their checks, partitions, settings, who may be acted as.
 *
 * @example
 * const facts = await readFacts(sql, catalog, ["anon", "authenticated", "service_role"]);
 */
export async function readFacts(
  sql: Sql,
  catalog: Catalog,
  roles: readonly string[],
): Promise<Facts> {
  let found: unknown;
  const tables = catalog.tables.filter((table) => !table.isPartition).map((table) => table.id);
  await sql.begin("isolation level repeatable read read only", async (tx) => {
    await tx.unsafe("set local jit = off; set local search_path = pg_catalog").simple();
    const [row] = await tx.unsafe(
      `select current_user as user, current_setting('server_version') as server, pg_is_in_recovery() as standby,
        (${TYPES}) as types, (${PARTITIONS}) as partitions, (${SETTINGS}) as settings,
        (${ROLES}) as roles, (${TRUNCATE}) as truncate, (${INSERTABLE}) as insertable, (${READABLE}) as readable`,
      [tables, [...roles]],
    );
    found = row;
  });
  return factsSchema.parse(found);
}
