-- Nothing escapes the ledger: each verb, each way into a table, each shape of a row; options, baseline, bad input.
begin;
set local search_path = public, extensions;
select * from no_plan();

select tests.protected_world();
select tests.as_owner();

-- What a statement did, as "operation record_id" in order, since the last time it was asked.
create temp table seen (id bigint);
insert into seen select coalesce(max(id), 0) from bulkhead.audit_events;
create function pg_temp.fresh(named text)
returns text[]
language plpgsql
as $$
declare
    v_fresh text[];
begin
    select array_agg(e.operation || ' ' || e.record_id order by e.operation, e.record_id collate "C")
    into v_fresh
    from bulkhead.audit_events as e
    where e.id > (select max(s.id) from seen as s) and e.table_name = named and e.operation = upper(e.operation);
    insert into seen select max(e.id) from bulkhead.audit_events as e;
    return v_fresh;
end
$$;

-- ---------------------------------------------------------------- partitions
create table world.parts (id bigint, tenant_id uuid not null, at int not null, v text, primary key (id, at)) partition by list (at);
create table world.parts_1 partition of world.parts for values in (1);
create table world.parts_2 partition of world.parts for values in (2);
select bulkhead.protect('world.parts');
insert into world.parts select i, tests.id('acme'), 1 + i % 2, 'x' from generate_series(1, 4) as i;
select is(pg_temp.fresh('world.parts'), array['INSERT [1, 2]', 'INSERT [2, 1]', 'INSERT [3, 2]', 'INSERT [4, 1]'], 'rows routed to partitions are one event each');
update world.parts set v = 'y';
select is(cardinality(pg_temp.fresh('world.parts')), 4, 'an update across partitions is one event a row');
update world.parts_1 set v = 'z';
delete from world.parts_2 where id = 1;
select is(pg_temp.fresh('world.parts'), array['DELETE [1, 2]', 'UPDATE [2, 1]', 'UPDATE [4, 1]'], 'writes straight to a partition are recorded once');
select throws_ok('update world.parts set at = 2 where id = 2', '42501', null, 'a partition key in the primary key does not change');
-- Another order of columns than its parent's; and on 17 the server hands the triggers an inserted row for an updated one.
create table world.parts_3 (v text, at int not null, tenant_id uuid not null, id bigint not null, primary key (id, at));
alter table world.parts attach partition world.parts_3 for values in (3);
select bulkhead.protect('world.parts');
insert into world.parts values (20, tests.id('acme'), 3, 'x'), (21, tests.id('acme'), 1, 'x');
select pg_temp.fresh('world.parts');
prepare both_ways as merge into world.parts as p using (values (22, 2), (20, 3), (21, 1), (23, 3)) as s (id, at) on p.id = s.id and p.at = s.at
when matched then update set v = 'm' when not matched then insert (id, tenant_id, at, v) values (s.id, tests.id('acme'), s.at, 'n');
select case
    when current_setting('server_version_num')::integer >= 170000
        then throws_ok('execute both_ways', '42501', null, 'a MERGE that updates and inserts in a partitioned table is refused on 17')
    else lives_ok('execute both_ways', 'a MERGE that updates and inserts in a partitioned table is recorded on 15')
end;
do $$
begin
    if current_setting('server_version_num')::integer >= 170000 then
        update world.parts set v = 'm' where id in (20, 21);
        merge into world.parts as p using (values (20, 3), (22, 2), (23, 3)) as s (id, at) on p.id = s.id and p.at = s.at
        when not matched then insert (id, tenant_id, at, v) values (s.id, tests.id('acme'), s.at, 'n');
    end if;
end
$$;
select is(pg_temp.fresh('world.parts'), array['INSERT [22, 2]', 'INSERT [23, 3]', 'UPDATE [20, 3]', 'UPDATE [21, 1]'], 'one event a row, as one statement or as two');
-- Postgres wants the partition key in the primary key: a row moves between partitions by changing its key, or not at all.

-- ---------------------------------------------------------------- inheritance
create table world.base (id bigint primary key, tenant_id uuid not null, v text);
create table world.derived (extra text) inherits (world.base);
alter table world.derived add primary key (id);
select bulkhead.protect('world.base');
insert into world.base values (1, tests.id('acme'), 'x');
insert into world.derived values (2, tests.id('acme'), 'x', 'more');
update world.base set v = 'y';
select is(pg_temp.fresh('world.base'), array['INSERT 1', 'INSERT 2', 'UPDATE 1', 'UPDATE 2'], 'a child''s rows are recorded once, written through it or through its parent');
delete from world.base;
select is(pg_temp.fresh('world.base'), array['DELETE 1', 'DELETE 2'], 'a delete from the parent records the child''s row too');
insert into world.base values (1, tests.id('acme'), 'x');
insert into world.derived values (2, tests.id('acme'), 'x', 'more');
select pg_temp.fresh('world.base');
truncate world.base;
select is(pg_temp.fresh('world.base'), array['TRUNCATE 1', 'TRUNCATE 2'], 'TRUNCATE of a parent is one event a row, none twice');

-- ---------------------------------------------------------------- verbs
create table world.items (id int primary key, tenant_id uuid not null, n int, unique (n));
select bulkhead.protect('world.items');
insert into world.items select i, tests.id('acme'), i from generate_series(1, 3) as i;
insert into world.items values (1, tests.id('acme'), 9), (4, tests.id('acme'), 4) on conflict do nothing;
select is(pg_temp.fresh('world.items'), array['INSERT 1', 'INSERT 2', 'INSERT 3', 'INSERT 4'], 'ON CONFLICT DO NOTHING records what was inserted, not what was not');
insert into world.items values (1, tests.id('acme'), 1), (5, tests.id('acme'), 5) on conflict (id) do update set n = excluded.n where items.n <> excluded.n;
select is(pg_temp.fresh('world.items'), array['INSERT 5'], 'ON CONFLICT DO UPDATE with a condition that fails records nothing for that row');
merge into world.items as i using (values (1), (2), (6)) as s (id) on i.id = s.id
when matched and s.id = 1 then delete
when matched then update set n = 20
when not matched then insert values (s.id, tests.id('acme'), 60);
select is(pg_temp.fresh('world.items'), array['DELETE 1', 'INSERT 6', 'UPDATE 2'], 'MERGE that deletes, updates and inserts is one event a row');
with a as (update world.items set n = n + 100 where id = 3 returning id), b as (delete from world.items where id = 4 returning id),
    c as (insert into world.items values (7, tests.id('acme'), 7) returning id)
select from a, b, c;
select is(pg_temp.fresh('world.items'), array['DELETE 4', 'INSERT 7', 'UPDATE 3'], 'three writable CTEs of one statement are recorded');
with a as (update world.items set n = n + 100 where id = 3 returning id), b as (update world.items set n = n + 200 where id = 2 returning id),
    c as (delete from world.items where id = 7 returning id), d as (delete from world.items where id = 6 returning id),
    e as (insert into world.items values (8, tests.id('acme'), 8) returning id)
insert into world.items select 9, tests.id('acme'), 9 from generate_series(1, 1);
select is(pg_temp.fresh('world.items'), array['DELETE 6', 'DELETE 7', 'INSERT 8', 'INSERT 9', 'UPDATE 2', 'UPDATE 3'], 'writable CTEs that touch one table twice, with one verb or with three, are recorded once a row');
with a as (insert into world.items values (8, tests.id('acme'), 80) on conflict (id) do update set n = excluded.n returning id)
insert into world.items values (9, tests.id('acme'), 90), (10, tests.id('acme'), 10) on conflict (id) do update set n = excluded.n;
select is(pg_temp.fresh('world.items'), array['INSERT 10', 'UPDATE 8', 'UPDATE 9'], 'an upsert that hits both ways, beside another one of the same table, is one event a row');
do $$
begin
    if current_setting('server_version_num')::integer >= 170000 then
        execute $sql$
            with m as (
                merge into world.items as i using (values (2), (8), (11)) as s (id) on i.id = s.id
                when matched and s.id = 8 then delete
                when matched then update set n = 21
                when not matched by source and i.id = 9 then delete
                when not matched by source and i.id = 10 then update set n = 100
                when not matched then insert values (s.id, tests.id('acme'), 11)
                returning merge_action(), i.id
            )
            select from m
            $sql$;
    else
        merge into world.items as i using (values (2), (8), (11), (9), (10)) as s (id) on i.id = s.id
        when matched and s.id in (8, 9) then delete
        when matched then update set n = 10 * s.id + 1
        when not matched then insert values (s.id, tests.id('acme'), 11);
    end if;
end
$$;
select is(pg_temp.fresh('world.items'), array['DELETE 8', 'DELETE 9', 'INSERT 11', 'UPDATE 10', 'UPDATE 2'], 'MERGE with RETURNING, and by what its source has not, is one event a row');
savepoint s;
insert into world.items values (8, tests.id('acme'), 8);
rollback to s;
select is(pg_temp.fresh('world.items'), null, 'what a savepoint took back left no event');
delete from world.items where false;
select is(pg_temp.fresh('world.items'), null, 'a statement that touches no row is no event');

-- ---------------------------------------------------------------- cascades of keys that the team added later
create table world.pages (id int primary key, tenant_id uuid not null, item int default 3, other int, third int);
select bulkhead.protect('world.pages');
alter table world.pages
    add foreign key (item) references world.items (id) on delete set default,
    add foreign key (other) references world.items (id) on delete set null,
    add foreign key (third) references world.items (id) on delete cascade;
insert into world.pages values (1, tests.id('acme'), 5, null, null), (2, tests.id('acme'), null, 5, null), (3, tests.id('acme'), null, null, 5);
select pg_temp.fresh('world.pages');
delete from world.items where id = 5;
select is(pg_temp.fresh('world.pages'), array['DELETE 3', 'UPDATE 1', 'UPDATE 2'], 'set default, set null and cascade are recorded in the tables they reach');

create table world.leaves (id int primary key, tenant_id uuid not null, page int references world.pages (id) on delete cascade);
select bulkhead.protect('world.leaves');
alter table world.leaves drop constraint if exists leaves_page_fkey;
alter table world.leaves add foreign key (page) references world.pages (id) on delete cascade;
insert into world.items values (60, tests.id('acme'), 600);
insert into world.pages select i, tests.id('acme'), null, null, 60 from generate_series(61, 62) as i;
insert into world.leaves select i, tests.id('acme'), 61 + i % 2 from generate_series(1, 4) as i;
select pg_temp.fresh('world.items');
delete from world.items where id = 60;
select is(
    (select array_agg(e.table_name || ' ' || e.operation || ' ' || e.record_id order by e.table_name, e.record_id)
        from bulkhead.audit_events as e where e.id > (select max(s.id) from seen as s)),
    array['world.items DELETE 60', 'world.leaves DELETE 1', 'world.leaves DELETE 2', 'world.leaves DELETE 3', 'world.leaves DELETE 4',
        'world.pages DELETE 61', 'world.pages DELETE 62'],
    'a cascade over three tables is one event a row in each');

-- ---------------------------------------------------------------- shapes of rows
do $$
begin
    -- Two hundred columns, twenty dropped ones, and names that the generated code uses itself.
    execute 'create table world.wide (id int primary key, tenant_id uuid not null, o text, n text, bh text, bh_tenants text, new_rows text, old_rows text, tg_op text, "$1" text, '
        || (select string_agg(format('c%s text', i), ', ') from generate_series(1, 220) as i) || ')';
    for i in 1..20 loop
        execute format('alter table world.wide drop column c%s', i);
    end loop;
end
$$;
select bulkhead.protect('world.wide', options => '{"cap": {"c220": 10}}');
insert into world.wide (id, tenant_id, o, c21, c219) values (1, tests.id('acme'), 'o', 'a', 'b');
update world.wide set c100 = 'hundred', o = 'oo', new_rows = 'y', "$1" = 'q', c220 = repeat('x', 1000000);
delete from world.wide;
select is(
    (select array_agg((select count(*) from jsonb_object_keys(coalesce(e.before, e.after))) order by e.id) from bulkhead.audit_events as e where e.table_name = 'world.wide' and e.operation = upper(e.operation)),
    array[210, 5, 210]::bigint[], 'two hundred columns are kept, and of an update those that changed');
select is(
    (select after || jsonb_build_object('c220', after -> 'c220' -> 'bytes') from bulkhead.audit_events where table_name = 'world.wide' and operation = 'UPDATE'),
    '{"c100": "hundred", "o": "oo", "new_rows": "y", "$1": "q", "c220": 1000000}', 'whatever they are called');
create domain world.paper as json;
create type world.dated as (at timestamptz, body json);
create table world.texts (id int primary key, tenant_id uuid not null, t text, j json, d world.paper, js json[], c world.dated);
select bulkhead.protect('world.texts');
set local timezone = 'Asia/Tokyo';
insert into world.texts values (1, tests.id('acme'), E'\\u0000', '{"a":"\u0000"}', '{"b":1, "b":2}', array['"\u0000"'::json, null], row('2026-02-03 00:00:00+00', '{"z":  "\u0000"}'));
set local timezone = 'UTC';
select is(
    (select after - array['id', 'tenant_id'] from bulkhead.audit_events where table_name = 'world.texts' and operation = 'INSERT'),
    (select jsonb_build_object('t', t, 'j', j::text, 'd', d::text, 'js', js::text, 'c', c::text) from world.texts),
    'what json holds and jsonb refuses is kept, in a domain, an array and a row too');
create type world.pair as (a int, b text);
create table world.shapes (
    "a b" int, tenant_id uuid not null, "Key" text, gone text, twice int generated always as ("a b" * 2) stored,
    list int[], doc jsonb, raw json, bytes bytea, pair world.pair, at timestamptz, span int4range, num numeric,
    primary key ("Key", "a b")
);
alter table world.shapes drop column gone;
select bulkhead.protect('world.shapes');
insert into world.shapes ("a b", tenant_id, "Key", list, doc, raw, bytes, pair, at, span, num)
values (1, tests.id('acme'), 'k"', '{1,null}', '{"b": 1, "a": [1.0]}', '{"b":1,  "b":2}', '\x00ff', '(1,x)', 'infinity', '[1,5)', 'NaN');
select is(pg_temp.fresh('world.shapes'), array['INSERT ["k\"", 1]'], 'a composite key is a JSON array in the key''s order');
select is(
    (select after - 'tenant_id' from bulkhead.audit_events where table_name = 'world.shapes' and operation = 'INSERT'),
    jsonb_build_object('a b', 1, 'Key', 'k"', 'twice', 2, 'list', '[1, null]'::jsonb, 'doc', '{"b": 1, "a": [1.0]}'::jsonb, 'raw', '{"b":1,  "b":2}',
        'bytes', '\x00ff', 'pair', '{"a": 1, "b": "x"}'::jsonb, 'at', 'infinity', 'span', '[1,5)', 'num', 'NaN'),
    'generated columns, arrays, json, jsonb, bytea, composites, ranges, infinity and NaN are kept');
update world.shapes set bytes = decode(repeat('ab', 1000000), 'hex');
select is((select length(after ->> 'bytes') from bulkhead.audit_events where table_name = 'world.shapes' and operation = 'UPDATE'), 2000002, 'a megabyte is kept whole without a cap');

-- ---------------------------------------------------------------- options
create table world.people (id int primary key, tenant_id uuid not null, email text, search text, body text, note text);
select bulkhead.protect('world.people', options => '{"mask": ["email"], "ignore": ["search"], "cap": {"body": 10}, "truncate": "refuse"}');
insert into seen select max(id) from bulkhead.audit_events;
insert into world.people values (1, tests.id('acme'), 'ada@example.org', 'tokens', repeat('é', 6), 'n'), (2, tests.id('acme'), null, null, 'short', 'n'), (3, tests.id('acme'), 'ada@example.org', '', null, '');
create temp table kept as select record_id, after from bulkhead.audit_events where table_name = 'world.people' and operation = 'INSERT';
select is((select after -> 'email' ->> '$bulkhead' from kept where record_id = '1'), 'masked', 'a masked column is marked');
select matches((select after -> 'email' ->> 'hmac' from kept where record_id = '1'), '^[0-9a-f]{64}$', 'by a keyed hash');
select isnt((select after -> 'email' ->> 'hmac' from kept where record_id = '1'), encode(sha256('ada@example.org'), 'hex'), 'that is not the plain hash');
select is(
    (select after -> 'email' ->> 'hmac' from kept where record_id = '1'),
    (select encode(bulkhead.hmac_sha256(string_agg(set_byte('\x00'::bytea, 0, get_byte(k.inner_pad, i) # 54), ''::bytea order by i), 'ada@example.org'), 'hex')
        from bulkhead.mask_key as k cross join generate_series(0, 31) as i),
    'it is HMAC-SHA256 under the kit''s key');
select is((select count(distinct after -> 'email') from kept where record_id in ('1', '3')), 1::bigint, 'equal values stay equal');
select is((select after -> 'email' from kept where record_id = '2'), 'null'::jsonb, 'null stays null');
select ok(not exists (select from kept where after ? 'search'), 'an ignored column is not kept');
select is((select after -> 'body' from kept where record_id = '1'),
    jsonb_build_object('$bulkhead', 'cut', 'bytes', 12, 'sha256', encode(sha256(convert_to(repeat('é', 6), 'UTF8')), 'hex')), 'a value over its cap is its size and its hash');
select is((select after ->> 'body' from kept where record_id = '2'), 'short', 'one under it is kept');
select ok(not exists (select from bulkhead.audit_events where table_name = 'world.people' and (before::text || after::text) like '%ada@%'), 'the address is nowhere');
update world.people set email = 'ada@example.com', search = 'other' where id = 1;
select ok((select before -> 'email' ->> '$bulkhead' = 'masked' and after -> 'email' <> before -> 'email' and not after ? 'search'
    from bulkhead.audit_events where table_name = 'world.people' and operation = 'UPDATE'), 'an update shows that a masked column changed, and hides an ignored one');
update world.people set search = 'third' where id = 1;
select is((select after from bulkhead.audit_events where table_name = 'world.people' and operation = 'UPDATE' order by id desc limit 1), '{}'::jsonb, 'an update of ignored columns is an event without columns');
select throws_ok('truncate world.people', '42501', null, 'TRUNCATE is refused where the options say so');
alter table world.people rename column email to address;
select bulkhead.follow_schema();
update world.people set address = 'new@example.org' where id = 1;
select is((select after -> 'address' ->> '$bulkhead' from bulkhead.audit_events where table_name = 'world.people' and operation = 'UPDATE' order by id desc limit 1), 'masked', 'a masked column stays masked when it is renamed');
select bulkhead.protect('world.people');
select is((select options ->> 'truncate' from bulkhead.protected_tables where relation = 'world.people'::regclass), 'refuse', 'protect() again keeps the options');
select bulkhead.protect('world.people', options => '{"insert_bodies": false}');
insert into world.people values (9, tests.id('acme'), 'x', 'x', 'x', 'x');
select ok((select after is null and record_id = '9' from bulkhead.audit_events where table_name = 'world.people' and operation = 'INSERT' order by id desc limit 1), 'insert bodies can be left out');
select throws_ok(format('select bulkhead.protect(''world.people'', options => %L)', o), 'BH002', null, 'refused: ' || o)
from unnest(array['[]', '{"masks": []}', '{"mask": "email"}', '{"mask": ["nobody"]}', '{"mask": ["id"]}', '{"ignore": ["tenant_id"]}',
    '{"cap": {"body": 0}}', '{"cap": {"body": "x"}}', '{"mask": ["body"], "cap": {"body": 5}}', '{"truncate": "maybe"}', '{"insert_bodies": "no"}', 'null']) as o;
select tests.as_service('acme');
select throws_ok('select * from bulkhead.mask_key', '42501', null, 'service_role cannot read the key');
select throws_ok($$select bulkhead.masked_value('x')$$, '42501', null, 'or ask for a hash');
select tests.as_owner();

-- ---------------------------------------------------------------- baseline
create table world.old (id int primary key, tenant_id uuid not null, v text);
insert into world.old select i, tests.id('acme'), 'v' || i from generate_series(1, 5) as i;
select bulkhead.protect('world.old');
insert into seen select max(id) from bulkhead.audit_events;
insert into world.old values (6, tests.id('acme'), 'new');
select is(bulkhead.baseline('world.old', 2), 2::bigint, 'a baseline can be made in pieces');
select is(bulkhead.baseline('world.old'), 3::bigint, 'and goes on where it was, leaving out what the ledger knows');
select is(bulkhead.baseline('world.old'), 0::bigint, 'again it records nothing twice');
select is(pg_temp.fresh('world.old'), array['BASELINE 1', 'BASELINE 2', 'BASELINE 3', 'BASELINE 4', 'BASELINE 5', 'INSERT 6'], 'one event for each row that was there');
select is((select after ->> 'v' from bulkhead.audit_events where table_name = 'world.old' and record_id = '5'), 'v5', 'with the row');
alter table world.old disable trigger bulkhead_delete;
delete from world.old where id = 1;
alter table world.old enable always trigger bulkhead_delete;
delete from world.old where id = 2;
insert into world.old values (2, tests.id('acme'), 'again');
select is(bulkhead.baseline('world.old'), 0::bigint, 'a row deleted and inserted again is known');

-- ---------------------------------------------------------------- bad input
create view world.old_view as select * from world.old;
create materialized view world.far as select * from world.old;
create table world.keyless (id int, tenant_id uuid not null);
create schema elsewhere;
create table elsewhere.old (id int primary key, tenant_id uuid not null);
select throws_ok('select bulkhead.protect(''world.old_view'')', 'BH002', null, 'a view cannot be protected');
select throws_ok('select bulkhead.protect(''world.far'')', 'BH002', null, 'nor a materialized view');
select throws_ok('select bulkhead.protect(''world.keyless'')', 'BH002', null, 'nor a table without a primary key');
select throws_ok(format('select bulkhead.baseline(%L)', t), 'BH002', null, 'no baseline of ' || t)
from unnest(array['world.old_view', 'world.far', 'world.keyless', 'elsewhere.old', 'world.parts_1']) as t;
select throws_ok('select bulkhead.baseline(''world.nothing'')', '42P01', null, 'nor of what is not there');
select throws_ok('select bulkhead.baseline(''world.old'', 0)', 'BH002', null, 'nor of no rows');
insert into elsewhere.old values (1, tests.id('acme'));
select is(pg_temp.fresh('elsewhere.old'), null, 'a table of the same name in another schema is another table');

-- ---------------------------------------------------------------- who
grant insert on world.items to service_role;
select tests.as_service('acme', 'billing');
set local application_name = 'nightly job';
select set_config('request.headers', current_setting('request.headers')::jsonb || '{"x-real-ip": "2001:db8::7"}' #>> '{}', true);
insert into world.items values (50, tests.id('acme'), 50);
select tests.as_owner();
select is(
    (select array[actor, actor_role, application_name, host(ip_address)] from bulkhead.audit_events where table_name = 'world.items' and record_id = '50'),
    array['billing', 'service_role', 'nightly job', '2001:db8::7'], 'actor, role, application and address are kept');
select ok(not exists (
    select from bulkhead.audit_events as e where e::text like '%' || left(coalesce(nullif(current_setting('request.jwt.claims', true), ''), 'no token'), 30) || '%'
), 'no token is kept');

select * from finish();
rollback;
