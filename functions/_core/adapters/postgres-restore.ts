import * as z from "zod";
import type { Manifest } from "../backup/manifest-schema.ts";
import type { Loader, RestoreTarget } from "../backup/restore-target.ts";
import { BulkheadError } from "../errors.ts";
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
  options: { readonly url: string; readonly sourceIdentity?: string },
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
  return {
    async check(manifest) {
      if (
        options.sourceIdentity !== undefined && await identityOf(sql) === options.sourceIdentity
      ) {
        throw intoSource();
      }
      const [row] = await sql`
        select bulkhead.schema_fingerprint() as fingerprint,
          (select count(*)::integer from bulkhead.tenants_to_export()) as tenants,
          exists (select from bulkhead.backup_runs as r where r.id = ${manifest.id}) as is_source
      `;
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
        throw refuse(
          "BH_RESTORE_SCHEMA",
          "its tables are not those of the backup (the schema fingerprints differ)",
          `Apply the migrations that the backup had: ${
            manifest.migrations.join(", ") || "none recorded"
          }, and the project's own`,
        );
      }
    },
    async load(manifest, work) {
      return await sql.begin(async (tx) => {
        await tx.unsafe(PINNED);
        const isReplica = await probeReplica(tx);
        const loading = await prepare(tx, isReplica);
        const result = await work(loaderOf(tx));
        await finish(tx, loading, manifest);
        return { result };
      }).then(({ result }) => result);
    },
  };
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

/** Asking is the only way to know: Supabase allows it where `has_parameter_privilege` says no. */
async function probeReplica(tx: TransactionSql): Promise<boolean> {
  try {
    await tx.savepoint((inner) => inner`set local session_replication_role = 'replica'`);
    return true;
  } catch {
    return false;
  }
}

type Loading = {
  readonly isReplica: boolean;
  readonly triggers: string[];
  readonly keys: string[];
};

/** Hold every trigger back and empty the ledger of the target's own installation. */
async function prepare(tx: TransactionSql, isReplica: boolean): Promise<Loading> {
  const triggers = await tx<{ disable: string; enable: string }[]>`
    with exported as (
      select t.relation::oid as oid from bulkhead.tables_to_export() as t
    ),
    tables as (
      select e.oid from exported as e
      union
      select i.relid from exported as e cross join lateral pg_catalog.pg_partition_tree(e.oid) as i
    )
    select
      format('alter table %s disable trigger %I', bulkhead.qualified(g.tgrelid), g.tgname) as disable,
      format('alter table %s enable %s trigger %I', bulkhead.qualified(g.tgrelid),
        case g.tgenabled when 'A' then 'always' when 'R' then 'replica' else '' end, g.tgname) as enable
    from tables as t
    join pg_catalog.pg_trigger as g on g.tgrelid = t.oid
    where not g.tgisinternal and g.tgenabled <> 'D'
    order by g.tgrelid, g.tgname
  `;
  for (const { disable } of triggers) await tx.unsafe(disable);
  const keys = isReplica ? [] : await tx<{ drop: string; add: string }[]>`
    with ordered as (
      select t.relation::oid as oid, t.ordinal, t.scope from bulkhead.tables_to_export() as t
    )
    select
      format('alter table %s drop constraint %I', bulkhead.qualified(c.conrelid), c.conname) as drop,
      format('alter table %s add constraint %I %s', bulkhead.qualified(c.conrelid), c.conname,
        pg_get_constraintdef(c.oid)) as add
    from pg_catalog.pg_constraint as c
    join ordered as child on child.oid = c.conrelid
    join ordered as parent on parent.oid = c.confrelid
    -- A key to the same table too: the row it points to may be in the next part.
    -- One that is NOT VALID checks what is loaded all the same, and the source may hold rows that break it.
    where c.contype = 'f' and c.conparentid = 0
      and (parent.ordinal >= child.ordinal or (child.scope = 'global' and parent.scope = 'tenant') or not c.convalidated)
  `;
  for (const { drop } of keys) await tx.unsafe(drop);
  // The events of setting up an empty database give way to the trail that belongs to the data.
  await tx`truncate bulkhead.audit_seals, bulkhead.audit_eras, bulkhead.audit_shares,
    bulkhead.audit_leaves, bulkhead.audit_events`;
  return {
    isReplica,
    triggers: triggers.map((row) => row.enable),
    keys: keys.map((row) => row.add),
  };
}

async function finish(tx: TransactionSql, loading: Loading, manifest: Manifest): Promise<void> {
  if (loading.isReplica) await tx`set local session_replication_role = 'origin'`;
  // Deferred checks still waiting would forbid what follows.
  await tx`set constraints all immediate`;
  for (const add of loading.keys) await tx.unsafe(add);
  for (const enable of loading.triggers) await tx.unsafe(enable);
  const broken = await tx<{ name: string; child: string; rows: string }[]>`
    select b.name, b.child::text, b.rows
    from bulkhead.broken_foreign_keys() as b
    join pg_catalog.pg_constraint as c on c.conrelid = b.child and c.conname = b.name
    -- NOT VALID here is NOT VALID in the source, by the schema's fingerprint: nothing was promised there.
    where b.is_exported and c.convalidated
  `;
  if (broken.length > 0) {
    throw new BulkheadError(
      "BH_RESTORE_KEYS",
      `Cannot restore the backup: ${
        broken.map((key) => `${key.rows} rows of ${key.child} break ${key.name}`).join("; ")
      }`,
      {
        kind: "integrity",
        hint: "Nothing was kept. Choose another backup: npx bulkhead backups list",
      },
    );
  }
  // Before anything new is written: this cluster's transaction counter begins an era of its own.
  await tx`select bulkhead.seal()`;
  await tx`
    select bulkhead.log_change('restore', 'bulkhead.backup_runs', null, ${
    JSON.stringify({ backup: manifest.id, manifest: "whole", rows: manifest.rows })
  }::text::jsonb)
  `;
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
