import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import process from "node:process";
import { Command } from "commander";
import pc from "picocolors";
import { parseScript } from "../../functions/_core/adapters/lint-parser.ts";
import { parseSql } from "../../functions/_core/adapters/lint-sql.ts";
import { readTree } from "../../functions/_core/adapters/lint-tree.ts";
import type { Config } from "../../functions/_core/adopt/config.ts";
import { counted } from "../../functions/_core/counted.ts";
import { BulkheadError, EXIT, messageOf } from "../../functions/_core/errors.ts";
import {
  type Baseline,
  compare,
  makeBaseline,
  parseBaseline,
} from "../../functions/_core/lint/baseline.ts";
import { lint, type LintResult } from "../../functions/_core/lint/lint.ts";
import { type Paint, renderPretty, wrap } from "../../functions/_core/lint/pretty.ts";
import { findRule, RULES } from "../../functions/_core/lint/rules.ts";
import { toSarif } from "../../functions/_core/lint/sarif.ts";
import { readConfig } from "../cli/config.ts";
import { packageVersion } from "../cli/package.ts";
import { readText } from "../cli/read-text.ts";
import { isMain, runCli } from "../cli/run.ts";
import { writeWhole } from "../cli/write-whole.ts";

type Options = {
  json?: boolean;
  sarif?: boolean;
  baseline?: string;
  updateBaseline?: boolean;
  rule?: string[];
  listRules?: boolean;
  exclude?: string[];
  config: string;
};

/**
 * `bulkhead lint [path]`: find what can reach across tenants in a code base. It reads files, nothing else.
 *
 * @example
 * node --import tsx scripts/lint/lint.ts src --sarif > lint.sarif
 */
export function command(): Command {
  return new Command("lint")
    .description(
      "Find what can reach across tenants in a code base: service keys outside the wrapper, raw pools, forged contexts, unsafe SQL functions. Reads files, nothing else.",
    )
    .argument("[path]", "folder or file", ".")
    .option("--json", "print one JSON document on stdout")
    .option("--sarif", "print SARIF 2.1.0 on stdout, for code scanning")
    .option("--baseline <file>", "leave out what this file knows already")
    .option("--update-baseline", "write what is found today to that file")
    .option("--rule <id...>", "only these rules")
    .option("--list-rules", "print the rules and stop")
    .option("--exclude <pattern...>", "leave out, as in .gitignore")
    .option("--config <file>", "the names of tenants and tables", "bulkhead.toml")
    .addHelpText(
      "after",
      "\nExits 1 on errors and warnings, 3 when none is found but a file could not be read. Rules: docs/lint.md.",
    )
    .action(run);
}

async function run(path: string, options: Options): Promise<void> {
  if (options.listRules) return listRules(options);
  const rules = options.rule?.map(ruleId);
  const known = await readBaseline(options);
  const config = await configOf(path, options.config);
  await mustExist(path);
  const { files, unread } = await readTree(path, { exclude: options.exclude ?? [] });
  const isTerminal = process.stderr.isTTY === true;
  const result = await lint(files, {
    parsers: { script: parseScript, sql: parseSql },
    ...(rules ? { rules } : {}),
    ...(config
      ? {
        tenantColumns: tenantColumns(config),
        tenantTable: config.tenants.table,
        globalTables: Object.entries(config.tables).flatMap(([name, table]) =>
          table.kind === "global" ? [name] : []
        ),
      }
      : {}),
    progress: (done, total) => {
      if (isTerminal && (done % 50 === 0 || done === total)) {
        process.stderr.write(
          `\r\x1b[K${done === total ? "" : `reading ${done} of ${total} files`}`,
        );
      }
    },
  });
  result.unread.unshift(...unread);
  if (options.updateBaseline) return await writeBaseline(options, result);
  const { fresh, known: old, gone } = known
    ? compare(result.findings, known)
    : { fresh: result.findings, known: 0, gone: 0 };
  print({ ...result, findings: fresh }, { old, gone }, options);
  const isRed = fresh.some((one) => one.severity !== "info");
  process.exitCode = isRed ? EXIT.red : result.unread.length > 0 ? EXIT.unknown : EXIT.ok;
}

function print(
  result: LintResult,
  { old, gone }: { old: number; gone: number },
  options: Options,
): void {
  if (options.sarif) {
    process.stdout.write(`${JSON.stringify(toSarif(result, packageVersion()), null, 2)}\n`);
  } else if (options.json) {
    const { findings, unread, files, ignored } = result;
    process.stdout.write(
      `${
        JSON.stringify(
          { files, findings, unread, ignored, baseline: { known: old, gone } },
          null,
          2,
        )
      }\n`,
    );
  } else {
    process.stdout.write(renderPretty(result, painted()));
    process.stdout.write(`${summary(result, old)}\n`);
  }
  if (gone > 0) {
    process.stderr.write(`${gone} of the baseline are gone: shrink it with --update-baseline\n`);
  }
}

function summary({ findings, unread, files, ignored }: LintResult, old: number): string {
  const count = (severity: string) => findings.filter((one) => one.severity === severity).length;
  const parts = [
    counted(count("error"), "error"),
    counted(count("warning"), "warning"),
    `${count("info")} listed`,
    ...(old > 0 ? [`${old} known`] : []),
    ...(ignored > 0 ? [`${ignored} ignored with a reason`] : []),
    ...(unread.length > 0 ? [`${unread.length} unknown`] : []),
  ];
  return wrap(`${counted(files, "file")}: ${parts.join(", ")}`, 0).join("\n");
}

function listRules(options: Options): void {
  if (options.json) {
    process.stdout.write(`${JSON.stringify(RULES, null, 2)}\n`);
    return;
  }
  for (const { id, severity, title } of RULES) {
    process.stdout.write(`${id} (${severity})\n${wrap(title, 4).join("\n")}\n`);
  }
}

function ruleId(name: string): string {
  const rule = findRule(name);
  if (rule) return rule.id;
  throw new BulkheadError(
    "BH_LINT_RULE",
    `Cannot run the rule "${name}": there is none of that name`,
    {
      kind: "usage",
      hint: "bulkhead lint --list-rules",
    },
  );
}

async function mustExist(path: string): Promise<void> {
  try {
    const found = await stat(path);
    if (found.isDirectory() || found.isFile()) return;
  } catch {
    // said below
  }
  throw new BulkheadError(
    "BH_LINT_PATH",
    `Cannot lint "${path}": there is no such folder or file`,
    {
      kind: "usage",
      hint: "name a folder of sources, or stand in one",
    },
  );
}

async function readBaseline(options: Options): Promise<Baseline | null> {
  const { baseline: path, updateBaseline } = options;
  if (path === undefined) {
    if (!updateBaseline) return null;
    throw new BulkheadError("BH_LINT_BASELINE", "Cannot update the baseline: no file is named", {
      kind: "usage",
      hint: "bulkhead lint --baseline bulkhead-lint.json --update-baseline",
    });
  }
  if (updateBaseline) return null;
  const text = await readText(path);
  if (text !== null) return parseBaseline(text, path);
  throw new BulkheadError("BH_LINT_BASELINE", `Cannot read "${path}": it does not exist`, {
    kind: "usage",
    hint: `bulkhead lint --baseline ${path} --update-baseline`,
  });
}

async function writeBaseline(options: Options, result: LintResult): Promise<void> {
  const path = options.baseline ?? "";
  const baseline = makeBaseline(result.findings);
  // Whole or not at all: a cut baseline would let everything through or nothing.
  try {
    await writeWhole(path, `${JSON.stringify(baseline, null, 2)}\n`);
  } catch (cause) {
    throw new BulkheadError("BH_LINT_BASELINE", `Cannot write "${path}": ${messageOf(cause)}`, {
      kind: "usage",
      hint: "name a file in a folder that exists and may be written",
      cause,
    });
  }
  const total = baseline.findings.reduce((sum, one) => sum + one.count, 0);
  process.stderr.write(
    `${counted(total, "finding")} in ${path}; fix them one by one, new ones fail from now on\n`,
  );
  process.exitCode = result.unread.length > 0 ? EXIT.unknown : EXIT.ok;
}

/** Of the folder that is linted, or of the one that somebody stands in. */
async function configOf(path: string, name: string): Promise<Config | null> {
  return await readConfig(resolve(path, name)) ?? await readConfig(name);
}

function tenantColumns(config: Config): string[] {
  const own = Object.values(config.tables).flatMap((table) =>
    "column" in table && typeof table.column === "string" ? [table.column] : []
  );
  return [...new Set([config.tenants.column, ...own])];
}

function painted(): Paint {
  const colors = pc.createColors(process.stdout.isTTY === true && !process.env["NO_COLOR"]);
  return {
    error: colors.red,
    warning: colors.yellow,
    info: colors.cyan,
    dim: colors.dim,
    bold: colors.bold,
  };
}

if (isMain(import.meta.url)) await runCli(command());
