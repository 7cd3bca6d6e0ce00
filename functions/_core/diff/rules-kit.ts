import type { Change } from "./compare.ts";
import { dangerous, review, type Rule, safe, type Verdict } from "./rule.ts";
import { names, text } from "./snapshot.ts";
import { API_ROLES, hasKit, tenantColumn, type World } from "./world.ts";

/** What the kit was told: tables, settings, the timetable. */
export const KIT_RULES: readonly Rule[] = [
  { id: "protected_table", kinds: ["protected table"], judge: protectedTable },
  { id: "exempt_table", kinds: ["exempt table"], judge: exempt },
  { id: "kit_setting", kinds: ["kit setting"], judge: kitSetting },
  { id: "kit_job", kinds: ["kit job"], judge: job },
];

function protectedTable(change: Change, world: World): Verdict | null {
  if (change.op === "added") return safe("bulkhead.protect() declared it");
  if (change.op === "removed") {
    return world.after.get("table", "", change.name) === undefined
      ? review("the table is gone")
      : dangerous("nobody compares its protection with anything any more");
  }
  if (change.facet === "declared" || change.facet === "exists") {
    return change.after?.[change.facet] === true
      ? safe("it is declared")
      : dangerous("what was declared is gone: drift can't be seen");
  }
  if (change.facet === "as") {
    return text(change.after, "as") === change.name
      ? safe("it is declared by the name that it has")
      : dangerous(
        `it was protected as ${text(change.after, "as")}: protect it again under its name`,
      );
  }
  return dangerous(`its ${change.facet} is declared differently`);
}

function exempt(change: Change, world: World): Verdict | null {
  if (change.op === "removed") return review("it is not exempt any more");
  const tenant = tenantColumn(world, change.name);
  return tenant !== null && world.after.get("column", change.name, tenant) !== undefined
    ? dangerous(`exempt, with the tenant column ${tenant}`)
    : review(`exempt: ${text(change.after, "reason")}`);
}

function kitSetting(change: Change): Verdict | null {
  if (change.op === "removed") return dangerous("it tells the kit nothing any more");
  const old = names(change.before, "value");
  const came = names(change.after, "value").filter((one) => !old.includes(one));
  const value = text(change.after, "value");
  switch (change.name) {
    case "platform_roles":
      if (came.length === 0) return safe("one trusted role less");
      return came.some((one) => API_ROLES.includes(one))
        ? dangerous(`the guard trusts ${came.join(", ")}`)
        : review(`the guard trusts ${came.join(", ")}`);
    case "direct_roles":
      if (came.length === 0) return safe("one direct role less");
      return came.some((one) => API_ROLES.includes(one))
        ? dangerous(`${came.join(", ")} may name any tenant`)
        : review(`${came.join(", ")} may name any tenant`);
    case "exposed_schemas":
      return review(`exposed: ${names(change.after, "value").join(", ")}`);
    default:
      if (change.op === "changed" && text(change.before, "value") !== "" && value === "") {
        return dangerous(`${change.name} is not set any more`);
      }
      return review(`${change.name} is ${value === "" ? "set" : value}`);
  }
}

function job(change: Change, world: World): Verdict | null {
  const wanted = world.after.get("kit job", "timetable", change.name);
  if (change.op === "added") {
    return change.on === "timetable" || wanted !== undefined
      ? review("a job of the kit")
      : review("it has a name of the kit's, and the timetable does not know it");
  }
  if (!hasKit(world.after)) return null;
  return change.op === "removed"
    ? dangerous("it does not run any more")
    : dangerous(`it does not run as installed: ${change.facet}`);
}
