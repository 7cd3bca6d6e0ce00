import { BulkheadError, messageOf } from "../errors.ts";
import { SIGNATURE_HEADER, verifySignature } from "../signature.ts";
import type { Activity } from "./activity.ts";
import type { StatusReport } from "./contract.ts";
import { renderHtml, renderPublicHtml } from "./html.ts";
import { OPENMETRICS, renderMetrics } from "./metrics.ts";
import { publicSummary } from "./summary.ts";

/** What the handler needs; the secrets are optional, and without any nobody sees details. */
export type StatusDeps = {
  load: () => Promise<StatusReport>;
  /** What happened lately; asked for by those who may read details. */
  loadActivity: () => Promise<Activity>;
  now: () => Date;
  hmacSecret?: string | undefined;
  /** BULKHEAD_STATUS_TOKEN, for `Authorization: Bearer …`. */
  token?: string | undefined;
  /** How long one answer of the database serves everybody without a secret; default 30,000. */
  cacheMs?: number;
};

/**
 * The function `status`: `GET /` is the page, `/status.json` the contract, `/metrics` OpenMetrics, `/healthz` says that
 * the database answers. Everybody sees verdict and counts; tables, findings, metrics and what happened lately need a
 * bearer token or a signature over `GET <path>`.
 *
 * @example
 * export default { fetch: statusHandler(() => ({ load, loadActivity, now: () => new Date(), token })) };
 */
export function statusHandler(
  prepare: () => StatusDeps,
): (request: Request) => Promise<Response> {
  let prepared: StatusDeps | undefined;
  let cached: { report: Promise<StatusReport>; at: number } | undefined;
  const shared = (deps: StatusDeps) => {
    const at = deps.now().getTime();
    if (cached === undefined || at - cached.at > (deps.cacheMs ?? 30_000)) {
      const report = deps.load();
      cached = { report, at };
      // A failure is not remembered: the next request asks again.
      report.catch(() => cached = undefined);
    }
    return cached.report;
  };
  return async (request) => {
    try {
      // Inside the try: a missing variable is an answer of 500, not a function that does not start.
      const deps = prepared ??= prepare();
      return await answer(request, deps, () => shared(deps));
    } catch (error) {
      const known = error instanceof BulkheadError ? error : undefined;
      // What went wrong inside is for the log, not for whoever asks.
      if (known?.code !== "BH_SIGNATURE") {
        console.error(known?.code ?? "BH_UNEXPECTED", messageOf(error));
      }
      if (known === undefined || known.kind === "usage") {
        return refusal(500, "BH_INTERNAL", "the status could not be read");
      }
      return refusal(
        known.status,
        known.code,
        known.status < 500 ? known.message : "the database does not answer",
      );
    }
  };
}

const PATHS = ["/", "/status.json", "/metrics", "/healthz"];

async function answer(
  request: Request,
  deps: StatusDeps,
  shared: () => Promise<StatusReport>,
): Promise<Response> {
  const path = pathOf(new URL(request.url).pathname);
  if (!PATHS.includes(path)) return refusal(404, "BH_NOT_FOUND", `there is ${PATHS.join(", ")}`);
  if (request.method !== "GET" && request.method !== "HEAD") {
    return refusal(405, "BH_METHOD", "only GET is allowed", { allow: "GET, HEAD" });
  }
  const mayReadDetail = await isTrusted(request, deps, path);
  if (path === "/healthz") {
    await shared();
    return Response.json({ ok: true }, { headers: COMMON });
  }
  if (!mayReadDetail) {
    if (path === "/metrics") throw refused("metrics are for those who may read details");
    const summary = publicSummary(await shared());
    return path === "/"
      ? html(renderPublicHtml(summary))
      : Response.json(summary, { headers: COMMON });
  }
  const [report, activity] = [await deps.load(), await deps.loadActivity()];
  if (path === "/status.json") return Response.json({ ...report, activity }, { headers: COMMON });
  if (path === "/") return html(renderHtml(report, activity));
  return new Response(renderMetrics(report, activity), {
    headers: { ...COMMON, "content-type": OPENMETRICS },
  });
}

function html(page: string): Response {
  return new Response(page, { headers: { ...COMMON, "content-type": "text/html; charset=utf-8" } });
}

/** False without credentials; an error when there are some and they are wrong: never a silent downgrade. */
async function isTrusted(request: Request, deps: StatusDeps, path: string): Promise<boolean> {
  const signature = request.headers.get(SIGNATURE_HEADER);
  if (signature !== null) {
    if (deps.hmacSecret === undefined) throw refused("signatures are not configured here");
    // The path is signed instead of an empty body, so that the signature opens nothing else.
    await verifySignature(deps.hmacSecret, signature, `GET ${path}`, { now: deps.now() });
    return true;
  }
  const [scheme = "", given = ""] = (request.headers.get("authorization") ?? "").split(/\s+/, 2);
  // supabase-js and dashboards send their own JWT here: it opens nothing, and is no mistake either.
  if (scheme.toLowerCase() !== "bearer" || given.split(".").length === 3) return false;
  if (deps.token === undefined || !await sameSecret(given, deps.token)) {
    throw refused("the token is wrong");
  }
  return true;
}

/** Compares digests, so that neither length nor content shows in the time it takes. */
async function sameSecret(given: string, wanted: string): Promise<boolean> {
  const digest = async (text: string) =>
    new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  const [left, right] = await Promise.all([digest(given), digest(wanted)]);
  let difference = 0;
  for (const [index, byte] of left.entries()) difference |= byte ^ (right[index] ?? 255);
  return difference === 0;
}

const COMMON = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
};

function refusal(
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): Response {
  const challenge = status === 401 ? { "www-authenticate": "Bearer" } : {};
  return Response.json({ code, message }, {
    status,
    headers: { ...COMMON, ...challenge, ...headers },
  });
}

function refused(state: string): BulkheadError {
  return new StatusAccessError(state);
}

/** Credentials were given and are wrong. */
class StatusAccessError extends BulkheadError {
  constructor(state: string) {
    super("BH_SIGNATURE", `Cannot show details: ${state}`, {
      kind: "refused",
      hint: "send Authorization: Bearer <BULKHEAD_STATUS_TOKEN>, or none for the public summary",
    });
  }
  override get status(): number {
    return 401;
  }
}

/** Supabase passes on `/status/…`, a local host `/functions/v1/status/…`. */
function pathOf(pathname: string): string {
  const path = pathname.replace(/^\/functions\/v1(?=\/)/, "").replace(/^\/status(?=\/|$)/, "");
  return path === "" ? "/" : path;
}
