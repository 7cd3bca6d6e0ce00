import { ident } from "../adopt/names.ts";
import { BulkheadError } from "../errors.ts";
import type { FieldCipher } from "../keys/field-cipher.ts";
import type { Sql } from "./postgres.ts";

/** A column of encrypted values. */
export type EncryptedColumn = {
  /** Qualified, as the values were bound to it: `public.integrations`. */
  readonly table: string;
  readonly column: string;
  readonly secretClass: string;
};

/** How many values were seen, and how many were encrypted anew. */
export type Reencryption = { readonly seen: number; readonly renewed: number };

const BATCH = 500;

/**
 * Encrypt every value that an older key version holds under its tenant's current one. A value that somebody changes
 * meanwhile is left to them; killed and run again it goes on with what is left. Every change is in the ledger.
 *
 * @example
 * await reencryptColumn(sql, fields, { table: "public.integrations", column: "token", secretClass: "integration-token" });
 * @throws BulkheadError `BH_ENCRYPTED_COLUMN` (kind `usage`) for a table that is not protected or has no such column.
 */
export async function reencryptColumn(
  sql: Sql,
  fields: FieldCipher,
  of: EncryptedColumn,
): Promise<Reencryption> {
  const { tenantColumn, key } = await protectedTable(sql, of);
  const table = of.table.split(".").map(ident).join(".");
  const [tenant, column] = [ident(tenantColumn), ident(of.column)];
  let seen = 0, renewed = 0;
  let after: string | null = null;
  while (true) {
    const rows: { row: string; tenant: string; value: string }[] = await sql.unsafe(
      `select ${key} as row, ${tenant}::text as tenant, ${column} as value from ${table}
       where ${column} is not null and ($1::text is null or ${key} > $1) order by 1 limit ${BATCH}`,
      [after],
    );
    for (const { row, tenant: owner, value } of rows) {
      seen++;
      after = row;
      if (await fields.isCurrent(owner, of.secretClass, value)) continue;
      const place = { table: of.table, column: of.column, row };
      const plain = await fields.decryptForTenant(owner, of.secretClass, value, place);
      const fresh = await fields.encryptForTenant(owner, of.secretClass, plain, place);
      const { count } = await sql.unsafe(
        `update ${table} set ${column} = $1 where ${key} = $2 and ${column} = $3`,
        [fresh, row, value],
      );
      renewed += count;
    }
    if (rows.length < BATCH) return { seen, renewed };
  }
}

/** The tenant's column, and SQL for a row's key as the ledger writes it. */
async function protectedTable(
  sql: Sql,
  of: EncryptedColumn,
): Promise<{ tenantColumn: string; key: string }> {
  const [found] = await sql<{ tenant_column: string; key: string; type: string | null }[]>`
    select
      t.tenant_column,
      case when cardinality(t.key_columns) = 1 then format('%I::text', t.key_columns[1])
        else format('jsonb_build_array(%s)::text', (
          select string_agg(format('%I', k.name), ', ' order by k.position)
          from unnest(t.key_columns) with ordinality as k (name, position))) end as key,
      (select a.atttypid::regtype::text from pg_catalog.pg_attribute as a
        where a.attrelid = t.relation and a.attname = ${of.column} and not a.attisdropped) as type
    from bulkhead.protected_tables as t
    where t.relation = to_regclass(${of.table})
  `;
  if (found?.type === "text") return { tenantColumn: found.tenant_column, key: found.key };
  const state = !found
    ? "it is not a protected table"
    : `"${of.column}" is ${found.type ? `of type ${found.type}, not text` : "no column of it"}`;
  throw new BulkheadError("BH_ENCRYPTED_COLUMN", `Cannot re-encrypt "${of.table}": ${state}`, {
    kind: "usage",
    hint: "Name a text column of a protected table: --table public.integrations --column token",
  });
}
