import { conclude, type Evidence, type Rule } from "../rule.ts";

const POLICY = /^(\.github\/|docs\/)?SECURITY\.(md|rst|txt)$/i;
const OWNERS = /^(\.github\/|docs\/)?CODEOWNERS$/;

/** Somebody who finds a hole must know whom to tell; a change to what matters must meet somebody's eyes. */
export const securityPolicy: Rule = {
  id: "CI-21",
  name: "security-policy",
  area: "ci",
  severity: "p2",
  confidence: "high",
  section: 4,
  title: "A security policy says where to report, and code owners review what changes",
  remedy: "add SECURITY.md with an address, and .github/CODEOWNERS with the paths that matter",
  check(repository) {
    const evidence: Evidence[] = [];
    for (
      const [name, path, absent] of [
        ["a security policy", POLICY, "SECURITY.md"],
        ["code owners", OWNERS, ".github/CODEOWNERS"],
      ] as const
    ) {
      const file = repository.matching(path).find((one) => (one.text ?? "").trim() !== "");
      evidence.push(
        file
          ? { kind: "strength", file: file.path, line: 1, message: `${name}: ${file.path}` }
          : { kind: "gap", file: absent, line: null, message: `there is no ${absent}` },
      );
    }
    return conclude(evidence, { status: "unknown", summary: "nothing was looked at" });
  },
};
