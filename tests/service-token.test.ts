import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createClient } from "@supabase/supabase-js";
import WebSocket from "ws";
import { mintServiceToken } from "../functions/_core/service/service-token.ts";
import { runProgram } from "./runner/child.ts";
import {
  type Database,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { type Postgrest, startPostgrest } from "./support/postgrest.ts";

const SECRET = "the-jwt-secret-of-a-project-that-does-not-exist";
const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());

describe("service tokens", () => {
  let server: Server;
  let db: Database;
  let rest: Postgrest;
  let tenants: string[];
  before(async () => {
    server = await startPostgres();
    db = await openhouseDatabase(server, { rows: 300 });
    rest = await startPostgrest({ url: db.urlAs("authenticator"), jwtSecret: SECRET });
    await withSql(db.url, async (sql) => {
      tenants = (await sql<{ id: string }[]>`select id from public.tenants order by id`)
        .map(({ id }) => id);
    });
  });
  after(async () => {
    await rest?.stop();
    await server?.stop();
  });

  const client = (token: string, headers: Record<string, string>) =>
    createClient(rest.url, token, {
      global: { headers },
      auth: { persistSession: false, autoRefreshToken: false },
      realtime: { transport: WebSocket as never },
    });

  test("a back end that arrives by one reads the tenant it names, and no other", async () => {
    const token = await mintServiceToken(SECRET, { now: new Date(), minutes: 5 });
    const [mine = "", other = ""] = tenants;
    const named = await client(token, { "x-tenant-id": mine }).from("messages").select("tenant_id");
    assert.equal(named.error, null);
    assert.ok((named.data ?? []).length > 0);
    assert.deepEqual([...new Set((named.data ?? []).map((row) => row["tenant_id"]))], [mine]);
    const foreign = await client(token, { "x-tenant-id": mine }).from("messages").select("id")
      .eq("tenant_id", other);
    assert.deepEqual(foreign.data, []);
  });

  test("without a tenant it sees nothing and writes nothing", async () => {
    const token = await mintServiceToken(SECRET, { now: new Date() });
    const { data } = await client(token, {}).from("messages").select("id");
    assert.deepEqual(data, []);
    const { error } = await client(token, {}).from("developments").insert({
      tenant_id: tenants[0],
      name: "x",
      city: "y",
    });
    assert.equal(error?.code, "42501");
  });

  test("its writes are audited under the actor it names", async () => {
    const token = await mintServiceToken(SECRET, { now: new Date() });
    const headers = {
      "x-tenant-id": tenants[0] ?? "",
      "x-actor": "invoice-run",
      "x-request-id": "r-1",
    };
    const { error } = await client(token, headers).from("developments").insert({
      tenant_id: tenants[0],
      name: "by the token",
      city: "y",
    });
    assert.equal(error, null);
    const events = await withSql(
      db.url,
      (sql) =>
        sql`select actor, actor_role, request_id from bulkhead.audit_events
          where after ->> 'name' = 'by the token'`,
    );
    assert.deepEqual([...events], [
      { actor: "invoice-run", actor_role: "bulkhead_service", request_id: "r-1" },
    ]);
  });

  test("it goes on when service_role is closed, and service_role does not", async () => {
    await withSql(db.url, (sql) => sql`select bulkhead.close_service_role()`);
    const token = await mintServiceToken(SECRET, { now: new Date() });
    const headers = { "x-tenant-id": tenants[0] ?? "" };
    const after = await client(token, headers).from("units").select("id");
    assert.ok((after.data ?? []).length > 0);
    const raw = await client(rest.key("service_role"), headers).from("units").select("id");
    assert.equal(raw.error?.code, "42501");
  });

  test("expires, an hour after it was minted unless told otherwise", async () => {
    const now = new Date("2026-11-21T10:00:00.900Z");
    assert.deepEqual(claimsOf(await mintServiceToken(SECRET, { now })), {
      role: "bulkhead_service",
      iss: "bulkhead",
      iat: 1795255200,
      exp: 1795258800,
    });
    const old = await mintServiceToken(SECRET, {
      now: new Date(Date.now() - 120_000),
      minutes: 1,
    });
    const { error } = await client(old, { "x-tenant-id": tenants[0] ?? "" }).from("units")
      .select("id");
    assert.ok(error);
  });

  test("is refused for a weak secret and for more than a day", async () => {
    const now = new Date();
    for (const minutes of [0, -1, 1.5, Number.NaN, 1441]) {
      await assert.rejects(mintServiceToken(SECRET, { now, minutes }), {
        code: "BH_SERVICE_TOKEN",
      });
    }
    await assert.rejects(mintServiceToken("short", { now }), { code: "BH_SERVICE_TOKEN" });
  });

  test("the command prints the token on stdout alone, and never the secret", async () => {
    const run = (args: string[], env: Record<string, string>) =>
      runProgram(process.execPath, ["scripts/bin.mjs", "service-token", ...args], {
        env: { PATH: process.env["PATH"] ?? "", ...env },
      });
    const made = await run(["--minutes", "5", "--json"], { SUPABASE_JWT_SECRET: SECRET });
    assert.equal(made.code, 0, made.output);
    const { token } = JSON.parse(made.output);
    assert.equal(claimsOf(token).role, "bulkhead_service");
    assert.ok(!made.output.includes(SECRET));
    const missing = await run([], {});
    assert.equal(missing.code, 2);
    assert.match(missing.output, /SUPABASE_JWT_SECRET is not set/);
    const long = await run(["--minutes", "9999"], { SUPABASE_JWT_SECRET: SECRET });
    assert.equal(long.code, 2);
    assert.ok(!long.output.includes(SECRET));
  });
});
