import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import postgres from "postgres";
import { toHex } from "../functions/_core/bytes.ts";
import {
  bodyHash,
  bytesOf,
  fieldsOf,
  genesis,
  headHash,
  leafHash,
  type Link,
  nodeHash,
  shareHash,
} from "../functions/_core/ledger/hashes.ts";
import { MerkleTree, rootByPath } from "../functions/_core/ledger/merkle.ts";
import { type ExportVerdict, verifyExport } from "../functions/_core/ledger/verify-export.ts";
import { depth, seeded } from "./support/depth.ts";
import { type Database, kitDatabase, type Server, startPostgres } from "./support/postgres.ts";
import { ROOT } from "./support/sql-files.ts";

const run = promisify(execFile);
const ACME = "7d444840-9dc0-41d1-b245-5ffdce74fad2";
const OTHER = "0b0e51b8-6d0e-4f2a-9a44-4c1a3e0f9c11";
const DOCUMENT = readFileSync(join(ROOT, "docs/ledger-format.md"), "utf8");
const EXAMPLE = /```jsonl\n([\s\S]*?)```/.exec(DOCUMENT)?.[1] ?? "";

async function verify(text: string | Uint8Array, anchor?: string): Promise<ExportVerdict> {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  async function* chunks() {
    // small ones, so that characters and lines are cut
    for (let at = 0; at < bytes.length; at += 4099) yield bytes.subarray(at, at + 4099);
  }
  return await verifyExport(chunks(), anchor === undefined ? {} : { anchor });
}

/** The same lines with the chain's heads made anew: what the owner of the tables could forge without an anchor. */
function rechained(lines: readonly unknown[]): string {
  let head = genesis();
  const done = lines.map((line) => {
    const { link, body, end } = line as {
      link?: Link;
      body?: string;
      end?: { links: string; events: string };
    };
    if (link) head = headHash(head, bodyHash(link));
    if (body) head = headHash(head, bytesOf(body));
    return JSON.stringify(end ? { end: { ...end, head: toHex(head) } } : line);
  });
  return `${done.join("\n")}\n`;
}

/** Whether a verifier takes a text; what is no export at all is thrown. */
async function accepts(text: string, anchor?: string): Promise<boolean> {
  return await verify(text, anchor).then((verdict) => verdict.offence === null, () => false);
}

function standalone(file: string, ...anchor: string[]): { ok: boolean; out: string } {
  const done = spawnSync(
    process.execPath,
    [join(ROOT, "tools/verify-ledger.mjs"), file, ...anchor],
    {
      encoding: "utf8",
    },
  );
  return { ok: done.status === 0, out: done.stdout + done.stderr };
}

describe("docs/ledger-format.md", () => {
  const lines = EXAMPLE.trim().split("\n").map((line) => JSON.parse(line));
  const vector = (what: string) => {
    const row = DOCUMENT.split("\n").find((line) => line.startsWith("| ") && line.includes(what));
    return /`([0-9a-f]+)`\s*\|$/.exec(row ?? "")?.[1];
  };

  test("its vectors are what the kit computes", () => {
    const [, era, seal, share, first, second] = lines;
    const root = nodeHash(leafHash(first.event), leafHash(second.event));
    const head = headHash(genesis(), bodyHash(era.link));
    assert.equal(vector('F("ada"'), toHex(fieldsOf("ada", "Grüße", null)));
    assert.equal(vector("leaf of line 5"), toHex(leafHash(first.event)));
    assert.equal(vector("root of the share"), toHex(root));
    assert.equal(vector("hash of the share"), toHex(shareHash(share.share, root)));
    assert.equal(vector("before the first row"), toHex(genesis()));
    assert.equal(vector("body of line 2"), toHex(bodyHash(era.link)));
    assert.equal(vector("head after line 2"), toHex(head));
    assert.equal(vector("body of line 3"), toHex(bodyHash(seal.link)));
    assert.equal(vector("head after line 3"), toHex(headHash(head, bodyHash(seal.link))));
  });

  test("its export verifies, and a verifier written from the document alone agrees", async () => {
    const verdict = await verify(EXAMPLE, lines.at(-1).end.head);
    assert.equal(verdict.offence, null);
    assert.deepEqual([verdict.events, verdict.links, verdict.erased], [3, 4, 1]);
    const folder = mkdtempSync(join(tmpdir(), "bulkhead-ledger-"));
    writeFileSync(join(folder, "example.jsonl"), EXAMPLE);
    assert.deepEqual(standalone(join(folder, "example.jsonl"), lines.at(-1).end.head).ok, true);
    rmSync(folder, { recursive: true });
  });

  /** The example with other values in one row of its chain. */
  const alter = (row: number, values: Record<string, string | null>) =>
    rechained(lines.map((line, i) => i === row ? { link: { ...line.link, ...values } } : line));
  /** A chain of a seal without shares and a row that retires its partition, in this order or that. */
  const emptied = (retire: number, seal: number) => {
    const [header, era, sealed] = lines;
    const rows = [header, era];
    const zero = { kind: "retire", lo: "0", hi: "0", events: "0" };
    rows[seal] = { link: { ...sealed.link, seq: String(seal) } };
    rows[retire] = { link: { ...sealed.link, ...zero, seq: String(retire) } };
    return rechained([...rows, { end: { links: "3", events: "0" } }]);
  };

  /** An export of one partition that shows the example's last seal. */
  const partition = (part: string) => {
    const [header, era, second, , , , third, fourth, , event, end] = lines;
    const share = { tenant_id: "acme", previous: "2", events: "1" };
    return rechained([
      { ...header, scope: { part } },
      era,
      { body: toHex(bodyHash(second.link)) },
      third,
      fourth,
      { share },
      event,
      { end: { ...end.end, events: "1" } },
    ]);
  };
  /** An export of everything with the example's erased event, and the record of it as an event of this tenant. */
  const erasedBy = (tenant_id: string) => {
    const [header, era, second, , , erased, , , , last] = lines;
    const record = { ...last.event, tenant_id, xid: "859" };
    record.leaf = toHex(leafHash(record));
    const shares = tenant_id === "acme" ? [[erased.event, record]] : [[erased.event], [record]];
    const roots: Uint8Array[] = [];
    const shown = shares.flatMap((events) => {
      const leaves = events.map(leafHash);
      const [first, more] = leaves;
      const tenant = events[0].tenant_id;
      const share = { tenant_id: tenant, previous: "0", events: String(events.length) };
      if (first) roots.push(shareHash(share, more ? nodeHash(first, more) : first));
      return [{ share }, ...events.map((event) => ({ event }))];
    });
    const [a, b] = roots.sort((one, two) => toHex(one) < toHex(two) ? -1 : 1);
    const root = a && b ? nodeHash(a, b) : a;
    assert.ok(root);
    return rechained([
      { ...header, scope: {} },
      era,
      { link: { ...second.link, events: "2", root: toHex(root) } },
      ...shown,
      { end: { links: "2", events: "2" } },
    ]);
  };

  test("both verifiers refuse the same forgeries", async () => {
    const folder = mkdtempSync(join(tmpdir(), "bulkhead-ledger-"));
    const forged: [string, string][] = [
      ["a value", EXAMPLE.replace('"body\\": \\"x', '"body\\": \\"y')],
      ["an erased field", EXAMPLE.replace('"actor":null', '"actor":"eve"')],
      ["the erasure's record", EXAMPLE.replace('[\\"8\\", \\"8\\"]', '[\\"7\\", \\"7\\"]')],
      ["the tenant", EXAMPLE.replace('"tenant":"acme"', '"tenant":"evil"')],
      [
        "an event left out",
        EXAMPLE.split("\n").filter((line) => !line.includes('"id":"7"')).join("\n"),
      ],
      ["a share left out", EXAMPLE.split("\n").filter((_, i) => ![3, 4, 5].includes(i)).join("\n")],
      ["the end", EXAMPLE.slice(0, EXAMPLE.lastIndexOf('{"end"'))],
      ["a hidden row", EXAMPLE.replace('{"body":"c3', '{"body":"c4')],
      ["a path", EXAMPLE.replace('"path":["80', '"path":["81')],
      ["an index", EXAMPLE.replace('"index":0,"path":["80', '"index":1,"path":["80')],
      ["a previous", EXAMPLE.replace('"previous":"2"', '"previous":"0"')],
      ["a line that is no JSON", EXAMPLE.replace('"path":[]', '"path":[')],
      ["an unknown member of a line", EXAMPLE.replace('"size":1', '"size":1,"note":"x"')],
      ["one of the first", EXAMPLE.replace('"version":1', '"version":1,"note":"x"')],
      ["a member twice", EXAMPLE.replace('"actor":"ada', '"actor":"eve","actor":"ada')],
      ["half a character", EXAMPLE.replace("Grüße", "Gr\\ud800e")],
      ["a time of another kind", EXAMPLE.replace('"2026-11-21T12:00:00.000Z"', "1")],
      ["a tree without a size", EXAMPLE.replace('"size":1,', "")],
      ["a size in text", EXAMPLE.replace('"size":1', '"size":"1"')],
      ["a seal of no partition", alter(2, { part: null })],
      ["an era of a partition", alter(1, { part: "audit_events_202611" })],
      ["a kind that there is not", alter(1, { kind: "Era" })],
      ["a number with a zero before it", alter(2, { hi: "0860" })],
      ["a time with a blank", alter(2, { sealed_at: "1795259694686792 " })],
      ["another partition's share", partition("audit_events_202612")],
      ["an erasure on record in another tenant's trail", erasedBy("other")],
      ["a seal without shares whose partition was retired before it", emptied(2, 3)],
    ];
    const good: [string, string][] = [
      ["a partition's share", partition("audit_events_202611")],
      ["an erasure on record in the tenant's own trail", erasedBy("acme")],
      ["a seal whose partition was retired after it", emptied(3, 2)],
      ["a file whose last line has no end", EXAMPLE.trimEnd()],
    ];
    for (const [what, text] of good) {
      writeFileSync(join(folder, "good.jsonl"), text);
      assert.equal(await accepts(text), true, `the kit takes ${what}`);
      assert.ok(standalone(join(folder, "good.jsonl")).ok, `the other takes ${what}`);
    }
    for (const [what, text] of forged) {
      assert.notEqual(text, EXAMPLE, what);
      writeFileSync(join(folder, "forged.jsonl"), text);
      assert.equal(await accepts(text), false, `the kit refuses ${what}`);
      assert.equal(standalone(join(folder, "forged.jsonl")).ok, false, `the other refuses ${what}`);
    }
    assert.equal(await accepts(EXAMPLE, "0".repeat(64)), false, "an anchor of another chain");
    rmSync(folder, { recursive: true });
  });
});

test("MerkleTree and rootByPath agree with a tree made level by level", () => {
  const level = (leaves: Uint8Array[]): Uint8Array[] =>
    leaves.flatMap((leaf, i) => {
      if (i % 2 === 1) return [];
      const right = leaves[i + 1];
      return [right === undefined ? leaf : nodeHash(leaf, right)];
    });
  for (let size = 1; size <= 33; size++) {
    const leaves = Array.from(
      { length: size },
      (_, i) => bytesOf(i.toString(16).padStart(64, "0")),
    );
    const tree = new MerkleTree();
    for (const leaf of leaves) tree.add(leaf);
    const levels = [leaves];
    for (let last = leaves; last.length > 1; last = level(last)) levels.push(level(last));
    assert.deepEqual(tree.root(), levels.at(-1)?.[0], `${size} leaves`);
    for (const [index, leaf] of leaves.entries()) {
      const path = levels.flatMap((at, height) => at[(index >> height) ^ 1] ?? []);
      const root = rootByPath(leaf, { index, size, path });
      assert.deepEqual(root, tree.root(), `leaf ${index} of ${size}`);
      assert.notDeepEqual(rootByPath(leaf, { index: index + 1, size, path }), tree.root());
      if (path.length > 0) {
        assert.equal(rootByPath(leaf, { index, size, path: path.slice(1) }), null);
      }
    }
  }
});

describe("bulkhead audit export and bulkhead verify", () => {
  let server: Server;
  let db: Database;
  let sql: postgres.Sql;
  let folder: string;

  const cli = async (...args: string[]) => {
    const done = await run(process.execPath, [
      "--import",
      "tsx",
      join(ROOT, "scripts/cli.ts"),
      ...args,
    ], {
      cwd: ROOT,
      env: { ...process.env, LEDGER_URL: db.url },
    }).catch((error: { code: number; stdout: string; stderr: string }) => error);
    return { code: "code" in done ? done.code : 0, out: done.stdout, err: done.stderr };
  };
  const exported = async (name: string, ...args: string[]) => {
    const out = join(folder, name);
    const done = await cli(
      "audit",
      "export",
      "--database-env",
      "LEDGER_URL",
      "--json",
      "--out",
      out,
      ...args,
    );
    assert.equal(done.code, 0, done.err);
    return { out, ...JSON.parse(done.out), text: readFileSync(out, "utf8") };
  };

  before(async () => {
    server = await startPostgres();
    db = await kitDatabase(server);
    folder = mkdtempSync(join(tmpdir(), "bulkhead-ledger-"));
    sql = postgres(db.url, { max: 2, onnotice: () => {} });
    await sql.unsafe(`
      create table public.tenants (id uuid primary key, name text);
      create table public.notes (id bigint generated by default as identity primary key, tenant_id uuid, body text);
      insert into public.tenants values ('${ACME}', 'acme'), ('${OTHER}', 'other');
      select bulkhead.configure('public.tenants');
      select bulkhead.protect('public.tenants'), bulkhead.protect('public.notes')`);
    for (let batch = 0; batch < 5; batch++) {
      await sql`insert into public.notes (tenant_id, body)
        select case when ${batch} = 2 or i % 3 = 0 then ${OTHER}::uuid else ${ACME}::uuid end,
          case when i % 3 = 0 or ${batch} = 2 then 'secret of the other' else 'Grüße "' || chr(1) || E'"\n' || i end
        from generate_series(1, 9) as i`;
      await sql`select bulkhead.seal()`;
    }
  });
  after(async () => {
    await sql?.end();
    await db?.drop();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("a tenant's export proves that tenant's events and shows nothing of another's", async () => {
    const found = await exported("acme.jsonl", "--tenant", ACME);
    const checked = await cli("verify", "--export", found.out, "--anchor", found.head, "--json");
    assert.equal(checked.code, 0, checked.out);
    const verdict = JSON.parse(checked.out);
    const [row] = await sql`
      select count(*)::int as n, (select max(seq) from bulkhead.audit_seals)::text as last
      from bulkhead.audit_events where tenant_id = ${ACME}`;
    assert.deepEqual([verdict.ok, verdict.events, verdict.completeTo], [
      true,
      row?.["n"],
      row?.["last"],
    ]);
    assert.doesNotMatch(found.text, new RegExp(`${OTHER}|secret of the other`));
    assert.match(found.text, /"body" ?: ?"/, "a seal without this tenant is a hash");
    assert.ok(standalone(found.out, found.head).ok);
    const people = await cli("verify", "--export", found.out);
    assert.match(people.out, /complete {2}no event of the tenant is left out up to seal \d+/);
  });

  test("the whole ledger and one partition verify, in both verifiers", async () => {
    const [part] =
      await sql`select min(tableoid)::regclass::text as name from bulkhead.audit_events`;
    const name = String(part?.["name"]).replace("bulkhead.", "");
    for (const args of [[], ["--partition", name]]) {
      const found = await exported(`whole${args.length}.jsonl`, ...args);
      assert.equal((await verify(found.text, found.head)).offence, null);
      assert.ok(standalone(found.out, found.head).ok);
      assert.match(found.text, /secret of the other/);
    }
  });

  test("no change of a byte, no line left out, doubled or moved passes", async () => {
    for (const [name, args] of [["a", ["--tenant", ACME]], ["b", []]] as const) {
      const { text, head } = await exported(`${name}-fuzz.jsonl`, ...args);
      assert.ok(await accepts(text, head));
      const random = seeded(20261121);
      const at = (below: number) => Math.floor(random() * below);
      const start = text.indexOf("\n") + 1;
      for (let i = 0; i < depth({ quick: 150, full: 1_000 }); i++) {
        const where = start + at(text.length - start);
        const old = text[where] ?? "";
        // white space between the members of JSON means nothing
        if (/\s/.test(old)) continue;
        const other = "0123456789abcdef"[at(16)] ?? "";
        if (other === old) continue;
        const forged = text.slice(0, where) + other + text.slice(where + 1);
        assert.equal(
          await accepts(forged, head),
          false,
          `byte ${where}: ${text.slice(where - 20, where)}[${old}→${other}]`,
        );
      }
      const lines = text.trimEnd().split("\n");
      for (let i = 1; i < lines.length; i++) {
        const without = lines.toSpliced(i, 1);
        const doubled = lines.toSpliced(i, 0, lines[i] ?? "");
        assert.equal(await accepts(without.join("\n"), head), false, `without line ${i + 1}`);
        assert.equal(await accepts(doubled.join("\n"), head), false, `line ${i + 1} twice`);
        const moved = lines.with(i, lines[i - 1] ?? "").with(i - 1, lines[i] ?? "");
        if (i > 1) {
          assert.equal(await accepts(moved.join("\n"), head), false, `line ${i + 1} moved`);
        }
      }
      assert.equal(await accepts(text.slice(0, -3), head), false, "cut");
      assert.equal(await accepts(`${text}{"body":"${"0".repeat(64)}"}\n`, head), false, "more");
    }
  });

  test("`verify` names the first offending event and exits 1", async () => {
    const found = await exported("offence.jsonl", "--tenant", ACME);
    const forged = join(folder, "offence-forged.jsonl");
    writeFileSync(forged, found.text.replace("INSERT", "DELETE"));
    const text = await cli("verify", "--export", forged);
    assert.equal(text.code, 1);
    assert.match(
      text.out,
      /^BROKEN {2}line \d+, seal \d+, event \d+: the event, or its salt, was changed/,
    );
    const json = await cli("verify", "--export", forged, "--json");
    assert.equal(json.code, 1);
    assert.equal(JSON.parse(json.out).ok, false);
    assert.match(JSON.parse(json.out).offence.event, /^\d+$/);
  });

  test("`verify` compares with the anchor of a manifest, in an export and in the live ledger", async () => {
    const found = await exported("anchored.jsonl");
    const manifest = join(folder, "manifest.json");
    const write = (head: string) =>
      writeFileSync(
        manifest,
        JSON.stringify({ manifest: { id: "x", auditHead: head }, signature: {} }),
      );
    write(found.head);
    for (
      const args of [["--export", found.out], ["--database-env", "LEDGER_URL"], [
        "--database-env",
        "LEDGER_URL",
        "--newest",
        "2",
      ], ["--database-env", "LEDGER_URL", "--seals", "2-3"]]
    ) {
      const good = await cli("verify", ...args, "--anchor", manifest);
      assert.equal(good.code, 0, good.out + good.err);
      assert.match(good.out, /anchor +is in the chain/);
    }
    write("ab".repeat(32));
    for (const args of [["--export", found.out], ["--database-env", "LEDGER_URL"]]) {
      const bad = await cli("verify", ...args, "--anchor", manifest);
      assert.equal(bad.code, 1, bad.out + bad.err);
      assert.match(bad.out, /BROKEN .*the anchor is not in the chain/);
    }
  });

  test("misuse is one clear error", async () => {
    const misuse: [string[], RegExp, number][] = [
      [["verify", "--export", join(folder, "none")], /BH_EXPORT_READ/, 2],
      [["verify", "--export", join(ROOT, "README.md")], /BH_EXPORT_FORMAT/, 2],
      [["verify", "--anchor", "12"], /BH_ANCHOR/, 2],
      [["verify", "--database-env", "LEDGER_URL", "--seals", "3-2"], /BH_USAGE/, 2],
      [["verify", "--database-env", "LEDGER_URL", "--newest", "0"], /BH_USAGE/, 2],
      [["audit", "export", "--database-env", "LEDGER_URL"], /--out is missing/, 2],
      [["audit", "export", "--database-env", "LEDGER_URL", "--out", folder], /the file exists/, 2],
      [
        [
          "audit",
          "export",
          "--database-env",
          "LEDGER_URL",
          "--out",
          join(folder, "x"),
          "--tenant",
          ROOT,
        ],
        /BH802/,
        1,
      ],
      [
        [
          "audit",
          "export",
          "--database-env",
          "LEDGER_URL",
          "--out",
          join(folder, "x"),
          "--partition",
          "public.notes",
        ],
        /BH802/,
        1,
      ],
    ];
    for (const [args, message, code] of misuse) {
      const done = await cli(...args);
      assert.equal(done.code, code, done.err);
      assert.match(done.err, message);
      assert.match(done.err, /\nTry: /);
    }
  });

  test("an export waits for what holds the seal back, then names it", async () => {
    const long = await sql.reserve();
    await long`begin`;
    await long`select pg_current_xact_id()`;
    const [{ pid } = { pid: 0 }] = await long<{ pid: number }[]>`select pg_backend_pid() as pid`;
    const held = await cli(
      "audit",
      "export",
      "--database-env",
      "LEDGER_URL",
      "--out",
      join(folder, "held"),
      "--wait",
      "1",
    );
    assert.equal(held.code, 1);
    assert.match(
      held.err,
      new RegExp(`BH_EXPORT_UNSEALED[\\s\\S]*pg_terminate_backend\\(${pid}\\)`),
    );
    await long`rollback`;
    long.release();
  });
});
