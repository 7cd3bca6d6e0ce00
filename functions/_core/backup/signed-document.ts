import * as z from "zod";
import { BulkheadError } from "../errors.ts";
import { canonicalJson, equalInConstantTime, fromHex, toHex, utf8 } from "./bytes.ts";
import type { Kek } from "./kek.ts";

type Purpose = "manifest" | "keyring";
const DAMAGED: Record<Purpose, string> = {
  manifest: "BH_MANIFEST_INVALID",
  keyring: "BH_KEYRING_INVALID",
};

/** `{ <purpose>: body, signature }` as canonical JSON, ended by a line break. */
export async function signDocument(
  purpose: Purpose,
  body: unknown,
  kek: Kek,
): Promise<Uint8Array> {
  const value = toHex(await kek.sign(utf8(canonicalJson(body)), purpose));
  const signature = { algorithm: "HMAC-SHA256", kekId: kek.id, value };
  return utf8(`${canonicalJson({ [purpose]: body, signature })}\n`);
}

const signed = z.looseObject({
  signature: z.looseObject({ kekId: z.string(), value: z.string().regex(/^[0-9a-f]{64}$/) }),
});

/**
 * Parse and verify. The signature is checked over the parsed value written canonically, so an
 * unknown member, a duplicate one or another order of members is no way around it.
 */
export async function readSigned<T>(
  bytes: Uint8Array,
  of: { purpose: Purpose; name: string; schema: z.ZodType<T>; kek: Kek },
): Promise<T> {
  const { purpose, name, schema, kek } = of;
  const fail = (code: string, state: string, hint: string, cause?: unknown) =>
    new BulkheadError(code, `Cannot read the ${purpose} "${name}": ${state}`, {
      kind: "integrity",
      hint,
      cause,
    });
  const damaged = (state: string, cause?: unknown) =>
    fail(
      DAMAGED[purpose],
      state,
      "Find out who changed it; older versions of the object are in the store",
      cause,
    );
  let json: unknown;
  let envelope: z.infer<typeof signed>;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    envelope = signed.parse(json);
  } catch (cause) {
    throw damaged("it is not a signed document", cause);
  }
  const { kekId, value } = envelope.signature;
  if (kekId !== kek.id) {
    throw fail(
      "BH_KEK_OTHER",
      `it was signed under key-encryption key ${kekId}, BULKHEAD_KEK is ${kek.id}`,
      "Set BULKHEAD_KEK to the key that was in use when it was written",
    );
  }
  let body: unknown;
  try {
    body = envelope[purpose];
    const expected = await kek.sign(utf8(canonicalJson(body)), purpose);
    if (!equalInConstantTime(expected, fromHex(value))) throw new Error("signature");
  } catch (cause) {
    throw damaged("its signature does not match", cause);
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues[0]?.path.join(".") ?? "";
  throw damaged(`${where || "it"} is not as this version of Bulkhead knows it`, parsed.error);
}

/** A small object, whole. Refuses above `limit` bytes. */
export async function readSmall(
  stream: ReadableStream<Uint8Array>,
  limit: number,
): Promise<Uint8Array> {
  const reader = stream.getReader();
  const parts: Uint8Array[] = [];
  let size = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    size += next.value.length;
    if (size > limit) {
      await reader.cancel("too large").catch(() => {});
      throw new BulkheadError("BH_DOCUMENT_SIZE", `Cannot read a document: over ${limit} bytes`, {
        kind: "integrity",
        hint: "Find out who wrote it",
      });
    }
    parts.push(next.value);
  }
  const whole = new Uint8Array(size);
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
}
