/** One careless or hostile change of a green database, and the finding it must become. */
export type Mutation = {
  /** The class of regressions that it stands for. */
  class: string;
  /** A sentence: what was done. */
  name: string;
  /** The change, as `postgres` unless told otherwise. */
  sql: string;
  /** The rule that must name it; others may too. */
  finds: string;
  /** What only a superuser can do, and undo. */
  superuser?: boolean;
  /** Runs before the finding's own remedy, where data has to be put in place first. */
  first?: string;
  /** Only from this major version on. */
  from?: number;
  /** Only up to this major version. */
  to?: number;
};

/** A change that a team makes every week; nothing may turn red. */
export type Benign = { name: string; sql: string; superuser?: boolean };
