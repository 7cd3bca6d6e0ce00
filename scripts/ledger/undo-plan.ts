import process from "node:process";
import * as z from "zod";
import type { Sql } from "../../functions/_core/adapters/postgres.ts";
import { counted } from "../../functions/_core/counted.ts";
import { changeOf, cut, ledgerValues, plain } from "../../functions/_core/ledger/event-line.ts";
import { colours, widthOf } from "./print.ts";

/** What to undo, as `bulkhead.undo_plan()` takes it. */
export type Undo = {
  transaction: string | null;
  tenant: string | null;
  since: string | null;
  until: string | null;
  tables: string[] | null;
  actor: string | null;
  conflicts: string;
};

const step = z.object({
  tenant: z.string(),
  table: z.string(),
  record: z.string().nullable(),
  action: z.enum(["insert", "update", "delete"]).nullable(),
  state: z.enum(["ready", "conflict", "blocked", "skipped"]),
  columns: z.array(z.string()).nullable(),
  present: ledgerValues,
  target: ledgerValues,
  reason: z.string().nullable(),
  digest: z.string(),
});

/** One row of a plan. */
export type Step = z.infer<typeof step>;

/**
 * The plan of an undo; nothing is changed.
 *
 * @example
 * const steps = await planUndo(sql, { transaction: "1055", … });
 */
export async function planUndo(sql: Sql, undo: Undo): Promise<Step[]> {
  const rows = await sql`
    select p.tenant_id as tenant, p.table_name as table, p.record_id as record, p.action, p.state, p.columns, p.present::text as present, p.target::text as target, p.reason, p.digest
    from bulkhead.undo_plan(${undo.transaction}::text::bigint, ${undo.tenant}::text, ${undo.since}::text::timestamptz,
      ${undo.until}::text::timestamptz, ${undo.tables}::text[]::regclass[], ${undo.actor}::text, ${undo.conflicts}::text) as p`;
  return z.array(step).parse([...rows]);
}

const applied = z.object({
  tenant: z.string(),
  table: z.string(),
  action: z.string(),
  rows: z.number(),
});

/** What an undo did, by tenant and table. */
export type Applied = z.infer<typeof applied>;

/**
 * Do what a plan says, in one transaction, or nothing.
 *
 * @example
 * await applyUndo(sql, undo, { digest, acting: "alice" });
 */
export async function applyUndo(
  sql: Sql,
  undo: Undo,
  { digest, acting }: { digest: string; acting: string | null },
): Promise<Applied[]> {
  // The commit is a step of its own: after Ctrl-C the database ends the statement that it is at, and nobody says commit.
  const rows = await sql.begin((tx) =>
    tx`
    select a.tenant_id as tenant, a.table_name as table, a.action, a.rows::integer as rows
    from bulkhead.apply_undo(${digest}::text, ${undo.transaction}::text::bigint, ${undo.tenant}::text, ${undo.since}::text::timestamptz,
      ${undo.until}::text::timestamptz, ${undo.tables}::text[]::regclass[], ${undo.actor}::text, ${undo.conflicts}::text, ${acting}::text) as a`
  );
  return z.array(applied).parse([...rows]);
}

const SIGN = { insert: "+", update: "~", delete: "-" } as const;
const WORD = { insert: "insert", update: "set back", delete: "delete" } as const;

/**
 * The plan for people: a line a table, then a line a row, those in the way first.
 *
 * @example
 * printPlan(steps, { rows: 20 });
 */
export function printPlan(steps: readonly Step[], options: { rows: number; wide?: boolean }): void {
  const { dim, green, red, yellow } = colours();
  for (const table of [...new Set(steps.map((each) => each.table))]) {
    const counts = countsOf(steps.filter((each) => each.table === table));
    process.stdout.write(`  ${plain(table)}: ${counts}\n`);
  }
  const isReady = (each: Step) => each.state === "ready";
  const ordered = [...steps.filter((each) => !isReady(each)), ...steps.filter(isReady)];
  const width = widthOf(options);
  for (const each of ordered.slice(0, options.rows)) {
    const sign = isReady(each) && each.action ? SIGN[each.action] : "!";
    const target = `${plain(each.table.replace(/^public\./, ""))} ${plain(each.record ?? "")}`;
    const detail = isReady(each)
      ? [changeOf(changeFor(each)), each.reason].filter(Boolean).join("  ")
      : `${each.state}: ${each.reason}`;
    const line = `${sign} ${target}  ${detail}`;
    const paint = { "+": green, "~": yellow, "-": red, "!": red }[sign];
    process.stdout.write(`${paint(width > 0 ? cut(line, width) : line)}\n`);
  }
  if (ordered.length > options.rows) {
    process.stdout.write(
      dim(`… and ${counted(ordered.length - options.rows, "row")} more (--rows)\n`),
    );
  }
}

function countsOf(steps: readonly Step[]): string {
  const counts = new Map<string, number>();
  for (const { action, state } of steps) {
    const what = state === "ready" && action ? `to ${WORD[action]}` : state;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return [...counts].map(([what, count]) => `${count} ${what}`).join(", ");
}

function changeFor(each: Step): Parameters<typeof changeOf>[0] {
  const operation = (each.action ?? "").toUpperCase();
  return {
    operation,
    before: each.present,
    after: each.target,
    metadata: null,
    record: each.record,
    tenant: each.tenant,
  };
}
