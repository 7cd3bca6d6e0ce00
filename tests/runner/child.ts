import { spawn } from "node:child_process";
import { ROOT } from "../support/sql-files.ts";

/** How a program ended and what it wrote, both streams in one. */
export type Outcome = { code: number | null; output: string; timedOut: boolean };

/**
 * Run a program in the repository's root without standard input and collect what it writes.
 *
 * @example
 * const { code, output } = await runProgram("pg_prove", ["--version"], { timeoutMs: 10_000 });
 */
export function runProgram(
  program: string,
  args: string[],
  options: { env?: NodeJS.ProcessEnv; timeoutMs?: number } = {},
): Promise<Outcome> {
  const { env = process.env, timeoutMs = 300_000 } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: ROOT, env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let timedOut = false;
    const collect = (text: string) => output = (output + text).slice(-200_000);
    child.stdout.setEncoding("utf8").on("data", collect);
    child.stderr.setEncoding("utf8").on("data", collect);
    const kill = () => void child.kill("SIGKILL");
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill("SIGTERM");
      setTimeout(kill, 3_000).unref();
    }, timeoutMs);
    process.once("exit", kill);
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      process.removeListener("exit", kill);
      resolve({ code, output, timedOut });
    });
  });
}
