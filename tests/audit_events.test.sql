-- The ledger: one event a row whoever writes, append-only, and who is named as the actor.
begin;
set local search_path = public, extensions;
select plan(44);

select tests.protected_world();

-- ---------------------------------------------------------------- one event a row, whoever writes
select tests.as_user('alice', '{"x-request-id": "req-1", "x-actor": "somebody else", "x-forwarded-for": "203.0.113.7, 10.0.0.1"}');
insert into world.units (id, tenant_id, development_id, label, price, tags, extra)
select i, tests.id('acme'), tests.id('acme towers'), 'A' || i, 1.0, '{x,y}', '{"a": 1}' from generate_series(21, 25) as i;
select is((select count(*)::int from tests.events('world.units')), 5, 'an insert of five rows is five events');
select is((select distinct actor from tests.events('world.units')), tests.id('alice')::text, 'the actor of a member is the JWT''s subject, whatever x-actor says');
select is((select distinct actor_role from tests.events('world.units')), 'authenticated', 'the role is the one that asked');
select is((select distinct request_id from tests.events('world.units')), 'req-1', 'the request id is kept');
select is((select distinct ip_address from tests.events('world.units')), '203.0.113.7'::inet, 'the address is the first one forwarded');
select is((select after ->> 'label' from tests.events('world.units') where record_id = '21'), 'A21', 'an insert keeps the row');

update world.units set label = label || '!', price = 1.00 where id in (21, 22);
select is(
    (select array_agg(before || after order by id) from tests.events('world.units') where operation = 'UPDATE'),
    array['{"label": "A21!", "price": 1.00}', '{"label": "A22!", "price": 1.00}']::jsonb[],
    'an update keeps the changed columns only');
select is(
    (select after -> 'price' from tests.events('world.units') where operation = 'UPDATE' and record_id = '21')::text, '1.00',
    '1.0 and 1.00 are equal but not the same: the change is kept');
update world.units set extra = '{"a": 2}', tags = '{x}' where id = 23;
select is((select after from tests.events('world.units') where record_id = '23' and operation = 'UPDATE'), '{"tags": ["x"], "extra": "{\"a\": 2}"}'::jsonb, 'types without an equality operator are compared');
update world.units set label = label where id = 24;
select is((select before from tests.events('world.units') where record_id = '24' and operation = 'UPDATE'), '{}'::jsonb, 'an update that changes nothing is an event without columns');

delete from world.units where id = 25;
select is((select before ->> 'label' from tests.events('world.units') where operation = 'DELETE'), 'A25', 'a delete keeps the row');

insert into world.units (id, tenant_id, label) values (21, tests.id('acme'), 'again'), (26, tests.id('acme'), 'new')
on conflict (id) do update set label = excluded.label;
select is((select array_agg(operation order by operation) from tests.events('world.units') where after ->> 'label' in ('again', 'new')), array['INSERT', 'UPDATE'], 'an upsert is an insert or an update for each row, never both');

with gone as (delete from world.units where id = 26 returning id), fresh as (insert into world.units (id, tenant_id, label) values (27, tests.id('acme'), 'from a CTE') returning id)
select from gone, fresh;
select is((select count(*)::int from tests.events('world.units') where record_id in ('26', '27')), 3, 'writable CTEs are recorded');

merge into world.units as u
using (values (27, 'merged'), (28, 'merged in')) as s (id, label) on u.id = s.id
when matched then update set label = s.label
when not matched then insert (id, tenant_id, label) values (s.id, tests.id('acme'), s.label);
select is((select count(*)::int from tests.events('world.units') where after ->> 'label' like 'merged%'), 2, 'MERGE is recorded, one event a row');

-- ---------------------------------------------------------------- keys never change
select throws_ok($$update world.units set id = id + 1000$$, '42501', null, 'the key of a row is immutable');
select tests.as_owner();
select throws_ok(format('update world.units set tenant_id = %L where id = 1', tests.id('birch')), null, null, 'the tenant of a row is immutable for the owner too');

create function world.rewrite() returns trigger language plpgsql as $$begin new.id := new.id + 5000; return new; end$$;
create trigger a_rewrite before update on world.units for each row execute function world.rewrite();
select throws_ok($$update world.units set label = 'x' where id = 1$$, '42501', null, 'a trigger that changes the key behind the SET list is caught');
drop trigger a_rewrite on world.units;

-- ---------------------------------------------------------------- partitions
create table world.readings (id bigint, tenant_id uuid not null, at date not null, value int, primary key (id, at)) partition by range (at);
create table world.readings_1 partition of world.readings for values from ('2026-01-01') to ('2026-02-01');
create table world.readings_2 partition of world.readings for values from ('2026-02-01') to ('2026-03-01');
select bulkhead.protect('world.readings');
insert into world.readings values (1, tests.id('acme'), '2026-01-05', 1), (2, tests.id('acme'), '2026-02-05', 1);
insert into world.readings_1 values (3, tests.id('acme'), '2026-01-06', 1);
select is((select count(*)::int from tests.events('world.readings')), 3, 'writes to a partitioned table and straight to a partition are one event a row');
select is((select record_id from tests.events('world.readings') where after ->> 'id' = '3'), '[3, "2026-01-06"]', 'a composite key is recorded as a JSON array');
select tests.as_user('alice');
select throws_ok(format($$insert into world.readings_1 values (4, %L, '2026-01-07', 1)$$, tests.id('birch')), '42501', null, 'a partition is no way round');
select tests.as_owner();

-- ---------------------------------------------------------------- quoted names, generated and dropped columns
create table world."Odd ""Name""" ("Key" int primary key, tenant_id uuid, gone int, "Wert" int, twice int generated always as ("Wert" * 2) stored);
alter table world."Odd ""Name""" drop column gone;
select bulkhead.protect('world."Odd ""Name"""');
insert into world."Odd ""Name""" ("Key", tenant_id, "Wert") values (1, tests.id('acme'), 2);
update world."Odd ""Name""" set "Wert" = 3;
select is((select after from tests.events('world."Odd ""Name"""') where operation = 'UPDATE'), '{"Wert": 3, "twice": 6}'::jsonb, 'quoted names, generated and dropped columns are no trouble');

-- ---------------------------------------------------------------- TRUNCATE
truncate world.readings;
select is((select array_agg(before ->> 'id' order by before ->> 'id') from tests.events('world.readings') where operation = 'TRUNCATE'), array['1', '2', '3'], 'TRUNCATE by a platform role is one event a row, partitions and all');

-- ---------------------------------------------------------------- append-only
select throws_ok('delete from bulkhead.audit_events', '42501', null, 'nobody deletes events');
select throws_ok('update bulkhead.audit_events set actor = null', '42501', null, 'nobody changes events');
select throws_ok('truncate bulkhead.audit_events', '42501', null, 'nobody truncates the ledger');
select throws_ok(format('delete from bulkhead.%I', 'audit_events_' || to_char(now() at time zone 'UTC', 'YYYYMM')), '42501', null, 'a partition of the ledger is append-only too');
select throws_ok('truncate bulkhead.audit_seals', '42501', null, 'nobody truncates the seals');
select tests.as_service('acme');
select throws_ok($$insert into bulkhead.audit_events (actor_role, table_name, operation) values ('x', 'y', 'INSERT')$$, '42501', null, 'service_role cannot forge an event');
select tests.as_user('alice');
select throws_ok('select * from bulkhead.audit_events', '42501', null, 'members have no rights on the ledger');
create temp table mine (id int primary key, tenant_id uuid, label text);
select throws_ok(
    format('create trigger t after insert on mine referencing new table as new_rows for each statement execute function bulkhead.%I()',
        (select tgfoid::regproc::text from pg_trigger where tgrelid = 'world.units'::regclass and tgname = 'bulkhead_insert')),
    null, null, 'nobody can attach the kit''s trigger functions to a table of their own');
select tests.as_owner();

-- ---------------------------------------------------------------- events of the application
select tests.as_service('acme', 'billing');
select bulkhead_api.log_event('export.started', 'report', '42', '{"format": "csv"}');
select tests.as_owner();
select is(
    (select array[tenant_id, actor, actor_role, operation, record_id] from tests.events('report')),
    array[tests.id('acme')::text, 'billing', 'service_role', 'export.started', '42'],
    'log_event() records tenant, actor, role, action and resource');
select is((select action from bulkhead.audit_logs where resource_type = 'report' and resource_id = '42'), 'export.started', 'audit_logs shows it in the usual shape');
select tests.as_service(null);
select throws_ok($$select bulkhead_api.log_event('export.started', 'report')$$, '42501', null, 'an event without a tenant is refused');
select tests.as_service('acme');
select throws_ok($$select bulkhead_api.log_event('DELETE', 'world.units')$$, 'BH008', null, 'an application event cannot pass for a row change');
select throws_ok($$select bulkhead_api.log_event('bulkhead.attest', 'x')$$, 'BH008', null, 'an application event cannot pass for one of the kit''s');
select tests.as_owner();

-- ---------------------------------------------------------------- hashes
select is(bulkhead.merkle_root('{}'::bytea[]), null, 'no leaves, no root');
select is(bulkhead.merkle_root(array[sha256('a')]), sha256('a'), 'one leaf is its own root');
select is(
    bulkhead.merkle_root(array[sha256('a'), sha256('b'), sha256('c')]),
    sha256('\x01'::bytea || sha256('\x01'::bytea || sha256('a') || sha256('b')) || sha256('c')),
    'an odd leaf moves up unchanged');
select is((select count(*)::int from bulkhead.verify_audit(repeat('0', 64))), 1, 'an anchor that is not in the chain is named');


-- ---------------------------------------------------------------- sealing, of this very transaction
select bulkhead.seal();
insert into bulkhead.audit_events (tenant_id, actor_role, table_name, operation) values (null, 'x', 'x', 'x');
insert into bulkhead.audit_events (created_at, tenant_id, actor, actor_role, table_name, operation, record_id, before, metadata, ip_address)
values ('infinity', tests.id('acme')::text, '', 'Grüße', 'x', 'x', ':,-', '{"a": "ü"}', '{}', '192.0.2.7');
-- Twice, which seal() never does: the same events get other salts.
select bulkhead.append_seals((select max(era) from bulkhead.audit_eras), x.id, x.id + 1)
from (select pg_current_xact_id()::text::bigint as id) as x
cross join generate_series(1, 2);
select cmp_ok((select count(*)::int from bulkhead.audit_leaves), '>', 20, 'events were sealed');
select is_empty(
    $$select e.id from bulkhead.audit_events as e join bulkhead.audit_leaves as l on l.id = e.id where l.leaf <> bulkhead.audit_leaf(e, l.who, l.what)$$,
    'sealing and audit_leaf() hash every event alike');
select is_empty(
    $$select u.salt from bulkhead.audit_leaves as l cross join unnest(array[l.who, l.what]) as u (salt) group by u.salt having count(*) > 1 or min(length(u.salt)) <> 16$$,
    'each salt is 16 bytes of its own, and sealing the same event again does not bring it back');
select results_eq(
    $$select s.previous, s.seq from bulkhead.audit_shares as s where s.tenant_id = tests.id('acme')::text order by s.seq$$,
    $$select lag(s.seq, 1, 0::bigint) over (order by s.seq), s.seq from bulkhead.audit_shares as s where s.tenant_id = tests.id('acme')::text order by s.seq$$,
    'a tenant''s share names the one before it, in another partition of the same seal too');
select is_empty(
    $$select * from bulkhead.broken_links(1, 1000) union all
      select seq, part, problem from bulkhead.broken_shares((select max(era) from bulkhead.audit_eras), 0, 9223372036854775807) where problem not like 'leaves of this%'$$,
    'the chain follows');

select * from finish();
rollback;
