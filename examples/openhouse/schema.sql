-- OpenHouse before hardening: what a team ships in its first year.
-- Every hole in it is one that real applications have; harden.sql closes them and says which is which.

create table public.tenants (
    id uuid primary key default gen_random_uuid(),
    name text not null,
    slug text not null unique,
    plan text not null default 'starter',
    created_at timestamptz not null default now()
);

create table public.members (
    id uuid primary key default gen_random_uuid(),
    tenant_id uuid references public.tenants (id) on delete cascade,
    user_id uuid not null references auth.users (id) on delete cascade,
    role text not null default 'agent' check (role in ('owner', 'manager', 'agent')),
    is_active boolean not null default true,
    created_at timestamptz not null default now()
);

create table public.developments (
    id uuid primary key default gen_random_uuid(),
    tenant_id uuid references public.tenants (id) on delete cascade,
    name text not null,
    city text not null,
    address text,
    created_at timestamptz not null default now()
);

create table public.units (
    id uuid primary key default gen_random_uuid(),
    tenant_id uuid,
    development_id uuid references public.developments (id) on delete cascade,
    label text not null,
    floor integer,
    bedrooms integer,
    price_cents bigint,
    status text not null default 'available',
    created_at timestamptz not null default now()
);

create table public.messages (
    id uuid primary key default gen_random_uuid(),
    tenant_id uuid,
    development_id uuid references public.developments (id) on delete cascade,
    unit_id uuid references public.units (id) on delete cascade,
    sender text not null check (sender in ('resident', 'assistant', 'staff')),
    body text not null,
    is_read boolean not null default false,
    created_at timestamptz not null default now()
);

create table public.onboarding_attempts (
    id uuid primary key default gen_random_uuid(),
    tenant_id uuid references public.tenants (id) on delete cascade,
    unit_id uuid references public.units (id) on delete set null,
    email text not null,
    succeeded boolean not null,
    error text,
    attempted_at timestamptz not null default now()
);

create index members_user_id_idx on public.members (user_id);
create index units_development_id_idx on public.units (development_id);
create index messages_unit_id_idx on public.messages (unit_id);
create index messages_created_at_idx on public.messages (created_at);

alter table public.tenants enable row level security;
alter table public.members enable row level security;
alter table public.developments enable row level security;
alter table public.units enable row level security;
alter table public.messages enable row level security;

-- "The dashboard was empty, this fixed it."
create policy "read tenants" on public.tenants for select using (true);
create policy "read developments" on public.developments for select using (true);
create policy "read units" on public.units for select using (true);

create policy "members of the tenant" on public.developments for all to authenticated
using (tenant_id in (select tenant_id from public.members where user_id = auth.uid()));

create policy "members of the tenant" on public.units for all to authenticated
using (tenant_id in (select tenant_id from public.members where user_id = auth.uid()));

-- Residents have no account yet, so the chat widget writes with the anon key.
create policy "chat widget" on public.messages for insert to anon, authenticated with check (true);
create policy "read messages" on public.messages for select to authenticated using (true);
create policy "edit messages" on public.messages for update to authenticated using (true);
create policy "delete messages" on public.messages for delete to authenticated using (true);

create policy "own membership" on public.members for all to authenticated
using (user_id = auth.uid());

grant select, insert on public.messages to anon;
grant select on public.tenants, public.developments, public.units to anon;

-- For the dashboard's search box; it runs as its owner, who bypasses row level security.
-- bulkhead-ignore sql-definer-search-path: the weak schema that adoption begins with
create function public.search_messages(term text)
returns setof public.messages
language sql
stable
security definer
as $$
    select * from public.messages where body ilike '%' || term || '%' order by created_at desc limit 50
$$;

-- For the sales team: marks a unit as sold, whoever asks.
-- bulkhead-ignore sql-definer-search-path: the weak schema that adoption begins with
create function public.mark_sold(unit uuid)
returns void
language sql
security definer
as $$
    update public.units set status = 'sold' where id = unit
$$;

grant execute on function public.search_messages(text), public.mark_sold(uuid) to authenticated, service_role;
