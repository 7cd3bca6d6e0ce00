import type { Constraint, Table } from "./catalog.ts";
import {
  type Classification,
  type Classified,
  foreignKeys,
  isTenanted,
  keyOf,
} from "./classify.ts";
import { indexedFor } from "./findings.ts";
import { ident, shortName } from "./names.ts";

/** A foreign key to add, in place of another or as a new one. */
export type WantedKey = {
  child: Classified;
  columns: string[];
  parent: string;
  parentColumns: string[];
  name: string;
  /** Its name until it takes the place of `replaces`. */
  temporary: string;
  replaces: Constraint | null;
  /** What it does, as SQL: RESTRICT cannot be deferred, there NO ACTION is as strict at the end of the transaction. */
  action: string;
  carriesTenant: boolean;
};

/** A unique constraint to add. */
export type WantedUnique = { table: Table; columns: string[]; name: string };

/** An index to add. */
export type WantedIndex = { table: Table; columns: string[]; name: string };

const same = (a: readonly string[], b: readonly string[]) =>
  a.length === b.length && a.every((each) => b.includes(each));

/**
 * The foreign keys that bulkhead.missing_foreign_keys() would ask for once every table is protected, computed
 * without the kit. A test holds the two together: after adoption protect() finds nothing missing.
 *
 * @example
 * const keys = world.tables.flatMap((each) => wantedKeys(world, each));
 */
export function wantedKeys(world: Classification, each: Classified): WantedKey[] {
  if (!isTenanted(each)) return [];
  const wanted: WantedKey[] = [];
  let refers = each.kind === "tenants";
  for (const key of foreignKeys(each.table)) {
    const strict = key.onDelete === (key.deferrable ? "a" : "r") && key.validated;
    const parent = world.byId.get(key.parent ?? "");
    let columns = key.columns;
    let parentColumns = key.parentColumns;
    let carriesTenant = false;
    if (!isTenanted(parent)) {
      const choice = world.config.foreign_keys[`${each.table.id}.${ident(key.name)}`];
      if (choice !== "restrict" || strict) continue;
    } else if (parent.kind === "tenants") {
      const alone = columns.length === 1 && columns[0] === each.column && each.kind !== "tenants";
      refers ||= alone;
      const acts = ["c", "n", "d"].includes(key.onDelete) || ["n", "d"].includes(key.onUpdate);
      if (strict || !(alone || acts)) continue;
    } else {
      const at = columns.indexOf(each.column);
      carriesTenant = true;
      if (at >= 0 && parentColumns[at] === parent.column) {
        if (strict) continue;
      } else {
        columns = [each.column, ...columns];
        parentColumns = [parent.column, ...parentColumns];
      }
    }
    wanted.push({
      child: each,
      columns,
      parent: key.parent ?? "",
      parentColumns,
      name: key.name,
      temporary: shortName(key.name, "_tenant"),
      replaces: key,
      action: actionOf(key),
      carriesTenant,
    });
  }
  if (!refers) {
    const name = freeName(each.table, shortName(`${each.table.name}_${each.column}`, "_fkey"));
    wanted.push({
      child: each,
      columns: [each.column],
      parent: world.tenants.id,
      parentColumns: [world.tenantKey],
      name,
      temporary: name,
      replaces: null,
      action: " on delete restrict",
      carriesTenant: false,
    });
  }
  return wanted;
}

function actionOf(key: Constraint): string {
  const update = key.onUpdate === "c" ? " on update cascade" : "";
  if (!key.deferrable) return ` on delete restrict${update}`;
  return `${update} deferrable${key.deferred ? " initially deferred" : ""}`;
}

/** Tenant and key, and every target of a wanted key, unique together. */
export function wantedUniques(world: Classification, keys: readonly WantedKey[]): WantedUnique[] {
  const wanted: WantedUnique[] = [];
  const want = (table: Table, columns: string[]) => {
    const present = table.constraints.some((each) =>
      (each.type === "p" || each.type === "u") && !each.deferrable && same(each.columns, columns) &&
      table.indexes.some((index) => index.constraint === each.name && index.valid)
    );
    if (present || wanted.some((each) => each.table === table && same(each.columns, columns))) {
      return;
    }
    wanted.push({
      table,
      columns,
      name: freeName(table, shortName(`${table.name}_${columns.join("_")}`, "_key")),
    });
  };
  for (const each of world.tables.filter(isTenanted)) {
    const key = keyOf(each.table) ?? [];
    want(each.table, key.includes(each.column) ? key : [each.column, ...key]);
  }
  for (const key of keys) {
    const parent = world.byId.get(key.parent);
    if (key.carriesTenant && parent) want(parent.table, key.parentColumns);
  }
  return wanted;
}

/** Indexes without which a key's check, or a query that names the tenant, reads the whole table. */
export function wantedIndexes(
  world: Classification,
  uniques: readonly WantedUnique[],
): WantedIndex[] {
  const wanted: WantedIndex[] = [];
  for (const each of world.tables.filter(isTenanted)) {
    const { table } = each;
    const starts = (columns: readonly string[]) =>
      [...wanted, ...uniques].some((index) =>
        index.table === table && same(index.columns.slice(0, columns.length), columns)
      );
    const want = (columns: string[]) => {
      const name = freeName(table, shortName(`${table.name}_${columns.join("_")}`, "_idx"));
      if (!starts(columns)) wanted.push({ table, columns, name });
    };
    for (const key of foreignKeys(table)) {
      if (
        !isTenanted(world.byId.get(key.parent ?? "")) || indexedFor(table, key.columns, each.column)
      ) continue;
      want(key.columns.includes(each.column) ? key.columns : [each.column, ...key.columns]);
    }
    const leads = table.indexes.some((index) =>
      index.valid && index.predicate === null && index.columns[0] === each.column
    );
    if (
      !leads && each.kind !== "tenants" &&
      !wanted.some((index) => index.table === table && index.columns[0] === each.column)
    ) {
      want([each.column]);
    }
  }
  return wanted;
}

/** The name, or the first of name_1, name_2, … that no index or constraint of the table has. */
export function freeName(table: Table, name: string): string {
  const taken = new Set([...table.constraints, ...table.indexes].map((each) => each.name));
  if (!taken.has(name)) return name;
  for (let n = 1;; n++) {
    const next = shortName(name, `_${n}`);
    if (!taken.has(next)) return next;
  }
}
