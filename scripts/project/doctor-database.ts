import * as z from "zod";
import type { Sql } from "../../functions/_core/adapters/postgres.ts";
import { messageOf } from "../../functions/_core/errors.ts";
import { fail, type Finding, info, pass, unknown } from "./finding.ts";
import type { Kit } from "./kit.ts";
import type { Lock } from "./lock.ts";
import { sqlFiles } from "./install.ts";
import { GENERATED, kitStatements } from "./sql-changes.ts";

const PUSH = "npx supabase db push";
const NOT_INSTALLED = "the kit is not in this database yet";

/** Functions' address and the secret that signs calls to them, where Vault holds them. */
export type Vault = { url: string | null; secret: string | null };

/**
 * What a database lacks, in the order in which to put it right. Only reads.
 *
 * @example
 * const { findings, vault } = await examineDatabase(sql, readKit(), readLock(project));
 */
export async function examineDatabase(
  sql: Sql,
  kit: Kit,
  lock: Lock | undefined,
): Promise<{ findings: Finding[]; vault: Vault }> {
  const findings: Finding[] = [];
  const ask = async (name: string, look: () => Promise<Finding[]>) => {
    try {
      findings.push(...await look());
    } catch (error) {
      findings.push(unknown(name, messageOf(error)));
    }
  };
  await ask("database", () => server(sql));
  await ask("extensions", () => extensions(sql));
  const installed = await has(sql, "to_regclass('bulkhead.settings')");
  if (!installed) {
    findings.push(
      fail(
        "kit_installed",
        NOT_INSTALLED,
        lock === undefined ? `npx bulkhead init && ${PUSH}` : PUSH,
      ),
    );
  } else {
    await ask("kit_version", () => version(sql, kit));
    if (lock !== undefined) await ask("migrations_applied", () => applied(sql, lock));
    await ask("settings_configured", () => settings(sql));
    await ask("schedule", () => schedule(sql));
  }
  const vault: Vault = { url: null, secret: null };
  await ask("vault_secrets", () => secrets(sql, vault));
  await ask("api_schema", () => apiSchema(sql));
  return { findings, vault };
}

async function server(sql: Sql): Promise<Finding[]> {
  const [row] = z.array(z.object({ version: z.string(), major: z.number() })).parse([
    ...await sql`
      select current_setting('server_version') as version,
        current_setting('server_version_num')::int / 10000 as major`,
  ]);
  const text = `Postgres ${row?.version ?? "?"}`;
  return row !== undefined && row.major >= 15
    ? [pass("database", text)]
    : [fail("database", `${text}; Bulkhead needs 15 or newer`, "npx supabase projects list")];
}

/** By what they bring, since the local stack and other hosts install them under other names. */
async function extensions(sql: Sql): Promise<Finding[]> {
  const wanted = [
    [
      "pg_cron",
      "coalesce(to_regprocedure('cron.schedule(text,text,text)'), to_regprocedure('cron.schedule(name,text,text)'))",
    ],
    ["pg_net", "to_regclass('net.http_request_queue')"],
    ["supabase_vault", "to_regclass('vault.decrypted_secrets')"],
  ] as const;
  const found: Finding[] = [];
  for (const [name, object] of wanted) {
    found.push(
      await has(sql, object)
        ? pass(`extension_${name}`, "installed")
        : fail(`extension_${name}`, "missing", `create extension if not exists ${name};`),
    );
  }
  return [...found, ...await oneJobAtATime(sql)];
}

/** pg_cron before 1.5 waits for each background worker: a long pass holds up the seals, the alerts and the reaper. */
async function oneJobAtATime(sql: Sql): Promise<Finding[]> {
  const [row] = z.array(z.object({ version: z.string() })).parse([
    ...await sql`
      select e.extversion as version
      from pg_catalog.pg_extension as e
      where e.extname = 'pg_cron'
        and string_to_array(substring(e.extversion from '^[0-9]+[.][0-9]+'), '.')::integer[] < array[1, 5]
        and current_setting('cron.use_background_workers', true)::boolean`,
  ]);
  if (row === undefined) return [];
  return [
    fail(
      "pg_cron_workers",
      `pg_cron ${row.version} with cron.use_background_workers runs one job at a time; update it, or turn that off and restart`,
      "alter system set cron.use_background_workers = off;",
    ),
  ];
}

/** Bodies are compared, so the answer does not depend on what any record says. */
async function version(sql: Sql, kit: Kit): Promise<Finding[]> {
  const rows = z.array(z.object({ name: z.string(), body: z.string() })).parse([
    ...await sql`
      select n.nspname || '.' || p.proname as name, p.prosrc as body
      from pg_catalog.pg_proc as p
      join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
      where n.nspname in ('bulkhead', 'bulkhead_api')`,
  ]);
  const present = new Set(rows.map(({ name, body }) => `${name} ${body.trim()}`));
  const wanted = kitStatements(sqlFiles(kit)).flatMap(({ key, kind, name, text }) => {
    const [, , body] = /\bas\s+(\$\w*\$)([\s\S]*)\1/i.exec(text) ?? [];
    return kind !== "function" || GENERATED.has(key) || body === undefined ? [] : [{ name, body }];
  });
  const others = wanted.filter(({ name, body }) => !present.has(`${name} ${body.trim()}`));
  if (others.length === 0) {
    return [pass("kit_version", `${kit.version}, ${wanted.length} functions compared`)];
  }
  const names = [...new Set(others.map(({ name }) => name))];
  return [
    fail(
      "kit_version",
      `${others.length} of ${wanted.length} functions are not those of ${kit.version}: ${
        names.slice(0, 5).join(", ")
      }${names.length > 5 ? ", …" : ""}`,
      `npx bulkhead upgrade && ${PUSH}`,
    ),
  ];
}

async function applied(sql: Sql, lock: Lock): Promise<Finding[]> {
  const name = "migrations_applied";
  if (!await has(sql, "to_regclass('supabase_migrations.schema_migrations')")) {
    return [unknown(name, "the Supabase CLI has recorded nothing here", PUSH)];
  }
  const done = new Set(
    z.array(z.object({ version: z.string() })).parse([
      ...await sql`select version from supabase_migrations.schema_migrations`,
    ]).map((row) => row.version),
  );
  const open = lock.migrations.filter(({ path }) =>
    !done.has(/(\d{14})_[^/]*$/.exec(path)?.[1] ?? "")
  );
  return [
    open.length === 0
      ? pass(name, `${lock.migrations.length} of ${lock.migrations.length}`)
      : fail(name, `not yet: ${open.map(({ path }) => path).join(", ")}`, PUSH),
  ];
}

async function settings(sql: Sql): Promise<Finding[]> {
  const [row] = z.array(
    z.object({
      tenants: z.string().nullable(),
      members: z.string().nullable(),
      tables: z.number(),
    }),
  ).parse([
    ...await sql`
      select tenants_table::text as tenants, membership_table::text as members,
        (select count(*)::int from bulkhead.protected_tables where parent is null) as tables
      from bulkhead.settings`,
  ]);
  if (row === undefined || row.tenants === null) {
    return [
      fail(
        "settings_configured",
        "nobody has said which table holds the tenants",
        "select bulkhead.configure('public.tenants', membership_table => 'public.members');",
      ),
    ];
  }
  return [
    pass("settings_configured", `tenants in ${row.tenants}`),
    row.members === null
      ? info(
        "membership_table",
        "none: the tenant is read from app_metadata, which outlives a membership",
      )
      : pass("membership_table", row.members),
    row.tables === 0
      ? fail("tables_protected", "none", "select bulkhead.protect('public.your_table');")
      : pass("tables_protected", String(row.tables)),
  ];
}

async function schedule(sql: Sql): Promise<Finding[]> {
  const rows = z.array(z.object({ name: z.string(), active: z.boolean() })).parse([
    ...await sql`select name, coalesce(is_active, false) as active from bulkhead.timetable`,
  ]);
  const missing = rows.filter(({ active }) => !active).map(({ name }) => name);
  return [
    rows.length > 0 && missing.length === 0 ? pass("schedule", `${rows.length} jobs`) : fail(
      "schedule",
      `pg_cron does not run ${missing.join(", ") || "any job"}`,
      "select bulkhead.schedule();",
    ),
  ];
}

async function secrets(sql: Sql, vault: Vault): Promise<Finding[]> {
  if (!await has(sql, "to_regclass('vault.decrypted_secrets')")) {
    return [
      unknown(
        "vault_secrets",
        "there is no Vault",
        "create extension if not exists supabase_vault;",
      ),
    ];
  }
  const rows = z.array(z.object({ name: z.string(), secret: z.string().nullable() })).parse([
    ...await sql`
      select name, decrypted_secret as secret from vault.decrypted_secrets
      where name in ('bulkhead_functions_url', 'bulkhead_hmac_secret')`,
  ]);
  const held = (name: string) => rows.find((row) => row.name === name)?.secret || null;
  vault.url = held("bulkhead_functions_url");
  vault.secret = held("bulkhead_hmac_secret");
  return [
    vault.url !== null ? pass("vault_bulkhead_functions_url", vault.url) : fail(
      "vault_bulkhead_functions_url",
      "missing",
      "select vault.create_secret('https://<project>.supabase.co/functions/v1', 'bulkhead_functions_url');",
    ),
    vault.secret !== null && vault.secret.length >= 43
      ? pass("vault_bulkhead_hmac_secret", "set")
      : vault.secret !== null
      ? fail(
        "vault_bulkhead_hmac_secret",
        "shorter than 32 bytes",
        "select vault.update_secret((select id from vault.secrets where name = 'bulkhead_hmac_secret'), '<openssl rand -hex 32>');",
      )
      : fail(
        "vault_bulkhead_hmac_secret",
        "missing",
        "select vault.create_secret('<openssl rand -hex 32>', 'bulkhead_hmac_secret');",
      ),
  ];
}

/** PostgREST's list is in the database only where somebody put it there. */
async function apiSchema(sql: Sql): Promise<Finding[]> {
  const [row] = z.array(z.object({ setting: z.string() })).parse([
    ...await sql`
      select setting
      from pg_catalog.pg_db_role_setting as s
      join pg_catalog.pg_roles as r on r.oid = s.setrole
      cross join lateral unnest(s.setconfig) as setting
      where r.rolname = 'authenticator' and setting like 'pgrst.db_schemas=%'
        and s.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = current_database()))
      order by s.setdatabase desc
      limit 1`,
  ]);
  const command = "npx supabase config push";
  if (row === undefined) {
    return [
      unknown(
        "api_schema",
        "the database does not say which schemas the API exposes; see Project Settings > Data API",
        command,
      ),
    ];
  }
  const schemas = row.setting.replace(/^[^=]*=/, "").split(",").map((name) => name.trim());
  return [
    schemas.includes("bulkhead_api")
      ? pass("api_schema", "bulkhead_api is exposed")
      : fail("api_schema", `bulkhead_api is not among ${schemas.join(", ")}`, command),
  ];
}

async function has(sql: Sql, expression: string): Promise<boolean> {
  const [row] = await sql.unsafe(`select (${expression}) is not null as found`);
  return row?.["found"] === true;
}
