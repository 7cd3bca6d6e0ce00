/**
 * A secret as a report may show it: its length and the head of its SHA-256, so that two places can be told to hold
 * the same one.
 *
 * @example
 * await redact("hunter2hunter2"); // "14 characters, sha256 4b9e…"
 */
export async function redact(secret: string): Promise<string> {
  const digest = new Uint8Array(
    await crypto.subtle.digest("SHA-256", new TextEncoder().encode(secret)),
  );
  const head = Array.from(digest.subarray(0, 4), (byte) => byte.toString(16).padStart(2, "0"));
  return `${secret.length} characters, sha256 ${head.join("")}…`;
}
