-- The survey platform's boundary on the rows that are there: run it on a live copy or on a restored backup.
-- Reads as application_role, the role of the back end; everything rolls back. Needs pgTAP and the organizations 1 and 12.
begin;
set local search_path = public, extensions;
set local client_min_messages = warning;
select plan(41);

-- On 16 and later the maker of a role may not become it without this.
grant application_role to current_user;
grant usage on schema extensions to application_role;

-- What each organization really holds, counted past every policy, and one session of each.
create temporary table truth on commit drop as
select o.id as org, n.name as table_name,
    (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from public.%I where org_id = %s', n.name, o.id), false, true, '')))[1]::text::bigint as rows
from public.organizations as o
cross join unnest(array['surveys', 'questions', 'sessions', 'answers', 'facts', 'conversation_history', 'conversation_state', 'ai_session_logs']) as n (name)
where o.id in (1, 12);
create temporary table theirs on commit drop as
select s.id as session, s.survey_id as survey from public.sessions as s where s.org_id = 12 order by s.id limit 1;
grant select on truth, theirs to public;

select is((select count(*)::integer from truth where rows > 0), 16, 'both organizations have rows in every table compared');

-- ---------------------------------------------------------------- the catalog
select is(
    (select count(*)::integer from pg_catalog.pg_policy where polname = 'tenant_isolation' and polpermissive and polcmd = '*' and polqual is not null and polwithcheck is not null),
    8, 'tenant_isolation is on eight tables, with using and with check');
select is(
    (select count(*)::integer from pg_catalog.pg_class as c join pg_catalog.pg_policy as p on p.polrelid = c.oid and p.polname = 'bulkhead_tenant' and not p.polpermissive where c.relrowsecurity and c.relforcerowsecurity),
    9, 'the floor on those and the organizations, forced');
select is(
    (select count(*)::integer from pg_catalog.pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace and (confdeltype <> 'r' or not convalidated)),
    0, 'every foreign key restricts and is validated');
select is(
    (select count(*)::integer from pg_catalog.pg_attribute where attname = 'org_id' and attnotnull and not atthasdef and atttypid = 'bigint'::regtype
     and attrelid in (select relation from bulkhead.protected_tables)),
    8, 'org_id is bigint, required, without a default');
select ok(
    (select not rolbypassrls and not rolsuper and not rolinherit from pg_catalog.pg_roles where rolname = 'application_role'),
    'application_role obeys row level security');
select is(
    (select count(*)::integer from pg_catalog.pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')
     and (has_table_privilege('anon', oid, 'select') or has_table_privilege('authenticated', oid, 'select') or has_table_privilege('service_role', oid, 'select'))),
    0, 'no other role of the API reads anything');

-- ---------------------------------------------------------------- no context, half a context, two contexts, garbage
set local role application_role;
select is((select count(*) from public.sessions), 0::bigint, 'without a context there are no rows');
select is((select count(*) from public.session_overview), 0::bigint, 'nor through the view');
select throws_ok('insert into public.facts (org_id, subject, value) values (1, ''x'', ''x'')', '42501', null, 'and nothing can be written');
select throws_ok('select bulkhead.set_tenant(null)', 'BH006', null, 'no organization is no context');
select throws_ok('select bulkhead.set_tenant(''1 or true'')', '22P02', null, 'text that is no id is an error');
select set_config('app.current_org_id', '1', true);
select is((select count(*) from public.sessions), 0::bigint, 'the application''s setting alone shows nothing');
select bulkhead.set_tenant('1');
select set_config('app.current_org_id', '', true);
select is((select count(*) from public.sessions), 0::bigint, 'Bulkhead''s alone shows nothing');
select set_config('app.current_org_id', '12', true);
select is((select count(*) from public.sessions), 0::bigint, 'two organizations named show nothing');
select set_config('app.current_org_id', 'x', true);
select throws_ok('select count(*) from public.sessions', '22P02', null, 'garbage is an error, never a row');

-- ---------------------------------------------------------------- 1 sees all of its rows, and none of 12
select set_config('app.current_org_id', '1', true);
select is((select count(*) from public.surveys), (select rows from truth where org = 1 and table_name = 'surveys'), '1 sees its surveys');
select is((select count(*) from public.questions), (select rows from truth where org = 1 and table_name = 'questions'), '1 sees its questions');
select is((select count(*) from public.sessions), (select rows from truth where org = 1 and table_name = 'sessions'), '1 sees its sessions');
select is((select count(*) from public.answers), (select rows from truth where org = 1 and table_name = 'answers'), '1 sees its answers');
select is((select count(*) from public.facts), (select rows from truth where org = 1 and table_name = 'facts'), '1 sees its facts');
select is((select count(*) from public.conversation_history), (select rows from truth where org = 1 and table_name = 'conversation_history'), '1 sees its conversations');
select is((select count(*) from public.conversation_state), (select rows from truth where org = 1 and table_name = 'conversation_state'), '1 sees their state');
select is((select count(*) from public.ai_session_logs), (select rows from truth where org = 1 and table_name = 'ai_session_logs'), '1 sees its logs');
select is((select count(*) from public.session_overview), (select rows from truth where org = 1 and table_name = 'sessions'), '1 sees its overview, and no more');
select is((select count(*) from public.organizations), 1::bigint, '1 sees one organization');
select is((select count(*) from public.sessions where id = (select session from theirs)), 0::bigint, 'not a session of 12 by its id');
select is((select count(*) from public.conversation_history where session_id = (select session from theirs)), 0::bigint, 'nor what was said in it');
select is((select count(*) from public.answers where org_id <> 1), 0::bigint, 'nor anything by asking for others');

select throws_ok('insert into public.facts (org_id, subject, value) values (12, ''x'', ''x'')', '42501', null, 'a fact for 12 is refused');
select throws_ok(
    format('insert into public.conversation_history (org_id, session_id, speaker, content) values (1, %s, ''system'', ''x'')', (select session from theirs)),
    '23503', null, 'a word in a session of 12 is refused');
select throws_ok(
    format('insert into public.sessions (org_id, survey_id) values (1, %s)', (select survey from theirs)),
    '23503', null, 'a session of a survey of 12 is refused');
select throws_ok('update public.sessions set org_id = 12', '42501', null, 'rows cannot be handed to 12');
select is_empty(format('update public.sessions set respondent = ''x'' where id = %s returning id', (select session from theirs)), 'a session of 12 cannot be changed');
select is_empty('delete from public.ai_session_logs where org_id = 12 returning id', 'logs of 12 cannot be deleted');
select throws_ok('truncate public.facts', '42501', null, 'nothing can be truncated');
select throws_ok('insert into public.organizations (name) values (''x'')', '42501', null, 'organizations are not made here');
select lives_ok('insert into public.facts (org_id, subject, value) values (1, ''mood'', ''fine'')', 'an own fact can be written');
reset role;
select is(
    (select tenant_id from bulkhead.audit_events where table_name = 'public.facts' and created_at = now() and operation = 'INSERT'),
    '1', 'and is in the ledger');
select is((select actor_role::text from bulkhead.audit_events where table_name = 'public.facts' and created_at = now() and operation = 'INSERT'),
    'application_role', 'with the role that wrote it');
select throws_ok(format('delete from public.surveys where id = %s', (select survey from theirs)), null, null, 'a survey with sessions cannot go');

select * from finish();
rollback;
