import { type Channel, meaning, post, type PostOptions, type Sending } from "./channel.ts";
import type { Alert } from "./payload.ts";
import { renderAlert, type RenderOptions, renderPlain, type SlackMessage } from "./render.ts";

/** `malformed`: Slack refused the blocks, plain text may still pass. */
export type PostOutcome = Sending | { outcome: "malformed"; error: string };

/**
 * Post one message to an incoming webhook and say what its answer means. Never throws and never repeats the URL, which
 * is a secret.
 *
 * @example
 * const { outcome } = await postToSlack(env.SLACK_WEBHOOK_URL, message, { fetch });
 */
export async function postToSlack(
  url: string,
  message: SlackMessage,
  options: PostOptions,
): Promise<PostOutcome> {
  const headers = { "content-type": "application/json; charset=utf-8" };
  const answer = await post(url, JSON.stringify(message), headers, options);
  if ("outcome" in answer) return answer;
  const what = meaning(answer);
  return answer.status === 400 && what.outcome === "dead"
    ? { outcome: "malformed", error: what.error }
    : what;
}

/**
 * An incoming webhook as a channel: blocks first, one plain text when Slack refuses them.
 *
 * @example
 * const channel = slackChannel("slack", env.SLACK_WEBHOOK_URL, { fetch, project });
 */
export function slackChannel(
  name: string,
  url: string,
  options: PostOptions & RenderOptions,
): Channel {
  return {
    name,
    async send(alert: Alert): Promise<Sending> {
      const first = await postToSlack(url, renderAlert(alert, options), options);
      if (first.outcome !== "malformed") return first;
      const second = await postToSlack(url, renderPlain(alert, options), options);
      return second.outcome === "malformed" ? { outcome: "dead", error: second.error } : second;
    },
  };
}
