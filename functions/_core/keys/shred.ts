import * as z from "zod";
import { BulkheadError } from "../errors.ts";
import { PREFIX, tenantSegment } from "../backup/names.ts";
import type { ObjectStore } from "../backup/object-store.ts";
import { GLOBAL_TENANT } from "../backup/types.ts";
import type { Kek } from "./kek.ts";
import { keyringMissing, openKeyring } from "./keyring.ts";
import { keyringVersions, type LoadedKeyring, loadKeyring, saveKeyring } from "./keyring-store.ts";
import type { ShreddedKey } from "./keyring-schema.ts";
import { readSmall, signDocument } from "./signed-document.ts";

/** What was destroyed, when, and which copies are left until when: for the file of whoever asked for the erasure. */
export interface ShredCertificate {
  readonly format: 1;
  readonly tenant: string;
  /** RFC 3339, UTC. */
  readonly issuedAt: string;
  readonly store: string;
  readonly kekId: string;
  readonly keys: readonly Omit<ShreddedKey, "tenant">[];
  /** Versions of the keyring that this run deleted: those that held one of the keys, and older ones. */
  readonly deletedVersions: number;
  /** What Bulkhead cannot destroy. `until`: RFC 3339, or null where a person must act. */
  readonly remaining: readonly { readonly copy: string; readonly until: string | null }[];
}

/** Supabase keeps daily and point-in-time copies of a database for 7 to 30 days. */
const PLATFORM_COPY_DAYS = 30;

/**
 * Destroy every version of every key of a tenant: out of the keyring first, then out of the store's older versions of
 * it. After that no object and no field of the tenant can be decrypted, and everybody else's can. Needs a credential
 * that may delete versions; refused half-way it can be run again, and only a whole run issues a certificate.
 *
 * @example
 * const { certificate, key } = await shredTenant({ store, kek, tenant: "acme" });
 * @throws BulkheadError `BH_TENANT_KEY_MISSING`, `BH_KEYRING_MISSING`, `BH_STORE_REFUSED`.
 */
export async function shredTenant(options: {
  readonly store: ObjectStore;
  readonly kek: Kek;
  readonly tenant: string;
  readonly now?: () => Date;
}): Promise<{ certificate: ShredCertificate; key: string }> {
  const { store, kek, tenant } = options;
  const now = options.now ?? (() => new Date());
  const loaded = await checkShred(options);
  const saved = await saveKeyring(
    { store, keks: [kek], now, isAlone: true },
    withoutTenant(loaded, tenant, now()),
  );
  const keys = saved.shredded.filter((key) => key.tenant === tenant);
  const deletedVersions = await deleteOlderVersions(store, saved.heads, keys);
  const issuedAt = now();
  const certificate: ShredCertificate = {
    format: 1,
    tenant,
    issuedAt: issuedAt.toISOString(),
    store: store.describe(),
    kekId: kek.id,
    keys: keys.map(({ use, id, at }) => ({ use, id, at })),
    deletedVersions,
    remaining: remaining(kek.id, issuedAt),
  };
  return { certificate, key: await storeCertificate(certificate, options) };
}

/**
 * Whether there is anything to shred: also where a run that was cut off left the work half done.
 *
 * @throws BulkheadError `BH_TENANT_KEY_MISSING`, `BH_KEYRING_MISSING`.
 */
export async function checkShred(
  { store, kek, tenant }: {
    readonly store: ObjectStore;
    readonly kek: Kek;
    readonly tenant: string;
  },
): Promise<LoadedKeyring> {
  const loaded = await loadKeyring({ store, keks: [kek] });
  if (!loaded) throw keyringMissing(store);
  if (!has(loaded, tenant)) throw nothingToShred(tenant);
  return loaded;
}

async function storeCertificate(
  certificate: ShredCertificate,
  { store, kek }: { readonly store: ObjectStore; readonly kek: Kek },
): Promise<string> {
  const signer = await (await openKeyring({ store, kek })).manifestKey();
  const at = certificate.issuedAt.replace(/\.\d+/, "").replace(/[-:]/g, "");
  const key = `${PREFIX.certificates}${tenantSegment(certificate.tenant)}/${at}.json`;
  await store.put(
    key,
    await signDocument({ purpose: "certificate", body: certificate, signer, keyId: signer.id }),
    { contentType: "application/json" },
  );
  return key;
}

function has(loaded: LoadedKeyring, tenant: string): boolean {
  return tenant !== GLOBAL_TENANT &&
    [...loaded.keys, ...loaded.shredded].some((key) => key.tenant === tenant);
}

function withoutTenant(loaded: LoadedKeyring, tenant: string, at: Date): LoadedKeyring {
  const theirs = loaded.keys.filter((key) => key.tenant === tenant);
  const shredded = theirs.map(({ use, id }) => ({ tenant, use, id, at: at.toISOString() }));
  return {
    ...loaded,
    keys: loaded.keys.filter((key) => key.tenant !== tenant),
    shredded: [...loaded.shredded, ...shredded],
  };
}

const holder = z.object({ keyring: z.object({ keys: z.array(z.object({ id: z.string() })) }) });

/**
 * Every older version down to the newest that holds one of the keys, or that cannot be read to tell. Oldest first, and
 * none left out in between: a reader follows versions to those that they include, and a gap, even that of a run that was
 * cut off, would let one from before a rotation look like a rotation that was never finished.
 */
async function deleteOlderVersions(
  store: ObjectStore,
  heads: readonly string[],
  keys: readonly ShreddedKey[],
): Promise<number> {
  const ids = new Set(keys.map(({ id }) => id));
  const older = (await keyringVersions(store)).filter((version) => !heads.includes(version));
  let newest = 0;
  for (; newest < older.length; newest++) {
    const version = older[newest] ?? "";
    const held = heldIds(
      await readSmall(await store.get(PREFIX.keyring, { version }), 64 << 20),
    );
    if (!held || held.some((id) => ids.has(id))) break;
  }
  const gone = older.slice(newest).reverse();
  for (const version of gone) await store.deleteVersion(PREFIX.keyring, version);
  return gone.length;
}

function heldIds(bytes: Uint8Array): string[] | null {
  try {
    return holder.parse(JSON.parse(new TextDecoder().decode(bytes))).keyring.keys.map(({ id }) =>
      id
    );
  } catch {
    return null;
  }
}

function remaining(kekId: string, now: Date): ShredCertificate["remaining"] {
  const expiry = new Date(now.getTime() + PLATFORM_COPY_DAYS * 86_400_000);
  return [
    { copy: "the tenant's rows in the live database, until they are deleted there", until: null },
    {
      copy:
        "the platform's own daily and point-in-time copies of the database, from the day that the rows are deleted",
      until: expiry.toISOString(),
    },
    {
      copy:
        `copies of keyring.json made outside this store, until key-encryption key ${kekId} is rotated (bulkhead keys rotate-kek) and destroyed`,
      until: null,
    },
  ];
}

function nothingToShred(tenant: string): BulkheadError {
  return new BulkheadError(
    "BH_TENANT_KEY_MISSING",
    `Cannot shred the keys of tenant "${tenant}": the keyring does not have any`,
    { kind: "red", hint: "See what the keyring holds: npx bulkhead keys list" },
  );
}
