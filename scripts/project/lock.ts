import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { BulkheadError } from "../../functions/_core/errors.ts";

/** Where the record of what was installed lies. Commit it. */
export const LOCK_PATH = "supabase/bulkhead.lock.json";

const lockShape = z.object({
  format: z.literal(1),
  version: z.string(),
  digest: z.string(),
  /** The kit's migrations and upgrades in this project, by path, in order. */
  migrations: z.array(z.object({ path: z.string(), capability: z.string(), sha256: z.string() })),
  /** Every other file, by path: the hash of what the kit wrote there. */
  files: z.record(z.string(), z.string()),
  /** What was added to config.toml. */
  config: z.object({ functions: z.array(z.string()), schema: z.boolean() }),
  /** The SQL objects of the installed version, for the next upgrade. */
  objects: z.record(z.string(), z.string()),
});

/** What was installed, with the hashes that tell whether somebody changed it. */
export type Lock = z.infer<typeof lockShape>;

/**
 * The record of the project, undefined where the kit was never installed.
 *
 * @throws BulkheadError `BH_LOCK` when the file is there and can't be read.
 */
export function readLock(project: string): Lock | undefined {
  const path = join(project, LOCK_PATH);
  if (!existsSync(path)) return undefined;
  try {
    return lockShape.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    throw new BulkheadError(
      "BH_LOCK",
      `Cannot read "${LOCK_PATH}": it is not a record of this kit`,
      {
        kind: "usage",
        hint: "take the file back from version control; without it no upgrade knows what to change",
        cause: error,
      },
    );
  }
}

/**
 * The record of a project that must have one.
 *
 * @example
 * const lock = needLock(project, { cannot: `upgrade "${project}"`, hint: "bulkhead init" });
 * @throws BulkheadError `BH_NO_PROJECT` where the kit was never installed.
 */
export function needLock(project: string, says: { cannot: string; hint: string }): Lock {
  const lock = readLock(project);
  if (lock !== undefined) return lock;
  throw new BulkheadError("BH_NO_PROJECT", `Cannot ${says.cannot}: it has no ${LOCK_PATH}`, {
    kind: "usage",
    hint: says.hint,
  });
}

/** The text of the record: the same installation is always the same text. */
export function lockText(lock: Lock): string {
  const files = Object.fromEntries(Object.entries(lock.files).sort(([a], [b]) => a < b ? -1 : 1));
  return `${JSON.stringify({ ...lock, files }, null, 2)}\n`;
}
