/**
 * A node of the syntax tree, as Babel and ESTree shape it. `parent` is filled in by {@link link}; whatever else a
 * node has is read through the helpers below, which check what they find.
 */
export type Node = {
  type: string;
  start: number;
  end: number;
  parent?: Node;
  [field: string]: unknown;
};

type Typed<Type extends string> = Node & { type: Type };

/** What a parser answers for one file. */
export type Parsed = { program: Node; comments: Comment[] };

/** A comment with its text, without the signs around it. */
export type Comment = { text: string; start: number; end: number };

const SKIPPED = new Set([
  ...[
    "loc",
    "parent",
    "extra",
    "errors",
    "tokens",
    "comments",
    "range",
    "typeAnnotation",
    "returnType",
  ],
  ...["typeParameters", "typeArguments", "superTypeParameters", "implements", "predicate"],
]);
/** TypeScript's nodes that hold code that runs; all others are types and are not walked. */
const RUNTIME_TS = new Set([
  ...["TSAsExpression", "TSSatisfiesExpression", "TSNonNullExpression", "TSTypeAssertion"],
  ...["TSInstantiationExpression", "TSModuleDeclaration", "TSModuleBlock", "TSParameterProperty"],
  ...["TSExportAssignment", "TSEnumDeclaration", "TSEnumMember", "TSEnumBody"],
]);

/** Whether a value is a node of the tree. */
export function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && "start" in value &&
    typeof value.type === "string" && typeof value.start === "number";
}

/** The node in a field, null when there is none. */
export function child(node: Node | null | undefined, field: string): Node | null {
  const value = node?.[field];
  return isNode(value) ? value : null;
}

/** The nodes in a field that holds a list; holes are left out. */
export function children(node: Node | null | undefined, field: string): Node[] {
  const value = node?.[field];
  return Array.isArray(value) ? value.filter(isNode) : [];
}

/** A text in a field (`name`, `value`, `operator`, `kind`), empty when there is none. */
export function word(node: Node | null | undefined, field: string): string {
  const value = node?.[field];
  return typeof value === "string" ? value : "";
}

/** Whether a field holds `true`. */
export function flag(node: Node | null | undefined, field: string): boolean {
  return node?.[field] === true;
}

/** Whether a node is a function of any form. */
export function isFunction(node: Node | null | undefined): boolean {
  switch (node?.type) {
    case "FunctionDeclaration":
    case "FunctionExpression":
    case "ArrowFunctionExpression":
    case "ObjectMethod":
    case "ClassMethod":
    case "ClassPrivateMethod":
      return true;
    default:
      return false;
  }
}

/** Whether a node calls something: `f()`, `f?.()`, `new F()`. */
export function isCall(
  node: Node | null | undefined,
): node is Typed<"CallExpression" | "OptionalCallExpression" | "NewExpression"> {
  return node?.type === "CallExpression" || node?.type === "OptionalCallExpression" ||
    node?.type === "NewExpression";
}

/** Whether a node is `a.b`, `a?.b` or `a["b"]`. */
export function isMember(
  node: Node | null | undefined,
): node is Typed<"MemberExpression" | "OptionalMemberExpression"> {
  return node?.type === "MemberExpression" || node?.type === "OptionalMemberExpression";
}

/** The expression inside `(x as T)!`, `await x` and the like. */
export function unwrap(node: Node): Node {
  for (let at = node;;) {
    const inner = WRAPPERS.has(at.type)
      ? child(at, at.type === "AwaitExpression" ? "argument" : "expression")
      : null;
    if (inner === null) return at;
    at = inner;
  }
}

const WRAPPERS = new Set([
  ...["TSAsExpression", "TSSatisfiesExpression", "TSNonNullExpression", "TSTypeAssertion"],
  ...[
    "TSInstantiationExpression",
    "ParenthesizedExpression",
    "AwaitExpression",
    "TypeCastExpression",
  ],
]);

/** The name of a key or of the property of a member expression; null when it is computed and not a literal. */
export function keyName(node: Node, field = "key"): string | null {
  const key = child(node, field);
  if (key === null) return null;
  if (!flag(node, "computed") && key.type === "Identifier") return word(key, "name");
  if (key.type === "PrivateName") return `#${word(child(key, "id"), "name")}`;
  if (key.type === "StringLiteral") return word(key, "value");
  return key.type === "TemplateLiteral" ? plainTemplate(key) : null;
}

/** The text of a template without interpolations, null for others. */
export function plainTemplate(node: Node): string | null {
  return children(node, "expressions").length === 0 ? quasis(node)[0] ?? "" : null;
}

/** The fixed parts of a template. */
export function quasis(node: Node): string[] {
  return children(node, "quasis").map((part) => {
    const value = part["value"];
    const cooked = typeof value === "object" && value !== null && "cooked" in value
      ? value.cooked
      : "";
    return typeof cooked === "string" ? cooked : "";
  });
}

/** The children of a node that run; types are left out. */
export function parts(node: Node): Node[] {
  const found: Node[] = [];
  for (const field in node) {
    if (SKIPPED.has(field)) continue;
    const value = node[field];
    if (typeof value !== "object" || value === null) continue;
    if (Array.isArray(value)) {
      for (const one of value) if (isNode(one) && runs(one)) found.push(one);
    } else if (isNode(value) && runs(value)) found.push(value);
  }
  return found;
}

function runs(node: Node): boolean {
  return !node.type.startsWith("TS") || RUNTIME_TS.has(node.type);
}

/** Every node below `root` in the order of the text, with its parent linked; a stack, so that depth is no limit. */
export function link(root: Node, visit: (node: Node) => void): void {
  const stack: Node[] = [root];
  for (let node = stack.pop(); node; node = stack.pop()) {
    visit(node);
    const below = parts(node);
    for (let index = below.length - 1; index >= 0; index--) {
      const one = below[index];
      if (one === undefined) continue;
      one.parent = node;
      stack.push(one);
    }
  }
}

/** The nearest node above that answers yes. */
export function above(node: Node, wanted: (node: Node) => boolean): Node | null {
  for (let at = node.parent; at; at = at.parent) if (wanted(at)) return at;
  return null;
}
