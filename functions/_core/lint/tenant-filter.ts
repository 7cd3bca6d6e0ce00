import type { Program } from "./program.ts";
import { children, keyName, type Node, word } from "./syntax.ts";
import type { Query, Value } from "./value.ts";

const FILTERS = new Set(["eq", "in", "filter", "is", "contains", "containedBy"]);

/** Whether a query is held to a tenant: `maybe` where a filter can't be read. */
export function tenantIn(program: Program, query: Query): "yes" | "no" | "maybe" {
  const { tenants } = program;
  let answer: "no" | "maybe" = "no";
  for (const { method, args, module } of query.calls) {
    const [first] = args;
    if (method === "match" && first) {
      for (const value of program.evaluator.evaluate(first, module)) {
        if (value.kind !== "object") answer = "maybe";
        else if (keysOf(value).some((key) => isTenantColumn(program, query, key))) return "yes";
        else if (hasSpread(value)) answer = "maybe";
      }
    } else if (FILTERS.has(method)) {
      const names = first ? texts(program, first, module) : [];
      if (names.some((name) => isTenantColumn(program, query, name))) return "yes";
      if (names.length === 0) answer = "maybe";
    } else if (method === "or") {
      const [text] = first ? texts(program, first, module) : [];
      const isMentioned = text === undefined ||
        [...tenants.columns].some((column) => text.includes(column));
      if (isMentioned) answer = "maybe";
    }
  }
  return answer;
}

/** `org_id`, `units.org_id`, and `id` on the table of the tenants itself. */
function isTenantColumn({ tenants }: Program, query: Query, name: string): boolean {
  const column = name.split(".").at(-1) ?? name;
  return tenants.columns.has(column) ||
    (column === "id" && query.table !== null && tenants.tenants.has(query.table));
}

/** Whether the rows of an insert or the changes of an update name a tenant. */
export function tenantWritten(
  program: Program,
  call: Query["calls"][number],
): boolean {
  const [rows] = call.args;
  if (!rows) return false;
  const list = rows.type === "ArrayExpression" ? children(rows, "elements") : [rows];
  return list.length > 0 &&
    list.every((row) =>
      program.evaluator.evaluate(row, call.module).some((value) =>
        value.kind === "object" && keysOf(value).some((key) => program.tenants.columns.has(key))
      )
    );
}

/** The keys of an object literal. */
export function keysOf(value: Extract<Value, { kind: "object" }>): string[] {
  return children(value.node, "properties").flatMap((one) => {
    const name = keyName(one);
    return name === null ? [] : [name];
  });
}

function hasSpread(value: Extract<Value, { kind: "object" }>): boolean {
  return children(value.node, "properties").some((one) => one.type === "SpreadElement");
}

function texts(program: Program, node: Node, module: Query["module"]): string[] {
  if (node.type === "StringLiteral") return [word(node, "value")];
  return program.evaluator.evaluate(node, module)
    .flatMap((one) => one.kind === "string" ? [one.value] : []);
}
