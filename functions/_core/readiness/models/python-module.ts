import type { PythonNode, PythonTree } from "../parsers.ts";
import { argumentsOf, dotted, enclosing } from "../python-node.ts";
import type { RepositoryFile } from "../repository.ts";

/** What a local name stands for: a module (`name` null), or a name of it. `module` is absolute, as `app.core.config`. */
export type PythonImport = { module: string; name: string | null; line: number };

/** A field of a class: `name: annotation = value`, or what `Field(…)` says. */
export type PythonField = {
  name: string;
  annotation: PythonNode | null;
  value: PythonNode | null;
  node: PythonNode;
  line: number;
};

export type PythonParameter = {
  name: string;
  annotation: PythonNode | null;
  value: PythonNode | null;
  line: number;
};

export type PythonFunction = {
  kind: "function";
  name: string;
  module: PythonModule;
  /** The class whose method it is. */
  owner: PythonClass | null;
  isAsync: boolean;
  /** The expressions behind the `@`. */
  decorators: PythonNode[];
  parameters: PythonParameter[];
  returns: PythonNode | null;
  body: PythonNode;
  node: PythonNode;
  line: number;
};

export type PythonClass = {
  kind: "class";
  name: string;
  module: PythonModule;
  bases: PythonNode[];
  /** Keywords of the class line: `class Settings(BaseSettings, env_prefix="APP_")`. */
  keywords: ReadonlyMap<string, PythonNode>;
  decorators: PythonNode[];
  fields: PythonField[];
  /** Classes in it, `Config` for instance. */
  inner: PythonClass[];
  body: PythonNode;
  node: PythonNode;
  line: number;
};

/** `name = value` where the module runs, in its conditions too; the last one stands. */
export type PythonConstant = {
  kind: "constant";
  name: string;
  module: PythonModule;
  annotation: PythonNode | null;
  value: PythonNode | null;
  line: number;
};

export type PythonCall = { module: PythonModule; node: PythonNode; line: number };

/** One file of Python. What rules ask for is found when it is asked for the first time. */
export class PythonModule {
  readonly file: RepositoryFile;
  readonly path: string;
  /** From the root of the repository: `backend.app.core.config`. */
  readonly name: string;
  readonly root: PythonNode;
  /** Some of it is no Python; what is missing could hold anything. */
  readonly hasErrors: boolean;
  #imports: ReadonlyMap<string, PythonImport> | null = null;
  #wildcards: string[] = [];
  #functions: PythonFunction[] | null = null;
  #classes: PythonClass[] | null = null;
  #constants: ReadonlyMap<string, PythonConstant> | null = null;
  #calls: PythonCall[] | null = null;
  #own: Map<string, PythonClass | PythonFunction | PythonConstant> | null = null;
  #byStart: Map<number, PythonFunction> | null = null;

  constructor(file: RepositoryFile, tree: PythonTree) {
    this.file = file;
    this.path = file.path;
    this.root = tree.root;
    this.hasErrors = tree.hasErrors;
    this.name = file.path.replace(/(\/__init__)?\.pyw?$/, "").replaceAll("/", ".");
  }

  get isPackage(): boolean {
    return /(^|\/)__init__\.py$/.test(this.path);
  }

  /** Imports by local name, those in functions too. */
  get imports(): ReadonlyMap<string, PythonImport> {
    return this.#imports ??= this.#readImports();
  }

  /** Modules whose every name is imported. */
  get wildcards(): readonly string[] {
    void this.imports;
    return this.#wildcards;
  }

  /** Every function, methods and nested ones included, in order. */
  get functions(): readonly PythonFunction[] {
    return this.#functions ??= this.root.all("function_definition").map((node) =>
      this.#readFunction(node)
    );
  }

  /** Every class, those in classes and functions included, in order. */
  get classes(): readonly PythonClass[] {
    return this.#classes ??= this.root.all("class_definition").map((node) => this.#readClass(node));
  }

  get constants(): ReadonlyMap<string, PythonConstant> {
    return this.#constants ??= this.#readConstants();
  }

  /** Every call, in order. */
  get calls(): readonly PythonCall[] {
    return this.#calls ??= this.root.all("call").map((node) => ({
      module: this,
      node,
      line: node.line,
    }));
  }

  /** What a name stands for in the module itself. */
  own(name: string): PythonClass | PythonFunction | PythonConstant | null {
    if (!this.#own) {
      const tops = [...this.functions, ...this.classes].filter(({ node }) => isTop(node));
      this.#own = new Map(this.constants);
      for (const one of tops) this.#own.set(one.name, one);
    }
    return this.#own.get(name) ?? null;
  }

  /** The innermost function that a node stands in. */
  functionAt(node: PythonNode): PythonFunction | null {
    this.#byStart ??= new Map(this.functions.map((one) => [one.node.start, one]));
    const found = enclosing(node, "function_definition");
    return found ? this.#byStart.get(found.start) ?? null : null;
  }

  #readImports(): Map<string, PythonImport> {
    const found = new Map<string, PythonImport>();
    for (const node of this.root.all("import_statement", "import_from_statement")) {
      const line = node.line;
      const source = node.field("module_name");
      const module = source ? this.#absolute(source.text) : null;
      for (const one of node.children) {
        if (source && one.start === source.start) continue;
        if (one.type === "wildcard_import") {
          if (module !== null) this.#wildcards.push(module);
          continue;
        }
        const name = one.type === "aliased_import" ? one.field("name")?.text : one.text;
        const alias = one.type === "aliased_import" ? one.field("alias")?.text : null;
        if (!name) continue;
        if (module !== null) found.set(alias ?? name, { module, name, line });
        else if (alias) found.set(alias, { module: name, name: null, line });
        else {
          const [first = name] = name.split(".");
          found.set(first, { module: first, name: null, line });
        }
      }
    }
    return found;
  }

  /** `..core` in `app.api.routes` is `app.core`. */
  #absolute(source: string): string {
    const text = source.replace(/\s+/g, "");
    const dots = /^\.*/.exec(text)?.[0].length ?? 0;
    if (dots === 0) return text;
    const parts = this.name === "" ? [] : this.name.split(".");
    const kept = parts.slice(0, Math.max(0, parts.length - dots + (this.isPackage ? 1 : 0)));
    return [...kept, ...(text.length > dots ? [text.slice(dots)] : [])].join(".");
  }

  #readFunction(node: PythonNode): PythonFunction {
    const owner = node.parent?.type === "decorated_definition"
      ? node.parent.parent?.parent
      : node.parent?.parent;
    return {
      kind: "function",
      name: node.field("name")?.text ?? "",
      module: this,
      owner: owner?.type === "class_definition"
        ? this.classes.find((one) => one.node.start === owner.start) ?? null
        : null,
      isAsync: /^async\b/.test(node.text.slice(0, 6)),
      decorators: decoratorsOf(node),
      parameters: (node.field("parameters")?.children ?? []).flatMap(parameterOf),
      returns: node.field("return_type"),
      body: node.field("body") ?? node,
      node,
      line: node.line,
    };
  }

  #readClass(node: PythonNode): PythonClass {
    const body = node.field("body") ?? node;
    const { positional, keywords } = argumentsOf(node);
    return {
      kind: "class",
      name: node.field("name")?.text ?? "",
      module: this,
      bases: positional,
      keywords,
      decorators: decoratorsOf(node),
      fields: statementsOf(body).flatMap((statement) => {
        const one = assignmentOf(statement);
        return one ? [{ ...one, node: statement }] : [];
      }),
      inner: body.children.flatMap((one) => {
        const inner = one.type === "decorated_definition" ? one.field("definition") : one;
        return inner?.type === "class_definition" ? [this.#readClass(inner)] : [];
      }),
      body,
      node,
      line: node.line,
    };
  }

  #readConstants(): Map<string, PythonConstant> {
    const found = new Map<string, PythonConstant>();
    for (const statement of statementsOf(this.root)) {
      const one = assignmentOf(statement);
      if (one) found.set(one.name, { kind: "constant", module: this, ...one });
    }
    return found;
  }
}

/** Whether a definition stands at the top of its module, in a condition or a try of it perhaps. */
function isTop(node: PythonNode): boolean {
  return enclosing(node, "function_definition", "class_definition", "lambda") === null;
}

function decoratorsOf(node: PythonNode): PythonNode[] {
  if (node.parent?.type !== "decorated_definition") return [];
  return node.parent.children.flatMap((one) =>
    one.type === "decorator" ? one.children.slice(0, 1) : []
  );
}

function parameterOf(node: PythonNode): PythonParameter[] {
  const typed = node.type === "typed_parameter" ? node.children[0] : null;
  const inner = typed ?? node.field("name") ?? node;
  const name = /^\*{0,2}([\p{L}_][\p{L}\p{N}_]*)$/u.exec(inner.text)?.[1];
  if (!name) return [];
  return [{
    name,
    annotation: node.field("type"),
    value: node.field("value"),
    line: node.line,
  }];
}

const NESTING = new Set([
  ...["block", "if_statement", "elif_clause", "else_clause", "try_statement", "except_clause"],
  ...["finally_clause", "with_statement"],
]);

/** The statements that run where a body runs: those in its conditions too, none of its functions and classes. */
export function statementsOf(body: PythonNode): PythonNode[] {
  const found: PythonNode[] = [];
  const stack = body.children.toReversed();
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (NESTING.has(node.type)) stack.push(...node.children.toReversed());
    else found.push(node);
  }
  return found;
}

function assignmentOf(
  statement: PythonNode,
): { name: string; annotation: PythonNode | null; value: PythonNode | null; line: number } | null {
  const node = statement.children[0];
  if (statement.type !== "expression_statement" || node?.type !== "assignment") return null;
  const left = node.field("left");
  const name = left?.type === "identifier" ? dotted(left) : null;
  if (!name) return null;
  return { name, annotation: node.field("type"), value: node.field("right"), line: node.line };
}
