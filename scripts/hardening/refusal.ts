import { BulkheadError } from "../../functions/_core/errors.ts";

/** What the kit's SQL refuses with, as an error of the command; anything else comes back as it is. */
const REFUSED = new Set(["BH002", "BH504", "BH505", "BH702", "BH703"]);

/**
 * Turn a refusal of `bulkhead.accept()`, `attest()`, `mute()` or `acknowledge()` into a usage error: its message has two halves.
 *
 * @example
 * throw refusal(error, "BH_ACCEPT");
 */
export function refusal(error: unknown, code: string): unknown {
  if (!(error instanceof Error) || !("code" in error) || !REFUSED.has(String(error.code))) {
    return error;
  }
  const [what = error.message, ...rest] = error.message.split("; ");
  const hint = rest.join("; ") || "see docs/errors.md";
  return new BulkheadError(code, what, {
    kind: ["BH505", "BH703"].includes(String(error.code)) && error.message.includes("it is a hole")
      ? "refused"
      : "usage",
    hint,
    cause: error,
  });
}
