import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";
import { type BackupWorld, backupWorld, startBulkhead } from "../tests/support/backup-world.ts";
import { installKit, packKit } from "../tests/support/packed.ts";
import {
  type Database,
  kitDatabase,
  type Server,
  startPostgres,
} from "../tests/support/postgres.ts";
import { inTurn, median, type Row, seconds } from "./measure.ts";

const TENANT = "7d444840-9dc0-41d1-b245-5ffdce74fad2";

/**
 * A backup of one tenant against `pg_dump -a | gzip | openssl enc` of the same rows (ledger and leaves included), whole
 * commands both, and its peak memory at two sizes; a nightly backup of which 1% of 1,000 tenants changed against a full
 * one, and the full one's peak memory. The command is the package's, as users have it. On 15, where Debian's pg_dump fits. `--full` takes four times the rows.
 */
export async function backup(): Promise<Row[]> {
  const scale = process.argv.includes("--full") ? 4 : 1;
  await using server = await startPostgres({ major: 15, settings: { max_wal_size: "2GB" } });
  const home = mkdtempSync(join(tmpdir(), "bulkhead-bench-"));
  try {
    const { bin } = await installKit(await packKit(home), home);
    return [
      ...await oneTenant(server, bin, 20_000 * scale),
      ...await oneTenant(server, bin, 200_000 * scale),
      ...await aNight(server, bin),
    ];
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

async function oneTenant(server: Server, bin: string, rows: number): Promise<Row[]> {
  await using db = await databaseOf(server, [TENANT], rows);
  using world = await backupWorld({ DATABASE_URL: db.url });
  const dump = join(world.folder, "dump.gz.enc");
  let peak = 0;
  const { ratio, baseline, candidate } = await inTurn(
    3,
    () => dumped(server, db, dump),
    async () => void (peak = Math.max(peak, await backedUp(bin, world, "--full"))),
  );
  const size = `${rows} rows and their ledger, ${
    Math.round(statSync(dump).size / 1e6)
  } MB dumped: ${candidate.toFixed(1)} s / ${baseline.toFixed(1)} s`;
  rmSync(dump);
  return [
    { what: `backup of one tenant / pg_dump | gzip | openssl: ${size}`, ratio, atMost: 1 },
    memoryOf("its", peak),
  ];
}

async function aNight(server: Server, bin: string): Promise<Row[]> {
  const tenants = Array.from(
    { length: 1000 },
    (_, i) => `00000000-0000-4000-8000-${String(i).padStart(12, "0")}`,
  );
  await using db = await databaseOf(server, tenants, 200);
  using world = await backupWorld({ DATABASE_URL: db.url });
  const sql = postgres(db.url, { max: 1, onnotice: () => {} });
  const times = { full: [] as number[], night: [] as number[] };
  let peak = 0;
  const full = async () => {
    const backup = async () => void (peak = Math.max(peak, await backedUp(bin, world, "--full")));
    times.full.push(await seconds(backup));
  };
  await full();
  for (let round = 0; round < 3; round++) {
    const changed = tenants.slice(10 * round, 10 * round + 10);
    await sql`update public.messages set body = body || '!' where tenant_id = any (${changed}) and n = 7`;
    await sql`select bulkhead.seal()`;
    times.night.push(await seconds(() => backedUp(bin, world)));
    if (round === 1) await full();
  }
  await sql.end();
  const [night, all] = [median(times.night), Math.min(...times.full)];
  const what = `nightly backup, 10 of 1,000 tenants changed / full: ${night.toFixed(2)} s / ${
    all.toFixed(1)
  } s`;
  return [{ what, ratio: night / all, atMost: 0.05 }, memoryOf("the full one's", peak)];
}

function memoryOf(whose: string, peak: number): Row {
  return { what: `  ${whose} peak memory, ${peak} MB / 150 MB`, ratio: peak / 150, atMost: 1 };
}

/** `rows` messages a tenant, each with its event, its leaf and what else comes with it. */
async function databaseOf(
  server: Server,
  tenants: string[],
  rows: number,
): Promise<Database> {
  const db = await kitDatabase(server);
  const sql = postgres(db.url, { max: 1, onnotice: () => {} });
  await sql.unsafe(`
    create table public.tenants (id uuid primary key, name text not null);
    create table public.messages (
      id uuid primary key default gen_random_uuid(), tenant_id uuid not null references public.tenants (id), author uuid not null default gen_random_uuid(),
      n integer not null, subject text, body text, is_read boolean not null default false, at timestamptz not null default now(), unique (tenant_id, id));
    select bulkhead.configure('public.tenants');
    select bulkhead.protect('public.tenants'), bulkhead.protect('public.messages')`);
  await sql`insert into public.tenants select t, 'tenant ' || t from unnest(${tenants}::uuid[]) as t`;
  await sql`
    insert into public.messages (tenant_id, n, subject, body, at)
    select t, n, 'The lift in unit ' || n % 500, 'It stands still again, ' || md5(n::text) || ' says the board. ' || repeat('Please call back. ', n % 8), now() - n * interval '1 minute'
    from unnest(${tenants}::uuid[]) as t cross join generate_series(1, ${rows}::integer) as n
  `;
  await sql`select bulkhead.seal()`;
  await sql`analyze`;
  await sql.end();
  return db;
}

/** What a careful person would write by hand; the ledger's partitions and leaves are among the tables. */
async function dumped(server: Server, db: Database, file: string): Promise<void> {
  const dump =
    "pg_dump -a -n public -t public.tenants -t public.messages -t 'bulkhead.audit_events*' -t 'bulkhead.audit_leaves*' " +
    "-t 'bulkhead.audit_s*' -t bulkhead.audit_eras";
  const child = spawn(
    "bash",
    [
      "-o",
      "pipefail",
      "-c",
      `${dump} | gzip | openssl enc -aes-256-ctr -pbkdf2 -pass env:PASS > '${file}'`,
    ],
    {
      env: {
        PATH: process.env["PATH"],
        PGHOST: "127.0.0.1",
        PGPORT: String(server.port),
        PGUSER: "postgres",
        PGPASSWORD: server.password,
        PGDATABASE: db.name,
        PASS: "benchmark",
      },
      stdio: ["ignore", "inherit", "inherit"],
    },
  );
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (code !== 0) throw new Error(`Cannot measure: pg_dump left with ${code}`);
}

/** Run the command; returns the most memory it had, in MB, as the kernel counted it. */
async function backedUp(bin: string, world: BackupWorld, ...args: string[]): Promise<number> {
  const { child, ended } = startBulkhead(["backup", "--json", ...args], world.env, bin);
  let peak = 0;
  const watching = (async () => {
    while (child.exitCode === null && child.signalCode === null) {
      peak = Math.max(peak, highWater(child.pid));
      await sleep(50);
    }
  })();
  const ran = await ended;
  await watching;
  if (ran.code !== 0) throw new Error(`Cannot measure: ${ran.stderr}`);
  return Math.round(peak);
}

function highWater(pid: number | undefined): number {
  try {
    const [, kilobytes] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return Number(kilobytes ?? 0) / 1000;
  } catch {
    return 0;
  }
}
