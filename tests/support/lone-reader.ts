import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readFrames, readObject } from "../../tools/read-backup.mjs";

/** What an object must be; everything given is held against it. */
type Expected = { tenant?: string; backup?: string; part?: number; keyId?: string };

/** An object read by tools/read-backup.mjs, which shares no line with the core: the raw container. */
export async function loneRead(
  object: Uint8Array,
  tenantKey: Uint8Array,
  expected: Expected = {},
): Promise<Buffer> {
  return await withFile(object, async (file) => {
    const pieces: Buffer[] = [];
    for await (const piece of readObject(file, tenantKey, expected)) pieces.push(piece);
    return Buffer.concat(pieces);
  });
}

/** The tables of an object, read the same way. */
export async function loneTables(
  object: Uint8Array,
  tenantKey: Uint8Array,
): Promise<{ name: string; columns: string[]; copy: string }[]> {
  return await withFile(object, async (file) => {
    const tables: { name: string; columns: string[]; copy: string }[] = [];
    for await (const frame of readFrames(readObject(file, tenantKey, {}))) {
      if (frame.type === "table") {
        const { schema, name, columns } = frame.value;
        tables.push({ name: `${schema}.${name}`, columns, copy: "" });
      }
      const table = tables.at(-1);
      if (frame.type === "rows" && table) table.copy += frame.payload.toString();
    }
    return tables;
  });
}

async function withFile<T>(bytes: Uint8Array, work: (file: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "bulkhead-lone-"));
  try {
    writeFileSync(join(folder, "object"), bytes);
    return await work(join(folder, "object"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
