import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type postgres from "postgres";
import { parse } from "smol-toml";
import { applyFiles, planFiles, ups } from "./adopt.ts";
import { ROOT } from "./sql-files.ts";

/**
 * Adopt an example by its bulkhead.toml alone, and hold what every adoption owes: red before, green after, no row lost or
 * changed but for its tenant, nothing left to plan. Returns the keys of the rows in quarantine, as `table key`.
 *
 * @example
 * const moved = await adoptExample(sql, { example: "skills", tables: ["users"], column: "tenant_id" });
 */
export async function adoptExample(
  sql: postgres.Sql,
  options: { example: string; tables: readonly string[]; column: string },
): Promise<string[]> {
  const { example, tables, column } = options;
  const config = parse(readFileSync(join(ROOT, "examples", example, "bulkhead.toml"), "utf8"));
  const rows = async (table: string) =>
    (await sql.unsafe<{ row: string }[]>(
      `select (to_jsonb(t) - $1)::text as row from public.${table} as t`,
      [column],
    )).map(({ row }) => row);
  const was = new Map<string, string[]>();
  for (const table of tables) was.set(table, await rows(table));
  assert.equal(await verdict(sql), "red");

  const files = ups(await planFiles(sql, config));
  assert.ok(files.length > 0);
  await applyFiles(sql, files);

  assert.equal(await verdict(sql), "green");
  assert.deepEqual(ups(await planFiles(sql, config)).map((file) => file.path), []);
  const moved = await sql<{ relation: string; key: string }[]>`
    select relation, (select string_agg(value, ' ') from jsonb_each_text(row_key)) as key
    from bulkhead.adopt_quarantine order by 1, 2`;
  for (const table of tables) {
    const before = was.get(table) ?? [];
    const present = await rows(table);
    const away = moved.filter(({ relation }) => relation === `public.${table}`).length;
    assert.equal(present.length + away, before.length, table);
    const known = new Set(before);
    assert.ok(present.every((row) => known.has(row)), `a row of ${table} was changed`);
  }
  return moved.map(({ relation, key }) => `${relation.replace("public.", "")} ${key}`);
}

async function verdict(sql: postgres.Sql): Promise<unknown> {
  const [row] = await sql`select bulkhead.status('boundary') ->> 'verdict' as verdict`;
  return row?.["verdict"];
}
