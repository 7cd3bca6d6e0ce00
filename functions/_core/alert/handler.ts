import { signedCall, type SignedCallDeps } from "../signed-call.ts";
import { deliverAlerts, type DeliverOptions } from "./deliver.ts";
import { ping, type PingOptions } from "./ping.ts";

/** What the handler needs from outside. */
export type AlertDeps =
  & DeliverOptions
  & Omit<SignedCallDeps, "accept" | "work">
  & { pingUrl: string | undefined; fetch: PingOptions["fetch"] };

/**
 * The function `alert`: a signed POST makes it deliver what is due, or tell somebody else's clock that the watch is well.
 * 202 when it works on, 200 with the result when it waited.
 *
 * @example
 * export default { fetch: alertHandler(() => ({ outbox, hmacSecret, routes, pingUrl, fetch, … })) };
 */
export const alertHandler = (prepare: () => AlertDeps) =>
  signedCall(
    ["deliver", "heartbeat"],
    { away: "the database does not answer", failed: "the alerts could not be delivered" },
    () => {
      const deps = prepare();
      return {
        ...deps,
        accept: (signature) => deps.outbox.accept(signature),
        // A failure under way loses nothing: the lease ends and the message is due again.
        work: (action) =>
          action === "heartbeat"
            ? ping({ url: deps.pingUrl, fetch: deps.fetch, sleep: deps.sleep })
            : deliverAlerts(deps),
      };
    },
  );
