import { type Node, quasis, word } from "../../lint/syntax.ts";
import type { Module } from "../../lint/module.ts";
import { branches, type Fixed, textOf } from "../models/script-values.ts";
import { callsIn, lineOf, type Scripts, scripts } from "../models/scripts.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const AUTH = /(^|[^a-z])(auth|session|sid|jwt|(access|refresh|id)?_?-?token)s?($|[^a-z])/i;
const HARMLESS = /csrf|xsrf|consent|theme|locale|lang|sidebar|state$|nonce|verifier|redirect/i;
const SETTER =
  /(^|\.)cookies(\(\))?\.set$|(^|\.)(cookieStore|cookieJar|jar)\.set$|(^|\.)(res|response|reply)\.(cookie|setCookie)$|^(setCookie|Cookies\.set)$/;

/** A session's cookie that scripts can read or that travels in the clear is a session that others have. */
export const cookieOptions: Rule = {
  id: "WEB-05",
  name: "cookie-options",
  area: "auth",
  severity: "p1",
  confidence: "high",
  section: 3,
  title: "Cookies of sessions are HttpOnly, Secure and SameSite",
  remedy: 'pass { httpOnly: true, secure: true, sameSite: "lax" }',
  check(repository) {
    const all = scripts(repository);
    const evidence: Evidence[] = [];
    for (const module of all.mentioning(/cookie/i)) {
      const { path: file } = module;
      const context = repository.file(file)?.context;
      if (context === "test" || context === "docs") continue;
      for (const { callee, args, line } of callsIn(module)) {
        if (!SETTER.test(callee)) continue;
        const found = judge(callee, args, module, all);
        if (found) evidence.push({ ...found, file, line });
      }
      for (const { target, value } of module.assignments) {
        if (module.text.slice(target.start, target.end).replace(/\s/g, "") !== "document.cookie") {
          continue;
        }
        const text = value.type === "TemplateLiteral"
          ? quasis(value).join("…")
          : word(value, "value");
        const name = /^([^=]*)=/.exec(text)?.[1] ?? "";
        if (!isAuth(name)) continue;
        evidence.push({
          kind: "gap",
          file,
          line: lineOf(module, target),
          message: `document.cookie sets "${name}", which every script can read`,
        });
      }
    }
    return conclude(evidence, {
      status: "not-applicable",
      summary: "no script sets a session's cookie",
    });
  },
};

function isAuth(name: string): boolean {
  const plain = name.replace(/([a-z0-9])([A-Z])/g, "$1_$2");
  return AUTH.test(plain) && !HARMLESS.test(plain);
}

function judge(
  callee: string,
  args: readonly Node[],
  module: Module,
  all: Scripts,
): Pick<Evidence, "kind" | "message" | "severity"> | null {
  // setCookie(context, name, value, options) of Hono.
  const list = callee === "setCookie" && args.length >= 3 ? args.slice(1) : args;
  const [first] = list;
  if (!first) return null;
  const given = branches(first, module, all).map(({ value }) => value);
  const whole = given.find((one) => one.kind === "object");
  const names = whole?.kind === "object"
    ? [textOf(whole.entries.get("name"))]
    : given.map((one) => textOf(one)).filter((one) => one !== "…");
  if (names.length === 0 && first.type === "Identifier") names.push(word(first, "name"));
  const name = names.find(isAuth);
  if (name === undefined) return null;
  if (callee === "Cookies.set") {
    return { kind: "gap", message: `"${name}" is set by a script, so every script can read it` };
  }
  const node = whole ? first : list[2];
  const options = node
    ? branches(node, module, all).filter(({ when }) => when !== "development")
    : [];
  if (!node) {
    return { kind: "gap", message: `"${name}" is set without httpOnly, secure and sameSite` };
  }
  // A cookie that is taken back needs no protection.
  const text = module.text.slice(node.start, node.end);
  if (
    /maxAge:\s*(0|-1)\b|expires:\s*new Date\(0\)/.test(text) ||
    (list[1] && word(list[1], "value") === "" && list[1].type === "StringLiteral")
  ) {
    return null;
  }
  const missing = new Set<string>();
  let isOpen = options.length === 0;
  for (const { value } of options) {
    if (value.kind !== "object") {
      isOpen = true;
      continue;
    }
    for (const field of ["httpOnly", "secure", "sameSite"]) {
      if (isOff(value.entries.get(field))) {
        if (value.isOpen && !value.entries.has(field)) isOpen = true;
        else missing.add(field);
      }
    }
  }
  if (missing.size === 0) {
    return isOpen
      ? { kind: "unknown", message: `the options of "${name}" can't be read` }
      : { kind: "strength", message: `"${name}" is HttpOnly, Secure and SameSite` };
  }
  // Browsers take a missing SameSite for Lax.
  const isOnlySite = missing.size === 1 && missing.has("sameSite");
  return {
    kind: isOnlySite ? "weakness" : "gap",
    ...(isOnlySite ? { severity: "p2" as const } : {}),
    message: `"${name}" is set without ${[...missing].join(", ")}`,
  };
}

function isOff(value: Fixed | undefined): boolean {
  return value === undefined || (value.kind === "other" && !value.value);
}
