import { as, columnParts, constant, list, type Node, parts, visit } from "../adopt/expression.ts";

/** What a check constraint says about one column: where to look for a value that it accepts. */
export type Hint =
  | { kind: "values"; values: string[] }
  | { kind: "bounds"; min: number | null; max: number | null; open: boolean }
  | { kind: "length"; min: number | null; max: number | null }
  | { kind: "regex"; pattern: string }
  | { kind: "like"; pattern: string }
  | { kind: "element" };

const LENGTH = new Set(["length", "char_length", "character_length", "octet_length"]);
const MIRROR: Record<string, string> = { "<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=" };

/**
 * Read a parsed check expression for hints, by column (`value` in a domain). Nothing here is a promise: the
 * database decides, and what is not understood gives no hint.
 *
 * @example
 * hintsOf(await tree("score between 1 and 5")).get("score"); // [{ kind: "bounds", min: 1, … }, …]
 */
export function hintsOf(tree: unknown): Map<string, Hint[]> {
  const found = new Map<string, Hint[]>();
  const add = (column: string | undefined, hint: Hint) => {
    if (column !== undefined) found.set(column, [...found.get(column) ?? [], hint]);
  };
  visit(tree, (kind, fields) => {
    if (kind !== "A_Expr") return;
    const operator = parts(fields["name"]).at(-1) ?? "";
    const left = fields["lexpr"];
    const right = fields["rexpr"];
    const any = fields["kind"] === "AEXPR_OP_ANY" || fields["kind"] === "AEXPR_IN";
    const column = columnParts(left)?.at(-1);
    if (any && operator === "=") return add(column, { kind: "values", values: constants(right) });
    const swapped = text(constant(left)) !== undefined;
    const [subject, other, sign] = swapped
      ? [right, left, MIRROR[operator] ?? operator]
      : [left, right, operator];
    const value = text(constant(other));
    if (value === undefined) return;
    const name = columnParts(subject)?.at(-1);
    const measured = lengthOf(subject);
    if (/^~\*?$/.test(sign)) add(name, { kind: "regex", pattern: value });
    else if (sign === "~~" || sign === "~~*") add(name, { kind: "like", pattern: value });
    else if (measured !== undefined && sign in MIRROR) {
      const { min, max } = bounds(sign, Number(value));
      add(measured, { kind: "length", min, max });
    } else if (sign === "=" && name !== undefined) add(name, { kind: "values", values: [value] });
    else if (sign in MIRROR && Number.isFinite(Number(value)) && value.trim() !== "") {
      const array = arrayOf(subject);
      if (array !== undefined) add(array, { kind: "element" });
      add(name, { kind: "bounds", ...bounds(sign, Number(value)), open: !sign.endsWith("=") });
    }
  });
  return found;
}

function bounds(sign: string, value: number): { min: number | null; max: number | null } {
  if (sign === "=") return { min: value, max: value };
  const strict = sign.endsWith("=") ? 0 : 1;
  return sign.startsWith(">")
    ? { min: value + strict, max: null }
    : { min: null, max: value - strict };
}

/** The column inside `length(column)`, casts taken off. */
function lengthOf(node: unknown): string | undefined {
  return argumentOf(node, (name) => LENGTH.has(name));
}

function arrayOf(node: unknown): string | undefined {
  return argumentOf(node, (name) => /^(cardinality|array_length|jsonb_array_length)$/.test(name));
}

function argumentOf(node: unknown, wanted: (name: string) => boolean): string | undefined {
  const call = as(node, "FuncCall");
  if (!call || !wanted(parts(call["funcname"]).at(-1) ?? "")) return undefined;
  const [first] = list(call["args"]);
  const inner = as(first, "FuncCall");
  // length(trim(x)) is about x too.
  return columnParts(inner ? list(inner["args"])[0] : first)?.at(-1);
}

function constants(node: unknown): string[] {
  const found: string[] = [];
  visit(node, (kind, fields) => {
    if (kind !== "A_Const") return;
    const value = text(fields);
    if (value !== undefined) found.push(value);
  });
  return found;
}

function text(node: Node | null): string | undefined {
  if (!node || node["isnull"] === true) return undefined;
  for (const [key, field] of [["sval", "sval"], ["ival", "ival"], ["fval", "fval"]] as const) {
    const inner = node[key];
    if (typeof inner !== "object" || inner === null) continue;
    // Zero and the empty string are left out of the tree.
    const value = field in inner ? (inner as Node)[field] : key === "sval" ? "" : 0;
    return String(value);
  }
  return undefined;
}
