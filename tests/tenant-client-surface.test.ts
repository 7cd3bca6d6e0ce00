import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { asPlatform } from "../functions/_core/adapters/supabase.ts";
import { tenantFolder } from "../functions/_core/service/storage-paths.ts";
import { loose, only, OTHER, OWN, recorded, type Sent } from "./support/recorded-client.ts";

const RULES = {
  rpc: { search_messages: { tenant: "p_tenant_id" }, my_totals: "context" as const },
};

describe("rpc of a tenant client", () => {
  test("calls what is on the list, with the tenant stamped as the declared argument", async () => {
    const { client, sent } = recorded(RULES);
    await loose(client).rpc("search_messages", { query: "keys" });
    await loose(client).rpc("search_messages", { query: "keys", p_tenant_id: OWN.toUpperCase() });
    await loose(client).rpc("my_totals");
    assert.deepEqual(sent.map(({ body }) => body), [
      { query: "keys", p_tenant_id: OWN },
      { query: "keys", p_tenant_id: OWN },
      {},
    ]);
    for (const { url, headers } of sent) {
      assert.match(url.pathname, /^\/rest\/v1\/rpc\/(search_messages|my_totals)$/);
      assert.equal(headers.get("x-tenant-id"), OWN);
    }
  });

  test("stamps the query of a call by GET and HEAD, and confines what its result embeds", async () => {
    const { client, sent } = recorded(RULES);
    await loose(client).rpc("search_messages", { query: "keys" }, { get: true });
    await loose(client).rpc("search_messages", {}, { head: true, count: "exact" });
    await loose(client).rpc("my_totals", {}).select("id, units(label)").eq("id", OTHER);
    for (const { url } of sent.slice(0, 2)) {
      assert.deepEqual(url.searchParams.getAll("p_tenant_id"), [OWN]);
    }
    assert.deepEqual(sent[2]?.url.searchParams.getAll("units.tenant_id"), [`eq.${OWN}`]);
    const { error } = await loose(client).rpc("my_totals").select("id, tenants(name)");
    assert.equal(error.code, "BH_TABLE_UNKNOWN");
    assert.equal(sent.length, 3);
  });

  test("refuses functions that are not on the list and other tenants' arguments", async () => {
    const { client, sent } = recorded(RULES);
    for (const name of ["other", "", "__proto__", "toString", "../messages", "a?b", undefined]) {
      assert.throws(() => loose(client).rpc(name), { code: "BH_RPC", kind: "refused" });
    }
    for (const p_tenant_id of [OTHER, null, "", [OWN], { eq: OWN }]) {
      assert.throws(() => loose(client).rpc("search_messages", { p_tenant_id }), {
        code: "BH_TENANT_MISMATCH",
      });
    }
    assert.throws(() => loose(client).rpc("my_totals", [OTHER]), { code: "BH_ROW" });
    const swapped = loose(client).rpc("search_messages", {});
    swapped.body = { p_tenant_id: OTHER };
    assert.equal((await swapped).error.code, "BH_TENANT_MISMATCH");
    const inherited = loose(client).rpc("search_messages", {});
    inherited.body = JSON.parse(`{"__proto__": {"p_tenant_id": "${OWN}"}}`);
    assert.equal((await inherited).error.code, "BH_TENANT_MISMATCH");
    const twice = loose(client).rpc("search_messages", {}, { get: true });
    twice.url.searchParams.append("p_tenant_id", OTHER);
    assert.equal((await twice).error.code, "BH_TENANT_MISMATCH");
    const whole = loose(client).rpc("search_messages", {});
    whole.headers.set("prefer", "params=single-object");
    assert.equal((await whole).error.code, "BH_HEADER");
    const elsewhere = loose(client).rpc("my_totals", {});
    elsewhere.url.pathname = "/rest/v1/rpc/other";
    assert.equal((await elsewhere).error.code, "BH_RPC");
    assert.equal(sent.length, 0);
  });

  test("takes no rule that is none", () => {
    for (const rpc of [{ a: "yes" }, { a: {} }, { a: { tenant: "x y" } }, { "a b": "context" }]) {
      assert.throws(() => recorded({ rpc: loose(rpc) }), { code: "BH_RPC", kind: "usage" });
    }
  });
});

const HOSTILE = [
  "",
  ".",
  "..",
  "../x",
  `../${OTHER}/x`,
  "a/../x",
  `a/../../${OTHER}/x`,
  "a//b",
  "/a",
  `/${OTHER}/a`,
  "a/",
  "a\\..\\b",
  "%2e%2e/x",
  "%2E%2E%2Fx",
  "..%2fx",
  "a%2fb",
  "%252e%252e%252fx",
  "a%00",
  "a\u0000b",
  "a\nb",
  "\u2024\u2024/x",
  "\uff0e\uff0e/x",
  "\u2025/x",
  "a\u2215b",
  "a\uff0fb",
  "ä",
  "a?x=y",
  "a#b",
  "a/ ../x",
  " /x",
  "...",
  undefined,
  null,
  7,
  ["a"],
  { path: "a" },
];

describe("storage of a tenant client", () => {
  const answer = ({ url, body }: Sent): Response => {
    const route = url.pathname.replace("/storage/v1/object/", "");
    if (route.startsWith("list/")) return Response.json([{ name: "7.pdf" }]);
    if (route.startsWith("sign/") && loose(body).paths) {
      return Response.json(loose(body).paths.map((path: string) => ({ path, signedURL: "/x?t" })));
    }
    if (route === "contracts") return Response.json([{ name: `${OWN}/a.pdf` }]);
    return Response.json({ Key: "k", Id: "1", url: "/object/upload/sign/x?token=t" });
  };

  test("keeps every object in the tenant's folder, and shows paths without it", async () => {
    const { client, sent } = recorded({}, answer);
    const bucket = client.storage.from("contracts");
    const { data } = await bucket.upload("2026/7.pdf", "text");
    assert.equal(data?.path, "2026/7.pdf");
    await bucket.update("7.pdf", new Blob(["x"]));
    await bucket.download("a b/7.pdf");
    await bucket.info("7.pdf");
    await bucket.exists("7.pdf");
    await bucket.createSignedUrl("7.pdf", 60);
    const upload = await bucket.createSignedUploadUrl("7.pdf");
    assert.equal(upload.data?.path, "7.pdf");
    await bucket.uploadToSignedUrl("7.pdf", "token", "x");
    for (const { url, headers } of sent) {
      const path = url.pathname.split("/contracts/")[1];
      assert.ok(path?.startsWith(`${OWN}/`), url.pathname);
      assert.equal(headers.get("x-tenant-id"), OWN);
      assert.equal(headers.get("authorization"), "Bearer sb_secret_test");
    }
    sent.length = 0;
    assert.deepEqual((await bucket.list()).data, loose([{ name: "7.pdf" }]));
    await bucket.list("2026", { search: "../x", limit: 3 });
    const signed = await bucket.createSignedUrls(["a.pdf", "b/c.pdf"], 60);
    assert.deepEqual(signed.data?.map(({ path }) => path), ["a.pdf", "b/c.pdf"]);
    await bucket.move("a.pdf", "b.pdf");
    await bucket.copy("a.pdf", "b.pdf", { destinationBucket: "archive" });
    const removed = await bucket.remove(["a.pdf", { path: "b.pdf", versionId: "1" }]);
    assert.equal(removed.data?.[0]?.name, "a.pdf");
    const bodies = sent.map(({ body }) => loose(body));
    assert.deepEqual(bodies.slice(0, 2).map(({ prefix }) => prefix), [OWN, `${OWN}/2026`]);
    assert.deepEqual(bodies[2].paths, [`${OWN}/a.pdf`, `${OWN}/b/c.pdf`]);
    for (const body of bodies.slice(3, 5)) {
      assert.deepEqual([body.sourceKey, body.destinationKey], [`${OWN}/a.pdf`, `${OWN}/b.pdf`]);
    }
    assert.deepEqual(bodies[5].prefixes, [`${OWN}/a.pdf`, {
      path: `${OWN}/b.pdf`,
      versionId: "1",
    }]);
    const { publicUrl } = bucket.getPublicUrl("7.pdf").data;
    assert.equal(
      publicUrl,
      `https://project.supabase.co/storage/v1/object/public/contracts/${OWN}/7.pdf`,
    );
  });

  for (const path of HOSTILE) {
    test(`refuses the path ${JSON.stringify(path)} in every method, before a request leaves`, async () => {
      const { client, sent } = recorded();
      const bucket = loose(client).storage.from("contracts");
      const methods: [string, () => unknown][] = [
        ["upload", () => bucket.upload(path, "x")],
        ["update", () => bucket.update(path, "x")],
        ["download", () => bucket.download(path)],
        ["info", () => bucket.info(path)],
        ["exists", () => bucket.exists(path)],
        ["createSignedUrl", () => bucket.createSignedUrl(path, 60)],
        ["createSignedUrls", () => bucket.createSignedUrls(["a", path], 60)],
        ["createSignedUploadUrl", () => bucket.createSignedUploadUrl(path)],
        ["uploadToSignedUrl", () => bucket.uploadToSignedUrl(path, "t", "x")],
        ["getPublicUrl", () => bucket.getPublicUrl(path)],
        ["move from", () => bucket.move(path, "a")],
        ["move to", () => bucket.move("a", path)],
        ["copy from", () => bucket.copy(path, "a")],
        ["copy to", () => bucket.copy("a", path)],
        ["remove", () => bucket.remove(["a", path])],
      ];
      // An empty folder is the tenant's own, a slash at its end is none of its name.
      if (path && path !== "a/") methods.push(["list", () => bucket.list(path)]);
      for (const [name, call] of methods) {
        // An entry { path } is a way to name a version to remove; here the path in it is fine.
        if (name === "remove" && typeof path === "object" && path !== null) continue;
        await assert.rejects(async () => await call(), { code: "BH_STORAGE_PATH" }, name);
      }
      assert.equal(sent.length, 0);
    });
  }

  test("refuses buckets whose name leads elsewhere, and has nothing of other buckets", async () => {
    const { client, sent } = recorded();
    for (const name of ["", "a/b", "..", "a..b", "a?b", "%2e", undefined, "a b", ".a"]) {
      assert.throws(() => loose(client).storage.from(name), { code: "BH_STORAGE_PATH" }, name);
    }
    const bucket = client.storage.from("contracts");
    await assert.rejects(bucket.copy("a", "b", { destinationBucket: "../x" }), {
      code: "BH_STORAGE_PATH",
    });
    for (const name of ["listBuckets", "emptyBucket", "deleteBucket", "analytics", "vectors"]) {
      assert.equal(loose(client.storage)[name], undefined, name);
    }
    for (const name of ["listV2", "purgeCache", "setHeader", "fetch", "headers"]) {
      assert.equal(loose(bucket)[name], undefined, name);
    }
    assert.equal(sent.length, 0);
  });

  test("has a folder of its own for every tenant, also where Storage compares with ILIKE", () => {
    const tenants = ["acme", "Acme", "ACME", "a_me", "a%me", "a.me", "a/me", "..", "a=me", "a me"];
    const folders = tenants.map(tenantFolder);
    assert.equal(new Set(folders.map((folder) => folder.toLowerCase())).size, tenants.length);
    for (const folder of folders) assert.match(folder, /^[a-z0-9=-]+$/);
    assert.equal(tenantFolder(OWN), OWN);
  });
});

describe("functions of a tenant client", () => {
  test("carry the context, and neither another key nor another function", async () => {
    const { client, sent } = recorded({ key: "eyJ.service.key", requestId: "req-1" });
    await client.functions.invoke("send-mail", { body: { to: "a" }, headers: { "x-own": "1" } });
    const { url, headers, body } = only(sent);
    assert.equal(url.pathname, "/functions/v1/send-mail");
    assert.deepEqual(body, { to: "a" });
    assert.equal(headers.get("x-own"), "1");
    for (
      const [name, value] of [
        ["x-tenant-id", OWN],
        ["x-actor", "tests"],
        ["x-request-id", "req-1"],
        ["authorization", "Bearer eyJ.service.key"],
      ] as const
    ) assert.equal(headers.get(name), value);
    for (
      const name of ["", "../rest/v1/messages", "a/../b", "a//b", "a?b?c", "a%2fb", "..", "a#b"]
    ) {
      await assert.rejects(client.functions.invoke(name), { code: "BH_GATE" }, name);
    }
    for (const name of ["x-tenant-id", "X-Actor", "Authorization", "apikey"]) {
      const { error } = await client.functions.invoke("send-mail", { headers: { [name]: "x" } });
      assert.equal(error?.context.status, 403, name);
    }
    assert.equal(sent.length, 1);
    await client.functions.invoke("api/units/7?full=1", { method: "GET" });
    assert.equal(sent[1]?.url.href, "https://project.supabase.co/functions/v1/api/units/7?full=1");
  });

  test("get a key that is no token as apikey alone, as supabase-js does", async () => {
    const { client, sent } = recorded();
    await client.functions.invoke("send-mail");
    assert.equal(only(sent).headers.get("authorization"), null);
    assert.equal(only(sent).headers.get("apikey"), "sb_secret_test");
  });
});

describe("a service token", () => {
  test("is what requests arrive as, and the key only opens the gateway", async () => {
    const { client, sent } = recorded({
      key: "sb_publishable_x",
      serviceToken: "eyJ.bulkhead.service",
    });
    await client.from("messages").select();
    await client.storage.from("contracts").list();
    for (const { headers } of sent) {
      assert.equal(headers.get("apikey"), "sb_publishable_x");
      assert.equal(headers.get("authorization"), "Bearer eyJ.bulkhead.service");
    }
    for (const serviceToken of ["", "a b", "a\nb"]) {
      assert.throws(() => recorded({ serviceToken }), { code: "BH_CLIENT" });
    }
  });
});

describe("asPlatform()", () => {
  const until = (minutes: number) => new Date(Date.now() + minutes * 60_000).toISOString();
  const reason = "ticket 812: a lost invoice";

  test("puts who and why on record first, then is a plain client", async () => {
    const { client, sent } = recorded(
      { requestId: "req-1" },
      ({ url }) => Response.json(url.pathname.includes("/rpc/") ? until(15) : []),
    );
    const platform = await client.asPlatform({ reason, minutes: 5 });
    await platform.from("tenants").select("id");
    assert.equal(sent[0]?.url.pathname, "/rest/v1/rpc/record_platform_access");
    assert.equal(sent[0]?.headers.get("content-profile"), "bulkhead_api");
    assert.deepEqual(sent[0]?.body, { reason, minutes: 5 });
    assert.equal(sent[1]?.url.search, "?select=id");
    for (const { headers } of sent) {
      assert.equal(headers.get("x-actor"), "tests");
      assert.equal(headers.get("x-request-id"), "req-1");
      assert.equal(headers.get("x-tenant-id"), null);
    }
  });

  test("needs a reason, and an actor", async () => {
    const { client, sent } = recorded();
    for (const wrong of ["", "short", " ".repeat(20), "x".repeat(501), undefined, 7, [reason]]) {
      await assert.rejects(client.asPlatform({ reason: loose(wrong) }), { code: "BH_PLATFORM" });
    }
    for (const minutes of [0, -1, 61, 1.5, NaN, "5"]) {
      await assert.rejects(client.asPlatform({ reason, minutes: loose(minutes) }), {
        code: "BH_PLATFORM",
      });
    }
    const address = { url: "https://project.supabase.co", key: "k", reason };
    await assert.rejects(asPlatform({ ...address, actor: "" }), { code: "BH_ACTOR" });
    assert.equal(sent.length, 0);
  });

  test("gives no client when the reason could not be recorded, and none after its time", async () => {
    for (
      const answer of [
        () => Response.json({ code: "42501", message: "no" }, { status: 403 }),
        () => Response.json({ code: "PGRST106", message: "not exposed" }, { status: 406 }),
        () => Response.json(null),
        () => Response.json("soon"),
      ]
    ) {
      const { client } = recorded({}, answer);
      await assert.rejects(client.asPlatform({ reason }), { code: "BH_PLATFORM" });
    }
    const { client, sent } = recorded({}, () => Response.json(until(-1)));
    const late = await client.asPlatform({ reason });
    await assert.rejects(async () => await late.from("tenants").select("id").throwOnError());
    assert.equal(sent.length, 1);
  });
});
