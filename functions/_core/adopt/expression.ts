import * as z from "zod";

/** A parse tree of libpg-query: objects of one key, the node's type. */
export type Node = { readonly [key: string]: unknown };

const object = z.record(z.string(), z.unknown());

/** The fields of a node if it is of this type. */
export function as(node: unknown, type: string): Node | null {
  const parsed = object.safeParse(node);
  if (!parsed.success) return null;
  const inner = object.safeParse(parsed.data[type]);
  return inner.success ? inner.data : null;
}

/** A list field. */
export function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The dotted parts of a name: `auth.uid`, `members.user_id`. */
export function parts(value: unknown): string[] {
  return list(value).flatMap((one) => {
    const text = as(one, "String")?.["sval"];
    return typeof text === "string" ? [text] : as(one, "A_Star") ? ["*"] : [];
  });
}

/** Where a node stands. */
export type Place = {
  /** Sub-selects around it: their FROM names, innermost last. */
  scopes: readonly (readonly string[])[];
};

/** Visit every node, with the sub-selects that surround it. */
export function visit(
  node: unknown,
  see: (type: string, fields: Node, place: Place) => void,
  place: Place = { scopes: [] },
): void {
  if (Array.isArray(node)) {
    for (const one of node) visit(one, see, place);
    return;
  }
  const parsed = object.safeParse(node);
  if (!parsed.success) return;
  for (const [type, value] of Object.entries(parsed.data)) {
    const fields = object.safeParse(value);
    if (!fields.success) {
      visit(value, see, place);
      continue;
    }
    see(type, fields.data, place);
    const inside = type === "SelectStmt"
      ? { scopes: [...place.scopes, tablesOf(fields.data["fromClause"])] }
      : place;
    visit(fields.data, see, inside);
  }
}

/** The names that a FROM clause brings in, aliases before tables. */
export function tablesOf(from: unknown): string[] {
  const found: string[] = [];
  const walk = (node: unknown) => {
    const range = as(node, "RangeVar");
    if (range) {
      const alias = object.safeParse(range["alias"]);
      const name = alias.success ? alias.data["aliasname"] : range["relname"];
      if (typeof name === "string") found.push(name);
    }
    const join = as(node, "JoinExpr");
    if (join) [join["larg"], join["rarg"]].forEach(walk);
  };
  list(from).forEach(walk);
  return found;
}

/** Every table that a node reads, by its bare name. */
export function relations(node: unknown): string[] {
  const found: string[] = [];
  visit(node, (type, fields) => {
    if (type === "RangeVar" && typeof fields["relname"] === "string") found.push(fields["relname"]);
  });
  return found;
}

/** A constant, casts taken off. */
export function constant(node: unknown): Node | null {
  const cast = as(node, "TypeCast");
  return as(node, "A_Const") ?? (cast ? constant(cast["arg"]) : null);
}

/** A column reference's parts, casts taken off. */
export function columnParts(node: unknown): string[] | null {
  const cast = as(node, "TypeCast");
  if (cast) return columnParts(cast["arg"]);
  const column = as(node, "ColumnRef");
  return column ? parts(column["fields"]) : null;
}

/** The same tree, wherever in the text it stood. */
export function print(node: unknown): string {
  return JSON.stringify(node, (key, value) => key === "location" ? undefined : value);
}
