import { affected, attempt, type Definition, done, unfiltered } from "./attempt.ts";
import { platform, service } from "./identities.ts";
import {
  copyIn,
  DELETE_MESSAGE,
  INSERT_MESSAGE,
  merge,
  READ_MESSAGES,
  UPDATE_MESSAGE,
  upsert,
} from "./statements.ts";
import type { Attack, AttackContext, Step, Target } from "./types.ts";

type Short = Omit<Definition, "layer" | "as"> & Partial<Pick<Definition, "layer" | "as">>;
/** A back end that named its own tenant, as it should, and then writes elsewhere. */
const attack = (definition: Short): Attack =>
  attempt({ layer: "service_role", as: service(), ...definition });
/** The forgotten tenant: the control is the same statement with the tenant named. */
const forgotten = (id: string, title: string, step: Step): Attack =>
  attack({
    id: `service-${id}-no-tenant`,
    threat: "service_role without tenant",
    title,
    as: service(() => ({})),
    controlAs: service(),
    step,
  });
const forged = (forge: (target: Target, own: string) => string) =>
  service((own, target) => ({ "x-tenant-id": target.tenant === own ? own : forge(target, own) }));

const without: Attack[] = [
  forgotten("insert", "the service key inserts and names no tenant", INSERT_MESSAGE),
  forgotten("update", "the service key updates and names no tenant", UPDATE_MESSAGE),
  forgotten("delete", "the service key deletes and names no tenant", DELETE_MESSAGE),
  forgotten("copy", "the service key loads with COPY and names no tenant", copyIn),
  forgotten("merge", "the service key merges and names no tenant", merge),
];

const wrong: Attack[] = [
  ...([
    ["insert", "inserts for another tenant than it named", INSERT_MESSAGE],
    ["update", "updates another tenant's message", UPDATE_MESSAGE],
    ["delete", "deletes another tenant's message", DELETE_MESSAGE],
    ["upsert", "upserts over another tenant's message", upsert],
    ["merge", "merges into another tenant's message", merge],
    ["copy", "loads another tenant's rows with COPY", copyIn],
  ] as const).map(([id, doing, step]) =>
    attack({
      id: `service-${id}-wrong`,
      threat: "service_role with the wrong tenant",
      title: `the service key ${doing}`,
      step,
    })
  ),
  attack({
    id: "service-update-unfiltered",
    threat: "update",
    title: "the service key forgets the filter of an update",
    setup: async (db, { own }) => {
      await db`insert into public.onboarding_attempts (tenant_id, email, succeeded) values (${own.tenant}, 'only@mine.example', true)`;
    },
    controlStep: affected(
      "update public.onboarding_attempts set error = null where tenant_id = $1",
      "tenant",
    ),
    step: affected("update public.onboarding_attempts set error = 'x'"),
  }),
  attack({
    id: "service-delete-unfiltered",
    threat: "delete",
    title: "the service key forgets the filter of a delete",
    controlStep: affected("delete from public.messages where tenant_id = $1", "tenant"),
    step: affected("delete from public.messages"),
  }),
  attack({
    id: "service-mixed",
    threat: "insert",
    title: "the service key hides one foreign row in a batch",
    step: async (db, target, { own }) =>
      (await db`insert into public.messages (tenant_id, development_id, unit_id, sender, body)
        values (${own.tenant}, ${own.development}, ${own.unit}, 'staff', 'a'), (${target.tenant}, ${target.development}, ${target.unit}, 'staff', 'b')`)
        .count,
  }),
  attack({
    id: "service-move-out",
    threat: "move a row",
    title: "the service key moves a message to another tenant",
    step: async (db, target, { own }) =>
      (await db`update public.messages set tenant_id = ${target.tenant}, development_id = ${target.development}, unit_id = ${target.unit}
        where id = ${own.message}`).count,
  }),
  attack({
    id: "service-move-in",
    threat: "move a row",
    title: "the service key takes another tenant's message",
    step: async (db, target, { own }) =>
      (await db`update public.messages set tenant_id = ${own.tenant}, development_id = ${own.development}, unit_id = ${own.unit}
        where id = ${target.message}`).count,
  }),
  attack({
    id: "service-foreign-unit",
    threat: "forged foreign key",
    title: "the service key writes into its tenant under another tenant's unit",
    step: async (db, target, { own }) =>
      (await db`insert into public.messages (tenant_id, development_id, unit_id, sender, body)
        values (${own.tenant}, ${own.development}, ${target.unit}, 'staff', 'forged')`).count,
    harm: async (db, { own, victim }) =>
      (await db`select id from public.messages where tenant_id = ${own.tenant} and unit_id = ${victim.unit}`)
        .length,
  }),
  attack({
    id: "service-cascade",
    threat: "delete",
    title: "the service key deletes another tenant's development and hopes for a cascade",
    setup: async (db, { own }) => {
      await db`insert into public.developments (tenant_id, name, city) values (${own.tenant}, 'Empty', 'Nowhere')`;
    },
    controlStep: affected(
      "delete from public.developments where name = 'Empty' and tenant_id = $1",
      "tenant",
    ),
    step: affected("delete from public.developments where id = $1", "development"),
  }),
  attack({
    id: "service-new-tenant",
    threat: "insert",
    title: "the service key creates a tenant past bulkhead.create_tenant()",
    controlAs: platform,
    step: done("insert into public.tenants (name, slug) values ('Mine', 'mine')"),
    harm: async (db) => (await db`select id from public.tenants where slug = 'mine'`).length,
  }),
];

const named: Attack[] = [
  attack({
    id: "service-two-tenants",
    threat: "service_role with two tenants",
    title: "header and setting name two tenants",
    as: (context, target) => ({
      ...service()(context, target),
      settings: { "bulkhead.tenant": target.tenant },
    }),
    step: INSERT_MESSAGE,
  }),
  attack({
    id: "service-header-list",
    threat: "forged header",
    title: "the service key names two tenants in one header",
    as: forged(({ tenant }, own) => `${own},${tenant}`),
    step: INSERT_MESSAGE,
  }),
  attack({
    id: "service-header-prefix",
    threat: "forged header",
    title: "the service key names a tenant by a prefix of its id",
    as: forged(({ tenant }) => tenant.slice(0, -1)),
    step: INSERT_MESSAGE,
  }),
  attack({
    id: "service-header-neighbour",
    threat: "prefix",
    title: "the service key names a tenant whose id differs in the last digit only",
    setup: async (db, { victim }) => {
      await db`insert into public.tenants (id, name, slug) values (${
        neighbour(victim.tenant)
      }, 'Neighbour', 'neighbour')`;
    },
    as: forged(({ tenant }) => neighbour(tenant)),
    step: INSERT_MESSAGE,
  }),
  attack({
    id: "service-header-empty",
    threat: "forged header",
    title: "the service key sends an empty header",
    as: forged(() => ""),
    step: INSERT_MESSAGE,
  }),
  attack({
    id: "service-claims-only",
    threat: "forged claims",
    title: "the service key names the tenant in its claims instead",
    as: (_, { tenant }) => ({
      role: "service_role",
      claims: { role: "service_role", tenant_id: tenant, app_metadata: { tenant_id: tenant } },
    }),
    controlAs: service(),
    step: INSERT_MESSAGE,
  }),
];

function neighbour(tenant: string): string {
  return tenant.slice(0, -1) + (tenant.endsWith("0") ? "1" : "0");
}

/** The kit's own trigger function for messages, to be hung on a table of one's own. */
const attachTrigger: Step = async (db) => {
  const [found] = await db`select tgfoid::regproc::text as name from pg_catalog.pg_trigger
    where tgrelid = 'public.messages'::regclass and tgname = 'bulkhead_insert'`;
  await db.unsafe("create temporary table mine (like public.messages) on commit drop");
  await db.unsafe(
    `create trigger forge after insert on mine referencing new table as new_rows for each statement execute function ${
      found?.["name"]
    }()`,
  );
  await db.unsafe("insert into mine select * from public.messages limit 1");
  return 1;
};

const switches: Attack[] = ([
  ["truncate", "empties the table", "truncate public.messages"],
  ["disable-trigger", "switches the guard off", "alter table public.messages disable trigger user"],
  ["drop-trigger", "drops the guard", "drop trigger bulkhead_insert on public.messages"],
  ["unprotect", "takes the protection off", "select bulkhead.unprotect('public.messages')"],
  ["settings", "edits the settings", "update bulkhead.settings set direct_roles = '{}'"],
  ["configure", "configures other members", "select bulkhead.configure('public.tenants')"],
] as const).map(([id, doing, text]) =>
  attack({
    id: `service-${id}`,
    threat: "switching off",
    title: `the service key ${doing}`,
    controlAs: platform,
    step: done(text),
    harm: raised,
  })
);

const ledger: Attack[] = [
  attack({
    id: "replica-mode",
    threat: "switching off",
    title: "the service key turns triggers off with session_replication_role",
    controlStep: INSERT_MESSAGE,
    step: async (db, target, context) => {
      await db`set local session_replication_role = replica`;
      return await INSERT_MESSAGE(db, target, context);
    },
  }),
  attack({
    id: "ledger-insert",
    threat: "ledger",
    title: "the service key writes an event of its own",
    controlStep: UPDATE_MESSAGE,
    step: affected(
      "insert into bulkhead.audit_events (tenant_id, actor, table_name, operation) values ($1, 'nobody', 'public.messages', 'DELETE')",
      "tenant",
    ),
    harm: async (db, { victim }) =>
      (await db`select id from bulkhead.audit_events where tenant_id = ${victim.tenant} and actor = 'nobody'`)
        .length,
  }),
  ...([["ledger-update", "rewrites", "update bulkhead.audit_events set actor = 'nobody'"], [
    "ledger-delete",
    "removes",
    "delete from bulkhead.audit_events",
  ], [
    "ledger-truncate",
    "empties",
    "truncate bulkhead.audit_events",
  ]] as const).map(([id, doing, text]) =>
    attack({
      id,
      threat: "ledger",
      title: `the service key ${doing} the audit trail`,
      controlStep: UPDATE_MESSAGE,
      step: done(text),
      harm: raised,
    })
  ),
  attack({
    id: "ledger-owner",
    layer: "direct",
    threat: "ledger",
    title: "even the owner rewrites the audit trail",
    as: platform,
    setup: async (db, { victim }) => {
      await db`update public.messages set is_read = not is_read where id = ${victim.message}`;
    },
    controlStep: done("select count(*) from bulkhead.audit_events"),
    step: affected(
      "update bulkhead.audit_events set actor = 'nobody' where tenant_id = $1",
      "tenant",
    ),
    harm: async (db) =>
      (await db`select id from bulkhead.audit_events where actor = 'nobody'`).length,
  }),
  attack({
    id: "attach-trigger",
    threat: "ledger",
    title: "the service key hangs the kit's trigger function on a table of its own",
    // The statements themselves work: a temporary table and a trigger that may be used.
    controlStep: async (db) => {
      await db.unsafe("create temporary table mine (id integer) on commit drop");
      await db.unsafe(
        "create trigger fine before update on mine for each row execute function suppress_redundant_updates_trigger()",
      );
      return 1;
    },
    step: attachTrigger,
    harm: raised,
  }),
  attack({
    id: "attach-trigger-owner",
    layer: "direct",
    threat: "ledger",
    title: "even the owner hangs it on another table",
    as: platform,
    controlStep: done("create temporary table mine (like public.messages) on commit drop"),
    step: attachTrigger,
    harm: raised,
  }),
];

/** What triggers can't see. Open until the back end connects as a role that obeys RLS; never hidden. */
const open: Attack[] = [
  attack({
    id: "service-read-no-tenant",
    threat: "raw service_role read",
    title: "the service key reads everything and names no tenant",
    as: service(() => ({})),
    step: unfiltered("select tenant_id as tenant from public.messages"),
    reads: true,
  }),
  attack({
    id: "service-read-wrong-tenant",
    threat: "raw service_role read",
    title: "the service key reads another tenant than it named",
    step: READ_MESSAGES,
    reads: true,
  }),
];

/** Attempts where not raising is the harm. */
function raised(_db: unknown, _context: AttackContext): Promise<number> {
  return Promise.resolve(1);
}

/** Attempts with the service key. */
export const serviceRole: Attack[] = [
  ...without,
  ...wrong,
  ...named,
  ...switches,
  ...ledger,
  ...open,
];
