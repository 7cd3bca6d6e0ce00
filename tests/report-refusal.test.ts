import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createTenantClient } from "../functions/_core/adapters/supabase.ts";
import { BulkheadError } from "../functions/_core/errors.ts";
import {
  type Database,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { startPostgrest } from "./support/postgrest.ts";
import { loose, recorded } from "./support/recorded-client.ts";

describe("a write that the database refused", () => {
  let server: Server;
  let db: Database;
  let mine = "";
  before(async () => {
    server = await startPostgres();
    db = await openhouseDatabase(server, { rows: 300 });
    await withSql(db.url, async (sql) => {
      const [first, second] = await sql<
        { id: string }[]
      >`select id from public.tenants order by id`;
      mine = first?.id ?? "";
      // Context-aware by declaration, and wrong: it writes another tenant's row.
      await sql.unsafe(`
        create function public.misfile() returns void language sql as $$
          update public.messages set body = 'not ours' where tenant_id = '${second?.id ?? ""}' $$;
        grant execute on function public.misfile() to service_role`);
    });
  });
  after(() => server?.stop());

  const refusals = () =>
    withSql(
      db.url,
      (sql) =>
        sql`select tenant_id, actor, request_id, table_name, metadata ->> 'attempted' as attempted
          from bulkhead.audit_events where operation = 'bulkhead.write_refused'`,
    );

  test("is in the ledger, by a request of its own, with the tenant, actor and request id", async () => {
    await using rest = await startPostgrest({
      url: db.urlAs("authenticator"),
      schemas: ["public", "bulkhead_api"],
    });
    const client = createTenantClient({
      url: rest.url,
      key: rest.key("service_role"),
      tenantId: mine,
      actor: "import",
      requestId: "r-7",
      tables: ["messages"],
      rpc: { misfile: "context" },
    });
    const { error } = await loose(client).rpc("misfile");
    assert.equal(error.code, "42501");
    assert.deepEqual([...await refusals()], [{
      tenant_id: mine,
      actor: "import",
      request_id: "r-7",
      table_name: "misfile",
      attempted: "call",
    }]);
    const read = await loose(client).from("messages").select("id").limit(1);
    assert.equal(read.error, null);
    assert.equal((await refusals()).length, 1);
  });

  test("stays refused where the report is not taken, and somebody hears of it", async () => {
    await using rest = await startPostgrest({ url: db.urlAs("authenticator") });
    const heard: BulkheadError[] = [];
    const client = createTenantClient({
      url: rest.url,
      key: rest.key("service_role"),
      tenantId: mine,
      actor: "import",
      tables: ["messages"],
      rpc: { misfile: "context" },
      onUnreported: (error) => void heard.push(error),
    });
    const { error } = await loose(client).rpc("misfile");
    assert.equal(error.code, "42501");
    assert.deepEqual(heard.map(({ code, exitCode }) => [code, exitCode]), [["BH_UNREPORTED", 4]]);
    assert.equal((await refusals()).length, 1);
  });

  test("nothing is reported of an accepted write, a refused read, or another error", async () => {
    const refused = (code: string) => Response.json({ code, message: "no" }, { status: 403 });
    const of = (response: () => Response) => recorded({}, response);
    const accepted = of(() => new Response(null, { status: 201 }));
    await accepted.client.from("messages").delete().eq("id", mine);
    const read = of(() => refused("42501"));
    await read.client.from("messages").select("id");
    const clash = of(() => refused("23505"));
    await clash.client.from("messages").delete().eq("id", mine);
    for (const { sent } of [accepted, read, clash]) assert.equal(sent.length, 1);
    const denied = of(() => refused("42501"));
    await denied.client.from("messages").delete().eq("id", mine);
    assert.deepEqual(denied.sent.map(({ url }) => url.pathname), [
      "/rest/v1/messages",
      "/rest/v1/rpc/record_refused_write",
    ]);
    const report = denied.sent[1];
    assert.deepEqual(report?.body, { table_name: "messages", operation: "delete", reason: "no" });
    assert.equal(report?.headers.get("content-profile"), "bulkhead_api");
    assert.equal(report?.headers.get("x-actor"), "tests");
  });
});
