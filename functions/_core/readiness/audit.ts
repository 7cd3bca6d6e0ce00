import { firstLineOf } from "../errors.ts";
import type { Context } from "./context.ts";
import { applyIgnores, type Ignore, type Ignores, type Notice } from "./ignore.ts";
import type { Evidence, Outcome, Rule, Severity } from "./rule.ts";
import type { Repository, Unread } from "./repository.ts";
import { RULES } from "./rules/index.ts";

/** A rule and what it concluded; `severity` is the heaviest of its gaps, null where it doesn't fail or warn. */
export type Judgement = { rule: Rule; outcome: Outcome; severity: Severity | null };

/** The whole audit. */
export type Audit = {
  judgements: Judgement[];
  unread: readonly Unread[];
  files: number;
  /** What to know of the ignores that are in the repository. */
  notices: readonly Notice[];
};

export type AuditOptions = {
  /** Rules to ask, all of them without it. */
  rules?: readonly Rule[];
  /** What somebody answers for, of readIgnores(). */
  ignores?: Ignores;
  /** Told after each rule. */
  progress?: (done: number, total: number) => void;
};

/**
 * Ask every rule. One that throws is `unknown`, with the reason: it never takes the audit down, and never passes.
 *
 * @example
 * const { judgements } = await audit(new Repository(files, parsers));
 */
export async function audit(
  repository: Repository,
  { rules = RULES, ignores = { ignores: [], notices: [] }, progress }: AuditOptions = {},
): Promise<Audit> {
  const judgements: Judgement[] = [];
  const used = new Set<Ignore>();
  for (const rule of rules) {
    const asked = withoutShows(await ask(rule, repository), repository);
    const outcome = applyIgnores(rule.id, asked, ignores.ignores, used);
    judgements.push(weigh(rule, outcome, repository));
    progress?.(judgements.length, rules.length);
    // A rule computes without a pause: here Ctrl-C gets its turn.
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  const idle = ignores.ignores.filter((one) =>
    !used.has(one) && rules.some(({ id }) => id === one.rule)
  ).map(({ rule, file, line }) => ({
    file,
    line,
    message: `the ignore of ${rule} covers nothing that is open`,
  }));
  return {
    judgements,
    unread: repository.unread,
    files: repository.files.length,
    notices: [...ignores.notices, ...idle],
  };
}

async function ask(rule: Rule, repository: Repository): Promise<Outcome> {
  try {
    return await rule.check(repository);
  } catch (error) {
    return { status: "unknown", summary: `the rule failed: ${firstLineOf(error)}`, evidence: [] };
  }
}

/** Code that stands in a folder of examples or tests shows how a thing is done; nothing runs it, no pass rests on it. */
function withoutShows(outcome: Outcome, repository: Repository): Outcome {
  if (outcome.status !== "pass") return outcome;
  const evidence = outcome.evidence.filter(({ file, isProduction }) => {
    const context = repository.file(file)?.context ?? "prod";
    return isProduction || !(context === "docs" || context === "test") || PAGE.test(file);
  });
  if (evidence.length > 0) return { ...outcome, evidence };
  return { status: "not-applicable", summary: "only examples or tests ask it", evidence: [] };
}

const PAGE = /\.(md|mdx|rst|adoc|txt)$/i;
const LIGHTER: Record<Severity, Severity> = { p0: "p1", p1: "p2", p2: "p2" };
const HALF: ReadonlySet<Context> = new Set(["dev", "test", "docs"]);

/** Settle each gap's severity: of its own or its rule's, a step lower where production never runs the file. */
function weigh(rule: Rule, outcome: Outcome, repository: Repository): Judgement {
  const evidence = outcome.evidence.map((one): Evidence => {
    if (one.kind !== "gap" && one.kind !== "weakness") return one;
    const context = repository.file(one.file)?.context ?? "prod";
    const own = rule.confidence === "low" ? "p2" : one.severity ?? rule.severity;
    const isLighter = !one.isProduction && HALF.has(context);
    return { ...one, severity: isLighter ? LIGHTER[own] : own };
  });
  const isOpen = outcome.status === "fail" || outcome.status === "warn";
  const kind = outcome.status === "fail" ? "gap" : "weakness";
  const weights = evidence.flatMap((one) =>
    one.kind === kind && !one.ignored && one.severity ? one.severity : []
  );
  const severity = isOpen ? weights.toSorted()[0] ?? rule.severity : null;
  return { rule, outcome: { ...outcome, evidence }, severity };
}
