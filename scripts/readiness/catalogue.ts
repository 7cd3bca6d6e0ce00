import { readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { BulkheadError } from "../../functions/_core/errors.ts";
import type { Rule } from "../../functions/_core/readiness/rule.ts";
import { RULES } from "../../functions/_core/readiness/rules/index.ts";
import { PACKAGE_ROOT } from "../cli/package.ts";

/** The rule of an id, in capitals or not. @throws BulkheadError `BH_READINESS_RULE` when there is none. */
export function ruleOf(id: string): Rule {
  const rule = RULES.find((one) => one.id === id.toUpperCase());
  if (rule) return rule;
  throw new BulkheadError("BH_READINESS_RULE", `Cannot find the rule "${id}": there is none`, {
    kind: "usage",
    hint: "bulkhead readiness --list-rules",
  });
}

/** Print every rule: its id, what it weighs at most, and what holds when it passes. */
export function listRules({ json }: { json?: boolean }): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(RULES, null, 2)}\n`);
    return;
  }
  for (const { id, name, severity, area, title } of RULES) {
    process.stdout.write(`${id} ${name} (${severity.toUpperCase()}, ${area})\n    ${title}\n`);
  }
}

/** Print the page of a rule. */
export async function explainRule(id: string): Promise<void> {
  const rule = ruleOf(id);
  const page = `docs/readiness/${rule.id.toLowerCase()}-${rule.name}.md`;
  process.stdout.write(await readFile(join(PACKAGE_ROOT, page), "utf8"));
}
