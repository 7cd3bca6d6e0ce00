import type { PythonNode } from "../parsers.ts";
import { argumentsOf, dotted, enclosing, literalOf, stringOf } from "../python-node.ts";
import { lastName, type Python, type PythonClass, type PythonFunction } from "./python.ts";
import type { Guard } from "./settings.ts";

/** Longer conditions than this were written by a machine. */
const MOST_TEXT = 5_000;
const VALIDATOR = /^(field_validator|validator|model_validator|root_validator)$/;
const STOPS =
  /^(HTTPException|StarletteHTTPException|NotFound|Unauthorized|Forbidden|AuthenticationFailed|PermissionDenied|Http404)$/;

/** What asks for so many characters refuses the words that stand in for a secret. */
const SHORTEST = 16;

/** Validators of settings, and conditions anywhere that stop the start, with the names they look at. */
export function pythonGuards(python: Python, classes: readonly PythonClass[]): Guard[] {
  const found: Guard[] = [];
  for (const one of classes) {
    for (const field of one.fields) {
      const limit = literalOf(argumentsOf(field.value).keywords.get("min_length") ?? null);
      if (typeof limit !== "number" || limit < SHORTEST) continue;
      const names = new Set([field.name.toUpperCase()]);
      found.push({ file: one.module.path, line: field.line, names, kind: "placeholder" });
    }
    const methods = one.module.functions.filter((each) =>
      each.owner?.node.start === one.node.start
    );
    const raising = new Map(methods.flatMap((each) => {
      const kind = raisingKind(each.body);
      return kind ? [[each.name, kind] as const] : [];
    }));
    for (const method of methods) {
      const isValidator = method.decorators.some((node) =>
        VALIDATOR.test(lastName(node.type === "call" ? node.field("function") : node))
      ) || /^(__init__|model_post_init|__post_init__)$/.test(method.name);
      if (!isValidator) {
        continue;
      }
      const called = method.body.all("call").flatMap((call) =>
        raising.get(lastName(call.field("function"))) ?? []
      );
      const kinds = [raising.get(method.name), ...called].filter((kind) =>
        kind !== undefined
      );
      if (kinds.length === 0) continue;
      found.push({
        file: one.module.path,
        line: method.line,
        names: new Set([...namesIn(method.body), ...decoratorNames(method)]),
        kind: kinds.includes("placeholder") ? "placeholder" : "empty",
      });
    }
  }
  for (const module of python.modules) {
    for (const node of module.root.all("raise_statement", "call", "assert_statement")) {
      if (
        node.type === "call" &&
        !/^(sys\.exit|exit|quit|os\._exit)$/.test(dotted(node.field("function")) ?? "")
      ) continue;
      if (node.type === "raise_statement") {
        const [error] = node.children;
        const name = lastName(error?.type === "call" ? error.field("function") : error ?? null);
        if (STOPS.test(name)) continue;
      }
      const test = node.type === "assert_statement"
        ? node.children[0]
        : enclosing(node, "if_statement", "elif_clause", "function_definition")?.field("condition");
      if (!test || test.end - test.start > MOST_TEXT) continue;
      const loop = enclosing(node, "for_statement", "function_definition");
      const around = loop?.type === "for_statement" ? loop.field("right") : null;
      const names = new Set([...namesIn(test), ...(around ? namesIn(around) : [])]);
      if ([...names].some((name) => name.length > 2)) {
        found.push({ file: module.path, line: node.line, names, kind: kindOf(test) });
      }
    }
  }
  return found;
}

/** What a body raises for, null where it raises nothing or raises always. */
function raisingKind(body: PythonNode): Guard["kind"] | null {
  let kind: Guard["kind"] | null = null;
  for (const node of body.all("raise_statement", "assert_statement")) {
    const test = node.type === "assert_statement" ? [node.children[0]] : conditionsOf(node, body);
    for (const one of test) if (one) kind = kind === "placeholder" ? kind : kindOf(one);
  }
  return kind;
}

function conditionsOf(node: PythonNode, body: PythonNode): (PythonNode | null)[] {
  const found: (PythonNode | null)[] = [];
  for (let at = node.parent; at && at.start >= body.start && at.end <= body.end; at = at.parent) {
    if (at.type === "if_statement" || at.type === "elif_clause") found.push(at.field("condition"));
    if (at.type === "else_clause") found.push(at.parent?.field("condition") ?? null);
  }
  return found;
}

/** `not x`, `x is None`, `x == ""` ask whether something is there; other comparisons tell values apart. */
function kindOf(test: PythonNode): Guard["kind"] {
  const compares = test.type === "comparison_operator" ? [test] : test.all("comparison_operator");
  const isTelling = compares.some((one) => {
    const right = one.children.at(-1);
    const [left] = one.children;
    if (right?.type === "none" || stringOf(right ?? null) === "") return false;
    return !/env(ironment)?$|mode$|stage$|debug$/i.test(left?.text ?? "");
  });
  const calls = [test, ...test.all("call")].filter(({ type }) => type === "call");
  const isAsked = calls.some((call) =>
    /startswith|lower|is_weak|is_default|insecure|search|match|any|placeholder/i.test(
      call.field("function")?.text ?? "",
    )
  );
  return isTelling || isAsked ? "placeholder" : "empty";
}

function namesIn(node: PythonNode): Set<string> {
  const names = new Set<string>();
  for (const one of [node, ...node.all("identifier", "string")]) {
    if (one.type === "identifier") names.add(one.text.toUpperCase());
    if (one.type === "string") {
      const text = stringOf(one);
      if (text && /^\w+$/.test(text)) names.add(text.toUpperCase());
    }
  }
  return names;
}

/** `@field_validator("secret_key", "jwt_secret")`. */
function decoratorNames(method: PythonFunction): string[] {
  return method.decorators.flatMap((node) =>
    argumentsOf(node).positional.flatMap((one) => stringOf(one)?.toUpperCase() ?? [])
  );
}
