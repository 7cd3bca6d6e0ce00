import process from "node:process";
import postgres from "postgres";
import { kitDatabase, type Server, startPostgres } from "../tests/support/postgres.ts";
import { median, type Row, seconds } from "./measure.ts";

const TENANTS = 1000;
const CHANGES = 1000;
const ROUNDS = 9;

/**
 * The five-minute pass after the same 1,000 changes, in tables and a ledger ten times as large: its cost follows the
 * changes. 1 M rows against 100 k; with `--full` 10 M against 1 M.
 */
export async function canaryPass(): Promise<Row[]> {
  const large = process.argv.includes("--full") ? 10_000_000 : 1_000_000;
  await using server = await startPostgres({
    settings: { max_wal_size: "4GB", shared_buffers: "256MB", maintenance_work_mem: "256MB" },
  });
  await using small = await world(server, large / 10);
  await using big = await world(server, large);
  const times: { small: number[]; big: number[] } = { small: [], big: [] };
  // The first pass of all is a whole one, and the first round warms caches: neither is counted.
  for (let round = -1; round < ROUNDS; round++) {
    for (const [name, { sql }] of Object.entries({ small, big })) {
      await change(sql, round + 2);
      const took = await seconds(() => pass(sql));
      if (round >= 1) times[name as keyof typeof times].push(took);
    }
  }
  await slowest(small.sql, big.sql);
  const [a, b] = [median(times.small), median(times.big)];
  return [{
    what: `five-minute pass, ${CHANGES} changes, ${name(large)} rows ${ms(b)} / ${
      name(large / 10)
    } ${ms(a)}`,
    ratio: b / a,
    atMost: 1.2,
  }];
}

type World = AsyncDisposable & { sql: postgres.Sql };

/** Half of the rows are parents, half children; all of them are in the ledger, sealed. */
export async function world(server: Server, rows: number): Promise<World> {
  process.stderr.write(`  loading ${name(rows)} rows …\n`);
  const db = await kitDatabase(server);
  const sql = postgres(db.url, { max: 1, onnotice: () => {} });
  await sql.unsafe(`
    create table public.tenants (id bigint primary key, name text);
    insert into public.tenants select i, 'tenant ' || i from generate_series(1, ${TENANTS}) as i;
    create table public.units (id bigint primary key, tenant_id bigint not null, label text, unique (tenant_id, id));
    create table public.messages (id bigint primary key, tenant_id bigint not null, unit_id bigint not null, body text,
      foreign key (tenant_id, unit_id) references public.units (tenant_id, id) on delete restrict);
    create index on public.messages (tenant_id, unit_id);
    select bulkhead.configure('public.tenants');
    select bulkhead.protect('public.tenants'), bulkhead.protect('public.units'), bulkhead.protect('public.messages')`);
  const step = 250_000;
  for (let from = 0; from < rows / 2; from += step) {
    const to = Math.min(rows / 2, from + step);
    await sql.unsafe(`
      insert into public.units select i, i % ${TENANTS} + 1, 'unit ' || i from generate_series(${from}, ${to} - 1) as i;
      insert into public.messages select i, i % ${TENANTS} + 1, i, md5(i::text) from generate_series(${from}, ${to} - 1) as i;
      select bulkhead.seal()`);
  }
  // The checks of findings sleep through a new installation's first two days.
  await sql.unsafe("update bulkhead.settings set configured_at = now() - interval '3 days'");
  await sql.unsafe("vacuum analyze");
  await sql`select from bulkhead.run_canaries()`;
  return {
    sql,
    async [Symbol.asyncDispose]() {
      await sql.end({ timeout: 1 });
      await db.drop();
    },
  };
}

/** The same of both: 500 rows changed, 300 new, 200 gone, as many tenants, no more than an ordinary five minutes. */
async function change(sql: postgres.Sql, round: number): Promise<void> {
  const from = 1_000_000_000 + round * CHANGES;
  await sql.unsafe(`
    update public.messages set body = 'changed ' || ${round} where id between 1 and ${CHANGES / 2};
    insert into public.messages select i, i % ${TENANTS} + 1, i % ${TENANTS}, 'new'
      from generate_series(${from}, ${from + CHANGES * 0.3 - 1}) as i;
    delete from public.messages where id between ${10_000 + round * 200} and ${
    10_000 + round * 200 + 199
  };
    select bulkhead.seal()`);
}

async function pass(sql: postgres.Sql): Promise<void> {
  const rows = await sql`select name, subject, detail from bulkhead.run_canaries()
    where name in ('orphaned_rows', 'tenant_misalignment', 'abnormal_deletes', 'audit_completeness') and status <> 'pass'`;
  if (rows.length > 0) {
    throw new Error(`a pass that finds something proves nothing: ${JSON.stringify(rows)}`);
  }
}

/** Where the time goes, for whoever has to find out why it grows. */
async function slowest(small: postgres.Sql, big: postgres.Sql): Promise<void> {
  const read = (sql: postgres.Sql) =>
    sql<{ canary: string; ms: number }[]>`
      select canary, (percentile_cont(0.5) within group (order by extract(epoch from took) * 1000))::float8 as ms
      from bulkhead.canary_runs where not is_full group by 1 order by 2 desc`;
  const before = new Map((await read(small)).map((row) => [row.canary, row.ms]));
  for (const { canary, ms } of await read(big)) {
    process.stderr.write(
      `  ${canary.padEnd(24)} ${ms.toFixed(1).padStart(8)} ms, small ${
        before.get(canary)?.toFixed(1)
      } ms\n`,
    );
  }
}

const ms = (took: number) => `${(took * 1000).toFixed(0)} ms`;
const name = (rows: number) => rows >= 1_000_000 ? `${rows / 1_000_000} M` : `${rows / 1000} k`;
