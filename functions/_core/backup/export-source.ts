import type { ManifestObject } from "./manifest-schema.ts";

/** A table that is part of a backup. `both` is the ledger: a tenant's events, or those of none. */
export type ExportTable = {
  readonly scope: "tenant" | "global" | "both";
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly string[];
};

/** What the database says about itself in the snapshot of the export. */
export type SourceState = {
  readonly tables: readonly ExportTable[];
  readonly tenants: readonly string[];
  readonly fingerprint: string;
  readonly migrations: readonly string[];
  readonly auditHead: string | null;
  /** `host:port/database`, without credentials. */
  readonly project: string;
  /** Transactions below it are in the snapshot, or rolled back. */
  readonly snapshotXmin: string;
};

/** One connection that reads one snapshot. */
export interface ExportSession {
  /** COPY text of the rows of one tenant (null: of none). */
  copy(table: ExportTable, tenant: string | null): Promise<ReadableStream<Uint8Array>>;
  /** Row count and content hash of the same rows. */
  hash(
    table: ExportTable,
    tenant: string | null,
  ): Promise<{ readonly rows: number; readonly hash: string }>;
  /** What is no table: of a tenant, or (null) of none. */
  documents(tenant: string | null): Promise<Readonly<Record<string, unknown>>>;
  close(): Promise<void>;
}

/** The database that is backed up. */
export interface ExportSource {
  state(): Promise<SourceState>;
  /** Sessions of one source read the same moment where it can share a snapshot. */
  openSession(): Promise<ExportSession>;
  readonly snapshot: "shared" | "per-object";
  close(): Promise<void>;
}

/** An earlier backup whose objects may stand for tenants that have not changed since. */
export type EarlierRun = {
  readonly id: string;
  readonly fingerprint: string;
  /** Tenants with an event in the ledger since its snapshot. */
  readonly changedTenants: ReadonlySet<string>;
};

/** Facts that end up in `bulkhead.backup_runs`. */
export type RunFacts = {
  /** Null: keep what the claim recorded. */
  readonly snapshotXmin: string | null;
  readonly fingerprint: string;
  readonly tenants: number;
  readonly rows: number;
  readonly rawBytes: number;
  readonly storedBytes: number;
  readonly manifestKey: string;
  readonly manifestSha256: string;
  readonly leftOut: readonly string[];
  /** Tenants for whom an earlier backup's object stands. */
  readonly referenced: readonly string[];
  /** Every object was copied, or compared with the rows it stands for. */
  readonly isCompared: boolean;
  /** Tenants whose rows were no longer those of their object, without an event in the ledger. */
  readonly unrecorded: readonly string[];
  /** Since when the key-encryption key wraps the keyring; the database learns the date alone. */
  readonly kekSince: Date | null;
};

/** The record of runs, under a lease: whoever lost it can't write any more (`BH603`). */
export interface RunLedger {
  /** The id of the run to work on: the one proposed, or one that was left half-way. `BH602` while somebody works. */
  claim(proposedId: string): Promise<string>;
  renew(): Promise<void>;
  /** Objects that an interrupted run has uploaded already. */
  objects(): Promise<readonly ManifestObject[]>;
  record(entry: ManifestObject): Promise<void>;
  /** Remember the schema of the run (false: it is another one by now), and a tenant too large for it. */
  note(fingerprint: string, leftOut?: string): Promise<boolean>;
  /** Tenants that were left out in earlier calls. */
  leftOut(): Promise<readonly string[]>;
  /** The run behind a manifest, when it is of this database and complete. */
  earlier(backupId: string): Promise<EarlierRun | null>;
  /** The last time that every object was copied or compared; null: never, in this database. */
  lastComparison(): Promise<Date | null>;
  complete(facts: RunFacts): Promise<void>;
  fail(message: string): Promise<void>;
  /** Give the lease back: the next call goes on. */
  release(): Promise<void>;
}
