import { createHash } from "node:crypto";
import { constants, fsync, lstatSync, type Stats } from "node:fs";
import { link, lstat, open, readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { toHex } from "../bytes.ts";
import { chunksOf } from "../backup/chunks.ts";
import type {
  ObjectStore,
  PutOptions,
  StoredObject,
  StoredVersion,
} from "../backup/object-store.ts";
import { checkKey, listing, storeError, withBody } from "../backup/store-errors.ts";
import { BulkheadError } from "../errors.ts";
import { ensureFolder } from "./folder.ts";

const READ_BYTES = 1 << 18;
/** The one version that `ifAbsent` may write: linking it twice fails, whoever comes second. */
const FIRST = "0000000000000-000000-00000000";
const VERSION = /^\d{13}-\d{6}-[0-9a-f]{8}$/;
/** What the file system's codes say to people. */
const STATES: Readonly<Record<string, string>> = {
  EACCES: "this user has no permission (EACCES)",
  EPERM: "this user has no permission (EPERM)",
  EROFS: "the file system is read-only (EROFS)",
  ENOENT: "the folder can't be made (ENOENT)",
  ENOTDIR: "a file is where a folder should be (ENOTDIR)",
  ENOSPC: "the disk is full (ENOSPC)",
};
// FileHandle.sync is missing on Deno 2.1.
const sync = promisify(fsync);

/**
 * A folder as object store: each version of `a/b` is one immutable file `a/b@<version>`. A version
 * appears whole or not at all (temporary file, fsync, link, fsync of the folder); symbolic links below
 * the root are refused. Several processes may write at once.
 *
 * @example
 * const store = folderStore("/var/backups/bulkhead");
 */
export function folderStore(root: string): ObjectStore {
  const name = `file://${root}`;
  let counter = 0;

  async function put(
    key: string,
    body: ReadableStream<Uint8Array> | Uint8Array,
    options: PutOptions = {},
  ): Promise<StoredObject> {
    checkKey(key);
    return await guarded("write", key, async () => {
      await ensureFolder(join(root, ".tmp"), { mode: 0o700 });
      await ensureFolder(join(root, key, ".."), { mode: 0o700 });
      refuseLinks(key);
      const [newest] = await versionsOf(key);
      if (options.ifAbsent && newest) throw storeError.exists(key, name);
      const temporary = join(root, ".tmp", crypto.randomUUID());
      try {
        const written = await write(temporary, body);
        const version = options.ifAbsent ? FIRST : nextVersion(newest);
        const path = join(root, `${key}@${version}`);
        await link(temporary, path).catch((cause) => {
          throw codeOf(cause) === "EEXIST" ? storeError.exists(key, name) : cause;
        });
        await syncFolder(join(path, ".."));
        return { key, version, ...written, modifiedAt: (await lstat(path)).mtime };
      } finally {
        await unlink(temporary).catch(() => {});
      }
    });
  }

  /** Later than the newest one, even where this machine's clock was set back. */
  function nextVersion(newest: string | undefined): string {
    const stamp = Math.max(Date.now(), Number(newest?.slice(0, 13) ?? 0) + 1);
    counter = (counter + 1) % 1_000_000;
    const random = toHex(crypto.getRandomValues(new Uint8Array(4)));
    return `${String(stamp).padStart(13, "0")}-${String(counter).padStart(6, "0")}-${random}`;
  }

  /** Newest first. */
  async function versionsOf(key: string): Promise<string[]> {
    const base = `${key.split("/").at(-1)}@`;
    const names = await readdir(join(root, key, "..")).catch(emptyIfMissing<string>);
    return names.filter((file) => file.startsWith(base) && VERSION.test(file.slice(base.length)))
      .map((file) => file.slice(base.length)).sort().reverse();
  }

  /** What lies at the end of the path; null where a part of it is missing. */
  function refuseLinks(path: string): Stats | null {
    let at = root;
    let found: Stats | null = null;
    for (const segment of path.split("/")) {
      at = join(at, segment);
      found = look(at);
      if (!found) return null;
      if (found.isSymbolicLink()) {
        throw storeError.refused("follow", path, name, `"${segment}" is a symbolic link`);
      }
    }
    return found;
  }

  async function head(key: string, options: { version?: string } = {}) {
    checkKey(key);
    return await guarded("read", key, async (): Promise<StoredObject | null> => {
      const version = options.version ?? (await versionsOf(key))[0];
      if (version === undefined || !VERSION.test(version)) return null;
      const found = refuseLinks(`${key}@${version}`);
      return found && { key, version, size: found.size, modifiedAt: found.mtime };
    });
  }

  async function get(key: string, options: { version?: string } = {}) {
    const found = await head(key, options);
    if (!found) {
      throw storeError.missing(options.version ? `${key}@${options.version}` : key, name);
    }
    return await guarded("read", key, async () => {
      const path = join(root, `${key}@${found.version}`);
      const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
      return new ReadableStream<Uint8Array>({
        async pull(controller) {
          try {
            const { bytesRead, buffer } = await file.read(
              new Uint8Array(READ_BYTES),
              0,
              READ_BYTES,
            );
            if (bytesRead > 0) return controller.enqueue(buffer.subarray(0, bytesRead));
            await file.close();
            controller.close();
          } catch (cause) {
            await file.close().catch(() => {});
            throw mapped("read", key, cause);
          }
        },
        cancel: () => file.close(),
      }, { highWaterMark: 0 });
    });
  }

  async function* listVersions(prefix: string): AsyncGenerator<StoredVersion> {
    const folder = prefix.slice(0, prefix.lastIndexOf("/") + 1);
    if (folder) checkKey(folder.slice(0, -1));
    const found = await guarded(listing(prefix), prefix || "objects", () => walk(folder, prefix));
    const entries = found.filter(({ key }) => key.startsWith(prefix)).sort((a, b) =>
      a.key === b.key ? (a.version < b.version ? 1 : -1) : a.key < b.key ? -1 : 1
    );
    let last = "";
    for (const { key, version } of entries) {
      const stored = await head(key, { version });
      if (!stored) continue; // deleted since
      yield { ...stored, isLatest: key !== last, isDeleteMarker: false };
      last = key;
    }
  }

  async function walk(
    folder: string,
    prefix: string,
  ): Promise<{ key: string; version: string }[]> {
    if (folder) refuseLinks(folder.slice(0, -1));
    const entries = await readdir(join(root, folder), { withFileTypes: true })
      .catch(emptyIfMissing<never>);
    const found: { key: string; version: string }[] = [];
    for (const entry of entries) {
      if (entry.name.startsWith(".")) continue;
      if (entry.isSymbolicLink()) {
        throw storeError.refused("list", folder + entry.name, name, "it is a symbolic link");
      }
      if (entry.isDirectory()) {
        const below = `${folder}${entry.name}/`;
        // A folder that the prefix rules out may be closed to this user.
        if (below.startsWith(prefix) || prefix.startsWith(below)) {
          found.push(...await walk(below, prefix));
        }
        continue;
      }
      const [base = "", version = ""] = entry.name.split("@");
      if (VERSION.test(version)) found.push({ key: folder + base, version });
    }
    return found;
  }

  async function guarded<T>(action: string, what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      throw mapped(action, what, cause);
    }
  }

  function mapped(action: string, what: string, cause: unknown): unknown {
    const code = codeOf(cause);
    if (cause instanceof BulkheadError || code === undefined) return cause;
    if (code === "ENOENT" && action !== "write") return storeError.missing(what, name);
    const state = STATES[code] ?? code;
    return ["EACCES", "EPERM", "EROFS", "ELOOP"].includes(code)
      ? storeError.refused(action, what, name, state, {
        cause,
        hint:
          `Run as a user who may read and write that folder (ls -ld ${root}), or change its owner`,
      })
      : storeError.unavailable(action, what, name, state, {
        cause,
        hint: "Check the folder in BULKHEAD_STORE, and that its disk has room; then run again",
      });
  }

  return {
    put: (key, body, options) => withBody(body, (marked) => put(key, marked, options)),
    get,
    head,
    listVersions,
    async *list(prefix) {
      for await (const { isLatest, isDeleteMarker, ...stored } of listVersions(prefix)) {
        if (isLatest && !isDeleteMarker) yield stored;
      }
    },
    async deleteVersion(key, version) {
      checkKey(key);
      await guarded("delete", key, async () => {
        if (!VERSION.test(version)) return;
        refuseLinks(`${key}@${version}`);
        await unlink(join(root, `${key}@${version}`)).catch(nullIfMissing);
      });
    },
    async sweep(before) {
      await guarded("list", ".tmp", async () => {
        for (const file of await readdir(join(root, ".tmp")).catch(emptyIfMissing<string>)) {
          const path = join(root, ".tmp", file);
          const found = await lstat(path).catch(nullIfMissing);
          if (found && found.mtime < before) await unlink(path).catch(nullIfMissing);
        }
      });
    },
    clock: () => Promise.resolve(new Date()),
    describe: () => name,
  };
}

async function write(
  path: string,
  body: ReadableStream<Uint8Array> | Uint8Array,
): Promise<{ size: number; sha256: string }> {
  const file = await open(path, "wx", 0o600);
  const hash = createHash("sha256");
  let size = 0;
  const append = async (bytes: Uint8Array) => {
    hash.update(bytes);
    for (let at = 0; at < bytes.length;) {
      const { bytesWritten } = await file.write(bytes, at, bytes.length - at);
      at += bytesWritten;
    }
    size += bytes.length;
  };
  try {
    if (body instanceof Uint8Array) await append(body);
    else for await (const chunk of chunksOf(body)) await append(chunk);
    await sync(file.fd);
  } finally {
    await file.close();
  }
  return { size, sha256: hash.digest("hex") };
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await sync(folder.fd);
  } finally {
    await folder.close();
  }
}

function codeOf(cause: unknown): string | undefined {
  return cause instanceof Error && "code" in cause && typeof cause.code === "string"
    ? cause.code
    : undefined;
}

/** Synchronously: over the thread pool a look costs four times as much, and a night takes thousands. */
function look(path: string): Stats | null {
  try {
    return lstatSync(path);
  } catch (cause) {
    return nullIfMissing(cause);
  }
}

function nullIfMissing(cause: unknown): null {
  if (codeOf(cause) === "ENOENT" || codeOf(cause) === "ENOTDIR") return null;
  throw cause;
}

function emptyIfMissing<T>(cause: unknown): T[] {
  nullIfMissing(cause);
  return [];
}
