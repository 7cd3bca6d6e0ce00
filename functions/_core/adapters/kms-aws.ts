import { AwsClient } from "aws4fetch";
import * as z from "zod";
import { fromBase64, toBase64 } from "../bytes.ts";
import type { KmsKey } from "../keys/kms-kek.ts";
import { AWS_KEY } from "../keys/kms-variables.ts";
import {
  callKms,
  kmsAnswer,
  type KmsRefusal,
  type KmsTransport,
  type KmsVerdict,
} from "./kms-call.ts";

export interface AwsKmsOptions extends KmsTransport {
  readonly arn: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
  /** For a VPC endpoint; the region's own unless said otherwise. */
  readonly endpoint?: string | undefined;
}

const encrypted = z.object({ KeyId: z.string(), CiphertextBlob: z.base64() });
const decrypted = z.object({ KeyId: z.string(), Plaintext: z.base64() });
const refused = z.object({ __type: z.string() });

/**
 * AWS KMS, `Encrypt` and `Decrypt` of the JSON API, signed by aws4fetch. The context is the encryption context
 * `{ "bulkhead": context }`; the caller needs `kms:Encrypt` and `kms:Decrypt` on this key.
 *
 * Unverified: written from the vendor's documentation, tested against a server that does what it says, never live.
 *
 * @example
 * const key = awsKms({ arn, accessKeyId, secretAccessKey });
 */
export function awsKms(options: AwsKmsOptions): KmsKey {
  const { arn, accessKeyId, secretAccessKey, sessionToken } = options;
  const [, partition, region = ""] = AWS_KEY.exec(arn) ?? [];
  const domain = partition === "aws-cn" ? "amazonaws.com.cn" : "amazonaws.com";
  const url = options.endpoint ?? `https://kms.${region}.${domain}/`;
  const client = new AwsClient({
    accessKeyId,
    secretAccessKey,
    ...(sessionToken ? { sessionToken } : {}),
    service: "kms",
    region,
    retries: 0,
  });
  const name = `aws:${arn}`;
  const call = (operation: "Encrypt" | "Decrypt", body: Record<string, unknown>) =>
    callKms({
      name,
      action: operation === "Encrypt" ? "wrap with" : "unwrap with",
      request: () =>
        client.sign(
          new Request(url, {
            method: "POST",
            headers: {
              "content-type": "application/x-amz-json-1.1",
              "x-amz-target": `TrentService.${operation}`,
            },
            body: JSON.stringify({ KeyId: arn, ...body }),
          }),
        ),
      judge,
    }, options);
  return {
    async wrap(secret, context) {
      const answer = encrypted.safeParse(
        await call("Encrypt", {
          Plaintext: toBase64(secret),
          EncryptionContext: { bulkhead: context },
        }),
      );
      if (!answer.success) throw kmsAnswer(name, "it holds no ciphertext");
      if (answer.data.KeyId !== arn) throw kmsAnswer(name, "another key encrypted");
      return fromBase64(answer.data.CiphertextBlob);
    },
    async unwrap(wrapped, context) {
      const body = await call("Decrypt", {
        CiphertextBlob: toBase64(wrapped),
        EncryptionContext: { bulkhead: context },
      });
      if (body === null) return null;
      const answer = decrypted.safeParse(body);
      if (!answer.success) throw kmsAnswer(name, "it holds no plaintext");
      if (answer.data.KeyId !== arn) throw kmsAnswer(name, "another key decrypted");
      return fromBase64(answer.data.Plaintext);
    },
  };
}

const VERDICTS: Record<string, KmsVerdict> = {
  InvalidCiphertextException: "mismatch",
  IncorrectKeyException: "mismatch",
  DisabledException: "key",
  KMSInvalidStateException: "key",
  NotFoundException: "key",
  InvalidKeyUsageException: "key",
  ThrottlingException: "later",
  LimitExceededException: "later",
  DependencyTimeoutException: "later",
  KeyUnavailableException: "later",
  KMSInternalException: "later",
};

/** The type comes as `DisabledException` or as `com.amazonaws.kms#DisabledException`. */
function judge(_status: number, body: unknown): KmsRefusal {
  const type = refused.safeParse(body).data?.__type ?? "";
  const code = type.slice(type.lastIndexOf("#") + 1);
  return { verdict: VERDICTS[code] ?? "denied", code };
}
