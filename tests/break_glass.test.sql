-- Break-glass: for a time, a role of a back end writes without naming a tenant; told to everybody, over by itself.
begin;
set local search_path = public, extensions;
select plan(31);

select tests.protected_world();
delete from bulkhead.alert_outbox;

-- ---------------------------------------------------------------- who may, and what must be said
select throws_ok($$select bulkhead.break_glass('short', 5)$$, 'BH002', null, 'it needs a reason');
select throws_ok($$select bulkhead.break_glass('a good long reason', 0)$$, 'BH002', null, 'an end');
select throws_ok($$select bulkhead.break_glass('a good long reason', 241)$$, 'BH002', null, 'within four hours');
select throws_ok($$select bulkhead.break_glass('a good long reason', 5, 'authenticated')$$, 'BH002', null, 'never for the role of users');
select throws_ok($$select bulkhead.break_glass('a good long reason', 5, 'anon')$$, 'BH002', null, 'nor of visitors');
select throws_ok($$select bulkhead.break_glass('a good long reason', 5, 'no_such_role')$$, 'BH002', null, 'and a role that exists');
select throws_ok($$select bulkhead.break_glass('a good long reason', 5, tenant => 'garbage')$$, '22P02', null, 'and a tenant of the right type');
select tests.as_service(null);
select throws_ok($$select bulkhead.break_glass('a good long reason', 5)$$, '42501', null, 'service_role cannot let itself in');
select throws_ok($$select bulkhead.end_break_glass()$$, '42501', null, 'nor end it');
select tests.as_user('alice');
select throws_ok($$select bulkhead.break_glass('a good long reason', 5)$$, '42501', null, 'nor can members');

-- ---------------------------------------------------------------- one tenant
select tests.as_owner();
select cmp_ok(bulkhead.break_glass('ticket 812: repair the labels', 15, tenant => tests.id('acme')::text), '>', 0::bigint, 'a platform role breaks the glass');
select is(
    (select array[operation, tenant_id, metadata ->> 'reason'] from bulkhead.audit_events where operation = 'bulkhead.break_glass'),
    array['bulkhead.break_glass', tests.id('acme')::text, 'ticket 812: repair the labels'], 'which is an event');
select is((select kind || ' ' || severity from bulkhead.alert_outbox), 'notice critical', 'and an alert');
select is((select count(*)::int from bulkhead.findings('guard') where name = 'break_glass_active'), 1, 'and a finding while it lasts');
select tests.as_service(null);
select lives_ok($$update world.units set label = 'repaired' where id = 1$$, 'service_role writes that tenant and names none');
select throws_ok($$update world.units set label = 'repaired'$$, '42501', null, 'another tenant stays closed');
select throws_ok('truncate world.units', '42501', null, 'and so does TRUNCATE');
select throws_ok($$insert into world.tenants (name) values ('x')$$, '42501', null, 'and the making of tenants');
select tests.as_service('birch');
select throws_ok($$update world.units set label = 'x' where id = 1$$, '42501', null, 'who names a tenant has that tenant and no more');

-- ---------------------------------------------------------------- every tenant
select tests.as_owner();
grant bulkhead_service to current_user;
grant usage on schema extensions to bulkhead_service;
select is(bulkhead.end_break_glass(), 1, 'it ends before its time');
select is((select count(*)::int from bulkhead.findings('guard') where name = 'break_glass_active'), 0, 'the finding goes with it');
select is((select count(*)::int from bulkhead.alert_outbox), 2, 'and people are told');
select bulkhead.break_glass('migration of labels', 15, 'bulkhead_service');
select tests.as_service(null);
select throws_ok($$update world.units set label = 'x'$$, '42501', null, 'another role than the one that was let in stays outside');
set local role bulkhead_service;
select is((select count(*)::int from world.units), 3, 'bulkhead_service reads every tenant');
select lives_ok($$update world.units set label = 'all of them'$$, 'and writes every tenant');
select tests.as_owner();
select is((select count(distinct tenant_id)::int from tests.events('world.units') where actor_role = 'bulkhead_service'), 2, 'each row under its tenant in the ledger');

-- ---------------------------------------------------------------- its end
update bulkhead.glass_breaks set opened_at = now() - interval '1 hour', until = clock_timestamp() where ended_at is null;
select is((select count(*)::int from bulkhead.findings('guard') where name = 'break_glass_active'), 0, 'it ends by itself');
set local role bulkhead_service;
select is((select count(*)::int from world.units), 0, 'nothing is read any more');
update world.units set label = 'too late';
select tests.as_owner();
select is((select count(*)::int from world.units where label = 'too late'), 0, 'nothing is written');
select is(bulkhead.end_break_glass(), 0, 'there is nothing left to end');
select is((select count(*)::int from bulkhead.glass_breaks), 2, 'the record stays');

select * from finish();
rollback;
