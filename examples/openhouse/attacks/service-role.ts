import { affected, done, unfiltered } from "./attempt.ts";
import { platform, service } from "./identities.ts";
import { attack } from "./service.ts";
import { boundary } from "./service-boundary.ts";
import {
  copyIn,
  DELETE_MESSAGE,
  INSERT_MESSAGE,
  merge,
  READ_MESSAGES,
  UPDATE_MESSAGE,
  upsert,
} from "./statements.ts";
import type { Attack, Step, Target } from "./types.ts";

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

/** Attempts with the service key. */
export const serviceRole: Attack[] = [
  ...without,
  ...wrong,
  ...named,
  ...boundary,
  ...open,
];
