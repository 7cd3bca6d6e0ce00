import { createHash } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import process from "node:process";
import { Command } from "commander";
import { exportLedger } from "../../functions/_core/adapters/postgres-ledger.ts";
import { BulkheadError } from "../../functions/_core/errors.ts";
import type { Scope } from "../../functions/_core/ledger/export-lines.ts";
import { openDatabase } from "../cli/database.ts";
import { type CommonOptions, commonOptions, onInterrupt } from "../cli/run.ts";

type Options = CommonOptions & {
  out?: string;
  tenant?: string;
  partition?: string;
  wait: string;
};

/**
 * `bulkhead audit export --out <file>`: the sealed ledger, or one tenant's part of it, as a file that proves itself.
 *
 * @example
 * DATABASE_URL=… bulkhead audit export --tenant 7d44… --out acme.jsonl && bulkhead verify --export acme.jsonl
 */
export function exportCommand(): Command {
  return commonOptions(new Command("export"))
    .description(
      "Export the sealed ledger, or one tenant's events with the proof that they are in it.",
    )
    .option("--out <file>", "where to write; never over a file that is there")
    .option("--tenant <id>", "only this tenant's events, nothing of another's")
    .option("--partition <name>", "one month, such as audit_events_202601, before it is retired")
    .option("--wait <seconds>", "how long to wait for transactions that hold the seal back", "30")
    .action(run);
}

async function run(options: Options): Promise<void> {
  const { out, tenant, partition } = options;
  if (out === undefined || out === "") {
    throw usage("Cannot export the ledger: --out is missing", "add --out <file>");
  }
  if (tenant !== undefined && partition !== undefined) {
    throw usage(
      "Cannot export the ledger: --tenant and --partition exclude each other",
      "leave one out",
    );
  }
  const wait = /^\d{1,5}$/.test(options.wait) ? Number(options.wait) : NaN;
  if (Number.isNaN(wait)) {
    throw usage(`Cannot wait for "${options.wait}": that is no number of seconds`, "--wait 30");
  }
  const scope: Scope = tenant !== undefined
    ? { tenant }
    : partition !== undefined
    ? { part: partition }
    : {};
  const partial = `${out}.part`;
  const sql = await openDatabase(options.databaseEnv);
  const file = await create(out, partial);
  const forget = onInterrupt(() => rm(partial, { force: true }));
  try {
    const hash = createHash("sha256");
    let size = 0;
    const found = await exportLedger(sql, {
      scope,
      now: new Date(),
      waitMs: wait * 1000,
      write: async (text) => {
        const bytes = Buffer.from(text, "utf8");
        hash.update(bytes);
        size += bytes.length;
        await file.writeFile(bytes);
      },
    });
    await file.sync();
    await file.close();
    const sha256 = hash.digest("hex");
    await rename(partial, out);
    if (partition !== undefined) {
      // What lets bulkhead.retire_partition() believe that the file was written whole.
      const detail = { part: partition, sha256, events: found.events, head: found.head };
      await sql`select bulkhead.record_export(${JSON.stringify(detail)}::text::jsonb)`;
      await sql`select bulkhead.seal()`;
    }
    if (options.json) {
      process.stdout.write(`${JSON.stringify({ out, scope, ...found, bytes: size, sha256 })}\n`);
    } else {
      process.stdout.write(
        `${out}: ${found.events} events, ${found.links} rows of the chain, ${size} bytes\n` +
          `sha256  ${sha256}\nhead    ${found.head}\n`,
      );
    }
  } catch (error) {
    await file.close().catch(() => {});
    await rm(partial, { force: true });
    throw error;
  } finally {
    forget();
    await sql.end({ timeout: 5 });
  }
}

/** The file is the reader's only when it is whole; and a trail is not for other users of the machine. */
async function create(out: string, partial: string) {
  try {
    const taken = await open(out, "r").then(async (file) => {
      await file.close();
      return true;
    }, () => false);
    if (!taken) return await open(partial, "wx", 0o600);
  } catch (cause) {
    throw usage(
      `Cannot write "${partial}": ${
        cause instanceof Error && "code" in cause ? cause.code : cause
      }`,
      "name a file in a folder that you may write to; remove what an earlier run left",
    );
  }
  throw usage(`Cannot export to "${out}": the file exists`, "name another file");
}

function usage(message: string, hint: string): BulkheadError {
  return new BulkheadError("BH_USAGE", message, { kind: "usage", hint });
}
