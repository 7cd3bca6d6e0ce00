import { loose } from "./recorded-client.ts";

/** Rows of one tenant to aim at. */
export type Target = {
  tenant: string;
  development: string;
  unit: string;
  message: string;
  attempt: string;
};

/** A query of supabase-js, as any of the clients begins it. */
// deno-lint-ignore no-explicit-any
type From = (table: string) => any;
type Answer = PromiseLike<
  { data: unknown; error: { code?: string } | null; count?: number | null }
>;

/** One attempt at another tenant, the same words through every layer. */
export type Attempt = {
  threat: string;
  title: string;
  writes: boolean;
  run(from: From, own: Target, victim: Target): Answer;
};

/** One attempt at the wrapper alone: there is nothing like it below. */
export type WrapperAttempt = {
  threat: string;
  title: string;
  run(client: unknown, victim: Target): unknown;
};

const READ = ["messages", "units", "developments", "members", "onboarding_attempts"];

const idOf = (table: string, at: Target): string =>
  ({ messages: at.message, units: at.unit, developments: at.development })[table] ?? at.attempt;

/** A whole row of a table, belonging to one tenant. */
function row(table: string, { tenant, development, unit }: Target): Record<string, unknown> {
  const rows: Record<string, Record<string, unknown>> = {
    messages: { development_id: development, unit_id: unit, sender: "staff", body: "hostile" },
    units: { development_id: development, label: `H-${crypto.randomUUID().slice(0, 8)}` },
    developments: { name: "Hostile", city: "Nowhere" },
    onboarding_attempts: { email: "hostile@example.com", succeeded: false },
  };
  return { ...rows[table], tenant_id: tenant };
}

/** Another value every time: an update that changes nothing would look like one that was stopped. */
const CHANGE: Record<string, () => Record<string, unknown>> = {
  messages: () => ({ body: crypto.randomUUID() }),
  units: () => ({ floor: Math.floor(Math.random() * 1e6) }),
  developments: () => ({ city: crypto.randomUUID() }),
  onboarding_attempts: () => ({ error: crypto.randomUUID() }),
};

/** Everything that a forgotten or a forged filter can say. */
const FILTERS: Record<string, (query: ReturnType<From>, own: Target, victim: Target) => Answer> = {
  "no filter": (q) => q,
  "the other tenant": (q, _, v) => q.eq("tenant_id", v.tenant),
  "all but the own": (q, o) => q.neq("tenant_id", o.tenant),
  "both tenants": (q, o, v) => q.in("tenant_id", [o.tenant, v.tenant]),
  "not the own": (q, o) => q.not("tenant_id", "eq", o.tenant),
  "a raw filter": (q, _, v) => q.filter("tenant_id", "eq", v.tenant),
  "or the other": (q, o, v) => q.or(`tenant_id.eq.${o.tenant},tenant_id.eq.${v.tenant}`),
  "a range of ids": (q) => q.gte("tenant_id", "00000000-0000-0000-0000-000000000000"),
  "a match": (q, _, v) => q.match({ tenant_id: v.tenant }),
};

/** Strings that try to close or outweigh the filter beside them. */
const OR_STRINGS: ((own: Target, victim: Target) => string)[] = [
  () => "id.not.is.null",
  () => "id.not.is.null,id.is.null",
  (_, v) => `tenant_id.eq.${v.tenant}`,
  (o) => `tenant_id.neq.${o.tenant}`,
  (o) => `not.and(tenant_id.eq.${o.tenant},id.is.null)`,
  (o) => `not.or(tenant_id.eq.${o.tenant})`,
  () => "and(id.not.is.null)",
  () => "or(id.not.is.null,or(id.not.is.null))",
  () => "id.not.is.null)",
  () => "id.not.is.null))",
  () => "(id.not.is.null",
  () => "id.not.is.null),or=(id.not.is.null",
  (_, v) => `id.not.is.null)&tenant_id=eq.${v.tenant}&or=(id.not.is.null`,
  () => "id.not.is.null%29%26or%3D%28id.not.is.null",
  () => "id.not.is.null%2Cid.is.null",
  () => 'id.not.is.null,"tenant_id".not.is.null',
  () => '"id.not.is.null"',
  () => "id.not.is.null--",
  () => "id.not.is.null;select 1",
  () => "1.eq.1",
  () => "id.in.(select)",
  (_, v) => `tenant_id.in.(${v.tenant})`,
  () => "tenant_id.not.is.null,tenant_id.is.null",
  () => "id.not.is.null\n,id.is.null",
  () => "\\,id.not.is.null",
  () => "",
  () => ",",
  () => "and()",
];

const reads: Attempt[] = READ.flatMap((table) =>
  Object.entries(FILTERS).map(([what, filter]) => ({
    threat: "read",
    title: `${table}: ${what}`,
    writes: false,
    run: (from, own, victim) => filter(from(table).select("*"), own, victim),
  }))
);

const counts: Attempt[] = READ.map((table) => ({
  threat: "count",
  title: `${table}: how many there are`,
  writes: false,
  run: (from) => from(table).select("*", { count: "exact", head: true }),
}));

const ors: Attempt[] = ["messages", "units"].flatMap((table) =>
  OR_STRINGS.map((text, index) => ({
    threat: "or() that closes the filter",
    title: `${table}: string ${index + 1}`,
    writes: false,
    run: (from: From, own: Target, victim: Target) => from(table).select("*").or(text(own, victim)),
  }))
);

const WRITTEN = Object.keys(CHANGE);

const inserts: Attempt[] = WRITTEN.flatMap((table) =>
  ([
    ["one row", (from, _, v) => from(table).insert(row(table, v))],
    ["the last of a batch", (from, o, v) => from(table).insert([row(table, o), row(table, v)])],
    ["the first of a batch", (from, o, v) => from(table).insert([row(table, v), row(table, o)])],
    ["and reads it back", (from, _, v) => from(table).insert(row(table, v)).select("*")],
    ["a batch of its own", (from, _, v) => from(table).insert([row(table, v), row(table, v)])],
  ] as [string, Attempt["run"]][]).map(([what, run]) => ({
    threat: "insert",
    title: `${table}: ${what}`,
    writes: true,
    run,
  }))
);

const updates: Attempt[] = WRITTEN.flatMap((table) => [
  ...Object.entries(FILTERS).map(([what, filter]) => ({
    threat: "update",
    title: `${table}: ${what}`,
    writes: true,
    run: (from: From, own: Target, victim: Target) =>
      filter(from(table).update(CHANGE[table]?.()), own, victim),
  })),
  {
    threat: "update",
    title: `${table}: by its id`,
    writes: true,
    run: (from: From, _: Target, v: Target) =>
      from(table).update(CHANGE[table]?.()).eq("id", idOf(table, v)),
  },
  {
    threat: "move a row",
    title: `${table}: out of the own tenant`,
    writes: true,
    run: (from: From, o: Target, v: Target) =>
      from(table).update({ tenant_id: v.tenant }).eq("id", idOf(table, o)),
  },
  {
    threat: "move a row",
    title: `${table}: into the own tenant`,
    writes: true,
    run: (from: From, o: Target, v: Target) =>
      from(table).update({ tenant_id: o.tenant }).eq("id", idOf(table, v)),
  },
]);

const deletes: Attempt[] = ["messages", "onboarding_attempts"].flatMap((table) =>
  // What reaches own rows too is left to the updates: these would be gone for the attempts after.
  ["the other tenant", "all but the own", "not the own", "a raw filter", "a match"].map((what) => ({
    threat: "delete",
    title: `${table}: ${what}`,
    writes: true,
    run: (from: From, own: Target, victim: Target) =>
      FILTERS[what]?.(from(table).delete(), own, victim) as Answer,
  })).concat({
    threat: "delete",
    title: `${table}: by its id`,
    writes: true,
    run: (from: From, _: Target, v: Target) => from(table).delete().eq("id", idOf(table, v)),
  })
);

const upserts: Attempt[] = WRITTEN.flatMap((table) =>
  ([
    ["over its row", (from, o, v) =>
      from(table).upsert({ ...row(table, o), id: idOf(table, v) }, { onConflict: "id" })],
    ["as the other tenant", (from, _, v) =>
      from(table).upsert({ ...row(table, v), id: idOf(table, v) }, { onConflict: "id" })],
    ["as the other tenant, on its key", (from, _, v) =>
      from(table).upsert({ ...row(table, v), id: idOf(table, v) }, { onConflict: "tenant_id,id" })],
    ["in a batch", (from, o, v) =>
      from(table).upsert([row(table, o), { ...row(table, v) }], { onConflict: "tenant_id,id" })],
  ] as [string, Attempt["run"]][]).map(([what, run]) => ({
    threat: "upsert",
    title: `${table}: ${what}`,
    writes: true,
    run,
  }))
);

const forged: Attempt[] = ([
  [
    "a message under its unit",
    (from, o, v) => from("messages").insert({ ...row("messages", o), unit_id: v.unit }),
  ],
  [
    "a message under its development",
    (from, o, v) =>
      from("messages").insert({ ...row("messages", o), development_id: v.development }),
  ],
  [
    "a unit in its development",
    (from, o, v) => from("units").insert({ ...row("units", o), development_id: v.development }),
  ],
  [
    "its own message moved under its unit",
    (from, o, v) => from("messages").update({ unit_id: v.unit }).eq("id", o.message),
  ],
] as [string, Attempt["run"]][]).map(([title, run]) => ({
  threat: "forged foreign key",
  title,
  writes: true,
  run,
}));

/** Attempts that go through every layer. */
export const attempts: readonly Attempt[] = [
  ...reads,
  ...counts,
  ...ors,
  ...inserts,
  ...updates,
  ...deletes,
  ...upserts,
  ...forged,
];

const SELECTS = [
  "*,tenants(*)",
  "*,tenants!inner(*)",
  "*,t:tenants(*)",
  "*,...tenants(name)",
  "*,units(*,tenants(*))",
  "*,a:units!x(*),units!y(*)",
  "*,units(*),units(*)",
  "*,tenants(count)",
  '*,"tenants"(*)',
  "*,unit_id(*)",
  "*,messages_unit_id_fkey(*)",
  "*,units(*",
  "*,units(*))",
  "*,auth.users(*)",
  "*,units(*)::text",
];
const TAMPERED: Record<string, (query: ReturnType<From>, victim: Target) => unknown> = {
  "filter taken off": (q) => q.url.searchParams.delete("tenant_id"),
  "filter of another": (q, v) => q.url.searchParams.set("tenant_id", `eq.${v.tenant}`),
  "operator turned": (q) => q.url.searchParams.set("tenant_id", "not.is.null"),
  "another table": (q) => q.url.pathname = "/rest/v1/tenants",
  "another service": (q) => q.url.pathname = "/auth/v1/admin/users",
  "another host": (q) => q.url.host = "evil.example",
  "a dotted path": (q) => q.url.pathname = "/rest/v1/messages/../tenants",
  "a coded path": (q) => q.url.pathname = "/rest/v1/rpc%2fx",
  "two selects": (q) => q.url.searchParams.append("select", "*,tenants(*)"),
  "another method": (q) => q.method = "PUT",
};
const HEADERS = ["x-tenant-id", "X-Actor", "x-request-id", "authorization", "apikey"];
const PATHS = [
  "..",
  "../x",
  "a/../../x",
  "/x",
  "a\\..\\x",
  "%2e%2e/x",
  "..%2fx",
  "%252e%252e/x",
  "a\u0000b",
  "\u2024\u2024/x",
  "\uff0e\uff0e/x",
  "a//b",
  "a?b",
  "a#b",
  "",
  ".",
];

/** Attempts at the wrapper alone: what they aim at has no counterpart below, or is another service. */
export const wrapperAttempts: readonly WrapperAttempt[] = [
  ...SELECTS.map((select) => ({
    threat: "embed",
    title: select,
    run: (client: unknown) => loose(client).from("messages").select(select),
  })),
  ...Object.entries(TAMPERED).map(([title, tamper]) => ({
    threat: "tampered request",
    title,
    run(client: unknown, victim: Target) {
      const query = loose(client).from("messages").select("*");
      tamper(query, victim);
      return query;
    },
  })),
  ...HEADERS.map((name) => ({
    threat: "forged header",
    title: name,
    run: (client: unknown, victim: Target) =>
      loose(client).from("messages").select("*").setHeader(name, victim.tenant),
  })),
  ...["tenants", "", "messages?x=y", "../rpc/x", "__proto__", "auth.users"].map((table) => ({
    threat: "table that is no tenant's",
    title: JSON.stringify(table),
    run: (client: unknown) => loose(client).from(table).select("*"),
  })),
  ...["search_messages", "", "__proto__", "../messages"].map((name) => ({
    threat: "function",
    title: JSON.stringify(name),
    run: (client: unknown, victim: Target) =>
      loose(client).rpc(name, { p_tenant_id: victim.tenant }),
  })),
  ...PATHS.flatMap((path) =>
    (["download", "upload", "remove", "copy"] as const).map((method) => ({
      threat: "storage path",
      title: `${method} ${JSON.stringify(path)}`,
      run(client: unknown) {
        const bucket = loose(client).storage.from("contracts");
        return method === "remove" ? bucket.remove([path]) : bucket[method](path, "x");
      },
    }))
  ),
  ...["auth", "realtime", "rest", "channel", "schema"].map((name) => ({
    threat: "rest of supabase-js",
    title: name,
    run: (client: unknown) => loose(client)[name]("public"),
  })),
];
