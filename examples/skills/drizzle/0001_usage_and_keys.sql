-- What is called how often, and the keys that call it.
create table public.usage_events (
    id bigint generated always as identity primary key,
    -- No foreign key: "the log must never fail".
    skill_id text not null,
    user_id text references public.users (id) on delete set null,
    kind text not null default 'run',
    tokens integer not null default 0,
    occurred_at timestamptz not null default now()
);
--> statement-breakpoint
create table public.api_keys (
    id text primary key,
    user_id text not null references public.users (id) on delete cascade,
    name text not null,
    key_hash text not null unique,
    last_used_at timestamptz,
    created_at timestamptz not null default now()
);
