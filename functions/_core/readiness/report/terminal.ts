import { counted } from "../../counted.ts";
import { clip, type Paint, painter, plain, wrap } from "../../terminal-text.ts";
import type { Severity } from "../rule.ts";
import type { Answer, AreaScore, Report, ReportRule } from "./contract.ts";
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

/** How wide and how colourful, decided by the caller, who knows the terminal; `verbose` leaves nothing out. */
export type TerminalOptions = { colour?: boolean; width?: number; verbose?: boolean };

const COLOUR = { go: "green", "no-go": "red", unproven: "yellow" } as const;
const FEW = 4;

/**
 * The report for a terminal: what is open first, the scores after it, the verdict last, where the eye is.
 *
 * @example
 * process.stdout.write(renderTerminal(report, { colour: process.stdout.isTTY, width: 80 }));
 */
export function renderTerminal(report: Report, options: TerminalOptions = {}): string {
  const { width = 80, verbose = false } = options;
  const paint = painter(options.colour === true);
  const asked = counted(report.rules.length, "rule");
  const lines = [
    paint(
      clip(`${report.repository}: ${counted(report.files.length, "file")}, ${asked}`, width),
      "dim",
    ),
  ];
  for (const severity of ["p0", "p1", "p2"] as const) {
    lines.push(...gaps(report, severity, { width, paint, verbose }));
  }
  lines.push(...others(report, { width, paint, verbose }));
  lines.push("", paint("AREAS", "bold"));
  for (const area of report.areas) lines.push(areaLine(area, width));
  if (report.since) {
    const { fixed, fresh, unchanged, generated_at } = report.since;
    lines.push("", paint(`SINCE ${generated_at.slice(0, 10)}`, "bold"));
    lines.push(`  ${fixed.length} fixed, ${fresh.length} new, ${unchanged} unchanged`);
    for (const one of fixed) {
      lines.push(clip(`  ✓ ${one.rule}  ${one.file}: ${one.message}`, width));
    }
  }
  lines.push("", paint("VERDICT", "bold"));
  for (const [use, title] of USES) {
    lines.push(...answerLines(title, report.verdict[use], width, paint));
  }
  lines.push(`  ${"Maturity".padEnd(23)}${report.maturity}`);
  return `${lines.join("\n")}\n`;
}

type Look = { width: number; paint: Paint; verbose: boolean };

function gaps(report: Report, severity: Severity, { width, paint, verbose }: Look): string[] {
  const open = openRules(report, severity);
  if (open.length === 0) return [];
  const lines = ["", paint(GAP_TITLES[severity].toUpperCase(), "bold")];
  for (const rule of open) {
    lines.push(ruleLine(rule, width, paint));
    if (severity === "p2" && !verbose) continue;
    const places = rulingEvidence(rule);
    for (const one of verbose ? places : places.slice(0, FEW)) {
      lines.push(clip(`    ${placeText(one)}`, width));
      lines.push(...wrap(one.message, width - 6).map((line) => `      ${line}`));
    }
    if (!verbose && places.length > FEW) lines.push(`    and ${places.length - FEW} more`);
    lines.push(
      ...wrap(rule.remedy, width - 9).map((line, index) =>
        paint(`${index === 0 ? "    fix: " : "         "}${line}`, "dim")
      ),
    );
  }
  return lines;
}

function others(report: Report, { width, paint, verbose }: Look): string[] {
  const lines: string[] = [];
  const undecided = report.rules.filter(({ status }) => status === "unknown");
  if (undecided.length > 0) {
    lines.push("", paint("UNDECIDED", "bold"));
    for (const rule of undecided) {
      lines.push(ruleLine(rule, width, paint));
      lines.push(...wrap(rule.summary, width - 4).map((line) => paint(`    ${line}`, "dim")));
    }
  }
  const ignored = ignoredEvidence(report);
  if (ignored.length + report.notices.length > 0) {
    lines.push("", paint("IGNORED", "bold"));
    for (const { rule, evidence } of ignored) {
      lines.push(clip(`  ${rule.id}  ${placeText(evidence)}`, width));
      const until = `until ${evidence.ignored?.until}: ${evidence.ignored?.reason}`;
      lines.push(...wrap(until, width - 4).map((line) => paint(`    ${line}`, "dim")));
    }
  }
  for (const notice of report.notices) {
    lines.push(
      ...wrap(`${placeText(notice)}: ${notice.message}`, width - 4).map((line, index) =>
        `${index === 0 ? "  ! " : "    "}${line}`
      ),
    );
  }
  const strengths = report.rules.filter(({ status }) => status === "pass");
  if (strengths.length > 0) {
    lines.push("", paint("STRENGTHS", "bold"));
    for (const rule of strengths) {
      lines.push(ruleLine(rule, width, paint));
      for (const one of verbose ? rulingEvidence(rule) : rulingEvidence(rule).slice(0, 1)) {
        lines.push(paint(clip(`    ${placeText(one)}`, width), "dim"));
      }
    }
  }
  if (report.unread.length > 0) {
    lines.push("", paint("NOT READ", "bold"));
    for (const { file, line, reason } of verbose ? report.unread : report.unread.slice(0, 10)) {
      const place = placeText({ file, line: line ?? null });
      // What was not read is nothing without its reason: a long path gives way.
      lines.push(`  ${clip(place, Math.max(20, width - reason.length - 4))}: ${plain(reason)}`);
    }
    if (!verbose && report.unread.length > 10) {
      lines.push(`  and ${report.unread.length - 10} more`);
    }
  }
  return lines;
}

const STYLE = { fail: "red", warn: "yellow", unknown: "yellow", pass: "green" } as const;

function ruleLine(rule: ReportRule, width: number, paint: Paint): string {
  const { status } = rule;
  const mark = status === "not-applicable" ? MARK[status] : paint(MARK[status], STYLE[status]);
  const [first = "", ...rest] = wrap(rule.title, width - 12);
  return [
    `  ${mark} ${paint(rule.id.padEnd(6), "bold")}  ${first}`,
    ...rest.map((line) => `${" ".repeat(12)}${line}`),
  ].join("\n");
}

function areaLine(area: AreaScore, width: number): string {
  return clip(
    `  ${AREA_TITLES[area.area].padEnd(15)}${coverageText(area).padEnd(9)}${scoreText(area)}`,
    width,
  );
}

function answerLines(title: string, given: Answer, width: number, paint: Paint): string[] {
  const word = ANSWER[given.answer];
  const head = `  ${title.padEnd(23)}${paint(word, COLOUR[given.answer])}`;
  if (given.answer === "go") return [head];
  const ids = given.decided_by.join(", ");
  return [
    head,
    ...wrap(given.because, width - 4).map((line) => `    ${line}`),
    ...(ids === ""
      ? []
      : wrap(`decided by ${ids}`, width - 4).map((line) => paint(`    ${line}`, "dim"))),
  ];
}
