import type { Call, CodeFile, Expr, Fn } from "./code.ts";
import { last, literal, type Names, walk } from "./names.ts";

const DEV = /^(dev|develop|development|local|localhost|test|testing|ci)$/i;
const LIVE = /^(prod|production|live|staging|stage|preview)$/i;
const DISCRIMINATOR = /(^|_)(env|environment|stage|app_?env|node_?env|mode)$/i;
const MOST_STEPS = 12;
/** Names that stand for names that stand for names: all of them together are looked at so often. */
const MOST_LOOKS = 500;

type Looking = { fn?: Fn | null; steps?: number; left?: { count: number } };

/**
 * Whether a condition holds in production where nothing else is set: `settings.ENVIRONMENT != "local"` does, a switch
 * whose default is off does not. Null where it can't be told.
 *
 * @example
 * holds(names, file, call.site.when[0]);
 */
export function holds(
  names: Names,
  file: CodeFile,
  expr: Expr,
  { fn = null, steps = 0, left = { count: MOST_LOOKS } }: Looking = {},
): boolean | null {
  if (steps > MOST_STEPS || --left.count < 0) return null;
  const next = { fn, steps: steps + 1, left };
  const of = (one: Expr | undefined) => one ? holds(names, file, one, next) : null;
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
      return (fn ? given(names, fn, expr.name, next) : null) ??
        named(names, file, expr.name, next);
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
      return called(expr.call, of);
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
      const [left, right] = expr.parts;
      if (left && right?.kind === "flag" && /^(==|!=|is|is not)$/.test(expr.operator)) {
        const inner = of(left);
        const isSame = expr.operator === "==" || expr.operator === "is";
        return inner === null ? null : (inner === right.value) === isSame;
      }
      return compared(expr.operator, expr.parts);
    }
    case "index":
      return expr.key.kind === "text" && fieldDefault(names, expr.key.value)
        ? named(names, file, expr.key.value, next)
        : null;
    default:
      return null;
  }
}

const ENVIRONMENT = /(^|\.)(getenv|environ\.get|env|config|env\.bool|env\.get)$/;

/** `os.getenv("X", "true")` is its default; what only changes a value's form says what that value says. */
function called(call: Call, of: (one: Expr | undefined) => boolean | null): boolean | null {
  const other = call.named.find(({ name }) => name === "default")?.value ?? call.args[1];
  if (ENVIRONMENT.test(call.callee)) {
    return other ? of(other) : /getenv|environ/.test(call.callee) ? false : null;
  }
  if (/(^|\.)(bool|strtobool|Boolean|JSON\.parse|parse_obj_as|cast)$/.test(call.callee)) {
    return of(call.args.at(-1));
  }
  return /\(\)\.(lower|strip|toLowerCase|trim)$/.test(call.callee) && call.receiver
    ? of(call.receiver)
    : null;
}

/** What callers hand in for a parameter, or its default; null where they disagree or can't be told. */
function given(names: Names, fn: Fn, name: string, next: Looking): boolean | null {
  const index = fn.params.findIndex((param) => param.name === name);
  const param = fn.params[index];
  if (!param) return null;
  const answers = new Set<boolean | null>();
  for (const { file, call } of names.callsOf(fn)) {
    const value = call.named.find((one) => one.name === name)?.value ?? call.args[index] ??
      param.default;
    answers.add(value ? holds(names, file, value, { ...next, fn: call.site.fn }) : null);
  }
  const [only = null] = answers;
  return answers.size === 1 ? only : null;
}

/** The text that stands in where a variable is not set, on one side of a comparison. */
function standIn(sides: readonly Expr[]): string | null {
  for (const one of sides.flatMap((side) => [...walk(side)])) {
    if (one.kind === "call" && ENVIRONMENT.test(one.call.callee)) {
      const other = one.call.named.find(({ name }) => name === "default")?.value ??
        one.call.args[1];
      if (other?.kind === "text") return other.value;
      if (other?.kind === "flag") return String(other.value);
    }
    if (one.kind === "choice" && one.test === null) {
      const end = literal(one.options.at(-1));
      if (end !== null) return end;
    }
  }
  return null;
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
    const other = standIn(sides);
    const wanted = texts.find((one) => one !== other) ?? other;
    if (other !== null && wanted !== null && /^(==|!=)$/.test(operator)) {
      const isSame = other.toLowerCase() === wanted.toLowerCase();
      return operator === "==" ? isSame : !isSame;
    }
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

function named(names: Names, file: CodeFile, name: string, looking: Looking): boolean | null {
  const next = { ...looking, fn: null };
  const own = last(name);
  const isOwn = !/^process\.env\./.test(name);
  if (!isOwn && !names.fields(own)[0]) return null;
  if (/^(is_?)?(prod|production)$/i.test(own) || /^(is_?)prod/i.test(own)) return true;
  if (/^(is_?)(dev|local|test)|^(DEBUG|debug|TESTING|__DEV__)$/i.test(own)) return false;
  const found = names.define(file, name);
  if (found?.kind === "value" && found.value.kind !== "name" && !name.includes(".")) {
    return holds(names, found.file, found.value, next);
  }
  const field = fieldDefault(names, own);
  return field ? holds(names, field.file, field.value, next) : null;
}

/** The default of a settings class's field, null where there is none or more than one. */
function fieldDefault(
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
