import type { Result } from "../../scripts/local/tap.ts";

export type { Result };

/** Something that `npm test` runs as one: a test file, a directory of SQL tests, a checker. */
export type Suite = {
  name: string;
  /** Names from components.ts. */
  needs: readonly string[];
  /** Run it; every test is reported as it ends. Throwing counts as one failed test. */
  run(report: (result: Result) => void): Promise<void>;
};

export type Depth = "quick" | "full";
