import { affected, done } from "./attempt.ts";
import { person, platform, service } from "./identities.ts";
import { attack } from "./member.ts";
import type { Attack } from "./types.ts";

/** Reaching for more power: definer functions, the membership table, somebody else's name. */
const powers: Attack[] = [
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
    "insert into bulkhead.tenant_openings (tenant, may_create) values ('', true)",
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

/** Attempts to get round the boundary rather than through it. */
export const escalations: Attack[] = [...powers, ...switches];
