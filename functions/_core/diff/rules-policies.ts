import type { Change } from "./compare.ts";
import { newProblems, policyShift } from "./policy-change.ts";
import { callers } from "./rights.ts";
import { dangerous, review, type Rule, safe, type Verdict } from "./rule.ts";
import { names, text, type Thing } from "./snapshot.ts";
import { hasKit, isKit, isTenants, sealed, tied, type World } from "./world.ts";

/** Policies, judged by the trees of their expressions. */
export const POLICY_RULES: readonly Rule[] = [
  { id: "policy_kit", kinds: ["policy"], judge: kit },
  { id: "policy_added", kinds: ["policy"], judge: added },
  { id: "policy_dropped", kinds: ["policy"], judge: dropped },
  { id: "policy_changed", kinds: ["policy"], judge: changed },
];

/** What no floor makes up for. */
const ALWAYS_GRAVE = ["self_insert", "self_promotion", "user_metadata"];
const WORDS: Record<string, string> = {
  constant_true: "it is true for every row",
  or_true: "one side of an OR is true for every row",
  null_tolerant: "a missing tenant opens it",
  inverted: "it shows what is not the tenant's",
  literal_tenant: "it names one tenant",
  user_metadata: "user_metadata is written by the user",
  no_own_column: "it looks at no column of the row",
  current_user: "current_user is the same for everybody",
  membership_without_tenant: "a member of any tenant passes",
  self_insert: "anybody may join any tenant",
  self_promotion: "members may raise their own role",
  for_everybody: "it holds for anon too",
};

function kit(change: Change, world: World): Verdict | null {
  if (!isKit(change.on)) return null;
  if (change.op === "removed") return dangerous("a policy of the kit is gone");
  if (change.op === "added") return dangerous("another policy on a table of the kit");
  const shift = change.before && change.after
    ? policyShift(world, change.before, change.after)
    : { direction: "replaced" };
  return shift.direction === "same"
    ? safe("it means the same")
    : dangerous("a policy of the kit is not as installed");
}

function added(change: Change, world: World): Verdict | null {
  const policy = change.after;
  if (change.op !== "added" || policy === undefined || isKit(change.on)) return null;
  if (policy["permissive"] === false) {
    return /user_metadata/.test(text(policy, "using") + text(policy, "check"))
      ? dangerous("it trusts user_metadata, which the user writes")
      : safe("a restrictive policy only holds back");
  }
  const verdict = opened(world, change, policy, "another way in");
  const isNew = world.before.get("table", "", change.on) === undefined &&
    world.after.get("table", "", change.on) !== undefined;
  const kits = hasKit(world.after) && change.name.startsWith("bulkhead_") &&
    tied(world, world.after, policy, text(policy, "using"));
  // A new table is judged with who gets in; what is wrong with a policy is told all the same.
  if (isNew && verdict.why === "another way in") return safe("its table is judged with it");
  return (isNew || kits) && verdict.why.startsWith("another way in;")
    ? safe("a way in, inside the restrictive tenant policy")
    : verdict;
}

/** A policy that opens (more than it did): how bad, with what is beneath it. */
function opened(world: World, change: Change, policy: Thing, what: string): Verdict {
  const floor = sealed(world, world.after, change.on);
  const problems = newProblems(world, world.before, world.after, policy);
  const tenants = isTenants(world, change.on);
  const asks = /auth\.|current_tenant|current_setting|uid\(\)|jwt\(\)/.test(
    text(policy, "using") + text(policy, "check"),
  );
  const roles = names(policy, "roles");
  const grave = problems.filter((one) =>
    one === "for_everybody"
      ? tenants && (roles.includes("anon") || !asks)
      : ALWAYS_GRAVE.includes(one) || (tenants && !floor)
  );
  const why = problems.filter((one) => one !== "for_everybody" || grave.includes(one))
    .map((one) => WORDS[one] ?? one.replaceAll("_", " ")).join("; ");
  if (grave.length > 0) return dangerous(why);
  if (!tenants && problems.includes("constant_true") && isPlatform(world, change.on)) {
    return dangerous(`${why}, on a table of the platform`);
  }
  const beneath = floor ? "; the restrictive tenant policy still holds beneath" : "";
  return review(`${what}${why === "" ? "" : `: ${why}`}${beneath}`);
}

/** Files and channels of all tenants. */
const isPlatform = (world: World, table: string) =>
  world.after.get("platform", "", table) !== undefined;

function dropped(change: Change, world: World): Verdict | null {
  const policy = change.before;
  if (change.op !== "removed" || policy === undefined || isKit(change.on)) return null;
  if (policy["permissive"] !== false) {
    const left = world.after.on("policy", change.on).some((one) => one["permissive"] === true);
    return left
      ? review("one way in less: whoever came by it sees fewer rows")
      : review("the last way in: nobody but trusted roles sees a row");
  }
  if (sealed(world, world.before, change.on) && !sealed(world, world.after, change.on)) {
    return dangerous("nothing ties the rows to their tenant any more");
  }
  return isTenants(world, change.on) && !sealed(world, world.after, change.on)
    ? dangerous("what it held back, nothing holds back")
    : review("what it held back is let through, inside the tenant");
}

/** Several properties of one policy are one change: it is told once, on the first of them. */
function changed(change: Change, world: World): Verdict | null {
  const { before, after } = change;
  if (change.op !== "changed" || !before || !after || isKit(change.on)) return null;
  const { direction, why } = policyShift(world, before, after);
  if (direction === "same") return safe("it means the same");
  const told = why.join("; ");
  if (before["permissive"] === false) {
    if (direction === "narrower") return safe(told);
    const lost = sealed(world, world.before, change.on) && !sealed(world, world.after, change.on);
    if (lost || direction === "wider") return dangerous(`it holds back less: ${told}`);
    const problems = newProblems(world, world.before, world.after, after);
    return problems.length > 0 && isTenants(world, change.on)
      ? dangerous(`it holds back less: ${told}`)
      : review(`it holds back something else: ${told}`);
  }
  if (direction === "narrower") return after["permissive"] === false ? review(told) : safe(told);
  const verdict = opened(world, change, after, told);
  if (verdict.level === "dangerous" || direction !== "wider") return verdict;
  const everybody = names(after, "roles").some((one) =>
    ["public", "anon"].includes(one) && !names(before, "roles").includes(one)
  );
  const floor = sealed(world, world.before, change.on) && sealed(world, world.after, change.on);
  if (!floor && isTenants(world, change.on)) return dangerous(told);
  return everybody && callers(world.after).includes("anon") ? dangerous(told) : verdict;
}
