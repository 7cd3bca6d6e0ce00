import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { checkParent, ensureFolder, ensureWritable } from "../functions/_core/adapters/folder.ts";
import { folderStore } from "../functions/_core/adapters/folder-store.ts";
import { openStore } from "../functions/_core/adapters/open-store.ts";
import { judgeS3Error, mapS3Error } from "../functions/_core/adapters/s3-errors.ts";
import { withRetry } from "../functions/_core/backup/retry.ts";
import { BulkheadError } from "../functions/_core/errors.ts";
import { bytesOf, collect, objectStoreSuite } from "./support/object-store-suite.ts";

const folders: string[] = [];
async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "bulkhead-store-"));
  folders.push(folder);
  return folder;
}
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

objectStoreSuite(
  "the folder store",
  async () => folderStore(join(await newFolder(), "store")),
  { hasConditionalWrites: true },
);

test("the folder store refuses symbolic links below its root", async () => {
  const [root, outside] = [await newFolder(), await newFolder()];
  await writeFile(join(outside, "x@0000000000000-000000-00000000"), "secret");
  await symlink(outside, join(root, "objects"));
  await symlink(
    join(outside, "x@0000000000000-000000-00000000"),
    join(root, "y@0000000000000-000000-00000000"),
  );
  const store = folderStore(root);
  const refused = { code: "BH_STORE_REFUSED" };
  await assert.rejects(store.get("objects/x"), refused);
  await assert.rejects(store.get("y"), refused);
  await assert.rejects(store.put("objects/z", new Uint8Array(1)), refused);
  await assert.rejects(collect(store.list("")), refused);
  await assert.rejects(
    store.deleteVersion("objects/x", "0000000000000-000000-00000000"),
    refused,
  );
  assert.deepEqual(await readdir(outside), ["x@0000000000000-000000-00000000"]);
});

test("the folder store leaves no temporary file and ignores those of a killed writer", async () => {
  const root = await newFolder();
  await mkdir(join(root, ".tmp"));
  await writeFile(join(root, ".tmp", "half"), "half an obj");
  const store = folderStore(root);
  await store.put("whole", new Uint8Array(10));
  assert.deepEqual(await readdir(join(root, ".tmp")), ["half"]);
  assert.deepEqual((await collect(store.list(""))).map(({ key }) => key), ["whole"]);
});

test("the folder store names a folder it may not write to", async () => {
  const root = await newFolder();
  await writeFile(join(root, "file"), "");
  const store = folderStore(join(root, "file"));
  await assert.rejects(store.put("x", new Uint8Array(1)), { kind: "unavailable" });
});

test("the folder store gives up on a folder that can't be made, also below /proc", async () => {
  const store = folderStore("/proc/nope/deeper");
  await assert.rejects(store.put("keyring.json", new Uint8Array(1)), {
    code: "BH_STORE_UNAVAILABLE",
    message:
      'Cannot write "keyring.json" in file:///proc/nope/deeper: the folder can\'t be made (ENOENT)',
    hint: /BULKHEAD_STORE/,
  });
  assert.deepEqual(await collect(store.list("")), []);
});

test("the folder store says who may not read it, and looks into no folder that it need not", async () => {
  const root = await newFolder();
  const store = folderStore(root);
  await store.put("keyring.json", new Uint8Array(1));
  await store.put("objects/x", new Uint8Array(1));
  await chmod(join(root, "objects"), 0o000);
  await chmod(root, 0o755);
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65534);
  try {
    assert.equal((await collect(store.listVersions("keyring.json"))).length, 1);
    await assert.rejects(collect(store.list("objects/")), {
      code: "BH_STORE_REFUSED",
      message: `Cannot list "objects/" in file://${root}: this user has no permission (EACCES)`,
      hint: /ls -ld/,
    });
  } finally {
    if (isRoot) process.seteuid?.(0);
    await chmod(join(root, "objects"), 0o700);
  }
});

test("folders are made with their parents, or not at all", async () => {
  const root = await newFolder();
  await ensureFolder(join(root, "a/b/c"));
  await ensureFolder(join(root, "a/b/c"));
  await ensureWritable(join(root, "a/d"));
  assert.deepEqual(await readdir(join(root, "a")), ["b", "d"]);
  assert.deepEqual(await readdir(join(root, "a/d")), []);
  await writeFile(join(root, "file"), "");
  await assert.rejects(ensureFolder(join(root, "file/x/y")), { code: "ENOTDIR" });
  await assert.rejects(checkParent(join(root, "file/x/y")), { code: "ENOTDIR" });
  await assert.rejects(ensureWritable("/proc/nope/x"), { code: "ENOENT" });
  await assert.rejects(ensureWritable("/proc"), { code: "ENOENT" });
  await checkParent(join(root, "not/yet/there"));
  assert.deepEqual((await readdir(root)).sort(), ["a", "file"]);
});

test("openStore() reads file and s3 addresses", async () => {
  const folder = await newFolder();
  const store = openStore({ BULKHEAD_STORE: `file://${folder}/with%20space/` }, "writer");
  await store.put("x", new Uint8Array([1, 2]));
  assert.equal((await bytesOf(await store.get("x"))).length, 2);
  assert.deepEqual(await readdir(folder), ["with space"]);
  const s3 = openStore({
    BULKHEAD_STORE: "s3://bucket/a/b/",
    BULKHEAD_S3_ENDPOINT: "https://s3.example.test",
    BULKHEAD_S3_REGION: "eu",
    BULKHEAD_S3_KEY_ID: "id",
    BULKHEAD_S3_SECRET: "secret",
  }, "writer");
  assert.equal(s3.describe(), "s3://bucket/a/b");
});

test("openStore() names the variables that are missing and refuses plain http", () => {
  assert.throws(() => openStore({ BULKHEAD_STORE: "s3://bucket" }, "writer"), {
    code: "BH_ENV",
    message: /BULKHEAD_S3_REGION, BULKHEAD_S3_KEY_ID, BULKHEAD_S3_SECRET are not set/,
  });
  const env = { BULKHEAD_S3_REGION: "r", BULKHEAD_S3_KEY_ID: "k", BULKHEAD_S3_SECRET: "hush" };
  const open = (endpoint: string) => () =>
    openStore({ BULKHEAD_STORE: "s3://bucket", BULKHEAD_S3_ENDPOINT: endpoint, ...env }, "writer");
  assert.throws(open("http://s3.example.test"), /not encrypted/);
  assert.doesNotThrow(open("http://127.0.0.1:7480"));
});

test("openStore() takes no role's key for another's", () => {
  const pairs = {
    writer: { BULKHEAD_S3_KEY_ID: "w", BULKHEAD_S3_SECRET: "hush" },
    reader: { BULKHEAD_S3_READER_KEY_ID: "r", BULKHEAD_S3_READER_SECRET: "hush" },
    pruner: { BULKHEAD_S3_PRUNER_KEY_ID: "p", BULKHEAD_S3_PRUNER_SECRET: "hush" },
  };
  const roles = ["writer", "reader", "pruner"] as const;
  for (const role of roles) {
    for (const held of roles) {
      const env = { BULKHEAD_STORE: "s3://bucket", BULKHEAD_S3_REGION: "eu", ...pairs[held] };
      const open = () => openStore(env, role);
      if (role === held) assert.doesNotThrow(open);
      else {
        const [keyId, secret] = Object.keys(pairs[role]);
        assert.throws(open, {
          code: "BH_ENV",
          message: `Cannot open the store "s3://bucket": ${keyId}, ${secret} are not set`,
        });
      }
    }
  }
});

test("mapS3Error() shows neither the request nor the credentials", () => {
  const error = Object.assign(new Error("The request signature sEcReT does not match"), {
    name: "SignatureDoesNotMatch",
    AWSAccessKeyId: "sEcReT",
    $metadata: { httpStatusCode: 403 },
    $response: { headers: { authorization: "sEcReT" } },
  });
  const mapped = mapS3Error(error, { action: "read", what: "a", store: "s3://b" });
  assert.ok(mapped instanceof BulkheadError && mapped.code === "BH_STORE_REFUSED");
  assert.equal(mapped.message, 'Cannot read "a" in s3://b: SignatureDoesNotMatch, HTTP 403');
  assert.doesNotMatch(JSON.stringify(mapped) + String(mapped.cause) + mapped.stack, /sEcReT/);
});

test("withRetry() waits as long as Retry-After says and gives up on what will not pass", async () => {
  const failure = (status: number | undefined, after?: string) =>
    Object.assign(new Error("x"), {
      $metadata: { httpStatusCode: status },
      $response: { headers: { "retry-after": after } },
    });
  const run = async (errors: Error[]) => {
    const waits: number[] = [];
    let tries = 0;
    const result = await withRetry(() => {
      const error = errors[tries++];
      return error ? Promise.reject(error) : Promise.resolve("done");
    }, {
      judge: judgeS3Error,
      sleep: (ms) => Promise.resolve(void waits.push(ms)),
      random: () => 0.5,
    }).catch(() => "failed");
    return { result, tries, waits };
  };
  assert.deepEqual(await run([failure(503, "7"), failure(undefined), failure(500)]), {
    result: "done",
    tries: 4,
    waits: [7000, 500, 1000],
  });
  for (const status of [400, 403, 404, 412, 501]) {
    assert.equal((await run([failure(status)])).tries, 1, String(status));
  }
  assert.equal((await run(Array(20).fill(failure(503)))).tries, 6);
});
