import { createServer, type IncomingMessage } from "node:http";
import postgres from "postgres";
import { claimsOf, sign } from "./postgrest-jwt.ts";
import { type Asked, type Reply, run } from "./postgrest-run.ts";
import { quote, RequestProblem } from "./postgrest-sql.ts";

/** PostgREST's contract over a real Postgres; see {@link startPostgrest}. */
export type Postgrest = AsyncDisposable & {
  /** What `createClient` takes. */
  url: string;
  /** A signed HS256 key: `key("service_role")`, `key("authenticated", { sub })`. */
  key(role: string, claims?: Record<string, unknown>): string;
  stop(): Promise<void>;
};

/** How to start it. */
export type PostgrestOptions = {
  /** Connection string of the role `authenticator`, who may become anon, authenticated or service_role and no more. */
  url: string;
  jwtSecret?: string;
  schemas?: string[];
};

/**
 * No package of PostgREST can be had here, so its contract for privileges is reproduced: log in as authenticator,
 * one transaction a request, `set local role`, `request.jwt.claims`, `request.headers`, read-only for GET, values as
 * parameters, and its mapping of errors to status codes. It has select, insert, update, upsert, delete and rpc with
 * filters, order, limit, count and single; no embedded resources.
 *
 * @example
 * await using rest = await startPostgrest({ url: server.urlAs("authenticator", database) });
 * const client = createTenantClient<Database>({ url: rest.url, key: rest.key("service_role"), tenantId, actor });
 */
export async function startPostgrest(options: PostgrestOptions): Promise<Postgrest> {
  const {
    url,
    jwtSecret = "a-secret-of-this-test-run-of-32-bytes-and-more",
    schemas = ["public"],
  } = options;
  const sql = postgres(url, {
    max: 6,
    onnotice: () => {},
    connection: { application_name: "postgrest" },
  });
  const [who] = await sql`select current_user as name, rolsuper or rolbypassrls as is_powerful
    from pg_catalog.pg_roles where rolname = current_user`;
  if (who?.["name"] !== "authenticator" || who["is_powerful"]) {
    await sql.end();
    throw new Error(
      `Cannot start PostgREST as "${
        who?.["name"]
      }": privileges would be green for the wrong reason`,
    );
  }
  const server = createServer((request, response) => {
    read(request).then((asked) => answer(sql, { jwtSecret, schemas }, asked)).then(
      ({ status, body, headers }) =>
        response.writeHead(status, {
          "content-type": "application/json; charset=utf-8",
          ...headers,
        }).end(body),
      (error) =>
        response.writeHead(500).end(JSON.stringify({ code: "XX000", message: String(error) })),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  const address = server.address();
  const stop = async () => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
    await sql.end({ timeout: 5 });
  };
  return {
    url: `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`,
    key: (role, claims = {}) => sign({ iss: "supabase", role, ...claims }, jwtSecret),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function read(request: IncomingMessage): Promise<Asked> {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  const headers = Object.fromEntries(
    Object.entries(request.headers).map((
      [name, value],
    ) => [name, Array.isArray(value) ? value.join(", ") : value ?? ""]),
  );
  return {
    method: request.method ?? "GET",
    path: decodeURIComponent(pathname),
    params: searchParams,
    headers,
    body: Buffer.concat(chunks).toString("utf8"),
  };
}

async function answer(
  sql: postgres.Sql,
  { jwtSecret, schemas }: { jwtSecret: string; schemas: string[] },
  asked: Asked,
): Promise<Reply> {
  let role = "anon";
  try {
    const claims = claimsOf(asked.headers["authorization"], jwtSecret);
    role = String(claims["role"] ?? "anon");
    const reading = asked.method === "GET" || asked.method === "HEAD";
    const profile = asked.headers[reading ? "accept-profile" : "content-profile"] ?? schemas[0] ??
      "public";
    if (!schemas.includes(profile)) {
      throw new RequestProblem(
        406,
        "PGRST106",
        `The schema must be one of the following: ${schemas.join(", ")}`,
      );
    }
    return await sql.begin(reading ? "read only" : "read write", async (tx) => {
      await tx`select set_config('search_path', ${`${quote(profile)}, public, extensions`}, true),
        set_config('role', ${role}, true), set_config('request.jwt.claims', ${
        JSON.stringify({ role, ...claims })
      }, true),
        set_config('request.headers', ${JSON.stringify(asked.headers)}, true),
        set_config('request.method', ${asked.method}, true), set_config('request.path', ${asked.path}, true)`;
      return await run(tx, profile, asked);
    });
  } catch (error) {
    return refusal(error, role);
  }
}

/** PostgREST's table of SQLSTATE to status. */
function refusal(error: unknown, role: string): Reply {
  if (error instanceof RequestProblem) {
    const { status, code, message } = error;
    return { status, body: JSON.stringify({ code, details: null, hint: null, message }) };
  }
  if (!(error instanceof postgres.PostgresError)) throw error;
  const { code, message, detail = null, hint = null } = error;
  return {
    status: statusOf(code, role),
    body: JSON.stringify({ code, details: detail, hint, message }),
  };
}

function statusOf(code: string, role: string): number {
  if (code === "42501" || code === "28000") return role === "anon" ? 401 : 403;
  const exact: Record<string, number> = {
    "23503": 409,
    "23505": 409,
    "25006": 405,
    "42P01": 404,
    "42883": 404,
    "P0001": 400,
  };
  const byClass: Record<string, number> = {
    "08": 503,
    "25": 500,
    "38": 500,
    "39": 500,
    "40": 500,
    "53": 503,
    "54": 500,
    "55": 500,
    "57": 500,
    "58": 500,
    "F0": 500,
    "HV": 500,
    "P0": 500,
    "XX": 500,
  };
  return exact[code] ?? byClass[code.slice(0, 2)] ?? 400;
}
