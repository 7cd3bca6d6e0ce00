import process from "node:process";
import postgres from "postgres";
import {
  deleteTraffic,
  type Shape,
  SHAPES,
  type Traffic,
} from "../tests/support/delete-traffic.ts";
import { kitDatabase, startPostgres } from "../tests/support/postgres.ts";
import type { Row } from "./measure.ts";

const WEEK = 168;
const HISTORY = 4 * WEEK;
const WATCHED = 4 * WEEK;
const HOUR = 3_600_000;
/** The check runs every five minutes, the bench every three hours of its time: nothing leaves the window of a day. */
const STEP = 3;
/** An alarm that opens so long after a burst is about it: the check looks back over a day. */
const ECHO = 26;

type Series = Traffic & { shape: Shape; tenant: number; alarms: Set<number> };

/**
 * `abnormal_deletes` as a whole on eight weeks of generated traffic of seven shapes, four of history and four watched
 * hour by hour: how many of the injected bursts it sees within a day, and how often a tenant's week has a false alarm.
 * Four tenants a shape, twelve with `--full`. `SEED=n` draws others.
 */
export async function canaryDeletes(): Promise<Row[]> {
  const tenants = process.argv.includes("--full") ? 12 : 4;
  const seed = Number(process.env["SEED"] ?? 1);
  await using server = await startPostgres({ settings: { max_wal_size: "2GB" } });
  await using db = await kitDatabase(server);
  // The superuser writes events of the past; the check itself runs as the kit's owner.
  const admin = postgres(server.superUrl.replace(/[^/]*$/, db.name), {
    max: 1,
    onnotice: () => {},
  });
  const sql = postgres(db.url, { max: 1, onnotice: () => {} });
  try {
    const start = Math.floor(Date.now() / HOUR) * HOUR - (HISTORY + WATCHED) * HOUR;
    const series = SHAPES.flatMap((shape, s) =>
      Array.from({ length: tenants }, (_, i): Series => ({
        ...deleteTraffic(shape, {
          hours: HISTORY + WATCHED,
          quiet: HISTORY,
          seed: seed * 10_000 + s * 100 + i,
        }),
        shape,
        tenant: i + 1,
        alarms: new Set(),
      }))
    );
    await prepare(sql, tenants, series, start);
    await remember(admin, series, start);
    for (let hour = HISTORY; hour < HISTORY + WATCHED; hour++) {
      if (hour % WEEK === 0) process.stderr.write(`  week ${hour / WEEK + 1} of 8 …\n`);
      await happen(admin, series, hour, start);
      if (hour % STEP === STEP - 1) await look(sql, series, hour, start);
      // Autovacuum's part, whose clock is not the bench's.
      if (hour % 24 === 0) await summarize(admin);
    }
    return SHAPES.flatMap((shape) => judge(shape, series.filter((one) => one.shape === shape)));
  } finally {
    await sql.end({ timeout: 1 });
    await admin.end({ timeout: 1 });
  }
}

async function prepare(sql: postgres.Sql, tenants: number, series: Series[], start: number) {
  await sql.unsafe(`
    create table public.tenants (id bigint primary key);
    insert into public.tenants select generate_series(1, ${tenants});
    select bulkhead.configure('public.tenants');
    select bulkhead.protect('public.tenants');
    ${
    SHAPES.map((shape) =>
      `create table public.${shape} (id bigint generated always as identity primary key, tenant_id bigint not null);`
    ).join("\n")
  }`);
  for (const { shape, tenant, rows } of series) {
    await sql.unsafe(
      `insert into public.${shape} (tenant_id) select ${tenant} from generate_series(1, ${rows})`,
    );
  }
  for (const shape of SHAPES) await sql.unsafe(`select bulkhead.protect('public.${shape}')`);
  await sql`update bulkhead.protected_tables set protected_at = ${new Date(start)}`;
  await sql`select bulkhead.roll_up_deletes()`;
}

/** Four weeks that the check lived through: only their totals are kept by then. */
async function remember(admin: postgres.Sql, series: Series[], start: number) {
  const hours = series.flatMap(({ shape, tenant, counts }) =>
    counts.slice(0, HISTORY).flatMap((deleted, hour) =>
      deleted === 0 ? [] : [{
        table_name: `public.${shape}`,
        tenant_id: String(tenant),
        hour: at(start, hour),
        deleted,
      }]
    )
  );
  await admin`insert into bulkhead.delete_hours (table_name, tenant_id, hour, deleted)
    select * from jsonb_to_recordset(${
    admin.json(hours)
  }) as h (table_name text, tenant_id text, hour timestamptz, deleted bigint)`;
  await admin`insert into bulkhead.large_deletes (xid, table_name, operation, deleted, happened_at)
    select -row_number() over (), h.table_name, 'DELETE', h.deleted, h.hour from bulkhead.delete_hours as h where h.deleted >= 1000`;
}

/** One hour's deletes; what is large is one transaction. */
async function happen(admin: postgres.Sql, series: Series[], hour: number, start: number) {
  const insert = (these: Series[]) =>
    admin`insert into bulkhead.audit_events (tenant_id, actor_role, table_name, operation, record_id, created_at)
      select s.tenant, 'authenticated', s.shape, 'DELETE', ${hour} || '-' || i, ${
      at(start, hour)
    }::timestamptz + random() * interval '59 minutes'
      from jsonb_to_recordset(${
      admin.json(these.map(({ shape, tenant, counts }) => ({
        shape: `public.${shape}`,
        tenant: String(tenant),
        rows: counts[hour] ?? 0,
      })))
    }) as s (shape text, tenant text, rows integer)
      cross join lateral generate_series(1, s.rows) as i`;
  const isLarge = ({ counts }: Series) => (counts[hour] ?? 0) > 500;
  for (const one of series.filter(isLarge)) await insert([one]);
  await insert(series.filter((one) => !isLarge(one)));
}

async function look(sql: postgres.Sql, series: Series[], hour: number, start: number) {
  const rows = await sql<{ subject: string; status: string; detail: string }[]>`
    select r.subject, r.status, r.detail from bulkhead.canaries as c
    cross join lateral bulkhead.canary_abnormal_deletes(c.threshold || jsonb_build_object('at', ${
    at(start, hour + 1)
  }::text)) as r
    where c.name = 'abnormal_deletes' and r.status <> 'pass'`;
  for (const { subject, status, detail } of rows) {
    if (status !== "fail") throw new Error(`${subject}: ${detail}`);
    const [, shape, tenant] = /^public\.(\w+), tenant (\d+)$/.exec(subject) ??
      /^public\.(\w+), transaction[\s\S]*/.exec(`${subject} ${detail}`) ?? [];
    const whose = tenant ?? /\nTenants: (\d+)/.exec(detail)?.[1];
    const one = series.find((s) => s.shape === shape && String(s.tenant) === whose);
    if (one === undefined) throw new Error(`an alarm of nobody: ${subject}: ${detail}`);
    if (
      process.env["EXPLAIN"] !== undefined && !one.alarms.has(hour - STEP) && !isEcho(one, hour)
    ) {
      process.stderr.write(`  ${at(start, hour)} ${detail.split("\n")[0]}\n`);
    }
    one.alarms.add(hour);
  }
}

async function summarize(admin: postgres.Sql) {
  await admin`select brin_summarize_new_values(i.indexrelid) from pg_index as i join pg_class as c on c.oid = i.indexrelid
    where i.indrelid = 'bulkhead.audit_events_default'::regclass and c.relam = (select oid from pg_am where amname = 'brin')`;
}

function judge(shape: Shape, series: Series[]): Row[] {
  const bursts = series.flatMap((one) => [...one.bursts.keys()].map((hour) => ({ one, hour })));
  const seen = bursts.filter(({ one, hour }) =>
    // At the end of its hour, or within the day while it is still in the window.
    Array.from({ length: 24 }, (_, later) => hour + later).some((at) => one.alarms.has(at))
  );
  const falsely = series.flatMap((one) =>
    [...one.alarms].filter((hour) => !one.alarms.has(hour - STEP) && !isEcho(one, hour))
  );
  return [
    {
      what: `deletes, ${shape}: bursts seen (${seen.length} of ${bursts.length})`,
      ratio: seen.length / bursts.length,
    },
    {
      what: `deletes, ${shape}: false alarms a tenant and week`,
      ratio: falsely.length / (series.length * WATCHED / WEEK),
    },
  ];
}

/** Whether an alarm at this hour can be about an injected burst. */
function isEcho({ bursts }: Series, hour: number): boolean {
  return [...bursts.keys()].some((burst) => hour >= burst && hour <= burst + ECHO);
}

const at = (start: number, hour: number) => new Date(start + hour * HOUR).toISOString();
