/** Small things about bytes that the platform lacks on Deno 2.1 and Node 20. */

/** What WebCrypto accepts; the type of a plain `Uint8Array` is wider since TypeScript 5.7. */
export function source(bytes: Uint8Array): BufferSource {
  return bytes as Uint8Array & { buffer: ArrayBuffer };
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function toHex(bytes: Uint8Array): string {
  let hex = "";
  for (const byte of bytes) hex += byte.toString(16).padStart(2, "0");
  return hex;
}

export function fromHex(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length >> 1);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

export function toBase64(bytes: Uint8Array): string {
  let binary = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return btoa(binary);
}

/** Throws on anything that is not base64. */
export function fromBase64(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Takes the same time wherever the first difference lies. */
export function equalInConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}

export async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", source(bytes)));
}

/** HKDF-SHA256. */
export async function hkdf(
  key: Uint8Array,
  options: { salt?: Uint8Array; info: string; bytes: number },
): Promise<Uint8Array> {
  const base = await crypto.subtle.importKey("raw", source(key), "HKDF", false, ["deriveBits"]);
  const bits = await crypto.subtle.deriveBits(
    {
      name: "HKDF",
      hash: "SHA-256",
      salt: source(options.salt ?? new Uint8Array(0)),
      info: source(utf8(options.info)),
    },
    base,
    options.bytes * 8,
  );
  return new Uint8Array(bits);
}

/**
 * One text for one value: members sorted by UTF-16 code units, no white space, safe integers only.
 * What is signed or bound as associated data is this text.
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === "boolean" || typeof value === "string") {
    return JSON.stringify(value);
  }
  if (typeof value === "number" && Number.isSafeInteger(value)) return String(value);
  // A manifest has a line for every table of every tenant: no array is made of what is written.
  let text = "";
  if (Array.isArray(value)) {
    for (const item of value) text += `${text && ","}${canonicalJson(item)}`;
    return `[${text}]`;
  }
  if (typeof value === "object") {
    const members: Record<string, unknown> = { ...value };
    for (const name of Object.keys(members).sort()) {
      if (members[name] === undefined) continue;
      text += `${text && ","}${JSON.stringify(name)}:${canonicalJson(members[name])}`;
    }
    return `{${text}}`;
  }
  throw new TypeError(`Cannot write ${typeof value} ${String(value)} as canonical JSON`);
}
