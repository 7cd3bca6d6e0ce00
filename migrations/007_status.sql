-- Status: every rule of the boundary, the trail, the guard and the schedule, answered from the catalogs.
-- Public objects: views bulkhead.rules, protected_catalog, exposed_schemas, kit_catalog, surroundings; functions
--   bulkhead.checks(), findings(), status(), checks_<category>(), accept(), unaccept(), repairs(), declare_kit().
-- Each rule has docs/checks/<name>.md. Each remediation is SQL that can be run as it stands.
-- Never: passes when a precondition is missing (that is unknown), writes anything, believes an attestation or an
--   exemption about a structural hole.
-- No security definer functions. Errors: BH701 unknown category, BH702 no such finding, BH703 it can't be accepted.

-- ---------------------------------------------------------------- the rules

create view bulkhead.rules
with (security_invoker = true)
as
select
    row_number() over () as position,
    rule.name,
    rule.category,
    rule.severity,
    rule.scope,
    rule.title
from (values
    ('kit_installed',              'boundary', 'critical', 'database', 'Every part of the kit is installed'),
    ('settings_configured',        'boundary', 'critical', 'database', 'The tenants table is configured'),
    ('tables_protected',           'boundary', 'critical', 'database', 'Tables are protected'),
    ('kit_function_changed',       'boundary', 'critical', 'database', 'The kit''s functions are as installed'),
    ('kit_object_changed',         'boundary', 'critical', 'database', 'The kits tables and views are as installed'),
    ('kit_execute',                'boundary', 'critical', 'database', 'The kits functions are granted as installed'),
    ('kit_grant',                  'boundary', 'critical', 'database', 'API roles cannot write the kit''s tables'),
    ('role_bypasses_rls',          'boundary', 'critical', 'database', 'API roles obey row level security'),
    ('role_attributes',            'boundary', 'critical', 'database', 'API roles have no powers of their own'),
    ('role_membership',            'boundary', 'critical', 'database', 'No role reaches past row level security'),
    ('setting_pinned',             'boundary', 'critical', 'database', 'No setting names a tenant or switches protection off'),
    ('search_path_changed',        'boundary', 'warning',  'database', 'Search paths and hooks are as declared'),
    ('schema_create',              'boundary', 'critical', 'database', 'API roles create nothing'),
    ('table_unclassified',         'boundary', 'critical', 'exposed',  'Every exposed table is protected or exempt'),
    ('exempt_table_exposed',       'boundary', 'critical', 'exempt',   'No exempt table shows tenant data'),
    ('protected_table_missing',    'boundary', 'critical', 'tables',   'Every protected table is where it was declared'),
    ('child_unprotected',          'boundary', 'critical', 'tables',   'Partitions and children are protected too'),
    ('parent_unprotected',         'boundary', 'critical', 'tables',   'No unprotected table shows rows of a protected one'),
    ('declaration_missing',        'boundary', 'critical', 'tables',   'Every protected table has its declaration'),
    ('tenant_column_missing',      'boundary', 'critical', 'tables',   'The tenant column has the tenants'' type'),
    ('tenant_column_nullable',     'boundary', 'critical', 'tables',   'The tenant column is not null'),
    ('tenant_column_default',      'boundary', 'critical', 'tables',   'The tenant column has no default'),
    ('tenant_key_missing',         'boundary', 'critical', 'tables',   'Tenant and key are unique together'),
    ('tenant_reference_missing',   'boundary', 'critical', 'tables',   'The tenant column references the tenants table'),
    ('foreign_key_without_tenant', 'boundary', 'critical', 'tables',   'Foreign keys carry the tenant'),
    ('foreign_key_cascades',       'boundary', 'critical', 'tables',   'Foreign keys restrict, nothing cascades'),
    ('foreign_key_not_valid',      'boundary', 'critical', 'tables',   'Foreign keys are validated'),
    ('foreign_key_not_enforced',   'boundary', 'critical', 'tables',   'Foreign keys are enforced'),
    ('foreign_key_deferrable',     'boundary', 'critical', 'tables',   'No foreign key waits that did not'),
    ('constraint_dropped',         'boundary', 'critical', 'tables',   'No declared constraint is gone'),
    ('unique_without_tenant',      'boundary', 'warning',  'tables',   'New uniques carry the tenant'),
    ('rls_disabled',               'boundary', 'critical', 'tables',   'Row level security is enabled'),
    ('rls_not_forced',             'boundary', 'critical', 'tables',   'Row level security is forced'),
    ('tenant_policy',              'boundary', 'critical', 'tables',   'The restrictive tenant policy stands'),
    ('access_policy_missing',      'boundary', 'warning',  'tables',   'Members can see their own rows'),
    ('anon_policy',                'boundary', 'critical', 'tables',   'No policy for anon or everybody'),
    ('policy_changed',             'boundary', 'warning',  'tables',   'Policies are as declared'),
    ('anon_grant',                 'boundary', 'critical', 'tables',   'No grant to anon or everybody'),
    ('dangerous_grant',            'boundary', 'critical', 'tables',   'No TRUNCATE, REFERENCES or TRIGGER for API roles'),
    ('grant_option',               'boundary', 'critical', 'tables',   'Nobody may pass rights on'),
    ('sequence_grant',             'boundary', 'critical', 'exposed',  'No sequence for anon or everybody'),
    ('default_privileges',         'boundary', 'critical', 'database', 'New objects are not opened to more roles than declared'),
    ('owner_obeys_rls',            'boundary', 'critical', 'tables',   'Table owners are trusted and bypass RLS'),
    ('rewrite_rule',               'boundary', 'critical', 'tables',   'No rule rewrites a protected table'),
    ('view_bypasses_rls',          'boundary', 'critical', 'tables',   'Views ask as their reader'),
    ('materialized_view_exposed',  'boundary', 'critical', 'tables',   'No materialized view shows tenant data'),
    ('definer_search_path',        'boundary', 'warning',  'exposed',  'Definer functions pin their search_path'),
    ('definer_anon',               'boundary', 'critical', 'exposed',  'Definer functions are not open to anon'),
    ('definer_reads_tenants',      'boundary', 'critical', 'exposed',  'Definer functions ask who is asking'),
    ('function_leakproof',         'boundary', 'critical', 'database', 'No function is trusted in front of policies'),
    ('function_setting',           'boundary', 'critical', 'database', 'No function switches role, guard or tenant'),
    ('publication_exposes',        'boundary', 'critical', 'tables',   'No publication carries tenants rows away'),
    ('replica_identity_changed',   'boundary', 'warning',  'tables',   'Replica identities are as declared'),
    ('subscription_writes',        'boundary', 'warning',  'database', 'No subscription writes past the audit'),
    ('ledger_append_only',         'trail',    'critical', 'ledger',   'The audit trail is append-only'),
    ('ledger_grant',               'trail',    'critical', 'ledger',   'Nobody may change the audit trail'),
    ('ledger_rls',                 'trail',    'critical', 'ledger',   'Row level security holds the audit trail'),
    ('ledger_policy',              'trail',    'critical', 'ledger',   'Members can read their own trail only'),
    ('ledger_partition_missing',   'trail',    'critical', 'ledger',   'The audit trail has room for this month and the next'),
    ('ledger_changed',             'trail',    'critical', 'ledger',   'The audit trail is built as installed'),
    ('ledger_role',                'trail',    'critical', 'ledger',   'The audit trails writer can do nothing else'),
    ('seal_lag',                   'trail',    'critical', 'ledger',   'The audit trail is sealed'),
    ('seal_broken',                'trail',    'critical', 'ledger',   'The newest seals match the audit trail'),
    ('write_trigger',              'guard',    'critical', 'tables',   'Guard and audit triggers are enabled always'),
    ('write_function',             'guard',    'critical', 'tables',   'Guard and audit functions are as generated'),
    ('trigger_shadows',            'guard',    'critical', 'tables',   'No other trigger moves or swallows rows'),
    ('trigger_changed',            'guard',    'warning',  'tables',   'Declared triggers stand'),
    ('guard_trust',                'guard',    'critical', 'database', 'No API role is trusted by the guard'),
    ('timetable_missing',          'schedule', 'critical', 'database', 'The timetable is installed'),
    ('job_missing',                'schedule', 'critical', 'jobs',     'Every job is scheduled, active and unchanged'),
    ('job_unknown',                'schedule', 'warning',  'jobs',     'No job pretends to be the kit''s'),
    ('job_failed',                 'schedule', 'critical', 'jobs',     'The last run of every job succeeded'),
    ('job_overdue',                'schedule', 'critical', 'jobs',     'Every job runs on time')
) as rule (name, category, severity, scope, title);
comment on view bulkhead.rules is
    'Every structural rule of the status check; docs/checks/<name>.md says what each means';
revoke all on bulkhead.rules from public, anon, authenticated, service_role;

-- What a rule's query answers: one row for each offender.
create type bulkhead.offence as (
    rule text,
    subject text,
    detail text,
    remediation text,
    reproduce_sql text,
    observed numeric,
    threshold numeric,
    status text
);
comment on type bulkhead.offence is
    'One offender of one rule; status is fail, or unknown where it could not be evaluated';

create function bulkhead.offence_row(
    rule text,
    subject text,
    detail text,
    remediation text,
    reproduce_sql text default null,
    observed numeric default null,
    threshold numeric default null,
    status text default 'fail'
)
returns bulkhead.offence
language sql
immutable
as $$
    select row(rule, subject, detail, remediation, reproduce_sql, observed, threshold, status)::bulkhead.offence
$$;
comment on function bulkhead.offence_row is
    'Builds one offender; no search_path of its own, so that the planner can inline it';
revoke all on function bulkhead.offence_row from public;

-- One row for each protected table that still exists, with what every rule needs to know of it.
create view bulkhead.protected_catalog
with (security_invoker = true)
as
select
    declared.relation,
    declared.parent,
    declared.schema_name as declared_schema,
    declared.table_name as declared_name,
    declared.tenant_column,
    declared.tenant_type,
    declared.key_columns,
    declared.is_tenants_table,
    declared.audit_function,
    declared.declared,
    namespace.nspname as schema_name,
    class.relname as table_name,
    format('%I.%I', namespace.nspname, class.relname) as qualified,
    class.relkind,
    class.relrowsecurity,
    class.relforcerowsecurity,
    class.relowner,
    class.relacl,
    tenant.attnum as tenant_number,
    tenant.atttypid as tenant_atttypid,
    tenant.attnotnull as tenant_is_not_null,
    tenant.atthasdef as tenant_has_default,
    tenant.attidentity as tenant_identity,
    tenant.attgenerated as tenant_generated,
    -- Partitions are protected through their root, another tenant column is named.
    format(
        'select bulkhead.protect(%L%s);',
        coalesce(root_name.qualified, format('%I.%I', namespace.nspname, class.relname)),
        case
            when declared.is_tenants_table or declared.tenant_column = settings.tenant_column then ''
            else format(', %L', declared.tenant_column)
        end
    ) as protect_sql
from bulkhead.protected_tables as declared
cross join bulkhead.settings as settings
join pg_catalog.pg_class as class on class.oid = declared.relation
join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
left join pg_catalog.pg_attribute as tenant
    on tenant.attrelid = declared.relation
    and tenant.attname = declared.tenant_column
    and not tenant.attisdropped
left join lateral (
    select format('%I.%I', n.nspname, c.relname) as qualified
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where c.oid = declared.parent
) as root_name on true;
comment on view bulkhead.protected_catalog is
    'Each protected table that still exists, as the catalogs have it now';
revoke all on bulkhead.protected_catalog from public, anon, authenticated, service_role;

-- Roles that requests arrive as: those of the API and the configured direct ones.
create view bulkhead.request_roles
with (security_invoker = true)
as
select
    role.oid,
    role.rolname,
    role.rolsuper,
    role.rolbypassrls,
    role.rolname in ('anon', 'authenticated') or role.rolname = any (settings.direct_roles) as obeys_rls
from pg_catalog.pg_roles as role
cross join bulkhead.settings as settings
where role.rolname in ('anon', 'authenticated', 'service_role', 'authenticator')
    or role.rolname = any (settings.direct_roles);
comment on view bulkhead.request_roles is
    'Roles that requests arrive as; obeys_rls says which of them row level security must hold';
revoke all on bulkhead.request_roles from public, anon, authenticated, service_role;

-- Not the setting alone: emptying it must not hide a table that the API serves.
create view bulkhead.exposed_schemas
with (security_invoker = true)
as
select namespace.oid, namespace.nspname
from pg_catalog.pg_namespace as namespace
where namespace.nspname in (
        select unnest(settings.exposed_schemas)
        from bulkhead.settings as settings
        union all
        -- What PostgREST was told to serve, where it is told so in the database.
        select trim(both ' "' from served.name)
        from pg_catalog.pg_db_role_setting as role_setting
        join pg_catalog.pg_roles as role on role.oid = role_setting.setrole
        cross join lateral unnest(role_setting.setconfig) as setting (text)
        cross join lateral string_to_table(substring(setting.text from '^pgrst\.db_schemas=(.*)$'), ',') as served (name)
        where role.rolname = 'authenticator'
            and role_setting.setdatabase in (0, (select d.oid from pg_catalog.pg_database as d where d.datname = current_database()))
        union all
        select 'public'::name as name
        where exists (
            select
            from pg_catalog.pg_roles as role
            where role.rolname in ('anon', 'authenticated')
                and has_schema_privilege(role.oid, 'public', 'usage')
        )
    )
    -- The platform's own, and the kit's.
    and namespace.nspname not in ('storage', 'graphql', 'graphql_public', 'realtime', 'bulkhead', 'bulkhead_api');
comment on view bulkhead.exposed_schemas is
    'Schemas that requests can reach: the configured ones, those that PostgREST serves, and public while API roles may use it';
revoke all on bulkhead.exposed_schemas from public, anon, authenticated, service_role;

create function bulkhead.platform_schemas()
returns name[]
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select array[
        'information_schema', 'auth', 'storage', 'realtime', '_realtime', 'supabase_functions', 'supabase_migrations', 'graphql',
        'graphql_public', 'extensions', 'vault', 'pgsodium', 'pgsodium_masks', 'cron', 'net', 'pgbouncer', '_analytics',
        '_supavisor', 'pgmq', 'pgtle', 'topology', 'tiger', 'tiger_data', 'bulkhead', 'bulkhead_api'
    ]::name[]
$$;
comment on function bulkhead.platform_schemas() is 'Schemas that belong to the platform or the kit, not to the application';
revoke all on function bulkhead.platform_schemas() from public;

-- Every partition and inheritance child under a protected table, at any depth.
create view bulkhead.table_family
with (security_invoker = true)
as
with recursive family as (
    select
        declared.relation::oid as root,
        link.inhparent as parent,
        link.inhrelid as child
    from bulkhead.protected_tables as declared
    join pg_catalog.pg_inherits as link on link.inhparent = declared.relation
    where declared.parent is null
    union
    select
        family.root,
        link.inhparent,
        link.inhrelid
    from family
    join pg_catalog.pg_inherits as link on link.inhparent = family.child
)
select root, parent, child
from family;
comment on view bulkhead.table_family is 'Partitions and inheritance children of protected tables, at any depth';
revoke all on bulkhead.table_family from public, anon, authenticated, service_role;

-- Roles that may see and do everything: the configured ones, the platform's, the one that made the cluster.
create view bulkhead.trusted_roles
with (security_invoker = true)
as
select
    role.oid,
    role.rolname
from pg_catalog.pg_roles as role
cross join bulkhead.settings as settings
where role.oid = 10
    or role.rolname like 'pg\_%'
    or role.rolname = any (settings.platform_roles)
    or role.rolname in (
        'supabase_admin', 'supabase_auth_admin', 'supabase_storage_admin', 'supabase_functions_admin',
        'supabase_replication_admin', 'supabase_read_only_user', 'supabase_realtime_admin', 'supabase_etl_admin',
        'supabase_privileged_role', 'supabase_superuser', 'dashboard_user', 'pgbouncer', 'cli_login_postgres',
        'pgsodium_keyholder', 'pgsodium_keyiduser', 'pgsodium_keymaker', 'pgtle_admin'
    );
comment on view bulkhead.trusted_roles is 'Roles that may bypass row level security: configured in settings, or the platform''s own';
revoke all on bulkhead.trusted_roles from public, anon, authenticated, service_role;

-- ---------------------------------------------------------------- boundary

create table bulkhead.kit_functions (
    signature text primary key,
    definition text not null,
    installed_at timestamptz not null default now()
);
comment on table bulkhead.kit_functions is
    'The kit''s own functions as the migrations installed them; a difference is a finding, and the definition its remedy';
alter table bulkhead.kit_functions enable row level security;
revoke all on bulkhead.kit_functions from public, anon, authenticated, service_role;

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
        when name = 'role' then value <> 'none'
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
    and (acl.grantee = 0 or grantee.rolname = 'anon' or acl.is_grantable or namespace.nspname in ('bulkhead', 'bulkhead_api'))
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
    format('setting:%s:%s:%s', held.setdatabase <> 0, role.rolname, entry.text),
    concat_ws(' ', case when held.setdatabase <> 0 then 'database' end, role.rolname, split_part(entry.text, '=', 1)),
    format('It was set to %s after the kit looked last', substr(entry.text, strpos(entry.text, '=') + 1)),
    case
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
        'search_path', 'pgrst.db_pre_request', 'pgrst.db_extra_search_path', 'local_preload_libraries', 'session_preload_libraries'
    );
comment on view bulkhead.surroundings is
    'Default privileges that open new objects, and search paths and hooks of roles: right or wrong only beside what was declared';
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
        ('002_audit_events', 'seal'),
        ('003_service_guard', 'create_tenant'),
        ('004_canaries', 'run_canaries'),
        ('005_alerting', 'dispatch_alerts'),
        ('006_backups', 'dispatch_backup'),
        ('007_status', 'status'),
        ('009_schedule', 'schedule')
    ) as part (migration, name)
    where not exists (
        select
        from pg_catalog.pg_proc as proc
        where proc.pronamespace = 'bulkhead'::regnamespace
            and proc.proname = part.name
    )
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
        cross join bulkhead.settings as settings
        where class.relkind in ('r', 'p', 'f')
            and (
                namespace.oid in (select served.oid from bulkhead.exposed_schemas as served)
                -- A copy in a schema that nobody serves yet, open to the API's roles all the same.
                or namespace.nspname !~ '^pg_'
                and namespace.nspname <> all (bulkhead.platform_schemas())
                and exists (
                    select
                    from pg_catalog.pg_attribute as a
                    where a.attrelid = class.oid
                        and a.attname = settings.tenant_column
                        and not a.attisdropped
                )
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
    -- An exemption is a statement; a tenant column that the API can read says otherwise.
    select bulkhead.offence_row(
        'exempt_table_exposed',
        format('%I.%I', namespace.nspname, class.relname),
        format('It is exempt, yet has the tenant column %I and API roles may use it', settings.tenant_column),
        format('revoke all on table %I.%I from public, anon, authenticated;', namespace.nspname, class.relname),
        format('select relacl from pg_catalog.pg_class where oid = %L::regclass', format('%I.%I', namespace.nspname, class.relname))
    )
    from bulkhead.exempt_tables as exempt
    cross join bulkhead.settings as settings
    join pg_catalog.pg_class as class on class.oid = exempt.relation
    join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
    join pg_catalog.pg_attribute as tenant
        on tenant.attrelid = class.oid
        and tenant.attname = settings.tenant_column
        and not tenant.attisdropped
    where exists (
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
                and other.contype in ('p', 'u', 'f')
                and pg_get_constraintdef(other.oid) = declared.definition
        )
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

create function bulkhead.create_policy_sql(qualified text, name text, declared jsonb)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'drop policy if exists %1$I on %2$s; create policy %1$I on %2$s as %3$s for %4$s to %5$s%6$s%7$s;',
        name,
        qualified,
        case when (declared ->> 'is_permissive')::boolean then 'permissive' else 'restrictive' end,
        case declared ->> 'command' when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
        (select string_agg(case when role = 'public' then role else format('%I', role) end, ', ') from jsonb_array_elements_text(declared -> 'roles') as role),
        ' using (' || (declared ->> 'using') || ')',
        ' with check (' || (declared ->> 'check') || ')'
    )
$$;
comment on function bulkhead.create_policy_sql(text, text, jsonb) is 'The statements that put a declared policy back';
revoke all on function bulkhead.create_policy_sql(text, text, jsonb) from public;

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
        format('%s may truncate, reference or put triggers on it, past every policy', string_agg(role.rolname, ', ' order by role.rolname)),
        format(
            'revoke truncate, references, trigger on table %s from %s;',
            t.qualified, string_agg(format('%I', role.rolname), ', ' order by role.rolname)
        ),
        format('select relacl from pg_catalog.pg_class where oid = %L::regclass', t.qualified)
    )
    from bulkhead.protected_catalog as t
    join bulkhead.request_roles as role
        on not role.rolsuper
        and role.rolname <> 'anon'
        and role.oid <> t.relowner
        and (
            has_table_privilege(role.oid, t.relation, 'truncate, trigger')
            or has_any_column_privilege(role.oid, t.relation, 'references')
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
        'kit_grant',
        format('%I.%I', namespace.nspname, class.relname),
        format('%s may write what the kit believes in', string_agg(role.rolname, ', ' order by role.rolname)),
        format(
            'revoke insert, update, delete, truncate, references, trigger on table %I.%I from public, %s;',
            namespace.nspname, class.relname, string_agg(format('%I', role.rolname), ', ' order by role.rolname)
        ),
        format('select relacl from pg_catalog.pg_class where oid = %L::regclass', format('%I.%I', namespace.nspname, class.relname))
    )
    from pg_catalog.pg_class as class
    join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
    join bulkhead.request_roles as role
        on not role.rolsuper
        and has_table_privilege(role.oid, class.oid, 'insert, update, delete, truncate, references, trigger')
    where namespace.nspname in ('bulkhead', 'bulkhead_api')
        and class.relkind in ('r', 'p', 'v')
        and class.relname not like 'audit\_events%'
        and class.relname not in ('audit_seals', 'audit_eras')
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
            format('%I.%I', namespace.nspname, class.relname) as qualified
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
    -- What a new sequence is given by default privileges is judged there, not here.
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
        and not exists (
            select
            from pg_catalog.pg_default_acl as defaults
            cross join lateral aclexplode(defaults.defaclacl) as given
            where defaults.defaclobjtype = 'S'
                and defaults.defaclrole = sequence.relowner
                and defaults.defaclnamespace in (0, sequence.relnamespace)
                and given.grantee = acl.grantee
                and given.privilege_type = acl.privilege_type
                and given.is_grantable >= acl.is_grantable
        )
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
    join bulkhead.request_roles as role
        on not role.rolsuper
        and has_schema_privilege(role.oid, namespace.oid, 'create')
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
        case when now_.kind = 'default' then 'default_privileges' else 'search_path_changed' end,
        now_.subject,
        now_.detail,
        now_.remediation,
        case
            when now_.kind = 'default' then 'select defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype, defaclacl from pg_catalog.pg_default_acl'
            else 'select setdatabase, setrole::regrole, setconfig from pg_catalog.pg_db_role_setting'
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
            case when role.rolcanlogin and role.rolname in ('anon', 'authenticated', 'service_role') then 'login' end,
            case when role.rolinherit and role.rolname = 'authenticator' then 'inherit: every request starts with all rights at once' end
        ),
        format('alter role %I', role.rolname) || concat_ws(
            '',
            case when role.rolcreaterole then ' nocreaterole' end,
            case when role.rolcreatedb then ' nocreatedb' end,
            case when role.rolreplication then ' noreplication' end,
            case when role.rolcanlogin and role.rolname in ('anon', 'authenticated', 'service_role') then ' nologin' end,
            case when role.rolinherit and role.rolname = 'authenticator' then ' noinherit' end
        ) || ';',
        format('select * from pg_catalog.pg_roles where rolname = %L', role.rolname)
    )
    from pg_catalog.pg_roles as role
    join bulkhead.request_roles as request on request.oid = role.oid
    where role.rolcreaterole
        or role.rolcreatedb
        or role.rolreplication
        or role.rolcanlogin and role.rolname in ('anon', 'authenticated', 'service_role')
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
                target.rolname not in ('anon', 'authenticated', 'service_role', 'supabase_storage_admin')
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
            else target.oid in (select powerful.oid from powerful)
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
    join pg_catalog.pg_roles as target on target.rolname in ('anon', 'authenticated', 'service_role')
    where member.rolname = 'authenticator'
        -- Before 16 inheritance is an attribute of the role, see role_attributes.
        and current_setting('server_version_num')::integer >= 160000
        and not member.rolsuper
        and pg_has_role(member.oid, target.oid, 'usage')
    having count(*) > 0
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
    where setting.name in ('session_replication_role', 'row_security')
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

-- ---------------------------------------------------------------- what the kit itself is made of

create view bulkhead.kit_catalog
with (security_invoker = true)
as
with relations as (
    select
        class.oid,
        class.relkind,
        class.relowner,
        class.relrowsecurity,
        class.relpersistence,
        class.reloptions,
        format('%I.%I', namespace.nspname, class.relname) as name
    from pg_catalog.pg_class as class
    join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
    where namespace.nspname in ('bulkhead', 'bulkhead_api')
        and class.relkind in ('r', 'p', 'v')
        and not class.relispartition
),
functions as (
    select
        proc.oid,
        proc.proowner,
        proc.proacl,
        case when proc.prokind = 'p' then 'procedure' else 'function' end as word,
        proc.oid::regprocedure::text as name
    from pg_catalog.pg_proc as proc
    join pg_catalog.pg_namespace as namespace on namespace.oid = proc.pronamespace
    where namespace.nspname in ('bulkhead', 'bulkhead_api')
        and proc.prokind in ('f', 'p')
        -- The generated ones are held to their tables' declarations.
        and not exists (select from bulkhead.protected_tables as t where t.audit_function = proc.proname)
),
columns as (
    select
        relations.name,
        a.attname,
        a.attnotnull,
        a.attidentity,
        format_type(a.atttypid, a.atttypmod) as type,
        pg_get_expr(d.adbin, d.adrelid) as default_expression
    from relations
    join pg_catalog.pg_attribute as a
        on a.attrelid = relations.oid
        and a.attnum > 0
        and not a.attisdropped
    left join pg_catalog.pg_attrdef as d
        on d.adrelid = a.attrelid
        and d.adnum = a.attnum
    where relations.relkind <> 'v'
)
select
    'column' as kind,
    format('%s.%I', c.name, c.attname) as subject,
    concat_ws(' ', c.type, case when c.attnotnull then 'not null' end, 'default ' || c.default_expression, 'identity ' || nullif(c.attidentity::text, '')) as fact,
    format('alter table %1$s add column if not exists %2$I %3$s; alter table %1$s alter column %2$I %4$s not null;', c.name, c.attname, c.type,
        case when c.attnotnull then 'set' else 'drop' end)
    || case
        when c.attidentity <> '' then format(
            ' alter table %1$s alter column %2$I drop identity if exists; alter table %1$s alter column %2$I add generated %3$s as identity;'
            ' select setval(pg_get_serial_sequence(%4$L, %5$L), (select coalesce(max(%2$I), 0) + 1 from %1$s), false);',
            c.name, c.attname, case c.attidentity when 'a' then 'always' else 'by default' end, c.name, c.attname
        )
        when c.default_expression is null then format(' alter table %s alter column %I drop default;', c.name, c.attname)
        else format(' alter table %s alter column %I set default %s;', c.name, c.attname, c.default_expression)
    end as restore_sql,
    null as remove_sql
from columns as c
union all
select
    'constraint',
    format('%s.%I', relations.name, c.conname),
    pg_get_constraintdef(c.oid),
    format('alter table %1$s drop constraint if exists %2$I; alter table %1$s add constraint %2$I %3$s;', relations.name, c.conname, pg_get_constraintdef(c.oid)),
    null
from relations
join pg_catalog.pg_constraint as c
    on c.conrelid = relations.oid
    and c.contype in ('c', 'p', 'u', 'f', 'x')
union all
select
    'storage',
    relations.name,
    case when relations.relpersistence = 'u' then 'unlogged' else 'logged' end
    || case when relations.relrowsecurity then ', row level security' else '' end,
    format('alter table %s set %s;', relations.name, case when relations.relpersistence = 'u' then 'unlogged' else 'logged' end)
    || case when relations.relrowsecurity then format(' alter table %s enable row level security;', relations.name) else '' end,
    null
from relations
where relations.relkind = 'r'
union all
select
    'view',
    relations.name,
    concat_ws(' ', relations.reloptions::text, pg_get_viewdef(relations.oid)),
    format('create or replace view %s with (security_invoker = true) as %s', relations.name, pg_get_viewdef(relations.oid)),
    null
from relations
where relations.relkind = 'v'
union all
select
    'owner',
    owned.name,
    pg_get_userbyid(owned.owner),
    case when pg_get_userbyid(owned.owner) = 'bulkhead_audit' then 'grant create on schema bulkhead to bulkhead_audit; ' else '' end
    || format('alter %s owner to %I;', owned.name, pg_get_userbyid(owned.owner))
    || case when pg_get_userbyid(owned.owner) = 'bulkhead_audit' then ' revoke create on schema bulkhead from bulkhead_audit;' else '' end,
    null
from (
    select case when relations.relkind = 'v' then 'view ' else 'table ' end || relations.name as name, relations.relowner as owner
    from relations
    union all
    select functions.word || ' ' || functions.name, functions.proowner
    from functions
    union all
    select format('schema %I', namespace.nspname), namespace.nspowner
    from pg_catalog.pg_namespace as namespace
    where namespace.nspname in ('bulkhead', 'bulkhead_api')
) as owned
union all
select
    'trigger',
    format('%s.%I', relations.name, g.tgname),
    pg_get_triggerdef(g.oid) || ' ' || g.tgenabled::text,
    format('drop trigger if exists %I on %s; %s;%s', g.tgname, relations.name, pg_get_triggerdef(g.oid),
        case when g.tgenabled = 'A' then format(' alter table %s enable always trigger %I;', relations.name, g.tgname) else '' end),
    format('drop trigger %I on %s;', g.tgname, relations.name)
from relations
join pg_catalog.pg_trigger as g
    on g.tgrelid = relations.oid
    and not g.tgisinternal
    -- The ledger's own has a rule of its own.
    and g.tgname <> 'bulkhead_append_only'
union all
select
    'policy',
    format('%s.%I', relations.name, p.polname),
    policy.state::text,
    bulkhead.create_policy_sql(relations.name, p.polname::text, policy.state),
    case when p.polpermissive then format('drop policy %I on %s;', p.polname, relations.name) end
from relations
join pg_catalog.pg_policy as p on p.polrelid = relations.oid
cross join lateral (
    select jsonb_build_object(
        'command', p.polcmd,
        'is_permissive', p.polpermissive,
        'roles', (
            select jsonb_agg(coalesce(role.rolname, 'public') order by role.rolname)
            from unnest(p.polroles) as member (oid)
            left join pg_catalog.pg_roles as role on role.oid = member.oid
        ),
        'using', pg_get_expr(p.polqual, p.polrelid),
        'check', pg_get_expr(p.polwithcheck, p.polrelid)
    ) as state
) as policy
union all
select
    'rule',
    format('%s.%I', relations.name, rewrite.rulename),
    pg_get_ruledef(rewrite.oid),
    pg_get_ruledef(rewrite.oid),
    format('drop rule %I on %s;', rewrite.rulename, relations.name)
from relations
join pg_catalog.pg_rewrite as rewrite
    on rewrite.ev_class = relations.oid
    and rewrite.rulename <> '_RETURN'
union all
select
    'execute',
    format('%s to %s', functions.name, coalesce(role.rolname, 'public')),
    case when acl.is_grantable then 'with grant option' else 'execute' end,
    format('revoke all on %1$s %2$s from %3$s; grant execute on %1$s %2$s to %3$s;', functions.word, functions.name, coalesce(quote_ident(role.rolname), 'public')),
    format('revoke all on %s %s from %s;', functions.word, functions.name, coalesce(quote_ident(role.rolname), 'public'))
from functions
cross join lateral aclexplode(coalesce(functions.proacl, acldefault('f', functions.proowner))) as acl
left join pg_catalog.pg_roles as role on role.oid = acl.grantee
where acl.grantee <> functions.proowner
union all
select
    'schema',
    format('%s on schema %s to %s', lower(acl.privilege_type), namespace.nspname, coalesce(role.rolname, 'public')),
    case when acl.is_grantable then 'with grant option' else 'granted' end,
    format('revoke all on schema %1$I from %3$s; grant %2$s on schema %1$I to %3$s;', namespace.nspname, lower(acl.privilege_type), coalesce(quote_ident(role.rolname), 'public')),
    format('revoke %s on schema %I from %s;', lower(acl.privilege_type), namespace.nspname, coalesce(quote_ident(role.rolname), 'public'))
from pg_catalog.pg_namespace as namespace
cross join lateral aclexplode(namespace.nspacl) as acl
left join pg_catalog.pg_roles as role on role.oid = acl.grantee
where namespace.nspname in ('bulkhead', 'bulkhead_api')
    and acl.grantee <> namespace.nspowner;
comment on view bulkhead.kit_catalog is
    'What the kit is made of, as the catalogs have it now: columns, constraints, views, owners, triggers, policies, rights';
revoke all on bulkhead.kit_catalog from public, anon, authenticated, service_role;

create table bulkhead.kit_facts (
    kind text not null,
    subject text not null,
    fact text not null,
    restore_sql text not null,
    -- Another major version may print the same view or constraint in other words.
    major integer not null default current_setting('server_version_num')::integer / 10000,
    primary key (kind, subject)
);
comment on table bulkhead.kit_facts is
    'What the kit was made of when its migrations had run; a difference is a finding, restore_sql its remedy';
alter table bulkhead.kit_facts enable row level security;
revoke all on bulkhead.kit_facts from public, anon, authenticated, service_role;

create function bulkhead.offences_of_kit()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with compared as (
        select
            coalesce(declared.kind, present.kind) as kind,
            coalesce(declared.subject, present.subject) as subject,
            declared.fact as was,
            present.fact as now_,
            declared.restore_sql,
            present.remove_sql
        from (
            select facts.*
            from bulkhead.kit_facts as facts
            where facts.kind <> 'job'
        ) as declared
        full join bulkhead.kit_catalog as present
            on present.kind = declared.kind
            and present.subject = declared.subject
        cross join bulkhead.settings as settings
        where present.fact is distinct from declared.fact
            and (declared.fact is not null or present.remove_sql is not null)
            -- An empty catalogue is the state before the migrations have ended.
            and exists (select from bulkhead.kit_facts)
            and (declared.kind in ('view', 'constraint', 'trigger', 'policy')
                and present.fact is not null
                and declared.major <> current_setting('server_version_num')::integer / 10000) is not true
            -- Direct roles were given the context by configure().
            and (
                declared.fact is null
                and present.kind in ('execute', 'schema')
                and exists (
                    select
                    from unnest(settings.direct_roles) as direct (role)
                    where present.subject = 'usage on schema bulkhead to ' || direct.role
                        or present.subject like '% to ' || replace(direct.role, '_', '\_')
                        and present.subject similar to 'bulkhead.(current_tenants|current_tenant|caller|canonical_tenant|set_tenant)\(%'
                )
                and present.fact <> 'with grant option'
            ) is not true
            -- The ledger's policies have a rule of their own; it does not see that one is gone.
            and (present.kind = 'policy' and declared.fact is null and present.subject like 'bulkhead.audit\_%') is not true
    )
    select bulkhead.offence_row(
        case
            when compared.subject ~ '(^| )bulkhead\.audit_(events|seals|eras|logs)(\.|$)' then 'ledger_changed'
            when compared.kind in ('execute', 'schema') then 'kit_execute'
            else 'kit_object_changed'
        end,
        compared.kind || ' ' || compared.subject,
        case
            when compared.was is null then format('No migration of the kit made it: %s', left(compared.now_, 200))
            when compared.now_ is null then 'It is gone'
            else format('It is not what the migrations installed: %s', left(compared.now_, 200))
        end,
        case when compared.was is null then compared.remove_sql else compared.restore_sql end,
        format('select * from bulkhead.kit_catalog where kind = %L and subject = %L', compared.kind, compared.subject)
    )
    from compared
$$;
comment on function bulkhead.offences_of_kit() is 'Offenders of the rules about what the kit itself is made of';
revoke all on function bulkhead.offences_of_kit() from public;

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
    definers as (
        select
            proc.oid,
            proc.prorettype,
            proc.proconfig,
            proc.proowner,
            lower(coalesce(pg_get_function_sqlbody(proc.oid), proc.prosrc)) as body,
            namespace.nspname,
            proc.oid::regprocedure::text as signature
        from pg_catalog.pg_proc as proc
        join bulkhead.exposed_schemas as namespace on namespace.oid = proc.pronamespace
        where proc.prosecdef
            and not exists (
                select
                from pg_catalog.pg_depend as member
                where member.classid = 'pg_catalog.pg_proc'::regclass
                    and member.objid = proc.oid
                    and member.deptype = 'e'
            )
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
        format('alter function %s set search_path = pg_catalog, %I, pg_temp;', d.signature, d.nspname),
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
        format('revoke execute on function %s from public, anon;', d.signature),
        format('select proacl from pg_catalog.pg_proc where oid = %L::regprocedure', d.signature)
    )
    from definers as d
    join pg_catalog.pg_roles as anon on anon.rolname = 'anon'
    where has_function_privilege(anon.oid, d.oid, 'execute')
        -- A trigger function cannot be called as such.
        and d.prorettype not in ('pg_catalog.trigger'::regtype, 'pg_catalog.event_trigger'::regtype)
    union all
    -- By the words of its body: a function that never asks who is calling shows every tenant's rows to its caller.
    select bulkhead.offence_row(
        'definer_reads_tenants',
        d.signature,
        format('It works on %s as its owner, past every policy, and never asks who is calling', named.names),
        format('alter function %s security invoker;', d.signature),
        format('select pg_get_functiondef(%L::regprocedure)', d.signature)
    )
    from definers as d
    join pg_catalog.pg_roles as owner
        on owner.oid = d.proowner
        and (owner.rolbypassrls or owner.rolsuper)
    cross join lateral (
        select string_to_array(regexp_replace(d.body, '[^a-z0-9_]+', ' ', 'g'), ' ') as list
    ) as words
    cross join lateral (
        select string_agg(precious.name, ', ' order by precious.name) as names
        from (
            select t.table_name::text as name
            from bulkhead.protected_catalog as t
            union
            values ('audit_events'), ('audit_logs')
        ) as precious
        where lower(precious.name) = any (words.list)
            or precious.name ~ '[^A-Za-z0-9_]' and strpos(d.body, lower(precious.name)) > 0
    ) as named
    where named.names is not null
        and d.prorettype not in ('pg_catalog.trigger'::regtype, 'pg_catalog.event_trigger'::regtype)
        and d.body !~ 'bulkhead\.current_tenant|auth\.(uid|jwt|email)|request\.jwt|bulkhead\.member_tenants'
        and exists (
            select
            from bulkhead.request_roles as role
            where role.obeys_rls
                and has_function_privilege(role.oid, d.oid, 'execute')
        )
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

-- ---------------------------------------------------------------- trail

create function bulkhead.offences_of_trail()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with ledger as materialized (
        select
            class.oid,
            class.relowner,
            format('%I.%I', namespace.nspname, class.relname) as qualified
        from pg_catalog.pg_class as class
        join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
        where class.oid in (
            to_regclass('bulkhead.audit_events'),
            to_regclass('bulkhead.audit_seals'),
            to_regclass('bulkhead.audit_eras')
        )
            or class.oid in (
                select part.inhrelid
                from pg_catalog.pg_inherits as part
                where part.inhparent = to_regclass('bulkhead.audit_events')
            )
    )
    select bulkhead.offence_row(
        'ledger_append_only',
        ledger.qualified,
        'Update, delete or truncate would not be refused: its trigger is missing, disabled or another one',
        format('select bulkhead.make_append_only(%L);', ledger.qualified),
        format('select tgname, tgenabled from pg_catalog.pg_trigger where tgrelid = %L::regclass', ledger.qualified)
    )
    from ledger
    where not exists (
        select
        from pg_catalog.pg_trigger as g
        where g.tgrelid = ledger.oid
            and g.tgfoid = to_regprocedure('bulkhead.refuse_change()')
            and g.tgenabled = 'A'
            -- before (2) delete (8) update (16) truncate (32), each statement
            and g.tgtype = 58
            and g.tgqual is null
    )
    union all
    select bulkhead.offence_row(
        'ledger_grant',
        ledger.qualified,
        format('%s may %s', string_agg(distinct coalesce(role.rolname, 'everybody'), ', '), lower(string_agg(distinct acl.privilege_type, ', '))),
        format(
            'revoke all on table %s from %s;%s',
            ledger.qualified,
            string_agg(distinct case when role.rolname is null then 'public' else format('%I', role.rolname) end, ', '),
            case when bool_or(role.rolname = 'bulkhead_audit') then ' grant insert on table bulkhead.audit_events to bulkhead_audit;' else '' end
        ),
        format('select relacl from pg_catalog.pg_class where oid = %L::regclass', ledger.qualified)
    )
    from ledger
    join pg_catalog.pg_class as class on class.oid = ledger.oid
    cross join lateral (
        select
            grants.grantee,
            grants.privilege_type
        from aclexplode(class.relacl) as grants
        union
        select
            grants.grantee,
            grants.privilege_type
        from pg_catalog.pg_attribute as a
        cross join lateral aclexplode(a.attacl) as grants
        where a.attrelid = ledger.oid
            and a.attacl is not null
    ) as acl
    left join pg_catalog.pg_roles as role on role.oid = acl.grantee
    where acl.grantee <> ledger.relowner
        -- Reading is what policies decide; a superuser needs no grant.
        and acl.privilege_type <> 'SELECT'
        and not coalesce(role.rolsuper, false)
        and not (coalesce(role.rolname, '') = 'bulkhead_audit' and acl.privilege_type = 'INSERT' and ledger.qualified = 'bulkhead.audit_events')
    group by ledger.qualified
    union all
    select bulkhead.offence_row(
        'ledger_rls',
        ledger.qualified,
        'Row level security is off or not forced: whoever is granted select reads the trail of every tenant',
        format('alter table %s enable row level security, force row level security;', ledger.qualified),
        format('select relrowsecurity, relforcerowsecurity from pg_catalog.pg_class where oid = %L::regclass', ledger.qualified)
    )
    from ledger
    join pg_catalog.pg_class as class on class.oid = ledger.oid
    where not class.relrowsecurity
        or not class.relforcerowsecurity
    union all
    select bulkhead.offence_row(
        'ledger_policy',
        format('%s.%I', ledger.qualified, policy.polname),
        'A permissive policy shows or takes more than a member''s own trail',
        format('drop policy %I on %s;', policy.polname, ledger.qualified)
        || case when policy.polname = 'bulkhead_own_trail' then
            ' create policy bulkhead_own_trail on bulkhead.audit_events for select to authenticated'
            || ' using (tenant_id = any ((select bulkhead.current_tenants())::text[]));'
        else '' end,
        format('select * from pg_catalog.pg_policies where schemaname = ''bulkhead'' and policyname = %L', policy.polname)
    )
    from ledger
    join pg_catalog.pg_policy as policy on policy.polrelid = ledger.oid
    left join pg_catalog.pg_roles as writer on writer.rolname = 'bulkhead_audit'
    where policy.polpermissive
        and not (
            ledger.qualified = 'bulkhead.audit_events'
            and (
                policy.polcmd = 'a' and policy.polroles = array[writer.oid]
                and pg_get_expr(policy.polwithcheck, policy.polrelid) = 'true'
                or policy.polcmd = 'r'
                and bulkhead.is_tenant_expression(pg_get_expr(policy.polqual, policy.polrelid), 'tenant_id', 'pg_catalog.text')
            )
        )
    union all
    select bulkhead.offence_row(
        'ledger_partition_missing',
        'bulkhead.audit_events',
        format('There is no partition for %s', to_char(month, 'YYYY-MM')),
        'select bulkhead.ensure_audit_partitions();',
        'select inhrelid::regclass from pg_catalog.pg_inherits where inhparent = ''bulkhead.audit_events''::regclass'
    )
    from generate_series(
        date_trunc('month', now() at time zone 'UTC'),
        date_trunc('month', now() at time zone 'UTC') + interval '1 month',
        interval '1 month'
    ) as month
    where not exists (
        select
        from ledger
        where ledger.qualified = 'bulkhead.audit_events_' || to_char(month, 'YYYYMM')
            and ledger.oid in (
                select part.inhrelid
                from pg_catalog.pg_inherits as part
                where part.inhparent = to_regclass('bulkhead.audit_events')
            )
    )
    union all
    -- Every partition that a seal speaks of, and every one that lies about, must be attached.
    select bulkhead.offence_row(
        'ledger_partition_missing',
        'bulkhead.' || part.name,
        case when part.relation is null then 'Seals cover events of this partition, and it is gone' else 'It is not attached, so its events are not read' end,
        case
            when part.relation is null then 'Put the partition back from the newest backup, see docs/checks/ledger_partition_missing.md'
            when part.name ~ '_\d{6}$' then format(
                'alter table bulkhead.audit_events attach partition bulkhead.%I for values from (%L) to (%L);', part.name,
                to_date(right(part.name, 6), 'YYYYMM')::text || ' 00:00:00+00',
                (to_date(right(part.name, 6), 'YYYYMM') + interval '1 month')::date::text || ' 00:00:00+00'
            )
            else format('alter table bulkhead.audit_events attach partition bulkhead.%I default;', part.name)
        end,
        'select inhrelid::regclass from pg_catalog.pg_inherits where inhparent = ''bulkhead.audit_events''::regclass'
    )
    from (
        select
            coalesce(class.relname::text, sealed.part) as name,
            class.oid as relation
        from (
            select distinct seal.part::text as part
            from bulkhead.audit_seals as seal
        ) as sealed
        full join (
            select c.oid, c.relname
            from pg_catalog.pg_class as c
            where c.relnamespace = 'bulkhead'::regnamespace
                and c.relkind in ('r', 'p')
                and c.relname ~ '^audit_events_(\d{6}|default)$'
        ) as class on class.relname::text = sealed.part
    ) as part
    where part.relation is null
        or part.relation not in (select ledger.oid from ledger)
    union all
    select bulkhead.offence_row(
        'ledger_changed',
        format('trigger %s.%I', ledger.qualified, g.tgname),
        'A trigger that the kit did not make can change or swallow events before they are stored',
        format('drop trigger %I on %s;', g.tgname, ledger.qualified),
        format('select pg_get_triggerdef(%s)', g.oid)
    )
    from ledger
    join pg_catalog.pg_trigger as g
        on g.tgrelid = ledger.oid
        and not g.tgisinternal
        and g.tgparentid = 0
        and g.tgname <> 'bulkhead_append_only'
    join pg_catalog.pg_class as class
        on class.oid = ledger.oid
        and class.relispartition
    union all
    select bulkhead.offence_row(
        'ledger_changed',
        format('rule %s.%I', ledger.qualified, rewrite.rulename),
        'A rule can swallow events before they are stored',
        format('drop rule %I on %s;', rewrite.rulename, ledger.qualified),
        format('select pg_get_ruledef(%s)', rewrite.oid)
    )
    from ledger
    join pg_catalog.pg_class as class
        on class.oid = ledger.oid
        and class.relispartition
    join pg_catalog.pg_rewrite as rewrite on rewrite.ev_class = ledger.oid
    union all
    select bulkhead.offence_row(
        'ledger_changed',
        format('owner %s', ledger.qualified),
        format('It belongs to %I, who can switch its protection off', pg_get_userbyid(ledger.relowner)),
        format('alter table %s owner to %I;', ledger.qualified, pg_get_userbyid(parent.relowner)),
        format('select relowner::regrole from pg_catalog.pg_class where oid = %L::regclass', ledger.qualified)
    )
    from ledger
    join pg_catalog.pg_class as class
        on class.oid = ledger.oid
        and class.relispartition
    join pg_catalog.pg_class as parent on parent.oid = to_regclass('bulkhead.audit_events')
    where ledger.relowner <> parent.relowner
    union all
    select bulkhead.offence_row(
        'ledger_changed',
        format('storage %s', ledger.qualified),
        'It is unlogged: a crash empties it',
        format('alter table %s set logged;', ledger.qualified),
        format('select relpersistence from pg_catalog.pg_class where oid = %L::regclass', ledger.qualified)
    )
    from ledger
    join pg_catalog.pg_class as class
        on class.oid = ledger.oid
        and class.relispartition
    where class.relpersistence <> 'p'
    union all
    select offence
    from bulkhead.offences_of_kit() as offence
    where offence.rule = 'ledger_changed'
    union all
    select bulkhead.offence_row(
        'ledger_role',
        'bulkhead_audit',
        'The role that owns the ledger''s writers is gone',
        'create role bulkhead_audit nologin noinherit;'
    )
    where to_regrole('bulkhead_audit') is null
    union all
    select bulkhead.offence_row(
        'ledger_role',
        'bulkhead_audit',
        'It may do more than add events',
        'alter role bulkhead_audit'
        || case when writer.rolsuper then ' nosuperuser' else '' end
        || case when writer.rolcanlogin then ' nologin' else '' end
        || case when writer.rolbypassrls then ' nobypassrls' else '' end
        || case when writer.rolcreaterole then ' nocreaterole' else '' end
        || case when writer.rolcreatedb then ' nocreatedb' else '' end
        || case when writer.rolreplication then ' noreplication' else '' end
        || case when writer.rolinherit then ' noinherit' else '' end || ';',
        'select * from pg_catalog.pg_roles where rolname = ''bulkhead_audit'''
    )
    from pg_catalog.pg_roles as writer
    where writer.rolname = 'bulkhead_audit'
        and (
            writer.rolsuper or writer.rolcanlogin or writer.rolbypassrls or writer.rolcreaterole or writer.rolcreatedb
            or writer.rolreplication or writer.rolinherit
        )
    union all
    select bulkhead.offence_row(
        'ledger_role',
        format('bulkhead_audit in %I', target.rolname),
        'It is a member of another role',
        format(
            'revoke %I from bulkhead_audit%s;', target.rolname,
            case when current_setting('server_version_num')::integer >= 160000 then format(' granted by %I', pg_get_userbyid(membership.grantor)) else '' end
        ),
        'select roleid::regrole from pg_catalog.pg_auth_members where member = ''bulkhead_audit''::regrole'
    )
    from pg_catalog.pg_auth_members as membership
    join pg_catalog.pg_roles as target on target.oid = membership.roleid
    where membership.member = to_regrole('bulkhead_audit')
    union all
    select bulkhead.offence_row(
        'ledger_role',
        'schema bulkhead',
        'bulkhead_audit may create objects in it',
        'revoke create on schema bulkhead from bulkhead_audit;',
        'select nspacl from pg_catalog.pg_namespace where nspname = ''bulkhead'''
    )
    from pg_catalog.pg_roles as writer
    where writer.rolname = 'bulkhead_audit'
        and not writer.rolsuper
        and has_schema_privilege(writer.oid, 'bulkhead', 'create')
$$;
comment on function bulkhead.offences_of_trail() is 'Offenders of the rules about the ledger''s own protection';
revoke all on function bulkhead.offences_of_trail() from public;

create function bulkhead.offences_of_seals()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    -- Events above the newest seal, by transaction: what waits to be sealed.
    select bulkhead.offence_row(
        'seal_lag',
        'bulkhead.audit_seals',
        format('The oldest event that no seal covers is %s old, at most 5 minutes are allowed', date_trunc('second', now() - waiting.oldest)),
        'select bulkhead.seal();',
        'select max(sealed_at) from bulkhead.audit_seals',
        round(extract(epoch from now() - waiting.oldest)),
        300
    )
    from (
        select min(event.created_at) as oldest
        from bulkhead.audit_events as event
        where event.xid >= coalesce(
            (
                select max(seal.hi)
                from bulkhead.audit_seals as seal
                where seal.era = (select max(era.era) from bulkhead.audit_eras as era)
            ),
            0
        )
    ) as waiting
    where waiting.oldest < now() - interval '5 minutes'
    union all
    select bulkhead.offence_row(
        'seal_broken',
        format('seal %s %s', coalesce(broken.seq::text, 'chain'), coalesce(broken.part::text, '')),
        broken.problem,
        'Do not repair it: keep the database as it is, compare with the newest backup''s anchor, see docs/checks/seal_broken.md',
        'select * from bulkhead.verify_audit()'
    )
    from bulkhead.verify_audit(null, 3) as broken
$$;
comment on function bulkhead.offences_of_seals() is 'Offenders of the rules about the hash chain; the chain is followed whole, the newest three intervals are compared event by event';
revoke all on function bulkhead.offences_of_seals() from public;

-- ---------------------------------------------------------------- guard

create function bulkhead.offences_of_guard()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with wanted (name, type, old_table, new_table) as (
        -- pg_trigger.tgtype: after or before (2), insert (4), delete (8), update (16), truncate (32), each statement
        values
            ('bulkhead_insert', 4, null, 'new_rows'),
            ('bulkhead_update', 16, 'old_rows', 'new_rows'),
            ('bulkhead_delete', 8, 'old_rows', null),
            ('bulkhead_truncate', 34, null, null)
    )
    select bulkhead.offence_row(
        'write_trigger',
        format('%s.%s', t.qualified, wanted.name),
        case
            when g.oid is null then 'It is missing: writes pass unguarded and leave no trace'
            when g.tgenabled <> 'A' then 'It is not enabled always: writes can pass unguarded'
            else 'It is not the trigger that protect() made'
        end,
        t.protect_sql,
        format('select tgname, tgenabled, pg_get_triggerdef(oid) from pg_catalog.pg_trigger where tgrelid = %L::regclass', t.qualified)
    )
    from bulkhead.protected_catalog as t
    cross join wanted
    left join pg_catalog.pg_trigger as g
        on g.tgrelid = t.relation
        and g.tgname = wanted.name
    where g.oid is null
        or g.tgenabled <> 'A'
        or g.tgtype <> wanted.type
        or g.tgfoid is distinct from to_regprocedure(format('bulkhead.%I()', t.audit_function))
        or g.tgoldtable is distinct from wanted.old_table
        or g.tgnewtable is distinct from wanted.new_table
        or g.tgqual is not null
        or g.tgattr <> ''
    union all
    select bulkhead.offence_row(
        'write_function',
        t.qualified,
        case
            when f.oid is null then format('bulkhead.%I() is gone', t.audit_function)
            when owner.rolname <> 'bulkhead_audit' then format('bulkhead.%I() belongs to %I', t.audit_function, owner.rolname)
            else format('bulkhead.%I() is not what protect() generated', t.audit_function)
        end,
        t.protect_sql,
        format('select pg_get_functiondef(''bulkhead.%I()''::regprocedure)', t.audit_function)
    )
    from bulkhead.protected_catalog as t
    left join pg_catalog.pg_proc as f on f.oid = to_regprocedure(format('bulkhead.%I()', t.audit_function))
    left join pg_catalog.pg_roles as owner on owner.oid = f.proowner
    where t.parent is null
        and (
            f.oid is null
            or owner.rolname is distinct from 'bulkhead_audit'
            or not f.prosecdef
            or f.provolatile <> 'v'
            or f.proleakproof
            or not coalesce(f.proconfig @> array['search_path=pg_catalog, pg_temp', 'row_security=on'], false)
            or exists (
                select
                from aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) as acl
                where acl.grantee <> f.proowner
            )
            or md5(f.prosrc) is distinct from t.declared -> 'triggers' -> 'bulkhead_insert' ->> 'body'
            -- What no attestation can accept: a function that neither guards nor writes.
            or f.prosrc not like '%bulkhead.current_write_context(tg_relid, %'
            or cardinality(string_to_array(f.prosrc, 'insert into bulkhead.audit_events')) <> 4
            or cardinality(string_to_array(f.prosrc, 'perform bulkhead.refuse_write(bh, tg_op')) <> 5
        )
    union all
    select bulkhead.offence_row(
        'guard_trust',
        trusted.role::text,
        'The guard lets this role write without naming a tenant, and requests arrive as it',
        format('update bulkhead.settings set platform_roles = array_remove(platform_roles, %L);', trusted.role),
        'select platform_roles from bulkhead.settings'
    )
    from bulkhead.settings as settings
    cross join lateral unnest(settings.platform_roles) as trusted (role)
    join bulkhead.request_roles as request on request.rolname = trusted.role
$$;
comment on function bulkhead.offences_of_guard() is 'Offenders of the rules about guard and audit triggers';
revoke all on function bulkhead.offences_of_guard() from public;

create function bulkhead.offences_of_triggers()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with triggers as materialized (
        select
            t.relation,
            t.qualified,
            t.tenant_column,
            t.key_columns,
            g.oid,
            g.tgname,
            g.tgtype,
            g.tgenabled,
            proc.oid::regprocedure::text as signature,
            language.lanname,
            -- Without comments and in lower case, or a comment could hide what follows it.
            lower(regexp_replace(regexp_replace(proc.prosrc, '--[^\n]*', ' ', 'g'), '/\*.*?\*/', ' ', 'g')) as body,
            regexp_replace(pg_get_triggerdef(g.oid), ' ON \S+ ', ' ON ') as definition,
            coalesce(
                (was.state ->> 'function' = proc.oid::regprocedure::text and was.state ->> 'body' = md5(proc.prosrc)
                    and regexp_replace(was.state ->> 'definition', ' ON \S+ ', ' ON ') = regexp_replace(pg_get_triggerdef(g.oid), ' ON \S+ ', ' ON ')),
                false
            ) as is_declared
        from bulkhead.protected_catalog as t
        join pg_catalog.pg_trigger as g
            on g.tgrelid = t.relation
            and not g.tgisinternal
            and g.tgparentid = 0
        join pg_catalog.pg_proc as proc on proc.oid = g.tgfoid
        join pg_catalog.pg_language as language on language.oid = proc.prolang
        cross join lateral (select t.declared -> 'triggers' -> g.tgname::text as state) as was
        where g.tgname not in ('bulkhead_insert', 'bulkhead_update', 'bulkhead_delete', 'bulkhead_truncate')
            and not (proc.pronamespace = 'pg_catalog'::regnamespace)
            and not exists (
                select
                from pg_catalog.pg_depend as member
                where member.classid = 'pg_catalog.pg_proc'::regclass
                    and member.objid = proc.oid
                    and member.deptype = 'e'
            )
    ),
    columns as materialized (
        -- Tenant, key, and what points to other rows: a trigger that changes one of these moves the row.
        select
            t.relation,
            string_agg(distinct lower(regexp_replace(a.attname, '([^A-Za-z0-9_])', '\\\1', 'g')), '|') as pattern
        from bulkhead.protected_catalog as t
        join pg_catalog.pg_attribute as a
            on a.attrelid = t.relation
            and a.attnum > 0
            and not a.attisdropped
        where t.relation in (select triggers.relation from triggers)
            and (
                a.attname = t.tenant_column
                or a.attname = any (t.key_columns)
                or exists (
                    select
                    from pg_catalog.pg_constraint as c
                    where c.conrelid = t.relation
                        and c.contype = 'f'
                        and c.confrelid in (select known.relation from bulkhead.protected_tables as known)
                        and a.attnum = any (c.conkey)
                )
            )
        group by t.relation
    )
    select bulkhead.offence_row(
        'trigger_shadows',
        format('%s.%I', g.qualified, g.tgname),
        format('%s %s', g.signature, effect.detail),
        format('drop trigger %I on %s;', g.tgname, g.qualified),
        format('select pg_get_triggerdef(%s), pg_get_functiondef(%L::regprocedure)', g.oid, g.signature)
    )
    from triggers as g
    join columns on columns.relation = g.relation
    cross join lateral (
        select case
            when g.body ~ 'set_config\s*\(|\mset\s+(local\s+|session\s+)?(role|session|row_security|"?bulkhead|"?request)\M|session_replication_role'
                then 'changes the role, the tenant or a protecting setting in the middle of a write'
            -- before (2), each row (1)
            when g.tgtype::integer & 3 <> 3 then null
            when g.lanname <> 'plpgsql' then format('runs before the guard, and nobody can tell what its %s does to the row', g.lanname)
            when g.body ~ format('\mnew\s*\.\s*"?(%s)"?\s*:=', columns.pattern)
                or g.body ~ format('(^|;|\mbegin|\mthen|\melse|\mloop)\s*new\s*\.\s*"?(%s)"?\s*=[^=]', columns.pattern)
                or g.body ~ format('\minto\s+(strict\s+)?([a-z_.]+\s*,\s*)*new\s*\.\s*"?(%s)\M', columns.pattern)
                then 'changes tenant, key or parent of a row before the guard sees it'
            when g.body ~ '\mnew\s*:?=[^=]|\minto\s+(strict\s+)?new\s*(;|from\M|using\M)|populate_record|#='
                then 'replaces the row before the guard sees it'
            when g.body ~ '\mreturn\s+null\M' then 'swallows rows before the guard sees them'
            when g.body ~ '\mreturn\s+old\M' and g.tgtype::integer & 8 = 0 then 'undoes what was written before the guard sees it'
            when g.body ~ '\mexecute\M' then 'runs SQL that is put together as it runs'
            when g.body ~ '\mreturn\s+(?!new\M|old\M|null\M|;|case\M|coalesce\M)' then 'returns another row than the one that was written'
        end as detail
    ) as effect
    where effect.detail is not null
        and not g.is_declared
        and g.tgenabled <> 'D'
    union all
    select bulkhead.offence_row(
        'trigger_changed',
        format('%s.%s', t.qualified, was.name),
        case
            when present.oid is null then 'It is gone'
            when present.tgenabled <> was.state ->> 'enabled' then 'It was enabled or disabled'
            else 'It has another definition'
        end,
        format(
            'drop trigger if exists %1$I on %2$s; %3$s; alter table %2$s %4$s trigger %1$I;', was.name, t.qualified, was.state ->> 'definition',
            case was.state ->> 'enabled' when 'D' then 'disable' when 'A' then 'enable always' when 'R' then 'enable replica' else 'enable' end
        ),
        format('select tgname, tgenabled, pg_get_triggerdef(oid) from pg_catalog.pg_trigger where tgrelid = %L::regclass', t.qualified)
    )
    from bulkhead.protected_catalog as t
    cross join lateral jsonb_each(coalesce(t.declared -> 'triggers', '{}')) as was (name, state)
    left join pg_catalog.pg_trigger as present
        on present.tgrelid = t.relation
        and present.tgname = was.name
    where t.parent is null
        and was.name not like 'bulkhead\_%'
        and (
            present.oid is null
            or present.tgenabled::text <> was.state ->> 'enabled'
            or regexp_replace(pg_get_triggerdef(present.oid), ' ON \S+ ', ' ON ') <> regexp_replace(was.state ->> 'definition', ' ON \S+ ', ' ON ')
        )
$$;
comment on function bulkhead.offences_of_triggers() is 'Offenders of the rules about other triggers of protected tables, judged by the words of their functions';
revoke all on function bulkhead.offences_of_triggers() from public;

-- ---------------------------------------------------------------- schedule

-- The timetable is made by a later migration: looked up when called, unknown without it.
create function bulkhead.offences_of_schedule()
returns setof bulkhead.offence
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    if to_regclass('bulkhead.timetable') is null or to_regclass('bulkhead.jobs') is null then
        return next bulkhead.offence_row(
            'timetable_missing',
            'bulkhead.jobs',
            'Migration 009_schedule was not applied, or pg_cron was dropped with everything that needs it',
            'Install pg_cron, then apply the migrations: supabase db push'
        );
        return;
    end if;
    return query
    select (o.offence).*
    from (
        select bulkhead.offence_row(
            'timetable_missing',
            installed.subject,
            case when line.name is null then 'It was taken out of the timetable' else format('The timetable has "%s" for it', line.command) end,
            installed.restore_sql,
            format('select * from bulkhead.jobs where name = %L', installed.subject)
        ) as offence
        from bulkhead.kit_facts as installed
        left join bulkhead.jobs as line on line.name = installed.subject
        where installed.kind = 'job'
            and installed.fact is distinct from line.command
        union all
        select bulkhead.offence_row(
            'job_missing',
            declared.name,
            case
                when held.jobid is null then 'pg_cron does not have it'
                when not held.active then 'It is paused'
                when held.schedule <> declared.schedule then format('It runs at %s, declared is %s', held.schedule, declared.schedule)
                when held.command <> declared.command then format('It runs "%s", declared is "%s"', held.command, declared.command)
                else format('It runs as %s, who may not see every row', held.username)
            end,
            case when not coalesce(runner.rolbypassrls or runner.rolsuper, false) and held.jobid is not null then format('delete from cron.job where jobid = %s; ', held.jobid) else '' end
            || 'select bulkhead.schedule();',
            format('select * from cron.job where jobname = %L', declared.name)
        ) as offence
        from bulkhead.jobs as declared
        left join cron.job as held
            on held.jobname = declared.name
            and held.database = pg_catalog.current_database()
        left join pg_catalog.pg_roles as runner on runner.rolname = held.username
        where held.jobid is null
            or not held.active
            or held.schedule <> declared.schedule
            or held.command <> declared.command
            or not coalesce(runner.rolbypassrls or runner.rolsuper, false)
        union all
        select bulkhead.offence_row(
            'job_unknown',
            held.jobname::text,
            format('pg_cron runs "%s" under a name of the kit that the timetable does not declare', held.command),
            format('select cron.unschedule(%s);', held.jobid),
            'select * from cron.job where jobname like ''bulkhead:%'''
        )
        from cron.job as held
        where held.jobname like 'bulkhead:%'
            and held.database = pg_catalog.current_database()
            and not exists (
                select
                from bulkhead.jobs as declared
                where declared.name = held.jobname
            )
        union all
        select bulkhead.offence_row(
            'job_failed',
            line.name,
            format('Its last run ended with: %s', left(coalesce(line.last_message, line.last_status), 300)),
            line.command || ';',
            format('select * from cron.job_run_details where command = %L order by runid desc limit 5', line.command)
        )
        from bulkhead.timetable as line
        where line.last_status = 'failed'
        union all
        -- A job that never ran is not due yet until it has been scheduled for longer than its limit.
        select bulkhead.offence_row(
            'job_overdue',
            line.name,
            case
                when line.last_started_at is null then format('It never ran, and was scheduled at %s', date_trunc('second', line.scheduled_at))
                else format('It last ran at %s', date_trunc('second', line.last_started_at))
            end || format('; at most %s may pass. Is pg_cron running?', line.max_age),
            'Restart the scheduler (Supabase: Database > Extensions > pg_cron), see docs/checks/job_overdue.md',
            format('select * from bulkhead.timetable where name = %L', line.name),
            round(extract(epoch from now() - coalesce(line.last_started_at, line.scheduled_at))),
            round(extract(epoch from line.max_age))
        )
        from bulkhead.timetable as line
        where line.is_active
            and coalesce(line.last_started_at, line.scheduled_at) < now() - line.max_age
    ) as o;
end
$$;
comment on function bulkhead.offences_of_schedule() is 'Offenders of the rules about scheduled jobs';
revoke all on function bulkhead.offences_of_schedule() from public;

-- ---------------------------------------------------------------- from offenders to checks

create function bulkhead.judge(category text, offences bulkhead.offence[])
returns setof bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with counted as (
        select
            (select count(*) from bulkhead.protected_catalog) as tables,
            (select count(*) from bulkhead.exempt_tables) as exempt,
            exists (
                select
                from bulkhead.settings as settings
                join pg_catalog.pg_class as class on class.oid = settings.tenants_table
            ) as is_configured
    )
    select (judged.row_).*
    from (
        select row_, rule.position
        from unnest(judge.offences) as offence
        join bulkhead.rules as rule on rule.name = offence.rule
        cross join lateral bulkhead.check_row(
            rule.name, offence.subject, rule.title, rule.severity, rule.category, offence.status, offence.observed,
            offence.threshold, offence.detail, offence.remediation, '{}', offence.reproduce_sql
        ) as row_
        union all
        -- A rule without offenders passes, unless there was nothing that it could have looked at.
        select row_, rule.position
        from bulkhead.rules as rule
        cross join counted
        cross join lateral (
            select case
                when not counted.is_configured and rule.scope in ('tables', 'exempt', 'exposed') then 'the tenants table is not configured'
                when counted.tables = 0 and rule.scope = 'tables' then 'no table is protected'
                when rule.scope = 'jobs' and exists (select from unnest(judge.offences) as o where o.rule = 'timetable_missing') then 'there is no timetable'
            end as missing
        ) as precondition
        cross join lateral bulkhead.check_row(
            rule.name,
            'database',
            rule.title,
            rule.severity,
            rule.category,
            case when precondition.missing is null then 'pass' else 'unknown' end,
            case when precondition.missing is null then 0 end,
            0,
            case
                when precondition.missing is not null then format('Could not be evaluated: %s', precondition.missing)
                when rule.scope = 'tables' then format('%s tables', counted.tables)
                when rule.scope = 'exempt' then format('%s exempt', counted.exempt)
            end
        ) as row_
        where rule.category = judge.category
            and not exists (
                select
                from unnest(judge.offences) as offence
                where offence.rule = rule.name
            )
    ) as judged
    order by judged.position, (judged.row_).subject
$$;
comment on function bulkhead.judge(text, bulkhead.offence[]) is
    'One check for each offender, one passing check for each rule without; unknown where a precondition is missing';
revoke all on function bulkhead.judge(text, bulkhead.offence[]) from public;

create function bulkhead.checks_boundary()
returns setof bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
set jit = off
as $$
    select checks.*
    from bulkhead.judge('boundary', array(
        select o from bulkhead.offences_of_setup() as o
        union all
        select o from bulkhead.offences_of_classification() as o
        union all
        select o from bulkhead.offences_of_columns() as o
        union all
        select o from bulkhead.offences_of_keys() as o
        union all
        select o from bulkhead.offences_of_policies() as o
        union all
        select o from bulkhead.offences_of_grants() as o
        union all
        select o from bulkhead.offences_of_privileges() as o
        union all
        select o from bulkhead.offences_of_roles() as o
        union all
        select o from bulkhead.offences_of_replication() as o
        union all
        select o from bulkhead.offences_of_code() as o
    )) as checks
$$;
comment on function bulkhead.checks_boundary() is 'Checks of the tenant boundary: tables, keys, policies, grants, code';
revoke all on function bulkhead.checks_boundary() from public;

create function bulkhead.checks_trail()
returns setof bulkhead.check_result
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
set jit = off
as $$
declare
    v_offences bulkhead.offence[] := array(select o from bulkhead.offences_of_trail() as o);
begin
    -- A ledger whose shape was changed can't be read; what changed it must be told all the same.
    begin
        v_offences := v_offences || array(select o from bulkhead.offences_of_seals() as o);
    exception
        when others then
            v_offences := v_offences || bulkhead.offence_row(
                'seal_broken', 'bulkhead.audit_seals', 'Seals can''t be compared: ' || sqlerrm,
                'Repair what else is found of the audit trail, then look again', 'select * from bulkhead.verify_audit()', status => 'unknown'
            );
    end;
    return query
    select checks.*
    from bulkhead.judge('trail', v_offences) as checks;
end
$$;
comment on function bulkhead.checks_trail() is 'Checks of the audit trail: append-only, room, sealed, unbroken';
revoke all on function bulkhead.checks_trail() from public;

create function bulkhead.checks_guard()
returns setof bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
set jit = off
as $$
    select checks.*
    from bulkhead.judge('guard', array(
        select o from bulkhead.offences_of_guard() as o
        union all
        select o from bulkhead.offences_of_triggers() as o
    )) as checks
$$;
comment on function bulkhead.checks_guard() is 'Checks of the triggers that guard and record every write';
revoke all on function bulkhead.checks_guard() from public;

create function bulkhead.checks_schedule()
returns setof bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
set jit = off
as $$
    select checks.*
    from bulkhead.judge('schedule', array(select o from bulkhead.offences_of_schedule() as o)) as checks
$$;
comment on function bulkhead.checks_schedule() is 'Checks of the scheduled jobs: present, unchanged, on time, successful';
revoke all on function bulkhead.checks_schedule() from public;

create function bulkhead.check_categories()
returns text[]
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select array['boundary', 'trail', 'guard', 'schedule', 'alerting', 'backups', 'canaries']
$$;
comment on function bulkhead.check_categories() is 'Every category of checks; each is answered by bulkhead.checks_<category>()';
revoke all on function bulkhead.check_categories() from public;

create function bulkhead.checks(category text default null)
returns setof bulkhead.check_result
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
-- Compiling queries over catalogs takes seconds, running them milliseconds.
set jit = off
as $$
#variable_conflict use_column
declare
    wanted text := checks.category;
    part text;
begin
    if wanted is not null and wanted <> all (bulkhead.check_categories()) then
        raise exception using
            errcode = 'BH701',
            message = format('Cannot check "%s": no such category; use one of %s', wanted, array_to_string(bulkhead.check_categories(), ', '));
    end if;
    foreach part in array bulkhead.check_categories() loop
        continue when part <> wanted;
        -- A part that fails must not hide the others, and must not look green.
        begin
            return query execute format(
                -- An accepted finding is shown, and passes.
                'select c.name, c.subject, c.title, c.severity, c.category,'
                ' case when a.fingerprint is null then c.status else ''pass'' end, c.observed, c.threshold,'
                ' case when a.fingerprint is null then c.detail'
                ' else format(''accepted by %%s until %%s: %%s'', a.accepted_by, a.until::date, a.reason) end,'
                ' c.remediation, c.sample_ids, c.reproduce_sql, c.fingerprint'
                ' from bulkhead.%I() as c left join bulkhead.accepted_findings as a'
                ' on a.fingerprint = c.fingerprint and c.status = ''fail'' and a.until > now()'
                ' and bulkhead.is_acceptable(c.name, c.category, c.severity)',
                'checks_' || part
            );
        exception
            when undefined_function then
                return next bulkhead.check_row(
                    'checks_missing', part, 'Every category is checked', 'critical', part, 'unknown', null, null,
                    sqlerrm, 'Apply the migrations: supabase db push'
                );
            when others then
                return next bulkhead.check_row(
                    'checks_failed', part, 'Every check can be evaluated', 'critical', part, 'unknown', null, null,
                    sqlstate || ': ' || sqlerrm, format('select * from bulkhead.checks_%s();', part)
                );
        end;
    end loop;
end
$$;
comment on function bulkhead.checks(text) is
    'Every check, or those of one category. Example: select name, subject, detail from bulkhead.checks(''boundary'') where status <> ''pass''';
revoke all on function bulkhead.checks(text) from public;

create function bulkhead.findings(category text default null)
returns setof bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select found.*
    from bulkhead.checks(findings.category) as found
    where found.status <> 'pass'
$$;
comment on function bulkhead.findings(text) is 'The checks that do not pass: what is red, and what could not be evaluated';
revoke all on function bulkhead.findings(text) from public;

create function bulkhead.status(category text default null)
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select jsonb_build_object(
        'verdict', case
            when count(*) filter (where found.status = 'fail') > 0 then 'red'
            when count(*) = 0 or count(*) filter (where found.status <> 'pass') > 0 then 'unknown'
            else 'green'
        end,
        'checked_at', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'category', status.category,
        'database', current_database(),
        'server_version', current_setting('server_version'),
        'counts', jsonb_build_object(
            'pass', count(*) filter (where found.status = 'pass'),
            'fail', count(*) filter (where found.status = 'fail'),
            'unknown', count(*) filter (where found.status not in ('pass', 'fail'))
        ),
        'checks', coalesce(jsonb_agg(to_jsonb(found) || jsonb_build_object('subject', coalesce(found.subject, 'database'))), '[]')
    )
    from bulkhead.checks(status.category) as found
$$;
comment on function bulkhead.status(text) is
    'The verdict green, red or unknown with every check, as the JSON that the command, the page and the reports share';
revoke all on function bulkhead.status(text) from public;

-- ---------------------------------------------------------------- findings that somebody answers for

create table bulkhead.accepted_findings (
    fingerprint text primary key,
    name text not null,
    subject text not null,
    reason text not null check (length(trim(reason)) >= 10),
    accepted_at timestamptz not null default now(),
    accepted_by name not null default session_user,
    until timestamptz not null check (until <= accepted_at + interval '366 days')
);
comment on table bulkhead.accepted_findings is
    'Findings that somebody answers for until a date. Holes in the boundary and in the ledger''s protection stay red whatever stands here';
alter table bulkhead.accepted_findings enable row level security;
revoke all on bulkhead.accepted_findings from public, anon, authenticated, service_role;

create function bulkhead.is_acceptable(name text, category text, severity text)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when is_acceptable.category in ('boundary', 'guard', 'schedule') then is_acceptable.severity = 'warning'
        when is_acceptable.category = 'trail' then false
        -- Rows in the wrong tenant's hands, and the two checks that something else is being checked.
        else is_acceptable.name not in ('tenant_misalignment', 'canaries_running', 'checks_missing', 'checks_failed')
    end
$$;
comment on function bulkhead.is_acceptable(text, text, text) is
    'Whether a finding may be accepted: never a hole in the boundary, the guard, the schedule or the trail';
revoke all on function bulkhead.is_acceptable(text, text, text) from public;

create function bulkhead.is_accepted(fingerprint text, name text, category text, severity text)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select bulkhead.is_acceptable(is_accepted.name, is_accepted.category, is_accepted.severity)
        and exists (
            select
            from bulkhead.accepted_findings as accepted
            where accepted.fingerprint = is_accepted.fingerprint
                and accepted.until > now()
        )
$$;
comment on function bulkhead.is_accepted(text, text, text, text) is 'Whether somebody answers for a finding, today still';
revoke all on function bulkhead.is_accepted(text, text, text, text) from public;

create function bulkhead.accept(fingerprint text, reason text, until timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_found bulkhead.check_result;
begin
    if length(trim(coalesce(reason, ''))) < 10 then
        raise exception using
            errcode = 'BH703',
            message = 'an acceptance needs a reason of at least ten characters: somebody will read it in an audit';
    end if;
    if until is null or until <= now() or until > now() + interval '366 days' then
        raise exception using
            errcode = 'BH703',
            message = 'an acceptance ends on a day to come, at most a year from now; name it';
    end if;
    select f.* into v_found
    from bulkhead.findings() as f
    where f.fingerprint = accept.fingerprint
        and f.status = 'fail'
    limit 1;
    if v_found.name is null then
        raise exception using
            errcode = 'BH702',
            message = format('no finding has the fingerprint "%s" now; see select name, subject, fingerprint from bulkhead.findings()', fingerprint);
    end if;
    if not bulkhead.is_acceptable(v_found.name, v_found.category, v_found.severity) then
        raise exception using
            errcode = 'BH703',
            message = format('%s of %s can''t be accepted: it is a hole, and stays red whoever signs; repair it with: %s',
                v_found.name, v_found.subject, v_found.remediation);
    end if;
    insert into bulkhead.accepted_findings as a (fingerprint, name, subject, reason, until)
    values (fingerprint, v_found.name, v_found.subject, reason, until)
    on conflict on constraint accepted_findings_pkey do update
    set reason = excluded.reason,
        until = excluded.until,
        accepted_at = now(),
        accepted_by = session_user;
    perform bulkhead.log_change('accept', v_found.name || ' ' || v_found.subject, null,
        jsonb_build_object('fingerprint', fingerprint, 'reason', reason, 'until', until));
end
$$;
comment on function bulkhead.accept(text, text, timestamptz) is
    'Silences one finding until a date, with a reason in the ledger. Example: select bulkhead.accept(''4c1d…'', ''the dashboard moves in May'', ''2027-06-01'')';
revoke all on function bulkhead.accept(text, text, timestamptz) from public;

create function bulkhead.unaccept(fingerprint text)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_gone bulkhead.accepted_findings;
begin
    delete from bulkhead.accepted_findings as a
    where a.fingerprint = unaccept.fingerprint
    returning a.* into v_gone;
    if v_gone.fingerprint is null then
        return false;
    end if;
    perform bulkhead.log_change('unaccept', v_gone.name || ' ' || v_gone.subject, null, jsonb_build_object('fingerprint', v_gone.fingerprint));
    return true;
end
$$;
comment on function bulkhead.unaccept(text) is 'Takes an acceptance back; false where there was none';
revoke all on function bulkhead.unaccept(text) from public;

create function bulkhead.repairs(category text default null)
returns table (name text, subject text, detail text, statement text)
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select f.name, f.subject, f.detail, f.remediation
    from bulkhead.findings(repairs.category) as f
    where f.status = 'fail'
        and f.category in ('boundary', 'trail', 'guard', 'schedule')
        -- A sentence is for a person, and so is the question whose rows a new table holds.
        and f.remediation ~* '^(alter|create|drop|grant|revoke|select|insert|update|delete) '
        and f.name not in ('settings_configured', 'table_unclassified', 'exempt_table_exposed', 'tenant_column_missing', 'declaration_missing', 'guard_trust')
        and not (f.name = 'protected_table_missing' and f.remediation like 'delete %')
        and not (f.name = 'job_failed')
$$;
comment on function bulkhead.repairs(text) is
    'The statements that put the declared state back, in the order to run them; what needs a decision is left out';
revoke all on function bulkhead.repairs(text) from public;

-- ---------------------------------------------------------------- what was installed

create function bulkhead.declare_functions(functions regprocedure[])
returns bigint
language sql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with installed as (
        insert into bulkhead.kit_functions (signature, definition)
        select
            declared.oid::regprocedure::text,
            pg_get_functiondef(declared.oid)
        from unnest(functions) as declared (oid)
        on conflict (signature) do update
        set definition = excluded.definition,
            installed_at = now()
        returning signature
    )
    select count(*)
    from installed
$$;
comment on function bulkhead.declare_functions(regprocedure[]) is 'Records functions as they are now; returns how many';
revoke all on function bulkhead.declare_functions(regprocedure[]) from public;

-- The trigger functions that protect() generates are compared with their table's declaration, see write_function.
create function bulkhead.declare_kit()
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    delete from bulkhead.kit_facts;
    insert into bulkhead.kit_facts (kind, subject, fact, restore_sql)
    select
        present.kind,
        present.subject,
        present.fact,
        present.restore_sql
    from bulkhead.kit_catalog as present;
    if to_regclass('bulkhead.jobs') is not null then
        insert into bulkhead.kit_facts (kind, subject, fact, restore_sql)
        select
            'job',
            job.name,
            job.command,
            format(
                'insert into bulkhead.jobs (name, schedule, command, max_age) values (%L, %L, %L, %L)'
                ' on conflict (name) do update set command = excluded.command; select bulkhead.schedule();',
                job.name, job.schedule, job.command, job.max_age
            )
        from bulkhead.jobs as job;
    end if;
    perform bulkhead.declare_surroundings(not exists (select from bulkhead.protected_tables));
    delete from bulkhead.kit_functions as gone
    where to_regprocedure(gone.signature) is null;
    return bulkhead.declare_functions(array(
        select proc.oid::regprocedure
        from pg_catalog.pg_proc as proc
        join pg_catalog.pg_namespace as namespace on namespace.oid = proc.pronamespace
        where namespace.nspname in ('bulkhead', 'bulkhead_api')
            and proc.prokind in ('f', 'p')
            and not exists (
                select
                from bulkhead.protected_tables as t
                where t.audit_function = proc.proname
            )
    ));
end
$$;
comment on function bulkhead.declare_kit() is
    'Records the kit''s functions as they are now; the last migration calls it, and each later one that changes a function';
revoke all on function bulkhead.declare_kit() from public;

create function bulkhead.declare_generated()
returns bigint
language sql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select bulkhead.declare_functions(array[
        'bulkhead.canonical_tenant(text)'::regprocedure,
        'bulkhead.member_tenants(jsonb, text)'::regprocedure
    ])
$$;
comment on function bulkhead.declare_generated() is 'Records the two functions that configure() has just generated';
revoke all on function bulkhead.declare_generated() from public;

select bulkhead.declare_kit();
