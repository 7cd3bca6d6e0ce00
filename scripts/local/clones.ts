import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { withSql } from "./databases.ts";
import type { Server } from "./postgres-server.ts";

/** A database of its own for a test file. `url` is as `postgres`, `superUrl` as the superuser. */
export type Database = AsyncDisposable & {
  name: string;
  url: string;
  superUrl: string;
  /** As another role of the baseline that may log in, e.g. `authenticator`. */
  urlAs(role: string): string;
  drop(): Promise<void>;
};

/**
 * A copy of any database of the server, e.g. to try something destructive. Nobody may be connected to the original.
 *
 * @example
 * await using copied = await cloneOf(server, db.name);
 */
export async function cloneOf(server: Server, original: string): Promise<Database> {
  const name = `test_${randomBytes(6).toString("hex")}`;
  await copy(server, original, name);
  const drop = () =>
    withSql(server.superUrl, async (sql) => {
      await sql.unsafe(`drop database if exists ${quote(name)} with (force)`);
    });
  const urlAs = (role: string) => server.urlAs(role, name);
  return {
    name,
    url: server.url(name),
    superUrl: urlAs("supabase_admin"),
    urlAs,
    drop,
    [Symbol.asyncDispose]: drop,
  };
}

/** Copy `original`, to which nobody may be connected, to the new database `name`. */
export async function copy(server: Server, original: string, name: string): Promise<void> {
  await withSql(server.superUrl, async (sql) => {
    for (let attempt = 1;; attempt++) {
      try {
        await sql.unsafe(
          `create database ${quote(name)} template ${
            quote(original)
          } owner postgres strategy file_copy`,
        );
        return;
      } catch (error) {
        // 55006: the last connection to the original has not quite gone yet
        if (
          !(error instanceof postgres.PostgresError) || error.code !== "55006" || attempt === 50
        ) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  });
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
