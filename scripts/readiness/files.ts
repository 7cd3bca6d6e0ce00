import { readFile, rename, rm, writeFile } from "node:fs/promises";
import process from "node:process";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { onInterrupt } from "../cli/run.ts";

/**
 * The text of a file that was named on the command line.
 *
 * @throws BulkheadError with `code` when it can't be read.
 * @example
 * await readNamed("last.json", { code: "BH_READINESS_SINCE", hint: "…" });
 */
export async function readNamed(
  path: string,
  { code, hint }: { code: string; hint: string },
): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const state = codeOf(cause) === "ENOENT" ? "it does not exist" : codeOf(cause);
    throw new BulkheadError(code, `Cannot read "${path}": ${state}`, {
      kind: "usage",
      hint,
      cause,
    });
  }
}

/**
 * Write a file whole or not at all.
 *
 * @throws BulkheadError `BH_READINESS_OUTPUT` when it can't be written.
 * @example
 * await writeWhole("report.html", page);
 */
export async function writeWhole(path: string, text: string): Promise<void> {
  const partial = `${path}.${process.pid}.partial`;
  const done = onInterrupt(() => rm(partial, { force: true }));
  try {
    await writeFile(partial, text);
    await rename(partial, path);
  } catch (cause) {
    await rm(partial, { force: true }).catch(() => {});
    throw new BulkheadError("BH_READINESS_OUTPUT", `Cannot write "${path}": ${codeOf(cause)}`, {
      kind: "usage",
      hint: "name a file in a folder that exists and may be written",
      cause,
    });
  } finally {
    done();
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
