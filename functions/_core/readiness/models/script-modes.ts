import { type Module, scopeAt } from "../../lint/module.ts";
import {
  child,
  children,
  isCall,
  isMember,
  keyName,
  type Node,
  unwrap,
  word,
} from "../../lint/syntax.ts";
import type { Scripts } from "./scripts.ts";

/** Which of the two an application runs in; `any` where nothing tells them apart. */
export type Mode = "development" | "production" | "any";

/** What holds where a condition does, and where it doesn't. */
export type Modes = { whenTrue: Mode; whenFalse: Mode };

const NOTHING: Modes = { whenTrue: "any", whenFalse: "any" };
const DEVELOPMENT: Modes = { whenTrue: "development", whenFalse: "production" };
const PRODUCTION: Modes = { whenTrue: "production", whenFalse: "development" };

/**
 * What a condition says of the mode: `process.env.NODE_ENV !== "production"`, a variable that holds it, `!isDev`.
 *
 * @example
 * modeOf(test, module, scripts(repository)).whenTrue; // "development"
 */
export function modeOf(test: Node, module: Module, all: Scripts, depth = 0): Modes {
  if (depth > 12) return NOTHING;
  const node = unwrap(test);
  const of = (field: string) => {
    const inner = child(node, field);
    return inner ? modeOf(inner, module, all, depth + 1) : NOTHING;
  };
  switch (node.type) {
    case "UnaryExpression": {
      if (word(node, "operator") !== "!") return NOTHING;
      const { whenTrue, whenFalse } = of("argument");
      return { whenTrue: whenFalse, whenFalse: whenTrue };
    }
    case "LogicalExpression": {
      const [a, b] = [of("left"), of("right")];
      if (word(node, "operator") === "&&") {
        return {
          whenTrue: either(a.whenTrue, b.whenTrue),
          whenFalse: both(a.whenFalse, b.whenFalse),
        };
      }
      return {
        whenTrue: both(a.whenTrue, b.whenTrue),
        whenFalse: either(a.whenFalse, b.whenFalse),
      };
    }
    case "BinaryExpression":
      return compared(node);
    case "Identifier": {
      const name = word(node, "name");
      const binding = scopeAt(module, node).find(name);
      if (binding?.imported) {
        const target = all.resolve(module.path, binding.imported.specifier);
        if (typeof target === "string") return NOTHING;
        const found = target.scope.find(binding.imported.name)?.init;
        return found ? modeOf(found, target, all, depth + 1) : byName(name);
      }
      if (binding?.init && binding.kind === "variable" && (binding.path ?? []).length === 0) {
        return modeOf(binding.init, module, all, depth + 1);
      }
      return byName(name);
    }
    case "MemberExpression":
    case "OptionalMemberExpression":
      return byName(keyName(node, "property") ?? "");
    case "CallExpression": {
      const [first] = children(node, "arguments");
      const callee = child(node, "callee");
      const isBoolean = callee?.type === "Identifier" && word(callee, "name") === "Boolean";
      if (isBoolean && first) return modeOf(first, module, all, depth + 1);
      return byName(isMember(callee) ? keyName(callee, "property") ?? "" : word(callee, "name"));
    }
    default:
      return NOTHING;
  }
}

export function opposite(mode: Mode): Mode {
  if (mode === "any") return "any";
  return mode === "development" ? "production" : "development";
}

/** `isDev`, `import.meta.env.PROD`, `dev`: names that say it. */
function byName(name: string): Modes {
  if (/^_*(is_?)?_?(in_?)?dev(elopment|elop)?(_?(mode|env|server|build))?$/i.test(name)) {
    return DEVELOPMENT;
  }
  return /^_*(is_?)?_?(in_?)?prod(uction)?(_?(mode|env|build))?$/i.test(name)
    ? PRODUCTION
    : NOTHING;
}

/** `process.env.NODE_ENV === "production"`, `mode !== 'development'`, `phase === PHASE_DEVELOPMENT_SERVER`. */
function compared(node: Node): Modes {
  const operator = word(node, "operator");
  if (!/^[!=]==?$/.test(operator)) return NOTHING;
  const [left, right] = [child(node, "left"), child(node, "right")];
  if (!left || !right) return NOTHING;
  const [subject, value] = left.type === "StringLiteral" ? [right, left] : [left, right];
  const word_ = value.type === "StringLiteral"
    ? word(value, "value")
    : value.type === "Identifier"
    ? word(value, "name")
    : "";
  const name = nameOf(unwrap(subject));
  if (!/(^|_)(env|environment|mode|stage|phase|command)$/i.test(name)) return NOTHING;
  const isEqual = operator.startsWith("=");
  if (/^(prod|production|live)$/i.test(word_)) return isEqual ? PRODUCTION : flip(PRODUCTION);
  if (/^(dev|development|local|localhost|serve)$|DEVELOPMENT/i.test(word_)) {
    return isEqual ? DEVELOPMENT : flip(DEVELOPMENT);
  }
  // A test is no production, and no test may be either.
  return /^(test|testing|ci)$/i.test(word_)
    ? isEqual
      ? { whenTrue: "development", whenFalse: "any" }
      : { whenTrue: "any", whenFalse: "development" }
    : NOTHING;
}

function nameOf(node: Node): string {
  if (isMember(node)) return snake(keyName(node, "property") ?? "");
  if (isCall(node)) {
    const [first] = children(node, "arguments");
    return first?.type === "StringLiteral" ? word(first, "value") : "";
  }
  return snake(word(node, "name"));
}

function snake(name: string): string {
  return name.replace(/([a-z])([A-Z])/g, "$1_$2");
}

function flip({ whenTrue, whenFalse }: Modes): Modes {
  return { whenTrue: whenFalse, whenFalse: whenTrue };
}

/** One of two conditions that both hold is enough to know. */
function either(a: Mode, b: Mode): Mode {
  return a === "any" ? b : a;
}

/** Of two of which one holds, both must say the same. */
function both(a: Mode, b: Mode): Mode {
  return a === b ? a : "any";
}
