-- OpenHouse's boundary on the rows that are there: run it on a live copy or on a restored backup.
-- Reads as `authenticated` members through RLS; everything rolls back. Needs pgTAP and at least two tenants.
begin;
set local search_path = public, extensions;
set local client_min_messages = warning;
select plan(26);

-- One member of each of two tenants who belong nowhere else, and what each tenant really holds.
create temporary table actors on commit drop as
select row_number() over (order by tenant_id) as n, tenant_id, user_id,
    (select count(*) from public.messages as m where m.tenant_id = a.tenant_id) as messages,
    (select count(*) from public.units as u where u.tenant_id = a.tenant_id) as units,
    (select m.id from public.messages as m where m.tenant_id = a.tenant_id order by m.id limit 1) as message,
    (select m.unit_id from public.messages as m where m.tenant_id = a.tenant_id order by m.id limit 1) as unit,
    (select m.development_id from public.messages as m where m.tenant_id = a.tenant_id order by m.id limit 1) as development
from (
    select distinct on (m.tenant_id) m.tenant_id, m.user_id
    from public.members as m
    where m.is_active
        and not exists (select from public.members as o where o.user_id = m.user_id and o.id <> m.id)
        and exists (select from public.messages as x where x.tenant_id = m.tenant_id)
    order by m.tenant_id, m.id
) as a;
grant select on actors to public;

select cmp_ok((select count(*)::integer from actors), '>=', 2, 'there are two tenants with members and messages to compare');
select cmp_ok((select min(messages)::integer from actors), '>', 0, 'every tenant compared has messages');

-- ---------------------------------------------------------------- the rows themselves
select is((select count(*) from public.messages where tenant_id is null or unit_id is null or development_id is null), 0::bigint, 'no message is orphaned');
select is(
    (select count(*) from public.messages as m left join public.units as u on u.id = m.unit_id
     where u.id is null or u.tenant_id <> m.tenant_id or u.development_id <> m.development_id),
    0::bigint, 'every message has the tenant and the development of its unit');
select is(
    (select count(*) from public.units as u left join public.developments as d on d.id = u.development_id
     where d.id is null or d.tenant_id <> u.tenant_id),
    0::bigint, 'every unit has the tenant of its development');
select is(
    (select count(*) from public.messages as m where not exists (select from public.tenants as t where t.id = m.tenant_id)),
    0::bigint, 'every message has a tenant that exists');

-- ---------------------------------------------------------------- a member sees their tenant, all of it and nothing else
select set_config('request.jwt.claims', jsonb_build_object('role', 'authenticated', 'sub', user_id)::text, true) from actors where n = 1;
set local role authenticated;
select is((select count(*) from public.messages), (select messages from actors where n = 1), 'the first member sees all messages of their tenant');
select is((select count(*) from public.units), (select units from actors where n = 1), 'the first member sees all units of their tenant');
select is((select count(*) from public.messages where tenant_id <> (select tenant_id from actors where n = 1)), 0::bigint, 'and no message of another');
select is((select count(*) from public.tenants), 1::bigint, 'they see one tenant');
select is((select count(*) from public.messages where id = (select message from actors where n = 2)), 0::bigint, 'nor by its id');
select is(
    (select count(*) from public.search_messages('') where tenant_id <> (select tenant_id from actors where n = 1)),
    0::bigint, 'nor through the search function');

select set_config('request.headers', jsonb_build_object('x-tenant-id', tenant_id)::text, true) from actors where n = 2;
select is((select count(*) from public.messages), 0::bigint, 'naming another tenant in the header shows nothing');
select set_config('request.headers', '{}', true);

select throws_ok(
    format('insert into public.messages (tenant_id, development_id, unit_id, sender, body) values (%L, %L, %L, ''staff'', ''x'')', tenant_id, development, unit),
    '42501', null, 'they cannot write for another tenant')
from actors where n = 2;
select throws_ok(
    format('insert into public.messages (tenant_id, development_id, unit_id, sender, body) values (%L, %L, %L, ''staff'', ''x'')', a.tenant_id, a.development, b.unit),
    '23503', null, 'nor under another tenant''s unit')
from actors as a, actors as b where a.n = 1 and b.n = 2;
select lives_ok(
    format('insert into public.messages (tenant_id, development_id, unit_id, sender, body) values (%L, %L, %L, ''staff'', ''x'')', tenant_id, development, unit),
    'the same write for their own tenant works')
from actors where n = 1;
select is_empty(
    format('update public.messages set body = ''x'' where id = %L returning id', message), 'they cannot change another tenant''s message')
from actors where n = 2;
select is_empty(
    format('delete from public.messages where id = %L returning id', message), 'they cannot delete it')
from actors where n = 2;
select throws_ok('update public.members set role = ''owner''', '42501', null, 'they cannot promote themself');
reset role;

-- ---------------------------------------------------------------- the other way round
select set_config('request.jwt.claims', jsonb_build_object('role', 'authenticated', 'sub', user_id)::text, true) from actors where n = 2;
set local role authenticated;
select is((select count(*) from public.messages), (select messages from actors where n = 2), 'the second member sees all messages of theirs');
select is((select count(*) from public.messages where tenant_id <> (select tenant_id from actors where n = 2)), 0::bigint, 'and none of the first''s');
reset role;

-- ---------------------------------------------------------------- nobody, and the service role
select set_config('request.jwt.claims', '{"role": "authenticated", "sub": "00000000-0000-4000-8000-000000000000"}', true);
set local role authenticated;
select is((select count(*) from public.messages), 0::bigint, 'a user without a membership sees nothing');
reset role;
set local role anon;
select throws_ok('select from public.messages', '42501', null, 'a visitor may not even ask');
reset role;
select set_config('request.jwt.claims', '{"role": "service_role"}', true);
set local role service_role;
select throws_ok(format('delete from public.messages where id = %L', message), '42501', null, 'the service role without a tenant cannot delete')
from actors where n = 2;
reset role;

-- ---------------------------------------------------------------- keys
select is(
    (select count(*) from pg_catalog.pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace and confdeltype <> 'r'),
    0::bigint, 'every foreign key restricts, none cascades');
select is(
    (select count(*) from pg_catalog.pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace and not convalidated),
    0::bigint, 'every foreign key is validated');

select * from finish();
rollback;
