-- Proof: the ledger sealed in a hash chain, so that a change of it shows.
-- Public: tables bulkhead.audit_seals, audit_eras; bulkhead.seal, verify_audit, audit_head.
-- Never: seals an event that may still roll back, leaves one out, seals one twice.
-- No security definer functions.

create table bulkhead.audit_eras (
    era bigint primary key check (era > 0),
    system_identifier bigint not null,
    first_id bigint not null,
    started_at timestamptz not null default now()
);
comment on table bulkhead.audit_eras is 'Stretches of one transaction counter: a logical restore into another cluster begins a new era';
select from bulkhead.make_append_only('bulkhead.audit_eras');

create table bulkhead.audit_seals (
    seq bigint not null check (seq > 0),
    part name not null,
    era bigint not null references bulkhead.audit_eras (era),
    lo bigint not null,
    hi bigint not null check (hi > lo),
    events bigint not null check (events > 0),
    root bytea not null check (length(root) = 32),
    prev bytea not null check (length(prev) = 32),
    head bytea not null check (length(head) = 32),
    sealed_at timestamptz not null default clock_timestamp(),
    primary key (seq, part)
);
comment on table bulkhead.audit_seals is 'The hash chain: one row a sealed interval of transactions [lo, hi) and ledger partition. Append-only';
comment on column bulkhead.audit_seals.root is 'Merkle root over the events of the interval, in order of id';
comment on column bulkhead.audit_seals.head is 'sha256(prev || root || canonical seal row)';
select from bulkhead.make_append_only('bulkhead.audit_seals');

create function bulkhead.audit_leaf(event bulkhead.audit_events)
returns bytea
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select sha256('\x00'::bytea || convert_to(jsonb_build_array(
        event.id, (extract(epoch from event.created_at) * 1000000)::bigint, event.xid, event.tenant_id, event.actor,
        event.actor_role, event.table_name, event.operation, event.record_id, event.before, event.after,
        event.request_id, host(event.ip_address), event.metadata
    )::text, 'UTF8'))
$$;
comment on function bulkhead.audit_leaf(bulkhead.audit_events) is 'The hash of one event: 0x00 and its columns as a JSON array, the time in microseconds';
revoke all on function bulkhead.audit_leaf(bulkhead.audit_events) from public;

-- By unnest and grouping, level by level: array subscripts would make it quadratic.
create function bulkhead.merkle_root(leaves bytea[])
returns bytea
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
    while cardinality(leaves) > 1 loop
        select array_agg(level.hash order by level.pair)
        into leaves
        from (
            select
                (u.position - 1) / 2 as pair,
                case
                    when count(*) = 2 then sha256('\x01'::bytea || string_agg(u.hash, ''::bytea order by u.position))
                    else string_agg(u.hash, ''::bytea)
                end as hash
            from unnest(leaves) with ordinality as u (hash, position)
            group by 1
        ) as level;
    end loop;
    return leaves[1];
end
$$;
comment on function bulkhead.merkle_root(bytea[]) is 'Merkle root: pairs hash as sha256(0x01 || left || right), an odd last one moves up unchanged; null for none';
revoke all on function bulkhead.merkle_root(bytea[]) from public;

create function bulkhead.seal_hash(seq bigint, part name, era bigint, lo bigint, hi bigint, events bigint, root bytea, prev bytea)
returns bytea
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select sha256(prev || root || convert_to(jsonb_build_array(seq, part, era, lo, hi, events)::text, 'UTF8'))
$$;
comment on function bulkhead.seal_hash is 'The head that a seal must have, given the one before it';
revoke all on function bulkhead.seal_hash from public;

create function bulkhead.genesis()
returns bytea
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select sha256(convert_to('bulkhead audit chain', 'UTF8'))
$$;
comment on function bulkhead.genesis() is 'What the first seal chains to';
revoke all on function bulkhead.genesis() from public;

create function bulkhead.sealed_parts(era bigint, lo bigint, hi bigint)
returns table (part name, events bigint, root bytea)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_first bigint := (select e.first_id from bulkhead.audit_eras as e where e.era = sealed_parts.era);
    v_next bigint := (select e.first_id from bulkhead.audit_eras as e where e.era = sealed_parts.era + 1);
begin
    return query
    select c.relname, count(*), bulkhead.merkle_root(array_agg(bulkhead.audit_leaf(e) order by e.id))
    from bulkhead.audit_events as e
    join pg_catalog.pg_class as c on c.oid = e.tableoid
    where e.xid >= lo and e.xid < hi and e.id >= v_first and (v_next is null or e.id < v_next)
    group by c.relname
    order by c.relname;
end
$$;
comment on function bulkhead.sealed_parts(bigint, bigint, bigint) is 'What the ledger holds now for an interval of transactions, by partition: counts and Merkle roots';
revoke all on function bulkhead.sealed_parts(bigint, bigint, bigint) from public;

create function bulkhead.append_seals(era bigint, lo bigint, hi bigint)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_seq bigint := coalesce((select max(s.seq) from bulkhead.audit_seals as s), 0) + 1;
    v_prev bytea := coalesce(
        (select s.head from bulkhead.audit_seals as s order by s.seq desc, s.part desc limit 1),
        bulkhead.genesis());
    v_part record;
    v_sealed bigint := 0;
begin
    for v_part in select * from bulkhead.sealed_parts(era, lo, hi) loop
        insert into bulkhead.audit_seals (seq, part, era, lo, hi, events, root, prev, head)
        values (v_seq, v_part.part, era, lo, hi, v_part.events, v_part.root, v_prev,
            bulkhead.seal_hash(v_seq, v_part.part, era, lo, hi, v_part.events, v_part.root, v_prev))
        returning head into v_prev;
        v_sealed := v_sealed + v_part.events;
    end loop;
    return v_sealed;
end
$$;
comment on function bulkhead.append_seals(bigint, bigint, bigint) is 'Adds the seals of one interval to the chain; returns how many events they cover';
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

create function bulkhead.seal()
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_system bigint := (select c.system_identifier from pg_catalog.pg_control_system() as c);
    v_era bulkhead.audit_eras;
    v_lo bigint;
    v_hi bigint;
    v_sealed bigint := 0;
begin
    -- A table lock, not an advisory one: that could be held by anybody, and sealing would stand still.
    lock table bulkhead.audit_eras in share row exclusive mode;
    -- A seal that survives a crash must not cover events that did not.
    perform set_config('synchronous_commit', 'on', true);
    select e.* into v_era from bulkhead.audit_eras as e order by e.era desc limit 1;
    v_lo := coalesce((select max(s.hi) from bulkhead.audit_seals as s where s.era = v_era.era), 0);
    -- Everything below the horizon has ended: no event can still appear there, none can vanish.
    v_hi := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
    if v_era.era is null or v_era.system_identifier <> v_system then
        insert into bulkhead.audit_eras (era, system_identifier, first_id)
        values (coalesce(v_era.era, 0) + 1, v_system, case when v_era.era is null then 0 else bulkhead.first_native_id() end);
        if v_era.era is not null then
            -- What had not been sealed when the copy was made is the last interval of the old era.
            v_sealed := bulkhead.append_seals(v_era.era, v_lo, 9223372036854775807);
        end if;
        select e.* into v_era from bulkhead.audit_eras as e order by e.era desc limit 1;
        v_lo := 0;
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
        (select encode(s.head, 'hex') from bulkhead.audit_seals as s order by s.seq desc, s.part desc limit 1),
        encode(bulkhead.genesis(), 'hex'))
$$;
comment on function bulkhead.audit_head() is 'The chain''s newest hash, in hex: keep it somewhere else and give it to verify_audit() as the anchor';
revoke all on function bulkhead.audit_head() from public;

create function bulkhead.verify_audit(anchor text default null, newest bigint default null)
returns table (seq bigint, part name, problem text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_column
declare
    v_seal record;
    v_prev bytea := bulkhead.genesis();
    v_interval record;
    v_from bigint := 0;
begin
    for v_seal in select s.* from bulkhead.audit_seals as s order by s.seq, s.part loop
        if v_seal.prev <> v_prev
            or v_seal.head <> bulkhead.seal_hash(
                v_seal.seq, v_seal.part, v_seal.era, v_seal.lo, v_seal.hi, v_seal.events, v_seal.root, v_seal.prev) then
            return query select v_seal.seq, v_seal.part, 'the chain is broken: this seal, or one before it, was rewritten or removed'::text;
        end if;
        v_prev := v_seal.head;
    end loop;
    if anchor is not null
        and anchor <> encode(bulkhead.genesis(), 'hex')
        and not exists (select from bulkhead.audit_seals as s where s.head = decode(anchor, 'hex')) then
        return query select null::bigint, null::name, 'the anchor is not in the chain: seals were rewritten or cut off after it was taken'::text;
    end if;
    if newest is not null then
        v_from := coalesce((select max(s.seq) from bulkhead.audit_seals as s), 0) - newest + 1;
    end if;
    for v_interval in
        select s.seq, s.era, s.lo, s.hi
        from bulkhead.audit_seals as s
        where s.seq >= v_from
        group by s.seq, s.era, s.lo, s.hi
        order by s.seq
    loop
        return query
        select
            v_interval.seq,
            coalesce(sealed.part, present.part),
            case
                when sealed.part is null then format('%s events were added to a sealed interval', present.events)
                when coalesce(present.events, 0) <> sealed.events
                    then format('%s events, %s were sealed', coalesce(present.events, 0), sealed.events)
                else 'an event was changed after it was sealed'
            end
        from (select s.* from bulkhead.audit_seals as s where s.seq = v_interval.seq) as sealed
        full join bulkhead.sealed_parts(v_interval.era, v_interval.lo, v_interval.hi) as present on present.part = sealed.part
        where (sealed.events, sealed.root) is distinct from (present.events, present.root);
    end loop;
end
$$;
comment on function bulkhead.verify_audit(text, bigint) is 'Compares the ledger with its seals and names each interval that does not match; no rows means intact. anchor: a head kept elsewhere; newest: only that many last intervals. The tail that is not sealed yet cannot be checked';
revoke all on function bulkhead.verify_audit(text, bigint) from public;
