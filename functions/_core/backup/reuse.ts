import type { RunLedger, SourceState } from "./export-source.ts";
import type { Keyring } from "../keys/keyring.ts";
import type { Manifest, ManifestObject } from "./manifest-schema.ts";
import type { ObjectStore } from "./object-store.ts";
import { objectsByTenant } from "./parts.ts";
import { GLOBAL_TENANT } from "./types.ts";

/** Requests at a time; B2 allows 500 a second. */
const LOOKS = 16;

/**
 * Objects of the previous backup that still say everything about their tenant: the ledger has no event of it
 * since, the schema is the same, its parts are where the manifest says, and their key is in the keyring.
 * A write that went round the triggers leaves no event: `--full` copies everything.
 *
 * @example
 * const kept = await unchangedObjects({ previous, state, ledger, store, keyring });
 */
export async function unchangedObjects(
  options: Since & { readonly store: ObjectStore },
): Promise<Map<string, readonly ManifestObject[]>> {
  const kept = await unchangedSince(options);
  const waiting = [...kept];
  // A night is mostly these requests, and the store is far away.
  await Promise.all(Array.from({ length: LOOKS }, async () => {
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const [tenant, parts] = next;
      if (!await isStored(parts, options.store)) kept.delete(tenant);
    }
  }));
  return kept;
}

/** What a look for unchanged tenants works with. */
export type Since = {
  readonly previous: Manifest;
  readonly state: SourceState;
  readonly ledger: RunLedger;
  readonly keyring: Keyring;
};

/** The same without a look into the store, which is a request for each object. */
export async function unchangedSince(
  { previous, state, ledger, keyring }: Since,
): Promise<Map<string, readonly ManifestObject[]>> {
  const kept = new Map<string, readonly ManifestObject[]>();
  if (previous.schemaFingerprint !== state.fingerprint) return kept;
  const run = await ledger.earlier(previous.id);
  if (!run || run.fingerprint !== state.fingerprint) return kept;
  const present = new Set(state.tenants);
  const keys = new Set(keyring.list().filter((key) => key.isCurrent).map((key) => key.id));
  for (const [tenant, parts] of groupsOf(previous)) {
    if (tenant === GLOBAL_TENANT || !present.has(tenant) || run.changedTenants.has(tenant)) {
      continue;
    }
    // After a rotation the next backup moves everybody to the new key.
    if (parts.every(({ keyId }) => keys.has(keyId))) kept.set(tenant, parts);
  }
  return kept;
}

/** Whether every part is there; it stays for another night, and so does its lock. */
export async function isStored(
  parts: readonly ManifestObject[],
  store: ObjectStore,
): Promise<boolean> {
  for (const { key, version, size } of parts) {
    const head = await store.head(key, { version });
    if (head?.size !== size) return false;
    await store.extendLock?.(head);
  }
  return true;
}

/** A backup with a part missing is somebody's to find out about; this one copies everything. */
function groupsOf(previous: Manifest): Map<string, readonly ManifestObject[]> {
  try {
    return objectsByTenant(previous);
  } catch {
    return new Map();
  }
}
