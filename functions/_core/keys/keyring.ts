import { BulkheadError } from "../errors.ts";
import { toBase64, toHex } from "../bytes.ts";
import { PREFIX } from "../backup/names.ts";
import type { ObjectStore } from "../backup/object-store.ts";
import { GLOBAL_TENANT, type TenantKey } from "../backup/types.ts";
import type { Kek } from "./kek.ts";
import {
  type HeldKey,
  keyContext,
  type LoadedKeyring,
  loadKeyring,
  newRoot,
  type Root,
  saveKeyring,
  unwrapKey,
} from "./keyring-store.ts";
import { type WrappingKey, wrappingKey } from "./wrapping-key.ts";

export interface KeyringOptions {
  readonly store: ObjectStore;
  readonly kek: Kek;
  readonly now?: () => Date;
}

/** A key without its bytes. */
export interface KeyringEntry {
  readonly tenant: string;
  /** `backup`, `manifest`, or `field:` and a secret class. */
  readonly use: string;
  readonly id: string;
  readonly createdAt: Date;
  readonly isCurrent: boolean;
}

/** What signs manifests and hides their content hashes. */
export type ManifestKey = WrappingKey & { readonly id: string };

/** The keys of a store: off-platform, wrapped, never in the database. */
export interface Keyring {
  /** The key-encryption key that wraps it. */
  readonly kekId: string;
  /** Where that is, see `Kek`. */
  readonly kekName: string;
  /** When it began to wrap this keyring; null where no one recorded it. */
  readonly kekSince: Date | null;
  /** The tenant's current key, or the version that an object's header names. `BH_TENANT_KEY_MISSING`. */
  tenantKey(tenant: string, keyId?: string): Promise<TenantKey>;
  /** The current key, made and stored first where the tenant has none. */
  ensureTenantKey(tenant: string): Promise<TenantKey>;
  /** The same for many, in one write: call it once before a backup of many tenants. */
  ensureTenantKeys(tenants: readonly string[]): Promise<void>;
  /** The key of one secret class of a tenant, current or by version; see `fieldCipher`. */
  fieldKey(tenant: string, secretClass: string, keyId?: string): Promise<TenantKey>;
  /** The current one, made and stored first where there is none. */
  ensureFieldKey(tenant: string, secretClass: string): Promise<TenantKey>;
  /** What signs manifests, current or by the version that a manifest names. */
  manifestKey(keyId?: string): Promise<ManifestKey>;
  /** A new version of each of a tenant's keys; the old ones stay for what they encrypted. */
  rotateTenant(tenant: string): Promise<KeyringEntry[]>;
  /** True for a key that was destroyed: what it encrypted is gone for good. */
  isShredded(tenant: string, keyId: string): boolean;
  list(): KeyringEntry[];
}

/**
 * The first keyring of a store. Refuses where there is one: a second would orphan the first one's backups.
 *
 * @throws BulkheadError `BH_KEYRING_EXISTS`.
 */
export async function createKeyring(options: KeyringOptions): Promise<Keyring> {
  const { store, kek } = options;
  const exists = () =>
    new BulkheadError(
      "BH_KEYRING_EXISTS",
      `Cannot create a keyring in ${store.describe()}: there is one already`,
      { kind: "red", hint: "Use it: npx bulkhead keys list. A new store takes a new keyring" },
    );
  if (await store.head(PREFIX.keyring)) throw exists();
  const now = options.now ?? (() => new Date());
  const root = await newRoot(kek, 1, now());
  const keys = [await makeKey({ tenant: GLOBAL_TENANT, use: "manifest" }, root, now())];
  try {
    const first = { root, keys, shredded: [], heads: [] };
    return keyringOf(
      options,
      await saveKeyring({ store, keks: [kek], now, ifAbsent: true }, first),
    );
  } catch (error) {
    throw error instanceof BulkheadError && error.code === "BH_STORE_EXISTS" ? exists() : error;
  }
}

/**
 * The keyring of a store.
 *
 * @example
 * const keyring = await openKeyring({ store, kek });
 * const key = await keyring.tenantKey(header.tenant, header.keyId);
 * @throws BulkheadError `BH_KEYRING_MISSING`; kind `integrity`, "Cannot unwrap …", under another KEK.
 */
export async function openKeyring(options: KeyringOptions): Promise<Keyring> {
  const loaded = await loadKeyring({ store: options.store, keks: [options.kek] });
  if (loaded) return keyringOf(options, loaded);
  throw keyringMissing(options.store);
}

/** The error of a store without a keyring. */
export function keyringMissing(store: ObjectStore): BulkheadError {
  return new BulkheadError(
    "BH_KEYRING_MISSING",
    `Cannot open the keyring in ${store.describe()}: there is none`,
    { kind: "usage", hint: "Make one: npx bulkhead keys init. Check BULKHEAD_STORE too" },
  );
}

type KeyName = { readonly tenant: string; readonly use: string };

function keyringOf(options: KeyringOptions, first: LoadedKeyring): Keyring {
  const access = { store: options.store, keks: [options.kek] };
  const now = options.now ?? (() => new Date());
  const opened = new Map<string, TenantKey>();
  let loaded = first;
  let current = currentKeys(first.keys);
  const adopt = (next: LoadedKeyring) => {
    loaded = next;
    current = currentKeys(next.keys);
  };

  const find = (name: KeyName, keyId?: string): HeldKey | undefined => {
    const newest = current.get(nameOf(name));
    return keyId && newest?.id !== keyId
      ? loaded.keys.find((key) => key.id === keyId && nameOf(key) === nameOf(name))
      : newest;
  };

  const open = async (name: KeyName, keyId?: string): Promise<TenantKey> => {
    let held = find(name, keyId);
    // Somebody may have rotated since this keyring was read: what they encrypt names a key that is new here.
    if (!held && keyId && !loaded.shredded.some(({ id }) => id === keyId)) {
      adopt(await loadKeyring(access) ?? loaded);
      held = find(name, keyId);
    }
    if (!held) throw missing(name, keyId, loaded);
    const known = opened.get(held.id);
    if (known) return known;
    const key = { tenant: held.tenant, id: held.id, bytes: await unwrapKey(held) };
    opened.set(held.id, key);
    return key;
  };

  /** Another writer may have added keys since this keyring was read, so `choose` sees a fresh one. */
  const add = async (choose: () => readonly KeyName[]): Promise<void> => {
    adopt(await loadKeyring(access) ?? loaded);
    const made = await Promise.all(choose().map((name) => makeKey(name, loaded.root, now())));
    if (made.length === 0) return;
    adopt(await saveKeyring({ ...access, now }, { ...loaded, keys: [...loaded.keys, ...made] }));
  };

  const ensure = async (names: readonly KeyName[]): Promise<void> => {
    const lacking = () => names.filter((name) => !current.has(nameOf(name)));
    if (lacking().length > 0) await add(lacking);
  };
  const backupKeys = (tenants: readonly string[]) =>
    [...new Set(tenants)].map((tenant) => ({ tenant, use: "backup" }));
  const field = (tenant: string, secretClass: string) => ({ tenant, use: `field:${secretClass}` });

  const list = () =>
    loaded.keys.map((key) => ({ name: nameOf(key), key }))
      .sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
      .map(({ name, key: { tenant, use, id, createdAt } }) => ({
        tenant,
        use,
        id,
        createdAt: new Date(createdAt),
        isCurrent: current.get(name)?.id === id,
      }));

  return {
    get kekId() {
      return loaded.root.kekId;
    },
    kekName: options.kek.name,
    get kekSince() {
      return loaded.root.epochAt === null ? null : new Date(loaded.root.epochAt);
    },
    tenantKey: (tenant, keyId) => open({ tenant, use: "backup" }, keyId),
    ensureTenantKeys: (tenants) => ensure(backupKeys(tenants)),
    async ensureTenantKey(tenant) {
      await ensure(backupKeys([tenant]));
      return await open({ tenant, use: "backup" });
    },
    fieldKey: (tenant, secretClass, keyId) => open(field(tenant, secretClass), keyId),
    async ensureFieldKey(tenant, secretClass) {
      await ensure([field(tenant, secretClass)]);
      return await open(field(tenant, secretClass));
    },
    async manifestKey(keyId) {
      const { id, bytes } = await open({ tenant: GLOBAL_TENANT, use: "manifest" }, keyId);
      return { id, ...await wrappingKey(bytes) };
    },
    async rotateTenant(tenant) {
      await add(() => {
        const uses = new Set(
          loaded.keys.filter((key) => key.tenant === tenant).map(({ use }) => use),
        );
        if (uses.size === 0) throw missing({ tenant, use: "backup" }, undefined, loaded, "red");
        return [...uses].map((use) => ({ tenant, use }));
      });
      return list().filter((key) => key.tenant === tenant && key.isCurrent);
    },
    isShredded: (tenant, keyId) =>
      loaded.shredded.some((key) => key.tenant === tenant && key.id === keyId),
    list,
  };
}

/** A new key of 32 random bytes under a root. */
export async function makeKey(name: KeyName, root: Root, now: Date): Promise<HeldKey> {
  const { tenant, use } = name;
  const id = toHex(crypto.getRandomValues(new Uint8Array(16)));
  const secret = crypto.getRandomValues(new Uint8Array(32));
  const wrapped = toBase64(await root.key.wrap(secret, keyContext({ tenant, use, id })));
  return { tenant, use, id, wrapped, createdAt: now.toISOString(), root };
}

const nameOf = ({ tenant, use }: KeyName): string => `${use}/${tenant}`;

/** Of each name the newest; of two made in the same millisecond, the greater id. */
function currentKeys(keys: readonly HeldKey[]): Map<string, HeldKey> {
  const age = (key: HeldKey) => key.createdAt + key.id;
  const newest = new Map<string, HeldKey>();
  for (const key of keys) {
    const known = newest.get(nameOf(key));
    if (!known || age(known) < age(key)) newest.set(nameOf(key), key);
  }
  return newest;
}

function missing(
  name: KeyName,
  keyId: string | undefined,
  { shredded }: LoadedKeyring,
  kind: "integrity" | "red" = "integrity",
): BulkheadError {
  const what = name.use === "backup" ? "" : ` (${name.use})`;
  const which = keyId
    ? `key ${keyId}${what} of tenant "${name.tenant}"`
    : `a key${what} of tenant "${name.tenant}"`;
  const isGone = shredded.some((key) =>
    nameOf(key) === nameOf(name) && (keyId === undefined || key.id === keyId)
  );
  return new BulkheadError(
    "BH_TENANT_KEY_MISSING",
    `Cannot find ${which}: ${isGone ? "it was shredded" : "the keyring does not have it"}`,
    { kind, hint: "See what the keyring holds: npx bulkhead keys list" },
  );
}
