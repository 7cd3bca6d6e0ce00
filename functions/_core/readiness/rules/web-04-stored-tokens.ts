import { lineAt } from "../../lines.ts";
import { child, isMember, keyName, type Node, unwrap, word } from "../../lint/syntax.ts";
import { branches, textOf } from "../models/script-values.ts";
import { callsIn, scripts } from "../models/scripts.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const TOKEN = /(^|[^a-z])(jwt|(access|refresh|id|auth|session|bearer|user|login)?_?-?tokens?)$/i;
const HARMLESS =
  /csrf|xsrf|fcm|push|device|count|usage|limit|max|num|price|address|symbol|invite|theme|design|tokenizer|captcha|mapbox/i;

/** Any script of the page reads what lies there, and an injected one sends it away. */
export const storedTokens: Rule = {
  id: "WEB-04",
  name: "stored-tokens",
  area: "auth",
  severity: "p1",
  confidence: "high",
  section: 3,
  title: "No token lies in localStorage or sessionStorage",
  remedy: "let the server set an HttpOnly cookie, and keep tokens out of scripts",
  check(repository) {
    const all = scripts(repository);
    const evidence: Evidence[] = [];
    for (const module of all.mentioning(/(local|session)Storage/)) {
      const { path: file } = module;
      const context = repository.file(file)?.context;
      if (context === "test" || context === "docs") continue;
      for (const { callee, args: [key, value], line } of callsIn(module)) {
        const store = /(^|\.)((local|session)Storage)\.setItem$/.exec(callee)?.[2];
        if (!store || !key) continue;
        const names = branches(key, module, all).map((one) => textOf(one.value)).filter((one) =>
          one !== "…"
        );
        if (key.type === "Identifier" && names.length === 0) {
          names.push(snake(word(key, "name").replace(/_?key$/i, "")));
        }
        const held = value ? nameOf(value) : "";
        const isToken = [...names, held].some((one) => isTokenName(one));
        const shown = names[0] ? `"${names[0].slice(0, 60)}"` : held;
        evidence.push(
          isToken ? { kind: "gap", file, line, message: `${store} keeps a token (${shown})` } : {
            kind: "strength",
            file,
            line,
            message: `${store} keeps ${shown || "something"}, no token`,
          },
        );
      }
      for (const { target, value } of module.assignments) {
        if (
          !isMember(target) ||
          !/^(window\.)?(local|session)Storage$/.test(chain(child(target, "object")))
        ) continue;
        const name = keyName(target, "property") ?? "";
        if (!isTokenName(name) && !isTokenName(nameOf(value))) continue;
        const line = lineAt(module.text, target.start);
        evidence.push({
          kind: "gap",
          file,
          line,
          message: `the browser's storage keeps a token ("${name}")`,
        });
      }
    }
    for (const module of all.mentioning(/zustand\/middleware/)) {
      for (const { callee, args: [state, options], line } of callsIn(module)) {
        if (callee !== "persist" || !state) continue;
        const text = module.text.slice(state.start, state.end);
        const settings = options ? module.text.slice(options.start, options.end) : "";
        const isKept = /\b(access_?token|refresh_?token|auth_?token|jwt|token)\s*:/i.test(text) &&
          !/cookie/i.test(settings) &&
          (!/partialize/.test(settings) || /token|jwt/i.test(settings));
        if (isKept && repository.file(module.path)?.context !== "test") {
          evidence.push({
            kind: "gap",
            file: module.path,
            line,
            message: "a store that is persisted keeps a token",
          });
        }
      }
    }
    return conclude(evidence, {
      status: "not-applicable",
      summary: "no script writes to the browser's storage",
    });
  },
};

function isTokenName(name: string): boolean {
  const plain = snake(name);
  return TOKEN.test(plain) && !HARMLESS.test(plain);
}

function nameOf(node: Node): string {
  const inner = unwrap(node);
  if (inner.type === "Identifier") return word(inner, "name");
  return isMember(inner) ? keyName(inner, "property") ?? "" : "";
}

function chain(node: Node | null): string {
  if (!node) return "";
  if (isMember(node)) return `${chain(child(node, "object"))}.${keyName(node, "property") ?? ""}`;
  return word(node, "name");
}

function snake(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, "$1_$2");
}
