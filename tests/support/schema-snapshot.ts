import type postgres from "postgres";

/** The schemas whose shape is committed. */
const SCHEMAS = ["bulkhead", "bulkhead_api"];

/**
 * What the migrations add up to, one line a fact, in an order that does not depend on the server: objects, columns,
 * constraints, indexes, triggers, policies, grants and the attributes of functions (bodies are in the migrations).
 * Partitions are left out, since their names hold the current month.
 *
 * @example
 * writeFileSync("tests/support/schema.snapshot.txt", await schemaSnapshot(sql));
 */
export async function schemaSnapshot(sql: postgres.Sql): Promise<string> {
  await sql`set search_path = ''`;
  const rows = await sql<{ line: string }[]>`
    with relations as (
      select c.oid, n.nspname || '.' || c.relname as name, c.relkind, c.relacl, c.relowner, c.relrowsecurity,
        c.relforcerowsecurity, c.reloptions, c.relpersistence
      from pg_catalog.pg_class as c
      join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
      where n.nspname = any (${SCHEMAS}) and not c.relispartition and c.relkind in ('r', 'p', 'v', 'm', 'S', 'c')
        and not (c.relkind = 'S' and exists (
          select 1 from pg_catalog.pg_depend as d where d.objid = c.oid and d.deptype = 'i'
        ))
    ),
    functions as (
      select p.*, p.oid::regprocedure::text as name
      from pg_catalog.pg_proc as p
      where p.pronamespace = any (${SCHEMAS}::regnamespace[])
    ),
    grants as (
      select 'relation ' || name as subject, acl.*
      from relations, pg_catalog.aclexplode(coalesce(
        relacl, pg_catalog.acldefault(case when relkind = 'S' then 's' else 'r' end::"char", relowner)
      )) as acl
      where relkind <> 'c' and acl.grantee <> relowner
      union all
      select 'function ' || name, acl.*
      from functions, pg_catalog.aclexplode(coalesce(proacl, pg_catalog.acldefault('f', proowner))) as acl
      where acl.grantee <> proowner
      union all
      select 'schema ' || nspname, acl.*
      from pg_catalog.pg_namespace, pg_catalog.aclexplode(nspacl) as acl
      where nspname = any (${SCHEMAS}) and acl.grantee <> nspowner
    )
    select line from (
      select format(
        '%s %s owner %s%s%s%s%s',
        case relkind
          when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view' when 'S' then 'sequence'
          when 'm' then 'materialized view' else 'type'
        end, name, relowner::regrole,
        case when relpersistence = 'u' then ' unlogged' else '' end,
        case when relrowsecurity then ' rls' else '' end,
        case when relforcerowsecurity then ' forced' else '' end,
        coalesce(' with ' || array_to_string(reloptions, ', '), '')
      ) as line
      from relations
      union all
      select format(
        'column %s.%s %s%s%s%s%s', r.name, a.attname, format_type(a.atttypid, a.atttypmod),
        case when a.attnotnull then ' not null' else '' end,
        case when a.attidentity <> '' then ' identity' else '' end,
        case when a.attgenerated <> '' then ' generated' else '' end,
        coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
      )
      from relations as r
      join pg_catalog.pg_attribute as a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
      left join pg_catalog.pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where r.relkind <> 'S'
      union all
      select format('constraint %s.%s %s', r.name, c.conname, pg_get_constraintdef(c.oid))
      from relations as r
      join pg_catalog.pg_constraint as c on c.conrelid = r.oid and c.contype <> 'n'
      union all
      select format('index %s', pg_get_indexdef(i.indexrelid))
      from relations as r
      join pg_catalog.pg_index as i on i.indrelid = r.oid
      union all
      select format('trigger %s enabled %s: %s', r.name, t.tgenabled, pg_get_triggerdef(t.oid))
      from relations as r
      join pg_catalog.pg_trigger as t on t.tgrelid = r.oid and not t.tgisinternal
      union all
      select format(
        'policy %s.%s %s %s to %s using (%s) check (%s)', r.name, p.polname,
        case when p.polpermissive then 'permissive' else 'restrictive' end, p.polcmd,
        (select string_agg(coalesce(nullif(member, 0)::regrole::text, 'public'), ', ' order by 1)
         from unnest(p.polroles) as member),
        pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
      )
      from relations as r
      join pg_catalog.pg_policy as p on p.polrelid = r.oid
      union all
      select format(
        'function %s returns %s language %s %s %s owner %s%s', f.name, pg_get_function_result(f.oid), l.lanname,
        case f.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
        case when f.prosecdef then 'definer' else 'invoker' end, f.proowner::regrole,
        coalesce(' set ' || array_to_string(f.proconfig, ', '), '')
      )
      from functions as f
      join pg_catalog.pg_language as l on l.oid = f.prolang
      union all
      select format(
        'grant %s on %s to %s', string_agg(privilege_type, ', ' order by privilege_type), subject,
        case when grantee = 0 then 'public' else grantee::regrole::text end
      )
      from grants
      group by subject, grantee
      union all
      select format('job %s %s: %s', jobname, schedule, command)
      from cron.job
      where database = current_database()
    ) as facts
    order by line collate "C"
  `;
  return rows.map(({ line }) => `${line}\n`).join("");
}
