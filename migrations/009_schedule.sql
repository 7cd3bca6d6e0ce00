-- Schedule: every job of the kit on one screen, run by pg_cron (times are GMT).
-- Public objects: table bulkhead.jobs, view bulkhead.timetable, functions bulkhead.schedule(), bulkhead.unschedule(),
--   bulkhead.clean_up().
-- Never: a job that is more than one call, a job outside this list, a job for another database.
-- Re-runnable; works with pg_cron from 1.4 on and with the local stack's stand-in.
-- No security definer functions.

do $$
begin
    if to_regprocedure('cron.schedule(text, text, text)') is null
        and to_regprocedure('cron.schedule(name, text, text)') is null then
        raise exception using
            errcode = 'BH901',
            message = 'Cannot schedule the jobs: pg_cron is not installed in this database. Run "create extension pg_cron" as an administrator (Supabase: Database > Extensions > pg_cron), then apply this migration again';
    end if;
end
$$;

create table if not exists bulkhead.jobs (
    name text primary key,
    schedule text not null,
    command text not null,
    max_age interval not null,
    scheduled_at timestamptz not null default now(),
    -- The status check calls a job overdue after max_age, so a job may not be allowed to be silent for ever.
    constraint jobs_max_age_check check (max_age between interval '1 minute' and interval '40 days'),
    constraint jobs_name_check check (name ~ '^bulkhead:[a-z]+:[a-z]+$')
);
comment on table bulkhead.jobs is
    'The declared timetable: what pg_cron must hold, and after how long a silent job is a finding.';
alter table bulkhead.jobs enable row level security;
revoke all on bulkhead.jobs from public, anon, authenticated, service_role;

insert into bulkhead.jobs (name, schedule, command, max_age)
values
    ('bulkhead:tenancy:follow',       '* * * * *',    'select bulkhead.follow_schema()',           '10 minutes'),
    ('bulkhead:audit:seal',           '* * * * *',    'select bulkhead.seal()',                    '10 minutes'),
    ('bulkhead:canaries:run',         '*/5 * * * *',  'call bulkhead.run_pass()',                  '20 minutes'),
    ('bulkhead:canaries:reap',        '* * * * *',    'select bulkhead.reap_canaries()',           '10 minutes'),
    ('bulkhead:alerting:dispatch',    '* * * * *',    'select bulkhead.dispatch_alerts()',         '10 minutes'),
    ('bulkhead:alerting:ping',        '*/5 * * * *',  'select bulkhead.ping()',                    '20 minutes'),
    ('bulkhead:alerting:digest',      '11 7 * * 1',   'select bulkhead.weekly_digest()',           '8 days'),
    ('bulkhead:audit:partition',      '7 1 * * *',    'select bulkhead.ensure_audit_partitions()', '26 hours'),
    -- Calls nobody where configure_backups() gave the night to a runner (.github/workflows/backup-nightly.yml).
    ('bulkhead:backups:dispatch',     '17 2 * * *',   'select bulkhead.dispatch_backup()',         '26 hours'),
    ('bulkhead:backups:resume',       '*/5 * * * *',  'select bulkhead.resume_backup()',           '20 minutes'),
    ('bulkhead:canaries:sweep',       '23 3 * * *',   'call bulkhead.run_pass(''nightly'')',       '26 hours'),
    ('bulkhead:schedule:clean',       '41 4 * * *',   'select bulkhead.clean_up()',                '26 hours')
on conflict (name) do update
set schedule = excluded.schedule,
    command = excluded.command,
    max_age = excluded.max_age;

-- Idempotent: brings pg_cron to what bulkhead.jobs declares. A job that somebody paused is scheduled anew, since
-- cron.schedule() alone leaves it paused.
create or replace function bulkhead.schedule()
returns setof text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    declared record;
    stale record;
begin
    for stale in
        select
            held.jobid,
            held.jobname
        from cron.job as held
        where held.jobname like 'bulkhead:%'
            and held.username = current_user::text
            and (
                -- What a copy of the database brought along runs in the original.
                held.database <> pg_catalog.current_database()
                or not exists (
                    select
                    from bulkhead.jobs as wanted
                    where wanted.name = held.jobname
                        and held.active
                )
            )
    loop
        perform cron.unschedule(stale.jobid);
        return next 'unscheduled ' || stale.jobname;
    end loop;
    for declared in
        select
            wanted.name,
            wanted.schedule,
            wanted.command
        from bulkhead.jobs as wanted
        where not exists (
            select
            from cron.job as held
            where held.jobname = wanted.name
                and held.schedule = wanted.schedule
                and held.command = wanted.command
                and held.database = pg_catalog.current_database()
                and held.username = current_user::text
                and held.active
        )
        order by wanted.name
    loop
        perform cron.schedule(declared.name, declared.schedule, declared.command);
        update bulkhead.jobs
        set scheduled_at = pg_catalog.now()
        where name = declared.name;
        return next 'scheduled ' || declared.name;
    end loop;
end
$$;
comment on function bulkhead.schedule() is
    'Bring pg_cron to the declared timetable; returns what was changed, nothing when it already matches.';
revoke all on function bulkhead.schedule() from public;

create or replace function bulkhead.unschedule()
returns setof text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    held record;
begin
    for held in
        select
            job.jobid,
            job.jobname
        from cron.job as job
        where job.jobname like 'bulkhead:%'
            and job.database = pg_catalog.current_database()
            and job.username = current_user::text
        order by job.jobname
    loop
        perform cron.unschedule(held.jobid);
        return next 'unscheduled ' || held.jobname;
    end loop;
end
$$;
comment on function bulkhead.unschedule() is
    'Take every job of the kit out of pg_cron; bulkhead.schedule() puts them back. Status is red meanwhile.';
revoke all on function bulkhead.unschedule() from public;

-- cron.job_run_details never cleans itself, and pg_cron slows down with it. Only the kit's own runs are removed.
create or replace function bulkhead.clean_up()
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    removed bigint;
begin
    delete from cron.job_run_details as run
    where run.end_time < pg_catalog.now() - interval '7 days'
        and (
            run.jobid in (select job.jobid from cron.job as job where job.jobname like 'bulkhead:%')
            or run.command like 'select bulkhead.%'
            or run.command like 'call bulkhead.%'
        );
    get diagnostics removed = row_count;
    return removed + bulkhead.clean_up_records();
end
$$;
comment on function bulkhead.clean_up() is
    'Remove the kit''s own run records of pg_cron after seven days, and old calls and messages; returns how many.';
revoke all on function bulkhead.clean_up() from public;

create or replace view bulkhead.timetable
with (security_invoker = true)
as
with runs as (
    -- One pass over a table that has no index by job.
    select
        run.jobid,
        max(run.runid) as last_run,
        max(run.runid) filter (where run.status in ('succeeded', 'failed')) as last_finished
    from cron.job_run_details as run
    group by run.jobid
)
select
    declared.name,
    declared.schedule,
    declared.command,
    held.jobid is not null and held.active as is_active,
    started.start_time as last_started_at,
    finished.status as last_status,
    finished.return_message as last_message,
    declared.max_age,
    declared.scheduled_at
from bulkhead.jobs as declared
left join cron.job as held
    on held.jobname = declared.name
    and held.database = current_database()
left join runs on runs.jobid = held.jobid
left join cron.job_run_details as started on started.runid = runs.last_run
left join cron.job_run_details as finished on finished.runid = runs.last_finished
order by declared.name;
comment on view bulkhead.timetable is
    'Every job of the kit with its schedule, whether pg_cron holds it, and how its last run ended.';
revoke all on bulkhead.timetable from public, anon, authenticated, service_role;

select bulkhead.schedule();
