import { affected, type Definition, rows } from "./attempt.ts";
import { person, service } from "./identities.ts";
import { attack } from "./member.ts";
import { copyIn, INSERT_MESSAGE, merge, upsert } from "./statements.ts";
import type { Attack, Step } from "./types.ts";

/** Every statement that writes, aimed at another tenant's rows or keys. */
export const writes: Attack[] = [
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
];

/** A different statement than the control's, for attempts that consist of leaving something out. */
function variant(step: Step): Pick<Definition, "step" | "controlStep"> {
  return { step, controlStep: INSERT_MESSAGE };
}
