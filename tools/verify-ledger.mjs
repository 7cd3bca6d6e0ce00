#!/usr/bin/env node
// Checks an export of the audit trail, from docs/ledger-format.md alone: Node 20, no dependency, no line of the kit.
//   node verify-ledger.mjs trail.jsonl [head]
// Prints what it checked; exits 1 with the first line that does not hold.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";

const [file, anchor] = process.argv.slice(2);
if (!file) {
  console.error("usage: verify-ledger.mjs <export> [head]");
  process.exit(2);
}

const H = (...parts) => parts.reduce((h, p) => h.update(p), createHash("sha256")).digest();
const byte = (n) => Buffer.from([n]);
const unhex = (s) => Buffer.from(s, "hex");
const F = (...fields) =>
  Buffer.concat(
    fields.map((f) =>
      f === null ? Buffer.from("-,") : Buffer.from(`${Buffer.byteLength(f)}:${f},`)
    ),
  );
const must = (holds, what) => {
  if (!holds) throw new Error(what);
};
const ERASED = '{"$bulkhead": "erased"}';

/** Section 4: the members of a line, and what each holds. */
const LINK = "seq kind part era lo hi events xid sealed_at root";
const EVENT = "id created_at xid tenant_id actor_role table_name operation " +
  "actor request_id application_name ip_address record_id before after metadata who what leaf";
const NUMBERS = "seq era lo hi events xid sealed_at previous id created_at links".split(" ");
const HASHES = ["root", "leaf", "head"];
const TEXTS = ["kind", "actor_role", "table_name", "operation", "who", "what"];
const isHash = (v) => typeof v === "string" && /^[0-9a-f]{64}$/.test(v);

function members(value, names) {
  must(typeof value === "object" && value !== null, "a line without members");
  must(
    Object.keys(value).sort().join(" ") === names.split(" ").sort().join(" "),
    "other members than an export has",
  );
  for (const [name, v] of Object.entries(value)) {
    if (["size", "index"].includes(name)) must(Number.isSafeInteger(v), `${name} is no number`);
    else if (name === "path") {
      must(Array.isArray(v) && v.every(isHash), "path is no list of hashes");
    } else if (HASHES.includes(name)) must(isHash(v), `${name} is no hash`);
    else if (NUMBERS.includes(name)) {
      must(typeof v === "string" && /^(0|-?[1-9]\d{0,18})$/.test(v), `${name} is no number`);
    } else {must(
        typeof v === "string" || (v === null && !TEXTS.includes(name)),
        `${name} is no text`,
      );}
  }
}

/** JSON with one reading: no member twice, no half of a surrogate pair. */
function parse(text) {
  let twice = 0;
  const value = JSON.parse(text, (_, v) => {
    must(typeof v !== "string" || !/\p{Cs}/u.test(v), "half of a character");
    if (typeof v === "object" && v !== null && !Array.isArray(v)) twice -= Object.keys(v).length;
    return v;
  });
  for (let at = text.indexOf('"'); at !== -1; at = text.indexOf('"', at)) {
    while (text[++at] !== '"') if (text[at] === "\\") at++;
    at++;
    while (" \t\r".includes(text[at] || ":")) at++;
    if (text[at] === ":") twice++;
  }
  must(twice === 0, "a member stands there twice");
  return value;
}

/** Lines of UTF-8; the last may lack its line feed. */
async function* linesOf(bytes) {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const rest = [];
  for await (const chunk of bytes) {
    const pieces = decoder.decode(chunk, { stream: true }).split("\n");
    for (const [i, piece] of pieces.entries()) {
      if (i > 0) yield rest.splice(0).join("");
      rest.push(piece);
    }
  }
  const last = rest.join("") + decoder.decode();
  if (last !== "") yield last;
}

/** Section 2, level by level. */
function tree(leaves) {
  while (leaves.length > 1) {
    const above = [];
    for (let i = 0; i < leaves.length; i += 2) {
      above.push(i + 1 < leaves.length ? H(byte(1), leaves[i], leaves[i + 1]) : leaves[i]);
    }
    leaves = above;
  }
  return leaves[0];
}

function climb(hash, { index, size, path }) {
  const beside = path.map(unhex);
  must(index >= 0 && index < size, "the index is not one of the tree");
  for (; size > 1; index = Math.floor(index / 2), size = Math.ceil(size / 2)) {
    if (index % 2 === 1) hash = H(byte(1), take(beside), hash);
    else if (index + 1 < size) hash = H(byte(1), hash, take(beside));
  }
  must(beside.length === 0, "the path is too long");
  return hash;
}

function take(list) {
  must(list.length > 0, "the path is too short");
  return list.shift();
}

function leafOf(e) {
  const group = (value, prefix, fields) => {
    must(/^([0-9a-f]{32}|[0-9a-f]{64})$/.test(value), "no salt and no hash");
    return value.length === 64 ? unhex(value) : H(byte(prefix), unhex(value), F(...fields));
  };
  return H(
    byte(0),
    F(e.id, e.created_at, e.xid, e.tenant_id, e.actor_role, e.table_name, e.operation),
    group(e.who, 2, [e.actor, e.request_id, e.application_name, e.ip_address]),
    group(e.what, 3, [e.record_id, e.before, e.after, e.metadata]),
  );
}

let number = 0;
let header, seal, share, ended;
let head = H(Buffer.from("bulkhead audit chain"));
let anchored = anchor === undefined || anchor === head.toString("hex");
const count = { links: 0, events: 0 };
const previous = new Map(), empty = new Map(), away = new Set();
const erased = [], records = [];

function follow(body) {
  head = H(byte(5), head, body);
  anchored ||= head.toString("hex") === anchor;
  count.links++;
}

function closeShare() {
  if (!share) return;
  must(share.leaves.length > 0, "a share without events");
  must(share.leaves.length === Number(share.line.events), "a share has other events than it says");
  const root = tree(share.leaves);
  const hash = H(byte(4), F(share.line.tenant_id, share.line.previous, share.line.events), root);
  seal.events += share.leaves.length;
  seal.shares.push(hash);
  if (header.scope.tenant !== undefined) {
    must(climb(hash, share.line).toString("hex") === seal.link.root, "a share is not in its seal");
  }
  share = undefined;
}

function closeSeal() {
  closeShare();
  if (!seal) return;
  if (seal.shares.length === 0) {
    empty.set(seal.link.part, seal.link.seq);
    away.add(seal.link.seq);
  } else if (header.scope.tenant === undefined) {
    must(seal.events === Number(seal.link.events), "a seal has other events than it says");
    const root = tree(seal.shares.sort(Buffer.compare));
    must(root.toString("hex") === seal.link.root, "the shares do not make their seal");
  }
  seal = undefined;
}

const on = {
  link(l) {
    closeSeal();
    members(l, LINK);
    must(["seal", "era", "retire"].includes(l.kind), "a row of another kind");
    must((l.part === null) === (l.kind === "era"), "an era is of no partition, all else of one");
    must(l.seq === String(count.links + 1), "a row of the chain is missing");
    follow(H(
      byte(6),
      F(l.seq, l.kind, l.part, l.era, l.lo, l.hi, l.events, l.xid, l.sealed_at),
      unhex(l.root),
    ));
    if (l.kind === "seal") seal = { link: l, shares: [], tenants: new Set(), events: 0 };
    if (l.kind === "retire") empty.delete(l.part);
  },
  body(hex) {
    closeSeal();
    must(Object.keys(header.scope).length > 0, "the whole ledger shows every row");
    must(isHash(hex), "no hash");
    follow(unhex(hex));
  },
  share(s) {
    closeShare();
    must(seal !== undefined, "a share outside of a seal");
    const { tenant, part } = header.scope;
    members(s, `tenant_id previous events${tenant === undefined ? "" : " size index path"}`);
    must(part === undefined || part === seal.link.part, "another partition's share");
    must(tenant === undefined || s.tenant_id === tenant, "another tenant's share");
    must(!seal.tenants.has(s.tenant_id), "two shares of one tenant");
    seal.tenants.add(s.tenant_id);
    const before = previous.get(s.tenant_id) ?? "0";
    if (s.previous !== before) {
      const between = BigInt(s.previous) > BigInt(before) &&
        BigInt(s.previous) < BigInt(seal.link.seq);
      must(
        between && (away.has(s.previous) || header.scope.part !== undefined),
        "a share was left out",
      );
    }
    previous.set(s.tenant_id, seal.link.seq);
    share = { line: s, leaves: [], last: undefined };
  },
  event(e) {
    must(share !== undefined, "an event outside of a share");
    members(e, EVENT);
    must(e.tenant_id === share.line.tenant_id, "another tenant's event");
    must(share.last === undefined || BigInt(e.id) > share.last, "events out of order");
    must(
      BigInt(e.xid) >= BigInt(seal.link.lo) && BigInt(e.xid) < BigInt(seal.link.hi),
      "the event's transaction is not one of the seal",
    );
    share.last = BigInt(e.id);
    const leaf = leafOf(e);
    must(leaf.toString("hex") === e.leaf, `event ${e.id} is not as it was sealed`);
    share.leaves.push(leaf);
    count.events++;
    const gone = { who: e.who.length === 64, what: e.what.length === 64 };
    const who = [e.actor, e.request_id, e.application_name, e.ip_address];
    const what = [e.before, e.after, e.metadata];
    must(!gone.who || who.every((v) => v === null), "an erased event holds something");
    must(
      !gone.what || (e.record_id === null && what.every((v) => v === null || v === ERASED)),
      "an erased event holds something",
    );
    for (const group of ["who", "what"]) {
      if (gone[group]) erased.push([e.tenant_id, group, BigInt(e.id)]);
    }
    if (e.operation === "bulkhead.erase" && !gone.what) {
      const { erased: groups, ids } = JSON.parse(e.metadata);
      for (const [from, to] of ids) {
        records.push([e.tenant_id, groups, BigInt(from), BigInt(to)]);
      }
    }
  },
  end(e) {
    closeSeal();
    members(e, "links events head");
    ended = true;
    must(
      e.links === String(count.links) && e.events === String(count.events) &&
        e.head === head.toString("hex"),
      "the last line speaks of something else",
    );
  },
};

try {
  for await (const text of linesOf(createReadStream(file))) {
    number++;
    const line = parse(text);
    if (number === 1) {
      must(line.format === "bulkhead-audit-export" && line.version === 1, "no export, version 1");
      members(line.scope, ["tenant", "part"].find((name) => name in line.scope) ?? "");
      must(!Object.values(line.scope).includes(null), "a scope of nothing");
      must(typeof line.exported_at === "string", "no time of the export");
      must(Object.keys(line).length === 4, "other members than an export has");
      header = line;
      continue;
    }
    must(!ended, "something follows the end");
    const [[kind, value] = [], ...more] = Object.entries(line ?? {});
    must(more.length === 0 && Object.hasOwn(on, kind), "no line of an export");
    on[kind](value);
  }
  must(ended, "the file was cut off");
  for (const [part, seq] of empty) {
    must(false, `seal ${seq} has no events, and ${part} was never retired after it`);
  }
  const unrecorded = erased.filter(([tenant, group, id]) =>
    !records.some(([owner, groups, from, to]) =>
      owner === tenant && groups.includes(group) && from <= id && id <= to
    )
  );
  must(header.scope.part !== undefined || unrecorded.length === 0, "erased without a record");
  must(anchored, "the anchor is not one of the heads");
  console.log(
    `${count.events} events, ${count.links} rows of the chain, head ${head.toString("hex")}`,
  );
  if (unrecorded.length > 0) console.log(`${unrecorded.length} erasures are recorded elsewhere`);
} catch (error) {
  console.log(`BROKEN line ${number}: ${error.message}`);
  process.exitCode = 1;
}
