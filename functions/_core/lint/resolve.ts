import { entriesOf, field, parseJsonc, textField } from "./jsonc.ts";

/** Files that hold a program, by their path. */
export const SCRIPT = /\.([cm]?[jt]sx?|svelte|vue|astro)$/;
/** The configuration files that say what a specifier means. */
export const CONFIG =
  /(^|\/)((ts|js)config(\.[\w-]+)?\.json|package\.json|deno\.jsonc?|import_map\.json)$/;

/** What the resolver knows: every source file, and the texts of the configuration files, by path from the root. */
export type Tree = { files: ReadonlySet<string>; configs: ReadonlyMap<string, string> };

/** What a specifier means: a file of the tree, or a package. */
export type Target = { file: string } | { specifier: string };

const ENDINGS = [
  ".ts",
  ".tsx",
  ".mts",
  ".cts",
  ".js",
  ".jsx",
  ".mjs",
  ".cjs",
  ".svelte",
  ".vue",
  ".astro",
];
const TYPESCRIPT_OF: Record<string, string[]> = {
  ".js": [".ts", ".tsx", ".jsx"],
  ".jsx": [".tsx"],
  ".mjs": [".mts"],
  ".cjs": [".cts"],
};

/** A path pattern with at most one star, and where it leads, from `base`. */
type Alias = { pattern: string; targets: string[]; base: string };

/**
 * Resolve specifiers as TypeScript, Node, bundlers and Deno do, without looking at a disk: relative paths (a `.js`
 * that means a `.ts`), tsconfig `paths` and `baseUrl`, package.json `imports`, workspace packages, import maps.
 *
 * @example
 * const resolve = makeResolver({ files: new Set(["src/a.ts", "src/b.ts"]), configs: new Map() });
 * resolve("src/a.ts", "./b.js"); // { file: "src/b.ts" }
 */
export function makeResolver(tree: Tree): (from: string, specifier: string) => Target {
  const parsed = new Map(
    [...tree.configs].map(([path, text]) => [path, parseJsonc(text)] as const),
  );
  const packages = workspaces(parsed);
  const aliases = new Map<string, Alias[]>();
  const cache = new Map<string, Target>();

  const file = (path: string): string | null => findFile(tree.files, path);
  const first = (alias: Alias, specifier: string): string | null => {
    const rest = matchStar(alias.pattern, specifier);
    if (rest === null) return null;
    for (const target of alias.targets) {
      const found = file(join(alias.base, target.replace("*", rest)));
      if (found) return found;
    }
    return null;
  };

  const search = (from: string, wanted: string): Target => {
    const specifier = wanted.replace(/\?.*$/, "");
    const folder = dirname(from);
    if (/^\.{1,2}(\/|$)/.test(specifier)) {
      const found = file(join(folder, specifier));
      return found ? { file: found } : { specifier: wanted };
    }
    let at: string | null = folder;
    for (; at !== null; at = parent(at)) {
      const mapped = denoImports(parsed, at, specifier);
      if (mapped !== null) {
        const found = /^\.{0,2}\//.test(mapped.to) ? file(join(mapped.base, mapped.to)) : null;
        return found ? { file: found } : { specifier: mapped.to };
      }
      let known = aliases.get(at);
      if (!known) aliases.set(at, known = tsAliases(parsed, at));
      for (const alias of known) {
        const found = first(alias, specifier);
        if (found) return { file: found };
      }
      if (specifier.startsWith("#")) {
        for (const alias of packageImports(parsed.get(join(at, "package.json")), at)) {
          const found = first(alias, specifier);
          if (found) return { file: found };
        }
      }
      for (const alias of usualAliases(parsed, at)) {
        const found = first(alias, specifier);
        if (found) return { file: found };
      }
    }
    const inWorkspace = fromPackage(packages, specifier, file);
    return inWorkspace ? { file: inWorkspace } : { specifier: wanted };
  };

  return (from, specifier) => {
    const key = `${dirname(from)}\0${specifier}`;
    const known = cache.get(key);
    if (known) return known;
    const found = search(from, specifier);
    cache.set(key, found);
    return found;
  };
}

function findFile(files: ReadonlySet<string>, path: string): string | null {
  if (files.has(path)) return path;
  const [ending = ""] = /\.[cm]?jsx?$/.exec(path) ?? [];
  const stem = path.slice(0, path.length - ending.length);
  for (const other of TYPESCRIPT_OF[ending] ?? []) if (files.has(stem + other)) return stem + other;
  for (const each of ENDINGS) if (files.has(path + each)) return path + each;
  for (const each of ENDINGS) {
    if (files.has(join(path, `index${each}`))) return join(path, `index${each}`);
  }
  return null;
}

/** `paths` and `baseUrl` of the tsconfig.json, jsconfig.json or tsconfig.*.json of a folder. */
function tsAliases(parsed: ReadonlyMap<string, unknown>, folder: string): Alias[] {
  const own = [...parsed.keys()].filter((path) =>
    dirname(path) === folder && /(^|\/)(ts|js)config(\.[\w-]+)?\.json$/.test(path)
  );
  // The plain one first: the others are builds of it.
  own.sort((a, b) => a.length - b.length);
  return own.flatMap((path) => aliasesOf(parsed, path, new Set()));
}

function aliasesOf(parsed: ReadonlyMap<string, unknown>, path: string, seen: Set<string>): Alias[] {
  if (seen.has(path)) return [];
  seen.add(path);
  const config = parsed.get(path);
  const options = field(config, "compilerOptions");
  const baseUrl = textField(options, "baseUrl");
  const base = join(dirname(path), baseUrl ?? ".");
  const found = entriesOf(field(options, "paths")).map(([pattern, targets]) => ({
    pattern,
    targets: Array.isArray(targets) ? targets.filter((one) => typeof one === "string") : [],
    base,
  })).sort((a, b) => b.pattern.length - a.pattern.length);
  const extended = field(config, "extends");
  const parents = (Array.isArray(extended) ? extended : [extended])
    .filter((one): one is string => typeof one === "string" && one.startsWith("."));
  for (const one of parents) {
    const target = join(dirname(path), one);
    found.push(...aliasesOf(parsed, target.endsWith(".json") ? target : `${target}.json`, seen));
  }
  if (baseUrl !== null) found.push({ pattern: "*", targets: ["*"], base });
  return found;
}

/** Aliases that frameworks and bundlers define themselves; only where nothing else answers. */
function usualAliases(parsed: ReadonlyMap<string, unknown>, folder: string): Alias[] {
  if (!parsed.has(join(folder, "package.json"))) return [];
  return [
    { pattern: "$lib", targets: ["src/lib/index"], base: folder },
    { pattern: "$lib/*", targets: ["src/lib/*"], base: folder },
    { pattern: "@/*", targets: ["src/*", "*", "app/*"], base: folder },
    { pattern: "~/*", targets: ["app/*", "src/*", "*"], base: folder },
    { pattern: "~~/*", targets: ["*"], base: folder },
    { pattern: "#shared/*", targets: ["shared/*"], base: folder },
  ];
}

function packageImports(manifest: unknown, folder: string): Alias[] {
  return entriesOf(field(manifest, "imports")).map(([pattern, target]) => ({
    pattern,
    targets: conditions(target),
    base: folder,
  }));
}

/** The paths that a value of `imports` or `exports` can mean, whatever the condition. */
function conditions(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (Array.isArray(value)) return value.flatMap(conditions);
  return entriesOf(value).flatMap(([name, inner]) => name === "types" ? [] : conditions(inner));
}

function denoImports(
  parsed: ReadonlyMap<string, unknown>,
  folder: string,
  specifier: string,
): { to: string; base: string } | null {
  for (const name of ["deno.json", "deno.jsonc", "import_map.json"]) {
    const config = parsed.get(join(folder, name));
    if (config === undefined) continue;
    const map = textField(config, "importMap");
    const other = map === null ? null : join(folder, map);
    const sources: [unknown, string][] = [[config, folder]];
    if (other !== null) sources.push([parsed.get(other), dirname(other)]);
    for (const [source, base] of sources) {
      const entries = entriesOf(field(source, "imports")).filter(([, to]) =>
        typeof to === "string"
      );
      const exact = entries.find(([key]) => key === specifier);
      if (exact) return { to: String(exact[1]), base };
      const prefix = entries.filter(([key]) => key.endsWith("/") && specifier.startsWith(key))
        .sort((a, b) => b[0].length - a[0].length)[0];
      if (prefix) return { to: String(prefix[1]) + specifier.slice(prefix[0].length), base };
    }
  }
  return null;
}

type Package = { folder: string; manifest: unknown };

function workspaces(parsed: ReadonlyMap<string, unknown>): Map<string, Package> {
  const found = new Map<string, Package>();
  for (const [path, manifest] of parsed) {
    if (!/(^|\/)package\.json$/.test(path)) continue;
    const name = textField(manifest, "name");
    if (name) found.set(name, { folder: dirname(path), manifest });
  }
  return found;
}

function fromPackage(
  packages: ReadonlyMap<string, Package>,
  specifier: string,
  file: (path: string) => string | null,
): string | null {
  const [name = ""] = /^(@[^/]+\/[^/]+|[^/]+)/.exec(specifier) ?? [];
  const found = packages.get(name);
  if (!found) return null;
  const sub = specifier.slice(name.length).replace(/^\//, "");
  const { folder, manifest } = found;
  const candidates: string[] = [];
  const exported = field(manifest, "exports");
  const map =
    typeof exported === "string" || entriesOf(exported).some(([key]) => !key.startsWith("."))
      ? [[".", exported] as const]
      : entriesOf(exported);
  for (const [key, target] of map) {
    const rest = matchStar(key, sub === "" ? "." : `./${sub}`);
    if (rest !== null) candidates.push(...conditions(target).map((one) => one.replace("*", rest)));
  }
  if (sub === "") {
    for (const key of ["source", "module", "main"]) {
      const entry = textField(manifest, key);
      if (entry) candidates.push(entry);
    }
    candidates.push("src/index", "index", "src/main");
  } else candidates.push(sub, `src/${sub}`);
  for (const each of candidates) {
    // What is built is not in the tree; what it is built from is.
    for (
      const one of [
        each,
        each.replace(/^(\.\/)?(dist|build|lib|out)\//, "src/"),
        each.replace(/^(\.\/)?(dist|build|lib|out)\//, ""),
      ]
    ) {
      const path = file(join(folder, one)) ??
        file(join(folder, one.replace(/\.[cm]?js$|\.d\.ts$/, "")));
      if (path) return path;
    }
  }
  return null;
}

/** What stands for the star of a pattern, "" for one without; null when it does not match. */
function matchStar(pattern: string, text: string): string | null {
  const star = pattern.indexOf("*");
  if (star < 0) return pattern === text ? "" : null;
  const [before, after] = [pattern.slice(0, star), pattern.slice(star + 1)];
  return text.length >= before.length + after.length && text.startsWith(before) &&
      text.endsWith(after)
    ? text.slice(before.length, text.length - after.length)
    : null;
}

/** A path with `.` and `..` resolved; one that leaves the root keeps its `..` and is in no tree. */
export function join(...segments: string[]): string {
  const parts: string[] = [];
  for (const part of segments.join("/").split("/")) {
    if (part === "" || part === ".") continue;
    if (part === ".." && parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else parts.push(part);
  }
  return parts.join("/");
}

/** The folder of a path, "" for the root. */
export function dirname(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}

function parent(folder: string): string | null {
  return folder === "" ? null : dirname(folder);
}
