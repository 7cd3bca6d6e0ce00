-- Backups: what is exported and whose it is, hashes that do not depend on the session, runs under a lease, checks.
begin;
set local search_path = public, extensions;
select plan(29);
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
select is((select status from bulkhead.checks_backups() where name = 'backup_age'), 'fail', 'no backup at all is red, not unknown');
select is((select status from bulkhead.checks_backups() where name = 'drill_age'), 'fail', 'no drill at all is red');
create temporary table claimed as select * from bulkhead.claim_backup('20261121T023000Z-00000001', 'edge');
select throws_ok($$select bulkhead.claim_backup('20261121T023000Z-00000002', 'edge')$$, 'BH602', null, 'a second backup is refused while the lease holds');
update bulkhead.backup_runs set leased_until = now() - interval '1 second';
select is((select backup_id from bulkhead.claim_backup('20261121T023000Z-00000002', 'edge')), '20261121T023000Z-00000001', 'the next call goes on with a run whose lease has ended');
select throws_ok(
    $$select bulkhead.record_backup_object('20261121T023000Z-00000001', (select token from claimed), '{"tenant": "x", "part": 1}')$$,
    'BH603', null, 'who lost the lease records nothing');
select throws_ok(
    $$select bulkhead.finish_backup('20261121T023000Z-00000001', (select lease_token from bulkhead.backup_runs), 'complete')$$,
    '23514', null, 'a run without a manifest is not complete');
select lives_ok(
    $$select bulkhead.finish_backup('20261121T023000Z-00000001', (select lease_token from bulkhead.backup_runs), 'complete',
        '{"manifest_key": "manifests/x.json", "manifest_sha256": "00", "left_out": ["big"]}')$$,
    'finish_backup() takes a manifest');
select is((select status from bulkhead.checks_backups() where name = 'backup_age'), 'pass', 'a fresh backup is green');
select is((select status from bulkhead.checks_backups() where name = 'backup_left_out'), 'fail', 'a tenant that was left out is red');
select throws_ok(
    $$select bulkhead.record_drill(jsonb_build_object('backup_id', 'x', 'started_at', now(), 'finished_at', now(), 'is_passed', true,
        'restored_rows', 0, 'tests', 5, 'rpo_seconds', 0, 'rto_seconds', 0, 'report', '{}'::jsonb))$$,
    '23514', null, 'a drill on no rows can''t have passed');
select is(has_table_privilege('service_role', 'bulkhead.backup_runs', 'select, insert, update, delete'), false, 'service_role has nothing to do with the record');

-- ---------------------------------------------------------------- a run on the edge that stopped without a word
select is(bulkhead.resume_backup(), null, 'resume_backup() calls nobody while no run waits');
insert into bulkhead.backup_runs (id, source, lease_token, leased_until) values ('20260101T000000Z-0000000e', 'edge', gen_random_uuid(), now() - interval '1 second');
select throws_like('select bulkhead.resume_backup()', 'Cannot call function%', 'and asks for the function once a lease has run out (here without the address of one)');

select * from finish();
rollback;
