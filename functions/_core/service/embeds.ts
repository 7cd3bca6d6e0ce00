import { BulkheadError } from "../errors.ts";
import { printable } from "./tenant-scope.ts";

/** A table that a `select` reads beside its own: the table's name, and the path its filters are written under. */
export type Embed = { table: string; path: string };

const AGGREGATE = /^(?:.*\.)?(?:avg|count|max|min|sum)$/;
/** `...spread`, an alias, the table, and what says which foreign key is meant (`!inner`, `!messages_unit_fkey`). */
const TARGET =
  /^(?:\.\.\.)?(?:([A-Za-z_][A-Za-z0-9_]*):)?([A-Za-z_][A-Za-z0-9_]*)((?:![A-Za-z_][A-Za-z0-9_]*)*)$/;

/**
 * The tables embedded in a PostgREST `select`, at every depth. What can't be read with certainty is refused.
 *
 * @example
 * embedsOf("*,flat:units!inner(label,developments(name))");
 * // [{ table: "units", path: "flat" }, { table: "developments", path: "flat.developments" }]
 * @throws BulkheadError `BH_SELECT`, kind `refused`.
 */
export function embedsOf(select: string, parent = ""): Embed[] {
  if (!/[()]/.test(select)) return [];
  const found: Embed[] = [];
  const siblings: { alias: string | undefined; table: string }[] = [];
  for (const item of itemsOf(select)) {
    const open = item.indexOf("(");
    if (open < 0) continue;
    const inner = item.slice(open + 1, item.lastIndexOf(")"));
    const head = item.slice(0, open);
    // `price.sum()` and `count()` read the row itself. A cast may follow: `price.sum()::text`.
    if (inner === "" && AGGREGATE.test(head.replace(/^[A-Za-z_][A-Za-z0-9_]*:/, ""))) continue;
    const [, alias, table] = TARGET.exec(head) ?? [];
    if (table === undefined || !item.endsWith(")")) throw unreadable(item);
    siblings.push({ alias, table });
    const path = parent + (alias ?? table);
    found.push({ table, path }, ...embedsOf(inner, `${path}.`));
  }
  requireDistinct(siblings);
  return found;
}

/**
 * PostgREST finds the embed of a filter by table or alias, whichever sibling comes first, and only that one: where two
 * answer to one name, the filter of the second would confine the first again and leave the second open.
 */
function requireDistinct(siblings: { alias: string | undefined; table: string }[]): void {
  for (const { alias, table } of siblings) {
    const path = alias ?? table;
    const answering = siblings.filter((other) => other.alias === path || other.table === path);
    if (answering.length < 2) continue;
    throw new BulkheadError(
      "BH_SELECT",
      `Cannot select "${printable(path)}": two embedded tables answer to that name`,
      {
        kind: "refused",
        hint:
          'Give each an alias that is no other\'s name: select("id, from:units!a_fkey(*), to:units!b_fkey(*)").',
      },
    );
  }
}

/** The items between the commas of the outermost level. */
function itemsOf(select: string): string[] {
  const items: string[] = [];
  let depth = 0;
  let quoted = false;
  let start = 0;
  for (let at = 0; at < select.length; at++) {
    const letter = select[at];
    if (letter === '"') quoted = !quoted;
    else if (letter === "\\") throw unreadable(select);
    else if (quoted) continue;
    else if (letter === "(") depth++;
    else if (letter === ")") depth--;
    else if (letter === "," && depth === 0) {
      items.push(select.slice(start, at));
      start = at + 1;
    }
    if (depth < 0) throw unreadable(select);
  }
  if (depth !== 0 || quoted) throw unreadable(select);
  items.push(select.slice(start));
  return items;
}

function unreadable(text: string): BulkheadError {
  return new BulkheadError(
    "BH_SELECT",
    `Cannot select "${printable(text)}": which table it reads is not clear`,
    {
      kind: "refused",
      hint: 'Embed tables by their plain names: select("id, units(label)").',
    },
  );
}
