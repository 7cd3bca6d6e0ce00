-- pg_cron's tables, functions, policies and grants where the extension is missing. The schedule is kept here, the clock
-- is scripts/local/scheduler.ts. Never: runs a job.
create schema cron;
create sequence cron.jobid_seq;
create sequence cron.runid_seq;
create table cron.job (
    jobid bigint primary key default nextval('cron.jobid_seq'),
    schedule text not null,
    command text not null,
    nodename text not null default 'localhost',
    nodeport int not null default inet_server_port(),
    database text not null default current_database(),
    username text not null default current_user,
    active boolean not null default true,
    jobname text,
    constraint jobname_username_uniq unique (jobname, username)
);
create table cron.job_run_details (
    jobid bigint,
    runid bigint primary key default nextval('cron.runid_seq'),
    job_pid integer,
    database text,
    username text,
    command text,
    status text,
    return_message text,
    start_time timestamptz,
    end_time timestamptz
);
alter table cron.job enable row level security;
alter table cron.job_run_details enable row level security;
create policy cron_job_policy on cron.job using (username = current_user);
create policy cron_job_run_details_policy on cron.job_run_details using (username = current_user);
grant select on cron.job, cron.job_run_details to public;
grant delete on cron.job_run_details to public;
-- the clock of the stand-in connects as postgres, the real one needs no grant
grant usage on sequence cron.runid_seq to postgres;

-- Definer, as the C functions write with the extension owner's rights; the caller is the role that was logged in or set.
create function cron.stand_in_caller()
    returns text
    language sql
    stable
as $$
    select case when current_setting('role') = 'none' then session_user::text else current_setting('role') end
$$;

create function cron.stand_in_check(schedule text)
    returns void
    language plpgsql
    immutable
as $$
begin
    if trim(schedule) !~ '^(@(yearly|annually|monthly|weekly|daily|hourly|midnight|reboot)|[1-5]?[0-9] seconds?|([-0-9a-zA-Z*/,$]+\s+){4}[-0-9a-zA-Z*/,$]+)$' then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('invalid schedule: %s', schedule),
            hint = 'Use cron format (e.g. 5 4 * * *), or interval format ''[1-59] seconds''';
    end if;
end
$$;

create function cron.schedule(schedule text, command text)
    returns bigint
    language plpgsql
    strict
    security definer
    set search_path = ''
as $$
declare
    id bigint;
begin
    perform cron.stand_in_check(schedule);
    insert into cron.job (schedule, command, username)
    values (schedule, command, cron.stand_in_caller())
    returning jobid into id;
    return id;
end
$$;

create function cron.schedule(job_name text, schedule text, command text)
    returns bigint
    language plpgsql
    security definer
    set search_path = ''
as $$
declare
    id bigint;
begin
    if job_name is null or schedule is null or command is null then
        raise exception using
            errcode = 'null_value_not_allowed', message = 'job_name, schedule and command can not be NULL';
    end if;
    perform cron.stand_in_check(schedule);
    insert into cron.job as j (jobname, schedule, command, username)
    values ($1, $2, $3, cron.stand_in_caller())
    on conflict on constraint jobname_username_uniq
    do update set schedule = excluded.schedule, command = excluded.command, active = true
    returning j.jobid into id;
    return id;
end
$$;

create function cron.unschedule(job_id bigint)
    returns boolean
    language plpgsql
    strict
    security definer
    set search_path = ''
as $$
begin
    delete from cron.job as j where j.jobid = job_id and j.username = cron.stand_in_caller();
    if not found then
        raise exception using
            errcode = 'internal_error', message = format('could not find valid entry for job ''%s''', job_id);
    end if;
    return true;
end
$$;

create function cron.unschedule(job_name text)
    returns boolean
    language plpgsql
    strict
    security definer
    set search_path = ''
as $$
begin
    delete from cron.job as j where j.jobname = job_name and j.username = cron.stand_in_caller();
    if not found then
        raise exception using
            errcode = 'internal_error', message = format('could not find valid entry for job ''%s''', job_name);
    end if;
    return true;
end
$$;

create function cron.alter_job(
    job_id bigint,
    schedule text default null,
    command text default null,
    database text default null,
    username text default null,
    active boolean default null
)
    returns void
    language plpgsql
    security definer
    set search_path = ''
as $$
begin
    if schedule is not null then
        perform cron.stand_in_check(schedule);
    end if;
    update cron.job as j
    set schedule = coalesce($2, j.schedule),
        command = coalesce($3, j.command),
        database = coalesce($4, j.database),
        username = coalesce($5, j.username),
        active = coalesce($6, j.active)
    where j.jobid = job_id and j.username = cron.stand_in_caller();
    if not found then
        raise exception using
            errcode = 'internal_error', message = format('Job %s does not exist or you don''t own it', job_id);
    end if;
end
$$;
revoke all on function cron.alter_job(bigint, text, text, text, text, boolean) from public;
