import type { Report } from "./finding.ts";
import type { Module } from "./module.ts";
import { placeOf } from "./place.ts";
import { at, isInWrapper, placesOf, type Program } from "./program.ts";
import { child, children, isCall, isMember, keyName, type Node, quasis, word } from "./syntax.ts";
import type { Value } from "./value.ts";

const RUNS = new Set([
  ...[
    "query",
    "unsafe",
    "begin",
    "file",
    "execute",
    "select",
    "selectDistinct",
    "insert",
    "update",
  ],
  ...["delete", "transaction", "queryObject", "queryArray", "$count"],
]);
/** Statements that touch no table of a tenant. */
const HARMLESS =
  /^\s*(select\s+(\d+|now\(\)|version\(\)|current_\w+|pg_\w+\([^)]*\))(\s+as\s+\w+)?\s*;?\s*$|listen\b|unlisten\b|notify\b|begin\b|commit\b|rollback\b|set\b|show\b|select\s+pg_(notify|try_advisory|advisory)\w*)/i;

/** Rule raw-pool: queries on postgres.js, node-postgres or Drizzle outside of withTenant(). */
export function checkPools(program: Program): Report[] {
  const reports: Report[] = [];
  for (const module of program.modules) {
    if (placeOf(module.path) === "test" || /(^|\/)drizzle\.config\./.test(module.path)) continue;
    for (const call of module.calls) {
      const callee = child(call, "callee");
      if (!isMember(callee)) continue;
      const object = child(callee, "object");
      const method = keyName(callee, "property");
      const property = child(callee, "property");
      if (!object || !property || method === null) continue;
      const relational = relationalObject(callee);
      const runs = RUNS.has(method) || relational !== null;
      if (!runs || isHarmlessText(program, call, module)) continue;
      const pools = poolsIn(program.evaluator.evaluate(relational ?? object, module));
      reports.push(...report(module, property, `.${method}()`, pools));
    }
    for (const node of module.tagged) {
      const tag = child(node, "tag");
      const quasi = child(node, "quasi");
      if (!tag || !quasi || HARMLESS.test(quasis(quasi).join("$1"))) continue;
      // A fragment inside of another query is that query's.
      if (isFragment(node)) continue;
      const pools = poolsIn(program.evaluator.evaluate(tag, module));
      const own = pools.filter((one) => one.library !== "drizzle");
      reports.push(...report(module, { ...node, end: tag.end }, "a query", own));
    }
  }
  return reports;
}

type Pool = Extract<Value, { kind: "pool" }>;

function report(module: Module, node: Node, what: string, pools: readonly Pool[]): Report[] {
  const [first] = pools;
  if (!first || isInWrapper(node)) return [];
  const message =
    `${what} runs on a raw ${first.library} connection: no tenant, and the rights of whoever connects`;
  const sites = placesOf(pools.map((one) => one.site));
  return [{ ...at(module, node, "lint/raw-pool", message), sites }];
}

function poolsIn(values: readonly Value[]): Pool[] {
  return values.filter((one) => one.kind === "pool");
}

/** The `db` of Drizzle's `db.query.users.findMany()`. */
function relationalObject(callee: Node): Node | null {
  if (!/^find(Many|First)$/.test(keyName(callee, "property") ?? "")) return null;
  const table = child(callee, "object");
  const query = isMember(table) ? child(table, "object") : null;
  return isMember(query) && keyName(query, "property") === "query" ? child(query, "object") : null;
}

function isHarmlessText(program: Program, call: Node, module: Module): boolean {
  const [first] = children(call, "arguments");
  if (!first) return false;
  const text = first.type === "TemplateLiteral"
    ? quasis(first).join("$1")
    : first.type === "StringLiteral"
    ? word(first, "value")
    : program.evaluator.evaluate(first, module).find((one) => one.kind === "string")?.value;
  return text !== undefined && HARMLESS.test(text);
}

/** `sql\`… ${sql\`where …\`}\``, `sql(rows)`. */
function isFragment(node: Node): boolean {
  for (let at = node.parent; at; at = at.parent) {
    if (at.type === "TaggedTemplateExpression") return true;
    if (isCall(at) || at.type.endsWith("Statement")) return false;
  }
  return false;
}
