/**
 * What stays the same of a place when lines move, made of what is said of it; the second of its kind is another.
 *
 * @example
 * const fingerprint = fingerprints();
 * fingerprint("SEC-01", "app/settings.py", "secret_key has a default"); // "9c1f0c3e51aa02bd:0"
 */
export function fingerprints(): (...parts: string[]) => string {
  const seen = new Map<string, number>();
  return (...parts) => {
    const key = parts.join("\0");
    const nth = seen.get(key) ?? 0;
    seen.set(key, nth + 1);
    let [a, b] = [0x811c9dc5, 0x01000193];
    for (let index = 0; index < key.length; index++) {
      a = Math.imul(a ^ key.charCodeAt(index), 0x01000193);
      b = Math.imul(b + key.charCodeAt(index), 0x85ebca6b) ^ (b >>> 13);
    }
    const hex = (value: number) => (value >>> 0).toString(16).padStart(8, "0");
    return `${hex(a)}${hex(b)}:${nth}`;
  };
}
