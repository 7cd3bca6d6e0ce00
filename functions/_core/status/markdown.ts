import { markdownCode as code, markdownText as text } from "../markdown-text.ts";
import type { Check, StatusReport } from "./contract.ts";
import { countsOf, passTitle, sections } from "./summary.ts";

const MARK = { pass: "✅", fail: "❌", unknown: "❔" } as const;
const VERDICT = { green: "🟢 GREEN", red: "🔴 RED", unknown: "🟡 UNKNOWN" } as const;

/**
 * The report as GitHub-flavoured Markdown, for a pull request or a wiki.
 *
 * @example
 * await writeFile("status.md", renderMarkdown(report));
 */
export function renderMarkdown(report: StatusReport): string {
  const { pass, fail, unknown } = report.counts;
  const out = [
    `# Bulkhead status: ${VERDICT[report.verdict]}`,
    "",
    `${pass} pass, ${fail} fail, ${unknown} unknown. Database \`${report.database}\`, Postgres ` +
    `${report.server_version}, checked at ${report.checked_at}${
      report.category ? `, category ${report.category} only` : ""
    }.`,
    "",
    "| Category | Verdict | Pass | Fail | Unknown |",
    "| --- | --- | ---: | ---: | ---: |",
  ];
  const all = sections(report);
  for (const { category, verdict, checks } of all) {
    const counts = countsOf(checks);
    out.push(
      `| ${category} | ${VERDICT[verdict]} | ${counts.pass} | ${counts.fail} | ${counts.unknown} |`,
    );
  }
  for (const { category, checks } of all) {
    out.push("", `## ${category.charAt(0).toUpperCase()}${category.slice(1)}`, "");
    for (const check of checks) out.push(...item(check));
  }
  return `${out.join("\n")}\n`;
}

function item(check: Check): string[] {
  const rule = `\`${check.name}\``;
  if (check.status === "pass") {
    return [
      `- ${MARK.pass} ${text(passTitle(check))} (${rule}${
        check.detail ? `, ${text(check.detail)}` : ""
      })`,
    ];
  }
  const lines = [
    `- ${MARK[check.status]} **${text(check.title)}**: ${
      code(check.subject)
    } (${rule}, ${check.severity})`,
  ];
  if (check.detail) lines.push(`  ${text(check.detail)}`);
  if (check.sample_ids?.length) lines.push(`  Samples: ${check.sample_ids.map(code).join(", ")}`);
  if (check.remediation) lines.push("", ...remedy(check.remediation), "");
  if (check.reproduce_sql) lines.push("", "  See it again:", ...fence(check.reproduce_sql), "");
  return lines;
}

/** Statements as code, sentences as text. */
function remedy(body: string): string[] {
  if (/;\s*$/.test(body)) return ["  How to resolve:", "", ...fence(body)];
  return body.split("\n").map((line, index) =>
    `  ${index === 0 ? "How to resolve: " : ""}${text(line)}  `
  );
}

function fence(body: string): string[] {
  // Longer than any run of backticks inside, or a name could end the block.
  const longest = Math.max(2, ...(body.match(/`+/g) ?? []).map((run) => run.length));
  const mark = "`".repeat(longest + 1);
  return [`  ${mark}sql`, ...body.split("\n").map((line) => `  ${line}`), `  ${mark}`];
}
