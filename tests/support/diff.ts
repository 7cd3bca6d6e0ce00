import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { readInside } from "../../functions/_core/adapters/boundary-source.ts";
import type { Snapshot } from "../../functions/_core/diff/snapshot.ts";

const WORLD = fileURLToPath(new URL("../mutations/world.pgsql", import.meta.url));

/** The small project of the mutations. */
export const mutationWorld = (): string => readFileSync(WORLD, "utf8");

class Undo extends Error {}

/** What a database would look like after a change, which is taken back. One connection of the superuser's. */
export async function boundaryAfter(
  sql: postgres.Sql,
  change: string,
  superuser = false,
): Promise<Snapshot> {
  let found: Snapshot | undefined;
  await sql.begin(async (tx) => {
    await tx.unsafe(`set local role ${superuser ? "none" : "postgres"}`);
    await tx.unsafe(change);
    await tx.unsafe("set local role none; set local jit = off; set local search_path = pg_catalog")
      .simple();
    found = await readInside(tx, "database");
    throw new Undo();
  }).catch((error: unknown) => {
    if (!(error instanceof Undo)) throw error;
  });
  assert.ok(found, "the change was read before it was undone");
  return found;
}

/** A connection for {@link boundaryAfter}. */
export function oneConnection(superUrl: string): postgres.Sql {
  return postgres(superUrl, { max: 1, onnotice: () => {}, prepare: false });
}
