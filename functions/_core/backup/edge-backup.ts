import { BulkheadError } from "../errors.ts";
import { isComparisonDue } from "./compare-content.ts";
import { type CallBudget, openBudget, type WorkerLife } from "./edge-budget.ts";
import type { EdgeLedger } from "./edge-ledger.ts";
import { exportObject, TooLargeError } from "./export-object.ts";
import type { ExportSource, SourceState } from "./export-source.ts";
import type { Keyring } from "../keys/keyring.ts";
import { latestBackup, type StoredManifest, writeManifest } from "./manifest.ts";
import { backupIdTime, newBackupId, refuseReserved } from "./names.ts";
import type { ObjectStore } from "./object-store.ts";
import { writeRecovery } from "./recovery.ts";
import { isStored, unchangedSince } from "./reuse.ts";
import { factsOf, linkTo, manifestOf } from "./run-backup.ts";
import { GLOBAL_TENANT } from "./types.ts";

/** What ended its worker so often is left out: it would do so for ever, and hold up all others. */
const MAX_ATTEMPTS = 5;
/** A manifest of more tenants is written by a call that has done nothing else. */
const LARGE_MANIFEST = 200;

/** What one call of the function works with. */
export type EdgeBackupOptions = {
  readonly source: ExportSource;
  readonly ledger: EdgeLedger;
  readonly store: ObjectStore;
  readonly keyring: Keyring;
  readonly tool: string;
  readonly now: () => Date;
  /** Ask for the next call. */
  readonly callAgain: () => Promise<void>;
  /** Only go on with a run, never begin one: a call that comes late or twice begins no second backup. */
  readonly resumeOnly?: boolean;
  /** What this worker has taken in earlier calls; added to. */
  readonly worker?: WorkerLife;
};

/** How a call ended. */
export type EdgeBackupOutcome =
  | { readonly state: "busy" }
  | { readonly state: "idle" }
  | { readonly state: "continues"; readonly backup: string }
  | { readonly state: "complete"; readonly backup: string; readonly rows: number };

/**
 * One call's share of a backup: tenants, or parts of one, until the bytes are spent; the next call goes on with what
 * was recorded. A tenant's parts show one moment, two tenants two, and the manifest says so. A call that is killed
 * leaves a lease that ends; who lost the lease can't record anything.
 *
 * @example
 * const outcome = await edgeBackup({ source, ledger, store, keyring, tool, now, callAgain });
 */
export async function edgeBackup(options: EdgeBackupOptions): Promise<EdgeBackupOutcome> {
  const { ledger, now, worker = { spent: 0 } } = options;
  let backup: string | null;
  try {
    backup = options.resumeOnly ? await ledger.resume() : await ledger.claim(newBackupId(now()));
  } catch (error) {
    if (error instanceof BulkheadError && error.code === "BH602") return { state: "busy" };
    throw error;
  }
  if (backup === null) return { state: "idle" };
  try {
    const budget = openBudget({ bytes: await ledger.callBytes(), worker, now });
    const progress = budget.isSpent ? null : await exportShare({ backup, budget }, options);
    if (progress !== null) return progress;
    await ledger.release();
    // The next call would come to the same worker: bulkhead.resume_backup() calls when there is a new one.
    if (!budget.isSpent) await options.callAgain();
    return { state: "continues", backup };
  } catch (error) {
    const isLost = error instanceof BulkheadError && error.code === "BH603";
    if (!isLost) {
      await ledger.fail(error instanceof Error ? error.message : String(error)).catch(() => {});
    }
    throw error;
  }
}

type Call = { readonly backup: string; readonly budget: CallBudget };

async function exportShare(
  call: Call,
  options: EdgeBackupOptions,
): Promise<EdgeBackupOutcome | null> {
  const { backup, budget } = call;
  const { ledger, store, keyring, source } = options;
  const state = await source.state();
  refuseReserved(state.tenants);
  if (!await ledger.note(state.fingerprint)) throw schemaChanged(backup);
  const previous = await latestBackup({ store, keyring });
  // A call before this one wrote it, and was ended before it could say so.
  if (previous?.manifest.id === backup) return await complete(previous, state, options);
  const progress = await ledger.progress();
  const leftOut = new Set(await ledger.leftOut());
  await keyring.ensureTenantKeys([GLOBAL_TENANT, ...state.tenants]);
  // Once a week everything is copied: who wrote past the triggers left no event.
  const kept = !previous || await isComparisonDue(ledger, backupIdTime(backup))
    ? new Map<string, never>()
    : await unchangedSince({ previous: previous.manifest, state, ledger, keyring });
  for (const tenant of [...state.tenants, GLOBAL_TENANT]) {
    const stage = progress.get(tenant);
    if (stage === "done" || leftOut.has(tenant)) continue;
    if (!budget.allows(0)) return null;
    const parts = stage === undefined ? kept.get(tenant) : undefined;
    if (parts) {
      budget.spend(0);
      if (await isStored(parts, store)) {
        await ledger.recordParts(parts, parts.length);
        continue;
      }
    }
    const taken = await exportTenant(tenant, { ...call, state }, options);
    if (taken === "later") return null;
    if (taken === "left out") {
      // Nobody's data may be left out silently, and what belongs to no tenant can't be left out at all.
      if (tenant === GLOBAL_TENANT) throw new TooLargeError(tenant);
      await ledger.note(state.fingerprint, tenant);
    }
  }
  if (!budget.isFresh && progress.size > LARGE_MANIFEST) return null;
  const objects = await ledger.objects();
  if (new Set(objects.map((object) => object.tenant)).size < 2) throw nothing(backup);
  await ledger.renew();
  const manifest = manifestOf({
    options,
    id: backup,
    startedAt: backupIdTime(backup),
    finishedAt: options.now(),
    state,
    previous: previous && linkTo(previous),
    objects,
  });
  const stored = await writeManifest({ store, keyring, manifest }).catch(async (error) => {
    const isThere = error instanceof BulkheadError && error.code === "BH_STORE_EXISTS";
    const written = isThere ? await latestBackup({ store, keyring, id: backup }) : null;
    if (!written) throw error;
    return written;
  });
  return await complete(stored, state, options);
}

async function complete(
  stored: StoredManifest,
  state: SourceState,
  options: EdgeBackupOptions,
): Promise<EdgeBackupOutcome> {
  const { ledger, store, keyring } = options;
  const { manifest } = stored;
  await writeRecovery({ store, manifest, keyring });
  const facts = factsOf(state, stored, keyring, await ledger.leftOut());
  const isCompared = facts.referenced.length === 0;
  await ledger.complete({ ...facts, isCompared, snapshotXmin: null });
  return { state: "complete", backup: manifest.id, rows: manifest.rows };
}

async function exportTenant(
  tenant: string,
  { backup, budget }: Call & { state: SourceState },
  options: EdgeBackupOptions,
): Promise<"done" | "later" | "left out"> {
  const { ledger, store, keyring, now } = options;
  const isHopeless = async (part: number) =>
    await ledger.attempt(`${tenant} ${part}`) > MAX_ATTEMPTS;
  let parts = await ledger.staged(tenant);
  if (!parts) {
    if (await isHopeless(0) || !await ledger.stage(tenant)) return "left out";
    parts = await ledger.staged(tenant) ?? [];
  }
  for (const { part, of, bytes, tables, session } of parts) {
    if (!budget.allows(bytes)) return "later";
    if (await isHopeless(part)) return "left out";
    budget.spend(bytes);
    const entry = await exportObject({
      session,
      tenant,
      store,
      keyring,
      tables,
      backup,
      part,
      createdAt: now(),
    });
    await ledger.recordParts([entry], of);
  }
  return "done";
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
