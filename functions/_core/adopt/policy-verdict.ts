import type { Policy, Routine, Table } from "./catalog.ts";
import {
  as,
  columnParts,
  constant,
  list,
  type Node,
  parts,
  print,
  relations,
  visit,
} from "./expression.ts";
import type { Advice } from "./starter.ts";

/** What is wrong with one policy, by its parsed expression. */
export type PolicyProblem = { rule: string; severity: "critical" | "warning"; detail: string };

/** One permissive policy and what is wrong with it. */
export type PolicyVerdict = {
  table: string;
  policy: string;
  command: string;
  roles: string[];
  problems: PolicyProblem[];
};

/** A policy with its expressions as trees. */
export type ParsedPolicy = { policy: Policy; using: unknown; check: unknown };

/** What surrounds the policy. */
export type PolicyWorld = {
  table: Table;
  tenantColumn: string;
  membership: { name: string; user: string; tenant: string; isThis: boolean } | null;
  routines: readonly Routine[];
};

/**
 * Judge one permissive policy by what it means, not by how it is spelled. No problem is no proof: the restrictive
 * policy beneath is what holds.
 *
 * @example
 * judgePolicy({ policy, using: tree, check: null }, world).problems;
 */
export function judgePolicy(parsed: ParsedPolicy, world: PolicyWorld): PolicyVerdict {
  const { policy } = parsed;
  const problems: PolicyProblem[] = [];
  const add = (rule: string, detail: string, severity: PolicyProblem["severity"] = "critical") => {
    if (!problems.some((one) => one.rule === rule)) problems.push({ rule, severity, detail });
  };
  if (policy.roles.some((role) => role === "anon" || role === "public")) {
    add("for_everybody", "it holds for anon too");
  }
  for (const tree of [parsed.using, parsed.check]) {
    if (tree !== null) judgeExpression(tree, world, add);
  }
  if (["a", "w", "*"].includes(policy.command) && policy.check === null) {
    add(
      "with_check_missing",
      policy.command === "a"
        ? "it has no WITH CHECK"
        : "no WITH CHECK: USING judges the new row too, whatever it was meant for",
      "warning",
    );
  }
  if (world.membership?.isThis) judgeMembership(parsed, world, add);
  return {
    table: world.table.id,
    policy: policy.name,
    command: policy.command,
    roles: policy.roles,
    problems,
  };
}

type Add = (rule: string, detail: string, severity?: PolicyProblem["severity"]) => void;

function judgeExpression(tree: unknown, world: PolicyWorld, add: Add): void {
  if (isTrue(tree)) {
    add(
      as(tree, "BoolExpr")?.["boolop"] === "OR_EXPR" ? "or_true" : "constant_true",
      "its expression is true for every row",
    );
    return;
  }
  const own = ownColumns(tree, world);
  if (own.size === 0) add("no_own_column", "it looks at no column of the row: all of them or none");
  visit(tree, (type, fields, place) => {
    if (type === "BoolExpr" && fields["boolop"] === "OR_EXPR") {
      for (const arg of list(fields["args"])) {
        if (isTrue(arg)) add("or_true", "one side of an OR is true for every row");
        const test = as(arg, "NullTest");
        if (test?.["nulltesttype"] === "IS_NULL") {
          add("null_tolerant", "a missing value opens it: OR … IS NULL");
        }
      }
    }
    if (type === "BoolExpr" && fields["boolop"] === "NOT_EXPR" && mentionsTenant(fields, world)) {
      add("inverted", "it shows what is NOT the tenant's");
    }
    if (type === "CoalesceExpr" && mentionsTenant(fields, world)) {
      add("null_tolerant", "coalesce() gives a missing tenant a value");
    }
    if (type === "A_Expr") judgeOperator(fields, world, add);
    if (
      type === "SQLValueFunction" &&
      ["SVFOP_CURRENT_USER", "SVFOP_USER", "SVFOP_SESSION_USER", "SVFOP_CURRENT_ROLE"].includes(
        String(fields["op"]),
      )
    ) {
      add("current_user", "current_user is the pool's role, the same for everybody");
    }
    const text = fields["sval"];
    const value = type === "A_Const" && text && typeof text === "object" && "sval" in text
      ? String(text.sval)
      : "";
    const column = type === "ColumnRef" ? parts(fields["fields"]).at(-1) : "";
    if ([value, column].some((one) => one === "user_metadata" || one === "raw_user_meta_data")) {
      add("user_metadata", "user_metadata is written by the user");
    }
    if (type === "FuncCall") judgeCall(fields, place.scopes.length > 0, world, add);
    if (type === "SubLink") judgeLookup(fields, world, add);
  });
}

function judgeOperator(fields: Node, world: PolicyWorld, add: Add): void {
  const kind = String(fields["kind"]);
  const operator = parts(fields["name"]).at(-1);
  const sides = [fields["lexpr"], fields["rexpr"]];
  const tenant = sides.some((side) => isTenantColumn(side, world));
  if (kind === "AEXPR_NOT_DISTINCT") {
    add("null_tolerant", "IS NOT DISTINCT FROM takes two missing values for equal");
  }
  if (!tenant) return;
  if (operator === "<>" || kind === "AEXPR_DISTINCT") {
    add("inverted", "it shows what is NOT the tenant's");
  }
  const other = isTenantColumn(sides[0], world) ? sides[1] : sides[0];
  const values = Array.isArray(other)
    ? other
    : list(as(other, "List")?.["items"] ?? as(other, "A_ArrayExpr")?.["elements"]);
  if (constant(other) || (values.length > 0 && values.every((one) => constant(one)))) {
    add("literal_tenant", "it names one tenant in its text");
  }
}

function judgeCall(fields: Node, wrapped: boolean, world: PolicyWorld, add: Add): void {
  const name = parts(fields["funcname"]);
  const last = name.at(-1) ?? "";
  const schema = name.length > 1 ? name[0] : undefined;
  const known = world.routines.find((one) =>
    one.name === last && (schema === undefined || one.schema === schema)
  );
  const volatile = known?.volatility === "v" ||
    ["random", "clock_timestamp", "nextval", "set_config"].includes(last);
  if (volatile) {
    add(
      "volatile_function",
      `${name.join(".")}() is volatile: it runs for every row and may answer differently`,
      "warning",
    );
  } else if (!wrapped && (known || schema === "auth" || last === "current_setting")) {
    add(
      "unwrapped_function",
      `${name.join(".")}() runs for every row: write (select ${name.join(".")}())`,
      "warning",
    );
  }
}

/** A look into the membership table must be tied to the tenant of the row. */
function judgeLookup(fields: Node, world: PolicyWorld, add: Add): void {
  const { membership } = world;
  const select = fields["subselect"];
  if (!membership || !relations(select).includes(membership.name)) return;
  const tied = isTenantColumn(fields["testexpr"], world) ||
    ownColumns(select, world, true).has(world.tenantColumn);
  if (!tied) {
    add(
      "membership_without_tenant",
      `it asks ${membership.name} without the row's tenant: a member of any tenant passes`,
    );
  }
}

/** Nobody may put themselves into a tenant, or raise their own role. */
function judgeMembership(parsed: ParsedPolicy, world: PolicyWorld, add: Add): void {
  const { policy } = parsed;
  const { membership } = world;
  if (!membership || !["a", "w", "*"].includes(policy.command)) return;
  if (!policy.roles.some((role) => ["public", "anon", "authenticated"].includes(role))) return;
  const tree = parsed.check ?? parsed.using;
  if (tree === null) return;
  const judged = ownColumns(tree, world);
  const used = new Set(judged);
  visit(tree, (type, fields) => {
    if (type === "ColumnRef") used.add(parts(fields["fields"]).at(-1) ?? "");
  });
  const identity = new Set([membership.user, membership.tenant]);
  const more = [...used].some((column) =>
    !identity.has(column) &&
    world.table.columns.some((one) => one.name === column && one.type !== "boolean")
  );
  if (!judged.has(membership.tenant) && policy.command !== "w") {
    add(
      "self_insert",
      "anybody may insert themselves into any tenant: nothing ties the new row to a tenant of theirs",
    );
  }
  if (!more) {
    add(
      "self_promotion",
      policy.command === "a"
        ? "any member may add members with any role"
        : "any member may raise their own role: nothing looks at it",
    );
  }
}

/** True for every row: constants, `x or true`, and comparisons of a thing with itself. */
function isTrue(node: unknown): boolean {
  const literal = constant(node)?.["boolval"];
  if (literal && typeof literal === "object" && "boolval" in literal) {
    return literal.boolval === true;
  }
  const bool = as(node, "BoolExpr");
  if (bool) {
    const args = list(bool["args"]);
    if (bool["boolop"] === "OR_EXPR") return args.some(isTrue);
    if (bool["boolop"] === "AND_EXPR") return args.every(isTrue);
    return args.every(isFalse);
  }
  const test = as(node, "BooleanTest");
  if (test?.["booltesttype"] === "IS_TRUE" || test?.["booltesttype"] === "IS_NOT_FALSE") {
    return isTrue(test["arg"]);
  }
  const compare = as(node, "A_Expr");
  if (compare && parts(compare["name"]).at(-1) === "=" && compare["kind"] === "AEXPR_OP") {
    return print(compare["lexpr"]) === print(compare["rexpr"]);
  }
  return false;
}

function isFalse(node: unknown): boolean {
  const value = constant(node);
  const literal = value?.["boolval"];
  // protobuf leaves false out
  return value !== null && "boolval" in value &&
    !(literal && typeof literal === "object" && "boolval" in literal && literal.boolval === true);
}

function isTenantColumn(node: unknown, world: PolicyWorld): boolean {
  const name = columnParts(node);
  return name !== null && name.at(-1) === world.tenantColumn &&
    (name.length === 1 || name.at(-2) === world.table.name);
}

function mentionsTenant(node: unknown, world: PolicyWorld): boolean {
  return ownColumns(node, world).has(world.tenantColumn);
}

/** The columns of the row itself: bare at the top, by the table's name inside a sub-select that does not read it. */
function ownColumns(tree: unknown, world: PolicyWorld, inside = false): Set<string> {
  const columns = new Set(world.table.columns.map((one) => one.name));
  const found = new Set<string>();
  visit(tree, (type, fields, place) => {
    if (type !== "ColumnRef") return;
    const name = parts(fields["fields"]);
    const last = name.at(-1) ?? "";
    if (!columns.has(last)) return;
    const [qualifier] = name.length > 1 ? [name.at(-2)] : [undefined];
    const shadowed = place.scopes.some((scope) => scope.includes(world.table.name));
    if (
      qualifier === undefined
        ? place.scopes.length === 0 && !inside
        : qualifier === world.table.name && !shadowed
    ) found.add(last);
  });
  return found;
}

/** What the starter proposes for a policy: see {@link Advice}. */
export function advise(verdicts: readonly PolicyVerdict[]): Advice {
  return (table, policy) => {
    const verdict = verdicts.find((one) => one.table === table && one.policy === policy.name);
    const critical = verdict?.problems.filter((one) => one.severity === "critical") ?? [];
    const why = critical.map((one) => one.detail).join("; ");
    const rules = critical.map((one) => one.rule);
    if (rules.some((rule) => rule === "self_insert" || rule === "self_promotion")) {
      return { action: "drop", why };
    }
    if (rules.includes("for_everybody")) return { action: "narrow", why };
    return { action: "keep", why };
  };
}
