/** One ratio of the table; `atMost` where it is held to a number. */
export type Row = { what: string; ratio: number; atMost?: number };

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
  const times: { a: number[]; b: number[] } = { a: [], b: [] };
  // One round to warm caches and plans, not counted.
  for (let round = 0; round <= rounds; round++) {
    const a = await seconds(baseline);
    const b = await seconds(candidate);
    if (round === 0) continue;
    times.a.push(a);
    times.b.push(b);
  }
  const [a, b] = [median(times.a), median(times.b)];
  return { baseline: a, candidate: b, ratio: b / a };
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}
