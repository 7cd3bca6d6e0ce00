import * as z from "zod";
import type { MissingParent } from "../backup/restore-tenant.ts";
import type { TransactionSql } from "./postgres.ts";
import { quote } from "./postgres-export.ts";

/** As much of a staged table as its foreign keys need. */
export type StagedTable = {
  readonly label: string;
  readonly live: string;
  readonly temp: string;
};

const foreignKeys = z.array(z.object({
  name: z.string(),
  parent: z.string(),
  label: z.string(),
  columns: z.array(z.string()),
  targets: z.array(z.string()),
}));

/**
 * Where rows that a restore would write point to nothing: neither in the database nor staged beside them. The
 * database would name the first of them only. `rowsOf` tells which rows of a staged table, `s`, would be written.
 *
 * @example
 * const missing = await missingParents(tx, tables, (table) => "true");
 */
export async function missingParents<T extends StagedTable>(
  tx: TransactionSql,
  tables: readonly T[],
  rowsOf: (table: T) => string,
): Promise<MissingParent[]> {
  const missing: MissingParent[] = [];
  for (const table of tables) {
    // A parent that this role may not read is left to the database itself.
    const rows = await tx`
      select c.conname::text as name, bulkhead.qualified(c.confrelid) as parent,
        (select concat_ws('.', n.nspname, r.relname) from pg_catalog.pg_class as r
          join pg_catalog.pg_namespace as n on n.oid = r.relnamespace where r.oid = c.confrelid) as label,
        array_agg(a.attname::text order by k.position) as columns,
        array_agg(p.attname::text order by k.position) as targets
      from pg_catalog.pg_constraint as c
      cross join unnest(c.conkey, c.confkey) with ordinality as k (child, parent, position)
      join pg_catalog.pg_attribute as a on a.attrelid = c.conrelid and a.attnum = k.child
      join pg_catalog.pg_attribute as p on p.attrelid = c.confrelid and p.attnum = k.parent
      where c.contype = 'f' and c.conrelid = to_regclass(${table.live})
        and has_table_privilege(c.confrelid, 'select') and not row_security_active(c.confrelid)
      group by c.oid
      order by c.conname
    `;
    for (const key of foreignKeys.parse(rows)) {
      const staged = tables.find((other) => other.label === key.label);
      const found = await pointless(tx, { table, key, staged, rows: rowsOf(table) });
      if (found.count > 0) {
        missing.push({
          table: table.label,
          columns: key.columns,
          parent: key.label,
          ...found,
        });
      }
    }
  }
  return missing;
}

async function pointless(
  tx: TransactionSql,
  of: {
    table: StagedTable;
    key: z.infer<typeof foreignKeys>[number];
    staged: StagedTable | undefined;
    rows: string;
  },
): Promise<{ count: number; keys: string[] }> {
  const { columns, targets, parent } = of.key;
  const equal = columns.map((column, at) => `p.${quote(targets[at] ?? "")} = s.${quote(column)}`)
    .join(" and ");
  const absent = [parent, ...(of.staged ? [of.staged.temp] : [])]
    .map((relation) => `not exists (select from ${relation} as p where ${equal})`);
  // A key with a null in it points nowhere, and may.
  const isSet = columns.map((column) => `s.${quote(column)} is not null`);
  const value = `concat_ws(',', ${columns.map((column) => `s.${quote(column)}`).join(", ")})`;
  const [row] = await tx.unsafe(
    `select count(*)::integer as count, coalesce((array_agg(distinct ${value}))[1:20], '{}') as keys
     from ${of.table.temp} as s
     where (${of.rows}) and ${[...isSet, ...absent].join(" and ")}`,
  );
  return z.object({ count: z.number(), keys: z.array(z.string()) }).parse(row);
}
