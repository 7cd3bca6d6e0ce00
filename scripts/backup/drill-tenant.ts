import type { Sql } from "../../functions/_core/adapters/postgres.ts";
import { stageTenant } from "../../functions/_core/adapters/postgres-stage.ts";
import type { Manifest } from "../../functions/_core/backup/manifest-schema.ts";
import type { ObjectStore } from "../../functions/_core/backup/object-store.ts";
import { objectsByTenant, tablesOf } from "../../functions/_core/backup/parts.ts";
import { restoreTenant } from "../../functions/_core/backup/restore-tenant.ts";
import type { Keyring } from "../../functions/_core/keys/keyring.ts";

/**
 * In the restored database: take one tenant's rows away, restore that tenant alone, and compare its tables with the
 * manifest, and another tenant's with what they were. Answers what was done, throws what differs.
 *
 * @example
 * const found = await tenantAlone(sql, { store, keyring, manifest });
 */
export async function tenantAlone(
  sql: Sql,
  from: { store: ObjectStore; keyring: Keyring; manifest: Manifest },
): Promise<string> {
  const started = Date.now();
  const tenants = [...objectsByTenant(from.manifest)]
    .filter(([tenant, parts]) => parts[0]?.kind === "tenant" && !isShredded(from, tenant))
    .map(([tenant, parts]) => ({
      tenant,
      tables: tablesOf(parts).filter(({ schema }) => schema !== "bulkhead"),
    }))
    .map((each) => ({ ...each, rows: each.tables.reduce((sum, table) => sum + table.rows, 0) }))
    .filter(({ rows }) => rows > 1)
    .sort((a, b) => a.rows - b.rows);
  // Not the smallest, which may be empty, and not the largest, which may take as long as all others.
  const chosen = tenants[tenants.length >> 1];
  if (!chosen) throw new Error("no tenant has rows: nothing was proved");
  const other = tenants.find(({ tenant }) => tenant !== chosen.tenant);
  const removed = await takeAway(sql, chosen.tenant, chosen.tables);
  if (removed === 0) throw new Error(`no row of ${chosen.tenant} could be taken away`);
  const done = await restoreTenant({
    ...from,
    tenant: chosen.tenant,
    mode: "insert-missing",
    stage: stageTenant(sql),
  });
  const inserted = done.tables.reduce((sum, table) => sum + table.inserted, 0);
  if (inserted !== removed) throw new Error(`${removed} rows were gone, ${inserted} came back`);
  for (const { tenant, tables } of other ? [chosen, other] : [chosen]) {
    for (const table of tables) {
      const [found] = await sql<{ rows: string; hash: string }[]>`
        select h.rows, h.hash
        from bulkhead.content_hash(format('%I.%I', ${table.schema}::text, ${table.name}::text)::regclass, ${tenant}) as h
      `;
      if (Number(found?.rows) !== table.rows || found?.hash !== table.contentHash) {
        throw new Error(`${table.schema}.${table.name} of ${tenant} is not what was backed up`);
      }
    }
  }
  return `${removed} rows of tenant ${chosen.tenant} taken away and restored alone in ${
    (Date.now() - started) / 1000
  } s; ${chosen.tables.length} tables equal${other ? ", another tenant's untouched" : ""}`;
}

function isShredded({ keyring, manifest }: { keyring: Keyring; manifest: Manifest }, name: string) {
  return manifest.objects.some(({ tenant, keyId }) =>
    tenant === name && keyring.isShredded(tenant, keyId)
  );
}

/** Children first; rows that something still points to stay. */
async function takeAway(
  sql: Sql,
  tenant: string,
  tables: readonly { schema: string; name: string }[],
): Promise<number> {
  let removed = 0;
  for (const { schema, name } of [...tables].reverse()) {
    const [key] = await sql<{ statement: string }[]>`
      select format('delete from %s where %I::text = $1', bulkhead.qualified(p.relation), p.tenant_column) as statement
      from bulkhead.protected_tables as p
      where p.schema_name = ${schema} and p.table_name = ${name}
    `;
    if (!key) continue;
    try {
      removed += (await sql.unsafe(key.statement, [tenant])).count;
    } catch (error) {
      const state = error instanceof Error && "code" in error ? error.code : "";
      // foreign_key_violation, restrict_violation
      if (state !== "23503" && state !== "23001") throw error;
    }
  }
  return removed;
}
