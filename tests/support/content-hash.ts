import { withSql } from "../../scripts/local/databases.ts";

/**
 * What every table of a database holds, by table: rows and a hash of their content. Sequences are left out: no rollback
 * brings them back.
 *
 * @example
 * assert.deepEqual(await contentHash(db.superUrl), before);
 */
export async function contentHash(url: string): Promise<Record<string, string>> {
  return await withSql(url, async (sql) => {
    const tables = await sql<{ name: string }[]>`
      select format('%I.%I', n.nspname, c.relname) as name
      from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
      where c.relkind = 'r' and n.nspname <> 'information_schema' and n.nspname !~ '^pg_(toast|temp)'
        and (n.nspname <> 'pg_catalog' or c.relname in ('pg_class', 'pg_namespace', 'pg_proc', 'pg_trigger', 'pg_policy', 'pg_auth_members'))
      order by 1`;
    const found: Record<string, string> = {};
    for (const { name } of tables) {
      // Statistics of the planner are not content.
      const row = name === "pg_catalog.pg_class"
        ? "t.oid, t.relname, t.relacl, t.relrowsecurity"
        : "t.*";
      const [hash] = await sql.unsafe(
        `select count(*) || ' ' || coalesce(md5(string_agg(r, ',' order by r collate "C")), '') as hash
         from (select (select row(x.*)::text from (select ${row}) as x) as r from ${name} as t) as rows`,
      );
      found[name] = String(hash?.["hash"]);
    }
    return found;
  });
}
