import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { connect } from "../../functions/_core/adapters/postgres.ts";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { databaseFrom } from "./environment.ts";

/** Where a drill restores to. `loadUrl` may skip keys and triggers; tests run as `url`. */
export type DrillTarget = {
  name: string;
  url: string;
  loadUrl: string;
  /** Made for this drill and thrown away after it. */
  isOwn: boolean;
  stop(): Promise<void>;
};

/**
 * A fresh Postgres of the drill's own with baseline, kit and the project's migrations; or, with `targetEnv`, the
 * empty and migrated database that the variable names.
 *
 * @example
 * const target = await openTarget({ projectMigrations: ["supabase/migrations/20260101_app.sql"] });
 */
export async function openTarget(
  options: { targetEnv?: string; projectMigrations: readonly string[] },
): Promise<DrillTarget> {
  if (options.targetEnv !== undefined) {
    const url = databaseFrom(options.targetEnv);
    return {
      name: options.targetEnv,
      url,
      loadUrl: url,
      isOwn: false,
      stop: () => Promise.resolve(),
    };
  }
  // Only a drill needs a server, so only a drill pays for loading one.
  const { applyMigrations, createBaseline, startPostgres } = await import(
    "../../tests/support/postgres.ts"
  );
  const server = await startPostgres();
  try {
    await createBaseline(server, "drill");
    await applyMigrations(server.url("drill"));
    await applyFiles(server.url("drill"), options.projectMigrations);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return {
    name: `Postgres ${server.major}, embedded`,
    url: server.url("drill"),
    loadUrl: server.urlAs("supabase_admin", "drill"),
    isOwn: true,
    stop: () => server.stop(),
  };
}

async function applyFiles(url: string, paths: readonly string[]): Promise<void> {
  const sql = connect(url, { max: 1, applicationName: "bulkhead drill" });
  try {
    for (const path of paths) {
      try {
        await sql.unsafe(readFileSync(path, "utf8"));
      } catch (error) {
        throw new BulkheadError(
          "BH_PROJECT_MIGRATION",
          `Cannot apply the project's migration "${basename(path)}": ${
            error instanceof Error ? error.message : String(error)
          }`,
          {
            kind: "usage",
            hint: "Give --project-migrations every file, in the order in which they were applied",
            cause: error,
          },
        );
      }
    }
  } finally {
    await sql.end({ timeout: 1 });
  }
}
