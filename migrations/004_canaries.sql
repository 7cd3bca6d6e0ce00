-- Canaries: checks of the rows themselves, every five minutes on what changed, every night on everything.
-- Public: bulkhead.run_pass (the scheduler's), run_canaries, reap_canaries, add_canary, remove_canary, checks_canaries,
--   offenders, watch_onboarding, unwatch_onboarding; role bulkhead_canary;
--   tables canaries (thresholds), canary_runs, canary_results, onboarding_sources, delete_hours.
-- Never: repairs a row, says pass about something it could not look at, shows a column other than ids.
-- No security definer functions.
-- Errors: BH401 unknown cadence, BH402 a source of onboarding attempts that can't be read,
--   BH403 a table or key that a check needs is gone, BH405 a canary cannot be added or removed.

create table bulkhead.canaries (
    name text primary key check (name ~ '^[a-z][a-z0-9_]*$'),
    title text not null,
    severity text not null check (severity in ('critical', 'warning', 'info')),
    category text not null default 'canaries',
    cadence text not null check (cadence in ('five_minutes', 'nightly')),
    threshold jsonb not null default '{}' check (jsonb_typeof(threshold) = 'object'),
    is_enabled boolean not null default true,
    -- The reaper cancels what runs longer.
    time_limit interval not null default '3 minutes' check (time_limit > interval '0'),
    runbook text not null,
    remediation text not null,
    -- A project's own: each row of it is an offender. See bulkhead.add_canary().
    query text,
    -- Text, not regprocedure: a column of that type makes pg_upgrade, and with it Supabase's upgrade, refuse.
    function text not null
);
comment on table bulkhead.canaries is 'One row a check: its thresholds are here to be changed. The nightly pass runs all of them in full';
comment on column bulkhead.canaries.function is 'Signature of a function (threshold jsonb) returns setof bulkhead.check_result';
alter table bulkhead.canaries enable row level security;
revoke all on bulkhead.canaries from public, anon, authenticated, service_role;

create table bulkhead.canary_runs (
    id bigint generated always as identity primary key,
    canary text not null references bulkhead.canaries (name) on delete cascade,
    cadence text not null,
    is_full boolean not null,
    -- Everything below this transaction was visible: the next pass looks at what is not.
    horizon bigint not null,
    started_at timestamptz not null,
    finished_at timestamptz,
    took interval,
    -- Who runs it, for the reaper: a process id alone may be somebody else's by now.
    pid integer not null default pg_backend_pid(),
    begun_at timestamptz not null default clock_timestamp(),
    cancelled_at timestamptz,
    status text not null default 'running' check (status in ('running', 'pass', 'fail', 'unknown'))
);
comment on table bulkhead.canary_runs is 'One row a check and pass, with what it covered';
create index canary_runs_latest on bulkhead.canary_runs (canary, id desc);
create index canary_runs_running on bulkhead.canary_runs (id) where status = 'running';
alter table bulkhead.canary_runs enable row level security;
revoke all on bulkhead.canary_runs from public, anon, authenticated, service_role;

create table bulkhead.canary_results (
    run_id bigint not null references bulkhead.canary_runs (id) on delete cascade,
    position integer not null,
    result bulkhead.check_result not null,
    primary key (run_id, position)
);
comment on table bulkhead.canary_results is 'What a run found: one pass row, or one row an offender';
alter table bulkhead.canary_results enable row level security;
revoke all on bulkhead.canary_results from public, anon, authenticated, service_role;

create function bulkhead.canary_row(
    canary text,
    subject text,
    status text,
    observed numeric,
    threshold numeric,
    detail text,
    sample_ids text[] default '{}',
    reproduce_sql text default null,
    severity text default null
)
returns bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select bulkhead.check_row(
        c.name, coalesce(canary_row.subject, 'database'), c.title, coalesce(canary_row.severity, c.severity), c.category, canary_row.status,
        canary_row.observed, canary_row.threshold, canary_row.detail, c.remediation,
        coalesce(canary_row.sample_ids, '{}'), canary_row.reproduce_sql)
    from bulkhead.canaries as c
    where c.name = canary_row.canary
$$;
comment on function bulkhead.canary_row is 'A result of a canary, with the title, severity and remediation of its row';
revoke all on function bulkhead.canary_row from public;

-- ---------------------------------------------------------------- rows that point nowhere, or across

-- Keys as they are and keys as they were declared: a dropped foreign key is when orphans begin.
create function bulkhead.foreign_keys_of(relation regclass)
returns table (columns name[], parent regclass, parent_columns name[])
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_lost record;
    v_parts text[];
begin
    return query
        select bulkhead.columns_of(c.conrelid, c.conkey), c.confrelid::regclass, bulkhead.columns_of(c.confrelid, c.confkey)
        from pg_catalog.pg_constraint as c
        where c.conrelid = relation
            and c.contype = 'f'
            and c.conparentid = 0;
    for v_lost in
        select d.value as definition
        from bulkhead.protected_tables as t
        cross join lateral jsonb_each_text(coalesce(t.declared -> 'constraints', '{}')) as d
        where t.relation = foreign_keys_of.relation
            and d.value like 'FOREIGN KEY %'
            and not exists (
                select
                from pg_catalog.pg_constraint as c
                where c.conrelid = foreign_keys_of.relation
                    and c.conname = d.key
                    and c.contype = 'f'
            )
    loop
        v_parts := regexp_match(v_lost.definition, '^FOREIGN KEY \((.+?)\) REFERENCES (.+?)\((.+?)\)');
        columns := array(select (parse_ident(trim(x)))[1] from unnest(string_to_array(v_parts[1], ',')) as x);
        parent := to_regclass(v_parts[2]);
        parent_columns := array(select (parse_ident(trim(x)))[1] from unnest(string_to_array(v_parts[3], ',')) as x);
        if parent is null then
            raise exception using
                errcode = 'BH403',
                message = format('%s, which %s was declared to reference, is gone; put it back or run bulkhead.attest()', v_parts[2], relation);
        end if;
        return next;
    end loop;
end
$$;
comment on function bulkhead.foreign_keys_of(regclass) is 'Foreign keys of a table: those of the catalogs, and declared ones that were dropped';
revoke all on function bulkhead.foreign_keys_of(regclass) from public;

-- The ledger calls a table by the name under which it was protected, also after it was renamed.
create function bulkhead.ledger_name(relation regclass)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select format('%I.%I', t.schema_name, t.table_name)
    from bulkhead.protected_tables as t
    where t.relation = ledger_name.relation
$$;
comment on function bulkhead.ledger_name(regclass) is 'What a protected table is called in bulkhead.audit_events';
revoke all on function bulkhead.ledger_name(regclass) from public;

create function bulkhead.key_text(alias text, columns name[])
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when cardinality(columns) = 1 then format('%s.%I::text', alias, columns[1])
        else 'jsonb_build_array(' || (
            select string_agg(format('%s.%I', alias, c.name), ', ' order by c.position)
            from unnest(columns) with ordinality as c (name, position)
        ) || ')::text'
    end
$$;
comment on function bulkhead.key_text(text, name[]) is 'SQL for a row''s key as the ledger writes it into record_id';
revoke all on function bulkhead.key_text(text, name[]) from public;

-- The other direction: a condition that finds rows by ids of the ledger, in a form that an index can serve.
create function bulkhead.key_filter(relation regclass, columns name[], names name[], key_columns name[], ids jsonb)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        '(%s) in (select %s from jsonb_array_elements_text(%L::jsonb) as e (id))',
        string_agg(format('c.%I', a.attname), ', ' order by u.position),
        string_agg(
            case
                when cardinality(key_columns) = 1 then format('e.id::%s', format_type(a.atttypid, null))
                else format('(e.id::jsonb ->> %s)::%s', array_position(key_columns, u.name) - 1, format_type(a.atttypid, null))
            end,
            ', ' order by u.position
        ),
        ids
    )
    from unnest(columns, names) with ordinality as u (column_name, name, position)
    join pg_catalog.pg_attribute as a on a.attrelid = relation and a.attname = u.column_name
$$;
comment on function bulkhead.key_filter(regclass, name[], name[], name[], jsonb) is 'SQL that limits c to rows whose columns hold the named parts of these ledger ids';
revoke all on function bulkhead.key_filter(regclass, name[], name[], name[], jsonb) from public;

-- Not a cursor on id: that misses rows of transactions that were open when the last pass looked. No upper limit
-- either: a transaction left open elsewhere may delay the horizon, never the detection.
create function bulkhead.changes_since(horizon bigint)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_changes jsonb;
begin
    -- Executed with the value in the text: a generic plan takes a third of the ledger for granted.
    execute format(
        $sql$
        select coalesce(jsonb_object_agg(t.table_name, t.changes), '{}')
        from (
            select
                e.table_name,
                jsonb_build_object(
                    'written', coalesce(jsonb_agg(distinct e.record_id) filter (where e.operation in ('INSERT', 'UPDATE')), '[]'),
                    'deleted', coalesce(jsonb_agg(distinct e.record_id) filter (where e.operation = 'DELETE'), '[]'),
                    'is_truncated', bool_or(e.operation = 'TRUNCATE'),
                    -- Beyond this a sweep of the table is cheaper than looking rows up one by one.
                    'is_too_much', count(*) > 50000
                ) as changes
            from bulkhead.audit_events as e
            where e.xid >= %s
                and e.operation in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')
            group by e.table_name
        ) as t
        $sql$,
        horizon
    )
    into v_changes;
    return v_changes;
end
$$;
comment on function bulkhead.changes_since(bigint) is 'Ids of rows written and deleted since a horizon, by table: what the five-minute pass looks at';
revoke all on function bulkhead.changes_since(bigint) from public;

create function bulkhead.offenders_sql(relation regclass, kind text, changes jsonb default null)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_table bulkhead.protected_tables;
    v_fk record;
    v_child_partial name[];
    v_parent_partial name[];
    v_full text;
    v_partial text;
    v_present text;
    v_rest text;
    v_where text;
    v_reason text;
    v_mine jsonb;
    v_theirs jsonb;
    v_queries text[] := '{}';
    v_filters text[];
    v_filter text;
    v_written text;
    v_column name;
begin
    select t.* into v_table from bulkhead.protected_tables as t where t.relation = offenders_sql.relation;
    if v_table.relation is null then
        raise exception using
            errcode = 'BH403',
            message = format('%s is not protected; run select bulkhead.protect(%L)', relation, relation::text);
    end if;
    v_mine := changes -> bulkhead.ledger_name(relation);
    v_written := case
        when changes is null or (v_mine ->> 'is_too_much')::boolean then 'true'
        when jsonb_array_length(v_mine -> 'written') > 0
            then bulkhead.key_filter(relation, v_table.key_columns, v_table.key_columns, v_table.key_columns, v_mine -> 'written')
    end;

    for v_fk in
        select
            fk.columns,
            fk.parent,
            fk.parent_columns,
            p.tenant_column as parent_tenant,
            p.key_columns as parent_key
        from bulkhead.foreign_keys_of(relation) as fk
        left join bulkhead.protected_tables as p on p.relation = fk.parent
        union
        -- The tenant's own key, whether or not it was ever there.
        select array[v_table.tenant_column], s.tenants_table, array[s.tenant_key], p.tenant_column, p.key_columns
        from bulkhead.settings as s
        left join bulkhead.protected_tables as p on p.relation = s.tenants_table
        where kind = 'misaligned'
            and not v_table.is_tenants_table
    loop
        -- Which row of the parent is meant: by its primary key without the tenant where the foreign key holds that,
        -- else by everything but the tenant. The rest of the foreign key says where that row has to belong.
        select
            array_agg(u.child order by u.position) filter (where u.is_identity),
            array_agg(u.parent order by u.position) filter (where u.is_identity),
            string_agg(format('p.%I = c.%I', u.parent, u.child), ' and '),
            string_agg(format('p.%I = c.%I', u.parent, u.child), ' and ') filter (where u.is_identity),
            string_agg(format('c.%I is not null', u.child), ' and '),
            string_agg(u.child, ', ' order by u.position) filter (where not u.is_identity)
        into v_child_partial, v_parent_partial, v_full, v_partial, v_present, v_rest
        from (
            select
                c.child,
                c.parent,
                c.position,
                case
                    when array_remove(v_fk.parent_key, v_fk.parent_tenant) <@ v_fk.parent_columns
                        and array_remove(v_fk.parent_key, v_fk.parent_tenant) <> '{}'
                        then c.parent = any (array_remove(v_fk.parent_key, v_fk.parent_tenant))
                    else not coalesce(c.child = v_table.tenant_column and c.parent = v_fk.parent_tenant, false)
                end as is_identity
            from unnest(v_fk.columns, v_fk.parent_columns) with ordinality as c (child, parent, position)
        ) as u;

        if v_fk.parent = (select s.tenants_table from bulkhead.settings as s) and v_fk.columns = array[v_table.tenant_column] then
            continue when kind = 'orphan';
            v_reason := format('%s is not in %s', v_table.tenant_column, bulkhead.qualified(v_fk.parent));
            v_where := format('%s and not exists (select from %s as p where %s)', v_present, bulkhead.qualified(v_fk.parent), v_full);
        elsif kind = 'orphan' then
            v_reason := format('%s has no row in %s', array_to_string(coalesce(v_child_partial, v_fk.columns), ', '), bulkhead.qualified(v_fk.parent));
            v_where := format('%s and not exists (select from %s as p where %s)', v_present, bulkhead.qualified(v_fk.parent), v_full)
                || case
                    when v_partial <> v_full then format(' and not exists (select from %s as p where %s)', bulkhead.qualified(v_fk.parent), v_partial)
                    else ''
                end;
        elsif v_fk.parent_tenant is not null and v_partial is not null then
            v_reason := format('%s is a row of %s with another %s', array_to_string(v_child_partial, ', '),
                bulkhead.qualified(v_fk.parent), coalesce(v_rest, v_fk.parent_tenant));
            v_where := format(
                '%1$s and exists (select from %2$s as p where %3$s) and not exists (select from %2$s as p where %4$s and p.%5$I = c.%6$I)',
                v_present, bulkhead.qualified(v_fk.parent), v_partial, v_full, v_fk.parent_tenant, v_table.tenant_column);
        else
            continue;
        end if;

        v_child_partial := coalesce(v_child_partial, v_fk.columns);
        v_parent_partial := coalesce(v_parent_partial, v_fk.parent_columns);
        v_filters := case when v_written is not null then array[v_written] else '{}' end;
        if changes is not null and v_written is distinct from 'true' then
            v_theirs := changes -> bulkhead.ledger_name(v_fk.parent);
            if (v_theirs ->> 'is_truncated')::boolean or (v_theirs ->> 'is_too_much')::boolean
                or jsonb_array_length(v_theirs -> 'deleted') > 0 and not v_parent_partial <@ v_fk.parent_key then
                v_filters := array['true'];
            elsif jsonb_array_length(v_theirs -> 'deleted') > 0 then
                v_filters := v_filters || bulkhead.key_filter(
                    relation, v_child_partial, v_parent_partial, v_fk.parent_key, v_theirs -> 'deleted');
            end if;
        end if;
        foreach v_filter in array v_filters loop
            v_queries := v_queries || format(
                'select %s as id, c.%I::text as tenant_id, %L as reason from %s as c where %s and %s',
                bulkhead.key_text('c', v_table.key_columns), v_table.tenant_column, v_reason,
                bulkhead.qualified(relation), v_filter, v_where);
        end loop;
    end loop;

    if kind = 'orphan' and v_written is not null then
        for v_column in
            select a.attname
            from pg_catalog.pg_attribute as a
            where a.attrelid = relation
                and a.attnum > 0
                and not a.attisdropped
                -- What the catalogs still forbid can't be there and need not be looked for.
                and not a.attnotnull
                and (
                    a.attname = v_table.tenant_column
                    or v_table.declared -> 'required' ? a.attname
                        and exists (select from bulkhead.foreign_keys_of(relation) as fk where a.attname = any (fk.columns))
                )
        loop
            v_queries := v_queries || format(
                'select %s as id, c.%I::text as tenant_id, %L as reason from %s as c where %s and c.%I is null',
                bulkhead.key_text('c', v_table.key_columns), v_table.tenant_column, v_column || ' is null',
                bulkhead.qualified(relation), v_written, v_column);
        end loop;
    end if;
    return array_to_string(v_queries, E'\nunion\n');
end
$$;
comment on function bulkhead.offenders_sql(regclass, text, jsonb) is 'The query behind bulkhead.offenders(); empty when none of the changes concerns the table';
revoke all on function bulkhead.offenders_sql(regclass, text, jsonb) from public;

create function bulkhead.offenders(relation regclass, kind text, changes jsonb default null)
returns table (id text, tenant_id text, reason text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_sql text := bulkhead.offenders_sql(relation, kind, changes);
begin
    if v_sql <> '' then
        return query execute v_sql;
    end if;
end
$$;
comment on function bulkhead.offenders(regclass, text, jsonb) is 'Rows of a protected table that are orphans (kind orphan) or belong to two tenants (kind misaligned). Example: select * from bulkhead.offenders(''public.messages'', ''orphan'')';
revoke all on function bulkhead.offenders(regclass, text, jsonb) from public;

create function bulkhead.tenants_line(tenants text[])
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when cardinality(tenants) > 0 then
            E'\nTenants: ' || array_to_string(tenants[1:5], ', ')
            || case when cardinality(tenants) > 5 then format(' and %s more', cardinality(tenants) - 5) else '' end
        else ''
    end
$$;
comment on function bulkhead.tenants_line(text[]) is 'The last line of a detail: alerts show it as a field of its own';
revoke all on function bulkhead.tenants_line(text[]) from public;

create function bulkhead.find_offenders(canary text, kind text, threshold jsonb)
returns setof bulkhead.check_result
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_relation regclass;
    v_name text;
    v_changes jsonb := case when threshold ? 'changed_since' then bulkhead.changes_since((threshold ->> 'changed_since')::bigint) end;
    v_is_full boolean;
    v_max numeric := coalesce((threshold ->> 'max')::numeric, 0);
    v_count bigint;
    v_ids text[];
    v_tenants text[];
    v_reasons text;
    v_tables bigint := 0;
    v_swept bigint := 0;
    v_clean boolean := true;
    v_left text[] := '{}';
begin
    for v_relation, v_name in
        select t.relation, bulkhead.qualified(t.relation)
        from bulkhead.protected_tables as t
        where t.parent is null
        -- Another order each day: what the time did not reach tonight is not always the same.
        order by md5(t.relation::text || coalesce(left(threshold ->> 'deadline', 10), ''))
    loop
        -- A table that was dropped is the business of abnormal_deletes and of the boundary checks.
        continue when v_name is null;
        v_tables := v_tables + 1;
        if clock_timestamp() > (threshold ->> 'deadline')::timestamptz then
            v_left := v_left || v_name;
            continue;
        end if;
        begin
            -- What was wrong is looked at whole until it is right: its rows need not change for that.
            v_is_full := v_changes is null or threshold -> 'recheck' ? v_name;
            if not v_is_full then
                v_is_full := exists (select from bulkhead.offenders(v_relation, kind, v_changes));
            end if;
            continue when not v_is_full;
            v_swept := v_swept + 1;
            select count(*), (array_agg(o.id order by o.id))[1:5], array_agg(distinct o.tenant_id), string_agg(distinct o.reason, '; ')
            into v_count, v_ids, v_tenants, v_reasons
            from bulkhead.offenders(v_relation, kind) as o;
            continue when v_count <= v_max;
            v_clean := false;
            return next bulkhead.canary_row(
                canary, v_name, 'fail', v_count, v_max,
                format('%s row(s) of %s: %s', v_count, v_name, v_reasons) || bulkhead.tenants_line(array_remove(v_tenants, null)),
                v_ids, format('select * from bulkhead.offenders(%L, %L)', v_name, kind));
        exception when others then
            v_clean := false;
            return next bulkhead.canary_row(
                canary, v_name, 'unknown', null, v_max, format('Cannot look at %s: %s', v_name, sqlerrm), '{}',
                format('select * from bulkhead.offenders(%L, %L)', v_name, kind));
        end;
    end loop;
    if v_left <> '{}' then
        v_clean := false;
        return next bulkhead.canary_row(
            canary, null, 'unknown', cardinality(v_left), 0,
            format('%s of %s table(s) were not reached, the time was spent: %s', cardinality(v_left), v_tables, array_to_string(v_left[1:20], ', ')));
    end if;
    if v_tables = 0 then
        -- Info: unknown, but nobody is woken because a new installation is empty.
        return next bulkhead.canary_row(
            canary, null, 'unknown', null, v_max, 'No table is protected yet: there is nothing to look at', severity => 'info');
    elsif v_clean then
        return next bulkhead.canary_row(
            canary, null, 'pass', 0, v_max,
            case
                when v_changes is null then format('%s table(s) swept in full', v_tables)
                else format('the changes of %s table(s), %s of them swept in full', v_tables, v_swept)
            end);
    end if;
end
$$;
comment on function bulkhead.find_offenders(text, text, jsonb) is 'Body of orphaned_rows and tenant_misalignment: every protected table, or what changed since threshold.changed_since';
revoke all on function bulkhead.find_offenders(text, text, jsonb) from public;

create function bulkhead.canary_orphaned_rows(threshold jsonb)
returns setof bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select * from bulkhead.find_offenders('orphaned_rows', 'orphan', threshold)
$$;
comment on function bulkhead.canary_orphaned_rows(jsonb) is 'Canary: rows whose parent is gone, and nulls in key columns that were declared NOT NULL';
revoke all on function bulkhead.canary_orphaned_rows(jsonb) from public;

create function bulkhead.canary_tenant_misalignment(threshold jsonb)
returns setof bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select * from bulkhead.find_offenders('tenant_misalignment', 'misaligned', threshold)
$$;
comment on function bulkhead.canary_tenant_misalignment(jsonb) is 'Canary: rows whose parent belongs to another tenant, and rows of a tenant that does not exist';
revoke all on function bulkhead.canary_tenant_misalignment(jsonb) from public;

-- ---------------------------------------------------------------- abnormal deletes

create table bulkhead.delete_hours (
    table_name text not null,
    tenant_id text not null,
    hour timestamptz not null,
    deleted bigint not null check (deleted > 0),
    -- Set it on an hour that was an incident, so that later hours are not measured against it.
    is_excluded boolean not null default false,
    primary key (table_name, tenant_id, hour)
);
comment on table bulkhead.delete_hours is 'Deleted rows by table, tenant and hour (UTC), rolled up from the ledger: the memory of abnormal_deletes';
create index delete_hours_hour on bulkhead.delete_hours (hour);
alter table bulkhead.delete_hours enable row level security;
revoke all on bulkhead.delete_hours from public, anon, authenticated, service_role;

create table bulkhead.large_deletes (
    xid bigint not null,
    table_name text not null,
    operation text not null check (operation in ('DELETE', 'TRUNCATE')),
    deleted bigint not null,
    happened_at timestamptz not null,
    primary key (xid, table_name, operation)
);
comment on table bulkhead.large_deletes is 'Single transactions that removed 1,000 rows or more of a table, and every TRUNCATE, rolled up from the ledger';
create index large_deletes_happened_at on bulkhead.large_deletes (happened_at);
alter table bulkhead.large_deletes enable row level security;
revoke all on bulkhead.large_deletes from public, anon, authenticated, service_role;

create table bulkhead.delete_cursor (
    is_singleton boolean primary key default true check (is_singleton),
    horizon bigint not null
);
comment on table bulkhead.delete_cursor is 'Ledger events below this transaction are rolled up, each once';
alter table bulkhead.delete_cursor enable row level security;
revoke all on bulkhead.delete_cursor from public, anon, authenticated, service_role;
insert into bulkhead.delete_cursor (horizon) values (0);

create function bulkhead.deletes_between(lo bigint, hi bigint)
returns table (table_name text, tenant_id text, hour timestamptz, xid bigint, operation text, deleted bigint)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    return query execute format(
        $sql$
        select
            e.table_name, coalesce(e.tenant_id, ''), date_trunc('hour', e.created_at, 'UTC'), e.xid, e.operation,
            count(*)
        from bulkhead.audit_events as e
        where e.xid >= %s
            and e.xid < %s
            and e.operation in ('DELETE', 'TRUNCATE')
        group by 1, 2, 3, 4, 5
        $sql$,
        lo, hi);
end
$$;
comment on function bulkhead.deletes_between(bigint, bigint) is 'Deletes of the ledger in a range of transactions, grouped';
revoke all on function bulkhead.deletes_between(bigint, bigint) from public;

create function bulkhead.roll_up_deletes()
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_lo bigint;
    v_hi bigint := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
begin
    select c.horizon into v_lo from bulkhead.delete_cursor as c for update skip locked;
    if not found then
        -- The nightly pass holds it to its end: everything since the committed horizon is read from the ledger meanwhile.
        return (select c.horizon from bulkhead.delete_cursor as c);
    end if;
    with events as materialized (
        select * from bulkhead.deletes_between(v_lo, v_hi)
    ),
    hours as (
        insert into bulkhead.delete_hours as h (table_name, tenant_id, hour, deleted)
        select e.table_name, e.tenant_id, e.hour, sum(e.deleted)
        from events as e
        group by 1, 2, 3
        having sum(e.deleted) > 0
        on conflict (table_name, tenant_id, hour) do update set deleted = h.deleted + excluded.deleted
    )
    insert into bulkhead.large_deletes (xid, table_name, operation, deleted, happened_at)
    select e.xid, e.table_name, e.operation, sum(e.deleted), min(e.hour)
    from events as e
    group by 1, 2, 3
    having e.operation = 'TRUNCATE' or sum(e.deleted) >= 1000
    on conflict do nothing;
    -- After a restore into another cluster the transaction counter begins anew: the cursor goes back with it.
    update bulkhead.delete_cursor set horizon = v_hi;
    return v_hi;
end
$$;
comment on function bulkhead.roll_up_deletes() is 'Moves the memory of deletes up to the oldest open transaction; returns that horizon';
revoke all on function bulkhead.roll_up_deletes() from public;

-- A row that was put back is no loss: what counts is the last thing that happened to each record.
create function bulkhead.net_deletes(table_name text, since timestamptz, until timestamptz, tenant text default null, xid bigint default null)
returns table (deleted bigint, sample_ids text[], tenants text[], who text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    return query execute format(
        $sql$
        with gone as (
            select d.*
            from (
                select distinct on (e.tenant_id, e.record_id) e.*
                from bulkhead.audit_events as e
                where e.created_at >= %1$L
                    and e.table_name = %3$L
                    and e.operation in ('INSERT', 'DELETE')
                    and (%4$L::text is null or e.tenant_id = %4$L)
                order by e.tenant_id, e.record_id, e.id desc
            ) as d
            where d.operation = 'DELETE'
                and d.created_at < %2$L
                and (%5$L::bigint is null or d.xid = %5$L)
        ),
        transactions as (
            select
                count(*) as deleted,
                format('%%s row(s) by %%s%%s in transaction %%s at %%s UTC', count(*), g.actor_role,
                    coalesce(' for ' || g.actor, ''), g.xid, to_char(min(g.created_at) at time zone 'UTC', 'YYYY-MM-DD HH24:MI')) as who
            from gone as g
            group by g.xid, g.actor, g.actor_role
            order by 1 desc
            limit 3
        )
        select
            (select count(*) from gone),
            (select (array_agg(g.record_id order by g.record_id))[1:5] from gone as g),
            (select array_agg(distinct g.tenant_id) from gone as g),
            (select string_agg(t.who, '; ' order by t.deleted desc) from transactions as t)
        $sql$,
        since, until, table_name, tenant, xid);
end
$$;
comment on function bulkhead.net_deletes(text, timestamptz, timestamptz, text, bigint) is 'Rows deleted in a window and not put back since, with the actors and transactions behind most of them';
revoke all on function bulkhead.net_deletes(text, timestamptz, timestamptz, text, bigint) from public;

-- Anscombe makes a count's spread independent of its size; median and MAD keep one bad night out of the baseline;
-- the hour of the day makes a nightly job normal at night only, an hour to either side is for a job that is never quite
-- on time. Cheapest first: most hours are explained by the same weekday.
create function bulkhead.delete_limit(
    table_name text,
    tenant text,
    hour timestamptz,
    deleted bigint,
    known_since timestamptz,
    score numeric default 6,
    out allowed numeric,
    out usual numeric
)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_known_days integer := least(28, floor(extract(epoch from hour - known_since) / 86400));
    v_precedent bigint;
begin
    -- The second largest week, once three are known: a single bad hour does not make the next one usual.
    select greatest(19, 1.5 * coalesce((array_agg(w.deleted order by w.deleted desc))[case when v_known_days < 21 then 1 else 2 end], 0) + 10)
    into allowed
    from (
        select max(h.deleted) as deleted
        from generate_series(1, 4) as w (week)
        cross join generate_series(-1, 1) as o (hours)
        join bulkhead.delete_hours as h
            on h.table_name = delete_limit.table_name
            and h.tenant_id = delete_limit.tenant
            and h.hour = delete_limit.hour - w.week * interval '7 days' + o.hours * interval '1 hour'
        where not h.is_excluded
        group by w.week
    ) as w;
    if deleted <= allowed then
        return;
    end if;

    with days as (
        select
            max(coalesce(h.deleted, 0)) filter (where o.hours = 0) as exact,
            max(coalesce(h.deleted, 0)) as near
        from generate_series(1, 14) as d (day)
        cross join generate_series(-1, 1) as o (hours)
        left join bulkhead.delete_hours as h
            on h.table_name = delete_limit.table_name
            and h.tenant_id = delete_limit.tenant
            and h.hour = delete_limit.hour - d.day * interval '1 day' + o.hours * interval '1 hour'
        where delete_limit.hour - d.day * interval '1 day' + o.hours * interval '1 hour' >= known_since
            and h.is_excluded is not true
        group by d.day
    ),
    counts as (
        select 'exact' as kind, 2 * sqrt(d.exact + 0.375) as x, d.exact as n from days as d where d.exact is not null
        union all
        select 'near', 2 * sqrt(d.near + 0.375), d.near from days as d
    ),
    medians as (
        select c.kind, percentile_cont(0.5) within group (order by c.x) as x, percentile_cont(0.5) within group (order by c.n) as n
        from counts as c
        group by c.kind
    ),
    spreads as (
        select m.kind, m.n, m.x + score * greatest(1, 1.4826 * percentile_cont(0.5) within group (order by abs(c.x - m.x))) as reach
        from counts as c
        join medians as m using (kind)
        group by m.kind, m.n, m.x
    )
    select greatest(allowed, max((s.reach / 2) ^ 2 - 0.375), max(1.5 * s.n)), max(s.n) filter (where s.kind = 'exact')
    into allowed, usual
    from spreads as s;
    if deleted <= allowed then
        return;
    end if;

    -- What a tenant does without a timetable more often than twice a week is no surprise, nor a few rows once a week.
    with hours as materialized (
        select h.hour, h.deleted, extract(epoch from h.hour)::bigint / 3600 as n
        from bulkhead.delete_hours as h
        where h.table_name = delete_limit.table_name
            and h.tenant_id = delete_limit.tenant
            and h.hour >= delete_limit.hour - interval '28 days'
            and h.hour < delete_limit.hour
            and not h.is_excluded
    ),
    precedents as (
        select (l.n / 24) as day, max(l.deleted) as deleted
        from hours as l
        cross join lateral (
            select
                count(distinct (o.n - l.n + 12 + 672) / 24) as days,
                count(distinct (o.n - l.n + 84 + 672) / 168) filter (where (o.n - l.n + 1 + 672) % 168 <= 2) as weeks
            from hours as o
            where 2 * o.deleted >= l.deleted
                and abs(o.n - l.n) > 12
                and (o.n - l.n + 1 + 672) % 24 <= 2
        ) as same_time
        where 2 * l.deleted >= delete_limit.deleted
            -- What half of the days or weeks have at that time is a job's, and says nothing about another time.
            and 2 * same_time.days < v_known_days - 1
            and (same_time.weeks = 0 or 2 * same_time.weeks < v_known_days / 7 - 1)
        group by l.n / 24
    )
    select 2 * p.deleted into v_precedent
    from precedents as p
    order by p.deleted desc
    offset case when delete_limit.deleted < 50 then 3 else 8 end
    limit 1;
    allowed := greatest(allowed, v_precedent);
end
$$;
comment on function bulkhead.delete_limit(text, text, timestamptz, bigint, timestamptz, numeric) is 'How many rows of a tenant that hour may lose before it is abnormal, by the same hour of 14 days, the same weekday of four weeks, and what the tenant does every few days; usual is its median';
revoke all on function bulkhead.delete_limit(text, text, timestamptz, bigint, timestamptz, numeric) from public;

-- The second largest: one bad day, which somebody will have asked about, does not make the next one usual. Two hours
-- wider than the window, since a job that is a few minutes late falls into it twice.
create function bulkhead.usual_deletes(table_name text, tenant text, since timestamptz, until timestamptz)
returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select coalesce(
        (
            select sum(h.deleted)::bigint
            from generate_series(1, 28) as d (day)
            join bulkhead.delete_hours as h
                on h.table_name = usual_deletes.table_name
                and h.tenant_id = usual_deletes.tenant
                and h.hour > usual_deletes.since - d.day * interval '1 day' - interval '2 hours'
                and h.hour < usual_deletes.until - d.day * interval '1 day' + interval '1 hour'
            where not h.is_excluded
            group by d.day
            order by 1 desc
            offset 1
            limit 1
        ),
        0
    )
$$;
comment on function bulkhead.usual_deletes(text, text, timestamptz, timestamptz) is 'What a tenant lost in the same window on the second worst day of the last 28: a clean-up that runs every night or week is no news';
revoke all on function bulkhead.usual_deletes(text, text, timestamptz, timestamptz) from public;

create function bulkhead.canary_abnormal_deletes(threshold jsonb)
returns setof bulkhead.check_result
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_at timestamptz := coalesce((threshold ->> 'at')::timestamptz, now());
    v_since timestamptz := v_at - coalesce((threshold ->> 'window')::interval, interval '24 hours');
    v_min_rows bigint := coalesce((threshold ->> 'min_rows')::bigint, 50);
    v_warning numeric := coalesce((threshold ->> 'warning_share')::numeric, 0.10);
    v_critical numeric := coalesce((threshold ->> 'critical_share')::numeric, 0.30);
    v_transaction bigint := coalesce((threshold ->> 'transaction_rows')::bigint, 10000);
    v_learning interval := coalesce((threshold ->> 'learning')::interval, interval '7 days');
    v_min_score numeric := coalesce((threshold ->> 'score')::numeric, 6);
    v_horizon bigint := bulkhead.roll_up_deletes();
    v_group record;
    v_hour timestamptz;
    v_table bulkhead.protected_tables;
    v_net record;
    v_hour_net record;
    v_hour_limit record;
    v_remaining bigint;
    v_share numeric;
    v_limit numeric;
    v_severity text;
    v_reasons text[];
    v_learning_tables bigint;
    v_tables bigint;
    v_clean boolean := true;
begin
    select count(*), count(*) filter (where t.protected_at > v_at - v_learning)
    into v_tables, v_learning_tables
    from bulkhead.protected_tables as t
    where t.parent is null;
    if v_tables = 0 then
        return next bulkhead.canary_row(
            'abnormal_deletes', null, 'unknown', null, null, 'No table is protected yet: there is nothing to look at', severity => 'info');
        return;
    end if;

    for v_group in
        with recent as (
            select h.table_name, h.tenant_id, h.hour, h.deleted, h.is_excluded
            from bulkhead.delete_hours as h
            where h.hour > v_since - interval '1 hour'
            union all
            -- Transactions above the horizon: one left open elsewhere must not hide a delete.
            select d.table_name, d.tenant_id, d.hour, d.deleted, false
            from bulkhead.deletes_between(v_horizon, 9223372036854775807) as d
            where d.hour > v_since - interval '1 hour'
        ),
        hourly as (
            select
                r.table_name,
                r.tenant_id,
                r.hour,
                sum(r.deleted) as deleted,
                bool_or(r.is_excluded) as is_excluded
            from recent as r
            group by r.table_name, r.tenant_id, r.hour
        )
        select
            r.table_name,
            r.tenant_id,
            sum(r.deleted)::bigint as deleted,
            -- An hour that is not over yet can't be compared with whole ones.
            array_agg(r.hour order by r.deleted desc, r.hour) filter (
                where r.deleted >= 20
                    and r.hour >= v_since
                    and r.hour + interval '1 hour' <= v_at
                    and not r.is_excluded
            ) as hours,
            array_agg(r.deleted::bigint order by r.deleted desc, r.hour) filter (
                where r.deleted >= 20
                    and r.hour >= v_since
                    and r.hour + interval '1 hour' <= v_at
                    and not r.is_excluded
            ) as counts
        from hourly as r
        group by r.table_name, r.tenant_id
        -- A closed hour of 20 is the least that the learned rule looks at.
        having sum(r.deleted) >= least(v_min_rows, 20)
        order by r.table_name, r.tenant_id
    loop
        select t.* into v_table
        from bulkhead.protected_tables as t
        where t.parent is null
            and bulkhead.ledger_name(t.relation) = v_group.table_name;
        continue when not found or bulkhead.qualified(v_table.relation) is null;
        begin
            v_reasons := '{}';
            v_severity := 'warning';
            v_limit := v_min_rows;
            if v_group.deleted >= v_min_rows then
                -- Counted only as far as it can matter: a tenant of millions is not read for fifty rows. Nor is the
                -- ledger, before the deletes are too many even if none of the rows was put back.
                execute format(
                    'select count(*) from (select from %s as c where c.%I = %L::%s limit %s) as t',
                    bulkhead.qualified(v_table.relation), v_table.tenant_column, nullif(v_group.tenant_id, ''), v_table.tenant_type,
                    ceil(v_group.deleted / v_warning) + 1)
                into v_remaining;
                if v_group.deleted >= v_warning * (v_remaining + v_group.deleted)
                    and v_group.deleted > 1.5 * bulkhead.usual_deletes(v_group.table_name, v_group.tenant_id, v_since, v_at) then
                    select n.* into v_net from bulkhead.net_deletes(v_group.table_name, v_since, 'infinity', v_group.tenant_id) as n;
                    v_share := v_net.deleted / greatest(1, v_remaining + v_net.deleted)::numeric;
                    if v_net.deleted >= v_min_rows and v_share >= v_warning then
                        v_limit := greatest(v_min_rows, ceil(v_warning * (v_remaining + v_net.deleted)));
                        v_reasons := v_reasons || format('%s %% of its rows', round(100 * v_share));
                        v_severity := case when v_share >= v_critical then 'critical' else v_severity end;
                    end if;
                end if;
            end if;

            if v_table.protected_at <= v_at - v_learning then
                for i in 1 .. coalesce(cardinality(v_group.hours), 0) loop
                    v_hour := v_group.hours[i];
                    select l.allowed, l.usual into v_hour_limit
                    from bulkhead.delete_limit(v_group.table_name, v_group.tenant_id, v_hour, v_group.counts[i], v_table.protected_at, v_min_score) as l;
                    continue when v_group.counts[i] <= v_hour_limit.allowed;
                    select n.* into v_hour_net
                    from bulkhead.net_deletes(v_group.table_name, v_hour, v_hour + interval '1 hour', v_group.tenant_id) as n;
                    if v_hour_net.deleted > v_hour_limit.allowed then
                        v_limit := ceil(v_hour_limit.allowed);
                        v_net := case when v_reasons = '{}' then v_hour_net else v_net end;
                        v_reasons := v_reasons || format('%s in the hour of %s UTC, usually %s', v_hour_net.deleted,
                            to_char(v_hour at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), v_hour_limit.usual);
                        exit;
                    end if;
                end loop;
            end if;

            continue when v_reasons = '{}';
            v_clean := false;
            return next bulkhead.canary_row(
                'abnormal_deletes', v_group.table_name || ', tenant ' || v_group.tenant_id, 'fail', v_net.deleted, v_limit,
                format('%s row(s) of %s deleted and not put back: %s. %s', v_net.deleted, v_group.table_name,
                    array_to_string(v_reasons, '; '), v_net.who) || bulkhead.tenants_line(array[v_group.tenant_id]),
                v_net.sample_ids,
                format('select * from bulkhead.net_deletes(%L, now() - interval %L, ''infinity'', %L)', v_group.table_name,
                    coalesce(threshold ->> 'window', '24 hours'), v_group.tenant_id),
                v_severity);
        exception when others then
            v_clean := false;
            return next bulkhead.canary_row(
                'abnormal_deletes', v_group.table_name || ', tenant ' || v_group.tenant_id, 'unknown', null, null,
                format('Cannot look at %s: %s', v_group.table_name, sqlerrm));
        end;
    end loop;

    for v_group in
        select l.xid, l.table_name, l.operation, l.deleted, l.happened_at
        from bulkhead.large_deletes as l
        where l.happened_at > v_since - interval '1 hour'
            and (l.operation = 'TRUNCATE' or l.deleted >= v_transaction)
        union
        select d.xid, d.table_name, d.operation, sum(d.deleted)::bigint, min(d.hour)
        from bulkhead.deletes_between(v_horizon, 9223372036854775807) as d
        where d.hour > v_since - interval '1 hour'
        group by d.xid, d.table_name, d.operation
        having d.operation = 'TRUNCATE' or sum(d.deleted) >= v_transaction
        order by 2, 1
    loop
        if v_group.operation = 'DELETE' then
            -- As large, at the same time of day, on two days before: a job.
            continue when 2 <= (
                select count(distinct date_trunc('day', l.happened_at, 'UTC'))
                from bulkhead.large_deletes as l
                where l.table_name = v_group.table_name
                    and l.operation = 'DELETE'
                    and 1.5 * l.deleted >= v_group.deleted
                    and l.happened_at < v_since - interval '1 hour'
                    and l.happened_at > v_since - interval '28 days'
                    and (extract(epoch from l.happened_at - v_group.happened_at)::bigint / 3600 + 1 + 720) % 24 <= 2
            );
            select n.* into v_net from bulkhead.net_deletes(v_group.table_name, v_since, 'infinity', null, v_group.xid) as n;
            continue when v_net.deleted < v_transaction;
        else
            select
                v_group.deleted as deleted,
                '{}'::text[] as sample_ids,
                array_agg(distinct e.tenant_id) as tenants,
                format('by %s%s in transaction %s at %s UTC', min(e.actor_role), coalesce(' for ' || min(e.actor), ''), v_group.xid,
                    to_char(min(e.created_at) at time zone 'UTC', 'YYYY-MM-DD HH24:MI')) as who
            into v_net
            from bulkhead.audit_events as e
            where e.xid = v_group.xid
                and e.table_name = v_group.table_name
                and e.operation = 'TRUNCATE'
                and e.created_at >= v_since;
            continue when v_net.tenants is null;
        end if;
        v_clean := false;
        return next bulkhead.canary_row(
            'abnormal_deletes', format('%s, transaction %s', v_group.table_name, v_group.xid), 'fail', v_net.deleted,
            case v_group.operation when 'TRUNCATE' then 0 else v_transaction end,
            format('%s row(s) of %s %s: %s', v_net.deleted, v_group.table_name,
                case v_group.operation when 'TRUNCATE' then 'truncated' else 'deleted by one transaction and not put back' end,
                v_net.who) || bulkhead.tenants_line(v_net.tenants),
            v_net.sample_ids,
            format('select * from bulkhead.audit_events where xid = %s and table_name = %L limit 100', v_group.xid, v_group.table_name),
            case v_group.operation when 'TRUNCATE' then 'critical' else 'warning' end);
    end loop;

    for v_group in
        select t.schema_name || '.' || t.table_name as name
        from bulkhead.protected_tables as t
        where bulkhead.qualified(t.relation) is null
    loop
        v_clean := false;
        return next bulkhead.canary_row(
            'abnormal_deletes', v_group.name, 'fail', null, null,
            format('The protected table %s was dropped', v_group.name), '{}',
            'select * from bulkhead.protected_tables where bulkhead.qualified(relation) is null', 'critical');
    end loop;

    if v_clean then
        return next bulkhead.canary_row(
            'abnormal_deletes', null, 'pass', 0, null,
            case
                when v_learning_tables > 0 then
                    format('learning: %s of %s table(s) have less than %s of history, only the static rules hold for them', v_learning_tables, v_tables, v_learning)
                else format('static and learned rules over %s table(s)', v_tables)
            end);
    end if;
end
$$;
comment on function bulkhead.canary_abnormal_deletes(jsonb) is 'Canary: too many rows of a tenant deleted and not put back, one very large transaction, any TRUNCATE, a protected table dropped';
revoke all on function bulkhead.canary_abnormal_deletes(jsonb) from public;

-- ---------------------------------------------------------------- failed onboarding

create table bulkhead.onboarding_sources (
    relation regclass primary key,
    schema_name name not null,
    table_name name not null,
    time_column name not null,
    tenant_column name,
    succeeded text not null
);
comment on table bulkhead.onboarding_sources is 'Where onboarding attempts are recorded; set by bulkhead.watch_onboarding()';
comment on column bulkhead.onboarding_sources.succeeded is 'SQL predicate over a row; null means not finished yet';
alter table bulkhead.onboarding_sources enable row level security;
revoke all on bulkhead.onboarding_sources from public, anon, authenticated, service_role;

create function bulkhead.onboarding_attempts(source bulkhead.onboarding_sources, since timestamptz)
returns table (tenant_id text, attempts bigint, failed bigint, streak bigint, sample_ids text[])
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    if bulkhead.qualified(source.relation) is null then
        raise exception using
            errcode = 'BH403',
            message = format('the table %I.%I is gone; run bulkhead.watch_onboarding() for the new one', source.schema_name, source.table_name);
    end if;
    return query execute format(
        $sql$
        with attempts as (
            select t.%1$I as at, (%2$s) as succeeded, %3$s as tenant_id, %4$s as id
            from %5$s as t
            where t.%1$I > %6$L
        ),
        scoped as (
            -- Once for everybody (null) and once for each tenant.
            select null::text as scope, a.* from attempts as a where a.succeeded is not null
            union all
            select a.tenant_id, a.* from attempts as a where a.succeeded is not null and a.tenant_id is not null
        ),
        dated as (
            select s.*, max(s.at) filter (where s.succeeded) over (partition by s.scope) as last_success
            from scoped as s
        )
        select
            d.scope,
            count(*),
            count(*) filter (where not d.succeeded),
            count(*) filter (where not d.succeeded and (d.last_success is null or d.at > d.last_success)),
            (array_agg(d.id order by d.at desc) filter (where not d.succeeded))[1:5]
        from dated as d
        group by d.scope
        $sql$,
        source.time_column,
        source.succeeded,
        case when source.tenant_column is null then 'null::text' else format('t.%I::text', source.tenant_column) end,
        case when bulkhead.key_of(source.relation) is null then 'null::text' else bulkhead.key_text('t', bulkhead.key_of(source.relation)) end,
        bulkhead.qualified(source.relation),
        since);
end
$$;
comment on function bulkhead.onboarding_attempts(bulkhead.onboarding_sources, timestamptz) is 'Attempts, failures and the present streak of failures, overall (tenant null) and by tenant';
revoke all on function bulkhead.onboarding_attempts(bulkhead.onboarding_sources, timestamptz) from public;

create function bulkhead.watch_onboarding(
    relation regclass,
    succeeded text,
    time_column name default 'attempted_at',
    tenant_column name default null
)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_source bulkhead.onboarding_sources;
begin
    insert into bulkhead.onboarding_sources as s (relation, schema_name, table_name, time_column, tenant_column, succeeded)
    select c.oid, n.nspname, c.relname, time_column, tenant_column, succeeded
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where c.oid = watch_onboarding.relation
    on conflict on constraint onboarding_sources_pkey do update set
        time_column = excluded.time_column,
        tenant_column = excluded.tenant_column,
        succeeded = excluded.succeeded
    returning s.* into v_source;
    -- A mistake must show now, not as an unknown at night.
    perform bulkhead.onboarding_attempts(v_source, 'infinity');
exception
    when undefined_column or syntax_error or datatype_mismatch or undefined_function then
        raise exception using
            errcode = 'BH402',
            message = format('%s cannot be watched: %s; name its columns and a predicate such as watch_onboarding(''public.attempts'', ''succeeded'', ''attempted_at'', ''tenant_id'')',
                relation, sqlerrm);
end
$$;
comment on function bulkhead.watch_onboarding(regclass, text, name, name) is 'Names a table of onboarding attempts for the canary failed_onboarding. Example: select bulkhead.watch_onboarding(''public.onboarding_attempts'', ''succeeded'', ''attempted_at'', ''tenant_id'')';
revoke all on function bulkhead.watch_onboarding(regclass, text, name, name) from public;

create function bulkhead.unwatch_onboarding(relation regclass)
returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    delete from bulkhead.onboarding_sources as s where s.relation = unwatch_onboarding.relation
$$;
comment on function bulkhead.unwatch_onboarding(regclass) is 'Takes a source of onboarding attempts off again';
revoke all on function bulkhead.unwatch_onboarding(regclass) from public;

create function bulkhead.canary_failed_onboarding(threshold jsonb)
returns setof bulkhead.check_result
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_at timestamptz := coalesce((threshold ->> 'at')::timestamptz, now());
    v_window interval := coalesce((threshold ->> 'window')::interval, interval '24 hours');
    v_rate numeric := coalesce((threshold ->> 'rate')::numeric, 0.5);
    v_min_attempts bigint := coalesce((threshold ->> 'min_attempts')::bigint, 5);
    v_source bulkhead.onboarding_sources;
    v_scope record;
    v_streak bigint;
    v_name text;
    v_clean boolean := true;
    v_any boolean := false;
begin
    for v_source in select * from bulkhead.onboarding_sources order by schema_name, table_name loop
        v_any := true;
        v_name := format('%I.%I', v_source.schema_name, v_source.table_name);
        begin
            for v_scope in
                select a.*
                from bulkhead.onboarding_attempts(v_source, v_at - v_window) as a
                order by a.tenant_id nulls first
            loop
                -- Three in a row of one customer are trouble; of everybody together they are chance.
                v_streak := case
                    when v_scope.tenant_id is null then coalesce((threshold ->> 'overall_streak')::bigint, 5)
                    else coalesce((threshold ->> 'streak')::bigint, 3)
                end;
                continue when not (
                    v_scope.streak >= v_streak
                    or v_scope.attempts >= v_min_attempts and v_scope.failed >= v_rate * v_scope.attempts
                );
                v_clean := false;
                return next bulkhead.canary_row(
                    'failed_onboarding',
                    v_name || coalesce(', tenant ' || v_scope.tenant_id, ''),
                    'fail',
                    v_scope.failed,
                    case when v_scope.streak >= v_streak then v_streak else ceil(v_rate * v_scope.attempts) end,
                    format('%s of %s onboarding attempt(s) failed since %s UTC, the last %s in a row', v_scope.failed, v_scope.attempts,
                        to_char((v_at - v_window) at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), v_scope.streak)
                        || bulkhead.tenants_line(array_remove(array[v_scope.tenant_id], null)),
                    v_scope.sample_ids,
                    format('select * from %s as t where t.%I > now() - interval %L and not (%s) order by t.%I desc',
                        v_name, v_source.time_column, v_window, v_source.succeeded, v_source.time_column));
            end loop;
        exception when others then
            v_clean := false;
            return next bulkhead.canary_row(
                'failed_onboarding', v_name, 'unknown', null, null, format('Cannot look at %s: %s', v_name, sqlerrm), '{}',
                'select * from bulkhead.onboarding_sources');
        end;
    end loop;
    -- Nobody asked for it: no row. What can't be looked at is unknown, what was never named is neither.
    if v_any and v_clean then
        return next bulkhead.canary_row('failed_onboarding', null, 'pass', 0, null, 'Onboarding attempts succeed');
    end if;
end
$$;
comment on function bulkhead.canary_failed_onboarding(jsonb) is 'Canary: onboarding attempts that fail, by rate and by streak, overall and for one tenant';
revoke all on function bulkhead.canary_failed_onboarding(jsonb) from public;

-- ---------------------------------------------------------------- failed jobs

create function bulkhead.canary_failed_cron_jobs(threshold jsonb)
returns setof bulkhead.check_result
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_job record;
    v_clean boolean := true;
begin
    if to_regclass('cron.job_run_details') is null then
        return next bulkhead.canary_row(
            'failed_cron_jobs', null, 'unknown', null, null, 'pg_cron is not installed in this database', '{}',
            'select to_regclass(''cron.job_run_details'')');
        return;
    end if;
    for v_job in
        execute
            $sql$
            select
                coalesce(j.jobname, j.command) as name,
                j.jobid,
                r.return_message,
                r.start_time,
                r.failures
            from cron.job as j
            cross join lateral (
                select
                    (array_agg(d.status order by d.runid desc))[1] as last_status,
                    (array_agg(d.return_message order by d.runid desc))[1] as return_message,
                    (array_agg(d.start_time order by d.runid desc))[1] as start_time,
                    count(*) filter (where d.status = 'failed') as failures
                from cron.job_run_details as d
                where d.jobid = j.jobid
                    and d.status in ('succeeded', 'failed')
                    and d.start_time > now() - interval '2 days'
            ) as r
            where j.active
                and j.database = current_database()
                and r.last_status = 'failed'
            order by j.jobid
            $sql$
    loop
        v_clean := false;
        return next bulkhead.canary_row(
            'failed_cron_jobs', v_job.name, 'fail', v_job.failures, 0,
            format('The last run of %s (%s UTC) failed: %s', v_job.name,
                to_char(v_job.start_time at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), left(v_job.return_message, 300)),
            array[v_job.jobid::text],
            format('select * from cron.job_run_details where jobid = %s order by runid desc limit 20', v_job.jobid),
            case when v_job.name like 'bulkhead:%' then 'critical' else 'warning' end);
    end loop;
    if v_clean then
        return next bulkhead.canary_row('failed_cron_jobs', null, 'pass', 0, 0, 'The last run of every active job succeeded');
    end if;
end
$$;
comment on function bulkhead.canary_failed_cron_jobs(jsonb) is 'Canary: active jobs of pg_cron in this database whose last finished run failed';
revoke all on function bulkhead.canary_failed_cron_jobs(jsonb) from public;

-- ---------------------------------------------------------------- rows that the ledger does not know

create table bulkhead.ledger_counts (
    table_name text not null,
    tenant_id text not null,
    net bigint not null,
    primary key (table_name, tenant_id)
);
comment on table bulkhead.ledger_counts is 'Rows that a table should have by its events (inserts and baseline less deletes), below the horizon of ledger_cursor: no pass counts an event twice';
alter table bulkhead.ledger_counts enable row level security;
revoke all on bulkhead.ledger_counts from public, anon, authenticated, service_role;

create table bulkhead.ledger_cursor (
    is_singleton boolean primary key default true check (is_singleton),
    horizon bigint not null default 0,
    era text
);
comment on table bulkhead.ledger_cursor is 'Events below this transaction of this era are in ledger_counts';
alter table bulkhead.ledger_cursor enable row level security;
revoke all on bulkhead.ledger_cursor from public, anon, authenticated, service_role;
insert into bulkhead.ledger_cursor default values;

create table bulkhead.ledger_gaps (
    table_name text not null,
    tenant_id text not null,
    gap bigint not null,
    primary key (table_name, tenant_id)
);
comment on table bulkhead.ledger_gaps is 'Rows more (or less) in a table than its events tell, accepted when it was first counted or by accept_gap(). The tenant '''' says that a table was counted';
alter table bulkhead.ledger_gaps enable row level security;
revoke all on bulkhead.ledger_gaps from public, anon, authenticated, service_role;

create function bulkhead.ledger_balance(relation regclass)
returns table (tenant_id text, rows_in_table bigint, rows_in_ledger bigint, accepted bigint)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_column name := (select t.tenant_column from bulkhead.protected_tables as t where t.relation = ledger_balance.relation);
begin
    if v_column is null then
        raise exception using
            errcode = 'BH403',
            message = format('%s has no balance: it is not protected; run select bulkhead.protect(%L)', relation, relation::text);
    end if;
    -- One statement, one snapshot: what is written meanwhile is in both counts or in neither.
    return query execute format(
        $sql$
        with counted as (
            select t.%1$I::text as tenant, count(*) as n from %2$s as t group by 1
        ),
        known as (
            select k.tenant, sum(k.n)::bigint as n
            from (
                select c.tenant_id as tenant, c.net as n from bulkhead.ledger_counts as c where c.table_name = %3$L
                union all
                select coalesce(e.tenant_id, ''), case when e.operation in ('INSERT', 'BASELINE') then 1 else -1 end
                from bulkhead.audit_events as e
                where e.xid >= %4$s
                    and e.table_name = %3$L
                    and e.operation in ('INSERT', 'BASELINE', 'DELETE', 'TRUNCATE')
            ) as k
            group by k.tenant
        )
        select tenant, coalesce(c.n, 0), coalesce(k.n, 0), coalesce(g.gap, 0)
        from counted as c
        full join known as k using (tenant)
        left join bulkhead.ledger_gaps as g on g.table_name = %3$L and g.tenant_id = tenant
        $sql$,
        v_column, bulkhead.qualified(relation), bulkhead.ledger_name(relation), (select c.horizon from bulkhead.ledger_cursor as c));
end
$$;
comment on function bulkhead.ledger_balance(regclass) is 'Rows of a protected table by tenant, beside what its events say there should be';
revoke all on function bulkhead.ledger_balance(regclass) from public;

create function bulkhead.accept_gap(relation regclass, reason text)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_name text := bulkhead.ledger_name(relation);
    v_gaps jsonb;
begin
    if length(trim(coalesce(reason, ''))) < 10 then
        raise exception using
            errcode = 'BH002',
            message = 'accepting a gap needs a reason of at least ten characters: somebody will read it in an audit';
    end if;
    perform from bulkhead.ledger_cursor for update;
    select coalesce(jsonb_object_agg(b.tenant_id, b.rows_in_table - b.rows_in_ledger), '{}') into v_gaps
    from bulkhead.ledger_balance(relation) as b
    where b.rows_in_table <> b.rows_in_ledger;
    delete from bulkhead.ledger_gaps as g where g.table_name = v_name;
    insert into bulkhead.ledger_gaps (table_name, tenant_id, gap)
    select v_name, g.key, g.value::bigint from jsonb_each_text(v_gaps) as g
    union all
    select v_name, '', 0 where not v_gaps ? '';
    perform bulkhead.log_change('accept_gap', v_name, null, jsonb_build_object('reason', reason, 'gaps', v_gaps));
    return (select count(*) from jsonb_object_keys(v_gaps));
end
$$;
comment on function bulkhead.accept_gap(regclass, text) is 'Says why a table has rows that its events do not tell of, or lacks some; the check compares with that from now on. Returns how many tenants it concerns';
revoke all on function bulkhead.accept_gap(regclass, text) from public;

create function bulkhead.settle_gaps(relation regclass)
returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    delete from bulkhead.ledger_gaps as g where g.table_name = bulkhead.ledger_name(relation);
    -- What is left to accept: deletes of rows that were older than the trail and are in no baseline.
    insert into bulkhead.ledger_gaps (table_name, tenant_id, gap)
    select bulkhead.ledger_name(relation), d.tenant, sum(d.n)
    from (
        select coalesce(e.tenant_id, '') as tenant, sum(case when e.operation in ('INSERT', 'BASELINE') then -1 else 1 end) as n
        from bulkhead.audit_events as e
        where e.table_name = bulkhead.ledger_name(relation)
            and e.operation in ('INSERT', 'BASELINE', 'DELETE', 'TRUNCATE')
        group by e.tenant_id, e.record_id
        having sum(case when e.operation in ('INSERT', 'BASELINE') then -1 else 1 end) > 0
        union all
        select '', 0
    ) as d
    group by d.tenant
$$;
comment on function bulkhead.settle_gaps(regclass) is 'After a whole baseline: nothing is taken on trust any more, and accept_gap() has to be asked again';
revoke all on function bulkhead.settle_gaps(regclass) from public;

create function bulkhead.roll_up_counts()
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_era text := (select to_jsonb(e)::text from bulkhead.audit_eras as e order by e.era desc limit 1);
    v_cursor bulkhead.ledger_cursor := (select c from bulkhead.ledger_cursor as c);
    v_horizon bigint := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
begin
    -- Another cluster counts its transactions anew: so does this.
    if v_cursor.era is distinct from v_era then
        delete from bulkhead.ledger_counts;
        v_cursor.horizon := 0;
    end if;
    execute format(
        $sql$
        insert into bulkhead.ledger_counts as c (table_name, tenant_id, net)
        select e.table_name, coalesce(e.tenant_id, ''), sum(case when e.operation in ('INSERT', 'BASELINE') then 1 else -1 end)
        from bulkhead.audit_events as e
        where e.xid >= %s
            and e.xid < %s
            and e.operation in ('INSERT', 'BASELINE', 'DELETE', 'TRUNCATE')
        group by 1, 2
        on conflict (table_name, tenant_id) do update set net = c.net + excluded.net
        $sql$,
        v_cursor.horizon, v_horizon);
    update bulkhead.ledger_cursor set horizon = v_horizon, era = v_era;
end
$$;
comment on function bulkhead.roll_up_counts() is 'Adds the events up to the oldest open transaction to ledger_counts, each once';
revoke all on function bulkhead.roll_up_counts() from public;

create function bulkhead.canary_audit_completeness(threshold jsonb)
returns setof bulkhead.check_result
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_table record;
    v_found record;
    v_is_clean boolean := true;
begin
    perform from bulkhead.ledger_cursor for update skip locked;
    if not found then
        -- The nightly pass holds it and will say more.
        return query
        select (r.result).*
        from bulkhead.canary_results as r
        where r.run_id = (
            select max(c.id) from bulkhead.canary_runs as c where c.canary = 'audit_completeness' and c.status <> 'running'
        );
        return;
    end if;
    perform bulkhead.roll_up_counts();
    for v_table in
        select t.relation, bulkhead.ledger_name(t.relation) as name
        from bulkhead.protected_tables as t
        where t.parent is null
            and bulkhead.qualified(t.relation) is not null
            -- Counting rows is for the night, and for what was wrong the last time.
            and (not threshold ? 'changed_since' or threshold -> 'recheck' ? bulkhead.ledger_name(t.relation))
        order by md5(t.relation::text || coalesce(left(threshold ->> 'deadline', 10), ''))
    loop
        if clock_timestamp() > (threshold ->> 'deadline')::timestamptz then
            v_is_clean := false;
            return next bulkhead.canary_row(
                'audit_completeness', v_table.name, 'unknown', null, null, format('%s was not reached: the time was spent', v_table.name));
            continue;
        end if;
        begin
            if not exists (select from bulkhead.ledger_gaps as g where g.table_name = v_table.name) then
                insert into bulkhead.ledger_gaps (table_name, tenant_id, gap)
                select v_table.name, b.tenant_id, b.rows_in_table - b.rows_in_ledger
                from bulkhead.ledger_balance(v_table.relation) as b
                -- Fewer rows than events has no innocent beginning.
                where b.rows_in_table > b.rows_in_ledger
                union all
                select v_table.name, '', 0;
            end if;
            select
                sum(abs(b.rows_in_table - b.rows_in_ledger - b.accepted)) as wrong,
                (array_agg(b.tenant_id order by abs(b.rows_in_table - b.rows_in_ledger - b.accepted) desc))[1:5] as tenants,
                (array_agg(format('tenant %s has %s row(s) %s than its events tell', b.tenant_id,
                    abs(b.rows_in_table - b.rows_in_ledger - b.accepted),
                    case when b.rows_in_table > b.rows_in_ledger + b.accepted then 'more' else 'fewer' end)
                    order by abs(b.rows_in_table - b.rows_in_ledger - b.accepted) desc))[1:5] as lines
            into v_found
            from bulkhead.ledger_balance(v_table.relation) as b
            where b.rows_in_table <> b.rows_in_ledger + b.accepted;
            if v_found.wrong > 0 then
                v_is_clean := false;
                return next bulkhead.canary_row(
                    'audit_completeness', v_table.name, 'fail', v_found.wrong, 0,
                    format('Rows of %s were written past the ledger: %s', v_table.name, array_to_string(v_found.lines, '; ')),
                    v_found.tenants,
                    format('select * from bulkhead.ledger_balance(%L) where rows_in_table <> rows_in_ledger + accepted', v_table.name));
            end if;
        exception when others then
            v_is_clean := false;
            return next bulkhead.canary_row(
                'audit_completeness', v_table.name, 'unknown', null, null, format('%s could not be counted: %s', v_table.name, sqlerrm), '{}',
                format('select * from bulkhead.ledger_balance(%L)', v_table.name));
        end;
    end loop;
    if v_is_clean then
        return next bulkhead.canary_row('audit_completeness', null, 'pass', 0, 0,
            'Every protected table has as many rows of each tenant as its events tell; counted at night');
    end if;
end
$$;
comment on function bulkhead.canary_audit_completeness(jsonb) is 'Canary: rows that were written with the triggers off, in a restore or by a superuser''s tricks: the table''s count of each tenant against inserts and baseline less deletes';
revoke all on function bulkhead.canary_audit_completeness(jsonb) from public;

-- ---------------------------------------------------------------- findings of the status, the ledger, the platform

create function bulkhead.canary_findings(threshold jsonb)
returns setof bulkhead.check_result
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_at timestamptz := coalesce((threshold ->> 'at')::timestamptz, now());
    v_begins timestamptz := (select s.configured_at from bulkhead.settings as s) + coalesce((threshold ->> 'grace')::interval, interval '2 days');
    v_category text;
    v_found bulkhead.check_result;
    v_clean boolean := true;
begin
    if v_begins is null or v_begins > v_at then
        return next bulkhead.canary_row(threshold ->> 'canary', null, 'pass', null, null,
            'learning: a new installation has two days to be set up, meanwhile bulkhead status alone says what is missing');
        return;
    end if;
    for v_category in select c from jsonb_array_elements_text(threshold -> 'categories') as c loop
        for v_found in select f.* from bulkhead.findings(v_category) as f loop
            -- What another canary says, or a message of its own said already.
            continue when threshold -> 'except' ? v_found.name;
            v_clean := false;
            return next v_found;
        end loop;
    end loop;
    if v_clean then
        return next bulkhead.canary_row(threshold ->> 'canary', null, 'pass', 0, 0, 'No finding');
    end if;
end
$$;
comment on function bulkhead.canary_findings(jsonb) is 'Canary: the findings of whole categories of the status become incidents under their own names';
revoke all on function bulkhead.canary_findings(jsonb) from public;

create function bulkhead.canary_ledger_sample(threshold jsonb)
returns setof bulkhead.check_result
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_size bigint := coalesce((threshold ->> 'seals')::bigint, 100);
    v_events bigint := coalesce((threshold ->> 'events')::bigint, 500000);
    v_last bigint := (select max(s.seq) from bulkhead.audit_seals as s);
    v_from bigint;
    v_to bigint;
    v_problems text[];
begin
    if v_last is null then
        return next bulkhead.canary_row('ledger_sample', null, 'unknown', null, 0, 'Nothing is sealed yet', severity => 'info');
        return;
    end if;
    v_from := 1 + floor(random() * v_last)::bigint;
    -- One seal at least, no more events than a night has time for, and from the end of the chain backwards.
    select greatest(v_from, max(s.seq) filter (where s.total <= v_events)) into v_to
    from (
        select w.seq, sum(w.events) over (order by w.seq) as total
        from bulkhead.audit_seals as w
        where w.seq between v_from and v_from + v_size - 1
    ) as s;
    select least(v_from, min(s.seq) filter (where s.total <= v_events)) into v_from
    from (
        select w.seq, sum(w.events) over (order by w.seq desc) as total
        from bulkhead.audit_seals as w
        where w.seq between v_to - v_size + 1 and v_to
    ) as s;
    select array_agg(concat_ws(' ', 'seal ' || v.seq, v.part, 'event ' || v.event_id, v.problem)) into v_problems
    from bulkhead.verify_audit(null, null, v_from, v_to) as v;
    return next bulkhead.canary_row(
        'ledger_sample', null, case when v_problems is null then 'pass' else 'fail' end, coalesce(cardinality(v_problems), 0), 0,
        format('Seals %s to %s of %s compared event by event', v_from, v_to, v_last)
            || coalesce(': ' || array_to_string(v_problems[1:5], '; '), ''),
        '{}', format('select * from bulkhead.verify_audit(null, null, %s, %s)', v_from, v_to));
end
$$;
comment on function bulkhead.canary_ledger_sample(jsonb) is 'Canary: a random stretch of the sealed ledger, compared event by event';
revoke all on function bulkhead.canary_ledger_sample(jsonb) from public;

create function bulkhead.canary_refused_writes(threshold jsonb)
returns setof bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with refused as (
        select e.id, e.actor_role, e.table_name, e.tenant_id, 1 + coalesce((e.metadata ->> 'not_recorded')::bigint, 0) as writes
        from bulkhead.audit_events as e
        where e.operation = 'bulkhead.write_refused'
            and e.created_at > coalesce((canary_refused_writes.threshold ->> 'at')::timestamptz, now()) - coalesce((canary_refused_writes.threshold ->> 'window')::interval, interval '1 hour')
    )
    select r.*
    from (
        select coalesce(sum(f.writes), 0) as writes, (array_agg(f.id::text order by f.id desc))[1:5] as ids,
            array_agg(distinct f.tenant_id) filter (where f.tenant_id is not null) as tenants,
            string_agg(distinct format('%s on %s', f.actor_role, f.table_name), ', ') as who
        from refused as f
    ) as t
    cross join lateral bulkhead.canary_row(
        'refused_writes', null, case when t.writes > coalesce((canary_refused_writes.threshold ->> 'max')::numeric, 10) then 'fail' else 'pass' end,
        t.writes, coalesce((canary_refused_writes.threshold ->> 'max')::numeric, 10),
        format('%s refused write(s) were reported%s', t.writes, coalesce(': ' || t.who, '')) || bulkhead.tenants_line(t.tenants),
        coalesce(t.ids, '{}'),
        'select * from bulkhead.audit_events where operation = ''bulkhead.write_refused'' order by id desc limit 50') as r
$$;
comment on function bulkhead.canary_refused_writes(jsonb) is 'Canary: writes of the back end that the guard refused and the back end reported';
revoke all on function bulkhead.canary_refused_writes(jsonb) from public;

create function bulkhead.canary_cron_history(threshold jsonb)
returns setof bulkhead.check_result
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_max bigint := coalesce((threshold ->> 'max')::bigint, 100000);
    v_rows bigint;
begin
    if to_regclass('cron.job_run_details') is null then
        return next bulkhead.canary_row('cron_history', null, 'unknown', null, v_max, 'pg_cron is not installed in this database');
        return;
    end if;
    execute format('select count(*) from (select from cron.job_run_details limit %s) as r', v_max + 1) into v_rows;
    return next bulkhead.canary_row(
        'cron_history', null, case when v_rows > v_max then 'fail' else 'pass' end, v_rows, v_max,
        format('%s%s run(s) are kept in cron.job_run_details', case when v_rows > v_max then 'more than ' else '' end, least(v_rows, v_max)),
        '{}', 'select command, count(*), min(start_time) from cron.job_run_details group by command order by 2 desc limit 20');
end
$$;
comment on function bulkhead.canary_cron_history(jsonb) is 'Canary: cron.job_run_details, which never cleans itself and slows pg_cron down';
revoke all on function bulkhead.canary_cron_history(jsonb) from public;

create function bulkhead.canary_pg_net_errors(threshold jsonb)
returns setof bulkhead.check_result
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_max bigint := coalesce((threshold ->> 'max')::bigint, 10);
    v_share numeric := coalesce((threshold ->> 'share')::numeric, 0.5);
    v_calls record;
begin
    -- Nothing is called: alerting_configured says that it should be.
    if to_regclass('net._http_response') is null then
        return;
    end if;
    execute $sql$
        select
            count(*) as total,
            count(*) filter (where r.timed_out or r.error_msg is not null or r.status_code is null or r.status_code >= 400) as failed,
            (array_agg(r.id::text order by r.id desc) filter (where r.timed_out or r.error_msg is not null or r.status_code is null or r.status_code >= 400))[1:5] as ids,
            (array_agg(coalesce(left(r.error_msg, 200), 'status ' || r.status_code, 'timed out') order by r.id desc)
                filter (where r.timed_out or r.error_msg is not null or r.status_code is null or r.status_code >= 400))[1] as last
        from net._http_response as r
        where r.created > $1
        $sql$
    into v_calls
    using coalesce((threshold ->> 'at')::timestamptz, now()) - coalesce((threshold ->> 'window')::interval, interval '1 hour');
    return next bulkhead.canary_row(
        'pg_net_errors', null,
        case when v_calls.failed > v_max and v_calls.failed > v_share * v_calls.total then 'fail' else 'pass' end,
        v_calls.failed, v_max,
        format('%s of %s call(s) by pg_net failed%s', v_calls.failed, v_calls.total, coalesce(', the last with: ' || v_calls.last, '')),
        coalesce(v_calls.ids, '{}'),
        'select id, status_code, timed_out, error_msg, created from net._http_response order by id desc limit 20');
end
$$;
comment on function bulkhead.canary_pg_net_errors(jsonb) is 'Canary: calls of pg_net that fail, by number and by share, this project''s own among them';
revoke all on function bulkhead.canary_pg_net_errors(jsonb) from public;

create function bulkhead.canary_tenant_quotas(threshold jsonb)
returns setof bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with sizes as (
        -- Rows by the ledger's balance of last night; bytes by each table's average row.
        select
            c.tenant_id,
            sum(c.n) as n,
            round((sum(c.n * coalesce(p.pages * current_setting('block_size')::integer / nullif(k.reltuples, 0), 0)) / 1048576)::numeric, 1) as megabytes
        from (
            select u.table_name, u.tenant_id, greatest(sum(u.n), 0) as n
            from (
                select l.table_name, l.tenant_id, l.net as n from bulkhead.ledger_counts as l
                union all
                select g.table_name, g.tenant_id, g.gap from bulkhead.ledger_gaps as g
            ) as u
            where u.tenant_id <> ''
            group by u.table_name, u.tenant_id
        ) as c
        join bulkhead.protected_tables as t on t.parent is null and bulkhead.ledger_name(t.relation) = c.table_name
        join pg_catalog.pg_class as k on k.oid = t.relation
        cross join lateral (
            -- As of the last vacuum: asking for the size would wait for a lock on the table.
            select sum(part.relpages) as pages
            from pg_catalog.pg_class as part
            where part.oid in (k.oid, k.reltoastrelid)
                or part.oid in (select i.indexrelid from pg_catalog.pg_index as i where i.indrelid = k.oid)
        ) as p
        where canary_tenant_quotas.threshold ?| array['rows', 'megabytes', 'tenants']
        group by c.tenant_id
    ),
    over as (
        select s.tenant_id, limits.unit, limits.value, limits.allowed
        from sizes as s
        cross join lateral (values
            ('rows', s.n, coalesce(threshold -> 'tenants' -> s.tenant_id ->> 'rows', threshold ->> 'rows')::numeric),
            ('megabytes', s.megabytes, coalesce(threshold -> 'tenants' -> s.tenant_id ->> 'megabytes', threshold ->> 'megabytes')::numeric)
        ) as limits (unit, value, allowed)
        where limits.value > limits.allowed
    )
    select r.*
    from over as o
    cross join lateral bulkhead.canary_row(
        'tenant_quotas', format('tenant %s, %s', o.tenant_id, o.unit), 'fail', o.value, o.allowed,
        format('%s %s, %s are allowed', o.value, o.unit, o.allowed) || bulkhead.tenants_line(array[o.tenant_id]), array[o.tenant_id],
        format('select table_name, net from bulkhead.ledger_counts where tenant_id = %L order by net desc', o.tenant_id)) as r
    union all
    select r.*
    from bulkhead.canary_row('tenant_quotas', null, 'pass', 0, 0, 'Every tenant is within its quotas') as r
    where not exists (select from over)
        -- Nobody asked for it: no row.
        and canary_tenant_quotas.threshold ?| array['rows', 'megabytes', 'tenants']
$$;
comment on function bulkhead.canary_tenant_quotas(jsonb) is 'Canary: tenants with more rows or megabytes than the threshold allows them';
revoke all on function bulkhead.canary_tenant_quotas(jsonb) from public;

-- ---------------------------------------------------------------- a project's own

-- Reads, and nothing else. It has to see every tenant, or it would see none and call that fine.
do $$
begin
    if to_regrole('bulkhead_canary') is null then
        begin
            create role bulkhead_canary nologin noinherit bypassrls;
        exception
            -- Before Postgres 16 a superuser has to: alter role bulkhead_canary bypassrls.
            when insufficient_privilege then
                create role bulkhead_canary nologin noinherit;
        end;
    end if;
    if not pg_has_role(current_user, 'bulkhead_canary', 'member') or current_setting('server_version_num')::integer >= 160000 then
        grant bulkhead_canary to current_user;
    end if;
exception
    -- Roles belong to the server: another database of it may be making the same one.
    when duplicate_object or unique_violation then
        null;
end
$$;

create function bulkhead.ask_canary(query text, threshold jsonb, max_rows integer)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_rows jsonb;
begin
    begin
        perform set_config('bulkhead.threshold', threshold::text, true),
            set_config('lock_timeout', '2s', true),
            set_config('transaction_read_only', 'on', true);
        if (select r.rolbypassrls from pg_catalog.pg_roles as r where r.rolname = 'bulkhead_canary') then
            perform set_config('role', 'bulkhead_canary', true);
        end if;
        -- As part of a query it is one query that writes nothing; a line of its own ends a comment of its last one.
        execute format(E'select coalesce(jsonb_agg(to_jsonb(q)), ''[]'') from (select * from (%s\n) as asked limit %s) as q',
            regexp_replace(query, ';\s*$', ''), max_rows)
        into v_rows;
        raise exception using errcode = 'BHRBK';
    exception when sqlstate 'BHRBK' then
        return v_rows;
    end;
end
$$;
comment on function bulkhead.ask_canary(text, jsonb, integer) is 'Runs a canary''s query as bulkhead_canary, in a read-only subtransaction that is rolled back';
revoke all on function bulkhead.ask_canary(text, jsonb, integer) from public;

create function bulkhead.canary_own(threshold jsonb)
returns setof bulkhead.check_result
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_canary bulkhead.canaries := (select c from bulkhead.canaries as c where c.name = canary_own.threshold ->> 'canary');
    v_max numeric := coalesce((threshold ->> 'max')::numeric, 0);
    v_found record;
    v_clean boolean := true;
begin
    for v_found in
        select
            f.value ->> 'subject' as subject,
            coalesce(sum((f.value ->> 'observed')::numeric), count(*)) as observed,
            min(f.value ->> 'detail') as detail,
            (array_agg(f.value ->> 'id') filter (where f.value ->> 'id' is not null))[1:5] as ids,
            array_agg(distinct f.value ->> 'tenant_id') filter (where f.value ->> 'tenant_id' is not null) as tenants
        from jsonb_array_elements(bulkhead.ask_canary(v_canary.query, threshold, 1000)) as f
        group by 1
        order by 1
    loop
        continue when v_found.observed <= v_max;
        v_clean := false;
        return next bulkhead.canary_row(
            v_canary.name, v_found.subject, 'fail', v_found.observed, v_max,
            coalesce(v_found.detail, format('%s row(s)', v_found.observed)) || bulkhead.tenants_line(v_found.tenants),
            coalesce(v_found.ids, '{}'), v_canary.query);
    end loop;
    if v_clean then
        return next bulkhead.canary_row(v_canary.name, null, 'pass', 0, v_max, 'The query found nothing beyond the threshold');
    end if;
end
$$;
comment on function bulkhead.canary_own(jsonb) is 'Canary: a query that bulkhead.add_canary() was given; each of its rows is an offender';
revoke all on function bulkhead.canary_own(jsonb) from public;

create function bulkhead.add_canary(
    name text,
    sql text,
    threshold jsonb default '{"max": 0}',
    title text default null,
    severity text default 'warning',
    cadence text default 'five_minutes',
    remediation text default null,
    runbook text default 'docs/canaries.md',
    time_limit interval default '30 seconds'
)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
begin
    if exists (select from bulkhead.rules as r where r.name = add_canary.name)
        or exists (select from bulkhead.canaries as c where c.name = add_canary.name and c.query is null) then
        raise exception using
            errcode = 'BH405',
            message = format('Cannot add canary "%s": Bulkhead has a check of that name; choose another', name);
    end if;
    begin
        -- A mistake must show now, not as an unknown at night. No row is asked for.
        perform bulkhead.ask_canary(sql, threshold, 0);
        insert into bulkhead.canaries as c (name, title, severity, cadence, threshold, time_limit, runbook, remediation, query, function)
        values (
            name, coalesce(title, replace(name, '_', ' ')), severity, cadence, threshold, time_limit, runbook,
            coalesce(remediation, 'Run the query below'), sql, 'bulkhead.canary_own(jsonb)')
        on conflict on constraint canaries_pkey do update set
            title = excluded.title,
            severity = excluded.severity,
            cadence = excluded.cadence,
            threshold = excluded.threshold,
            time_limit = excluded.time_limit,
            runbook = excluded.runbook,
            remediation = excluded.remediation,
            query = excluded.query;
    exception when others then
        raise exception using
            errcode = 'BH405',
            message = format('Cannot add canary "%s": %s%s', name, sqlerrm, case
                when sqlstate = '42501' then '; give its role what the query reads: grant select on table … to bulkhead_canary'
                else ''
            end);
    end;
    perform bulkhead.log_change('add_canary', name, null, jsonb_build_object('query', sql, 'threshold', threshold));
end
$$;
comment on function bulkhead.add_canary is 'Adds or replaces a check of one''s own: each row of the query is an offender. Example: select bulkhead.add_canary(''unpaid_orders'', ''select id, tenant_id from public.orders where paid_at is null and due_at < now()'')';
revoke all on function bulkhead.add_canary from public;

create function bulkhead.remove_canary(name text)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_gone bulkhead.canaries;
begin
    if exists (select from bulkhead.canaries as c where c.name = remove_canary.name and c.query is null) then
        raise exception using
            errcode = 'BH405',
            message = format('Cannot remove canary "%s": it is Bulkhead''s; switch it off with update bulkhead.canaries set is_enabled = false', name);
    end if;
    delete from bulkhead.canaries as c where c.name = remove_canary.name returning c.* into v_gone;
    if v_gone.name is null then
        return false;
    end if;
    -- Nobody will look again: what is open ends here.
    perform bulkhead.record_results('{}', clock_timestamp(), array[name]) from generate_series(1, 2);
    perform bulkhead.log_change('remove_canary', name, null, jsonb_build_object('query', v_gone.query));
    return true;
end
$$;
comment on function bulkhead.remove_canary(text) is 'Takes a check of one''s own out again, with its history; its open incidents end. False where there was none';
revoke all on function bulkhead.remove_canary(text) from public;

-- ---------------------------------------------------------------- the runner

create function bulkhead.due_canaries(cadence text)
returns setof bulkhead.canaries
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_column
begin
    if due_canaries.cadence is null or due_canaries.cadence not in ('five_minutes', 'nightly') then
        raise exception using
            errcode = 'BH401',
            message = format('unknown cadence %L: it is five_minutes or nightly', due_canaries.cadence);
    end if;
    return query
    select c.*
    from bulkhead.canaries as c
    where c.is_enabled
        and (
            due_canaries.cadence = 'nightly'
            or c.cadence = 'five_minutes'
            -- A new installation does not wait for its first night to know. What takes its time and still doesn't know
            -- may have a twentieth of it.
            or not exists (select from bulkhead.canary_runs as r where r.canary = c.name and r.status in ('pass', 'fail'))
                and coalesce(
                    (
                        select r.took < interval '10 seconds' or r.begun_at + 20 * r.took < clock_timestamp()
                        from bulkhead.canary_runs as r
                        where r.canary = c.name
                            and r.status <> 'running'
                        order by r.id desc
                        limit 1
                    ),
                    true
                )
        )
    -- What had to be cancelled the last time comes last: it holds up nobody else.
    order by
        coalesce(
            (
                select r.cancelled_at is not null
                from bulkhead.canary_runs as r
                where r.canary = c.name
                    and r.status <> 'running'
                order by r.id desc
                limit 1
            ),
            false
        ),
        c.name;
end
$$;
comment on function bulkhead.due_canaries(text) is 'The canaries of a pass, in the order in which they run';
revoke all on function bulkhead.due_canaries(text) from public;

create function bulkhead.begin_canary(canary text, cadence text, at_time timestamptz default now())
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_horizon bigint := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
    v_last bulkhead.canary_runs;
    v_run bigint;
begin
    select r.* into v_last
    from bulkhead.canary_runs as r
    where r.canary = begin_canary.canary
        and r.status <> 'running'
    order by r.id desc
    limit 1;
    insert into bulkhead.canary_runs (canary, cadence, is_full, horizon, started_at)
    values (
        canary, cadence,
        -- Everything, when nothing is known: the first pass, one after an unknown, one after a restore.
        cadence = 'nightly' or coalesce(v_last.status not in ('pass', 'fail') or v_last.horizon > v_horizon, true),
        v_horizon, at_time
    )
    returning id into v_run;
    return v_run;
end
$$;
comment on function bulkhead.begin_canary(text, text, timestamptz) is 'Notes that a check begins, and from where on changes are new to the next pass; returns the run';
revoke all on function bulkhead.begin_canary(text, text, timestamptz) from public;

create function bulkhead.end_canary(run_id bigint, results bulkhead.check_result[], at_time timestamptz default now())
returns setof bulkhead.check_result
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    update bulkhead.canary_runs as r
    set
        finished_at = at_time,
        took = clock_timestamp() - r.begun_at,
        status = case
            when exists (select from unnest(results) as x where x.status = 'unknown') then 'unknown'
            when exists (select from unnest(results) as x where x.status = 'fail') then 'fail'
            else 'pass'
        end
    where r.id = end_canary.run_id
        and r.status = 'running';
    -- The reaper was here first: its verdict stands.
    if found then
        insert into bulkhead.canary_results (run_id, position, result)
        select end_canary.run_id, i, results[i]
        from generate_subscripts(results, 1) as i;
        return query select * from unnest(results);
    end if;
end
$$;
comment on function bulkhead.end_canary(bigint, bulkhead.check_result[], timestamptz) is 'Stores what a run found, once; returns the stored rows';
revoke all on function bulkhead.end_canary(bigint, bulkhead.check_result[], timestamptz) from public;

create function bulkhead.run_canary(run_id bigint, at_time timestamptz default now(), deadline timestamptz default null)
returns setof bulkhead.check_result
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
-- A check that waits behind somebody's ALTER TABLE is unknown, not late.
set lock_timeout = '5s'
as $$
declare
    v_run bulkhead.canary_runs := (select r from bulkhead.canary_runs as r where r.id = run_canary.run_id);
    v_canary bulkhead.canaries := (select c from bulkhead.canaries as c where c.name = v_run.canary);
    v_last bulkhead.canary_runs;
    v_call regprocedure;
    v_context jsonb := jsonb_build_object('at', at_time, 'canary', v_run.canary);
    v_rows bulkhead.check_result[];
begin
    if deadline is not null then
        v_context := v_context || jsonb_build_object('deadline', deadline);
    end if;
    if not v_run.is_full then
        select r.* into v_last
        from bulkhead.canary_runs as r
        where r.canary = v_run.canary
            and r.status <> 'running'
        order by r.id desc
        limit 1;
        v_context := v_context || jsonb_build_object(
            'changed_since', v_last.horizon,
            'recheck', (
                select coalesce(jsonb_agg(distinct (r.result).subject), '[]')
                from bulkhead.canary_results as r
                where r.run_id = v_last.id
                    and (r.result).status <> 'pass'
                    and (r.result).subject is not null
            )
        );
    end if;
    begin
        if clock_timestamp() > deadline then
            raise exception using errcode = 'BH403', message = 'it was not reached: the time of this pass was spent';
        end if;
        v_call := to_regprocedure(v_canary.function);
        if v_call is null then
            raise exception using
                errcode = 'BH403',
                message = format('the function %s is gone', v_canary.function);
        end if;
        execute format('select array_agg(r) from %s($1) as r', v_call::oid::regproc)
        into v_rows
        using v_canary.threshold || v_context;
        -- A row without a verdict is not a pass.
        select array_agg(
            case
                when (r).status in ('pass', 'fail', 'unknown') and (r).fingerprint is not null then r
                else bulkhead.canary_row(v_canary.name, (r).subject, 'unknown', null, null, 'The check returned a malformed row')
            end
        )
        into v_rows
        from unnest(v_rows) as r;
    exception
        -- Cancelled, and caught by name: "others" does not hold it. The pass goes on with the next check.
        when query_canceled then
            v_rows := array[bulkhead.canary_row(v_canary.name, null, 'unknown', null, null,
                format('The check was stopped after %s (its limit is %s): %s', date_trunc('second', clock_timestamp() - v_run.begun_at), v_canary.time_limit, sqlerrm))];
        when others then
            v_rows := array[bulkhead.canary_row(v_canary.name, null, 'unknown', null, null, 'The check failed: ' || sqlerrm)];
    end;
    return query select * from bulkhead.end_canary(run_canary.run_id, coalesce(v_rows, '{}'), at_time);
end
$$;
comment on function bulkhead.run_canary(bigint, timestamptz, timestamptz) is 'Runs the check of a run that has begun; whatever it does, the answer is rows: an error or a cancellation is unknown';
revoke all on function bulkhead.run_canary(bigint, timestamptz, timestamptz) from public;

-- The findings that a check of findings speaks for: what is not among its rows, and of its categories, is well again.
create function bulkhead.evaluated_names(canary text, results bulkhead.check_result[])
returns text[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
begin
    return (
        select array[canary] || coalesce(array_agg(distinct i.name), '{}')
        from bulkhead.incidents as i
        join bulkhead.canaries as c on c.name = evaluated_names.canary
        where i.state = 'open'
            and c.threshold -> 'categories' ? i.category
            -- A category that could not be evaluated, or a check that could not run, proves nothing.
            and not exists (
                select
                from unnest(results) as r
                where r.status = 'unknown'
                    and r.name in (canary, 'checks_failed', 'checks_missing')
            )
    );
end
$$;
comment on function bulkhead.evaluated_names(text, bulkhead.check_result[]) is 'The names for which a run of a canary may resolve incidents';
revoke all on function bulkhead.evaluated_names(text, bulkhead.check_result[]) from public;

create function bulkhead.run_canaries(cadence text default 'five_minutes', at_time timestamptz default now())
returns setof bulkhead.check_result
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_canary bulkhead.canaries;
    v_rows bulkhead.check_result[];
    v_all bulkhead.check_result[] := '{}';
    v_names text[] := '{}';
begin
    perform from bulkhead.due_canaries(run_canaries.cadence);
    if not pg_try_advisory_xact_lock(hashtextextended('bulkhead:canaries:' || run_canaries.cadence, 0)) then
        -- Neither stored nor fed: the run that holds the lock does both.
        return next bulkhead.check_row(
            'canaries_running', run_canaries.cadence, 'Another pass is running', 'info', 'canaries', 'unknown', null, null,
            'This pass looked at nothing, because another one is running', 'Wait for it to end');
        return;
    end if;
    for v_canary in select * from bulkhead.due_canaries(run_canaries.cadence) loop
        v_rows := array(select r from bulkhead.run_canary(bulkhead.begin_canary(v_canary.name, run_canaries.cadence, at_time), at_time) as r);
        v_all := v_all || v_rows;
        v_names := v_names || bulkhead.evaluated_names(v_canary.name, v_rows);
        return query select * from unnest(v_rows);
    end loop;
    perform bulkhead.record_results(v_all, at_time, v_names);
end
$$;
comment on function bulkhead.run_canaries(text, timestamptz) is 'One pass in one transaction, by hand: five_minutes on what changed since the last one, nightly on everything. Stores the results, feeds the incidents, returns the rows. The scheduler calls run_pass()';
revoke all on function bulkhead.run_canaries(text, timestamptz) from public;

create function bulkhead.record_run(canary text, results bulkhead.check_result[], at_time timestamptz default now())
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    perform bulkhead.record_results(results, at_time, bulkhead.evaluated_names(canary, results));
end
$$;
comment on function bulkhead.record_run(text, bulkhead.check_result[], timestamptz) is 'Feeds the incidents with one run';
revoke all on function bulkhead.record_run(text, bulkhead.check_result[], timestamptz) from public;

create function bulkhead.begin_pass(cadence text, budget interval, out until timestamptz, out names text[])
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    -- Of the session, since the pass commits; it ends with the connection at the latest.
    names := array(select c.name from bulkhead.due_canaries(begin_pass.cadence) as c);
    if not pg_try_advisory_lock(hashtextextended('bulkhead:canaries:' || begin_pass.cadence, 0)) then
        names := '{}';
        return;
    end if;
    until := clock_timestamp() + coalesce(budget, case begin_pass.cadence when 'nightly' then interval '30 minutes' else interval '4 minutes' end);
end
$$;
comment on function bulkhead.begin_pass(text, interval) is 'Takes the turn of a pass and says until when it may run, and what; nothing where another pass has the turn';
revoke all on function bulkhead.begin_pass(text, interval) from public;

create function bulkhead.end_pass(cadence text)
returns boolean
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
    select pg_advisory_unlock(hashtextextended('bulkhead:canaries:' || cadence, 0))
$$;
comment on function bulkhead.end_pass(text) is 'Gives the turn back';
revoke all on function bulkhead.end_pass(text) from public;

-- A procedure that commits may pin no setting of its own: it only calls what does.
create procedure bulkhead.run_pass(cadence text default 'five_minutes', budget interval default null)
language plpgsql
as $$
declare
    v_pass record;
    v_name text;
    v_run bigint;
    v_rows bulkhead.check_result[];
begin
    select p.until, p.names into v_pass from bulkhead.begin_pass(cadence, budget) as p;
    if v_pass.until is null then
        return;
    end if;
    foreach v_name in array v_pass.names loop
        v_run := bulkhead.begin_canary(v_name, cadence);
        -- Seen by the reaper from here on.
        commit;
        v_rows := array(select r from bulkhead.run_canary(v_run, pg_catalog.now(), v_pass.until) as r);
        perform bulkhead.record_run(v_name, v_rows);
        commit;
    end loop;
    perform bulkhead.end_pass(cadence);
end
$$;
comment on procedure bulkhead.run_pass(text, interval) is 'One pass as the scheduler runs it: each check in a transaction of its own, noted before it begins; what the budget does not reach is unknown. Example: call bulkhead.run_pass(''nightly'', ''20 minutes'')';
revoke all on procedure bulkhead.run_pass(text, interval) from public;

-- A statement_timeout that a function sets does nothing for the statement that runs: so another session looks.
create function bulkhead.reap_canaries()
returns integer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_run record;
    v_rows bulkhead.check_result[];
    v_reaped integer := 0;
begin
    for v_run in
        select
            r.id,
            r.canary,
            r.pid,
            r.cancelled_at,
            c.time_limit,
            clock_timestamp() - r.begun_at as age,
            exists (
                select
                from pg_catalog.pg_stat_activity as a
                where a.pid = r.pid
                    and a.backend_start <= r.begun_at
                    and coalesce(a.state, '') <> 'idle'
            ) and not exists (
                select from bulkhead.canary_runs as later where later.pid = r.pid and later.id > r.id
            ) as is_alive
        from bulkhead.canary_runs as r
        join bulkhead.canaries as c on c.name = r.canary
        where r.status = 'running'
            and r.pid <> pg_backend_pid()
        order by r.id
    loop
        if v_run.is_alive then
            continue when v_run.age <= v_run.time_limit;
            if v_run.cancelled_at is null then
                update bulkhead.canary_runs as r set cancelled_at = clock_timestamp() where r.id = v_run.id and r.status = 'running';
                perform pg_cancel_backend(v_run.pid);
                v_reaped := v_reaped + 1;
            elsif v_run.cancelled_at < clock_timestamp() - interval '50 seconds' then
                -- It caught the cancellation and went on.
                perform pg_terminate_backend(v_run.pid);
                v_reaped := v_reaped + 1;
            end if;
        else
            v_rows := array(
                select r
                from bulkhead.end_canary(v_run.id, array[bulkhead.canary_row(v_run.canary, null, 'unknown', null, null,
                    'The check did not end: its session is gone after ' || date_trunc('second', v_run.age))]) as r
            );
            if v_rows <> '{}' then
                perform bulkhead.record_run(v_run.canary, v_rows);
                v_reaped := v_reaped + 1;
            end if;
        end if;
    end loop;
    return v_reaped;
end
$$;
comment on function bulkhead.reap_canaries() is 'Cancels checks that run beyond their time_limit, ends sessions that go on nevertheless, and calls unknown what was left without a session; returns how many';
revoke all on function bulkhead.reap_canaries() from public;

create function bulkhead.checks_canaries()
returns setof bulkhead.check_result
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_canary bulkhead.canaries;
    v_last bulkhead.canary_runs;
    v_swept timestamptz;
    v_patience interval;
begin
    for v_canary in select * from bulkhead.canaries order by name loop
        if not v_canary.is_enabled then
            return next bulkhead.canary_row(v_canary.name, null, 'unknown', null, null, 'Switched off in bulkhead.canaries');
            continue;
        end if;
        select r.* into v_last
        from bulkhead.canary_runs as r
        where r.canary = v_canary.name
            and r.status <> 'running'
        order by r.id desc
        limit 1;
        select max(r.finished_at) into v_swept
        from bulkhead.canary_runs as r
        where r.canary = v_canary.name
            and r.is_full
            and r.status <> 'running';
        -- Three periods.
        v_patience := case v_canary.cadence when 'five_minutes' then interval '15 minutes' else interval '3 days' end;
        if v_last.id is null then
            return next bulkhead.canary_row(
                v_canary.name, null, 'unknown', null, null, 'Never ran', '{}', 'select * from bulkhead.run_canaries()');
        elsif v_last.finished_at < now() - v_patience then
            return next bulkhead.canary_row(
                v_canary.name, null, 'unknown', null, null,
                format('Silent since %s UTC: look at the job bulkhead:canaries:run', to_char(v_last.finished_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI')),
                '{}', 'select * from bulkhead.canary_runs order by id desc limit 20');
        elsif v_swept < now() - interval '3 days' then
            return next bulkhead.canary_row(
                v_canary.name, null, 'unknown', null, null,
                format('The last full sweep was at %s UTC: look at the job bulkhead:canaries:sweep', to_char(v_swept at time zone 'UTC', 'YYYY-MM-DD HH24:MI')),
                '{}', 'select * from bulkhead.canary_runs where is_full order by id desc limit 20');
        elsif v_canary.threshold ? 'categories' then
            -- The findings themselves stand under their own category: nothing is said twice.
            return next bulkhead.canary_row(
                v_canary.name, null, case when v_last.status = 'unknown' then 'unknown' else 'pass' end, null, null,
                case when v_last.status = 'unknown' then 'A check of its categories could not be evaluated' else 'Its findings are those of the categories it watches' end);
        else
            return query
                select (r.result).*
                from bulkhead.canary_results as r
                where r.run_id = v_last.id
                order by r.position;
        end if;
    end loop;
end
$$;
comment on function bulkhead.checks_canaries() is 'The last result of every canary; unknown where it never ran, is switched off or has been silent for three periods';
revoke all on function bulkhead.checks_canaries() from public;

insert into bulkhead.canaries (name, title, severity, cadence, threshold, runbook, remediation, function)
values
    (
        'orphaned_rows', 'Rows whose parent is gone', 'critical', 'five_minutes', '{"max": 0}', 'docs/runbooks/orphaned_rows.md',
        E'Run the query below: it says which key of which row is broken.\nFind who did it: select * from bulkhead.audit_events where record_id = ''<id>''.\nPut the parent back from the backup or remove the rows, then add the key again: its definition is in bulkhead.protected_tables.declared.',
        'bulkhead.canary_orphaned_rows(jsonb)'
    ),
    (
        'tenant_misalignment', 'Rows that belong to two tenants', 'critical', 'five_minutes', '{"max": 0}', 'docs/runbooks/tenant_misalignment.md',
        E'Treat it as a leak until proved otherwise: one tenant may see another''s data.\nFind who wrote the rows: select * from bulkhead.audit_events where record_id = ''<id>''.\nMove each row to its right parent, then add the key again: its definition is in bulkhead.protected_tables.declared.',
        'bulkhead.canary_tenant_misalignment(jsonb)'
    ),
    (
        'abnormal_deletes', 'An abnormal number of rows deleted', 'warning', 'five_minutes',
        '{"window": "24 hours", "min_rows": 50, "warning_share": 0.10, "critical_share": 0.30, "transaction_rows": 10000, "learning": "7 days", "score": 6}',
        'docs/runbooks/abnormal_deletes.md',
        E'Ask the actor named above whether it was meant.\nIf not, stop them first: revoke the key or the session.\nPut the rows back: bulkhead restore --tenant <id> --table <table> --insert-missing (first with --dry-run).',
        'bulkhead.canary_abnormal_deletes(jsonb)'
    ),
    (
        'failed_onboarding', 'Onboarding attempts fail', 'warning', 'five_minutes',
        '{"window": "24 hours", "rate": 0.5, "min_attempts": 5, "streak": 3, "overall_streak": 5}', 'docs/runbooks/failed_onboarding.md',
        E'Run the query below and read the errors of the newest attempts.\nTry the sign-up yourself.\nTell the customers who are waiting.',
        'bulkhead.canary_failed_onboarding(jsonb)'
    ),
    (
        'failed_cron_jobs', 'A scheduled job fails', 'warning', 'five_minutes', '{}', 'docs/runbooks/failed_cron_jobs.md',
        E'Read the message of the last run with the query below.\nRun the job''s command by hand as its owner.\nAfter the repair wait for the next run: the incident resolves by itself.',
        'bulkhead.canary_failed_cron_jobs(jsonb)'
    ),
    (
        'audit_completeness', 'Rows that the ledger does not know', 'critical', 'five_minutes', '{}', 'docs/runbooks/audit_completeness.md',
        E'Find who could write past the triggers: a superuser, a restore, a migration that disabled them.\nRows too many: select bulkhead.baseline(''<table>'') records them.\nRows too few: look in the last backup for what is missing, then select bulkhead.accept_gap(''<table>'', ''why'').',
        'bulkhead.canary_audit_completeness(jsonb)'
    ),
    (
        'boundary_drift', 'The boundary is not as declared', 'critical', 'five_minutes', '{"categories": ["boundary", "guard"], "except": ["break_glass_active", "service_role_reads"], "grace": "2 days"}',
        'docs/runbooks/findings.md', 'Each finding names its own remedy: bulkhead status', 'bulkhead.canary_findings(jsonb)'
    ),
    (
        'trail_findings', 'The audit trail has a finding', 'critical', 'five_minutes', '{"categories": ["trail"], "grace": "2 days"}',
        'docs/runbooks/findings.md', 'Each finding names its own remedy: bulkhead status', 'bulkhead.canary_findings(jsonb)'
    ),
    (
        'schedule_findings', 'The schedule has a finding', 'critical', 'five_minutes', '{"categories": ["schedule"], "except": ["job_failed"], "grace": "2 days"}',
        'docs/runbooks/findings.md', 'Each finding names its own remedy: bulkhead status', 'bulkhead.canary_findings(jsonb)'
    ),
    (
        'delivery_findings', 'Alerts or backups have a finding', 'critical', 'five_minutes', '{"categories": ["alerting", "backups"], "grace": "2 days"}',
        'docs/runbooks/findings.md', 'Each finding names its own remedy: bulkhead status', 'bulkhead.canary_findings(jsonb)'
    ),
    (
        'ledger_sample', 'A sealed stretch of the ledger does not match', 'critical', 'nightly', '{"seals": 100}', 'docs/runbooks/ledger_sample.md',
        E'Do not repair it: keep the database as it is.\nCompare with the newest backup''s anchor: bulkhead audit --help.\nsee docs/checks/seal_broken.md.',
        'bulkhead.canary_ledger_sample(jsonb)'
    ),
    (
        'refused_writes', 'The back end writes without its tenant', 'warning', 'five_minutes', '{"window": "1 hour", "max": 10}', 'docs/runbooks/refused_writes.md',
        E'Read the newest events with the query below: reason and table.\nFind the code path that names no tenant: bulkhead lint.\nIf nobody deployed anything, rotate the service key.',
        'bulkhead.canary_refused_writes(jsonb)'
    ),
    (
        'cron_history', 'The history of pg_cron grows', 'warning', 'nightly', '{"max": 100000}', 'docs/runbooks/cron_history.md',
        E'See whose runs they are with the query below.\nDelete what is old: delete from cron.job_run_details where end_time < now() - interval ''7 days''.\nSchedule that for jobs of your own; the kit cleans up after its own.',
        'bulkhead.canary_cron_history(jsonb)'
    ),
    (
        'pg_net_errors', 'Calls by pg_net fail', 'warning', 'five_minutes', '{"window": "1 hour", "max": 10, "share": 0.5}', 'docs/runbooks/pg_net_errors.md',
        E'Read the last answers with the query below.\nCall the address by hand.\nLook at the logs of the function that is called.',
        'bulkhead.canary_pg_net_errors(jsonb)'
    ),
    (
        'tenant_quotas', 'A tenant is larger than agreed', 'warning', 'nightly', '{}', 'docs/runbooks/tenant_quotas.md',
        E'See which tables with the query below.\nLook for a loop: select table_name, count(*) from bulkhead.audit_events where tenant_id = ''<id>'' and created_at > now() - interval ''1 day'' group by 1.\nAgree on more, or limit the tenant.',
        'bulkhead.canary_tenant_quotas(jsonb)'
    )
-- For upgrades. Thresholds, cadence and what is switched off belong to the project.
on conflict (name) do update
set title = excluded.title,
    runbook = excluded.runbook,
    remediation = excluded.remediation,
    function = excluded.function;
