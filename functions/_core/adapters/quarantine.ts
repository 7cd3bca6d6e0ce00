import { ident, idents, literal } from "../adopt/names.ts";
import { BulkheadError } from "../errors.ts";
import type { Sql, TransactionSql } from "./postgres.ts";

/** One row in quarantine. */
export type QuarantinedRow = {
  id: string;
  relation: string;
  key: Record<string, string | null>;
  reason: string;
  /** The tenant it named itself, if any. */
  ownTenant: string | null;
  assignedTenant: string | null;
  changes: Record<string, string | null>;
  quarantinedAt: string;
  restoredAt: string | null;
};

/** Which rows: by number, by table, or all that wait. */
export type QuarantineChoice = { ids?: readonly string[]; table?: string };

/**
 * The rows that wait, oldest first; with `restored` those that went home, too.
 *
 * @example
 * const rows = await listQuarantine(sql, { table: "public.units" });
 */
export async function listQuarantine(
  sql: Sql | TransactionSql,
  choice: QuarantineChoice & { restored?: boolean } = {},
): Promise<QuarantinedRow[]> {
  const [found] = await sql`select to_regclass('bulkhead.adopt_quarantine') is not null as there`;
  if (found?.["there"] !== true) return [];
  const rows = await sql<QuarantinedRow[]>`
    select q.id::text, q.relation, q.row_key as key, q.reason, q.content ->> p.tenant_column as "ownTenant",
      q.assigned_tenant as "assignedTenant", q.changes, q.quarantined_at::text as "quarantinedAt", q.restored_at::text as "restoredAt"
    from bulkhead.adopt_quarantine as q
    left join bulkhead.protected_tables as p on p.relation = to_regclass(q.relation)
    where (${choice.ids === undefined} or q.id = any (${[...(choice.ids ?? [])]}::bigint[]))
      and (${choice.table === undefined} or q.relation = ${choice.table ?? ""})
      and (${choice.restored === true} or q.restored_at is null)
    order by q.id
  `;
  return [...rows];
}

/** What to do with the chosen rows. */
export type Assignment = { tenant: string; changes: Record<string, string | null>; apply: boolean };

/**
 * Say which tenant rows belong to, and correct columns of theirs. Nothing comes home yet. The ledger keeps who said so.
 *
 * @example
 * await assignQuarantine(sql, { ids: ["7"] }, { tenant, changes: { unit_id: null }, apply: true });
 * @throws BulkheadError `BH_QUARANTINE`, kind `usage`, for an unknown tenant, column or row.
 */
export async function assignQuarantine(
  sql: Sql,
  choice: QuarantineChoice,
  assignment: Assignment,
): Promise<QuarantinedRow[]> {
  const { tenant, changes, apply } = assignment;
  return await transaction(sql, apply, async (tx) => {
    await tx`select from bulkhead.adopt_quarantine for update`;
    const rows = await chosen(tx, choice);
    const [settings] = await tx`
      select format('%I.%I', n.nspname, c.relname) as table, s.tenant_key as key
      from bulkhead.settings as s join pg_class as c on c.oid = s.tenants_table join pg_namespace as n on n.oid = c.relnamespace`;
    if (!settings) {
      throw refused("Bulkhead is not configured", "apply the adoption's migrations first");
    }
    const [exists] = await tx.unsafe(
      `select exists (select from ${settings["table"]} as t where t.${
        ident(settings["key"])
      }::text = $1) as there`,
      [tenant],
    );
    if (exists?.["there"] !== true) {
      throw refused(`there is no tenant "${tenant}"`, `take an id of ${settings["table"]}`);
    }
    for (const row of rows) {
      const [content] =
        await tx`select content from bulkhead.adopt_quarantine where id = ${row.id}`;
      const unknown = Object.keys(changes).find((column) => !(column in content?.["content"]));
      if (unknown !== undefined) {
        throw refused(
          `${row.relation} has no column "${unknown}"`,
          "bulkhead recover list --json shows each row's table",
        );
      }
    }
    const ids = rows.map((row) => row.id);
    await tx`
      update bulkhead.adopt_quarantine set assigned_tenant = ${tenant}, changes = changes || ${
      tx.json(changes)
    }
      where id = any (${ids}::bigint[])`;
    for (const row of rows) {
      await tx`select bulkhead.log_change('recover_assign', ${row.relation}, ${tenant}, ${
        tx.json({ id: row.id, key: row.key, reason: row.reason, changes })
      }::jsonb)`;
    }
    return await listQuarantine(tx, { ids });
  });
}

/**
 * Bring rows home, all chosen ones in one statement, so that rows that refer to each other come together. Every
 * constraint holds; what violates one stays in quarantine, and so does everything chosen with it.
 *
 * @example
 * const { restored, waiting } = await restoreQuarantine(sql, {}, { apply: true });
 */
export async function restoreQuarantine(
  sql: Sql,
  choice: QuarantineChoice,
  options: { apply: boolean },
): Promise<{ restored: QuarantinedRow[]; waiting: QuarantinedRow[] }> {
  return await transaction(sql, options.apply, async (tx) => {
    await tx`select from bulkhead.adopt_quarantine for update`;
    const all = await chosen(tx, choice);
    const tenantColumns = await columnsByTable(tx, all);
    const placed = (row: QuarantinedRow) => {
      const table = tenantColumns.get(row.relation);
      return table !== undefined &&
        (table.tenant === null || row.assignedTenant !== null || row.ownTenant !== null);
    };
    const restored = all.filter(placed);
    const waiting = all.filter((row) => !placed(row));
    if (restored.length === 0) return { restored, waiting };
    const relations = [...new Set(restored.map((row) => row.relation))];
    const parts = relations.map((relation, at) => {
      const table = tenantColumns.get(relation);
      const columns = table?.columns ?? [];
      const values = columns.map(({ name, type }) =>
        name === table?.tenant
          ? `coalesce(t.assigned_tenant, t.content ->> ${literal(name)})::${type}`
          : `(case when t.changes ? ${literal(name)} then t.changes else t.content end ->> ${
            literal(name)
          })::${type}`
      );
      return `home_${at} as (insert into ${relation} (${
        idents(columns.map((column) => column.name))
      }) overriding system value
        select ${values.join(", ")} from taken as t where t.relation = ${
        literal(relation)
      } returning 1)`;
    });
    const ids = restored.map((row) => row.id);
    await tx.unsafe(
      `with taken as (
        update bulkhead.adopt_quarantine as q set restored_at = now(), restored_by = session_user
        where q.id = any ($1::bigint[]) and q.restored_at is null returning q.*
      ), ${parts.join(", ")} select ${
        parts.map((_, at) => `(select count(*) from home_${at})`).join(" + ")
      }`,
      [ids],
    ).catch((error: unknown) => {
      const detail = error instanceof Error && "detail" in error ? `: ${String(error.detail)}` : "";
      if (!(error instanceof Error && "code" in error && /^23/.test(String(error.code)))) {
        throw error;
      }
      throw refused(
        `${error.message}${detail}`,
        "assign the tenant of the row it refers to, restore both together, or correct the column with assign --set column=value",
        error,
      );
    });
    for (const row of restored) {
      await tx`select bulkhead.log_change('recover_restore', ${row.relation}, ${
        row.assignedTenant ?? row.ownTenant
      }, ${tx.json({ id: row.id, key: row.key })}::jsonb)`;
    }
    return { restored, waiting };
  });
}

type TableShape = { tenant: string | null; columns: { name: string; type: string }[] };

async function columnsByTable(
  tx: TransactionSql,
  rows: readonly QuarantinedRow[],
): Promise<Map<string, TableShape>> {
  const found = await tx<
    { relation: string; tenant: string | null; columns: TableShape["columns"] }[]
  >`
    select r.relation, p.tenant_column as tenant, (
      select jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod)) order by a.attnum)
      from pg_attribute as a
      where a.attrelid = to_regclass(r.relation) and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
    ) as columns
    from unnest(${[...new Set(rows.map((row) => row.relation))]}::text[]) as r (relation)
    left join bulkhead.protected_tables as p on p.relation = to_regclass(r.relation)
    where to_regclass(r.relation) is not null`;
  return new Map(found.map((one) => [one.relation, { tenant: one.tenant, columns: one.columns }]));
}

async function chosen(tx: TransactionSql, choice: QuarantineChoice): Promise<QuarantinedRow[]> {
  const rows = await listQuarantine(tx, choice);
  const missing = choice.ids?.find((id) => !rows.some((row) => row.id === id));
  if (missing !== undefined) {
    throw refused(`no row ${missing} waits`, "bulkhead recover list shows the rows that do");
  }
  return rows;
}

/** A dry run does everything and rolls it back: what it reports is what would happen. */
async function transaction<T>(
  sql: Sql,
  apply: boolean,
  work: (tx: TransactionSql) => Promise<T>,
): Promise<T> {
  const undo = new Error("dry run");
  let result: { value: T } | undefined;
  try {
    await sql.begin(async (tx) => {
      await tx.unsafe(
        "set local row_security = off; set local lock_timeout = '2s'; set local search_path = pg_catalog",
      ).simple();
      result = { value: await work(tx) };
      if (!apply) throw undo;
    });
  } catch (error) {
    if (error !== undo) throw error;
  }
  if (result === undefined) throw undo;
  return result.value;
}

function refused(state: string, hint: string, cause?: unknown): BulkheadError {
  return new BulkheadError("BH_QUARANTINE", `Cannot recover: ${state}`, {
    kind: "usage",
    hint,
    cause,
  });
}
