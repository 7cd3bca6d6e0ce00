/** A backup as retention sees it. */
export interface RetentionBackup {
  readonly id: string;
  /** When the backup was started, UTC. */
  readonly at: Date;
  /**
   * `verified`: signature valid, every object present with its version and size.
   * `unverified`: not so, or not known. Counts for no rule. `invalid`: tampered or unreadable, never removed.
   */
  readonly state: "verified" | "unverified" | "invalid";
  /** The store refuses to delete it yet. */
  readonly isLocked?: boolean;
  readonly isHeld?: boolean;
}

export interface RetentionOptions {
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
  readonly now: Date;
  /** False when the listing may have missed something: then nothing is removed. */
  readonly isListingComplete: boolean;
  /** The store's clock; more than ten minutes away from `now` stops. */
  readonly storeClock?: Date | null;
  /** Lifts the 25% stop, and only that. */
  readonly isForced?: boolean;
}

export type RetentionReason = "daily" | "weekly" | "monthly" | "oldest" | "floor";

export interface RetentionStop {
  readonly code: "empty" | "partial" | "clock" | "share";
  readonly message: string;
  readonly hint: string;
}

export interface RetentionPlan {
  readonly keep: readonly { readonly id: string; readonly reason: RetentionReason }[];
  /** Oldest first. Empty when there is a stop other than `share`. */
  readonly remove: readonly string[];
  /** Neither counted nor removed, with the reason. */
  readonly setAside: readonly {
    readonly id: string;
    readonly reason: "future" | "unverified" | "invalid" | "locked" | "held";
  }[];
  /** Anything here means: apply nothing. */
  readonly stops: readonly RetentionStop[];
}
