import { sign, SIGNATURE_HEADER } from "../signature.ts";
import { type Channel, meaning, post, type PostOptions } from "./channel.ts";
import type { Alert } from "./payload.ts";

/**
 * Any receiver of JSON as a channel. The body is docs/alerting.md's, signed like the database's own calls:
 * `t=<unix seconds>,v1=<hex hmac-sha256("<t>.<body>")>`.
 *
 * @example
 * const channel = webhookChannel("webhook", url, { secret, project, fetch, now: () => new Date() });
 */
export function webhookChannel(
  name: string,
  url: string,
  options: PostOptions & { secret: string; project: string; now: () => Date },
): Channel {
  return {
    name,
    async send(alert) {
      const body = JSON.stringify(webhookBody(alert, options.project));
      const headers = {
        "content-type": "application/json",
        "user-agent": "bulkhead",
        [SIGNATURE_HEADER]: await sign(options.secret, body, options.now()),
      };
      const answer = await post(url, body, headers, options);
      return "outcome" in answer ? answer : meaning(answer);
    },
  };
}

/**
 * The document that a receiver gets. `id` is the same for a message that is delivered twice.
 *
 * @example
 * webhookBody(alert, "abcd.supabase.co").incident?.fingerprint;
 */
export function webhookBody(alert: Alert, project: string) {
  const { kind, severity, sequence, id } = alert;
  const common = { version: 1, id: id ?? null, kind, severity, sequence, project };
  return alert.kind === "notice"
    ? { ...common, notice: alert.payload }
    : { ...common, incident: alert.payload };
}
