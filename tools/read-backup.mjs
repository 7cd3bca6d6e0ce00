#!/usr/bin/env node
/**
 * Reads a Bulkhead backup with Node 20, this file and docs/backup-format.md alone: for the day on
 * which Bulkhead itself cannot be had. It shares no code with Bulkhead, so each proves the other.
 *
 *   BULKHEAD_KEK=… node read-backup.mjs --folder <copy of the store> --out <new folder>
 *     [--backup <id>] [--tenant <id>]
 *
 * (or BULKHEAD_ROOT, the root of keyring.json as a key-management service unwrapped it) writes COPY
 * text, a file for each table and part, and, once every byte was authenticated, load.sql, for an
 * empty database with the same migrations: psql -1 -v ON_ERROR_STOP=1 -f load.sql, as a superuser.
 */
import { createDecipheriv, createHash, createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import * as fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream";
import { parseArgs } from "node:util";
import { createGunzip } from "node:zlib";

const CHUNK = 1_048_576, TAG = 16;
const FRAMES = ["", "table", "rows", "end", "document", "done"];
const KEYRING = "epoch epochAt? format kekId keys parents root shredded writtenAt";
const MANIFEST = "auditHead contentHashes finishedAt format id migrations objects previous " +
  "project rows schemaFingerprint snapshot? source startedAt tool";
const OBJECT = "backup key keyId kind part rawBytes rows sha256 size tables tenant version";

function check(holds, otherwise) {
  if (!holds) throw new Error(otherwise);
}

/** Refuse a document that lacks a member, or has one more; those with `?` may be absent. */
function checkMembers(value, names) {
  const known = names.split(" "), given = Object.keys(value);
  const isWhole = known.every((name) => name.endsWith("?") || given.includes(name)) &&
    given.every((name) => known.includes(name) || known.includes(`${name}?`));
  check(isWhole, `it does not have the members ${names}`);
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

/** AES-256-GCM; what is sealed ends with its tag. */
function decrypt(key, nonce, sealed, associatedData) {
  const aes = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG });
  aes.setAAD(Buffer.from(associatedData)).setAuthTag(sealed.subarray(-TAG));
  return Buffer.concat([aes.update(sealed.subarray(0, -TAG)), aes.final()]);
}

/** Section 2: what a key wrapped. */
function unwrap(key, wrapped, context) {
  const bytes = Buffer.from(wrapped, "base64"), wrapping = derive(key, "bulkhead/v1/wrap");
  return decrypt(wrapping, bytes.subarray(0, 12), bytes.subarray(12), canonical(context));
}

/** Section 5. */
function isSigned(document, purpose, key) {
  const { algorithm, value } = document.signature, given = Buffer.from(value, "hex");
  const hmac = createHmac("sha256", derive(key, `bulkhead/v1/sign/${purpose}`));
  const expected = hmac.update(canonical(document[purpose])).digest();
  return algorithm === "HMAC-SHA256" && given.length === 32 && timingSafeEqual(expected, given);
}

const namesIn = (folder) => fs.existsSync(folder) ? fs.readdirSync(folder).sort().reverse() : [];

/** The files of a key, newest first: a folder store's `<key>@<version>`, or `<key>` downloaded. */
function filesOf(folder, key) {
  const parent = join(folder, dirname(key));
  const names = namesIn(parent).filter((name) => name.split("@")[0] === basename(key));
  return names.map((name) => join(parent, name));
}

/** Every key of the keyring under this KEK (or this root) by its id; null for a shredded one. */
export function readKeyring(folder, key, isRoot = false) {
  const kekId = derive(key, "bulkhead/v1/kek-id", undefined, 8).toString("hex");
  const keys = new Map();
  for (const file of filesOf(folder, "keyring.json")) {
    const document = JSON.parse(fs.readFileSync(file, "utf8")), { keyring } = document;
    checkMembers(keyring, KEYRING);
    if (isRoot ? !isSigned(document, "keyring", key) : keyring.kekId !== kekId) continue;
    const { epoch, root: wrappedRoot } = keyring;
    const root = isRoot ? key : unwrap(key, wrappedRoot, ["bulkhead/v1/root", epoch, kekId]);
    check(isSigned(document, "keyring", root), `the signature of ${file} does not match`);
    for (const { id } of keyring.shredded) keys.set(id, null);
    for (const { tenant, use, id, wrapped } of keyring.keys) {
      const context = ["bulkhead/v1/key", tenant, use, id];
      if (!keys.has(id)) keys.set(id, unwrap(root, wrapped, context));
    }
  }
  const named = isRoot ? "this root" : `key-encryption key ${kekId}`;
  check(keys.size > 0, `no keyring.json in ${folder} is under ${named}`);
  return keys;
}

/** A backup's manifest, verified; the newest unless named. */
export function readManifest(folder, keys, id) {
  const [newest = "any backup"] = namesIn(join(folder, "manifests"));
  const wanted = id ?? newest.split(".")[0];
  const [file] = filesOf(folder, `manifests/${wanted}.json`);
  check(file, `there is no manifest of ${wanted}`);
  const document = JSON.parse(fs.readFileSync(file, "utf8"));
  const { manifest, signature } = document, key = keys.get(signature.keyId);
  check(key, `the keyring does not hold the key that signed ${wanted}`);
  check(isSigned(document, "manifest", key), `the signature of ${wanted} does not match`);
  checkMembers(document, "manifest signature");
  checkMembers(signature, "algorithm keyId value");
  checkMembers(manifest, MANIFEST);
  for (const object of manifest.objects) checkMembers(object, OBJECT);
  check(manifest.format === 1, `the format of ${wanted} is not 1`);
  check(manifest.id === wanted, `the manifest of ${wanted} belongs to ${manifest.id}`);
  const hashes = unwrap(key, manifest.contentHashes, ["bulkhead/v1/content-hashes", wanted]);
  const left = JSON.parse(hashes), tables = manifest.objects.flatMap((object) => object.tables);
  check(left.length === tables.length, `${wanted} has other content hashes than tables`);
  for (const table of tables) table.contentHash = left.shift();
  return manifest;
}

/** Takes a stream's bytes in turn: as many as asked for, fewer where it ends. */
function taker(stream) {
  const source = stream[Symbol.asyncIterator]();
  let buffer = Buffer.alloc(0);
  return async (length) => {
    for (let next; buffer.length < length && !(next = await source.next()).done;) {
      buffer = Buffer.concat([buffer, next.value]);
    }
    const taken = buffer.subarray(0, length);
    buffer = buffer.subarray(length);
    return taken;
  };
}

/** Section 3: what an object holds, inflated; it ends only where everything was as expected. */
export async function* readObject(file, tenantKey, expected) {
  const expect = (name, is) => check(is === (expected[name] ?? is), `its ${name} is ${is}`);
  const { size } = fs.statSync(file), hash = createHash("sha256");
  for await (const piece of fs.createReadStream(file)) hash.update(piece);
  expect("size", size);
  expect("sha256", hash.digest("hex"));
  let raw = 0, tail = Buffer.alloc(0);
  async function* opened(stream) {
    const take = taker(stream), fixed = await take(14);
    check(fixed.toString("latin1", 0, 10) === "BHBACK\r\n\0\x01", "it is no object of version 1");
    const length = fixed.readUInt32BE(10);
    check(length >= 2 && length <= 65_536, `its header has ${length} bytes`);
    const [json, salt, commitment] = [await take(length), await take(32), await take(32)];
    const header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
    const { kind, tenant, backup, part, keyId, createdAt, ...rest } = header;
    const isOfVersion1 = kind === (tenant === "@global" ? "global" : "tenant") && part > 0 &&
      Number.isSafeInteger(part) && /^\d{8}T\d{6}Z-[0-9a-f]{8}$/.test(backup) &&
      /^[0-9a-f]{32}$/.test(keyId) && /^\d{4}(-\d\d){2}T\d\d(:\d\d){2}(\.\d+)?Z$/.test(createdAt) &&
      canonical(rest) === `{"chunkBytes":${CHUNK},"compression":"gzip"}`;
    check(isOfVersion1, "its header is none of version 1");
    for (const name in header) expect(name, header[name]);
    const derived = derive(tenantKey, "bulkhead/v1/object", salt, 64);
    check(timingSafeEqual(derived.subarray(32), commitment), "the key is not its own");
    const key = derived.subarray(0, 32), preamble = Buffer.concat([fixed, json, salt]);
    const chunks = Math.max(1, Math.ceil((size - preamble.length - 32) / (CHUNK + TAG)));
    const nonce = Buffer.alloc(12);
    for (let number = 0; number < chunks; number++) {
      nonce.writeUInt32BE(number, 7);
      nonce[11] = Number(number === chunks - 1);
      const plain = decrypt(key, nonce, await take(CHUNK + TAG), preamble);
      check(plain.length > 0 || chunks === 1, "its last chunk is empty");
      tail = Buffer.concat([tail, plain]).subarray(-4);
      yield plain;
    }
  }
  const gunzip = createGunzip({ chunkSize: 65_536 });
  // What fails in one of them ends them all, and is thrown here.
  for await (const piece of pipeline(fs.createReadStream(file), opened, gunzip, () => {})) {
    raw += piece.length;
    check(raw <= (expected.rawBytes ?? raw), `it holds over ${expected.rawBytes} bytes`);
    yield piece;
  }
  expect("rawBytes", raw);
  // A gzip ends with its length: zlib itself passes over what follows it.
  check(tail.readUInt32LE() === raw % 2 ** 32, "bytes follow its gzip");
}

/** Section 4: the frames of a container, checked; `rows` come in pieces. */
export async function* readFrames(pieces) {
  const take = taker(pieces), seen = { entries: 0, rows: 0 };
  check((await take(6)).toString("latin1") === "BHTAB\x01", "it holds no tables");
  for (let type, bytes = 0, rows = 0; type !== "done";) {
    const frame = await take(5), payload = await take(frame.readUInt32BE(1));
    check(payload.length === frame.readUInt32BE(1), "it ends early");
    type = FRAMES[frame[0]];
    check(type, "a frame is unknown");
    const value = type === "rows" ? undefined : JSON.parse(payload.toString("utf8"));
    if (type === "table" || type === "document") seen.entries++;
    if (type === "table") [bytes, rows] = [0, 0];
    if (type === "rows") {
      bytes += payload.length;
      for (const byte of payload) if (byte === 10) rows++;
    } else if (type === "end") {
      check(value.bytes === bytes && value.rows === rows, "a table was cut");
      seen.rows += rows;
    } else if (type === "done") {
      check(canonical(value) === canonical(seen), "a table is missing");
      check((await take(1)).length === 0, "bytes follow its end");
    }
    yield { type, value, payload };
  }
}

const quote = (...names) => names.map((name) => `"${name.replaceAll('"', '""')}"`).join(".");
const safe = (name) => name.replace(/\W/g, (char) => `%${char.codePointAt(0).toString(16)}`);

/** Write the tables of one object into `out`; returns the statements that load them. */
async function extract(object, { objects, keys, folder, out }) {
  const files = filesOf(folder, object.key), key = keys.get(object.keyId);
  const file = files.find((path) => path.endsWith(`@${object.version}`)) ?? files[0];
  check(file, "the folder does not hold it");
  check(key, `the keyring does not hold key ${object.keyId}`);
  const parts = objects.filter(({ tenant }) => tenant === object.tenant);
  const isNext = parts[object.part - 1] === object && parts[0].backup === object.backup;
  check(isNext, "a part is missing or there twice");
  const statements = [], found = [], tenant = basename(dirname(object.key));
  fs.mkdirSync(join(out, tenant), { recursive: true, mode: 0o700 });
  let fd, of = 1;
  for await (const { type, value, payload } of readFrames(readObject(file, key, object))) {
    if (type === "table") {
      const { schema, name, columns } = value, list = columns.map((column) => quote(column));
      const path = join(tenant, `${safe(schema)}.${safe(name)}.${object.part}.copy`);
      const target = quote(schema, name) + (list.length > 0 ? ` (${list.join(", ")})` : "");
      statements.push(`\\copy ${target} from '${path}'`);
      found.push({ name, schema });
      fd = fs.openSync(join(out, path), "wx", 0o600);
    } else if (type === "rows") fs.writeFileSync(fd, payload);
    else if (type === "end") fs.closeSync(fd), Object.assign(found.at(-1), value);
    else if (type === "done") check(value.rows === object.rows, `it holds ${value.rows} rows`);
    else if (value.document === "parts") of = value.value.of;
    else if (value.document === "sequences") {
      for (const { schema, name, last, called } of value.value) {
        const sequence = quote(schema, name).replaceAll("'", "''");
        statements.push(`select setval('${sequence}', ${BigInt(last)}, ${called === true});`);
      }
    }
  }
  check(canonical(found) === canonical(object.tables), "its tables are not the manifest's");
  check(of === parts.length, `it is one of ${of} parts, not of ${parts.length}`);
  return statements;
}

/** Values as they were written; triggers that fire always would record the load as new writes. */
const HOLD = `set client_encoding = 'UTF8'; set datestyle = 'ISO, YMD'; set lc_monetary = 'C';
set xmloption = content; set array_nulls = on; set statement_timeout = 0;
set session_replication_role = replica;
create temp table held on commit drop as select tgrelid::regclass as t, tgname
from pg_trigger where not tgisinternal and tgenabled = 'A';`;
const turn = (how) =>
  `do $$ declare r record; begin for r in select * from held loop
  execute format('alter table %s ${how} trigger %I', r.t, r.tgname); end loop; end $$;`;

async function main() {
  const text = { type: "string" };
  const options = { folder: text, out: text, backup: text, tenant: text };
  const { folder, out, backup, tenant } = parseArgs({ options }).values;
  const { BULKHEAD_KEK = "", BULKHEAD_ROOT } = process.env;
  const key = Buffer.from(BULKHEAD_ROOT ?? BULKHEAD_KEK, "base64");
  const isGiven = folder && out && key.length === 32;
  check(isGiven, "give --folder, --out, and BULKHEAD_KEK in the environment (32 bytes in base64)");
  check(!fs.existsSync(out), `${out} exists already`);
  const keys = readKeyring(folder, key, BULKHEAD_ROOT !== undefined);
  const manifest = readManifest(folder, keys, backup), statements = [];
  const objects = manifest.objects.filter((each) => each.tenant === (tenant ?? each.tenant));
  objects.sort((a, b) => a.part - b.part);
  check(objects.length > 0, `backup ${manifest.id} does not hold ${tenant}`);
  fs.mkdirSync(out, { recursive: true, mode: 0o700 });
  let object;
  try {
    for (object of objects) {
      const isShredded = keys.get(object.keyId) === null;
      if (!isShredded) statements.push(...await extract(object, { objects, keys, folder, out }));
      const what = isShredded ? "left out: its keys were shredded" : `${object.rows} rows`;
      console.error(`  ${object.tenant}  ${what}`);
    }
  } catch (error) {
    fs.rmSync(out, { recursive: true, force: true });
    throw new Error(`object ${object.key} of tenant ${object.tenant}: ${error.message}`);
  }
  const script = [HOLD, turn("disable"), ...statements, turn("enable always"), ""].join("\n");
  fs.writeFileSync(join(out, "load.sql"), script, { mode: 0o600 });
  console.log(`Backup ${manifest.id}: ${objects.length} objects in ${out}; see load.sql`);
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === import.meta.filename) {
  await main().catch((error) => {
    console.error(`Error: ${error.message}`);
    process.exitCode = 1;
  });
}
