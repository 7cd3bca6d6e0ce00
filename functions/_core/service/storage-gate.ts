import { refusal } from "./refusal.ts";
import type { OutgoingRequest } from "./request-gate.ts";
import { isTenantPath, tenantFolder } from "./storage-paths.ts";
import { isObject, parsedBody } from "./table-gate.ts";
import type { TenantScope } from "./tenant-scope.ts";

/** Routes whose address holds the object: `<route>/<bucket>/<folder>/…`; the longest first. */
const ADDRESSED =
  /^(?:object\/upload\/sign|object\/info|object\/sign|object|render\/image\/authenticated)\/([A-Za-z0-9_][A-Za-z0-9_.-]*)\/(.+)$/;
/** Routes whose body holds the objects. */
const LISTED = /^object\/(?:list|sign)\/[A-Za-z0-9_][A-Za-z0-9_.-]*$/;
const MOVED = /^object\/(?:move|copy)$/;
const REMOVED = /^object\/[A-Za-z0-9_][A-Za-z0-9_.-]*$/;
/** Names that are routes of Storage's, not buckets: `object/list/…` must not be read as a bucket called list. */
const ROUTES = new Set(["list", "list-v2", "move", "copy", "public", "authenticated", "upload"]);

/**
 * One request to `/storage/v1/…`: an object of the tenant's folder, or several, all of them.
 *
 * @example
 * passStorage(scope, "object/contracts/6f9619ff-…/7.pdf", request);
 * @throws BulkheadError `BH_GATE`, kind `refused`.
 */
export function passStorage(scope: TenantScope, path: string, request: OutgoingRequest): void {
  if (request.method === "DELETE" && REMOVED.test(path)) {
    return requireOwn(scope, entries(parsedObject(request)["prefixes"]));
  }
  if (request.method === "POST" && MOVED.test(path)) {
    const { sourceKey, destinationKey } = parsedObject(request);
    return requireOwn(scope, [sourceKey, destinationKey]);
  }
  if (request.method === "POST" && LISTED.test(path)) {
    const body = parsedObject(request);
    if (path.startsWith("object/sign/")) return requireOwn(scope, entries(body["paths"]));
    const prefix = body["prefix"];
    if (prefix === tenantFolder(scope.tenantId)) return;
    return requireOwn(scope, [prefix]);
  }
  const [, bucket = "", object] = ADDRESSED.exec(path) ?? [];
  if (object === undefined || ROUTES.has(bucket) || request.method === "DELETE") {
    throw refusal("BH_GATE", "it is no request for objects of a tenant's folder");
  }
  // A space is the one character of a valid key that an address writes otherwise.
  requireOwn(scope, [object.replaceAll("%20", " ")]);
}

function parsedObject(request: OutgoingRequest): Record<string, unknown> {
  const body = parsedBody(request.body);
  if (isObject(body)) return body;
  throw refusal("BH_GATE", "its body is no object");
}

function entries(value: unknown): unknown[] {
  if (!Array.isArray(value) || value.length === 0) throw refusal("BH_GATE", "it names no object");
  return value.map((entry) => isObject(entry) ? entry["path"] : entry);
}

function requireOwn(scope: TenantScope, paths: unknown[]): void {
  if (paths.every((path) => isTenantPath(scope, path))) return;
  throw refusal("BH_GATE", "an object lies outside the tenant's folder");
}
