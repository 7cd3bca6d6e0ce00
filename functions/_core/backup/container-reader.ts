import { ByteReader } from "./byte-reader.ts";
import { deferred } from "./deferred.ts";
import {
  CONTAINER_MAGIC,
  containerEnd,
  containerError,
  countNewlines,
  documentFrame,
  FRAME,
  FRAME_HEAD_BYTES,
  MAX_DOCUMENT_BYTES,
  MAX_FRAME_BYTES,
  parseJsonFrame,
  tableEnd,
  tableHead,
} from "./frames.ts";
import type { ContainerEntry, TableSummary } from "./types.ts";

/**
 * Read an object's tables in order. The iteration *ends* only after the end frame and the end of the
 * stream, so a loop that finishes has seen everything; one that throws has not.
 *
 * @example
 * for await (const entry of decodeTables(openObject({ stream, tenantKey, expect }))) {
 *   if (entry.kind === "table") await copyInto(entry.columns, entry.rows);
 * }
 */
export async function* decodeTables(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<ContainerEntry, void, void> {
  const reader = new ByteReader(stream);
  let isWhole = false;
  try {
    const magic = await reader.read(CONTAINER_MAGIC.length);
    const isOurs = magic.length === CONTAINER_MAGIC.length &&
      magic.every((byte, i) => byte === CONTAINER_MAGIC[i]);
    if (!isOurs) throw containerError("this is no table container of version 1");
    let entries = 0, rows = 0;
    while (true) {
      const head = await readHead(reader);
      if (head.type === FRAME.table) {
        const table = readTable(reader, await readPayload(reader, head));
        yield table.entry;
        await table.drain();
        rows += (await table.entry.summary).rows;
        entries++;
      } else if (head.type === FRAME.document) {
        const { document, value } = parseJsonFrame(documentFrame, await readPayload(reader, head));
        yield { kind: "document", document, value };
        entries++;
      } else if (head.type === FRAME.end) {
        const end = parseJsonFrame(containerEnd, await readPayload(reader, head));
        if (end.entries !== entries || end.rows !== rows) {
          throw containerError(`${entries} entries with ${rows} rows are not all there were`);
        }
        if (!await reader.isAtEnd()) throw containerError("bytes follow the end");
        isWhole = true;
        return;
      } else throw containerError(`frame type ${head.type} is not known here`);
    }
  } finally {
    if (!isWhole) await reader.cancel("not read to the end").catch(() => {});
  }
}

interface FrameHead {
  readonly type: number;
  readonly length: number;
}

async function readHead(reader: ByteReader): Promise<FrameHead> {
  const head = await reader.read(FRAME_HEAD_BYTES);
  if (head.length < FRAME_HEAD_BYTES) throw containerError("it ends early");
  const type = head[0]!;
  const length = new DataView(head.buffer, head.byteOffset).getUint32(1);
  if (length > (type === FRAME.document ? MAX_DOCUMENT_BYTES : MAX_FRAME_BYTES)) {
    throw containerError(`a frame of ${length} bytes is too large`);
  }
  return { type, length };
}

async function readPayload(reader: ByteReader, head: FrameHead): Promise<Uint8Array> {
  const payload = await reader.read(head.length);
  if (payload.length < head.length) throw containerError("it ends early");
  return payload;
}

function readTable(reader: ByteReader, payload: Uint8Array) {
  const { schema, name, columns } = parseJsonFrame(tableHead, payload);
  const settled = deferred<TableSummary>();
  let rows = 0, bytes = 0, left = 0, isOver = false;

  /** The next piece of COPY text, or null after the table's end frame was checked. */
  const next = async (): Promise<Uint8Array | null> => {
    try {
      while (left === 0 && !isOver) {
        const head = await readHead(reader);
        if (head.type === FRAME.rows) left = head.length;
        else if (head.type === FRAME.tableEnd) {
          const end = parseJsonFrame(tableEnd, await readPayload(reader, head));
          if (end.rows !== rows || end.bytes !== bytes) {
            throw containerError(`"${schema}.${name}" has ${rows} rows instead of ${end.rows}`);
          }
          isOver = true;
          settled.resolve({ schema, name, columns, ...end });
        } else throw containerError(`frame type ${head.type} inside "${schema}.${name}"`);
      }
      if (isOver) return null;
      const piece = await reader.readSome(left);
      if (piece.length === 0) throw containerError("it ends early");
      left -= piece.length;
      rows += countNewlines(piece);
      bytes += piece.length;
      return piece;
    } catch (error) {
      settled.reject(error);
      throw error;
    }
  };

  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const piece = await next();
      if (piece) controller.enqueue(piece);
      else controller.close();
    },
  }, { highWaterMark: 0 });
  const entry = {
    kind: "table" as const,
    schema,
    name,
    columns,
    rows: stream,
    summary: settled.promise,
  };
  // What the caller left unread is read here, so that its count is checked all the same.
  const drain = async () => {
    while (await next());
  };
  return { entry, drain };
}
