-- The boundary: what protect() leaves behind, and what each kind of caller then sees and may write.
begin;
set local search_path = public, extensions;
select plan(44);

-- ---------------------------------------------------------------- protect
select tests.world();
select throws_ok($$select bulkhead.protect('world.units', 'no_such_column')$$, 'BH002', null, 'protect() refuses a table without the tenant column');
create table world.keyless (tenant_id uuid not null);
select throws_ok($$select bulkhead.protect('world.keyless')$$, 'BH002', null, 'protect() refuses a table without a primary key');
create view world.glance as select 1 as id;
select throws_ok($$select bulkhead.protect('world.glance')$$, 'BH002', null, 'protect() refuses a view');
create table world.texts (id int primary key, tenant_id text);
select throws_ok($$select bulkhead.protect('world.texts')$$, 'BH002', null, 'protect() refuses a tenant column of another type');

insert into world.units (id, label) values (99, 'nobody''s');
select throws_ok($$select bulkhead.protect('world.units')$$, 'BH003', null, 'protect() refuses rows without a tenant');
delete from world.units where id = 99;
insert into world.units (id, tenant_id, development_id) values (98, tests.id('acme'), tests.id('birch lane'));
select bulkhead.protect('world.developments');
select throws_ok($$select bulkhead.protect('world.units')$$, 'BH003', null, 'protect() refuses a row whose parent is another tenant''s');
delete from world.units where id = 98;

select isnt_empty($$select * from bulkhead.plan('world.units')$$, 'plan() lists the missing steps');
select lives_ok($$select bulkhead.protect('world.units')$$, 'protect() accepts a table whose rows are right');
select is((select count(*)::int from bulkhead.plan('world.units')), 1, 'plan() has nothing left but protect() itself');
select lives_ok($$select bulkhead.protect('world.units')$$, 'protect() does no harm when run again');
select lives_ok($$select bulkhead.protect('world.tenants'), bulkhead.protect('world.members')$$, 'protect() takes the tenants and the membership table');
select is(
    (select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'world.units'::regclass and conname = 'units_development_id_fkey'),
    'FOREIGN KEY (tenant_id, development_id) REFERENCES world.developments(tenant_id, id) ON DELETE RESTRICT',
    'protect() puts the tenant into the foreign key and keeps its name');
select is_empty(
    $$select conname from pg_constraint where connamespace = 'world'::regnamespace and contype = 'f' and confdeltype <> 'r'$$,
    'protect() leaves no foreign key that does more than restrict');
select col_not_null('world', 'units', 'tenant_id', 'protect() makes the tenant NOT NULL');
select is((select relrowsecurity and relforcerowsecurity from pg_class where oid = 'world.units'::regclass), true, 'protect() enables and forces RLS');
select is((select polpermissive from pg_policy where polrelid = 'world.units'::regclass and polname = 'bulkhead_tenant'), false, 'protect() adds a restrictive policy');
select is(has_table_privilege('anon', 'world.units', 'select'), false, 'protect() leaves nothing for anon');
select is(has_table_privilege('service_role', 'world.units', 'truncate'), false, 'protect() takes TRUNCATE from the API''s roles');
select is((select declared = bulkhead.observed_state(relation) from bulkhead.protected_tables where relation = 'world.units'::regclass), true, 'protect() declares the state it leaves');

-- ---------------------------------------------------------------- reads
select tests.as_user('alice');
select results_eq('select label from world.units order by id', array['A1', 'A2'], 'a member sees her tenant''s rows and no others');
select results_eq('select name from world.tenants', array['acme'], 'a member sees her own tenant');
select tests.as_user('carol');
select is((select count(*)::int from world.units), 3, 'a member of two tenants sees both');
select tests.as_user('carol', jsonb_build_object('x-tenant-id', tests.id('birch')));
select results_eq('select label from world.units', array['B1'], 'the header chooses among memberships');
select tests.as_user('alice', jsonb_build_object('x-tenant-id', tests.id('birch')));
select is((select count(*)::int from world.units), 0, 'the header grants no membership');
select tests.as_user('dave');
select is((select count(*)::int from world.units), 0, 'a disabled member sees nothing');
select tests.as_user('alice', '{}', jsonb_build_object('app_metadata', jsonb_build_object('tenant_id', tests.id('birch'))));
select is((select count(*)::int from world.units), 0, 'app_metadata grants no membership where a membership table is configured');
select tests.as_user('mallory', '{}', jsonb_build_object('user_metadata', jsonb_build_object('tenant_id', tests.id('acme'))));
select is((select count(*)::int from world.units), 0, 'user_metadata is never read');
select tests.as_user('alice', '{}', '{"role": "service_role"}');
select is((select count(*)::int from world.units), 0, 'claims of another role than the one that asks count for nothing');
select tests.as_user('alice', '{"x-tenant-id": "not-a-uuid"}');
select throws_ok('select * from world.units', '22P02', null, 'a malformed header is an error, not an empty answer');
select tests.as_anon();
select throws_ok('select * from world.units', '42501', null, 'anon is refused');

-- ---------------------------------------------------------------- writes by members
select tests.as_user('alice');
select lives_ok(format($$insert into world.units (id, tenant_id, development_id, label) values (3, %L, %L, 'A3')$$, tests.id('acme'), tests.id('acme towers')), 'a member writes for her tenant');
select throws_ok(format($$insert into world.units (id, tenant_id, label) values (4, %L, 'stolen')$$, tests.id('birch')), '42501', null, 'a member cannot insert for another tenant');
select throws_ok(format($$insert into world.units (id, tenant_id, development_id) values (5, %L, %L)$$, tests.id('acme'), tests.id('birch lane')), '23503', null, 'a row cannot point at another tenant''s row');
select throws_ok(format($$update world.units set tenant_id = %L where id = 1$$, tests.id('birch')), '42501', null, 'a member cannot move a row to another tenant');
select throws_ok(format($$insert into world.members (tenant_id, user_id, role) values (%L, %L, 'owner')$$, tests.id('acme'), tests.id('mallory')), '42501', null, 'a member cannot add members by default');
select throws_ok(format($$insert into world.tenants (name) values ('mine')$$), '42501', null, 'a member cannot create a tenant');
select is_empty($$with changed as (update world.units set label = 'mine' where id = 11 returning id) select * from changed$$, 'an update does not reach another tenant''s row');

-- ---------------------------------------------------------------- a policy added later cannot widen
select tests.as_owner();
create policy open_to_all on world.units for all to authenticated using (true) with check (true);
select tests.as_user('alice');
select is((select count(*)::int from world.units where tenant_id <> tests.id('acme')), 0, 'a permissive policy added later does not widen the boundary');

-- ---------------------------------------------------------------- unprotect, exempt, attest
select tests.as_owner();
select throws_ok($$select bulkhead.exempt('world.units', 'because I say so')$$, 'BH002', null, 'exempt() refuses a protected table');
select throws_ok($$select bulkhead.exempt('world.texts', 'short')$$, 'BH002', null, 'exempt() wants a reason');
select lives_ok($$select bulkhead.exempt('world.texts', 'a list of words, the same for everybody')$$, 'exempt() takes a reason');
select is(bulkhead.attest('the open policy is under review'), 1, 'attest() says how many tables had changed');
select lives_ok($$select bulkhead.unprotect('world.units'), bulkhead.unprotect('world.units')$$, 'unprotect() does no harm when run again');
select is((select relrowsecurity from pg_class where oid = 'world.units'::regclass), false, 'unprotect() gives RLS its earlier state');

select * from finish();
rollback;
