import type { SlackMessage } from "./render.ts";

/** What became of one post. `malformed`: Slack refused the blocks, plain text may still pass. */
export type PostOutcome =
  | { outcome: "sent" }
  | { outcome: "malformed"; error: string }
  | { outcome: "dead"; error: string }
  | { outcome: "retry"; error: string; retryAfterSeconds?: number };

/** For whom time and the network are given from outside. */
export type PostOptions = { fetch: typeof fetch; timeoutMs?: number };

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
  let response: Response;
  let answer: string;
  try {
    response = await options.fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json; charset=utf-8" },
      body: JSON.stringify(message),
      redirect: "manual",
      signal: AbortSignal.timeout(options.timeoutMs ?? 10_000),
    });
    answer = (await response.text()).slice(0, 100);
  } catch (error) {
    const isTimeout = error instanceof Error && error.name === "TimeoutError";
    return {
      outcome: "retry",
      error: isTimeout ? "no answer in time" : "the webhook is unreachable",
    };
  }
  if (response.ok) return { outcome: "sent" };
  const error = `HTTP ${response.status}${/^[a-z_]+$/.test(answer) ? ` ${answer}` : ""}`;
  if (response.status === 400) return { outcome: "malformed", error };
  if (response.status === 429) {
    return { outcome: "retry", error, retryAfterSeconds: retryAfter(response.headers) };
  }
  if (response.status === 408 || response.status >= 500) return { outcome: "retry", error };
  return { outcome: "dead", error };
}

/** Slack sends seconds; anything else, and anything absurd, is a minute. */
function retryAfter(headers: Headers): number {
  const seconds = Number(headers.get("retry-after") ?? "");
  return Number.isFinite(seconds) && seconds > 0 && seconds <= 3600 ? Math.ceil(seconds) : 60;
}
