import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";
import { applyMigrations, createBaseline, startPostgres } from "../tests/support/postgres.ts";
import { median, type Row } from "./measure.ts";

const FULL = process.argv.includes("--full");
const MINUTES = FULL ? 10 : 2;
const TABLES = 500;
const TENANTS = 2000;
const EVENTS = 1000;
const WRITERS = 4;
/** Rows of one statement, as applications write. */
const ROWS = 5;
/** Seconds that the nightly sweep has, where a night gives it 1,800; the probe of it half of them, at most a minute. */
const SWEEP = FULL ? 300 : 40;

/**
 * The whole schedule on the real pg_cron (Postgres 15) beside 1,000 events a second in 500 protected tables of 2,000
 * tenants: no run is missed, and nothing falls behind. Two minutes, in which what is due every five runs every minute;
 * ten as scheduled with `--full`. The nightly sweep runs once, in the second minute.
 */
export async function load(): Promise<Row[]> {
  await using server = await startPostgres({
    major: 15,
    preload: ["pg_cron"],
    settings: {
      "cron.database_name": "project",
      // Not background workers: with them pg_cron 1.4 runs one job at a time (citusdata/pg_cron#200, mended in 1.5).
      "cron.host": "127.0.0.1",
      max_wal_size: "4GB",
      shared_buffers: "256MB",
    },
  });
  await admitPgCron(server.superUrl);
  await createBaseline(server, "project");
  await applyMigrations(server.url("project"));
  const sql = postgres(server.url("project"), { max: WRITERS + 2, onnotice: () => {} });
  try {
    process.stderr.write(`  protecting ${TABLES} tables …\n`);
    await prepare(sql);
    await nextMinute(sql);
    const [{ began } = { began: new Date() }] = await sql<{ began: Date }[]>`select now() as began`;
    const sweep = new Date(began.getTime() + 90_000);
    await sql`
      select cron.schedule('bulkhead:canaries:sweep', ${`${sweep.getUTCMinutes()} ${sweep.getUTCHours()} * * *`},
        ${`call bulkhead.run_pass('nightly', '${SWEEP} seconds')`})`;
    const until = Date.now() + MINUTES * 60_000;
    const lags: number[] = [];
    const writing = Promise.all(Array.from({ length: WRITERS }, () => write(sql, until)));
    const watching = watch(sql, until, lags);
    const written = (await writing).reduce((sum, rows) => sum + rows, 0);
    await watching;
    // What began in the last minute may end.
    await sleep(20_000);
    return [
      { what: `load: events a second / ${EVENTS}`, ratio: written / (MINUTES * 60) / EVENTS },
      ...await judge(sql, began, lags),
    ];
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** pg_cron connects like anybody else, and has no password of its own. */
async function admitPgCron(superUrl: string): Promise<void> {
  const admin = postgres(superUrl, { max: 1 });
  const [row] = await admin<{ hba_file: string }[]>`show hba_file`;
  const file = row?.hba_file ?? "";
  writeFileSync(file, `host project postgres 127.0.0.1/32 trust\n${readFileSync(file, "utf8")}`);
  await admin`select pg_reload_conf()`;
  await admin.end();
}

async function prepare(sql: postgres.Sql): Promise<void> {
  await sql.unsafe(`
    create table public.tenants (id bigint primary key, name text);
    insert into public.tenants select i, 'tenant ' || i from generate_series(1, ${TENANTS}) as i;
    select bulkhead.configure('public.tenants');
    select bulkhead.protect('public.tenants')`);
  for (let table = 0; table < TABLES; table += 50) {
    await sql.unsafe(`do $$ begin
      for i in ${table} .. ${table + 49} loop
        execute format('create table public.t%s (id bigint generated always as identity primary key, tenant_id bigint not null, body text)', i);
        perform bulkhead.protect(format('public.t%s', i)::regclass);
      end loop;
    end $$`);
  }
  // The checks of findings sleep through a new installation's first two days, and a check of the night runs in a new
  // one's first pass: this is an ordinary day, on which alerts leave for an address that nobody listens at.
  await sql`update bulkhead.settings set configured_at = now() - interval '3 days'`;
  await sql`
    insert into bulkhead.canary_runs (canary, cadence, is_full, horizon, started_at, finished_at, took, status)
    select name, 'nightly', true, 0, now() - interval '1 day', now() - interval '1 day', interval '1 second', 'pass'
    from bulkhead.canaries where cadence = 'nightly'`;
  await sql`select vault.create_secret('http://127.0.0.1:9', 'bulkhead_functions_url')`;
  await sql`select vault.create_secret(${"0f".repeat(32)}, 'bulkhead_hmac_secret')`;
  if (!FULL) {
    await sql`select cron.schedule(jobname, '* * * * *', command) from cron.job where schedule = '*/5 * * * *'`;
  }
  await sql`update bulkhead.canaries set threshold = threshold || ${
    sql.json({ seconds: Math.min(60, SWEEP / 2) })
  } where name = 'attack_probe'`;
  await sql.unsafe("vacuum analyze");
}

async function write(sql: postgres.Sql, until: number): Promise<number> {
  const pause = 1000 * ROWS * WRITERS / EVENTS;
  let written = 0;
  for (let due = Date.now(); due < until; due += pause) {
    if (due > Date.now()) await sleep(due - Date.now());
    if (Date.now() >= until) break;
    const table = Math.floor(Math.random() * TABLES);
    const tenant = 1 + Math.floor(Math.random() * TENANTS);
    const rows = await sql.unsafe(
      `insert into public.t${table} (tenant_id, body) select $1, md5(random()::text) from generate_series(1, ${ROWS})`,
      [tenant],
    );
    written += rows.count;
  }
  return written;
}

/** How old the oldest event is that no seal covers, every five seconds. */
async function watch(sql: postgres.Sql, until: number, lags: number[]): Promise<void> {
  while (Date.now() < until) {
    const [row] = await sql<{ lag: number }[]>`
      select coalesce(extract(epoch from clock_timestamp() - min(e.created_at)), 0)::float8 as lag
      from bulkhead.audit_events as e
      where e.xid >= (select coalesce(max(s.hi), 0) from bulkhead.audit_seals as s)`;
    lags.push(row?.lag ?? 0);
    await sleep(5000);
  }
}

async function judge(sql: postgres.Sql, began: Date, lags: number[]): Promise<Row[]> {
  const runs = await sql<
    { jobname: string; period: number; status: string; took: number; late: number }[]
  >`
    select j.jobname, case j.schedule when '* * * * *' then 1 else 5 end as period, r.status,
      extract(epoch from r.end_time - r.start_time)::float8 as took,
      extract(second from r.start_time)::float8 as late
    from cron.job as j
    join cron.job_run_details as r using (jobid)
    where j.jobname like 'bulkhead:%' and r.start_time >= ${began}
      and r.start_time < ${began}::timestamptz + make_interval(mins => ${MINUTES})
      and j.schedule in ('* * * * *', '*/5 * * * *')`;
  const jobs = await sql<{ jobname: string; period: number }[]>`
    select jobname, case schedule when '* * * * *' then 1 else 5 end as period
    from cron.job where jobname like 'bulkhead:%' and schedule in ('* * * * *', '*/5 * * * *') order by 1`;
  let missed = 0;
  for (const { jobname, period } of jobs) {
    const own = runs.filter((run) => run.jobname === jobname);
    const good = own.filter((run) => run.status === "succeeded").length;
    missed += Math.max(0, Math.floor(MINUTES / period) - good);
    process.stderr.write(
      `  ${jobname.padEnd(28)} ${good} of ${Math.floor(MINUTES / period)} runs, ${
        seconds(own.map((run) => run.took))
      } each, up to ${Math.max(0, ...own.map((run) => run.late)).toFixed(1)} s late\n`,
    );
  }
  const failures = await sql`
    select distinct j.jobname, r.return_message from cron.job as j join cron.job_run_details as r using (jobid)
    where r.status = 'failed' and r.start_time >= ${began}`;
  for (const { jobname, return_message } of failures) {
    process.stderr.write(`  ${jobname}: ${return_message}\n`);
  }
  const swept = await sql<{ canary: string; status: string; took: number; detail: string }[]>`
    select r.canary, r.status, extract(epoch from r.took)::float8 as took, (f.result).detail
    from bulkhead.canary_runs as r
    left join bulkhead.canary_results as f on f.run_id = r.id and f.position = 1
    where r.cadence = 'nightly' and r.started_at >= ${began}
    order by r.took desc nulls first`;
  for (const { canary, status, took, detail } of swept.slice(0, 4)) {
    process.stderr.write(
      `  sweep: ${canary} ${status}, ${took?.toFixed(1)} s: ${detail.slice(0, 160)}\n`,
    );
  }
  const [sweep] = await sql<{ took: number | null }[]>`
    select extract(epoch from r.end_time - r.start_time)::float8 as took
    from cron.job as j join cron.job_run_details as r using (jobid)
    where j.jobname = 'bulkhead:canaries:sweep' and r.status = 'succeeded' and r.start_time >= ${began}`;
  // What the probe did not reach it reaches in the next run; of the others each table has a verdict.
  const blind = swept.filter(({ canary, status }) =>
    status === "running" || status === "unknown" && canary !== "attack_probe"
  );
  const canaryTook = runs.filter((run) => run.jobname === "bulkhead:canaries:run").map((run) =>
    run.took
  );
  // It grows for a minute and falls with each seal: a minute's peak is what may not grow.
  const perMinute = Math.ceil(lags.length / MINUTES);
  return [
    { what: "load: runs missed or failed", ratio: missed, atMost: 0 },
    {
      what: `load: five-minute pass on ${TABLES} tables, its longest / 240 s`,
      ratio: Math.max(0, ...canaryTook) / 240,
      atMost: 1,
    },
    {
      what: `load: nightly sweep of ${TABLES} tables, its time / ${SWEEP} s`,
      ratio: (sweep?.took ?? Infinity) / SWEEP,
      atMost: 1.1,
    },
    {
      what: "load: checks of the sweep without a verdict",
      ratio: swept.length === 0 ? Infinity : blind.length,
      // In forty seconds it may have to say what it did not reach.
      ...(FULL ? { atMost: 0 } : {}),
    },
    {
      what: "load: oldest event without a seal, at most / 120 s",
      ratio: Math.max(...lags) / 120,
      atMost: 1,
    },
    {
      what: "load: its peak in the last minute / in the first",
      ratio: Math.max(...lags.slice(-perMinute)) / Math.max(1, ...lags.slice(0, perMinute)),
      atMost: 2,
    },
  ];
}

async function nextMinute(sql: postgres.Sql): Promise<void> {
  const [row] = await sql<{ left: number }[]>`
    select extract(epoch from date_trunc('minute', clock_timestamp()) + interval '61 seconds' - clock_timestamp())::float8 as left`;
  // Just before the full minute, so that each of the minutes is seen from its beginning.
  await sleep(Math.max(0, ((row?.left ?? 0) - 1.5) * 1000));
}

const seconds = (values: number[]) => values.length === 0 ? "–" : `${median(values).toFixed(1)} s`;
