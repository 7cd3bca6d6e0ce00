import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { folderStore } from "../../functions/_core/adapters/folder-store.ts";
import type { ObjectStore } from "../../functions/_core/backup/object-store.ts";
import { type Kek, kekFromBase64 } from "../../functions/_core/keys/kek.ts";
import { createKeyring, type Keyring } from "../../functions/_core/keys/keyring.ts";
import { ROOT } from "./sql-files.ts";

/** A folder store with a keyring, and the variables that lead a command to it. */
export type BackupWorld = Disposable & {
  folder: string;
  store: ObjectStore;
  kek: Kek;
  keyring: Keyring;
  env: Record<string, string>;
};

/** What a command printed and how it left. */
export type Ran = { code: number; stdout: string; stderr: string };

/**
 * @example
 * using world = await backupWorld({ DATABASE_URL: db.url });
 */
export async function backupWorld(env: Record<string, string>): Promise<BackupWorld> {
  const folder = mkdtempSync(join(tmpdir(), "bulkhead-backups-"));
  const store = folderStore(folder);
  const secret = Buffer.alloc(32, 7).toString("base64");
  const kek = await kekFromBase64(secret);
  const keyring = await createKeyring({ store, kek });
  return {
    folder,
    store,
    kek,
    keyring,
    env: { BULKHEAD_STORE: `file://${folder}`, BULKHEAD_KEK: secret, ...env },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Start `bulkhead` (this clone's, unless told which) with these variables and nothing else of this process's. */
export function startBulkhead(
  args: readonly string[],
  env: Record<string, string>,
  bin = join(ROOT, "scripts/bin.mjs"),
): { child: ChildProcess; ended: Promise<Ran> } {
  const { PATH = "", HOME = "" } = process.env;
  const child = spawn(process.execPath, [bin, ...args], {
    cwd: ROOT,
    env: { PATH, HOME, NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
  const ended = new Promise<Ran>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code: code ?? -1, stdout, stderr }));
  });
  return { child, ended };
}

/** Run `bulkhead` to its end. */
export function bulkhead(args: readonly string[], env: Record<string, string>): Promise<Ran> {
  return startBulkhead(args, env).ended;
}
