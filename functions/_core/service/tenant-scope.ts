import * as z from "zod";
import { BulkheadError } from "../errors.ts";

/** The type of the tenant key, as declared in `bulkhead.settings`. */
export type TenantKind = "uuid" | "bigint" | "text";

/** Whose rows, on whose behalf, for which request. Immutable; every part is safe in a header and in a URL. */
export type TenantScope = {
  readonly tenantId: string;
  readonly kind: TenantKind;
  readonly column: string;
  readonly actor: string;
  readonly requestId: string;
  /** Tenant column by table; undefined when the caller listed no tables (the request then demands `column`). */
  readonly tables: ReadonlyMap<string, string> | undefined;
  /** The functions that may be called: by name the parameter that takes the tenant, or null (see {@link RpcRule}). */
  readonly rpc: ReadonlyMap<string, string | null>;
};

/**
 * Why a function is safe to call: `{ tenant: "p_tenant" }` takes the tenant as that argument, which is stamped;
 * `"context"` reads it from `bulkhead.current_tenant()` itself.
 */
export type RpcRule = { readonly tenant: string } | "context";

/** What the caller says; nothing of it is trusted before {@link parseScope}. */
export type TenantScopeInput = {
  tenantId: string | number | bigint;
  actor: string;
  requestId?: string | undefined;
  tenantColumn?: string | undefined;
  tenantKind?: TenantKind | undefined;
  /** The tenant tables, or table → tenant column where it differs (`{ tenants: "id" }`). */
  tables?: readonly string[] | Readonly<Record<string, string>> | undefined;
  /** The functions that `rpc` may call, and why each is safe. Without it there are none. */
  rpc?: Readonly<Record<string, RpcRule>> | undefined;
};

/** `01`, `+1` and `-0` are the same numbers to Postgres, so they are not taken. */
const WHOLE = /^(?:0|-?[1-9]\d{0,18})$/;
/** Printable ASCII, no space at the ends: what a header carries unchanged. */
const VISIBLE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/;

const TENANT: Record<TenantKind, z.ZodType<string>> = {
  uuid: z.string().regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i)
    .transform((id) => id.toLowerCase()),
  bigint: z.string().refine((id) => WHOLE.test(id) && BigInt.asIntN(64, BigInt(id)) === BigInt(id)),
  text: z.string().max(200).regex(VISIBLE),
};
const identifier = z.string().regex(IDENTIFIER);

/** A plain SQL name: what PostgREST takes as a column without quoting. */
export function isIdentifier(name: string): boolean {
  return IDENTIFIER.test(name);
}

/**
 * The tenant key in its one spelling, or undefined where `value` can't be one: `1` and `"1"` are the same
 * bigint, a uuid is lower case, anything that is no string and no whole number is refused.
 *
 * @example
 * canonicalTenant("uuid", "6F9619FF-8B86-D011-B42D-00C04FC964FF");
 */
export function canonicalTenant(kind: TenantKind, value: unknown): string | undefined {
  const numeric = typeof value === "bigint" ||
    (typeof value === "number" && Number.isSafeInteger(value));
  const text = numeric ? String(value) : value;
  const parsed = TENANT[kind].safeParse(text);
  return parsed.success ? parsed.data : undefined;
}

/**
 * Whether `value` is the scope's tenant, in whatever spelling.
 *
 * @example
 * isTenant(scope, row.tenant_id);
 */
export function isTenant(scope: TenantScope, value: unknown): boolean {
  // Most rows carry the very string; parsing each would make a batch of 10,000 slow.
  return value === scope.tenantId || canonicalTenant(scope.kind, value) === scope.tenantId;
}

/**
 * Parse a scope, or throw: a client without a whole scope must not exist.
 *
 * @example
 * const scope = parseScope({ tenantId: session.tenantId, actor: session.userId });
 * @throws BulkheadError `BH_TENANT`, `BH_ACTOR`, `BH_REQUEST_ID`, `BH_TABLES` or `BH_RPC`, kind `usage`.
 */
export function parseScope(input: TenantScopeInput): TenantScope {
  const kind = input.tenantKind ?? "uuid";
  if (!(kind in TENANT)) throw malformed("BH_TENANT", "tenantKind", "no uuid, bigint or text");
  const tenantId = canonicalTenant(kind, input.tenantId);
  if (tenantId === undefined) {
    throw malformed("BH_TENANT", "tenantId", stateOf(input.tenantId, `no ${kind}`));
  }
  const { actor, requestId } = parseActor(input);
  const column = identifier.safeParse(input.tenantColumn ?? "tenant_id");
  if (!column.success) throw malformed("BH_TABLES", "tenantColumn", "no plain column name");
  return Object.freeze({
    tenantId,
    kind,
    column: column.data,
    actor,
    requestId,
    tables: parseTables(input.tables, column.data),
    rpc: parseRpc(input.rpc),
  });
}

/**
 * Who acts, for which request; a request without an id gets one.
 *
 * @throws BulkheadError `BH_ACTOR` or `BH_REQUEST_ID`, kind `usage`.
 */
export function parseActor(
  input: { actor: string; requestId?: string | undefined },
): { actor: string; requestId: string } {
  const wrong = "not 1 to 200 printable ASCII characters";
  if (!isHeader(input.actor)) throw malformed("BH_ACTOR", "actor", stateOf(input.actor, wrong));
  const requestId = input.requestId ?? crypto.randomUUID();
  if (!isHeader(requestId)) {
    throw malformed("BH_REQUEST_ID", "requestId", stateOf(requestId, wrong));
  }
  return { actor: input.actor, requestId };
}

/** What a header carries unchanged. */
function isHeader(value: unknown): boolean {
  return typeof value === "string" && value.length <= 200 && VISIBLE.test(value);
}

const rpcRules = z.record(
  identifier,
  z.union([z.literal("context"), z.strictObject({ tenant: identifier })]),
);

function parseRpc(rules: TenantScopeInput["rpc"]): ReadonlyMap<string, string | null> {
  // Most clients are made without, one a request: nothing to parse then.
  if (rules === undefined) return NO_RPC;
  const parsed = rpcRules.safeParse(rules);
  if (!parsed.success) {
    throw malformed("BH_RPC", "rpc", 'a rule in it is neither "context" nor { tenant: parameter }');
  }
  return new Map(
    Object.entries(parsed.data).map(([name, rule]) => [
      name,
      rule === "context" ? null : rule.tenant,
    ]),
  );
}

const NO_RPC: ReadonlyMap<string, string | null> = new Map();

function parseTables(
  tables: TenantScopeInput["tables"],
  column: string,
): ReadonlyMap<string, string> | undefined {
  if (tables === undefined) return undefined;
  const pairs = Array.isArray(tables)
    ? tables.map((table) => [table, column])
    : Object.entries(tables);
  const parsed = z.array(z.tuple([identifier, identifier])).safeParse(pairs);
  if (!parsed.success) {
    throw malformed("BH_TABLES", "tables", "a name in it is no plain table or column name");
  }
  return new Map(parsed.data);
}

/**
 * The tenant column of a table, or throw: a table that nobody declared is not tenant-scoped.
 *
 * @example
 * tenantColumnOf(scope, "messages"); // "tenant_id"
 * @throws BulkheadError `BH_TABLE_UNKNOWN`, kind `refused`.
 */
export function tenantColumnOf(scope: TenantScope, table: string): string {
  const column = scope.tables === undefined
    ? (typeof table === "string" && isIdentifier(table) ? scope.column : undefined)
    : scope.tables.get(table);
  if (column !== undefined) return column;
  throw new BulkheadError(
    "BH_TABLE_UNKNOWN",
    `Cannot reach the table "${printable(table)}": it is not tenant-scoped`,
    {
      kind: "refused",
      hint:
        "List the table in `tables` when it carries the tenant column; global tables need another client.",
    },
  );
}

/** Text from outside, cut and freed of control characters, fit for one line of an error. */
export function printable(value: unknown): string {
  return String(value).replace(/[^\x20-\x7e]/g, "?").slice(0, 60);
}

function stateOf(value: unknown, malformed: string): string {
  if (value === undefined || value === null) return "it is missing";
  return value === "" ? "it is empty" : `it is ${malformed}`;
}

function malformed(code: string, name: string, state: string): BulkheadError {
  return new BulkheadError(code, `Cannot make a tenant client with "${name}": ${state}`, {
    kind: "usage",
    hint:
      "Take the tenant and the actor from a verified session, never from a header, a body or a default.",
  });
}
