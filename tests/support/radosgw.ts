import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { CreateBucketCommand, PutBucketVersioningCommand, S3Client } from "@aws-sdk/client-s3";
import * as z from "zod";
import { freePort } from "./postgres-server.ts";
import { isExecutable } from "./unprivileged.ts";

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

type Call = (program: string, ...args: string[]) => Promise<unknown>;
type Daemon = (program: string, ...args: string[]) => void;

/** Signed tickets (cephx) must be on: without them radosgw cannot tell its own users apart. */
function configuration(
  at: { home: string; fsid: string; monPort: number; httpPort: number },
): string {
  return `[global]
fsid = ${at.fsid}
mon host = [v2:127.0.0.1:${at.monPort}/0]
keyring = ${at.home}/keyring
run dir = ${at.home}/run
admin socket = ${at.home}/run/$name.asok
pid file =
log file = ${at.home}/$name.log
mon cluster log file = ${at.home}/cluster.log
crash dir = ${at.home}
ms bind ipv6 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
mon data avail warn = 1
debug ms = 0
[mon]
mon data = ${at.home}/mon
[osd]
osd data = ${at.home}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd class load list = *
osd class default list = *
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:${at.httpPort}
rgw enable usage log = false
rgw thread pool size = 32
rgw gc obj min wait = 60
rgw cache enabled = true
`;
}

async function startMonitor(home: string, fsid: string, port: number, call: Call, daemon: Daemon) {
  const ring = `${home}/keyring`;
  await call(
    "ceph-authtool",
    "--create-keyring",
    ring,
    "--gen-key",
    "-n",
    "mon.",
    "--cap",
    "mon",
    "allow *",
  );
  const admin = ["--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *"];
  await call("ceph-authtool", ring, "--gen-key", "-n", "client.admin", ...admin);
  const map = `${home}/monmap`;
  await call(
    "monmaptool",
    "--create",
    "--clobber",
    "--addv",
    "a",
    `[v2:127.0.0.1:${port}]`,
    "--fsid",
    fsid,
    map,
  );
  await call("ceph-mon", "--mkfs", "-i", "a", "--monmap", map, "--keyring", ring);
  daemon("ceph-mon", "-i", "a");
  await call("ceph", "--connect-timeout", "30", "mon", "stat");
}

async function startOsd(home: string, call: Call, daemon: Daemon) {
  const uuid = randomUUID();
  await call("ceph", "osd", "new", uuid);
  await call(
    "ceph",
    "auth",
    "get-or-create",
    "osd.0",
    "mon",
    "allow profile osd",
    "osd",
    "allow *",
    "-o",
    `${home}/osd/keyring`,
  );
  await call(
    "ceph-osd",
    "-i",
    "0",
    "--mkfs",
    "--osd-uuid",
    uuid,
    "--keyring",
    `${home}/osd/keyring`,
  );
  daemon("ceph-osd", "-i", "0", "--keyring", `${home}/osd/keyring`);
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
