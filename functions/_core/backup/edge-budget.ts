/** Bytes that a worker has taken since it started: its processor time is counted over its life, not by call. */
export type WorkerLife = { spent: number };

/** Calls' worth of bytes in a worker's life: two take about half of its 2 s, start and manifests included. */
const LIFE_CALLS = 2;
/** Requests, keys and hashes of an object cost about as much as this part of a call's bytes. */
const OBJECT_SHARE = 1 / 256;
/** Nothing is begun after so long: a worker is ended after 150 s, and laying out a tenant may take 100 of them. */
const CALL_MS = 40_000;

/** What one call may still take. */
export type CallBudget = {
  /** The call has not begun anything yet; what it begins first is always allowed, or nothing would ever be done. */
  readonly isFresh: boolean;
  /** The worker has done its share: leave the rest to another one. */
  readonly isSpent: boolean;
  allows(bytes: number): boolean;
  spend(bytes: number): void;
};

/**
 * @example
 * const budget = openBudget({ bytes: await ledger.callBytes(), worker, now });
 * if (budget.allows(part.bytes)) budget.spend(part.bytes);
 */
export function openBudget(
  of: { bytes: number; worker: WorkerLife; now: () => Date },
): CallBudget {
  const { bytes: callBytes, worker, now } = of;
  const begun = now().getTime();
  let left = callBytes;
  let isFresh = true;
  return {
    get isFresh() {
      return isFresh;
    },
    get isSpent() {
      return worker.spent >= callBytes * LIFE_CALLS;
    },
    allows: (bytes) => isFresh || (bytes <= left && now().getTime() - begun < CALL_MS),
    spend(bytes) {
      const cost = bytes + callBytes * OBJECT_SHARE;
      isFresh = false;
      left -= cost;
      worker.spent += cost;
    },
  };
}
