import type { ExportSession, ExportTable, RunLedger } from "./export-source.ts";
import type { ManifestObject } from "./manifest-schema.ts";
import { tablesOf } from "./parts.ts";

/** A nightly backup that starts a little earlier than a week ago must not wait for another night. */
const WEEK_MS = 6.5 * 24 * 60 * 60 * 1000;

/**
 * Whether objects that were only referred to are due to be compared with their rows: a write with the triggers
 * bypassed leaves no event, so that nothing else would notice it.
 */
export async function isComparisonDue(ledger: RunLedger, now: Date): Promise<boolean> {
  const last = await ledger.lastComparison();
  return last === null || now.getTime() - last.getTime() >= WEEK_MS;
}

/**
 * Whether a tenant's rows are still those of the objects that stand for it, by the content hash of every table.
 *
 * @example
 * if (!await isContentOf(parts, { session, tenant, tables })) await exportObject(…);
 */
export async function isContentOf(
  parts: readonly ManifestObject[],
  of: {
    readonly session: ExportSession;
    readonly tenant: string;
    readonly tables: readonly ExportTable[];
  },
): Promise<boolean> {
  const stored = tablesOf(parts);
  for (const table of of.tables) {
    if (table.scope === "global") continue;
    const was = stored.find(({ schema, name }) => schema === table.schema && name === table.name);
    const is = await of.session.hash(table, of.tenant);
    if (was?.rows !== is.rows || was.contentHash !== is.hash) return false;
  }
  return true;
}
