-- Status: from offenders of rules to checks, findings, a verdict, and what somebody answers for.
-- Public objects: view bulkhead.rules; functions bulkhead.checks(), findings(), status(), accept(), unaccept(), repairs().
-- Each rule has docs/checks/<name>.md; the rules themselves are in 012 and 013. Each remediation is SQL that can be run as it stands.
-- Never: passes when a precondition is missing (that is unknown), writes anything but what it is told to accept.
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
    ('kit_grant',                  'boundary', 'critical', 'database', 'API roles cannot touch the kit''s tables'),
    ('role_bypasses_rls',          'boundary', 'critical', 'database', 'API roles obey row level security'),
    ('role_attributes',            'boundary', 'critical', 'database', 'API roles have no powers of their own'),
    ('role_membership',            'boundary', 'critical', 'database', 'No role reaches past row level security'),
    ('role_owns',                  'boundary', 'critical', 'database', 'API roles own nothing'),
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
    ('dangerous_grant',            'boundary', 'critical', 'tables',   'No TRUNCATE, REFERENCES, TRIGGER or MAINTAIN for API roles'),
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
    ('settings_changed',           'boundary', 'critical', 'database', 'The kit''s settings are as configured'),
    ('event_trigger_changed',      'boundary', 'warning',  'database', 'Event triggers are as declared'),
    ('trusts_user_metadata',       'boundary', 'critical', 'database', 'Nothing believes what users write about themselves'),
    ('membership_self_service',    'boundary', 'critical', 'database', 'Members give themselves neither tenant nor role'),
    ('auth_users_exposed',         'boundary', 'critical', 'database', 'The table of logins is closed'),
    ('storage_rls',                'boundary', 'critical', 'database', 'Row level security holds stored files'),
    ('storage_policy',             'boundary', 'warning',  'database', 'Policies of stored files ask who is asking'),
    ('storage_bucket_public',      'boundary', 'warning',  'database', 'No bucket is public'),
    ('realtime_rls',               'boundary', 'critical', 'database', 'Row level security holds private channels'),
    ('realtime_policy',            'boundary', 'warning',  'database', 'Policies of channels ask who is asking, and for which'),
    ('large_object_exposed',       'boundary', 'critical', 'database', 'Large objects are closed'),
    ('foreign_access',             'boundary', 'warning',  'database', 'Requests reach no other server'),
    ('ledger_append_only',         'trail',    'critical', 'ledger',   'The audit trail is append-only'),
    ('ledger_grant',               'trail',    'critical', 'ledger',   'Nobody may change the audit trail'),
    ('ledger_rls',                 'trail',    'critical', 'ledger',   'Row level security holds the audit trail'),
    ('ledger_policy',              'trail',    'critical', 'ledger',   'Members can read their own trail only'),
    ('ledger_partition_missing',   'trail',    'critical', 'ledger',   'The audit trail has room for this month and the next'),
    ('ledger_changed',             'trail',    'critical', 'ledger',   'The audit trail is built as installed'),
    ('ledger_role',                'trail',    'critical', 'ledger',   'The audit trails writer can do nothing else'),
    ('mask_key_changed',           'trail',    'critical', 'ledger',   'Masked values are made with the key that was declared'),
    ('seal_lag',                   'trail',    'critical', 'ledger',   'The audit trail is sealed'),
    ('seal_broken',                'trail',    'critical', 'ledger',   'The newest seals match the audit trail'),
    ('write_trigger',              'guard',    'critical', 'tables',   'Guard and audit triggers are enabled always'),
    ('write_function',             'guard',    'critical', 'tables',   'Guard and audit functions are as generated'),
    ('trigger_shadows',            'guard',    'critical', 'tables',   'No other trigger moves or swallows rows'),
    ('trigger_changed',            'guard',    'warning',  'tables',   'Declared triggers stand'),
    ('guard_trust',                'guard',    'critical', 'database', 'No API role is trusted by the guard'),
    ('service_role_reads',         'guard',    'warning',  'tables',   'No role reads past every policy'),
    ('service_role_reopened',      'guard',    'critical', 'tables',   'What was closed to service_role stays closed'),
    ('break_glass_active',         'guard',    'warning',  'database', 'The glass is whole'),
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
    role.rolname in ('anon', 'authenticated', 'bulkhead_service') or role.rolname = any (settings.direct_roles) as obeys_rls
from pg_catalog.pg_roles as role
cross join bulkhead.settings as settings
where role.rolname in ('anon', 'authenticated', 'service_role', 'bulkhead_service', 'authenticator')
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
        'pgsodium_keyholder', 'pgsodium_keyiduser', 'pgsodium_keymaker', 'pgtle_admin', 'bulkhead_canary'
    );
comment on view bulkhead.trusted_roles is 'Roles that may bypass row level security: configured in settings, or the platform''s own';
revoke all on bulkhead.trusted_roles from public, anon, authenticated, service_role;

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
        and f.name not in ('settings_configured', 'table_unclassified', 'exempt_table_exposed', 'tenant_column_missing', 'declaration_missing', 'guard_trust',
            'service_role_reads', 'break_glass_active')
        and not (f.name = 'protected_table_missing' and f.remediation like 'delete %')
        and not (f.name = 'job_failed')
$$;
comment on function bulkhead.repairs(text) is
    'The statements that put the declared state back, in the order to run them; what needs a decision is left out';
revoke all on function bulkhead.repairs(text) from public;
