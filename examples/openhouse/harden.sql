-- OpenHouse, hardened. Needs Bulkhead's migrations; runs in one transaction, on a live database in a quiet hour
-- (select * from bulkhead.plan('public.messages') gives the same as steps without long locks).
-- After it a message, its unit, its development and its tenant can't disagree, nothing cascades, and
-- the database refuses whoever forgets the tenant.

select bulkhead.configure(
    'public.tenants',
    membership_table => 'public.members',
    membership_active => 'is_active'
);

-- 1. Repair what the nullable columns let in: the old chat widget stored messages without tenant and development.

update public.units as u set
    tenant_id = d.tenant_id
from public.developments as d
where d.id = u.development_id
    and u.tenant_id is null;

update public.messages as m set
    tenant_id = u.tenant_id,
    development_id = u.development_id
from public.units as u
where u.id = m.unit_id
    and (m.tenant_id is null or m.development_id is null);

-- 2. Keys first: they hold for every role, in every transaction, whatever the policies say.

alter table public.members
    alter column tenant_id set not null,
    drop constraint members_tenant_id_fkey,
    drop constraint members_user_id_fkey,
    add constraint members_tenant_id_user_id_key unique (tenant_id, user_id),
    add constraint members_tenant_id_fkey foreign key (tenant_id)
        references public.tenants (id) on delete restrict,
    add constraint members_user_id_fkey foreign key (user_id)
        references auth.users (id) on delete restrict;

alter table public.developments
    alter column tenant_id set not null,
    drop constraint developments_tenant_id_fkey,
    add constraint developments_tenant_id_id_key unique (tenant_id, id),
    add constraint developments_tenant_id_fkey foreign key (tenant_id)
        references public.tenants (id) on delete restrict;

alter table public.units
    alter column tenant_id set not null,
    alter column development_id set not null,
    drop constraint units_development_id_fkey,
    add constraint units_tenant_id_id_key unique (tenant_id, id),
    add constraint units_tenant_id_development_id_id_key unique (tenant_id, development_id, id),
    add constraint units_tenant_id_fkey foreign key (tenant_id)
        references public.tenants (id) on delete restrict,
    add constraint units_development_id_fkey foreign key (tenant_id, development_id)
        references public.developments (tenant_id, id) on delete restrict;

alter table public.messages
    alter column tenant_id set not null,
    alter column development_id set not null,
    alter column unit_id set not null,
    drop constraint messages_development_id_fkey,
    drop constraint messages_unit_id_fkey,
    add constraint messages_tenant_id_id_key unique (tenant_id, id),
    add constraint messages_tenant_id_fkey foreign key (tenant_id)
        references public.tenants (id) on delete restrict,
    add constraint messages_development_id_fkey foreign key (tenant_id, development_id)
        references public.developments (tenant_id, id) on delete restrict,
    add constraint messages_unit_id_fkey foreign key (tenant_id, development_id, unit_id)
        references public.units (tenant_id, development_id, id) on delete restrict;

alter table public.onboarding_attempts
    alter column tenant_id set not null,
    drop constraint onboarding_attempts_tenant_id_fkey,
    drop constraint onboarding_attempts_unit_id_fkey,
    add constraint onboarding_attempts_tenant_id_fkey foreign key (tenant_id)
        references public.tenants (id) on delete restrict,
    add constraint onboarding_attempts_unit_id_fkey foreign key (tenant_id, unit_id)
        references public.units (tenant_id, id) on delete restrict;

-- Queries name the tenant from now on, and so do their indexes.
drop index public.messages_unit_id_idx;
drop index public.messages_created_at_idx;
drop index public.units_development_id_idx;
create index messages_tenant_id_unit_idx on public.messages (tenant_id, development_id, unit_id);
create index messages_tenant_id_created_at_idx on public.messages (tenant_id, created_at);
create index onboarding_attempts_tenant_id_idx on public.onboarding_attempts (tenant_id, unit_id);

-- 3. The permissive holes go. protect() gives members of a tenant access to its rows; who is a member, and what
--    the onboarding recorded, is written by the back end alone.

drop policy "read tenants" on public.tenants;
drop policy "read developments" on public.developments;
drop policy "read units" on public.units;
drop policy "members of the tenant" on public.developments;
drop policy "members of the tenant" on public.units;
drop policy "chat widget" on public.messages;
drop policy "read messages" on public.messages;
drop policy "edit messages" on public.messages;
drop policy "delete messages" on public.messages;
drop policy "own membership" on public.members;

create policy "read onboarding attempts" on public.onboarding_attempts for select to authenticated
using (tenant_id = any ((select bulkhead.current_tenants())::uuid[]));

revoke insert, update, delete on public.tenants, public.members, public.onboarding_attempts from authenticated;

-- 4. Functions run as whoever calls them, so that the policies hold inside them too.

create or replace function public.search_messages(term text)
returns setof public.messages
language sql
stable
security invoker
set search_path = ''
as $$
    select * from public.messages where body ilike '%' || term || '%' order by created_at desc limit 50
$$;
comment on function public.search_messages(text) is 'The newest fifty messages of the caller''s tenants that hold the term';

create or replace function public.mark_sold(unit uuid)
returns void
language sql
volatile
security invoker
set search_path = ''
as $$
    update public.units set status = 'sold' where id = unit
$$;
comment on function public.mark_sold(uuid) is 'Marks a unit of the caller''s tenants as sold';

revoke all on function public.search_messages(text), public.mark_sold(uuid) from public, anon;

-- Tables of tomorrow start closed.
alter default privileges in schema public revoke all on tables from anon;
alter default privileges in schema public revoke all on sequences from anon;
alter default privileges in schema public revoke all on functions from anon;

-- 5. RLS enabled and forced, the restrictive policy, the guard and the audit trail; nothing for anon.

select bulkhead.protect('public.tenants');
select bulkhead.protect('public.members');
select bulkhead.protect('public.developments');
select bulkhead.protect('public.units');
select bulkhead.protect('public.messages');
select bulkhead.protect('public.onboarding_attempts');

-- 6. Residents who can't sign up: a canary looks at the attempts every five minutes.

select bulkhead.watch_onboarding('public.onboarding_attempts', 'succeeded', 'attempted_at', 'tenant_id');

-- 7. The back end still has the service key, and reads by it pass every policy: somebody answers for that until it
--    arrives as bulkhead_service. Then: select bulkhead.close_service_role();

select bulkhead.accept(
    finding.fingerprint,
    'the back end reads through TenantScopedClient only, until it arrives as bulkhead_service',
    now() + interval '180 days'
)
from bulkhead.findings('guard') as finding
where finding.name = 'service_role_reads';
