import {
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  type JSONWebKeySet,
  jwtVerify,
  SignJWT,
} from "jose";
import { BulkheadError } from "../errors.ts";
import { TokenError } from "../service/open-session.ts";
import { parseActor } from "../service/tenant-scope.ts";
import { claimReader, type ClaimRules } from "../service/token-claims.ts";

export { openSession, TokenError } from "../service/open-session.ts";
export type { OpenedSession, SessionOptions, TenantSession } from "../service/open-session.ts";

/** With what tokens are checked: the project's shared secret, its published keys, or keys at hand. */
export type TokenKeys =
  | { secret: string; jwksUrl?: never; jwks?: never }
  | { jwksUrl: string; secret?: never; jwks?: never }
  | { jwks: JSONWebKeySet; secret?: never; jwksUrl?: never };

/** What {@link jwtVerifier} takes. */
export type VerifierOptions = TokenKeys & ClaimRules & {
  /** Who signed, e.g. `https://<project>.supabase.co/auth/v1`; not compared where it is left out. */
  issuer?: string | undefined;
  /** For whom, `authenticated` as Supabase Auth writes it unless said otherwise. */
  audience?: string | undefined;
};

/** Each kind of key has its own: a public key can never be taken for a shared secret. */
const ALGORITHMS = { secret: ["HS256"], keys: ["ES256", "RS256", "EdDSA"] };

/**
 * Make a function that turns a bearer token into who asks. Signature, expiry, audience and issuer are checked; the
 * tenant comes from a claim that users can't write.
 *
 * @example
 * const verify = jwtVerifier({ jwksUrl: "https://<project>.supabase.co/auth/v1/.well-known/jwks.json" });
 * const { tenantId, actor } = await verify(token);
 * @throws TokenError (401) for a token that is wrong, BulkheadError `BH_TOKEN_TENANT` (403) for one without a tenant,
 *   `BH_TOKEN_KEYS` (503) when the keys can't be fetched.
 */
export function jwtVerifier(
  options: VerifierOptions,
): (token: string) => Promise<{ tenantId: string; actor: string }> {
  const read = claimReader(options);
  const keys = keysOf(options);
  const rules = {
    algorithms: options.secret === undefined ? ALGORITHMS.keys : ALGORITHMS.secret,
    audience: options.audience ?? "authenticated",
    requiredClaims: ["exp"],
    ...(options.issuer === undefined ? {} : { issuer: options.issuer }),
  };
  return async (token) => {
    try {
      const { payload } = await (keys instanceof Uint8Array
        ? jwtVerify(token, keys, rules)
        : jwtVerify(token, keys, rules));
      return read(payload);
    } catch (error) {
      throw translated(error);
    }
  };
}

/**
 * Make a token of the role `bulkhead_service`, which obeys row level security: `serviceToken` of `createTenantClient`.
 *
 * @example
 * const serviceToken = await mintServiceToken({ secret, actor: "billing job", minutes: 60 });
 */
export async function mintServiceToken(
  options: { secret: string; actor: string; minutes?: number },
): Promise<string> {
  const { actor } = parseActor({ actor: options.actor });
  return await new SignJWT({ role: "bulkhead_service" })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setSubject(actor)
    .setIssuedAt()
    .setExpirationTime(`${options.minutes ?? 60} minutes`)
    .sign(secretBytes(options.secret));
}

function keysOf(keys: TokenKeys) {
  if (keys.secret !== undefined) return secretBytes(keys.secret);
  if (keys.jwks !== undefined) return createLocalJWKSet(keys.jwks);
  if (URL.canParse(keys.jwksUrl)) return createRemoteJWKSet(new URL(keys.jwksUrl));
  throw unusable("jwksUrl", "https://<project>.supabase.co/auth/v1/.well-known/jwks.json");
}

function secretBytes(secret: string): Uint8Array {
  const bytes = typeof secret === "string" ? new TextEncoder().encode(secret) : new Uint8Array();
  if (bytes.length < 32) throw unusable("secret", "the project's JWT secret, 32 bytes at least");
  return bytes;
}

function translated(error: unknown): unknown {
  if (error instanceof errors.JWTExpired) return new TokenError("it has expired", error);
  if (
    error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid ||
    !(error instanceof errors.JOSEError || error instanceof BulkheadError)
  ) {
    return new BulkheadError("BH_TOKEN_KEYS", "Cannot verify tokens: the keys can't be fetched", {
      kind: "unavailable",
      hint: "Look at jwksUrl; the answer must be a JWK set.",
      cause: error,
    });
  }
  // Which check failed is nobody's business who can't make a token.
  return error instanceof BulkheadError ? error : new TokenError("it is not valid here", error);
}

function unusable(name: string, wanted: string): BulkheadError {
  return new BulkheadError("BH_CLAIM", `Cannot verify tokens with "${name}": it is unusable`, {
    kind: "usage",
    hint: `Pass ${name}: ${wanted}.`,
  });
}
