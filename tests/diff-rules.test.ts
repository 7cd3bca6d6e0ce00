import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type postgres from "postgres";
import { diffSnapshots } from "../functions/_core/adapters/boundary-diff.ts";
import type { Level } from "../functions/_core/diff/rule.ts";
import type { Snapshot } from "../functions/_core/diff/snapshot.ts";
import { boundaryAfter, oneConnection } from "./support/diff.ts";
import {
  baselineDatabase,
  type Database,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { runSql } from "./support/sql-files.ts";

/** A project without the kit, as the Supabase guides teach it; `files` is held by a restrictive policy of its own. */
const WORLD = `
create role app_direct login;
create table public.tenants (id uuid primary key default gen_random_uuid(), name text not null);
create table public.members (
    tenant_id uuid not null references public.tenants (id), user_id uuid not null references auth.users (id),
    role text not null default 'agent', primary key (tenant_id, user_id));
create table public.projects (
    id uuid primary key default gen_random_uuid(), tenant_id uuid not null references public.tenants (id),
    slug text not null, unique (tenant_id, id), unique (tenant_id, slug));
create table public.messages (
    id uuid primary key default gen_random_uuid(), tenant_id uuid not null references public.tenants (id),
    project_id uuid not null, body text not null check (body <> ''), number bigint generated always as identity,
    foreign key (tenant_id, project_id) references public.projects (tenant_id, id) on delete restrict);
create table public.files (
    id uuid primary key default gen_random_uuid(), tenant_id uuid not null references public.tenants (id),
    name text not null, unique (tenant_id, id));
create table public.plans (id integer primary key, name text not null);
create table public.events (tenant_id uuid not null, id bigint not null, at date not null, primary key (tenant_id, id, at))
    partition by range (at);
create table public.events_2026 partition of public.events for values from ('2026-01-01') to ('2027-01-01');
create function public.my_tenants() returns setof uuid language sql stable security definer set search_path = '' as $$
    select m.tenant_id from public.members as m where m.user_id = auth.uid() $$;
revoke all on function public.my_tenants() from public, anon;
create function public.total() returns bigint language sql stable set search_path = '' as 'select count(*) from public.messages';
revoke all on function public.total() from public, anon;
create function public.stamp() returns trigger language plpgsql set search_path = '' as $$ begin new.body := trim(new.body); return new; end $$;
create function public.move() returns trigger language plpgsql set search_path = '' as $$ begin new.tenant_id := '00000000-0000-4000-8000-000000000001'; return new; end $$;
create trigger stamp before update on public.messages for each row execute function public.stamp();
do $$ declare t text; begin
    foreach t in array array['tenants', 'members', 'projects', 'messages', 'files', 'events', 'events_2026'] loop
        execute format('alter table public.%I enable row level security, force row level security', t);
        execute format('revoke all on public.%I from anon', t);
        execute format('revoke truncate, references, trigger on public.%I from authenticated, service_role', t);
    end loop;
end $$;
revoke all on sequence public.messages_number_seq from anon;
create policy own on public.tenants for select to authenticated using (id in (select public.my_tenants()));
create policy own on public.members for select to authenticated using (tenant_id in (select public.my_tenants()));
create policy own on public.projects to authenticated using (tenant_id in (select public.my_tenants()));
create policy own on public.messages to authenticated using (tenant_id in (select public.my_tenants()) and body <> 'secret');
create policy own on public.files to authenticated using (tenant_id in (select public.my_tenants()));
create policy floor on public.files as restrictive to public using (tenant_id in (select public.my_tenants()));
create policy own on public.events to authenticated using (tenant_id in (select public.my_tenants()));
create view public.list with (security_invoker = true) as select id, body from public.messages;
create publication supabase_realtime for table public.messages;
`;

/** A change, what it is, and what taking it back is; then a harmless neighbour. */
type Row = {
  class: string;
  change: string;
  is: Level;
  back: Level;
  neighbour: [change: string, is: Level | "nothing"];
  superuser?: boolean;
};

const row = (
  of: string,
  change: string,
  is: Level,
  back: Level,
  neighbour: Row["neighbour"],
  superuser = false,
): Row => ({ class: of, change, is, back, neighbour, superuser });

const ROWS: Row[] = [
  row("RLS", "alter table public.messages disable row level security", "dangerous", "safe", [
    "alter table public.plans enable row level security",
    "safe",
  ]),
  row("FORCE", "alter table public.messages no force row level security", "dangerous", "safe", [
    "alter table public.plans enable row level security, force row level security",
    "safe",
  ]),
  row("a policy widened", "alter policy own on public.messages using (true)", "dangerous", "safe", [
    "alter policy own on public.messages using (((((tenant_id))   in (select public.my_tenants())) and (((body) <> ('secret')))))",
    "nothing",
  ]),
  row(
    "a side of an AND lost",
    "alter policy own on public.messages using (tenant_id in (select public.my_tenants()))",
    "dangerous",
    "safe",
    [
      "alter policy own on public.messages using (body <> 'secret' and tenant_id in (select public.my_tenants()))",
      "safe",
    ],
  ),
  row(
    "a side of an OR won",
    "alter policy own on public.projects using (tenant_id in (select public.my_tenants()) or tenant_id is null)",
    "dangerous",
    "safe",
    [
      "alter policy own on public.projects using (tenant_id in (select public.my_tenants()) and slug <> '')",
      "safe",
    ],
  ),
  row(
    "a policy replaced",
    "alter policy own on public.projects using (slug <> '')",
    "review",
    "review",
    ["alter policy own on public.projects rename to mine", "review"],
  ),
  row(
    "a policy for everybody",
    "alter policy own on public.projects to public",
    "dangerous",
    "safe",
    [
      "create policy hours on public.projects as restrictive for select to authenticated using (slug <> '')",
      "safe",
    ],
  ),
  row(
    "a policy for anon",
    "create policy more on public.projects for select to anon using (true)",
    "dangerous",
    "review",
    [
      "create policy more on public.projects for select to authenticated using (tenant_id = (auth.jwt() -> 'app_metadata' ->> 'tenant')::uuid)",
      "review",
    ],
  ),
  row("the floor dropped", "drop policy floor on public.files", "dangerous", "safe", [
    "create policy named on public.files as restrictive for insert to public with check (name <> '')",
    "safe",
  ]),
  row(
    "the floor for members only",
    "alter policy floor on public.files to authenticated",
    "dangerous",
    "safe",
    [
      "create policy more on public.files to authenticated using (name <> 'x')",
      "review",
    ],
  ),
  row(
    "user_metadata",
    "alter policy own on public.projects using (tenant_id = (auth.jwt() -> 'user_metadata' ->> 't')::uuid)",
    "dangerous",
    "review",
    [
      "comment on policy own on public.projects is 'theirs'",
      "nothing",
    ],
  ),
  row(
    "joining a tenant",
    "create policy joining on public.members for insert to authenticated with check (user_id = auth.uid())",
    "dangerous",
    "review",
    [
      "create policy mine on public.members for select to authenticated using (user_id = (select auth.uid()))",
      "review",
    ],
  ),
  row("a grant to anon", "grant select on public.messages to anon", "dangerous", "safe", [
    "revoke delete on public.messages from authenticated",
    "safe",
  ]),
  row("a grant to everybody", "grant update on public.messages to public", "dangerous", "safe", [
    "grant select on public.plans to service_role",
    "nothing",
  ]),
  row("a column's grant", "grant select (body) on public.messages to anon", "dangerous", "safe", [
    "grant select (name) on public.plans to app_direct",
    "review",
  ]),
  row(
    "a sequence's grant",
    "grant usage on sequence public.messages_number_seq to anon",
    "dangerous",
    "safe",
    [
      "create sequence public.numbers",
      "safe",
    ],
  ),
  row("TRUNCATE", "grant truncate on public.messages to authenticated", "dangerous", "safe", [
    "revoke truncate on public.plans from anon, authenticated",
    "safe",
  ]),
  row(
    "grant option",
    "grant select on public.messages to authenticated with grant option",
    "dangerous",
    "safe",
    [
      "revoke select on public.messages from authenticated",
      "safe",
    ],
  ),
  row(
    "default privileges",
    "alter default privileges in schema public grant select on tables to public",
    "dangerous",
    "safe",
    [
      "alter default privileges in schema public revoke all on tables from anon",
      "safe",
    ],
  ),
  row(
    "a parameter",
    "grant set on parameter session_replication_role to authenticated",
    "dangerous",
    "safe",
    [
      "grant set on parameter log_min_duration_statement to app_direct",
      "review",
    ],
    true,
  ),
  row("BYPASSRLS", "alter role app_direct bypassrls", "dangerous", "safe", [
    "alter role app_direct connection limit 5",
    "nothing",
  ], true),
  row("membership", "grant service_role to app_direct", "dangerous", "safe", [
    "create role readers nologin",
    "safe",
  ], true),
  row("attributes", "alter role authenticated createrole", "dangerous", "safe", [
    "alter role app_direct createdb",
    "review",
  ], true),
  row("ownership", "alter table public.messages owner to service_role", "dangerous", "dangerous", [
    "alter table public.messages owner to supabase_admin",
    "review",
  ], true),
  row("a trigger disabled", "alter table public.messages disable trigger stamp", "review", "safe", [
    "create function public.tell() returns trigger language plpgsql set search_path = '' as $$ begin perform pg_notify('m', ''); return null; end $$; create trigger tell after insert on public.messages for each row execute function public.tell()",
    "safe",
  ]),
  row(
    "a trigger that moves rows",
    "create trigger aaa before insert on public.messages for each row execute function public.move()",
    "dangerous",
    "review",
    [
      "create trigger zzz before insert on public.messages for each row execute function public.stamp()",
      "safe",
    ],
  ),
  row(
    "a trigger before another",
    "create trigger aaa before update on public.messages for each row execute function public.stamp()",
    "review",
    "review",
    [
      "create trigger zzz before update on public.messages for each row execute function public.stamp()",
      "safe",
    ],
  ),
  row(
    "a trigger redefined",
    "create or replace trigger stamp before update on public.messages for each row when (false) execute function public.stamp()",
    "review",
    "review",
    [
      "comment on trigger stamp on public.messages is 'tidy'",
      "nothing",
    ],
  ),
  row(
    "a trigger's function",
    "create or replace function public.stamp() returns trigger language plpgsql set search_path = '' as $$ begin return null; end $$",
    "dangerous",
    "review",
    [
      "create or replace function public.stamp() returns trigger language plpgsql set search_path = '' as $$ begin new.body := btrim(new.body); return new; end $$",
      "review",
    ],
  ),
  row("a definer", "alter function public.total() security definer", "dangerous", "review", [
    "create or replace function public.total() returns bigint language sql stable set search_path = '' as 'select count(id) from public.messages'",
    "safe",
  ]),
  row(
    "a policy's function",
    "create or replace function public.my_tenants() returns setof uuid language sql stable security definer set search_path = '' as 'select id from public.tenants'",
    "dangerous",
    "review",
    [
      "create or replace function public.my_tenants() returns setof uuid language sql stable security definer set search_path = '' as 'select tenant_id from public.members where user_id = auth.uid()'",
      "review",
    ],
  ),
  row("volatility", "alter function public.my_tenants() immutable", "dangerous", "review", [
    "alter function public.total() volatile",
    "safe",
  ]),
  row("leakproof", "alter function public.total() leakproof", "dangerous", "safe", [
    "alter function public.total() parallel safe",
    "safe",
  ], true),
  row("search_path", "alter function public.my_tenants() reset search_path", "review", "review", [
    "alter function public.total() reset search_path",
    "safe",
  ]),
  row("execute", "grant execute on function public.my_tenants() to anon", "dangerous", "safe", [
    "grant execute on function public.total() to anon",
    "safe",
  ]),
  row(
    "a function's setting",
    "alter function public.total() set row_security = off",
    "dangerous",
    "safe",
    ["alter function public.total() set work_mem = '64MB'", "safe"],
  ),
  row(
    "a key dropped",
    "alter table public.messages drop constraint messages_tenant_id_project_id_fkey",
    "dangerous",
    "safe",
    ["alter table public.messages drop constraint messages_body_check", "review"],
  ),
  row(
    "a key without the tenant",
    "alter table public.files add column project_id uuid references public.projects (id)",
    "dangerous",
    "review",
    [
      "alter table public.files add column project_id uuid, add foreign key (tenant_id, project_id) references public.projects (tenant_id, id)",
      "safe",
    ],
  ),
  row(
    "cascade",
    "alter table public.messages drop constraint messages_tenant_id_project_id_fkey, add constraint messages_tenant_id_project_id_fkey foreign key (tenant_id, project_id) references public.projects (tenant_id, id) on delete cascade",
    "dangerous",
    "safe",
    [
      "alter table public.messages rename constraint messages_tenant_id_project_id_fkey to to_project",
      "nothing",
    ],
  ),
  row(
    "NOT VALID",
    "alter table public.messages drop constraint messages_tenant_id_project_id_fkey, add constraint messages_tenant_id_project_id_fkey foreign key (tenant_id, project_id) references public.projects (tenant_id, id) on delete restrict not valid",
    "dangerous",
    "safe",
    [
      "alter table public.messages add constraint short check (length(body) < 1000)",
      "safe",
    ],
  ),
  row(
    "deferrable",
    "alter table public.messages alter constraint messages_tenant_id_project_id_fkey deferrable",
    "dangerous",
    "safe",
    [
      "alter table public.messages add column author uuid references auth.users (id) on delete cascade",
      "safe",
    ],
  ),
  row(
    "unique over all tenants",
    "create unique index on public.messages (body)",
    "review",
    "safe",
    ["create unique index on public.messages (tenant_id, body)", "safe"],
  ),
  row(
    "the tenant column nullable",
    "alter table public.messages alter column tenant_id drop not null",
    "dangerous",
    "safe",
    ["alter table public.messages alter column body drop not null", "safe"],
  ),
  row(
    "the tenant column's default",
    "alter table public.messages alter column tenant_id set default '00000000-0000-4000-8000-000000000001'",
    "dangerous",
    "safe",
    ["alter table public.messages alter column body set default 'x'", "safe"],
  ),
  row(
    "the tenant column's name",
    "alter table public.plans add column tenant_id uuid",
    "review",
    "dangerous",
    ["alter table public.messages add column note text", "safe"],
  ),
  row(
    "a new partition",
    "create table public.events_2027 partition of public.events for values from ('2027-01-01') to ('2028-01-01')",
    "dangerous",
    "review",
    [
      "create table public.events_2027 partition of public.events for values from ('2027-01-01') to ('2028-01-01'); alter table public.events_2027 enable row level security",
      "review",
    ],
  ),
  row(
    "a partition detached",
    "alter table public.events detach partition public.events_2026",
    "dangerous",
    "dangerous",
    ["create index on public.events (at)", "nothing"],
  ),
  row(
    "a view as its owner",
    "alter view public.list reset (security_invoker)",
    "dangerous",
    "safe",
    [
      "create or replace view public.list with (security_invoker = true) as select id, body, number from public.messages",
      "safe",
    ],
  ),
  row(
    "a materialized view",
    "create materialized view public.copies as select * from public.messages",
    "dangerous",
    "safe",
    ["create materialized view public.prices as select * from public.plans", "safe"],
  ),
  row(
    "a rule",
    "create rule quiet as on delete to public.messages do instead nothing",
    "dangerous",
    "safe",
    ["create rule quiet as on delete to public.plans do instead nothing", "review"],
  ),
  row(
    "a foreign table",
    "create foreign data wrapper w; create server s foreign data wrapper w; create foreign table public.remote (id uuid) server s; grant select on public.remote to authenticated",
    "dangerous",
    "review",
    [
      "create schema back; create foreign data wrapper w; create server s foreign data wrapper w; create foreign table back.remote (id uuid) server s",
      "review",
    ],
    true,
  ),
  row("a publication", "create publication leak for table public.messages", "dangerous", "safe", [
    "create publication prices for table public.plans",
    "review",
  ]),
  row(
    "Realtime",
    "alter publication supabase_realtime add table public.projects",
    "review",
    "safe",
    ["create publication empty", "safe"],
  ),
  row("replica identity", "alter table public.messages replica identity full", "review", "review", [
    "alter table public.messages set (fillfactor = 90)",
    "nothing",
  ]),
  row("a setting", "alter role authenticated set row_security = off", "dangerous", "safe", [
    "alter role authenticated set statement_timeout = '5s'",
    "safe",
  ], true),
  row(
    "a tenant in a setting",
    "alter role app_direct set app.current_tenant_id = 'acme'",
    "dangerous",
    "safe",
    ["alter role app_direct set app.settings.jwt_secret = 'x'", "safe"],
    true,
  ),
  row(
    "exposed schemas",
    "alter role authenticator set pgrst.db_schemas = 'public, back'",
    "review",
    "review",
    ["alter role authenticator set pgrst.db_max_rows = '100'", "safe"],
    true,
  ),
  row(
    "an open new table",
    "create table public.orders (id uuid primary key, tenant_id uuid not null)",
    "dangerous",
    "review",
    [
      "create schema back; create table back.jobs (id bigint primary key, payload jsonb)",
      "safe",
    ],
  ),
  row(
    "a closed new table",
    "create table public.orders (id uuid primary key, tenant_id uuid not null); alter table public.orders enable row level security",
    "review",
    "review",
    [
      "create table public.orders (id uuid primary key, tenant_id uuid not null); alter table public.orders enable row level security, force row level security; create policy floor on public.orders as restrictive to public using (tenant_id in (select public.my_tenants()))",
      "safe",
    ],
  ),
  row("renamed", "alter table public.messages rename to letters", "review", "review", [
    "create statistics public.s on tenant_id, project_id from public.messages",
    "nothing",
  ]),
  row(
    "swapped",
    "alter table public.files rename to swap; alter table public.plans rename to files; alter table public.swap rename to plans",
    "dangerous",
    "dangerous",
    ["comment on table public.files is 'files'", "nothing"],
  ),
  row("an extension", "create extension citext schema extensions", "review", "review", [
    "create type public.mood as enum ('good')",
    "nothing",
  ], true),
  row("a platform's table", "grant select on auth.users to authenticated", "dangerous", "safe", [
    "grant select on auth.users to app_direct",
    "nothing",
  ], true),
  row(
    "files of everybody",
    "create policy all_files on storage.objects for select to authenticated using (true)",
    "dangerous",
    "review",
    [
      "create policy own_files on storage.objects for select to authenticated using (auth.uid()::text = (storage.foldername(name))[1])",
      "review",
    ],
    true,
  ),
  row("CREATE in public", "grant create on schema public to authenticated", "dangerous", "safe", [
    "create schema back",
    "safe",
  ], true),
  row(
    "an operator",
    "create function public.eq(uuid, text) returns boolean language sql immutable as 'select true'; create operator public.= (leftarg = uuid, rightarg = text, function = public.eq)",
    "review",
    "review",
    [
      "create domain public.email as text check (value ~ '@')",
      "safe",
    ],
  ),
];

describe("without the kit, diff says of", () => {
  let server: Server;
  let db: Database;
  let sql: postgres.Sql;
  let base: Snapshot;
  before(async () => {
    server = await startPostgres();
    db = await baselineDatabase(server);
    await withSql(db.superUrl, (admin) => admin.unsafe("create role app_direct login"));
    await withSql(
      db.url,
      (owner) => runSql(owner, WORLD.replace("create role app_direct login;", ""), "world"),
    );
    sql = oneConnection(db.superUrl);
    base = await boundaryAfter(sql, "select 1");
  });
  after(async () => {
    await sql?.end();
    await server?.stop();
  });

  const worst = async (from: Snapshot, to: Snapshot): Promise<[string, string]> => {
    const { entries, counts } = await diffSnapshots(from, to);
    const level = counts.dangerous > 0
      ? "dangerous"
      : counts.review > 0
      ? "review"
      : counts.safe > 0
      ? "safe"
      : "nothing";
    return [
      level,
      entries.map((one) => `${one.level} ${one.kind} ${one.object} ${one.facet}: ${one.why}`).join(
        "; ",
      ),
    ];
  };

  for (const one of ROWS) {
    it(`${one.class}: ${one.is}, taken back ${one.back}, its neighbour ${one.neighbour[1]}`, async () => {
      const changed = await boundaryAfter(sql, one.change, one.superuser);
      const near = await boundaryAfter(sql, one.neighbour[0], one.superuser);
      const [is, why] = await worst(base, changed);
      assert.equal(is, one.is, why || "nothing was seen");
      const [back, whyBack] = await worst(changed, base);
      assert.equal(back, one.back, `taken back: ${whyBack}`);
      const [neighbour, whyNear] = await worst(base, near);
      assert.equal(neighbour, one.neighbour[1], `its neighbour: ${whyNear}`);
    });
  }
});
