/** Everything about databases that a test needs, from one place. */
export { cloneOf, type Database } from "../../scripts/local/clones.ts";
export { applyMigrations, createBaseline, withSql } from "../../scripts/local/databases.ts";
export {
  freePort,
  type Server,
  type ServerOptions,
  startPostgres,
} from "../../scripts/local/postgres-server.ts";
export { type Actor, asRole } from "./as-role.ts";
export { baselineDatabase, kitDatabase, openhouseDatabase } from "./databases.ts";
