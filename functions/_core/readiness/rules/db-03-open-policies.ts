import { reachOf } from "../models/sql-conditions.ts";
import { sqlOf } from "../models/sql.ts";
import type { SqlPolicy, SqlTable } from "../models/sql-state.ts";
import { ownerColumn, ownTables, tenantTables } from "../models/tenant-tables.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** Roles that a request of the internet can have. */
const OPEN = new Set(["public", "anon", "authenticated"]);

/** A policy that is always true is row security that is on and holds nothing. */
export const openPolicies: Rule = {
  id: "DB-03",
  name: "open-policies",
  area: "db",
  severity: "p0",
  confidence: "high",
  section: 2,
  title: "No policy lets everybody write, or read what belongs to a tenant",
  remedy: "compare the row with the caller: using (org_id = …) with check (org_id = …)",
  async check(repository) {
    const sql = await sqlOf(repository);
    const evidence: Evidence[] = [];
    const owned = new Set<SqlTable>(tenantTables(sql).map(({ table }) => table));
    const tables = new Set([...ownTables(sql), ...sql.state.tables.values()]);
    for (const table of tables) {
      for (const policy of table.policies.values()) {
        const isOwned = owned.has(table) || ownerColumn(table) !== null;
        const found = judge(table, policy, isOwned, !sql.isSupabase);
        if (found) evidence.push(found);
      }
    }
    if (evidence.length === 0) {
      const [first] = [...tables].flatMap((one) => [...one.policies.values()]);
      if (first) {
        const count = [...tables].reduce((sum, one) => sum + one.policies.size, 0);
        evidence.push({
          kind: "strength",
          file: first.file,
          line: first.line,
          message: `${count} policies, and none of them is open to everybody`,
        });
      }
    }
    return conclude(evidence, {
      status: sql.files.length === 0 || sql.state.dynamic.length > 0 ? "unknown" : "not-applicable",
      summary: sql.files.length === 0
        ? "no migrations to read policies from"
        : sql.state.dynamic.length > 0
        ? "policies are made by code that can't be followed"
        : "there is no policy",
    });
  },
};

function judge(
  table: SqlTable,
  policy: SqlPolicy,
  isOwned: boolean,
  isBehindServer: boolean,
): Evidence | null {
  const { file, line, name, command } = policy;
  const roles = policy.roles.filter((role) => OPEN.has(role));
  if (!policy.isPermissive || roles.length === 0) return null;
  const written = command === "insert"
    ? [policy.check]
    : [policy.using, policy.check ?? policy.using];
  const reaches = written.map((one) => reachOf(one));
  const reads = reachOf(policy.using);
  const who = roles.includes("public") || roles.includes("anon")
    ? "everybody"
    : "everybody who signs in";
  const isWide = (reach: string) => reach === "everybody" || (reach === "signed-in" && isOwned);
  const at = { file, line };
  if (command !== "select") {
    // Of an update the old row is held by `using`; a check of its own that is true lets the new one go anywhere.
    const isOpen = command === "insert" || command === "delete"
      ? isWide(reaches[0] ?? "some")
      : reaches.some(isWide) && (isWide(reaches[0] ?? "some") || isWide(reaches[1] ?? "some"));
    if (!isOpen) return null;
    const isOnlyCheck = command !== "insert" && !isWide(reaches[0] ?? "some");
    // A form that anybody may fill in, a waiting list for instance, is open on purpose.
    const isForm = command === "insert" && !isOwned;
    return {
      kind: isForm ? "weakness" : "gap",
      ...at,
      severity: isForm ? "p2" : isOwned && !isOnlyCheck && !isBehindServer ? "p0" : "p1",
      message: isOnlyCheck
        ? `"${name}" on ${table.name} lets whoever may change a row hand it to anyone: with check (true)`
        : `"${name}" on ${table.name} lets ${who} ${command === "all" ? "do everything" : command}`,
    };
  }
  if (!isWide(reads)) return null;
  // What everybody may read: prices, countries. Whose rows say whose they are is another matter.
  if (!isOwned) return null;
  const isProfile = /(profile|user|author|member|team|post|comment|review|article|blog|public)s?$/
    .test(table.name);
  return {
    kind: isProfile ? "weakness" : "gap",
    ...at,
    severity: isProfile ? "p2" : "p1",
    message: `"${name}" on ${table.name} lets ${who} read every row, whoever it belongs to`,
  };
}
