create table public.orgs (
    id uuid primary key default gen_random_uuid(),
    name text not null
);
create table public.answers (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references public.orgs (id),
    body jsonb not null
);
alter table public.orgs enable row level security;
alter table public.answers enable row level security;
create policy answers_read on public.answers for select to authenticated using (true);
create policy answers_write on public.answers for insert to anon with check (true);
