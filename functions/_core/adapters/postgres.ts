import type { Readable, Writable } from "node:stream";
import postgres from "postgres";
import { BulkheadError } from "../errors.ts";

/** A pool of connections, or (inside `sql.begin`) one transaction. */
export type Sql = postgres.Sql;
/** One transaction. */
export type TransactionSql = postgres.TransactionSql;

/** How to connect. */
export type ConnectOptions = {
  /** Connections of the pool; default 4. */
  max?: number;
  /** What `pg_stat_activity` shows; default `bulkhead`. */
  applicationName?: string;
  /** Refuse every write of this pool. */
  readOnly?: boolean;
  /** False: arrays come as text, and a connection begins without a look at the types; ask for JSON instead. */
  arrays?: boolean;
};

/** Codes of postgres.js, of the system and of the server that mean "not there, or not for you". */
const UNREACHABLE = new Set([
  ...["CONNECT_TIMEOUT", "CONNECTION_CLOSED", "CONNECTION_DESTROYED", "CONNECTION_ENDED"],
  ...["ECONNREFUSED", "ECONNRESET", "EPIPE", "ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT", "EHOSTUNREACH"],
  ...["ENETUNREACH", "28000", "28P01", "3D000", "53300", "57P01", "57P02", "57P03"],
]);

/**
 * Open a pool; nothing is sent before the first query. A database that is unreachable or refuses the login
 * rejects that query with `BH_DATABASE_UNAVAILABLE`; the password is in no message.
 *
 * @example
 * const sql = connect(env.DATABASE_URL, { max: 1, applicationName: "bulkhead status" });
 * @throws BulkheadError `BH_DATABASE_URL` when the connection string can't be read.
 */
export function connect(url: string, options: ConnectOptions = {}): Sql {
  let sql: Sql;
  try {
    // bulkhead-ignore raw-pool: the kit's own commands work for the platform; no customer's request gets here
    sql = postgres(url, {
      max: options.max ?? 4,
      connect_timeout: 10,
      // A recycled connection would lose its snapshot or its advisory lock.
      max_lifetime: null,
      onnotice: () => {},
      fetch_types: options.arrays ?? true,
      // A transaction pooler hands out another server for each statement, so prepared ones vanish.
      prepare: new URL(url).port !== "6543",
      connection: {
        application_name: options.applicationName ?? "bulkhead",
        ...(options.readOnly ? { default_transaction_read_only: true } : {}),
      },
    });
  } catch {
    // The cause is left out on purpose: the message of a URL parser repeats the whole string.
    throw new BulkheadError(
      "BH_DATABASE_URL",
      "Cannot read the connection string: it is malformed",
      {
        kind: "usage",
        hint:
          "Write it as postgresql://user:password@host:5432/database, special characters as %XX",
      },
    );
  }
  return withMappedErrors(sql, placeOf(url));
}

/** Turn an unreachable database's error into a {@link BulkheadError}; anything else comes back as it is. */
export function databaseError(error: unknown, place: string): unknown {
  const errors = error instanceof AggregateError ? error.errors : [error];
  const code = errors.map(codeOf).find((each) => UNREACHABLE.has(each));
  if (code === undefined || error instanceof BulkheadError) return error;
  const state = code.startsWith("28")
    ? "it refuses the login"
    : code === "3D000"
    ? "no such database"
    : "no answer";
  return new BulkheadError(
    "BH_DATABASE_UNAVAILABLE",
    `Cannot reach the database "${place}": ${state} (${code})`,
    {
      kind: "unavailable",
      hint:
        "Check host, port, database, user and password of the connection string, and that the server runs",
      cause: error,
    },
  );
}

/** Where a connection string points, without user and password: `host:port/database`. */
export function placeOf(url: string): string {
  const { hostname, port, pathname } = new URL(url);
  return `${hostname}:${port === "" ? "5432" : port}${pathname}`;
}

function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
}

type Rejecting = Promise<unknown> & { reject: (error: unknown) => void };

/** postgres.js has no error hook: its lazy queries carry `reject` as a property, so that is where to step in. */
function withMappedErrors(sql: Sql, place: string): Sql {
  const mapped = (result: unknown): unknown => {
    if (!(result instanceof Promise)) return result;
    if (!("reject" in result)) {
      return result.catch((error) => Promise.reject(databaseError(error, place)));
    }
    const query = result as Rejecting;
    const reject = query.reject;
    query.reject = (error) => reject(databaseError(error, place));
    return query;
  };
  const methods = new Set<string | symbol>(["begin", "reserve", "unsafe", "listen", "file"]);
  return new Proxy(sql, {
    apply: (target, self, args) => mapped(Reflect.apply(target, self, args)),
    get: (target, key, receiver) => {
      const value = Reflect.get(target, key, receiver);
      if (!methods.has(key) || typeof value !== "function") return value;
      return (...args: unknown[]) => mapped(Reflect.apply(value, target, args));
    },
  });
}

/** Limits of one COPY. */
export type CopyOptions = {
  /** Give up when nothing moves for so long; default 120,000. */
  inactivityMs?: number;
};

/** At least; one read of a socket is up to 64 KiB, and is passed on as it is. */
const CHUNK = 32 * 1024;

/** Bytes that are not shared memory, in the types of Deno 2.1.4 and of TypeScript 5.9 alike. */
type Bytes = ReturnType<TextEncoder["encode"]>;

/**
 * The bytes of `copy … to stdout` as a web stream of chunks of 32 to 64 KiB, with backpressure to the server.
 * A reader that cancels half-way leaves the connection unusable: end its pool with `end({ timeout: 0 })`.
 *
 * @example
 * await sql.begin(async (tx) => (await copyOut(tx, "copy t (id, name) to stdout")).pipeTo(destination));
 */
export async function copyOut(
  sql: Sql | TransactionSql,
  statement: string,
  options: CopyOptions = {},
): Promise<ReadableStream<Bytes>> {
  const query = sql.unsafe(statement);
  listenEarly(query);
  const readable: Readable = await query.readable();
  const source = readable[Symbol.asyncIterator]();
  return new ReadableStream<Bytes>({
    async pull(controller) {
      const parts: Uint8Array[] = [];
      let size = 0;
      let done = false;
      while (size < CHUNK && !done) {
        const next = await inTime(source.next(), options).catch((error) => {
          resumeSocket(readable);
          throw error;
        });
        done = next.done === true;
        if (done) resumeSocket(readable);
        if (!done) size += parts[parts.push(next.value) - 1]?.length ?? 0;
      }
      if (size > 0) controller.enqueue(concat(parts, size));
      if (done) controller.close();
    },
    cancel: () => void readable.destroy(),
  }, { highWaterMark: 1 });
}

/**
 * An error that comes with the first bytes is emitted before `await` hands the stream over, and an 'error' without a
 * listener ends the process. The reader and `failure` report it; this only listens.
 */
function listenEarly(query: unknown): void {
  const resolving = query as { resolve: (value: unknown) => void };
  const resolve = resolving.resolve;
  resolving.resolve = (value) => {
    if (typeof value === "object" && value !== null && "on" in value) {
      (value as Readable).on("error", () => {});
    }
    resolve(value);
  };
}

/** At the end of a COPY, or after its error, postgres.js can leave the socket paused: the next query would wait for ever. */
function resumeSocket(readable: Readable): void {
  try {
    readable._read(0);
  } catch {
    // The socket is gone already.
  }
}

/**
 * Feed a web stream into `copy … from stdin` and answer when the server has taken all of it.
 *
 * @example
 * await copyIn(tx, "copy t (id, name) from stdin", new Response("1\tAda\n").body!);
 */
export async function copyIn(
  sql: Sql | TransactionSql,
  statement: string,
  source: ReadableStream<Uint8Array>,
  options: CopyOptions = {},
): Promise<void> {
  const query = sql.unsafe(statement);
  // postgres.js loses an error that comes after the last byte: its stream never finishes. Catch it at the query.
  const rejecting = query as unknown as Rejecting;
  const reject = rejecting.reject;
  const failure = new Promise<never>((_, fail) => {
    rejecting.reject = (error) => (fail(error), reject(error));
  });
  failure.catch(() => {});
  listenEarly(query);
  const writable: Writable = await query.writable();
  const reader = source.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (!writable.write(value)) {
        const drained = new Promise<void>((resolve) => void writable.once("drain", resolve));
        await inTime(Promise.race([drained, failure]), options);
      }
    }
    const finished = new Promise<void>((resolve) => void writable.end(resolve));
    await inTime(Promise.race([finished, failure]), options);
  } catch (error) {
    writable.destroy(error instanceof Error ? error : new Error(String(error)));
    await reader.cancel(error).catch(() => {});
    throw error;
  }
}

function concat(parts: readonly Uint8Array[], size: number): Bytes {
  const [first] = parts;
  if (parts.length === 1 && first) return first as Bytes;
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

async function inTime<T>(work: Promise<T>, options: CopyOptions): Promise<T> {
  const limit = options.inactivityMs ?? 120_000;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() =>
      reject(
        new BulkheadError("BH_COPY_STALLED", `Cannot copy: nothing moved for ${limit / 1000} s`, {
          kind: "unavailable",
          hint: "Check the network and pg_stat_activity for a lock, then run the command again",
        }),
      ), limit);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
