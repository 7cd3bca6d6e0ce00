import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  S3Client,
} from "@aws-sdk/client-s3";
import process from "node:process";
import { chunksOf } from "../backup/chunks.ts";
import type { ObjectStore, PutOptions, StoredVersion } from "../backup/object-store.ts";
import { withRetry } from "../backup/retry.ts";
import { checkKey, listing, storeError, withBody } from "../backup/store-errors.ts";
import { mergePage } from "./s3-listing.ts";
import { lockOf } from "./s3-lock.ts";
import { judgeS3Error, mapS3Error, readFailure } from "./s3-errors.ts";
import { setLock, upload } from "./s3-upload.ts";

export interface S3StoreOptions {
  readonly bucket: string;
  /** Without slashes at either end; empty for the whole bucket. */
  readonly prefix: string;
  readonly region: string;
  readonly endpoint?: string;
  readonly keyId: string;
  readonly secret: string;
  /**
   * For how long a backup's objects are locked; 0 for never. Unset: 30 days where the bucket has Object Lock, which
   * is asked once, before the first write.
   */
  readonly lockDays?: number;
  /** Tries of one request. */
  readonly attempts?: number;
  readonly sleep?: (milliseconds: number) => Promise<void>;
}

/**
 * An S3 bucket (B2, R2, AWS, MinIO, radosgw) as object store. The bucket should keep versions. Requests
 * are retried here and not by the SDK, so that Retry-After counts and a body is never sent half.
 *
 * @example
 * const store = s3Store({ bucket: "backups", prefix: "prod", region, endpoint, keyId, secret });
 */
export function s3Store(options: S3StoreOptions): ObjectStore {
  const { bucket } = options;
  const root = options.prefix ? `${options.prefix}/` : "";
  const name = `s3://${bucket}${options.prefix ? `/${options.prefix}` : ""}`;
  // The SDK announces on stderr that it will want Node 22 some day. Deno has nothing to silence.
  if (!("Deno" in globalThis)) {
    process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] ??= "true";
  }
  const client = new S3Client({
    region: options.region,
    credentials: { accessKeyId: options.keyId, secretAccessKey: options.secret },
    forcePathStyle: options.endpoint !== undefined,
    ...(options.endpoint ? { endpoint: options.endpoint } : {}),
    // B2 and others refuse the checksums that the SDK sends otherwise.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    maxAttempts: 1,
    // Deno 2.1 never hears "100 Continue", and would wait with every large body.
    expectContinueHeader: false,
    requestHandler: { connectionTimeout: 10_000, requestTimeout: 120_000 },
  });
  const clock = watchClock(client);

  const attempt = <T>(work: (attempt: number) => Promise<T>) =>
    withRetry(work, {
      judge: judgeS3Error,
      ...(options.attempts ? { attempts: options.attempts } : {}),
      ...(options.sleep ? { sleep: options.sleep } : {}),
    });
  const lock = lockOf({ client, bucket, store: name, attempt, days: options.lockDays });
  const guarded = async <T>(action: string, what: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw mapS3Error(error, { action, what, store: name });
    }
  };
  const at = (key: string, version?: string) => ({
    Bucket: bucket,
    Key: root + checkKey(key),
    // "null" is what a bucket without versions answers; asking for it by name is not portable.
    ...(version && version !== "null" ? { VersionId: version } : {}),
  });

  async function rawHead(key: string, version?: string): Promise<HeadObjectCommandOutput | null> {
    try {
      return await attempt(() => client.send(new HeadObjectCommand(at(key, version))));
    } catch (error) {
      // HEAD answers carry no body: 404 is all there is to see; 405 is a delete marker.
      const { status, name: code } = readFailure(error);
      if (status === 404 || status === 405 || code === "NotFound") return null;
      throw error;
    }
  }

  const head: ObjectStore["head"] = (key, { version } = {}) =>
    guarded("read", key, async () => {
      const found = await rawHead(key, version);
      return found && {
        key,
        version: found.VersionId ?? "null",
        size: found.ContentLength ?? 0,
        modifiedAt: found.LastModified ?? new Date(0),
        ...(found.ObjectLockRetainUntilDate
          ? { lockedUntil: found.ObjectLockRetainUntilDate }
          : {}),
      };
    });

  async function put(
    key: string,
    body: ReadableStream<Uint8Array> | Uint8Array,
    putOptions: PutOptions = {},
  ) {
    checkKey(key);
    return await guarded("write", key, async () => {
      if (putOptions.ifAbsent && await rawHead(key)) throw storeError.exists(key, name);
      const retainUntil = putOptions.retainUntil ?? await lock.until(key);
      const locked = { ...putOptions, ...(retainUntil ? { retainUntil } : {}) };
      const done = await upload(
        { client, bucket, key: root + key, options: locked, attempt },
        body,
      );
      const { version = "null", size, sha256 } = done;
      return { key, version, size, sha256, modifiedAt: clock.estimate() ?? new Date() };
    });
  }

  /** A reset in the middle of a download goes on where it stopped, in the same version. */
  const get: ObjectStore["get"] = async (key, { version } = {}) => {
    const open = (from: number, pinned?: string) =>
      attempt(() =>
        client.send(
          new GetObjectCommand({
            ...at(key, pinned),
            ...(from > 0 ? { Range: `bytes=${from}-` } : {}),
          }),
        )
      );
    const what = version ? `${key}@${version}` : key;
    const first = await guarded("read", what, () => open(0, version));
    const pinned = version ?? first.VersionId;
    const total = first.ContentLength ?? 0;
    const bytes = (async function* () {
      let received = 0;
      let answer = first;
      for (let resumed = 0;; resumed++) {
        try {
          if (!answer.Body) return;
          for await (const chunk of chunksOf(answer.Body.transformToWebStream())) {
            received += chunk.length;
            yield chunk;
          }
          if (received >= total) return;
          throw new Error("the connection ended early");
        } catch (error) {
          // Without a version the object may be another one by now.
          const mayResume = pinned && pinned !== "null" && received < total && resumed < 5;
          if (!mayResume) throw error;
          answer = await open(received, pinned);
        }
      }
    })();
    return new ReadableStream<Uint8Array>({
      async pull(controller) {
        const next = await guarded("read", what, () => bytes.next());
        if (next.done) controller.close();
        else controller.enqueue(next.value);
      },
      async cancel() {
        await bytes.return();
      },
    }, { highWaterMark: 0 });
  };

  async function* listVersions(prefix: string): AsyncGenerator<StoredVersion> {
    let markers: { KeyMarker?: string; VersionIdMarker?: string } = {};
    while (true) {
      const page: ListObjectVersionsCommandOutput = await guarded(
        listing(prefix),
        prefix,
        () =>
          attempt(() =>
            client.send(
              new ListObjectVersionsCommand({ Bucket: bucket, Prefix: root + prefix, ...markers }),
            )
          ),
      );
      for (const entry of mergePage(page)) {
        yield { ...entry, key: entry.key.slice(root.length) };
      }
      if (!page.IsTruncated) return;
      const { NextKeyMarker, NextVersionIdMarker } = page;
      const isStuck = NextKeyMarker === undefined ||
        (NextKeyMarker === markers.KeyMarker && NextVersionIdMarker === markers.VersionIdMarker);
      if (isStuck) {
        throw storeError.unavailable(
          listing(prefix),
          prefix,
          name,
          "it is cut off without saying where",
        );
      }
      markers = {
        KeyMarker: NextKeyMarker,
        ...(NextVersionIdMarker ? { VersionIdMarker: NextVersionIdMarker } : {}),
      };
    }
  }

  return {
    put: (key, body, putOptions) => withBody(body, (marked) => put(key, marked, putOptions)),
    get,
    head,
    listVersions,
    // ListObjectsV2 does not tell version ids.
    async *list(prefix) {
      for await (const { isLatest, isDeleteMarker, ...stored } of listVersions(prefix)) {
        if (isLatest && !isDeleteMarker) yield stored;
      }
    },
    deleteVersion: (key, version) =>
      guarded("delete", `${key}@${version}`, async () => {
        try {
          // One at a time: DeleteObjects sends checksums that some stores refuse.
          const exact = { ...at(key), VersionId: version };
          await attempt(() => client.send(new DeleteObjectCommand(exact)));
        } catch (error) {
          const { status, name: code } = readFailure(error);
          if (status === 404 || code === "NoSuchVersion") return;
          const found = await rawHead(key, version).catch(() => null);
          const until = found?.ObjectLockRetainUntilDate?.getTime() ?? 0;
          const isLocked = until > Date.now() || found?.ObjectLockLegalHoldStatus === "ON";
          throw isLocked ? storeError.locked(`${key}@${version}`, name) : error;
        }
      }),
    extendLock: (stored) =>
      guarded("lock", `${stored.key}@${stored.version}`, async () => {
        const until = await lock.until(stored.key);
        // Only when half of it has passed: a request for every object every night would buy nothing.
        if (!until || !lock.isShort(stored.lockedUntil)) return;
        await setLock({ client, bucket, key: root + stored.key, attempt }, {
          version: stored.version,
          until,
        });
      }),
    async clock() {
      if (!clock.estimate()) {
        const one = new ListObjectVersionsCommand({ Bucket: bucket, Prefix: root, MaxKeys: 1 });
        await guarded("list", "", () => attempt(() => client.send(one)));
      }
      return clock.estimate();
    },
    describe: () => name,
  };
}

/** The store's clock from the `Date` of its last answer. */
function watchClock(client: S3Client): { estimate(): Date | null } {
  let ahead: number | null = null;
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const { response } = result;
      if (typeof response === "object" && response !== null && "headers" in response) {
        const { headers } = response as { headers?: Record<string, string> };
        const date = Date.parse(headers?.date ?? "");
        if (!Number.isNaN(date)) ahead = date - Date.now();
      }
      return result;
    },
    { step: "deserialize", priority: "low", name: "bulkheadClock" },
  );
  return { estimate: () => (ahead === null ? null : new Date(Date.now() + ahead)) };
}
