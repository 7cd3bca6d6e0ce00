-- The boundary on restored rows: for each protected table, a member of one tenant (role authenticated) sees and changes
-- nothing of another, and anon sees nothing. pgTAP; run by the restore drill, rolled back.
begin;
do $$
begin
    if to_regproc('extensions.no_plan') is null and to_regproc('public.no_plan') is null then
        create schema if not exists extensions;
        create extension pgtap with schema extensions;
    end if;
end
$$;
set local search_path = public, extensions;
set local row_security = on;
select * from no_plan();

-- What a query answers for a caller: a number, or the SQLSTATE of its refusal.
create function pg_temp.answer(caller text, claims jsonb, tenant text, query text)
returns text
language plpgsql
as $$
declare
    v_answer text;
begin
    begin
        perform set_config('request.jwt.claims', claims::text, true),
            set_config('request.headers', jsonb_strip_nulls(jsonb_build_object('x-tenant-id', tenant))::text, true),
            set_config('role', caller, true);
        execute query into v_answer;
    exception
        when others then
            v_answer := sqlstate;
    end;
    perform set_config('role', 'none', true), set_config('request.jwt.claims', '', true), set_config('request.headers', '', true);
    return v_answer;
end
$$;

-- A tenant with a member who is let in, and that member's claims.
create function pg_temp.a_member(out tenant text, out claims jsonb)
language plpgsql
as $$
declare
    s bulkhead.settings := (select s from bulkhead.settings as s);
begin
    if s.membership_table is null then
        execute format('select t.%I::text from %s as t order by 1 limit 1', s.tenant_key, s.tenants_table) into tenant;
        claims := jsonb_build_object('role', 'authenticated', 'sub', gen_random_uuid(),
            'app_metadata', jsonb_build_object(s.tenant_column, tenant, 'tenant_id', tenant));
    else
        execute format(
            $sql$
            select m.tenant, m.claims
            from (
                select t.%1$I::text as tenant, jsonb_build_object('role', 'authenticated', 'sub', t.%2$I) as claims
                from %3$s as t
                order by 1
                limit 1000
            ) as m
            where m.tenant = any (bulkhead.member_tenants(m.claims, m.tenant))
            limit 1
            $sql$, s.membership_tenant_column, s.membership_user_column, s.membership_table)
        into tenant, claims;
    end if;
end
$$;

create function pg_temp.boundary()
returns setof text
language plpgsql
as $$
declare
    v_tenant text;
    v_claims jsonb;
    v_table record;
    v_other text;
    v_any text;
    v_seen text;
    v_own bigint := 0;
    v_tables integer := 0;
begin
    select m.tenant, m.claims into v_tenant, v_claims from pg_temp.a_member() as m;
    return next isnt(v_tenant, null, 'there is a tenant whose member is let in');
    for v_table in
        select bulkhead.qualified(p.relation) as name, p.tenant_column as key
        from bulkhead.protected_tables as p
        where p.parent is null
        union all
        select 'bulkhead.audit_events', 'tenant_id'
        order by 1
    loop
        execute format('select t.%1$I::text from %2$s as t limit 1', v_table.key, v_table.name) into v_any;
        continue when v_any is null;
        v_tables := v_tables + 1;
        v_seen := pg_temp.answer('anon', '{"role": "anon"}', null,
            format('select count(*) from (select from %s limit 1) as f', v_table.name));
        return next ok(v_seen in ('0', '42501'), format('anon sees no row in %s (%s)', v_table.name, v_seen));
        v_seen := pg_temp.answer('authenticated', v_claims, v_tenant, format('select count(*) from (select from %s limit 1) as f', v_table.name));
        v_own := v_own + case when v_seen = '1' then 1 else 0 end;
        execute format('select t.%1$I::text from %2$s as t where t.%1$I::text <> %3$L limit 1', v_table.key, v_table.name, v_tenant) into v_other;
        continue when v_other is null;
        v_seen := pg_temp.answer('authenticated', v_claims, v_tenant,
            format('select count(*) from (select from %2$s as t where t.%1$I::text is distinct from %3$L limit 1) as f', v_table.key, v_table.name, v_tenant));
        return next ok(v_seen in ('0', '42501'), format('authenticated sees no row of another tenant in %s (%s)', v_table.name, v_seen));
        v_seen := pg_temp.answer('authenticated', v_claims, v_tenant,
            format('with d as (delete from %2$s as t where t.%1$I::text = %3$L returning 1) select count(*) from d', v_table.key, v_table.name, v_other));
        return next ok(v_seen in ('0', '42501') or v_seen like 'BH%', format('authenticated deletes no row of another tenant in %s (%s)', v_table.name, v_seen));
        v_seen := pg_temp.answer('authenticated', v_claims, v_tenant,
            format('with u as (update %2$s as t set %1$I = t.%1$I where t.%1$I::text = %3$L returning 1) select count(*) from u', v_table.key, v_table.name, v_other));
        return next ok(v_seen in ('0', '42501') or v_seen like 'BH%', format('authenticated changes no row of another tenant in %s (%s)', v_table.name, v_seen));
    end loop;
    return next ok(v_tables > 0, format('%s tables hold rows', v_tables));
    -- A boundary that shows nobody anything would pass the rest.
    return next ok(v_own > 0, 'authenticated sees rows of their own tenant');
end
$$;
select * from pg_temp.boundary();
select * from finish();
rollback;
