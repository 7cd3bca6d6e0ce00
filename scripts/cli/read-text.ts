import { readFile } from "node:fs/promises";

/**
 * The text of a file, null where there is none.
 *
 * @example
 * const known = await readText("bulkhead.toml");
 * @throws the file system's own error where there is one that can't be read.
 */
export async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw error;
  }
}
