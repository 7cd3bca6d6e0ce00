-- The SQL conventions, read from the catalogs: pinned search paths, grants and definers by list, comments everywhere.
-- A protected table is part of it, so that generated functions and triggers are held to the same.
begin;
set local search_path = public, extensions;
select plan(14);

select tests.protected_world();

create temporary view kit_functions as
select p.*, format('%s.%s(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)) as signature
from pg_catalog.pg_proc as p
join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
where n.nspname in ('bulkhead', 'bulkhead_api');

create temporary view kit_relations as
select c.oid, c.relname, c.relkind, c.relacl, c.relowner, c.oid::regclass::text as name
from pg_catalog.pg_class as c
where c.relnamespace in ('bulkhead'::regnamespace, 'bulkhead_api'::regnamespace)
    and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition;

-- What a role outside the kit may execute, beyond what it owns.
create temporary view kit_executables as
select f.proname, f.signature, coalesce(nullif(acl.grantee, 0)::regrole::text, 'public') as grantee
from kit_functions as f
cross join pg_catalog.aclexplode(coalesce(f.proacl, pg_catalog.acldefault('f', f.proowner))) as acl
where acl.privilege_type = 'EXECUTE' and acl.grantee <> f.proowner;

select cmp_ok((select count(*) from kit_functions), '>', 50::bigint, 'the kit''s functions are looked at');

-- A setting stops inlining, and forbids a procedure to commit; these see nothing but their arguments and the kit.
select is_empty(
    $$select signature from kit_functions
      where not ('search_path=pg_catalog, pg_temp' = any (coalesce(proconfig, '{}')))
          and (prosecdef or proname not in ('canonical_tenant', 'offence_row', 'is_platform', 'is_tenant_expression', 'run_pass'))$$,
    'every function pins its search_path, temporary objects last: an empty one looks for types in pg_temp first'
);

-- Parsed and planned anew in each statement that calls it, a request would wait for it longer than for its own write.
select set_eq(
    $$select e.signature
      from kit_executables as e
      join kit_functions as f on f.signature = e.signature
      join pg_catalog.pg_language as l on l.oid = f.prolang and l.lanname = 'sql'
      where f.proconfig is not null and f.pronamespace = 'bulkhead'::regnamespace$$,
    array['bulkhead.qualified(relation regclass)'],
    'what requests and triggers call is no SQL function that cannot be inlined; qualified() is for TRUNCATE'
);

select is_empty(
    $$select signature, grantee from kit_executables where grantee = 'public'$$,
    'PUBLIC may execute nothing'
);

select set_eq(
    $$select distinct proname::text from kit_executables where grantee = 'anon'$$,
    array['caller', 'current_tenant', 'current_tenants'],
    'anon may execute what policies call and nothing else'
);

select set_eq(
    $$select distinct proname::text from kit_executables where grantee = 'authenticated'$$,
    array['caller', 'current_tenant', 'current_tenants'],
    'authenticated may execute what policies call and nothing else'
);

select set_eq(
    $$select distinct proname::text from kit_executables where grantee = 'service_role'$$,
    array[
        'caller', 'canonical_tenant', 'current_tenant', 'current_tenants', 'set_tenant', 'create_tenant', 'log_event',
        'record_platform_access', 'record_refused_write', 'history'
    ],
    'service_role may execute its context and the doors of bulkhead_api'
);

select set_eq(
    $$select signature from kit_executables where grantee = 'bulkhead_service'$$,
    $$select signature from kit_executables where grantee = 'service_role'$$,
    'bulkhead_service may execute what service_role may'
);

select set_eq(
    $$select proname::text from kit_functions where prosecdef and prorettype <> 'trigger'::regtype$$,
    array[
        'create_tenant', 'current_tenants', 'current_write_context', 'follow_ddl', 'log_event', 'log_truncate',
        'masked_value', 'record_platform_access', 'record_refused_write', 'audited_table', 'history'
    ],
    'the security definers are the listed ones'
);

select is_empty(
    $$select signature, proowner::regrole from kit_functions
      where prosecdef and prorettype = 'trigger'::regtype and proowner <> 'bulkhead_audit'::regrole
          and proname <> 'note_members'$$,
    'trigger functions that are definers belong to bulkhead_audit, but for the one that asks who is a member'
);

select is_empty(
    $$select name, acl.grantee::regrole, acl.privilege_type
      from kit_relations
      cross join pg_catalog.aclexplode(relacl) as acl
      where acl.grantee in (0, 'anon'::regrole, 'authenticated'::regrole)$$,
    'PUBLIC, anon and authenticated have no privilege on a table or view of the kit'
);

select is_empty(
    $$select name from kit_relations where obj_description(oid, 'pg_class') is null$$,
    'every table and view has a comment'
);

select is_empty(
    $$select signature from kit_functions where obj_description(oid, 'pg_proc') is null$$,
    'every function has a comment'
);

select is_empty(
    $$select nspname from pg_catalog.pg_namespace
      where nspname in ('bulkhead', 'bulkhead_api') and obj_description(oid, 'pg_namespace') is null$$,
    'both schemas have a comment'
);

select * from finish();
rollback;
