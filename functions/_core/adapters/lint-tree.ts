import { lstat, readdir, realpath, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { GitIgnore } from "../lint/gitignore.ts";
import type { SourceFile, Unread } from "../lint/lint.ts";
import { decode, readBounded, reasonOf } from "./bounded-file.ts";

/** What a walk found: the files to look at, and those that should have been and could not. */
export type SourceTree = { files: SourceFile[]; unread: Unread[] };

const SOURCE =
  /\.([cm]?[jt]sx?|svelte|vue|astro|sql|json|jsonc|ya?ml|toml|md|mdx|html|txt|sh)$|(^|\/)\.env(\.[\w.-]+)?$/;
/** Files that rules read; the others are looked through for keys only, and only as far as that is cheap. */
const CODE = /\.([cm]?[jt]sx?|svelte|vue|astro|sql)$/;
const SKIPPED = new Set([
  ...["node_modules", "dist", "build", "out", "coverage", "vendor", "vendored", "third_party"],
  ...["storybook-static", "bower_components", "Pods", "__pycache__", "target"],
]);
/** Folders that begin with a dot hold tools and caches, save these. */
const DOTTED = new Set([".github", ".server", ".storybook", ".env"]);
const GENERATED =
  /\.min\.[cm]?js$|[.-]bundle\.[cm]?js$|\.d\.[cm]?ts$|(^|\/)package-lock\.json$|(^|\/)(pnpm-lock\.yaml|deno\.lock)$/;

const MAX_CODE = 2_000_000;
const MAX_OTHER = 500_000;
const MAX_FILES = 50_000;
const MAX_TOTAL = 500_000_000;
const MAX_DEPTH = 100;

/**
 * Read the sources below a folder, or one file. Links are not followed, .gitignore is obeyed, folders of other
 * people's code are skipped, and everything has a bound.
 *
 * @example
 * const { files, unread } = await readTree("src", { exclude: ["legacy/"] });
 */
export async function readTree(
  root: string,
  { exclude = [] }: { exclude?: readonly string[] } = {},
): Promise<SourceTree> {
  const tree: SourceTree = { files: [], unread: [] };
  const ignored = new GitIgnore().with("", exclude.join("\n"));
  if ((await stat(root)).isFile()) {
    const budget = { left: MAX_TOTAL };
    await readInto(tree, await realpath(root), basename(root), budget);
    return tree;
  }
  await walk({ tree, root, budget: { left: MAX_TOTAL } }, "", ignored, ignored, 0);
  tree.files.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  return tree;
}

type Walk = { tree: SourceTree; root: string; budget: { left: number } };

async function walk(
  at: Walk,
  folder: string,
  outer: GitIgnore,
  exclude: GitIgnore,
  depth: number,
): Promise<void> {
  const { tree, root } = at;
  if (depth > MAX_DEPTH) {
    tree.unread.push({ file: folder, reason: `folders are nested more than ${MAX_DEPTH} deep` });
    return;
  }
  let entries;
  try {
    entries = await readdir(join(root, folder), { withFileTypes: true });
  } catch (error) {
    tree.unread.push({ file: folder === "" ? "." : folder, reason: reasonOf(error) });
    return;
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  let ignored = outer;
  if (entries.some((one) => one.name === ".gitignore" && one.isFile())) {
    const text = gitIgnore(join(root, folder, ".gitignore"));
    if (text !== null) ignored = outer.with(folder, text);
  }
  for (const entry of entries) {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    const isFolder = entry.isDirectory();
    if (ignored.has(path, isFolder) || exclude.has(path, isFolder)) continue;
    if (isFolder) {
      if (SKIPPED.has(entry.name) || (entry.name.startsWith(".") && !DOTTED.has(entry.name))) {
        continue;
      }
      await walk(at, path, ignored, exclude, depth + 1);
    } else if (entry.isFile() && SOURCE.test(path) && !GENERATED.test(path)) {
      if (tree.files.length >= MAX_FILES) {
        if (tree.files.length === MAX_FILES && tree.unread.at(-1)?.file !== ".") {
          tree.unread.push({
            file: ".",
            reason: `more than ${MAX_FILES} files: lint its parts one by one`,
          });
        }
        return;
      }
      await readInto(tree, join(root, path), path, at.budget);
    }
  }
}

async function readInto(
  tree: SourceTree,
  place: string,
  path: string,
  budget: { left: number },
): Promise<void> {
  const isCode = CODE.test(path);
  try {
    const { size } = await lstat(place);
    const most = isCode ? MAX_CODE : MAX_OTHER;
    if (size > most || size > budget.left) {
      // A long list of rows or a lock file holds no rule's subject; code does.
      if (isCode && !isData(path)) {
        const why = size > most
          ? `it is larger than ${most / 1_000_000} MB`
          : "the tree is larger than 500 MB";
        tree.unread.push({ file: path, reason: why });
      }
      return;
    }
    const bytes = readBounded(place, most);
    budget.left -= bytes.length;
    const text = decode(bytes);
    if (text.includes("\0")) {
      if (isCode) tree.unread.push({ file: path, reason: "it is binary" });
      return;
    }
    tree.files.push({ path, text });
  } catch (error) {
    tree.unread.push({ file: path, reason: reasonOf(error) });
  }
}

/** Rows to load and dumps: they are large and make no function worth a rule. */
function isData(path: string): boolean {
  return /(^|\/)(seeds?|dumps?|data)(\/|[\w.-]*\.sql$)/i.test(path) && path.endsWith(".sql");
}

function gitIgnore(path: string): string | null {
  try {
    return decode(readBounded(path, 1_000_000));
  } catch {
    return null;
  }
}
