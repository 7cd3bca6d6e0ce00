-- History: every event of one row, for whom it is, and one clear error for everything that has none.
-- What needs several transactions (as_of, undo) is in undo.test.ts and undo-random.test.ts.
begin;
set local search_path = public, extensions;
select plan(33);

select tests.protected_world();
create table world.parts (tenant_id uuid, "Code" text, made date, n int, primary key (tenant_id, "Code", made));
create table world."Odd ""Name""" ("Key" int primary key, tenant_id uuid, t text, n int, o int);
select bulkhead.protect('world.parts'), bulkhead.protect('world."Odd ""Name"""');

-- ---------------------------------------------------------------- every event of a row
select tests.as_user('alice');
insert into world.units (id, tenant_id, label) values (50, tests.id('acme'), 'first');
select tests.as_service('acme', 'importer');
update world.units set label = 'second' where id = 50;
delete from world.units where id = 50;
insert into world.units (id, tenant_id, label) values (501, tests.id('acme'), 'another row');
select tests.as_owner();
insert into world.parts values (tests.id('acme'), 'a', '2026-01-02', 1);
insert into world."Odd ""Name""" values (1, tests.id('acme'), 'x', 2, 3);

select is(
    (select array_agg(h.operation || ' ' || h.actor) from bulkhead.history('world.units', '50') as h),
    array['INSERT ' || tests.id('alice'), 'UPDATE importer', 'DELETE importer'],
    'history() gives every event of the row in order, and who it was');
select is((select h.after ->> 'label' from bulkhead.history('world.units', ' 050 ') as h where h.operation = 'UPDATE'), 'second', 'the key is read as its type, however it is spelt');
select is((select count(*)::int from bulkhead.history('world.units', '51')), 0, 'a row that never was has no events');
select is((select count(*)::int from bulkhead.history('world.parts', tests.id('acme')::text, 'a', '2 January 2026')), 1, 'a composite key is one value a column');
select is((select count(*)::int from bulkhead.history('world.parts', jsonb_build_array(tests.id('acme'), 'a', '2026-01-02')::text)), 1, 'a composite key may be what the ledger writes');
select is((select h.after ->> 't' from bulkhead.history('world."Odd ""Name"""', '1') as h), 'x', 'quoted names are no trouble');
select is(
    (select h.after from bulkhead.history('world."Odd ""Name"""', '1') as h),
    jsonb_build_object('Key', 1, 'tenant_id', tests.id('acme'), 't', 'x', 'n', 2, 'o', 3),
    'columns with the names of the triggers'' aliases are no trouble');

-- ---------------------------------------------------------------- for whom
select tests.as_user('alice');
select throws_ok($$select * from bulkhead.history('world.units', '50')$$, '42501', null, 'a member may not call history() unless the project grants it');
select tests.as_owner();
grant select on bulkhead.audit_events to authenticated;
grant execute on function bulkhead.history(regclass, text[]), bulkhead.audited_table(regclass), bulkhead.record_id(bulkhead.audited, text[]),
    bulkhead.readable_tenants(), bulkhead.ledger_key(name[], text), bulkhead.quoted(name[]) to authenticated;
select tests.as_user('alice');
select is((select count(*)::int from bulkhead.history('world.units', '50')), 3, 'granted, a member sees the history of the own tenant''s row');
select tests.as_user('bob');
select is((select count(*)::int from bulkhead.history('world.units', '50')), 0, 'granted, a member of another tenant sees nothing of it');
select tests.as_user('dave');
select throws_ok($$select * from bulkhead.history('world.units', '50')$$, '42501', null, 'granted, who is a member no more sees nothing');

select tests.as_service('acme');
select is((select count(*)::int from bulkhead_api.history('world.units', '{50}')), 3, 'the back end sees the history of the tenant that it names');
select tests.as_service('birch');
select is((select count(*)::int from bulkhead_api.history('world.units', '{50}')), 0, 'the back end sees nothing of another tenant');
select tests.as_service(null);
select throws_ok($$select * from bulkhead_api.history('world.units', '{50}')$$, '42501', null, 'the back end that names no tenant is refused');
select tests.as_user('alice');
select throws_ok($$select * from bulkhead_api.history('world.units', '{50}')$$, '42501', null, 'the door is the back end''s alone');
select throws_ok($$select * from bulkhead.undo_plan(1)$$, '42501', null, 'a member cannot plan an undo');
select throws_ok($$select * from bulkhead.apply_undo('x', 1)$$, '42501', null, 'a member cannot undo');
select tests.as_service('acme');
select throws_ok($$select * from bulkhead.undo_plan(1)$$, '42501', null, 'the back end cannot plan an undo');
select tests.as_owner();

-- ---------------------------------------------------------------- bad input
create view world.a_view as select * from world.units;
create table world.no_key (tenant_id uuid);
create table world.plain (id int primary key, tenant_id uuid);
create table world.readings (id int, tenant_id uuid not null, at date, primary key (id, at)) partition by range (at);
create table world.readings_1 partition of world.readings for values from ('2026-01-01') to ('2026-02-01');
select bulkhead.protect('world.readings');
create schema other;
create table other.units (id bigint primary key, tenant_id uuid);

select throws_ok($$select * from bulkhead.history('world.a_view', '1')$$, 'BH101', null, 'a view has no history');
select throws_ok($$select * from bulkhead.history('world.no_key', '1')$$, 'BH101', null, 'a table without primary key has no history');
select throws_ok($$select * from bulkhead.history('world.plain', '1')$$, 'BH101', null, 'a table that is not protected has no history');
select throws_ok($$select * from bulkhead.history('world.readings_1', '1')$$, 'BH101', null, 'a partition is asked for through its table');
select throws_ok($$select * from bulkhead.history('other.units', '50')$$, 'BH101', null, 'the homonym in another schema has no history of its namesake''s');
select throws_ok($$select * from bulkhead.history(null::regclass, '1')$$, 'BH101', null, 'no table is no table');
select throws_ok($$select * from bulkhead.history('world.units', 'fifty')$$, 'BH108', null, 'what cannot be a key is named');
select throws_ok($$select * from bulkhead.history('world.units', '1', '2')$$, 'BH108', null, 'a key of another number of columns is named');
select throws_ok($$select * from bulkhead.as_of(1, 'x', now())$$, 'BH101', null, 'as_of() wants a row of a table');
select throws_ok(format($$select * from bulkhead.as_of(null::world.units, %L, '2001-01-01')$$, tests.id('acme')), 'BH102', null, 'a time before the ledger began is refused');
select throws_ok(format($$select * from bulkhead.as_of(null::world.units, %L, now() + interval '1 day')$$, tests.id('acme')), 'BH102', null, 'a time to come is refused');
select throws_ok(format($$select * from bulkhead.as_of(null::world.units, %L, clock_timestamp())$$, tests.id('nobody')), 'BH103', null, 'a tenant that does not exist is refused');
select throws_ok($$select * from bulkhead.as_of(null::world.units, 'acme', clock_timestamp())$$, 'BH103', null, 'what cannot be a tenant is refused');
select throws_ok($$select * from bulkhead.undo_plan(9000000000000000)$$, 'BH104', null, 'a transaction that the ledger does not know is refused');
select throws_ok($$select * from bulkhead.undo_plan(since => now())$$, 'BH105', null, 'an undo needs a transaction, or a tenant and a time');

select * from finish();
rollback;
