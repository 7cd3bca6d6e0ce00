import { execFile } from "node:child_process";
import process from "node:process";
import { promisify } from "node:util";
import { denoCommand, denoEnv, type DenoVersion } from "../../scripts/local/deno.ts";
import { ROOT } from "./sql-files.ts";

const run = promisify(execFile);

/** What tests/support/backup-peer.ts prints. */
export interface PeerFacts {
  readonly rows: number;
  readonly sha256: string;
  readonly milliseconds: number;
  readonly peakMegabytes: number;
}

/**
 * Write or read a backup in a process of its own.
 *
 * @example
 * await runPeer("edge", ["write", "alpha", "10"], { BULKHEAD_STORE, BULKHEAD_KEK });
 */
export async function runPeer(
  runtime: "node" | DenoVersion,
  args: readonly string[],
  env: Record<string, string>,
): Promise<PeerFacts> {
  const script = "tests/support/backup-peer.ts";
  const options = { cwd: ROOT, timeout: 120_000 };
  if (runtime === "node") {
    const { stdout } = await run(process.execPath, ["--import", "tsx", script, ...args], {
      ...options,
      env: { PATH: process.env["PATH"] ?? "", ...env },
    });
    return JSON.parse(stdout);
  }
  const { program, args: before } = denoCommand(runtime);
  const { stdout } = await run(
    program,
    [...before, "run", "--allow-all", "--no-check", script, ...args],
    { ...options, env: denoEnv(runtime, env) },
  );
  return JSON.parse(stdout);
}
