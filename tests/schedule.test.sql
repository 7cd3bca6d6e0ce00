-- The timetable: every job declared once, scheduled once, its absence noticed. With pg_cron or the stand-in.
begin;
select plan(17);

select count(*) from bulkhead.schedule();

create function pg_temp.count_of(rule text, subjects text default '%')
returns bigint
language sql
as $$
    select count(*)
    from bulkhead.findings('schedule') as f
    where f.name = rule
        and f.status = 'fail'
        and f.subject like subjects
$$;
create function pg_temp.remedy_of(rule text, subjects text default '%')
returns text
language sql
as $$
    select min(f.remediation)
    from bulkhead.findings('schedule') as f
    where f.name = rule
        and f.subject like subjects
$$;
create function pg_temp.run(statement text)
returns void
language plpgsql
as $$
begin
    execute statement;
end
$$;

select is((select count(*) from bulkhead.timetable as t where t.is_active), (select count(*) from bulkhead.jobs), 'every declared job is scheduled and active');
select is((select count(*) from bulkhead.schedule()), 0::bigint, 'schedule() changes nothing the second time');
select is((select count(*) from bulkhead.jobs as j where j.command !~ '^(select|call) bulkhead\.[a-z_]+\([^;]*\)$'), 0::bigint, 'the body of every job is one call');
select is(
    (select string_agg(j.name, ', ') from bulkhead.jobs as j
        where not exists (
            select from pg_catalog.pg_proc as p
            where p.pronamespace = 'bulkhead'::regnamespace and p.proname = substring(j.command from 'bulkhead\.([a-z_]+)')
        )),
    null, 'every job calls a function that exists');
select lives_ok('select bulkhead.clean_up()', 'clean_up() can be called as the job calls it');

-- job_missing
select is(pg_temp.count_of('job_missing'), 0::bigint, 'job_missing has no finding at first');
select count(*) from cron.unschedule((select jobid from cron.job where jobname = 'bulkhead:audit:seal' and username = current_user));
select is(pg_temp.count_of('job_missing', 'bulkhead:audit:seal'), 1::bigint, 'job_missing sees that a job is gone');
select pg_temp.run(pg_temp.remedy_of('job_missing'));
select is(pg_temp.count_of('job_missing'), 0::bigint, 'job_missing is resolved by its remedy');
select count(*) from cron.schedule('bulkhead:canaries:run', '0 0 1 1 *', 'select bulkhead.run_canaries()');
select is(pg_temp.count_of('job_missing', 'bulkhead:canaries:run'), 1::bigint, 'job_missing sees another schedule');
select pg_temp.run(pg_temp.remedy_of('job_missing'));
select count(*) from cron.schedule('bulkhead:canaries:run', '*/5 * * * *', 'select 1');
select is(pg_temp.count_of('job_missing', 'bulkhead:canaries:run'), 1::bigint, 'job_missing sees another command');
select pg_temp.run(pg_temp.remedy_of('job_missing'));
select count(*) from cron.schedule('vacuum-at-night', '0 3 * * *', 'vacuum');
select is(pg_temp.count_of('job_missing') + pg_temp.count_of('job_unknown'), 0::bigint, 'a job of the project''s own is no finding');

-- job_unknown
select count(*) from cron.schedule('bulkhead:audit:steal', '* * * * *', 'select 1');
select is(pg_temp.count_of('job_unknown', 'bulkhead:audit:steal'), 1::bigint, 'job_unknown sees a job under a name of the kit');
select pg_temp.run(pg_temp.remedy_of('job_unknown'));
select is(pg_temp.count_of('job_unknown'), 0::bigint, 'job_unknown is resolved by its remedy');

-- job_overdue
insert into bulkhead.jobs (name, schedule, command, max_age)
values ('bulkhead:test:never', '0 0 1 1 *', 'select bulkhead.caller()', '1 hour');
select count(*) from bulkhead.schedule();
select is(pg_temp.count_of('job_overdue', 'bulkhead:test:never'), 0::bigint, 'a job that was scheduled just now is not overdue');
update bulkhead.jobs set scheduled_at = now() - interval '2 hours' where name = 'bulkhead:test:never';
select is(pg_temp.count_of('job_overdue', 'bulkhead:test:never'), 1::bigint, 'job_overdue sees a job that never ran');

-- the pair
select is((select count(*) from bulkhead.unschedule()), (select count(*) from bulkhead.jobs), 'unschedule() takes every job out');
drop view bulkhead.timetable;
select is(
    (select string_agg(distinct f.status || ' ' || f.name, ', ') from bulkhead.findings('schedule') as f),
    'fail timetable_missing, unknown job_failed, unknown job_missing, unknown job_overdue, unknown job_unknown',
    'without a timetable no rule about jobs passes');

select * from finish();
rollback;
