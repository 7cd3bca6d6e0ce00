import { parse } from "libpg-query";

/**
 * Postgres' own parser, as the linter asks for it.
 *
 * @example
 * await parseSql("select 1");
 */
export async function parseSql(sql: string): Promise<unknown> {
  const tree: unknown = await parse(sql);
  return tree;
}
