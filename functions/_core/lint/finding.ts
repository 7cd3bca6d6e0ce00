import { lineAt } from "../lines.ts";
import { maskSecrets } from "./secrets.ts";
import { findRule, type Rule, type Severity } from "./rules.ts";

/** One place in one file where a rule does not hold. Lines and columns count from 1. */
export type Finding = {
  rule: string;
  severity: Severity;
  /** What is wrong here, one sentence. */
  message: string;
  help: string;
  file: string;
  line: number;
  column: number;
  endLine: number;
  endColumn: number;
  /** The line of the file, for people and for the baseline. */
  source: string;
};

/** What a check reports: a place in a text. */
export type Report = {
  rule: string;
  file: string;
  text: string;
  start: number;
  end: number;
  /** Where the statement begins that it is part of. */
  anchor?: number;
  /** Where the clients or pools were made: an ignore there, for each of them, counts here. */
  sites?: { file: string; lines: number[] }[];
  message: string;
  severity?: Severity;
  help?: string;
};

/** Finish a report: severity and help from the rule, lines from the offsets. */
export function finding(report: Report, demote: (severity: Severity) => Severity): Finding {
  const rule: Rule | null = findRule(report.rule);
  if (rule === null) throw new TypeError(`no rule is called ${report.rule}`);
  const from = position(report.text, report.start);
  const to = position(report.text, Math.max(report.start, report.end));
  return {
    rule: rule.id,
    severity: demote(report.severity ?? rule.severity),
    message: report.message,
    help: report.help ?? rule.help,
    file: report.file,
    line: from.line,
    column: from.column,
    endLine: to.line,
    endColumn: to.column,
    source: maskSecrets(from.source),
  };
}

/** Line and column of an offset, and the line itself without its end. */
export function position(
  text: string,
  offset: number,
): { line: number; column: number; source: string } {
  const before = text.lastIndexOf("\n", offset - 1) + 1;
  const end = text.indexOf("\n", offset);
  const source = text.slice(before, end < 0 ? text.length : end).replace(/\r$/, "");
  return { line: lineAt(text, before), column: offset - before + 1, source };
}
