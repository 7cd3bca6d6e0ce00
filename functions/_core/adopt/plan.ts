import { BulkheadError } from "../errors.ts";
import { type Classification, isTenanted } from "./classify.ts";
import { wantedIndexes, wantedKeys, wantedUniques } from "./keys.ts";
import { prepareStep, quarantineStep } from "./quarantine.ts";
import { exposureSteps, protectSteps } from "./steps-boundary.ts";
import { type Abilities, columnSteps, fillSteps, isOpen, notNullSteps } from "./steps-columns.ts";
import { keySteps, perTenantSteps, plainIndexStep, uniqueSteps } from "./steps-keys.ts";
import type { Step } from "./steps.ts";

/**
 * The whole way from the catalogs as they are to a sealed boundary, as steps in a safe order. Everything that is
 * there already is left out: the plan of an adopted database is empty.
 *
 * @example
 * const steps = planAdoption(world, { commits: true });
 * @throws BulkheadError `BH_ADOPT_UNKNOWN` while a table is unclassified or cannot be protected.
 */
export function planAdoption(world: Classification, abilities: Abilities): Step[] {
  const blocked = world.tables.filter((each) => each.problem !== null);
  if (blocked.length > 0) {
    throw new BulkheadError(
      "BH_ADOPT_UNKNOWN",
      `Cannot plan the adoption: ${blocked.length} of ${world.tables.length} tables are open, first ${
        blocked.slice(0, 3).map((each) => `${each.table.id} (${each.problem})`).join(", ")
      }`,
      {
        kind: "unknown",
        hint:
          'say in bulkhead.toml what each table is: kind = "tenant" or kind = "global" with a reason; bulkhead adopt lists them all',
      },
    );
  }
  const keys = world.tables.flatMap((each) => wantedKeys(world, each));
  const uniques = wantedUniques(world, keys);
  const indexes = wantedIndexes(world, uniques);
  const tables = byDistance(world);
  const changesRows = tables.some(isOpen) ||
    keys.some((key) => key.carriesTenant || key.replaces === null || !key.replaces.validated);
  const steps: Step[] = [
    ...tables.flatMap((each) => columnSteps(world, each)),
    ...tables.flatMap((each) => fillSteps(world, each, abilities, 20)),
    ...uniques.flatMap((unique) => uniqueSteps(unique, abilities)),
    ...indexes.map((index) => plainIndexStep(index, abilities)),
    ...tables.flatMap(notNullSteps),
    ...keys.flatMap(keySteps),
    ...tables.flatMap((each) => fillSteps(world, each, abilities, 50)),
    ...(changesRows ? [quarantineStep(world, keys)] : []),
    ...perTenantSteps(world, abilities),
    ...exposureSteps(world),
    ...protectSteps(world),
  ];
  if (steps.length === 0) return [];
  // Stable: within a phase the order above stands.
  return [prepareStep(), ...steps.sort((a, b) => a.phase - b.phase)];
}

/** Parents before children, so that one pass of backfill reaches everybody; circles get the second pass. */
function byDistance(world: Classification) {
  const tables = world.tables.filter(isTenanted);
  const distance = new Map(tables.map((each) => [each, each.kind === "through" ? Infinity : 0]));
  for (let round = 1; round <= tables.length; round++) {
    for (const each of tables) {
      if (each.through.length === 0) continue;
      const above = each.through.filter((key) => key.parent !== each.table.id)
        .map((key) => distance.get(world.byId.get(key.parent ?? "") ?? each) ?? 0);
      // A table whose own column has holes asks its parents too, so it comes after them.
      const next = above.length === 0 ? distance.get(each) ?? 0 : Math.min(
        tables.length,
        1 + Math.max(...above.map((one) => Number.isFinite(one) ? one : -1)),
      );
      distance.set(each, Math.max(next, 0));
    }
  }
  return tables.sort((a, b) => (distance.get(a) ?? 0) - (distance.get(b) ?? 0));
}
