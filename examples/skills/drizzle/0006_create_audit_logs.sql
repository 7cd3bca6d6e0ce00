-- audit_logs: what happened in a tenant, who did it and from where. A view of Bulkhead's ledger: nobody can change it, and
-- no second write is needed. Row changes are in it by themselves; the application adds its events with log_audit().

-- An address as log_audit() wrote it; text that is none must not break the page.
create function public.ip_of(metadata jsonb)
returns inet
language plpgsql
immutable
security invoker
set search_path = ''
as $$
begin
    return (metadata ->> 'ip_address')::inet;
exception when invalid_text_representation then
    return null;
end
$$;
--> statement-breakpoint
comment on function public.ip_of(jsonb) is 'The address in an event''s metadata, null when there is none';
--> statement-breakpoint
revoke all on function public.ip_of(jsonb) from public, anon, authenticated, service_role;
--> statement-breakpoint
grant execute on function public.ip_of(jsonb) to skills_app;
--> statement-breakpoint

-- action is not lower(): that is not leakproof, so under row level security its index could not serve. INSERT, UPDATE,
-- DELETE and TRUNCATE are row changes, anything in lower case is what the application said.
create view public.audit_logs
with (security_invoker = true)
as
select
    e.actor as actor_id,
    e.tenant_id,
    e.operation as action,
    e.table_name as resource_type,
    e.record_id as resource_id,
    -- The ledger's own is that of the connection, which is the application's server.
    public.ip_of(e.metadata) as ip_address,
    coalesce(e.metadata - 'ip_address', '{}') || jsonb_strip_nulls(jsonb_build_object('before', e.before, 'after', e.after)) as metadata,
    e.created_at
from bulkhead.audit_events as e;
--> statement-breakpoint
comment on view public.audit_logs is 'The trail of the tenant at work: append-only, served from Bulkhead''s ledger';
--> statement-breakpoint
revoke all on public.audit_logs from public, anon, authenticated, service_role;
--> statement-breakpoint
grant select on public.audit_logs to skills_app;
--> statement-breakpoint

-- The view asks as its reader, so the reader may read the ledger: its own tenant's part, nothing else, never write.
grant select on bulkhead.audit_events to skills_app;
--> statement-breakpoint
create policy skills_own_trail on bulkhead.audit_events for select to skills_app
    using (tenant_id = any ((select bulkhead.current_tenants())::text[]));
--> statement-breakpoint

-- Partial: events of no tenant and of no person cost nothing, and row changes stay out of the index on the action.
create index audit_logs_tenant_id_idx on bulkhead.audit_events (tenant_id, created_at) where tenant_id is not null;
--> statement-breakpoint
create index audit_logs_actor_id_idx on bulkhead.audit_events (actor, created_at) where actor is not null;
--> statement-breakpoint
create index audit_logs_action_idx on bulkhead.audit_events (operation, created_at)
    where operation not in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE');
--> statement-breakpoint

-- Definer: the application needs no rights on the kit, and this is all that it can do there. Tenant and actor are the
-- transaction's, read from the role that asks and not from this function's owner.
create function public.log_audit(action text, resource_type text, resource_id text default null, ip inet default null, metadata jsonb default '{}')
returns void
language sql
volatile
security definer
set search_path = ''
as $$
    select bulkhead.log_event(
        action, resource_type, resource_id, coalesce(metadata, '{}') || jsonb_strip_nulls(jsonb_build_object('ip_address', host(ip))))
$$;
--> statement-breakpoint
comment on function public.log_audit(text, text, text, inet, jsonb) is 'Adds an event of the application to the trail; tenant and actor are those of the transaction. Example: select log_audit(''skill.published'', ''skill'', ''s1'')';
--> statement-breakpoint
revoke all on function public.log_audit(text, text, text, inet, jsonb) from public, anon, authenticated, service_role;
--> statement-breakpoint
grant execute on function public.log_audit(text, text, text, inet, jsonb) to skills_app;
