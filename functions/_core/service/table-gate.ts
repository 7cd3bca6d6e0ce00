import { type Embed, embedsOf } from "./embeds.ts";
import { refusal } from "./refusal.ts";
import type { OutgoingRequest } from "./request-gate.ts";
import { isTenant, tenantColumnOf, type TenantScope } from "./tenant-scope.ts";

const METHODS = new Set(["GET", "HEAD", "POST", "PATCH", "DELETE"]);
/** PostgREST takes one of each; which one of two is its business, and so refused. */
const ONCE = ["select", "columns", "on_conflict"];

/**
 * One request to `/rest/v1/<table>`: filtered by the tenant, with rows of the tenant. Embedded tables get their filters
 * here, for only now the whole `select` is known.
 *
 * @example
 * passTable(scope, "messages", url.searchParams, request);
 * @throws BulkheadError, kind `refused`.
 */
export function passTable(
  scope: TenantScope,
  table: string,
  params: URLSearchParams,
  request: OutgoingRequest,
): void {
  const column = tenantColumnOf(scope, table);
  const { method } = request;
  if (!METHODS.has(method)) throw refusal("BH_GATE", `the method ${method} is not used for tables`);
  requireOnce(params);
  if (method === "POST" || method === "PATCH") requireJson(request.headers);
  if (method !== "POST") requireFilter(params, column, scope);
  if (method === "POST") checkRows(scope, column, params, request);
  if (method === "PATCH") checkUpdate(column, params, request.body);
  confineEmbeds(scope, params);
}

/**
 * Append the tenant filter of every embedded table.
 *
 * @example
 * confineEmbeds(scope, url.searchParams); // …&units.tenant_id=eq.…
 * @throws BulkheadError `BH_TABLE_UNKNOWN` or `BH_SELECT`, kind `refused`.
 */
export function confineEmbeds(scope: TenantScope, params: URLSearchParams): void {
  const embeds: Embed[] = embedsOf(params.get("select") ?? "");
  for (const { table, path } of embeds) {
    params.append(`${path}.${tenantColumnOf(scope, table)}`, `eq.${scope.tenantId}`);
  }
}

/** Refuse a parameter that is given twice where PostgREST takes one. */
export function requireOnce(params: URLSearchParams): void {
  for (const name of ONCE) {
    if (params.getAll(name).length > 1) throw refusal("BH_GATE", `"${name}" is given twice`);
  }
}

/** Refuse a body that is not declared to be JSON: PostgREST would read CSV or a form out of the same bytes. */
export function requireJson(headers: Headers): void {
  if (/^application\/json\s*(;|$)/i.test(headers.get("content-type") ?? "")) return;
  throw refusal("BH_GATE", "the body is no JSON");
}

/** The JSON value of a body. */
export function parsedBody(body: unknown): unknown {
  try {
    if (typeof body === "string") return JSON.parse(body);
  } catch (cause) {
    throw refusal("BH_GATE", "its body is no JSON", cause);
  }
  throw refusal("BH_GATE", "its body is no text");
}

/** A JSON object, and no array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** PostgREST joins the parameters of the top level by AND, so one equality confines all of the rest. */
function requireFilter(params: URLSearchParams, column: string, scope: TenantScope): void {
  if (params.getAll(column).includes(`eq.${scope.tenantId}`)) return;
  throw refusal("BH_GATE", `the filter on "${column}" is missing`);
}

function checkRows(
  scope: TenantScope,
  column: string,
  params: URLSearchParams,
  request: OutgoingRequest,
): void {
  const body = parsedBody(request.body);
  for (const row of Array.isArray(body) ? body : [body]) {
    if (!isObject(row) || !Object.hasOwn(row, column) || !isTenant(scope, row[column])) {
      throw refusal("BH_TENANT_MISMATCH", `a row names no tenant or another one in "${column}"`);
    }
  }
  const columns = params.get("columns");
  if (columns !== null && !columns.split(",").includes(`"${column}"`)) {
    throw refusal("BH_GATE", `"columns" leaves out "${column}"`);
  }
  if (!/resolution=/i.test(request.headers.get("prefer") ?? "")) return;
  if (!params.get("on_conflict")?.split(",").includes(column)) {
    throw refusal("BH_UPSERT_TARGET", `the upsert's conflict target does not hold "${column}"`);
  }
}

function checkUpdate(column: string, params: URLSearchParams, body: unknown): void {
  const changes = parsedBody(body);
  if (!isObject(changes)) throw refusal("BH_GATE", "the update's body is no object");
  if (Object.hasOwn(changes, column) || params.get("columns")?.includes(column)) {
    throw refusal("BH_TENANT_IMMUTABLE", `the update sets "${column}"`);
  }
}
