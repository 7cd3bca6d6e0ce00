import type { Mutation } from "./mutation.ts";
import { group } from "./tables.ts";

const MONTH = "to_char(now() at time zone 'UTC', 'YYYYMM')";
const onPartition = (change: string) =>
  `do $$ begin execute format('${change}', 'audit_events_' || ${MONTH}); end $$`;

/** The ledger, the kit's own tables, the schedule. */
export const kitMutations: Mutation[] = [
  ...group("ledger", [
    [
      "a permissive policy shows everything",
      "create policy support on bulkhead.audit_events for select to authenticated using (true)",
      "ledger_policy",
    ],
    [
      "the members' own trail is everybody's",
      "alter policy bulkhead_own_trail on bulkhead.audit_events using (true)",
      "ledger_policy",
    ],
    [
      "a policy lets the back end delete",
      "create policy clean on bulkhead.audit_events for delete to service_role using (true)",
      "ledger_policy",
    ],
    [
      "the writer's policy is dropped",
      "drop policy bulkhead_append on bulkhead.audit_events",
      "ledger_changed",
    ],
    [
      "RLS is not forced",
      "alter table bulkhead.audit_events no force row level security",
      "ledger_rls",
    ],
    [
      "RLS of a partition is off",
      onPartition("alter table bulkhead.%I disable row level security"),
      "ledger_rls",
    ],
    [
      "the back end may delete",
      "grant delete on bulkhead.audit_events to service_role",
      "ledger_grant",
    ],
    [
      "members may write to a partition",
      onPartition("grant insert on bulkhead.%I to authenticated"),
      "ledger_grant",
    ],
    [
      "the writer may update",
      "grant update on bulkhead.audit_events to bulkhead_audit",
      "ledger_grant",
    ],
    [
      "one column may be updated",
      "grant update (metadata) on bulkhead.audit_events to service_role",
      "ledger_grant",
    ],
    [
      "seals may be written by the back end",
      "grant insert on bulkhead.audit_seals to service_role",
      "ledger_grant",
    ],
    [
      "a partition is not append-only",
      onPartition("drop trigger bulkhead_append_only on bulkhead.%I"),
      "ledger_append_only",
    ],
    [
      "seals are not append-only in replica mode",
      "alter table bulkhead.audit_seals enable trigger bulkhead_append_only",
      "ledger_append_only",
    ],
    [
      "the eras are not append-only",
      "alter table bulkhead.audit_eras disable trigger bulkhead_append_only",
      "ledger_append_only",
    ],
    [
      "what refuses changes allows them",
      "create or replace function bulkhead.refuse_change() returns trigger language plpgsql as $$ begin return null; end $$",
      "kit_function_changed",
    ],
    [
      "a trigger swallows events",
      "create function public.swallow() returns trigger language plpgsql as $$ begin return null; end $$; create trigger aaa before insert on bulkhead.audit_events for each row execute function public.swallow()",
      "ledger_changed",
    ],
    [
      "a trigger on a partition swallows events",
      `create function public.swallow() returns trigger language plpgsql as $b$ begin return null; end $b$; ${
        onPartition(
          "create trigger aaa before insert on bulkhead.%I for each row execute function public.swallow()",
        )
      }`,
      "ledger_changed",
    ],
    [
      "a rule swallows events",
      "create rule quiet as on insert to bulkhead.audit_events do instead nothing",
      "ledger_changed",
    ],
    [
      // One that is null here: lost values are `seal_broken`, and nothing brings them back.
      "a column is dropped",
      "alter table bulkhead.audit_events drop column request_id cascade",
      "ledger_changed",
    ],
    [
      "the time has another default",
      "alter table bulkhead.audit_events alter column created_at set default '2020-01-01'",
      "ledger_changed",
    ],
    [
      "the role may be null",
      "alter table bulkhead.audit_events alter column actor_role drop not null",
      "ledger_changed",
    ],
    [
      "the writer's policy lets others write",
      "alter policy bulkhead_append on bulkhead.audit_events to bulkhead_audit, authenticated",
      "ledger_changed",
    ],
    [
      "the log view asks as its owner",
      "alter view bulkhead.audit_logs reset (security_invoker)",
      "ledger_changed",
    ],
    [
      "the log view hides what the kit did",
      "create or replace view bulkhead.audit_logs with (security_invoker = true) as select id, actor as actor_id, tenant_id, lower(operation) as action, table_name as resource_type, record_id as resource_id, ip_address, metadata, created_at from bulkhead.audit_events where operation !~ '^bulkhead'",
      "ledger_changed",
    ],
    [
      "a partition is detached",
      onPartition("alter table bulkhead.audit_events detach partition bulkhead.%I"),
      "ledger_partition_missing",
    ],
    [
      "next month has no partition",
      "do $$ begin execute format('drop table bulkhead.%I', 'audit_events_' || to_char(date_trunc('month', now() at time zone 'UTC') + interval '1 month', 'YYYYMM')); end $$",
      "ledger_partition_missing",
    ],
    ["seals are unlogged", "alter table bulkhead.audit_seals set unlogged", "ledger_changed"],
    [
      "the salts may be updated without a record",
      "alter table bulkhead.audit_leaves disable trigger bulkhead_append_only",
      "ledger_append_only",
    ],
    [
      "shares may be deleted by the back end",
      "grant delete on bulkhead.audit_shares to service_role",
      "ledger_grant",
    ],
    [
      "members read the salts",
      "create policy salts on bulkhead.audit_leaves for select to authenticated using (true)",
      "ledger_policy",
    ],
    [
      "its numbers begin anew",
      "alter sequence bulkhead.audit_events_id_seq restart",
      "ledger_changed",
    ],
    [
      "its numbers begin anew before anything is sealed",
      "insert into public.plans values (7, 'pro', 9); update public.projects set name = 'x'; select setval('bulkhead.audit_events_id_seq', (select max(id) - 1 from bulkhead.audit_events))",
      "ledger_changed",
    ],
    [
      "the shares' numbers begin anew",
      "alter table bulkhead.audit_shares alter column id restart with 1",
      "ledger_changed",
    ],
    [
      "its numbers count down",
      "alter sequence bulkhead.audit_events_id_seq increment by -1",
      "ledger_changed",
    ],
    [
      "its numbers come round again",
      "alter table bulkhead.audit_events alter column id set maxvalue 1000000 set cycle",
      "ledger_changed",
    ],
    [
      "a crash sets its numbers back",
      "alter sequence bulkhead.audit_events_id_seq set unlogged",
      "ledger_changed",
    ],
    [
      "masked values are made with another key",
      "update bulkhead.mask_key set inner_pad = sha256(inner_pad) || sha256(outer_pad)",
      "mask_key_changed",
    ],
    [
      "the key of masked values is gone",
      "delete from bulkhead.mask_key",
      "mask_key_changed",
    ],
    [
      "the key of masked values is known, and so says the declaration of the kit",
      "update bulkhead.mask_key set inner_pad = repeat('a', 64)::bytea; select bulkhead.declare_kit()",
      "mask_key_changed",
    ],
    ["the writer may log in", "alter role bulkhead_audit login", "ledger_role", {
      superuser: true,
    }],
    ["the writer bypasses RLS", "alter role bulkhead_audit bypassrls", "ledger_role", {
      superuser: true,
    }],
    ["the writer inherits", "alter role bulkhead_audit inherit", "ledger_role", {
      superuser: true,
    }],
    [
      "the writer is in postgres",
      "create role everything; grant everything to bulkhead_audit",
      "ledger_role",
      { superuser: true },
    ],
    ["members are the writer", "grant bulkhead_audit to authenticated", "role_membership", {
      superuser: true,
    }],
    ["the back end is the writer", "grant bulkhead_audit to service_role", "role_membership", {
      superuser: true,
    }],
    [
      "the writer may create in the kit",
      "grant create on schema bulkhead to bulkhead_audit",
      "kit_execute",
    ],
  ]),
  ...group("the kit itself", [
    [
      "the back end may change the settings",
      "grant update on bulkhead.settings to service_role",
      "kit_grant",
    ],
    [
      "members may exempt tables",
      "grant insert on bulkhead.exempt_tables to authenticated",
      "kit_grant",
    ],
    [
      "RLS of the settings is off",
      "alter table bulkhead.settings disable row level security",
      "kit_object_changed",
    ],
    [
      "a policy opens the settings",
      "create policy open on bulkhead.settings for all to service_role using (true)",
      "kit_object_changed",
    ],
    [
      "the check on trusted roles is dropped",
      "alter table bulkhead.settings drop constraint settings_platform_roles_check",
      "kit_object_changed",
    ],
    [
      "service_role is trusted",
      "do $$ declare c name; begin for c in select conname from pg_constraint where conrelid = 'bulkhead.settings'::regclass and contype = 'c' loop execute format('alter table bulkhead.settings drop constraint %I', c); end loop; update bulkhead.settings set platform_roles = platform_roles || 'service_role'::name; end $$",
      "guard_trust",
    ],
    [
      "a trigger rewrites the settings",
      "create function public.sneak() returns trigger language plpgsql as $$ begin return new; end $$; create trigger sneak before update on bulkhead.settings for each row execute function public.sneak()",
      "kit_object_changed",
    ],
    [
      "a rule is taken off the list",
      "create or replace view bulkhead.exposed_schemas with (security_invoker = true) as select oid, nspname from pg_namespace where false",
      "kit_object_changed",
    ],
    [
      "what was declared is erased",
      "update bulkhead.protected_tables set declared = '{}' where relation = 'public.notes'::regclass",
      "declaration_missing",
    ],
    [
      "the list of protected tables is emptied",
      "delete from bulkhead.protected_tables where relation = 'public.notes'::regclass",
      "table_unclassified",
    ],
    [
      "the settings forget the tenants",
      "update bulkhead.settings set tenants_table = null, tenant_key = null, tenant_type = null",
      "settings_configured",
      {
        first:
          "update bulkhead.settings set tenants_table = 'public.tenants', tenant_key = 'id', tenant_type = 'uuid'",
      },
    ],
  ]),
  ...group("schedule", [
    [
      "sealing is unscheduled",
      "select cron.unschedule(jobid) from cron.job where jobname = 'bulkhead:audit:seal'",
      "job_missing",
    ],
    ["every job is unscheduled", "select count(*) from bulkhead.unschedule()", "job_missing"],
    [
      "a job is paused",
      "update cron.job set active = false where jobname = 'bulkhead:canaries:run'",
      "job_missing",
      { superuser: true },
    ],
    [
      "a job runs once a year",
      "update cron.job set schedule = '0 0 1 1 *' where jobname = 'bulkhead:audit:seal'",
      "job_missing",
      { superuser: true },
    ],
    [
      "a job does something else",
      "update cron.job set command = 'select 1' where jobname = 'bulkhead:audit:seal'",
      "job_missing",
      { superuser: true },
    ],
    [
      "a job runs as a role that sees nothing",
      "update cron.job set username = 'authenticated' where jobname = 'bulkhead:audit:seal'",
      "job_missing",
      { superuser: true },
    ],
    [
      "the timetable forgets a job",
      "select cron.unschedule(jobid) from cron.job where jobname = 'bulkhead:audit:seal'; delete from bulkhead.jobs where name = 'bulkhead:audit:seal'",
      "timetable_missing",
    ],
    [
      "the timetable has another command",
      "update bulkhead.jobs set command = 'select 1' where name = 'bulkhead:audit:seal'; select count(*) from bulkhead.schedule()",
      "timetable_missing",
    ],
    [
      "a job runs once a year, and so says the timetable",
      "update bulkhead.jobs set schedule = '0 0 1 1 *', max_age = '40 days' where name = 'bulkhead:audit:seal'; select count(*) from bulkhead.schedule()",
      "timetable_missing",
    ],
    [
      "a silent job may be silent for longer",
      "update bulkhead.jobs set max_age = '40 days' where name = 'bulkhead:canaries:run'",
      "timetable_missing",
    ],
    [
      "a job pretends to be the kit's, and the timetable declares it",
      "insert into bulkhead.jobs (name, schedule, command, max_age) values ('bulkhead:audit:purge', '* * * * *', 'select 1', '1 hour'); select count(*) from bulkhead.schedule()",
      "job_unknown",
    ],
    [
      "a job pretends to be the kit's",
      "select cron.schedule('bulkhead:audit:purge', '* * * * *', 'select 1')",
      "job_unknown",
    ],
  ]),
];
