import type { TenantNames } from "./names.ts";
import { type Danger, dangers } from "./sql-body.ts";
import { splitStatements, type SqlPiece } from "./sql-split.ts";
import { as, fieldOf, list, names } from "./sql-tree.ts";
import type { SqlParser } from "./sql.ts";

/** A function or procedure of a SQL file. */
export type SqlFunction = {
  /** With the schema when the file gives one. */
  name: string;
  /** Name and types of arguments: the same key is the same function. */
  key: string;
  args: { name: string; type: string }[];
  isDefiner: boolean;
  hasSearchPath: boolean;
  isTrigger: boolean;
  body: string;
  dangers: Danger[];
  start: number;
  end: number;
};

/** What is wrong with a function, without the file. */
export type FunctionReport = { rule: string; start: number; end: number; message: string };

/** Read a `create function` of a file. */
export async function readFunction(
  made: unknown,
  piece: SqlPiece,
  parser: SqlParser,
): Promise<SqlFunction> {
  const options = list(fieldOf(made, "options")).map((one) => as(one, "DefElem"));
  const option = (name: string) => options.find((one) => fieldOf(one, "defname") === name);
  const name = names(fieldOf(made, "funcname")).join(".");
  const args = list(fieldOf(made, "parameters")).flatMap((one) => {
    const param = as(one, "FunctionParameter");
    const mode = String(fieldOf(param, "mode") ?? "");
    if (/_OUT$|_TABLE$/.test(mode)) return [];
    const type = fieldOf(param, "argType");
    const isList = list(fieldOf(type, "arrayBounds")).length > 0;
    return [{
      name: String(fieldOf(param, "name") ?? ""),
      type: (names(fieldOf(type, "names")).at(-1) ?? "") + (isList ? "[]" : ""),
    }];
  });
  const body = bodyOf(fieldOf(option("as"), "arg")) ??
    /\bbegin\s+atomic\b[\s\S]*$/i.exec(piece.text)?.[0] ?? "";
  const at = piece.text.indexOf(body);
  const head =
    /^create\s+(?:or\s+replace\s+)?(?:function|procedure)\s+[^\s(]+/i.exec(piece.text)?.[0] ?? "";
  const returns = names(fieldOf(fieldOf(made, "returnType"), "names")).at(-1) ?? "";
  return {
    name,
    key: `${name.replace(/^public\./, "")}(${args.map((one) => one.type).join(",")})`,
    args,
    isDefiner: JSON.stringify(option("security") ?? null).includes("true"),
    hasSearchPath: options.some((one) =>
      fieldOf(one, "defname") === "set" && JSON.stringify(one).includes('"search_path"')
    ),
    isTrigger: returns === "trigger" || returns === "event_trigger",
    body,
    dangers: await dangers(body, args, Math.max(at, 0) + piece.start, parser),
    start: piece.start,
    end: piece.start + head.length,
  };
}

function bodyOf(value: unknown): string | null {
  const items = list(fieldOf(as(value, "List"), "items"));
  const text = fieldOf(as(items[0] ?? value, "String"), "sval");
  return typeof text === "string" ? text : null;
}

/** Whether a definer function asks who calls it. */
const CHECKS =
  /\bauth\s*\.\s*(uid|jwt|role|email)\b|request\.jwt|current_tenants?\b|\b(is|has|can|assert|require|check|verify|ensure|authori[sz]e|get_my|my|current_user)_\w+\s*\(|session_user|current_setting\s*\(/i;

/** Judge the last form of a function. */
export function judgeFunction(
  fn: SqlFunction,
  { hasPath, isCalled, tenants }: { hasPath: boolean; isCalled: boolean; tenants: TenantNames },
): FunctionReport[] {
  const reports: FunctionReport[] = [];
  const { start, end } = fn;
  if (fn.isDefiner && !hasPath) {
    reports.push({
      rule: "lint/sql-definer-search-path",
      start,
      end,
      message: `${fn.name}() is security definer and takes its search_path from the caller`,
    });
  }
  const [schema] = fn.name.includes(".") ? fn.name.split(".") : ["public"];
  // What the API does not reach no sender calls.
  const isExposed = schema === "public" || /^(api|rest|graphql)/.test(schema ?? "");
  if (!isExposed || !isCalled || fn.isTrigger) return reports;
  reports.push(...fn.dangers.map((one) => ({
    ...one,
    rule: one.kind === "set_config" ? "lint/sql-set-config-argument" : "lint/sql-dynamic",
    message: one.kind === "set_config"
      ? `${fn.name}() hands ${one.argument} to set_config(): a caller can write settings that policies trust`
      : `${fn.name}() puts ${one.argument} into SQL without quoting it`,
  })));
  const tenant = fn.args.find(({ name }) => isTenantArgument(name, tenants));
  if (fn.isDefiner && tenant && !CHECKS.test(withoutComments(fn.body))) {
    reports.push({
      rule: "lint/sql-definer-tenant-argument",
      start,
      end,
      message:
        `${fn.name}() runs with its owner's rights for whatever "${tenant.name}" the caller names`,
    });
  }
  return reports.map(({ rule, start, end, message }) => ({ rule, start, end, message }));
}

function isTenantArgument(name: string, { columns }: TenantNames): boolean {
  const plain = name.replace(/^(p|v|in|arg|target|the|_)_*/i, "");
  return columns.has(plain) || columns.has(`${plain}_id`) || columns.has(name);
}

function withoutComments(body: string): string {
  let plain = body;
  for (const { start, end } of splitStatements(body).comments) {
    plain = plain.slice(0, start) + " ".repeat(end - start) + plain.slice(end);
  }
  return plain;
}
