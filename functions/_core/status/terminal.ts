import { clip, type Paint, painter, plain, wrap } from "../terminal-text.ts";
import type { Check, StatusReport, Verdict } from "./contract.ts";
import { passTitle, sections } from "./summary.ts";

/** How wide and how colourful; both decided by the caller, who knows the terminal. */
export type TerminalOptions = { colour?: boolean; width?: number; quiet?: boolean };

const MARK = { pass: "✓", fail: "✗", unknown: "?" } as const;
const STYLE = { pass: "green", fail: "red", unknown: "yellow" } as const;
const VERDICT_STYLE: Record<Verdict, Parameters<Paint>[1]> = {
  green: "green",
  red: "red",
  unknown: "yellow",
};

/**
 * The checklist for a terminal: one line for each check, and under each that does not pass what is wrong and what to
 * run. `quiet` leaves out what passes.
 *
 * @example
 * process.stdout.write(renderTerminal(report, { colour: process.stdout.isTTY, width: 80 }));
 */
export function renderTerminal(report: StatusReport, options: TerminalOptions = {}): string {
  const width = options.width ?? 80;
  const paint = painter(options.colour === true);
  const where = `${report.database}, Postgres ${report.server_version}, ${report.checked_at}`;
  const lines = [paint(clip(where, width), "dim")];
  for (const section of sections(report)) {
    const shown = section.checks.filter((check) => !options.quiet || check.status !== "pass");
    if (shown.length === 0) continue;
    lines.push("", paint(section.category.toUpperCase(), "bold"));
    for (const check of shown) lines.push(...checkLines(check, width, paint));
  }
  const { pass, fail, unknown } = report.counts;
  const score = `${pass} pass, ${fail} fail, ${unknown} unknown`;
  lines.push(
    "",
    `${paint(report.verdict.toUpperCase(), VERDICT_STYLE[report.verdict])}  ${score}`,
    "",
  );
  return lines.join("\n");
}

function checkLines(check: Check, width: number, paint: Paint): string[] {
  const mark = paint(MARK[check.status], STYLE[check.status]);
  if (check.status === "pass") {
    const title = clip(passTitle(check), width - 4);
    const note = check.detail === null ? "" : `  ${plain(check.detail)}`;
    return [
      `  ${mark} ${title}${title.length + note.length > width - 4 ? "" : paint(note, "dim")}`,
    ];
  }
  const lines = [`  ${mark} ${clip(`${check.title}: ${check.subject}`, width - 4)}`];
  lines.push(paint(`    ${clip(`${check.severity} · ${check.name}`, width - 4)}`, "dim"));
  if (check.detail) lines.push(...wrap(check.detail, width - 4).map((line) => `    ${line}`));
  if (check.remediation) lines.push(...fix(check.remediation, width).map((line) => `    ${line}`));
  return lines;
}

/** Statements are for copying: they are kept as they are, whatever the width; sentences are wrapped. */
function fix(remediation: string, width: number): string[] {
  const body = remediation.split("\n").flatMap((line) =>
    /;\s*$/.test(line) ? [line] : wrap(line, width - 9)
  );
  return body.map((line, index) => `${index === 0 ? "fix: " : "     "}${line}`);
}
