-- The canaries: nothing found, an offender found, its remedy, and a look-alike that stays unfound; then the runner.
begin;
set local search_path = public, extensions;
select plan(68);

-- What a canary says by hand: the whole table, now.
create function pg_temp.offenders(canary text)
returns bigint
language plpgsql
as $$
declare
    v_count bigint;
begin
    execute format(
        'select count(*) from bulkhead.%I((select threshold from bulkhead.canaries where name = %L)) as r where r.status = ''fail''',
        'canary_' || canary, canary)
    into v_count;
    return v_count;
end
$$;
create function pg_temp.status_of(canary text, wanted_cadence text default 'five_minutes')
returns text
language sql
as $$
    select coalesce(string_agg(distinct r.status, ',' order by r.status), 'no row')
    from bulkhead.run_canaries(wanted_cadence) as r
    where r.name = canary
$$;
create function pg_temp.row_of(canary text)
returns bulkhead.check_result
language plpgsql
as $$
declare
    v_row bulkhead.check_result;
begin
    execute format(
        'select r.* from bulkhead.%I((select threshold from bulkhead.canaries where name = %L)) as r where r.status <> ''pass'' order by r.subject limit 1',
        'canary_' || canary, canary)
    into v_row;
    return v_row;
end
$$;
create function pg_temp.drop_key(relation regclass, columns text)
returns void
language plpgsql
as $$
begin
    execute (
        select format('alter table %s drop constraint %I', relation, c.conname)
        from pg_catalog.pg_constraint as c
        where c.conrelid = relation and c.contype = 'f' and pg_get_constraintdef(c.oid) like 'FOREIGN KEY (' || columns || ')%'
    );
end
$$;

-- ---------------------------------------------------------------- nothing to look at is not fine
select tests.world();
select is(pg_temp.status_of('orphaned_rows'), 'unknown', 'without a protected table orphaned_rows is unknown');
select is((select count(*)::int from bulkhead.incidents where name = 'orphaned_rows'), 0, 'and an empty installation wakes nobody');
select bulkhead.protect('world.tenants'), bulkhead.protect('world.members'), bulkhead.protect('world.developments'), bulkhead.protect('world.units');

-- ---------------------------------------------------------------- orphaned_rows
select is(pg_temp.offenders('orphaned_rows'), 0::bigint, 'orphaned_rows: a sound database has none');
select is(pg_temp.status_of('orphaned_rows'), 'pass', 'orphaned_rows: the first pass sweeps and passes');
select ok((select is_full from bulkhead.canary_runs where canary = 'orphaned_rows' order by id desc limit 1), 'a pass after an unknown one sweeps in full');
select is(pg_temp.status_of('orphaned_rows'), 'pass', 'orphaned_rows: nothing changed, the next pass passes');
select ok(not (select is_full from bulkhead.canary_runs where canary = 'orphaned_rows' order by id desc limit 1), 'a pass after a sound one follows the changes');

select pg_temp.drop_key('world.units', 'tenant_id, development_id');
insert into world.developments (id, tenant_id, name) values (tests.id('doomed'), tests.id('acme'), 'doomed');
insert into world.units (id, tenant_id, development_id, label) values (51, tests.id('acme'), tests.id('doomed'), 'A51');
select is(pg_temp.offenders('orphaned_rows'), 0::bigint, 'orphaned_rows: a dropped key alone is no orphan');
delete from world.developments where id = tests.id('doomed');
select is(pg_temp.offenders('orphaned_rows'), 1::bigint, 'orphaned_rows: a row whose parent was deleted behind a dropped key is found');
select is((pg_temp.row_of('orphaned_rows')).subject, 'world.units', 'the result names the table');
select is((pg_temp.row_of('orphaned_rows')).sample_ids, array['51'], 'and the row');
select matches((pg_temp.row_of('orphaned_rows')).detail, 'development_id has no row in world.developments[^;]*\nTenants: ' || tests.id('acme'), 'and the key and the tenant');
select is(pg_temp.status_of('orphaned_rows'), 'fail', 'the pass over the changes finds it by the deleted parent');
select is(pg_temp.status_of('orphaned_rows'), 'fail', 'and again in the next one, in which nothing changed');
select is((select count(*)::int from bulkhead.incidents where name = 'orphaned_rows' and state = 'open'), 1, 'two failing passes are one incident');
delete from world.units where id = 51;
select is(pg_temp.offenders('orphaned_rows'), 0::bigint, 'orphaned_rows: removing the row is a remedy');
select pg_temp.status_of('orphaned_rows'), pg_temp.status_of('orphaned_rows');
select is((select state from bulkhead.incidents where name = 'orphaned_rows'), 'resolved', 'two clean passes resolve it');
insert into world.units (id, tenant_id, development_id, label) values (52, tests.id('acme'), null, 'no development yet');
select is(pg_temp.offenders('orphaned_rows'), 0::bigint, 'orphaned_rows: a null in a column that was never required is no orphan');

alter table world.units alter column tenant_id drop not null;
insert into world.units (id, tenant_id, label) values (53, null, 'nobody''s');
select is((pg_temp.row_of('orphaned_rows')).detail, '1 row(s) of world.units: tenant_id is null', 'orphaned_rows: a null where the declaration forbids it is found');
delete from world.units where id = 53;
select is(pg_temp.offenders('orphaned_rows'), 0::bigint, 'orphaned_rows: and gone with its row');

-- ---------------------------------------------------------------- tenant_misalignment
select is(pg_temp.offenders('tenant_misalignment'), 0::bigint, 'tenant_misalignment: a sound database has none');
select pg_temp.status_of('tenant_misalignment');
insert into world.units (id, tenant_id, development_id, label) values (61, tests.id('acme'), tests.id('birch lane'), 'A in B');
select is(pg_temp.offenders('tenant_misalignment'), 1::bigint, 'tenant_misalignment: a row in another tenant''s development is found');
select is(pg_temp.status_of('tenant_misalignment'), 'fail', 'also by the pass over the changes');
select is(pg_temp.offenders('orphaned_rows'), 0::bigint, 'and is no orphan: each row has one diagnosis');
update world.units set development_id = tests.id('acme towers') where id = 61;
select is(pg_temp.offenders('tenant_misalignment'), 0::bigint, 'tenant_misalignment: moving it to its own development is the remedy');
insert into world.units (id, tenant_id, development_id, label) values (62, tests.id('birch'), tests.id('birch lane'), 'A in B');
select is(pg_temp.offenders('tenant_misalignment'), 0::bigint, 'tenant_misalignment: the same label in the right tenant is no offence');
select pg_temp.drop_key('world.units', 'tenant_id');
insert into world.units (id, tenant_id, label) values (63, tests.id('nobody'), 'stray');
select matches((pg_temp.row_of('tenant_misalignment')).detail, 'tenant_id is not in world.tenants', 'tenant_misalignment: a tenant that does not exist is found');
delete from world.units where id = 63;
select is(pg_temp.offenders('tenant_misalignment'), 0::bigint, 'tenant_misalignment: and gone with its row');

-- A key of two columns, and a table that was renamed since it was protected.
select pg_temp.status_of('tenant_misalignment');
select pg_temp.drop_key('world.members', 'tenant_id');
insert into world.members (tenant_id, user_id, role) values (tests.id('nobody'), tests.id('alice'), 'owner');
select is(pg_temp.status_of('tenant_misalignment'), 'fail', 'tenant_misalignment: the pass over the changes finds rows with a composite key');
delete from world.members where tenant_id = tests.id('nobody');
select pg_temp.status_of('tenant_misalignment');
alter table world.units rename to flats;
insert into world.flats (id, tenant_id, label) values (64, tests.id('nobody'), 'stray');
select is(pg_temp.status_of('tenant_misalignment'), 'fail', 'tenant_misalignment: and rows of a table that was renamed');
delete from world.flats where id = 64;
alter table world.flats rename to units;

-- ---------------------------------------------------------------- abnormal_deletes
insert into world.units (id, tenant_id, label) select i, tests.id('acme'), 'bulk' from generate_series(10001, 10400) as i;
select is(pg_temp.offenders('abnormal_deletes'), 0::bigint, 'abnormal_deletes: no deletes, none abnormal');
delete from world.units where id between 10001 and 10045;
select is(pg_temp.offenders('abnormal_deletes'), 0::bigint, 'abnormal_deletes: fewer than 50 rows are too few to matter');
select set_config('bulkhead.actor', 'mallory', true);
delete from world.units where id between 10046 and 10060;
select is(pg_temp.offenders('abnormal_deletes'), 1::bigint, 'abnormal_deletes: 60 of 400 rows in a day are found');
select is((pg_temp.row_of('abnormal_deletes')).severity, 'warning', 'as a warning');
select matches((pg_temp.row_of('abnormal_deletes')).detail, 'mallory in transaction ' || pg_current_xact_id()::text, 'with actor and transaction');
delete from world.units where id between 10061 and 10200;
select is((pg_temp.row_of('abnormal_deletes')).severity, 'critical', 'abnormal_deletes: half of the rows are critical');
select matches(
    (select r.detail from bulkhead.canary_abnormal_deletes('{"min_rows": 100000, "transaction_rows": 100}') as r),
    'deleted by one transaction and not put back: .* for mallory', 'abnormal_deletes: one very large transaction is found whatever its share');
insert into world.units (id, tenant_id, label) select i, tests.id('acme'), 'back' from generate_series(10001, 10200) as i;
select is(pg_temp.offenders('abnormal_deletes'), 0::bigint, 'abnormal_deletes: putting the rows back is the remedy');
insert into world.units (id, tenant_id, label) select i, tests.id('birch'), 'bulk' from generate_series(20001, 21000) as i;
delete from world.units where id between 20001 and 20060;
select is(pg_temp.offenders('abnormal_deletes'), 0::bigint, 'abnormal_deletes: 60 of 1,000 rows are business as usual');

-- The learned rule: 20 rows an hour for two weeks, then 400 in an hour that is over.
update bulkhead.protected_tables set protected_at = now() - interval '30 days';
insert into bulkhead.delete_hours (table_name, tenant_id, hour, deleted)
select 'world.units', tests.id('birch')::text, date_trunc('hour', now(), 'UTC') - h * interval '1 hour', 50 + h % 20
from generate_series(1, 400) as h;
select is(
    (select count(*)::int from bulkhead.canary_abnormal_deletes(jsonb_build_object('at', now() + interval '70 minutes', 'min_rows', 1000)) where status = 'fail'),
    0, 'learned: sixty rows where sixty are usual');
delete from world.units where id between 20061 and 20400;
select matches(
    (select string_agg(detail, '') from bulkhead.canary_abnormal_deletes(jsonb_build_object('at', now() + interval '70 minutes', 'min_rows', 1000)) where status = 'fail'),
    '400 in the hour of .* UTC, usually', 'learned: 400 rows where sixty are usual');
update bulkhead.protected_tables set protected_at = now();
select matches(
    (select string_agg(detail, '') from bulkhead.canary_abnormal_deletes(jsonb_build_object('at', now() + interval '70 minutes', 'min_rows', 1000))),
    '^learning: ', 'learned: silent, and says so, with less than a week of history');

truncate world.units;
select is(
    (select string_agg(distinct r.severity, ',') from bulkhead.canary_abnormal_deletes('{"min_rows": 100000}') as r where r.detail like '%truncated%'),
    'critical', 'abnormal_deletes: TRUNCATE is always critical');

create table world.notes (id uuid primary key, tenant_id uuid not null references world.tenants (id) on delete restrict);
select bulkhead.protect('world.notes');
drop table world.notes;
select is(
    (select r.severity from bulkhead.canary_abnormal_deletes('{"min_rows": 100000}') as r where r.subject = 'world.notes'),
    'critical', 'abnormal_deletes: a protected table that was dropped is critical');
select is(pg_temp.offenders('orphaned_rows'), 0::bigint, 'and stops no other check');
delete from bulkhead.protected_tables where table_name = 'notes';

-- ---------------------------------------------------------------- failed_onboarding
select is(pg_temp.status_of('failed_onboarding'), 'no row', 'failed_onboarding: nobody asked for it, so it has nothing to say');
create table world.attempts (id bigint primary key, tenant_id uuid, ok boolean, attempted_at timestamptz not null);
select throws_ok($$select bulkhead.watch_onboarding('world.attempts', 'no_such_column')$$, 'BH402', null, 'a predicate that does not fit is refused at once');
select bulkhead.watch_onboarding('world.attempts', 'ok', 'attempted_at', 'tenant_id');
select is(pg_temp.status_of('failed_onboarding'), 'pass', 'failed_onboarding: no attempts, no failures');
insert into world.attempts values (1, tests.id('acme'), true, now() - interval '9 minutes'), (2, tests.id('acme'), false, now() - interval '8 minutes'),
    (3, tests.id('acme'), false, now() - interval '7 minutes'), (4, tests.id('acme'), false, now() - interval '6 minutes'), (5, tests.id('birch'), true, now() - interval '10 minutes');
select is((pg_temp.row_of('failed_onboarding')).subject, 'world.attempts', 'failed_onboarding: three of five failed: the rate overall');
select is(pg_temp.offenders('failed_onboarding'), 2::bigint, 'failed_onboarding: and three in a row of one tenant');
insert into world.attempts values (6, tests.id('acme'), true, now() - interval '5 minutes'), (7, tests.id('birch'), true, now()), (8, tests.id('acme'), true, now()), (9, tests.id('acme'), true, now());
select is(pg_temp.offenders('failed_onboarding'), 0::bigint, 'failed_onboarding: success ends the streak and lowers the rate');
insert into world.attempts select 100 + i, tests.id('birch'), null, now() from generate_series(1, 9) as i;
select is(pg_temp.offenders('failed_onboarding'), 0::bigint, 'failed_onboarding: attempts that are not finished are no failures');
drop table world.attempts;
select is(pg_temp.status_of('failed_onboarding'), 'unknown', 'failed_onboarding: a source that is gone is unknown');

-- ---------------------------------------------------------------- failed_cron_jobs
create function pg_temp.job_ran(wanted text, status text)
returns void
language sql
as $$
    insert into cron.job_run_details (jobid, runid, database, username, command, status, return_message, start_time, end_time)
    select j.jobid, 1000000 + (select count(*) from cron.job_run_details), j.database, j.username, j.command, job_ran.status, 'ERROR: no such thing', now(), now()
    from cron.job as j
    where j.jobname = wanted
$$;
select cron.schedule('made-up', '0 0 1 1 *', 'select 1');
select is(pg_temp.offenders('failed_cron_jobs'), 0::bigint, 'failed_cron_jobs: a job that never ran has not failed');
select pg_temp.job_ran('made-up', 'failed');
select is(pg_temp.offenders('failed_cron_jobs'), 1::bigint, 'failed_cron_jobs: a failed run is found');
select matches((pg_temp.row_of('failed_cron_jobs')).detail, 'made-up .* failed: ERROR: no such thing', 'with the name of the job and its error');
select pg_temp.job_ran('made-up', 'succeeded');
select is(pg_temp.offenders('failed_cron_jobs'), 0::bigint, 'failed_cron_jobs: a later run that succeeds is the remedy');
select pg_temp.job_ran('made-up', 'running');
select is(pg_temp.offenders('failed_cron_jobs'), 0::bigint, 'failed_cron_jobs: a run that is not over is no failure');

-- ---------------------------------------------------------------- the runner
update bulkhead.canaries set function = 'bulkhead.no_such_function(jsonb)' where name = 'orphaned_rows';
select is(pg_temp.status_of('orphaned_rows'), 'unknown', 'a check that can''t run is unknown');
select is(pg_temp.status_of('tenant_misalignment'), 'pass', 'and stops no other check');
select is((select count(*)::int from bulkhead.incidents where name = 'orphaned_rows' and status = 'unknown' and state = 'open'), 1, 'it opens an incident of its own');
select throws_ok($$select bulkhead.run_canaries('weekly')$$, 'BH401', null, 'an unknown cadence is refused');
update bulkhead.canaries set is_enabled = false where name = 'abnormal_deletes';
select is((select status from bulkhead.checks_canaries() where name = 'abnormal_deletes'), 'unknown', 'a check that was switched off is not green');
update bulkhead.canary_runs set finished_at = finished_at - interval '16 minutes' where canary = 'tenant_misalignment';
select is((select status from bulkhead.checks_canaries() where name = 'tenant_misalignment'), 'unknown', 'a check that was silent for three periods is not green');

-- A check of the night that does not know yet is asked in the day, too, but not all day.
create function pg_temp.is_due(took interval, ago interval, status text)
returns boolean
language plpgsql
as $$
begin
    delete from bulkhead.canary_runs where canary = 'cron_history';
    insert into bulkhead.canary_runs (canary, cadence, is_full, horizon, started_at, begun_at, finished_at, took, status)
    values ('cron_history', 'five_minutes', true, 0, now() - ago, clock_timestamp() - ago, now() - ago, took, is_due.status);
    return exists (select from bulkhead.due_canaries('five_minutes') where name = 'cron_history');
end
$$;
select ok(pg_temp.is_due('1 second', '5 minutes', 'unknown'), 'a check of the night that does not know yet is due every five minutes');
select ok(not pg_temp.is_due('60 seconds', '19 minutes', 'unknown'), 'but not when it took a minute less than twenty ago');
select ok(pg_temp.is_due('60 seconds', '21 minutes', 'unknown'), 'a twentieth of the time is its own');
select ok(not pg_temp.is_due('1 second', '5 minutes', 'pass'), 'and when it knows it waits for the night');

select * from finish();
rollback;
