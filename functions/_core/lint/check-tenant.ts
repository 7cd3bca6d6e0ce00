import type { Report } from "./finding.ts";
import type { Module } from "./module.ts";
import { scopeAt } from "./module.ts";
import { placeOf } from "./place.ts";
import { at, type Program } from "./program.ts";
import {
  above,
  child,
  children,
  isCall,
  isFunction,
  isMember,
  keyName,
  type Node,
  parts,
  unwrap,
  word,
} from "./syntax.ts";
import type { Value } from "./value.ts";

const GUARD =
  /member|access|author|permi|require|assert|verif|ensure|check|guard|belong|allow|owns?|^can[A-Z_]|validate(Tenant|Org|Team|Workspace)|resolve(Tenant|Org)|role/i;
const MEMBERSHIP =
  /member|(user|profile)s?_?(org|team|tenant|workspace|compan|account)|(org|organi[sz]ation|team|tenant|workspace|company|account)s?_?(user|profile|role)/i;

/** Rule tenant-from-request: what the sender wrote decides whose rows are touched. */
export function checkTenantSource(program: Program): Report[] {
  const reports: Report[] = [];
  for (const module of program.modules) {
    if (placeOf(module.path) === "test") continue;
    for (const call of module.calls) {
      for (const value of sinks(program, module, call)) {
        const input = inputOf(program.evaluator.evaluate(value, module));
        if (!input || isChecked(program, module, value)) continue;
        const name = input.name === "" ? "" : ` "${input.name}"`;
        reports.push(
          at(
            module,
            value,
            "lint/tenant-from-request",
            `the tenant comes from the ${input.part}${name} of the request`,
          ),
        );
      }
    }
    for (const node of module.tagged) {
      for (const value of contextValues(node)) {
        const input = inputOf(program.evaluator.evaluate(value, module));
        if (input && !isChecked(program, module, value)) {
          reports.push(
            at(
              module,
              value,
              "lint/tenant-from-request",
              `the tenant comes from the ${input.part} "${input.name}" of the request`,
            ),
          );
        }
      }
    }
  }
  return reports;
}

function inputOf(values: readonly Value[]): Extract<Value, { kind: "input" }> | null {
  return values.find((one) => one.kind === "input") ?? null;
}

/** The expressions of a call that say which tenant: of the wrapper, of withTenant(), of filters on service clients. */
function sinks(program: Program, module: Module, call: Node): Node[] {
  const callee = child(call, "callee");
  const args = children(call, "arguments");
  if (!callee) return [];
  const name = isMember(callee) ? keyName(callee, "property") : word(callee, "name");
  if (name === "createTenantClient" || name === "TenantScopedClient") {
    return fields(program, module, args[0], ["tenantId"]);
  }
  if (name === "withTenant") return fields(program, module, args[1], ["tenantId"]);
  const object = isMember(callee) ? child(callee, "object") : null;
  if (!object || name === null || !/^(eq|filter|match|insert|upsert|update)$/.test(name)) return [];
  const query = program.evaluator.evaluate(object, module).find((one) => one.kind === "query")
    ?.query;
  // Under a user's own token the database decides; the list of members is how one checks.
  if (!query || query.client.role !== "service" || MEMBERSHIP.test(query.table ?? "")) return [];
  const [first, second, third] = args;
  if (name === "eq" || name === "filter") {
    const [column] = first ? program.evaluator.evaluate(first, module) : [];
    const value = name === "eq" ? second : third;
    return value && column?.kind === "string" && program.tenants.columns.has(column.value)
      ? [value]
      : [];
  }
  return fields(program, module, first, [...program.tenants.columns]);
}

/** The values of the named properties of an object, or of each object of a list. */
function fields(
  program: Program,
  module: Module,
  node: Node | undefined,
  names: readonly string[],
): Node[] {
  if (!node) return [];
  if (node.type === "ArrayExpression") {
    return children(node, "elements").flatMap((one) => fields(program, module, one, names));
  }
  return program.evaluator.evaluate(node, module).flatMap((value) =>
    value.kind !== "object" || value.module !== module
      ? []
      : children(value.node, "properties").flatMap((property) => {
        const inner = child(property, "value");
        return inner && names.includes(keyName(property) ?? "") ? [inner] : [];
      })
  );
}

/** The values of `set_config('app.tenant', ${value}, true)`. */
function contextValues(node: Node): Node[] {
  const quasi = child(node, "quasi");
  return children(quasi, "expressions").filter((_, index) => {
    const before = children(quasi, "quasis")[index]?.["value"];
    const raw = typeof before === "object" && before !== null && "raw" in before
      ? String(before.raw)
      : "";
    return /set_config\s*\(\s*'[^']*(tenant|org|team|workspace)[^']*'\s*,\s*$/i.test(raw);
  });
}

/** Whether the function asks somebody about this tenant before: a membership query, a guard, a comparison. */
function isChecked(program: Program, module: Module, value: Node): boolean {
  const name = rootName(value);
  if (name === null) return false;
  const binding = scopeAt(module, value).find(name);
  const outermost = outerFunction(value) ?? module.program;
  const key = isMember(unwrap(value)) ? keyName(unwrap(value), "property") : null;
  const mentions = (node: Node): boolean => {
    if (
      node.type === "Identifier" && word(node, "name") === name &&
      scopeAt(module, node).find(name) === binding
    ) {
      return key === null || !isMember(node.parent) || keyName(node.parent, "property") === key;
    }
    if (isFunction(node)) return false;
    for (const part of parts(node)) if (mentions(part)) return true;
    return false;
  };
  const stack: Node[] = [outermost];
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (node.start > value.start) continue;
    if (
      isCall(node) && node.end <= value.start + 4000 &&
      isGuard(program, module, node, value, mentions)
    ) return true;
    if (node.type === "BinaryExpression" && /^[!=]==?$/.test(word(node, "operator"))) {
      const [left, right] = [child(node, "left"), child(node, "right")];
      if (
        left && right && mentions(left) !== mentions(right) && !isConstant(left) &&
        !isConstant(right)
      ) return true;
    }
    for (const part of parts(node)) stack.push(part);
  }
  return false;
}

function isGuard(
  program: Program,
  module: Module,
  call: Node,
  value: Node,
  mentions: (node: Node) => boolean,
): boolean {
  if (call.start <= value.start && call.end >= value.end) return false;
  const callee = child(call, "callee");
  const args = children(call, "arguments");
  if (!callee || !args.some(mentions)) return false;
  const name = (isMember(callee) ? keyName(callee, "property") : word(callee, "name")) ?? "";
  if (/^(includes|has|some|find|every)$/.test(name)) return true;
  if (name === "eq" || name === "match") {
    const object = isMember(callee) ? child(callee, "object") : null;
    return object !== null &&
      program.evaluator.evaluate(object, module).some((one) =>
        one.kind === "query" && MEMBERSHIP.test(one.query.table ?? "")
      );
  }
  return GUARD.test(name) && name !== "createTenantClient";
}

function isConstant(node: Node): boolean {
  return /Literal$/.test(node.type) ||
    (node.type === "Identifier" && word(node, "name") === "undefined") ||
    (node.type === "UnaryExpression");
}

/** The name that an expression begins with: `body` of `body.tenantId`. */
function rootName(node: Node): string | null {
  let at: Node | null = unwrap(node);
  while (at && isMember(at)) at = child(at, "object");
  return at?.type === "Identifier" ? word(at, "name") : null;
}

function outerFunction(node: Node): Node | null {
  let found: Node | null = null;
  for (let at = above(node, isFunction); at; at = above(at, isFunction)) found = at;
  return found;
}
