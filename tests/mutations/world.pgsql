-- A small project as a team would have it: members, partitions, an inheritance child, a direct role, a trigger of its
-- own, two policies of its own, a view, functions, storage policies, Realtime, an exempt table. Green when it is done.
create table public.tenants (id uuid primary key default gen_random_uuid(), name text not null);
create table public.members (
    id uuid primary key default gen_random_uuid(),
    tenant_id uuid not null references public.tenants (id) on delete restrict,
    user_id uuid not null references auth.users (id) on delete cascade,
    role text not null default 'agent',
    is_active boolean not null default true
);
create table public.projects (
    id uuid primary key default gen_random_uuid(),
    tenant_id uuid not null,
    name text not null,
    updated_at timestamptz not null default now()
);
create table public.messages (
    id uuid primary key default gen_random_uuid(),
    tenant_id uuid not null,
    project_id uuid not null references public.projects (id),
    number bigint generated always as identity,
    body text not null check (body <> '')
);
create table public.events (
    tenant_id uuid not null,
    id bigint not null,
    at timestamptz not null,
    kind text,
    primary key (tenant_id, id, at)
) partition by range (at);
create table public.events_2026 partition of public.events for values from ('2026-01-01') to ('2027-01-01');
create table public.events_2027 partition of public.events for values from ('2027-01-01') to ('2028-01-01');
create table public.notes (id uuid primary key default gen_random_uuid(), tenant_id uuid not null, body text);
create table public.notes_archive (primary key (id)) inherits (public.notes);
create table public.plans (id integer primary key, name text not null, cents integer);

create function public.touch() returns trigger language plpgsql set search_path = '' as $$
begin
    new.updated_at := now();
    return new;
end
$$;
create trigger touch before update on public.projects for each row execute function public.touch();
create function public.my_tenants() returns setof uuid language sql stable security definer set search_path = '' as $$
    select m.tenant_id from public.members as m where m.user_id = auth.uid() and m.is_active
$$;
revoke all on function public.my_tenants() from public, anon;
create function public.count_messages() returns bigint language sql stable set search_path = '' as $$
    select count(*) from public.messages
$$;
create function public.project_total() returns bigint language sql stable set search_path = '' as $$
    select count(*) from public.projects
$$;
revoke all on function public.count_messages(), public.project_total() from public, anon;
create view public.message_list with (security_invoker = true) as select id, tenant_id, body from public.messages;
create policy "tenants of a member" on public.projects for select to authenticated using (tenant_id in (select public.my_tenants()));
create policy "all of a project" on public.projects for all to authenticated
    using (tenant_id = any ((select bulkhead.current_tenants())::uuid[]));
create policy "named projects only" on public.projects as restrictive for insert to authenticated with check (name <> '');
create publication supabase_realtime for table public.messages;
-- As the platform has it: who may join a private channel, and speak in it, is asked of this table's policies.
create schema realtime;
grant usage on schema realtime to anon, authenticated, service_role;
create table realtime.messages (
    topic text not null,
    extension text not null,
    payload jsonb,
    event text,
    private boolean default false,
    updated_at timestamp not null default now(),
    inserted_at timestamp not null default now(),
    id uuid not null default gen_random_uuid(),
    primary key (id, inserted_at)
) partition by range (inserted_at);
alter table realtime.messages enable row level security;
grant select, insert, update on realtime.messages to anon, authenticated, service_role;
create function realtime.topic() returns text language sql stable as $$ select nullif(current_setting('realtime.topic', true), '')::text $$;
create policy "channels of a tenant" on realtime.messages for select to authenticated
    using (split_part((select realtime.topic()), ':', 2) = any ((select bulkhead.current_tenants())::text[]));

-- Tables of tomorrow start closed.
alter default privileges in schema public revoke all on tables from anon;
alter default privileges in schema public revoke all on sequences from anon;
alter default privileges in schema public revoke all on functions from anon;

select bulkhead.configure('public.tenants', membership_table => 'public.members', membership_active => 'is_active', direct_roles => '{app_direct}');
select bulkhead.protect('public.tenants');
select bulkhead.protect('public.members');
select bulkhead.protect('public.projects');
select bulkhead.protect('public.messages');
select bulkhead.protect('public.events');
select bulkhead.protect('public.notes');
select bulkhead.exempt('public.plans', 'the price list is the same for everybody');
revoke all on sequence public.messages_number_seq from anon;
grant select, insert on public.messages to app_direct;

insert into public.tenants (id, name) values
    ('00000000-0000-4000-8000-000000000001', 'Acme'), ('00000000-0000-4000-8000-000000000002', 'Birch');
insert into public.projects (id, tenant_id, name) values
    ('00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-000000000001', 'Tower'),
    ('00000000-0000-4000-8000-00000000000b', '00000000-0000-4000-8000-000000000002', 'Lane');
insert into public.messages (tenant_id, project_id, body) values
    ('00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'hello'),
    ('00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-00000000000b', 'good morning');
insert into public.events (tenant_id, id, at) values ('00000000-0000-4000-8000-000000000001', 1, '2026-06-01');
insert into public.plans values (1, 'starter', 900);
select bulkhead.schedule();
select bulkhead.accept(f.fingerprint, 'the back end reads through the wrapper only', now() + interval '30 days')
from bulkhead.findings('guard') as f where f.name = 'service_role_reads';
