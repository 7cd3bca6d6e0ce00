import { literal, textArray } from "./names.ts";

/** SQL conditions on the catalogs that make a step safe to run again. */

export function constraintExists(table: string, name: string, extra = ""): string {
  return `exists (select from pg_catalog.pg_constraint where conrelid = ${
    regclass(table)
  } and conname = ${literal(name)}${extra})`;
}

/** A foreign key over exactly these columns with this action on delete, whatever its name unless one is given. */
export function foreignKeyExists(
  table: string,
  columns: readonly string[],
  parent: string,
  options: { action: "r" | "a"; name?: string },
): string {
  return `exists (
    select from pg_catalog.pg_constraint as k
    where k.conrelid = ${regclass(table)} and k.contype = 'f' and k.confrelid = ${
    regclass(parent)
  } and k.confdeltype = ${literal(options.action)}${
    options.name === undefined ? "" : ` and k.conname = ${literal(options.name)}`
  }
        and ${columnsOf("k.conrelid", "k.conkey")} = ${textArray(columns)}
)`;
}

export function columnsOf(relation: string, numbers: string): string {
  return `(select array_agg(a.attname::text order by n.position) from unnest(${numbers}) with ordinality as n (attnum, position) join pg_catalog.pg_attribute as a on a.attrelid = ${relation} and a.attnum = n.attnum)`;
}

export function columnIs(table: string, column: string, state: "attnotnull" | "atthasdef"): string {
  return `exists (select from pg_catalog.pg_attribute where attrelid = ${
    regclass(table)
  } and attname = ${literal(column)} and ${state})`;
}

export function indexIsInvalid(schema: string, name: string): string {
  return `exists (select from pg_catalog.pg_index as i join pg_catalog.pg_class as c on c.oid = i.indexrelid join pg_catalog.pg_namespace as n on n.oid = c.relnamespace where n.nspname = ${
    literal(schema)
  } and c.relname = ${literal(name)} and not i.indisvalid)`;
}

export function relationExists(schema: string, name: string): string {
  return `exists (select from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace where n.nspname = ${
    literal(schema)
  } and c.relname = ${literal(name)})`;
}

export function regclass(table: string): string {
  return `${literal(table)}::regclass`;
}
