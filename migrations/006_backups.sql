-- Backups: what leaves the platform, in which shape, and the record of every run and drill.
-- Public objects: tables bulkhead.backup_runs, backup_objects, drills; functions bulkhead.tables_to_export(),
--   export_query(), content_hash(), schema_fingerprint(), broken_foreign_keys(), claim_backup(), hold_backup(),
--   note_backup(), record_backup_object(), finish_backup(), record_drill(), dispatch_backup(), resume_backup(),
--   checks_backups().
-- Never: reads a key, deletes a backup, calls a run complete whose manifest is not written.
-- Errors: BH601 a table is neither protected nor exempt, BH602 another backup is running, BH603 the lease is lost,
--   BH605 there are no tenants' tables.
-- No security definer functions.

create table bulkhead.backup_runs (
    -- The id in the manifest's name.
    id text primary key check (id ~ '^\d{8}T\d{6}Z-[0-9a-f]{8}$'),
    source text not null check (source in ('runner', 'edge')),
    state text not null default 'running' check (state in ('running', 'complete', 'failed')),
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    -- The fencing token: who does not hold it can't record anything any more.
    lease_token uuid,
    leased_until timestamptz,
    system_identifier bigint not null default (pg_control_system()).system_identifier,
    -- Transactions below it are in the backup, or rolled back.
    snapshot_xmin bigint,
    schema_fingerprint text,
    tenants bigint not null default 0,
    tenant_rows bigint not null default 0,
    raw_bytes bigint not null default 0,
    stored_bytes bigint not null default 0,
    left_out text[] not null default '{}',
    manifest_key text,
    manifest_sha256 text,
    error text,
    check ((state = 'running') = (finished_at is null)),
    check ((lease_token is null) = (leased_until is null)),
    -- Without a manifest there is no backup, whatever was uploaded.
    check (state <> 'complete' or (manifest_key is not null and manifest_sha256 is not null))
);
comment on table bulkhead.backup_runs is 'One row a backup: running, complete (its manifest is written) or failed';
comment on column bulkhead.backup_runs.left_out is 'Tenants that were too large for the edge function; the runner has to take them';
-- One at a time, by the database itself.
create unique index backup_runs_running_key on bulkhead.backup_runs ((true)) where state = 'running';
create index backup_runs_finished_at_idx on bulkhead.backup_runs (finished_at);
alter table bulkhead.backup_runs enable row level security;
revoke all on bulkhead.backup_runs from public, anon, authenticated, service_role;

create table bulkhead.backup_objects (
    backup_id text not null references bulkhead.backup_runs (id) on delete cascade,
    tenant_id text not null,
    part integer not null default 1 check (part > 0),
    -- Its entry in the manifest.
    entry jsonb not null check (jsonb_typeof(entry) = 'object'),
    recorded_at timestamptz not null default now(),
    primary key (backup_id, tenant_id, part)
);
comment on table bulkhead.backup_objects is 'The objects of each backup as its manifest lists them; an interrupted run on the edge goes on from here';
alter table bulkhead.backup_objects enable row level security;
revoke all on bulkhead.backup_objects from public, anon, authenticated, service_role;

create table bulkhead.drills (
    id bigint generated always as identity primary key,
    backup_id text not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    is_passed boolean not null,
    restored_rows bigint not null,
    tests bigint not null,
    -- From the backup's start to the drill's start, and from there to rows that can be queried.
    rpo_seconds numeric not null,
    rto_seconds numeric not null,
    report jsonb not null,
    check (finished_at >= started_at),
    -- A drill that looked at nothing has proved nothing.
    check (not is_passed or (restored_rows > 0 and tests > 0))
);
comment on table bulkhead.drills is 'Restore drills: the newest backup restored into another Postgres, compared and tested';
create index drills_finished_at_idx on bulkhead.drills (finished_at);
alter table bulkhead.drills enable row level security;
revoke all on bulkhead.drills from public, anon, authenticated, service_role;

-- ---------------------------------------------------------------- what to export

create function bulkhead.export_columns(relation regclass, with_generated boolean default false)
returns name[]
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(array_agg(a.attname order by a.attnum), '{}')
    from pg_catalog.pg_attribute as a
    where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
        and (with_generated or a.attgenerated = '')
$$;
comment on function bulkhead.export_columns(regclass, boolean) is 'A table''s columns in order; generated ones can''t be loaded, so COPY leaves them out';
revoke all on function bulkhead.export_columns(regclass, boolean) from public;

create function bulkhead.unclassified_tables()
returns setof regclass
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select c.oid::regclass
    from bulkhead.settings as s
    join pg_catalog.pg_namespace as n on n.nspname = any (s.exposed_schemas)
    join pg_catalog.pg_class as c on c.relnamespace = n.oid
    where c.relkind in ('r', 'p', 'f')
        and not exists (select from bulkhead.protected_tables as t where t.relation = c.oid)
        and not exists (select from bulkhead.exempt_tables as e where e.relation = c.oid)
        -- Partitions go with their parent.
        and not exists (
            select
            from pg_catalog.pg_inherits as i
            join bulkhead.exempt_tables as e on e.relation = i.inhparent
            where i.inhrelid = c.oid and c.relispartition
        )
        and not exists (
            select
            from pg_catalog.pg_depend as d
            where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
        )
    order by n.nspname, c.relname
$$;
comment on function bulkhead.unclassified_tables() is 'Tables of exposed schemas that nobody has protected or exempted: a backup would not know whose they are';
revoke all on function bulkhead.unclassified_tables() from public;

-- Parents before children, so that a load in this order finds every key it points to.
create function bulkhead.tables_to_export()
returns table (ordinal integer, scope text, relation regclass, schema_name name, table_name name, columns name[])
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_column
declare
    v_offenders text;
    v_left oid[];
    v_placed oid[] := '{}';
    v_ready oid[];
begin
    select string_agg(format('%s', u), ', ') into v_offenders from bulkhead.unclassified_tables() as u;
    if v_offenders is not null then
        raise exception using
            errcode = 'BH601',
            message = format('Cannot back up: %s neither protected nor exempt; run select bulkhead.protect(…) or bulkhead.exempt(…, reason) for each',
                v_offenders);
    end if;
    select array_agg(t.relation::oid order by t.schema_name, t.table_name) into v_left
    from (
        select p.relation, p.schema_name, p.table_name
        from bulkhead.protected_tables as p
        left join pg_catalog.pg_class as parent on parent.oid = p.parent
        -- A partition is read through its parent; an inheritance child is a table of its own.
        where parent.oid is null or parent.relkind <> 'p'
        union all
        select e.relation, e.schema_name, e.table_name
        from bulkhead.exempt_tables as e
        join pg_catalog.pg_class as c on c.oid = e.relation
        where c.relkind in ('r', 'p') and not c.relispartition
    ) as t;
    if not exists (select from bulkhead.protected_tables) then
        raise exception using
            errcode = 'BH605',
            message = 'Cannot back up: no table is protected; run select bulkhead.configure(…) and bulkhead.protect(…) first';
    end if;
    while cardinality(v_left) > 0 loop
        select array_agg(l.oid order by l.position) into v_ready
        from unnest(v_left) with ordinality as l (oid, position)
        where not exists (
            select
            from pg_catalog.pg_constraint as c
            where c.contype = 'f' and c.conrelid = l.oid and c.confrelid <> l.oid and c.confrelid = any (v_left)
        );
        -- A cycle: any order will do, restoring deals with the keys that close it.
        v_ready := coalesce(v_ready, v_left[1:1]);
        v_placed := v_placed || v_ready;
        select coalesce(array_agg(l.oid order by l.position), '{}') into v_left
        from unnest(v_left) with ordinality as l (oid, position)
        where l.oid <> all (v_ready);
    end loop;
    return query
    select
        p.position::integer,
        case when t.relation is not null then 'tenant' else 'global' end,
        c.oid::regclass, n.nspname, c.relname, bulkhead.export_columns(c.oid)
    from unnest(v_placed) with ordinality as p (oid, position)
    join pg_catalog.pg_class as c on c.oid = p.oid
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    left join bulkhead.protected_tables as t on t.relation = c.oid
    -- The ledger last: a tenant's own events travel with the tenant, the others with the seals.
    union all
    select 1000000 + k.position::integer, k.scope, c.oid::regclass, n.nspname, c.relname, bulkhead.export_columns(c.oid)
    from (values
        (1, 'global', 'bulkhead.audit_eras'), (2, 'global', 'bulkhead.audit_seals'), (3, 'global', 'bulkhead.audit_shares'),
        (4, 'both', 'bulkhead.audit_events'), (5, 'both', 'bulkhead.audit_leaves')
    ) as k (position, scope, name)
    join pg_catalog.pg_class as c on c.oid = k.name::regclass
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    order by 1;
end
$$;
comment on function bulkhead.tables_to_export() is 'Every table of a backup, parents first: scope tenant (rows of one tenant), global, or both (the ledger). Refuses while a table is unclassified';
revoke all on function bulkhead.tables_to_export() from public;

create function bulkhead.export_query(relation regclass, tenant text default null, with_generated boolean default false)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select format('select %s from %s%s%s',
        (select string_agg(format('t.%I', u.name), ', ' order by u.position)
            from unnest(bulkhead.export_columns(c.oid, with_generated)) with ordinality as u (name, position)),
        -- Rows of inheritance children belong to the children's own entries.
        case when c.relkind = 'r' then 'only ' else '' end,
        bulkhead.qualified(c.oid) || ' as t',
        case
            when c.oid = 'bulkhead.audit_events'::regclass and tenant is null then ' where t.tenant_id is null'
            when c.oid = 'bulkhead.audit_events'::regclass then format(' where t.tenant_id = %L', tenant)
            -- The salts of a tenant's events travel under the tenant's key.
            when c.oid = to_regclass('bulkhead.audit_leaves') then format(
                ' where t.share in (select s.id from bulkhead.audit_shares as s where s.tenant_id %s)',
                case when tenant is null then 'is null' else format('= %L', tenant) end)
            when p.relation is not null and tenant is not null then format(' where t.%I = %L::%s', p.tenant_column, tenant, p.tenant_type)
            when p.relation is not null then ' where false'
            else ''
        end)
    from pg_catalog.pg_class as c
    left join bulkhead.protected_tables as p on p.relation = c.oid
    where c.oid = export_query.relation
$$;
comment on function bulkhead.export_query(regclass, text, boolean) is 'The select whose rows belong to one tenant, or to none: the one place that says whose a row is';
revoke all on function bulkhead.export_query(regclass, text, boolean) from public;

-- The settings decide how values are written; the same here, in COPY and at the other end.
create function bulkhead.content_hash(relation regclass, tenant text default null, out rows bigint, out hash text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
set datestyle = 'ISO, YMD'
set intervalstyle = 'iso_8601'
set timezone = 'UTC'
set extra_float_digits = 3
set bytea_output = 'hex'
set lc_monetary = 'C'
set xmloption = 'content'
set quote_all_identifiers = off
as $$
begin
    -- A sum does not depend on the order of rows, and unlike XOR it sees that a row is there twice. row(r.*): a table may
    -- have a column r. offset 0: pulled up, the hash would be computed anew for each of its four parts.
    execute format($sql$
        select
            count(*),
            encode(sha256(convert_to(concat_ws(':', count(*),
                sum(substring(h.bits from 1 for 64)::bigint), sum(substring(h.bits from 65 for 64)::bigint),
                sum(substring(h.bits from 129 for 64)::bigint), sum(substring(h.bits from 193 for 64)::bigint)), 'UTF8')), 'hex')
        from (
            select ('x' || encode(sha256(convert_to(row(r.*)::text, 'UTF8')), 'hex'))::bit(256) as bits
            from (%s) as r
            offset 0
        ) as h
        $sql$, bulkhead.export_query(relation, tenant, true))
    into rows, hash;
end
$$;
comment on function bulkhead.content_hash(regclass, text) is 'Rows of a tenant (or of a global table) and the sum of their hashes: equal here and in a restored database, or something is lost';
revoke all on function bulkhead.content_hash(regclass, text) from public;

create function bulkhead.schema_fingerprint()
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with tables as (
        select t.relation::oid as oid, bulkhead.qualified(t.relation) as name, t.scope
        from bulkhead.tables_to_export() as t
    ),
    facts as (
        select t.name, 1 as kind, row_number() over (partition by t.oid order by a.attnum)::text as at,
            concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated, a.attidentity,
                nullif(co.collname, 'default'),
                case when a.attgenerated <> '' then pg_get_expr(d.adbin, d.adrelid) end) as fact
        from tables as t
        join pg_catalog.pg_attribute as a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
        left join pg_catalog.pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
        left join pg_catalog.pg_collation as co on co.oid = a.attcollation
        union all
        select t.name, 2, c.conname, pg_get_constraintdef(c.oid)
        from tables as t
        join pg_catalog.pg_constraint as c on c.conrelid = t.oid
        where c.contype in ('p', 'u', 'f', 'c', 'x')
        union all
        select t.name, 3, '', t.scope
        from tables as t
        union all
        select format('%s', format_type(ty.oid, null)), 4, lpad(row_number() over (partition by ty.oid order by e.enumsortorder)::text, 6, '0'), e.enumlabel
        from pg_catalog.pg_type as ty
        join pg_catalog.pg_enum as e on e.enumtypid = ty.oid
        where exists (
            select
            from tables as t
            join pg_catalog.pg_attribute as a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
            where a.atttypid in (ty.oid, ty.typarray)
        )
    )
    select encode(sha256(convert_to(
        string_agg(concat_ws(E'\x1f', f.name, f.kind, f.at, f.fact), E'\x1e' order by f.name collate "C", f.kind, f.at collate "C", f.fact collate "C"),
        'UTF8')), 'hex')
    from facts as f
$$;
comment on function bulkhead.schema_fingerprint() is 'Columns, types and constraints of everything that is exported, as one hash; names no oid, so two databases can be compared';
revoke all on function bulkhead.schema_fingerprint() from public;

create function bulkhead.tenants_to_export()
returns setof text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_settings bulkhead.settings := (select s from bulkhead.settings as s);
begin
    -- A deleted tenant's trail stays, and stays theirs.
    return query execute format(
        'select t.%I::text from %s as t union select e.tenant_id from bulkhead.audit_events as e where e.tenant_id is not null order by 1',
        v_settings.tenant_key, bulkhead.qualified(v_settings.tenants_table));
end
$$;
comment on function bulkhead.tenants_to_export() is 'Every tenant, and every tenant that the ledger remembers';
revoke all on function bulkhead.tenants_to_export() from public;

create function bulkhead.sequences_to_export()
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_sequence record;
    v_positions jsonb := '[]';
    v_position jsonb;
begin
    for v_sequence in
        select n.nspname, c.relname
        from pg_catalog.pg_class as c
        join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
        cross join bulkhead.settings as s
        where c.relkind = 'S'
            and (
                n.nspname = any (s.exposed_schemas)
                or exists (
                    select
                    from pg_catalog.pg_depend as d
                    where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')
                        and (
                            d.refobjid in ('bulkhead.audit_events'::regclass, 'bulkhead.audit_shares'::regclass)
                            or exists (select from bulkhead.protected_tables as p where p.relation = d.refobjid)
                            or exists (select from bulkhead.exempt_tables as e where e.relation = d.refobjid)
                        )
                )
                -- A column's default may take numbers from a sequence that lies elsewhere and belongs to nobody.
                or exists (
                    select
                    from pg_catalog.pg_depend as d
                    join pg_catalog.pg_attrdef as a on a.oid = d.objid
                    where d.classid = 'pg_catalog.pg_attrdef'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = c.oid
                        and (
                            exists (select from bulkhead.protected_tables as p where p.relation = a.adrelid)
                            or exists (select from bulkhead.exempt_tables as e where e.relation = a.adrelid)
                        )
                )
            )
        order by 1, 2
    loop
        -- As text: a position may be larger than JSON's safe integers.
        execute format('select jsonb_build_object(''schema'', %L, ''name'', %L, ''last'', last_value::text, ''called'', is_called) from %I.%I',
            v_sequence.nspname, v_sequence.relname, v_sequence.nspname, v_sequence.relname)
        into v_position;
        v_positions := v_positions || v_position;
    end loop;
    return v_positions;
end
$$;
comment on function bulkhead.sequences_to_export() is 'The position of every sequence that exported tables own or draw from, or that lies in an exposed schema';
revoke all on function bulkhead.sequences_to_export() from public;

create function bulkhead.documents_to_export()
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select jsonb_build_object(
        'sequences', bulkhead.sequences_to_export(),
        'audit_partitions', (
            select coalesce(jsonb_agg(jsonb_build_object('name', c.relname, 'bound', pg_get_expr(c.relpartbound, c.oid)) order by c.relname), '[]')
            from pg_catalog.pg_inherits as i
            join pg_catalog.pg_class as c on c.oid = i.inhrelid
            where i.inhparent = 'bulkhead.audit_events'::regclass
        ),
        -- As JSON text: what is signed and encrypted knows whole numbers only, thresholds are fractions.
        'settings', (select (to_jsonb(s) - 'is_singleton')::text from bulkhead.settings as s),
        'protected_tables', (select coalesce(jsonb_agg(to_jsonb(t) order by t.schema_name, t.table_name), '[]')::text from bulkhead.protected_tables as t),
        'exempt_tables', (select coalesce(jsonb_agg(to_jsonb(t) order by t.schema_name, t.table_name), '[]')::text from bulkhead.exempt_tables as t),
        'canaries', (select coalesce(jsonb_agg(to_jsonb(t) order by t.name), '[]')::text from bulkhead.canaries as t)
    )
$$;
comment on function bulkhead.documents_to_export() is 'What is no table of yours: sequence positions, the ledger''s partitions, the kit''s settings, declarations and thresholds';
revoke all on function bulkhead.documents_to_export() from public;

create function bulkhead.applied_migrations()
returns text[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_versions text[];
begin
    if to_regclass('supabase_migrations.schema_migrations') is null then
        return '{}';
    end if;
    execute 'select coalesce(array_agg(version::text order by version), ''{}'') from supabase_migrations.schema_migrations' into v_versions;
    return v_versions;
end
$$;
comment on function bulkhead.applied_migrations() is 'The versions that the Supabase CLI has recorded; empty where it was not used';
revoke all on function bulkhead.applied_migrations() from public;

-- ---------------------------------------------------------------- foreign keys, looked at by hand

-- Loading in replica mode skips every key, and VALIDATE lies under forced RLS: an anti-join does neither.
create function bulkhead.broken_foreign_keys()
returns table (name name, child regclass, parent regclass, is_exported boolean, rows bigint)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_column
declare
    v_key record;
    v_count bigint;
begin
    for v_key in
        with exported as (
            select t.relation from bulkhead.tables_to_export() as t where t.scope <> 'both'
        )
        select c.conname, c.conrelid, c.confrelid, c.confmatchtype,
            exists (select from exported as e where e.relation = c.confrelid) as is_exported,
            bulkhead.columns_of(c.conrelid, c.conkey) as columns,
            bulkhead.columns_of(c.confrelid, c.confkey) as parent_columns
        from pg_catalog.pg_constraint as c
        join exported as e on e.relation = c.conrelid
        where c.contype = 'f' and c.conparentid = 0
        order by c.conrelid::regclass::text, c.conname
    loop
        execute format(
            'select count(*) from %s as c where %s and not exists (select from %s as p where %s)',
            bulkhead.qualified(v_key.conrelid),
            (select string_agg(format('c.%I is not null', u.name), case when v_key.confmatchtype = 'f' then ' or ' else ' and ' end)
                from unnest(v_key.columns) as u (name)),
            bulkhead.qualified(v_key.confrelid),
            (select string_agg(format('p.%I = c.%I', p.name, c.name), ' and ')
                from unnest(v_key.columns) with ordinality as c (name, position)
                join unnest(v_key.parent_columns) with ordinality as p (name, position) using (position)))
        into v_count;
        if v_count > 0 then
            return query select v_key.conname, v_key.conrelid::regclass, v_key.confrelid::regclass, v_key.is_exported, v_count;
        end if;
    end loop;
end
$$;
comment on function bulkhead.broken_foreign_keys() is 'Rows of exported tables that point to nothing, key by key; is_exported is false where the parent is no part of a backup (auth.users)';
revoke all on function bulkhead.broken_foreign_keys() from public;

-- ---------------------------------------------------------------- runs

create function bulkhead.end_abandoned_backups(is_runner boolean)
returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    update bulkhead.backup_runs as r set
        state = 'failed',
        finished_at = now(),
        error = coalesce(r.error, 'interrupted: it stopped without a word'),
        lease_token = null,
        leased_until = null
    where r.state = 'running'
        and (
            -- Whoever asks holds the runners' lock, so a running runner is a dead one.
            (is_runner and r.source = 'runner')
            -- The edge goes on with its own run for a day.
            or (r.source = 'edge' and coalesce(r.leased_until, '-infinity') < now() and (is_runner or r.started_at < now() - interval '20 hours'))
        )
$$;
comment on function bulkhead.end_abandoned_backups(boolean) is 'Marks runs failed that nobody works on any more';
revoke all on function bulkhead.end_abandoned_backups(boolean) from public;

-- A runner holds a session's advisory lock, which dies with it; the edge has no session, so it holds a lease.
create function bulkhead.claim_backup(id text, source text, lease interval default '3 minutes', out backup_id text, out token uuid)
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_column
declare
    v_lock bigint := hashtextextended('bulkhead.backup', 0);
    v_running bulkhead.backup_runs;
    v_is_free boolean;
begin
    v_is_free := case when claim_backup.source = 'runner' then pg_try_advisory_lock(v_lock) else pg_try_advisory_xact_lock(v_lock) end;
    if v_is_free then
        perform bulkhead.end_abandoned_backups(claim_backup.source = 'runner');
        select r.* into v_running from bulkhead.backup_runs as r where r.state = 'running' for update;
        if v_running.id is null then
            insert into bulkhead.backup_runs (id, source, lease_token, leased_until, snapshot_xmin)
            values (claim_backup.id, claim_backup.source, gen_random_uuid(), now() + lease, pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
            returning backup_runs.id, lease_token into backup_id, token;
            return;
        end if;
        if claim_backup.source = 'edge' and v_running.source = 'edge' and coalesce(v_running.leased_until, '-infinity') < now() then
            update bulkhead.backup_runs as r
            set lease_token = gen_random_uuid(), leased_until = now() + lease
            where r.id = v_running.id
            returning r.id, r.lease_token into backup_id, token;
            return;
        end if;
        if claim_backup.source = 'runner' then
            perform pg_advisory_unlock(v_lock);
        end if;
    end if;
    raise exception using
        errcode = 'BH602',
        message = 'another backup is running; wait for it, or for its lease to end';
end
$$;
comment on function bulkhead.claim_backup(text, text, interval) is 'Begins a backup, or takes over one that the edge left half-way; refuses (BH602) while somebody works on one. The token is needed for everything else';
revoke all on function bulkhead.claim_backup(text, text, interval) from public;

create function bulkhead.hold_backup(id text, token uuid, lease interval default '3 minutes')
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_column
begin
    update bulkhead.backup_runs as r
    set leased_until = case when lease > interval '0' then now() + lease end,
        lease_token = case when lease > interval '0' then r.lease_token end
    where r.id = hold_backup.id and r.lease_token = hold_backup.token and r.state = 'running';
    if not found then
        raise exception using
            errcode = 'BH603',
            message = format('the lease of backup %s is lost: somebody else took it over; do nothing more', hold_backup.id);
    end if;
end
$$;
comment on function bulkhead.hold_backup(text, uuid, interval) is 'Renews the lease, or gives it back (lease 0) so that the next call can go on; refuses (BH603) who lost it';
revoke all on function bulkhead.hold_backup(text, uuid, interval) from public;

create function bulkhead.note_backup(id text, token uuid, fingerprint text, tenant_left_out text default null)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_column
begin
    perform bulkhead.hold_backup(note_backup.id, note_backup.token);
    update bulkhead.backup_runs as r set
        schema_fingerprint = coalesce(r.schema_fingerprint, note_backup.fingerprint),
        left_out = case
            when tenant_left_out is null or tenant_left_out = any (r.left_out) then r.left_out
            else r.left_out || tenant_left_out
        end
    where r.id = note_backup.id;
    return exists (
        select from bulkhead.backup_runs as r where r.id = note_backup.id and r.schema_fingerprint = note_backup.fingerprint
    );
end
$$;
comment on function bulkhead.note_backup(text, uuid, text, text) is 'Remembers the schema a run began with and who was too large for it; false when the schema is another one by now';
revoke all on function bulkhead.note_backup(text, uuid, text, text) from public;

create function bulkhead.record_backup_object(id text, token uuid, entry jsonb)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    perform bulkhead.hold_backup(id, token);
    insert into bulkhead.backup_objects (backup_id, tenant_id, part, entry)
    values (record_backup_object.id, record_backup_object.entry ->> 'tenant', (record_backup_object.entry ->> 'part')::integer, record_backup_object.entry);
end
$$;
comment on function bulkhead.record_backup_object(text, uuid, jsonb) is 'Remembers an uploaded object, for its holder only';
revoke all on function bulkhead.record_backup_object(text, uuid, jsonb) from public;

create function bulkhead.finish_backup(id text, token uuid, state text, facts jsonb default '{}')
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_column
declare
    v_run bulkhead.backup_runs;
    v_before text := (
        select r.state from bulkhead.backup_runs as r where r.state <> 'running' order by r.finished_at desc, r.id desc limit 1
    );
begin
    perform bulkhead.hold_backup(id, token);
    update bulkhead.backup_runs as r set
        state = finish_backup.state,
        finished_at = clock_timestamp(),
        lease_token = null,
        leased_until = null,
        snapshot_xmin = coalesce((facts ->> 'snapshot_xmin')::bigint, r.snapshot_xmin),
        schema_fingerprint = coalesce(facts ->> 'schema_fingerprint', r.schema_fingerprint),
        tenants = coalesce((facts ->> 'tenants')::bigint, r.tenants),
        tenant_rows = coalesce((facts ->> 'rows')::bigint, r.tenant_rows),
        raw_bytes = coalesce((facts ->> 'raw_bytes')::bigint, r.raw_bytes),
        stored_bytes = coalesce((facts ->> 'stored_bytes')::bigint, r.stored_bytes),
        manifest_key = facts ->> 'manifest_key',
        manifest_sha256 = facts ->> 'manifest_sha256',
        left_out = coalesce((select array_agg(l.tenant) from jsonb_array_elements_text(facts -> 'left_out') as l (tenant)), r.left_out),
        error = left(facts ->> 'error', 500)
    where r.id = finish_backup.id
    returning r.* into v_run;
    if v_run.source = 'runner' then
        perform pg_advisory_unlock(hashtextextended('bulkhead.backup', 0));
    end if;
    if state = 'failed' then
        perform bulkhead.enqueue_alert('notice', 'critical', jsonb_build_object(
            'title', 'Backup failed',
            'detail', v_run.error,
            'facts', jsonb_build_object('Backup', v_run.id, 'By', v_run.source, 'Started', v_run.started_at),
            'actions', jsonb_build_array('Read the log of the run, repair the cause, run bulkhead backup again', 'The last complete backup is untouched'),
            'runbook', 'docs/runbooks/restore.md'));
    elsif v_before = 'failed' then
        perform bulkhead.enqueue_alert('notice', 'info', jsonb_build_object(
            'title', 'Backups work again',
            'detail', format('Backup %s is complete: %s rows of %s tenants.', v_run.id, v_run.tenant_rows, v_run.tenants),
            'facts', jsonb_build_object('Backup', v_run.id, 'By', v_run.source), 'actions', '[]'::jsonb));
    end if;
end
$$;
comment on function bulkhead.finish_backup(text, uuid, text, jsonb) is 'Ends a run as complete or failed; a failure, and the first success after one, is reported';
revoke all on function bulkhead.finish_backup(text, uuid, text, jsonb) from public;

create function bulkhead.record_drill(drill jsonb)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_drill bulkhead.drills;
begin
    insert into bulkhead.drills (backup_id, started_at, finished_at, is_passed, restored_rows, tests, rpo_seconds, rto_seconds, report)
    values (
        drill ->> 'backup_id', (drill ->> 'started_at')::timestamptz, (drill ->> 'finished_at')::timestamptz, (drill ->> 'is_passed')::boolean,
        (drill ->> 'restored_rows')::bigint, (drill ->> 'tests')::bigint, (drill ->> 'rpo_seconds')::numeric, (drill ->> 'rto_seconds')::numeric,
        drill -> 'report')
    returning * into v_drill;
    perform bulkhead.enqueue_alert('notice', case when v_drill.is_passed then 'info' else 'critical' end, jsonb_build_object(
        'title', case when v_drill.is_passed then 'Restore drill passed' else 'Restore drill failed' end,
        'detail', case
            when v_drill.is_passed then format('Backup %s was restored and compared: %s rows, %s tests, no difference.', v_drill.backup_id, v_drill.restored_rows, v_drill.tests)
            else (select string_agg(f.problem, E'\n') from (
                select p.problem from jsonb_array_elements_text(v_drill.report -> 'problems') as p (problem) limit 10) as f)
        end,
        'facts', jsonb_build_object('Backup', v_drill.backup_id, 'Rows', v_drill.restored_rows, 'Tests', v_drill.tests,
            'Data lost at most', format('%s s', round(v_drill.rpo_seconds)), 'Time to restore', format('%s s', round(v_drill.rto_seconds))),
        'actions', case when v_drill.is_passed then '[]'::jsonb
            else jsonb_build_array('Read the drill''s report', 'Until a drill passes, do not rely on this backup: run bulkhead backup --full and the drill again') end,
        'runbook', 'docs/runbooks/restore.md'));
    return v_drill.id;
end
$$;
comment on function bulkhead.record_drill(jsonb) is 'Records a drill and reports it, passed or failed';
revoke all on function bulkhead.record_drill(jsonb) from public;

create function bulkhead.dispatch_backup()
returns bigint
language sql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    -- The nonce tells two calls of one second apart: the same signature twice is a replay.
    select bulkhead.call_function('backup', jsonb_build_object('action', 'backup', 'nonce', gen_random_uuid()))
$$;
comment on function bulkhead.dispatch_backup() is 'Asks the function backup to begin a backup, or to go on with one; returns pg_net''s request id';
revoke all on function bulkhead.dispatch_backup() from public;

create function bulkhead.resume_backup()
returns bigint
language sql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select bulkhead.dispatch_backup()
    from bulkhead.backup_runs as r
    where r.source = 'edge' and r.state = 'running' and coalesce(r.leased_until, '-infinity') < now()
$$;
comment on function bulkhead.resume_backup() is 'Calls the function backup again when a run of it stopped without a word (null: none did); runs every five minutes';
revoke all on function bulkhead.resume_backup() from public;

-- ---------------------------------------------------------------- checks

create function bulkhead.checks_backups()
returns setof bulkhead.check_result
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_complete bulkhead.backup_runs;
    v_last bulkhead.backup_runs;
    v_drill bulkhead.drills;
    v_hours numeric;
    v_days numeric;
begin
    select r.* into v_complete from bulkhead.backup_runs as r where r.state = 'complete' order by r.started_at desc limit 1;
    v_hours := round(extract(epoch from now() - v_complete.started_at) / 3600, 1);
    return next bulkhead.check_row(
        'backup_age', null, 'A complete backup is younger than 26 hours', 'critical', 'backups',
        case when v_hours <= 26 then 'pass' else 'fail' end,
        v_hours, 26,
        case when v_complete.id is null then 'No backup was ever completed.' else format('Backup %s began %s hours ago.', v_complete.id, v_hours) end,
        'Run bulkhead backup; then see why the schedule did not: select * from bulkhead.backup_runs order by started_at desc limit 5',
        reproduce_sql => 'select * from bulkhead.backup_runs where state = ''complete'' order by started_at desc limit 1');

    select r.* into v_last from bulkhead.backup_runs as r order by r.started_at desc, r.id desc limit 1;
    return next bulkhead.check_row(
        'backup_failed', null, 'The latest backup did not fail', 'critical', 'backups',
        case
            when v_last.id is null then 'unknown'
            when v_last.state = 'failed' then 'fail'
            when v_last.state = 'running' and v_last.started_at < now() - interval '20 hours' then 'fail'
            else 'pass'
        end,
        case when v_last.id is null then null when v_last.state = 'failed' then 1 else 0 end, 0,
        case
            when v_last.id is null then 'No backup was ever begun.'
            when v_last.state = 'failed' then format('Backup %s failed: %s', v_last.id, v_last.error)
            when v_last.state = 'running' then format('Backup %s is running since %s.', v_last.id, v_last.started_at)
            else format('Backup %s is complete.', v_last.id)
        end,
        'Repair what the error names and run bulkhead backup again',
        reproduce_sql => 'select * from bulkhead.backup_runs order by started_at desc limit 1');

    return next bulkhead.check_row(
        'backup_left_out', null, 'Every tenant is in the latest backup', 'critical', 'backups',
        case when v_complete.id is null then 'unknown' when cardinality(v_complete.left_out) > 0 then 'fail' else 'pass' end,
        cardinality(v_complete.left_out), 0,
        case
            when v_complete.id is null then 'There is no complete backup to look at.'
            when cardinality(v_complete.left_out) > 0
                then format('Too large for the edge function, and not in backup %s: %s tenants.', v_complete.id, cardinality(v_complete.left_out))
            else format('Backup %s left nobody out.', v_complete.id)
        end,
        'Back up with the runner: bulkhead backup (see .github/workflows/backup-nightly.yml)',
        v_complete.left_out[1:5]);

    select d.* into v_drill from bulkhead.drills as d order by d.finished_at desc, d.id desc limit 1;
    v_days := round(extract(epoch from now() - v_drill.finished_at) / 86400, 1);
    return next bulkhead.check_row(
        'drill_age', null, 'A restore drill passed in the last 35 days', 'critical', 'backups',
        case when v_drill.is_passed and v_days <= 35 then 'pass' else 'fail' end,
        v_days, 35,
        case
            when v_drill.id is null then 'No restore drill was ever run: nobody knows whether the backups can be restored.'
            when not v_drill.is_passed then format('The latest drill (of backup %s) failed.', v_drill.backup_id)
            else format('A drill of backup %s passed %s days ago: %s rows, %s tests.', v_drill.backup_id, v_days, v_drill.restored_rows, v_drill.tests)
        end,
        'Run bulkhead drill',
        reproduce_sql => 'select * from bulkhead.drills order by finished_at desc limit 1');
end
$$;
comment on function bulkhead.checks_backups() is 'Rules of the backups: age, latest failure, tenants left out, age of the last passed drill. What never happened fails';
revoke all on function bulkhead.checks_backups() from public;
