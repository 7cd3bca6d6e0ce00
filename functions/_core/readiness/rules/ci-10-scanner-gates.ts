import { gap, strength } from "../evidence.ts";
import { unseenSystems } from "../models/ci-absence.ts";
import { type Found, scannersOf } from "../models/scanners.ts";
import { unreadWorkflows, workflowsOf } from "../models/workflows.ts";
import { conclude, type Rule } from "../rule.ts";

/** A scanner whose findings stop nothing is a log that nobody reads. */
export const scannerGates: Rule = {
  id: "CI-10",
  name: "scanner-gates",
  area: "ci",
  severity: "p1",
  confidence: "high",
  section: 4,
  title: "What a scanner finds stops the change",
  remedy: "let it fail: exit code 1, no `continue-on-error`, no `|| true`",
  check(repository) {
    const found = scannersOf(repository).filter(({ where }) => where === "ci");
    const soft = found.filter((one) => one.soft && !hasGate(one, found));
    const seen = new Set<string>();
    const evidence = soft.flatMap(({ tool, soft: why, file, line }) => {
      const place = `${file}:${line}`;
      if (!why || seen.has(place)) return [];
      seen.add(place);
      return [gap(file, line, `${tool} stops nothing: ${why.reason}`)];
    });
    evidence.push(...unreadWorkflows(workflowsOf(repository)));
    for (const { tool, file, line } of found.filter((one) => !one.soft)) {
      evidence.push(strength(file, line, `${tool} fails the job`));
    }
    const others = unseenSystems(repository);
    return conclude(evidence, {
      status: others.length > 0 ? "unknown" : "not-applicable",
      summary: "CI has no scanner (CI-09 says which)",
    });
  },
};

/** A report first, then the same tool once more to fail the job: that is a gate. */
function hasGate(one: Found, all: readonly Found[]): boolean {
  return all.some((other) =>
    !other.soft && other.tool === one.tool && other.looksFor === one.looksFor &&
    other.file === one.file && other.job === one.job
  );
}
