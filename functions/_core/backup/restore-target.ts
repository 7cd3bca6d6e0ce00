import type { Manifest } from "./manifest-schema.ts";
import type { ContainerEntry } from "./types.ts";

/** One table or document out of a backup's object, in the object's order. */
export type RestoreEntry = ContainerEntry;

/** A position where a sequence stood. */
export type SequencePosition = {
  readonly schema: string;
  readonly name: string;
  readonly last: string;
  readonly called: boolean;
};

/** An empty database that a whole backup goes into, in one transaction. */
export interface RestoreTarget {
  /** Refuses (with what differs) a database of another schema, one with tenants in it, or the source itself. */
  check(manifest: Manifest): Promise<void>;
  /** Everything that loads runs inside; what it throws undoes all of it. */
  load<T>(manifest: Manifest, work: (loader: Loader) => Promise<T>): Promise<T>;
}

/** The inside of that transaction. */
export interface Loader {
  /** Rows of one table; answers how many arrived. */
  table(entry: Extract<ContainerEntry, { kind: "table" }>): Promise<void>;
  document(name: string, value: unknown): Promise<void>;
  /** Count and content hash of what is there now. */
  hash(
    table: { schema: string; name: string },
    tenant: string | null,
  ): Promise<{ rows: number; hash: string }>;
}

/** A difference between the backup and what was restored from it. */
export type Difference = {
  readonly tenant: string;
  readonly table: string;
  readonly detail: string;
};
