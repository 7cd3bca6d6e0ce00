import { randomUUID } from "node:crypto";

/** Runs one of Ceph's programs to its end. */
export type Call = (program: string, ...args: string[]) => Promise<unknown>;
/** Starts one that stays. */
export type Daemon = (program: string, ...args: string[]) => void;

/** Signed tickets (cephx) must be on: without them radosgw cannot tell its own users apart. */
export function configuration(
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

/** A new cluster's only monitor. */
export async function startMonitor(
  home: string,
  fsid: string,
  port: number,
  call: Call,
  daemon: Daemon,
) {
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

/** The only object store daemon, in memory. */
export async function startOsd(home: string, call: Call, daemon: Daemon) {
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
