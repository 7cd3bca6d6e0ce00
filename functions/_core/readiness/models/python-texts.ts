import type { PythonNode } from "../parsers.ts";
import { argumentsOf, bare, dotted, stringOf } from "../python-node.ts";
import { lastName, type Python, type PythonClass, type PythonModule } from "./python.ts";
import { isModeTest } from "./settings-python.ts";

/** The texts that an expression can hold by what the code says, and whether something else can add to them. */
export type Texts = {
  texts: string[];
  isOpen: boolean;
  /** The settings that it is made of. */
  fields: { name: string; owner: PythonClass; value: PythonNode | null; line: number }[];
};

const MOST_STEPS = 200;

/**
 * Every text an expression can hold: lists, constants, defaults of settings, properties, `split`. What only
 * development gets is left out.
 *
 * @example
 * textsOf(python, module, origins).texts.includes("*");
 */
export function textsOf(python: Python, module: PythonModule, node: PythonNode): Texts {
  const found: Texts = { texts: [], isOpen: false, fields: [] };
  let steps = 0;
  const seen = new Set<string>();
  const walk = (value: PythonNode | null | undefined, from: PythonModule): void => {
    if (!value) return;
    const here = bare(value);
    const key = `${from.path}:${here.start}:${here.end}`;
    if (++steps > MOST_STEPS || seen.has(key)) return;
    seen.add(key);
    const text = stringOf(here);
    if (text !== null) return void found.texts.push(text);
    switch (here.type) {
      case "list":
      case "tuple":
      case "set":
      case "expression_list":
        return here.children.forEach((one) =>
          walk(one.type === "list_splat" ? one.children[0] : one, from)
        );
      case "boolean_operator":
      case "binary_operator":
        walk(here.field("left"), from);
        return walk(here.field("right"), from);
      case "conditional_expression": {
        const [then, test, otherwise] = here.children;
        const isMode = test !== undefined && isModeTest(test.text);
        const saysProduction =
          /prod|live/i.test(test?.text ?? "") !== /\bnot\b|!=/.test(test?.text ?? "");
        if (!isMode || saysProduction) walk(then, from);
        if (!isMode || !saysProduction) walk(otherwise, from);
        return;
      }
      case "list_comprehension":
      case "generator_expression":
      case "set_comprehension":
        return here.children.forEach((one) =>
          one.type === "for_in_clause" && walk(one.field("right"), from)
        );
      case "none":
        return;
      case "call":
        return call(here, from);
      case "identifier":
      case "attribute":
        return name(here, from);
      default:
        found.isOpen = true;
    }
  };
  const call = (here: PythonNode, from: PythonModule) => {
    const callee = here.field("function");
    const { positional, keywords } = argumentsOf(here);
    const last = lastName(callee);
    if (callee?.type === "attribute" && /^(split|strip|rstrip|lower|copy)$/.test(last)) {
      return walk(callee.field("object"), from);
    }
    if (/^(getenv|get|config|str|list|env)$/.test(last) && positional.length > 0) {
      if (/^(list|str)$/.test(last)) return walk(positional[0], from);
      found.isOpen = true;
      return walk(keywords.get("default") ?? positional[1], from);
    }
    if (last === "Field") {
      return walk(
        keywords.get("default") ?? keywords.get("default_factory")?.field("body") ?? positional[0],
        from,
      );
    }
    found.isOpen = true;
    positional.forEach((one) => walk(one, from));
  };
  const name = (here: PythonNode, from: PythonModule) => {
    const full = dotted(here);
    const constant = full ? python.definition(from, full) : null;
    if (constant && "kind" in constant && constant.kind === "constant") {
      return walk(constant.value, constant.module);
    }
    const last = lastName(here);
    const local = here.type === "identifier" ? localValue(from, here) : null;
    if (local) return walk(local, from);
    const fields = here.type === "attribute" ? fieldsNamed(python, last) : [];
    for (const one of fields) {
      found.fields.push(one);
      if (one.value) walk(one.value, one.owner.module);
      else found.isOpen = true;
    }
    const properties = here.type === "attribute" ? propertiesNamed(python, last) : [];
    for (const one of properties) {
      for (const back of one.body.all("return_statement")) walk(back.children[0], one.module);
    }
    if (fields.length + properties.length === 0) found.isOpen = true;
  };
  walk(node, module);
  return found;
}

function localValue(module: PythonModule, node: PythonNode): PythonNode | null {
  const fn = module.functionAt(node);
  return fn?.body.all("assignment").find((one) => one.field("left")?.text === node.text)?.field(
    "right",
  ) ?? null;
}

function fieldsNamed(python: Python, name: string): Texts["fields"] {
  return python.modules.flatMap((module) =>
    module.file.text?.includes(name)
      ? module.classes.flatMap((owner) =>
        owner.fields.flatMap((field) =>
          field.name === name && /Settings|Config/.test(owner.name)
            ? [{ name, owner, value: field.value, line: field.line }]
            : []
        )
      )
      : []
  ).slice(0, 8);
}

function propertiesNamed(python: Python, name: string) {
  return python.modules.flatMap((module) =>
    module.file.text?.includes(name)
      ? module.functions.filter((one) =>
        one.name === name && one.owner !== null && /Settings|Config/.test(one.owner.name)
      )
      : []
  ).slice(0, 4);
}
