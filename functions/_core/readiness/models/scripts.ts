import { lineAt, lineIn, lineStarts } from "../../lines.ts";
import { type Module, readModule, scopeAt } from "../../lint/module.ts";
import { CONFIG, makeResolver, SCRIPT, type Target } from "../../lint/resolve.ts";
import type { Binding } from "../../lint/scope.ts";
import {
  child,
  children,
  isCall,
  isMember,
  keyName,
  type Node,
  type Parsed,
  unwrap,
  word,
} from "../../lint/syntax.ts";
import type { Repository, RepositoryFile } from "../repository.ts";

/**
 * The TypeScript and JavaScript of the repository. A file is parsed when somebody asks for it, once: ask by what its
 * text must mention, since a syntax tree takes fifty times the space of its file.
 */
export type Scripts = {
  /** Every file that somebody wrote by hand, parsed or not; tests too. */
  files: readonly RepositoryFile[];
  /** The modules whose text matches: `mentioning(/\brateLimit\b/)`. */
  mentioning: (text: RegExp) => Module[];
  /** The module at a path, null when there is none or it can't be parsed. */
  at: (path: string) => Module | null;
  /** The tree of a file: that of its module where somebody asked for it, else one that nobody keeps. */
  tree: (path: string, text: string) => Parsed;
  /** The path that a specifier means from a file, or the specifier of a package. */
  find: (from: string, specifier: string) => Target;
  /** The module that a specifier means from a file, or the specifier of a package. */
  resolve: (from: string, specifier: string) => Module | string;
};

/** A call: `new` too. */
export type Call = {
  module: Module;
  node: Node;
  line: number;
  /** As written, `app.use`; parts that are no names are `*`. */
  callee: string;
  args: Node[];
};

/** A variable of the environment where it is read. */
export type EnvironmentRead = {
  name: string;
  module: Module;
  node: Node;
  line: number;
  /** What stands in when it is not set: the right side of `||` and `??`, or a default. */
  fallback: Node | null;
};

const GENERATED = /\.min\.[cm]?js$|[.-]bundle\.[cm]?js$|\.d\.[cm]?ts$/;
/** Lines of more characters than this on average were written by a machine. */
const MINIFIED = 1_000;

/**
 * The scripts of a repository: tests too, so look at `repository.file(path).context` where that matters.
 *
 * @example
 * for (const module of scripts(repository).mentioning(/\bcors\b/)) for (const call of callsIn(module)) …
 */
export function scripts(repository: Repository): Scripts {
  return repository.once("scripts", () => {
    const files = repository.matching(SCRIPT).filter((file) => !isGenerated(file));
    const byPath = new Map(files.map((file) => [file.path, file]));
    const modules = new Map<string, Module | null>();
    const tree = (path: string, text: string): Parsed =>
      modules.get(path) ?? repository.parsers.script(path, text);
    const at = (path: string): Module | null => {
      const known = modules.get(path);
      if (known !== undefined) return known;
      const file = byPath.get(path);
      const module = file
        ? repository.parse(file, (text) => readModule(path, text, tree(path, text)))
        : null;
      modules.set(path, module);
      return module;
    };
    const configs = new Map<string, string>();
    for (const { path, text } of repository.matching(CONFIG)) {
      if (text !== null) configs.set(path, text);
    }
    const find = makeResolver({ files: new Set(byPath.keys()), configs });
    return {
      files,
      at,
      tree,
      find,
      mentioning: (pattern) =>
        files.flatMap(({ path, text }) =>
          text !== null && text.search(pattern) >= 0 ? at(path) ?? [] : []
        ),
      resolve: (from, specifier) => {
        const target = find(from, specifier);
        return "specifier" in target ? target.specifier : at(target.file) ?? specifier;
      },
    };
  });
}

/** Whether nobody wrote this by hand. */
function isGenerated({ path, text }: RepositoryFile): boolean {
  if (GENERATED.test(path)) return true;
  if (text === null || text.length < 20_000) return false;
  return text.length / lineAt(text, text.length) > MINIFIED;
}

const LINES = new WeakMap<Module, Int32Array>();

/** The line of a node, from 1. */
export function lineOf(module: Module, node: Node): number {
  let starts = LINES.get(module);
  if (!starts) LINES.set(module, starts = lineStarts(module.text));
  return lineIn(starts, node.start);
}

/** The calls of a module, in the order of the text. */
export function callsIn(module: Module): Call[] {
  return module.calls.map((node) => ({
    module,
    node,
    line: lineOf(module, node),
    callee: written(child(node, "callee")),
    args: children(node, "arguments"),
  }));
}

/** An expression of names as written: `app.use`, `express().listen`, `this.pool.query`. */
export function written(node: Node | null): string {
  const names: string[] = [];
  for (let at: Node | null = node; at;) {
    const inner: Node = unwrap(at);
    if (isMember(inner)) {
      names.unshift(`.${keyName(inner, "property") ?? "*"}`);
      at = child(inner, "object");
    } else if (isCall(inner)) {
      names.unshift("()");
      at = child(inner, "callee");
    } else {
      names.unshift(rootOf(inner));
      break;
    }
  }
  return names.join("");
}

function rootOf(node: Node): string {
  if (node.type === "Identifier") return word(node, "name");
  if (node.type === "ThisExpression") return "this";
  if (node.type === "Super") return "super";
  if (node.type === "MetaProperty") return "import.meta";
  return "*";
}

/** Names that lead to names that lead to names end somewhere. */
const MOST_STEPS = 30;

/**
 * Where an expression comes from: the package, then the way from there, through variables, `require`, files of the
 * repository and re-exports. Null for what can't be followed, as the parameters of a function; a global is its name.
 *
 * @example
 * // import express from "express"; const app = express(); app.use(…)
 * originOf(callee, module, scripts); // "express().use"
 */
export function originOf(
  node: Node | null,
  module: Module,
  all: Scripts,
  steps = 0,
): string | null {
  if (node === null || steps > MOST_STEPS) return null;
  const inner = unwrap(node);
  if (isMember(inner)) {
    const owner = originOf(child(inner, "object"), module, all, steps + 1);
    return owner === null ? null : `${owner}.${keyName(inner, "property") ?? "*"}`;
  }
  if (isCall(inner)) {
    const callee = child(inner, "callee");
    const [first] = children(inner, "arguments");
    const isLoad = callee?.type === "Import" ||
      (callee?.type === "Identifier" && word(callee, "name") === "require");
    if (isLoad && first?.type === "StringLiteral") {
      return exported(module, word(first, "value"), "*", all, steps + 1);
    }
    const owner = originOf(callee, module, all, steps + 1);
    return owner === null ? null : `${owner}()`;
  }
  if (inner.type === "ImportExpression") {
    return exported(module, word(child(inner, "source"), "value"), "*", all, steps + 1);
  }
  if (inner.type === "LogicalExpression") {
    return originOf(child(inner, "right"), module, all, steps + 1);
  }
  if (inner.type !== "Identifier") {
    const root = rootOf(inner);
    return root === "*" ? null : root;
  }
  const binding = scopeAt(module, inner).find(word(inner, "name"));
  return binding ? originOfBinding(binding, module, all, steps + 1) : word(inner, "name");
}

function originOfBinding(
  binding: Binding,
  module: Module,
  all: Scripts,
  steps: number,
): string | null {
  if (binding.imported) {
    return exported(module, binding.imported.specifier, binding.imported.name, all, steps);
  }
  if (binding.kind !== "variable") return null;
  const [assigned] = binding.assigned;
  const origin = originOf(binding.init ?? assigned?.value ?? null, module, all, steps);
  if (origin === null) return null;
  const path = binding.init ? binding.path ?? [] : assigned?.path ?? [];
  return [origin, ...path].join(".");
}

function exported(
  module: Module,
  specifier: string,
  name: string,
  all: Scripts,
  steps: number,
): string | null {
  if (steps > MOST_STEPS) return null;
  const target = all.resolve(module.path, specifier);
  if (typeof target === "string") {
    const from = packageOf(target);
    return name === "*" || name === "default" ? from : `${from}.${name}`;
  }
  const entry = target.exports.get(name);
  if (entry?.from === "here") return originOf(entry.value, target, all, steps + 1);
  if (entry?.from === "module") {
    return exported(target, entry.specifier, entry.name, all, steps + 1);
  }
  if (entry) {
    const binding = target.scope.find(entry.name);
    return binding ? originOfBinding(binding, target, all, steps + 1) : null;
  }
  for (const star of target.stars) {
    const found = all.resolve(target.path, star);
    if (typeof found === "string" || name === "default" || name === "*") continue;
    const origin = exported(target, star, name, all, steps + 1);
    if (origin !== null) return origin;
  }
  return null;
}

/** A specifier without registry and version, its subpath kept: `npm:hono@4/cors` is `hono/cors`. */
function packageOf(specifier: string): string {
  return specifier.replace(/^(npm|node|jsr):\/?/, "").replace(/(?<=[^/])@[\d^~][^/]*/, "");
}

const ENVIRONMENTS = /^((globalThis\.)?process\.env|import\.meta\.env|Bun\.env)$/;

/** Every variable of the environment that a module reads by name. */
export function environmentReads(module: Module, all: Scripts): EnvironmentRead[] {
  const found: EnvironmentRead[] = [];
  const add = (name: string, node: Node, fallback: Node | null) => {
    found.push({ name, module, node, line: lineOf(module, node), fallback });
  };
  const isEnvironment = (node: Node | null) => ENVIRONMENTS.test(originOf(node, module, all) ?? "");
  for (const node of module.members) {
    const name = keyName(node, "property");
    if (name === null || !/^[A-Z][A-Z0-9_]*$/.test(name) || isTarget(node)) continue;
    if (isEnvironment(child(node, "object"))) add(name, node, fallbackOf(node));
  }
  for (const scope of module.scopes.values()) {
    for (const { node, init, path = [], defaults = [] } of scope.names.values()) {
      const [name] = path;
      if (typeof name !== "string" || path.length !== 1 || !init) continue;
      if (isEnvironment(init)) add(name, node, defaults[0]?.value ?? null);
    }
  }
  for (const { node, callee, args: [first] } of callsIn(module)) {
    if (first?.type !== "StringLiteral" || !/^Deno\.env\.get$/.test(callee)) continue;
    add(word(first, "value"), node, fallbackOf(node));
  }
  return found;
}

/** `process.env.X = "…"`, as tests do, reads nothing. */
function isTarget(node: Node): boolean {
  return node.parent?.type === "AssignmentExpression" && node.parent["left"] === node;
}

/** The right side of `node || right`, whatever is wrapped around the node. */
function fallbackOf(node: Node): Node | null {
  let at = node;
  while (at.parent && unwrap(at.parent) !== at.parent) at = at.parent;
  const { parent } = at;
  return parent?.type === "LogicalExpression" && parent["left"] === at &&
      word(parent, "operator") !== "&&"
    ? child(parent, "right")
    : null;
}
