import { refusal } from "./refusal.ts";
import type { TenantScope } from "./tenant-scope.ts";

/** What a client sends beside its scope: which key opens the gateway, and which role it arrives as. */
export type Credentials = { readonly apikey: string; readonly authorization: string | null };

/**
 * The headers as they leave: the caller's own, the scope's context, the client's key. A context header that is there
 * already and says something else is an attempt, so it is refused and not overwritten.
 *
 * @example
 * const headers = stampHeaders(scope, { schema: "public", credentials }, new Headers(init.headers));
 * @throws BulkheadError `BH_HEADER`, kind `refused`.
 */
export function stampHeaders(
  scope: TenantScope,
  api: { schema: string | null; credentials: Credentials },
  given: Headers,
): Headers {
  const headers = new Headers(given);
  const stamped = {
    "x-tenant-id": scope.tenantId,
    "x-actor": scope.actor,
    "x-request-id": scope.requestId,
    ...api.credentials,
  };
  for (const [name, value] of Object.entries(stamped)) {
    const before = headers.get(name);
    if (before !== null && before !== value) {
      throw refusal("BH_HEADER", `the header ${name} was changed`);
    }
    if (value !== null) headers.set(name, value);
  }
  for (const name of ["accept-profile", "content-profile"]) {
    if (headers.has(name) && headers.get(name) !== api.schema) {
      throw refusal("BH_HEADER", `the header ${name} was changed`);
    }
  }
  return headers;
}
