import { existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "./sql-files.ts";
import { isExecutable } from "./unprivileged.ts";

/** `edge` is the version that Supabase's edge runtime has (2.1.4), `current` the newest one that is pinned. */
export type DenoVersion = "edge" | "current";

/**
 * The Deno that npm installed: the program and the arguments before the subcommand. The platform package is used
 * directly, since the wrapper copies the program around when its install script did not run.
 *
 * @example
 * const { program, args } = denoCommand("edge");
 * spawn(program, [...args, "check", "functions/alert/index.ts"], { env: denoEnv("edge") });
 */
export function denoCommand(version: DenoVersion): { program: string; args: string[] } {
  const name = version === "edge" ? "deno-edge" : "deno";
  const home = join(ROOT, "node_modules", name);
  const libc = process.platform === "linux" ? "-glibc" : "";
  const platform = `@deno/${process.platform}-${process.arch}${libc}`;
  const file = process.platform === "win32" ? "deno.exe" : "deno";
  const nested = join(home, "node_modules", platform, file);
  const hoisted = join(ROOT, "node_modules", platform, file);
  const program = version === "edge" ? nested : existsSync(nested) ? nested : hoisted;
  if (isExecutable(program)) return { program, args: [] };
  return { program: process.execPath, args: [join(home, "bin.cjs")] };
}

/**
 * The environment of a Deno process: its cache beside npm's other caches, nothing else unless it is named.
 *
 * @example
 * denoEnv("current", { DATABASE_URL: db.url });
 */
export function denoEnv(
  version: DenoVersion,
  extra: Record<string, string> = {},
): Record<string, string> {
  let cache = join(ROOT, "node_modules", ".cache", `deno-${version}`);
  try {
    mkdirSync(cache, { recursive: true });
  } catch {
    cache = join(tmpdir(), `bulkhead-deno-${version}-${process.getuid?.() ?? 0}`);
  }
  return {
    PATH: process.env["PATH"] ?? "/usr/bin:/bin",
    DENO_DIR: cache,
    DENO_NO_UPDATE_CHECK: "1",
    DENO_NO_PROMPT: "1",
    NO_COLOR: "1",
    ...extra,
  };
}
