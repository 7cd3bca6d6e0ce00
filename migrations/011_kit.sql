-- The kit itself: what was installed, recorded, so that a change of it is a finding.
-- Public objects: view bulkhead.kit_catalog; function bulkhead.declare_kit().
-- Never: takes what it finds for what was installed, outside of a migration that says so.
-- No security definer functions.

create table bulkhead.kit_functions (
    signature text primary key,
    definition text not null,
    installed_at timestamptz not null default now()
);
comment on table bulkhead.kit_functions is
    'The kit''s own functions as the migrations installed them; a difference is a finding, and the definition its remedy';
alter table bulkhead.kit_functions enable row level security;
revoke all on bulkhead.kit_functions from public, anon, authenticated, service_role;

create function bulkhead.create_policy_sql(qualified text, name text, declared jsonb)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'drop policy if exists %1$I on %2$s; create policy %1$I on %2$s as %3$s for %4$s to %5$s%6$s%7$s;',
        name,
        qualified,
        case when (declared ->> 'is_permissive')::boolean then 'permissive' else 'restrictive' end,
        case declared ->> 'command' when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
        (select string_agg(case when role = 'public' then role else format('%I', role) end, ', ') from jsonb_array_elements_text(declared -> 'roles') as role),
        ' using (' || (declared ->> 'using') || ')',
        ' with check (' || (declared ->> 'check') || ')'
    )
$$;
comment on function bulkhead.create_policy_sql(text, text, jsonb) is 'The statements that put a declared policy back';
revoke all on function bulkhead.create_policy_sql(text, text, jsonb) from public;

create view bulkhead.kit_catalog
with (security_invoker = true)
as
with relations as (
    select
        class.oid,
        class.relkind,
        class.relowner,
        class.relrowsecurity,
        class.relpersistence,
        class.reloptions,
        format('%I.%I', namespace.nspname, class.relname) as name
    from pg_catalog.pg_class as class
    join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
    where namespace.nspname in ('bulkhead', 'bulkhead_api')
        and class.relkind in ('r', 'p', 'v')
        and not class.relispartition
),
functions as (
    select
        proc.oid,
        proc.proowner,
        proc.proacl,
        case when proc.prokind = 'p' then 'procedure' else 'function' end as word,
        proc.oid::regprocedure::text as name
    from pg_catalog.pg_proc as proc
    join pg_catalog.pg_namespace as namespace on namespace.oid = proc.pronamespace
    where namespace.nspname in ('bulkhead', 'bulkhead_api')
        and proc.prokind in ('f', 'p')
        -- The generated ones are held to their tables' declarations.
        and not exists (select from bulkhead.protected_tables as t where t.audit_function = proc.proname)
),
columns as (
    select
        relations.name,
        a.attname,
        a.attnotnull,
        a.attidentity,
        format_type(a.atttypid, a.atttypmod) as type,
        pg_get_expr(d.adbin, d.adrelid) as default_expression
    from relations
    join pg_catalog.pg_attribute as a
        on a.attrelid = relations.oid
        and a.attnum > 0
        and not a.attisdropped
    left join pg_catalog.pg_attrdef as d
        on d.adrelid = a.attrelid
        and d.adnum = a.attnum
    where relations.relkind <> 'v'
)
select
    'column' as kind,
    format('%s.%I', c.name, c.attname) as subject,
    concat_ws(' ', c.type, case when c.attnotnull then 'not null' end, 'default ' || c.default_expression, 'identity ' || nullif(c.attidentity::text, '')) as fact,
    format('alter table %1$s add column if not exists %2$I %3$s; alter table %1$s alter column %2$I %4$s not null;', c.name, c.attname, c.type,
        case when c.attnotnull then 'set' else 'drop' end)
    || case
        when c.attidentity <> '' then format(
            ' alter table %1$s alter column %2$I drop identity if exists; alter table %1$s alter column %2$I add generated %3$s as identity;'
            ' select setval(pg_get_serial_sequence(%4$L, %5$L), (select coalesce(max(%2$I), 0) + 1 from %1$s), false);',
            c.name, c.attname, case c.attidentity when 'a' then 'always' else 'by default' end, c.name, c.attname
        )
        when c.default_expression is null then format(' alter table %s alter column %I drop default;', c.name, c.attname)
        else format(' alter table %s alter column %I set default %s;', c.name, c.attname, c.default_expression)
    end as restore_sql,
    null as remove_sql
from columns as c
union all
select
    'sequence',
    format('%s.%I', c.name, c.attname),
    concat_ws(' ', sequence.seqtypid::regtype, sequence.seqstart, sequence.seqincrement, sequence.seqmin, sequence.seqmax, sequence.seqcache,
        case when sequence.seqcycle then 'cycle' end, case when class.relpersistence = 'u' then 'unlogged' end),
    format('alter sequence %1$s as %2$s start with %3$s increment by %4$s minvalue %5$s maxvalue %6$s cache %7$s %8$s; alter sequence %1$s set %9$s;',
        sequence.seqrelid::regclass, sequence.seqtypid::regtype, sequence.seqstart, sequence.seqincrement, sequence.seqmin, sequence.seqmax,
        sequence.seqcache, case when sequence.seqcycle then 'cycle' else 'no cycle' end,
        case when class.relpersistence = 'u' then 'unlogged' else 'logged' end),
    null
from columns as c
join pg_catalog.pg_sequence as sequence on sequence.seqrelid = pg_get_serial_sequence(c.name, c.attname)::regclass
join pg_catalog.pg_class as class on class.oid = sequence.seqrelid
where c.attidentity <> ''
union all
select
    'constraint',
    format('%s.%I', relations.name, c.conname),
    pg_get_constraintdef(c.oid),
    format('alter table %1$s drop constraint if exists %2$I; alter table %1$s add constraint %2$I %3$s;', relations.name, c.conname, pg_get_constraintdef(c.oid)),
    -- A further one on the ledger refuses events.
    case when c.contype <> 'n' and relations.name ~ '^bulkhead\.audit_(events|seals|eras|shares|leaves)$' then format('alter table %s drop constraint %I;', relations.name, c.conname) end
from relations
join pg_catalog.pg_constraint as c
    on c.conrelid = relations.oid
    and c.contype in ('c', 'p', 'u', 'f', 'x')
union all
select
    'storage',
    relations.name,
    case when relations.relpersistence = 'u' then 'unlogged' else 'logged' end
    || case when relations.relrowsecurity then ', row level security' else '' end,
    format('alter table %s set %s;', relations.name, case when relations.relpersistence = 'u' then 'unlogged' else 'logged' end)
    || case when relations.relrowsecurity then format(' alter table %s enable row level security;', relations.name) else '' end,
    null
from relations
where relations.relkind = 'r'
union all
select
    'view',
    relations.name,
    concat_ws(' ', relations.reloptions::text, pg_get_viewdef(relations.oid)),
    format('create or replace view %s with (security_invoker = true) as %s', relations.name, pg_get_viewdef(relations.oid)),
    null
from relations
where relations.relkind = 'v'
union all
select
    'event trigger',
    event_trigger.evtname,
    concat_ws(' ', event_trigger.evtevent, event_trigger.evttags::text, event_trigger.evtfoid::regprocedure, event_trigger.evtenabled),
    format(
        'drop event trigger if exists %1$I; create event trigger %1$I on %2$s%3$s execute function %4$s; alter event trigger %1$I enable;',
        event_trigger.evtname, event_trigger.evtevent,
        (select ' when tag in (' || string_agg(quote_literal(tag), ', ') || ')' from unnest(event_trigger.evttags) as tag),
        event_trigger.evtfoid::regprocedure
    ),
    null
from pg_catalog.pg_event_trigger as event_trigger
join pg_catalog.pg_proc as proc on proc.oid = event_trigger.evtfoid
where proc.pronamespace = 'bulkhead'::regnamespace
union all
select
    'owner',
    owned.name,
    pg_get_userbyid(owned.owner),
    case when pg_get_userbyid(owned.owner) = 'bulkhead_audit' then 'grant create on schema bulkhead to bulkhead_audit; ' else '' end
    || format('alter %s owner to %I;', owned.name, pg_get_userbyid(owned.owner))
    || case when pg_get_userbyid(owned.owner) = 'bulkhead_audit' then ' revoke create on schema bulkhead from bulkhead_audit;' else '' end,
    null
from (
    select case when relations.relkind = 'v' then 'view ' else 'table ' end || relations.name as name, relations.relowner as owner
    from relations
    union all
    select functions.word || ' ' || functions.name, functions.proowner
    from functions
    union all
    select format('schema %I', namespace.nspname), namespace.nspowner
    from pg_catalog.pg_namespace as namespace
    where namespace.nspname in ('bulkhead', 'bulkhead_api')
) as owned
union all
select
    'trigger',
    format('%s.%I', relations.name, g.tgname),
    pg_get_triggerdef(g.oid) || ' ' || g.tgenabled::text,
    format('drop trigger if exists %I on %s; %s;%s', g.tgname, relations.name, pg_get_triggerdef(g.oid),
        case when g.tgenabled = 'A' then format(' alter table %s enable always trigger %I;', relations.name, g.tgname) else '' end),
    format('drop trigger %I on %s;', g.tgname, relations.name)
from relations
join pg_catalog.pg_trigger as g
    on g.tgrelid = relations.oid
    and not g.tgisinternal
    -- The ledger's own has a rule of its own.
    and g.tgname <> 'bulkhead_append_only'
union all
select
    'policy',
    format('%s.%I', relations.name, p.polname),
    policy.state::text,
    bulkhead.create_policy_sql(relations.name, p.polname::text, policy.state),
    case when p.polpermissive then format('drop policy %I on %s;', p.polname, relations.name) end
from relations
join pg_catalog.pg_policy as p on p.polrelid = relations.oid
cross join lateral (
    select jsonb_build_object(
        'command', p.polcmd,
        'is_permissive', p.polpermissive,
        'roles', (
            select jsonb_agg(coalesce(role.rolname, 'public') order by role.rolname)
            from unnest(p.polroles) as member (oid)
            left join pg_catalog.pg_roles as role on role.oid = member.oid
        ),
        'using', pg_get_expr(p.polqual, p.polrelid),
        'check', pg_get_expr(p.polwithcheck, p.polrelid)
    ) as state
) as policy
union all
select
    'rule',
    format('%s.%I', relations.name, rewrite.rulename),
    pg_get_ruledef(rewrite.oid),
    pg_get_ruledef(rewrite.oid),
    format('drop rule %I on %s;', rewrite.rulename, relations.name)
from relations
join pg_catalog.pg_rewrite as rewrite
    on rewrite.ev_class = relations.oid
    and rewrite.rulename <> '_RETURN'
union all
select
    'execute',
    format('%s to %s', functions.name, coalesce(role.rolname, 'public')),
    case when acl.is_grantable then 'with grant option' else 'execute' end,
    format('revoke all on %1$s %2$s from %3$s; grant execute on %1$s %2$s to %3$s;', functions.word, functions.name, coalesce(quote_ident(role.rolname), 'public')),
    format('revoke all on %s %s from %s;', functions.word, functions.name, coalesce(quote_ident(role.rolname), 'public'))
from functions
cross join lateral aclexplode(coalesce(functions.proacl, acldefault('f', functions.proowner))) as acl
left join pg_catalog.pg_roles as role on role.oid = acl.grantee
where acl.grantee <> functions.proowner
union all
select
    'schema',
    format('%s on schema %s to %s', lower(acl.privilege_type), namespace.nspname, coalesce(role.rolname, 'public')),
    case when acl.is_grantable then 'with grant option' else 'granted' end,
    format('revoke all on schema %1$I from %3$s; grant %2$s on schema %1$I to %3$s;', namespace.nspname, lower(acl.privilege_type), coalesce(quote_ident(role.rolname), 'public')),
    format('revoke %s on schema %I from %s;', lower(acl.privilege_type), namespace.nspname, coalesce(quote_ident(role.rolname), 'public'))
from pg_catalog.pg_namespace as namespace
cross join lateral aclexplode(namespace.nspacl) as acl
left join pg_catalog.pg_roles as role on role.oid = acl.grantee
where namespace.nspname in ('bulkhead', 'bulkhead_api')
    and acl.grantee <> namespace.nspowner;
comment on view bulkhead.kit_catalog is
    'What the kit is made of, as the catalogs have it now: columns, constraints, views, owners, triggers, policies, rights';
revoke all on bulkhead.kit_catalog from public, anon, authenticated, service_role;

create table bulkhead.kit_facts (
    kind text not null,
    subject text not null,
    fact text not null,
    restore_sql text not null,
    -- Another major version may print the same view or constraint in other words.
    major integer not null default current_setting('server_version_num')::integer / 10000,
    primary key (kind, subject)
);
comment on table bulkhead.kit_facts is
    'What the kit was made of when its migrations had run; a difference is a finding, restore_sql its remedy';
alter table bulkhead.kit_facts enable row level security;
revoke all on bulkhead.kit_facts from public, anon, authenticated, service_role;

create function bulkhead.offences_of_kit()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with compared as (
        select
            coalesce(declared.kind, present.kind) as kind,
            coalesce(declared.subject, present.subject) as subject,
            declared.fact as was,
            present.fact as now_,
            declared.restore_sql,
            present.remove_sql
        from (
            select facts.*
            from bulkhead.kit_facts as facts
            where facts.kind not in ('job', 'settings', 'mask key')
        ) as declared
        full join bulkhead.kit_catalog as present
            on present.kind = declared.kind
            and present.subject = declared.subject
        cross join bulkhead.settings as settings
        where present.fact is distinct from declared.fact
            and (declared.fact is not null or present.remove_sql is not null)
            -- An empty catalogue is the state before the migrations have ended.
            and exists (select from bulkhead.kit_facts where kind <> 'settings')
            and (declared.kind in ('view', 'constraint', 'trigger', 'policy')
                and present.fact is not null
                and declared.major <> current_setting('server_version_num')::integer / 10000) is not true
            -- Direct roles were given the context by configure().
            and (
                declared.fact is null
                and present.kind in ('execute', 'schema')
                and exists (
                    select
                    from unnest(settings.direct_roles) as direct (role)
                    where present.subject = 'usage on schema bulkhead to ' || direct.role
                        or present.subject like '% to ' || replace(direct.role, '_', '\_')
                        and present.subject similar to 'bulkhead.(current_tenants|current_tenant|caller|canonical_tenant|set_tenant)\(%'
                )
                and present.fact <> 'with grant option'
            ) is not true
            -- The ledger's policies have a rule of their own; it does not see that one is gone.
            and (present.kind = 'policy' and declared.fact is null and present.subject like 'bulkhead.audit\_%') is not true
    )
    select bulkhead.offence_row(
        case
            when compared.subject ~ '(^| )bulkhead\.audit_(events|seals|eras|shares|leaves|logs)(\.|$)' then 'ledger_changed'
            when compared.kind in ('execute', 'schema') then 'kit_execute'
            else 'kit_object_changed'
        end,
        compared.kind || ' ' || compared.subject,
        case
            when compared.was is null then format('No migration of the kit made it: %s', left(compared.now_, 200))
            when compared.now_ is null then 'It is gone'
            else format('It is not what the migrations installed: %s', left(compared.now_, 200))
        end,
        case when compared.was is null then compared.remove_sql else compared.restore_sql end,
        format('select * from bulkhead.kit_catalog where kind = %L and subject = %L', compared.kind, compared.subject)
    )
    from compared
$$;
comment on function bulkhead.offences_of_kit() is 'Offenders of the rules about what the kit itself is made of';
revoke all on function bulkhead.offences_of_kit() from public;

-- ---------------------------------------------------------------- what was installed

create function bulkhead.declare_functions(functions regprocedure[])
returns bigint
language sql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with installed as (
        insert into bulkhead.kit_functions (signature, definition)
        select
            declared.oid::regprocedure::text,
            pg_get_functiondef(declared.oid)
        from unnest(functions) as declared (oid)
        on conflict (signature) do update
        set definition = excluded.definition,
            installed_at = now()
        returning signature
    )
    select count(*)
    from installed
$$;
comment on function bulkhead.declare_functions(regprocedure[]) is 'Records functions as they are now; returns how many';
revoke all on function bulkhead.declare_functions(regprocedure[]) from public;

create function bulkhead.present_settings()
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select to_jsonb(s) - array['configured_at', 'service_role_closed_at']
    from bulkhead.settings as s
$$;
comment on function bulkhead.present_settings() is 'The settings that configure() makes, for comparison';
revoke all on function bulkhead.present_settings() from public;

create function bulkhead.declare_settings()
returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    insert into bulkhead.kit_facts as f (kind, subject, fact, restore_sql)
    values (
        'settings', 'bulkhead.settings', bulkhead.present_settings()::text,
        format(
            'update bulkhead.settings as s set (%1$s) = (select %1$s from jsonb_populate_record(null::bulkhead.settings, %2$L));',
            (select string_agg(key, ', ' order by key) from jsonb_object_keys(bulkhead.present_settings()) as key),
            bulkhead.present_settings()
        )
    )
    on conflict (kind, subject) do update set fact = excluded.fact, restore_sql = excluded.restore_sql
$$;
comment on function bulkhead.declare_settings() is 'Records the settings as configure() has just made them; a change past it is a finding';
revoke all on function bulkhead.declare_settings() from public;

-- What the key makes of a fixed text tells one key from another, and nothing of either.
create function bulkhead.mask_key_mark()
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select bulkhead.masked_value('bulkhead') ->> 'hmac'
$$;
comment on function bulkhead.mask_key_mark() is 'What the present key of masked columns makes of a fixed text; null without a key';
revoke all on function bulkhead.mask_key_mark() from public;

create function bulkhead.declare_mask_key(reason text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_was text := (select f.fact from bulkhead.kit_facts as f where f.kind = 'mask key');
begin
    if coalesce(btrim(reason), '') = '' then
        raise exception using
            errcode = 'BH002',
            message = 'another key of masked values needs a reason: from here on they compare with new ones only';
    end if;
    insert into bulkhead.mask_key (inner_pad, outer_pad)
    select
        string_agg(set_byte('\x00'::bytea, 0, case when i < 32 then get_byte(k.key, i) else 0 end # 54), ''::bytea order by i),
        string_agg(set_byte('\x00'::bytea, 0, case when i < 32 then get_byte(k.key, i) else 0 end # 92), ''::bytea order by i)
    from (select sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')) as key) as k
    cross join generate_series(0, 63) as i
    group by k.key
    on conflict do nothing;
    insert into bulkhead.kit_facts as f (kind, subject, fact, restore_sql)
    values ('mask key', 'bulkhead.mask_key', bulkhead.mask_key_mark(), 'select bulkhead.declare_mask_key(''the key before it is lost'');')
    on conflict (kind, subject) do update set fact = excluded.fact;
    -- From this event on the ledger's masked values compare among themselves.
    if v_was is not null then
        perform bulkhead.log_change('mask_key', 'bulkhead.mask_key', null, jsonb_build_object('reason', reason));
    end if;
end
$$;
comment on function bulkhead.declare_mask_key(text) is 'Makes the key of masked columns where there is none, and takes the present one for the right one, on record. Example: select bulkhead.declare_mask_key(''the key before it is lost'')';
revoke all on function bulkhead.declare_mask_key(text) from public;

-- The trigger functions that protect() generates are compared with their table's declaration, see write_function.
create function bulkhead.declare_kit()
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    -- After the first time this takes what it finds for what was installed: whoever calls it is on record.
    if exists (select from bulkhead.kit_facts where kind <> 'settings') or exists (select from bulkhead.protected_tables) then
        perform bulkhead.log_change('declare_kit', 'bulkhead.kit_facts', null, null);
    end if;
    delete from bulkhead.kit_facts where kind not in ('settings', 'mask key');
    insert into bulkhead.kit_facts (kind, subject, fact, restore_sql)
    select
        present.kind,
        present.subject,
        present.fact,
        present.restore_sql
    from bulkhead.kit_catalog as present;
    if to_regclass('bulkhead.jobs') is not null then
        insert into bulkhead.kit_facts (kind, subject, fact, restore_sql)
        select
            'job',
            job.name,
            concat_ws(' ', job.schedule, extract(epoch from job.max_age)::bigint, job.command),
            format(
                'insert into bulkhead.jobs (name, schedule, command, max_age) values (%L, %L, %L, %L)'
                ' on conflict (name) do update set schedule = excluded.schedule, command = excluded.command, max_age = excluded.max_age;'
                ' select bulkhead.schedule();',
                job.name, job.schedule, job.command, job.max_age
            )
        from bulkhead.jobs as job;
    end if;
    if not exists (select from bulkhead.kit_facts where kind = 'settings') then
        perform bulkhead.declare_settings();
    end if;
    if not exists (select from bulkhead.kit_facts where kind = 'mask key') then
        perform bulkhead.declare_mask_key('the kit was installed');
    end if;
    perform bulkhead.declare_surroundings(not exists (select from bulkhead.protected_tables));
    delete from bulkhead.kit_functions as gone
    where to_regprocedure(gone.signature) is null;
    return bulkhead.declare_functions(array(
        select proc.oid::regprocedure
        from pg_catalog.pg_proc as proc
        join pg_catalog.pg_namespace as namespace on namespace.oid = proc.pronamespace
        where namespace.nspname in ('bulkhead', 'bulkhead_api')
            and proc.prokind in ('f', 'p')
            and not exists (
                select
                from bulkhead.protected_tables as t
                where t.audit_function = proc.proname
            )
    ));
end
$$;
comment on function bulkhead.declare_kit() is
    'Records the kit''s functions as they are now; the last migration calls it, and each later one that changes a function';
revoke all on function bulkhead.declare_kit() from public;

create function bulkhead.declare_generated()
returns bigint
language sql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select bulkhead.declare_functions(array[
        'bulkhead.canonical_tenant(text)'::regprocedure,
        'bulkhead.member_tenants(jsonb, text)'::regprocedure,
        'bulkhead.is_platform(name)'::regprocedure
    ])
$$;
comment on function bulkhead.declare_generated() is 'Records the functions that settings generate';
revoke all on function bulkhead.declare_generated() from public;
