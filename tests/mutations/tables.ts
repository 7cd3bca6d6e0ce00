import type { Mutation } from "./mutation.ts";

const SEE = "tenant_id = any ((select bulkhead.current_tenants())::uuid[])";

/** RLS, policies, constraints, the tenant column, partitions, names, new tables. */
export const tableMutations: Mutation[] = [
  ...group("RLS and FORCE", [
    [
      "RLS is switched off",
      "alter table public.messages disable row level security",
      "rls_disabled",
    ],
    [
      "RLS is no longer forced",
      "alter table public.messages no force row level security",
      "rls_not_forced",
    ],
    [
      "RLS of one partition is switched off",
      "alter table public.events_2027 disable row level security",
      "rls_disabled",
    ],
    [
      "RLS of an inheritance child is not forced",
      "alter table public.notes_archive no force row level security",
      "rls_not_forced",
    ],
  ]),
  ...group("policies", [
    [
      "the tenant policy is dropped",
      "drop policy bulkhead_tenant on public.messages",
      "tenant_policy",
    ],
    [
      "a partition's tenant policy is dropped",
      "drop policy bulkhead_tenant on public.events_2026",
      "tenant_policy",
    ],
    [
      "the tenant policy lets everything through",
      "alter policy bulkhead_tenant on public.messages using (true)",
      "tenant_policy",
    ],
    [
      "its WITH CHECK lets everything through",
      "alter policy bulkhead_tenant on public.messages with check (true)",
      "tenant_policy",
    ],
    [
      "the tenant policy tolerates null",
      `alter policy bulkhead_tenant on public.messages using (${SEE} or (select bulkhead.current_tenants()) is null)`,
      "tenant_policy",
    ],
    [
      "the tenant policy names a tenant",
      "alter policy bulkhead_tenant on public.messages using (tenant_id = '00000000-0000-4000-8000-000000000001')",
      "tenant_policy",
    ],
    [
      "the tenant policy is for one role only",
      "alter policy bulkhead_tenant on public.messages to authenticated",
      "tenant_policy",
    ],
    [
      "the tenant policy is permissive now",
      `drop policy bulkhead_tenant on public.messages; create policy bulkhead_tenant on public.messages using (${SEE})`,
      "tenant_policy",
    ],
    [
      "the tenant policy is for select only",
      `drop policy bulkhead_tenant on public.messages; create policy bulkhead_tenant on public.messages as restrictive for select using (${SEE})`,
      "tenant_policy",
    ],
    [
      "the tenant policy reads the user's own metadata",
      "alter policy bulkhead_tenant on public.messages using (tenant_id = ((auth.jwt() -> 'user_metadata') ->> 'tenant_id')::uuid)",
      "tenant_policy",
    ],
    [
      "a declared permissive policy is widened",
      `alter policy "tenants of a member" on public.projects using (true)`,
      "policy_changed",
    ],
    [
      "a declared permissive policy is dropped",
      `drop policy "tenants of a member" on public.projects`,
      "policy_changed",
    ],
    [
      "a declared restrictive policy is dropped",
      `drop policy "named projects only" on public.projects`,
      "policy_changed",
    ],
    [
      "a declared restrictive policy becomes permissive",
      `drop policy "named projects only" on public.projects; create policy "named projects only" on public.projects for insert to authenticated with check (name <> '')`,
      "policy_changed",
    ],
    [
      "the members' only policy is dropped",
      "drop policy bulkhead_access on public.messages",
      "access_policy_missing",
    ],
    [
      "a policy for anon is added",
      "create policy chat on public.messages for insert to anon with check (true)",
      "anon_policy",
    ],
    [
      "a policy for everybody is added",
      "create policy readable on public.messages for select using (true)",
      "anon_policy",
    ],
    [
      "a permissive policy for members is added",
      "create policy more on public.messages to authenticated using (true)",
      "policy_changed",
    ],
    [
      "members may add themselves to a tenant",
      "create policy joining on public.members for insert to authenticated with check (user_id = auth.uid())",
      "policy_changed",
    ],
    [
      "members may raise their own role",
      "create policy self on public.members for update to authenticated using (user_id = auth.uid())",
      "policy_changed",
    ],
  ]),
  ...group("constraints", [
    [
      "a composite foreign key is dropped",
      "alter table public.messages drop constraint messages_project_id_fkey",
      "constraint_dropped",
    ],
    [
      "the reference to the tenants is dropped",
      "alter table public.messages drop constraint messages_tenant_id_fkey",
      "tenant_reference_missing",
    ],
    [
      "the unique key of tenant and id is dropped",
      "alter table public.projects drop constraint projects_tenant_id_id_key cascade",
      "tenant_key_missing",
    ],
    [
      "the primary key is dropped",
      "alter table public.messages drop constraint messages_pkey",
      "constraint_dropped",
    ],
    [
      "a foreign key is added again NOT VALID",
      fk(
        "messages",
        "messages_project_id_fkey",
        "(tenant_id, project_id) references public.projects (tenant_id, id) on delete restrict not valid",
      ),
      "foreign_key_not_valid",
    ],
    [
      "a foreign key cascades deletes",
      fk(
        "messages",
        "messages_project_id_fkey",
        "(tenant_id, project_id) references public.projects (tenant_id, id) on delete cascade",
      ),
      "foreign_key_cascades",
    ],
    [
      "a foreign key cascades updates",
      fk(
        "messages",
        "messages_project_id_fkey",
        "(tenant_id, project_id) references public.projects (tenant_id, id) on update cascade on delete restrict",
      ),
      "foreign_key_cascades",
    ],
    [
      "a foreign key sets null",
      fk(
        "messages",
        "messages_project_id_fkey",
        "(tenant_id, project_id) references public.projects (tenant_id, id) on delete set null (project_id)",
      ),
      "foreign_key_cascades",
    ],
    [
      "the reference to the tenants cascades",
      fk(
        "messages",
        "messages_tenant_id_fkey",
        "(tenant_id) references public.tenants (id) on delete cascade",
      ),
      "foreign_key_cascades",
    ],
    [
      "a foreign key may wait for the commit",
      "alter table public.messages alter constraint messages_project_id_fkey deferrable initially deferred",
      "foreign_key_deferrable",
    ],
    [
      "a foreign key loses its tenant",
      fk(
        "messages",
        "messages_project_id_fkey",
        "(project_id) references public.projects (id) on delete restrict",
      ),
      "foreign_key_without_tenant",
    ],
    [
      "another foreign key comes without the tenant",
      "alter table public.notes add column project_id uuid references public.projects (id) on delete restrict",
      "foreign_key_without_tenant",
    ],
    [
      "the triggers of a foreign key are disabled",
      "alter table public.messages disable trigger all",
      "foreign_key_not_enforced",
      { superuser: true },
    ],
    [
      "the triggers on the parent's side are disabled",
      "alter table public.projects disable trigger all",
      "foreign_key_not_enforced",
      { superuser: true },
    ],
    [
      "a unique constraint goes over all tenants",
      "alter table public.messages add constraint messages_body_key unique (body)",
      "unique_without_tenant",
    ],
    [
      "a unique index goes over all tenants",
      "create unique index messages_body on public.messages (lower(body))",
      "unique_without_tenant",
    ],
    [
      "a unique key may wait for the commit",
      "alter table public.messages drop constraint messages_tenant_id_id_key, add constraint messages_tenant_id_id_key unique (tenant_id, id) deferrable",
      "tenant_key_missing",
    ],
  ]),
  ...group("tenant column", [
    [
      "may be null",
      "alter table public.messages alter column tenant_id drop not null",
      "tenant_column_nullable",
    ],
    [
      "has a default",
      "alter table public.messages alter column tenant_id set default '00000000-0000-4000-8000-000000000001'",
      "tenant_column_default",
    ],
    [
      "has the setting as its default",
      "alter table public.messages alter column tenant_id set default current_setting('app.tenant')::uuid",
      "tenant_column_default",
    ],
    [
      "is renamed",
      "alter table public.messages rename column tenant_id to org_id",
      "tenant_column_missing",
    ],
    [
      "is dropped",
      "alter table public.notes drop column tenant_id cascade",
      "tenant_column_missing",
    ],
    [
      "is generated",
      "alter table public.notes drop column tenant_id cascade; alter table public.notes add column tenant_id uuid not null generated always as ('00000000-0000-4000-8000-000000000001'::uuid) stored",
      "tenant_column_default",
    ],
    [
      "changes its type",
      "drop policy bulkhead_tenant on public.notes; drop policy bulkhead_access on public.notes; drop policy bulkhead_service on public.notes; drop policy bulkhead_tenant on public.notes_archive; drop policy bulkhead_access on public.notes_archive; drop policy bulkhead_service on public.notes_archive; alter table public.notes drop constraint notes_tenant_id_fkey; alter table public.notes_archive drop constraint notes_archive_tenant_id_fkey; alter table public.notes alter column tenant_id type text",
      "tenant_column_missing",
    ],
  ]),
  ...group("partitions and inheritance", [
    [
      "a partition is created",
      "create table public.events_2028 partition of public.events for values from ('2028-01-01') to ('2029-01-01')",
      "child_unprotected",
    ],
    [
      "a partition in a schema that nobody serves",
      "create schema archive; create table archive.events_old partition of public.events for values from ('2020-01-01') to ('2021-01-01')",
      "child_unprotected",
    ],
    [
      "a full table is attached as a partition",
      "create table public.events_2029 (like public.events including all); alter table public.events attach partition public.events_2029 for values from ('2029-01-01') to ('2030-01-01')",
      "child_unprotected",
    ],
    [
      "a partition is detached",
      "alter table public.events detach partition public.events_2026",
      "protected_table_missing",
    ],
    [
      "a child inherits a protected table",
      "create schema archive; create table archive.projects_old (primary key (id)) inherits (public.projects)",
      "child_unprotected",
    ],
    [
      "a protected table gets an unprotected parent",
      "create schema archive; create table archive.everything (id uuid, tenant_id uuid, body text); alter table public.messages inherit archive.everything",
      "parent_unprotected",
    ],
    [
      "a foreign table becomes a child",
      "create foreign data wrapper elsewhere; create server elsewhere foreign data wrapper elsewhere; create foreign table public.notes_cold () inherits (public.notes) server elsewhere",
      "child_unprotected",
      { superuser: true },
    ],
  ]),
  ...group("renamed or swapped tables", [
    [
      "a table is renamed",
      "alter table public.messages rename to messages_old",
      "protected_table_missing",
    ],
    [
      "a table is moved to another schema",
      "create schema archive; alter table public.messages set schema archive",
      "protected_table_missing",
    ],
    [
      "two tables swap their names",
      "alter table public.notes rename to swap; alter table public.messages rename to notes; alter table public.swap rename to messages",
      "protected_table_missing",
    ],
    [
      "a copy takes a table's place",
      "alter table public.messages rename to messages_old; create table public.messages (id uuid primary key, tenant_id uuid not null, body text)",
      "table_unclassified",
    ],
    ["a table is dropped", "drop table public.messages cascade", "protected_table_missing"],
    [
      "a table is dropped and made again",
      "drop table public.notes cascade; create table public.notes (id uuid primary key, tenant_id uuid not null)",
      "table_unclassified",
    ],
  ]),
  ...group("new tables", [
    [
      "a table that nobody classified",
      "create table public.orders (id uuid primary key, tenant_id uuid not null)",
      "table_unclassified",
    ],
    [
      "a copy of a table's rows",
      "create table public.export as select * from public.messages; alter table public.export add primary key (id)",
      "table_unclassified",
    ],
    [
      "a partitioned table that nobody classified",
      "create table public.logs (id uuid, tenant_id uuid not null, primary key (tenant_id, id)) partition by hash (id)",
      "table_unclassified",
    ],
    [
      "an open copy in a schema that nobody serves",
      "create schema reports; grant usage on schema reports to authenticated; create table reports.messages (id uuid primary key, tenant_id uuid not null); grant select on reports.messages to authenticated",
      "table_unclassified",
    ],
    [
      "an exempt table with the tenant column",
      "create table public.orders (id uuid primary key, tenant_id uuid); select bulkhead.exempt('public.orders', 'somebody was in a hurry')",
      "exempt_table_exposed",
    ],
  ]),
];

function fk(table: string, name: string, definition: string): string {
  return `alter table public.${table} drop constraint ${name}, add constraint ${name} foreign key ${definition}`;
}

/** Rows of name, change and rule, all of one class. */
export function group(
  of: string,
  rows: [string, string, string, Partial<Mutation>?][],
): Mutation[] {
  return rows.map(([name, sql, finds, more = {}]) => ({ class: of, name, sql, finds, ...more }));
}
