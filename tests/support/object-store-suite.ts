import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import type {
  ObjectStore,
  StoredObject,
  StoredVersion,
} from "../../functions/_core/backup/object-store.ts";

/** A stream of `size` pseudo-random bytes, in pieces of odd sizes. */
export function streamOf(bytes: Uint8Array, piece = 65_521): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.subarray(at, at + piece));
      at += piece;
    },
  }, { highWaterMark: 0 });
}

export async function bytesOf(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return new Uint8Array(await new Response(stream as BodyInit).arrayBuffer());
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const text = (value: string) => new TextEncoder().encode(value);
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** What every object store does, whatever it is made of. `open` gives an empty one each time. */
export function objectStoreSuite(
  name: string,
  open: () => Promise<ObjectStore>,
  options: { hasConditionalWrites: boolean },
): void {
  const check = (title: string, body: (store: ObjectStore) => Promise<void>) =>
    test(`${name} ${title}`, async () => await body(await open()));

  check("gives back what was put, of any size", async (store) => {
    for (const size of [0, 1, 65_536, (8 << 20) - 1, 8 << 20, (8 << 20) + 1, 20_000_003]) {
      const bytes = randomBytes(size);
      const stored = await store.put(`objects/t/${size}.bhb`, streamOf(bytes));
      assert.equal(stored.size, size);
      assert.equal(stored.sha256, sha256(bytes));
      const read = await bytesOf(await store.get(stored.key, { version: stored.version }));
      assert.equal(sha256(read), sha256(bytes), `${size} bytes`);
      const head = await store.head(stored.key);
      assert.deepEqual([head?.version, head?.size], [stored.version, size]);
    }
  });

  check("keeps every version and reads the one that is pinned", async (store) => {
    const first = await store.put("a.json", text("first"));
    const second = await store.put("a.json", text("second"));
    const read = async (version?: string) =>
      new TextDecoder().decode(
        await bytesOf(await store.get("a.json", version ? { version } : {})),
      );
    assert.equal(await read(first.version), "first");
    assert.equal(await read(second.version), "second");
    assert.equal(await read(), "second");
    const versions: StoredVersion[] = await collect(store.listVersions("a.json"));
    assert.deepEqual(versions.map((v) => [v.version, v.isLatest, v.isDeleteMarker]), [
      [second.version, true, false],
      [first.version, false, false],
    ]);
  });

  check("lists in key order, by prefix, the newest of each key", async (store) => {
    for (const key of ["m/b", "m/a", "m/a/c", "m-/a", "n", "m/a"]) {
      await store.put(key, text(key));
    }
    const keys = (found: StoredObject[]) => found.map(({ key }) => key);
    assert.deepEqual(keys(await collect(store.list("m/"))), ["m/a", "m/a/c", "m/b"]);
    assert.deepEqual(keys(await collect(store.list("m"))), ["m-/a", "m/a", "m/a/c", "m/b"]);
    assert.deepEqual(keys(await collect(store.list("m/a"))), ["m/a", "m/a/c"]);
    assert.deepEqual(await collect(store.list("nothing/")), []);
    assert.equal((await collect(store.listVersions("m/"))).length, 4);
  });

  check("deletes one version and leaves the others", async (store) => {
    const first = await store.put("x/y", text("first"));
    const second = await store.put("x/y", text("second"));
    await store.deleteVersion("x/y", second.version);
    assert.equal((await store.head("x/y"))?.version, first.version);
    await store.deleteVersion("x/y", first.version);
    assert.equal(await store.head("x/y"), null);
    await store.deleteVersion("x/y", first.version); // gone already: no error
    assert.deepEqual(await collect(store.listVersions("x/")), []);
  });

  check("refuses to put what exists when asked to", async (store) => {
    await store.put("k", text("first"), { ifAbsent: true });
    await assert.rejects(store.put("k", text("second"), { ifAbsent: true }), {
      code: "BH_STORE_EXISTS",
    });
    assert.equal((await collect(store.listVersions("k"))).length, 1);
  });

  check(
    `lets ${options.hasConditionalWrites ? "exactly" : "at least"} one of ten writers be first`,
    async (store) => {
      const tries = await Promise.allSettled(
        Array.from({ length: 10 }, (_, i) => store.put("race", text(`${i}`), { ifAbsent: true })),
      );
      const first = tries.filter(({ status }) => status === "fulfilled").length;
      if (options.hasConditionalWrites) assert.equal(first, 1);
      else assert.ok(first >= 1);
    },
  );

  check("keeps all versions of writers at once", async (store) => {
    const puts = await Promise.all(
      Array.from({ length: 12 }, (_, i) => store.put("busy", text(`body ${i}`))),
    );
    assert.equal(new Set(puts.map(({ version }) => version)).size, 12);
    for (const [i, { version }] of puts.entries()) {
      const read = await bytesOf(await store.get("busy", { version }));
      assert.equal(new TextDecoder().decode(read), `body ${i}`);
    }
  });

  check("leaves nothing behind when the body fails", async (store) => {
    for (const size of [100, 9 << 20]) {
      let sent = 0;
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          // With a code like a Postgres error's: the store must not take it for its own.
          if (sent >= size) throw Object.assign(new Error("the export failed"), { code: "57014" });
          controller.enqueue(new Uint8Array(65_536));
          sent += 65_536;
        },
      });
      await assert.rejects(store.put("broken", body), /the export failed/);
    }
    assert.equal(await store.head("broken"), null);
    assert.deepEqual(await collect(store.listVersions("broken")), []);
  });

  check("tells a missing object from an empty one", async (store) => {
    await assert.rejects(store.get("missing"), { code: "BH_STORE_MISSING" });
    assert.equal(await store.head("missing"), null);
  });

  check("refuses keys that leave its folder", async (store) => {
    for (
      const key of ["../x", "a/../b", "/etc/passwd", "a//b", "", "a/", ".tmp/x", "a\0b", "a@b"]
    ) {
      await assert.rejects(store.put(key, text("x")), { code: "BH_STORE_KEY" }, key);
      await assert.rejects(store.get(key), { code: "BH_STORE_KEY" }, key);
      await assert.rejects(store.deleteVersion(key, "v"), { code: "BH_STORE_KEY" }, key);
    }
  });

  check("cancels a body that it does not take", async (store) => {
    await store.put("taken", text("x"));
    let reason: unknown;
    const body = new ReadableStream<Uint8Array>({ cancel: (why) => void (reason = why) });
    await assert.rejects(store.put("taken", body, { ifAbsent: true }));
    assert.ok(reason);
  });
}
