import { BulkheadError } from "../errors.ts";

/** No line of an export is longer: a Postgres value ends at 1 GB, a string of JavaScript at half of that. */
const LONGEST = 256 * 1024 * 1024;

/**
 * The lines of a stream of UTF-8, without their line feeds. Bytes that are no UTF-8, and a line beyond all measure,
 * are errors: neither is ever in an export.
 *
 * @example
 * for await (const line of textLines(file)) JSON.parse(line);
 */
export async function* textLines(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let parts: string[] = [];
  let length = 0;
  try {
    for await (const chunk of bytes) {
      const pieces = decoder.decode(chunk, { stream: true }).split("\n");
      for (const [i, piece] of pieces.entries()) {
        if (i > 0) {
          yield parts.join("");
          parts = [];
          length = 0;
        }
        parts.push(piece);
        length += piece.length;
        if (length > LONGEST) throw new RangeError("a line is longer than 256 MB");
      }
    }
    parts.push(decoder.decode());
  } catch (error) {
    if (!(error instanceof TypeError) && !(error instanceof RangeError)) throw error;
    throw new BulkheadError(
      "BH_EXPORT_FORMAT",
      `Cannot read the export: ${error instanceof RangeError ? error.message : "it is not UTF-8"}`,
      {
        kind: "integrity",
        hint: "Name the file that bulkhead audit export wrote, unpacked",
        cause: error,
      },
    );
  }
  const rest = parts.join("");
  if (rest !== "") yield rest;
}
