import { ownerColumn, ownTables, tenantTables } from "../models/tenant-tables.ts";
import { sqlOf } from "../models/sql.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** Where the database doesn't hold a tenant's rows together, one forgotten filter shows them to another. */
export const rowSecurity: Rule = {
  id: "DB-01",
  name: "row-security",
  area: "db",
  severity: "p0",
  confidence: "high",
  section: 2,
  title: "Row-level security is on for every table that holds a tenant's rows",
  remedy: "alter table … enable row level security, with a policy on the tenant's column",
  async check(repository) {
    const sql = await sqlOf(repository);
    const tenants = new Map(tenantTables(sql).map(({ table, column }) => [table, column]));
    const evidence: Evidence[] = [];
    for (const table of ownTables(sql)) {
      const { file, line, name } = table;
      const tenant = tenants.get(table);
      const owner = ownerColumn(table);
      const isExposed = sql.isSupabase && name.startsWith("public.") && !isRevoked(sql, table);
      if (!tenant && !isExposed) continue;
      const whose = tenant ? `"${tenant.name}"` : owner ? `"${owner.name}"` : null;
      if (table.rowSecurity) {
        const { rowSecurity: at } = table;
        // Row security without a policy lets nobody in, and that is no hole.
        evidence.push({ kind: "strength", ...at, message: `row security is on for ${name}` });
      } else if (sql.state.dynamic.length > 0) {
        const message = `row security of ${name} is switched by code that can't be followed`;
        evidence.push({ kind: "unknown", file, line, message });
      } else if (sql.unread.length > 0 && sql.unread.some((one) => one.file === file)) {
        const message = `a statement of this file can't be read, and ${name} may have row security`;
        evidence.push({ kind: "unknown", file, line, message });
      } else {
        const policies = table.policies.size > 0
          ? `; its ${table.policies.size} policies do nothing`
          : "";
        evidence.push({
          kind: "gap",
          file,
          line,
          severity: isExposed ? whose ? "p0" : "p1" : "p1",
          message: isExposed
            ? `${name}${
              whose ? ` (${whose})` : ""
            } is open to everybody who has the public key: row security is off${policies}`
            : `${name} has ${whose} and no row security${policies}`,
        });
      }
    }
    return conclude(evidence, {
      status: sql.files.length === 0 ? "unknown" : "not-applicable",
      summary: sql.files.length === 0
        ? "no migrations to read tables from"
        : "no table has a tenant's column, and no API exposes the tables as they are",
    });
  },
};

/** Whether the roles of the API have lost their rights on a table. */
function isRevoked(
  { state }: Awaited<ReturnType<typeof sqlOf>>,
  table: ReturnType<typeof ownTables>[number],
): boolean {
  const schema = table.name.split(".")[0] ?? "";
  const lost = state.revokedBySchema.get(schema);
  return ["anon", "authenticated"].every((role) => {
    const own = table.grants.get(role);
    const hasBack = [...own ?? []].some((right) => !right.startsWith("-"));
    return !hasBack && (own?.has("-all") === true || lost?.has(role) === true);
  });
}
