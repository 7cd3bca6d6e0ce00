import type { Classification } from "./classify.ts";
import type { Finding } from "./findings.ts";
import type { PolicyVerdict } from "./policy-verdict.ts";

/** What `bulkhead adopt` answers; printed with --json as it is. */
export type AdoptReport = {
  database: string;
  tables: {
    table: string;
    kind: string;
    column: string;
    path: string | null;
    rows: number;
    problem: string | null;
  }[];
  findings: Finding[];
  policies: PolicyVerdict[];
  steps: { phase: number; title: string; lock: string; alone: boolean }[];
  blocked: string[];
};

/** The tables part of the report. */
export function reportTables(world: Classification): AdoptReport["tables"] {
  return world.tables.map((each) => ({
    table: each.table.id,
    kind: each.kind,
    column: each.column,
    path: each.path,
    rows: each.table.rows,
    problem: each.problem,
  }));
}

const WORDS: Record<string, string> = {
  tenants: "the tenants",
  tenant: "tenant",
  through: "tenant through a parent",
  global: "global",
  ignored: "ignored",
  unknown: "unknown",
};

/**
 * The report for people, 80 columns wide.
 *
 * @example
 * process.stdout.write(renderAdopt(report));
 */
export function renderAdopt(report: AdoptReport, width = 80): string {
  const out: string[] = [`Adoption of ${report.database}`, ""];
  const wide = Math.min(36, Math.max(...report.tables.map((one) => one.table.length), 5));
  out.push(`${report.tables.length} tables`);
  for (const one of report.tables) {
    const rest = one.problem ??
      (one.path
        ? `${WORDS[one.kind]}: ${one.path}`
        : one.kind === "tenant"
        ? `tenant: ${one.column}`
        : WORDS[one.kind] ?? one.kind);
    out.push(...hang(`  ${one.problem ? "?" : " "} ${one.table.padEnd(wide)}  `, rest, width));
  }
  const bad = report.findings;
  out.push(
    "",
    bad.length === 0
      ? "Nothing is wrong"
      : `${bad.length} ${bad.length === 1 ? "thing is" : "things are"} wrong`,
  );
  for (const rule of [...new Set(bad.map((one) => one.rule))]) {
    const group = bad.filter((one) => one.rule === rule);
    const rows = group.reduce((sum, one) => sum + (one.rows ?? 0), 0);
    out.push(`  ${rule} (${rows > 0 ? `${rows.toLocaleString("en")} rows` : group.length})`);
    for (const one of group) {
      const count = one.rows === null ? "" : `${one.rows.toLocaleString("en")} `;
      const samples = one.samples.length > 0
        ? `; for example ${one.samples.slice(0, 2).join(", ")}`
        : "";
      out.push(
        ...hang(
          `    ${one.severity === "critical" ? "x" : "!"} `,
          `${one.subject}: ${count}${one.detail}${samples}`,
          width,
          6,
        ),
      );
    }
  }
  const judged = report.policies.filter((one) => one.problems.length > 0);
  if (report.policies.length > 0) {
    out.push("", `${report.policies.length} permissive policies, ${judged.length} with a verdict`);
  }
  for (const one of judged) {
    out.push(
      ...hang(
        "  x ",
        `${one.table}."${one.policy}": ${one.problems.map((p) => p.detail).join("; ")}`,
        width,
        4,
      ),
    );
  }
  out.push("");
  if (report.blocked.length > 0) {
    out.push(
      ...hang(
        "",
        `No plan yet: ${report.blocked.length} tables wait for a word in bulkhead.toml`,
        width,
      ),
    );
  } else if (report.steps.length === 0) out.push("The plan is empty: there is nothing left to do");
  else {
    out.push(
      ...hang(
        "",
        `The plan has ${report.steps.length} steps, ${
          report.steps.filter((one) => one.alone).length
        } of them outside a transaction; nothing was changed. Write them with --out <folder>`,
        width,
      ),
    );
  }
  return `${out.join("\n")}\n`;
}

/** Text after a prefix, wrapped at spaces and indented under itself; a word that is too long stands alone. */
function hang(prefix: string, text: string, width: number, indent = prefix.length): string[] {
  const lines: string[] = [];
  let line = prefix;
  let empty = true;
  for (const word of text.split(" ")) {
    if (!empty && line.length + 1 + word.length > width) {
      lines.push(line);
      line = " ".repeat(Math.min(indent, width / 2)) + word;
      continue;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  return [...lines, line].flatMap((one) => split(one, width, Math.min(indent, width / 2)));
}

function split(line: string, width: number, indent: number): string[] {
  const lines: string[] = [];
  let rest = line;
  while (rest.length > width) {
    lines.push(rest.slice(0, width));
    rest = " ".repeat(indent) + rest.slice(width);
  }
  return [...lines, rest];
}
