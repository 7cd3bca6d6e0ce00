import { BulkheadError } from "../errors.ts";
import { sha256, toHex } from "../bytes.ts";
import { hideHashes, showHashes } from "./content-hashes.ts";
import type { Keyring } from "../keys/keyring.ts";
import { type Manifest, manifestBody, signedManifest } from "./manifest-schema.ts";
import { checkBackupId, manifestKey, PREFIX } from "./names.ts";
import type { ObjectStore, StoredObject } from "./object-store.ts";
import { readSigned, readSmall, signDocument } from "../keys/signed-document.ts";

const LIMIT = 256 << 20;

/** A manifest in the store, read and verified. */
export interface StoredManifest {
  readonly manifest: Manifest;
  readonly stored: StoredObject;
  /** Of the manifest's bytes; what the next manifest's `previous` names. */
  readonly sha256: string;
}

/** Every version under `manifests/` that holds data, newest backup first, the broken ones with their error. */
export interface BackupListing {
  readonly valid: readonly StoredManifest[];
  readonly invalid: readonly { readonly stored: StoredObject; readonly error: BulkheadError }[];
}

/**
 * Sign and write a manifest: the last step of a backup, and what makes it one.
 *
 * @example
 * const written = await writeManifest({ store, keyring, manifest });
 * @throws BulkheadError `BH_STORE_EXISTS` when the backup has a manifest already.
 */
export async function writeManifest(
  options: { store: ObjectStore; keyring: Keyring; manifest: Manifest; retainUntil?: Date },
): Promise<StoredManifest> {
  const { manifest } = options;
  // What it only references was checked when the manifest that made it was read.
  const own = manifest.objects.filter(({ backup }) => backup === manifest.id);
  manifestBody.parse({ ...manifest, objects: own.length > 0 ? own : manifest.objects });
  const signer = await options.keyring.manifestKey();
  const bytes = await signDocument({
    purpose: "manifest",
    body: await hideHashes(manifest, signer),
    signer,
    keyId: signer.id,
  });
  const stored = await options.store.put(manifestKey(manifest.id), bytes, {
    contentType: "application/json",
    ifAbsent: true,
    ...(options.retainUntil ? { retainUntil: options.retainUntil } : {}),
  });
  return { manifest, stored, sha256: toHex(await sha256(bytes)) };
}

/**
 * All backups of a store. Reads versions, so a manifest that was hidden or shadowed is still found;
 * what cannot be read or verified is listed with its error, never left out.
 */
export async function listBackups(
  options: { store: ObjectStore; keyring: Keyring },
): Promise<BackupListing> {
  const valid: StoredManifest[] = [];
  const invalid: { stored: StoredObject; error: BulkheadError }[] = [];
  for await (const stored of options.store.listVersions(PREFIX.manifests)) {
    if (stored.isDeleteMarker) continue;
    try {
      valid.push(await readManifest({ ...options, stored }));
    } catch (error) {
      // The store itself failing is not a property of this manifest.
      if (!(error instanceof BulkheadError) || error.kind !== "integrity") throw error;
      invalid.push({ stored, error });
    }
  }
  valid.sort((a, b) => (a.manifest.id < b.manifest.id ? 1 : -1));
  invalid.sort((a, b) => (a.stored.key < b.stored.key ? 1 : -1));
  return { valid, invalid };
}

/**
 * The newest backup whose manifest verifies (or the one named, if it does), reading no more manifests than that takes:
 * what the next backup builds on. Null when there is none; `onInvalid` hears of those that were passed over. What is
 * restored is chosen by `newestBackup`.
 */
export async function latestBackup(
  options: {
    store: ObjectStore;
    keyring: Keyring;
    id?: string;
    onInvalid?: (error: BulkheadError) => void;
  },
): Promise<StoredManifest | null> {
  const versions: StoredObject[] = [];
  const wanted = options.id === undefined ? undefined : manifestKey(options.id);
  for await (const stored of options.store.listVersions(wanted ?? PREFIX.manifests)) {
    if (!stored.isDeleteMarker && (wanted ?? stored.key) === stored.key) versions.push(stored);
  }
  versions.sort((a, b) => (a.key < b.key ? 1 : -1));
  for (const stored of versions) {
    try {
      return await readManifest({ ...options, stored });
    } catch (error) {
      if (!(error instanceof BulkheadError) || error.kind !== "integrity") throw error;
      options.onInvalid?.(error);
    }
  }
  return null;
}

async function readManifest(
  of: { store: ObjectStore; keyring: Keyring; stored: StoredObject },
): Promise<StoredManifest> {
  const { key, version } = of.stored;
  const bytes = await readSmall(await of.store.get(key, { version }), LIMIT);
  const { manifest: body, signature } = await readSigned(bytes, {
    purpose: "manifest",
    name: key,
    schema: signedManifest,
    signer: (keyId) => of.keyring.manifestKey(keyId),
  });
  const manifest = await showHashes(body, await of.keyring.manifestKey(signature.keyId));
  if (manifestKey(manifest.id) !== key) {
    throw new BulkheadError(
      "BH_MANIFEST_INVALID",
      `Cannot read the manifest "${key}": it belongs to backup ${manifest.id}`,
      { kind: "integrity", hint: "Somebody copied it there; find out who" },
    );
  }
  return { manifest, stored: of.stored, sha256: toHex(await sha256(bytes)) };
}

/**
 * The newest complete backup, or the one named. Throws when anything newer does not verify: falling
 * back to an older backup is a decision for a person, made by naming it.
 *
 * @example
 * const { manifest } = await newestBackup({ store, keyring });
 * @throws BulkheadError `BH_NO_BACKUP` (kind `red`), `BH_MANIFEST_INVALID` (kind `integrity`),
 * `BH_BACKUP_ID` (kind `usage`).
 */
export async function newestBackup(
  options: { store: ObjectStore; keyring: Keyring; id?: string },
): Promise<StoredManifest> {
  // An empty id is a shell variable that was not set, and never the newest backup.
  if (options.id !== undefined) checkBackupId(options.id);
  const { valid, invalid } = await listBackups(options);
  const found = options.id ? valid.find(({ manifest }) => manifest.id === options.id) : valid[0];
  const wanted = options.id ? manifestKey(options.id) : undefined;
  const broken = invalid.find(({ stored }) =>
    wanted ? !found && stored.key === wanted : !found || stored.key > found.stored.key
  );
  if (broken) throw broken.error;
  if (found) return found;
  if (options.id === undefined || valid.length === 0) throw noBackup(options.store);
  throw new BulkheadError(
    "BH_NO_BACKUP",
    `Cannot find the backup "${options.id}" in ${options.store.describe()}: the store does not hold it`,
    { kind: "red", hint: "List those that it holds: npx bulkhead backups list" },
  );
}

/** The error of a store without backups. */
export function noBackup(store: ObjectStore): BulkheadError {
  return new BulkheadError(
    "BH_NO_BACKUP",
    `Cannot find a backup in ${store.describe()}: there is none`,
    { kind: "red", hint: "Make one: npx bulkhead backup; or check BULKHEAD_STORE" },
  );
}

/** One thing wrong with a stored backup. */
export interface ObjectProblem {
  readonly key: string;
  readonly tenant: string;
  readonly state: "missing" | "size";
  readonly detail: string;
}

/**
 * Whether every object that a manifest pins is there, in that version, with that size. No key is needed
 * and nothing is downloaded; reading every byte is `openObject`'s part.
 */
export async function verifyObjects(
  options: { store: ObjectStore; manifest: Manifest },
): Promise<ObjectProblem[]> {
  const problems: ObjectProblem[] = [];
  for (const { key, tenant, version, size } of options.manifest.objects) {
    const head = await options.store.head(key, { version });
    if (!head) {
      problems.push({ key, tenant, state: "missing", detail: `version ${version} is gone` });
    } else if (head.size !== size) {
      const detail = `${head.size} bytes instead of ${size}`;
      problems.push({ key, tenant, state: "size", detail });
    }
  }
  return problems;
}
