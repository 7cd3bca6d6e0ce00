import type { Check, StatusReport } from "./contract.ts";

/** One file of an evidence folder; `content` null means that it could not be had, and `missing` says why. */
export type Artefact = {
  name: string;
  /** What somebody who reads only the index learns from it. */
  proves: string;
  content: string | null;
  missing?: string;
};

/** SHIP, or NO-SHIP and what decides it. */
export type Decision = { ship: boolean; reasons: string[] };

/**
 * SHIP only when the status is green, the ledger intact and no artefact missing.
 *
 * @example
 * const { ship, reasons } = decide({ report, artefacts, ledgerProblems: 0 });
 */
export function decide(
  proof: { report: StatusReport; artefacts: readonly Artefact[]; ledgerProblems: number },
): Decision {
  const reasons = proof.report.checks.filter((check) => check.status !== "pass").map(reasonOf);
  if (proof.report.checks.length === 0) reasons.push("no check was evaluated");
  if (proof.ledgerProblems > 0) {
    reasons.push(`the audit trail does not match its seals in ${proof.ledgerProblems} places`);
  }
  for (const { name, content, missing } of proof.artefacts) {
    if (content === null) reasons.push(`${name} is missing: ${missing ?? "unknown"}`);
  }
  return { ship: reasons.length === 0, reasons };
}

/**
 * The index of an evidence folder, README.md: the decision first, then what each file proves.
 *
 * @example
 * await writeFile("README.md", renderIndex({ decision, report, artefacts, version: "0.1.0" }));
 */
export function renderIndex(
  of: { decision: Decision; report: StatusReport; artefacts: readonly Artefact[]; version: string },
): string {
  const { decision, report, artefacts } = of;
  const { pass, fail, unknown } = report.counts;
  const lines = [
    `# Evidence: ${decision.ship ? "SHIP" : "NO-SHIP"}`,
    "",
    decision.ship
      ? `Every check passes, the audit trail matches its seals, and no artefact is missing.`
      : "What decides:",
    "",
    ...decision.reasons.map((reason) => `- ${line(reason)}`),
    ...(decision.ship ? [] : [""]),
    `Database \`${report.database}\`, Postgres ${report.server_version}, Bulkhead ${of.version}, checked at ` +
    `${report.checked_at}: ${pass} pass, ${fail} fail, ${unknown} unknown.`,
    "",
    "| File | What it proves |",
    "| --- | --- |",
    ...artefacts.map(({ name, proves, content, missing }) =>
      content === null
        ? `| ~~${name}~~ | missing: ${line(missing ?? "unknown")} |`
        : `| [${name}](${name}) | ${line(proves)} |`
    ),
    "",
    "Check that nothing in this folder was changed: `sha256sum -c SHA256SUMS`. Compare `head` in ledger.json with a copy",
    "kept elsewhere (every backup's manifest carries one): a rewritten trail has another one.",
  ];
  return `${lines.join("\n")}\n`;
}

function reasonOf(check: Check): string {
  const state = check.status === "fail" ? "fails" : "could not be evaluated";
  return `${check.name} ${state} for ${check.subject}${check.detail ? `: ${check.detail}` : ""}`;
}

const line = (text: string): string => text.replace(/\s+/g, " ").replace(/\|/g, "\\|");
