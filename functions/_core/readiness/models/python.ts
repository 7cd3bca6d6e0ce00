import type { PythonNode } from "../parsers.ts";
import { dotted } from "../python-node.ts";
import type { Repository } from "../repository.ts";
import {
  type PythonCall,
  type PythonClass,
  type PythonConstant,
  type PythonFunction,
  PythonModule,
} from "./python-module.ts";

export type {
  PythonCall,
  PythonClass,
  PythonConstant,
  PythonField,
  PythonFunction,
  PythonImport,
  PythonParameter,
} from "./python-module.ts";
export { PythonModule, statementsOf } from "./python-module.ts";

export type Definition = PythonClass | PythonFunction | PythonConstant | PythonModule;

/** More text than a service has; what stands behind it is noted as not read. */
const MOST_TEXT = 24_000_000;
const MOST_STEPS = 12;

/**
 * All Python that is not a test's: modules with names that are followed through the repository's own imports.
 *
 * @example
 * const python = await pythonOf(repository);
 * for (const call of python.calls("CORSMiddleware")) …
 */
export function pythonOf(repository: Repository): Promise<Python> {
  return repository.once("python", () => read(repository));
}

async function read(repository: Repository): Promise<Python> {
  const files = repository.matching(/\.pyw?$/).filter((file) => file.context !== "test");
  const modules: PythonModule[] = [];
  if (files.length === 0) return new Python([], 0);
  const parse = await repository.parsers.python();
  let room = MOST_TEXT;
  let unread = 0;
  for (const file of files) {
    const size = file.text?.length ?? 0;
    if (size > room) {
      repository.note({ file: file.path, reason: "there is too much Python before it" });
      unread++;
      continue;
    }
    room -= size;
    const tree = repository.parse(file, parse);
    if (!tree) {
      unread++;
      continue;
    }
    if (tree.hasErrors) {
      const line = tree.root.all("ERROR")[0]?.line;
      repository.note({
        file: file.path,
        ...(line ? { line } : {}),
        reason: "some of it is no Python",
      });
    }
    modules.push(new PythonModule(file, tree));
  }
  return new Python(modules, unread);
}

/** The Python of a repository. */
export class Python {
  readonly modules: readonly PythonModule[];
  /** How many files could not be read at all. */
  readonly unread: number;
  readonly #byEnd = new Map<string, PythonModule[]>();
  readonly #packages = new Set<string>();
  #byCallee: Map<string, PythonCall[]> | null = null;
  #byClass: Map<string, PythonClass[]> | null = null;

  constructor(modules: readonly PythonModule[], unread: number) {
    this.modules = modules;
    this.unread = unread;
    for (const module of modules) {
      if (module.isPackage) this.#packages.add(module.name);
      const end = module.name.split(".").at(-1) ?? "";
      this.#byEnd.set(end, [...this.#byEnd.get(end) ?? [], module]);
    }
  }

  /** Calls by the last part of what is called: `calls("add_middleware")` finds `app.add_middleware(…)`. */
  calls(...names: string[]): PythonCall[] {
    if (!this.#byCallee) {
      this.#byCallee = new Map();
      for (const module of this.modules) {
        for (const call of module.calls) {
          const last = lastName(call.node.field("function"));
          const known = this.#byCallee.get(last);
          if (known) known.push(call);
          else this.#byCallee.set(last, [call]);
        }
      }
    }
    const byCallee = this.#byCallee;
    return names.flatMap((name) => byCallee.get(name) ?? []);
  }

  /** The module that an absolute name means where `from` imports it, null for one that is installed. */
  module(name: string, from: PythonModule): PythonModule | null {
    const end = name.split(".").at(-1) ?? "";
    const found = (this.#byEnd.get(end) ?? []).filter((one) => {
      if (one === from || (one.name !== name && !one.name.endsWith(`.${name}`))) return false;
      if (one.name === name) return true;
      if (!name.includes(".") && STANDARD.has(name)) return false;
      // What is imported from must not itself be inside a package: `app/redis.py` is `app.redis`, never `redis`.
      return !this.#packages.has(one.name.slice(0, -name.length - 1));
    });
    return found.toSorted((a, b) => shared(b.path, from.path) - shared(a.path, from.path))[0] ??
      null;
  }

  /**
   * What a name means where it is used, through imports and re-exports; null where it comes from an installed package
   * or is made at run time.
   */
  definition(module: PythonModule, name: string, steps = 0): Definition | null {
    if (steps > MOST_STEPS) return null;
    const [first = "", ...rest] = name.split(".");
    const own = module.own(first);
    if (own) return rest.length === 0 ? own : null;
    const source = module.imports.get(first);
    if (!source) {
      for (const wildcard of module.wildcards) {
        const target = this.module(wildcard, module);
        const found = target && this.definition(target, name, steps + 1);
        if (found) return found;
      }
      return null;
    }
    if (source.name === null) return this.#below(source.module, rest, module, steps);
    const target = this.module(source.module, module);
    const found = target && this.definition(target, [source.name, ...rest].join("."), steps + 1);
    return found ?? this.#below(`${source.module}.${source.name}`, rest, module, steps);
  }

  /** The longest module that the name starts with, then the rest in it. */
  #below(name: string, rest: string[], from: PythonModule, steps: number): Definition | null {
    for (let count = rest.length; count >= 0; count--) {
      const target = this.module([name, ...rest.slice(0, count)].join("."), from);
      if (!target) continue;
      const left = rest.slice(count);
      return left.length === 0 ? target : this.definition(target, left.join("."), steps + 1);
    }
    return null;
  }

  /**
   * The name in full, as the package that defines it has it: `fastapi.middleware.cors.CORSMiddleware`, or
   * `app.core.config.settings`; names that are not imported stay as they are.
   */
  fullName(module: PythonModule, node: PythonNode | string | null, steps = 0): string | null {
    const name = typeof node === "string" ? node : dotted(node);
    if (name === null) return null;
    const [first = "", ...rest] = name.split(".");
    const source = module.imports.get(first);
    if (!source) return name;
    const full = [source.module, ...(source.name === null ? [] : [source.name]), ...rest].join(".");
    const target = source.name === null ? null : this.module(source.module, module);
    if (!target || source.name === null || steps > MOST_STEPS) return full;
    return target.imports.has(source.name)
      ? this.fullName(target, [source.name, ...rest].join("."), steps + 1)
      : full;
  }

  /** Every class by its name. */
  classes(name: string): readonly PythonClass[] {
    if (!this.#byClass) {
      this.#byClass = new Map();
      for (const one of this.modules.flatMap((module) => module.classes)) {
        this.#byClass.set(one.name, [...this.#byClass.get(one.name) ?? [], one]);
      }
    }
    return this.#byClass.get(name) ?? [];
  }

  /** The classes of the repository that a class inherits from, nearest first; itself is not among them. */
  ancestors(one: PythonClass): PythonClass[] {
    const found: PythonClass[] = [];
    for (let front = [one]; front.length > 0 && found.length < 100;) {
      front = front.flatMap(({ module, bases }) =>
        bases.flatMap((base) => {
          const name = dotted(base.type === "subscript" ? base.field("value") : base);
          const parent = name === null ? null : this.definition(module, name);
          if (parent === null || !("kind" in parent) || parent.kind !== "class") return [];
          return parent === one || found.includes(parent) ? [] : [parent];
        })
      );
      found.push(...front);
    }
    return found;
  }

  /** Whether a class has a base of this last name (`BaseSettings`), directly or through others. */
  inherits(one: PythonClass, base: string): boolean {
    return [one, ...this.ancestors(one)].some(({ bases, module }) =>
      bases.some((node) => {
        const parent = node.type === "subscript" ? node.field("value") : node;
        return lastName(parent) === base ||
          this.fullName(module, parent)?.split(".").at(-1) === base;
      })
    );
  }
}

/** `c` of `a.b.c`, and of `a().c`. */
export function lastName(node: PythonNode | null): string {
  if (node?.type === "identifier") return node.text;
  return node?.type === "attribute" ? node.field("attribute")?.text ?? "" : "";
}

function shared(a: string, b: string): number {
  const [left, right] = [a.split("/"), b.split("/")];
  const at = left.findIndex((part, index) => part !== right[index]);
  return at < 0 ? left.length : at;
}

/** Modules of Python itself that repositories like to name their own files after. */
const STANDARD = new Set([
  ...[
    "abc",
    "argparse",
    "ast",
    "asyncio",
    "base64",
    "calendar",
    "code",
    "collections",
    "copy",
    "csv",
  ],
  ...[
    "dataclasses",
    "datetime",
    "decimal",
    "email",
    "enum",
    "errno",
    "functools",
    "hashlib",
    "hmac",
  ],
  ...["html", "http", "io", "ipaddress", "itertools", "json", "logging", "math", "mimetypes", "os"],
  ...[
    "pathlib",
    "platform",
    "profile",
    "queue",
    "random",
    "re",
    "secrets",
    "select",
    "shutil",
    "signal",
  ],
  ...[
    "site",
    "smtplib",
    "socket",
    "ssl",
    "statistics",
    "string",
    "struct",
    "subprocess",
    "sys",
    "tempfile",
  ],
  ...[
    "test",
    "threading",
    "time",
    "token",
    "traceback",
    "types",
    "typing",
    "unicodedata",
    "unittest",
    "urllib",
  ],
  ...["uuid", "warnings", "weakref", "xml", "zipfile", "zoneinfo"],
]);
