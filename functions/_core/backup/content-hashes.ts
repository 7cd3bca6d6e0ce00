import * as z from "zod";
import { BulkheadError } from "../errors.ts";
import { canonicalJson, fromBase64, toBase64, utf8 } from "../bytes.ts";
import type { WrappingKey } from "../keys/wrapping-key.ts";
import type { Manifest, StoredBody } from "./manifest-schema.ts";

const hashList = z.array(z.string());

function context(id: string): string {
  return canonicalJson(["bulkhead/v1/content-hashes", id]);
}

/** A manifest as it may lie in the store: its content hashes wrapped. */
export async function hideHashes(manifest: Manifest, key: WrappingKey): Promise<StoredBody> {
  const hashes: string[] = [];
  const objects = manifest.objects.map((object) => ({
    ...object,
    tables: object.tables.map(({ contentHash, ...table }) => {
      hashes.push(contentHash);
      return table;
    }),
  }));
  const wrapped = await key.wrap(utf8(canonicalJson(hashes)), context(manifest.id));
  return { ...manifest, objects, contentHashes: toBase64(wrapped) };
}

/** The manifest as everybody else sees it. */
export async function showHashes(stored: StoredBody, key: WrappingKey): Promise<Manifest> {
  const { contentHashes, ...body } = stored;
  const bytes = await key.unwrap(fromBase64(contentHashes), context(stored.id));
  const hashes = bytes && hashList.safeParse(JSON.parse(new TextDecoder().decode(bytes))).data;
  const tables = stored.objects.reduce((sum, object) => sum + object.tables.length, 0);
  if (hashes?.length !== tables) {
    throw new BulkheadError(
      "BH_MANIFEST_INVALID",
      `Cannot read the manifest of ${stored.id}: its content hashes do not unwrap`,
      { kind: "integrity", hint: "Find out who changed it" },
    );
  }
  let next = 0;
  const objects = body.objects.map((object) => ({
    ...object,
    tables: object.tables.map((table) => ({ ...table, contentHash: hashes[next++] ?? "" })),
  }));
  return { ...body, objects };
}
