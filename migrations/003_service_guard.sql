-- The guard: what a write must know before the ledger takes it, and the few doors for the API.
-- Public: bulkhead.create_tenant; schema bulkhead_api (log_event, create_tenant), the only one to expose.
-- Security definers: current_write_context reads settings; create_tenant and the bulkhead_api functions
--   do one audited thing each for service_role.
-- Never: takes the caller from current_user, the tenant of service_role from anything but its own request,
--   or lets a role that is not a platform role write without a tenant.
-- Errors: 42501 the write is refused (message names the remedy), BH007, BH008.

create table bulkhead.tenant_openings (
    xid xid8 primary key default pg_current_xact_id()
);
comment on table bulkhead.tenant_openings is 'Transactions in which bulkhead.create_tenant() is creating a tenant; empty outside them';
alter table bulkhead.tenant_openings enable row level security;
revoke all on bulkhead.tenant_openings from public, anon, authenticated, service_role;

-- Definer: reads settings, protected_tables and memberships, which the trigger functions'' owner may not.
create function bulkhead.current_write_context(relation oid default null, function_name name default null)
returns bulkhead.write_context
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_caller name := case when current_setting('role') = 'none' then session_user else current_setting('role')::name end;
    v_context bulkhead.write_context;
    v_headers jsonb;
    v_forwarded text;
begin
    if relation is not null then
        select t.is_tenants_table into v_context.is_tenants_table
        from bulkhead.protected_tables as t
        where t.relation = current_write_context.relation and t.audit_function = function_name;
        if v_context.is_tenants_table is null then
            raise exception using
                errcode = 'BH007',
                message = format('bulkhead.%I does not belong to table %s; run select bulkhead.protect(…) on it', function_name, relation::regclass);
        end if;
    end if;
    v_context.caller := v_caller;
    v_context.application_name := nullif(current_setting('application_name'), '');
    select v_caller = any (s.platform_roles) into v_context.is_platform from bulkhead.settings as s;
    v_context.tenants := bulkhead.current_tenants();
    v_context.may_create := coalesce(v_context.is_tenants_table, false)
        and exists (select from bulkhead.tenant_openings as o where o.xid = pg_current_xact_id_if_assigned());
    if v_caller in ('authenticated', 'service_role') then
        v_headers := nullif(current_setting('request.headers', true), '')::jsonb;
        v_forwarded := trim(split_part(v_headers ->> 'x-forwarded-for', ',', 1));
        v_context.request_id := left(v_headers ->> 'x-request-id', 200);
        if v_forwarded ~ '^((25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(25[0-5]|2[0-4]\d|1?\d?\d)$'
            or v_forwarded ~ '^([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}$'
            or v_forwarded ~ '^([0-9A-Fa-f]{1,4}:){1,6}(:[0-9A-Fa-f]{1,4})$' then
            v_context.ip_address := v_forwarded::inet;
        end if;
    end if;
    if v_caller = 'authenticated' then
        v_context.actor := nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub';
    else
        v_context.actor := left(coalesce(nullif(current_setting('bulkhead.actor', true), ''), nullif(v_headers ->> 'x-actor', '')), 200);
        v_context.request_id := coalesce(v_context.request_id, nullif(current_setting('bulkhead.request_id', true), ''));
    end if;
    return v_context;
end
$$;
comment on function bulkhead.current_write_context(oid, name) is 'The context of the present write. x-actor counts for service_role only; for authenticated the JWT''s subject is the actor';
revoke all on function bulkhead.current_write_context(oid, name) from public;

create function bulkhead.refuse_write(context bulkhead.write_context, operation text, table_name text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_what text := format('%s on %s by %s', lower(operation), table_name, context.caller);
begin
    if operation = 'TRUNCATE' then
        raise exception using
            errcode = '42501',
            message = format('%s refused: it would empty the table for every tenant; delete the rows of one tenant instead', v_what);
    end if;
    if context.is_tenants_table and operation in ('INSERT', 'DELETE') then
        raise exception using
            errcode = '42501',
            message = format('%s refused: tenants are created through bulkhead.create_tenant() and removed by a platform role', v_what);
    end if;
    if coalesce(cardinality(context.tenants), 0) = 0 then
        raise exception using
            errcode = '42501',
            message = format('%s refused: no tenant is named; send the x-tenant-id header, or run select bulkhead.set_tenant(…) in the transaction', v_what);
    end if;
    raise exception using
        errcode = '42501',
        message = format('%s refused: a row belongs to another tenant than the one named', v_what);
end
$$;
comment on function bulkhead.refuse_write(bulkhead.write_context, text, text) is 'Raises 42501 with the reason and the remedy';
revoke all on function bulkhead.refuse_write(bulkhead.write_context, text, text) from public;

-- Definer: counts rows of a table that the trigger functions'' owner may not read.
create function bulkhead.log_truncate(context bulkhead.write_context, relation oid, table_name text, tenant_column name)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    execute format(
        'insert into bulkhead.audit_events (tenant_id, actor, actor_role, table_name, operation, request_id, metadata)'
        ' select t.%I::text, $1, $2, $3, ''TRUNCATE'', $4, jsonb_build_object(''rows'', count(*)) from %s as t group by 1',
        tenant_column, bulkhead.qualified(relation))
    using context.actor, context.caller, table_name, context.request_id;
end
$$;
comment on function bulkhead.log_truncate(bulkhead.write_context, oid, text, name) is 'One event a tenant with the number of rows that a TRUNCATE takes; only platform roles get this far';
revoke all on function bulkhead.log_truncate(bulkhead.write_context, oid, text, name) from public;

grant execute on function
    bulkhead.current_write_context(oid, name),
    bulkhead.refuse_write(bulkhead.write_context, text, text),
    bulkhead.log_truncate(bulkhead.write_context, oid, text, name),
    bulkhead.qualified(regclass)
to bulkhead_audit;

grant create on schema bulkhead to bulkhead_audit;
alter function bulkhead.log_event(text, text, text, jsonb) owner to bulkhead_audit;
revoke create on schema bulkhead from bulkhead_audit;

-- ---------------------------------------------------------------- tenants

create function bulkhead.create_tenant(attributes jsonb)
returns text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_settings bulkhead.settings := (select s from bulkhead.settings as s);
    v_columns name[];
    v_tenant text;
begin
    if v_settings.tenants_table is null then
        raise exception using
            errcode = 'BH001',
            message = 'Bulkhead is not configured: run select bulkhead.configure(''public.tenants'')';
    end if;
    select array_agg(a.attname) into v_columns
    from pg_catalog.pg_attribute as a
    where a.attrelid = v_settings.tenants_table
        and a.attnum > 0
        and not a.attisdropped
        and attributes ? a.attname;
    if coalesce(cardinality(v_columns), 0) <> (select count(*) from jsonb_object_keys(attributes)) then
        raise exception using
            errcode = 'BH008',
            message = format('attributes name a column that %s does not have', v_settings.tenants_table);
    end if;
    insert into bulkhead.tenant_openings default values on conflict do nothing;
    execute case
        when v_columns is null then format('insert into %s default values returning %I::text', bulkhead.qualified(v_settings.tenants_table), v_settings.tenant_key)
        else format('insert into %1$s (%2$s) select %2$s from jsonb_populate_record(null::%1$s, $1) returning %3$I::text',
            bulkhead.qualified(v_settings.tenants_table), bulkhead.quoted(v_columns), v_settings.tenant_key)
    end
    into v_tenant
    using attributes;
    delete from bulkhead.tenant_openings where xid = pg_current_xact_id();
    return v_tenant;
end
$$;
comment on function bulkhead.create_tenant(jsonb) is 'The one path by which a tenant comes to be: inserts a row of the tenants table from a JSON object of its columns and returns its key. Example: select bulkhead.create_tenant(''{"name": "Riverside Homes"}'')';
revoke all on function bulkhead.create_tenant(jsonb) from public;

-- ---------------------------------------------------------------- the API's door

create schema bulkhead_api;
comment on schema bulkhead_api is 'The only schema of Bulkhead to expose through the API; each function is granted by name';
revoke all on schema bulkhead_api from public;
grant usage on schema bulkhead_api to authenticated, service_role;

-- Definer: service_role has no rights on the ledger''s schema beyond the context functions.
create function bulkhead_api.log_event(action text, resource_type text, resource_id text default null, metadata jsonb default null)
returns void
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
    select bulkhead.log_event(action, resource_type, resource_id, metadata)
$$;
comment on function bulkhead_api.log_event(text, text, text, jsonb) is 'Adds an event of the application to the caller''s tenant in the ledger';
revoke all on function bulkhead_api.log_event(text, text, text, jsonb) from public, anon, authenticated;
grant execute on function bulkhead_api.log_event(text, text, text, jsonb) to service_role;

-- Definer: inserts a tenant, which the guard refuses to service_role in any other way.
create function bulkhead_api.create_tenant(attributes jsonb)
returns text
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
    select bulkhead.create_tenant(attributes)
$$;
comment on function bulkhead_api.create_tenant(jsonb) is 'Creates a tenant, for the back end that signs customers up';
revoke all on function bulkhead_api.create_tenant(jsonb) from public, anon, authenticated;
grant execute on function bulkhead_api.create_tenant(jsonb) to service_role;
