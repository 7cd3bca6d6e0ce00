import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { createTwoFilesPatch } from "diff";
import { BulkheadError, messageOf } from "../../functions/_core/errors.ts";

/** What is to happen to one file; `path` is relative to the project, with slashes. */
export type Change = {
  path: string;
  /** `null`: the file is not there. */
  before: string | null;
  /** `null`: the file goes. */
  after: string | null;
};

/** The name of a file that is being written; whatever carries it is left over from a crash. */
const PARTIAL = /^\.bulkhead-\d+-\d+\.partial$/;

/** The text of a file of the project, `null` where there is none. */
export function textOf(project: string, path: string): string | null {
  const full = join(project, path);
  if (!existsSync(full)) return null;
  if (!lstatSync(full).isFile()) {
    throw new BulkheadError("BH_PROJECT_WRITE", `Cannot use "${path}": it is no regular file`, {
      kind: "usage",
      hint: "move it away, or replace the link by what it points to",
    });
  }
  return readFileSync(full, "utf8");
}

/**
 * A unified diff of all changes, as `git diff` would show it.
 *
 * @example
 * process.stdout.write(unifiedDiff(changes));
 */
export function unifiedDiff(changes: readonly Change[]): string {
  return changes.filter(({ before, after }) => before !== after).map(({ path, before, after }) =>
    createTwoFilesPatch(
      before === null ? "/dev/null" : `a/${path}`,
      after === null ? "/dev/null" : `b/${path}`,
      before ?? "",
      after ?? "",
      undefined,
      undefined,
      { context: 3 },
    ).replace(/^=+\n/, "")
  ).join("");
}

/**
 * Write all changes or none. Everything is written beside its place first, then renamed in the order given; a failure
 * takes back what was renamed. No `await` in between, so Ctrl-C comes before or after, never within.
 *
 * @throws BulkheadError `BH_PROJECT_WRITE` when a folder can't be written; nothing was changed then.
 */
export function applyChanges(
  project: string,
  changes: readonly Change[],
  rename: (from: string, to: string) => void = renameSync,
): void {
  const wanted = changes.filter(({ before, after }) => before !== after);
  const folders: string[] = [];
  const staged = new Map<Change, string>();
  const done: Change[] = [];
  let at = "";
  try {
    // Also where nothing is to be written: a crash may have come at the very end.
    for (const { path } of changes) {
      at = path;
      removePartials(dirname(join(project, path)));
    }
    for (const change of wanted) {
      at = change.path;
      if (change.after !== null) folders.push(...makeFolder(dirname(join(project, change.path))));
    }
    for (const [index, change] of wanted.entries()) {
      at = change.path;
      if (change.after !== null) {
        staged.set(change, stage(project, change.path, change.after, index));
      }
    }
    for (const change of wanted) {
      at = change.path;
      const partial = staged.get(change);
      if (partial === undefined) rmSync(join(project, change.path));
      else rename(partial, join(project, change.path));
      done.push(change);
    }
  } catch (error) {
    for (const partial of staged.values()) rmSync(partial, { force: true });
    for (const change of done.reverse()) {
      if (change.before === null) rmSync(join(project, change.path), { force: true });
      else renameSync(stage(project, change.path, change.before, 0), join(project, change.path));
    }
    for (const folder of folders.reverse()) removeIfEmpty(folder);
    throw new BulkheadError(
      "BH_PROJECT_WRITE",
      `Cannot write "${at}": ${messageOf(error)}`,
      {
        kind: "usage",
        hint: "nothing was changed; make the project writable and run it again",
        cause: error,
      },
    );
  }
  for (const change of wanted) {
    if (change.after !== null) continue;
    // Folders that only held the kit's files go with them, up to the project itself.
    for (
      let folder = dirname(change.path);
      folder !== "." && removeIfEmpty(join(project, folder));
      folder = dirname(folder)
    );
  }
}

function stage(project: string, path: string, text: string, index: number): string {
  const partial = join(dirname(join(project, path)), `.bulkhead-${process.pid}-${index}.partial`);
  const file = openSync(partial, "w", 0o644);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  return partial;
}

/** Make a folder and those above it; returns the new ones, outermost first. */
function makeFolder(folder: string): string[] {
  const missing: string[] = [];
  for (let up = folder; !existsSync(up) && dirname(up) !== up; up = dirname(up)) {
    missing.unshift(up);
  }
  mkdirSync(folder, { recursive: true });
  return missing;
}

function removePartials(folder: string): void {
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    if (PARTIAL.test(name)) rmSync(join(folder, name), { force: true });
  }
}

function removeIfEmpty(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch {
    return false; // somebody's files are in it, or it is gone
  }
}
