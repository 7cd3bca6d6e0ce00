import assert from "node:assert/strict";
import type postgres from "postgres";
import { readCatalog } from "../../functions/_core/adapters/catalog.ts";
import { type Classification, classify } from "../../functions/_core/adopt/classify.ts";
import { type Config, parseConfig } from "../../functions/_core/adopt/config.ts";
import { type Format, type PlannedFile, renderFiles } from "../../functions/_core/adopt/files.ts";
import { planAdoption } from "../../functions/_core/adopt/plan.ts";
import { runSql } from "./sql-files.ts";
import { splitStatements } from "../../scripts/local/sql-statements.ts";

/** A database under a configuration, as `bulkhead adopt` sees it. */
export async function worldOf(sql: postgres.Sql, config: Config | object): Promise<Classification> {
  const world = classify(await readCatalog(sql), parseConfig(config));
  assert.notEqual(typeof world, "string", String(world));
  return world as Classification;
}

/** The files that `bulkhead adopt --out` would write. */
export async function planFiles(
  sql: postgres.Sql,
  config: Config | object,
  format: Format = "sql",
): Promise<PlannedFile[]> {
  const world = await worldOf(sql, config);
  const steps = planAdoption(world, { commits: format !== "drizzle" });
  return renderFiles(steps, {
    format,
    lockTimeout: world.config.lock_timeout,
    now: new Date("2026-08-01T00:00:00Z"),
  });
}

/** The ups in their order. */
export function ups(files: readonly PlannedFile[]): PlannedFile[] {
  return files.filter((file) => /^[^/]+\.sql$/.test(file.path)).sort((a, b) =>
    a.path < b.path ? -1 : 1
  );
}

/** The downs, newest first. */
export function downs(files: readonly PlannedFile[]): PlannedFile[] {
  return files.filter((file) => file.path.startsWith("down/")).sort((a, b) =>
    a.path < b.path ? 1 : -1
  );
}

/** Run files as a migrator does: each one transaction, but statement by statement where its header asks for that. */
export async function applyFiles(sql: postgres.Sql, files: readonly PlannedFile[]): Promise<void> {
  for (const file of files) {
    if (!/^-- Alone:/m.test(file.content)) {
      await runSql(sql, `begin;\n${file.content}\ncommit;`, file.path).catch(async (error) => {
        await sql.unsafe("rollback");
        throw error;
      });
    } else {
      for (const { text } of splitStatements(file.content)) await runSql(sql, text, file.path);
    }
    await sql.unsafe("discard all");
  }
}

/** Columns, constraints, indexes, policies, grants and RLS flags of these schemas, as text. */
export async function fingerprint(sql: postgres.Sql, schemas: string[]): Promise<string[]> {
  await sql`set search_path = pg_catalog`;
  const rows = await sql<{ line: string }[]>`
    with tables as (
      select c.oid, format('%I.%I', n.nspname, c.relname) as name, c.relrowsecurity, c.relforcerowsecurity, c.relacl, c.relowner
      from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
      where n.nspname = any (${schemas}) and c.relkind in ('r', 'p')
    )
    select format('table %s rls %s %s', name, relrowsecurity, relforcerowsecurity) as line from tables
    union all
    select format('column %s.%s %s %s %s', t.name, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
    from tables as t join pg_attribute as a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef as d on d.adrelid = t.oid and d.adnum = a.attnum
    union all
    select format('constraint %s.%s %s %s', t.name, o.conname, pg_get_constraintdef(o.oid), o.convalidated)
    from tables as t join pg_constraint as o on o.conrelid = t.oid and o.contype <> 'n' and o.conparentid = 0
    union all
    select format('index %s', pg_get_indexdef(i.indexrelid)) from tables as t join pg_index as i on i.indrelid = t.oid
    union all
    select format('policy %s.%s %s %s %s %s %s', t.name, p.polname, p.polpermissive, p.polcmd, p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    from tables as t join pg_policy as p on p.polrelid = t.oid
    union all
    select format('trigger %s', pg_get_triggerdef(g.oid)) from tables as t join pg_trigger as g on g.tgrelid = t.oid and not g.tgisinternal
    union all
    select format('grant %s %s %s', t.name, coalesce(r.rolname, 'public'), string_agg(x.privilege_type, ',' order by x.privilege_type))
    from tables as t cross join lateral aclexplode(coalesce(t.relacl, acldefault('r', t.relowner))) as x
    left join pg_roles as r on r.oid = x.grantee
    group by t.name, r.rolname
    union all
    select format('function %s %s %s %s', f.oid::regprocedure, f.prosecdef, f.proconfig, (
      select string_agg(format('%s %s', coalesce(r.rolname, 'public'), x.privilege_type), ',' order by r.rolname)
      from aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) as x left join pg_roles as r on r.oid = x.grantee))
    from pg_proc as f join pg_namespace as n on n.oid = f.pronamespace where n.nspname = any (${schemas})
    order by line
  `;
  return rows.map((row) => row.line);
}

/** Every row of these tables by table and key: each column as text. */
export async function allRows(
  sql: postgres.Sql,
  tables: string[],
): Promise<Map<string, Record<string, string | null>>> {
  const found = new Map<string, Record<string, string | null>>();
  for (const table of tables) {
    const rows = await sql.unsafe(
      `select (select jsonb_object_agg(key, value) from jsonb_each_text(to_jsonb(t))) as content from ${table} as t`,
    );
    for (const row of rows) {
      const content = row["content"] as Record<string, string | null>;
      found.set(`${table} ${content["id"] ?? JSON.stringify(content)}`, content);
    }
  }
  return found;
}
