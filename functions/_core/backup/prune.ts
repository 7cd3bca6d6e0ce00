import { BulkheadError } from "../errors.ts";
import type { Keyring } from "../keys/keyring.ts";
import { type BackupListing, listBackups, type StoredManifest } from "./manifest.ts";
import { PREFIX } from "./names.ts";
import type { ObjectStore, StoredObject, StoredVersion } from "./object-store.ts";
import type { RetentionBackup, RetentionPlan } from "./retention-types.ts";
import { planRetention } from "./retention.ts";

/** A second wall, should two clocks or two databases disagree on which backup is still being written. */
const ORPHAN_GRACE = 48 * 3_600_000;
/** Which backup wrote an object. Whatever else lies there is not Bulkhead's to delete. */
const OBJECT = /^objects\/[^/]+\/(\d{8}T\d{6}Z-[0-9a-f]{8})-\d{5}\.bhb$/;
/** `holds/<backup id>` keeps a backup whatever the policy says. */
const HOLDS = "holds/";

export interface PruneOptions {
  readonly store: ObjectStore;
  readonly keyring: Keyring;
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
  readonly now: Date;
  readonly isForced?: boolean;
}

export interface PrunePlan {
  readonly retention: RetentionPlan;
  /** What would go, manifest before objects, oldest backup first. */
  readonly backups: readonly {
    readonly id: string;
    readonly manifests: readonly StoredObject[];
    /** Only what no manifest that stays references; another one that goes may have it too. */
    readonly objects: readonly StoredObject[];
  }[];
  /** Left by backups that never finished, older than two days. */
  readonly orphans: readonly StoredObject[];
  /** Half-written files that are older go too, where the store keeps any. */
  readonly unfinishedBefore: Date;
  readonly invalid: BackupListing["invalid"];
  /** What the plan was made from; applying looks again. */
  readonly seen: readonly string[];
}

/** What was deleted, and what the store would not let go. */
export interface PruneResult {
  readonly removedBackups: readonly string[];
  readonly deletedVersions: number;
  readonly freedBytes: number;
  readonly locked: readonly string[];
}

const pin = (object: { key: string; version: string }) => `${object.key}@${object.version}`;

/**
 * Look at the whole store and say what retention would remove. Deletes nothing.
 *
 * @example
 * const plan = await planPrune({ store, keyring, daily: 30, weekly: 12, monthly: 12, now: new Date() });
 * @throws BulkheadError `BH_PRUNE_BLIND` where a manifest cannot be read: what it references is not known.
 */
export async function planPrune(options: PruneOptions): Promise<PrunePlan> {
  const { store, now } = options;
  const listing = await listBackups(options);
  const known = groupById(listing.valid);
  refuseBlind(listing, known, store);
  const stored = new Map<string, StoredVersion>();
  for await (const version of store.listVersions(PREFIX.objects)) {
    if (!version.isDeleteMarker) stored.set(pin(version), version);
  }
  const held = new Set<string>();
  for await (const { key } of store.listVersions(HOLDS)) held.add(key.slice(HOLDS.length));
  const seen = await manifestPins(store);
  const listed = [...listing.valid, ...listing.invalid].map((entry) => pin(entry.stored)).sort();

  // A damaged version beside a sound manifest: without the sound one, nobody could prune any more.
  for (const { stored: { key } } of listing.invalid) held.add(idOf(key));

  const backups = [...known].map(([id, versions]): RetentionBackup => ({
    id,
    at: new Date(versions[0]!.manifest.startedAt),
    state: versions.some((version) => isWhole(version, stored)) ? "verified" : "unverified",
    isHeld: held.has(id),
  }));
  const retention = planRetention(backups, {
    ...options,
    isListingComplete: seen.join() === listed.join(),
    storeClock: await store.clock?.() ?? null,
  });

  const removed = new Set(retention.remove);
  const kept = new Set<string>(), all = new Set<string>();
  for (const { manifest } of listing.valid) {
    for (const object of manifest.objects) {
      all.add(pin(object));
      if (!removed.has(manifest.id)) kept.add(pin(object));
    }
  }
  const newest = listing.valid[0]?.manifest.id ?? "";
  const unfinishedBefore = new Date(now.getTime() - ORPHAN_GRACE);
  const isBlocked = retention.stops.some(({ code }) => code !== "share");
  return {
    retention,
    backups: retention.remove.map((id) => {
      const versions = known.get(id) ?? [];
      const objects = versions.flatMap(({ manifest }) => manifest.objects.map(pin))
        .filter((at) => !kept.has(at))
        .flatMap((at) => stored.get(at) ?? []);
      return { id, manifests: versions.map((version) => version.stored), objects };
    }),
    orphans: isBlocked ? [] : [...stored.values()].filter((object) =>
      // One backup runs at a time, so one that began before the newest manifest's has ended.
      !all.has(pin(object)) && object.modifiedAt < unfinishedBefore &&
      (OBJECT.exec(object.key)?.[1] ?? "~") <= newest
    ),
    unfinishedBefore,
    invalid: listing.invalid,
    seen,
  };
}

/**
 * Delete what the plan says, version by version. All manifests go before any object, since several may name the same
 * one: a crash leaves orphans (which the next run collects) and never a manifest that points at nothing. A backup whose
 * manifest is locked stays whole.
 *
 * @throws BulkheadError `BH_PRUNE_STOPPED` (kind `red`) where the plan has a stop, or the store changed.
 */
export async function applyPrune(store: ObjectStore, plan: PrunePlan): Promise<PruneResult> {
  const [stop] = plan.retention.stops;
  if (stop) throw pruneStopped(store, stop);
  if ((await manifestPins(store)).join() !== plan.seen.join()) {
    throw pruneStopped(store, { message: "a backup was written meanwhile", hint: "Run it again" });
  }
  const locked: string[] = [];
  let deletedVersions = 0, freedBytes = 0;
  const remove = async (object: StoredObject): Promise<boolean> => {
    try {
      await store.deleteVersion(object.key, object.version);
    } catch (error) {
      if (!(error instanceof BulkheadError) || error.code !== "BH_STORE_LOCKED") throw error;
      locked.push(pin(object));
      return false;
    }
    deletedVersions++;
    freedBytes += object.size;
    return true;
  };
  const gone: PrunePlan["backups"][number][] = [];
  // Done with, or still named by a manifest that is locked.
  const spared = new Set<string>();
  for (const backup of plan.backups) {
    let isGone = true;
    for (const manifest of backup.manifests) isGone = await remove(manifest) && isGone;
    if (isGone) gone.push(backup);
    else for (const object of backup.objects) spared.add(pin(object));
  }
  for (const { objects } of gone) {
    for (const object of objects) {
      if (spared.has(pin(object))) continue;
      spared.add(pin(object));
      await remove(object);
    }
  }
  for (const orphan of plan.orphans) await remove(orphan);
  await store.sweep?.(plan.unfinishedBefore);
  return { removedBackups: gone.map(({ id }) => id), deletedVersions, freedBytes, locked };
}

const idOf = (manifestKey: string): string =>
  manifestKey.slice(PREFIX.manifests.length).replace(/\.json$/, "");

function groupById(valid: readonly StoredManifest[]): Map<string, StoredManifest[]> {
  const groups = new Map<string, StoredManifest[]>();
  for (const entry of valid) {
    groups.set(entry.manifest.id, [...groups.get(entry.manifest.id) ?? [], entry]);
  }
  return groups;
}

/** An unreadable version next to a valid one hides nothing; an unreadable backup might reference anything. */
function refuseBlind(
  listing: BackupListing,
  known: ReadonlyMap<string, unknown>,
  store: ObjectStore,
): void {
  const blind = listing.invalid.find(({ stored }) => !known.has(idOf(stored.key)));
  if (!blind) return;
  throw new BulkheadError(
    "BH_PRUNE_BLIND",
    `Cannot prune ${store.describe()}: ${blind.error.message}`,
    { kind: "integrity", hint: blind.error.hint, cause: blind.error },
  );
}

function isWhole(entry: StoredManifest, stored: ReadonlyMap<string, StoredVersion>): boolean {
  return entry.manifest.objects.every((object) => stored.get(pin(object))?.size === object.size);
}

async function manifestPins(store: ObjectStore): Promise<string[]> {
  const pins: string[] = [];
  for await (const version of store.listVersions(PREFIX.manifests)) {
    if (!version.isDeleteMarker) pins.push(pin(version));
  }
  return pins.sort();
}

/** The error of a plan that must not be applied. */
export function pruneStopped(
  store: ObjectStore,
  stop: { readonly message: string; readonly hint: string },
): BulkheadError {
  return new BulkheadError(
    "BH_PRUNE_STOPPED",
    `Cannot prune ${store.describe()}: ${stop.message}`,
    { kind: "red", hint: stop.hint },
  );
}
