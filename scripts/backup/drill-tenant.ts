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
  const stayed = await stuck(sql, chosen.tenant, chosen.tables);
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
  } s; ${chosen.tables.length} tables equal${other ? ", another tenant's untouched" : ""}${stayed}`;
}

function isShredded({ keyring, manifest }: { keyring: Keyring; manifest: Manifest }, name: string) {
  return manifest.objects.some(({ tenant, keyId }) =>
    tenant === name && keyring.isShredded(tenant, keyId)
  );
}

type Rule = { readonly name: string; readonly holds: string };

/**
 * Rules that are NOT VALID: older rows may break them, and the database takes no such row anew, so that nobody could
 * put it back. `holds` is true of the rows of `t` that keep the rule.
 */
async function lenientRules(sql: Sql, table: { schema: string; name: string }): Promise<Rule[]> {
  return await sql<Rule[]>`
    with lenient as (
      select c.*, to_regclass(format('%I.%I', ${table.schema}::text, ${table.name}::text)) as relation
      from pg_catalog.pg_constraint as c
      where not c.convalidated
    )
    select c.conname::text as name, format('(%s) is not false', pg_get_expr(c.conbin, c.conrelid)) as holds
    from lenient as c
    where c.contype = 'c' and c.conrelid = c.relation
    union all
    select c.conname, format('(%s) is not false', regexp_replace(pg_get_expr(c.conbin, 0), '\\mVALUE\\M', format('t.%I', a.attname), 'g'))
    from lenient as c
    join pg_catalog.pg_attribute as a on a.attrelid = c.relation and a.atttypid = c.contypid and not a.attisdropped
    where c.contypid <> 0
    union all
    select c.conname, format('(%s or exists (select from %s as p where %s))',
      string_agg(format('t.%I is null', a.attname), ' or '), bulkhead.qualified(c.confrelid),
      string_agg(format('p.%I = t.%I', p.attname, a.attname), ' and '))
    from lenient as c
    cross join unnest(c.conkey, c.confkey) as k (child, parent)
    join pg_catalog.pg_attribute as a on a.attrelid = c.conrelid and a.attnum = k.child
    join pg_catalog.pg_attribute as p on p.attrelid = c.confrelid and p.attnum = k.parent
    where c.contype = 'f' and c.conrelid = c.relation
    group by c.oid, c.conname, c.confrelid
    order by 1
  `;
}

/** What has to stay where it is, in words. */
async function stuck(
  sql: Sql,
  tenant: string,
  tables: readonly { schema: string; name: string }[],
): Promise<string> {
  const names = new Set<string>();
  let rows = 0;
  for (const table of tables) {
    const rules = await lenientRules(sql, table);
    const ours = rules.length === 0 ? undefined : await statementOf(sql, table);
    if (!ours) continue;
    const broken = rules.map(({ holds }) => `not (${holds})`);
    const [found] = await sql.unsafe(
      `select count(*) filter (where ${broken.join(" or ")})::integer as rows,
         ${
        broken.map((each) => `coalesce(bool_or(${each}), false)`).join(" || ',' || ")
      } || ',' as rules ${ours.from}`,
      [tenant],
    );
    rows += Number(found?.["rows"]);
    String(found?.["rules"]).split(",").forEach((is, at) => {
      const name = rules[at]?.name;
      if (is === "true" && name !== undefined) names.add(name);
    });
  }
  if (rows === 0) return "";
  return `; ${rows} rows stayed: they break ${
    [...names].sort().join(", ")
  }, NOT VALID here as in ` +
    "the source, so that a live restore would refuse them";
}

async function statementOf(sql: Sql, { schema, name }: { schema: string; name: string }) {
  const [found] = await sql<{ from: string }[]>`
    select format('from %s as t where t.%I::text = $1', bulkhead.qualified(p.relation), p.tenant_column) as from
    from bulkhead.protected_tables as p
    where p.schema_name = ${schema} and p.table_name = ${name}
  `;
  return found;
}

/** Children first; rows that something still points to stay. */
async function takeAway(
  sql: Sql,
  tenant: string,
  tables: readonly { schema: string; name: string }[],
): Promise<number> {
  let removed = 0;
  for (const table of [...tables].reverse()) {
    const ours = await statementOf(sql, table);
    if (!ours) continue;
    const rules = await lenientRules(sql, table);
    const keep = rules.map(({ holds }) => ` and ${holds}`).join("");
    try {
      removed += (await sql.unsafe(`delete ${ours.from}${keep}`, [tenant])).count;
    } catch (error) {
      const state = error instanceof Error && "code" in error ? error.code : "";
      // foreign_key_violation, restrict_violation
      if (state !== "23503" && state !== "23001") throw error;
    }
  }
  return removed;
}
