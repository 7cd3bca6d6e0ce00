import type { Mutation } from "./mutation.ts";
import { group } from "./tables.ts";

const su = { superuser: true };

/** What is easy to overlook: detours, neighbours of a rule's subject, words hidden in comments and strings. */
export const subtleMutations: Mutation[] = [
  ...group("policies", [
    [
      "a function that a policy asks says yes to everybody",
      "create or replace function public.my_tenants() returns setof uuid language sql stable security definer set search_path = '' as $$ select t.id from public.tenants as t where auth.uid() is not null $$",
      "policy_changed",
    ],
    [
      "a function that a policy asks is immutable",
      "alter function public.my_tenants() immutable",
      "policy_changed",
    ],
    [
      "the tenant policy is renamed",
      "alter policy bulkhead_tenant on public.messages rename to floor",
      "tenant_policy",
    ],
    [
      "the tenant policy's operator is somebody's own",
      "create function public.yes(uuid, uuid) returns boolean language sql immutable as 'select true'; create operator public.= (leftarg = uuid, rightarg = uuid, function = public.yes); alter policy bulkhead_tenant on public.messages using (tenant_id operator(public.=) any ((select bulkhead.current_tenants())::uuid[]))",
      "tenant_policy",
    ],
    [
      "the tenant policy compares another column",
      "alter policy bulkhead_tenant on public.messages using (project_id = any ((select bulkhead.current_tenants())::uuid[]))",
      "tenant_policy",
    ],
    [
      "the tenant policy is inverted",
      "alter policy bulkhead_tenant on public.messages using (not (tenant_id = any ((select bulkhead.current_tenants())::uuid[])))",
      "tenant_policy",
    ],
    [
      "a member's policy is given to a login",
      "create role bi login; grant usage on schema public to bi; alter policy bulkhead_access on public.messages to authenticated, bi",
      "policy_changed",
      su,
    ],
    [
      "an update policy without a check",
      "create policy edit on public.messages for update to authenticated using (true) with check (true)",
      "policy_changed",
    ],
    [
      "a partition gets a policy of its own",
      "create policy more on public.events_2026 for select to authenticated using (true)",
      "policy_changed",
    ],
    [
      "a declared policy is for more commands",
      'drop policy "tenants of a member" on public.projects; create policy "tenants of a member" on public.projects for all to authenticated using (tenant_id in (select public.my_tenants()))',
      "policy_changed",
    ],
  ]),
  ...group("grants", [
    ["anon may use the kit's door", "grant usage on schema bulkhead_api to anon", "kit_execute"],
    [
      "members may log events for the back end",
      "grant execute on function bulkhead_api.log_event(text, text, text, jsonb) to authenticated",
      "kit_execute",
    ],
    [
      "members may move the ledger's numbers",
      "grant usage, update on sequence bulkhead.audit_events_id_seq to authenticated",
      "kit_grant",
    ],
    ["anon reads a partition", "grant select on public.events_2027 to anon", "anon_grant"],
    [
      "an outsider is given the ledger",
      "create role vendor login; grant usage on schema bulkhead to vendor; grant delete on bulkhead.audit_events to vendor",
      "ledger_grant",
      su,
    ],
    [
      "an outsider may truncate",
      "create role vendor login; grant truncate on public.messages to vendor",
      "dangerous_grant",
      su,
    ],
    [
      "an outsider may attach triggers",
      "create role vendor login; grant trigger on public.messages to vendor",
      "dangerous_grant",
      su,
    ],
    [
      "an outsider may create in the exposed schema",
      "create role vendor login; grant create on schema public to vendor",
      "schema_create",
      su,
    ],
    [
      "an outsider may create in the kit",
      "create role vendor login; grant create on schema bulkhead to vendor",
      "kit_execute",
      su,
    ],
    [
      "members read the secrets",
      "create schema if not exists vault; create table if not exists vault.secrets (id uuid primary key, secret text); grant usage on schema vault to authenticated; grant select on vault.secrets to authenticated",
      "auth_users_exposed",
      su,
    ],
    [
      "members read sessions",
      "create table auth.sessions (id uuid primary key, user_id uuid); grant select on auth.sessions to authenticated",
      "auth_users_exposed",
      su,
    ],
    [
      "members read refresh tokens through a view",
      "create table auth.refresh_tokens (id bigint primary key, token text); create view public.tokens as select * from auth.refresh_tokens; grant select on public.tokens to authenticated",
      "auth_users_exposed",
      su,
    ],
    [
      "a member of a group is given tomorrow's tables",
      "create role visitors nologin; grant visitors to anon; alter default privileges in schema public grant select on tables to visitors",
      "default_privileges",
      { superuser: true },
    ],
  ]),
  ...group("roles", [
    [
      "members watch everybody's queries",
      "grant pg_monitor to authenticated",
      "role_membership",
      su,
    ],
    [
      "the direct role reads everybody's statistics",
      "grant pg_read_all_stats to app_direct",
      "role_membership",
      su,
    ],
    ["anon ends other sessions", "grant pg_signal_backend to anon", "role_membership", su],
    [
      "a login may pass for any member",
      "create role contractor login; grant authenticated to contractor",
      "role_membership",
      su,
    ],
    [
      "a login reaches members by a detour",
      "create role ops nologin; grant authenticated to ops; create role contractor login; grant ops to contractor",
      "role_membership",
      su,
    ],
    [
      "a login streams the log of everything",
      "create role cdc login replication",
      "role_bypasses_rls",
      su,
    ],
    ["the direct role may make databases", "alter role app_direct createdb", "role_attributes", su],
    [
      "bulkhead_service is a superuser",
      "alter role bulkhead_service superuser",
      "role_bypasses_rls",
      su,
    ],
    [
      "the direct role is in bulkhead_service",
      "grant bulkhead_service to app_direct",
      "role_membership",
      su,
    ],
    [
      "the authenticator is the writer",
      "grant bulkhead_audit to authenticator",
      "role_membership",
      su,
    ],
  ]),
  ...group("ownership", [
    [
      "a partition belongs to members",
      "alter table public.events_2027 owner to authenticated",
      "owner_obeys_rls",
      su,
    ],
    [
      "the ledger's seals belong to a login",
      "create role vendor login; grant usage, create on schema bulkhead to vendor; alter table bulkhead.audit_seals owner to vendor",
      "ledger_changed",
      su,
    ],
  ]),
  ...group("settings", [
    [
      "the role is whatever users write",
      "alter role authenticator set pgrst.jwt_role_claim_key = '.user_metadata.role'",
      "setting_pinned",
      su,
    ],
    [
      "tokens are signed with a secret of the database",
      "alter role authenticator set pgrst.jwt_secret = 'reallyreallyreallyreallyverysafe'",
      "search_path_changed",
      su,
    ],
    [
      "the database names a claim",
      "do $$ begin execute format('alter database %I set request.headers = %L', current_database(), '{\"x-tenant-id\": \"1\"}'); end $$",
      "setting_pinned",
      su,
    ],
    [
      "members start with row_security off here only",
      "do $$ begin execute format('alter role authenticated in database %I set row_security = off', current_database()); end $$",
      "setting_pinned",
      su,
    ],
    [
      "the direct role starts as somebody else",
      "grant service_role to app_direct; alter role app_direct set role = 'service_role'",
      "setting_pinned",
      su,
    ],
    [
      "every role starts as a replica",
      "alter role all set session_replication_role = 'replica'",
      "setting_pinned",
      su,
    ],
    [
      "an org is pinned to the database",
      "do $$ begin execute format('alter database %I set app.current_org_id = %L', current_database(), '1'); end $$",
      "setting_pinned",
      su,
    ],
    [
      "event triggers are off",
      "do $$ begin execute format('alter database %I set event_triggers = off', current_database()); end $$",
      "setting_pinned",
      { superuser: true, from: 17 },
    ],
  ]),
  ...group("triggers", [
    [
      "a comment hides what a trigger does",
      "create function public.meddle() returns trigger language plpgsql as $$ begin raise notice '-- a note'; new.tenant_id := '00000000-0000-4000-8000-000000000001'; return new; end $$; create trigger aaa before insert on public.messages for each row execute function public.meddle()",
      "trigger_shadows",
    ],
    [
      "two strings hide what a trigger does",
      "create function public.meddle() returns trigger language plpgsql as $$ begin raise notice '/*'; new.tenant_id := '00000000-0000-4000-8000-000000000001'; raise notice '*/'; return new; end $$; create trigger aaa before insert on public.messages for each row execute function public.meddle()",
      "trigger_shadows",
    ],
    [
      "a trigger on one partition moves rows",
      "create function public.meddle() returns trigger language plpgsql as $$ begin new.tenant_id := '00000000-0000-4000-8000-000000000001'; return new; end $$; create trigger aaa before insert on public.events_2026 for each row execute function public.meddle()",
      "trigger_shadows",
    ],
    [
      'a trigger writes "NEW"."TENANT"',
      "create function public.meddle() returns trigger language plpgsql as $$ BEGIN NEW . \"tenant_id\" = '00000000-0000-4000-8000-000000000001'; RETURN NEW; END $$; create trigger aaa before update on public.messages for each row execute function public.meddle()",
      "trigger_shadows",
    ],
    [
      "a trigger loops into the tenant",
      "create function public.meddle() returns trigger language plpgsql as $$ begin for new.tenant_id in select id from public.tenants loop exit; end loop; return new; end $$; create trigger aaa before insert on public.messages for each row execute function public.meddle()",
      "trigger_shadows",
    ],
    [
      "a trigger fetches the tenant",
      "create function public.meddle() returns trigger language plpgsql as $$ declare c refcursor; begin open c for select id from public.tenants; fetch c into new.tenant_id; return new; end $$; create trigger aaa before insert on public.messages for each row execute function public.meddle()",
      "trigger_shadows",
    ],
    [
      "an exception handler moves the row",
      "create function public.meddle() returns trigger language plpgsql as $$ begin perform 1/0; return new; exception when division_by_zero then new.tenant_id := '00000000-0000-4000-8000-000000000001'; return new; end $$; create trigger aaa before insert on public.messages for each row execute function public.meddle()",
      "trigger_shadows",
    ],
    [
      "an insert trigger redirects rows",
      "create function public.meddle() returns trigger language plpgsql as $$ begin insert into public.notes (tenant_id, body) values (new.tenant_id, new.body); return null; end $$; create trigger aaa before insert on public.messages for each row execute function public.meddle()",
      "trigger_shadows",
    ],
    [
      "a helper fixes the row",
      "create function public.fix(m public.messages) returns public.messages language sql as $$ select m $$; create function public.meddle() returns trigger language plpgsql as $$ begin return public.fix(new); end $$; create trigger aaa before insert on public.messages for each row execute function public.meddle()",
      "trigger_shadows",
    ],
    [
      "a declared trigger is for a replica only",
      "alter table public.projects enable replica trigger touch",
      "trigger_changed",
    ],
    [
      "a declared trigger's function swallows rows",
      "create or replace function public.touch() returns trigger language plpgsql as $$ begin return null; end $$",
      "trigger_shadows",
      {
        first:
          "create or replace function public.touch() returns trigger language plpgsql set search_path = '' as $$ begin new.updated_at := now(); return new; end $$",
      },
    ],
  ]),
  ...group("functions", [
    [
      "a definer runs what it is told",
      "create function public.exec_sql(query text) returns void language plpgsql security definer set search_path = '' as $$ begin execute query; end $$; revoke all on function public.exec_sql(text) from public, anon",
      "definer_reads_tenants",
    ],
    [
      "a definer reads the table it is told",
      "create function public.rows_of(t text) returns setof jsonb language plpgsql security definer set search_path = '' as $$ begin return query execute format('select to_jsonb(x) from public.%I as x', t); end $$; revoke all on function public.rows_of(text) from public, anon",
      "definer_reads_tenants",
    ],
    [
      "a definer reads through a view",
      "create function public.list_all() returns setof public.message_list language sql security definer set search_path = '' as 'select * from public.message_list'; revoke all on function public.list_all() from public, anon",
      "definer_reads_tenants",
    ],
    [
      "a definer mentions who is asking in a comment only",
      "create function public.all_messages() returns bigint language sql security definer set search_path = '' as $$ select count(*) from public.messages -- auth.uid() is not needed here\n $$; revoke all on function public.all_messages() from public, anon",
      "definer_reads_tenants",
    ],
    [
      "a definer calls one that trusts its caller",
      "create function public.total() returns bigint language sql security definer set search_path = '' as 'select public.count_messages()'; revoke all on function public.total() from public, anon",
      "definer_reads_tenants",
    ],
    [
      "a procedure is a definer",
      "create procedure public.sweep() language sql security definer set search_path = '' as 'delete from public.messages'; revoke all on procedure public.sweep() from public, anon",
      "definer_reads_tenants",
    ],
    [
      "a procedure is a definer for anybody, without a search_path",
      "create procedure public.sweep() language plpgsql security definer as 'begin null; end'",
      "definer_anon",
    ],
    [
      "a definer in a schema that nobody serves",
      "create schema private; grant usage on schema private to app_direct; create function private.all_messages() returns setof public.messages language sql security definer set search_path = '' as 'select * from public.messages'",
      "definer_reads_tenants",
      su,
    ],
    [
      "a definer with a body of the standard",
      "create function public.n_messages() returns bigint language sql security definer set search_path = '' begin atomic select count(*) from public.messages; end; revoke all on function public.n_messages() from public, anon",
      "definer_reads_tenants",
    ],
    [
      "a function returns sessions",
      "create table auth.sessions (id uuid primary key, user_id uuid); create function public.sessions() returns bigint language sql security definer set search_path = '' as 'select count(*) from auth.sessions'; revoke all on function public.sessions() from public, anon; grant execute on function public.sessions() to authenticated",
      "auth_users_exposed",
      su,
    ],
    [
      "a definer that belongs to a superuser",
      "create function public.peek() returns setof public.notes language sql security definer set search_path = '' as 'select * from public.notes'; revoke all on function public.peek() from public, anon; alter function public.peek() owner to supabase_admin",
      "definer_reads_tenants",
      su,
    ],
  ]),
  ...group("constraints", [
    [
      "a row may be its own tenant's child no more",
      "alter table public.messages add column parent_id uuid references public.messages (id)",
      "foreign_key_without_tenant",
    ],
    [
      "an exclusion over all tenants",
      "alter table public.messages add constraint one_body exclude using btree (body with =)",
      "unique_without_tenant",
    ],
    [
      "a check lets everything through",
      "alter table public.messages drop constraint messages_body_check, add constraint messages_body_check check (true)",
      "constraint_dropped",
    ],
    [
      "the primary key is another one",
      "alter table public.messages drop constraint messages_pkey, add constraint messages_pkey primary key (body, id)",
      "constraint_dropped",
    ],
    [
      "the reference to the tenants is not valid",
      "alter table public.messages drop constraint messages_tenant_id_fkey, add constraint messages_tenant_id_fkey foreign key (tenant_id) references public.tenants (id) on delete restrict not valid",
      "foreign_key_not_valid",
    ],
    [
      "the reference leads to another table",
      "create table public.orgs (id uuid primary key); insert into public.orgs select id from public.tenants; select bulkhead.exempt('public.orgs', 'the organisations of everybody'); alter table public.messages drop constraint messages_tenant_id_fkey, add constraint messages_tenant_id_fkey foreign key (tenant_id) references public.orgs (id) on delete restrict",
      "tenant_reference_missing",
    ],
    [
      "a foreign key sets its default",
      "alter table public.messages drop constraint messages_project_id_fkey, add constraint messages_project_id_fkey foreign key (tenant_id, project_id) references public.projects (tenant_id, id) on delete set default",
      "foreign_key_cascades",
    ],
  ]),
  ...group("tenant column", [
    [
      "of a child has a default",
      "alter table public.notes_archive alter column tenant_id set default '00000000-0000-4000-8000-000000000001'",
      "tenant_column_default",
    ],
    [
      "of a partition has a default",
      "alter table public.events_2026 alter column tenant_id set default '00000000-0000-4000-8000-000000000001'",
      "tenant_column_default",
    ],
  ]),
  ...group("new tables", [
    [
      "an exempt table that links tenants' rows",
      "create table public.message_labels (message_id uuid references public.messages (id), label text, primary key (message_id, label)); select bulkhead.exempt('public.message_labels', 'just labels of messages'); grant select, insert on public.message_labels to authenticated",
      "exempt_table_exposed",
    ],
    [
      "an exempt table that belongs to tenants by another name",
      "create table public.invoices (id uuid primary key, customer uuid references public.tenants (id)); select bulkhead.exempt('public.invoices', 'somebody was in a hurry'); grant select on public.invoices to authenticated",
      "exempt_table_exposed",
    ],
    [
      "an exempt table gets the tenant later",
      "alter table public.plans add column tenant_id uuid",
      "exempt_table_exposed",
    ],
    ["a table is unprotected", "select bulkhead.unprotect('public.notes')", "table_unclassified"],
    [
      "an unlogged copy",
      "create unlogged table public.cache (id uuid primary key, tenant_id uuid, body text)",
      "table_unclassified",
    ],
  ]),
  ...group("views and rules", [
    [
      "a view of a materialized view that was closed",
      "create schema inside; create materialized view inside.copies as select * from public.messages; create view public.copies as select * from inside.copies",
      "view_bypasses_rls",
    ],
    [
      "a view shows members of every tenant",
      "create view public.people as select user_id, role from public.members",
      "view_bypasses_rls",
    ],
    [
      "a declared view loses its invoker by being replaced",
      "drop view public.message_list; create view public.message_list as select id, tenant_id, body from public.messages",
      "view_bypasses_rls",
    ],
    [
      "a barrier is no invoker",
      "create view public.safe with (security_barrier = true) as select * from public.messages where tenant_id = '00000000-0000-4000-8000-000000000001'",
      "view_bypasses_rls",
    ],
    [
      "a rule on a partition",
      "create rule quiet as on insert to public.events_2026 do instead nothing",
      "rewrite_rule",
    ],
    [
      "a rule on update notifies",
      "create rule tell as on update to public.messages do also notify changes",
      "rewrite_rule",
    ],
    [
      "one column of a view is granted",
      "create view public.v as select * from public.messages; revoke all on public.v from anon, authenticated; grant select (body) on public.v to authenticated",
      "view_bypasses_rls",
    ],
  ]),
  ...group("publications and replica identity", [
    [
      "a publication of some rows",
      "create publication few for table public.messages where (body <> '')",
      "publication_exposes",
    ],
    [
      "a publication of some columns",
      "create publication ids for table public.messages (id)",
      "publication_exposes",
    ],
    [
      "the replica identity is an index",
      "alter table public.messages replica identity using index messages_tenant_id_id_key",
      "replica_identity_changed",
    ],
    [
      "Realtime carries a whole schema",
      "alter publication supabase_realtime add tables in schema public",
      "publication_exposes",
      su,
    ],
    [
      "Realtime carries the settings of the kit",
      "alter publication supabase_realtime add table bulkhead.settings",
      "publication_exposes",
    ],
  ]),
  ...group("ledger", [
    [
      "a check refuses events",
      "alter table bulkhead.audit_events add constraint no_tenant check (tenant_id is not null) not valid",
      "ledger_changed",
    ],
    [
      "a partition's check refuses events",
      "alter table bulkhead.audit_events_default add constraint never check (false)",
      "ledger_changed",
    ],
    [
      "a unique index refuses events",
      "create unique index u on bulkhead.audit_events_default (table_name)",
      "ledger_changed",
    ],
    [
      "a column is generated elsewhere",
      "alter table bulkhead.audit_events alter column xid set default 0",
      "ledger_changed",
    ],
  ]),
  ...group("the kit itself", [
    [
      "a table is what the tenants are, says somebody",
      "update bulkhead.protected_tables set is_tenants_table = true where relation = 'public.messages'::regclass",
      "declaration_missing",
    ],
    [
      "the membership's column is another one",
      "update bulkhead.settings set membership_user_column = 'id'",
      "settings_changed",
    ],
    [
      "a trusted view forgets a role",
      "create or replace view bulkhead.request_roles with (security_invoker = true) as select oid, rolname, rolsuper, rolbypassrls, false as obeys_rls from pg_catalog.pg_roles where false",
      "kit_object_changed",
    ],
    [
      "a parent is invented",
      "update bulkhead.protected_tables set parent = 'public.notes' where relation = 'public.messages'::regclass",
      "protected_table_missing",
    ],
    [
      "the operation of the door is another one",
      "create or replace function bulkhead_api.record_platform_access(reason text, minutes integer default 15) returns timestamptz language sql as 'select now()'",
      "kit_function_changed",
    ],
    [
      "a table appears in the kit",
      "create table bulkhead.tenant_cache (id uuid primary key, body text); grant select on bulkhead.tenant_cache to authenticated",
      "kit_grant",
    ],
    [
      "the facts are forgotten",
      "delete from bulkhead.kit_facts where kind = 'policy'",
      "kit_installed",
    ],
    ["all facts are forgotten", "delete from bulkhead.kit_facts", "kit_installed"],
  ]),
  ...group("schedule", [
    [
      "sealing is done elsewhere",
      "update cron.job set database = 'elsewhere' where jobname = 'bulkhead:audit:seal'",
      "job_missing",
      su,
    ],
    [
      "backups are unscheduled",
      "select cron.unschedule(jobid) from cron.job where jobname like 'bulkhead:backup%'",
      "job_missing",
    ],
  ]),
  ...group("files", [
    [
      "whoever is logged in reads every file",
      "create policy read on storage.objects for select to authenticated using (auth.uid() is not null)",
      "storage_policy",
      su,
    ],
    [
      "whoever has a role reads every file",
      "create policy read on storage.objects for select to authenticated using (auth.role() = 'authenticated' and bucket_id = 'owners')",
      "storage_policy",
      su,
    ],
    [
      "the policy of buckets",
      "create policy all_of_them on storage.buckets for all to authenticated using (true)",
      "storage_policy",
      su,
    ],
    [
      "a bucket becomes public",
      "insert into storage.buckets (id, name, public) values ('avatars', 'avatars', false); update storage.buckets set public = true where id = 'avatars'",
      "storage_bucket_public",
      su,
    ],
  ]),
  ...group("membership", [
    [
      "members add themselves with any role that is not owner",
      "create policy join_in on public.members for insert to authenticated with check (user_id = auth.uid() and role <> 'owner')",
      "membership_self_service",
    ],
    [
      "members add whomever",
      "create policy join_in on public.members for insert to authenticated with check (auth.uid() is not null)",
      "membership_self_service",
    ],
    [
      "members add themselves if they say they are active",
      "create policy join_in on public.members for insert to authenticated with check ((select auth.uid()) = user_id and is_active)",
      "membership_self_service",
    ],
    [
      "the membership table is given to anon to insert",
      "grant insert on public.members to anon; create policy sign_up on public.members for insert to anon with check (true)",
      "membership_self_service",
    ],
  ]),
];
