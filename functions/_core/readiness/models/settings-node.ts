import type { Module } from "../../lint/module.ts";
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
} from "../../lint/syntax.ts";
import type { Repository } from "../repository.ts";
import { environmentReads, lineOf, originOf, type Scripts, scripts } from "./scripts.ts";
import { branches, modeAt } from "./script-values.ts";
import { type Fallback, type Guard, isDevelopmentFile, type Settings } from "./settings.ts";

const READS = /\bprocess\.env\b|\bimport\.meta\.env\b|\bDeno\.env\b|\bBun\.env\b/;
const SCHEMAS = /\benvalid\b|\bt3-oss\/env|\bznv\b|\b(zod|joi|valibot|yup|arktype)\b/i;
/** What may start the values of a schema of the environment. */
const MAKERS = /^(zod|joi|@hapi\/joi|valibot|yup|envalid|znv)\b/;

/** The settings of scripts that run on a server. */
export function nodeSettings(repository: Repository): Settings {
  const all = scripts(repository);
  const found: Settings = { settings: [], guards: [], classes: [] };
  for (const module of all.mentioning(READS)) {
    if (repository.file(module.path)?.context === "test") continue;
    const isDevelopment = isDevelopmentFile(module.path);
    for (const { name, line, node, fallback } of environmentReads(module, all)) {
      // A rest (`const { A, ...others } = process.env`) and a computed name are no variable.
      if (!/^[A-Za-z_]\w*$/.test(name)) continue;
      found.settings.push({
        language: "node",
        name,
        variable: name,
        file: module.path,
        line,
        owner: null,
        style: "read",
        annotation: null,
        fallback: fallback ? fallbackOf(fallback, module, all) : { kind: "empty" },
        isDevelopment: isDevelopment || modeAt(node, module, all) === "development",
      });
    }
    found.guards.push(...guardsIn(module));
    if (SCHEMAS.test(module.text)) schemaIn(module, all, found, isDevelopment);
  }
  return found;
}

/** What stands in for a variable; what only development gets is none. */
function fallbackOf(node: Node, module: Module, all: Scripts): Fallback {
  const inner = unwrap(node);
  if (
    inner.type === "CallExpression" &&
    /random(Bytes|UUID)/.test(originOf(child(inner, "callee"), module, all) ?? "")
  ) {
    return { kind: "generated" };
  }
  const values = branches(node, module, all).filter(({ when }) => when !== "development");
  const texts = values.flatMap(({ value }) => value.kind === "text" ? [value.text] : []);
  const text = texts.find((one) => one.trim() !== "");
  if (text !== undefined) return text.includes("…") ? { kind: "unknown" } : { kind: "text", text };
  if (texts.length > 0) return { kind: "empty" };
  const other = values.find(({ value }) => value.kind === "other")?.value;
  if (other?.kind !== "other") return { kind: "unknown" };
  return other.value === null || other.value === undefined
    ? { kind: "empty" }
    : { kind: "other", value: String(other.value) };
}

/** `z.object({ JWT_SECRET: z.string().default("…") })` and its like. */
function schemaIn(module: Module, all: Scripts, found: Settings, isDevelopment: boolean): void {
  const schemas = new Set<Node>();
  for (const property of module.properties) {
    const name = keyName(property);
    const value = child(property, "value");
    if (name === null || !/^[A-Z][A-Z0-9_]*$/.test(name) || !value || !isCall(value)) continue;
    if (!MAKERS.test(originOf(value, module, all) ?? "")) continue;
    if (property.parent) schemas.add(property.parent);
    found.settings.push({
      language: "node",
      name,
      variable: name,
      file: module.path,
      line: lineOf(module, property),
      owner: "schema",
      style: "typed",
      annotation: null,
      fallback: schemaFallback(value, module, all),
      isDevelopment,
    });
    if (isLong(value)) {
      found.guards.push({
        file: module.path,
        line: lineOf(module, property),
        names: new Set([name]),
        kind: "placeholder",
      });
    }
  }
  const [first] = schemas;
  if (first) {
    found.classes.push({
      name: "schema",
      file: module.path,
      line: lineOf(module, first),
      language: "node",
    });
  }
}

function schemaFallback(value: Node, module: Module, all: Scripts): Fallback {
  let isOptional = false;
  for (let at: Node | null = value; isCall(at);) {
    const callee: Node | null = child(at, "callee");
    const [first] = children(at, "arguments");
    const name = isMember(callee) ? keyName(callee, "property") : null;
    if ((name === "default" || name === "catch") && first) return fallbackOf(first, module, all);
    if (name === "optional" || name === "nullish" || name === "nullable") isOptional = true;
    // `str({ default: "…" })` of envalid; `devDefault` is development's alone.
    if (first?.type === "ObjectExpression") {
      const own = children(first, "properties").find((one) => keyName(one) === "default");
      const inner = own ? child(own, "value") : null;
      if (inner) return fallbackOf(inner, module, all);
    }
    at = isMember(callee) ? child(callee, "object") : null;
  }
  return { kind: isOptional ? "empty" : "required" };
}

/** `z.string().min(32)`, `.length(64)`, `.refine(…)`: what stands in for a secret doesn't get through. */
function isLong(value: Node): boolean {
  for (let at: Node | null = value; isCall(at);) {
    const callee: Node | null = child(at, "callee");
    const [first] = children(at, "arguments");
    const name = isMember(callee) ? keyName(callee, "property") ?? "" : "";
    const limit = first?.type === "NumericLiteral" ? Number(first["value"]) : 0;
    if (/^(min|length)$/.test(name) && limit >= 16) return true;
    if (/^(refine|superRefine|regex)$/.test(name)) return true;
    at = isMember(callee) ? child(callee, "object") : null;
  }
  return false;
}

/** Conditions that throw or exit, with the names in them. */
function guardsIn(module: Module): Guard[] {
  const found: Guard[] = [];
  const seen = new Set<Node>();
  const names = new Map<Node, Set<string>>();
  const note = (node: Node, name: string) => {
    const test = above(node, (one) => one.type === "IfStatement" || isFunction(one));
    if (test?.type !== "IfStatement" || !stops(child(test, "consequent"))) return;
    if (!isInside(node, child(test, "test"))) return;
    seen.add(test);
    names.set(test, (names.get(test) ?? new Set()).add(name.toUpperCase()));
  };
  for (const node of module.members) {
    const name = keyName(node, "property");
    if (name !== null) note(node, name);
  }
  for (const scope of module.scopes.values()) {
    for (const binding of scope.names.values()) {
      if (binding.kind === "variable") {
        for (const one of binding.references) note(one, binding.name);
      }
    }
  }
  for (const test of seen) {
    const condition = child(test, "test");
    found.push({
      file: module.path,
      line: lineOf(module, test),
      names: names.get(test) ?? new Set(),
      kind: condition && tellsApart(condition) ? "placeholder" : "empty",
    });
  }
  return found;
}

function isInside(node: Node, outer: Node | null): boolean {
  return outer !== null && node.start >= outer.start && node.end <= outer.end;
}

function stops(node: Node | null): boolean {
  const stack = node ? [node] : [];
  for (let at = stack.pop(); at; at = stack.pop()) {
    if (at.type === "ThrowStatement") return true;
    if (isCall(at)) {
      const callee = child(at, "callee");
      if (isMember(callee) && keyName(callee, "property") === "exit") return true;
    }
    for (const part of parts(at)) if (!isFunction(part)) stack.push(part);
  }
  return false;
}

/** Whether a condition compares with a value, or asks for a length or a list, besides asking for the mode. */
function tellsApart(condition: Node): boolean {
  const stack = [condition];
  for (let at = stack.pop(); at; at = stack.pop()) {
    if (at.type === "BinaryExpression") {
      const [left, right] = [child(at, "left"), child(at, "right")];
      const isMode = /env|mode|stage/i.test(
        isMember(left) ? keyName(left, "property") ?? "" : word(left, "name"),
      );
      const isEmpty = right?.type === "NullLiteral" ||
        word(right, "value") === "" && right?.type === "StringLiteral" ||
        word(right, "name") === "undefined";
      if (!isMode && !isEmpty) return true;
    }
    if (isCall(at)) {
      const callee = child(at, "callee");
      if (
        /^(includes|has|startsWith|test|match)$/.test(
          isMember(callee) ? keyName(callee, "property") ?? "" : "",
        )
      ) return true;
    }
    stack.push(...parts(at));
  }
  return false;
}
