/** From PostgREST's query parameters to SQL: the part of its grammar that supabase-js's everyday calls use. */

/** A statement with its parameters in order. */
export type Statement = { text: string; values: string[] };

/** A request that PostgREST would refuse to parse. */
export class RequestProblem extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const COMPARISONS: Record<string, string> = {
  eq: "=",
  neq: "<>",
  gt: ">",
  gte: ">=",
  lt: "<",
  lte: "<=",
  like: "like",
  ilike: "ilike",
};
const CONTROL = new Set(["select", "order", "limit", "offset", "columns", "on_conflict"]);

export const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;
const problem = (message: string) => new RequestProblem(400, "PGRST100", message);

/** Collects parameters: values never enter the text. */
export class Parameters {
  readonly values: string[] = [];
  add(value: string): string {
    return `$${this.values.push(value)}`;
  }
}

/** `where …` of the filters: each parameter one condition, all of them joined by AND. */
export function whereOf(params: URLSearchParams, parameters: Parameters): string {
  const conditions: string[] = [];
  for (const [name, value] of params) {
    if (CONTROL.has(name)) continue;
    const logic = /^(not\.)?(and|or)$/.exec(name);
    conditions.push(
      logic ? tree(`${name}${value}`, parameters) : condition(name, value, parameters),
    );
  }
  return conditions.length ? ` where ${conditions.join(" and ")}` : "";
}

/** `and(…)`, `or(…)`, `not.or(…)`, nested to any depth, with `column.operator.value` as leaves. */
function tree(text: string, parameters: Parameters): string {
  const group = /^(not\.)?(and|or)\((.*)\)$/s.exec(text);
  if (group) {
    const [, not, join, inner = ""] = group;
    const parts = splitOutside(inner).map((part) => tree(part.trim(), parameters));
    return `${not ? "not " : ""}(${parts.join(` ${join} `)})`;
  }
  const leaf = /^("(?:[^"\\]|\\.)*"|[^.(),"]+)\.(.+)$/s.exec(text);
  if (!leaf) throw problem(`"failed to parse logic tree (${text})"`);
  const [, column = "", rest = ""] = leaf;
  // A value of a leaf ends where the list goes on: what is left over is a syntax error, as in PostgREST.
  const value = /^((?:not\.)?[a-z]+\.)(.*)$/s.exec(rest);
  const bare = value?.[2] ?? "";
  const quoted = /^"((?:[^"\\]|\\.)*)"$/s.exec(bare);
  if (!value || (!quoted && !bare.startsWith("(") && /[(),"]/.test(bare))) {
    throw problem(`"failed to parse logic tree (${text})"`);
  }
  return condition(
    column.replace(/^"|"$/g, ""),
    `${value[1]}${quoted ? unescape(quoted[1] ?? "") : bare}`,
    parameters,
  );
}

function condition(column: string, filter: string, parameters: Parameters): string {
  if (!/^[A-Za-z_][\w ]*$/.test(column)) throw problem(`"failed to parse filter (${column})"`);
  const [, not, operator = "", value = ""] = /^(not\.)?([a-z]+)\.(.*)$/s.exec(filter) ?? [];
  const negation = not ? "not " : "";
  const name = quote(column);
  const comparison = COMPARISONS[operator];
  if (comparison) {
    const operand = comparison.endsWith("like") ? value.replaceAll("*", "%") : value;
    return `${negation}(${name} ${comparison} ${parameters.add(operand)})`;
  }
  if (operator === "is" && /^(null|true|false|unknown)$/i.test(value)) {
    return `${negation}(${name} is ${value})`;
  }
  if (operator === "in" && /^\(.*\)$/s.test(value)) {
    const items = splitOutside(value.slice(1, -1)).map((item) => {
      const quoted = /^"((?:[^"\\]|\\.)*)"$/s.exec(item);
      return quoted ? unescape(quoted[1] ?? "") : item;
    });
    const literal = items.filter((item) => value !== "()" || item !== "")
      .map((item) => `"${item.replace(/[\\"]/g, "\\$&")}"`);
    return `${negation}(${name} = any (${parameters.add(`{${literal.join(",")}}`)}))`;
  }
  throw problem(`"failed to parse filter (${filter})"`);
}

const unescape = (text: string) => text.replace(/\\(.)/gs, "$1");

/** Split at commas outside parentheses and double quotes. */
function splitOutside(text: string): string[] {
  const parts: string[] = [];
  let depth = 0, quoted = false, start = 0;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (quoted && letter === "\\") at++;
    else if (letter === '"') quoted = !quoted;
    else if (quoted) continue;
    else if (letter === "(") depth++;
    else if (letter === ")" && --depth < 0) throw problem(`"failed to parse logic tree (${text})"`);
    else if (letter === "," && depth === 0) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  if (depth !== 0 || quoted) throw problem(`"failed to parse logic tree (${text})"`);
  return [...parts, text.slice(start)];
}

/** The select list. Embedded resources are beyond this harness and answer 400, never a wrong result. */
export function columnsOf(select: string | null): string {
  if (select === null || select === "" || select === "*") return "*";
  return splitOutside(select).map((item) => {
    if (item === "*") return "*";
    const [, alias, column, cast] = /^(?:(\w+):)?(\w+)(?:::(\w+))?$/.exec(item) ?? [];
    if (!column) {
      throw new RequestProblem(400, "PGRST200", `this harness has no embedded resources: ${item}`);
    }
    return `${quote(column)}${cast ? `::${quote(cast)}` : ""}${alias ? ` as ${quote(alias)}` : ""}`;
  }).join(", ");
}

/** `order by … limit … offset …`. */
export function windowOf(params: URLSearchParams): string {
  const order = params.get("order")?.split(",").map((item) => {
    const [column = "", ...words] = item.split(".");
    const nulls = words.includes("nullsfirst")
      ? " nulls first"
      : words.includes("nullslast")
      ? " nulls last"
      : "";
    return `${quote(column)}${words.includes("desc") ? " desc" : ""}${nulls}`;
  });
  const number = (name: string) => {
    const text = params.get(name);
    if (text === null) return "";
    if (!/^\d+$/.test(text)) throw problem(`"${name}" is no number`);
    return ` ${name} ${text}`;
  };
  return `${order ? ` order by ${order.join(", ")}` : ""}${number("limit")}${number("offset")}`;
}
