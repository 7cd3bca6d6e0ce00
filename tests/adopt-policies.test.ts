import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { tree } from "../functions/_core/adapters/policy-parser.ts";
import type { Policy, Table } from "../functions/_core/adopt/catalog.ts";
import { judgePolicy } from "../functions/_core/adopt/policy-verdict.ts";

const column = (name: string, type = "uuid") => ({
  name,
  type,
  notNull: true,
  default: null,
  generated: false,
  identity: false,
});

function table(name: string, columns: ReturnType<typeof column>[]): Table {
  return {
    ...{
      id: `public.${name}`,
      schema: "public",
      name,
      partitioned: false,
      parent: null,
      isPartition: false,
      rows: 0,
      rls: true,
    },
    ...{
      forced: false,
      owner: "postgres",
      ownerBypasses: true,
      columns,
      constraints: [],
      indexes: [],
      policies: [],
      grants: [],
      triggers: [],
    },
  };
}

const messages = table("messages", [
  column("id"),
  column("tenant_id"),
  column("author_id"),
  column("is_public", "boolean"),
]);
const members = table("members", [
  column("tenant_id"),
  column("user_id"),
  column("role", "text"),
  column("is_active", "boolean"),
]);

async function rules(
  using: string | null,
  options: { check?: string; command?: Policy["command"]; on?: Table; roles?: string[] } = {},
): Promise<string[]> {
  const { check = null, command = "r", on = messages, roles = ["authenticated"] } = options;
  const policy: Policy = { name: "p", permissive: true, command, roles, using, check };
  const verdict = judgePolicy({ policy, using: await tree(using), check: await tree(check) }, {
    table: on,
    tenantColumn: "tenant_id",
    membership: { name: "members", user: "user_id", tenant: "tenant_id", isThis: on === members },
    routines: [
      {
        ...{
          id: "public.lucky()",
          schema: "public",
          definer: false,
          searchPath: true,
          anon: false,
          member: true,
          body: "",
        },
        trigger: false,
        name: "lucky",
        volatility: "v",
        grants: [],
      },
    ],
  });
  return verdict.problems.map((one) => one.rule).sort();
}

const MINE =
  "tenant_id in (select m.tenant_id from members m where m.user_id = (select auth.uid()))";

describe("judgePolicy()", () => {
  test("has nothing to say about a policy that ties the row to a tenant of its reader", async () => {
    assert.deepEqual(await rules(MINE), []);
    assert.deepEqual(
      await rules(
        "exists (select 1 from members m where m.tenant_id = messages.tenant_id and m.user_id = (select auth.uid()))",
      ),
      [],
    );
    assert.deepEqual(await rules(MINE, { command: "*", check: MINE }), []);
    assert.deepEqual(
      await rules("tenant_id = ((select auth.jwt()) -> 'app_metadata' ->> 'tenant_id')::uuid"),
      [],
    );
    assert.deepEqual(await rules(null, { command: "a", check: MINE }), []);
  });

  const wrong: [string, string, string][] = [
    ["true", "constant_true", "the constant"],
    ["1 = 1", "constant_true", "a comparison of constants"],
    ["tenant_id = tenant_id", "constant_true", "a column with itself"],
    ["not false", "constant_true", "the negated opposite"],
    ["(true and (2 = 2))", "constant_true", "two constants"],
    [`${MINE} or true`, "or_true", "an OR that is true"],
    [
      `${MINE} or (is_public = true and 1 = 1) or 'a' = 'a'`,
      "or_true",
      "an OR hidden among others",
    ],
    [`tenant_id is null or ${MINE}`, "null_tolerant", "a missing tenant"],
    [
      "tenant_id = (select nullif(current_setting('app.tenant', true), '')::uuid) or current_setting('app.tenant', true) is null",
      "null_tolerant",
      "a missing context",
    ],
    [
      "tenant_id is not distinct from (select nullif(current_setting('app.tenant', true), '')::uuid)",
      "null_tolerant",
      "IS NOT DISTINCT FROM",
    ],
    [
      "coalesce(tenant_id, (select auth.uid())) = (select auth.uid())",
      "null_tolerant",
      "coalesce()",
    ],
    ["tenant_id <> (select auth.uid())", "inverted", "a different tenant"],
    [`not (${MINE})`, "inverted", "a negation"],
    ["(select auth.role()) = 'authenticated'", "no_own_column", "a role alone"],
    [
      "exists (select 1 from members m where m.user_id = (select auth.uid()))",
      "membership_without_tenant",
      "any membership",
    ],
    [
      "author_id in (select m.user_id from members m where m.user_id = (select auth.uid()))",
      "membership_without_tenant",
      "the wrong column",
    ],
    ["tenant_id::text = current_user", "current_user", "the pool's role"],
    [
      "tenant_id = '6f1d2f3a-0000-4000-8000-000000000001'::uuid",
      "literal_tenant",
      "one tenant in the text",
    ],
    [
      "tenant_id in ('6f1d2f3a-0000-4000-8000-000000000001'::uuid, '6f1d2f3a-0000-4000-8000-000000000002'::uuid)",
      "literal_tenant",
      "two of them",
    ],
    [
      "tenant_id = any (array['6f1d2f3a-0000-4000-8000-000000000001'::uuid])",
      "literal_tenant",
      "an array of them",
    ],
    [
      "tenant_id = ((select auth.jwt()) -> 'user_metadata' ->> 'tenant_id')::uuid",
      "user_metadata",
      "what the user wrote",
    ],
    [
      "tenant_id::text = (select u.raw_user_meta_data ->> 'tenant' from auth.users u where u.id = (select auth.uid()))",
      "user_metadata",
      "the same in its table",
    ],
    ["tenant_id = auth.uid()", "unwrapped_function", "a call for each row"],
    ["tenant_id = (select lucky())", "volatile_function", "a volatile function"],
  ];
  for (const [expression, rule, what] of wrong) {
    test(`finds ${rule}: ${what}`, async () => {
      const found = await rules(expression);
      assert.ok(found.includes(rule), `${expression}: ${found.join(", ")}`);
    });
  }

  test("finds a missing WITH CHECK, and roles that hold for everybody", async () => {
    assert.deepEqual(await rules(MINE, { command: "w" }), ["with_check_missing"]);
    assert.deepEqual(await rules(MINE, { command: "*" }), ["with_check_missing"]);
    assert.deepEqual(await rules(MINE, { command: "d" }), []);
    assert.deepEqual(await rules(MINE, { roles: ["public"] }), ["for_everybody"]);
    assert.deepEqual(await rules(null, { command: "a", check: "true" }), ["constant_true"]);
  });

  test("finds who may insert themselves into a tenant or raise their own role", async () => {
    const self = "user_id = (select auth.uid())";
    assert.deepEqual(await rules(null, { on: members, command: "a", check: self }), [
      "self_insert",
      "self_promotion",
    ]);
    assert.deepEqual(await rules(self, { on: members, command: "w", check: self }), [
      "self_promotion",
    ]);
    assert.deepEqual(await rules(self, { on: members, command: "*" }), [
      "self_insert",
      "self_promotion",
      "with_check_missing",
    ]);
    assert.deepEqual(await rules(self, { on: members, command: "r" }), []);
    const same =
      "tenant_id in (select m.tenant_id from members m where m.user_id = (select auth.uid()))";
    assert.deepEqual(await rules(null, { on: members, command: "a", check: same }), [
      "self_promotion",
    ]);
    const owners =
      "tenant_id in (select m.tenant_id from members m where m.user_id = (select auth.uid()) and m.role = 'owner')";
    assert.deepEqual(await rules(null, { on: members, command: "a", check: owners }), []);
  });
});
