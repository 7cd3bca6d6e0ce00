import type { PythonNode } from "../parsers.ts";
import {
  argument,
  argumentsOf,
  bare,
  dotted,
  enclosing,
  literalOf,
  pairs,
  stringOf,
} from "../python-node.ts";
import type { Repository } from "../repository.ts";
import {
  lastName,
  type Python,
  type PythonClass,
  type PythonField,
  type PythonModule,
  pythonOf,
} from "./python.ts";
import { pythonGuards } from "./settings-guards.ts";
import {
  type Fallback,
  isDevelopmentFile,
  isDevelopmentName,
  type Setting,
  type Settings,
} from "./settings.ts";

const UNKNOWN: Fallback = { kind: "unknown" };
const MOST_STEPS = 8;
/** More than any module reads. */
const MOST_READS = 2_000;

/** The settings of the Python back ends. */
export async function pythonSettings(repository: Repository): Promise<Settings> {
  const python = await pythonOf(repository);
  const settings: Setting[] = [];
  const classes = settingsClasses(python);
  const taken = new Set<string>();
  for (const one of classes) settings.push(...fieldsOf(python, one, taken));
  for (const module of python.modules) settings.push(...readsOf(python, module, taken));
  for (const module of python.modules) settings.push(...constantsOf(python, module, taken));
  return {
    settings,
    guards: pythonGuards(python, classes),
    classes: classes.filter((one) => python.inherits(one, "BaseSettings")).map((one) => ({
      name: one.name,
      file: one.module.path,
      line: one.line,
      language: "python" as const,
    })),
  };
}

/** Classes that inherit BaseSettings, the models that are fields of them, and plain classes of that name. */
function settingsClasses(python: Python): PythonClass[] {
  const all = python.modules.flatMap((module) => [...module.classes]);
  const found = new Set(all.filter((one) => python.inherits(one, "BaseSettings")));
  for (const one of [...found]) {
    for (const field of one.fields) {
      for (const node of field.annotation?.all("identifier") ?? []) {
        const inner = python.definition(one.module, node.text);
        if (
          inner && "kind" in inner && inner.kind === "class" && python.inherits(inner, "BaseModel")
        ) {
          found.add(inner);
        }
      }
    }
  }
  for (const one of all) {
    const isInner = enclosing(one.node, "class_definition") !== null;
    const isPlain = /(Config|Settings|Configuration)$/.test(one.name) &&
      (one.bases.length === 0 || python.ancestors(one).length > 0 ||
        one.bases.every((base) => lastName(base) === "object"));
    if (!isInner && isPlain && !python.inherits(one, "BaseModel")) found.add(one);
  }
  return [...found];
}

/** What `model_config`, `class Config` or the class line says, the nearest class first. */
function configOf(python: Python, one: PythonClass, key: string): string | null {
  for (const each of [one, ...python.ancestors(one)]) {
    const config = each.fields.find(({ name }) => name === "model_config")?.value ?? null;
    const values = [
      each.keywords.get(key) ?? null,
      config ? argumentsOf(bare(config)).keywords.get(key) ?? null : null,
      config ? pairs(config).find((pair) => pair.key === key)?.value ?? null : null,
      each.inner.find(({ name }) => name === "Config")?.fields.find(({ name }) => name === key)
        ?.value ?? null,
    ];
    const found = values.map(stringOf).find((value) => value !== null);
    if (found !== undefined && found !== null) return found;
  }
  return null;
}

function fieldsOf(python: Python, one: PythonClass, taken: Set<string>): Setting[] {
  const { module } = one;
  const isTyped = python.inherits(one, "BaseSettings") || python.inherits(one, "BaseModel");
  const prefix = isTyped ? configOf(python, one, "env_prefix") ?? "" : "";
  return one.fields.flatMap((field) => {
    if (field.name === "model_config" || field.name.startsWith("_")) return [];
    if (/^ClassVar\b/.test(field.annotation?.text ?? "")) return [];
    for (const call of readCalls(field.node)) taken.add(`${module.path}:${call.start}`);
    const read = field.value ? readOf(python, module, field.value) : null;
    const variable = read?.variable ??
      (isTyped ? aliasOf(field) ?? `${prefix}${field.name}`.toUpperCase() : null);
    const isReader = read !== null && !isTyped;
    return [{
      language: "python" as const,
      name: field.name,
      variable,
      file: module.path,
      line: field.line,
      owner: one.name,
      style: isTyped ? "typed" as const : isReader ? "read" as const : "constant" as const,
      annotation: field.annotation?.text ?? null,
      fallback: field.value
        ? fallbackOf(python, module, field.value)
        : { kind: "required" } as const,
      isDevelopment: isDevelopmentName(one.name) || isDevelopmentFile(module.path) ||
        isDevelopmentBranch(field.node),
    }];
  });
}

/** `Field(validation_alias="X")`, `Field(env="X")`. */
function aliasOf({ value }: PythonField): string | null {
  if (value?.type !== "call" || lastName(value.field("function")) !== "Field") return null;
  const { keywords } = argumentsOf(value);
  for (const key of ["validation_alias", "alias", "env"]) {
    const node = keywords.get(key);
    const text = stringOf(node ?? null) ??
      (node ? stringOf(argumentsOf(node).positional[0] ?? null) : null);
    if (text !== null) return text;
  }
  return null;
}

/** What an expression is when the environment says nothing. */
export function fallbackOf(
  python: Python,
  module: PythonModule,
  value: PythonNode,
  steps = 0,
): Fallback {
  if (steps > MOST_STEPS) return UNKNOWN;
  const node = bare(value);
  const again = (inner: PythonNode | null | undefined) =>
    inner ? fallbackOf(python, module, inner, steps + 1) : { kind: "required" } as const;
  const literal = literalOf(node);
  if (typeof literal === "string") {
    return literal.trim() === "" ? { kind: "empty" } : { kind: "text", text: literal };
  }
  if (literal === null) return { kind: "empty" };
  if (literal !== undefined) return { kind: "other", value: String(literal) };
  switch (node.type) {
    case "ellipsis":
      return { kind: "required" };
    case "boolean_operator": {
      if (node.field("operator")?.text !== "or") return UNKNOWN;
      const left = again(node.field("left"));
      return left.kind === "empty" || left.kind === "required" ? again(node.field("right")) : left;
    }
    case "conditional_expression": {
      const [then, test, otherwise] = node.children;
      if (!then || !test || !otherwise) return UNKNOWN;
      // Which of the two production has, its condition says; where it can't be told, it is nobody's default.
      return isModeTest(test.text) ? UNKNOWN : again(otherwise);
    }
    case "identifier":
    case "attribute": {
      const name = dotted(node);
      const found = name ? python.definition(module, name) : null;
      if (found && "kind" in found && found.kind === "constant" && found.value) {
        return fallbackOf(python, found.module, found.value, steps + 1);
      }
      const member = node.type === "attribute" ? memberOf(python, module, node) : null;
      return member ? fallbackOf(python, member.module, member.value, steps + 1) : UNKNOWN;
    }
    case "subscript":
      return isEnvironment(python.fullName(module, node.field("value")))
        ? { kind: "required" }
        : UNKNOWN;
    case "call":
      break;
    case "list":
    case "tuple":
    case "set":
    case "dictionary":
      return { kind: "other", value: node.text.slice(0, 200) };
    default:
      return UNKNOWN;
  }
  const name = lastName(node.field("function"));
  const full = python.fullName(module, node.field("function")) ?? name;
  const { positional, keywords } = argumentsOf(node);
  if (name === "Field") {
    const factory = keywords.get("default_factory");
    if (factory) {
      if (factory.type === "lambda") return again(factory.field("body"));
      return /^(secrets|uuid|os)\./.test(python.fullName(module, factory) ?? "")
        ? { kind: "generated" }
        : UNKNOWN;
    }
    return again(keywords.get("default") ?? positional[0]);
  }
  if (
    /^Secret(Str|Bytes)?$/.test(name) ||
    /^(str|int|float|bool|quote|quote_plus|parse_obj_as|TypeAdapter|AnyUrl|PostgresDsn|URL)$/.test(
      name,
    )
  ) {
    return positional[0] ? again(positional[0]) : UNKNOWN;
  }
  if (
    /^(secrets|uuid)\.|^os\.urandom$|^(token_urlsafe|token_hex|uuid4|get_random_secret_key|generate_key)$/
      .test(full) ||
    /^(token_urlsafe|token_hex|get_random_secret_key|generate_key)$/.test(name)
  ) {
    return { kind: "generated" };
  }
  const read = readOf(python, module, node);
  if (read) {
    const isSoft = /(^|\.)(getenv|get)$/.test(full);
    return read.fallback ? again(read.fallback) : isSoft ? { kind: "empty" } : { kind: "required" };
  }
  // `.strip()` and the like keep what was there.
  if (
    node.field("function")?.type === "attribute" &&
    /^(strip|lower|upper|rstrip|lstrip|encode)$/.test(name)
  ) {
    return again(node.field("function")?.field("object"));
  }
  return UNKNOWN;
}

/** `Environment.development` of an enumeration. */
function memberOf(
  python: Python,
  module: PythonModule,
  node: PythonNode,
): { module: PythonModule; value: PythonNode } | null {
  const name = dotted(node.field("object"));
  const owner = name ? python.definition(module, name) : null;
  if (!owner || !("kind" in owner) || owner.kind !== "class") return null;
  const value = owner.fields.find((one) => one.name === lastName(node))?.value;
  return value ? { module: owner.module, value } : null;
}

function isEnvironment(name: string | null): boolean {
  return name === "os.environ" || name === "environ";
}

type Read = { variable: string; fallback: PythonNode | null };

/** The variable that an expression reads, wherever it stands in it. */
function readOf(python: Python, module: PythonModule, value: PythonNode): Read | null {
  for (const node of readCalls(value)) {
    const found = oneRead(python, module, node);
    if (found) return found;
  }
  return null;
}

function readCalls(node: PythonNode): PythonNode[] {
  const below = node.all("call", "subscript");
  return node.type === "call" || node.type === "subscript" ? [node, ...below] : below;
}

function oneRead(python: Python, module: PythonModule, node: PythonNode): Read | null {
  if (node.type === "subscript") {
    const variable = stringOf(node.field("subscript"));
    return variable !== null && isEnvironment(python.fullName(module, node.field("value")))
      ? { variable, fallback: null }
      : null;
  }
  const callee = node.field("function");
  const full = python.fullName(module, callee);
  const variable = stringOf(argument(node, 0, "key"));
  if (full === null || variable === null || !/^[A-Za-z_][\w.]*$/.test(variable)) return null;
  if (/^(os\.)?(environ\.get|getenv)$/.test(full)) {
    return { variable, fallback: argument(node, 1, "default") };
  }
  if (
    /^(decouple|starlette\.config)\./.test(full) ||
    isMaker(python, module, full, "Env", "Config", "AutoConfig")
  ) {
    const isStarlette = /(^|\.)config$/i.test(full);
    return {
      variable,
      fallback: argumentsOf(node).keywords.get("default") ??
        (isStarlette ? null : argumentsOf(node).positional[1] ?? null),
    };
  }
  return null;
}

/** Whether `env("X")` or `env.str("X")` calls what django-environ, environs or starlette make. */
function isMaker(python: Python, module: PythonModule, full: string, ...names: string[]): boolean {
  const [first = ""] = full.split(".");
  const found = python.definition(module, first);
  if (!found || !("kind" in found) || found.kind !== "constant" || found.value?.type !== "call") {
    return false;
  }
  return names.includes(lastName(found.value.field("function")));
}

/** Reads of the environment outside of settings classes. */
function readsOf(python: Python, module: PythonModule, taken: ReadonlySet<string>): Setting[] {
  if (!/environ|getenv|decouple|environs|starlette\.config/.test(module.file.text ?? "")) return [];
  const found: Setting[] = [];
  for (const node of module.root.all("call", "subscript")) {
    if (found.length >= MOST_READS) break;
    if (taken.has(`${module.path}:${node.start}`)) continue;
    const read = oneRead(python, module, node);
    if (!read) continue;
    const statement = enclosing(node, "expression_statement");
    const whole = outermost(node);
    if (
      statement?.children[0]?.type === "assignment" &&
      statement.children[0].field("left")?.text.includes("environ[")
    ) continue;
    found.push({
      language: "python",
      name: read.variable,
      variable: read.variable,
      file: module.path,
      line: node.line,
      owner: null,
      style: "read",
      annotation: null,
      fallback: fallbackOf(python, module, whole),
      isDevelopment: isDevelopmentFile(module.path) || isDevelopmentBranch(node),
    });
  }
  return found;
}

/** `x or "default"` around `x`. */
function outermost(node: PythonNode): PythonNode {
  let here = node;
  for (let at = node.parent; at; at = at.parent) {
    const isOr = at.type === "boolean_operator" && at.field("operator")?.text === "or";
    if (!isOr && at.type !== "parenthesized_expression") break;
    here = at;
  }
  return here;
}

/** `SECRET_KEY = "…"` at the top of a module, `app.config["SECRET_KEY"] = "…"`, `app.config.update(SECRET_KEY="…")`. */
function constantsOf(python: Python, module: PythonModule, taken: ReadonlySet<string>): Setting[] {
  const found: Setting[] = [];
  const add = (name: string, value: PythonNode, node: PythonNode) => {
    if (
      readCalls(value).some((call) =>
        taken.has(`${module.path}:${call.start}`) || oneRead(python, module, call)
      )
    ) return;
    found.push({
      language: "python",
      name,
      variable: null,
      file: module.path,
      line: node.line,
      owner: null,
      style: "constant",
      annotation: null,
      fallback: fallbackOf(python, module, value),
      isDevelopment: isDevelopmentFile(module.path) || isDevelopmentBranch(node),
    });
  };
  for (const { name, value } of module.constants.values()) {
    if (value && /^[A-Z][A-Z0-9_]*$/.test(name)) add(name, value, value);
  }
  for (const assignment of module.root.all("assignment")) {
    const left = assignment.field("left");
    const right = assignment.field("right");
    if (!right) continue;
    const isConfig = left?.type === "subscript" &&
      /(^|\.)config$/.test(dotted(left.field("value")) ?? "");
    const name = isConfig ? stringOf(left.field("subscript")) : null;
    if (name) add(name, right, assignment);
    if (left?.type === "attribute" && /^(app|application)\.secret_key$/.test(left.text)) {
      add("SECRET_KEY", right, assignment);
    }
  }
  for (const { node } of module.calls) {
    if (!/(^|\.)config\.(update|from_mapping)$/.test(dotted(node.field("function")) ?? "")) {
      continue;
    }
    for (const [name, value] of argumentsOf(node).keywords) add(name, value, value);
  }
  return found;
}

/** Whether a condition asks for the mode: `settings.DEBUG`, `ENVIRONMENT == "local"`. */
export function isModeTest(text: string): boolean {
  return /\b(\w*env(ironment)?|\w*ENV(IRONMENT)?|debug|DEBUG|TESTING|testing|stage|STAGE|is_(dev|prod|local|test)\w*|IS_(DEV|PROD|LOCAL|TEST)\w*|production|development)\b/
    .test(text.slice(0, 500));
}

/** Whether a statement runs only where a condition says development: `if DEBUG:`, the `else` of `if env == "production"`. */
export function isDevelopmentBranch(node: PythonNode): boolean {
  let levels = 0;
  for (let at: PythonNode | null = node; at?.parent && levels < 2_000; at = at.parent, levels++) {
    const { parent } = at as PythonNode;
    if (
      !parent ||
      (parent.type !== "if_statement" && parent.type !== "elif_clause" &&
        parent.type !== "else_clause")
    ) continue;
    const test = parent.type === "else_clause"
      ? parent.parent?.field("condition")
      : parent.field("condition");
    if (!test || test.start === at.start || !isModeTest(test.text)) continue;
    const saysProduction = /prod|live/i.test(test.text) !== /\bnot\b|!=/.test(test.text);
    if (parent.type === "else_clause" ? saysProduction : !saysProduction) return true;
  }
  return false;
}
