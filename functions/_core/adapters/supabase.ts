import { createClient, type PostgrestQueryBuilder } from "@supabase/supabase-js";
import * as z from "zod";
import { BulkheadError } from "../errors.ts";
import { gate } from "../service/request-gate.ts";
import { type RestClient, TenantScopedClient } from "../service/tenant-scoped-client.ts";
import type { TenantScope, TenantScopeInput } from "../service/tenant-scope.ts";

/** One table of a generated `Database` type. */
type GeneratedTable = {
  Row: Record<string, unknown>;
  Insert: Record<string, unknown>;
  Update: Record<string, unknown>;
  Relationships: {
    foreignKeyName: string;
    columns: string[];
    isOneToOne?: boolean;
    referencedRelation: string;
    referencedColumns: string[];
  }[];
};
type GeneratedSchema = {
  Tables: Record<string, GeneratedTable>;
  Views: Record<string, never>;
  Functions: Record<string, never>;
};

type TablesOf<Database> = Database extends { public: { Tables: infer Tables } } ? Tables : never;
type SchemaOf<Database> = {
  Tables: TablesOf<Database>;
  Views: Record<never, never>;
  Functions: Record<never, never>;
};

/** The tables of `Database` that carry the tenant column; `from` takes no other. */
export type TenantTable<Database, Column extends string = "tenant_id"> = {
  [T in keyof TablesOf<Database> & string]: TablesOf<Database>[T] extends
    { Row: Record<Column, unknown> } ? T : never;
}[keyof TablesOf<Database> & string];

/** A table whose rows need no tenant on insert and can't change it on update. */
type Stamped<Table extends GeneratedTable, Column extends string> = {
  Row: Table["Row"];
  Insert:
    & Omit<Table["Insert"], Column>
    & Partial<Pick<Table["Insert"], Column & keyof Table["Insert"]>>;
  Update: Omit<Table["Update"], Column>;
  Relationships: Table["Relationships"];
};

/** `from(table)` for every tenant table, with supabase-js's own result types. */
export type TenantTables<Database, Column extends string = "tenant_id"> = {
  [T in TenantTable<Database, Column>]: TablesOf<Database>[T] extends GeneratedTable
    ? SchemaOf<Database> extends GeneratedSchema ? Pick<
        PostgrestQueryBuilder<
          { PostgrestVersion: "12" },
          SchemaOf<Database>,
          Stamped<TablesOf<Database>[T], Column>,
          T
        >,
        "select" | "insert" | "update" | "upsert" | "delete"
      >
    : never
    : never;
};

/** The service role confined to one tenant, typed from `Database`. */
export type TenantClient<Database, Column extends string = "tenant_id"> = TenantScopedClient<
  TenantTables<Database, Column>
>;

/** What {@link createTenantClient} takes: where, with which key, for whom. */
export type TenantClientOptions<Column extends string = "tenant_id"> =
  & Omit<TenantScopeInput, "tenantColumn">
  & { url: string; key: string; fetch?: typeof fetch }
  & ("tenant_id" extends Column ? { tenantColumn?: Column } : { tenantColumn: Column });

/**
 * supabase-js with the service key, confined to one tenant: every request passes the gate, or none leaves.
 *
 * @example
 * const client = createTenantClient<Database>({ url, key, tenantId, actor, tables: ["units", "messages"] });
 * await client.from("messages").insert({ unit_id, development_id, sender: "staff", body: "Keys are ready" });
 * @throws BulkheadError, kind `usage`, when url, key, tenant or actor is missing or malformed.
 */
export function createTenantClient<Database, Column extends string = "tenant_id">(
  options: TenantClientOptions<Column>,
): TenantClient<Database, Column> {
  const { url, key, fetch: send = fetch, ...scope } = options;
  const address = z.url({ protocol: /^https?$/ }).safeParse(url);
  if (!address.success) throw unusable("url", "https://<project>.supabase.co");
  if (typeof key !== "string" || !/^[\x21-\x7e]+$/.test(key)) {
    throw unusable("key", "the service key");
  }
  return new TenantScopedClient(
    scope,
    (parsed) => connect(address.data.replace(/\/+$/, ""), key, parsed, send),
  );
}

function connect(url: string, key: string, scope: TenantScope, send: typeof fetch): RestClient {
  const client = createClient(url, key, {
    global: { fetch: gated(scope, `${url}/rest/v1`, send) },
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    // No channel is ever opened, but supabase-js insists on a WebSocket where the platform has none (Node 20).
    realtime: { transport: NoRealtime },
  });
  return {
    from(name) {
      // Written out: comparing supabase-js's inferred types as a whole is beyond the compiler.
      const table = client.from(name);
      return {
        select: (columns, options) => table.select<string, unknown>(columns, options),
        insert: (rows, options) => table.insert(rows, options),
        update: (changes, options) => table.update(changes, options),
        upsert: (rows, options) => table.upsert(rows, options),
        delete: (options) => table.delete(options),
      };
    },
  };
}

/** `fetch` behind the gate. A refusal is answered like a refusal of PostgREST: as `error`, and never retried. */
function gated(scope: TenantScope, base: string, send: typeof fetch): typeof fetch {
  return async (input, init = {}) => {
    try {
      if (typeof input !== "string" || (init.body != null && typeof init.body !== "string")) {
        throw unusable("fetch", "requests as supabase-js makes them: an address and a text body");
      }
      const { url, headers } = gate(scope, { base, schema: "public" }, {
        url: input,
        method: init.method ?? "GET",
        headers: new Headers(init.headers),
        body: init.body ?? undefined,
      });
      return await send(url, { ...init, headers });
    } catch (error) {
      if (!(error instanceof BulkheadError)) throw error;
      const { code, message, hint } = error;
      return Response.json({ code, message, hint, details: null }, { status: error.status });
    }
  };
}

class NoRealtime {
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSING = 2;
  readonly CLOSED = 3;
  readonly readyState = 3;
  readonly protocol = "";
  readonly url: string;
  onopen = null;
  onmessage = null;
  onclose = null;
  onerror = null;
  constructor(url: string | URL) {
    this.url = String(url);
  }
  send(): never {
    throw unusable("realtime", "a client of its own: a tenant client opens no channel");
  }
  close(): void {}
  addEventListener(): void {}
  removeEventListener(): void {}
}

function unusable(name: string, wanted: string): BulkheadError {
  return new BulkheadError(
    "BH_CLIENT",
    `Cannot make a tenant client with "${name}": it is missing or malformed`,
    {
      kind: "usage",
      hint: `Pass ${name}: ${wanted}.`,
    },
  );
}
