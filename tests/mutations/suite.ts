import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { benignChanges } from "./benign.ts";
import { codeMutations } from "./code.ts";
import { kitMutations } from "./kit.ts";
import type { Benign, Mutation } from "./mutation.ts";
import { platformMutations } from "./platform.ts";
import { rightMutations } from "./rights.ts";
import { tableMutations } from "./tables.ts";
import {
  type Database,
  kitDatabase,
  type Server,
  startPostgres,
  withSql,
} from "../support/postgres.ts";
import { runSql } from "../support/sql-files.ts";

/** The whole corpus. */
export const mutations = [
  ...tableMutations,
  ...rightMutations,
  ...codeMutations,
  ...kitMutations,
  ...platformMutations,
];
const world = fileURLToPath(new URL("world.pgsql", import.meta.url));
/** Statements that a finding's remedy may take until everything is as it was. */
const ROUNDS = 60;

type Finding = { name: string; subject: string; detail: string | null; remediation: string | null };

class Undo extends Error {}

/** Every mutation and every benign change on one major version, each undone. */
export function mutationSuite(
  major: 15 | 17,
  corpus: { mutations: Mutation[]; benign: Benign[] } = { mutations, benign: benignChanges },
): void {
  describe(`on Postgres ${major}`, () => {
    let server: Server;
    let db: Database;
    let sql: postgres.Sql;
    before(async () => {
      server = await startPostgres({ major });
      db = await kitDatabase(server);
      await withSql(db.superUrl, (admin) => admin.unsafe("create role app_direct login"));
      await withSql(db.url, (owner) => runSql(owner, readFileSync(world, "utf8"), world));
      await withSql(db.url, (owner) => owner`select bulkhead.seal()`);
      // The superuser opens the transaction, so that one connection can speak as both; it works as postgres.
      sql = postgres(db.superUrl, { max: 1, onnotice: () => {}, prepare: false });
    });
    after(async () => {
      await sql?.end();
      await server?.stop();
    });

    const findings = async (tx: postgres.Sql): Promise<Finding[]> => {
      await as(tx, "postgres");
      const rows = await tx<Finding[]>`
        select f.name, f.subject, f.detail, f.remediation
        from unnest(array['boundary', 'trail', 'guard', 'schedule']) as part (name)
        cross join lateral bulkhead.checks(part.name) as f
        -- Nothing runs the jobs here: a slow machine must not look like a stopped scheduler.
        where f.status <> 'pass' and f.name <> 'job_overdue'
      `;
      return [...rows];
    };
    const inUndone = async (work: (tx: postgres.Sql) => Promise<void>) => {
      await sql.begin(async (tx) => {
        await work(tx as unknown as postgres.Sql);
        throw new Undo();
      }).catch((error: unknown) => {
        if (!(error instanceof Undo)) throw error;
      });
    };

    it("the project is green before anything happens", () =>
      inUndone(async (tx) => assert.deepEqual(await findings(tx), [])));

    for (
      const mutation of corpus.mutations.filter(
        ({ from = 0, to = 99 }) => major >= from && major <= to,
      )
    ) {
      it(`${mutation.class}: ${mutation.name}`, () =>
        inUndone(async (tx) => {
          await as(tx, mutation.superuser ? "supabase_admin" : "postgres");
          await tx.unsafe(mutation.sql);
          const found = await findings(tx);
          assert.ok(
            found.some(({ name }) => name === mutation.finds),
            `${mutation.finds} is not among ${show(found)}`,
          );
          if (mutation.first) {
            await as(tx, mutation.superuser ? "supabase_admin" : "postgres");
            await tx.unsafe(mutation.first);
          }
          assert.deepEqual(
            await remedy(tx, mutation, mutation.first ? await findings(tx) : found),
            [],
          );
        }));
    }

    for (const { name, sql: change, superuser } of corpus.benign) {
      it(`stays green: ${name}`, () =>
        inUndone(async (tx) => {
          await as(tx, superuser ? "supabase_admin" : "postgres");
          await tx.unsafe(change);
          assert.deepEqual(await findings(tx), []);
        }));
    }

    /** Run what the first finding says, look again, until nothing is found or nothing helps. */
    async function remedy(
      tx: postgres.Sql,
      mutation: Mutation,
      found: Finding[],
    ): Promise<Finding[]> {
      const failed = new Map<string, string>();
      const roles = mutation.superuser ? ["postgres", "supabase_admin"] : ["postgres"];
      for (let round = 0; found.length > 0 && round < ROUNDS; round++) {
        const next = found.find((each) => !failed.has(keyOf(each)));
        assert.ok(next, `no remedy helps: ${show(found)} ${[...failed.values()].join("; ")}`);
        const before = found.map(keyOf).join();
        for (const role of roles) {
          const error = await attempt(tx, role, next.remediation ?? "");
          if (error) {
            failed.set(keyOf(next), `${next.remediation}: ${error}`);
            continue;
          }
          found = await findings(tx);
          if (found.map(keyOf).join() !== before) break;
          // A remedy that runs and helps nothing must not be run for ever.
          failed.set(keyOf(next), `${next.remediation}: it changed nothing`);
        }
        if (found.map(keyOf).join() !== before) failed.clear();
      }
      return found;
    }
  });
}

const keyOf = ({ name, subject }: Finding) => `${name} ${subject}`;
const show = (found: Finding[]) =>
  found.map(({ name, subject, detail }) => `${name} ${subject} (${detail})`).join(", ") ||
  "nothing";

async function attempt(tx: postgres.Sql, role: string, statement: string): Promise<string | null> {
  await as(tx, role);
  await tx.unsafe("savepoint remedy");
  try {
    await tx.unsafe(statement);
    await tx.unsafe("release savepoint remedy");
    return null;
  } catch (error) {
    await tx.unsafe("rollback to savepoint remedy");
    return error instanceof Error ? error.message : String(error);
  }
}

async function as(tx: postgres.Sql, role: string): Promise<void> {
  await tx.unsafe(`set local role ${role === "postgres" ? "postgres" : "none"}`);
}
