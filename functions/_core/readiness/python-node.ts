import type { PythonNode } from "./parsers.ts";

/** `(x)` and `await x` are `x`. */
export function bare(node: PythonNode): PythonNode {
  let here = node;
  while (here.type === "parenthesized_expression" || here.type === "await") {
    const inner = here.children[0];
    if (!inner) break;
    here = inner;
  }
  return here;
}

/**
 * The name that an expression spells, `os.environ.get` for instance; null when it is more than names and dots.
 *
 * @example
 * dotted(call.field("function"));
 */
export function dotted(node: PythonNode | null): string | null {
  if (!node) return null;
  const isName = node.type === "identifier" || node.type === "attribute" ||
    node.type === "dotted_name";
  if (!isName || node.end - node.start > 300) return null;
  const text = node.text.replace(/\s+/g, "");
  return NAMES.test(text) ? text : null;
}
const NAMES = /^[\p{L}_][\p{L}\p{N}_]*(\.[\p{L}_][\p{L}\p{N}_]*)*$/u;

/**
 * The value of a text that is written out, adjacent literals joined and common escapes undone; null where there is an
 * interpolation, or no text. Bytes count as text.
 */
export function stringOf(node: PythonNode | null): string | null {
  if (!node) return null;
  const here = bare(node);
  if (here.type === "concatenated_string") {
    const parts = here.children.map(stringOf);
    return parts.includes(null) ? null : parts.join("");
  }
  if (here.type !== "string") return null;
  const parts = here.children;
  if (parts.some((part) => part.type === "interpolation")) return null;
  const isRaw = /^[a-z]*r/i.test(here.text.slice(0, 2));
  const text = parts.filter((part) => part.type === "string_content").map((part) => part.text);
  return isRaw
    ? text.join("")
    : text.join("").replace(/\\(["'\\]|\n)/g, (_, sign) => sign === "\n" ? "" : sign);
}

/**
 * What is written out: a text, a number, true, false, none; undefined for all else.
 */
export function literalOf(node: PythonNode | null): string | number | boolean | null | undefined {
  if (!node) return undefined;
  const here = bare(node);
  switch (here.type) {
    case "true":
      return true;
    case "false":
      return false;
    case "none":
      return null;
    case "integer":
    case "float": {
      const number = Number(here.text.replaceAll("_", ""));
      return Number.isNaN(number) ? undefined : number;
    }
    case "unary_operator": {
      const isShort = here.end - here.start < 40;
      const number = isShort ? Number(here.text.replaceAll("_", "")) : NaN;
      return Number.isNaN(number) ? undefined : number;
    }
    default:
      return stringOf(here) ?? undefined;
  }
}

/** The arguments of a call, of a decorator's call or of a class's bases. Splats are in `positional` as they stand. */
export type Arguments = { positional: PythonNode[]; keywords: Map<string, PythonNode> };

/**
 * The arguments of a call.
 *
 * @example
 * argumentsOf(call).keywords.get("allow_origins");
 */
export function argumentsOf(call: PythonNode | null): Arguments {
  const found: Arguments = { positional: [], keywords: new Map() };
  const list = call?.type === "argument_list"
    ? call
    : call?.field("arguments") ?? call?.field("superclasses") ?? null;
  if (list?.type === "generator_expression") found.positional.push(list);
  if (list?.type !== "argument_list") return found;
  for (const one of list.children) {
    const name = one.type === "keyword_argument" ? one.field("name") : null;
    const value = name ? one.field("value") : null;
    if (name && value) found.keywords.set(name.text, value);
    else found.positional.push(one);
  }
  return found;
}

/** An argument by its place or by its name. */
export function argument(call: PythonNode, place: number, name: string): PythonNode | null {
  const { positional, keywords } = argumentsOf(call);
  return keywords.get(name) ?? positional[place] ?? null;
}

/** The pairs of a dictionary, and of `dict(a=1)`. */
export function pairs(
  node: PythonNode,
): { key: string | null; value: PythonNode; node: PythonNode }[] {
  const here = bare(node);
  if (here.type === "call" && here.field("function")?.text === "dict") {
    return [...argumentsOf(here).keywords].map(([key, value]) => ({ key, value, node: value }));
  }
  if (here.type !== "dictionary") return [];
  return here.children.flatMap((pair) => {
    const value = pair.type === "pair" ? pair.field("value") : null;
    return value ? [{ key: stringOf(pair.field("key")), value, node: pair }] : [];
  });
}

/** More levels than anybody writes: what is nested deeper stands in nothing. */
const MOST_LEVELS = 2_000;

/** The nearest node above of one of these types. */
export function enclosing(node: PythonNode, ...types: string[]): PythonNode | null {
  let levels = 0;
  for (let at = node.parent; at && levels < MOST_LEVELS; at = at.parent, levels++) {
    if (types.includes(at.type)) return at;
  }
  return null;
}
