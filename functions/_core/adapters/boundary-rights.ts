import { notOfExtension, ours } from "./boundary-relations.ts";

/** Queries of {@link readBoundary} about roles, rights, settings, code and replication. */

const ROLES = `
  select jsonb_build_object(
    'kind', 'role', 'on', '', 'name', r.rolname, 'superuser', r.rolsuper, 'bypassrls', r.rolbypassrls,
    'login', r.rolcanlogin, 'inherit', r.rolinherit, 'createrole', r.rolcreaterole, 'createdb', r.rolcreatedb,
    'replication', r.rolreplication) as thing
  from pg_roles as r
  where r.rolname !~ '^pg_'`;

/** Before 16 a membership inherits as its member does, and may always be assumed. */
const MEMBERSHIPS = `
  select jsonb_build_object(
    'kind', 'membership', 'on', g.rolname, 'name', m.rolname, 'admin', bool_or(x.admin_option),
    'inherit', bool_or(coalesce((to_jsonb(x) ->> 'inherit_option')::boolean, m.rolinherit)),
    'set', bool_or(coalesce((to_jsonb(x) ->> 'set_option')::boolean, true))) as thing
  from pg_auth_members as x
  join pg_roles as g on g.oid = x.roleid
  join pg_roles as m on m.oid = x.member
  where m.rolname !~ '^pg_'
  group by g.rolname, m.rolname`;

const SETTINGS = `
  select jsonb_build_object(
    'kind', 'setting', 'name', split_part(s.line, '=', 1), 'value', substr(s.line, strpos(s.line, '=') + 1),
    'on', case when x.setrole = 0 then 'database' when x.setdatabase = 0 then 'role ' || r.rolname
      else 'role ' || r.rolname || ' in this database' end) as thing
  from pg_db_role_setting as x
  left join pg_roles as r on r.oid = x.setrole
  cross join lateral unnest(x.setconfig) as s (line)
  where x.setdatabase in (0, (select d.oid from pg_database as d where d.datname = current_database()))`;

const DATABASE = `
  select jsonb_build_object('kind', 'database', 'on', '', 'name', 'this database', 'owner', pg_get_userbyid(d.datdba)) as thing
  from pg_database as d where d.datname = current_database()
  union all
  select jsonb_build_object('kind', 'schema', 'on', '', 'name', quote_ident(n.nspname), 'owner', pg_get_userbyid(n.nspowner))
  from pg_namespace as n
  where n.nspname <> all ($1) and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and ${
  notOfExtension("pg_namespace", "n.oid")
}`;

/** One line an object and grantee; `*` is the right to pass it on. What an owner may do goes without saying. */
const acl = (object: string, from: string, value: string, owner: string, where: string) => `
  select jsonb_build_object(
    'kind', 'grant', 'on', q.object, 'name', q.grantee, 'privileges', jsonb_agg(distinct q.privilege)) as thing
  from (
    select ${object} as object, coalesce(r.rolname, 'public') as grantee,
      x.privilege_type || case when x.is_grantable then '*' else '' end as privilege
    from ${from}
    cross join lateral aclexplode(${value}) as x
    left join pg_roles as r on r.oid = x.grantee
    where x.grantee <> ${owner} and ${where}
  ) as q
  group by q.object, q.grantee`;

const IN_SCHEMA = "join pg_namespace as n on n.oid = ";
const RIGHTS = [
  acl(
    `case c.relkind when 'S' then 'sequence ' when 'v' then 'view ' when 'm' then 'materialized view ' when 'f' then 'foreign table ' else 'table ' end || format('%I.%I', n.nspname, c.relname)`,
    `pg_class as c ${IN_SCHEMA} c.relnamespace`,
    `c.relacl`,
    "c.relowner",
    `c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and ${ours("n", "c.relowner")} and ${
      notOfExtension("pg_class", "c.oid")
    }`,
  ),
  acl(
    `'column ' || format('%I.%I.%I', n.nspname, c.relname, a.attname)`,
    `pg_attribute as a join pg_class as c on c.oid = a.attrelid and not a.attisdropped ${IN_SCHEMA} c.relnamespace`,
    "a.attacl",
    "c.relowner",
    `${ours("n", "c.relowner")} and ${notOfExtension("pg_class", "c.oid")}`,
  ),
  acl(
    `'function ' || f.oid::regprocedure::text`,
    `pg_proc as f ${IN_SCHEMA} f.pronamespace`,
    `coalesce(f.proacl, acldefault('f', f.proowner))`,
    "f.proowner",
    `${ours("n", "f.proowner")} and ${notOfExtension("pg_proc", "f.oid")}`,
  ),
  acl(
    `'schema ' || quote_ident(n.nspname)`,
    "pg_namespace as n",
    `n.nspacl`,
    "n.nspowner",
    `n.nspname <> all ($1) and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and ${
      notOfExtension("pg_namespace", "n.oid")
    }`,
  ),
  acl(
    `'database'`,
    "pg_database as b",
    `coalesce(b.datacl, acldefault('d', b.datdba))`,
    "b.datdba",
    `b.datname = current_database()`,
  ),
  acl(
    `'language ' || l.lanname`,
    "pg_language as l",
    "coalesce(l.lanacl, acldefault('l', l.lanowner))",
    "l.lanowner",
    "not l.lanpltrusted and l.lanispl",
  ),
  acl(`'foreign server ' || s.srvname`, "pg_foreign_server as s", "s.srvacl", "s.srvowner", "true"),
  acl(
    `'foreign data wrapper ' || w.fdwname`,
    "pg_foreign_data_wrapper as w",
    "w.fdwacl",
    "w.fdwowner",
    "true",
  ),
  acl(`'parameter ' || p.parname`, "pg_parameter_acl as p", "p.paracl", "10", "true"),
];

/** What tomorrow's objects are given; functions are everybody's unless somebody said otherwise. */
const DEFAULTS = `
  select jsonb_build_object(
    'kind', 'default privilege',
    'on', q.objects || coalesce(' in schema ' || quote_ident(n.nspname), '') || ' of ' || o.rolname,
    'name', coalesce(r.rolname, 'public'),
    'privileges', jsonb_agg(distinct x.privilege_type || case when x.is_grantable then '*' else '' end)) as thing
  from (
    select e.defaclrole as role, e.defaclnamespace as schema, e.defaclacl as acl,
      case e.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions'
        when 'T' then 'types' when 'n' then 'schemas' else e.defaclobjtype::text end as objects
    from pg_default_acl as e
    union all
    select b.oid, 0, acldefault('f', b.oid), 'functions' from pg_roles as b
    where b.rolname = 'postgres' and not exists (
      select from pg_default_acl as e where e.defaclrole = b.oid and e.defaclnamespace = 0 and e.defaclobjtype = 'f')
  ) as q
  join pg_roles as o on o.oid = q.role
  left join pg_namespace as n on n.oid = q.schema
  cross join lateral aclexplode(q.acl) as x
  left join pg_roles as r on r.oid = x.grantee
  where x.grantee <> q.role and q.objects <> 'types'
    and (n.nspname is null or n.nspname <> all ($1)) and (o.oid <> 10 or o.rolname = 'postgres') and o.rolname !~ '^supabase_'
  group by q.objects, n.nspname, o.rolname, coalesce(r.rolname, 'public')`;

/** 'source' does not leave the reader: it is hashed and looked at there. */
const FUNCTIONS = `
  select jsonb_build_object(
    'kind', 'function', 'on', '', 'name', f.oid::regprocedure::text, 'owner', pg_get_userbyid(f.proowner),
    'type', case f.prokind when 'a' then 'aggregate' when 'p' then 'procedure' when 'w' then 'window' else 'function' end,
    'language', l.lanname, 'definer', f.prosecdef, 'leakproof', f.proleakproof, 'strict', f.proisstrict,
    'volatility', case f.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
    'parallel', case f.proparallel when 's' then 'safe' when 'r' then 'restricted' else 'unsafe' end,
    'returns', coalesce(pg_get_function_result(f.oid), ''),
    'arguments', left(encode(sha256(convert_to(pg_get_function_arguments(f.oid), 'UTF8')), 'hex'), 32),
    'settings', coalesce((select jsonb_agg(s order by s) from unnest(f.proconfig) as s), '[]'),
    'source', coalesce(pg_get_function_sqlbody(f.oid), f.prosrc) || coalesce(f.probin, '')) as thing
  from pg_proc as f
  join pg_namespace as n on n.oid = f.pronamespace
  join pg_language as l on l.oid = f.prolang
  where ${ours("n", "f.proowner")} and ${notOfExtension("pg_proc", "f.oid")}`;

const OTHERS = [
  `select jsonb_build_object('kind', 'domain', 'on', '', 'name', format('%I.%I', n.nspname, t.typname),
     'type', format_type(t.typbasetype, t.typtypmod), 'notNull', t.typnotnull, 'default', t.typdefault,
     'checks', (select coalesce(jsonb_agg(pg_get_constraintdef(k.oid) order by k.conname), '[]')
       from pg_constraint as k where k.contypid = t.oid and k.contype = 'c')) as thing
   from pg_type as t join pg_namespace as n on n.oid = t.typnamespace
   where t.typtype = 'd' and ${ours("n", "t.typowner")} and ${notOfExtension("pg_type", "t.oid")}`,
  `select jsonb_build_object('kind', 'operator', 'on', '', 'name', o.oid::regoperator::text,
     'function', o.oprcode::regprocedure::text) as thing
   from pg_operator as o join pg_namespace as n on n.oid = o.oprnamespace
   where ${ours("n", "o.oprowner")} and ${notOfExtension("pg_operator", "o.oid")}`,
  `select jsonb_build_object('kind', 'cast', 'on', '',
     'name', format_type(c.castsource, null) || ' as ' || format_type(c.casttarget, null),
     'function', c.castfunc::regprocedure::text, 'context', c.castcontext) as thing
   from pg_cast as c where c.oid >= 16384 and ${notOfExtension("pg_cast", "c.oid")}`,
  `select jsonb_build_object('kind', 'language', 'on', '', 'name', l.lanname, 'trusted', l.lanpltrusted) as thing
   from pg_language as l where l.lanispl and l.lanname <> 'plpgsql'`,
  `select jsonb_build_object('kind', 'extension', 'on', '', 'name', e.extname, 'schema', quote_ident(n.nspname)) as thing
   from pg_extension as e join pg_namespace as n on n.oid = e.extnamespace`,
  `select jsonb_build_object('kind', 'event trigger', 'on', '', 'name', e.evtname, 'event', e.evtevent,
     'function', e.evtfoid::regprocedure::text, 'tags', coalesce(to_jsonb(e.evttags), '[]'),
     'enabled', case e.evtenabled when 'O' then 'origin' when 'A' then 'always' when 'R' then 'replica' else 'disabled' end) as thing
   from pg_event_trigger as e join pg_roles as o on o.oid = e.evtowner
   join pg_proc as f on f.oid = e.evtfoid join pg_namespace as n on n.oid = f.pronamespace
   where (o.rolname !~ '^supabase_' or ${ours("n", "f.proowner")}) and ${
    notOfExtension("pg_event_trigger", "e.oid")
  }`,
  `select jsonb_build_object('kind', 'foreign data wrapper', 'on', '', 'name', w.fdwname, 'owner', pg_get_userbyid(w.fdwowner)) as thing
   from pg_foreign_data_wrapper as w where ${notOfExtension("pg_foreign_data_wrapper", "w.oid")}`,
  `select jsonb_build_object('kind', 'foreign server', 'on', '', 'name', s.srvname, 'owner', pg_get_userbyid(s.srvowner),
     'wrapper', w.fdwname, 'options', (select coalesce(jsonb_agg(p.option_name order by p.option_name), '[]') from pg_options_to_table(s.srvoptions) as p)) as thing
   from pg_foreign_server as s join pg_foreign_data_wrapper as w on w.oid = s.srvfdw`,
  `select jsonb_build_object('kind', 'user mapping', 'on', m.srvname, 'name', m.usename) as thing from pg_user_mappings as m`,
  `select jsonb_build_object('kind', 'publication', 'on', '', 'name', p.pubname, 'allTables', p.puballtables,
     'operations', to_jsonb(array_remove(array[case when p.pubinsert then 'insert' end, case when p.pubupdate then 'update' end,
       case when p.pubdelete then 'delete' end, case when p.pubtruncate then 'truncate' end], null)),
     'viaRoot', p.pubviaroot, 'owner', pg_get_userbyid(p.pubowner)) as thing
   from pg_publication as p`,
  `select jsonb_build_object('kind', 'publication member', 'on', p.pubname, 'name', format('%I.%I', n.nspname, c.relname),
     'filter', pg_get_expr(x.prqual, x.prrelid),
     'columns', (select coalesce(jsonb_agg(a.attname order by a.attnum), '[]') from pg_attribute as a
       where a.attrelid = c.oid and a.attnum = any (x.prattrs::smallint[]))) as thing
   from pg_publication_rel as x join pg_publication as p on p.oid = x.prpubid
   join pg_class as c on c.oid = x.prrelid join pg_namespace as n on n.oid = c.relnamespace
   union all
   select jsonb_build_object('kind', 'publication member', 'on', p.pubname, 'name', 'schema ' || quote_ident(n.nspname))
   from pg_publication_namespace as x join pg_publication as p on p.oid = x.pnpubid
   join pg_namespace as n on n.oid = x.pnnspid`,
  `select jsonb_build_object('kind', 'subscription', 'on', '', 'name', s.subname, 'enabled', s.subenabled) as thing
   from pg_subscription as s where s.subdbid = (select d.oid from pg_database as d where d.datname = current_database())`,
];

export const RIGHT_QUERIES: readonly string[] = [
  DATABASE,
  ROLES,
  MEMBERSHIPS,
  SETTINGS,
  ...RIGHTS,
  DEFAULTS,
  FUNCTIONS,
  ...OTHERS,
];

/** What the kit was told, where it is installed. */
export const KIT_QUERIES: readonly string[] = [
  `select jsonb_build_object('kind', 'protected table', 'on', '', 'name', case when c.oid is null then format('%I.%I', t.schema_name, t.table_name) else format('%I.%I', n.nspname, c.relname) end,
     'column', t.tenant_column, 'type', t.tenant_type::text, 'key', to_jsonb(t.key_columns), 'isTenants', t.is_tenants_table,
     'as', format('%I.%I', t.schema_name, t.table_name), 'declared', t.declared ? 'policies', 'exists', c.oid is not null) as thing
   from bulkhead.protected_tables as t
   left join pg_class as c on c.oid = t.relation left join pg_namespace as n on n.oid = c.relnamespace`,
  `select jsonb_build_object('kind', 'exempt table', 'on', '', 'name', case when c.oid is null then format('%I.%I', t.schema_name, t.table_name) else format('%I.%I', n.nspname, c.relname) end,
     'reason', t.reason) as thing
   from bulkhead.exempt_tables as t
   left join pg_class as c on c.oid = t.relation left join pg_namespace as n on n.oid = c.relnamespace`,
  `select jsonb_build_object('kind', 'kit setting', 'on', '', 'name', e.key,
     'value', case jsonb_typeof(e.value) when 'array' then (select coalesce(jsonb_agg(v order by v), '[]') from jsonb_array_elements_text(e.value) as v)
       else e.value end) as thing
   from bulkhead.settings as s cross join lateral jsonb_each(to_jsonb(s)) as e
   where e.key not in ('is_singleton', 'configured_at')`,
  `select jsonb_build_object('kind', 'kit job', 'on', 'timetable', 'name', j.name, 'schedule', j.schedule, 'command', j.command) as thing
   from bulkhead.jobs as j`,
];

/** What pg_cron will run of the kit's. */
export const CRON_QUERY: string =
  `select jsonb_build_object('kind', 'kit job', 'on', 'pg_cron', 'name', j.jobname,
     'schedule', j.schedule, 'command', j.command, 'active', j.active, 'role', j.username) as thing
   from cron.job as j where j.jobname like 'bulkhead:%'`;
