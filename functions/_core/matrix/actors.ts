import { type Choices, personValue, tenantValue } from "./row.ts";
import { memberSlot, type Slot, SLOTS } from "./slots.ts";
import type { World } from "./world.ts";

/** What the database is told before a statement: the role, then settings of the transaction. */
export type Session = { role: string; settings: Record<string, string> };

/** One column of the matrix. */
export type Actor = {
  /** `anon`, a member's role, `none`, `service`, `app`: unique. */
  name: string;
  /** For people. */
  title: string;
  role: string;
  /** Acts for a tenant; otherwise every row is somebody else's. */
  inside: boolean;
  /** Reads past every policy because the platform made it so: Supabase's service_role. */
  bypasses: boolean;
  slot: (tenant: "a" | "b") => Slot;
  /** Why it can't be acted as. */
  problem: string | null;
};

/** Settings that hold a person rather than a tenant, by their name. */
const PERSONAL = /user|actor|sub$|uid|member|profile/;
const NEITHER = /role|request|ip|email|mode|version/;

/**
 * Everybody whose rights the matrix tells apart in this database.
 *
 * @example
 * planActors(world).map((actor) => actor.name); // ["anon", "owner", "agent", "none", "service", "service-"]
 */
export function planActors(world: World): Actor[] {
  const actors: Actor[] = [];
  const add = (actor: Omit<Actor, "problem" | "bypasses">) => {
    const fact = world.facts.roles.find((one) => one.name === actor.role);
    // A database without Supabase's roles has none of their rights to measure.
    if (!fact && !world.direct.includes(actor.role)) return;
    actors.push({
      ...actor,
      bypasses: actor.role === "service_role" && fact?.bypasses === true,
      problem: !fact
        ? `the role ${actor.role} does not exist`
        : fact.reachable
        ? null
        : `${world.facts.user} may not act as it: grant ${actor.role} to ${world.facts.user}`,
    });
  };
  const own = (tenant: "a" | "b") => SLOTS[tenant];
  const stranger = () => SLOTS.stranger;
  add({ name: "anon", title: "anon", role: "anon", inside: false, slot: stranger });
  const roles = world.membership?.roles ?? [];
  const taken = new Set(["anon", "none", "service", "service-", ...world.direct]);
  for (const [index, role] of (roles.length > 0 ? roles : [null]).entries()) {
    const plain = role === null ? "member" : role.toLowerCase().replace(/[^a-z0-9_]+/g, "-");
    add({
      name: taken.has(plain) || plain === "" ? `m:${plain}` : plain,
      title: role === null ? "a member" : `a member (${role})`,
      role: "authenticated",
      inside: true,
      slot: role === null ? own : (tenant) => memberSlot(tenant, index, role),
    });
  }
  add({
    name: "none",
    title: "a member of no tenant",
    role: "authenticated",
    inside: false,
    slot: stranger,
  });
  add({
    name: "service",
    title: "service_role with a tenant",
    role: "service_role",
    inside: true,
    slot: own,
  });
  add({
    name: "service-",
    title: "service_role without a tenant",
    role: "service_role",
    inside: false,
    slot: stranger,
  });
  for (const role of world.direct) {
    add({ name: role, title: `${role} with a tenant`, role, inside: true, slot: own });
    add({
      name: `${role}-`,
      title: `${role} without a tenant`,
      role,
      inside: false,
      slot: stranger,
    });
  }
  return actors;
}

/** Whether an actor names its tenant by settings of the transaction. */
export function isBackEnd(world: World, actor: Actor): boolean {
  return actor.role === "service_role" || world.direct.includes(actor.role);
}

/** The settings that say for whom a back end acts: the kit's, and those that the schema's policies read. */
export function contextSettings(world: World): string[] {
  return [
    ...(world.catalog.kit ? ["bulkhead.tenant"] : []),
    ...world.facts.settings.filter((name) => !NEITHER.test(name)),
  ];
}

/**
 * What an actor says about itself. `fresh`: on a connection that never named a tenant. `forged` adds what a client may claim without being asked: a header and
 * `user_metadata` that name the other tenant.
 */
export function sessionOf(
  world: World,
  choices: Choices,
  actor: Actor,
  side: "a" | "b",
  { forged = false, fresh = false }: { forged?: boolean; fresh?: boolean } = {},
): Session {
  const id = (tenant: "a" | "b") => tenantValue(world, choices, SLOTS[tenant]).raw ?? "";
  const other = side === "a" ? "b" : "a";
  const column = world.classes.config.tenants.column;
  const settings: Record<string, string> = {};
  if (actor.role === "anon") settings["request.jwt.claims"] = JSON.stringify({ role: "anon" });
  if (actor.role === "authenticated") {
    const slot = actor.slot(side);
    const tenant = actor.inside ? { [column]: id(side), tenant_id: id(side) } : {};
    const lie = forged ? { user_metadata: { [column]: id(other), tenant_id: id(other) } } : {};
    settings["request.jwt.claims"] = JSON.stringify({
      role: "authenticated",
      aud: "authenticated",
      sub: personValue(world, choices, slot).raw ?? "",
      ...tenant,
      app_metadata: { ...tenant, ...(slot.role === undefined ? {} : { role: slot.role }) },
      ...lie,
    });
  }
  if (forged) settings["request.headers"] = JSON.stringify({ "x-tenant-id": id(other) });
  if (actor.role === "service_role") {
    settings["request.jwt.claims"] = JSON.stringify({ role: "service_role" });
  }
  if (isBackEnd(world, actor)) {
    for (const name of contextSettings(world)) {
      // Without a tenant: absent on a new connection, empty on one that was used before.
      if (actor.inside) {
        settings[name] = PERSONAL.test(name)
          ? personValue(world, choices, actor.slot(side)).raw ?? ""
          : id(side);
      } else if (!fresh) settings[name] = "";
    }
  }
  return { role: actor.role, settings };
}
