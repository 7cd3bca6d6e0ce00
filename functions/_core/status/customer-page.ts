import type { StatusReport } from "./contract.ts";

/** A sentence for customers, and the checks that must all be there and pass before it may be said. */
type Claim = { heading: string; says: string; needs: readonly string[] };

const CLAIMS: readonly Claim[] = [
  {
    heading: "Your data is kept apart from other customers'",
    says:
      "The database itself decides which rows a request may see, by live membership, for every table that holds customer " +
      "data. A new rule cannot widen this by accident: a change of the boundary is noticed.",
    needs: [
      "rls_disabled",
      "rls_not_forced",
      "tenant_policy",
      "tables_protected",
      "policy_changed",
    ],
  },
  {
    heading: "We attack that separation ourselves",
    says:
      "Every night two made-up customers try to reach each other's data through every table, view and function that " +
      "requests can reach. The attempts are rolled back; one that succeeds raises an alarm.",
    needs: ["attack_probe"],
  },
  {
    heading: "Every change is recorded",
    says:
      "Each change of a row is recorded with who made it. The record can only be added to, and is sealed every minute, " +
      "so that a later change of the record itself shows.",
    needs: ["ledger_append_only", "write_trigger", "seal_lag", "seal_broken", "audit_completeness"],
  },
  {
    heading: "We hear when something is wrong",
    says: "Checks run around the clock, and somebody is told once, clearly, when one fails.",
    needs: ["canaries_running", "alerting_configured", "alerts_undelivered"],
  },
  {
    heading: "Your data is backed up elsewhere, encrypted under a key of its own",
    says:
      "Every customer's data leaves the platform every night, encrypted under a key that belongs to that customer alone. " +
      "Backups are read back to the last byte.",
    needs: ["backup_age", "tenant_without_backup", "backup_verified"],
  },
  {
    heading: "We practise recovery",
    says: "Backups are restored into an empty database and compared, row by row, on a schedule.",
    needs: ["drill_age", "drill_rto"],
  },
];

/**
 * A draft of a page for customers: only what this report proves is said, the rest is listed below for whoever edits it.
 *
 * @example
 * await writeFile("trust-and-safety.md", renderCustomerPage(report));
 */
export function renderCustomerPage(report: StatusReport): string {
  const open = (claim: Claim) =>
    claim.needs.filter((name) => {
      const checks = report.checks.filter((check) => check.name === name);
      return checks.length === 0 || checks.some(({ status }) => status !== "pass");
    });
  const proved = CLAIMS.filter((claim) => open(claim).length === 0);
  const rest = CLAIMS.filter((claim) => open(claim).length > 0);
  const day = report.checked_at.slice(0, 10);
  return [
    "# How we protect your data",
    "",
    ...proved.flatMap(({ heading, says }) => [`## ${heading}`, "", says, ""]),
    `_As of ${day}._`,
    "",
    "<!-- A draft, written from what the checks of that day proved. Read it before you publish it.",
    ...(rest.length === 0 ? ["Everything that it could say is said."] : [
      "Not said, because not proved:",
      ...rest.map((claim) => `- ${claim.heading}: ${open(claim).join(", ")}`),
    ]),
    "-->",
    "",
  ].join("\n");
}
