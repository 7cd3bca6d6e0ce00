import { Command } from "commander";
import { isMain, runCli } from "../cli/run.ts";
import { exportCommand } from "./audit-export.ts";

/** `bulkhead audit`: what the ledger holds. */
export function command(): Command {
  const audit = new Command("audit").description("Read the audit trail.");
  audit.addCommand(exportCommand());
  return audit;
}

if (isMain(import.meta.url)) await runCli(command());
