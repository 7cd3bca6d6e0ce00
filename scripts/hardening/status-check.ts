import { join, resolve } from "node:path";
import process from "node:process";
import { Command } from "commander";
import { ensureFolder } from "../../functions/_core/adapters/folder.ts";
import { readStatus } from "../../functions/_core/adapters/status-source.ts";
import { BulkheadError, EXIT, messageOf } from "../../functions/_core/errors.ts";
import type { StatusReport } from "../../functions/_core/status/contract.ts";
import { renderTerminal } from "../../functions/_core/status/terminal.ts";
import { openDatabase } from "../cli/database.ts";
import { IS_CLONE, PACKAGE_ROOT } from "../cli/package.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";
import { writeWhole } from "../cli/write-whole.ts";
import { type Format, FORMATS, renderReport } from "./formats.ts";

/** In a clone of the kit, whatever folder the command was called from; never into what npm installed, and will replace. */
const REPORTS = IS_CLONE ? join(PACKAGE_ROOT, "scripts/hardening/reports") : "reports";
const VERDICT_EXIT = { green: EXIT.ok, red: EXIT.red, unknown: EXIT.unknown };

type Options = CommonOptions & {
  category?: string;
  reportDir: string;
  format: string;
  report: boolean;
  quiet?: boolean;
};

/**
 * `bulkhead status`: print the checklist, write the reports, exit 0 on green, 1 on red, 3 on unknown.
 *
 * @example
 * node --import tsx scripts/hardening/status-check.ts --category boundary --no-report
 */
export function command(): Command {
  return commonOptions(new Command("status"))
    .description(
      "Check every rule of the boundary, the trail, the guard, the schedule, the alerts and the backups.",
    )
    .option(
      "--category <name>",
      "only one category: boundary, trail, guard, schedule, alerting, backups, canaries",
    )
    .option("--report-dir <folder>", "where the timestamped reports go", REPORTS)
    .option("--format <list>", "report formats, separated by commas", FORMATS.join(","))
    .option("--no-report", "write no report")
    .option("--quiet", "print only what does not pass")
    .addHelpText(
      "after",
      "\nExits 0 when everything passes, 1 on red, 3 when something could not be evaluated.",
    )
    .action(run);
}

async function run(options: Options): Promise<void> {
  const formats = parseFormats(options.format);
  const sql = await openDatabase(options.databaseEnv);
  let report: StatusReport;
  try {
    report = await readStatus(sql, options.category ?? null);
  } finally {
    await sql.end({ timeout: 5 });
  }
  if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  else process.stdout.write(renderTerminal(report, terminal(options)));
  if (options.report) {
    for (const path of await writeReports(report, { folder: options.reportDir, formats })) {
      process.stderr.write(`report ${path}\n`);
    }
  }
  process.exitCode = VERDICT_EXIT[report.verdict];
}

/**
 * Write one file for each format, named by the time of the check; each appears whole or not at all.
 *
 * @example
 * const [path] = await writeReports(report, { folder: "reports", formats: ["html"] });
 */
export async function writeReports(
  report: StatusReport,
  to: { folder: string; formats: readonly Format[] },
): Promise<string[]> {
  const folder = resolve(to.folder);
  const stamp = report.checked_at.replace(/\.\d+/, "").replace(/[-:]/g, "");
  const name = report.category === null ? stamp : `${stamp}-${report.category}`;
  const written: string[] = [];
  try {
    await ensureFolder(folder);
    for (const format of to.formats) {
      const path = join(folder, `${name}.${format}`);
      await writeWhole(path, renderReport(report, format));
      written.push(path);
    }
  } catch (error) {
    throw new BulkheadError(
      "BH_REPORT_WRITE",
      `Cannot write the report to "${folder}": ${messageOf(error)}`,
      {
        kind: "usage",
        hint: "name a folder that you may write with --report-dir, or use --no-report",
        cause: error,
      },
    );
  }
  return written;
}

function parseFormats(list: string): Format[] {
  const wanted = list.split(",").map((name) => name.trim()).filter((name) => name !== "");
  const known = FORMATS.filter((format) => wanted.includes(format));
  const unknown = wanted.filter((name) => !FORMATS.some((format) => format === name));
  if (unknown.length === 0 && known.length > 0) return known;
  throw new BulkheadError(
    "BH_REPORT_FORMAT",
    `Cannot write the format "${unknown[0] ?? list}": it is not known`,
    {
      kind: "usage",
      hint: `choose from ${FORMATS.join(",")}`,
    },
  );
}

/** Colour only where somebody looks at it; https://no-color.org. */
function terminal(options: Options): { colour: boolean; width: number; quiet: boolean } {
  const colour = process.stdout.isTTY === true && !process.env["NO_COLOR"] &&
    process.env["TERM"] !== "dumb";
  return {
    colour,
    width: Math.min(process.stdout.columns ?? 80, 100),
    quiet: options.quiet === true,
  };
}

if (isMain(import.meta.url)) await runCli(command());
