import type { Actor } from "./actors.ts";
import type { Attempt, Cell, TablePlan, Verb } from "./plan.ts";
import type { World } from "./world.ts";

/** What the database answered to one attempt. */
export type Answer = {
  /** `done`, `error`, or `role`: the role could not be taken on. */
  state: "done" | "error" | "role";
  rows: number;
  verified: number;
  sqlstate: string;
  message: string;
};

/** `bypass`: read past the policies by a role that the platform made so. */
export type Result = "allowed" | "refused" | "bypass" | "unknown";

export type CellResult = {
  actor: string;
  verb: Verb;
  target: "own" | "other";
  result: Result;
  /** Another tenant's row was readable or writable, and nothing makes that so by design. */
  leak: boolean;
  /** What the database said, or why it is not known. */
  detail: string | null;
};

export type TableResult = {
  table: string;
  /** Why nothing was measured; its cells are then empty, and unknown. */
  problem: string | null;
  cells: CellResult[];
};

/** What `bulkhead matrix --json` prints. */
export type MatrixReport = {
  version: 1;
  database: string;
  server: string;
  mode: "seeded" | "read-only";
  actors: { name: string; title: string; role: string; problem: string | null }[];
  tables: TableResult[];
  counts: { tables: number; cells: number; leaks: number; unknown: number };
  verdict: "green" | "red" | "unknown";
};

/** Not an answer of the boundary: a lock, a limit, a fault, a name that does not exist. */
const NO_ANSWER = /^(08|40|53|54|55|57|58|F0|XX)|^42(P01|883|703|704|601)$|^3F000$/;

/**
 * What the answers to a cell's attempts mean. One that got through opens the cell; one without an answer leaves it
 * unknown, never closed.
 *
 * @example
 * judgeCell(cell, answers).leak;
 */
export function judgeCell(cell: Cell, answers: readonly Answer[]): CellResult {
  const { actor, verb, target } = cell;
  const base = { actor: actor.name, verb, target, leak: false };
  if (actor.problem !== null) return { ...base, result: "unknown", detail: actor.problem };
  const open = answers.findIndex((one) => one.state === "done" && one.rows > 0 && one.verified > 0);
  if (open >= 0) {
    if (target === "own") return { ...base, result: "allowed", detail: null };
    if (actor.bypasses && verb === "select") {
      return { ...base, result: "bypass", detail: `${actor.role} has BYPASSRLS` };
    }
    const how = cell.attempts[open]?.forged ? "with a forged x-tenant-id or user_metadata" : null;
    return { ...base, result: "allowed", leak: true, detail: how };
  }
  const lost = answers.find((one) =>
    one.state === "role" || (one.state === "error" && NO_ANSWER.test(one.sqlstate))
  );
  if (lost || answers.length === 0) {
    return {
      ...base,
      result: "unknown",
      detail: lost ? `${lost.sqlstate} ${lost.message}` : "not tried",
    };
  }
  const error = answers.find((one) => one.state === "error");
  return {
    ...base,
    result: "refused",
    detail: error ? `${error.sqlstate} ${error.message}` : null,
  };
}

/** TRUNCATE is not tried on a database in use: it would lock the table against everybody. Its grants say it. */
function judgeTruncate(world: World, plan: TablePlan, actor: Actor): CellResult {
  const base = { actor: actor.name, verb: "truncate" as const, target: "other" as const };
  if (actor.problem !== null) {
    return { ...base, result: "unknown", leak: false, detail: actor.problem };
  }
  const held = world.facts.truncate.find((one) =>
    one.id === plan.table.id && one.role === actor.role
  );
  if (!held || held.guarded) {
    const detail = held ? "refused by bulkhead_truncate; not tried" : "no privilege";
    return { ...base, result: "refused", leak: false, detail };
  }
  return { ...base, result: "allowed", leak: true, detail: "holds TRUNCATE; not tried" };
}

/** Cells of one table from the answers to all their attempts, in order. */
export function judgeTable(
  world: World,
  plan: TablePlan,
  answers: ReadonlyMap<Attempt, Answer>,
): TableResult {
  const cells = plan.cells.map((cell) =>
    cell.verb === "truncate"
      ? judgeTruncate(world, plan, cell.actor)
      : judgeCell(cell, cell.attempts.flatMap((one) => answers.get(one) ?? []))
  );
  return { table: plan.table.id, problem: null, cells };
}

/**
 * The whole report. An actor that policies speak of and that nevertheless saw no row of its own in any table was
 * probably not recognised as a member: then its refusals prove nothing.
 */
export function createReport(
  world: World,
  actors: readonly Actor[],
  tables: TableResult[],
  mode: MatrixReport["mode"],
): MatrixReport {
  for (const actor of actors) {
    if (!actor.inside || actor.problem !== null || actor.bypasses) continue;
    const own = tables.flatMap((one) => one.cells).filter((cell) =>
      cell.actor === actor.name && cell.verb === "select" && cell.target === "own"
    );
    const named = tables.filter((one) =>
      one.cells.length > 0 &&
      world.facts.readable.some((fact) => fact.id === one.table && fact.role === actor.role) &&
      world.tables.get(one.table)?.policies.some((policy) =>
        policy.permissive && (policy.roles.includes(actor.role) || policy.roles.includes("public"))
      )
    );
    if (named.length === 0 || own.length === 0 || own.some((cell) => cell.result !== "refused")) {
      continue;
    }
    const policed = new Set(named.map((one) => one.table));
    for (const table of tables.filter((one) => policed.has(one.table))) {
      for (const cell of table.cells) {
        if (cell.actor !== actor.name || cell.target !== "other" || cell.result !== "refused") {
          continue;
        }
        if (cell.verb === "truncate") continue;
        cell.result = "unknown";
        cell.detail = "it saw no row of its own either: is [membership] of bulkhead.toml right?";
      }
    }
  }
  const cells = tables.flatMap((one) => one.cells);
  const leaks = cells.filter((cell) => cell.leak).length;
  const unknown = cells.filter((cell) => cell.result === "unknown").length +
    tables.filter((one) => one.problem !== null).length;
  return {
    version: 1,
    database: world.catalog.database,
    server: world.facts.server,
    mode,
    actors: actors.map(({ name, title, role, problem }) => ({ name, title, role, problem })),
    tables,
    counts: { tables: tables.length, cells: cells.length, leaks, unknown },
    verdict: leaks > 0 ? "red" : unknown > 0 || tables.length === 0 ? "unknown" : "green",
  };
}
