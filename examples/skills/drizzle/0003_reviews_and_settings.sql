-- A second pair of eyes before a skill is published, and settings of "the" site.
create table public.skill_reviews (
    id text primary key,
    skill_id text not null unique references public.skills (id) on delete cascade,
    reviewer_id text references public.users (id) on delete set null,
    verdict text not null default 'pending' check (verdict in ('pending', 'approved', 'rejected')),
    notes text,
    created_at timestamptz not null default now()
);
--> statement-breakpoint
create table public.site_settings (
    key text primary key,
    value jsonb not null,
    updated_at timestamptz not null default now()
);
