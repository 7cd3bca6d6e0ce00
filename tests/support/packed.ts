import { execFile } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import * as z from "zod";
import { ROOT } from "./sql-files.ts";

const run = promisify(execFile);
const OURS = new Set([".git", "dist", "evidence", "node_modules", "reports"]);
const LOCK = z.object({
  packages: z.record(z.string(), z.object({ dev: z.boolean().optional() })),
});

/** A project into which the kit was installed as a package. */
export type PackedProject = {
  project: string;
  /** The kit in its node_modules. */
  kit: string;
  /** What npx runs. */
  bin: string;
};

/**
 * A copy of this repository: `npm pack` builds into it, and not below the feet of another suite that packs.
 *
 * @example
 * await run("npm", ["pack", "--pack-destination", folder], { cwd: cloneTo(folder) });
 */
export function cloneTo(folder: string): string {
  const clone = join(folder, "clone");
  mkdirSync(clone);
  for (const name of readdirSync(ROOT).filter((name) => !OURS.has(name))) {
    cpSync(join(ROOT, name), join(clone, name), { recursive: true, verbatimSymlinks: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(clone, "node_modules"));
  return clone;
}

/**
 * `npm pack`, as a person does who has a checkout; returns the archive.
 *
 * @example
 * const archive = await packKit(folder);
 */
export async function packKit(folder: string): Promise<string> {
  const clone = cloneTo(folder);
  const pack = ["pack", "--pack-destination", folder, "--silent"];
  await run("npm", pack, { cwd: clone, timeout: 240_000 });
  rmSync(clone, { recursive: true });
  return join(folder, readdirSync(folder).find((name) => name.endsWith(".tgz")) ?? "");
}

/**
 * Install the archive into an empty project below `folder` as npm would, with the packages that the kit depends on
 * (linked from here, no registry is asked), and those of its development only where the project is said to have them.
 *
 * @example
 * const { bin } = await installKit(await packKit(folder), folder);
 * await run(bin, ["--version"], { cwd: "/tmp" });
 */
export async function installKit(
  archive: string,
  folder: string,
  options: { dev?: boolean } = {},
): Promise<PackedProject> {
  const project = mkdtempSync(join(folder, "app-"));
  const kit = join(project, "node_modules/bulkhead");
  mkdirSync(join(project, "node_modules/.bin"), { recursive: true });
  mkdirSync(kit);
  await run("tar", ["xzf", archive, "--strip-components=1", "-C", kit]);
  const lock = LOCK.parse(JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")));
  for (const [path, { dev }] of Object.entries(lock.packages)) {
    if (!/^node_modules\/(@[^/]+\/)?[^/]+$/.test(path) || (dev && !options.dev)) continue;
    if (!existsSync(join(ROOT, path))) continue; // of another platform
    mkdirSync(dirname(join(project, path)), { recursive: true });
    symlinkSync(join(ROOT, path), join(project, path));
  }
  const bin = join(project, "node_modules/.bin/bulkhead");
  chmodSync(join(kit, "scripts/bin.mjs"), 0o755);
  symlinkSync("../bulkhead/scripts/bin.mjs", bin);
  writeFileSync(join(project, "package.json"), '{ "private": true, "type": "module" }\n');
  return { project, kit, bin };
}
