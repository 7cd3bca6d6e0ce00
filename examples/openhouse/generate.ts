import process from "node:process";
import { Command, InvalidArgumentError } from "commander";
import type postgres from "postgres";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { openDatabase } from "../../scripts/cli/database.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../../scripts/cli/run.ts";
import { COMPANIES, ONBOARDING_ERRORS, PEOPLE, PLACES, SENDERS, TOPICS } from "./content.ts";

/** How many rows of each table were written. */
export type OpenHouseCounts = {
  tenants: number;
  users: number;
  members: number;
  developments: number;
  units: number;
  messages: number;
  onboarding_attempts: number;
};

/** What to generate. */
export type OpenHouseOptions = {
  /** Messages, over all tenants. */
  rows: number;
  /** The same seed gives the same rows, ids included. */
  seed?: number;
  tenants?: number;
  onProgress?: (done: number, total: number) => void;
};

const BATCH = 10_000;

/**
 * Fill an OpenHouse database, before or after hardening, in one transaction: all of it or nothing.
 * Everything is derived from md5 of seed, kind and number inside Postgres, so a million rows need no
 * traffic and two runs are equal byte for byte. Before hardening, one message in 200 lacks its tenant and
 * development, as the old chat widget wrote them.
 *
 * @example
 * await generateOpenHouse(postgres(url), { rows: 50_000, onProgress: (done, total) => bar.update(done / total) });
 */
export async function generateOpenHouse(
  sql: postgres.Sql,
  options: OpenHouseOptions,
): Promise<OpenHouseCounts> {
  const { rows, seed = 7, tenants = 3, onProgress } = options;
  if (!(Number.isSafeInteger(rows) && rows >= 0 && Number.isSafeInteger(tenants) && tenants >= 1)) {
    throw new BulkheadError(
      "BH_USAGE",
      `Cannot generate ${rows} rows for ${tenants} tenants: not a whole, positive number`,
      {
        kind: "usage",
        hint: "pass --rows 0 or more and --tenants 1 or more",
      },
    );
  }
  return await sql.begin(async (tx) => {
    await lookups(tx, seed);
    const people = await tenantsAndPeople(tx, tenants);
    const places = await developmentsAndUnits(tx, tenants);
    onProgress?.(0, rows);
    for (let from = 0; from < rows; from += BATCH) {
      const to = Math.min(from + BATCH, rows);
      await messages(tx, { from, to, rows });
      onProgress?.(to, rows);
    }
    const attempts = await onboardingAttempts(tx, tenants);
    return { tenants, ...people, ...places, messages: rows, onboarding_attempts: attempts };
  });
}

/** Words and two helpers in the session's temporary schema, gone at commit. */
async function lookups(tx: postgres.TransactionSql, seed: number): Promise<void> {
  if (!Number.isSafeInteger(seed)) throw new TypeError(`Cannot use the seed "${seed}": no integer`);
  await tx.unsafe(`
    create function pg_temp.key(kind text, n bigint) returns uuid language sql immutable as $$
        select overlay(overlay(md5('${seed}:' || kind || ':' || n) placing '4' from 13) placing '8' from 17)::uuid
    $$;
    create function pg_temp.pick(kind text, n bigint, size bigint) returns integer language sql immutable as $$
        select (('x' || substr(md5('${seed}:' || kind || ':' || n), 1, 8))::bit(32)::bigint % size)::integer
    $$;
    create temporary table openhouse_topics (n integer, sender text, body text) on commit drop;
    create temporary table openhouse_units
        (n bigint, id uuid, development_id uuid, tenant_id uuid, label text, development text) on commit drop;
  `);
  const topics = TOPICS.flatMap((turns, n) =>
    turns.map((body, turn) => ({ n, sender: SENDERS[turn] ?? "staff", body }))
  );
  await tx`insert into openhouse_topics ${tx(topics, "n", "sender", "body")}`;
}

async function tenantsAndPeople(tx: postgres.TransactionSql, tenants: number) {
  await tx`
    insert into public.tenants (id, name, slug, plan, created_at)
    select pg_temp.key('tenant', t),
           name || case when t < ${COMPANIES.length} then '' else ' ' || (t + 1) end,
           trim(both '-' from regexp_replace(lower(name), '[^a-z]+', '-', 'g')) || '-' || (t + 1),
           (array['starter', 'growth', 'enterprise'])[1 + t % 3],
           timestamptz '2025-01-06 09:00Z' + t * interval '1 day'
    from generate_series(0, ${tenants}::integer - 1) as t
    cross join lateral (select (${COMPANIES}::text[])[1 + t % ${COMPANIES.length}::integer] as name) as c`;
  // Five people a tenant: an owner, a manager, two agents and an agent who left (disabled). The first
  // tenant's second agent also works for the second tenant.
  await tx`
    create temporary table openhouse_people on commit drop as
    select t, p, pg_temp.key('user', t * 5 + p) as user_id, pg_temp.key('tenant', t) as tenant_id,
           (array['owner', 'manager', 'agent', 'agent', 'agent'])[1 + p] as role, p < 4 as is_active
    from generate_series(0, ${tenants}::integer - 1) as t, generate_series(0, 4) as p`;
  const users = await tx`
    insert into auth.users (id, email)
    select user_id, lower((${PEOPLE}::text[])[1 + (t * 5 + p) % ${PEOPLE.length}::integer]) || '.' || t || p || '@openhouse.example'
    from openhouse_people order by t, p`;
  const members = await tx`
    insert into public.members (id, tenant_id, user_id, role, is_active, created_at)
    select pg_temp.key('member', t * 5 + p), tenant_id, user_id, role, is_active, timestamptz '2025-01-07 09:00Z'
    from openhouse_people
    union all
    select pg_temp.key('second', 0), pg_temp.key('tenant', 1), user_id, 'agent', true, timestamptz '2025-01-08 09:00Z'
    from openhouse_people where t = 0 and p = 3 and ${tenants}::integer > 1`;
  return { users: users.count, members: members.count };
}

async function developmentsAndUnits(tx: postgres.TransactionSql, tenants: number) {
  const names = PLACES.map(([name]) => name);
  const cities = PLACES.map(([, city]) => city);
  const developments = await tx`
    insert into public.developments (id, tenant_id, name, city, address, created_at)
    select pg_temp.key('development', t * 3 + d), pg_temp.key('tenant', t),
           (${names}::text[])[1 + (t * 3 + d) % ${names.length}::integer],
           (${cities}::text[])[1 + (t * 3 + d) % ${names.length}::integer],
           (1 + pg_temp.pick('house', t * 3 + d, 180)) || ' Station Road', timestamptz '2025-02-03 09:00Z'
    from generate_series(0, ${tenants}::integer - 1) as t, generate_series(0, 2) as d
    where d < 3 - t % 2`;
  const units = await tx`
    insert into public.units (id, tenant_id, development_id, label, floor, bedrooms, price_cents, status, created_at)
    select pg_temp.key('unit', (t * 3 + d) * 20 + u), pg_temp.key('tenant', t), pg_temp.key('development', t * 3 + d),
           'Flat ' || (1 + u / 4) || chr(65 + u % 4), u / 4, 1 + u % 3,
           18500000 + 250000 * pg_temp.pick('price', (t * 3 + d) * 20 + u, 90),
           (array['available', 'reserved', 'sold', 'sold'])[1 + u % 4], timestamptz '2025-02-10 09:00Z'
    from generate_series(0, ${tenants}::integer - 1) as t, generate_series(0, 2) as d, generate_series(0, 19) as u
    where d < 3 - t % 2`;
  await tx`
    insert into openhouse_units
    select row_number() over (order by u.id) - 1, u.id, u.development_id, u.tenant_id, u.label, d.name
    from public.units as u join public.developments as d on d.id = u.development_id`;
  await tx`analyze openhouse_units`;
  return { developments: developments.count, units: units.count };
}

/** Resident asks, assistant answers, sometimes staff follow up: the messages of the ninety days before July 2026. */
async function messages(
  tx: postgres.TransactionSql,
  range: { from: number; to: number; rows: number },
): Promise<void> {
  await tx`
    insert into public.messages (id, tenant_id, development_id, unit_id, sender, body, is_read, created_at)
    select pg_temp.key('message', i),
           case when not lost then u.tenant_id end,
           case when not lost then u.development_id end,
           u.id, s.sender,
           replace(replace(replace(p.body, '{unit}', u.label), '{development}', u.development), '{name}',
               (${PEOPLE}::text[])[1 + i % ${PEOPLE.length}::integer]),
           i % 7 > 0,
           timestamptz '2026-07-01 00:00Z' - (${range.rows}::bigint - i) * (interval '90 days' / ${range.rows}::bigint)
    from (
        select i, i / 5 as thread, i / 5 * 2 + least(i % 5 / 2, 1) as topic, (array['resident', 'assistant', 'resident', 'assistant', 'staff'])[1 + i % 5] as sender,
               i % 200 = 113 and not (
                   select attnotnull from pg_catalog.pg_attribute
                   where attrelid = 'public.messages'::regclass and attname = 'tenant_id'
               ) as lost
        from generate_series(${range.from}::bigint, ${range.to}::bigint - 1) as i
    ) as s
    join openhouse_units as u on u.n = pg_temp.pick('place', s.thread, (select count(*) from openhouse_units))
    join openhouse_topics as p on p.sender = s.sender and p.n = pg_temp.pick('topic', s.topic, ${TOPICS.length})
    order by i`;
}

async function onboardingAttempts(tx: postgres.TransactionSql, tenants: number): Promise<number> {
  const result = await tx`
    insert into public.onboarding_attempts (id, tenant_id, unit_id, email, succeeded, error, attempted_at)
    select pg_temp.key('attempt', i), u.tenant_id, u.id, 'resident' || i || '@mail.example', i % 12 > 0,
           case when i % 12 = 0 then (${ONBOARDING_ERRORS}::text[])[1 + (i / 12) % ${ONBOARDING_ERRORS.length}::integer] end,
           timestamptz '2026-07-01 00:00Z' - i * interval '7 hours'
    from generate_series(0, 80 * ${tenants}::integer - 1) as i
    join openhouse_units as u on u.n = pg_temp.pick('onboarding', i, (select count(*) from openhouse_units))`;
  return result.count;
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("it must be a whole number");
  return Number(text);
}

type Flags = CommonOptions & { rows: number; seed: number; tenants: number };

/** `node --import tsx examples/openhouse/generate.ts --rows 50000`: fill the database that an env variable names. */
export function command(): Command {
  return commonOptions(new Command("generate"))
    .description("Fill an OpenHouse database with generated tenants, people, homes and messages.")
    .option("--rows <n>", "messages to write, over all tenants", wholeNumber, 50_000)
    .option("--seed <n>", "the same seed gives the same rows", wholeNumber, 7)
    .option("--tenants <n>", "tenants to write", wholeNumber, 3)
    .action(async ({ rows, seed, tenants, databaseEnv, json }: Flags) => {
      const sql = await openDatabase(databaseEnv);
      try {
        const onProgress = (done: number, total: number) => {
          if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${total} messages`);
        };
        const counts = await generateOpenHouse(sql, { rows, seed, tenants, onProgress });
        if (process.stderr.isTTY) process.stderr.write("\n");
        const lines = Object.entries(counts).map(([table, n]) => `${table.padEnd(20)} ${n}`);
        process.stdout.write(`${json ? JSON.stringify(counts) : lines.join("\n")}\n`);
      } finally {
        await sql.end({ timeout: 5 });
      }
    });
}

if (isMain(import.meta.url)) await runCli(command());
