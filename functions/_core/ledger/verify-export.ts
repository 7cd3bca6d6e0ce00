import { toHex } from "../bytes.ts";
import { BulkheadError } from "../errors.ts";
import { Erasures } from "./erasures.ts";
import {
  type ExportLine,
  exportLine,
  headerLine,
  type Scope,
  type ShareLine,
} from "./export-lines.ts";
import { bodyHash, bytesOf, genesis, headHash, leafHash, type Link, shareHash } from "./hashes.ts";
import { MerkleTree, rootByPath } from "./merkle.ts";
import { strictParse } from "./strict-json.ts";
import { textLines } from "./text-lines.ts";

/** The first thing of an export that does not match. */
export type Offence = {
  readonly line: number;
  readonly seal: string | null;
  readonly event: string | null;
  readonly problem: string;
};

/** What was found in an export. */
export type ExportVerdict = {
  readonly scope: Scope;
  readonly exportedAt: string;
  readonly links: number;
  readonly seals: number;
  readonly events: number;
  /** Events of which something is erased, with the erasure on record. */
  readonly erased: number;
  /** The same, where the record lies in another part of the ledger: only an export of one partition has them. */
  readonly erasedElsewhere: number;
  /** Partitions that were retired: their events are in exports of their own, of these hashes. */
  readonly retired: { readonly part: string; readonly events: string; readonly sha256: string }[];
  /** Where the chain of this export ends. */
  readonly head: string;
  /** Up to which seal nothing of the tenant is left out; null where that is not shown. */
  readonly completeTo: string | null;
  readonly offence: Offence | null;
};

class Broken extends Error {}

/**
 * Check an export from its bytes alone: every event against its leaf, every tenant's share and every seal against
 * its root, the chain from its beginning to its end and through the anchor. Stops at the first offence.
 * Memory does not grow with the events, but for the erased ones.
 *
 * @example
 * const { offence } = await verifyExport(file.readable, { anchor: manifest.auditHead });
 * @throws BulkheadError `BH_EXPORT_FORMAT` for what is no export at all.
 */
export async function verifyExport(
  bytes: AsyncIterable<Uint8Array>,
  options: { anchor?: string } = {},
): Promise<ExportVerdict> {
  const lines = textLines(bytes);
  const first = await lines.next();
  const check = new ExportCheck(
    parseHeader(first.done === true ? "" : first.value),
    options.anchor,
  );
  let line = 1;
  let offence: Offence | null = null;
  try {
    for await (const text of lines) {
      line++;
      check.take(parseLine(text));
    }
    check.end();
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    offence = { line, ...check.at(), problem: error.message };
  }
  return { ...check.found(), offence };
}

function parseHeader(text: string) {
  const header = headerLine.safeParse(strictParse(text));
  if (header.success) return header.data;
  throw new BulkheadError(
    "BH_EXPORT_FORMAT",
    "Cannot read the export: its first line is not that of a ledger export, version 1",
    {
      kind: "usage",
      hint: "Name the file that bulkhead audit export wrote; see docs/ledger-format.md",
    },
  );
}

function parseLine(text: string): ExportLine {
  const line = exportLine.safeParse(strictParse(text));
  if (!line.success) throw new Broken("the line is none that an export has");
  return line.data;
}

type Open = { link: Link; hashes: string[]; tenants: Set<string | null>; events: bigint };

class ExportCheck {
  readonly #header: ReturnType<typeof parseHeader>;
  readonly #erasures = new Erasures();
  readonly #anchor: string | undefined;
  #isAnchored: boolean;
  #head = genesis();
  #links = 0;
  #seals = 0;
  #events = 0;
  #seal: Open | null = null;
  #share: { line: ShareLine; tree: MerkleTree; last: bigint | null } | null = null;
  #event: string | null = null;
  /** By tenant: the seal of the share before. */
  readonly #previous = new Map<string | null, string>();
  /** Partitions whose seals have no shares, until the row that retires them follows. */
  readonly #empty = new Map<string, { seal: string; events: bigint }>();
  /** Seals without shares. */
  readonly #away = new Set<string>();
  readonly #retired = new Map<string, { part: string; events: string; sha256: string }>();
  #completeTo: string | null = null;
  #isEnded = false;

  constructor(header: ReturnType<typeof parseHeader>, anchor: string | undefined) {
    this.#header = header;
    this.#anchor = anchor;
    this.#isAnchored = anchor === undefined || anchor === toHex(this.#head);
  }

  at(): { seal: string | null; event: string | null } {
    return { seal: this.#seal?.link.seq ?? null, event: this.#event };
  }

  found() {
    return {
      scope: this.#header.scope,
      exportedAt: this.#header.exported_at,
      links: this.#links,
      seals: this.#seals,
      events: this.#events,
      erased: this.#erasures.recorded,
      erasedElsewhere: this.#erasures.elsewhere,
      retired: [...this.#retired.values()],
      head: toHex(this.#head),
      completeTo: this.#completeTo,
    };
  }

  take(line: ExportLine): void {
    if (this.#isEnded) throw new Broken("something follows the last line");
    this.#event = null;
    if ("event" in line) return this.#takeEvent(line.event);
    this.#endShare();
    if ("share" in line) return this.#takeShare(line.share);
    this.#endSeal();
    if ("link" in line) return this.#takeLink(line.link);
    if ("body" in line) {
      if (!("tenant" in this.#header.scope || "part" in this.#header.scope)) {
        throw new Broken("a seal is not shown in an export of the whole ledger");
      }
      return this.#follow(bytesOf(line.body));
    }
    const { links, events, head } = line.end;
    if (
      links !== String(this.#links) || events !== String(this.#events) ||
      head !== toHex(this.#head)
    ) {
      throw new Broken("the last line speaks of other events, or of another head");
    }
    this.#isEnded = true;
  }

  #follow(body: Uint8Array): void {
    this.#head = headHash(this.#head, body);
    this.#isAnchored ||= this.#anchor === toHex(this.#head);
    this.#links++;
  }

  #takeLink(link: Link): void {
    if (link.seq !== String(this.#links + 1)) {
      throw new Broken(`seal ${link.seq} stands where ${this.#links + 1} belongs`);
    }
    if ((link.part === null) !== (link.kind === "era")) {
      throw new Broken("an era is of no partition, every other row of one");
    }
    this.#follow(bodyHash(link));
    if (link.kind === "retire") return this.#retire(link);
    if (link.kind === "era") return;
    this.#seals++;
    this.#seal = { link, hashes: [], tenants: new Set(), events: 0n };
  }

  #retire(link: Link): void {
    const part = link.part ?? "";
    const { events } = this.#empty.get(part) ?? { events: 0n };
    this.#empty.delete(part);
    this.#retired.set(part, { part, events: String(events), sha256: link.root });
  }

  #takeShare(share: ShareLine): void {
    const seal = this.#seal;
    const { scope } = this.#header;
    if (seal === null) throw new Broken("a share stands outside of any seal");
    if ("tenant" in scope && share.tenant_id !== scope.tenant) {
      throw new Broken("the share is another tenant's");
    }
    if ("part" in scope && seal.link.part !== scope.part) {
      throw new Broken("the share is of another partition");
    }
    if (seal.tenants.has(share.tenant_id)) {
      throw new Broken("a tenant has two shares in one seal");
    }
    seal.tenants.add(share.tenant_id);
    this.#checkPrevious(share, seal.link.seq);
    this.#previous.set(share.tenant_id, seal.link.seq);
    this.#share = { line: share, tree: new MerkleTree(), last: null };
  }

  /** A share names the seal of the one before it: what lies between has nothing of this tenant. */
  #checkPrevious({ tenant_id, previous }: ShareLine, seq: string): void {
    const before = this.#previous.get(tenant_id) ?? "0";
    if (previous === before) return;
    // What was retired is not shown, and an export of one partition begins and ends in mid-course.
    const isBetween = BigInt(previous) > BigInt(before) && BigInt(previous) < BigInt(seq);
    if (isBetween && (this.#away.has(previous) || "part" in this.#header.scope)) return;
    throw new Broken(
      `a share of this tenant is left out: this one follows seal ${previous}, the one before is of seal ${before}`,
    );
  }

  #takeEvent(event: Extract<ExportLine, { event: unknown }>["event"]): void {
    const share = this.#share;
    const seal = this.#seal?.link;
    this.#event = event.id;
    if (share === null || seal === undefined) {
      throw new Broken("an event stands outside of any share");
    }
    const id = BigInt(event.id);
    const xid = BigInt(event.xid);
    if (event.tenant_id !== share.line.tenant_id) throw new Broken("the event is another tenant's");
    if (share.last !== null && id <= share.last) throw new Broken("events are out of order");
    if (xid < BigInt(seal.lo) || xid >= BigInt(seal.hi)) {
      throw new Broken("the event's transaction is not one of its seal");
    }
    share.last = id;
    const leaf = leafHash(event);
    if (toHex(leaf) !== event.leaf) {
      throw new Broken("the event, or its salt, was changed after it was sealed");
    }
    const broken = this.#erasures.take(event);
    if (broken !== null) throw new Broken(broken);
    share.tree.add(leaf);
    this.#events++;
    if (event.operation === "bulkhead.export") this.#completeTo = seal.seq;
  }

  #endShare(): void {
    const { line, tree } = this.#share ?? {};
    const seal = this.#seal;
    this.#share = null;
    if (line === undefined || tree === undefined || seal === null) return;
    const root = tree.root();
    if (root === null || line.events !== String(tree.leaves)) {
      throw new Broken(
        `${tree.leaves} events of a share, ${line.events} were sealed`,
      );
    }
    seal.events += BigInt(tree.leaves);
    const hash = shareHash(line, root);
    if ("tenant" in this.#header.scope) {
      const { index, size, path } = line;
      const led = index === undefined || size === undefined || path === undefined
        ? null
        : rootByPath(hash, { index, size, path: path.map(bytesOf) });
      if (led === null || toHex(led) !== seal.link.root) {
        throw new Broken("the tenant's share does not lead to the root of its seal");
      }
    } else seal.hashes.push(toHex(hash));
  }

  #endSeal(): void {
    const seal = this.#seal;
    if (seal === null) return;
    if (seal.tenants.size === 0) {
      const part = seal.link.part ?? "";
      const empty = this.#empty.get(part) ?? { seal: seal.link.seq, events: 0n };
      this.#empty.set(part, { ...empty, events: empty.events + BigInt(seal.link.events) });
      this.#away.add(seal.link.seq);
    } else if (!("tenant" in this.#header.scope)) {
      const tree = new MerkleTree();
      for (const hash of seal.hashes.sort()) tree.add(bytesOf(hash));
      const root = tree.root();
      if (
        String(seal.events) !== seal.link.events || root === null || toHex(root) !== seal.link.root
      ) {
        throw new Broken("the tenants' shares do not make the root of their seal");
      }
    }
    this.#seal = null;
  }

  end(): void {
    this.#event = null;
    if (!this.#isEnded) throw new Broken("the export ends before its last line: it was cut off");
    for (const [part, { seal }] of this.#empty) {
      throw new Broken(`seal ${seal} has no events here, and ${part} was never retired after it`);
    }
    const unrecorded = this.#erasures.settle("part" in this.#header.scope);
    if (unrecorded !== null) {
      this.#event = unrecorded;
      throw new Broken("the event was erased without a record of it");
    }
    if (!this.#isAnchored) {
      throw new Broken(
        "the anchor is not in the chain of this export: the ledger was rewritten or cut off, or the export is older than the anchor",
      );
    }
  }
}
