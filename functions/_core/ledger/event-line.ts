import * as z from "zod";
import { exactParse, exactString } from "./exact-json.ts";

/** JSON as the database writes it, numbers kept exactly. */
const exact = z.string().nullable().transform((text) => text === null ? null : exactParse(text));
/** The columns of a row, by name. */
export const ledgerValues = exact.pipe(z.record(z.string(), z.unknown()).nullable());

/** One event of the ledger, as `bulkhead audit --json` prints it. */
export const ledgerEvent = z.object({
  id: z.string(),
  at: z.string(),
  transaction: z.string(),
  tenant: z.string().nullable(),
  actor: z.string().nullable(),
  role: z.string(),
  operation: z.string(),
  table: z.string(),
  record: z.string().nullable(),
  before: ledgerValues,
  after: ledgerValues,
  request: z.string().nullable(),
  address: z.string().nullable(),
  metadata: exact,
});

/** One event of the ledger. */
export type LedgerEvent = z.infer<typeof ledgerEvent>;

/** One event for people, in the pieces that a terminal may colour. */
export type EventLine = { head: string; operation: string; target: string; detail: string };

/** How to write a line. */
export type LineOptions = {
  /** Columns of the terminal; 0 cuts nothing. */
  width: number;
  /** The present time, in milliseconds: events of another day show their date. */
  now: number;
  /** Leave out what every line would repeat. */
  oneTenant?: boolean;
};

/**
 * An event as one line of at most `width` characters: when, in which transaction, whose, who, what, and the change.
 *
 * @example
 * const { head, operation, target, detail } = eventLine(event, { width: 80, now: Date.now() });
 * // 10:32:11  #1055  acme  alice  UPDATE messages 42  body: "a" → "b"
 */
export function eventLine(event: LedgerEvent, { width, now, oneTenant }: LineOptions): EventLine {
  const head = [
    timeOf(new Date(event.at), new Date(now)),
    `#${event.transaction}`,
    ...(oneTenant ? [] : [short(event.tenant ?? "-")]),
    short(event.actor ?? event.role),
  ].join("  ");
  const table = event.table.replace(/^public\./, "");
  const target = [plain(table), ...(event.record === null ? [] : [short(event.record)])].join(" ");
  const pieces = [head, plain(event.operation), target, changeOf(event)];
  // What stands between them: two columns, one, two.
  const gaps = [0, 2, 1, 2];
  let room = width;
  const fitted = width === 0 ? pieces : pieces.map((text, i) => {
    const piece = cut(text, Math.max(0, room - (gaps[i] ?? 0)));
    room -= columnsOf(piece) + (gaps[i] ?? 0);
    return piece;
  });
  const [first = "", operation = "", third = "", detail = ""] = fitted;
  return { head: first, operation, target: third, detail };
}

/**
 * What an event changed: `body: "a" → "b"`, or the row that came or went. Nothing in it can steer a terminal.
 *
 * @example
 * changeOf({ …, operation: "UPDATE", before: { body: "a" }, after: { body: "b" } }); // body: "a" → "b"
 */
export function changeOf(
  event: Pick<LedgerEvent, "operation" | "before" | "after" | "metadata" | "record" | "tenant">,
): string {
  const { operation, before, after, metadata } = event;
  if (operation === "UPDATE") {
    const columns = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
    if (withheld(before) === "erased") return "erased";
    if (columns.length === 0) return "nothing changed";
    return columns.map((name) =>
      `${plain(name)}: ${valueOf(before?.[name])} → ${valueOf(after?.[name])}`
    ).join(", ");
  }
  const row = after ?? before;
  if (row === null) return metadata === null ? "" : plain(exactString(metadata));
  return withheld(row) ??
    // The key and the tenant stand before it already.
    Object.entries(row).filter(([, value]) =>
      value !== null && plainValue(value) !== event.record && value !== event.tenant
    )
      .map(([name, value]) => `${plain(name)}: ${valueOf(value)}`).join(", ");
}

/** Why the ledger does not hold a value: masked, cut or erased. */
function withheld(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || !("$bulkhead" in value)) return undefined;
  return plain(String(value.$bulkhead));
}

function valueOf(value: unknown): string {
  const why = withheld(value);
  if (why !== undefined) return `(${why})`;
  return value === undefined ? "(not held)" : plain(exactString(value));
}

function plainValue(value: unknown): string {
  return exactString(value).replace(/^"|"$/g, "");
}

/** A long name by its beginning: a uuid needs no more to be told from others on a screen. */
function short(text: string): string {
  const safe = plain(text);
  if (/^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(safe)) return safe.slice(0, 8);
  return cut(safe, 20);
}

// Control characters, and those that turn the direction of writing: data must not draw on the terminal.
const UNSAFE = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/**
 * Text that a terminal prints as it is.
 *
 * @example
 * plain("a\u001b[31mb"); // "a\\u001b[31mb"
 */
export function plain(text: string): string {
  return text.replace(
    UNSAFE,
    (character) => `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`,
  );
}

// What a terminal draws two columns wide, and what it draws over the character before.
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const MARK = /\p{M}/u;

const columnsOf = (text: string): number => [...text].reduce((sum, one) => sum + drawn(one), 0);
const drawn = (character: string): number =>
  WIDE.test(character) ? 2 : MARK.test(character) ? 0 : 1;

/**
 * The beginning of a text, in so many columns of a terminal.
 *
 * @example
 * cut("a long text", 7); // "a long…"
 */
export function cut(text: string, width: number): string {
  if (columnsOf(text) <= width) return text;
  if (width < 1) return "";
  let kept = "";
  let used = 1;
  for (const character of text) {
    used += drawn(character);
    if (used > width) break;
    kept += character;
  }
  return `${kept}…`;
}

function timeOf(at: Date, now: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
  if (at.toDateString() === now.toDateString()) return time;
  const day = `${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
  return at.getFullYear() === now.getFullYear() ? day : `${at.getFullYear()}-${day}`;
}
