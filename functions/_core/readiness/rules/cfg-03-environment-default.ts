import { pythonOf } from "../models/python.ts";
import { scripts } from "../models/scripts.ts";
import { type Setting, settingsOf } from "../models/settings.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const NAME =
  /^((\w+_)?(APP_|DEPLOY(MENT)?_|PYTHON_|DJANGO_|FLASK_|FASTAPI_|SERVER_|RUN_)?(ENV|ENVIRONMENT|STAGE)(_NAME|_MODE)?)$/i;
const NOT =
  /^(VIRTUAL_ENV|CONDA.*|NODE_ENV|.*DEFAULT_ENV|VERCEL_ENV|.*SENTRY_ENVIRONMENT|NEXT_PUBLIC_.*)$/i;
const DEVELOPMENT = /^["']?(dev|develop|development|local|localhost|debug|test|testing)["']?$/i;

/** Where nobody said which environment this is, it is production. */
export const environmentDefault: Rule = {
  id: "CFG-03",
  name: "environment-default",
  area: "config",
  severity: "p1",
  confidence: "medium",
  section: 1,
  title: "Without a word about the environment, the application is strict",
  remedy: "let the environment default to production, or require it, and let development say so",
  async check(repository) {
    const { settings } = await settingsOf(repository);
    const evidence: Evidence[] = [];
    for (const one of settings) {
      const isDebug = /^(\w+_)?DEBUG$/i.test(one.name) && one.language === "python";
      if (one.isDevelopment || (!isDebug && (!NAME.test(one.name) || NOT.test(one.name)))) continue;
      const { name, file, line, fallback } = one;
      if (isDebug) {
        if (fallback.kind !== "text" && fallback.kind !== "other") continue;
        const value = fallback.kind === "text" ? fallback.text : fallback.value;
        const isOn = /^(true|1|yes|on)$/i.test(value);
        if (isOn || /^(false|0|no|off)$/i.test(value)) {
          evidence.push({
            kind: isOn ? "gap" : "strength",
            file,
            line,
            message: isOn
              ? `${name} is on unless somebody turns it off`
              : `${name} is off by default`,
          });
        }
        continue;
      }
      if (one.style === "constant" && one.owner === null && fallback.kind !== "text") continue;
      const value = fallback.kind === "text" ? fallback.text : "";
      const last = value.split(".").at(-1) ?? "";
      if (fallback.kind === "text" && DEVELOPMENT.test(last)) {
        const uses = await branchesOn(repository, one);
        evidence.push({
          kind: uses.length > 0 ? "gap" : "weakness",
          ...(uses.length > 0 ? {} : { severity: "p2" as const }),
          file,
          line,
          message: `${name} is "${value}" unless somebody says otherwise` +
            (uses.length > 0
              ? `; ${uses.slice(0, 3).join(", ")} decide${uses.length === 1 ? "s" : ""} by it`
              : ""),
        });
      } else if (fallback.kind === "text") {
        evidence.push({
          kind: "strength",
          file,
          line,
          message: `${name} is "${value.slice(0, 40)}" by default`,
        });
      } else if (fallback.kind === "required") {
        evidence.push({ kind: "strength", file, line, message: `${name} has no default` });
      } else if (fallback.kind === "empty" && one.style !== "read") {
        evidence.push({
          kind: "strength",
          file,
          line,
          message: `${name} is nothing by default, and so not development`,
        });
      }
    }
    return conclude(evidence, {
      status: "not-applicable",
      summary: settings.length === 0
        ? "no back end reads settings here"
        : "no setting tells the environments apart: nothing is relaxed by one",
    });
  },
};

/** Where a condition compares the setting, as `file:line`. */
async function branchesOn(
  repository: Repository,
  { name, language, file, line }: Setting,
): Promise<string[]> {
  const found: string[] = [];
  if (language === "python") {
    for (const module of (await pythonOf(repository)).modules) {
      if (!module.file.text?.includes(name)) continue;
      for (const node of module.root.all("comparison_operator", "call", "not_operator")) {
        if ((module.path === file && node.line === line) || node.end - node.start > 5_000) continue;
        const isAsked = node.type === "comparison_operator" ||
          /\.(startswith|lower|endswith)$/.test(node.field("function")?.text.slice(-12) ?? "");
        if (isAsked && node.all("identifier").some((one) => one.text === name)) {
          found.push(`${module.path}:${node.line}`);
        }
      }
    }
    return [...new Set(found)];
  }
  for (const module of scripts(repository).mentioning(new RegExp(`\\b${name}\\b\\s*[!=]==?`))) {
    if (repository.file(module.path)?.context !== "test") found.push(module.path);
  }
  return found;
}
