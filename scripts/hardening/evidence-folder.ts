import { createHash, type KeyObject, randomBytes, sign } from "node:crypto";
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { checkParent, ensureFolder } from "../../functions/_core/adapters/folder.ts";
import { BulkheadError, messageOf } from "../../functions/_core/errors.ts";
import { onInterrupt } from "../cli/run.ts";

/**
 * Refuse a folder that exists, before any work is done.
 *
 * @example
 * const folder = await newFolder("evidence/2026-11");
 * @throws BulkheadError `BH_EVIDENCE_EXISTS`, `BH_EVIDENCE_WRITE` where it could not be made.
 */
export async function newFolder(out: string): Promise<string> {
  const folder = resolve(out);
  const found = await stat(folder).catch(() => undefined);
  if (found === undefined) {
    await checkParent(folder).catch((error) => {
      throw unwritable(folder, error);
    });
    return folder;
  }
  throw new BulkheadError(
    "BH_EVIDENCE_EXISTS",
    `Cannot write evidence to "${folder}": it exists already`,
    {
      kind: "usage",
      hint: "name a folder that does not exist with --out; evidence is never overwritten",
    },
  );
}

/**
 * Write all files and SHA256SUMS (with `signer` its signature too) under a temporary name and rename the folder: it appears whole or not at all.
 *
 * @example
 * await writeFolder("/var/evidence/2026-11", new Map([["README.md", "# Evidence"]]));
 */
export async function writeFolder(
  folder: string,
  files: ReadonlyMap<string, string>,
  signer?: KeyObject,
): Promise<void> {
  const partial = `${folder}.partial-${randomBytes(4).toString("hex")}`;
  const clean = () => rm(partial, { recursive: true, force: true });
  const done = onInterrupt(clean);
  try {
    await ensureFolder(dirname(folder));
    await mkdir(partial, { mode: 0o700 });
    const sums: string[] = [];
    for (const [name, content] of files) {
      await writeFile(join(partial, name), content);
      // Of what is on the disk, not of what was meant.
      sums.push(
        `${
          createHash("sha256").update(await readFile(join(partial, name))).digest("hex")
        }  ${name}`,
      );
    }
    const list = Buffer.from(`${sums.join("\n")}\n`);
    await writeFile(join(partial, "SHA256SUMS"), list);
    if (signer) await writeFile(join(partial, "SHA256SUMS.sig"), sign(null, list, signer));
    await rename(partial, folder);
  } catch (error) {
    throw unwritable(folder, error);
  } finally {
    done();
    // What could not be made can't be removed either, and that must not hide why.
    await clean().catch(() => {});
  }
}

function unwritable(folder: string, error: unknown): BulkheadError {
  return new BulkheadError(
    "BH_EVIDENCE_WRITE",
    `Cannot write evidence to "${folder}": ${messageOf(error)}`,
    { kind: "usage", hint: "name a folder that you may create with --out", cause: error },
  );
}
