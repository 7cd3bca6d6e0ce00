import { type Call, code, type CodeFile, type Expr, type Fn, withCode } from "../models/code.ts";
import { last, literal, type Names, names, option, walk } from "../models/names.ts";
import { hasServer, place, unreadSources } from "../models/servers.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule, unique } from "../rule.ts";

const HEADER =
  /^x[-_](\w+[-_])?(tenant|org|organi[sz]ation|workspace|account|company)([-_]?(id|slug|key|name))?$/i;
const PARAM = /^x_(\w+_)?(tenant|org|organi[sz]ation|workspace|account|company)(_?(id|slug))?$/i;
/** What asks whether the caller belongs to the tenant, by the words of its name. */
const ASKS =
  /member|belong|authori[sz]|permission|(^|_)access|can[A-Z_]|ensure|assert|verify|validate|require|check|allow|role|compare_digest|timingSafeEqual|hmac|signature|decode|jwt/i;
/** Who asks: a comparison with it, or a query by it, is a check. */
const CALLER =
  /(^|[._])(current_?user|user|caller|principal|claims?|token|session|member(ship)?s?|identity|payload|actor|subject|auth)([._]|$|Id$|_id$)/i;

/** Whoever may name the tenant in a header may read every tenant, unless somebody asks whether they belong to it. */
export const clientTenant: Rule = {
  id: "DB-06",
  name: "client-tenant",
  area: "db",
  severity: "p0",
  confidence: "medium",
  section: 2,
  title: "A tenant that the client names is checked against who is asking",
  remedy:
    "take the tenant from the verified session, or check the caller's membership before it is used",
  check: withCode((repository) => {
    const evidence = readers(repository).flatMap((one) => judge(repository, one));
    if (evidence.some(({ kind }) => kind === "strength")) {
      evidence.push(...unreadSources(repository));
    }
    return conclude(unique(evidence), {
      status: "not-applicable",
      summary: hasServer(repository) ? "no tenant is taken from a header" : "no back end was found",
    });
  }),
};

type Reader = { file: CodeFile; fn: Fn; line: number; header: string; variables: Set<string> };

/** The functions that read a tenant from a header, and what they call it. */
function readers(repository: Repository): Reader[] {
  const found: Reader[] = [];
  for (const file of code(repository)) {
    if (file.directives.includes("use client")) continue;
    for (const fn of file.functions) {
      for (const param of fn.params) {
        const call = headerDefault(param.default) ?? headerDefault(param.annotation);
        if (!call) continue;
        const alias = literal(option(call, "alias"));
        if (!HEADER.test(alias ?? "") && (alias !== null || !PARAM.test(param.name))) continue;
        found.push({
          file,
          fn,
          line: param.line,
          header: alias ?? param.name.replaceAll("_", "-"),
          variables: new Set([param.name]),
        });
      }
    }
    for (const one of file.statements) {
      if (!one.fn) continue;
      const header = headerIn(one.value);
      if (header === null) continue;
      const variables = new Set<string>();
      if (one.kind === "assign" && one.target) variables.add(one.target);
      found.push({ file, fn: one.fn, line: one.line, header, variables });
    }
  }
  return found;
}

function headerDefault(expr: Expr | null): Call | null {
  if (!expr) return null;
  for (const one of walk(expr)) {
    if (one.kind === "call" && last(one.call.callee) === "Header") return one.call;
  }
  return null;
}

/** `request.headers.get("X-Tenant-Id")`, `req.headers["x-tenant-id"]`, `req.header(…)`, `c.req.header(…)`. */
function headerIn(expr: Expr): string | null {
  for (const one of walk(expr)) {
    if (one.kind === "call") {
      const name = literal(one.call.args[0]);
      const isRead = /(headers(\(\))?\.get|\.header|\.getHeader|META\.get|^header)$/.test(
        one.call.callee,
      );
      if (name !== null && isRead && isTenantHeader(name)) return name;
    }
    const member = one.kind === "name" ? /headers\.([\w-]+)$/.exec(one.name)?.[1] : undefined;
    if (member && isTenantHeader(member)) return member;
    if (one.kind === "index") {
      const name = literal(one.key);
      const of = one.of.kind === "name" ? one.of.name : "";
      if (name !== null && /headers$|META$/.test(of) && isTenantHeader(name)) return name;
    }
  }
  return null;
}

function isTenantHeader(name: string): boolean {
  return HEADER.test(name.replace(/^HTTP_/, "").replaceAll("_", "-"));
}

function judge(repository: Repository, reader: Reader): Evidence[] {
  const { file, fn, line, header, variables } = reader;
  const all = names(repository);
  const own = file.statements.filter((one) => one.fn === fn);
  for (const one of own) {
    if (one.kind === "assign" && one.target && mentions(one.value, variables)) {
      variables.add(one.target);
    }
  }
  const isDeclared = own.every(({ value }) =>
    !namesOf(value).some((name) => variables.has(name.split(".")[0] ?? "")) &&
    headerIn(value) === null
  );
  if (isDeclared) {
    return [
      place(
        "weakness",
        { file, line },
        `${header} is declared and never used: callers believe that it counts`,
        "p2",
      ),
    ];
  }
  const isUsed = own.some(({ kind, value, target }) =>
    (kind === "return" && (mentions(value, variables) || headerIn(value) !== null)) ||
    (kind === "assign" && /\./.test(target ?? "") &&
      (mentions(value, variables) || headerIn(value) !== null)) ||
    [...walk(value)].some((part) =>
      part.kind === "call" && !LOGS.test(part.call.callee) && !READS.test(last(part.call.callee)) &&
      mentions(part, variables)
    )
  );
  // In the key of a counter or in a log it opens nothing.
  if (!isUsed) return [];
  const check = checkIn(all, file, fn, variables, 0);
  if (check) {
    return [
      check.isSure
        ? place(
          "strength",
          { file: check.file, line: check.line },
          `the tenant of ${header} is checked (${check.what})`,
        )
        : place(
          "unknown",
          { file: check.file, line: check.line },
          `${header} goes to ${check.what} with who is asking; whether that checks it can't be told`,
        ),
    ];
  }
  const guard = [
    ...fn.params.flatMap(({ default: value, annotation }) => [value, annotation]),
    ...fn.decorators,
  ]
    .flatMap((one) => one ? namesOf(one) : []).find((name) =>
      ASKS.test(last(name)) && !/^(Header|Depends|Annotated)$/.test(name)
    );
  if (guard) {
    return [
      place(
        "unknown",
        { file, line },
        `the tenant comes from ${header}; whether ${last(guard)} checks it can't be told`,
      ),
    ];
  }
  const isKept = own.some(({ kind, target, value }) =>
    (kind === "assign" && /(^|\.)(state|context|locals|g|req|request|info)\./.test(target ?? "") &&
      mentions(value, variables)) ||
    [...walk(value)].some((each) =>
      each.kind === "call" && /^(set|run|enterWith)$/.test(last(each.call.callee)) &&
      mentions(each, variables)
    )
  );
  const checker = isKept
    ? code(repository).flatMap((each) => each.functions).find((one) =>
      /member/i.test(one.name) && one !== fn
    )
    : null;
  if (checker) {
    return [
      place(
        "unknown",
        { file, line },
        `${header} is kept for later; whether ${checker.name} is asked before it is used can't be told`,
      ),
    ];
  }
  return [
    place(
      "gap",
      { file, line },
      `the tenant comes from ${header}, and nothing asks whether the caller belongs to it`,
    ),
  ];
}

const LOGS =
  /(^|\.)(log(ger|ging)?|console|span|structlog|sentry_sdk|metrics?)(\.|\(|$)|\.(set_tag|setTag|bind|bind_contextvars|set_attribute)$/i;
/** What only makes another value of it. */
const READS =
  /^(str|int|UUID|String|Number|strip|trim|lower|toLowerCase|get|header|isinstance|parseInt|len)$/;
/** A query that names both the tenant and the caller finds nothing for a stranger. */
const QUERIES =
  /(^|[._])(where|filter|filter_by|find\w*|query|execute|scalars?|select|count|exists|get_by\w*|eq|match|and_)$/;

type Check = { file: CodeFile; line: number; what: string; isSure: boolean };

/** A call that asks, or a comparison or query that holds both the tenant and who is asking; two functions deep. */
function checkIn(
  all: Names,
  file: CodeFile,
  fn: Fn,
  variables: ReadonlySet<string>,
  depth: number,
): Check | null {
  let maybe: Check | null = null;
  for (const one of file.statements) {
    if (one.fn !== fn) continue;
    for (const part of walk(one.value)) {
      const isBoth = mentions(part, variables) &&
        namesOf(part).some((name) => CALLER.test(name) && !variables.has(name));
      if (
        part.kind === "other" && isBoth && /^([!=]==?|in|not in|<>|is|is not)$/.test(part.operator)
      ) {
        return { file, line: one.line, what: "by who is asking", isSure: true };
      }
      if (part.kind !== "call" || !mentions(part, variables)) continue;
      const { callee } = part.call;
      const name = last(callee);
      if (ASKS.test(name) && !/header|parse|UUID$/i.test(name)) {
        return { file, line: one.line, what: name, isSure: true };
      }
      if (
        isBoth &&
        (QUERIES.test(name) ||
          /(member\w*|permission\w*|access|user\w*)$/i.test(callee.split(".").at(-2) ?? ""))
      ) {
        return { file, line: one.line, what: "by who is asking", isSure: true };
      }
      const target = depth > 1 ? null : all.define(file, callee);
      if (target?.kind === "function" && target.fn !== fn) {
        const passed = new Set(target.fn.params.flatMap((param, index) => {
          const given = part.call.args[index] ??
            part.call.named.find((each) => each.name === param.name)?.value;
          return given && mentions(given, variables) ? [param.name] : [];
        }));
        const inner = checkIn(all, target.file, target.fn, passed, depth + 1);
        if (inner) return inner;
      } else if (
        isBoth && target === null && /^[a-z_]/.test(name) && !LOGS.test(callee) && !READS.test(name)
      ) {
        maybe ??= { file, line: one.line, what: name, isSure: false };
      }
    }
  }
  return maybe;
}

function namesOf(expr: Expr): string[] {
  return [...walk(expr)].flatMap((one) =>
    one.kind === "name" ? [one.name] : one.kind === "call" ? [one.call.callee] : []
  );
}

/** Whether a value is made of the variables; a text that they are put into (a key, a message) is not. */
function mentions(expr: Expr, variables: ReadonlySet<string>): boolean {
  if (expr.kind === "join") {
    // SQL put together with it asks the database by it.
    const isQuery = expr.parts.some((one) =>
      one.kind === "text" &&
      /\b(select\b.*\bfrom|insert\s+into|update\b.*\bset|delete\s+from)\b/is.test(one.value)
    );
    return isQuery && expr.parts.some((one) => mentions(one, variables));
  }
  if (expr.kind === "name") {
    return variables.has(expr.name) || variables.has(expr.name.split(".")[0] ?? "");
  }
  const parts = expr.kind === "call"
    ? [
      ...expr.call.receiver ? [expr.call.receiver] : [],
      ...expr.call.args,
      ...expr.call.named.map(({ value }) => value),
    ]
    : expr.kind === "list"
    ? expr.items
    : expr.kind === "map"
    ? expr.entries.map(({ value }) => value)
    : expr.kind === "choice"
    ? [...expr.test ? [expr.test] : [], ...expr.options]
    : expr.kind === "index"
    ? [expr.of, expr.key]
    : expr.kind === "other"
    ? expr.parts
    : [];
  if (expr.kind === "call" && variables.has(expr.call.callee.split(".")[0] ?? "")) return true;
  return parts.some((one) => mentions(one, variables));
}
