import { constants } from "node:fs";
import { access, mkdir, open, stat, unlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";

/**
 * Make a folder and its parents. Not `mkdir(…, { recursive: true })`: on Node 20 that never ends below a
 * folder that answers ENOENT to every `mkdir`, such as /proc.
 *
 * @example
 * await ensureFolder("/var/backups/bulkhead", { mode: 0o700 });
 * @throws the file system's own error, such as EACCES or ENOTDIR.
 */
export async function ensureFolder(path: string, options: { mode?: number } = {}): Promise<void> {
  const missing: string[] = [];
  for (let at = resolve(path);; at = dirname(at)) {
    const found = await stat(at).catch((error) => {
      if (codeOf(error) === "ENOENT" && at !== dirname(at)) return null;
      throw error;
    });
    if (found && !found.isDirectory()) throw notAFolder(at);
    if (found) break;
    missing.unshift(at);
  }
  for (const folder of missing) {
    await mkdir(folder, options).catch((error) => {
      // Somebody else made it meanwhile.
      if (codeOf(error) !== "EEXIST") throw error;
    });
  }
}

/**
 * Make a folder where it is missing and write a file into it, so that hours of work do not end at a folder
 * that can't be written.
 *
 * @example
 * await ensureWritable(options.reportDir);
 */
export async function ensureWritable(path: string): Promise<void> {
  await ensureFolder(path);
  const probe = join(path, `.bulkhead-${crypto.randomUUID()}`);
  // Access rights alone do not tell: root has them all, in /proc too.
  await (await open(probe, "wx", 0o600)).close();
  await unlink(probe);
}

/**
 * Whether a folder could be made there, without making it: its nearest parent that exists is a folder in
 * which this user may write.
 *
 * @example
 * await checkParent("evidence/2026-11");
 */
export async function checkParent(path: string): Promise<void> {
  for (let at = dirname(resolve(path));; at = dirname(at)) {
    const found = await stat(at).catch((error) => {
      if (codeOf(error) === "ENOENT" && at !== dirname(at)) return null;
      throw error;
    });
    if (!found) continue;
    if (!found.isDirectory()) throw notAFolder(at);
    return await access(at, constants.W_OK | constants.X_OK);
  }
}

function notAFolder(path: string): Error {
  return Object.assign(new Error(`ENOTDIR: not a directory, "${path}"`), { code: "ENOTDIR" });
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
