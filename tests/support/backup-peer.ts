/**
 * One side of a backup, to be run by any runtime: `write` seals rows into the store that the environment names,
 * `read` reads them back and prints what it saw. Arguments: the verb, the tenant, megabytes of rows.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { openKek } from "../../functions/_core/adapters/open-kek.ts";
import { openStore } from "../../functions/_core/adapters/open-store.ts";
import { chunksOf } from "../../functions/_core/backup/chunks.ts";
import { decodeTables, encodeTables } from "../../functions/_core/backup/container.ts";
import { openObject, sealObject } from "../../functions/_core/backup/format.ts";
import { createKeyring, openKeyring } from "../../functions/_core/keys/keyring.ts";
import { newBackupId, objectKey } from "../../functions/_core/backup/names.ts";
import { newestBackup, writeManifest } from "../../functions/_core/backup/manifest.ts";
import { Sha256 } from "../../functions/_core/backup/sha256-stream.ts";
import { toHex } from "../../functions/_core/bytes.ts";

const [verb = "", tenant = "", megabytes = "1"] = process.argv.slice(2);
const { BULKHEAD_STORE = "" } = process.env;
const store = openStore({
  BULKHEAD_STORE,
  BULKHEAD_S3_ENDPOINT: process.env["BULKHEAD_S3_ENDPOINT"],
  BULKHEAD_S3_REGION: process.env["BULKHEAD_S3_REGION"],
  BULKHEAD_S3_KEY_ID: process.env["BULKHEAD_S3_KEY_ID"],
  BULKHEAD_S3_SECRET: process.env["BULKHEAD_S3_SECRET"],
}, "writer");
const kek = await openKek(process.env);

const started = performance.now();
const facts = verb === "write" ? await write() : await read();
const milliseconds = Math.round(performance.now() - started);
console.log(JSON.stringify({ ...facts, milliseconds, peakMegabytes: peakMemory() }));

/** The kernel's own high-water mark: sampling would miss peaks between two timers. */
function peakMemory(): number {
  try {
    const [, kilobytes] = /VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
    return Math.round(Number(kilobytes) / 1_000);
  } catch {
    return Math.round(process.memoryUsage().rss / 1e6);
  }
}

/** The same rows for the same size, about half of them compressible. */
function rows(hash: Sha256): ReadableStream<Uint8Array> {
  const total = Number(megabytes) * 1e6;
  let sent = 0, state = 1;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent >= total) return controller.close();
      let text = "";
      for (let i = 0; i < 1_000; i++) {
        state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
        text += `${state}\tThe lift in unit ${state % 500} stands still again\t${state * 7919}\n`;
      }
      const bytes = new TextEncoder().encode(text);
      hash.update(bytes);
      sent += bytes.length;
      controller.enqueue(bytes);
    },
  }, { highWaterMark: 0 });
}

async function write() {
  const keyring = await openKeyring({ store, kek }).catch(() => createKeyring({ store, kek }));
  const tenantKey = await keyring.ensureTenantKey(tenant);
  const at = new Date(), backup = newBackupId(at), part = 1, hash = new Sha256();
  const tables = encodeTables([
    {
      schema: "public",
      name: "messages",
      columns: ["a", "b", "c"],
      rows: rows(hash),
      contentHash: "7",
    },
  ]);
  const sealed = sealObject({
    header: { kind: "tenant", tenant, backup, part, createdAt: at },
    tenantKey,
    plaintext: tables.stream,
  });
  const key = objectKey({ tenant, backup, part });
  const { version } = await store.put(key, sealed.stream);
  const [summary] = await tables.done;
  if (!summary) throw new Error("no table");
  const { columns: _, ...table } = summary;
  await writeManifest({
    store,
    keyring,
    manifest: {
      format: 1,
      id: backup,
      tool: "test",
      source: "runner",
      project: "test",
      startedAt: at.toISOString(),
      finishedAt: new Date().toISOString(),
      schemaFingerprint: "f",
      migrations: [],
      auditHead: null,
      previous: null,
      rows: table.rows,
      objects: [{
        ...{ kind: "tenant", tenant, backup, part, key, version, keyId: tenantKey.id },
        ...await sealed.done,
        rows: table.rows,
        tables: [table],
      }],
    },
  });
  return { rows: table.rows, sha256: toHex(hash.digest()) };
}

async function read() {
  const keyring = await openKeyring({ store, kek });
  const { manifest } = await newestBackup({ store, keyring });
  const hash = new Sha256();
  let count = 0;
  for (const object of manifest.objects) {
    const plaintext = openObject({
      stream: await store.get(object.key, { version: object.version }),
      tenantKey: (header) => keyring.tenantKey(header.tenant, header.keyId),
      expect: object,
    });
    for await (const entry of decodeTables(plaintext)) {
      if (entry.kind !== "table") continue;
      for await (const chunk of chunksOf(entry.rows)) hash.update(chunk);
      count += (await entry.summary).rows;
    }
  }
  return { rows: count, sha256: toHex(hash.digest()) };
}
