import * as z from "zod";
import type { BrokenRule } from "../backup/restore-tenant.ts";
import { quote } from "./postgres-export.ts";
import type { StagedTable } from "./postgres-parents.ts";
import type { TransactionSql } from "./postgres.ts";

/** As much of a staged table as its rules need. */
type RuledTable = StagedTable & {
  readonly keys: readonly string[];
  readonly tenantColumn: string;
  readonly domains: readonly string[];
};

const checks = z.array(z.object({ name: z.string(), expression: z.string() }));

/**
 * Rows that a restore would write and that a check constraint refuses: one that came after the backup, or one that is
 * NOT VALID and that older rows were spared. The database would name the first of them only. A domain's rule is asked
 * last, by a cast, and raises. `rowsOf` tells which rows of a staged table, `s`, would be written.
 *
 * @example
 * const broken = await brokenRules(tx, tables, (table) => "true");
 */
export async function brokenRules<T extends RuledTable>(
  tx: TransactionSql,
  tables: readonly T[],
  rowsOf: (table: T) => string,
): Promise<BrokenRule[]> {
  const broken: BrokenRule[] = [];
  for (const table of tables) {
    const rules = checks.parse(
      await tx`
      select c.conname::text as name, pg_get_expr(c.conbin, c.conrelid) as expression
      from pg_catalog.pg_constraint as c
      where c.contype = 'c' and c.conrelid = to_regclass(${table.live})
        and coalesce(to_jsonb(c) ->> 'conenforced', 'true') = 'true'
        -- What is generated is not in a backup: the database makes it, and judges it.
        and not exists (
          select
          from pg_catalog.pg_attribute as a
          where a.attrelid = c.conrelid and a.attnum = any (c.conkey) and a.attgenerated <> ''
        )
      order by c.conname
    `,
    );
    const key = `concat_ws(',', ${table.keys.map((column) => `s.${column}`).join(", ")})`;
    for (const { name, expression } of rules) {
      const [row] = await tx.unsafe(
        `select count(*)::integer as count, coalesce((array_agg(${key} order by ${key}))[1:20], '{}') as keys
         from ${table.temp} as s
         where (${rowsOf(table)}) and (${expression}) is false`,
      );
      const found = z.object({ count: z.number(), keys: z.array(z.string()) }).parse(row);
      if (found.count > 0) broken.push({ table: table.label, rule: name, ...found });
    }
  }
  if (broken.length > 0) return broken;
  for (const table of tables) {
    for (const cast of table.domains) {
      await tx.unsafe(`select count(${cast}) from ${table.temp} as s where ${rowsOf(table)}`);
    }
  }
  return [];
}

const uniques = z.array(z.object({ columns: z.array(z.string()) }));

/** Values of a unique key without the tenant in it that a row of another tenant has now, the first twenty. */
export async function takenElsewhere(
  tx: TransactionSql,
  table: RuledTable,
  tenant: string,
): Promise<string[]> {
  const rows = await tx`
    select array_agg(a.attname::text order by k.position) as columns
    from pg_catalog.pg_index as i
    cross join unnest(i.indkey::smallint[]) with ordinality as k (number, position)
    join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = k.number
    where i.indrelid = to_regclass(${table.live}) and i.indisunique and i.indisvalid and not i.indisprimary
      and i.indpred is null and i.indexprs is null and k.position <= i.indnkeyatts
    group by i.indexrelid
    order by i.indexrelid
  `;
  const taken: string[] = [];
  for (const { columns } of uniques.parse(rows)) {
    const names = columns.map(quote);
    if (names.includes(table.tenantColumn)) continue;
    const staged = names.map((name) => `s.${name}`).join(", ");
    const [row] = await tx.unsafe(
      `select coalesce((array_agg(concat_ws(',', ${staged})))[1:20], '{}') as keys
       from ${table.temp} as s
       join ${table.live} as l on ${names.map((name) => `l.${name} = s.${name}`).join(" and ")}
       where l.${table.tenantColumn}::text <> $1`,
      [tenant],
    );
    const { keys } = z.object({ keys: z.array(z.string()) }).parse(row);
    taken.push(...keys.map((key) => `(${columns.join(", ")}) ${key}`));
  }
  return taken;
}
