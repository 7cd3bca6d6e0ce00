-- The probe: two tenants that exist for a moment, and what each may do to the other, tried for real and rolled back.
-- Public objects: function bulkhead.canary_attack_probe(); table bulkhead.probe_reach; the canary attack_probe.
-- Runs as its caller (SET ROLE fails inside a definer function). Never: commits a row, writes as anybody but the owner
--   outside of a subtransaction, calls a function of yours in a transaction that could write.
-- Leaves behind: numbers taken from the ledger's sequence (and from sequences that your triggers draw from),
--   transaction ids, dead rows for the next vacuum, and in probe_reach when it was where. Nothing else.
-- No security definer functions. Errors: BH404 a row could not be made, or another probe is running.

-- ---------------------------------------------------------------- rows that nobody has

-- Every value of a side is the same value of its type, so that the keys of a side fit together by themselves.
create function bulkhead.probe_value(type oid, modifier integer, column_name name, side text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    v_type pg_catalog.pg_type;
    -- One is the beginning of the other: 1 and 12. What compares the text of ids by their beginning is found out.
    v_n integer := case side when 'a' then 1 when 'b' then 12 when 'c' then 13 when 'd' then 14 when 'e' then 15 when 'f' then 16 else 17 end;
    v_text text;
begin
    loop
        select t.* into v_type from pg_catalog.pg_type as t where t.oid = type;
        exit when v_type.typtype <> 'd';
        type := v_type.typbasetype;
        modifier := case when v_type.typtypmod >= 0 then v_type.typtypmod else modifier end;
    end loop;
    if v_type.typtype = 'e' then
        return (
            select to_jsonb((array_agg(e.enumlabel order by e.enumsortorder))[1 + v_n % count(*)::integer])
            from pg_catalog.pg_enum as e
            where e.enumtypid = type
        );
    elsif v_type.typcategory = 'A' then
        return '[]';
    elsif v_type.typtype = 'm' then
        return to_jsonb('{}'::text);
    elsif v_type.typtype = 'r' then
        return to_jsonb('empty'::text);
    end if;
    return case v_type.typname
        when 'uuid' then to_jsonb('b01dface-0000-4000-8000-' || lpad(v_n::text, 12, '0'))
        when 'int8' then to_jsonb('90000000000'::text || v_n)
        when 'int4' then to_jsonb('20000000'::text || v_n)
        when 'int2' then to_jsonb('320'::text || v_n)
        when 'numeric' then to_jsonb(case when modifier >= 4 and ((modifier - 4) >> 16) - ((modifier - 4) & 65535) < 10 then '' else '20000000' end || v_n)
        when 'bool' then to_jsonb('true'::text)
        when 'timestamptz' then to_jsonb((now() + v_n * interval '1 second')::text)
        when 'timestamp' then to_jsonb((now() + v_n * interval '1 second')::timestamp::text)
        when 'date' then to_jsonb(current_date::text)
        when 'time' then to_jsonb('00:00:' || v_n)
        when 'timetz' then to_jsonb('00:00:' || v_n)
        when 'interval' then to_jsonb(v_n || ' hours')
        when 'json' then '{}'
        when 'jsonb' then '{}'
        when 'bytea' then to_jsonb('\x' || lpad(v_n::text, 64, '0'))
        when 'inet' then to_jsonb('192.0.2.' || v_n)
        when 'cidr' then to_jsonb('192.0.2.' || v_n)
        when 'macaddr' then to_jsonb('02:00:00:00:00:' || v_n)
        when 'point' then to_jsonb(format('(%s,%s)', v_n, v_n))
        when 'hstore' then to_jsonb(''::text)
        when 'xml' then to_jsonb('<bhprobe/>'::text)
        when 'bit' then to_jsonb(lpad('', greatest(modifier, 1), '1'))
        when 'varbit' then to_jsonb('1'::text)
        when 'vector' then to_jsonb('[' || v_n || repeat(',0', greatest(modifier, 1) - 1) || ']')
        else case v_type.typcategory
            when 'N' then to_jsonb(v_n::text)
            when 'S' then to_jsonb(case
                when type in ('varchar'::regtype, 'bpchar'::regtype) and modifier > 4 and modifier - 4 < 32 then right('bhprobe' || v_n, modifier - 4)
                when column_name ~* 'mail' then format('bhprobe%s@example.com', v_n)
                when column_name ~* 'ur[il]$|link|website' then format('https://example.com/bhprobe%s', v_n)
                else 'bhprobe' || v_n
            end)
            when 'U' then to_jsonb('bhprobe' || v_n)
        end
    end;
end
$$;
comment on function bulkhead.probe_value(oid, integer, name, text) is 'The value of a type on one side of the probe: a and b are the tenants, c to f further rows of b, n is nobody; null for a type that it does not know';
revoke all on function bulkhead.probe_value(oid, integer, name, text) from public;

create function bulkhead.probe_columns(relation regclass)
returns table (name name, type oid, modifier integer, is_key boolean, is_tenant boolean, is_unique boolean, is_wanted boolean, is_foreign boolean)
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select
        a.attname,
        a.atttypid,
        a.atttypmod,
        coalesce(a.attname = any (k.names), false),
        coalesce(a.attname = t.tenant_column, a.attname = s.membership_tenant_column and s.membership_table = a.attrelid, false),
        exists (
            select
            from pg_catalog.pg_index as i
            where i.indrelid = a.attrelid
                and i.indisunique
                and a.attnum = any (i.indkey)
        ),
        coalesce(a.attname = any (k.names), false)
        or coalesce(a.attname = t.tenant_column, false)
        or coalesce(s.membership_table = a.attrelid and a.attname in (s.membership_user_column, s.membership_tenant_column), false)
        -- A default is taken, unless it draws a number: sequences are not rolled back.
        -- Printing the default would lock the table.
        or a.attnotnull and (
            a.attidentity <> ''
            or not a.atthasdef
            or exists (
                select
                from pg_catalog.pg_depend as n
                join pg_catalog.pg_class as q on q.oid = n.refobjid and q.relkind = 'S'
                where n.classid = 'pg_attrdef'::regclass
                    and n.objid = d.oid
                    and n.refclassid = 'pg_class'::regclass
            )
        ),
        exists (
            select
            from pg_catalog.pg_constraint as c
            where c.conrelid = a.attrelid
                and c.contype = 'f'
                and a.attnum = any (c.conkey)
        )
    from pg_catalog.pg_attribute as a
    cross join bulkhead.settings as s
    left join bulkhead.protected_tables as t on t.relation = a.attrelid
    left join pg_catalog.pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    cross join lateral (select coalesce(bulkhead.key_of(a.attrelid), t.key_columns) as names) as k
    where a.attrelid = probe_columns.relation
        and a.attnum > 0
        and not a.attisdropped
        and a.attgenerated = ''
$$;
comment on function bulkhead.probe_columns(regclass) is 'What the probe has to know of each column that it could fill';
revoke all on function bulkhead.probe_columns(regclass) from public;

-- Asked for dozens of times a table: the world keeps it.
create function bulkhead.probe_known(relation regclass, world jsonb)
returns table (name name, type oid, modifier integer, is_key boolean, is_tenant boolean, is_unique boolean, is_wanted boolean, is_foreign boolean)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select c.*
    from jsonb_to_recordset(world -> 'columns' -> relation::oid::text) as c (
        name name, type oid, modifier integer, is_key boolean, is_tenant boolean, is_unique boolean, is_wanted boolean, is_foreign boolean
    )
$$;
comment on function bulkhead.probe_known(regclass, jsonb) is 'probe_columns() of a table that the probe''s world holds';
revoke all on function bulkhead.probe_known(regclass, jsonb) from public;

create function bulkhead.probe_insert(relation regclass, row_ jsonb)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_stored jsonb;
    v_columns text := (select string_agg(format('%I', k), ', ' order by k) from jsonb_object_keys(row_) as k);
begin
    execute format(
        'insert into %1$s as t (%2$s) overriding system value select %2$s from jsonb_populate_record(null::%1$s, $1) returning to_jsonb(t)',
        bulkhead.qualified(relation), v_columns)
    into v_stored
    using row_;
    if v_stored is null then
        raise exception using
            errcode = 'BH404',
            message = format('a trigger of %s swallowed the row', relation);
    end if;
    return v_stored;
end
$$;
comment on function bulkhead.probe_insert(regclass, jsonb) is 'Inserts one row from an object of its columns; returns it as it was stored';
revoke all on function bulkhead.probe_insert(regclass, jsonb) from public;

create function bulkhead.probe_candidate(relation regclass, constraint_name name, column_name name, attempt integer)
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with definition as (
        select pg_get_constraintdef(c.oid) as text, a.atttypid, y.typcategory
        from pg_catalog.pg_constraint as c
        join pg_catalog.pg_attribute as a on a.attrelid = c.conrelid and a.attname = column_name
        join pg_catalog.pg_type as y on y.oid = a.atttypid
        where c.conrelid = relation
            and c.conname = constraint_name
    ),
    candidates as (
        -- What the constraint itself names comes first.
        select 1 as rank, m.position, replace(m.found[1], '''''', '''') as value
        from definition as d
        cross join lateral regexp_matches(d.text, '''((?:[^'']|'''')*)''', 'g') with ordinality as m (found, position)
        union all
        select 2, m.position, n.value
        from definition as d
        cross join lateral regexp_matches(regexp_replace(d.text, '''(?:[^'']|'''')*''', '', 'g'), '-?\d+(?:\.\d+)?', 'g') with ordinality as m (found, position)
        cross join lateral (values (m.found[1]), ((m.found[1]::numeric + 1)::text)) as n (value)
        where d.typcategory = 'N'
        union all
        select 3, g.position, g.value
        from definition as d
        cross join lateral (
            select * from unnest(array['0', '1', '100']) with ordinality as u (value, position) where d.typcategory = 'N'
            union all
            select *
            from unnest(array['BHPROBE12', 'bhprobe', 'bhprobe-12', repeat('bhprobe', 6), 'b', '12', lpad('12', 10, '0'), '+493000000012', 'EUR', 'en', 'probe@example.com', 'https://example.com/bhprobe'])
                with ordinality as u (value, position)
            where d.typcategory = 'S'
        ) as g
    )
    select to_jsonb(c.value)
    from candidates as c
    order by c.rank, c.position
    limit 1
    offset attempt - 1
$$;
comment on function bulkhead.probe_candidate(regclass, name, name, integer) is 'The n-th value to try for a column that a check constraint refuses; null when there is none left';
revoke all on function bulkhead.probe_candidate(regclass, name, name, integer) from public;

create function bulkhead.probe_seed(relation regclass, side text, world jsonb, is_kept boolean default true)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_id text := relation::oid || ':' || side;
    v_settings bulkhead.settings := (select s from bulkhead.settings as s);
    v_fk record;
    v_parent_side text;
    v_parent jsonb;
    v_wanted name[];
    v_row jsonb;
    v_stored jsonb;
    v_model jsonb;
    v_tried jsonb := '{}';
    v_has_model boolean := false;
    v_state text;
    v_constraint text;
    v_message text;
    v_column name;
    v_value jsonb;
begin
    if world -> 'rows' ? v_id or world -> 'failed' ? v_id then
        return world;
    end if;
    world := jsonb_set(world, array['failed', v_id], to_jsonb('its keys go round in a circle'::text));
    if not world -> 'columns' ? relation::oid::text then
        world := jsonb_set(world, array['columns', relation::oid::text], (select jsonb_agg(to_jsonb(c)) from bulkhead.probe_columns(relation) as c));
    end if;
    select
        array_agg(c.name),
        jsonb_object_agg(c.name, bulkhead.probe_value(c.type, c.modifier, c.name,
            -- c to f are rows of tenant b, but in the tenants table, where they are tenants.
            case when c.is_tenant and relation <> v_settings.tenants_table and side > 'b' then 'b' else side end))
    into v_wanted, v_row
    from bulkhead.probe_known(relation, world) as c
    where c.is_wanted;

    for v_fk in
        select
            c.confrelid::regclass as parent,
            bulkhead.columns_of(c.conrelid, c.conkey) as columns,
            bulkhead.columns_of(c.confrelid, c.confkey) as parent_columns,
            -- A unique index over nothing but keys and the tenant: only one row may point there.
            exists (
                select
                from pg_catalog.pg_index as i
                cross join lateral (select bulkhead.columns_of(i.indrelid, i.indkey::smallint[]) as names) as u
                where i.indrelid = c.conrelid
                    and i.indisunique
                    and not 0 = any (i.indkey::smallint[])
                    and u.names <@ array(select p.name from bulkhead.probe_known(relation, world) as p where p.is_tenant or p.is_foreign)
                    and u.names && array(
                        select p.name
                        from bulkhead.probe_known(relation, world) as p
                        where not p.is_tenant
                            and p.name = any (bulkhead.columns_of(c.conrelid, c.conkey))
                    )
            ) as is_alone
        from pg_catalog.pg_constraint as c
        where c.conrelid = relation
            and c.contype = 'f'
            and c.conparentid = 0
            and c.confrelid <> c.conrelid
            and bulkhead.columns_of(c.conrelid, c.conkey) <@ v_wanted
        order by c.conname
    loop
        -- Where only one row may point at a parent, a further row needs a parent of its own.
        v_parent_side := case
            when side in ('a', 'b') then side
            when v_fk.parent = v_settings.tenants_table or not v_fk.is_alone then 'b'
            when side in ('c', 'd') then 'c'
            else 'f'
        end;
        world := bulkhead.probe_seed(v_fk.parent, v_parent_side, world);
        v_parent := world -> 'rows' -> (v_fk.parent::oid || ':' || v_parent_side);
        if v_parent is null then
            return jsonb_set(world, array['failed', v_id],
                to_jsonb(format('no row of %s: %s', bulkhead.qualified(v_fk.parent), world -> 'failed' ->> (v_fk.parent::oid || ':' || v_parent_side))));
        end if;
        select v_row || jsonb_object_agg(p.name, v_parent -> p.parent_name) into v_row
        from unnest(v_fk.columns, v_fk.parent_columns) as p (name, parent_name);
    end loop;

    for i in 1 .. 40 loop
        begin
            v_stored := bulkhead.probe_insert(relation, coalesce(v_row, '{}'));
            if not is_kept then
                raise exception using errcode = 'BHRBK';
            end if;
            exit;
        exception
            when sqlstate 'BHRBK' then
                exit;
            when others then
                v_stored := null;
                get stacked diagnostics v_state = returned_sqlstate, v_constraint = constraint_name, v_message = message_text;
        end;
        if v_state = '23514' and v_constraint <> '' then
            v_tried := v_tried || jsonb_build_object(v_constraint, coalesce((v_tried ->> v_constraint)::integer, 0) + 1);
            -- A constraint of two columns is tried by its first free one.
            select p.name into v_column
            from pg_catalog.pg_constraint as c
            cross join unnest(bulkhead.columns_of(c.conrelid, c.conkey)) with ordinality as n (name, position)
            join bulkhead.probe_known(relation, world) as p on p.name = n.name and not p.is_tenant and not p.is_foreign
            where c.conrelid = relation
                and c.conname = v_constraint
            order by not p.is_wanted, n.position
            limit 1;
            v_value := bulkhead.probe_candidate(relation, v_constraint, v_column, (v_tried ->> v_constraint)::integer);
            if v_column is not null and v_value is not null then
                v_row := v_row || jsonb_build_object(v_column, v_value);
                continue;
            end if;
        end if;
        -- A model would have to wait for the same lock.
        exit when v_has_model or v_state = '55P03';
        -- No made-up row fits: an existing one is the model, but for what tells rows, tenants and people apart.
        v_has_model := true;
        begin
            execute format(
                'select to_jsonb(t) from %s as t where %s limit 1', bulkhead.qualified(relation),
                case when relation = v_settings.membership_table then coalesce(v_settings.membership_active, 'true') else 'true' end)
            into v_model;
        exception when others then
            v_model := null;
        end;
        exit when v_model is null;
        select v_model - coalesce(array_agg(a.attname::text), '{}') || coalesce(
            (
                select jsonb_object_agg(p.name, v_row -> p.name)
                from bulkhead.probe_known(relation, world) as p
                where p.is_wanted
                    and (p.is_key or p.is_tenant or p.is_unique or p.is_foreign)
            ), '{}')
        into v_row
        from pg_catalog.pg_attribute as a
        left join bulkhead.probe_known(relation, world) as p on p.name = a.attname
        where a.attrelid = relation
            and a.attnum > 0
            and (a.attgenerated <> '' or p.is_unique or p.is_foreign);
    end loop;

    if v_stored is null and world -> 'shared' ? relation::oid::text then
        -- Rows of a table that belongs to nobody may be shared.
        begin
            execute format('select to_jsonb(t) from %s as t limit 1', bulkhead.qualified(relation)) into v_stored;
        exception when others then
            v_stored := null;
        end;
    end if;
    if v_stored is null then
        return jsonb_set(world, array['failed', v_id], to_jsonb(format('%s %s', v_state, v_message)));
    end if;
    return jsonb_set(world #- array['failed', v_id], array['rows', v_id], v_stored);
end
$$;
comment on function bulkhead.probe_seed(regclass, text, jsonb, boolean) is 'Inserts the row of one side, its parents before it; returns the world with the row in it, or with the reason why there is none';
revoke all on function bulkhead.probe_seed(regclass, text, jsonb, boolean) from public;

-- ---------------------------------------------------------------- who tries

create function bulkhead.probe_actors()
returns table (name text, role name, settings jsonb, prepare text, is_recognised boolean, does_read boolean, does_ask boolean)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_settings bulkhead.settings := (select s from bulkhead.settings as s);
    v_a text := bulkhead.probe_value(v_settings.tenant_type, -1, '', 'a') #>> '{}';
    v_b text := bulkhead.probe_value(v_settings.tenant_type, -1, '', 'b') #>> '{}';
    v_user record;
    v_claims jsonb;
    v_member text;
    v_column name;
    v_value text;
begin
    select
        bulkhead.probe_value(coalesce(a.atttypid, 'uuid'::regtype), coalesce(a.atttypmod, -1), 'id', 'a') #>> '{}' as a,
        bulkhead.probe_value(coalesce(a.atttypid, 'uuid'::regtype), coalesce(a.atttypmod, -1), 'id', 'n') #>> '{}' as nobody
    into v_user
    from (select) as one
    left join pg_catalog.pg_attribute as a on a.attrelid = v_settings.membership_table and a.attname = v_settings.membership_user_column;
    v_claims := jsonb_build_object('role', 'authenticated', 'aud', 'authenticated', 'sub', v_user.a,
        'app_metadata', jsonb_build_object(v_settings.tenant_column, v_a), 'user_metadata', '{}'::jsonb);

    return query values
        ('anon', 'anon'::name, jsonb_build_object('request.jwt.claims', '{"role": "anon"}'), null, false, true, true),
        ('a member', 'authenticated', jsonb_build_object('request.jwt.claims', v_claims::text), null, true, true, true),
        ('a member with forged claims', 'authenticated',
            jsonb_build_object(
                'request.jwt.claims', (v_claims || jsonb_build_object('user_metadata', jsonb_build_object(v_settings.tenant_column, v_b)))::text,
                'request.headers', jsonb_build_object('x-tenant-id', v_b)::text),
            null, false, true, false),
        ('nobody''s member', 'authenticated',
            jsonb_build_object('request.jwt.claims', (v_claims - 'app_metadata' || jsonb_build_object('sub', v_user.nobody))::text), null, false, true, false),
        ('service_role for its tenant', 'service_role',
            jsonb_build_object('request.jwt.claims', '{"role": "service_role"}', 'request.headers', jsonb_build_object('x-tenant-id', v_a)::text),
            null, true, false, false),
        ('service_role without a tenant', 'service_role', jsonb_build_object('request.jwt.claims', '{"role": "service_role"}'), null, false, false, false),
        ('bulkhead_service for its tenant', 'bulkhead_service',
            jsonb_build_object('request.jwt.claims', '{"role": "bulkhead_service"}', 'request.headers', jsonb_build_object('x-tenant-id', v_a)::text),
            null, true, true, true);
    return query
        select d.name || w.words, d.name, w.settings, null, w.is_recognised, true, w.is_recognised
        from unnest(v_settings.direct_roles) as d (name)
        cross join (values
            (' for its tenant', jsonb_build_object('bulkhead.tenant', v_a), true),
            (' without a tenant', '{}', false)
        ) as w (words, settings, is_recognised);

    -- Each kind of member that there is.
    if v_settings.membership_table is not null then
        select a.attname into v_column
        from pg_catalog.pg_attribute as a
        where a.attrelid = v_settings.membership_table
            and a.attname in ('role', 'member_role', 'membership_role', 'user_role', 'role_id', 'role_name')
            and not a.attisdropped
        limit 1;
        if v_column is not null then
            for v_value in execute format(
                'select distinct m.%1$I::text from %2$s as m where m.%1$I is not null order by 1 limit 8', v_column, bulkhead.qualified(v_settings.membership_table))
            loop
                return query select
                    format('a member (%s)', v_value), 'authenticated'::name, jsonb_build_object('request.jwt.claims', v_claims::text),
                    format('update %s set %I = %L where %I = %L and %I = %L', bulkhead.qualified(v_settings.membership_table), v_column, v_value,
                        v_settings.membership_user_column, v_user.a, v_settings.membership_tenant_column, v_a),
                    true, true, true;
            end loop;
        end if;
    end if;
end
$$;
comment on function bulkhead.probe_actors() is 'Who tries: anon, members of each kind, forged claims, the back end''s roles with and without a tenant';
revoke all on function bulkhead.probe_actors() from public;

create function bulkhead.probe_as(role name, settings jsonb)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_setting record;
begin
    for v_setting in
        select s.key, s.value
        from jsonb_each_text(
            jsonb_build_object(
                'request.jwt.claims', '', 'request.jwt.claim.sub', '', 'request.jwt.claim.role', '', 'request.headers', '{}',
                'bulkhead.tenant', '', 'bulkhead.openings', '', 'bulkhead.actor', 'bulkhead probe',
                -- Under off, a policy that hides a row would be an error.
                'row_security', 'on', 'lock_timeout', '250ms') || settings) as s
    loop
        perform set_config(v_setting.key, v_setting.value, true);
    end loop;
    perform set_config('role', role, true);
end
$$;
comment on function bulkhead.probe_as(name, jsonb) is 'Becomes somebody for the rest of the subtransaction';
revoke all on function bulkhead.probe_as(name, jsonb) from public;

create function bulkhead.probe_attempt(role name, settings jsonb, statement text, verify text default null)
returns text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_owner text := current_setting('role');
    v_rows bigint := 0;
    v_state text;
begin
    begin
        perform bulkhead.probe_as(role, settings);
        execute statement;
        get diagnostics v_rows = row_count;
        if v_rows > 0 and verify is not null then
            perform set_config('role', v_owner, true), set_config('row_security', 'off', true);
            execute format('select count(*) from (%s) as found', verify) into v_rows;
        end if;
        raise exception using errcode = 'BHRBK';
    exception
        when sqlstate 'BHRBK' then
            return case when v_rows > 0 then 'leak' else 'refused' end;
        when query_canceled then
            return 'unknown it was stopped';
        when others then
            get stacked diagnostics v_state = returned_sqlstate;
            -- A lock, a full disk or a serialization failure says nothing about the boundary.
            return case when left(v_state, 2) in ('40', '53', '54', '55', '57', '58', 'XX') then 'unknown ' || sqlerrm else 'refused' end;
    end;
end
$$;
comment on function bulkhead.probe_attempt(name, jsonb, text, text) is 'Tries one statement as somebody and rolls it back: leak, refused, or unknown with the reason';
revoke all on function bulkhead.probe_attempt(name, jsonb, text, text) from public;

create function bulkhead.probe_answer(role name, settings jsonb, query text, prepare text default null)
returns text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_answer text;
begin
    begin
        if prepare is not null then
            execute prepare;
        end if;
        perform bulkhead.probe_as(role, settings);
        perform set_config('transaction_read_only', 'on', true);
        execute format('select count(*) || '' '' || coalesce(md5(string_agg(a.answer, E''\n'' order by a.answer)), '''') from (%s limit 20001) as a (answer)', query)
        into v_answer;
        raise exception using errcode = 'BHRBK';
    exception
        when sqlstate 'BHRBK' then
            return v_answer;
        -- The reaper, or a timeout: what hangs hides nothing else.
        when query_canceled then
            return 'stopped';
        when others then
            get stacked diagnostics v_answer = returned_sqlstate;
            return 'error ' || v_answer;
    end;
end
$$;
comment on function bulkhead.probe_answer(name, jsonb, text, text) is 'What somebody is answered, as a count and a digest, in a transaction that may not write; error and its code, or stopped';
revoke all on function bulkhead.probe_answer(name, jsonb, text, text) from public;

-- ---------------------------------------------------------------- what is tried

-- What an answer may depend on is the asker's own rows. So ask, let the other tenant's rows appear, and ask again.
create function bulkhead.probe_questions()
returns table (subject text, relation oid, function oid, query text, is_whole boolean)
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select
        format('%I.%I', e.nspname, c.relname),
        c.oid,
        null::oid,
        format('select v::text from %I.%I as v', e.nspname, c.relname),
        true
    from pg_catalog.pg_class as c
    join bulkhead.exposed_schemas as e on e.oid = c.relnamespace
    where (
            c.relkind in ('v', 'm')
            -- What belongs to nobody may have been given copies by a trigger.
            or c.relkind in ('r', 'p')
                and not c.relispartition
                and not exists (select from bulkhead.protected_tables as t where t.relation = c.oid)
        )
        and not exists (select from pg_catalog.pg_depend as d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
    union all
    select
        f.subject,
        null,
        f.oid,
        format('select f::text from %s(%s) as f', f.name, a.list),
        -- Null for an argument without a value is half a question: the function is not covered.
        a.is_whole
    from (
        select
            p.oid,
            p.proargtypes,
            p.pronargs,
            p.pronargdefaults,
            p.proargnames,
            p.provariadic <> 0 as is_variadic,
            format('%I.%I', e.nspname, p.proname) as name,
            format('%I.%I(%s)', e.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as subject
        from pg_catalog.pg_proc as p
        join bulkhead.exposed_schemas as e on e.oid = p.pronamespace
        join pg_catalog.pg_type as r on r.oid = p.prorettype
        where p.prokind = 'f'
            and (r.typtype <> 'p' or r.typname in ('record', 'void'))
            and not exists (select from pg_catalog.pg_depend as d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
    ) as f
    cross join bulkhead.settings as s
    -- The other tenant's ids and one's own; text once as the key of a row and once as the tenant's id; without the
    -- arguments that have a default, and with all of them.
    cross join (values ('b', false, false), ('b', true, false), ('a', false, false), ('b', false, true), ('b', true, true))
        as variant (side, is_tenant_text, is_whole)
    cross join lateral (
        select
            coalesce(string_agg(
                case when f.is_variadic and v.position = f.pronargs then 'variadic ' else '' end
                    || coalesce(v.own_row, format('%L::%s', v.value, format_type(v.type, null))),
                ', ' order by v.position), '') as list,
            coalesce(bool_and(v.value is not null or v.own_row is not null), true) as is_whole,
            coalesce(bool_or(v.is_text), false) as has_text
        from (
            select
                t.position,
                t.type,
                y.typcategory = 'S' as is_text,
                -- A computed field is asked about a row that the asker sees.
                case when y.typtype = 'c' and bulkhead.qualified(y.typrelid) is not null
                    then format('(select t from %s as t limit 1)', bulkhead.qualified(y.typrelid)) end as own_row,
                case
                    when y.typcategory = 'S' and variant.is_tenant_text or t.type = s.tenant_type
                        and coalesce(f.proargnames[t.position] ~* 'tenant|org|team|account|workspace', false)
                        then bulkhead.probe_value(s.tenant_type, -1, '', variant.side) #>> '{}'
                    when y.typcategory = 'A' and y.typelem <> 0 then '{' || (bulkhead.probe_value(y.typelem, -1, '', variant.side) #>> '{}') || '}'
                    else bulkhead.probe_value(t.type, -1, '', variant.side) #>> '{}'
                end as value
            from unnest(f.proargtypes::oid[]) with ordinality as t (type, position)
            join pg_catalog.pg_type as y on y.oid = t.type
            where variant.is_whole
                or t.position <= f.pronargs - f.pronargdefaults
        ) as v
    ) as a
    where (
            variant.side = 'b' and not variant.is_tenant_text
            or variant.is_tenant_text and a.has_text
            or variant.side = 'a' and f.pronargs > f.pronargdefaults
        )
        and (f.pronargdefaults > 0 or not variant.is_whole)
$$;
comment on function bulkhead.probe_questions() is 'Views, functions and unprotected tables of exposed schemas, and the queries that the probe asks of each';
revoke all on function bulkhead.probe_questions() from public;

create function bulkhead.probe_where(relation regclass, row_ jsonb, world jsonb)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select string_agg(format('t.%I = %L::%s', k.name, row_ ->> k.name, format_type(k.type, null)), ' and ')
    from bulkhead.probe_known(relation, world) as k
    where k.is_key
$$;
comment on function bulkhead.probe_where(regclass, jsonb, jsonb) is 'The condition that finds one row of a protected table by its key';
revoke all on function bulkhead.probe_where(regclass, jsonb, jsonb) from public;

-- Triggers on changes may copy to where everybody reads.
create function bulkhead.probe_touch(relation regclass, world jsonb)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_name text := bulkhead.qualified(relation);
    v_row jsonb := world -> 'rows' -> (relation::oid || ':e');
    v_column name := (select c.name from bulkhead.probe_known(relation, world) as c order by c.is_key or c.is_tenant, c.is_foreign, c.name limit 1);
begin
    begin
        execute format('update %s as t set %2$I = t.%2$I where %s', v_name, v_column, bulkhead.probe_where(relation, world -> 'rows' -> (relation::oid || ':d'), world));
    exception when others then
        null;
    end;
    begin
        perform bulkhead.probe_insert(relation, jsonb_strip_nulls((
            select jsonb_object_agg(c.name, v_row -> c.name) from bulkhead.probe_known(relation, world) as c)));
        execute format('delete from %s as t where %s', v_name, bulkhead.probe_where(relation, v_row, world));
    exception when others then
        null;
    end;
end
$$;
comment on function bulkhead.probe_touch(regclass, jsonb) is 'As its owner changes one row of tenant b, and adds and deletes another';
revoke all on function bulkhead.probe_touch(regclass, jsonb) from public;

-- Each attempt of one role on one table: the rows of b that stand there, one more, and one's own handed over.
create function bulkhead.probe_attempts(relation regclass, role name, own text[], world jsonb)
returns table (verb text, statement text, verify text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
#variable_conflict use_variable
declare
    v_settings bulkhead.settings := (select s from bulkhead.settings as s);
    v_table bulkhead.protected_tables := (select t from bulkhead.protected_tables as t where t.relation = probe_attempts.relation);
    v_name text := bulkhead.qualified(relation);
    v_mine jsonb := world -> 'rows' -> (relation::oid || ':a');
    v_theirs jsonb := world -> 'rows' -> (relation::oid || ':d');
    v_new jsonb := world -> 'rows' -> (relation::oid || ':e');
    v_other jsonb := world -> 'rows' -> (relation::oid || ':b');
    v_column name;
    v_list text;
    v_person jsonb;
begin
    return query select 'select'::text, format('select from %s as t where t.%I <> all (%L::%s[]) limit 1', v_name, v_table.tenant_column,
        own, v_table.tenant_type), null::text;
    if v_theirs is not null then
        -- A column that the role may write, where it may write any: 42501 for the wrong one would look like the boundary.
        select c.name into v_column
        from bulkhead.probe_known(relation, world) as c
        order by has_column_privilege(role, relation, c.name, 'update') desc, c.is_key or c.is_tenant, c.is_foreign, c.name
        limit 1;
        return query
            select 'update'::text, format('update %s as t set %2$I = t.%2$I where %s', v_name, v_column, bulkhead.probe_where(relation, v_theirs, world)), null::text
            union all
            select 'delete', format('delete from %s as t where %s', v_name, bulkhead.probe_where(relation, v_theirs, world)), null;
    end if;
    if v_new is not null then
        for v_person in
            select v_new
            union all
            -- In the attacker's own name: policies that ask who wrote a row forget to ask for whom.
            select v_new || p.mine
            from (
                select jsonb_object_agg(c.name, v_mine -> c.name) as mine
                from bulkhead.probe_known(relation, world) as c
                where c.name in (v_settings.membership_user_column, 'user_id', 'owner_id', 'author_id', 'created_by')
                    and not c.is_tenant
                    and v_mine ->> c.name is not null
                    and role = 'authenticated'
            ) as p
            where p.mine is not null
        loop
            select string_agg(format('%I', c.name), ', ' order by c.name)
            into v_list
            from bulkhead.probe_known(relation, world) as c
            where v_person ->> c.name is not null
                and (has_column_privilege(role, relation, c.name, 'insert') or c.is_tenant or not has_any_column_privilege(role, relation, 'insert'));
            return query select
                'insert'::text,
                format('insert into %1$s (%2$s) overriding system value select %2$s from jsonb_populate_record(null::%1$s, %3$L)', v_name, v_list, v_person),
                format('select from %s as t where t.%I = %L and %s', v_name, v_table.tenant_column, v_person ->> v_table.tenant_column, bulkhead.probe_where(relation, v_person, world));
        end loop;
    end if;
    if v_mine is not null and v_other is not null and not v_table.is_tenants_table then
        return query select
            'move'::text,
            format('update %s as t set %s where %s', v_name,
                (
                    select string_agg(format('%I = %L', c.name, v_other ->> c.name), ', ')
                    from bulkhead.probe_known(relation, world) as c
                    where c.is_tenant
                        or c.is_foreign
                        and not c.is_key
                        and v_mine ->> c.name is not null
                ),
                bulkhead.probe_where(relation, v_mine, world)),
            null::text;
    end if;
end
$$;
comment on function bulkhead.probe_attempts(regclass, name, text[], jsonb) is 'What one role tries on one table: read, change, delete and add rows of another tenant, hand over one of its own';
revoke all on function bulkhead.probe_attempts(regclass, name, text[], jsonb) from public;

-- ---------------------------------------------------------------- how far it comes

create table bulkhead.probe_reach (
    subject text primary key,
    reached_at timestamptz not null,
    -- Why nothing is known of it, although the probe was there.
    problem text,
    -- Why nobody can be asked about it: it writes, or has an argument without a value.
    not_asked text
);
comment on table bulkhead.probe_reach is 'When the probe was last at a table, a view or a function: it goes on where it was longest ago';
alter table bulkhead.probe_reach enable row level security;
revoke all on bulkhead.probe_reach from public, anon, authenticated, service_role;

create function bulkhead.may_ask(role name, relation oid, function oid)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select has_schema_privilege(role, coalesce((select c.relnamespace from pg_catalog.pg_class as c where c.oid = relation),
            (select p.pronamespace from pg_catalog.pg_proc as p where p.oid = function)), 'usage')
        and coalesce(has_table_privilege(role, relation, 'select'), has_function_privilege(role, function, 'execute'))
$$;
comment on function bulkhead.may_ask(name, oid, oid) is 'Whether a role may read a view or call a function';
revoke all on function bulkhead.may_ask(name, oid, oid) from public;

create function bulkhead.probe_order()
returns table (subject text, rank integer, reached_at timestamptz)
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    -- What is open comes first: nothing but another look can close it.
    select i.subject, 0, null::timestamptz
    from bulkhead.incidents as i
    where i.name = 'attack_probe'
        and i.state = 'open'
        and i.status = 'fail'
    union all
    select r.subject, case when r.problem like 'it was stopped%' then 2 else 1 end, r.reached_at
    from bulkhead.probe_reach as r
    where not exists (
        select
        from bulkhead.incidents as i
        where i.name = 'attack_probe'
            and i.state = 'open'
            and i.status = 'fail'
            and i.subject = r.subject
    )
$$;
comment on function bulkhead.probe_order() is 'In which order the probe goes: what is open, what it was never at (not in here), what it was at longest ago, what it hung at';
revoke all on function bulkhead.probe_order() from public;

-- Everything of one subtransaction; what it returns survives the rollback. At least one table and one question are
-- worked through, whatever the time: the next run goes on behind them.
create function bulkhead.probe_part(tables regclass[], is_asking boolean, until timestamptz)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
set jit = off
as $$
#variable_conflict use_variable
declare
    v_owner text := current_setting('role');
    v_settings bulkhead.settings := (select s from bulkhead.settings as s);
    v_left interval := greatest(until - clock_timestamp(), interval '0');
    v_seed_until timestamptz := clock_timestamp() + v_left / 4;
    v_ask_until timestamptz := clock_timestamp() + v_left / 2;
    v_a text := bulkhead.probe_value(v_settings.tenant_type, -1, '', 'a') #>> '{}';
    v_world jsonb := jsonb_build_object('rows', '{}'::jsonb, 'failed', '{}'::jsonb, 'columns', '{}'::jsonb);
    v_table regclass;
    v_tables regclass[] := '{}';
    v_actor record;
    v_actors jsonb;
    v_own text[];
    v_owns jsonb := '{}';
    v_attempt record;
    v_question record;
    v_questions jsonb := '{}';
    v_answer text;
    v_subject text;
    v_unreachable text[] := '{}';
    v_leaks jsonb := '{}';
    v_tried jsonb := '{}';
    v_asked jsonb := '{}';
    v_told jsonb := '{}';
    v_unfit jsonb := '{}';
    v_attempts bigint := 0;
    v_stuck jsonb := '{}';
begin
    begin
        -- Nobody else's rows are waited for.
        perform set_config('lock_timeout', '1s', true), set_config('bulkhead.actor', 'bulkhead probe', true), set_config('bulkhead.tenant', '', true);
        select v_world || jsonb_build_object('shared', coalesce(jsonb_object_agg(p.oid::text, true), '{}'))
        into v_world
        from (
            select distinct c.confrelid as oid
            from pg_catalog.pg_constraint as c
            where c.contype = 'f'
                and c.confrelid not in (select t.relation from bulkhead.protected_tables as t)
        ) as p;

        -- Tenant a, and what its people are told while there is no tenant b.
        foreach v_table in array tables loop
            exit when v_tables <> '{}' and clock_timestamp() > v_seed_until;
            v_subject := bulkhead.qualified(v_table);
            v_world := bulkhead.probe_seed(v_table, 'a', v_world);
            v_tables := v_tables || v_table;
        end loop;
        if v_settings.membership_table is not null then
            v_world := bulkhead.probe_seed(v_settings.membership_table, 'a', v_world);
        end if;
        for v_actor in select distinct a.role from bulkhead.probe_actors() as a loop
            begin
                perform set_config('role', v_actor.role, true), set_config('role', v_owner, true);
            exception when others then
                begin
                    -- Until the rollback.
                    execute format('grant %I to current_user', v_actor.role);
                    perform set_config('role', v_actor.role, true), set_config('role', v_owner, true);
                exception when others then
                    v_unreachable := v_unreachable || v_actor.role::text;
                end;
            end;
        end loop;
        for v_question in
            select q.subject, q.query, q.is_whole, a.name as asker, a.role, a.settings, a.prepare, format('%s|%s|%s', q.subject, a.name, q.query) as id
            from bulkhead.probe_questions() as q
            join bulkhead.probe_actors() as a on a.does_ask
            left join bulkhead.probe_order() as o on o.subject = q.subject
            where is_asking
                and a.role <> all (v_unreachable)
                and bulkhead.may_ask(a.role, q.relation, q.function)
            order by coalesce(o.rank, 1), o.reached_at nulls first, q.subject, a.name
        loop
            exit when clock_timestamp() > v_ask_until and v_asked <> '{}' and not v_asked ? v_question.subject;
            v_subject := v_question.subject;
            v_asked := jsonb_build_object(v_subject, null) || v_asked;
            if not v_question.is_whole then
                v_asked := v_asked || jsonb_build_object(v_subject, 'no value for an argument');
            end if;
            v_answer := bulkhead.probe_answer(v_question.role, v_question.settings, v_question.query, v_question.prepare);
            if v_answer = 'error 25006' then
                v_asked := v_asked || jsonb_build_object(v_subject, 'it writes');
                continue;
            elsif v_answer = 'stopped' then
                v_stuck := v_stuck || jsonb_build_object(v_subject, 'it was stopped there');
                exit;
            end if;
            -- What two answers in a row do not agree on is not told by the other tenant's rows.
            v_questions := v_questions || jsonb_build_object(v_question.id, to_jsonb(v_question)
                || jsonb_build_object('first', v_answer, 'second', bulkhead.probe_answer(v_question.role, v_question.settings, v_question.query, v_question.prepare)));
        end loop;

        -- Tenant b, and the same questions.
        foreach v_table in array v_tables loop
            v_subject := bulkhead.qualified(v_table);
            continue when v_world -> 'failed' ? (v_table::oid || ':a');
            v_world := bulkhead.probe_seed(v_table, 'b', v_world);
            v_world := bulkhead.probe_seed(v_table, 'd', v_world);
            v_world := bulkhead.probe_seed(v_table, 'e', v_world, false);
            perform bulkhead.probe_touch(v_table, v_world);
        end loop;
        for v_question in
            select q.*
            from jsonb_each(v_questions) as each
            cross join jsonb_to_record(each.value) as q (subject text, asker text, role name, settings jsonb, query text, prepare text, first text, second text)
        loop
            v_subject := v_question.subject;
            v_answer := bulkhead.probe_answer(v_question.role, v_question.settings, v_question.query, v_question.prepare);
            if v_answer = 'stopped' then
                v_stuck := v_stuck || jsonb_build_object(v_subject, 'it was stopped there');
            elsif v_question.first = v_question.second and v_answer is distinct from v_question.first
                or split_part(v_question.first, ' ', 1) = split_part(v_question.second, ' ', 1)
                    and split_part(v_answer, ' ', 1) is distinct from split_part(v_question.first, ' ', 1) then
                v_told := v_told || jsonb_build_object(v_subject,
                    coalesce(v_told -> v_subject, '{}') || jsonb_build_object(v_question.asker, v_question.query));
            elsif v_question.first <> v_question.second then
                v_asked := v_asked || jsonb_build_object(v_subject, 'it never answers the same');
            end if;
        end loop;

        -- Each table by each actor. Who is taken for nobody is refused everything, which proves nothing.
        select jsonb_agg(to_jsonb(a)) into v_actors
        from bulkhead.probe_actors() as a
        where a.role <> all (v_unreachable);
        for v_actor in select a.* from jsonb_to_recordset(v_actors) as a (name text, role name, settings jsonb, prepare text, is_recognised boolean) loop
            v_own := '{}';
            v_subject := v_actor.name;
            begin
                if v_actor.prepare is not null then
                    execute v_actor.prepare;
                end if;
                if v_actor.is_recognised then
                    perform bulkhead.probe_as(v_actor.role, v_actor.settings);
                    v_own := bulkhead.current_tenants();
                end if;
                raise exception using errcode = 'BHRBK';
            exception
                when sqlstate 'BHRBK' then
                    if v_actor.is_recognised and (v_own is null or v_a <> all (v_own)) then
                        v_unfit := v_unfit || jsonb_build_object(v_actor.name, 'it was not recognised as one of its tenant');
                    end if;
                when query_canceled then
                    raise;
                when others then
                    v_unfit := v_unfit || jsonb_build_object(v_actor.name, sqlerrm);
            end;
            v_owns := v_owns || jsonb_build_object(v_actor.name, to_jsonb(v_own));
        end loop;
        foreach v_table in array v_tables loop
            exit when v_tried <> '{}' and clock_timestamp() > until;
            v_subject := bulkhead.qualified(v_table);
            v_answer := coalesce(
                v_world -> 'failed' ->> (v_table::oid || ':a'), v_world -> 'failed' ->> (v_table::oid || ':b'),
                v_world -> 'failed' ->> (v_table::oid || ':d'), v_world -> 'failed' ->> (v_table::oid || ':e'));
            v_tried := v_tried || jsonb_build_object(v_subject, 'no row could be made: ' || v_answer);
            -- Somebody locks it: every further attempt would wait as well.
            continue when v_answer like '%55P03%';
            for v_actor in
                select a.*
                from jsonb_to_recordset(v_actors) as a (name text, role name, settings jsonb, prepare text, does_read boolean)
                where not v_unfit ? a.name
            loop
                begin
                    if v_actor.prepare is not null then
                        execute v_actor.prepare;
                    end if;
                    v_own := array(select o from jsonb_array_elements_text(v_owns -> v_actor.name) as o);
                    for v_attempt in select * from bulkhead.probe_attempts(v_table, v_actor.role, v_own, v_world) loop
                        continue when v_attempt.verb = 'select' and not v_actor.does_read;
                        v_answer := bulkhead.probe_attempt(v_actor.role, v_actor.settings, v_attempt.statement, v_attempt.verify);
                        v_attempts := v_attempts + 1;
                        if v_answer = 'leak' then
                            v_leaks := v_leaks || jsonb_build_object(v_subject, coalesce(v_leaks -> v_subject, '{}')
                                || jsonb_build_object(v_attempt.verb, coalesce(v_leaks -> v_subject -> v_attempt.verb, '[]') || to_jsonb(v_actor.name)));
                        elsif v_answer like 'unknown %' then
                            v_tried := v_tried || jsonb_build_object(v_subject, format('%s by %s: %s', v_attempt.verb, v_actor.name, v_answer));
                            if v_answer = 'unknown it was stopped' then
                                v_stuck := v_stuck || jsonb_build_object(v_subject, 'it was stopped there');
                                until := clock_timestamp();
                            end if;
                        end if;
                    end loop;
                    raise exception using errcode = 'BHRBK';
                exception
                    when sqlstate 'BHRBK' then
                        null;
                    when query_canceled then
                        raise;
                    when others then
                        v_tried := v_tried || jsonb_build_object(v_subject, format('%s: %s', v_actor.name, sqlerrm));
                end;
            end loop;
        end loop;
        raise exception using errcode = 'BHRBK';
    exception
        when sqlstate 'BHRBK' then
            null;
        -- What was not told apart from its second half was not asked.
        when query_canceled then
            v_asked := case when v_tried = '{}' then '{}'::jsonb else v_asked end;
            v_stuck := v_stuck || jsonb_build_object(v_subject, 'it was stopped there');
    end;
    return jsonb_build_object('tried', v_tried, 'asked', v_asked, 'leaks', v_leaks, 'told', v_told, 'unfit', v_unfit,
        'unreachable', to_jsonb(v_unreachable), 'attempts', v_attempts, 'stuck', v_stuck);
end
$$;
comment on function bulkhead.probe_part(regclass[], boolean, timestamptz) is 'The probe of some tables, as many as the time allows, and of views and functions with their rows there; rolled back, returns what was tried and found';
revoke all on function bulkhead.probe_part(regclass[], boolean, timestamptz) from public;

create function bulkhead.canary_attack_probe(threshold jsonb)
returns setof bulkhead.check_result
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set row_security = off
set jit = off
as $$
declare
    -- Short of what the reaper cancels.
    v_until timestamptz := least(
        clock_timestamp() + coalesce((threshold ->> 'seconds')::numeric, 60) * interval '1 second',
        clock_timestamp() + 0.8 * (select c.time_limit from bulkhead.canaries as c where c.name = 'attack_probe'),
        (threshold ->> 'deadline')::timestamptz);
    v_since timestamptz := clock_timestamp() - coalesce((threshold ->> 'within')::interval, interval '7 days');
    v_is_whole boolean := not threshold ? 'only';
    v_tables regclass[];
    v_subjects text[];
    v_questions text[] := '{}';
    v_size integer := coalesce((threshold ->> 'part')::integer, 100);
    v_position integer := 1;
    v_part jsonb;
    v_tried jsonb := '{}';
    v_asked jsonb := '{}';
    v_leaks jsonb := '{}';
    v_told jsonb := '{}';
    v_unfit jsonb := '{}';
    v_attempts bigint := 0;
    v_oldest timestamptz;
    v_covered bigint;
    v_answered bigint;
    v_lines text[];
    v_late text[];
    v_not_asked text[];
    v_open text[] := '{}';
    v_subject text;
    v_said text;
    v_tried_count bigint;
begin
    select array_agg(t.relation order by coalesce(o.rank, 1), o.reached_at nulls first, t.name), array_agg(t.name)
    into v_tables, v_subjects
    from (
        select p.relation, bulkhead.qualified(p.relation) as name
        from bulkhead.protected_tables as p
        where p.parent is null
    ) as t
    left join bulkhead.probe_order() as o on o.subject = t.name
    where t.name is not null
        and (v_is_whole or threshold -> 'only' ? t.name);
    if v_tables is null or (select s.tenants_table from bulkhead.settings as s) is null then
        return next bulkhead.canary_row(
            'attack_probe', null, 'unknown', null, 0, 'No table is protected yet: there is nothing to attack', severity => 'info');
        return;
    end if;
    if not pg_try_advisory_xact_lock(hashtextextended('bulkhead:probe', 0)) then
        raise exception using errcode = 'BH404', message = 'another probe is running; the next one will look';
    end if;
    if v_is_whole then
        v_questions := array(
            select distinct q.subject
            from bulkhead.probe_questions() as q
            where exists (select from bulkhead.probe_actors() as a where a.does_ask and bulkhead.may_ask(a.role, q.relation, q.function))
        );
    end if;

    while v_position <= cardinality(v_tables) loop
        exit when v_position > 1 and clock_timestamp() > v_until;
        v_part := bulkhead.probe_part(v_tables[v_position : v_position + v_size - 1], v_is_whole, v_until);
        v_tried := v_tried || (v_part -> 'tried') || (v_part -> 'stuck');
        v_asked := v_asked || (v_part -> 'asked');
        v_leaks := v_leaks || (v_part -> 'leaks');
        v_attempts := v_attempts + (v_part ->> 'attempts')::bigint;
        v_unfit := v_unfit || (v_part -> 'unfit') || coalesce(
            (select jsonb_object_agg(r, 'the kit''s owner may not become it') from jsonb_array_elements_text(v_part -> 'unreachable') as r), '{}');
        for v_subject in select k from jsonb_object_keys(v_part -> 'told') as k loop
            v_told := v_told || jsonb_build_object(v_subject, coalesce(v_told -> v_subject, '{}') || (v_part -> 'told' -> v_subject));
        end loop;
        v_unfit := v_unfit || (v_part -> 'stuck');
        exit when v_part -> 'stuck' <> '{}';
        v_position := v_position + greatest(1, (select count(*)::integer from jsonb_object_keys(v_part -> 'tried')));
    end loop;

    for v_subject in select k from jsonb_object_keys(v_leaks) as k order by k loop
        return query select r.*
        from bulkhead.canary_row(
            'attack_probe', v_subject, 'fail',
            (select sum(jsonb_array_length(l.value)) from jsonb_each(v_leaks -> v_subject) as l), 0,
            format('Rows of another tenant in %s are open: %s', v_subject, (
                select string_agg(format('%s to %s', l.key, (select string_agg(n, ', ' order by n) from jsonb_array_elements_text(l.value) as n)), '; ' order by l.key)
                from jsonb_each(v_leaks -> v_subject) as l
            )),
            '{}', format('select * from bulkhead.canary_attack_probe(%L)', jsonb_build_object('only', jsonb_build_array(v_subject)))) as r;
    end loop;
    for v_subject in select k from jsonb_object_keys(v_told) as k order by k loop
        if threshold -> 'allow' ? v_subject then
            v_open := v_open || v_subject;
            continue;
        end if;
        return query select r.*
        from bulkhead.canary_row(
            'attack_probe', v_subject, 'fail', (select count(*) from jsonb_object_keys(v_told -> v_subject)), 0,
            format('%s tells %s of another tenant''s rows: it answers differently once they are there', v_subject,
                (select string_agg(k, ', ' order by k) from jsonb_object_keys(v_told -> v_subject) as k)),
            '{}', (select t.value from jsonb_each_text(v_told -> v_subject) as t order by t.key limit 1)) as r;
    end loop;

    if v_is_whole then
        delete from bulkhead.probe_reach as r
        where r.subject <> all (v_subjects)
            and r.subject <> all (v_questions);
        insert into bulkhead.probe_reach as r (subject, reached_at, problem, not_asked)
        select t.key, clock_timestamp(), t.value, null from jsonb_each_text(v_tried) as t
        union all
        select a.key, clock_timestamp(), null, a.value from jsonb_each_text(v_asked) as a where not v_tried ? a.key
        on conflict on constraint probe_reach_pkey do update set
            reached_at = excluded.reached_at,
            problem = excluded.problem,
            not_asked = excluded.not_asked;
    end if;
    -- What was reached in the runs before counts for as long as the threshold says.
    select
        count(*) filter (where s.is_table and s.is_covered),
        count(*) filter (where not s.is_table and s.is_covered and s.not_asked is null),
        min(s.reached_at) filter (where s.is_table and s.is_covered),
        array_agg(s.subject || ': ' || s.problem order by s.subject) filter (where s.problem is not null and not v_unfit ? s.subject),
        coalesce(array_agg(format('%s (%s)', s.subject, s.not_asked) order by s.subject) filter (where s.not_asked is not null), '{}'),
        coalesce(array_agg(s.subject order by s.is_table desc, s.subject) filter (where s.problem is null and (not s.is_covered or s.is_open)), '{}')
    into v_covered, v_answered, v_oldest, v_lines, v_not_asked, v_late
    from (
        select
            n.subject,
            n.is_table,
            f.reached_at,
            f.problem,
            r.not_asked,
            f.problem is null and coalesce(f.reached_at > v_since, false) as is_covered,
            -- Open, and not looked at: that is not clean.
            not v_tried ? n.subject and not v_asked ? n.subject
                and exists (select from bulkhead.probe_order() as o where o.subject = n.subject and o.rank = 0) as is_open
        from (
            select t as subject, true as is_table from unnest(v_subjects) as t
            union all
            select q, false from unnest(v_questions) as q
        ) as n
        left join bulkhead.probe_reach as r on v_is_whole and r.subject = n.subject
        cross join lateral (
            select
                case when v_is_whole then r.reached_at when v_tried ? n.subject then clock_timestamp() end,
                case when v_is_whole then r.problem else v_tried ->> n.subject end
        ) as f (reached_at, problem)
    ) as s;
    v_tried_count := (select count(*) from jsonb_object_keys(v_tried) as k where k = any (v_subjects));
    v_lines := array(select u.key || ': ' || u.value from jsonb_each_text(v_unfit) as u order by 1)
        || case
            when v_late <> '{}' then array[format('%s not reached in time: %s%s. The next run goes on there; about %s more',
                cardinality(v_late), array_to_string(v_late[1:10], ', '), case when cardinality(v_late) > 10 then ', …' else '' end,
                ceil(cardinality(v_late)::numeric / greatest(1, (select count(*) from jsonb_object_keys(v_tried || v_asked)))))]
            else '{}'
        end
        || coalesce(v_lines, '{}');
    v_said := format(
        '%s of %s table(s)%s in %s attempt(s), %s of %s view(s) and function(s)%s%s',
        v_covered, cardinality(v_subjects),
        case
            when v_covered > v_tried_count
                then format(' since %s UTC, %s this time', to_char(v_oldest at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), v_tried_count)
            else ''
        end,
        v_attempts, v_answered, cardinality(v_questions),
        case when v_not_asked <> '{}' then '; not asked: ' || array_to_string(v_not_asked[1:10], ', ') else '' end,
        case when v_open <> '{}' then '; allowed by the threshold: ' || array_to_string(v_open, ', ') else '' end);
    if v_lines <> '{}' then
        return query select r.*
        from bulkhead.canary_row(
            'attack_probe', 'coverage', 'unknown', v_covered, cardinality(v_subjects),
            v_said || '. Not covered: ' || array_to_string(v_lines[1:20], '; '),
            '{}', 'select * from bulkhead.canary_attack_probe(''{}'')') as r;
    elsif v_leaks = '{}' and not exists (select from jsonb_object_keys(v_told) as k where k <> all (v_open)) then
        return query select r.*
        from bulkhead.canary_row('attack_probe', null, 'pass', 0, 0, 'Closed: ' || v_said) as r;
    end if;
end
$$;
comment on function bulkhead.canary_attack_probe(jsonb) is 'Canary: two tenants made up for the moment attack each other, every protected table, verb and kind of caller, every exposed view and function; all of it is rolled back';
revoke all on function bulkhead.canary_attack_probe(jsonb) from public;

insert into bulkhead.canaries (name, title, severity, cadence, threshold, runbook, remediation, function)
values
    (
        'attack_probe', 'One tenant can reach another', 'critical', 'nightly', '{"seconds": 60}', 'docs/runbooks/attack_probe.md',
        E'Treat it as a leak: take the view or function out of the API, or revoke the grant, now.\nRun the query below to see it for yourself.\nbulkhead status names the policy, grant or trigger that changed; a function has to ask who is asking.',
        'bulkhead.canary_attack_probe(jsonb)'
    )
on conflict (name) do update
set title = excluded.title,
    runbook = excluded.runbook,
    remediation = excluded.remediation,
    function = excluded.function;

-- The last migration: everything before it is part of what was installed.
select bulkhead.declare_kit();
