import { Command } from "commander";
import { isMain, runCli } from "../cli/run.ts";
import { exportCommand } from "./audit-export.ts";
import { listEvents } from "./audit-list.ts";

/** `bulkhead audit`: what the ledger holds. */
export function command(): Command {
  const audit = listEvents(new Command("audit")).description(
    "Who changed what: the events of the ledger, the newest last.",
  );
  // What stands after the name of a subcommand is the subcommand's.
  audit.enablePositionalOptions();
  audit.addCommand(exportCommand());
  return audit;
}

if (isMain(import.meta.url)) await runCli(command());
