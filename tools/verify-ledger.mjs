#!/usr/bin/env node
// Checks an export of the audit trail, from docs/ledger-format.md alone: Node 20, no dependency, no line of the kit.
//   node verify-ledger.mjs trail.jsonl [head]
// Prints what it checked; exits 1 with the first line that does not hold.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";

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
const previous = new Map(), empty = new Map(), retired = new Set();
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
    empty.set(seal.link.seq, seal.link.part);
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
    must(l.seq === String(count.links + 1), "a row of the chain is missing");
    follow(H(
      byte(6),
      F(l.seq, l.kind, l.part, l.era, l.lo, l.hi, l.events, l.xid, l.sealed_at),
      unhex(l.root),
    ));
    if (l.kind === "seal") seal = { link: l, shares: [], tenants: new Set(), events: 0 };
    if (l.kind === "retire") retired.add(l.part);
  },
  body(hex) {
    closeSeal();
    must(Object.keys(header.scope).length > 0, "the whole ledger shows every row");
    follow(unhex(hex));
  },
  share(s) {
    closeShare();
    must(seal !== undefined, "a share outside of a seal");
    const { tenant } = header.scope;
    must(tenant === undefined || s.tenant_id === tenant, "another tenant's share");
    must(!seal.tenants.has(s.tenant_id), "two shares of one tenant");
    seal.tenants.add(s.tenant_id);
    const before = previous.get(s.tenant_id) ?? "0";
    if (s.previous !== before) {
      const between = BigInt(s.previous) > BigInt(before) &&
        BigInt(s.previous) < BigInt(seal.link.seq);
      must(
        between && (empty.has(s.previous) || header.scope.part !== undefined),
        "a share was left out",
      );
    }
    previous.set(s.tenant_id, seal.link.seq);
    share = { line: s, leaves: [], last: undefined };
  },
  event(e) {
    must(share !== undefined, "an event outside of a share");
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
    for (const group of ["who", "what"]) if (gone[group]) erased.push([group, BigInt(e.id)]);
    if (e.operation === "bulkhead.erase" && !gone.what) {
      const { erased: groups, ids } = JSON.parse(e.metadata);
      for (const [from, to] of ids) records.push([groups, BigInt(from), BigInt(to)]);
    }
  },
  end(e) {
    closeSeal();
    ended = true;
    must(
      e.links === String(count.links) && e.events === String(count.events) &&
        e.head === head.toString("hex"),
      "the last line speaks of something else",
    );
  },
};

try {
  for await (
    const text of createInterface({ input: createReadStream(file), crlfDelay: Infinity })
  ) {
    number++;
    const line = JSON.parse(text);
    if (number === 1) {
      must(line.format === "bulkhead-audit-export" && line.version === 1, "no export, version 1");
      header = line;
      continue;
    }
    must(!ended, "something follows the end");
    const [[kind, value], ...more] = Object.entries(line);
    must(more.length === 0 && Object.hasOwn(on, kind), "no line of an export");
    on[kind](value);
  }
  must(ended, "the file was cut off");
  for (const part of empty.values()) {
    must(retired.has(part), `${part} has no events and was never retired`);
  }
  const unrecorded = erased.filter(([group, id]) =>
    !records.some(([groups, from, to]) => groups.includes(group) && from <= id && id <= to)
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
