import { BulkheadError } from "../errors.ts";
import type { ObjectStore } from "../backup/object-store.ts";
import { GLOBAL_TENANT } from "../backup/types.ts";
import type { Kek } from "./kek.ts";
import { keyringMissing, makeKey } from "./keyring.ts";
import { loadKeyring, newRoot, saveKeyring } from "./keyring-store.ts";

/** What a rotation did. */
export interface KekRotation {
  readonly kekId: string;
  readonly epoch: number;
  /** Keys that are now wrapped under the new epoch's root. */
  readonly keys: number;
  /** False where the keyring was under the new key already and nothing was left to take over. */
  readonly isChanged: boolean;
}

/**
 * Put the keyring under another key-encryption key: a new root under the new KEK, every key wrapped anew, and a new key
 * for manifests. One document, so a crash leaves the old state or the new. Run it again to finish: it takes over what
 * others wrote under the old KEK meanwhile. Objects and manifests stay as they are and stay readable.
 *
 * @example
 * const { epoch } = await rotateKek({ store, kek, newKek });
 * @throws BulkheadError `BH_KEYRING_MISSING`, `BH_KEK_SAME` (kind `usage`), what `loadKeyring` throws.
 */
export async function rotateKek(options: {
  readonly store: ObjectStore;
  readonly kek: Kek;
  readonly newKek: Kek;
  readonly now?: () => Date;
}): Promise<KekRotation> {
  const { store, kek, newKek } = options;
  const now = options.now ?? (() => new Date());
  if (kek.id === newKek.id) {
    throw new BulkheadError(
      "BH_KEK_SAME",
      `Cannot rotate the key-encryption key: ${kek.id} is the present one too`,
      { kind: "usage", hint: "Make a new one: openssl rand -base64 32" },
    );
  }
  const access = { store, keks: [newKek, kek] };
  const found = await loadKeyring(access);
  if (!found) throw keyringMissing(store);
  const { epoch, kekId } = found.root;
  if (kekId === newKek.id && found.heads.length === 1) {
    return { kekId, epoch, keys: found.keys.length, isChanged: false };
  }
  const root = await newRoot(newKek, epoch + 1, now());
  const manifest = await makeKey({ tenant: GLOBAL_TENANT, use: "manifest" }, root, now());
  const saved = await saveKeyring({ ...access, now, isAlone: true }, {
    ...found,
    root,
    keys: [...found.keys, manifest],
  });
  return { kekId: newKek.id, epoch: root.epoch, keys: saved.keys.length, isChanged: true };
}
