-- History and undo: who changed a row, what it was, and putting it back.
-- Public: bulkhead.history, as_of, undo_plan, apply_undo, audit_feed; bulkhead_api.history.
-- Security definers: audited_table reads the register of tables, which callers may not;
--   bulkhead_api.history shows service_role the history of the tenant that it names.
-- Never: changes a row that the plan did not show, a row of another tenant, or anything past guard and ledger.
-- Errors: BH101 no such history, BH102 outside the ledger's time, BH103 no such tenant, BH104 no such transaction,
--   BH105 what to undo is not said, BH106 the plan changed, BH107 rows are in the way, BH108 no key, BH109 no way back.

-- Bloom filters of 32 pages each: they find a row's events among millions and cost an insert next to nothing.
create index audit_events_rows on bulkhead.audit_events
    using brin (record_id text_bloom_ops) with (pages_per_range = 32, autosummarize = on);
-- The partitions that the migrations made have all their indexes now.
select from bulkhead.forget_ranges('bulkhead.audit_events');

create type bulkhead.audited as (
    relation regclass,
    ledger_name text,
    tenant_column name,
    tenant_type regtype,
    key_columns name[],
    is_tenants_table boolean,
    ignored text[],
    began_at timestamptz
);
comment on type bulkhead.audited is 'A protected table as history and undo see it; began_at is where its history begins';

-- Definer: the register of tables is not readable by callers.
create function bulkhead.audited_table(relation regclass)
returns bulkhead.audited
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_audited bulkhead.audited;
    v_kind "char" := (select c.relkind from pg_catalog.pg_class as c where c.oid = relation);
    v_parent regclass := (select t.parent from bulkhead.protected_tables as t where t.relation = audited_table.relation);
begin
    select
        t.relation, format('%I.%I', t.schema_name, t.table_name), t.tenant_column, t.tenant_type, t.key_columns, t.is_tenants_table,
        array(select jsonb_array_elements_text(coalesce(t.options -> 'ignore', '[]'))),
        greatest(t.protected_at, (
            -- Months that retention took are gone for good.
            select min(substring(lower(pg_get_expr(c.relpartbound, c.oid)) from 'from \(''([^'']+)''\)')::timestamptz)
            from pg_catalog.pg_inherits as i
            join pg_catalog.pg_class as c on c.oid = i.inhrelid
            where i.inhparent = 'bulkhead.audit_events'::regclass
        ))
    into v_audited
    from bulkhead.protected_tables as t
    where t.relation = audited_table.relation and t.parent is null;
    if v_audited.relation is null then
        raise exception using
            errcode = 'BH101',
            message = 'Cannot read the history of ' || case
                when relation is null then 'a table: none is named; pass one, such as ''public.messages'''
                when v_parent is not null then format('%s: it is a partition or child; ask for %s', bulkhead.qualified(relation), bulkhead.qualified(v_parent))
                when v_kind in ('v', 'm') then format('%s: it is a view; ask for the table under it', bulkhead.qualified(relation))
                when v_kind = 'f' then format('%s: it is a foreign table, its writes are recorded where it lives', bulkhead.qualified(relation))
                when v_kind not in ('r', 'p') then format('%s: it is not a table', relation)
                when bulkhead.key_of(relation) is null then format('%s: it has no primary key; add one, then run select bulkhead.protect(%L)',
                    bulkhead.qualified(relation), bulkhead.qualified(relation))
                else format('%s: it is not protected, so its writes are not recorded; run select bulkhead.protect(%L)',
                    bulkhead.qualified(relation), bulkhead.qualified(relation))
            end;
    end if;
    return v_audited;
end
$$;
comment on function bulkhead.audited_table(regclass) is 'What history and undo must know of a protected table; BH101 says why another one has no history';
revoke all on function bulkhead.audited_table(regclass) from public;

create function bulkhead.readable_tenants()
returns text[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_tenants text[] := bulkhead.current_tenants();
begin
    if v_tenants is null and not has_table_privilege(bulkhead.caller(), 'bulkhead.settings', 'select') then
        raise exception using
            errcode = '42501',
            message = 'Cannot read the ledger: no tenant is named; send the x-tenant-id header, or run select bulkhead.set_tenant(…) in the transaction';
    end if;
    return v_tenants;
end
$$;
comment on function bulkhead.readable_tenants() is 'The tenants whose events the caller may be shown; null for all, which only who may read the settings gets';
revoke all on function bulkhead.readable_tenants() from public;

-- ---------------------------------------------------------------- keys and columns

create function bulkhead.record_id(audited bulkhead.audited, id text[])
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO, MDY'
set intervalstyle = 'postgres'
set timezone = 'UTC'
set extra_float_digits = 1
set bytea_output = 'hex'
as $$
#variable_conflict use_variable
declare
    v_parts text[] := id;
    v_values text;
    v_id text;
begin
    -- As the ledger writes it: one JSON array.
    if cardinality(audited.key_columns) > 1 and cardinality(id) = 1 and id[1] ~ '^\s*\[.*\]\s*$' then
        v_parts := array(select e.value from jsonb_array_elements_text(id[1]::jsonb) with ordinality as e (value, position) order by e.position);
    end if;
    if cardinality(v_parts) is distinct from cardinality(audited.key_columns) or array_position(v_parts, null) is not null then
        raise exception using
            errcode = 'BH108',
            message = format('Cannot find a row of %s: its key is (%s); give one value for each column',
                audited.ledger_name, bulkhead.quoted(audited.key_columns));
    end if;
    select string_agg(format('%L::%s as %I', v_parts[k.position], format_type(a.atttypid, a.atttypmod), k.name), ', ' order by k.position)
    into v_values
    from unnest(audited.key_columns) with ordinality as k (name, position)
    join pg_catalog.pg_attribute as a on a.attrelid = audited.relation and a.attname = k.name;
    execute format('select %s from (select %s) as t', bulkhead.ledger_key(audited.key_columns, 't'), v_values) into v_id;
    return v_id;
exception
    when data_exception then
        raise exception using
            errcode = 'BH108',
            message = format('Cannot find a row of %s: %s', audited.ledger_name, sqlerrm);
end
$$;
comment on function bulkhead.record_id(bulkhead.audited, text[]) is 'A key in the spelling of the ledger''s record_id';
revoke all on function bulkhead.record_id(bulkhead.audited, text[]) from public;

create function bulkhead.key_match(audited bulkhead.audited, alias text, record text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select string_agg(
        case
            when cardinality(audited.key_columns) = 1 then format('%I.%I = (%s)::%s', alias, k.name, record, format_type(a.atttypid, a.atttypmod))
            else format('%I.%I = ((%s)::jsonb ->> %s)::%s', alias, k.name, record, k.position - 1, format_type(a.atttypid, a.atttypmod))
        end, ' and ' order by k.position)
    from unnest(audited.key_columns) with ordinality as k (name, position)
    join pg_catalog.pg_attribute as a on a.attrelid = audited.relation and a.attname = k.name
$$;
comment on function bulkhead.key_match(bulkhead.audited, text, text) is 'SQL that joins a table to a record_id by its key''s own types, so that the index serves';
revoke all on function bulkhead.key_match(bulkhead.audited, text, text) from public;

-- Domains are read as what they are made of, for a partial image would fail their NOT NULL.
create function bulkhead.image_columns(relation regclass)
returns table (
    name name,
    attnum smallint,
    type text,
    definition text,
    expression text,
    is_settable boolean,
    is_required boolean,
    is_text boolean
)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        a.attname,
        a.attnum,
        format_type(a.atttypid, a.atttypmod),
        format('%I %s', a.attname, case when bulkhead.holds_json(a.atttypid) then 'text' else format_type(stored.type, stored.modifier) end),
        case
            when bulkhead.holds_json(a.atttypid) then format('(i.image ->> %L)::%s', a.attname, format_type(stored.type, stored.modifier))
            -- In JSON a null of the column and a null in the column look the same.
            when stored.type = 'jsonb'::regtype and a.attnotnull then format('i.image -> %L', a.attname)
            when stored.type = 'jsonb'::regtype then format('nullif(i.image -> %L, ''null'')', a.attname)
            else format('r.%I', a.attname)
        end,
        a.attgenerated = '',
        a.attnotnull and not a.atthasdef and a.attidentity = '' and a.attgenerated = '',
        bulkhead.holds_json(a.atttypid)
    from pg_catalog.pg_attribute as a
    cross join lateral (
        with recursive base as (
            select a.atttypid as type, a.atttypmod as modifier
            union all
            select t.typbasetype, t.typtypmod
            from base
            join pg_catalog.pg_type as t on t.oid = base.type and t.typtype = 'd'
        )
        select base.type, base.modifier
        from base
        join pg_catalog.pg_type as t on t.oid = base.type and t.typtype <> 'd'
    ) as stored
    where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
$$;
comment on function bulkhead.image_columns(regclass) is 'How the columns of a table are read back from an image of the ledger: i.image holds it, r is jsonb_to_record(i.image)';
revoke all on function bulkhead.image_columns(regclass) from public;

create function bulkhead.row_image(relation regclass, alias text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select string_agg(format('jsonb_build_object(%s)', p.pairs), ' || ')
    from (
        -- A function takes at most 100 arguments.
        select string_agg(format('%L, %I.%I%s', a.attname, alias, a.attname, case when bulkhead.holds_json(a.atttypid) then '::text' else '' end), ', ') as pairs
        from pg_catalog.pg_attribute as a
        where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
        group by a.attnum / 40
    ) as p
$$;
comment on function bulkhead.row_image(regclass, text) is 'SQL for a whole row in the ledger''s encoding, nothing masked, cut or left out';
revoke all on function bulkhead.row_image(regclass, text) from public;

-- ---------------------------------------------------------------- one row through time

create function bulkhead.history(relation regclass, variadic id text[])
returns table (
    event_id bigint,
    created_at timestamptz,
    transaction_id bigint,
    tenant_id text,
    record_id text,
    operation text,
    actor text,
    actor_role text,
    before jsonb,
    after jsonb,
    request_id text,
    ip_address inet,
    metadata jsonb
)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
-- The planner takes the keys of a bloom filter for scattered over every page; they are, and it is still the faster way.
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    v_audited bulkhead.audited := bulkhead.audited_table(relation);
    v_record text := bulkhead.record_id(v_audited, id);
    v_tenants text[] := bulkhead.readable_tenants();
begin
    return query
    select e.id, e.created_at, e.xid, e.tenant_id, e.record_id, e.operation, e.actor, e.actor_role, e.before, e.after, e.request_id, e.ip_address, e.metadata
    from bulkhead.audit_events as e
    where e.record_id = v_record
        and e.table_name = v_audited.ledger_name
        and e.operation = upper(e.operation)
        and (v_tenants is null or e.tenant_id = any (v_tenants))
    order by e.id;
end
$$;
comment on function bulkhead.history(regclass, text[]) is 'Every event of one row in the order of its changes. Example: select * from bulkhead.history(''public.messages'', ''42'')';
revoke all on function bulkhead.history(regclass, text[]) from public;

-- Definer: service_role has no rights on the ledger; it is shown the tenant that it names.
create function bulkhead_api.history(table_name text, id text[])
returns table (
    event_id bigint,
    created_at timestamptz,
    transaction_id bigint,
    tenant_id text,
    record_id text,
    operation text,
    actor text,
    actor_role text,
    before jsonb,
    after jsonb,
    request_id text,
    ip_address inet,
    metadata jsonb
)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select h.*
    from bulkhead.history(history.table_name::regclass, variadic history.id) as h
$$;
comment on function bulkhead_api.history(text, text[]) is 'Every event of one row of the caller''s tenant, for a back end that shows it. Example: rpc(''history'', { table_name: ''public.messages'', id: [''42''] })';
revoke all on function bulkhead_api.history(text, text[]) from public, anon, authenticated;
grant execute on function bulkhead_api.history(text, text[]) to service_role, bulkhead_service;

-- ---------------------------------------------------------------- going back

-- What a transaction did to a row counts as one step: a trigger that changes its own row again is recorded before the
-- change that fired it, so within a step the order of events says little, and sums and chains of values say more.
create function bulkhead.rewind_sql()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select $sql$
    steps as (
        select
            l.row_key,
            l.step,
            count(*) filter (where l.operation = 'INSERT') as inserts,
            count(*) filter (where l.operation in ('DELETE', 'TRUNCATE')) as deletes,
            coalesce((array_agg(l.operation order by l.id) filter (where l.operation <> 'UPDATE'))[1], 'UPDATE') as first_kind
        from later as l
        group by l.row_key, l.step
    ),
    lives as (
        select
            s.row_key,
            s.step,
            s.deletes > s.inserts or s.deletes = s.inserts and s.first_kind <> 'INSERT' as was_there,
            s.inserts > s.deletes or s.deletes = s.inserts and s.first_kind <> 'INSERT' as is_there
        from steps as s
    ),
    rows as (
        select
            n.row_key,
            bool_or(n.was_there) filter (where n.position = 1) as was_there,
            (array_agg(n.is_there order by n.step desc))[1] as is_there,
            bool_or(n.was_there <> n.previous) as is_broken
        from (
            select
                l.*,
                row_number() over life as position,
                lag(l.is_there) over life as previous
            from lives as l
            window life as (partition by l.row_key order by l.step)
        ) as n
        group by n.row_key
    ),
    bases as (
        select distinct on (l.row_key)
            l.row_key,
            l.id,
            l.before
        from later as l
        where l.operation in ('DELETE', 'TRUNCATE')
        order by l.row_key, l.id
    ),
    edges as (
        select l.row_key, l.step, l.is_several, c.key, c.value::text as value, c.delta
        from later as l
        left join bases as b on b.row_key = l.row_key
        cross join lateral (
            select o.key, o.value, 1 as delta from jsonb_each(l.before) as o
            union all
            select n.key, n.value, -1 from jsonb_each(l.after) as n where l.is_several
        ) as c
        where l.operation = 'UPDATE'
            and l.is_chosen
            and (b.id is null or l.id < b.id)
    ),
    firsts as (
        select distinct on (f.row_key, f.key)
            f.row_key,
            f.key,
            f.value::jsonb as value
        from (
            select e.row_key, e.step, e.key, e.value
            from edges as e
            where not e.is_several
            union all
            -- The value that was left once more than it was come to is where the path began; in a circle there is none,
            -- and nothing changed.
            select e.row_key, e.step, e.key, e.value
            from edges as e
            where e.is_several
            group by e.row_key, e.step, e.key, e.value
            having sum(e.delta) > 0
        ) as f
        order by f.row_key, f.key, f.step
    ),
    rewound as (
        select
            r.row_key,
            r.was_there,
            r.is_there,
            coalesce(r.is_broken, false) as is_broken,
            b.before as base,
            b.id is not null as was_deleted,
            o.overlay
        from rows as r
        left join bases as b on b.row_key = r.row_key
        left join (
            select f.row_key, jsonb_object_agg(f.key, f.value) as overlay
            from firsts as f
            group by f.row_key
        ) as o on o.row_key = r.row_key
    )$sql$
$$;
comment on function bulkhead.rewind_sql() is 'The queries that find, for each row of later (row_key, step, is_several, is_chosen, id, operation, before, after), what it was before';
revoke all on function bulkhead.rewind_sql() from public;

create function bulkhead.withheld(value jsonb)
returns text
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select case when jsonb_typeof(value) = 'object' then value ->> '$bulkhead' end
$$;
comment on function bulkhead.withheld(jsonb) is 'Why the ledger does not hold the value of a column itself, null when it does';
revoke all on function bulkhead.withheld(jsonb) from public;

create function bulkhead.no_way_back(table_name text, record_id text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception using
        errcode = 'BH109',
        message = format('Cannot go back: the events of %s %s do not follow from each other, so it was written past the ledger; take it from a backup',
            table_name, record_id);
end
$$;
comment on function bulkhead.no_way_back(text, text) is 'Raises BH109: a guess is worse than no answer';
revoke all on function bulkhead.no_way_back(text, text) from public;

create function bulkhead.check_moment(audited bulkhead.audited, moment timestamptz)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if moment is null or moment < audited.began_at or moment > clock_timestamp() then
        raise exception using
            errcode = 'BH102',
            message = case
                when moment is null then 'Cannot go back: no time is named'
                when moment < audited.began_at then format('Cannot go back to %s: the ledger of %s begins at %s; older rows are in the backups: npx bulkhead backups list',
                    moment, audited.ledger_name, audited.began_at)
                else format('Cannot go back to %s: it is in the future', moment)
            end;
    end if;
end
$$;
comment on function bulkhead.check_moment(bulkhead.audited, timestamptz) is 'BH102 unless the ledger reaches back to the moment';
revoke all on function bulkhead.check_moment(bulkhead.audited, timestamptz) from public;

create function bulkhead.check_tenant(tenant text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_tenants text[] := bulkhead.readable_tenants();
    v_settings bulkhead.settings;
    v_tenant text;
    v_exists boolean;
begin
    if nullif(trim(tenant), '') is null then
        raise exception using
            errcode = 'BH103',
            message = 'Cannot go back: no tenant is named';
    end if;
    if v_tenants is not null then
        if tenant <> all (v_tenants) then
            raise exception using
                errcode = '42501',
                message = format('Cannot read the rows of tenant %s: the context names another one', tenant);
        end if;
        return tenant;
    end if;
    select s.* into v_settings from bulkhead.settings as s;
    v_tenant := bulkhead.canonical_tenant(tenant);
    execute format('select exists (select from %s as t where t.%I = $1::%s)',
        bulkhead.qualified(v_settings.tenants_table), v_settings.tenant_key, v_settings.tenant_type)
    into v_exists
    using v_tenant;
    -- A tenant that is gone still has a past.
    if not v_exists and not exists (select from bulkhead.audit_events as e where e.tenant_id = v_tenant) then
        raise exception using
            errcode = 'BH103',
            message = format('Cannot find the tenant %s: neither %s nor the ledger knows it', tenant, bulkhead.qualified(v_settings.tenants_table));
    end if;
    return v_tenant;
exception
    when data_exception then
        raise exception using
            errcode = 'BH103',
            message = format('Cannot find the tenant %s: %s', tenant, sqlerrm);
end
$$;
comment on function bulkhead.check_tenant(text) is 'The tenant in its one spelling; BH103 when there is none, 42501 when it is not the caller''s';
revoke all on function bulkhead.check_tenant(text) from public;

-- STABLE: table and ledger are read in one snapshot, so no transaction is seen in one of them only.
create function bulkhead.as_of(rows anyelement, tenant text, moment timestamptz)
returns setof anyelement
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO, MDY'
set intervalstyle = 'postgres'
set timezone = 'UTC'
set extra_float_digits = 1
set bytea_output = 'hex'
-- What is joined here has no statistics: taken for one row, it would be gone through in squares.
set enable_nestloop = off
set jit = off
as $$
#variable_conflict use_variable
declare
    v_relation regclass := (select nullif(t.typrelid, 0)::regclass from pg_catalog.pg_type as t where t.oid = pg_typeof(rows)::oid);
    v_audited bulkhead.audited := bulkhead.audited_table(v_relation);
    v_tenant text := bulkhead.check_tenant(tenant);
    v_table text := bulkhead.qualified(v_audited.relation);
    v_now text;
    v_then text;
    v_definitions text;
begin
    perform bulkhead.check_moment(v_audited, moment);
    if exists (
        select
        from bulkhead.audit_events as e
        where e.table_name = v_audited.ledger_name
            and e.tenant_id = v_tenant
            and e.operation = 'TRUNCATE'
            and e.record_id is null
            and e.before is null
            and e.created_at > moment
    ) then
        perform bulkhead.no_way_back(v_audited.ledger_name, 'rows that a TRUNCATE took');
    end if;
    -- bulkhead.erase() leaves no record_id: nobody knows which row it was.
    if exists (
        select
        from bulkhead.audit_events as e
        where e.table_name = v_audited.ledger_name
            and e.tenant_id = v_tenant
            and e.record_id is null
            and '{"$bulkhead": "erased"}' in (e.before, e.after)
            and e.created_at > moment
    ) then
        raise exception using
            errcode = 'BH109',
            message = format('Cannot go back: events of %s since then were erased, so nobody knows what their rows were; ask for a later time', v_audited.ledger_name);
    end if;
    select
        string_agg(format('t.%I', c.name), ', ' order by c.attnum),
        string_agg(case
            -- Its changes were not recorded: what it was is not known.
            when c.name = any (v_audited.ignored) then format('null::%s', c.type)
            else format('case when i.image ? %1$L then (%2$s)::%3$s else (i.present).%1$I end', c.name, c.expression, c.type)
        end, ', ' order by c.attnum),
        string_agg(c.definition, ', ' order by c.attnum)
    into v_now, v_then, v_definitions
    from bulkhead.image_columns(v_audited.relation) as c;
    return query execute format($sql$
        with later as materialized (
            select
                e.record_id as row_key,
                min(e.id) over step as step,
                count(*) over step > 1 as is_several,
                true as is_chosen,
                e.id,
                e.operation,
                e.before,
                e.after
            from (
                select
                    e.*,
                    min(e.id) filter (where e.created_at > $3) over (partition by e.record_id) as first_id
                from bulkhead.audit_events as e
                where e.table_name = $1
                    and e.tenant_id = $2
                    and e.operation in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')
                    and e.record_id is not null
                    -- Who began before that moment may have written after it, and over what came after it.
                    and e.created_at > $3 - interval '1 day'
            ) as e
            where e.id >= e.first_id
            window step as (partition by e.record_id, e.xid)
        ),
        %1$s
        select %2$s
        from %3$s as t
        where t.%4$I = $2::%5$s
            and not exists (select from rewound as w where w.row_key = %6$s)
        union all
        select %7$s
        from (
            select
                p.present,
                p.row_key is not null as is_present,
                case
                    when w.is_broken or not w.was_deleted and p.row_key is null and not $4 then bulkhead.no_way_back($1, w.row_key)
                    else (
                        select jsonb_object_agg(c.key, case when bulkhead.withheld(c.value) is null then c.value end)
                        from jsonb_each(coalesce(w.base, '{}') || coalesce(w.overlay, '{}')) as c
                    )
                end as image
            from rewound as w
            left join (
                -- In brackets, since the table may have a column t.
                select (t.*)::%3$s as present, %6$s as row_key
                from %3$s as t
                where t.%4$I = $2::%5$s
            ) as p on p.row_key = w.row_key and not w.was_deleted
            where w.was_there
        ) as i
        cross join lateral jsonb_to_record(coalesce(i.image, '{}')) as r (%8$s)
        where i.image is not null or i.is_present
        $sql$,
        bulkhead.rewind_sql(), v_now, v_table, v_audited.tenant_column, v_audited.tenant_type,
        bulkhead.ledger_key(v_audited.key_columns, 't'), v_then, v_definitions)
    using v_audited.ledger_name, v_tenant, moment, row_security_active(v_audited.relation);
exception
    when data_exception or not_null_violation or check_violation then
        raise exception using
            errcode = 'BH109',
            message = format('Cannot go back: a value of %s as it was does not fit its column as it is: %s', v_audited.ledger_name, sqlerrm);
end
$$;
comment on function bulkhead.as_of(anyelement, text, timestamptz) is 'A tenant''s rows of a table as they were: each row before the first change by a transaction that began after the moment. Example: select * from bulkhead.as_of(null::public.messages, ''…'', now() - interval ''1 hour'')';
revoke all on function bulkhead.as_of(anyelement, text, timestamptz) from public;

-- ---------------------------------------------------------------- undo: what would happen

create type bulkhead.undo_step as (
    tenant_id text,
    table_name text,
    record_id text,
    action text,
    state text,
    columns text[],
    present jsonb,
    target jsonb,
    reason text,
    digest text
);
comment on type bulkhead.undo_step is 'One row of an undo. action: insert, update, delete; state: ready, conflict (a later write owns the row), blocked (it cannot be put back), skipped';

create function bulkhead.choose_events(
    transaction_id bigint,
    tenant text,
    since timestamptz,
    until timestamptz,
    tables regclass[],
    actor text
)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
set client_min_messages = warning
set enable_nestloop = off
set jit = off
as $$
#variable_conflict use_variable
declare
    v_tenant text := case when tenant is not null then bulkhead.check_tenant(tenant) end;
    v_names text[];
    v_where text;
    v_from timestamptz;
    v_few text[];
    v_late record;
begin
    if transaction_id is null and (tenant is null or since is null) then
        raise exception using
            errcode = 'BH105',
            message = 'Cannot undo: name a transaction, or a tenant and since when';
    end if;
    if since is not null and (since > clock_timestamp() or since >= until) then
        raise exception using
            errcode = 'BH102',
            message = format('Cannot undo: nothing lies between %s and %s', since, coalesce(until, clock_timestamp()));
    end if;
    if transaction_id is not null then
        case (select count(distinct e.created_at) from bulkhead.audit_events as e
                where e.xid = transaction_id and (since is null or e.created_at >= since) and (until is null or e.created_at < until))
            when 0 then
                raise exception using
                    errcode = 'BH104',
                    message = format('Cannot undo transaction %s: the ledger does not know it; it has not ended, was rolled back or wrote to no protected table', transaction_id);
            when 1 then
                null;
            else
                raise exception using
                    errcode = 'BH104',
                    message = format('Cannot undo transaction %s: a restore into another cluster began to count anew, so there were two; name since and until as well', transaction_id);
        end case;
    end if;
    select array_agg((bulkhead.audited_table(r.relation)).ledger_name) into v_names
    from unnest(tables) as r (relation);
    -- Joined with ||, which is null where no filter is named.
    v_where := concat_ws(' and ',
        'e.operation in (''INSERT'', ''UPDATE'', ''DELETE'', ''TRUNCATE'')',
        'e.xid = ' || transaction_id,
        'e.tenant_id = ' || quote_literal(v_tenant),
        'e.created_at >= ' || quote_literal(since),
        'e.created_at < ' || quote_literal(until),
        'e.table_name = any (' || quote_literal(v_names) || ')',
        'e.actor = ' || quote_literal(actor));
    drop table if exists pg_temp.bulkhead_chosen, pg_temp.bulkhead_later;
    execute 'create temporary table bulkhead_chosen on commit drop as'
        ' select e.id, e.created_at, e.tenant_id, e.table_name, e.record_id from bulkhead.audit_events as e where ' || v_where;
    analyze pg_temp.bulkhead_chosen;
    -- Earlier changes than the ledger holds could not be told from none.
    select c.table_name, a.began_at into v_late
    from (select distinct c.table_name from pg_temp.bulkhead_chosen as c) as c
    join bulkhead.protected_tables as t on t.parent is null and bulkhead.ledger_name(t.relation) = c.table_name
    cross join lateral bulkhead.audited_table(t.relation) as a
    where since < a.began_at
    limit 1;
    if v_late.table_name is not null then
        raise exception using
            errcode = 'BH102',
            message = format('Cannot undo since %s: the ledger of %s begins at %s', since, v_late.table_name, v_late.began_at);
    end if;
    -- Who began earlier may have written later; see as_of().
    v_from := (select min(c.created_at) - interval '1 day' from pg_temp.bulkhead_chosen as c);
    v_few := (select array_agg(distinct c.record_id) from pg_temp.bulkhead_chosen as c having count(distinct c.record_id) <= 200);
    execute format($sql$
        create temporary table bulkhead_later on commit drop as
        select
            jsonb_build_array(e.table_name, e.tenant_id, e.record_id)::text as row_key,
            e.table_name, e.tenant_id, e.record_id, e.id, e.xid, e.operation, e.before, e.after, e.actor, e.actor_role,
            -- Asked anew, not joined: the planner takes the join for one row and goes round in squares.
            (%1$s) is true as is_chosen,
            min(e.id) over step as step,
            count(*) over step > 1 as is_several
        from (
            select c.table_name, c.tenant_id, c.record_id, min(c.id) as first_id
            from pg_temp.bulkhead_chosen as c
            group by c.table_name, c.tenant_id, c.record_id
        ) as f
        join bulkhead.audit_events as e
            on e.table_name = f.table_name and e.tenant_id = f.tenant_id and e.record_id = f.record_id and e.id >= f.first_id
        where e.operation in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')
            and %2$s
        window step as (partition by e.table_name, e.tenant_id, e.record_id, e.xid)
        $sql$,
        v_where, concat_ws(' and ', 'e.created_at >= ' || quote_literal(v_from), 'e.record_id = any (' || quote_literal(v_few) || ')', 'true'));
    analyze pg_temp.bulkhead_later;
end
$$;
comment on function bulkhead.choose_events(bigint, text, timestamptz, timestamptz, regclass[], text) is 'The events to undo, and every later event of the same rows, as temporary tables';
revoke all on function bulkhead.choose_events(bigint, text, timestamptz, timestamptz, regclass[], text) from public;

create function bulkhead.rewind_rows()
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
set client_min_messages = warning
set enable_nestloop = off
set jit = off
as $$
begin
    drop table if exists pg_temp.bulkhead_undo;
    execute format($sql$
        create temporary table bulkhead_undo on commit drop as
        with later as (select * from pg_temp.bulkhead_later),
        %s,
        others as (
            -- A later write by somebody else, and what it was.
            select distinct on (l.row_key) l.row_key, l.xid, lower(l.operation) as operation, coalesce(l.actor, l.actor_role) as actor
            from later as l
            where not l.is_chosen
            order by l.row_key, l.step desc, l.id desc
        ),
        finals as (
            select f.row_key, jsonb_object_agg(f.key, f.value) as finals
            from (
                select distinct on (l.row_key, c.key) l.row_key, c.key, c.value, l.is_several
                from later as l
                cross join lateral jsonb_each(l.after) as c
                where l.operation = 'UPDATE'
                    and not exists (select from later as d where d.row_key = l.row_key and d.id > l.id and d.operation <> 'UPDATE')
                order by l.row_key, c.key, l.step desc, l.id desc
            ) as f
            where not f.is_several and bulkhead.withheld(f.value) is null
            group by f.row_key
        )
        select
            row_number() over (order by k.table_name, k.tenant_id, k.record_id)::integer as n,
            k.*,
            t.relation::oid::regclass as relation,
            w.was_there,
            w.is_there,
            w.is_broken,
            w.was_deleted,
            case when w.was_deleted then w.base else '{}' end || coalesce(w.overlay, '{}') as image,
            f.finals,
            o.xid as other_xid,
            o.operation as other_operation,
            o.actor as other_actor,
            null::jsonb as present,
            null::text as present_tenant,
            null::jsonb as merged,
            null::text[] as columns,
            null::text[] as parked,
            null::text as action,
            'ready'::text as state,
            null::text as reason
        from (select distinct l.row_key, l.table_name, l.tenant_id, l.record_id from later as l) as k
        left join rewound as w on w.row_key = k.row_key
        left join finals as f on f.row_key = k.row_key
        left join others as o on o.row_key = k.row_key
        left join (
            select t.relation, bulkhead.ledger_name(t.relation) as ledger_name
            from bulkhead.protected_tables as t
            where t.parent is null and exists (select from pg_catalog.pg_class as c where c.oid = t.relation)
        ) as t on t.ledger_name = k.table_name
        $sql$, bulkhead.rewind_sql());
    -- A TRUNCATE that was recorded as a number only.
    insert into pg_temp.bulkhead_undo (n, row_key, table_name, tenant_id, action, state, reason)
    select -row_number() over (order by c.id), c.id::text, c.table_name, c.tenant_id, 'insert', 'blocked',
        case
            when 'erased' in (bulkhead.withheld(e.before), bulkhead.withheld(e.after)) then format('what event %s held was erased', e.id)
            else 'a TRUNCATE took rows that the ledger did not keep'
        end
    from pg_temp.bulkhead_chosen as c
    join bulkhead.audit_events as e on e.id = c.id and e.created_at = c.created_at
    where c.record_id is null;
    update pg_temp.bulkhead_undo as u set
        state = 'blocked',
        reason = case
            when u.relation is null then 'the table is gone, or protected no more'
            else 'its events do not follow from each other: it was written past the ledger'
        end
    where u.n > 0 and (u.relation is null or u.is_broken);
    analyze pg_temp.bulkhead_undo;
end
$$;
comment on function bulkhead.rewind_rows() is 'One row of a temporary table for each row to undo: what it was';
revoke all on function bulkhead.rewind_rows() from public;

create function bulkhead.reread_sql(relation regclass, source text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format($sql$
        update pg_temp.bulkhead_undo as u set %1$I = x.image
        from (
            select
                i.n,
                (select jsonb_object_agg(c.key, c.value) from jsonb_each(%2$s) as c where i.image ? c.key) as image
            from (select s.n, s.%1$I as image from pg_temp.bulkhead_undo as s where s.relation = %3$L::regclass and s.state = 'ready' and s.n = any ($1)) as i
            cross join lateral jsonb_to_record(i.image) as r (%4$s)
        ) as x
        where x.n = u.n
        $sql$,
        source, string_agg(p.pairs, ' || '), relation::oid, string_agg(p.definitions, ', '))
    from (
        -- A function takes at most 100 arguments.
        select
            format('jsonb_build_object(%s)', string_agg(format('%L, %s', c.name, c.expression || case when c.is_text then '::text' else '' end), ', ')) as pairs,
            string_agg(c.definition, ', ') as definitions
        from bulkhead.image_columns(relation) as c
        group by c.attnum / 40
    ) as p
$$;
comment on function bulkhead.reread_sql(regclass, text) is 'SQL that reads images into the columns as they are today and writes them back: what compares with present rows';
revoke all on function bulkhead.reread_sql(regclass, text) from public;

create function bulkhead.reread_rows(relation regclass, source text)
returns void
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
    v_rows integer[] := (select array_agg(u.n) from pg_temp.bulkhead_undo as u where u.relation = reread_rows.relation and u.state = 'ready');
    v_row integer;
begin
    begin
        execute bulkhead.reread_sql(relation, source) using v_rows;
        return;
    exception
        when data_exception or integrity_constraint_violation then
            null;
    end;
    -- Some value fits its column no more: find the rows.
    foreach v_row in array v_rows loop
        begin
            execute bulkhead.reread_sql(relation, source) using array[v_row];
        exception
            when data_exception or integrity_constraint_violation then
                update pg_temp.bulkhead_undo as u set state = 'blocked', reason = 'a value does not fit its column any more: ' || sqlerrm
                where u.n = v_row;
        end;
    end loop;
end
$$;
comment on function bulkhead.reread_rows(regclass, text) is 'Brings the images of a table into its present types; a row whose values do not fit is blocked';
revoke all on function bulkhead.reread_rows(regclass, text) from public;

create function bulkhead.compare_rows(audited bulkhead.audited)
returns void
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
    v_present text := format($sql$
        update pg_temp.bulkhead_undo as u set present = p.present, present_tenant = p.tenant
        from (
            select s.n, %s as present, t.%I::text as tenant
            from pg_temp.bulkhead_undo as s
            join %s as t on %%s
            where s.relation = %L::regclass
        ) as p
        where p.n = u.n
        $sql$,
        bulkhead.row_image(audited.relation, 't'), audited.tenant_column, bulkhead.qualified(audited.relation), audited.relation::oid);
    v_columns text[] := (select array_agg(c.name) from bulkhead.image_columns(audited.relation) as c where c.is_settable);
    v_required text[] := (select array_agg(c.name) from bulkhead.image_columns(audited.relation) as c where c.is_required);
    v_fixed text[] := audited.tenant_column || audited.key_columns || array(
        select a.attname
        from pg_catalog.pg_attribute as a
        where a.attrelid = audited.relation and a.attidentity = 'a'
    );
begin
    begin
        execute format(v_present, bulkhead.key_match(audited, 't', 's.record_id'));
    exception
        -- The key was another one when the events were written.
        when data_exception then
            execute format(v_present, bulkhead.ledger_key(audited.key_columns, 't') || ' = s.record_id');
    end;
    update pg_temp.bulkhead_undo as u set
        state = 'blocked',
        reason = format('the ledger does not hold %s: %s', w.names, w.why)
    from (
        select s.n, string_agg(c.key, ', ' order by c.key) as names, min(bulkhead.withheld(c.value)) as why
        from pg_temp.bulkhead_undo as s
        cross join lateral jsonb_each(s.image) as c
        where s.relation = audited.relation and s.was_there and bulkhead.withheld(c.value) is not null
        group by s.n
    ) as w
    where u.n = w.n and u.state = 'ready';
    perform bulkhead.reread_rows(audited.relation, 'image');
    perform bulkhead.reread_rows(audited.relation, 'finals');
    update pg_temp.bulkhead_undo as u set
        action = case
            when not u.was_there and (u.present is null or u.present_tenant <> u.tenant_id) then null
            when not u.was_there then 'delete'
            when u.present is null or u.present_tenant <> u.tenant_id then 'insert'
            else 'update'
        end
    where u.relation = audited.relation;
    update pg_temp.bulkhead_undo as u set
        image = (
            select jsonb_object_agg(c.key, c.value)
            from jsonb_each(u.image) as c
            where c.key = any (v_columns)
                and (
                    u.action = 'insert'
                    or c.key <> all (v_fixed) and c.value::text is distinct from (u.present -> c.key)::text
                )
        ),
        reason = case
            when u.action = 'insert' then (
                select 'not held by the ledger, so it starts anew: ' || string_agg(c.name, ', ')
                from unnest(v_columns) as c (name)
                where not u.image ? c.name
            )
        end
    where u.relation = audited.relation and u.action in ('insert', 'update') and u.state = 'ready';
    -- What is already as it was needs nothing.
    delete from pg_temp.bulkhead_undo as u
    where u.relation = audited.relation
        and (u.action is null or u.action = 'update' and u.image is null and u.state = 'ready');
    update pg_temp.bulkhead_undo as u set
        columns = case when u.action <> 'delete' then array(select k.key from jsonb_object_keys(u.image) as k (key) order by k.key) end,
        merged = case u.action when 'insert' then u.image when 'update' then u.present || u.image end
    where u.relation = audited.relation and u.state = 'ready';
    update pg_temp.bulkhead_undo as u set
        state = 'conflict',
        reason = case
            when u.other_xid is not null then format('%s later by %s in transaction %s',
                case u.other_operation when 'insert' then 'inserted' when 'update' then 'changed' else 'deleted' end, u.other_actor, u.other_xid)
            else 'changed later, past the ledger'
        end
    where u.relation = audited.relation
        and u.state = 'ready'
        and (
            u.other_xid is not null
            or u.is_there <> (u.present is not null)
            or exists (
                select
                from jsonb_each(u.finals) as c
                where u.present ? c.key and c.value::text is distinct from (u.present -> c.key)::text
            )
        );
    update pg_temp.bulkhead_undo as u set
        state = 'blocked',
        reason = case
            when audited.is_tenants_table then 'a tenant is not made or removed by an undo'
            when u.present is not null then 'its key belongs to another tenant now'
            when not u.was_deleted then 'the ledger does not hold the row: it was deleted past it'
            when not u.image ?& v_required then format('the ledger does not hold %s, which must not be null',
                (select string_agg(r.name, ', ') from unnest(v_required) as r (name) where not u.image ? r.name))
            else 'which of the table''s inheritance children held it is not recorded'
        end
    where u.relation = audited.relation
        and u.state in ('ready', 'conflict')
        and (
            audited.is_tenants_table and u.action <> 'update'
            or u.action = 'insert' and (
                u.present is not null
                or not u.was_deleted
                or not u.image ?& v_required
                or exists (
                    select
                    from pg_catalog.pg_inherits as h
                    join pg_catalog.pg_class as c on c.oid = h.inhrelid
                    where h.inhparent = audited.relation and not c.relispartition
                )
            )
        );
end
$$;
comment on function bulkhead.compare_rows(bulkhead.audited) is 'Compares what rows of a table were with what they are: what each needs, and whether a later write owns it';
revoke all on function bulkhead.compare_rows(bulkhead.audited) from public;

-- ---------------------------------------------------------------- undo: what would break

create function bulkhead.undo_is_active(state text, conflicts text)
returns boolean
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    -- While conflicts are only shown, what follows from leaving them out would hide among them.
    select state = 'ready' or state = 'conflict' and conflicts <> 'skip'
$$;
comment on function bulkhead.undo_is_active(text, text) is 'Whether the other rows of a plan may count on this one';
revoke all on function bulkhead.undo_is_active(text, text) from public;

create function bulkhead.block_references(constraint_id oid, conflicts text)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_fk record;
    v_count bigint;
    v_total bigint := 0;
begin
    select
        c.conrelid::regclass as child,
        c.confrelid::regclass as parent,
        bulkhead.qualified(c.conrelid) as child_name,
        bulkhead.qualified(c.confrelid) as parent_name,
        bulkhead.columns_of(c.conrelid, c.conkey)::text[] as columns,
        bulkhead.columns_of(c.confrelid, c.confkey)::text[] as parent_columns,
        bulkhead.ledger_key(coalesce(bulkhead.key_of(c.conrelid), bulkhead.columns_of(c.conrelid, c.conkey)), 'c') as child_key,
        bulkhead.ledger_key(coalesce(bulkhead.key_of(c.confrelid), bulkhead.columns_of(c.confrelid, c.confkey)), 'p') as parent_key,
        pairs.*
    into v_fk
    from pg_catalog.pg_constraint as c
    cross join lateral (
        select
            string_agg(format('c.%I = (u.present ->> %L)::%s', child.attname, parent.attname, format_type(parent.atttypid, parent.atttypmod)), ' and ') as to_parent,
            string_agg(format('p.%I = (u.merged ->> %L)::%s', parent.attname, child.attname, format_type(child.atttypid, child.atttypmod)), ' and ') as from_child,
            string_agg(format('k.merged ->> %L = u.merged ->> %L', parent.attname, child.attname), ' and ') as among_rows,
            string_agg(format('u.merged ->> %L is not null', child.attname), ' and ') as is_set
        from unnest(c.conkey, c.confkey) as k (child_column, parent_column)
        join pg_catalog.pg_attribute as child on child.attrelid = c.conrelid and child.attnum = k.child_column
        join pg_catalog.pg_attribute as parent on parent.attrelid = c.confrelid and parent.attnum = k.parent_column
    ) as pairs
    where c.oid = constraint_id;
    -- A row to delete that another one points to, which stays.
    execute format($sql$
        update pg_temp.bulkhead_undo as u set
            state = 'blocked',
            reason = format('%%s row(s) of %%s point to it', x.children, %5$L)
        from (
            select u.n, count(*) as children
            from pg_temp.bulkhead_undo as u
            join %1$s as c on %2$s
            left join pg_temp.bulkhead_undo as k
                on k.relation = %3$L::regclass
                and k.record_id = %4$s
                and bulkhead.undo_is_active(k.state, $1)
                and (k.action = 'delete' or k.action = 'update' and k.image ?| $2)
            where u.relation = $3 and u.action = 'delete' and bulkhead.undo_is_active(u.state, $1) and k.n is null
            group by u.n
        ) as x
        where x.n = u.n
        $sql$, v_fk.child_name, v_fk.to_parent, v_fk.child::oid, v_fk.child_key, v_fk.child_name)
    using conflicts, v_fk.columns, v_fk.parent;
    get diagnostics v_total = row_count;
    -- A row to put back that points to one that is not there.
    execute format($sql$
        update pg_temp.bulkhead_undo as u set
            state = 'blocked',
            reason = format('the row of %%s that it points to is gone', %1$L)
        from (
            select u.n
            from pg_temp.bulkhead_undo as u
            left join %1$s as p on %2$s
            left join pg_temp.bulkhead_undo as g
                on g.relation = $3
                and g.record_id = %3$s
                and bulkhead.undo_is_active(g.state, $1)
                and (g.action = 'delete' or g.action = 'update' and g.image ?| $4)
            left join pg_temp.bulkhead_undo as k
                on k.relation = $3
                and bulkhead.undo_is_active(k.state, $1)
                and k.action in ('insert', 'update')
                and %4$s
            where u.relation = $5
                and bulkhead.undo_is_active(u.state, $1)
                and (u.action = 'insert' or u.action = 'update' and u.image ?| $2)
                and %5$s
            group by u.n
            having not bool_or(p.%6$I is not null and g.n is null or k.n is not null)
        ) as x
        where x.n = u.n
        $sql$, v_fk.parent_name, v_fk.from_child, v_fk.parent_key, v_fk.among_rows, v_fk.is_set, v_fk.parent_columns[1])
    using conflicts, v_fk.columns, v_fk.parent, v_fk.parent_columns, v_fk.child;
    get diagnostics v_count = row_count;
    return v_total + v_count;
end
$$;
comment on function bulkhead.block_references(oid, text) is 'Blocks the rows of a plan that would break one foreign key; returns how many';
revoke all on function bulkhead.block_references(oid, text) from public;

-- A value that no row has, for a row that must let its own go first.
create function bulkhead.parking_value(relation regclass, column_name name)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when not a.attnotnull then 'null'
        when t.typcategory = 'N' then format('(select least(min(p.%I), 0) from %s as p) - i.n', column_name, bulkhead.qualified(relation))
        when t.typcategory = 'S' then format('%L || i.n', 'bulkhead undo ')
        when a.atttypid = 'uuid'::regtype then 'gen_random_uuid()'
    end
    from pg_catalog.pg_attribute as a
    join pg_catalog.pg_type as t on t.oid = a.atttypid
    where a.attrelid = relation and a.attname = column_name
$$;
comment on function bulkhead.parking_value(regclass, name) is 'SQL for a value of a unique column that is free for sure; null where there is none';
revoke all on function bulkhead.parking_value(regclass, name) from public;

create function bulkhead.block_duplicates(index_id oid, conflicts text)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_relation regclass := (select i.indrelid::regclass from pg_catalog.pg_index as i where i.indexrelid = index_id);
    v_columns text[];
    v_parkable text[];
    v_match text;
    v_blocked bigint;
begin
    select
        array_agg(a.attname),
        array_agg(a.attname order by a.attnotnull, a.attnum) filter (where bulkhead.parking_value(v_relation, a.attname) is not null),
        string_agg(format('t.%I = (u.merged ->> %L)::%s', a.attname, a.attname, format_type(a.atttypid, a.atttypmod)), ' and ')
    into v_columns, v_parkable, v_match
    from pg_catalog.pg_index as i
    cross join lateral unnest(i.indkey::smallint[]) with ordinality as k (attnum, position)
    join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = k.attnum
    where i.indexrelid = index_id and k.position <= i.indnkeyatts;
    execute format($sql$
        update pg_temp.bulkhead_undo as u set
            state = 'blocked',
            reason = format('%%s is taken by row %%s', %1$L, x.taken_by)
        from (
            select u.n, min(%2$s) as taken_by
            from pg_temp.bulkhead_undo as u
            join %3$s as t on %4$s
            left join pg_temp.bulkhead_undo as k
                on k.relation = $2
                and k.record_id = %2$s
                and bulkhead.undo_is_active(k.state, $1)
                and (k.action = 'delete' or k.action = 'update' and k.image ?| $3 and (u.action = 'insert' or k.image ?| $4))
            where u.relation = $2
                and bulkhead.undo_is_active(u.state, $1)
                and (u.action = 'insert' or u.action = 'update' and u.image ?| $3)
                and %2$s <> u.record_id
                and k.n is null
            group by u.n
        ) as x
        where x.n = u.n
        $sql$,
        array_to_string(v_columns, ', '), bulkhead.ledger_key(bulkhead.key_of(v_relation), 't'), bulkhead.qualified(v_relation), v_match)
    using conflicts, v_relation, v_columns, coalesce(v_parkable, '{}');
    get diagnostics v_blocked = row_count;
    -- Rows that pass their values round among themselves: no order of single updates is free of a duplicate.
    if (select i.indimmediate from pg_catalog.pg_index as i where i.indexrelid = index_id) then
        execute format($sql$
            update pg_temp.bulkhead_undo as k set
                parked = (select array_agg(distinct c.name) from unnest(k.parked || x.name) as c (name))
            from (
                select distinct k.n, (select c.name from unnest($4) with ordinality as c (name, position) where k.image ? c.name order by c.position limit 1) as name
                from pg_temp.bulkhead_undo as u
                join %1$s as t on %2$s
                join pg_temp.bulkhead_undo as k on k.relation = $2 and k.record_id = %3$s
                where u.relation = $2
                    and u.action = 'update'
                    and k.action = 'update'
                    and k.n <> u.n
                    and bulkhead.undo_is_active(u.state, $1)
                    and bulkhead.undo_is_active(k.state, $1)
                    and u.image ?| $3
                    and k.image ?| $4
            ) as x
            where x.n = k.n
            $sql$,
            bulkhead.qualified(v_relation), v_match, bulkhead.ledger_key(bulkhead.key_of(v_relation), 't'))
        using conflicts, v_relation, v_columns, coalesce(v_parkable, '{}');
    end if;
    return v_blocked;
end
$$;
comment on function bulkhead.block_duplicates(oid, text) is 'Blocks the rows of a plan whose unique value another row keeps, and marks those that must let theirs go first; returns how many it blocked';
revoke all on function bulkhead.block_duplicates(oid, text) from public;

create function bulkhead.build_undo(
    transaction_id bigint,
    tenant text,
    since timestamptz,
    until timestamptz,
    tables regclass[],
    actor text,
    conflicts text
)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_relation regclass;
    v_object oid;
    v_blocked bigint;
begin
    if not coalesce(bulkhead.is_platform(bulkhead.caller()), false) then
        raise exception using
            errcode = '42501',
            message = format('Cannot undo as %s: it takes a platform role, such as the owner of the kit', bulkhead.caller());
    end if;
    if conflicts is null or conflicts not in ('refuse', 'skip', 'overwrite') then
        raise exception using
            errcode = 'BH105',
            message = format('Cannot undo with conflicts "%s": choose refuse, skip or overwrite', conflicts);
    end if;
    perform bulkhead.choose_events(transaction_id, tenant, since, until, tables, actor);
    perform bulkhead.rewind_rows();
    for v_relation in select distinct u.relation from pg_temp.bulkhead_undo as u where u.relation is not null loop
        perform bulkhead.compare_rows(bulkhead.audited_table(v_relation));
    end loop;
    if conflicts = 'overwrite' then
        update pg_temp.bulkhead_undo as u set state = 'ready', reason = 'overwrites what was ' || u.reason where u.state = 'conflict';
    end if;
    analyze pg_temp.bulkhead_undo;
    -- Each row that is left out may leave another one without its parent.
    loop
        v_blocked := 0;
        for v_object in
            select c.oid
            from pg_catalog.pg_constraint as c
            where c.contype = 'f'
                and c.conparentid = 0
                and (
                    c.conrelid in (select u.relation from pg_temp.bulkhead_undo as u where u.action in ('insert', 'update'))
                    or c.confrelid in (select u.relation from pg_temp.bulkhead_undo as u where u.action = 'delete')
                )
            order by c.conrelid::regclass::text, c.conname
        loop
            v_blocked := v_blocked + bulkhead.block_references(v_object, conflicts);
        end loop;
        for v_object in
            select i.indexrelid
            from pg_catalog.pg_index as i
            where i.indisunique
                and i.indexprs is null
                and i.indpred is null
                and i.indrelid in (select u.relation from pg_temp.bulkhead_undo as u where u.action in ('insert', 'update'))
            order by i.indexrelid::regclass::text
        loop
            v_blocked := v_blocked + bulkhead.block_duplicates(v_object, conflicts);
        end loop;
        exit when v_blocked = 0 or conflicts <> 'skip';
    end loop;
    if conflicts = 'skip' then
        update pg_temp.bulkhead_undo as u set state = 'skipped' where u.state in ('conflict', 'blocked');
    end if;
end
$$;
comment on function bulkhead.build_undo(bigint, text, timestamptz, timestamptz, regclass[], text, text) is 'Makes the plan of an undo as a temporary table';
revoke all on function bulkhead.build_undo(bigint, text, timestamptz, timestamptz, regclass[], text, text) from public;

create function bulkhead.undo_digest(conflicts text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select left(encode(sha256(convert_to(conflicts || coalesce(string_agg(
            jsonb_build_array(u.table_name, u.tenant_id, u.record_id, u.action, u.state, u.image, u.present, u.other_xid)::text, E'\n' order by u.n), ''), 'UTF8')), 'hex'), 16)
        from pg_temp.bulkhead_undo as u
    );
end
$$;
comment on function bulkhead.undo_digest(text) is 'A hash over everything that a plan would do';
revoke all on function bulkhead.undo_digest(text) from public;

create function bulkhead.undo_plan(
    transaction_id bigint default null,
    tenant text default null,
    since timestamptz default null,
    until timestamptz default null,
    tables regclass[] default null,
    actor text default null,
    conflicts text default 'refuse'
)
returns setof bulkhead.undo_step
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
    v_digest text;
begin
    perform bulkhead.build_undo(transaction_id, tenant, since, until, tables, actor, conflicts);
    v_digest := bulkhead.undo_digest(conflicts);
    return query
    select
        u.tenant_id,
        u.table_name,
        u.record_id,
        u.action,
        u.state,
        u.columns,
        case u.action
            when 'delete' then u.present
            when 'update' then (select jsonb_object_agg(c.name, u.present -> c.name) from unnest(u.columns) as c (name))
        end,
        case when u.action <> 'delete' then u.image end,
        u.reason,
        v_digest
    from pg_temp.bulkhead_undo as u
    order by u.table_name, u.n;
end
$$;
comment on function bulkhead.undo_plan(bigint, text, timestamptz, timestamptz, regclass[], text, text) is 'What taking back a transaction, or a tenant''s window of time, would do to each row; changes nothing. Example: select * from bulkhead.undo_plan(transaction_id => 1055)';
revoke all on function bulkhead.undo_plan(bigint, text, timestamptz, timestamptz, regclass[], text, text) from public;

-- ---------------------------------------------------------------- undo: doing it

create function bulkhead.undo_statement(tenant text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_set record;
    v_audited bulkhead.audited;
    v_rows text;
    v_keys text;
    v_columns record;
    v_parts text[] := '{}';
    v_counts text[] := '{}';
begin
    -- One statement: foreign keys are checked at its end, whatever the order, also in circles. Unique values are freed
    -- before they are taken: deletes, then updates, then inserts, for a part runs when its count is asked for.
    for v_set in
        select u.relation, u.table_name, u.action, u.columns
        from pg_temp.bulkhead_undo as u
        where u.tenant_id = tenant and u.state = 'ready'
        group by u.relation, u.table_name, u.action, u.columns
        order by u.action = 'insert', u.action = 'update', u.table_name, u.columns
    loop
        v_audited := bulkhead.audited_table(v_set.relation);
        v_rows := format('(select u.record_id, u.image from pg_temp.bulkhead_undo as u where u.tenant_id = %L and u.state = ''ready'''
            ' and u.relation = %L::regclass and u.action = %L and u.columns is not distinct from %L::text[]) as i',
            tenant, v_set.relation::oid, v_set.action, v_set.columns);
        v_keys := format('%s and t.%I = %L::%s',
            bulkhead.key_match(v_audited, 't', 'i.record_id'), v_audited.tenant_column, tenant, v_audited.tenant_type);
        select
            string_agg(format('%I', k.name), ', ' order by k.position) as names,
            string_agg(a.expression, ', ' order by k.position) as expressions,
            string_agg(a.definition, ', ' order by k.position) as definitions
        into v_columns
        from unnest(v_set.columns) with ordinality as k (name, position)
        join bulkhead.image_columns(v_set.relation) as a on a.name = k.name;
        v_parts := v_parts || format('part_%s as (%s returning 1)', cardinality(v_parts) + 1, case v_set.action
            when 'delete' then format('delete from %s as t using %s where %s', bulkhead.qualified(v_set.relation), v_rows, v_keys)
            when 'update' then format('update %s as t set (%s) = row(%s) from %s cross join lateral jsonb_to_record(i.image) as r (%s) where %s',
                bulkhead.qualified(v_set.relation), v_columns.names, v_columns.expressions, v_rows, v_columns.definitions, v_keys)
            else format('insert into %s (%s) overriding system value select %s from %s cross join lateral jsonb_to_record(i.image) as r (%s) where i.image ->> %L = %L',
                bulkhead.qualified(v_set.relation), v_columns.names, v_columns.expressions, v_rows, v_columns.definitions, v_audited.tenant_column, tenant)
        end);
        v_counts := v_counts || format('select %L, %L, count(*) from part_%s', v_set.table_name, v_set.action, cardinality(v_parts));
    end loop;
    return format('with %s select * from (%s) as counts (table_name, action, rows)', array_to_string(v_parts, ', '), array_to_string(v_counts, ' union all '));
end
$$;
comment on function bulkhead.undo_statement(text) is 'The one statement that puts a tenant''s rows back';
revoke all on function bulkhead.undo_statement(text) from public;

create function bulkhead.park_values(tenant text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
    v_set record;
begin
    for v_set in
        select distinct u.relation, c.name
        from pg_temp.bulkhead_undo as u
        cross join lateral unnest(u.parked) as c (name)
        where u.tenant_id = tenant and u.state = 'ready'
    loop
        execute format($sql$
            update %1$s as t set %2$I = %3$s
            from pg_temp.bulkhead_undo as i
            where i.tenant_id = $1 and i.state = 'ready' and i.relation = $2 and %2$L = any (i.parked) and %4$s
            $sql$,
            bulkhead.qualified(v_set.relation), v_set.name, bulkhead.parking_value(v_set.relation, v_set.name),
            bulkhead.key_match(bulkhead.audited_table(v_set.relation), 't', 'i.record_id'))
        using tenant, v_set.relation;
    end loop;
end
$$;
comment on function bulkhead.park_values(text) is 'Lets go of unique values that other rows of the undo take; costs those rows an event more';
revoke all on function bulkhead.park_values(text) from public;

create function bulkhead.hold_triggers(relations regclass[])
returns text[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_trigger record;
    v_enable text[] := '{}';
begin
    for v_trigger in
        select
            bulkhead.qualified(g.tgrelid) as table_name,
            g.tgname,
            case g.tgenabled when 'A' then 'always ' when 'R' then 'replica ' else '' end as mode
        from unnest(relations) as r (relation)
        cross join lateral (select r.relation union select p.child from bulkhead.partitions_of(r.relation) as p (child)) as t (relation)
        join pg_catalog.pg_trigger as g on g.tgrelid = t.relation
        where not g.tgisinternal and g.tgenabled <> 'D' and g.tgname not like 'bulkhead\_%'
        order by 1, 2
    loop
        execute format('alter table %s disable trigger %I', v_trigger.table_name, v_trigger.tgname);
        v_enable := v_enable || format('alter table %s enable %strigger %I', v_trigger.table_name, v_trigger.mode, v_trigger.tgname);
    end loop;
    return v_enable;
end
$$;
comment on function bulkhead.hold_triggers(regclass[]) is 'Holds back triggers that are not the kit''s (mail, webhooks, updated_at); returns the statements that put them back';
revoke all on function bulkhead.hold_triggers(regclass[]) from public;

create function bulkhead.apply_undo(
    digest text,
    transaction_id bigint default null,
    tenant text default null,
    since timestamptz default null,
    until timestamptz default null,
    tables regclass[] default null,
    actor text default null,
    conflicts text default 'refuse',
    acting text default null
)
returns table (tenant_id text, table_name text, action text, rows bigint)
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO, MDY'
set intervalstyle = 'postgres'
set timezone = 'UTC'
set extra_float_digits = 1
set bytea_output = 'hex'
set row_security = on
set lock_timeout = '10s'
as $$
#variable_conflict use_variable
declare
    v_before text[] := array[
        current_setting('bulkhead.tenant', true), current_setting('bulkhead.actor', true), current_setting('bulkhead.request_id', true)
    ];
    v_relations regclass[];
    v_relation regclass;
    v_in_the_way text;
    v_tenant text;
    v_enable text[];
    v_statement text;
    v_rows bigint;
    v_holder text;
    v_detail text;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception using
            errcode = 'BH105',
            message = 'Cannot undo in this transaction: it would not see what others wrote meanwhile; use read committed';
    end if;
    -- Once to learn the tables, then under their locks, where nobody else can write any more.
    for v_attempt in 1..2 loop
        perform bulkhead.build_undo(transaction_id, tenant, since, until, tables, actor, conflicts);
        if digest is distinct from bulkhead.undo_digest(conflicts) then
            raise exception using
                errcode = 'BH106',
                message = format('Cannot undo by plan %s: something was written since it was made; look at the new plan, %s', digest, bulkhead.undo_digest(conflicts));
        end if;
        v_relations := array(select u.relation from pg_temp.bulkhead_undo as u where u.state = 'ready' group by u.relation order by bulkhead.qualified(u.relation));
        exit when v_attempt = 2;
        foreach v_relation in array v_relations loop
            execute format('lock table %s in share row exclusive mode', bulkhead.qualified(v_relation));
        end loop;
    end loop;
    select string_agg(x.line, '; ') into v_in_the_way
    from (
        select format('%s row(s) of %s: %s', count(*), u.table_name, min(u.reason)) as line
        from pg_temp.bulkhead_undo as u
        where u.state in ('conflict', 'blocked')
        group by u.table_name
        order by u.table_name
        limit 5
    ) as x;
    if v_in_the_way is not null then
        raise exception using
            errcode = 'BH107',
            message = format('Cannot undo: rows are in the way: %s. Leave them out with conflicts => ''skip''; ''overwrite'' takes later writes back too', v_in_the_way);
    end if;
    v_enable := bulkhead.hold_triggers(v_relations);
    for v_tenant in select u.tenant_id from pg_temp.bulkhead_undo as u where u.state = 'ready' group by 1 order by 1 loop
        perform bulkhead.set_tenant(v_tenant, coalesce(acting, nullif(v_before[2], ''), 'bulkhead undo'), 'undo:' || coalesce(transaction_id::text, digest));
        v_rows := 0;
        tenant_id := v_tenant;
        begin
            perform bulkhead.park_values(v_tenant);
            v_statement := bulkhead.undo_statement(v_tenant);
            for table_name, action, rows in execute v_statement loop
                v_rows := v_rows + rows;
                return next;
            end loop;
        exception
            -- The plan sees plain unique constraints; over an expression, with a condition or by exclusion the index itself says no.
            when unique_violation or exclusion_violation then
                get stacked diagnostics v_in_the_way = constraint_name, v_holder = table_name, v_detail = pg_exception_detail;
                raise exception using
                    errcode = 'BH107',
                    message = format('Cannot undo: %s of %s holds each value once, and another row has one of those to be put back. Change that row, or undo less: name tables, or a shorter time',
                        v_in_the_way, v_holder),
                    detail = v_detail;
        end;
        if v_rows <> (select count(*) from pg_temp.bulkhead_undo as u where u.tenant_id = v_tenant and u.state = 'ready') then
            raise exception using
                errcode = 'BH106',
                message = format('Cannot undo by plan %s: %s rows were put back, which is not what it says', digest, v_rows);
        end if;
        perform bulkhead.log_change('undo', 'bulkhead.audit_events', v_tenant, jsonb_strip_nulls(jsonb_build_object(
            -- Not whose: a name in here would outlive its erasure.
            'transaction_id', transaction_id, 'since', since, 'until', until, 'tables', tables::text[], 'of_one_actor', nullif(actor is not null, false),
            'conflicts', conflicts, 'plan', digest, 'rows', v_rows)));
    end loop;
    -- A table cannot be altered while a check of its rows is pending.
    set constraints all immediate;
    foreach v_statement in array v_enable loop
        execute v_statement;
    end loop;
    perform set_config('bulkhead.tenant', coalesce(v_before[1], ''), true),
        set_config('bulkhead.actor', coalesce(v_before[2], ''), true),
        set_config('bulkhead.request_id', coalesce(v_before[3], ''), true);
end
$$;
comment on function bulkhead.apply_undo(text, bigint, text, timestamptz, timestamptz, regclass[], text, text, text) is 'Does what bulkhead.undo_plan() showed, whole or not at all, as audited writes of the tenant. digest is the plan''s. Example: select * from bulkhead.apply_undo(''0f3c…'', transaction_id => 1055)';
revoke all on function bulkhead.apply_undo(text, bigint, text, timestamptz, timestamptz, regclass[], text, text, text) from public;
