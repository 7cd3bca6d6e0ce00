import type { Area, Severity, Status } from "../rule.ts";
import type { Answer, AreaScore, Report, ReportEvidence, ReportRule } from "./contract.ts";

/** A sign for each status, the same in every rendering. */
export const MARK: Record<Status, string> = {
  fail: "✗",
  warn: "!",
  unknown: "?",
  pass: "✓",
  "not-applicable": "–",
};

export const ANSWER: Record<Answer["answer"], string> = {
  go: "GO",
  "no-go": "NO-GO",
  unproven: "UNPROVEN",
};

export const USES = [
  ["pilot", "Pilot"],
  ["standard", "Standard production"],
  ["enterprise", "Enterprise production"],
] as const;

export const AREA_TITLES: Record<Area, string> = {
  config: "Config",
  secrets: "Secrets",
  ci: "CI",
  security: "Security",
  db: "DB",
  auth: "Auth",
  observability: "Observability",
  dr: "DR",
  deployment: "Deployment",
};

export const GAP_TITLES: Record<Severity, string> = {
  p0: "P0: stop",
  p1: "P1: before production",
  p2: "P2: before the enterprise",
};

/** What an area's score is read as. */
export function scoreText({ score, is_sufficient, unknown, capped_by }: AreaScore): string {
  if (score === null) return unknown > 0 ? "insufficient evidence" : "nothing to judge";
  const cap = capped_by.length > 0 ? `, held down by ${capped_by.join(", ")}` : "";
  return is_sufficient ? `${score}${cap}` : `insufficient evidence (${score}${cap})`;
}

/** As "4 of 5": what could be evaluated of what applies. */
export function coverageText({ pass, warn, fail, unknown }: AreaScore): string {
  return `${pass + warn + fail} of ${pass + warn + fail + unknown}`;
}

/** The open rules of a severity, failures first. */
export function openRules({ rules }: Report, severity: Severity): ReportRule[] {
  return rules.filter((one) => one.severity === severity)
    .toSorted((a, b) => Number(a.status === "warn") - Number(b.status === "warn"));
}

/** The places that make a rule what it is: of a failure its gaps, of a pass its strengths. */
export function rulingEvidence(rule: ReportRule): ReportEvidence[] {
  const kinds: Record<Status, ReportEvidence["kind"][]> = {
    fail: ["gap", "weakness"],
    warn: ["weakness", "gap"],
    unknown: ["unknown"],
    pass: ["strength"],
    "not-applicable": [],
  };
  return rule.evidence.filter(({ kind, ignored }) => !ignored && kinds[rule.status].includes(kind));
}

/** What somebody answers for until a date. */
export function ignoredEvidence(
  { rules }: Report,
): { rule: ReportRule; evidence: ReportEvidence }[] {
  return rules.flatMap((rule) =>
    rule.evidence.flatMap((evidence) => evidence.ignored ? [{ rule, evidence }] : [])
  );
}

/** As "src/a.ts:12", or the path alone. */
export function placeText({ file, line }: { file: string; line: number | null }): string {
  return line === null ? file : `${file}:${line}`;
}
