import type { Diff, Entry } from "./classify.ts";
import { type Change, DERIVED, objectOf } from "./compare.ts";
import { hasKit, isKit, type World } from "./world.ts";

/** Whether the kit came or went as a whole. */
export const wholeKit = (world: World) => hasKit(world.before) !== hasKit(world.after);

/** Whether a change is one of the kit itself. */
export function ofKit({ kind, on, name }: Change): boolean {
  if (["protected table", "exempt table"].includes(kind)) return false;
  if (kind.startsWith("kit ")) return true;
  const id = kind === "grant" ? on.replace(/^[a-z ]+ /, "") : on === "" ? name : on;
  return isKit(id.replace(/\(.*$/, "")) || (kind === "role" && name.startsWith("bulkhead_")) ||
    (kind === "membership" && `${on} ${name}`.includes("bulkhead_")) ||
    (kind === "event trigger" && name.startsWith("bulkhead_"));
}

/** Written for this project by protect() and configure(). */
const isGenerated = (world: World, routine: string) =>
  /^bulkhead\.(canonical_tenant|member_tenants)\(/.test(routine) ||
  world.after.all("trigger").some((one) =>
    one["function"] === routine && one.name.startsWith("bulkhead_")
  );

/** Whether a change of the kit is what this version of the kit installs. */
export function isShipped(change: Change, world: World): boolean {
  if (world.shipped === null) return false;
  // Months of the trail come and go: they are all like their table.
  const whole = (id: string) =>
    id.replace(/^(bulkhead\.audit_events)_(\d{6}|default)(?=\.|$)/, "$1");
  const bare = whole(change.on);
  const name = ["constraint", "index"].includes(change.kind) && bare !== change.on
    ? change.name.replace(/_(\d{6}|default)(?=_)/, "")
    : whole(change.name);
  const wanted = world.shipped.get(change.kind, change.on, change.name) ??
    world.shipped.get(change.kind, bare, name) ??
    world.shipped.get(change.kind, change.on, change.name.replace(/_\d{6}$/, "_default"));
  if (change.op === "removed") return wanted === undefined;
  const same = (facet: string) =>
    JSON.stringify(wanted?.[facet] ?? null) === JSON.stringify(change.after?.[facet] ?? null);
  if (change.op === "changed") return wanted !== undefined && same(change.facet);
  return wanted !== undefined &&
    Object.keys({ ...wanted, ...change.after }).every((one) => DERIVED.has(one) || same(one));
}

/** A kit that is brought to this version is one change to know of, not a hundred. */
export function upgradeEntry(count: number): Entry {
  return {
    rule: "kit_upgraded",
    level: "review",
    kind: "schema",
    object: "bulkhead",
    op: "changed",
    facet: "version",
    before: null,
    after: null,
    why: `${count} ${
      count === 1 ? "change" : "changes"
    } of the kit, each as this version installs it`,
  };
}

/** Whether it takes a look at what this version of the kit installs to judge these. */
export function needsShipped(diff: Diff): boolean {
  return diff.entries.some((one) =>
    one.rule === "kit_installed" || (one.level !== "safe" && /\bbulkhead[._]/.test(one.object))
  );
}

/** Installing and uninstalling the kit is one change, not a thousand. */
export function kitAsAWhole(changes: readonly Change[], world: World): Entry[] {
  if (!wholeKit(world)) return [];
  const installed = hasKit(world.after);
  const others = changes.filter((one) =>
    one.op === "added" && !["grant", "kit setting"].includes(one.kind) && ofKit(one) &&
    !isShipped(one, world) &&
    !(one.kind === "function" && isGenerated(world, one.name))
  );
  const strange = installed && world.shipped !== null ? others.map(objectOf) : [];
  return [{
    rule: installed ? "kit_installed" : "kit_removed",
    level: !installed ? "dangerous" : world.shipped && strange.length === 0 ? "safe" : "review",
    kind: "schema",
    object: "bulkhead",
    op: installed ? "added" : "removed",
    facet: "",
    before: null,
    after: null,
    why: !installed
      ? "guard, trail and checks are gone"
      : strange.length === 0
      ? "the kit is installed"
      : `the kit is installed, with what this version does not install: ${
        strange.slice(0, 5).join(", ")
      }`,
  }];
}
