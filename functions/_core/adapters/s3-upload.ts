import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  PutObjectRetentionCommand,
  type S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { createHash } from "node:crypto";
import * as z from "zod";
import { ByteReader } from "../backup/byte-reader.ts";
import type { PutOptions } from "../backup/object-store.ts";
import { utf8 } from "../bytes.ts";
import { readFailure } from "./s3-errors.ts";

/** Both the size from which an upload has parts and the size of each (R2 wants equal parts). */
export const PART_BYTES = 8 << 20;

export interface Upload {
  readonly version: string | undefined;
  readonly etag: string | undefined;
  readonly size: number;
  readonly sha256: string;
}

export interface UploadTarget {
  readonly client: S3Client;
  readonly bucket: string;
  readonly key: string;
  readonly options: PutOptions;
  /** Runs one request with the store's retries; tells which attempt it is. */
  readonly attempt: <T>(work: (attempt: number) => Promise<T>) => Promise<T>;
}

/** Object Lock needs Content-MD5, and WebCrypto has no MD5. Sent with every body: it costs little. */
const md5 = (bytes: Uint8Array) => createHash("md5").update(bytes).digest("base64");

function common({ bucket, key, options }: UploadTarget) {
  return {
    Bucket: bucket,
    Key: key,
    ContentType: options.contentType ?? "application/octet-stream",
    ...(options.retainUntil
      ? { ObjectLockMode: "GOVERNANCE" as const, ObjectLockRetainUntilDate: options.retainUntil }
      : {}),
  };
}

/** Up to 8 MiB in one request, anything longer in parts of 8 MiB: memory holds one part. */
export async function upload(
  target: UploadTarget,
  body: ReadableStream<Uint8Array> | Uint8Array,
): Promise<Upload> {
  if (body instanceof Uint8Array) return await uploadWhole(target, body);
  const reader = new ByteReader(body);
  try {
    const first = await reader.read(PART_BYTES);
    if (await reader.isAtEnd()) return await uploadWhole(target, first);
    return await uploadParts(target, first, reader);
  } catch (error) {
    await reader.cancel(error).catch(() => {});
    throw error;
  }
}

async function uploadWhole(target: UploadTarget, bytes: Uint8Array): Promise<Upload> {
  const input: PutObjectCommandInput = {
    ...common(target),
    Body: bytes,
    ContentLength: bytes.length,
    ContentMD5: md5(bytes),
  };
  const put = (more: Partial<PutObjectCommandInput>) =>
    target.attempt(async (attempt) => {
      try {
        return await target.client.send(new PutObjectCommand({ ...input, ...more }));
      } catch (error) {
        // The answer to the attempt before may have been lost, not the attempt.
        const own = attempt > 1 && readFailure(error).status === 412 &&
          await findOwn(target, bytes);
        if (own) return own;
        throw error;
      }
    });
  const answer = target.options.ifAbsent
    // A store without conditional writes says so; the caller has looked before, which is all it gets.
    ? await put({ IfNoneMatch: "*" }).catch((error) => {
      if (readFailure(error).status === 501) return put({});
      throw error;
    })
    : await put({});
  return {
    version: answer.VersionId,
    etag: answer.ETag,
    size: bytes.length,
    sha256: createHash("sha256").update(bytes).digest("hex"),
  };
}

/** The newest version, if it holds exactly these bytes. */
async function findOwn({ client, bucket, key }: UploadTarget, bytes: Uint8Array) {
  const { VersionId, ETag } = await client.send(
    new HeadObjectCommand({ Bucket: bucket, Key: key }),
  );
  const digest = createHash("md5").update(bytes).digest("hex");
  return ETag?.replaceAll('"', "") === digest ? { VersionId, ETag } : null;
}

async function uploadParts(
  target: UploadTarget,
  first: Uint8Array,
  reader: ByteReader,
): Promise<Upload> {
  const { client, bucket, key, attempt } = target;
  const { UploadId } = await attempt(() =>
    client.send(new CreateMultipartUploadCommand(common(target)))
  );
  const at = { Bucket: bucket, Key: key, UploadId };
  try {
    const parts: { PartNumber: number; ETag: string | undefined }[] = [];
    const hash = createHash("sha256");
    let size = 0;
    for (let part = first; part.length > 0; part = await reader.read(PART_BYTES)) {
      const PartNumber = parts.length + 1;
      const { ETag } = await attempt(() =>
        client.send(
          new UploadPartCommand({
            ...at,
            PartNumber,
            Body: part,
            ContentLength: part.length,
            ContentMD5: md5(part),
          }),
        )
      );
      parts.push({ PartNumber, ETag });
      hash.update(part);
      size += part.length;
    }
    const done = await attempt(() =>
      client.send(
        new CompleteMultipartUploadCommand({ ...at, MultipartUpload: { Parts: parts } }),
      )
    );
    if (target.options.retainUntil) {
      await ensureLock(target, { version: done.VersionId, until: target.options.retainUntil });
    }
    return { version: done.VersionId, etag: done.ETag, size, sha256: hash.digest("hex") };
  } catch (error) {
    // Unfinished uploads cost money and are invisible to listings.
    await attempt(() => client.send(new AbortMultipartUploadCommand(at))).catch(() => {});
    throw error;
  }
}

/** What the SDK hands to its middleware; the object itself is passed on, only its headers are written. */
const httpRequest = z.custom<{ body: string | Uint8Array; headers: Record<string, string> }>((it) =>
  typeof it === "object" && it !== null && "body" in it && "headers" in it &&
  (typeof it.body === "string" || it.body instanceof Uint8Array)
);

/** radosgw 16 forgets the lock of an upload in parts: look, and set it where it is missing. */
async function ensureLock(
  target: UploadTarget,
  lock: { version: string | undefined; until: Date },
): Promise<void> {
  const { client, bucket, key, attempt } = target;
  const head = await attempt(() =>
    client.send(new HeadObjectCommand({ Bucket: bucket, Key: key, VersionId: lock.version }))
  );
  if (!head.ObjectLockRetainUntilDate) await setLock(target, lock);
}

/** Lock a version that is there already, or lock it for longer. */
export async function setLock(
  { client, bucket, key, attempt }: Omit<UploadTarget, "options">,
  lock: { version: string | undefined; until: Date },
): Promise<void> {
  const command = new PutObjectRetentionCommand({
    Bucket: bucket,
    Key: key,
    VersionId: lock.version,
    Retention: { Mode: "GOVERNANCE", RetainUntilDate: lock.until },
  });
  // The body is only known once it is serialised, and needs its MD5 like every locked write.
  command.middlewareStack.add((next) => async (args) => {
    const request = httpRequest.safeParse(args.request);
    if (request.success) {
      const { body, headers } = request.data;
      headers["content-md5"] = md5(typeof body === "string" ? utf8(body) : body);
    }
    return await next(args);
  }, { step: "build", name: "bulkheadMd5" });
  await attempt(() => client.send(command));
}
