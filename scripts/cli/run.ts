import { realpathSync } from "node:fs";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { type Command, CommanderError } from "commander";
import { BulkheadError, EXIT } from "../../functions/_core/errors.ts";
import { explain, type Explained } from "./explain.ts";
import { redact } from "./redact.ts";

/** Where a command finds its database, and how it prints; see {@link commonOptions}. */
export type CommonOptions = { databaseEnv: string; json?: boolean };

/** Runs before the process leaves on Ctrl-C: remove what is half-written. */
type CleanUp = () => void | Promise<void>;
const cleanUps = new Set<CleanUp>();

/**
 * Whether the module at `url` is the file that Node was asked to run.
 *
 * @example
 * if (isMain(import.meta.url)) await runCli(command());
 */
export function isMain(url: string): boolean {
  const entry = process.argv[1];
  if (entry === undefined) return false;
  try {
    return pathToFileURL(realpathSync(entry)).href === url;
  } catch {
    return false;
  }
}

/**
 * The two flags that every command has. The connection string itself is never a flag: argv is public.
 *
 * @example
 * const command = commonOptions(new Command("status")).action((options: CommonOptions) => { … });
 */
export function commonOptions(command: Command): Command {
  return command
    .option(
      "--database-env <name>",
      "environment variable that holds the connection string",
      "DATABASE_URL",
    )
    .option("--json", "print one JSON document on stdout");
}

/**
 * Register work for Ctrl-C; returns the function that takes it back.
 *
 * @example
 * const done = onInterrupt(() => rm(partial, { recursive: true, force: true }));
 * try { await write(partial); } finally { done(); }
 */
export function onInterrupt(cleanUp: CleanUp): () => void {
  cleanUps.add(cleanUp);
  return () => cleanUps.delete(cleanUp);
}

/**
 * Run a command to its end and leave the process: results are on stdout, a failure is an `Error:` and a `Try:`
 * line on stderr (one JSON object with --json) and the exit code of docs/exit-codes.md.
 *
 * A command that ran to its end and found something red sets `process.exitCode = EXIT.red`.
 *
 * @example
 * if (isMain(import.meta.url)) await runCli(command());
 */
export async function runCli(command: Command | Promise<Command>): Promise<never> {
  let failing = "bulkhead";
  process.stdout.on("error", (error: Error & { code?: string }) => {
    // The reader left (`| head`): not a failure of ours.
    if (error.code === "EPIPE") process.exit();
    report(explain(unwritable(error)), error);
  });
  // Thrown where no promise waits for it, such as in the database driver when its connection breaks off.
  process.on("uncaughtException", (error) => {
    if (!isInterrupted()) report(explain(error), error);
  });
  process.on("SIGINT", () => void interrupt(EXIT.interrupted));
  process.on("SIGTERM", () => void interrupt(143));
  try {
    const root = await command;
    failing = root.name();
    prepare(root, (at) => failing = pathOf(at));
    await root.parseAsync(process.argv);
  } catch (error) {
    if (isInterrupted()) await forever();
    // Help and --version arrive here too, with exit code 0.
    if (
      error instanceof CommanderError && (error.exitCode === 0 || error.code === "commander.help")
    ) {
      await flush();
      process.exit(EXIT.ok);
    }
    report(explain(error, `${failing} --help`), error);
  }
  if (isInterrupted()) await forever();
  await flush();
  process.exit();
}

/** A pipe takes 64 kB at a time: what is still on its way must arrive, and a full disk must be heard. */
function flush(): Promise<void> {
  return new Promise((resolve) => process.stdout.write("", () => setImmediate(resolve)));
}

/**
 * Whether Ctrl-C is being handled: what fails from now on fails because its ground was taken away.
 *
 * @example
 * catch (error) { if (!isInterrupted()) console.error(error); }
 */
export function isInterrupted(): boolean {
  return interrupted;
}

let interrupted = false;

/** Leave the end of the process to {@link interrupt}. */
function forever(): Promise<never> {
  return new Promise(() => {});
}

function unwritable(cause: Error & { code?: string }): BulkheadError {
  return new BulkheadError(
    "BH_OUTPUT",
    `Cannot write to standard output: ${cause.code ?? cause.message}`,
    {
      kind: "unavailable",
      hint: "free space where the output goes, and run the command again",
      cause,
    },
  );
}

/** Print a failure the way every command does, and leave. */
function report(failure: Explained, error: unknown): never {
  const safe = (text: string) => redact(text, process.env);
  if (process.argv.includes("--json")) {
    const { code, message, hint } = failure;
    process.stderr.write(`${safe(JSON.stringify({ code, message, hint }))}\n`);
  } else {
    process.stderr.write(
      `Error: ${safe(failure.message)} [${failure.code}]\nTry: ${safe(failure.hint)}\n`,
    );
  }
  if (process.env["BULKHEAD_DEBUG"] === "1" && error instanceof Error) {
    process.stderr.write(`${safe(error.stack ?? "")}\n`);
    if (error.cause instanceof Error) {
      process.stderr.write(`caused by ${safe(error.cause.stack ?? "")}\n`);
    }
  }
  process.exit(failure.exit);
}

/**
 * Make commands throw instead of leaving the process, and write their help as wide as the terminal is.
 *
 * @example
 * prepare(root, (at) => failing = at.name());
 */
export function prepare(
  command: Command,
  failed: (command: Command) => void,
  write: (text: string) => void = (text) => process.stdout.write(text),
): void {
  command.exitOverride((error) => {
    failed(command);
    throw error;
  });
  command.configureOutput({
    outputError: () => {},
    writeOut: (text) => write(wrapped(text, process.stdout.columns ?? 80)),
  });
  for (const child of command.commands) prepare(child, failed, write);
}

/** Commander wraps what it writes itself, and not what follows it; what is indented is an example to copy. */
function wrapped(help: string, width: number): string {
  const wrap = (line: string) =>
    line.split(" ").reduce(
      (done, word) =>
        done.length - done.lastIndexOf("\n") + word.length > width
          ? `${done}\n${word}`
          : `${done} ${word}`,
    );
  return help.split("\n").map((line) => line.startsWith(" ") ? line : wrap(line)).join("\n");
}

function pathOf(command: Command): string {
  const names = [command.name()];
  for (let up = command.parent; up !== null; up = up.parent) names.unshift(up.name());
  return names.join(" ");
}

async function interrupt(code: number): Promise<never> {
  interrupted = true;
  const limit = new Promise((resolve) => setTimeout(resolve, 5_000).unref());
  await Promise.race([
    Promise.allSettled([...cleanUps].map(async (cleanUp) => await cleanUp())),
    limit,
  ]);
  process.stderr.write("\nInterrupted: nothing half-written was kept\n");
  process.exit(code);
}
