/**
 * The shapes that the parts of a backup hand to each other. Bytes on disk: docs/backup-format.md.
 *
 * A backup of one tenant, end to end:
 *
 * @example
 * const key = await keyring.ensureTenantKey(tenant);
 * const tables = encodeTables(copyOutOfEachTable());
 * const sealed = sealObject({
 *   header: { kind: "tenant", tenant, backup: backupId, part: 1, createdAt: now() },
 *   tenantKey: key,
 *   plaintext: tables.stream,
 * });
 * const stored = await store.put(objectKey({ tenant, backup: backupId, part: 1 }), sealed.stream);
 * const { sha256, size, rawBytes } = await sealed.done;
 * const summaries = await tables.done;
 */

/** The name under which exempt tables, settings and seals are kept; no tenant can have it. */
export const GLOBAL_TENANT = "@global";

/** A tenant's data key, in the clear; lives in memory only. */
export interface TenantKey {
  readonly tenant: string;
  /** 32 lowercase hex digits. */
  readonly id: string;
  /** 32 bytes. */
  readonly bytes: Uint8Array;
}

/** What the writer says about an object. Readable without a key, authenticated with it. */
export interface HeaderInput {
  readonly kind: "tenant" | "global";
  readonly tenant: string;
  /** The backup's id, see `newBackupId`. */
  readonly backup: string;
  /** From 1. */
  readonly part: number;
  readonly createdAt: Date;
}

/** The header as it stands in the object. */
export interface ObjectHeader {
  readonly kind: "tenant" | "global";
  readonly tenant: string;
  readonly backup: string;
  readonly part: number;
  readonly keyId: string;
  /** RFC 3339, UTC. */
  readonly createdAt: string;
  readonly compression: "gzip";
  readonly chunkBytes: number;
}

/** Known once the last byte has left the stream. */
export interface SealedSummary {
  /** Of the encrypted object, lowercase hex. */
  readonly sha256: string;
  /** Of the encrypted object, bytes. */
  readonly size: number;
  /** Of the plaintext before gzip, bytes. */
  readonly rawBytes: number;
}

export interface SealedObject {
  readonly header: ObjectHeader;
  /** Upload this. */
  readonly stream: ReadableStream<Uint8Array>;
  /** Settles after the stream was read to its end; rejects when it was not. */
  readonly done: Promise<SealedSummary>;
}

/** What a reader holds an object against: the manifest's entry. Everything given must match. */
export interface ObjectExpectation {
  readonly tenant: string;
  readonly backup?: string;
  readonly part?: number;
  readonly keyId?: string;
  readonly sha256?: string;
  readonly size?: number;
  /** The guard against decompression bombs: one byte more is refused. Without it 64 GiB is the limit. */
  readonly rawBytes?: number;
}

/** One table to put into an object. */
export interface TableInput {
  readonly schema: string;
  readonly name: string;
  /** In the order of the COPY text. */
  readonly columns: readonly string[];
  /** COPY text: one line a row, each ended by a newline, cut anywhere. */
  readonly rows: ReadableStream<Uint8Array>;
  /** `bulkhead.content_hash` in the same snapshot; asked for after the rows were read. */
  readonly contentHash: string | (() => Promise<string>);
  /** Rows that COPY said it sent; a difference to the lines counted is an error. */
  readonly expectedRows?: () => Promise<number>;
}

/** Something that is no table: sequence positions, declared state. Goes into the object as JSON. */
export interface DocumentInput {
  readonly document: string;
  readonly value: unknown;
}

/** What was written or read of one table. */
export interface TableSummary {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly string[];
  readonly rows: number;
  /** Bytes of COPY text. */
  readonly bytes: number;
  readonly contentHash: string;
}

/** One table or document of an object being read, in order. */
export type ContainerEntry =
  | {
    readonly kind: "table";
    readonly schema: string;
    readonly name: string;
    readonly columns: readonly string[];
    /** COPY text. Read it to its end, or cancel it, before asking for the next entry. */
    readonly rows: ReadableStream<Uint8Array>;
    /** Settles after the last row, with the count checked. */
    readonly summary: Promise<TableSummary>;
  }
  | { readonly kind: "document"; readonly document: string; readonly value: unknown };

/*
 * The functions, file by file:
 *
 * format.ts      sealObject, openObject, peekHeader
 * container.ts   encodeTables, decodeTables
 * ../keys/       kekVariable (for readEnv), kekFromBase64, createKeyring (refuses where there is one), openKeyring
 * manifest.ts    writeManifest, listBackups (invalid ones are in it), newestBackup (throws when anything
 *                newer is invalid), verifyObjects (presence, version, size; needs no key)
 * retention.ts   planRetention;  prune.ts  planPrune, applyPrune
 * names.ts       newBackupId, backupIdTime, objectKey, manifestKey
 * ../adapters/open-store.ts   storeVariables (for readEnv), openStore
 */
