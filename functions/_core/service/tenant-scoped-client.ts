import { BulkheadError } from "../errors.ts";
import { refusal } from "./refusal.ts";
import { isFunctionName } from "./request-gate.ts";
import { stampArguments, tenantParameterOf } from "./rpc-gate.ts";
import { ScopedBucket, type StorageBucket } from "./scoped-storage.ts";
import { bucketName } from "./storage-paths.ts";
import { type Filterable, type RestTable, ScopedTable } from "./scoped-table.ts";
import {
  parseScope,
  printable,
  tenantColumnOf,
  type TenantScope,
  type TenantScopeInput,
} from "./tenant-scope.ts";

/** What the wrapper needs of a client; adapters/supabase.ts builds one whose requests pass the gate. */
export type Services = {
  from(table: string): RestTable;
  rpc(name: string, values: Record<string, unknown>, options?: object): Filterable;
  bucket(name: string): StorageBucket;
  invoke(name: string, options?: object): Promise<unknown>;
  /** Leave the tenant, once that is on record. */
  platform(request: PlatformRequest): Promise<unknown>;
};

/** Why somebody works across tenants, and for how long (15 minutes unless said otherwise, 60 at most). */
export type PlatformRequest = { reason: string; minutes?: number };

/** The types of a client's surface, made from the generated `Database`; without one everything is unknown. */
export type TenantSurface = {
  tables: Record<string, object>;
  rpc: object;
  storage: object;
  functions: object;
  platform: unknown;
};

/**
 * The service role confined to one tenant, and fail-closed: what is not certainly of that tenant throws before a
 * request leaves. Inserts are stamped; reads, updates and deletes are filtered; functions of the database are called
 * from a list; files lie in the tenant's folder; the rest refuses. Holds no shared state: one instance a request, any
 * number at once.
 *
 * @example
 * const client = createTenantClient<Database>({ url, key, tenantId: session.tenantId, actor: session.userId });
 * const { data } = await client.from("messages").select("id, body").eq("unit_id", unit);
 */
export class TenantScopedClient<Surface extends TenantSurface = TenantSurface> {
  readonly #scope: TenantScope;
  readonly #services: Services;
  /** Functions of the database that were declared when the client was made. */
  readonly rpc: Surface["rpc"];
  /** `storage.from(bucket)`, below the tenant's folder. */
  readonly storage: Surface["storage"];
  /** `functions.invoke(name)`, with the context in headers. */
  readonly functions: Surface["functions"];

  /** @throws BulkheadError, kind `usage`, when the tenant or the actor is missing, empty or malformed. */
  constructor(input: TenantScopeInput, connect: (scope: TenantScope) => Services) {
    const scope = parseScope(input);
    const services = connect(scope);
    this.#scope = scope;
    this.#services = services;
    // The assertions: that the generated types describe the database is the caller's promise, as in supabase-js.
    this.rpc = ((name: string, values?: unknown, options?: object) => {
      const parameter = tenantParameterOf(scope, name);
      return services.rpc(name, stampArguments(scope, parameter, values), options);
    }) as object as Surface["rpc"];
    this.storage = Object.freeze({
      from: (bucket: string) => new ScopedBucket(scope, services.bucket(bucketName(bucket))),
    }) as object as Surface["storage"];
    this.functions = Object.freeze({
      invoke: async (name: string, options?: object) => {
        if (isFunctionName(name)) return await services.invoke(name, options);
        throw refusal("BH_GATE", `"${printable(name)}" is no name of an edge function`);
      },
    }) as object as Surface["functions"];
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
  from<Table extends keyof Surface["tables"] & string>(table: Table): Surface["tables"][Table] {
    const column = tenantColumnOf(this.#scope, table);
    const scoped = new ScopedTable(this.#scope, column, this.#services.from(table));
    return scoped as object as Surface["tables"][Table];
  }

  /**
   * The one way across tenants: a plain client, once the reason is in the ledger; it ends when its time is over.
   *
   * @example
   * const platform = await client.asPlatform({ reason: "ticket 812: find a lost invoice" });
   * @throws BulkheadError `BH_PLATFORM`, when there is no reason or it could not be recorded.
   */
  async asPlatform(request: PlatformRequest): Promise<Surface["platform"]> {
    return await this.#services.platform(request);
  }

  /** One schema is confined, `public`: the tables of others carry rules that this client does not know. */
  schema(): never {
    throw absent("schema", "make the table reachable in public, or use asPlatform()");
  }

  /** A channel carries what the database publishes, past filters and headers. */
  channel(): never {
    throw absent("channel", "subscribe with the user's own token, under RLS, in the browser");
  }

  /** Signing users in and administering them is not one tenant's. */
  get auth(): never {
    throw absent("auth", "verify tokens with jwtVerifier(), administer users through asPlatform()");
  }

  /** Like {@link channel}. */
  get realtime(): never {
    throw absent("realtime", "subscribe with the user's own token, under RLS, in the browser");
  }

  /** The builder without the filter. */
  get rest(): never {
    throw absent("rest", "use from(table)");
  }
}

function absent(name: string, instead: string): BulkheadError {
  return new BulkheadError(
    "BH_SURFACE",
    `Cannot use "${name}" of a tenant client: it can't be confined to a tenant`,
    { kind: "refused", hint: `Instead, ${instead}.` },
  );
}
