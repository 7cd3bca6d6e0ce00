import process from "node:process";
import { Command } from "commander";
import { printSnapshot } from "../../functions/_core/diff/snapshot.ts";
import { BulkheadError, messageOf } from "../../functions/_core/errors.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";
import { writeWhole } from "../cli/write-whole.ts";
import { readSide } from "./side.ts";

type Options = CommonOptions & { migrations?: string; out?: string };

/**
 * `bulkhead snapshot`: write the tenant boundary of a database or of a folder of migrations as one file to commit.
 *
 * @example
 * node --import tsx scripts/diff/snapshot.ts --out bulkhead.snapshot.json
 */
export function command(): Command {
  return commonOptions(new Command("snapshot"))
    .description(
      "Write the tenant boundary as one JSON file: policies, rights, keys, triggers, functions; no row and no secret. The same database gives the same file.",
    )
    .argument("[side]", "env:NAME or a folder of migrations (default: the database)")
    .option("--migrations <folder>", "a folder of migrations instead of a database")
    .option("--out <file>", "write it there instead of to standard output")
    .action(run);
}

async function run(given: string | undefined, options: Options): Promise<void> {
  if (given !== undefined && options.migrations !== undefined) {
    throw new BulkheadError("BH_USAGE", "Cannot read two sides into one snapshot", {
      kind: "usage",
      hint: "name a side or --migrations, not both",
    });
  }
  const side = await readSide(given ?? options.migrations ?? `env:${options.databaseEnv}`);
  for (const one of side.skipped) process.stderr.write(`note: ${one}\n`);
  const text = printSnapshot(side.snapshot);
  if (options.out === undefined) {
    process.stdout.write(text);
    return;
  }
  await writeText(options.out, text);
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ file: options.out, objects: side.snapshot.objects.length }, null, 2)}\n`
      : `${side.snapshot.objects.length} objects of ${side.label} in ${options.out}\n`,
  );
}

/** A snapshot or a comparison as a file. @throws BulkheadError `BH_DIFF_WRITE` when it can't be written. */
export async function writeText(path: string, text: string): Promise<void> {
  try {
    await writeWhole(path, text);
  } catch (cause) {
    throw new BulkheadError(
      "BH_DIFF_WRITE",
      `Cannot write "${path}": ${messageOf(cause)}`,
      { kind: "usage", hint: "name a file in a folder that you may write", cause },
    );
  }
}

if (isMain(import.meta.url)) await runCli(command());
