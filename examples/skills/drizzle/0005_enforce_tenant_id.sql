-- Every row belongs to one tenant, and the database insists. Needs Bulkhead's migrations; one transaction, as Drizzle runs it.
-- Repairs what has a single answer, moves the rest to quarantine.rows, guesses nothing, deletes nothing.
-- A large live table wants the same in steps without long locks: bulkhead.plan() or `bulkhead adopt`.
select bulkhead.configure('public.tenants', direct_roles => '{skills_app}');
--> statement-breakpoint

-- 1. A place for rows that are nobody's, out of every API's reach.
create schema if not exists quarantine;
--> statement-breakpoint
create table if not exists quarantine.rows (
    id bigint generated always as identity primary key,
    table_name text not null,
    row_id text not null,
    reason text not null,
    content jsonb not null,
    quarantined_at timestamptz not null default now()
);
--> statement-breakpoint
comment on table quarantine.rows is 'Rows without a single owner, whole, until somebody who knows brings them home';
--> statement-breakpoint
alter table quarantine.rows enable row level security;
--> statement-breakpoint
revoke all on schema quarantine from public;
--> statement-breakpoint

-- 2. Cascades go first: moving a user would silently delete what they wrote.
alter table public.skills drop constraint skills_author_id_fkey;
--> statement-breakpoint
alter table public.ratings drop constraint ratings_skill_id_fkey, drop constraint ratings_user_id_fkey;
--> statement-breakpoint
alter table public.usage_events drop constraint usage_events_user_id_fkey;
--> statement-breakpoint
alter table public.api_keys drop constraint api_keys_user_id_fkey, drop constraint api_keys_tenant_id_fkey;
--> statement-breakpoint
alter table public.skill_versions drop constraint skill_versions_skill_id_fkey;
--> statement-breakpoint
alter table public.skill_embeddings drop constraint skill_embeddings_skill_id_fkey;
--> statement-breakpoint
alter table public.skill_reviews drop constraint skill_reviews_skill_id_fkey, drop constraint skill_reviews_reviewer_id_fkey;
--> statement-breakpoint

-- 3. Backfill through the parent, where there is one answer. A tenant that is there is never overwritten.
alter table public.usage_events alter column tenant_id drop default;
--> statement-breakpoint
alter table public.skill_versions add column tenant_id text;
--> statement-breakpoint
alter table public.skill_embeddings add column tenant_id text;
--> statement-breakpoint
update public.skills as s set tenant_id = u.tenant_id from public.users as u where u.id = s.author_id and s.tenant_id is null;
--> statement-breakpoint
update public.api_keys as k set tenant_id = u.tenant_id from public.users as u where u.id = k.user_id and k.tenant_id is null;
--> statement-breakpoint
update public.ratings as c set tenant_id = s.tenant_id from public.skills as s where s.id = c.skill_id and c.tenant_id is null;
--> statement-breakpoint
update public.usage_events as c set tenant_id = s.tenant_id from public.skills as s where s.id = c.skill_id and c.tenant_id is null;
--> statement-breakpoint
update public.skill_versions as c set tenant_id = s.tenant_id from public.skills as s where s.id = c.skill_id and c.tenant_id is null;
--> statement-breakpoint
update public.skill_embeddings as c set tenant_id = s.tenant_id from public.skills as s where s.id = c.skill_id and c.tenant_id is null;
--> statement-breakpoint
update public.skill_reviews as c set tenant_id = s.tenant_id from public.skills as s where s.id = c.skill_id and c.tenant_id is null;
--> statement-breakpoint

-- 4. What contradicts itself waits in quarantine: parents before children, so that a child follows its parent.
do $$
declare
    v_rule record;
begin
    for v_rule in
        select *
        from (values
            ('users', 'id', 'no tenant that exists', 'not exists (select from public.tenants as p where p.id = c.tenant_id)'),
            ('skills', 'id', 'no tenant that exists', 'not exists (select from public.tenants as p where p.id = c.tenant_id)'),
            ('skills', 'id', 'its author is not of its tenant', 'c.author_id is not null and not exists (select from public.users as p where p.tenant_id = c.tenant_id and p.id = c.author_id)'),
            ('ratings', 'id', 'its skill is not of its tenant', 'not exists (select from public.skills as p where p.tenant_id = c.tenant_id and p.id = c.skill_id)'),
            ('ratings', 'id', 'its user is not of its tenant', 'not exists (select from public.users as p where p.tenant_id = c.tenant_id and p.id = c.user_id)'),
            ('usage_events', 'id', 'its skill is not of its tenant', 'not exists (select from public.skills as p where p.tenant_id = c.tenant_id and p.id = c.skill_id)'),
            ('usage_events', 'id', 'its user is not of its tenant', 'c.user_id is not null and not exists (select from public.users as p where p.tenant_id = c.tenant_id and p.id = c.user_id)'),
            ('api_keys', 'id', 'its user is not of its tenant', 'not exists (select from public.users as p where p.tenant_id = c.tenant_id and p.id = c.user_id)'),
            ('skill_versions', 'id', 'its skill is not of its tenant', 'not exists (select from public.skills as p where p.tenant_id = c.tenant_id and p.id = c.skill_id)'),
            ('skill_embeddings', 'id', 'its skill is not of its tenant', 'not exists (select from public.skills as p where p.tenant_id = c.tenant_id and p.id = c.skill_id)'),
            ('skill_reviews', 'id', 'its skill is not of its tenant', 'not exists (select from public.skills as p where p.tenant_id = c.tenant_id and p.id = c.skill_id)'),
            ('skill_reviews', 'id', 'its reviewer is not of its tenant', 'c.reviewer_id is not null and not exists (select from public.users as p where p.tenant_id = c.tenant_id and p.id = c.reviewer_id)'),
            ('site_settings', 'key', 'no tenant that exists', 'not exists (select from public.tenants as p where p.id = c.tenant_id)')
        ) as rule (table_name, key, reason, condition)
    loop
        execute format(
            'with moved as (delete from public.%1$I as c where %2$s returning c.*)'
            ' insert into quarantine.rows (table_name, row_id, reason, content)'
            ' select %3$L, m.%4$I::text, %5$L, to_jsonb(m) from moved as m',
            v_rule.table_name, v_rule.condition, 'public.' || v_rule.table_name, v_rule.key, v_rule.reason);
    end loop;
end
$$;
--> statement-breakpoint

-- 5. Keys that carry the tenant. Uniques hold inside a tenant: a slug that is taken says nothing about another customer.
alter table public.users
    alter column tenant_id set not null,
    drop constraint users_email_key,
    add constraint users_tenant_id_id_key unique (tenant_id, id),
    add constraint users_tenant_id_email_key unique (tenant_id, email),
    add constraint users_tenant_id_fkey foreign key (tenant_id) references public.tenants (id) on delete restrict;
--> statement-breakpoint
alter table public.skills
    alter column tenant_id set not null,
    drop constraint skills_slug_key,
    add constraint skills_tenant_id_id_key unique (tenant_id, id),
    add constraint skills_tenant_id_slug_key unique (tenant_id, slug),
    add constraint skills_tenant_id_fkey foreign key (tenant_id) references public.tenants (id) on delete restrict,
    add constraint skills_author_id_fkey foreign key (tenant_id, author_id) references public.users (tenant_id, id) on delete restrict;
--> statement-breakpoint
alter table public.ratings
    alter column tenant_id set not null,
    drop constraint ratings_skill_id_user_id_key,
    add constraint ratings_tenant_id_id_key unique (tenant_id, id),
    add constraint ratings_tenant_id_skill_id_user_id_key unique (tenant_id, skill_id, user_id),
    add constraint ratings_tenant_id_fkey foreign key (tenant_id) references public.tenants (id) on delete restrict,
    add constraint ratings_skill_id_fkey foreign key (tenant_id, skill_id) references public.skills (tenant_id, id) on delete restrict,
    add constraint ratings_user_id_fkey foreign key (tenant_id, user_id) references public.users (tenant_id, id) on delete restrict;
--> statement-breakpoint
alter table public.usage_events
    alter column tenant_id set not null,
    add constraint usage_events_tenant_id_id_key unique (tenant_id, id),
    add constraint usage_events_tenant_id_fkey foreign key (tenant_id) references public.tenants (id) on delete restrict,
    add constraint usage_events_skill_id_fkey foreign key (tenant_id, skill_id) references public.skills (tenant_id, id) on delete restrict,
    add constraint usage_events_user_id_fkey foreign key (tenant_id, user_id) references public.users (tenant_id, id) on delete restrict;
--> statement-breakpoint
alter table public.api_keys
    alter column tenant_id set not null,
    drop constraint api_keys_key_hash_key,
    add constraint api_keys_tenant_id_id_key unique (tenant_id, id),
    add constraint api_keys_tenant_id_key_hash_key unique (tenant_id, key_hash),
    add constraint api_keys_tenant_id_fkey foreign key (tenant_id) references public.tenants (id) on delete restrict,
    add constraint api_keys_user_id_fkey foreign key (tenant_id, user_id) references public.users (tenant_id, id) on delete restrict;
--> statement-breakpoint
alter table public.skill_versions
    alter column tenant_id set not null,
    drop constraint skill_versions_skill_id_version_key,
    add constraint skill_versions_tenant_id_id_key unique (tenant_id, id),
    add constraint skill_versions_tenant_id_skill_id_version_key unique (tenant_id, skill_id, version),
    add constraint skill_versions_tenant_id_fkey foreign key (tenant_id) references public.tenants (id) on delete restrict,
    add constraint skill_versions_skill_id_fkey foreign key (tenant_id, skill_id) references public.skills (tenant_id, id) on delete restrict;
--> statement-breakpoint
alter table public.skill_embeddings
    alter column tenant_id set not null,
    drop constraint skill_embeddings_skill_id_key,
    add constraint skill_embeddings_tenant_id_id_key unique (tenant_id, id),
    add constraint skill_embeddings_tenant_id_skill_id_key unique (tenant_id, skill_id),
    add constraint skill_embeddings_tenant_id_fkey foreign key (tenant_id) references public.tenants (id) on delete restrict,
    add constraint skill_embeddings_skill_id_fkey foreign key (tenant_id, skill_id) references public.skills (tenant_id, id) on delete restrict;
--> statement-breakpoint
alter table public.skill_reviews
    alter column tenant_id set not null,
    drop constraint skill_reviews_skill_id_key,
    add constraint skill_reviews_tenant_id_id_key unique (tenant_id, id),
    add constraint skill_reviews_tenant_id_skill_id_key unique (tenant_id, skill_id),
    add constraint skill_reviews_tenant_id_fkey foreign key (tenant_id) references public.tenants (id) on delete restrict,
    add constraint skill_reviews_skill_id_fkey foreign key (tenant_id, skill_id) references public.skills (tenant_id, id) on delete restrict,
    add constraint skill_reviews_reviewer_id_fkey foreign key (tenant_id, reviewer_id) references public.users (tenant_id, id) on delete restrict;
--> statement-breakpoint
alter table public.site_settings
    alter column tenant_id set not null,
    drop constraint site_settings_pkey,
    add constraint site_settings_pkey primary key (tenant_id, key),
    add constraint site_settings_tenant_id_fkey foreign key (tenant_id) references public.tenants (id) on delete restrict;
--> statement-breakpoint

-- 6. Every query names the tenant from now on, and so does every index.
create index users_tenant_id_idx on public.users (tenant_id, created_at);
--> statement-breakpoint
create index skills_tenant_id_idx on public.skills (tenant_id, status, created_at);
--> statement-breakpoint
create index ratings_tenant_id_idx on public.ratings (tenant_id, user_id);
--> statement-breakpoint
create index usage_events_tenant_id_idx on public.usage_events (tenant_id, occurred_at);
--> statement-breakpoint
create index usage_events_tenant_id_skill_id_idx on public.usage_events (tenant_id, skill_id);
--> statement-breakpoint
create index api_keys_tenant_id_idx on public.api_keys (tenant_id, user_id);
--> statement-breakpoint
create index skill_versions_tenant_id_idx on public.skill_versions (tenant_id, created_at);
--> statement-breakpoint
create index skill_embeddings_tenant_id_idx on public.skill_embeddings (tenant_id, model);
--> statement-breakpoint
create index skill_reviews_tenant_id_idx on public.skill_reviews (tenant_id, verdict);
--> statement-breakpoint
create index site_settings_tenant_id_idx on public.site_settings (tenant_id, updated_at);
--> statement-breakpoint

-- 7. The holes go, the role of the application comes: what it may do is written here and nowhere else.
drop policy skills_tenant on public.skills;
--> statement-breakpoint
drop policy skills_catalogue on public.skills;
--> statement-breakpoint
alter function public.popular_skills() security invoker;
--> statement-breakpoint
alter function public.popular_skills() set search_path = '';
--> statement-breakpoint
revoke all on function public.popular_skills() from public, anon, authenticated, service_role;
--> statement-breakpoint
grant execute on function public.popular_skills() to skills_app;
--> statement-breakpoint
revoke all on all tables in schema public from anon, authenticated, service_role, skills_app;
--> statement-breakpoint
alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
--> statement-breakpoint
grant select on public.tenants to skills_app;
--> statement-breakpoint
grant select, insert, update, delete on
    public.users, public.skills, public.ratings, public.usage_events, public.skill_versions,
    public.skill_embeddings, public.skill_reviews, public.api_keys, public.site_settings
to skills_app;
--> statement-breakpoint

-- 8. tenant_isolation opens a tenant's own rows; Bulkhead's restrictive floor bounds it. Both must name the tenant.
do $$
declare
    v_table regclass;
begin
    foreach v_table in array array[
        'public.users', 'public.skills', 'public.ratings', 'public.usage_events', 'public.skill_versions',
        'public.skill_embeddings', 'public.skill_reviews', 'public.api_keys', 'public.site_settings'
    ]::regclass[] loop
        execute format(
            'create policy tenant_isolation on %1$s for all to skills_app using (%2$s) with check (%2$s)',
            bulkhead.qualified(v_table),
            'tenant_id = (select nullif(current_setting(''app.current_tenant_id'', true), ''''))');
    end loop;
    perform bulkhead.protect('public.tenants');
    foreach v_table in array array[
        'public.users', 'public.skills', 'public.ratings', 'public.usage_events', 'public.skill_versions',
        'public.skill_embeddings', 'public.skill_reviews', 'public.api_keys', 'public.site_settings'
    ]::regclass[] loop
        perform bulkhead.protect(v_table);
    end loop;
end
$$;
