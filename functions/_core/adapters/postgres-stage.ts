import * as z from "zod";
import {
  type Changes,
  type RestoreMode,
  RULES_HINT,
  type Staging,
  type TableDifference,
  type TenantStage,
} from "../backup/restore-tenant.ts";
import { BulkheadError } from "../errors.ts";
import { copyIn, type Sql, type TransactionSql } from "./postgres.ts";
import { missingParents } from "./postgres-parents.ts";
import { quote } from "./postgres-export.ts";
import { PINNED } from "./postgres-restore.ts";
import { brokenRules, takenElsewhere } from "./postgres-rules.ts";

const NOTHING: Changes = { inserted: new Map(), updated: new Map(), deleted: new Map() };

/** A staged table: its live counterpart, quoted and ready for SQL. */
type Staged = {
  readonly label: string;
  readonly live: string;
  readonly temp: string;
  readonly columns: readonly string[];
  /** The same of the live row, in the types of the staged one. */
  readonly liveColumns: readonly string[];
  /** Staged values that a domain has yet to judge, cast to it. */
  readonly domains: readonly string[];
  readonly settable: readonly string[];
  readonly keys: readonly string[];
  readonly tenantColumn: string;
};

/**
 * The live side of `restoreTenant`, in one transaction of one connection. The tenant's context is set, so the
 * ledger names tenant and restore; triggers that are not Bulkhead's (mails, webhooks) are held back meanwhile.
 *
 * @example
 * const stage = stageTenant(connect(url, { max: 1 }));
 */
export function stageTenant(sql: Sql): TenantStage {
  return {
    async canonical(tenant) {
      try {
        const [row] = await sql<
          { id: string }[]
        >`select bulkhead.canonical_tenant(${tenant}) as id`;
        return row?.id ?? "";
      } catch (error) {
        if (!isState(error, "22P02")) throw error;
        throw new BulkheadError(
          "BH_TENANT_ID",
          `Cannot restore the tenant "${tenant}": that is no tenant id`,
          {
            kind: "usage",
            hint: "List the tenants of a backup: npx bulkhead backups show",
            cause: error,
          },
        );
      }
    },
    async run(options, work) {
      try {
        return await sql.begin(async (tx) => {
          await tx.unsafe(PINNED);
          await tx`select bulkhead.set_tenant(${options.tenant}, 'bulkhead restore', ${`restore:${options.backup}`})`;
          const staging = new Stage(tx, options);
          const result = await work(staging);
          await staging.end();
          return { result };
        }).then(({ result }) => result);
      } catch (error) {
        throw explained(error);
      }
    },
  };
}

class Stage implements Staging {
  #tx: TransactionSql;
  readonly #options: { tenant: string; backup: string; mode: RestoreMode };
  readonly #tables: Staged[] = [];
  #enable: string[] = [];
  #changed: Record<string, number> = {};

  constructor(tx: TransactionSql, options: { tenant: string; backup: string; mode: RestoreMode }) {
    this.#tx = tx;
    this.#options = options;
  }

  async stage(entry: Parameters<Staging["stage"]>[0]): Promise<void> {
    const live = `${quote(entry.schema)}.${quote(entry.name)}`;
    const begun = this.#tables.find((table) => table.live === live);
    if (begun) return await this.#load(begun.temp, entry);
    const [row] = await this.#tx`
      select t.tenant_column::text as tenant_column, t.key_columns::text[] as keys,
        (select array_agg(a.attname::text) from pg_catalog.pg_attribute as a
          where a.attrelid = t.relation and a.attnum > 0 and not a.attisdropped and a.attidentity <> 'a') as settable,
        (
          with recursive typed as (
            select a.attname::text as name, format_type(a.atttypid, null) as domain, d.typbasetype as base, d.typtypmod as typmod
            from pg_catalog.pg_attribute as a
            join pg_catalog.pg_type as d on d.oid = a.atttypid and d.typtype = 'd'
            where a.attrelid = t.relation and a.attnum > 0 and not a.attisdropped
            union all
            select u.name, u.domain, d.typbasetype, d.typtypmod
            from typed as u
            join pg_catalog.pg_type as d on d.oid = u.base and d.typtype = 'd'
          )
          select coalesce(jsonb_object_agg(u.name, jsonb_build_array(u.domain, format_type(u.base, u.typmod))), '{}')
          from typed as u
          join pg_catalog.pg_type as d on d.oid = u.base and d.typtype <> 'd'
        ) as domains
      from bulkhead.protected_tables as t
      where t.relation = to_regclass(${live})
    `;
    const found = z.object({
      tenant_column: z.string(),
      keys: z.array(z.string()),
      settable: z.array(z.string()),
      domains: z.record(z.string(), z.tuple([z.string(), z.string()])),
    }).safeParse(row);
    if (!found.success) {
      throw new BulkheadError(
        "BH_RESTORE_SCHEMA",
        `Cannot restore "${live}": it is not a protected table here`,
        {
          kind: "usage",
          hint:
            "Restore into a database of the backup's schema, or leave the table out with --table",
        },
      );
    }
    const { tenant_column, keys, settable, domains } = found.data;
    const temp = `bulkhead_stage_${this.#tables.length + 1}`;
    const columns = entry.columns.map(quote);
    // A domain's rule may be newer than its rows (NOT VALID): it judges those that are written, not those compared.
    const plain = (name: string, of = "") => {
      const base = domains[name]?.[1];
      return of + quote(name) + (base === undefined ? "" : `::${base}`);
    };
    // `as select`, not `like`: a generated column that is NOT NULL could not be loaded.
    await this.#tx.unsafe(
      `create temporary table ${temp} on commit drop as select ${
        entry.columns.map((name) => `${plain(name)} as ${quote(name)}`).join(", ")
      } from ${live} with no data`,
    );
    const keep = new Set([...keys, tenant_column]);
    const table: Staged = {
      label: `${entry.schema}.${entry.name}`,
      live,
      temp: `pg_temp.${temp}`,
      columns,
      liveColumns: entry.columns.map((name) => plain(name, "l.")),
      domains: entry.columns.flatMap((name) => {
        const domain = domains[name]?.[0];
        return domain === undefined ? [] : [`s.${quote(name)}::${domain}`];
      }),
      settable: entry.columns.filter((c) => settable.includes(c) && !keep.has(c)).map(quote),
      keys: keys.map(quote),
      tenantColumn: quote(tenant_column),
    };
    this.#tables.push(table);
    await this.#load(table.temp, entry);
  }

  async #load(temp: string, entry: Parameters<Staging["stage"]>[0]): Promise<void> {
    const columns = entry.columns.map(quote).join(", ");
    await copyIn(this.#tx, `copy ${temp} (${columns}) from stdin`, entry.rows);
  }

  async differences(): Promise<TableDifference[]> {
    const differences: TableDifference[] = [];
    for (const table of this.#tables) {
      const { live, temp, tenantColumn } = table;
      const first = table.keys[0];
      const [row] = await this.#tx.unsafe(
        `select
           count(*)::integer as staged,
           count(*) filter (where l.${first} is null)::integer as missing,
           count(*) filter (where l.${tenantColumn}::text = $1 and ${
          differs(table)
        })::integer as changed,
           count(*) filter (where s.${tenantColumn}::text is distinct from $1)::integer as foreign_rows,
           (select count(*)::integer from ${live} as x where x.${tenantColumn}::text = $1
             and not exists (select from ${temp} as s where ${matches(table, "s", "x")})) as extra,
           coalesce((array_agg(concat_ws(',', ${table.keys.map((k) => `s.${k}`).join(", ")}))
             filter (where l.${tenantColumn}::text <> $1))[1:20], '{}') as collisions
         from ${temp} as s
         left join ${live} as l on ${matches(table, "s", "l")}`,
        [this.#options.tenant],
      );
      const { foreign_rows, ...counts } = z.object({
        staged: z.number(),
        missing: z.number(),
        changed: z.number(),
        foreign_rows: z.number(),
        extra: z.number(),
        collisions: z.array(z.string()),
      }).parse(row);
      if (foreign_rows > 0) {
        throw new BulkheadError(
          "BH_OBJECT_MISMATCH",
          `Cannot restore "${table.label}": ${foreign_rows} rows in the object belong to another tenant`,
          { kind: "integrity", hint: "Choose another backup, and report how this one was written" },
        );
      }
      const taken = await takenElsewhere(this.#tx, table, this.#options.tenant);
      const collisions = [...counts.collisions, ...taken];
      differences.push({ table: table.label, ...counts, collisions });
    }
    return differences;
  }

  async missingParents() {
    return await missingParents(this.#tx, this.#tables, (table) => this.#written(table));
  }

  async brokenRules() {
    return await brokenRules(this.#tx, this.#tables, (table) => this.#written(table));
  }

  /** Rows that this mode would write; a dry run shows what inserting would meet. */
  #written(table: Staged): string {
    const here = `exists (select from ${table.live} as l where ${matches(table, "s", "l")}`;
    return this.#options.mode === "replace"
      ? `not ${here} and not ${differs(table)})`
      : `not ${here})`;
  }

  async insertMissing(): Promise<Changes> {
    await this.#holdTriggers();
    return { ...NOTHING, inserted: await this.#insert() };
  }

  /**
   * What is not in the backup goes first: its unique values may be those of a row that comes back. Where a row that is
   * still to be updated points to it, that order ends at the key, and the other one does not.
   */
  async replace(): Promise<Changes> {
    await this.#holdTriggers();
    const outer = this.#tx;
    try {
      return await outer.savepoint(async (inner) => {
        this.#tx = inner;
        const deleted = await this.#delete();
        return { deleted, inserted: await this.#insert(), updated: await this.#update() };
      });
    } catch (error) {
      if (!isState(error, "23503") && !isState(error, "23001")) throw error;
      this.#tx = outer;
      this.#changed = {};
      const inserted = await this.#insert();
      return { inserted, updated: await this.#update(), deleted: await this.#delete() };
    } finally {
      this.#tx = outer;
    }
  }

  async #insert(): Promise<Map<string, number>> {
    return await this.#each(
      this.#tables,
      (table) =>
        `insert into ${table.live} (${table.columns.join(", ")}) overriding system value
       select ${table.columns.map((c) => `s.${c}`).join(", ")} from ${table.temp} as s
       where not exists (select from ${table.live} as l where ${matches(table, "s", "l")})`,
    );
  }

  async #update(): Promise<Map<string, number>> {
    const updatable = this.#tables.filter((table) => table.settable.length > 0);
    return await this.#each(
      updatable,
      (table) =>
        `update ${table.live} as l set ${table.settable.map((c) => `${c} = s.${c}`).join(", ")}
       from ${table.temp} as s where ${matches(table, "s", "l")} and ${differs(table)}`,
    );
  }

  async #delete(): Promise<Map<string, number>> {
    return await this.#each(
      [...this.#tables].reverse(),
      (table) =>
        `delete from ${table.live} as l where l.${table.tenantColumn}::text = current_setting('bulkhead.tenant')
       and not exists (select from ${table.temp} as s where ${matches(table, "s", "l")})`,
    );
  }

  /** Put the triggers back and say in the ledger what this was. */
  async end(): Promise<void> {
    for (const enable of this.#enable) await this.#tx.unsafe(enable);
    const { tenant, backup, mode } = this.#options;
    if (mode === "dry-run") return;
    const metadata = JSON.stringify({ backup, mode, rows: this.#changed });
    await this.#tx`
      select bulkhead.log_change('restore', 'bulkhead.backup_runs', ${tenant}, ${metadata}::text::jsonb)
    `;
  }

  async #each(
    tables: readonly Staged[],
    statement: (table: Staged) => string,
  ): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    for (const table of tables) {
      const { count } = await this.#tx.unsafe(statement(table));
      counts.set(table.label, count);
      this.#changed[table.label] = (this.#changed[table.label] ?? 0) + count;
    }
    return counts;
  }

  async #holdTriggers(): Promise<void> {
    const relations = this.#tables.map((table) => table.live);
    const triggers = await this.#tx<{ disable: string; enable: string }[]>`
      select
        format('alter table %s disable trigger %I', bulkhead.qualified(g.tgrelid), g.tgname) as disable,
        format('alter table %s enable %s trigger %I', bulkhead.qualified(g.tgrelid),
          case g.tgenabled when 'A' then 'always' when 'R' then 'replica' else '' end, g.tgname) as enable
      from unnest(${relations}::text[]) as r (name)
      join pg_catalog.pg_trigger as g on g.tgrelid = r.name::regclass
      where not g.tgisinternal and g.tgenabled <> 'D' and g.tgname not like 'bulkhead\\_%'
    `;
    for (const { disable } of triggers) await this.#tx.unsafe(disable);
    this.#enable = triggers.map((row) => row.enable);
  }
}

const matches = (table: Staged, a: string, b: string): string =>
  table.keys.map((key) => `${a}.${key} = ${b}.${key}`).join(" and ");

/** By image: json, xml and points have no equality, and 1.0 is not 1.00. */
const differs = (table: Staged): string =>
  `pg_catalog.record_image_ne(row(${table.columns.map((c) => `s.${c}`).join(", ")}), row(${
    table.liveColumns.join(", ")
  }))`;

const isState = (error: unknown, code: string): error is Error & { detail?: string } =>
  error instanceof Error && "code" in error && error.code === code;

/** What a live table takes from no row: the kind of rule, and what to do about it. */
const REFUSALS: Readonly<Record<string, readonly [code: string, hint: string]>> = {
  "23001": [
    "BH_RESTORE_KEYS",
    "Nothing was changed. Restore the tables that point to it as well (--table), or all of them",
  ],
  "23503": [
    "BH_RESTORE_KEYS",
    "Nothing was changed. Restore the table that is pointed to as well (--table), or all of them",
  ],
  "23505": [
    "BH_RESTORE_KEYS",
    "Nothing was changed. Rename or move the row that has this key now, or make the tables what they were: --replace",
  ],
  "23P01": ["BH_RESTORE_RULES", RULES_HINT],
  "23514": ["BH_RESTORE_RULES", RULES_HINT],
  "23502": ["BH_RESTORE_RULES", RULES_HINT],
};

function explained(error: unknown): unknown {
  for (const [state, [code, hint]] of Object.entries(REFUSALS)) {
    if (!isState(error, state)) continue;
    const detail = error.detail === undefined ? "" : `: ${error.detail}`;
    return new BulkheadError(code, `Cannot restore the rows: ${error.message}${detail}`, {
      kind: "refused",
      hint,
      cause: error,
    });
  }
  return error;
}
