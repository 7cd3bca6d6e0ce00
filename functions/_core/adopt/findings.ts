import type { Catalog, Index, Routine, Table } from "./catalog.ts";
import {
  type Classification,
  type Classified,
  foreignKeys,
  isTenanted,
  keyOf,
} from "./classify.ts";
import { ident, idents } from "./names.ts";

/** One thing that is wrong today. */
export type Finding = {
  rule: string;
  subject: string;
  severity: "critical" | "warning";
  detail: string;
  /** Rows concerned; null where it is a matter of the schema. */
  rows: number | null;
  samples: string[];
};

/**
 * What is wrong in the catalogs alone: no row is read.
 *
 * @example
 * const findings = schemaFindings(world);
 */
export function schemaFindings(world: Classification): Finding[] {
  return [
    ...world.tables.flatMap((each) => tableFindings(world, each)),
    ...codeFindings(world.catalog, world),
  ];
}

const finding = (
  rule: string,
  subject: string,
  detail: string,
  severity: Finding["severity"] = "critical",
): Finding => ({ rule, subject, severity, detail, rows: null, samples: [] });

function tableFindings(world: Classification, each: Classified): Finding[] {
  const { table, kind } = each;
  const found: Finding[] = [];
  if (!table.rls && each.kind !== "ignored" && table.grants.some((g) => isOpen(g.grantee))) {
    found.push(
      finding("rls_disabled", table.id, "The API can reach it and row level security is off"),
    );
  }
  if (!isTenanted(each)) {
    for (const key of foreignKeys(table)) {
      if (kind !== "global" || !isTenanted(world.byId.get(key.parent ?? ""))) continue;
      found.push(
        finding(
          "global_points_at_tenant",
          `${table.id}.${ident(key.name)}`,
          `A global table leads to rows of ${key.parent}`,
          "warning",
        ),
      );
    }
    return found;
  }
  if (!each.hasColumn) {
    found.push(
      finding(
        "tenant_column_missing",
        table.id,
        `No tenant column; its tenant is at ${each.path ?? "nowhere"}`,
      ),
    );
  } else {
    const column = table.columns.find((c) => c.name === each.column);
    if (column && !column.notNull) {
      found.push(finding("tenant_column_nullable", table.id, `${ident(each.column)} may be null`));
    }
    if (column?.default && each.kind !== "tenants") {
      found.push(
        finding(
          "tenant_column_default",
          table.id,
          `${ident(each.column)} has a default: ${column.default}`,
        ),
      );
    }
  }
  for (const key of foreignKeys(table)) {
    const subject = `${table.id}.${ident(key.name)}`;
    const parent = world.byId.get(key.parent ?? "");
    const inside = isTenanted(parent);
    if (inside && ["c", "n", "d"].includes(key.onDelete)) {
      const verb = { c: "deletes", n: "empties", d: "resets" }[key.onDelete] ?? "changes";
      found.push(
        finding("foreign_key_cascades", subject, `Deleting from ${key.parent} ${verb} rows here`),
      );
    }
    if (inside && parent.kind !== "tenants" && !key.columns.includes(each.column)) {
      found.push(
        finding(
          "foreign_key_without_tenant",
          subject,
          `A row may lead to another tenant's row of ${key.parent}`,
        ),
      );
    }
    const alone = key.columns.length === 1 && key.columns[0] === each.column;
    if (inside && !alone && !indexedFor(table, key.columns, each.column)) {
      found.push(
        finding("index_missing", subject, `No index begins with ${idents(key.columns)}`, "warning"),
      );
    }
  }
  if (
    each.hasColumn && each.kind !== "tenants" &&
    !table.indexes.some((i) => i.valid && i.columns[0] === each.column)
  ) {
    found.push(
      finding("index_missing", table.id, `No index begins with ${ident(each.column)}`, "warning"),
    );
  }
  for (const index of globalUniques(world, each)) {
    if (world.config.uniques[`${table.id}.${ident(index.name)}`] === "global") continue;
    found.push(
      finding(
        "unique_across_tenants",
        `${table.id}.${ident(index.name)}`,
        `One tenant's ${index.keys.join(", ")} takes it from all others`,
        "warning",
      ),
    );
  }
  for (const policy of table.policies) {
    if (!policy.permissive || !policy.roles.some((role) => role === "public" || role === "anon")) {
      continue;
    }
    found.push(
      finding(
        "policy_for_everybody",
        `${table.id}.${ident(policy.name)}`,
        `Permissive for ${policy.roles.join(", ")}: ${policy.using ?? policy.check ?? "true"}`,
      ),
    );
  }
  return found;
}

const isOpen = (role: string) => role === "public" || role === "anon" || role === "authenticated";

function codeFindings(catalog: Catalog, world: Classification): Finding[] {
  const exposed = new Set(world.config.schemas);
  const found: Finding[] = [];
  for (const routine of catalog.routines) {
    if (!exposed.has(routine.schema) || !routine.definer) continue;
    if (!routine.searchPath) {
      found.push(
        finding(
          "definer_search_path",
          routine.id,
          "Runs as its owner with its caller's search_path",
          "warning",
        ),
      );
    }
    if (routine.anon && !routine.trigger) {
      found.push(
        finding(
          "definer_anon",
          routine.id,
          "Anybody may call it without logging in, past every policy",
        ),
      );
    }
  }
  for (const { routine, tables } of blindDefiners(world)) {
    found.push(
      finding(
        "definer_reads_tenants",
        routine.id,
        `Works on ${tables.join(", ")} as its owner and never asks who is calling`,
      ),
    );
  }
  for (const view of exposedViews(world)) {
    found.push(
      finding(
        view.materialized ? "materialized_view_exposed" : "view_bypasses_rls",
        view.id,
        `Shows ${view.sources.join(", ")} past every policy`,
      ),
    );
  }
  return found;
}

/** Definer functions that users may call, that name tenants' tables and never ask who is calling. */
export function blindDefiners(world: Classification): { routine: Routine; tables: string[] }[] {
  return world.catalog.routines.flatMap((routine) => {
    const reachable = routine.definer && !routine.trigger && (routine.anon || routine.member);
    if (!reachable || !world.config.schemas.includes(routine.schema)) return [];
    if (/bulkhead\.current_tenant|auth\.(uid|jwt|email)|request\.jwt/.test(routine.body)) return [];
    const words = new Set(routine.body.split(/[^a-z0-9_]+/));
    const tables = world.tables.filter(isTenanted).map((each) => each.table.name).filter((name) =>
      /^\w+$/.test(name) ? words.has(name.toLowerCase()) : routine.body.includes(name.toLowerCase())
    );
    return tables.length > 0 ? [{ routine, tables }] : [];
  });
}

/** Views that the API reaches and that read tenants' rows, at any depth, as their owner. */
export function exposedViews(world: Classification): Catalog["views"] {
  const reads = (id: string, seen = new Set<string>()): boolean => {
    if (seen.has(id)) return false;
    seen.add(id);
    if (isTenanted(world.byId.get(id))) return true;
    const view = world.catalog.views.find((each) => each.id === id);
    return view?.sources.some((source) => reads(source, seen)) ?? false;
  };
  return world.catalog.views.filter((view) =>
    view.reachable && (view.materialized || !view.invoker) && reads(view.id)
  );
}

/** Whether some valid index starts with these columns, in any order, with or without the tenant. */
export function indexedFor(table: Table, columns: readonly string[], tenant: string): boolean {
  return table.indexes.some((index) => {
    if (!index.valid || index.predicate !== null) return false;
    const wanted = columns.filter((column) => column !== tenant);
    const keys = index.columns[0] === tenant ? index.columns.slice(1) : index.columns;
    const first = keys.slice(0, wanted.length);
    return first.length === wanted.length && wanted.every((column) => first.includes(column));
  });
}

/** Unique indexes of a tenant's table that do not have the tenant among their keys: neither primary nor a target. */
export function globalUniques(world: Classification, each: Classified): Index[] {
  if (each.kind === "tenants") return [];
  const key = keyOf(each.table) ?? [];
  return each.table.indexes.filter((index) =>
    index.unique && !index.primary && index.valid && !index.columns.includes(each.column) &&
    // A key's own column is unique anyway.
    !key.some((column) => index.columns.includes(column)) &&
    world.byId.has(each.table.id)
  );
}
