import type { Change } from "./compare.ts";
import { byDefault, callers, isPowerful, isTrusted, readsOf } from "./rights.ts";
import { dangerous, review, type Rule, safe, type Verdict } from "./rule.ts";
import { names, text } from "./snapshot.ts";
import { isKit, isLedger, isTenants, type State, type World } from "./world.ts";

/** Grants, default privileges, roles and memberships. */
export const RIGHT_RULES: readonly Rule[] = [
  { id: "grant", kinds: ["grant"], judge: grant },
  { id: "default_privileges", kinds: ["default privilege"], judge: defaults },
  { id: "platform_grant", kinds: ["platform"], judge: platform },
  { id: "role", kinds: ["role"], judge: role },
  { id: "role_membership", kinds: ["membership"], judge: membership },
];

/** What came and what went of a list. */
function moved(change: Change, facet: string): { came: string[]; went: string[] } {
  const old = names(change.before, facet);
  const now = names(change.after, facet);
  return {
    came: now.filter((one) => !old.includes(one)),
    went: old.filter((one) => !now.includes(one)),
  };
}

function grant(change: Change, world: World): Verdict | null {
  const { came, went } = moved(change, "privileges");
  const [, kind = "", id = ""] =
    /^(table|view|materialized view|foreign table|sequence|column|function|schema|database|language|foreign server|foreign data wrapper|parameter)(?: (.*))?$/
      .exec(change.on) ?? [];
  const relation = kind === "column" ? id.replace(/\.(?:"(?:[^"]|"")*"|[^."]+)$/, "") : id;
  const kit = isKit(kind === "function" ? id.replace(/\(.*$/, "") : relation);
  const who = change.name;
  if (came.length === 0) {
    return kit && went.length > 0 && callers(world.before).includes(who)
      ? review("what the kit gave is taken away: policies may fail for them")
      : safe("one right less");
  }
  const isNew = kind !== "column" && !exists(world.before, kind, id);
  if (isNew) {
    const expected = byDefault(world.before, { kind, name: id }, who);
    if (came.every((one) => expected.has(one) || expected.has(`${one}*`))) {
      return safe("as default privileges give it");
    }
  }
  const list = came.map((one) => one.replace("*", " with grant option")).join(", ");
  const level = weigh({ kind, relation, kit, who, came, world, id, isNew });
  return { level, why: `${who} gets ${list}` };
}

type Given = {
  kind: string;
  relation: string;
  kit: boolean;
  who: string;
  came: string[];
  world: World;
  id: string;
  isNew: boolean;
};

function weigh(given: Given): Verdict["level"] {
  const { kind, relation, kit, who, came, world } = given;
  const everybody = who === "anon" || who === "public";
  const caller = callers(world.after).includes(who);
  const api = caller || who === "service_role";
  const passes = came.some((one) => one.endsWith("*"));
  const tenants = isTenants(world, relation);
  switch (kind) {
    case "parameter":
      return api ? "dangerous" : "review";
    case "database":
    case "schema":
      if (came.some((one) => one.startsWith("CREATE"))) {
        if (kit) return "dangerous";
        return api ? "dangerous" : isTrusted(world.after, who) ? "safe" : "review";
      }
      return kit && api && !isDirect(world, who) ? "dangerous" : "review";
    case "function":
      return functionGrant(given, everybody, caller, passes);
    case "sequence":
      return kit && api || everybody || passes && api ? "dangerous" : api ? "safe" : "review";
    case "language":
    case "foreign server":
    case "foreign data wrapper":
      return api ? "dangerous" : "review";
  }
  if (isTrusted(world.after, who) && who !== "service_role" && !passes) return "safe";
  if (kit) {
    return isLedger(relation) || api || passes || who === "bulkhead_audit"
      ? kitLevel(given)
      : "review";
  }
  if (passes && (tenants || api)) return "dangerous";
  if (came.some((one) => /^(TRUNCATE|REFERENCES|TRIGGER|MAINTAIN)/.test(one))) {
    return tenants && api ? "dangerous" : "review";
  }
  const view = world.after.get("view", "", relation) ??
    world.after.get("materialized view", "", relation);
  if (view && caller) {
    const read = readsOf(world.after, view, (one) => isTenants(world, one) || isKit(one));
    return view["invoker"] === true || read.length === 0 ? "safe" : "dangerous";
  }
  if (tenants && everybody) return "dangerous";
  const open = world.after.get("table", "", relation)?.["rls"] !== true;
  if (tenants && api) return open ? "dangerous" : "safe";
  if (everybody) {
    return open && came.some((one) => /^(INSERT|UPDATE|DELETE)/.test(one)) ? "dangerous" : "review";
  }
  if (api) return "safe";
  return "review";
}

/** A back end's own role, which the kit was told of and gives what it needs. */
const isDirect = (world: World, who: string) =>
  names(world.after.get("kit setting", "", "direct_roles"), "value").includes(who);

/** Reading a table of the kit is held by its RLS; writing one is not for anybody. */
function kitLevel({ came, who, relation }: Given): Verdict["level"] {
  const writes = came.some((one) => !one.startsWith("SELECT") || one.endsWith("*"));
  if (who === "bulkhead_audit" && came.every((one) => one === "INSERT" || one === "SELECT")) {
    return isLedger(relation) ? "review" : "dangerous";
  }
  return writes || ["anon", "public", "authenticated"].includes(who) ? "dangerous" : "review";
}

function functionGrant(
  { id, kit, world, who }: Given,
  everybody: boolean,
  caller: boolean,
  passes: boolean,
): Verdict["level"] {
  if (kit) return (caller && !isDirect(world, who)) || passes ? "dangerous" : "review";
  const routine = world.after.get("function", "", id);
  if (routine?.["definer"] !== true) return passes && caller ? "dangerous" : "safe";
  if (/trigger$/.test(text(routine, "returns"))) return "safe";
  if (everybody) return "dangerous";
  const read = readsOf(world.after, routine, (one) => isTenants(world, one));
  return caller && read.length > 0 && !names(routine, "does").includes("asks who calls")
    ? "dangerous"
    : "review";
}

function exists(state: State, kind: string, id: string): boolean {
  switch (kind) {
    case "table":
    case "view":
    case "materialized view":
    case "foreign table":
    case "sequence":
    case "function":
    case "schema":
      return state.get(kind, "", id) !== undefined;
    default:
      return true;
  }
}

function defaults(change: Change, world: World): Verdict | null {
  const { came } = moved(change, "privileges");
  const who = change.name;
  if (came.length === 0) return safe("tomorrow's objects start with one right less");
  const why = `tomorrow's ${change.on} give ${who} ${came.join(", ")}`;
  const api = callers(world.after).includes(who) || who === "service_role";
  if (/ in schema bulkhead/.test(change.on) && api) return dangerous(why);
  if (who === "anon" || who === "public") return dangerous(why);
  if (came.some((one) => one.endsWith("*"))) return dangerous(why);
  return review(why);
}

function platform(change: Change): Verdict | null {
  if (change.facet !== "grants") return null;
  const { came } = moved(change, "grants");
  if (came.length === 0) return safe("one right less on what is the platform's");
  return dangerous(`API roles get more of what is the platform's: ${came.join(", ")}`);
}

const POWERS = [
  "superuser",
  "bypassrls",
  "createrole",
  "replication",
  "createdb",
  "login",
  "inherit",
];

function role(change: Change, world: World): Verdict | null {
  if (change.op === "removed") return safe("nobody can be it any more");
  if (change.op === "changed" && change.after?.[change.facet] !== true) {
    return safe(`it is ${change.facet} no more`);
  }
  const powers = change.op === "added"
    ? POWERS.filter((one) => change.after?.[one] === true)
    : [change.facet];
  const api = [...callers(world.after), "service_role", "bulkhead_audit"].includes(change.name);
  if (powers.some((one) => one === "superuser" || one === "bypassrls")) {
    return dangerous("row level security does not hold for it");
  }
  if (change.op === "added") {
    const more = powers.filter((one) => one !== "inherit");
    return more.length === 0
      ? safe("a role that may do nothing by itself")
      : review(`a role that may: ${more.join(", ")}`);
  }
  const isDirect = names(world.after.get("kit setting", "", "direct_roles"), "value")
    .includes(change.name);
  const grave = ["createrole", "replication"].includes(change.facet) ||
    (change.facet === "login" && !isDirect && change.name !== "authenticator") ||
    (change.facet === "inherit" && ["authenticator", "bulkhead_audit"].includes(change.name));
  return api && grave
    ? dangerous(`${change.facet}: an API role with a power of its own`)
    : review(`${change.facet} is on now`);
}

function membership(change: Change, world: World): Verdict | null {
  const [into, member] = [change.on, change.name];
  if (change.op === "removed") return safe(`${member} is not in ${into} any more`);
  if (change.op === "changed" && change.after?.[change.facet] !== true) {
    return safe(`${change.facet} is off now`);
  }
  const usual = member === "authenticator" &&
    ["anon", "authenticated", "service_role"].includes(into);
  if (usual) {
    return change.after?.["inherit"] === true && into === "service_role" ||
        ["inherit", "admin"].includes(change.facet)
      ? dangerous("the authenticator has the rights of the role before it becomes it")
      : review(`the authenticator may become ${into}`);
  }
  if (isTrusted(world.after, member)) return safe(`${member} may do so anyway`);
  const api = [...callers(world.after), "service_role", "bulkhead_audit"];
  if (api.includes(member)) return dangerous(`${member} has the rights of ${into} too`);
  if (isPowerful(world.after, into)) return dangerous(`${member} passes by RLS as ${into}`);
  return review(`${member} has the rights of ${into}`);
}
