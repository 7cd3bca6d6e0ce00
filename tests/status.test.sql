-- Every rule: no finding, an offender, its finding, the documented remedy, no finding, a look-alike, no finding.
-- As postgres, who is no superuser; what only a superuser can break is in status.test.ts.
begin;
select plan(69);

create table public.bh_tenants (
    id uuid primary key default gen_random_uuid(),
    name text
);
create table public.bh_units (
    id uuid primary key default gen_random_uuid(),
    tenant_id uuid not null references public.bh_tenants (id) on delete restrict
);
create table public.bh_messages (
    id uuid primary key default gen_random_uuid(),
    tenant_id uuid not null,
    unit_id uuid references public.bh_units (id),
    body text
);
select bulkhead.configure('public.bh_tenants');
select bulkhead.protect('public.bh_tenants');
select bulkhead.protect('public.bh_units');
select bulkhead.protect('public.bh_messages');
select count(*) from bulkhead.schedule();

create function pg_temp.count_of(rule text, subjects text)
returns bigint
language sql
as $$
    select count(*)
    from bulkhead.findings((select r.category from bulkhead.rules as r where r.name = rule)) as f
    where f.name = rule
        and f.status = 'fail'
        and f.subject like subjects
$$;

-- Runs one cycle and undoes it; answers the four counts: before, with the offender, after the remedy, with the look-alike.
create function pg_temp.cycle(
    rule text,
    offender text,
    look_alike text default 'select 1',
    subjects text default 'public.bh\_%',
    remedy text default null
)
returns text
language plpgsql
as $$
declare
    before bigint := pg_temp.count_of(rule, subjects);
    broken bigint;
    fixed bigint;
    alike bigint;
    found record;
begin
    begin
        execute offender;
        broken := pg_temp.count_of(rule, subjects);
        for found in
            select f.remediation
            from bulkhead.findings((select r.category from bulkhead.rules as r where r.name = rule)) as f
            where f.name = rule and f.subject like subjects
        loop
            execute coalesce(remedy, found.remediation);
        end loop;
        fixed := pg_temp.count_of(rule, subjects);
        execute look_alike;
        alike := pg_temp.count_of(rule, subjects);
        raise exception 'undo' using errcode = 'BH999';
    exception
        when sqlstate 'BH999' then
            null;
    end;
    return concat_ws(' ', before, broken, fixed, alike);
end
$$;

-- What a rule answers while something is broken, without the rest of the cycle.
create function pg_temp.after(change text, question text)
returns text
language plpgsql
as $$
declare
    answer text;
begin
    begin
        execute change;
        execute question into answer;
        raise exception 'undo' using errcode = 'BH999';
    exception
        when sqlstate 'BH999' then
            null;
    end;
    return answer;
end
$$;

select is(
    (select string_agg(f.name || ' ' || f.subject, ', ') from bulkhead.findings('boundary') as f where f.subject like '%bh\_%'),
    null, 'a freshly protected schema has no finding of the boundary');
select is(
    (select string_agg(f.name || ' ' || f.subject, ', ') from bulkhead.findings('guard') as f where f.subject like '%bh\_%'),
    null, 'a freshly protected schema has no finding of the guard');

-- setup and classification
select is(pg_temp.cycle('kit_installed', 'drop function bulkhead.create_tenant(jsonb)', 'comment on schema bulkhead is null', '003%',
    (select k.definition from bulkhead.kit_functions as k where k.signature = 'bulkhead.create_tenant(jsonb)')),
    '0 1 0 0', 'kit_installed');
select is(pg_temp.cycle('settings_configured', 'update bulkhead.settings set tenants_table = null, tenant_key = null, tenant_type = null',
    'update bulkhead.settings set membership_active = null', '%', 'select bulkhead.configure(''public.bh_tenants'')'),
    '0 1 0 0', 'settings_configured');
select is(pg_temp.cycle('tables_protected', 'delete from bulkhead.protected_tables', 'select bulkhead.unprotect(''public.bh_messages'')', '%',
    'select bulkhead.protect(''public.bh_tenants''); select bulkhead.protect(''public.bh_units''); select bulkhead.protect(''public.bh_messages'')'),
    '0 1 0 0', 'tables_protected');
select is(pg_temp.cycle('table_unclassified',
    'create table public.bh_orders (id uuid primary key, tenant_id uuid not null)',
    'create table public.bh_plans (id integer primary key);
     select bulkhead.exempt(''public.bh_plans'', ''the price list is the same for everybody'');
     create schema bh_private; create table bh_private.bh_orders (id integer)'),
    '0 1 0 0', 'table_unclassified');
select is(pg_temp.after(
    'update bulkhead.settings set exposed_schemas = ''{}''; create table public.bh_orders (id uuid primary key, tenant_id uuid not null)',
    'select pg_temp.count_of(''table_unclassified'', ''public.bh\_%'')'), '1', 'table_unclassified is not silenced by a setting');
select is(pg_temp.cycle('exempt_table_exposed',
    'create table public.bh_orders (id uuid primary key, tenant_id uuid); select bulkhead.exempt(''public.bh_orders'', ''somebody was in a hurry'')',
    'create table public.bh_plans (id integer primary key); select bulkhead.exempt(''public.bh_plans'', ''the price list is the same for everybody'')'),
    '0 1 0 0', 'exempt_table_exposed');
select is(pg_temp.cycle('protected_table_missing', 'alter table public.bh_messages rename to bh_notes',
    'alter table public.bh_notes rename column body to text'),
    '0 1 0 0', 'protected_table_missing sees a renamed table');
select is(pg_temp.cycle('protected_table_missing', 'drop table public.bh_messages'),
    '0 1 0 0', 'protected_table_missing sees a dropped table');

-- columns
select is(pg_temp.cycle('tenant_column_missing', 'alter table public.bh_messages drop column tenant_id cascade',
    'alter table public.bh_messages add column tenant text'),
    '0 1 0 0', 'tenant_column_missing');
select is(pg_temp.cycle('tenant_column_nullable', 'alter table public.bh_messages alter column tenant_id drop not null',
    'alter table public.bh_messages alter column body drop not null'),
    '0 1 0 0', 'tenant_column_nullable');
select is(pg_temp.cycle('tenant_column_default', 'alter table public.bh_messages alter column tenant_id set default gen_random_uuid()',
    'alter table public.bh_messages alter column body set default ''hello'''),
    '0 1 0 0', 'tenant_column_default');

-- keys
select is(pg_temp.cycle('tenant_key_missing', 'alter table public.bh_messages drop constraint bh_messages_tenant_id_id_key',
    'alter table public.bh_messages drop constraint bh_messages_tenant_id_id_key, add constraint bh_other unique (id, tenant_id)'),
    '0 1 0 0', 'tenant_key_missing');
select is(pg_temp.cycle('tenant_reference_missing', 'alter table public.bh_messages drop constraint bh_messages_tenant_id_fkey',
    'alter table public.bh_messages rename constraint bh_messages_tenant_id_fkey to bh_renamed'),
    '0 1 0 0', 'tenant_reference_missing');
select is(pg_temp.cycle('foreign_key_without_tenant',
    'alter table public.bh_messages add constraint bh_loose foreign key (unit_id) references public.bh_units (id) on delete restrict',
    'create table public.bh_plans (id uuid primary key); alter table public.bh_messages add constraint bh_plan foreign key (unit_id) references public.bh_plans (id)'),
    '0 1 0 0', 'foreign_key_without_tenant');
select is(pg_temp.cycle('foreign_key_cascades',
    'alter table public.bh_messages drop constraint bh_messages_unit_id_fkey, add constraint bh_messages_unit_id_fkey
     foreign key (tenant_id, unit_id) references public.bh_units (tenant_id, id) on delete cascade',
    'create table public.bh_plans (id uuid primary key); alter table public.bh_messages add constraint bh_plan foreign key (unit_id) references public.bh_plans (id) on delete cascade'),
    '0 1 0 0', 'foreign_key_cascades sees a cascade');
select is(pg_temp.cycle('foreign_key_cascades',
    'alter table public.bh_messages add column sold_by uuid, add constraint bh_sold foreign key (sold_by) references public.bh_tenants (id) on delete set null'),
    '0 1 0 0', 'foreign_key_cascades sees a second way to the tenants table');
select is(pg_temp.cycle('foreign_key_not_valid',
    'alter table public.bh_messages drop constraint bh_messages_unit_id_fkey, add constraint bh_messages_unit_id_fkey
     foreign key (tenant_id, unit_id) references public.bh_units (tenant_id, id) on delete restrict not valid',
    'alter table public.bh_messages add constraint bh_body check (body <> '''') not valid'),
    '0 1 0 0', 'foreign_key_not_valid');
select is(pg_temp.cycle('constraint_dropped', 'alter table public.bh_messages drop constraint bh_messages_unit_id_fkey',
    'alter table public.bh_messages rename constraint bh_messages_unit_id_fkey to bh_renamed'),
    '0 1 0 0', 'constraint_dropped');

-- policies
select is(pg_temp.cycle('rls_disabled', 'alter table public.bh_messages disable row level security', 'alter table public.bh_messages set (autovacuum_enabled = false)'),
    '0 1 0 0', 'rls_disabled');
select is(pg_temp.cycle('rls_not_forced', 'alter table public.bh_messages no force row level security', 'create index on public.bh_messages (body)'),
    '0 1 0 0', 'rls_not_forced');
select is(pg_temp.cycle('tenant_policy', 'drop policy bulkhead_tenant on public.bh_messages',
    'create policy bh_more on public.bh_messages as restrictive for select to authenticated using (body is not null)'),
    '0 1 0 0', 'tenant_policy sees that the policy is gone');
select is(pg_temp.cycle('tenant_policy', 'alter policy bulkhead_tenant on public.bh_messages using (true)'),
    '0 1 0 0', 'tenant_policy sees a widened USING');
select is(pg_temp.cycle('tenant_policy', 'alter policy bulkhead_tenant on public.bh_messages with check (tenant_id is not null)'),
    '0 1 0 0', 'tenant_policy sees a widened WITH CHECK');
select is(pg_temp.cycle('tenant_policy', 'alter policy bulkhead_tenant on public.bh_messages to authenticated'),
    '0 1 0 0', 'tenant_policy sees that a role was left out');
select is(pg_temp.cycle('tenant_policy', $$drop policy bulkhead_tenant on public.bh_messages;
    create policy bulkhead_tenant on public.bh_messages using (tenant_id = any ((select bulkhead.current_tenants())::uuid[]))$$),
    '0 1 0 0', 'tenant_policy sees a permissive look-alike');
select is(pg_temp.cycle('access_policy_missing', 'drop policy bulkhead_access on public.bh_messages',
    'drop policy bulkhead_access on public.bh_messages; create policy bh_mine on public.bh_messages for select to authenticated using (true)'),
    '0 1 0 0', 'access_policy_missing');
select is(pg_temp.cycle('anon_policy', 'create policy bh_open on public.bh_messages for select to anon using (true)',
    'create policy bh_closed on public.bh_messages as restrictive for select to anon using (false)'),
    '0 1 0 0', 'anon_policy sees a policy for anon');
select is(pg_temp.cycle('anon_policy', 'create policy bh_open on public.bh_messages for select using (true)'),
    '0 1 0 0', 'anon_policy sees a policy for everybody');
select is(pg_temp.cycle('anon_policy', 'create policy bh_open on public.bh_messages for select to anon, authenticated using (true)'),
    '0 1 0 0', 'anon_policy leaves the other roles of a policy');
select is(pg_temp.cycle('policy_changed', 'alter policy bulkhead_access on public.bh_messages using (true)',
    'create policy bh_more on public.bh_messages as restrictive for select to authenticated using (body is not null)'),
    '0 1 0 0', 'policy_changed sees a widened policy');
select is(pg_temp.cycle('policy_changed', 'create policy bh_new on public.bh_messages for select to authenticated using (true)',
    'comment on policy bulkhead_access on public.bh_messages is ''members'''),
    '0 1 0 0', 'policy_changed sees a new permissive policy');
select is(pg_temp.after(
    'create policy bh_new on public.bh_messages for select to authenticated using (true); select bulkhead.attest(''agents read each other''''s messages'')',
    'select pg_temp.count_of(''policy_changed'', ''public.bh\_%'')'), '0', 'an attestation accepts a deliberate policy');
select is(pg_temp.after(
    'alter policy bulkhead_tenant on public.bh_messages using (true); alter table public.bh_units disable row level security;
     select bulkhead.attest(''somebody signs anything'')',
    'select pg_temp.count_of(''tenant_policy'', ''public.bh\_%'') + pg_temp.count_of(''rls_disabled'', ''public.bh\_%'')'),
    '2', 'an attestation does not turn a structural hole green');

-- grants and owners
select is(pg_temp.cycle('anon_grant', 'grant select on public.bh_messages to anon', 'grant select on public.bh_messages to authenticated'),
    '0 1 0 0', 'anon_grant sees a grant to anon');
select is(pg_temp.cycle('anon_grant', 'grant select (body) on public.bh_messages to public'),
    '0 1 0 0', 'anon_grant sees one column for everybody');
select is(pg_temp.cycle('dangerous_grant', 'grant truncate, trigger on public.bh_messages to service_role',
    'grant select, insert, update, delete on public.bh_messages to service_role'),
    '0 1 0 0', 'dangerous_grant');
select is(pg_temp.cycle('owner_obeys_rls',
    'create role bh_owner; grant bh_owner to current_user; grant create on schema public to bh_owner; alter table public.bh_messages owner to bh_owner',
    'comment on table public.bh_messages is ''messages'''),
    '0 1 0 0', 'owner_obeys_rls');
select is(pg_temp.cycle('kit_grant', 'grant update on bulkhead.settings to service_role', 'grant select on bulkhead.settings to service_role', 'bulkhead.%'),
    '0 1 0 0', 'kit_grant');

-- views and functions
select is(pg_temp.cycle('rewrite_rule', 'create rule bh_quiet as on delete to public.bh_messages do instead nothing',
    'create index on public.bh_messages (unit_id)'),
    '0 1 0 0', 'rewrite_rule');
select is(pg_temp.cycle('view_bypasses_rls', 'create view public.bh_all as select id, body from public.bh_messages',
    'create view public.bh_mine with (security_invoker = on) as select * from public.bh_messages;
     create view public.bh_back_office as select * from public.bh_messages; revoke all on public.bh_back_office from public, anon, authenticated'),
    '0 1 0 0', 'view_bypasses_rls sees a view that asks as its owner');
select is(pg_temp.cycle('view_bypasses_rls',
    'create view public.bh_inner with (security_invoker = on) as select * from public.bh_messages; create view public.bh_outer as select * from public.bh_inner'),
    '0 1 0 0', 'view_bypasses_rls follows a chain of views');
select is(pg_temp.cycle('materialized_view_exposed', 'create materialized view public.bh_counts as select tenant_id, count(*) from public.bh_messages group by 1',
    'create materialized view public.bh_days as select current_date as day'),
    '0 1 0 0', 'materialized_view_exposed');
select is(pg_temp.cycle('definer_search_path',
    'create function public.bh_definer() returns integer language sql security definer as ''select 1''; revoke all on function public.bh_definer() from public, anon',
    'create function public.bh_invoker() returns integer language sql as ''select 1'';
     create function public.bh_pinned() returns integer language sql security definer set search_path = '''' as ''select 1''',
    '%bh\_%'),
    '0 1 0 0', 'definer_search_path');
select is(pg_temp.cycle('definer_anon',
    'create function public.bh_definer() returns integer language sql security definer set search_path = '''' as ''select 1''',
    'create function public.bh_trigger() returns trigger language plpgsql security definer set search_path = '''' as ''begin return null; end''',
    '%bh\_%'),
    '0 1 0 0', 'definer_anon');
select is(pg_temp.cycle('kit_function_changed',
    $$create or replace function bulkhead.caller() returns name language sql stable parallel safe set search_path = '' as 'select ''postgres''::name'$$,
    'comment on function bulkhead.caller() is ''who asks''', '%caller%'),
    '0 1 0 0', 'kit_function_changed');

select is(pg_temp.cycle('kit_function_changed',
    $$create or replace function bulkhead.member_tenants(claims jsonb, wanted text) returns text[] language sql stable set search_path = '' as 'select array[wanted]'$$,
    'select bulkhead.configure(''public.bh_tenants'', ''org_id'')', '%member_tenants%'),
    '0 1 0 0', 'kit_function_changed sees who a member is, and follows configure()');

-- trail
select is(pg_temp.cycle('ledger_append_only', 'alter table bulkhead.audit_events_default disable trigger bulkhead_append_only',
    'comment on table bulkhead.audit_events is ''the ledger''', 'bulkhead.%'),
    '0 1 0 0', 'ledger_append_only sees a disabled trigger');
select is(pg_temp.cycle('ledger_append_only', 'alter table bulkhead.audit_seals enable trigger bulkhead_append_only', 'select 1', 'bulkhead.%'),
    '0 1 0 0', 'ledger_append_only sees a trigger that replication passes by');
select is(pg_temp.cycle('ledger_append_only', $$create or replace function public.bh_nothing() returns trigger language plpgsql as 'begin return null; end';
    drop trigger bulkhead_append_only on bulkhead.audit_seals;
    create trigger bulkhead_append_only before update or delete or truncate on bulkhead.audit_seals for each statement execute function public.bh_nothing();
    alter table bulkhead.audit_seals enable always trigger bulkhead_append_only$$, 'select 1', 'bulkhead.%'),
    '0 1 0 0', 'ledger_append_only sees another function behind the same name');
select is(pg_temp.cycle('ledger_grant', 'grant delete on bulkhead.audit_events to service_role', 'grant select on bulkhead.audit_events to authenticated', 'bulkhead.%'),
    '0 1 0 0', 'ledger_grant');
select is(pg_temp.cycle('ledger_rls', 'alter table bulkhead.audit_events no force row level security', 'grant select on bulkhead.audit_events to authenticated', 'bulkhead.%'),
    '0 1 0 0', 'ledger_rls');
select is(pg_temp.cycle('ledger_policy', 'create policy bh_support on bulkhead.audit_events for select to authenticated using (true)',
    'create policy bh_hours on bulkhead.audit_events as restrictive for select to authenticated using (created_at > now() - interval ''1 year'')', 'bulkhead.%'),
    '0 1 0 0', 'ledger_policy sees a policy that shows everything');
select is(pg_temp.cycle('ledger_policy', 'alter policy bulkhead_own_trail on bulkhead.audit_events using (true)', 'select 1', 'bulkhead.%'),
    '0 1 0 0', 'ledger_policy sees a widened policy');
select is(pg_temp.cycle('ledger_partition_missing',
    $$do 'begin execute ''drop table bulkhead.audit_events_'' || to_char(date_trunc(''month'', now() at time zone ''UTC'') + interval ''1 month'', ''YYYYMM''); end'$$,
    'create index on bulkhead.audit_events (tenant_id)', 'bulkhead.%'),
    '0 1 0 0', 'ledger_partition_missing');

-- guard
select is(pg_temp.cycle('write_trigger', 'alter table public.bh_messages disable trigger bulkhead_update',
    'create function public.bh_noop() returns trigger language plpgsql as ''begin return new; end'';
     create trigger bh_mine before insert on public.bh_messages for each row execute function public.bh_noop()'),
    '0 1 0 0', 'write_trigger sees a disabled trigger');
select is(pg_temp.cycle('write_trigger', 'alter table public.bh_messages enable replica trigger bulkhead_delete'),
    '0 1 0 0', 'write_trigger sees a trigger for replication only');
select is(pg_temp.cycle('write_trigger', 'drop trigger bulkhead_insert on public.bh_messages'),
    '0 1 0 0', 'write_trigger sees that a trigger is gone');
select is(pg_temp.cycle('write_function',
    $$do 'declare f name := (select audit_function from bulkhead.protected_tables where relation = ''public.bh_messages''::regclass);
      begin execute format(''create or replace function bulkhead.%I() returns trigger language plpgsql security definer set search_path = '''''''' as ''''begin return null; end'''''', f); end'$$,
    'alter table public.bh_messages add column note text'),
    '0 1 0 0', 'write_function');
select is(pg_temp.after(
    $$do 'declare f name := (select audit_function from bulkhead.protected_tables where relation = ''public.bh_messages''::regclass);
      begin execute format(''create or replace function bulkhead.%I() returns trigger language plpgsql security definer set search_path = '''''''' as ''''begin return null; end'''''', f); end';
      select bulkhead.attest('somebody signs anything')$$,
    'select pg_temp.count_of(''write_function'', ''public.bh\_%'')'),
    '1', 'an attestation does not accept a guard that guards nothing');
select is(pg_temp.cycle('guard_trust',
    $$do 'declare c name; begin for c in select conname from pg_constraint where conrelid = ''bulkhead.settings''::regclass and contype = ''c'' loop
      execute format(''alter table bulkhead.settings drop constraint %I'', c); end loop; end';
      update bulkhead.settings set platform_roles = platform_roles || 'service_role'::name$$,
    'update bulkhead.settings set platform_roles = platform_roles || ''bh_migrator''::name', '%'),
    '0 1 0 0', 'guard_trust');

-- verdicts
select throws_ok('select * from bulkhead.checks(''nonsense'')', 'BH701', null, 'checks() refuses a category that does not exist');
select is(pg_temp.after('delete from bulkhead.protected_tables',
    'select count(*) from bulkhead.checks(''boundary'') as c join bulkhead.rules as r on r.name = c.name where r.scope = ''tables'' and c.status = ''pass'''),
    '0', 'no rule about tables passes where no table is protected');
select is(pg_temp.after('drop function bulkhead.checks_guard()', 'select bulkhead.status(''guard'') ->> ''verdict'''),
    'unknown', 'a category that is missing is unknown, never green');
select is(pg_temp.after($$create or replace function bulkhead.checks_guard() returns setof bulkhead.check_result language plpgsql as 'begin raise division_by_zero; end'$$,
    'select bulkhead.status(''guard'') ->> ''verdict'''),
    'unknown', 'a category that fails is unknown, never green');
select is(pg_temp.after('alter table public.bh_messages disable row level security', 'select bulkhead.status(''boundary'') ->> ''verdict'''),
    'red', 'one offender makes the verdict red');
select is((select count(*) from bulkhead.checks() as c where c.fingerprint is null or c.title is null or c.severity is null or c.category is null),
    0::bigint, 'every check has a fingerprint, a title, a severity and a category');
select is((select count(*) from pg_catalog.pg_proc as p where p.pronamespace = 'bulkhead'::regnamespace
        and p.proname in ('status', 'findings', 'checks', 'checks_boundary') and (has_function_privilege('anon', p.oid, 'execute')
        or has_function_privilege('authenticated', p.oid, 'execute') or has_function_privilege('service_role', p.oid, 'execute'))),
    0::bigint, 'API roles cannot ask for the status');

select * from finish();
rollback;
