import type { Table } from "../../functions/_core/adopt/catalog.ts";
import { BulkheadError } from "../../functions/_core/errors.ts";
import type { World } from "../../functions/_core/matrix/world.ts";

/**
 * Tables by name, with or without schema.
 *
 * @throws BulkheadError `BH_MATRIX_TABLE` for a name that no table of tenants has.
 */
export function onlyTables(world: World, names: readonly string[]): (table: Table) => boolean {
  const is = (table: Table, name: string) =>
    [table.id, table.name, `${table.schema}.${table.name}`].includes(name);
  for (const name of names) {
    const found = world.classes.tables.find((each) => is(each.table, name));
    if (found && found.kind !== "global" && found.kind !== "ignored") continue;
    throw new BulkheadError(
      "BH_MATRIX_TABLE",
      `Cannot measure "${name}": ${found ? `it is ${found.kind}` : "there is no such table"}`,
      { kind: "usage", hint: "name tables of tenants as schema.table" },
    );
  }
  return (table) => names.some((name) => is(table, name));
}
