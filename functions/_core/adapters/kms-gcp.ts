import { importPKCS8, SignJWT } from "jose";
import * as z from "zod";
import { fromBase64, toBase64, utf8 } from "../bytes.ts";
import type { KmsKey } from "../keys/kms-kek.ts";
import type { ServiceAccount } from "../keys/kms-variables.ts";
import { callKms, kmsAnswer, type KmsRefusal, type KmsTransport } from "./kms-call.ts";
import { accessToken } from "./kms-token.ts";

export interface GcpKmsOptions extends KmsTransport {
  /** `projects/…/cryptoKeys/…`. */
  readonly key: string;
  /** An access token that somebody else asked for, or the account to ask with. */
  readonly credentials: { readonly token: string } | { readonly account: ServiceAccount };
  /** For a regional or private endpoint. */
  readonly endpoint?: string | undefined;
}

const encrypted = z.object({ name: z.string(), ciphertext: z.base64() });
const decrypted = z.object({ plaintext: z.base64() });
const refused = z.object({ error: z.object({ status: z.string() }) });

/**
 * Google Cloud KMS, `cryptoKeys.encrypt` and `decrypt` of the REST API v1. The context is the additional authenticated
 * data; the caller needs the role `roles/cloudkms.cryptoKeyEncrypterDecrypter` on this key.
 *
 * Unverified: written from the vendor's documentation, tested against a server that does what it says, never live.
 *
 * @example
 * const key = gcpKms({ key: "projects/…/cryptoKeys/bulkhead", credentials: { account } });
 */
export function gcpKms(options: GcpKmsOptions): KmsKey {
  const { key, credentials, endpoint = "https://cloudkms.googleapis.com" } = options;
  const name = `gcp:${key}`;
  const token = "token" in credentials
    ? () => Promise.resolve(credentials.token)
    : signIn(name, credentials.account, options);
  const call = (operation: "encrypt" | "decrypt", body: Record<string, string>) =>
    callKms({
      name,
      action: operation === "encrypt" ? "wrap with" : "unwrap with",
      request: async () =>
        new Request(`${endpoint.replace(/\/$/, "")}/v1/${key}:${operation}`, {
          method: "POST",
          headers: {
            "content-type": "application/json",
            authorization: `Bearer ${await token()}`,
          },
          body: JSON.stringify(body),
        }),
      judge: (_status, answer) => judge(operation, answer),
    }, options);
  const bound = (context: string) => ({ additionalAuthenticatedData: toBase64(utf8(context)) });
  return {
    async wrap(secret, context) {
      const body = await call("encrypt", { plaintext: toBase64(secret), ...bound(context) });
      const answer = encrypted.safeParse(body);
      if (!answer.success) throw kmsAnswer(name, "it holds no ciphertext");
      if (!answer.data.name.startsWith(`${key}/cryptoKeyVersions/`)) {
        throw kmsAnswer(name, "another key encrypted");
      }
      return fromBase64(answer.data.ciphertext);
    },
    async unwrap(wrapped, context) {
      const body = await call("decrypt", { ciphertext: toBase64(wrapped), ...bound(context) });
      if (body === null) return null;
      const answer = decrypted.safeParse(body);
      if (!answer.success) throw kmsAnswer(name, "it holds no plaintext");
      return fromBase64(answer.data.plaintext);
    },
  };
}

/** A token for a service account: a JWT signed by its key is exchanged for one (RFC 7523). */
function signIn(name: string, account: ServiceAccount, transport: KmsTransport) {
  const now = transport.now ?? (() => new Date());
  return accessToken({
    name,
    url: account.token_uri,
    form: async () => {
      const at = Math.floor(now().getTime() / 1000);
      const header = { alg: "RS256", typ: "JWT" };
      const kid = account.private_key_id;
      const assertion = await new SignJWT({ scope: "https://www.googleapis.com/auth/cloudkms" })
        .setProtectedHeader(kid === undefined ? header : { ...header, kid })
        .setIssuer(account.client_email)
        .setAudience(account.token_uri)
        .setIssuedAt(at)
        .setExpirationTime(at + 3600)
        .sign(await importPKCS8(account.private_key, "RS256"));
      return { grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion };
    },
  }, transport);
}

/** Google's canonical codes. Another key or other authenticated data is an invalid argument to `decrypt`. */
function judge(operation: "encrypt" | "decrypt", body: unknown): KmsRefusal {
  const code = refused.safeParse(body).data?.error.status ?? "";
  if (code === "INVALID_ARGUMENT") {
    return { verdict: operation === "decrypt" ? "mismatch" : "key", code };
  }
  if (code === "FAILED_PRECONDITION" || code === "NOT_FOUND") return { verdict: "key", code };
  const isPassing = ["ABORTED", "CANCELLED", "DEADLINE_EXCEEDED"].includes(code);
  return { verdict: isPassing ? "later" : "denied", code };
}
