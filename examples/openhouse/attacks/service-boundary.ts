import { affected, done } from "./attempt.ts";
import { platform } from "./identities.ts";
import { attack } from "./service.ts";
import { INSERT_MESSAGE, UPDATE_MESSAGE } from "./statements.ts";
import type { Attack, AttackContext, Step } from "./types.ts";

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
  [
    "configure",
    "configures other members",
    "select bulkhead.configure('public.tenants', membership_table => 'public.members')",
  ],
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

/** Attempts on the boundary and the audit trail themselves. */
export const boundary: Attack[] = [...switches, ...ledger];

/** Attempts where not raising is the harm. */
function raised(_db: unknown, _context: AttackContext): Promise<number> {
  return Promise.resolve(1);
}
