/** Everything about databases that a test needs, from one place. */
export { type Actor, asRole } from "./as-role.ts";
export {
  applyMigrations,
  baselineDatabase,
  cloneOf,
  createBaseline,
  type Database,
  kitDatabase,
  openhouseDatabase,
  withSql,
} from "./databases.ts";
export { freePort, type Server, type ServerOptions, startPostgres } from "./postgres-server.ts";
