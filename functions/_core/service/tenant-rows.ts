import { BulkheadError } from "../errors.ts";
import { isIdentifier, isTenant, type TenantScope } from "./tenant-scope.ts";

/** A row as JSON takes it. */
export type Row = Record<string, unknown>;

/**
 * Copies of the rows with the tenant stamped on each; one row that names another tenant refuses all of them.
 *
 * @example
 * stampRows(scope, "tenant_id", [{ body: "hello" }]); // [{ body: "hello", tenant_id: "…" }]
 * @throws BulkheadError `BH_TENANT_MISMATCH`, kind `refused`.
 */
export function stampRows(scope: TenantScope, column: string, values: unknown): Row | Row[] {
  if (Array.isArray(values)) return values.map((row) => stamp(scope, column, row));
  return stamp(scope, column, values);
}

function stamp(scope: TenantScope, column: string, value: unknown): Row {
  const row = { ...plainRow(value) };
  const named = row[column];
  if (named !== undefined && !isTenant(scope, named)) {
    throw refused(
      "BH_TENANT_MISMATCH",
      `Cannot write a row for another tenant: its "${column}" differs from the client's`,
      {
        hint:
          `Leave "${column}" out, the client sets it; to write for another tenant make a client for that tenant.`,
      },
    );
  }
  row[column] = scope.tenantId;
  return row;
}

/**
 * A copy of the changes of an update, which may not touch the tenant column, not even with the same value.
 *
 * @example
 * checkChanges("tenant_id", { is_read: true });
 * @throws BulkheadError `BH_TENANT_IMMUTABLE`, kind `refused`.
 */
export function checkChanges(column: string, values: unknown): Row {
  const changes = { ...plainRow(values) };
  if (column in changes) {
    throw refused(
      "BH_TENANT_IMMUTABLE",
      `Cannot update the column "${column}": a row never moves to another tenant`,
      {
        hint:
          `Leave "${column}" out of the update; delete the row and insert it through the other tenant's client instead.`,
      },
    );
  }
  return changes;
}

/**
 * The conflict target of an upsert. It must hold the tenant column, or the conflicting row could be someone else's.
 *
 * @example
 * conflictTarget("tenant_id", undefined); // "tenant_id,id", the key that `bulkhead.protect` gives every table
 * @throws BulkheadError `BH_UPSERT_TARGET`, kind `refused`.
 */
export function conflictTarget(column: string, onConflict: string | undefined): string {
  if (onConflict === undefined) return column === "id" ? column : `${column},id`;
  const names = onConflict.split(",").map((name) => name.trim());
  if (names.every(isIdentifier) && names.includes(column)) return names.join(",");
  throw refused(
    "BH_UPSERT_TARGET",
    `Cannot upsert on a conflict target without "${column}": it could match another tenant's row`,
    {
      hint:
        `Name the tenant in it, e.g. onConflict: "${column},id", backed by a unique constraint on these columns.`,
    },
  );
}

function plainRow(value: unknown): Row {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Row;
  throw refused("BH_ROW", "Cannot write the row: it is no object", {
    hint: "Pass one object a row, or an array of objects.",
  });
}

function refused(code: string, message: string, { hint }: { hint: string }): BulkheadError {
  return new BulkheadError(code, message, { kind: "refused", hint });
}
