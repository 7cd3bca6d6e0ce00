import type { Change } from "./compare.ts";
import type { Kind } from "./snapshot.ts";
import type { World } from "./world.ts";

/** How much a change matters to the boundary. */
export const LEVELS = ["safe", "review", "dangerous"] as const;
export type Level = typeof LEVELS[number];

/** What a rule says of a change. */
export type Verdict = { level: Level; why: string };

/** One rule: a pure function of a change and of both sides; null where it has nothing to say. */
export type Rule = {
  id: string;
  kinds: readonly Kind[];
  judge(change: Change, world: World): Verdict | null;
};

export const dangerous = (why: string): Verdict => ({ level: "dangerous", why });
export const review = (why: string): Verdict => ({ level: "review", why });
export const safe = (why: string): Verdict => ({ level: "safe", why });

/** A property before and after. */
export const turned = (change: Change, facet: string, to: unknown): boolean =>
  change.op === "changed" && change.facet === facet && (change.after?.[facet] ?? null) === to;
