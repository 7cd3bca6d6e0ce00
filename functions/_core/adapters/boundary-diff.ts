import { classify, type ClassifyOptions, type Diff } from "../diff/classify.ts";
import type { Snapshot } from "../diff/snapshot.ts";
import { tree } from "./policy-parser.ts";

/**
 * Compare and judge two snapshots; policies are read by Postgres' own parser.
 *
 * @example
 * const { counts } = await diffSnapshots(before, after);
 */
export async function diffSnapshots(
  before: Snapshot,
  after: Snapshot,
  options: Omit<ClassifyOptions, "tree"> = {},
): Promise<Diff> {
  const trees = new Map<string, unknown>();
  for (const { objects } of [before, after]) {
    for (const one of objects) {
      if (one.kind !== "policy") continue;
      for (const side of [one["using"], one["check"]]) {
        if (typeof side !== "string" || trees.has(side)) continue;
        trees.set(side, await tree(side));
      }
    }
  }
  return classify(before, after, {
    ...options,
    tree: (expression) => trees.get(expression) ?? null,
  });
}
