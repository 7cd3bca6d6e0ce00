import { splitStatements } from "./sql-split.ts";
import { as, fieldOf, list, names, walk } from "./sql-tree.ts";
import type { SqlParser } from "./sql.ts";

/** Something in the body of a function that an argument reaches. Offsets are those of the file. */
export type Danger = {
  kind: "set_config" | "dynamic";
  argument: string;
  start: number;
  end: number;
};

type Argument = { name: string; type: string };

/** Types whose text can hold no SQL. */
const HARMLESS_TYPE =
  /^(int2|int4|int8|integer|bigint|smallint|uuid|bool|boolean|numeric|float4|float8|date|time|timetz|timestamp|timestamptz|interval|regclass|regtype|regprocedure|oid)(\[\])?$/;
/** Functions that hand their text through. */
const TEXT_FUNCTION =
  /^(lower|upper|initcap|trim|btrim|ltrim|rtrim|replace|concat|concat_ws|left|right|substring|substr|regexp_replace|array_to_string|string_agg|coalesce|nullif|overlay|reverse|repeat|translate|split_part|jsonb?_extract_path_text)$/;

/**
 * Where the arguments of a function reach set_config() or dynamic SQL without being quoted. The bodies of PL/pgSQL
 * are split by tokens; every expression in them is read by Postgres' own parser.
 */
export async function dangers(
  body: string,
  args: readonly Argument[],
  offset: number,
  parse: SqlParser,
): Promise<Danger[]> {
  if (!/\bset_config\b|\bexecute\b/i.test(body) || args.length === 0) return [];
  const plain = blankComments(body);
  const found: Danger[] = [];
  const named = new Map(args.map((one, index) => [one.name || `$${index + 1}`, one.type]));
  args.forEach((one, index) => named.set(`$${index + 1}`, one.type));
  for (const call of callsOf(plain, "set_config")) {
    const tree = await expression(call.text, parse);
    const [name, value] = list(fieldOf(as(tree, "FuncCall"), "args"));
    const argument = [...columnsIn([name, value])].find((one) => named.has(one));
    if (argument !== undefined) {
      found.push({
        kind: "set_config",
        argument,
        start: offset + call.start,
        end: offset + call.start + "set_config".length,
      });
    }
  }
  const tainted = new Map<string, string>();
  for (const [name, type] of named) {
    if (!HARMLESS_TYPE.test(type) && !isListed(plain, name)) tainted.set(name, name);
  }
  await assign(plain, tainted, parse);
  for (const { text, start } of executes(plain)) {
    const argument = unsafe(await expression(text, parse), tainted);
    if (argument !== null) {
      found.push({
        kind: "dynamic",
        argument,
        start: offset + start,
        end: offset + start + "execute".length,
      });
    }
  }
  return found;
}

/** `if kind not in ('a', 'b') then raise …`: only what is on the list goes on. */
function isListed(body: string, name: string): boolean {
  const escaped = name.replace(/\$/g, "\\$");
  return new RegExp(
    `\\b${escaped}\\s+(not\\s+)?in\\s*\\(\\s*'|\\b${escaped}\\s*(=|<>|!=)\\s*(any|all)\\b|\\b${escaped}\\s*!?~\\*?\\s*'\\^|case\\s+(lower\\s*\\()?${escaped}\\b`,
    "i",
  ).test(body);
}

/** Variables that are given text made from arguments. */
async function assign(body: string, tainted: Map<string, string>, parse: SqlParser): Promise<void> {
  for (const { text } of splitStatements(body).pieces) {
    const found =
      /(?:^|\b(?:then|else|begin|loop|declare)\s+)([a-z_]\w*)(?:\s+(?:constant\s+)?(?:text|varchar|character varying))?\s*(?::=|=|\bdefault\b)\s*([^=][\s\S]*)$/i
        .exec(text);
    const [, name, value] = found ?? [];
    if (name === undefined || value === undefined) continue;
    const argument = unsafe(await expression(value, parse), tainted);
    if (argument !== null) tainted.set(name.toLowerCase(), argument);
  }
}

/** The expressions that `execute` runs, without `into` and `using`. */
function executes(body: string): { text: string; start: number }[] {
  const found: { text: string; start: number }[] = [];
  for (
    const { index, 0: whole } of body.matchAll(/\bexecute\s+(?!(?:function|procedure|on)\b)/gi)
  ) {
    const rest = body.slice(index + whole.length);
    found.push({ text: rest.slice(0, expressionEnd(rest)), start: index });
  }
  return found;
}

/** Where an expression of PL/pgSQL ends: at `;`, `into`, `using` or `loop` outside parentheses and strings. */
function expressionEnd(text: string): number {
  let depth = 0;
  for (
    const { 0: token, index } of text.matchAll(
      /'(?:[^']|'')*'|\$([A-Za-z_]\w*)?\$[\s\S]*?\$\1\$|[();]|\b(?:into|using|loop)\b/gi,
    )
  ) {
    if (token === "(") depth++;
    else if (token === ")") depth--;
    else if (depth <= 0 && /^(;|into|using|loop)$/i.test(token)) return index;
    if (depth < 0) return index;
  }
  return text.length;
}

function callsOf(body: string, name: string): { text: string; start: number }[] {
  const found: { text: string; start: number }[] = [];
  for (const { index } of body.matchAll(new RegExp(`\\b${name}\\s*\\(`, "gi"))) {
    let depth = 0;
    for (const { 0: token, index: at } of body.slice(index).matchAll(/'(?:[^']|'')*'|[()]/g)) {
      if (token === "(") depth++;
      else if (token === ")" && --depth === 0) {
        found.push({ text: body.slice(index, index + at + 1), start: index });
        break;
      }
    }
  }
  return found;
}

async function expression(text: string, parse: SqlParser): Promise<unknown> {
  try {
    const tree = await parse(`select ${text}`);
    const select = as(fieldOf(list(fieldOf(tree, "stmts"))[0], "stmt"), "SelectStmt");
    return fieldOf(as(list(fieldOf(select, "targetList"))[0], "ResTarget"), "val") ?? null;
  } catch {
    return null; // a record, an array slice, something only PL/pgSQL reads
  }
}

/** The argument that is part of a text without quoting; null when there is none. */
function unsafe(node: unknown, tainted: ReadonlyMap<string, string>): string | null {
  const first = (nodes: readonly unknown[]): string | null => {
    for (const one of nodes) {
      const found = unsafe(one, tainted);
      if (found !== null) return found;
    }
    return null;
  };
  const column = as(node, "ColumnRef");
  if (column) {
    return tainted.get(names(fieldOf(column, "fields")).at(-1)?.toLowerCase() ?? "") ?? null;
  }
  const param = as(node, "ParamRef");
  if (param) return tainted.get(`$${String(fieldOf(param, "number"))}`) ?? null;
  const operation = as(node, "A_Expr");
  if (operation) {
    const operator = names(fieldOf(operation, "name")).at(-1) ?? "";
    if (operator === "||") return first([fieldOf(operation, "lexpr"), fieldOf(operation, "rexpr")]);
    return ["->>", "->", "#>>", "#>"].includes(operator)
      ? unsafe(fieldOf(operation, "lexpr"), tainted)
      : null;
  }
  const cast = as(node, "TypeCast");
  if (cast) {
    const type = names(fieldOf(fieldOf(cast, "typeName"), "names")).at(-1) ?? "";
    return HARMLESS_TYPE.test(type) ? null : unsafe(fieldOf(cast, "arg"), tainted);
  }
  const coalesce = as(node, "CoalesceExpr") ?? as(node, "MinMaxExpr");
  if (coalesce) return first(list(fieldOf(coalesce, "args")));
  const choice = as(node, "CaseExpr");
  if (choice) {
    const results = list(fieldOf(choice, "args")).map((one) =>
      fieldOf(as(one, "CaseWhen"), "result")
    );
    return first([...results, fieldOf(choice, "defresult")]);
  }
  const call = as(node, "FuncCall");
  if (!call) return null;
  const name = names(fieldOf(call, "funcname")).at(-1) ?? "";
  const args = list(fieldOf(call, "args"));
  if (name === "format") return formatted(args, tainted);
  return TEXT_FUNCTION.test(name) ? first(args) : null;
}

/** `format('… %s …', argument)`: %I and %L quote, %s does not. */
function formatted(args: readonly unknown[], tainted: ReadonlyMap<string, string>): string | null {
  const [pattern, ...values] = args;
  const fromPattern = unsafe(pattern, tainted);
  if (fromPattern !== null) return fromPattern;
  let next = 0;
  for (const [, position, kind] of constantText(pattern).matchAll(/%(?:(\d+)\$)?-?\d*([sIL%])/g)) {
    if (kind === "%") continue;
    const index = position === undefined ? next : Number(position) - 1;
    next = index + 1;
    if (kind !== "s") continue;
    const found = unsafe(values[index], tainted);
    if (found !== null) return found;
  }
  return null;
}

/** The constant parts of a text, in order. */
function constantText(node: unknown): string {
  const operation = as(node, "A_Expr");
  if (operation) {
    return constantText(fieldOf(operation, "lexpr")) + constantText(fieldOf(operation, "rexpr"));
  }
  const text = fieldOf(fieldOf(as(node, "A_Const"), "sval"), "sval");
  return typeof text === "string" ? text : "";
}

function* columnsIn(nodes: readonly unknown[]): Generator<string> {
  for (const [type, node] of walk(nodes)) {
    if (type === "ColumnRef") yield names(fieldOf(node, "fields")).at(-1) ?? "";
    if (type === "ParamRef") yield `$${String(fieldOf(node, "number"))}`;
  }
}

function blankComments(body: string): string {
  let plain = body;
  for (const { start, end } of splitStatements(body).comments) {
    plain = plain.slice(0, start) + plain.slice(start, end).replace(/[^\n]/g, " ") +
      plain.slice(end);
  }
  return plain;
}
