import type { Mutation } from "./mutation.ts";
import { group } from "./tables.ts";

/** What lies around the tables: the back end's key, logins, memberships, files, other servers, the kit's settings. */
export const platformMutations: Mutation[] = [
  ...group("service role", [
    [
      "nobody answers for its reads any more",
      "delete from bulkhead.accepted_findings",
      "service_role_reads",
    ],
    [
      "is given back a table after it was closed",
      "select bulkhead.close_service_role(); grant select on public.messages to service_role",
      "service_role_reopened",
    ],
    [
      "is given back one column after it was closed",
      "select bulkhead.close_service_role(); grant update (body) on public.messages to service_role",
      "service_role_reopened",
    ],
    [
      "the glass is broken",
      "select bulkhead.break_glass('somebody is at work here', 30)",
      "break_glass_active",
    ],
    [
      "the glass was broken without a word",
      "insert into bulkhead.glass_breaks (role, reason, until) values ('app_direct', 'slipped in by hand', now() + interval '1 hour')",
      "break_glass_active",
    ],
    [
      "its successor bypasses RLS",
      "alter role bulkhead_service bypassrls",
      "role_bypasses_rls",
      { superuser: true },
    ],
    [
      "its successor may log in",
      "alter role bulkhead_service login",
      "role_attributes",
      { superuser: true },
    ],
    [
      "its successor may truncate",
      "grant truncate on public.messages to bulkhead_service",
      "dangerous_grant",
    ],
    [
      "its successor's policy shows everything",
      "alter policy bulkhead_service on public.messages using (true) with check (true)",
      "policy_changed",
    ],
  ]),
  ...group("membership", [
    [
      "nobody notes who was a member",
      "drop trigger bulkhead_members on public.members",
      "write_trigger",
    ],
    [
      "the note is switched off",
      "alter table public.members disable trigger bulkhead_members",
      "write_trigger",
    ],
    [
      "members insert themselves",
      "create policy join_in on public.members for insert to authenticated with check (user_id = (select auth.uid()))",
      "membership_self_service",
    ],
    [
      "members promote themselves",
      "create policy own on public.members for update to authenticated using (user_id = auth.uid())",
      "membership_self_service",
    ],
    [
      "members write whoever is in their tenant",
      "create policy team on public.members for all to public using (tenant_id = any ((select bulkhead.current_tenants())::uuid[]))",
      "membership_self_service",
    ],
    [
      "a sign-up puts people where they say",
      "create function public.on_sign_up() returns trigger language plpgsql security definer set search_path = '' as $$ begin insert into public.members (tenant_id, user_id) values ((new.raw_user_meta_data ->> 'tenant_id')::uuid, new.id); return new; end $$; create trigger on_sign_up after insert on auth.users for each row execute function public.on_sign_up()",
      "trusts_user_metadata",
      { superuser: true },
    ],
    [
      "a sign-up makes administrators of whoever says so",
      "create function public.on_sign_up() returns trigger language plpgsql security definer set search_path = '' as $$ begin insert into public.members (tenant_id, user_id, role) values (gen_random_uuid(), new.id, new.raw_user_meta_data->>'role'); return new; end $$; create trigger on_sign_up after insert on auth.users for each row execute function public.on_sign_up()",
      "trusts_user_metadata",
      { superuser: true },
    ],
    [
      "a policy believes user_metadata",
      "create policy own on public.messages as restrictive for select to authenticated using (tenant_id = ((auth.jwt() -> 'user_metadata') ->> 'tenant_id')::uuid)",
      "trusts_user_metadata",
    ],
  ]),
  ...group("logins", [
    [
      "a view shows them",
      "create view public.people as select id, email from auth.users; grant select on public.people to authenticated",
      "auth_users_exposed",
      { superuser: true },
    ],
    [
      "a view on a closed view shows them",
      "create schema inside; create view inside.people as select * from auth.users; create view public.people as select email from inside.people; grant select on public.people to anon",
      "auth_users_exposed",
      { superuser: true },
    ],
    [
      "a materialized view keeps them",
      "create materialized view public.people as select email from auth.users; grant select on public.people to authenticated",
      "auth_users_exposed",
      { superuser: true },
    ],
    [
      "a function returns them",
      "create function public.emails() returns setof text language sql security definer set search_path = '' as 'select email::text from auth.users'; revoke all on function public.emails() from public, anon; grant execute on function public.emails() to authenticated",
      "auth_users_exposed",
      { superuser: true },
    ],
    [
      "the table itself is granted",
      "grant select on auth.users to authenticated",
      "auth_users_exposed",
      { superuser: true },
    ],
    [
      "one column is granted",
      "grant select (email) on auth.users to anon",
      "auth_users_exposed",
      { superuser: true },
    ],
  ]),
  ...group("files", [
    [
      "a bucket is public",
      "insert into storage.buckets (id, name, public) values ('contracts', 'contracts', true)",
      "storage_bucket_public",
      { superuser: true },
    ],
    [
      "every member reads every file",
      "create policy read on storage.objects for select to authenticated using (bucket_id = 'contracts')",
      "storage_policy",
      { superuser: true },
    ],
    [
      "visitors upload",
      "create policy upload on storage.objects for insert to anon with check (true)",
      "storage_policy",
      { superuser: true },
    ],
    [
      "RLS is off",
      "alter table storage.objects disable row level security",
      "storage_rls",
      { superuser: true },
    ],
    [
      "a large object is everybody's",
      "select lo_create(4242); grant select on large object 4242 to public",
      "large_object_exposed",
    ],
    [
      "large objects ask nobody",
      "do $$ begin execute format('alter database %I set lo_compat_privileges = on', current_database()); end $$",
      "setting_pinned",
      { superuser: true },
    ],
  ]),
  ...group("channels", [
    [
      "whoever is logged in hears everything",
      "create policy hear on realtime.messages for select to authenticated using (true)",
      "realtime_policy",
    ],
    [
      "whoever is logged in speaks everywhere",
      "create policy speak on realtime.messages for insert to authenticated with check (extension = 'broadcast' and auth.uid() is not null)",
      "realtime_policy",
    ],
    [
      "channels are open to whoever knows their name",
      "create policy hear on realtime.messages for select to authenticated using (realtime.topic() like 'tenant:%' and 'auth.uid()' <> '')",
      "realtime_policy",
    ],
    [
      "members of any tenant join those of every tenant",
      "create policy hear on realtime.messages for select to authenticated using (exists (select from public.members as m where m.user_id = auth.uid() and 'topic' <> ''))",
      "realtime_policy",
    ],
    [
      "a channel that a table without policies knows is open",
      "create table public.rooms (name text primary key); select bulkhead.exempt('public.rooms', 'names of rooms, of everybody'); create policy hear on realtime.messages for all to public using (realtime.topic() in (select r.name from public.rooms as r)) with check (false)",
      "realtime_policy",
    ],
    [
      "nobody asks who joins",
      "alter table realtime.messages disable row level security",
      "realtime_rls",
    ],
  ]),
  ...group("other servers", [
    [
      "members may use one",
      "create foreign data wrapper w; create server elsewhere foreign data wrapper w; grant usage on foreign server elsewhere to authenticated",
      "foreign_access",
      { superuser: true },
    ],
    [
      "everybody has a user there",
      "create foreign data wrapper w; create server elsewhere foreign data wrapper w; create user mapping for public server elsewhere",
      "foreign_access",
      { superuser: true },
    ],
  ]),
  ...group("the kit's settings", [
    [
      "a role is trusted past configure()",
      "create role etl; update bulkhead.settings set platform_roles = platform_roles || '{etl}'::name[]",
      "settings_changed",
      { superuser: true },
    ],
    [
      "a role becomes a direct one",
      "create role etl; update bulkhead.settings set direct_roles = direct_roles || '{etl}'::name[]",
      "settings_changed",
      { superuser: true },
    ],
    [
      "disabled members count again",
      "update bulkhead.settings set membership_active = null",
      "settings_changed",
    ],
    [
      "members may read them",
      "grant select on bulkhead.settings to authenticated",
      "kit_grant",
    ],
    [
      "members may read one column of them",
      "grant select (audit_function) on bulkhead.protected_tables to authenticated",
      "kit_grant",
    ],
    [
      "the ledger's net is gone",
      "drop table bulkhead.audit_events_default",
      "ledger_partition_missing",
    ],
  ]),
  ...group("powers", [
    [
      "the API's door may make members",
      "grant service_role to authenticator with admin option",
      "role_membership",
      { superuser: true },
    ],
    [
      "the direct role may switch triggers off",
      "grant set on parameter session_replication_role to app_direct",
      "role_attributes",
      { superuser: true },
    ],
    [
      "members may lock and rewrite",
      "grant maintain on public.messages to authenticated",
      "dangerous_grant",
      { from: 17 },
    ],
    [
      "each new object is opened by an event trigger",
      "create function public.open_all() returns event_trigger language plpgsql as $$ begin null; end $$; create event trigger open_all on ddl_command_end execute function public.open_all()",
      "event_trigger_changed",
      { superuser: true },
    ],
    [
      "a copy in an open schema",
      "create schema staging; create table staging.copies (body text); grant usage on schema staging to app_direct; grant select on staging.copies to app_direct",
      "table_unclassified",
      {
        first: "select bulkhead.exempt('staging.copies', 'what it holds is public')",
      },
    ],
  ]),
  ...group("the application's own constraints", [
    [
      "a check is dropped",
      "alter table public.messages drop constraint messages_body_check",
      "constraint_dropped",
    ],
    [
      "a check is no longer validated",
      "alter table public.messages drop constraint messages_body_check, add constraint messages_body_check check (body <> '') not valid",
      "constraint_dropped",
    ],
  ]),
];
