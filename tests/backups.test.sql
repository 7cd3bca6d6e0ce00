-- Backups: what is exported and whose it is, hashes that do not depend on the session, runs under a lease, checks.
begin;
set local search_path = public, extensions;
select plan(76);
select tests.world();
select bulkhead.configure('world.tenants', exposed_schemas => '{world}');

-- ---------------------------------------------------------------- what to export
select throws_ok($$select bulkhead.tables_to_export()$$, 'BH601', null, 'tables_to_export() refuses tables that nobody has classified');
select throws_like($$select bulkhead.tables_to_export()$$, '%world.members%world.units%', 'the refusal names each of them');
select bulkhead.protect('world.tenants'), bulkhead.protect('world.members'), bulkhead.protect('world.developments');
select bulkhead.protect('world.units');
create table world.countries (code text primary key);
select throws_like($$select bulkhead.tables_to_export()$$, '%world.countries%', 'a table created later is named as well');
select bulkhead.exempt('world.countries', 'the same list for everybody');
select lives_ok($$select bulkhead.tables_to_export()$$, 'an exemption is the remedy');
create table world.moments (id int, at date) partition by range (at);
select bulkhead.exempt('world.moments', 'look-alike: partitions go with their parent');
create table world.moments_2026 partition of world.moments for values from ('2026-01-01') to ('2027-01-01');
select lives_ok($$select bulkhead.tables_to_export()$$, 'a partition of an exempt table needs no word of its own');
select ok(
    (select child.ordinal > parent.ordinal from bulkhead.tables_to_export() as child, bulkhead.tables_to_export() as parent
        where child.relation = 'world.units'::regclass and parent.relation = 'world.developments'::regclass),
    'parents come before children');
select is((select scope from bulkhead.tables_to_export() where relation = 'world.countries'::regclass), 'global', 'an exempt table belongs to nobody');
select is((select scope from bulkhead.tables_to_export() where relation = 'bulkhead.audit_events'::regclass), 'both', 'the ledger goes with its tenants');
select set_eq('select * from bulkhead.tenants_to_export()', array[tests.id('acme')::text, tests.id('birch')::text], 'tenants_to_export() knows both tenants');

-- ---------------------------------------------------------------- hashes
create temporary table hashes as select * from bulkhead.content_hash('world.units', tests.id('acme')::text);
select is((select rows from hashes), 2::bigint, 'content_hash() counts the tenant''s rows only');
set local datestyle = 'German, DMY';
set local extra_float_digits = 0;
select is((select hash from bulkhead.content_hash('world.units', tests.id('acme')::text)), (select hash from hashes), 'content_hash() does not depend on the session');
insert into world.units (id, tenant_id, development_id, label) values (98, tests.id('birch'), tests.id('birch lane'), 'B9');
select is((select hash from bulkhead.content_hash('world.units', tests.id('acme')::text)), (select hash from hashes), 'another tenant''s row changes nothing');
update world.units set price = 1.0 where id = 1;
select isnt((select hash from bulkhead.content_hash('world.units', tests.id('acme')::text)), (select hash from hashes), 'a changed row changes the hash');
select is((select rows from bulkhead.content_hash('world.units')), 0::bigint, 'without a tenant a protected table has no rows');

create temporary table fingerprints as select bulkhead.schema_fingerprint() as before;
alter table world.units add column colour text;
select isnt(bulkhead.schema_fingerprint(), (select before from fingerprints), 'a new column changes the fingerprint');
alter table world.units drop column colour;
select is(bulkhead.schema_fingerprint(), (select before from fingerprints), 'dropping it restores the fingerprint: no trace of numbers or oids');

-- ---------------------------------------------------------------- runs
delete from bulkhead.backup_runs;
delete from bulkhead.drills;
create temporary table claimed as select * from bulkhead.claim_backup('20261121T023000Z-00000001', 'edge');
select throws_ok($$select bulkhead.claim_backup('20261121T023000Z-00000002', 'edge')$$, 'BH602', null, 'a second backup is refused while the lease holds');
update bulkhead.backup_runs set leased_until = now() - interval '1 second';
select is((select backup_id from bulkhead.claim_backup('20261121T023000Z-00000002', 'edge')), '20261121T023000Z-00000001', 'the next call goes on with a run whose lease has ended');
select throws_ok(
    $$select bulkhead.record_backup_object('20261121T023000Z-00000001', (select token from claimed), '{"tenant": "x", "part": 1}')$$,
    'BH603', null, 'who lost the lease records nothing');
select bulkhead.record_backup_object('20261121T023000Z-00000001', (select lease_token from bulkhead.backup_runs), '{"tenant": "here", "part": 1}');
select throws_ok(
    $$select bulkhead.finish_backup('20261121T023000Z-00000001', (select lease_token from bulkhead.backup_runs), 'complete')$$,
    '23514', null, 'a run without a manifest is not complete');
select lives_ok(
    $$select bulkhead.finish_backup('20261121T023000Z-00000001', (select lease_token from bulkhead.backup_runs), 'complete',
        '{"manifest_key": "manifests/x.json", "manifest_sha256": "00", "left_out": ["big"], "referenced": ["before"]}')$$,
    'finish_backup() takes a manifest');
select set_eq('select tenant_id from bulkhead.tenant_backups', array['here', 'before'], 'and remembers who is in the backup, by an object or by reference');
select throws_ok(
    $$select bulkhead.record_drill(jsonb_build_object('backup_id', 'x', 'started_at', now(), 'finished_at', now(), 'is_passed', true,
        'restored_rows', 0, 'tests', 5, 'rpo_seconds', 0, 'rto_seconds', 0, 'report', '{}'::jsonb))$$,
    '23514', null, 'a drill on no rows can''t have passed');
select is(has_table_privilege('service_role', 'bulkhead.backup_runs', 'select, insert, update, delete'), false, 'service_role has nothing to do with the record');

-- ---------------------------------------------------------------- checks: what never happened, what is well, what is not
create function pg_temp.of(check_name text)
returns text
language sql
as $$ select status from bulkhead.checks_backups() where name = check_name $$;
create function pg_temp.after(change text, check_name text)
returns text
language plpgsql
as $$
declare
    v_found text;
begin
    begin
        execute change;
        v_found := pg_temp.of(check_name);
        raise exception using errcode = 'TAKEN';
    exception
        when sqlstate 'TAKEN' then
            return v_found;
    end;
end
$$;
delete from bulkhead.backup_runs;
delete from bulkhead.tenant_backups;
select set_eq(
    'select name || '' '' || status from bulkhead.checks_backups()',
    array[
        'backup_age fail', 'backup_failed unknown', 'backup_left_out unknown', 'tenant_without_backup unknown', 'backup_verified unknown',
        'retention_overdue unknown', 'drill_age fail', 'drill_rto unknown', 'kek_age unknown'
    ],
    'before the first backup two checks are red and the others unknown: none is green');
select is(pg_temp.after('delete from bulkhead.settings', 'backup_age'), 'unknown', 'backup_age is unknown without settings');

-- One night: a backup of both tenants, read back, thinned out, drilled.
create function pg_temp.night(backup text, started timestamptz)
returns void
language sql
as $$
    insert into bulkhead.backup_runs (id, source, state, started_at, finished_at, manifest_key, manifest_sha256)
    values (backup, 'runner', 'complete', started, started + interval '1 minute', 'x', 'x');
    insert into bulkhead.tenant_backups (tenant_id, backup_id, backed_up_at)
    select t.id, backup, started
    from bulkhead.tenants_to_export() as t (id)
    on conflict (tenant_id) do update set backup_id = excluded.backup_id, backed_up_at = excluded.backed_up_at;
$$;
select pg_temp.night('20260101T000000Z-00000001', now() - interval '2 hours');
select is(pg_temp.of('backup_age'), 'pass', 'backup_age passes on a backup of tonight');
select is(pg_temp.of('backup_failed'), 'pass', 'backup_failed passes on it');
select is(pg_temp.of('backup_left_out'), 'pass', 'backup_left_out passes on it');
select is(pg_temp.of('tenant_without_backup'), 'pass', 'tenant_without_backup passes when it holds every tenant');
select is(pg_temp.of('backup_verified'), 'unknown', 'backup_verified is unknown on the first day: nobody has read it yet');
select is(pg_temp.of('retention_overdue'), 'unknown', 'retention_overdue is unknown in the first days');

select is(pg_temp.after($$select bulkhead.configure_backups('none')$$, 'backup_age'), 'fail', 'backup_age fails when nobody is to make the next backup');
select is(pg_temp.after($$select bulkhead.configure_backups('runner')$$, 'backup_age'), 'pass', 'backup_age passes when the runner is');
select is(pg_temp.after($$update bulkhead.backup_runs set started_at = now() - interval '27 hours'$$, 'backup_age'), 'fail', 'backup_age fails after 27 hours');
select is(pg_temp.after($$update bulkhead.backup_runs set started_at = now() + interval '1 hour'$$, 'backup_age'), 'unknown', 'backup_age does not believe in a backup of the future');
select is(pg_temp.after($$update bulkhead.backup_runs set left_out = '{big}'$$, 'backup_left_out'), 'fail', 'backup_left_out fails on a tenant that was left out');
select is(pg_temp.after($$insert into bulkhead.backup_runs (id, source, state, finished_at, error) values ('20260101T000000Z-00000002', 'runner', 'failed', now(), 'x')$$, 'backup_failed'), 'fail', 'backup_failed fails on a failure after a good night');
select is(pg_temp.after($$insert into bulkhead.backup_runs (id, source, started_at) values ('20260101T000000Z-00000002', 'runner', now() - interval '21 hours'); delete from bulkhead.backup_runs where state = 'complete'$$, 'backup_failed'), 'fail', 'backup_failed fails on a run of 21 hours');

select is(pg_temp.after($$insert into world.tenants (name) values ('cedar')$$, 'tenant_without_backup'),
    'pass', 'tenant_without_backup waits for a tenant that is newer than the backup');
select is(pg_temp.after(format($$update bulkhead.backup_runs set started_at = now() + interval '1 hour'; update bulkhead.tenant_backups set backed_up_at = now() + interval '1 hour'; delete from bulkhead.tenant_backups where tenant_id = %L$$, tests.id('birch')), 'tenant_without_backup'),
    'fail', 'tenant_without_backup fails on one that the backup should have held');
select is(pg_temp.after(format($$update bulkhead.backup_runs set started_at = now() + interval '1 hour'; update bulkhead.tenant_backups set backed_up_at = now() + interval '1 hour'; update bulkhead.tenant_backups set backed_up_at = now() - interval '24 hours' where tenant_id = %L$$, tests.id('birch')), 'tenant_without_backup'),
    'pass', 'tenant_without_backup passes on one that another backup of the same day holds');
select is(pg_temp.after(format($$update bulkhead.backup_runs set started_at = now() + interval '1 hour'; update bulkhead.tenant_backups set backed_up_at = now() + interval '1 hour'; update bulkhead.tenant_backups set backed_up_at = now() - interval '26 hours' where tenant_id = %L$$, tests.id('birch')), 'tenant_without_backup'),
    'fail', 'and fails when that was longer ago');
select is(pg_temp.after('update bulkhead.settings set tenants_table = null, tenant_key = null, tenant_type = null', 'tenant_without_backup'), 'unknown', 'tenant_without_backup is unknown without a tenants table');

select is(pg_temp.after($$update bulkhead.backup_runs set started_at = now() - interval '27 hours'$$, 'backup_verified'), 'fail', 'backup_verified fails when nobody has read a backup after a day');
select bulkhead.record_verification(jsonb_build_object('backup_id', '20260101T000000Z-00000001', 'backup_at', now() - interval '2 hours', 'objects', 3));
select is(pg_temp.of('backup_verified'), 'pass', 'backup_verified passes once it was read');
select is(pg_temp.after($$update bulkhead.verifications set backup_at = now() - interval '9 days'$$, 'backup_verified'), 'fail', 'backup_verified fails when what was read is a backup of nine days ago');
select is(pg_temp.after($$select bulkhead.record_verification(jsonb_build_object('backup_id', 'x', 'backup_at', now(), 'objects', 0, 'error', 'cut'))$$, 'backup_verified'), 'fail', 'backup_verified fails when the last one read was not whole');
select throws_ok($$select bulkhead.record_verification(jsonb_build_object('backup_id', 'x', 'backup_at', now(), 'objects', 0))$$, '23514', null, 'a verification that read nothing can''t have passed');

select is(pg_temp.after($$update bulkhead.backup_runs set started_at = now() - interval '4 days'$$, 'retention_overdue'), 'fail', 'retention_overdue fails when nobody thins the backups out');
select bulkhead.record_prune('{"kept": 3, "removed": 1, "overdue": 0}');
select is(pg_temp.of('retention_overdue'), 'pass', 'retention_overdue passes once it was applied');
select is(pg_temp.after($$update bulkhead.prunes set ran_at = now() - interval '4 days'$$, 'retention_overdue'), 'fail', 'retention_overdue fails four days later');
select is(pg_temp.after($$select bulkhead.record_prune('{"kept": 3, "removed": 0, "overdue": 2, "stopped": "2 of 3 would go"}')$$, 'retention_overdue'), 'fail', 'retention_overdue fails when it stopped');

select is(pg_temp.of('drill_rto'), 'unknown', 'drill_rto is unknown before the first drill');
create function pg_temp.drilled(is_passed boolean, ago interval, rto numeric)
returns void
language sql
as $$
    select bulkhead.record_drill(jsonb_build_object('backup_id', '20260101T000000Z-00000001', 'started_at', now() - ago - interval '1 minute', 'finished_at', now() - ago,
        'is_passed', is_passed, 'restored_rows', 7, 'tests', 5, 'rpo_seconds', 60, 'rto_seconds', rto, 'report', '{"problems": ["x"]}'::jsonb))
$$;
select is(pg_temp.after($$select pg_temp.drilled(false, '1 minute', 30)$$, 'drill_age'), 'fail', 'drill_age fails when the only drill failed');
select is(pg_temp.after($$select pg_temp.drilled(false, '1 minute', 30)$$, 'drill_rto'), 'unknown', 'and drill_rto is still unknown');
select pg_temp.drilled(true, '1 day', 30);
select is(pg_temp.of('drill_age'), 'pass', 'drill_age passes after a drill that passed');
select is(pg_temp.of('drill_rto'), 'pass', 'drill_rto passes within the time promised');
select is(pg_temp.after($$update bulkhead.drills set started_at = started_at - interval '36 days', finished_at = finished_at - interval '36 days'$$, 'drill_age'), 'fail', 'drill_age fails after 36 days');
select is(pg_temp.after($$select pg_temp.drilled(false, '1 minute', 30)$$, 'drill_age'), 'fail', 'drill_age fails when a later drill failed');
select is(pg_temp.after($$select pg_temp.drilled(true, '-1 hour', 30)$$, 'drill_age'), 'unknown', 'drill_age does not believe in a drill of the future');
select is(pg_temp.after($$select bulkhead.configure_backups(rto_seconds => 29)$$, 'drill_rto'), 'fail', 'drill_rto fails when less was promised');
select is(pg_temp.of('kek_age'), 'unknown', 'kek_age is unknown while no backup recorded since when the key wraps');
create function pg_temp.wrapped(since timestamptz)
returns void
language sql
as $$
    update bulkhead.backup_runs set kek_since = wrapped.since
$$;
select pg_temp.wrapped(now() - interval '399 days');
select is(pg_temp.of('kek_age'), 'pass', 'kek_age passes on a key of 399 days');
select is(pg_temp.after($$select pg_temp.wrapped(now() - interval '401 days')$$, 'kek_age'), 'fail', 'kek_age fails after 401 days');
select is(pg_temp.after($$select pg_temp.wrapped(now() + interval '1 hour')$$, 'kek_age'), 'unknown', 'kek_age does not believe in a key of the future');
select is(pg_temp.after($$select bulkhead.configure_backups(kek_days => 90)$$, 'kek_age'), 'fail', 'kek_age fails when the settings want it younger');
select is(pg_temp.after($$delete from bulkhead.settings$$, 'kek_age'), 'unknown', 'kek_age is unknown without settings');
select is(pg_temp.after($$select pg_temp.wrapped(now() - interval '401 days'); select pg_temp.night('20260101T000000Z-00000003', now()); update bulkhead.backup_runs set kek_since = now() where id like '%3'$$, 'kek_age'),
    'pass', 'kek_age passes again once a backup came after the rotation');
select is(
    (select count(*) from bulkhead.checks_backups() where status <> 'pass'), 0::bigint,
    'after a night of everything each check is green');
select throws_ok($$select bulkhead.configure_backups('cron')$$, 'BH002', null, 'configure_backups() knows three makers');
select throws_ok($$select bulkhead.configure_backups(rto_seconds => 0)$$, 'BH002', null, 'and no restore in no time');
select throws_ok($$select bulkhead.configure_backups(kek_days => 0)$$, 'BH002', null, 'and no key of no days');

-- ---------------------------------------------------------------- a run on the edge that stopped without a word
select is(bulkhead.resume_backup(), null, 'resume_backup() calls nobody while no run waits');
insert into bulkhead.backup_runs (id, source, lease_token, leased_until) values ('20260101T000000Z-0000000e', 'edge', gen_random_uuid(), now() - interval '1 second');
select throws_like('select bulkhead.resume_backup()', 'Cannot call function%', 'and asks for the function once a lease has run out (here without the address of one)');

select bulkhead.configure_backups('runner');
select is(bulkhead.dispatch_backup(), null, 'dispatch_backup() calls nobody where the runner makes the backups');

select * from finish();
rollback;
