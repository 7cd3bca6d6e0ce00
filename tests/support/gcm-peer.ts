/**
 * The core's encryption in another runtime: reads cases as JSON on stdin, prints what came out. Bytes are base64.
 */
import { readFileSync } from "node:fs";
import { fromBase64, toBase64 } from "../../functions/_core/bytes.ts";
import { openObject, sealObject } from "../../functions/_core/backup/format.ts";
import type { HeaderInput } from "../../functions/_core/backup/types.ts";
import { wrappingKey } from "../../functions/_core/keys/wrapping-key.ts";
import { bytesOf, streamOf } from "./object-store-suite.ts";

export type GcmCase = {
  key: string;
  context: string;
  plain: string;
  /** Wrapped by somebody else; unwrapped here, or null. */
  wrapped: string[];
  /** Objects sealed by somebody else under `key`. */
  objects: string[];
};
export type GcmResult = {
  wrapped: string;
  unwrapped: (string | null)[];
  signed: string;
  object: string;
  /** What each object held, or the code of its refusal. */
  opened: string[];
};

const ID = "0".repeat(32);
const header: HeaderInput = {
  kind: "tenant",
  tenant: "alpha",
  backup: "20261121T023000Z-0a1b2c3d",
  part: 1,
  createdAt: new Date("2026-11-21T02:30:00Z"),
};

async function work(of: GcmCase): Promise<GcmResult> {
  const bytes = fromBase64(of.key), plain = fromBase64(of.plain);
  const key = await wrappingKey(bytes);
  const tenantKey = { tenant: "alpha", id: ID, bytes };
  const sealed = sealObject({ header, tenantKey, plaintext: streamOf(plain) });
  const object = toBase64(await bytesOf(sealed.stream));
  await sealed.done;
  const unwrapped: (string | null)[] = [];
  for (const wrapped of of.wrapped) {
    const found = await key.unwrap(fromBase64(wrapped), of.context);
    unwrapped.push(found && toBase64(found));
  }
  const opened: string[] = [];
  for (const each of of.objects) {
    const stream = openObject({
      stream: streamOf(fromBase64(each)),
      tenantKey,
      expect: { tenant: "alpha", backup: header.backup, part: 1 },
    });
    opened.push(
      await bytesOf(stream).then(toBase64, (error) => String(error?.code ?? error)),
    );
  }
  return {
    wrapped: toBase64(await key.wrap(plain, of.context)),
    unwrapped,
    signed: toBase64(await key.sign(plain, "keyring")),
    object,
    opened,
  };
}

const cases: GcmCase[] = JSON.parse(readFileSync(0, "utf8"));
const results: GcmResult[] = [];
for (const each of cases) results.push(await work(each));
console.log(JSON.stringify(results));
