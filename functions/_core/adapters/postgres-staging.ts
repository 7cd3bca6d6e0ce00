import * as z from "zod";
import { GLOBAL_TENANT } from "../backup/types.ts";
import type { StagedPart } from "../backup/edge-ledger.ts";
import type { ExportSession, ExportTable } from "../backup/export-source.ts";
import { PARTS_DOCUMENT } from "../backup/parts.ts";
import type { Sql } from "./postgres.ts";

/** Chunks of one query: about 1 MiB in memory. */
const CHUNKS = 4;

const stagedRow = z.object({
  part_bytes: z.array(z.coerce.number()),
  documents: z.record(z.string(), z.unknown()),
  recorded: z.array(z.number()),
  tables: z.array(z.object({
    part: z.number(),
    position: z.number(),
    schema: z.string(),
    name: z.string(),
    columns: z.array(z.string()),
    rows: z.number(),
    hash: z.string(),
  })),
});
type StagedTable = z.infer<typeof stagedRow>["tables"][number];

/**
 * Lay out one tenant's rows in the database, in one snapshot. False: there are too many, or it took too long.
 *
 * @example
 * if (!await stageTenantRows(sql, { id, token, tenant })) await ledger.note(fingerprint, tenant);
 */
export async function stageTenantRows(
  sql: Sql,
  of: { id: string; token: string; tenant: string },
): Promise<boolean> {
  const tenant = of.tenant === GLOBAL_TENANT ? null : of.tenant;
  try {
    await sql.begin("isolation level repeatable read", async (tx) => {
      // A worker is ended after 150 s, and the transaction with it.
      await tx`set local statement_timeout = '100s'`;
      await tx`set local lock_timeout = '30s'`;
      await tx`select bulkhead.stage_backup(${of.id}, ${of.token}::uuid, ${tenant})`;
    });
    return true;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    if (code === "BH606" || code === "57014") return false;
    throw error;
  }
}

/** The parts of a staged tenant that are not recorded yet; null when it is not staged. */
export async function stagedParts(
  sql: Sql,
  of: { id: string; tenant: string },
): Promise<readonly StagedPart[] | null> {
  const [row] = await sql`
    select s.part_bytes::text[], s.documents, s.tables, array(
        select o.part
        from bulkhead.backup_objects as o
        where o.backup_id = s.backup_id and o.tenant_id = s.tenant_id
      ) as recorded
    from bulkhead.backup_staged as s
    where s.backup_id = ${of.id} and s.tenant_id = ${of.tenant}
  `;
  if (!row) return null;
  const staged = stagedRow.parse(row);
  const count = staged.part_bytes.length;
  return staged.part_bytes.flatMap((bytes, i) => {
    const part = i + 1;
    if (staged.recorded.includes(part)) return [];
    const tables = staged.tables.filter((table) => table.part === part);
    const documents = {
      ...(count > 1 ? { [PARTS_DOCUMENT]: { of: count } } : {}),
      ...(part === 1 ? staged.documents : {}),
    };
    return [{
      part,
      of: count,
      bytes,
      tables: tables.map(({ schema, name, columns }) => ({
        scope: "both" as const,
        schema,
        name,
        columns,
      })),
      session: sessionOf(sql, { ...of, part, tables, documents }),
    }];
  });
}

function sessionOf(
  sql: Sql,
  of: {
    id: string;
    tenant: string;
    part: number;
    tables: readonly StagedTable[];
    documents: Record<string, unknown>;
  },
): ExportSession {
  const find = ({ schema, name }: ExportTable): StagedTable => {
    const found = of.tables.find((each) => each.schema === schema && each.name === name);
    if (!found) throw new TypeError(`${schema}.${name} is not staged`);
    return found;
  };
  const next = readerOf(sql, of);
  const encoder = new TextEncoder();
  return {
    copy(table) {
      const { position } = find(table);
      return Promise.resolve(
        new ReadableStream<Uint8Array>({
          async pull(controller) {
            const lines = await next(position);
            if (lines === undefined) controller.close();
            else controller.enqueue(encoder.encode(lines));
          },
        }, { highWaterMark: 0 }),
      );
    },
    hash(table) {
      const { rows, hash } = find(table);
      return Promise.resolve({ rows, hash });
    },
    documents: () => Promise.resolve(of.documents),
    close: () => Promise.resolve(),
  };
}

const chunkRows = z.array(
  z.object({ position: z.number(), number: z.number(), lines: z.string() }),
);

/** The part's chunks in their order: the next one of a table, or undefined after its last. */
function readerOf(sql: Sql, of: { id: string; tenant: string; part: number }) {
  const waiting: z.infer<typeof chunkRows> = [];
  let at = { position: 0, number: 0 };
  let isOver = false;
  return async (position: number): Promise<string | undefined> => {
    if (waiting.length === 0 && !isOver) {
      waiting.push(...chunkRows.parse([
        ...await sql`
          select c.position, c.number, c.lines
          from bulkhead.backup_chunks as c
          where c.backup_id = ${of.id} and c.tenant_id = ${of.tenant} and c.part = ${of.part}
            and (c.position, c.number) > (${at.position}, ${at.number})
          order by c.position, c.number
          limit ${CHUNKS}
        `,
      ]));
      at = waiting.at(-1) ?? at;
      isOver = waiting.length < CHUNKS;
    }
    return waiting[0]?.position === position ? waiting.shift()?.lines : undefined;
  };
}
