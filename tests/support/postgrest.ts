import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import postgres from "postgres";
import {
  columnsOf,
  Parameters,
  quote,
  RequestProblem,
  type Statement,
  whereOf,
  windowOf,
} from "./postgrest-sql.ts";

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

type Reply = { status: number; body: string; headers?: Record<string, string> };
type Asked = {
  method: string;
  path: string;
  params: URLSearchParams;
  headers: Record<string, string>;
  body: string;
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

/** The statement of a request, and its rows as PostgREST shows them. */
async function run(tx: postgres.TransactionSql, schema: string, asked: Asked): Promise<Reply> {
  const [, name = ""] = /^\/rest\/v1\/((?:rpc\/)?[^/]+)$/.exec(asked.path) ?? [];
  const prefer = asked.headers["prefer"] ?? "";
  const wantsRows = asked.method === "GET" || asked.method === "HEAD" ||
    /return=representation/.test(prefer);
  if (name.startsWith("rpc/")) {
    return await call(tx, `${quote(schema)}.${quote(name.slice(4))}`, asked);
  }
  const table = `${quote(schema)}.${quote(name)}`;
  const inner = await statement(tx, table, asked, wantsRows);
  const list = columnsOf(asked.params.get("select"));
  const writes = asked.method !== "GET" && asked.method !== "HEAD";
  const text = writes
    ? `with source as (${inner.text}) select count(*)::integer as n, ${
      wantsRows ? `coalesce(json_agg(t), '[]')::text` : "''"
    } as body from (select ${wantsRows ? list : "1"} from source) as t`
    : `select count(*)::integer as n, coalesce(json_agg(t), '[]')::text as body from (${inner.text}) as t`;
  const [row] = await tx.unsafe<{ n: number; body: string }[]>(text, inner.values);
  const n = row?.n ?? 0;
  const headers: Record<string, string> = {};
  if (/count=exact/.test(prefer)) {
    const total = writes ? n : await total_(tx, table, asked.params);
    headers["content-range"] = `${n > 0 && !writes ? `0-${n - 1}` : "*"}/${total}`;
  }
  const single = (asked.headers["accept"] ?? "").includes("application/vnd.pgrst.object+json");
  if (single && wantsRows && n !== 1) {
    throw new RequestProblem(406, "PGRST116", "Cannot coerce the result to a single JSON object");
  }
  const body = !wantsRows || asked.method === "HEAD"
    ? ""
    : single
    ? JSON.stringify(JSON.parse(row?.body ?? "[]")[0])
    : row?.body ?? "[]";
  const status = asked.method === "POST" ? 201 : writes && !wantsRows ? 204 : 200;
  return { status, body, headers };
}

async function total_(
  tx: postgres.TransactionSql,
  table: string,
  params: URLSearchParams,
): Promise<number> {
  const parameters = new Parameters();
  const [row] = await tx.unsafe<{ n: number }[]>(
    `select count(*)::integer as n from ${table}${whereOf(params, parameters)}`,
    parameters.values,
  );
  return row?.n ?? 0;
}

async function statement(
  tx: postgres.TransactionSql,
  table: string,
  asked: Asked,
  wantsRows: boolean,
): Promise<Statement> {
  const { method, params } = asked;
  const parameters = new Parameters();
  const returning = ` returning ${wantsRows ? "*" : "1"}`;
  if (method === "GET" || method === "HEAD") {
    const text = `select ${columnsOf(params.get("select"))} from ${table}${
      whereOf(params, parameters)
    }${windowOf(params)}`;
    return { text, values: parameters.values };
  }
  if (method === "DELETE") {
    return {
      text: `delete from ${table}${whereOf(params, parameters)}${returning}`,
      values: parameters.values,
    };
  }
  const rows = bodyRows(asked.body);
  const names = params.get("columns")?.split(",").map((name) => name.replace(/^"|"$/g, "")) ??
    Object.keys(rows[0] ?? {});
  const columns = names.map(quote);
  const payload = `json_populate_recordset(null::${table}, ${
    parameters.add(JSON.stringify(rows))
  }::text::json)`;
  if (method === "PATCH") {
    const set = columns.map((column) => `${column} = payload.${column}`).join(", ");
    const where = whereOf(params, parameters).replace(/"(\w+)"/g, "target.$&");
    const source = `(select * from ${payload}) as payload`;
    return {
      text: `update ${table} as target set ${set} from ${source}${where}${
        returning.replace("*", "target.*")
      }`,
      values: parameters.values,
    };
  }
  if (method !== "POST") {
    throw new RequestProblem(405, "PGRST117", `Unsupported HTTP method: ${method}`);
  }
  if (columns.length === 0) {
    return { text: `insert into ${table} default values${returning}`, values: [] };
  }
  const conflict = await conflictOf(tx, table, asked, columns);
  return {
    text: `insert into ${table} (${columns.join(", ")}) select ${
      columns.join(", ")
    } from ${payload}${conflict}${returning}`,
    values: parameters.values,
  };
}

async function conflictOf(
  tx: postgres.TransactionSql,
  table: string,
  asked: Asked,
  columns: string[],
): Promise<string> {
  const [, resolution] =
    /resolution=(merge|ignore)-duplicates/.exec(asked.headers["prefer"] ?? "") ?? [];
  if (!resolution) return "";
  const named = asked.params.get("on_conflict")?.split(",");
  const target = named ?? (await tx`select a.attname as name from pg_catalog.pg_index as i
    join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
    where i.indrelid = ${table}::regclass and i.indisprimary`).map((row) => String(row["name"]));
  const set = columns.map((column) => `${column} = excluded.${column}`).join(", ");
  return ` on conflict (${target.map(quote).join(", ")}) do ${
    resolution === "merge" ? `update set ${set}` : "nothing"
  }`;
}

async function call(tx: postgres.TransactionSql, name: string, asked: Asked): Promise<Reply> {
  const parameters = new Parameters();
  const given = asked.method === "POST"
    ? bodyRows(asked.body || "{}")[0] ?? {}
    : Object.fromEntries(asked.params);
  const list = Object.entries(given).map(([key, value]) =>
    `${quote(key)} => ${parameters.add(typeof value === "string" ? value : JSON.stringify(value))}`
  );
  const [row] = await tx.unsafe<{ body: string }[]>(
    `select coalesce(json_agg(t), '[]')::text as body from ${name}(${list.join(", ")}) as t`,
    parameters.values,
  );
  return { status: 200, body: row?.body ?? "[]" };
}

function bodyRows(body: string): Record<string, unknown>[] {
  try {
    const parsed: Record<string, unknown> | Record<string, unknown>[] = JSON.parse(body);
    return Array.isArray(parsed) ? parsed : [parsed];
  } catch {
    throw new RequestProblem(400, "PGRST102", "Empty or invalid json");
  }
}

const base64url = (value: string) => Buffer.from(value).toString("base64url");
const mac = (text: string, secret: string) => createHmac("sha256", secret).update(text).digest();

function sign(claims: Record<string, unknown>, secret: string): string {
  const text = `${base64url(JSON.stringify({ alg: "HS256", typ: "JWT" }))}.${
    base64url(JSON.stringify(claims))
  }`;
  return `${text}.${mac(text, secret).toString("base64url")}`;
}

/** The verified claims; no token at all is anon, anything that does not verify is 401. */
function claimsOf(authorization: string | undefined, secret: string): Record<string, unknown> {
  if (!authorization) return {};
  const [, head = "", payload = "", signature = ""] =
    /^Bearer ([\w-]+)\.([\w-]+)\.([\w-]+)$/i.exec(authorization) ?? [];
  try {
    const given = Buffer.from(signature, "base64url");
    const expected = mac(`${head}.${payload}`, secret);
    const { alg } = JSON.parse(Buffer.from(head, "base64url").toString());
    const claims: Record<string, unknown> = JSON.parse(
      Buffer.from(payload, "base64url").toString(),
    );
    const fresh = typeof claims["exp"] !== "number" || claims["exp"] > Date.now() / 1000;
    if (
      alg === "HS256" && given.length === expected.length && timingSafeEqual(given, expected) &&
      fresh
    ) return claims;
  } catch {
    // answered below: no detail of a bad token is anyone's business
  }
  throw new RequestProblem(401, "PGRST301", "No suitable key or wrong key type");
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
