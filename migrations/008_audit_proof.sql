-- Proof: the ledger sealed in a hash chain, so that a change of it shows. docs/ledger-format.md says what is hashed.
-- Public: tables bulkhead.audit_seals, audit_eras, audit_shares, audit_leaves; bulkhead.seal, verify_audit, audit_head,
--   seal_blocker, audit_export_lines, record_export, erase, retire_partition.
-- Never: seals an event that may still roll back, leaves one out, seals one twice, erases or drops without a record.
-- Errors: BH801 the encoding, BH802 a proof that was asked for wrongly, BH803 an erasure, BH804 a retirement.
-- No security definer functions.

do $$
begin
    if current_setting('server_encoding') <> 'UTF8' then
        raise exception using
            errcode = 'BH801',
            message = format('Cannot seal the ledger of a database in %s: hashes are taken over UTF8; create the database with encoding UTF8', current_setting('server_encoding'));
    end if;
end
$$;

create table bulkhead.audit_eras (
    era bigint primary key check (era > 0),
    system_identifier bigint not null,
    first_id bigint not null,
    started_at timestamptz not null default now()
);
comment on table bulkhead.audit_eras is 'Stretches of one transaction counter: a logical restore into another cluster begins a new era';
select from bulkhead.make_append_only('bulkhead.audit_eras');

create table bulkhead.audit_seals (
    seq bigint primary key check (seq > 0),
    kind text not null check (kind in ('era', 'seal', 'retire')),
    part text,
    era bigint not null references bulkhead.audit_eras (era),
    lo bigint not null,
    hi bigint not null,
    events bigint not null,
    xid bigint not null,
    sealed_at timestamptz not null,
    root bytea not null check (length(root) = 32),
    prev bytea not null check (length(prev) = 32),
    head bytea not null check (length(head) = 32),
    check ((kind = 'era') = (part is null)),
    check ((kind = 'seal') = (events > 0)),
    check ((kind = 'seal') = (hi > lo))
);
comment on table bulkhead.audit_seals is 'The hash chain: one row a sealed interval of transactions [lo, hi) and ledger partition, a new era, a retired partition. Append-only';
comment on column bulkhead.audit_seals.root is 'kind seal: Merkle root over the tenants'' shares; era: hash of its row; retire: sha256 of the export';
comment on column bulkhead.audit_seals.xid is 'The transaction that sealed: what a backup taken before it does not have';
create index audit_seals_interval on bulkhead.audit_seals (era, hi, lo);
create index audit_seals_kind on bulkhead.audit_seals (kind, part) where kind <> 'seal';
select from bulkhead.make_append_only('bulkhead.audit_seals');

create table bulkhead.audit_shares (
    id bigint generated always as identity primary key,
    seq bigint not null,
    tenant_id text,
    previous bigint not null check (previous < seq),
    events bigint not null check (events > 0),
    root bytea not null check (length(root) = 32)
);
comment on table bulkhead.audit_shares is 'What one tenant has in one seal; a tenant can prove its own without seeing another''s. Append-only';
comment on column bulkhead.audit_shares.previous is 'The seal of the tenant''s share before this one, 0 for the first: nothing in between can be left out of a proof';
create unique index audit_shares_seq on bulkhead.audit_shares (seq, tenant_id) nulls not distinct;
create index audit_shares_tenant_id on bulkhead.audit_shares (tenant_id, seq);
select from bulkhead.make_append_only('bulkhead.audit_shares');

create table bulkhead.audit_leaves (
    id bigint not null,
    share bigint not null,
    month integer not null,
    leaf bytea not null check (length(leaf) = 32),
    who bytea not null check (length(who) in (16, 32)),
    what bytea not null check (length(what) in (16, 32))
) partition by list (month);
comment on table bulkhead.audit_leaves is 'The hash of each sealed event, and the salts of its personal data. Append-only, but for bulkhead.erase()';
comment on column bulkhead.audit_leaves.who is 'The salt (16 bytes) of actor, request_id, application_name, ip_address; their hash (32) once they are erased';
comment on column bulkhead.audit_leaves.what is 'The salt of record_id, before, after, metadata; their hash once they are erased';
-- BRIN: leaves arrive in the order of events, nearly.
create index audit_leaves_id on bulkhead.audit_leaves using brin (id) with (pages_per_range = 16, autosummarize = on);
-- B-tree: a backup asks for the leaves of one tenant's shares. They are written in bulk, at the end of the index.
create index audit_leaves_share on bulkhead.audit_leaves (share);
select from bulkhead.make_append_only('bulkhead.audit_leaves');

-- ---------------------------------------------------------------- what is hashed

create function bulkhead.audit_micros(at timestamptz)
returns text
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select case when isfinite(at) then ((extract(epoch from at) * 1000000)::bigint)::text else at::text end
$$;
comment on function bulkhead.audit_micros(timestamptz) is 'A time as it is hashed: microseconds since 1970';
revoke all on function bulkhead.audit_micros(timestamptz) from public;

create function bulkhead.audit_fields(variadic fields text[])
returns bytea
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select convert_to(coalesce(string_agg(coalesce(octet_length(f.value) || ':' || f.value, '-') || ',', '' order by f.position), ''), 'UTF8')
    from unnest(fields) with ordinality as f (value, position)
$$;
comment on function bulkhead.audit_fields(text[]) is 'Fields as they are hashed: <octets>:<value>, each, and -, for null';
revoke all on function bulkhead.audit_fields(text[]) from public;

create function bulkhead.audit_who(event bulkhead.audit_events, salt bytea)
returns bytea
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    v_ip text := event.ip_address::text;
begin
    -- Written out, like the two below: they run for every event.
    return sha256('\x02'::bytea || salt || convert_to(
        coalesce(octet_length(event.actor) || ':' || event.actor, '-') || ','
        || coalesce(octet_length(event.request_id) || ':' || event.request_id, '-') || ','
        || coalesce(octet_length(event.application_name) || ':' || event.application_name, '-') || ','
        || coalesce(octet_length(v_ip) || ':' || v_ip, '-') || ',', 'UTF8'));
end
$$;
comment on function bulkhead.audit_who(bulkhead.audit_events, bytea) is 'The salted hash of who did it: actor, request_id, application_name, ip_address';
revoke all on function bulkhead.audit_who(bulkhead.audit_events, bytea) from public;

create function bulkhead.audit_what(event bulkhead.audit_events, salt bytea)
returns bytea
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    v_before text := event.before::text;
    v_after text := event.after::text;
    v_metadata text := event.metadata::text;
begin
    return sha256('\x03'::bytea || salt || convert_to(
        coalesce(octet_length(event.record_id) || ':' || event.record_id, '-') || ','
        || coalesce(octet_length(v_before) || ':' || v_before, '-') || ','
        || coalesce(octet_length(v_after) || ':' || v_after, '-') || ','
        || coalesce(octet_length(v_metadata) || ':' || v_metadata, '-') || ',', 'UTF8'));
end
$$;
comment on function bulkhead.audit_what(bulkhead.audit_events, bytea) is 'The salted hash of what changed: record_id, before, after, metadata';
revoke all on function bulkhead.audit_what(bulkhead.audit_events, bytea) from public;

create function bulkhead.audit_leaf(event bulkhead.audit_events, who bytea, what bytea)
returns bytea
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    v_id text := event.id::text;
    v_at text := case when isfinite(event.created_at) then ((extract(epoch from event.created_at) * 1000000)::bigint)::text else event.created_at::text end;
    v_xid text := event.xid::text;
begin
    return sha256('\x00'::bytea || convert_to(
        octet_length(v_id) || ':' || v_id || ','
        || octet_length(v_at) || ':' || v_at || ','
        || octet_length(v_xid) || ':' || v_xid || ','
        || coalesce(octet_length(event.tenant_id) || ':' || event.tenant_id, '-') || ','
        || octet_length(event.actor_role) || ':' || event.actor_role || ','
        || octet_length(event.table_name) || ':' || event.table_name || ','
        || octet_length(event.operation) || ':' || event.operation || ',', 'UTF8')
        || case when length(who) = 32 then who else bulkhead.audit_who(event, who) end
        || case when length(what) = 32 then what else bulkhead.audit_what(event, what) end);
end
$$;
comment on function bulkhead.audit_leaf(bulkhead.audit_events, bytea, bytea) is 'The hash of one event; who and what are salts, or the hashes of what was erased';
revoke all on function bulkhead.audit_leaf(bulkhead.audit_events, bytea, bytea) from public;

-- A level is one string of hashes: an array's subscripts would make it quadratic, grouping costs more than the hashes.
create function bulkhead.merkle_root(leaves bytea[])
returns bytea
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    v_level bytea := (select string_agg(u.hash, ''::bytea order by u.position) from unnest(leaves) with ordinality as u (hash, position));
begin
    while length(v_level) > 32 loop
        v_level := (
            select string_agg(
                case when pair.at + 64 > length(v_level) then substr(v_level, pair.at + 1) else sha256('\x01'::bytea || substr(v_level, pair.at + 1, 64)) end,
                ''::bytea order by pair.at)
            from generate_series(0, length(v_level) - 1, 64) as pair (at)
        );
    end loop;
    return v_level;
end
$$;
comment on function bulkhead.merkle_root(bytea[]) is 'Merkle root of hashes of 32 bytes: pairs hash as sha256(0x01 || left || right), an odd last one moves up unchanged; null for none';
revoke all on function bulkhead.merkle_root(bytea[]) from public;

create function bulkhead.merkle_path(leaves bytea[], index integer)
returns bytea[]
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    v_at integer := index;
    v_sibling integer;
    v_path bytea[] := '{}';
begin
    while cardinality(leaves) > 1 loop
        v_sibling := v_at # 1;
        if v_sibling < cardinality(leaves) then
            v_path := v_path || leaves[v_sibling + 1];
        end if;
        v_at := v_at / 2;
        select array_agg(bulkhead.merkle_root(level.pair) order by level.at)
        into leaves
        from (
            select (u.position - 1) / 2 as at, array_agg(u.hash order by u.position) as pair
            from unnest(leaves) with ordinality as u (hash, position)
            group by 1
        ) as level;
    end loop;
    return v_path;
end
$$;
comment on function bulkhead.merkle_path(bytea[], integer) is 'The hashes beside the way from a leaf (counted from 0) to the root, from below';
revoke all on function bulkhead.merkle_path(bytea[], integer) from public;

create function bulkhead.share_hash(tenant text, previous bigint, events bigint, root bytea)
returns bytea
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select sha256('\x04'::bytea || bulkhead.audit_fields(tenant, previous::text, events::text) || root)
$$;
comment on function bulkhead.share_hash(text, bigint, bigint, bytea) is 'The hash of a tenant''s share of a seal';
revoke all on function bulkhead.share_hash(text, bigint, bigint, bytea) from public;

create function bulkhead.seal_body(seal bulkhead.audit_seals)
returns bytea
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select sha256('\x06'::bytea || bulkhead.audit_fields(
        seal.seq::text, seal.kind, seal.part, seal.era::text, seal.lo::text, seal.hi::text, seal.events::text, seal.xid::text,
        bulkhead.audit_micros(seal.sealed_at)) || seal.root)
$$;
comment on function bulkhead.seal_body(bulkhead.audit_seals) is 'The hash of a row of the chain, without its place in it';
revoke all on function bulkhead.seal_body(bulkhead.audit_seals) from public;

create function bulkhead.seal_head(prev bytea, body bytea)
returns bytea
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select sha256('\x05'::bytea || prev || body)
$$;
comment on function bulkhead.seal_head(bytea, bytea) is 'The head that a row of the chain must have, given the one before it';
revoke all on function bulkhead.seal_head(bytea, bytea) from public;

create function bulkhead.era_root(era bulkhead.audit_eras)
returns bytea
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select sha256('\x07'::bytea || bulkhead.audit_fields(
        era.era::text, era.system_identifier::text, era.first_id::text, bulkhead.audit_micros(era.started_at)))
$$;
comment on function bulkhead.era_root(bulkhead.audit_eras) is 'The hash of an era: the root of its row in the chain';
revoke all on function bulkhead.era_root(bulkhead.audit_eras) from public;

create function bulkhead.genesis()
returns bytea
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select sha256(convert_to('bulkhead audit chain', 'UTF8'))
$$;
comment on function bulkhead.genesis() is 'What the first row of the chain follows';
revoke all on function bulkhead.genesis() from public;

-- ---------------------------------------------------------------- sealing

create function bulkhead.leaf_month(part text)
returns integer
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(substring(part from '^audit_events_(\d{6})$')::integer, 0)
$$;
comment on function bulkhead.leaf_month(text) is 'The month of a partition of the ledger, such as 202611; 0 for the net';
revoke all on function bulkhead.leaf_month(text) from public;

create function bulkhead.ensure_leaf_partition(part text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
as $$
declare
    -- A month of its own for each month of events, so that both are dropped together; 0 for the net.
    v_month integer := bulkhead.leaf_month(part);
    v_name name := 'audit_leaves_' || case when v_month = 0 then 'default' else v_month::text end;
begin
    if to_regclass(format('bulkhead.%I', v_name)) is null then
        -- Attached, not created in place: that would wait for whoever reads.
        execute format('create table bulkhead.%I (like bulkhead.audit_leaves including all)', v_name);
        execute format('alter table bulkhead.audit_leaves attach partition bulkhead.%I for values in (%s)', v_name, v_month);
        execute format('comment on table bulkhead.%I is %L', v_name, 'Leaves of bulkhead.' || part);
        perform bulkhead.make_append_only(format('bulkhead.%I', v_name)::regclass);
        perform bulkhead.forget_ranges(format('bulkhead.%I', v_name)::regclass);
    end if;
end
$$;
comment on function bulkhead.ensure_leaf_partition(text) is 'Makes room for the leaves of a partition of the ledger';
revoke all on function bulkhead.ensure_leaf_partition(text) from public;

create function bulkhead.append_link(kind text, part text, era bigint, lo bigint, hi bigint, events bigint, root bytea)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_last bulkhead.audit_seals;
    v_link bulkhead.audit_seals;
begin
    select s.* into v_last from bulkhead.audit_seals as s order by s.seq desc limit 1;
    v_link := row(
        coalesce(v_last.seq, 0) + 1, kind, part, era, lo, hi, events, pg_current_xact_id()::text::bigint, clock_timestamp(),
        root, coalesce(v_last.head, bulkhead.genesis()), null);
    v_link.head := bulkhead.seal_head(v_link.prev, bulkhead.seal_body(v_link));
    insert into bulkhead.audit_seals select (v_link).*;
end
$$;
comment on function bulkhead.append_link(text, text, bigint, bigint, bigint, bigint, bytea) is 'Adds one row to the chain';
revoke all on function bulkhead.append_link(text, text, bigint, bigint, bigint, bigint, bytea) from public;

create function bulkhead.append_seals(era bigint, lo bigint, hi bigint)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_first bigint := (select e.first_id from bulkhead.audit_eras as e where e.era = append_seals.era);
    v_next bigint := (select e.first_id from bulkhead.audit_eras as e where e.era = append_seals.era + 1);
    v_seq bigint := coalesce((select max(s.seq) from bulkhead.audit_seals as s), 0);
    -- What the salts are made from: 366 random bits, new for each call, kept nowhere. Once it is gone a salt is as good as random
    -- to who has every other one, so that an erased one can't be found again. Random bits for each would cost as much as the hashes.
    v_secret bytea := uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());
    v_link record;
    v_sealed bigint := 0;
begin
    perform bulkhead.ensure_leaf_partition(c.relname::text)
    from pg_catalog.pg_inherits as i
    join pg_catalog.pg_class as c on c.oid = i.inhrelid
    where i.inhparent = 'bulkhead.audit_events'::regclass;
    for v_link in
        with texts as (
            select
                e.tableoid as part,
                e.id,
                e.tenant_id,
                sha256(v_secret || int8send(e.id)) as salts,
                e.id::text as id_text,
                case when isfinite(e.created_at) then ((extract(epoch from e.created_at) * 1000000)::bigint)::text else e.created_at::text end as at,
                e.xid::text as xid,
                e.actor_role,
                e.table_name,
                e.operation,
                e.actor,
                e.request_id,
                e.application_name,
                e.ip_address::text as ip_address,
                e.record_id,
                e.before::text as before,
                e.after::text as after,
                e.metadata::text as metadata
            from bulkhead.audit_events as e
            where e.xid >= lo and e.xid < hi and e.id >= v_first and (v_next is null or e.id < v_next)
            -- Kept apart: each text is made once.
            offset 0
        ),
        -- audit_leaf() written out: three functions called for each event cost more than all else here. Verification, which
        -- calls them, finds it if the two should ever differ.
        hashed as materialized (
            select
                t.part,
                t.id,
                t.tenant_id,
                substr(t.salts, 1, 16) as who,
                substr(t.salts, 17) as what,
                sha256('\x00'::bytea || convert_to(
                        octet_length(t.id_text) || ':' || t.id_text || ','
                        || octet_length(t.at) || ':' || t.at || ','
                        || octet_length(t.xid) || ':' || t.xid || ','
                        || coalesce(octet_length(t.tenant_id) || ':' || t.tenant_id, '-') || ','
                        || octet_length(t.actor_role) || ':' || t.actor_role || ','
                        || octet_length(t.table_name) || ':' || t.table_name || ','
                        || octet_length(t.operation) || ':' || t.operation || ',', 'UTF8')
                    || sha256('\x02'::bytea || substr(t.salts, 1, 16) || convert_to(
                        coalesce(octet_length(t.actor) || ':' || t.actor, '-') || ','
                        || coalesce(octet_length(t.request_id) || ':' || t.request_id, '-') || ','
                        || coalesce(octet_length(t.application_name) || ':' || t.application_name, '-') || ','
                        || coalesce(octet_length(t.ip_address) || ':' || t.ip_address, '-') || ',', 'UTF8'))
                    || sha256('\x03'::bytea || substr(t.salts, 17) || convert_to(
                        coalesce(octet_length(t.record_id) || ':' || t.record_id, '-') || ','
                        || coalesce(octet_length(t.before) || ':' || t.before, '-') || ','
                        || coalesce(octet_length(t.after) || ':' || t.after, '-') || ','
                        || coalesce(octet_length(t.metadata) || ':' || t.metadata, '-') || ',', 'UTF8'))) as leaf
            from texts as t
        ),
        parts as materialized (
            select
                p.part,
                c.relname::text as name,
                bulkhead.leaf_month(c.relname::text) as month,
                v_seq + row_number() over (order by c.relname) as seq
            from (select distinct h.part from hashed as h) as p
            join pg_catalog.pg_class as c on c.oid = p.part
        ),
        -- A power of two, so that the roots of the blocks make the root of the whole; arrays stay small.
        blocks as (
            select n.part, n.tenant_id, n.block, count(*) as events, bulkhead.merkle_root(array_agg(n.leaf order by n.id)) as root
            from (
                select h.part, h.tenant_id, h.id, h.leaf, (row_number() over (partition by h.part, h.tenant_id order by h.id) - 1) / 1024 as block
                from hashed as h
            ) as n
            group by n.part, n.tenant_id, n.block
        ),
        shares as (
            insert into bulkhead.audit_shares (seq, tenant_id, previous, events, root)
            select
                p.seq,
                b.tenant_id,
                coalesce(
                    lag(p.seq) over (partition by b.tenant_id order by p.seq),
                    case
                        when b.tenant_id is null then (select max(s.seq) from bulkhead.audit_shares as s where s.tenant_id is null)
                        else (select max(s.seq) from bulkhead.audit_shares as s where s.tenant_id = b.tenant_id)
                    end,
                    0),
                sum(b.events),
                bulkhead.merkle_root(array_agg(b.root order by b.block))
            from blocks as b
            join parts as p on p.part = b.part
            group by p.seq, b.tenant_id
            returning audit_shares.*
        ),
        leaves as (
            insert into bulkhead.audit_leaves (id, share, month, leaf, who, what)
            select h.id, s.id, p.month, h.leaf, h.who, h.what
            from hashed as h
            join parts as p on p.part = h.part
            join shares as s
                on s.seq = p.seq
                and coalesce(s.tenant_id, '') = coalesce(h.tenant_id, '')
                and (s.tenant_id is null) = (h.tenant_id is null)
        )
        select
            p.name,
            sum(s.events) as events,
            bulkhead.merkle_root(array_agg(s.hash order by s.hash)) as root
        from (
            select shares.seq, shares.events, bulkhead.share_hash(shares.tenant_id, shares.previous, shares.events, shares.root) as hash
            from shares
        ) as s
        join parts as p on p.seq = s.seq
        group by p.name, p.seq
        order by p.seq
    loop
        perform bulkhead.append_link('seal', v_link.name, era, lo, hi, v_link.events::bigint, v_link.root);
        v_sealed := v_sealed + v_link.events;
    end loop;
    return v_sealed;
end
$$;
comment on function bulkhead.append_seals(bigint, bigint, bigint) is 'Seals one interval: leaves with new salts, the tenants'' shares, a row of the chain for each partition; returns how many events it covers';
revoke all on function bulkhead.append_seals(bigint, bigint, bigint) from public;

-- Restored rows carry the xmin of the transactions that loaded them; every row before the newest seal was restored.
create function bulkhead.first_native_id()
returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select 1 + coalesce(max(e.id), 0)
    from bulkhead.audit_events as e
    where e.xmin in (
        select r.xmin
        from bulkhead.audit_events as r
        where r.created_at <= (select max(s.sealed_at) from bulkhead.audit_seals as s)
    )
$$;
comment on function bulkhead.first_native_id() is 'After a restore into another cluster: the first event that was written there';
revoke all on function bulkhead.first_native_id() from public;

create function bulkhead.begin_era(system bigint, first_id bigint)
returns bulkhead.audit_eras
language sql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    insert into bulkhead.audit_eras (era, system_identifier, first_id)
    select coalesce(max(e.era), 0) + 1, begin_era.system, begin_era.first_id
    from bulkhead.audit_eras as e
    returning audit_eras.*
$$;
comment on function bulkhead.begin_era(bigint, bigint) is 'Begins an era: events from first_id on were written in this cluster';
revoke all on function bulkhead.begin_era(bigint, bigint) from public;

create function bulkhead.seal()
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_system bigint := (select c.system_identifier from pg_catalog.pg_control_system() as c);
    v_min constant bigint := -9223372036854775808;
    v_max constant bigint := 9223372036854775807;
    v_era bulkhead.audit_eras;
    v_was bulkhead.audit_eras;
    v_lo bigint;
    v_hi bigint;
    v_sealed bigint := 0;
begin
    -- A table lock, not an advisory one: that could be held by anybody, and sealing would stand still.
    lock table bulkhead.audit_eras in share row exclusive mode;
    -- A seal that survives a crash must not cover events that did not.
    perform set_config('synchronous_commit', 'on', true);
    select e.* into v_was from bulkhead.audit_eras as e order by e.era desc limit 1;
    v_lo := coalesce((select max(s.hi) from bulkhead.audit_seals as s where s.era = v_was.era and s.kind = 'seal'), v_min);
    -- Everything below the horizon has ended: no event can still appear there, none can vanish.
    v_hi := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
    if v_was.system_identifier = v_system then
        v_era := v_was;
    else
        v_era := bulkhead.begin_era(v_system, case when v_was.era is null then v_min else bulkhead.first_native_id() end);
        if v_was.era is not null then
            -- What had not been sealed when the copy was made is the last interval of the old era.
            v_sealed := bulkhead.append_seals(v_was.era, v_lo, v_max);
        end if;
        perform bulkhead.append_link('era', null, v_era.era, 0, 0, 0, bulkhead.era_root(v_era));
        v_lo := v_min;
    end if;
    if v_hi <= v_lo then
        return v_sealed;
    end if;
    return v_sealed + bulkhead.append_seals(v_era.era, v_lo, v_hi);
end
$$;
comment on function bulkhead.seal() is 'Seals every event whose transaction has surely ended; returns how many. Runs each minute; safe run twice or by two at once';
revoke all on function bulkhead.seal() from public;

create function bulkhead.audit_head()
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select coalesce(
        (select encode(s.head, 'hex') from bulkhead.audit_seals as s order by s.seq desc limit 1),
        encode(bulkhead.genesis(), 'hex'))
$$;
comment on function bulkhead.audit_head() is 'The chain''s newest hash, in hex: keep it somewhere else and give it to verify_audit() as the anchor';
revoke all on function bulkhead.audit_head() from public;

-- From the locks, not from pg_stat_activity: that one hides other roles' transactions.
create function bulkhead.seal_blocker()
returns table (pid integer, gid text, since timestamptz, detail text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        held.pid,
        prepared.gid,
        coalesce(prepared.prepared, activity.xact_start),
        case
            when held.pid is null then format('the prepared transaction %L of %s in database %s, since %s',
                prepared.gid, prepared.owner, prepared.database, date_trunc('second', prepared.prepared))
            else format('pid %s, %s in database %s (application %s), its transaction open since %s',
                held.pid, coalesce(activity.usename::text, 'another role'), coalesce(activity.datname::text, '?'),
                coalesce(nullif(activity.application_name, ''), 'unnamed'),
                coalesce(date_trunc('second', activity.xact_start)::text, 'an unknown time'))
        end,
        case
            when held.pid is null then format('in database %s: rollback prepared %L (or commit prepared)', prepared.database, prepared.gid)
            else format('select pg_terminate_backend(%s)', held.pid)
        end
    from pg_catalog.pg_locks as held
    left join pg_catalog.pg_prepared_xacts as prepared on prepared.transaction = held.transactionid and held.pid is null
    left join pg_catalog.pg_stat_activity as activity on activity.pid = held.pid
    where held.locktype = 'transactionid'
        and held.mode = 'ExclusiveLock'
        and held.granted
        and held.pid is distinct from pg_backend_pid()
        and (held.pid is not null or prepared.gid is not null)
        -- A lock shows the low 32 bits of the counter.
        and held.transactionid::text::bigint = pg_snapshot_xmin(pg_current_snapshot())::text::bigint & 4294967295
$$;
comment on function bulkhead.seal_blocker() is 'The oldest transaction that is still open: nothing after it can be sealed. No row when nothing is held back';
revoke all on function bulkhead.seal_blocker() from public;

-- ---------------------------------------------------------------- verification

create function bulkhead.erased_ids(part_of_event text)
returns int8multirange
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select coalesce(range_agg(int8range((r.ids ->> 0)::bigint, (r.ids ->> 1)::bigint, '[]')), '{}')
    from bulkhead.audit_events as e
    cross join lateral jsonb_array_elements(e.metadata -> 'ids') as r (ids)
    where e.operation = 'bulkhead.erase' and e.metadata -> 'erased' ? part_of_event
$$;
comment on function bulkhead.erased_ids(text) is 'The events whose ''who'' or ''what'' an erasure on record took away';
revoke all on function bulkhead.erased_ids(text) from public;

create function bulkhead.is_emptied(event bulkhead.audit_events, part_of_event text)
returns boolean
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select case part_of_event
        when 'who' then num_nonnulls(event.actor, event.request_id, event.application_name, event.ip_address) = 0
        else event.record_id is null
            and coalesce(event.before, '{"$bulkhead": "erased"}') = '{"$bulkhead": "erased"}'
            and coalesce(event.after, '{"$bulkhead": "erased"}') = '{"$bulkhead": "erased"}'
            and coalesce(event.metadata, '{"$bulkhead": "erased"}') = '{"$bulkhead": "erased"}'
    end
$$;
comment on function bulkhead.is_emptied(bulkhead.audit_events, text) is 'Whether nothing is left of an event''s ''who'' or ''what''';
revoke all on function bulkhead.is_emptied(bulkhead.audit_events, text) from public;

create function bulkhead.broken_links(first_seq bigint, last_seq bigint)
returns table (seq bigint, part text, problem text)
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select linked.seq, linked.part, case
        when linked.seq <> linked.before_seq + 1 then format('the chain is broken: %s rows before this one are gone', linked.seq - linked.before_seq - 1)
        else 'the chain is broken: this seal, or one before it, was rewritten or removed'
    end
    from (
        select
            s.seq, s.part, s.prev, s.head, bulkhead.seal_head(s.prev, bulkhead.seal_body(s)) as wanted,
            lag(s.seq, 1, coalesce(earlier.seq, 0)) over (order by s.seq) as before_seq,
            lag(s.head, 1, coalesce(earlier.head, bulkhead.genesis())) over (order by s.seq) as before_head
        from bulkhead.audit_seals as s
        left join lateral (
            select e.seq, e.head from bulkhead.audit_seals as e where e.seq < first_seq order by e.seq desc limit 1
        ) as earlier on true
        where s.seq between first_seq and last_seq
    ) as linked
    where linked.prev <> linked.before_head or linked.head <> linked.wanted or linked.seq <> linked.before_seq + 1
    union all
    select link.seq, null, format('era %s was changed after it began', coalesce(link.era, declared.era))
    from (select e.era, bulkhead.era_root(e) as root from bulkhead.audit_eras as e) as declared
    full join (select s.* from bulkhead.audit_seals as s where s.kind = 'era') as link on link.era = declared.era
    where link.root is distinct from declared.root
    order by 1
$$;
comment on function bulkhead.broken_links(bigint, bigint) is 'Rows of the chain that do not follow from the one before';
revoke all on function bulkhead.broken_links(bigint, bigint) from public;

create function bulkhead.broken_shares(era bigint, lo bigint, hi bigint)
returns table (seq bigint, part text, problem text, tenant_id text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_retired text[] := array(select s.part from bulkhead.audit_seals as s where s.kind = 'retire');
begin
    return query
    with seals as materialized (
        select s.seq, s.part, s.events, s.root
        from bulkhead.audit_seals as s
        where s.era = broken_shares.era and s.hi > broken_shares.lo and s.hi <= broken_shares.hi and s.kind = 'seal'
            and s.part <> all (v_retired)
    ),
    shares as materialized (
        select a.id, a.seq, a.tenant_id, a.events, a.root, bulkhead.share_hash(a.tenant_id, a.previous, a.events, a.root) as hash
        from bulkhead.audit_shares as a
        where a.seq between (select min(s.seq) from seals as s) and (select max(s.seq) from seals as s)
            and a.seq in (select s.seq from seals as s)
    ),
    leaves as (
        select l.share, l.id, l.leaf, (row_number() over (partition by l.share order by l.id) - 1) / 1024 as block
        from bulkhead.audit_leaves as l
        where l.share between (select min(s.id) from shares as s) and (select max(s.id) from shares as s)
    ),
    present as (
        select b.share, sum(b.events) as events, bulkhead.merkle_root(array_agg(b.root order by b.block)) as root
        from (
            select leaves.share, leaves.block, count(*) as events, bulkhead.merkle_root(array_agg(leaves.leaf order by leaves.id)) as root
            from leaves
            group by leaves.share, leaves.block
        ) as b
        group by b.share
    ),
    found as (
        select s.seq, sum(s.events)::bigint as events, bulkhead.merkle_root(array_agg(s.hash order by s.hash)) as root
        from shares as s
        group by s.seq
    )
    select seals.seq, seals.part, 'leaves of this tenant''s share were changed, added or removed after they were sealed', s.tenant_id
    from shares as s
    join seals on seals.seq = s.seq
    left join present on present.share = s.id
    where (s.events, s.root) is distinct from (present.events, present.root)
    union all
    select seals.seq, seals.part, 'the tenants'' shares are not those that were sealed', null
    from seals
    left join found on found.seq = seals.seq
    where (seals.events, seals.root) is distinct from (found.events, found.root)
    order by 1;
end
$$;
comment on function bulkhead.broken_shares(bigint, bigint, bigint) is 'Whether leaves and shares still make the roots of the seals from lo to hi';
revoke all on function bulkhead.broken_shares(bigint, bigint, bigint) from public;

create function bulkhead.broken_events(era bigint, lo bigint, hi bigint, erased_who int8multirange, erased_what int8multirange)
returns table (seq bigint, part text, problem text, event_id bigint, tenant_id text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_first bigint := (select e.first_id from bulkhead.audit_eras as e where e.era = broken_events.era);
    v_next bigint := (select e.first_id from bulkhead.audit_eras as e where e.era = broken_events.era + 1);
    v_attached text[] := array(
        select c.relname::text
        from pg_catalog.pg_inherits as i
        join pg_catalog.pg_class as c on c.oid = i.inhrelid
        where i.inhparent = 'bulkhead.audit_events'::regclass);
begin
    return query
    with shares as materialized (
        select s.id, s.seq, seal.part, s.tenant_id
        from bulkhead.audit_seals as seal
        join bulkhead.audit_shares as s on s.seq = seal.seq
        where seal.era = broken_events.era and seal.hi > broken_events.lo and seal.hi <= broken_events.hi and seal.kind = 'seal'
            and seal.part = any (v_attached)
    ),
    sealed as (
        select l.id, l.leaf, l.who, l.what, s.seq, s.part, s.tenant_id
        from shares as s
        join bulkhead.audit_leaves as l on l.share = s.id
        -- Said twice, for the planner: as a join alone it reads the leaves of the whole ledger.
        where l.share between (select min(s.id) from shares as s) and (select max(s.id) from shares as s)
    ),
    present as (
        select e as event, e.id, e.tenant_id, c.relname::text as part
        from bulkhead.audit_events as e
        join pg_catalog.pg_class as c on c.oid = e.tableoid
        where e.xid >= lo and e.xid < hi and e.id >= v_first and (v_next is null or e.id < v_next)
    ),
    compared as (
        select
            sealed.seq,
            coalesce(sealed.part, present.part) as part,
            case
                when sealed.id is null then 'the event was added to a sealed interval'
                when present.id is null then 'the event is gone'
                when sealed.part <> present.part then format('the event was moved to %s', present.part)
                when sealed.leaf <> bulkhead.audit_leaf(present.event, sealed.who, sealed.what)
                    then 'the event, or its salt, was changed after it was sealed'
                when length(sealed.who) = 32 and not (sealed.id <@ erased_who) or length(sealed.what) = 32 and not (sealed.id <@ erased_what)
                    then 'the event was erased without a record of it'
                when length(sealed.who) = 32 and not bulkhead.is_emptied(present.event, 'who')
                    or length(sealed.what) = 32 and not bulkhead.is_emptied(present.event, 'what')
                    then 'something was written into an event that was erased'
            end as problem,
            coalesce(sealed.id, present.id) as event_id,
            coalesce(sealed.tenant_id, present.tenant_id) as tenant_id
        from sealed
        full join present on present.id = sealed.id
    )
    select compared.seq, compared.part, compared.problem, compared.event_id, compared.tenant_id
    from compared
    where compared.problem is not null
    union all
    -- A copy of an event has the leaf of the original.
    select min(seal.seq), seal.part, format('%s events, %s were sealed', counted.events, sum(seal.events)), null, null
    from bulkhead.audit_seals as seal
    join (select present.part, count(*) as events from present group by present.part) as counted on counted.part = seal.part
    where seal.era = broken_events.era and seal.hi > broken_events.lo and seal.hi <= broken_events.hi and seal.kind = 'seal'
    group by seal.part, counted.events
    having sum(seal.events) <> counted.events
    order by 1, 4;
end
$$;
comment on function bulkhead.broken_events(bigint, bigint, bigint, int8multirange, int8multirange) is 'Events of the sealed intervals from lo to hi that do not match their leaves';
revoke all on function bulkhead.broken_events(bigint, bigint, bigint, int8multirange, int8multirange) from public;

create function bulkhead.is_attached(part text)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select
        from pg_catalog.pg_inherits as i
        join pg_catalog.pg_class as c on c.oid = i.inhrelid
        where i.inhparent = 'bulkhead.audit_events'::regclass and c.relname = part
    )
$$;
comment on function bulkhead.is_attached(text) is 'Whether a partition of the ledger is there and read';
revoke all on function bulkhead.is_attached(text) from public;

create function bulkhead.verify_audit(
    anchor text default null,
    newest bigint default null,
    first_seq bigint default null,
    last_seq bigint default null
)
returns table (seq bigint, part text, problem text, event_id bigint, tenant_id text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_column
declare
    v_max bigint := coalesce((select max(s.seq) from bulkhead.audit_seals as s), 0);
    v_from bigint := coalesce(verify_audit.first_seq, v_max - verify_audit.newest + 1, 1);
    v_to bigint := coalesce(verify_audit.last_seq, v_max);
    v_who int8multirange := bulkhead.erased_ids('who');
    v_what int8multirange := bulkhead.erased_ids('what');
    v_interval record;
    v_problem record;
    v_listed integer;
    v_more bigint;
begin
    if anchor !~ '^[0-9a-f]{64}$' or newest < 0 or v_from > v_to and first_seq is not null then
        raise exception using
            errcode = 'BH802',
            message = 'Cannot verify the ledger: the anchor is a head of 64 hexadecimal digits (select bulkhead.audit_head()), newest is 0 (the chain alone) or more, first_seq is at most last_seq';
    end if;
    return query
    select b.seq, b.part, b.problem, null::bigint, null::text
    -- Asked for the newest few, the chain is followed for ten thousand rows: a week at one a minute.
    from bulkhead.broken_links(case when newest is null then v_from else greatest(1, least(v_from, v_max - 9999)) end, v_to) as b;
    if anchor is not null
        and anchor <> encode(bulkhead.genesis(), 'hex')
        and not exists (select from bulkhead.audit_seals as s where s.head = decode(anchor, 'hex')) then
        return query select null::bigint, null::text,
            'the anchor is not in the chain: seals were rewritten or cut off after it was taken'::text, null::bigint, null::text;
    end if;
    -- Neighbouring intervals are compared together: twenty thousand events at a time, or one interval if that is larger.
    for v_interval in
        select min(g.seq) as seq, g.era, min(g.lo) as lo, max(g.hi) as hi
        from (
            select i.seq, i.era, i.lo, i.hi, (sum(i.events) over (order by i.seq) - i.events)::bigint / 20000 as bucket, i.seq / 500 as stretch
            from (
                select min(s.seq) as seq, s.era, s.lo, s.hi, sum(s.events) as events
                from bulkhead.audit_seals as s
                where s.kind = 'seal' and s.seq between v_from and v_to
                group by s.era, s.lo, s.hi
            ) as i
        ) as g
        group by g.era, g.bucket, g.stretch
        order by 1
    loop
        return query
        select s.seq, s.part, format('%s is gone or detached: its %s sealed events can''t be read', s.part, s.events), null::bigint, null::text
        from bulkhead.audit_seals as s
        where s.era = v_interval.era and s.hi > v_interval.lo and s.hi <= v_interval.hi and s.kind = 'seal'
            and not bulkhead.is_attached(s.part) and not bulkhead.is_retired(s.part);
        return query
        select b.seq, b.part, b.problem, null::bigint, b.tenant_id
        from bulkhead.broken_shares(v_interval.era, v_interval.lo, v_interval.hi) as b;
        v_listed := 0;
        v_more := 0;
        for v_problem in
            select * from bulkhead.broken_events(v_interval.era, v_interval.lo, v_interval.hi, v_who, v_what)
        loop
            v_listed := v_listed + 1;
            if v_listed <= 20 then
                return query select v_problem.seq, v_problem.part, v_problem.problem, v_problem.event_id, v_problem.tenant_id;
            else
                v_more := v_more + 1;
            end if;
        end loop;
        if v_more > 0 then
            return query select v_interval.seq, null::text, format('and %s more events from this seal on', v_more), null::bigint, null::text;
        end if;
    end loop;
end
$$;
comment on function bulkhead.verify_audit(text, bigint, bigint, bigint) is 'Compares the ledger with its seals and names each seal and event that does not match; no rows means intact. anchor: a head kept elsewhere; newest: only so many last seals; first_seq, last_seq: only those. The tail that is not sealed yet cannot be checked';
revoke all on function bulkhead.verify_audit(text, bigint, bigint, bigint) from public;

create function bulkhead.is_retired(part text)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select exists (select from bulkhead.audit_seals as s where s.kind = 'retire' and s.part = is_retired.part)
$$;
comment on function bulkhead.is_retired(text) is 'Whether bulkhead.retire_partition() dropped a partition of the ledger';
revoke all on function bulkhead.is_retired(text) from public;

-- ---------------------------------------------------------------- export: proof without a database

create function bulkhead.audit_event_json(event bulkhead.audit_events, leaf bulkhead.audit_leaves)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select json_build_object('event', json_build_object(
        'id', event.id::text, 'created_at', bulkhead.audit_micros(event.created_at), 'xid', event.xid::text, 'tenant_id', event.tenant_id,
        'actor_role', event.actor_role, 'table_name', event.table_name, 'operation', event.operation,
        'actor', event.actor, 'request_id', event.request_id, 'application_name', event.application_name, 'ip_address', event.ip_address::text,
        'record_id', event.record_id, 'before', event.before::text, 'after', event.after::text, 'metadata', event.metadata::text,
        'who', encode(leaf.who, 'hex'), 'what', encode(leaf.what, 'hex'), 'leaf', encode(leaf.leaf, 'hex')
    ))::text
$$;
comment on function bulkhead.audit_event_json(bulkhead.audit_events, bulkhead.audit_leaves) is 'An event as a line of an export';
revoke all on function bulkhead.audit_event_json(bulkhead.audit_events, bulkhead.audit_leaves) from public;

create function bulkhead.audit_share_json(share bulkhead.audit_shares, with_path boolean)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_json jsonb := jsonb_build_object('tenant_id', share.tenant_id, 'previous', share.previous::text, 'events', share.events::text);
    v_all bytea[];
    v_index integer;
begin
    if with_path then
        v_all := array(
            select bulkhead.share_hash(s.tenant_id, s.previous, s.events, s.root) from bulkhead.audit_shares as s where s.seq = share.seq order by 1);
        v_index := array_position(v_all, bulkhead.share_hash(share.tenant_id, share.previous, share.events, share.root)) - 1;
        v_json := v_json || jsonb_build_object('size', cardinality(v_all), 'index', v_index, 'path', to_jsonb(array(
            select encode(p.hash, 'hex')
            from unnest(bulkhead.merkle_path(v_all, v_index)) with ordinality as p (hash, position)
            order by p.position)));
    end if;
    return jsonb_build_object('share', v_json)::text;
end
$$;
comment on function bulkhead.audit_share_json(bulkhead.audit_shares, boolean) is 'A tenant''s share as a line of an export; with the way to the root where the others are not shown';
revoke all on function bulkhead.audit_share_json(bulkhead.audit_shares, boolean) from public;

create function bulkhead.audit_export_lines(first_seq bigint, last_seq bigint, tenant text default null, part text default null)
returns setof text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_link bulkhead.audit_seals;
    v_share bulkhead.audit_shares;
    v_line record;
    v_is_shown boolean;
begin
    for v_link in
        select s.* from bulkhead.audit_seals as s where s.seq between first_seq and last_seq order by s.seq
    loop
        v_is_shown := case
            when v_link.kind <> 'seal' or bulkhead.is_retired(v_link.part) then true
            when tenant is not null then exists (
                select from bulkhead.audit_shares as s where s.seq = v_link.seq and s.tenant_id = tenant)
            when part is not null then v_link.part = part
            else true
        end;
        if not v_is_shown then
            return next json_build_object('body', encode(bulkhead.seal_body(v_link), 'hex'))::text;
            continue;
        end if;
        return next json_build_object('link', json_build_object(
            'seq', v_link.seq::text, 'kind', v_link.kind, 'part', v_link.part, 'era', v_link.era::text, 'lo', v_link.lo::text, 'hi', v_link.hi::text,
            'events', v_link.events::text, 'xid', v_link.xid::text, 'sealed_at', bulkhead.audit_micros(v_link.sealed_at), 'root', encode(v_link.root, 'hex')
        ))::text;
        if v_link.kind <> 'seal' or bulkhead.is_retired(v_link.part) then
            continue;
        end if;
        v_share := null;
        for v_line in
            select s as share, e as event, l as leaf
            from bulkhead.audit_shares as s
            join bulkhead.audit_leaves as l on l.share = s.id
            join bulkhead.audit_events as e on e.id = l.id and e.xid >= v_link.lo and e.xid < v_link.hi
            where s.seq = v_link.seq and (tenant is null or s.tenant_id = tenant)
            order by s.id, l.id
        loop
            if v_share.id is distinct from (v_line.share).id then
                v_share := v_line.share;
                return next bulkhead.audit_share_json(v_share, tenant is not null);
            end if;
            return next bulkhead.audit_event_json(v_line.event, v_line.leaf);
        end loop;
    end loop;
end
$$;
comment on function bulkhead.audit_export_lines(bigint, bigint, text, text) is 'Lines of an export, see docs/ledger-format.md: all of a stretch of the chain, one tenant''s, or one partition''s';
revoke all on function bulkhead.audit_export_lines(bigint, bigint, text, text) from public;

create function bulkhead.record_export(detail jsonb, tenant text default null)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
begin
    if tenant is not null and not exists (select from bulkhead.tenants_to_export() as t (id) where t.id = tenant) then
        raise exception using
            errcode = 'BH802',
            message = format('Cannot export the trail of tenant %L: there is no such tenant, and the ledger knows none; select * from bulkhead.tenants_to_export() lists them', tenant);
    end if;
    if detail ? 'part' and not bulkhead.is_attached(detail ->> 'part') then
        raise exception using
            errcode = 'BH802',
            message = format('Cannot export %L: it is no partition of the ledger, or it was retired', detail ->> 'part');
    end if;
    insert into bulkhead.audit_events (tenant_id, actor, actor_role, table_name, operation, application_name, metadata)
    values (tenant, nullif(current_setting('bulkhead.actor', true), ''), session_user, 'bulkhead.audit_events', 'bulkhead.export',
        nullif(current_setting('application_name'), ''), detail);
    return pg_current_xact_id()::text::bigint;
end
$$;
comment on function bulkhead.record_export(jsonb, text) is 'Records an export of the ledger in the ledger; returns the transaction, which must be sealed before the export can end with it';
revoke all on function bulkhead.record_export(jsonb, text) from public;

-- ---------------------------------------------------------------- erasure and retention

-- The one exception of bulkhead.refuse_change(): what this very transaction has put on record.
create function bulkhead.may_change(relation name, operation text)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select case
        when operation = 'UPDATE' and relation in ('audit_events', 'audit_leaves') then exists (
            select
            from bulkhead.audit_events as e
            where e.xid = pg_current_xact_id_if_assigned()::text::bigint and e.created_at = now() and e.operation = 'bulkhead.erase')
        when operation = 'DELETE' and relation = 'audit_shares' then exists (
            select
            from bulkhead.audit_seals as s
            where s.xid = pg_current_xact_id_if_assigned()::text::bigint and s.kind = 'retire')
        else false
    end
$$;
comment on function bulkhead.may_change(name, text) is 'Whether this transaction recorded the erasure, or the retirement, that it is about to do';
revoke all on function bulkhead.may_change(name, text) from public;

create function bulkhead.erase(
    reason text,
    actor text default null,
    table_name text default null,
    record_id text default null,
    tenant text default null
)
returns table (tenant_id text, events bigint)
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_actor text := actor;
    v_table text := table_name;
    v_record text := record_id;
    v_tenant text := tenant;
    v_erased text[] := case when v_actor is not null then '{who}' when v_record is not null then '{what}' else '{who,what}' end::text[];
    v_gone constant jsonb := '{"$bulkhead": "erased"}';
    v_ids int8multirange;
    v_found record;
begin
    if coalesce(btrim(reason), '') = ''
        or (v_table is null) <> (v_record is null)
        or v_actor is not null and v_record is not null
        or v_actor is null and v_record is null and v_tenant is null then
        raise exception using
            errcode = 'BH803',
            message = 'Cannot erase: name a reason and one subject, such as bulkhead.erase(reason => ''request of 2 May'', actor => ''…''); or table_name and record_id; or tenant',
            detail = 'A tenant may narrow the other two down.';
    end if;
    -- Nothing is sealed meanwhile: each event has its leaf, or will be sealed as it is then.
    lock table bulkhead.audit_eras in share row exclusive mode;
    for v_found in
        select matched.tenant_id, range_agg(int8range(matched.id, matched.id, '[]')) as ids, count(*) as events
        from (
            select e.tenant_id, e.id
            from bulkhead.audit_events as e
            where (v_actor is null or e.actor = v_actor)
                and (v_record is null or e.table_name = v_table and e.record_id = v_record)
                and (v_tenant is null or e.tenant_id = v_tenant)
                and (
                    'who' = any (v_erased) and not bulkhead.is_emptied(e, 'who')
                    -- What the kit says of itself is no personal data, and an erasure's record must stay.
                    or 'what' = any (v_erased) and e.operation not like 'bulkhead.%' and not bulkhead.is_emptied(e, 'what')
                )
        ) as matched
        group by matched.tenant_id
    loop
        v_ids := coalesce(v_ids, '{}') + v_found.ids;
        -- In its own tenant's trail, so that a tenant's export holds the record too; a few thousand ranges a record.
        insert into bulkhead.audit_events (tenant_id, actor, actor_role, table_name, operation, application_name, metadata)
        select v_found.tenant_id, nullif(current_setting('bulkhead.actor', true), ''), session_user, coalesce(v_table, 'bulkhead.audit_events'),
            'bulkhead.erase', nullif(current_setting('application_name'), ''),
            jsonb_build_object(
                'reason', reason,
                'subject', case when v_actor is not null then 'actor' when v_record is not null then 'record' else 'tenant' end,
                'erased', to_jsonb(v_erased),
                'events', sum(upper(r.ids) - lower(r.ids)),
                'ids', jsonb_agg(jsonb_build_array(lower(r.ids)::text, (upper(r.ids) - 1)::text) order by r.position))
        from (
            select u.ids, u.position, (u.position - 1) / 4000 as page
            from unnest(v_found.ids) with ordinality as u (ids, position)
        ) as r
        group by r.page;
        tenant_id := v_found.tenant_id;
        events := v_found.events;
        return next;
    end loop;
    if v_ids is null then
        raise exception using
            errcode = 'BH803',
            message = format('Cannot erase: no event in the ledger %s%s has data left to erase; a table is named as the ledger names it, such as public.people',
                case when v_actor is not null then 'of actor ' || quote_literal(v_actor)
                    when v_record is not null then format('of record %L of %s', v_record, v_table)
                    else 'of tenant ' || quote_literal(v_tenant) end,
                case when v_tenant is not null and num_nonnulls(v_actor, v_record) > 0 then ' in tenant ' || quote_literal(v_tenant) else '' end);
    end if;
    -- The hash takes the salt's place, while there is still something to hash.
    update bulkhead.audit_leaves as l set
        who = case when 'who' = any (v_erased) and length(l.who) = 16 then bulkhead.audit_who(e, l.who) else l.who end,
        what = case when 'what' = any (v_erased) and e.operation not like 'bulkhead.%' and length(l.what) = 16 then bulkhead.audit_what(e, l.what) else l.what end
    from bulkhead.audit_events as e
    where e.id = l.id and e.id <@ v_ids and l.id <@ v_ids;
    update bulkhead.audit_events as e set
        actor = case when 'who' = any (v_erased) then null else e.actor end,
        request_id = case when 'who' = any (v_erased) then null else e.request_id end,
        application_name = case when 'who' = any (v_erased) then null else e.application_name end,
        ip_address = case when 'who' = any (v_erased) then null else e.ip_address end,
        record_id = case when u.is_what then null else e.record_id end,
        before = case when u.is_what and e.before is not null then v_gone else e.before end,
        after = case when u.is_what and e.after is not null then v_gone else e.after end,
        metadata = case when u.is_what and e.metadata is not null then v_gone else e.metadata end
    from (
        select m.id, 'what' = any (v_erased) and m.operation not like 'bulkhead.%' as is_what
        from bulkhead.audit_events as m
        where m.id <@ v_ids
    ) as u
    where u.id = e.id and e.id <@ v_ids;
end
$$;
comment on function bulkhead.erase(text, text, text, text, text) is 'Takes personal data out of the ledger for good, seals unbroken, and records that it did: who (actor => …), what (table_name => …, record_id => …) or both of a tenant''s whole trail';
revoke all on function bulkhead.erase(text, text, text, text, text) from public;

create function bulkhead.retire_partition(part text, export_sha256 text, reason text)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
set lock_timeout = '10s'
as $$
#variable_conflict use_variable
declare
    v_month date := case when part ~ '^audit_events_\d{6}$' then to_date(right(part, 6), 'YYYYMM') end;
    v_sealed bigint;
    v_present bigint;
    v_older text;
    v_problem text;
begin
    lock table bulkhead.audit_eras in share row exclusive mode;
    if v_month is null or not bulkhead.is_attached(part) then
        v_problem := 'it is no month''s partition of the ledger, or it was retired before';
    elsif coalesce(btrim(reason), '') = '' then
        v_problem := 'a reason is missing';
    elsif (v_month + interval '1 month') at time zone 'UTC' > now() then
        v_problem := 'its month is not over';
    else
        select min(c.relname::text)
        into v_older
        from pg_catalog.pg_inherits as i
        join pg_catalog.pg_class as c on c.oid = i.inhrelid
        where i.inhparent = 'bulkhead.audit_events'::regclass and c.relname ~ '^audit_events_\d{6}$' and c.relname::text < part;
        select coalesce(sum(s.events), 0) into v_sealed from bulkhead.audit_seals as s where s.part = retire_partition.part and s.kind = 'seal';
        execute format('select count(*) from bulkhead.%I', part) into v_present;
        if v_older is not null then
            v_problem := format('%s is older and must go first', v_older);
        elsif v_present <> v_sealed then
            v_problem := format('it holds %s events and %s are sealed; run select bulkhead.seal(), and if that is no help select * from bulkhead.verify_audit()', v_present, v_sealed);
        elsif not exists (
            select
            from bulkhead.audit_events as e
            join bulkhead.audit_leaves as l on l.id = e.id
            where e.operation = 'bulkhead.export' and e.metadata ->> 'part' = part and e.metadata ->> 'sha256' = lower(export_sha256)
                and (e.metadata ->> 'events')::bigint = v_sealed
        ) then
            v_problem := format('no sealed record of a whole export with sha256 %s; run bulkhead audit export --partition %s, keep the file, select bulkhead.seal(), and name the sha256 that it printed', export_sha256, part);
        end if;
    end if;
    if v_problem is not null then
        raise exception using errcode = 'BH804', message = format('Cannot retire %L: %s', part, v_problem);
    end if;
    perform bulkhead.append_link('retire', part, (select max(e.era) from bulkhead.audit_eras as e), 0, 0, 0, decode(export_sha256, 'hex'));
    insert into bulkhead.audit_events (actor, actor_role, table_name, operation, application_name, metadata)
    values (nullif(current_setting('bulkhead.actor', true), ''), session_user, 'bulkhead.' || part, 'bulkhead.retire',
        nullif(current_setting('application_name'), ''),
        jsonb_build_object('reason', reason, 'events', v_sealed, 'sha256', lower(export_sha256)));
    -- The newest share of a tenant stays: the next one follows it.
    delete from bulkhead.audit_shares as s
    using bulkhead.audit_seals as seal
    where seal.seq = s.seq and seal.part = retire_partition.part
        and exists (select from bulkhead.audit_shares as n where n.tenant_id is not distinct from s.tenant_id and n.seq > s.seq);
    execute format('drop table bulkhead.%I', part);
    execute format('drop table if exists bulkhead.%I', 'audit_leaves_' || right(part, 6));
    return v_sealed;
end
$$;
comment on function bulkhead.retire_partition(text, text, text) is 'Drops a month of the ledger whose export is on record, as a row of the chain; returns how many events went';
revoke all on function bulkhead.retire_partition(text, text, text) from public;
