// needs: radosgw
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import {
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  PutBucketPolicyCommand,
  PutObjectLegalHoldCommand,
} from "@aws-sdk/client-s3";
import { s3Store } from "../functions/_core/adapters/s3-store.ts";
import { bytesOf, collect, objectStoreSuite, streamOf } from "./support/object-store-suite.ts";
import { runPeer } from "./support/run-peer.ts";
import { hasRadosgw, type S3User, startRadosgw } from "./support/radosgw.ts";

const MISSING = "radosgw is missing: " +
  "apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common";

if (!hasRadosgw()) test("the S3 store", { skip: MISSING }, () => {});
else await suite();

async function suite(): Promise<void> {
  const server = await startRadosgw();
  after(() => server.stop());

  const open = (
    bucket: string,
    options: { user?: S3User; endpoint?: string; secret?: string } = {},
  ) => {
    const user = options.user ?? server.user;
    return s3Store({
      bucket,
      prefix: "nightly/prod",
      region: server.region,
      endpoint: options.endpoint ?? server.endpoint,
      keyId: user.accessKeyId,
      secret: options.secret ?? user.secretAccessKey,
      sleep: () => Promise.resolve(),
    });
  };

  objectStoreSuite(
    "the S3 store",
    async () => open(await server.createBucket({ versioned: true })),
    // radosgw 16 takes If-None-Match, and lets writers at once all be first.
    { hasConditionalWrites: false },
  );

  test("the S3 store lists more than one page, versions and delete markers in order", async () => {
    const bucket = await server.createBucket({ versioned: true });
    const store = open(bucket);
    const body = new Uint8Array(1);
    for (let block = 0; block < 1_300; block += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, i) => store.put(`p/${block + i}`, body)));
    }
    const client = server.client();
    await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: "nightly/prod/p/7" }));
    client.destroy();
    const versions = await collect(store.listVersions("p/"));
    assert.equal(versions.length, 1_301);
    assert.deepEqual(
      versions.filter(({ key }) => key === "p/7").map((v) => [v.isLatest, v.isDeleteMarker]),
      [[true, true], [false, false]],
    );
    const keys = (await collect(store.list("p/"))).map(({ key }) => key);
    assert.equal(keys.length, 1_299);
    assert.deepEqual(keys, [...keys].sort());
    assert.equal(await store.head("p/7"), null);
    const [, hidden] = versions.filter(({ key }) => key === "p/7");
    assert.equal((await bytesOf(await store.get("p/7", { version: hidden!.version }))).length, 1);
  });

  test("the S3 store locks a version, says so, and deletes it never before its time", async () => {
    const store = open(await server.createBucket({ objectLock: true }));
    for (const size of [10, 9 << 20]) {
      const retainUntil = new Date(Date.now() + 3_600_000);
      const stored = await store.put("locked", streamOf(randomBytes(size)), { retainUntil });
      await assert.rejects(store.deleteVersion("locked", stored.version), {
        code: "BH_STORE_LOCKED",
      });
      assert.equal((await store.head("locked"))?.version, stored.version);
    }
  });

  test("the S3 store reports a version under legal hold as locked", async () => {
    const bucket = await server.createBucket({ objectLock: true });
    const store = open(bucket);
    const { version } = await store.put("held", randomBytes(10));
    const client = server.client();
    await client.send(
      new PutObjectLegalHoldCommand({
        Bucket: bucket,
        Key: "nightly/prod/held",
        VersionId: version,
        LegalHold: { Status: "ON" },
        ContentMD5: createHash("md5")
          .update(
            '<?xml version="1.0" encoding="UTF-8"?><LegalHold xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>ON</Status></LegalHold>',
          )
          .digest("base64"),
      }),
    );
    client.destroy();
    await assert.rejects(store.deleteVersion("held", version), { code: "BH_STORE_LOCKED" });
  });

  test("the S3 store aborts a multipart upload that fails", async () => {
    const bucket = await server.createBucket({ versioned: true });
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent > 20 << 20) throw new Error("the export failed");
        controller.enqueue(new Uint8Array(1 << 20));
        sent += 1 << 20;
      },
    });
    await assert.rejects(open(bucket).put("cut", body), /the export failed/);
    const client = server.client();
    const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
    client.destroy();
    assert.deepEqual(Uploads ?? [], []);
  });

  test("a writer without the right to delete can put and not delete", async () => {
    const bucket = await server.createBucket({ versioned: true });
    const writer = await server.createUser();
    const client = server.client();
    const statement = (Action: string[], Resource: string) => ({
      Effect: "Allow",
      Principal: { AWS: [`arn:aws:iam:::user/${writer.uid}`] },
      Action,
      Resource,
    });
    const Policy = JSON.stringify({
      Version: "2012-10-17",
      Statement: [
        statement(["s3:PutObject", "s3:GetObject"], `arn:aws:s3:::${bucket}/*`),
        statement(["s3:ListBucket", "s3:ListBucketVersions"], `arn:aws:s3:::${bucket}`),
      ],
    });
    await client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
    client.destroy();
    const store = open(bucket, { user: writer });
    const { version } = await store.put("mine", randomBytes(10));
    assert.equal((await store.head("mine"))?.version, version);
    await assert.rejects(store.deleteVersion("mine", version), { code: "BH_STORE_REFUSED" });
    assert.equal((await collect(store.list(""))).length, 1);
  });

  test("the S3 store names what is wrong and shows no secret", async () => {
    const bucket = await server.createBucket({ versioned: true });
    const cases: [() => Promise<unknown>, string, RegExp][] = [
      [
        () => open(bucket, { secret: "wr0ngS3cret" }).put("a", new Uint8Array(1)),
        "BH_STORE_REFUSED",
        /SignatureDoesNotMatch/,
      ],
      [
        () => open("no-such-bucket").put("a", new Uint8Array(1)),
        "BH_STORE_UNAVAILABLE",
        /NoSuchBucket/,
      ],
      [() => collect(open("no-such-bucket").list("")), "BH_STORE_UNAVAILABLE", /NoSuchBucket/],
      [
        () => open(bucket, { endpoint: "http://127.0.0.1:1" }).head("a"),
        "BH_STORE_UNAVAILABLE",
        /ECONNREFUSED/,
      ],
    ];
    for (const [work, code, message] of cases) {
      await assert.rejects(work(), (error: Error & { code: string }) => {
        assert.equal(error.code, code);
        assert.match(error.message, message);
        assert.doesNotMatch(`${error.stack}${JSON.stringify(error)}`, /wr0ngS3cret/);
        return true;
      });
    }
  });

  test("the S3 store tells the server's clock", async () => {
    const clock = await open(await server.createBucket({ versioned: true })).clock?.();
    assert.ok(clock && Math.abs(clock.getTime() - Date.now()) < 5_000);
  });

  test("what Deno 2.1.4 writes to S3, Node reads", async () => {
    const env = {
      BULKHEAD_STORE: `s3://${await server.createBucket({ versioned: true })}/prod`,
      BULKHEAD_KEK: randomBytes(32).toString("base64"),
      BULKHEAD_S3_ENDPOINT: server.endpoint,
      BULKHEAD_S3_REGION: server.region,
      BULKHEAD_S3_KEY_ID: server.user.accessKeyId,
      BULKHEAD_S3_SECRET: server.user.secretAccessKey,
    };
    const written = await runPeer("edge", ["write", "alpha", "30"], env);
    for (const reader of ["node", "edge"] as const) {
      assert.equal((await runPeer(reader, ["read"], env)).sha256, written.sha256);
    }
  });

  test("the S3 store survives 503 with Retry-After, resets and a download that breaks off", async (t) => {
    const bucket = await server.createBucket({ versioned: true });
    const proxy = await flakyProxy(server.endpoint);
    t.after(() => proxy.close());
    const waits: number[] = [];
    const store = s3Store({
      bucket,
      prefix: "",
      region: server.region,
      endpoint: proxy.endpoint,
      keyId: server.user.accessKeyId,
      secret: server.user.secretAccessKey,
      sleep: (ms) => Promise.resolve(void waits.push(ms)),
    });
    const bytes = randomBytes(20 << 20);
    proxy.next("503", "503", "reset");
    const { version } = await store.put("big", streamOf(bytes));
    assert.equal(waits.length, 3);
    assert.deepEqual(waits.filter((ms) => ms >= 3_000), [3_000, 3_000]);
    // The request is carried out and its answer lost: what is pinned is the retry's version.
    proxy.next("pass", "deaf");
    const once = await store.put("once", randomBytes(100), { ifAbsent: true });
    assert.equal((await store.head("once"))?.version, once.version);
    proxy.next("cut", "cut");
    const read = await bytesOf(await store.get("big", { version }));
    assert.ok(Buffer.from(read).equals(bytes));
    proxy.next(...Array<Fault>(6).fill("503"));
    await assert.rejects(store.head("big"), { code: "BH_STORE_UNAVAILABLE" });
  });
}

type Fault = "503" | "reset" | "cut" | "deaf" | "pass";

/** Passes requests on to the real server, except that the next ones go wrong as told. */
async function flakyProxy(target: string) {
  const faults: Fault[] = [];
  const server = createServer((incoming, outgoing) => {
    const fault = faults.shift();
    if (fault === "reset") return void incoming.socket.destroy();
    if (fault === "503") {
      incoming.resume();
      outgoing.writeHead(503, { "retry-after": "3", "content-type": "application/xml" });
      return void outgoing.end("<Error><Code>SlowDown</Code><Message>slow</Message></Error>");
    }
    const { hostname, port } = new URL(target);
    const options = {
      hostname,
      port,
      path: incoming.url,
      method: incoming.method,
      headers: incoming.headers,
    };
    incoming.pipe(
      request(options, (answer) => {
        if (fault === "deaf") return void incoming.socket.destroy();
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
        if (fault !== "cut") return void answer.pipe(outgoing);
        let passed = 0;
        answer.on("data", (chunk: Uint8Array) => {
          outgoing.write(chunk);
          if ((passed += chunk.length) > 3_000_000) outgoing.destroy();
        });
        answer.on("error", () => {});
      }).on("error", () => outgoing.destroy()),
    );
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    next: (...more: Fault[]) => void faults.push(...more),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
