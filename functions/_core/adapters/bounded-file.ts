import { Buffer } from "node:buffer";
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";

/**
 * Read no more than `most` bytes of a regular file, whatever it says of its size. A link at its end is not followed,
 * and a pipe or a device neither blocks nor is read.
 *
 * @example
 * const text = decode(readBounded("/srv/app/.gitignore", 1_000_000));
 * @throws Error with `code` EFTYPE where it is no regular file, EFBIG where it is larger.
 */
export function readBounded(path: string, most: number): Uint8Array {
  const file = openSync(
    path,
    constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0),
  );
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw refusal("EFTYPE");
    if (stat.size > most) throw refusal("EFBIG");
    const buffer = new Uint8Array(stat.size);
    let length = 0;
    while (length < buffer.length) {
      const read = readSync(file, buffer, length, buffer.length - length, length);
      if (read === 0) break;
      length += read;
    }
    return buffer.subarray(0, length);
  } finally {
    closeSync(file);
  }
}

function refusal(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** The text of bytes: UTF-16 by its mark, else UTF-8; what is neither shows as U+FFFD. */
export function decode(bytes: Uint8Array): string {
  const [a, b] = bytes;
  if (a === 0xff && b === 0xfe) return new TextDecoder("utf-16le").decode(bytes);
  if (a === 0xfe && b === 0xff) return new TextDecoder("utf-16be").decode(bytes);
  // A Buffer makes one byte a character of plain text, TextDecoder two.
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  return text.startsWith("\uFEFF") ? text.slice(1) : text;
}

/** Why a path could not be read, for people. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
  if (code === "EACCES") return "it may not be read (EACCES)";
  if (code === "EFTYPE" || code === "ELOOP") return "it is no regular file";
  return `it can't be read (${code})`;
}
