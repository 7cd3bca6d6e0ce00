import { checkChanges, conflictTarget, type Row, stampRows } from "./tenant-rows.ts";
import type { TenantScope } from "./tenant-scope.ts";

/** A query that can be confined: supabase-js's filter builders are. */
export type Filterable = { eq(column: string, value: string): unknown };

/** What the wrapper needs of supabase-js's `client.from(table)`. */
export type RestTable = {
  select(columns?: string, options?: object): Filterable;
  insert(rows: Row | Row[], options?: object): unknown;
  update(changes: Row, options?: object): Filterable;
  upsert(rows: Row | Row[], options?: object): unknown;
  delete(options?: object): Filterable;
};

/**
 * `from(table)` of a tenant client: supabase-js's own builders, begun with the tenant.
 *
 * @example
 * new ScopedTable(scope, "tenant_id", rest.from("messages")).select("id");
 */
export class ScopedTable {
  readonly #scope: TenantScope;
  readonly #column: string;
  readonly #table: RestTable;

  constructor(scope: TenantScope, column: string, table: RestTable) {
    this.#scope = scope;
    this.#column = column;
    this.#table = table;
  }

  select(columns?: string, options?: object): unknown {
    return this.#confined(this.#table.select(columns, options));
  }

  insert(values: unknown, options?: object): unknown {
    return this.#table.insert(stampRows(this.#scope, this.#column, values), options);
  }

  update(values: unknown, options?: object): unknown {
    return this.#confined(this.#table.update(checkChanges(this.#column, values), options));
  }

  upsert(values: unknown, options?: { onConflict?: string }): unknown {
    const onConflict = conflictTarget(this.#column, options?.onConflict);
    return this.#table.upsert(stampRows(this.#scope, this.#column, values), {
      ...options,
      onConflict,
    });
  }

  delete(options?: object): unknown {
    return this.#confined(this.#table.delete(options));
  }

  #confined(query: Filterable): unknown {
    return query.eq(this.#column, this.#scope.tenantId);
  }
}
