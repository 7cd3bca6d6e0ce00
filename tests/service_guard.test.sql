-- The guard: writes without a tenant or for another tenant are refused, whatever role or function carries them.
begin;
set local search_path = public, extensions;
select plan(30);

select tests.protected_world();

-- ---------------------------------------------------------------- service_role
select tests.as_service(null);
select throws_ok($$update world.units set label = 'x'$$, '42501', null, 'service_role without a tenant cannot update');
select throws_ok($$delete from world.units$$, '42501', null, 'service_role without a tenant cannot delete');
select throws_ok(format($$insert into world.units (tenant_id, label) values (%L, 'x')$$, tests.id('acme')), '42501', null, 'service_role without a tenant cannot insert');
select matches(
    (select message from tests.error_of($$update world.units set label = 'x'$$) as message), 'x-tenant-id', 'the refusal names the remedy');

select tests.as_service('acme', 'concierge');
select lives_ok($$update world.units set label = 'by the service' where id = 1$$, 'service_role writes for the tenant it names');
select is((select array[actor, tenant_id, actor_role] from tests.events('world.units')), array['concierge', tests.id('acme')::text, 'service_role'], 'its write carries the actor');
select throws_ok($$update world.units set label = 'all of them'$$, '42501', null, 'a forgotten filter is refused as soon as it reaches another tenant');
select throws_ok($$delete from world.units where id = 11$$, '42501', null, 'service_role cannot delete another tenant''s row');
select throws_ok(format($$insert into world.units (tenant_id, label) values (%L, 'x')$$, tests.id('birch')), '42501', null, 'service_role cannot insert for another tenant');
select throws_ok(format($$insert into world.units (tenant_id, label) values (%L, 'ok'), (%L, 'not ok')$$, tests.id('acme'), tests.id('birch')), '42501', null, 'one foreign row refuses the whole statement');
select throws_ok('truncate world.units', '42501', null, 'service_role cannot truncate');
select throws_ok($$insert into world.tenants (name) values ('mine')$$, '42501', null, 'service_role cannot create a tenant past create_tenant()');
select throws_ok(format('delete from world.tenants where id = %L', tests.id('acme')), null, null, 'service_role cannot delete its tenant');

select set_config('bulkhead.tenant', tests.id('birch')::text, true);
select throws_ok($$update world.units set label = 'x' where id = 1$$, 'BH005', null, 'header and setting that differ are an error');
select set_config('bulkhead.tenant', upper(tests.id('acme')::text), true);
select lives_ok($$update world.units set label = 'same tenant, other spelling' where id = 1$$, 'header and setting in two spellings agree');
select set_config('bulkhead.tenant', '', true);

-- ---------------------------------------------------------------- definer functions are no way round
select tests.as_owner();
create function world.mark_all() returns void language sql security definer as $$ update world.units set label = 'marked' $$;
grant execute on function world.mark_all() to authenticated, service_role;
select tests.as_user('alice');
select throws_ok('select world.mark_all()', '42501', null, 'a definer function called by a member cannot reach other tenants');
select tests.as_service('acme');
select throws_ok('select world.mark_all()', '42501', null, 'a definer function called by service_role cannot reach other tenants');

-- ---------------------------------------------------------------- direct roles
select tests.as_owner();
create role tests_direct nologin;
grant tests_direct to current_user;
grant usage on schema world, extensions, tests to tests_direct;
grant select, insert, update, delete on all tables in schema world to tests_direct;
select bulkhead.configure('world.tenants', membership_table => 'world.members', direct_roles => '{tests_direct}', exposed_schemas => '{world}');
grant all on world.units to tests_direct;
select bulkhead.unprotect('world.units'), bulkhead.protect('world.units');
select is(has_table_privilege('tests_direct', 'world.units', 'truncate'), false, 'a direct role loses TRUNCATE, which passes every policy');
set local role tests_direct;
select is((select count(*)::int from world.units), 0, 'a direct role without a context sees nothing');
select set_config('request.headers', jsonb_build_object('x-tenant-id', tests.id('acme'))::text, true);
select is((select count(*)::int from world.units), 0, 'a direct role''s headers count for nothing');
select bulkhead.set_tenant(tests.id('acme')::text, 'worker-7');
select is((select count(*)::int from world.units), 2, 'a direct role sees the tenant it set');
select lives_ok($$update world.units set label = 'direct' where id = 2$$, 'a direct role writes for the tenant it set');
select is((select actor from tests.events('world.units') where after ->> 'label' = 'direct'), 'worker-7', 'its actor is recorded');
reset role;
select set_config('bulkhead.tenant', '', true);

-- ---------------------------------------------------------------- other roles, tenants
create role tests_stranger nologin;
grant usage on schema extensions, tests to tests_stranger;
grant tests_stranger to current_user;
grant usage on schema world, bulkhead to tests_stranger;
grant all on world.units to tests_stranger;
grant execute on function bulkhead.current_tenants() to tests_stranger;
set local role tests_stranger;
select set_config('bulkhead.tenant', tests.id('acme')::text, true);
select is((select count(*)::int from world.units), 0, 'a role that nobody declared sees nothing, whatever it sets');
reset role;
select set_config('bulkhead.tenant', '', true);

grant execute on function world.mark_all() to tests_stranger;
update bulkhead.settings set platform_roles = platform_roles || 'tests_stranger'::name;
set local role tests_stranger;
-- As often as it takes for the triggers' plans to be kept.
select lives_ok($$do 'begin for i in 1..12 loop perform world.mark_all(); end loop; end'$$, 'a platform role writes without a tenant');
reset role;
update bulkhead.settings set platform_roles = array_remove(platform_roles, 'tests_stranger');
set local role tests_stranger;
select throws_ok('select world.mark_all()', '42501', 'update on world.units by tests_stranger refused: no tenant is named; send the x-tenant-id header, or run select bulkhead.set_tenant(…) in the transaction', 'and not once it is trusted no more, in the same session');
reset role;

select tests.as_service(null);
select lives_ok($$select bulkhead_api.create_tenant('{"name": "cedar"}')$$, 'service_role creates a tenant through create_tenant()');
select throws_ok($$select bulkhead_api.create_tenant('{"no_such": 1}')$$, 'BH008', null, 'create_tenant() refuses an unknown attribute');
select throws_ok($$insert into world.tenants (name) values ('dogwood')$$, '42501', null, 'and opens the door for that one tenant only');
select tests.as_owner();
select is((select count(*)::int from tests.events('world.tenants') where operation = 'INSERT' and after ->> 'name' = 'cedar'), 1, 'the new tenant is in the ledger');

select * from finish();
rollback;
