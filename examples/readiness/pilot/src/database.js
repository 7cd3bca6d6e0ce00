import pg from "pg";
import { settings } from "./settings.js";

export const pool = new pg.Pool({
  connectionString: settings.DATABASE_URL,
  max: 10,
  connectionTimeoutMillis: 5000,
  statement_timeout: 5000,
});
