import { sqlOf } from "../models/sql.ts";
import { ownTables } from "../models/tenant-tables.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const DIRECT =
  /"(pg|postgres|drizzle-orm|@prisma\/client|typeorm|knex|sequelize|kysely)"\s*:|^\s*"?(sqlalchemy|asyncpg|psycopg2?(-binary)?|sqlmodel|django)\b/im;

/** The owner of a table, and whoever bypasses row security, reads every tenant's rows whatever the policies say. */
export const forcedRowSecurity: Rule = {
  id: "DB-02",
  name: "forced-row-security",
  area: "db",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "Row security holds for the role that the application connects with",
  remedy:
    "alter table … force row level security, or connect with a role that owns nothing and has NOBYPASSRLS",
  async check(repository) {
    const sql = await sqlOf(repository);
    const evidence: Evidence[] = [];
    const tables = ownTables(sql).filter((one) => one.rowSecurity !== null);
    for (const [role, { bypasses, isSuper, file, line }] of sql.state.roles) {
      if (!bypasses && !isSuper) continue;
      const how = isSuper ? "is a superuser" : "bypasses row security";
      const isApplication = /app|api|web|backend|service|user/i.test(role) &&
        role !== "service_role";
      if (isApplication) {
        evidence.push({ kind: "gap", file, line, message: `the role ${role} ${how}` });
      }
    }
    const forced = tables.filter((one) => one.isForced);
    const own = [...sql.state.roles].filter(([role, one]) =>
      !one.bypasses && !one.isSuper && tables.some(({ grants }) => grants.has(role))
    );
    const manifests = repository.matching(
      /(^|\/)(package\.json|pyproject\.toml|requirements[^/]*\.txt|Pipfile)$/,
    );
    const isDirect = manifests.some(({ text, context }) =>
      context !== "test" && DIRECT.test(text ?? "")
    );
    const [first] = tables;
    if (first && forced.length === tables.length) {
      const at = { file: first.file, line: first.line };
      evidence.push({
        kind: "strength",
        ...at,
        message: `row security is forced on all ${tables.length} tables`,
      });
    } else if (first && own.length > 0) {
      const [role, place] = own[0] ?? ["", first];
      evidence.push({
        kind: "strength",
        file: place.file,
        line: place.line,
        message: `the role ${role} has rights of its own and owns nothing`,
      });
    } else if (first && !sql.isSupabase) {
      evidence.push({
        kind: "gap",
        file: first.rowSecurity?.file ?? first.file,
        line: first.rowSecurity?.line ?? first.line,
        message: `row security is not forced on ${
          tables.length - forced.length
        } of ${tables.length} tables, and no role apart from their owner is made: as the owner the application sees every row`,
      });
    } else if (first && isDirect) {
      evidence.push({
        kind: "unknown",
        file: first.file,
        line: first.line,
        message:
          "the application has a driver of its own beside the API, and which role it connects with is not in the repository",
      });
    } else if (first) {
      const at = { file: first.file, line: first.line };
      evidence.push({
        kind: "strength",
        ...at,
        message: "requests come through the API, as anon or authenticated, which own nothing",
      });
    }
    return conclude(evidence, {
      status: sql.files.length === 0 ? "unknown" : "not-applicable",
      summary: sql.files.length === 0 ? "no migrations to read" : "no table has row security",
    });
  },
};
