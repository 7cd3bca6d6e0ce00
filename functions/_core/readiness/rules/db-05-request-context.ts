import { type Python, pythonOf } from "../models/python.ts";
import { lineOf, originOf, scripts } from "../models/scripts.ts";
import { enclosing, stringOf } from "../python-node.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** Words that say whose request it is. */
const TENANT = /tenant|organi[sz]ation|(^|_)org(_|$)|workspace|company|account/i;

/** Two requests of one event loop share a module's variables and a thread's locals; the second sees the first's tenant. */
export const requestContext: Rule = {
  id: "DB-05",
  name: "request-context",
  area: "db",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "The tenant of a request is kept where no other request can see it",
  remedy:
    "keep it in a ContextVar (AsyncLocalStorage in Node), set it in one place, and reset it with its token",
  async check(repository) {
    const evidence = [...ofPython(await pythonOf(repository)), ...ofScripts(repository)];
    return conclude(evidence, {
      status: "not-applicable",
      summary: "no tenant is kept outside of function arguments",
    });
  },
};

function ofPython(python: Python): Evidence[] {
  const found: Evidence[] = [];
  const isAsync = python.modules.some(({ file }) => /\basync def\b/.test(file.text ?? ""));
  for (const module of python.modules) {
    for (const { name, value, line } of module.constants.values()) {
      if (value?.type !== "call") continue;
      const full = python.fullName(module, value.field("function")) ?? "";
      const label = stringOf(value.field("arguments")?.children[0] ?? null) ?? "";
      const isTenant = TENANT.test(name) || TENANT.test(label);
      if (/(^|\.)ContextVar$/.test(full) && isTenant) {
        const calls = [...python.calls("set"), ...python.calls("reset")].filter(({ node }) =>
          node.field("function")?.field("object")?.text.split(".").at(-1) === name
        );
        const has = (method: string) =>
          calls.some(({ node }) => node.field("function")?.field("attribute")?.text === method);
        if (!has("set")) continue;
        found.push({
          kind: has("reset") ? "strength" : "weakness",
          ...(has("reset") ? {} : { severity: "p2" as const }),
          file: module.path,
          line,
          message: has("reset")
            ? `${name} is a ContextVar, set and reset`
            : `${name} is a ContextVar that nothing resets`,
        });
      }
      if (/^(threading\.)?local$/.test(full) && full !== "local" || full === "threading.local") {
        const fields = module.root.all("attribute").filter((node) =>
          node.field("object")?.text === name && TENANT.test(node.field("attribute")?.text ?? "")
        );
        if (!isTenant && fields.length === 0) continue;
        found.push({
          kind: isAsync ? "gap" : "weakness",
          file: module.path,
          line,
          message: `${name} keeps the tenant in a thread's locals${
            isAsync ? ", which the requests of an event loop share" : ""
          }`,
        });
      }
    }
    for (const node of module.root.all("global_statement")) {
      const fn = enclosing(node, "function_definition");
      for (const one of node.children) {
        if (!TENANT.test(one.text) || !/current|ctx|context|active|request/i.test(one.text)) {
          continue;
        }
        const isSet = fn?.all("assignment").some((each) => each.field("left")?.text === one.text);
        if (!isSet) continue;
        found.push({
          kind: "gap",
          file: module.path,
          line: node.line,
          message: `${one.text} is a variable of the module that each request overwrites`,
        });
      }
    }
  }
  return found;
}

function ofScripts(repository: Repository): Evidence[] {
  const all = scripts(repository);
  const found: Evidence[] = [];
  for (const module of all.mentioning(/AsyncLocalStorage|current(Tenant|Org|Workspace|Account)/)) {
    const context = repository.file(module.path)?.context;
    if (
      context === "test" || /\.[jt]sx$/.test(module.path) ||
      module.directives.includes("use client")
    ) continue;
    for (const binding of module.scope.names.values()) {
      if (binding.kind !== "variable") continue;
      const line = lineOf(module, binding.node);
      const origin = originOf(binding.init ?? null, module, all) ?? "";
      if (
        /AsyncLocalStorage\(\)$/.test(origin) &&
        (TENANT.test(binding.name) || TENANT.test(module.text))
      ) {
        found.push({
          kind: "strength",
          file: module.path,
          line,
          message: `${binding.name} is an AsyncLocalStorage`,
        });
      }
      if (
        /^current(Tenant|Org|Organi[sz]ation|Workspace|Account)(Id)?$/.test(binding.name) &&
        binding.assigned.length > 0
      ) {
        found.push({
          kind: "gap",
          file: module.path,
          line,
          message: `${binding.name} is a variable of the module that each request overwrites`,
        });
      }
    }
  }
  return found;
}
