// needs: radosgw
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, before, describe, test } from "node:test";
import { PutBucketPolicyCommand } from "@aws-sdk/client-s3";
import { join } from "node:path";
import * as z from "zod";
import { openStore, roleVariables } from "../functions/_core/adapters/open-store.ts";
import { s3Store } from "../functions/_core/adapters/s3-store.ts";
import type { ObjectStore } from "../functions/_core/backup/object-store.ts";
import { bulkhead } from "./support/backup-world.ts";
import { bytesOf, collect, streamOf } from "./support/object-store-suite.ts";
import {
  kitDatabase,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { hasRadosgw, type Radosgw, type S3User, startRadosgw } from "./support/radosgw.ts";
import { ROOT } from "./support/sql-files.ts";

const MISSING = "radosgw is missing: " +
  "apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common";
const MIGRATIONS = ["schema", "harden"].map((name) => join(ROOT, `examples/openhouse/${name}.sql`));
const ROLES = ["writer", "reader", "pruner"] as const;
type Role = (typeof ROLES)[number];

const statements = z.array(z.object({
  Effect: z.literal("Allow"),
  Action: z.array(z.string()),
  Resource: z.string(),
}));

/** The policy that docs/store.md gives to a role: what is tested is what people copy. */
function documentedPolicy(role: Role, bucket: string) {
  const page = readFileSync(join(ROOT, "docs/store.md"), "utf8");
  const [, json = ""] = new RegExp(`<!-- policy: ${role} -->\\s+\`\`\`json\\n(.+?)\\n\`\`\``, "s")
    .exec(page) ?? [];
  return statements.parse(JSON.parse(json.replaceAll("BUCKET", bucket)));
}

if (!hasRadosgw()) test("the three keys of a store", { skip: MISSING }, () => {});
else suite();

function suite(): void {
  let s3: Radosgw;
  let server: Server;
  let users: Record<Role, S3User>;
  before(async () => {
    [s3, server] = await Promise.all([startRadosgw(), startPostgres()]);
    const [writer, reader, pruner] = [
      await s3.createUser(),
      await s3.createUser(),
      await s3.createUser(),
    ];
    users = { writer, reader, pruner };
  });
  const scratch = mkdtempSync(join(tmpdir(), "bulkhead-roles-"));
  after(() => {
    rmSync(scratch, { recursive: true });
    return Promise.all([s3?.stop(), server?.stop()]);
  });

  /** A bucket whose policy is the documentation's, and nothing besides. */
  async function bucketOf(options: { objectLock?: boolean } = {}): Promise<string> {
    const bucket = await s3.createBucket({ versioned: true, ...options });
    const Statement = ROLES.flatMap((role) =>
      documentedPolicy(role, bucket).map((statement) => ({
        ...statement,
        Principal: { AWS: [`arn:aws:iam:::user/${users[role].uid}`] },
      }))
    );
    const client = s3.client();
    const Policy = JSON.stringify({ Version: "2012-10-17", Statement });
    await client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
    client.destroy();
    return bucket;
  }

  const variables = (bucket: string, ...roles: Role[]): Record<string, string> => ({
    BULKHEAD_STORE: `s3://${bucket}/prod`,
    BULKHEAD_S3_ENDPOINT: s3.endpoint,
    BULKHEAD_S3_REGION: s3.region,
    ...Object.fromEntries(roles.flatMap((role) => [
      [roleVariables[role].keyId, users[role].accessKeyId],
      [roleVariables[role].secret, users[role].secretAccessKey],
    ])),
  });

  async function stores(options: { objectLock?: boolean } = {}) {
    const bucket = await bucketOf(options);
    const open = (role: Role) =>
      openStore({ BULKHEAD_STORE: "", ...variables(bucket, role) }, role);
    return { bucket, writer: open("writer"), reader: open("reader"), pruner: open("pruner") };
  }

  const refused = { code: "BH_STORE_REFUSED" };
  const objects = async (store: ObjectStore) => await collect(store.listVersions(""));

  describe("the documented policies", () => {
    test("the writer writes in one piece and in parts, and deletes no version", async () => {
      const { writer, reader } = await stores();
      const small = await writer.put("objects/a", randomBytes(10));
      const large = await writer.put("objects/b", streamOf(randomBytes(9 << 20)));
      await writer.put("objects/a", randomBytes(10));
      for (const { key, version } of [small, large]) {
        await assert.rejects(writer.deleteVersion(key, version), refused);
      }
      assert.equal((await objects(reader)).length, 3);
      // What the writer puts over it changes nothing for who reads by version.
      assert.equal(
        (await bytesOf(await reader.get("objects/a", { version: small.version }))).length,
        10,
      );
    });

    test("the writer leaves no unfinished upload where the body fails", async () => {
      const { writer, reader } = await stores();
      let sent = 0;
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          if ((sent += 1 << 20) > 20 << 20) throw new Error("the export failed");
          controller.enqueue(new Uint8Array(1 << 20));
        },
      });
      await assert.rejects(writer.put("objects/cut", body), /the export failed/);
      assert.deepEqual(await objects(reader), []);
    });

    test("the reader reads, and neither writes nor deletes", async () => {
      const { writer, reader } = await stores();
      const { key, version } = await writer.put("manifests/a.json", randomBytes(10));
      assert.equal((await reader.head(key, { version }))?.size, 10);
      assert.equal((await objects(reader)).length, 1);
      await assert.rejects(reader.put("objects/x", randomBytes(1)), refused);
      await assert.rejects(reader.put("objects/x", streamOf(randomBytes(9 << 20))), refused);
      await assert.rejects(reader.deleteVersion(key, version), refused);
      assert.equal((await objects(reader)).length, 1);
    });

    test("the pruner deletes a version, and writes none", async () => {
      const { writer, reader, pruner } = await stores();
      const first = await writer.put("objects/a", randomBytes(10));
      const second = await writer.put("objects/a", randomBytes(11));
      await assert.rejects(pruner.put("objects/a", randomBytes(1)), refused);
      await pruner.deleteVersion("objects/a", first.version);
      assert.deepEqual((await objects(reader)).map(({ version }) => version), [second.version]);
    });
  });

  describe("a bucket with Object Lock", () => {
    test("objects and manifests are locked for 30 days, the keyring is not", async () => {
      const { writer, reader, pruner } = await stores({ objectLock: true });
      const month = Date.now() + 30 * 86_400_000;
      const bodies = [randomBytes(10), streamOf(randomBytes(9 << 20))];
      for (const [i, key] of ["manifests/a.json", "objects/a/b"].entries()) {
        const stored = await writer.put(key, bodies[i]!);
        const until = (await writer.head(key))?.lockedUntil?.getTime() ?? 0;
        assert.ok(Math.abs(until - month) < 60_000, `${key} is locked until ${new Date(until)}`);
        await assert.rejects(pruner.deleteVersion(key, stored.version), {
          code: "BH_STORE_LOCKED",
        });
      }
      const keyring = await writer.put("keyring.json", randomBytes(10));
      assert.equal((await writer.head("keyring.json"))?.lockedUntil, undefined);
      await pruner.deleteVersion("keyring.json", keyring.version);
      assert.equal((await objects(reader)).length, 2);
    });

    test("a version that a new backup references is locked anew once half of its lock is gone", async () => {
      const { bucket, writer } = await stores({ objectLock: true });
      const soon = new Date(Date.now() + 86_400_000);
      const old = await writer.put("objects/a", randomBytes(10), { retainUntil: soon });
      const before = await writer.head("objects/a", { version: old.version });
      assert.ok(before);
      await writer.extendLock?.(before);
      const after = await writer.head("objects/a", { version: old.version });
      assert.ok((after?.lockedUntil?.getTime() ?? 0) > Date.now() + 29 * 86_400_000);
      // Again, long before half of it has passed: left alone.
      await writer.extendLock?.(after!);
      assert.deepEqual(
        (await writer.head("objects/a", { version: old.version }))?.lockedUntil,
        after?.lockedUntil,
      );
      const never = s3Store({
        ...{ bucket, prefix: "prod", region: s3.region, endpoint: s3.endpoint, lockDays: 0 },
        keyId: users.writer.accessKeyId,
        secret: users.writer.secretAccessKey,
      });
      await never.put("objects/free", randomBytes(1));
      assert.equal((await never.head("objects/free"))?.lockedUntil, undefined);
    });

    test("without Object Lock nothing is locked, unless asked to: then it is refused", async () => {
      const { bucket, writer } = await stores();
      await writer.put("objects/a", randomBytes(1));
      assert.equal((await writer.head("objects/a"))?.lockedUntil, undefined);
      const env = { BULKHEAD_STORE: "", ...variables(bucket, "writer") };
      const strict = openStore({ ...env, BULKHEAD_S3_LOCK_DAYS: "7" }, "writer");
      await assert.rejects(strict.put("objects/b", randomBytes(1)), refused);
    });
  });

  test("each command works with its own key, and says which one is missing", async () => {
    await using db = await openhouseDatabase(server);
    const bucket = await bucketOf({ objectLock: true });
    const common = { DATABASE_URL: db.url, BULKHEAD_KEK: randomBytes(32).toString("base64") };
    const run = async (roles: Role[], code: number, ...args: string[]) => {
      const ran = await bulkhead(args, { ...common, ...more, ...variables(bucket, ...roles) });
      assert.equal(ran.code, code, `bulkhead ${args.join(" ")}: ${ran.stdout}${ran.stderr}`);
      assert.ok(!`${ran.stdout}${ran.stderr}`.includes(common.BULKHEAD_KEK));
      return ran;
    };
    const hashes = async (url: string) => [
      ...await withSql(url, (sql) =>
        sql.unsafe(`
        select t.tenant, h.rows, h.hash
        from (select bulkhead.tenants_to_export()) as t (tenant)
        cross join lateral bulkhead.content_hash('public.messages', t.tenant) as h order by 1`)),
    ];
    await using target = await kitDatabase(server);
    for (const file of MIGRATIONS) {
      await withSql(target.url, (sql) => sql.unsafe(readFileSync(file, "utf8")));
    }
    const more = {
      BULKHEAD_NEW_KEK: randomBytes(32).toString("base64"),
      TARGET_URL: target.superUrl,
    };
    const before = await hashes(db.url);
    const tenant = String(before[0]?.["tenant"]);
    await run(["writer"], 0, "keys", "init");
    await run(["writer"], 0, "backup");
    await run(["writer"], 0, "keys", "rotate-kek");
    common.BULKHEAD_KEK = more.BULKHEAD_NEW_KEK;
    await run(["writer"], 0, "keys", "rotate-tenant", tenant);
    assert.match((await run(["writer"], 0, "backup")).stdout, /Unchanged: 2 tenants/);
    await run(["reader"], 0, "keys", "list");
    await run(["reader"], 0, "backups", "list");
    await run(["reader"], 0, "backups", "verify");
    const drill = ["drill", "--report-dir", scratch, "--project-migrations", ...MIGRATIONS];
    await Promise.all([
      run(["reader"], 0, "restore", "--into-env", "TARGET_URL"),
      run(["reader"], 0, ...drill),
    ]);
    assert.deepEqual(await hashes(target.url), before);
    await run(["pruner"], 0, "prune", "--apply");
    // The lock holds whatever the policy says: two backups of a day, and neither goes.
    await run(["reader"], 0, "keys", "shred", "--tenant", tenant);
    await run(["writer", "pruner"], 0, "keys", "shred", "--tenant", tenant, "--apply");
    assert.match((await run(["reader"], 0, "backups", "verify")).stdout, /its keys were shredded/);
    // Whoever was shredded while its rows were there is backed up again, under keys of its own.
    await run(["writer"], 0, "backup");
    await withSql(db.url, (sql) => sql`delete from public.messages where tenant_id = ${tenant}`);
    await run(["reader"], 0, "restore", "--tenant", tenant, "--insert-missing");
    assert.deepEqual(await hashes(db.url), before);

    const missing: [Role[], string[], RegExp][] = [
      [["reader", "pruner"], ["backup"], /BULKHEAD_S3_KEY_ID, BULKHEAD_S3_SECRET are missing/],
      [["writer", "pruner"], ["backups", "list"], /BULKHEAD_S3_READER_KEY_ID/],
      [["writer", "pruner"], ["restore", "--tenant", tenant], /BULKHEAD_S3_READER_KEY_ID/],
      [["writer", "pruner"], ["drill"], /BULKHEAD_S3_READER_KEY_ID/],
      [["writer", "reader"], ["prune"], /BULKHEAD_S3_PRUNER_KEY_ID/],
      [["writer"], ["keys", "shred", "--tenant", tenant, "--apply"], /BULKHEAD_S3_PRUNER_KEY_ID/],
    ];
    await Promise.all(missing.map(async ([roles, args, message]) => {
      assert.match((await run(roles, 2, ...args)).stderr, message);
    }));
    // A key of the wrong role in the right variable: the store itself says no.
    const wrong = {
      ...common,
      ...variables(bucket),
      BULKHEAD_S3_KEY_ID: users.reader.accessKeyId,
      BULKHEAD_S3_SECRET: users.reader.secretAccessKey,
    };
    const ran = await bulkhead(["backup", "--full"], wrong);
    assert.equal(ran.code, 1, ran.stderr);
    assert.match(ran.stderr, /BH_STORE_REFUSED/);
    assert.ok(!ran.stderr.includes(users.reader.secretAccessKey));
  });
}
