import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import postgres from "postgres";
import type { Database } from "../examples/openhouse/database.ts";
import { createTenantClient } from "../functions/_core/adapters/supabase.ts";
import { embedsOf } from "../functions/_core/service/embeds.ts";
import { gate } from "../functions/_core/service/request-gate.ts";
import { parseScope } from "../functions/_core/service/tenant-scope.ts";
import {
  type Database as TestDatabase,
  openhouseDatabase,
  type Server,
  startPostgres,
} from "./support/postgres.ts";
import { depth } from "./support/depth.ts";
import { type Postgrest, startPostgrest } from "./support/postgrest.ts";
import { loose, only, OTHER, OWN, recorded, TABLES } from "./support/recorded-client.ts";

const ROW = { development_id: OWN, unit_id: OWN, sender: "staff", body: "hello" };

describe("createTenantClient()", () => {
  for (
    const [tenantId, state] of [
      [undefined, "missing"],
      [null, "missing"],
      ["", "empty"],
      ["acme", "no uuid"],
      [`${OWN} `, "no uuid"],
      [`${OWN}\r\nx-tenant-id: ${OTHER}`, "no uuid"],
      [`${OWN},${OTHER}`, "no uuid"],
      [[OWN], "no uuid"],
      [{ toString: () => OWN }, "no uuid"],
      [7, "no uuid"],
    ] as [string, string][]
  ) {
    test(`throws for the tenant ${JSON.stringify(tenantId)}: ${state}`, () => {
      assert.throws(() => recorded({ tenantId }), {
        code: "BH_TENANT",
        kind: "usage",
        message: new RegExp(state),
      });
    });
  }

  for (
    const [tenantKind, good, bad] of [
      ["bigint", ["1", "12", 12, 12n, "-3", "9223372036854775807"], [
        "",
        "01",
        "1.5",
        1.5,
        "1e3",
        " 1",
        "9223372036854775808",
        NaN,
        "0x1",
      ]],
      ["text", ["acme", "acme inc", "a,b(c)"], [
        "",
        " acme",
        "acme ",
        "a\nb",
        "a\u0000b",
        "ä",
        "x".repeat(201),
        7.5,
      ]],
      ["uuid", [OWN, OWN.toUpperCase()], [
        "",
        "{" + OWN + "}",
        OWN.slice(1),
        OWN.replaceAll("-", ""),
      ]],
    ] as ["bigint" | "text" | "uuid", (string | number)[], (string | number)[]][]
  ) {
    test(`takes tenants of kind ${tenantKind} in their one spelling only`, () => {
      for (const tenantId of good) assert.ok(recorded({ tenantKind, tenantId }).client.tenantId);
      for (const tenantId of bad) {
        assert.throws(
          () => recorded({ tenantKind, tenantId }),
          { code: "BH_TENANT" },
          String(tenantId),
        );
      }
    });
  }

  test("throws for an actor or a request id that a header can't carry, or none", () => {
    for (
      const actor of [
        "",
        "a\r\nx-tenant-id: x",
        "a\u0000",
        "ünïcode",
        "x".repeat(201),
        loose(undefined),
      ]
    ) {
      assert.throws(() => recorded({ actor }), { code: "BH_ACTOR", kind: "usage" });
    }
    assert.throws(() => recorded({ requestId: "a\nb" }), { code: "BH_REQUEST_ID" });
    assert.match(recorded().client.requestId, /^[0-9a-f-]{36}$/);
    assert.equal(recorded({ requestId: "req-1" }).client.requestId, "req-1");
  });

  test("throws for a missing url or key, and never shows the key", () => {
    assert.throws(() => recorded({ url: "" }), { code: "BH_CLIENT" });
    assert.throws(() => recorded({ url: "ftp://x" }), { code: "BH_CLIENT" });
    assert.throws(() => recorded({ key: "" }), { code: "BH_CLIENT" });
    assert.throws(
      () => recorded({ key: "secret\nkey" }),
      (error: Error) => !error.message.includes("secret\nkey"),
    );
  });
});

describe("TenantScopedClient reads", () => {
  test("carry the tenant filter and the context in headers", async () => {
    const { client, sent } = recorded({ requestId: "req-1" });
    await client.from("messages").select("id, body").eq("unit_id", OTHER).order("created_at").limit(
      5,
    );
    const { url, headers, method } = only(sent);
    assert.equal(method, "GET");
    assert.equal(url.pathname, "/rest/v1/messages");
    assert.deepEqual(url.searchParams.getAll("tenant_id"), [`eq.${OWN}`]);
    assert.equal(headers.get("x-tenant-id"), OWN);
    assert.equal(headers.get("x-actor"), "tests");
    assert.equal(headers.get("x-request-id"), "req-1");
    assert.equal(headers.get("apikey"), "sb_secret_test");
  });

  test("keep the filter with count, head, single, csv, throwOnError and abortSignal", async () => {
    const { client, sent } = recorded();
    await client.from("units").select("*", { count: "exact", head: true });
    await client.from("units").select("*").single();
    await client.from("units").select("*").maybeSingle().throwOnError();
    await client.from("units").select("*").csv();
    await client.from("units").select("*").abortSignal(AbortSignal.timeout(1000));
    assert.equal(sent.length, 5);
    for (const { url } of sent) {
      assert.deepEqual(url.searchParams.getAll("tenant_id"), [`eq.${OWN}`]);
    }
  });

  test("name tenants that are prefixes of each other apart", async () => {
    const { client, sent } = recorded({ tenantKind: "bigint", tenantId: 1, tables: undefined });
    await client.from("messages").select();
    assert.deepEqual(only(sent).url.searchParams.getAll("tenant_id"), ["eq.1"]);
    await client.from("messages").insert(loose({ ...ROW, tenant_id: 1n }));
    assert.throws(() => client.from("messages").insert(loose({ ...ROW, tenant_id: 12 })), {
      code: "BH_TENANT_MISMATCH",
    });
    assert.throws(() => client.from("messages").insert(loose({ ...ROW, tenant_id: "1 " })), {
      code: "BH_TENANT_MISMATCH",
    });
  });

  test("use another column where the table has one, and confine embedded tables by name, alias and depth", async () => {
    const { client, sent } = recorded({
      tables: {
        tenants: "id",
        messages: "tenant_id",
        units: "tenant_id",
        developments: "tenant_id",
      },
    });
    await loose(client).from("tenants").select("name");
    assert.deepEqual(sent[0]?.url.searchParams.getAll("id"), [`eq.${OWN}`]);
    await loose(client).from("messages").select(
      "id, flat:units!inner(label, developments(name)), tenants(name)",
    );
    const { searchParams } = sent[1]?.url ?? new URL("x:");
    for (
      const path of ["tenant_id", "flat.tenant_id", "flat.developments.tenant_id", "tenants.id"]
    ) {
      assert.deepEqual(searchParams.getAll(path), [`eq.${OWN}`], path);
    }
  });

  test("refuse embedded tables that are not tenant-scoped, also after a write", async () => {
    const { client, sent } = recorded();
    const read = await loose(client).from("messages").select("*, tenants(*)");
    assert.equal(read.error.code, "BH_TABLE_UNKNOWN");
    const written = await loose(client).from("messages").insert(ROW).select(
      "*, units(*, profiles(*))",
    );
    assert.equal(written.error.code, "BH_TABLE_UNKNOWN");
    await assert.rejects(
      async () => await loose(client).from("messages").select("*, tenants(*)").throwOnError(),
      /tenants/,
    );
    assert.equal(sent.length, 0);
  });
});

describe("embedsOf()", () => {
  for (
    const select of [
      "*,a:units!x(*),units!y(*)",
      "units(*),units(*)",
      "units:developments(*),d:units(*)",
      "a:units(*),a:members(*)",
      "messages(units(*),b:units(*))",
    ]
  ) {
    test(`refuses two embeds of one name, whose filters would meet in the first: ${select}`, () => {
      assert.throws(() => embedsOf(select), { code: "BH_SELECT", kind: "refused" });
    });
  }

  test("takes the same table twice under two aliases", () => {
    assert.deepEqual(embedsOf("id,from:units!a_fkey(*),to:units!b_fkey(*)"), [
      { table: "units", path: "from" },
      { table: "units", path: "to" },
    ]);
  });

  test("reads aliases, hints, spreads, nesting, quoting, casts and aggregates", () => {
    assert.deepEqual(embedsOf("*"), []);
    assert.deepEqual(embedsOf("id,total:price.sum(),count(),body::text,a->>b"), []);
    assert.deepEqual(embedsOf("*,a:units!fk!inner(*,...developments(name)),members(count)"), [
      { table: "units", path: "a" },
      { table: "developments", path: "a.developments" },
      { table: "members", path: "members" },
    ]);
  });

  for (
    const select of [
      "units(",
      "units)",
      "units(*",
      '"units"(*)',
      "un its(*)",
      'a:"b"(*)',
      "units(*)x",
      "x.y(*)",
      '*,"units(*)',
      "units(*))(",
      "units()(*)",
    ]
  ) {
    test(`refuses what it can't read with certainty: ${select}`, () => {
      assert.throws(() => embedsOf(select), { code: "BH_SELECT" });
    });
  }
});

describe("TenantScopedClient writes", () => {
  test("stamp one row and many, and leave the caller's objects alone", async () => {
    const { client, sent } = recorded();
    const row = Object.freeze({ ...ROW });
    await client.from("messages").insert(row);
    await client.from("messages").insert([row, { ...row, tenant_id: OWN.toUpperCase() }]);
    assert.deepEqual(sent[0]?.body, { ...ROW, tenant_id: OWN });
    assert.deepEqual(sent[1]?.body, [{ ...ROW, tenant_id: OWN }, { ...ROW, tenant_id: OWN }]);
    assert.match(sent[1]?.url.searchParams.get("columns") ?? "", /"tenant_id"/);
    assert.equal("tenant_id" in row, false);
  });

  test("refuse a row with another tenant, or null, anywhere in a batch, before a request leaves", () => {
    const { client, sent } = recorded();
    for (const tenant_id of [OTHER, null, "", 7, `${OWN}x`, [OWN], { eq: OWN }]) {
      assert.throws(() => client.from("messages").insert(loose({ ...ROW, tenant_id })), {
        code: "BH_TENANT_MISMATCH",
        kind: "refused",
      });
      assert.throws(() => client.from("messages").insert(loose([ROW, { ...ROW, tenant_id }])), {
        code: "BH_TENANT_MISMATCH",
      });
      assert.throws(() => client.from("messages").upsert(loose([ROW, { ...ROW, tenant_id }])), {
        code: "BH_TENANT_MISMATCH",
      });
    }
    for (const rows of [null, "x", 7, [null], [[ROW]], undefined]) {
      assert.throws(() => client.from("messages").insert(loose(rows)), { code: "BH_ROW" });
    }
    assert.equal(sent.length, 0);
  });

  test("refuse what turns into another tenant on its way: toJSON, getters, __proto__", async () => {
    const { client, sent } = recorded();
    let reads = 0;
    const changing = {
      ...ROW,
      get tenant_id() {
        return reads++ ? OTHER : OWN;
      },
    };
    await client.from("messages").insert(loose(changing));
    assert.equal((sent[0]?.body as { tenant_id: string }).tenant_id, OWN);
    const { error } = await loose(client).from("messages").insert({
      ...ROW,
      toJSON: () => ({ ...ROW, tenant_id: OTHER }),
    });
    assert.equal(error.code, "BH_TENANT_MISMATCH");
    await client.from("messages").insert(
      JSON.parse(`{"__proto__": {"tenant_id": "${OTHER}"}, "body": "x"}`),
    );
    assert.equal((sent[1]?.body as { tenant_id: string }).tenant_id, OWN);
    assert.equal(sent.length, 2);
  });

  test("filter updates and deletes, and refuse an update of the tenant column, even to the same value", async () => {
    const { client, sent } = recorded();
    await client.from("messages").update({ is_read: true }).eq("id", OTHER);
    await client.from("messages").delete().neq("id", OTHER);
    for (const { url } of sent) {
      assert.deepEqual(url.searchParams.getAll("tenant_id"), [`eq.${OWN}`]);
    }
    for (const tenant_id of [OTHER, OWN, null, undefined]) {
      assert.throws(() => client.from("messages").update(loose({ tenant_id })), {
        code: "BH_TENANT_IMMUTABLE",
      });
    }
    assert.equal(sent.length, 2);
  });

  test("put the tenant into the conflict target of an upsert, and refuse one that lacks it", async () => {
    const { client, sent } = recorded();
    await client.from("messages").upsert(ROW);
    await client.from("members").upsert({ user_id: OWN }, {
      onConflict: "user_id, tenant_id",
      ignoreDuplicates: true,
    });
    assert.equal(sent[0]?.url.searchParams.get("on_conflict"), "tenant_id,id");
    assert.equal(sent[1]?.url.searchParams.get("on_conflict"), "user_id,tenant_id");
    for (
      const onConflict of [
        "id",
        "",
        "not_tenant_id",
        "tenant_id)",
        "id&tenant_id",
        "TENANT_ID,id",
        '"tenant_id",id',
      ]
    ) {
      assert.throws(() => client.from("messages").upsert(ROW, { onConflict }), {
        code: "BH_UPSERT_TARGET",
      }, onConflict);
    }
  });

  test("fail closed for unknown tables, names with more in them, and rpc", () => {
    const { client, sent } = recorded();
    for (
      const table of [
        "tenants",
        "profiles",
        "",
        "messages?x=y",
        "../rpc/x",
        "rpc/search_messages",
        "__proto__",
        "constructor",
        "toString",
      ]
    ) {
      assert.throws(
        () => loose(client).from(table),
        { code: "BH_TABLE_UNKNOWN", kind: "refused" },
        table,
      );
    }
    const unlisted = recorded({ tables: undefined }).client;
    for (
      const table of [
        "messages?x=y",
        "a/b",
        "a b",
        "",
        loose(undefined),
        loose({ toString: () => "messages" }),
      ]
    ) {
      assert.throws(() => loose(unlisted).from(table), { code: "BH_TABLE_UNKNOWN" });
    }
    assert.throws(() => loose(client).rpc("search_messages"), { code: "BH_RPC" });
    for (const name of ["auth", "realtime", "rest"]) {
      assert.throws(() => loose(client)[name], { code: "BH_SURFACE", kind: "refused" }, name);
    }
    for (const name of ["channel", "schema"]) {
      assert.throws(() => loose(client)[name]("public"), { code: "BH_SURFACE" }, name);
    }
    for (const name of ["removeChannel", "realtimeUrl", "supabaseKey", "headers"]) {
      assert.equal(loose(client)[name], undefined, name);
    }
    assert.equal(sent.length, 0);
  });
});

describe("the gate", () => {
  const attempts: [string, (query: ReturnType<typeof loose>) => unknown][] = [
    ["x-tenant-id set on the builder", (query) => query.setHeader("x-tenant-id", OTHER)],
    ["x-actor set on the builder", (query) => query.setHeader("X-Actor", "someone")],
    ["x-request-id set on the builder", (query) => query.setHeader("x-request-id", "other")],
    ["another key", (query) => query.setHeader("apikey", "sb_secret_other")],
    ["another token", (query) => query.setHeader("Authorization", "Bearer someone")],
    ["a second select", (query) => (query.url.searchParams.append("select", "*"), query)],
    [
      "the filter taken off the address",
      (query) => (query.url.searchParams.delete("tenant_id"), query),
    ],
    [
      "the filter's value changed",
      (query) => (query.url.searchParams.set("tenant_id", `eq.${OTHER}`), query),
    ],
    [
      "the filter's operator changed",
      (query) => (query.url.searchParams.set("tenant_id", `neq.${OWN}`), query),
    ],
    ["another table", (query) => (query.url.pathname = "/rest/v1/tenants", query)],
    ["a function", (query) => (query.url.pathname = "/rest/v1/rpc/search_messages", query)],
    ["another service", (query) => (query.url.pathname = "/auth/v1/admin/users", query)],
    ["another host", (query) => (query.url.host = "evil.example", query)],
    ["another method", (query) => (query.method = "PUT", query)],
  ];
  for (const [what, tamper] of attempts) {
    test(`refuses ${what}, and answers like the API`, async () => {
      const { client, sent } = recorded();
      const { data, error } = await loose(tamper(client.from("messages").select("*")));
      assert.equal(data, null);
      assert.match(error.code, /^BH_/);
      assert.ok(error.hint.length > 0);
      assert.equal(sent.length, 0);
    });
  }

  test("refuses bodies that were swapped after the stamp", async () => {
    const { client, sent } = recorded();
    const insert = (body: unknown) =>
      Object.assign(loose(client).from("messages").insert(ROW), { body });
    for (
      const body of [
        { ...ROW, tenant_id: OTHER },
        ROW,
        [{ ...ROW, tenant_id: OWN }, ROW],
        "x",
        null,
        undefined,
      ]
    ) {
      assert.ok((await insert(body)).error.code.startsWith("BH_"));
    }
    const update = Object.assign(loose(client).from("messages").update({ is_read: true }), {
      body: { tenant_id: OTHER },
    });
    assert.equal((await update).error.code, "BH_TENANT_IMMUTABLE");
    const upsert = loose(client).from("messages").upsert(ROW);
    upsert.url.searchParams.set("on_conflict", "id");
    assert.equal((await upsert).error.code, "BH_UPSERT_TARGET");
    const columns = loose(client).from("messages").insert([ROW]);
    columns.url.searchParams.set("columns", '"body"');
    assert.equal((await columns).error.code, "BH_GATE");
    assert.equal(sent.length, 0);
  });

  test("holds by itself, without supabase-js around it", () => {
    const scope = parseScope({ tenantId: OWN, actor: "tests", tables: TABLES });
    const api = {
      base: "https://project.supabase.co",
      credentials: { apikey: "k", authorization: "Bearer k" },
    };
    const ask = (
      path: string,
      method = "GET",
      body?: unknown,
      headers: Record<string, string> = {},
    ) =>
      gate(scope, api, {
        url: `https://project.supabase.co${path}`,
        method,
        headers: new Headers({ "content-type": "application/json", ...headers }),
        body: body === undefined ? undefined : JSON.stringify(body),
      });
    assert.ok(ask(`/rest/v1/messages?tenant_id=eq.${OWN}`).url);
    for (
      const path of [
        "/rest/v1/messages",
        `/rest/v1/messages?or=(tenant_id.eq.${OWN},id.neq.x)`,
        `/rest/v1/messages?not.tenant_id=eq.${OWN}`,
        `/rest/v1/messages?units.tenant_id=eq.${OWN}`,
        `/rest/v1/messages%3Ftenant_id=eq.${OWN}`,
        `/rest/v1/messages/?tenant_id=eq.${OWN}`,
        `/rest/v1/../v1/rpc/x?tenant_id=eq.${OWN}`,
        `/rest/v1/messages?tenant_id=eq.${OWN}x`,
        `/rest/v1/messages?tenant_id=in.(${OWN})`,
      ]
    ) assert.throws(() => ask(path), { kind: "refused" }, path);
    for (const name of ["accept-profile", "content-profile"]) {
      assert.throws(
        () => ask(`/rest/v1/messages?tenant_id=eq.${OWN}`, "GET", undefined, { [name]: "auth" }),
        { code: "BH_HEADER" },
      );
    }
    assert.throws(
      () =>
        ask("/rest/v1/messages", "POST", { ...ROW, tenant_id: OWN }, {
          "content-type": "text/csv",
        }),
      { code: "BH_GATE" },
    );
    assert.throws(() => ask("/rest/v1/messages", "PATCH", { body: "x" }), { code: "BH_GATE" });
    assert.throws(
      () =>
        ask(`/rest/v1/messages?tenant_id=eq.${OWN}&columns=body,tenant_id`, "PATCH", { body: "x" }),
      { code: "BH_TENANT_IMMUTABLE" },
    );
    assert.throws(
      () =>
        ask("/rest/v1/messages", "POST", [{ ...ROW, tenant_id: OWN }], {
          prefer: "resolution=merge-duplicates",
        }),
      {
        code: "BH_UPSERT_TARGET",
      },
    );
  });

  test("is not retried when it refuses", async () => {
    const { client } = recorded();
    const started = performance.now();
    await loose(client.from("messages").select("*")).setHeader("x-tenant-id", OTHER);
    assert.ok(performance.now() - started < 500);
  });

  test("keeps 10,000 interleaved calls for 50 tenants apart", async () => {
    const seen = new Map<string, number>();
    let mixed = 0;
    const send: typeof fetch = async (input, init = {}) => {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
      const tenant = new URL(String(input)).searchParams.get("tenant_id")?.slice(3) ?? "";
      if (
        new Headers(init.headers).get("x-tenant-id") !== tenant ||
        new Headers(init.headers).get("x-actor") !== `actor-${tenant}`
      ) mixed++;
      seen.set(tenant, (seen.get(tenant) ?? 0) + 1);
      return Response.json([]);
    };
    const clients = Array.from({ length: 50 }, (_, n) =>
      createTenantClient<Database>({
        url: "https://project.supabase.co",
        key: "k",
        tenantId: n,
        tenantKind: "bigint",
        actor: `actor-${n}`,
        fetch: send,
      }));
    await Promise.all(
      Array.from(
        { length: 10_000 },
        async (_, n) => await clients[(n * 7) % 50]?.from("messages").select("id"),
      ),
    );
    assert.equal(mixed, 0);
    assert.deepEqual([...new Set(seen.values())], [200]);
  });
});

describe("TenantScopedClient types", () => {
  test("take tenant tables only, need no tenant on insert and allow none on update", () => {
    const typed = () => {
      const { client } = recorded();
      // @ts-expect-error: tenants has no tenant_id, so it is no tenant table
      client.from("tenants");
      // @ts-expect-error: no such table
      client.from("profiles");
      client.from("messages").insert({
        development_id: "",
        unit_id: "",
        sender: "staff",
        body: "",
      });
      // @ts-expect-error: body is missing
      client.from("messages").insert({ development_id: "", unit_id: "", sender: "staff" });
      client.from("messages").insert({
        development_id: "",
        unit_id: "",
        sender: "",
        body: "",
        // @ts-expect-error: no such column
        nope: 1,
      });
      // @ts-expect-error: the tenant of a row never changes
      client.from("messages").update({ tenant_id: "" });
      // @ts-expect-error: no such column
      client.from("messages").select("id").eq("nope", 1).then(() => {}, () => {});
      const rows = client.from("messages").select("id, is_read");
      const check = async () => {
        const { data } = await rows;
        const flag: boolean | undefined = data?.[0]?.is_read;
        // @ts-expect-error: body was not selected
        void data?.[0]?.body;
        return flag;
      };
      // @ts-expect-error: another column must be said at run time too
      createTenantClient<Database, "org_id">({ url: "", key: "", tenantId: "", actor: "" });
      return check;
    };
    assert.equal(typeof typed, "function");
  });
});

describe("TenantScopedClient against Postgres", () => {
  let server: Server;
  let db: TestDatabase;
  let rest: Postgrest;
  let sql: postgres.Sql;
  let own: { tenant: string; development: string; unit: string; message: string };
  let other: typeof own;
  before(async () => {
    server = await startPostgres();
    db = await openhouseDatabase(server, { rows: 300 });
    rest = await startPostgrest({ url: db.urlAs("authenticator") });
    sql = postgres(db.url, { max: 1, onnotice: () => {} });
    const found = await sql<(typeof own)[]>`
      select distinct on (tenant_id) tenant_id as tenant, development_id as development, unit_id as unit, id as message
      from public.messages order by tenant_id, id`;
    [own, other] = found as unknown as [typeof own, typeof own];
  });
  after(async () => {
    await sql?.end();
    await rest?.stop();
    await server?.stop();
  });
  const connect = (requestId: string = crypto.randomUUID(), tenantId = own.tenant) =>
    createTenantClient<Database>({
      url: rest.url,
      key: rest.key("service_role"),
      tenantId,
      actor: "ada@openhouse.example",
      requestId,
      tables: TABLES,
    });
  const message = () => ({
    development_id: own.development,
    unit_id: own.unit,
    sender: "staff",
    body: "from a test",
  });

  test("sees the rows of its tenant and no others", async () => {
    const { data, error } = await connect().from("messages").select("id, tenant_id");
    assert.equal(error, null);
    assert.ok(data && data.length > 50);
    assert.ok(data.every(({ tenant_id }) => tenant_id === own.tenant));
    const { data: foreign } = await connect().from("messages").select("id").eq(
      "tenant_id",
      other.tenant,
    );
    assert.deepEqual(foreign, []);
    const { data: byId } = await connect().from("messages").select("id").eq("id", other.message);
    assert.deepEqual(byId, []);
    const { count } = await connect().from("messages").select("*", { count: "exact", head: true });
    assert.equal(count, data.length);
  });

  test("writes events with its actor, tenant and request id, in the same transaction", async () => {
    const requestId = `req-${crypto.randomUUID()}`;
    const client = connect(requestId);
    const { data, error } = await client.from("messages").insert([message(), message()]).select(
      "id, tenant_id",
    );
    assert.equal(error, null);
    assert.equal(data?.length, 2);
    const first = loose(data)[0];
    const [stored] = await sql`select xmin::text from public.messages where id = ${first.id}`;
    await client.from("messages").update({ is_read: true }).eq("id", first.id).throwOnError();
    await client.from("messages").upsert({ ...message(), id: first.id, body: "changed" })
      .throwOnError();
    await client.from("messages").delete().eq("id", first.id).throwOnError();
    const events =
      await sql`select operation, actor, tenant_id, actor_role, record_id, xid from bulkhead.audit_events
      where request_id = ${requestId} order by id`;
    assert.deepEqual(events.map((event) => event["operation"]), [
      "INSERT",
      "INSERT",
      "UPDATE",
      "UPDATE",
      "DELETE",
    ]);
    for (const event of events) {
      assert.equal(event["actor"], "ada@openhouse.example");
      assert.equal(event["tenant_id"], own.tenant);
      assert.equal(event["actor_role"], "service_role");
    }
    assert.equal(String(BigInt(String(events[0]?.["xid"])) % 2n ** 32n), stored?.["xmin"]);
  });

  test("can't reach another tenant's rows by update, delete, upsert or a forged foreign key", async () => {
    const before =
      await sql`select count(*) as n, sum(hashtext(m::text)) as h from public.messages as m where tenant_id = ${other.tenant}`;
    const client = connect();
    await client.from("messages").update({ body: "x" }).eq("id", other.message).throwOnError();
    await client.from("messages").delete().eq("id", other.message).throwOnError();
    const upserted = await client.from("messages").upsert({ ...message(), id: other.message });
    assert.equal(upserted.error?.code, "23505");
    const forged = await client.from("messages").insert({ ...message(), unit_id: other.unit });
    assert.equal(forged.error?.code, "23503");
    assert.deepEqual(
      await sql`select count(*) as n, sum(hashtext(m::text)) as h from public.messages as m where tenant_id = ${other.tenant}`,
      before,
    );
  });

  const hostile = [
    "id.not.is.null",
    "id.not.is.null,tenant_id.not.is.null",
    "tenant_id.neq.x",
    "or(id.not.is.null,id.is.null)",
    "id.is.null),or=(id.not.is.null",
    "id.is.null)&tenant_id=neq.0&or=(id.not.is.null",
    "id.is.null)&select=*&(id.not.is.null",
    "and(id.not.is.null,not.and(id.is.null))",
    "not.and(tenant_id.is.null)",
    "id.is.null,id.not.is.null)#",
    "body.like.*,body.not.like.*",
    "sender.in.(resident,assistant,staff)",
    "id.is.null)\r\nx-tenant-id: other",
    'id.eq."x",id.not.is.null',
    "%29%26tenant_id=neq.0",
    "",
  ];
  for (const filter of hostile) {
    test(`or() can't escape the tenant: ${JSON.stringify(filter)}`, async () => {
      const { data, error } = await connect().from("messages").select("tenant_id").or(filter);
      assert.ok(error !== null || data.every(({ tenant_id }) => tenant_id === own.tenant));
      if (error !== null) assert.match(error.code, /^(PGRST100|22P02)$/, error.message);
    });
    test(`or() can't widen an update or a delete: ${JSON.stringify(filter)}`, async () => {
      const count = async () =>
        String(
          (await sql`select count(*) as n, count(*) filter (where is_read) as r from public.messages where tenant_id <> ${own.tenant}`)
            .map((r) => `${r["n"]} ${r["r"]}`),
        );
      const before = await count();
      await connect().from("messages").update({ is_read: true }).or(filter);
      await connect().from("onboarding_attempts").delete().or(filter);
      assert.equal(await count(), before);
      const [left] =
        await sql`select count(*) as n from public.onboarding_attempts where tenant_id <> ${own.tenant}`;
      assert.ok(Number(left?.["n"]) > 50);
    });
  }

  test("or() with a filter that matches everything still shows the own rows: the control of the above", async () => {
    const { data } = await connect().from("messages").select("tenant_id").or("id.not.is.null");
    assert.ok(data && data.length > 50);
  });

  test("or() can't escape with filters put together at random", async () => {
    const piece = fc.constantFrom(
      ...[
        "id",
        "tenant_id",
        "body",
        "or",
        "and",
        "not",
        "(",
        ")",
        ",",
        ".",
        "eq",
        "neq",
        "is",
        "null",
        "in",
        "like",
        "*",
        '"',
      ],
      ...[
        "&",
        "=",
        "#",
        "?",
        "%29",
        "%26",
        ";",
        "--",
        "'",
        "\\",
        "\n",
        " ",
        "select",
        "true",
        own.tenant,
        other.tenant,
      ],
      ...[
        "id.not.is.null",
        "tenant_id.neq.0",
        "or(id.not.is.null)",
        "not.and(id.is.null)",
        "),or=(",
        ")&tenant_id=neq.0&or=(",
      ],
    );
    let answered = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 9 }).map((pieces) => pieces.join("")),
        async (filter) => {
          const { data, error } = await connect().from("messages").select("tenant_id").or(filter);
          if (error) return;
          answered++;
          assert.ok(data.every(({ tenant_id }) => tenant_id === own.tenant), filter);
        },
      ),
      {
        numRuns: depth({ quick: 150, full: 2_000 }),
        examples: [["id.not.is.null"], ["id.not.is.null,is_read.is.true"]],
      },
    );
    assert.ok(answered >= 2, "some of them must be answered, or the test proves nothing");
  });

  test("other filter methods can't escape either", async () => {
    const query = () => loose(connect().from("messages").select("tenant_id"));
    for (
      const asked of [
        query().filter("or", "", "(id.not.is.null)"),
        query().filter("tenant_id", "neq", own.tenant),
        query().not("tenant_id", "eq", own.tenant),
        query().or("id.not.is.null", { referencedTable: "messages" }),
        query().filter("select", "eq", "*"),
        query().filter("limit", "eq", "1"),
        query().in("tenant_id", [own.tenant, other.tenant]),
        query().match({ tenant_id: other.tenant }),
      ]
    ) {
      const { data, error } = await asked;
      assert.ok(error || data.every((row: { tenant_id: string }) => row.tenant_id === own.tenant));
    }
  });

  test("the raw service key is refused by the guard where the wrapper was not used", async () => {
    const ask = (method: string, query: string, headers: Record<string, string>, body: unknown) =>
      fetch(`${rest.url}/rest/v1/messages${query}`, {
        method,
        headers: {
          authorization: `Bearer ${rest.key("service_role")}`,
          "content-type": "application/json",
          ...headers,
        },
        body: JSON.stringify(body),
      });
    const row = { ...message(), tenant_id: own.tenant };
    const forgotten = await ask("POST", "", {}, row);
    assert.equal(forgotten.status, 403);
    const { code, message: text } = await forgotten.json();
    assert.equal(code, "42501");
    assert.match(text, /x-tenant-id/);
    assert.equal((await ask("POST", "", { "x-tenant-id": other.tenant }, row)).status, 403);
    assert.equal((await ask("PATCH", `?id=eq.${own.message}`, {}, { is_read: true })).status, 403);
    assert.equal((await ask("POST", "", { "x-tenant-id": own.tenant }, row)).status, 201);
  });

  test("keys that are not the back end's get their own role, and nothing with a broken signature", async () => {
    const ask = (key: string) =>
      fetch(`${rest.url}/rest/v1/messages?select=id`, {
        headers: key ? { authorization: `Bearer ${key}` } : {},
      });
    assert.equal((await ask("")).status, 401);
    assert.equal((await ask(rest.key("anon"))).status, 401);
    assert.equal((await ask(`${rest.key("service_role")}x`)).status, 401);
    assert.equal((await ask(rest.key("service_role", { exp: 1 }))).status, 401);
    const none = await ask(rest.key("authenticated", { sub: OTHER }));
    assert.deepEqual([none.status, await none.json()], [200, []]);
    assert.notEqual((await ask(rest.key("postgres"))).status, 200);
    assert.notEqual((await ask(rest.key("supabase_admin"))).status, 200);
  });
});
