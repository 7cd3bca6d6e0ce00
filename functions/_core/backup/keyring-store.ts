import { BulkheadError } from "../errors.ts";
import type { Kek } from "./kek.ts";
import { type KeyringBody, signedKeyring } from "./keyring-schema.ts";
import { PREFIX } from "./names.ts";
import type { ObjectStore, StoredVersion } from "./object-store.ts";
import { readSigned, readSmall, signDocument } from "./signed-document.ts";

const LIMIT = 64 << 20;

/** What a reader found: the union of every document that no other one includes. */
export interface LoadedKeyring {
  readonly body: KeyringBody;
  /** The versions merged; more than one after two writers met. */
  readonly heads: readonly string[];
}

/**
 * Read the keyring. Two writers may each have written a document without the other's keys, so versions
 * are read newest first until one that a newer document includes, and merged. Null when there is none.
 */
export async function loadKeyring(
  options: { store: ObjectStore; kek: Kek },
): Promise<LoadedKeyring | null> {
  const versions: StoredVersion[] = [];
  for await (const version of options.store.listVersions(PREFIX.keyring)) {
    if (version.key === PREFIX.keyring && !version.isDeleteMarker) versions.push(version);
  }
  const included = new Set<string>();
  const heads: string[] = [];
  let merged: KeyringBody | null = null;
  for (const { version } of versions) {
    if (included.has(version)) break;
    const body = await readVersion(version, options);
    merged = merged ? mergeKeyrings(merged, body) : body;
    heads.push(version);
    for (const parent of body.parents) included.add(parent);
  }
  return merged && { body: merged, heads };
}

async function readVersion(
  version: string,
  { store, kek }: { store: ObjectStore; kek: Kek },
): Promise<KeyringBody> {
  const bytes = await readSmall(await store.get(PREFIX.keyring, { version }), LIMIT);
  try {
    const name = PREFIX.keyring;
    return (await readSigned(bytes, { purpose: "keyring", name, schema: signedKeyring, kek }))
      .keyring;
  } catch (error) {
    if (!(error instanceof BulkheadError) || error.code !== "BH_KEK_OTHER") throw error;
    const state = error.message.split(": ").slice(1).join(": ").replace("signed", "wrapped");
    throw new BulkheadError("BH_KEK_OTHER", `Cannot unwrap the keyring: ${state}`, {
      kind: "integrity",
      hint: error.hint,
      cause: error,
    });
  }
}

/** Every key of both, without those that either has shredded. */
export function mergeKeyrings(a: KeyringBody, b: KeyringBody): KeyringBody {
  const shredded = unique([...a.shredded, ...b.shredded]);
  const gone = new Set(shredded.map(identity));
  const keys = unique([...a.keys, ...b.keys]).filter((key) => !gone.has(identity(key)));
  return { ...a, keys, shredded };
}

function identity(of: { tenant: string; id: string }): string {
  return `${of.id}/${of.tenant}`;
}

function unique<T extends { tenant: string; id: string }>(items: T[]): T[] {
  const seen = new Map<string, T>();
  for (const item of items) if (!seen.has(identity(item))) seen.set(identity(item), item);
  return [...seen.values()].sort((x, y) => (identity(x) < identity(y) ? -1 : 1));
}

/**
 * Write a document that includes `heads`, then look: it counts when a reader finds all of it. Somebody
 * who wrote at the same time is no trouble, since readers unite what neither includes. Works on stores
 * without conditional writes, because versions are never overwritten. Until this returns, no key in
 * `loaded` may be used.
 */
export async function saveKeyring(
  options: { store: ObjectStore; kek: Kek; now: () => Date; ifAbsent?: boolean },
  loaded: LoadedKeyring,
): Promise<LoadedKeyring> {
  let current = loaded;
  for (let attempt = 0; attempt < 5; attempt++) {
    const body: KeyringBody = {
      ...current.body,
      parents: [...current.heads],
      writtenAt: options.now().toISOString(),
    };
    await options.store.put(
      PREFIX.keyring,
      await signDocument("keyring", body, options.kek),
      {
        contentType: "application/json",
        ...(options.ifAbsent && attempt === 0 ? { ifAbsent: true } : {}),
      },
    );
    const found = await loadKeyring(options);
    if (found && includes(found.body, body)) return found;
    // A store that orders versions by when their upload began can sort ours below one that did not
    // see it. Then ours is written again, on top.
    current = found ? { body: mergeKeyrings(found.body, body), heads: found.heads } : current;
    await new Promise((done) => setTimeout(done, Math.random() * 200 * (attempt + 1)));
  }
  throw new BulkheadError(
    "BH_KEYRING_BUSY",
    `Cannot write the keyring in ${options.store.describe()}: others keep writing it`,
    { kind: "unavailable", hint: "Run again in a minute" },
  );
}

function includes(found: KeyringBody, body: KeyringBody): boolean {
  const shredded = new Set(found.shredded.map(identity));
  const known = new Set([...found.keys.map(identity), ...shredded]);
  return body.keys.every((key) => known.has(identity(key))) &&
    body.shredded.every((key) => shredded.has(identity(key)));
}
