import postgres from "postgres";

/** The half of pg_net that opens sockets. */
export type HttpSender = AsyncDisposable & {
  /** Send everything that is committed in the queue now; returns how many requests were sent. */
  drain(): Promise<number>;
  stop(): Promise<void>;
};

type Request = {
  id: string;
  method: string;
  url: string;
  headers: Record<string, string> | null;
  body: Uint8Array | null;
  timeout_milliseconds: number;
};

type Response = {
  id: string;
  status_code: number | null;
  content_type: string | null;
  headers: Record<string, string> | null;
  content: string | null;
  timed_out: boolean;
  error_msg: string | null;
};

/** pg_net.batch_size. */
const BATCH = 200;

/**
 * Send what net.http_post() queued, as pg_net's worker does: only after the commit, up to 200 requests at once, all the
 * responses of a batch visible together when the slowest has ended, no retries. `poll` is the pause between looks at the
 * queue in ms (default 100); 0 leaves it to `drain`.
 *
 * @example
 * const sender = startHttpSender(db.url, { poll: 0 });
 * await sender.drain();
 */
export function startHttpSender(url: string, options: { poll?: number } = {}): HttpSender {
  const { poll = 100 } = options;
  // bulkhead-ignore raw-pool: stands for pg_net, which reads its own queue
  const sql = postgres(url, { max: 1, onnotice: () => {}, prepare: false });
  let stopped = false;
  let working: Promise<number> = Promise.resolve(0);
  let timer: NodeJS.Timeout | undefined;

  const drain = () => {
    working = working.catch(() => 0).then(async () => {
      let sent = 0;
      for (let batch = await sendBatch(sql); batch > 0; batch = await sendBatch(sql)) sent += batch;
      return sent;
    });
    return working;
  };
  const look = () => {
    if (stopped) return;
    // an error rolls the batch back and the next look sends it again: at least once, as with the real worker
    drain().catch(() => 0).finally(() => {
      if (!stopped) timer = setTimeout(look, poll).unref();
    });
  };
  if (poll > 0) look();

  const stop = async () => {
    stopped = true;
    clearTimeout(timer);
    await working.catch(() => 0);
    await sql.end({ timeout: 5 });
  };
  return { drain, stop, [Symbol.asyncDispose]: stop };
}

async function sendBatch(sql: postgres.Sql): Promise<number> {
  let size = 0;
  await sql.begin(async (tx) => {
    const requests = await tx<Request[]>`
      with batch as (select id from net.http_request_queue order by id limit ${BATCH} for update skip locked)
      delete from net.http_request_queue as queue
      using batch
      where queue.id = batch.id
      returning queue.id, queue.method, queue.url, queue.headers, queue.body, queue.timeout_milliseconds
    `;
    size = requests.length;
    const responses = await Promise.all(requests.map(send));
    for (const { headers, ...response } of responses) {
      await tx`
        insert into net._http_response ${tx({ ...response, headers: headers && tx.json(headers) })}
      `;
    }
  });
  return size;
}

async function send(request: Request): Promise<Response> {
  const blank = { status_code: null, content_type: null, headers: null, content: null };
  try {
    const response = await fetch(request.url, {
      method: request.method,
      headers: { "user-agent": "pg_net/0.20.0", ...request.headers },
      ...(request.body && request.body.length > 0 && { body: new Uint8Array(request.body) }),
      signal: AbortSignal.timeout(request.timeout_milliseconds),
    });
    return {
      id: request.id,
      status_code: response.status,
      content_type: response.headers.get("content-type"),
      headers: Object.fromEntries(response.headers),
      content: await response.text(),
      timed_out: false,
      error_msg: null,
    };
  } catch (error) {
    const timedOut = error instanceof Error && error.name === "TimeoutError";
    return {
      id: request.id,
      ...blank,
      timed_out: timedOut,
      error_msg: timedOut ? `Timeout of ${request.timeout_milliseconds} ms reached` : reason(error),
    };
  }
}

/** curl's words for the two common failures, which people search for. */
function reason(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (code === "ECONNREFUSED") return "Couldn't connect to server";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "Couldn't resolve host name";
  return cause instanceof Error ? cause.message : String(error);
}
