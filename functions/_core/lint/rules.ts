/** How bad it is; `info` is listed and never fails a run. */
export type Severity = "error" | "warning" | "info";

/** One rule: its id is `lint/<name>` and its page a section of docs/lint.md. */
export type Rule = { id: string; severity: Severity; title: string; help: string };

const rule = (name: string, severity: Severity, title: string, help: string): Rule => ({
  id: `lint/${name}`,
  severity,
  title,
  help,
});

/** Every rule, in the order of docs/lint.md. */
export const RULES: readonly Rule[] = [
  rule(
    "service-client",
    "error",
    "A client is made with the service key outside the wrapper",
    "make it with createTenantClient({ url, key, tenantId, actor })",
  ),
  rule(
    "service-write",
    "error",
    "A write through a service client, which row-level security doesn't hold",
    "write through createTenantClient(): it stamps and filters the tenant",
  ),
  rule(
    "service-read",
    "warning",
    "A read through a service client without a filter on the tenant",
    "read through createTenantClient(), or filter on the tenant column",
  ),
  rule(
    "service-rpc",
    "error",
    "A function called through a service client: its rows are not confined to a tenant",
    "call it with the user's own token, or through the wrapper's allow-list",
  ),
  rule(
    "public-service-key",
    "error",
    "The service key in a variable that the bundler gives to every browser",
    "drop the public prefix, rotate the key, use it on the server only",
  ),
  rule(
    "bundled-service-key",
    "error",
    "Client code reaches a module that uses the service key",
    'move the key to a module with import "server-only"',
  ),
  rule(
    "hard-coded-key",
    "error",
    "A service key is written in a file",
    "rotate the key, and read it from the environment",
  ),
  rule(
    "raw-pool",
    "error",
    "A query on a raw connection outside withTenant()",
    "run it inside withTenant(sql, { tenantId, actor }, async (tx) => …)",
  ),
  rule(
    "session-context",
    "error",
    "Context that outlives the transaction: a pooled connection gives it to the next request",
    "use withTenant(), or set_config(name, value, true) inside a transaction",
  ),
  rule(
    "tenant-from-request",
    "error",
    "The tenant is taken from what the sender wrote",
    "take it from the verified token, or check the membership first",
  ),
  rule(
    "as-platform",
    "info",
    "A deliberate way across tenants",
    "keep the list short; each use is an event in the ledger",
  ),
  rule(
    "sql-set-config-argument",
    "error",
    "A function that callers reach hands its arguments to set_config()",
    "never let a caller name or fill a setting; read auth.jwt() instead",
  ),
  rule(
    "sql-dynamic",
    "error",
    "A function builds SQL from its arguments without quoting them",
    "use format() with %I and %L, or execute … using",
  ),
  rule(
    "sql-definer-search-path",
    "error",
    "A security definer function without a pinned search_path",
    "add: set search_path = ''",
  ),
  rule(
    "sql-definer-tenant-argument",
    "warning",
    "A security definer function trusts the tenant that the caller names",
    "compare it with the caller's own tenants first, or take it from the token",
  ),
  rule(
    "ignore-without-reason",
    "error",
    "An ignore comment that gives no reason, or names no rule",
    "// bulkhead-ignore <rule>: <reason>",
  ),
  rule(
    "ignore-unused",
    "warning",
    "An ignore comment that ignores nothing",
    "remove it",
  ),
];

const BY_ID = new Map(RULES.map((one) => [one.id, one]));

/**
 * A rule by its id, with or without `lint/`.
 *
 * @example
 * findRule("service-write")?.severity; // "error"
 */
export function findRule(id: string): Rule | null {
  return BY_ID.get(id.startsWith("lint/") ? id : `lint/${id}`) ?? null;
}
