import * as z from "zod";
import { BulkheadError } from "../errors.ts";
import { fromBase64, hkdf, toHex } from "../bytes.ts";
import { type WrappingKey, wrappingKey } from "./wrapping-key.ts";

/**
 * The key-encryption key: it wraps the keyring's root and nothing else, so that a key-management service can
 * stand for it with one call a run.
 */
export interface Kek extends Pick<WrappingKey, "wrap" | "unwrap"> {
  /** 16 lowercase hex digits, derived from the key: says which key, tells nothing about it. */
  readonly id: string;
  /** Where it is: `BULKHEAD_KEK`, or a service's key as `BULKHEAD_KMS` names it. No secret. */
  readonly name: string;
}

/** `BULKHEAD_KEK` for `readEnv`: 32 bytes in base64. */
export const kekVariable: z.ZodType<string> = z
  .string("set it to 32 random bytes in base64: openssl rand -base64 32; or set BULKHEAD_KMS")
  .refine((text) => decode(text)?.length === 32, {
    message: "must be 32 bytes in base64: openssl rand -base64 32",
  });

function decode(text: string): Uint8Array | null {
  try {
    return fromBase64(text.trim());
  } catch {
    return null;
  }
}

/**
 * A KEK from the value of `BULKHEAD_KEK`.
 *
 * @example
 * const env = readEnv(process.env, z.object({ BULKHEAD_KEK: kekVariable }));
 * const kek = await kekFromBase64(env.BULKHEAD_KEK);
 */
export async function kekFromBase64(text: string): Promise<Kek> {
  const secret = decode(text);
  if (secret?.length !== 32) {
    throw new BulkheadError(
      "BH_KEK_MALFORMED",
      "Cannot read the key-encryption key: BULKHEAD_KEK is not 32 bytes in base64",
      { kind: "usage", hint: "Make one with: openssl rand -base64 32" },
    );
  }
  const { wrap, unwrap } = await wrappingKey(secret);
  return {
    id: toHex(await hkdf(secret, { info: "bulkhead/v1/kek-id", bytes: 8 })),
    name: "BULKHEAD_KEK",
    wrap,
    unwrap,
  };
}
