import type { Judgement } from "../audit.ts";
import type { Report } from "./contract.ts";

type Risk = Report["risks"][number]["risk"];

/** What breaks first when there are many: of users, of rows, of replicas. */
const SCALING = new Set([
  ...["APP-05", "APP-11", "APP-12", "DB-07", "DB-08", "DB-09", "DB-10", "DB-13", "DEP-04"],
  ...["JOB-01", "JOB-03", "JOB-04"],
]);
/** What lets one tenant see or touch another. */
const ISOLATION = new Set(["DB-01", "DB-02", "DB-03", "DB-04", "DB-05", "DB-06", "APP-13"]);
const OPERATIONS = new Set(["observability", "dr", "deployment", "config"]);

/**
 * What the open rules put at risk.
 *
 * @example
 * risksOf(judgements).find(({ risk }) => risk === "scaling")?.rules; // ["DB-09"]
 */
export function risksOf(judgements: readonly Judgement[]): Report["risks"] {
  const risks: Report["risks"] = [
    { risk: "security", rules: [] },
    { risk: "data isolation", rules: [] },
    { risk: "operations", rules: [] },
    { risk: "scaling", rules: [] },
  ];
  for (const { rule, severity } of judgements) {
    if (severity === null) continue;
    const risk: Risk = ISOLATION.has(rule.id)
      ? "data isolation"
      : SCALING.has(rule.id)
      ? "scaling"
      : OPERATIONS.has(rule.area)
      ? "operations"
      : "security";
    risks.find((one) => one.risk === risk)?.rules.push(rule.id);
  }
  return risks;
}
