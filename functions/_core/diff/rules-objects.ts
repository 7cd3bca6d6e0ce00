import type { Change } from "./compare.ts";
import { callers, reach, readsOf } from "./rights.ts";
import { dangerous, review, type Rule, safe, turned, type Verdict } from "./rule.ts";
import { settingClass, weakens } from "./settings.ts";
import { text } from "./snapshot.ts";
import { isKit, isTenants, type World } from "./world.ts";

/** Views, rules, settings, replication, extensions and what else a schema can hold. */
export const OBJECT_RULES: readonly Rule[] = [
  { id: "view", kinds: ["view"], judge: view },
  { id: "materialized_view", kinds: ["materialized view"], judge: materialized },
  { id: "rewrite_rule", kinds: ["rule"], judge: rewrite },
  { id: "setting", kinds: ["setting"], judge: setting },
  { id: "publication", kinds: ["publication", "publication member"], judge: publication },
  { id: "event_trigger", kinds: ["event trigger"], judge: eventTrigger },
  { id: "schema", kinds: ["schema"], judge: schema },
  { id: "sequence", kinds: ["sequence"], judge: sequence },
  { id: "domain", kinds: ["domain"], judge: domain },
  {
    id: "surroundings",
    kinds: [
      ...["extension", "language", "operator", "cast", "subscription"] as const,
      ...["foreign data wrapper", "foreign server", "user mapping"] as const,
    ],
    judge: surroundings,
  },
];

/** Rows that are not everybody's: of tenants, of the kit, the logins. */
const isHeld = (world: World, id: string) =>
  isTenants(world, id) || isKit(id) || id.startsWith("auth.");

function view(change: Change, world: World): Verdict | null {
  if (isKit(change.name)) {
    if (change.op === "added") return review("a view of the kit");
    return change.facet === "owner" ? null : dangerous("a view of the kit is not as installed");
  }
  if (change.op === "removed") return safe("one view of the rows less");
  if (change.facet === "owner" || change.after === undefined) return null;
  const shown = readsOf(world.after, change.after, (one) => isHeld(world, one));
  const open = reach(world.after, change.after);
  const leaks = change.after["invoker"] !== true && shown.length > 0;
  if (turned(change, "invoker", true)) return safe("it asks as its reader");
  if (change.facet === "invoker" || change.op === "added") {
    if (!leaks) {
      return change.op === "added"
        ? safe(
          change.after["invoker"] === true
            ? "it asks as its reader"
            : "it shows no rows of tenants",
        )
        : review("it asks as its owner");
    }
    return open.length > 0
      ? dangerous(`it asks as its owner: ${open.join(", ")} see all of ${shown.join(", ")}`)
      : change.op === "added"
      ? safe("no API role may read it")
      : review("it asks as its owner; no API role may read it");
  }
  if (change.facet === "definition") {
    if (!leaks) return safe("it shows other columns or rows, behind the policies");
    const old = change.before
      ? readsOf(world.before, change.before, (one) => isHeld(world, one))
      : [];
    return open.length > 0 && shown.some((one) => !old.includes(one))
      ? dangerous(`it asks as its owner: ${open.join(", ")} see all of ${shown.join(", ")}`)
      : review("it asks as its owner and shows something else");
  }
  if (change.facet === "barrier" && change.after["barrier"] === true) {
    return safe("conditions of its readers come after its own");
  }
  return review(`its ${change.facet} changed`);
}

function materialized(change: Change, world: World): Verdict | null {
  if (change.op === "removed") return safe("one copy of the rows less");
  if (change.facet === "owner" || change.after === undefined) return null;
  const shown = readsOf(world.after, change.after, (one) => isHeld(world, one));
  if (shown.length === 0) return safe("it holds no rows of tenants");
  const open = reach(world.after, change.after);
  return open.length > 0
    ? dangerous(`a copy of ${shown.join(", ")} that no policy holds, for ${open.join(", ")}`)
    : review(`a copy of ${shown.join(", ")} that no policy holds`);
}

function rewrite(change: Change, world: World): Verdict | null {
  const grave = isTenants(world, change.on) || isKit(change.on);
  if (change.op === "removed") {
    return isKit(change.on)
      ? review("a rule of the kit is gone")
      : safe("statements run as written");
  }
  return grave
    ? dangerous("statements do something else than they say, past guard and audit")
    : review("statements do something else than they say");
}

function setting(change: Change): Verdict | null {
  const value = text(change.after, "value");
  const kind = settingClass(change.name);
  if (change.op !== "removed" && weakens(change.name, value)) {
    return dangerous(`every session starts with ${change.name} = ${value}`);
  }
  if (kind === "harmless") return safe("time, memory or plans");
  if (change.op === "removed" && ["guard", "context"].includes(kind)) {
    return safe("sessions start without it");
  }
  const now = change.op === "removed" ? "is as the server has it" : `= ${value}`;
  return review(`${change.name} ${now}`);
}

function publication(change: Change, world: World): Verdict | null {
  if (change.facet === "owner") return null;
  if (change.op === "removed") return safe("less leaves the database");
  if (change.kind === "publication") {
    if (change.after?.["allTables"] === true) {
      return dangerous("every table leaves the database, whatever the policies say");
    }
    return change.op === "added"
      ? safe("it carries nothing by itself")
      : review(`its ${change.facet} changed`);
  }
  if (change.name.startsWith("schema ")) {
    return dangerous("every table of a schema leaves the database, whatever the policies say");
  }
  if (change.op === "changed") return review(`its ${change.facet} changed`);
  const isRealtime = change.on === "supabase_realtime" && !isKit(change.name);
  if (isRealtime) return review("Realtime carries it, as far as its policies let the reader see");
  return isTenants(world, change.name) || isKit(change.name)
    ? dangerous("its rows leave the database, whatever the policies say")
    : review("its rows leave the database");
}

function eventTrigger(change: Change): Verdict | null {
  const kit = /^bulkhead_/.test(change.name);
  if (change.op === "added") {
    return kit
      ? safe("the kit follows changes of the schema")
      : review("it runs at every change of the schema");
  }
  if (change.op === "removed") {
    return kit
      ? dangerous("the kit does not follow changes of the schema")
      : review("what it did is not done");
  }
  return kit
    ? dangerous("the kit does not follow changes of the schema as installed")
    : review(`its ${change.facet} changed`);
}

function schema(change: Change): Verdict | null {
  if (change.facet === "owner") return null;
  if (change.op === "removed") {
    return isKit(change.name) ? dangerous("the kit is gone") : safe("a schema less");
  }
  return safe("an empty schema shows nothing");
}

function sequence(change: Change): Verdict | null {
  if (change.facet === "owner") return null;
  return isKit(change.name) && change.op !== "added"
    ? dangerous("the kit numbers by it, upwards and never twice")
    : safe("numbers");
}

function domain(change: Change): Verdict | null {
  if (change.op === "changed") {
    return review("columns of this type take something else, or get another default");
  }
  return safe("a type with a check");
}

function surroundings(change: Change, world: World): Verdict | null {
  if (change.facet === "owner") return null;
  if (change.op === "removed") return review("what needed it is gone or fails");
  if (change.kind === "user mapping" && callers(world.after).includes(change.name)) {
    return dangerous("an API role may log in elsewhere");
  }
  const why: Partial<Record<Change["kind"], string>> = {
    extension: "its functions come with rights of their own",
    language: "functions in it may do what the server may",
    operator: "policies may mean this one",
    cast: "policies may compare through it",
    subscription: "what it writes is not audited",
  };
  return review(why[change.kind] ?? "it reaches another server");
}
