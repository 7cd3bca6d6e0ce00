-- Schemas as they come: odd names and keys, tables that move and change, partitions that arrive later,
-- and callers who bring objects of their own.
begin;
set local search_path = public, extensions;
select plan(43);

select tests.protected_world();

-- ---------------------------------------------------------------- temporary objects of the caller
select tests.as_user('alice');
create function pg_temp.spy(value text) returns boolean language plpgsql as $$
begin
    if current_user in (session_user, 'bulkhead_audit') then
        perform set_config('spy.saw', current_user, true);
    end if;
    return true;
end $$;
create domain pg_temp.name as text check (pg_temp.spy(value));
create domain pg_temp.uuid as pg_catalog.uuid check (pg_temp.spy(value::text));
create domain pg_temp.jsonb as pg_catalog.jsonb check (pg_temp.spy(value::text));
select is((select count(*)::int from world.units), 2, 'a member with types of her own in pg_temp sees her rows');
update world.units set label = 'seen' where id = 1;
select is(nullif(current_setting('spy.saw', true), ''), null, 'and her types never run as the kit''s owner');
select tests.as_owner();
drop domain pg_temp.name, pg_temp.uuid, pg_temp.jsonb;

-- ---------------------------------------------------------------- tables that move
create table world.invoices (id int primary key, tenant_id uuid not null, partner_id uuid, amount int);
select bulkhead.protect('world.invoices');
create schema archive;
alter table world.invoices set schema archive;
select bulkhead.protect('archive.invoices');
create table world.invoices (id int primary key, partner_id uuid not null, tenant_id uuid, amount int);
select lives_ok($$select bulkhead.protect('world.invoices', 'partner_id')$$, 'a new table takes the name of one that moved away');
select is((select count(distinct audit_function)::int from bulkhead.protected_tables where table_name = 'invoices'), 2, 'each table has a function of its own');
insert into archive.invoices values (1, tests.id('birch'), tests.id('acme'), 100);
grant usage on schema archive to service_role;
grant all on archive.invoices to service_role;
select tests.as_service('acme');
select throws_ok('update archive.invoices set amount = 0', '42501', null, 'the moved table is still guarded by its own tenant column');
select tests.as_owner();
select lives_ok($$select bulkhead.unprotect('world.invoices')$$, 'and either can be unprotected');

create table world.gone (id int primary key, tenant_id uuid);
select bulkhead.protect('world.gone');
drop table world.gone;
create table world.gone (id int primary key, tenant_id uuid);
select lives_ok($$select bulkhead.protect('world.gone')$$, 'a table that was dropped and created again can be protected');

-- ---------------------------------------------------------------- columns that change
alter table world.units add column area int, drop column tags;
alter table world.units rename column label to title;
select is(bulkhead.follow_schema(), 1, 'follow_schema() finds the table whose columns changed');
select is(bulkhead.follow_schema(), 0, 'and nothing when it runs again');
select lives_ok($$update world.units set title = 'renamed', area = 3 where id = 1$$, 'updates go on after columns were added, dropped and renamed');
select is((select after from tests.events('world.units') where after ? 'area' limit 1), '{"area": 3, "title": "renamed"}'::jsonb, 'and the ledger knows the new columns');
select is((select declared -> 'columns' ? 'area' from bulkhead.protected_tables where relation = 'world.units'::regclass), true, 'the new columns are declared');

-- ---------------------------------------------------------------- partitions and children that come later
create table world.readings (id int, tenant_id uuid not null, value int, primary key (tenant_id, id)) partition by range (id);
create table world.readings_1 partition of world.readings for values from (0) to (10);
select bulkhead.protect('world.readings');
create table world.readings_2 partition of world.readings for values from (10) to (20);
grant all on world.readings_2 to authenticated, service_role;
insert into world.readings values (15, tests.id('birch'), 1);
select is(bulkhead.follow_schema(), 1, 'follow_schema() covers a partition that was created later');
select tests.as_user('alice');
select is((select count(*)::int from world.readings_2), 0, 'a member sees nothing of another tenant in the new partition');
select throws_ok(format('insert into world.readings_2 values (11, %L, 1)', tests.id('birch')), '42501', null, 'and cannot write into it');
select tests.as_owner();
select throws_ok($$select bulkhead.protect('world.readings_1')$$, 'BH002', null, 'a partition is protected through its parent');

create table world.base (id int primary key, tenant_id uuid not null, unit_id bigint references world.units (id));
create table world.child (primary key (id)) inherits (world.base);
select lives_ok($$select bulkhead.protect('world.base')$$, 'a table with an inheritance child is protected');
select throws_ok(format($$insert into world.child values (1, %L, 11)$$, tests.id('acme')), '23503', null, 'the child cannot point at another tenant either') from (select 1) as x
where exists (select from pg_constraint where conrelid = 'world.child'::regclass and contype = 'f' and cardinality(conkey) = 2)
union all
select throws_ok(format($$insert into world.child values (1, %L, 11)$$, gen_random_uuid()), '23503', null, 'the child takes no tenant that does not exist')
where not exists (select from pg_constraint where conrelid = 'world.child'::regclass and contype = 'f' and cardinality(conkey) = 2);

-- ---------------------------------------------------------------- foreign keys of every kind
create table world.left_side (id int primary key, tenant_id uuid, right_id int not null);
create table world.right_side (id int primary key, tenant_id uuid, left_id int not null references world.left_side (id));
alter table world.left_side add constraint left_right foreign key (right_id) references world.right_side (id) deferrable initially deferred;
select bulkhead.protect('world.left_side'), bulkhead.protect('world.right_side');
set constraints all deferred;
insert into world.left_side values (1, tests.id('acme'), 1);
insert into world.right_side values (1, tests.id('acme'), 1);
set constraints all immediate;
select matches((select pg_get_constraintdef(oid) from pg_constraint where conname = 'left_right'),
    'FOREIGN KEY \(tenant_id, right_id\) REFERENCES world.right_side\(tenant_id, id\) DEFERRABLE INITIALLY DEFERRED', 'a deferred key stays deferred');

create table world.countries (tenant_id uuid, code text, primary key (tenant_id, code));
create table world.cities (id int primary key, tenant_id uuid, code text,
    constraint cities_code foreign key (tenant_id, code) references world.countries (tenant_id, code) on update cascade on delete cascade);
select bulkhead.protect('world.countries'), bulkhead.protect('world.cities');
select matches((select pg_get_constraintdef(oid) from pg_constraint where conname = 'cities_code'), 'ON UPDATE CASCADE ON DELETE RESTRICT', 'on update cascade stays, on delete cascade goes');

create table world.pairs (a int, b int, tenant_id uuid, primary key (a, b));
create table world.points (id int primary key, tenant_id uuid, a int, b int, constraint points_ab foreign key (a, b) references world.pairs (a, b) match full);
select bulkhead.protect('world.pairs'), bulkhead.protect('world.points');
select throws_ok(format('insert into world.points values (1, %L, 77, null)', tests.id('acme')), '23514', null, 'what MATCH FULL said is still said');

create table world.strict (id int primary key, tenant_id uuid not null, a int not null, b int not null,
    constraint strict_ab foreign key (tenant_id, a, b) references world.pairs (tenant_id, a, b) match full on delete restrict);
select bulkhead.protect('world.strict'), bulkhead.protect('world.strict'), bulkhead.protect('world.strict');
select is_empty($$select conname from pg_constraint where conrelid = 'world.strict'::regclass and contype = 'c'$$, 'a MATCH FULL key that carries the tenant and restricts stays as it is, however often the table is protected');

create table world.partners (id int primary key, tenant_id uuid unique);
create table world.shares (id int primary key, tenant_id uuid, partner uuid, constraint shares_partner foreign key (partner) references world.partners (tenant_id));
select bulkhead.protect('world.partners');
select throws_ok($$select bulkhead.protect('world.shares')$$, 'BH002', null, 'a key that points at other tenants by design is named, not rewritten');

create table world.taken (id int primary key, tenant_id uuid, unit_id bigint references world.units (id) on delete cascade, x int,
    constraint taken_tenant_id_fkey check (x <> 13), constraint taken_tenant_not_null check (x <> 14));
create index taken_tenant_id_id_key on world.taken (x);
select is_empty(
    $$select statement from bulkhead.plan('world.taken') where statement ~ 'drop (constraint|index)[^;]*\m(taken_tenant_id_fkey|taken_tenant_not_null|taken_tenant_id_id_key)\M'$$,
    'plan() drops nothing that it did not make, whatever its name');
select lives_ok($$select bulkhead.protect('world.taken')$$, 'protect() finds other names where the usual ones are taken');
select is((select count(*)::int from pg_constraint where conname in ('taken_tenant_id_fkey', 'taken_tenant_not_null') and contype = 'c'), 2, 'the checks of those names are still there');

-- ---------------------------------------------------------------- names
create table world."ééééééééééééééééééééééééééééééé" (id int primary key, tenant_id uuid, body text);
select lives_ok($$select bulkhead.protect('world."ééééééééééééééééééééééééééééééé"')$$, 'a long name of wide characters is no trouble');
create table world.odd ("i%d" int primary key, tenant_id uuid, "$body$" int, "a%1$s" int, "n'ame" int, v_tenants int, bh int, bh_tenants int);
select lives_ok($$select bulkhead.protect('world.odd')$$, 'columns may be called anything');
select lives_ok(format('insert into world.odd values (1, %L, 1, 2, 3, 4, 5, 6)', tests.id('acme')), 'and written');
select lives_ok($$update world.odd set "$body$" = 2, bh_tenants = 7$$, 'and changed');
select is((select after from tests.events('world.odd') where operation = 'UPDATE'), '{"$body$": 2, "bh_tenants": 7}'::jsonb, 'and read back from the ledger');

-- ---------------------------------------------------------------- values that jsonb refuses
select lives_ok(format($$insert into world.units (id, tenant_id, extra) values (500, %L, '{"a": "\u0000"}'), (501, %L, '[1e200000]')$$, tests.id('acme'), tests.id('acme')), 'json that jsonb refuses can be written');
select is((select after ->> 'extra' from tests.events('world.units') where record_id = '501'), '[1e200000]', 'and is in the ledger as it was');
create table world.wide as select 1 as id, tests.id('acme') as tenant_id;
do $$ begin for i in 1..120 loop execute format('alter table world.wide add column c%s json', i); end loop; end $$;
alter table world.wide add primary key (id);
select lives_ok($$select bulkhead.protect('world.wide')$$, 'a wide table of json columns is protected');
select lives_ok(format($$insert into world.wide (id, tenant_id, c1, c120) values (2, %L, '1', '2')$$, tests.id('acme')), 'and written');

-- ---------------------------------------------------------------- the ledger's net
insert into bulkhead.audit_events (created_at, actor_role, table_name, operation) values (date_trunc('month', now()) + interval '4 months', 'postgres', 'x', 'late.event');
select is(bulkhead.ensure_audit_partitions(5), 2, 'a month whose events the net caught is left out, the others are made');

-- ---------------------------------------------------------------- callers and settings
select tests.as_service('acme');
select throws_ok($$select bulkhead_api.log_event('delete', 'world.units', '2', '{"before": {}}')$$, 'BH008', null, 'an application event cannot be called like a row operation');
select set_config('request.headers', '{"x-tenant-id": "  "}', true);
select throws_ok($$update world.units set area = 1$$, '42501', null, 'a blank header names no tenant');
select tests.as_owner();
create table world.firms (id uuid primary key);
select throws_ok($$select bulkhead.configure('world.firms', membership_table => 'world.members')$$, 'BH002', null, 'the tenants table cannot be swapped under protected tables');
select throws_ok($$select bulkhead.configure('world.tenants')$$, 'BH002', null, 'nor the membership table forgotten');
create role tests_signup nologin;
grant tests_signup to current_user;
grant usage on schema world, extensions, tests to tests_signup;
create function world.sign_up() returns void language sql security definer as $$ insert into world.units (id, tenant_id, title) values (700, tests.id('acme'), 'signed up') $$;
set local role tests_signup;
select throws_ok('select world.sign_up()', '42501', null, 'the trigger of a sign-up service is refused while its role is not declared');
reset role;
select bulkhead.configure('world.tenants', membership_table => 'world.members', membership_active => 'disabled_at is null', exposed_schemas => '{world}', platform_roles => '{tests_signup}');
select set_eq($$select unnest(platform_roles) from bulkhead.settings$$, array[current_user, 'supabase_admin', 'tests_signup'], 'configure() adds platform roles to those that there are');
set local role tests_signup;
select lives_ok('select world.sign_up()', 'and then the sign-up service writes, for whom it says');
reset role;

select * from finish();
rollback;
