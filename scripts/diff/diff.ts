import { join } from "node:path";
import process from "node:process";
import { Command, Option } from "commander";
import pc from "picocolors";
import { diffSnapshots } from "../../functions/_core/adapters/boundary-diff.ts";
import type { Diff } from "../../functions/_core/diff/classify.ts";
import { needsShipped } from "../../functions/_core/diff/kit.ts";
import { locate } from "../../functions/_core/diff/locate.ts";
import { renderDiff, renderDiffMarkdown } from "../../functions/_core/diff/render.ts";
import type { Level } from "../../functions/_core/diff/rule.ts";
import type { Snapshot } from "../../functions/_core/diff/snapshot.ts";
import { diffSarif } from "../../functions/_core/diff/sarif.ts";
import { BulkheadError, EXIT } from "../../functions/_core/errors.ts";
import { PACKAGE_ROOT } from "../cli/package.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";
import { readKit } from "../project/kit.ts";
import { migrate } from "./migrated.ts";
import { isFolder } from "./migrations.ts";
import { checkSide, readSide, type Side } from "./side.ts";
import { writeText } from "./snapshot.ts";

type Options = CommonOptions & {
  migrations: string[];
  tenantColumn: string[];
  failOn: "dangerous" | "review";
  sarif?: boolean;
  markdown?: boolean;
  write: string[];
  all?: boolean;
};

/** An option that may be given several times. */
const list = (flags: string, description: string) =>
  new Option(flags, description)
    .argParser((value: string, before: string[]) => [...before, value])
    .default([], "none");

/**
 * `bulkhead diff`: what a change does to the tenant boundary, for the gate of a pull request.
 *
 * @example
 * node --import tsx scripts/diff/diff.ts bulkhead.snapshot.json supabase/migrations
 */
export function command(): Command {
  return commonOptions(new Command("diff"))
    .description(
      "Compare the tenant boundary of two states and judge every change: safe, review or dangerous. A side is env:NAME (a database), a folder of migrations, or a file that bulkhead snapshot wrote.",
    )
    .argument("[before]", "what there is")
    .argument("[after]", "what comes")
    .addOption(list("--migrations <folder>", "a folder of migrations, as the side that is missing"))
    .addOption(
      list(
        "--tenant-column <name>",
        "the column that says whose a row is, where the kit was not told",
      ),
    )
    .addOption(
      new Option("--fail-on <level>", "exit 1 from this level on").choices(["dangerous", "review"])
        .default("dangerous"),
    )
    .option("--markdown", "print a comment for the pull request")
    .option("--sarif", "print SARIF 2.1.0")
    .addOption(list("--write <file>", "write it too, as .json, .md or .sarif says"))
    .option("--all", "list safe changes too")
    .addHelpText(
      "after",
      `
One folder alone is compared with the database, and a snapshot alone with it:
  bulkhead diff main/supabase/migrations supabase/migrations
  bulkhead diff bulkhead.snapshot.json supabase/migrations
  bulkhead diff --migrations supabase/migrations
Exits 0 when no change is as grave as --fail-on, 1 when one is. docs/diff.md has more.`,
    )
    .action(run);
}

async function run(
  first: string | undefined,
  second: string | undefined,
  options: Options,
): Promise<void> {
  const [before, after] = sidesOf(first, second, options);
  checkFormats(options);
  for (const side of [before, after]) checkSide(side);
  // One after the other: two embedded servers at once help nobody on a small machine.
  const old = await readSide(before);
  const now = await readSide(after);
  const diff = await judge(old, now, options);
  for (const one of [...old.skipped, ...now.skipped]) process.stderr.write(`note: ${one}\n`);
  const failed = diff.counts.dangerous > 0 ||
    (options.failOn === "review" && diff.counts.review > 0);
  const documents = formats(diff, { before: old, after: now, failOn: options.failOn, failed });
  for (const path of options.write) {
    await writeText(path, documents[extensionOf(path)]());
    process.stderr.write(`wrote ${path}\n`);
  }
  process.stdout.write(
    options.json
      ? documents.json()
      : options.sarif
      ? documents.sarif()
      : options.markdown
      ? documents.md()
      : renderDiff(diff, {
        before: old.label,
        after: now.label,
        width: Math.min(process.stdout.columns ?? 80, 100),
        colour,
        all: options.all === true,
      }),
  );
  process.exitCode = failed ? EXIT.red : EXIT.ok;
}

/** Whether a kit that changed is one that was upgraded is only known by installing this version, and only then asked. */
async function judge(old: Side, now: Side, options: Options): Promise<Diff> {
  const ask = async (shipped: Snapshot | null) =>
    await diffSnapshots(old.snapshot, now.snapshot, {
      shipped,
      tenantColumns: options.tenantColumn,
    });
  const first = await ask(null);
  const diff = needsShipped(first)
    ? await ask((await migrate(join(PACKAGE_ROOT, "migrations"))).snapshot)
    : first;
  return locate(diff, now.statements);
}

/** Positions first, then --migrations; a single side has the database as the other. */
function sidesOf(
  first: string | undefined,
  second: string | undefined,
  options: Options,
): [string, string] {
  const given = [first, second].filter((one) => one !== undefined);
  const sides = [...given, ...options.migrations];
  const database = `env:${options.databaseEnv}`;
  const [one, other, ...rest] = sides;
  if (one !== undefined && other !== undefined && rest.length === 0) return [one, other];
  if (one !== undefined && rest.length === 0) {
    checkSide(one);
    if (!one.startsWith("env:")) return isFolder(one) ? [database, one] : [one, database];
  }
  throw new BulkheadError(
    "BH_USAGE",
    `Cannot compare ${sides.length} ${sides.length === 1 ? "side" : "sides"}: it takes two`,
    {
      kind: "usage",
      hint:
        "bulkhead diff <before> <after>; each is env:NAME, a folder of migrations or a snapshot",
    },
  );
}

type Format = "json" | "md" | "sarif";

function checkFormats(options: Options): void {
  const asked = [options.json, options.sarif, options.markdown].filter(Boolean).length;
  if (asked > 1) {
    throw new BulkheadError("BH_USAGE", "Cannot print two formats at once", {
      kind: "usage",
      hint: "print one and write the others: --write diff.sarif --write diff.md",
    });
  }
  for (const path of options.write) extensionOf(path);
}

function extensionOf(path: string): Format {
  const [, extension] = /\.(json|md|sarif)$/.exec(path) ?? [];
  if (extension === "json" || extension === "md" || extension === "sarif") return extension;
  throw new BulkheadError("BH_USAGE", `Cannot tell the format of "${path}"`, {
    kind: "usage",
    hint: "let its name end in .json, .md or .sarif",
  });
}

function formats(
  diff: Diff,
  about: { before: Side; after: Side; failOn: Level; failed: boolean },
): Record<Format, () => string> {
  const { before, after, failOn, failed } = about;
  const fallback = after.statements[0]?.file ??
    (before.label.startsWith("env:") ? "docs/diff.md" : before.label);
  return {
    json: () =>
      `${
        JSON.stringify(
          {
            version: 1,
            before: before.label,
            after: after.label,
            failOn,
            failed,
            counts: diff.counts,
            changes: diff.entries,
            notes: [...diff.notes, ...before.skipped, ...after.skipped],
          },
          null,
          2,
        )
      }\n`,
    md: () => renderDiffMarkdown(diff),
    sarif: () =>
      `${JSON.stringify(diffSarif(diff, { version: readKit().version, fallback }), null, 2)}\n`,
  };
}

/** Colour only where somebody looks at it; https://no-color.org. */
function colour(level: Level, text: string): string {
  const on = process.stdout.isTTY === true && !process.env["NO_COLOR"] &&
    process.env["TERM"] !== "dumb";
  if (!on) return text;
  return level === "dangerous"
    ? pc.red(text)
    : level === "review"
    ? pc.yellow(text)
    : pc.green(text);
}

if (isMain(import.meta.url)) await runCli(command());
