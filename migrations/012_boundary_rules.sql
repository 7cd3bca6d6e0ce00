-- Rules of the boundary: tables, columns, keys, policies, grants, roles, replication, code.
-- Public objects: view bulkhead.surroundings. One offences_of_<subject>() a subject; 014 has the rest and checks_boundary().
-- Never: believes an attestation or an exemption about a structural hole.
-- No security definer functions.

create function bulkhead.is_dangerous_setting(name text, value text)
returns boolean
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when name = 'session_replication_role' then value <> 'origin'
        when name = 'row_security' then value in ('off', 'false', 'no', '0')
        when name = 'pgrst.db_schemas' then value ~ '(^|[ ,"])bulkhead([ ,"]|$)'
        when name = 'pgrst.db_anon_role' then trim(both ' "' from value) not in ('', 'anon')
        -- PostgREST takes the role from this claim; what users write about themselves must not name it.
        when name = 'pgrst.jwt_role_claim_key' then value ~* 'user_?meta'
        when name = 'event_triggers' then value in ('off', 'false', 'no', '0')
        when name = 'role' then value <> 'none'
        when name = 'lo_compat_privileges' then value in ('on', 'true', 'yes', '1')
        when name ~ '^(bulkhead|request)\.' then value <> ''
        else name ~ '\.' and name ~* '(tenant|\mteam|_team|\morg|_org|organi[sz]ation|workspace|\maccount|_account)(_?(id|key))?$' and value <> ''
    end
$$;
comment on function bulkhead.is_dangerous_setting(text, text) is
    'Whether a setting pinned to a role, a database or a function switches protection off or names a tenant';
revoke all on function bulkhead.is_dangerous_setting(text, text) from public;

-- What lies around the tables and is right or wrong only in comparison: default privileges and search paths.
create view bulkhead.surroundings
with (security_invoker = true)
as
select
    'default' as kind,
    format('default:%s:%s:%s:%s:%s:%s', owner.rolname, namespace.nspname, defaults.defaclobjtype, grantee.rolname, acl.privilege_type, acl.is_grantable) as fact,
    format('%s in %s', kinds.plural, coalesce(namespace.nspname, 'every schema')) as subject,
    format(
        'What %s creates is given to %s: %s%s', owner.rolname, coalesce(grantee.rolname, 'everybody'), lower(acl.privilege_type),
        case when acl.is_grantable then ' with grant option' else '' end
    ) as detail,
    format(
        'alter default privileges for role %I%s revoke %s on %s from %s;', owner.rolname, coalesce(' in schema ' || quote_ident(namespace.nspname), ''),
        lower(acl.privilege_type), kinds.plural, coalesce(quote_ident(grantee.rolname), 'public')
    ) as remediation
from pg_catalog.pg_default_acl as defaults
cross join lateral aclexplode(defaults.defaclacl) as acl
join pg_catalog.pg_roles as owner on owner.oid = defaults.defaclrole
left join pg_catalog.pg_roles as grantee on grantee.oid = acl.grantee
left join pg_catalog.pg_namespace as namespace on namespace.oid = defaults.defaclnamespace
cross join lateral (
    select case defaults.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' when 'T' then 'types' else 'schemas' end as plural
) as kinds
where acl.grantee <> defaults.defaclrole
    and (acl.grantee = 0 or coalesce(pg_has_role(to_regrole('anon')::oid, acl.grantee, 'usage'), false) or acl.is_grantable or namespace.nspname in ('bulkhead', 'bulkhead_api'))
    -- What Postgres gives everybody anyway.
    and not (defaults.defaclnamespace = 0 and acl.grantee = 0 and defaults.defaclobjtype in ('f', 'T'))
    and (
        defaults.defaclnamespace = 0
        or namespace.nspname in ('bulkhead', 'bulkhead_api')
        or namespace.oid in (select served.oid from bulkhead.exposed_schemas as served)
    )
union all
select
    'setting',
    format('setting:%s:%s:%s', held.setdatabase <> 0, role.rolname, case when entry.text like 'pgrst.jwt_secret=%' then md5(entry.text) else entry.text end),
    concat_ws(' ', case when held.setdatabase <> 0 then 'database' end, role.rolname, split_part(entry.text, '=', 1)),
    case
        when entry.text like 'pgrst.jwt_secret=%' then 'It was set after the kit looked last: whoever can connect reads it in the catalogs and signs tokens with it'
        else format('It was set to %s after the kit looked last', substr(entry.text, strpos(entry.text, '=') + 1))
    end,
    case
        when role.oid is null and held.setdatabase = 0 then format('alter role all reset %s;', split_part(entry.text, '=', 1))
        when role.oid is null then format('alter database %I reset %s;', current_database(), split_part(entry.text, '=', 1))
        when held.setdatabase <> 0 then format('alter role %I in database %I reset %s;', role.rolname, current_database(), split_part(entry.text, '=', 1))
        else format('alter role %I reset %s;', role.rolname, split_part(entry.text, '=', 1))
    end
from pg_catalog.pg_db_role_setting as held
left join pg_catalog.pg_roles as role on role.oid = held.setrole
cross join bulkhead.settings as settings
cross join lateral unnest(held.setconfig) as entry (text)
where held.setdatabase in (0, (select d.oid from pg_catalog.pg_database as d where d.datname = current_database()))
    and (
        role.oid is null
        or role.rolname = any (settings.platform_roles)
        or role.rolname in (select request.rolname from bulkhead.request_roles as request)
    )
    and split_part(entry.text, '=', 1) in (
        'search_path', 'pgrst.db_pre_request', 'pgrst.db_extra_search_path', 'pgrst.jwt_secret', 'pgrst.jwt_role_claim_key', 'local_preload_libraries', 'session_preload_libraries'
    )
union all
select
    'event trigger',
    format('event trigger:%s:%s:%s:%s', event_trigger.evtname, event_trigger.evtenabled, event_trigger.evtevent, md5(proc.prosrc)),
    event_trigger.evtname,
    format('It runs %s at each %s, after the kit looked last', proc.oid::regprocedure, event_trigger.evtevent),
    format('drop event trigger %I;', event_trigger.evtname)
from pg_catalog.pg_event_trigger as event_trigger
join pg_catalog.pg_proc as proc on proc.oid = event_trigger.evtfoid
join pg_catalog.pg_namespace as namespace on namespace.oid = proc.pronamespace
where event_trigger.evtenabled <> 'D'
    and namespace.nspname !~ '^pg_'
    and namespace.nspname <> all (bulkhead.platform_schemas());
comment on view bulkhead.surroundings is
    'Default privileges that open new objects, search paths and hooks of roles, event triggers: right or wrong only beside what was declared';
revoke all on bulkhead.surroundings from public, anon, authenticated, service_role;

create table bulkhead.declared_surroundings (
    fact text primary key,
    declared_at timestamptz not null default now()
);
comment on table bulkhead.declared_surroundings is
    'The surroundings as they were at installation or at the last attestation, less what was taken away since';
alter table bulkhead.declared_surroundings enable row level security;
revoke all on bulkhead.declared_surroundings from public, anon, authenticated, service_role;

create function bulkhead.declare_surroundings(accept boolean default false)
returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    delete from bulkhead.declared_surroundings as was
    where not exists (select from bulkhead.surroundings as now_ where now_.fact = was.fact);
    insert into bulkhead.declared_surroundings (fact)
    select distinct now_.fact
    from bulkhead.surroundings as now_
    where declare_surroundings.accept
    on conflict do nothing;
$$;
comment on function bulkhead.declare_surroundings(boolean) is
    'Forgets what is gone, so that it cannot come back unseen; accepts what is new only when told to';
revoke all on function bulkhead.declare_surroundings(boolean) from public;

create function bulkhead.offences_of_setup()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select bulkhead.offence_row(
        'kit_installed',
        part.migration,
        format('bulkhead.%s() is missing: migration %s was not applied, or something dropped it', part.name, part.migration),
        'Apply the migrations: supabase db push'
    )
    from (values
        ('001_tenancy', 'protect'),
        ('002_audit_events', 'log_event'),
        ('003_service_guard', 'create_tenant'),
        ('004_canaries', 'run_canaries'),
        ('005_alerting', 'dispatch_alerts'),
        ('006_backups', 'dispatch_backup'),
        ('007_status', 'status'),
        ('008_audit_proof', 'seal'),
        ('009_schedule', 'schedule'),
        ('010_audit_history', 'undo_plan'),
        ('011_kit', 'declare_kit'),
        ('012_boundary_rules', 'offences_of_code'),
        ('013_trail_rules', 'checks_trail'),
        ('014_platform_rules', 'checks_boundary')
    ) as part (migration, name)
    where not exists (
        select
        from pg_catalog.pg_proc as proc
        where proc.pronamespace = 'bulkhead'::regnamespace
            and proc.proname = part.name
    )
    union all
    select bulkhead.offence_row(
        'kit_installed',
        'bulkhead.kit_facts',
        'What the migrations installed is not on record, so no change of it would be noticed: ' || string_agg(part.kind, ', ' order by part.kind),
        'select bulkhead.declare_kit();',
        'select kind, count(*) from bulkhead.kit_facts group by kind'
    )
    from unnest(array['column', 'constraint', 'execute', 'owner', 'policy', 'schema', 'trigger', 'view']) as part (kind)
    where not exists (select from bulkhead.kit_facts as facts where facts.kind = part.kind)
        -- Before the last migration nothing is on record.
        and exists (select from bulkhead.kit_functions as declared where declared.signature = 'bulkhead.declare_kit()')
    having count(*) > 0
    union all
    select bulkhead.offence_row(
        'settings_configured',
        'bulkhead.settings',
        'Nobody said which table holds the tenants, or that table is gone, so nothing can be judged',
        'select bulkhead.configure(''public.tenants'');'
    )
    where not exists (
        select
        from bulkhead.settings as settings
        join pg_catalog.pg_class as class on class.oid = settings.tenants_table
    )
    union all
    select bulkhead.offence_row(
        'tables_protected',
        'database',
        'No table is protected',
        'Protect each table of tenants: select bulkhead.protect(''public.messages'');'
    )
    where not exists (select from bulkhead.protected_catalog)
$$;
comment on function bulkhead.offences_of_setup() is 'Offenders of the rules about the installation itself';
revoke all on function bulkhead.offences_of_setup() from public;

create function bulkhead.offences_of_classification()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with exposed as (
        select
            class.oid,
            class.relkind,
            format('%I.%I', namespace.nspname, class.relname) as qualified
        from pg_catalog.pg_class as class
        join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
        where class.relkind in ('r', 'p', 'f')
            and (
                namespace.oid in (select served.oid from bulkhead.exposed_schemas as served)
                -- A copy in a schema that nobody serves yet, open to the API's roles all the same.
                or namespace.nspname !~ '^pg_'
                and namespace.nspname <> all (bulkhead.platform_schemas())
                and exists (
                    select
                    from bulkhead.request_roles as role
                    where role.obeys_rls
                        and has_schema_privilege(role.oid, namespace.oid, 'usage')
                        and (
                            has_table_privilege(role.oid, class.oid, 'select, insert, update, delete')
                            or has_any_column_privilege(role.oid, class.oid, 'select, insert, update')
                        )
                )
            )
            and not exists (
                select
                from pg_catalog.pg_depend as member
                where member.classid = 'pg_catalog.pg_class'::regclass
                    and member.objid = class.oid
                    and member.deptype = 'e'
            )
    )
    select bulkhead.offence_row(
        'table_unclassified',
        exposed.qualified,
        case
            when exposed.relkind = 'f' then 'The API can reach this foreign table, to which no policy ever applies'
            else 'The API can reach this table, and nobody said whether it holds tenants'' rows'
        end,
        case
            when exposed.relkind = 'f' then format(
                'revoke all on table %1$s from public, anon, authenticated; select bulkhead.exempt(%2$L, ''foreign table, closed to the API'');',
                exposed.qualified, exposed.qualified
            )
            else format('select bulkhead.protect(%L);', exposed.qualified)
        end,
        format('select * from pg_catalog.pg_class where oid = %L::regclass', exposed.qualified)
    )
    from exposed
    where not exists (select from bulkhead.protected_tables as t where t.relation = exposed.oid)
        and not exists (select from bulkhead.exempt_tables as e where e.relation = exposed.oid)
        -- Children of protected tables have a rule of their own.
        and not exists (select from bulkhead.table_family as family where family.child = exposed.oid)
    union all
    -- An exemption is a statement; a tenant column, or a key to tenants' rows, that the API can read says otherwise.
    select bulkhead.offence_row(
        'exempt_table_exposed',
        format('%I.%I', namespace.nspname, class.relname),
        format('It is exempt, yet %s and API roles may use it', held.reason),
        format('revoke all on table %I.%I from public, anon, authenticated, bulkhead_service%s;', namespace.nspname, class.relname, held.others),
        format('select relacl from pg_catalog.pg_class where oid = %L::regclass', format('%I.%I', namespace.nspname, class.relname))
    )
    from bulkhead.exempt_tables as exempt
    cross join bulkhead.settings as settings
    join pg_catalog.pg_class as class on class.oid = exempt.relation
    join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
    cross join lateral (
        select
            coalesce(
                (
                    select format('has the tenant column %I', tenant.attname)
                    from pg_catalog.pg_attribute as tenant
                    where tenant.attrelid = class.oid
                        and tenant.attname = settings.tenant_column
                        and not tenant.attisdropped
                ),
                (
                    select 'its rows point to those of ' || string_agg(distinct key.confrelid::regclass::text, ', ')
                    from pg_catalog.pg_constraint as key
                    where key.conrelid = class.oid
                        and key.contype = 'f'
                        and (
                            key.confrelid = settings.tenants_table
                            or key.confrelid in (select t.relation from bulkhead.protected_tables as t)
                        )
                )
            ) as reason,
            (select string_agg(format(', %I', direct.role), '') from unnest(settings.direct_roles) as direct (role)) as others
    ) as held
    where held.reason is not null
        and exists (
            select
            from bulkhead.request_roles as role
            where role.obeys_rls
                    and (
                    has_table_privilege(role.oid, class.oid, 'select, insert, update, delete, truncate')
                    or has_any_column_privilege(role.oid, class.oid, 'select, insert, update')
                )
        )
    union all
    select bulkhead.offence_row(
        'protected_table_missing',
        format('%I.%I', declared.schema_name, declared.table_name),
        case
            when class.oid is null then 'It was dropped, or dropped and created anew without protection'
            when declared.parent is not null and family.child is null then 'It is no partition or child of its protected parent any more'
            else format('It is now %I.%I', namespace.nspname, class.relname)
        end,
        case
            when class.oid is null then format(
                'delete from bulkhead.protected_tables where schema_name = %L and table_name = %L;%s',
                declared.schema_name, declared.table_name,
                case when declared.parent is null then format(' drop function if exists bulkhead.%I();', declared.audit_function) else '' end
            )
            when declared.parent is not null and family.child is null then format(
                'delete from bulkhead.protected_tables where relation = %1$L::regclass; select bulkhead.protect(%1$L%2$s);',
                format('%I.%I', namespace.nspname, class.relname),
                case when declared.tenant_column = settings.tenant_column then '' else format(', %L', declared.tenant_column) end
            )
            else catalog.protect_sql
        end
    )
    from bulkhead.protected_tables as declared
    left join pg_catalog.pg_class as class on class.oid = declared.relation
    left join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
    left join bulkhead.protected_catalog as catalog on catalog.relation = declared.relation
    left join bulkhead.table_family as family
        on family.child = declared.relation
        and family.root = declared.parent
    cross join bulkhead.settings as settings
    where class.oid is null
        or class.relname <> declared.table_name
        or namespace.nspname <> declared.schema_name
        or declared.parent is not null and family.child is null
    union all
    select bulkhead.offence_row(
        'child_unprotected',
        format('%I.%I', namespace.nspname, class.relname),
        format('It is a partition or child of %s, and a statement that names it passes by policy and guard', root.qualified),
        case
            when class.relkind = 'f' and class.relispartition
                then format('alter table %s detach partition %I.%I;', family.parent::regclass, namespace.nspname, class.relname)
            when class.relkind = 'f' then format('alter foreign table %I.%I no inherit %s;', namespace.nspname, class.relname, family.parent::regclass)
            else root.protect_sql
        end,
        format('select * from pg_catalog.pg_inherits where inhrelid = %L::regclass', format('%I.%I', namespace.nspname, class.relname))
    )
    from bulkhead.table_family as family
    join bulkhead.protected_catalog as root on root.relation = family.root
    join pg_catalog.pg_class as class on class.oid = family.child
    join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
    where class.relkind = 'f'
        or not exists (select from bulkhead.protected_tables as t where t.relation = family.child)
    union all
    select bulkhead.offence_row(
        'parent_unprotected',
        t.qualified,
        format('Reading %s shows its rows, and its own policy is not asked', link.inhparent::regclass),
        case
            when child.relispartition then format('alter table %s detach partition %s;', link.inhparent::regclass, t.qualified)
            else format('alter table %s no inherit %s;', t.qualified, link.inhparent::regclass)
        end,
        format('select inhparent::regclass from pg_catalog.pg_inherits where inhrelid = %L::regclass', t.qualified)
    )
    from bulkhead.protected_catalog as t
    join pg_catalog.pg_class as child on child.oid = t.relation
    join pg_catalog.pg_inherits as link on link.inhrelid = t.relation
    where not exists (select from bulkhead.protected_tables as known where known.relation = link.inhparent)
    union all
    select bulkhead.offence_row(
        'declaration_missing',
        t.qualified,
        'What was declared for it is gone, so nothing can be compared',
        'select bulkhead.attest(''declarations were missing and are taken anew'');',
        format('select declared from bulkhead.protected_tables where relation = %L::regclass', t.qualified)
    )
    from bulkhead.protected_catalog as t
    where not coalesce(t.declared ?& array['constraints', 'policies', 'triggers'], false)
    union all
    select bulkhead.offence_row(
        'declaration_missing',
        t.qualified,
        case when t.is_tenants_table then 'It is on record as the tenants table, and is not' else 'It is the tenants table, and is not on record as such' end,
        format('update bulkhead.protected_tables set is_tenants_table = not is_tenants_table where relation = %L::regclass;', t.qualified),
        'select relation, is_tenants_table from bulkhead.protected_tables'
    )
    from bulkhead.protected_catalog as t
    cross join bulkhead.settings as settings
    where t.is_tenants_table <> (t.relation = settings.tenants_table)
$$;
comment on function bulkhead.offences_of_classification() is 'Offenders of the rules about which tables are whose';
revoke all on function bulkhead.offences_of_classification() from public;

create function bulkhead.offences_of_columns()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select bulkhead.offence_row(
        'tenant_column_missing',
        t.qualified,
        case
            when t.tenant_number is null then format('The column %I is gone', t.tenant_column)
            else format('%I is %s, tenants are %s', t.tenant_column, format_type(t.tenant_atttypid, null), settings.tenant_type)
        end,
        case
            when t.tenant_number is null and renamed.name is not null
                then format('alter table %s rename column %I to %I;', t.qualified, renamed.name, t.tenant_column)
            when t.tenant_number is null then format('alter table %s add column %I %s; %s', t.qualified, t.tenant_column, settings.tenant_type, t.protect_sql)
            else format('alter table %1$s alter column %2$I type %3$s using %2$I::%3$s; %4$s', t.qualified, t.tenant_column, settings.tenant_type, t.protect_sql)
        end
    )
    from bulkhead.protected_catalog as t
    cross join bulkhead.settings as settings
    -- The one required column of the tenants' type that was not there before is the tenant under another name.
    left join lateral (
        select min(a.attname::text) as name
        from pg_catalog.pg_attribute as a
        where a.attrelid = t.relation
            and a.attnum > 0
            and not a.attisdropped
            and a.attnotnull
            and a.atttypid = settings.tenant_type
            and not t.declared -> 'columns' ? a.attname
        having count(*) = 1
    ) as renamed on t.tenant_number is null
    where t.tenant_number is null
        or t.tenant_atttypid <> settings.tenant_type
    union all
    select bulkhead.offence_row(
        'tenant_column_nullable',
        t.qualified,
        format('%I may be null: a row without a tenant belongs to nobody and is seen by nobody', t.tenant_column),
        t.protect_sql,
        format('select count(*) from %s where %I is null', t.qualified, t.tenant_column)
    )
    from bulkhead.protected_catalog as t
    where not t.tenant_is_not_null
    union all
    select bulkhead.offence_row(
        'tenant_column_default',
        t.qualified,
        format('%I has a default: a write that forgets its tenant lands somewhere instead of failing', t.tenant_column),
        case
            when t.tenant_generated <> '' then format('alter table %s alter column %I drop expression; %s', t.qualified, t.tenant_column, t.protect_sql)
            when t.tenant_identity <> '' then format('alter table %s alter column %I drop identity; %s', t.qualified, t.tenant_column, t.protect_sql)
            else format('alter table %s alter column %I drop default;', t.qualified, t.tenant_column)
        end,
        format(
            'select column_default, is_identity from information_schema.columns where table_schema = %L and table_name = %L and column_name = %L',
            t.schema_name, t.table_name, t.tenant_column
        )
    )
    from bulkhead.protected_catalog as t
    where (t.tenant_has_default or t.tenant_identity <> '')
        -- A tenants table makes its own ids.
        and not t.is_tenants_table
$$;
comment on function bulkhead.offences_of_columns() is 'Offenders of the rules about tenant columns';
revoke all on function bulkhead.offences_of_columns() from public;

create function bulkhead.restricting_definition(constraint_id oid)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select regexp_replace(
        pg_get_constraintdef(constraint_id),
        ' ON (DELETE|UPDATE) (CASCADE|SET NULL|SET DEFAULT|NO ACTION|RESTRICT)( \([^)]*\))?| NOT VALID| DEFERRABLE( INITIALLY DEFERRED)?', '', 'g'
    ) || ' on delete restrict'
$$;
comment on function bulkhead.restricting_definition(oid) is 'A foreign key''s definition with its actions replaced by restrict';
revoke all on function bulkhead.restricting_definition(oid) from public;

create function bulkhead.offences_of_keys()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with tables as materialized (
        select
            t.*,
            (
                select array_agg(a.attnum order by a.attnum)
                from pg_catalog.pg_attribute as a
                where a.attrelid = t.relation
                    and not a.attisdropped
                    and (a.attname = t.tenant_column or a.attname = any (t.key_columns))
            ) as wanted
        from bulkhead.protected_catalog as t
    ),
    disabled as materialized (
        -- Of the key itself, and of its clones on and for partitions.
        select distinct own.key
        from pg_catalog.pg_trigger as g
        join pg_catalog.pg_constraint as c on c.oid = g.tgconstraint
        cross join lateral (values (c.oid), (c.conparentid)) as own (key)
        where g.tgenabled in ('D', 'R')
    ),
    keys as materialized (
        select
            constraints.*,
            child.qualified as child_name,
            child.protect_sql,
            child.tenant_column,
            child.declared -> 'constraints' ->> constraints.conname as was,
            coalesce(parent.qualified, format('%I.%I', target_schema.nspname, target.relname)) as parent_name,
            constraints.confrelid = settings.tenants_table as is_to_tenants,
            cardinality(constraints.conkey) = 1 and constraints.conkey[1] = child.tenant_number as is_tenant_alone,
            exists (
                select
                from unnest(constraints.conkey, constraints.confkey) as pair (child, parent)
                where pair.child = child.tenant_number
                    and pair.parent = parent.tenant_number
            ) as carries_tenant,
            coalesce((to_jsonb(constraints) ->> 'conenforced')::boolean, true) as is_enforced
        from pg_catalog.pg_constraint as constraints
        cross join bulkhead.settings as settings
        join tables as child on child.relation = constraints.conrelid
        join pg_catalog.pg_class as target on target.oid = constraints.confrelid
        join pg_catalog.pg_namespace as target_schema on target_schema.oid = target.relnamespace
        left join tables as parent on parent.relation = constraints.confrelid
        where constraints.contype = 'f'
            -- The clones on and for partitions follow the one that was declared.
            and constraints.conparentid = 0
            and (parent.relation is not null or constraints.confrelid = settings.tenants_table)
    )
    select bulkhead.offence_row(
        'tenant_key_missing',
        t.qualified,
        format('Nothing makes (%s, %s) unique, so no foreign key can carry the tenant', t.tenant_column, array_to_string(t.key_columns, ', ')),
        t.protect_sql
    )
    from tables as t
    where not exists (
        select
        from pg_catalog.pg_constraint as c
        join pg_catalog.pg_index as i on i.indexrelid = c.conindid
        where c.conrelid = t.relation
            and c.contype in ('p', 'u')
            and not c.condeferrable
            and i.indisvalid
            and (select array_agg(n.number order by n.number) from unnest(c.conkey) as n (number)) = t.wanted
    )
    union all
    select bulkhead.offence_row(
        'tenant_reference_missing',
        t.qualified,
        format('No foreign key leads from %I to the tenants table', t.tenant_column),
        t.protect_sql,
        format('select * from pg_catalog.pg_constraint where conrelid = %L::regclass and contype = ''f''', t.qualified)
    )
    from tables as t
    where not t.is_tenants_table
        and not exists (
            select
            from pg_catalog.pg_constraint as c
            cross join bulkhead.settings as settings
            where c.conrelid = t.relation
                and c.contype = 'f'
                and c.confrelid = settings.tenants_table
                and c.conkey = array[t.tenant_number]
        )
    union all
    select bulkhead.offence_row(
        'foreign_key_without_tenant',
        format('%s.%I', k.child_name, k.conname),
        format('A row may point to a row of %s that belongs to another tenant', k.parent_name),
        k.protect_sql,
        format('select pg_get_constraintdef(%s)', k.oid)
    )
    from keys as k
    where not k.is_to_tenants
        and not k.carries_tenant
    union all
    select bulkhead.offence_row(
        'foreign_key_cascades',
        format('%s.%I', k.child_name, k.conname),
        format('One statement on %s would delete or change rows here, past guard and policy', k.parent_name),
        case
            when k.confupdtype in ('c', 'n', 'd') or k.is_to_tenants and not k.is_tenant_alone then format(
                'alter table %1$s drop constraint %2$I, add constraint %2$I %3$s; %4$s',
                k.child_name, k.conname, bulkhead.restricting_definition(k.oid), k.protect_sql
            )
            else k.protect_sql
        end,
        format('select pg_get_constraintdef(%s)', k.oid)
    )
    from keys as k
    where k.confdeltype in ('c', 'n', 'd')
        -- A key that was declared to follow its parent's key still does.
        or k.confupdtype in ('c', 'n', 'd')
        and coalesce(k.was, '') not like '% ON UPDATE ' || case k.confupdtype::text when 'c' then 'CASCADE' when 'n' then 'SET NULL' else 'SET DEFAULT' end || '%'
        -- "no action" may be deferred to the commit; for the keys that carry the boundary it is not enough, unless
        -- they were declared deferrable, where there is nothing stricter.
        or (k.confdeltype = 'a' and not k.condeferrable and (not k.is_to_tenants or k.is_tenant_alone))
    union all
    select bulkhead.offence_row(
        'foreign_key_not_valid',
        format('%s.%I', k.child_name, k.conname),
        'It is NOT VALID: the rows of before were never checked',
        k.protect_sql,
        format('select convalidated from pg_catalog.pg_constraint where oid = %s', k.oid)
    )
    from keys as k
    where not k.convalidated
        and k.is_enforced
    union all
    select bulkhead.offence_row(
        'foreign_key_not_enforced',
        format('%s.%I', k.child_name, k.conname),
        case when k.is_enforced then 'Its triggers are disabled, so it checks nothing' else 'It is declared NOT ENFORCED' end,
        format(
            'alter table %1$s drop constraint %2$I, add constraint %2$I %3$s; %4$s',
            k.child_name, k.conname, replace(replace(pg_get_constraintdef(k.oid), ' NOT ENFORCED', ''), ' NOT VALID', ''), k.protect_sql
        ),
        format('select tgrelid::regclass, tgname, tgenabled from pg_catalog.pg_trigger where tgconstraint = %s', k.oid)
    )
    from keys as k
    where not k.is_enforced
        or k.oid in (select disabled.key from disabled)
    union all
    select bulkhead.offence_row(
        'foreign_key_deferrable',
        format('%s.%I', k.child_name, k.conname),
        'It may wait until the commit, so a transaction can work on rows that belong together across tenants',
        format('alter table %s alter constraint %I not deferrable;', k.child_name, k.conname),
        format('select condeferrable, condeferred from pg_catalog.pg_constraint where oid = %s', k.oid)
    )
    from keys as k
    where k.condeferrable
        and k.was is not null
        and k.was not like '% DEFERRABLE%'
    union all
    select bulkhead.offence_row(
        'unique_without_tenant',
        format('%s.%I', t.qualified, index_class.relname),
        'It is unique over all tenants: one tenant learns, and blocks, what another one has',
        case
            when owning.oid is null then format('drop index %I.%I;', t.schema_name, index_class.relname)
            else format('alter table %s drop constraint %I;', t.qualified, owning.conname)
        end,
        format('select pg_get_indexdef(%L::regclass)', format('%I.%I', t.schema_name, index_class.relname))
    )
    from tables as t
    join pg_catalog.pg_index as i on i.indrelid = t.relation
    join pg_catalog.pg_class as index_class on index_class.oid = i.indexrelid
    left join pg_catalog.pg_constraint as owning
        on owning.conindid = i.indexrelid
        and owning.conrelid = t.relation
        and owning.contype in ('p', 'u', 'x')
    where (i.indisunique or i.indisexclusion)
        and not i.indisprimary
        and not t.is_tenants_table
        and t.parent is null
        and t.tenant_number <> all (i.indkey::smallint[])
        and not i.indkey::smallint[] <@ array(
            select a.attnum
            from pg_catalog.pg_attribute as a
            where a.attrelid = t.relation
                and a.attname = any (t.key_columns)
        )
        -- Over what points to a row of the same tenant it is unique within the tenant by itself.
        and not exists (
            select
            from pg_catalog.pg_constraint as key
            where key.conrelid = t.relation
                and key.contype = 'f'
                and key.confrelid in (select parent.relation from tables as parent where not parent.is_tenants_table)
                and t.tenant_number = any (key.conkey)
                and array_remove(key.conkey, t.tenant_number) <@ i.indkey::smallint[]
        )
        and t.declared ? 'uniques'
        and not t.declared -> 'uniques' ? index_class.relname::text
    union all
    select bulkhead.offence_row(
        'constraint_dropped',
        format('%s.%I', t.qualified, declared.name),
        format('Declared was: %s', declared.definition),
        case
            when present.oid is null then format('alter table %s add constraint %I %s;', t.qualified, declared.name, declared.definition)
            else format('alter table %1$s drop constraint %2$I, add constraint %2$I %3$s;', t.qualified, declared.name, declared.definition)
        end,
        format('select conname, pg_get_constraintdef(oid) from pg_catalog.pg_constraint where conrelid = %L::regclass', t.qualified)
    )
    from tables as t
    cross join lateral jsonb_each_text(t.declared -> 'constraints') as declared (name, definition)
    left join pg_catalog.pg_constraint as present
        on present.conrelid = t.relation
        and present.conname = declared.name
    where (
            present.oid is null
            -- A foreign key that is there but weaker has a rule of its own above.
            or present.contype <> 'f' and pg_get_constraintdef(present.oid) <> declared.definition
            or present.contype = 'f' and (
                present.confrelid <> coalesce(to_regclass(substring(declared.definition from 'REFERENCES ([^(]+)\(')), 0)
                or pg_get_constraintdef(present.oid) not like
                    replace(replace(substring(declared.definition from '^FOREIGN KEY \([^)]*\)'), '\', '\\'), '_', '\_') || '%'
            )
        )
        -- A constraint under another name is as good.
        and not exists (
            select
            from pg_catalog.pg_constraint as other
            where other.conrelid = t.relation
                and other.conname <> declared.name
                and other.contype in ('p', 'u', 'f', 'c', 'x')
                and pg_get_constraintdef(other.oid) = declared.definition
        )
        -- Another major version may print the same check in other words.
        and (declared.definition like 'CHECK %' and present.oid is not null and exists (
            select from bulkhead.kit_facts as f where f.major <> current_setting('server_version_num')::integer / 10000
        )) is not true
    union all
    -- A key of more columns than tenant and one other is not asked where one of them is null.
    select bulkhead.offence_row(
        'constraint_dropped',
        format('%s.%I', t.qualified, a.attname),
        format('It may be null now, and a row in which it is passes by %s', string_agg(format('%I', key.conname), ', ' order by key.conname)),
        format('alter table %s alter column %I set not null;', t.qualified, a.attname),
        format('select count(*) from %s where %I is null', t.qualified, a.attname)
    )
    from tables as t
    join pg_catalog.pg_attribute as a
        on a.attrelid = t.relation
        and a.attnum > 0
        and not a.attisdropped
        and not a.attnotnull
        and t.declared -> 'required' ? a.attname
        and a.attname <> t.tenant_column
    join pg_catalog.pg_constraint as key
        on key.conrelid = t.relation
        and key.contype = 'f'
        and a.attnum = any (key.conkey)
        and cardinality(key.conkey) > 2
    group by t.qualified, a.attname
$$;
comment on function bulkhead.offences_of_keys() is 'Offenders of the rules about unique and foreign keys';
revoke all on function bulkhead.offences_of_keys() from public;

-- The expression that the tenant policy must have, without the spaces and parentheses in which versions differ.
create function bulkhead.is_tenant_expression(expression text, tenant_column name, tenant_type regtype)
returns boolean
language sql
immutable
as $$
    select coalesce(
        translate(expression, '() ', '') = translate(
            format(
                '%I = ANY SELECT bulkhead.current_tenants AS current_tenants::%s[]',
                tenant_column,
                format_type(tenant_type, null)
            ),
            '() ', ''
        ),
        false
    )
$$;
comment on function bulkhead.is_tenant_expression(text, name, regtype) is
    'Whether a policy expression is exactly the one that protect() writes';
revoke all on function bulkhead.is_tenant_expression(text, name, regtype) from public;

create function bulkhead.offences_of_policies()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with tables as materialized (
        select *
        from bulkhead.protected_catalog
    ),
    policies as materialized (
        select
            t.relation,
            t.qualified,
            t.tenant_column,
            t.tenant_type,
            t.protect_sql,
            t.declared -> 'policies' -> policy.polname::text as was,
            policy.polname,
            policy.polpermissive,
            policy.polcmd,
            policy.polroles,
            pg_get_expr(policy.polqual, policy.polrelid) as using_expression,
            pg_get_expr(policy.polwithcheck, policy.polrelid) as check_expression
        from tables as t
        join pg_catalog.pg_policy as policy on policy.polrelid = t.relation
    )
    select bulkhead.offence_row(
        'rls_disabled',
        t.qualified,
        'Row level security is off: whoever may read the table reads every tenant''s rows',
        format('alter table %s enable row level security;', t.qualified),
        format('select relrowsecurity from pg_catalog.pg_class where oid = %L::regclass', t.qualified)
    )
    from tables as t
    where not t.relrowsecurity
    union all
    select bulkhead.offence_row(
        'rls_not_forced',
        t.qualified,
        'Row level security is not forced: the owner''s functions and views see every tenant''s rows',
        format('alter table %s force row level security;', t.qualified),
        format('select relforcerowsecurity from pg_catalog.pg_class where oid = %L::regclass', t.qualified)
    )
    from tables as t
    where not t.relforcerowsecurity
    union all
    select bulkhead.offence_row(
        'tenant_policy',
        t.qualified,
        case
            when p.polname is null then 'The policy bulkhead_tenant is missing'
            when p.polpermissive then 'The policy bulkhead_tenant is permissive, so any other policy widens it'
            when p.polcmd <> '*' or p.polroles <> '{0}' then 'The policy bulkhead_tenant does not hold for every command and role'
            else format('The policy bulkhead_tenant has another expression: %s', p.using_expression)
        end,
        t.protect_sql,
        format('select * from pg_catalog.pg_policies where schemaname = %L and tablename = %L', t.schema_name, t.table_name)
    )
    from tables as t
    left join policies as p
        on p.relation = t.relation
        and p.polname = 'bulkhead_tenant'
    where p.polname is null
        or p.polpermissive
        or p.polcmd <> '*'
        or p.polroles <> '{0}'
        or not bulkhead.is_tenant_expression(p.using_expression, t.tenant_column, t.tenant_type)
        or not bulkhead.is_tenant_expression(coalesce(p.check_expression, p.using_expression), t.tenant_column, t.tenant_type)
    union all
    select bulkhead.offence_row(
        'access_policy_missing',
        t.qualified,
        'authenticated may select, but no permissive policy lets a row through: members see nothing',
        format(
            'create policy bulkhead_access on %s for select to authenticated using (%I = any ((select bulkhead.current_tenants())::%s[]));',
            t.qualified, t.tenant_column, t.tenant_type
        ),
        format('select * from pg_catalog.pg_policies where schemaname = %L and tablename = %L', t.schema_name, t.table_name)
    )
    from tables as t
    join pg_catalog.pg_roles as member on member.rolname = 'authenticated'
    where has_table_privilege(member.oid, t.relation, 'select')
        and not exists (
            select
            from policies as p
            where p.relation = t.relation
                and p.polpermissive
                and p.polcmd in ('*', 'r')
                and p.polroles && array[0::oid, member.oid]
        )
    union all
    select bulkhead.offence_row(
        'anon_policy',
        format('%s.%I', p.qualified, p.polname),
        'This policy lets rows through for anon; only the restrictive floor still holds',
        case
            when others.names is null and p.polroles = '{0}' then format('alter policy %I on %s to authenticated;', p.polname, p.qualified)
            when others.names is null then format('drop policy %I on %s;', p.polname, p.qualified)
            else format('alter policy %I on %s to %s;', p.polname, p.qualified, others.names)
        end,
        format('select * from pg_catalog.pg_policies where policyname = %L', p.polname)
    )
    from policies as p
    left join pg_catalog.pg_roles as anon on anon.rolname = 'anon'
    left join lateral (
        select string_agg(format('%I', role.rolname), ', ' order by role.rolname) as names
        from pg_catalog.pg_roles as role
        where role.oid = any (p.polroles)
            and role.rolname <> 'anon'
    ) as others on true
    where p.polpermissive
        and p.polroles && array[0::oid, anon.oid]
    union all
    -- A policy that is new or other than declared may have widened who sees what; a further restrictive one cannot.
    select bulkhead.offence_row(
        'policy_changed',
        format('%s.%I', p.qualified, p.polname),
        case
            when p.was is null then 'This permissive policy was added after the table was protected'
            else format('Declared was using (%s) with check (%s)', p.was ->> 'using', p.was ->> 'check')
        end,
        case
            when p.was is null then format('drop policy %I on %s;', p.polname, p.qualified)
            else bulkhead.create_policy_sql(p.qualified, p.polname::text, p.was)
        end,
        format('select * from pg_catalog.pg_policies where policyname = %L', p.polname)
    )
    from policies as p
    where p.polname <> 'bulkhead_tenant'
        and (
            p.was is null and p.polpermissive
            or p.was is not null and (
                (p.was ->> 'is_permissive')::boolean <> p.polpermissive
                or p.was ->> 'command' <> p.polcmd::text
                or p.was ->> 'using' is distinct from p.using_expression
                or p.was ->> 'check' is distinct from p.check_expression
                or p.was -> 'roles' <> (
                    select jsonb_agg(coalesce(role.rolname, 'public') order by role.rolname)
                    from unnest(p.polroles) as member (oid)
                    left join pg_catalog.pg_roles as role on role.oid = member.oid
                )
            )
        )
    union all
    select bulkhead.offence_row(
        'policy_changed',
        format('%s.%I', t.qualified, was.name),
        'This declared policy was dropped',
        bulkhead.create_policy_sql(t.qualified, was.name, was.policy)
    )
    from tables as t
    cross join lateral jsonb_each(t.declared -> 'policies') as was (name, policy)
    where was.name <> 'bulkhead_tenant'
        and not exists (
            select
            from policies as p
            where p.relation = t.relation
                and p.polname = was.name
        )
    union all
    select bulkhead.offence_row(
        'policy_changed',
        asked.signature,
        format('It is not the function that was declared, and policies of %s ask it', string_agg(t.qualified, ', ' order by t.qualified)),
        min(t.declared -> 'functions' ->> asked.signature) || ';',
        format('select pg_get_functiondef(%L::regprocedure)', asked.signature)
    )
    from tables as t
    cross join lateral bulkhead.functions_of_policies(t.relation) as asked (signature)
    where t.declared -> 'functions' ? asked.signature
        and t.declared -> 'functions' ->> asked.signature <> pg_get_functiondef(asked.signature::regprocedure)
    group by asked.signature
$$;
comment on function bulkhead.offences_of_policies() is 'Offenders of the rules about row level security';
revoke all on function bulkhead.offences_of_policies() from public;

create function bulkhead.offences_of_grants()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select bulkhead.offence_row(
        'anon_grant',
        t.qualified,
        'anon, or everybody, may use this table',
        format('revoke all on table %s from public, anon;', t.qualified),
        format('select relacl from pg_catalog.pg_class where oid = %L::regclass', t.qualified)
    )
    from bulkhead.protected_catalog as t
    join pg_catalog.pg_roles as anon on anon.rolname = 'anon'
    where has_table_privilege(anon.oid, t.relation, 'select, insert, update, delete, truncate, references, trigger')
        or has_any_column_privilege(anon.oid, t.relation, 'select, insert, update, references')
    union all
    select bulkhead.offence_row(
        'dangerous_grant',
        t.qualified,
        format('%s may truncate, reference, maintain or put triggers on it, past every policy', string_agg(role.rolname, ', ' order by role.rolname)),
        format(
            'revoke truncate, references, trigger%s on table %s from %s;',
            case when current_setting('server_version_num')::integer >= 170000 then ', maintain' else '' end,
            t.qualified, string_agg(format('%I', role.rolname), ', ' order by role.rolname)
        ),
        format('select relacl from pg_catalog.pg_class where oid = %L::regclass', t.qualified)
    )
    from bulkhead.protected_catalog as t
    join pg_catalog.pg_roles as role
        on not role.rolsuper
        and role.rolname <> 'anon'
        and role.oid <> t.relowner
        and (
            role.oid in (select request.oid from bulkhead.request_roles as request)
            -- Whoever puts a trigger on it runs code of theirs as everybody who writes.
            or role.oid in (select acl.grantee from aclexplode(t.relacl) as acl)
            and role.oid not in (select trusted.oid from bulkhead.trusted_roles as trusted)
        )
        and (
            has_table_privilege(role.oid, t.relation, 'truncate, trigger')
            or has_any_column_privilege(role.oid, t.relation, 'references')
            -- Known to Postgres 17 and later: VACUUM FULL, CLUSTER and LOCK hold everybody up.
            or exists (
                select
                from aclexplode(t.relacl) as acl
                where acl.grantee = role.oid
                    and acl.privilege_type = 'MAINTAIN'
            )
        )
    group by t.qualified
    union all
    select bulkhead.offence_row(
        'owner_obeys_rls',
        t.qualified,
        case
            when request.oid is not null then format('Its owner %I is a role that requests arrive as', owner.rolname)
            else format('Its owner %I obeys row level security: checks and exports would silently see no rows', owner.rolname)
        end,
        format('alter table %s owner to postgres;', t.qualified),
        format('select relowner::regrole from pg_catalog.pg_class where oid = %L::regclass', t.qualified)
    )
    from bulkhead.protected_catalog as t
    join pg_catalog.pg_roles as owner on owner.oid = t.relowner
    left join bulkhead.request_roles as request on request.oid = t.relowner
    where request.oid is not null
        or not (owner.rolbypassrls or owner.rolsuper)
    union all
    select bulkhead.offence_row(
        'role_bypasses_rls',
        role.rolname,
        case when role.rolsuper then 'It is a superuser' else 'It has BYPASSRLS: no policy holds it' end,
        format('alter role %I%s;', role.rolname, case when role.rolsuper then ' nosuperuser nobypassrls' else ' nobypassrls' end),
        format('select rolsuper, rolbypassrls from pg_catalog.pg_roles where rolname = %L', role.rolname)
    )
    from bulkhead.request_roles as role
    where (role.obeys_rls or role.rolname = 'authenticator')
        and (role.rolsuper or role.rolbypassrls)
        or role.rolname = 'service_role'
        and role.rolsuper
    union all
    select bulkhead.offence_row(
        'role_bypasses_rls',
        role.rolname,
        case when role.rolsuper then 'It is a superuser that nobody declared' else 'It has BYPASSRLS, and nobody declared it a platform role' end,
        format('alter role %I%s;', role.rolname, case when role.rolsuper then ' nosuperuser nobypassrls' else ' nobypassrls' end),
        format('select rolsuper, rolbypassrls from pg_catalog.pg_roles where rolname = %L', role.rolname)
    )
    from pg_catalog.pg_roles as role
    where (role.rolsuper or role.rolbypassrls)
        and role.rolname <> 'bulkhead_audit'
        and not exists (select from bulkhead.request_roles as request where request.oid = role.oid)
        and not exists (select from bulkhead.trusted_roles as trusted where trusted.oid = role.oid)
    union all
    select bulkhead.offence_row(
        'role_bypasses_rls',
        role.rolname,
        case
            when role.rolreplication then 'It may log in and stream every change of every tenant, and nobody declared it a platform role'
            else 'It may make itself a member of any role, and nobody declared it a platform role'
        end,
        format('alter role %I%s%s;', role.rolname, case when role.rolreplication then ' noreplication' else '' end,
            case when role.rolcreaterole then ' nocreaterole' else '' end),
        format('select rolreplication, rolcreaterole from pg_catalog.pg_roles where rolname = %L', role.rolname)
    )
    from pg_catalog.pg_roles as role
    where (
            role.rolreplication and role.rolcanlogin
            -- From 16 on it is a member of what it made itself, and no more.
            or role.rolcreaterole and current_setting('server_version_num')::integer < 160000
        )
        and not role.rolsuper
        and not role.rolbypassrls
        and not exists (select from bulkhead.request_roles as request where request.oid = role.oid)
        and not exists (select from bulkhead.trusted_roles as trusted where trusted.oid = role.oid)
        and role.rolname <> 'bulkhead_audit'
    union all
    select bulkhead.offence_row(
        'kit_grant',
        format('%I.%I', namespace.nspname, class.relname),
        format('%s may read or write what the kit believes in', string_agg(role.rolname, ', ' order by role.rolname)),
        format(
            'revoke all on table %I.%I from public, %s;',
            namespace.nspname, class.relname, string_agg(format('%I', role.rolname), ', ' order by role.rolname)
        ),
        format('select relacl from pg_catalog.pg_class where oid = %L::regclass', format('%I.%I', namespace.nspname, class.relname))
    )
    from pg_catalog.pg_class as class
    join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
    join bulkhead.request_roles as role
        on not role.rolsuper
        and (
            has_table_privilege(role.oid, class.oid, 'insert, update, delete, truncate, references, trigger')
            or has_any_column_privilege(role.oid, class.oid, 'insert, update')
            or role.obeys_rls
            and class.relname <> 'audit_logs'
            and has_any_column_privilege(role.oid, class.oid, 'select')
        )
    where namespace.nspname in ('bulkhead', 'bulkhead_api')
        and class.relkind in ('r', 'p', 'v')
        and class.relname not like 'audit\_events%'
        and class.relname not like 'audit\_leaves%'
        and class.relname not in ('audit_seals', 'audit_eras', 'audit_shares')
    group by namespace.nspname, class.relname
    union all
    select bulkhead.offence_row(
        'kit_grant',
        format('%I.%I', namespace.nspname, class.relname),
        format('%s may draw or set the kit''s numbers', string_agg(role.rolname, ', ' order by role.rolname)),
        format(
            'revoke all on sequence %I.%I from public, %s;',
            namespace.nspname, class.relname, string_agg(format('%I', role.rolname), ', ' order by role.rolname)
        ),
        format('select relacl from pg_catalog.pg_class where oid = %L::regclass', format('%I.%I', namespace.nspname, class.relname))
    )
    from pg_catalog.pg_class as class
    join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
    join bulkhead.request_roles as role on not role.rolsuper
    where namespace.nspname in ('bulkhead', 'bulkhead_api')
        -- One after the other: of what is no sequence the second question is an error.
        and case when class.relkind = 'S' then has_sequence_privilege(role.oid, class.oid, 'usage, update') else false end
    group by namespace.nspname, class.relname
$$;
comment on function bulkhead.offences_of_grants() is 'Offenders of the rules about grants, owners and roles';
revoke all on function bulkhead.offences_of_grants() from public;

create function bulkhead.offences_of_privileges()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with grants as materialized (
        select
            t.qualified,
            t.relowner as owner,
            acl.grantee,
            acl.privilege_type,
            ''::text as columns
        from bulkhead.protected_catalog as t
        cross join lateral aclexplode(t.relacl) as acl
        where acl.is_grantable
        union all
        select
            t.qualified,
            t.relowner,
            acl.grantee,
            acl.privilege_type,
            format(' (%I)', a.attname)
        from bulkhead.protected_catalog as t
        join pg_catalog.pg_attribute as a
            on a.attrelid = t.relation
            and a.attacl is not null
        cross join lateral aclexplode(a.attacl) as acl
        where acl.is_grantable
    ),
    sequences as materialized (
        select
            class.oid,
            class.relowner,
            class.relnamespace,
            class.relacl,
            format('%I.%I', namespace.nspname, class.relname) as qualified,
            exists (
                select
                from pg_catalog.pg_depend as owned
                join bulkhead.protected_tables as t on t.relation = owned.refobjid
                where owned.classid = 'pg_catalog.pg_class'::regclass
                    and owned.objid = class.oid
                    and owned.refclassid = 'pg_catalog.pg_class'::regclass
                    and owned.deptype in ('a', 'i')
            ) as is_protected
        from pg_catalog.pg_class as class
        join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
        where class.relkind = 'S'
            and class.relacl is not null
            and not exists (
                select
                from pg_catalog.pg_depend as member
                where member.classid = 'pg_catalog.pg_class'::regclass
                    and member.objid = class.oid
                    and member.deptype = 'e'
            )
            and (
                namespace.oid in (select served.oid from bulkhead.exposed_schemas as served)
                or exists (
                    select
                    from pg_catalog.pg_depend as owned
                    join bulkhead.protected_tables as t on t.relation = owned.refobjid
                    where owned.classid = 'pg_catalog.pg_class'::regclass
                        and owned.objid = class.oid
                        and owned.refclassid = 'pg_catalog.pg_class'::regclass
                        and owned.deptype in ('a', 'i')
                )
            )
    )
    select bulkhead.offence_row(
        'grant_option',
        g.qualified,
        format('%s may grant %s to others', string_agg(distinct role.rolname, ', '), lower(string_agg(distinct g.privilege_type, ', '))),
        string_agg(
            format('revoke grant option for %s%s on table %s from %I cascade;', lower(g.privilege_type), g.columns, g.qualified, role.rolname),
            ' ' order by role.rolname, g.privilege_type, g.columns
        ),
        format('select relacl from pg_catalog.pg_class where oid = %L::regclass', g.qualified)
    )
    from grants as g
    join pg_catalog.pg_roles as role on role.oid = g.grantee
    where g.grantee <> g.owner
        and not exists (select from bulkhead.trusted_roles as trusted where trusted.oid = g.grantee)
    group by g.qualified
    union all
    -- What a new sequence is given by default privileges is judged there, not here; protect() takes it from its own.
    select bulkhead.offence_row(
        'sequence_grant',
        sequence.qualified,
        format('%s may use it: %s', string_agg(distinct coalesce(role.rolname, 'everybody'), ', '), lower(string_agg(distinct acl.privilege_type, ', '))),
        format(
            'revoke all on sequence %s from %s;', sequence.qualified,
            string_agg(distinct coalesce(quote_ident(role.rolname), 'public'), ', ')
        ),
        format('select relacl from pg_catalog.pg_class where oid = %L::regclass', sequence.qualified)
    )
    from sequences as sequence
    cross join lateral aclexplode(sequence.relacl) as acl
    left join pg_catalog.pg_roles as role on role.oid = acl.grantee
    where acl.grantee <> sequence.relowner
        and (acl.grantee = 0 or role.rolname = 'anon' or acl.is_grantable and not exists (select from bulkhead.trusted_roles as trusted where trusted.oid = acl.grantee))
        and (sequence.is_protected or not exists (
            select
            from pg_catalog.pg_default_acl as defaults
            cross join lateral aclexplode(defaults.defaclacl) as given
            where defaults.defaclobjtype = 'S'
                and defaults.defaclrole = sequence.relowner
                and defaults.defaclnamespace in (0, sequence.relnamespace)
                and given.grantee = acl.grantee
                and given.privilege_type = acl.privilege_type
                and given.is_grantable >= acl.is_grantable
        ))
    group by sequence.qualified
    union all
    select bulkhead.offence_row(
        'schema_create',
        format('schema %I', namespace.nspname),
        format('%s may create objects in it, in front of others'' or behind policies', string_agg(role.rolname, ', ' order by role.rolname)),
        case
            when bool_or(namespace.nspowner = role.oid) then format('alter schema %I owner to postgres;', namespace.nspname)
            else format('revoke create on schema %I from public, %s;', namespace.nspname, string_agg(format('%I', role.rolname), ', ' order by role.rolname))
        end,
        format('select nspacl from pg_catalog.pg_namespace where nspname = %L', namespace.nspname)
    )
    from pg_catalog.pg_namespace as namespace
    join pg_catalog.pg_roles as role
        on not role.rolsuper
        and has_schema_privilege(role.oid, namespace.oid, 'create')
        and (
            role.oid in (select request.oid from bulkhead.request_roles as request)
            or role.oid in (select acl.grantee from aclexplode(namespace.nspacl) as acl)
            and role.oid <> namespace.nspowner
            and role.rolname <> 'bulkhead_audit'
            and role.oid not in (select trusted.oid from bulkhead.trusted_roles as trusted)
        )
    where namespace.nspname in ('bulkhead', 'bulkhead_api')
        or namespace.oid in (select served.oid from bulkhead.exposed_schemas as served)
    group by namespace.nspname
    union all
    select bulkhead.offence_row(
        'schema_create',
        'database',
        format('%s may create schemas', string_agg(role.rolname, ', ' order by role.rolname)),
        case
            when bool_or(database.datdba = role.oid) then format('alter database %I owner to postgres;', database.datname)
            else format('revoke create on database %I from public, %s;', database.datname, string_agg(format('%I', role.rolname), ', ' order by role.rolname))
        end,
        'select datacl from pg_catalog.pg_database where datname = current_database()'
    )
    from pg_catalog.pg_database as database
    join bulkhead.request_roles as role
        on not role.rolsuper
        and has_database_privilege(role.oid, database.oid, 'create')
    where database.datname = current_database()
    group by database.datname
    union all
    select bulkhead.offence_row(
        case now_.kind when 'default' then 'default_privileges' when 'setting' then 'search_path_changed' else 'event_trigger_changed' end,
        now_.subject,
        now_.detail,
        now_.remediation,
        case now_.kind
            when 'default' then 'select defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype, defaclacl from pg_catalog.pg_default_acl'
            when 'setting' then 'select setdatabase, setrole::regrole, setconfig from pg_catalog.pg_db_role_setting'
            else 'select evtname, evtevent, evtenabled, evtfoid::regprocedure from pg_catalog.pg_event_trigger'
        end
    )
    from bulkhead.surroundings as now_
    where not exists (select from bulkhead.declared_surroundings as was where was.fact = now_.fact)
$$;
comment on function bulkhead.offences_of_privileges() is 'Offenders of the rules about grant options, sequences, default privileges and who may create';
revoke all on function bulkhead.offences_of_privileges() from public;

create function bulkhead.offences_of_roles()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with recursive edges as (
        -- Postgres 16 knows who granted a membership, and only that grant is revoked.
        select
            membership.roleid,
            membership.member,
            case
                when current_setting('server_version_num')::integer >= 160000
                    then format(' granted by %I', pg_get_userbyid(membership.grantor))
                else ''
            end as grantor
        from pg_catalog.pg_auth_members as membership
    ),
    reach (member, target, first) as (
        select edges.member, edges.roleid, edges.roleid
        from edges
        union
        select reach.member, edges.roleid, reach.first
        from reach
        join edges on edges.member = reach.target
    ),
    powerful as materialized (
        select role.oid, role.rolname
        from pg_catalog.pg_roles as role
        cross join bulkhead.settings as settings
        where role.rolsuper
            or role.rolbypassrls
            or role.rolcreaterole
            or role.rolname = any (settings.platform_roles)
            or role.rolname in (
                'bulkhead_audit', 'pg_read_all_data', 'pg_write_all_data', 'pg_read_server_files', 'pg_write_server_files',
                'pg_execute_server_program', 'pg_create_subscription', 'pg_maintain', 'pg_database_owner'
            )
            or role.oid in (select t.relowner from bulkhead.protected_catalog as t)
    )
    select bulkhead.offence_row(
        'role_attributes',
        role.rolname,
        'It has ' || concat_ws(
            ', ',
            case when role.rolcreaterole then 'createrole' end,
            case when role.rolcreatedb then 'createdb' end,
            case when role.rolreplication then 'replication' end,
            case when role.rolcanlogin and role.rolname in ('anon', 'authenticated', 'service_role', 'bulkhead_service') then 'login' end,
            case when role.rolinherit and role.rolname = 'authenticator' then 'inherit: every request starts with all rights at once' end
        ),
        format('alter role %I', role.rolname) || concat_ws(
            '',
            case when role.rolcreaterole then ' nocreaterole' end,
            case when role.rolcreatedb then ' nocreatedb' end,
            case when role.rolreplication then ' noreplication' end,
            case when role.rolcanlogin and role.rolname in ('anon', 'authenticated', 'service_role', 'bulkhead_service') then ' nologin' end,
            case when role.rolinherit and role.rolname = 'authenticator' then ' noinherit' end
        ) || ';',
        format('select * from pg_catalog.pg_roles where rolname = %L', role.rolname)
    )
    from pg_catalog.pg_roles as role
    join bulkhead.request_roles as request on request.oid = role.oid
    where role.rolcreaterole
        or role.rolcreatedb
        or role.rolreplication
        or role.rolcanlogin and role.rolname in ('anon', 'authenticated', 'service_role', 'bulkhead_service')
        or role.rolinherit and role.rolname = 'authenticator'
    union all
    select bulkhead.offence_row(
        'role_membership',
        member.rolname,
        format('It is a member of %s', string_agg(distinct target.rolname, ', ')),
        string_agg(
            distinct format(
                'revoke %I from %I%s;', pg_get_userbyid(reach.first), member.rolname,
                (
                    select edges.grantor
                    from edges
                    where edges.roleid = reach.first
                        and edges.member = member.oid
                    order by edges.grantor
                    limit 1
                )
            ),
            ' '
        ),
        format('select roleid::regrole, member::regrole from pg_catalog.pg_auth_members where member = %L::regrole', member.rolname)
    )
    from reach
    join pg_catalog.pg_roles as member on member.oid = reach.member
    join pg_catalog.pg_roles as target on target.oid = reach.target
    left join bulkhead.request_roles as request on request.oid = member.oid
    where not member.rolsuper
        and not exists (select from bulkhead.trusted_roles as trusted where trusted.oid = member.oid)
        -- The writer of the ledger has a rule of its own.
        and member.rolname <> 'bulkhead_audit'
        and case
            when member.rolname = 'authenticator' then
                target.rolname not in ('anon', 'authenticated', 'service_role', 'bulkhead_service', 'supabase_storage_admin')
                and target.oid in (select powerful.oid from powerful)
                -- What a role of a request is a member of is found at that role.
                and not exists (
                    select
                    from bulkhead.request_roles as through
                    where through.oid = reach.first
                        and through.oid <> target.oid
                )
            when request.oid is not null then
                target.oid in (select powerful.oid from powerful)
                or target.oid in (select other.oid from bulkhead.request_roles as other)
                -- What watches the server shows one tenant the statements of another.
                or target.rolname in ('pg_monitor', 'pg_read_all_stats', 'pg_stat_scan_tables', 'pg_signal_backend')
            -- Whoever may become authenticated writes the claims too, and is any member that they name.
            else target.oid in (select powerful.oid from powerful)
                or member.rolcanlogin and target.rolname = 'authenticated'
        end
        -- What a member of an unprivileged role can reach is found at that role first.
    group by member.oid, member.rolname
    union all
    select bulkhead.offence_row(
        'role_membership',
        'authenticator',
        format('It inherits %s instead of switching to it', string_agg(target.rolname, ', ' order by target.rolname)),
        string_agg(
            format('grant %1$I to authenticator with inherit false%2$s;', target.rolname,
                (select edges.grantor from edges where edges.roleid = target.oid and edges.member = member.oid order by edges.grantor limit 1)),
            ' ' order by target.rolname
        ),
        'select roleid::regrole, member::regrole from pg_catalog.pg_auth_members where member = ''authenticator''::regrole'
    )
    from pg_catalog.pg_roles as member
    join pg_catalog.pg_roles as target on target.rolname in ('anon', 'authenticated', 'service_role', 'bulkhead_service')
    where member.rolname = 'authenticator'
        -- Before 16 inheritance is an attribute of the role, see role_attributes.
        and current_setting('server_version_num')::integer >= 160000
        and not member.rolsuper
        and pg_has_role(member.oid, target.oid, 'usage')
    having count(*) > 0
    union all
    -- An owner may change, drop and open what is theirs, whatever is granted. Protected tables, the kit and the exposed
    -- schemas have rules of their own; direct roles may have tables.
    select bulkhead.offence_row(
        'role_owns',
        format('%s %s', owned.type, owned.identity),
        format('It belongs to %I: whoever arrives as that role may change, drop and open it', owner.rolname),
        format('alter %s %s owner to postgres;', owned.type, owned.identity),
        'select deptype, pg_describe_object(classid, objid, 0), refobjid::regrole from pg_catalog.pg_shdepend where refclassid = ''pg_authid''::regclass and deptype = ''o'''
    )
    from pg_catalog.pg_shdepend as held
    join pg_catalog.pg_roles as owner
        on owner.oid = held.refobjid
        and owner.rolname in ('anon', 'authenticated', 'service_role', 'bulkhead_service', 'authenticator')
    cross join lateral pg_identify_object(held.classid, held.objid, 0) as owned
    where held.refclassid = 'pg_catalog.pg_authid'::regclass
        and held.deptype = 'o'
        and held.dbid = (select d.oid from pg_catalog.pg_database as d where d.datname = current_database())
        and held.classid in ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_namespace'::regclass)
        and coalesce(owned.schema, owned.name) not in ('bulkhead', 'bulkhead_api')
        and coalesce(owned.schema, owned.name) !~ '^pg_(toast_)?temp'
        and held.objid not in (select t.relation from bulkhead.protected_catalog as t)
        and held.objid not in (select served.oid from bulkhead.exposed_schemas as served)
        -- The sequence of a column goes with its table.
        and not exists (
            select
            from pg_catalog.pg_depend as part
            where part.classid = held.classid
                and part.objid = held.objid
                and part.refclassid = 'pg_catalog.pg_class'::regclass
                and part.deptype in ('a', 'i')
                and owned.type = 'sequence'
        )
    union all
    select bulkhead.offence_row(
        'setting_pinned',
        concat_ws(' ', case when held.setdatabase <> 0 then 'database' end, role.rolname, setting.name),
        case
            when setting.name = 'pgrst.db_schemas' then format('The API serves a schema of the kit: %s', setting.value)
            when setting.name = 'pgrst.db_anon_role' then format('Requests without a login arrive as %s', setting.value)
            else format('Every session starts with %s = %s', setting.name, setting.value)
        end,
        case
            when role.oid is null and held.setdatabase = 0 then format('alter role all reset %s;', setting.quoted)
            when role.oid is null then format('alter database %I reset %s;', current_database(), setting.quoted)
            when held.setdatabase <> 0 then format('alter role %I in database %I reset %s;', role.rolname, current_database(), setting.quoted)
            else format('alter role %I reset %s;', role.rolname, setting.quoted)
        end,
        'select setdatabase, setrole::regrole, setconfig from pg_catalog.pg_db_role_setting'
    )
    from pg_catalog.pg_db_role_setting as held
    left join pg_catalog.pg_roles as role on role.oid = held.setrole
    cross join lateral unnest(held.setconfig) as entry (text)
    cross join lateral (
        select
            split_part(entry.text, '=', 1) as name,
            substr(entry.text, strpos(entry.text, '=') + 1) as value,
            (
                select string_agg(format('%I', part.name), '.' order by part.position)
                from unnest(string_to_array(split_part(entry.text, '=', 1), '.')) with ordinality as part (name, position)
            ) as quoted
    ) as setting
    where held.setdatabase in (0, (select d.oid from pg_catalog.pg_database as d where d.datname = current_database()))
        and bulkhead.is_dangerous_setting(setting.name, setting.value)
    union all
    select bulkhead.offence_row(
        'setting_pinned',
        'server ' || setting.name,
        format('The server starts every session with %s = %s', setting.name, setting.reset_val),
        format('Take %s out of the server''s configuration (%s) and reload it', setting.name, setting.source),
        format('select * from pg_catalog.pg_settings where name = %L', setting.name)
    )
    from pg_catalog.pg_settings as setting
    where setting.name in ('session_replication_role', 'row_security', 'lo_compat_privileges', 'event_triggers')
        and setting.source in ('configuration file', 'command line', 'environment variable', 'global')
        and bulkhead.is_dangerous_setting(setting.name, setting.reset_val)
    union all
    select bulkhead.offence_row(
        'function_setting',
        proc.oid::regprocedure::text,
        format('It runs with %s', entry.text),
        format('alter function %s reset %s;', proc.oid::regprocedure, (
            select string_agg(format('%I', part.name), '.' order by part.position)
            from unnest(string_to_array(split_part(entry.text, '=', 1), '.')) with ordinality as part (name, position)
        )),
        format('select proconfig from pg_catalog.pg_proc where oid = %L::regprocedure', proc.oid::regprocedure)
    )
    from pg_catalog.pg_proc as proc
    join pg_catalog.pg_namespace as namespace on namespace.oid = proc.pronamespace
    cross join lateral unnest(proc.proconfig) as entry (text)
    where proc.proconfig is not null
        and namespace.nspname !~ '^pg_'
        and namespace.nspname <> all (bulkhead.platform_schemas())
        and split_part(entry.text, '=', 1) <> 'row_security'
        and bulkhead.is_dangerous_setting(split_part(entry.text, '=', 1), substr(entry.text, strpos(entry.text, '=') + 1))
        and not exists (
            select
            from pg_catalog.pg_depend as member
            where member.classid = 'pg_catalog.pg_proc'::regclass
                and member.objid = proc.oid
                and member.deptype = 'e'
        )
$$;
comment on function bulkhead.offences_of_roles() is 'Offenders of the rules about roles, memberships and pinned settings';
revoke all on function bulkhead.offences_of_roles() from public;

create function bulkhead.offences_of_replication()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with precious as materialized (
        select t.relation::oid as relation, t.qualified
        from bulkhead.protected_catalog as t
        union all
        select class.oid, format('bulkhead.%I', class.relname)
        from pg_catalog.pg_class as class
        where class.relnamespace = 'bulkhead'::regnamespace
            and class.relkind in ('r', 'p')
    )
    select bulkhead.offence_row(
        'publication_exposes',
        publication.pubname,
        'It carries the rows of every table away, the audit trail''s too; no policy applies to a publication',
        format('drop publication %I;', publication.pubname),
        'select * from pg_catalog.pg_publication_tables'
    )
    from pg_catalog.pg_publication as publication
    where publication.puballtables
    union all
    -- Realtime asks the policies for each row that it sends, so single tables may be in its publication.
    select bulkhead.offence_row(
        'publication_exposes',
        format('%s of %s', precious.qualified, publication.pubname),
        'It carries the rows of all tenants away; no policy applies to a publication',
        format('alter publication %I drop table %s;', publication.pubname, precious.qualified),
        format('select * from pg_catalog.pg_publication_tables where pubname = %L', publication.pubname)
    )
    from pg_catalog.pg_publication_rel as member
    join pg_catalog.pg_publication as publication on publication.oid = member.prpubid
    join precious on precious.relation = member.prrelid
    where publication.pubname <> 'supabase_realtime'
        or precious.qualified like 'bulkhead.%'
    union all
    select bulkhead.offence_row(
        'publication_exposes',
        format('schema %I of %s', namespace.nspname, publication.pubname),
        'It carries the rows of all tenants away, those of tomorrow''s tables too; no policy applies to a publication',
        format('alter publication %I drop tables in schema %I;', publication.pubname, namespace.nspname),
        format('select * from pg_catalog.pg_publication_tables where pubname = %L', publication.pubname)
    )
    from pg_catalog.pg_publication_namespace as member
    join pg_catalog.pg_publication as publication on publication.oid = member.pnpubid
    join pg_catalog.pg_namespace as namespace on namespace.oid = member.pnnspid
    where exists (
        select
        from precious
        join pg_catalog.pg_class as class on class.oid = precious.relation
        where class.relnamespace = member.pnnspid
    )
    union all
    select bulkhead.offence_row(
        'replica_identity_changed',
        t.qualified,
        format('It is %s, declared was %s', names.now_, names.was),
        format('alter table %s replica identity %s;', t.qualified, names.was),
        format('select relreplident from pg_catalog.pg_class where oid = %L::regclass', t.qualified)
    )
    from bulkhead.protected_catalog as t
    join pg_catalog.pg_class as class on class.oid = t.relation
    cross join lateral (
        select
            case class.relreplident when 'd' then 'default' when 'f' then 'full' when 'n' then 'nothing' else 'using index' end as now_,
            t.declared ->> 'replica_identity' as was
    ) as names
    where names.was is not null
        and split_part(names.was, ' ', 1) <> split_part(names.now_, ' ', 1)
    union all
    select bulkhead.offence_row(
        'subscription_writes',
        subscription.subname,
        'What it applies fires no statement trigger: rows change without guard and audit',
        format('alter subscription %1$I disable; alter subscription %1$I set (slot_name = none); drop subscription %1$I;', subscription.subname),
        'select subname, subenabled from pg_catalog.pg_subscription'
    )
    from pg_catalog.pg_subscription as subscription
    where subscription.subdbid = (select d.oid from pg_catalog.pg_database as d where d.datname = current_database())
$$;
comment on function bulkhead.offences_of_replication() is 'Offenders of the rules about publications, replica identities and subscriptions';
revoke all on function bulkhead.offences_of_replication() from public;

-- A word in a comment or in a message to people is no code; a string that is run as SQL is.
create function bulkhead.code_of(body text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select lower(regexp_replace(body, '(''(?:[^'']|'''')*'')|--[^\n]*|/\*(?:[^*]|\*+[^*/])*\*+/', '\1 ', 'g'))
$$;
comment on function bulkhead.code_of(text) is 'A function''s body in lower case without its comments; what looks like one in a string stays';
revoke all on function bulkhead.code_of(text) from public;

create function bulkhead.without_strings(code text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select regexp_replace(code, '''(?:[^'']|'''')*''', '''''', 'g')
$$;
comment on function bulkhead.without_strings(text) is 'Code with its strings emptied';
revoke all on function bulkhead.without_strings(text) from public;

create function bulkhead.relations_in(code text)
returns text[]
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    with words (part) as (
        -- After the words that a relation follows, in a list after FROM, and whatever carries a schema.
        select concat_ws('.', found.parts[1], found.parts[2])
        from regexp_matches(
            code,
            '\m(?:from|join|into|update|using|only|table|copy|truncate)\s+(?:(?:only|lateral|strict|table)\s+)*'
            '(?:("[^"]+"|[^\s".,;()=<>|:''*+/-]+)\s*\.\s*)?("[^"]+"|[^\s".,;()=<>|:''*+/-]+)', 'g'
        ) as found (parts)
        union
        select regexp_replace(trim(item), '\s.*$', '')
        from regexp_matches(
            code, '\mfrom\s+((?:[^\s,;()''=]+(?:\s+(?:as\s+)?[^\s,;()''=]+)?\s*,\s*)+[^\s,;()''=]+)', 'g'
        ) as found (parts)
        cross join lateral string_to_table(found.parts[1], ',') as item
        union
        select concat_ws('.', found.parts[1], found.parts[2])
        from regexp_matches(code, '("[^"]+"|[^\s".,;()=<>|:''*+/-]+)\s*\.\s*("[^"]+"|[^\s".,;()=<>|:''*+/-]+)', 'g') as found (parts)
    )
    select coalesce(array_agg(replace(words.part, '"', '')), '{}')
    from words
$$;
comment on function bulkhead.relations_in(text) is 'What a function''s code may name as a relation: name, or schema.name, in lower case';
revoke all on function bulkhead.relations_in(text) from public;

create function bulkhead.offences_of_code()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with recursive readers as (
        -- Every view that shows rows of a protected table, at any depth.
        select
            t.relation as source,
            rewrite.ev_class as reader
        from (
            select p.relation::oid as relation
            from bulkhead.protected_catalog as p
            union all
            select class.oid
            from pg_catalog.pg_class as class
            where class.relnamespace = 'bulkhead'::regnamespace
                and class.relkind in ('r', 'p')
        ) as t
        join pg_catalog.pg_depend as depend
            on depend.refclassid = 'pg_catalog.pg_class'::regclass
            and depend.refobjid = t.relation
            and depend.classid = 'pg_catalog.pg_rewrite'::regclass
        join pg_catalog.pg_rewrite as rewrite
            on rewrite.oid = depend.objid
            and rewrite.ev_class <> t.relation
        union
        select
            readers.source,
            rewrite.ev_class
        from readers
        join pg_catalog.pg_depend as depend
            on depend.refclassid = 'pg_catalog.pg_class'::regclass
            and depend.refobjid = readers.reader
            and depend.classid = 'pg_catalog.pg_rewrite'::regclass
        join pg_catalog.pg_rewrite as rewrite
            on rewrite.oid = depend.objid
            and rewrite.ev_class <> readers.reader
    ),
    reachable as materialized (
        select
            class.oid,
            class.relkind,
            class.reloptions,
            format('%I.%I', namespace.nspname, class.relname) as qualified,
            sources.names,
            roles.names as role_names
        from (
            select
                readers.reader,
                string_agg(distinct readers.source::regclass::text, ', ') as names
            from readers
            group by readers.reader
        ) as sources
        join pg_catalog.pg_class as class on class.oid = sources.reader
        join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
        cross join lateral (
            select string_agg(format('%I', role.rolname), ', ' order by role.rolname) as names
            from bulkhead.request_roles as role
            where role.obeys_rls
                and has_schema_privilege(role.oid, namespace.oid, 'usage')
                and (
                    has_table_privilege(role.oid, class.oid, 'select, insert, update, delete')
                    or has_any_column_privilege(role.oid, class.oid, 'select, insert, update')
                )
        ) as roles
        where class.relkind in ('v', 'm')
            and roles.names is not null
    ),
    routines as materialized (
        select
            proc.oid,
            proc.proname,
            proc.pronargs,
            proc.prosecdef,
            proc.prorettype,
            proc.proconfig,
            proc.proowner,
            namespace.oid as namespace,
            namespace.nspname,
            proc.oid::regprocedure::text as signature,
            language.lanname,
            code.body,
            -- What is put together as it runs has its tables in strings.
            case when code.body ~ '\mexecute\M' or language.lanname not in ('sql', 'plpgsql') then code.body else bulkhead.without_strings(code.body) end as words,
            code.body ~ 'bulkhead\.current_tenant|auth\.(uid|jwt|email)|request\.jwt|bulkhead\.member_tenants' as is_asking,
            namespace.oid in (select served.oid from bulkhead.exposed_schemas as served) as is_served
        from pg_catalog.pg_proc as proc
        join pg_catalog.pg_namespace as namespace on namespace.oid = proc.pronamespace
        join pg_catalog.pg_language as language on language.oid = proc.prolang
        cross join lateral (select bulkhead.code_of(coalesce(pg_get_function_sqlbody(proc.oid), proc.prosrc)) as body) as code
        where proc.prokind in ('f', 'p')
            and namespace.nspname !~ '^pg_'
            and namespace.nspname <> all (bulkhead.platform_schemas())
            and language.lanname not in ('c', 'internal')
            and not exists (
                select
                from pg_catalog.pg_depend as member
                where member.classid = 'pg_catalog.pg_proc'::regclass
                    and member.objid = proc.oid
                    and member.deptype = 'e'
            )
    ),
    precious (name) as (
        select lower(format('%s.%s', namespace.nspname, class.relname))
        from (
            select t.relation
            from bulkhead.protected_catalog as t
            union
            select readers.reader
            from readers
            union
            select class.oid
            from pg_catalog.pg_class as class
            where class.relnamespace = 'bulkhead'::regnamespace
                and class.relkind in ('r', 'p')
        ) as source
        join pg_catalog.pg_class as class on class.oid = source.relation
        join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
    ),
    workers as materialized (
        -- Those whose own code works on tenants' rows.
        select
            routines.oid,
            string_agg(distinct split_part(precious.name, '.', 2), ', ') as names
        from routines
        cross join lateral unnest(bulkhead.relations_in(routines.words)) as said (name)
        join precious on said.name in (precious.name, split_part(precious.name, '.', 2))
        group by routines.oid
    ),
    definers as materialized (
        select
            routines.*,
            string_agg(quote_ident(role.rolname), ', ' order by role.rolname) as callers
        from routines
        left join bulkhead.request_roles as role
            on role.obeys_rls
            and has_schema_privilege(role.oid, routines.namespace, 'usage')
            and has_function_privilege(role.oid, routines.oid, 'execute')
        where routines.prosecdef
        group by
            routines.oid, routines.proname, routines.pronargs, routines.prosecdef, routines.prorettype, routines.proconfig, routines.proowner,
            routines.namespace, routines.nspname, routines.signature, routines.lanname, routines.body, routines.words, routines.is_asking, routines.is_served
        having routines.is_served
            or count(role.oid) > 0
    )
    select bulkhead.offence_row(
        'view_bypasses_rls',
        r.qualified,
        format('It reads %s as its owner, past every policy, and %s may use it', r.names, r.role_names),
        format('alter view %s set (security_invoker = true);', r.qualified),
        format('select reloptions from pg_catalog.pg_class where oid = %L::regclass', r.qualified)
    )
    from reachable as r
    where r.relkind = 'v'
        and not exists (
            select
            from pg_options_to_table(r.reloptions) as option
            where option.option_name = 'security_invoker'
                and option.option_value::boolean
        )
    union all
    select bulkhead.offence_row(
        'materialized_view_exposed',
        r.qualified,
        format('It holds rows of %s for all tenants, no policy applies to it, and %s may read it', r.names, r.role_names),
        format('revoke all on table %s from public, %s;', r.qualified, r.role_names),
        format('select relacl from pg_catalog.pg_class where oid = %L::regclass', r.qualified)
    )
    from reachable as r
    where r.relkind = 'm'
    union all
    select bulkhead.offence_row(
        'rewrite_rule',
        format('%s.%I', t.qualified, rewrite.rulename),
        'A rule changes what a statement on this table does, before guard and policy see it',
        format('drop rule %I on %s;', rewrite.rulename, t.qualified),
        format('select pg_get_ruledef(%s)', rewrite.oid)
    )
    from bulkhead.protected_catalog as t
    join pg_catalog.pg_rewrite as rewrite on rewrite.ev_class = t.relation
    union all
    select bulkhead.offence_row(
        'definer_search_path',
        d.signature,
        'It runs with its owner''s rights and its caller''s search_path: whoever creates an object in front decides what it does',
        format('alter routine %s set search_path = pg_catalog, %I, pg_temp;', d.signature, d.nspname),
        format('select proconfig from pg_catalog.pg_proc where oid = %L::regprocedure', d.signature)
    )
    from definers as d
    where not exists (
        select
        from unnest(d.proconfig) as setting
        where setting like 'search\_path=%'
    )
    union all
    select bulkhead.offence_row(
        'definer_anon',
        d.signature,
        'Anybody may call it without logging in, and it runs with its owner''s rights',
        format('revoke execute on routine %s from public, anon;', d.signature),
        format('select proacl from pg_catalog.pg_proc where oid = %L::regprocedure', d.signature)
    )
    from definers as d
    join pg_catalog.pg_roles as anon on anon.rolname = 'anon'
    where has_function_privilege(anon.oid, d.oid, 'execute')
        and (d.is_served or has_schema_privilege(anon.oid, d.namespace, 'usage'))
        -- A trigger function cannot be called as such.
        and d.prorettype not in ('pg_catalog.trigger'::regtype, 'pg_catalog.event_trigger'::regtype)
    union all
    -- By the words of its body: a function that never asks who is calling shows every tenant's rows to its caller.
    select bulkhead.offence_row(
        'definer_reads_tenants',
        d.signature,
        case
            when works.names is not null then format('It works on %s as its owner, past every policy, and never asks who is calling', works.names)
            else 'It runs SQL that is put together as it runs, as its owner, past every policy, and never asks who is calling'
        end,
        format('alter routine %s security invoker;', d.signature),
        format('select pg_get_functiondef(%L::regprocedure)', d.signature)
    )
    from definers as d
    join pg_catalog.pg_roles as owner
        on owner.oid = d.proowner
        and (owner.rolbypassrls or owner.rolsuper)
    cross join lateral (
        select coalesce(
            (select w.names from workers as w where w.oid = d.oid),
            -- What it calls does the work, with its rights.
            (
                select string_agg(distinct w.names, ', ')
                from regexp_matches(d.words, '("[^"]+"|[^\s".,;()=<>|:''*+/-]+)\s*\(', 'g') as called (parts)
                join routines as callee
                    on lower(callee.proname) = replace(called.parts[1], '"', '')
                    and callee.oid <> d.oid
                    and not callee.is_asking
                join workers as w on w.oid = callee.oid
            )
        ) as names
    ) as works
    where (
            works.names is not null
            -- More than EXECUTE of one fixed string, and something of its caller's to put into it.
            or d.lanname = 'plpgsql'
            and d.pronargs > 0
            and bulkhead.without_strings(d.body) ~ '\mexecute\s+(?!function\M|procedure\M|''''\s*(;|using\M|into\M))'
        )
        and d.prorettype not in ('pg_catalog.trigger'::regtype, 'pg_catalog.event_trigger'::regtype)
        and not d.is_asking
        and d.callers is not null
    union all
    select bulkhead.offence_row(
        'function_leakproof',
        proc.oid::regprocedure::text,
        'Marked leakproof, it is run on rows before the policies have hidden any',
        format('alter function %s not leakproof;', proc.oid::regprocedure),
        format('select proleakproof from pg_catalog.pg_proc where oid = %L::regprocedure', proc.oid::regprocedure)
    )
    from pg_catalog.pg_proc as proc
    join pg_catalog.pg_namespace as namespace on namespace.oid = proc.pronamespace
    where proc.proleakproof
        and namespace.nspname !~ '^pg_'
        and namespace.nspname not in ('information_schema', 'bulkhead', 'bulkhead_api')
        and not exists (
            select
            from pg_catalog.pg_depend as member
            where member.classid = 'pg_catalog.pg_proc'::regclass
                and member.objid = proc.oid
                and member.deptype = 'e'
        )
    union all
    select bulkhead.offence_row(
        'kit_function_changed',
        installed.signature,
        case when proc.oid is null then 'It is gone' else 'It is not what the migrations installed' end,
        rtrim(installed.definition) || ';',
        format('select pg_get_functiondef(%L::regprocedure)', installed.signature)
    )
    from bulkhead.kit_functions as installed
    left join pg_catalog.pg_proc as proc on proc.oid = to_regprocedure(installed.signature)
    where proc.oid is null
        or pg_get_functiondef(proc.oid) <> installed.definition
    union all
    select bulkhead.offence_row(
        'kit_function_changed',
        proc.oid::regprocedure::text,
        'No migration of the kit installed it: it may stand in front of a function of the same name',
        format('drop %s %s;', case proc.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end, proc.oid::regprocedure),
        format('select pg_get_functiondef(%L::regprocedure)', proc.oid::regprocedure)
    )
    from pg_catalog.pg_proc as proc
    join pg_catalog.pg_namespace as namespace on namespace.oid = proc.pronamespace
    where namespace.nspname in ('bulkhead', 'bulkhead_api')
        and not exists (select from bulkhead.kit_functions as installed where installed.signature = proc.oid::regprocedure::text)
        and not exists (select from bulkhead.protected_tables as t where t.audit_function = proc.proname)
    union all
    select offence
    from bulkhead.offences_of_kit() as offence
    where offence.rule <> 'ledger_changed'
$$;
comment on function bulkhead.offences_of_code() is 'Offenders of the rules about views, rules and functions';
revoke all on function bulkhead.offences_of_code() from public;
