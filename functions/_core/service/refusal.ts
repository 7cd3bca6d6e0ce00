import { BulkheadError } from "../errors.ts";

/**
 * A request that stays in this process.
 *
 * @example
 * throw refusal("BH_GATE", "the filter on tenant_id is missing");
 */
export function refusal(code: string, state: string, cause?: unknown): BulkheadError {
  return new BulkheadError(code, `Cannot send the request: ${state}`, {
    kind: "refused",
    hint:
      "Build requests with the tenant client's own methods only; nothing has left this process.",
    cause,
  });
}
