/** One statement of a migration, and the object it makes or changes. */
export type Statement = {
  /** What it is about, unique in the kit: `function bulkhead.seal()`, `table bulkhead.jobs`, `grant …`. */
  key: string;
  kind:
    | "function"
    | "view"
    | "table"
    | "type"
    | "index"
    | "policy"
    | "trigger"
    | "schema"
    | "insert"
    | "attached"
    | "call"
    | "do"
    | "other";
  /** The schema-qualified name of the object, without arguments; empty where there is none. */
  name: string;
  /** As in the file, without comments above it and without the semicolon. */
  text: string;
};

/** The columns and constraints of a `create table`, each by name; `tail` is what follows the parenthesis. */
export type TableParts = {
  columns: Map<string, string>;
  /** `constraint <name> …` by name; unnamed ones by their text. */
  constraints: Map<string, string>;
  tail: string;
};

const QUOTED = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\$([a-z_]*)\$/gi;

/**
 * Split a migration into statements; semicolons in strings, comments and dollar quotes do not count.
 *
 * @example
 * splitSql("select 1; select ';'"); // ["select 1", "select ';'"]
 */
export function splitSql(text: string): string[] {
  return splitOutside(text, ";", false).map(withoutLeadingComments).filter((part) => part !== "");
}

/**
 * The statements of one migration of the kit with the object of each.
 *
 * @example
 * parseMigration("create table bulkhead.jobs (name text);")[0]?.key; // "table bulkhead.jobs"
 */
export function parseMigration(text: string): Statement[] {
  return splitSql(text).map(classify);
}

/** Comments and runs of blanks outside strings do not matter; the result is for comparing, not for running. */
export function normalise(text: string): string {
  let flat = "";
  let from = 0;
  const code = (part: string) =>
    part.replace(/\s+/g, " ").replace(/ ?([(,]) ?/g, "$1").replace(/ \)/g, ")");
  for (const found of text.matchAll(QUOTED)) {
    const isComment = /^(--|\/\*)/.test(found[0]);
    flat += code(text.slice(from, found.index) + (isComment ? " " : "")) +
      (isComment ? "" : found[0]);
    from = found.index + found[0].length;
  }
  return (flat + code(text.slice(from))).replace(/ {2,}/g, " ").trim();
}

/** What decides whether `create or replace` is enough: names, types and modes of arguments, and the result. */
export function functionShape(text: string): string {
  const args = argumentsOf(text).map((argument) =>
    normalise(argument.replace(DEFAULT, " default"))
  );
  const open = text.indexOf("(");
  const rest = text.slice(open + balanced(text, open).length + 2);
  const [, result = ""] = /^\s*returns\s+([\s\S]*?)\s+language\b/i.exec(rest) ?? [];
  return `(${args.join(",")}) ${normalise(result)}`;
}

/** The parts of a `create table`, so that a new column can be told from a changed one. */
export function tableParts(text: string): TableParts {
  const parts: TableParts = { columns: new Map(), constraints: new Map(), tail: "" };
  const open = text.indexOf("(");
  if (open < 0 || /^create\s+table\s+\S+\s+partition\s+of/i.test(text)) {
    return { ...parts, tail: normalise(text) };
  }
  const inner = balanced(text, open);
  parts.tail = normalise(text.slice(open + inner.length + 2));
  for (const element of splitOutside(inner, ",", true).map(normalise).filter(Boolean)) {
    const [, constraint] = /^constraint (\S+) /i.exec(element) ?? [];
    if (constraint !== undefined) parts.constraints.set(constraint, element);
    else if (/^(primary key|unique|check|foreign key|exclude|like)\b/i.test(element)) {
      parts.constraints.set(element, element);
    } else parts.columns.set(element.split(" ", 1)[0] ?? "", element);
  }
  return parts;
}

const DEFAULT = /\s+(default|=)\s[\s\S]*$/i;

function classify(text: string): Statement {
  const made = (kind: Statement["kind"], name: string, key = `${kind} ${name}`): Statement => ({
    kind,
    name,
    key,
    text,
  });
  const flat = normalise(text);
  const match = (pattern: RegExp) => pattern.exec(flat);
  let found = match(/^create (?:or replace )?(function|procedure) ([\w.]+)\(/i);
  if (found?.[1] && found[2]) {
    return made("function", found[2], `${found[1].toLowerCase()} ${found[2]}(${identity(text)})`);
  }
  found = match(/^create (?:or replace )?view ([\w.]+)/i);
  if (found?.[1]) return made("view", found[1]);
  found = match(/^create (?:unlogged )?table (?:if not exists )?([\w.]+)/i);
  if (found?.[1]) return made("table", found[1]);
  found = match(/^create type ([\w.]+)/i);
  if (found?.[1]) return made("type", found[1]);
  found = match(/^create schema (?:if not exists )?(\w+)/i);
  if (found?.[1]) return made("schema", found[1]);
  found = match(/^create (?:unique )?index (?:if not exists )?(\w+) on ([\w.]+)/i);
  // An index lives in the schema of its table.
  if (found?.[1] && found[2]) return made("index", `${found[2].split(".")[0]}.${found[1]}`);
  found = match(/^create (policy|(?:or replace )?trigger) (\w+) (?:.* )?on ([\w.]+)/i);
  if (found?.[2] && found[3]) {
    const kind = found[1]?.toLowerCase() === "policy" ? "policy" : "trigger";
    return made(kind, found[3], `${kind} ${found[2]} on ${found[3]}`);
  }
  found = match(/^insert into ([\w.]+)/i);
  if (found?.[1]) return made("insert", found[1]);
  found = match(/^comment on ([\s\S]+?) is '/i);
  if (found?.[1]) return made("attached", found[1], `comment on ${found[1]}`);
  if (match(/^(grant|revoke) /i)) return made("attached", "", flat);
  if (
    match(
      /^alter table [\w.]+ ((enable|force) row level security|enable always trigger \w+|alter column \w+ set storage \w+)/i,
    )
  ) {
    return made("attached", "", flat);
  }
  if (match(/^alter (?:function|procedure) .* owner to \w+$/i)) return made("attached", "", flat);
  if (match(/^select /i)) return made("call", "", flat);
  if (match(/^do /i)) return made("do", "", "do block");
  return made("other", "", flat);
}

/** The types of the arguments that identify a function, as `jsonb,text`. */
function identity(text: string): string {
  return argumentsOf(text).flatMap((argument) => {
    const words = normalise(argument.replace(DEFAULT, "")).split(" ");
    const mode = /^(in|out|inout|variadic|table)$/i.test(words[0] ?? "") ? words.shift() : "in";
    if (/^out$/i.test(mode ?? "")) return [];
    const isType = words.length === 1 ||
      /^(double|character|timestamp|time|bit|interval)$/i.test(words[0] ?? "");
    return [(isType ? words : words.slice(1)).join(" ")];
  }).join(",");
}

/** The names of a function's arguments, in order. */
export function argumentNames(text: string): string[] {
  return argumentsOf(text).map((argument) => normalise(argument).split(" ", 1)[0] ?? "");
}

function argumentsOf(text: string): string[] {
  return splitOutside(balanced(text, text.indexOf("(")), ",", true).filter((part) =>
    normalise(part) !== ""
  );
}

/** What stands between the parenthesis at `open` and its partner. */
function balanced(text: string, open: number): string {
  let depth = 0;
  for (const { at, char } of outside(text.slice(open))) {
    if (char === "(") depth++;
    if (char === ")" && --depth === 0) return text.slice(open + 1, open + at);
  }
  return text.slice(open + 1);
}

function splitOutside(text: string, separator: string, atTopLevel: boolean): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (const { at, char } of outside(text)) {
    if (char === "(") depth++;
    if (char === ")") depth--;
    if (char !== separator || (atTopLevel && depth > 0)) continue;
    parts.push(text.slice(start, at));
    start = at + 1;
  }
  return [...parts, text.slice(start)];
}

/** The parentheses, commas and semicolons that are code. */
function* outside(text: string): Generator<{ at: number; char: string }> {
  const token = new RegExp(`${QUOTED.source}|[(),;]`, "gi");
  for (let found = token.exec(text); found; found = token.exec(text)) {
    const [whole, tag] = found;
    if (tag !== undefined) {
      const end = text.indexOf(whole, token.lastIndex);
      token.lastIndex = end < 0 ? text.length : end + whole.length;
    } else if (whole.length === 1) yield { at: found.index, char: whole };
  }
}

function withoutLeadingComments(text: string): string {
  return text.replace(/^(\s*--[^\n]*(\n|$)|\s*\/\*[\s\S]*?\*\/)*/, "").trim();
}
