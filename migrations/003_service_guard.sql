-- The guard: what a write must know before the ledger takes it, and the few doors for the API.
-- Public: bulkhead.create_tenant, admit_to_tenant, break_glass, end_break_glass, close_service_role, open_service_role;
--   role bulkhead_service; schema bulkhead_api (log_event, create_tenant, record_refused_write, record_platform_access),
--   the only one to expose.
-- Security definers: current_write_context reads settings, note_members the membership table;
--   the bulkhead_api functions do one audited thing each for a back end.
-- Never: takes the caller from current_user, the tenant of a service from anything but its own request,
--   or lets a role that is not a platform role write without a tenant.
-- Errors: 42501 the write is refused (message names the remedy), BH002, BH007, BH008.

-- The service role's place without its power: no BYPASSRLS, so that the policies hold its reads too.
do $$
begin
    if to_regrole('bulkhead_service') is null then
        create role bulkhead_service nologin noinherit;
    end if;
    if to_regrole('authenticator') is not null then
        grant bulkhead_service to authenticator;
    end if;
exception
    -- Roles belong to the server: another database of it may be making the same one.
    when duplicate_object or unique_violation then
        null;
end
$$;
grant usage on schema bulkhead to bulkhead_service;
grant execute on function
    bulkhead.current_tenants(), bulkhead.current_tenant(), bulkhead.caller(),
    bulkhead.set_tenant(text, text, text), bulkhead.canonical_tenant(text)
to bulkhead_service;

-- ---------------------------------------------------------------- what a transaction was let do

create table bulkhead.tenant_openings (
    xid xid8 not null default pg_current_xact_id(),
    tenant text not null,
    may_create boolean not null default false,
    primary key (xid, tenant)
);
comment on table bulkhead.tenant_openings is
    'Tenants that a running transaction may write because it has created them, or because bulkhead.admit_to_tenant() let it; what is left of ended ones means nothing';
alter table bulkhead.tenant_openings enable row level security;
revoke all on bulkhead.tenant_openings from public, anon, authenticated, service_role;

create table bulkhead.members_before (
    xid xid8 not null default pg_current_xact_id(),
    depth integer not null default pg_trigger_depth(),
    tenants text[],
    primary key (xid, depth)
);
comment on table bulkhead.members_before is
    'The tenants of a member before the statement that is changing the membership table; what is left of ended transactions means nothing';
alter table bulkhead.members_before enable row level security;
revoke all on bulkhead.members_before from public, anon, authenticated, service_role;

-- The guard looks after a statement has run. Who leaves a tenant is no member any more by then, and who lets themself in
-- is one already: so the membership table alone remembers who was whose before.
-- Definer: asks and notes in tables that the writer has no right to.
create function bulkhead.note_members()
returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    if bulkhead.caller() = 'authenticated' then
        delete from bulkhead.members_before where xid < pg_snapshot_xmin(pg_current_snapshot());
        insert into bulkhead.members_before (tenants)
        values (bulkhead.current_tenants())
        on conflict on constraint members_before_pkey do update set tenants = excluded.tenants;
    end if;
    return null;
end
$$;
comment on function bulkhead.note_members() is 'Trigger of the membership table: whose member the caller is before the statement';
revoke all on function bulkhead.note_members() from public;

create function bulkhead.watch_members(relation regclass)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
as $$
#variable_conflict use_variable
declare
    v_table text := bulkhead.qualified(relation);
begin
    if exists (select from pg_catalog.pg_trigger as g where g.tgrelid = relation and g.tgname = 'bulkhead_members') then
        execute format('drop trigger bulkhead_members on %s', v_table);
    end if;
    if exists (
        select
        from bulkhead.settings as s
        join bulkhead.protected_tables as t on s.membership_table = coalesce(t.parent, t.relation)
        where t.relation = relation
    ) then
        execute format('create trigger bulkhead_members before insert or update or delete on %s'
            ' for each statement execute function bulkhead.note_members()', v_table);
        execute format('alter table %s enable always trigger bulkhead_members', v_table);
    end if;
end
$$;
comment on function bulkhead.watch_members(regclass) is 'Puts note_members() on the membership table, and takes it off any other';
revoke all on function bulkhead.watch_members(regclass) from public;

create function bulkhead.follow_membership()
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_relation regclass;
begin
    for v_relation in
        select t.relation
        from bulkhead.protected_tables as t
        join pg_catalog.pg_class as c on c.oid = t.relation
        cross join bulkhead.settings as s
        where (s.membership_table is not null and s.membership_table = coalesce(t.parent, t.relation)) <> exists (
            select from pg_catalog.pg_trigger as g where g.tgrelid = t.relation and g.tgname = 'bulkhead_members'
        )
    loop
        perform bulkhead.watch_members(v_relation);
        update bulkhead.protected_tables as t set declared = bulkhead.redeclared(t.declared, bulkhead.observed_state(t.relation))
        where t.relation = v_relation and t.declared ? 'policies';
    end loop;
end
$$;
comment on function bulkhead.follow_membership() is 'After configure(): the membership table may be another one than before';
revoke all on function bulkhead.follow_membership() from public;

-- ---------------------------------------------------------------- the service role and its successor

create function bulkhead.grant_to_service(relation regclass)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_sequence regclass;
begin
    execute format('grant usage on schema %I to bulkhead_service',
        (select n.nspname from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace where c.oid = relation));
    execute format('grant select, insert, update, delete on table %s to bulkhead_service', bulkhead.qualified(relation));
    for v_sequence in
        select d.objid
        from pg_catalog.pg_depend as d
        join pg_catalog.pg_class as c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass
            and d.refclassid = 'pg_catalog.pg_class'::regclass
            and d.refobjid = relation
            and d.deptype in ('a', 'i')
    loop
        execute format('grant usage on sequence %s to bulkhead_service', bulkhead.qualified(v_sequence));
        execute format('revoke all on sequence %s from public, anon', bulkhead.qualified(v_sequence));
    end loop;
    if (select s.service_role_closed_at from bulkhead.settings as s) is not null then
        execute format('revoke all on table %s from service_role', bulkhead.qualified(relation));
    end if;
end
$$;
comment on function bulkhead.grant_to_service(regclass) is
    'What bulkhead_service needs of a protected table; and nothing of it for service_role once close_service_role() has run';
revoke all on function bulkhead.grant_to_service(regclass) from public;

create function bulkhead.close_service_role()
returns integer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_table regclass;
    v_count integer := 0;
begin
    update bulkhead.settings set service_role_closed_at = coalesce(service_role_closed_at, now());
    for v_table in
        select t.relation
        from bulkhead.protected_tables as t
        join pg_catalog.pg_class as c on c.oid = t.relation
    loop
        perform bulkhead.grant_to_service(v_table);
        v_count := v_count + 1;
    end loop;
    perform bulkhead.log_change('close_service_role', 'service_role', null, jsonb_build_object('tables', v_count));
    return v_count;
end
$$;
comment on function bulkhead.close_service_role() is
    'Takes every right on protected tables from service_role, whose reads no policy holds, now and for tables to come: back ends arrive as bulkhead_service. A grant after this is a finding. Returns how many tables; idempotent, undone by open_service_role()';
revoke all on function bulkhead.close_service_role() from public;

create function bulkhead.open_service_role(reason text)
returns integer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_table regclass;
    v_count integer := 0;
begin
    if length(trim(coalesce(reason, ''))) < 10 then
        raise exception using
            errcode = 'BH002',
            message = 'opening service_role needs a reason of at least ten characters: somebody will read it in an audit';
    end if;
    update bulkhead.settings set service_role_closed_at = null;
    for v_table in
        select t.relation
        from bulkhead.protected_tables as t
        join pg_catalog.pg_class as c on c.oid = t.relation
    loop
        execute format('grant select, insert, update, delete on table %s to service_role', bulkhead.qualified(v_table));
        v_count := v_count + 1;
    end loop;
    perform bulkhead.log_change('open_service_role', 'service_role', null, jsonb_build_object('tables', v_count, 'reason', reason));
    return v_count;
end
$$;
comment on function bulkhead.open_service_role(text) is
    'Gives service_role back its rights on protected tables, with a reason in the ledger; returns how many tables';
revoke all on function bulkhead.open_service_role(text) from public;

-- ---------------------------------------------------------------- break-glass

create table bulkhead.glass_breaks (
    id bigint generated always as identity primary key,
    role name not null,
    tenant text,
    reason text not null check (length(trim(reason)) >= 10),
    opened_at timestamptz not null default now(),
    opened_by name not null default session_user,
    until timestamptz not null check (until <= opened_at + interval '4 hours 1 minute'),
    ended_at timestamptz,
    ended_by name,
    check ((ended_at is null) = (ended_by is null))
);
comment on table bulkhead.glass_breaks is
    'Each time that bulkhead.break_glass() let a role write without naming a tenant: which role, which tenant (null: all), why, until when';
alter table bulkhead.glass_breaks enable row level security;
revoke all on bulkhead.glass_breaks from public, anon, authenticated, service_role;

create function bulkhead.opened_tenants(role name)
returns text[]
language plpgsql
stable
parallel safe
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_settings bulkhead.settings;
    v_tenants text[];
    v_is_all boolean;
begin
    -- The clock, not the start of the transaction: a long one must not outlive what it was given.
    select array_agg(g.tenant) filter (where g.tenant is not null), bool_or(g.tenant is null)
    into v_tenants, v_is_all
    from bulkhead.glass_breaks as g
    where g.role = role and g.ended_at is null and g.until > clock_timestamp();
    if v_is_all then
        v_settings := (select s from bulkhead.settings as s);
        execute format('select array_agg(t.%I::text) from %s as t', v_settings.tenant_key, bulkhead.qualified(v_settings.tenants_table))
        into v_tenants;
    end if;
    return v_tenants;
end
$$;
comment on function bulkhead.opened_tenants(name) is 'The tenants that bulkhead.break_glass() opened to a role, null when it opened none or its time is over';
revoke all on function bulkhead.opened_tenants(name) from public;

create function bulkhead.announce_break_glass(title text, glass bulkhead.glass_breaks)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    perform bulkhead.enqueue_alert('notice', 'critical', jsonb_build_object(
        'title', title,
        'detail', glass.reason,
        'facts', jsonb_build_object(
            'Role', glass.role, 'Tenant', coalesce(glass.tenant, 'every tenant'), 'Opened by', glass.opened_by,
            'Until', to_char(glass.until at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')),
        'actions', jsonb_build_array(format('End it now: select bulkhead.end_break_glass(%s)', glass.id)),
        'runbook', 'docs/runbooks/break_glass.md'));
end
$$;
comment on function bulkhead.announce_break_glass(text, bulkhead.glass_breaks) is 'Tells people through the outbox; called by break_glass() and end_break_glass() only';
revoke all on function bulkhead.announce_break_glass(text, bulkhead.glass_breaks) from public;

create function bulkhead.break_glass(reason text, minutes integer, role name default 'service_role', tenant text default null)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_glass bulkhead.glass_breaks;
begin
    if length(trim(coalesce(reason, ''))) < 10 then
        raise exception using
            errcode = 'BH002',
            message = 'breaking the glass needs a reason of at least ten characters: somebody will read it in an audit';
    end if;
    if minutes is null or minutes not between 1 and 240 then
        raise exception using
            errcode = 'BH002',
            message = 'the glass stays broken for 1 to 240 minutes; name how many';
    end if;
    if role is null or to_regrole(quote_ident(role)) is null or role in ('anon', 'authenticated', 'authenticator', 'bulkhead_audit') then
        raise exception using
            errcode = 'BH002',
            message = format('%L cannot be let in: name service_role, bulkhead_service or another back end''s role; never one that users arrive as', role);
    end if;
    insert into bulkhead.glass_breaks (role, tenant, reason, until)
    values (role, bulkhead.canonical_tenant(tenant), reason, now() + make_interval(mins => minutes))
    returning * into v_glass;
    perform bulkhead.log_change('break_glass', v_glass.role, v_glass.tenant,
        jsonb_build_object('id', v_glass.id, 'reason', reason, 'until', v_glass.until));
    perform bulkhead.announce_break_glass('The glass is broken: a role may write without naming a tenant', v_glass);
    return v_glass.id;
end
$$;
comment on function bulkhead.break_glass(text, integer, name, text) is
    'For a time, lets a role of a back end write (and, where it obeys policies, read) one tenant or all without naming one. Audited, alerted, red in status, over by itself. Example: select bulkhead.break_glass(''ticket 812: move unit 7'', 15, tenant => ''…'')';
revoke all on function bulkhead.break_glass(text, integer, name, text) from public;

create function bulkhead.end_break_glass(id bigint default null)
returns integer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_glass bulkhead.glass_breaks;
    v_count integer := 0;
begin
    for v_glass in
        update bulkhead.glass_breaks as g set ended_at = now(), ended_by = session_user
        where (id is null or g.id = id) and g.ended_at is null and g.until > clock_timestamp()
        returning g.*
    loop
        perform bulkhead.log_change('break_glass_ended', v_glass.role, v_glass.tenant, jsonb_build_object('id', v_glass.id));
        perform bulkhead.announce_break_glass('The glass is whole again', v_glass);
        v_count := v_count + 1;
    end loop;
    return v_count;
end
$$;
comment on function bulkhead.end_break_glass(bigint) is 'Ends one break-glass, or (null) every one, before its time; returns how many';
revoke all on function bulkhead.end_break_glass(bigint) from public;

-- ---------------------------------------------------------------- the context of a write

create function bulkhead.forwarded_address(header text)
returns inet
language plpgsql
immutable
strict
parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    v_first text := trim(split_part(header, ',', 1));
begin
    return case
        when v_first ~ '^((25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(25[0-5]|2[0-4]\d|1?\d?\d)$'
            or v_first ~ '^([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}$'
            or v_first ~ '^([0-9A-Fa-f]{1,4}:){1,6}(:[0-9A-Fa-f]{1,4})$'
            or v_first ~ '^([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){1,5}$' and array_length(string_to_array(v_first, ':'), 1) <= 8
            then v_first::inet
    end;
end
$$;
comment on function bulkhead.forwarded_address(text) is 'The first address of a forwarding header; null for what is none, since a forged header must not stop a write';
revoke all on function bulkhead.forwarded_address(text) from public;

-- Definer: reads settings, protected_tables and memberships, which the trigger functions'' owner may not.
-- One query: plpgsql sets up each expression anew in each transaction.
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
    v_context bulkhead.write_context;
    v_is_membership_table boolean;
    v_headers jsonb;
begin
    select
        c.caller,
        c.caller = any (s.platform_roles),
        t.is_tenants_table,
        c.caller = 'authenticated' and s.membership_table = coalesce(t.parent, t.relation),
        case
            when c.caller = any (s.platform_roles) and coalesce(current_setting('bulkhead.tenant', true), '') = '' then null
            when c.caller = 'authenticated' and s.membership_table = coalesce(t.parent, t.relation) then null
            else bulkhead.current_tenants()
        end,
        left(nullif(current_setting('bulkhead.actor', true), ''), 200),
        nullif(current_setting('bulkhead.request_id', true), ''),
        inet_client_addr(),
        nullif(current_setting('application_name'), '')
    into
        v_context.caller, v_context.is_platform, v_context.is_tenants_table, v_is_membership_table, v_context.tenants,
        v_context.actor, v_context.request_id, v_context.ip_address, v_context.application_name
    from (
        select case when current_setting('role') = 'none' then session_user else current_setting('role')::name end as caller
        offset 0
    ) as c
    cross join bulkhead.settings as s
    left join bulkhead.protected_tables as t
        on t.relation = current_write_context.relation and t.audit_function = function_name;
    if relation is not null and v_context.is_tenants_table is null then
        raise exception using
            errcode = 'BH007',
            message = format('bulkhead.%I does not belong to table %s; run select bulkhead.protect(…) on it', function_name, relation::regclass);
    end if;
    if v_is_membership_table then
        -- What a cascade queues is looked at one level above the place where it was noted.
        select m.tenants into v_context.tenants
        from bulkhead.members_before as m
        where m.xid = pg_current_xact_id_if_assigned()
        order by m.depth = pg_trigger_depth() desc, m.depth desc
        limit 1;
    end if;
    v_context.may_create := false;
    -- Anybody can make the setting; it only says that a look at the table is worth while.
    if current_setting('bulkhead.openings', true) = 'yes' then
        select v_context.tenants || array_agg(o.tenant), coalesce(v_context.is_tenants_table and bool_or(o.may_create), false)
        into v_context.tenants, v_context.may_create
        from bulkhead.tenant_openings as o
        where o.xid = pg_current_xact_id_if_assigned();
    end if;
    if v_context.caller in ('anon', 'authenticated', 'service_role', 'bulkhead_service') then
        v_headers := nullif(current_setting('request.headers', true), '')::jsonb;
        if v_headers is not null then
            -- The connection is the API server's; what it forwards is as true as the proxy in front of it.
            v_context.ip_address := coalesce(
                bulkhead.forwarded_address(v_headers ->> 'x-forwarded-for'), bulkhead.forwarded_address(v_headers ->> 'x-real-ip'));
        end if;
        if v_context.caller = 'authenticated' then
            v_context.actor := nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub';
            v_context.request_id := left(v_headers ->> 'x-request-id', 200);
        elsif v_context.caller = 'anon' then
            v_context.actor := null;
            v_context.request_id := null;
        else
            v_context.actor := coalesce(v_context.actor, left(nullif(v_headers ->> 'x-actor', ''), 200));
            v_context.request_id := coalesce(left(v_headers ->> 'x-request-id', 200), v_context.request_id);
        end if;
    end if;
    return v_context;
end
$$;
comment on function bulkhead.current_write_context(oid, name) is 'The context of the present write. x-actor counts for a service only; for authenticated the JWT''s subject is the actor';
revoke all on function bulkhead.current_write_context(oid, name) from public;

create function bulkhead.refuse_write(context bulkhead.write_context, operation text, table_name text)
returns text
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

-- Definer: reads rows of a table that the trigger functions'' owner may not read.
create function bulkhead.log_truncate(context bulkhead.write_context, relation oid, table_name text, tenant_column name)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_root bulkhead.protected_tables := (
        select root
        from bulkhead.protected_tables as t
        join bulkhead.protected_tables as root on root.relation = coalesce(t.parent, t.relation)
        where t.relation = log_truncate.relation
    );
begin
    -- ONLY: children report their own rows.
    execute format(
        'insert into bulkhead.audit_events (tenant_id, actor, actor_role, table_name, operation, record_id, before, request_id, application_name, ip_address)'
        ' select t.%I::text, $1.actor, $1.caller, $2, ''TRUNCATE'', %s, %s, $1.request_id, $1.application_name, $1.ip_address from only %s as t',
        tenant_column, bulkhead.ledger_key(v_root.key_columns, 't'), bulkhead.ledger_row(relation, 't', v_root.options), bulkhead.qualified(relation))
    using context, table_name;
end
$$;
comment on function bulkhead.log_truncate(bulkhead.write_context, oid, text, name) is 'One event for each row that a TRUNCATE takes; only platform roles get this far';
revoke all on function bulkhead.log_truncate(bulkhead.write_context, oid, text, name) from public;

grant execute on function
    bulkhead.current_write_context(oid, name),
    bulkhead.is_platform(name),
    bulkhead.refuse_write(bulkhead.write_context, text, text),
    bulkhead.log_truncate(bulkhead.write_context, oid, text, name),
    bulkhead.qualified(regclass)
to bulkhead_audit;

grant create on schema bulkhead to bulkhead_audit;
alter function bulkhead.log_event(text, text, text, jsonb) owner to bulkhead_audit;
revoke create on schema bulkhead from bulkhead_audit;

-- ---------------------------------------------------------------- tenants

create function bulkhead.open_tenant(tenant text, may_create boolean)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
begin
    delete from bulkhead.tenant_openings where xid < pg_snapshot_xmin(pg_current_snapshot());
    insert into bulkhead.tenant_openings as o (tenant, may_create)
    values (tenant, may_create)
    on conflict on constraint tenant_openings_pkey do update set may_create = excluded.may_create;
    perform set_config('bulkhead.openings', 'yes', true);
end
$$;
comment on function bulkhead.open_tenant(text, boolean) is 'Lets the present transaction write one tenant; called by create_tenant() and admit_to_tenant() only';
revoke all on function bulkhead.open_tenant(text, boolean) from public;

create function bulkhead.admit_to_tenant(tenant text, reason text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_tenant text := bulkhead.canonical_tenant(nullif(trim(tenant), ''));
begin
    if v_tenant is null then
        raise exception using
            errcode = 'BH006',
            message = 'no tenant named: pass the tenant''s id to bulkhead.admit_to_tenant()';
    end if;
    if length(trim(coalesce(reason, ''))) < 10 then
        raise exception using
            errcode = 'BH002',
            message = 'an admission needs a reason of at least ten characters: somebody will read it in an audit';
    end if;
    perform bulkhead.open_tenant(v_tenant, false);
    -- Who, where bulkhead.erase() takes it out.
    insert into bulkhead.audit_events (tenant_id, actor, actor_role, table_name, operation, application_name, metadata)
    values (
        v_tenant, (bulkhead.current_write_context()).actor, session_user, bulkhead.caller(), 'bulkhead.admitted',
        nullif(current_setting('application_name'), ''), jsonb_build_object('reason', reason));
end
$$;
comment on function bulkhead.admit_to_tenant(text, text) is
    'For a definer function of yours that takes a caller into a tenant, after it has checked an invitation: opens that one tenant to the rest of the transaction, with an event. Only the kit''s owner may call it. Example: perform bulkhead.admit_to_tenant(v_invitation.tenant_id::text, ''invitation accepted'')';
revoke all on function bulkhead.admit_to_tenant(text, text) from public;

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
    v_key_expression text;
    v_is_identity boolean;
    v_tenant text;
begin
    if v_settings.tenants_table is null then
        raise exception using
            errcode = 'BH001',
            message = 'Bulkhead is not configured: run select bulkhead.configure(''public.tenants'')';
    end if;
    -- The key is drawn beforehand, so that a trigger which writes the new tenant's first rows finds it open.
    select
        a.attidentity <> '',
        case
            when a.attidentity <> '' then format('nextval(%L)', pg_get_serial_sequence(bulkhead.qualified(a.attrelid), a.attname))
            when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid)
        end
    into v_is_identity, v_key_expression
    from pg_catalog.pg_attribute as a
    left join pg_catalog.pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = v_settings.tenants_table and a.attname = v_settings.tenant_key;
    if v_key_expression is not null and not attributes ? v_settings.tenant_key then
        execute format('select (%s)::text', v_key_expression) into v_tenant;
        attributes := attributes || jsonb_build_object(v_settings.tenant_key, v_tenant);
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
    v_tenant := coalesce(bulkhead.canonical_tenant(attributes ->> v_settings.tenant_key), '');
    perform bulkhead.open_tenant(v_tenant, true);
    execute case
        when v_columns is null then format('insert into %s default values returning %I::text', bulkhead.qualified(v_settings.tenants_table), v_settings.tenant_key)
        else format('insert into %1$s (%2$s) %4$s select %2$s from jsonb_populate_record(null::%1$s, $1) returning %3$I::text',
            bulkhead.qualified(v_settings.tenants_table), bulkhead.quoted(v_columns), v_settings.tenant_key,
            case when v_is_identity then 'overriding system value' else '' end)
    end
    into v_tenant
    using attributes;
    -- The door for tenants closes; the new tenant stays open to the transaction that made it.
    delete from bulkhead.tenant_openings where xid = pg_current_xact_id() and may_create;
    perform bulkhead.open_tenant(v_tenant, false);
    return v_tenant;
end
$$;
comment on function bulkhead.create_tenant(jsonb) is 'The one path by which a tenant comes to be: inserts a row of the tenants table from a JSON object of its columns and returns its key; the transaction may then write that tenant''s first rows. Example: select bulkhead.create_tenant(''{"name": "Riverside Homes"}'')';
revoke all on function bulkhead.create_tenant(jsonb) from public;

-- ---------------------------------------------------------------- the API's door

create schema bulkhead_api;
comment on schema bulkhead_api is 'The only schema of Bulkhead to expose through the API; each function is granted by name';
revoke all on schema bulkhead_api from public;
grant usage on schema bulkhead_api to authenticated, service_role, bulkhead_service;

-- Definer: services have no rights on the ledger''s schema beyond the context functions.
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
grant execute on function bulkhead_api.log_event(text, text, text, jsonb) to service_role, bulkhead_service;

-- Definer: inserts a tenant, which the guard refuses to a service in any other way.
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
grant execute on function bulkhead_api.create_tenant(jsonb) to service_role, bulkhead_service;

create table bulkhead.refused_write_counts (
    minute timestamptz not null,
    tenant text not null,
    attempts integer not null default 1,
    primary key (minute, tenant)
);
comment on table bulkhead.refused_write_counts is 'Refused writes that were reported, by tenant and minute of the last hour: the ledger takes sixty a minute of each tenant';
alter table bulkhead.refused_write_counts enable row level security;
revoke all on bulkhead.refused_write_counts from public, anon, authenticated, service_role;

-- The refusal itself rolled back whatever its transaction had noted, so the back end reports it in a request of its own.
-- Definer: adds an event to the ledger, to the tenant that the caller names and to no other.
create function bulkhead_api.record_refused_write(
    table_name text,
    operation text,
    reason text,
    attempted_tenant text default null,
    detail jsonb default null
)
returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_context bulkhead.write_context;
    v_tenant text;
    v_minute timestamptz := date_trunc('minute', clock_timestamp());
    v_attempts integer;
    v_unsaid integer;
begin
    if coalesce(table_name, '') !~ '^[^[:cntrl:]]{1,130}$' or lower(coalesce(operation, '')) !~ '^[a-z]{1,20}$' or nullif(trim(reason), '') is null
        or length(attempted_tenant) > 200 or octet_length(detail::text) > 4096 then
        raise exception using
            errcode = 'BH008',
            message = 'a refused write is reported with a table (130 characters at most), an operation such as insert, a reason, and at most 4 kB of detail';
    end if;
    v_context := bulkhead.current_write_context();
    v_tenant := case when cardinality(v_context.tenants) = 1 then v_context.tenants[1] end;
    delete from bulkhead.refused_write_counts as c where c.minute < v_minute - interval '1 hour';
    insert into bulkhead.refused_write_counts as c (minute, tenant)
    values (v_minute, coalesce(v_tenant, ''))
    on conflict on constraint refused_write_counts_pkey do update set attempts = c.attempts + 1
    returning c.attempts into v_attempts;
    -- A loop that is refused at every turn must not fill the ledger: what was left out is counted.
    if v_attempts > 60
        or (select sum(least(c.attempts, 60)) from bulkhead.refused_write_counts as c where c.minute = v_minute) > 600 then
        return false;
    end if;
    select sum(c.attempts - 60) into v_unsaid
    from bulkhead.refused_write_counts as c
    where c.tenant = coalesce(v_tenant, '') and c.minute < v_minute and c.attempts > 60;
    update bulkhead.refused_write_counts as c set attempts = 60
    where c.tenant = coalesce(v_tenant, '') and c.minute < v_minute and c.attempts > 60;
    insert into bulkhead.audit_events (tenant_id, actor, actor_role, table_name, operation, request_id, application_name, ip_address, metadata)
    values (
        v_tenant, v_context.actor, v_context.caller, table_name, 'bulkhead.write_refused', v_context.request_id,
        v_context.application_name, v_context.ip_address,
        jsonb_strip_nulls(jsonb_build_object(
            'attempted', lower(operation), 'reason', left(reason, 500), 'attempted_tenant', attempted_tenant, 'not_recorded', v_unsaid))
            || case when detail is null then '{}' else jsonb_build_object('detail', detail) end);
    return true;
end
$$;
comment on function bulkhead_api.record_refused_write(text, text, text, text, jsonb) is
    'Reports a write that was refused, as an event bulkhead.write_refused of the tenant that the caller names; false when that tenant has had its sixty of this minute';
revoke all on function bulkhead_api.record_refused_write(text, text, text, text, jsonb) from public, anon, authenticated;
grant execute on function bulkhead_api.record_refused_write(text, text, text, text, jsonb) to service_role, bulkhead_service;

-- Definer: adds an event to the ledger that belongs to no tenant.
create function bulkhead_api.record_platform_access(reason text, minutes integer default 15)
returns timestamptz
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_context bulkhead.write_context := bulkhead.current_write_context();
    v_until timestamptz := clock_timestamp() + make_interval(mins => minutes);
begin
    if length(trim(coalesce(reason, ''))) < 10 or length(reason) > 500 then
        raise exception using
            errcode = 'BH008',
            message = 'work across tenants needs a reason of 10 to 500 characters: somebody will read it in an audit';
    end if;
    if minutes is null or minutes not between 1 and 60 then
        raise exception using
            errcode = 'BH008',
            message = 'work across tenants lasts 1 to 60 minutes; record it again when it takes longer';
    end if;
    if v_context.actor is null then
        raise exception using
            errcode = '42501',
            message = 'work across tenants needs somebody who does it: send the x-actor header';
    end if;
    insert into bulkhead.audit_events (actor, actor_role, table_name, operation, request_id, application_name, ip_address, metadata)
    values (
        v_context.actor, v_context.caller, 'bulkhead_api', 'bulkhead.platform_access', v_context.request_id,
        v_context.application_name, v_context.ip_address,
        jsonb_build_object('reason', reason, 'until', v_until));
    return v_until;
end
$$;
comment on function bulkhead_api.record_platform_access(text, integer) is
    'Records that a back end looks across tenants: who, why and until when, one event each; returns the end. It opens nothing: writes still name their tenant';
revoke all on function bulkhead_api.record_platform_access(text, integer) from public, anon, authenticated;
grant execute on function bulkhead_api.record_platform_access(text, integer) to service_role, bulkhead_service;
