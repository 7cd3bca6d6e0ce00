import assert from "node:assert/strict";
import type { Database } from "../../examples/openhouse/database.ts";
import {
  createTenantClient,
  type TenantClient,
  type TenantClientOptions,
} from "../../functions/_core/adapters/supabase.ts";

export const OWN = "11111111-1111-4111-8111-111111111111";
export const OTHER = "22222222-2222-4222-8222-222222222222";
export const TABLES = ["members", "developments", "units", "messages", "onboarding_attempts"];

/** A request that left a client; `body` is parsed where it is JSON. */
export type Sent = { method: string; url: URL; headers: Headers; body: unknown };

/** A client whose requests are kept instead of sent; `answer` says what comes back, `[]` unless told. */
export function recorded(
  options: Partial<TenantClientOptions> = {},
  answer: (sent: Sent) => Response = () =>
    Response.json([], { headers: { "content-range": "*/0" } }),
): { client: TenantClient<Database>; sent: Sent[] } {
  const sent: Sent[] = [];
  const client = createTenantClient<Database>({
    url: "https://project.supabase.co",
    key: "sb_secret_test",
    tenantId: OWN,
    actor: "tests",
    tables: TABLES,
    ...options,
    fetch: (input, init = {}) => {
      const { body } = init;
      const request = {
        method: init.method ?? "GET",
        url: new URL(String(input)),
        headers: new Headers(init.headers),
        body: typeof body === "string" && /^[[{]/.test(body) ? JSON.parse(body) : body,
      };
      sent.push(request);
      return Promise.resolve(answer(request));
    },
  });
  return { client, sent };
}

/** A programmer without types, or a hostile one: anything goes. */
// deno-lint-ignore no-explicit-any
export const loose = (client: unknown): any => client;

/** The one request that was sent. */
export function only(sent: Sent[]): Sent {
  assert.equal(sent.length, 1);
  return sent[0] as Sent;
}
