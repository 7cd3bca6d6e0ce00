import { VERBS } from "./plan.ts";
import type { CellResult, MatrixReport, TableResult } from "./verdict.ts";

const LETTER: Record<typeof VERBS[number], string> = {
  select: "s",
  insert: "i",
  update: "u",
  delete: "d",
  move: "m",
  truncate: "t",
};

/** One sign for a verb of an actor, from its own rows and another tenant's. */
export type Sign = "+" | "." | "!" | "*" | "?" | " ";

/**
 * The sign of one verb: `!` another tenant's row is open, `?` not known, `*` open by design, `+` one's own rows only,
 * `.` nothing, blank where the verb means nothing.
 */
function signOf(cells: readonly CellResult[]): Sign {
  if (cells.some((cell) => cell.leak)) return "!";
  if (cells.some((cell) => cell.result === "unknown")) return "?";
  if (cells.some((cell) => cell.result === "bypass")) return "*";
  if (cells.some((cell) => cell.result === "allowed")) return "+";
  return cells.length === 0 ? " " : ".";
}

const LEGEND = [
  "s select  i insert  u update  d delete  m move to another tenant  t truncate",
  "+ own tenant's rows only   . nothing   ! ANOTHER TENANT'S ROWS   ? not known",
];
/** How wide, and whether anybody sees colours. */
export type RenderOptions = { width?: number; colour?: boolean };

/**
 * The matrix for a terminal: a line for each table, six letters for each role.
 *
 * @example
 * process.stdout.write(renderMatrix(report, { width: 80 }));
 */
export function renderMatrix(report: MatrixReport, options: RenderOptions = {}): string {
  const width = options.width ?? 80;
  const paint = (text: string, code: string) =>
    options.colour ? `\u001b[${code}m${text}\u001b[0m` : text;
  const wide = Math.min(26, Math.max(5, ...report.tables.map((one) => one.table.length)));
  const columns = report.actors.map((actor) => ({
    name: actor.name,
    width: Math.max(VERBS.length, actor.name.length),
  }));
  const out: string[] = [];
  // Columns that do not fit follow in a block of their own.
  for (let from = 0; from < columns.length;) {
    let to = from;
    for (
      let used = wide;
      to < columns.length && used + 1 + (columns[to]?.width ?? 0) <= width;
      to++
    ) {
      used += 1 + (columns[to]?.width ?? 0);
    }
    const shown = columns.slice(from, Math.max(to, from + 1));
    from += shown.length;
    out.push(
      `${"".padEnd(wide)} ${shown.map((one) => one.name.padEnd(one.width)).join(" ")}`.trimEnd(),
      `${"".padEnd(wide)} ${
        shown.map((one) => VERBS.map((verb) => LETTER[verb]).join("").padEnd(one.width)).join(" ")
      }`.trimEnd(),
    );
    for (const table of report.tables) {
      const signs = shown.map((one) => signs6(table, one.name).padEnd(one.width)).join(" ");
      const line = `${clip(table.table, wide).padEnd(wide)} ${signs}`.trimEnd();
      out.push(
        options.colour
          ? line.replace(/!/g, paint("!", "31")).replace(/\?/g, paint("?", "33"))
          : line,
      );
    }
    out.push("");
  }
  out.push(...LEGEND);
  if (report.tables.some((one) => one.cells.some((cell) => cell.result === "bypass"))) {
    out.push("* reads every tenant by design: service_role has BYPASSRLS");
  }
  const outside = report.actors.filter((one) => one.name.endsWith("-")).map((one) => one.name);
  if (outside.length > 0) out.push(`${outside.join(", ")}: without a tenant in its context`);
  if (report.actors.some((one) => one.name === "none")) {
    out.push("none: signed in, member of no tenant");
  }
  const found = leaks(report);
  if (found.length > 0) {
    out.push("", paint("Another tenant's rows are open", "31"));
    for (const { table, lines } of found) {
      out.push(`  ${table}`, ...lines.flatMap((line) => wrap(line, width, 3)));
    }
  }
  out.push(...section("Not known", unknowns(report), width, paint, "33"));
  const { tables, cells, leaks: open, unknown } = report.counts;
  const word = { green: "32", red: "31", unknown: "33" }[report.verdict];
  out.push(
    "",
    `${
      paint(report.verdict.toUpperCase(), word)
    }  ${tables} tables, ${cells} cells, ${open} leaks, ${unknown} unknown`,
    "",
  );
  return out.join("\n");
}

function signs6(table: TableResult, actor: string): string {
  return VERBS.map((verb) =>
    table.problem !== null
      ? "?"
      : signOf(table.cells.filter((cell) => cell.actor === actor && cell.verb === verb))
  ).join("");
}

/**
 * What is open, by table: `changes another tenant's rows: owner, none`. Verbs that are open to the same actors share a
 * line.
 */
export function leaks(report: MatrixReport): { table: string; lines: string[] }[] {
  return report.tables.flatMap((table) => {
    const byActors = new Map<string, string[]>();
    for (const verb of VERBS) {
      const open = table.cells.filter((cell) => cell.verb === verb && cell.leak);
      if (open.length === 0) continue;
      const forged = open.every((cell) => cell.detail?.startsWith("with a forged"));
      const who = open.map((cell) => cell.actor).join(", ") +
        (forged ? ` (${open[0]?.detail})` : "");
      byActors.set(who, [...byActors.get(who) ?? [], verb]);
    }
    const lines = [...byActors].map(([who, verbs]) => `${verbs.join(", ")}: ${who}`);
    return lines.length === 0 ? [] : [{ table: table.table, lines }];
  });
}

/** What could not be measured, and why; the same reason once. */
export function unknowns(report: MatrixReport): string[] {
  const roles = new Set(
    report.actors.flatMap((one) => one.problem === null ? [] : [`${one.name}: ${one.problem}`]),
  );
  const reasons = new Map<string, Set<string>>();
  for (const table of report.tables) {
    for (const cell of table.cells) {
      const actor = report.actors.find((one) => one.name === cell.actor);
      if (cell.result !== "unknown" || actor?.problem) continue;
      const key = `${cell.actor}: ${cell.detail}`;
      reasons.set(key, (reasons.get(key) ?? new Set()).add(table.table));
    }
  }
  const cells = [...reasons].map(([reason, tables]) => {
    const [first] = tables;
    return `${reason} (${tables.size === 1 ? first : `${tables.size} tables`})`;
  });
  return [...report.tables.flatMap((one) => one.problem ?? []), ...roles, ...cells];
}

function section(
  title: string,
  lines: readonly string[],
  width: number,
  paint: (text: string, code: string) => string,
  colour: string,
): string[] {
  if (lines.length === 0) return [];
  return ["", paint(title, colour), ...lines.flatMap((line) => wrap(line, width))];
}

function wrap(text: string, width: number, indent = 1): string[] {
  const lines: string[] = [];
  let line = " ".repeat(indent);
  for (const word of text.replace(/\s+/g, " ").split(" ")) {
    if (line.trim() !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = " ".repeat(indent + 3);
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}

function clip(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

/**
 * The matrix as a Markdown table, for a pull request or a wiki.
 *
 * @example
 * process.stdout.write(renderMatrixMarkdown(report));
 */
export function renderMatrixMarkdown(report: MatrixReport): string {
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const out = [
    `| table | ${report.actors.map((one) => cell(one.name)).join(" | ")} |`,
    `| --- |${" --- |".repeat(report.actors.length)}`,
    ...report.tables.map((table) =>
      `| ${cell(table.table)} | ${
        report.actors.map((one) => `\`${signs6(table, one.name)}\``).join(" | ")
      } |`
    ),
    "",
    ...LEGEND.map((line) => `${line}  `),
    "`*` reads every tenant by design: service_role has BYPASSRLS",
  ];
  const open = leaks(report).flatMap(({ table, lines }) =>
    lines.map((line) => `${table}: ${line}`)
  );
  for (const [title, lines] of [["Leaks", open], ["Not known", unknowns(report)]] as const) {
    if (lines.length > 0) {
      out.push(
        "",
        `**${title}**`,
        "",
        ...lines.map((line) => `- ${cell(line)}`),
      );
    }
  }
  const { tables, cells, leaks: number, unknown } = report.counts;
  out.push(
    "",
    `**${report.verdict}**: ${tables} tables, ${cells} cells, ${number} leaks, ${unknown} unknown`,
  );
  return `${out.join("\n")}\n`;
}
