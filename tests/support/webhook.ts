export * from "../../scripts/local/webhook.ts";
