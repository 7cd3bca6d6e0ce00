import type { Context } from "../context.ts";
import type { Repository, RepositoryFile } from "../repository.ts";
import type { Outcome } from "../rule.ts";
import { readPythonCode } from "./code-python.ts";
import { readScriptCode } from "./code-script.ts";
import { pythonOf } from "./python.ts";
import { scripts } from "./scripts.ts";

/**
 * An expression of Python or of JavaScript, in the shape they share. Facts, no tree: a file's own tree is dropped once
 * it is read.
 */
export type Expr =
  & { line: number }
  & (
    | { kind: "text"; value: string }
    | { kind: "number"; value: number }
    | { kind: "flag"; value: boolean }
    | { kind: "none" }
    /** A name with its members: `settings.debug`, `process.env.NODE_ENV`. */
    | { kind: "name"; name: string }
    | { kind: "call"; call: Call }
    /** A text put together: an f-string, a template, `+`, `%`, `.format()`. */
    | { kind: "join"; parts: Expr[] }
    | { kind: "list"; items: Expr[] }
    /** A key is null where it is computed, or where another map is spread. */
    | { kind: "map"; entries: { key: string | null; value: Expr }[] }
    /** `a if t else b`, `t ? a : b`, `a or b`, `a ?? b`. */
    | { kind: "choice"; test: Expr | null; options: Expr[] }
    | { kind: "index"; of: Expr; key: Expr }
    | { kind: "function"; fn: Fn }
    | { kind: "other"; operator: string; parts: Expr[] }
  );

/** Where something stands: in which function and class, below which conditions, in which handler, in a loop. */
export type Site = {
  fn: Fn | null;
  klass: Klass | null;
  when: Expr[];
  caught: Catch | null;
  isLoop: boolean;
};

export type Call = {
  /** The chain of names: `app.add_middleware`, `z.object().parse`. Empty where it is computed. */
  callee: string;
  /** What stands before the last name, where that holds a call. */
  receiver: Expr | null;
  args: Expr[];
  named: { name: string; value: Expr }[];
  line: number;
  endLine: number;
  site: Site;
};

export type Param = { name: string; line: number; annotation: Expr | null; default: Expr | null };

export type Fn = {
  name: string;
  line: number;
  endLine: number;
  params: Param[];
  decorators: Expr[];
  klass: Klass | null;
  parent: Fn | null;
  calls: Call[];
};

export type Klass = {
  name: string;
  bases: string[];
  decorators: Expr[];
  line: number;
  endLine: number;
};

/** An `except` or a `catch`; without types it takes everything. */
export type Catch = {
  types: string[];
  name: string | null;
  line: number;
  endLine: number;
  fn: Fn | null;
};

export type Statement = Site & {
  kind: "expression" | "assign" | "return" | "raise" | "test";
  /** What an assignment fills: `app.state.limiter`. */
  target: string | null;
  value: Expr;
  line: number;
};

/** `from module import name as local`; `name` is null where the module itself is bound. */
export type Import = { local: string; module: string; name: string | null; line: number };

/** The facts of one source file. */
export type CodeFile = {
  path: string;
  context: Context;
  language: "python" | "script";
  imports: Import[];
  functions: Fn[];
  classes: Klass[];
  calls: Call[];
  statements: Statement[];
  catches: Catch[];
  /** Names that other files can import; `default` among them. Empty for Python, where all can. */
  exports: string[];
  /** `use server`, `use client`. */
  directives: string[];
};

const SOURCE = /\.(py|[cm]?[jt]s|[jt]sx)$/;
/** Where bundlers put what they make. */
const BUILT = /(^|\/)(built|assets|public|static|chunks?|bundles?|generated)\//;
const COMPONENT =
  /use server|next\/server|\.init\(|setUser|withAuth|\blogger\b|express|fastify|hono/;
const GENERATED = /\.d\.[cm]?ts$|\.min\.[cm]?js$|(^|\/)(migrations|alembic\/versions|dist|build)\//;

/**
 * Every source file that production may run, Python and JavaScript alike; tests are left out. Read once, by the rules'
 * {@link withCode}; files that can't be read are noted, and {@link unreadCode} names them.
 *
 * @example
 * for (const file of code(repository)) for (const call of file.calls) …
 */
export function code(repository: Repository): readonly CodeFile[] {
  return repository.once("code", (): CodeFile[] => {
    throw new Error("the code was not read before it was asked for");
  });
}

/**
 * A rule's check that finds the code read.
 *
 * @example
 * check: withCode((repository) => conclude(…code(repository)…))
 */
export function withCode(
  check: (repository: Repository) => Outcome | Promise<Outcome>,
): (repository: Repository) => Promise<Outcome> {
  return async (repository) => {
    const files = await repository.once("code-reading", () => read(repository));
    repository.once("code", () => files);
    return check(repository);
  };
}

/** The sources that could not be read: what they hold is unknown. */
export function unreadCode(repository: Repository): string[] {
  const known = new Set(code(repository).map(({ path }) => path));
  const all = [...scripts(repository).files, ...repository.matching(/\.py$/)];
  return all.filter((file) =>
    SOURCE.test(file.path) && isWanted(file) && !BUILT.test(file.path) && !known.has(file.path)
  ).map(({ path }) => path);
}

async function read(repository: Repository): Promise<CodeFile[]> {
  const files: CodeFile[] = [];
  const all = scripts(repository);
  for (const file of all.files) {
    if (!SOURCE.test(file.path) || !isWanted(file)) continue;
    const facts = repository.parse(file, (text) => {
      const { path, context } = file;
      return readScriptCode(all.tree(path, text), { path, context, text });
    });
    if (facts) files.push(facts);
  }
  const python = await pythonOf(repository);
  for (const { file, root } of python.modules) {
    if (isWanted(file)) files.push(readPythonCode(root, file));
  }
  return files;
}

function isWanted({ path, context, text }: RepositoryFile): boolean {
  if (context === "test" || context === "docs" || GENERATED.test(path)) return false;
  // A component says something to a server rule only where it logs, acts on the server, or starts a tracker.
  return !/\.[jt]sx$/.test(path) || text === null || COMPONENT.test(text);
}

/** Nothing yet of a file: the fronts fill it. */
export function blank(
  { path, context }: { path: string; context: Context },
  language: CodeFile["language"],
): CodeFile {
  return {
    path,
    context,
    language,
    imports: [],
    functions: [],
    classes: [],
    calls: [],
    statements: [],
    catches: [],
    exports: [],
    directives: [],
  };
}

/** Expressions below this depth are not looked into: nobody writes them by hand. */
export const MOST_DEPTH = 120;
