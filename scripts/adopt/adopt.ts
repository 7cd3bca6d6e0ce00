import { mkdir, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { Command, Option } from "commander";
import * as z from "zod";
import { countWrongRows } from "../../functions/_core/adapters/adopt-source.ts";
import { readCatalog } from "../../functions/_core/adapters/catalog.ts";
import { judgePolicies } from "../../functions/_core/adapters/policy-parser.ts";
import type { Catalog } from "../../functions/_core/adopt/catalog.ts";
import { type Classification, classify } from "../../functions/_core/adopt/classify.ts";
import type { Config } from "../../functions/_core/adopt/config.ts";
import type { DrizzleFolder } from "../../functions/_core/adopt/drizzle.ts";
import { type Format, type PlannedFile, renderFiles } from "../../functions/_core/adopt/files.ts";
import { schemaFindings } from "../../functions/_core/adopt/findings.ts";
import { planAdoption } from "../../functions/_core/adopt/plan.ts";
import { type AdoptReport, renderAdopt, reportTables } from "../../functions/_core/adopt/report.ts";
import { starter, suggestConfig } from "../../functions/_core/adopt/starter.ts";
import { advise } from "../../functions/_core/adopt/policy-verdict.ts";
import { BulkheadError, EXIT } from "../../functions/_core/errors.ts";
import { readConfig } from "../cli/config.ts";
import { limitLocks, openDatabase } from "../cli/database.ts";
import { readText } from "../cli/read-text.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";

type Options = CommonOptions & {
  config: string;
  out?: string;
  format: Format;
  writeConfig?: boolean;
};

/**
 * `bulkhead adopt`: read a database that somebody else wrote, say what is wrong, write the migrations. It changes
 * nothing itself.
 *
 * @example
 * node --import tsx scripts/adopt/adopt.ts --out supabase/migrations
 */
export function command(): Command {
  return commonOptions(new Command("adopt"))
    .description(
      "Read an existing database, say whose rows are where and what is wrong, and write the migrations that seal it. Changes nothing itself.",
    )
    .option("--config <file>", "the choices", "bulkhead.toml")
    .option("--write-config", "write a commented starter of that file, then stop")
    .option("--out <folder>", "write the migrations there")
    .addOption(
      new Option("--format <name>", "who applies them").choices(["supabase", "sql", "drizzle"])
        .default("supabase"),
    )
    .addHelpText(
      "after",
      "\nExits 0 when nothing is left to do, 1 when something is wrong or planned, 3 while a table is unclassified.",
    )
    .action(run);
}

async function run(options: Options): Promise<void> {
  const given = await readConfig(options.config);
  if (options.writeConfig && given !== null) {
    throw new BulkheadError(
      "BH_ADOPT_CONFIG",
      `Cannot write "${options.config}": it is there already`,
      {
        kind: "usage",
        hint: "choose another file with --config, or remove it",
      },
    );
  }
  const sql = await openDatabase(options.databaseEnv);
  try {
    await limitLocks(sql);
    const catalog = await readCatalog(sql);
    const config = given ?? suggestConfig(catalog);
    if (config === null) throw noTenants(options.config);
    const verdicts = await judgePolicies(catalog, config);
    if (options.writeConfig) {
      await writeFile(options.config, starter(catalog, config, advise(verdicts)), { flag: "wx" });
      process.stderr.write(`wrote ${options.config}\n`);
      return;
    }
    const world = classify(catalog, config);
    if (typeof world === "string") {
      throw new BulkheadError("BH_ADOPT_CONFIG", `Cannot adopt: ${world}`, {
        kind: "usage",
        hint: `correct [tenants] in ${options.config}`,
      });
    }
    if (options.out !== undefined) {
      return await write(world, given, { ...options, out: options.out });
    }
    const report: AdoptReport = {
      database: catalog.database,
      tables: reportTables(world),
      findings: [...schemaFindings(world), ...await countWrongRows(sql, world)],
      policies: verdicts,
      steps: [],
      blocked: world.tables.filter((each) => each.problem !== null).map((each) => each.table.id),
    };
    if (report.blocked.length === 0) {
      report.steps = planAdoption(world, { commits: options.format !== "drizzle" })
        .map(({ phase, title, lock, alone }) => ({ phase, title, lock, alone }));
    }
    process.stdout.write(
      options.json ? `${JSON.stringify(report, null, 2)}\n` : renderAdopt(report),
    );
    if (given === null) {
      process.stderr.write(
        `These are guesses: write ${options.config} with --write-config and correct it\n`,
      );
    }
    process.exitCode = report.blocked.length > 0
      ? EXIT.unknown
      : report.steps.length > 0
      ? EXIT.red
      : EXIT.ok;
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** Write the files; what is there already is never written over. */
async function write(
  world: Classification,
  given: Config | null,
  options: Options & { out: string },
): Promise<void> {
  if (given === null) {
    throw new BulkheadError(
      "BH_ADOPT_CONFIG",
      `Cannot write migrations: "${options.config}" does not exist`,
      {
        kind: "usage",
        hint: "bulkhead adopt --write-config writes a starter; read it before you go on",
      },
    );
  }
  const steps = planAdoption(world, { commits: options.format !== "drizzle" });
  const drizzle = options.format === "drizzle" ? await readDrizzle(options.out) : {};
  const files = renderFiles(steps, {
    format: options.format,
    lockTimeout: given.lock_timeout,
    now: new Date(),
    drizzle,
  });
  await writeFiles(options.out, files);
  if (options.json) {
    process.stdout.write(
      `${JSON.stringify({ folder: options.out, files: files.map((one) => one.path) }, null, 2)}\n`,
    );
  } else {process.stdout.write(
      files.length === 0
        ? "The plan is empty: there is nothing left to do\n"
        : `${steps.length} steps in ${options.out}, the way back in ${join(options.out, "down")}\n`,
    );}
}

async function writeFiles(folder: string, files: readonly PlannedFile[]): Promise<void> {
  for (const file of files) {
    const path = join(folder, file.path);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, file.content, { flag: file.path === "meta/_journal.json" ? "w" : "wx" });
  }
}

const journalSchema = z.looseObject({
  version: z.string(),
  dialect: z.string(),
  entries: z.array(
    z.object({
      idx: z.number(),
      version: z.string(),
      when: z.number(),
      tag: z.string(),
      breakpoints: z.boolean(),
    }),
  ),
});

/** drizzle-kit takes the snapshot whose name sorts last for the present one. */
async function readDrizzle(folder: string): Promise<DrizzleFolder> {
  const meta = join(folder, "meta");
  const journal = await readJson(join(meta, "_journal.json"), journalSchema);
  if (journal === undefined) return {};
  const last = (await readdir(meta)).filter((one) => !one.startsWith("_")).sort().at(-1);
  const snapshot = last === undefined
    ? undefined
    : await readJson(join(meta, last), z.looseObject({ id: z.string() }));
  return { journal, ...(snapshot ? { snapshot } : {}) };
}

async function readJson<T>(path: string, shape: z.ZodType<T>): Promise<T | undefined> {
  const text = await readText(path);
  if (text === null) return undefined;
  let cause: unknown;
  try {
    const parsed = shape.safeParse(JSON.parse(text));
    if (parsed.success) return parsed.data;
    cause = parsed.error;
  } catch (error) {
    cause = error;
  }
  throw new BulkheadError(
    "BH_ADOPT_JOURNAL",
    `Cannot extend "${path}": it is none of drizzle-kit's`,
    { kind: "usage", hint: "pass drizzle's own output folder as --out", cause },
  );
}

function noTenants(file: string): BulkheadError {
  return new BulkheadError(
    "BH_ADOPT_CONFIG",
    "Cannot find the tenants table: none has one of the usual names",
    {
      kind: "usage",
      hint:
        `write ${file} with: version = 1 and [tenants] table = "public.your_table" column = "tenant_id"`,
    },
  );
}

/** Used by tests and by other commands that need the catalog under a configuration. */
export function worldOf(catalog: Catalog, config: Config): Classification {
  const world = classify(catalog, config);
  if (typeof world === "string") {
    throw new BulkheadError("BH_ADOPT_CONFIG", `Cannot adopt: ${world}`, {
      kind: "usage",
      hint: "correct [tenants] in bulkhead.toml",
    });
  }
  return world;
}

if (isMain(import.meta.url)) await runCli(command());
