import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { CreateBucketCommand, PutBucketVersioningCommand, S3Client } from "@aws-sdk/client-s3";
import * as z from "zod";
import { configuration, startMonitor, startOsd } from "./ceph.ts";
import { freePort } from "../../scripts/local/postgres-server.ts";
import { isExecutable } from "../../scripts/local/unprivileged.ts";

/** Credentials of one user of the object store. */
export type S3User = { uid: string; accessKeyId: string; secretAccessKey: string };

/** A real S3 server: credentials, paging, multipart, versions and Object Lock are enforced. */
export type Radosgw = AsyncDisposable & {
  endpoint: string;
  region: string;
  /** The first user; more come from {@link Radosgw.createUser}. */
  user: S3User;
  createUser(uid?: string): Promise<S3User>;
  /** Make a bucket; returns its name. Object Lock implies versions. */
  createBucket(
    options?: { name?: string; versioned?: boolean; objectLock?: boolean; user?: S3User },
  ): Promise<string>;
  /** A client with the settings that Backblaze B2 and radosgw need. */
  client(user?: S3User): S3Client;
  stop(): Promise<void>;
};

const PROGRAMS = [
  "ceph",
  "ceph-authtool",
  "monmaptool",
  "ceph-mon",
  "ceph-osd",
  "radosgw",
  "radosgw-admin",
];

/** Whether Debian's packages are there: radosgw, ceph-mon, ceph-osd and ceph-common. */
export function hasRadosgw(): boolean {
  return PROGRAMS.every((name) => isExecutable(`/usr/bin/${name}`));
}

const run = promisify(execFile);
const created = z.object({
  keys: z.array(z.object({ access_key: z.string(), secret_key: z.string() })).min(1),
});

/**
 * Each daemon lives under a shell that ends it when its standard input closes, however this process ends; the last one
 * out removes the folder.
 */
const SUPERVISOR = `
home=$1; shift
exec 3<&0
"$@" 3<&- </dev/null >>"$home/daemons.log" 2>&1 &
pid=$!
( read -r _ <&3; while kill -KILL "$pid"; do sleep 0.1; done; sleep 0.3; rm -rf "$home" ) 2>/dev/null >&2 &
exec 3<&-
wait "$pid"`;

/**
 * Start a monitor, one in-memory OSD and radosgw on free loopback ports; about ten seconds. Nothing is left when this
 * process ends.
 *
 * @example
 * await using s3 = await startRadosgw();
 * const bucket = await s3.createBucket({ objectLock: true });
 */
export async function startRadosgw(): Promise<Radosgw> {
  if (!hasRadosgw()) {
    throw new Error(
      "Cannot start radosgw: install it with: apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common",
    );
  }
  const home = mkdtempSync(join(tmpdir(), "bulkhead-rgw-"));
  const children: ChildProcess[] = [];
  const conf = join(home, "ceph.conf");
  const [monPort, httpPort] = [await freePort(), await freePort()];
  const fsid = randomUUID();
  writeFileSync(conf, configuration({ home, fsid, monPort, httpPort }));
  for (const folder of ["mon", "osd", "run"]) mkdirSync(join(home, folder));
  openSync(join(home, "daemons.log"), "a");

  const call = (program: string, ...args: string[]) =>
    run(`/usr/bin/${program}`, ["-c", conf, ...args], {
      env: { PATH: "/usr/bin:/bin" },
      timeout: 60_000,
    });
  const daemon = (program: string, ...args: string[]) => {
    const child = spawn("/bin/sh", [
      ...["-c", SUPERVISOR, "bulkhead-radosgw", home],
      ...[`/usr/bin/${program}`, "-c", conf, "-f", ...args],
    ], { stdio: ["pipe", "ignore", "ignore"], detached: true, env: { PATH: "/usr/bin:/bin" } });
    child.unref();
    children.push(child);
  };
  const stop = async () => {
    process.removeListener("exit", atExit);
    const running = children.filter((child) =>
      child.exitCode === null && child.signalCode === null
    );
    const ended = running.map((child) => {
      child.ref();
      return new Promise((resolve) => child.once("exit", resolve));
    });
    for (const child of running) child.stdin?.destroy();
    await Promise.all(ended);
    rmSync(home, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  };
  const atExit = () => rmSync(home, { recursive: true, force: true });
  process.once("exit", atExit);

  try {
    await startMonitor(home, fsid, monPort, call, daemon);
    await startOsd(home, call, daemon);
    await call(
      "ceph",
      "auth",
      "get-or-create",
      "client.rgw",
      "mon",
      "allow rw",
      "osd",
      "allow rwx",
      "-o",
      `${home}/rgw`,
    );
    daemon("radosgw", "-n", "client.rgw", "-k", join(home, "rgw"));
    await untilAnswering(`http://127.0.0.1:${httpPort}/`);
    const endpoint = `http://127.0.0.1:${httpPort}`;
    const createUser = async (uid = `user-${randomUUID().slice(0, 8)}`): Promise<S3User> => {
      const { stdout } = await call(
        "radosgw-admin",
        "user",
        "create",
        "--uid",
        uid,
        "--display-name",
        uid,
      );
      const key = created.parse(JSON.parse(stdout)).keys[0];
      return { uid, accessKeyId: key?.access_key ?? "", secretAccessKey: key?.secret_key ?? "" };
    };
    const user = await createUser();
    const client = (who = user) =>
      new S3Client({
        endpoint,
        region: "us-east-1",
        forcePathStyle: true,
        credentials: who,
        requestChecksumCalculation: "WHEN_REQUIRED",
        responseChecksumValidation: "WHEN_REQUIRED",
      });
    return {
      endpoint,
      region: "us-east-1",
      user,
      createUser,
      client,
      async createBucket(
        { name = `b-${randomUUID()}`, versioned = false, objectLock = false, user: owner } = {},
      ) {
        const s3 = client(owner);
        await s3.send(
          new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: objectLock }),
        );
        if (versioned && !objectLock) {
          const VersioningConfiguration = { Status: "Enabled" as const };
          await s3.send(new PutBucketVersioningCommand({ Bucket: name, VersioningConfiguration }));
        }
        s3.destroy();
        return name;
      },
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    const log = readFileSync(join(home, "daemons.log"), "utf8").slice(-3000);
    await stop();
    throw new Error(
      `Cannot start radosgw: ${error instanceof Error ? error.message : error}\n${log}`,
      { cause: error },
    );
  }
}

async function untilAnswering(url: string): Promise<void> {
  for (let waited = 0; waited < 60_000; waited += 100) {
    const answer = await fetch(url).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer) return;
    await sleep(100);
  }
  throw new Error(`no answer from ${url} after 60 s`);
}
