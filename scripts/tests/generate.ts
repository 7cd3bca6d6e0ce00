import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { Command } from "commander";
import { measureMatrix } from "../../functions/_core/adapters/matrix-run.ts";
import { readWorld } from "../../functions/_core/adapters/matrix-world.ts";
import { BulkheadError, EXIT, messageOf } from "../../functions/_core/errors.ts";
import { marked, ownerOf } from "../../functions/_core/matrix/generated.ts";
import { renderTest, renderUnknown, type TestFile } from "../../functions/_core/matrix/pgtap.ts";
import { planTable } from "../../functions/_core/matrix/plan.ts";
import { createReport, type MatrixReport } from "../../functions/_core/matrix/verdict.ts";
import { readConfig } from "../cli/config.ts";
import { openDatabase } from "../cli/database.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";
import { onlyTables } from "../cli/tables.ts";
import { writeWhole } from "../cli/write-whole.ts";

type Options = CommonOptions & {
  config: string;
  out: string;
  table?: string[];
  dryRun?: boolean;
  force?: boolean;
};

/** What happens to a file. */
type Action = "new" | "changed" | "same" | "edited" | "foreign" | "stale";
type Written = {
  path: string;
  action: Action;
  table: string;
  tests: number;
  problem: string | null;
};

/**
 * `bulkhead tests generate`: pgTAP files for the user's own schema, for `supabase test db`.
 *
 * @example
 * DATABASE_URL=… node --import tsx scripts/tests/generate.ts generate --dry-run
 */
export function command(): Command {
  const generate = commonOptions(new Command("generate"))
    .description(
      "Write a pgTAP file for each table of tenants: every role and verb, own tenant and another, on rows of its own.",
    )
    .option("--config <file>", "the choices, and values for rows", "bulkhead.toml")
    .option("--out <folder>", "where the files go", "supabase/tests/bulkhead")
    .option("--table <name...>", "only these tables")
    .option("--dry-run", "write nothing, print what would be written")
    .option("--force", "write over files that were edited by hand")
    .addHelpText(
      "after",
      "\nThe database is read and tried as by bulkhead matrix, in a transaction that is rolled back. The files need" +
        "\nno rows and no kit to be there: supabase test db, or pg_prove, runs them." +
        "\nExits 0 when every table has its tests, 3 when no row could be made for one (its file fails and says why).",
    )
    .action(run);
  return new Command("tests").description("Tests of the boundary of your own schema.").addCommand(
    generate,
  );
}

async function run(options: Options): Promise<void> {
  const given = await readConfig(options.config);
  const sql = await openDatabase(options.databaseEnv);
  try {
    const { world } = await readWorld(sql, given);
    const { actors, choices, results } = await measureMatrix(sql, world, {
      // Rows of the database at hand have no place in files.
      clone: false,
      ...(options.table ? { only: onlyTables(world, options.table) } : {}),
    });
    const report = createReport(world, actors, results, "seeded");
    const files = results.map((result) => {
      const table = world.tables.get(result.table);
      if (!table) throw new Error(`${result.table} is gone`);
      return result.problem === null
        ? renderTest(world, choices, planTable(world, choices, actors, table), result)
        : renderUnknown(table, result.problem);
    });
    const written = await writeTests(distinct(files), options);
    if (options.json) {
      process.stdout.write(`${JSON.stringify({ folder: options.out, files: written }, null, 2)}\n`);
    } else process.stdout.write(render(written, options, report));
    process.exitCode = files.some((file) =>
        file.problem !== null
      ) || actors.some((one) => one.problem)
      ? EXIT.unknown
      : EXIT.ok;
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** Two tables whose names look alike get two files. */
function distinct(files: readonly TestFile[]): TestFile[] {
  const taken = new Map<string, number>();
  return files.map((file) => {
    const count = (taken.get(file.path) ?? 0) + 1;
    taken.set(file.path, count);
    return count === 1
      ? file
      : { ...file, path: file.path.replace(".test.sql", `-${count}.test.sql`) };
  });
}

async function writeTests(files: readonly TestFile[], options: Options): Promise<Written[]> {
  const written: Written[] = [];
  for (const file of files) {
    const path = join(options.out, file.path);
    const text = await marked(file.body);
    const present = await readText(path);
    const owner = present === null ? null : await ownerOf(present);
    const action: Action = present === null
      ? "new"
      : present.replaceAll("\r\n", "\n") === text
      ? "same"
      : owner === "ours"
      ? "changed"
      : owner === "edited" && options.force
      ? "changed"
      : owner === "edited"
      ? "edited"
      : "foreign";
    if (!options.dryRun && (action === "new" || action === "changed")) await replace(path, text);
    written.push({ path, action, table: file.table, tests: file.tests, problem: file.problem });
  }
  if (!options.table) written.push(...await stale(files, options));
  return written;
}

/** Files of tables that are gone: somebody else removes them. */
async function stale(files: readonly TestFile[], options: Options): Promise<Written[]> {
  const names = new Set(files.map((file) => file.path));
  const found: Written[] = [];
  for (const name of (await entries(options.out)).sort()) {
    if (!name.endsWith(".test.sql") || names.has(name)) continue;
    const path = join(options.out, name);
    if (await ownerOf(await readText(path) ?? "") === "foreign") continue;
    found.push({ path, action: "stale", table: "", tests: 0, problem: null });
  }
  return found;
}

async function entries(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}

async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw unwritable(path, error);
  }
}

async function replace(path: string, text: string): Promise<void> {
  try {
    await mkdir(join(path, ".."), { recursive: true });
    await writeWhole(path, text);
  } catch (error) {
    throw unwritable(path, error);
  }
}

function unwritable(path: string, error: unknown): BulkheadError {
  return new BulkheadError(
    "BH_TESTS_WRITE",
    `Cannot write "${path}": ${messageOf(error)}`,
    { kind: "usage", hint: "name a folder that you may write with --out", cause: error },
  );
}

const SAYS: Record<Action, string> = {
  new: "new",
  changed: "changed",
  same: "unchanged",
  edited: "edited by hand, left alone (--force writes over it)",
  foreign: "not ours, left alone",
  stale: "its table is gone: remove it",
};

function render(written: readonly Written[], options: Options, report: MatrixReport): string {
  const count = written.reduce((sum, one) => sum + one.tests, 0);
  const lines = written.map((one) =>
    `${one.path}  ${SAYS[one.action]}${one.problem === null ? "" : ", FAILS"}`
  );
  lines.push(
    "",
    `${count} tests for ${written.filter((one) => one.table !== "").length} tables${
      options.dryRun ? ", nothing written" : ""
    }`,
  );
  for (const one of written) if (one.problem !== null) lines.push(`? ${one.problem}`);
  for (const actor of report.actors) {
    if (actor.problem !== null) lines.push(`? ${actor.name} has no tests: ${actor.problem}`);
  }
  if (report.counts.leaks > 0) {
    lines.push(
      `${report.counts.leaks} cells are open today: their tests fail until they are closed (bulkhead matrix)`,
    );
  }
  return `${lines.join("\n")}\n`;
}

if (isMain(import.meta.url)) await runCli(command());
