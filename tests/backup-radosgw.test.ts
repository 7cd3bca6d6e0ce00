// needs: radosgw, postgres-15
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openStore } from "../functions/_core/adapters/open-store.ts";
import { listBackups, verifyObjects } from "../functions/_core/backup/manifest.ts";
import { verifyBackup } from "../functions/_core/backup/restore-backup.ts";
import { kekFromBase64 } from "../functions/_core/keys/kek.ts";
import { createKeyring, openKeyring } from "../functions/_core/keys/keyring.ts";
import { type BackupWorld, bulkhead, startBulkhead } from "./support/backup-world.ts";
import { depth, seeded } from "./support/depth.ts";
import { assertEqual, edgeCall, edgeLimits, leaseEnds, newest, PART } from "./support/edge-run.ts";
import { openhouseDatabase, type Server, startPostgres, withSql } from "./support/postgres.ts";
import { hasRadosgw, type Radosgw, startRadosgw } from "./support/radosgw.ts";

const MISSING = "radosgw is missing: " +
  "apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common";

if (!hasRadosgw()) test("backups in a bucket, from Postgres 15", { skip: MISSING }, () => {});
else describe("backups in a bucket, from Postgres 15", suite);

function suite(): void {
  let s3: Radosgw;
  let server: Server;
  before(async () => {
    [s3, server] = await Promise.all([startRadosgw(), startPostgres({ major: 15 })]);
  });
  after(() => Promise.all([s3?.stop(), server?.stop()]));

  /** A bucket with versions and a keyring, and the variables that lead the commands to it. */
  async function world(databaseUrl: string): Promise<BackupWorld> {
    const bucket = await s3.createBucket({ versioned: true });
    const secret = Buffer.alloc(32, 7).toString("base64");
    const keys = (role: string) => ({
      [`BULKHEAD_S3_${role}KEY_ID`]: s3.user.accessKeyId,
      [`BULKHEAD_S3_${role}SECRET`]: s3.user.secretAccessKey,
    });
    const env = {
      DATABASE_URL: databaseUrl,
      BULKHEAD_KEK: secret,
      BULKHEAD_STORE: `s3://${bucket}/prod`,
      BULKHEAD_S3_ENDPOINT: s3.endpoint,
      BULKHEAD_S3_REGION: s3.region,
      ...keys(""),
      ...keys("READER_"),
    };
    const store = openStore(env, "writer");
    const kek = await kekFromBase64(secret);
    const keyring = await createKeyring({ store, kek });
    return { folder: "", store, kek, keyring, env, [Symbol.dispose]: () => {} };
  }

  /** Every manifest is sound and what it names is there; answers the newest one's id, or none. */
  async function assertSound({ store, kek }: BackupWorld): Promise<string> {
    const { valid, invalid } = await listBackups({
      store,
      keyring: await openKeyring({ store, kek }),
    });
    assert.deepEqual(invalid, []);
    for (const { manifest } of valid) {
      assert.deepEqual(await verifyObjects({ store, manifest }), [], manifest.id);
    }
    return valid[0]?.manifest.id ?? "";
  }

  test("the edge function's calls: parts, a tenant that has not changed, and a worker that dies", async () => {
    await using db = await openhouseDatabase(server, { rows: 600 });
    using there = await world(db.url);
    await edgeLimits(db.url, { part: PART });
    const random = seeded(20_261_121);
    for (let round = 0; round < depth({ quick: 1, full: 4 }); round++) {
      await withSql(db.url, (sql) => sql`update public.messages set body = body || '.'`);
      for (let call = 0;; call++) {
        assert.ok(call < 200, "it comes to an end");
        // Every third worker dies with its first or second object half-way to the bucket.
        let left = call % 3 === 2 ? 1 + Math.floor(random() * 2) : Infinity;
        const ended = await edgeCall({
          url: db.url,
          world: there,
          change: (options) => ({
            ...options,
            store: {
              ...options.store,
              put: async (key, body, how) => {
                if (key.startsWith("objects/") && --left < 1) {
                  if (body instanceof ReadableStream) await body.cancel("killed");
                  throw new Error("killed");
                }
                return await options.store.put(key, body, how);
              },
            },
            // What is killed says nothing.
            ledger: new Proxy(options.ledger, {
              get: (of, key) => key === "fail" ? () => Promise.resolve() : Reflect.get(of, key),
            }),
          }),
        }).catch((error) => {
          assert.match(String(error), /killed/);
          return null;
        });
        if (ended?.state === "complete") break;
        if (!ended) await leaseEnds(db.url);
      }
      await assertSound(there);
      await assertEqual(db.url, await newest(there));
    }
    const verified = await bulkhead(["backups", "verify"], there.env);
    assert.equal(verified.code, 0, verified.stderr);
    await edgeCall({ url: db.url, world: there });
    const again = await newest(there);
    const own = again.objects.filter(({ backup }) => backup === again.id);
    assert.deepEqual([...new Set(own.map(({ tenant }) => tenant))], ["@global"]);
  });

  test("kill -9 of the runner: what is there is sound, and the next run is whole", async () => {
    await using db = await openhouseDatabase(server, { rows: 600 });
    using there = await world(db.url);
    const random = seeded(20_261_121);
    const began = performance.now();
    assert.equal((await bulkhead(["backup", "--full"], there.env)).code, 0);
    const life = performance.now() - began;
    let killed = 0;
    const rounds = depth({ quick: 2, full: 10 });
    for (let round = 0; round < rounds; round++) {
      const known = await assertSound(there);
      const { child, ended } = startBulkhead(["backup", "--full"], there.env);
      // The first third is the start of Node.
      await sleep(life * (0.33 + 0.67 * (round + random()) / rounds));
      if (child.kill("SIGKILL")) killed++;
      await ended;
      assert.ok(await assertSound(there) >= known);
    }
    assert.ok(killed > 0, "nothing was killed in time");
    for (let tries = 0;; tries++) {
      const { code, stderr } = await bulkhead(["backup"], there.env);
      if (code === 0) break;
      // The server notices that a killed client is gone when it next writes to it.
      assert.ok(tries < 20 && /BH602/.test(stderr), stderr);
      await sleep(200);
    }
    const { store, kek } = there;
    const manifest = await newest(there);
    const keyring = await openKeyring({ store, kek });
    assert.equal((await verifyBackup({ store, keyring, manifest })).rows, manifest.rows);
    await assertEqual(db.url, manifest);
  });
}
