import * as z from "zod";
import type { Manifest } from "../backup/manifest-schema.ts";
import type { Loader, RestoreTarget } from "../backup/restore-target.ts";
import { BulkheadError } from "../errors.ts";
import { hold, release, type WaitingKey } from "./postgres-load.ts";
import { copyIn, placeOf, type Sql, type TransactionSql } from "./postgres.ts";
import { quote } from "./postgres-export.ts";

/** The same writing of values as in the export. */
export const PINNED = `
  set local datestyle = 'ISO, YMD'; set local intervalstyle = 'iso_8601'; set local timezone = 'UTC';
  set local extra_float_digits = 3; set local bytea_output = 'hex'; set local lc_monetary = 'C';
  set local xmloption = 'content'; set local quote_all_identifiers = off; set local array_nulls = on;
  set local client_encoding = 'UTF8'; set local search_path = '';
  set local row_security = off; set local statement_timeout = 0; set local lock_timeout = '30s';
  set local idle_in_transaction_session_timeout = 0`;

/** Which database a connection is in: the cluster's identifier and the database's oid. */
export async function identityOf(sql: Sql): Promise<string> {
  const [row] = await sql<{ id: string }[]>`
    select c.system_identifier::text || '/' || d.oid::text as id
    from pg_catalog.pg_control_system() as c
    cross join pg_catalog.pg_database as d
    where d.datname = current_database()
  `;
  return row?.id ?? "";
}

/**
 * An empty database that has the kit's and the project's migrations. A superuser (or Supabase's `postgres`)
 * loads in replica mode; anybody else parents first, dropping and adding again the keys that close a circle.
 *
 * @example
 * const target = restoreTarget(sql, { url, sourceIdentity });
 */
export function restoreTarget(
  sql: Sql,
  options: {
    readonly url: string;
    readonly sourceIdentity?: string;
    /** Told, once everything is there, of keys whose other end no backup brings. */
    readonly onWaiting?: (keys: readonly WaitingKey[]) => void;
  },
): RestoreTarget {
  const place = placeOf(options.url);
  const refuse = (code: string, state: string, hint: string) =>
    new BulkheadError(code, `Cannot restore into "${place}": ${state}`, { kind: "usage", hint });
  const intoSource = () =>
    refuse(
      "BH_RESTORE_INTO_SOURCE",
      "it is the database that the backup came from",
      "Name another, empty database; for one tenant of this one: --tenant <id>",
    );
  const otherSchema = (manifest: Manifest, state: string) =>
    refuse(
      "BH_RESTORE_SCHEMA",
      state,
      `Apply the migrations that the backup had: ${
        manifest.migrations.join(", ") || "none recorded"
      }, and the project's own`,
    );
  const check = async (on: Sql | TransactionSql, manifest: Manifest): Promise<void> => {
    const [row] = await on`
        select bulkhead.schema_fingerprint() as fingerprint,
          (select count(*)::integer from bulkhead.tenants_to_export()) as tenants,
          exists (select from bulkhead.backup_runs as r where r.id = ${manifest.id}) as is_source
      `.catch((error) => {
      // Nothing is protected here, or something is neither protected nor exempt: no backup comes from such a database.
      if (!/^BH60[15]$/.test(stateOf(error))) throw error;
      throw otherSchema(manifest, "its tables are not protected as those of the backup are");
    });
    const state = z.object({
      fingerprint: z.string(),
      tenants: z.number(),
      is_source: z.boolean(),
    }).parse(row);
    // Only where there is something to lose: an emptied source is a place to restore to.
    if (state.tenants > 0 && state.is_source) throw intoSource();
    if (state.tenants > 0) {
      throw refuse(
        "BH_RESTORE_NOT_EMPTY",
        `it holds ${state.tenants} tenants already`,
        "Restore a whole backup into an empty database; for a live one: --tenant <id>",
      );
    }
    if (state.fingerprint !== manifest.schemaFingerprint) {
      throw otherSchema(
        manifest,
        "its tables are not those of the backup (the schema fingerprints differ)",
      );
    }
  };
  return {
    async check(manifest) {
      if (
        options.sourceIdentity !== undefined && await identityOf(sql) === options.sourceIdentity
      ) {
        throw intoSource();
      }
      await check(sql, manifest);
    },
    async load(manifest, work) {
      return await sql.begin(async (tx) => {
        await tx.unsafe(PINNED);
        const [lock] = await tx<{ mine: boolean }[]>`
          select pg_try_advisory_xact_lock(hashtextextended('bulkhead.restore', 0)) as mine
        `;
        if (lock?.mine !== true) {
          throw refuse(
            "BH_RESTORE_NOT_EMPTY",
            "another restore is filling it",
            "Wait for that one to end, or name another empty database",
          );
        }
        // Of two at once, the second finds what the first has brought.
        await check(tx, manifest);
        const held = await hold(tx);
        const result = await work(loaderOf(tx));
        return { result, waiting: await release(tx, held, manifest) };
      }).then(({ result, waiting }) => {
        options.onWaiting?.(waiting);
        return result;
      }, (error) => {
        throw missingParent(error) ?? error;
      });
    },
  };
}

const stateOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : "";

/** Whoever can't load in replica mode has every key checked at once, those to Supabase's own tables too. */
function missingParent(error: unknown): BulkheadError | undefined {
  if (!(error instanceof Error) || stateOf(error) !== "23503") return undefined;
  return new BulkheadError("BH_RESTORE_KEYS", `Cannot restore the backup: ${error.message}`, {
    kind: "refused",
    hint:
      "Nothing was changed. Restore first what the rows point to (auth.users: Supabase's own backup), " +
      "or restore as a superuser, whose keys are checked after the load",
    cause: error,
  });
}

function loaderOf(tx: TransactionSql): Loader {
  return {
    async table(entry) {
      // `()` is no list: a table without a column to load has none.
      const columns = entry.columns.length > 0 ? ` (${entry.columns.map(quote).join(", ")})` : "";
      await copyIn(
        tx,
        `copy ${quote(entry.schema)}.${quote(entry.name)}${columns} from stdin`,
        entry.rows,
      );
    },
    async document(name, value) {
      if (name === "sequences") await setSequences(tx, value);
      if (name === "audit_partitions") await addPartitions(tx, value);
    },
    async hash(table, tenant) {
      const relation = `${quote(table.schema)}.${quote(table.name)}`;
      const [row] = await tx<{ rows: string; hash: string }[]>`
        select h.rows, h.hash from bulkhead.content_hash(${relation}::text::regclass, ${tenant}) as h
      `;
      return { rows: Number(row?.rows), hash: row?.hash ?? "" };
    },
  };
}

const sequences = z.array(
  z.object({
    schema: z.string(),
    name: z.string(),
    last: z.string().regex(/^-?\d+$/),
    called: z.boolean(),
  }),
);

async function setSequences(tx: TransactionSql, value: unknown): Promise<void> {
  for (const { schema, name, last, called } of sequences.parse(value)) {
    const sequence = `${quote(schema)}.${quote(name)}`;
    // No rollback takes a position back. Restarted, the sequence has a new file, which a rollback throws away.
    const [own] = await tx<{ restart: string }[]>`
      select format('alter sequence %s restart', ${sequence}::text) as restart
      from pg_catalog.pg_class as c
      where c.oid = ${sequence}::text::regclass and pg_has_role(c.relowner, 'usage')
    `;
    if (own) await tx.unsafe(own.restart);
    await tx`select setval(${sequence}::text::regclass, ${last}::text::bigint, ${called})`;
  }
}

const partitions = z.array(z.object({
  name: z.string().regex(/^audit_events_[0-9a-z_]+$/),
  bound: z.string().regex(
    /^(DEFAULT|FOR VALUES FROM \('[0-9:+ -]+'\) TO \('[0-9:+ -]+'\))$/,
  ),
}));

/** Seals are kept by partition, so each event must come back into the one it was sealed in. */
async function addPartitions(tx: TransactionSql, value: unknown): Promise<void> {
  for (const { name, bound } of partitions.parse(value)) {
    await tx`select bulkhead.ensure_leaf_partition(${name})`;
    if (bound === "DEFAULT") continue;
    const [found] = await tx`select to_regclass(${`bulkhead.${name}`}) is not null as present`;
    if (found?.["present"] === true) continue;
    await tx.unsafe(
      `create table bulkhead.${quote(name)} partition of bulkhead.audit_events ${bound};
       select bulkhead.make_append_only('bulkhead.${quote(name)}')`,
    );
  }
}
