import { BulkheadError } from "../errors.ts";

/** What a ping needs from outside. */
export type PingOptions = {
  /** BULKHEAD_PING_URL; without one there is nobody to tell. */
  url: string | undefined;
  fetch: typeof fetch;
  sleep: (ms: number) => Promise<void>;
  timeoutMs?: number;
};

/**
 * Tell somebody else's clock that the watch is well; it raises the alarm when this stops. Three tries, since a lost
 * ping is a false alarm.
 *
 * @example
 * await ping({ url: env.BULKHEAD_PING_URL, fetch, sleep });
 * @throws BulkheadError `BH_PING` when nobody took it.
 */
export async function ping(options: PingOptions): Promise<{ pinged: boolean }> {
  if (options.url === undefined) return { pinged: false };
  let state = "";
  for (const pause of [0, 1000, 5000]) {
    if (pause > 0) await options.sleep(pause);
    try {
      const response = await options.fetch(options.url, {
        redirect: "manual",
        signal: AbortSignal.timeout(options.timeoutMs ?? 10_000),
      });
      await response.body?.cancel();
      if (response.ok) return { pinged: true };
      state = `HTTP ${response.status}`;
    } catch {
      state = "no answer";
    }
  }
  throw new BulkheadError("BH_PING", `Cannot ping BULKHEAD_PING_URL: ${state}`, {
    kind: "unavailable",
    hint: "check the address at the service that waits for it",
  });
}
