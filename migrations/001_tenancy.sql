-- Tenancy: who is asking, for which tenant, and which tables are theirs alone.
-- Public: bulkhead.configure, protect, unprotect, exempt, unexempt, plan, attest, set_tenant,
--   current_tenant, current_tenants, caller; tables settings, protected_tables, exempt_tables.
-- Security definers: current_tenants, member_tenants (generated): they read the settings
--   and the membership table, which callers may not.
-- Never: trusts user_metadata, takes the tenant of an authenticated user from a header alone,
--   changes or deletes a row of yours.
-- Errors: BH001 not configured, BH002 table cannot be protected, BH003 rows are wrong,
--   BH004 owner obeys RLS, BH005 two tenants named, BH006 no tenant named, 42501 refused.

create schema bulkhead;
comment on schema bulkhead is 'Bulkhead: tenant isolation. Not exposed through the API';
revoke all on schema bulkhead from public;

-- ---------------------------------------------------------------- settings

create table bulkhead.settings (
    is_singleton boolean primary key default true check (is_singleton),
    tenants_table regclass,
    tenant_key name,
    tenant_type regtype,
    tenant_column name not null default 'tenant_id',
    membership_table regclass,
    membership_user_column name,
    membership_tenant_column name,
    membership_active text,
    platform_roles name[] not null,
    direct_roles name[] not null default '{}',
    exposed_schemas name[] not null default '{public}',
    -- Who makes the nightly backup (the function that pg_cron calls, or a runner outside), how long a restore may take,
    -- and how old the key-encryption key may get.
    backup_by text not null default 'edge' check (backup_by in ('edge', 'runner', 'none')),
    rto_seconds integer not null default 14400 check (rto_seconds > 0),
    kek_days integer not null default 400 check (kek_days > 0),
    -- What the function takes of a tenant, as COPY text: in one call, since its processor time is counted, and in all.
    edge_part_bytes bigint not null default 33554432 check (edge_part_bytes between 65536 and 33554432),
    edge_tenant_bytes bigint not null default 268435456 check (edge_tenant_bytes between 65536 and 1073741824),
    configured_at timestamptz,
    service_role_closed_at timestamptz,
    -- A tenants table without its key or type, or the other way round, would leave the context undefined.
    check (num_nonnulls(tenants_table, tenant_key, tenant_type) in (0, 3)),
    check (num_nonnulls(membership_table, membership_user_column, membership_tenant_column) in (0, 3)),
    -- The roles of the API are never platform roles: that would switch the guard off for them.
    check (not platform_roles && array['anon', 'authenticated', 'authenticator', 'service_role', 'bulkhead_service', 'public']::name[]),
    check (not direct_roles && array['anon', 'authenticated', 'authenticator', 'service_role', 'bulkhead_service', 'public']::name[]),
    check (not direct_roles && platform_roles)
);
comment on table bulkhead.settings is 'One row: the tenants table, where memberships are, which roles are trusted with what. Change it with bulkhead.configure()';
alter table bulkhead.settings enable row level security;
revoke all on bulkhead.settings from public, anon, authenticated, service_role;
insert into bulkhead.settings (platform_roles)
select array_agg(distinct role)
from unnest(array[current_user, 'supabase_admin'::name]) as role;

create table bulkhead.protected_tables (
    relation regclass primary key,
    schema_name name not null,
    table_name name not null,
    tenant_column name not null,
    tenant_type regtype not null,
    key_columns name[] not null check (cardinality(key_columns) > 0),
    parent regclass references bulkhead.protected_tables (relation) on delete cascade,
    is_tenants_table boolean not null default false,
    audit_function name not null,
    rls_before jsonb not null,
    options jsonb not null default '{}',
    declared jsonb not null default '{}',
    -- The clock, not the transaction's begin: the table was locked first, and until then others wrote to it unrecorded.
    protected_at timestamptz not null default clock_timestamp(),
    protected_by name not null default session_user,
    -- Deferrable: two tables may swap their names.
    constraint protected_tables_name_key unique (schema_name, table_name) deferrable
);
-- Partitions share the function of their parent; two tables never share one: it is compiled for one tenant column.
create unique index protected_tables_audit_function_key on bulkhead.protected_tables (audit_function) where parent is null;
comment on table bulkhead.protected_tables is 'Tables of tenants, as bulkhead.protect() declared them; declared holds the catalog state to compare with';
comment on column bulkhead.protected_tables.options is 'What the ledger keeps of this table: ignore, mask, cap, insert_bodies, truncate; set by protect()';
comment on column bulkhead.protected_tables.parent is 'Set on partitions: the partitioned table that was protected';
alter table bulkhead.protected_tables enable row level security;
revoke all on bulkhead.protected_tables from public, anon, authenticated, service_role;

create table bulkhead.exempt_tables (
    relation regclass primary key,
    schema_name name not null,
    table_name name not null,
    reason text not null check (length(trim(reason)) >= 10),
    exempted_at timestamptz not null default now(),
    exempted_by name not null default session_user
);
comment on table bulkhead.exempt_tables is 'Tables that hold no tenant''s data, each with the reason somebody gave';
alter table bulkhead.exempt_tables enable row level security;
revoke all on bulkhead.exempt_tables from public, anon, authenticated, service_role;

-- ---------------------------------------------------------------- the shape of every check

create type bulkhead.check_result as (
    name text,
    subject text,
    title text,
    severity text,
    category text,
    status text,
    observed numeric,
    threshold numeric,
    detail text,
    remediation text,
    sample_ids text[],
    reproduce_sql text,
    fingerprint text
);
comment on type bulkhead.check_result is 'One row of any check. severity: critical, warning, info; status: pass, fail, unknown; fingerprint: stable for a check and its subject';

create function bulkhead.check_row(
    name text,
    subject text,
    title text,
    severity text,
    category text,
    status text,
    observed numeric default null,
    threshold numeric default null,
    detail text default null,
    remediation text default null,
    sample_ids text[] default '{}',
    reproduce_sql text default null
)
returns bulkhead.check_result
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select row(
        name, subject, title, severity, category, status, observed, threshold, detail, remediation,
        sample_ids, reproduce_sql, md5(name || E'\x1f' || coalesce(subject, ''))
    )::bulkhead.check_result
$$;
comment on function bulkhead.check_row is 'Builds one check row and its fingerprint';
revoke all on function bulkhead.check_row from public;

-- ---------------------------------------------------------------- who is asking

-- plpgsql, as all that requests wait for: a function in SQL is parsed and planned anew in each statement.
create function bulkhead.caller()
returns name
language plpgsql
stable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
    return case when current_setting('role') = 'none' then session_user else current_setting('role')::name end;
end
$$;
comment on function bulkhead.caller() is 'The role that really asks: survives security definer functions and cascades, which current_user does not';
revoke all on function bulkhead.caller() from public;

-- Written anew by the trigger below: every write asks, and a query of the settings would cost it 10 µs. No search_path of
-- its own, so that the planner can inline it: a call would cost 3.
create function bulkhead.is_platform(role name)
returns boolean
language sql
stable
as $$
    select false
$$;
comment on function bulkhead.is_platform(name) is 'Whether a role may write without naming a tenant (migrations, the scheduler); such writes are audited. Follows bulkhead.settings.platform_roles';
revoke all on function bulkhead.is_platform(name) from public;

create function bulkhead.generate_is_platform()
returns trigger
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    -- Stable, never immutable: the answer would be kept where the function is not. Plans that it is part of are made anew.
    execute format($sql$
        create or replace function bulkhead.is_platform(role name)
        returns boolean
        language sql
        stable
        as $body$
            select role operator(pg_catalog.=) any (%L::pg_catalog.name[])
        $body$
        $sql$, coalesce((select s.platform_roles from bulkhead.settings as s), '{}'));
    if to_regprocedure('bulkhead.declare_generated()') is not null then
        perform bulkhead.declare_generated();
    end if;
    return null;
end
$$;
comment on function bulkhead.generate_is_platform() is 'Trigger: is_platform() says what the settings say';
revoke all on function bulkhead.generate_is_platform() from public;
create trigger bulkhead_platform_roles after insert or update or delete on bulkhead.settings
for each statement execute function bulkhead.generate_is_platform();
alter table bulkhead.settings enable always trigger bulkhead_platform_roles;
do $$
begin
    update bulkhead.settings set platform_roles = platform_roles;
end
$$;

-- Replaced by configure() with the cast of the tenants' key; unconfigured, there is no tenant.
create function bulkhead.canonical_tenant(tenant text)
returns text
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception using
        errcode = 'BH001',
        message = 'Bulkhead is not configured: run select bulkhead.configure(''public.tenants'')';
end
$$;
comment on function bulkhead.canonical_tenant(text) is 'A tenant id in the one spelling of its type; 22P02 when it is none';
revoke all on function bulkhead.canonical_tenant(text) from public;

-- Replaced by configure() with the real look-up.
create function bulkhead.member_tenants(claims jsonb, wanted text)
returns text[]
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select null::text[]
$$;
comment on function bulkhead.member_tenants(jsonb, text) is 'The tenants that a JWT''s subject is a live member of; generated by bulkhead.configure()';
revoke all on function bulkhead.member_tenants(jsonb, text) from public;

-- Definer: reads the membership table. STABLE, never IMMUTABLE: a cached plan would keep one tenant's answer.
create function bulkhead.current_tenants()
returns text[]
language plpgsql
stable
parallel safe
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_caller name := case when current_setting('role') = 'none' then session_user else current_setting('role')::name end;
    v_claims jsonb;
    v_setting text;
    v_header text;
    v_is_direct boolean;
    v_is_platform boolean;
begin
    if v_caller = 'authenticated' then
        v_claims := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
        if v_claims ->> 'role' is distinct from 'authenticated' then
            return null;
        end if;
        v_header := nullif(trim(nullif(current_setting('request.headers', true), '')::jsonb ->> 'x-tenant-id'), '');
        return bulkhead.member_tenants(v_claims, v_header);
    end if;
    if v_caller = 'anon' then
        return null;
    end if;
    v_setting := nullif(current_setting('bulkhead.tenant', true), '');
    if v_caller in ('service_role', 'bulkhead_service') then
        v_header := nullif(trim(nullif(current_setting('request.headers', true), '')::jsonb ->> 'x-tenant-id'), '');
        if bulkhead.canonical_tenant(v_setting) <> bulkhead.canonical_tenant(v_header) then
            raise exception using
                errcode = 'BH005',
                message = 'two tenants named: the x-tenant-id header and the bulkhead.tenant setting differ; send one of them';
        end if;
        v_setting := coalesce(v_setting, v_header);
    else
        select v_caller = any (s.direct_roles), v_caller = any (s.platform_roles) into v_is_direct, v_is_platform
        from bulkhead.settings as s;
        if not v_is_direct and not v_is_platform then
            return bulkhead.opened_tenants(v_caller);
        end if;
    end if;
    if v_setting is not null then
        return array[bulkhead.canonical_tenant(v_setting)];
    end if;
    return case when v_is_platform then null else bulkhead.opened_tenants(v_caller) end;
end
$$;
comment on function bulkhead.current_tenants() is 'The tenants of the present caller, null for none. Use it in a scalar subquery: (select bulkhead.current_tenants())';
revoke all on function bulkhead.current_tenants() from public;

create function bulkhead.current_tenant()
returns text
language plpgsql
stable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    v_tenants text[] := bulkhead.current_tenants();
begin
    return case when cardinality(v_tenants) = 1 then v_tenants[1] end;
end
$$;
comment on function bulkhead.current_tenant() is 'The one tenant of the present caller; null for none and for several';
revoke all on function bulkhead.current_tenant() from public;

create function bulkhead.set_tenant(tenant text, actor text default null, request_id text default null)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if nullif(trim(tenant), '') is null then
        raise exception using
            errcode = 'BH006',
            message = 'no tenant named: pass the tenant''s id to bulkhead.set_tenant()';
    end if;
    perform set_config('bulkhead.tenant', bulkhead.canonical_tenant(tenant), true);
    perform set_config('bulkhead.actor', coalesce(actor, ''), true);
    perform set_config('bulkhead.request_id', coalesce(request_id, ''), true);
end
$$;
comment on function bulkhead.set_tenant(text, text, text) is 'Names tenant, actor and request for the rest of the transaction, never longer';
revoke all on function bulkhead.set_tenant(text, text, text) from public;

grant usage on schema bulkhead to anon, authenticated, service_role;
grant execute on function bulkhead.current_tenants(), bulkhead.current_tenant(), bulkhead.caller() to anon, authenticated, service_role;
grant execute on function bulkhead.set_tenant(text, text, text), bulkhead.canonical_tenant(text) to service_role;

-- ---------------------------------------------------------------- configure

create function bulkhead.configure(
    tenants_table regclass,
    tenant_column name default 'tenant_id',
    membership_table regclass default null,
    membership_user_column name default 'user_id',
    membership_tenant_column name default null,
    membership_active text default null,
    direct_roles name[] default '{}',
    exposed_schemas name[] default '{public}',
    platform_roles name[] default '{}'
)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_key name;
    v_type regtype;
    v_user_type regtype;
    v_role name;
begin
    select a.attname, a.atttypid::regtype
    into v_key, v_type
    from pg_catalog.pg_index as i
    join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = tenants_table and i.indisprimary and i.indnkeyatts = 1;
    if v_key is null then
        raise exception using
            errcode = 'BH002',
            message = format('the tenants table %s has no primary key of one column; add one', tenants_table);
    end if;
    if v_type not in ('uuid'::regtype, 'bigint'::regtype, 'integer'::regtype, 'text'::regtype) then
        raise exception using
            errcode = 'BH002',
            message = format('tenants of type %s are not supported; use uuid, bigint, integer or text', v_type);
    end if;
    if exists (select from bulkhead.settings as s where s.tenant_type <> v_type)
        and exists (select from bulkhead.protected_tables) then
        raise exception using
            errcode = 'BH002',
            message = 'the type of tenant ids cannot change while tables are protected; unprotect them first';
    end if;
    if exists (select from bulkhead.protected_tables) and exists (
        select
        from bulkhead.settings as s
        where s.tenants_table <> tenants_table
            or s.membership_table is not null and membership_table is null
    ) then
        raise exception using
            errcode = 'BH002',
            message = 'the tenants table cannot change, and the membership table cannot be dropped, while tables are protected: members would lose their rows, or keep others''; name both, or unprotect the tables first';
    end if;
    if membership_table is not null then
        membership_tenant_column := coalesce(membership_tenant_column, tenant_column);
        select a.atttypid::regtype into v_user_type
        from pg_catalog.pg_attribute as a
        where a.attrelid = membership_table and a.attname = membership_user_column and not a.attisdropped;
        if v_user_type is null or not exists (
            select
            from pg_catalog.pg_attribute as a
            where a.attrelid = membership_table and a.attname = membership_tenant_column and not a.attisdropped
        ) then
            raise exception using
                errcode = 'BH002',
                message = format('the membership table %s lacks the column %I or %I; name them in membership_user_column and membership_tenant_column',
                    membership_table, membership_user_column, membership_tenant_column);
        end if;
    else
        membership_user_column := null;
        membership_tenant_column := null;
    end if;

    update bulkhead.settings as s set
        tenants_table = configure.tenants_table,
        tenant_key = v_key,
        tenant_type = v_type,
        tenant_column = configure.tenant_column,
        membership_table = configure.membership_table,
        membership_user_column = configure.membership_user_column,
        membership_tenant_column = configure.membership_tenant_column,
        membership_active = configure.membership_active,
        direct_roles = configure.direct_roles,
        platform_roles = (
            select array_agg(distinct r.name)
            -- Whoever calls this, the kit's owner stays: the migrations and the scheduler act as it.
            from unnest(
                array[(select n.nspowner::regrole::text::name from pg_catalog.pg_namespace as n where n.nspname = 'bulkhead'), 'supabase_admin'::name]
                || configure.platform_roles
            ) as r (name)
        ),
        exposed_schemas = configure.exposed_schemas,
        configured_at = now();

    -- No exception blocks from here to the policy: a subtransaction is refused in parallel plans.
    -- Garbage raises 22P02, which names the value and the type. No search_path of its own, so that it can be inlined.
    execute format($sql$
        create or replace function bulkhead.canonical_tenant(tenant text)
        returns text
        language sql
        immutable
        parallel safe
        as $body$
            select tenant::pg_catalog.%1$I::pg_catalog.text
        $body$
        $sql$, (select t.typname from pg_catalog.pg_type as t where t.oid = v_type));

    if membership_table is null then
        -- app_metadata is written by the back end alone; the header may repeat it, never replace it.
        execute format($sql$
            create or replace function bulkhead.member_tenants(claims jsonb, wanted text)
            returns text[]
            language plpgsql
            stable
            parallel safe
            set search_path = pg_catalog, pg_temp
            as $body$
            declare
                v_tenant text := bulkhead.canonical_tenant(nullif(claims -> 'app_metadata' ->> %1$L, ''));
            begin
                return case when wanted is null and v_tenant is not null or bulkhead.canonical_tenant(wanted) = v_tenant then array[v_tenant] end;
            end
            $body$
            $sql$, tenant_column);
    else
        execute format($sql$
            create or replace function bulkhead.member_tenants(claims jsonb, wanted text)
            returns text[]
            language plpgsql
            stable
            parallel safe
            set search_path = pg_catalog, pg_temp
            as $body$
            declare
                v_wanted %5$s := coalesce(wanted, nullif(claims -> 'app_metadata' ->> %4$L, ''))::%5$s;
                v_user %6$s := (claims ->> 'sub')::%6$s;
                v_tenants text[];
            begin
                select array_agg(distinct m.%3$I::text) into v_tenants
                from %1$s as m
                where m.%2$I = v_user
                    and (v_wanted is null or m.%3$I = v_wanted)
                    and (%7$s);
                return v_tenants;
            end
            $body$
            $sql$,
            bulkhead.qualified(membership_table), membership_user_column, membership_tenant_column,
            tenant_column, v_type, v_user_type, coalesce(membership_active, 'true'));
        -- A mistake in membership_active must show now, not at the first request.
        perform bulkhead.member_tenants('{}'::jsonb, null);
    end if;

    foreach v_role in array direct_roles loop
        execute format('grant usage on schema bulkhead to %I', v_role);
        execute format(
            'grant execute on function bulkhead.current_tenants(), bulkhead.current_tenant(), bulkhead.caller(),'
            || ' bulkhead.canonical_tenant(text), bulkhead.set_tenant(text, text, text) to %I', v_role);
    end loop;
    -- The membership table may be another one than before.
    perform bulkhead.follow_membership();
    -- What was generated and set here is compared from now on.
    perform bulkhead.declare_generated();
    perform bulkhead.declare_settings();
    perform bulkhead.log_change('configure', 'bulkhead.settings', null, (select to_jsonb(s) from bulkhead.settings as s));
end
$$;
comment on function bulkhead.configure is 'Names the tenants table, the tenant column, the membership table and the roles; run it before protect(). Example: select bulkhead.configure(''public.tenants'', membership_table => ''public.members'', membership_active => ''disabled_at is null'')';
revoke all on function bulkhead.configure from public;

create function bulkhead.qualified(relation regclass)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format('%I.%I', n.nspname, c.relname)
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where c.oid = relation
$$;
comment on function bulkhead.qualified(regclass) is 'A table''s quoted name with its schema, whatever the search_path';
revoke all on function bulkhead.qualified(regclass) from public;

-- ---------------------------------------------------------------- what is missing: one list for protect() and plan()

create function bulkhead.columns_of(relation regclass, numbers smallint[])
returns name[]
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select array_agg(a.attname order by n.position)
    from unnest(numbers) with ordinality as n (attnum, position)
    join pg_catalog.pg_attribute as a on a.attrelid = relation and a.attnum = n.attnum
$$;
comment on function bulkhead.columns_of(regclass, smallint[]) is 'Column names for attribute numbers, in their order';
revoke all on function bulkhead.columns_of(regclass, smallint[]) from public;

create function bulkhead.quoted(columns name[])
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select string_agg(format('%I', c.name), ', ' order by c.position)
    from unnest(columns) with ordinality as c (name, position)
$$;
comment on function bulkhead.quoted(name[]) is 'A column list for SQL text';
revoke all on function bulkhead.quoted(name[]) from public;

create function bulkhead.key_of(relation regclass)
returns name[]
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select bulkhead.columns_of(c.conrelid, c.conkey)
    from pg_catalog.pg_constraint as c
    where c.conrelid = relation and c.contype = 'p'
$$;
comment on function bulkhead.key_of(regclass) is 'The columns of the primary key, null where there is none';
revoke all on function bulkhead.key_of(regclass) from public;

create function bulkhead.short_name(base text, suffix text)
returns name
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_base text := base;
begin
    if octet_length(base || suffix) <= 63 then
        return base || suffix;
    end if;
    while octet_length(v_base || suffix) > 54 loop
        v_base := left(v_base, -1);
    end loop;
    return v_base || '_' || left(md5(base), 8) || suffix;
end
$$;
comment on function bulkhead.short_name(text, text) is 'An identifier of at most 63 bytes, distinct for distinct bases';
revoke all on function bulkhead.short_name(text, text) from public;

create function bulkhead.free_name(relation regclass, wanted name)
returns name
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when exists (select from pg_catalog.pg_constraint as c where c.conrelid = relation and c.conname = wanted)
            or exists (
                select
                from pg_catalog.pg_class as own
                join pg_catalog.pg_class as other on other.relnamespace = own.relnamespace and other.relname = wanted
                where own.oid = relation
            )
            then bulkhead.short_name(wanted, '_' || left(md5(wanted || relation::text), 6))
        else wanted
    end
$$;
comment on function bulkhead.free_name(regclass, name) is 'A name for a new constraint or index: never one that something of the user''s has';
revoke all on function bulkhead.free_name(regclass, name) from public;

create type bulkhead.key_step as (
    position integer,
    direct text,
    phased text[],
    count_sql text,
    note text
);
comment on type bulkhead.key_step is 'One missing key: the statement for a small table, the phases for a live one, and a query that counts the rows in the way';

create function bulkhead.missing_tenant_column(relation regclass, tenant_column name)
returns setof bulkhead.key_step
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_table text := bulkhead.qualified(relation);
    v_check name := bulkhead.short_name('bulkhead_tmp_' || (select c.relname from pg_catalog.pg_class as c where c.oid = relation), '_not_null');
    v_is_tenants_table boolean := (select s.tenants_table = relation from bulkhead.settings as s);
    v_column pg_catalog.pg_attribute;
    -- A backup keeps a tenant's objects under its id, percent-encoded, and what belongs to none under "@global".
    v_nameable text := format(
        $sql$%1$I not in ('', '@global') and octet_length(%1$I) + 2 * octet_length(regexp_replace(%1$I, '[A-Za-z0-9_~-]', '', 'g')) <= 200$sql$,
        tenant_column);
begin
    select a.* into v_column
    from pg_catalog.pg_attribute as a
    where a.attrelid = relation and a.attname = tenant_column;
    if not v_column.attnotnull then
        return next row(
            1,
            format('alter table %s alter column %I set not null', v_table, tenant_column),
            array[
                format('alter table %s drop constraint if exists %I', v_table, v_check),
                format('alter table %s add constraint %I check (%I is not null) not valid', v_table, v_check, tenant_column),
                format('alter table %s validate constraint %I', v_table, v_check),
                format('alter table %s alter column %I set not null', v_table, tenant_column),
                format('alter table %s drop constraint if exists %I', v_table, v_check)
            ],
            format('select count(*) from %s where %I is null', v_table, tenant_column),
            format('%s.%I must not be null', v_table, tenant_column)
        )::bulkhead.key_step;
    end if;
    -- The tenants table makes its own keys; everywhere else a default would file rows under somebody.
    if v_column.atthasdef and not v_is_tenants_table then
        return next row(
            2,
            format('alter table %s alter column %I drop default', v_table, tenant_column),
            array[format('alter table %s alter column %I drop default', v_table, tenant_column)],
            null,
            format('%s.%I must have no default: a forgotten tenant must fail, not land somewhere', v_table, tenant_column)
        )::bulkhead.key_step;
    end if;
    -- Here, or one sign-up under such an id would stop the backup of everybody.
    if v_is_tenants_table and v_column.atttypid = 'text'::regtype and not exists (
        select from pg_catalog.pg_constraint as c where c.conrelid = relation and c.conname = 'bulkhead_tenant_id' and c.convalidated
    ) then
        return next row(
            2,
            format('alter table %s drop constraint if exists bulkhead_tenant_id, add constraint bulkhead_tenant_id check (%s)', v_table, v_nameable),
            array[
                format('alter table %s drop constraint if exists bulkhead_tenant_id', v_table),
                format('alter table %s add constraint bulkhead_tenant_id check (%s) not valid', v_table, v_nameable),
                format('alter table %s validate constraint bulkhead_tenant_id', v_table)
            ],
            format('select count(*) from %s where not (%s)', v_table, v_nameable),
            format('%s.%I must not be empty, "@global" (the backups'' name for what belongs to no tenant), or over 200 characters once percent-encoded', v_table, tenant_column)
        )::bulkhead.key_step;
    end if;
end
$$;
comment on function bulkhead.missing_tenant_column(regclass, name) is 'What the tenant column itself lacks';
revoke all on function bulkhead.missing_tenant_column(regclass, name) from public;

create function bulkhead.missing_unique(relation regclass, columns name[])
returns setof bulkhead.key_step
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    v_table text := bulkhead.qualified(relation);
    v_short text := (select c.relname from pg_catalog.pg_class as c where c.oid = relation);
    v_name name := bulkhead.free_name(relation, bulkhead.short_name(v_short || '_' || array_to_string(columns, '_'), '_key'));
    v_index name := bulkhead.short_name('bulkhead_tmp_' || v_short || '_' || array_to_string(columns, '_'), '_idx');
    v_schema name := (
        select n.nspname
        from pg_catalog.pg_class as c
        join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
        where c.oid = relation
    );
    v_partitioned boolean := (select c.relkind = 'p' from pg_catalog.pg_class as c where c.oid = relation);
    v_add text := format('alter table %s add constraint %I unique (%s)', v_table, v_name, bulkhead.quoted(columns));
begin
    if exists (
        select
        from pg_catalog.pg_constraint as c
        join pg_catalog.pg_index as i on i.indexrelid = c.conindid
        where c.conrelid = relation
            and c.contype in ('p', 'u')
            and not c.condeferrable
            and i.indisvalid
            and (select array_agg(u.name order by u.name) from unnest(bulkhead.columns_of(relation, c.conkey)) as u (name))
                = (select array_agg(u.name order by u.name) from unnest(columns) as u (name))
    ) then
        return;
    end if;
    return next row(
        3,
        v_add,
        case
            -- A partitioned table has no concurrent form: its partitions are indexed under the lock.
            when v_partitioned then array[v_add]
            else array[
                format('drop index concurrently if exists %I.%I', v_schema, v_index),
                format('create unique index concurrently %I on %s (%s)', v_index, v_table, bulkhead.quoted(columns)),
                format(
                    'do $step$ begin if exists (select from pg_catalog.pg_constraint where conrelid = %L::regclass and conname = %L)'
                    ' then drop index %I.%I; else alter table %s add constraint %I unique using index %I; end if; end $step$',
                    v_table, v_name, v_schema, v_index, v_table, v_name, v_index)
            ]
        end,
        null,
        format('%s needs unique (%s), the target of foreign keys that carry the tenant', v_table, bulkhead.quoted(columns))
    )::bulkhead.key_step;
end
$$;
comment on function bulkhead.missing_unique(regclass, name[]) is 'The unique constraint over these columns, unless there is one already';
revoke all on function bulkhead.missing_unique(regclass, name[]) from public;

create function bulkhead.foreign_key_step(
    child regclass,
    name name,
    columns name[],
    parent regclass,
    parent_columns name[],
    replaces name,
    action text
)
returns bulkhead.key_step
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    v_child text := bulkhead.qualified(child);
    v_parent text := bulkhead.qualified(parent);
    -- RESTRICT cannot be deferred. For a deferrable key NO ACTION is as strict, at the end of the transaction.
    v_key text := format('foreign key (%s) references %s (%s)%s%s',
        bulkhead.quoted(columns), v_parent, bulkhead.quoted(parent_columns),
        case when action like '%deferrable%' then '' else ' on delete restrict' end, action);
    v_match text := (
        select string_agg(format('p.%I = c.%I', p.name, c.name), ' and ')
        from unnest(columns) with ordinality as c (name, position)
        join unnest(parent_columns) with ordinality as p (name, position) using (position)
    );
    v_present text := (select string_agg(format('c.%I is not null', c.name), ' and ') from unnest(columns) as c (name));
    v_new name := bulkhead.short_name('bulkhead_tmp_' || name, '_fk');
    v_direct text := format('alter table %s %sadd constraint %I %s', v_child,
        case when replaces is not null then format('drop constraint %I, ', replaces) else '' end, name, v_key);
begin
    return row(
        4,
        v_direct,
        case
            -- A partitioned table takes no NOT VALID key.
            when (select c.relkind = 'p' from pg_catalog.pg_class as c where c.oid = child) then array[v_direct]
            else array[
                format('alter table %s drop constraint if exists %I', v_child, v_new),
                format('alter table %s add constraint %I %s not valid', v_child, v_new, v_key),
                format('alter table %s validate constraint %I', v_child, v_new),
                -- Both in one statement: at no moment is there no key.
                format('do $step$ begin alter table %s drop constraint if exists %I; alter table %s rename constraint %I to %I; end $step$',
                    v_child, coalesce(replaces, name), v_child, v_new, name)
            ]
        end,
        format('select count(*) from %s as c where %s and not exists (select from %s as p where %s)', v_child, v_present, v_parent, v_match),
        format('%s (%s) must point into %s of the same tenant, and restrict deletes', v_child, bulkhead.quoted(columns), v_parent)
    )::bulkhead.key_step;
end
$$;
comment on function bulkhead.foreign_key_step is 'A foreign key that restricts deletes, in place of another one where there is one';
revoke all on function bulkhead.foreign_key_step from public;

-- A key to another tenant's row is impossible once the key itself carries the tenant: triggers race, keys do not.
create function bulkhead.missing_foreign_keys(relation regclass, tenant_column name)
returns setof bulkhead.key_step
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_settings bulkhead.settings := (select s from bulkhead.settings as s);
    v_fk record;
    v_columns name[];
    v_parent_columns name[];
    v_check text;
    v_found boolean := false;
begin
    for v_fk in
        select
            c.conname,
            c.conrelid::regclass as child,
            c.confrelid::regclass as parent,
            bulkhead.columns_of(c.conrelid, c.conkey) as columns,
            bulkhead.columns_of(c.confrelid, c.confkey) as parent_columns,
            case when c.conrelid = relation then tenant_column else child.tenant_column end as child_tenant,
            case when c.confrelid = relation then tenant_column else parent.tenant_column end as parent_tenant,
            c.confdeltype = case when c.condeferrable then 'a' else 'r' end and c.convalidated as is_strict,
            c.confmatchtype = 'f' as is_match_full,
            case when c.confupdtype = 'c' then ' on update cascade' else '' end
                || case when c.condeferrable and c.condeferred then ' deferrable initially deferred'
                    when c.condeferrable then ' deferrable'
                    else '' end as action
        from pg_catalog.pg_constraint as c
        left join bulkhead.protected_tables as child on child.relation = c.conrelid
        left join bulkhead.protected_tables as parent on parent.relation = c.confrelid
        where c.contype = 'f'
            and c.conparentid = 0
            and (c.conrelid = relation or (c.confrelid = relation and child.relation is not null))
        order by c.conname
    loop
        if v_fk.parent = v_settings.tenants_table then
            if v_fk.columns = array[v_fk.child_tenant] then
                v_found := v_found or v_fk.child = relation;
                if not v_fk.is_strict then
                    return next bulkhead.foreign_key_step(
                        v_fk.child, v_fk.conname, v_fk.columns, v_fk.parent, v_fk.parent_columns, v_fk.conname, v_fk.action);
                end if;
            end if;
            continue;
        end if;
        if v_fk.parent_tenant is null then
            continue;
        end if;
        v_columns := v_fk.columns;
        v_parent_columns := v_fk.parent_columns;
        if v_fk.parent_tenant = any (v_parent_columns)
            and v_columns[array_position(v_parent_columns, v_fk.parent_tenant)] <> v_fk.child_tenant then
            raise exception using
                errcode = 'BH002',
                message = format('the foreign key %I of %s points at other tenants by design: it matches %I with their tenant column; drop it, or let it reference the tenants table',
                    v_fk.conname, v_fk.child, v_columns[array_position(v_parent_columns, v_fk.parent_tenant)]);
        end if;
        if array_position(v_columns, v_fk.child_tenant) is null
            or v_parent_columns[array_position(v_columns, v_fk.child_tenant)] <> v_fk.parent_tenant then
            v_columns := v_fk.child_tenant || v_columns;
            v_parent_columns := v_fk.parent_tenant || v_parent_columns;
        elsif v_fk.is_strict then
            continue;
        end if;
        -- The new key is MATCH SIMPLE: with a column that is never null MATCH FULL would refuse every null. A check says what it said.
        if v_fk.is_match_full and cardinality(v_fk.columns) > 1 then
            v_check := format('alter table %s add constraint %I check (num_nulls(%s) in (0, %s))', bulkhead.qualified(v_fk.child),
                bulkhead.free_name(v_fk.child, bulkhead.short_name(v_fk.conname, '_full')),
                bulkhead.quoted(v_fk.columns), cardinality(v_fk.columns));
            return next row(3, v_check, array[v_check], null,
                format('%s (%s) must be null together or not at all', v_fk.child, bulkhead.quoted(v_fk.columns)))::bulkhead.key_step;
        end if;
        return query select * from bulkhead.missing_unique(v_fk.parent, v_parent_columns);
        return next bulkhead.foreign_key_step(
            v_fk.child, v_fk.conname, v_columns, v_fk.parent, v_parent_columns, v_fk.conname, v_fk.action);
    end loop;
    if not v_found and relation <> v_settings.tenants_table then
        return next bulkhead.foreign_key_step(
            relation,
            bulkhead.free_name(relation,
                bulkhead.short_name((select c.relname from pg_catalog.pg_class as c where c.oid = relation) || '_' || tenant_column, '_fkey')),
            array[tenant_column], v_settings.tenants_table, array[v_settings.tenant_key], null, '');
    end if;
end
$$;
comment on function bulkhead.missing_foreign_keys(regclass, name) is 'Foreign keys of a table, and of protected tables to it, that do not carry the tenant or do more than restrict';
revoke all on function bulkhead.missing_foreign_keys(regclass, name) from public;

create function bulkhead.missing_keys(relation regclass, tenant_column name)
returns setof bulkhead.key_step
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select distinct on (step.position, step.direct) step.*
    from (
        select * from bulkhead.missing_tenant_column(relation, tenant_column)
        union all
        select m.*
        from (select bulkhead.key_of(relation) as columns) as k
        cross join lateral bulkhead.missing_unique(
            relation,
            case when tenant_column = any (k.columns) then k.columns else tenant_column || k.columns end
        ) as m
        union all
        select * from bulkhead.missing_foreign_keys(relation, tenant_column)
    ) as step
    order by step.position, step.direct
$$;
comment on function bulkhead.missing_keys(regclass, name) is 'Every constraint that a tenant table still lacks, in the order to add them';
revoke all on function bulkhead.missing_keys(regclass, name) from public;

-- ---------------------------------------------------------------- protect

create function bulkhead.tenant_column_of(relation regclass, wanted name)
returns name
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_settings bulkhead.settings := (select s from bulkhead.settings as s);
    v_column name;
    v_type regtype;
    v_kind "char";
    v_persistence "char";
    v_owner name;
begin
    if v_settings.tenants_table is null then
        raise exception using
            errcode = 'BH001',
            message = 'Bulkhead is not configured: run select bulkhead.configure(''public.tenants'')';
    end if;
    v_column := case
        when relation = v_settings.tenants_table then v_settings.tenant_key
        else coalesce(wanted, v_settings.tenant_column)
    end;
    select c.relkind, c.relpersistence, r.rolname
    into v_kind, v_persistence, v_owner
    from pg_catalog.pg_class as c
    join pg_catalog.pg_roles as r on r.oid = c.relowner
    where c.oid = relation;
    if v_kind is distinct from 'r' and v_kind is distinct from 'p' or v_persistence = 't' then
        raise exception using
            errcode = 'BH002',
            message = format('%s cannot be protected: it is not a permanent table; protect the tables under it', relation);
    end if;
    if exists (
        select
        from pg_catalog.pg_inherits as i
        join bulkhead.protected_tables as t on t.relation = i.inhparent
        where i.inhrelid = relation
    ) or (select c.relispartition from pg_catalog.pg_class as c where c.oid = relation) then
        raise exception using
            errcode = 'BH002',
            message = format('%s cannot be protected alone: it is a partition or child; protect %s, which covers it', relation,
                (select i.inhparent::regclass from pg_catalog.pg_inherits as i where i.inhrelid = relation limit 1));
    end if;
    if not exists (select from pg_catalog.pg_roles as r where r.rolname = v_owner and (r.rolbypassrls or r.rolsuper)) then
        raise exception using
            errcode = 'BH004',
            message = format('%s cannot be protected: its owner %I obeys row level security, so checks would silently see no rows; run alter table %s owner to postgres',
                relation, v_owner, relation);
    end if;
    if bulkhead.key_of(relation) is null then
        raise exception using
            errcode = 'BH002',
            message = format('%s cannot be protected: it has no primary key; add one', relation);
    end if;
    select a.atttypid::regtype into v_type
    from pg_catalog.pg_attribute as a
    where a.attrelid = relation and a.attname = v_column and not a.attisdropped and a.attgenerated = '' and a.attidentity = '';
    if v_type is null and relation <> v_settings.tenants_table then
        raise exception using
            errcode = 'BH002',
            message = format('%s cannot be protected: it has no plain column %I; add it, name another one, or run select bulkhead.exempt(%L, ''why it holds no tenant''''s data'')',
                relation, v_column, relation::text);
    end if;
    if v_type <> v_settings.tenant_type then
        raise exception using
            errcode = 'BH002',
            message = format('%s cannot be protected: %I is %s, tenants are %s; change its type', relation, v_column, v_type, v_settings.tenant_type);
    end if;
    return v_column;
end
$$;
comment on function bulkhead.tenant_column_of(regclass, name) is 'The tenant column of a table that can be protected; BH001, BH002 or BH004 say why it cannot';
revoke all on function bulkhead.tenant_column_of(regclass, name) from public;

create function bulkhead.add_missing_keys(relation regclass, tenant_column name)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_step bulkhead.key_step;
    v_wrong bigint;
begin
    for v_step in select * from bulkhead.missing_keys(relation, tenant_column) loop
        if v_step.count_sql is not null then
            execute v_step.count_sql into v_wrong;
            if v_wrong > 0 then
                raise exception using
                    errcode = 'BH003',
                    message = format('%s rows of %s are in the way: %s. See them with: %s',
                        v_wrong, relation, v_step.note, replace(v_step.count_sql, 'select count(*)', 'select *'));
            end if;
        end if;
        execute v_step.direct;
    end loop;
end
$$;
comment on function bulkhead.add_missing_keys(regclass, name) is 'Adds the missing constraints at once; BH003 names the rows in the way';
revoke all on function bulkhead.add_missing_keys(regclass, name) from public;

create function bulkhead.close_table(relation regclass, tenant_column name)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_settings bulkhead.settings := (select s from bulkhead.settings as s);
    v_table text := bulkhead.qualified(relation);
    v_rule text := format('%I = any ((select bulkhead.current_tenants())::%s[])', tenant_column, v_settings.tenant_type);
    -- Members read who belongs and which tenant they are in; changing either is not theirs by default.
    v_command text := case
        when relation in (v_settings.tenants_table, v_settings.membership_table) then 'select'
        else 'all'
    end;
    v_roles text := (
        select string_agg(format('%I', r.name), ', ')
        from unnest('authenticated'::name || v_settings.direct_roles) as r (name)
    );
begin
    execute format('alter table %s enable row level security, force row level security', v_table);
    execute format('drop policy if exists bulkhead_tenant on %s', v_table);
    execute format('create policy bulkhead_tenant on %s as restrictive for all to public using (%s) with check (%s)', v_table, v_rule, v_rule);
    execute format('drop policy if exists bulkhead_access on %s', v_table);
    execute format('drop policy if exists bulkhead_service on %s', v_table);
    if not exists (
        select from pg_catalog.pg_policy as p where p.polrelid = relation and p.polpermissive
    ) then
        execute format('create policy bulkhead_access on %s for %s to %s using (%s)%s', v_table, v_command, v_roles, v_rule,
            case when v_command = 'all' then format(' with check (%s)', v_rule) else '' end);
    end if;
    -- What the application's own policies say is said of its users; the back end's role has the tenant's rows.
    execute format('create policy bulkhead_service on %s for all to bulkhead_service using (%s) with check (%s)', v_table, v_rule, v_rule);
    perform bulkhead.grant_to_service(relation);
    execute format('revoke all on table %s from public, anon', v_table);
    -- TRUNCATE passes by every policy, REFERENCES probes keys, TRIGGER runs code as the writer.
    execute format('revoke truncate, references, trigger%s on table %s from service_role, %s',
        case when current_setting('server_version_num')::integer >= 170000 then ', maintain' else '' end, v_table, v_roles);
end
$$;
comment on function bulkhead.close_table(regclass, name) is 'RLS enabled and forced, the restrictive policy, nothing for anon, the tenant''s rows for the back end''s role';
revoke all on function bulkhead.close_table(regclass, name) from public;

create function bulkhead.observed_columns(relation regclass)
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select jsonb_object_agg(a.attname, format_type(a.atttypid, a.atttypmod))
    from pg_catalog.pg_attribute as a
    where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
$$;
comment on function bulkhead.observed_columns(regclass) is 'Columns of a table and their types, as the catalogs have them now';
revoke all on function bulkhead.observed_columns(regclass) from public;

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

create function bulkhead.functions_of_policies(relation regclass)
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select distinct f.oid::regprocedure::text
    from pg_catalog.pg_policy as p
    join pg_catalog.pg_depend as d
        on d.classid = 'pg_catalog.pg_policy'::regclass
        and d.objid = p.oid
        and d.refclassid = 'pg_catalog.pg_proc'::regclass
    join pg_catalog.pg_proc as f on f.oid = d.refobjid and f.prokind = 'f'
    join pg_catalog.pg_namespace as n on n.oid = f.pronamespace
    where p.polrelid = relation
        -- The platform's and the kit's own have rules of their own, or none.
        and n.nspname <> all (bulkhead.platform_schemas())
        and not exists (
            select
            from pg_catalog.pg_depend as member
            where member.classid = 'pg_catalog.pg_proc'::regclass and member.objid = f.oid and member.deptype = 'e'
        )
$$;
comment on function bulkhead.functions_of_policies(regclass) is 'The application''s functions that the policies of a table ask';
revoke all on function bulkhead.functions_of_policies(regclass) from public;

create function bulkhead.observed_state(relation regclass)
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select jsonb_build_object(
        'columns', bulkhead.observed_columns(relation),
        'required', (
            select coalesce(jsonb_agg(a.attname order by a.attnum), '[]')
            from pg_catalog.pg_attribute as a
            where a.attrelid = relation and a.attnum > 0 and not a.attisdropped and a.attnotnull
        ),
        'constraints', (
            select coalesce(jsonb_object_agg(c.conname, pg_get_constraintdef(c.oid)), '{}')
            from pg_catalog.pg_constraint as c
            where c.conrelid = relation and c.contype in ('p', 'u', 'f', 'c', 'x')
        ),
        'policies', (
            select coalesce(jsonb_object_agg(p.polname, jsonb_build_object(
                'command', p.polcmd,
                'is_permissive', p.polpermissive,
                'roles', (select jsonb_agg(coalesce(r.rolname, 'public') order by r.rolname)
                    from unnest(p.polroles) as o (oid) left join pg_catalog.pg_roles as r on r.oid = o.oid),
                'using', pg_get_expr(p.polqual, p.polrelid),
                'check', pg_get_expr(p.polwithcheck, p.polrelid)
            )), '{}')
            from pg_catalog.pg_policy as p
            where p.polrelid = relation
        ),
        'triggers', (
            select coalesce(jsonb_object_agg(t.tgname, jsonb_build_object(
                'definition', pg_get_triggerdef(t.oid),
                'enabled', t.tgenabled,
                'function', t.tgfoid::regprocedure::text,
                'body', md5(f.prosrc)
            )), '{}')
            from pg_catalog.pg_trigger as t
            join pg_catalog.pg_proc as f on f.oid = t.tgfoid
            where t.tgrelid = relation and not t.tgisinternal
        ),
        'uniques', (
            select coalesce(jsonb_agg(c.relname order by c.relname), '[]')
            from pg_catalog.pg_index as i
            join pg_catalog.pg_class as c on c.oid = i.indexrelid
            where i.indrelid = relation and (i.indisunique or i.indisexclusion)
        ),
        -- What its policies ask: such a function decides as much as the policy's own words.
        'functions', (
            select coalesce(jsonb_object_agg(asked.signature, pg_get_functiondef(asked.signature::regprocedure)), '{}')
            from bulkhead.functions_of_policies(relation) as asked (signature)
        ),
        'replica_identity', (
            select case c.relreplident when 'd' then 'default' when 'f' then 'full' when 'n' then 'nothing'
                else (select format('using index %I', x.relname) from pg_catalog.pg_index as i
                    join pg_catalog.pg_class as x on x.oid = i.indexrelid where i.indrelid = relation and i.indisreplident)
                end
            from pg_catalog.pg_class as c
            where c.oid = relation
        )
    )
$$;
comment on function bulkhead.observed_state(regclass) is 'Columns, keys, policies and triggers of a table as the catalogs have them now: what declared is compared with';
revoke all on function bulkhead.observed_state(regclass) from public;

-- Protecting a table again must not launder what came to it in between: only an attestation accepts that.
create function bulkhead.redeclared(declared jsonb, observed jsonb)
returns jsonb
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when not declared ? 'policies' then observed
        else observed || jsonb_build_object(
            'constraints', declared -> 'constraints' || observed -> 'constraints',
            'policies', (
                select coalesce(jsonb_object_agg(p.key, p.value), '{}')
                from (
                    select * from jsonb_each(declared -> 'policies') as d where d.key not like 'bulkhead\_%'
                    union all
                    select * from jsonb_each(observed -> 'policies') as o where o.key like 'bulkhead\_%'
                ) as p
            ),
            'triggers', (
                select coalesce(jsonb_object_agg(t.key, t.value), '{}')
                from (
                    select * from jsonb_each(declared -> 'triggers') as d where d.key not like 'bulkhead\_%'
                    union all
                    select * from jsonb_each(observed -> 'triggers') as o where o.key like 'bulkhead\_%'
                ) as t
            ),
            'functions', coalesce(observed -> 'functions', '{}') || coalesce(declared -> 'functions', '{}'),
            'uniques', coalesce(declared -> 'uniques', observed -> 'uniques'),
            'replica_identity', coalesce(declared -> 'replica_identity', observed -> 'replica_identity')
        )
    end
$$;
comment on function bulkhead.redeclared(jsonb, jsonb) is 'A declaration after protect() ran again: the kit''s own parts as they are, the rest as it was declared';
revoke all on function bulkhead.redeclared(jsonb, jsonb) from public;

create function bulkhead.register_table(relation regclass, tenant_column name, parent regclass, audit_function name)
returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
    -- What had this name and was dropped is gone; what was renamed is known by its new name.
    delete from bulkhead.protected_tables as t
    where not exists (select from pg_catalog.pg_class as c where c.oid = t.relation)
        and (t.schema_name, t.table_name) = (
            select n.nspname, c.relname
            from pg_catalog.pg_class as c
            join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
            where c.oid = register_table.relation
        );
    update bulkhead.protected_tables as t set
        schema_name = n.nspname,
        table_name = c.relname
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where c.oid = t.relation and (t.schema_name, t.table_name) <> (n.nspname, c.relname);
    insert into bulkhead.protected_tables as t (
        relation, schema_name, table_name, tenant_column, tenant_type, key_columns, parent, is_tenants_table, audit_function, rls_before
    )
    select
        c.oid, n.nspname, c.relname, register_table.tenant_column, s.tenant_type, bulkhead.key_of(coalesce(parent, relation)), parent,
        c.oid = s.tenants_table, audit_function,
        jsonb_build_object('enabled', c.relrowsecurity, 'forced', c.relforcerowsecurity)
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    cross join bulkhead.settings as s
    where c.oid = register_table.relation
    on conflict (relation) do update set
        schema_name = excluded.schema_name,
        table_name = excluded.table_name,
        tenant_column = excluded.tenant_column,
        tenant_type = excluded.tenant_type,
        key_columns = excluded.key_columns,
        parent = excluded.parent,
        is_tenants_table = excluded.is_tenants_table,
        audit_function = excluded.audit_function
$$;
comment on function bulkhead.register_table(regclass, name, regclass, name) is 'Records a table as protected; the RLS flags it came with are kept for unprotect()';
revoke all on function bulkhead.register_table(regclass, name, regclass, name) from public;

create function bulkhead.partitions_of(relation regclass)
returns setof regclass
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive descendants as (
        select i.inhrelid
        from pg_catalog.pg_inherits as i
        where i.inhparent = relation
        union all
        select i.inhrelid
        from descendants as d
        join pg_catalog.pg_inherits as i on i.inhparent = d.inhrelid
    )
    select inhrelid::regclass from descendants
$$;
comment on function bulkhead.partitions_of(regclass) is 'Partitions and inheritance children at every depth';
revoke all on function bulkhead.partitions_of(regclass) from public;

create function bulkhead.cover_children(parent regclass default null)
returns integer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
set client_min_messages = warning
as $$
#variable_conflict use_variable
declare
    v_child record;
    v_covered integer := 0;
begin
    for v_child in
        select t.relation as root, t.tenant_column, t.audit_function, p.child, c.relispartition
        from bulkhead.protected_tables as t
        cross join lateral bulkhead.partitions_of(t.relation) as p (child)
        join pg_catalog.pg_class as c on c.oid = p.child
        where t.parent is null
            and (
                t.relation = parent
                or parent is null and not exists (select from bulkhead.protected_tables as known where known.relation = p.child)
            )
    loop
        -- Partitions take the keys of their parent; inheritance children have to be given their own.
        if not v_child.relispartition then
            perform bulkhead.add_missing_keys(v_child.child, v_child.tenant_column);
        end if;
        perform bulkhead.register_table(v_child.child, v_child.tenant_column, v_child.root, v_child.audit_function);
        perform bulkhead.close_table(v_child.child, v_child.tenant_column);
        perform bulkhead.attach_triggers(v_child.child, v_child.audit_function);
        update bulkhead.protected_tables as t set declared = bulkhead.observed_state(t.relation) where t.relation = v_child.child;
        v_covered := v_covered + 1;
    end loop;
    return v_covered;
end
$$;
comment on function bulkhead.cover_children(regclass) is 'Gives partitions and inheritance children of protected tables their policy, guard and audit: those of one parent, or (null) all that are not covered yet. Returns how many. Runs each minute, and at once where event triggers are allowed';
revoke all on function bulkhead.cover_children(regclass) from public;

create function bulkhead.protect(relation regclass, tenant_column name default null, options jsonb default null)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
set client_min_messages = warning
as $$
#variable_conflict use_variable
declare
    v_column name := bulkhead.tenant_column_of(relation, tenant_column);
    v_function name := bulkhead.audit_function_name(relation);
    -- None given: those it has stay.
    v_options jsonb := coalesce(
        bulkhead.checked_options(relation, v_column, options),
        (select t.options from bulkhead.protected_tables as t where t.relation = protect.relation),
        '{}');
begin
    execute format('lock table %s in access exclusive mode', bulkhead.qualified(relation));
    perform bulkhead.add_missing_keys(relation, v_column);
    perform bulkhead.create_audit_function(relation, v_column, v_function, v_options);
    perform bulkhead.register_table(relation, v_column, null, v_function);
    update bulkhead.protected_tables as t set options = v_options where t.relation = protect.relation;
    perform bulkhead.close_table(relation, v_column);
    perform bulkhead.attach_triggers(relation, v_function);
    -- Neither policies nor statement triggers pass from a parent to a write that names the child.
    perform bulkhead.cover_children(relation);
    delete from bulkhead.exempt_tables as e where e.relation = protect.relation;
    -- Protecting a parent rewrites the keys of its children, so every declaration is taken anew where keys changed.
    update bulkhead.protected_tables as t set declared = bulkhead.redeclared(t.declared, bulkhead.observed_state(t.relation))
    where t.relation = protect.relation
        or t.parent = protect.relation
        or t.relation in (
            select c.conrelid
            from pg_catalog.pg_constraint as c
            where c.confrelid = protect.relation and c.contype = 'f'
        )
        or t.relation in (
            select c.confrelid
            from pg_catalog.pg_constraint as c
            where c.conrelid = protect.relation and c.contype = 'f'
        );
    perform bulkhead.declare_surroundings();
    perform bulkhead.log_change('protect', bulkhead.qualified(relation), null, nullif(jsonb_build_object('options', v_options - 'columns'), '{"options": {}}'));
end
$$;
comment on function bulkhead.protect(regclass, name, jsonb) is 'Makes a table the property of its tenants: NOT NULL tenant, composite keys, forced RLS, guard and audit. Takes an exclusive lock; for a large live table see bulkhead.plan(). Idempotent. options say what the ledger keeps. Example: select bulkhead.protect(''public.messages'', options => ''{"mask": ["email"]}'')';
revoke all on function bulkhead.protect(regclass, name, jsonb) from public;

create function bulkhead.unprotect(relation regclass)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
set client_min_messages = warning
as $$
#variable_conflict use_variable
declare
    v_table record;
    v_trigger name;
    v_function name;
begin
    for v_table in
        select t.*
        from bulkhead.protected_tables as t
        where t.relation = unprotect.relation or t.parent = unprotect.relation
    loop
        v_function := v_table.audit_function;
        foreach v_trigger in array array['bulkhead_insert', 'bulkhead_update', 'bulkhead_delete', 'bulkhead_truncate', 'bulkhead_members'] loop
            execute format('drop trigger if exists %I on %s', v_trigger, bulkhead.qualified(v_table.relation));
        end loop;
        execute format('drop policy if exists bulkhead_access on %s', bulkhead.qualified(v_table.relation));
        execute format('drop policy if exists bulkhead_service on %s', bulkhead.qualified(v_table.relation));
        execute format('revoke all on table %s from bulkhead_service', bulkhead.qualified(v_table.relation));
        execute format('drop policy if exists bulkhead_tenant on %s', bulkhead.qualified(v_table.relation));
        execute format('alter table %s %s row level security, %s row level security', bulkhead.qualified(v_table.relation),
            case when (v_table.rls_before ->> 'enabled')::boolean then 'enable' else 'disable' end,
            case when (v_table.rls_before ->> 'forced')::boolean then 'force' else 'no force' end);
    end loop;
    if v_function is null then
        return;
    end if;
    execute format('alter table %s drop constraint if exists bulkhead_tenant_id', bulkhead.qualified(relation));
    execute format('drop function if exists bulkhead.%I()', v_function);
    delete from bulkhead.protected_tables as t where t.parent = unprotect.relation;
    delete from bulkhead.protected_tables as t where t.relation = unprotect.relation;
    perform bulkhead.log_change('unprotect', bulkhead.qualified(relation), null, null);
end
$$;
comment on function bulkhead.unprotect(regclass) is 'Takes policies and triggers off again and gives RLS its earlier state; NOT NULL and keys stay, and so do revoked grants. Idempotent';
revoke all on function bulkhead.unprotect(regclass) from public;

create function bulkhead.exempt(relation regclass, reason text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
begin
    if exists (select from bulkhead.protected_tables as t where t.relation = exempt.relation) then
        raise exception using
            errcode = 'BH002',
            message = format('%s is protected; run select bulkhead.unprotect(%L) first', relation, relation::text);
    end if;
    if length(trim(coalesce(reason, ''))) < 10 then
        raise exception using
            errcode = 'BH002',
            message = 'an exemption needs a reason of at least ten characters: somebody will read it in an audit';
    end if;
    insert into bulkhead.exempt_tables (relation, schema_name, table_name, reason)
    select c.oid, n.nspname, c.relname, exempt.reason
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where c.oid = exempt.relation
    on conflict on constraint exempt_tables_pkey do update set reason = excluded.reason, exempted_at = now(), exempted_by = session_user;
    perform bulkhead.log_change('exempt', bulkhead.qualified(relation), null, jsonb_build_object('reason', reason));
end
$$;
comment on function bulkhead.exempt(regclass, text) is 'Says that a table holds no tenant''s data, and why';
revoke all on function bulkhead.exempt(regclass, text) from public;

create function bulkhead.unexempt(relation regclass)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
begin
    delete from bulkhead.exempt_tables as e where e.relation = unexempt.relation;
    if found then
        perform bulkhead.log_change('unexempt', bulkhead.qualified(relation), null, null);
    end if;
end
$$;
comment on function bulkhead.unexempt(regclass) is 'Takes an exemption back';
revoke all on function bulkhead.unexempt(regclass) from public;

create function bulkhead.plan(relation regclass, tenant_column name default null)
returns table (step bigint, statement text, note text)
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select row_number() over (order by p.position, p.direct, p.phase), p.statement, p.note
    from (
        select k.position, k.direct, s.phase, s.statement, k.note
        from bulkhead.missing_keys(relation, bulkhead.tenant_column_of(relation, tenant_column)) as k
        cross join lateral unnest(k.phased) with ordinality as s (statement, phase)
        union all
        select 9, '', 1, format('select bulkhead.protect(%L%s)', bulkhead.qualified(relation),
            case when tenant_column is null then '' else format(', %L', tenant_column) end),
            'finds every key in place: catalog changes only, under a short exclusive lock'
    ) as p
$$;
comment on function bulkhead.plan(regclass, name) is 'What protect() would do, as steps for a live table: each alone in its transaction, under set lock_timeout, and safe to run again from its first phase';
revoke all on function bulkhead.plan(regclass, name) from public;

create function bulkhead.attest(note text)
returns integer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_count integer;
    v_changed text[];
begin
    if length(trim(coalesce(note, ''))) < 10 then
        raise exception using
            errcode = 'BH002',
            message = 'an attestation needs a note of at least ten characters: somebody will read it in an audit';
    end if;
    with changed as (
        update bulkhead.protected_tables as t set declared = bulkhead.observed_state(t.relation)
        where t.declared is distinct from bulkhead.observed_state(t.relation)
        returning bulkhead.qualified(t.relation) as name
    )
    select count(*), array_agg(c.name) into v_count, v_changed from changed as c;
    perform bulkhead.declare_surroundings(true);
    perform bulkhead.log_change('attest', 'bulkhead.protected_tables', null, jsonb_build_object('note', note, 'tables', v_changed));
    return v_count;
end
$$;
comment on function bulkhead.attest(text) is 'Accepts the present catalog state as declared, with a note in the ledger; holes in the boundary stay red whoever signs. Returns how many tables had changed';
revoke all on function bulkhead.attest(text) from public;
