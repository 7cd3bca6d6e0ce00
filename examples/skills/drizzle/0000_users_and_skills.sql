-- The first release: one company, so no table says whose its rows are.
create table public.users (
    id text primary key,
    email text not null unique,
    name text not null,
    role text not null default 'member' check (role in ('admin', 'member')),
    created_at timestamptz not null default now()
);
--> statement-breakpoint
create table public.skills (
    id text primary key,
    author_id text references public.users (id) on delete set null,
    slug text not null unique,
    title text not null,
    description text,
    status text not null default 'draft' check (status in ('draft', 'published', 'retired')),
    price_cents integer not null default 0,
    created_at timestamptz not null default now()
);
--> statement-breakpoint
create table public.ratings (
    id text primary key,
    skill_id text not null references public.skills (id) on delete cascade,
    user_id text not null references public.users (id) on delete cascade,
    score integer not null check (score between 1 and 5),
    created_at timestamptz not null default now(),
    constraint ratings_skill_id_user_id_key unique (skill_id, user_id)
);
