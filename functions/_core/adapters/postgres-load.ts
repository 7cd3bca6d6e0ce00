import type { Manifest } from "../backup/manifest-schema.ts";
import { BulkheadError } from "../errors.ts";
import type { TransactionSql } from "./postgres.ts";

/** Rows that point to a table which is no part of a backup, such as auth.users, and find nothing there yet. */
export type WaitingKey = { readonly child: string; readonly parent: string; readonly rows: number };

/** What was taken off a database for a load, as statements that put it back. */
export type Held = { readonly isReplica: boolean; readonly putBack: readonly string[] };

/** Tables of a backup and their partitions; `ordinal` is the order of loading. */
const EXPORTED = `
  with exported as (
    select t.relation::oid as oid, t.ordinal, t.scope from bulkhead.tables_to_export() as t
  ),
  tables as (
    select e.oid from exported as e
    union
    select i.relid from exported as e cross join lateral pg_catalog.pg_partition_tree(e.oid) as i
  )`;

const TRIGGERS = `${EXPORTED}
  select
    format('alter table %s disable trigger %I', bulkhead.qualified(g.tgrelid), g.tgname) as away,
    format('alter table %s enable %s trigger %I', bulkhead.qualified(g.tgrelid),
      case g.tgenabled when 'A' then 'always' when 'R' then 'replica' else '' end, g.tgname) as back
  from tables as t
  join pg_catalog.pg_trigger as g on g.tgrelid = t.oid
  where not g.tgisinternal and g.tgenabled <> 'D'
  order by g.tgrelid, g.tgname`;

/** Keys that close a circle, for whoever can't load in replica mode. */
const KEYS = `${EXPORTED}
  select
    format('alter table %s drop constraint %I', bulkhead.qualified(c.conrelid), c.conname) as away,
    format('alter table %s add constraint %I %s', bulkhead.qualified(c.conrelid), c.conname,
      pg_get_constraintdef(c.oid)) as back
  from pg_catalog.pg_constraint as c
  join exported as child on child.oid = c.conrelid
  join exported as parent on parent.oid = c.confrelid
  -- A key to the same table too: the row it points to may be in the next part.
  -- One that is NOT VALID checks what is loaded all the same, and the source may hold rows that break it.
  where c.contype = 'f' and c.conparentid = 0
    and (parent.ordinal >= child.ordinal or (child.scope = 'global' and parent.scope = 'tenant') or not c.convalidated)`;

/** Rules of tables and domains that promise nothing of older rows (NOT VALID), and would refuse them here. */
const LENIENT = `${EXPORTED}
  select
    format('alter table %s drop constraint %I', bulkhead.qualified(c.conrelid), c.conname) as away,
    format('alter table %s add constraint %I %s', bulkhead.qualified(c.conrelid), c.conname,
      pg_get_constraintdef(c.oid)) as back
  from tables as t
  join pg_catalog.pg_constraint as c on c.conrelid = t.oid
  where c.contype in ('c', 'n') and not c.convalidated and c.coninhcount = 0
  union all
  select
    format('alter domain %I.%I drop constraint %I', n.nspname, d.typname, c.conname),
    format('alter domain %I.%I add constraint %I %s', n.nspname, d.typname, c.conname, pg_get_constraintdef(c.oid))
  from pg_catalog.pg_constraint as c
  join pg_catalog.pg_type as d on d.oid = c.contypid
  join pg_catalog.pg_namespace as n on n.oid = d.typnamespace
  where not c.convalidated and pg_has_role(d.typowner, 'usage')`;

/**
 * Make an empty database ready for rows that were valid where they come from: triggers off, rules that they may break
 * away, and what installing the kit and the migrations wrote (events, rows of global tables) gone.
 *
 * @example
 * const held = await hold(tx); await load(tx); await release(tx, held, manifest);
 */
export async function hold(tx: TransactionSql): Promise<Held> {
  const isReplica = await probeReplica(tx);
  const putBack: string[] = [];
  for (const query of isReplica ? [LENIENT, TRIGGERS] : [KEYS, LENIENT, TRIGGERS]) {
    const found = await tx.unsafe<{ away: string; back: string }[]>(query);
    for (const { away, back } of found) {
      await tx.unsafe(away);
      putBack.push(back);
    }
  }
  // Children first: nothing of a tenant is here, but global tables may point to each other.
  const globals = await tx<{ name: string }[]>`
    select bulkhead.qualified(t.relation) as name
    from bulkhead.tables_to_export() as t
    where t.scope = 'global' and t.schema_name <> 'bulkhead'
    order by t.ordinal desc
  `;
  for (const { name } of globals) await empty(tx, name);
  // The events of setting up an empty database give way to the trail that belongs to the data.
  await tx`truncate bulkhead.audit_seals, bulkhead.audit_eras, bulkhead.audit_shares,
    bulkhead.audit_leaves, bulkhead.audit_events`;
  return { isReplica, putBack };
}

async function empty(tx: TransactionSql, name: string): Promise<void> {
  try {
    await tx.unsafe(`delete from ${name}`);
  } catch (error) {
    const isHeld = error instanceof Error && "code" in error &&
      /^23(503|001)$/.test(String(error.code));
    if (!isHeld) throw error;
    throw pointedTo(`${name}: ${error.message}`, error);
  }
}

function pointedTo(what: string, cause?: unknown): BulkheadError {
  return new BulkheadError(
    "BH_RESTORE_NOT_EMPTY",
    `Cannot restore the backup: rows of tables that no backup holds point to ${what}`,
    { kind: "usage", hint: "Empty those tables first, or name another database", cause },
  );
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

/**
 * Put everything back, look at the keys by hand, and begin an era of the ledger for what comes; returns what waits for
 * rows that are no backup's to bring.
 */
export async function release(
  tx: TransactionSql,
  held: Held,
  manifest: Manifest,
): Promise<WaitingKey[]> {
  if (held.isReplica) await tx`set local session_replication_role = 'origin'`;
  // Deferred checks still waiting would forbid what follows.
  await tx`set constraints all immediate`;
  for (const back of held.putBack) await tx.unsafe(back);
  const open = await tx<
    {
      name: string;
      child: string;
      parent: string;
      rows: string;
      is_exported: boolean;
      is_ours: boolean;
    }[]
  >`
    select b.name, b.child::text, b.parent::text, b.rows, b.is_exported,
      exists (select from bulkhead.tables_to_export() as t where t.relation = b.child) as is_ours
    from bulkhead.broken_foreign_keys() as b
    join pg_catalog.pg_constraint as c on c.conrelid = b.child and c.conname = b.name
    -- NOT VALID here is NOT VALID in the source, by the schema's fingerprint: nothing was promised there.
    where c.convalidated or not b.is_exported
  `;
  const theirs = open.filter((key) => !key.is_ours);
  if (theirs.length > 0) {
    throw pointedTo(
      theirs.map((key) => `what ${key.parent} does not hold: ${key.rows} of ${key.child}`).join(
        "; ",
      ),
    );
  }
  const broken = open.filter((key) => key.is_exported);
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
  return open.map(({ child, parent, rows }) => ({ child, parent, rows: Number(rows) }));
}
