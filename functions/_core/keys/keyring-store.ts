import type * as z from "zod";
import { BulkheadError } from "../errors.ts";
import { canonicalJson, fromBase64, toBase64 } from "../bytes.ts";
import { PREFIX } from "../backup/names.ts";
import type { ObjectStore } from "../backup/object-store.ts";
import type { Kek } from "./kek.ts";
import {
  type KeyringBody,
  keyringClaim,
  type ShreddedKey,
  signedKeyring,
  type WrappedKey,
} from "./keyring-schema.ts";
import { readSigned, readSmall, signDocument } from "./signed-document.ts";
import { type WrappingKey, wrappingKey } from "./wrapping-key.ts";

const LIMIT = 64 << 20;

/** What wraps the keys of one epoch; itself wrapped by that epoch's KEK. */
export interface Root {
  readonly epoch: number;
  /** When the epoch began; null in a keyring of before this was recorded. RFC 3339. */
  readonly epochAt: string | null;
  readonly kekId: string;
  /** base64. */
  readonly wrapped: string;
  readonly key: WrappingKey;
}

/** A key with the root that unwraps it: documents of two epochs may be united. */
export interface HeldKey extends WrappedKey {
  readonly root: Root;
}

/** What a reader found: the union of every document that no other one includes. */
export interface LoadedKeyring {
  /** Of the newest epoch; the next document is written under it. */
  readonly root: Root;
  readonly keys: readonly HeldKey[];
  readonly shredded: readonly ShreddedKey[];
  /** The versions united; more than one after two writers met. */
  readonly heads: readonly string[];
}

/** Where a keyring lies and what opens it; several KEKs only while one replaces the other. */
export interface KeyringAccess {
  readonly store: ObjectStore;
  readonly keks: readonly Kek[];
}

/** A root for a new epoch. */
export async function newRoot(kek: Kek, epoch: number, now: Date): Promise<Root> {
  const secret = crypto.getRandomValues(new Uint8Array(32));
  const wrapped = toBase64(await kek.wrap(secret, rootContext(epoch, kek.id)));
  const epochAt = now.toISOString();
  return { epoch, epochAt, kekId: kek.id, wrapped, key: await wrappingKey(secret) };
}

const rootContext = (epoch: number, kekId: string) =>
  canonicalJson(["bulkhead/v1/root", epoch, kekId]);

/** What a wrapped key is bound to: moved to another tenant, use or id it does not unwrap. */
export const keyContext = (of: { tenant: string; use: string; id: string }): string =>
  canonicalJson(["bulkhead/v1/key", of.tenant, of.use, of.id]);

/**
 * Read the keyring. Two writers may each have written a document without the other's keys, so versions
 * are read newest first until one that a newer document includes, and united. Null when there is none.
 *
 * A document under a KEK that is not at hand is passed over only where its own writer must have refused
 * it: newer than, and of an earlier epoch than, one that can be read. Anything else is an error.
 *
 * @throws BulkheadError `BH_KEK_OTHER`, `BH_KEK_ROTATION`, `BH_KEYRING_INVALID`; all kind `integrity`.
 */
export async function loadKeyring(access: KeyringAccess): Promise<LoadedKeyring | null> {
  const included = new Set<string>();
  const roots = new Map<string, Promise<Root>>();
  const read: (Document & { at: number })[] = [];
  const foreign: (Claim & { at: number })[] = [];
  for (const [at, version] of (await keyringVersions(access.store)).entries()) {
    if (included.has(version)) break;
    const found = await readVersion(version, access, roots);
    if ("body" in found) {
      read.push({ ...found, at });
      for (const parent of found.body.parents) included.add(parent);
    } else foreign.push({ ...found, at });
  }
  const newest = read.reduce<(typeof read)[number] | undefined>(
    (best, each) => best && best.root.epoch >= each.root.epoch ? best : each,
    undefined,
  );
  if (!newest) {
    if (foreign[0]) throw otherKek(foreign[0], access.keks);
    return null;
  }
  for (const claim of foreign) {
    if (claim.epoch > newest.root.epoch) throw otherKek(claim, access.keks);
    if (claim.at > newest.at || claim.epoch === newest.root.epoch) throw unfinished(claim);
  }
  const shredded = unique(read.flatMap(({ body }) => body.shredded));
  return {
    root: newest.root,
    shredded,
    keys: without(
      shredded,
      read.flatMap(({ body, root }) => body.keys.map((key) => ({ ...key, root }))),
    ),
    heads: read.map(({ version }) => version),
  };
}

/** The versions of the keyring that hold data, newest first. */
export async function keyringVersions(store: ObjectStore): Promise<string[]> {
  const versions: string[] = [];
  for await (const version of store.listVersions(PREFIX.keyring)) {
    if (version.key === PREFIX.keyring && !version.isDeleteMarker) versions.push(version.version);
  }
  return versions;
}

type Claim = z.infer<typeof keyringClaim>["keyring"];
type Document = { readonly version: string; readonly body: KeyringBody; readonly root: Root };

async function readVersion(
  version: string,
  { store, keks }: KeyringAccess,
  roots: Map<string, Promise<Root>>,
): Promise<Document | Claim> {
  const bytes = await readSmall(await store.get(PREFIX.keyring, { version }), LIMIT);
  const claim = claimOf(bytes);
  const kek = keks.find(({ id }) => id === claim.kekId);
  if (!kek) return claim;
  // A service may stand behind the KEK: one call for a root, however many documents share it.
  const opening = roots.get(claim.root) ?? openRoot(claim, kek);
  roots.set(claim.root, opening);
  const root = await opening;
  const { keyring: body } = await readSigned(bytes, {
    purpose: "keyring",
    name: PREFIX.keyring,
    schema: signedKeyring,
    signer: () => Promise.resolve(root.key),
  });
  return { version, body, root };
}

/** What a document says of itself; nothing in it is believed before its root has signed it. */
function claimOf(bytes: Uint8Array): Claim {
  try {
    const json: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return keyringClaim.parse(json).keyring;
  } catch (cause) {
    throw invalid("it is not a keyring that this version of Bulkhead knows", cause);
  }
}

async function openRoot(
  { epoch, epochAt, kekId, root: wrapped }: Claim,
  kek: Kek,
): Promise<Root> {
  const secret = await kek.unwrap(fromBase64(wrapped), rootContext(epoch, kekId));
  if (secret?.length !== 32) throw invalid(`its root does not unwrap under ${kekId}`);
  return { epoch, epochAt: epochAt ?? null, kekId, wrapped, key: await wrappingKey(secret) };
}

/**
 * Write a document that includes `wanted.heads`, then look: it counts when a reader finds all of it.
 * Somebody who wrote at the same time is no trouble, since readers unite what neither includes. Works on
 * stores without conditional writes, because versions are never overwritten. Until this returns, no key
 * that is new in `wanted` may be used. `isAlone`: go on until no other document is left to unite.
 *
 * @throws BulkheadError `BH_KEYRING_BUSY`, `BH_STORE_EXISTS` (with `ifAbsent`), what `loadKeyring` throws.
 */
export async function saveKeyring(
  options: KeyringAccess & { now: () => Date; ifAbsent?: boolean; isAlone?: boolean },
  wanted: LoadedKeyring,
): Promise<LoadedKeyring> {
  let current = wanted;
  for (let attempt = 0; attempt < 5; attempt++) {
    const body = await bodyOf(current, options.now());
    const document = { purpose: "keyring", body, signer: current.root.key } as const;
    await options.store.put(PREFIX.keyring, await signDocument(document), {
      contentType: "application/json",
      ...(options.ifAbsent && attempt === 0 ? { ifAbsent: true } : {}),
    });
    const found = await loadKeyring(options);
    const isSeen = found !== null && includes(found, current);
    if (isSeen && (!options.isAlone || found.heads.length === 1)) return found;
    // A store that orders versions by when their upload began can sort ours below one that did not
    // see it. Then ours is written again, on top.
    if (found) current = { ...unite(found, current), root: current.root, heads: found.heads };
    await new Promise((done) => setTimeout(done, Math.random() * 200 * (attempt + 1)));
  }
  throw new BulkheadError(
    "BH_KEYRING_BUSY",
    `Cannot write the keyring in ${options.store.describe()}: others keep writing it`,
    { kind: "unavailable", hint: "Run again in a minute" },
  );
}

async function bodyOf({ root, keys, shredded, heads }: LoadedKeyring, now: Date) {
  return {
    format: 1,
    epoch: root.epoch,
    ...(root.epochAt === null ? {} : { epochAt: root.epochAt }),
    kekId: root.kekId,
    root: root.wrapped,
    parents: [...heads],
    writtenAt: now.toISOString(),
    keys: await Promise.all(keys.map((key) => underRoot(key, root))),
    shredded: [...shredded],
  };
}

async function underRoot({ root: from, ...key }: HeldKey, root: Root): Promise<WrappedKey> {
  if (from.wrapped === root.wrapped) return key;
  const bytes = await unwrapKey({ ...key, root: from });
  return { ...key, wrapped: toBase64(await root.key.wrap(bytes, keyContext(key))) };
}

/** A held key's 32 bytes. `BH_KEY_UNWRAP`, kind `integrity`. */
export async function unwrapKey(key: HeldKey): Promise<Uint8Array> {
  const bytes = await key.root.key.unwrap(fromBase64(key.wrapped), keyContext(key));
  if (bytes?.length === 32) return bytes;
  throw new BulkheadError(
    "BH_KEY_UNWRAP",
    `Cannot unwrap key ${key.id} of tenant "${key.tenant}": it is not what its root wrapped`,
    {
      kind: "integrity",
      hint: "Find out who changed the keyring; older versions are in the store",
    },
  );
}

/** Every key of both, without those that either has shredded. */
function unite(a: LoadedKeyring, b: LoadedKeyring): Pick<LoadedKeyring, "keys" | "shredded"> {
  const shredded = unique([...a.shredded, ...b.shredded]);
  return { shredded, keys: without(shredded, [...a.keys, ...b.keys]) };
}

function without(shredded: readonly ShreddedKey[], keys: readonly HeldKey[]): HeldKey[] {
  const gone = new Set(shredded.map(identity));
  return unique(keys).filter((key) => !gone.has(identity(key)));
}

type Named = { readonly tenant: string; readonly use: string; readonly id: string };
const identity = ({ tenant, use, id }: Named): string => `${id}/${use}/${tenant}`;

function unique<T extends Named>(items: readonly T[]): T[] {
  const seen = new Map<string, T>();
  for (const item of items) {
    const name = identity(item);
    if (!seen.has(name)) seen.set(name, item);
  }
  return [...seen].sort(([x], [y]) => (x < y ? -1 : 1)).map(([, item]) => item);
}

function includes(found: LoadedKeyring, wanted: LoadedKeyring): boolean {
  const shredded = new Set(found.shredded.map(identity));
  const known = new Set([...found.keys.map(identity), ...shredded]);
  return wanted.keys.every((key) => known.has(identity(key))) &&
    wanted.shredded.every((key) => shredded.has(identity(key)));
}

const invalid = (state: string, cause?: unknown): BulkheadError =>
  new BulkheadError("BH_KEYRING_INVALID", `Cannot read the keyring "${PREFIX.keyring}": ${state}`, {
    kind: "integrity",
    hint: "Find out who changed it; older versions of the object are in the store",
    cause,
  });

function otherKek(claim: Claim, keks: readonly Kek[]): BulkheadError {
  return new BulkheadError(
    "BH_KEK_OTHER",
    `Cannot unwrap the keyring: it is wrapped by key-encryption key ${claim.kekId}, ` +
      keks.map(({ name, id }) => `${name} is ${id}`).join(", "),
    {
      kind: "integrity",
      hint:
        "Set BULKHEAD_KEK or BULKHEAD_KMS to the key that wraps it; after a rotation, the new one",
    },
  );
}

function unfinished(claim: Claim): BulkheadError {
  return new BulkheadError(
    "BH_KEK_ROTATION",
    `Cannot read the keyring: a document under key-encryption key ${claim.kekId} of ` +
      `${claim.writtenAt} was not taken over by the rotation`,
    {
      kind: "integrity",
      hint: "Finish it: npx bulkhead keys rotate-kek, with the same two keys as before",
    },
  );
}
