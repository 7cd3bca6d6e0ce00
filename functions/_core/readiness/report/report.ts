import { fingerprints } from "../../fingerprint.ts";
import type { Audit } from "../audit.ts";
import type { Repository } from "../repository.ts";
import type { Report, ReportRule } from "./contract.ts";
import { risksOf } from "./risks.ts";
import { scoreAreas } from "./score.ts";
import { decide, maturityOf } from "./verdict.ts";

/** What the audit itself doesn't know. */
export type Circumstances = {
  /** What the repository is called. */
  repository: string;
  toolVersion: string;
  now: Date;
};

/**
 * The audit as a report: scored, decided, with a roadmap. The list of rules comes first in every rendering; a score
 * hides more than it shows.
 *
 * @example
 * const report = reportOf(await audit(repository), repository, { repository: "acme", toolVersion: "1.0.0", now: new Date() });
 */
export function reportOf(
  { judgements, unread, notices }: Audit,
  repository: Repository,
  { repository: name, toolVersion, now }: Circumstances,
): Report {
  const areas = scoreAreas(judgements);
  const verdict = decide(judgements, areas);
  const fingerprint = fingerprints();
  const rules = judgements.map(({ rule, outcome, severity }): ReportRule => ({
    id: rule.id,
    name: rule.name,
    area: rule.area,
    section: rule.section,
    title: rule.title,
    remedy: rule.remedy,
    rated: rule.severity,
    confidence: rule.confidence,
    status: outcome.status,
    severity,
    summary: outcome.summary,
    evidence: outcome.evidence.map((one) => ({
      kind: one.kind,
      file: one.file,
      line: one.line,
      message: one.message,
      ...(one.severity ? { severity: one.severity } : {}),
      ...(one.ignored ? { ignored: one.ignored } : {}),
      fingerprint: fingerprint(rule.id, one.file, one.message),
    })),
  }));
  const weighing = (severity: ReportRule["severity"]) =>
    rules.filter((one) => one.severity === severity).map(({ id }) => id);
  return {
    format: "bulkhead-readiness",
    version: 1,
    tool_version: toolVersion,
    repository: name,
    generated_at: now.toISOString(),
    maturity: maturityOf(verdict),
    verdict,
    areas,
    rules,
    risks: risksOf(judgements),
    roadmap: [
      { phase: "A safety", rules: weighing("p0") },
      { phase: "B hardening", rules: weighing("p1") },
      { phase: "C enterprise", rules: weighing("p2") },
    ],
    since: null,
    notices: notices.map(({ file, line, message }) => ({ file, line, message })),
    files: repository.files.map(({ path, context, unread: reason }) => ({
      path,
      context,
      ...(reason === undefined ? {} : { unread: reason }),
    })),
    unread: unread.map(({ file, line, reason }) => ({
      file,
      ...(line === undefined ? {} : { line }),
      reason,
    })),
  };
}
