import * as z from "zod";
import { BulkheadError } from "../errors.ts";
import { FORMAT, type Scope, VERSION } from "../ledger/export-lines.ts";
import type { Sql } from "./postgres.ts";

/** What an export came to. */
export type Exported = {
  readonly links: number;
  readonly events: number;
  readonly head: string;
};

/** Events of one batch; a seal is never divided. */
const BATCH = 20_000;

const batchRows = z.array(z.object({ first: z.string(), last: z.string() }));
const headRow = z.object({ last: z.string(), head: z.string() });

/**
 * Write the sealed ledger, one tenant's part of it, or one partition, as the lines of docs/ledger-format.md.
 * The export is itself an event: it is recorded and sealed first, and the export ends with it, so that whoever
 * reads it knows that nothing was left out before. Reads one snapshot.
 *
 * @example
 * const { head } = await exportLedger(sql, { scope: { tenant }, now: new Date(), write: (text) => file.write(text) });
 * @throws BulkheadError `BH_EXPORT_UNSEALED` when an older transaction holds the seal back for longer than `waitMs`.
 */
export async function exportLedger(
  sql: Sql,
  options: {
    readonly scope: Scope;
    readonly now: Date;
    readonly waitMs: number;
    readonly write: (text: string) => Promise<void>;
  },
): Promise<Exported> {
  const tenant = "tenant" in options.scope ? options.scope.tenant : null;
  const part = "part" in options.scope ? options.scope.part : null;
  const detail = JSON.stringify(options.scope);
  const [record] = await sql<{ xid: string }[]>`
    select bulkhead.record_export(${detail}::text::jsonb || '{"begun": true}', ${tenant})::text as xid
  `;
  await sealedPast(sql, record?.xid ?? "", options.waitMs);
  return await sql.begin("isolation level repeatable read read only", async (tx) => {
    await tx`set local statement_timeout = 0`;
    const [at] = await tx`
      select s.seq::text as last, encode(s.head, 'hex') as head from bulkhead.audit_seals as s order by s.seq desc limit 1
    `;
    const { last, head } = headRow.parse(at);
    const batches = batchRows.parse(
      await tx`
        select min(b.seq)::text as first, max(b.seq)::text as last
        from (
          select s.seq, (sum(s.events) over (order by s.seq) - s.events)::bigint / ${BATCH} as events,
            s.seq / 1000 as links
          from bulkhead.audit_seals as s
        ) as b
        group by b.events, b.links
        order by min(b.seq)
      `,
    );
    let events = 0;
    await options.write(`${
      JSON.stringify({
        format: FORMAT,
        version: VERSION,
        scope: options.scope,
        exported_at: options.now.toISOString(),
      })
    }\n`);
    for (const batch of batches) {
      const rows = tx<{ line: string }[]>`
        select l.line
        from bulkhead.audit_export_lines(${batch.first}, ${batch.last}, ${tenant}, ${part}) as l (line)
      `.cursor(1000);
      for await (const lines of rows) {
        for (const { line } of lines) if (line.startsWith('{"event"')) events++;
        await options.write(`${lines.map(({ line }) => line).join("\n")}\n`);
      }
    }
    await options.write(
      `${JSON.stringify({ end: { links: last, events: String(events), head } })}\n`,
    );
    return { links: Number(last), events, head };
  });
}

/** Wait until everything up to a transaction is under a seal. */
async function sealedPast(sql: Sql, xid: string, waitMs: number): Promise<void> {
  for (let waited = 0;; waited += 500) {
    await sql`select bulkhead.seal()`;
    const [row] = await sql`
      select exists (
        select
        from bulkhead.audit_events as e
        join bulkhead.audit_leaves as l on l.id = e.id
        where e.xid = ${xid}::text::bigint and e.operation = 'bulkhead.export'
      ) as sealed
    `;
    if (row?.["sealed"] === true) return;
    if (waited >= waitMs) break;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  const [blocker] = await sql<{ detail: string; remedy: string }[]>`
    select b.detail, b.remedy from bulkhead.seal_blocker() as b limit 1
  `;
  throw new BulkheadError(
    "BH_EXPORT_UNSEALED",
    `Cannot export the ledger: its newest events can't be sealed yet${
      blocker ? `, held back by ${blocker.detail}` : ""
    }`,
    {
      kind: "red",
      hint: blocker
        ? `Wait for it to end, or end it: ${blocker.remedy}`
        : "Run the command again in a moment",
    },
  );
}
