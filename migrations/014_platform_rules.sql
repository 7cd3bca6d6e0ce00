-- Rules of what lies around the tables: settings, logins, memberships, stored files, large objects, other servers.
-- Public object: function bulkhead.checks_boundary(), which calls those of 012 and these.
-- Never: reads a stored file, a login or a large object itself.
-- No security definer functions.

-- What a function or policy takes from the part of a login that its user writes.
create function bulkhead.believes_user_metadata(body text, tenant_column name, membership_table name)
returns boolean
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select
        from regexp_matches(
            lower(body),
            '(?:raw_user_meta_data|user_metadata)["'']?\)?\s*(?:->>?|#>>?)\s*''\{?([a-z0-9_]+)\}?''', 'g'
        ) as found (parts)
        where found.parts[1] = lower(tenant_column)
            or found.parts[1] ~ '^([a-z]+_)*(tenant|org|organi[sz]ation|team|workspace|account|company)(_?(id|key|uuid))?$'
                and found.parts[1] !~ '^(company|organi[sz]ation|team|workspace|account|org)$'
            or found.parts[1] ~ '^(user_|app_|is_)?(role|roles|admin|superadmin|permissions?)$'
                and membership_table is not null
                and lower(body) ~ ('\m' || lower(membership_table) || '\M')
    )
$$;
comment on function bulkhead.believes_user_metadata(text, name, name) is
    'Whether a text takes a tenant, or a role for the membership table, from user_metadata, which users write themselves';
revoke all on function bulkhead.believes_user_metadata(text, name, name) from public;

create function bulkhead.offences_of_membership()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with policies as materialized (
        select
            p.polname,
            p.polcmd,
            p.polrelid,
            p.polroles,
            p.polpermissive,
            format('%I.%I', namespace.nspname, class.relname) as qualified,
            pg_get_expr(p.polqual, p.polrelid) as using_expression,
            pg_get_expr(p.polwithcheck, p.polrelid) as check_expression
        from pg_catalog.pg_policy as p
        join pg_catalog.pg_class as class on class.oid = p.polrelid
        join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
        where namespace.nspname <> all (bulkhead.platform_schemas())
            or namespace.nspname = 'storage'
    ),
    names as (
        select
            settings.tenant_column,
            settings.membership_table,
            settings.membership_user_column,
            settings.membership_tenant_column,
            member.relname as membership_name
        from bulkhead.settings as settings
        left join pg_catalog.pg_class as member on member.oid = settings.membership_table
    )
    select bulkhead.offence_row(
        'trusts_user_metadata',
        format('%s.%I', p.qualified, p.polname),
        'Users write user_metadata themselves, and this policy believes it',
        format('drop policy %I on %s;', p.polname, p.qualified),
        format('select * from pg_catalog.pg_policies where policyname = %L', p.polname)
    )
    from policies as p
    where concat_ws(' ', p.using_expression, p.check_expression) ~ 'user_meta_?data'
    union all
    select bulkhead.offence_row(
        'trusts_user_metadata',
        proc.oid::regprocedure::text,
        'Users write user_metadata themselves, and this function takes the tenant or the role of somebody from it',
        case
            when trigger.tgname is not null then format('drop trigger %I on %s;', trigger.tgname, bulkhead.qualified(trigger.tgrelid))
            else format('revoke execute on function %s from public, anon, authenticated;', proc.oid::regprocedure)
        end,
        format('select pg_get_functiondef(%L::regprocedure)', proc.oid::regprocedure)
    )
    from pg_catalog.pg_proc as proc
    join pg_catalog.pg_namespace as namespace on namespace.oid = proc.pronamespace
    cross join names
    left join lateral (
        select g.tgname, g.tgrelid
        from pg_catalog.pg_trigger as g
        where g.tgfoid = proc.oid
            and not g.tgisinternal
            and g.tgenabled <> 'D'
        order by g.oid
        limit 1
    ) as trigger on true
    where proc.prokind in ('f', 'p')
        and namespace.nspname !~ '^pg_'
        and namespace.nspname <> all (bulkhead.platform_schemas())
        and proc.prosrc ~* 'user_meta_?data'
        and bulkhead.believes_user_metadata(proc.prosrc, names.tenant_column, names.membership_name)
        -- A function that nobody calls for somebody else does no harm: a trigger that stands, or one that requests may call.
        and (trigger.tgname is not null or proc.prorettype <> 'pg_catalog.trigger'::regtype and exists (
            select
            from bulkhead.request_roles as role
            where role.obeys_rls
                and has_function_privilege(role.oid, proc.oid, 'execute')
        ))
    union all
    -- A policy that asks for nothing but the caller's own user id, or the tenant, lets members write who they are.
    select bulkhead.offence_row(
        'membership_self_service',
        format('%s.%I', p.qualified, p.polname),
        format('%s may %s rows of the membership table that name them, and so choose their tenant or role',
            rights.roles, concat_ws(' and ', case when rights.may_insert then 'insert' end, case when rights.may_update then 'change' end)),
        format('drop policy %I on %s;', p.polname, p.qualified),
        format('select * from pg_catalog.pg_policies where policyname = %L', p.polname)
    )
    from names
    join policies as p
        on p.polrelid = names.membership_table
        and p.polpermissive
        and p.polcmd in ('*', 'a', 'w')
    cross join lateral (
        select
            string_agg(distinct role.rolname, ', ') as roles,
            bool_or(p.polcmd in ('*', 'a') and has_any_column_privilege(role.oid, p.polrelid, 'insert')) as may_insert,
            bool_or(p.polcmd in ('*', 'w') and exists (
                select
                from pg_catalog.pg_attribute as a
                where a.attrelid = p.polrelid
                    and a.attnum > 0
                    and not a.attisdropped
                    and (
                        a.attname in (names.membership_user_column, names.membership_tenant_column)
                        or a.attname ~* '(role|admin|owner|permission|privilege|level|scope|access)'
                    )
                    and has_column_privilege(role.oid, p.polrelid, a.attnum, 'update')
            )) as may_update
        from bulkhead.request_roles as role
        where role.rolname in ('anon', 'authenticated')
            and (0 = any (p.polroles) or exists (
                select
                from unnest(p.polroles) as named (oid)
                where named.oid <> 0
                    and pg_has_role(role.oid, named.oid, 'usage')
            ))
    ) as rights
    where (rights.may_insert or rights.may_update)
        -- Without the row's own columns and the words between them nothing is left: no role, no invitation, no function.
        and regexp_replace(
            regexp_replace(lower(coalesce(p.check_expression, p.using_expression, '')), '''(?!request\.jwt)[^'']*''', '', 'g'),
            format(
                '\m(%s|auth\.uid|auth\.jwt|request\.jwt\.claims|current_setting|nullif|coalesce|sub|uid|jwt|select|as|and|or|true|is|not|null|any|current_tenants?|bulkhead|uuid|text|bigint|integer|jsonb|auth)\M',
                (
                    select string_agg(lower(regexp_replace(a.attname, '([^A-Za-z0-9_])', '\\\1', 'g')), '|')
                    from pg_catalog.pg_attribute as a
                    where a.attrelid = p.polrelid
                        and a.attnum > 0
                        and not a.attisdropped
                )
            ),
            '', 'g'
        ) !~ '[a-z]'
$$;
comment on function bulkhead.offences_of_membership() is 'Offenders of the rules about who says who belongs to which tenant';
revoke all on function bulkhead.offences_of_membership() from public;

create function bulkhead.offences_of_logins()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with recursive readers as (
        -- Sessions and tokens are as good as a login.
        select class.oid as reader
        from pg_catalog.pg_class as class
        join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
        where namespace.nspname in ('auth', 'vault')
            and class.relkind in ('r', 'p', 'v', 'm')
            and class.relname <> 'schema_migrations'
        union
        select rewrite.ev_class
        from readers
        join pg_catalog.pg_depend as depend
            on depend.refclassid = 'pg_catalog.pg_class'::regclass
            and depend.refobjid = readers.reader
            and depend.classid = 'pg_catalog.pg_rewrite'::regclass
        join pg_catalog.pg_rewrite as rewrite
            on rewrite.oid = depend.objid
            and rewrite.ev_class <> readers.reader
    ),
    open_ as materialized (
        select
            class.oid,
            class.relkind,
            class.reloptions,
            format('%I.%I', namespace.nspname, class.relname) as qualified,
            roles.names
        from readers
        join pg_catalog.pg_class as class on class.oid = readers.reader
        join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
        cross join lateral (
            select string_agg(format('%I', role.rolname), ', ' order by role.rolname) as names
            from bulkhead.request_roles as role
            where role.obeys_rls
                and has_schema_privilege(role.oid, namespace.oid, 'usage')
                and has_any_column_privilege(role.oid, class.oid, 'select, insert, update')
        ) as roles
        where roles.names is not null
    )
    select bulkhead.offence_row(
        'auth_users_exposed',
        open_.qualified,
        case
            when open_.relkind in ('r', 'p') then format('%s may use this table of logins, sessions or secrets itself', open_.names)
            else format('It shows logins, sessions or secrets of all tenants as its owner sees them, and %s may read it', open_.names)
        end,
        format('revoke all on table %s from public, %s;', open_.qualified, open_.names),
        format('select relacl from pg_catalog.pg_class where oid = %L::regclass', open_.qualified)
    )
    from open_
    where open_.relkind in ('r', 'p', 'm')
        or open_.relkind = 'v'
        and not exists (
            select
            from pg_options_to_table(open_.reloptions) as option
            where option.option_name = 'security_invoker'
                and option.option_value::boolean
        )
    union all
    select bulkhead.offence_row(
        'auth_users_exposed',
        proc.oid::regprocedure::text,
        'It reads logins with its owner''s rights and never asks who is calling',
        format('revoke execute on routine %s from public, anon, authenticated;', proc.oid::regprocedure),
        format('select pg_get_functiondef(%L::regprocedure)', proc.oid::regprocedure)
    )
    from pg_catalog.pg_proc as proc
    join bulkhead.exposed_schemas as namespace on namespace.oid = proc.pronamespace
    cross join lateral (select bulkhead.code_of(coalesce(pg_get_function_sqlbody(proc.oid), proc.prosrc)) as body) as code
    where proc.prosecdef
        and proc.prorettype not in ('pg_catalog.trigger'::regtype, 'pg_catalog.event_trigger'::regtype)
        and code.body ~ '\mauth\s*\.\s*"?(users|identities|sessions|refresh_tokens|one_time_tokens|mfa_factors)\M'
        and code.body !~ 'auth\.(uid|jwt|email)|bulkhead\.current_tenant|request\.jwt'
        and exists (
            select
            from bulkhead.request_roles as role
            where role.obeys_rls
                and has_function_privilege(role.oid, proc.oid, 'execute')
        )
        and not exists (
            select
            from pg_catalog.pg_depend as member
            where member.classid = 'pg_catalog.pg_proc'::regclass
                and member.objid = proc.oid
                and member.deptype = 'e'
        )
$$;
comment on function bulkhead.offences_of_logins() is 'Offenders of the rule about the table of logins';
revoke all on function bulkhead.offences_of_logins() from public;

-- plpgsql: storage.buckets is the platform's, and is not everywhere.
create function bulkhead.offences_of_storage()
returns setof bulkhead.offence
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
begin
    return query
    select (bulkhead.offence_row(
        'storage_rls',
        format('storage.%I', class.relname),
        'Row level security is off: everybody reads and writes the files of all tenants',
        format('alter table storage.%I enable row level security;', class.relname),
        format('select relrowsecurity from pg_catalog.pg_class where oid = ''storage.%s''::regclass', class.relname)
    )).*
    from pg_catalog.pg_class as class
    where class.oid in (to_regclass('storage.objects'), to_regclass('storage.buckets'))
        and not class.relrowsecurity;
    return query
    select (bulkhead.offence_row(
        'storage_policy',
        format('storage.%I.%I', class.relname, p.polname),
        'It never asks who is asking: one tenant''s files are open to every tenant''s members',
        format('drop policy %I on storage.%I;', p.polname, class.relname),
        format('select * from pg_catalog.pg_policies where schemaname = ''storage'' and policyname = %L', p.polname)
    )).*
    from pg_catalog.pg_policy as p
    join pg_catalog.pg_class as class on class.oid = p.polrelid
    where (class.oid = to_regclass('storage.objects') or class.oid = to_regclass('storage.buckets') and p.polcmd <> 'r')
        and p.polpermissive
        and exists (
            select
            from unnest(array[pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)]) as part (expression)
            -- That somebody is logged in says nothing of who; a word in a string is no column.
            cross join lateral (
                select regexp_replace(
                    regexp_replace(part.expression, 'auth\.uid\(\)( AS uid\))?\)* IS NOT NULL', '', 'g'),
                    '''(?!request\.jwt)[^'']*''', '''''', 'g'
                ) as words
            ) as asked
            where part.expression is not null
                and asked.words !~ 'current_tenant|auth\.uid|auth\.jwt|request\.jwt|\mowner(_id)?\M'
        )
        and exists (
            select
            from bulkhead.request_roles as role
            where role.obeys_rls
                and (0 = any (p.polroles) or role.oid = any (p.polroles))
        );
    if exists (
        select
        from pg_catalog.pg_attribute as a
        where a.attrelid = to_regclass('storage.buckets')
            and a.attname = 'public'
            and not a.attisdropped
    ) then
        return query execute
            'select (bulkhead.offence_row('
            '''storage_bucket_public'', b.id::text, '
            '''Whoever knows or guesses a path reads the file, without a login and without a policy'', '
            'format(''update storage.buckets set public = false where id = %L;'', b.id), '
            'format(''select * from storage.buckets where id = %L'', b.id))).* '
            'from storage.buckets as b where b.public';
    end if;
end
$$;
comment on function bulkhead.offences_of_storage() is 'Offenders of the rules about stored files';
revoke all on function bulkhead.offences_of_storage() from public;

-- Whoever may select here may join a private channel, whoever may insert may speak in it. A function of the project is
-- believed to ask for both, and a table under row level security to ask who is asking.
create function bulkhead.offences_of_realtime()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    with policies as materialized (
        select
            p.polname,
            p.polcmd,
            p.polpermissive,
            p.polroles,
            exists (
                select
                from pg_catalog.pg_depend as asked
                join pg_catalog.pg_proc as proc on proc.oid = asked.refobjid
                where asked.classid = 'pg_catalog.pg_policy'::regclass
                    and asked.objid = p.oid
                    and asked.refclassid = 'pg_catalog.pg_proc'::regclass
                    and proc.pronamespace::regnamespace::name <> all (bulkhead.platform_schemas() || '{pg_catalog}'::name[])
            ) as asks_a_function,
            exists (
                select
                from pg_catalog.pg_depend as asked
                join pg_catalog.pg_class as class on class.oid = asked.refobjid
                where asked.classid = 'pg_catalog.pg_policy'::regclass
                    and asked.objid = p.oid
                    and asked.refclassid = 'pg_catalog.pg_class'::regclass
                    and asked.refobjid <> p.polrelid
                    and class.relrowsecurity
            ) as asks_a_table,
            pg_get_expr(p.polqual, p.polrelid) as using_expression,
            pg_get_expr(p.polwithcheck, p.polrelid) as check_expression
        from pg_catalog.pg_policy as p
        where p.polrelid = to_regclass('realtime.messages')
    ),
    judged as materialized (
        select
            p.*,
            bool_and(p.asks_a_function or p.asks_a_table or words.found ~ 'current_tenant|auth\.(uid|jwt|email)\M|request\.jwt') as asks_who,
            bool_and(p.asks_a_function or words.found ~ '\mtopic\M') as asks_which
        from policies as p
        cross join unnest(array[p.using_expression, p.check_expression]) as part (expression)
        -- That somebody is logged in says nothing of who; a word in a string is no column.
        cross join lateral (
            select regexp_replace(
                regexp_replace(part.expression, 'auth\.uid\(\)( AS uid\))?\)* IS NOT NULL', '', 'g'),
                '''(?!request\.jwt)[^'']*''', '''''', 'g'
            ) as found
        ) as words
        where part.expression is not null
            and part.expression <> 'false'
        group by p.polname, p.polcmd, p.polpermissive, p.polroles, p.asks_a_function, p.asks_a_table, p.using_expression, p.check_expression
    )
    select bulkhead.offence_row(
        'realtime_rls',
        'realtime.messages',
        'Row level security is off: everybody joins the private channels of all tenants',
        'alter table realtime.messages enable row level security;',
        'select relrowsecurity from pg_catalog.pg_class where oid = ''realtime.messages''::regclass'
    )
    from pg_catalog.pg_class as class
    where class.oid = to_regclass('realtime.messages')
        and not class.relrowsecurity
    union all
    select bulkhead.offence_row(
        'realtime_policy',
        format('realtime.messages.%I', p.polname),
        case
            when p.asks_who then 'It never asks for which channel: whoever it lets in joins those of every tenant'
            else 'It never asks who is asking: members of every tenant join the channels that it opens'
        end,
        format('drop policy %I on realtime.messages;', p.polname),
        format('select * from pg_catalog.pg_policies where schemaname = ''realtime'' and policyname = %L', p.polname)
    )
    from judged as p
    where p.polpermissive
        and not (p.asks_who and p.asks_which)
        and not exists (
            select
            from judged as floor
            where not floor.polpermissive
                and floor.asks_who
                and floor.asks_which
                and floor.polcmd in ('*', p.polcmd)
                and (0 = any (floor.polroles) or floor.polroles @> p.polroles)
        )
        and exists (
            select
            from bulkhead.request_roles as role
            where role.obeys_rls
                and (0 = any (p.polroles) or role.oid = any (p.polroles))
        )
$$;
comment on function bulkhead.offences_of_realtime() is 'Offenders of the rules about private channels of Realtime';
revoke all on function bulkhead.offences_of_realtime() from public;

create function bulkhead.offences_of_server()
returns setof bulkhead.offence
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
    select bulkhead.offence_row(
        'settings_changed',
        'bulkhead.settings',
        format('Not as bulkhead.configure() left them: %s', (
            select string_agg(was.key, ', ' order by was.key)
            from jsonb_each(declared.fact::jsonb) as was
            where was.value is distinct from bulkhead.present_settings() -> was.key
        )),
        declared.restore_sql,
        'select * from bulkhead.settings'
    )
    from bulkhead.kit_facts as declared
    where declared.kind = 'settings'
        and declared.fact::jsonb <> bulkhead.present_settings()
    union all
    select bulkhead.offence_row(
        'role_membership',
        member.rolname,
        format('It may make others members of %s', string_agg(target.rolname, ', ' order by target.rolname)),
        string_agg(format('revoke admin option for %I from %I;', target.rolname, member.rolname), ' ' order by target.rolname),
        format('select roleid::regrole, member::regrole, admin_option from pg_catalog.pg_auth_members where member = %L::regrole', member.rolname)
    )
    from pg_catalog.pg_auth_members as membership
    join bulkhead.request_roles as member on member.oid = membership.member
    join pg_catalog.pg_roles as target on target.oid = membership.roleid
    where membership.admin_option
        and not member.rolsuper
    group by member.rolname
    union all
    select bulkhead.offence_row(
        'role_attributes',
        coalesce(role.rolname, 'public'),
        format('It may set %s', string_agg(parameter.parname, ', ' order by parameter.parname)),
        string_agg(format('revoke all on parameter %s from %s;', parameter.parname, coalesce(quote_ident(role.rolname), 'public')), ' '),
        'select parname, paracl from pg_catalog.pg_parameter_acl'
    )
    from pg_catalog.pg_parameter_acl as parameter
    cross join lateral aclexplode(parameter.paracl) as acl
    left join bulkhead.request_roles as role on role.oid = acl.grantee
    where acl.grantee = 0
        or role.oid is not null
    group by role.rolname
    union all
    select bulkhead.offence_row(
        'large_object_exposed',
        'large objects',
        format('%s of them may be used by %s', count(distinct large.oid), string_agg(distinct coalesce(role.rolname, 'everybody'), ', ')),
        'do $step$ declare o record; begin for o in select distinct l.oid, g.grantee from pg_catalog.pg_largeobject_metadata as l'
        || ' cross join lateral aclexplode(l.lomacl) as g where g.grantee <> l.lomowner loop'
        || ' execute format(''revoke all on large object %s from %s'', o.oid, case o.grantee when 0 then ''public'' else o.grantee::regrole::text end);'
        || ' end loop; end $step$;',
        'select oid, lomacl from pg_catalog.pg_largeobject_metadata'
    )
    from pg_catalog.pg_largeobject_metadata as large
    cross join lateral aclexplode(large.lomacl) as acl
    left join bulkhead.request_roles as role on role.oid = acl.grantee
    where acl.grantee = 0
        or role.obeys_rls
    having count(*) > 0
    union all
    select bulkhead.offence_row(
        'foreign_access',
        format('server %I', server.srvname),
        format('%s may use it, to which no policy ever applies', string_agg(role.rolname, ', ' order by role.rolname)),
        format('revoke all on foreign server %I from public, %s;', server.srvname, string_agg(format('%I', role.rolname), ', ' order by role.rolname)),
        format('select srvacl from pg_catalog.pg_foreign_server where srvname = %L', server.srvname)
    )
    from pg_catalog.pg_foreign_server as server
    join bulkhead.request_roles as role
        on role.obeys_rls
        and has_server_privilege(role.oid, server.oid, 'usage')
    group by server.srvname
    union all
    select bulkhead.offence_row(
        'foreign_access',
        format('user mapping for %s on %I', mapping.usename, mapping.srvname),
        'Whoever it stands for reaches another server with a password that they do not know',
        format('drop user mapping for %s server %I;', case when mapping.umuser = 0 then 'public' else quote_ident(mapping.usename) end, mapping.srvname),
        'select * from pg_catalog.pg_user_mappings'
    )
    from pg_catalog.pg_user_mappings as mapping
    left join bulkhead.request_roles as role on role.oid = mapping.umuser
    where mapping.umuser = 0
        or role.obeys_rls
    union all
    select bulkhead.offence_row(
        'foreign_access',
        proc.oid::regprocedure::text,
        format('%s may open connections to other servers, and to this one as somebody else', string_agg(role.rolname, ', ' order by role.rolname)),
        format('revoke execute on function %s from public, %s;', proc.oid::regprocedure, string_agg(format('%I', role.rolname), ', ' order by role.rolname)),
        format('select proacl from pg_catalog.pg_proc where oid = %L::regprocedure', proc.oid::regprocedure)
    )
    from pg_catalog.pg_proc as proc
    join pg_catalog.pg_depend as member
        on member.classid = 'pg_catalog.pg_proc'::regclass
        and member.objid = proc.oid
        and member.deptype = 'e'
    join pg_catalog.pg_extension as extension
        on extension.oid = member.refobjid
        and extension.extname = 'dblink'
    join bulkhead.request_roles as role
        on role.obeys_rls
        and has_schema_privilege(role.oid, proc.pronamespace, 'usage')
        and has_function_privilege(role.oid, proc.oid, 'execute')
    where proc.proname in ('dblink', 'dblink_connect', 'dblink_connect_u', 'dblink_exec')
    group by proc.oid
$$;
comment on function bulkhead.offences_of_server() is 'Offenders of the rules about settings, parameters, large objects and other servers';
revoke all on function bulkhead.offences_of_server() from public;

create function bulkhead.checks_boundary()
returns setof bulkhead.check_result
language sql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
set jit = off
as $$
    select checks.*
    from bulkhead.judge('boundary', array(
        select o from bulkhead.offences_of_setup() as o
        union all
        select o from bulkhead.offences_of_classification() as o
        union all
        select o from bulkhead.offences_of_columns() as o
        union all
        select o from bulkhead.offences_of_keys() as o
        union all
        select o from bulkhead.offences_of_policies() as o
        union all
        select o from bulkhead.offences_of_grants() as o
        union all
        select o from bulkhead.offences_of_privileges() as o
        union all
        select o from bulkhead.offences_of_roles() as o
        union all
        select o from bulkhead.offences_of_replication() as o
        union all
        select o from bulkhead.offences_of_code() as o
        union all
        select o from bulkhead.offences_of_membership() as o
        union all
        select o from bulkhead.offences_of_logins() as o
        union all
        select o from bulkhead.offences_of_storage() as o
        union all
        select o from bulkhead.offences_of_realtime() as o
        union all
        select o from bulkhead.offences_of_server() as o
    )) as checks
$$;
comment on function bulkhead.checks_boundary() is 'Checks of the tenant boundary: tables, keys, policies, grants, code, and what lies around them';
revoke all on function bulkhead.checks_boundary() from public;
