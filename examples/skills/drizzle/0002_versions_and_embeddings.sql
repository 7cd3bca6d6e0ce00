-- Skills get versions and can be searched by meaning.
create table public.skill_versions (
    id text primary key,
    skill_id text not null references public.skills (id) on delete cascade,
    version integer not null,
    body text not null,
    created_at timestamptz not null default now(),
    constraint skill_versions_skill_id_version_key unique (skill_id, version)
);
--> statement-breakpoint
create table public.skill_embeddings (
    id text primary key,
    skill_id text not null unique references public.skills (id) on delete cascade,
    model text not null,
    embedding real[] not null,
    created_at timestamptz not null default now()
);
