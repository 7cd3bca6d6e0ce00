import type { ExportSession, ExportTable, RunLedger } from "./export-source.ts";
import type { ManifestObject } from "./manifest-schema.ts";

/** One of the parts that a tenant's rows were cut into, all in one snapshot. */
export type StagedPart = {
  /** From 1. */
  readonly part: number;
  /** How many there are. */
  readonly of: number;
  /** COPY text. */
  readonly bytes: number;
  readonly tables: readonly ExportTable[];
  /** Reads the part's tables in their order, once. */
  readonly session: ExportSession;
};

/** How far a run has got with a tenant. */
export type TenantProgress = "begun" | "done";

/** The record of a run on the edge: it has many calls, and what has to outlive one of them lies in the database. */
export interface EdgeLedger extends RunLedger {
  /** Go on with a run that waits for a call; null: none does. */
  resume(): Promise<string | null>;
  /** What one call may take. */
  callBytes(): Promise<number>;
  progress(): Promise<ReadonlyMap<string, TenantProgress>>;
  /** Lay out a tenant's rows (`@global`: those of none) as they are at one moment; false: it is too large. */
  stage(tenant: string): Promise<boolean>;
  /** The parts that are still to be written; null: the tenant is not staged. */
  staged(tenant: string): Promise<readonly StagedPart[] | null>;
  /** How often this was begun, with this time. */
  attempt(what: string): Promise<number>;
  /** Some of a tenant's parts, of so many: all of them remembered, or none. */
  recordParts(entries: readonly ManifestObject[], of: number): Promise<void>;
}
