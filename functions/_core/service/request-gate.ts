import { BulkheadError } from "../errors.ts";
import { embedsOf } from "./embeds.ts";
import {
  isIdentifier,
  isTenant,
  printable,
  tenantColumnOf,
  type TenantScope,
} from "./tenant-scope.ts";

/** A request as it is about to leave. */
export type OutgoingRequest = {
  url: string;
  method: string;
  headers: Headers;
  body: string | undefined;
};

const METHODS = new Set(["GET", "HEAD", "POST", "PATCH", "DELETE"]);

/**
 * The last look at every request: whatever the code above did to the builder, what leaves is one tenant table,
 * filtered by the tenant, with rows of that tenant and the scope's own headers. Knows nothing of supabase-js,
 * reads the bytes only, and so holds when the layer above is wrong or evaded. Throws instead of repairing;
 * embedded tables alone get their filters here, for only now the whole `select` is known.
 *
 * @example
 * const { url, headers } = gate(scope, { base: "https://x.supabase.co/rest/v1", schema: "public" }, request);
 * @throws BulkheadError, kind `refused`.
 */
export function gate(
  scope: TenantScope,
  api: { base: string; schema: string },
  request: OutgoingRequest,
): { url: string; headers: Headers } {
  const { table, params, url } = target(api.base, request.url);
  const column = tenantColumnOf(scope, table);
  if (!METHODS.has(request.method)) {
    throw refused("BH_GATE", `the method ${printable(request.method)} is not used`);
  }
  if (request.method !== "POST") requireFilter(params, column, scope);
  if (request.method === "POST") checkRows(scope, column, params, request);
  if (request.method === "PATCH") checkUpdate(column, params, request.body);
  for (const select of params.getAll("select")) {
    for (const embed of embedsOf(select)) {
      params.append(`${embed.path}.${tenantColumnOf(scope, embed.table)}`, `eq.${scope.tenantId}`);
    }
  }
  return { url: url.href, headers: stampHeaders(scope, api.schema, request.headers) };
}

function target(base: string, address: string) {
  const url = new URL(address);
  const root = new URL(`${base}/`);
  const table = url.pathname.slice(root.pathname.length);
  if (
    url.origin !== root.origin || !url.pathname.startsWith(root.pathname) || !isIdentifier(table)
  ) {
    throw refused(
      "BH_GATE",
      "it does not address a table; rpc, storage and other services need another client",
    );
  }
  return { table, url, params: url.searchParams };
}

/** PostgREST joins the parameters of the top level by AND, so one equality confines all of the rest. */
function requireFilter(params: URLSearchParams, column: string, scope: TenantScope): void {
  if (params.getAll(column).includes(`eq.${scope.tenantId}`)) return;
  throw refused("BH_GATE", `the filter on "${column}" is missing`);
}

function checkRows(
  scope: TenantScope,
  column: string,
  params: URLSearchParams,
  request: OutgoingRequest,
): void {
  if (!/^application\/json\b/i.test(request.headers.get("content-type") ?? "")) {
    throw refused("BH_GATE", "the body is no JSON");
  }
  const body = parsed(request.body);
  for (const row of Array.isArray(body) ? body : [body]) {
    if (!isObject(row) || !Object.hasOwn(row, column) || !isTenant(scope, row[column])) {
      throw refused(
        "BH_TENANT_MISMATCH",
        `a row names no tenant or another one in "${column}"`,
      );
    }
  }
  for (const columns of params.getAll("columns")) {
    if (!columns.split(",").includes(`"${column}"`)) {
      throw refused("BH_GATE", `"columns" leaves out "${column}"`);
    }
  }
  if (!/resolution=/.test(request.headers.get("prefer") ?? "")) return;
  const targets = params.getAll("on_conflict");
  if (targets.length !== 1 || !targets[0]?.split(",").includes(column)) {
    throw refused("BH_UPSERT_TARGET", `the upsert's conflict target does not hold "${column}"`);
  }
}

function checkUpdate(column: string, params: URLSearchParams, body: string | undefined): void {
  const changes = parsed(body);
  if (!isObject(changes)) {
    throw refused("BH_GATE", "the update's body is no object");
  }
  if (
    Object.hasOwn(changes, column) ||
    params.getAll("columns").some((names) => names.includes(column))
  ) {
    throw refused("BH_TENANT_IMMUTABLE", `the update sets "${column}"`);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parsed(body: string | undefined): unknown {
  try {
    return JSON.parse(body ?? "");
  } catch (cause) {
    throw refused("BH_GATE", "its body is no JSON", cause);
  }
}

/** The context travels in these headers; one that is already there and says something else is an attempt. */
function stampHeaders(scope: TenantScope, schema: string, given: Headers): Headers {
  const headers = new Headers(given);
  const context = {
    "x-tenant-id": scope.tenantId,
    "x-actor": scope.actor,
    "x-request-id": scope.requestId,
  };
  for (const [name, value] of Object.entries(context)) {
    const before = headers.get(name);
    if (before !== null && before !== value) {
      throw refused("BH_HEADER", `the header ${name} was changed`);
    }
    headers.set(name, value);
  }
  for (const name of ["accept-profile", "content-profile"]) {
    if (headers.has(name) && headers.get(name) !== schema) {
      throw refused("BH_HEADER", `the header ${name} was changed`);
    }
  }
  return headers;
}

function refused(code: string, state: string, cause?: unknown): BulkheadError {
  return new BulkheadError(code, `Cannot send the request: ${state}`, {
    kind: "refused",
    hint:
      "Build queries with from(table) of the tenant client only; nothing has left this process.",
    cause,
  });
}
