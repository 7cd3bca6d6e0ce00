import type { Constraint } from "./catalog.ts";
import {
  type Classification,
  type Classified,
  foreignKeys,
  isTenanted,
  keyOf,
} from "./classify.ts";
import { ident, idents, literal } from "./names.ts";

/** A kind of row that stands in the way, as SQL over the table's alias `c`. */
export type WrongRows = {
  rule:
    | "tenant_null"
    | "tenant_missing"
    | "tenant_ambiguous"
    | "tenant_unknown"
    | "parent_of_other_tenant"
    | "parent_missing";
  table: Classified;
  /** Joins to add after `from <table> as c`. */
  joins: string;
  /** Which rows are wrong. */
  where: string;
  /** A SQL expression that says why, for one row. */
  reason: string;
  title: string;
  key: Constraint | null;
};

/** `p.id = c.unit_id and …` */
export function matches(key: Constraint, child = "c", parent = "p"): string {
  return key.columns.map((column, at) =>
    `${parent}.${ident(key.parentColumns[at] ?? "")} = ${child}.${ident(column)}`
  ).join(" and ");
}

/**
 * The tenant of a row as an expression: its own column where it has one, else its nearest parent's.
 * With `stored` only columns count: after the backfill they hold everything.
 */
export function tenantOf(
  world: Classification,
  each: Classified,
  alias: string,
  stored = false,
  depth = 0,
): string {
  const own = `${alias}.${ident(each.column)}`;
  if (stored || each.kind === "tenants") return own;
  const key = each.through.find((candidate) => candidate.parent !== each.table.id);
  const parent = key ? world.byId.get(key.parent ?? "") : undefined;
  if (!key || !parent || depth >= 6) {
    return each.hasColumn ? own : `null::${world.tenantType}`;
  }
  const inner = `p${depth + 1}`;
  const above = `(select ${
    tenantOf(world, parent, inner, false, depth + 1)
  } from ${parent.table.id} as ${inner} where ${matches(key, alias, inner)})`;
  return each.hasColumn ? `coalesce(${own}, ${above})` : above;
}

/** The keys whose parents must be of the row's own tenant. */
function tenantKeys(world: Classification, each: Classified): Constraint[] {
  return foreignKeys(each.table).filter((key) => {
    const parent = world.byId.get(key.parent ?? "");
    return isTenanted(parent) && parent.kind !== "tenants";
  });
}

/**
 * Every kind of wrong row that a table may hold: first as it is today (`stored` false), and again, by the same
 * rules, after columns were added and filled.
 *
 * @example
 * for (const wrong of wrongRows(world, each, false)) count(`select count(*) from … where ${wrong.where}`);
 */
export function wrongRows(world: Classification, each: Classified, stored: boolean): WrongRows[] {
  if (!isTenanted(each)) return [];
  const found: WrongRows[] = [];
  const tenant = tenantOf(world, each, "c", stored);
  const own = each.hasColumn || stored ? `c.${ident(each.column)}` : null;
  const add = (row: Omit<WrongRows, "table">) => found.push({ ...row, table: each });
  if (own !== null && !stored && each.kind !== "tenants") {
    add({
      rule: "tenant_null",
      joins: "",
      where: `${own} is null`,
      reason: "null",
      title: `rows whose ${ident(each.column)} is null`,
      key: null,
    });
  }
  if (each.kind !== "tenants") {
    const answers = answersOf(world, each, stored);
    if (answers.list.length > 1) {
      add({
        rule: "tenant_ambiguous",
        joins: "",
        where: `${own === null ? "" : `${own} is null and `}${distinctAnswers(answers.list)} > 1`,
        reason: literal("its parents belong to different tenants"),
        title: "rows whose parents belong to different tenants",
        key: null,
      });
    }
    const through = each.through.length === 0 ? "" : ", and no parent says it";
    add({
      rule: "tenant_missing",
      joins: "",
      where: answers.list.length === 0
        ? `${tenant} is null`
        : `${own === null ? "" : `${own} is null and `}coalesce(${
          answers.list.join(", ")
        }) is null`,
      reason: literal(`it names no tenant${through}`),
      title: `rows without a tenant${through}`,
      key: null,
    });
    if (own !== null) {
      add({
        rule: "tenant_unknown",
        joins: "",
        where: `${own} is not null and not exists (select from ${world.tenants.id} as t where t.${
          ident(world.tenantKey)
        } = ${own})`,
        reason: `format('there is no tenant %s', ${own})`,
        title: "rows of a tenant that does not exist",
        key: null,
      });
    }
  }
  for (const key of tenantKeys(world, each)) {
    const parent = world.byId.get(key.parent ?? "");
    if (!parent) continue;
    const theirs = tenantOf(world, parent, "p", stored);
    if (own !== null) {
      add({
        rule: "parent_of_other_tenant",
        joins: `join ${parent.table.id} as p on ${matches(key)}`,
        where: `${own} <> ${theirs}`,
        reason: `format(${
          literal(
            `${
              key.columns.map(ident).join(", ")
            } leads to ${parent.table.id} of tenant %s, the row is of %s`,
          )
        }, ${theirs}, ${own})`,
        title: `rows whose ${idents(key.columns)} belongs to another tenant`,
        key,
      });
    }
    if (!key.validated) {
      const present = key.columns.map((column) => `c.${ident(column)} is not null`).join(" and ");
      add({
        rule: "parent_missing",
        joins: "",
        where: `${present} and not exists (select from ${parent.table.id} as p where ${
          matches(key)
        })`,
        reason: literal(`${idents(key.columns)} leads nowhere in ${parent.table.id}`),
        title: `rows whose ${idents(key.columns)} leads nowhere`,
        key,
      });
    }
  }
  return found;
}

/** One scalar sub-query for each parent that could say the tenant. */
export function answersOf(
  world: Classification,
  each: Classified,
  stored: boolean,
): { list: string[] } {
  const list = each.through.flatMap((key) => {
    const parent = world.byId.get(key.parent ?? "");
    if (!parent || (parent === each && !stored && !each.hasColumn)) return [];
    const inner = "a1";
    if (parent === each && !stored) return [nearestAncestor(each, key)];
    const theirs = tenantOf(world, parent, inner, stored, 1);
    return [
      `(select ${theirs} from ${parent.table.id} as ${inner} where ${matches(key, "c", inner)})`,
    ];
  });
  return { list };
}

/** The tenant of the nearest ancestor in the same table that has one; `union` ends on circles. */
function nearestAncestor(each: Classified, key: Constraint): string {
  const own = ident(each.column);
  const up = key.columns.map(ident);
  const select = (alias: string) =>
    `select ${alias}.${own} as tenant, ${
      up.map((column, at) => `${alias}.${column} as k${at}`).join(", ")
    }`;
  const onUp = key.parentColumns.map((column, at) => `b.${ident(column)} = up.k${at}`).join(
    " and ",
  );
  return `(with recursive up as (${select("a")} from ${each.table.id} as a where ${
    matches(key, "c", "a")
  } union ${
    select("b")
  } from up join ${each.table.id} as b on ${onUp} where up.tenant is null) select up.tenant from up where up.tenant is not null limit 1)`;
}

function distinctAnswers(list: readonly string[]): string {
  return `(select count(distinct answer) from unnest(array[${list.join(", ")}]) as answer)`;
}

/** `select …` of the wrong rows' count. */
export function countSql(wrong: WrongRows): string {
  return `select count(*) from ${wrong.table.table.id} as c ${wrong.joins} where ${wrong.where}`;
}

/** `select …` of five keys of wrong rows. */
export function sampleSql(wrong: WrongRows): string {
  const key = keyOf(wrong.table.table);
  const shown = key ? `concat_ws(',', ${idents(key, "c")})` : "c.ctid::text";
  return `select ${shown} as key from ${wrong.table.table.id} as c ${wrong.joins} where ${wrong.where} order by 1 limit 5`;
}
