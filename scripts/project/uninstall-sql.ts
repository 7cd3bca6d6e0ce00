/**
 * The migration that takes the kit out of a database. Unless told, it refuses while tables are protected; always, while
 * something of the project's own is built on the kit, since `cascade` would drop it without a word.
 *
 * @example
 * process.stdout.write(uninstallSql({ unprotect: false }));
 */
export function uninstallSql(options: { unprotect: boolean }): string {
  return `-- Take Bulkhead out of this database. The ledger goes with it: export what you must keep.
-- NOT NULL, keys and revoked grants of your tables stay: they are right without Bulkhead too.
set local lock_timeout = '10s';

${options.unprotect ? UNPROTECT : REFUSE_PROTECTED}
${REFUSE_DEPENDENTS}
select bulkhead.unschedule();
drop schema bulkhead_api cascade;
drop schema bulkhead cascade;
do $$
begin
    grant bulkhead_service, bulkhead_canary to current_user;
    drop owned by bulkhead_service, bulkhead_canary;
    drop role bulkhead_audit, bulkhead_service, bulkhead_canary;
exception
    -- Roles belong to the server: another database of it may have the kit, too.
    when dependent_objects_still_exist then
        raise notice 'kept the roles bulkhead_audit, bulkhead_service and bulkhead_canary: %', sqlerrm;
end
$$;
`;
}

const UNPROTECT = `select bulkhead.unprotect(relation)
from bulkhead.protected_tables
where parent is null;
`;

const REFUSE_PROTECTED = `do $$
declare
    v_tables text := (
        select string_agg(relation::text, ', ' order by relation::text)
        from bulkhead.protected_tables
        where parent is null
    );
begin
    if v_tables is not null then
        raise exception using
            errcode = 'BH902',
            message = format('Cannot uninstall: these tables are protected: %s. Unprotect them first, or write the migration with: bulkhead uninstall --write --unprotect', v_tables);
    end if;
end
$$;
`;

const REFUSE_DEPENDENTS = `do $$
declare
    v_objects text := (
        with kit as (
            select 'pg_catalog.pg_proc'::regclass as classid, oid from pg_catalog.pg_proc
            where pronamespace in ('bulkhead'::regnamespace, 'bulkhead_api'::regnamespace)
            union all
            select 'pg_catalog.pg_class'::regclass, oid from pg_catalog.pg_class
            where relnamespace in ('bulkhead'::regnamespace, 'bulkhead_api'::regnamespace)
            union all
            select 'pg_catalog.pg_type'::regclass, oid from pg_catalog.pg_type
            where typnamespace in ('bulkhead'::regnamespace, 'bulkhead_api'::regnamespace)
        )
        select string_agg(distinct built.type || ' ' || built.identity, ', ')
        from kit
        join pg_catalog.pg_depend as d on d.refclassid = kit.classid and d.refobjid = kit.oid and d.deptype in ('n', 'a')
        cross join lateral pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) as built
        where coalesce(built.schema, '') not in ('bulkhead', 'bulkhead_api')
            and built.identity !~ '(^| )(on |for )?bulkhead(_api)?\\.'
    );
begin
    if v_objects is not null then
        raise exception using
            errcode = 'BH903',
            message = format('Cannot uninstall: your own objects are built on the kit and would be dropped: %s. Change or drop them first', v_objects);
    end if;
end
$$;
`;
