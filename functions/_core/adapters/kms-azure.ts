import * as z from "zod";
import { concat, fromBase64, toBase64 } from "../bytes.ts";
import type { KmsKey } from "../keys/kms-kek.ts";
import { wrappingKey } from "../keys/wrapping-key.ts";
import { callKms, kmsAnswer, type KmsRefusal, type KmsTransport } from "./kms-call.ts";
import { accessToken } from "./kms-token.ts";

/** An application that signs in with a secret. */
export interface AzureApplication {
  readonly tenantId: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** `https://login.microsoftonline.com` unless said otherwise. */
  readonly authority?: string | undefined;
}

export interface AzureKmsOptions extends KmsTransport {
  /** `https://<vault>.vault.azure.net/keys/<name>/<version>`, an RSA key. */
  readonly key: string;
  readonly credentials: { readonly token: string } | { readonly application: AzureApplication };
  /** Where the vault answers, if not where its key identifiers say: a private endpoint. */
  readonly endpoint?: string | undefined;
}

const ALGORITHM = "RSA-OAEP-256";
const operated = z.object({ kid: z.string(), value: z.base64url() });
const refused = z.object({
  error: z.object({
    code: z.string(),
    innererror: z.object({ code: z.string().optional() }).nullish(),
  }),
});

/**
 * Azure Key Vault, `wrapkey` and `unwrapkey` of the REST API 7.4 with an RSA key. RSA-OAEP takes no associated data, so
 * the vault wraps a data key of 32 random bytes, and the secret is sealed under that with the context:
 * `length of the wrapped data key (2) ‖ wrapped data key ‖ nonce, ciphertext, tag`. The caller needs the permissions
 * `wrapKey` and `unwrapKey`.
 *
 * Unverified: written from the vendor's documentation, tested against a server that does what it says, never live.
 *
 * @example
 * const key = azureKms({ key: "https://acme.vault.azure.net/keys/bulkhead/…", credentials: { application } });
 */
export function azureKms(options: AzureKmsOptions): KmsKey {
  const { key, credentials } = options;
  const name = `azure:${key}`;
  const token = "token" in credentials
    ? () => Promise.resolve(credentials.token)
    : signIn(name, key, credentials.application, options);
  const path = new URL(key).pathname;
  const base = (options.endpoint ?? new URL(key).origin).replace(/\/$/, "");
  const call = async (operation: "wrapkey" | "unwrapkey", value: Uint8Array) => {
    const body = await callKms({
      name,
      action: operation === "wrapkey" ? "wrap with" : "unwrap with",
      request: async () =>
        new Request(`${base}${path}/${operation}?api-version=7.4`, {
          method: "POST",
          headers: {
            "content-type": "application/json",
            authorization: `Bearer ${await token()}`,
          },
          body: JSON.stringify({ alg: ALGORITHM, value: toBase64Url(value) }),
        }),
      judge: (status, answer) => judge(operation, status, answer),
    }, options);
    if (body === null) return null;
    const answer = operated.safeParse(body);
    if (!answer.success) throw kmsAnswer(name, "it holds no value");
    if (answer.data.kid !== key) throw kmsAnswer(name, "another key did it");
    return fromBase64Url(answer.data.value);
  };
  return {
    async wrap(secret, context) {
      const dataKey = crypto.getRandomValues(new Uint8Array(32));
      const wrapped = await call("wrapkey", dataKey);
      if (!wrapped) throw kmsAnswer(name, "it holds no value");
      const length = new Uint8Array([wrapped.length >> 8, wrapped.length & 255]);
      return concat(length, wrapped, await (await wrappingKey(dataKey)).wrap(secret, context));
    },
    async unwrap(wrapped, context) {
      const end = 2 + ((wrapped[0] ?? 0) << 8) + (wrapped[1] ?? 0);
      if (wrapped.length < end) return null;
      const dataKey = await call("unwrapkey", wrapped.subarray(2, end));
      if (dataKey?.length !== 32) return null;
      return await (await wrappingKey(dataKey)).unwrap(wrapped.subarray(end), context);
    },
  };
}

/** A token of an application (OAuth client credentials); its scope is that of the vault's cloud. */
function signIn(name: string, key: string, app: AzureApplication, transport: KmsTransport) {
  const authority = (app.authority ?? "https://login.microsoftonline.com").replace(/\/$/, "");
  const cloud = new URL(key).hostname.replace(/^[^.]+\./, "");
  const form = {
    grant_type: "client_credentials",
    client_id: app.clientId,
    client_secret: app.clientSecret,
    scope: `https://${cloud}/.default`,
  };
  const url = `${authority}/${encodeURIComponent(app.tenantId)}/oauth2/v2.0/token`;
  return accessToken({ name, url, form: () => Promise.resolve(form) }, transport);
}

const KEY_STATES = /^Key(NotFound|Disabled|Expired|NotYetValid)$/;

/** A disabled or expired key is a 403 whose inner code says so; what the key did not wrap is a bad parameter. */
function judge(operation: "wrapkey" | "unwrapkey", status: number, body: unknown): KmsRefusal {
  const error = refused.safeParse(body).data?.error;
  const code = error?.innererror?.code ?? error?.code ?? "";
  if (status === 404 || KEY_STATES.test(code)) return { verdict: "key", code };
  if (status === 400) return { verdict: operation === "unwrapkey" ? "mismatch" : "key", code };
  return { verdict: "denied", code };
}

const toBase64Url = (bytes: Uint8Array): string =>
  toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

const fromBase64Url = (text: string): Uint8Array =>
  fromBase64(text.replaceAll("-", "+").replaceAll("_", "/"));
