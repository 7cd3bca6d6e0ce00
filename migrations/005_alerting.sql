-- Alerting: incidents out of check results, an outbox at least once, signed calls to the edge functions.
-- Public objects: tables bulkhead.incidents, alert_outbox, alert_channels, mutes, accepted_calls; functions
--   bulkhead.record_results(), mute(), unmute(), acknowledge(), enqueue_alert(), claim_alerts(), settle_alert(),
--   note_channel(), requeue_alert(), dispatch_alerts(), call_function(), accept_call(), hmac_sha256(), secret(),
--   checks_alerting(), clean_up_records(), watch(), ping(), weekly_digest().
-- Never: sends anything itself, keeps a secret, closes an incident on a run that could not look, is silent for ever.
-- No security definer functions.

create table bulkhead.incidents (
    id bigint generated always as identity primary key,
    -- Of the result, or of "this check can't be evaluated": an unknown result is an incident of its own.
    fingerprint text not null,
    -- What has one cause is told in one message: the failures of one check, or everything that could not be looked at.
    thread text not null,
    name text not null,
    subject text,
    title text not null,
    severity text not null,
    category text not null,
    status text not null,
    state text not null default 'open',
    opened_at timestamptz not null,
    last_seen_at timestamptz not null,
    resolved_at timestamptz,
    breaches integer not null default 1,
    clean_runs integer not null default 0,
    -- How often in a row it came back within six hours of its end: the more often, the longer it has to be clean.
    relapses integer not null default 0,
    observed numeric,
    threshold numeric,
    detail text,
    remediation text,
    sample_ids text[] not null default '{}',
    reproduce_sql text,
    acknowledged_at timestamptz,
    acknowledged_by name,
    acknowledged_note text,
    notified_at timestamptz not null,
    notified_severity text not null,
    notified_observed numeric,
    -- How many messages told of it; none yet where it was muted from the start.
    sequence integer not null default 0,
    constraint incidents_severity_check check (severity in ('critical', 'warning')),
    constraint incidents_status_check check (status in ('fail', 'unknown')),
    -- A resolved incident says when, an open one can't.
    constraint incidents_state_check check (
        state = 'open' and resolved_at is null or state = 'resolved' and resolved_at is not null
    ),
    constraint incidents_acknowledged_check check ((acknowledged_at is null) = (acknowledged_by is null))
);
comment on table bulkhead.incidents is
    'One row from the first failing run of a check to its last clean one. One open incident a fingerprint.';
create unique index incidents_open_key on bulkhead.incidents (fingerprint) where state = 'open';
create index incidents_fingerprint_idx on bulkhead.incidents (fingerprint, resolved_at desc);
create index incidents_opened_at_idx on bulkhead.incidents (opened_at);
alter table bulkhead.incidents enable row level security;
revoke all on bulkhead.incidents from public, anon, authenticated, service_role;

create table bulkhead.mutes (
    fingerprint text primary key,
    name text not null,
    subject text,
    reason text not null,
    muted_at timestamptz not null,
    muted_by name not null default session_user,
    until timestamptz not null,
    constraint mutes_reason_check check (length(trim(reason)) >= 10),
    -- Silence always has an end, whoever writes the row.
    constraint mutes_until_check check (until > muted_at and until <= muted_at + interval '7 days')
);
comment on table bulkhead.mutes is
    'Incidents of which nobody wants to hear until a time. They stay open and red; what is still there afterwards speaks.';
alter table bulkhead.mutes enable row level security;
revoke all on bulkhead.mutes from public, anon, authenticated, service_role;

create table bulkhead.alert_outbox (
    id bigint generated always as identity primary key,
    kind text not null,
    severity text not null,
    payload jsonb not null,
    -- The first of the incidents that the message tells of.
    incident_id bigint references bulkhead.incidents (id) on delete restrict,
    -- All of them, and what it says of each.
    incident_ids bigint[] not null default '{}',
    incident_kinds text[] not null default '{}',
    -- Messages of one thread leave in order, and at most one of them waits: the next one takes its place.
    thread text,
    -- The how-manieth message of its incident: two messages with one number are one delivered twice.
    sequence integer not null default 1,
    state text not null default 'pending',
    created_at timestamptz not null default now(),
    due_at timestamptz not null default now(),
    -- Since when people could have known: the time of what it took the place of counts.
    waiting_since timestamptz not null default now(),
    urgency smallint not null generated always as (
        case severity when 'critical' then 0 when 'warning' then 1 else 2 end
    ) stored,
    attempts integer not null default 0,
    -- The channels that have it already, when another one was away.
    delivered_to text[] not null default '{}',
    lease_token uuid,
    leased_until timestamptz,
    settled_at timestamptz,
    last_error text,
    constraint alert_outbox_kind_check check (kind in ('opened', 'worsened', 'repeated', 'resolved', 'notice')),
    constraint alert_outbox_severity_check check (severity in ('critical', 'warning', 'info')),
    constraint alert_outbox_state_check check (state in ('pending', 'sent', 'superseded', 'dead')),
    constraint alert_outbox_payload_check check (jsonb_typeof(payload) = 'object'),
    constraint alert_outbox_lease_check check ((lease_token is null) = (leased_until is null)),
    constraint alert_outbox_incidents_check check (cardinality(incident_ids) = cardinality(incident_kinds)),
    unique (incident_id, sequence)
);
comment on table bulkhead.alert_outbox is
    'Messages on their way to people. Delivered at least once, in order within a thread.';
create index alert_outbox_due_idx on bulkhead.alert_outbox (urgency, due_at, id) where state = 'pending';
create index alert_outbox_waiting_idx on bulkhead.alert_outbox (waiting_since) where state = 'pending';
create index alert_outbox_thread_idx on bulkhead.alert_outbox (thread, id);
create index alert_outbox_dead_idx on bulkhead.alert_outbox (id) where state = 'dead';
create index alert_outbox_settled_idx on bulkhead.alert_outbox (settled_at) where state in ('sent', 'superseded');
alter table bulkhead.alert_outbox enable row level security;
revoke all on bulkhead.alert_outbox from public, anon, authenticated, service_role;

create table bulkhead.alert_channels (
    name text primary key,
    failures integer not null default 0,
    closed_until timestamptz,
    last_error text,
    last_sent_at timestamptz,
    constraint alert_channels_name_check check (name ~ '^[a-z][a-z_]*$'),
    constraint alert_channels_failures_check check (failures >= 0)
);
comment on table bulkhead.alert_channels is
    'How each channel of functions/alert fares: one that is away or busy is left alone until a time, for all messages.';
alter table bulkhead.alert_channels enable row level security;
revoke all on bulkhead.alert_channels from public, anon, authenticated, service_role;

create table bulkhead.accepted_calls (
    signature text primary key,
    accepted_at timestamptz not null default now(),
    constraint accepted_calls_signature_check check (signature ~ '^[0-9a-f]{64}$')
);
comment on table bulkhead.accepted_calls is
    'Signatures that a function has acted on: the same call again is a replay.';
create index accepted_calls_accepted_at_idx on bulkhead.accepted_calls (accepted_at);
alter table bulkhead.accepted_calls enable row level security;
revoke all on bulkhead.accepted_calls from public, anon, authenticated, service_role;

-- Silence -----------------------------------------------------------------------------------------------------------

create function bulkhead.is_muted(fingerprint text, name text, category text, severity text, at_time timestamptz default now())
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    return exists (
        select
        from bulkhead.mutes as m
        where m.fingerprint = is_muted.fingerprint
            and m.until > at_time
            -- After the clock was set back, a mute from the future is none.
            and m.muted_at <= at_time + interval '5 minutes'
            and (
                m.until <= m.muted_at + interval '24 hours'
                -- What nobody may accept is not silent for longer than a day, whoever wrote the row.
                or bulkhead.is_acceptable(is_muted.name, is_muted.category, is_muted.severity)
            )
    );
end
$$;
comment on function bulkhead.is_muted(text, text, text, text, timestamptz) is 'Whether somebody muted an incident, at this time still';
revoke all on function bulkhead.is_muted(text, text, text, text, timestamptz) from public;

create function bulkhead.find_incident(fingerprint text)
returns bulkhead.incidents
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    found_incident bulkhead.incidents;
    candidates integer;
begin
    -- Whoever types it at night copies the beginning.
    if find_incident.fingerprint is null or find_incident.fingerprint !~ '^[0-9a-f]{6,32}$' then
        raise exception using
            errcode = 'BH504',
            message = pg_catalog.format(
                'Cannot find an incident by "%s": a fingerprint is 32 hexadecimal digits, the first six are enough; see bulkhead incidents',
                pg_catalog.left(find_incident.fingerprint, 40)
            );
    end if;
    select count(distinct i.fingerprint)
    into candidates
    from bulkhead.incidents as i
    where i.fingerprint like find_incident.fingerprint || '%';
    if candidates <> 1 then
        raise exception using
            errcode = 'BH504',
            message = pg_catalog.format(
                'Cannot find an incident by "%s": %s; see bulkhead incidents',
                find_incident.fingerprint,
                case when candidates = 0 then 'none has this fingerprint' else 'several begin like this' end
            );
    end if;
    select i.*
    into found_incident
    from bulkhead.incidents as i
    where i.fingerprint like find_incident.fingerprint || '%'
    order by i.id desc
    limit 1;
    return found_incident;
end
$$;
comment on function bulkhead.find_incident(text) is 'The newest incident of a fingerprint, or of what it begins with';
revoke all on function bulkhead.find_incident(text) from public;

create function bulkhead.mute(
    fingerprint text,
    for_time interval,
    reason text,
    at_time timestamptz default now()
)
returns timestamptz
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    incident bulkhead.incidents := bulkhead.find_incident(mute.fingerprint);
    is_hole boolean := not bulkhead.is_acceptable(incident.name, incident.category, incident.severity);
    longest interval := case when is_hole then interval '24 hours' else interval '7 days' end;
    ends timestamptz := at_time + for_time;
begin
    if pg_catalog.length(pg_catalog.btrim(coalesce(mute.reason, ''))) < 10 then
        raise exception using
            errcode = 'BH505',
            message = 'Cannot mute without a reason of at least ten characters; somebody will read it in an audit';
    end if;
    if for_time is null or ends <= at_time or ends > at_time + longest then
        raise exception using
            errcode = 'BH505',
            message = pg_catalog.format(
                'Cannot mute "%s" for that long; silence ends: after seven days at most, after 24 hours for what nobody may accept',
                incident.name
            );
    end if;
    -- One at a time with the recorder, or it would speak of what has just been muted.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('bulkhead:incidents', 0));
    if is_hole and bulkhead.is_muted(incident.fingerprint, incident.name, incident.category, incident.severity, at_time) then
        raise exception using
            errcode = 'BH505',
            message = pg_catalog.format(
                'Cannot mute "%s" anew: it is a hole, and speaks once before it can be muted again; repair it', incident.name
            );
    end if;
    insert into bulkhead.mutes as m (fingerprint, name, subject, reason, muted_at, until)
    values (incident.fingerprint, incident.name, incident.subject, pg_catalog.btrim(mute.reason), at_time, ends)
    on conflict on constraint mutes_pkey do update
    set
        reason = excluded.reason,
        muted_at = excluded.muted_at,
        muted_by = session_user,
        until = excluded.until;
    perform bulkhead.log_change('mute', pg_catalog.concat_ws(' ', incident.name, incident.subject), null,
        pg_catalog.jsonb_build_object('fingerprint', incident.fingerprint, 'reason', pg_catalog.btrim(mute.reason), 'until', ends));
    -- The others should know why it is quiet.
    perform bulkhead.enqueue_alert(
        'notice',
        'info',
        pg_catalog.jsonb_build_object(
            'title', 'Muted: ' || incident.title,
            'detail', pg_catalog.btrim(mute.reason),
            'facts', pg_catalog.jsonb_build_object(
                'Where', coalesce(incident.subject, 'database'), 'Muted by', session_user,
                'Silent until', pg_catalog.to_char(ends at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
            ),
            'actions', pg_catalog.jsonb_build_array(pg_catalog.format('Take it back: bulkhead unmute %s', incident.fingerprint))
        ),
        at_time => at_time
    );
    return ends;
end
$$;
comment on function bulkhead.mute(text, interval, text, timestamptz) is
    'Send no message about one incident until a time (7 days at most, 24 hours for a hole); on record in the ledger. Example: select bulkhead.mute(''4c1d…'', ''2 hours'', ''known, the import runs'')';
revoke all on function bulkhead.mute(text, interval, text, timestamptz) from public;

create function bulkhead.unmute(fingerprint text)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    incident bulkhead.incidents := bulkhead.find_incident(unmute.fingerprint);
begin
    delete from bulkhead.mutes as m
    where m.fingerprint = incident.fingerprint;
    if not found then
        return false;
    end if;
    perform bulkhead.log_change('unmute', pg_catalog.concat_ws(' ', incident.name, incident.subject), null,
        pg_catalog.jsonb_build_object('fingerprint', incident.fingerprint));
    return true;
end
$$;
comment on function bulkhead.unmute(text) is 'Take a mute back; false where there was none';
revoke all on function bulkhead.unmute(text) from public;

create function bulkhead.acknowledge(fingerprint text, note text default null, at_time timestamptz default now())
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    incident bulkhead.incidents := bulkhead.find_incident(acknowledge.fingerprint);
begin
    if incident.state <> 'open' then
        raise exception using
            errcode = 'BH504',
            message = pg_catalog.format('Cannot acknowledge "%s": incident %s is resolved; see bulkhead incidents', incident.name, incident.id);
    end if;
    update bulkhead.incidents as i
    set
        acknowledged_at = at_time,
        acknowledged_by = session_user,
        acknowledged_note = nullif(pg_catalog.btrim(acknowledge.note), '')
    where i.id = incident.id;
    perform bulkhead.log_change('acknowledge', pg_catalog.concat_ws(' ', incident.name, incident.subject), null,
        pg_catalog.jsonb_build_object('fingerprint', incident.fingerprint, 'incident_id', incident.id, 'note', acknowledge.note));
    return incident.id;
end
$$;
comment on function bulkhead.acknowledge(text, text, timestamptz) is
    'Somebody looks after an open incident: it is repeated once a day instead of every four hours, until it gets worse';
revoke all on function bulkhead.acknowledge(text, text, timestamptz) from public;

-- Incidents ---------------------------------------------------------------------------------------------------------

create function bulkhead.enqueue_alert(
    kind text,
    severity text,
    payload jsonb,
    incident_id bigint default null,
    sequence integer default 1,
    at_time timestamptz default now()
)
returns bigint
language sql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    insert into bulkhead.alert_outbox (kind, severity, payload, incident_id, sequence, created_at, due_at, waiting_since)
    values (kind, severity, payload, incident_id, sequence, at_time, at_time, at_time)
    returning id
$$;
comment on function bulkhead.enqueue_alert(text, text, jsonb, bigint, integer, timestamptz) is
    'Put one message into the outbox. A notice holds {title, detail, facts: {label: value}, actions: [], runbook}.';
revoke all on function bulkhead.enqueue_alert(text, text, jsonb, bigint, integer, timestamptz) from public;

-- The head leaves the database with it: who rewrites the chain later can't rewrite what people were sent.
create function bulkhead.weekly_digest(at_time timestamptz default now())
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_week text := to_char(at_time at time zone 'UTC', '"Week "IYYY"-W"IW');
    v_since timestamptz := at_time - interval '7 days';
    v_status jsonb;
begin
    -- Run twice, by a scheduler that lost count, it is one message.
    perform pg_advisory_xact_lock(hashtextextended('bulkhead.weekly_digest', 0));
    if exists (
        select from bulkhead.alert_outbox as o
        where o.kind = 'notice' and o.payload ->> 'title' = v_week and o.created_at > v_since
    ) then
        return null;
    end if;
    v_status := bulkhead.status();
    return bulkhead.enqueue_alert(
        'notice',
        case when v_status ->> 'verdict' = 'green' then 'info' else 'warning' end,
        jsonb_build_object(
            'title', v_week,
            'detail', format('The status is %s: %s checks pass, %s fail, %s are unknown.', v_status ->> 'verdict',
                v_status #>> '{counts,pass}', v_status #>> '{counts,fail}', v_status #>> '{counts,unknown}'),
            'facts', (
                select jsonb_build_object(
                    'Incidents', format('%s opened, %s over, %s open',
                        count(*) filter (where i.opened_at > v_since), count(*) filter (where i.resolved_at > v_since), count(*) filter (where i.state = 'open')))
                from bulkhead.incidents as i
            ) || (
                select jsonb_build_object('Backups', format('%s complete, %s failed', count(*) filter (where r.state = 'complete'), count(*) filter (where r.state = 'failed')))
                from bulkhead.backup_runs as r
                where r.finished_at > v_since
            ) || jsonb_build_object(
                'Newest drill', coalesce((
                    select format('%s %s', to_char(d.finished_at at time zone 'UTC', 'YYYY-MM-DD'), case when d.is_passed then 'passed' else 'failed' end)
                    from bulkhead.drills as d
                    order by d.finished_at desc
                    limit 1), 'none yet'),
                'Ledger head', bulkhead.audit_head()
            ),
            'actions', jsonb_build_array('Keep this message: bulkhead verify --anchor <head> compares the ledger with it'),
            'runbook', 'docs/runbooks/watchdog.md'),
        at_time => at_time);
end
$$;
comment on function bulkhead.weekly_digest(timestamptz) is
    'Sends the week: verdict, incidents, backups, the newest drill, the ledger''s head as an anchor outside. Null where that week was sent already.';
revoke all on function bulkhead.weekly_digest(timestamptz) from public;

create function bulkhead.incident_payload(incident bulkhead.incidents, kind text)
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select pg_catalog.jsonb_build_object(
        'kind', kind,
        'name', incident.name,
        'title', incident.title,
        'subject', incident.subject,
        'severity', incident.severity,
        'category', incident.category,
        'status', incident.status,
        'observed', incident.observed,
        'threshold', incident.threshold,
        'detail', pg_catalog.regexp_replace(incident.detail, '(^|\n)Tenants: [^\n]+', ''),
        -- A check names its tenants on a line of its own in the detail.
        'tenants', (pg_catalog.regexp_match(incident.detail, '(?:^|\n)Tenants: ([^\n]+)'))[1],
        'remediation', incident.remediation,
        'sample_ids', pg_catalog.to_jsonb(incident.sample_ids[1:5]),
        'reproduce_sql', incident.reproduce_sql,
        'runbook', coalesce(
            (select c.runbook from bulkhead.canaries as c where c.name = incident.name),
            'docs/checks/' || incident.name || '.md'
        ),
        'fingerprint', incident.fingerprint,
        'incident_id', incident.id,
        'sequence', incident.sequence,
        'breaches', incident.breaches,
        'relapses', incident.relapses,
        'opened_at', incident.opened_at,
        'last_seen_at', incident.last_seen_at,
        'resolved_at', incident.resolved_at,
        'acknowledged_by', incident.acknowledged_by,
        'database', pg_catalog.current_database()
    )
$$;
comment on function bulkhead.incident_payload(bulkhead.incidents, text) is 'What a message says of one incident';
revoke all on function bulkhead.incident_payload(bulkhead.incidents, text) from public;

-- One message for what happened to a thread's incidents in one run. A message of the thread that still waits is taken
-- back and its news told in this one: after six hours without Slack a thread has one thing to say, not seventy.
create function bulkhead.notify_thread(thread text, ids bigint[], kinds text[], at_time timestamptz)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    waiting bulkhead.alert_outbox;
    since timestamptz := at_time;
    tries integer := 0;
    problem text;
    recent integer;
    latest timestamptz;
    severity text;
    payload jsonb;
    members jsonb;
    lead_id bigint;
    lead_sequence integer;
    lead_kind text;
    others integer;
    message_id bigint;
begin
    for waiting in
        update bulkhead.alert_outbox as o
        set
            state = 'superseded',
            settled_at = at_time,
            lease_token = null,
            leased_until = null
        where o.thread = notify_thread.thread
            and o.state = 'pending'
            and (o.leased_until is null or o.leased_until <= at_time)
        returning o.*
    loop
        since := least(since, waiting.waiting_since);
        tries := greatest(tries, waiting.attempts);
        problem := coalesce(problem, waiting.last_error);
        select
            pg_catalog.array_agg(coalesce(was.id, is_now.id)),
            pg_catalog.array_agg(case
                when is_now.kind is null then was.kind
                when was.kind is null or is_now.kind = 'resolved' then is_now.kind
                -- Nobody has heard of it yet.
                when was.kind = 'opened' then 'opened'
                when was.kind = 'worsened' then 'worsened'
                else is_now.kind
            end)
        into ids, kinds
        from unnest(waiting.incident_ids, waiting.incident_kinds) as was (id, kind)
        full join unnest(ids, kinds) as is_now (id, kind) on is_now.id = was.id;
    end loop;

    -- What came back in the meantime is told as it is, not as it was.
    select
        pg_catalog.array_agg(newest.id order by newest.rank, newest.is_warning, newest.observed desc nulls last, newest.id),
        pg_catalog.array_agg(newest.kind order by newest.rank, newest.is_warning, newest.observed desc nulls last, newest.id)
    into ids, kinds
    from (
        select distinct on (i.fingerprint)
            i.id,
            i.observed,
            said.kind,
            i.severity = 'warning' as is_warning,
            pg_catalog.array_position(array['opened', 'worsened', 'repeated', 'resolved'], said.kind) as rank
        from unnest(ids, kinds) as changed (id, kind)
        join bulkhead.incidents as i on i.id = changed.id
        cross join lateral (select case i.state when 'open' then changed.kind else 'resolved' end as kind) as said
        order by
            i.fingerprint,
            i.id desc
    ) as newest;
    lead_id := ids[1];
    lead_kind := kinds[1];

    select case when bool_or('critical' in (i.severity, i.notified_severity)) then 'critical' else 'warning' end
    into severity
    from bulkhead.incidents as i
    where i.id = any (ids);
    update bulkhead.incidents as i
    set
        sequence = i.sequence + 1,
        notified_at = at_time,
        notified_severity = i.severity,
        notified_observed = i.observed
    where i.id = any (ids);

    select
        bulkhead.incident_payload(i, lead_kind),
        i.sequence
    into strict payload, lead_sequence
    from bulkhead.incidents as i
    where i.id = lead_id;
    select count(*)
    into others
    from bulkhead.incidents as i
    where i.thread = notify_thread.thread
        and i.state = 'open'
        and i.id <> all (ids);
    if pg_catalog.cardinality(ids) > 1 then
        select pg_catalog.jsonb_agg(
            pg_catalog.jsonb_build_object(
                'kind', listed.kind,
                'name', i.name,
                'title', i.title,
                'subject', i.subject,
                'severity', i.severity,
                'observed', i.observed,
                'threshold', i.threshold,
                'tenants', (pg_catalog.regexp_match(i.detail, '(?:^|\n)Tenants: ([^\n]+)'))[1],
                'opened_at', i.opened_at,
                'fingerprint', i.fingerprint,
                'incident_id', i.id,
                'sequence', i.sequence
            )
            order by listed.position
        )
        into members
        from unnest(ids, kinds) with ordinality as listed (id, kind, position)
        join bulkhead.incidents as i on i.id = listed.id
        where listed.position <= 20;
        payload := payload || pg_catalog.jsonb_build_object('members', members, 'total', pg_catalog.cardinality(ids));
    end if;
    if others > 0 then
        payload := payload || pg_catalog.jsonb_build_object('others', others);
    end if;

    -- A thread that has spoken three times within the hour gathers what is not urgent for a quarter of one.
    select
        count(*),
        max(o.created_at)
    into recent, latest
    from bulkhead.alert_outbox as o
    where o.thread = notify_thread.thread
        and o.state <> 'superseded'
        and o.created_at between at_time - interval '1 hour' and at_time;
    insert into bulkhead.alert_outbox (
        kind, severity, payload, incident_id, incident_ids, incident_kinds, thread, sequence, attempts, last_error,
        created_at, due_at, waiting_since
    )
    values (
        lead_kind, severity, payload, lead_id, ids, kinds, notify_thread.thread, lead_sequence, tries, problem, at_time,
        case
            when recent >= 3 and not (severity = 'critical' and lead_kind in ('opened', 'worsened'))
                then greatest(at_time, latest + interval '15 minutes')
            else at_time
        end,
        since
    )
    returning id into message_id;
    return message_id;
end
$$;
comment on function bulkhead.notify_thread(text, bigint[], text[], timestamptz) is
    'Put what happened to incidents of one thread into the outbox, as one message. Called by record_results() only.';
revoke all on function bulkhead.notify_thread(text, bigint[], text[], timestamptz) from public;

create function bulkhead.record_results(
    results bulkhead.check_result[],
    at_time timestamptz default now(),
    evaluated text[] default null
)
returns integer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    result bulkhead.check_result;
    incident bulkhead.incidents;
    fingerprints text[] := '{}';
    changed_ids bigint[] := '{}';
    changed_kinds text[] := '{}';
    changed_threads text[] := '{}';
    kind text;
    print text;
    told text;
    messages integer := 0;
begin
    -- One recorder at a time, or two runs would open one fingerprint twice.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('bulkhead:incidents', 0));
    evaluated := coalesce(evaluated, array(select distinct r.name from unnest(results) as r));
    -- The clock was set back: a repetition in the future would come late.
    update bulkhead.incidents as i
    set
        notified_at = least(i.notified_at, at_time),
        acknowledged_at = case when i.acknowledged_at is not null then least(i.acknowledged_at, at_time) end
    where i.state = 'open'
        and greatest(i.notified_at, i.acknowledged_at) > at_time + interval '5 minutes';

    for result in
        -- The first of each. Set by set: whoever asks a growing array, incident by incident, takes seconds for thousands.
        select
            first.name, first.subject, first.title, first.severity, first.category, first.status, first.observed,
            first.threshold, first.detail, first.remediation, first.sample_ids, first.reproduce_sql, first.fingerprint
        from (
            select distinct on (r.fingerprint, r.status = 'unknown') r.*
            from unnest(results) with ordinality as r (
                name, subject, title, severity, category, status, observed, threshold, detail, remediation, sample_ids,
                reproduce_sql, fingerprint, position
            )
            where r.status is distinct from 'pass'
                and r.severity is distinct from 'info'
            order by
                r.fingerprint,
                r.status = 'unknown',
                r.position
        ) as first
        order by first.position
    loop
        print := case result.status
            when 'unknown' then pg_catalog.md5(result.fingerprint || ':unknown')
            else result.fingerprint
        end;
        -- Somebody answers for it until a date: no message, and an incident that is open ends with one. When the date has
        -- passed the next run opens a new incident. What cannot be accepted is never silent.
        if result.status = 'fail' and exists (
            select
            from bulkhead.accepted_findings as a
            where a.fingerprint = result.fingerprint
                and a.until > at_time
        ) and bulkhead.is_acceptable(result.name, result.category, result.severity) then
            update bulkhead.incidents as i
            set
                state = 'resolved',
                resolved_at = at_time
            where i.fingerprint = print
                and i.state = 'open'
            returning i.* into incident;
            if found then
                perform bulkhead.enqueue_alert(
                    'notice',
                    'info',
                    (
                        select pg_catalog.jsonb_build_object(
                            'title', 'Accepted: ' || incident.title,
                            'detail', a.reason,
                            'facts', pg_catalog.jsonb_build_object(
                                'Where', coalesce(incident.subject, 'database'), 'Accepted by', a.accepted_by,
                                'Silent until', pg_catalog.to_char(a.until at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
                            ),
                            'actions', pg_catalog.jsonb_build_array(pg_catalog.format('Take it back: bulkhead accept %s --revoke', a.fingerprint)),
                            'runbook', 'docs/checks/' || incident.name || '.md'
                        )
                        from bulkhead.accepted_findings as a
                        where a.fingerprint = result.fingerprint
                    ),
                    at_time => at_time
                );
                messages := messages + 1;
            end if;
            continue;
        end if;
        fingerprints := fingerprints || print;

        update bulkhead.incidents as i
        set
            last_seen_at = at_time,
            breaches = i.breaches + 1,
            clean_runs = 0,
            title = result.title,
            severity = result.severity,
            observed = result.observed,
            threshold = result.threshold,
            detail = result.detail,
            remediation = result.remediation,
            sample_ids = coalesce(result.sample_ids, '{}'),
            reproduce_sql = result.reproduce_sql
        where i.fingerprint = print
            and i.state = 'open'
        returning i.* into incident;
        if not found then
            insert into bulkhead.incidents (
                fingerprint, thread, name, subject, title, severity, category, status, opened_at, last_seen_at, relapses,
                observed, threshold, detail, remediation, sample_ids, reproduce_sql,
                notified_at, notified_severity, notified_observed
            )
            values (
                print, case result.status when 'unknown' then 'unknown' else result.name end,
                result.name, result.subject, result.title, result.severity, result.category, result.status,
                at_time, at_time,
                coalesce(
                    (
                        select last.relapses + 1
                        from bulkhead.incidents as last
                        where last.fingerprint = print
                            and last.resolved_at between at_time - interval '6 hours' and at_time
                        order by last.id desc
                        limit 1
                    ),
                    0
                ),
                result.observed, result.threshold, result.detail, result.remediation,
                coalesce(result.sample_ids, '{}'), result.reproduce_sql,
                at_time, result.severity, result.observed
            )
            returning * into incident;
        end if;

        continue when bulkhead.is_muted(print, incident.name, incident.category, incident.severity, at_time);
        kind := case
            when incident.sequence = 0 then 'opened'
            when incident.severity = 'critical' and incident.notified_severity = 'warning' then 'worsened'
            -- Only a doubling is news, so a slow leak is a handful of messages and not one every five minutes.
            when incident.observed >= 2 * nullif(incident.notified_observed, 0) then 'worsened'
            when at_time - incident.notified_at >= case
                when incident.acknowledged_at is null then interval '4 hours'
                else interval '24 hours'
            end then 'repeated'
        end;
        continue when kind is null;
        if kind = 'worsened' and incident.acknowledged_at is not null then
            -- What somebody looks after is not what it has become.
            update bulkhead.incidents as i
            set
                acknowledged_at = null,
                acknowledged_by = null,
                acknowledged_note = null
            where i.id = incident.id;
        end if;
        changed_ids := changed_ids || incident.id;
        changed_kinds := changed_kinds || kind;
        changed_threads := changed_threads || incident.thread;
    end loop;

    for incident in
        update bulkhead.incidents as i
        set clean_runs = i.clean_runs + 1
        where i.state = 'open'
            and i.name = any (evaluated)
            and not exists (select from unnest(fingerprints) as f (fingerprint) where f.fingerprint = i.fingerprint)
            -- A run that could not look at everything proves nothing about what it did not find.
            and not exists (
                select
                from unnest(results) as r
                where r.name = i.name
                    and r.status = 'unknown'
            )
        returning i.*
    loop
        -- Two, and twice as many each time that it came back: who flaps is told of once.
        continue when incident.clean_runs < least(2 * pg_catalog.power(2, least(incident.relapses, 4)), 24);
        update bulkhead.incidents as i
        set
            state = 'resolved',
            resolved_at = at_time
        where i.id = incident.id;
        -- Who was told that it began is told that it ended, muted or not.
        continue when incident.sequence = 0;
        changed_ids := changed_ids || incident.id;
        changed_kinds := changed_kinds || 'resolved'::text;
        changed_threads := changed_threads || incident.thread;
    end loop;

    foreach told in array array(select distinct t from unnest(changed_threads) as t order by t) loop
        -- A repetition is of the whole thread, or each of its incidents would have an hour of its own.
        if exists (
            select
            from unnest(changed_kinds, changed_threads) as c (kind, thread)
            where c.kind = 'repeated'
                and c.thread = told
        ) then
            select
                changed_ids || coalesce(pg_catalog.array_agg(i.id order by i.id), '{}'),
                changed_kinds || coalesce(pg_catalog.array_agg('repeated'::text), '{}'),
                changed_threads || coalesce(pg_catalog.array_agg(told), '{}')
            into changed_ids, changed_kinds, changed_threads
            from bulkhead.incidents as i
            where i.thread = told
                and i.state = 'open'
                and i.clean_runs = 0
                and i.sequence > 0
                and i.acknowledged_at is null
                and i.id <> all (changed_ids)
                and not bulkhead.is_muted(i.fingerprint, i.name, i.category, i.severity, at_time);
        end if;
        perform bulkhead.notify_thread(
            told,
            array(select c.id from unnest(changed_ids, changed_threads) as c (id, thread) where c.thread = told order by c.id),
            array(select c.kind from unnest(changed_ids, changed_kinds, changed_threads) as c (id, kind, thread) where c.thread = told order by c.id),
            at_time
        );
        messages := messages + 1;
    end loop;
    return messages;
end
$$;
comment on function bulkhead.record_results(bulkhead.check_result[], timestamptz, text[]) is
    'Open, worsen, repeat (4 h) and resolve (two clean runs, more for what flaps) incidents; returns the number of messages '
    'enqueued, one a thread at most. evaluated names the checks that ran, also when they returned no row.';
revoke all on function bulkhead.record_results(bulkhead.check_result[], timestamptz, text[]) from public;

-- Outbox ------------------------------------------------------------------------------------------------------------

create function bulkhead.claim_alerts(
    max integer default 1,
    lease interval default interval '2 minutes',
    at_time timestamptz default now()
)
returns setof bulkhead.alert_outbox
language sql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    update bulkhead.alert_outbox as claimed
    set
        lease_token = pg_catalog.gen_random_uuid(),
        leased_until = at_time + lease,
        -- Counted before the send: a message that kills its worker runs out of attempts as well.
        attempts = claimed.attempts + 1
    -- An array, since the planner takes `in (… limit $1)` for a tenth of the table and reads all of it.
    where claimed.id = any (array(
        select due.id
        from bulkhead.alert_outbox as due
        where due.state = 'pending'
            and due.due_at <= at_time
            and (due.leased_until is null or due.leased_until <= at_time)
            -- "Resolved" never overtakes "opened".
            and not exists (
                select
                from bulkhead.alert_outbox as earlier
                where earlier.thread = due.thread
                    and earlier.id < due.id
                    and earlier.state = 'pending'
            )
        -- What is critical leaves first.
        order by
            due.urgency,
            due.due_at,
            due.id
        limit max
        for update skip locked
    ))
    returning claimed.*
$$;
comment on function bulkhead.claim_alerts(integer, interval, timestamptz) is
    'Lease due messages to one worker, what is critical first. An expired lease makes them due again: at least once, never lost.';
revoke all on function bulkhead.claim_alerts(integer, interval, timestamptz) from public;

create function bulkhead.backoff(failures integer)
returns interval
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select least(interval '30 seconds' * pg_catalog.power(2, least(greatest(failures, 1), 12) - 1), interval '15 minutes')
$$;
comment on function bulkhead.backoff(integer) is 'The pause after so many failures in a row: 30 seconds, doubling to 15 minutes';
revoke all on function bulkhead.backoff(integer) from public;

create function bulkhead.settle_alert(
    id bigint,
    token uuid,
    outcome text,
    error text default null,
    retry_after interval default null,
    at_time timestamptz default now(),
    delivered text[] default null
)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    if outcome is null or outcome not in ('sent', 'retry', 'dead') then
        raise exception using
            errcode = 'BH501',
            message = pg_catalog.format('Cannot settle alert %s: unknown outcome %L', id, outcome),
            hint = 'use sent, retry or dead';
    end if;
    update bulkhead.alert_outbox as o
    set
        state = case
            when outcome = 'sent' then 'sent'
            when outcome = 'dead' then 'dead'
            -- Three days of silence from the other side: a person has to look.
            when at_time - o.created_at > interval '3 days' and o.attempts >= 10 then 'dead'
            else 'pending'
        end,
        due_at = case outcome
            when 'retry' then at_time + coalesce(retry_after, bulkhead.backoff(o.attempts))
            else o.due_at
        end,
        delivered_to = coalesce(delivered, o.delivered_to),
        settled_at = case when outcome <> 'retry' then at_time end,
        last_error = pg_catalog.left(error, 500),
        lease_token = null,
        leased_until = null
    where o.id = settle_alert.id
        and o.lease_token = token
        and o.state = 'pending';
    return found;
end
$$;
comment on function bulkhead.settle_alert(bigint, uuid, text, text, interval, timestamptz, text[]) is
    'End a lease: sent, retry (30 s doubling to 15 min, or retry_after) or dead; delivered names the channels that have it. False: the lease was lost meanwhile.';
revoke all on function bulkhead.settle_alert(bigint, uuid, text, text, interval, timestamptz, text[]) from public;

-- Slack counts by webhook, not by message: what one message was told to wait for, all of them wait for.
create function bulkhead.note_channel(
    name text,
    is_sent boolean,
    error text default null,
    retry_after interval default null,
    at_time timestamptz default now()
)
returns timestamptz
language sql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    insert into bulkhead.alert_channels as c (name, failures, closed_until, last_error, last_sent_at)
    values (
        note_channel.name,
        case when is_sent then 0 else 1 end,
        case when not is_sent then at_time + coalesce(retry_after, bulkhead.backoff(1)) end,
        case when not is_sent then pg_catalog.left(error, 500) end,
        case when is_sent then at_time end
    )
    on conflict on constraint alert_channels_pkey do update
    set
        failures = case when is_sent then 0 else c.failures + 1 end,
        closed_until = case when not is_sent then at_time + coalesce(retry_after, bulkhead.backoff(c.failures + 1)) end,
        last_error = case when is_sent then c.last_error else excluded.last_error end,
        last_sent_at = coalesce(excluded.last_sent_at, c.last_sent_at)
    returning c.closed_until
$$;
comment on function bulkhead.note_channel(text, boolean, text, interval, timestamptz) is
    'Remember how a channel answered; returns until when it is left alone, null when it took the message';
revoke all on function bulkhead.note_channel(text, boolean, text, interval, timestamptz) from public;

create function bulkhead.closed_channels(at_time timestamptz default now())
returns table (name text, seconds double precision)
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select
        c.name,
        extract(epoch from c.closed_until - at_time)::double precision
    from bulkhead.alert_channels as c
    -- Nobody is left alone for longer than an hour: later ends come from a clock that was wrong.
    where c.closed_until > at_time
        and c.closed_until <= at_time + interval '1 hour'
$$;
comment on function bulkhead.closed_channels(timestamptz) is 'The channels that are left alone now, and for how many seconds';
revoke all on function bulkhead.closed_channels(timestamptz) from public;

create function bulkhead.requeue_alert(id bigint)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    update bulkhead.alert_outbox as o
    set
        state = 'pending',
        due_at = pg_catalog.now(),
        created_at = pg_catalog.now(),
        waiting_since = pg_catalog.now(),
        attempts = 0,
        settled_at = null
    where o.id = requeue_alert.id
        and o.state = 'dead';
    return found;
end
$$;
comment on function bulkhead.requeue_alert(bigint) is
    'Send a dead letter again, after its cause was removed.';
revoke all on function bulkhead.requeue_alert(bigint) from public;

-- Signed calls ------------------------------------------------------------------------------------------------------

-- RFC 2104 over the builtin sha256(): no pgcrypto, so the same on every installation.
create function bulkhead.hmac_sha256(key bytea, message bytea)
returns bytea
language sql
immutable
strict
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    with block as (
        select bytes || pg_catalog.decode(pg_catalog.repeat('00', 64 - pg_catalog.length(bytes)), 'hex') as bytes
        from (
            select case when pg_catalog.length(key) > 64 then pg_catalog.sha256(key) else key end as bytes
        ) as short
    ),
    pads as (
        select
            string_agg(
                pg_catalog.set_byte('\x00'::bytea, 0, pg_catalog.get_byte(block.bytes, i) # 54), ''::bytea order by i
            ) as inner_pad,
            string_agg(
                pg_catalog.set_byte('\x00'::bytea, 0, pg_catalog.get_byte(block.bytes, i) # 92), ''::bytea order by i
            ) as outer_pad
        from block
        cross join pg_catalog.generate_series(0, 63) as i
    )
    select pg_catalog.sha256(pads.outer_pad || pg_catalog.sha256(pads.inner_pad || message))
    from pads
$$;
comment on function bulkhead.hmac_sha256(bytea, bytea) is
    'HMAC-SHA256 in plain SQL (RFC 2104, tested with the vectors of RFC 4231).';
revoke all on function bulkhead.hmac_sha256(bytea, bytea) from public;

create function bulkhead.secret(name text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    found_secret text;
begin
    if pg_catalog.to_regclass('vault.decrypted_secrets') is null then
        return null;
    end if;
    execute 'select s.decrypted_secret from vault.decrypted_secrets as s where s.name = $1'
    into found_secret
    using name;
    return nullif(found_secret, '');
end
$$;
comment on function bulkhead.secret(text) is
    'A secret of Supabase Vault, null when there is none. Runs as its caller, who must be able to read Vault.';
revoke all on function bulkhead.secret(text) from public;

create function bulkhead.call_function(name text, body jsonb default '{}')
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    base_url text := bulkhead.secret('bulkhead_functions_url');
    secret text := bulkhead.secret('bulkhead_hmac_secret');
    seconds text := pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp()))::bigint::text;
    request_id bigint;
begin
    if pg_catalog.to_regnamespace('net') is null then
        raise exception using
            errcode = 'BH502',
            message = pg_catalog.format('Cannot call function %L: pg_net is not installed', name),
            hint = 'create extension pg_net (Supabase: Database > Extensions)';
    end if;
    -- A null secret would make a null header, and the call would leave unsigned.
    if base_url is null or secret is null then
        raise exception using
            errcode = 'BH503',
            message = pg_catalog.format(
                'Cannot call function %L: the Vault secret %s is not set',
                name,
                case when base_url is null then 'bulkhead_functions_url' else 'bulkhead_hmac_secret' end
            ),
            hint = 'select vault.create_secret(''…'', ''bulkhead_functions_url''), the same for bulkhead_hmac_secret';
    end if;
    if pg_catalog.length(secret) < 43 then
        raise exception using
            errcode = 'BH503',
            message = pg_catalog.format(
                'Cannot call function %L: the Vault secret bulkhead_hmac_secret is shorter than 32 bytes', name
            ),
            hint = 'openssl rand -hex 32, the same value in BULKHEAD_HMAC_SECRET of the functions';
    end if;
    -- pg_net sends body::text, so these are the bytes to sign. PUBLIC can read the queue: the header is good for
    -- five minutes, for this body, once.
    request_id := net.http_post(
        url => pg_catalog.rtrim(base_url, '/') || '/' || name,
        body => body,
        headers => pg_catalog.jsonb_build_object(
            'content-type', 'application/json',
            'x-bulkhead-signature', pg_catalog.format(
                't=%s,v1=%s',
                seconds,
                pg_catalog.encode(
                    bulkhead.hmac_sha256(
                        pg_catalog.convert_to(secret, 'UTF8'),
                        pg_catalog.convert_to(seconds || '.' || body::text, 'UTF8')
                    ),
                    'hex'
                )
            )
        ),
        timeout_milliseconds => 5000
    );
    return request_id;
end
$$;
comment on function bulkhead.call_function(text, jsonb) is
    'POST to an edge function through pg_net with a signature over time and body. A missing secret raises.';
revoke all on function bulkhead.call_function(text, jsonb) from public;

create function bulkhead.accept_call(signature text)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    insert into bulkhead.accepted_calls (signature)
    values (accept_call.signature)
    on conflict do nothing;
    return found;
end
$$;
comment on function bulkhead.accept_call(text) is
    'True the first time a signature is seen, false for a replay. Call it after the signature was verified.';
revoke all on function bulkhead.accept_call(text) from public;

create function bulkhead.dispatch_alerts(at_time timestamptz default now())
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    -- The sweeper: a lease that ended without an outcome (crash, lost response) is due again. A message that ended
    -- its worker time after time is not: it would do so for ever, and hold up those behind it.
    update bulkhead.alert_outbox as o
    set
        state = case when o.attempts >= 20 and o.last_error = 'the worker did not report back' then 'dead' else o.state end,
        settled_at = case when o.attempts >= 20 and o.last_error = 'the worker did not report back' then at_time end,
        last_error = 'the worker did not report back',
        lease_token = null,
        leased_until = null
    where o.state = 'pending'
        and o.leased_until <= at_time;
    -- A clock that was ahead and is right again left times that nobody would wait for.
    update bulkhead.alert_outbox as o
    set
        due_at = at_time,
        leased_until = case when o.leased_until is not null then least(o.leased_until, at_time + interval '2 minutes') end
    where o.state = 'pending'
        and (o.due_at > at_time + interval '65 minutes' or o.leased_until > at_time + interval '65 minutes');
    if not exists (
        select
        from bulkhead.alert_outbox as o
        where o.state = 'pending'
            and o.due_at <= at_time
            and o.leased_until is null
    ) then
        return null;
    end if;
    -- The action keeps a call from being replayed to another function, the nonce from being taken for a replay of the
    -- one that left in the same second.
    return bulkhead.call_function('alert', pg_catalog.jsonb_build_object('action', 'deliver', 'nonce', pg_catalog.gen_random_uuid()));
end
$$;
comment on function bulkhead.dispatch_alerts(timestamptz) is
    'Wake functions/alert when a message is due (returns the pg_net request id), else do nothing (null).';
revoke all on function bulkhead.dispatch_alerts(timestamptz) from public;

-- What somebody else's clock is told --------------------------------------------------------------------------------

create function bulkhead.watch(at_time timestamptz default now())
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    canaries_at timestamptz;
    seals_at timestamptz;
    scheduler_at timestamptz;
    waiting timestamptz;
    dead bigint;
    critical bigint;
    problems text[];
begin
    select max(r.finished_at)
    into canaries_at
    from bulkhead.canary_runs as r
    where r.cadence = 'five_minutes'
        and r.status <> 'running';
    select
        max(t.last_started_at) filter (where t.is_active),
        max(t.last_started_at) filter (where t.is_active and t.last_status = 'succeeded' and t.name = 'bulkhead:audit:seal')
    into scheduler_at, seals_at
    from bulkhead.timetable as t;
    select min(o.waiting_since) filter (where o.state = 'pending'), count(*) filter (where o.state = 'dead')
    into waiting, dead
    from bulkhead.alert_outbox as o
    where o.state in ('pending', 'dead');
    select count(*)
    into critical
    from bulkhead.incidents as i
    where i.state = 'open'
        and i.severity = 'critical'
        and i.acknowledged_at is null
        and not bulkhead.is_muted(i.fingerprint, i.name, i.category, i.severity, at_time);
    problems := array_remove(
        array[
            case
                when canaries_at is null then 'no canary ever ran'
                when canaries_at < at_time - interval '15 minutes' then 'the canaries are silent'
                when canaries_at > at_time + interval '15 minutes' then 'the canaries ran in the future: the clock was set back'
            end,
            case
                when scheduler_at is null then 'no job of the timetable ever ran'
                when scheduler_at < at_time - interval '10 minutes' then 'the scheduler is silent'
            end,
            case
                when seals_at is null or seals_at < at_time - interval '10 minutes' then 'the ledger is not being sealed'
            end,
            case when waiting < at_time - interval '30 minutes' then 'alerts do not leave' end,
            case when dead > 0 then pg_catalog.format('%s alert(s) were given up', dead) end,
            case when critical > 0 then pg_catalog.format('%s critical incident(s) are open', critical) end
        ],
        null
    );
    return pg_catalog.jsonb_build_object(
        'is_well', problems = '{}',
        'is_fresh', coalesce(
            canaries_at between at_time - interval '15 minutes' and at_time + interval '15 minutes'
            and scheduler_at >= at_time - interval '10 minutes'
            and seals_at >= at_time - interval '10 minutes',
            false
        ),
        'problems', problems,
        'canaries_at', canaries_at,
        'seals_at', seals_at,
        'scheduler_at', scheduler_at
    );
end
$$;
comment on function bulkhead.watch(timestamptz) is
    'Whether the watch itself is well: canaries, scheduler and seals within three periods, alerts leaving, nothing critical open that nobody looks after';
revoke all on function bulkhead.watch(timestamptz) from public;

create function bulkhead.ping(at_time timestamptz default now())
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    -- Silence is the signal: whoever waits for the ping at BULKHEAD_PING_URL raises the alarm.
    if not (bulkhead.watch(at_time) ->> 'is_well')::boolean
        or pg_catalog.to_regnamespace('net') is null
        or bulkhead.secret('bulkhead_functions_url') is null
        or bulkhead.secret('bulkhead_hmac_secret') is null then
        return null;
    end if;
    return bulkhead.call_function('alert', pg_catalog.jsonb_build_object('action', 'heartbeat', 'nonce', pg_catalog.gen_random_uuid()));
end
$$;
comment on function bulkhead.ping(timestamptz) is
    'Have functions/alert ping BULKHEAD_PING_URL while watch() is well (returns the pg_net request id), else stay silent (null)';
revoke all on function bulkhead.ping(timestamptz) from public;

-- Checks ------------------------------------------------------------------------------------------------------------

create function bulkhead.checks_alerting()
returns setof bulkhead.check_result
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    late bigint;
    late_ids text[];
    dead bigint;
    dead_ids text[];
    missing text[];
    problem text;
begin
    begin
        missing := array_remove(
            array[
                case when pg_catalog.to_regnamespace('net') is null then 'the extension pg_net' end,
                case
                    when bulkhead.secret('bulkhead_functions_url') is null
                        then 'the Vault secret bulkhead_functions_url'
                end,
                case
                    when bulkhead.secret('bulkhead_hmac_secret') is null
                        then 'the Vault secret bulkhead_hmac_secret'
                end
            ],
            null
        );
    exception when others then
        problem := sqlerrm;
    end;
    return next bulkhead.check_row(
        name => 'alerting_configured',
        subject => 'database',
        title => 'Alerts can leave the database',
        severity => 'critical',
        category => 'alerting',
        status => case
            when problem is not null then 'unknown'
            when missing <> '{}' then 'fail'
            else 'pass'
        end,
        observed => pg_catalog.cardinality(missing),
        threshold => 0,
        detail => coalesce(
            'Cannot look: ' || problem,
            case when missing <> '{}' then 'Missing: ' || array_to_string(missing, ', ') end,
            'pg_net and both Vault secrets are there'
        ),
        remediation => 'Install pg_net and create the Vault secrets, see docs/checks/alerting_configured.md',
        sample_ids => '{}',
        reproduce_sql => 'select * from bulkhead.checks_alerting()'
    );

    select
        count(*),
        (array_agg(o.id::text order by o.id))[1:5]
    into late, late_ids
    from bulkhead.alert_outbox as o
    where o.state = 'pending'
        and o.waiting_since < pg_catalog.now() - interval '15 minutes'
        -- What notify_thread() gathers waits on purpose, and not for long.
        and (
            o.attempts > 0
            or o.due_at < pg_catalog.now() - interval '2 minutes'
            or o.waiting_since < pg_catalog.now() - interval '30 minutes'
        );
    return next bulkhead.check_row(
        name => 'alerts_undelivered',
        subject => 'database',
        title => 'Every alert is delivered',
        severity => 'critical',
        category => 'alerting',
        status => case when late > 0 then 'fail' else 'pass' end,
        observed => late,
        threshold => 0,
        detail => pg_catalog.format('%s message(s) older than 15 minutes are not delivered', late)
            || coalesce(
                ', last error: ' || (
                    select o.last_error
                    from bulkhead.alert_outbox as o
                    where o.state = 'pending'
                        and o.last_error is not null
                    order by o.id desc
                    limit 1
                ),
                ''
            ),
        remediation => 'Look at last_error, at the logs of functions/alert and at net._http_response',
        sample_ids => coalesce(late_ids, '{}'),
        reproduce_sql => 'select id, kind, attempts, due_at, last_error from bulkhead.alert_outbox '
            || 'where state = ''pending'' order by id'
    );

    select
        count(*),
        (array_agg(o.id::text order by o.id))[1:5]
    into dead, dead_ids
    from bulkhead.alert_outbox as o
    where o.state = 'dead';
    return next bulkhead.check_row(
        name => 'dead_letters',
        subject => 'database',
        title => 'No alert was refused for good',
        severity => 'critical',
        category => 'alerting',
        status => case when dead > 0 then 'fail' else 'pass' end,
        observed => dead,
        threshold => 0,
        detail => pg_catalog.format('%s message(s) will not be tried again', dead),
        remediation => 'Repair the webhook (SLACK_WEBHOOK_URL of functions/alert), then '
            || 'select bulkhead.requeue_alert(id) for each',
        sample_ids => coalesce(dead_ids, '{}'),
        reproduce_sql => 'select id, kind, attempts, last_error from bulkhead.alert_outbox where state = ''dead'''
    );
end
$$;
comment on function bulkhead.checks_alerting() is
    'Whether alerts can leave, whether they wait too long, whether some were given up.';
revoke all on function bulkhead.checks_alerting() from public;

create function bulkhead.clean_up_records()
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    removed bigint := 0;
    part bigint;
begin
    -- Longer than the tolerance of a signature, or a replay would be new again.
    delete from bulkhead.accepted_calls as c
    where c.accepted_at < pg_catalog.now() - interval '1 day';
    get diagnostics removed = row_count;
    delete from bulkhead.alert_outbox as o
    where o.state in ('sent', 'superseded')
        and o.settled_at < pg_catalog.now() - interval '90 days';
    get diagnostics part = row_count;
    removed := removed + part;
    delete from bulkhead.canary_runs as r
    where r.started_at < pg_catalog.now() - interval '30 days'
        -- The last one stays, however old: silence has a date.
        and r.id < (
            select max(later.id)
            from bulkhead.canary_runs as later
            where later.canary = r.canary
        );
    get diagnostics part = row_count;
    removed := removed + part;
    delete from bulkhead.delete_hours as d
    where d.hour < pg_catalog.now() - interval '60 days';
    get diagnostics part = row_count;
    removed := removed + part;
    delete from bulkhead.large_deletes as l
    where l.happened_at < pg_catalog.now() - interval '60 days';
    get diagnostics part = row_count;
    return removed + part;
end
$$;
comment on function bulkhead.clean_up_records() is
    'Remove what no check looks at any more: old calls, sent messages, canary runs, delete counts; returns how many.';
revoke all on function bulkhead.clean_up_records() from public;
