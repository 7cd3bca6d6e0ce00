import type { Judgement } from "../audit.ts";
import { AREAS, type Severity } from "../rule.ts";
import type { AreaScore } from "./contract.ts";

/** What a rule of that severity weighs. */
export const WEIGHT: Record<Severity, number> = { p0: 10, p1: 4, p2: 1 };
const CAP = 39;
const SUFFICIENT = 0.6;

/**
 * The score of each area that has a rule: the weight kept over the weight at stake, of the rules that could be
 * evaluated. A failing rule loses what its heaviest open place weighs, a warning half of it.
 *
 * @example
 * scoreAreas(judgements).find(({ area }) => area === "secrets")?.score; // 39
 */
export function scoreAreas(judgements: readonly Judgement[]): AreaScore[] {
  return AREAS.flatMap((area) => {
    const own = judgements.filter(({ rule }) => rule.area === area);
    return own.length === 0 ? [] : [scoreArea(area, own)];
  });
}

function scoreArea(area: AreaScore["area"], own: readonly Judgement[]): AreaScore {
  const count = (status: Judgement["outcome"]["status"]) =>
    own.filter(({ outcome }) => outcome.status === status).length;
  const [pass, warn, fail, unknown] = [
    count("pass"),
    count("warn"),
    count("fail"),
    count("unknown"),
  ];
  let [kept, stake] = [0, 0];
  for (const { rule, outcome, severity } of own) {
    if (outcome.status === "unknown" || outcome.status === "not-applicable") continue;
    const lost = severity === null ? 0 : WEIGHT[severity];
    const whole = Math.max(WEIGHT[rule.severity], lost);
    stake += whole;
    kept += whole - (outcome.status === "warn" ? lost / 2 : lost);
  }
  const cappedBy = own.filter(({ outcome, severity }) =>
    outcome.status === "fail" && severity === "p0"
  ).map(({ rule }) => rule.id);
  const evaluated = pass + warn + fail;
  const raw = stake === 0 ? null : Math.round((100 * kept) / stake);
  return {
    area,
    score: raw !== null && cappedBy.length > 0 ? Math.min(raw, CAP) : raw,
    pass,
    warn,
    fail,
    unknown,
    not_applicable: own.length - evaluated - unknown,
    is_sufficient: evaluated > 0 && evaluated / (evaluated + unknown) >= SUFFICIENT,
    capped_by: cappedBy,
  };
}
