import type { Catalog, Constraint, Table } from "./catalog.ts";
import type { Config } from "./config.ts";
import { ident } from "./names.ts";

/** One table and what it is. */
export type Classified = {
  table: Table;
  kind: "tenants" | "tenant" | "through" | "global" | "ignored" | "unknown";
  /** The tenant column it has or will get; on the tenants table, its key. */
  column: string;
  hasColumn: boolean;
  /** Foreign keys that say the tenant where the column does not, nearest first. */
  through: Constraint[];
  /** For people: `unit_id -> public.units -> development_id -> public.developments`. */
  path: string | null;
  /** Why nobody may go on before bulkhead.toml says more. */
  problem: string | null;
  reason: string | null;
};

/** The whole database, classified. */
export type Classification = {
  catalog: Catalog;
  config: Config;
  tenants: Table;
  tenantKey: string;
  tenantType: string;
  tables: Classified[];
  byId: Map<string, Classified>;
};

const SUPPORTED = new Set(["uuid", "bigint", "integer", "text"]);

/**
 * Say of every table of the adopted schemas whose rows it holds. A table that nothing explains is `unknown`, and
 * one that the kit could not protect carries the `problem`; neither is ever guessed away.
 *
 * @example
 * const { tables } = classify(catalog, config);
 */
export function classify(catalog: Catalog, config: Config): Classification | string {
  const tenants = catalog.tables.find((table) => table.id === config.tenants.table);
  if (!tenants) return `the tenants table ${config.tenants.table} does not exist`;
  const primary = keyOf(tenants);
  const tenantKey = primary?.length === 1 ? primary[0] : undefined;
  if (tenantKey === undefined) return `${tenants.id} has no primary key of one column`;
  const tenantType = typeOf(tenants, tenantKey);
  if (!SUPPORTED.has(tenantType)) {
    return `tenants of type ${tenantType} are not supported: use uuid, bigint, integer or text`;
  }
  const byId = new Map<string, Classified>();
  const tables = catalog.tables
    .filter((table) =>
      config.schemas.includes(table.schema) || config.tables[table.id] || table === tenants
    )
    // Partitions go with their root.
    .filter((table) => !table.isPartition)
    .map((table) => {
      const classified = alone(table, { config, tenants, tenantKey, tenantType });
      byId.set(table.id, classified);
      return classified;
    });
  follow(tables, byId, config);
  for (const each of tables) judge(each, byId, tenantType);
  return { catalog, config, tenants, tenantKey, tenantType, tables, byId };
}

/** Whether the rows of a table belong to tenants. */
export function isTenanted(classified: Classified | undefined): classified is Classified {
  return classified !== undefined && ["tenants", "tenant", "through"].includes(classified.kind);
}

/** The primary key's columns. */
export function keyOf(table: Table): string[] | null {
  return table.constraints.find((each) => each.type === "p")?.columns ?? null;
}

/** A column's type, empty where there is no such column. */
export function typeOf(table: Table, column: string): string {
  return table.columns.find((each) => each.name === column)?.type ?? "";
}

/** Foreign keys of a table. */
export function foreignKeys(table: Table): Constraint[] {
  return table.constraints.filter((each) => each.type === "f");
}

type World = { config: Config; tenants: Table; tenantKey: string; tenantType: string };

/** What a table says by itself, before its parents are looked at. */
function alone(table: Table, world: World): Classified {
  const { config, tenants, tenantKey, tenantType } = world;
  const choice = config.tables[table.id];
  const result: Classified = {
    table,
    kind: "unknown",
    column: config.tenants.column,
    hasColumn: false,
    through: [],
    path: null,
    problem: null,
    reason: null,
  };
  if (table === tenants) return { ...result, kind: "tenants", column: tenantKey, hasColumn: true };
  if (choice?.kind === "global") return { ...result, kind: "global", reason: choice.reason };
  if (choice?.kind === "ignore") return { ...result, kind: "ignored", reason: choice.reason };
  const named = choice?.kind === "tenant" ? choice.column : undefined;
  const references = foreignKeys(table).filter((key) => key.parent === tenants.id);
  const only = references.length === 1 && references[0]?.columns.length === 1
    ? references[0].columns[0]
    : undefined;
  const has = (column: string) => typeOf(table, column) !== "";
  const column = named ?? (has(config.tenants.column) ? config.tenants.column : only);
  if (column !== undefined && has(column)) {
    const wrong = typeOf(table, column) !== tenantType
      ? `${ident(column)} is ${typeOf(table, column)}, tenants are ${tenantType}: change its type`
      : null;
    return { ...result, kind: "tenant", column, hasColumn: true, problem: wrong };
  }
  if (named !== undefined) return { ...result, column: named };
  if (references.length > 1) {
    return {
      ...result,
      problem: `several keys lead to ${tenants.id}: name the column in bulkhead.toml`,
    };
  }
  return result;
}

/** Follow foreign keys outwards from the tables that have the column, nearest first. */
function follow(tables: Classified[], byId: Map<string, Classified>, config: Config): void {
  for (let found = true; found;) {
    found = false;
    const reached: [Classified, Constraint][] = [];
    for (const each of tables) {
      if (each.kind !== "unknown" || each.problem !== null) continue;
      const key = candidates(each, byId, config)[0];
      if (key) reached.push([each, key]);
    }
    for (const [each, key] of reached) {
      each.kind = "through";
      const parent = byId.get(key.parent ?? "");
      each.path = `${key.columns.map(ident).join(", ")} -> ${key.parent}${
        parent?.path ? ` -> ${parent.path}` : ""
      }`;
      found = true;
    }
  }
  for (const each of tables) {
    if (each.kind !== "tenant" && each.kind !== "through") continue;
    each.through = candidates(each, byId, config);
  }
}

function candidates(each: Classified, byId: Map<string, Classified>, config: Config): Constraint[] {
  const choice = config.tables[each.table.id];
  const chosen = choice?.kind === "tenant" ? choice.through : undefined;
  const keys = foreignKeys(each.table).filter((key) => {
    const parent = byId.get(key.parent ?? "");
    if (parent === undefined || !isTenanted(parent) || parent.kind === "tenants") return false;
    return chosen === undefined || chosen.includes(key.name);
  });
  // A row's own parent of the same table answers last: it needs several rounds.
  return keys.sort((a, b) =>
    Number(a.parent === each.table.id) - Number(b.parent === each.table.id)
  );
}

/** What stops protect() later is said now. */
function judge(each: Classified, byId: Map<string, Classified>, tenantType: string): void {
  const { table } = each;
  if (each.problem !== null || !isTenanted(each)) {
    if (each.kind === "unknown") each.problem ??= "nothing says whose rows it holds";
    return;
  }
  const own = table.columns.find((column) => column.name === each.column);
  if (keyOf(table) === null) each.problem = "it has no primary key: add one";
  else if (table.parent !== null) {
    each.problem = `it inherits from ${table.parent}: only partitions are adopted`;
  } else if (!table.ownerBypasses) {
    each.problem = `its owner ${
      ident(table.owner)
    } obeys row level security: alter table ${table.id} owner to postgres`;
  } else if (own && (own.generated || own.identity) && each.kind !== "tenants") {
    each.problem = `${ident(own.name)} is generated: the application must write it`;
  } else if (own && own.type !== tenantType) {
    each.problem = `${ident(own.name)} is ${own.type}, tenants are ${tenantType}: change its type`;
  }
  for (const key of foreignKeys(table)) {
    const parent = byId.get(key.parent ?? "");
    const at = isTenanted(parent) && parent.kind !== "tenants"
      ? key.parentColumns.indexOf(parent.column)
      : -1;
    if (at < 0 || key.columns[at] === each.column) continue;
    each.problem ??= `the key ${ident(key.name)} leads to other tenants by design (${
      ident(key.columns[at] ?? "")
    }): drop it, or let it lead to the tenants table`;
  }
}
