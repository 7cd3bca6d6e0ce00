import process from "node:process";
import pc from "picocolors";
import type { Sql } from "../../functions/_core/adapters/postgres.ts";
import { BulkheadError } from "../../functions/_core/errors.ts";
import type { Server } from "../local/postgres-server.ts";

/** What an act found out, for `--json` and for the acts after it. */
export type Facts = Record<string, unknown>;

/** One act: it does something for real, checks it, and throws when the check does not hold. */
export type Act = {
  name: string;
  title: string;
  run(stage: Stage): Promise<Facts>;
};

/** Time and messages of the demo; set by the act that starts the watch. */
export type Watch = {
  functionsUrl: string;
  /** Let minutes pass: every job that falls due runs, every request leaves. Answers how many jobs ran. */
  pass(minutes: number): Promise<number>;
  /** The webhook's messages once there are `count`. */
  messages(count: number): Promise<{ body: string }[]>;
};

/** What the acts share. */
export type Stage = {
  /** Messages to generate. */
  rows: number;
  /** Where everything that the demo leaves is written. */
  folder: string;
  /** The database of the demo; set by the first act. */
  server: Server;
  /** As `postgres`. */
  url: string;
  sql: Sql;
  watch: Watch;
  /** Variables for the commands and functions: keys made for this run, nothing from the outside. */
  env: Record<string, string>;
  /** The facts of the acts before. */
  facts: Record<string, Facts>;
  /** Print a line of the present act; nothing with --json. */
  say(line: string): void;
  /** Show progress on a terminal. */
  progress(label: string): (done: number, total: number) => void;
  /** Registers what must be stopped at the end, last first. */
  onEnd(stop: () => Promise<unknown>): void;
};

/** Fail the act unless `holds`; says what was expected. */
export function expect(holds: boolean, what: string): asserts holds {
  if (holds) return;
  throw new BulkheadError("BH_DEMO", `Cannot go on: expected that ${what}`, {
    kind: "red",
    hint: "This is a defect; run again with BULKHEAD_DEBUG=1 and report what it prints",
  });
}

/** A line's mark and text, in the report's colours. */
export const mark = {
  ok: (text: string): string => `${pc.green("✔")} ${text}`,
  bad: (text: string): string => `${pc.red("✘")} ${text}`,
  open: (text: string): string => `${pc.yellow("○")} ${text}`,
};

/** Whether to draw: a person watches, and did not ask for JSON. */
export function isInteractive(json: boolean): boolean {
  return !json && process.stdout.isTTY === true;
}
