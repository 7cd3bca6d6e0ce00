import { typeOf } from "../adopt/classify.ts";
import { ident } from "../adopt/names.ts";
import { candidatesOf, type Choices, type Row } from "./row.ts";
import type { World } from "./world.ts";

/** Why the database would not take a row. */
export type Refusal = {
  sqlstate: string;
  message: string;
  constraint: string;
  column: string;
  /** Qualified; another than the row's where a trigger wrote it. */
  table: string;
};

/** Not about the values: a lock, a limit, a right that is missing. */
const NO_VALUE_HELPS = /^(08|0A|25|40|42|53|54|55|57|58|XX|BH(?!ABS))/;

/** Whether another value could help at all. */
export function isAboutValues(refusal: Refusal): boolean {
  return !NO_VALUE_HELPS.test(refusal.sqlstate);
}

/** Nothing chosen yet. */
export function noChoices(): Choices {
  return {
    under: null,
    picks: new Map(),
    included: new Set(),
    evaluated: new Map(),
    cloned: new Map(),
  };
}

/**
 * Change the choices so that the row may be taken next time. False when everything was tried: then a person must
 * say a value, or an existing row is taken as a model.
 *
 * @example
 * while (!learn(world, choices, row, refusal)) return unknown(refusal);
 */
export function learn(world: World, choices: Choices, row: Row, refusal: Refusal): boolean {
  const { table } = row;
  const id = (column: string) => `${table.id}.${column}`;
  const include = (columns: readonly string[]) => {
    const missing = columns.filter((one) =>
      !row.values.has(one) && !choices.included.has(id(one)) && isWritable(row, one)
    );
    for (const one of missing) choices.included.add(id(one));
    return missing.length > 0;
  };
  if (refusal.table !== "" && refusal.table !== table.id) return false;
  if (refusal.sqlstate === "23502") return include([refusal.column]);
  const constraint = table.constraints.find((one) => one.name === refusal.constraint);
  const index = table.indexes.find((one) => one.name === refusal.constraint);
  const columns = constraint?.columns ??
    (index
      ? table.columns.map((one) => one.name).filter((one) => index.definition.includes(one))
      : null);
  if (refusal.sqlstate === "23503" && columns) return include(columns);
  if (refusal.sqlstate === "23505") {
    if (advance(world, choices, row, columns ?? [])) return true;
    const conflict = `${table.id} on conflict`;
    // A trigger of the application made the row already: with a new user, say.
    if (choices.included.has(conflict)) return false;
    choices.included.add(conflict);
    return true;
  }
  if (refusal.sqlstate === "23514" && columns) {
    return advance(world, choices, row, columns) || oneMore(world, choices, row, columns);
  }
  if (refusal.sqlstate === "23514" || refusal.sqlstate.startsWith("22")) {
    const checked = table.columns.filter((one) =>
      (world.types.get(one.type)?.checks.length ?? 0) > 0 && row.values.has(one.name)
    ).map((one) => one.name);
    const rest = [...row.values.keys()];
    return advance(world, choices, row, checked.length > 0 ? checked : rest);
  }
  // A trigger refuses: perhaps it misses something that may be empty.
  return include(table.columns.map((one) => one.name));
}

function isWritable(row: Row, column: string): boolean {
  const found = row.table.columns.find((one) => one.name === column);
  return found !== undefined && !found.generated;
}

/** The next combination of candidates of these columns, like a mileage counter; false after the last. */
function advance(world: World, choices: Choices, row: Row, columns: readonly string[]): boolean {
  for (const column of columns) {
    const id = `${row.table.id}.${column}`;
    if (!row.values.has(column) || isSettled(world, row, column)) continue;
    const pick = choices.picks.get(id) ?? 0;
    if (pick + 1 < candidatesOf(world, row.table, column).length) {
      choices.picks.set(id, pick + 1);
      return true;
    }
    choices.picks.set(id, 0);
  }
  return false;
}

/** Where exactly one of several columns may be filled, they are tried one after another, then all together. */
function oneMore(world: World, choices: Choices, row: Row, columns: readonly string[]): boolean {
  const optional = columns.filter((one) => {
    const column = row.table.columns.find((each) => each.name === one);
    return column && !column.notNull && isWritable(row, one) && !isSettled(world, row, one);
  });
  const key = `${row.table.id} ${columns.join(" ")}`;
  const step = choices.picks.get(key) ?? 0;
  if (step > optional.length || optional.length === 0) return false;
  choices.picks.set(key, step + 1);
  for (const one of optional) choices.included.delete(`${row.table.id}.${one}`);
  const next = step < optional.length ? optional.slice(step, step + 1) : optional;
  for (const one of next) choices.included.add(`${row.table.id}.${one}`);
  return true;
}

/** What a person, a key or the tenant decides is not tried out. */
function isSettled(world: World, row: Row, column: string): boolean {
  return world.overrides[row.table.id]?.[column] !== undefined;
}

/**
 * What to say when no row could be made.
 *
 * @example
 * remedy(table, refusal); // 'public.orders takes no row: new row … ; give values in bulkhead.toml: …'
 */
export function remedy(row: Row, refusal: Refusal): string {
  const { table } = row;
  if (!isAboutValues(refusal)) {
    return `${table.id} takes no row: ${refusal.sqlstate} ${refusal.message}`;
  }
  const constraint = table.constraints.find((one) => one.name === refusal.constraint);
  const column = refusal.column || constraint?.columns.find((one) => typeOf(table, one) !== "");
  return `${table.id} takes no row that was tried: ${refusal.message}. Say a value in bulkhead.toml: [seed.${
    JSON.stringify(table.id)
  }] ${column ? ident(column) : "column"} = "SQL"`;
}
