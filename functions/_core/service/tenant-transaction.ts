import { BulkheadError } from "../errors.ts";
import { canonicalTenant, parseActor, type TenantKind } from "./tenant-scope.ts";

/** Whose rows, on whose behalf: what `withTenant` takes, and what a verified session is. */
export type TenantContext = {
  tenantId: string | number | bigint;
  actor: string;
  requestId?: string | undefined;
  /** Checked before anything is sent where it is given; the database checks again. */
  tenantKind?: TenantKind | undefined;
  /** The role that the transaction runs as, `bulkhead_service` unless said otherwise; never one with BYPASSRLS. */
  role?: string | undefined;
};

/** The first statement of a transaction, and what its one row must say. */
export type Opening = {
  text: string;
  values: string[];
  /** @throws BulkheadError `BH_ROLE` or `BH_TENANT_HELD`, kind `refused`. */
  check(row: unknown): void;
  /** What to throw when the statement itself failed. */
  explain(error: unknown): unknown;
};

/** The settings are read before they are made: a target list is evaluated from left to right. */
const TEXT = `select
  coalesce(pg_catalog.current_setting('bulkhead.tenant', true), '') as held,
  (select r.rolsuper or r.rolbypassrls from pg_catalog.pg_roles as r where r.rolname = $4::text) as is_free,
  pg_catalog.set_config('role', $4::text, true) as role,
  pg_catalog.set_config('bulkhead.tenant', $1::text, true) as tenant,
  pg_catalog.set_config('bulkhead.actor', $2::text, true) as actor,
  pg_catalog.set_config('bulkhead.request_id', $3::text, true) as request_id`;

/**
 * How a transaction of one tenant begins: role and context, all of them local to it, in one round trip that also says
 * whether the role would obey row level security. Most back ends log in as postgres, who would not.
 *
 * @example
 * const opening = openingOf({ tenantId: session.tenantId, actor: session.actor });
 * @throws BulkheadError `BH_TENANT`, `BH_ACTOR`, `BH_REQUEST_ID` or `BH_ROLE`, kind `usage`, before anything is sent.
 */
export function openingOf(context: TenantContext): Opening {
  const tenant = canonicalTenant(context.tenantKind ?? "text", context.tenantId);
  if (tenant === undefined) {
    throw new BulkheadError(
      "BH_TENANT",
      "Cannot open a transaction: its tenant is missing or malformed",
      {
        kind: "usage",
        hint: "Take the tenant from a verified session, never from a header, a body or a default.",
      },
    );
  }
  const { actor, requestId } = parseActor(context);
  const role = context.role ?? "bulkhead_service";
  if (typeof role !== "string" || !/^[a-z_][a-z0-9_$]{0,62}$/.test(role) || role === "none") {
    throw refused("its role has no plain name", "usage");
  }
  return {
    text: TEXT,
    values: [tenant, actor, requestId, role],
    explain(error) {
      const code = typeof error === "object" && error !== null && "code" in error ? error.code : "";
      // 42501: the login may not become the role. 22023: there is none.
      if (code !== "42501" && code !== "22023") return error;
      return refused(`the login may not become ${role}`, "refused", error);
    },
    check(row) {
      const { held, is_free, role: became } = rowOf(row);
      if (is_free !== false || became !== role) {
        throw refused(`the role ${role} bypasses row level security or does not exist`, "refused");
      }
      if (held !== "" && held !== tenant) {
        throw new BulkheadError(
          "BH_TENANT_HELD",
          "Cannot open a transaction: the connection carries another tenant already",
          {
            kind: "refused",
            hint:
              "Never nest two tenants; where nothing is nested, somebody set bulkhead.tenant for the session: make that set_config(…, true) and open a new connection.",
          },
        );
      }
    },
  };
}

/** For what is asked of a transaction that has ended. */
export function transactionOver(): BulkheadError {
  return new BulkheadError("BH_TRANSACTION_OVER", "Cannot run the query: its transaction is over", {
    kind: "refused",
    hint: "Await every query inside the function that withTenant was given; keep no tx.",
  });
}

function rowOf(row: unknown): Record<string, unknown> {
  return typeof row === "object" && row !== null ? { ...row } : {};
}

function refused(state: string, kind: "usage" | "refused", cause?: unknown): BulkheadError {
  return new BulkheadError("BH_ROLE", `Cannot open a transaction: ${state}`, {
    kind,
    hint:
      "Run: grant bulkhead_service to <login>. Or name another role: one without BYPASSRLS, listed in bulkhead.configure(direct_roles => …).",
    cause,
  });
}
