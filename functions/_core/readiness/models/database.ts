import { lineAt } from "../../lines.ts";
import type { Repository } from "../repository.ts";
import { textAt } from "./compose-service.ts";
import { compose } from "./compose.ts";
import { packagesOf } from "./task-files.ts";

/** A sign of a database, and who runs it: this repository, a provider that keeps backups of its own, or unknown. */
export type DatabaseSign = {
  runBy: "self" | "provider" | "unknown";
  what: string;
  file: string;
  line: number | null;
};

const DATABASES =
  /(^|\/)(postgres(ql)?|postgis|pgvector|timescaledb[\w-]*|mysql|mariadb|mongo(db)?|cockroach|mssql|supabase\/postgres|percona[\w-]*)(:|@|$)/i;
const PROVIDERS =
  /(?<![\w.-])[\w.-]*\.(supabase\.(co|com)|neon\.tech|rds\.amazonaws\.com|database\.azure\.com|ondigitalocean\.com|planetscale\.com|psdb\.cloud|mongodb\.net|render\.com|aivencloud\.com|railway\.internal|cockroachlabs\.cloud|xata\.sh|tursodb?\.io|prisma-data\.net)\b/i;
const PROVIDER_PACKAGES =
  /^(@supabase\/supabase-js|@supabase\/ssr|@neondatabase\/serverless|@vercel\/postgres|@planetscale\/database|@libsql\/client|firebase-admin|@upstash\/.*)$/;
const CLIENTS =
  /^(pg|postgres|mysql2?|mongoose|mongodb|prisma|@prisma\/client|drizzle-orm|typeorm|sequelize|knex|kysely|@mikro-orm\/core|better-sqlite3|sqlite3)$/;
const PYTHON =
  /^\s*["']?(sqlalchemy|sqlmodel|psycopg2?(-binary)?|asyncpg|django|tortoise-orm|pymongo|motor|mysqlclient|aiomysql|databases|peewee|alembic)\b/im;

/**
 * Every sign that the application keeps data, those that say where first.
 *
 * @example
 * databaseSigns(repository).some(({ runBy }) => runBy === "self");
 */
export function databaseSigns(repository: Repository): DatabaseSign[] {
  return repository.once("database signs", () => {
    const found: DatabaseSign[] = [];
    for (const { services, isProduction } of compose(repository).projects) {
      for (const service of services) {
        const image = textAt(service, "image");
        if (!image || !DATABASES.test(image)) continue;
        const { file, line } = service;
        const what = `the service ${service.name} runs ${image}`;
        found.push({ runBy: isProduction ? "self" : "unknown", what, file, line });
      }
    }
    found.push(...inFiles(repository));
    const rank = { self: 0, provider: 1, unknown: 2 };
    return found.toSorted((a, b) => rank[a.runBy] - rank[b.runBy]);
  });
}

function inFiles(repository: Repository): DatabaseSign[] {
  const found: DatabaseSign[] = [];
  for (const { path, text, context } of repository.files) {
    if (text === null || context === "vendored" || context === "test") continue;
    const sign = (runBy: DatabaseSign["runBy"], what: string, at = -1) => {
      const line = at < 0 ? null : lineAt(text, at);
      found.push({ runBy, what, file: path, line });
    };
    if (/(^|\/)supabase\/config\.toml$/.test(path)) sign("provider", "a project of Supabase");
    if (/(^|\/)render\.ya?ml$/.test(path) && /^databases:/m.test(text)) {
      sign("provider", "a database of Render", text.search(/^databases:/m));
    }
    if (/\.tf$/.test(path)) {
      const at = text.search(TERRAFORM);
      if (at >= 0) sign("provider", "a managed database in Terraform", at);
    }
    if (/\.ya?ml$/.test(path) && /^kind:\s*StatefulSet\s*$/m.test(text)) {
      const at = text.search(/image:\s*["']?[\w./-]*(postgres|mysql|mariadb|mongo)[\w./-]*/);
      if (at >= 0) sign("self", "a StatefulSet runs a database", at);
    }
    if (/(^|\/)\.env[\w.-]*$|(^|\/)[\w.-]*\.env(\.\w+)?$|\.(toml|ya?ml)$/.test(path)) {
      const at = text.slice(0, 200_000).search(PROVIDERS);
      if (at >= 0 && /DATABASE|DB_|POSTGRES|PG|MONGO|SUPABASE/i.test(lineAround(text, at))) {
        sign("provider", "an address of a provider's database", at);
      }
    }
    if (/(^|\/)alembic\.ini$|(^|\/)schema\.prisma$|(^|\/)migrations\/[^/]*\.(sql|py)$/.test(path)) {
      sign("unknown", "migrations of a database");
    }
    if (/(^|\/)(requirements[^/]*\.txt|pyproject\.toml|Pipfile)$/.test(path) && PYTHON.test(text)) {
      sign("unknown", "a client of a database among the dependencies", text.search(PYTHON));
    }
  }
  for (const { file, json } of packagesOf(repository)) {
    const names = Object.keys({ ...Object(json["dependencies"]) });
    const provider = names.find((one) => PROVIDER_PACKAGES.test(one));
    const client = names.find((one) => CLIENTS.test(one));
    if (provider) {
      found.push({ runBy: "provider", what: `the client ${provider}`, file, line: null });
    } else if (client) {
      found.push({ runBy: "unknown", what: `the client ${client}`, file, line: null });
    }
  }
  return found;
}

const TERRAFORM =
  /resource\s+"(aws_db_instance|aws_rds_cluster|google_sql_database_instance|azurerm_(postgresql|mysql|mssql)\w*server|digitalocean_database_cluster|neon_project|supabase_project|mongodbatlas_\w*cluster)"/;

function lineAround(text: string, at: number): string {
  const end = text.indexOf("\n", at);
  return text.slice(text.lastIndexOf("\n", at) + 1, end < 0 ? undefined : end);
}
