import type { Change } from "./compare.ts";
import { callers, isTrusted, reach } from "./rights.ts";
import { dangerous, review, type Rule, safe, type Verdict } from "./rule.ts";
import { names, text } from "./snapshot.ts";
import { API_ROLES, hasKit, isKit, isTenants, sealed, tenantColumn, type World } from "./world.ts";

const OWNED: Rule["kinds"] = [
  ...["table", "view", "materialized view", "foreign table", "sequence"] as const,
  ...["function", "schema", "database", "publication", "foreign server"] as const,
  "foreign data wrapper",
];

/** Its policies say who joins which channel of Realtime, whoever owns it. */
const CHANNELS = "realtime.messages";

/** Tables and their columns, partitions and owners. */
export const TABLE_RULES: readonly Rule[] = [
  { id: "rls_disabled", kinds: ["table", "platform"], judge: rls },
  { id: "rls_not_forced", kinds: ["table"], judge: forced },
  { id: "table_added", kinds: ["table"], judge: added },
  { id: "table_removed", kinds: ["table"], judge: removed },
  { id: "inheritance_changed", kinds: ["table"], judge: inheritance },
  { id: "replica_identity_changed", kinds: ["table"], judge: replicaIdentity },
  { id: "table_unlogged", kinds: ["table"], judge: unlogged },
  { id: "foreign_table", kinds: ["foreign table"], judge: foreignTable },
  { id: "tenant_column", kinds: ["column"], judge: tenantColumnChanged },
  { id: "column_changed", kinds: ["column"], judge: column },
  { id: "owner_changed", kinds: OWNED, judge: owner },
];

function rls(change: Change, world: World): Verdict | null {
  if (change.op !== "changed" || change.facet !== "rls") return null;
  if (change.after?.["rls"] === true) return safe("row level security is on now");
  const open = change.after === undefined ? [] : reach(world.after, change.after);
  const isPlatforms = change.kind === "platform" || change.name === CHANNELS;
  if (isPlatforms || isTenants(world, change.name) || isKit(change.name)) {
    return dangerous("row level security is off: whoever may read the table reads every row");
  }
  return open.length > 0
    ? dangerous(`row level security is off, and ${open.join(", ")} may use the table`)
    : review("row level security is off; no API role may use the table");
}

function forced(change: Change, world: World): Verdict | null {
  if (change.op !== "changed" || change.facet !== "forced") return null;
  if (change.after?.["forced"] === true) return safe("its owner obeys the policies now");
  return isTenants(world, change.name) || isKit(change.name)
    ? dangerous("its owner, and every definer function of the owner, passes by the policies")
    : review("its owner passes by the policies");
}

/** A new table is judged as a whole: what it is, who reaches it, what holds them back. */
function added(change: Change, world: World): Verdict | null {
  const table = change.after;
  if (change.op !== "added" || table === undefined) return null;
  if (isKit(table.name)) return isLedgerPartition(table.name, world);
  const open = reach(world.after, table);
  const who = open.join(", ");
  const tenant = tenantColumn(world, table.name);
  const [parent] = names(table, "inherits");
  const protectedBy = world.after.get("protected table", "", table.name);
  const exempt = world.after.get("exempt table", "", table.name);
  if (parent !== undefined && isTenants(world, parent)) return child(change, world, parent);
  if (sealed(world, world.after, table.name) && table["forced"] === true) {
    return protectedBy || !hasKit(world.after)
      ? safe("RLS is forced and a restrictive policy ties every row to its tenant")
      : review("a restrictive policy holds it, but nobody protected it: bulkhead.protect()");
  }
  if (exempt) {
    return tenant !== null
      ? dangerous(`it is exempt and has the tenant column ${tenant}`)
      : review(`exempt: ${text(exempt, "reason")}`);
  }
  if (table["rls"] !== true) {
    if (open.length > 0) return dangerous(`${who} may use it and row level security is off`);
    if (tenant !== null) return review("rows of tenants without RLS; no API role may use it");
    return safe("no API role may use it");
  }
  if (open.length === 0 && tenant === null) return safe("no API role may use it");
  if (hasKit(world.after) && open.length > 0) {
    return tenant === null
      ? review(`${who} may use it and nobody classified it: protect or exempt it`)
      : dangerous(`it holds rows of tenants, ${who} may use it and nobody protected it`);
  }
  return review(
    tenant === null
      ? `${who} may use it as far as its policies go`
      : `rows of tenants behind permissive policies only${open.length > 0 ? `, for ${who}` : ""}`,
  );
}

function isLedgerPartition(id: string, world: World): Verdict | null {
  const table = world.after.get("table", "", id);
  const [parent] = names(table, "inherits");
  if (parent === undefined || !/^bulkhead\.audit_/.test(parent)) {
    return review("a new table of the kit");
  }
  const guarded = world.after.on("trigger", id).some((one) =>
    one.name === "bulkhead_append_only" && text(one, "enabled") === "always"
  );
  return table?.["rls"] === true && table["forced"] === true && guarded
    ? safe("a partition of the trail, append-only like the others")
    : dangerous("a partition of the trail that may be changed");
}

function child(change: Change, world: World, parent: string): Verdict {
  const table = change.after;
  const mine = sealed(world, world.after, change.name) && table?.["forced"] === true;
  const parents = sealed(world, world.after, parent);
  if (mine) return safe(`a part of ${parent}, sealed like it`);
  if (parents) return dangerous(`a part of ${parent} without its policy: who names it reads all`);
  const open = table === undefined ? [] : reach(world.after, table);
  return table?.["rls"] !== true && open.length > 0
    ? dangerous(`a part of ${parent} without RLS, and ${open.join(", ")} may use it`)
    : review(`a part of ${parent}: policies of the parent do not hold for who names the part`);
}

function removed(change: Change, world: World): Verdict | null {
  if (change.op !== "removed") return null;
  if (isKit(change.name)) {
    return /_\d{6}$/.test(change.name)
      ? review("a month of the trail is gone")
      : dangerous("a table of the kit is gone");
  }
  return isTenants(world, change.name)
    ? review("rows of tenants, their policies and triggers go with it")
    : safe("it was nobody's");
}

function inheritance(change: Change, world: World): Verdict | null {
  if (change.op !== "changed") return null;
  if (change.facet === "partition" || change.facet === "partitioned") {
    return isTenants(world, change.name) || isKit(change.name)
      ? dangerous("it is no part of its table any more, or a part of another one")
      : review("it became a partition, or is none any more");
  }
  if (change.facet !== "inherits") return null;
  const old = names(change.before, "inherits");
  const now = names(change.after, "inherits");
  const came = now.filter((one) => !old.includes(one));
  if (!isTenants(world, change.name) && !isKit(change.name)) {
    return review(`its parents are ${now.join(", ") || "gone"}`);
  }
  const open = came.filter((one) => !sealed(world, world.after, one));
  return open.length > 0
    ? dangerous(`its rows show in ${open.join(", ")}, where its policies do not hold`)
    : dangerous(`it is no part of ${old.join(", ")} any more`);
}

function replicaIdentity(change: Change): Verdict | null {
  if (change.op !== "changed" || change.facet !== "replicaIdentity") return null;
  return review(
    `the old row that replication sends is now: ${text(change.after, "replicaIdentity")}`,
  );
}

function unlogged(change: Change): Verdict | null {
  if (change.op !== "changed" || change.facet !== "unlogged") return null;
  if (change.after?.["unlogged"] !== true) return safe("it survives a crash now");
  return isKit(change.name) ? dangerous("a crash empties it") : review("a crash empties it");
}

function foreignTable(change: Change, world: World): Verdict | null {
  if (change.op === "removed") return safe("it served rows of elsewhere");
  if (change.op !== "added" || change.after === undefined) {
    return change.facet === "owner" ? null : review("it serves other rows of elsewhere");
  }
  const open = reach(world.after, change.after);
  return open.length > 0 || names(change.after, "inherits").length > 0
    ? dangerous(
      `rows of elsewhere, where no RLS holds${open.length ? `, for ${open.join(", ")}` : ""}`,
    )
    : review("rows of elsewhere, where no RLS holds");
}

function tenantColumnChanged(change: Change, world: World): Verdict | null {
  const tenant = tenantColumn(world, change.on);
  const declared = world.before.get("protected table", "", change.on) ??
    world.after.get("protected table", "", change.on);
  if (tenant !== change.name || isKit(change.on)) return null;
  // The key of the tenants table itself is an ordinary key: it has a default, or a sequence.
  const isRoot = declared?.["isTenants"] === true ||
    world.after.all("constraint").some((one) =>
      text(one, "parent") === change.on && names(one, "parentColumns").includes(tenant) &&
      !names(one, "columns").includes(tenant)
    );
  if (change.op === "added") {
    return sealed(world, world.after, change.on)
      ? review("the column that says whose a row is")
      : review("it holds rows of tenants now, and no restrictive policy holds them");
  }
  if (change.op === "removed") return dangerous("nothing says whose a row is any more");
  switch (change.facet) {
    case "notNull":
      return change.after?.["notNull"] === true
        ? safe("every row has a tenant")
        : dangerous("rows without a tenant belong to nobody, or to whoever tolerates null");
    case "default":
    case "generated":
    case "identity": {
      if (isRoot) return review("how a new tenant gets its key");
      const value = text(change.after, change.facet);
      if (value === "") return safe("a row without a tenant is refused, not given one");
      const asks = /current_setting|auth\.(jwt|uid)|current_tenant/.test(value);
      return asks && !sealed(world, world.after, change.on)
        ? review(`a row that names no tenant gets ${value}`)
        : dangerous(`a row that names no tenant is filed under ${value}`);
    }
    case "type":
      return dangerous(`it is ${text(change.after, "type")} now, and the tenants' key is not`);
    default:
      return review("the column that says whose a row is");
  }
}

function column(change: Change, world: World): Verdict | null {
  if (isKit(change.on)) {
    return change.op === "added"
      ? review("a column of the kit")
      : dangerous("a column of the kit is not as installed");
  }
  if (tenantColumn(world, change.on) === change.name) return null;
  if (change.op !== "changed") return safe("a column like others");
  if (change.facet === "type" && inKey(world, change)) {
    return review("a column of a key has another type");
  }
  if (["type", "notNull", "default", "generated", "identity", "collation"].includes(change.facet)) {
    return safe("a column like others");
  }
  return null;
}

function inKey(world: World, change: Change): boolean {
  return world.after.on("constraint", change.on).some((one) =>
    text(one, "type") === "foreign key" && names(one, "columns").includes(change.name)
  );
}

function owner(change: Change, world: World): Verdict | null {
  const to = text(change.after, "owner");
  if (change.op === "added" && API_ROLES.includes(to)) {
    return dangerous(`it belongs to ${to}, who may alter it`);
  }
  if (change.op !== "changed" || change.facet !== "owner") return null;
  const id = change.kind === "function" ? change.name.replace(/\(.*$/, "") : change.name;
  if (isKit(id) || id === "bulkhead") return dangerous(`it belongs to ${to} now`);
  if (API_ROLES.includes(to)) return dangerous(`it belongs to ${to}, who may alter it`);
  const trusted = isTrusted(world.after, to);
  if (change.kind === "function") {
    if (change.after?.["definer"] !== true) return review(`it belongs to ${to} now`);
    return trusted && !isTrusted(world.before, text(change.before, "owner"))
      ? dangerous(`it runs as ${to} now, who bypasses RLS`)
      : review(`it runs as ${to} now`);
  }
  if (callers(world.after).includes(to)) {
    return dangerous(`it belongs to ${to}, who may alter it`);
  }
  if (trusted) return review(`it belongs to ${to} now`);
  return change.kind === "table" && isTenants(world, change.name) ||
      ["schema", "database"].includes(change.kind)
    ? dangerous(`it belongs to ${to}, who may alter it and obeys RLS`)
    : review(`it belongs to ${to} now`);
}
