-- Incidents that belong together, come back, are muted and are acknowledged; what waits while nobody listens.
begin;
set local search_path = public, extensions;
select plan(67);

delete from bulkhead.alert_outbox;
delete from bulkhead.incidents;

create function pg_temp.result(subject text, status text default 'fail', observed numeric default 1, severity text default 'warning', name text default 'made_up')
returns bulkhead.check_result
language sql
as $$
    select bulkhead.check_row(name, subject, 'Made up', severity, 'canaries', status, observed, 0,
        E'a detail\nTenants: acme', 'a remedy', array['1'], 'select 1')
$$;
create function pg_temp.at(minutes numeric)
returns timestamptz
language sql
as $$ select '2026-11-21 03:00+00'::timestamptz + minutes * interval '1 minute' $$;
-- One run of the check `made_up`, at a time of the test's own; nobody delivers.
create function pg_temp.run(minutes numeric, variadic results bulkhead.check_result[] default '{}')
returns integer
language sql
as $$ select bulkhead.record_results(results, pg_temp.at(minutes), '{made_up}') $$;
create function pg_temp.deliver()
returns boolean
language sql
as $$ update bulkhead.alert_outbox set state = 'sent', settled_at = created_at where state = 'pending' returning true $$;
-- What waits: kind of the message and of each incident in it.
create function pg_temp.waiting()
returns text
language sql
as $$
    select string_agg(o.kind || ': ' || coalesce((
        select string_agg(coalesce(i.subject, '') || ' ' || c.kind, ', ' order by c.position)
        from unnest(o.incident_ids, o.incident_kinds) with ordinality as c (id, kind, position)
        join bulkhead.incidents as i on i.id = c.id
    ), ''), '; ' order by o.id)
    from bulkhead.alert_outbox as o
    where o.state = 'pending' and o.kind <> 'notice'
$$;
create function pg_temp.print(subject text)
returns text
language sql
as $$ select (pg_temp.result(subject)).fingerprint $$;
create function pg_temp.anew()
returns void
language sql
as $$ delete from bulkhead.alert_outbox; delete from bulkhead.incidents; delete from bulkhead.mutes; $$;

-- ---------------------------------------------------------------- twenty tables, one message
select is(
    (select bulkhead.record_results(array_agg(pg_temp.result('t' || to_char(n, 'FM00'), 'fail', n)), pg_temp.at(0)) from generate_series(1, 25) as n),
    1, 'twenty-five tables with one cause are one message');
select is((select count(*)::int from bulkhead.incidents), 25, 'and an incident each');
select is((select payload ->> 'subject' from bulkhead.alert_outbox), 't25', 'the gravest comes first');
select is((select jsonb_array_length(payload -> 'members') || ' of ' || (payload ->> 'total') from bulkhead.alert_outbox), '20 of 25', 'the list has an end, the number has none');
select pg_temp.deliver();
select is(pg_temp.run(5, pg_temp.result('t01', 'fail', 2), pg_temp.result('new')), 1, 'what opens and what gets worse in one run is one message');
select is(pg_temp.waiting(), 'opened: new opened, t01 worsened', 'which says what is new of each');
select is((select (payload ->> 'others')::int from bulkhead.alert_outbox where state = 'pending'), 24, 'and how many were open before');
select pg_temp.deliver();
select is(
    bulkhead.record_results(array[pg_temp.result('t01', 'unknown', null, 'warning', 'one_check'), pg_temp.result('t02', 'unknown', null, 'warning', 'another_check')], pg_temp.at(6)),
    1, 'checks that can''t look are one message, whatever their names');
select is((select string_agg(distinct thread, ', ') from bulkhead.incidents), 'made_up, unknown', 'each failing check is a thread of its own');

select pg_temp.anew();
select pg_temp.run(0, pg_temp.result('a')), pg_temp.deliver();
select pg_temp.run(120, pg_temp.result('a'), pg_temp.result('b')), pg_temp.deliver();
select is(pg_temp.run(240, pg_temp.result('a'), pg_temp.result('b')), 1, 'four hours later both are repeated');
select is(pg_temp.waiting(), 'repeated: a repeated, b repeated', 'together, so that they do not take turns from then on');
select pg_temp.deliver();
select is(pg_temp.run(365, pg_temp.result('a'), pg_temp.result('b')), 0, 'so the second one has no hour of its own');

-- ---------------------------------------------------------------- while nobody listens
select pg_temp.anew();
select pg_temp.run(0, pg_temp.result('a', 'fail', 10));
select pg_temp.run(5, pg_temp.result('a', 'fail', 20));
select is(pg_temp.waiting(), 'opened: a opened', 'what gets worse before it left is opened, as it is now');
select is((select (payload ->> 'observed')::int || ' ' || sequence from bulkhead.alert_outbox where state = 'pending'), '20 2', 'with the newest number');
select pg_temp.run(10, pg_temp.result('a', 'fail', 20), pg_temp.result('b'));
select is(pg_temp.waiting(), 'opened: a opened, b opened', 'what else opens joins it');
select pg_temp.run(15, pg_temp.result('b')), pg_temp.run(20, pg_temp.result('b'));
select is(pg_temp.waiting(), 'opened: b opened, a resolved', 'what ends is told with it');
select is((select count(*)::int from bulkhead.alert_outbox where state = 'pending'), 1, 'one message waits, however long nobody listens');
select is((select count(*)::int from bulkhead.alert_outbox where state = 'superseded'), 3, 'the others are kept for the record');
select is((select waiting_since from bulkhead.alert_outbox where state = 'pending'), pg_temp.at(0), 'it has been waiting since the first of them');
select pg_temp.run(25), pg_temp.run(30);
select is(pg_temp.waiting(), 'resolved: a resolved, b resolved', 'and says that all of it is over');
update bulkhead.alert_outbox set lease_token = gen_random_uuid(), leased_until = pg_temp.at(40) where state = 'pending';
select is(pg_temp.run(35, pg_temp.result('c')), 1, 'a message that somebody is sending');
select is(pg_temp.waiting(), 'resolved: a resolved, b resolved; opened: c opened', 'is not taken back');
select is((select string_agg(kind, ',') from bulkhead.claim_alerts(5, at_time => pg_temp.at(36))), null, 'nor overtaken');
select is((select string_agg(kind, ',') from bulkhead.claim_alerts(5, at_time => pg_temp.at(41))), 'resolved', 'when its worker died it goes first');
select is(
    (select bulkhead.settle_alert(o.id, o.lease_token, 'sent', at_time => pg_temp.at(41)) from bulkhead.alert_outbox as o where o.state = 'pending' and o.kind = 'resolved'),
    true, 'and then');
select is((select string_agg(kind, ',') from bulkhead.claim_alerts(5, at_time => pg_temp.at(41))), 'opened', 'the next one is due');

-- ---------------------------------------------------------------- what comes and goes
select pg_temp.anew();
create temporary table flapping as
select
    minute,
    -- Ten minutes bad, ten minutes good, for a day.
    case when minute / 10 % 2 = 0 then pg_temp.run(minute, pg_temp.result('a')) else pg_temp.run(minute) end as messages,
    pg_temp.deliver() as is_delivered
from generate_series(0, 1435, 5) as minute
order by minute;
select is((select sum(messages)::int from flapping), 8, 'ten minutes on, ten minutes off, for a day: eight messages and not 144');
select is((select string_agg(kind, ' ' order by id) from bulkhead.alert_outbox), 'opened resolved opened repeated repeated repeated repeated repeated', 'it counts as open until it is clean for longer');
select is((select relapses from bulkhead.incidents where state = 'open'), 1, 'and says how often it came back');
select pg_temp.run(1440 + n * 5) from generate_series(1, 4) as n;
select is((select count(*)::int from bulkhead.incidents where state = 'open'), 0, 'in the end it ends');
select is(pg_temp.run(1440 + 400, pg_temp.result('a')), 1, 'more than six hours later');
select is((select relapses from bulkhead.incidents where state = 'open'), 0, 'it is a new story');

select pg_temp.anew();
select pg_temp.run(n, pg_temp.result('s' || n)), pg_temp.deliver() from generate_series(1, 3) as n;
select pg_temp.run(4, pg_temp.result('s4'));
select is((select due_at from bulkhead.alert_outbox where state = 'pending'), pg_temp.at(18), 'the fourth message of a thread within the hour waits a quarter of one');
select pg_temp.run(9, pg_temp.result('s5'));
select is(pg_temp.waiting() || ' ' || (select due_at = pg_temp.at(18) from bulkhead.alert_outbox where state = 'pending'), 'opened: s4 opened, s5 opened, s2 resolved, s3 resolved true', 'and gathers what follows, without waiting longer');
select pg_temp.run(10, pg_temp.result('s6', 'fail', 1, 'critical'));
select is((select due_at from bulkhead.alert_outbox where state = 'pending'), pg_temp.at(10), 'what is critical does not wait');

-- ---------------------------------------------------------------- muted
select pg_temp.anew();
select throws_ok($$select bulkhead.mute('abc', '1 hour', 'a reason of ten')$$, 'BH504', null, 'a mute needs a fingerprint');
select throws_ok($$select bulkhead.mute(repeat('a', 32), '1 hour', 'a reason of ten')$$, 'BH504', null, 'of an incident that there is');
select pg_temp.run(0, pg_temp.result('a'), pg_temp.result('b')), pg_temp.deliver();
select throws_ok(format('select bulkhead.mute(%L, %L, %L)', pg_temp.print('a'), '1 hour', 'because'), 'BH505', null, 'and a reason');
select throws_ok(format('select bulkhead.mute(%L, null, %L)', pg_temp.print('a'), 'a reason of ten'), 'BH505', null, 'and an end');
select throws_ok(format('select bulkhead.mute(%L, %L, %L)', pg_temp.print('a'), '0', 'a reason of ten'), 'BH505', null, 'which is to come');
select throws_ok(format('select bulkhead.mute(%L, %L, %L)', pg_temp.print('a'), '8 days', 'a reason of ten'), 'BH505', null, 'within seven days');
select throws_ok(format('select bulkhead.mute(%L, %L, %L)', pg_temp.print('a'), 'infinity', 'a reason of ten'), null, null, 'never for ever');
select is(bulkhead.mute(left(pg_temp.print('a'), 8), '2 hours', 'the import is known', pg_temp.at(1)), pg_temp.at(121), 'the beginning of a fingerprint is enough');
select is((select count(*)::int from bulkhead.audit_events where operation = 'bulkhead.mute' and metadata ->> 'reason' = 'the import is known'), 1, 'it is on record');
select is((select payload ->> 'title' from bulkhead.alert_outbox where kind = 'notice'), 'Muted: Made up', 'and the others are told');
select pg_temp.deliver();
select is(pg_temp.run(5, pg_temp.result('a', 'fail', 99), pg_temp.result('b', 'fail', 99)), 1, 'what is muted may get worse');
select is(pg_temp.waiting(), 'worsened: b worsened', 'in silence');
select pg_temp.deliver();
select is((select state || ' ' || breaches from bulkhead.incidents where subject = 'a'), 'open 2', 'it stays an open incident');
select is(pg_temp.run(121, pg_temp.result('a', 'fail', 99), pg_temp.result('b', 'fail', 99)), 1, 'when the time is over it speaks');
select is(pg_temp.waiting(), 'worsened: a worsened', 'of what it has become');
select pg_temp.deliver();
select bulkhead.mute(pg_temp.print('c'), '2 hours', 'the import is known', pg_temp.at(122)) from (select pg_temp.run(122, pg_temp.result('c'))) as opened;
select pg_temp.deliver();
select pg_temp.run(127, pg_temp.result('a', 'fail', 99), pg_temp.result('b', 'fail', 99)), pg_temp.run(132, pg_temp.result('a', 'fail', 99), pg_temp.result('b', 'fail', 99));
select is(pg_temp.waiting(), 'resolved: c resolved', 'that it ended is told to whom was told that it began');
select pg_temp.deliver();
select is(pg_temp.run(137, pg_temp.result('c'), pg_temp.result('a', 'fail', 99), pg_temp.result('b', 'fail', 99)), 0, 'a new incident of a muted fingerprint is silent');
select pg_temp.run(142 + 5 * n, pg_temp.result('a', 'fail', 99), pg_temp.result('b', 'fail', 99)) from generate_series(0, 3) as n;
select is(pg_temp.waiting(), null, 'from its beginning to its end');
select is(pg_temp.run(200, pg_temp.result('c'), pg_temp.result('a', 'fail', 99), pg_temp.result('b', 'fail', 99)), 0, 'while it is muted');
select ok(bulkhead.unmute(pg_temp.print('c')), 'a mute can be taken back');
select ok(not bulkhead.unmute(pg_temp.print('c')), 'once');
select pg_temp.run(205, pg_temp.result('c'), pg_temp.result('a', 'fail', 99), pg_temp.result('b', 'fail', 99));
select is(pg_temp.waiting(), 'opened: c opened', 'and what began in silence is told');

-- The ledger's own protection: an hour of silence, never two in a row.
select pg_temp.anew();
create function pg_temp.hole()
returns bulkhead.check_result
language sql
as $$ select bulkhead.check_row('ledger_changed', 'bulkhead.audit_events', 'The ledger', 'critical', 'trail', 'fail') $$;
select bulkhead.record_results(array[pg_temp.hole()], pg_temp.at(0)), pg_temp.deliver();
select throws_ok(format('select bulkhead.mute(%L, %L, %L)', (pg_temp.hole()).fingerprint, '25 hours', 'a reason of ten'), 'BH505', null, 'nobody mutes the ledger''s protection for more than a day');
select lives_ok(format('select bulkhead.mute(%L, %L, %L, pg_temp.at(1))', (pg_temp.hole()).fingerprint, '24 hours', 'a reason of ten'), 'for a day');
select throws_ok(format('select bulkhead.mute(%L, %L, %L, pg_temp.at(2))', (pg_temp.hole()).fingerprint, '24 hours', 'a reason of ten'), 'BH505', null, 'and not anew before it has spoken');
update bulkhead.mutes set until = muted_at + interval '7 days';
select is(bulkhead.record_results(array[pg_temp.hole()], pg_temp.at(300)), 1, 'a longer one that was written by hand is none');
select throws_ok($$update bulkhead.mutes set until = 'infinity'$$, '23514', null, 'and one without an end can''t be written');

-- ---------------------------------------------------------------- acknowledged
select pg_temp.anew();
select pg_temp.run(0, pg_temp.result('a', 'fail', 10)), pg_temp.deliver();
select bulkhead.acknowledge(pg_temp.print('a'), 'looking at it', pg_temp.at(1));
select is(pg_temp.run(300, pg_temp.result('a', 'fail', 10)), 0, 'what somebody looks after is not repeated after four hours');
select is(pg_temp.run(1441, pg_temp.result('a', 'fail', 10)), 1, 'but after a day');
select pg_temp.deliver();
select is(pg_temp.run(1446, pg_temp.result('a', 'fail', 20)), 1, 'when it gets worse it is told');
select is((select acknowledged_by from bulkhead.incidents), null, 'and is nobody''s again');
select pg_temp.run(1451), pg_temp.run(1456);
select throws_ok(format('select bulkhead.acknowledge(%L)', pg_temp.print('a')), 'BH504', null, 'what is over needs nobody');

select * from finish();
rollback;
