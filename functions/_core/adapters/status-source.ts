import { BulkheadError } from "../errors.ts";
import { type StatusReport, statusReport } from "../status/contract.ts";
import type { Sql } from "./postgres.ts";

/**
 * Ask the database for its status, one statement in one read-only transaction, at most a minute.
 *
 * @example
 * const report = await readStatus(sql, "boundary");
 * @throws BulkheadError `BH_STATUS_CATEGORY` for a category that does not exist, `BH_NOT_INSTALLED` without the kit.
 */
export async function readStatus(sql: Sql, category: string | null = null): Promise<StatusReport> {
  try {
    const rows = await sql.begin("read only", async (tx) => {
      await tx`set local statement_timeout = '60s'`;
      return await tx`select bulkhead.status(${category}) as status`;
    });
    const parsed = statusReport.safeParse(rows[0]?.["status"]);
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0];
    throw new BulkheadError(
      "BH_STATUS_SHAPE",
      `Cannot read the status: ${issue?.path.join(".")} ${issue?.message}`,
      {
        kind: "unknown",
        hint: "apply the migrations that belong to this version: supabase db push",
      },
    );
  } catch (error) {
    throw translate(error);
  }
}

/** The kit's own errors by their SQLSTATE; anything else comes back as it is. */
function translate(error: unknown): unknown {
  if (typeof error !== "object" || error === null || !("code" in error)) return error;
  const message = error instanceof Error ? error.message : "";
  if (error.code === "BH701") {
    const [what = message, hint = ""] = message.split("; ");
    return new BulkheadError("BH_STATUS_CATEGORY", what, { kind: "usage", hint, cause: error });
  }
  if (error.code === "3F000" || error.code === "42883") {
    return new BulkheadError(
      "BH_NOT_INSTALLED",
      "Cannot check the database: Bulkhead is not installed in it",
      {
        kind: "unknown",
        hint: "apply the migrations first: supabase db push",
        cause: error,
      },
    );
  }
  if (error.code === "42501") {
    return new BulkheadError("BH_STATUS_ROLE", `Cannot check the database: ${message}`, {
      kind: "usage",
      hint: "connect as the role that applied the migrations (postgres)",
      cause: error,
    });
  }
  return error;
}
