import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { depth } from "./support/depth.ts";
import { runPeer } from "./support/run-peer.ts";

const folder = await mkdtemp(join(tmpdir(), "bulkhead-runtimes-"));
after(() => rm(folder, { recursive: true }));
const env = {
  BULKHEAD_STORE: `file://${folder}`,
  BULKHEAD_KEK: randomBytes(32).toString("base64"),
};
const runtimes = ["node", "edge", "current"] as const;

for (const writer of runtimes) {
  test(`what ${writer} writes, Node and both Denos read`, async () => {
    const written = await runPeer(writer, ["write", "alpha", "3"], env);
    assert.ok(written.rows > 10_000);
    for (const reader of runtimes) {
      const { rows, sha256 } = await runPeer(reader, ["read"], env);
      assert.deepEqual({ rows, sha256 }, { rows: written.rows, sha256: written.sha256 }, reader);
    }
  });
}

const megabytes = depth({ quick: 60, full: 500 });
for (const runtime of ["node", "edge"] as const) {
  test(`${megabytes} MB of rows pass through ${runtime} in at most 240 MB of memory, all told`, async () => {
    const written = await runPeer(runtime, ["write", "large", String(megabytes)], env);
    const read = await runPeer(runtime, ["read"], env);
    assert.equal(read.sha256, written.sha256);
    for (const { peakMegabytes } of [written, read]) {
      assert.ok(peakMegabytes <= 240, `${peakMegabytes} MB`);
    }
  });
}
