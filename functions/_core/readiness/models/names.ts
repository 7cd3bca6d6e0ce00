import type { Repository } from "../repository.ts";
import {
  type Call,
  code,
  type CodeFile,
  type Expr,
  type Fn,
  type Klass,
  type Statement,
} from "./code.ts";
import { scripts } from "./scripts.ts";

/** What a name stands for. `external` is of a package: `slowapi.Limiter`, `express-rate-limit`. */
export type Definition =
  | { kind: "value"; file: CodeFile; value: Expr; line: number }
  | { kind: "function"; file: CodeFile; fn: Fn }
  | { kind: "class"; file: CodeFile; klass: Klass }
  | { kind: "module"; file: CodeFile }
  | { kind: "external"; name: string };

type Locals = {
  functions: Map<string, Fn>;
  classes: Map<string, Klass>;
  values: Map<string, Statement>;
};

const MOST_HOPS = 8;

/** The names of a repository's code, followed through imports from file to file. */
export class Names {
  readonly files: readonly CodeFile[];
  readonly #byPath: ReadonlyMap<string, CodeFile>;
  readonly #byTail = new Map<string, CodeFile[]>();
  readonly #byFunction = new Map<string, { file: CodeFile; fn: Fn }[]>();
  readonly #bodies = new Map<Fn, Statement[]>();
  readonly #homes = new Map<Fn, CodeFile>();
  readonly #used = new Set<string>();
  readonly #byCallee = new Map<string, { file: CodeFile; call: Call }[]>();
  readonly #fields = new Map<string, { file: CodeFile; value: Expr; line: number }[]>();
  readonly #tops = new Map<CodeFile, Locals>();
  /** Answers that rules ask for again and again, by file and name. */
  readonly #definitions = new Map<CodeFile, Map<string, Definition | null>>();
  readonly #modules = new Map<CodeFile, Map<string, CodeFile | null>>();
  readonly #resolve: (from: string, specifier: string) => string | null;

  constructor(
    files: readonly CodeFile[],
    resolve: (from: string, specifier: string) => string | null,
  ) {
    this.files = files;
    this.#resolve = resolve;
    this.#byPath = new Map(files.map((file) => [file.path, file]));
    for (const file of files) this.#index(file);
  }

  #index(file: CodeFile): void {
    if (file.language === "python") {
      const parts = file.path.replace(/(\/__init__)?\.py$/, "").split("/");
      push(this.#byTail, parts.at(-1) ?? "", file);
    }
    for (const fn of file.functions) {
      this.#homes.set(fn, file);
      push(this.#byFunction, fn.name, { file, fn });
    }
    for (const statement of file.statements) {
      if (statement.fn) push(this.#bodies, statement.fn, statement);
      else if (statement.klass && statement.target) {
        const { value, line } = statement;
        push(this.#fields, statement.target, { file, value, line });
      }
      for (const one of walk(statement.value)) {
        if (one.kind === "map" && statement.fn === null) this.#switches(file, one);
        if (one.kind === "name") this.#used.add(last(one.name));
        else if (one.kind === "text" && one.value.length < 200) this.#used.add(last(one.value));
      }
    }
    for (const call of file.calls) {
      push(this.#byCallee, last(call.callee), { file, call });
      for (const part of call.callee.split(".")) this.#used.add(part.replace("()", ""));
    }
  }

  /** Switches of a map at the top: `{ LIMITS_ENABLED: false }`, `z.coerce.boolean().default(false)`. */
  #switches(file: CodeFile, map: Expr & { kind: "map" }): void {
    for (const { key, value } of map.entries) {
      if (key === null || !/^[A-Z0-9_]+$|enabled$/i.test(key)) continue;
      const given = value.kind === "call" && value.call.callee.endsWith(".default")
        ? value.call.args[0]
        : value;
      if (given?.kind === "flag" || given?.kind === "text") {
        push(this.#fields, key, { file, value: given, line: given.line });
      }
    }
  }

  /** What stands in a function, functions inside it left out. */
  body(fn: Fn): readonly Statement[] {
    return this.#bodies.get(fn) ?? [];
  }

  home(fn: Fn): CodeFile | null {
    return this.#homes.get(fn) ?? null;
  }

  /** The calls of a function by its name, wherever they stand. */
  callsOf(fn: Fn): readonly { file: CodeFile; call: Call }[] {
    if (fn.name === "") return [];
    return this.#byCallee.get(fn.name) ?? [];
  }

  /** The fields of classes by that name, with what they hold by default. */
  fields(name: string): readonly { file: CodeFile; value: Expr; line: number }[] {
    return this.#fields.get(name) ?? [];
  }

  /** Whether anything in the repository names a function: what nothing names, nothing calls. */
  isUsed(fn: Fn): boolean {
    return fn.name === "" || fn.klass !== null || fn.decorators.length > 0 ||
      this.#used.has(fn.name) || /^(main|default|register|bootstrap|setup|handler)$/.test(fn.name);
  }

  /** What a name of a file stands for, null where it can't be told. */
  define(file: CodeFile, name: string, hops = 0): Definition | null {
    if (hops > MOST_HOPS || name === "") return null;
    // Further on the way fewer steps are left: only a first answer is one for good.
    if (hops > 0) return this.#define(file, name, hops);
    return remembered(this.#definitions, file, name, () => this.#define(file, name, 0));
  }

  #define(file: CodeFile, name: string, hops: number): Definition | null {
    const [head = "", ...rest] = name.split(".");
    const found = this.#local(file, name, hops) ?? this.#local(file, head, hops);
    if (found) return found;
    for (const one of file.imports) {
      if (one.local === "*" && one.name === "*") {
        const target = this.module(file, one.module);
        const inner = target && this.#local(target, head, hops + 1);
        if (inner) return inner;
      }
      if (one.local !== head) continue;
      const target = this.module(file, one.module);
      if (target) {
        if (one.name === null) {
          const inner = rest.length > 0 ? rest.join(".") : "default";
          return this.define(target, inner, hops + 1) ?? { kind: "module", file: target };
        }
        const inner = this.define(target, one.name, hops + 1);
        if (inner) return inner;
      }
      if (file.language === "python" && one.name !== null) {
        const dots = one.module.endsWith(".") ? "" : ".";
        const submodule = this.module(file, `${one.module}${dots}${one.name}`);
        if (submodule) {
          return rest.length > 0
            ? this.define(submodule, rest.join("."), hops + 1)
            : { kind: "module", file: submodule };
        }
      }
      if (target) return null;
      const own = one.name === null || one.name === "default" ? [] : [one.name];
      return { kind: "external", name: [one.module, ...own, ...rest].join(".") };
    }
    return null;
  }

  #local(file: CodeFile, name: string, hops: number): Definition | null {
    const own = this.#locals(file);
    const fn = own.functions.get(name);
    if (fn) return { kind: "function", file, fn };
    const klass = own.classes.get(name);
    if (klass) return { kind: "class", file, klass };
    const value = own.values.get(name) ??
      (name === "default" ? own.values.get("module.exports") : undefined);
    if (!value) return null;
    if (value.value.kind === "function") return { kind: "function", file, fn: value.value.fn };
    if (value.value.kind === "name" && value.value.name !== name) {
      const inner = this.define(file, value.value.name, hops + 1);
      if (inner) return inner;
    }
    return { kind: "value", file, value: value.value, line: value.line };
  }

  #locals(file: CodeFile): Locals {
    const known = this.#tops.get(file);
    if (known) return known;
    const own: Locals = { functions: new Map(), classes: new Map(), values: new Map() };
    for (const fn of file.functions) {
      if (fn.klass === null && fn.parent === null && fn.name) own.functions.set(fn.name, fn);
    }
    for (const klass of file.classes) if (klass.name) own.classes.set(klass.name, klass);
    for (const one of file.statements) {
      if (one.kind !== "assign" || one.klass !== null || one.target === null) continue;
      if (one.value.kind === "none") continue;
      const first = own.values.get(one.target);
      if (!first || (first.fn !== null && one.fn === null)) own.values.set(one.target, one);
    }
    this.#tops.set(file, own);
    return own;
  }

  /** The file of a module as a file names it, null where it is a package's. */
  module(from: CodeFile, module: string): CodeFile | null {
    return remembered(this.#modules, from, module, () => this.#module(from, module));
  }

  #module(from: CodeFile, module: string): CodeFile | null {
    if (from.language === "script") {
      const path = this.#resolve(from.path, module);
      return path === null ? null : this.#byPath.get(path) ?? null;
    }
    const dots = /^\.*/.exec(module)?.[0].length ?? 0;
    const parts = module.slice(dots).split(".").filter((part) => part !== "");
    if (dots > 0) {
      const folder = from.path.split("/").slice(0, -dots);
      const stem = [...folder, ...parts].join("/");
      return this.#byPath.get(`${stem}.py`) ?? this.#byPath.get(`${stem}/__init__.py`) ?? null;
    }
    const end = parts.join("/");
    let best: CodeFile | null = null;
    for (const file of this.#byTail.get(parts.at(-1) ?? "") ?? []) {
      const stem = file.path.replace(/(\/__init__)?\.py$/, "");
      if (stem !== end && !stem.endsWith(`/${end}`)) continue;
      // A single word is more often a package than a file somewhere deep in the tree.
      if (parts.length === 1 && !shareFolder(stem, from.path)) continue;
      if (best === null || shared(file.path, from.path) > shared(best.path, from.path)) best = file;
    }
    return best;
  }

  /** The package's name of what a name stands for, the name itself where it is nobody's: `slowapi.Limiter`. */
  origin(file: CodeFile, name: string): string {
    const found = this.define(file, name);
    return found?.kind === "external" ? found.name : name;
  }

  /** What a call calls, its package's name in front: `limiter.limit` is `slowapi.Limiter().limit`. */
  calls(file: CodeFile, callee: string): string {
    const found = this.define(file, callee.replace(/\(\).*/, ""));
    const rest = callee.split(".").slice(1);
    if (found?.kind === "external") {
      return callee.includes("()") ? [found.name, ...rest].join(".") : found.name;
    }
    if (found?.kind === "value" && found.value.kind === "call") {
      const inner = this.origin(found.file, found.value.call.callee);
      return [`${inner}()`, ...rest].join(".");
    }
    return callee;
  }

  /** The functions that a call may enter: by its name, or by a method's name that is nearly alone. */
  entered(file: CodeFile, callee: string): { file: CodeFile; fn: Fn }[] {
    const found = this.define(file, callee);
    if (found?.kind === "function") return [{ file: found.file, fn: found.fn }];
    if (found?.kind === "external") return [];
    const name = last(callee);
    if (!callee.includes(".") || COMMON.has(name)) return [];
    const all = (this.#byFunction.get(name) ?? []).filter(({ file: home }) =>
      home.language === file.language
    );
    return all.length <= 3 ? all : [];
  }

  /** A function and those it calls, two steps deep. */
  reach(start: { file: CodeFile; fn: Fn }, steps = 2): { file: CodeFile; fn: Fn }[] {
    const seen = new Map<Fn, CodeFile>([[start.fn, start.file]]);
    let edge = [start];
    for (let step = 0; step <= steps && edge.length > 0 && seen.size < 80; step++) {
      const next: { file: CodeFile; fn: Fn }[] = [];
      for (const { file, fn } of edge) {
        for (const inner of file.functions) {
          if (inner.parent === fn && !seen.has(inner)) next.push({ file, fn: inner });
        }
        if (step === steps) continue;
        for (const call of fn.calls) next.push(...this.entered(file, call.callee));
      }
      edge = next.filter(({ fn }) => !seen.has(fn));
      for (const { file, fn } of edge) seen.set(fn, file);
    }
    return [...seen].map(([fn, file]) => ({ file, fn }));
  }
}

const COMMON = new Set([
  ...["get", "set", "add", "all", "one", "run", "call", "send", "json", "find", "save", "list"],
  ...["post", "put", "patch", "delete", "create", "update", "execute", "commit", "close", "init"],
  ...["map", "filter", "then", "catch", "push", "log", "info", "error", "start", "next", "use"],
  ...["query", "parse", "append", "strip", "split", "join", "items", "keys", "values", "format"],
]);

/**
 * The names of a repository's code.
 *
 * @example
 * names(repository).calls(file, "limiter.limit"); // "slowapi.Limiter().limit"
 */
export function names(repository: Repository): Names {
  return repository.once("names", () => {
    const files = code(repository);
    const { find } = scripts(repository);
    const known = new Map<string, string | null>();
    return new Names(files, (from, specifier) => {
      const key = `${from}\n${specifier}`;
      const found = known.get(key);
      if (found !== undefined) return found;
      const target = find(from, specifier);
      const path = "file" in target ? target.file : null;
      known.set(key, path);
      return path;
    });
  });
}

/** An expression and all inside it, functions' bodies left out. */
export function* walk(expr: Expr): Generator<Expr> {
  const stack: Expr[] = [expr];
  for (let one = stack.pop(); one; one = stack.pop()) {
    yield one;
    stack.push(...inside(one).reverse());
  }
}

function inside(expr: Expr): Expr[] {
  switch (expr.kind) {
    case "call": {
      const { receiver, args, named } = expr.call;
      return [...(receiver ? [receiver] : []), ...args, ...named.map(({ value }) => value)];
    }
    case "join":
    case "other":
      return [...expr.parts];
    case "list":
      return [...expr.items];
    case "map":
      return expr.entries.map(({ value }) => value);
    case "choice":
      return [...(expr.test ? [expr.test] : []), ...expr.options];
    case "index":
      return [expr.of, expr.key];
    default:
      return [];
  }
}

/** The last name of a chain. */
export function last(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1).replace("()", "");
}

/** The value of a keyword argument, or of a key in the last map among the arguments. */
export function option(
  call: { args: readonly Expr[]; named: readonly { name: string; value: Expr }[] },
  name: string,
): Expr | null {
  const own = call.named.find((one) => one.name === name);
  if (own) return own.value;
  for (const one of call.args) {
    if (one.kind !== "map") continue;
    const entry = one.entries.find(({ key }) => key === name);
    if (entry) return entry.value;
  }
  return null;
}

/** The text of a literal, null of anything else. */
export function literal(expr: Expr | null | undefined): string | null {
  return expr?.kind === "text" ? expr.value : null;
}

function push<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

function shared(a: string, b: string): number {
  const [left, right] = [a.split("/"), b.split("/")];
  let count = 0;
  while (count < left.length && left[count] === right[count]) count++;
  return count;
}

function shareFolder(stem: string, path: string): boolean {
  const folder = stem.split("/").slice(0, -1).join("/");
  return folder === "" || path.startsWith(`${folder}/`);
}

function remembered<Answer>(
  all: Map<CodeFile, Map<string, Answer>>,
  file: CodeFile,
  name: string,
  find: () => Answer,
): Answer {
  let own = all.get(file);
  if (!own) all.set(file, own = new Map());
  const known = own.get(name);
  if (known !== undefined) return known;
  const answer = find();
  own.set(name, answer);
  return answer;
}
