-- Rows written past the ledger show: 0 -> 1 -> remedy 0 -> a look-alike stays 0.
begin;
set local search_path = public, extensions;
select * from no_plan();

select tests.protected_world();
select tests.as_owner();
create table world.books (id int primary key, tenant_id uuid not null, v text);
insert into world.books select i, tests.id('acme'), 'before' from generate_series(1, 3) as i;
select bulkhead.protect('world.books');
insert into world.books select i, tests.id('birch'), 'after' from generate_series(4, 5) as i;

create function pg_temp.verdict(changed boolean default false)
returns text[]
language sql
as $$
    select array_agg(r.status || ' ' || coalesce(r.subject, '') || ' ' || r.observed::text order by r.subject)
    from bulkhead.canary_audit_completeness(case when changed then '{"changed_since": 1, "recheck": ["world.books"]}' else '{}' end::jsonb) as r
    where r.subject = 'world.books' or r.status = 'pass'
$$;

select is(pg_temp.verdict(), array['pass database 0'], 'rows older than the trail are accepted when they are first counted');
update world.books set v = 'x';
delete from world.books where id in (3, 5);
insert into world.books values (6, tests.id('birch'), 'new');
select is(pg_temp.verdict(), array['pass database 0'], 'whatever is recorded balances');

alter table world.books disable trigger bulkhead_insert;
insert into world.books values (7, tests.id('birch'), 'past the ledger'), (8, tests.id('birch'), 'past the ledger');
alter table world.books enable always trigger bulkhead_insert;
select is(pg_temp.verdict(), array['fail world.books 2'], 'rows inserted past the triggers show');
select is(pg_temp.verdict(true), array['fail world.books 2'], 'in the five-minute pass too, which looks again at what was wrong');
select bulkhead.baseline('world.books');
select is(pg_temp.verdict(), array['pass database 0'], 'recorded, they are accounted for');
select is((select sum(accepted) from bulkhead.ledger_balance('world.books')), 1::numeric, 'and after a baseline nothing is taken on trust but the delete of a row that no baseline saw');

alter table world.books disable trigger bulkhead_delete;
delete from world.books where id = 7;
alter table world.books enable always trigger bulkhead_delete;
select is(pg_temp.verdict(), array['fail world.books 1'], 'a row deleted past the triggers shows');
select throws_ok($$select bulkhead.accept_gap('world.books', 'why')$$, 'BH002', null, 'accepting it needs a reason');
select is(bulkhead.accept_gap('world.books', 'archived in May, see the minutes'), 2::bigint, 'accepted with a reason, for both tenants that have a gap');
select is(pg_temp.verdict(), array['pass database 0'], 'it is quiet');
select is((select metadata ->> 'reason' from bulkhead.audit_events where operation = 'bulkhead.accept_gap'), 'archived in May, see the minutes', 'and the ledger knows why');

truncate world.books;
select is(pg_temp.verdict(), array['pass database 0'], 'a TRUNCATE through the triggers balances');
select throws_ok($$select * from bulkhead.ledger_balance('pg_catalog.pg_class')$$, 'BH403', null, 'a table that is not protected has no balance');

select * from finish();
rollback;
