import { BulkheadError } from "../errors.ts";

/** The role that a minted token names: the policies hold it, reads too. */
export const SERVICE_ROLE = "bulkhead_service";

const LONGEST_MINUTES = 24 * 60;

/**
 * Mint a JWT by which a back end arrives as `bulkhead_service`, signed with the project's JWT secret (HS256). Send it as
 * `Authorization: Bearer …`; the `apikey` header stays the publishable key.
 *
 * @example
 * const token = await mintServiceToken(env.SUPABASE_JWT_SECRET, { now: new Date(), minutes: 15 });
 * @throws BulkheadError `BH_SERVICE_TOKEN`, kind `usage`, for a short secret or more than a day.
 */
export async function mintServiceToken(
  secret: string,
  options: { now: Date; minutes?: number },
): Promise<string> {
  const { now, minutes = 60 } = options;
  if (new TextEncoder().encode(secret).length < 32) {
    throw new BulkheadError(
      "BH_SERVICE_TOKEN",
      "Cannot mint a token: the JWT secret is shorter than 32 bytes",
      {
        kind: "usage",
        hint:
          "use the project's JWT secret (Supabase: Project Settings > JWT Keys > legacy secret)",
      },
    );
  }
  if (!Number.isInteger(minutes) || minutes < 1 || minutes > LONGEST_MINUTES) {
    throw new BulkheadError(
      "BH_SERVICE_TOKEN",
      `Cannot mint a token for "${minutes}" minutes: it lasts 1 to ${LONGEST_MINUTES}`,
      { kind: "usage", hint: "mint short-lived tokens, and mint again" },
    );
  }
  const issued = Math.floor(now.getTime() / 1000);
  const claims = {
    role: SERVICE_ROLE,
    iss: "bulkhead",
    iat: issued,
    exp: issued + minutes * 60,
  };
  const signed = `${encodeJson({ alg: "HS256", typ: "JWT" })}.${encodeJson(claims)}`;
  const key = await crypto.subtle.importKey(
    "raw",
    new TextEncoder().encode(secret),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["sign"],
  );
  const signature = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(signed));
  return `${signed}.${encode(new Uint8Array(signature))}`;
}

function encodeJson(value: unknown): string {
  return encode(new TextEncoder().encode(JSON.stringify(value)));
}

function encode(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
