import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import * as z from "zod";
import { connect, type Sql } from "../../functions/_core/adapters/postgres.ts";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { databaseFrom } from "./environment.ts";

/** Said of the role `postgres` of a server whose roles a drill made, so that the next drill may use them. */
const MARK = "Made by a Bulkhead drill";

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
 * database that the variable names: empty and migrated, or just created (as in a service container), which its
 * superuser may fill.
 *
 * @example
 * const target = await openTarget({ projectMigrations: ["supabase/migrations/20260101_app.sql"] });
 * @throws BulkheadError `BH_DRILL_TARGET`, `BH_PROJECT_MIGRATION`.
 */
export async function openTarget(
  options: { targetEnv?: string; projectMigrations: readonly string[] },
): Promise<DrillTarget> {
  const { targetEnv, projectMigrations } = options;
  if (targetEnv !== undefined) return await namedTarget(targetEnv, projectMigrations);
  // Only a drill needs a server, so only a drill pays for loading one.
  const { startPostgres } = await import("../local/postgres-server.ts");
  const { createBaseline } = await import("../local/databases.ts");
  const server = await startPostgres();
  try {
    await createBaseline(server, "drill");
    await migrate(server.url("drill"), projectMigrations);
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

async function namedTarget(name: string, projectMigrations: readonly string[]) {
  const url = databaseFrom(name);
  const state = await look(url);
  const stop = () => Promise.resolve();
  if (state.has_kit) return { name, url, loadUrl: url, isOwn: false, stop };
  const refuse = (why: string, hint: string) =>
    new BulkheadError("BH_DRILL_TARGET", `Cannot drill into "${name}": ${why}`, {
      kind: "usage",
      hint,
    });
  if (state.tables > 0) {
    throw refuse(
      "it holds tables and no Bulkhead",
      "Name a database that was just created, or one with all of the project's migrations",
    );
  }
  if (!state.is_superuser || state.me === "postgres") {
    throw refuse(
      `it is empty, and "${state.me}" can't make a Supabase project's roles in it`,
      "Connect as a superuser of another name (POSTGRES_USER: supabase_admin), or apply the migrations first",
    );
  }
  // Roles are the whole server's: to fill this database would give those of another one new passwords.
  if (state.has_others_roles) {
    throw refuse(
      "its server has a Supabase project's roles already, and their passwords would change",
      "Name a database of a server made for drills, or one that has all of the project's migrations",
    );
  }
  const { baselineInside } = await import("../local/databases.ts");
  const password = randomBytes(18).toString("base64url");
  await within(url, (sql) =>
    sql.unsafe(`do $$ begin
      if to_regrole('postgres') is null then
        create role postgres;
        comment on role postgres is '${MARK}';
      end if;
      execute format('alter database %I owner to postgres', current_database());
      execute format('alter database %I set search_path = "$user", public, extensions', current_database());
    end $$`));
  await baselineInside(url, password);
  const asOwner = new URL(url);
  asOwner.username = "postgres";
  asOwner.password = password;
  await migrate(asOwner.href, projectMigrations);
  return { name, url: asOwner.href, loadUrl: url, isOwn: true, stop };
}

async function look(url: string) {
  return await within(url, async (sql) => {
    const [row] = await sql`
      select to_regnamespace('bulkhead') is not null as has_kit, current_user as me,
        (select r.rolsuper from pg_catalog.pg_roles as r where r.rolname = current_user) as is_superuser,
        exists (
          select from pg_catalog.pg_roles as r
          where r.rolname in ('postgres', 'authenticator', 'supabase_auth_admin', 'supabase_storage_admin')
            and coalesce(shobj_description(to_regrole('postgres')::oid, 'pg_authid'), '') <> ${MARK}
        ) as has_others_roles,
        (select count(*)::int from pg_catalog.pg_tables as t
          where t.schemaname not in ('pg_catalog', 'information_schema')) as tables`;
    return z.object({
      has_kit: z.boolean(),
      me: z.string(),
      is_superuser: z.boolean(),
      has_others_roles: z.boolean(),
      tables: z.number(),
    }).parse(row);
  });
}

async function migrate(url: string, projectMigrations: readonly string[]): Promise<void> {
  const { applyMigrations } = await import("../local/databases.ts");
  await applyMigrations(url);
  await applyFiles(url, projectMigrations);
}

async function within<T>(url: string, work: (sql: Sql) => PromiseLike<T>): Promise<T> {
  const sql = connect(url, { max: 1, applicationName: "bulkhead drill" });
  try {
    return await work(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function applyFiles(url: string, paths: readonly string[]): Promise<void> {
  await within(url, async (sql) => {
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
  });
}
