import { BulkheadError } from "../errors.ts";
import { canonicalJson, fromBase64, toBase64, toHex } from "./bytes.ts";
import type { Kek } from "./kek.ts";
import type { WrappedKey } from "./keyring-schema.ts";
import { type LoadedKeyring, loadKeyring, saveKeyring } from "./keyring-store.ts";
import { PREFIX } from "./names.ts";
import type { ObjectStore } from "./object-store.ts";
import type { TenantKey } from "./types.ts";

export interface KeyringOptions {
  readonly store: ObjectStore;
  readonly kek: Kek;
  readonly now?: () => Date;
}

/** A key without its bytes. */
export interface KeyringEntry {
  readonly tenant: string;
  readonly id: string;
  readonly kekId: string;
  readonly createdAt: Date;
  readonly isCurrent: boolean;
}

/** The tenants' keys: off-platform in the object store, wrapped, never in the database. */
export interface Keyring {
  /** The tenant's current key, or the version that an object's header names. `BH_TENANT_KEY_MISSING`. */
  tenantKey(tenant: string, keyId?: string): Promise<TenantKey>;
  /** The current key, made and stored first where the tenant has none. */
  ensureTenantKey(tenant: string): Promise<TenantKey>;
  /** The same for many, in one write: call it once before a backup of many tenants. */
  ensureTenantKeys(tenants: readonly string[]): Promise<void>;
  list(): KeyringEntry[];
}

/**
 * The first keyring of a store. Refuses where there is one: a second would orphan the first one's backups.
 *
 * @throws BulkheadError `BH_KEYRING_EXISTS`.
 */
export async function createKeyring(options: KeyringOptions): Promise<Keyring> {
  const exists = () =>
    new BulkheadError(
      "BH_KEYRING_EXISTS",
      `Cannot create a keyring in ${options.store.describe()}: there is one already`,
      { kind: "red", hint: "Use it: npx bulkhead keys list. A new store takes a new keyring" },
    );
  if (await options.store.head(PREFIX.keyring)) throw exists();
  const now = options.now ?? (() => new Date());
  const body = {
    format: 1 as const,
    parents: [],
    writtenAt: now().toISOString(),
    keys: [],
    shredded: [],
  };
  try {
    const loaded = await saveKeyring({ ...options, now, ifAbsent: true }, { body, heads: [] });
    return keyringOf(options, loaded);
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
  const loaded = await loadKeyring(options);
  if (loaded) return keyringOf(options, loaded);
  throw new BulkheadError(
    "BH_KEYRING_MISSING",
    `Cannot open the keyring in ${options.store.describe()}: there is none`,
    { kind: "usage", hint: "Make one: npx bulkhead keys init. Check BULKHEAD_STORE too" },
  );
}

function keyringOf(options: KeyringOptions, first: LoadedKeyring): Keyring {
  const { store, kek } = options;
  const now = options.now ?? (() => new Date());
  const opened = new Map<string, TenantKey>();
  let loaded = first;

  const tenantKey = async (tenant: string, keyId?: string): Promise<TenantKey> => {
    const entry = keyId
      ? loaded.body.keys.find((key) => key.tenant === tenant && key.id === keyId)
      : currentKey(loaded.body.keys, tenant);
    if (!entry) throw missing(tenant, keyId, isShredded(loaded, tenant, keyId));
    const known = opened.get(entry.id);
    if (known) return known;
    const bytes = await kek.unwrap(fromBase64(entry.wrapped), context(entry));
    if (bytes?.length !== 32) {
      throw new BulkheadError(
        "BH_KEY_UNWRAP",
        `Cannot unwrap key ${entry.id} of tenant "${tenant}": wrapped by ${entry.kekId}, ` +
          `BULKHEAD_KEK is ${kek.id}`,
        { kind: "integrity", hint: "Set BULKHEAD_KEK to the key that wrapped it" },
      );
    }
    const key = { tenant, id: entry.id, bytes };
    opened.set(entry.id, key);
    return key;
  };

  const ensureTenantKeys = async (tenants: readonly string[]): Promise<void> => {
    const lacking = [...new Set(tenants)].filter((t) => !currentKey(loaded.body.keys, t));
    if (lacking.length === 0) return;
    // Another writer may have made them since this keyring was read.
    loaded = await loadKeyring(options) ?? loaded;
    const made = await Promise.all(
      lacking.filter((t) => !currentKey(loaded.body.keys, t)).map((t) => makeKey(t, kek, now())),
    );
    if (made.length === 0) return;
    const body = { ...loaded.body, keys: [...loaded.body.keys, ...made] };
    loaded = await saveKeyring({ store, kek, now }, { body, heads: loaded.heads });
  };

  return {
    tenantKey,
    ensureTenantKeys,
    async ensureTenantKey(tenant) {
      await ensureTenantKeys([tenant]);
      return await tenantKey(tenant);
    },
    list() {
      return loaded.body.keys.map((key) => ({
        tenant: key.tenant,
        id: key.id,
        kekId: key.kekId,
        createdAt: new Date(key.createdAt),
        isCurrent: currentKey(loaded.body.keys, key.tenant)?.id === key.id,
      })).sort((a, b) => (a.tenant < b.tenant ? -1 : a.tenant > b.tenant ? 1 : 0));
    },
  };
}

async function makeKey(tenant: string, kek: Kek, now: Date): Promise<WrappedKey> {
  const entry = {
    tenant,
    id: toHex(crypto.getRandomValues(new Uint8Array(16))),
    kekId: kek.id,
    createdAt: now.toISOString(),
  };
  const secret = crypto.getRandomValues(new Uint8Array(32));
  return { ...entry, wrapped: toBase64(await kek.wrap(secret, context(entry))) };
}

/** What a wrapped key is bound to: moved to another tenant, id or KEK it does not unwrap. */
function context(entry: { tenant: string; id: string; kekId: string }): string {
  return canonicalJson(["bulkhead/v1/tenant-key", entry.tenant, entry.id, entry.kekId]);
}

/** The newest; of two made in the same millisecond, the greater id. */
function currentKey(keys: readonly WrappedKey[], tenant: string): WrappedKey | undefined {
  const rank = (key: WrappedKey) => key.createdAt + key.id;
  return keys.filter((key) => key.tenant === tenant)
    .reduce<WrappedKey | undefined>((a, b) => (a && rank(a) > rank(b) ? a : b), undefined);
}

function isShredded(loaded: LoadedKeyring, tenant: string, keyId?: string): boolean {
  return loaded.body.shredded.some((key) =>
    key.tenant === tenant && (keyId === undefined || key.id === keyId)
  );
}

function missing(tenant: string, keyId: string | undefined, shredded: boolean): BulkheadError {
  const which = keyId ? `key ${keyId} of tenant "${tenant}"` : `a key of tenant "${tenant}"`;
  return new BulkheadError(
    "BH_TENANT_KEY_MISSING",
    `Cannot find ${which}: ${shredded ? "it was shredded" : "the keyring does not have it"}`,
    { kind: "integrity", hint: "See what the keyring holds: npx bulkhead keys list" },
  );
}
