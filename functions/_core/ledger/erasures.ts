import { type EventLine, parseErasure } from "./export-lines.ts";

const ERASED = '{"$bulkhead": "erased"}';
type Group = "who" | "what";

/** One tenant's erased events, and what the records of erasures in its trail name. */
class Trail {
  readonly ids: Record<Group, string[]> = { who: [], what: [] };
  readonly records: Record<Group, [bigint, bigint][]> = { who: [], what: [] };
}

/** What is erased in an export, held against the records of erasures in the trail of the same tenant. */
export class Erasures {
  readonly #trails = new Map<string | null, Trail>();
  recorded = 0;
  elsewhere = 0;

  /** Returns what is wrong with an event, or null. */
  take(event: EventLine): string | null {
    const isGone: Record<Group, boolean> = {
      who: event.who.length === 64,
      what: event.what.length === 64,
    };
    const who = [event.actor, event.request_id, event.application_name, event.ip_address];
    const what = [event.before, event.after, event.metadata];
    if (
      isGone.who && who.some((value) => value !== null) ||
      isGone.what && (event.record_id !== null ||
          what.some((value) => value !== null && value !== ERASED))
    ) {
      return "something was written into an event that was erased";
    }
    const isRecord = event.operation === "bulkhead.erase" && !isGone.what;
    if (!isGone.who && !isGone.what && !isRecord) return null;
    const trail = this.#trails.get(event.tenant_id) ?? new Trail();
    this.#trails.set(event.tenant_id, trail);
    if (isGone.who) trail.ids.who.push(event.id);
    if (isGone.what) trail.ids.what.push(event.id);
    if (!isRecord) return null;
    const record = parseErasure(event.metadata);
    if (record === null) return "the record of an erasure can't be read";
    for (const group of record.erased) {
      for (const [from, to] of record.ids) trail.records[group].push([BigInt(from), BigInt(to)]);
    }
    return null;
  }

  /** Returns the first erased event that no record covers, or null. */
  settle(isPartial: boolean): string | null {
    const found = new Set<string>();
    const missing = new Set<string>();
    for (const { ids, records } of this.#trails.values()) {
      for (const group of ["who", "what"] as const) {
        const isRecorded = coverOf(records[group]);
        for (const id of ids[group]) (isRecorded(BigInt(id)) ? found : missing).add(id);
      }
    }
    for (const id of missing) found.delete(id);
    this.recorded = found.size;
    if (isPartial) this.elsewhere = missing.size;
    const [first] = missing;
    return isPartial ? null : first ?? null;
  }
}

/** Whether an id lies in one of these ranges. */
function coverOf(records: [bigint, bigint][]): (id: bigint) => boolean {
  const ranges = records.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  // The widest end so far, so that one look to the left is enough.
  const ends: bigint[] = [];
  for (const [i, [, to]] of ranges.entries()) {
    const before = ends[i - 1];
    ends.push(before !== undefined && before > to ? before : to);
  }
  return (id) => {
    const end = ends[lastAtMost(ranges, id)];
    return end !== undefined && end >= id;
  };
}

/** The index of the last range that begins at or before `id`; -1 for none. */
function lastAtMost(ranges: readonly [bigint, bigint][], id: bigint): number {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ranges[middle]?.[0] ?? 0n) <= id) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
