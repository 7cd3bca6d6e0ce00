import { BulkheadError } from "../errors.ts";
import { exportObject, TooLargeError } from "./export-object.ts";
import type { ExportSource, RunLedger, SourceState } from "./export-source.ts";
import type { Keyring } from "../keys/keyring.ts";
import { listBackups, type StoredManifest, writeManifest } from "./manifest.ts";
import { backupIdTime, newBackupId } from "./names.ts";
import type { ObjectStore } from "./object-store.ts";
import { writeRecovery } from "./recovery.ts";
import { unchangedObjects } from "./reuse.ts";
import { factsOf, manifestOf } from "./run-backup.ts";
import { GLOBAL_TENANT } from "./types.ts";

/** What a call can take: CPU is counted for the life of a worker, so the budget is in bytes. */
export const CALL_BYTES: number = 32 * 2 ** 20;

/** What one call of the function works with. */
export type EdgeBackupOptions = {
  readonly source: ExportSource;
  readonly ledger: RunLedger;
  readonly store: ObjectStore;
  readonly keyring: Keyring;
  readonly tool: string;
  readonly now: () => Date;
  /** Ask for the next call. */
  readonly callAgain: () => Promise<void>;
  /** Bytes before compression; default {@link CALL_BYTES}. */
  readonly maxBytes?: number;
};

/** How a call ended. */
export type EdgeBackupOutcome =
  | { readonly state: "busy" }
  | { readonly state: "continues"; readonly backup: string; readonly tenants: number }
  | { readonly state: "complete"; readonly backup: string; readonly rows: number };

/**
 * One call's share of a backup: tenants until the bytes are spent, then the next call goes on with the same
 * backup, from the objects that were recorded. Each object is its own snapshot, and the manifest says so. A call
 * that is killed leaves a lease that ends; who lost the lease can't record anything.
 *
 * @example
 * const outcome = await edgeBackup({ source, ledger, store, keyring, tool, now, callAgain });
 */
export async function edgeBackup(options: EdgeBackupOptions): Promise<EdgeBackupOutcome> {
  const { ledger } = options;
  let backup: string;
  try {
    backup = await ledger.claim(newBackupId(options.now()));
  } catch (error) {
    if (error instanceof BulkheadError && error.code === "BH602") return { state: "busy" };
    throw error;
  }
  try {
    const progress = await exportShare(backup, options);
    if (progress !== null) return progress;
    await ledger.release();
    await options.callAgain();
    return { state: "continues", backup, tenants: (await ledger.objects()).length };
  } catch (error) {
    const isLost = error instanceof BulkheadError && error.code === "BH603";
    if (!isLost) {
      await ledger.fail(error instanceof Error ? error.message : String(error)).catch(() => {});
    }
    throw error;
  }
}

async function exportShare(
  backup: string,
  options: EdgeBackupOptions,
): Promise<EdgeBackupOutcome | null> {
  const { ledger, store, keyring, source } = options;
  const state = await source.state();
  if (!await ledger.note(state.fingerprint)) throw schemaChanged(backup);
  const done = new Set((await ledger.objects()).map((object) => object.tenant));
  const leftOut = new Set(await ledger.leftOut());
  const previous = (await listBackups({ store, keyring })).valid[0];
  const budget = { left: options.maxBytes ?? CALL_BYTES, isFresh: true };
  await keyring.ensureTenantKeys([GLOBAL_TENANT, ...state.tenants]);
  for (const entry of await kept(previous, state, options)) {
    if (done.has(entry.tenant)) continue;
    await ledger.record(entry);
    done.add(entry.tenant);
  }
  for (const tenant of [...state.tenants, GLOBAL_TENANT]) {
    if (done.has(tenant) || leftOut.has(tenant)) continue;
    if (budget.left <= 0) return null;
    const taken = await exportOne(tenant, { backup, state, budget }, options);
    if (taken === "later") return null;
    if (taken === "too large") {
      // Nobody's data may be left out silently, and what belongs to no tenant can't be left out at all.
      if (tenant === GLOBAL_TENANT) throw new TooLargeError(tenant, options.maxBytes ?? CALL_BYTES);
      await ledger.note(state.fingerprint, tenant);
      return null;
    }
  }
  const objects = await ledger.objects();
  if (objects.length < 2) throw nothing(backup);
  await ledger.renew();
  const startedAt = backupIdTime(backup);
  const manifest = manifestOf({
    options,
    id: backup,
    startedAt,
    finishedAt: options.now(),
    state,
    previous,
    objects,
  });
  const stored = await writeManifest({ store, keyring, manifest });
  await writeRecovery({ store, manifest, keyring });
  const facts = factsOf(state, stored, keyring, await ledger.leftOut());
  await ledger.complete({ ...facts, snapshotXmin: null });
  return { state: "complete", backup, rows: manifest.rows };
}

async function kept(
  previous: StoredManifest | undefined,
  state: SourceState,
  { ledger, store, keyring }: EdgeBackupOptions,
) {
  if (!previous) return [];
  const found = await unchangedObjects({
    previous: previous.manifest,
    state,
    ledger,
    store,
    keyring,
  });
  return [...found.values()].flat();
}

async function exportOne(
  tenant: string,
  run: { backup: string; state: SourceState; budget: { left: number; isFresh: boolean } },
  options: EdgeBackupOptions,
): Promise<"done" | "later" | "too large"> {
  const { budget } = run;
  const limit = budget.left;
  const session = await options.source.openSession();
  try {
    const entry = await exportObject({
      session,
      tenant,
      store: options.store,
      keyring: options.keyring,
      tables: run.state.tables,
      backup: run.backup,
      createdAt: options.now(),
      maxRawBytes: limit,
      onBytes: (bytes) => budget.left -= bytes,
    });
    await options.ledger.record(entry);
    return "done";
  } catch (error) {
    if (!(error instanceof TooLargeError)) throw error;
    return budget.isFresh ? "too large" : "later";
  } finally {
    budget.isFresh = false;
    await session.close();
  }
}

function schemaChanged(backup: string): BulkheadError {
  return new BulkheadError(
    "BH_SCHEMA_CHANGED",
    `Cannot go on with the backup "${backup}": the schema has changed since it began`,
    { kind: "red", hint: "The next backup starts anew" },
  );
}

function nothing(backup: string): BulkheadError {
  return new BulkheadError(
    "BH_NO_TENANTS",
    `Cannot complete the backup "${backup}": it holds no tenant`,
    { kind: "red", hint: "Check the database; tenants too large for the function need the runner" },
  );
}
