import type { Mutation } from "./mutation.ts";
import { group } from "./tables.ts";

/** Grants, roles, ownership, settings, replication. */
export const rightMutations: Mutation[] = [
  ...group("grants", [
    ["anon may read", "grant select on public.messages to anon", "anon_grant"],
    ["everybody may write", "grant insert on public.messages to public", "anon_grant"],
    ["anon may read one column", "grant select (body) on public.messages to anon", "anon_grant"],
    [
      "everybody may update one column",
      "grant update (body) on public.messages to public",
      "anon_grant",
    ],
    [
      "anon is in a role that may read",
      "create role readers; grant select on public.messages to readers; grant readers to anon",
      "anon_grant",
      { first: "revoke readers from anon" },
    ],
    [
      "members may truncate",
      "grant truncate on public.messages to authenticated",
      "dangerous_grant",
    ],
    [
      "the back end may add triggers",
      "grant trigger on public.messages to service_role",
      "dangerous_grant",
    ],
    [
      "members may reference",
      "grant references on public.messages to authenticated",
      "dangerous_grant",
    ],
    [
      "members may reference one column",
      "grant references (tenant_id) on public.messages to authenticated",
      "dangerous_grant",
    ],
    [
      "the direct role may truncate",
      "grant truncate on public.messages to app_direct",
      "dangerous_grant",
    ],
    [
      "members may pass select on",
      "grant select on public.messages to authenticated with grant option",
      "grant_option",
    ],
    [
      "members may pass one column on",
      "grant update (body) on public.messages to authenticated with grant option",
      "grant_option",
    ],
    [
      "anon may use a table's sequence",
      "grant usage, update on sequence public.messages_number_seq to anon",
      "sequence_grant",
    ],
    [
      "everybody may use a sequence",
      "create sequence public.invoices; grant all on sequence public.invoices to public",
      "sequence_grant",
    ],
    [
      "anon is given tomorrow's tables",
      "alter default privileges in schema public grant select on tables to anon",
      "default_privileges",
    ],
    [
      "everybody is given tomorrow's tables",
      "alter default privileges in schema public grant all on tables to public",
      "default_privileges",
    ],
    [
      "anon is given tomorrow's functions",
      "alter default privileges in schema public grant execute on functions to anon",
      "default_privileges",
    ],
    [
      "everybody is given tomorrow's sequences everywhere",
      "alter default privileges grant all on sequences to public",
      "default_privileges",
    ],
    [
      "members are given tomorrow's tables of the kit",
      "alter default privileges in schema bulkhead grant select on tables to authenticated",
      "default_privileges",
    ],
    [
      "members may pass tomorrow's tables on",
      "alter default privileges in schema public grant select on tables to authenticated with grant option",
      "default_privileges",
    ],
    [
      "members may create in the exposed schema",
      "grant create on schema public to authenticated",
      "schema_create",
      { superuser: true },
    ],
    [
      "everybody may create in the exposed schema",
      "grant create on schema public to public",
      "schema_create",
      { superuser: true },
    ],
    [
      "members may create schemas",
      "do $$ begin execute format('grant create on database %I to authenticated', current_database()); end $$",
      "schema_create",
    ],
  ]),
  ...group("roles", [
    ["members bypass RLS", "alter role authenticated bypassrls", "role_bypasses_rls", {
      superuser: true,
    }],
    ["anon bypasses RLS", "alter role anon bypassrls", "role_bypasses_rls", { superuser: true }],
    ["the direct role bypasses RLS", "alter role app_direct bypassrls", "role_bypasses_rls", {
      superuser: true,
    }],
    [
      "the authenticator is a superuser",
      "alter role authenticator superuser",
      "role_bypasses_rls",
      { superuser: true },
    ],
    ["service_role is a superuser", "alter role service_role superuser", "role_bypasses_rls", {
      superuser: true,
    }],
    [
      "a role that nobody declared bypasses RLS",
      "create role reporting login bypassrls",
      "role_bypasses_rls",
      { superuser: true },
    ],
    ["a second superuser appears", "create role backdoor login superuser", "role_bypasses_rls", {
      superuser: true,
    }],
    ["members may create roles", "alter role authenticated createrole", "role_attributes", {
      superuser: true,
    }],
    ["the authenticator may replicate", "alter role authenticator replication", "role_attributes", {
      superuser: true,
    }],
    ["service_role may log in", "alter role service_role login", "role_attributes", {
      superuser: true,
    }],
    ["anon may log in", "alter role anon login", "role_attributes", { superuser: true }],
    ["the authenticator inherits", "alter role authenticator inherit", "role_attributes", {
      superuser: true,
    }],
    [
      "the authenticator inherits service_role",
      "grant service_role to authenticator with inherit true",
      "role_membership",
      { superuser: true, from: 16 },
    ],
    ["members are in service_role", "grant service_role to authenticated", "role_membership", {
      superuser: true,
    }],
    ["anon is in authenticated", "grant authenticated to anon", "role_membership", {
      superuser: true,
    }],
    ["members are in the superuser", "grant supabase_admin to authenticated", "role_membership", {
      superuser: true,
    }],
    ["the authenticator is in postgres", "grant postgres to authenticator", "role_membership", {
      superuser: true,
    }],
    ["members read all data", "grant pg_read_all_data to authenticated", "role_membership", {
      superuser: true,
    }],
    [
      "the direct role writes all data",
      "grant pg_write_all_data to app_direct",
      "role_membership",
      { superuser: true },
    ],
    [
      "a login makes itself a member of any role",
      "create role hr login createrole",
      "role_bypasses_rls",
      { superuser: true, to: 15 },
    ],
    [
      "a login is in service_role",
      "create role contractor login; grant service_role to contractor",
      "role_membership",
      { superuser: true },
    ],
    [
      "a login reaches postgres by a detour",
      "create role ops nologin; grant postgres to ops; create role contractor login; grant ops to contractor",
      "role_membership",
      { superuser: true },
    ],
  ]),
  ...group("ownership", [
    [
      "a table belongs to a role that obeys RLS",
      "create role owner_of_it; grant create on schema public to owner_of_it; alter table public.messages owner to owner_of_it",
      "owner_obeys_rls",
      { superuser: true },
    ],
    [
      "a table belongs to service_role",
      "grant create on schema public to service_role; alter table public.messages owner to service_role",
      "owner_obeys_rls",
      { superuser: true },
    ],
    [
      "a function belongs to members",
      "grant create on schema public to authenticated; alter function public.count_messages() owner to authenticated; revoke create on schema public from authenticated",
      "role_owns",
      { superuser: true },
    ],
    [
      "a definer belongs to the back end",
      "grant create on schema public to service_role; alter function public.my_tenants() owner to service_role; revoke create on schema public from service_role",
      "role_owns",
      { superuser: true },
    ],
    [
      "an exempt table belongs to the back end",
      "grant create on schema public to service_role; alter table public.plans owner to service_role; revoke create on schema public from service_role",
      "role_owns",
      { superuser: true },
    ],
    [
      "a view belongs to visitors",
      "grant create on schema public to anon; alter view public.message_list owner to anon; revoke create on schema public from anon",
      "role_owns",
      { superuser: true },
    ],
    [
      "a schema that nobody serves belongs to the back end, and what is in it",
      "create schema attic authorization bulkhead_service; set local role bulkhead_service; create table attic.old (id serial primary key, of_it text); create procedure attic.run() language sql as 'select 1'; create aggregate attic.total(integer) (sfunc = int4pl, stype = integer)",
      "role_owns",
      { superuser: true },
    ],
    [
      "the exposed schema belongs to members",
      "alter schema public owner to authenticated",
      "schema_create",
      { superuser: true },
    ],
    [
      "the database belongs to members",
      "do $$ begin execute format('alter database %I owner to authenticated', current_database()); end $$",
      "schema_create",
      { superuser: true },
    ],
    [
      "a function of the kit belongs to members",
      "alter function bulkhead.current_tenants() owner to authenticated",
      "kit_object_changed",
      { superuser: true },
    ],
    [
      "the ledger belongs to service_role",
      "alter table bulkhead.audit_events owner to service_role",
      "ledger_changed",
      { superuser: true },
    ],
    [
      "a partition of the ledger belongs to service_role",
      "alter table bulkhead.audit_events_default owner to service_role",
      "ledger_changed",
      { superuser: true },
    ],
    [
      "the kit's schema belongs to service_role",
      "alter schema bulkhead owner to service_role",
      "kit_object_changed",
      { superuser: true },
    ],
  ]),
  ...group("settings", [
    [
      "members start as a replica",
      "alter role authenticated set session_replication_role = 'replica'",
      "setting_pinned",
      { superuser: true },
    ],
    [
      "the database starts as a replica",
      database("set session_replication_role = 'replica'"),
      "setting_pinned",
      { superuser: true },
    ],
    ["the database starts without RLS", database("set row_security = off"), "setting_pinned", {
      superuser: true,
    }],
    [
      "the back end starts with a tenant",
      "alter role service_role set bulkhead.tenant = '00000000-0000-4000-8000-000000000001'",
      "setting_pinned",
      { superuser: true },
    ],
    [
      "members start with claims",
      `alter role authenticated set "request.jwt.claims" = '{"role": "authenticated"}'`,
      "setting_pinned",
      { superuser: true },
    ],
    [
      "the direct role starts with a tenant of its own",
      "alter role app_direct set app.current_tenant_id = 'acme'",
      "setting_pinned",
      { superuser: true },
    ],
    [
      "the authenticator starts as service_role",
      "alter role authenticator set role = 'service_role'",
      "setting_pinned",
      { superuser: true },
    ],
    [
      "the API serves the kit",
      "alter role authenticator set pgrst.db_schemas = 'public, bulkhead'",
      "setting_pinned",
      { superuser: true },
    ],
    [
      "requests without a login are members",
      "alter role authenticator set pgrst.db_anon_role = 'authenticated'",
      "setting_pinned",
      { superuser: true },
    ],
    [
      "members search another schema first",
      "alter role authenticated set search_path = attic, public",
      "search_path_changed",
      { superuser: true },
    ],
    [
      "the database searches another schema first",
      database("set search_path = attic, public"),
      "search_path_changed",
    ],
    [
      "the API calls something before each request",
      "alter role authenticator set pgrst.db_pre_request = 'public.touch'",
      "search_path_changed",
      { superuser: true },
    ],
    [
      "a function switches to replica",
      "create function public.quiet() returns void language sql set search_path = '' set session_replication_role = 'replica' as 'select'",
      "function_setting",
      { superuser: true },
    ],
    [
      "a function names a tenant",
      "create function public.as_acme() returns void language sql set search_path = '' set bulkhead.tenant = 'acme' as 'select'",
      "function_setting",
      { superuser: true },
    ],
    [
      "a function becomes service_role",
      "create function public.as_service() returns void language sql set search_path = '' set role = 'service_role' as 'select'",
      "function_setting",
    ],
  ]),
  ...group("publications and replica identity", [
    [
      "a publication of everything",
      "create publication leak for all tables",
      "publication_exposes",
      { superuser: true },
    ],
    [
      "a publication of a table",
      "create publication leak for table public.messages",
      "publication_exposes",
    ],
    [
      "a publication of one partition",
      "create publication leak for table public.events_2026",
      "publication_exposes",
    ],
    [
      "a publication of a schema",
      "create publication leak for tables in schema public",
      "publication_exposes",
      { superuser: true },
    ],
    [
      "Realtime carries the ledger",
      "alter publication supabase_realtime add table bulkhead.audit_events",
      "publication_exposes",
    ],
    [
      "the replica identity is everything",
      "alter table public.messages replica identity full",
      "replica_identity_changed",
    ],
    [
      "the replica identity is nothing",
      "alter table public.messages replica identity nothing",
      "replica_identity_changed",
    ],
    [
      "a subscription writes",
      "create subscription inflow connection 'host=127.0.0.1 dbname=none' publication p with (connect = false, slot_name = none)",
      "subscription_writes",
      { superuser: true },
    ],
  ]),
];

function database(change: string): string {
  return `do $$ begin execute format('alter database %I ', current_database()) || $set$${change}$set$; end $$`;
}
