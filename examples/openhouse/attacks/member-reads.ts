import { rows, unfiltered } from "./attempt.ts";
import { person, platform } from "./identities.ts";
import { reading } from "./member.ts";
import { READ_MESSAGES } from "./statements.ts";
import type { Attack } from "./types.ts";

/** Ways to read past a forgotten or evaded filter. */
export const reads: Attack[] = [
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
