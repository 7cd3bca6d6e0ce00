import { signedCall, type SignedCallDeps } from "../signed-call.ts";
import { deliverAlerts, type DeliverOptions } from "./deliver.ts";
import { postToSlack } from "./slack.ts";

/** What the handler needs from outside. */
export type AlertDeps = Omit<DeliverOptions, "post"> & Omit<SignedCallDeps, "accept" | "work"> & {
  webhookUrl: string;
  fetch: typeof fetch;
};

/**
 * The function `alert`: a signed POST makes it deliver what is due. 202 when it works on, 200 with counts when it waited.
 *
 * @example
 * export default { fetch: alertHandler(() => ({ outbox, hmacSecret, webhookUrl, fetch, … })) };
 */
export const alertHandler = (prepare: () => AlertDeps) =>
  signedCall(
    "deliver",
    { away: "the database does not answer", failed: "the alerts could not be delivered" },
    () => {
      const deps = prepare();
      return {
        ...deps,
        accept: (signature) => deps.outbox.accept(signature),
        // A failure under way loses nothing: the lease ends and the message is due again.
        work: () =>
          deliverAlerts({
            ...deps,
            post: (message) => postToSlack(deps.webhookUrl, message, { fetch: deps.fetch }),
          }),
      };
    },
  );
