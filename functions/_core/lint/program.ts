import { Evaluator, type Resolve } from "./evaluate.ts";
import { position, type Report } from "./finding.ts";
import type { Module } from "./module.ts";
import { soundsLikeServiceClient, type TenantNames } from "./names.ts";
import { WRAPPERS } from "./packages.ts";
import { placeOf } from "./place.ts";
import {
  above,
  child,
  children,
  isFunction,
  isMember,
  keyName,
  type Node,
  word,
} from "./syntax.ts";
import type { Site, Value } from "./value.ts";

/** Everything that the rules for code look at. */
export type Program = {
  modules: readonly Module[];
  evaluator: Evaluator;
  resolve: Resolve;
  tenants: TenantNames;
  /** Tables that are known to have no tenant column, with or without schema. */
  globalTables: ReadonlySet<string>;
};

/** A report about a node. */
export function at(module: Module, node: Node, rule: string, message: string): Report {
  const { path: file, text } = module;
  return {
    rule,
    file,
    text,
    start: node.start,
    end: node.end,
    anchor: statement(node).start,
    message,
  };
}

/** Where sites are, as an ignore comment names it: their own line, or that of their statement. */
export function placesOf(sites: readonly Site[]): { file: string; lines: number[] }[] {
  return sites.map(({ module: { path, text }, node }) => ({
    file: path,
    lines: [node.start, statement(node).start].map((offset) => position(text, offset).line),
  }));
}

/** Whether a node is part of the wrapper itself: `function withTenant() { … }`. */
export function isInWrapper(node: Node): boolean {
  const isWrapper = (one: Node) =>
    (isFunction(one) || one.type.startsWith("Class")) && WRAPPERS.has(nameOfDeclaration(one));
  return above(node, isWrapper) !== null;
}

function nameOfDeclaration(node: Node): string {
  const own = word(child(node, "id"), "name");
  return own === "" ? word(child(node.parent, "id"), "name") : own;
}

/** The statement that a node is part of: an ignore comment above it counts for its later lines too. */
function statement(node: Node): Node {
  for (let at = node; at.parent; at = at.parent) {
    if (/Statement$|Declaration$|^Class(Private)?(Property|Method)$/.test(at.type)) return at;
    if (at.parent["body"] === at) return at;
  }
  return node;
}

const ROUNDS = 3;
/** Arguments that are nothing but themselves. */
const PLAIN =
  /^((String|Numeric|Boolean|Null|RegExp|BigInt)Literal|SpreadElement|JSX.*|.*Function.*|U(nary|pdate)Expression)$/;

/**
 * Put the modules together and learn who calls whom with what: a client, a key, a query or a value of the request
 * that is handed to a function is known inside of it.
 */
export function makeProgram(
  modules: readonly Module[],
  resolve: Resolve,
  tenants: TenantNames,
  globalTables: ReadonlySet<string> = new Set(),
): Program {
  const evaluator = new Evaluator(resolve);
  const program: Program = { modules, evaluator, resolve, tenants, globalTables };
  for (let round = 0; round < ROUNDS; round++) {
    let isNew = false;
    for (const module of modules) {
      // What tests hand in says nothing of what runs.
      if (placeOf(module.path) !== "test") isNew = learn(program, module) || isNew;
    }
    evaluator.forget();
    if (!isNew) break;
  }
  return program;
}

function learn({ evaluator }: Program, module: Module): boolean {
  let isNew = false;
  for (const call of module.calls) {
    const args = children(call, "arguments");
    const callee = child(call, "callee");
    if (args.length === 0 || !callee) continue;
    const passed = args.map((arg, index) => ({ arg, index }))
      .filter(({ arg }) =>
        !PLAIN.test(arg.type) && isWorthKnowing(evaluator, evaluator.evaluate(arg, module))
      );
    if (passed.length === 0) continue;
    for (const fn of functionsOf(evaluator.evaluate(callee, module))) {
      for (const { arg, index } of passed) {
        isNew = evaluator.learn(fn, index, { node: arg, module, context: null }) || isNew;
      }
    }
    // `c.set("supabaseAdmin", admin)`, `app.decorate("supabaseAdmin", admin)`
    const [name, value] = args;
    if (name?.type === "StringLiteral" && value && typeof name["value"] === "string") {
      evaluator.learnProperty(name["value"], evaluator.evaluate(value, module));
    }
  }
  for (const { target, value } of module.assignments) {
    const name = isMember(target) ? keyName(target, "property") : null;
    if (name !== null) learnClients(evaluator, name, evaluator.evaluate(value, module));
  }
  for (const property of module.properties) {
    const name = keyName(property);
    const value = child(property, "value");
    if (name !== null && value && property.parent?.type === "ObjectExpression") {
      learnClients(evaluator, name, evaluator.evaluate(value, module));
    }
  }
  return isNew;
}

/** A name that says what it holds is known everywhere (`ctx.supabaseAdmin`); a plain `db` is not. */
function learnClients(evaluator: Evaluator, name: string, values: readonly Value[]): void {
  if (soundsLikeServiceClient(name) || /admin|service/i.test(name)) {
    evaluator.learnProperty(name, values.filter((one) => one.kind === "client"));
  }
}

function functionsOf(values: readonly Value[]): Node[] {
  return values.flatMap((value) => {
    if (!("node" in value) || WRAPPERS.has(nameOfDeclaration(value.node))) return [];
    if (value.kind === "function") return [value.node];
    if (value.kind !== "class") return [];
    const constructor = children(child(value.node, "body"), "body")
      .find((member) => member["kind"] === "constructor");
    return constructor ? [constructor] : [];
  });
}

/** Whether a function that gets this should know it: keys, clients, queries, pools, what the sender wrote. */
function isWorthKnowing(evaluator: Evaluator, values: readonly Value[], depth = 0): boolean {
  return values.some((value) => {
    switch (value.kind) {
      case "client":
      case "query":
      case "pool":
      case "secret":
      case "env":
      case "storage":
        return true;
      case "input":
        return value.name !== "" || value.part === "body";
      case "variable":
        return true;
      case "object":
        return depth < 2 && isWorthKnowing(evaluator, evaluator.property(value, "*"), depth + 1);
      default:
        return false;
    }
  });
}
