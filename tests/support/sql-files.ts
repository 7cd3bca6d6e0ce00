export * from "../../scripts/local/sql-files.ts";
