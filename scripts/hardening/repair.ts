import process from "node:process";
import { Command } from "commander";
import * as z from "zod";
import type { Sql } from "../../functions/_core/adapters/postgres.ts";
import { EXIT, messageOf } from "../../functions/_core/errors.ts";
import { openDatabase } from "../cli/database.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";

type Options = CommonOptions & { apply?: boolean; category?: string };

const repair = z.object({
  name: z.string(),
  subject: z.string(),
  detail: z.string().nullable(),
  statement: z.string(),
});
type Repair = z.infer<typeof repair>;
type Outcome = Repair & { state: "planned" | "applied" | "failed"; error?: string };

/** One remedy uncovers the next, at most so often. */
const STEPS = 500;

/**
 * `bulkhead repair`: show the statements that put the declared state back, `--apply` runs them, each in a transaction
 * of its own that also records it. What needs a decision is left to a person.
 *
 * @example
 * DATABASE_URL=… node --import tsx scripts/hardening/repair.ts --apply
 */
export function command(): Command {
  return commonOptions(new Command("repair"))
    .description("Put the declared state back: shows the statements, --apply runs them.")
    .option("--apply", "run the statements")
    .option("--category <name>", "only boundary, trail, guard or schedule")
    .addHelpText(
      "after",
      "\nLeft to a person: tables nobody classified, lost columns and partitions, failed jobs." +
        "\nExits 0 when nothing is to repair (any more), 1 when something is.",
    )
    .action(run);
}

async function run(options: Options): Promise<void> {
  const sql = await openDatabase(options.databaseEnv);
  try {
    const outcomes = options.apply
      ? await apply(sql, options.category ?? null)
      : (await plan(sql, options.category ?? null))
        .map((each): Outcome => ({ ...each, state: "planned" }));
    if (options.json) process.stdout.write(`${JSON.stringify({ repairs: outcomes }, null, 2)}\n`);
    else process.stdout.write(render(outcomes, options.apply === true));
    const isDone = outcomes.every(({ state }) => state === "applied");
    process.exitCode = isDone ? EXIT.ok : EXIT.red;
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** What is to be done now, causes before symptoms. */
async function plan(sql: Sql, category: string | null): Promise<Repair[]> {
  const rows =
    await sql`select name, subject, detail, statement from bulkhead.repairs(${category})`;
  return z.array(repair).parse(rows);
}

/** Run one statement, look again, until nothing is left or nothing helps. */
async function apply(sql: Sql, category: string | null): Promise<Outcome[]> {
  const outcomes = new Map<string, Outcome>();
  for (let step = 0; step < STEPS; step++) {
    const next = (await plan(sql, category)).find((each) => !outcomes.has(keyOf(each)));
    if (next === undefined) break;
    outcomes.set(keyOf(next), await execute(sql, next));
  }
  // A statement that ran and left its finding has not helped.
  for (const each of await plan(sql, category)) {
    const outcome = outcomes.get(keyOf(each));
    if (outcome?.state === "applied") {
      outcomes.set(keyOf(each), { ...each, state: "failed", error: "it ran and changed nothing" });
    }
  }
  return [...outcomes.values()];
}

async function execute(sql: Sql, step: Repair): Promise<Outcome> {
  try {
    await sql.begin(async (tx) => {
      await tx`set local lock_timeout = '5s'`;
      await tx.unsafe(step.statement).simple();
      await tx`
        select bulkhead.log_change('repair', ${`${step.name} ${step.subject}`}, null,
          ${sql.json({ statement: step.statement, detail: step.detail })})
      `;
    });
    return { ...step, state: "applied" };
  } catch (error) {
    return {
      ...step,
      state: "failed",
      error: messageOf(error),
    };
  }
}

const keyOf = ({ name, subject, statement }: Repair) => [name, subject, statement].join("\u001f");

function render(outcomes: Outcome[], isApplied: boolean): string {
  if (outcomes.length === 0) return "Nothing to repair: the declared state stands\n";
  const lines = outcomes.flatMap(({ name, subject, detail, statement, state, error }) => [
    `-- ${name} ${subject}${state === "planned" ? "" : `: ${state}`}`,
    ...(detail ? [`-- ${detail.replace(/\s+/g, " ")}`] : []),
    ...(error ? [`-- ${error.replace(/\s+/g, " ")}`] : []),
    statement.trim(),
    "",
  ]);
  const failed = outcomes.filter(({ state }) => state === "failed").length;
  lines.push(
    isApplied
      ? `-- ${outcomes.length - failed} applied, ${failed} failed`
      : `-- ${outcomes.length} to run: bulkhead repair --apply`,
  );
  // Control characters of a hostile name must not reach the terminal.
  // deno-lint-ignore no-control-regex
  return `${lines.join("\n").replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "")}\n`;
}

if (isMain(import.meta.url)) await runCli(command());
