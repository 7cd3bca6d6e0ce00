import { spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Stage } from "./stage.ts";

const BIN = fileURLToPath(new URL("../bin.mjs", import.meta.url));

/** What a command printed and how it left. */
export type Ran = { code: number; stdout: string; stderr: string };

/**
 * Run `bulkhead` as a user would: another process, the demo's variables and nothing else of this one's.
 *
 * @example
 * const { code, stdout } = await bulkhead(stage, ["status", "--json"]);
 */
export function bulkhead(
  stage: Stage,
  args: string[],
  extra: Record<string, string> = {},
): Promise<Ran> {
  const { PATH = "", HOME = "", TMPDIR = "" } = process.env;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [BIN, ...args], {
      cwd: stage.folder,
      env: {
        PATH,
        HOME,
        ...(TMPDIR === "" ? {} : { TMPDIR }),
        NO_COLOR: "1",
        ...stage.env,
        ...extra,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    stage.onEnd(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const closed = new Promise((gone) => child.once("close", gone));
      child.kill("SIGTERM");
      await closed;
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => stdout += chunk);
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => stderr += chunk);
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? -1, stdout, stderr }));
  });
}
