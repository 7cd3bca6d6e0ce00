import assert from "node:assert/strict";
import { PARSERS } from "../../functions/_core/adapters/readiness-parsers.ts";
import { audit, type Judgement } from "../../functions/_core/readiness/audit.ts";
import { contextOf } from "../../functions/_core/readiness/context.ts";
import { Repository } from "../../functions/_core/readiness/repository.ts";
import type { Severity, Status } from "../../functions/_core/readiness/rule.ts";
import { RULES } from "../../functions/_core/readiness/rules/index.ts";

/** A small repository and what one rule must say of it. */
export type Case = {
  /** Path to text. */
  files: Record<string, string>;
  status: Status;
  /** The gaps and weaknesses as `path:line`, or `path` for an absence, in any order. Left out: not looked at. */
  at?: string[];
  severity?: Severity;
  /** What the summary and the evidence must say. */
  says?: RegExp;
  /** What no word of the outcome may hold: the secrets that were planted. */
  hides?: string[];
};

/** The cases of one rule: names are sentences. At least one offender and one look-alike. */
export type Cases = { rule: string; cases: Record<string, Case> };

/** A repository made of texts. */
export function repositoryOf(files: Record<string, string>): Repository {
  return new Repository(
    Object.entries(files).map(([path, text]) => ({
      path,
      text,
      size: text.length,
      context: contextOf(path),
      isTracked: true,
    })),
    PARSERS,
  );
}

/** What one rule says of a repository. */
export async function judge(id: string, files: Record<string, string>): Promise<Judgement> {
  const rule = RULES.find((one) => one.id === id);
  assert.ok(rule, `no rule is called ${id}`);
  const { judgements: [judgement] } = await audit(repositoryOf(files), { rules: [rule] });
  assert.ok(judgement);
  return judgement;
}

/** Hold one case against its rule. */
export async function check(id: string, one: Case): Promise<void> {
  const { outcome, severity } = await judge(id, one.files);
  const whole = JSON.stringify(outcome, null, 1);
  assert.equal(outcome.status, one.status, whole);
  if (one.at) {
    const places = outcome.evidence.flatMap(({ kind, file, line }) =>
      kind === "gap" || kind === "weakness" ? `${file}${line === null ? "" : `:${line}`}` : []
    );
    assert.deepEqual(places.toSorted(), one.at.toSorted(), whole);
  }
  if (one.severity) assert.equal(severity, one.severity, whole);
  if (one.says) assert.match(whole, one.says);
  for (const secret of one.hides ?? []) assert.ok(!whole.includes(secret), "a secret is printed");
  for (const { file, line } of outcome.evidence) {
    const text = one.files[file];
    if (line === null) continue;
    assert.ok(text !== undefined, `evidence in a file that is not there: ${file}`);
    assert.ok(line >= 1 && line <= text.split("\n").length, `${file} has no line ${line}`);
  }
}
