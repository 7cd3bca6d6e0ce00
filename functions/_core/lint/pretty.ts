import type { Finding } from "./finding.ts";
import type { LintResult } from "./lint.ts";
import type { Severity } from "./rules.ts";

/** How to colour; the identity of each when the output is no terminal. */
export type Paint = { [name in Severity | "dim" | "bold"]: (text: string) => string };

const WIDTH = 80;
const SIGN = { error: "error", warning: "warn ", info: "info " } as const;

/**
 * The findings for people: one block each, with the line and a caret below, at most 80 columns wide.
 *
 * @example
 * process.stdout.write(renderPretty(result, plain));
 */
export function renderPretty(
  { findings, unread }: Pick<LintResult, "findings" | "unread">,
  paint: Paint,
): string {
  const out: string[] = [];
  const listed = findings.filter((one) => one.severity === "info");
  for (const one of findings) {
    if (one.severity !== "info") out.push(...block(one, paint), "");
  }
  if (listed.length > 0) {
    out.push(paint.bold("Listed, not counted"), "");
    for (const one of listed) {
      out.push(
        ...wrap(`${one.file}:${one.line}`, 2),
        ...wrap(`${one.rule.slice(5)}: ${one.message}`, 4),
      );
    }
    out.push("");
  }
  if (unread.length > 0) {
    out.push(paint.bold("Unknown: not looked at"), "");
    for (const { file, reason } of unread) out.push(...wrap(file, 2), ...wrap(reason, 4));
    out.push("");
  }
  return out.map((line) => `${line}\n`).join("");
}

function block(one: Finding, paint: Paint): string[] {
  const rule = one.rule;
  const where = `${one.file}:${one.line}:${one.column}`;
  const room = WIDTH - 8 - rule.length;
  const head = where.length <= room
    ? [`${paint[one.severity](SIGN[one.severity])}  ${paint.bold(rule)}  ${where}`]
    : [`${paint[one.severity](SIGN[one.severity])}  ${paint.bold(rule)}`, ...wrap(where, 7)];
  return [
    ...head,
    ...wrap(`${one.message}.`, 7),
    ...frame(one, paint),
    ...wrap(`Try: ${one.help}`, 7).map(paint.dim),
  ];
}

/** The line with a caret below what is meant; a long line is cut around it. */
function frame(one: Finding, paint: Paint): string[] {
  const gutter = `${String(one.line).padStart(5)} | `;
  const room = WIDTH - gutter.length;
  const flat = one.source.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    " ",
  );
  const from = one.column - 1;
  const length = Math.max(
    1,
    (one.endLine === one.line ? one.endColumn : flat.length + 1) - one.column,
  );
  // Indentation says nothing here.
  const indent = Math.min(flat.length - flat.trimStart().length, from);
  const start = from - indent < room - 12 ? indent : from - 12;
  const shown = flat.slice(start, start + room);
  const caret = "^".repeat(Math.max(1, Math.min(length, shown.length - (from - start))));
  return [
    `${paint.dim(gutter)}${shown}`,
    `${paint.dim(`${" ".repeat(5)} | `)}${" ".repeat(from - start)}${paint[one.severity](caret)}`,
  ];
}

/** Words in lines of at most 80 columns; a word that is longer alone is left whole. */
export function wrap(text: string, indent: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (
    const each of text.replace(/[\p{Cc}\p{Cf}]/gu, " ")
      .split(/ +/)
  ) {
    if (line !== "" && indent + line.length + 1 + each.length > WIDTH) {
      lines.push(line);
      line = each;
    } else line = line === "" ? each : `${line} ${each}`;
  }
  if (line !== "") lines.push(line);
  return lines.map((one) => " ".repeat(indent) + one);
}
