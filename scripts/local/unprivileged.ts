import { accessSync, constants, existsSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, resolve } from "node:path";

/** The user a server runs as. `undefined` means: as whoever runs this process. */
export type RunAs = { uid: number; gid: number } | undefined;

/**
 * Postgres and Ceph refuse to run as root, so root's servers run as `postgres` where that user exists and as `nobody`
 * everywhere else. Nobody else has to change who they are.
 *
 * @example
 * spawn(initdb, args, { ...unprivilegedUser() });
 */
export function unprivilegedUser(): RunAs {
  if (process.getuid?.() !== 0) return undefined;
  const passwd = existsSync("/etc/passwd") ? readFileSync("/etc/passwd", "utf8") : "";
  for (const name of ["postgres", "nobody"]) {
    const fields = passwd.split("\n").find((line) => line.startsWith(`${name}:`))?.split(":");
    const uid = Number(fields?.[2]);
    const gid = Number(fields?.[3]);
    if (uid > 0 && gid > 0) return { uid, gid };
  }
  return { uid: 65534, gid: 65534 };
}

/**
 * A folder for temporary files that `user` can enter: TMPDIR may lie below a folder that only root can.
 *
 * @example
 * const data = mkdtempSync(join(reachableTmp(unprivilegedUser()), "bulkhead-"));
 */
export function reachableTmp(user: RunAs): string {
  const candidates = [tmpdir(), "/tmp", "/var/tmp"].map((path) => resolve(path));
  const found = candidates.find((path) => existsSync(path) && (user === undefined || isOpen(path)));
  if (found === undefined) {
    throw new Error(
      `Cannot find a temporary folder that other users can enter: ${candidates.join(", ")}`,
    );
  }
  return found;
}

/** Whether everyone may enter `path` and each folder above it. */
function isOpen(path: string): boolean {
  for (let folder = path;; folder = dirname(folder)) {
    if ((statSync(folder).mode & 0o001) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

/** Whether this process may execute the file. */
export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
