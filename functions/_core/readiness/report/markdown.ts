import { counted } from "../../counted.ts";
import { markdownCode as code, markdownText as text } from "../../markdown-text.ts";
import type { Report, ReportEvidence, ReportRule } from "./contract.ts";
import {
  ANSWER,
  AREA_TITLES,
  coverageText,
  GAP_TITLES,
  ignoredEvidence,
  MARK,
  openRules,
  placeText,
  rulingEvidence,
  scoreText,
  USES,
} from "./words.ts";

/**
 * The report as GitHub-flavoured Markdown: verdict, strengths, gaps, risks, checklist, roadmap, and every file.
 *
 * @example
 * await writeFile("readiness.md", renderMarkdown(report));
 */
export function renderMarkdown(report: Report): string {
  const out = [
    `# Readiness of ${text(report.repository)}: ${report.maturity}`,
    "",
    `${counted(report.files.length, "file")} and ${counted(report.rules.length, "rule")}, ` +
    `bulkhead ${report.tool_version}, ${report.generated_at}.`,
    "",
    "## Verdict",
    "",
    "| For | Answer | Because | Decided by |",
    "| --- | --- | --- | --- |",
    ...USES.map(([use, title]) => {
      const { answer, because, decided_by } = report.verdict[use];
      return `| ${title} | **${ANSWER[answer]}** | ${text(because)} | ${
        text(decided_by.join(", "))
      } |`;
    }),
    ...sinceLines(report),
  ];
  for (const severity of ["p0", "p1", "p2"] as const) {
    const open = openRules(report, severity);
    out.push("", `## ${GAP_TITLES[severity]}`, "");
    if (open.length === 0) out.push("Nothing is open.");
    for (const rule of open) out.push(...item(rule, `Fix: ${text(rule.remedy)}.`));
  }
  const of = (status: ReportRule["status"]) => report.rules.filter((one) => one.status === status);
  out.push("", "## Undecided", "");
  if (of("unknown").length === 0) out.push("Everything that applies could be evaluated.");
  for (const rule of of("unknown")) out.push(...item(rule, text(rule.summary)));
  const ignored = ignoredEvidence(report);
  if (ignored.length + report.notices.length > 0) {
    out.push("", "## Ignored", "");
    for (const { rule, evidence } of ignored) {
      out.push(
        `- ${rule.id} ${place(evidence)} until ${evidence.ignored?.until}: ${
          text(evidence.ignored?.reason ?? "")
        }`,
      );
    }
  }
  for (const notice of report.notices) {
    out.push(`- ${code(placeText(notice))}: ${text(notice.message)}`);
  }
  out.push("", "## Verified strengths", "");
  if (of("pass").length === 0) out.push("None could be verified.");
  for (const rule of of("pass")) out.push(...item(rule));
  out.push("", "## Risks", "", "| Risk | Open rules |", "| --- | --- |");
  for (const { risk, rules } of report.risks) {
    out.push(`| ${risk} | ${rules.join(", ") || "none"} |`);
  }
  out.push("", "## Checklist", "", "| Area | Score | Evaluated | Pass | Warn | Fail | Unknown |");
  out.push("| --- | --- | --- | ---: | ---: | ---: | ---: |");
  for (const one of report.areas) {
    out.push(
      `| ${AREA_TITLES[one.area]} | ${scoreText(one)} | ${
        coverageText(one)
      } | ${one.pass} | ${one.warn} | ` +
        `${one.fail} | ${one.unknown} |`,
    );
  }
  out.push("", "## Roadmap", "");
  for (const { phase, rules } of report.roadmap) {
    out.push(`### ${phase}`, "");
    if (rules.length === 0) out.push("Nothing to do.", "");
    for (const id of rules) {
      const rule = report.rules.find((one) => one.id === id);
      if (rule) out.push(`- [ ] ${id}: ${text(rule.remedy)}`);
    }
    if (rules.length > 0) out.push("");
  }
  out.push("## Not applicable", "");
  for (const rule of of("not-applicable")) {
    out.push(`- ${rule.id} ${text(rule.title)}: ${text(rule.summary)}`);
  }
  out.push("", "## Files", "", ...fileLines(report));
  return `${out.join("\n")}\n`;
}

function item(rule: ReportRule, last?: string): string[] {
  return [
    `- ${MARK[rule.status]} **${rule.id}** ${text(rule.title)}`,
    ...rulingEvidence(rule).map((one) => `  - ${place(one)}: ${text(one.message)}`),
    ...(last === undefined ? [] : [`  - ${last}`]),
  ];
}

function place(evidence: ReportEvidence): string {
  return code(placeText(evidence));
}

function sinceLines({ since }: Report): string[] {
  if (since === null) return [];
  return [
    "",
    `Since ${since.generated_at}: ${since.fixed.length} fixed, ${since.fresh.length} new, ` +
    `${since.unchanged} unchanged.`,
    ...(since.fixed.length > 0 ? [""] : []),
    ...since.fixed.map((one) => `- fixed ${one.rule} ${code(one.file)}: ${text(one.message)}`),
  ];
}

function fileLines({ files, unread }: Report): string[] {
  const reasons = new Map(unread.map(({ file, reason }) => [file, reason]));
  return [
    "| File | Context | Not read because |",
    "| --- | --- | --- |",
    ...files.map(({ path, context, unread: reason }) =>
      `| ${code(path).replaceAll("|", "\\|")} | ${context} | ${
        text(reason ?? reasons.get(path) ?? "")
      } |`
    ),
  ];
}
