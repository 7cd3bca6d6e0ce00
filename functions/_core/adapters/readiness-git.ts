import { lstatSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { GitIgnore } from "../lint/gitignore.ts";
import { type GitIndex, parseGitIndex } from "../readiness/git-index.ts";
import { decode, readBounded } from "./bounded-file.ts";

/** What git knows of a folder. Paths of the index begin with `prefix`. */
export type Git = { prefix: string; index: GitIndex; ignored: GitIgnore };

/** The index of a tree of a million files is smaller. */
const MOST_INDEX = 150_000_000;

/**
 * What git has of a folder, by its index alone: null where there is no repository around it, or it has nothing of the
 * folder. A repository's own `.git` may be a folder or, in a worktree or submodule, a file that names one.
 *
 * @example
 * readGit("/srv/app")?.index.files.has(".env");
 * @throws SyntaxError where there is an index and it can't be read.
 */
export function readGit(root: string): Git | null {
  for (let folder = resolve(root);; folder = dirname(folder)) {
    const store = storeOf(folder);
    if (store !== null) {
      const index = parseGitIndex(readBounded(join(store, "index"), MOST_INDEX));
      const inside = relative(folder, resolve(root)).split(sep).join("/");
      const prefix = inside === "" ? "" : `${inside}/`;
      if (prefix !== "" && !any(index.files, (path) => path.startsWith(prefix))) return null;
      return { prefix, index, ignored: above(folder, inside) };
    }
    if (folder === dirname(folder)) return null;
  }
}

/** Where a `.git` keeps its index; a link is not followed. Null where there is none yet. */
function storeOf(folder: string): string | null {
  const at = join(folder, ".git");
  try {
    const found = lstatSync(at);
    const named = found.isFile()
      ? /^gitdir: ([^\0\n]+)/.exec(decode(readBounded(at, 10_000)))?.[1]?.trim()
      : undefined;
    const store = found.isDirectory() ? at : named === undefined ? null : resolve(folder, named);
    return store !== null && lstatSync(join(store, "index")).isFile() ? store : null;
  } catch {
    return null;
  }
}

/** The patterns of the folders between the repository's and the one that is read. */
function above(top: string, inside: string): GitIgnore {
  let ignored = new GitIgnore();
  const steps = inside === "" ? [] : inside.split("/");
  for (let depth = 0; depth < steps.length; depth++) {
    const folder = steps.slice(0, depth).join("/");
    try {
      const text = decode(readBounded(join(top, folder, ".gitignore"), 1_000_000));
      ignored = ignored.with(folder, text);
    } catch {
      // it has none
    }
  }
  return ignored;
}

function any<Item>(items: Iterable<Item>, test: (item: Item) => boolean): boolean {
  for (const item of items) if (test(item)) return true;
  return false;
}
