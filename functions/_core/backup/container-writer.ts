import { BulkheadError } from "../errors.ts";
import { deferred } from "./deferred.ts";
import {
  CONTAINER_MAGIC,
  countNewlines,
  encodeJsonFrame,
  FRAME,
  frameHead,
  MAX_FRAME_BYTES,
} from "./frames.ts";
import type { DocumentInput, TableInput, TableSummary } from "./types.ts";

/**
 * Frame tables and documents one after the other. Nothing is buffered: the next table is asked for
 * when the one before has been read. `done` settles when the stream has been read to its end.
 *
 * @example
 * const { stream, done } = encodeTables([{ schema: "public", name: "units", columns, rows, contentHash }]);
 */
export function encodeTables(
  entries: AsyncIterable<TableInput | DocumentInput> | Iterable<TableInput | DocumentInput>,
): { stream: ReadableStream<Uint8Array>; done: Promise<TableSummary[]> } {
  const settled = deferred<TableSummary[]>();
  const summaries: TableSummary[] = [];
  const frames = encode(entries, summaries);
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const next = await frames.next();
        if (!next.done) return controller.enqueue(next.value);
        settled.resolve(summaries);
        controller.close();
      } catch (error) {
        settled.reject(error);
        controller.error(error);
      }
    },
    async cancel(reason) {
      settled.reject(reason ?? new Error("the tables were not read to their end"));
      await frames.return(undefined);
    },
  }, { highWaterMark: 0 });
  return { stream, done: settled.promise };
}

async function* encode(
  entries: AsyncIterable<TableInput | DocumentInput> | Iterable<TableInput | DocumentInput>,
  summaries: TableSummary[],
): AsyncGenerator<Uint8Array> {
  yield CONTAINER_MAGIC;
  let count = 0;
  for await (const entry of entries) {
    count++;
    if ("document" in entry) {
      const { document, value } = entry;
      yield encodeJsonFrame(FRAME.document, { document, value });
    } else {
      yield* encodeTable(entry, summaries);
    }
  }
  const rows = summaries.reduce((sum, table) => sum + table.rows, 0);
  yield encodeJsonFrame(FRAME.end, { entries: count, rows });
}

async function* encodeTable(
  table: TableInput,
  summaries: TableSummary[],
): AsyncGenerator<Uint8Array> {
  const { schema, name, columns } = table;
  yield encodeJsonFrame(FRAME.table, { schema, name, columns: [...columns] });
  let rows = 0, bytes = 0, last = 10;
  const reader = table.rows.getReader();
  let isRead = false;
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) break;
      for (let at = 0; at < value.length; at += MAX_FRAME_BYTES) {
        const payload = value.subarray(at, at + MAX_FRAME_BYTES);
        // Not copied into one: that would be twice the memory.
        yield frameHead(FRAME.rows, payload.length);
        yield payload;
      }
      rows += countNewlines(value);
      bytes += value.length;
      last = value[value.length - 1] ?? last;
    }
    isRead = true;
  } finally {
    if (!isRead) await reader.cancel("the object was not written to its end").catch(() => {});
  }
  if (last !== 10) throw cut(table, "the last row has no end");
  const expected = await table.expectedRows?.();
  if (expected !== undefined && expected !== rows) {
    throw cut(table, `${rows} rows arrived instead of ${expected}`);
  }
  const contentHash = typeof table.contentHash === "string"
    ? table.contentHash
    : await table.contentHash();
  yield encodeJsonFrame(FRAME.tableEnd, { rows, bytes, contentHash });
  summaries.push({ schema, name, columns, rows, bytes, contentHash });
}

function cut(table: TableInput, state: string): BulkheadError {
  return new BulkheadError(
    "BH_EXPORT_CUT",
    `Cannot back up the table "${table.schema}.${table.name}": ${state}`,
    { kind: "unavailable", hint: "The COPY ended early; look at the database's log and run again" },
  );
}
