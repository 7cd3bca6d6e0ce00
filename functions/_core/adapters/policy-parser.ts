import { parse } from "libpg-query";
import type { Catalog } from "../adopt/catalog.ts";
import type { Config } from "../adopt/config.ts";
import { as, list } from "../adopt/expression.ts";
import { judgePolicy, type PolicyVerdict, type PolicyWorld } from "../adopt/policy-verdict.ts";

/**
 * Parse and judge every permissive policy of the adopted schemas with Postgres' own parser.
 *
 * @example
 * const verdicts = await judgePolicies(catalog, config);
 */
export async function judgePolicies(catalog: Catalog, config: Config): Promise<PolicyVerdict[]> {
  const verdicts: PolicyVerdict[] = [];
  for (const table of catalog.tables) {
    if (!config.schemas.includes(table.schema)) continue;
    const choice = config.tables[table.id];
    const tenantColumn = table.id === config.tenants.table
      ? table.constraints.find((one) => one.type === "p")?.columns[0] ?? "id"
      : choice?.kind === "tenant" && choice.column !== undefined
      ? choice.column
      : config.tenants.column;
    const member = catalog.tables.find((one) => one.id === config.membership?.table);
    const world: PolicyWorld = {
      table,
      tenantColumn,
      routines: catalog.routines,
      membership: member && config.membership
        ? {
          name: member.name,
          user: config.membership.user_column,
          tenant: config.membership.tenant_column ?? config.tenants.column,
          isThis: member === table,
        }
        : null,
    };
    for (const policy of table.policies) {
      if (!policy.permissive || policy.name.startsWith("bulkhead_")) continue;
      const using = await tree(policy.using);
      const check = await tree(policy.check);
      verdicts.push(judgePolicy({ policy, using, check }, world));
    }
  }
  return verdicts;
}

/** The tree of a boolean expression, null for none. */
export async function tree(expression: string | null): Promise<unknown> {
  if (expression === null) return null;
  const result: unknown = await parse(`select (${expression})`);
  const statements = result && typeof result === "object" && "stmts" in result
    ? list(result.stmts)
    : [];
  const [first] = statements;
  const statement = first && typeof first === "object" && "stmt" in first
    ? as(first.stmt, "SelectStmt")
    : null;
  const target = as(list(statement?.["targetList"])[0], "ResTarget");
  return target?.["val"] ?? null;
}
