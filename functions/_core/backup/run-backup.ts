import { BulkheadError } from "../errors.ts";
import { exportObject } from "./export-object.ts";
import type { ExportSession, ExportSource, RunLedger, SourceState } from "./export-source.ts";
import type { Keyring } from "../keys/keyring.ts";
import { latestBackup, type StoredManifest, writeManifest } from "./manifest.ts";
import type { Manifest, ManifestObject } from "./manifest-schema.ts";
import { newBackupId, refuseReserved } from "./names.ts";
import type { ObjectStore } from "./object-store.ts";
import { tenantsIn } from "./parts.ts";
import { writeRecovery } from "./recovery.ts";
import type { SealTools } from "./seal.ts";
import { isComparisonDue, isContentOf } from "./compare-content.ts";
import { unchangedObjects } from "./reuse.ts";
import { GLOBAL_TENANT } from "./types.ts";

/** What happens while a backup runs; one line each with --json. */
export type BackupProgress =
  | { readonly event: "started"; readonly backup: string; readonly tenants: number }
  | { readonly event: "warning"; readonly message: string }
  | { readonly event: "unrecorded"; readonly tenant: string }
  | { readonly event: "bytes"; readonly bytes: number }
  | {
    readonly event: "object";
    readonly tenant: string;
    readonly rows: number;
    readonly size: number;
    readonly isReferenced: boolean;
  };

/** Everything a backup works with. */
export type RunBackupOptions = {
  readonly source: ExportSource;
  readonly ledger: RunLedger;
  readonly store: ObjectStore;
  readonly keyring: Keyring;
  /** The kit's version, for the manifest. */
  readonly tool: string;
  /** The platform's own gzip and SHA-256; default: the Web's. */
  readonly sealTools?: SealTools;
  /** Tenants at a time; default 2. */
  readonly concurrency?: number;
  /** Copy everything, referencing nothing. */
  readonly full?: boolean;
  readonly now?: () => Date;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: BackupProgress) => void;
};

/** What came out. */
export type BackupResult = {
  readonly manifest: Manifest;
  readonly stored: StoredManifest;
  /** Tenants whose earlier object stands for them. */
  readonly referenced: number;
  /** Tenants whose rows had changed without an event in the ledger; they were copied. */
  readonly unrecorded: readonly string[];
};

/**
 * Back up every tenant in one snapshot: one object each, several at a time, `@global` after them, the
 * manifest last. Until the manifest is written there is no backup; what fails is recorded and reported.
 *
 * @example
 * const { manifest } = await runBackup({ source, ledger, store, keyring, tool: "0.1.0" });
 */
export async function runBackup(options: RunBackupOptions): Promise<BackupResult> {
  const now = options.now ?? (() => new Date());
  const startedAt = now();
  const { ledger, store, keyring } = options;
  // The database works on it while the run is claimed, and a failure of it belongs to that run.
  const reading = options.source.state();
  reading.catch(() => {});
  const id = await ledger.claim(newBackupId(startedAt));
  try {
    const building = buildOn(options, reading);
    building.catch(() => {});
    // Whatever has changed, `@global` needs one.
    const first = options.source.openSession();
    first.catch(() => {});
    const state = await reading;
    if (state.tenants.length === 0) throw noTenants(state);
    refuseReserved(state.tenants);
    options.onProgress?.({ event: "started", backup: id, tenants: state.tenants.length });
    const { previous, reused } = await building;
    const isCompared = reused.size === 0 || await isComparisonDue(ledger, startedAt);
    await options.keyring.ensureTenantKeys([GLOBAL_TENANT, ...state.tenants]);
    const unrecorded: string[] = [];
    const objects = await exportAll({
      ...options,
      id,
      state,
      first,
      reused,
      isCompared,
      createdAt: startedAt,
      onUnrecorded: (tenant) => {
        unrecorded.push(tenant);
        options.onProgress?.({ event: "unrecorded", tenant });
      },
    });
    options.signal?.throwIfAborted();
    await ledger.renew();
    const stored = await writeManifest({
      store,
      keyring,
      manifest: manifestOf({ options, id, startedAt, finishedAt: now(), state, previous, objects }),
    });
    await writeRecovery({ store, manifest: stored.manifest, keyring });
    await ledger.complete({ ...factsOf(state, stored, keyring), isCompared, unrecorded });
    return {
      manifest: stored.manifest,
      stored,
      referenced: reused.size - unrecorded.length,
      unrecorded,
    };
  } catch (error) {
    // The run's own record must not hide what went wrong.
    await ledger.fail(error instanceof Error ? error.message : String(error)).catch(() => {});
    throw error;
  }
}

/** What the backup before leaves of the work. Its manifest is the largest thing in memory, and stays in here. */
async function buildOn(
  { ledger, store, keyring, full, onProgress }: RunBackupOptions,
  reading: Promise<SourceState>,
): Promise<{
  previous: Manifest["previous"];
  reused: ReadonlyMap<string, readonly ManifestObject[]>;
}> {
  const [state, found] = await Promise.all([
    reading,
    latestBackup({
      store,
      keyring,
      onInvalid: ({ message }) => onProgress?.({ event: "warning", message }),
    }),
  ]);
  if (!found) return { previous: null, reused: new Map() };
  const reused = full
    ? new Map()
    : await unchangedObjects({ previous: found.manifest, state, ledger, store, keyring });
  return { previous: linkTo(found), reused };
}

/**
 * Record a failure that came before there was a run (no keyring, the wrong key): a backup that could not even
 * begin must be seen too. Silent when somebody else is at work or the database is away.
 */
export async function recordFailure(ledger: RunLedger, error: unknown, now: Date): Promise<void> {
  try {
    await ledger.claim(newBackupId(now));
    await ledger.fail(error instanceof Error ? error.message : String(error));
  } catch {
    // The error itself is on its way to whoever called.
  }
}

type ExportAll = RunBackupOptions & {
  readonly id: string;
  readonly state: SourceState;
  readonly first: Promise<ExportSession>;
  readonly reused: ReadonlyMap<string, readonly ManifestObject[]>;
  readonly isCompared: boolean;
  readonly createdAt: Date;
  readonly onUnrecorded: (tenant: string) => void;
};

async function exportAll(options: ExportAll): Promise<ManifestObject[]> {
  const waiting = [...options.state.tenants];
  const objects: ManifestObject[] = [];
  const failed = new AbortController();
  const sessions: ExportSession[] = [];
  const opening = [options.first];
  const open = async () => {
    const session = await (opening.pop() ?? options.source.openSession());
    sessions.push(session);
    return session;
  };
  const worker = async () => {
    let session: ExportSession | undefined;
    try {
      for (let tenant = waiting.shift(); tenant !== undefined; tenant = waiting.shift()) {
        options.signal?.throwIfAborted();
        if (failed.signal.aborted) return;
        let kept = options.reused.get(tenant);
        if (!kept || options.isCompared) session ??= await open();
        if (kept && session && options.isCompared) {
          const isSame = await isContentOf(kept, { session, tenant, tables: options.state.tables });
          if (!isSame) options.onUnrecorded(tenant);
          if (!isSame) kept = undefined;
        }
        const made = kept ?? [await exportOne(session, tenant, options)];
        objects.push(...made);
        for (const object of made) report(object, kept !== undefined, options);
      }
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  };
  const workers = Array.from(
    { length: Math.max(1, Math.min(options.concurrency ?? 2, waiting.length)) },
    worker,
  );
  try {
    for (const result of await Promise.allSettled(workers)) {
      if (result.status === "rejected") throw failed.signal.reason;
    }
    // One that a tenant had sees the same moment where the snapshot is shared; else `@global` is to be the last.
    const [shared] = options.source.snapshot === "shared" ? sessions : [];
    objects.push(await exportOne(shared ?? await open(), GLOBAL_TENANT, options));
    report(objects[objects.length - 1], false, options);
  } finally {
    await Promise.all(sessions.map((session) => session.close()));
  }
  return objects;
}

async function exportOne(
  session: ExportSession | undefined,
  tenant: string,
  options: ExportAll,
): Promise<ManifestObject> {
  if (!session) throw new TypeError("no session");
  const entry = await exportObject({
    session,
    tenant,
    store: options.store,
    keyring: options.keyring,
    tables: options.state.tables,
    backup: options.id,
    createdAt: options.createdAt,
    sealTools: options.sealTools,
    onBytes: (bytes) => {
      // Ends the upload in mid-stream: nothing of a half-written object becomes visible.
      options.signal?.throwIfAborted();
      options.onProgress?.({ event: "bytes", bytes });
    },
  });
  await options.ledger.record(entry);
  return entry;
}

function report(
  entry: ManifestObject | undefined,
  isReferenced: boolean,
  options: RunBackupOptions,
): void {
  if (!entry) return;
  const { tenant, rows, size } = entry;
  options.onProgress?.({ event: "object", tenant, rows, size, isReferenced });
}

/** What a manifest says of the one before it. */
export function linkTo({ stored, sha256 }: StoredManifest): Manifest["previous"] {
  return { key: stored.key, sha256 };
}

/** The manifest of a run; `objects` in any order. */
export function manifestOf(of: {
  readonly options: { readonly tool: string; readonly source: ExportSource };
  readonly id: string;
  readonly startedAt: Date;
  readonly finishedAt: Date;
  readonly state: SourceState;
  readonly previous: Manifest["previous"];
  readonly objects: readonly ManifestObject[];
}): Manifest {
  const objects = [...of.objects].sort((a, b) =>
    a.tenant < b.tenant ? -1 : a.tenant > b.tenant ? 1 : a.part - b.part
  );
  return {
    format: 1,
    id: of.id,
    tool: of.options.tool,
    source: of.options.source.snapshot === "shared" ? "runner" : "edge",
    snapshot: of.options.source.snapshot,
    project: of.state.project,
    startedAt: of.startedAt.toISOString(),
    finishedAt: of.finishedAt.toISOString(),
    schemaFingerprint: of.state.fingerprint,
    migrations: [...of.state.migrations],
    auditHead: of.state.auditHead,
    previous: of.previous,
    rows: objects.reduce((sum, object) => sum + object.rows, 0),
    objects,
  };
}

/** What the run's row in the database says about a written manifest. */
export function factsOf(
  state: SourceState,
  stored: StoredManifest,
  { kekSince }: Pick<Keyring, "kekSince">,
  leftOut: readonly string[] = [],
) {
  const { manifest } = stored;
  return {
    snapshotXmin: state.snapshotXmin,
    fingerprint: state.fingerprint,
    tenants: tenantsIn(manifest),
    rows: manifest.rows,
    rawBytes: manifest.objects.reduce((sum, object) => sum + object.rawBytes, 0),
    storedBytes: manifest.objects.reduce((sum, object) => sum + object.size, 0),
    manifestKey: stored.stored.key,
    manifestSha256: stored.sha256,
    leftOut,
    isCompared: false,
    unrecorded: [],
    kekSince,
    referenced: [
      ...new Set(
        manifest.objects.flatMap(({ backup, tenant }) => backup === manifest.id ? [] : [tenant]),
      ),
    ],
  };
}

function noTenants(state: SourceState): BulkheadError {
  return new BulkheadError(
    "BH_NO_TENANTS",
    `Cannot back up "${state.project}": there are no tenants`,
    {
      kind: "red",
      hint:
        "Check that the connection string names the right database: an empty backup would hide a mistake",
    },
  );
}
