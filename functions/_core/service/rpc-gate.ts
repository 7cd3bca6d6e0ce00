import { BulkheadError } from "../errors.ts";
import { refusal } from "./refusal.ts";
import type { OutgoingRequest } from "./request-gate.ts";
import { confineEmbeds, isObject, parsedBody, requireJson, requireOnce } from "./table-gate.ts";
import { isTenant, printable, type TenantScope } from "./tenant-scope.ts";

/**
 * The parameter of a function that takes the tenant, null for one that is declared to read the context, or throw: what
 * a function's body reaches is not to be seen from here.
 *
 * @example
 * tenantParameterOf(scope, "search_messages"); // "p_tenant"
 * @throws BulkheadError `BH_RPC`, kind `refused`, for a function that is not on the list.
 */
export function tenantParameterOf(scope: TenantScope, name: string): string | null {
  const parameter = typeof name === "string" ? scope.rpc.get(name) : undefined;
  if (parameter !== undefined) return parameter;
  throw new BulkheadError(
    "BH_RPC",
    `Cannot call the function "${printable(name)}": it is not declared as confined to a tenant`,
    {
      kind: "refused",
      hint:
        'Declare it when the client is made, after reading its body: rpc: { name: { tenant: "p_tenant" } } where it takes the tenant, "context" where it reads bulkhead.current_tenant().',
    },
  );
}

/**
 * The arguments of a call with the tenant among them; another tenant's is refused.
 *
 * @example
 * stampArguments(scope, "p_tenant", { query: "keys" }); // { query: "keys", p_tenant: "…" }
 * @throws BulkheadError `BH_TENANT_MISMATCH`, kind `refused`.
 */
export function stampArguments(
  scope: TenantScope,
  parameter: string | null,
  values: unknown,
): Record<string, unknown> {
  if (values !== undefined && !isObject(values)) {
    throw refusal("BH_ROW", "the arguments of a function are one object");
  }
  const given = { ...values };
  if (parameter === null) return given;
  if (given[parameter] !== undefined && !isTenant(scope, given[parameter])) {
    throw refusal("BH_TENANT_MISMATCH", `the argument "${parameter}" names another tenant`);
  }
  return { ...given, [parameter]: scope.tenantId };
}

/**
 * One request to `/rest/v1/rpc/<name>`.
 *
 * @throws BulkheadError, kind `refused`.
 */
export function passRpc(
  scope: TenantScope,
  name: string,
  params: URLSearchParams,
  request: OutgoingRequest,
): void {
  const parameter = tenantParameterOf(scope, name);
  requireOnce(params);
  const { method, headers } = request;
  if (method === "POST") {
    requireJson(headers);
    // It would hand the whole body to one parameter, the tenant's name with it.
    if (/params=/i.test(headers.get("prefer") ?? "")) {
      throw refusal("BH_HEADER", "the header prefer changes how arguments are read");
    }
    const values = parsedBody(request.body);
    if (!isObject(values)) throw refusal("BH_GATE", "the arguments of a function are one object");
    if (parameter !== null && !isTenant(scope, ownValue(values, parameter))) {
      throw refusal("BH_TENANT_MISMATCH", `the argument "${parameter}" is missing or another's`);
    }
  } else if (method === "GET" || method === "HEAD") {
    const given = parameter === null ? [] : params.getAll(parameter);
    if (parameter !== null && (given.length !== 1 || given[0] !== scope.tenantId)) {
      throw refusal("BH_TENANT_MISMATCH", `the argument "${parameter}" is missing or another's`);
    }
  } else {
    throw refusal("BH_GATE", "a function is called with POST, GET or HEAD");
  }
  confineEmbeds(scope, params);
}

function ownValue(values: Record<string, unknown>, name: string): unknown {
  return Object.hasOwn(values, name) ? values[name] : undefined;
}
