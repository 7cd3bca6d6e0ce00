import { type Dirent, lstatSync, opendirSync, readlinkSync } from "node:fs";
import { join, posix } from "node:path";
import { GitIgnore } from "../lint/gitignore.ts";
import { contextOf } from "../readiness/context.ts";
import type { RepositoryFile, Unread } from "../readiness/repository.ts";
import { decode, readBounded, reasonOf } from "./bounded-file.ts";
import { type Git, readGit } from "./readiness-git.ts";

/** A repository as it lies on disk: its files, and what no rule can look at. */
export type RepositoryTree = { files: RepositoryFile[]; unread: Unread[] };

/** How far a walk goes; what lies beyond is said. */
export type TreeLimits = {
  /** Files that are judged. */
  files: number;
  /** Bytes of text in all. */
  bytes: number;
  /** Wall-clock seconds. */
  seconds: number;
};

const LIMITS: TreeLimits = { files: 60_000, bytes: 150_000_000, seconds: 60 };
const MOST_VENDORED = 5_000;
const MOST_DEPTH = 100;
const MOST_CODE = 2_000_000;
const MOST_OTHER = 500_000;

/** What tools write and nobody reads. */
const CACHE = new Set([
  ...[".git", ".hg", ".svn", ".jj", ".next", ".nuxt", ".svelte-kit", ".turbo", ".parcel-cache"],
  ...["__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".nox", ".hypothesis"],
  ...[".terraform", ".gradle", ".idea", ".cache", ".pnpm-store", ".eggs", ".DS_Store"],
]);
const BINARY =
  /\.(png|jpe?g|gif|webp|avif|ico|icns|bmp|tiff?|psd|woff2?|ttf|otf|eot|pdf|zip|t?gz|bz2|xz|zst|7z|rar|tar|jar|war|mp[34]|m4a|mov|webm|ogg|wav|flac|avi|mkv|wasm|so|dylib|dll|exe|a|o|pyc|class|lockb|parquet|sqlite3?|db|onnx|pt|bin|npy|npz|pkl|docx?|xlsx?|pptx?)$/i;
/** What rules parse: leaving one of these out is worth saying. */
const CODE =
  /\.([cm]?[jt]sx?|py|sql|sh|bash|ya?ml|toml|tf|hcl|conf)$|(^|\/)(Dockerfile|Containerfile|Makefile|Caddyfile|Procfile|\.env)[^/]*$/;
/** Rows, locks and what a machine wrote: large, and of no rule's concern. */
const DATA =
  /(^|\/)(seeds?|dumps?|data)(\/|[\w.-]*\.sql$)|[.-]lock(\.[a-z]+)?$|-lock\.ya?ml$|[.-](min|bundle|chunk|gen|generated)\.[a-z]+$/i;

/**
 * Read a repository. Links lead nowhere outside of it, pipes and devices are not opened, .gitignore is obeyed except
 * for what git has all the same, vendored files are listed and not read, and everything has a bound.
 *
 * @example
 * const { files, unread } = await readRepository("/srv/app");
 */
export async function readRepository(
  root: string,
  limits: Partial<TreeLimits> = {},
): Promise<RepositoryTree> {
  const tree: RepositoryTree = { files: [], unread: [] };
  let git: Git | null = null;
  try {
    git = readGit(root);
  } catch (error) {
    const reason = error instanceof SyntaxError ? error.message : reasonOf(error);
    tree.unread.push({ file: ".git/index", reason });
  }
  const walk = new Walk(root, tree, git, { ...LIMITS, ...limits });
  await walk.folder("", git?.ignored ?? new GitIgnore(), { isIgnored: false, isVendored: false });
  walk.follow();
  tree.files.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  return tree;
}

type State = { isIgnored: boolean; isVendored: boolean };

class Walk {
  readonly #root: string;
  readonly #tree: RepositoryTree;
  readonly #git: Git | null;
  readonly #limits: TreeLimits;
  /** The folders on the way to what git has; the way through an ignored one leads along them. */
  readonly #tracked = new Set<string>();
  readonly #links: { path: string; target: string }[] = [];
  readonly #began = performance.now();
  #bytes = 0;
  #judged = 0;
  #vendored = 0;
  #breath = 0;
  #ended = false;

  constructor(root: string, tree: RepositoryTree, git: Git | null, limits: TreeLimits) {
    this.#root = root;
    this.#tree = tree;
    this.#git = git;
    this.#limits = limits;
    for (const path of git?.index.files ?? []) {
      for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1)) {
        const folder = path.slice(0, at);
        if (this.#tracked.has(folder)) break;
        this.#tracked.add(folder);
      }
    }
  }

  async folder(folder: string, outer: GitIgnore, state: State, depth = 0): Promise<void> {
    if (depth > MOST_DEPTH) {
      this.#note(folder, `folders are nested more than ${MOST_DEPTH} deep`);
      return;
    }
    if (state.isVendored && this.#vendored > MOST_VENDORED) return;
    const entries = this.#list(folder);
    const names = new Set(entries.map(({ name }) => name));
    const isVendored = state.isVendored || names.has("pyvenv.cfg");
    const prefix = this.#git?.prefix ?? "";
    let ignored = outer;
    if (names.has(".gitignore") && !isVendored) {
      const text = this.#text(join(this.#root, folder, ".gitignore"));
      const base = `${prefix}${folder}`.replace(/\/$/, "");
      if (text !== null) ignored = outer.with(base, text);
    }
    for (const entry of entries) {
      if (await this.#isOver()) return;
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      const known = `${prefix}${path}`;
      const isFolder = entry.isDirectory();
      if (CACHE.has(entry.name) && !this.#tracked.has(known)) continue;
      const isIgnored = state.isIgnored || ignored.has(known, isFolder);
      const isTracked = isFolder
        ? this.#tracked.has(known)
        : this.#git?.index.files.has(known) ?? false;
      if (isIgnored && !isTracked) continue;
      if (isFolder) {
        const isOthers = isVendored || contextOf(`${path}/`) === "vendored" ||
          (this.#git?.index.submodules.has(known) ?? false);
        await this.folder(path, ignored, { isIgnored, isVendored: isOthers }, depth + 1);
      } else this.#file(entry, path, isVendored);
    }
  }

  /** A link to a file of this tree shows that file's text; where it leads elsewhere, it shows nothing. */
  follow(): void {
    const byPath = new Map(this.#tree.files.map((file) => [file.path, file]));
    const targets = new Map(this.#links.map(({ path, target }) => [path, target]));
    for (const { path } of this.#links) {
      const link = byPath.get(path);
      let at = path;
      for (let step = 0; step < 10; step++) {
        const target = targets.get(at);
        if (target === undefined || posix.isAbsolute(target)) break;
        at = posix.normalize(`${posix.dirname(at)}/${target}`);
      }
      const file = byPath.get(at);
      if (link && file && typeof file.text === "string") {
        link.text = file.text;
        link.size = file.size;
        delete link.unread;
      }
    }
  }

  #file(entry: Dirent, path: string, isVendored: boolean): void {
    const context = isVendored ? "vendored" : contextOf(path);
    if (context === "vendored" ? ++this.#vendored > MOST_VENDORED : !this.#hasRoom()) return;
    const file: RepositoryFile = {
      path,
      size: 0,
      context,
      isTracked: this.#git ? this.#git.index.files.has(`${this.#git.prefix}${path}`) : null,
      text: null,
    };
    this.#tree.files.push(file);
    const place = join(this.#root, path);
    try {
      if (context === "vendored") file.unread = "it is vendored";
      else if (entry.isSymbolicLink()) {
        file.unread = "it is a link that leads to no text in the tree";
        this.#links.push({ path, target: readlinkSync(place) });
      } else if (!entry.isFile()) file.unread = "it is no regular file";
      else this.#read(file, place);
    } catch (error) {
      file.unread = reasonOf(error);
      this.#note(path, file.unread);
    }
  }

  #read(file: RepositoryFile, place: string): void {
    file.size = lstatSync(place).size;
    const isCode = CODE.test(file.path);
    const most = isCode ? MOST_CODE : MOST_OTHER;
    const isMissed = isCode && !DATA.test(file.path);
    const leave = (reason: string) => {
      file.unread = reason;
      if (isMissed) this.#note(file.path, reason);
    };
    if (BINARY.test(file.path)) file.unread = "it is binary";
    else if (file.size > most) leave(`it is larger than ${most / 1_000_000} MB`);
    else if (this.#bytes + file.size > this.#limits.bytes) {
      leave(`the tree has more than ${this.#limits.bytes / 1_000_000} MB of text`);
    } else {
      const bytes = readBounded(place, most);
      this.#bytes += bytes.length;
      const text = decode(bytes);
      if (text.includes("\0")) leave("it is binary");
      else file.text = text;
    }
  }

  /** The entries of a folder by name, no more than there is room for. */
  #list(folder: string): Dirent[] {
    const entries: Dirent[] = [];
    try {
      const stream = opendirSync(join(this.#root, folder), { bufferSize: 256 });
      try {
        for (let one = stream.readSync(); one !== null; one = stream.readSync()) {
          entries.push(one);
          if (entries.length > this.#limits.files + MOST_VENDORED) {
            this.#note(
              folder,
              `it has more than ${this.#limits.files} files: the others were not read`,
            );
            break;
          }
        }
      } finally {
        stream.closeSync();
      }
    } catch (error) {
      this.#note(folder, reasonOf(error));
    }
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #hasRoom(): boolean {
    if (++this.#judged <= this.#limits.files) return true;
    this.#end(`it has more than ${this.#limits.files} files: audit its parts one by one`);
    return false;
  }

  /** Let Ctrl-C through now and then, and see to the time. */
  async #isOver(): Promise<boolean> {
    if (this.#ended) return true;
    if (++this.#breath % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
    const { seconds } = this.#limits;
    if (performance.now() - this.#began > seconds * 1000) {
      this.#end(`reading took longer than ${seconds} s: audit its parts one by one`);
    }
    return this.#ended;
  }

  #end(reason: string): void {
    this.#ended = true;
    this.#note("", reason);
  }

  #text(path: string): string | null {
    try {
      return decode(readBounded(path, 1_000_000));
    } catch {
      return null;
    }
  }

  #note(file: string, reason: string): void {
    this.#tree.unread.push({ file: file === "" ? "." : file, reason });
  }
}
