import process from "node:process";

/**
 * How many cases a long suite runs: `BULKHEAD_DEPTH=quick` (the default) or `full`.
 *
 * @example
 * const faults = depth({ quick: 300, full: 2_000 });
 */
export function depth(of: { quick: number; full: number }): number {
  return process.env["BULKHEAD_DEPTH"] === "full" ? of.full : of.quick;
}

/** Mulberry32: the same numbers for the same seed, on every machine. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
