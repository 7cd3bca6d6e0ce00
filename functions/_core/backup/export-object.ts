import { BulkheadError } from "../errors.ts";
import { encodeTables } from "./container-writer.ts";
import type { ExportSession, ExportTable } from "./export-source.ts";
import { sealObject, type SealTools } from "./seal.ts";
import type { Keyring } from "../keys/keyring.ts";
import type { ManifestObject } from "./manifest-schema.ts";
import { objectKey } from "./names.ts";
import type { ObjectStore } from "./object-store.ts";
import { type DocumentInput, GLOBAL_TENANT, type TableInput } from "./types.ts";

/** What one object is made of. */
export type ExportObjectOptions = {
  readonly session: ExportSession;
  readonly store: ObjectStore;
  readonly keyring: Keyring;
  readonly tables: readonly ExportTable[];
  readonly backup: string;
  /** `@global` for what belongs to no tenant. */
  readonly tenant: string;
  readonly createdAt: Date;
  /** Which of the tenant's parts; default 1. */
  readonly part?: number;
  readonly onBytes?: (bytes: number) => void;
  /** The platform's own gzip and SHA-256; default: the Web's. */
  readonly sealTools?: SealTools | undefined;
};

/** A tenant has more than the caller can take in one go. */
export class TooLargeError extends BulkheadError {
  constructor(tenant: string) {
    super(
      "BH_TENANT_TOO_LARGE",
      `Cannot export "${tenant}": too large for the edge function`,
      {
        kind: "red",
        hint: "Back up with the runner, which takes any size: npx bulkhead backup",
      },
    );
    this.name = "TooLargeError";
  }
}

/**
 * Export one tenant (or `@global`) into one object: COPY → gzip → AES-256-GCM → store, as a stream.
 * Every table's rows are counted and hashed by the database in the same snapshot.
 *
 * @example
 * const entry = await exportObject({ session, store, keyring, tables, backup, tenant, createdAt });
 */
export async function exportObject(options: ExportObjectOptions): Promise<ManifestObject> {
  const { tenant, backup, store, tables, part = 1 } = options;
  const isGlobal = tenant === GLOBAL_TENANT;
  const tenantKey = await options.keyring.ensureTenantKey(tenant);
  const wanted = tables.filter((table) =>
    table.scope === "both" || (table.scope === "global") === isGlobal
  );
  const encoded = encodeTables(entries(wanted, isGlobal ? null : tenant, options));
  const sealed = sealObject({
    header: {
      kind: isGlobal ? "global" : "tenant",
      tenant,
      backup,
      part,
      createdAt: options.createdAt,
    },
    tenantKey,
    plaintext: encoded.stream,
    ...(options.sealTools ? { tools: options.sealTools } : {}),
  });
  // They reject when the upload fails; the upload's own error is the one to report.
  encoded.done.catch(() => {});
  sealed.done.catch(() => {});
  const stored = await store.put(objectKey({ tenant, backup, part }), sealed.stream);
  const [summaries, { sha256, size, rawBytes }] = await Promise.all([encoded.done, sealed.done]);
  return {
    kind: isGlobal ? "global" : "tenant",
    tenant,
    backup,
    part,
    key: stored.key,
    version: stored.version,
    size,
    sha256,
    keyId: tenantKey.id,
    rawBytes,
    rows: summaries.reduce((sum, table) => sum + table.rows, 0),
    tables: summaries.map(({ schema, name, rows, bytes, contentHash }) => ({
      schema,
      name,
      rows,
      bytes,
      contentHash,
    })),
  };
}

async function* entries(
  tables: readonly ExportTable[],
  tenant: string | null,
  options: ExportObjectOptions,
): AsyncGenerator<TableInput | DocumentInput> {
  for (const [document, value] of Object.entries(await options.session.documents(tenant))) {
    yield { document, value };
  }
  for (const table of tables) {
    let known: Promise<{ rows: number; hash: string }> | undefined;
    const facts = () => known ??= options.session.hash(table, tenant);
    const rows = counted(await options.session.copy(table, tenant), (bytes) => {
      options.onBytes?.(bytes);
    });
    yield {
      schema: table.schema,
      name: table.name,
      columns: table.columns,
      rows,
      contentHash: async () => (await facts()).hash,
      expectedRows: async () => (await facts()).rows,
    };
  }
}

function counted(
  stream: ReadableStream<Uint8Array>,
  onBytes: (bytes: number) => void,
): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) return controller.close();
      onBytes(value.length);
      controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
}
