import type { Repository } from "./repository.ts";

/** What is scored, in the order of the report. */
export const AREAS = [
  "config",
  "secrets",
  "ci",
  "security",
  "db",
  "auth",
  "observability",
  "dr",
  "deployment",
] as const;
export type Area = typeof AREAS[number];

/** P0: stop. P1: before standard production. P2: before enterprise production. */
export type Severity = "p0" | "p1" | "p2";

/**
 * `unknown`: the question stands and the files don't answer it (a parser failed, a value is dynamic, a file is absent).
 * `not-applicable`: the question doesn't arise here.
 */
export type Status = "pass" | "fail" | "warn" | "unknown" | "not-applicable";

/** One place that speaks for or against. Lines count from 1; null where a whole file, or an absence, is meant. */
export type Evidence = {
  /** `gap` fails the rule, `weakness` warns, `strength` is what a pass rests on, `unknown` could not be decided. */
  kind: "gap" | "weakness" | "strength" | "unknown";
  file: string;
  line: number | null;
  /** What is there, one sentence. Never a secret: `redact()` says how long it is and the head of its hash. */
  message: string;
  /** Where it weighs other than its rule, in either direction. A file for tests or development lowers it by itself. */
  severity?: Severity;
  /** Set where the file is what production runs, whatever its path says: `docker-compose.dev.yml` named by a deploy. */
  isProduction?: boolean;
  /** Set where somebody answers for it until a date: listed as ignored, neither open nor ever a pass. */
  ignored?: { reason: string; until: string };
};

/** What a rule concludes; made by {@link conclude}. */
export type Outcome = { status: Status; summary: string; evidence: Evidence[] };

/** One question to a repository: a file in rules/, a test in tests/readiness/, a page in docs/readiness/, one id. */
export type Rule = {
  /** As `SEC-01`: stable, what ignores, baselines and SARIF name. */
  id: string;
  /** As `secret-default`: with the id, the name of its three files. */
  name: string;
  area: Area;
  severity: Severity;
  /** How often a gap is one: `low` never weighs more than P2. */
  confidence: "high" | "medium" | "low";
  /** The section of the audit that asks it: 1 configuration, 2 back end, 3 web, 4 CI, 5 infrastructure. */
  section: 1 | 2 | 3 | 4 | 5;
  /** The question as a statement that holds when the rule passes. */
  title: string;
  /** What to do about a gap, in the imperative. */
  remedy: string;
  check: (repository: Repository) => Outcome | Promise<Outcome>;
};

/**
 * The outcome that the evidence allows: a gap fails, a weakness warns, an unknown is unknown, and only a strength
 * passes. Without any, `otherwise` says why there is nothing to see: it can't be a pass.
 *
 * @example
 * conclude(evidence, { status: "not-applicable", summary: "no workflow" });
 */
export function conclude(
  evidence: readonly Evidence[],
  otherwise: { status: "unknown" | "not-applicable" | "fail"; summary: string },
): Outcome {
  const of = (kind: Evidence["kind"]) => evidence.filter((one) => one.kind === kind);
  const [gaps, weaknesses, strengths, unknowns] = [
    of("gap"),
    of("weakness"),
    of("strength"),
    of("unknown"),
  ];
  const sorted = [...gaps, ...weaknesses, ...unknowns, ...strengths];
  const outcome = (status: Status, ruling: readonly Evidence[]): Outcome => ({
    status,
    summary: ruling.length === 1 ? ruling[0]?.message ?? "" : `${ruling.length} places`,
    evidence: sorted,
  });
  if (gaps.length > 0) return outcome("fail", gaps);
  if (weaknesses.length > 0) return outcome("warn", weaknesses);
  if (unknowns.length > 0) return outcome("unknown", unknowns);
  if (strengths.length > 0) return outcome("pass", strengths);
  return { ...otherwise, evidence: [] };
}

/** The evidence without what it says twice of one place. */
export function unique(evidence: readonly Evidence[]): Evidence[] {
  const seen = new Set<string>();
  return evidence.filter(({ kind, file, line, message }) => {
    const key = `${kind}\0${file}\0${line}\0${message}`;
    return !seen.has(key) && seen.add(key);
  });
}
