import type { Column, Constraint, Table } from "../adopt/catalog.ts";
import { foreignKeys, isTenanted, keyOf, typeOf } from "../adopt/classify.ts";
import { ident, literal } from "../adopt/names.ts";
import { type Slot, SLOTS } from "./slots.ts";
import { type Candidate, candidates, type Value } from "./values.ts";
import { classOf, type World } from "./world.ts";

/** What was learned by trying: which candidate a column takes, and which columns must be given after all. */
export type Choices = {
  /** The table that is measured: its new rows are not there yet, so that nothing may refer to them. */
  under: Table | null;
  picks: Map<string, number>;
  included: Set<string>;
  /** Tenant ids, once the database has said what an expression of bulkhead.toml means. */
  evaluated: Map<string, string>;
  /** By table and column: what an existing row holds, where nothing else was accepted. */
  cloned: Map<string, string | null>;
};

/** One row to be written. */
export type Row = { table: Table; slot: Slot; values: Map<string, Value> };

/** Another row that must be there first. */
export type Need = { table: Table; slot: Slot };

/** Why no row can be made, and what a person can do about it. */
export class SeedProblem extends Error {}

/** Beside the slot: who the row is about, where that is not the slot's own person. */
export type RowOptions = { person?: Slot };

const USER_NAME =
  /^(user|owner|author|creator|member|profile|created_by|updated_by|assigned_to|sender|account_owner)(_user)?(_id)?$/;

/** The columns that tell one row of a table from another. */
export function rowKey(table: Table): string[] {
  const key = keyOf(table) ??
    table.indexes.find((one) => one.unique && one.predicate === null && !one.columns.includes(null))
      ?.columns.filter((one) => one !== null);
  return key ?? [];
}

/** Foreign keys by which a table without a tenant column says whose its rows are. */
export function pathKeys(world: World, table: Table): Constraint[] {
  const each = classOf(world, table);
  return each?.kind === "through" ? each.through.slice(0, 1) : [];
}

/**
 * The row of a table for a slot, and the rows that it refers to.
 *
 * @example
 * const { row, needs } = planRow(world, choices, messages, SLOTS.a);
 * @throws SeedProblem where a column's type or parent is not known.
 */
export function planRow(
  world: World,
  choices: Choices,
  table: Table,
  slot: Slot,
  options: RowOptions = {},
): { row: Row; needs: Need[] } {
  const values = new Map<string, Value>();
  const needs: Need[] = [];
  const given = world.overrides[table.id] ?? {};
  const tenantColumn = classOf(world, table)?.column;
  for (const column of Object.keys(given)) {
    values.set(column, overridden(world, choices, table, column, slot));
  }
  const wanted = new Set(wantedColumns(world, choices, table));
  for (const key of foreignKeys(table)) {
    const parent = world.tables.get(key.parent ?? "");
    // The tenant column alone asks for no parent, where the rest of the key may stay empty.
    const telling = key.columns.filter((one) => one !== tenantColumn);
    const needed = (telling.length > 0 ? telling : key.columns).some((one) => wanted.has(one));
    if (!needed || key.columns.every((one) => values.has(one))) continue;
    if (!parent) {
      throw new SeedProblem(
        `its key ${ident(key.name)} leads to ${key.parent}, which was not read`,
      );
    }
    const at = parentSlot(world, choices, { table, parent, slot, options });
    if (!(parent === table && at.name === slot.name)) needs.push({ table: parent, slot: at });
    for (const [index, column] of key.columns.entries()) {
      if (values.has(column)) continue;
      values.set(column, valueOf(world, choices, parent, key.parentColumns[index] ?? "", at));
    }
  }
  for (const column of table.columns) {
    if (!wanted.has(column.name) || values.has(column.name)) continue;
    values.set(column.name, valueOf(world, choices, table, column.name, slot, options));
  }
  // In the table's own order, as a person would write it.
  const ordered = new Map(
    table.columns.flatMap((column) => {
      const value = values.get(column.name);
      return value ? [[column.name, value] as const] : [];
    }),
  );
  return { row: { table, slot, values: ordered }, needs };
}

/** What one column of the row of a slot holds, whether the row exists already or not. */
export function valueOf(
  world: World,
  choices: Choices,
  table: Table,
  column: string,
  slot: Slot,
  options: RowOptions = {},
): Value {
  if (world.overrides[table.id]?.[column] !== undefined) {
    return overridden(world, choices, table, column, slot);
  }
  const each = classOf(world, table);
  const { membership, users } = world;
  if (each && isTenanted(each) && each.column === column && table !== world.classes.tenants) {
    return tenantValue(world, choices, slot);
  }
  if (membership?.table === table) {
    if (column === membership.tenant) return tenantValue(world, choices, slot);
    if (column === membership.user) return personValue(world, choices, options.person ?? slot);
    const role = slot.role ?? membership.roles[0];
    if (column === membership.role && role !== undefined) {
      return { sql: `'${role.replaceAll("'", "''")}'`, raw: role };
    }
  }
  const key = foreignKeys(table).find((one) => one.columns.includes(column));
  const parent = key ? world.tables.get(key.parent ?? "") : undefined;
  if (key && parent && parent !== table) {
    const at = parentSlot(world, choices, { table, parent, slot, options });
    return valueOf(
      world,
      choices,
      parent,
      key.parentColumns[key.columns.indexOf(column)] ?? "",
      at,
    );
  }
  if (isPersonColumn(world, table, column) && users?.table !== table) {
    return personValue(world, choices, options.person ?? slot);
  }
  return own(world, choices, table, column, slot);
}

/** The id of a slot's tenant. */
export function tenantValue(world: World, choices: Choices, slot: Slot): Value {
  const { tenants, tenantKey } = world.classes;
  const at = slot.tenant === "a" ? SLOTS.a : slot.tenant === "b" ? SLOTS.b : SLOTS.newTenant;
  return valueOf(world, choices, tenants, tenantKey, at);
}

/** The id of the person of a slot, as tokens and user columns hold it. */
export function personValue(world: World, choices: Choices, slot: Slot): Value {
  const { users, membership } = world;
  if (users) return valueOf(world, choices, users.table, users.key, slot);
  if (membership) return own(world, choices, membership.table, membership.user, slot);
  return {
    sql: `'00000000-0000-4000-8000-${String(slot.n).padStart(12, "0")}'`,
    raw: `00000000-0000-4000-8000-${String(slot.n).padStart(12, "0")}`,
  };
}

/** A column that holds a person without a key that says so. */
function isPersonColumn(world: World, table: Table, column: string): boolean {
  const { users, membership } = world;
  const type = users
    ? typeOf(users.table, users.key)
    : membership
    ? typeOf(membership.table, membership.user)
    : "uuid";
  return USER_NAME.test(column) && typeOf(table, column) === type;
}

function parentSlot(
  world: World,
  choices: Choices,
  of: { table: Table; parent: Table; slot: Slot; options: RowOptions },
): Slot {
  const { table, parent, slot, options } = of;
  if (parent === world.classes.tenants) {
    return slot.tenant === "a" ? SLOTS.a : slot.tenant === "b" ? SLOTS.b : SLOTS.newTenant;
  }
  if (parent === world.users?.table && parent !== table) return options.person ?? slot;
  if (!isTenanted(classOf(world, parent))) return SLOTS.global;
  // A row's own parent of the same table, and the way back in a circle, is one that stands already.
  if (parent !== table && parent !== choices.under) return slot;
  return slot.name === "newA" ? SLOTS.a : slot.name === "newB" ? SLOTS.b : slot;
}

/** Columns that a row must name: those that have no other value, keys, and whatever says whose it is. */
function wantedColumns(world: World, choices: Choices, table: Table): string[] {
  const each = classOf(world, table);
  const path = pathKeys(world, table).flatMap((key) => key.columns);
  const key = new Set(rowKey(table));
  const { membership } = world;
  return table.columns.filter((column) => {
    if (column.generated) return false;
    if (choices.cloned.has(`${table.id}.${column.name}`)) return true;
    const nullable = !column.notNull && world.types.get(column.type)?.notNull !== true;
    if (choices.included.has(`${table.id}.${column.name}`)) return true;
    if (!nullable && column.default === null) return true;
    if (column.identity || /^nextval\(/.test(column.default ?? "") || key.has(column.name)) {
      return true;
    }
    if (each && isTenanted(each) && each.hasColumn && each.column === column.name) return true;
    if (path.includes(column.name)) return true;
    if (membership?.table === table) {
      if ([membership.user, membership.tenant, membership.role].includes(column.name)) return true;
    }
    const toUsers = world.users !== null && world.users.table !== table &&
      foreignKeys(table).some((one) =>
        one.parent === world.users?.table.id && one.columns.includes(column.name)
      );
    return toUsers || (isPersonColumn(world, table, column.name) && world.users?.table !== table);
  }).map((column) => column.name);
}

/** The candidates of a column. */
export function candidatesOf(world: World, table: Table, name: string): Candidate[] {
  const column = table.columns.find((one) => one.name === name);
  const type = column ? world.types.get(column.type) : undefined;
  if (!column || !type) return [];
  return candidates(column, type, {
    table: table.id,
    position: table.columns.indexOf(column),
    key: isKeyColumn(table, column),
    hints: [
      ...world.hints.get(table.id)?.get(name) ?? [],
      ...world.hints.get(column.type)?.get("value") ?? [],
    ],
    bounds: boundsOf(world, table, name),
  });
}

function own(world: World, choices: Choices, table: Table, name: string, slot: Slot): Value {
  const known = choices.evaluated.get(`${table.id}.${name}.${slot.n}`);
  if (known !== undefined) return { sql: `'${known.replaceAll("'", "''")}'`, raw: known };
  const { tenants, tenantKey } = world.classes;
  const model = choices.cloned.get(`${table.id}.${name}`);
  if (model !== undefined) {
    return model === null ? { sql: "null" } : { sql: literal(model), raw: model };
  }
  const pick = choices.picks.get(`${table.id}.${name}`) ?? 0;
  const list = candidatesOf(world, table, name);
  if (table === tenants && name === tenantKey && !hinted(world, table, name)) {
    const id = tenantId(world.classes.tenantType, slot, pick);
    if (id) return id;
  }
  const candidate = list[Math.min(pick, list.length - 1)];
  if (!candidate) {
    throw new SeedProblem(
      `no value is known for ${ident(name)} of type ${typeOf(table, name)}`,
    );
  }
  return candidate(slot.n);
}

function hinted(world: World, table: Table, name: string): boolean {
  return (world.hints.get(table.id)?.get(name)?.length ?? 0) > 0 ||
    (world.hints.get(typeOf(table, name))?.get("value")?.length ?? 0) > 0;
}

/** Ids of which one begins with the other, where the type allows it. */
function tenantId(type: string, slot: Slot, pick: number): Value | null {
  const which = slot.tenant === "a" ? "1" : slot.tenant === "b" ? "12" : "5";
  const front = String(9 - Math.min(pick, 7));
  if (type === "bigint") {
    return { sql: `${front}10000000${which}`, raw: `${front}10000000${which}` };
  }
  // The largest integer is 2,147,483,647.
  if (type === "integer") {
    const id = `2${pick % 10}0000${pick % 10}0${which}`;
    return { sql: id, raw: id };
  }
  if (type === "text") {
    const raw = `bulkhead-${pick === 0 ? "" : `${pick}-`}${which}`;
    return { sql: `'${raw}'`, raw };
  }
  return null;
}

function isKeyColumn(table: Table, column: Column): boolean {
  return column.identity || /^nextval\(/.test(column.default ?? "") ||
    table.indexes.some((one) =>
      one.unique && (one.columns.includes(column.name) || one.definition.includes(column.name))
    ) ||
    rowKey(table).includes(column.name);
}

/** Where partitions begin, or what they list, by the column's position in the key. */
function boundsOf(world: World, table: Table, name: string): string[] {
  const part = world.facts.partitions.find((one) => one.id === table.id);
  const at = part?.columns.indexOf(name) ?? -1;
  if (!part || at < 0) return [];
  return part.bounds.flatMap((bound) => {
    const inside = /(?:FROM|IN) \(([^)]*)\)/.exec(bound)?.[1];
    if (inside === undefined) return [];
    const list = inside.split(", ").map((one) => one.replace(/^'|'$/g, ""));
    const found = bound.includes(" IN (") ? list : list.slice(at, at + 1);
    return found.filter((one) => !/^(MINVALUE|MAXVALUE|NULL)$/.test(one));
  });
}

function overridden(
  world: World,
  choices: Choices,
  table: Table,
  column: string,
  slot: Slot,
): Value {
  const known = choices.evaluated.get(`${table.id}.${column}.${slot.n}`);
  const template = world.overrides[table.id]?.[column] ?? "null";
  const tenant = /\{tenant\}/.test(template) ? tenantValue(world, choices, slot).sql : "";
  const sql = template.replaceAll("{n}", String(slot.n)).replaceAll("{tenant}", tenant);
  return known === undefined ? { sql } : { sql, raw: known };
}
