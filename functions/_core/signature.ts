import { BulkheadError } from "./errors.ts";

/** The header that carries a call's signature. */
export const SIGNATURE_HEADER = "x-bulkhead-signature";

/** A call that is not from the database: handlers answer 401. */
export class SignatureError extends BulkheadError {
  constructor(state: string, hint: string) {
    super("BH_SIGNATURE", `Cannot accept the call: ${state}`, { kind: "refused", hint });
    this.name = "SignatureError";
  }

  override get status(): number {
    return 401;
  }
}

/** What a verified header said. `signature` is what `bulkhead.accept_call` remembers. */
export type VerifiedSignature = { readonly signedAt: Date; readonly signature: string };

/**
 * Sign a body like `bulkhead.call_function` does: `t=<unix seconds>,v1=<hex hmac-sha256("<t>.<body>")>`.
 * The key is the secret's text itself (UTF-8), so hex and base64 secrets need no telling apart.
 *
 * @example
 * headers.set(SIGNATURE_HEADER, await sign(secret, body, new Date()));
 */
export async function sign(
  secret: string,
  body: string | Uint8Array,
  now: Date,
): Promise<string> {
  const seconds = Math.floor(now.getTime() / 1000);
  const key = await importKey(secret, "sign");
  const digest = await crypto.subtle.sign("HMAC", key, signedBytes(seconds, body));
  return `t=${seconds},v1=${toHex(new Uint8Array(digest))}`;
}

/**
 * Check a signature header against the exact bytes of the body. The comparison is WebCrypto's own,
 * in constant time. A replay within the tolerance is refused by `bulkhead.accept_call`, not here.
 *
 * @example
 * const { signature } = await verifySignature(secret, request.headers.get(SIGNATURE_HEADER), body, { now });
 * @throws SignatureError (401) for a missing, malformed, wrong, expired or future signature.
 */
export async function verifySignature(
  secret: string,
  header: string | null,
  body: string | Uint8Array,
  options: { now: Date; toleranceSeconds?: number },
): Promise<VerifiedSignature> {
  const key = await importKey(secret, "verify");
  if (!header) {
    throw new SignatureError(
      "it has no signature",
      `send ${SIGNATURE_HEADER}: t=…,v1=… as bulkhead.call_function does`,
    );
  }
  const [, t, v1] = /^t=(\d{1,12}),v1=([0-9a-f]{64})$/.exec(header) ?? [];
  if (t === undefined || v1 === undefined) {
    throw new SignatureError("its signature is malformed", "expected t=<unix seconds>,v1=<64 hex>");
  }
  const seconds = Number(t);
  if (!await crypto.subtle.verify("HMAC", key, fromHex(v1), signedBytes(seconds, body))) {
    throw new SignatureError(
      "its signature does not match",
      "check that BULKHEAD_HMAC_SECRET equals the Vault secret bulkhead_hmac_secret",
    );
  }
  // Only an authentic time is worth reporting on, so the clock is looked at last.
  const age = options.now.getTime() / 1000 - seconds;
  if (Math.abs(age) > (options.toleranceSeconds ?? 300)) {
    throw new SignatureError(
      age > 0 ? "its signature has expired" : "its signature is from the future",
      "sign each call anew and check both clocks",
    );
  }
  return { signedAt: new Date(seconds * 1000), signature: v1 };
}

async function importKey(secret: string, usage: "sign" | "verify"): Promise<CryptoKey> {
  // 32 random bytes are 43 characters of base64 without padding, 64 of hex.
  if (secret.length < 43) {
    throw new BulkheadError(
      "BH_HMAC_SECRET",
      "Cannot use BULKHEAD_HMAC_SECRET: it is shorter than 32 bytes",
      { kind: "usage", hint: "set it to 32 random bytes: openssl rand -hex 32" },
    );
  }
  return await crypto.subtle.importKey(
    "raw",
    new TextEncoder().encode(secret),
    { name: "HMAC", hash: "SHA-256" },
    false,
    [usage],
  );
}

// No written return type here: TypeScript 5.6 (Deno 2.1.4) and 5.9 name these bytes differently.
function signedBytes(seconds: number, body: string | Uint8Array) {
  const head = new TextEncoder().encode(`${seconds}.`);
  const tail = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const bytes = new Uint8Array(head.length + tail.length);
  bytes.set(head);
  bytes.set(tail, head.length);
  return bytes;
}

const toHex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

const fromHex = (hex: string) =>
  Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
