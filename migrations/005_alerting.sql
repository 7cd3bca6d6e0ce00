-- Alerting: incidents out of check results, an outbox at least once, signed calls to the edge functions.
-- Public objects: tables bulkhead.incidents, alert_outbox, accepted_calls; functions bulkhead.record_results(),
--   enqueue_alert(), claim_alerts(), settle_alert(), requeue_alert(), dispatch_alerts(), call_function(),
--   accept_call(), hmac_sha256(), secret(), checks_alerting(), clean_up_records().
-- Never: sends anything itself, keeps a secret, closes an incident on a run that could not look, is silent about what
--   nobody may accept.
-- No security definer functions.

create table bulkhead.incidents (
    id bigint generated always as identity primary key,
    -- Of the result, or of "this check can't be evaluated": an unknown result is an incident of its own.
    fingerprint text not null,
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
    observed numeric,
    threshold numeric,
    detail text,
    remediation text,
    sample_ids text[] not null default '{}',
    reproduce_sql text,
    notified_at timestamptz not null,
    notified_severity text not null,
    notified_observed numeric,
    sequence integer not null default 0,
    constraint incidents_severity_check check (severity in ('critical', 'warning')),
    constraint incidents_status_check check (status in ('fail', 'unknown')),
    -- A resolved incident says when, an open one can't.
    constraint incidents_state_check check (
        state = 'open' and resolved_at is null or state = 'resolved' and resolved_at is not null
    )
);
comment on table bulkhead.incidents is
    'One row from the first failing run of a check to its second clean one. One open incident a fingerprint.';
create unique index incidents_open_key on bulkhead.incidents (fingerprint) where state = 'open';
create index incidents_opened_at_idx on bulkhead.incidents (opened_at);
alter table bulkhead.incidents enable row level security;
revoke all on bulkhead.incidents from public, anon, authenticated, service_role;

create table bulkhead.alert_outbox (
    id bigint generated always as identity primary key,
    kind text not null,
    severity text not null,
    payload jsonb not null,
    incident_id bigint references bulkhead.incidents (id) on delete restrict,
    -- The how-manieth message of its incident: two messages with one number are one delivered twice.
    sequence integer not null default 1,
    state text not null default 'pending',
    created_at timestamptz not null default now(),
    due_at timestamptz not null default now(),
    attempts integer not null default 0,
    lease_token uuid,
    leased_until timestamptz,
    settled_at timestamptz,
    last_error text,
    constraint alert_outbox_kind_check check (kind in ('opened', 'worsened', 'repeated', 'resolved', 'notice')),
    constraint alert_outbox_severity_check check (severity in ('critical', 'warning', 'info')),
    constraint alert_outbox_state_check check (state in ('pending', 'sent', 'dead')),
    constraint alert_outbox_payload_check check (jsonb_typeof(payload) = 'object'),
    constraint alert_outbox_lease_check check ((lease_token is null) = (leased_until is null)),
    unique (incident_id, sequence)
);
comment on table bulkhead.alert_outbox is
    'Messages on their way to people. Delivered at least once, in order within an incident.';
create index alert_outbox_due_idx on bulkhead.alert_outbox (due_at, id) where state = 'pending';
create index alert_outbox_unsettled_idx on bulkhead.alert_outbox (state, created_at)
    where state <> 'sent';
alter table bulkhead.alert_outbox enable row level security;
revoke all on bulkhead.alert_outbox from public, anon, authenticated, service_role;

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
    insert into bulkhead.alert_outbox (kind, severity, payload, incident_id, sequence, created_at, due_at)
    values (kind, severity, payload, incident_id, sequence, at_time, at_time)
    returning id
$$;
comment on function bulkhead.enqueue_alert(text, text, jsonb, bigint, integer, timestamptz) is
    'Put one message into the outbox. A notice holds {title, detail, facts: {label: value}, actions: [], runbook}.';
revoke all on function bulkhead.enqueue_alert(text, text, jsonb, bigint, integer, timestamptz) from public;

-- Writes the message of an incident and remembers what people were told, for worsened and repeated.
create function bulkhead.notify_incident(id bigint, kind text, at_time timestamptz)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    incident bulkhead.incidents;
    tenants text;
begin
    update bulkhead.incidents as i
    set
        sequence = i.sequence + 1,
        notified_at = at_time,
        notified_severity = i.severity,
        notified_observed = i.observed
    where i.id = notify_incident.id
    returning i.* into strict incident;
    -- A check names its tenants on a line of its own in the detail.
    tenants := (pg_catalog.regexp_match(incident.detail, '(?:^|\n)Tenants: ([^\n]+)'))[1];
    return bulkhead.enqueue_alert(
        kind,
        incident.severity,
        pg_catalog.jsonb_build_object(
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
            'tenants', tenants,
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
            'opened_at', incident.opened_at,
            'last_seen_at', incident.last_seen_at,
            'resolved_at', incident.resolved_at,
            'database', pg_catalog.current_database()
        ),
        incident.id,
        incident.sequence,
        at_time
    );
end
$$;
comment on function bulkhead.notify_incident(bigint, text, timestamptz) is
    'Put the present state of one incident into the outbox. Called by record_results() only.';
revoke all on function bulkhead.notify_incident(bigint, text, timestamptz) from public;

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
    print text;
    messages integer := 0;
begin
    -- One recorder at a time, or two runs would open one fingerprint twice.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('bulkhead:incidents', 0));
    evaluated := coalesce(evaluated, array(select distinct r.name from unnest(results) as r));

    foreach result in array results loop
        continue when result.status = 'pass' or result.severity = 'info';
        print := case result.status
            when 'unknown' then pg_catalog.md5(result.fingerprint || ':unknown')
            else result.fingerprint
        end;
        continue when print = any (fingerprints);
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
                fingerprint, name, subject, title, severity, category, status, opened_at, last_seen_at,
                observed, threshold, detail, remediation, sample_ids, reproduce_sql,
                notified_at, notified_severity, notified_observed
            )
            values (
                print, result.name, result.subject, result.title, result.severity, result.category, result.status,
                at_time, at_time, result.observed, result.threshold, result.detail, result.remediation,
                coalesce(result.sample_ids, '{}'), result.reproduce_sql,
                at_time, result.severity, result.observed
            )
            returning * into incident;
            perform bulkhead.notify_incident(incident.id, 'opened', at_time);
            messages := messages + 1;
        elsif incident.severity = 'critical' and incident.notified_severity = 'warning'
            or incident.observed >= 2 * nullif(incident.notified_observed, 0) then
            -- Only a doubling is news, so a slow leak is a handful of messages and not one every five minutes.
            perform bulkhead.notify_incident(incident.id, 'worsened', at_time);
            messages := messages + 1;
        elsif at_time - incident.notified_at >= interval '4 hours' then
            perform bulkhead.notify_incident(incident.id, 'repeated', at_time);
            messages := messages + 1;
        end if;
    end loop;

    for incident in
        update bulkhead.incidents as i
        set clean_runs = i.clean_runs + 1
        where i.state = 'open'
            and i.name = any (evaluated)
            and i.fingerprint <> all (fingerprints)
            -- A run that could not look at everything proves nothing about what it did not find.
            and not exists (
                select
                from unnest(results) as r
                where r.name = i.name
                    and r.status = 'unknown'
            )
        returning i.*
    loop
        continue when incident.clean_runs < 2;
        update bulkhead.incidents as i
        set
            state = 'resolved',
            resolved_at = at_time
        where i.id = incident.id;
        perform bulkhead.notify_incident(incident.id, 'resolved', at_time);
        messages := messages + 1;
    end loop;
    return messages;
end
$$;
comment on function bulkhead.record_results(bulkhead.check_result[], timestamptz, text[]) is
    'Open, worsen, repeat (4 h) and resolve (two clean runs) incidents; returns the number of messages enqueued. '
    'evaluated names the checks that ran, also when they returned no row.';
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
    where claimed.id in (
        select due.id
        from bulkhead.alert_outbox as due
        where due.state = 'pending'
            and due.due_at <= at_time
            and (due.leased_until is null or due.leased_until <= at_time)
            -- "Resolved" never overtakes "opened".
            and not exists (
                select
                from bulkhead.alert_outbox as earlier
                where earlier.incident_id = due.incident_id
                    and earlier.sequence < due.sequence
                    and earlier.state = 'pending'
            )
        order by
            due.due_at,
            due.id
        limit max
        for update skip locked
    )
    returning claimed.*
$$;
comment on function bulkhead.claim_alerts(integer, interval, timestamptz) is
    'Lease due messages to one worker. An expired lease makes them due again: at least once, never lost.';
revoke all on function bulkhead.claim_alerts(integer, interval, timestamptz) from public;

create function bulkhead.settle_alert(
    id bigint,
    token uuid,
    outcome text,
    error text default null,
    retry_after interval default null,
    at_time timestamptz default now()
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
            message = pg_catalog.format('Cannot settle alert %s: outcome %L is none of sent, retry, dead', id, outcome);
    end if;
    update bulkhead.alert_outbox as o
    set
        state = case
            when outcome <> 'retry' then outcome
            -- Three days of silence from the other side: a person has to look.
            when at_time - o.created_at > interval '3 days' and o.attempts >= 10 then 'dead'
            else 'pending'
        end,
        due_at = case outcome
            when 'retry' then at_time + coalesce(
                retry_after,
                least(interval '30 seconds' * pg_catalog.power(2, least(o.attempts, 12) - 1), interval '15 minutes')
            )
            else o.due_at
        end,
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
comment on function bulkhead.settle_alert(bigint, uuid, text, text, interval, timestamptz) is
    'End a lease: sent, retry (30 s doubling to 15 min, or retry_after) or dead. False: the lease was lost meanwhile.';
revoke all on function bulkhead.settle_alert(bigint, uuid, text, text, interval, timestamptz) from public;

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
        and o.created_at < pg_catalog.now() - interval '15 minutes';
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
    where o.state = 'sent'
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
