import type postgres from "postgres";
import {
  columnsOf,
  Parameters,
  quote,
  RequestProblem,
  type Statement,
  whereOf,
  windowOf,
} from "./postgrest-sql.ts";

/** An answer as it goes over the wire. */
export type Reply = { status: number; body: string; headers?: Record<string, string> };
/** A request, read. */
export type Asked = {
  method: string;
  path: string;
  params: URLSearchParams;
  headers: Record<string, string>;
  body: string;
};

/** The statement of a request, and its rows as PostgREST shows them. */
export async function run(
  tx: postgres.TransactionSql,
  schema: string,
  asked: Asked,
): Promise<Reply> {
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
  const body = row?.body ?? "[]";
  // A function that returns no set answers with its value, not with a list of one.
  const [kind] = await tx`select proretset as is_set from pg_catalog.pg_proc where oid = ${
    name.replaceAll('"', "")
  }::regproc`;
  return {
    status: 200,
    body: kind?.["is_set"] ? body : JSON.stringify(JSON.parse(body)[0] ?? null),
  };
}

function bodyRows(body: string): Record<string, unknown>[] {
  try {
    const parsed: Record<string, unknown> | Record<string, unknown>[] = JSON.parse(body);
    return Array.isArray(parsed) ? parsed : [parsed];
  } catch {
    throw new RequestProblem(400, "PGRST102", "Empty or invalid json");
  }
}
