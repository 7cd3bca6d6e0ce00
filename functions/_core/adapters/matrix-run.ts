import * as z from "zod";
import { type Actor, contextSettings, isBackEnd, planActors } from "../matrix/actors.ts";
import { isAboutValues, learn, noChoices, type Refusal, remedy } from "../matrix/learn.ts";
import { type Attempt, insertSql, planTable, type TablePlan } from "../matrix/plan.ts";
import { type Choices, type Row, rowKey, SeedProblem } from "../matrix/row.ts";
import { type Answer, type CellResult, judgeTable, type TableResult } from "../matrix/verdict.ts";
import type { World } from "../matrix/world.ts";
import type { Table } from "../adopt/catalog.ts";
import { foreignKeys } from "../adopt/classify.ts";
import { ident, literal } from "../adopt/names.ts";
import { SLOTS } from "../matrix/slots.ts";
import { BulkheadError } from "../errors.ts";
import type { Sql, TransactionSql } from "./postgres.ts";

/**
 * One table inside the server: its rows, then every attempt, each undone before the next. It makes no object, so that
 * a rollback leaves nothing, and it answers through a setting of the transaction.
 */
const RUN = `do $bulkhead$
declare
    v_input jsonb := current_setting('bulkhead_matrix.input')::jsonb;
    v_step jsonb;
    v_setting record;
    v_answers jsonb := '[]';
    v_stage text;
    v_state text := 'done';
    v_rows bigint;
    v_verified bigint;
    v_sqlstate text;
    v_message text;
    v_constraint text;
    v_column text;
    v_schema text;
    v_table text;
    v_at integer := -1;
begin
    begin
        set constraints all deferred;
        for v_step in select value from jsonb_array_elements(v_input -> 'rows') loop
            v_at := v_at + 1;
            execute v_step #>> '{}';
        end loop;
        v_stage := 'constraints';
        set constraints all immediate;
        v_stage := 'present';
        v_at := -1;
        for v_step in select value from jsonb_array_elements(v_input -> 'present') loop
            v_at := v_at + 1;
            execute format('select count(*) from (%s) as found', v_step #>> '{}') into v_rows;
            if v_rows <> 1 then
                raise exception using errcode = 'BHABS', message = format('the row was written and %s rows are found', v_rows);
            end if;
        end loop;
    exception when others then
        get stacked diagnostics v_sqlstate = returned_sqlstate, v_message = message_text,
            v_constraint = constraint_name, v_column = column_name, v_schema = schema_name, v_table = table_name;
        perform set_config('bulkhead_matrix.output', jsonb_build_object('stage', coalesce(v_stage, 'rows'), 'at', v_at,
            'sqlstate', v_sqlstate, 'message', v_message, 'constraint', v_constraint, 'column', v_column,
            'table', case when v_table <> '' then format('%I.%I', v_schema, v_table) else '' end)::text, true);
        return;
    end;
    v_at := -1;
    for v_step in select value from jsonb_array_elements(v_input -> 'controls') loop
        v_at := v_at + 1;
        begin
            execute v_step ->> 'statement';
            execute format('select count(*) from (%s) as found', v_step ->> 'verify') into v_rows;
            raise exception using errcode = 'BHRBK';
        exception
            when sqlstate 'BHRBK' then
                if v_rows <> 1 then
                    perform set_config('bulkhead_matrix.output', jsonb_build_object('stage', 'controls', 'at', v_at,
                        'sqlstate', 'BHABS', 'message', 'the row was written and is not found', 'constraint', '',
                        'column', '', 'table', '')::text, true);
                    return;
                end if;
            when others then
                get stacked diagnostics v_sqlstate = returned_sqlstate, v_message = message_text,
                    v_constraint = constraint_name, v_column = column_name, v_schema = schema_name, v_table = table_name;
                perform set_config('bulkhead_matrix.output', jsonb_build_object('stage', 'controls', 'at', v_at,
                    'sqlstate', v_sqlstate, 'message', v_message, 'constraint', v_constraint, 'column', v_column,
                    'table', case when v_table <> '' then format('%I.%I', v_schema, v_table) else '' end)::text, true);
                return;
        end;
    end loop;
    for v_step in select value from jsonb_array_elements(v_input -> 'attempts') loop
        v_state := 'role';
        v_rows := 0;
        v_verified := 0;
        v_sqlstate := '';
        v_message := '';
        begin
            for v_setting in select key, value from jsonb_each_text(v_step -> 'settings') loop
                perform set_config(v_setting.key, v_setting.value, true);
            end loop;
            perform set_config('role', v_step ->> 'role', true);
            v_state := 'error';
            execute v_step ->> 'statement';
            get diagnostics v_rows = row_count;
            v_state := 'done';
            v_verified := v_rows;
            if v_rows > 0 and v_step ->> 'verify' is not null then
                perform set_config('role', 'none', true);
                execute format('select count(*) from (%s) as found', v_step ->> 'verify') into v_verified;
            end if;
            raise exception using errcode = 'BHRBK';
        exception
            when sqlstate 'BHRBK' then
                null;
            when others then
                get stacked diagnostics v_sqlstate = returned_sqlstate, v_message = message_text;
        end;
        v_answers := v_answers || jsonb_build_object('state', v_state, 'rows', v_rows, 'verified', v_verified,
            'sqlstate', v_sqlstate, 'message', v_message);
    end loop;
    perform set_config('bulkhead_matrix.output', jsonb_build_object('answers', v_answers)::text, true);
end
$bulkhead$`;

const failure = z.object({
  stage: z.enum(["rows", "constraints", "present", "controls"]),
  at: z.number(),
  sqlstate: z.string(),
  message: z.string(),
  constraint: z.string(),
  column: z.string(),
  table: z.string(),
});
const answer = z.object({
  state: z.enum(["done", "error", "role"]),
  rows: z.number(),
  verified: z.number(),
  sqlstate: z.string(),
  message: z.string(),
});
const output = z.union([z.object({ answers: z.array(answer) }), failure]);

/** Limits that keep a database in use unharmed. */
export type MatrixLimits = {
  /** Wait so long for a lock; default `500ms`. */
  lockTimeout?: string;
  /** One table may take so long; default `15s`. */
  statementTimeout?: string;
};

/** What was measured, and the plan with which it worked: the generated tests are written from both. */
export type Measured = { plan: TablePlan | null; result: TableResult };

/**
 * Measure tables in one transaction that is always rolled back. Calls `onTable` as each is done.
 *
 * @example
 * const { measured } = await measureMatrix(sql, world, { clone: true });
 */
export async function measureMatrix(
  sql: Sql,
  world: World,
  options: MatrixLimits & {
    /** Take an existing row as a model where no made-up row is accepted. */
    clone: boolean;
    only?: (table: Table) => boolean;
    actors?: (actor: Actor) => boolean;
    onTable?: (done: number, total: number) => void;
  },
): Promise<{
  actors: Actor[];
  measured: Measured[];
  results: TableResult[];
  choices: Choices;
}> {
  const actors = planActors(world).filter(options.actors ?? (() => true));
  const tables = world.classes.tables.filter((each) =>
    each.kind !== "global" && each.kind !== "ignored" && (options.only?.(each.table) ?? true)
  );
  const choices = noChoices();
  const measured: Measured[] = [];
  const rollback = new Error("rollback");
  try {
    await sql.begin(async (tx) => {
      await waitForTurn(tx);
      await setLimits(tx, options);
      for (const role of new Set(actors.map((actor) => actor.role))) {
        // A role that may be granted is granted for this transaction only.
        if (world.facts.roles.find((one) => one.name === role)?.mustGrant) {
          await borrow(tx, world, role);
        }
      }
      await evaluate(tx, world, choices);
      // Settings that were never set come first: once set they are empty, not absent, as long as the connection lives.
      const before = new Map<Table, CellResult[]>();
      const fresh = actors.some((one) => !one.inside && isBackEnd(world, one)) &&
        contextSettings(world).length > 0;
      const context = { world, choices, actors, clone: options.clone };
      for (const each of fresh ? tables : []) {
        if (each.kind === "unknown") continue;
        const first = await measureTable(tx, { ...context, fresh: true }, each.table);
        before.set(each.table, first.result.cells);
      }
      for (const [at, each] of tables.entries()) {
        options.onTable?.(at, tables.length);
        const one = each.kind === "unknown"
          ? nothing(each.table, `${each.table.id}: ${each.problem ?? "nobody classified it"}`)
          : await measureTable(tx, { ...context, fresh: false }, each.table);
        one.result.cells = one.result.cells.map((cell) =>
          worse(cell, before.get(each.table) ?? [])
        );
        measured.push(one);
      }
      throw rollback;
    });
  } catch (error) {
    if (error !== rollback) throw error;
  }
  return { actors, measured, choices, results: measured.map((one) => one.result) };
}

/** Two at once would wait for each other's rows: they have the same keys. */
async function waitForTurn(tx: TransactionSql): Promise<void> {
  await tx`set local lock_timeout = '60s'`;
  try {
    await tx`select pg_advisory_xact_lock(hashtextextended('bulkhead matrix', 0))`;
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || error.code !== "55P03") throw error;
    throw new BulkheadError("BH_MATRIX_BUSY", "Cannot measure: another run is on its way", {
      kind: "unknown",
      hint: "wait for the other run, then try again",
      cause: error,
    });
  }
}

/** What keeps others safe from the transaction, and the transaction from lasting. */
export async function setLimits(tx: TransactionSql, limits: MatrixLimits): Promise<void> {
  await tx.unsafe(
    `set local lock_timeout = ${literal(limits.lockTimeout ?? "500ms")};
     set local statement_timeout = ${literal(limits.statementTimeout ?? "15s")};
     set local idle_in_transaction_session_timeout = '60s';
     set local jit = off`,
  ).simple();
}

async function borrow(tx: TransactionSql, world: World, role: string): Promise<void> {
  try {
    await tx.savepoint((inner) => inner.unsafe(`grant ${ident(role)} to current_user`));
  } catch {
    const fact = world.facts.roles.find((one) => one.name === role);
    if (fact) fact.reachable = false;
  }
}

/** Expressions of bulkhead.toml for keys: sessions name tenants and people by their text. */
async function evaluate(tx: TransactionSql, world: World, choices: Choices): Promise<void> {
  const { tenants, tenantKey } = world.classes;
  const keys = [
    [tenants, tenantKey] as const,
    ...(world.users ? [[world.users.table, world.users.key] as const] : []),
  ];
  for (const [table, column] of keys) {
    const template = world.overrides[table.id]?.[column];
    if (template === undefined) continue;
    for (
      const n of [
        ...Object.values(SLOTS).map((slot) => slot.n),
        ...Array.from({ length: 40 }, (_, at) => 20 + at),
      ]
    ) {
      const [row] = await tx.unsafe(
        `select (${template.replaceAll("{n}", String(n))})::text as value`,
      );
      if (row?.["value"] !== null) {
        choices.evaluated.set(`${table.id}.${column}.${n}`, String(row?.["value"]));
      }
    }
  }
}

type Context = { world: World; choices: Choices; actors: Actor[]; clone: boolean; fresh: boolean };

/** A cell that was open on a fresh connection is open. */
function worse(cell: CellResult, before: readonly CellResult[]): CellResult {
  const twin = before.find((one) =>
    one.actor === cell.actor && one.verb === cell.verb && one.target === cell.target
  );
  if (!twin || cell.leak) return cell;
  return twin.leak || (twin.result === "unknown" && cell.result === "refused") ? twin : cell;
}

/** So often a row may be refused before the matrix gives up on a table. */
const TRIES = 150;

async function measureTable(tx: TransactionSql, context: Context, table: Table): Promise<Measured> {
  const { world, choices, actors } = context;
  const models = new Set<string>();
  let last = "";
  for (let attempt = 0; attempt < TRIES; attempt++) {
    let plan: TablePlan;
    try {
      plan = planTable(world, choices, actors, table);
    } catch (error) {
      if (error instanceof SeedProblem) return nothing(table, `${table.id}: ${error.message}`);
      throw error;
    }
    // Both passes judge the attempts of their own.
    for (const cell of plan.cells) {
      cell.attempts = cell.attempts.filter((one) => one.fresh === context.fresh);
    }
    plan.cells = plan.cells.filter((cell) => cell.attempts.length > 0);
    const ran = await runPlan(tx, choices, plan);
    if (typeof ran === "string") return nothing(table, ran);
    if (ran.refusal === null) return { plan, result: judgeTable(world, plan, ran.answers) };
    const { row, refusal } = ran;
    last = remedy(row, refusal);
    if (!isAboutValues(refusal)) break;
    if (learn(world, choices, row, refusal)) continue;
    const model = row.table;
    if (!context.clone || models.has(model.id) || !await takeModel(tx, world, choices, model)) {
      break;
    }
    models.add(model.id);
  }
  return nothing(table, last);
}

/** Values of an existing row for every column that tells no row, tenant or person from another. */
async function takeModel(
  tx: TransactionSql,
  world: World,
  choices: Choices,
  table: Table,
): Promise<boolean> {
  const busy = new Set([
    ...rowKey(table),
    ...foreignKeys(table).flatMap((key) => key.columns),
    ...table.indexes.flatMap((index) => index.unique ? index.columns : []),
    world.classes.byId.get(table.id)?.column,
    ...Object.keys(world.overrides[table.id] ?? {}),
  ]);
  const columns = table.columns.filter((one) =>
    !one.generated && !one.identity && !busy.has(one.name)
  );
  if (columns.length === 0) return false;
  const [row] = await tx.unsafe(
    `select ${
      columns.map((one) => `${ident(one.name)}::text as ${ident(one.name)}`).join(", ")
    } from ${table.id} limit 1`,
  );
  if (!row) return false;
  for (const { name } of columns) {
    const value: unknown = row[name];
    choices.cloned.set(`${table.id}.${name}`, value === null ? null : String(value));
  }
  return true;
}

type Ran =
  | { refusal: null; answers: Map<Attempt, Answer> }
  | { refusal: Refusal; row: Row };

/** Rows of one table with the same columns in one statement, in the order of the plan. */
function seedStatements(
  choices: Choices,
  rows: readonly Row[],
): { sql: string; row: Row }[] {
  const groups: Row[][] = [];
  for (const row of rows) {
    const group = groups.at(-1);
    const names = [...row.values.keys()].join();
    if (
      group?.[0] && group[0].table === row.table && [...group[0].values.keys()].join() === names
    ) group.push(row);
    else groups.push([row]);
  }
  return groups.flatMap((group) => {
    const [first] = group;
    if (!first) return [];
    const conflict = choices.included.has(`${first.table.id} on conflict`)
      ? "\non conflict do nothing"
      : "";
    return [{ sql: insertSql(group, [...first.values.keys()]) + conflict, row: first }];
  });
}

async function runPlan(
  tx: TransactionSql,
  choices: Choices,
  plan: TablePlan,
): Promise<Ran | string> {
  const statements = seedStatements(choices, plan.rows);
  const attempts = plan.cells.filter((cell) =>
    cell.actor.problem === null && cell.verb !== "truncate"
  )
    .flatMap((cell) => cell.attempts);
  const input = {
    rows: statements.map((one) => one.sql),
    present: plan.present,
    controls: plan.controls.map(({ row, verify }) => ({
      statement: insertSql([row], [...row.values.keys()]),
      verify,
    })),
    attempts: attempts.map(given),
  };
  const parsed = await execute(tx, input);
  if (typeof parsed === "string") return `${plan.table.id} could not be measured: ${parsed}`;
  if ("answers" in parsed) return { refusal: null, answers: paired(attempts, parsed.answers) };
  const at = Math.max(parsed.at, 0);
  const row = parsed.stage === "controls"
    ? plan.controls[at]?.row
    : parsed.stage === "present"
    ? plan.rows.findLast((one) => one.table === plan.table)
    : parsed.stage === "constraints"
    ? plan.rows.find((one) => one.table.id === parsed.table) ?? plan.rows.at(-1)
    : statements[at]?.row;
  if (!row) return `${plan.table.id} could not be measured: ${parsed.message}`;
  return { refusal: parsed, row };
}

/**
 * Attempts on rows that are there already.
 *
 * @example
 * const answers = await runAttempts(tx, attempts);
 */
export async function runAttempts(
  tx: TransactionSql,
  attempts: readonly Attempt[],
): Promise<Map<Attempt, Answer> | string> {
  const parsed = await execute(tx, {
    rows: [],
    present: [],
    controls: [],
    attempts: attempts.map(given),
  });
  if (typeof parsed === "string") return parsed;
  return "answers" in parsed ? paired(attempts, parsed.answers) : parsed.message;
}

function given({ session, statement, verify }: Attempt) {
  // Under `off` a policy that hides a row would be an error.
  const settings = { ...session.settings, row_security: "on" };
  return { role: session.role, settings, statement, verify };
}

function paired(attempts: readonly Attempt[], answers: readonly Answer[]): Map<Attempt, Answer> {
  return new Map(attempts.flatMap((one, at) => {
    const found = answers[at];
    return found ? [[one, found] as const] : [];
  }));
}

/** Run the block in a subtransaction and undo it; a sentence where the server ended it. */
async function execute(
  tx: TransactionSql,
  input: unknown,
): Promise<z.infer<typeof output> | string> {
  let text: unknown;
  const undo = new Error("undo");
  try {
    await tx.savepoint(async (inner) => {
      await inner`select set_config('bulkhead_matrix.input', ${JSON.stringify(input)}, true)`;
      await inner.unsafe(RUN).simple();
      const [row] = await inner`select current_setting('bulkhead_matrix.output') as output`;
      text = row?.["output"];
      throw undo;
    });
  } catch (error) {
    if (error !== undo) {
      const code = typeof error === "object" && error !== null && "code" in error
        ? String(error.code)
        : "";
      // The server ended this table only; the connection still stands.
      if (!/^[0-9A-Z]{5}$/.test(code) || code.startsWith("57P")) throw error;
      return `${code} ${error instanceof Error ? error.message : ""}`;
    }
  }
  return output.parse(JSON.parse(String(text)));
}

function nothing(table: Table, problem: string): Measured {
  return { plan: null, result: { table: table.id, problem, cells: [] } };
}
