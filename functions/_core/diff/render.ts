import type { Diff, Entry } from "./classify.ts";
import { type Level, LEVELS } from "./rule.ts";
import type { Facet } from "./snapshot.ts";

const ORDER: readonly Level[] = [...LEVELS].reverse();
const MARK: Record<Level, string> = { dangerous: "✘", review: "○", safe: "✔" };

/** How to print. */
export type RenderOptions = {
  before: string;
  after: string;
  width: number;
  /** Wraps a text in the colour of a level. */
  colour: (level: Level, text: string) => string;
  /** Safe changes are counted, not listed, unless asked for. */
  all: boolean;
};

/**
 * A comparison for a terminal.
 *
 * @example
 * process.stdout.write(renderDiff(diff, { before: "main", after: "branch", width: 80, colour: (_, text) => text, all: false }));
 */
export function renderDiff(diff: Diff, options: RenderOptions): string {
  const lines = [`Boundary: ${options.before} -> ${options.after}`, ""];
  for (const level of ORDER) {
    const entries = diff.entries.filter((one) => one.level === level);
    if (entries.length === 0 || (level === "safe" && !options.all)) continue;
    lines.push(options.colour(level, `${level} (${entries.length})`));
    for (const entry of entries) {
      lines.push(...wrap(`${MARK[level]} ${headline(entry)}`, options.width, "  ", "    "));
      lines.push(...wrap(entry.why, options.width, "    ", "    "));
      const change = values(entry);
      if (change !== "") lines.push(...wrap(change, options.width, "    ", "      "));
      if (entry.location) {
        lines.push(
          ...wrap(`${entry.location.file}:${entry.location.line}`, options.width, "    ", "    "),
        );
      }
    }
    lines.push("");
  }
  for (const note of diff.notes) lines.push(...wrap(`note: ${note}`, options.width, "", "  "));
  if (diff.notes.length > 0) lines.push("");
  lines.push(summary(diff));
  return `${lines.join("\n")}\n`;
}

/** `2 dangerous, 1 to review, 14 safe`, or that nothing changed. */
export function summary({ counts, entries }: Diff): string {
  if (entries.length === 0) return "The boundary is the same";
  return `${counts.dangerous} dangerous, ${counts.review} to review, ${counts.safe} safe`;
}

/** What happened to what, in one line. */
export function headline(entry: Entry): string {
  const what = `${entry.kind} ${entry.object}`;
  if (entry.op !== "changed") return `${what}: ${entry.op}`;
  return `${what}: ${words(entry.facet)} changed`;
}

const words = (facet: string) => facet.replace(/[A-Z]/g, (one) => ` ${one.toLowerCase()}`);

/** Before and after, where they are short enough to say something. */
export function values(entry: Entry): string {
  if (entry.op !== "changed" || ["body", "definition", "arguments"].includes(entry.facet)) {
    return "";
  }
  if (entry.before === null && entry.after === null) return "";
  return `was ${show(entry.before)}, is ${show(entry.after)}`;
}

function show(value: Facet): string {
  if (value === null) return "nothing";
  if (Array.isArray(value)) return value.length === 0 ? "nothing" : value.join(", ");
  return String(value);
}

function wrap(text: string, width: number, first: string, rest: string): string[] {
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of text.split(/\s+/)) {
    if (!empty && line.length + word.length + 1 > width) {
      lines.push(line);
      line = rest;
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  lines.push(line);
  // A name longer than the line is cut where the line ends: nothing may run over.
  return lines.flatMap((one) =>
    one.length <= width ? [one] : one.match(new RegExp(`.{1,${width}}`, "g")) ?? []
  );
}

/**
 * A comparison as a pull-request comment.
 *
 * @example
 * await writeFile("comment.md", renderDiffMarkdown(diff));
 */
export function renderDiffMarkdown(diff: Diff): string {
  const { counts } = diff;
  const title = counts.dangerous > 0
    ? `Tenant boundary: ${counts.dangerous} dangerous ${
      counts.dangerous === 1 ? "change" : "changes"
    }`
    : counts.review > 0
    ? `Tenant boundary: ${counts.review} to review`
    : diff.entries.length > 0
    ? "Tenant boundary: safe"
    : "Tenant boundary: the same";
  const lines = [`### ${title}`, "", `${summary(diff)}.`, ""];
  for (const level of ORDER) {
    const entries = diff.entries.filter((one) => one.level === level);
    if (entries.length === 0) continue;
    const table = [
      "| Change | Why | Where |",
      "| --- | --- | --- |",
      ...entries.map((one) =>
        `| ${cell(headline(one))} | ${cell(one.why)}${
          values(one) === "" ? "" : `<br>${code(values(one))}`
        } | ${one.location ? code(`${one.location.file}:${one.location.line}`) : ""} |`
      ),
    ];
    if (level === "safe") {
      lines.push(
        "<details>",
        `<summary>${entries.length} safe</summary>`,
        "",
        ...table,
        "",
        "</details>",
        "",
      );
    } else lines.push(`**${level === "dangerous" ? "Dangerous" : "To review"}**`, "", ...table, "");
  }
  for (const note of diff.notes) lines.push(`_${cell(note)}_`, "");
  return `${lines.join("\n").trimEnd()}\n`;
}

/** Names come from whoever wrote the migration: no markup, no mention, no new cell. */
function cell(text: string): string {
  return text.replace(/\s+/g, " ").replace(
    /[\\`*_[\]<>|#~@&]/g,
    (one) => `&#${one.charCodeAt(0)};`,
  );
}

const code = (text: string) => `<code>${cell(text)}</code>`;
