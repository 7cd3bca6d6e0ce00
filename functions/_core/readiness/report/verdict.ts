import type { Judgement } from "../audit.ts";
import type { Area, Severity } from "../rule.ts";
import type { Answer, AreaScore, Report } from "./contract.ts";

/** Where a hole reaches the data of a pilot's customers already. */
const PILOT: ReadonlySet<Area> = new Set(["secrets", "security", "auth", "db"]);
const STANDARD_SCORE = 60;
const ENTERPRISE_SCORE = 80;
/** Fewer rules than these that could be evaluated say nothing of an application. */
const LEAST_EVALUATED = 10;

/**
 * Go or no-go, each with the rules and areas that decide it. What could not be evaluated is never a go: where nothing
 * forbids it but something that decides is unknown, it is unproven.
 *
 * - pilot: no open P0 in secrets, security, auth or db.
 * - standard production: no open P0 at all, none undecided, each area with evidence at 60 or more.
 * - enterprise production: no open P0 or P1, none undecided, each area with evidence at 80 or more.
 *
 * @example
 * decide(judgements, scoreAreas(judgements)).standard.answer; // "no-go"
 */
export function decide(
  judgements: readonly Judgement[],
  areas: readonly AreaScore[],
): Report["verdict"] {
  const evaluated =
    judgements.filter(({ outcome }) => ["pass", "warn", "fail"].includes(outcome.status)).length;
  const thin = evaluated < LEAST_EVALUATED ? [`only ${evaluated} rules could be evaluated`] : [];
  const open = (...severities: Severity[]) =>
    judgements.filter(({ outcome, severity }) =>
      outcome.status === "fail" && severity !== null && severities.includes(severity)
    ).toSorted((a, b) => (a.severity ?? "") < (b.severity ?? "") ? -1 : 1);
  const undecided = (...severities: Severity[]) =>
    judgements.filter(({ rule, outcome, severity }) =>
      outcome.status === "unknown"
        ? severities.includes(rule.severity)
        : outcome.status === "warn" && severity === "p0"
    );
  const below = (least: number) =>
    areas.filter(({ score, is_sufficient }) => is_sufficient && score !== null && score < least);
  const scarce = areas.filter((one) => !one.is_sufficient && one.unknown > 0);
  return {
    pilot: answer({ against: open("p0").filter(({ rule }) => PILOT.has(rule.area)), thin }),
    standard: answer({
      against: open("p0"),
      below: below(STANDARD_SCORE),
      undecided: undecided("p0"),
      scarce,
      thin,
    }),
    enterprise: answer({
      against: open("p0", "p1"),
      below: below(ENTERPRISE_SCORE),
      undecided: undecided("p0", "p1"),
      scarce,
      thin,
    }),
  };
}

type Grounds = {
  against: readonly Judgement[];
  below?: readonly AreaScore[];
  undecided?: readonly Judgement[];
  scarce?: readonly AreaScore[];
  thin: readonly string[];
};

function answer({ against, below = [], undecided = [], scarce = [], thin }: Grounds): Answer {
  const id = ({ rule }: Judgement) => rule.id;
  if (against.length > 0 || below.length > 0) {
    const parts = [
      ...(against.length > 0 ? [`${rules(against)} open`] : []),
      ...below.map(({ area, score }) => `${area} at ${score}`),
    ];
    return {
      answer: "no-go",
      decided_by: [...against.map(id), ...below.map(({ area }) => area)],
      because: parts.join(", "),
    };
  }
  if (undecided.length > 0 || scarce.length > 0 || thin.length > 0) {
    const parts = [
      ...thin,
      ...(undecided.length > 0 ? [`${rules(undecided)} undecided`] : []),
      ...scarce.map(({ area }) => `insufficient evidence on ${area}`),
    ];
    return {
      answer: "unproven",
      decided_by: [...undecided.map(id), ...scarce.map(({ area }) => area)],
      because: parts.join(", "),
    };
  }
  return { answer: "go", decided_by: [], because: "nothing that decides is open or undecided" };
}

/** As "2 P0 and 5 P1". */
function rules(judgements: readonly Judgement[]): string {
  const counts = new Map<Severity, number>();
  for (const { rule, severity } of judgements) {
    const weight = severity ?? rule.severity;
    counts.set(weight, (counts.get(weight) ?? 0) + 1);
  }
  return [...counts].toSorted().map(([severity, count]) => `${count} ${severity.toUpperCase()}`)
    .join(" and ");
}

/** The level that the answers allow. */
export function maturityOf({ pilot, standard, enterprise }: Report["verdict"]): Report["maturity"] {
  if (enterprise.answer === "go" && standard.answer === "go") return "enterprise";
  if (standard.answer === "go") return "production";
  return pilot.answer === "go" ? "pilot" : "prototype";
}
