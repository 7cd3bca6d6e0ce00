export * from "../../scripts/local/functions-host.ts";
