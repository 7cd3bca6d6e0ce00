import process from "node:process";
import { Command, Option } from "commander";
import { connect } from "../../functions/_core/adapters/postgres.ts";
import type { WaitingKey } from "../../functions/_core/adapters/postgres-load.ts";
import { restoreTarget } from "../../functions/_core/adapters/postgres-restore.ts";
import { stageTenant } from "../../functions/_core/adapters/postgres-stage.ts";
import { newestBackup } from "../../functions/_core/backup/manifest.ts";
import { checkBackupId } from "../../functions/_core/backup/names.ts";
import { restoreBackup } from "../../functions/_core/backup/restore-backup.ts";
import { restoreTenant, type TenantRestore } from "../../functions/_core/backup/restore-tenant.ts";
import { counted } from "../../functions/_core/counted.ts";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { isMain, runCli } from "../cli/run.ts";
import { openBackups } from "./environment.ts";
import { printable, reportObject } from "./progress.ts";

type Options = {
  databaseEnv: string;
  intoEnv?: string;
  backup?: string;
  tenant?: string;
  table?: string[];
  insertMissing?: boolean;
  replace?: boolean;
  dryRun?: boolean;
  json?: boolean;
};

/** `bulkhead restore`: a whole backup into an empty database, or one tenant's rows into a live one. */
export function command(): Command {
  return new Command("restore").description(
    "Put rows back: a whole backup into an empty database (--into-env), or one tenant's rows into a live one " +
      "(--tenant; shows what it would do unless told to do it).\n" +
      "Reads DATABASE_URL, BULKHEAD_STORE, BULKHEAD_S3_READER_*, BULKHEAD_KEK.",
  )
    .option(
      "--into-env <name>",
      "variable with the connection string of an empty, migrated database",
    )
    .option("--backup <id>", "which backup; default the newest")
    .option("--tenant <id>", "one tenant, into the live database")
    .addOption(
      new Option(
        "--table <names...>",
        "only these of the tenant's tables, such as public.messages",
      ).conflicts("intoEnv"),
    )
    .addOption(
      new Option("--dry-run", "compare one tenant's rows and change nothing (default)")
        .conflicts(["intoEnv", "insertMissing", "replace"]),
    )
    .addOption(
      new Option("--insert-missing", "insert rows that are gone")
        .conflicts(["intoEnv", "replace"]),
    )
    .addOption(
      new Option(
        "--replace",
        "make these tables of the tenant what they were: insert, update and delete",
      ).conflicts("intoEnv"),
    )
    .option(
      "--database-env <name>",
      "variable with the connection string of the live database",
      "DATABASE_URL",
    )
    .option("--json", "print one JSON document on stdout")
    .action(restore);
}

async function restore(options: Options): Promise<void> {
  if ((options.intoEnv === undefined) === (options.tenant === undefined)) {
    throw new BulkheadError("BH_USAGE", "Cannot restore: name either --into-env or --tenant", {
      kind: "usage",
      hint: "See what is missing: npx bulkhead restore --tenant <id>; npx bulkhead restore --help",
    });
  }
  if (options.intoEnv !== undefined) return await whole(options, options.intoEnv);
  return await one(options, options.tenant ?? "");
}

async function whole(options: Options, name: string): Promise<void> {
  const { store, keyring, url, manifest } = await chosen(options, name);
  const sql = connect(url, { max: 1, applicationName: "bulkhead restore" });
  try {
    const started = Date.now();
    let waiting: readonly WaitingKey[] = [];
    const result = await restoreBackup({
      store,
      keyring,
      manifest,
      target: restoreTarget(sql, { url, onWaiting: (keys) => waiting = keys }),
      onProgress: reportObject,
    });
    const seconds = (Date.now() - started) / 1000;
    if (options.json) {
      process.stdout.write(
        `${JSON.stringify({ backup: manifest.id, ...result, waiting, seconds }, null, 2)}\n`,
      );
    } else {
      console.log(
        `Backup ${manifest.id} is restored: ${counted(result.rows, "row")}, ` +
          `${counted(result.tables, "table")} compared, ${seconds} s`,
      );
      for (const tenant of result.shredded) {
        console.log(`Not restored: ${printable(tenant)}, its keys were shredded`);
      }
      for (const { child, parent, rows } of waiting) {
        console.log(
          `Still missing: what ${counted(rows, "row")} of ${child} point to in ${parent}`,
        );
      }
    }
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** The backup to restore, and the database that the variable `name` leads to. */
async function chosen(options: Options, name: string) {
  const id = options.backup === undefined ? {} : { id: checkBackupId(options.backup) };
  const { store, keyring, database } = await openBackups("reader", [name]);
  const { manifest } = await newestBackup({ store, keyring, ...id });
  return { store, keyring, manifest, url: database(name) };
}

async function one(options: Options, tenant: string): Promise<void> {
  const { store, keyring, url, manifest } = await chosen(options, options.databaseEnv);
  const mode = options.replace ? "replace" : options.insertMissing ? "insert-missing" : "dry-run";
  const sql = connect(url, { max: 1, applicationName: "bulkhead restore" });
  try {
    const result = await restoreTenant({
      store,
      keyring,
      manifest,
      tenant,
      mode,
      ...(options.table ? { tables: options.table } : {}),
      stage: stageTenant(sql),
    });
    print(result, options);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

function print(result: TenantRestore, options: Options): void {
  if (options.json) {
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    return;
  }
  const isDry = result.mode === "dry-run";
  for (const each of result.tables) {
    const { table, staged, missing, changed, extra, inserted, updated, deleted } = each;
    const isSame = missing + changed + extra === 0;
    console.log(
      `${table}: ${counted(staged, "row")} in the backup, ` +
        (isSame ? "as in the database" : `${missing} missing, ${changed} changed, ${extra} added`),
    );
    if (isSame || isDry) continue;
    console.log(`  now ${inserted} inserted, ${updated} updated, ${deleted} deleted`);
  }
  const what = `backup ${result.backup} and the database`;
  if (!isDry) return console.error(`Restored from backup ${result.backup}`);
  const isSame = result.tables.every((each) => each.missing + each.changed + each.extra === 0);
  if (isSame) return console.error(`No difference between ${what}`);
  console.error(`Compared ${what}; nothing was changed.`);
  console.error("--insert-missing puts back what is missing, --replace undoes all of it");
}

if (isMain(import.meta.url)) await runCli(command());
