import type { Table } from "../adopt/catalog.ts";
import { isTenanted } from "../adopt/classify.ts";
import { ident, literal } from "../adopt/names.ts";
import { type Actor, planActors, sessionOf } from "../matrix/actors.ts";
import { noChoices } from "../matrix/learn.ts";
import type { Attempt, Cell } from "../matrix/plan.ts";
import { type Choices, rowKey } from "../matrix/row.ts";
import { SLOTS } from "../matrix/slots.ts";
import { type CellResult, judgeCell, type TableResult } from "../matrix/verdict.ts";
import { classOf, type World } from "../matrix/world.ts";
import { type MatrixLimits, runAttempts, setLimits } from "./matrix-run.ts";
import type { Sql, TransactionSql } from "./postgres.ts";

/** Whom an actor stands for among those who are there, and whose tenant it is. */
type Person = { choices: Choices; tenants: string[] };

/**
 * The SELECT cells alone, with rows and members that exist, in a read-only transaction: nothing is written, not even
 * to be rolled back. What no existing row can show is `unknown`.
 *
 * @example
 * const { results } = await readMatrix(sql, world);
 */
export async function readMatrix(
  sql: Sql,
  world: World,
  options: MatrixLimits & {
    only?: (table: Table) => boolean;
    actors?: (actor: Actor) => boolean;
    onTable?: (done: number, total: number) => void;
  },
): Promise<{ actors: Actor[]; results: TableResult[] }> {
  // A role that would have to be granted first cannot be: nothing is written.
  for (const fact of world.facts.roles) if (fact.mustGrant) fact.reachable = false;
  const actors = planActors(world).filter(options.actors ?? (() => true));
  const tables = world.classes.tables.filter((each) =>
    each.kind !== "global" && each.kind !== "ignored" && (options.only?.(each.table) ?? true)
  );
  const results: TableResult[] = [];
  await sql.begin("isolation level repeatable read read only", async (tx) => {
    await setLimits(tx, options);
    // What a policy would hide from this user is an error, not a smaller answer.
    await tx.unsafe("set local row_security = off");
    const people = new Map<Actor, Person | null>();
    for (const actor of actors) people.set(actor, await personOf(tx, world, actor));
    for (const [at, each] of tables.entries()) {
      options.onTable?.(at, tables.length);
      if (!isTenanted(each) || !each.hasColumn) {
        const problem = each.problem ??
          "its tenant is said by a parent: measure it without --read-only";
        results.push({ table: each.table.id, problem: `${each.table.id}: ${problem}`, cells: [] });
        continue;
      }
      results.push(await readTable(tx, world, people, each.table));
    }
  });
  return { actors, results };
}

/** A member with this role who is not a member of every tenant; for a back end, the first tenant. */
async function personOf(tx: TransactionSql, world: World, actor: Actor): Promise<Person | null> {
  const { tenants, tenantKey } = world.classes;
  const { membership, users } = world;
  const choices = noChoices();
  const set = (table: Table, column: string, n: number, value: string) =>
    choices.evaluated.set(`${table.id}.${column}.${n}`, value);
  const all = (await tx.unsafe(
    `select ${ident(tenantKey)}::text as id from ${tenants.id} order by 1 limit 2`,
  )).map((row) => String(row["id"]));
  let mine = all.slice(0, 1);
  const slot = actor.slot("a");
  if (actor.role === "authenticated" && actor.inside && membership) {
    const active = world.classes.config.membership?.active;
    const where = [
      ...(active === undefined ? [] : [`(${active})`]),
      ...(membership.role !== null && slot.role !== undefined
        ? [`${ident(membership.role)}::text = ${literal(slot.role)}`]
        : []),
    ];
    const user = ident(membership.user);
    const tenant = ident(membership.tenant);
    const [row] = await tx.unsafe(
      `select m.${user}::text as person, (select array_agg(distinct o.${tenant}::text) from ${membership.table.id} as o
         where o.${user} = m.${user}) as tenants
       from ${membership.table.id} as m ${where.length > 0 ? `where ${where.join(" and ")}` : ""}
       order by m.${user}::text limit 1`,
    );
    if (!row || !Array.isArray(row["tenants"])) return null;
    mine = row["tenants"].map(String);
    const [at, column] = users ? [users.table, users.key] : [membership.table, membership.user];
    set(at, column, slot.n, String(row["person"]));
  }
  if (!actor.inside) mine = [];
  const [other] = await tx.unsafe(
    `select ${ident(tenantKey)}::text as id from ${tenants.id} where ${
      ident(tenantKey)
    }::text <> all ($1) order by 1 limit 1`,
    [mine],
  );
  if (other) set(tenants, tenantKey, SLOTS.b.n, String(other["id"]));
  const [first] = mine;
  if (first !== undefined) set(tenants, tenantKey, SLOTS.a.n, first);
  return actor.inside && first === undefined ? null : { choices, tenants: mine };
}

async function readTable(
  tx: TransactionSql,
  world: World,
  people: ReadonlyMap<Actor, Person | null>,
  table: Table,
): Promise<TableResult> {
  const cells: CellResult[] = [];
  const planned: { cell: Cell; person: Person }[] = [];
  const unknown = (actor: Actor, target: "own" | "other", detail: string) =>
    cells.push({
      actor: actor.name,
      verb: "select",
      target,
      result: "unknown",
      leak: false,
      detail,
    });
  for (const [actor, person] of people) {
    for (const target of actor.inside ? ["own", "other"] as const : ["other"] as const) {
      if (person === null) {
        unknown(actor, target, "nobody like this is there: measure it without --read-only");
        continue;
      }
      const where = await rowOf(tx, world, table, { tenants: person.tenants, target });
      if (where === null) {
        // A tenant without rows of its own proves nothing and hides nothing.
        if (target === "other") unknown(actor, target, "no row of another tenant is there");
        continue;
      }
      const statement = `select 1 from ${table.id} where ${where}`;
      const attempt = (forged: boolean): Attempt => ({
        label: "",
        statement,
        verify: null,
        side: "a",
        forged,
        fresh: false,
        session: sessionOf(world, person.choices, actor, "a", { forged }),
      });
      const lies = target === "other" && ["anon", "authenticated"].includes(actor.role);
      planned.push({
        person,
        cell: {
          actor,
          verb: "select",
          target,
          attempts: [attempt(false), ...(lies ? [attempt(true)] : [])],
        },
      });
    }
  }
  const attempts = planned.filter((one) => one.cell.actor.problem === null).flatMap((one) =>
    one.cell.attempts
  );
  const answers = await runAttempts(tx, attempts);
  if (typeof answers === "string") {
    return { table: table.id, problem: `${table.id}: ${answers}`, cells: [] };
  }
  for (const { cell } of planned) {
    cells.push(judgeCell(cell, cell.attempts.flatMap((one) => answers.get(one) ?? [])));
  }
  return { table: table.id, problem: null, cells };
}

/** The condition that finds one existing row of these tenants, or of any other. */
async function rowOf(
  tx: TransactionSql,
  world: World,
  table: Table,
  wanted: { tenants: readonly string[]; target: "own" | "other" },
): Promise<string | null> {
  const column = classOf(world, table)?.column ?? "";
  const key = rowKey(table).length > 0 ? rowKey(table) : [column];
  const [row] = await tx.unsafe(
    `select ${key.map((one, at) => `${ident(one)}::text as k${at}`).join(", ")} from ${table.id}
     where ${ident(column)}::text ${wanted.target === "own" ? "= any" : "<> all"} ($1) limit 1`,
    [wanted.tenants],
  );
  return row
    ? key.map((one, at) => `${ident(one)} = ${literal(String(row[`k${at}`]))}`).join(" and ")
    : null;
}
