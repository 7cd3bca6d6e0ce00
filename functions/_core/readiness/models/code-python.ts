import type { Context } from "../context.ts";
import type { PythonNode } from "../parsers.ts";
import {
  blank,
  type Call,
  type Catch,
  type CodeFile,
  type Expr,
  type Fn,
  type Klass,
  MOST_DEPTH,
  type Param,
  type Site,
  type Statement,
} from "./code.ts";

/**
 * The facts of a Python file.
 *
 * @example
 * const { calls } = readPythonCode(tree.root, { path, context: "prod" });
 */
export function readPythonCode(
  root: PythonNode,
  file: { path: string; context: Context },
): CodeFile {
  return new PythonReader(file).read(root);
}

const TOP: Site = { fn: null, klass: null, when: [], caught: null, isLoop: false };
/** Conditions that are known not to hold after so many branches: each further one would copy them all. */
const MOST_BRANCHES = 8;
const COMPREHENSION =
  /^(list|set|dictionary)_comprehension$|^generator_expression$|^for_in_clause$|^if_clause$/;

class PythonReader {
  readonly #facts: CodeFile;

  constructor(file: { path: string; context: Context }) {
    this.#facts = blank(file, "python");
  }

  read(root: PythonNode): CodeFile {
    for (const one of root.children) this.#statement(one, TOP, 0);
    return this.#facts;
  }

  #note(
    kind: Statement["kind"],
    node: PythonNode | null,
    site: Site,
    depth: number,
    target: string | null = null,
  ): Expr | null {
    if (node === null) return null;
    const value = this.#expr(node, site, depth);
    this.#facts.statements.push({ ...site, kind, target, value, line: node.line });
    return value;
  }

  #body(node: PythonNode | null, site: Site, depth: number): void {
    if (node === null) return;
    if (node.type !== "block") return this.#statement(node, site, depth);
    for (const one of node.children) this.#statement(one, site, depth);
  }

  #statement(node: PythonNode, site: Site, depth: number, decorators: Expr[] = []): void {
    if (depth > MOST_DEPTH) return;
    const next = depth + 1;
    switch (node.type) {
      case "comment":
        return;
      case "import_statement":
      case "import_from_statement":
        return this.#imports(node);
      case "expression_statement": {
        for (const one of node.children) this.#expression(one, site, next);
        return;
      }
      case "decorated_definition": {
        const marks = node.children.filter(({ type }) => type === "decorator").flatMap((one) => {
          const inner = one.children[0];
          return inner ? [this.#expr(inner, site, next)] : [];
        });
        const definition = node.field("definition");
        return definition ? this.#statement(definition, site, next, marks) : undefined;
      }
      case "function_definition":
        this.#function(node, site, next, decorators);
        return;
      case "class_definition":
        return this.#class(node, site, next, decorators);
      case "if_statement":
        return this.#if(node, site, next);
      case "for_statement":
      case "while_statement": {
        const of = node.field(node.type === "for_statement" ? "right" : "condition");
        this.#note("test", of, site, next);
        return this.#body(node.field("body"), { ...site, isLoop: true }, next);
      }
      case "try_statement":
        return this.#try(node, site, next);
      case "with_statement": {
        for (const clause of node.children) {
          if (clause.type !== "with_clause") continue;
          for (const item of clause.children) {
            this.#note("expression", item.field("value") ?? item.children[0] ?? null, site, next);
          }
        }
        return this.#body(node.field("body"), site, next);
      }
      case "return_statement":
        this.#note("return", node.children[0] ?? null, site, next);
        return;
      case "raise_statement":
        this.#note("raise", node.children[0] ?? null, site, next);
        return;
      case "pass_statement":
      case "break_statement":
      case "continue_statement":
      case "global_statement":
      case "nonlocal_statement":
        return;
      default:
        for (const one of node.children) {
          if (STATEMENT.test(one.type)) this.#statement(one, site, next);
          else this.#note("expression", one, site, next);
        }
    }
  }

  #expression(node: PythonNode, site: Site, depth: number): void {
    if (node.type !== "assignment" && node.type !== "augmented_assignment") {
      this.#note("expression", node, site, depth);
      return;
    }
    const left = node.field("left");
    const right = node.field("right");
    if (!left || !right) return;
    if (right.type === "assignment") this.#expression(right, site, depth + 1);
    const value = right.type === "assignment" ? right.field("right") : right;
    const target = left.type === "pattern_list"
      ? left.children.map(pathOf).join(",")
      : left.type === "subscript"
      ? left.text.slice(0, 80)
      : pathOf(left);
    this.#note("assign", value, site, depth, target);
  }

  #imports(node: PythonNode): void {
    const { line } = node;
    const module = node.field("module_name");
    const from = module?.text ?? null;
    for (const one of node.children) {
      if (module && one.start === module.start) continue;
      const name = one.type === "aliased_import" ? one.field("name")?.text ?? "" : one.text;
      const alias = one.type === "aliased_import" ? one.field("alias")?.text : undefined;
      if (one.type === "wildcard_import") {
        this.#facts.imports.push({ local: "*", module: from ?? "", name: "*", line });
      } else if (from !== null) {
        this.#facts.imports.push({ local: alias ?? name, module: from, name, line });
      } else if (alias !== undefined) {
        this.#facts.imports.push({ local: alias, module: name, name: null, line });
      } else {
        const [head = ""] = name.split(".");
        this.#facts.imports.push({ local: head, module: head, name: null, line });
      }
    }
  }

  #if(node: PythonNode, site: Site, depth: number): void {
    let refused: Expr[] = [];
    const branch = (test: PythonNode | null, body: PythonNode | null) => {
      const condition = this.#note("test", test, site, depth);
      const when = [...site.when, ...refused, ...(condition ? [condition] : [])];
      this.#body(body, { ...site, when }, depth);
      if (condition) {
        const { line } = condition;
        if (refused.length < MOST_BRANCHES) {
          refused = [...refused, { kind: "other", operator: "not", parts: [condition], line }];
        }
      }
    };
    branch(node.field("condition"), node.field("consequence"));
    for (const one of node.children) {
      if (one.type === "elif_clause") branch(one.field("condition"), one.field("consequence"));
      else if (one.type === "else_clause") branch(null, one.field("body"));
    }
  }

  #try(node: PythonNode, site: Site, depth: number): void {
    this.#body(node.field("body"), site, depth);
    for (const one of node.children) {
      if (one.type === "except_clause" || one.type === "except_group_clause") {
        const [caught, body] = this.#except(one, site.fn);
        this.#body(body, { ...site, caught }, depth);
      } else if (one.type === "else_clause") this.#body(one.field("body"), site, depth);
      else if (one.type === "finally_clause") {
        this.#body(one.children.at(-1) ?? null, site, depth);
      }
    }
  }

  #except(node: PythonNode, fn: Fn | null): [Catch, PythonNode | null] {
    const body = node.children.find(({ type }) => type === "block") ?? null;
    const rest = node.children.filter(({ type }) => type !== "block" && type !== "comment");
    const pattern = rest.find(({ type }) => type === "as_pattern");
    const value = pattern ? pattern.children[0] ?? null : node.field("value") ?? rest[0] ?? null;
    const alias = pattern?.field("alias") ?? node.field("alias") ?? (pattern ? null : rest[1]);
    const types = value?.type === "tuple" || value?.type === "parenthesized_expression"
      ? value.children.map(pathOf)
      : value
      ? [pathOf(value)]
      : [];
    const { line, endLine } = node;
    const caught: Catch = { types, name: alias?.text ?? null, line, endLine, fn };
    this.#facts.catches.push(caught);
    return [caught, body];
  }

  #class(node: PythonNode, site: Site, depth: number, decorators: Expr[]): void {
    const supers = node.field("superclasses")?.children ?? [];
    const klass: Klass = {
      name: node.field("name")?.text ?? "",
      bases: supers.filter(({ type }) => type !== "keyword_argument").map((one) =>
        pathOf(one.type === "subscript" ? one.field("value") ?? one : one)
      ),
      decorators,
      line: node.line,
      endLine: node.endLine,
    };
    this.#facts.classes.push(klass);
    this.#body(node.field("body"), { ...TOP, klass, fn: site.fn }, depth);
  }

  #function(node: PythonNode, site: Site, depth: number, decorators: Expr[]): Fn {
    const fn: Fn = {
      name: node.field("name")?.text ?? "",
      line: node.line,
      endLine: node.endLine,
      params: [],
      decorators,
      klass: site.klass,
      parent: site.fn,
      calls: [],
    };
    this.#facts.functions.push(fn);
    const parameters = node.field("parameters");
    fn.params = (parameters?.children ?? []).flatMap((one) => this.#param(one, site, depth));
    const inside: Site = { fn, klass: site.klass, when: [], caught: null, isLoop: false };
    const body = node.field("body");
    if (node.type === "lambda") this.#note("return", body, inside, depth);
    else this.#body(body, inside, depth);
    return fn;
  }

  #param(node: PythonNode, site: Site, depth: number): Param[] {
    if (node.type === "comment" || node.type.endsWith("separator")) return [];
    const name = node.type === "identifier"
      ? node.text
      : node.field("name")?.text ?? node.children[0]?.text ?? "";
    const type = node.field("type");
    const value = node.field("value");
    return [{
      name,
      line: node.line,
      annotation: type ? this.#expr(type, site, depth + 1) : null,
      default: value ? this.#expr(value, site, depth + 1) : null,
    }];
  }

  #expr(node: PythonNode, site: Site, depth: number): Expr {
    const { line, type } = node;
    if (depth > MOST_DEPTH) return { kind: "other", operator: "deep", parts: [], line };
    const next = depth + 1;
    const of = (one: PythonNode) => this.#expr(one, site, next);
    const field = (name: string): Expr => {
      const one = node.field(name);
      return one ? of(one) : { kind: "none", line };
    };
    switch (type) {
      case "identifier":
        return { kind: "name", name: node.text, line };
      case "attribute": {
        const path = pathOf(node);
        if (path !== "") return { kind: "name", name: path, line };
        const key = node.field("attribute");
        return {
          kind: "index",
          of: field("object"),
          key: { kind: "text", value: key?.text ?? "", line },
          line,
        };
      }
      case "string":
        return this.#string(node, site, next);
      case "concatenated_string": {
        const all = node.children.filter((one) => one.type === "string").map(of);
        if (all.every((one) => one.kind === "text")) {
          const value = all.map((one) => one.kind === "text" ? one.value : "").join("");
          return { kind: "text", value, line };
        }
        return { kind: "join", parts: all, line };
      }
      case "integer":
      case "float":
        return { kind: "number", value: Number(node.text.replaceAll("_", "")), line };
      case "true":
      case "false":
        return { kind: "flag", value: type === "true", line };
      case "none":
        return { kind: "none", line };
      case "parenthesized_expression":
      case "await":
      case "type":
      case "expression_list": {
        const inner = node.children.filter((one) => one.type !== "comment");
        if (inner.length === 1 && inner[0]) return of(inner[0]);
        return { kind: "list", items: inner.map(of), line };
      }
      case "call":
        return { kind: "call", call: this.#call(node, site, next), line };
      case "list":
      case "tuple":
      case "set":
        return {
          kind: "list",
          items: node.children.filter((one) => one.type !== "comment").map(of),
          line,
        };
      case "dictionary":
        return {
          kind: "map",
          line,
          entries: node.children.filter((one) => one.type !== "comment").map((one) => {
            if (one.type !== "pair") return { key: null, value: of(one.children[0] ?? one) };
            const key = one.field("key");
            const name = key ? of(key) : null;
            const value = one.field("value");
            return {
              key: name?.kind === "text" ? name.value : null,
              value: value ? of(value) : { kind: "none", line },
            };
          }),
        };
      case "subscript":
      case "generic_type": {
        const [first, ...rest] = node.children;
        const keys = rest.flatMap((one) => one.type === "type_parameter" ? one.children : [one])
          .filter((one) => one.type !== "comment").map(of);
        const [key] = keys;
        return {
          kind: "index",
          of: first ? of(first) : { kind: "none", line },
          key: keys.length === 1 && key ? key : { kind: "list", items: keys, line },
          line,
        };
      }
      case "binary_operator":
        return this.#binary(node, site, next);
      case "boolean_operator": {
        const isOr = node.field("operator")?.text === "or" ||
          (node.field("operator") === null && /\bor\b/.test(node.text));
        const options = [field("left"), field("right")];
        return isOr
          ? { kind: "choice", test: null, options, line }
          : { kind: "other", operator: "and", parts: options, line };
      }
      case "not_operator":
        return { kind: "other", operator: "not", parts: [field("argument")], line };
      case "conditional_expression": {
        const [body, test, otherwise] = node.children;
        return {
          kind: "choice",
          test: test ? of(test) : null,
          options: [body, otherwise].flatMap((one) => one ? [of(one)] : []),
          line,
        };
      }
      case "lambda":
        return { kind: "function", fn: this.#function(node, site, next, []), line };
      case "named_expression": {
        const target = node.field("name")?.text ?? "";
        return this.#note("assign", node.field("value"), site, next, target) ??
          { kind: "none", line };
      }
      case "comparison_operator":
        return {
          kind: "other",
          operator: node.field("operators")?.text ?? "compare",
          parts: node.children.map(of),
          line,
        };
      default: {
        const at = COMPREHENSION.test(type) ? { ...site, isLoop: true } : site;
        const below = node.children.filter((one) => one.type !== "comment");
        return {
          kind: "other",
          operator: type,
          parts: below.map((one) => this.#expr(one, at, next)),
          line,
        };
      }
    }
  }

  #string(node: PythonNode, site: Site, depth: number): Expr {
    const { line } = node;
    const holes = node.children.filter(({ type }) => type === "interpolation");
    if (holes.length === 0) return { kind: "text", value: plain(node.text), line };
    const all: Expr[] = [];
    for (const one of node.children) {
      if (one.type === "string_content") all.push({ kind: "text", value: one.text, line });
      else if (one.type === "interpolation") {
        const inner = one.field("expression") ?? one.children[0];
        if (inner) all.push(this.#expr(inner, site, depth));
      }
    }
    return { kind: "join", parts: all, line };
  }

  #binary(node: PythonNode, site: Site, depth: number): Expr {
    const { line } = node;
    const operator = node.field("operator")?.text ?? operatorOf(node);
    const found: Expr[] = [];
    let at = node;
    for (;;) {
      const right = at.field("right");
      if (right) found.unshift(this.#expr(right, site, depth));
      const left = at.field("left");
      if (!left) break;
      const isSame = left.type === "binary_operator" &&
        (left.field("operator")?.text ?? operatorOf(left)) === operator;
      if (!isSame) {
        found.unshift(this.#expr(left, site, depth));
        break;
      }
      at = left;
    }
    const isText = (operator === "+" || operator === "%") &&
      found.some(({ kind }) => kind === "text" || kind === "join") &&
      (operator === "+" || found[0]?.kind === "text" || found[0]?.kind === "join");
    return isText
      ? { kind: "join", parts: found, line }
      : { kind: "other", operator, parts: found, line };
  }

  #call(node: PythonNode, site: Site, depth: number): Call {
    const target = node.field("function");
    const call: Call = {
      callee: target ? pathOf(target, true) : "",
      receiver: null,
      args: [],
      named: [],
      line: target?.field("attribute")?.line ?? node.line,
      endLine: node.endLine,
      site,
    };
    this.#facts.calls.push(call);
    site.fn?.calls.push(call);
    const owner = target?.type === "attribute" ? target.field("object") : null;
    if (owner && pathOf(owner) === "") call.receiver = this.#expr(owner, site, depth);
    else if (target && call.callee === "") call.receiver = this.#expr(target, site, depth);
    const list = node.field("arguments");
    const given = list?.type === "argument_list" ? list.children : list ? [list] : [];
    for (const one of given) {
      if (one.type === "comment") continue;
      if (one.type === "keyword_argument") {
        const value = one.field("value");
        const name = one.field("name")?.text ?? "";
        if (value) call.named.push({ name, value: this.#expr(value, site, depth) });
      } else call.args.push(this.#expr(one, site, depth));
    }
    return call;
  }
}

const STATEMENT = /_(statement|definition|clause)$|^(block|case_clause|decorated_definition)$/;

function operatorOf(node: PythonNode): string {
  const left = node.field("left");
  const right = node.field("right");
  if (!left || !right) return "";
  return node.text.slice(left.end - node.start, right.start - node.start).trim();
}

/** The chain of names of an attribute; with `calls`, through calls too (`a().b`). Empty where computed. */
function pathOf(raw: PythonNode, calls: unknown = false): string {
  const through = calls === true;
  const names: string[] = [];
  let node: PythonNode | null = raw;
  for (let steps = 0; node && steps < MOST_DEPTH; steps++) {
    if (node.type === "identifier") return [node.text, ...names].join(".");
    if (node.type === "attribute") {
      names.unshift(node.field("attribute")?.text ?? "");
      node = node.field("object");
    } else if (node.type === "await" || node.type === "parenthesized_expression") {
      node = node.children[0] ?? null;
    } else if (through && node.type === "call") {
      const inner: PythonNode | null = node.field("function");
      if (inner?.type === "identifier") return [`${inner.text}()`, ...names].join(".");
      if (inner?.type !== "attribute") return names.join(".");
      names.unshift(`${inner.field("attribute")?.text ?? ""}()`);
      node = inner.field("object");
    } else return through ? names.join(".") : "";
  }
  return names.join(".");
}

/** What a literal says: its prefix and quotes left out, the common escapes read. */
function plain(text: string): string {
  const found = /^[A-Za-z]{0,3}("""|'''|"|')/.exec(text);
  if (!found) return text;
  const quotes = found[1]?.length ?? 1;
  const inner = text.slice(found[0].length, text.length - quotes);
  return /^[bB]?[rR]/.test(text) ? inner : inner.replaceAll("\\n", "\n").replaceAll('\\"', '"');
}
