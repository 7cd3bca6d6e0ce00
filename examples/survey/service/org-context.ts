import type postgres from "postgres";

/** Who asks, from a verified token or cookie. Never from a header or a body that the caller writes. */
export type Session = { orgId: string; actor: string };

/** One transaction of one organization. */
export type OrgDatabase = <T>(work: (tx: postgres.TransactionSql) => Promise<T>) => Promise<T>;

/** One line of the log; `reason` holds nothing that a caller sent. */
export type LogEntry = { level: "error"; event: string; requestId: string; reason: string };

/** What both middlewares need. */
export type ContextOptions<Request> = {
  /** Ten connections or a thousand: the context ends with each transaction. The handlers never see it. */
  pool: postgres.Sql;
  session: (request: Request) => Promise<Session | null> | Session | null;
  log: (entry: LogEntry) => void;
  requestId?: () => string;
};

export type Opened =
  | { ok: true; database: OrgDatabase; requestId: string }
  | {
    ok: false;
    status: 401 | 403 | 503;
    body: { code: string; message: string; requestId: string };
  };

/** bigint, in the one spelling that Postgres prints. */
const ORG_ID = /^[1-9]\d{0,18}$/;

/**
 * Decide whether a request may go on, and give it a database of its organization alone. Whatever is missing or wrong is
 * logged as an error and answered here: no handler ever runs without a context.
 *
 * @example
 * const opened = await openContext({ pool, session: verifyCookie, log }, request);
 */
export async function openContext<Request>(
  options: ContextOptions<Request>,
  request: Request,
): Promise<Opened> {
  const requestId = (options.requestId ?? (() => crypto.randomUUID()))();
  const refuse = (status: 401 | 403 | 503, code: string, reason: string): Opened => {
    options.log({ level: "error", event: code, requestId, reason });
    return { ok: false, status, body: { code, message: "The request was refused", requestId } };
  };
  let session: Session | null;
  try {
    session = await options.session(request);
  } catch (error) {
    return refuse(503, "org_context_failed", error instanceof Error ? error.name : "unknown");
  }
  if (!session) return refuse(401, "org_context_missing", "no session");
  const { orgId, actor } = session;
  if (typeof orgId !== "string" || !ORG_ID.test(orgId)) {
    return refuse(403, "org_context_invalid", "the session's organization is no id");
  }
  const database = orgDatabase(options.pool, { orgId, actor }, requestId);
  return { ok: true, database, requestId };
}

/** Raised before any query of a handler ran. */
export class OrgContextError extends Error {
  override name = "OrgContextError";
}

/**
 * Transactions of one organization: both settings, Bulkhead's and the application's own, in one statement, for this
 * transaction and never longer. Where setting them fails nothing of `work` runs.
 *
 * @example
 * const mine = await orgDatabase(pool, { orgId: "12", actor: "ada" }, "req-1")((tx) => tx`select * from public.sessions`);
 */
export function orgDatabase(
  pool: postgres.Sql,
  { orgId, actor }: Session,
  requestId: string,
): OrgDatabase {
  return async (work) => {
    const result = await pool.begin(async (tx) => {
      const [context] = await tx<{ held: boolean }[]>`
        select bulkhead.set_tenant(${orgId}, ${actor}, ${requestId}),
               set_config('app.current_org_id', ${orgId}, true),
               (select not r.rolsuper and not r.rolbypassrls from pg_catalog.pg_roles as r where r.rolname = current_user) as held`;
      // Somebody gave the pool the owner's connection string: no policy would hold.
      if (context?.held !== true) {
        throw new OrgContextError(
          "Cannot open a transaction: the pool's role bypasses row level security",
        );
      }
      return { value: await work(tx) };
    });
    return result.value;
  };
}
