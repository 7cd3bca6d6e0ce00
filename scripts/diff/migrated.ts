import postgres from "postgres";
import { readBoundary } from "../../functions/_core/adapters/boundary-source.ts";
import {
  type ScriptStatement,
  scriptStatements,
} from "../../functions/_core/adapters/migration-statements.ts";
import { connect, type Sql } from "../../functions/_core/adapters/postgres.ts";
import type { PlacedStatement } from "../../functions/_core/diff/locate.ts";
import type { Snapshot } from "../../functions/_core/diff/snapshot.ts";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { lineAt } from "../../functions/_core/lines.ts";
import { onInterrupt } from "../cli/run.ts";
import { type MigrationFile, migrationFiles } from "./migrations.ts";

/** What a folder of migrations makes of a new Supabase database. */
export type Migrated = {
  snapshot: Snapshot;
  statements: PlacedStatement[];
  /** What an embedded Postgres could not do, and was left out. */
  skipped: string[];
};

/** What a Supabase project starts with beyond the roles and schemas of the drill's baseline. */
const STARTS_WITH = `
create schema if not exists realtime;
create table if not exists realtime.messages (
    id uuid not null default gen_random_uuid(), topic text not null, extension text not null, payload jsonb, event text,
    private boolean default false, inserted_at timestamp not null default now(), primary key (id, inserted_at));
alter table realtime.messages enable row level security;
grant usage on schema realtime to postgres, anon, authenticated, service_role;
grant select, insert, update on realtime.messages to postgres, anon, authenticated, service_role;
grant all on realtime.messages to postgres with grant option;
create or replace function realtime.topic() returns text language sql stable as $$ select nullif(current_setting('realtime.topic', true), '') $$;
create schema if not exists graphql_public;
do $$ begin
    if not exists (select from pg_publication where pubname = 'supabase_realtime') then
        create publication supabase_realtime;
        alter publication supabase_realtime owner to postgres;
    end if;
    alter table realtime.messages owner to supabase_storage_admin;
end $$;`;

/**
 * Apply a folder to an embedded Postgres that looks like a new Supabase project, and read what came of it.
 *
 * @example
 * const { snapshot } = await migrate("supabase/migrations");
 * @throws BulkheadError `BH_DIFF_MIGRATION` names the file, the line and the statement that failed.
 */
export async function migrate(folder: string): Promise<Migrated> {
  const files = migrationFiles(folder);
  // Only a folder needs a server, so only a folder pays for loading one.
  const { createBaseline } = await import("../local/databases.ts");
  const { startPostgres } = await import("../local/postgres-server.ts");
  const server = await startPostgres();
  const stopped = onInterrupt(() => server.stop());
  try {
    await createBaseline(server, "postgres");
    await within(server.superUrl, (sql) => sql.unsafe(STARTS_WITH).simple());
    return await within(server.url("postgres"), async (sql) => {
      const statements: PlacedStatement[] = [];
      const skipped: string[] = [];
      const available = new Set(
        (await sql<{ name: string }[]>`select name from pg_available_extensions`)
          .map((one) => one.name),
      );
      for (const file of files) {
        const parsed = await scriptStatements(file.text);
        for (const one of parsed ?? []) {
          statements.push({ file: file.path, line: one.line, text: one.text });
        }
        skipped.push(...await apply(sql, file, parsed, available));
        await sql.unsafe("discard all");
      }
      return { snapshot: await readBoundary(sql, "migrations"), statements, skipped };
    });
  } finally {
    stopped();
    await server.stop();
  }
}

async function within<T>(url: string, work: (sql: Sql) => Promise<T>): Promise<T> {
  const sql = connect(url, { max: 1, applicationName: "bulkhead diff" });
  try {
    return await work(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** A file is one transaction; where a statement refuses that, each is its own, as the Supabase CLI does it. */
async function apply(
  sql: Sql,
  file: MigrationFile,
  parsed: ScriptStatement[] | null,
  available: ReadonlySet<string>,
): Promise<string[]> {
  const skipped: string[] = [];
  if (parsed === null) {
    await run(sql, file, { text: file.text, line: 1 });
    return skipped;
  }
  const kept = parsed.filter((one) => {
    const why = impossible(one, available);
    if (why !== null) skipped.push(`${file.path}:${one.line}: ${why}`);
    return why === null;
  });
  if (kept.some((one) => one.type === "TransactionStmt")) {
    for (const one of kept) await run(sql, file, one);
    return skipped;
  }
  try {
    await sql.unsafe(kept.map((one) => `${one.text};`).join("\n")).simple();
  } catch {
    // Nothing of it stayed. Each by itself either works (create index concurrently) or says which one does not.
    for (const one of kept) await run(sql, file, one);
  }
  return skipped;
}

/** What only Supabase's own server can do; none of it decides who sees a row. */
function impossible(statement: ScriptStatement, available: ReadonlySet<string>): string | null {
  const { type, tree } = statement;
  if (type === "CreateExtensionStmt" && !available.has(String(tree["extname"]))) {
    return `the embedded Postgres has no extension ${String(tree["extname"])}: left out`;
  }
  const comment = /^comment\s+on\s+extension\s+"?([\w-]+)/i.exec(statement.text)?.[1];
  if (comment !== undefined && !available.has(comment)) return "a comment on it: left out";
  if (type === "CreateEventTrigStmt") return "event triggers need Supabase's server: left out";
  if (/^(comment\s+on|alter|drop)\s+event\s+trigger\b/i.test(statement.text)) {
    return "event triggers need Supabase's server: left out";
  }
  return null;
}

async function run(
  sql: Sql,
  file: MigrationFile,
  statement: { text: string; line: number },
): Promise<void> {
  try {
    await sql.unsafe(statement.text).simple();
  } catch (error) {
    if (!(error instanceof postgres.PostgresError)) throw error;
    const at = Number(error.position ?? 0);
    const line = statement.line + lineAt(statement.text, at) - 1;
    const [first = ""] = statement.text.replace(/\s+/g, " ").match(/.{1,100}/) ?? [];
    throw new BulkheadError(
      "BH_DIFF_MIGRATION",
      `Cannot apply "${file.path}", line ${line}: ${error.message} (${error.code}), in: ${first}`,
      {
        kind: "usage",
        hint: error.hint ??
          "correct the migration; one that needs more than a new Supabase database has can be compared as a database: env:NAME",
        cause: error,
      },
    );
  }
}
