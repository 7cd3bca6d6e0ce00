import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { drizzle as drizzleOverPg } from "drizzle-orm/node-postgres";
import { drizzle } from "drizzle-orm/postgres-js";
import { sql as raw } from "drizzle-orm";
import pg from "pg";
import postgres from "postgres";
import { withTenant as withDrizzle } from "../functions/_core/adapters/tenant-drizzle.ts";
import { withTenant as withPg } from "../functions/_core/adapters/tenant-pg.ts";
import { withTenant as withPostgres } from "../functions/_core/adapters/tenant-postgres.ts";
import type { TenantContext } from "../functions/_core/service/tenant-transaction.ts";
import {
  type Database,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { loose } from "./support/recorded-client.ts";

type Rows = Record<string, unknown>[];
type Query = (text: string, values?: unknown[]) => Promise<Rows>;
/** One driver as the tests use it: a pool of one connection, so that whatever is left behind is met by the next. */
type Driver = {
  bare: Query;
  run<T>(context: TenantContext, work: (query: Query, tx: unknown) => Promise<T>): Promise<T>;
  /** A transaction inside one. */
  nest<T>(tx: unknown, context: TenantContext, work: (query: Query) => Promise<T>): Promise<T>;
  end(): Promise<void>;
};

const DRIVERS: Record<string, (url: string) => Driver> = {
  "postgres.js"(url) {
    const sql = postgres(url, { max: 1, onnotice: () => {} });
    const of = (tx: postgres.Sql | postgres.TransactionSql): Query => async (text, values = []) => [
      ...await tx.unsafe(text, loose(values)),
    ];
    return {
      bare: of(sql),
      run: (context, work) => withPostgres(sql, context, (tx) => work(of(tx), tx)),
      nest: (tx, context, work) => withPostgres(loose(tx), context, (tx) => work(of(loose(tx)))),
      end: () => sql.end({ timeout: 5 }),
    };
  },
  "node-postgres"(url) {
    const pool = new pg.Pool({ connectionString: url, max: 1 });
    const of = (tx: Pick<pg.PoolClient, "query">): Query => async (text, values) =>
      (await tx.query(text, values)).rows;
    return {
      bare: of(pool),
      run: (context, work) => withPg(pool, context, (tx) => work(of(tx), tx)),
      nest: (tx, context, work) => withPg(tx as pg.PoolClient, context, (tx) => work(of(tx))),
      end: () => pool.end(),
    };
  },
  "Drizzle over postgres.js"(url) {
    const sql = postgres(url, { max: 1, onnotice: () => {} });
    const db = drizzle(sql);
    const of = (tx: Pick<typeof db, "execute">): Query => async (text) => [
      ...loose(await tx.execute(raw.raw(text))),
    ];
    return {
      bare: of(db),
      run: (context, work) => withDrizzle(db, context, (tx) => work(of(tx), tx)),
      nest: (tx, context, work) => withDrizzle(loose(tx), context, (tx) => work(of(loose(tx)))),
      end: () => sql.end({ timeout: 5 }),
    };
  },
  "Drizzle over node-postgres"(url) {
    const pool = new pg.Pool({ connectionString: url, max: 1 });
    const db = drizzleOverPg(pool);
    const of = (tx: Pick<typeof db, "execute">): Query => async (text) =>
      (await tx.execute(raw.raw(text))).rows;
    return {
      bare: of(db),
      run: (context, work) => withDrizzle(db, context, (tx) => work(of(tx), tx)),
      nest: (tx, context, work) => withDrizzle(loose(tx), context, (tx) => work(of(loose(tx)))),
      end: () => pool.end(),
    };
  },
};

const CONTEXT = `select coalesce(current_setting('bulkhead.tenant', true), '') as tenant,
  coalesce(current_setting('bulkhead.actor', true), '') as actor, current_setting('role') as role`;
const NOTHING = [{ tenant: "", actor: "", role: "none" }];

describe("withTenant()", () => {
  let server: Server;
  let db: Database;
  let own = "";
  let other = "";
  before(async () => {
    server = await startPostgres();
    db = await openhouseDatabase(server, { rows: 300 });
    await withSql(
      db.superUrl,
      (sql) =>
        sql.unsafe(
          `create role backend_login login password '${server.password}'; grant bulkhead_service to backend_login`,
        ).simple(),
    );
    await withSql(db.url, (sql) => sql`grant bulkhead_service to current_user`);
    const tenants = await withSql(db.url, (sql) => sql`select id from public.tenants order by id`);
    [own, other] = tenants.map((row) => String(row["id"])) as [string, string];
  });
  after(async () => await server?.stop());

  for (const [name, connect] of Object.entries(DRIVERS)) {
    describe(name, () => {
      let driver: Driver;
      before(() => {
        // As most back ends log in: a role with BYPASSRLS.
        driver = connect(db.url);
      });
      after(async () => await driver?.end());
      const me = () => ({ tenantId: own, actor: "ada", requestId: `req-${name}` });

      test("shows the rows of the tenant to a login that bypasses row level security, and leaves nothing behind", async () => {
        const seen = await driver.run(me(), async (query) => [
          await query("select distinct tenant_id from public.messages"),
          await query(CONTEXT),
        ]);
        assert.deepEqual(seen, [[{ tenant_id: own }], [
          { tenant: own, actor: "ada", role: "bulkhead_service" },
        ]]);
        assert.deepEqual(await driver.bare(CONTEXT), NOTHING);
        assert.ok(
          Number(
            (await driver.bare("select count(distinct tenant_id) from public.messages"))[0]
              ?.["count"],
          ) > 1,
        );
      });

      test("writes carry actor and request id, and another tenant's rows are refused", async () => {
        await driver.run(
          me(),
          (query) => query("update public.messages set is_read = not is_read"),
        );
        const events = await driver.bare(
          `select distinct tenant_id, actor, actor_role::text from bulkhead.audit_events where request_id = 'req-${name}'`,
        );
        assert.deepEqual(events, [{
          tenant_id: own,
          actor: "ada",
          actor_role: "bulkhead_service",
        }]);
        const insert =
          `insert into public.developments (tenant_id, name, city) values ('${other}', 'x', 'x')`;
        await assert.rejects(driver.run(me(), (query) => query(insert)), isRefusal);
        const update = `update public.messages set tenant_id = '${other}'`;
        await assert.rejects(driver.run(me(), (query) => query(update)), isRefusal);
        assert.deepEqual(await driver.bare(CONTEXT), NOTHING);
      });

      test("an error inside rolls back, and the next one on the connection finds no context", async () => {
        await assert.rejects(
          driver.run(me(), async (query) => {
            await query("update public.developments set city = 'half done'");
            throw new RangeError("gave up");
          }),
          RangeError,
        );
        assert.deepEqual(await driver.bare(CONTEXT), NOTHING);
        assert.deepEqual(
          await driver.bare("select 1 from public.developments where city = 'half done'"),
          [],
        );
      });

      test("an error of the database that is caught inside does not become a quiet rollback", async () => {
        await assert.rejects(
          driver.run(me(), async (query) => {
            await query("update public.developments set city = 'half done'");
            await query("select 1 / 0").catch(() => {});
          }),
        );
        assert.deepEqual(await driver.bare(CONTEXT), NOTHING);
      });

      test("refuses a role that would bypass row level security, before any query", async () => {
        for (
          const role of ["postgres", "service_role", "no_such_role", "none", "", "a b", 'x"; --']
        ) {
          let ran = false;
          await assert.rejects(
            driver.run({ ...me(), role }, () => {
              ran = true;
              return Promise.resolve();
            }),
            (error) => hasCode(error, "BH_ROLE", "22023", "42704", "42501"),
            role,
          );
          assert.equal(ran, false, role);
        }
        assert.deepEqual(await driver.bare(CONTEXT), NOTHING);
      });

      test("refuses a missing or malformed tenant or actor, before anything is sent", async () => {
        for (const tenantId of ["", " ", undefined, null, `${own}\n`, [own], {}, NaN, 1.5]) {
          await assert.rejects(driver.run({ ...me(), tenantId: loose(tenantId) }, never), {
            code: "BH_TENANT",
          });
        }
        await assert.rejects(driver.run({ ...me(), tenantKind: "uuid", tenantId: "acme" }, never), {
          code: "BH_TENANT",
        });
        await assert.rejects(driver.run({ ...me(), actor: "" }, never), { code: "BH_ACTOR" });
        // What the kind was not given for, the database refuses itself.
        await assert.rejects(
          driver.run(
            { ...me(), tenantId: "acme" },
            (query) => query("select * from public.messages"),
          ),
          (error) => hasCode(error, "22P02"),
        );
      });

      test("nested for the same tenant is a savepoint; nested for another is refused", async () => {
        const cities = await driver.run(me(), async (query, tx) => {
          await query("update public.developments set city = 'outer'");
          await assert.rejects(
            driver.nest(tx, me(), async (inner) => {
              await inner("update public.developments set city = 'inner'");
              throw new RangeError("gave up");
            }),
            RangeError,
          );
          await driver.nest(tx, me(), (inner) => inner("update public.units set floor = 1"));
          await assert.rejects(driver.nest(tx, { ...me(), tenantId: other }, never), {
            code: "BH_TENANT_HELD",
          });
          assert.deepEqual(await query(CONTEXT), [
            { tenant: own, actor: "ada", role: "bulkhead_service" },
          ]);
          return await query("select distinct city from public.developments");
        });
        assert.deepEqual(cities, [{ city: "outer" }]);
      });

      test("a transaction that is kept runs nothing once it is over", async () => {
        let late: Query = never;
        let kept: unknown;
        await driver.run(me(), (query, tx) => {
          late = query;
          kept = tx;
          return Promise.resolve();
        });
        await assert.rejects(late("select * from public.messages"), {
          code: "BH_TRANSACTION_OVER",
        });
        await assert.rejects(driver.nest(kept, me(), never), { code: "BH_TRANSACTION_OVER" });
        assert.deepEqual(await driver.bare(CONTEXT), NOTHING);
      });

      test("a context that somebody set for the session is refused, not inherited", async () => {
        const spoilt = connect(db.url);
        try {
          await spoilt.bare(`select set_config('bulkhead.tenant', '${other}', false)`);
          await assert.rejects(spoilt.run(me(), never), { code: "BH_TENANT_HELD" });
        } finally {
          await spoilt.end();
        }
      });

      test("200 interleaved transactions of two tenants over one connection never meet", async () => {
        const tenants = await Promise.all(
          Array.from({ length: 200 }, (_, n) => {
            const tenantId = n % 2 ? own : other;
            return driver.run({ tenantId, actor: `a${n}` }, async (query) => {
              const rows = await query("select distinct tenant_id from public.units");
              return rows.length === 1 && rows[0]?.["tenant_id"] === tenantId;
            });
          }),
        );
        assert.ok(tenants.every(Boolean));
        assert.deepEqual(await driver.bare(CONTEXT), NOTHING);
      });
    });
  }

  test("postgres.js: a query that was made inside and awaited outside is never sent", async () => {
    const sql = postgres(db.url, { max: 1, onnotice: () => {} });
    try {
      let late: PromiseLike<unknown> | undefined;
      await withPostgres(sql, { tenantId: own, actor: "ada" }, (tx) => {
        late = tx`select * from public.messages`;
        // What is part of another query is not sent by itself either way.
        return tx`select 1 ${tx`where true`}`;
      });
      await assert.rejects(Promise.resolve(late), { code: "BH_TRANSACTION_OVER" });
    } finally {
      await sql.end({ timeout: 5 });
    }
  });

  test("a login of its own that may become bulkhead_service needs no other right", async () => {
    const pool = new pg.Pool({ connectionString: db.urlAs("backend_login"), max: 1 });
    try {
      const { rows } = await withPg(
        pool,
        { tenantId: own, actor: "ada" },
        (tx) => tx.query("select distinct tenant_id from public.messages"),
      );
      assert.deepEqual(rows, [{ tenant_id: own }]);
      assert.deepEqual((await pool.query("select * from public.messages")).rows, []);
    } finally {
      await pool.end();
    }
  });

  test("keeps a login's own role where it is named and obeys policies", async () => {
    const pool = new pg.Pool({ connectionString: db.urlAs("backend_login"), max: 1 });
    try {
      const { rows } = await withPg(
        pool,
        { tenantId: own, actor: "ada", role: "backend_login" },
        (tx) => tx.query("select current_user"),
      );
      assert.deepEqual(rows, [{ current_user: "backend_login" }]);
    } finally {
      await pool.end();
    }
  });
});

const never = (): Promise<never> => Promise.reject(new Error("it ran"));

function hasCode(error: unknown, ...codes: string[]): boolean {
  const { code, cause } = loose(error);
  return codes.includes(code) || codes.includes(cause?.code);
}

const isRefusal = (error: unknown): boolean => hasCode(error, "42501");
