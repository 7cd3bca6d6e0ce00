-- Rules of what surrounds the boundary: the audit trail, the guard, the schedule.
-- Public objects: functions bulkhead.checks_trail(), checks_guard(), checks_schedule(). One offences_of_<subject>() a subject.
-- Never: passes what it could not read.
-- No security definer functions.

-- ---------------------------------------------------------------- trail

create function bulkhead.offences_of_trail()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with ledger as materialized (
        select
            class.oid,
            class.relowner,
            format('%I.%I', namespace.nspname, class.relname) as qualified
        from pg_catalog.pg_class as class
        join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
        where class.oid in (
            to_regclass('bulkhead.audit_events'),
            to_regclass('bulkhead.audit_seals'),
            to_regclass('bulkhead.audit_eras'),
            to_regclass('bulkhead.audit_shares'),
            to_regclass('bulkhead.audit_leaves')
        )
            or class.oid in (
                select part.inhrelid
                from pg_catalog.pg_inherits as part
                where part.inhparent in (to_regclass('bulkhead.audit_events'), to_regclass('bulkhead.audit_leaves'))
            )
    )
    select bulkhead.offence_row(
        'ledger_append_only',
        ledger.qualified,
        'Update, delete or truncate would not be refused: its trigger is missing, disabled or another one',
        format('select bulkhead.make_append_only(%L);', ledger.qualified),
        format('select tgname, tgenabled from pg_catalog.pg_trigger where tgrelid = %L::regclass', ledger.qualified)
    )
    from ledger
    where not exists (
        select
        from pg_catalog.pg_trigger as g
        where g.tgrelid = ledger.oid
            and g.tgfoid = to_regprocedure('bulkhead.refuse_change()')
            and g.tgenabled = 'A'
            -- before (2) delete (8) update (16) truncate (32), each statement
            and g.tgtype = 58
            and g.tgqual is null
    )
    union all
    select bulkhead.offence_row(
        'ledger_grant',
        ledger.qualified,
        format('%s may %s', string_agg(distinct coalesce(role.rolname, 'everybody'), ', '), lower(string_agg(distinct acl.privilege_type, ', '))),
        format(
            'revoke all on table %s from %s;%s',
            ledger.qualified,
            string_agg(distinct case when role.rolname is null then 'public' else format('%I', role.rolname) end, ', '),
            case when bool_or(role.rolname = 'bulkhead_audit') then ' grant insert on table bulkhead.audit_events to bulkhead_audit;' else '' end
        ),
        format('select relacl from pg_catalog.pg_class where oid = %L::regclass', ledger.qualified)
    )
    from ledger
    join pg_catalog.pg_class as class on class.oid = ledger.oid
    cross join lateral (
        select
            grants.grantee,
            grants.privilege_type
        from aclexplode(class.relacl) as grants
        union
        select
            grants.grantee,
            grants.privilege_type
        from pg_catalog.pg_attribute as a
        cross join lateral aclexplode(a.attacl) as grants
        where a.attrelid = ledger.oid
            and a.attacl is not null
    ) as acl
    left join pg_catalog.pg_roles as role on role.oid = acl.grantee
    where acl.grantee <> ledger.relowner
        -- Reading is what policies decide; a superuser needs no grant.
        and acl.privilege_type <> 'SELECT'
        and not coalesce(role.rolsuper, false)
        and not (coalesce(role.rolname, '') = 'bulkhead_audit' and acl.privilege_type = 'INSERT' and ledger.qualified = 'bulkhead.audit_events')
    group by ledger.qualified
    union all
    select bulkhead.offence_row(
        'ledger_rls',
        ledger.qualified,
        'Row level security is off or not forced: whoever is granted select reads the trail of every tenant',
        format('alter table %s enable row level security, force row level security;', ledger.qualified),
        format('select relrowsecurity, relforcerowsecurity from pg_catalog.pg_class where oid = %L::regclass', ledger.qualified)
    )
    from ledger
    join pg_catalog.pg_class as class on class.oid = ledger.oid
    where not class.relrowsecurity
        or not class.relforcerowsecurity
    union all
    select bulkhead.offence_row(
        'ledger_policy',
        format('%s.%I', ledger.qualified, policy.polname),
        'A permissive policy shows or takes more than a member''s own trail',
        format('drop policy %I on %s;', policy.polname, ledger.qualified)
        || case when policy.polname = 'bulkhead_own_trail' then
            ' create policy bulkhead_own_trail on bulkhead.audit_events for select to authenticated'
            || ' using (tenant_id = any ((select bulkhead.current_tenants())::text[]));'
        else '' end,
        format('select * from pg_catalog.pg_policies where schemaname = ''bulkhead'' and policyname = %L', policy.polname)
    )
    from ledger
    join pg_catalog.pg_policy as policy on policy.polrelid = ledger.oid
    left join pg_catalog.pg_roles as writer on writer.rolname = 'bulkhead_audit'
    where policy.polpermissive
        and not (
            ledger.qualified = 'bulkhead.audit_events'
            and (
                policy.polcmd = 'a' and policy.polroles = array[writer.oid]
                or policy.polcmd = 'r'
                and bulkhead.is_tenant_expression(pg_get_expr(policy.polqual, policy.polrelid), 'tenant_id', 'pg_catalog.text')
            )
        )
    union all
    select bulkhead.offence_row(
        'ledger_partition_missing',
        'bulkhead.audit_events',
        format('There is no partition for %s', to_char(month, 'YYYY-MM')),
        'select bulkhead.ensure_audit_partitions();',
        'select inhrelid::regclass from pg_catalog.pg_inherits where inhparent = ''bulkhead.audit_events''::regclass'
    )
    from generate_series(
        date_trunc('month', now() at time zone 'UTC'),
        date_trunc('month', now() at time zone 'UTC') + interval '1 month',
        interval '1 month'
    ) as month
    where not exists (
        select
        from ledger
        where ledger.qualified = 'bulkhead.audit_events_' || to_char(month, 'YYYYMM')
            and ledger.oid in (
                select part.inhrelid
                from pg_catalog.pg_inherits as part
                where part.inhparent = to_regclass('bulkhead.audit_events')
            )
    )
    union all
    select bulkhead.offence_row(
        'ledger_partition_missing',
        'bulkhead.audit_events_default',
        'The default partition is gone: an event that no month takes is refused, and the write with it',
        'create table bulkhead.audit_events_default partition of bulkhead.audit_events default; select bulkhead.make_append_only(''bulkhead.audit_events_default'');',
        'select inhrelid::regclass from pg_catalog.pg_inherits where inhparent = ''bulkhead.audit_events''::regclass'
    )
    where to_regclass('bulkhead.audit_events') is not null
        and to_regclass('bulkhead.audit_events_default') is null
    union all
    -- Every partition that a seal speaks of, and every one that lies about, must be attached.
    select bulkhead.offence_row(
        'ledger_partition_missing',
        'bulkhead.' || part.name,
        case when part.relation is null then 'Seals cover events of this partition, and it is gone' else 'It is not attached, so its events are not read' end,
        case
            when part.relation is null then 'Put the partition back from the newest backup, see docs/checks/ledger_partition_missing.md'
            when part.name ~ '_\d{6}$' then format(
                'alter table bulkhead.audit_events attach partition bulkhead.%I for values from (%L) to (%L);', part.name,
                to_date(right(part.name, 6), 'YYYYMM')::text || ' 00:00:00+00',
                (to_date(right(part.name, 6), 'YYYYMM') + interval '1 month')::date::text || ' 00:00:00+00'
            )
            else format('alter table bulkhead.audit_events attach partition bulkhead.%I default;', part.name)
        end,
        'select inhrelid::regclass from pg_catalog.pg_inherits where inhparent = ''bulkhead.audit_events''::regclass'
    )
    from (
        select
            coalesce(class.relname::text, sealed.part) as name,
            class.oid as relation
        from (
            select distinct seal.part
            from bulkhead.audit_seals as seal
            where seal.kind = 'seal'
                and not bulkhead.is_retired(seal.part)
        ) as sealed
        full join (
            select c.oid, c.relname
            from pg_catalog.pg_class as c
            where c.relnamespace = 'bulkhead'::regnamespace
                and c.relkind in ('r', 'p')
                and c.relname ~ '^audit_events_(\d{6}|default)$'
        ) as class on class.relname::text = sealed.part
    ) as part
    where part.relation is null
        or part.relation not in (select ledger.oid from ledger)
    union all
    select bulkhead.offence_row(
        'ledger_changed',
        format('trigger %s.%I', ledger.qualified, g.tgname),
        'A trigger that the kit did not make can change or swallow events before they are stored',
        format('drop trigger %I on %s;', g.tgname, ledger.qualified),
        format('select pg_get_triggerdef(%s)', g.oid)
    )
    from ledger
    join pg_catalog.pg_trigger as g
        on g.tgrelid = ledger.oid
        and not g.tgisinternal
        and g.tgparentid = 0
        and g.tgname <> 'bulkhead_append_only'
    join pg_catalog.pg_class as class
        on class.oid = ledger.oid
        and class.relispartition
    union all
    select bulkhead.offence_row(
        'ledger_changed',
        format('rule %s.%I', ledger.qualified, rewrite.rulename),
        'A rule can swallow events before they are stored',
        format('drop rule %I on %s;', rewrite.rulename, ledger.qualified),
        format('select pg_get_ruledef(%s)', rewrite.oid)
    )
    from ledger
    join pg_catalog.pg_class as class
        on class.oid = ledger.oid
        and class.relispartition
    join pg_catalog.pg_rewrite as rewrite on rewrite.ev_class = ledger.oid
    union all
    select bulkhead.offence_row(
        'ledger_changed',
        format('owner %s', ledger.qualified),
        format('It belongs to %I, who can switch its protection off', pg_get_userbyid(ledger.relowner)),
        format('alter table %s owner to %I;', ledger.qualified, pg_get_userbyid(parent.relowner)),
        format('select relowner::regrole from pg_catalog.pg_class where oid = %L::regclass', ledger.qualified)
    )
    from ledger
    join pg_catalog.pg_class as class
        on class.oid = ledger.oid
        and class.relispartition
    join pg_catalog.pg_class as parent on parent.oid = to_regclass('bulkhead.audit_events')
    where ledger.relowner <> parent.relowner
    union all
    select bulkhead.offence_row(
        'ledger_changed',
        format('storage %s', ledger.qualified),
        'It is unlogged: a crash empties it',
        format('alter table %s set logged;', ledger.qualified),
        format('select relpersistence from pg_catalog.pg_class where oid = %L::regclass', ledger.qualified)
    )
    from ledger
    join pg_catalog.pg_class as class
        on class.oid = ledger.oid
        and class.relispartition
    where class.relpersistence <> 'p'
    union all
    select bulkhead.offence_row(
        'ledger_changed',
        format('constraint %s.%I', ledger.qualified, c.conname),
        format('It refuses events, and with them the writes that they tell of: %s', pg_get_constraintdef(c.oid)),
        format('alter table %s drop constraint %I;', ledger.qualified, c.conname),
        format('select pg_get_constraintdef(%s)', c.oid)
    )
    from ledger
    join pg_catalog.pg_class as class
        on class.oid = ledger.oid
        and class.relispartition
    join pg_catalog.pg_constraint as c
        on c.conrelid = ledger.oid
        and c.contype in ('c', 'p', 'u', 'x', 'f')
        and c.coninhcount = 0
        and c.conparentid = 0
    union all
    select bulkhead.offence_row(
        'ledger_changed',
        format('index %s', index_class.relname),
        format('It is unique, so that %s refuses events, and with them the writes that they tell of', ledger.qualified),
        format('drop index bulkhead.%I;', index_class.relname),
        format('select pg_get_indexdef(%s)', i.indexrelid)
    )
    from ledger
    join pg_catalog.pg_index as i
        on i.indrelid = ledger.oid
        and i.indisunique
        and ledger.qualified like 'bulkhead.audit\_events%'
    join pg_catalog.pg_class as index_class on index_class.oid = i.indexrelid
    where not exists (select from pg_catalog.pg_constraint as owning where owning.conindid = i.indexrelid)
        and not index_class.relispartition
    union all
    select offence
    from bulkhead.offences_of_kit() as offence
    where offence.rule = 'ledger_changed'
    union all
    select bulkhead.offence_row(
        'mask_key_changed',
        'bulkhead.mask_key',
        case
            when bulkhead.mask_key_mark() is null then 'It is gone: masked columns are recorded as null'
            else 'It is another one: masked values of now do not compare with those before'
        end,
        declared.restore_sql,
        'select fact, bulkhead.mask_key_mark() from bulkhead.kit_facts where kind = ''mask key'''
    )
    from bulkhead.kit_facts as declared
    where declared.kind = 'mask key'
        and declared.fact is distinct from bulkhead.mask_key_mark()
    union all
    select bulkhead.offence_row(
        'ledger_role',
        'bulkhead_audit',
        'The role that owns the ledger''s writers is gone',
        'create role bulkhead_audit nologin noinherit;'
    )
    where to_regrole('bulkhead_audit') is null
    union all
    select bulkhead.offence_row(
        'ledger_role',
        'bulkhead_audit',
        'It may do more than add events',
        'alter role bulkhead_audit'
        || case when writer.rolsuper then ' nosuperuser' else '' end
        || case when writer.rolcanlogin then ' nologin' else '' end
        || case when writer.rolbypassrls then ' nobypassrls' else '' end
        || case when writer.rolcreaterole then ' nocreaterole' else '' end
        || case when writer.rolcreatedb then ' nocreatedb' else '' end
        || case when writer.rolreplication then ' noreplication' else '' end
        || case when writer.rolinherit then ' noinherit' else '' end || ';',
        'select * from pg_catalog.pg_roles where rolname = ''bulkhead_audit'''
    )
    from pg_catalog.pg_roles as writer
    where writer.rolname = 'bulkhead_audit'
        and (
            writer.rolsuper or writer.rolcanlogin or writer.rolbypassrls or writer.rolcreaterole or writer.rolcreatedb
            or writer.rolreplication or writer.rolinherit
        )
    union all
    select bulkhead.offence_row(
        'ledger_role',
        format('bulkhead_audit in %I', target.rolname),
        'It is a member of another role',
        format(
            'revoke %I from bulkhead_audit%s;', target.rolname,
            case when current_setting('server_version_num')::integer >= 160000 then format(' granted by %I', pg_get_userbyid(membership.grantor)) else '' end
        ),
        'select roleid::regrole from pg_catalog.pg_auth_members where member = ''bulkhead_audit''::regrole'
    )
    from pg_catalog.pg_auth_members as membership
    join pg_catalog.pg_roles as target on target.oid = membership.roleid
    where membership.member = to_regrole('bulkhead_audit')
    union all
    select bulkhead.offence_row(
        'ledger_role',
        'schema bulkhead',
        'bulkhead_audit may create objects in it',
        'revoke create on schema bulkhead from bulkhead_audit;',
        'select nspacl from pg_catalog.pg_namespace where nspname = ''bulkhead'''
    )
    from pg_catalog.pg_roles as writer
    where writer.rolname = 'bulkhead_audit'
        and not writer.rolsuper
        and has_schema_privilege(writer.oid, 'bulkhead', 'create')
$$;
comment on function bulkhead.offences_of_trail() is 'Offenders of the rules about the ledger''s own protection';
revoke all on function bulkhead.offences_of_trail() from public;

create function bulkhead.offences_of_seals()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    -- Events above the newest seal, by transaction: what waits to be sealed.
    select bulkhead.offence_row(
        'seal_lag',
        'bulkhead.audit_seals',
        format('The oldest event that no seal covers is %s old, at most 5 minutes are allowed', date_trunc('second', now() - waiting.oldest))
        || coalesce('; it is held back by ' || blocker.detail || ': end that first, ' || blocker.remedy, ''),
        'select bulkhead.seal();',
        case when blocker.detail is null then 'select max(sealed_at) from bulkhead.audit_seals' else 'select * from bulkhead.seal_blocker()' end,
        round(extract(epoch from now() - waiting.oldest)),
        300
    )
    from (
        select min(event.created_at) as oldest
        from bulkhead.audit_events as event
        where event.xid >= coalesce(
            (
                select max(seal.hi)
                from bulkhead.audit_seals as seal
                where seal.era = (select max(era.era) from bulkhead.audit_eras as era)
                    and seal.kind = 'seal'
            ),
            0
        )
    ) as waiting
    left join (
        -- There is always an oldest transaction; one that has just begun holds nothing back.
        select held.detail, held.remedy
        from bulkhead.seal_blocker() as held
        where coalesce(held.since, '-infinity') < now() - interval '10 seconds'
        limit 1
    ) as blocker on true
    where waiting.oldest < now() - interval '5 minutes'
    union all
    select bulkhead.offence_row(
        'seal_broken',
        concat_ws(' ', 'seal', coalesce(broken.seq::text, 'chain'), broken.part, 'event ' || broken.event_id),
        broken.problem,
        'Do not repair it: keep the database as it is, compare with the newest backup''s anchor, see docs/checks/seal_broken.md',
        'select * from bulkhead.verify_audit()'
    )
    from bulkhead.verify_audit(
        null,
        -- Without writes the newest seals stay the newest: one bulk load among them would be read every five minutes.
        (
            select count(*) filter (where recent.events <= 200000)
            from (
                select sum(seal.events) over (order by seal.seq desc) as events
                from bulkhead.audit_seals as seal
                order by seal.seq desc
                limit 3
            ) as recent
        )
    ) as broken
$$;
comment on function bulkhead.offences_of_seals() is 'Offenders of the rules about the hash chain; the newest ten thousand rows of the chain are followed, the newest three seals compared event by event, as far as they hold 200,000 of them';
revoke all on function bulkhead.offences_of_seals() from public;

create function bulkhead.offences_of_numbers()
returns setof bulkhead.offence
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
-- By index only: where all is well no row is found, and the planner would read them all to see that.
set enable_seqscan = off
as $$
declare
    v_table text;
    v_sequence text;
    v_last bigint;
    v_is_behind boolean;
begin
    foreach v_table in array array['bulkhead.audit_events', 'bulkhead.audit_shares'] loop
        v_sequence := pg_get_serial_sequence(v_table, 'id');
        -- Not an identity any more is ledger_changed.
        continue when v_sequence is null;
        execute format('select case when s.is_called then s.last_value else s.last_value - 1 end from %s as s', v_sequence) into v_last;
        v_is_behind := case
            when v_table = 'bulkhead.audit_shares' then exists (select from bulkhead.audit_shares as s where s.id > v_last)
            else exists (select from bulkhead.audit_leaves as l where l.id > v_last)
                or exists (select from bulkhead.audit_eras as r where r.first_id > v_last + 1)
                or exists (
                    select
                    from bulkhead.audit_events as e
                    where e.id > v_last
                        and e.xid >= coalesce((
                            select max(s.hi)
                            from bulkhead.audit_seals as s
                            where s.kind = 'seal' and s.era = (select max(r.era) from bulkhead.audit_eras as r)
                        ), 0)
                )
        end;
        if v_is_behind then
            return next bulkhead.offence_row(
                'ledger_changed',
                'sequence ' || v_sequence,
                format('It was set back to %s: new rows of %s get numbers that others have, and may be left out of seals', v_last, v_table),
                format(
                    case v_table
                        when 'bulkhead.audit_shares' then 'select setval(%L, max(t.id)) from %s as t;'
                        else 'select setval(%L, greatest(max(t.id), (select max(r.first_id) from bulkhead.audit_eras as r))) from %s as t;'
                    end,
                    v_sequence, v_table
                ),
                format('select * from %s', v_sequence)
            );
        end if;
    end loop;
end
$$;
comment on function bulkhead.offences_of_numbers() is 'Offenders of the rule about the ledger''s numbers: none is given twice. A number that was left out is no offence, rolled back writes do that';
revoke all on function bulkhead.offences_of_numbers() from public;

-- ---------------------------------------------------------------- guard

create function bulkhead.offences_of_guard()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with wanted (name, type, old_table, new_table) as (
        -- pg_trigger.tgtype: after or before (2), insert (4), delete (8), update (16), truncate (32), each statement
        values
            ('bulkhead_insert', 4, null, 'new_rows'),
            ('bulkhead_update', 16, 'old_rows', 'new_rows'),
            ('bulkhead_delete', 8, 'old_rows', null),
            ('bulkhead_truncate', 34, null, null)
    )
    select bulkhead.offence_row(
        'write_trigger',
        format('%s.%s', t.qualified, wanted.name),
        case
            when g.oid is null then 'It is missing: writes pass unguarded and leave no trace'
            when g.tgenabled <> 'A' then 'It is not enabled always: writes can pass unguarded'
            else 'It is not the trigger that protect() made'
        end,
        t.protect_sql,
        format('select tgname, tgenabled, pg_get_triggerdef(oid) from pg_catalog.pg_trigger where tgrelid = %L::regclass', t.qualified)
    )
    from bulkhead.protected_catalog as t
    cross join wanted
    left join pg_catalog.pg_trigger as g
        on g.tgrelid = t.relation
        and g.tgname = wanted.name
    where g.oid is null
        or g.tgenabled <> 'A'
        or g.tgtype <> wanted.type
        or g.tgfoid is distinct from to_regprocedure(format('bulkhead.%I()', t.audit_function))
        or g.tgoldtable is distinct from wanted.old_table
        or g.tgnewtable is distinct from wanted.new_table
        or g.tgqual is not null
        or g.tgattr <> ''
    union all
    -- The membership table alone: what its statements change is what the guard asks.
    select bulkhead.offence_row(
        'write_trigger',
        format('%s.bulkhead_members', t.qualified),
        case
            when g.oid is null then 'It is missing: members cannot leave, and whoever lets themself in is not noticed'
            when g.tgenabled <> 'A' then 'It is not enabled always'
            else 'It is not the trigger that protect() made'
        end,
        t.protect_sql,
        format('select tgname, tgenabled, pg_get_triggerdef(oid) from pg_catalog.pg_trigger where tgrelid = %L::regclass', t.qualified)
    )
    from bulkhead.protected_catalog as t
    join bulkhead.settings as settings on settings.membership_table = coalesce(t.parent, t.relation)
    left join pg_catalog.pg_trigger as g
        on g.tgrelid = t.relation
        and g.tgname = 'bulkhead_members'
    where g.oid is null
        or g.tgenabled <> 'A'
        -- before (2), insert (4), delete (8), update (16), each statement
        or g.tgtype <> 30
        or g.tgfoid is distinct from to_regprocedure('bulkhead.note_members()')
        or g.tgqual is not null
        or g.tgattr <> ''
    union all
    select bulkhead.offence_row(
        'write_function',
        t.qualified,
        case
            when f.oid is null then format('bulkhead.%I() is gone', t.audit_function)
            when owner.rolname <> 'bulkhead_audit' then format('bulkhead.%I() belongs to %I', t.audit_function, owner.rolname)
            else format('bulkhead.%I() is not what protect() generated', t.audit_function)
        end,
        t.protect_sql,
        format('select pg_get_functiondef(''bulkhead.%I()''::regprocedure)', t.audit_function)
    )
    from bulkhead.protected_catalog as t
    left join pg_catalog.pg_proc as f on f.oid = to_regprocedure(format('bulkhead.%I()', t.audit_function))
    left join pg_catalog.pg_roles as owner on owner.oid = f.proowner
    where t.parent is null
        and (
            f.oid is null
            or owner.rolname is distinct from 'bulkhead_audit'
            or not f.prosecdef
            or f.provolatile <> 'v'
            or f.proleakproof
            or not coalesce(f.proconfig @> array['search_path=pg_catalog, pg_temp', 'row_security=on'], false)
            or exists (
                select
                from aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) as acl
                where acl.grantee <> f.proowner
            )
            or md5(f.prosrc) is distinct from t.declared -> 'triggers' -> 'bulkhead_insert' ->> 'body'
            -- What no attestation can accept: a function that neither guards nor writes.
            or f.prosrc not like '%bulkhead.current_write_context(tg_relid, %'
            or cardinality(string_to_array(f.prosrc, 'insert into bulkhead.audit_events')) <> 4
            or cardinality(string_to_array(f.prosrc, 'bulkhead.refuse_write(bh, tg_op')) <> 5
        )
    union all
    select bulkhead.offence_row(
        'guard_trust',
        trusted.role::text,
        'The guard lets this role write without naming a tenant, and requests arrive as it',
        format('update bulkhead.settings set platform_roles = array_remove(platform_roles, %L);', trusted.role),
        'select platform_roles from bulkhead.settings'
    )
    from bulkhead.settings as settings
    cross join lateral unnest(settings.platform_roles) as trusted (role)
    join bulkhead.request_roles as request on request.rolname = trusted.role
$$;
comment on function bulkhead.offences_of_guard() is 'Offenders of the rules about guard and audit triggers';
revoke all on function bulkhead.offences_of_guard() from public;

create function bulkhead.offences_of_service()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with reachable as materialized (
        select t.relation, t.qualified
        from bulkhead.protected_catalog as t
        join pg_catalog.pg_roles as role on role.rolname = 'service_role'
        where (role.rolbypassrls or role.rolsuper)
            and (
                has_any_column_privilege(role.oid, t.relation, 'select, insert, update')
                or has_table_privilege(role.oid, t.relation, 'delete, truncate')
            )
    )
    select bulkhead.offence_row(
        'service_role_reads',
        'service_role',
        format('It may read %s protected tables past every policy: one forgotten filter shows every tenant''s rows', count(*)),
        'select bulkhead.close_service_role();',
        'select has_table_privilege(''service_role'', relation, ''select''), relation from bulkhead.protected_tables',
        count(*),
        0
    )
    from reachable
    cross join bulkhead.settings as settings
    where settings.service_role_closed_at is null
    having count(*) > 0
    union all
    select bulkhead.offence_row(
        'service_role_reopened',
        reachable.qualified,
        'service_role was closed by close_service_role() and may use it again',
        format('revoke all on table %s from service_role;', reachable.qualified),
        format('select relacl from pg_catalog.pg_class where oid = %L::regclass', reachable.qualified)
    )
    from reachable
    cross join bulkhead.settings as settings
    where settings.service_role_closed_at is not null
    union all
    select bulkhead.offence_row(
        'break_glass_active',
        format('%s %s', glass.role, glass.id),
        format('%s let it write %s until %s: %s', glass.opened_by, coalesce('tenant ' || glass.tenant, 'every tenant'),
            to_char(glass.until at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), glass.reason),
        format('select bulkhead.end_break_glass(%s);', glass.id),
        format('select * from bulkhead.glass_breaks where id = %s', glass.id)
    )
    from bulkhead.glass_breaks as glass
    where glass.ended_at is null
        and glass.until > clock_timestamp()
$$;
comment on function bulkhead.offences_of_service() is 'Offenders of the rules about what stands open beside the guard';
revoke all on function bulkhead.offences_of_service() from public;

create function bulkhead.offences_of_triggers()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with triggers as materialized (
        select
            t.relation,
            t.qualified,
            t.tenant_column,
            t.key_columns,
            g.oid,
            g.tgname,
            g.tgtype,
            g.tgenabled,
            proc.oid::regprocedure::text as signature,
            language.lanname,
            -- Without comments, or one could hide what follows it; and without what it does for DELETE alone.
            regexp_replace(
                bulkhead.code_of(proc.prosrc), 'tg_op\s*?=\s*?''delete''[^;]*?\mthen\M.*?\mreturn\s+?old\M', '', 'g'
            ) as body,
            regexp_replace(pg_get_triggerdef(g.oid), ' ON \S+ ', ' ON ') as definition,
            coalesce(
                (was.state ->> 'function' = proc.oid::regprocedure::text and was.state ->> 'body' = md5(proc.prosrc)
                    and regexp_replace(was.state ->> 'definition', ' ON \S+ ', ' ON ') = regexp_replace(pg_get_triggerdef(g.oid), ' ON \S+ ', ' ON ')),
                false
            ) as is_declared
        from bulkhead.protected_catalog as t
        join pg_catalog.pg_trigger as g
            on g.tgrelid = t.relation
            and not g.tgisinternal
            and g.tgparentid = 0
        join pg_catalog.pg_proc as proc on proc.oid = g.tgfoid
        join pg_catalog.pg_language as language on language.oid = proc.prolang
        cross join lateral (select t.declared -> 'triggers' -> g.tgname::text as state) as was
        where g.tgname not in ('bulkhead_insert', 'bulkhead_update', 'bulkhead_delete', 'bulkhead_truncate', 'bulkhead_members')
            and not (proc.pronamespace = 'pg_catalog'::regnamespace)
            and not exists (
                select
                from pg_catalog.pg_depend as member
                where member.classid = 'pg_catalog.pg_proc'::regclass
                    and member.objid = proc.oid
                    and member.deptype = 'e'
            )
    ),
    columns as materialized (
        -- Tenant, key, and what points to other rows: a trigger that changes one of these moves the row.
        select
            t.relation,
            string_agg(distinct name.pattern, '|') as pattern,
            -- A new row's own key may be made here: only what says whose row it is must not.
            coalesce(string_agg(distinct name.pattern, '|') filter (where a.attname = t.tenant_column or points.is_parent), '(?!)') as insert_pattern
        from bulkhead.protected_catalog as t
        join pg_catalog.pg_attribute as a
            on a.attrelid = t.relation
            and a.attnum > 0
            and not a.attisdropped
        cross join lateral (select lower(regexp_replace(a.attname, '([^A-Za-z0-9_])', '\\\1', 'g')) as pattern) as name
        cross join lateral (
            select exists (
                select
                from pg_catalog.pg_constraint as c
                where c.conrelid = t.relation
                    and c.contype = 'f'
                    and c.confrelid in (select known.relation from bulkhead.protected_tables as known)
                    and a.attnum = any (c.conkey)
            ) as is_parent
        ) as points
        where t.relation in (select triggers.relation from triggers)
            and (
                a.attname = t.tenant_column
                or a.attname = any (t.key_columns)
                or points.is_parent
            )
        group by t.relation
    )
    select bulkhead.offence_row(
        'trigger_shadows',
        format('%s.%I', g.qualified, g.tgname),
        format('%s %s', g.signature, effect.detail),
        format('drop trigger %I on %s;', g.tgname, g.qualified),
        format('select pg_get_triggerdef(%s), pg_get_functiondef(%L::regprocedure)', g.oid, g.signature)
    )
    from triggers as g
    join columns on columns.relation = g.relation
    -- update (16)
    cross join lateral (select case when g.tgtype::integer & 16 = 0 then columns.insert_pattern else columns.pattern end as pattern) as moving
    cross join lateral (
        select case
            when g.body ~ 'set_config\s*\(|\mset\s+(local\s+|session\s+)?(role|session|row_security|"?bulkhead|"?request)\M|session_replication_role'
                then 'changes the role, the tenant or a protecting setting in the middle of a write'
            -- before (2), each row (1)
            when g.tgtype::integer & 3 <> 3 then null
            when g.lanname <> 'plpgsql' then format('runs before the guard, and nobody can tell what its %s does to the row', g.lanname)
            when g.body ~ format('\mnew\s*\.\s*"?(%s)"?\s*:=', moving.pattern)
                or g.body ~ format('(^|;|\mbegin|\mthen|\melse|\mloop)\s*new\s*\.\s*"?(%s)"?\s*=[^=]', moving.pattern)
                or g.body ~ format('\minto\s+(strict\s+)?([a-z_.]+\s*,\s*)*new\s*\.\s*"?(%s)\M', moving.pattern)
                or g.body ~ format('\mfor\s+([a-z_.]+\s*,\s*)*new\s*\.\s*"?(%s)\M', moving.pattern)
                then 'changes tenant, key or parent of a row before the guard sees it'
            when g.body ~ '\mnew\s*:?=[^=]|\minto\s+(strict\s+)?new\s*(;|from\M|using\M)|populate_record|#='
                then 'replaces the row before the guard sees it'
            when g.body ~ '\mreturn\s+null\M' then 'swallows rows before the guard sees them'
            when g.body ~ '\mreturn\s+old\M' and g.tgtype::integer & 8 = 0 then 'undoes what was written before the guard sees it'
            when g.body ~ '\mexecute\M' then 'runs SQL that is put together as it runs'
            when g.body ~ '\mreturn\s+(?!new\M|old\M|null\M|;|case\M|coalesce\M)' then 'returns another row than the one that was written'
        end as detail
    ) as effect
    where effect.detail is not null
        and not g.is_declared
        and g.tgenabled <> 'D'
    union all
    select bulkhead.offence_row(
        'trigger_changed',
        format('%s.%s', t.qualified, was.name),
        case
            when present.oid is null then 'It is gone'
            when present.tgenabled <> was.state ->> 'enabled' then 'It was enabled or disabled'
            else 'It has another definition'
        end,
        format(
            'drop trigger if exists %1$I on %2$s; %3$s; alter table %2$s %4$s trigger %1$I;', was.name, t.qualified, was.state ->> 'definition',
            case was.state ->> 'enabled' when 'D' then 'disable' when 'A' then 'enable always' when 'R' then 'enable replica' else 'enable' end
        ),
        format('select tgname, tgenabled, pg_get_triggerdef(oid) from pg_catalog.pg_trigger where tgrelid = %L::regclass', t.qualified)
    )
    from bulkhead.protected_catalog as t
    cross join lateral jsonb_each(coalesce(t.declared -> 'triggers', '{}')) as was (name, state)
    left join pg_catalog.pg_trigger as present
        on present.tgrelid = t.relation
        and present.tgname = was.name
    where t.parent is null
        and was.name not like 'bulkhead\_%'
        and (
            present.oid is null
            or present.tgenabled::text <> was.state ->> 'enabled'
            or regexp_replace(pg_get_triggerdef(present.oid), ' ON \S+ ', ' ON ') <> regexp_replace(was.state ->> 'definition', ' ON \S+ ', ' ON ')
        )
$$;
comment on function bulkhead.offences_of_triggers() is 'Offenders of the rules about other triggers of protected tables, judged by the words of their functions';
revoke all on function bulkhead.offences_of_triggers() from public;

-- ---------------------------------------------------------------- schedule

-- The timetable is made by a later migration: looked up when called, unknown without it.
create function bulkhead.offences_of_schedule()
returns setof bulkhead.offence
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    if to_regclass('bulkhead.timetable') is null or to_regclass('bulkhead.jobs') is null then
        return next bulkhead.offence_row(
            'timetable_missing',
            'bulkhead.jobs',
            'Migration 009_schedule was not applied, or pg_cron was dropped with everything that needs it',
            'Install pg_cron, then apply the migrations: supabase db push'
        );
        return;
    end if;
    return query
    select (o.offence).*
    from (
        select bulkhead.offence_row(
            'timetable_missing',
            installed.subject,
            case
                when line.name is null then 'It was taken out of the timetable'
                else format('The timetable has "%s" at %s for it, and lets it be silent for %s', line.command, line.schedule, line.max_age)
            end,
            installed.restore_sql,
            format('select * from bulkhead.jobs where name = %L', installed.subject)
        ) as offence
        from bulkhead.kit_facts as installed
        left join bulkhead.jobs as line on line.name = installed.subject
        where installed.kind = 'job'
            and installed.fact is distinct from concat_ws(' ', line.schedule, extract(epoch from line.max_age)::bigint, line.command)
        union all
        select bulkhead.offence_row(
            'job_unknown',
            line.name,
            format('The timetable declares "%s", and no migration of the kit put it there', line.command),
            format('delete from bulkhead.jobs where name = %L; select bulkhead.schedule();', line.name),
            format('select * from bulkhead.jobs where name = %L', line.name)
        )
        from bulkhead.jobs as line
        where exists (select from bulkhead.kit_facts as installed where installed.kind = 'job')
            and not exists (select from bulkhead.kit_facts as installed where installed.kind = 'job' and installed.subject = line.name)
        union all
        select bulkhead.offence_row(
            'job_missing',
            declared.name,
            case
                when held.jobid is null then 'pg_cron does not have it'
                when not held.active then 'It is paused'
                when held.schedule <> declared.schedule then format('It runs at %s, declared is %s', held.schedule, declared.schedule)
                when held.command <> declared.command then format('It runs "%s", declared is "%s"', held.command, declared.command)
                else format('It runs as %s, who may not see every row', held.username)
            end,
            case when not coalesce(runner.rolbypassrls or runner.rolsuper, false) and held.jobid is not null then format('delete from cron.job where jobid = %s; ', held.jobid) else '' end
            || 'select bulkhead.schedule();',
            format('select * from cron.job where jobname = %L', declared.name)
        ) as offence
        from bulkhead.jobs as declared
        left join cron.job as held
            on held.jobname = declared.name
            and held.database = pg_catalog.current_database()
        left join pg_catalog.pg_roles as runner on runner.rolname = held.username
        where held.jobid is null
            or not held.active
            or held.schedule <> declared.schedule
            or held.command <> declared.command
            or not coalesce(runner.rolbypassrls or runner.rolsuper, false)
        union all
        select bulkhead.offence_row(
            'job_unknown',
            held.jobname::text,
            format('pg_cron runs "%s" under a name of the kit that the timetable does not declare', held.command),
            format('select cron.unschedule(%s);', held.jobid),
            'select * from cron.job where jobname like ''bulkhead:%'''
        )
        from cron.job as held
        where held.jobname like 'bulkhead:%'
            and held.database = pg_catalog.current_database()
            and not exists (
                select
                from bulkhead.jobs as declared
                where declared.name = held.jobname
            )
        union all
        select bulkhead.offence_row(
            'job_failed',
            line.name,
            format('Its last run ended with: %s', left(coalesce(line.last_message, line.last_status), 300)),
            line.command || ';',
            format('select * from cron.job_run_details where command = %L order by runid desc limit 5', line.command)
        )
        from bulkhead.timetable as line
        where line.last_status = 'failed'
        union all
        -- A job that never ran is not due yet until it has been scheduled for longer than its limit.
        select bulkhead.offence_row(
            'job_overdue',
            line.name,
            case
                when line.last_started_at is null then format('It never ran, and was scheduled at %s', date_trunc('second', line.scheduled_at))
                else format('It last ran at %s', date_trunc('second', line.last_started_at))
            end || format('; at most %s may pass. Is pg_cron running?', line.max_age),
            'Restart the scheduler (Supabase: Database > Extensions > pg_cron), see docs/checks/job_overdue.md',
            format('select * from bulkhead.timetable where name = %L', line.name),
            round(extract(epoch from now() - coalesce(line.last_started_at, line.scheduled_at))),
            round(extract(epoch from line.max_age))
        )
        from bulkhead.timetable as line
        where line.is_active
            and coalesce(line.last_started_at, line.scheduled_at) < now() - line.max_age
    ) as o;
end
$$;
comment on function bulkhead.offences_of_schedule() is 'Offenders of the rules about scheduled jobs';
revoke all on function bulkhead.offences_of_schedule() from public;

create function bulkhead.checks_trail()
returns setof bulkhead.check_result
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
set jit = off
as $$
declare
    v_offences bulkhead.offence[] := array(select o from bulkhead.offences_of_trail() as o);
begin
    -- A ledger whose shape was changed can't be read; what changed it must be told all the same.
    begin
        v_offences := v_offences || array(
            select o from bulkhead.offences_of_numbers() as o
            union all
            select o from bulkhead.offences_of_seals() as o
        );
    exception
        when others then
            v_offences := v_offences || bulkhead.offence_row(
                'seal_broken', 'bulkhead.audit_seals', 'Seals can''t be compared: ' || sqlerrm,
                'Repair what else is found of the audit trail, then look again', 'select * from bulkhead.verify_audit()', status => 'unknown'
            );
    end;
    return query
    select checks.*
    from bulkhead.judge('trail', v_offences) as checks;
end
$$;
comment on function bulkhead.checks_trail() is 'Checks of the audit trail: append-only, room, sealed, unbroken';
revoke all on function bulkhead.checks_trail() from public;

create function bulkhead.checks_guard()
returns setof bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
set jit = off
as $$
    select checks.*
    from bulkhead.judge('guard', array(
        select o from bulkhead.offences_of_guard() as o
        union all
        select o from bulkhead.offences_of_triggers() as o
        union all
        select o from bulkhead.offences_of_service() as o
    )) as checks
$$;
comment on function bulkhead.checks_guard() is 'Checks of the triggers that guard and record every write, and of what stands open beside them';
revoke all on function bulkhead.checks_guard() from public;

create function bulkhead.checks_schedule()
returns setof bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
set jit = off
as $$
    select checks.*
    from bulkhead.judge('schedule', array(select o from bulkhead.offences_of_schedule() as o)) as checks
$$;
comment on function bulkhead.checks_schedule() is 'Checks of the scheduled jobs: present, unchanged, on time, successful';
revoke all on function bulkhead.checks_schedule() from public;
