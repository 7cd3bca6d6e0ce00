import { bareName } from "./body-facts.ts";
import type { Change } from "./compare.ts";
import { isTrusted, readsOf, runners } from "./rights.ts";
import { dangerous, review, type Rule, safe, turned, type Verdict } from "./rule.ts";
import { settingClass, weakens } from "./settings.ts";
import { names, text, type Thing } from "./snapshot.ts";
import { isKit, isTenants, type State, tenantColumn, type World } from "./world.ts";

/** Triggers and functions. */
export const CODE_RULES: readonly Rule[] = [
  { id: "trigger_kit", kinds: ["trigger"], judge: kitTrigger },
  { id: "trigger_changed", kinds: ["trigger"], judge: trigger },
  { id: "trigger_shadows", kinds: ["trigger"], judge: shadows },
  { id: "function_kit", kinds: ["function"], judge: kitFunction },
  { id: "function_setting", kinds: ["function"], judge: setting },
  { id: "function_definer", kinds: ["function"], judge: definer },
  { id: "function_trusted", kinds: ["function"], judge: trusted },
  { id: "function_in_policy", kinds: ["function"], judge: inPolicy },
  { id: "function_of_trigger", kinds: ["function"], judge: ofTrigger },
  { id: "function_changed", kinds: ["function"], judge: other },
];

const isGuard = (name: string) => /^bulkhead_/.test(name);

function kitTrigger(change: Change): Verdict | null {
  if (!isGuard(change.name) && !isKit(change.on)) return null;
  if (change.op === "added") {
    return isGuard(change.name)
      ? safe("guard and audit of the table")
      : dangerous("a trigger on a table of the kit runs before or after what the kit does");
  }
  if (change.op === "removed") return dangerous("nothing guards or records these writes any more");
  return turned(change, "enabled", "always") ? safe("it fires in replica mode too") : dangerous(
    `the guard is not as installed: ${change.facet} is ${
      String(change.after?.[change.facet] ?? "gone")
    }`,
  );
}

function trigger(change: Change, world: World): Verdict | null {
  if (isGuard(change.name) || isKit(change.on) || change.op === "added") return null;
  if (change.op === "removed") {
    return review("what it did or refused is not done or refused any more");
  }
  if (change.facet === "enabled") {
    const order = ["disabled", "replica", "origin", "always"];
    const up = order.indexOf(text(change.after, "enabled")) >
      order.indexOf(text(change.before, "enabled"));
    return up
      ? effectOf(change, world) ?? safe("it fires more often")
      : review(`it is ${text(change.after, "enabled")} now`);
  }
  return effectOf(change, world) ?? review(`its ${change.facet} changed`);
}

function shadows(change: Change, world: World): Verdict | null {
  if (change.op !== "added" || isGuard(change.name) || isKit(change.on)) return null;
  const effect = effectOf(change, world);
  if (effect) return effect;
  const mine = change.after;
  const before = world.before.on("trigger", change.on).filter((one) =>
    one["timing"] === "before" && one["level"] === mine?.["level"] &&
    names(one, "events").some((each) => names(mine, "events").includes(each))
  );
  const first = mine?.["timing"] === "before" && before.find((one) => change.name < one.name);
  if (first) return review(`it runs before ${first.name}, which sees what it made of the row`);
  return world.after.get("function", "", text(mine, "function")) === undefined
    ? review("its function is not the project's")
    : safe("it does not move, swallow or replace rows");
}

/** What its function does to rows before anybody else sees them. */
function effectOf(change: Change, world: World): Verdict | null {
  const mine = change.after;
  const routine = world.after.get("function", "", text(mine, "function"));
  return mine === undefined || routine === undefined ? null : effect(world, mine, routine);
}

function effect(world: World, mine: Thing, routine: Thing): Verdict | null {
  if (!isTenants(world, mine.on)) return null;
  const does = names(routine, "does");
  if (does.includes("changes the context")) {
    return dangerous("it changes role, tenant or a protecting setting in the middle of a write");
  }
  if (mine["timing"] !== "before" || mine["level"] !== "row") return null;
  if (!["plpgsql", "sql"].includes(text(routine, "language"))) {
    return review(`nobody can tell what its ${text(routine, "language")} does to the row`);
  }
  const keys = movers(world, mine.on);
  const moves = does.filter((one) => one.startsWith("sets ")).map((one) => one.slice(5))
    .filter((one) => keys.has(one));
  if (moves.length > 0) {
    return dangerous(`it writes ${moves.join(", ")}: rows move to other tenants`);
  }
  if (does.includes("replaces the row")) return dangerous("it replaces the row");
  if (does.includes("returns null")) return dangerous("it swallows rows");
  if (does.includes("returns old") && !names(mine, "events").includes("delete")) {
    return dangerous("it undoes what was written");
  }
  if (does.includes("builds SQL")) return review("it runs SQL that is put together as it runs");
  if (does.includes("returns another row")) return dangerous("it returns another row");
  return null;
}

/** Tenant, key, and what points at other rows. */
function movers(world: World, table: string): Set<string> {
  const found = new Set([tenantColumn(world, table) ?? ""]);
  for (const key of world.after.on("constraint", table)) {
    const crosses = text(key, "type") === "foreign key" && isTenants(world, text(key, "parent"));
    if (crosses || text(key, "type") === "primary key") {
      for (const one of names(key, "columns")) found.add(one);
    }
  }
  return found;
}

const isKitFunction = (id: string) => isKit(id.replace(/\(.*$/, ""));

function kitFunction(change: Change, world: World): Verdict | null {
  if (!isKitFunction(change.name)) return null;
  if (change.op === "removed") {
    return /^bulkhead\.audit_/.test(change.name) && !guards(world.after, change.name)
      ? review("the guard of a table that is not there any more")
      : dangerous("a function of the kit is gone");
  }
  if (change.op === "added") {
    return guards(world.after, change.name)
      ? safe("the guard of a table, as bulkhead.protect() writes it")
      : dangerous("nobody shipped it: the kit's schema takes no functions of others");
  }
  if (change.facet === "body" && regenerated(change, world)) {
    return review(
      "written anew by protect(): for its table's columns, or by another version of the kit",
    );
  }
  return dangerous(`a function of the kit is not as installed: ${change.facet}`);
}

/** Generated code follows the columns of its table, and the kit's version. */
function regenerated(change: Change, world: World): boolean {
  if (!guards(world.after, change.name)) return false;
  if (!names(change.after, "reads").includes("bulkhead.audit_events")) return false;
  const writer = "bulkhead.create_audit_function(regclass,name,name)";
  const body = (state: State | null) => state?.get("function", "", writer)?.["body"];
  if (body(world.before) !== body(world.after) && body(world.after) === body(world.shipped)) {
    return true;
  }
  return world.after.all("trigger").some((one) =>
    text(one, "function") === change.name &&
    JSON.stringify(world.after.on("column", one.on)) !==
      JSON.stringify(world.before.on("column", one.on))
  );
}

function guards(state: State, routine: string): boolean {
  return state.all("trigger").some((one) => isGuard(one.name) && text(one, "function") === routine);
}

function setting(change: Change): Verdict | null {
  if (isKitFunction(change.name)) return null;
  if (change.op === "removed" || (change.op === "changed" && change.facet !== "settings")) {
    return null;
  }
  const old = names(change.before, "settings");
  const came = names(change.after, "settings").filter((one) => !old.includes(one));
  const grave = came.filter((one) => {
    const at = one.indexOf("=");
    return weakens(one.slice(0, at), one.slice(at + 1));
  });
  if (grave.length > 0) return dangerous(`whoever calls it runs with ${grave.join(", ")}`);
  if (change.op === "added") return null;
  const lost = old.some((one) => one.startsWith("search_path=")) &&
    !names(change.after, "settings").some((one) => one.startsWith("search_path="));
  if (lost) {
    return change.after?.["definer"] === true
      ? review("a definer function takes names from its caller's search_path")
      : safe("an invoker function takes names from its caller's search_path");
  }
  const risky = came.filter((one) =>
    !["harmless", "path"].includes(settingClass(one.slice(0, one.indexOf("="))))
  );
  if (risky.length > 0) return review(`it runs with ${risky.join(", ")}`);
  return change.after?.["definer"] === true && came.some((one) => one.startsWith("search_path=")) &&
      old.some((one) => one.startsWith("search_path="))
    ? review("a definer function takes names from elsewhere")
    : safe("it pins what it runs with");
}

/** A definer function answers as its owner, whoever asks. */
function definer(change: Change, world: World): Verdict | null {
  const is = change.after;
  if (isKitFunction(change.name) || is === undefined) return null;
  if (turned(change, "definer", null) || turned(change, "definer", false)) {
    return review("it runs as its caller now: where it worked as its owner it may fail");
  }
  if (is["definer"] !== true) return null;
  const became = change.op === "added" || change.facet === "definer";
  if (!became && change.facet !== "body") return null;
  const who = runners(world.after, is);
  const isTrigger = /trigger$/.test(text(is, "returns"));
  const read = readsOf(world.after, is, (one) => isTenants(world, one) || isKit(one));
  const asks = names(is, "does").includes("asks who calls");
  const asked = names(change.before, "does").includes("asks who calls");
  if (names(is, "does").includes("reads user_metadata") && (!isTrigger || read.length > 0)) {
    return dangerous("it trusts user_metadata, which the user writes");
  }
  if (isTrigger) {
    return names(is, "settings").some((one) => one.startsWith("search_path=")) && became
      ? safe("a trigger function that runs as its owner")
      : review("a trigger function that runs as its owner");
  }
  if (who.length > 0 && names(is, "does").includes("reads logins") && !asks) {
    return dangerous(`it shows logins to ${who.join(", ")} and does not ask who calls`);
  }
  if (became && who.some((one) => one === "anon" || one === "public")) {
    return dangerous("it runs as its owner, and anon may call it");
  }
  if (who.length > 0 && read.length > 0 && !asks && (became || asked || !sameReads(change))) {
    return dangerous(`it shows ${read.join(", ")} to ${who.join(", ")} and does not ask who calls`);
  }
  if (change.op === "added" && names(is, "does").includes("builds SQL") && who.length > 0) {
    return review("it runs SQL that is put together as it runs, as its owner");
  }
  return review(
    names(is, "settings").some((one) => one.startsWith("search_path="))
      ? `it runs as ${text(is, "owner")}${who.length > 0 ? ` for ${who.join(", ")}` : ""}`
      : "it runs as its owner, with its caller's search_path",
  );
}

const sameReads = (change: Change) =>
  names(change.after, "reads").every((one) => names(change.before, "reads").includes(one));

function trusted(change: Change): Verdict | null {
  if (isKitFunction(change.name)) return null;
  const leaky = change.after?.["leakproof"] === true &&
    (change.op === "added" || change.facet === "leakproof");
  return leaky ? dangerous("it is run on rows before the policies are asked") : null;
}

function inPolicy(change: Change, world: World): Verdict | null {
  if (isKitFunction(change.name) || change.op === "added") return null;
  const name = bareName(change.name.replace(/\(.*$/, ""));
  const users = [...world.before.all("policy"), ...world.after.all("policy")].filter((one) =>
    new RegExp(`\\b${name.replace(/\W/g, "\\$&")}\\(`).test(text(one, "using") + text(one, "check"))
  );
  if (users.length === 0) return null;
  const where = [...new Set(users.map((one) => one.on))].join(", ");
  if (change.op === "removed") return review(`policies of ${where} asked it`);
  if (change.facet === "volatility" && text(change.after, "volatility") === "immutable") {
    return dangerous(`policies of ${where} ask it, and a cached plan keeps one tenant's answer`);
  }
  const asked = names(change.before, "does").includes("asks who calls");
  if (change.facet === "body" && asked && !names(change.after, "does").includes("asks who calls")) {
    return dangerous(`policies of ${where} ask it, and it does not ask who calls any more`);
  }
  return review(`policies of ${where} ask it`);
}

function ofTrigger(change: Change, world: World): Verdict | null {
  const is = change.after;
  if (change.op !== "changed" || change.facet !== "body" || is === undefined) return null;
  if (isKitFunction(change.name)) return null;
  const users = world.after.all("trigger").filter((one) => text(one, "function") === change.name);
  for (const one of users) {
    const found = effect(world, one, is);
    if (found) return found;
  }
  return users.length > 0
    ? review(`triggers of ${users.map((one) => one.on).join(", ")} run it`)
    : null;
}

function other(change: Change, world: World): Verdict | null {
  if (isKitFunction(change.name)) return null;
  if (change.op === "removed") return safe("what called it fails");
  const is = change.after;
  if (change.op === "added") {
    if (is?.["definer"] === true) return null;
    return names(is, "does").includes("changes the context")
      ? review("it changes role, tenant or a setting for its caller")
      : ["sql", "plpgsql"].includes(text(is, "language"))
      ? safe("it runs as its caller, behind the policies")
      : review(`it is written in ${text(is, "language")}`);
  }
  switch (change.facet) {
    case "volatility":
      return text(is, "volatility") === "immutable"
        ? review("its answer may be kept in plans")
        : safe("it is asked more often, or as often");
    case "leakproof":
      return safe("policies are asked first");
    case "strict":
    case "parallel":
    case "arguments":
      return safe("it runs as it did");
    case "body":
      if (is?.["definer"] === true) return null;
      return names(is, "does").includes("changes the context") &&
          !names(change.before, "does").includes("changes the context")
        ? review("it changes role, tenant or a setting for its caller")
        : safe("it runs as its caller, behind the policies");
    case "language":
      return ["sql", "plpgsql"].includes(text(is, "language"))
        ? safe("another language")
        : review(`it is written in ${text(is, "language")} now`);
    case "returns":
      return isTrusted(world.after, text(is, "owner")) && is?.["definer"] === true
        ? review("it answers something else")
        : safe("it answers something else, behind the policies");
    default:
      return null;
  }
}
