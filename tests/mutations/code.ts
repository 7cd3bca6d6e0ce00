import type { Mutation } from "./mutation.ts";
import { group } from "./tables.ts";

const AUDIT =
  "(select audit_function from bulkhead.protected_tables where relation = 'public.messages'::regclass)";
const onAudit = (change: string) => `do $$ begin execute format('${change}', ${AUDIT}); end $$`;
const trigger = (when: string, body: string) =>
  `create function public.meddle() returns trigger language plpgsql as $$ begin ${body} end $$;
   create trigger aaa ${when} on public.messages for each row execute function public.meddle()`;
const definer = (name: string, body: string) =>
  `create function public.${name} language sql security definer set search_path = '' as $$ ${body} $$;
   revoke all on function public.${name.replace(/returns.*/, "")} from public, anon`;

/** Triggers, functions, views, rules, foreign tables. */
export const codeMutations: Mutation[] = [
  ...group("triggers", [
    [
      "the guard of inserts is disabled",
      "alter table public.messages disable trigger bulkhead_insert",
      "write_trigger",
    ],
    [
      "every trigger of the team's is disabled",
      "alter table public.messages disable trigger user",
      "write_trigger",
    ],
    [
      "the guard is for replicas only",
      "alter table public.messages enable replica trigger bulkhead_update",
      "write_trigger",
    ],
    [
      "the guard sleeps in replica mode",
      "alter table public.messages enable trigger bulkhead_delete",
      "write_trigger",
    ],
    [
      "the guard of TRUNCATE is dropped",
      "drop trigger bulkhead_truncate on public.messages",
      "write_trigger",
    ],
    [
      "a partition's guard is dropped",
      "drop trigger bulkhead_insert on public.events_2027",
      "write_trigger",
    ],
    [
      "the guard has a condition",
      onAudit(
        "create or replace trigger bulkhead_insert after insert on public.messages referencing new table as new_rows for each statement when (false) execute function bulkhead.%I()",
      ),
      "write_trigger",
    ],
    [
      "the guard runs another function",
      "create function public.nothing() returns trigger language plpgsql as $$ begin return null; end $$; create or replace trigger bulkhead_insert after insert on public.messages referencing new table as new_rows for each statement execute function public.nothing(); alter table public.messages enable always trigger bulkhead_insert",
      "write_trigger",
    ],
    [
      "the guard looks at one column",
      onAudit(
        "drop trigger bulkhead_update on public.messages; create trigger bulkhead_update after update of body on public.messages for each statement execute function bulkhead.%I(); alter table public.messages enable always trigger bulkhead_update",
      ),
      "write_trigger",
    ],
    [
      "a trigger files rows under another tenant",
      trigger(
        "before insert",
        "new.tenant_id := '00000000-0000-4000-8000-000000000001'; return new;",
      ),
      "trigger_shadows",
    ],
    [
      "a trigger moves rows with a plain =",
      trigger(
        "before insert or update",
        "if true then new.tenant_id = old.tenant_id; end if; return new;",
      ),
      "trigger_shadows",
    ],
    [
      "a trigger looks the tenant up",
      trigger(
        "before insert",
        "select p.tenant_id into new.tenant_id from public.projects as p where p.id = new.project_id; return new;",
      ),
      "trigger_shadows",
    ],
    [
      "a trigger points rows at another parent",
      trigger(
        "before insert",
        "new.project_id := '00000000-0000-4000-8000-00000000000b'; return new;",
      ),
      "trigger_shadows",
    ],
    ["a trigger swallows rows", trigger("before update", "return null;"), "trigger_shadows"],
    ["a trigger undoes updates", trigger("before update", "return old;"), "trigger_shadows"],
    [
      "a trigger replaces the row",
      trigger("before insert", "new := jsonb_populate_record(new, '{}'); return new;"),
      "trigger_shadows",
    ],
    [
      "a trigger names another tenant",
      trigger("after insert", "perform set_config('bulkhead.tenant', 'x', true); return null;"),
      "trigger_shadows",
    ],
    [
      "a known trigger's function turns on the tenant",
      "create or replace function public.touch() returns trigger language plpgsql as $$ begin new.tenant_id := '00000000-0000-4000-8000-000000000001'; return new; end $$",
      "trigger_shadows",
      {
        first:
          "create or replace function public.touch() returns trigger language plpgsql set search_path = '' as $$ begin new.updated_at := now(); return new; end $$",
      },
    ],
    ["a declared trigger is dropped", "drop trigger touch on public.projects", "trigger_changed"],
    [
      "a declared trigger is disabled",
      "alter table public.projects disable trigger touch",
      "trigger_changed",
    ],
    [
      "a declared trigger gets a condition",
      "create or replace trigger touch before update on public.projects for each row when (false) execute function public.touch()",
      "trigger_changed",
    ],
  ]),
  ...group("functions", [
    [
      "the guard's body drifts",
      onAudit(
        "create or replace function bulkhead.%I() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp set row_security = on as ''begin return null; end''",
      ),
      "write_function",
    ],
    [
      "the guard's function asks as its caller",
      onAudit("alter function bulkhead.%I() security invoker"),
      "write_function",
      { superuser: true },
    ],
    [
      "the guard's function loses its search_path",
      onAudit("alter function bulkhead.%I() reset search_path"),
      "write_function",
      { superuser: true },
    ],
    [
      "the guard's function is stable",
      onAudit("alter function bulkhead.%I() stable"),
      "write_function",
      { superuser: true },
    ],
    [
      "everybody may attach the guard's function",
      onAudit("grant execute on function bulkhead.%I() to public"),
      "write_function",
      { superuser: true },
    ],
    [
      "the guard's function belongs to postgres",
      onAudit("alter function bulkhead.%I() owner to postgres"),
      "write_function",
      { superuser: true },
    ],
    [
      "who is asking is answered by somebody else",
      "create or replace function bulkhead.caller() returns name language sql stable parallel safe as $$ select 'postgres'::name $$",
      "kit_function_changed",
    ],
    [
      "the tenants are immutable",
      "alter function bulkhead.current_tenants() immutable",
      "kit_function_changed",
    ],
    [
      "the tenants are leakproof",
      "alter function bulkhead.current_tenants() leakproof",
      "kit_function_changed",
      { superuser: true },
    ],
    [
      "the tenants are asked as the caller",
      "alter function bulkhead.current_tenants() security invoker",
      "kit_function_changed",
    ],
    [
      "the tenants have another search_path",
      "alter function bulkhead.current_tenants() set search_path = public",
      "kit_function_changed",
    ],
    [
      "a member is who says so",
      "create or replace function bulkhead.member_tenants(claims jsonb, wanted text) returns text[] language sql stable as $$ select array[wanted] $$",
      "kit_function_changed",
    ],
    [
      "a function of the kit is dropped",
      "drop function bulkhead.log_truncate cascade",
      "kit_function_changed",
    ],
    [
      "an overload stands in front",
      "create function bulkhead.current_tenants(why text default null) returns text[] language sql as $$ select null::text[] $$; revoke all on function bulkhead.current_tenants(text) from public",
      "kit_function_changed",
    ],
    [
      "the status answers nothing",
      "create or replace function bulkhead.findings(category text default null) returns setof bulkhead.check_result language sql stable as $$ select null::bulkhead.check_result where false $$",
      "kit_function_changed",
    ],
    [
      "members may unprotect",
      "grant execute on function bulkhead.unprotect(regclass) to authenticated",
      "kit_execute",
    ],
    [
      "everybody may attest",
      "grant execute on function bulkhead.attest(text) to public",
      "kit_execute",
    ],
    [
      "anon may name a tenant",
      "grant execute on function bulkhead.set_tenant(text, text, text) to anon",
      "kit_execute",
    ],
    [
      "members may pass a function of the kit on",
      "grant execute on function bulkhead.current_tenants() to authenticated with grant option",
      "kit_execute",
    ],
    [
      "members may not ask for their tenants",
      "revoke execute on function bulkhead.current_tenants() from authenticated",
      "kit_execute",
    ],
    [
      "everybody may use the kit's schema",
      "grant usage on schema bulkhead to public",
      "kit_execute",
    ],
    [
      "a search function becomes a definer",
      "alter function public.count_messages() security definer",
      "definer_reads_tenants",
    ],
    [
      "a definer shows a table to members",
      definer("all_messages() returns setof public.messages", "select * from public.messages"),
      "definer_reads_tenants",
    ],
    [
      "a definer shows the ledger to members",
      definer("trail() returns bigint", "select count(*) from bulkhead.audit_events"),
      "definer_reads_tenants",
    ],
    [
      "a definer is open to anon",
      "create function public.hello() returns integer language sql security definer set search_path = '' as 'select 1'",
      "definer_anon",
    ],
    [
      "a definer without a search_path",
      "alter function public.my_tenants() reset search_path",
      "definer_search_path",
      { first: "alter function public.my_tenants() set search_path = ''" },
    ],
    [
      "a function of the team's is leakproof",
      "alter function public.count_messages() leakproof",
      "function_leakproof",
      { superuser: true },
    ],
  ]),
  ...group("views and rules", [
    [
      "a view asks as its owner",
      "create view public.everything as select * from public.messages",
      "view_bypasses_rls",
    ],
    [
      "a declared view asks as its owner again",
      "alter view public.message_list reset (security_invoker)",
      "view_bypasses_rls",
    ],
    [
      "a chain of views asks as its owner",
      "create view public.inner_list with (security_invoker = on) as select * from public.message_list; create view public.outer_list as select * from public.inner_list",
      "view_bypasses_rls",
    ],
    [
      "a view of one partition",
      "create view public.old_events as select * from public.events_2026",
      "view_bypasses_rls",
    ],
    [
      "a view of the ledger",
      "create view public.trail as select * from bulkhead.audit_events",
      "view_bypasses_rls",
    ],
    [
      "a view hidden in a schema that nobody serves",
      "create schema reports; grant usage on schema reports to authenticated; create view reports.messages as select * from public.messages; grant select on reports.messages to authenticated",
      "view_bypasses_rls",
    ],
    [
      "a materialized view holds all tenants",
      "create materialized view public.totals as select tenant_id, count(*) from public.messages group by 1",
      "materialized_view_exposed",
    ],
    [
      "a materialized view of a view",
      "create view public.inner_list with (security_invoker = on) as select * from public.messages; create materialized view public.copies as select * from public.inner_list",
      "materialized_view_exposed",
    ],
    [
      "a materialized view of the ledger",
      "create materialized view public.trail as select * from bulkhead.audit_events",
      "materialized_view_exposed",
    ],
    [
      "a rule swallows deletes",
      "create rule quiet as on delete to public.messages do instead nothing",
      "rewrite_rule",
    ],
    [
      "a rule copies inserts",
      "create schema attic; create table attic.copies (body text); create rule copy as on insert to public.messages do also insert into attic.copies values (new.body)",
      "rewrite_rule",
    ],
  ]),
  ...group("foreign tables", [
    [
      "a foreign table is served",
      "create foreign data wrapper elsewhere; create server elsewhere foreign data wrapper elsewhere; create foreign table public.remote_messages (id uuid, tenant_id uuid) server elsewhere",
      "table_unclassified",
      { superuser: true },
    ],
    [
      "a foreign table without a tenant is served",
      "create foreign data wrapper elsewhere; create server elsewhere foreign data wrapper elsewhere; create foreign table public.remote_plans (id integer) server elsewhere",
      "table_unclassified",
      { superuser: true },
    ],
  ]),
];
