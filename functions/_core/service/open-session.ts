import { BulkheadError } from "../errors.ts";
import { canonicalTenant, parseActor, type TenantKind } from "./tenant-scope.ts";

/** Who asks, from a verified token: what `createTenantClient` and `withTenant` take. */
export type TenantSession = { tenantId: string; actor: string; requestId: string };

/** One line of a log; `reason` holds nothing that a caller sent. */
export type SessionLogEntry = { level: "error"; code: string; requestId: string; reason: string };

/** What the middlewares need. */
export type SessionOptions = {
  /** {@link jwtVerifier}, or anything that turns a bearer token into who asks, and throws where it can't. */
  verify: (token: string) => Promise<{ tenantId: string; actor: string }>;
  tenantKind?: TenantKind | undefined;
  log?: ((entry: SessionLogEntry) => void) | undefined;
  /** A new id for each request; what a caller sends as one is not taken. */
  requestId?: (() => string) | undefined;
};

/** A session, or the answer that the caller gets instead. */
export type OpenedSession =
  | { ok: true; session: TenantSession }
  | {
    ok: false;
    status: 401 | 403 | 503;
    body: { code: string; message: string; requestId: string };
  };

/** A token that opens nothing: 401. */
export class TokenError extends BulkheadError {
  constructor(state: string, cause?: unknown) {
    super("BH_TOKEN", `Cannot accept the token: ${state}`, {
      kind: "refused",
      hint: "Send Authorization: Bearer <token>, signed by the project and not expired.",
      cause,
    });
  }
  override get status(): number {
    return 401;
  }
}

/**
 * Decide from its `authorization` header alone whether a request may go on, and as whom. Whatever is missing or wrong is
 * logged and answered here, so that no handler runs without a tenant; no other header is looked at.
 *
 * @example
 * const opened = await openSession({ verify }, request.headers.get("authorization"));
 * if (!opened.ok) return Response.json(opened.body, { status: opened.status });
 */
export async function openSession(
  options: SessionOptions,
  authorization: string | null | undefined,
): Promise<OpenedSession> {
  const requestId = (options.requestId ?? (() => crypto.randomUUID()))();
  const refuse = (status: 401 | 403 | 503, code: string, reason: string): OpenedSession => {
    options.log?.({ level: "error", code, requestId, reason });
    return { ok: false, status, body: { code, message: MESSAGES[status], requestId } };
  };
  const [, token] = /^Bearer +([\x21-\x7e]+)$/i.exec(authorization ?? "") ?? [];
  if (token === undefined) return refuse(401, "BH_TOKEN", "no token");
  try {
    const { tenantId, actor } = await options.verify(token);
    const tenant = canonicalTenant(options.tenantKind ?? "text", tenantId);
    if (tenant === undefined) return refuse(403, "BH_TOKEN_TENANT", "the token's tenant is no id");
    return { ok: true, session: { tenantId: tenant, ...parseActor({ actor, requestId }) } };
  } catch (error) {
    if (error instanceof TokenError) return refuse(401, error.code, error.message);
    if (error instanceof BulkheadError && error.kind !== "unavailable") {
      return refuse(403, error.code, error.message);
    }
    return refuse(503, "BH_TOKEN_KEYS", error instanceof Error ? error.name : "unknown");
  }
}

const MESSAGES = {
  401: "The request needs a valid token",
  403: "The token belongs to no tenant",
  503: "The token could not be verified",
};
