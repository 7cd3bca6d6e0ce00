import { rename, rm, writeFile } from "node:fs/promises";
import process from "node:process";
import { onInterrupt } from "./run.ts";

/**
 * Write a file whole or not at all; Ctrl-C leaves no part of it.
 *
 * @example
 * await writeWhole("report.html", page);
 * @throws the file system's own error, such as ENOENT or EACCES.
 */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  const partial = `${path}.${process.pid}.partial`;
  const clean = () => rm(partial, { force: true });
  const done = onInterrupt(clean);
  try {
    await writeFile(partial, content);
    await rename(partial, path);
  } finally {
    done();
    // What could not be made can't be removed either, and that must not hide why.
    await clean().catch(() => {});
  }
}
