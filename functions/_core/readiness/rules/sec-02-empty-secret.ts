import type { Module } from "../../lint/module.ts";
import { above, child, isFunction, keyName, type Node, word } from "../../lint/syntax.ts";
import { lastName, type Python, pythonOf } from "../models/python.ts";
import { lineOf, scripts } from "../models/scripts.ts";
import { guardOf, type Setting, type Settings, settingsOf } from "../models/settings.ts";
import type { PythonNode } from "../parsers.ts";
import { enclosing } from "../python-node.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";
import { isSecretName } from "../secret-names.ts";

/** What decides by a secret: with an empty one everybody passes, or everybody can sign. */
const DECIDES =
  /^(compare_digest|new|encode|decode|Fernet|SessionMiddleware|URLSafeTimedSerializer|TimestampSigner|APIKeyHeader)$/;

/** An empty secret must close the door that it guards, not open it. */
export const emptySecret: Rule = {
  id: "SEC-02",
  name: "empty-secret",
  area: "secrets",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "A secret that is not set closes what it guards",
  remedy: "require the secret at the start, or refuse where it is empty before it is compared",
  async check(repository) {
    const all = await settingsOf(repository);
    const python = await pythonOf(repository);
    const evidence: Evidence[] = [];
    const done = new Set<string>();
    for (const one of all.settings) {
      if (one.isDevelopment || !isSecretName(one.name)) continue;
      const { name, file, line, fallback } = one;
      const guard = guardOf(one, all.guards);
      if (fallback.kind === "required" || guard) {
        evidence.push({
          kind: "strength",
          file: guard?.file ?? file,
          line: guard?.line ?? line,
          message: `without ${name} the application stops`,
        });
      }
      if (fallback.kind !== "empty" || guard || done.has(`${one.language} ${name}`)) continue;
      done.add(`${one.language} ${name}`);
      const uses = one.language === "python" ? usesOf(python, one) : comparesOf(repository, one);
      for (const use of uses) {
        evidence.push({
          kind: "gap",
          file: use.file,
          line: use.line,
          message: `${name} may be empty, and this decides by it without asking whether it is set`,
        });
      }
    }
    return conclude(evidence, none(all));
  },
};

function none({ settings }: Settings): { status: "unknown" | "not-applicable"; summary: string } {
  return settings.some(({ name }) => isSecretName(name))
    ? { status: "unknown", summary: "no secret was seen to decide anything" }
    : { status: "not-applicable", summary: "no setting is named as a secret" };
}

type Use = { file: string; line: number };

function usesOf(python: Python, { name, owner }: Setting): Use[] {
  const found: Use[] = [];
  for (const module of python.modules) {
    if (!module.file.text?.includes(name)) continue;
    const spread = module.root.all("identifier").filter((node) => node.text === name);
    const asked = new Set<number>();
    for (const node of spread) {
      const isField = node.parent?.type === "attribute" &&
        node.parent.field("attribute")?.start === node.start;
      if (owner !== null && !isField) continue;
      const fn = enclosing(node, "function_definition");
      if (!fn || asked.has(fn.start)) continue;
      asked.add(fn.start);
      const aliases = aliasesOf(fn, name);
      if (asks(fn, aliases)) continue;
      const deciding = decidingUse(fn, aliases);
      if (deciding) found.push({ file: module.path, line: deciding.line });
    }
  }
  const lines = new Set<string>();
  return found.filter(({ file, line }) =>
    !lines.has(`${file}:${line}`) && lines.add(`${file}:${line}`)
  );
}

/** The name, and what a function calls it: `expected = settings.WEBHOOK_SECRET`. */
function aliasesOf(fn: PythonNode, name: string): Set<string> {
  const names = new Set([name]);
  for (const one of fn.all("assignment")) {
    const left = one.field("left");
    const right = one.field("right");
    if (left?.type === "identifier" && right && mentions(right, names)) names.add(left.text);
  }
  return names;
}

/** Longer expressions than this were written by a machine. */
const MOST_TEXT = 5_000;

function mentions(node: PythonNode, names: ReadonlySet<string>): boolean {
  if (node.end - node.start > MOST_TEXT) return false;
  return [node, ...node.all("identifier")].some((one) =>
    one.type === "identifier" && names.has(one.text)
  );
}

/** Whether a function asks anywhere if the secret is there. */
function asks(fn: PythonNode, names: ReadonlySet<string>): boolean {
  const isIt = (node: PythonNode | null | undefined) =>
    !!node && (node.type === "attribute" || node.type === "identifier") && mentions(node, names);
  return fn.all(
    "not_operator",
    "boolean_operator",
    "comparison_operator",
    "if_statement",
    "conditional_expression",
  )
    .some((node) => {
      if (node.type === "not_operator") return isIt(node.field("argument"));
      if (node.type === "boolean_operator") return node.children.some(isIt);
      if (node.type === "if_statement") return isIt(node.field("condition"));
      if (node.type === "conditional_expression") return isIt(node.children[1]);
      return node.children.some(isIt) &&
        node.children.some(({ type, text }) => type === "none" || /^["']{2}$/.test(text));
    });
}

function decidingUse(fn: PythonNode, names: ReadonlySet<string>): PythonNode | null {
  for (const call of fn.all("call")) {
    const callee = call.field("function");
    const list = call.field("arguments");
    if (!list || !mentions(list, names) || !DECIDES.test(lastName(callee))) continue;
    if (lastName(callee) === "new" && !/hmac/.test(callee?.text ?? "")) continue;
    if (/^(en|de)code$/.test(lastName(callee)) && !/jwt|jose/i.test(callee?.text ?? "")) continue;
    return call;
  }
  return fn.all("comparison_operator").find((node) => {
    const operator = node.field("operators")?.text ?? "";
    return /^[!=]=$/.test(operator) &&
      node.children.some((one) => one.type !== "string" && mentions(one, names)) &&
      !node.children.some(({ type }) => type === "none" || type === "true" || type === "false") &&
      !node.children.every((one) => /^["']/.test(one.text) || mentions(one, names));
  }) ?? null;
}

/** `header === \`Bearer ${process.env.CRON_SECRET}\``: where it is not set, "Bearer undefined" passes. */
function comparesOf(repository: Repository, { name }: Setting): Use[] {
  const found: Use[] = [];
  const all = scripts(repository);
  for (const module of all.mentioning(new RegExp(`\\b${name}\\b`))) {
    if (repository.file(module.path)?.context === "test") continue;
    for (const node of module.members) {
      if (keyName(node, "property") !== name) continue;
      const compare = comparing(node);
      if (!compare) continue;
      const fn = above(node, isFunction);
      if (isAsked(module, fn, name)) continue;
      found.push({ file: module.path, line: lineOf(module, compare) });
    }
  }
  return found;
}

function comparing(node: Node): Node | null {
  for (let at = node; at.parent; at = at.parent) {
    const { parent } = at;
    if (parent.type === "BinaryExpression") {
      const other = parent["left"] === at ? child(parent, "right") : child(parent, "left");
      const isFixed = other?.type === "NullLiteral" || other?.type === "StringLiteral" ||
        word(other, "name") === "undefined";
      return /^[!=]==?$/.test(word(parent, "operator")) && !isFixed ? parent : null;
    }
    if (
      !/^(TemplateLiteral|TSNonNullExpression|TSAsExpression|ParenthesizedExpression)$/.test(
        parent.type,
      )
    ) return null;
  }
  return null;
}

function isAsked(module: Module, fn: Node | null, name: string): boolean {
  const text = fn ? module.text.slice(fn.start, fn.end) : module.text;
  return new RegExp(
    `!\\s*[\\w.]{0,60}\\b${name}\\b|\\b${name}\\s*(&&|\\?[^.?])|\\(\\s*[\\w.]{0,60}\\b${name}\\s*\\)\\s*\\{`,
  ).test(text);
}
