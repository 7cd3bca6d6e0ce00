import { lineIn, lineStarts } from "../../lines.ts";
import type { Context } from "../context.ts";
import {
  child,
  children,
  flag,
  isFunction,
  isNode,
  keyName,
  type Node,
  type Parsed,
  parts,
  quasis,
  unwrap,
  word,
} from "../../lint/syntax.ts";
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

type File = { path: string; context: Context; text: string };

/**
 * The facts of a file of JavaScript or TypeScript.
 *
 * @example
 * const { calls } = readScriptCode(parsers.script(path, text), { path, context: "prod", text });
 */
export function readScriptCode({ program }: Parsed, file: File): CodeFile {
  return new ScriptReader(file).read(program);
}

const TOP: Site = { fn: null, klass: null, when: [], caught: null, isLoop: false };

class ScriptReader {
  readonly #facts: CodeFile;
  readonly #lines: Int32Array;

  constructor(file: File) {
    this.#facts = blank(file, "script");
    this.#lines = lineStarts(file.text);
  }

  read(program: Node): CodeFile {
    for (const one of children(program, "directives")) {
      this.#facts.directives.push(word(child(one, "value"), "value"));
    }
    for (const one of children(program, "body")) this.#statement(one, TOP, 0);
    return this.#facts;
  }

  #line(offset: number): number {
    return lineIn(this.#lines, offset);
  }

  #note(kind: Statement["kind"], node: Node | null, site: Site, depth: number, target?: string) {
    if (node === null) return;
    const value = this.#expr(node, site, depth, target);
    const line = this.#line(node.start);
    this.#facts.statements.push({ ...site, kind, target: target ?? null, value, line });
  }

  #all(nodes: readonly Node[], site: Site, depth: number): void {
    for (const one of nodes) this.#statement(one, site, depth);
  }

  #statement(node: Node, site: Site, depth: number): void {
    if (depth > MOST_DEPTH) return;
    const next = depth + 1;
    const below = (field: string, at: Site = site) => {
      const one = child(node, field);
      if (one) this.#statement(one, at, next);
    };
    switch (node.type) {
      case "ImportDeclaration":
        return this.#imports(node);
      case "ExportAllDeclaration":
        return;
      case "ExportNamedDeclaration": {
        for (const one of children(node, "specifiers")) {
          this.#facts.exports.push(keyName(one, "exported") ?? "");
        }
        const inner = child(node, "declaration");
        if (!inner) return;
        const declared = children(inner, "declarations");
        this.#facts.exports.push(...declared.map((one) => word(child(one, "id"), "name")));
        this.#facts.exports.push(word(child(inner, "id"), "name"));
        return this.#statement(inner, site, next);
      }
      case "ExportDefaultDeclaration": {
        this.#facts.exports.push("default");
        const inner = child(node, "declaration");
        if (!inner) return;
        if (inner.type === "ClassDeclaration") return this.#class(inner, site, next);
        return this.#note("assign", inner, site, next, "default");
      }
      case "VariableDeclaration":
        for (const one of children(node, "declarations")) this.#variable(one, site, next);
        return;
      case "FunctionDeclaration":
        this.#function(node, site, next, word(child(node, "id"), "name"));
        return;
      case "ClassDeclaration":
        return this.#class(node, site, next);
      case "IfStatement": {
        const test = child(node, "test");
        if (!test) return;
        this.#note("test", test, site, next);
        const condition = this.#facts.statements.at(-1)?.value;
        if (!condition) return;
        below("consequent", { ...site, when: [...site.when, condition] });
        const opposite: Expr = {
          kind: "other",
          operator: "not",
          parts: [condition],
          line: condition.line,
        };
        return below("alternate", { ...site, when: [...site.when, opposite] });
      }
      case "ForStatement":
      case "ForInStatement":
      case "ForOfStatement":
      case "WhileStatement":
      case "DoWhileStatement": {
        for (const field of ["init", "left", "right", "test", "update"]) {
          const one = child(node, field);
          if (one?.type === "VariableDeclaration") this.#statement(one, site, next);
          else if (one) this.#note("test", one, site, next);
        }
        return below("body", { ...site, isLoop: true });
      }
      case "TryStatement": {
        below("block");
        const handler = child(node, "handler");
        if (handler) {
          const caught = this.#catch(handler, child(handler, "param"), site.fn);
          const body = child(handler, "body");
          if (body) this.#statement(body, { ...site, caught }, next);
        }
        return below("finalizer");
      }
      case "ReturnStatement":
        return this.#note("return", child(node, "argument"), site, next);
      case "ThrowStatement":
        return this.#note("raise", child(node, "argument"), site, next);
      case "ExpressionStatement": {
        const inner = child(node, "expression");
        if (inner?.type === "AssignmentExpression") {
          const target = this.#path(child(inner, "left"));
          return this.#note("assign", child(inner, "right"), site, next, target);
        }
        return this.#note("expression", inner, site, next);
      }
      case "BlockStatement":
        return this.#all(children(node, "body"), site, next);
      case "SwitchStatement": {
        this.#note("test", child(node, "discriminant"), site, next);
        for (const one of children(node, "cases")) {
          this.#all(children(one, "consequent"), site, next);
        }
        return;
      }
      default:
        if (node.type.startsWith("TS") || node.type.endsWith("Statement")) {
          for (const one of parts(node)) this.#statement(one, site, next);
        } else this.#note("expression", node, site, next);
    }
  }

  #imports(node: Node): void {
    const module = word(child(node, "source"), "value");
    const line = this.#line(node.start);
    if (word(node, "importKind") === "type") return;
    for (const one of children(node, "specifiers")) {
      const local = word(child(one, "local"), "name");
      const name = one.type === "ImportSpecifier"
        ? keyName(one, "imported")
        : one.type === "ImportDefaultSpecifier"
        ? "default"
        : null;
      this.#facts.imports.push({ local, module, name, line });
    }
    if (children(node, "specifiers").length === 0) {
      this.#facts.imports.push({ local: "", module, name: null, line });
    }
  }

  #variable(node: Node, site: Site, depth: number): void {
    const id = child(node, "id");
    const init = child(node, "init");
    if (!id || !init) return;
    const required = requiredModule(unwrap(init));
    if (required !== null) {
      const line = this.#line(node.start);
      if (id.type === "Identifier") {
        const local = word(id, "name");
        this.#facts.imports.push({ local, module: required, name: null, line });
      }
      for (const one of children(id, "properties")) {
        const local = word(child(one, "value"), "name");
        const name = keyName(one);
        if (local) this.#facts.imports.push({ local, module: required, name, line });
      }
      return;
    }
    const names = id.type === "Identifier"
      ? word(id, "name")
      : [...children(id, "properties"), ...children(id, "elements")].map((one) =>
        word(child(one, "value"), "name") || word(one, "name")
      ).join(",");
    this.#note("assign", init, site, depth, names);
  }

  #class(node: Node, site: Site, depth: number): void {
    const base = child(node, "superClass");
    const klass: Klass = {
      name: word(child(node, "id"), "name"),
      bases: base ? [this.#path(base)] : [],
      decorators: children(node, "decorators").flatMap((one) => this.#decorator(one, site, depth)),
      line: this.#line(node.start),
      endLine: this.#line(node.end - 1),
    };
    this.#facts.classes.push(klass);
    const inside: Site = { ...TOP, klass };
    for (const member of children(child(node, "body"), "body")) {
      const name = keyName(member) ?? "";
      if (isFunction(member)) this.#function(member, inside, depth + 1, name);
      else if (member.type === "StaticBlock") {
        this.#all(children(member, "body"), inside, depth + 1);
      } else this.#note("assign", child(member, "value"), inside, depth + 1, name);
    }
  }

  #decorator(node: Node, site: Site, depth: number): Expr[] {
    const inner = child(node, "expression");
    return inner ? [this.#expr(inner, site, depth)] : [];
  }

  #function(node: Node, site: Site, depth: number, name: string, caught?: boolean): Fn {
    const fn: Fn = {
      name,
      line: this.#line(node.start),
      endLine: this.#line(node.end - 1),
      params: [],
      decorators: [],
      klass: site.klass,
      parent: site.fn,
      calls: [],
    };
    this.#facts.functions.push(fn);
    fn.decorators = children(node, "decorators").flatMap((one) =>
      this.#decorator(one, site, depth)
    );
    fn.params = children(node, "params").map((one) => this.#param(one, depth + 1));
    const handler = caught ? this.#catch(node, children(node, "params")[0] ?? null, fn) : null;
    const inside: Site = { fn, klass: site.klass, when: [], caught: handler, isLoop: false };
    const body = child(node, "body");
    for (const one of children(body, "directives")) {
      if (word(child(one, "value"), "value") === "use server") fn.decorators.push(server(fn.line));
    }
    if (body?.type === "BlockStatement") this.#statement(body, inside, depth + 1);
    else this.#note("return", body, inside, depth + 1);
    return fn;
  }

  #param(node: Node, depth: number): Param {
    const inner = node.type === "TSParameterProperty" ? child(node, "parameter") ?? node : node;
    const named = inner.type === "AssignmentPattern" ? child(inner, "left") ?? inner : inner;
    const value = inner.type === "AssignmentPattern" ? child(inner, "right") : null;
    const [decorator] = children(node, "decorators");
    const type = child(child(child(named, "typeAnnotation"), "typeAnnotation"), "typeName");
    return {
      name: named.type === "ObjectPattern"
        ? children(named, "properties").map((one) => keyName(one) ?? "").join(",")
        : word(named, "name"),
      line: this.#line(node.start),
      annotation: decorator
        ? this.#decorator(decorator, TOP, depth)[0] ?? null
        : type
        ? { kind: "name", name: word(type, "name"), line: this.#line(type.start) }
        : null,
      default: value ? this.#expr(value, TOP, depth) : null,
    };
  }

  #catch(node: Node, param: Node | null, fn: Fn | null): Catch {
    const caught: Catch = {
      types: [],
      name: param ? word(param, "name") || null : null,
      line: this.#line(node.start),
      endLine: this.#line(node.end - 1),
      fn,
    };
    this.#facts.catches.push(caught);
    return caught;
  }

  #expr(raw: Node, site: Site, depth: number, name = ""): Expr {
    const node = unwrap(raw);
    const line = this.#line(node.start);
    if (depth > MOST_DEPTH) return { kind: "other", operator: "deep", parts: [], line };
    const next = depth + 1;
    const of = (one: Node) => this.#expr(one, site, next);
    const at = (field: string): Expr => {
      const one = child(node, field);
      return one ? of(one) : { kind: "none", line };
    };
    if (isFunction(node)) {
      return { kind: "function", fn: this.#function(node, site, next, name), line };
    }
    switch (node.type) {
      case "StringLiteral":
        return { kind: "text", value: word(node, "value"), line };
      case "NumericLiteral":
        return { kind: "number", value: Number(node["value"]), line };
      case "BooleanLiteral":
        return { kind: "flag", value: flag(node, "value"), line };
      case "NullLiteral":
        return { kind: "none", line };
      case "Identifier":
        return word(node, "name") === "undefined"
          ? { kind: "none", line }
          : { kind: "name", name: word(node, "name"), line };
      case "ThisExpression":
        return { kind: "name", name: "this", line };
      case "TemplateLiteral":
        return this.#template(node, site, next);
      case "TaggedTemplateExpression": {
        const quasi = child(node, "quasi");
        const call: Call = {
          callee: this.#path(child(node, "tag")),
          receiver: null,
          args: [],
          named: [],
          line,
          endLine: this.#line(node.end - 1),
          site,
        };
        if (quasi) call.args = [this.#template(quasi, site, next)];
        this.#facts.calls.push(call);
        site.fn?.calls.push(call);
        // A tag sees the parts apart: what it makes of them is no joined text.
        return { kind: "other", operator: `tag:${call.callee}`, parts: call.args, line };
      }
      case "BinaryExpression":
        return this.#binary(node, site, next);
      case "LogicalExpression":
        return word(node, "operator") === "&&"
          ? { kind: "other", operator: "and", parts: [at("left"), at("right")], line }
          : { kind: "choice", test: null, options: [at("left"), at("right")], line };
      case "ConditionalExpression":
        return {
          kind: "choice",
          test: at("test"),
          options: [at("consequent"), at("alternate")],
          line,
        };
      case "ArrayExpression":
        return { kind: "list", items: children(node, "elements").map(of), line };
      case "ObjectExpression":
        return { kind: "map", line, entries: this.#entries(node, site, next) };
      case "MemberExpression":
      case "OptionalMemberExpression": {
        const path = this.#path(node);
        if (path !== "") return { kind: "name", name: path, line };
        const property = child(node, "property");
        const key: Expr = flag(node, "computed") && property
          ? of(property)
          : { kind: "text", value: word(property, "name"), line };
        return { kind: "index", of: at("object"), key, line };
      }
      case "CallExpression":
      case "OptionalCallExpression":
      case "NewExpression":
        return { kind: "call", call: this.#call(node, site, next), line };
      case "UnaryExpression":
        return {
          kind: "other",
          operator: word(node, "operator") === "!" ? "not" : word(node, "operator"),
          parts: [at("argument")],
          line,
        };
      case "AssignmentExpression": {
        const target = this.#path(child(node, "left"));
        this.#note("assign", child(node, "right"), site, next, target);
        return { kind: "other", operator: "=", parts: [], line };
      }
      default:
        return { kind: "other", operator: node.type, parts: parts(node).map(of), line };
    }
  }

  #entries(node: Node, site: Site, depth: number): { key: string | null; value: Expr }[] {
    return children(node, "properties").map((one) => {
      const key = one.type === "SpreadElement" ? null : keyName(one);
      const inner = isFunction(one)
        ? one
        : child(one, one.type === "SpreadElement" ? "argument" : "value");
      const line = this.#line(one.start);
      return {
        key,
        value: inner ? this.#expr(inner, site, depth, key ?? "") : { kind: "none", line },
      };
    });
  }

  #template(node: Node, site: Site, depth: number): Expr {
    const line = this.#line(node.start);
    const fixed = quasis(node);
    const inner = children(node, "expressions");
    if (inner.length === 0) return { kind: "text", value: fixed[0] ?? "", line };
    const all: Expr[] = [];
    fixed.forEach((value, index) => {
      if (value !== "") all.push({ kind: "text", value, line });
      const one = inner[index];
      if (one) all.push(this.#expr(one, site, depth));
    });
    return { kind: "join", parts: all, line };
  }

  /** Long sums lean to the left, as deep as they are long: they are unrolled. */
  #binary(node: Node, site: Site, depth: number): Expr {
    const line = this.#line(node.start);
    const operator = word(node, "operator");
    const found: Expr[] = [];
    let at: Node = node;
    for (;;) {
      const right = child(at, "right");
      if (right) found.unshift(this.#expr(right, site, depth));
      const left = child(at, "left");
      if (!left) break;
      if (left.type !== "BinaryExpression" || word(left, "operator") !== operator) {
        found.unshift(this.#expr(left, site, depth));
        break;
      }
      at = left;
    }
    const isText = operator === "+" && found.some(({ kind }) => kind === "text" || kind === "join");
    return isText
      ? { kind: "join", parts: found, line }
      : { kind: "other", operator: operator.replace(/^([=!]=)=$/, "$1"), parts: found, line };
  }

  #call(node: Node, site: Site, depth: number): Call {
    const target = child(node, "callee");
    const call: Call = {
      callee: this.#path(target, true),
      receiver: null,
      args: [],
      named: [],
      line: this.#line(target?.end ? nameStart(target) : node.start),
      endLine: this.#line(node.end - 1),
      site,
    };
    this.#facts.calls.push(call);
    site.fn?.calls.push(call);
    const owner = target ? child(target, "object") : null;
    if (owner && this.#path(owner) === "") call.receiver = this.#expr(owner, site, depth);
    else if (target && call.callee === "") call.receiver = this.#expr(target, site, depth);
    const isCatch = call.callee.endsWith(".catch");
    call.args = children(node, "arguments").map((one) =>
      isCatch && isFunction(one)
        ? {
          kind: "function",
          fn: this.#function(one, site, depth, "", true),
          line: this.#line(one.start),
        }
        : this.#expr(one, site, depth)
    );
    return call;
  }

  /** The chain of names of a member expression; with `calls`, through calls too (`a().b`). Empty where computed. */
  #path(raw: Node | null, calls = false): string {
    const names: string[] = [];
    let node = raw ? unwrap(raw) : null;
    for (let steps = 0; node && steps < MOST_DEPTH; steps++) {
      if (node.type === "Identifier") return [word(node, "name"), ...names].join(".");
      if (node.type === "ThisExpression") return ["this", ...names].join(".");
      if (node.type === "Super" || node.type === "Import") return names.join(".");
      if (node.type === "MemberExpression" || node.type === "OptionalMemberExpression") {
        const name = keyName(node, "property");
        if (name === null) return calls ? names.join(".") : "";
        names.unshift(name);
        const object = child(node, "object");
        node = object ? unwrap(object) : null;
      } else if (
        calls &&
        (node.type === "CallExpression" || node.type === "OptionalCallExpression" ||
          node.type === "NewExpression")
      ) {
        const inner = child(node, "callee");
        const name = inner ? keyNameOf(inner) : "";
        names.unshift(`${name}()`);
        const object = inner ? child(inner, "object") : null;
        if (!object) return names.join(".");
        node = unwrap(object);
      } else return calls ? names.join(".") : "";
    }
    return names.join(".");
  }
}

function nameStart(target: Node): number {
  const property = child(target, "property");
  return property ? property.start : target.start;
}

function keyNameOf(node: Node): string {
  return node.type === "Identifier" ? word(node, "name") : keyName(node, "property") ?? "";
}

/** The mark of a function whose body begins with "use server". */
function server(line: number): Expr {
  return { kind: "text", value: "use server", line };
}

function requiredModule(node: Node): string | null {
  if (node.type !== "CallExpression") return null;
  const callee = child(node, "callee");
  const isRequire = callee?.type === "Identifier" && word(callee, "name") === "require";
  const isImport = callee?.type === "Import";
  const [argument] = children(node, "arguments");
  if (!(isRequire || isImport) || argument?.type !== "StringLiteral") return null;
  return isNode(argument) ? word(argument, "value") : null;
}
