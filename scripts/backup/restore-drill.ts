import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { Command } from "commander";
import { ensureWritable } from "../../functions/_core/adapters/folder.ts";
import { connect, type Sql } from "../../functions/_core/adapters/postgres.ts";
import { identityOf } from "../../functions/_core/adapters/postgres-restore.ts";
import { openKeyring } from "../../functions/_core/keys/keyring.ts";
import { newestBackup } from "../../functions/_core/backup/manifest.ts";
import { checkBackupId } from "../../functions/_core/backup/names.ts";
import { counted } from "../../functions/_core/counted.ts";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { PACKAGE_ROOT } from "../cli/package.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";
import { type DrillReport, runDrill, VERIFY } from "./drill.ts";
import { openTarget } from "./drill-target.ts";
import { type BackupEnvironment, backupEnvironment } from "./environment.ts";
import { recordVerification, type Verification } from "./record.ts";

type Options = CommonOptions & {
  backup?: string;
  targetEnv?: string;
  projectMigrations?: string[];
  tests?: string[];
  reportDir: string;
};

/** Proves the boundary on the restored rows, whatever tables they are in. */
const BOUNDARY = join(PACKAGE_ROOT, "scripts/backup/drill.pgsql");

/** `bulkhead drill`: restore the newest backup somewhere else, and prove it. */
export function command(): Command {
  return commonOptions(
    new Command("drill").description(
      "Verify the newest backup, restore it into another Postgres, compare every table, test it, and report.\n" +
        "Reads DATABASE_URL (where the drill is recorded), BULKHEAD_STORE, BULKHEAD_S3_READER_*, BULKHEAD_KEK. " +
        "A drill without rows or without tests has failed.",
    ),
  )
    .option("--backup <id>", "which backup; default the newest")
    .option(
      "--target-env <name>",
      "variable with the connection string of a database that was just created on a server of its own " +
        "(its superuser's, not named postgres), or has all migrations and no tenants; default: a fresh embedded Postgres",
    )
    .option(
      "--project-migrations <files...>",
      "your own migrations, in order, for a fresh Postgres",
    )
    .option("--tests <files...>", "your own pgTAP files, run besides the kit's")
    .option(
      "--report-dir <folder>",
      "write drill-<time>.json and .txt there",
      join("evidence", "drills"),
    )
    .action(drill);
}

async function drill(options: Options): Promise<void> {
  const projectMigrations = files(options.projectMigrations ?? [], "--project-migrations");
  const ownTests = files(options.tests ?? [], "--tests");
  if (options.backup !== undefined) checkBackupId(options.backup);
  const environment = await backupEnvironment("reader", [
    options.databaseEnv,
    ...(options.targetEnv === undefined ? [] : [options.targetEnv]),
  ]);
  await checkReports(options.reportDir);
  const source = connect(environment.database(options.databaseEnv), {
    max: 1,
    applicationName: "bulkhead drill record",
  });
  const say = options.json ? () => {} : (line: string) => void process.stderr.write(`${line}\n`);
  try {
    const sourceIdentity = await identityOf(source);
    const { targetEnv } = options;
    const { store, keyring, manifest } = await prepared(source, options, environment);
    say(`Drill of backup ${manifest.id}`);
    const report = await runDrill({
      store,
      keyring,
      manifest,
      sourceIdentity,
      openTarget: () => openTarget({ projectMigrations, ...(targetEnv ? { targetEnv } : {}) }),
      tests: [BOUNDARY, ...ownTests],
      say,
    });
    write(report, options.reportDir);
    await recordVerification(source, verificationOf(report));
    await record(source, report);
    if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    else console.log(textOf(report));
    if (!report.ok) {
      throw new BulkheadError(
        "BH_DRILL_FAILED",
        `Cannot pass the drill of backup "${report.backup}": ${report.problems.join("; ")}`,
        {
          kind: "red",
          hint: "See docs/runbooks/restore.md; until a drill passes, do not rely on this backup",
        },
      );
    }
  } finally {
    await source.end({ timeout: 1 });
  }
}

/** The backup to drill; what is wrong before there is one is a failed drill as well. */
async function prepared(source: Sql, options: Options, { store, kek }: BackupEnvironment) {
  const startedAt = new Date().toISOString();
  try {
    const keyring = await openKeyring({ store, kek });
    const id = options.backup === undefined ? {} : { id: options.backup };
    return { store, keyring, manifest: (await newestBackup({ store, keyring, ...id })).manifest };
  } catch (error) {
    if (error instanceof BulkheadError && error.kind === "usage") throw error;
    const problem = error instanceof Error ? error.message : String(error);
    await record(source, {
      backup: options.backup ?? "none",
      ok: false,
      problems: [problem],
      steps: [],
      startedAt,
      finishedAt: new Date().toISOString(),
      target: "none",
      rows: 0,
      tables: 0,
      tests: 0,
      objects: 0,
      backupStartedAt: startedAt,
      rpoSeconds: 0,
      rtoSeconds: 0,
    });
    throw error;
  }
}

async function record(source: Sql, report: DrillReport): Promise<void> {
  const drill = {
    backup_id: report.backup,
    started_at: report.startedAt,
    finished_at: report.finishedAt,
    is_passed: report.ok,
    restored_rows: report.rows,
    tests: report.tests,
    rpo_seconds: report.rpoSeconds,
    rto_seconds: report.rtoSeconds,
    report,
  };
  await source`select bulkhead.record_drill(${JSON.stringify(drill)}::text::jsonb)`;
}

/** A drill begins with reading every byte: what it found there is known even when a later step fails. */
function verificationOf(report: DrillReport): Verification {
  const read = report.steps.find(({ step }) => step === VERIFY);
  return {
    backup: report.backup,
    at: report.backupStartedAt,
    objects: report.objects,
    error: read?.ok === true ? null : read?.detail ?? "it was not read",
  };
}

/** Before the drill: it may take hours, and its report is what it is for. */
async function checkReports(folder: string): Promise<void> {
  try {
    await ensureWritable(folder);
  } catch (error) {
    throw new BulkheadError(
      "BH_REPORT_WRITE",
      `Cannot write the report to "${folder}": ${
        error instanceof Error ? error.message : String(error)
      }`,
      { kind: "usage", hint: "Name a folder that you may write with --report-dir", cause: error },
    );
  }
}

function write(report: DrillReport, folder: string): void {
  const name = join(folder, `drill-${report.startedAt.replace(/[-:]|\.\d+/g, "")}`);
  writeFileSync(`${name}.json`, `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(`${name}.txt`, `${textOf(report)}\n`);
}

function textOf(report: DrillReport): string {
  return [
    `Restore drill of backup ${report.backup}: ${report.ok ? "PASSED" : "FAILED"}`,
    `${report.startedAt} to ${report.finishedAt}, into ${report.target}`,
    `${counted(report.rows, "row")}, ${counted(report.tables, "table")} compared, ${
      counted(report.tests, "test")
    }`,
    `Data that would be lost: ${report.rpoSeconds} s. Time to restored rows: ${report.rtoSeconds} s`,
    ...report.steps.map(({ step, ok, ms, detail }) =>
      `  ${ok ? "ok  " : "FAIL"}  ${step} (${ms} ms): ${detail}`
    ),
  ].join("\n");
}

/** Files and globs, each of which must match something. */
function files(patterns: readonly string[], flag: string): string[] {
  return patterns.flatMap((pattern) => {
    if (existsSync(pattern)) return [pattern];
    throw new BulkheadError("BH_USAGE", `Cannot read ${flag} "${pattern}": no such file`, {
      kind: "usage",
      hint: "Name files that exist; the shell expands patterns such as tests/*.sql",
    });
  });
}

if (isMain(import.meta.url)) await runCli(command());
