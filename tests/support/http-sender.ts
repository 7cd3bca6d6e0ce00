export * from "../../scripts/local/http-sender.ts";
