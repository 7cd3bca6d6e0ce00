-- Incidents from open to resolved, the outbox and its leases, signatures, and calls that leave signed or not at all.
begin;
set local search_path = public, extensions;
select plan(75);

delete from bulkhead.alert_outbox;
delete from bulkhead.incidents;

-- One failing row of a made-up check, at a time of the test's own.
create function pg_temp.result(status text, observed numeric default 1, severity text default 'warning', subject text default 'public.messages')
returns bulkhead.check_result
language sql
as $$
    select bulkhead.check_row('made_up', subject, 'Made up', severity, 'canaries', status, observed, 0,
        E'a detail\nTenants: acme', 'a remedy', array['1', '2', '3', '4', '5', '6', '7'], 'select 1')
$$;
create function pg_temp.run(at_minutes integer, variadic results bulkhead.check_result[])
returns integer
language sql
as $$
    -- What was said before has been delivered.
    update bulkhead.alert_outbox set state = 'sent' where state = 'pending';
    select bulkhead.record_results(results, '2026-11-21 03:00+00'::timestamptz + at_minutes * interval '1 minute', '{made_up}')
$$;
create function pg_temp.kinds()
returns text
language sql
as $$
    select string_agg(o.kind || ' ' || o.sequence, ', ' order by o.id) from bulkhead.alert_outbox as o
$$;

-- ---------------------------------------------------------------- one incident, from open to resolved
select is(pg_temp.run(0, pg_temp.result('pass')), 0, 'a passing check opens nothing');
select is(pg_temp.run(5, pg_temp.result('fail', 10)), 1, 'a failing check opens an incident with one message');
select is(pg_temp.run(10, pg_temp.result('fail', 19)), 0, 'the next failing run is silent');
select is(pg_temp.run(15, pg_temp.result('fail', 20)), 1, 'twice as many are a message');
select is(pg_temp.run(20, pg_temp.result('fail', 20, 'critical')), 1, 'a higher severity is a message');
select is(pg_temp.run(25, pg_temp.result('fail', 21)), 0, 'a lower severity is none');
select is(pg_temp.run(259, pg_temp.result('fail', 21)), 0, 'three hours and 59 minutes after the last message there is silence');
select is(pg_temp.run(260, pg_temp.result('fail', 21)), 1, 'after four hours it is repeated');
select is(pg_temp.run(265, pg_temp.result('pass')), 0, 'one clean run resolves nothing');
select is(pg_temp.run(270, pg_temp.result('fail', 3)), 0, 'a relapse is the same incident');
select is(pg_temp.run(275, pg_temp.result('pass')), 0, 'and the count of clean runs begins anew');
select is(pg_temp.run(280, pg_temp.result('pass')), 1, 'the second clean run in a row resolves it');
select is(pg_temp.run(285, pg_temp.result('pass')), 0, 'and that once');
select is(pg_temp.kinds(), 'opened 1, worsened 2, worsened 3, repeated 4, resolved 5', 'the messages are numbered');
select is((select count(*)::int from bulkhead.incidents), 1, 'all of it was one incident');
select is((select breaches from bulkhead.incidents), 8, 'with every breached run counted');
select is(
    (select payload - array['fingerprint', 'incident_id', 'database'] from bulkhead.alert_outbox where kind = 'opened'),
    '{"kind": "opened", "name": "made_up", "title": "Made up", "detail": "a detail", "status": "fail", "runbook": "docs/checks/made_up.md", "subject": "public.messages", "tenants": "acme", "breaches": 1, "relapses": 0, "acknowledged_by": null, "category": "canaries", "observed": 10, "sequence": 1, "severity": "warning", "opened_at": "2026-11-21T03:05:00+00:00", "threshold": 0, "sample_ids": ["1", "2", "3", "4", "5"], "remediation": "a remedy", "resolved_at": null, "last_seen_at": "2026-11-21T03:05:00+00:00", "reproduce_sql": "select 1"}'::jsonb
        || jsonb_build_object('opened_at', (select to_jsonb(opened_at) from bulkhead.incidents), 'last_seen_at', (select to_jsonb(opened_at) from bulkhead.incidents)),
    'a message holds what a person needs, and five ids at most');
select is(pg_temp.run(290, pg_temp.result('fail')), 1, 'failing again later is a new incident');
select is((select count(*)::int from bulkhead.incidents), 2, 'with a row of its own');

-- ---------------------------------------------------------------- unknown is no pass
select is(pg_temp.run(295, pg_temp.result('unknown')), 1, 'a check that can''t look opens an incident of its own');
select is((select string_agg(status, ',' order by id) from bulkhead.incidents where state = 'open'), 'fail,unknown', 'beside the one that it can''t judge');
select is(pg_temp.run(300, pg_temp.result('unknown')), 0, 'unknown twice does not resolve a failure');
select is((select clean_runs from bulkhead.incidents where state = 'open' and status = 'fail'), 0, 'nor count as a clean run');
select is(pg_temp.run(305, pg_temp.result('unknown', null, 'warning', 'public.units'), pg_temp.result('pass')), 1, 'a run that could not look at one table is clean for none');
select is((select max(clean_runs) from bulkhead.incidents where state = 'open'), 0, 'so nothing comes nearer to its end');
select pg_temp.run(310, pg_temp.result('pass'));
select is(pg_temp.run(315, pg_temp.result('pass')), 1, 'two runs that could look resolve both that were new, in one message');
select is((select payload ->> 'total' from bulkhead.alert_outbox where state = 'pending'), '2', 'which says how many');
select is((select string_agg(status || relapses, ',') from bulkhead.incidents where state = 'open'), 'fail1', 'what had come back within six hours has to be clean for longer');
select pg_temp.run(316, pg_temp.result('pass'));
select is(pg_temp.run(317, pg_temp.result('pass')), 1, 'four runs the first time');
select is(pg_temp.run(320, pg_temp.result('fail', 1, 'info')), 0, 'information wakes nobody');
select is(bulkhead.record_results('{}', now(), '{}'), 0, 'no results are no message');
select pg_temp.run(325, pg_temp.result('fail')), bulkhead.record_results(array[bulkhead.check_row('another', null, 'x', 'warning', 'canaries', 'pass')]), bulkhead.record_results(array[bulkhead.check_row('another', null, 'x', 'warning', 'canaries', 'pass')]);
select is((select count(*)::int from bulkhead.incidents where state = 'open'), 1, 'another check''s passes resolve nothing');

-- ---------------------------------------------------------------- the outbox
delete from bulkhead.alert_outbox;
select bulkhead.enqueue_alert('notice', 'info', '{"title": "a"}', at_time => '2026-11-21 00:00+00'), bulkhead.enqueue_alert('notice', 'info', '{"title": "b"}', at_time => '2026-11-21 00:01+00');
create function pg_temp.claim(minutes numeric, max integer default 10)
returns table (id bigint, token uuid, attempts integer)
language sql
as $$
    select c.id, c.lease_token, c.attempts
    from bulkhead.claim_alerts(max, interval '2 minutes', '2026-11-21 00:00+00'::timestamptz + minutes * interval '1 minute') as c
$$;
create temporary table lease as select * from pg_temp.claim(0);
select is((select count(*)::int from lease), 1, 'only what is due is claimed');
select is((select count(*)::int from pg_temp.claim(0)), 0, 'a leased message is nobody else''s');
select is((select attempts from pg_temp.claim(2, 1)), 2, 'a lease that ran out makes it due again: the worker may have died before or after it sent');
select ok(not (select bulkhead.settle_alert(id, token, 'sent') from lease), 'the first worker''s word does not count any more');
delete from bulkhead.alert_outbox where payload ->> 'title' = 'a';
insert into lease select * from pg_temp.claim(4);
select ok((select bulkhead.settle_alert(id, token, 'retry', 'HTTP 500', at_time => '2026-11-21 00:04+00') from lease order by id desc limit 1), 'a failed try is settled');
select is((select due_at from bulkhead.alert_outbox), '2026-11-21 00:04:30+00'::timestamptz, 'and due again after 30 seconds');
update bulkhead.alert_outbox set attempts = 3, lease_token = tests.id('token'), leased_until = now();
select bulkhead.settle_alert(id, tests.id('token'), 'retry', at_time => '2026-11-21 01:00+00') from bulkhead.alert_outbox;
select is((select due_at from bulkhead.alert_outbox), '2026-11-21 01:02+00'::timestamptz, 'after two minutes the third time');
update bulkhead.alert_outbox set attempts = 19, lease_token = tests.id('token'), leased_until = now();
select bulkhead.settle_alert(id, tests.id('token'), 'retry', retry_after => '77 seconds', at_time => '2026-11-21 01:00+00') from bulkhead.alert_outbox;
select is((select due_at from bulkhead.alert_outbox), '2026-11-21 01:01:17+00'::timestamptz, 'Retry-After is obeyed');
update bulkhead.alert_outbox set lease_token = tests.id('token'), leased_until = now();
select bulkhead.settle_alert(id, tests.id('token'), 'dead', 'HTTP 404') from bulkhead.alert_outbox;
select is((select status || observed from bulkhead.checks_alerting() where name = 'dead_letters'), 'fail1', 'a dead letter is red');
select ok((select bulkhead.requeue_alert(id) from bulkhead.alert_outbox), 'it can be sent again');
select is((select status from bulkhead.checks_alerting() where name = 'dead_letters'), 'pass', 'and then is none');
update bulkhead.alert_outbox set waiting_since = now() - interval '16 minutes', due_at = now() - interval '3 minutes';
select is((select status from bulkhead.checks_alerting() where name = 'alerts_undelivered'), 'fail', 'a message that waits for a quarter of an hour is red');
select throws_ok($$select bulkhead.settle_alert(1, null, 'maybe')$$, 'BH501', null, 'an outcome that is none is refused');

-- ---------------------------------------------------------------- signatures
-- RFC 4231, cases 1 to 4, 6 and 7.
select is(
    (
        select array_agg(encode(bulkhead.hmac_sha256(decode(v.key, 'hex'), decode(v.data, 'hex')), 'hex') order by v.n)
        from (values
            (1, repeat('0b', 20), encode('Hi There', 'hex')),
            (2, encode('Jefe', 'hex'), encode('what do ya want for nothing?', 'hex')),
            (3, repeat('aa', 20), repeat('dd', 50)),
            (4, '0102030405060708090a0b0c0d0e0f10111213141516171819', repeat('cd', 50)),
            (6, repeat('aa', 131), encode('Test Using Larger Than Block-Size Key - Hash Key First', 'hex')),
            (7, repeat('aa', 131), encode('This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.', 'hex'))
        ) as v (n, key, data)
    ),
    array[
        'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
        '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
        '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe',
        '82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b',
        '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
        '9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2'
    ],
    'hmac_sha256 computes the vectors of RFC 4231');
select ok(bulkhead.accept_call(repeat('ab', 32)), 'a signature is accepted once');
select ok(not bulkhead.accept_call(repeat('ab', 32)), 'and never again');

-- ---------------------------------------------------------------- calls
delete from vault.secrets where name like 'bulkhead_%';
select throws_ok($$select bulkhead.call_function('alert')$$, 'BH503', null, 'without a URL no call leaves');
select is((select status from bulkhead.checks_alerting() where name = 'alerting_configured'), 'fail', 'and status says why');
select vault.create_secret('https://project.example/functions/v1/', 'bulkhead_functions_url');
select throws_ok($$select bulkhead.call_function('alert')$$, 'BH503', null, 'without a secret no call leaves unsigned');
select vault.create_secret('short', 'bulkhead_hmac_secret');
select throws_ok($$select bulkhead.call_function('alert')$$, 'BH503', null, 'a short secret is none');
select vault.update_secret(id, repeat('0f', 32)) from vault.secrets where name = 'bulkhead_hmac_secret';
select lives_ok($$select bulkhead.dispatch_alerts()$$, 'with both a due message wakes the function');
select is((select url from net.http_request_queue order by id desc limit 1), 'https://project.example/functions/v1/alert', 'at its address');
select is((select convert_from(body, 'UTF8')::jsonb ->> 'action' from net.http_request_queue order by id desc limit 1), 'deliver', 'with the action that only this function takes');
select bulkhead.dispatch_alerts();
select is(
    (select count(distinct headers ->> 'x-bulkhead-signature')::int from (select headers from net.http_request_queue order by id desc limit 2) as q),
    2, 'two calls of one second are not taken for a replay');
select matches((select headers ->> 'x-bulkhead-signature' from net.http_request_queue order by id desc limit 1), '^t=\d+,v1=[0-9a-f]{64}$', 'with a signature');
update bulkhead.alert_outbox set attempts = 25, last_error = 'HTTP 503', lease_token = tests.id('token'), leased_until = now() - interval '1 second';
select isnt(bulkhead.dispatch_alerts(), null, 'a lease that ended without an outcome wakes the function again');
select is((select state from bulkhead.alert_outbox), 'pending', 'many tries are no reason to give a message up');
update bulkhead.alert_outbox set lease_token = tests.id('token'), leased_until = now() - interval '1 second';
select bulkhead.dispatch_alerts();
select is((select state from bulkhead.alert_outbox), 'dead', 'a message that ends its workers again and again is');
delete from bulkhead.alert_outbox;
select is(bulkhead.dispatch_alerts(), null, 'nothing due, nobody woken');

-- ---------------------------------------------------------------- a finding that somebody answers for
delete from bulkhead.alert_outbox;
delete from bulkhead.incidents;
select pg_temp.run(0, pg_temp.result('fail', 10));
insert into bulkhead.accepted_findings (fingerprint, name, subject, reason, accepted_at, until)
select (pg_temp.result('fail')).fingerprint, 'made_up', 'public.messages', 'known and harmless', '2026-11-21 03:00+00', '2026-11-21 04:00+00';
select is(pg_temp.run(5, pg_temp.result('fail', 100)), 1, 'an accepted finding ends its incident with one message');
select is(pg_temp.kinds(), 'opened 1, notice 1', 'which is a notice');
select is((select string_agg(state, ', ') from bulkhead.incidents), 'resolved', 'nothing is open');
select is(pg_temp.run(10, pg_temp.result('fail', 1000)), 0, 'and it is silent from then on');
select is(pg_temp.run(15, pg_temp.result('fail', 1, 'warning', 'public.units')), 1, 'another subject is another finding');
select is(pg_temp.run(20, pg_temp.result('unknown')), 1, 'that nobody could look is not what was accepted');
select is(pg_temp.run(65, pg_temp.result('fail', 10), pg_temp.result('fail', 1, 'warning', 'public.units')), 1, 'when the date has passed it opens a new incident');
update bulkhead.accepted_findings set until = '2026-11-22 00:00+00';
select is(
    bulkhead.record_results(
        array[bulkhead.check_row('ledger_changed', 'bulkhead.audit_events', 'Made up', 'critical', 'trail', 'fail')], '2026-11-21 05:00+00', '{}'),
    1, 'the ledger''s protection speaks');
insert into bulkhead.accepted_findings (fingerprint, name, subject, reason, accepted_at, until)
select (bulkhead.check_row('ledger_grant', 'bulkhead.audit_events', 'Made up', 'critical', 'trail', 'fail')).fingerprint, 'ledger_grant', 'x', 'slipped in by hand', '2026-11-21 03:00+00', '2026-11-22 00:00+00';
select is(
    bulkhead.record_results(
        array[bulkhead.check_row('ledger_grant', 'bulkhead.audit_events', 'Made up', 'critical', 'trail', 'fail')], '2026-11-21 05:05+00', '{}'),
    1, 'and speaks even where somebody accepted it by hand');

-- ---------------------------------------------------------------- the week
delete from bulkhead.alert_outbox;
select isnt(bulkhead.weekly_digest('2026-11-23 07:11+00'), null, 'the week is sent');
select is(bulkhead.weekly_digest('2026-11-23 07:12+00'), null, 'once, by however many schedulers');
select isnt(bulkhead.weekly_digest('2026-11-30 07:11+00'), null, 'and the next one');
select results_eq(
    'select payload ->> ''title'', payload #>> ''{facts,Ledger head}'' from bulkhead.alert_outbox order by id',
    'values (''Week 2026-W48'', bulkhead.audit_head()), (''Week 2026-W49'', bulkhead.audit_head())',
    'with the ledger''s head, to be compared with one day');
select is((select severity from bulkhead.alert_outbox order by id limit 1), 'warning', 'a database that is not green does not sound as if it were');

select * from finish();
rollback;
