/** One ratio of the table; `atMost` where it is held to a number, `peer` where the usual way was measured too. */
export type Row = { what: string; ratio: number; peer?: number; atMost?: number };

/** Median seconds of a baseline and of a candidate, run in turn so that the machine's mood meets both alike. */
export type Pair = { baseline: number; candidate: number; ratio: number };

/**
 * Run two pieces of work in turn, A B A B …, and compare their medians.
 *
 * @example
 * const { ratio } = await inTurn(5, () => plainInsert(), () => auditedInsert());
 */
export async function inTurn(
  rounds: number,
  baseline: () => Promise<unknown>,
  candidate: () => Promise<unknown>,
): Promise<Pair> {
  const [a, b] = await medians(rounds, baseline, candidate) as [number, number];
  return { baseline: a, candidate: b, ratio: b / a };
}

/**
 * Median seconds of several pieces of work, run in turn.
 *
 * @example
 * const [none, audited, peer] = await medians(7, plainInsert, auditedInsert, peerInsert);
 */
export async function medians(
  rounds: number,
  ...works: (() => Promise<unknown>)[]
): Promise<number[]> {
  const times: number[][] = works.map(() => []);
  // One round to warm caches and plans, not counted.
  for (let round = 0; round <= rounds; round++) {
    for (const [i, work] of works.entries()) {
      const took = await seconds(work);
      if (round > 0) times[i]?.push(took);
    }
  }
  return times.map(median);
}

/** How long a piece of work takes. */
export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}

/** The middle one. */
export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}
