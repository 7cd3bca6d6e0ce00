import { conclude, type Evidence, type Rule } from "../rule.ts";
import { code, type CodeFile, type Expr, type Fn, withCode } from "../models/code.ts";
import { last, type Names, names, walk } from "../models/names.ts";
import { words } from "../models/sensitive.ts";
import { place, unreadSources } from "../models/servers.ts";
import { BY_HAND } from "./obs-03-logged-secrets.ts";

const RUNS =
  /(^|\.)(execute|executemany|executescript|exec_driver_sql|execute_sql|raw|query|queryRaw|\$queryRawUnsafe|\$executeRawUnsafe|unsafe|fetch|fetchrow|fetchval|fetchall|fetch_all|fetch_one|fetchone|text|read_sql|read_sql_query|literal_column|scalar|scalars|RawSQL|one|many|any|none|oneOrNone|manyOrNone|prepare|run|all|exec)$/;
const SQL =
  /^\s*(--[^\n]*\n\s*)*(select\s|insert\s+into|update\s+\S+\s+set|delete\s+from|with\s+\w+\s+(as\b|\()|merge\s+into|truncate\s|drop\s+(table|schema|index|view|role|user|database)|alter\s+(table|role|user|database|schema)|create\s+(table|index|schema|role|user|view|database|extension|policy)|grant\s|revoke\s|set\s+(local|session|role|search_path)|copy\s|call\s|lock\s+table|refresh\s+materialized|vacuum|analyze\s|explain\s|comment\s+on|reindex\s|notify\s|listen\s)/i;
const DEFINES =
  /^\s*(alter|create|drop|grant|revoke|set|comment|reindex|notify|listen|truncate|lock|refresh|vacuum|analyze)\b/i;
/** Behind these stands a name or a clause, where no value can be bound. */
const NAME_FOLLOWS =
  /\b(from|join|into|update|table|by|select|column|schema|role|on|only|as|set|and|where|distinct|index|type|exists|view|returning)\s+$|["`.]$/i;
/** Names and clauses that code puts together: as safe as that code, which nobody can see here. */
const CLAUSE =
  /(^|_)(placeholders?|columns?|cols|fields?|table(_?names?)?|tbl|schema(_?names?)?|where(_?(clauses?|sql|str))?|clauses?|conditions?|order(_?by)?|direction|sort(_?(by|order|column))?|joins?|set_?clauses?|updates|assignments|sql|filters?|from_clause|partition|index_?name|view|role|database|db_?name|limit|offset|interval|unit|op|operator|condition_sql|values_sql|bindings|params_sql|marks|patterns?|constraint(s|_name)?)$/i;
const QUOTED =
  /(^|\.)(Identifier|SQL|quote_ident|quoteIdent|quote_identifier|quote_name|escapeIdentifier|escapeId|escapeLiteral|escape|format|id|int|float|Number|parseInt|parseFloat|join|qn|ident|UUID)$/;
const MOST = 40;

/** A value that becomes a part of the statement can end it and begin another. */
export const sqlText: Rule = {
  id: "APP-10",
  name: "sql-text",
  area: "security",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "SQL is sent with bound values, never put together with them",
  remedy:
    "bind the value (`:name`, `$1`, `%s` with its arguments), or quote a name with the driver's own function",
  check: withCode((repository) => {
    const all = names(repository);
    const gaps: Evidence[] = [];
    let bound = 0;
    let first: Evidence | null = null;
    for (const file of code(repository)) {
      if (file.directives.includes("use client")) continue;
      const done = new Set<number>();
      for (const call of file.calls) {
        if (
          !RUNS.test(call.callee) &&
          !(call.callee === "text" || /\.(sql|Prisma)\b/.test(call.callee))
        ) continue;
        const [given] = call.args;
        if (!given) continue;
        for (const text of statementsOf(all, file, call.site.fn, given, 0)) {
          const verdict = judge(all, file, call.site.fn, text);
          if (verdict === null || done.has(text.line)) continue;
          const at = { file, line: text.line };
          if (verdict === "bound") {
            bound++;
            first ??= place("strength", at, "");
            continue;
          }
          done.add(text.line);
          const severity = BY_HAND.test(file.path) ? "p2" : "p1";
          gaps.push(
            verdict.kind === "value"
              ? place("gap", at, `SQL is put together with ${verdict.name}`, severity)
              : place(
                "weakness",
                at,
                `SQL is put together with ${verdict.name}: whether a caller can choose it is not to be seen here`,
                "p2",
              ),
          );
        }
      }
      for (const statement of file.statements) {
        for (const one of walk(statement.value)) {
          if (
            one.kind !== "other" ||
            !/^tag:(\w+\.)*(sql|\$queryRaw|\$executeRaw|SQL)$/.test(one.operator)
          ) continue;
          bound++;
          first ??= place("strength", { file, line: one.line }, "");
        }
      }
    }
    const found = gaps.slice(0, MOST);
    if (first) {
      found.push({ ...first, message: `${bound} statements are fixed texts or bind their values` });
    }
    if (gaps.length === 0 && first) found.push(...unreadSources(repository));
    return conclude(found, { status: "not-applicable", summary: "no SQL is written by hand" });
  }),
};

/** The texts that an argument may be: itself, what `text()` holds, what a local name was filled with. */
function statementsOf(
  all: Names,
  file: CodeFile,
  fn: Fn | null,
  given: Expr,
  steps: number,
): Expr[] {
  if (steps > 3) return [];
  if (given.kind === "text" || given.kind === "join") return [given];
  if (given.kind === "call") {
    const { callee, args, receiver } = given.call;
    if (/(^|\.)format$/.test(callee) && receiver?.kind === "text") {
      return [{
        kind: "join",
        parts: [receiver, ...args, ...given.call.named.map(({ value }) => value)],
        line: given.line,
      }];
    }
    if (/(^|\.)(text|SQL|raw|dedent|strip|trim)$/.test(callee)) {
      const [inner] = args;
      const owner = inner ?? receiver;
      // text(…) is a call of its own and judged there.
      return owner && !/(^|\.)text$/.test(callee)
        ? statementsOf(all, file, fn, owner, steps + 1)
        : [];
    }
    return [];
  }
  if (given.kind === "choice") {
    return given.options.slice(0, 20).flatMap((one) => statementsOf(all, file, fn, one, steps + 1));
  }
  if (given.kind === "map") {
    return given.entries.flatMap(({ key, value }) =>
      key === "text" || key === "sql" ? statementsOf(all, file, fn, value, steps + 1) : []
    );
  }
  if (given.kind !== "name" || given.name.includes(".")) return [];
  const own = fn
    ? all.body(fn).filter((one) => one.kind === "assign" && one.target === given.name)
    : [];
  if (own.length > 0) {
    return own.slice(0, 20).flatMap((one) => statementsOf(all, file, fn, one.value, steps + 1));
  }
  const found = all.define(file, given.name);
  return found?.kind === "value" ? statementsOf(all, found.file, null, found.value, steps + 1) : [];
}

type Verdict = null | "bound" | { kind: "value" | "clause"; name: string };

function judge(all: Names, file: CodeFile, fn: Fn | null, text: Expr): Verdict {
  const parts = text.kind === "join" ? flat(text.parts) : [text];
  const [head] = parts;
  if (head?.kind !== "text" || !SQL.test(head.value)) return null;
  let clause: string | null = null;
  for (const [index, part] of parts.entries()) {
    const before = parts[index - 1];
    const isName = before?.kind === "text" && NAME_FOLLOWS.test(before.value.slice(-40));
    const found = partKind(all, file, fn, part, 0);
    const kind = found === "value" && isName ? "clause" : found;
    // Statements that define take no bound values: what varies in them are names.
    if (kind === "value" && !DEFINES.test(head.value)) return { kind: "value", name: nameOf(part) };
    if (kind === "value") clause ??= nameOf(part);
    if (kind === "clause") clause ??= nameOf(part);
  }
  return clause === null ? "bound" : { kind: "clause", name: clause };
}

function flat(parts: readonly Expr[]): Expr[] {
  return parts.flatMap((one) => one.kind === "join" ? flat(one.parts) : [one]);
}

function partKind(
  all: Names,
  file: CodeFile,
  fn: Fn | null,
  part: Expr,
  steps: number,
): "fixed" | "clause" | "value" {
  if (steps > 4) return "clause";
  const of = (one: Expr) => partKind(all, file, fn, one, steps + 1);
  const worst = (list: readonly Expr[]) => {
    const kinds = list.slice(0, steps === 0 ? 500 : 20).map(of);
    return kinds.includes("value") ? "value" : kinds.includes("clause") ? "clause" : "fixed";
  };
  switch (part.kind) {
    case "text":
    case "number":
    case "flag":
    case "none":
      return "fixed";
    case "join":
      return worst(part.parts);
    case "choice":
      return worst(part.options);
    case "list":
      return worst(part.items);
    case "name": {
      const own = last(part.name);
      if (
        /^[A-Z][A-Z0-9_]*$/.test(own) ||
        /__tablename__|_meta\.|^(self|cls|this)\.(_?)(table|schema|model)/.test(part.name)
      ) return "fixed";
      if (CLAUSE.test(words(own).join("_"))) {
        return isParam(fn, part.name)
          ? "clause"
          : filled(all, file, fn, part.name, steps) ?? "clause";
      }
      if (
        /^(settings|config|conf|env|self\.settings)\./.test(part.name) ||
        /^process\.env\./.test(part.name)
      ) return "clause";
      if (part.name.includes(".")) return "value";
      if (isParam(fn, part.name)) return isClosed(fn, part.name) ? "fixed" : "value";
      return filled(all, file, fn, part.name, steps) ?? "value";
    }
    case "call": {
      const { callee, args } = part.call;
      if (
        /(^|\.)(int|float|Number|parseInt|parseFloat|len|UUID|quote_ident|quoteIdent|escapeIdentifier|Identifier|quote_identifier|quote_name|qn|escapeId|escapeLiteral|count|length)$/
          .test(callee)
      ) return "fixed";
      if (/(^|\.)(join|map|repeat|keys)$/.test(callee)) {
        return args.some((one) =>
            of(one) === "value" && one.kind !== "other" && one.kind !== "function"
          )
          ? "clause"
          : "clause";
      }
      if (QUOTED.test(callee) || /placeholder|clause|quote|escape|sanitize|ident/i.test(callee)) {
        return "clause";
      }
      if (/\.(isoformat|toISOString|strftime)$/.test(callee)) return "clause";
      return "value";
    }
    case "index":
      return part.of.kind === "name" && /^[A-Z][A-Z0-9_]*$/.test(part.of.name)
        ? "fixed"
        : of(part.of) === "fixed"
        ? "fixed"
        : "value";
    case "other":
      return /comprehension|generator/.test(part.operator) ? "clause" : worst(part.parts);
    default:
      return "value";
  }
}

function isParam(fn: Fn | null, name: string): boolean {
  for (let at = fn; at; at = at.parent) {
    if (at.params.some((param) => param.name.split(",").includes(name))) return true;
  }
  return false;
}

/** A parameter that can hold a number or one of a few words alone. */
function isClosed(fn: Fn | null, name: string): boolean {
  const param = fn?.params.find((one) => one.name === name);
  if (!param?.annotation) return false;
  return [...walk(param.annotation)].some((one) =>
    one.kind === "name" &&
    /^(int|float|bool|UUID|uuid\.UUID|Literal|typing\.Literal|date|datetime)$/.test(one.name)
  );
}

/** What a local or a constant was filled with, the worst of it; null where nothing fills it. */
function filled(
  all: Names,
  file: CodeFile,
  fn: Fn | null,
  name: string,
  steps: number,
): "fixed" | "clause" | "value" | null {
  const own = fn ? all.body(fn).filter((one) => one.kind === "assign" && one.target === name) : [];
  const kinds = own.slice(0, 10).map((one) => partKind(all, file, fn, one.value, steps + 1));
  if (kinds.length > 0) {
    return kinds.includes("value") ? "value" : kinds.includes("clause") ? "clause" : "fixed";
  }
  const found = all.define(file, name);
  if (found?.kind === "value") return partKind(all, found.file, null, found.value, steps + 1);
  return null;
}

function nameOf(part: Expr): string {
  for (const one of walk(part)) {
    if (one.kind === "name") return one.name;
    if (one.kind === "call" && one.call.callee !== "") return `${one.call.callee}()`;
  }
  return "a value";
}
