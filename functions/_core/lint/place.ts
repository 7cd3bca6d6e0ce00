import type { Severity } from "./rules.ts";

/** What a file is for, by its path: rules weigh less where no customer's request arrives. */
export type Place = "production" | "script" | "test";

const TEST =
  /(^|\/)(__tests__|__mocks__|__fixtures__|tests?|e2e|cypress|playwright|mocks?|fixtures?|test-utils|testing|bench(marks?)?)\/|[._-](test|spec|e2e|stories|mock|bench)\.[^/]+$|(^|\/)(jest|vitest|playwright|cypress)[.-][^/]*$/i;
const SCRIPT =
  /(^|\/)(scripts?|bin|tools?|seeds?|seeders?|migrations?|cli|dev|examples?)\/|(^|\/)(seed|migrate|backfill|drizzle\.config)[\w.-]*\.[^/]+$/i;

/**
 * What a file is for.
 *
 * @example
 * placeOf("scripts/seed.ts"); // "script"
 */
export function placeOf(path: string): Place {
  if (TEST.test(path)) return "test";
  // A migration is what the database runs ever after; rows to begin with are not.
  if (path.endsWith(".sql")) {
    return /(^|\/)seeds?[\w.-]*(\/|\.sql$)/i.test(path) ? "script" : "production";
  }
  // What the platform runs is production, whatever its folder is called.
  if (/(^|\/)(supabase\/functions|pages|app)\//.test(path) && !/(^|\/)scripts?\//.test(path)) {
    return "production";
  }
  return SCRIPT.test(path) ? "script" : "production";
}

/** One step less in scripts and seeds: somebody starts them by hand. */
export function demote(severity: Severity, place: Place): Severity {
  if (place === "production") return severity;
  return severity === "error" ? "warning" : "info";
}
