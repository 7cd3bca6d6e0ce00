import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import postgres from "postgres";
import { deleteTraffic, type Shape, SHAPES } from "./support/delete-traffic.ts";
import { type Database, kitDatabase, type Server, startPostgres } from "./support/postgres.ts";

const WEEK = 168;
const HISTORY = 4 * WEEK;
const HOURS = 7 * WEEK;
const TENANTS = 3;
const START = Date.UTC(2026, 5, 1);

describe("the learned rule of abnormal_deletes on traffic of seven shapes", () => {
  let server: Server;
  let db: Database;
  let sql: postgres.Sql;
  const bursts = new Map<Shape, number>();

  before(async () => {
    server = await startPostgres();
    db = await kitDatabase(server);
    sql = postgres(db.url, { max: 1, onnotice: () => {} });
    await sql`create table traffic (shape text, tenant text, hour timestamptz, deleted bigint, is_burst boolean)`;
    for (const [s, shape] of SHAPES.entries()) {
      for (let tenant = 0; tenant < TENANTS; tenant++) {
        const one = deleteTraffic(shape, { hours: HOURS, quiet: HISTORY, seed: 100 * s + tenant });
        bursts.set(shape, (bursts.get(shape) ?? 0) + one.bursts.size);
        const rows = one.counts.map((deleted, hour) => ({
          shape,
          tenant: String(tenant),
          hour: new Date(START + hour * 3_600_000).toISOString(),
          deleted,
          is_burst: one.bursts.has(hour),
        }));
        await sql`insert into traffic select * from jsonb_populate_recordset(null::traffic, ${
          sql.json(rows)
        })`;
      }
    }
    await sql`insert into bulkhead.delete_hours (table_name, tenant_id, hour, deleted)
      select shape, tenant, hour, deleted from traffic where deleted > 0`;
    await sql`analyze`;
  });
  after(async () => {
    await sql?.end({ timeout: 1 });
    await server?.stop();
  });

  /** What an hour is judged to be, when it is over and nothing later is known. */
  const judged = (shape: Shape) =>
    sql<{ is_burst: boolean; is_alarm: boolean }[]>`
      select t.is_burst, t.deleted > l.allowed as is_alarm
      from traffic as t
      cross join lateral bulkhead.delete_limit(t.shape, t.tenant, t.hour, t.deleted, ${new Date(
      START,
    )}) as l
      where t.shape = ${shape} and t.hour >= ${new Date(START + HISTORY * 3_600_000)}`;

  for (const shape of SHAPES) {
    test(`${shape}: most bursts are seen, and false alarms are rare`, async () => {
      const hours = await judged(shape);
      const injected = hours.filter((hour) => hour.is_burst);
      assert.equal(injected.length, bursts.get(shape));
      assert.ok(injected.length >= 12);
      const seen = injected.filter((hour) => hour.is_alarm).length;
      // A burst in the hour of a job, or at noon, has to stand above what is usual then.
      const atLeast = shape === "nightly" || shape === "daily" ? 0.75 : 0.9;
      assert.ok(seen >= atLeast * injected.length, `${seen} of ${injected.length} seen`);
      const falsely = hours.filter((hour) => hour.is_alarm && !hour.is_burst).length;
      const weeks = TENANTS * (HOURS - HISTORY) / WEEK;
      // Clean-ups that follow no clock are what no method can tell from a theft.
      assert.ok(
        falsely <= (shape === "bursty" ? 0.8 : 0.4) * weeks,
        `${falsely} false alarms in ${weeks} weeks`,
      );
    });
  }

  test("an hour that was an incident, and is excluded, is no measure for the next one", async () => {
    const hour = new Date(START + (HOURS - 1) * 3_600_000);
    const limit = async () =>
      Number(
        (await sql`select allowed from bulkhead.delete_limit('excluded', '1', ${hour}, 100000, ${new Date(
          START,
        )})`)[0]?.["allowed"],
      );
    await sql`insert into bulkhead.delete_hours (table_name, tenant_id, hour, deleted, is_excluded)
      select 'excluded', '1', ${hour}::timestamptz - d * interval '1 day', 5000, true from generate_series(1, 28) as d`;
    assert.ok(await limit() < 30);
    await sql`update bulkhead.delete_hours set is_excluded = false where table_name = 'excluded'`;
    assert.ok(await limit() > 7000);
  });
});
