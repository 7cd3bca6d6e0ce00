/** A secret in a text: where it is and what may be told of it. */
export type Secret = {
  start: number;
  end: number;
  kind: "service-role JWT" | "secret API key";
  /** The public key of the local stack that every Supabase CLI ships: known to everybody. */
  isLocalDemo: boolean;
};

const TOKEN =
  /\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}|\bsb_secret_[A-Za-z0-9_-]{20,}/g;

/**
 * The service keys written out in a text, comments included: whoever reads the file has them.
 *
 * @example
 * findSecrets('const key = "sb_secret_…"').map((one) => one.kind);
 */
export function findSecrets(text: string): Secret[] {
  if (!text.includes("eyJ") && !text.includes("sb_secret_")) return [];
  const found: Secret[] = [];
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    const end = index + token.length;
    if (token.startsWith("sb_secret_")) {
      const body = token.slice("sb_secret_".length);
      if (isPlaceholder(body)) continue;
      // The CLI gives every local stack the same one.
      const isLocalDemo = body === "N7UND0UgjKTVK-Uodkm0Hg_xSvEMPvz";
      found.push({ start: index, end, kind: "secret API key", isLocalDemo });
      continue;
    }
    const payload = decodePayload(token);
    if (payload?.role !== "service_role") continue;
    // A hosted key names its project, a self-hosted one its own issuer.
    const isLocalDemo = payload.iss === "supabase-demo" && payload.ref === undefined;
    found.push({ start: index, end, kind: "service-role JWT", isLocalDemo });
  }
  return found;
}

function isPlaceholder(body: string): boolean {
  return new Set(body).size < 8 || /your|example|placeholder|xxxx|dummy|change/i.test(body);
}

type Payload = { role?: string; iss?: string; ref?: string };

function decodePayload(token: string): Payload | null {
  const part = token.split(".")[1] ?? "";
  try {
    const json = atob(part.replace(/-/g, "+").replace(/_/g, "/"));
    const value: unknown = JSON.parse(json);
    if (typeof value !== "object" || value === null) return null;
    const field = (name: string): string | undefined => {
      const found = Object.entries(value).find(([key]) => key === name)?.[1];
      return typeof found === "string" ? found : undefined;
    };
    const [role, iss, ref] = [field("role"), field("iss"), field("ref")];
    return { ...(role && { role }), ...(iss && { iss }), ...(ref && { ref }) };
  } catch {
    return null; // no JWT after all
  }
}

/** Length and the first eight hexadecimal digits of the SHA-256: enough to find the key again, not to use it. */
export async function describeSecret(secret: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(secret));
  const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
  return `${secret.length} characters, sha256 ${hex.slice(0, 8)}…`;
}

/** The text with every key, demo keys too, blotted out; each character keeps its column. */
export function maskSecrets(text: string): string {
  let safe = text;
  for (const { start, end } of findSecrets(text)) {
    safe = safe.slice(0, start) + "*".repeat(end - start) + safe.slice(end);
  }
  return safe;
}
