-- The ledger: every change of a protected table, append-only; 008 seals it.
-- Public: table bulkhead.audit_events; view bulkhead.audit_logs; bulkhead.log_event, baseline, ensure_audit_partitions.
-- Security definers: the generated trigger functions and log_event belong to bulkhead_audit, a role
--   that can insert into the ledger and do nothing else; masked_value reads its key.
-- Never: stores a token, changes or deletes an event.
-- Errors: 42501 the ledger is append-only, BH002 a table or options that cannot be used, BH007 a trigger function on the
--   wrong table.

do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'bulkhead_audit') then
        create role bulkhead_audit nologin noinherit;
    end if;
end
$$;
grant bulkhead_audit to current_user;
grant usage on schema bulkhead to bulkhead_audit;

-- ---------------------------------------------------------------- the ledger

-- What an event holds, for whoever reads the ledger (history, undo, proof, export):
--   operation   INSERT, UPDATE, DELETE, TRUNCATE, BASELINE: one row each, before and after as below. Lower case: no row.
--   record_id   the primary key as text; several columns as a JSON array in the key's order.
--   INSERT      after: the whole row; null where the table's options leave bodies of inserts out.
--   UPDATE      before and after: the columns that changed, nothing else; {} and {} when none did.
--   DELETE      before: the whole row. TRUNCATE: the same, one event a row (truncating is for platform roles).
--   BASELINE    after: the whole row as bulkhead.baseline() found it; not a change.
--   ignored     column (options: ignore): absent from before and after.
--   masked      column (options: mask): {"$bulkhead": "masked", "hmac": "<64 hex>"}; null stays null.
--   cut         value (options: cap): {"$bulkhead": "cut", "bytes": 1048576, "sha256": "<64 hex>"} of its text in UTF-8.
--   json        a column of type json, or of a domain, array or row type that holds one, is kept as its text.
-- An object with the key $bulkhead is therefore no value: nothing may be restored from it.

create table bulkhead.audit_events (
    id bigint generated always as identity,
    created_at timestamptz not null default now(),
    xid bigint not null default txid_current(),
    tenant_id text,
    actor text,
    -- Text: name always takes 64 bytes.
    actor_role text not null,
    table_name text not null,
    operation text not null,
    record_id text,
    before jsonb,
    after jsonb,
    request_id text,
    application_name text,
    ip_address inet,
    metadata jsonb
) partition by range (created_at);
comment on table bulkhead.audit_events is 'The ledger: one event a changed row. UPDATE keeps the changed columns only. Append-only';
comment on column bulkhead.audit_events.actor is 'The JWT''s subject, or who the back end says it acts for';
comment on column bulkhead.audit_events.actor_role is 'The database role that asked';
comment on column bulkhead.audit_events.application_name is 'application_name of the connection that wrote; a pooler''s, where there is one';
comment on column bulkhead.audit_events.xid is 'The transaction; seals cover ranges of it';
alter table bulkhead.audit_events enable row level security, force row level security;
revoke all on bulkhead.audit_events from public, anon, authenticated, service_role;
grant insert on bulkhead.audit_events to bulkhead_audit;
-- Row changes are upper case, what an application or the kit says of itself is not: neither can pass for the other. The
-- triggers name their operation, log_event() checks the one it is given; a policy or a CHECK would be set up anew in every
-- statement, a tenth of what an event costs.
create policy bulkhead_append on bulkhead.audit_events for insert to bulkhead_audit with check (true);
create policy bulkhead_own_trail on bulkhead.audit_events for select to authenticated
    using (tenant_id = any ((select bulkhead.current_tenants())::text[]));

-- BRIN: a few kilobytes for millions of events. Two columns grow with the table; of the third each range keeps which values it
-- has, for the kit's own events, few among very many. Each index opened costs every write, so one serves all three.
create index audit_events_ranges on bulkhead.audit_events
using brin (xid, created_at, operation text_bloom_ops (n_distinct_per_range = 16)) with (pages_per_range = 32, autosummarize = on);
-- B-tree: a tenant's own events are found among everybody's, whose pages they share; entries of equal keys are packed, 10 bytes an event.
create index audit_events_tenant_id on bulkhead.audit_events (tenant_id);

create function bulkhead.refuse_change()
returns trigger
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if has_function_privilege(to_regprocedure('bulkhead.may_change(name, text)'), 'execute') then
        if bulkhead.may_change(tg_table_name, tg_op) then
            return null;
        end if;
    end if;
    raise exception using
        errcode = '42501',
        message = format('%s is append-only: %s refused', tg_table_name, lower(tg_op));
end
$$;
comment on function bulkhead.refuse_change() is 'Trigger: nothing in the ledger is changed or deleted, but for what bulkhead.erase() and retire_partition() put on record';
revoke all on function bulkhead.refuse_change() from public;

create function bulkhead.make_append_only(relation regclass)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
as $$
declare
    v_table text := bulkhead.qualified(relation);
begin
    execute format('drop trigger if exists bulkhead_append_only on %s', v_table);
    execute format('create trigger bulkhead_append_only before update or delete or truncate on %s for each statement execute function bulkhead.refuse_change()', v_table);
    execute format('alter table %s enable always trigger bulkhead_append_only', v_table);
    execute format('alter table %s enable row level security, force row level security', v_table);
    execute format('revoke all on table %s from public, anon, authenticated, service_role', v_table);
end
$$;
comment on function bulkhead.make_append_only(regclass) is 'Refuses update, delete and truncate on a table by trigger, and everything to the API''s roles by privilege';
revoke all on function bulkhead.make_append_only(regclass) from public;

-- An index made on an empty table has a summary of its first range, which every event would then have to widen. Without it
-- the range waits, as each later one does, until it is full.
create function bulkhead.forget_ranges(relation regclass)
returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
    select brin_desummarize_range(i.indexrelid, 0)
    from pg_catalog.pg_partition_tree(relation) as t
    join pg_catalog.pg_index as i on i.indrelid = t.relid
    join pg_catalog.pg_class as c on c.oid = i.indexrelid and c.relkind = 'i'
    join pg_catalog.pg_am as a on a.oid = c.relam and a.amname = 'brin'
    where t.isleaf
$$;
comment on function bulkhead.forget_ranges(regclass) is 'Spares the first events of a new partition the upkeep of a summary that is of no use yet';
revoke all on function bulkhead.forget_ranges(regclass) from public;

create function bulkhead.ensure_audit_partitions(months_ahead integer default 2)
returns integer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_month date;
    v_name name;
    v_from text;
    v_to text;
    v_is_caught boolean;
    v_created integer := 0;
begin
    lock table bulkhead.audit_events in share update exclusive mode;
    for v_month in
        select g::date
        from generate_series(
            date_trunc('month', now() at time zone 'UTC'),
            date_trunc('month', now() at time zone 'UTC') + make_interval(months => months_ahead),
            interval '1 month'
        ) as g
    loop
        v_name := 'audit_events_' || to_char(v_month, 'YYYYMM');
        v_from := v_month::text || ' 00:00:00+00';
        v_to := (v_month + interval '1 month')::date::text || ' 00:00:00+00';
        if to_regclass(format('bulkhead.%I', v_name)) is not null then
            continue;
        end if;
        -- Events that the net caught keep their place (a seal names it): that month stays in the default partition.
        if to_regclass('bulkhead.audit_events_default') is not null then
            execute format('select exists (select from bulkhead.audit_events_default where created_at >= %L and created_at < %L)', v_from, v_to)
            into v_is_caught;
            if v_is_caught then
                raise warning 'the ledger keeps % in its default partition: events arrived before the month had one', to_char(v_month, 'YYYY-MM');
                continue;
            end if;
        end if;
        execute format('create table bulkhead.%I partition of bulkhead.audit_events for values from (%L) to (%L)', v_name, v_from, v_to);
        execute format('comment on table bulkhead.%I is %L', v_name, 'Ledger events of ' || to_char(v_month, 'YYYY-MM') || ' (UTC)');
        perform bulkhead.make_append_only(format('bulkhead.%I', v_name)::regclass);
        perform bulkhead.forget_ranges(format('bulkhead.%I', v_name)::regclass);
        v_created := v_created + 1;
    end loop;
    return v_created;
end
$$;
comment on function bulkhead.ensure_audit_partitions(integer) is 'Creates the ledger''s partitions for this month and the next ones; returns how many were new';
revoke all on function bulkhead.ensure_audit_partitions(integer) from public;

select from bulkhead.make_append_only('bulkhead.audit_events');
select from bulkhead.ensure_audit_partitions();
-- The net: an event outside every month is kept, never refused.
create table bulkhead.audit_events_default partition of bulkhead.audit_events default;
comment on table bulkhead.audit_events_default is 'Ledger events that no month''s partition took; should be empty';
select from bulkhead.make_append_only('bulkhead.audit_events_default');

create view bulkhead.audit_logs
with (security_invoker = true)
as
select
    e.id,
    e.actor as actor_id,
    e.tenant_id,
    lower(e.operation) as action,
    e.table_name as resource_type,
    e.record_id as resource_id,
    e.ip_address,
    coalesce(e.metadata, '{}') || jsonb_strip_nulls(jsonb_build_object('before', e.before, 'after', e.after)) as metadata,
    e.created_at
from bulkhead.audit_events as e;
comment on view bulkhead.audit_logs is 'The ledger in the shape of an application''s audit log: row changes and events together';
revoke all on bulkhead.audit_logs from public, anon, authenticated, service_role;

-- ---------------------------------------------------------------- events that are not row changes

create type bulkhead.write_context as (
    caller name,
    is_platform boolean,
    is_tenants_table boolean,
    may_create boolean,
    tenants text[],
    actor text,
    request_id text,
    ip_address inet,
    application_name text
);
comment on type bulkhead.write_context is 'Who writes, for which tenants, on whose behalf';

-- Definer (bulkhead_audit): the one way for a role without rights on the ledger to add an event of its own.
create function bulkhead.log_event(action text, resource_type text, resource_id text default null, metadata jsonb default null)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
    v_context bulkhead.write_context;
begin
    if action is null or action !~ '^[a-z][a-z0-9_.:-]{0,62}$' or action like 'bulkhead.%'
        or action in ('insert', 'update', 'delete', 'truncate') then
        raise exception using
            errcode = 'BH008',
            message = format('%L is no name for an event: use lower case such as member.invited, not beginning with bulkhead. and not a row operation', action);
    end if;
    v_context := bulkhead.current_write_context();
    if not v_context.is_platform and coalesce(cardinality(v_context.tenants), 0) <> 1 then
        raise exception using
            errcode = '42501',
            message = 'an event needs exactly one tenant: send x-tenant-id, or run select bulkhead.set_tenant(…) in the transaction';
    end if;
    insert into bulkhead.audit_events (tenant_id, actor, actor_role, table_name, operation, record_id, request_id, application_name, ip_address, metadata)
    values (
        case when cardinality(v_context.tenants) = 1 then v_context.tenants[1] end,
        v_context.actor, v_context.caller, resource_type, action, resource_id, v_context.request_id, v_context.application_name,
        v_context.ip_address, metadata);
end
$$;
comment on function bulkhead.log_event(text, text, text, jsonb) is 'Adds an event of the application to the ledger. Example: select bulkhead.log_event(''export.started'', ''report'', ''42'')';
revoke all on function bulkhead.log_event(text, text, text, jsonb) from public;

create function bulkhead.log_change(action text, subject text, tenant text, detail jsonb)
returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    insert into bulkhead.audit_events (tenant_id, actor, actor_role, table_name, operation, application_name, metadata)
    values (tenant, nullif(current_setting('bulkhead.actor', true), ''), session_user, subject, 'bulkhead.' || action,
        nullif(current_setting('application_name'), ''), detail)
$$;
comment on function bulkhead.log_change(text, text, text, jsonb) is 'Records what was done to the kit itself';
revoke all on function bulkhead.log_change(text, text, text, jsonb) from public;

-- ---------------------------------------------------------------- generated triggers

create function bulkhead.audit_function_name(relation regclass)
returns name
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    v_base text := (
        select 'audit_' || n.nspname || '_' || c.relname
        from pg_catalog.pg_class as c
        join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
        where c.oid = relation
    );
    v_name name := (select t.audit_function from bulkhead.protected_tables as t where t.relation = relation);
    v_count integer := 0;
begin
    -- Kept when the table is renamed or moved; a new table of the old name gets another one.
    while v_name is null or exists (
        select
        from bulkhead.protected_tables as t
        where t.audit_function = v_name and t.relation <> relation and t.parent is distinct from relation
            and exists (select from pg_catalog.pg_class as c where c.oid = t.relation)
    ) loop
        v_count := v_count + 1;
        v_name := bulkhead.short_name(v_base, '_' || left(md5(v_base), 6) || case when v_count > 1 then '_' || v_count else '' end);
    end loop;
    return v_name;
end
$$;
comment on function bulkhead.audit_function_name(regclass) is 'The name of a table''s generated trigger function; kept when the table is renamed';
revoke all on function bulkhead.audit_function_name(regclass) from public;

-- Equality is not sameness: 1.0 = 1.00, citext ignores case. Only types whose equal values are identical
-- are compared by value; everything else by image, which also serves types that have no = at all.
create function bulkhead.same_value(column_name name, type oid, collation_oid oid)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when type in (
            'boolean'::regtype, 'smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'uuid'::regtype, 'date'::regtype,
            'timestamptz'::regtype, 'timestamp'::regtype, 'bytea'::regtype
        ) or (
            type in ('text'::regtype, 'character varying'::regtype)
            and (select c.collisdeterministic from pg_catalog.pg_collation as c where c.oid = collation_oid)
        )
            then format('o.%1$I is not distinct from n.%1$I', column_name)
        else format('record_image_eq(row(o.%1$I), row(n.%1$I))', column_name)
    end
$$;
comment on function bulkhead.same_value(name, oid, oid) is 'SQL that is true when an update left a column exactly as it was';
revoke all on function bulkhead.same_value(name, oid, oid) from public;

-- HMAC as RFC 2104 has it, its two pads made once (011): without the key nobody can find a masked value by trying. The key is
-- in a table that no role is granted, not in Vault, which would decrypt it for each row. A dump of the database holds it.
create table bulkhead.mask_key (
    is_singleton boolean primary key default true check (is_singleton),
    inner_pad bytea not null check (length(inner_pad) = 64),
    outer_pad bytea not null check (length(outer_pad) = 64)
);
comment on table bulkhead.mask_key is 'The key of masked columns, as the two pads of HMAC-SHA256. Never granted, never backed up by the kit';
alter table bulkhead.mask_key enable row level security;
revoke all on bulkhead.mask_key from public, anon, authenticated, service_role;

-- Definer: reads the key.
create function bulkhead.masked_value(value text)
returns jsonb
language plpgsql
stable
strict
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    return (
        select jsonb_build_object('$bulkhead', 'masked', 'hmac',
            encode(sha256(k.outer_pad || sha256(k.inner_pad || convert_to(value, 'UTF8'))), 'hex'))
        from bulkhead.mask_key as k
    );
end
$$;
comment on function bulkhead.masked_value(text) is 'What the ledger keeps of a masked column: equal for equal values, and no way back';
revoke all on function bulkhead.masked_value(text) from public;

create function bulkhead.cut_value(value text)
returns jsonb
language plpgsql
immutable
strict
parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
    return jsonb_build_object('$bulkhead', 'cut', 'bytes', octet_length(value), 'sha256', encode(sha256(convert_to(value, 'UTF8')), 'hex'));
end
$$;
comment on function bulkhead.cut_value(text) is 'What the ledger keeps of a value that is larger than its column''s cap';
revoke all on function bulkhead.cut_value(text) from public;
grant execute on function bulkhead.masked_value(text), bulkhead.cut_value(text) to bulkhead_audit;

-- jsonb refuses some of what json holds (\u0000), and keeps neither the order of keys nor one that stands there twice.
create function bulkhead.holds_json(type oid)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive held (type) as (
        select holds_json.type
        union
        select inner_type.oid
        from held
        join pg_catalog.pg_type as t on t.oid = held.type
        cross join lateral (
            select t.typbasetype where t.typtype = 'd'
            union all
            select t.typelem where t.typcategory = 'A'
            union all
            select a.atttypid from pg_catalog.pg_attribute as a where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
        ) as inner_type (oid)
    )
    select 'json'::regtype in (select held.type from held)
$$;
comment on function bulkhead.holds_json(oid) is 'Whether a type is json, or a domain, array or row type that holds json: the ledger keeps its text';
revoke all on function bulkhead.holds_json(oid) from public;

create function bulkhead.ledger_value(alias text, column_name name, type oid, options jsonb default '{}')
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when options -> 'mask' ? column_name then format('bulkhead.masked_value(%s::text)', v.plain)
        when options -> 'cap' ? column_name then format(
            'case when octet_length(%1$s::text) > %2$s then bulkhead.cut_value(%1$s::text) else to_jsonb(%3$s) end',
            v.plain, (options -> 'cap' ->> column_name)::integer, v.kept)
        else v.kept
    end
    from (
        select
            format('%I.%I', alias, column_name) as plain,
            format('%I.%I', alias, column_name) || case when bulkhead.holds_json(type) then '::text' else '' end as kept
    ) as v
$$;
comment on function bulkhead.ledger_value(text, name, oid, jsonb) is 'A column as the ledger keeps it: json as its text, since jsonb refuses some of what json holds; masked or cut where the options say so';
revoke all on function bulkhead.ledger_value(text, name, oid, jsonb) from public;

create function bulkhead.ledger_row(relation regclass, alias text, options jsonb default '{}')
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when bool_or(bulkhead.holds_json(c.type)) or options ?| array['ignore', 'mask', 'cap'] then (
            -- A function takes at most 100 arguments.
            select string_agg(format('jsonb_build_object(%s)', p.pairs), ' || ')
            from (
                select string_agg(format('%L, %s', a.attname, bulkhead.ledger_value(alias, a.attname, a.atttypid, options)), ', ') as pairs
                from pg_catalog.pg_attribute as a
                where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
                    and not coalesce(options -> 'ignore' ? a.attname, false)
                group by a.attnum / 40
            ) as p
        )
        -- With the star, since the table may have a column of the alias's name.
        else format('to_jsonb(%I.*)', alias)
    end
    from (
        select a.atttypid as type
        from pg_catalog.pg_attribute as a
        where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
    ) as c
$$;
comment on function bulkhead.ledger_row(regclass, text, jsonb) is 'SQL for a whole row as the ledger keeps it';
revoke all on function bulkhead.ledger_row(regclass, text, jsonb) from public;

create function bulkhead.ledger_key(key name[], alias text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when cardinality(key) = 1 then format('%I.%I::text', alias, key[1])
        else format('jsonb_build_array(%s)::text', (
            select string_agg(format('%I.%I', alias, k.name), ', ' order by k.position)
            from unnest(key) with ordinality as k (name, position)
        ))
    end
$$;
comment on function bulkhead.ledger_key(name[], text) is 'SQL for a record id: the key as text, a composite one as a JSON array';
revoke all on function bulkhead.ledger_key(name[], text) from public;

-- By column, not by subtracting from the whole row: that is quadratic in the number of columns.
create function bulkhead.ledger_change(relation regclass, alias text, options jsonb default '{}', joined name[] default '{}')
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select string_agg(
        format(
            'case when %s then ''{}'' else jsonb_build_object(%L, %s) end',
            bulkhead.same_value(a.attname, a.atttypid, a.attcollation), a.attname, bulkhead.ledger_value(alias, a.attname, a.atttypid, options)
        ), ' || ' order by a.attnum)
    from pg_catalog.pg_attribute as a
    where a.attrelid = relation and a.attnum > 0 and not a.attisdropped and not coalesce(options -> 'ignore' ? a.attname, false)
        -- What old and new were joined by is the same, where equality is sameness.
        and not (a.attname = any (joined) and bulkhead.same_value(a.attname, a.atttypid, a.attcollation) not like 'record_image_eq%')
$$;
comment on function bulkhead.ledger_change(regclass, text, jsonb, name[]) is 'SQL for the columns that an update changed, as they are in o (old) or n (new)';
revoke all on function bulkhead.ledger_change(regclass, text, jsonb, name[]) from public;

-- What a session prints otherwise than others would be another value when it is read again: 3 February or 2 March.
-- Only what the table's types need, for each setting costs every write.
create function bulkhead.printing_settings(relation regclass, options jsonb default '{}')
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive columns as (
        select
            a.atttypid,
            -- As text, where jsonb would have printed dates as ISO.
            coalesce(a.attname = any (bulkhead.key_of(relation)) or options -> 'mask' ? a.attname or options -> 'cap' ? a.attname, false)
                or bulkhead.holds_json(a.atttypid) as is_text
        from pg_catalog.pg_attribute as a
        where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
    ),
    types (type, is_text) as (
        select c.atttypid, c.is_text
        from columns as c
        union
        select inner_type.oid, types.is_text or t.typtype in ('r', 'm')
        from types
        join pg_catalog.pg_type as t on t.oid = types.type
        cross join lateral (
            select t.typbasetype where t.typtype = 'd'
            union all
            select t.typelem where t.typcategory = 'A'
            union all
            select r.rngsubtype from pg_catalog.pg_range as r where t.oid in (r.rngtypid, r.rngmultitypid)
            union all
            select a.atttypid from pg_catalog.pg_attribute as a where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
        ) as inner_type (oid)
    )
    select coalesce(string_agg(distinct setting.clause, ''), '')
    from types
    cross join lateral (
        values
            (' set datestyle = ''ISO, MDY''', types.is_text
                and types.type in ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)),
            (' set timezone = ''UTC''', types.is_text and types.type in ('timestamptz'::regtype, 'timetz'::regtype)),
            (' set intervalstyle = ''postgres''', types.type = 'interval'::regtype),
            (' set bytea_output = ''hex''', types.type = 'bytea'::regtype),
            (' set extra_float_digits = 1', types.type in (
                'real'::regtype, 'double precision'::regtype, 'point'::regtype, 'line'::regtype, 'lseg'::regtype, 'box'::regtype,
                'path'::regtype, 'polygon'::regtype, 'circle'::regtype))
    ) as setting (clause, is_needed)
    where setting.is_needed
$$;
comment on function bulkhead.printing_settings(regclass, jsonb) is 'The settings under which a table''s values are printed the same in every session, as clauses of CREATE FUNCTION';
revoke all on function bulkhead.printing_settings(regclass, jsonb) from public;

create function bulkhead.refuse_key_change(table_name text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception using
        errcode = '42501',
        message = format('key and tenant of %s are immutable: insert a new row and delete the old one instead', table_name),
        -- There the server hands the trigger an inserted row for an updated one.
        hint = case
            when current_setting('server_version_num')::integer >= 170000 and exists (
                select
                from pg_catalog.pg_class as c
                join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
                where format('%I.%I', n.nspname, c.relname) = table_name and c.relkind = 'p'
            ) then 'A MERGE that inserts and then updates in a partitioned table looks like this too; write an UPDATE and an INSERT'
            else ''
        end;
end
$$;
comment on function bulkhead.refuse_key_change(text) is 'Raises 42501: an update changed a key or the tenant, in its SET list or behind it';
revoke all on function bulkhead.refuse_key_change(text) from public;
grant execute on function bulkhead.refuse_key_change(text) to bulkhead_audit;

create function bulkhead.create_audit_function(relation regclass, tenant_column name, function_name name, options jsonb default '{}')
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    v_key name[] := bulkhead.key_of(relation);
    v_joined name[] := case when tenant_column = any (v_key) then v_key else tenant_column || v_key end;
    v_tenant_of text := $sql$case when bh_is_free or %1$I.%2$I = any (bh_tenants) then %1$I.%2$I::text else bulkhead.refuse_write(bh, tg_op, %3$L) end$sql$;
    v_body text := format($body$
#variable_conflict use_variable
declare
    bh bulkhead.write_context;
    bh_caller name := coalesce(nullif(current_setting('role'), 'none')::name, session_user);
    bh_actor text;
    bh_request_id text;
    bh_ip_address inet;
    bh_application_name text;
    bh_tenants %2$s[];
    bh_is_free boolean := true;
begin
    -- The hot path: a query costs a write 10 µs, and a platform role, which may write any tenant, needs none.
    if bulkhead.is_platform(bh_caller) and tg_table_name = %14$L and tg_table_schema = %15$L then
        bh_actor := left(nullif(current_setting('bulkhead.actor', true), ''), 200);
        bh_request_id := nullif(current_setting('bulkhead.request_id', true), '');
        bh_ip_address := inet_client_addr();
        bh_application_name := nullif(current_setting('application_name'), '');
    else
        bh := bulkhead.current_write_context(tg_relid, %1$L);
        bh_caller := bh.caller;
        bh_actor := bh.actor;
        bh_request_id := bh.request_id;
        bh_ip_address := bh.ip_address;
        bh_application_name := bh.application_name;
        bh_is_free := bh.is_platform or tg_op = 'INSERT' and bh.is_tenants_table and bh.may_create;
        bh_tenants := case when tg_op = 'UPDATE' or not bh.is_tenants_table then bh.tenants end;
    end if;
    -- The guard is part of the one query that writes the events: each statement more costs as much as a small insert.
    if tg_op = 'INSERT' then
        insert into bulkhead.audit_events (tenant_id, actor, actor_role, table_name, operation, record_id, after, request_id, application_name, ip_address)
        select %3$s, bh_actor, bh_caller, %4$L, 'INSERT', %5$s, %6$s, bh_request_id, bh_application_name, bh_ip_address
        from new_rows as n;
    elsif tg_op = 'UPDATE' then
        -- Full: a row without its other half had its key or tenant changed. And never a nested loop, which the cached
        -- plan of a single row would make quadratic for many.
        insert into bulkhead.audit_events (tenant_id, actor, actor_role, table_name, operation, record_id, before, after, request_id, application_name, ip_address)
        select case when o.%9$I is null or n.%9$I is null then bulkhead.refuse_key_change(%4$L) else %10$s end,
            bh_actor, bh_caller, %4$L, 'UPDATE', %5$s, %7$s, %8$s, bh_request_id, bh_application_name, bh_ip_address
        from old_rows as o
        full join new_rows as n on %11$s;
    elsif tg_op = 'DELETE' then
        insert into bulkhead.audit_events (tenant_id, actor, actor_role, table_name, operation, record_id, before, request_id, application_name, ip_address)
        select %10$s, bh_actor, bh_caller, %4$L, 'DELETE', %12$s, %13$s, bh_request_id, bh_application_name, bh_ip_address
        from old_rows as o;
    else
        bh := bulkhead.current_write_context(tg_relid, %1$L);
        if not bh.is_platform then
            perform bulkhead.refuse_write(bh, tg_op, %4$L);
        end if;
        %16$s
        -- Truncating a partitioned table fires here for each partition too: the partitions report the rows.
        if (select r.relkind from pg_catalog.pg_class as r where r.oid = tg_relid) <> 'p' then
            perform bulkhead.log_truncate(bh, tg_relid, %4$L, %9$L);
        end if;
    end if;
    return null;
end
$body$,
        function_name,
        (select s.tenant_type from bulkhead.settings as s),
        format(v_tenant_of, 'n', tenant_column, bulkhead.qualified(relation)),
        bulkhead.qualified(relation),
        bulkhead.ledger_key(v_key, 'n'),
        case when options -> 'insert_bodies' = 'false' then 'null::jsonb' else bulkhead.ledger_row(relation, 'n', options) end,
        coalesce(bulkhead.ledger_change(relation, 'o', options, v_joined), '''{}''::jsonb'),
        coalesce(bulkhead.ledger_change(relation, 'n', options, v_joined), '''{}''::jsonb'),
        tenant_column,
        format(v_tenant_of, 'o', tenant_column, bulkhead.qualified(relation)),
        (
            select string_agg(format('o.%1$I = n.%1$I', k.name), ' and ')
            from unnest(v_joined) as k (name)
        ),
        bulkhead.ledger_key(v_key, 'o'),
        bulkhead.ledger_row(relation, 'o', options),
        (select c.relname from pg_catalog.pg_class as c where c.oid = relation),
        (
            select n.nspname
            from pg_catalog.pg_class as c
            join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
            where c.oid = relation
        ),
        case when options ->> 'truncate' = 'refuse' then format(
            $sql$raise exception using errcode = '42501', message = %L;$sql$,
            format('truncate on %s refused by its options: delete the rows, or protect it with {"truncate": "record"}', bulkhead.qualified(relation)))
        end);
begin
    -- row_security = on: the owner obeys the ledger's policy, and a caller who switched it off must not stop the audit.
    execute format(
        'create or replace function bulkhead.%I() returns trigger language plpgsql volatile security definer'
        ' set search_path = pg_catalog, pg_temp set row_security = on%s as %L',
        function_name, bulkhead.printing_settings(relation, options), v_body);
    execute format('revoke all on function bulkhead.%I() from public', function_name);
    execute format('comment on function bulkhead.%I() is %L', function_name,
        'Trigger: guard and audit of ' || bulkhead.qualified(relation) || ', generated by bulkhead.protect()');
    -- Handing a function over needs CREATE for the new owner, for this moment only.
    grant create on schema bulkhead to bulkhead_audit;
    execute format('alter function bulkhead.%I() owner to bulkhead_audit', function_name);
    revoke create on schema bulkhead from bulkhead_audit;
end
$$;
comment on function bulkhead.create_audit_function(regclass, name, name, jsonb) is 'Writes the trigger function of one table: code for its columns, so that no catalog is read when rows change';
revoke all on function bulkhead.create_audit_function(regclass, name, name, jsonb) from public;

create function bulkhead.attach_triggers(relation regclass, function_name name)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    v_table text := bulkhead.qualified(relation);
    v_trigger record;
begin
    for v_trigger in
        select *
        from (values
            ('bulkhead_insert', 'after insert', 'referencing new table as new_rows'),
            ('bulkhead_update', 'after update', 'referencing old table as old_rows new table as new_rows'),
            ('bulkhead_delete', 'after delete', 'referencing old table as old_rows'),
            ('bulkhead_truncate', 'before truncate', '')
        ) as t (name, event, tables)
    loop
        execute format('drop trigger if exists %I on %s', v_trigger.name, v_table);
        execute format('create trigger %I %s on %s %s for each statement execute function bulkhead.%I()',
            v_trigger.name, v_trigger.event, v_table, v_trigger.tables, function_name);
        -- ALWAYS: session_replication_role = replica must not be a way round.
        execute format('alter table %s enable always trigger %I', v_table, v_trigger.name);
    end loop;
    perform bulkhead.watch_members(relation);
end
$$;
comment on function bulkhead.attach_triggers(regclass, name) is 'Puts the guard and audit triggers on a table';
revoke all on function bulkhead.attach_triggers(regclass, name) from public;

-- ---------------------------------------------------------------- rows older than their trail

create function bulkhead.baseline(relation regclass, max_rows bigint default null)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO, MDY'
set intervalstyle = 'postgres'
set timezone = 'UTC'
set extra_float_digits = 1
set bytea_output = 'hex'
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_table bulkhead.protected_tables := (select t from bulkhead.protected_tables as t where t.relation = baseline.relation);
    v_recorded bigint;
begin
    if v_table.relation is null or v_table.parent is not null then
        raise exception using
            errcode = 'BH002',
            message = format('%s has no trail of its own to begin: %s', relation, case
                when v_table.parent is not null then format('it is a part of %s; record that', v_table.parent)
                else format('it is not protected; run select bulkhead.protect(%L) first', relation::text)
            end);
    end if;
    if max_rows < 1 then
        raise exception using
            errcode = 'BH002',
            message = format('%s rows cannot be recorded: max_rows is at least 1', max_rows);
    end if;
    -- Two at once would record each row twice.
    perform pg_advisory_xact_lock(hashtextextended('bulkhead:baseline:' || relation::oid, 0));
    -- FOR SHARE: a row deleted meanwhile is waited for and left out; recorded after its DELETE it would rise again.
    execute format(
        $sql$
        with known as materialized (
            select e.record_id
            from bulkhead.audit_events as e
            where e.table_name = %1$L
                and e.operation in ('INSERT', 'BASELINE', 'DELETE', 'TRUNCATE')
            group by e.record_id
            having sum(case when e.operation in ('INSERT', 'BASELINE') then 1 else -1 end) > 0
        )
        insert into bulkhead.audit_events (tenant_id, actor, actor_role, table_name, operation, record_id, after, application_name)
        select t.%2$I::text, nullif(current_setting('bulkhead.actor', true), ''), bulkhead.caller(), %1$L, 'BASELINE', %3$s, %4$s,
            nullif(current_setting('application_name'), '')
        from %1$s as t
        where not exists (select from known as k where k.record_id = %3$s)
        limit $1
        for share of t
        $sql$,
        bulkhead.qualified(relation), v_table.tenant_column, bulkhead.ledger_key(v_table.key_columns, 't'),
        bulkhead.ledger_row(relation, 't', v_table.options))
    using max_rows;
    get diagnostics v_recorded = row_count;
    if max_rows is null or v_recorded < max_rows then
        -- The rows that audit_completeness had to accept as older than the trail are in it now.
        perform bulkhead.settle_gaps(relation);
    end if;
    return v_recorded;
end
$$;
comment on function bulkhead.baseline(regclass, bigint) is 'Records the rows that the ledger does not know, as events BASELINE, so that history has a beginning; returns how many. Safe to run again; for a large table give max_rows and repeat until it returns 0. Example: select bulkhead.baseline(''public.messages'')';
revoke all on function bulkhead.baseline(regclass, bigint) from public;

-- ---------------------------------------------------------------- tables change after protect()

create function bulkhead.checked_options(relation regclass, tenant_column name, options jsonb)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    v_problem text;
    v_columns name[];
begin
    if options is null then
        return null;
    end if;
    select array_agg(c.name) into v_columns
    from (
        select jsonb_array_elements_text(case when jsonb_typeof(options -> 'ignore') = 'array' then options -> 'ignore' else '[]' end)
        union all
        select jsonb_array_elements_text(case when jsonb_typeof(options -> 'mask') = 'array' then options -> 'mask' else '[]' end)
        union all
        select jsonb_object_keys(case when jsonb_typeof(options -> 'cap') = 'object' then options -> 'cap' else '{}' end)
    ) as c (name);
    v_problem := case
        when jsonb_typeof(options) <> 'object' then 'options are a JSON object'
        when options - array['ignore', 'mask', 'cap', 'insert_bodies', 'truncate'] <> '{}'
            then format('unknown option %s: there are ignore, mask, cap, insert_bodies and truncate',
                (select string_agg(k.name, ', ') from jsonb_object_keys(options - array['ignore', 'mask', 'cap', 'insert_bodies', 'truncate']) as k (name)))
        when options ? 'ignore' and jsonb_typeof(options -> 'ignore') <> 'array' then 'ignore is an array of columns'
        when options ? 'mask' and jsonb_typeof(options -> 'mask') <> 'array' then 'mask is an array of columns'
        when options ? 'cap' and jsonb_typeof(options -> 'cap') <> 'object' then 'cap is an object of columns and bytes'
        when exists (
            select
            from jsonb_each(case when jsonb_typeof(options -> 'cap') = 'object' then options -> 'cap' else '{}' end) as c
            where c.value::text !~ '^[1-9][0-9]{0,8}$'
        ) then 'cap gives each column a whole number of bytes, at least 1'
        when options ? 'insert_bodies' and jsonb_typeof(options -> 'insert_bodies') <> 'boolean' then 'insert_bodies is true or false'
        when options ? 'truncate' and options ->> 'truncate' is distinct from 'record' and options ->> 'truncate' is distinct from 'refuse'
            then 'truncate is record or refuse'
        when (select count(*) <> count(distinct u.name) from unnest(v_columns) as u (name)) then 'a column is named twice'
        else (
            select string_agg(
                case
                    when a.attname is null then format('there is no column %I', u.name)
                    else format('%I is the tenant or part of the key, which every event names', u.name)
                end, '; ')
            from unnest(v_columns) as u (name)
            left join pg_catalog.pg_attribute as a
                on a.attrelid = relation and a.attname = u.name and a.attnum > 0 and not a.attisdropped
            where a.attname is null or u.name = tenant_column or u.name = any (bulkhead.key_of(relation))
        )
    end;
    if v_problem is not null then
        raise exception using
            errcode = 'BH002',
            message = format('%s cannot be protected with these options: %s', relation, v_problem),
            hint = 'Example: {"ignore": ["search"], "mask": ["email"], "cap": {"body": 10000}, "insert_bodies": false, "truncate": "refuse"}';
    end if;
    -- The numbers let a masked column stay masked when it is renamed.
    return options || case when v_columns is null then '{}' else jsonb_build_object('columns', (
        select jsonb_object_agg(a.attname, a.attnum)
        from pg_catalog.pg_attribute as a
        where a.attrelid = relation and a.attname = any (v_columns) and a.attnum > 0
    )) end;
end
$$;
comment on function bulkhead.checked_options(regclass, name, jsonb) is 'The options of protect(), with the columns'' numbers; BH002 says what is wrong with them';
revoke all on function bulkhead.checked_options(regclass, name, jsonb) from public;

create function bulkhead.followed_options(relation regclass, options jsonb, declared_columns jsonb)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_column record;
    v_list text;
begin
    for v_column in
        select c.key as name, a.attname as now
        from jsonb_each_text(options -> 'columns') as c
        left join pg_catalog.pg_attribute as a
            on a.attrelid = relation and a.attnum = c.value::smallint and not a.attisdropped and not declared_columns ? a.attname
        where not exists (
            select from pg_catalog.pg_attribute as b where b.attrelid = relation and b.attname = c.key and not b.attisdropped
        )
    loop
        foreach v_list in array array['ignore', 'mask'] loop
            if options -> v_list ? v_column.name then
                options := jsonb_set(options, array[v_list], (options -> v_list) - v_column.name
                    || case when v_column.now is null then '[]' else jsonb_build_array(v_column.now) end);
            end if;
        end loop;
        foreach v_list in array array['cap', 'columns'] loop
            if options -> v_list ? v_column.name then
                options := jsonb_set(options, array[v_list], (options -> v_list) - v_column.name
                    || case when v_column.now is null then '{}' else jsonb_build_object(v_column.now, options -> v_list -> v_column.name) end);
            end if;
        end loop;
    end loop;
    return options;
end
$$;
comment on function bulkhead.followed_options(regclass, jsonb, jsonb) is 'The options after columns were renamed or dropped';
revoke all on function bulkhead.followed_options(regclass, jsonb, jsonb) from public;

-- A check speaks of its columns: it goes with one that was dropped, and is written anew for one of another name or type.
create function bulkhead.followed_checks(declared jsonb, present jsonb, declared_columns jsonb, present_columns jsonb)
returns jsonb
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(jsonb_object_agg(followed.name, followed.definition) filter (where followed.definition is not null), '{}')
    from (
        select
            d.key as name,
            case
                when d.value not like 'CHECK %' or not exists (
                    select
                    from jsonb_each_text(declared_columns) as c
                    where present_columns ->> c.key is distinct from c.value
                        and strpos(d.value, c.key) > 0
                ) then d.value
                when present ? d.key then present ->> d.key
                when exists (
                    select
                    from jsonb_object_keys(declared_columns) as c (name)
                    where not present_columns ? c.name
                        and strpos(d.value, c.name) > 0
                ) then null
                else d.value
            end as definition
        from jsonb_each_text(declared) as d
    ) as followed
$$;
comment on function bulkhead.followed_checks(jsonb, jsonb, jsonb, jsonb) is 'Declared constraints after columns changed: checks of these columns as they are now';
revoke all on function bulkhead.followed_checks(jsonb, jsonb, jsonb, jsonb) from public;

create function bulkhead.follow_schema()
returns integer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
set client_min_messages = warning
set lock_timeout = '5s'
as $$
declare
    v_table record;
    v_options jsonb;
    v_followed integer := 0;
begin
    for v_table in
        select t.relation, t.tenant_column, t.audit_function, t.options, t.declared -> 'columns' as declared, observed.columns
        from bulkhead.protected_tables as t
        cross join lateral (select bulkhead.observed_columns(t.relation) as columns) as observed
        where t.parent is null
            and t.declared ? 'columns'
            and t.declared -> 'columns' <> observed.columns
            -- Without its tenant column or its key a table stays as it is: its writes fail, and status says why.
            and observed.columns ? t.tenant_column
            and bulkhead.key_of(t.relation) is not null
    loop
        v_options := bulkhead.followed_options(v_table.relation, v_table.options, v_table.declared);
        update bulkhead.protected_tables as t set options = v_options where t.relation = v_table.relation and t.options <> v_options;
        perform bulkhead.create_audit_function(v_table.relation, v_table.tenant_column, v_table.audit_function, v_options);
        -- Only what follows from the new columns is declared anew; every other drift stays a finding.
        update bulkhead.protected_tables as t set
            key_columns = bulkhead.key_of(v_table.relation),
            declared = t.declared
                || jsonb_build_object(
                    'columns', state.now -> 'columns',
                    'constraints', bulkhead.followed_checks(
                        t.declared -> 'constraints', state.now -> 'constraints', t.declared -> 'columns', state.now -> 'columns')
                )
                || jsonb_build_object('triggers', (
                    select jsonb_object_agg(d.key, d.value || case
                        when state.now -> 'triggers' -> d.key ->> 'function' = d.value ->> 'function'
                            and d.value ->> 'function' = format('bulkhead.%I()', t.audit_function)
                            then jsonb_build_object('body', state.now -> 'triggers' -> d.key -> 'body')
                        else '{}'
                    end)
                    from jsonb_each(t.declared -> 'triggers') as d
                ))
        from bulkhead.protected_tables as self
        cross join lateral (select bulkhead.observed_state(self.relation) as now) as state
        where self.relation = t.relation
            and (t.relation = v_table.relation or t.parent = v_table.relation);
        perform bulkhead.log_change('follow', bulkhead.qualified(v_table.relation), null,
            jsonb_build_object('columns', v_table.columns));
        v_followed := v_followed + 1;
    end loop;
    -- What was closed since stays closed: coming back, it is a finding.
    perform bulkhead.declare_surroundings();
    return v_followed + bulkhead.cover_children();
end
$$;
comment on function bulkhead.follow_schema() is 'Brings the generated code up to date with columns that were added, dropped or renamed, and covers new partitions; returns how many tables it touched. Runs each minute, and at once where event triggers are allowed';
revoke all on function bulkhead.follow_schema() from public;

create function bulkhead.log_ddl(relation regclass, command text)
returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select bulkhead.log_change('ddl', bulkhead.qualified(relation), null, jsonb_build_object('command', command))
    -- One event a kind and transaction: a migration says a thing once.
    where not exists (
        select
        from bulkhead.audit_events as e
        where e.xid = pg_current_xact_id()::text::bigint
            and e.operation = 'bulkhead.ddl'
            and e.table_name = bulkhead.qualified(relation)
            and e.metadata ->> 'command' = command
    )
$$;
comment on function bulkhead.log_ddl(regclass, text) is 'Records that a protected table''s definition was changed; the statement itself may hold secrets and is not kept';
revoke all on function bulkhead.log_ddl(regclass, text) from public;

-- Definer: whoever owns a table may change it, and the kit's tables are not theirs.
create function bulkhead.follow_ddl()
returns event_trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform bulkhead.log_ddl(t.relation, c.command_tag)
    from pg_event_trigger_ddl_commands() as c
    left join pg_catalog.pg_policy as p on c.classid = 'pg_catalog.pg_policy'::regclass and p.oid = c.objid
    left join pg_catalog.pg_trigger as g on c.classid = 'pg_catalog.pg_trigger'::regclass and g.oid = c.objid
    join bulkhead.protected_tables as t
        on t.relation = coalesce(p.polrelid, g.tgrelid, case when c.classid = 'pg_catalog.pg_class'::regclass then c.objid end);
    if tg_tag in ('CREATE TABLE', 'CREATE TABLE AS', 'ALTER TABLE') then
        perform bulkhead.follow_schema();
    end if;
end
$$;
comment on function bulkhead.follow_ddl() is 'Event trigger: the same as bulkhead.follow_schema(), in the transaction that changes a table';
revoke all on function bulkhead.follow_ddl() from public;

do $$
begin
    create event trigger bulkhead_follow_ddl on ddl_command_end
    when tag in (
        'CREATE TABLE', 'CREATE TABLE AS', 'ALTER TABLE', 'CREATE POLICY', 'ALTER POLICY', 'CREATE TRIGGER', 'ALTER TRIGGER', 'CREATE RULE'
    )
    execute function bulkhead.follow_ddl();
exception
    when insufficient_privilege then
        raise notice 'event triggers are refused to %: new partitions and changed columns are followed by the job of each minute', current_user;
end
$$;
