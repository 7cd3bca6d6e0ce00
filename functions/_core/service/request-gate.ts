import { type Credentials, stampHeaders } from "./context-headers.ts";
import { refusal } from "./refusal.ts";
import { passRpc } from "./rpc-gate.ts";
import { passStorage } from "./storage-gate.ts";
import { passTable } from "./table-gate.ts";
import { isIdentifier, type TenantScope } from "./tenant-scope.ts";

/** A request as it is about to leave. */
export type OutgoingRequest = {
  url: string;
  method: string;
  headers: Headers;
  /** What `fetch` takes; tables and functions of the database have text. */
  body: unknown;
};

/** Where a client sends, and as whom. */
export type Gateway = { readonly base: string; readonly credentials: Credentials };

/** An edge function and a path in it, with nothing that an address reads otherwise. */
const FUNCTION = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9_.~-]+)*$/;

/** Whether `name` is an edge function, perhaps with a path and a query: `api/units/7?full=1`. */
export function isFunctionName(name: unknown): boolean {
  if (typeof name !== "string") return false;
  const [path = "", ...queries] = name.split("?");
  return FUNCTION.test(path) && queries.length < 2 && !name.includes("#");
}

/**
 * The last look at every request: whatever the code above did to the builder, what leaves is one tenant table filtered
 * by the tenant, with rows of that tenant; a listed function of the database; an object of the tenant's folder; or an
 * edge function. Always with the scope's own headers. Knows nothing of supabase-js, reads the bytes only, and so holds
 * when the layer above is wrong or evaded. Throws instead of repairing.
 *
 * @example
 * const { url, headers } = gate(scope, { base: "https://x.supabase.co", credentials }, request);
 * @throws BulkheadError, kind `refused`.
 */
export function gate(
  scope: TenantScope,
  gateway: Gateway,
  request: OutgoingRequest,
): { url: string; headers: Headers } {
  const url = new URL(request.url);
  const base = new URL(`${gateway.base}/`);
  const path = url.pathname.slice(base.pathname.length);
  if (url.origin !== base.origin || !url.pathname.startsWith(base.pathname)) {
    throw refusal("BH_GATE", "it addresses another host");
  }
  const [, service, name = ""] = /^(rest|storage|functions)\/v1\/(.+)$/.exec(path) ?? [];
  const [, called] = /^rpc\/([^/]+)$/.exec(name) ?? [];
  if (service === "rest" && isIdentifier(called ?? name)) {
    const pass = called === undefined ? passTable : passRpc;
    pass(scope, called ?? name, url.searchParams, request);
  } else if (service === "storage") {
    passStorage(scope, name, request);
  } else if (service !== "functions" || !FUNCTION.test(name)) {
    throw refusal("BH_GATE", "it addresses no table, function or object");
  }
  const schema = service === "rest" ? "public" : null;
  const credentials = credentialsFor(service, gateway.credentials);
  const headers = stampHeaders(scope, { schema, credentials }, request.headers);
  return { url: url.href, headers };
}

/** An API key that is no token opens the gateway of functions as `apikey` alone, as supabase-js sends it. */
function credentialsFor(service: string, given: Credentials): Credentials {
  const isToken = !/^Bearer sb_/.test(given.authorization ?? "");
  return service === "functions" && !isToken ? { ...given, authorization: null } : given;
}
