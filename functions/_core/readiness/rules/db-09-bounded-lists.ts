import type { CodeFile, Expr, Fn } from "../models/code.ts";
import { last, type Names, names, walk } from "../models/names.ts";
import { type Route, routes } from "../models/routes.ts";
import { place, unreadSources, withServer } from "../models/servers.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** Calls that bring all rows of a query. */
const ALL =
  /^(all|fetchall|fetch|to_list|findMany|findAll|find_all|scalars|mappings|selectFrom|list_all)$/;
const OWNER =
  /(^|[._(])(db|session|conn(ection)?|cursor|pool|prisma|client|knex|repo(sitory)?|query|exec(ute)?|scalars|objects|collection|select|em|manager|orm)([._()]|$)/i;
/** What puts an end to a list. */
const LIMIT =
  /^(limit|take|first|top|paginate|paginated?_?\w*|range|slice|Page|fetchmany|cursor_paginate|limit_offset|findAndCountAll|findFirst|one|one_or_none|scalar_one|scalar_one_or_none|scalar)$/i;
const PARAM =
  /^(limit|page|size|page_?size|per_?page|take|first|cursor|offset|skip|pagination|params?_?page|paging)$/i;

/** SQL that is written out, with an end of more than one row. */
const LIMITED_SQL = /^\s*(select|with)\b.*\blimit\s+(?!1\b)\S/is;

/** A list grows with the customer, until the request that reads all of it takes the service down. */
export const boundedLists: Rule = {
  id: "DB-09",
  name: "bounded-lists",
  area: "db",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "Routes that list rows say how many at most",
  remedy: "page the list (limit with an upper bound, or a cursor), also where it is short today",
  check: withServer((repository) => {
    const all = names(repository);
    const evidence = routes(repository).routes
      .filter(({ methods, kind }) => kind === "http" && methods.includes("GET"))
      .flatMap((route) => judge(all, route));
    if (evidence.length > 0 && evidence.every(({ kind }) => kind === "strength")) {
      evidence.push(...unreadSources(repository));
    }
    return conclude(evidence, { status: "unknown", summary: "no route was seen to list rows" });
  }),
};

function judge(all: Names, route: Route): Evidence[] {
  const { handler, handlerFile, path } = route;
  if (!handler) return [];
  const reached = all.reach({ file: handlerFile, fn: handler }, 2);
  const calls = reached.flatMap(({ file, fn }) => fn.calls.map((call) => ({ file, call })));
  const isListing = calls.some(({ call }) =>
    ALL.test(last(call.callee)) && OWNER.test(ownerOf(call.callee))
  );
  const at = { file: route.file, line: route.line };
  const isLimitedSql = calls.some(({ call }) => LIMITED_SQL.test(sqlOf(call.args[0])));
  if (!isListing) return isLimitedSql ? [place("strength", at, `GET ${path} is paged`)] : [];
  const isPaged = reached.some(({ file, fn }) => isLimited(file, fn)) ||
    handler.decorators.some((one) =>
      [...walk(one)].some((each) => each.kind === "name" && /Page(\[|$)|Pagina/.test(each.name))
    );
  if (!isPaged) return [place("gap", at, `GET ${path} lists every row`)];
  const open = handler.params.find((param) =>
    /^(limit|size|page_?size|per_?page|take|first)$/i.test(param.name) && isOpen(param)
  );
  return [
    open
      ? place("weakness", at, `GET ${path}: ${open.name} has no upper bound`, "p2")
      : place("strength", at, `GET ${path} is paged`),
  ];
}

/** The text that a query is, also inside of `text(…)` or `sql(…)`. */
function sqlOf(expr: Expr | undefined): string {
  if (!expr) return "";
  return [...walk(expr)].flatMap((one) => one.kind === "text" ? [one.value] : []).join(" ");
}

/** The chain before the last name, without the calls' arguments. */
function ownerOf(callee: string): string {
  return callee.slice(0, Math.max(0, callee.lastIndexOf(".")));
}

function isLimited(file: CodeFile, fn: Fn): boolean {
  if (fn.params.some(({ name, annotation }) => PARAM.test(name) || mentionsPage(annotation))) {
    return true;
  }
  return fn.calls.some((call) =>
    call.callee.split(/[.()]+/).some((part) => LIMIT.test(part)) ||
    call.named.some(({ name }) => PARAM.test(name)) ||
    call.args.some((one) =>
      [...walk(one)].some((each) =>
        (each.kind === "map" && each.entries.some(({ key }) => key !== null && PARAM.test(key))) ||
        (each.kind === "text" && /\blimit\b\s+[\d:%$?{]/i.test(each.value)) ||
        (each.kind === "call" && LIMIT.test(last(each.call.callee)))
      )
    )
  ) || file.statements.some((one) =>
    one.fn === fn && one.kind === "assign" && PARAM.test(one.target ?? "")
  );
}

function mentionsPage(annotation: Expr | null): boolean {
  return annotation !== null &&
    [...walk(annotation)].some((one) => one.kind === "name" && /Page|Pagina|Limit/.test(one.name));
}

/** `limit: int = 100`: a default, and nothing that says how much may be asked for. */
function isOpen({ annotation, default: value }: Fn["params"][number]): boolean {
  const parts = [annotation, value].flatMap((one) => one ? [...walk(one)] : []);
  const isBounded = parts.some((one) =>
    one.kind === "call" && one.call.named.some(({ name }) => name === "le" || name === "lt")
  );
  const isOther = parts.some((one) =>
    one.kind === "name" &&
    !/^(int|None|Optional|Annotated|Query|typing\.\w+|fastapi\.Query)$/.test(one.name)
  );
  return !isBounded && !isOther && value !== null;
}
