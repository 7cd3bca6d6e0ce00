import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { denoCommand, denoEnv, type DenoVersion } from "./deno.ts";
import { ROOT } from "./sql-files.ts";

/** The functions, served by Deno. */
export type FunctionsHost = AsyncDisposable & {
  /** Up to and without `/functions/v1`. */
  url: string;
  /** `${url}/functions/v1`, what the Vault secret bulkhead_functions_url holds. */
  functionsUrl: string;
  /** The process, to see what it costs. */
  pid: number;
  /** What the functions wrote to stderr. */
  log(): string;
  /** End it as the platform does: at once, in the middle of whatever it does. */
  kill(): Promise<void>;
  stop(): Promise<void>;
};

/**
 * Start functions under Deno as Supabase serves them. They see only `env`, reach only loopback and the hosts in `net`,
 * and write only below the folders in `write`.
 *
 * @example
 * await using host = await startFunctions({ deno: "edge", env: { SUPABASE_DB_URL: db.url } });
 * await fetch(`${host.functionsUrl}/status`);
 */
export async function startFunctions(options: {
  deno?: DenoVersion;
  env?: Record<string, string>;
  names?: string[];
  net?: string[];
  write?: string[];
}): Promise<FunctionsHost> {
  const { deno = "edge", env = {}, net = [], write = [] } = options;
  const folder = join(ROOT, "functions");
  const names = options.names ??
    readdirSync(folder).filter((name) =>
      !name.startsWith("_") && existsSync(join(folder, name, "index.ts"))
    );
  const { program, args } = denoCommand(deno);
  const permissions = [
    "--no-prompt",
    "--allow-env",
    "--allow-sys",
    `--allow-net=${["127.0.0.1", "localhost", "[::1]", ...net].join(",")}`,
    `--allow-read=${[ROOT, ...write].join(",")}`,
    ...(write.length > 0 ? [`--allow-write=${write.join(",")}`] : []),
  ];
  const child = spawn(program, [
    ...[
      ...args,
      "run",
      "--quiet",
      "--no-lock",
      "--config",
      join(ROOT, "deno.json"),
      ...permissions,
    ],
    fileURLToPath(new URL("functions-host.mjs", import.meta.url)),
    ...[`${pathToFileURL(folder).href}/`, ...names],
  ], { cwd: ROOT, env: denoEnv(deno, env), stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => log = (log + text).slice(-64_000));
  const kill = () => void child.kill("SIGKILL");
  process.once("exit", kill);

  const port = await new Promise<number>((resolve, reject) => {
    const fail = (why: string) =>
      reject(new Error(`Cannot start the functions under Deno: ${why}\n${log}`));
    const timer = setTimeout(() => {
      kill();
      fail("no answer after 60 s");
    }, 60_000);
    child.once("error", (error) => fail(error.message));
    child.once("exit", (code) => fail(`exit code ${code}`));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const [, number] = /^listening (\d+)$/.exec(line) ?? [];
      if (number === undefined) return;
      clearTimeout(timer);
      resolve(Number(number));
    });
  });
  const stop = async (signal: "SIGTERM" | "SIGKILL" = "SIGTERM") => {
    process.removeListener("exit", kill);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    const timer = setTimeout(kill, 3_000);
    await ended;
    clearTimeout(timer);
  };
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    functionsUrl: `${url}/functions/v1`,
    pid: child.pid ?? 0,
    log: () => log,
    kill: () => stop("SIGKILL"),
    stop: () => stop(),
    [Symbol.asyncDispose]: () => stop(),
  };
}
