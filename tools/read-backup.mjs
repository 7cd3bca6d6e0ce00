#!/usr/bin/env node
/**
 * Reads a Bulkhead backup with nothing but Node 20, this file and docs/backup-format.md: for the day on which Bulkhead
 * itself cannot be had. It shares no code with Bulkhead, so each proves the other.
 *
 *   BULKHEAD_KEK=… node read-backup.mjs --folder <copy of the store> --out <new folder> [--backup <id>] [--tenant <id>]
 *
 * (or BULKHEAD_ROOT, the root of keyring.json as a key-management service unwrapped it). The result is COPY text, one
 * file a table, and (once every byte was authenticated) load.sql: psql -1 -v ON_ERROR_STOP=1 -f load.sql, as a
 * superuser, into an empty database with the same migrations.
 */
import { createDecipheriv, createHash, createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import * as fs from "node:fs";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createGunzip } from "node:zlib";

const CHUNK = 1_048_576, TAG = 16;

function check(holds, otherwise) {
  if (!holds) throw new Error(otherwise);
}

/** The members of a document, all of them and no others; those after `?` may be absent. */
function members(value, names) {
  const [must, may = ""] = names.split(" ? ").map((list) => list.split(" "));
  const isWhole = typeof value === "object" && value !== null && must.every((n) => n in value) &&
    Object.keys(value).every((name) => must.includes(name) || may.includes(name));
  check(isWhole, `it does not have the members ${names}`);
  return value;
}

/** Section 6. */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const names = Object.keys(value).filter((name) => value[name] !== undefined).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
}

const derive = (key, info, salt = Buffer.alloc(0), bytes = 32) =>
  Buffer.from(hkdfSync("sha256", key, salt, info, bytes));

/** Section 2: what a key wrapped, or null. */
function unwrap(key, wrapped, context) {
  try {
    const bytes = Buffer.from(wrapped, "base64");
    const nonce = bytes.subarray(0, 12), wrapping = derive(key, "bulkhead/v1/wrap");
    const aes = createDecipheriv("aes-256-gcm", wrapping, nonce);
    aes.setAAD(Buffer.from(canonical(context)));
    aes.setAuthTag(bytes.subarray(-TAG));
    return Buffer.concat([aes.update(bytes.subarray(12, -TAG)), aes.final()]);
  } catch {
    return null;
  }
}

/** Section 5. */
function isSigned(document, purpose, key) {
  const { algorithm, value } = document.signature, given = Buffer.from(value, "hex");
  const hmac = createHmac("sha256", derive(key, `bulkhead/v1/sign/${purpose}`));
  const expected = hmac.update(canonical(document[purpose])).digest();
  return algorithm === "HMAC-SHA256" && given.length === 32 && timingSafeEqual(expected, given);
}

const namesIn = (folder) => fs.existsSync(folder) ? fs.readdirSync(folder).sort().reverse() : [];

/** The files that may hold a key of the store, newest first: `<key>` as downloaded, `<key>@<version>` in a folder store. */
function filesOf(folder, key) {
  const path = join(folder, key), isVersion = (name) => name.startsWith(`${basename(key)}@`);
  const versions = namesIn(dirname(path)).filter(isVersion).map((v) => join(dirname(path), v));
  return fs.existsSync(path) ? [path, ...versions] : versions;
}

const HEADER = "kind tenant backup part keyId";
const OBJECT = "key version size sha256 rawBytes rows tables";
const MANIFEST = "format id tool source project startedAt finishedAt schemaFingerprint " +
  "migrations auditHead previous rows objects contentHashes ? snapshot";

/** Section 3: the header of an object, as version 1 has it. */
function parseHeader(json) {
  const header = members(
    JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json)),
    `${HEADER} createdAt compression chunkBytes`,
  );
  const { kind, tenant, backup, part, keyId, createdAt, compression, chunkBytes } = header;
  const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(createdAt);
  const isOurs = kind === (tenant === "@global" ? "global" : "tenant") && isTime &&
    /^\d{8}T\d{6}Z-[0-9a-f]{8}$/.test(backup) && Number.isSafeInteger(part) && part > 0 &&
    /^[0-9a-f]{32}$/.test(keyId) && compression === "gzip" && chunkBytes === CHUNK;
  check(isOurs, "its header is none of version 1");
  return header;
}

/** Every key that the keyring's documents give under this KEK (or this root), by id; null for a shredded one. */
export function readKeyring(folder, key, isRoot = false) {
  const kekId = derive(key, "bulkhead/v1/kek-id", undefined, 8).toString("hex");
  const keys = new Map(), shredded = new Set(), opened = [];
  for (const file of filesOf(folder, "keyring.json")) {
    const document = JSON.parse(fs.readFileSync(file, "utf8")), { keyring } = document;
    members(keyring, "format epoch kekId root parents writtenAt keys shredded ? epochAt");
    if (isRoot ? !isSigned(document, "keyring", key) : keyring.kekId !== kekId) continue;
    const context = ["bulkhead/v1/root", keyring.epoch, kekId];
    const root = isRoot ? key : unwrap(key, keyring.root, context);
    check(root, `the root of ${file} does not unwrap`);
    check(isSigned(document, "keyring", root), `the signature of ${file} does not match`);
    for (const key of keyring.keys) {
      keys.set(key.id, unwrap(root, key.wrapped, ["bulkhead/v1/key", key.tenant, key.use, key.id]));
    }
    for (const { id } of keyring.shredded) shredded.add(id);
    opened.push(file);
  }
  const named = isRoot ? "this root" : `key-encryption key ${kekId}`;
  check(opened.length > 0, `no keyring.json in ${folder} is under ${named}`);
  for (const id of shredded) keys.set(id, null);
  return keys;
}

/** A backup's manifest, verified; the newest unless named. */
export function readManifest(folder, keys, id) {
  const ids = namesIn(join(folder, "manifests")).map((name) => name.replace(/\.json(@.*)?$/, ""));
  const wanted = id ?? ids[0];
  check(ids.includes(wanted), `there is no manifest of ${wanted ?? "any backup"}`);
  const [file] = filesOf(folder, `manifests/${wanted}.json`);
  const document = JSON.parse(fs.readFileSync(file, "utf8"));
  const key = keys.get(document.signature.keyId);
  check(key, `the keyring does not hold the key that signed ${wanted}`);
  check(isSigned(document, "manifest", key), `the signature of ${wanted} does not match`);
  const { manifest } = members(document, "manifest signature");
  members(document.signature, "algorithm keyId value");
  members(manifest, MANIFEST);
  for (const object of manifest.objects) members(object, `${HEADER} ${OBJECT}`);
  check(manifest.format === 1, `the format of ${wanted} is not 1`);
  check(manifest.id === wanted, `the manifest of ${wanted} belongs to ${manifest.id}`);
  const hashes = unwrap(key, manifest.contentHashes, ["bulkhead/v1/content-hashes", wanted]);
  const left = JSON.parse(hashes ?? "[]"), tables = manifest.objects.flatMap((o) => o.tables);
  check(left.length === tables.length, `the content hashes of ${wanted} do not unwrap`);
  for (const table of tables) table.contentHash = left.shift();
  return manifest;
}

/** Section 3: the decrypted, inflated bytes of an object; they end only where everything matched. */
export async function* readObject(file, tenantKey, expected) {
  const fd = fs.openSync(file, "r");
  try {
    const size = fs.fstatSync(fd).size, hash = createHash("sha256");
    check(size === (expected.size ?? size), `${size} bytes, not ${expected.size}`);
    let at = 0;
    const read = (length) => {
      const bytes = Buffer.alloc(Math.min(length, size - at));
      for (let n = 0; n < bytes.length;) n += fs.readSync(fd, bytes, n, bytes.length - n, at + n);
      at += bytes.length;
      hash.update(bytes);
      return bytes;
    };
    const fixed = read(14);
    check(fixed.toString("latin1", 0, 8) === "BHBACK\r\n", "it is no object of a backup");
    check(fixed.readUInt16BE(8) === 1, "its version is not 1");
    const length = fixed.readUInt32BE(10);
    check(length >= 2 && length <= 65_536, `its header has ${length} bytes`);
    const json = read(length), salt = read(32), commitment = read(32);
    const header = parseHeader(json), preamble = Buffer.concat([fixed, json, salt]);
    for (const name of HEADER.split(" ")) {
      const wanted = expected[name] ?? header[name];
      check(header[name] === wanted, `its ${name} is ${header[name]}`);
    }
    const derived = derive(tenantKey, "bulkhead/v1/object", salt, 64);
    const isItsOwn = commitment.length === 32 && timingSafeEqual(derived.subarray(32), commitment);
    check(isItsOwn, "the key is not its own");
    const gunzip = createGunzip({ chunkSize: 65_536 });
    let tail = Buffer.from([]);
    const feed = (async () => {
      const nonce = Buffer.alloc(12);
      for (let number = 0, isLast = false; !isLast; number++) {
        const sealed = read(CHUNK + TAG);
        check(sealed.length >= TAG, "it is cut off");
        isLast = at === size;
        nonce.writeUInt32BE(number, 7);
        nonce[11] = isLast ? 1 : 0;
        const aes = createDecipheriv("aes-256-gcm", derived.subarray(0, 32), nonce);
        aes.setAAD(preamble);
        aes.setAuthTag(sealed.subarray(-TAG));
        const plain = Buffer.concat([aes.update(sealed.subarray(0, -TAG)), aes.final()]);
        check(!isLast || number === 0 || plain.length > 0, "its last chunk is empty");
        tail = Buffer.concat([tail, plain]).subarray(-4);
        if (!gunzip.write(plain)) {
          await new Promise((go) => gunzip.once("drain", go).once("close", go));
        }
      }
      const sha256 = hash.digest("hex");
      check(sha256 === (expected.sha256 ?? sha256), "its SHA-256 differs");
      gunzip.end();
    })();
    feed.catch((error) => gunzip.destroy(error));
    let raw = 0;
    for await (const piece of gunzip) {
      raw += piece.length;
      check(raw <= (expected.rawBytes ?? Infinity), `it holds over ${expected.rawBytes} bytes`);
      yield piece;
    }
    await feed;
    // A gzip ends with its length: zlib itself passes over what follows it.
    check(tail.readUInt32LE() === raw % 2 ** 32, "bytes follow its gzip");
    check(raw === (expected.rawBytes ?? raw), `it holds ${raw} bytes`);
  } finally {
    fs.closeSync(fd);
  }
}

const FRAMES = ["", "table", "rows", "end", "document", "done"];

/** Section 4: the frames of a container, checked; `rows` come in pieces. */
export async function* readFrames(pieces) {
  const seen = { entries: 0, rows: 0 };
  let buffer = Buffer.from([]), isStarted = false, isEnded = false, rows = 0, bytes = 0;
  for await (const piece of pieces) {
    buffer = Buffer.concat([buffer, piece]);
    if (!isStarted && buffer.length >= 6) {
      check(buffer.toString("latin1", 0, 6) === "BHTAB\x01", "it holds no tables");
      [buffer, isStarted] = [buffer.subarray(6), true];
    }
    while (isStarted && buffer.length >= 5 && buffer.length >= 5 + buffer.readUInt32BE(1)) {
      const type = FRAMES[buffer[0]], payload = buffer.subarray(5, 5 + buffer.readUInt32BE(1));
      buffer = buffer.subarray(5 + payload.length);
      check(type && !isEnded, isEnded ? "bytes follow its end" : "a frame is unknown");
      const value = type === "rows" ? undefined : JSON.parse(payload.toString("utf8"));
      if (type === "table" || type === "document") seen.entries++;
      if (type === "table") [rows, bytes] = [0, 0];
      if (type === "rows") {
        bytes += payload.length;
        for (const byte of payload) if (byte === 10) rows++;
      } else if (type === "end") {
        check(value.rows === rows && value.bytes === bytes, "a table was cut");
        seen.rows += rows;
      } else if (type === "done") {
        isEnded = value.entries === seen.entries && value.rows === seen.rows;
        check(isEnded, "a table is missing");
      }
      yield { type, value, payload };
    }
  }
  check(isEnded && buffer.length === 0, "it ends early");
}

const isGlobal = ({ tenant }) => Number(tenant === "@global");
const quote = (name) => `"${name.replaceAll('"', '""')}"`;
const safe = (name) =>
  name.replace(/[^A-Za-z0-9_-]/g, (char) => `%${char.codePointAt(0).toString(16)}`);

/** Write the tables of one of a tenant's parts into `out`, and into `lines` what loads them. */
async function extract(file, key, object, { out, lines, parts }) {
  const folder = safe(object.tenant);
  fs.mkdirSync(join(out, folder), { recursive: true, mode: 0o700 });
  let fd = -1, of = 1, found = [];
  for await (const { type, value, payload } of readFrames(readObject(file, key, object))) {
    if (type === "table") {
      found = [...found, { name: value.name, schema: value.schema }];
      const path = join(folder, `${safe(value.schema)}.${safe(value.name)}.copy`);
      const target = `${quote(value.schema)}.${quote(value.name)}`;
      const line = `\\copy ${target} (${value.columns.map(quote).join(", ")}) from '${path}'`;
      const goesOn = object.part > 1 && lines.includes(line);
      fd = fs.openSync(join(out, path), goesOn ? "a" : "wx", 0o600);
      if (!goesOn) lines.push(line);
    } else if (type === "rows") fs.writeFileSync(fd, payload);
    else if (type === "end") fs.closeSync(fd), Object.assign(found.at(-1), value);
    else if (type === "document" && value.document === "parts") of = value.value.of;
    else if (type === "document" && value.document === "sequences") {
      for (const { schema, name, last, called } of value.value) {
        const sequence = `${quote(schema)}.${quote(name)}`.replaceAll("'", "''");
        lines.push(`select setval('${sequence}', ${BigInt(last)}, ${called === true});`);
      }
    }
  }
  check(canonical(found) === canonical(object.tables), "its tables are not the manifest's");
  const rows = found.reduce((sum, table) => sum + table.rows, 0);
  check(rows === object.rows, `${rows} rows, not ${object.rows}`);
  check(of === parts, `it is one of ${of} parts, not of ${parts}`);
}

/** Triggers that fire always would record the load as new writes: off before it, as they were after it. */
const HOLD = `set session_replication_role = replica;
create temp table held on commit drop as select tgrelid::regclass::text as t, tgname, tgenabled::text as e
from pg_trigger where not tgisinternal and tgenabled = 'A';
do $$ declare r record; begin for r in select * from held loop
  execute format('alter table %s disable trigger %I', r.t, r.tgname); end loop; end $$;`;
const RELEASE = `do $$ declare r record; begin for r in select * from held loop
  execute format('alter table %s enable always trigger %I', r.t, r.tgname); end loop; end $$;`;

async function main() {
  const text = { type: "string" },
    options = { folder: text, out: text, backup: text, tenant: text };
  const { values } = parseArgs({ options });
  const { BULKHEAD_KEK = "", BULKHEAD_ROOT } = process.env;
  const key = Buffer.from(BULKHEAD_ROOT ?? BULKHEAD_KEK, "base64");
  const isGiven = values.folder && values.out && key.length === 32;
  check(isGiven, "give --folder, --out, and BULKHEAD_KEK in the environment (32 bytes in base64)");
  check(!fs.existsSync(values.out), `${values.out} exists already`);
  const keys = readKeyring(values.folder, key, BULKHEAD_ROOT !== undefined);
  const manifest = readManifest(values.folder, keys, values.backup);
  const lines = [HOLD];
  const objects = manifest.objects
    .filter(({ tenant }) => values.tenant === undefined || tenant === values.tenant)
    .sort((a, b) => isGlobal(b) - isGlobal(a) || a.part - b.part);
  check(objects.length > 0, `backup ${manifest.id} does not hold ${values.tenant}`);
  try {
    for (const object of objects) {
      const key = keys.get(object.keyId);
      const files = filesOf(values.folder, object.key);
      const file = files.find((path) => path.endsWith(`@${object.version}`)) ?? files[0];
      if (key === null) {
        console.error(`  ${object.tenant}  left out: its keys were shredded`);
        continue;
      }
      try {
        check(key, `the keyring does not hold key ${object.keyId}`);
        check(file, "the folder does not hold it");
        const parts = objects.filter(({ tenant }) => tenant === object.tenant);
        const isNext = parts[object.part - 1] === object && parts[0].backup === object.backup;
        check(isNext, "a part is missing or there twice");
        await extract(file, key, object, { out: values.out, lines, parts: parts.length });
      } catch (error) {
        throw new Error(`object ${object.key} of tenant ${object.tenant}: ${error.message}`);
      }
      console.error(`  ${object.tenant}  ${object.rows} rows`);
    }
    const script = [...lines, RELEASE, ""].join("\n");
    fs.writeFileSync(join(values.out, "load.sql"), script, { mode: 0o600 });
  } catch (error) {
    fs.rmSync(values.out, { recursive: true, force: true });
    throw error;
  }
  console.log(`Backup ${manifest.id}: ${objects.length} objects in ${values.out}; see load.sql`);
}

if (process.argv[1] && fileURLToPath(import.meta.url) === process.argv[1]) {
  await main().catch((error) => {
    console.error(`Error: ${error.message}`);
    process.exitCode = 1;
  });
}
