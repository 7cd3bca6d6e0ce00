import { person } from "./identities.ts";
import { reading } from "./member.ts";
import { READ_MESSAGES } from "./statements.ts";
import type { Attack } from "./types.ts";

const headers: Attack[] = [
  ["header-victim", "names another tenant in x-tenant-id", (tenant: string) => tenant],
  [
    "header-list",
    "names two tenants in one header",
    (tenant: string, own: string) => tenant === own ? own : `${own},${tenant}`,
  ],
  [
    "header-prefix",
    "names all but the last digit of another tenant",
    (tenant: string, own: string) => tenant === own ? own : tenant.slice(0, -1),
  ],
  [
    "header-wildcard",
    "names every tenant by a pattern",
    (tenant: string, own: string) => tenant === own ? own : "%",
  ],
  [
    "header-sql",
    "writes SQL into x-tenant-id",
    (tenant: string, own: string) => tenant === own ? own : `${own}' or tenant_id = '${tenant}`,
  ],
].map(([id, doing, forge]) =>
  reading({
    id: String(id),
    threat: "forged header",
    title: `owner ${doing}`,
    as: (context, target) =>
      person("owner", () => ({
        headers: {
          "x-tenant-id": typeof forge === "function"
            ? forge(target.tenant, context.own.tenant)
            : "",
        },
      }))(context, target),
    step: READ_MESSAGES,
  })
);

const claims: Attack[] = [
  reading({
    id: "claim-user-metadata",
    threat: "forged claims",
    title: "owner writes another tenant into user_metadata",
    as: person("owner", ({ tenant }) => ({ claims: { user_metadata: { tenant_id: tenant } } })),
    step: READ_MESSAGES,
  }),
  reading({
    id: "claim-app-metadata",
    threat: "forged claims",
    title: "owner's stale token still names another tenant in app_metadata",
    as: person("owner", ({ tenant }) => ({ claims: { app_metadata: { tenant_id: tenant } } })),
    step: READ_MESSAGES,
  }),
  reading({
    id: "claim-top-level",
    threat: "forged claims",
    title: "owner adds a tenant_id claim at the top level",
    as: person("owner", ({ tenant }) => ({ claims: { tenant_id: tenant } })),
    step: READ_MESSAGES,
  }),
  reading({
    id: "claim-service-role",
    threat: "forged claims",
    title: "claims say service_role while the connection is authenticated",
    as: person(
      "owner",
      ({ tenant }) => ({ claims: { role: "service_role" }, headers: { "x-tenant-id": tenant } }),
    ),
    controlAs: person("owner"),
    step: READ_MESSAGES,
  }),
  ...[
    ["claim-no-sub", "a token without a subject", { sub: null }],
    ["claim-garbage-sub", "a token whose subject is no uuid", { sub: "' or true --" }],
    ["claim-array-sub", "a token whose subject is a list", { sub: ["a", "b"] }],
    ["claim-unknown-sub", "a token of a user who does not exist", {
      sub: "00000000-0000-4000-8000-000000000000",
    }],
  ].map(([id, title, forged]) =>
    reading({
      id: String(id),
      threat: "forged claims",
      title: String(title),
      as: person("owner", () => ({ claims: { ...(typeof forged === "object" ? forged : {}) } })),
      controlAs: person("owner"),
      step: READ_MESSAGES,
    })
  ),
  ...[["claim-garbage", "claims that are no JSON", "{role: authenticated"], [
    "claim-empty",
    "no claims at all",
    "",
  ]].map(
    ([id, title, raw]) =>
      reading({
        id: String(id),
        threat: "forged claims",
        title: String(title),
        as: () => ({ role: "authenticated", claims: String(raw) }),
        controlAs: person("owner"),
        step: READ_MESSAGES,
      }),
  ),
  reading({
    id: "setting-tenant",
    threat: "forged header",
    title: "owner sets bulkhead.tenant in the transaction",
    as: person("owner", ({ tenant }) => ({ settings: { "bulkhead.tenant": tenant } })),
    step: READ_MESSAGES,
  }),
  reading({
    id: "membership-narrowed",
    threat: "forged header",
    title: "a member of two tenants reads the one that the request did not choose",
    as: person("both", () => ({})),
    controlAs: person("both"),
    controlStep: async (db, _, { own }) =>
      (await db`select id from public.messages where tenant_id = ${own.tenant} limit 5`).length,
    step: async (db, _, { own }) => {
      await db`select set_config('request.headers', ${
        JSON.stringify({ "x-tenant-id": own.tenant })
      }, true)`;
      return (await db`select id from public.messages where tenant_id <> ${own.tenant} limit 5`)
        .length;
    },
  }),
];

/** Headers, claims and settings that name a tenant which the user has no part in. */
export const forgeries: Attack[] = [...headers, ...claims];
