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
 * Write a document that includes `heads`, then look whether somebody else wrote meanwhile and, if so,
 * write the union. Works on stores without conditional writes: versions are never overwritten.
 */
export async function saveKeyring(
  options: { store: ObjectStore; kek: Kek; now: () => Date; ifAbsent?: boolean },
  loaded: LoadedKeyring,
): Promise<LoadedKeyring> {
  let current = loaded;
  for (let attempt = 0; attempt < 10; attempt++) {
    const body: KeyringBody = {
      ...current.body,
      parents: [...current.heads],
      writtenAt: options.now().toISOString(),
    };
    const stored = await options.store.put(
      PREFIX.keyring,
      await signDocument("keyring", body, options.kek),
      {
        contentType: "application/json",
        ...(options.ifAbsent && attempt === 0 ? { ifAbsent: true } : {}),
      },
    );
    const after = await loadKeyring(options);
    if (!after) break;
    if (after.heads.length === 1) return after;
    current = {
      body: mergeKeyrings(after.body, body),
      heads: [...new Set([...after.heads, stored.version])],
    };
  }
  throw new BulkheadError(
    "BH_KEYRING_BUSY",
    `Cannot write the keyring in ${options.store.describe()}: others keep writing it`,
    { kind: "unavailable", hint: "Run again in a minute" },
  );
}
