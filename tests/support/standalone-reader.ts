import { createDecipheriv, createHash, hkdfSync, timingSafeEqual } from "node:crypto";
import { gunzipSync } from "node:zlib";

/** One object, read with nothing but Node and docs/backup-format.md: shares no line with the core. */
export function readObject(object: Buffer, tenantKey: Buffer): { header: unknown; raw: Buffer } {
  if (object.subarray(0, 8).toString("latin1") !== "BHBACK\r\n") throw new Error("magic");
  if (object.readUInt16BE(8) !== 1) throw new Error("version");
  const saltAt = 14 + object.readUInt32BE(10);
  const preamble = object.subarray(0, saltAt + 32);
  const commitment = object.subarray(saltAt + 32, saltAt + 64);
  const salt = object.subarray(saltAt, saltAt + 32);
  const derived = Buffer.from(hkdfSync("sha256", tenantKey, salt, "bulkhead/v1/object", 64));
  if (!timingSafeEqual(derived.subarray(32), commitment)) throw new Error("commitment");

  const plain: Buffer[] = [];
  const nonce = Buffer.alloc(12);
  for (let at = saltAt + 64, isLast = false, number = 0; !isLast; number++) {
    const chunk = object.subarray(at, at + 1048576 + 16);
    if (chunk.length < 16) throw new Error("truncated");
    at += chunk.length;
    isLast = at === object.length;
    nonce.writeUInt32BE(number, 7);
    nonce[11] = isLast ? 1 : 0;
    const cipher = createDecipheriv("aes-256-gcm", derived.subarray(0, 32), nonce);
    cipher.setAAD(preamble);
    cipher.setAuthTag(chunk.subarray(-16));
    plain.push(cipher.update(chunk.subarray(0, -16)), cipher.final());
  }
  const header: unknown = JSON.parse(object.subarray(14, saltAt).toString("utf8"));
  return { header, raw: gunzipSync(Buffer.concat(plain)) };
}

/** The tables of what {@link readObject} gives: name and COPY text. */
export function readTables(raw: Buffer): { name: string; columns: string[]; copy: Buffer }[] {
  if (raw.subarray(0, 6).toString("latin1") !== "BHTAB\x01") throw new Error("magic");
  const tables: { name: string; columns: string[]; copy: Buffer }[] = [];
  let copy: Buffer[] = [], head: { schema: string; name: string; columns: string[] } | null = null;
  for (let at = 6; at < raw.length;) {
    const type = raw[at]!;
    const payload = raw.subarray(at + 5, at + 5 + raw.readUInt32BE(at + 1));
    at += 5 + payload.length;
    if (type === 1) [head, copy] = [JSON.parse(payload.toString("utf8")), []];
    else if (type === 2) copy.push(payload);
    else if (type === 3 && head) {
      const { columns } = head;
      tables.push({ name: `${head.schema}.${head.name}`, columns, copy: Buffer.concat(copy) });
    } else if (type === 5) {
      if (at !== raw.length) throw new Error("bytes follow the end");
      return tables;
    }
  }
  throw new Error("it ends early");
}

export const sha256Hex = (bytes: Uint8Array): string =>
  createHash("sha256").update(bytes).digest("hex");
