import process from "node:process";
import { Command, InvalidArgumentError } from "commander";
import {
  assignQuarantine,
  listQuarantine,
  type QuarantineChoice,
  type QuarantinedRow,
  restoreQuarantine,
} from "../../functions/_core/adapters/quarantine.ts";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { openDatabase } from "../cli/database.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";
import type { Sql } from "../../functions/_core/adapters/postgres.ts";

type Options = CommonOptions & {
  table?: string;
  all?: boolean;
  tenant?: string;
  set?: Record<string, string | null>;
  apply?: boolean;
};

/**
 * `bulkhead recover list | assign | restore`: bring the rows home that adoption could not place.
 *
 * @example
 * node --import tsx scripts/adopt/recover.ts assign 7 8 --tenant <id> --apply
 */
export function command(): Command {
  const recover = new Command("recover").description(
    "Bring home the rows that adoption moved into quarantine because nothing said whose they are.",
  );
  commonOptions(recover.command("list"))
    .description("show the rows that wait, and why")
    .option("--table <name>", 'only rows of one table, such as "public.units"')
    .option("--all", "rows that went home already, too")
    .action((options: Options) => withDatabase(options, (sql) => list(sql, options)));
  commonOptions(recover.command("assign"))
    .description("say which tenant rows belong to; shows what it would do unless told to do it")
    .argument("[ids...]", "numbers of rows, or ranges such as 10-20", ids)
    .option("--table <name>", "every waiting row of one table")
    .requiredOption("--tenant <id>", "the tenant")
    .option("--set <column=value>", "correct a column; column= makes it null", setting)
    .option("--apply", "do it")
    .action((numbers: string[], options: Options) =>
      withDatabase(options, (sql) => assign(sql, numbers, options))
    );
  commonOptions(recover.command("restore"))
    .description("put rows back that have a tenant; shows what it would do unless told to do it")
    .argument(
      "[ids...]",
      "numbers of rows, or ranges such as 10-20; all that have a tenant by default",
      ids,
    )
    .option("--table <name>", "every waiting row of one table")
    .option("--apply", "do it")
    .action((numbers: string[], options: Options) =>
      withDatabase(options, (sql) => restore(sql, numbers, options))
    );
  return recover;
}

async function withDatabase(options: Options, work: (sql: Sql) => Promise<void>): Promise<void> {
  const sql = await openDatabase(options.databaseEnv);
  try {
    await work(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

async function list(sql: Sql, options: Options): Promise<void> {
  const rows = await listQuarantine(sql, {
    ...choiceOf([], options),
    restored: options.all === true,
  });
  print(options, { rows }, rows.length === 0 ? "No row waits in quarantine\n" : lines(rows));
}

async function assign(sql: Sql, numbers: string[], options: Options): Promise<void> {
  if (numbers.length === 0 && options.table === undefined) {
    throw new BulkheadError("BH_USAGE", "Cannot assign: no row is named", {
      kind: "usage",
      hint: "name numbers of bulkhead recover list, or --table",
    });
  }
  const rows = await assignQuarantine(sql, choiceOf(numbers, options), {
    tenant: options.tenant ?? "",
    changes: options.set ?? {},
    apply: options.apply === true,
  });
  print(
    options,
    { applied: options.apply === true, rows },
    `${lines(rows)}${
      ending(
        options,
        `${rows.length} rows get the tenant ${options.tenant}`,
        "bulkhead recover restore brings them home",
      )
    }`,
  );
}

async function restore(sql: Sql, numbers: string[], options: Options): Promise<void> {
  const result = await restoreQuarantine(sql, choiceOf(numbers, options), {
    apply: options.apply === true,
  });
  const waiting = result.waiting.length === 0
    ? ""
    : `${result.waiting.length} rows wait for a tenant: bulkhead recover assign <numbers> --tenant <id>\n`;
  print(
    options,
    { applied: options.apply === true, ...result },
    `${lines(result.restored)}${waiting}${
      ending(options, `${result.restored.length} rows go home`, "the ledger has each of them")
    }`,
  );
}

function choiceOf(numbers: readonly string[], options: Options): QuarantineChoice {
  return {
    ...(numbers.length > 0 ? { ids: numbers } : {}),
    ...(options.table ? { table: options.table } : {}),
  };
}

function print(options: Options, json: unknown, text: string): void {
  process.stdout.write(options.json ? `${JSON.stringify(json, null, 2)}\n` : text);
}

function lines(rows: readonly QuarantinedRow[]): string {
  return rows.map((row) => {
    const key = Object.entries(row.key).map(([name, value]) => `${name} ${value}`).join(", ");
    const tenant = row.restoredAt
      ? `home since ${row.restoredAt}`
      : row.assignedTenant
      ? `assigned to ${row.assignedTenant}`
      : row.ownTenant
      ? `names tenant ${row.ownTenant}`
      : "no tenant";
    return `${
      row.id.padStart(6)
    }  ${row.relation}  ${key}\n        ${row.reason}\n        ${tenant}\n`;
  }).join("");
}

function ending(options: Options, what: string, next: string): string {
  return options.apply === true
    ? `${what}: done; ${next}\n`
    : `${what}: nothing was changed, add --apply to do it\n`;
}

function ids(text: string, before: string[] = []): string[] {
  const range = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(text);
  const [first, last] = [Number(range?.[1]), Number(range?.[2] ?? range?.[1])];
  if (!range || last < first || last - first > 100_000) {
    throw new InvalidArgumentError("write 7 or 7-12");
  }
  return [...before, ...Array.from({ length: last - first + 1 }, (_, at) => String(first + at))];
}

function setting(
  text: string,
  before: Record<string, string | null> = {},
): Record<string, string | null> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("write column=value");
  const value = text.slice(at + 1);
  return { ...before, [text.slice(0, at)]: value === "" ? null : value };
}

if (isMain(import.meta.url)) await runCli(command());
