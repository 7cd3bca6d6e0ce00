import { affected, attempt, type Definition, done, rows, unfiltered } from "./attempt.ts";
import { person, platform, service } from "./identities.ts";
import { copyIn, INSERT_MESSAGE, merge, READ_MESSAGES, upsert } from "./statements.ts";
import type { Attack, Person, Step } from "./types.ts";

type Short = Omit<Definition, "layer">;
const attack = (definition: Short): Attack => attempt({ layer: "authenticated", ...definition });
const reading = (definition: Omit<Short, "reads">): Attack =>
  attack({ ...definition, reads: true });

const UPDATE_MESSAGE = affected(
  "update public.messages set body = 'defaced' where id = $1",
  "message",
);
const DELETE_MESSAGE = affected("delete from public.messages where id = $1", "message");

/** Every role of a member, with every verb, at another tenant. */
function matrix(): Attack[] {
  const verbs: [string, string, Step][] = [
    ["read", "reads messages", READ_MESSAGES],
    ["insert", "inserts a message", INSERT_MESSAGE],
    ["update", "rewrites a message", UPDATE_MESSAGE],
    ["delete", "deletes a message", DELETE_MESSAGE],
  ];
  const members: Person[] = ["owner", "manager", "agent"];
  return members.flatMap((who) =>
    verbs.map(([verb, doing, step]) =>
      attack({
        id: `${who}-${verb}`,
        threat: verb,
        title: `${who} ${doing} of another tenant`,
        as: person(who),
        step,
        ...(verb === "read" ? { reads: true } : {}),
      })
    )
  );
}

const reads: Attack[] = [
  ...(["members", "developments", "units", "onboarding_attempts"] as const).map((table) =>
    reading({
      id: `read-${table}`,
      threat: "read",
      title: `owner reads ${table} of another tenant`,
      as: person("owner"),
      step: rows(`select id from public.${table} where tenant_id = $1`, "tenant"),
    })
  ),
  reading({
    id: "read-tenants",
    threat: "read",
    title: "owner reads another tenant's own row",
    as: person("owner"),
    step: rows("select id from public.tenants where id = $1", "tenant"),
  }),
  reading({
    id: "read-unfiltered",
    threat: "read",
    title: "owner forgets the filter altogether",
    as: person("owner"),
    step: unfiltered("select tenant_id as tenant from public.messages"),
  }),
  reading({
    id: "read-join",
    threat: "read",
    title: "owner reaches messages through a join over units",
    as: person("owner"),
    step: rows(
      "select m.id from public.units as u join public.messages as m on m.unit_id = u.id where u.tenant_id = $1 limit 5",
      "tenant",
    ),
  }),
  reading({
    id: "read-cte",
    threat: "read",
    title: "owner reads inside a materialized CTE",
    as: person("owner"),
    step: rows(
      "with everything as materialized (select * from public.messages) select id from everything where tenant_id = $1 limit 5",
      "tenant",
    ),
  }),
  reading({
    id: "read-aggregate",
    threat: "read",
    title: "owner counts another tenant's messages",
    as: person("owner"),
    step: async (db, target) =>
      Number(
        (await db`select count(*) as n from public.messages where tenant_id = ${target.tenant}`)[0]
          ?.["n"],
      ),
  }),
  reading({
    id: "read-error-channel",
    threat: "read",
    title: "owner makes another tenant's rows raise a telling error",
    as: person("owner"),
    step: async (db, target) => {
      try {
        await db.unsafe("savepoint telling");
        await db.unsafe(
          "select 1 / (case when tenant_id = $1 then 0 else 1 end) from public.messages",
          [target.tenant],
        );
        return 0;
      } catch (error) {
        if (!(error instanceof Error && /division by zero/.test(error.message))) throw error;
        await db.unsafe("rollback to savepoint telling");
        return 1;
      }
    },
  }),
  reading({
    id: "read-lock",
    threat: "read",
    title: "owner locks another tenant's rows for update",
    as: person("owner"),
    step: rows("select id from public.messages where tenant_id = $1 limit 5 for update", "tenant"),
  }),
  reading({
    id: "read-copy",
    threat: "read",
    title: "owner copies the table out",
    as: person("owner"),
    step: async (db, target) => {
      // Few rows: after a COPY larger than its buffer, postgres.js leaves the socket paused.
      let text = "";
      for await (
        const chunk of await db`copy (select distinct tenant_id from public.messages) to stdout`
          .readable()
      ) text += chunk;
      return text.split("\n").filter((line) => line === target.tenant).length;
    },
  }),
  reading({
    id: "read-rpc",
    threat: "definer function",
    title: "owner searches through the application's function",
    as: person("owner"),
    step: unfiltered("select tenant_id as tenant from public.search_messages('')"),
  }),
  reading({
    id: "read-ledger",
    threat: "ledger",
    title: "owner reads another tenant's audit events",
    as: person("owner"),
    controlAs: platform,
    step: rows("select id from bulkhead.audit_events where tenant_id = $1 limit 5", "tenant"),
    setup: async (db, { own, victim }) => {
      await db`update public.messages set is_read = not is_read where id in (${own.message}, ${victim.message})`;
    },
  }),
  reading({
    id: "disabled-read",
    threat: "disabled member",
    title: "a member who left still holds a valid token",
    as: person("disabled"),
    controlAs: person("agent"),
    // What they may not see any more is their former tenant.
    step: async (db, _, { own }) =>
      (await db`select id from public.messages where tenant_id = ${own.tenant} limit 5`).length,
  }),
  reading({
    id: "stranger-read",
    threat: "read",
    title: "a signed-in user without any membership",
    as: person("stranger"),
    controlAs: person("owner"),
    step: READ_MESSAGES,
  }),
];

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

const writes: Attack[] = [
  attack({
    id: "insert-foreign-unit",
    threat: "forged foreign key",
    title: "agent writes into the own tenant under another tenant's unit",
    as: person("agent"),
    step: async (db, target, { own }) =>
      (await db`insert into public.messages (tenant_id, development_id, unit_id, sender, body)
        values (${own.tenant}, ${own.development}, ${target.unit}, 'staff', 'forged')`).count,
    harm: async (db, { own, victim }) =>
      (await db`select id from public.messages where tenant_id = ${own.tenant} and unit_id = ${victim.unit}`)
        .length,
  }),
  attack({
    id: "insert-foreign-development",
    threat: "forged foreign key",
    title: "agent writes into the own tenant under another tenant's development",
    as: person("agent"),
    step: async (db, target, { own }) =>
      (await db`insert into public.messages (tenant_id, development_id, unit_id, sender, body)
        values (${own.tenant}, ${target.development}, ${target.unit}, 'staff', 'forged')`).count,
    harm: async (db, { own, victim }) =>
      (await db`select id from public.messages where tenant_id = ${own.tenant} and development_id = ${victim.development}`)
        .length,
  }),
  attack({
    id: "insert-unit-foreign-development",
    threat: "forged foreign key",
    title: "agent builds a unit in another tenant's development",
    as: person("agent"),
    step: async (db, target, { own }) =>
      (await db`insert into public.units (tenant_id, development_id, label) values (${own.tenant}, ${target.development}, 'Flat 0')`)
        .count,
    harm: async (db, { victim }) =>
      (await db`select id from public.units where development_id = ${victim.development} and label = 'Flat 0'`)
        .length,
  }),
  attack({
    id: "insert-no-tenant",
    threat: "insert",
    title: "agent leaves the tenant out",
    as: person("agent"),
    harm: async (db) => (await db`select id from public.messages where tenant_id is null`).length,
    ...variant(async (db, target) =>
      (await db`insert into public.messages (development_id, unit_id, sender, body)
        values (${target.development}, ${target.unit}, 'staff', 'nobody''s')`).count
    ),
  }),
  attack({
    id: "insert-mixed",
    threat: "insert",
    title: "agent hides one foreign row among the own ones",
    as: person("agent"),
    step: async (db, target, { own }) =>
      (await db`insert into public.messages (tenant_id, development_id, unit_id, sender, body)
        values (${own.tenant}, ${own.development}, ${own.unit}, 'staff', 'a'), (${target.tenant}, ${target.development}, ${target.unit}, 'staff', 'b')`)
        .count,
  }),
  attack({
    id: "insert-select",
    threat: "read",
    title: "agent copies another tenant's messages into the own tenant",
    as: person("agent"),
    step: async (db, target, { own }) =>
      (await db`insert into public.messages (tenant_id, development_id, unit_id, sender, body)
        select ${own.tenant}, ${own.development}, ${own.unit}, sender, body from public.messages where tenant_id = ${target.tenant} limit 5`)
        .count,
    harm: async (db, { own }) =>
      (await db`select id from public.messages where tenant_id = ${own.tenant} and created_at = now()`)
        .length,
  }),
  attack({
    id: "upsert",
    threat: "upsert",
    title: "agent upserts over another tenant's message",
    as: person("agent"),
    step: upsert,
  }),
  attack({
    id: "merge",
    threat: "merge",
    title: "agent merges into another tenant's message",
    as: person("agent"),
    step: merge,
  }),
  attack({
    id: "write-cte",
    threat: "cte",
    title: "agent hides the update in a CTE",
    as: person("agent"),
    step: rows(
      "with changed as (update public.messages set body = 'x' where id = $1 returning id) select * from changed",
      "message",
    ),
  }),
  attack({
    id: "copy-in",
    threat: "copy",
    title: "agent loads rows of another tenant with COPY",
    as: person("agent"),
    controlAs: service(),
    step: copyIn,
  }),
  attack({
    id: "update-unfiltered",
    threat: "update",
    title: "agent updates every row there is",
    as: person("agent"),
    step: affected("update public.units set status = 'sold'"),
  }),
  attack({
    id: "update-join",
    threat: "update",
    title: "agent updates through a join",
    as: person("agent"),
    step: affected(
      "update public.messages as m set body = 'x' from public.units as u where u.id = m.unit_id and u.id = $1",
      "unit",
    ),
  }),
  attack({
    id: "move-out",
    threat: "move a row",
    title: "agent moves an own message to another tenant",
    as: person("agent"),
    step: async (db, target, { own }) =>
      (await db`update public.messages set tenant_id = ${target.tenant}, development_id = ${target.development}, unit_id = ${target.unit}
        where id = ${own.message}`).count,
  }),
  attack({
    id: "move-in",
    threat: "move a row",
    title: "agent takes another tenant's message",
    as: person("agent"),
    step: async (db, target, { own }) =>
      (await db`update public.messages set tenant_id = ${own.tenant}, development_id = ${own.development}, unit_id = ${own.unit}
        where id = ${target.message}`).count,
  }),
  attack({
    id: "rpc-write",
    threat: "definer function",
    title: "agent marks another tenant's unit as sold through the application's function",
    as: person("agent"),
    setup: async (db, { own, victim }) => {
      await db`update public.units set status = 'available' where id in (${own.unit}, ${victim.unit})`;
    },
    step: async (db, target) => {
      await db`select public.mark_sold(${target.unit})`;
      return (await db`select id from public.units where id = ${target.unit} and status = 'sold'`)
        .length;
    },
    harm: async (db, { victim }) =>
      (await db`select id from public.units where id = ${victim.unit} and status = 'sold'`).length,
  }),
  ...(["update", "insert"] as const).map((verb) =>
    attack({
      id: `definer-${verb}`,
      threat: "definer function",
      title: `agent calls a careless security definer function that ${verb}s`,
      as: person("agent"),
      setup: async (db) => {
        await db.unsafe(`
          create function public.careless(target_tenant uuid, target_development uuid, target_unit uuid, target_message uuid)
          returns bigint language plpgsql security definer set search_path = '' as $$
          declare n bigint;
          begin
              ${
          verb === "update"
            ? "update public.messages set body = 'careless' where id = target_message;"
            : "insert into public.messages (tenant_id, development_id, unit_id, sender, body) values (target_tenant, target_development, target_unit, 'staff', 'careless');"
        }
              get diagnostics n = row_count;
              return n;
          end $$;
          grant execute on function public.careless(uuid, uuid, uuid, uuid) to authenticated`);
      },
      step: async (db, t) =>
        Number(
          (await db`select public.careless(${t.tenant}, ${t.development}, ${t.unit}, ${t.message}) as n`)[
            0
          ]?.["n"],
        ),
    })
  ),
  attack({
    id: "delete-all",
    threat: "delete",
    title: "owner deletes every message of another tenant",
    as: person("owner"),
    step: affected("delete from public.messages where tenant_id = $1", "tenant"),
  }),
  attack({
    id: "delete-using",
    threat: "delete",
    title: "owner deletes through a join",
    as: person("owner"),
    step: affected(
      "delete from public.messages as m using public.units as u where u.id = m.unit_id and u.id = $1",
      "unit",
    ),
  }),
  attack({
    id: "delete-cascade",
    threat: "delete",
    title: "owner deletes another tenant's development and all that hangs on it",
    as: person("owner"),
    setup: async (db, { own }) => {
      await db`insert into public.developments (id, tenant_id, name, city) values (gen_random_uuid(), ${own.tenant}, 'Empty', 'Nowhere')`;
    },
    controlStep: async (db) =>
      (await db`delete from public.developments where name = 'Empty'`).count,
    step: affected("delete from public.developments where id = $1", "development"),
  }),
  attack({
    id: "self-insert-member",
    threat: "self-insert into members",
    title: "a signed-in user writes themself into another tenant",
    as: person("stranger"),
    controlAs: service(),
    setup: async (db, { people }) => {
      await db`insert into auth.users (id, email) values (${people.stranger}, 'stranger@mail.example') on conflict do nothing`;
    },
    step: async (db, target, { people }) =>
      (await db`insert into public.members (tenant_id, user_id, role) values (${target.tenant}, ${people.stranger}, 'owner')`)
        .count,
  }),
  attack({
    id: "self-promotion",
    threat: "self-promotion",
    title: "agent makes themself owner",
    as: person("agent"),
    controlAs: service(),
    step: async (db, _, { people, own }) =>
      (await db`update public.members set role = 'owner' where user_id = ${people.agent} and tenant_id = ${own.tenant}`)
        .count,
    harm: async (db, { people }) =>
      (await db`select id from public.members where user_id = ${people.agent} and role = 'owner'`)
        .length,
  }),
  attack({
    id: "self-reactivation",
    threat: "disabled member",
    title: "a disabled member switches themself on again",
    as: person("disabled"),
    controlAs: service(),
    step: async (db, _, { people }) =>
      (await db`update public.members set is_active = true where user_id = ${people.disabled}`)
        .count,
    harm: async (db, { people }) =>
      (await db`select id from public.members where user_id = ${people.disabled} and is_active`)
        .length,
  }),
  attack({
    id: "forged-actor",
    threat: "forged header",
    title: "agent signs a write with somebody else's x-actor",
    as: person("agent", () => ({ headers: { "x-actor": "the-auditor" } })),
    step: async (db, _, { own }) =>
      (await db`update public.messages set body = body || '!' where id = ${own.message}`).count,
    harm: async (db, { own }) =>
      (await db`select id from bulkhead.audit_events where record_id = ${own.message} and actor = 'the-auditor'`)
        .length,
    quietly: "trail",
  }),
];

/** A different statement than the control's, for attempts that consist of leaving something out. */
function variant(step: Step): Pick<Definition, "step" | "controlStep"> {
  return { step, controlStep: INSERT_MESSAGE };
}

/** Switching the boundary off, as nobody but its owner may. The control is the owner doing exactly that. */
const switches: Attack[] = ([
  ["truncate", "empties the table", "truncate public.messages"],
  [
    "disable-rls",
    "switches row level security off",
    "alter table public.messages disable row level security",
  ],
  ["drop-policy", "drops the policy", "drop policy bulkhead_tenant on public.messages"],
  ["disable-trigger", "switches the guard off", "alter table public.messages disable trigger user"],
  ["unprotect", "takes the protection off", "select bulkhead.unprotect('public.messages')"],
  ["exempt", "changes what is protected", "delete from bulkhead.protected_tables"],
  [
    "settings",
    "makes authenticated a trusted role",
    "update bulkhead.settings set direct_roles = '{}'",
  ],
  [
    "open-tenant",
    "opens the door for new tenants",
    "insert into bulkhead.tenant_openings default values",
  ],
  [
    "create-tenant",
    "creates a tenant",
    `select bulkhead.create_tenant('{"name": "Mine", "slug": "mine"}')`,
  ],
] as const).map(([id, doing, text]) =>
  attack({
    id: `agent-${id}`,
    threat: "switching off",
    title: `agent ${doing}`,
    as: person("agent"),
    controlAs: platform,
    step: done(text),
    harm: () => Promise.resolve(1), // that it did not raise is the harm
  })
);

/** Attempts with a signed-in user's token. */
export const authenticated: Attack[] = [
  ...matrix(),
  ...reads,
  ...headers,
  ...claims,
  ...writes,
  ...switches,
];
