// needs: postgres-15
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import postgres from "postgres";
import { depth, seeded } from "./support/depth.ts";
import { kitDatabase, type Server, startPostgres } from "./support/postgres.ts";
import {
  RANDOM_WORLD,
  randomTransaction,
  type State,
  stateOf,
  TENANTS,
} from "./support/random-history.ts";

const [ACME, BIRCH] = TENANTS;
const HISTORIES = depth({ quick: 2, full: 8 });

type Step = { key: string; state: string; action: string; reason: string | null; digest: string };
type Window = { tenant: string; since: string; until: string | null };

async function plan(sql: postgres.ReservedSql, window: Window, conflicts: string): Promise<Step[]> {
  const { tenant, since, until } = window;
  return await sql<Step[]>`
    select table_name || ' ' || record_id as key, state, action, reason, digest
    from bulkhead.undo_plan(tenant => ${tenant}, since => ${since}::text::timestamptz, until => ${until}::text::timestamptz, conflicts => ${conflicts})`;
}

async function apply(sql: postgres.ReservedSql, window: Window, conflicts: string, digest: string) {
  const { tenant, since, until } = window;
  await sql`
    select from bulkhead.apply_undo(${digest}, tenant => ${tenant}, since => ${since}::text::timestamptz, until => ${until}::text::timestamptz, conflicts => ${conflicts})`;
}

async function clock(sql: postgres.ReservedSql): Promise<string> {
  const [row] = await sql`select clock_timestamp()::text as at, pg_sleep(0.001)`;
  return row?.["at"];
}

const changedKeys = (a: State, b: State): string[] =>
  [...new Set([...a.keys(), ...b.keys()])].filter((key) => a.get(key) !== b.get(key));

for (const major of [17, 15] as const) {
  describe(`random histories on Postgres ${major}`, () => {
    let server: Server;
    before(async () => {
      server = await startPostgres({ major });
    });
    after(() => server?.stop());

    for (let seed = 1; seed <= HISTORIES; seed++) {
      it(`an undo gives back what was, or names the rows that later writes own (seed ${seed})`, async () => {
        await using db = await kitDatabase(server);
        const pool = postgres(db.url, { max: 5, onnotice: () => {} });
        const sql = await pool.reserve();
        await sql.unsafe(RANDOM_WORLD);
        const random = seeded(seed * 1000 + major);

        // One after the other: the state between any two transactions is known.
        const moments: { at: string; states: Map<string, State> }[] = [];
        const remember = async () => {
          const states = new Map<string, State>();
          for (const tenant of TENANTS) states.set(tenant, await stateOf(sql, tenant));
          moments.push({ at: await clock(sql), states });
        };
        await remember();
        for (let i = 0; i < 30; i++) {
          await randomTransaction(sql, random, random() < 0.7 ? ACME : BIRCH);
          if (i % 3 === 2) await remember();
        }
        const known = (index: number, tenant: string = ACME) => {
          const state = moments[index]?.states.get(tenant);
          assert.ok(state);
          return state;
        };

        // as_of() at every moment is what was there
        for (const [index, { at }] of moments.entries()) {
          const then = await stateOf(
            sql,
            ACME,
            (table) => `bulkhead.as_of(null::public.${table}, '${ACME}', '${at}')`,
          );
          assert.deepEqual(then, known(index), `as_of(${at})`);
        }

        // a window that nothing follows: everything comes back, and the undo can be undone
        const last = moments.length - 1;
        const from = Math.floor(random() * last);
        const open: Window = { tenant: ACME, since: moments[from]?.at ?? "", until: null };
        const steps = await plan(sql, open, "refuse");
        assert.deepEqual(steps.filter((step) => step.state !== "ready"), []);
        assert.deepEqual(
          steps.map((step) => step.key).sort(),
          changedKeys(known(from), known(last)).sort(),
        );
        const present = known(last);
        const birch = known(last, BIRCH);
        const beforeUndo = await clock(sql);
        if (steps[0]) {
          await apply(sql, open, "refuse", steps[0].digest);
          assert.deepEqual(await stateOf(sql, ACME), known(from));
          assert.deepEqual(
            await plan(sql, { ...open, since: beforeUndo }, "refuse").then((s) =>
              s.map((x) => x.state)
            ),
            steps.map(() => "ready"),
          );
          const again: Window = { tenant: ACME, since: beforeUndo, until: null };
          const [step] = await plan(sql, again, "refuse");
          await apply(sql, again, "refuse", step?.digest ?? "");
          assert.deepEqual(await stateOf(sql, ACME), present, "an undo of the undo");
          assert.deepEqual(await stateOf(sql, BIRCH), birch, "the other tenant is untouched");
        }

        // a window that later writes follow: each row is as before the window, or named
        const until = from + 1 + Math.floor(random() * (last - from));
        const closed: Window = {
          tenant: ACME,
          since: moments[from]?.at ?? "",
          until: moments[until]?.at ?? "",
        };
        const touched = changedKeys(known(from), known(until));
        const skipping = await plan(sql, closed, "skip");
        if (skipping[0]) await apply(sql, closed, "skip", skipping[0].digest);
        const result = await stateOf(sql, ACME);
        const named = new Map(skipping.map((step) => [step.key, step]));
        for (const key of new Set([...result.keys(), ...present.keys(), ...known(from).keys()])) {
          const step = named.get(key);
          if (step?.state === "ready") {
            assert.equal(
              result.get(key),
              known(from).get(key),
              `${key} is as it was before the window`,
            );
          } else {
            assert.equal(result.get(key), present.get(key), `${key} is untouched`);
            if (step) assert.ok(step.reason, `${key} is named with a reason`);
            else if (touched.includes(key)) {
              assert.equal(present.get(key), known(from).get(key), `${key} was back already`);
            }
          }
        }
        assert.deepEqual(await stateOf(sql, BIRCH), birch, "the other tenant is untouched");

        // several writers at once, then all of it undone
        const quiet = await clock(sql);
        const calm = await stateOf(sql, ACME);
        await Promise.all([1, 2, 3, 4].map(async (writer) => {
          const own = await pool.reserve();
          const dice = seeded(seed * 77 + writer);
          for (let i = 0; i < 8; i++) {
            await randomTransaction(own, dice, dice() < 0.7 ? ACME : BIRCH).catch(() =>
              own.unsafe("rollback")
            );
          }
          own.release();
        }));
        const others = await stateOf(sql, BIRCH);
        assert.deepEqual(
          await stateOf(
            sql,
            ACME,
            (table) => `bulkhead.as_of(null::public.${table}, '${ACME}', '${quiet}')`,
          ),
          calm,
          "as_of() before the writers",
        );
        const all: Window = { tenant: ACME, since: quiet, until: null };
        const storm = await plan(sql, all, "refuse");
        assert.deepEqual(storm.filter((step) => step.state !== "ready"), []);
        if (storm[0]) await apply(sql, all, "refuse", storm[0].digest);
        assert.deepEqual(
          await stateOf(sql, ACME),
          calm,
          "what several writers did at once is undone",
        );
        assert.deepEqual(
          await stateOf(sql, BIRCH),
          others,
          "the other tenant's writes of the same time stay",
        );
        sql.release();
        await pool.end();
      });
    }
  });
}
