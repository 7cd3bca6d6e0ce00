import * as z from "zod";
import { BulkheadError } from "../errors.ts";
import { canonicalJson, concat, equalInConstantTime, fromHex, toHex, utf8 } from "../bytes.ts";
import type { Purpose, WrappingKey } from "./wrapping-key.ts";

type Signer = Pick<WrappingKey, "sign">;
const DAMAGED: Record<Purpose, string> = {
  manifest: "BH_MANIFEST_INVALID",
  keyring: "BH_KEYRING_INVALID",
  certificate: "BH_CERTIFICATE_INVALID",
};

/** `{ <purpose>: body, signature }` as canonical JSON, ended by a line break. `keyId` names the signer's key. */
export async function signDocument(
  of: { purpose: Purpose; body: unknown; signer: Signer; keyId?: string },
): Promise<Uint8Array> {
  const body = utf8(canonicalJson(of.body));
  const value = toHex(await of.signer.sign(body, of.purpose));
  const signature = canonicalJson({ algorithm: "HMAC-SHA256", keyId: of.keyId, value });
  // Canonical too: every purpose comes before "signature".
  return concat(utf8(`{"${of.purpose}":`), body, utf8(`,"signature":${signature}}\n`));
}

const envelope = z.looseObject({
  signature: z.looseObject({
    keyId: z.string().optional(),
    value: z.string().regex(/^[0-9a-f]{64}$/),
  }),
});

/** What {@link readSigned} works with. */
export type Reading<T> = {
  readonly purpose: Purpose;
  /** The object's key in the store, for errors. */
  readonly name: string;
  readonly schema: z.ZodType<T>;
  /** The key that must have signed it, by the id that the signature names. */
  readonly signer: (keyId: string | undefined) => Promise<Signer>;
};

/**
 * Parse and verify. The signature is checked over the parsed value written canonically, so an
 * unknown member, a duplicate one or another order of members is no way around it.
 *
 * @throws BulkheadError kind `integrity`; what `signer` throws.
 */
export async function readSigned<T>(bytes: Uint8Array, of: Reading<T>): Promise<T> {
  const damaged = (state: string, cause?: unknown) =>
    new BulkheadError(DAMAGED[of.purpose], `Cannot read the ${of.purpose} "${of.name}": ${state}`, {
      kind: "integrity",
      hint: "Find out who changed it; older versions of the object are in the store",
      cause,
    });
  let json: Record<string, unknown>;
  let signature: z.infer<typeof envelope>["signature"];
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    ({ signature } = envelope.parse(json));
  } catch (cause) {
    throw damaged("it is not a signed document", cause);
  }
  const signer = await of.signer(signature.keyId);
  let expected: Uint8Array;
  try {
    expected = await signer.sign(utf8(canonicalJson(json[of.purpose])), of.purpose);
  } catch (cause) {
    throw damaged("its signature does not match", cause);
  }
  if (!equalInConstantTime(expected, fromHex(signature.value))) {
    throw damaged("its signature does not match");
  }
  const parsed = of.schema.safeParse(json);
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
