import { GetObjectLockConfigurationCommand, type S3Client } from "@aws-sdk/client-s3";
import { PREFIX } from "../backup/names.ts";
import { storeError } from "../backup/store-errors.ts";
import { readFailure } from "./s3-errors.ts";

/** As long as the daily backups of the default retention stay. */
const DEFAULT_DAYS = 30;
const DAY = 86_400_000;

/** Which objects a bucket locks, and until when. */
export interface LockPolicy {
  /** Undefined where the object stays unlocked. */
  until(key: string): Promise<Date | undefined>;
  /** True for a lock that ends before half of a new one would. */
  isShort(lockedUntil: Date | undefined): boolean;
}

/**
 * Lock objects and manifests, never the keyring: a key in a locked version could not be shredded. Whether the bucket
 * has Object Lock is asked once. Who may not ask learns of it: not to lock by mistake must not look like a choice.
 *
 * @example
 * const lock = lockOf({ client, bucket, store, attempt, days: undefined });
 * const retainUntil = await lock.until("objects/acme/1.bhb");
 */
export function lockOf(of: {
  readonly client: S3Client;
  readonly bucket: string;
  readonly store: string;
  readonly days: number | undefined;
  readonly attempt: <T>(work: () => Promise<T>) => Promise<T>;
}): LockPolicy {
  let asking: Promise<number> | undefined;
  const days = () => {
    if (of.days !== undefined) return Promise.resolve(of.days);
    asking ??= ask(of).catch((error) => {
      asking = undefined;
      throw error;
    });
    return asking;
  };
  return {
    async until(key) {
      if (!key.startsWith(PREFIX.objects) && !key.startsWith(PREFIX.manifests)) return undefined;
      const count = await days();
      return count > 0 ? new Date(Date.now() + count * DAY) : undefined;
    },
    isShort: (lockedUntil) =>
      (lockedUntil?.getTime() ?? 0) < Date.now() + (of.days ?? DEFAULT_DAYS) * DAY / 2,
  };
}

async function ask(
  { client, bucket, store, attempt }: Parameters<typeof lockOf>[0],
): Promise<number> {
  try {
    const answer = await attempt(() =>
      client.send(new GetObjectLockConfigurationCommand({ Bucket: bucket }))
    );
    return answer.ObjectLockConfiguration?.ObjectLockEnabled === "Enabled" ? DEFAULT_DAYS : 0;
  } catch (error) {
    const { status, name } = readFailure(error);
    // 501: a store that knows no Object Lock at all.
    if (name === "ObjectLockConfigurationNotFoundError" || status === 501) return 0;
    if (status !== 403) throw error;
    throw storeError.refused("read", "the lock configuration", store, `${name}, HTTP 403`, {
      hint: "Let the writer's key read it (s3:GetBucketObjectLockConfiguration; B2: " +
        "readBucketRetentions), or set BULKHEAD_S3_LOCK_DAYS (0: never lock)",
    });
  }
}
