-- The marketplace's boundary on the rows that are there: run it on a live copy or on a restored backup.
-- Reads as skills_app, the role of the application; everything rolls back. Needs pgTAP and the tenants '1' and '12'.
begin;
set local search_path = public, extensions;
set local client_min_messages = warning;
select plan(37);

-- On 16 and later the maker of a role may not become it without this.
grant skills_app to current_user;
grant usage on schema extensions to skills_app;

-- What each tenant really holds, counted past every policy.
create temporary table truth on commit drop as
select t.id as tenant, n.name as table_name,
    (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from public.%I where tenant_id = %L', n.name, t.id), false, true, '')))[1]::text::bigint as rows
from public.tenants as t
cross join unnest(array['users', 'skills', 'ratings', 'usage_events', 'skill_versions', 'skill_embeddings', 'skill_reviews', 'api_keys']) as n (name)
where t.id in ('1', '12');
create temporary table actors on commit drop as
select t.id as tenant,
    (select s.id from public.skills as s where s.tenant_id = t.id order by s.id limit 1) as skill,
    (select u.id from public.users as u where u.tenant_id = t.id order by u.id limit 1) as member
from public.tenants as t where t.id in ('1', '12');
grant select on truth, actors to public;

select is((select count(*)::integer from actors where skill is not null and member is not null), 2, 'both tenants have a user and a skill to compare');
select cmp_ok((select min(rows) from truth), '>', 0::bigint, 'and rows in every table compared');

-- ---------------------------------------------------------------- the catalog
select is(
    (select count(*)::integer from pg_catalog.pg_policy where polname = 'tenant_isolation' and polpermissive and polcmd = '*' and polqual is not null and polwithcheck is not null),
    9, 'tenant_isolation is on nine tables, with using and with check');
select is(
    (select count(*)::integer from pg_catalog.pg_policy where polname = 'bulkhead_tenant' and not polpermissive),
    10, 'and the restrictive floor on those and the tenants');
select is(
    (select count(*)::integer from pg_catalog.pg_class as c join pg_catalog.pg_policy as p on p.polrelid = c.oid and p.polname = 'tenant_isolation' where c.relrowsecurity and c.relforcerowsecurity),
    9, 'row level security is forced on each');
select is(
    (select count(distinct i.indrelid)::integer from pg_catalog.pg_index as i
     join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0] and a.attname = 'tenant_id'
     join pg_catalog.pg_class as c on c.oid = i.indexrelid and c.relname = i.indrelid::regclass::text || '_tenant_id_idx'
     where i.indisvalid),
    9, 'an index begins with the tenant on each');
select is(
    (select count(*)::integer from pg_catalog.pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace and (confdeltype <> 'r' or not convalidated)),
    0, 'every foreign key restricts and is validated');
select is(
    (select count(*)::integer from pg_catalog.pg_constraint as c where c.contype = 'u' and c.connamespace = 'public'::regnamespace and c.conrelid <> 'public.tenants'::regclass
     and not exists (select from pg_catalog.pg_attribute as a where a.attrelid = c.conrelid and a.attnum = any (c.conkey) and a.attname = 'tenant_id')),
    0, 'every unique constraint holds inside a tenant');
select ok(
    (select not rolbypassrls and not rolsuper and not rolinherit from pg_catalog.pg_roles where rolname = 'skills_app'),
    'the role of the application obeys row level security');

-- ---------------------------------------------------------------- no context, half a context, two contexts
set local role skills_app;
select is((select count(*) from public.skills), 0::bigint, 'without a context there are no rows');
select throws_ok('insert into public.users (id, tenant_id, email, name) values (''x'', ''1'', ''x'', ''x'')', '42501', null, 'and nothing can be written');
select set_config('app.current_tenant_id', '1', true);
select is((select count(*) from public.skills), 0::bigint, 'the application''s setting alone shows nothing');
select bulkhead.set_tenant('1');
select set_config('app.current_tenant_id', '', true);
select is((select count(*) from public.skills), 0::bigint, 'Bulkhead''s alone shows nothing');
select set_config('app.current_tenant_id', '12', true);
select is((select count(*) from public.skills), 0::bigint, 'two tenants named show nothing');
select set_config('app.current_tenant_id', '%', true);
select is((select count(*) from public.skills), 0::bigint, 'a pattern is no tenant');

-- ---------------------------------------------------------------- tenant 1 sees all of its rows, and none of 12
select set_config('app.current_tenant_id', '1', true);
select is((select count(*) from public.users), (select rows from truth where tenant = '1' and table_name = 'users'), '1 sees its users');
select is((select count(*) from public.skills), (select rows from truth where tenant = '1' and table_name = 'skills'), '1 sees its skills');
select is((select count(*) from public.ratings), (select rows from truth where tenant = '1' and table_name = 'ratings'), '1 sees its ratings');
select is((select count(*) from public.usage_events), (select rows from truth where tenant = '1' and table_name = 'usage_events'), '1 sees its usage');
select is((select count(*) from public.skill_versions), (select rows from truth where tenant = '1' and table_name = 'skill_versions'), '1 sees its versions');
select is((select count(*) from public.skill_embeddings), (select rows from truth where tenant = '1' and table_name = 'skill_embeddings'), '1 sees its embeddings');
select is((select count(*) from public.skill_reviews), (select rows from truth where tenant = '1' and table_name = 'skill_reviews'), '1 sees its reviews');
select is((select count(*) from public.api_keys), (select rows from truth where tenant = '1' and table_name = 'api_keys'), '1 sees its keys');
select is((select count(*) from public.tenants), 1::bigint, '1 sees one tenant');
select is((select count(*) from public.skills where id = (select skill from actors where tenant = '12')), 0::bigint, 'not a skill of 12 by its id');
select is((select count(*) from public.popular_skills() where tenant_id <> '1'), 0::bigint, 'nor through a function');

select throws_ok(
    format('insert into public.ratings (id, tenant_id, skill_id, user_id, score) values (''x'', ''12'', %L, %L, 1)', (select skill from actors where tenant = '12'), (select member from actors where tenant = '12')),
    '42501', null, 'a row for 12 is refused');
select throws_ok(
    format('insert into public.skill_versions (id, tenant_id, skill_id, version, body) values (''x'', ''1'', %L, 99, '''')', (select skill from actors where tenant = '12')),
    '23503', null, 'a version of a skill of 12 is refused');
select throws_ok('update public.skills set tenant_id = ''12''', '42501', null, 'rows cannot be handed to 12');
select is_empty(format('update public.skills set title = ''x'' where id = %L returning id', (select skill from actors where tenant = '12')), 'a skill of 12 cannot be changed');
select is_empty(format('delete from public.api_keys where tenant_id = %L returning id', '12'), 'keys of 12 cannot be deleted');
select throws_ok('truncate public.skills', '42501', null, 'nothing can be truncated');

-- ---------------------------------------------------------------- the trail
select lives_ok('select public.log_audit(''skill.exported'', ''skill'', ''s'', ''203.0.113.9'', ''{"format": "zip"}'')', 'the application adds an event');
select results_eq(
    'select tenant_id, resource_type, resource_id, ip_address, metadata from public.audit_logs where action = ''skill.exported'' and created_at = now()',
    $$values ('1', 'skill', 's', '203.0.113.9'::inet, '{"format": "zip"}'::jsonb)$$, 'and reads it back');
select is((select count(*) from public.audit_logs where tenant_id is distinct from '1'), 0::bigint, 'nothing of another tenant is in its trail');
select throws_ok('delete from public.audit_logs', '42501', null, 'the trail cannot be deleted');
reset role;
select throws_ok('update public.audit_logs set actor_id = ''somebody else''', '42501', null, 'nor changed, not even by the owner');

select * from finish();
rollback;
