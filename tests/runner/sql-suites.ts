import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import {
  applyMigrations,
  createBaseline,
  kitDatabase,
  type Server,
  startPostgres,
  withSql,
} from "../support/postgres.ts";
import { ROOT } from "../support/sql-files.ts";
import { splitStatements } from "../../scripts/local/sql-statements.ts";
import { runProgram } from "./child.ts";
import type { Result, Suite } from "./suite.ts";
import { parseTap } from "../../scripts/local/tap.ts";

/** The SQL tests in the order in which `supabase test db` runs them. */
function sqlTests(): string[] {
  return readdirSync(join(ROOT, "tests")).filter((file) => file.endsWith(".test.sql")).sort();
}

/** pgTAP on the embedded 17, run through Node as the restore drill runs it; needs nothing installed. */
const pgtap17: Suite = {
  name: "pgtap-17",
  needs: [],
  async run(report) {
    await using server = await startPostgres();
    await using db = await kitDatabase(server);
    for (const file of sqlTests()) {
      for (const result of await runTapFile(db.url, file)) report(result);
    }
  },
};

async function runTapFile(url: string, file: string): Promise<Result[]> {
  const text = readFileSync(join(ROOT, "tests", file), "utf8");
  return await withSql(url, async (sql) => {
    const lines: string[] = [];
    for (const statement of splitStatements(text)) {
      try {
        const rows = await sql.unsafe(statement.text).simple();
        for (const row of rows) lines.push(...Object.values(row).map(String));
      } catch (error) {
        if (!(error instanceof postgres.PostgresError)) throw error;
        const at = statement.offset + Number(error.position ?? 0);
        const line = text.slice(0, at).split("\n").length;
        const why = [`${error.code} ${error.message} (line ${line})`, error.detail, error.where];
        const message = why.filter(Boolean).join("\n");
        return [...parseTap(lines, file, { cut: true }), {
          name: `${file} runs to its end`,
          status: "failed",
          message,
        }];
      }
    }
    return parseTap(lines, file);
  });
}

/**
 * The kit beside the real pg_cron, in the database that pg_cron looks at. Jobs are scheduled for real and never started:
 * the SQL tests write and roll back, and nothing may write in between.
 */
async function cronServer(): Promise<{ server: Server; db: string }> {
  const server = await startPostgres({
    major: 15,
    preload: ["pg_cron"],
    settings: {
      "cron.database_name": "project",
      "cron.max_running_jobs": "0",
      "cron.use_background_workers": "on",
    },
  });
  try {
    await createBaseline(server, "project");
    await applyMigrations(server.url("project"));
    return { server, db: "project" };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** The same files on Debian's 15 with the real pg_cron, through pg_prove. */
const pgtap15: Suite = {
  name: "pgtap-15",
  needs: ["postgres-15", "pg_cron", "pgtap-15", "pg_prove"],
  async run(report) {
    const { server, db } = await cronServer();
    await using _stop = server;
    const env = {
      PATH: process.env["PATH"] ?? "/usr/bin:/bin",
      PGHOST: "127.0.0.1",
      PGPORT: String(server.port),
      PGUSER: "postgres",
      PGPASSWORD: server.password,
      PGDATABASE: db,
    };
    for (const file of sqlTests()) {
      // psql stops at the first error as the other runners do
      const { code, output } = await runProgram(
        "pg_prove",
        ["--verbose", "--set", "ON_ERROR_STOP=1", join("tests", file)],
        { env },
      );
      const results = parseTap(output.split("\n"), file);
      const last = results.at(-1);
      const errors = output.split("\n").filter((line) => /^psql:.*(ERROR|FATAL)/.test(line));
      if (last?.status === "failed" && errors.length > 0) {
        last.message = [last.message, ...errors].filter(Boolean).join("\n");
      }
      for (const result of results) report(result);
      if (code !== 0 && !results.some((result) => result.status === "failed")) {
        const message = output.trim().split("\n").slice(-15).join("\n");
        report({ name: `pg_prove ${file} succeeds`, status: "failed", message });
      }
    }
  },
};

/** One tenant with one change. */
const UNDOABLE = `
  create table public.tenants (id bigint primary key);
  create table public.notes (id bigint primary key, tenant_id bigint not null);
  insert into public.tenants values (1);
  select bulkhead.configure('public.tenants'), bulkhead.protect('public.notes');
  insert into public.notes values (1, 1);
`;

/** Every PL/pgSQL function, once a table for trigger functions, checked as the compiler would. */
const plpgsqlCheck: Suite = {
  name: "plpgsql-check",
  needs: ["postgres-15", "plpgsql_check"],
  async run(report) {
    await using server = await startPostgres({ major: 15 });
    await using db = await kitDatabase(server);
    const functions = await withSql(db.superUrl, async (sql) => {
      await sql`create extension plpgsql_check schema extensions`;
      await sql.unsafe(UNDOABLE);
      return await sql.begin(async (tx) => {
        // The functions of undo hand temporary tables to each other: a plan makes them.
        await tx`select bulkhead.undo_plan((select max(e.xid) from bulkhead.audit_events as e where e.tenant_id = '1'))`;
        return await tx<{ name: string; problems: string | null }[]>`
        select
          p.oid::regprocedure::text as name,
          (
            select string_agg(format('line %s: %s', c.lineno, c.message), E'\n' order by c.lineno)
            from extensions.plpgsql_check_function_tb(p.oid, coalesce(t.tgrelid, 0), fatal_errors => false) as c
            where c.level = 'error'
          ) as problems
        from pg_catalog.pg_proc as p
        join pg_catalog.pg_language as l on l.oid = p.prolang and l.lanname = 'plpgsql'
        left join pg_catalog.pg_trigger as t on t.tgfoid = p.oid and p.prorettype = 'trigger'::regtype
        where p.pronamespace in ('bulkhead'::regnamespace, 'bulkhead_api'::regnamespace)
          and (p.prorettype <> 'trigger'::regtype or t.oid is not null)
          and not exists (select from bulkhead.protected_tables as own where own.audit_function = p.proname)
        order by 1
      `;
      });
    });
    for (const { name, problems } of functions) {
      if (problems === null) report({ name, status: "passed" });
      else report({ name, status: "failed", message: problems });
    }
    if (functions.length === 0) throw new Error("Cannot check the functions: there are none");
  },
};

export const sqlSuites: Suite[] = [pgtap17, pgtap15, plpgsqlCheck];
