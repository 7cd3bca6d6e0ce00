import { readFile } from "node:fs/promises";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { writeWhole } from "../cli/write-whole.ts";

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
 * Write a file that was named on the command line.
 *
 * @throws BulkheadError `BH_READINESS_OUTPUT` when it can't be written.
 * @example
 * await writeNamed("report.html", page);
 */
export async function writeNamed(path: string, text: string): Promise<void> {
  try {
    await writeWhole(path, text);
  } catch (cause) {
    throw new BulkheadError("BH_READINESS_OUTPUT", `Cannot write "${path}": ${codeOf(cause)}`, {
      kind: "usage",
      hint: "name a file in a folder that exists and may be written",
      cause,
    });
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
