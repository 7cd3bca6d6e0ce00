import type { RunLedger, SourceState } from "./export-source.ts";
import type { Keyring } from "../keys/keyring.ts";
import type { Manifest, ManifestObject } from "./manifest-schema.ts";
import type { ObjectStore } from "./object-store.ts";
import { GLOBAL_TENANT } from "./types.ts";

/**
 * Objects of the previous backup that still say everything about their tenant: the ledger has no event of it
 * since, the schema is the same, the object is where the manifest says, and its key is in the keyring.
 * A write that went round the triggers leaves no event: `--full` copies everything.
 *
 * @example
 * const kept = await unchangedObjects({ previous, state, ledger, store, keyring });
 */
export async function unchangedObjects(options: {
  readonly previous: Manifest;
  readonly state: SourceState;
  readonly ledger: RunLedger;
  readonly store: ObjectStore;
  readonly keyring: Keyring;
}): Promise<Map<string, ManifestObject>> {
  const { previous, state, ledger, store, keyring } = options;
  const kept = new Map<string, ManifestObject>();
  if (previous.schemaFingerprint !== state.fingerprint) return kept;
  const run = await ledger.earlier(previous.id);
  if (!run || run.fingerprint !== state.fingerprint) return kept;
  const present = new Set(state.tenants);
  const keys = new Set(keyring.list().filter((key) => key.isCurrent).map((key) => key.id));
  for (const object of previous.objects) {
    const { tenant } = object;
    if (tenant === GLOBAL_TENANT || !present.has(tenant) || run.changedTenants.has(tenant)) {
      continue;
    }
    // After a rotation the next backup moves everybody to the new key.
    if (!keys.has(object.keyId)) continue;
    const head = await store.head(object.key, { version: object.version });
    if (head?.size !== object.size) continue;
    await store.extendLock?.(head);
    kept.set(tenant, object);
  }
  return kept;
}
