/** Queries of {@link readBoundary} about relations and what hangs on them: each answers rows of one jsonb `thing`. */

/** Extensions bring their own objects; theirs are not the project's. */
export const notOfExtension = (catalog: string, oid: string): string =>
  `not exists (select from pg_depend as d
    where d.classid = '${catalog}'::regclass and d.objid = ${oid} and d.deptype = 'e')`;

/** Yours: outside the platform's schemas, or in one of them but not the platform's. $1 the schemas. */
export const ours = (schema: string, owner: string): string =>
  `(${schema}.nspname !~ '^pg_' and ${schema}.nspname not in ('information_schema', 'supabase_migrations', 'drizzle')
    and (${schema}.nspname <> all ($1) or (${owner} <> 10 and (select r.rolname from pg_roles as r where r.oid = ${owner}) !~ '^supabase_')))`;

const id = (schema: string, relation: string) => `format('%I.%I', ${schema}.nspname, ${relation})`;
const hash = (value: string) => `left(encode(sha256(convert_to(${value}, 'UTF8')), 'hex'), 32)`;

const RELATIONS = `
  select jsonb_build_object(
    'kind', case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table'
      when 'S' then 'sequence' else 'table' end,
    'on', '', 'name', ${id("n", "c.relname")}, 'owner', o.rolname
  ) || case
    when c.relkind in ('r', 'p') then jsonb_build_object(
      'rls', c.relrowsecurity, 'forced', c.relforcerowsecurity, 'unlogged', c.relpersistence = 'u',
      'partition', c.relispartition, 'partitioned', pg_get_partkeydef(c.oid),
      'replicaIdentity', case c.relreplident when 'd' then 'default' when 'f' then 'full' when 'n' then 'nothing'
        else (select 'index ' || x.relname from pg_index as i join pg_class as x on x.oid = i.indexrelid
          where i.indrelid = c.oid and i.indisreplident) end,
      'inherits', (select coalesce(jsonb_agg(${id("pn", "pc.relname")} order by h.inhseqno), '[]')
        from pg_inherits as h join pg_class as pc on pc.oid = h.inhparent
        join pg_namespace as pn on pn.oid = pc.relnamespace where h.inhrelid = c.oid))
    when c.relkind in ('v', 'm') then jsonb_build_object(
      'invoker', exists (select from pg_options_to_table(c.reloptions) as p
        where p.option_name = 'security_invoker' and p.option_value::boolean),
      'barrier', exists (select from pg_options_to_table(c.reloptions) as p
        where p.option_name = 'security_barrier' and p.option_value::boolean),
      'checkOption', (select p.option_value from pg_options_to_table(c.reloptions) as p where p.option_name = 'check_option'),
      'definition', ${hash("pg_get_viewdef(c.oid)")},
      'reads', (select coalesce(jsonb_agg(distinct ${id("sn", "s.relname")}), '[]')
        from pg_rewrite as w
        join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass
        join pg_class as s on s.oid = d.refobjid and s.oid <> c.oid
        join pg_namespace as sn on sn.oid = s.relnamespace
        where w.ev_class = c.oid))
    when c.relkind = 'f' then (select jsonb_build_object('server', s.srvname,
        'options', (select coalesce(jsonb_agg(p.option_name order by p.option_name), '[]') from pg_options_to_table(f.ftoptions) as p))
      from pg_foreign_table as f join pg_foreign_server as s on s.oid = f.ftserver where f.ftrelid = c.oid)
    else jsonb_build_object('unlogged', c.relpersistence = 'u',
      'increment', (select q.seqincrement::text from pg_sequence as q where q.seqrelid = c.oid),
      'cycle', (select q.seqcycle from pg_sequence as q where q.seqrelid = c.oid),
      'of', (select ${id("tn", "t.relname")} || '.' || quote_ident(a.attname)
      from pg_depend as d join pg_class as t on t.oid = d.refobjid join pg_namespace as tn on tn.oid = t.relnamespace
      join pg_attribute as a on a.attrelid = t.oid and a.attnum = d.refobjsubid
      where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_class'::regclass
        and d.deptype in ('a', 'i') limit 1))
  end as thing
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  join pg_roles as o on o.oid = c.relowner
  where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and c.relpersistence <> 't'
    and ${ours("n", "c.relowner")} and ${notOfExtension("pg_class", "c.oid")}`;

/** The relations of above, to hang things on. */
const OWN = `pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't'
    and ${ours("n", "c.relowner")} and ${notOfExtension("pg_class", "c.oid")}`;

const COLUMNS = `
  select jsonb_build_object(
    'kind', 'column', 'on', ${id("n", "c.relname")}, 'name', a.attname,
    'type', format_type(a.atttypid, a.atttypmod), 'notNull', a.attnotnull,
    'default', case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end,
    'generated', case when a.attgenerated <> '' then pg_get_expr(d.adbin, d.adrelid) end,
    'identity', case a.attidentity when 'a' then 'always' when 'd' then 'by default' end,
    'collation', (select l.collname from pg_collation as l join pg_type as t on t.oid = a.atttypid
      where l.oid = a.attcollation and a.attcollation <> t.typcollation)
  ) as thing
  from ${OWN} and c.relkind in ('r', 'p', 'f')
  join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum`;

const names = (relation: string, numbers: string) =>
  `coalesce((select jsonb_agg(a.attname order by k.n) from unnest(${numbers}) with ordinality as k (attnum, n)
    join pg_attribute as a on a.attrelid = ${relation} and a.attnum = k.attnum), '[]')`;
const action = (code: string) =>
  `case ${code} when 'a' then 'no action' when 'r' then 'restrict' when 'c' then 'cascade' when 'n' then 'set null' when 'd' then 'set default' end`;

const CONSTRAINTS = `
  select jsonb_build_object(
    'kind', 'constraint', 'on', ${id("n", "c.relname")}, 'name', o.conname,
    'type', case o.contype when 'p' then 'primary key' when 'u' then 'unique' when 'f' then 'foreign key'
      when 'c' then 'check' when 'x' then 'exclude' else o.contype::text end,
    'columns', ${names("o.conrelid", "o.conkey")},
    'deferrable', o.condeferrable, 'deferred', o.condeferred, 'validated', o.convalidated,
    'enforced', coalesce((to_jsonb(o) ->> 'conenforced')::boolean, true) and not exists (
      select from pg_trigger as t where t.tgconstraint = o.oid and t.tgisinternal and t.tgenabled in ('D', 'R'))
  ) || case when o.contype = 'f' then jsonb_build_object(
    'parent', (select ${
  id("pn", "pc.relname")
} from pg_class as pc join pg_namespace as pn on pn.oid = pc.relnamespace where pc.oid = o.confrelid),
    'parentColumns', ${names("o.confrelid", "o.confkey")},
    'onDelete', ${action("o.confdeltype")}, 'onUpdate', ${action("o.confupdtype")},
    'onDeleteColumns', ${names("o.conrelid", "o.confdelsetcols")},
    'match', case o.confmatchtype when 'f' then 'full' else 'simple' end)
  else jsonb_build_object('definition', pg_get_constraintdef(o.oid), 'noInherit', o.connoinherit and o.contype = 'c') end as thing
  from ${OWN}
  join pg_constraint as o on o.conrelid = c.oid and o.contype in ('p', 'u', 'f', 'c', 'x')`;

const INDEXES = `
  select jsonb_build_object(
    'kind', 'index', 'on', ${
  id("n", "c.relname")
}, 'name', x.relname, 'unique', i.indisunique, 'valid', i.indisvalid,
    'columns', (select coalesce(jsonb_agg(coalesce(a.attname, '') order by k.n), '[]')
      from generate_series(0, i.indnkeyatts - 1) as k (n)
      left join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[k.n] and a.attnum > 0),
    'keys', (select coalesce(jsonb_agg(pg_get_indexdef(i.indexrelid, k.n, false) order by k.n), '[]')
      from generate_series(1, i.indnkeyatts) as k (n)),
    'predicate', pg_get_expr(i.indpred, i.indrelid),
    'nullsNotDistinct', coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false)
  ) as thing
  from ${OWN}
  join pg_index as i on i.indrelid = c.oid and i.indisunique
  join pg_class as x on x.oid = i.indexrelid and not x.relispartition
  where not exists (select from pg_constraint as k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))`;

/** Wherever the table is: a policy on storage.objects or a trigger on auth.users is the project's. $2: not there. */
const ANYWHERE =
  `pg_class as c join pg_namespace as n on n.oid = c.relnamespace and n.nspname !~ '^pg_'
    and n.nspname <> all ($2) and c.relpersistence <> 't' and ${
    notOfExtension("pg_class", "c.oid")
  }`;

const POLICIES = `
  select jsonb_build_object(
    'kind', 'policy', 'on', ${
  id("n", "c.relname")
}, 'name', p.polname, 'permissive', p.polpermissive,
    'command', case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
    'roles', (select jsonb_agg(coalesce(r.rolname, 'public') order by coalesce(r.rolname, 'public'))
      from unnest(p.polroles) as o (oid) left join pg_roles as r on r.oid = o.oid),
    'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid)
  ) as thing
  from ${ANYWHERE}
  join pg_policy as p on p.polrelid = c.oid`;

const TRIGGERS = `
  select jsonb_build_object(
    'kind', 'trigger', 'on', ${id("n", "c.relname")}, 'name', t.tgname,
    'timing', case when t.tgtype::integer & 64 <> 0 then 'instead of' when t.tgtype::integer & 2 <> 0 then 'before' else 'after' end,
    'level', case when t.tgtype::integer & 1 <> 0 then 'row' else 'statement' end,
    'events', to_jsonb(array_remove(array[
      case when t.tgtype::integer & 4 <> 0 then 'insert' end, case when t.tgtype::integer & 16 <> 0 then 'update' end,
      case when t.tgtype::integer & 8 <> 0 then 'delete' end, case when t.tgtype::integer & 32 <> 0 then 'truncate' end], null)),
    'columns', ${names("c.oid", "t.tgattr::smallint[]")},
    'when', substring(pg_get_triggerdef(t.oid, false) from ' WHEN \\((.*)\\) EXECUTE '),
    'function', t.tgfoid::regprocedure::text,
    'arguments', case when t.tgnargs > 0 then left(encode(sha256(t.tgargs), 'hex'), 32) end,
    'transition', to_jsonb(array_remove(array[t.tgoldtable::text, t.tgnewtable::text], null)),
    'deferrable', t.tgdeferrable,
    'enabled', case t.tgenabled when 'O' then 'origin' when 'A' then 'always' when 'R' then 'replica' else 'disabled' end
  ) as thing
  from ${ANYWHERE}
  join pg_trigger as t on t.tgrelid = c.oid and not t.tgisinternal
  join pg_proc as f on f.oid = t.tgfoid
  join pg_namespace as fn on fn.oid = f.pronamespace
  where (${ours("n", "c.relowner")} or ${ours("fn", "f.proowner")})`;

const RULES = `
  select jsonb_build_object(
    'kind', 'rule', 'on', ${id("n", "c.relname")}, 'name', w.rulename,
    'event', case w.ev_type when '2' then 'update' when '3' then 'insert' when '4' then 'delete' else 'select' end,
    'instead', w.is_instead, 'definition', ${hash("pg_get_ruledef(w.oid)")},
    'enabled', case w.ev_enabled when 'O' then 'origin' when 'A' then 'always' when 'R' then 'replica' else 'disabled' end
  ) as thing
  from ${OWN}
  join pg_rewrite as w on w.ev_class = c.oid and w.rulename <> '_RETURN'`;

/** RLS and the API's rights on what is the platform's own. $3 its schemas. */
const PLATFORM_TABLES = `
  select jsonb_build_object(
    'kind', 'platform', 'on', '', 'name', ${id("n", "c.relname")}, 'rls', c.relrowsecurity,
    'grants', (select coalesce(jsonb_agg(g.one order by g.one), '[]') from (
      select distinct coalesce(r.rolname, 'public') || ' ' || x.privilege_type as one
      from (
        select c.relacl as acl
        union all
        -- A right on one column shows that column.
        select a.attacl from pg_attribute as a where a.attrelid = c.oid and a.attacl is not null
      ) as held
      cross join lateral aclexplode(held.acl) as x left join pg_roles as r on r.oid = x.grantee
      where coalesce(r.rolname, 'public') in ('public', 'anon', 'authenticated')) as g)
  ) as thing
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where n.nspname = any ($3) and c.relkind in ('r', 'p', 'v') and not ${ours("n", "c.relowner")}
  union all
  select jsonb_build_object(
    'kind', 'platform', 'on', '', 'name', 'schema ' || quote_ident(n.nspname),
    'grants', (select coalesce(jsonb_agg(g.one order by g.one), '[]') from (
      select distinct coalesce(r.rolname, 'public') || ' ' || x.privilege_type as one
      from aclexplode(n.nspacl) as x left join pg_roles as r on r.oid = x.grantee
      where coalesce(r.rolname, 'public') in ('public', 'anon', 'authenticated')) as g))
  from pg_namespace as n
  where n.nspname = any ($1)`;

export const RELATION_QUERIES: readonly string[] = [
  RELATIONS,
  COLUMNS,
  CONSTRAINTS,
  INDEXES,
  POLICIES,
  TRIGGERS,
  RULES,
  PLATFORM_TABLES,
];
