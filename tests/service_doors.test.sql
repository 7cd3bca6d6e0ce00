-- The doors: tenants come to be, members leave and are let in, back ends report what they were refused and what they looked at.
begin;
set local search_path = public, extensions;
select plan(36);

select tests.protected_world();

-- ---------------------------------------------------------------- members leave, and let nobody in
create policy own_membership on world.members for all to authenticated using (user_id = tests.id('alice') or user_id = tests.id('carol'));

select tests.as_user('carol', jsonb_build_object('x-tenant-id', tests.id('acme')));
select lives_ok(format('delete from world.members where tenant_id = %L and user_id = %L', tests.id('acme'), tests.id('carol')),
    'a member leaves a tenant in their own session');
select tests.as_user('alice');
select lives_ok(format('update world.members set disabled_at = now() where user_id = %L', tests.id('alice')), 'a member disables their own membership');
select is((select count(*)::int from world.units), 0, 'and is outside from then on');
select throws_ok(format('insert into world.members (tenant_id, user_id, role) values (%L, %L, ''owner'')', tests.id('acme'), tests.id('alice')),
    '42501', null, 'nobody lets themself back in');

select tests.as_owner();
select results_eq(
    $$select actor, operation from tests.events('world.members') order by id$$,
    format('values (%L, ''DELETE''), (%L, ''UPDATE'')', tests.id('carol'), tests.id('alice')),
    'both are in the ledger under the name of who did it');

create function world.join_any(tenant uuid) returns void language sql security definer as
$$ insert into world.members (tenant_id, user_id, role) values (tenant, (current_setting('request.jwt.claims')::jsonb ->> 'sub')::uuid, 'owner') $$;
create function world.re_enable() returns void language sql security definer as
$$ update world.members set disabled_at = null where user_id = (current_setting('request.jwt.claims')::jsonb ->> 'sub')::uuid $$;
create function world.accept_invitation(tenant uuid) returns void language plpgsql security definer as
$$ begin
    perform bulkhead.admit_to_tenant(tenant::text, 'invitation accepted');
    insert into world.members (tenant_id, user_id, role) values (tenant, (current_setting('request.jwt.claims')::jsonb ->> 'sub')::uuid, 'agent');
end $$;
grant execute on all functions in schema world to authenticated;
select tests.as_user('bob');
select throws_ok(format('select world.join_any(%L)', tests.id('acme')), '42501', null, 'a definer function lets no caller into a tenant');
select tests.as_user('dave');
select throws_ok('select world.re_enable()', '42501', null, 'nor back into one');
select tests.as_user('bob');
select throws_ok(format('select bulkhead.admit_to_tenant(%L, ''let me in, please'')', tests.id('acme')), '42501', null, 'members cannot admit themselves');
select lives_ok(format('select world.accept_invitation(%L)', tests.id('acme')), 'unless it says so, with a reason');
select tests.as_owner();
select is(
    (select array[tenant_id, actor] from bulkhead.audit_events where operation = 'bulkhead.admitted'),
    array[tests.id('acme')::text, tests.id('bob')::text], 'which is an event of the tenant');
select throws_ok($$select bulkhead.admit_to_tenant('', 'a good long reason')$$, 'BH006', null, 'an admission names a tenant');
select throws_ok(format('select bulkhead.admit_to_tenant(%L, ''short'')', tests.id('acme')), 'BH002', null, 'and a reason');

-- ---------------------------------------------------------------- a new tenant's first rows
create function world.seed() returns trigger language plpgsql as
$$ begin
    insert into world.developments (tenant_id, name) values (new.id, 'first');
    insert into world.units (tenant_id, label) values (new.id, 'first');
    return null;
end $$;
create trigger seed after insert on world.tenants for each row execute function world.seed();
select bulkhead.attest('a trigger writes the first rows of a new tenant');
select tests.as_service(null);
select lives_ok($$select bulkhead_api.create_tenant('{"name": "elm"}')$$, 'a trigger of the tenants table writes a new tenant''s first rows');
select lives_ok(
    $$insert into world.units (tenant_id, label) select id, 'second' from world.tenants where name = 'elm'$$,
    'and the transaction that made the tenant goes on');
select throws_ok(format('insert into world.units (tenant_id, label) values (%L, ''x'')', tests.id('birch')), '42501', null, 'for that tenant only');
select throws_ok($$insert into world.tenants (name) values ('fir')$$, '42501', null, 'and makes no other tenant');
select tests.as_owner();
update bulkhead.tenant_openings set xid = '3'::xid8;
select tests.as_service(null);
select set_config('bulkhead.openings', 'yes', true);
select throws_ok(
    $$insert into world.units (tenant_id, label) select id, 'third' from world.tenants where name = 'elm'$$,
    '42501', null, 'another transaction finds it closed, whatever setting it makes');
select tests.as_owner();
create table world.counted (id bigint generated always as identity primary key, name text);
select lives_ok($$insert into bulkhead.tenant_openings (tenant) values ('1'); delete from bulkhead.tenant_openings$$, 'openings leave nothing behind');

-- ---------------------------------------------------------------- what was refused
-- Reports are counted by the minute of the clock, which must not turn in the midst of them.
select pg_sleep(60 - extract(second from clock_timestamp())) where extract(second from clock_timestamp()) > 45;
select tests.as_service('acme', 'concierge');
select is(bulkhead_api.record_refused_write('world.units', 'INSERT', 'a row belongs to another tenant', tests.id('birch')::text, '{"rows": 3}'), true,
    'a back end reports a refused write');
select tests.as_owner();
select is(
    (select array[tenant_id, actor, actor_role, table_name, metadata ->> 'attempted', metadata ->> 'attempted_tenant', metadata -> 'detail' ->> 'rows']
        from bulkhead.audit_events where operation = 'bulkhead.write_refused'),
    array[tests.id('acme')::text, 'concierge', 'service_role', 'world.units', 'insert', tests.id('birch')::text, '3'],
    'as an event of the tenant it named; the tenant that it tried to reach is a detail');
select tests.as_service(null);
select is(bulkhead_api.record_refused_write('world.units', 'delete', 'no tenant is named'), true, 'without a tenant it is nobody''s event');
select tests.as_owner();
select is((select count(*)::int from bulkhead.audit_events where operation = 'bulkhead.write_refused' and tenant_id is null), 1, 'of no tenant');
select tests.as_service('acme');
select throws_ok($$select bulkhead_api.record_refused_write('', 'insert', 'x')$$, 'BH008', null, 'a report names a table');
select throws_ok($$select bulkhead_api.record_refused_write('units', 'drop table x', 'x')$$, 'BH008', null, 'and an operation');
select throws_ok(format('select bulkhead_api.record_refused_write(''units'', ''insert'', ''x'', null, to_jsonb(repeat(''x'', 5000)))'), 'BH008', null, 'and is small');
select is(
    (select count(*) filter (where bulkhead_api.record_refused_write('world.units', 'insert', 'again ' || n)) from generate_series(1, 80) as n)::int,
    59, 'a tenant has sixty reports a minute');
select tests.as_owner();
update bulkhead.refused_write_counts set minute = minute - interval '1 minute';
select tests.as_service('acme');
select is(bulkhead_api.record_refused_write('world.units', 'insert', 'next minute'), true, 'and sixty in the next');
select tests.as_owner();
select is(
    (select metadata ->> 'not_recorded' from bulkhead.audit_events where operation = 'bulkhead.write_refused' order by id desc limit 1),
    '21', 'where it says how many were left out');
select tests.as_user('alice');
select throws_ok($$select bulkhead_api.record_refused_write('units', 'insert', 'x')$$, '42501', null, 'members report nothing');

-- ---------------------------------------------------------------- across tenants
select tests.as_service(null, 'support@example.com');
select cmp_ok(bulkhead_api.record_platform_access('monthly invoice run', 5), '>', now(), 'a back end says why it looks across tenants');
select tests.as_owner();
select is(
    (select array[tenant_id, actor, actor_role, metadata ->> 'reason'] from bulkhead.audit_events where operation = 'bulkhead.platform_access'),
    array[null, 'support@example.com', 'service_role', 'monthly invoice run'], 'which is an event of its own');
select tests.as_service(null, 'support@example.com');
select throws_ok($$update world.units set label = 'x'$$, '42501', null, 'and opens nothing');
select throws_ok($$select bulkhead_api.record_platform_access('short')$$, 'BH008', null, 'it needs a reason');
select throws_ok($$select bulkhead_api.record_platform_access('a good long reason', 600)$$, 'BH008', null, 'and an end');
select tests.as_service(null, null);
select throws_ok($$select bulkhead_api.record_platform_access('a good long reason')$$, '42501', null, 'and somebody who does it');
select tests.as_user('alice');
select throws_ok($$select bulkhead_api.record_platform_access('a good long reason')$$, '42501', null, 'members do not');

select * from finish();
rollback;
