/** One version of one object, as the store reports it. */
export interface StoredObject {
  readonly key: string;
  /** The store's version id; manifests pin it and readers fetch by it. */
  readonly version: string;
  /** Bytes. */
  readonly size: number;
  /** Lowercase hex, where the store knows it. Never trusted instead of the manifest's. */
  readonly sha256?: string;
  readonly modifiedAt: Date;
  /** Where `head` finds a lock and may see it. */
  readonly lockedUntil?: Date;
}

/** An entry of a version listing; a delete marker hides older versions and holds no data. */
export interface StoredVersion extends StoredObject {
  readonly isLatest: boolean;
  readonly isDeleteMarker: boolean;
}

/** Options of {@link ObjectStore.put}. */
export interface PutOptions {
  readonly contentType?: string;
  /** Refuse with `BH_STORE_EXISTS` when the key already has a version. Best effort on stores without conditional writes. */
  readonly ifAbsent?: boolean;
  /** Lock the version until then, where the store can (S3 Object Lock, governance mode). */
  readonly retainUntil?: Date;
}

/**
 * Where backups live: versioned objects, off the platform. Keys match {@link OBJECT_KEY}.
 * Every method throws `BulkheadError`: `BH_STORE_MISSING` and `BH_STORE_EXISTS` (kind `red`),
 * `BH_STORE_REFUSED` (kind `refused`), `BH_STORE_UNAVAILABLE` (kind `unavailable`).
 *
 * @example
 * const stored = await store.put("manifests/x.json", bytes, { contentType: "application/json" });
 * const stream = await store.get(stored.key, { version: stored.version });
 */
export interface ObjectStore {
  /** Write a new version; visible only when whole. The version in the answer is the one to pin. */
  put(
    key: string,
    body: ReadableStream<Uint8Array> | Uint8Array,
    options?: PutOptions,
  ): Promise<StoredObject>;
  /** Read one version (the newest without `version`). */
  get(key: string, options?: { version?: string }): Promise<ReadableStream<Uint8Array>>;
  /** What `get` would read, or null where there is nothing. */
  head(key: string, options?: { version?: string }): Promise<StoredObject | null>;
  /** The newest version of every key under the prefix, in key order. Throws rather than end early. */
  list(prefix: string): AsyncIterable<StoredObject>;
  /** Every version under the prefix, by key, newest first within a key. Throws rather than end early. */
  listVersions(prefix: string): AsyncIterable<StoredVersion>;
  /** Delete exactly one version. A version that is gone already is no error. Locked: `BH_STORE_LOCKED`. */
  deleteVersion(key: string, version: string): Promise<void>;
  /** Lock a version that a new backup references for as long as a new one, where the store locks at all. */
  extendLock?(stored: StoredObject): Promise<void>;
  /** Remove what writers that died before then have left half-written, where nothing else does. */
  sweep?(before: Date): Promise<void>;
  /** The store's own clock, where it tells; used to notice a wrong clock before anything is deleted. */
  clock?(): Promise<Date | null>;
  /** For people: what and where, without credentials, such as `s3://bucket/prefix`. */
  describe(): string;
}

/** Keys: segments of safe characters joined by `/`, no dot-only segment, at most 900 characters. */
export const OBJECT_KEY: RegExp =
  /^(?=.{1,900}$)(?!\.)[A-Za-z0-9._~%=+-]+(?:\/(?!\.)[A-Za-z0-9._~%=+-]+)*$/;
