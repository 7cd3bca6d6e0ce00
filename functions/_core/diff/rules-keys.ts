import type { Change } from "./compare.ts";
import { dangerous, review, type Rule, safe, type Verdict } from "./rule.ts";
import { names, text, type Thing } from "./snapshot.ts";
import { isKit, isTenants, sealed, tenantColumn, type World } from "./world.ts";

/** Constraints and unique indexes. */
export const KEY_RULES: readonly Rule[] = [
  { id: "constraint_kit", kinds: ["constraint", "index"], judge: kit },
  { id: "constraint_dropped", kinds: ["constraint"], judge: dropped },
  { id: "foreign_key_added", kinds: ["constraint"], judge: addedForeignKey },
  { id: "foreign_key_changed", kinds: ["constraint"], judge: changed },
  { id: "constraint_added", kinds: ["constraint"], judge: addedOther },
  { id: "unique_without_tenant", kinds: ["constraint", "index"], judge: unique },
];

const LOOSE = /cascade|set null|set default/;

function kit(change: Change): Verdict | null {
  if (!isKit(change.on)) return null;
  return change.op === "added"
    ? review("a constraint of the kit")
    : dangerous("a constraint of the kit is not as installed");
}

const isForeign = (thing: Thing | undefined) => text(thing, "type") === "foreign key";

/** Both ends hold rows of tenants. */
function crosses(world: World, thing: Thing | undefined): boolean {
  return thing !== undefined && isForeign(thing) && isTenants(world, thing.on) &&
    isTenants(world, text(thing, "parent"));
}

/** The key names the tenant on both ends, or points at the tenants themselves. */
function carries(world: World, thing: Thing): boolean {
  const tenant = tenantColumn(world, thing.on);
  return tenant !== null && names(thing, "columns").includes(tenant);
}

function dropped(change: Change, world: World): Verdict | null {
  const was = change.before;
  if (change.op !== "removed" || was === undefined || isKit(change.on)) return null;
  if (!isTenants(world, change.on)) {
    return text(was, "type") === "check"
      ? safe("a check of a table that is nobody's")
      : review("rows that pointed somewhere, or were one of a kind, need not any more");
  }
  switch (text(was, "type")) {
    case "foreign key":
      if (!crosses(world, was)) return review("its rows may point at nothing");
      return carries(world, was)
        ? dangerous(
          names(was, "columns").length > 1
            ? "rows may point at another tenant's"
            : "rows may belong to a tenant that does not exist",
        )
        : review("its rows may point at nothing");
    case "primary key":
      return dangerous("rows are not one of a kind any more");
    case "unique":
      return carries(world, was)
        ? dangerous("keys that carry the tenant need it")
        : safe("a value may be in two tenants now");
    default:
      return world.before.get("protected table", "", change.on)
        ? dangerous("what the protected table refused is taken now")
        : review("what it refused is taken now");
  }
}

function addedForeignKey(change: Change, world: World): Verdict | null {
  const is = change.after;
  if (change.op !== "added" || is === undefined || !isForeign(is) || isKit(change.on)) return null;
  if (!crosses(world, is)) return safe("a reference to rows that are nobody's");
  const strict = sealed(world, world.after, change.on);
  const problems = faults(world, is);
  if (problems.length === 0) return safe("rows can point at rows of their own tenant only");
  const why = problems.join("; ");
  return strict && problems.some((one) => !one.startsWith("rows that"))
    ? dangerous(why)
    : review(why);
}

function faults(world: World, key: Thing): string[] {
  const found: string[] = [];
  if (!carries(world, key)) found.push("without the tenant, a row may point at another tenant's");
  for (const facet of ["onDelete", "onUpdate"]) {
    if (LOOSE.test(text(key, facet))) {
      found.push(`${facet === "onDelete" ? "on delete" : "on update"} ${text(key, facet)}`);
    }
  }
  if (key["validated"] !== true) found.push("rows that are there already were not looked at");
  if (key["deferrable"] === true) found.push("it may wait for the commit");
  return found;
}

function changed(change: Change, world: World): Verdict | null {
  const is = change.after;
  if (change.op !== "changed" || is === undefined || isKit(change.on)) return null;
  const tenants = isTenants(world, change.on) ||
    (isForeign(is) && isTenants(world, text(is, "parent")));
  const grave = (why: string) => tenants ? dangerous(why) : review(why);
  switch (change.facet) {
    case "validated":
      return is["validated"] === true
        ? safe("every row was looked at")
        : grave("rows that are there already are not looked at");
    case "enforced":
      return is["enforced"] === true
        ? safe("it is enforced again")
        : grave("it stands in the catalogs, and nothing enforces it");
    case "deferrable":
    case "deferred":
      return is[change.facet] === true
        ? grave("it may wait for the commit, and what runs before sees what it refuses")
        : safe("it holds at once");
    case "onDelete":
    case "onUpdate":
      if (!LOOSE.test(text(is, change.facet))) return safe("it refuses");
      return crosses(world, is)
        ? dangerous(`${text(is, change.facet)}: one row takes others with it`)
        : review(`${text(is, change.facet)}: one row takes others with it`);
    case "onDeleteColumns":
      return review("another column is emptied");
    case "columns":
    case "parent":
    case "parentColumns":
    case "type":
      if (tenants && change.before && carries(world, change.before) && !carries(world, is)) {
        return dangerous("it carried the tenant, and does not any more");
      }
      return tenants && carries(world, is) && isForeign(is) &&
          isForeign(change.before)
        ? safe("it carries the tenant")
        : review("it speaks of other columns");
    case "definition":
      if (text(is, "type") === "check") return review("it refuses something else");
      return review(`it is now ${text(is, "definition")}`);
    default:
      return null;
  }
}

function addedOther(change: Change, world: World): Verdict | null {
  const is = change.after;
  if (change.op !== "added" || is === undefined || isForeign(is) || isKit(change.on)) return null;
  const type = text(is, "type");
  if (type === "primary key") return safe("rows are one of a kind");
  if (type === "check") {
    return is["validated"] === true
      ? safe("it refuses more than before")
      : review("rows that are there already were not looked at");
  }
  return isTenants(world, change.on) && !carries(world, is)
    ? null
    : safe("unique in one tenant, or in a table that is nobody's");
}

function unique(change: Change, world: World): Verdict | null {
  const is = change.after ?? change.before;
  if (is === undefined || isKit(change.on)) return null;
  const index = change.kind === "index";
  if (!index && !["unique", "exclude"].includes(text(is, "type"))) return null;
  const global = isTenants(world, change.on) && !carries(world, is);
  if (change.op === "added") {
    if (!global) return index ? safe("unique in one tenant, or in a table that is nobody's") : null;
    return review("over all tenants: a refusal tells one tenant what another one has");
  }
  if (!index) return null;
  if (change.op === "removed") {
    return global || !isTenants(world, change.on)
      ? safe("a value may be there twice")
      : review("a value may be in a tenant twice, and keys that need it are gone");
  }
  return change.facet === "valid" && is["valid"] === true
    ? safe("it is enforced")
    : review("it speaks of other values");
}
