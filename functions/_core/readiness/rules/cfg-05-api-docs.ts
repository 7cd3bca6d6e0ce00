import { type Python, type PythonModule, pythonOf } from "../models/python.ts";
import { callsIn, originOf, scripts } from "../models/scripts.ts";
import { modeAt } from "../models/script-values.ts";
import { isModeTest } from "../models/settings-python.ts";
import type { PythonNode } from "../parsers.ts";
import { argumentsOf, bare, dotted, enclosing, stringOf } from "../python-node.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const URLS = ["docs_url", "redoc_url", "openapi_url"] as const;

/** The schema lists every route to everybody, those for administrators too. */
export const apiDocs: Rule = {
  id: "CFG-05",
  name: "api-docs",
  area: "config",
  severity: "p2",
  confidence: "medium",
  section: 1,
  title: "The API's documentation is off in production, or published on purpose",
  remedy:
    "set openapi_url, docs_url and redoc_url to None outside of development, or put them behind a login",
  async check(repository) {
    const python = await pythonOf(repository);
    const evidence = [
      ...python.calls("FastAPI").flatMap(({ module, node, line }) => {
        const isOwn = /(^|\.)FastAPI$/.test(python.fullName(module, node.field("function")) ?? "");
        return isOwn ? [judge(python, module, node, line)] : [];
      }),
      ...ofScripts(repository),
    ];
    return conclude(evidence, {
      status: "not-applicable",
      summary: "nothing publishes an API's documentation",
    });
  },
};

type Url = "off" | "gated" | "published" | "unknown";

function judge(python: Python, module: PythonModule, node: PythonNode, line: number): Evidence {
  const at = { file: module.path, line };
  const { positional, keywords } = argumentsOf(node);
  const hasSplat = positional.some(({ type }) => type === "dictionary_splat");
  const read = (name: typeof URLS[number]): Url => {
    const value = keywords.get(name);
    if (value) return urlOf(python, module, value);
    return hasSplat ? "unknown" : isGatedLater(module, node, name) ? "gated" : "published";
  };
  const [docs, redoc, openapi] = [read("docs_url"), read("redoc_url"), read("openapi_url")];
  // Without the schema there is nothing that the pages could show.
  if (openapi === "off" || openapi === "gated") {
    return {
      ...at,
      kind: "strength",
      message: `openapi_url is ${openapi === "off" ? "None" : "decided by the environment"}`,
    };
  }
  const pages = [docs, redoc];
  if (openapi === "unknown") {
    return {
      ...at,
      kind: "unknown",
      message: "whether the documentation is published is decided where it runs",
    };
  }
  if (pages.every((one) => one === "off" || one === "gated")) {
    return {
      ...at,
      kind: "weakness",
      message: "the pages are off, and the schema is still served at openapi_url",
    };
  }
  return {
    ...at,
    kind: "weakness",
    message: "the documentation and the schema are served to everybody, in every environment",
  };
}

function urlOf(python: Python, module: PythonModule, value: PythonNode): Url {
  const node = bare(value);
  if (node.type === "none" || stringOf(node) === "") return "off";
  if (node.type === "conditional_expression") {
    const [then, test, otherwise] = node.children;
    const parts = [then, otherwise].map((one) => one ? urlOf(python, module, one) : "unknown");
    return parts.includes("off") && test ? "gated" : "published";
  }
  if (node.type === "boolean_operator") {
    return /\bNone\b|\band\b/.test(node.text) && isModeTest(node.text) ? "gated" : "published";
  }
  if (node.type === "string" || node.type === "concatenated_string") return "published";
  const name = dotted(node);
  if (name === null) return "unknown";
  const local = module.functionAt(node)?.body.all("assignment").find((one) =>
    one.field("left")?.text === name
  )?.field("right");
  if (local) return urlOf(python, module, local);
  const found = python.definition(module, name);
  if (found && "kind" in found && found.kind === "constant" && found.value) {
    return urlOf(python, found.module, found.value);
  }
  return node.type === "attribute" ? "gated" : "unknown";
}

/** `if not settings.DEBUG: app.openapi_url = None`. */
function isGatedLater(module: PythonModule, node: PythonNode, name: string): boolean {
  const target = enclosing(node, "assignment")?.field("left")?.text;
  return module.root.all("assignment").some((one) =>
    one.field("left")?.text === `${target}.${name}` && one.field("right")?.type === "none"
  );
}

const PAGES =
  /swagger-ui-express\.(serve|setup)|@nestjs\/swagger\.SwaggerModule\.setup|@fastify\/swagger-ui|@hono\/swagger-ui|@scalar\//;

function ofScripts(repository: Repository): Evidence[] {
  const all = scripts(repository);
  return all.mentioning(/swagger|@scalar\//i).flatMap((module) => {
    if (repository.file(module.path)?.context !== "prod") return [];
    return callsIn(module).flatMap((call): Evidence[] => {
      const names = [call.node, ...call.args].map((one) => originOf(one, module, all) ?? "");
      if (
        !/\.(setup|register|get|use)$|^\w+$/.test(call.callee) ||
        !names.some((name) => PAGES.test(name))
      ) return [];
      if (
        !/\.(setup|register|use|get)$/.test(call.callee) || names[0]?.includes("swagger-ui-express")
      ) return [];
      const isDevelopment = modeAt(call.node, module, all) === "development";
      return [{
        kind: isDevelopment ? "strength" : "weakness",
        file: module.path,
        line: call.line,
        message: isDevelopment
          ? "the documentation is mounted in development alone"
          : "the documentation is served to everybody, in every environment",
      }];
    });
  });
}
