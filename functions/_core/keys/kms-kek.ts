import { equalInConstantTime, source, toHex, utf8 } from "../bytes.ts";
import { BulkheadError } from "../errors.ts";
import type { Kek } from "./kek.ts";
import type { WrappingKey } from "./wrapping-key.ts";

/** What an adapter does with the key of a service. */
export type KmsKey = Pick<WrappingKey, "wrap" | "unwrap">;

/**
 * A key-encryption key that never leaves its key-management service. Its id is derived from its name. What was wrapped
 * is unwrapped at once: a root that does not come back would cost every backup under it.
 *
 * @example
 * const kek = await kmsKek("aws:arn:aws:kms:eu-central-1:111122223333:key/…", awsKms(options));
 */
export async function kmsKek(name: string, key: KmsKey): Promise<Kek> {
  const digest = await crypto.subtle.digest("SHA-256", source(utf8(`bulkhead/v1/kms/${name}`)));
  return {
    id: toHex(new Uint8Array(digest).subarray(0, 8)),
    name,
    async wrap(secret, context) {
      const wrapped = await key.wrap(secret, context);
      const back = await key.unwrap(wrapped, context);
      if (back && equalInConstantTime(back, secret)) return wrapped;
      throw new BulkheadError(
        "BH_KMS_ANSWER",
        `Cannot wrap with "${name}": what it wrapped does not unwrap again`,
        { kind: "integrity", hint: "Use another key; nothing was written" },
      );
    },
    unwrap: (wrapped, context) => key.unwrap(wrapped, context),
  };
}
