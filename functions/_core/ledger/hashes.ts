import { Sha256 } from "../backup/sha256-stream.ts";

/** The first byte of everything that is hashed: nothing can pass for something else. docs/ledger-format.md. */
const PREFIX = { leaf: 0, node: 1, who: 2, what: 3, share: 4, head: 5, body: 6 } as const;

/** A field of a hash: text, or null where there is none. */
export type Field = string | null;

/** An event as an export has it: every value as text. */
export type LedgerEvent = {
  readonly id: string;
  readonly created_at: string;
  readonly xid: string;
  readonly tenant_id: Field;
  readonly actor_role: string;
  readonly table_name: string;
  readonly operation: string;
  readonly actor: Field;
  readonly request_id: Field;
  readonly application_name: Field;
  readonly ip_address: Field;
  readonly record_id: Field;
  readonly before: Field;
  readonly after: Field;
  readonly metadata: Field;
  /** In hex: the salt (16 bytes) of the four personal fields, or their hash (32) once they are erased. */
  readonly who: string;
  /** The same for record_id, before, after and metadata. */
  readonly what: string;
};

/** A row of the chain as an export has it; `root` in hex. */
export type Link = {
  readonly seq: string;
  readonly kind: string;
  readonly part: Field;
  readonly era: string;
  readonly lo: string;
  readonly hi: string;
  readonly events: string;
  readonly xid: string;
  readonly sealed_at: string;
  readonly root: string;
};

const encoder = new TextEncoder();

/**
 * Fields as they are hashed: `<octets>:<value>,` each, and `-,` for null.
 *
 * @example
 * fieldsOf("ada", null); // the bytes of "3:ada,-,"
 */
export function fieldsOf(...fields: readonly Field[]): Uint8Array {
  let text = "";
  for (const field of fields) {
    text += field === null ? "-," : `${octets(field)}:${field},`;
  }
  return encoder.encode(text);
}

/** What UTF-8 takes; most values are ASCII, and need no encoding to be measured. */
function octets(text: string): number {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 127) return encoder.encode(text).length;
  }
  return text.length;
}

function hash(prefix: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const sha = new Sha256().update(Uint8Array.of(prefix));
  for (const part of parts) sha.update(part);
  return sha.digest();
}

/** The hash of an event, whatever of it is erased. */
export function leafHash(event: LedgerEvent): Uint8Array {
  const header = fieldsOf(
    event.id,
    event.created_at,
    event.xid,
    event.tenant_id,
    event.actor_role,
    event.table_name,
    event.operation,
  );
  const who = bytesOf(event.who);
  const what = bytesOf(event.what);
  return hash(
    PREFIX.leaf,
    header,
    who.length === 32 ? who : hash(
      PREFIX.who,
      who,
      fieldsOf(event.actor, event.request_id, event.application_name, event.ip_address),
    ),
    what.length === 32 ? what : hash(
      PREFIX.what,
      what,
      fieldsOf(event.record_id, event.before, event.after, event.metadata),
    ),
  );
}

/** The hash of what one tenant has in one seal. */
export function shareHash(
  share: { tenant_id: Field; previous: string; events: string },
  root: Uint8Array,
): Uint8Array {
  return hash(PREFIX.share, fieldsOf(share.tenant_id, share.previous, share.events), root);
}

/** The hash of a row of the chain, without its place in it. */
export function bodyHash(link: Link): Uint8Array {
  const { seq, kind, part, era, lo, hi, events, xid, sealed_at } = link;
  return hash(
    PREFIX.body,
    fieldsOf(seq, kind, part, era, lo, hi, events, xid, sealed_at),
    bytesOf(link.root),
  );
}

/** The head after a row of the chain. */
export function headHash(previous: Uint8Array, body: Uint8Array): Uint8Array {
  return hash(PREFIX.head, previous, body);
}

/** Two hashes as one. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return hash(PREFIX.node, left, right);
}

/** What the first row of a chain follows. */
export function genesis(): Uint8Array {
  return new Sha256().update(encoder.encode("bulkhead audit chain")).digest();
}

/** Bytes of lower-case hexadecimal digits. */
export function bytesOf(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length >> 1);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}
