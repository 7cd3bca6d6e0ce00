import { type ChildProcess, execFile, spawn } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { ROOT } from "./sql-files.ts";

const execute = promisify(execFile);

/** What a program printed and how it ended. */
export type Ran = { code: number; stdout: string; stderr: string };

/**
 * A folder for the projects of one test file.
 *
 * @example
 * const home = projectsFolder();
 */
export function projectsFolder(): string {
  return mkdtempSync(join(tmpdir(), "bulkhead-projects-"));
}

const CONFIG = `# The team's own words.
project_id = "app"

[api]
enabled = true # on
schemas = ["public", "graphql_public"]
max_rows = 1000

[db]
major_version = 17
`;

/** A Supabase project as a team has it: a config.toml, a migration. */
export function createProject(folder: string, files: Record<string, string> = {}): string {
  const project = mkdtempSync(join(folder, "app-"));
  const all = {
    "supabase/config.toml": CONFIG,
    "supabase/migrations/20240101000000_first.sql":
      "create table public.tenants (id uuid primary key default gen_random_uuid(), name text not null);\n" +
      "create table public.notes (id uuid primary key default gen_random_uuid(), tenant_id uuid not null, body text);\n",
    ...files,
  };
  return writeFiles(project, all);
}

/**
 * Write files below a folder, by path; answers the folder.
 *
 * @example
 * const app = writeFiles(mkdtempSync(join(home, "app-")), { "src/a.ts": "export {};\n" });
 */
export function writeFiles(folder: string, files: Record<string, string | Uint8Array>): string {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return folder;
}

/** Every file below a folder with its text, by path with slashes. */
export function filesOf(folder: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) =>
        [relative(folder, path).split(sep).join("/"), readFileSync(path, "utf8")] as const
      )
      .sort(([a], [b]) => a < b ? -1 : 1),
  );
}

/** A second version of the kit: a copy of this one, to be changed by the test. */
export function copyKit(folder: string): string {
  const kit = mkdtempSync(join(folder, "kit-"));
  for (
    const path of [
      "migrations",
      "functions",
      "scripts",
      ".github",
      "package.json",
      "deno.json",
      "tsconfig.json",
    ]
  ) {
    cpSync(join(ROOT, path), join(kit, path), { recursive: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(kit, "node_modules"));
  return kit;
}

/** Replace text in a file; the test fails when it is not there. */
export function edit(path: string, from: string | RegExp, to: string): void {
  const text = readFileSync(path, "utf8");
  const edited = text.replace(from, () => to);
  if (edited === text) throw new Error(`Cannot edit "${path}": it does not hold ${from}`);
  writeFileSync(path, edited);
}

/** Run the program of a kit, with nothing but `env`. */
export function bulkhead(
  args: readonly string[],
  options: {
    kit?: string;
    cwd?: string;
    env?: Record<string, string>;
    onStart?: (child: ChildProcess) => void;
  } = {},
): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(options.kit ?? ROOT, "scripts/bin.mjs"), ...args], {
      cwd: options.cwd,
      env: { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent", ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text);
    child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
    child.on("close", (code) => resolve({ code: code ?? -1, stdout, stderr }));
    options.onStart?.(child);
  });
}

/** The Supabase CLI against a database; through argv only because it has no other way, with a test server's password. */
export async function supabase(
  project: string,
  args: readonly string[],
  options: { home: string; env?: Record<string, string> },
): Promise<string> {
  const { stdout, stderr } = await execute(process.execPath, [
    join(ROOT, "node_modules/supabase/dist/supabase.js"),
    ...args,
  ], {
    cwd: project,
    env: {
      PATH: process.env["PATH"],
      HOME: options.home,
      SUPABASE_YES: "1",
      SUPABASE_TELEMETRY_DISABLED: "1",
      NO_COLOR: "1",
      ...options.env,
    },
    timeout: 120_000,
  });
  return `${stdout}${stderr}`;
}

/** Remove what a test file made. */
export const removeFolder = (folder: string): void =>
  rmSync(folder, { recursive: true, force: true });
