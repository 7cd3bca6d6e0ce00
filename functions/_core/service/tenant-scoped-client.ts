import { BulkheadError } from "../errors.ts";
import { checkChanges, conflictTarget, type Row, stampRows } from "./tenant-rows.ts";
import {
  parseScope,
  printable,
  tenantColumnOf,
  type TenantScope,
  type TenantScopeInput,
} from "./tenant-scope.ts";

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

/** What the wrapper needs of a client; adapters/supabase.ts builds one whose requests pass the gate. */
export type RestClient = { from(table: string): RestTable };

/** Types of `from(table)` by table, made from the generated `Database`; without one everything is unknown. */
export type TenantSurface = Record<string, object>;

/**
 * The service role confined to one tenant, and fail-closed: what is not certainly of that tenant throws before a
 * request leaves. Inserts are stamped; reads, updates and deletes are filtered; the rest does not exist.
 * Holds no shared state: one instance a request, any number at once.
 *
 * @example
 * const client = createTenantClient<Database>({ url, key, tenantId: session.tenantId, actor: session.userId });
 * const { data } = await client.from("messages").select("id, body").eq("unit_id", unit);
 */
export class TenantScopedClient<Surface extends TenantSurface = TenantSurface> {
  readonly #scope: TenantScope;
  readonly #rest: RestClient;

  /** @throws BulkheadError, kind `usage`, when the tenant or the actor is missing, empty or malformed. */
  constructor(scope: TenantScopeInput, connect: (scope: TenantScope) => RestClient) {
    this.#scope = parseScope(scope);
    this.#rest = connect(this.#scope);
  }

  /** The tenant that this client is confined to. */
  get tenantId(): string {
    return this.#scope.tenantId;
  }

  /** The id that this client's writes carry in `bulkhead.audit_events`. */
  get requestId(): string {
    return this.#scope.requestId;
  }

  /**
   * The table, confined to the tenant: `select`, `insert`, `update`, `upsert` and `delete` of supabase-js.
   *
   * @throws BulkheadError `BH_TABLE_UNKNOWN` for a table that is not tenant-scoped.
   */
  from<Table extends keyof Surface & string>(table: Table): Surface[Table] {
    const column = tenantColumnOf(this.#scope, table);
    // The one assertion: that the generated types describe the database is the caller's promise, as in supabase-js.
    return new ScopedTable(this.#scope, column, this.#rest.from(table)) as object as Surface[Table];
  }

  /** A function's body is not ours to read: it could reach any tenant. */
  rpc(name: string): never {
    throw new BulkheadError(
      "BH_RPC",
      `Cannot call the function "${printable(name)}": its rows are not confined to a tenant`,
      {
        kind: "refused",
        hint:
          "Query the tables through from(), or call the function with the user's own token, under RLS.",
      },
    );
  }
}

/** `from(table)` of a {@link TenantScopedClient}. */
class ScopedTable {
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
