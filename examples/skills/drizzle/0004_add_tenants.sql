-- The second customer signs. Half a step: the column is there, nothing insists on it.
create table public.tenants (
    id text primary key,
    name text not null,
    created_at timestamptz not null default now()
);
--> statement-breakpoint
alter table public.users add column tenant_id text;
--> statement-breakpoint
alter table public.skills add column tenant_id text;
--> statement-breakpoint
alter table public.ratings add column tenant_id text;
--> statement-breakpoint
-- "Old clients don't send it, so it is the first customer."
alter table public.usage_events add column tenant_id text default '1';
--> statement-breakpoint
alter table public.skill_reviews add column tenant_id text;
--> statement-breakpoint
alter table public.api_keys add column tenant_id text references public.tenants (id) on delete cascade;
--> statement-breakpoint
-- The key stays the name alone: the second customer cannot have a setting of its own.
alter table public.site_settings add column tenant_id text;
--> statement-breakpoint
-- Row level security as somebody tried it: always true while the setting is absent.
alter table public.skills enable row level security;
--> statement-breakpoint
create policy skills_tenant on public.skills using (
    tenant_id = current_setting('app.current_tenant_id', true)
    or current_setting('app.current_tenant_id', true) is null
);
--> statement-breakpoint
-- The widget on the landing page asks with the public key.
create policy skills_catalogue on public.skills for select to anon using (true);
--> statement-breakpoint
-- Used by the nightly mail; runs as its owner.
create function public.popular_skills()
returns setof public.skills
language sql
stable
security definer
as $$
    select s.* from public.skills as s
    join public.usage_events as e on e.skill_id = s.id
    group by s.id
    order by count(*) desc
    limit 10
$$;
--> statement-breakpoint
-- The service gets a role of its own, which may write everything.
do $$
begin
    if to_regrole('skills_app') is null then
        -- No password here: alter role skills_app password '…' by hand, once.
        create role skills_app login noinherit nosuperuser nocreatedb nocreaterole nobypassrls;
    end if;
end
$$;
--> statement-breakpoint
grant usage on schema public to skills_app;
--> statement-breakpoint
grant select, insert, update, delete on all tables in schema public to skills_app;
