import { seeded } from "./depth.ts";

/** The shapes that deletes of real tenants come in. */
export const SHAPES = [
  "steady",
  "daily",
  "bursty",
  "nightly",
  "weekly",
  "growth",
  "sparse",
] as const;

/** One of {@link SHAPES}. */
export type Shape = typeof SHAPES[number];

/** Deleted rows by hour, and what was injected on top: a burst each, by its hour. */
export type Traffic = { counts: number[]; bursts: Map<number, number>; rows: number };

/**
 * Deletes of one tenant, hour by hour from a Monday's midnight: the same for the same seed. From `quiet` hours on there
 * is a burst in every half week, at any hour, of twice to twenty times a busy hour of this tenant and 100 rows at least.
 *
 * @example
 * const { counts, bursts } = deleteTraffic("nightly", { hours: 8 * 168, quiet: 4 * 168, seed: 7 });
 */
export function deleteTraffic(
  shape: Shape,
  options: { hours: number; quiet: number; seed: number },
): Traffic {
  const random = seeded(options.seed);
  const draw = draws(random);
  const scale = 5 * 40 ** random();
  const job = {
    hour: Math.floor(24 * random()),
    day: Math.floor(7 * random()),
    rows: 500 * 10 ** random(),
  };
  const ordinary: number[] = [];
  const counts: number[] = [];
  for (let hour = 0; hour < options.hours; hour++) {
    // No hour of a real system is as even as dice: a quarter up or down on top.
    const base = draw.poisson(level(shape, hour, scale, draw) * Math.exp(0.25 * draw.normal()));
    ordinary.push(base);
    counts.push(base);
  }
  for (let day = 0; day < options.hours / 24; day++) {
    if (!(shape === "nightly" || (shape === "weekly" && day % 7 === job.day))) continue;
    // Mostly on time, at times after the full hour.
    const hour = day * 24 + job.hour + (random() < 0.2 ? 1 : 0);
    if (hour >= options.hours) continue;
    const size = job.rows * (shape === "weekly" ? 4 : 1) * Math.exp(0.1 * draw.normal());
    counts[hour] = (counts[hour] ?? 0) + Math.round(size);
  }
  const busy = ordinary.toSorted((a, b) => a - b)[Math.floor(options.hours * 0.99)] ?? 0;
  const bursts = new Map<number, number>();
  for (let from = options.quiet; from + 108 <= options.hours; from += 84) {
    // A day and more between two of them, so that an alarm is that burst's.
    const hour = from + Math.floor(84 * random());
    if ([...bursts.keys()].some((other) => hour - other < 30)) continue;
    const burst = Math.round(Math.max(100, busy * 2 * 10 ** random()));
    bursts.set(hour, burst);
  }
  const daily = counts.reduce((sum, count) => sum + count, 0) / (options.hours / 24);
  for (const [hour, burst] of bursts) counts[hour] = (counts[hour] ?? 0) + burst;
  return { counts, bursts, rows: Math.round(1000 + daily * (shape === "nightly" ? 5 : 15)) };
}

type Draw = { poisson(mean: number): number; normal(): number; random(): number };

function level(shape: Shape, hour: number, scale: number, { random }: Draw): number {
  const day = Math.floor(hour / 24) % 7;
  const office = (1 + Math.sin((hour % 24 - 8) / 24 * 2 * Math.PI)) * (day >= 5 ? 0.4 : 1);
  switch (shape) {
    case "steady":
      return scale;
    case "daily":
      return scale * office;
    case "bursty":
      // One hour in thirty somebody tidies up, and nobody knows when.
      return random() < 1 / 30 ? scale * (5 + 5 / Math.max(0.1, random())) : scale / 2;
    case "growth":
      return scale * office * 2 ** (hour / 336);
    case "sparse":
      return random() < 0.97 ? 0 : random() < 0.2 ? 30 : 6;
    case "nightly":
    case "weekly":
      return 4;
  }
}

function draws(random: () => number): Draw {
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const poisson = (mean: number) => {
    if (mean > 50) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal()));
    const limit = Math.exp(-mean);
    let product = random();
    let count = 0;
    for (; product > limit; count++) product *= random();
    return count;
  };
  return { random, normal, poisson };
}
