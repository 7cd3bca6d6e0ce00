import { BulkheadError } from "../errors.ts";
import { decodeTables } from "./container.ts";
import { openObject } from "./format.ts";
import type { Keyring } from "../keys/keyring.ts";
import { type ObjectProblem, verifyObjects } from "./manifest.ts";
import type { Manifest, ManifestObject } from "./manifest-schema.ts";
import type { ObjectStore } from "./object-store.ts";
import { objectsByTenant, PARTS_DOCUMENT, partsIn, tablesOf } from "./parts.ts";
import type { Difference, Loader, RestoreTarget } from "./restore-target.ts";
import { type ContainerEntry, GLOBAL_TENANT, type TableSummary } from "./types.ts";

/** What happens while a backup is restored or verified. */
export type RestoreProgress = {
  readonly event: "object";
  readonly tenant: string;
  readonly rows: number;
  readonly done: number;
  readonly total: number;
};

/** Where objects come from. */
export type Readable = {
  readonly store: ObjectStore;
  readonly keyring: Keyring;
  readonly manifest: Manifest;
  readonly onProgress?: (progress: RestoreProgress) => void;
};

/**
 * The tables of one object, decrypted; a loop that ends has seen an object whose every byte was checked, and that is
 * one of as many parts as the manifest lists.
 */
export async function* readObject(
  from: Readable,
  object: ManifestObject,
): AsyncGenerator<ContainerEntry, void, void> {
  const { key, tenant, backup, part, keyId, sha256, size, rawBytes } = object;
  const stream = await from.store.get(key, { version: object.version }).catch((error) => {
    if (!(error instanceof BulkheadError) || error.code !== "BH_STORE_MISSING") throw error;
    throw incomplete(from.manifest, object, `version ${object.version} is gone`, error);
  });
  let parts = 1;
  const found: Promise<TableSummary>[] = [];
  for await (
    const entry of decodeTables(openObject({
      stream,
      tenantKey: (header) => from.keyring.tenantKey(header.tenant, header.keyId),
      expect: { tenant, backup, part, keyId, sha256, size, rawBytes },
      name: { key, tenant },
    }))
  ) {
    if (entry.kind === "document" && entry.document === PARTS_DOCUMENT) {
      parts = partsIn(entry.value);
    } else {
      if (entry.kind === "table") found.push(entry.summary);
      yield entry;
    }
  }
  refuseOtherTables(object, await Promise.all(found));
  const listed = from.manifest.objects.filter((each) => each.tenant === tenant).length;
  if (listed !== parts) {
    throw incomplete(from.manifest, object, `it is one of ${parts} parts, not of ${listed}`);
  }
}

/** Names, rows, bytes and content hashes, table by table: what was written is what the manifest was signed over. */
function refuseOtherTables(object: ManifestObject, found: readonly TableSummary[]): void {
  const listed = object.tables;
  const fields = ["schema", "name", "rows", "bytes", "contentHash"] as const;
  const at = found.length === listed.length
    ? listed.findIndex((table, i) => fields.some((field) => table[field] !== found[i]?.[field]))
    : Math.min(found.length, listed.length);
  if (at === -1) return;
  const { schema, name } = listed[at] ?? found[at] ?? { schema: "", name: "" };
  throw new BulkheadError(
    "BH_OBJECT_MISMATCH",
    `Cannot open the object "${object.key}" of tenant "${object.tenant}": its table ${schema}.${name} is not the one that the manifest lists`,
    { kind: "integrity", hint: "Choose another backup, and report how this one was written" },
  );
}

/**
 * Read every byte of every object: checksum, key, format, row counts against the manifest. Loads nothing.
 * Tenants whose keys were shredded since are left out and named.
 *
 * @example
 * const { rows } = await verifyBackup({ store, keyring, manifest });
 * @throws BulkheadError kind `integrity` at the first object that is not what the manifest says.
 */
export async function verifyBackup(
  whole: Readable,
): Promise<{ rows: number; objects: number; shredded: string[] }> {
  const { from, shredded } = withoutShredded(whole);
  for (const parts of objectsByTenant(from.manifest).values()) tablesOf(parts);
  refuseMissing(await verifyObjects(from), from);
  let rows = 0;
  let done = 0;
  for (const object of from.manifest.objects) {
    let found = 0;
    for await (const entry of readObject(from, object)) {
      if (entry.kind === "table") found += await drained(entry.rows, entry.summary);
    }
    if (found !== object.rows) throw wrongRows(object, found);
    rows += found;
    done++;
    from.onProgress?.(progressOf(object, done, from));
  }
  return { rows, objects: done, shredded };
}

/** A backup's objects less those of tenants whose keys were destroyed since, and those tenants' names. */
function withoutShredded<T extends Readable>(whole: T): { from: T; shredded: string[] } {
  const isGone = ({ tenant, keyId }: ManifestObject) => whole.keyring.isShredded(tenant, keyId);
  const { manifest } = whole;
  return {
    from: {
      ...whole,
      manifest: { ...manifest, objects: manifest.objects.filter((object) => !isGone(object)) },
    },
    shredded: [...new Set(manifest.objects.filter(isGone).map(({ tenant }) => tenant))],
  };
}

/**
 * Restore a whole backup into an empty database, in one transaction, and compare every table of every tenant
 * with the hash that was taken when it was backed up. One difference undoes everything. Tenants whose keys were
 * shredded since are left out and named.
 *
 * @example
 * const { rows } = await restoreBackup({ store, keyring, manifest, target });
 */
export async function restoreBackup(
  whole: Readable & { readonly target: RestoreTarget },
): Promise<{ rows: number; tables: number; shredded: string[] }> {
  const { from, shredded } = withoutShredded(whole);
  const { manifest, target } = from;
  await target.check(manifest);
  refuseMissing(await verifyObjects(from), from);
  // What belongs to no tenant comes first: tenants' rows point to it, never the other way round.
  const objects = [...objectsByTenant(manifest).values()].flat();
  return await target.load(manifest, async (loader) => {
    let rows = 0;
    let done = 0;
    for (const object of objects) {
      rows += await loadObject(from, object, loader);
      done++;
      from.onProgress?.(progressOf(object, done, from));
    }
    const { differences, tables } = await compare(manifest, loader);
    if (differences.length > 0) throw different(differences);
    return { rows, tables, shredded };
  });
}

async function loadObject(from: Readable, object: ManifestObject, loader: Loader): Promise<number> {
  let rows = 0;
  for await (const entry of readObject(from, object)) {
    if (entry.kind === "document") await loader.document(entry.document, entry.value);
    else {
      await loader.table(entry);
      rows += (await entry.summary).rows;
    }
  }
  if (rows !== object.rows) throw wrongRows(object, rows);
  return rows;
}

/** Every table of the manifest against the database. */
async function compare(
  manifest: Manifest,
  loader: Loader,
): Promise<{ differences: Difference[]; tables: number }> {
  const differences: Difference[] = [];
  let tables = 0;
  for (const [tenant, parts] of objectsByTenant(manifest)) {
    for (const table of tablesOf(parts)) {
      const found = await loader.hash(table, tenant === GLOBAL_TENANT ? null : tenant);
      tables++;
      if (found.rows === table.rows && found.hash === table.contentHash) continue;
      differences.push({
        tenant,
        table: `${table.schema}.${table.name}`,
        detail: found.rows === table.rows
          ? `the content differs in ${found.rows} rows`
          : `${found.rows} rows instead of ${table.rows}`,
      });
    }
  }
  return { differences, tables };
}

async function drained(
  rows: ReadableStream<Uint8Array>,
  summary: Promise<{ rows: number }>,
): Promise<number> {
  const reader = rows.getReader();
  while (!(await reader.read()).done);
  return (await summary).rows;
}

function progressOf(object: ManifestObject, done: number, from: Readable): RestoreProgress {
  const total = from.manifest.objects.length;
  return { event: "object", tenant: object.tenant, rows: object.rows, done, total };
}

function refuseMissing(problems: readonly ObjectProblem[], from: Readable): void {
  const first = problems[0];
  if (!first) return;
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
  throw incomplete(from.manifest, first, first.detail + more);
}

function incomplete(
  manifest: Manifest,
  object: { key: string; tenant: string },
  detail: string,
  cause?: unknown,
): BulkheadError {
  return new BulkheadError(
    "BH_BACKUP_INCOMPLETE",
    `Cannot read the backup "${manifest.id}": object ${object.key} of tenant "${object.tenant}": ${detail}`,
    {
      kind: "integrity",
      hint: "Choose another one: npx bulkhead backups list, then --backup <id>",
      cause,
    },
  );
}

function wrongRows(object: ManifestObject, found: number): BulkheadError {
  return new BulkheadError(
    "BH_OBJECT_MISMATCH",
    `Cannot restore "${object.tenant}": its object holds ${found} rows instead of ${object.rows}`,
    { kind: "integrity", hint: "Choose another backup: npx bulkhead backups list" },
  );
}

function different(differences: readonly Difference[]): BulkheadError {
  const list = differences.slice(0, 10).map((d) => `${d.tenant} ${d.table}: ${d.detail}`);
  return new BulkheadError(
    "BH_RESTORE_DIFFERS",
    `Cannot restore the backup: ${differences.length} tables differ from what was backed up: ${
      list.join("; ")
    }`,
    {
      kind: "integrity",
      hint: "Nothing was kept. Check that both databases run the same migrations",
    },
  );
}
