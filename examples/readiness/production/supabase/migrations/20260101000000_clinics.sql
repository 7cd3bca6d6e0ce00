create table public.clinics (
    id uuid primary key default gen_random_uuid(),
    name text not null
);
create table public.members (
    clinic_id uuid not null references public.clinics (id) on delete restrict,
    user_id uuid not null references auth.users (id) on delete cascade,
    primary key (clinic_id, user_id)
);
create index members_user_id on public.members (user_id);
create table public.appointments (
    id uuid primary key default gen_random_uuid(),
    clinic_id uuid not null references public.clinics (id) on delete restrict,
    starts_at timestamptz not null
);
create index appointments_clinic_id on public.appointments (clinic_id, starts_at);

alter table public.clinics enable row level security;
alter table public.clinics force row level security;
alter table public.members enable row level security;
alter table public.members force row level security;
alter table public.appointments enable row level security;
alter table public.appointments force row level security;

create policy own on public.members for select to authenticated
    using (user_id = (select auth.uid()));
create policy own on public.clinics for select to authenticated
    using (id in (select clinic_id from public.members where user_id = (select auth.uid())));
create policy own on public.appointments for all to authenticated
    using (clinic_id in (select clinic_id from public.members where user_id = (select auth.uid())))
    with check (clinic_id in (select clinic_id from public.members where user_id = (select auth.uid())));
