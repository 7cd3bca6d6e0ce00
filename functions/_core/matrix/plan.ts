import type { Table } from "../adopt/catalog.ts";
import { foreignKeys, isTenanted, typeOf } from "../adopt/classify.ts";
import { ident } from "../adopt/names.ts";
import { type Actor, contextSettings, isBackEnd, type Session, sessionOf } from "./actors.ts";
import {
  type Choices,
  type Need,
  pathKeys,
  planRow,
  type Row,
  rowKey,
  type RowOptions,
} from "./row.ts";
import { memberSlot, type Slot, SLOTS } from "./slots.ts";
import { classOf, type World } from "./world.ts";

export const VERBS = ["select", "insert", "update", "delete", "move", "truncate"] as const;
/** `move` is an update that hands a row of one's own to another tenant. */
export type Verb = typeof VERBS[number];

/**
 * One statement that an actor tries; `verify` is asked by the owner afterwards and must find a row. `fresh` ones come
 * before any setting was set: afterwards it is empty, never absent again.
 */
export type Attempt = Tried & {
  session: Session;
  side: "a" | "b";
  forged: boolean;
  fresh: boolean;
};
/** `label` names it in the generated tests: `read 12`, `move 1 to 12`. */
type Tried = { label: string; statement: string; verify: string | null };

/** What one actor may do with one verb to rows of its own or of another tenant. */
export type Cell = {
  actor: Actor;
  verb: Verb;
  target: "own" | "other";
  /** Any of them that gets through opens the cell. */
  attempts: Attempt[];
};

/** Everything about one table: rows to be there first, rows that must be possible, and the cells. */
export type TablePlan = {
  table: Table;
  rows: Row[];
  /** Rows that the owner can write: what is refused to others is refused by the boundary, not by a constraint. */
  controls: { row: Row; verify: string }[];
  /** Selects that must each find one row once the rows are there. */
  present: string[];
  cells: Cell[];
};

/**
 * The cells of one table, with the rows they need.
 *
 * @example
 * const plan = planTable(world, choices, actors, table);
 * @throws SeedProblem where no row can be made.
 */
export function planTable(
  world: World,
  choices: Choices,
  actors: readonly Actor[],
  table: Table,
): TablePlan {
  choices.under = table;
  const isTenants = table === world.classes.tenants;
  const fresh = (side: "a" | "b") =>
    isTenants ? SLOTS.newTenant : side === "a" ? SLOTS.newA : SLOTS.newB;
  const needs: Need[] = [
    ...foundation(world, actors),
    { table, slot: SLOTS.a },
    { table, slot: SLOTS.b },
  ];
  const make = (slot: Slot, options: RowOptions = {}) => {
    const made = planRow(world, choices, table, slot, options);
    needs.push(
      ...made.needs.filter((need) => !(need.table === table && need.slot.name === slot.name)),
    );
    return made.row;
  };
  const standing = { a: make(SLOTS.a), b: make(SLOTS.b) };
  const spare = { a: make(fresh("a")), b: make(fresh("b")) };
  const rows = closure(world, choices, needs);
  const written = isTenants ? [spare.a] : [spare.a, spare.b];

  const cells: Cell[] = [];
  for (const actor of actors) {
    const as =
      (side: "a" | "b", how: { forged?: boolean; fresh?: boolean } = {}) => (one: Tried) => ({
        ...one,
        session: sessionOf(world, choices, actor, side, how),
        side,
        forged: how.forged === true,
        fresh: how.fresh === true,
      });
    const add = (verb: Verb, target: "own" | "other", attempts: Attempt[]) =>
      cells.push({ actor, verb, target, attempts });
    // Absent and empty are two states of "no tenant named", and policies often forget one.
    const outside = !actor.inside && isBackEnd(world, actor) && contextSettings(world).length > 0;
    const lies = actor.role === "authenticated" || actor.role === "anon";
    // By the actor of one side at the rows of `at`; both directions, and with forged claims.
    const against = (tried: (at: "a" | "b", side: "a" | "b") => Tried[]): Attempt[] => {
      const sides = actor.inside ? [["a", "b"], ["b", "a"]] as const : [["b", "a"]] as const;
      return [
        ...(outside ? tried("a", "b").map(as("b", { fresh: true })) : []),
        ...sides.flatMap(([side, at]) => tried(at, side).map(as(side))),
        ...(lies ? tried("a", "b").map(as("b", { forged: true })) : []),
      ];
    };
    const read = (at: "a" | "b") => [
      { label: `read ${SLOTS[at].n}`, statement: selectSql(standing[at]), verify: null },
    ];
    const write = (at: "a" | "b", side: "a" | "b") => {
      const label = isTenants ? "add a tenant" : `add to ${SLOTS[at].n}`;
      const verify = existsSql(world, spare[at]);
      const plain = insertAs(world, spare[at], actor.role);
      const person = actor.slot(side);
      const signed = isTenants || actor.role !== "authenticated" ? plain : insertAs(
        world,
        planRow(world, choices, table, fresh(at), { person }).row,
        actor.role,
      );
      return [
        { label, statement: plain, verify },
        ...(signed === plain
          ? []
          : [{ label: `${label} as ${person.n}`, statement: signed, verify }]),
      ];
    };
    const change = (at: "a" | "b") => [
      { label: `change ${SLOTS[at].n}`, statement: updateSql(world, standing[at]), verify: null },
    ];
    const remove = (at: "a" | "b") => [
      { label: `delete ${SLOTS[at].n}`, statement: deleteSql(standing[at]), verify: null },
    ];
    const move = (): Tried[] => {
      const statement = moveSql(world, standing.a, spare.b);
      const label = `move ${SLOTS.a.n} to ${SLOTS.b.n}`;
      return statement === null
        ? []
        : [{ label, statement, verify: movedSql(world, standing.a, spare.b) }];
    };
    if (actor.inside) {
      const mine = (tried: Tried[]) => tried.slice(-1).map(as("a"));
      add("select", "own", mine(read("a")));
      add("insert", "own", mine(write("a", "a")));
      add("update", "own", mine(change("a")));
      add("delete", "own", mine(remove("a")));
    }
    add("select", "other", against(read));
    if (!isTenants) add("insert", "other", against(write));
    // A new tenant is nobody's row yet.
    else if (!actor.inside) {
      add(
        "insert",
        "own",
        against(write).filter((one) => !one.fresh).slice(0, 1),
      );
    }
    add("update", "other", against(change));
    add("delete", "other", against(remove));
    const moves = move();
    if (moves.length > 0) {
      add("move", "other", actor.inside ? moves.map(as("a")) : against(() => moves));
    }
    add("truncate", "other", [
      as(actor.inside ? "a" : "b")({
        label: "empty it",
        statement: `truncate ${table.id} cascade`,
        verify: null,
      }),
    ]);
  }
  return {
    table,
    rows,
    controls: written.map((row) => ({ row, verify: existsSql(world, row) })),
    present: [standing.a, standing.b].map((row) => existsSql(world, row)),
    cells,
  };
}

/** Tenants, people and memberships: whoever acts must be somebody. */
function foundation(world: World, actors: readonly Actor[]): Need[] {
  const { membership, users } = world;
  const tenants = [SLOTS.a, SLOTS.b].map((slot) => ({ table: world.classes.tenants, slot }));
  const members = actors.filter((one) => one.inside && one.role === "authenticated")
    .flatMap((one) => [one.slot("a"), one.slot("b")]);
  const people = actors.some((one) => one.role === "authenticated")
    ? [...members, SLOTS.stranger]
    : [];
  return [
    ...tenants,
    ...(users ? people.map((slot) => ({ table: users.table, slot })) : []),
    ...(membership ? members.map((slot) => ({ table: membership.table, slot })) : []),
  ];
}

/** Every row that is needed, each once, parents before children; by table, so that they read as a person writes them. */
function closure(world: World, choices: Choices, needs: readonly Need[]): Row[] {
  const rows = new Map<string, Row>();
  const edges = new Map<Table, Set<Table>>();
  const queue = [...needs];
  for (let need = queue.shift(); need; need = queue.shift()) {
    const slot = slotFor(world, need);
    const id = `${need.table.id} ${slot.name}`;
    if (rows.has(id)) continue;
    const made = planRow(world, choices, need.table, slot);
    rows.set(id, made.row);
    const parents = edges.get(need.table) ?? new Set();
    for (const one of made.needs) if (one.table !== need.table) parents.add(one.table);
    edges.set(need.table, parents);
    queue.push(...made.needs);
  }
  const order: Table[] = [];
  const visited = new Set<Table>();
  const visit = (table: Table) => {
    if (visited.has(table)) return;
    visited.add(table);
    for (const parent of edges.get(table) ?? []) visit(parent);
    order.push(table);
  };
  for (const table of edges.keys()) visit(table);
  return order.flatMap((table) => [...rows.values()].filter((row) => row.table === table));
}

/** The first member's role is part of its row, wherever the row is asked for. */
function slotFor(world: World, need: Need): Slot {
  const first = world.membership?.roles[0];
  if (need.table !== world.membership?.table || first === undefined) return need.slot;
  if (need.slot.name === "a" || need.slot.name === "b") return memberSlot(need.slot.name, 0, first);
  return need.slot;
}

function unique(statements: readonly string[]): string[] {
  return [...new Set(statements)];
}

/** One or several rows in one statement, columns as given. */
export function insertSql(rows: readonly Row[], columns: readonly string[]): string {
  const [first] = rows;
  if (!first) return "";
  const names = columns.map(ident).join(", ");
  const always = first.table.columns.some((one) => one.identity && columns.includes(one.name))
    ? " overriding system value"
    : "";
  if (columns.length === 0) return `insert into ${first.table.id} default values`;
  const lines = rows.map((row) =>
    `(${columns.map((column) => row.values.get(column)?.sql ?? "default").join(", ")})`
  );
  return `insert into ${first.table.id} (${names})${always}\nvalues\n    ${lines.join(",\n    ")}`;
}

function insertAs(world: World, row: Row, role: string): string {
  const columns = [...row.values.keys()];
  const partial = world.facts.insertable.find((one) =>
    one.id === row.table.id && one.role === role
  );
  // Who may name some columns only leaves the others to their defaults, where they have one.
  const allowed = partial
    ? columns.filter((column) => {
      const found = row.table.columns.find((one) => one.name === column);
      return partial.columns.includes(column) ||
        (found?.notNull && found.default === null && !found.identity);
    })
    : columns;
  return insertSql([row], allowed);
}

/** `id = '…' and tenant_id = '…'` for these columns of a row. */
function equals(row: Row, columns: readonly string[], values: Row = row): string {
  return columns.map((column) => `${ident(column)} = ${values.values.get(column)?.sql ?? "null"}`)
    .join(" and ");
}

function keyOf(row: Row): string[] {
  const key = rowKey(row.table).filter((one) => row.values.has(one));
  return key.length > 0
    ? key
    : [...row.values.keys()].filter((column) =>
      !/^(json|xml|point|polygon)/.test(typeOf(row.table, column))
    );
}

function selectSql(row: Row): string {
  return `select 1 from ${row.table.id} where ${equals(row, keyOf(row))}`;
}

function deleteSql(row: Row): string {
  return `delete from ${row.table.id} where ${equals(row, keyOf(row))}`;
}

/** A change that changes nothing: the least column that nothing depends on, set to itself. */
function updateSql(world: World, row: Row): string {
  const { table } = row;
  const busy = new Set([
    ...rowKey(table),
    ...foreignKeys(table).flatMap((key) => key.columns),
    ...(classOf(world, table)?.hasColumn ? [classOf(world, table)?.column ?? ""] : []),
    ...table.indexes.flatMap((index) => index.unique ? index.columns : []),
  ]);
  const usable = table.columns.filter((one) => !one.generated && !one.identity);
  const column =
    usable.find((one) =>
      !busy.has(one.name) && /^(text|character varying|boolean|integer)/.test(one.type)
    ) ??
      usable.find((one) => !busy.has(one.name)) ?? usable[0] ?? table.columns[0];
  const name = ident(column?.name ?? "id");
  return `update ${table.id} set ${name} = ${name} where ${equals(row, keyOf(row))}`;
}

/** Columns that say whose a row is. */
function ownership(world: World, row: Row): string[] {
  const each = classOf(world, row.table);
  if (!each || !isTenanted(each) || row.table === world.classes.tenants) return [];
  const column = each.hasColumn ? [each.column] : [];
  const keys = each.hasColumn
    // With the tenant go the parents: otherwise a key refuses what a policy should.
    ? foreignKeys(row.table).filter((key) =>
      key.columns.length > 1 && key.columns.includes(each.column)
    )
    : pathKeys(world, row.table);
  return unique([...column, ...keys.flatMap((key) => key.columns)]).filter((one) =>
    row.values.has(one)
  );
}

function moveSql(world: World, row: Row, to: Row): string | null {
  const columns = ownership(world, row).filter((one) => to.values.has(one));
  if (columns.length === 0) return null;
  const sets = columns.map((one) => `${ident(one)} = ${to.values.get(one)?.sql ?? "null"}`);
  return `update ${row.table.id} set ${sets.join(", ")} where ${equals(row, keyOf(row))}`;
}

function movedSql(world: World, row: Row, to: Row): string {
  const columns = ownership(world, row);
  const rest = keyOf(row).filter((one) => !columns.includes(one));
  const where = [equals(row, rest), equals(row, columns, to)].filter((one) => one !== "");
  return `select 1 from ${row.table.id} where ${where.join(" and ")}`;
}

/** Whether a row is there and its tenant's; a trigger may have made it somebody else's. */
function existsSql(world: World, row: Row): string {
  const columns = unique([...keyOf(row), ...ownership(world, row)]);
  return `select 1 from ${row.table.id} where ${equals(row, columns)}`;
}
