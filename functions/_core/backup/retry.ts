/** What {@link withRetry} needs to know of a failure. */
export interface RetryVerdict {
  readonly isRetryable: boolean;
  /** Milliseconds that the other side asked for. */
  readonly retryAfter?: number;
}

export interface RetryOptions {
  readonly judge: (error: unknown) => RetryVerdict;
  /** Tries in all. */
  readonly attempts?: number;
  readonly sleep?: (milliseconds: number) => Promise<void>;
  readonly random?: () => number;
}

const BASE = 250;
const CAP = 30_000;

/**
 * Try again after a failure that may pass: exponential backoff with full jitter, never sooner than the
 * other side asked for. The last error is thrown as it is.
 *
 * @example
 * await withRetry(() => client.send(command), { judge: judgeS3Error });
 */
export async function withRetry<T>(
  work: (attempt: number) => Promise<T>,
  options: RetryOptions,
): Promise<T> {
  const { attempts = 6, random = Math.random } = options;
  const sleep = options.sleep ?? ((ms) => new Promise<void>((done) => setTimeout(done, ms)));
  for (let attempt = 1;; attempt++) {
    try {
      return await work(attempt);
    } catch (error) {
      const { isRetryable, retryAfter = 0 } = options.judge(error);
      if (!isRetryable || attempt >= attempts) throw error;
      const backoff = random() * Math.min(CAP, BASE * 2 ** attempt);
      await sleep(Math.max(backoff, Math.min(retryAfter, CAP)));
    }
  }
}
