-- The service role and its successor: bulkhead_service is held by the policies, and service_role can be closed.
begin;
set local search_path = public, extensions;
select plan(26);

select tests.protected_world();
create function tests.as_back_end(tenant text, actor text default 'nightly-job') returns void language sql as $$
    select tests.as_service(tenant, actor), set_config('role', 'bulkhead_service', true),
        set_config('request.jwt.claims', '{"role": "bulkhead_service"}', true)
$$;
grant execute on function tests.as_back_end(text, text) to public;
grant bulkhead_service to current_user;
grant usage on schema extensions to bulkhead_service;

select is((select rolbypassrls or rolsuper or rolcanlogin or rolinherit from pg_roles where rolname = 'bulkhead_service'), false,
    'bulkhead_service has no power of its own');
select ok(pg_has_role('authenticator', 'bulkhead_service', 'member'), 'PostgREST may become it');

-- ---------------------------------------------------------------- reads
select tests.as_back_end(null);
select is((select count(*)::int from world.units), 0, 'without a tenant it reads nothing');
select tests.as_back_end('acme');
select is((select count(*)::int from world.units), 2, 'it reads the tenant it names');
select is((select count(*)::int from world.units where tenant_id = tests.id('birch')), 0, 'and no other, whatever it asks for');
select is((select count(*)::int from world.members), 3, 'all members of it');
select is((select name from world.tenants), 'acme', 'and the tenant itself');

-- ---------------------------------------------------------------- writes
select lives_ok($$insert into world.units (tenant_id, label) select id, 'new' from world.tenants$$, 'it inserts');
select lives_ok($$update world.units set label = 'by the back end'$$, 'an update without a filter stays inside its tenant');
select throws_ok(format('insert into world.units (tenant_id, label) values (%L, ''x'')', tests.id('birch')), '42501', null, 'no row for another tenant');
select throws_ok('truncate world.units', '42501', null, 'it cannot truncate');
select is((select array_agg(distinct array[actor, actor_role::text]) from tests.events('world.units')), array[array['nightly-job', 'bulkhead_service']],
    'its actor counts');
select lives_ok($$select bulkhead_api.log_event('export.started', 'report')$$, 'it has the doors of the API');
select lives_ok($$select bulkhead_api.create_tenant('{"name": "gum"}')$$, 'and creates tenants');
select throws_ok('set local role service_role', '42501', null, 'it becomes no other role') where not pg_has_role(session_user, 'service_role', 'member')
union all
select pass('it becomes no other role (the session of this test may)') where pg_has_role(session_user, 'service_role', 'member');
select tests.as_owner();
select is((select count(*)::int from world.units where tenant_id = tests.id('birch') and label = 'by the back end'), 0, 'birch was not touched');

-- ---------------------------------------------------------------- closing service_role
select is((select count(*)::int from bulkhead.findings('guard') where name = 'service_role_reads'), 1, 'raw reads of service_role are a finding');
select is(bulkhead.close_service_role(), 4, 'close_service_role() takes its rights away');
select tests.as_service('acme');
select throws_ok('select count(*) from world.units', '42501', null, 'service_role reads nothing');
select throws_ok($$update world.units set label = 'x'$$, '42501', null, 'and writes nothing');
select tests.as_back_end('acme');
select is((select count(*)::int from world.units), 3, 'bulkhead_service goes on');
select tests.as_owner();
select is((select count(*)::int from bulkhead.findings('guard') where name = 'service_role_reads'), 0, 'the finding is gone');
select bulkhead.protect('world.units');
select is(has_table_privilege('service_role', 'world.units', 'select'), false, 'protecting again gives nothing back');
grant select (label) on world.units to service_role;
select results_eq($$select subject from bulkhead.findings() where name like 'service_role%'$$, $$values ('world.units')$$, 'a grant after this is a finding');
select throws_ok($$select bulkhead.open_service_role('')$$, 'BH002', null, 'opening it again needs a reason');
select is(bulkhead.open_service_role('the dashboard of the old back end'), 4, 'and is possible');

select * from finish();
rollback;
