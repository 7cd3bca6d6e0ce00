/** drizzle-kit's meta/_journal.json. */
export type DrizzleJournal = {
  version: string;
  dialect: string;
  entries: { idx: number; version: string; when: number; tag: string; breakpoints: boolean }[];
};

/** The newest meta/NNNN_snapshot.json: the schema as drizzle-kit last saw it. */
export type DrizzleSnapshot = { id: string; [key: string]: unknown };

/** What drizzle-kit's output folder holds already. */
export type DrizzleFolder = { journal?: DrizzleJournal; snapshot?: DrizzleSnapshot };

const nextIndex = (journal?: DrizzleJournal) =>
  Math.max(-1, ...(journal?.entries ?? []).map((one) => one.idx)) + 1;

/**
 * What stands before a migration's name, as the folder's own migrations have it: an index, or a time in one of
 * drizzle-kit's two spellings. drizzle-kit takes the last snapshot by its name, so it has to sort last.
 *
 * @example
 * drizzlePrefix(0, { journal }, new Date()); // "0005"
 */
export function drizzlePrefix(at: number, folder: DrizzleFolder, now: Date): string {
  const { journal } = folder;
  const [last = ""] = /^\d+(?=_)/.exec(journal?.entries.at(-1)?.tag ?? "") ?? [];
  const seconds = (from: number) => Math.floor(Math.max(now.getTime(), from + 1000) / 1000) + at;
  if (last.length === 14) {
    const [, y, mo, d, h, mi, s] = /^(....)(..)(..)(..)(..)(..)$/.exec(last) ?? [];
    const time = new Date(seconds(Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`) || 0) * 1000);
    return time.toISOString().replace(/[-:T]/g, "").slice(0, 14);
  }
  if (last.length === 10) return String(seconds(Number(last) * 1000));
  return String(nextIndex(journal) + at).padStart(4, "0");
}

/** The journal with the new migrations; the migrator takes what is newer than its last run, so times must grow. */
export function extendJournal(
  tags: readonly string[],
  folder: DrizzleFolder,
  now: Date,
): DrizzleJournal {
  const before = folder.journal ?? { version: "7", dialect: "postgresql", entries: [] };
  const start = Math.max(now.getTime(), ...before.entries.map((one) => one.when + 1));
  const first = nextIndex(folder.journal);
  const entries = tags.map((tag, at) => ({
    idx: first + at,
    version: before.version,
    when: start + at,
    tag,
    breakpoints: true,
  }));
  return { ...before, entries: [...before.entries, ...entries] };
}

/**
 * A snapshot beside each migration: the schema that drizzle-kit last saw, under a new id, as `drizzle-kit generate
 * --custom` writes it. Without one, `drizzle-kit drop` fails. A folder that has none gets none: there is nothing to copy.
 *
 * @example
 * chainSnapshots(["0005"], { snapshot }, () => crypto.randomUUID());
 */
export function chainSnapshots(
  prefixes: readonly string[],
  folder: DrizzleFolder,
  newId: () => string,
): { path: string; content: string }[] {
  if (folder.snapshot === undefined) return [];
  const { id, prevId: _, _meta, ...schema } = folder.snapshot;
  let previous = id;
  return prefixes.map((prefix) => {
    const next = newId();
    const snapshot = {
      id: next,
      prevId: previous,
      ...schema,
      _meta: { columns: {}, schemas: {}, tables: {} },
    };
    previous = next;
    return {
      path: `meta/${prefix}_snapshot.json`,
      content: JSON.stringify(snapshot, null, 2),
    };
  });
}
