import { sqlOf } from "../models/sql.ts";
import { tenantTables } from "../models/tenant-tables.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** A row without a tenant belongs to nobody or to all; one whose tenant is gone is never deleted with it. */
export const tenantColumn: Rule = {
  id: "DB-04",
  name: "tenant-column",
  area: "db",
  severity: "p1",
  confidence: "high",
  section: 2,
  title: "The tenant's column is NOT NULL, a foreign key, and the head of an index",
  remedy:
    "alter table … alter column org_id set not null; add a foreign key and an index that begins with it",
  async check(repository) {
    const sql = await sqlOf(repository);
    const evidence: Evidence[] = [];
    for (const { table, column } of tenantTables(sql)) {
      if (table.parent !== null) continue;
      const at = { file: column.file, line: column.line };
      const missing = [
        ...(column.isNotNull ? [] : ["may be null"]),
        ...(column.references === null ? ["has no foreign key"] : []),
        ...(table.indexes.some(([first]) => first === column.name) ? [] : ["leads no index"]),
      ];
      const of = `${table.name}.${column.name}`;
      if (missing.length === 0) {
        evidence.push({ kind: "strength", ...at, message: `${of} is complete` });
      } else {
        // Without an index it is slow, without the others it is wrong.
        const isSlow = missing.length === 1 && column.isNotNull && column.references !== null;
        const isKeyOnly = column.isNotNull && column.references === null;
        evidence.push({
          kind: isSlow || isKeyOnly ? "weakness" : "gap",
          ...at,
          severity: isSlow || isKeyOnly ? "p2" : "p1",
          message: `${of} ${missing.join(", ")}`,
        });
      }
    }
    return conclude(evidence, {
      status: sql.files.length === 0 ? "unknown" : "not-applicable",
      summary: sql.files.length === 0
        ? "no migrations to read tables from"
        : "no table has a tenant's column",
    });
  },
};
