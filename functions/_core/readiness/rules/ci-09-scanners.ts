import { gap, strength, weakness } from "../evidence.ts";
import { unseenSystems } from "../models/ci-absence.ts";
import type { ScannerClass } from "../models/scanner-tools.ts";
import { type Found, scannersOf } from "../models/scanners.ts";
import { unreadWorkflows, workflowsOf } from "../models/workflows.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const CLASSES: Record<ScannerClass, string> = {
  secrets: "secrets (gitleaks, trufflehog, …)",
  dependencies: "known holes in dependencies (pip-audit, npm audit, osv-scanner, …)",
  code: "holes in the code (codeql, semgrep, bandit, …)",
  images: "known holes in images (trivy, grype, …)",
  workflows: "holes in the workflows (zizmor, actionlint, …)",
};

/** Scanners that run on everybody's change; how they end is CI-10's question. */
export const scanners: Rule = {
  id: "CI-09",
  name: "scanners",
  area: "ci",
  severity: "p1",
  confidence: "medium",
  section: 4,
  title: "CI looks for secrets, and for holes in dependencies, code, images and workflows",
  remedy: "add the scanners that are missing to a workflow that runs on every pull request",
  check(repository) {
    const found = scannersOf(repository);
    const asked = (Object.keys(CLASSES) as ScannerClass[]).filter((one) => arises(repository, one));
    const unread = unreadWorkflows(workflowsOf(repository));
    const evidence = asked.flatMap((one) => judge(repository, one, found, unread.length > 0));
    evidence.push(...unread);
    return conclude(evidence, { status: "unknown", summary: "nothing was looked at" });
  },
};

function arises(repository: Repository, looksFor: ScannerClass): boolean {
  if (looksFor === "workflows") return workflowsOf(repository).all.length > 0;
  if (looksFor === "images") return repository.matching(/(^|\/)Dockerfile[^/]*$/).length > 0;
  if (looksFor !== "dependencies") return true;
  return repository.matching(MANIFEST).length > 0;
}

const MANIFEST =
  /(^|\/)(package\.json|pyproject\.toml|requirements[^/]*\.txt|Pipfile|go\.mod|Cargo\.toml|Gemfile|pom\.xml|composer\.json)$/;

function judge(
  repository: Repository,
  looksFor: ScannerClass,
  all: readonly Found[],
  isPartial: boolean,
): Evidence[] {
  const found = all.filter((one) => one.looksFor === looksFor);
  const inCi = found.filter(({ where }) => where === "ci");
  const [first] = inCi;
  if (first) {
    const seldom = inCi.every(({ job }) =>
      job !== null && job.triggers.length > 0 &&
      job.triggers.every((one) => one === "workflow_dispatch")
    );
    const message = `${first.tool} looks for ${looksFor}`;
    return [
      seldom
        ? weakness(first.file, first.line, `${message}, but only when somebody starts it`)
        : strength(first.file, first.line, message),
    ];
  }
  const isLesser = looksFor === "images" || looksFor === "workflows";
  const [hook] = found;
  if (hook) {
    const message =
      `${hook.tool} looks for ${looksFor} on developers' machines, nothing enforces it`;
    return [gap(hook.file, hook.line, message, isLesser ? { severity: "p2" } : {})];
  }
  const [other] = unseenSystems(repository);
  const home = workflowsOf(repository).all[0]?.file ?? other?.file ?? ".github/workflows";
  const message = `nothing in CI looks for ${CLASSES[looksFor]}`;
  if (other || isPartial) {
    return [{ kind: "unknown", file: home, line: null, message: `${message} that can be read` }];
  }
  return [gap(home, null, message, isLesser ? { severity: "p2" } : {})];
}
