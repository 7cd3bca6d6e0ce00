import type { Check, StatusReport, Verdict } from "./contract.ts";
import { verdictOf } from "./summary.ts";

/** A criterion of SOC 2, and the checks that bear on it. */
type Control = { id: string; asks: string; bears: (check: Check) => boolean };

const of = (...categories: string[]) => (check: Check) => categories.includes(check.category);
const named = (pattern: RegExp) => (check: Check) => pattern.test(check.name);

/** Criteria in the words of this project: what an auditor may rest on, never a claim that a control is met. */
const CONTROLS: readonly Control[] = [
  { id: "CC6.1", asks: "access to data is restricted", bears: of("boundary", "guard") },
  {
    id: "CC6.3",
    asks: "rights follow roles, and no role has more than it needs",
    bears: named(/^role_|_grant$|^service_role_|^membership_|^break_glass|^default_privileges$/),
  },
  {
    id: "CC6.6",
    asks: "what comes from outside stops at the boundary",
    bears: named(/^anon_|^attack_probe$|^definer_|^storage_|_exposed$|^exposes_|^publication_/),
  },
  {
    id: "CC7.1",
    asks: "changes that open a hole are noticed",
    bears: named(/_changed$|_reopened$|^boundary_drift$|^trail_findings$|^declaration_|^kit_/),
  },
  {
    id: "CC7.2",
    asks: "the system is watched for what is unusual",
    bears: of("canaries", "schedule"),
  },
  { id: "CC7.3", asks: "what happened can be reconstructed", bears: of("trail") },
  { id: "CC7.4", asks: "somebody hears of an incident", bears: of("alerting") },
  {
    id: "A1.2",
    asks: "data is backed up elsewhere",
    bears: named(/^backup_(age|failed|left_out)$|^tenant_without_backup$|^kek_age$/),
  },
  {
    id: "A1.3",
    asks: "recovery is tried",
    bears: named(/^drill_|^backup_verified$/),
  },
  {
    id: "C1.1",
    asks: "confidential data is known, and kept apart by tenant",
    bears: named(/^table_unclassified$|^tables_protected$|^rls_|^tenant_|^exempt_table_exposed$/),
  },
  { id: "C1.2", asks: "data goes when its time is over", bears: named(/^retention_overdue$/) },
];

/** One criterion, judged by its checks. */
export type ControlResult = {
  id: string;
  asks: string;
  verdict: Verdict;
  checks: readonly Check[];
};

/**
 * Every criterion with the checks that bear on it; one without any check is unknown.
 *
 * @example
 * controls(report).filter(({ verdict }) => verdict !== "green");
 */
export function controls(report: StatusReport): ControlResult[] {
  return CONTROLS.map(({ id, asks, bears }) => {
    const checks = report.checks.filter(bears);
    return { id, asks, verdict: verdictOf(checks), checks };
  });
}

/**
 * The control table of an evidence folder.
 *
 * @example
 * await writeFile("controls.md", renderControls(report));
 */
export function renderControls(report: StatusReport): string {
  const rows = controls(report).map(({ id, asks, verdict, checks }) => {
    const passed = checks.filter(({ status }) => status === "pass").length;
    const names = [...new Set(checks.map(({ name }) => name))].sort();
    return `| ${id} | ${asks} | ${verdict} | ${passed} of ${checks.length} | ${
      names.map((name) => `\`${name}\``).join(", ")
    } |`;
  });
  return `# Controls

What each check contributes to a criterion of SOC 2, as of ${report.checked_at}. A check shows that the database was so at
that moment; whether a control is met is for the auditor to say, and rests on people and procedures too. Each check is
described in docs/checks/<name>.md.

| Criterion | What it asks | Verdict | Pass | Checks |
| --- | --- | --- | ---: | --- |
${rows.join("\n")}
`;
}
