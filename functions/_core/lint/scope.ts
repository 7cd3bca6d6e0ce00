import { child, children, flag, keyName, type Node, word } from "./syntax.ts";

/** The way from a destructured value to a name: keys and positions. */
export type Path = readonly (string | number)[];

/** A name and everything that it can hold. */
export type Binding = {
  name: string;
  kind: "variable" | "function" | "class" | "param" | "import" | "catch";
  node: Node;
  /** What it is made from; with `path` the part of it. */
  init?: Node | null;
  path?: Path;
  /** Values that stand in where the part, or what it is a part of, is missing: `{ a } = other`. */
  defaults?: Default[];
  assigned: { value: Node; path: Path }[];
  param?: { of: Node; index: number };
  imported?: { specifier: string; name: string };
  references: Node[];
};

/** A default and how many keys of the way lead to where it stands. */
export type Default = { value: Node; depth: number };

/** Nodes, besides functions, that open a scope of their own. */
export const SCOPED = new Set([
  ...["Program", "BlockStatement", "ForStatement", "ForInStatement", "ForOfStatement"],
  ...["CatchClause", "SwitchStatement", "TSModuleBlock", "StaticBlock"],
]);

/** The names of one block or function. */
export class Scope {
  readonly #outer: Scope | null;
  readonly #isFunction: boolean;
  readonly names = new Map<string, Binding>();

  constructor(outer: Scope | null, isFunction: boolean) {
    this.#outer = outer;
    this.#isFunction = isFunction;
  }

  /** Declare a name; a second declaration (`var`, an overload) adds to the first. */
  add(binding: Omit<Binding, "assigned" | "references">): Binding {
    const known = this.names.get(binding.name);
    if (known) {
      if (binding.init) known.assigned.push({ value: binding.init, path: binding.path ?? [] });
      return known;
    }
    const made: Binding = { ...binding, assigned: [], references: [] };
    this.names.set(binding.name, made);
    return made;
  }

  find(name: string): Binding | null {
    return this.names.get(name) ?? this.#outer?.find(name) ?? null;
  }

  refer(node: Node): void {
    this.find(word(node, "name"))?.references.push(node);
  }

  /** Where a `var` goes. */
  functionScope(): Scope {
    return this.#isFunction ? this : this.#outer?.functionScope() ?? this;
  }
}

/** Visit each name of a pattern: `{ a: b = 1, ...rest }`, `[x]`, `private y: T`. */
export function bindPattern(
  node: Node,
  path: Path,
  visit: (name: string, node: Node, path: Path, defaults: Default[]) => void,
  defaults: Default[] = [],
): void {
  switch (node.type) {
    case "Identifier":
      visit(word(node, "name"), node, path, defaults);
      break;
    case "AssignmentPattern": {
      const left = child(node, "left");
      const right = child(node, "right");
      const own = right ? [...defaults, { value: right, depth: path.length }] : defaults;
      if (left) bindPattern(left, path, visit, own);
      break;
    }
    case "TSParameterProperty": {
      const inner = child(node, "parameter");
      if (inner) bindPattern(inner, path, visit, defaults);
      break;
    }
    case "RestElement": {
      const inner = child(node, "argument");
      // The rest of an object has the keys of the whole; of a list it is a list.
      if (inner) bindPattern(inner, path, visit, defaults);
      break;
    }
    case "ObjectPattern":
      for (const property of children(node, "properties")) {
        if (property.type === "RestElement") bindPattern(property, path, visit, defaults);
        else {
          const key = flag(property, "computed") ? null : keyName(property);
          const value = child(property, "value");
          if (value) bindPattern(value, [...path, key ?? "*"], visit, defaults);
        }
      }
      break;
    case "ArrayPattern": {
      const elements = node["elements"];
      if (!Array.isArray(elements)) break;
      children(node, "elements").forEach((element) =>
        bindPattern(element, [...path, elements.indexOf(element)], visit, defaults)
      );
      break;
    }
  }
}
