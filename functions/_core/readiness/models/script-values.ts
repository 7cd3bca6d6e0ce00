import { type Module, scopeAt } from "../../lint/module.ts";
import type { Binding } from "../../lint/scope.ts";
import {
  child,
  children,
  flag,
  isCall,
  isFunction,
  isMember,
  keyName,
  type Node,
  parts,
  quasis,
  unwrap,
  word,
} from "../../lint/syntax.ts";
import { type Mode, modeOf, opposite } from "./script-modes.ts";
import type { Scripts } from "./scripts.ts";

/** What an expression is in one of the cases that the code tells apart. A hole in a text is `…`. */
export type Branch = { value: Fixed; when: Mode };
export type Fixed =
  | { kind: "text"; text: string }
  | { kind: "other"; value: number | boolean | null | undefined }
  | { kind: "list"; items: Fixed[]; isOpen: boolean }
  | { kind: "object"; entries: Map<string, Fixed>; isOpen: boolean }
  | { kind: "function"; node: Node; module: Module; names: Names }
  | { kind: "unknown" };
type Names = ReadonlyMap<Binding, Branch[]>;
type At = { module: Module; names: Names; depth: number };

/** More cases than that are cut: who tells so many apart has written no policy a person can read. */
const MOST = 24;
const MOST_DEPTH = 40;
const MOST_STEPS = 4_000;
export const HOLE = "…";
const UNKNOWN: Fixed = { kind: "unknown" };

/**
 * Everything that an expression can be, as far as its text fixes it: literals, templates, lists, `join`, `map`,
 * ternaries and functions of the repository, to all branches; `when` says which of them only development has.
 *
 * @example
 * branches(node, module, scripts(repository)).map(({ value, when }) => [textOf(value), when]);
 */
export function branches(node: Node, module: Module, all: Scripts): Branch[] {
  return new Walk(all).branches(node, { module, names: new Map(), depth: 0 });
}

/** The text of a value; what can't be known in it is `…`. */
export function textOf(value: Fixed | undefined): string {
  if (value?.kind === "text") return value.text;
  if (value?.kind === "other") return String(value.value);
  return value?.kind === "list" ? value.items.map(textOf).join(",") : HOLE;
}

class Walk {
  readonly #all: Scripts;
  readonly #running = new Set<Node | Binding>();
  #steps = 0;

  constructor(all: Scripts) {
    this.#all = all;
  }

  branches(node: Node, at: At): Branch[] {
    const inner = unwrap(node);
    if (++this.#steps > MOST_STEPS || at.depth > MOST_DEPTH || this.#running.has(inner)) {
      return [always(UNKNOWN)];
    }
    this.#running.add(inner);
    try {
      return this.#branches(inner, { ...at, depth: at.depth + 1 }).slice(0, MOST);
    } finally {
      this.#running.delete(inner);
    }
  }

  #branches(node: Node, at: At): Branch[] {
    const part = (field: string) => {
      const inner = child(node, field);
      return inner ? this.branches(inner, at) : [always(UNKNOWN)];
    };
    switch (node.type) {
      case "StringLiteral":
        return [always({ kind: "text", text: word(node, "value") })];
      case "NumericLiteral":
      case "BooleanLiteral": {
        const { value } = node;
        const isFixed = typeof value === "number" || typeof value === "boolean";
        return [always(isFixed ? { kind: "other", value } : UNKNOWN)];
      }
      case "NullLiteral":
        return [always({ kind: "other", value: null })];
      case "TemplateLiteral": {
        const texts = quasis(node);
        let found: Branch[] = [always(text(texts[0] ?? ""))];
        children(node, "expressions").forEach((one, index) => {
          found = combine(
            found,
            this.branches(one, at),
            (a, b) => text(textOf(a) + textOf(b) + (texts[index + 1] ?? "")),
          );
        });
        return found;
      }
      case "BinaryExpression":
        return word(node, "operator") === "+"
          ? combine(part("left"), part("right"), (a, b) => text(textOf(a) + textOf(b)))
          : [always(UNKNOWN)];
      case "UnaryExpression":
        return word(node, "operator") === "void"
          ? [always({ kind: "other", value: undefined })]
          : part("argument").map(({ value, when }) => ({
            when,
            value: word(node, "operator") === "!" && value.kind === "other"
              ? { kind: "other", value: !value.value } as const
              : UNKNOWN,
          }));
      case "ConditionalExpression": {
        const test = child(node, "test");
        const when = test ? modeOf(test, at.module, this.#all) : null;
        return [
          ...during(part("consequent"), when?.whenTrue ?? "any"),
          ...during(part("alternate"), when?.whenFalse ?? "any"),
        ];
      }
      case "LogicalExpression": {
        const left = child(node, "left");
        if (word(node, "operator") !== "&&" || !left) {
          return this.#either(part("left"), part("right"));
        }
        const when = modeOf(left, at.module, this.#all);
        return [
          ...during(part("right"), when.whenTrue),
          { value: { kind: "other", value: false }, when: when.whenFalse },
        ];
      }
      case "ArrayExpression":
        return this.#list(node, at);
      case "ObjectExpression":
        return this.#object(node, at);
      case "Identifier":
        return this.#identifier(node, at);
      case "MemberExpression":
      case "OptionalMemberExpression":
        return this.#member(node, at);
      case "CallExpression":
      case "OptionalCallExpression":
        return this.#call(node, at);
      case "TaggedTemplateExpression":
        return part("quasi");
      case "SequenceExpression": {
        const last = children(node, "expressions").at(-1);
        return last ? this.branches(last, at) : [always(UNKNOWN)];
      }
      default:
        return isFunction(node)
          ? [always({ kind: "function", node, module: at.module, names: at.names })]
          : [always(UNKNOWN)];
    }
  }

  /** `a || b`: what is known to be there alone, both where nobody can say. */
  #either(left: Branch[], right: Branch[]): Branch[] {
    return left.flatMap((one) => {
      if (one.value.kind === "unknown") return [one, ...right];
      return isTruthy(one.value) ? [one] : during(right, one.when);
    });
  }

  #list(node: Node, at: At): Branch[] {
    let found: Branch[] = [always({ kind: "list", items: [], isOpen: false })];
    for (const one of children(node, "elements")) {
      const isSpread = one.type === "SpreadElement";
      const inner = isSpread ? child(one, "argument") : one;
      if (!inner) continue;
      found = combine(found, this.branches(inner, at), (a, b) => {
        if (a.kind !== "list") return UNKNOWN;
        if (!isSpread) return { ...a, items: [...a.items, b] };
        if (b.kind === "list") {
          return { kind: "list", items: [...a.items, ...b.items], isOpen: a.isOpen || b.isOpen };
        }
        // `...(isDev && [x])` spreads nothing where it is false.
        return b.kind === "other" ? a : { ...a, isOpen: true };
      });
    }
    return found;
  }

  #object(node: Node, at: At): Branch[] {
    let found: Branch[] = [always({ kind: "object", entries: new Map(), isOpen: false })];
    for (const one of children(node, "properties")) {
      const isSpread = one.type === "SpreadElement";
      const value = one.type === "ObjectMethod" ? one : child(one, isSpread ? "argument" : "value");
      if (!value) continue;
      const key = flag(one, "computed") ? this.#computedKey(one, at) : keyOf(one);
      found = combine(found, this.branches(value, at), (a, b) => {
        if (a.kind !== "object") return UNKNOWN;
        const entries = new Map(a.entries);
        if (!isSpread) {
          if (key === null) return { ...a, isOpen: true };
          return { ...a, entries: entries.set(key, b) };
        }
        if (b.kind === "other") return a;
        if (b.kind !== "object") return { ...a, isOpen: true };
        for (const [name, inner] of b.entries) entries.set(name, inner);
        return { kind: "object", entries, isOpen: a.isOpen || b.isOpen };
      });
    }
    return found;
  }

  #computedKey(property: Node, at: At): string | null {
    const key = child(property, "key");
    const [only, ...others] = key ? this.branches(key, at) : [];
    return others.length === 0 && only?.value.kind === "text" ? only.value.text : null;
  }

  #identifier(node: Node, at: At): Branch[] {
    const name = word(node, "name");
    const binding = scopeAt(at.module, node).find(name);
    if (!binding) {
      return [always(name === "undefined" ? { kind: "other", value: undefined } : UNKNOWN)];
    }
    return this.#binding(binding, at);
  }

  #binding(binding: Binding, at: At): Branch[] {
    const given = at.names.get(binding);
    if (given) return given;
    if (this.#running.has(binding)) return [always(UNKNOWN)];
    this.#running.add(binding);
    try {
      if (binding.imported) {
        return this.#exported(at.module, binding.imported.specifier, binding.imported.name, at);
      }
      if (binding.kind === "function") {
        const { init } = binding;
        return init ? this.branches(init, at) : [always(UNKNOWN)];
      }
      if (binding.kind === "param") {
        const [one] = binding.defaults ?? [];
        return one ? [always(UNKNOWN), ...this.branches(one.value, at)] : [always(UNKNOWN)];
      }
      if (binding.kind !== "variable") return [always(UNKNOWN)];
      return this.#variable(binding, at);
    } finally {
      this.#running.delete(binding);
    }
  }

  /** A variable with all that happens to it: `let csp = a; if (isDev) csp += b; list.push(c)`. */
  #variable(binding: Binding, at: At): Branch[] {
    let found = binding.init ? this.branches(binding.init, at) : [];
    for (const key of binding.path ?? []) found = found.map((one) => into(one, String(key)));
    for (const reference of [...binding.references].sort((a, b) => a.start - b.start)) {
      const change = changeOf(reference);
      if (!change) continue;
      const when = this.#whenReached(reference, at.module);
      // `csp = csp + more` speaks of what it was so far.
      const before: At = { ...at, names: new Map([...at.names, [binding, found]]) };
      const values = change.values.map((one) => this.branches(one, before));
      const after = values.reduce<Branch[]>(
        (before, value) =>
          combine(
            before,
            value,
            (a, b) =>
              change.kind === "push"
                ? a.kind === "list" ? { ...a, items: [...a.items, b] } : a
                : change.kind === "append"
                ? text(textOf(a) + textOf(b))
                : b,
          ),
        found.length === 0 ? [always(UNKNOWN)] : found,
      );
      // Where it is certain to happen, what was before is gone.
      const rest = when === "certain" ? [] : during(found, when === "any" ? "any" : opposite(when));
      found = [...during(after, when === "certain" ? "any" : when), ...rest].slice(0, MOST);
    }
    return found.length === 0 ? [always(UNKNOWN)] : found;
  }

  /** In which mode a statement runs once its function does. */
  #whenReached(node: Node, module: Module): Mode | "certain" {
    let when: Mode | "certain" = "certain";
    for (let at = node; at.parent && !isFunction(at.parent); at = at.parent) {
      if (at.parent.type !== "IfStatement" || at.parent["test"] === at) continue;
      const test = child(at.parent, "test");
      const mode = test ? modeOf(test, module, this.#all) : null;
      const own: Mode = (at.parent["consequent"] === at ? mode?.whenTrue : mode?.whenFalse) ??
        "any";
      when = when === "certain" || when === "any" ? own : when;
    }
    return when;
  }

  #exported(module: Module, specifier: string, name: string, at: At): Branch[] {
    const target = this.#all.resolve(module.path, specifier);
    if (typeof target === "string") return [always(UNKNOWN)];
    const entry = target.exports.get(name);
    const inside: At = { module: target, names: new Map(), depth: at.depth + 1 };
    if (at.depth > MOST_DEPTH || ++this.#steps > MOST_STEPS) return [always(UNKNOWN)];
    if (entry?.from === "here") return this.branches(entry.value, inside);
    if (entry?.from === "module") {
      return this.#exported(target, entry.specifier, entry.name, inside);
    }
    if (entry) {
      const binding = target.scope.find(entry.name);
      return binding ? this.#binding(binding, inside) : [always(UNKNOWN)];
    }
    for (const star of name === "*" || name === "default" ? [] : target.stars) {
      const found = this.#exported(target, star, name, inside);
      if (found.some(({ value }) => value.kind !== "unknown")) return found;
    }
    return [always(UNKNOWN)];
  }

  #member(node: Node, at: At): Branch[] {
    const object = child(node, "object");
    const key = keyName(node, "property");
    if (!object || key === null) return [always(UNKNOWN)];
    return this.branches(object, at).map((one) => into(one, key));
  }

  #call(node: Node, at: At): Branch[] {
    const callee = child(node, "callee");
    const args = children(node, "arguments");
    if (!callee) return [always(UNKNOWN)];
    if (isMember(callee)) {
      const found = this.#method(callee, args, at);
      if (found) return found;
    }
    if (callee.type === "Identifier" && word(callee, "name") === "String" && args[0]) {
      return this.branches(args[0], at).map(({ value, when }) => ({
        value: text(textOf(value)),
        when,
      }));
    }
    return this.branches(callee, at).flatMap(({ value, when }) =>
      value.kind === "function"
        ? during(this.#apply(value, args.map((one) => this.branches(one, at)), at), when)
        : [{ value: UNKNOWN, when }]
    );
  }

  /** What a function answers for these arguments. */
  #apply(fn: Extract<Fixed, { kind: "function" }>, args: Branch[][], at: At): Branch[] {
    const names = new Map(fn.names);
    for (const binding of fn.module.scopes.get(fn.node)?.names.values() ?? []) {
      if (!binding.param || binding.param.of !== fn.node) continue;
      const passed = args[binding.param.index];
      if (!passed) continue;
      let values = passed;
      for (const key of binding.path ?? []) values = values.map((one) => into(one, String(key)));
      names.set(binding, values);
    }
    const inside: At = { module: fn.module, names, depth: at.depth + 1 };
    const body = child(fn.node, "body");
    if (!body) return [always(UNKNOWN)];
    if (body.type !== "BlockStatement") return this.branches(body, inside);
    const found: Branch[] = [];
    for (const one of returnsOf(body)) {
      const argument = child(one, "argument");
      const when = this.#whenReached(one, fn.module);
      if (argument) {
        found.push(...during(this.branches(argument, inside), when === "certain" ? "any" : when));
      }
    }
    return found.length === 0 ? [always(UNKNOWN)] : found;
  }

  /** The methods that put texts together; null for all others. */
  #method(callee: Node, args: readonly Node[], at: At): Branch[] | null {
    const object = child(callee, "object");
    const name = keyName(callee, "property");
    if (!object || name === null) return null;
    const argument = (index: number): Branch[] => {
      const one = args[index];
      return one ? this.branches(one, at) : [always({ kind: "other", value: undefined })];
    };
    const isObject = object.type === "Identifier" && word(object, "name") === "Object";
    if (isObject && /^(entries|values|keys)$/.test(name)) {
      return argument(0).map(({ value, when }) => ({ when, value: listed(value, name) }));
    }
    if (isObject && /^(freeze|assign|fromEntries)$/.test(name)) return argument(0);
    const own = () => this.branches(object, at);
    switch (name) {
      case "join":
        return combine(own(), argument(0), (a, b) =>
          a.kind === "list"
            ? text(
              a.items.map((one) => isTruthy(one) || one.kind === "text" ? textOf(one) : "")
                .concat(a.isOpen ? [HOLE] : [])
                .join(b.kind === "text" ? b.text : ","),
            )
            : UNKNOWN);
      case "concat":
        return combine(own(), argument(0), (a, b) => {
          if (a.kind !== "list") return text(textOf(a) + textOf(b));
          return b.kind === "list"
            ? { kind: "list", items: [...a.items, ...b.items], isOpen: a.isOpen || b.isOpen }
            : { ...a, items: [...a.items, b] };
        });
      case "filter":
        return own().map(({ value, when }) => ({
          when,
          value: value.kind === "list" ? { ...value, items: value.items.filter(isTruthy) } : value,
        }));
      case "flat":
        return own().map(({ value, when }) => ({
          when,
          value: value.kind === "list"
            ? {
              ...value,
              items: value.items.flatMap((one) => one.kind === "list" ? one.items : [one]),
            }
            : value,
        }));
      case "map":
      case "flatMap":
        return own().flatMap((one) => this.#mapped(one, argument(0), at));
      case "trim":
      case "toString":
      case "trimEnd":
      case "trimStart":
        return own().map(({ value, when }) => ({
          when,
          value: value.kind === "unknown" ? value : text(textOf(value).trim()),
        }));
      case "replace":
      case "replaceAll":
        return this.#replaced(own(), args, argument, name === "replaceAll");
      default:
        return null;
    }
  }

  #mapped(one: Branch, fns: Branch[], at: At): Branch[] {
    const { value, when } = one;
    const fn = fns[0]?.value;
    if (value.kind !== "list" || fn?.kind !== "function") return [{ value: UNKNOWN, when }];
    let found: Branch[] = [{ value: { kind: "list", items: [], isOpen: value.isOpen }, when }];
    value.items.forEach((item, index) => {
      const made = this.#apply(
        fn,
        [[always(item)], [always({ kind: "other", value: index })]],
        at,
      );
      found = combine(
        found,
        made,
        (a, b) => a.kind === "list" ? { ...a, items: [...a.items, b] } : a,
      );
    });
    return found;
  }

  #replaced(
    own: Branch[],
    args: readonly Node[],
    argument: (index: number) => Branch[],
    isEvery: boolean,
  ): Branch[] {
    const [pattern] = args;
    if (pattern?.type === "RegExpLiteral") {
      // White space is all that policies are cleaned of; what else a pattern takes out nobody can tell.
      const isSpace = /^[\\snrt{}\d,+*[\]() |]*$/.test(word(pattern, "pattern"));
      return combine(
        own,
        argument(1),
        (a) =>
          a.kind === "unknown" ? a : text(isSpace ? textOf(a).replace(/\s+/g, " ") : textOf(a)),
      );
    }
    return combine(
      combine(own, argument(0), (a, b) => ({ kind: "list", items: [a, b], isOpen: false })),
      argument(1),
      (pair, to) => {
        const [a, from] = pair.kind === "list" ? pair.items : [];
        if (!a || a.kind === "unknown" || from?.kind !== "text") return a ?? UNKNOWN;
        const by = textOf(to);
        return text(
          isEvery ? textOf(a).split(from.text).join(by) : textOf(a).replace(from.text, () => by),
        );
      },
    );
  }
}

function always(value: Fixed): Branch {
  return { value, when: "any" };
}

function text(value: string): Fixed {
  return { kind: "text", text: value };
}

/** The branches that are left in a mode. */
function during(found: readonly Branch[], mode: Mode): Branch[] {
  return found.flatMap((one) => {
    const when = meet(one.when, mode);
    return when === null ? [] : [{ value: one.value, when }];
  });
}

/** Each of one with each of the other, where both can be. */
function combine(
  a: readonly Branch[],
  b: readonly Branch[],
  make: (a: Fixed, b: Fixed) => Fixed,
): Branch[] {
  const found: Branch[] = [];
  for (const one of a) {
    for (const other of b) {
      const when = meet(one.when, other.when);
      if (when !== null && found.length < MOST) {
        found.push({ value: make(one.value, other.value), when });
      }
    }
  }
  return found;
}

function meet(a: Mode, b: Mode): Mode | null {
  if (a === "any") return b;
  return b === "any" || a === b ? a : null;
}

function isTruthy(value: Fixed): boolean {
  if (value.kind === "text") return value.text !== "";
  return value.kind === "other" ? Boolean(value.value) : true;
}

function into({ value, when }: Branch, key: string): Branch {
  if (value.kind === "object") {
    const inner = value.entries.get(key);
    return { value: inner ?? (value.isOpen ? UNKNOWN : { kind: "other", value: undefined }), when };
  }
  if (value.kind === "list") return { value: value.items[Number(key)] ?? UNKNOWN, when };
  return { value: UNKNOWN, when };
}

function listed(value: Fixed, how: string): Fixed {
  if (value.kind !== "object") return UNKNOWN;
  const items = [...value.entries].map(([key, inner]): Fixed => {
    if (how === "keys") return text(key);
    return how === "values" ? inner : { kind: "list", items: [text(key), inner], isOpen: false };
  });
  return { kind: "list", items, isOpen: value.isOpen };
}

function keyOf(property: Node): string | null {
  const key = child(property, "key");
  return key?.type === "NumericLiteral" ? String(key["value"]) : keyName(property);
}

/** What a statement does to the variable that it names. */
function changeOf(node: Node): { kind: "push" | "append" | "set"; values: Node[] } | null {
  const { parent } = node;
  if (parent?.type === "AssignmentExpression" && parent["left"] === node) {
    const value = child(parent, "right");
    const kind = word(parent, "operator") === "+=" ? "append" : "set";
    return value ? { kind, values: [value] } : null;
  }
  const call = parent?.parent;
  if (!isMember(parent) || !isCall(call) || call["callee"] !== parent) return null;
  return /^(push|unshift)$/.test(keyName(parent, "property") ?? "") && parent["object"] === node
    ? {
      kind: "push",
      values: children(call, "arguments").filter((one) => one.type !== "SpreadElement"),
    }
    : null;
}

/** The `return`s of a body, without those of functions in it. */
function returnsOf(body: Node): Node[] {
  const found: Node[] = [];
  const stack = [body];
  for (let at = stack.pop(); at; at = stack.pop()) {
    if (at.type === "ReturnStatement") found.push(at);
    for (const part of parts(at)) if (!isFunction(part)) stack.push(part);
  }
  return found.sort((a, b) => a.start - b.start);
}

/** Whether a node stands where only development comes by: inside of `if (isDev)`, or the right side of `isDev &&`. */
export function modeAt(node: Node, module: Module, all: Scripts): Mode {
  let mode: Mode = "any";
  for (let at = node; at.parent; at = at.parent) {
    const { parent } = at;
    const isBranch = parent.type === "IfStatement" || parent.type === "ConditionalExpression";
    const isAnd = parent.type === "LogicalExpression" && word(parent, "operator") === "&&" &&
      parent["right"] === at;
    const test = isBranch && parent["test"] !== at
      ? child(parent, "test")
      : isAnd
      ? child(parent, "left")
      : null;
    if (!test) continue;
    const own = modeOf(test, module, all);
    const one = isAnd || parent["consequent"] === at ? own.whenTrue : own.whenFalse;
    if (mode === "any") mode = one;
  }
  return mode;
}
