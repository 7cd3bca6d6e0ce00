/** First line of every generated file: it says so, and how the rest looked when it was written. */
const MARK = /^-- bulkhead:generated ([0-9a-f]{16})\r?\n/;

/**
 * A generated file: the mark, then the body.
 *
 * @example
 * await writeFile(path, await marked(body));
 */
export async function marked(body: string): Promise<string> {
  return `-- bulkhead:generated ${await hashOf(body)}\n${body}`;
}

/**
 * Whose a file is: `ours` as it was written, `edited` by hand since, or `foreign`.
 *
 * @example
 * if (await ownerOf(text) === "ours") overwrite();
 */
export async function ownerOf(text: string): Promise<"ours" | "edited" | "foreign"> {
  const found = MARK.exec(text);
  if (!found) return "foreign";
  // A checkout with CRLF is no edit.
  const body = text.slice(found[0].length).replaceAll("\r\n", "\n");
  return found[1] === await hashOf(body) ? "ours" : "edited";
}

async function hashOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("")
    .slice(0, 16);
}
