import { child, children, keyName, type Node, word } from "../../lint/syntax.ts";
import { envExamples } from "../models/env-examples.ts";
import { type Python, type PythonModule, pythonOf } from "../models/python.ts";
import { textsOf } from "../models/python-texts.ts";
import { branches, type Fixed, modeAt } from "../models/script-values.ts";
import { callsIn, lineOf, originOf, scripts } from "../models/scripts.ts";
import { isDevelopmentBranch } from "../models/settings-python.ts";
import { isDevelopmentFile } from "../models/settings.ts";
import type { PythonNode } from "../parsers.ts";
import { type Arguments, argumentsOf, literalOf } from "../python-node.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule, unique } from "../rule.ts";

/** Any origin with credentials is every site that a user visits, acting as that user. */
export const corsCredentials: Rule = {
  id: "CFG-06",
  name: "cors-credentials",
  area: "config",
  severity: "p1",
  confidence: "high",
  section: 1,
  title: "CORS names its origins where it allows credentials",
  remedy: "list the origins, without a pattern that matches all, and let none be the default",
  async check(repository) {
    const evidence = [...await ofPython(repository), ...ofScripts(repository)];
    return conclude(evidence, {
      status: "not-applicable",
      summary: "no CORS is configured in the code",
    });
  },
};

type Verdict = "any" | "listed" | "unknown";

function judge(
  file: string,
  line: number,
  origins: Verdict,
  credentials: Verdict | boolean,
): Evidence {
  const at = { file, line };
  if (origins === "listed") return { ...at, kind: "strength", message: "CORS names its origins" };
  if (origins === "unknown") {
    return credentials === false
      ? { ...at, kind: "strength", message: "CORS doesn't allow credentials" }
      : { ...at, kind: "unknown", message: "which origins CORS allows is decided where it runs" };
  }
  if (credentials === false) {
    return {
      ...at,
      kind: "weakness",
      severity: "p2",
      message: "CORS allows any origin, without credentials",
    };
  }
  return credentials === true
    ? { ...at, kind: "gap", message: "CORS allows any origin with credentials" }
    : {
      ...at,
      kind: "unknown",
      message: "CORS allows any origin; whether with credentials is decided where it runs",
    };
}

async function ofPython(repository: Repository): Promise<Evidence[]> {
  const python = await pythonOf(repository);
  const found: Evidence[] = [];
  for (
    const { module, node, line } of python.calls("add_middleware", "Middleware", "CORSMiddleware")
  ) {
    const { positional, keywords } = argumentsOf(node);
    const isOwn = python.fullName(module, node.field("function"))?.endsWith("CORSMiddleware") ??
      false;
    if (
      !isOwn && !/(^|\.)CORSMiddleware$/.test(python.fullName(module, positional[0] ?? null) ?? "")
    ) continue;
    if (isDevelopmentBranch(node) || isDevelopmentFile(module.path)) continue;
    const pattern = keywords.get("allow_origin_regex");
    const list = keywords.get("allow_origins");
    const splat = positional.some(({ type }) => type === "dictionary_splat");
    const origins = verdicts(
      list ? originsOf(repository, python, module, list) : null,
      pattern ? patternOf(python, module, pattern) : null,
    ) ?? (splat ? "unknown" : "listed");
    found.push(
      judge(
        module.path,
        line,
        origins,
        flagOf(python, module, keywords, "allow_credentials", splat),
      ),
    );
  }
  for (const { module, node, line } of python.calls("CORS", "cross_origin")) {
    if (
      !/^flask_cors\./.test(python.fullName(module, node.field("function")) ?? "") ||
      isDevelopmentBranch(node)
    ) continue;
    const { keywords } = argumentsOf(node);
    const list = keywords.get("origins");
    const origins = list
      ? originsOf(repository, python, module, list)
      : keywords.has("resources")
      ? "unknown"
      : "any";
    found.push(
      judge(
        module.path,
        line,
        origins,
        flagOf(python, module, keywords, "supports_credentials", false),
      ),
    );
  }
  for (const module of python.modules) {
    const all = module.constants.get("CORS_ALLOW_ALL_ORIGINS") ??
      module.constants.get("CORS_ORIGIN_ALLOW_ALL");
    if (!all || isDevelopmentFile(module.path) || literalOf(all.value) !== true) continue;
    const credentials = module.constants.get("CORS_ALLOW_CREDENTIALS");
    found.push(judge(module.path, all.line, "any", literalOf(credentials?.value ?? null) === true));
  }
  return found;
}

function verdicts(...all: (Verdict | null)[]): Verdict | null {
  return all.includes("any")
    ? "any"
    : all.includes("unknown")
    ? "unknown"
    : all.find((one) => one !== null) ?? null;
}

function originsOf(
  repository: Repository,
  python: Python,
  module: PythonModule,
  node: PythonNode,
): Verdict {
  const { texts, isOpen, fields } = textsOf(python, module, node);
  const parts = texts.flatMap((text) => text.split(/[,\s[\]"']+/)).filter(Boolean);
  if (parts.includes("*")) return "any";
  const names = new Set([...fields.map(({ name }) => name.toUpperCase()), ...texts]);
  const shown = envExamples(repository).filter(({ name, value }) =>
    names.has(name) && value !== ""
  );
  if (shown.some(({ value }) => /(^|[[,"'\s])\*($|[\],"'\s])/.test(value))) return "any";
  return isOpen && parts.length === 0 && shown.length === 0 ? "unknown" : "listed";
}

function patternOf(python: Python, module: PythonModule, node: PythonNode): Verdict {
  const { texts, isOpen } = textsOf(python, module, node);
  if (texts.some((text) => matchesAll(text))) return "any";
  return isOpen && texts.length === 0 ? "unknown" : "listed";
}

/** `.*`, `https?://.*`: patterns that a stranger's address matches. */
function matchesAll(pattern: string): boolean {
  return /^\^?\(?(https?\??:\\?\/\\?\/|https\?:\/\/)?\(?\.[*+]\)?\)?\$?$/.test(pattern);
}

function flagOf(
  python: Python,
  module: PythonModule,
  keywords: Arguments["keywords"],
  name: string,
  hasSplat: boolean,
): Verdict | boolean {
  const node = keywords.get(name);
  if (!node) return hasSplat ? "unknown" : false;
  const literal = literalOf(node);
  if (typeof literal === "boolean") return literal;
  const { fields } = textsOf(python, module, node);
  const values = fields.map(({ value }) => literalOf(value));
  return values.length === 1 && typeof values[0] === "boolean" ? values[0] : "unknown";
}

const CORS = /(^|\/)(cors|@fastify\/cors|@koa\/cors|hono\/cors|@elysiajs\/cors)(\.cors)?(\(\))?$/;

function ofScripts(repository: Repository): Evidence[] {
  const all = scripts(repository);
  const found: Evidence[] = [];
  for (const module of all.mentioning(/\bcors\b|enableCors/i)) {
    if (repository.file(module.path)?.context === "test") continue;
    for (const call of callsIn(module)) {
      const callee = child(call.node, "callee");
      const [first, second] = call.args;
      const isRegister = /\.register$/.test(call.callee) &&
        CORS.test(originOf(first ?? null, module, all) ?? "");
      const isCors = CORS.test(originOf(callee, module, all) ?? "") ||
        /\.enableCors$/.test(call.callee);
      if (!isRegister && !isCors) continue;
      if (modeAt(call.node, module, all) === "development") continue;
      const options = isRegister ? second : first;
      const line = lineOf(module, call.node);
      if (!options) {
        found.push(judge(module.path, line, "any", false));
        continue;
      }
      for (const { value, when } of branches(options, module, all)) {
        if (when === "development") continue;
        if (value.kind !== "object") {
          found.push(judge(module.path, line, "unknown", "unknown"));
          continue;
        }
        const credentials = value.entries.get("credentials");
        const origin = value.entries.get("origin");
        found.push(judge(
          module.path,
          line,
          origin ? originOfValue(origin) : value.isOpen ? "unknown" : "any",
          credentials?.kind === "other"
            ? credentials.value === true
            : credentials || value.isOpen
            ? "unknown"
            : false,
        ));
      }
    }
  }
  return unique(found);
}

/** `true` answers with whatever origin asked. */
function originOfValue(value: Fixed): Verdict {
  if (value.kind === "other") return value.value === true ? "any" : "listed";
  if (value.kind === "text") return value.text === "*" ? "any" : "listed";
  if (value.kind === "list") {
    return value.items.some((one) => originOfValue(one) === "any") ? "any" : "listed";
  }
  if (value.kind === "function") return reflects(value.node) ? "any" : "unknown";
  return "unknown";
}

/** `(origin) => origin`, and a callback that is told `true` with no question before it. */
function reflects(fn: Node): boolean {
  const [origin] = children(fn, "params");
  const body = child(fn, "body");
  return body?.type === "Identifier" && word(body, "name") === word(origin, "name") &&
    keyName(fn) !== "";
}
