import { createServer, type IncomingMessage } from "node:http";

/** A request that the receiver got. */
export type ReceivedRequest = {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string;
  at: Date;
};

/** What to answer: status 200 and `ok`, as Slack does, unless told otherwise. */
export type Answer = {
  status?: number;
  headers?: Record<string, string>;
  body?: string;
  /** Wait before answering, to provoke timeouts. */
  delayMs?: number;
  /** Close the connection instead of answering. */
  hangUp?: boolean;
};

/** A local HTTP receiver that records what it gets. */
export type Webhook = AsyncDisposable & {
  url: string;
  requests: ReceivedRequest[];
  /** Answers for the next requests in order; the last one stays. A function decides for each request. */
  answer(...answers: (Answer | ((request: ReceivedRequest) => Answer))[]): void;
  /** Wait until `count` requests have arrived. */
  received(count: number, timeoutMs?: number): Promise<ReceivedRequest[]>;
  stop(): Promise<void>;
};

/**
 * Start a receiver on a free loopback port, in the place of Slack or a function.
 *
 * @example
 * await using webhook = await startWebhook();
 * webhook.answer({ status: 429, headers: { "retry-after": "1" } }, { status: 200 });
 */
export async function startWebhook(options: { path?: string } = {}): Promise<Webhook> {
  const requests: ReceivedRequest[] = [];
  const waiting = new Set<() => void>();
  let answers: (Answer | ((request: ReceivedRequest) => Answer))[] = [];
  const server = createServer(async (message, response) => {
    const request = { ...describe(message), body: await text(message) };
    requests.push(request);
    for (const wake of waiting) wake();
    const next = answers.length > 1 ? answers.shift() : answers[0];
    const answer = typeof next === "function" ? next(request) : next ?? {};
    if (answer.delayMs) await new Promise((resolve) => setTimeout(resolve, answer.delayMs).unref());
    if (answer.hangUp) return void message.socket.destroy();
    response.writeHead(answer.status ?? 200, { "content-type": "text/plain", ...answer.headers });
    response.end(answer.body ?? "ok");
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return {
    url: `http://127.0.0.1:${port}${options.path ?? "/services/T000/B000/token"}`,
    requests,
    answer: (...next) => answers = next,
    received: (count, timeoutMs = 10_000) =>
      new Promise((resolve, reject) => {
        const check = () => {
          if (requests.length < count) return;
          clearTimeout(timer);
          waiting.delete(check);
          resolve(requests);
        };
        const timer = setTimeout(() => {
          waiting.delete(check);
          reject(
            new Error(
              `Cannot wait for ${count} requests: ${requests.length} after ${timeoutMs} ms`,
            ),
          );
        }, timeoutMs);
        waiting.add(check);
        check();
      }),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function describe(message: IncomingMessage): Omit<ReceivedRequest, "body"> {
  const headers = Object.entries(message.headers).map(([name, value]) => [name, String(value)]);
  return {
    method: message.method ?? "",
    path: message.url ?? "",
    headers: Object.fromEntries(headers),
    at: new Date(),
  };
}

async function text(message: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of message) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
