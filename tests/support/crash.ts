import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { ROOT } from "./sql-files.ts";

/** What a child is to do, and when it is to die: at a point, after a time, or not at all. */
export type CrashJob =
  & {
    readonly folder: string;
    readonly kek: string;
    /** RFC 3339: what the job takes for the present. */
    readonly now: string;
    readonly killAt?: number;
    /** Milliseconds. */
    readonly killAfter?: number;
  }
  & (
    | { readonly what: "backup"; readonly databaseUrl: string; readonly isFull: boolean }
    | {
      readonly what: "prune";
      readonly policy: { daily: number; weekly: number; monthly: number };
    }
  );

/** How a child ended: killed, or done after so many points and milliseconds. */
export type CrashEnd =
  | { readonly isKilled: true }
  | { readonly isKilled: false; readonly points: number; readonly milliseconds: number };

/**
 * Runs jobs, each in a process of its own. Starting one takes longer than a job does, so the next ones are started
 * while one works.
 *
 * @example
 * using crashes = crashRunner();
 * const end = await crashes.run({ what: "backup", folder, kek, databaseUrl, isFull: false, killAt: 17 });
 */
export function crashRunner(ahead = 2): Disposable & { run(job: CrashJob): Promise<CrashEnd> } {
  const waiting: ChildProcess[] = [];
  const fill = () => {
    while (waiting.length < ahead) waiting.push(start());
  };
  fill();
  return {
    run(job) {
      const child = waiting.shift() ?? start();
      fill();
      return ended(child, job);
    },
    [Symbol.dispose]() {
      for (const child of waiting) child.kill("SIGKILL");
    },
  };
}

function start(): ChildProcess {
  const { PATH = "" } = process.env;
  return spawn(
    process.execPath,
    ["--import", "tsx", join(ROOT, "tests/support/crash-child.ts")],
    { cwd: ROOT, env: { PATH }, stdio: ["pipe", "pipe", "pipe"] },
  );
}

async function ended(child: ChildProcess, job: CrashJob): Promise<CrashEnd> {
  let stdout = "", stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => stdout += text);
  child.stderr?.setEncoding("utf8").on("data", (text: string) => stderr += text);
  child.stdin?.on("error", () => {}).end(`${JSON.stringify(job)}\n`);
  const signal = await new Promise<string | null>((resolve) =>
    child.once("close", (_, by) => resolve(by))
  );
  if (signal === "SIGKILL") return { isKilled: true };
  if (child.exitCode !== 0) throw new Error(`the child failed by itself: ${stderr}`);
  return { isKilled: false, ...JSON.parse(stdout) };
}
