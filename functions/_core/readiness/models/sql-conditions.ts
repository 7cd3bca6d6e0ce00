import { as, fieldOf, list, names } from "../../lint/sql-tree.ts";

/** What a policy's condition lets through: everybody, everybody who is signed in, or those of whom it asks more. */
export type Reach = "everybody" | "signed-in" | "some" | "nobody";

/**
 * What a condition of a policy asks, read from Postgres' own tree.
 *
 * @example
 * reachOf(policy.using); // "everybody" for `using (true)`
 */
export function reachOf(condition: unknown, depth = 0): Reach {
  if (condition === null || condition === undefined || depth > 50) return "some";
  const constant = as(condition, "A_Const");
  if (constant) {
    const value = fieldOf(constant, "boolval");
    if (value === undefined) return "some";
    return fieldOf(value, "boolval") === true ? "everybody" : "nobody";
  }
  const cast = as(condition, "TypeCast");
  if (cast) return reachOf(fieldOf(cast, "arg"), depth + 1);
  const link = as(condition, "SubLink");
  if (link) {
    const select = as(fieldOf(link, "subselect"), "SelectStmt");
    const [only, ...others] = list(fieldOf(select, "targetList"));
    const isPlain = others.length === 0 && fieldOf(select, "fromClause") === undefined;
    return isPlain ? reachOf(fieldOf(as(only, "ResTarget"), "val"), depth + 1) : "some";
  }
  const logic = as(condition, "BoolExpr");
  if (logic) {
    const parts = list(fieldOf(logic, "args")).map((one) => reachOf(one, depth + 1));
    const isAnd = fieldOf(logic, "boolop") === "AND_EXPR";
    if (fieldOf(logic, "boolop") === "NOT_EXPR") {
      return parts[0] === "nobody" ? "everybody" : parts[0] === "everybody" ? "nobody" : "some";
    }
    // The narrowest of all that must hold, the widest of those of which one is enough.
    const ranks = parts.map((one) => RANK.indexOf(one));
    return RANK[isAnd ? Math.min(...ranks) : Math.max(...ranks)] ?? "some";
  }
  const test = as(condition, "NullTest");
  if (test && fieldOf(test, "nulltesttype") === "IS_NOT_NULL") {
    return isCallOf(fieldOf(test, "arg"), /^auth\.(uid|jwt|role)$/) ? "signed-in" : "some";
  }
  const operation = as(condition, "A_Expr");
  if (operation && names(fieldOf(operation, "name")).at(-1) === "=") {
    const sides = [fieldOf(operation, "lexpr"), fieldOf(operation, "rexpr")];
    const text = textOf(sides[0]) ?? textOf(sides[1]);
    const isRole = sides.some((one) => isCallOf(one, /^auth\.role$/));
    if (isRole && text === "authenticated") return "signed-in";
    if (
      sides.every((one) => as(one, "A_Const")) &&
      JSON.stringify(plain(sides[0])) === JSON.stringify(plain(sides[1]))
    ) {
      return "everybody";
    }
  }
  return "some";
}

const RANK: readonly Reach[] = ["nobody", "some", "signed-in", "everybody"];

function textOf(node: unknown): string | null {
  const cast = as(node, "TypeCast");
  const text = fieldOf(fieldOf(as(cast ? fieldOf(cast, "arg") : node, "A_Const"), "sval"), "sval");
  return typeof text === "string" ? text : null;
}

/** A constant without where it stands. */
function plain(node: unknown): unknown {
  const constant = as(node, "A_Const");
  return ["ival", "sval", "boolval", "fval"].map((name) => fieldOf(constant, name) ?? null);
}

/** Whether a node is a call of that name, `(select auth.uid())` too, and nothing else. */
function isCallOf(node: unknown, name: RegExp): boolean {
  const link = as(node, "SubLink");
  const select = as(fieldOf(link, "subselect"), "SelectStmt");
  const inner = link
    ? fieldOf(as(list(fieldOf(select, "targetList"))[0], "ResTarget"), "val")
    : node;
  const call = as(inner, "FuncCall");
  return call !== null && name.test(names(fieldOf(call, "funcname")).join("."));
}
