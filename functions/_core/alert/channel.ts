import type { Alert } from "./payload.ts";

/** What became of one post; `dead`: trying again changes nothing. */
export type Sending =
  | { outcome: "sent" }
  | { outcome: "dead"; error: string }
  | { outcome: "retry"; error: string; retryAfterSeconds?: number };

/** A place that messages go to. `send` never throws and never repeats the address, which is a secret. */
export type Channel = {
  /** Stable, no secret: what `bulkhead.alert_channels` and a message's `delivered_to` hold. */
  readonly name: string;
  send(alert: Alert): Promise<Sending>;
};

/** For whom time and the network are given from outside. */
export type PostOptions = { fetch: typeof fetch; timeoutMs?: number };

/** An answer to a post: its status, headers and first words. */
export type Answer = { status: number; headers: Headers; text: string };

/**
 * Post a body and read the beginning of the answer; a failure to do so is a reason to try again.
 *
 * @example
 * const answer = await post(url, body, { "content-type": "application/json" }, { fetch });
 */
export async function post(
  url: string,
  body: string,
  headers: Record<string, string>,
  options: PostOptions,
): Promise<Answer | Sending & { outcome: "retry" }> {
  try {
    const response = await options.fetch(url, {
      method: "POST",
      headers,
      body,
      // A webhook that moved is one that was taken away: nothing follows it to another host.
      redirect: "manual",
      signal: AbortSignal.timeout(options.timeoutMs ?? 10_000),
    });
    return { status: response.status, headers: response.headers, text: await beginning(response) };
  } catch (error) {
    const isTimeout = error instanceof Error && error.name === "TimeoutError";
    return {
      outcome: "retry",
      error: isTimeout ? "no answer in time" : "the webhook is unreachable",
    };
  }
}

/**
 * What a status means: 2xx sent, 408, 425, 429 and 5xx again later, anything else never.
 *
 * @example
 * meaning({ status: 429, headers: new Headers({ "retry-after": "30" }), text: "" });
 */
export function meaning({ status, headers, text }: Answer): Sending {
  if (status >= 200 && status < 300) return { outcome: "sent" };
  const error = `HTTP ${status}${/^[a-z_]{1,60}$/.test(text) ? ` ${text}` : ""}`;
  if (status === 429 || status === 503 && headers.has("retry-after")) {
    return { outcome: "retry", error, retryAfterSeconds: retryAfter(headers) };
  }
  if (status === 408 || status === 425 || status >= 500) return { outcome: "retry", error };
  return { outcome: "dead", error };
}

/** An answer may be without end: only its beginning is read. */
async function beginning(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length >= 100) break;
  }
  return text.slice(0, 100);
}

/** Slack sends seconds; anything else, and anything absurd, is a minute. */
function retryAfter(headers: Headers): number {
  const seconds = Number(headers.get("retry-after") ?? "");
  return Number.isFinite(seconds) && seconds > 0 && seconds <= 3600 ? Math.ceil(seconds) : 60;
}
