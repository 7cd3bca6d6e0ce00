import { type Binding, bindPattern, Scope, SCOPED } from "./scope.ts";
import {
  child,
  children,
  type Comment,
  isFunction,
  isMember,
  keyName,
  link,
  type Node,
  type Parsed,
  unwrap,
  word,
} from "./syntax.ts";

/** Where an exported name comes from. */
export type Export =
  | { from: "here"; value: Node }
  | { from: "binding"; name: string }
  | { from: "module"; specifier: string; name: string };

/** One file with what its tree says: scopes, imports, exports, and the nodes that rules look at. */
export type Module = {
  path: string;
  text: string;
  program: Node;
  comments: Comment[];
  scope: Scope;
  scopes: Map<Node, Scope>;
  directives: string[];
  exports: Map<string, Export>;
  /** Specifiers of `export * from`. */
  stars: string[];
  /** What it loads when it runs: imports of types alone are left out. */
  loads: { specifier: string; node: Node; bindings: Binding[] }[];
  calls: Node[];
  members: Node[];
  strings: Node[];
  tagged: Node[];
  /** `a.b = value`. */
  assignments: { target: Node; value: Node }[];
  properties: Node[];
};

/**
 * Read one parsed file.
 *
 * @example
 * const module = readModule("src/admin.ts", text, parseScript("src/admin.ts", text));
 */
export function readModule(path: string, text: string, parsed: Parsed): Module {
  const { program, comments } = parsed;
  const scope = new Scope(null, true);
  const module: Module = {
    path,
    text,
    program,
    comments,
    scope,
    scopes: new Map([[program, scope]]),
    directives: children(program, "directives").map((one) => word(child(one, "value"), "value")),
    exports: new Map(),
    stars: [],
    loads: [],
    calls: [],
    members: [],
    strings: [],
    tagged: [],
    assignments: [],
    properties: [],
  };
  const identifiers: Node[] = [];
  link(program, (node) => {
    declare(module, node);
    if (node.type === "Identifier") identifiers.push(node);
  });
  for (const node of identifiers) if (isReference(node)) scopeAt(module, node).refer(node);
  for (const { target, value } of module.assignments) {
    if (target.type === "Identifier") {
      scopeAt(module, target).find(word(target, "name"))?.assigned.push({ value, path: [] });
    } else if (target.type === "ObjectPattern" || target.type === "ArrayPattern") {
      bindPattern(target, [], (name, _node, path) => {
        scopeAt(module, target).find(name)?.assigned.push({ value, path });
      });
    }
  }
  return module;
}

/** The scope that holds at a node. */
export function scopeAt(module: Module, node: Node): Scope {
  for (let at: Node | undefined = node; at; at = at.parent) {
    const scope = module.scopes.get(at);
    if (scope) return scope;
  }
  return module.scope;
}

function declare(module: Module, node: Node): void {
  const outer = node.parent ? scopeAt(module, node.parent) : module.scope;
  if (SCOPED.has(node.type) || isFunction(node)) {
    if (!module.scopes.has(node)) module.scopes.set(node, new Scope(outer, isFunction(node)));
  }
  const inner = module.scopes.get(node) ?? outer;
  if (isFunction(node)) {
    const id = child(node, "id");
    if (id && node.type === "FunctionDeclaration") {
      outer.add({ name: word(id, "name"), kind: "function", node: id, init: node });
    } else if (id) inner.add({ name: word(id, "name"), kind: "function", node: id, init: node });
    children(node, "params").forEach((param, index) => {
      bindPattern(
        param,
        [],
        (name, at, path, defaults) =>
          inner.add({ name, kind: "param", node: at, path, defaults, param: { of: node, index } }),
      );
    });
  }
  switch (node.type) {
    case "VariableDeclaration": {
      const target = word(node, "kind") === "var" ? outer.functionScope() : outer;
      for (const one of children(node, "declarations")) {
        const id = child(one, "id");
        if (!id) continue;
        bindPattern(
          id,
          [],
          (name, at, path, defaults) =>
            target.add({
              name,
              kind: "variable",
              node: at,
              path,
              defaults,
              init: child(one, "init"),
            }),
        );
      }
      break;
    }
    case "ClassDeclaration":
    case "TSEnumDeclaration": {
      const id = child(node, "id");
      if (id) outer.add({ name: word(id, "name"), kind: "class", node: id, init: node });
      break;
    }
    case "CatchClause": {
      const param = child(node, "param");
      if (param) bindPattern(param, [], (name, at) => inner.add({ name, kind: "catch", node: at }));
      break;
    }
    case "ImportDeclaration":
      declareImport(module, node);
      break;
    case "TSImportEqualsDeclaration":
      break;
    case "ExportNamedDeclaration":
    case "ExportDefaultDeclaration":
    case "ExportAllDeclaration":
    case "TSExportAssignment":
      declareExport(module, node);
      break;
    case "CallExpression":
    case "OptionalCallExpression":
    case "NewExpression":
      module.calls.push(node);
      declareRequire(module, node);
      break;
    case "ImportExpression": {
      const source = child(node, "source");
      if (source?.type === "StringLiteral") {
        module.loads.push({ specifier: word(source, "value"), node, bindings: [] });
      }
      break;
    }
    case "MemberExpression":
    case "OptionalMemberExpression":
      module.members.push(node);
      break;
    case "StringLiteral":
    case "TemplateLiteral":
      module.strings.push(node);
      break;
    case "TaggedTemplateExpression":
      module.tagged.push(node);
      break;
    case "ObjectProperty":
      module.properties.push(node);
      break;
    case "AssignmentExpression":
      declareAssignment(module, node);
      break;
  }
}

function declareImport(module: Module, node: Node): void {
  const specifier = word(child(node, "source"), "value");
  const bindings: Binding[] = [];
  const specifiers = children(node, "specifiers");
  const isType = ["type", "typeof"].includes(word(node, "importKind"));
  for (const one of specifiers) {
    const local = child(one, "local");
    const imported = child(one, "imported");
    if (!local || isType || word(one, "importKind") === "type") continue;
    const name = one.type === "ImportDefaultSpecifier"
      ? "default"
      : one.type === "ImportNamespaceSpecifier"
      ? "*"
      : imported?.type === "StringLiteral"
      ? word(imported, "value")
      : word(imported, "name");
    bindings.push(
      module.scope.add({
        name: word(local, "name"),
        kind: "import",
        node: local,
        imported: { specifier, name },
      }),
    );
  }
  if (!isType && (specifiers.length === 0 || bindings.length > 0)) {
    module.loads.push({ specifier, node, bindings });
  }
}

function declareExport(module: Module, node: Node): void {
  if (word(node, "exportKind") === "type") return;
  const source = child(node, "source");
  const specifier = word(source, "value");
  if (source) module.loads.push({ specifier, node, bindings: [] });
  if (node.type === "ExportAllDeclaration") {
    const as = child(node, "exported");
    if (as) module.exports.set(nameOf(as), { from: "module", specifier, name: "*" });
    else module.stars.push(specifier);
    return;
  }
  const declaration = child(node, "declaration") ?? child(node, "expression");
  if (node.type === "ExportDefaultDeclaration" || node.type === "TSExportAssignment") {
    if (declaration) module.exports.set("default", { from: "here", value: declaration });
    return;
  }
  if (declaration) {
    const id = child(declaration, "id");
    if (id) module.exports.set(word(id, "name"), { from: "binding", name: word(id, "name") });
    for (const one of children(declaration, "declarations")) {
      const pattern = child(one, "id");
      if (pattern) {
        bindPattern(pattern, [], (name) => module.exports.set(name, { from: "binding", name }));
      }
    }
  }
  for (const one of children(node, "specifiers")) {
    const exported = child(one, "exported");
    const local = child(one, "local");
    if (!exported || word(one, "exportKind") === "type") continue;
    if (one.type === "ExportNamespaceSpecifier") {
      module.exports.set(nameOf(exported), { from: "module", specifier, name: "*" });
    } else if (local) {
      module.exports.set(
        nameOf(exported),
        source
          ? { from: "module", specifier, name: nameOf(local) }
          : { from: "binding", name: nameOf(local) },
      );
    }
  }
}

function declareRequire(module: Module, node: Node): void {
  const callee = child(node, "callee");
  const [first] = children(node, "arguments");
  if (first?.type !== "StringLiteral") return;
  if (
    callee?.type === "Import" ||
    (callee?.type === "Identifier" && word(callee, "name") === "require")
  ) {
    module.loads.push({ specifier: word(first, "value"), node, bindings: [] });
  }
}

/** `x = 1`, and CommonJS: `module.exports = x`, `exports.name = x`. */
function declareAssignment(module: Module, node: Node): void {
  const target = child(node, "left");
  const value = child(node, "right");
  if (!target || !value) return;
  module.assignments.push({ target: unwrap(target), value });
  if (!isMember(target)) return;
  const object = child(target, "object");
  const name = keyName(target, "property");
  const isModule = object?.type === "Identifier" && word(object, "name") === "module" &&
    name === "exports";
  const isExports = (object?.type === "Identifier" && word(object, "name") === "exports") ||
    (isMember(object) && word(child(object, "object"), "name") === "module" &&
      keyName(object, "property") === "exports");
  if (isModule) module.exports.set("default", { from: "here", value });
  else if (isExports && name !== null) module.exports.set(name, { from: "here", value });
}

function nameOf(node: Node): string {
  return node.type === "StringLiteral" ? word(node, "value") : word(node, "name");
}

/** Whether an identifier stands for a value, not for a key, a label or a declaration. */
function isReference(node: Node): boolean {
  const { parent } = node;
  if (!parent) return false;
  switch (parent.type) {
    case "MemberExpression":
    case "OptionalMemberExpression":
      return parent["object"] === node || parent["computed"] === true;
    case "ObjectProperty":
      if (parent["key"] === node && parent["computed"] !== true) return false;
      return parent.parent?.type !== "ObjectPattern";
    case "ObjectMethod":
    case "ClassMethod":
    case "ClassProperty":
      return parent["key"] !== node || parent["computed"] === true;
    case "ImportSpecifier":
    case "ImportDefaultSpecifier":
    case "ImportNamespaceSpecifier":
    case "LabeledStatement":
    case "BreakStatement":
    case "ContinueStatement":
      return false;
    case "VariableDeclarator":
    case "ClassDeclaration":
      return parent["id"] !== node;
    default:
      return !isFunction(parent) || parent["body"] === node;
  }
}
