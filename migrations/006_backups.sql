-- Backups: what leaves the platform, in which shape, and the record of every run and drill.
-- Public objects: tables bulkhead.backup_runs, backup_objects, tenant_backups, verifications, drills, prunes; functions
--   bulkhead.configure_backups(), tables_to_export(), export_query(), content_hash(), schema_fingerprint(),
--   broken_foreign_keys(), claim_backup(), hold_backup(), note_backup(), try_backup_object(), stage_backup(),
--   record_backup_object(), finish_backup(),
--   record_verification(), record_drill(), record_prune(), dispatch_backup(), resume_backup(), checks_backups().
-- Never: reads a key, deletes a backup, calls a run complete whose manifest is not written.
-- Errors: BH601 a table is neither protected nor exempt, BH602 another backup is running, BH603 the lease is lost,
--   BH605 there are no tenants' tables, BH606 a tenant is too large for the edge function.
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
    -- Every object was copied, or compared with the rows that it stands for.
    is_compared boolean not null default false,
    unrecorded text[] not null default '{}',
    kek_since timestamptz,
    -- What the edge works on, and how often it began that: nobody may hold up all others for ever.
    trying text,
    tries integer not null default 0,
    manifest_key text,
    manifest_sha256 text,
    error text,
    check ((state = 'running') = (finished_at is null)),
    check ((lease_token is null) = (leased_until is null)),
    -- Without a manifest there is no backup, whatever was uploaded.
    check (state <> 'complete' or (manifest_key is not null and manifest_sha256 is not null))
);
comment on table bulkhead.backup_runs is 'One row a backup: running, complete (its manifest is written) or failed';
comment on column bulkhead.backup_runs.unrecorded is 'Tenants whose rows were no longer those of their object, though the ledger had no event: they were copied anew';
comment on column bulkhead.backup_runs.left_out is 'Tenants that were too large for the edge function; the runner has to take them';
comment on column bulkhead.backup_runs.kek_since is 'Since when the key-encryption key wraps the store''s keyring, as the run read it there; the date is all that the database learns of any key';
-- One at a time, by the database itself.
create unique index backup_runs_running_key on bulkhead.backup_runs ((true)) where state = 'running';
create index backup_runs_finished_at_idx on bulkhead.backup_runs (finished_at);
alter table bulkhead.backup_runs enable row level security;
revoke all on bulkhead.backup_runs from public, anon, authenticated, service_role;

create table bulkhead.backup_objects (
    backup_id text not null references bulkhead.backup_runs (id) on delete cascade,
    tenant_id text not null,
    part integer not null default 1 check (part > 0),
    parts integer not null default 1,
    -- Its entry in the manifest.
    entry jsonb not null check (jsonb_typeof(entry) = 'object'),
    recorded_at timestamptz not null default now(),
    primary key (backup_id, tenant_id, part),
    check (part <= parts)
);
comment on table bulkhead.backup_objects is 'The objects of each backup as its manifest lists them; an interrupted run on the edge goes on from here';
comment on column bulkhead.backup_objects.parts is 'How many parts its tenant has: fewer rows than that, and the tenant is not done';
alter table bulkhead.backup_objects enable row level security;
revoke all on bulkhead.backup_objects from public, anon, authenticated, service_role;

create table bulkhead.tenant_backups (
    tenant_id text primary key,
    backup_id text not null,
    backed_up_at timestamptz not null
);
comment on table bulkhead.tenant_backups is 'The newest complete backup that holds each tenant, by an object of its own or by reference to an older one';
alter table bulkhead.tenant_backups enable row level security;
revoke all on bulkhead.tenant_backups from public, anon, authenticated, service_role;

create table bulkhead.verifications (
    id bigint generated always as identity primary key,
    backup_id text not null,
    -- When the backup began, by its manifest: what matters is how old the newest one is that can be read.
    backup_at timestamptz not null,
    verified_at timestamptz not null default now(),
    objects bigint not null,
    is_whole boolean not null,
    error text,
    check (is_whole = (error is null)),
    -- Reading nothing has proved nothing.
    check (not is_whole or objects > 0)
);
comment on table bulkhead.verifications is 'Backups that were read back to the last byte, by bulkhead backups verify or by a drill, and what was found';
create index verifications_verified_at_idx on bulkhead.verifications (verified_at);
alter table bulkhead.verifications enable row level security;
revoke all on bulkhead.verifications from public, anon, authenticated, service_role;

create table bulkhead.prunes (
    id bigint generated always as identity primary key,
    ran_at timestamptz not null default now(),
    kept bigint not null check (kept >= 0),
    removed bigint not null check (removed >= 0),
    -- What should have gone and is still there: stopped, or locked by the store.
    overdue bigint not null check (overdue >= 0),
    stopped text
);
comment on table bulkhead.prunes is 'Runs of bulkhead prune --apply: what retention kept, removed and could not remove';
create index prunes_ran_at_idx on bulkhead.prunes (ran_at);
alter table bulkhead.prunes enable row level security;
revoke all on bulkhead.prunes from public, anon, authenticated, service_role;

-- The edge has no session that outlives a call, so no snapshot that does: a tenant's rows are laid out here in one, and
-- leave from here part by part. Unlogged, both: a crash empties both, and the tenant begins anew.
create unlogged table bulkhead.backup_staged (
    backup_id text not null references bulkhead.backup_runs (id) on delete cascade,
    tenant_id text not null,
    part_bytes bigint[] not null check (cardinality(part_bytes) > 0),
    -- Of each part, table by table: part, position, schema, name, columns, rows, hash.
    tables jsonb not null,
    documents jsonb not null,
    primary key (backup_id, tenant_id)
);
comment on table bulkhead.backup_staged is 'Tenants that a run on the edge is at work on, in the parts it has cut them into; empty between runs';
alter table bulkhead.backup_staged enable row level security;
revoke all on bulkhead.backup_staged from public, anon, authenticated, service_role;

create unlogged table bulkhead.backup_chunks (
    backup_id text not null,
    tenant_id text not null,
    part integer not null,
    position integer not null,
    number integer not null,
    lines text not null,
    primary key (backup_id, tenant_id, part, position, number),
    foreign key (backup_id, tenant_id) references bulkhead.backup_staged (backup_id, tenant_id) on delete cascade deferrable initially deferred
);
comment on table bulkhead.backup_chunks is 'COPY text of the rows in backup_staged, in pieces; empty between runs';
-- It is read once and deleted.
alter table bulkhead.backup_chunks alter column lines set storage external;
alter table bulkhead.backup_chunks enable row level security;
revoke all on bulkhead.backup_chunks from public, anon, authenticated, service_role;


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

-- ---------------------------------------------------------------- who makes them

create function bulkhead.configure_backups(
    backup_by text default null, rto_seconds integer default null, kek_days integer default null,
    edge_tenant_bytes bigint default null, edge_part_bytes bigint default null
)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_column
begin
    if configure_backups.backup_by not in ('edge', 'runner', 'none') then
        raise exception using
            errcode = 'BH002',
            message = format('backups are made by edge, runner or none; there is no "%s"', configure_backups.backup_by);
    end if;
    if configure_backups.rto_seconds <= 0 then
        raise exception using
            errcode = 'BH002',
            message = format('a restore takes more than %s seconds; name the time that you promised', configure_backups.rto_seconds);
    end if;
    if configure_backups.kek_days <= 0 then
        raise exception using
            errcode = 'BH002',
            message = format('a key-encryption key lives longer than %s days; name the days after which it has to be another', configure_backups.kek_days);
    end if;
    if not configure_backups.edge_tenant_bytes between 65536 and 1073741824 or not configure_backups.edge_part_bytes between 65536 and 33554432 then
        raise exception using
            errcode = 'BH002',
            message = 'the edge function takes parts of 64 kB to 32 MB, and tenants of 64 kB to 1 GB; leave others to the runner';
    end if;
    update bulkhead.settings as s set
        backup_by = coalesce(configure_backups.backup_by, s.backup_by),
        rto_seconds = coalesce(configure_backups.rto_seconds, s.rto_seconds),
        kek_days = coalesce(configure_backups.kek_days, s.kek_days),
        edge_tenant_bytes = coalesce(configure_backups.edge_tenant_bytes, s.edge_tenant_bytes),
        edge_part_bytes = coalesce(configure_backups.edge_part_bytes, s.edge_part_bytes);
    perform bulkhead.log_change('configure', 'bulkhead.settings', null, (select to_jsonb(s) from bulkhead.settings as s));
    perform bulkhead.declare_settings();
end
$$;
comment on function bulkhead.configure_backups(text, integer, integer, bigint, bigint) is
    'Says who makes the nightly backup: edge (pg_cron calls the function, the default), runner (bulkhead backup --scheduled, e.g. in GitHub Actions) or none, in how many seconds a drill must have restored, and after how many days the key-encryption key has to be another; and how much of a tenant the function takes, in all and in one part. Null leaves what was said before';
revoke all on function bulkhead.configure_backups(text, integer, integer, bigint, bigint) from public;

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

-- COPY itself can't write into a table. Its text format: output functions, a backslash before what would end a column.
create function bulkhead.export_lines_query(relation regclass, tenant text default null)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select format('select %s from (%s) as r',
        coalesce(
            string_agg(
                -- Not "is null": that is true of a composite value whose fields are.
                format($sql$case when r.%1$I is not distinct from null then '\N' else %2$s end$sql$, u.name,
                    case
                        when a.atttypid in (
                            'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype, 'float4'::regtype, 'float8'::regtype,
                            'bool'::regtype, 'uuid'::regtype, 'date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype
                        ) then format($sql$format('%%s', r.%I)$sql$, u.name)
                        else format(
                            $sql$replace(replace(replace(replace(replace(replace(replace(format('%%s', r.%I), '\', '\\'),
                                chr(8), '\b'), chr(9), '\t'), chr(10), '\n'), chr(11), '\v'), chr(12), '\f'), chr(13), '\r')$sql$, u.name)
                    end),
                $sql$ || chr(9) || $sql$ order by u.position),
            $sql$''$sql$),
        bulkhead.export_query(relation, tenant))
    from unnest(bulkhead.export_columns(relation)) with ordinality as u (name, position)
    join pg_catalog.pg_attribute as a on a.attrelid = relation and a.attname = u.name
$$;
comment on function bulkhead.export_lines_query(regclass, text) is 'The select whose one column is what COPY would write of export_query(), line by line';
revoke all on function bulkhead.export_lines_query(regclass, text) from public;

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
    -- A deleted tenant's trail stays, and stays theirs. From one tenant of the ledger to the next by its index: as many
    -- steps as there are tenants, not events.
    return query execute format($sql$
        with recursive remembered (tenant) as (
            (select e.tenant_id from bulkhead.audit_events as e where e.tenant_id is not null order by e.tenant_id limit 1)
            union all
            select (select e.tenant_id from bulkhead.audit_events as e where e.tenant_id > r.tenant order by e.tenant_id limit 1)
            from remembered as r
            where r.tenant is not null
        )
        select t.%I::text from %s as t
        union
        select r.tenant from remembered as r where r.tenant is not null
        order by 1
        $sql$,
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
        where c.contype = 'f' and c.conparentid = 0
            and (
                exists (select from exported as e where e.relation = c.conrelid)
                -- Rows that no backup holds stay where they are while what they point to is replaced.
                or (exists (select from exported as e where e.relation = c.confrelid)
                    and has_table_privilege(c.conrelid, 'select'))
            )
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
comment on function bulkhead.broken_foreign_keys() is 'Rows that point to nothing, in every key from or to an exported table; is_exported is false where the parent is no part of a backup (auth.users)';
revoke all on function bulkhead.broken_foreign_keys() from public;

-- ---------------------------------------------------------------- runs

create function bulkhead.end_abandoned_backups(is_runner boolean)
returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with ended as (
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
        returning r.id
    )
    delete from bulkhead.backup_staged as s using ended as e where s.backup_id = e.id
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
        if v_running.id is null and claim_backup.id is null then
            return;
        end if;
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
comment on function bulkhead.claim_backup(text, text, interval) is 'Begins a backup (without an id: does not), or takes over one that the edge left half-way; refuses (BH602) while somebody works on one. The token is needed for everything else';
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
    -- Who is left out is left out whole.
    delete from bulkhead.backup_staged as s where s.backup_id = note_backup.id and s.tenant_id = note_backup.tenant_left_out;
    delete from bulkhead.backup_objects as o where o.backup_id = note_backup.id and o.tenant_id = note_backup.tenant_left_out;
    return exists (
        select from bulkhead.backup_runs as r where r.id = note_backup.id and r.schema_fingerprint = note_backup.fingerprint
    );
end
$$;
comment on function bulkhead.note_backup(text, uuid, text, text) is 'Remembers the schema a run began with and who was too large for it; false when the schema is another one by now';
revoke all on function bulkhead.note_backup(text, uuid, text, text) from public;

create function bulkhead.try_backup_object(id text, token uuid, what text)
returns integer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_column
declare
    v_tries integer;
begin
    perform bulkhead.hold_backup(try_backup_object.id, try_backup_object.token);
    update bulkhead.backup_runs as r set
        tries = case when r.trying = try_backup_object.what then r.tries + 1 else 1 end,
        trying = try_backup_object.what
    where r.id = try_backup_object.id
    returning r.tries into v_tries;
    return v_tries;
end
$$;
comment on function bulkhead.try_backup_object(text, uuid, text) is 'Says what the holder begins now, and returns how often it was begun: what ends its worker every time must not do so for ever';
revoke all on function bulkhead.try_backup_object(text, uuid, text) from public;

-- Call it in a repeatable read transaction: every table and every hash shows one moment. The lease is looked at last, so
-- that nobody waits for this and who has lost it keeps nothing. Settings as in content_hash().
create function bulkhead.stage_backup(id text, token uuid, tenant text default null)
returns bigint
language plpgsql
volatile
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
#variable_conflict use_column
declare
    c_chunk_bytes constant integer := 262144;
    v_settings bulkhead.settings := (select s from bulkhead.settings as s);
    v_name text := coalesce(tenant, '@global');
    v_table record;
    v_hash record;
    v_line text;
    v_size bigint;
    v_lines text[];
    v_chunk bigint;
    v_rows bigint;
    v_seen bigint;
    v_number integer;
    v_part integer := 1;
    v_parts bigint[] := '{0}';
    v_total bigint := 0;
    v_tables jsonb := '[]';
begin
    if current_setting('transaction_isolation') not in ('repeatable read', 'serializable') then
        raise exception using
            errcode = '25001',
            message = 'stage_backup() reads one snapshot: call it in a repeatable read transaction';
    end if;
    -- Parts of another moment, of before a crash, must not stand beside these.
    delete from bulkhead.backup_objects as o where o.backup_id = stage_backup.id and o.tenant_id = v_name;
    delete from bulkhead.backup_staged as s where s.backup_id = stage_backup.id and s.tenant_id = v_name;
    for v_table in
        select t.ordinal, t.relation, t.schema_name, t.table_name, t.columns
        from bulkhead.tables_to_export() as t
        where t.scope = 'both' or (t.scope = 'global') = (stage_backup.tenant is null)
        order by t.ordinal
    loop
        select h.rows, h.hash into v_hash from bulkhead.content_hash(v_table.relation, stage_backup.tenant) as h;
        v_lines := '{}';
        v_chunk := 0;
        v_rows := 0;
        v_seen := 0;
        v_number := 0;
        for v_line in execute bulkhead.export_lines_query(v_table.relation, stage_backup.tenant) loop
            v_size := octet_length(v_line) + 1;
            v_total := v_total + v_size;
            if v_total > v_settings.edge_tenant_bytes or v_size > v_settings.edge_part_bytes then
                raise exception using
                    errcode = 'BH606',
                    message = format('tenant %s is too large for the edge function: %s', v_name, case
                        when v_size > v_settings.edge_part_bytes then format('a row of %s has %s bytes', bulkhead.qualified(v_table.relation), v_size)
                        else format('over %s bytes', v_settings.edge_tenant_bytes)
                    end),
                    hint = 'Back up with the runner, which takes any size: npx bulkhead backup';
            end if;
            if v_chunk > 0 and (v_chunk + v_size > c_chunk_bytes or v_parts[v_part] + v_chunk + v_size > v_settings.edge_part_bytes) then
                v_number := v_number + 1;
                insert into bulkhead.backup_chunks (backup_id, tenant_id, part, position, number, lines)
                values (stage_backup.id, v_name, v_part, v_table.ordinal, v_number, array_to_string(v_lines, chr(10)) || chr(10));
                v_parts[v_part] := v_parts[v_part] + v_chunk;
                v_lines := '{}';
                v_chunk := 0;
            end if;
            if v_parts[v_part] > 0 and v_parts[v_part] + v_chunk + v_size > v_settings.edge_part_bytes then
                if v_rows > 0 then
                    v_tables := v_tables || jsonb_build_object('part', v_part, 'position', v_table.ordinal, 'schema', v_table.schema_name,
                        'name', v_table.table_name, 'columns', v_table.columns, 'rows', v_rows, 'hash', v_hash.hash);
                end if;
                v_part := v_part + 1;
                v_parts := v_parts || 0::bigint;
                v_rows := 0;
                v_number := 0;
            end if;
            v_lines := v_lines || v_line;
            v_chunk := v_chunk + v_size;
            v_rows := v_rows + 1;
            v_seen := v_seen + 1;
        end loop;
        if v_chunk > 0 then
            insert into bulkhead.backup_chunks (backup_id, tenant_id, part, position, number, lines)
            values (stage_backup.id, v_name, v_part, v_table.ordinal, v_number + 1, array_to_string(v_lines, chr(10)) || chr(10));
            v_parts[v_part] := v_parts[v_part] + v_chunk;
        end if;
        if v_seen <> v_hash.rows then
            raise exception 'Cannot stage %: % rows instead of %', bulkhead.qualified(v_table.relation), v_seen, v_hash.rows;
        end if;
        v_tables := v_tables || jsonb_build_object('part', v_part, 'position', v_table.ordinal, 'schema', v_table.schema_name,
            'name', v_table.table_name, 'columns', v_table.columns, 'rows', v_rows, 'hash', v_hash.hash);
    end loop;
    insert into bulkhead.backup_staged (backup_id, tenant_id, part_bytes, tables, documents)
    values (stage_backup.id, v_name, v_parts, v_tables, case when tenant is null then bulkhead.documents_to_export() else '{}' end);
    perform bulkhead.hold_backup(stage_backup.id, stage_backup.token);
    return v_total;
end
$$;
comment on function bulkhead.stage_backup(text, uuid, text) is 'Lays out one tenant''s rows (null: those of none) as COPY text, cut into parts; refuses (BH606) who is too large for the edge function. Returns the bytes';
revoke all on function bulkhead.stage_backup(text, uuid, text) from public;

create function bulkhead.record_backup_object(id text, token uuid, entry jsonb, parts integer default 1)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    perform bulkhead.hold_backup(id, token);
    insert into bulkhead.backup_objects (backup_id, tenant_id, part, parts, entry)
    values (record_backup_object.id, record_backup_object.entry ->> 'tenant', (record_backup_object.entry ->> 'part')::integer,
        record_backup_object.parts, record_backup_object.entry);
    -- Plaintext of a tenant stays no longer than needed.
    delete from bulkhead.backup_staged as s
    where s.backup_id = record_backup_object.id and s.tenant_id = record_backup_object.entry ->> 'tenant'
        and cardinality(s.part_bytes) = (
            select count(*)
            from bulkhead.backup_objects as o
            where o.backup_id = s.backup_id and o.tenant_id = s.tenant_id
        );
end
$$;
comment on function bulkhead.record_backup_object(text, uuid, jsonb, integer) is 'Remembers an uploaded object, for its holder only; with the last of its tenant''s parts, forgets what was staged';
revoke all on function bulkhead.record_backup_object(text, uuid, jsonb, integer) from public;

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
        is_compared = coalesce((facts ->> 'is_compared')::boolean, false),
        unrecorded = coalesce((select array_agg(u.tenant) from jsonb_array_elements_text(facts -> 'unrecorded') as u (tenant)), '{}'),
        kek_since = coalesce((facts ->> 'kek_since')::timestamptz, r.kek_since),
        error = left(facts ->> 'error', 500)
    where r.id = finish_backup.id
    returning r.* into v_run;
    delete from bulkhead.backup_staged as s where s.backup_id = finish_backup.id;
    if v_run.source = 'runner' then
        perform pg_advisory_unlock(hashtextextended('bulkhead.backup', 0));
    end if;
    if state = 'complete' then
        insert into bulkhead.tenant_backups as b (tenant_id, backup_id, backed_up_at)
        select c.tenant, v_run.id, v_run.started_at
        from (
            select o.tenant_id from bulkhead.backup_objects as o where o.backup_id = v_run.id
            -- The runner does not record objects that it only refers to, one by one.
            union
            select r.tenant from jsonb_array_elements_text(facts -> 'referenced') as r (tenant)
        ) as c (tenant)
        on conflict (tenant_id) do update
        set backup_id = excluded.backup_id, backed_up_at = excluded.backed_up_at
        where b.backed_up_at < excluded.backed_up_at;
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
    if cardinality(v_run.unrecorded) > 0 then
        perform bulkhead.enqueue_alert('notice', 'critical', jsonb_build_object(
            'title', 'Rows changed past the ledger',
            'detail', format('%s tenants no longer hold what their last object holds, and the ledger has no event of it: %s. Backup %s copied them.',
                cardinality(v_run.unrecorded), array_to_string(v_run.unrecorded[1:5], ', '), v_run.id),
            'facts', jsonb_build_object('Backup', v_run.id, 'Tenants', cardinality(v_run.unrecorded)),
            'actions', jsonb_build_array('Find out who wrote with the triggers disabled: bulkhead status names those that are off',
                'Compare with the backup before: bulkhead restore --tenant <id> --backup <id> shows the difference'),
            'runbook', 'docs/runbooks/restore.md'));
    end if;
end
$$;
comment on function bulkhead.finish_backup(text, uuid, text, jsonb) is 'Ends a run as complete or failed; a failure, and the first success after one, is reported';
revoke all on function bulkhead.finish_backup(text, uuid, text, jsonb) from public;

create function bulkhead.record_verification(verification jsonb)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_made bulkhead.verifications;
begin
    insert into bulkhead.verifications (backup_id, backup_at, objects, is_whole, error)
    values (
        verification ->> 'backup_id', (verification ->> 'backup_at')::timestamptz, (verification ->> 'objects')::bigint,
        verification ->> 'error' is null, left(verification ->> 'error', 500))
    returning * into v_made;
    if not v_made.is_whole then
        perform bulkhead.enqueue_alert('notice', 'critical', jsonb_build_object(
            'title', 'A backup can''t be read',
            'detail', v_made.error,
            'facts', jsonb_build_object('Backup', v_made.backup_id, 'Begun', v_made.backup_at),
            'actions', jsonb_build_array('Run bulkhead backup --full: it copies every tenant anew', 'Then find out who or what changed the store'),
            'runbook', 'docs/runbooks/backup_verified.md'));
    end if;
    return v_made.id;
end
$$;
comment on function bulkhead.record_verification(jsonb) is 'Records that a backup was read back, whole or not; one that can''t be read is reported';
revoke all on function bulkhead.record_verification(jsonb) from public;

create function bulkhead.record_prune(prune jsonb)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_made bulkhead.prunes;
begin
    insert into bulkhead.prunes (kept, removed, overdue, stopped)
    values (
        (prune ->> 'kept')::bigint, (prune ->> 'removed')::bigint, (prune ->> 'overdue')::bigint, left(prune ->> 'stopped', 500))
    returning * into v_made;
    if v_made.stopped is not null then
        perform bulkhead.enqueue_alert('notice', 'warning', jsonb_build_object(
            'title', 'Retention stopped',
            'detail', v_made.stopped,
            'facts', jsonb_build_object('Still there', v_made.overdue, 'Kept', v_made.kept),
            'actions', jsonb_build_array('Read the plan: bulkhead prune', 'Nothing was removed'),
            'runbook', 'docs/runbooks/retention_overdue.md'));
    end if;
    return v_made.id;
end
$$;
comment on function bulkhead.record_prune(jsonb) is 'Records a run of bulkhead prune --apply; one that stopped is reported';
revoke all on function bulkhead.record_prune(jsonb) from public;

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
    from bulkhead.settings as s
    where s.backup_by = 'edge'
$$;
comment on function bulkhead.dispatch_backup() is 'Asks the function backup to begin a backup, or to go on with one; returns pg_net''s request id, or null where configure_backups() gave the night to somebody else';
revoke all on function bulkhead.dispatch_backup() from public;

create function bulkhead.resume_backup()
returns bigint
language sql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    -- An action of its own: a call that comes late, or twice, must not begin another backup.
    select bulkhead.call_function('backup', jsonb_build_object('action', 'resume', 'nonce', gen_random_uuid()))
    from bulkhead.backup_runs as r
    where r.source = 'edge' and r.state = 'running' and coalesce(r.leased_until, '-infinity') < now()
$$;
comment on function bulkhead.resume_backup() is 'Calls the function backup again when a run of it waits for the next call, or stopped without a word (null: none does); runs every five minutes';
revoke all on function bulkhead.resume_backup() from public;

-- ---------------------------------------------------------------- checks

-- Each check is a function of its own: what it can't judge is unknown, and blinds no other.
create function bulkhead.check_backup_age()
returns bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select bulkhead.check_row(
        'backup_age', null, 'A complete backup is younger than 26 hours', 'critical', 'backups',
        case
            when s.backup_by is null or f.started_at > now() + interval '10 minutes' then 'unknown'
            when s.backup_by <> 'none' and f.hours <= 26 then 'pass'
            else 'fail'
        end,
        f.hours, 26,
        case
            when s.backup_by is null then 'The kit has no settings: nobody knows who makes the backups.'
            when f.started_at > now() + interval '10 minutes' then format('Backup %s begins in the future: one of two clocks is wrong.', f.id)
            else case
                when f.id is null then 'No backup was ever completed'
                else format('Backup %s began %s hours ago', f.id, f.hours)
            end || case s.backup_by
                when 'none' then ', and nobody is to make the next.'
                when 'edge' then '; the next is the function''s, called by pg_cron.'
                else '; the next is the runner''s.'
            end
        end,
        case s.backup_by
            when 'none' then 'Name who makes them: select bulkhead.configure_backups(''edge''), or (''runner'')'
            else 'Run bulkhead backup; then see why the schedule did not: select * from bulkhead.backup_runs order by started_at desc limit 5'
        end,
        reproduce_sql => 'select * from bulkhead.backup_runs where state = ''complete'' order by started_at desc limit 1')
    from (values (1)) as one
    left join bulkhead.settings as s on true
    left join lateral (
        select r.id, r.started_at, round(extract(epoch from now() - r.started_at) / 3600, 1) as hours
        from bulkhead.backup_runs as r
        where r.state = 'complete'
        order by r.started_at desc
        limit 1
    ) as f on true
$$;
comment on function bulkhead.check_backup_age() is 'Fails when the newest complete backup is older than 26 hours, there is none, or nobody is to make one';
revoke all on function bulkhead.check_backup_age() from public;

create function bulkhead.check_backup_failed()
returns bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select bulkhead.check_row(
        'backup_failed', null, 'The latest backup did not fail', 'critical', 'backups',
        case
            when l.id is null then 'unknown'
            when l.state = 'failed' then 'fail'
            when l.state = 'running' and l.started_at < now() - interval '20 hours' then 'fail'
            else 'pass'
        end,
        case when l.id is null then null when l.state = 'failed' then 1 else 0 end, 0,
        case
            when l.id is null then 'No backup was ever begun.'
            when l.state = 'failed' then format('Backup %s failed: %s', l.id, l.error)
            when l.state = 'running' then format('Backup %s is running since %s.', l.id, l.started_at)
            else format('Backup %s is complete.', l.id)
        end,
        'Repair what the error names and run bulkhead backup again',
        reproduce_sql => 'select * from bulkhead.backup_runs order by started_at desc limit 1')
    from (values (1)) as one
    left join lateral (
        select r.* from bulkhead.backup_runs as r order by r.started_at desc, r.id desc limit 1
    ) as l on true
$$;
comment on function bulkhead.check_backup_failed() is 'Fails when the latest run failed or is running for 20 hours';
revoke all on function bulkhead.check_backup_failed() from public;

create function bulkhead.check_backup_left_out()
returns bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select bulkhead.check_row(
        'backup_left_out', null, 'Every tenant is in the latest backup', 'critical', 'backups',
        case when c.id is null then 'unknown' when cardinality(l.missing) > 0 then 'fail' else 'pass' end,
        cardinality(l.missing), 0,
        case
            when c.id is null then 'There is no complete backup to look at.'
            when cardinality(l.missing) > 0
                then format('Left to the runner by the edge function, and not in backup %s: %s tenants.', c.id, cardinality(l.missing))
            when cardinality(c.left_out) > 0
                then format('Backup %s left %s tenants to the runner, which has taken them.', c.id, cardinality(c.left_out))
            else format('Backup %s left nobody out.', c.id)
        end,
        'Back up with the runner: bulkhead backup (see .github/workflows/backup-nightly.yml)',
        l.missing[1:5],
        'select left_out from bulkhead.backup_runs where state = ''complete'' order by started_at desc limit 1')
    from (values (1)) as one
    left join lateral (
        select r.* from bulkhead.backup_runs as r where r.state = 'complete' order by r.started_at desc limit 1
    ) as c on true
    left join lateral (
        select array_agg(t.tenant order by t.tenant) as missing
        from unnest(c.left_out) as t (tenant)
        -- Where the runner works beside the edge, it has them.
        where not exists (
            select
            from bulkhead.tenant_backups as b
            where b.tenant_id = t.tenant and b.backed_up_at >= c.started_at - interval '26 hours'
        )
    ) as l on true
$$;
comment on function bulkhead.check_backup_left_out() is 'Fails when the latest complete backup left a tenant to the runner, which has none of it from the day before';
revoke all on function bulkhead.check_backup_left_out() from public;

create function bulkhead.check_tenant_without_backup()
returns bulkhead.check_result
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_settings bulkhead.settings := (select s from bulkhead.settings as s);
    v_newest bulkhead.backup_runs := (
        select r from bulkhead.backup_runs as r where r.state = 'complete' order by r.started_at desc limit 1
    );
    v_missing text[];
    v_state text;
    v_tenants bigint;
begin
    if v_newest.id is null then
        v_state := 'There is no complete backup to look at.';
    elsif not exists (select from pg_catalog.pg_class as c where c.oid = v_settings.tenants_table) then
        v_state := 'No tenants table is configured: nobody knows whose rows to look for.';
    else
        execute format(
            $sql$
            select count(*), coalesce(array_agg(t.id order by t.id) filter (where t.is_missing), '{}')
            from (
                select
                    t.%1$I::text as id,
                    -- A tenant that one night was too large for may be in a backup of the day before.
                    not exists (
                        select
                        from bulkhead.tenant_backups as b
                        where b.tenant_id = t.%1$I::text and b.backed_up_at >= $1 - interval '26 hours'
                    )
                    -- The next backup is the first that can hold who came since; backup_age says when it is due.
                    and not exists (
                        select
                        from bulkhead.audit_events as e
                        where e.tenant_id = t.%1$I::text and e.operation = 'INSERT' and e.table_name = %3$L
                            and e.created_at >= $1 - interval '10 minutes'
                    ) as is_missing
                from %2$s as t
            ) as t
            $sql$, v_settings.tenant_key, bulkhead.qualified(v_settings.tenants_table), bulkhead.qualified(v_settings.tenants_table))
        using v_newest.started_at
        into v_tenants, v_missing;
        if v_tenants = 0 then
            v_state := 'There is no tenant to look for.';
        end if;
    end if;
    return bulkhead.check_row(
        'tenant_without_backup', null, 'Every tenant has a backup', 'critical', 'backups',
        case when v_state is not null then 'unknown' when cardinality(v_missing) > 0 then 'fail' else 'pass' end,
        cardinality(v_missing), 0,
        case
            when v_state is not null then v_state
            when cardinality(v_missing) > 0 then format('In no backup of the day before backup %s, nor in it: %s of %s tenants.', v_newest.id, cardinality(v_missing), v_tenants)
            else format('Backup %s, or one of the day before it, holds each of %s tenants.', v_newest.id, v_tenants)
        end,
        'Run bulkhead backup: the runner takes tenants of any size',
        v_missing[1:5],
        'select * from bulkhead.tenant_backups order by backed_up_at limit 5');
end
$$;
comment on function bulkhead.check_tenant_without_backup() is 'Fails when a tenant is in no complete backup of the day that ends with the newest, and is not newer than it';
revoke all on function bulkhead.check_tenant_without_backup() from public;

create function bulkhead.check_backup_verified()
returns bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select bulkhead.check_row(
        'backup_verified', null, 'A backup of the last 8 days was read back whole', 'critical', 'backups',
        case
            when b.first_at is null then 'unknown'
            when not l.is_whole then 'fail'
            when w.days <= 8 then 'pass'
            -- The first night: nobody has had the time.
            when w.id is null and b.first_at > now() - interval '26 hours' then 'unknown'
            else 'fail'
        end,
        w.days, 8,
        case
            when b.first_at is null then 'There is no complete backup to read.'
            when not l.is_whole then format('Backup %s can''t be read: %s', l.backup_id, l.error)
            when w.id is null then 'No backup was ever read back.'
            else format('Backup %s, begun %s days ago, was read to the last byte at %s.', w.backup_id, w.days, date_trunc('second', w.verified_at))
        end,
        'Run bulkhead backups verify --record-env DATABASE_URL; where it fails, bulkhead backup --full',
        reproduce_sql => 'select * from bulkhead.verifications order by verified_at desc limit 5')
    from (select min(r.started_at) as first_at from bulkhead.backup_runs as r where r.state = 'complete') as b
    left join lateral (
        select v.* from bulkhead.verifications as v order by v.verified_at desc, v.id desc limit 1
    ) as l on true
    left join lateral (
        select v.*, round(extract(epoch from now() - v.backup_at) / 86400, 1) as days
        from bulkhead.verifications as v
        where v.is_whole
        order by v.backup_at desc, v.id desc
        limit 1
    ) as w on true
$$;
comment on function bulkhead.check_backup_verified() is 'Fails when no backup of the last 8 days was read back, or the last one read is not whole';
revoke all on function bulkhead.check_backup_verified() from public;

create function bulkhead.check_retention_overdue()
returns bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select bulkhead.check_row(
        'retention_overdue', null, 'Retention was applied in the last 3 days', 'warning', 'backups',
        case
            when p.stopped is not null then 'fail'
            when p.days <= 3 then 'pass'
            when p.id is not null then 'fail'
            when b.first_at is null or b.first_at > now() - interval '3 days' then 'unknown'
            else 'fail'
        end,
        p.days, 3,
        case
            when p.stopped is not null then format('It stopped at %s, and %s backups that should go are still there: %s', date_trunc('second', p.ran_at), p.overdue, p.stopped)
            when p.id is not null then format('It ran %s days ago: %s backups kept, %s removed, %s that the store would not let go.', p.days, p.kept, p.removed, p.overdue)
            when b.first_at is null then 'There is no complete backup to keep or to remove.'
            else 'Nobody ever ran bulkhead prune --apply and told this database.'
        end,
        'Run bulkhead prune, read the plan, then bulkhead prune --apply --record-env DATABASE_URL with the pruner''s key',
        reproduce_sql => 'select * from bulkhead.prunes order by ran_at desc limit 5')
    from (select min(r.started_at) as first_at from bulkhead.backup_runs as r where r.state = 'complete') as b
    left join lateral (
        select q.*, round(extract(epoch from now() - q.ran_at) / 86400, 1) as days
        from bulkhead.prunes as q
        order by q.ran_at desc, q.id desc
        limit 1
    ) as p on true
$$;
comment on function bulkhead.check_retention_overdue() is 'Fails when bulkhead prune --apply stopped, or did not run for 3 days';
revoke all on function bulkhead.check_retention_overdue() from public;

create function bulkhead.check_drill_age()
returns bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select bulkhead.check_row(
        'drill_age', null, 'A restore drill passed in the last 35 days', 'critical', 'backups',
        case
            when d.finished_at > now() + interval '10 minutes' then 'unknown'
            when d.is_passed and d.days <= 35 then 'pass'
            else 'fail'
        end,
        d.days, 35,
        case
            when d.id is null then 'No restore drill was ever run: nobody knows whether the backups can be restored.'
            when d.finished_at > now() + interval '10 minutes' then format('The drill of backup %s ends in the future: one of two clocks is wrong.', d.backup_id)
            when not d.is_passed then format('The latest drill (of backup %s) failed.', d.backup_id)
            else format('A drill of backup %s passed %s days ago: %s rows, %s tests.', d.backup_id, d.days, d.restored_rows, d.tests)
        end,
        'Run bulkhead drill',
        reproduce_sql => 'select * from bulkhead.drills order by finished_at desc limit 1')
    from (values (1)) as one
    left join lateral (
        select r.*, round(extract(epoch from now() - r.finished_at) / 86400, 1) as days
        from bulkhead.drills as r
        order by r.finished_at desc, r.id desc
        limit 1
    ) as d on true
$$;
comment on function bulkhead.check_drill_age() is 'Fails when the latest drill failed, is older than 35 days, or never was';
revoke all on function bulkhead.check_drill_age() from public;

create function bulkhead.check_drill_rto()
returns bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select bulkhead.check_row(
        'drill_rto', null, 'The latest drill restored within the time promised', 'warning', 'backups',
        case
            when d.id is null or s.rto_seconds is null then 'unknown'
            when d.rto_seconds <= s.rto_seconds then 'pass'
            else 'fail'
        end,
        round(d.rto_seconds), s.rto_seconds,
        case
            when d.id is null then 'No drill has passed: nobody knows how long a restore takes.'
            when s.rto_seconds is null then 'The kit has no settings: nobody knows what was promised.'
            else format('The drill of backup %s had the rows back after %s s; %s s were promised.', d.backup_id, round(d.rto_seconds), s.rto_seconds)
        end,
        'Make it faster, see docs/runbooks/drill_rto.md, or promise less: select bulkhead.configure_backups(rto_seconds => …)',
        reproduce_sql => 'select backup_id, rto_seconds, report -> ''steps'' as steps from bulkhead.drills where is_passed order by finished_at desc limit 1')
    from (values (1)) as one
    left join bulkhead.settings as s on true
    left join lateral (
        select r.* from bulkhead.drills as r where r.is_passed order by r.finished_at desc, r.id desc limit 1
    ) as d on true
$$;
comment on function bulkhead.check_drill_rto() is 'Fails when the latest passed drill took longer than the settings promise';
revoke all on function bulkhead.check_drill_rto() from public;

create function bulkhead.check_kek_age()
returns bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select bulkhead.check_row(
        'kek_age', null, 'The key-encryption key is not overdue for rotation', 'warning', 'backups',
        case
            when r.kek_since is null or s.kek_days is null or r.kek_since > now() then 'unknown'
            when r.kek_since >= now() - make_interval(days => s.kek_days) then 'pass'
            else 'fail'
        end,
        round(extract(epoch from now() - r.kek_since) / 86400, 1), s.kek_days,
        case
            when r.id is null then 'There is no complete backup: nobody knows which key wraps the keyring, or since when.'
            when s.kek_days is null then 'The kit has no settings: nobody knows how old the key may get.'
            when r.kek_since is null then format('Nobody recorded when the key came that wraps the keyring of backup %s.', r.id)
            when r.kek_since > now() then format('The keyring of backup %s is wrapped by a key of the future (%s): a clock is wrong.', r.id, r.kek_since)
            else format('The keyring of backup %s is wrapped by one key since %s.', r.id, to_char(r.kek_since at time zone 'UTC', 'YYYY-MM-DD'))
        end,
        'Run bulkhead keys rotate-kek, set the new key everywhere, destroy the old one; the next backup records it',
        reproduce_sql => 'select id, kek_since from bulkhead.backup_runs where state = ''complete'' order by started_at desc limit 1')
    from (values (1)) as one
    left join bulkhead.settings as s on true
    left join lateral (
        select b.* from bulkhead.backup_runs as b where b.state = 'complete' order by b.started_at desc, b.id desc limit 1
    ) as r on true
$$;
comment on function bulkhead.check_kek_age() is 'Fails when one key-encryption key has wrapped the keyring for longer than the settings allow';
revoke all on function bulkhead.check_kek_age() from public;

create function bulkhead.checks_backups()
returns setof bulkhead.check_result
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    return next bulkhead.check_backup_age();
    return next bulkhead.check_backup_failed();
    return next bulkhead.check_backup_left_out();
    return next bulkhead.check_tenant_without_backup();
    return next bulkhead.check_backup_verified();
    return next bulkhead.check_retention_overdue();
    return next bulkhead.check_drill_age();
    return next bulkhead.check_drill_rto();
    return next bulkhead.check_kek_age();
end
$$;
comment on function bulkhead.checks_backups() is 'Checks of the backups: made, whole, of everybody, read back, thinned out, restored elsewhere in time, under a key that is not too old. What never happened fails, what can''t be judged is unknown';
revoke all on function bulkhead.checks_backups() from public;
