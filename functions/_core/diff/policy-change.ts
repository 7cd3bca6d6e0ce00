import { as, list, print } from "../adopt/expression.ts";
import { names, text, type Thing } from "./snapshot.ts";
import { type State, verdict, type World } from "./world.ts";

/** How one expression relates to another: which lets more rows through. */
export type Shift = "same" | "wider" | "narrower" | "replaced";

/**
 * Compare two conditions by their trees: one with a side of an OR more, or a side of an AND less, is wider.
 *
 * @example
 * shift(tree("a"), tree("a or b")); // "wider"
 */
export function shift(before: unknown, after: unknown): Shift {
  const was = printed(before);
  const is = printed(after);
  if (was === is) return "same";
  if (always(after, true) || always(before, false)) return "wider";
  if (always(before, true) || always(after, false)) return "narrower";
  const ors = [sides(before, "OR_EXPR"), sides(after, "OR_EXPR")] as const;
  if (contains(ors[1], ors[0])) return "wider";
  if (contains(ors[0], ors[1])) return "narrower";
  const ands = [sides(before, "AND_EXPR"), sides(after, "AND_EXPR")] as const;
  if (contains(ands[0], ands[1])) return "wider";
  if (contains(ands[1], ands[0])) return "narrower";
  return "replaced";
}

/** Nested ANDs and ORs are one list; their order and their parentheses say nothing. */
function sides(node: unknown, operator: string): Set<string> {
  const bool = as(node, "BoolExpr");
  if (bool?.["boolop"] !== operator) return new Set([printed(node)]);
  return new Set(list(bool["args"]).flatMap((one) => [...sides(one, operator)]));
}

/** Sides in one order, so that `a and b` is `b and a`. */
function printed(node: unknown): string {
  const bool = as(node, "BoolExpr");
  const operator = String(bool?.["boolop"] ?? "");
  if (operator !== "AND_EXPR" && operator !== "OR_EXPR") return print(node) ?? "null";
  return `${operator}(${[...sides(node, operator)].sort().join()})`;
}

function contains(whole: ReadonlySet<string>, part: ReadonlySet<string>): boolean {
  return [...part].every((one) => whole.has(one)) && whole.size > part.size;
}

function always(node: unknown, value: boolean): boolean {
  const constant = as(node, "A_Const")?.["boolval"];
  if (constant === undefined || constant === null || typeof constant !== "object") return false;
  return ("boolval" in constant && constant.boolval === true) === value;
}

/** What a policy does to the rows that are seen or written, compared with what it did. */
export type PolicyShift = {
  /** Towards more rows, fewer, or nobody can tell. */
  direction: Shift;
  why: string[];
};

/** For a restrictive policy wider means that it holds back less. */
export function policyShift(world: World, before: Thing, after: Thing): PolicyShift {
  const restrictive = before["permissive"] === false;
  const found: [Shift, string][] = [];
  for (const [side, label] of [["using", "USING"], ["check", "WITH CHECK"]] as const) {
    const [was, is] = [effective(before, side), effective(after, side)];
    // An insert has no USING: its absence is not "everything".
    if (was === is) continue;
    const direction = was === null
      ? "narrower"
      : is === null
      ? "wider"
      : shift(world.tree(was), world.tree(is));
    if (direction !== "same") found.push([direction, `${label} is ${words[direction]}`]);
  }
  const covers = (thing: Thing) => new Set(names(thing, "roles"));
  const roles = setShift(covers(before), covers(after), "public");
  const commands = setShift(
    new Set([text(before, "command")]),
    new Set([text(after, "command")]),
    "all",
  );
  // A restrictive policy that holds for fewer is one that fewer obey.
  const turned = (direction: Shift): Shift =>
    !restrictive
      ? direction
      : direction === "wider"
      ? "narrower"
      : direction === "narrower"
      ? "wider"
      : direction;
  if (roles !== "same") {
    found.push([turned(roles), `it holds for ${names(after, "roles").join(", ")}`]);
  }
  if (commands !== "same") found.push([turned(commands), `it holds for ${text(after, "command")}`]);
  if (before["permissive"] !== after["permissive"]) {
    found.push([
      restrictive ? "wider" : "narrower",
      restrictive ? "it opens now, where it held back" : "it holds back now, where it opened",
    ]);
  }
  const directions = new Set(found.map(([one]) => one));
  const direction = directions.has("wider")
    ? "wider"
    : directions.has("replaced")
    ? "replaced"
    : directions.has("narrower")
    ? "narrower"
    : "same";
  return { direction, why: found.map(([, why]) => why) };
}

const words: Record<Shift, string> = {
  same: "the same",
  wider: "wider",
  narrower: "narrower",
  replaced: "another",
};

/** Without WITH CHECK, USING judges the new rows too. */
function effective(policy: Thing, side: "using" | "check"): string | null {
  const own = text(policy, side);
  if (own !== "") return own;
  if (side === "check" && ["update", "all"].includes(text(policy, "command"))) {
    return text(policy, "using") || null;
  }
  return null;
}

function setShift(before: Set<string>, after: Set<string>, everything: string): Shift {
  const inside = (small: Set<string>, big: Set<string>) =>
    big.has(everything) || [...small].every((one) => big.has(one));
  const grows = inside(before, after);
  const shrinks = inside(after, before);
  return grows && shrinks ? "same" : grows ? "wider" : shrinks ? "narrower" : "replaced";
}

/** What is gravely wrong with a policy now and was not before. */
export function newProblems(world: World, before: State, after: State, policy: Thing): string[] {
  const old = before.get("policy", policy.on, policy.name);
  const known = new Set(old ? verdict(world, before, old).problems.map((one) => one.rule) : []);
  return verdict(world, after, policy).problems
    .filter((one) => one.severity === "critical" && !known.has(one.rule))
    .map((one) => one.rule);
}
