import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { EMBEDDED_MAJOR, findBinaries } from "./postgres-binaries.ts";
import { reachableTmp, unprivilegedUser } from "./unprivileged.ts";

/** A running Postgres on a free loopback port; it stops with this process, however this process ends. */
export type Server = AsyncDisposable & {
  major: number;
  port: number;
  /** As `supabase_admin`, the superuser, in the database `postgres`. */
  superUrl: string;
  /** As `postgres`, who is no superuser, in the database `db` (default `postgres`). */
  url(db?: string): string;
  /** As any role with a password; the roles of the baseline share one. */
  urlAs(role: string, db?: string): string;
  /** Stop and remove the data. */
  stop(): Promise<void>;
  /** kill -9, the data stays: what a crash leaves behind. */
  kill(): Promise<void>;
  /** Start again after {@link Server.kill}, on the same port and data. */
  restart(): Promise<void>;
  /** The password of every role of the baseline that may log in. */
  password: string;
  /** What the server wrote to its log. */
  log(): string;
};

/** How to start a server. */
export type ServerOptions = {
  major?: 15 | 17;
  /** shared_preload_libraries, e.g. `["pg_cron"]`. */
  preload?: string[];
  /** postgresql.conf, e.g. `{ "cron.database_name": "kit" }`. */
  settings?: Record<string, string>;
};

const DEFAULTS: Record<string, string> = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  max_connections: "100",
  fsync: "off",
  full_page_writes: "off",
  shared_buffers: "64MB",
  max_wal_size: "256MB",
  wal_level: "logical",
  timezone: "UTC",
  log_timezone: "UTC",
  logging_collector: "off",
  search_path: '"$user", public, extensions',
};

/**
 * The server lives under a shell that ends it when its standard input closes, which happens however the parent ends
 * (exit, Ctrl-C, kill -9): no server outlives its test. The signal is repeated, since a server that is just starting
 * does not listen to it yet.
 */
const SUPERVISOR = `
home=$1; shift
exec 3<&0
"$@" 3<&- </dev/null >>"$home/server.log" 2>&1 &
pid=$!
( read -r _ <&3; : >"$home/orphaned"; while kill -QUIT "$pid"; do sleep 0.1; done ) 2>/dev/null >&2 &
reader=$!
exec 3<&-
wait "$pid"; code=$?
kill "$reader" 2>/dev/null
[ ! -e "$home/orphaned" ] || rm -rf "$home"
exit "$code"`;

/**
 * Start Postgres: 17 from npm by default, or Debian's 15.
 *
 * @example
 * await using server = await startPostgres();
 * const sql = postgres(server.url());
 */
export async function startPostgres(options: ServerOptions = {}): Promise<Server> {
  const binaries = findBinaries(options.major ?? EMBEDDED_MAJOR);
  const user = unprivilegedUser();
  const home = mkdtempSync(join(reachableTmp(user), "bulkhead-pg-"));
  const data = join(home, "data");
  const password = randomBytes(18).toString("base64url");
  mkdirSync(data, { mode: 0o700 });
  writeFileSync(join(home, "password"), password);
  if (user) {
    for (const path of [home, data, join(home, "password")]) chownSync(path, user.uid, user.gid);
  }
  chmodSync(home, 0o700);

  const locale = binaries.major >= 17
    ? ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    : ["--locale=C.UTF-8"];
  const initdb = spawnSync(binaries.initdb, [
    ...[
      "-D",
      data,
      "-U",
      "supabase_admin",
      "--pwfile",
      join(home, "password"),
      "-A",
      "scram-sha-256",
    ],
    ...["-E", "UTF8", "--no-sync", "--no-instructions", ...locale],
  ], { ...user, cwd: home, env: childEnv(), encoding: "utf8" });
  if (initdb.status !== 0) {
    rmSync(home, { recursive: true, force: true });
    throw new Error(
      `Cannot run initdb ${binaries.version}: ${initdb.error?.message ?? initdb.stderr}`,
    );
  }
  const settings = { ...DEFAULTS, ...options.settings };
  if (options.preload?.length) settings["shared_preload_libraries"] = options.preload.join(",");
  const lines = Object.entries(settings).map(([key, value]) =>
    `${key} = '${value.replaceAll("'", "''")}'`
  );
  writeFileSync(join(data, "postgresql.auto.conf"), `${lines.join("\n")}\n`);

  let child: ChildProcess;
  let port = 0;
  let killed = 0;
  const log = () => {
    try {
      return readFileSync(join(home, "server.log"), "utf8");
    } catch {
      return "";
    }
  };
  const launch = async () => {
    const server = [binaries.postgres, "-D", data, "-p", String(port)];
    child = spawn("/bin/sh", ["-c", SUPERVISOR, "bulkhead-postgres", home, ...server], {
      ...user,
      cwd: home,
      env: childEnv(),
      detached: true, // Ctrl-C reaches this process first, which may still need the server
      stdio: ["pipe", "ignore", "ignore"],
    });
    child.unref();
    (child.stdin as unknown as { unref?: () => void } | null)?.unref?.();
    return await untilReady(child, data, killed);
  };
  for (let attempt = 1;; attempt++) {
    port = await freePort();
    if (await launch()) break;
    if (attempt === 5 || !/could not (bind|create)/.test(log())) {
      const last = log().trim().split("\n").slice(-8).join("\n");
      rmSync(home, { recursive: true, force: true });
      throw new Error(`Cannot start Postgres ${binaries.version} on port ${port}:\n${last}`);
    }
  }
  const atExit = () => {
    signal(data, "SIGQUIT");
    rmSync(home, { recursive: true, force: true });
  };
  process.once("exit", atExit);

  const urlAs = (role: string, db = "postgres") =>
    `postgresql://${role}:${password}@127.0.0.1:${port}/${encodeURIComponent(db)}`;
  let stopped = false;
  const stop = async () => {
    if (stopped) return;
    stopped = true;
    process.removeListener("exit", atExit);
    signal(data, "SIGQUIT");
    child.stdin?.destroy();
    await untilEnded(child);
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  };
  return {
    major: binaries.major,
    get port() {
      return port;
    },
    password,
    superUrl: urlAs("supabase_admin"),
    url: (db) => urlAs("postgres", db),
    urlAs,
    log,
    stop,
    async kill() {
      killed = postmasterPid(data)?.pid ?? 0;
      signal(data, "SIGKILL");
      await untilEnded(child);
    },
    async restart() {
      for (let attempt = 0; attempt < 50; attempt++) {
        // the backends of a killed server hold its shared memory until they notice
        if (await launch()) return;
        await sleep(100);
      }
      throw new Error(`Cannot restart Postgres on port ${port}:\n${log().slice(-2000)}`);
    },
    [Symbol.asyncDispose]: stop,
  };
}

/** A loopback port that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

/** Nothing of the caller's environment (PGDATA, PGOPTIONS, secrets) reaches the server. */
function childEnv(): NodeJS.ProcessEnv {
  return { PATH: process.env["PATH"] ?? "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };
}

function postmasterPid(data: string): { pid: number; state: string } | undefined {
  try {
    const lines = readFileSync(join(data, "postmaster.pid"), "utf8").split("\n");
    return { pid: Number(lines[0]), state: (lines[7] ?? "").trim() };
  } catch {
    return undefined;
  }
}

function signal(data: string, name: NodeJS.Signals): void {
  const found = postmasterPid(data);
  if (!found || !(found.pid > 1)) return;
  try {
    process.kill(found.pid, name);
  } catch {
    // it ended by itself
  }
}

/** `killed` is the process whose postmaster.pid a kill -9 left behind. */
async function untilReady(child: ChildProcess, data: string, killed: number): Promise<boolean> {
  let ended = false;
  child.once("exit", () => ended = true);
  child.once("error", () => ended = true);
  for (let waited = 0; waited < 60_000; waited += 20) {
    if (ended) return false;
    const found = postmasterPid(data);
    if (found?.state === "ready" && found.pid !== killed) return true;
    await sleep(20);
  }
  return false;
}

async function untilEnded(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.ref();
  await new Promise<void>((resolve) => child.once("exit", () => resolve()));
}
