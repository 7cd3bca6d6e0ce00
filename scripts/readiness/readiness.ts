import { realpath, stat } from "node:fs/promises";
import { basename } from "node:path";
import process from "node:process";
import { Command, InvalidArgumentError, Option } from "commander";
import { PARSERS } from "../../functions/_core/adapters/readiness-parsers.ts";
import { readRepository } from "../../functions/_core/adapters/readiness-tree.ts";
import { BulkheadError, EXIT } from "../../functions/_core/errors.ts";
import { audit } from "../../functions/_core/readiness/audit.ts";
import { readIgnores } from "../../functions/_core/readiness/ignore.ts";
import {
  type Baseline,
  compare,
  makeBaseline,
  parseBaseline,
} from "../../functions/_core/readiness/report/baseline.ts";
import type { Report } from "../../functions/_core/readiness/report/contract.ts";
import { renderHtml } from "../../functions/_core/readiness/report/html.ts";
import { renderMarkdown } from "../../functions/_core/readiness/report/markdown.ts";
import { openPlaces } from "../../functions/_core/readiness/report/open-places.ts";
import { reportOf } from "../../functions/_core/readiness/report/report.ts";
import { renderSarif } from "../../functions/_core/readiness/report/sarif.ts";
import { parseReport, sinceReport } from "../../functions/_core/readiness/report/since.ts";
import { renderTerminal } from "../../functions/_core/readiness/report/terminal.ts";
import { Repository } from "../../functions/_core/readiness/repository.ts";
import type { Severity } from "../../functions/_core/readiness/rule.ts";
import { RULES } from "../../functions/_core/readiness/rules/index.ts";
import { packageVersion } from "../cli/package.ts";
import { isMain, runCli } from "../cli/run.ts";
import { explainRule, listRules, ruleOf } from "./catalogue.ts";
import { readNamed, writeNamed } from "./files.ts";
import { progressOf } from "./progress.ts";

type Options = {
  json?: boolean;
  sarif?: boolean;
  html?: string;
  markdown?: string;
  verbose?: boolean;
  failOn: Severity;
  rule?: string[];
  listRules?: boolean;
  explain?: string;
  baseline?: string;
  updateBaseline?: boolean;
  since?: string;
  asOf?: Date;
};

/**
 * `bulkhead readiness [path]`: audit a whole application repository. It reads files, nothing else.
 *
 * @example
 * node --import tsx scripts/readiness/readiness.ts ../app --html report.html
 */
export function command(): Command {
  return new Command("readiness")
    .description(
      "Audit a whole application repository: configuration, secrets, CI, trust boundary, web, database, jobs, containers, recovery, observability. Reads files offline, and runs nothing of them.",
    )
    .argument("[path]", "folder of the repository", ".")
    .option("--json", "print the report as one JSON document on stdout")
    .addOption(
      new Option("--sarif", "print SARIF 2.1.0 on stdout, for code scanning").conflicts("json"),
    )
    .option("--html <file>", "write the report as one page, too")
    .option("--markdown <file>", "write the report as Markdown, too")
    .option("--verbose", "leave nothing out on the terminal")
    .addOption(
      new Option("--fail-on <severity>", "the lightest open gap that exits 1")
        .choices(["p0", "p1", "p2"]).default("p0"),
    )
    .option("--rule <id...>", "only these rules")
    .option("--list-rules", "print the rules and stop")
    .option("--explain <id>", "print the page of a rule and stop")
    .option("--baseline <file>", "exit 1 only on what this file doesn't know")
    .option("--update-baseline", "write what is open today to that file")
    .option("--since <report>", "compare with an earlier --json: fixed, new, unchanged")
    .option("--as-of <date>", "judge dates as on that day", dateOf)
    .addHelpText(
      "after",
      "\nExits 1 on an open gap of --fail-on or heavier, 3 when none is open but a rule of that weight is undecided or a folder could not be read. Rules, ignores, CI: docs/readiness/README.md.",
    )
    .action(run);
}

async function run(path: string, options: Options): Promise<void> {
  if (options.explain !== undefined) return await explainRule(options.explain);
  if (options.listRules) return listRules(options);
  const rules = options.rule === undefined ? RULES : [...new Set(options.rule.map(ruleOf))];
  const known = await readBaseline(options);
  const earlier = options.since === undefined ? null : parseReport(
    await readNamed(options.since, {
      code: "BH_READINESS_SINCE",
      hint: "write one with bulkhead readiness --json > report.json",
    }),
    options.since,
  );
  await mustBeFolder(path);
  const now = options.asOf ?? new Date();
  const { files, unread } = await readRepository(path);
  const repository = new Repository(files, PARSERS);
  for (const one of unread) repository.note(one);
  const progress = progressOf();
  const found = await audit(repository, {
    rules,
    ignores: readIgnores(repository, RULES.map(({ id }) => id), now),
    progress: progress.report,
  }).finally(progress.stop);
  const report = reportOf(found, repository, {
    repository: basename(await realpath(path)),
    toolVersion: packageVersion(),
    now,
  });
  if (earlier) report.since = sinceReport(report, earlier);
  await write(report, options);
  if (options.updateBaseline) return await writeBaseline(report, options);
  // A folder or a bound is a part of the tree that no rule knows of; a file is its rules' to answer for.
  const isCut = unread.some(({ file }) => repository.file(file) === null);
  process.exitCode = isRed(report, known, options)
    ? EXIT.red
    : isCut || isUndecided(report, options)
    ? EXIT.unknown
    : EXIT.ok;
}

async function write(report: Report, options: Options): Promise<void> {
  if (options.html !== undefined) await writeNamed(options.html, renderHtml(report));
  if (options.markdown !== undefined) await writeNamed(options.markdown, renderMarkdown(report));
  const { stdout } = process;
  if (options.json) stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  else if (options.sarif) stdout.write(`${JSON.stringify(renderSarif(report), null, 2)}\n`);
  else {
    stdout.write(renderTerminal(report, {
      colour: stdout.isTTY === true && !process.env["NO_COLOR"],
      width: Math.min(stdout.columns ?? 80, 100),
      verbose: options.verbose === true,
    }));
  }
}

/** Whether a gap is open that weighs enough and that the baseline doesn't know. */
function isRed(report: Report, known: Baseline | null, { failOn }: Options): boolean {
  const compared = known ? compare(report, known) : null;
  if (compared) {
    process.stderr.write(
      `Baseline: ${compared.known} known, ${compared.fresh.length} new, ${compared.gone} gone${
        compared.gone > 0 ? ": shrink it with --update-baseline" : ""
      }\n`,
    );
  }
  return (compared?.fresh ?? openPlaces(report)).some(({ evidence, rule }) =>
    evidence.kind === "gap" && (evidence.severity ?? rule.rated) <= failOn
  ) || report.rules.some(({ status, severity, evidence }) =>
    // A failure without a place is one that no baseline can know.
    status === "fail" && evidence.length === 0 && severity !== null && severity <= failOn
  );
}

/** Whether a rule that weighs enough could not be decided, and nobody answers for it. */
function isUndecided({ rules }: Report, { failOn }: Options): boolean {
  return rules.some(({ status, rated, confidence, evidence }) =>
    status === "unknown" && (confidence === "low" ? "p2" : rated) <= failOn &&
    (evidence.length === 0 || evidence.some(({ kind, ignored }) => kind !== "strength" && !ignored))
  );
}

async function readBaseline(options: Options): Promise<Baseline | null> {
  const { baseline: path, updateBaseline } = options;
  if (path === undefined && updateBaseline) {
    throw new BulkheadError(
      "BH_READINESS_BASELINE",
      "Cannot update the baseline: no file is named",
      {
        kind: "usage",
        hint: "bulkhead readiness --baseline readiness-baseline.json --update-baseline",
      },
    );
  }
  if (path === undefined || updateBaseline) return null;
  const hint = `bulkhead readiness --baseline ${path} --update-baseline`;
  return parseBaseline(await readNamed(path, { code: "BH_READINESS_BASELINE", hint }), path);
}

async function writeBaseline(report: Report, { baseline: path = "" }: Options): Promise<void> {
  const baseline = makeBaseline(report);
  await writeNamed(path, `${JSON.stringify(baseline, null, 2)}\n`);
  process.stderr.write(
    `${baseline.places.length} open places in ${path}; fix them one by one, new ones fail from now on\n`,
  );
}

async function mustBeFolder(path: string): Promise<void> {
  const found = await stat(path).catch(() => null);
  if (found?.isDirectory()) return;
  throw new BulkheadError(
    "BH_READINESS_PATH",
    `Cannot audit "${path}": ${found ? "it is no folder" : "there is no such folder"}`,
    { kind: "usage", hint: "name the folder of a repository, or stand in one" },
  );
}

function dateOf(text: string): Date {
  const date = new Date(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T12:00:00Z` : text);
  if (Number.isNaN(date.getTime())) throw new InvalidArgumentError("a day, as 2027-01-31.");
  return date;
}

if (isMain(import.meta.url)) await runCli(command());
