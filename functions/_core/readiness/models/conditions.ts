import type { CodeFile, Expr } from "./code.ts";
import { last, literal, type Names, walk } from "./names.ts";

const DEV = /^(dev|develop|development|local|localhost|test|testing|ci)$/i;
const LIVE = /^(prod|production|live|staging|stage|preview)$/i;
const DISCRIMINATOR = /(^|_)(env|environment|stage|app_?env|node_?env|mode)$/i;
const MOST_STEPS = 12;

/**
 * Whether a condition holds in production where nothing else is set: `settings.ENVIRONMENT != "local"` does, a switch
 * whose default is off does not. Null where it can't be told.
 *
 * @example
 * holds(names, file, call.site.when[0]);
 */
export function holds(names: Names, file: CodeFile, expr: Expr, steps = 0): boolean | null {
  if (steps > MOST_STEPS) return null;
  const of = (one: Expr | undefined) => one ? holds(names, file, one, steps + 1) : null;
  switch (expr.kind) {
    case "flag":
      return expr.value;
    case "none":
      return false;
    case "text":
      return expr.value !== "" && !/^(false|0|no|off)$/i.test(expr.value);
    case "number":
      return expr.value !== 0;
    case "name":
      return named(names, file, expr.name, steps);
    case "choice": {
      const all = expr.options.map(of);
      if (expr.test !== null) {
        const test = of(expr.test);
        return test === null ? null : all[test ? 0 : 1] ?? null;
      }
      if (all.includes(true)) return true;
      return all.every((one) => one === false) ? false : null;
    }
    case "call":
      return /(getenv|environ\.get)$/.test(expr.call.callee) && expr.call.args[1]
        ? of(expr.call.args[1])
        : /(getenv|environ\.get)$/.test(expr.call.callee)
        ? false
        : null;
    case "other": {
      if (expr.operator === "not" || expr.operator === "!") {
        const inner = of(expr.parts[0]);
        return inner === null ? null : !inner;
      }
      if (expr.operator === "and") {
        const all = expr.parts.map(of);
        if (all.includes(false)) return false;
        return all.every((one) => one === true) ? true : null;
      }
      return compared(expr.operator, expr.parts);
    }
    default:
      return null;
  }
}

function compared(operator: string, sides: readonly Expr[]): boolean | null {
  const names = sides.flatMap((one) => [...walk(one)]).flatMap((one) =>
    one.kind === "name"
      ? [one.name]
      : one.kind === "text" && /_?ENV/.test(one.value)
      ? [one.value]
      : []
  );
  const texts = sides.flatMap((one) =>
    one.kind === "list" ? one.items.flatMap((item) => literal(item) ?? []) : literal(one) ?? []
  );
  if (!names.some((name) => DISCRIMINATOR.test(last(name)))) {
    // `process.env.X === "true"`: off until somebody sets it.
    if (operator === "==" && texts.some((one) => /^(true|1|on|yes)$/i.test(one))) return false;
    if (operator === "!=" && texts.some((one) => /^(false|0|off|no)$/i.test(one))) return true;
    return null;
  }
  const isNegative = operator === "!=" || /^not/.test(operator) || operator === "is not";
  if (texts.length > 0 && texts.every((one) => DEV.test(one))) return isNegative;
  if (texts.some((one) => LIVE.test(one))) return !isNegative;
  // Enum members: `settings.env == Environment.LOCAL`.
  const members = names.map(last);
  if (members.some((one) => LIVE.test(one))) return !isNegative;
  return members.some((one) => DEV.test(one)) ? isNegative : null;
}

function named(names: Names, file: CodeFile, name: string, steps: number): boolean | null {
  const own = last(name);
  if (/^process\.env\./.test(name)) return null;
  if (/^(is_?)?(prod|production)$/i.test(own) || /^(is_?)prod/i.test(own)) return true;
  if (/^(is_?)(dev|local|test)|^(DEBUG|debug|TESTING|__DEV__)$/i.test(own)) return false;
  const found = names.define(file, name);
  if (found?.kind === "value" && found.value.kind !== "name" && !name.includes(".")) {
    return holds(names, found.file, found.value, steps + 1);
  }
  const field = fieldDefault(names, own);
  return field ? holds(names, field.file, field.value, steps + 1) : null;
}

/** The default of a settings class's field, null where there is none or more than one. */
export function fieldDefault(
  names: Names,
  field: string,
): { file: CodeFile; value: Expr; line: number } | null {
  const all = names.fields(field);
  const [only] = all;
  if (!only || all.length > 1) return null;
  const { value } = only;
  if (value.kind === "call" && /(^|\.)Field$/.test(value.call.callee)) {
    const inner = value.call.named.find((one) => one.name === "default")?.value ??
      value.call.args[0];
    return inner ? { ...only, value: inner } : null;
  }
  return only;
}
