import { type Catalog, catalogSchema } from "../adopt/catalog.ts";
import type { Sql } from "./postgres.ts";

/** Schemas of Postgres, of Supabase and of the kit: never adopted. */
const PLATFORM = [
  ...["auth", "storage", "realtime", "_realtime", "vault", "extensions", "graphql"],
  ...["graphql_public", "cron", "net", "pgsodium", "pgsodium_masks", "supabase_migrations"],
  ...["supabase_functions", "bulkhead", "bulkhead_api", "pgbouncer", "drizzle", "tests"],
];

const COLUMNS = `
  select coalesce(jsonb_agg(jsonb_build_object(
    'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'notNull', a.attnotnull,
    'default', case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end,
    'generated', a.attgenerated <> '', 'identity', a.attidentity <> ''
  ) order by a.attnum), '[]')
  from pg_attribute as a
  left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped`;

const names = (relation: string, numbers: string) =>
  `coalesce((
  select jsonb_agg(a.attname order by k.n)
  from unnest(${numbers}) with ordinality as k (attnum, n)
  join pg_attribute as a on a.attrelid = ${relation} and a.attnum = k.attnum
), '[]')`;

const CONSTRAINTS = `
  select coalesce(jsonb_agg(jsonb_build_object(
    'name', o.conname, 'type', o.contype, 'columns', ${names("o.conrelid", "o.conkey")},
    'parent', case when o.contype = 'f' then (
      select format('%I.%I', pn.nspname, pc.relname) from pg_class as pc
      join pg_namespace as pn on pn.oid = pc.relnamespace where pc.oid = o.confrelid) end,
    'parentColumns', ${names("o.confrelid", "o.confkey")},
    'onDelete', o.confdeltype, 'onUpdate', o.confupdtype, 'deferrable', o.condeferrable,
    'deferred', o.condeferred, 'validated', o.convalidated, 'definition', pg_get_constraintdef(o.oid)
  ) order by o.conname), '[]')
  from pg_constraint as o
  where o.conrelid = c.oid and o.contype in ('p', 'u', 'f', 'c') and o.conparentid = 0`;

const INDEXES = `
  select coalesce(jsonb_agg(jsonb_build_object(
    'name', ic.relname, 'unique', i.indisunique, 'primary', i.indisprimary, 'valid', i.indisvalid,
    'columns', (select coalesce(jsonb_agg(a.attname order by k.n), '[]')
      from generate_series(0, i.indnkeyatts - 1) as k (n)
      left join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[k.n] and a.attnum > 0),
    'keys', (select coalesce(jsonb_agg(pg_get_indexdef(i.indexrelid, k.n, false) order by k.n), '[]')
      from generate_series(1, i.indnkeyatts) as k (n)),
    'predicate', pg_get_expr(i.indpred, i.indrelid),
    'nullsNotDistinct', coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false),
    'definition', pg_get_indexdef(i.indexrelid),
    'constraint', (select o.conname from pg_constraint as o where o.conindid = i.indexrelid and o.conrelid = i.indrelid and o.contype in ('p', 'u', 'x') limit 1)
  ) order by ic.relname), '[]')
  from pg_index as i
  join pg_class as ic on ic.oid = i.indexrelid
  where i.indrelid = c.oid and not ic.relispartition`;

const POLICIES = `
  select coalesce(jsonb_agg(jsonb_build_object(
    'name', p.polname, 'permissive', p.polpermissive, 'command', p.polcmd,
    'roles', (select jsonb_agg(coalesce(r.rolname, 'public') order by r.rolname)
      from unnest(p.polroles) as o (oid) left join pg_roles as r on r.oid = o.oid),
    'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid)
  ) order by p.polname), '[]')
  from pg_policy as p
  where p.polrelid = c.oid`;

const grants = (acl: string, owner: string) => `
  select coalesce(jsonb_agg(jsonb_build_object(
    'grantee', coalesce(r.rolname, 'public'), 'privilege', x.privilege_type, 'grantable', x.is_grantable
  ) order by r.rolname, x.privilege_type), '[]')
  from aclexplode(${acl}) as x
  left join pg_roles as r on r.oid = x.grantee
  where x.grantee <> ${owner}`;

const TABLES = `
  select coalesce(jsonb_agg(jsonb_build_object(
    'id', format('%I.%I', n.nspname, c.relname), 'schema', n.nspname, 'name', c.relname,
    'partitioned', c.relkind = 'p', 'isPartition', c.relispartition, 'rows', c.reltuples,
    'parent', (select format('%I.%I', pn.nspname, pc.relname) from pg_inherits as h
      join pg_class as pc on pc.oid = h.inhparent join pg_namespace as pn on pn.oid = pc.relnamespace
      where h.inhrelid = c.oid limit 1),
    'rls', c.relrowsecurity, 'forced', c.relforcerowsecurity,
    'owner', o.rolname, 'ownerBypasses', o.rolbypassrls or o.rolsuper,
    'columns', (${COLUMNS}), 'constraints', (${CONSTRAINTS}), 'indexes', (${INDEXES}),
    'policies', (${POLICIES}), 'grants', (${grants("c.relacl", "c.relowner")}),
    'triggers', (select coalesce(jsonb_agg(t.tgname order by t.tgname), '[]') from pg_trigger as t
      where t.tgrelid = c.oid and not t.tgisinternal and t.tgname not like 'bulkhead\\_%')
  ) order by n.nspname, c.relname), '[]')
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  join pg_roles as o on o.oid = c.relowner
  where c.relkind in ('r', 'p') and c.relpersistence <> 't'
    and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and n.nspname <> all ($1)
    and not exists (select from pg_depend as d
      where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')`;

const ROUTINES = `
  select coalesce(jsonb_agg(jsonb_build_object(
    'id', f.oid::regprocedure::text, 'schema', n.nspname, 'name', f.proname, 'definer', f.prosecdef,
    'searchPath', exists (select from unnest(f.proconfig) as s where s like 'search\\_path=%'),
    'anon', coalesce((select has_function_privilege(r.oid, f.oid, 'execute') from pg_roles as r where r.rolname = 'anon'), false),
    'member', coalesce((select has_function_privilege(r.oid, f.oid, 'execute') from pg_roles as r where r.rolname = 'authenticated'), false),
    'body', case when f.prosecdef then lower(coalesce(pg_get_function_sqlbody(f.oid), f.prosrc)) else '' end,
    'trigger', f.prorettype in ('trigger'::regtype, 'event_trigger'::regtype),
    'volatility', f.provolatile,
    'grants', (${grants("coalesce(f.proacl, acldefault('f', f.proowner))", "f.proowner")})
  ) order by f.oid::regprocedure::text), '[]')
  from pg_proc as f
  join pg_namespace as n on n.oid = f.pronamespace
  where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and (n.nspname <> all ($1) or n.nspname = 'auth')
    and not exists (select from pg_depend as d
      where d.classid = 'pg_proc'::regclass and d.objid = f.oid and d.deptype = 'e')`;

const VIEWS = `
  select coalesce(jsonb_agg(jsonb_build_object(
    'id', format('%I.%I', n.nspname, c.relname), 'schema', n.nspname, 'materialized', c.relkind = 'm',
    'invoker', exists (select from pg_options_to_table(c.reloptions) as o
      where o.option_name = 'security_invoker' and o.option_value::boolean),
    'reachable', exists (select from pg_roles as r
      where r.rolname in ('anon', 'authenticated') and has_table_privilege(r.oid, c.oid, 'select, insert, update, delete')),
    'sources', (select coalesce(jsonb_agg(distinct format('%I.%I', sn.nspname, s.relname)), '[]')
      from pg_rewrite as w
      join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass
      join pg_class as s on s.oid = d.refobjid and s.oid <> c.oid
      join pg_namespace as sn on sn.oid = s.relnamespace
      where w.ev_class = c.oid)
  ) order by n.nspname, c.relname), '[]')
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where c.relkind in ('v', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and n.nspname <> all ($1)
    and not exists (select from pg_depend as d
      where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')`;

const KIT = `
  select jsonb_build_object(
    'tenantsTable', (select format('%I.%I', n.nspname, c.relname) from bulkhead.settings as s
      join pg_class as c on c.oid = s.tenants_table join pg_namespace as n on n.oid = c.relnamespace),
    'protected', (select coalesce(jsonb_agg(jsonb_build_object('id', format('%I.%I', n.nspname, c.relname), 'column', t.tenant_column)), '[]')
      from bulkhead.protected_tables as t
      join pg_class as c on c.oid = t.relation join pg_namespace as n on n.oid = c.relnamespace),
    'exempt', (select coalesce(jsonb_agg(format('%I.%I', n.nspname, c.relname)), '[]')
      from bulkhead.exempt_tables as t
      join pg_class as c on c.oid = t.relation join pg_namespace as n on n.oid = c.relnamespace),
    'serviceRoleClosed', (select s.service_role_closed_at is not null from bulkhead.settings as s)
  ) as kit`;

/**
 * Read what adoption needs to know from the catalogs: no table of yours is touched. The kit's own
 * declarations are read where it is installed; it need not be.
 *
 * @example
 * const catalog = await readCatalog(sql);
 */
export async function readCatalog(
  sql: Sql,
  options: { also?: readonly string[] } = {},
): Promise<Catalog> {
  let found: unknown;
  await sql.begin("isolation level repeatable read read only", async (tx) => {
    // Compiling such queries takes seconds, running them milliseconds; and names must come out qualified.
    await tx.unsafe("set local jit = off; set local search_path = pg_catalog").simple();
    const [row] = await tx.unsafe(
      `select current_database() as database, current_setting('server_version_num')::integer as version,
         (${TABLES}) as tables, (${ROUTINES}) as routines, (${VIEWS}) as views,
         to_regclass('bulkhead.protected_tables') is not null as installed`,
      [PLATFORM.filter((schema) => !options.also?.includes(schema))],
    );
    const kit = row?.["installed"] === true ? (await tx.unsafe(KIT))[0]?.["kit"] : null;
    found = { ...row, kit };
  });
  return catalogSchema.parse(found);
}
