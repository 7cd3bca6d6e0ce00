import { reasonOf } from "../../errors.ts";
import { lineIn, lineStarts } from "../../lines.ts";
import { splitStatements } from "../../lint/sql-split.ts";
import { as, fieldOf, list, names, walk } from "../../lint/sql-tree.ts";
import type { Repository, RepositoryFile } from "../repository.ts";
import { readAlembic } from "./sql-alembic.ts";
import { qualified, type SqlPlace, SqlState } from "./sql-state.ts";

export type { SqlColumn, SqlPlace, SqlPolicy, SqlRisk, SqlTable } from "./sql-state.ts";

/** What the repository's SQL makes, after all migrations. */
export type Sql = {
  state: SqlState;
  /** The files that were read, in their order: migrations first. */
  files: string[];
  /** Whether PostgREST stands before it: tables of `public` are an API. */
  isSupabase: boolean;
  /** Statements that speak of tables, policies or rights and could not be parsed. */
  unread: SqlPlace[];
};

/** Files that only undo, fill or query a database. */
const ASIDE =
  /(^|\/)(seeds?|seeders?|fixtures?|queries|dumps?|snapshots?|rollbacks?|undo|down)(\/|[\w.-]*\.sql$)|[._-](down|rollback|undo|revert|seed)\.sql$|(^|\/)U\d[\w.]*__|\.test\.sql$/i;
const MIGRATION = /(^|\/)(migrations?|migrate|drizzle|versions|flyway)(\/|$)/i;
const MATTERS =
  /^\s*(create|alter|drop|grant|revoke|truncate|do|delete|select\s+(?:bulkhead\.)?\w*(?:protect|rls|row_?level|tenant)\w*)\b/i;
/** What a statement must speak of for its loss to matter. */
const SPEAKS = /\b(table|policy|role|grant|revoke|row\s+level|index)\b/i;
/** More than any repository has; the rest is noted. */
const MOST_TEXT = 20_000_000;

/**
 * The SQL of the repository, applied in order to an empty database: `*.sql` and Alembic's migrations.
 *
 * @example
 * const { state } = await sqlOf(repository);
 * state.table("public.orders")?.rowSecurity;
 */
export function sqlOf(repository: Repository): Promise<Sql> {
  return repository.once("sql", () => read(repository));
}

async function read(repository: Repository): Promise<Sql> {
  const sql: Sql = {
    state: new SqlState(),
    files: [],
    isSupabase: isSupabase(repository),
    unread: [],
  };
  let room = MOST_TEXT;
  for (const file of ordered(repository)) {
    if (file.text === null || file.text.length > room) {
      repository.note({
        file: file.path,
        reason: file.unread ?? "there is too much SQL before it",
      });
      sql.unread.push({ file: file.path, line: 1 });
      continue;
    }
    room -= file.text.length;
    sql.files.push(file.path);
    await readText(sql, upOnly(file.text), { file: file.path, line: 1 }, repository);
  }
  for (const step of await readAlembic(repository)) {
    if (sql.files.at(-1) !== step.place.file) sql.files.push(step.place.file);
    if (step.text !== undefined) {
      for (const text of step.text ?? [""]) {
        if (text === "") sql.state.dynamic.push(step.place);
        else await readText(sql, text, step.place, repository, false);
      }
    } else step.apply(sql.state);
  }
  return sql;
}

/** Migrations in the order of their names, numbers as numbers; then the other files, which may only repeat them. */
function ordered(repository: Repository): RepositoryFile[] {
  const all = repository.matching(/\.(sql|pgsql|psql)$/i).filter(({ path, context }) =>
    context !== "test" && context !== "docs" && !ASIDE.test(path)
  );
  const name = ({ path }: RepositoryFile) => path.replace(/(^|\/)V(?=\d)/, "$1");
  return all.toSorted((a, b) =>
    Number(MIGRATION.test(b.path)) - Number(MIGRATION.test(a.path)) ||
    name(a).localeCompare(name(b), "en", { numeric: true })
  );
}

/** The way up of a file that holds both (goose, dbmate), everything else blanked, so that lines stay what they are. */
function upOnly(text: string): string {
  const down = /^--\s*(\+goose\s+Down|migrate:down|\+migrate\s+Down|rollback\b|down\b)[^\n]*$/im
    .exec(text);
  return down ? text.slice(0, down.index) : text;
}

async function readText(
  sql: Sql,
  text: string,
  from: SqlPlace,
  repository: Repository,
  hasLines = true,
): Promise<void> {
  const starts = lineStarts(hasLines ? text : "");
  for (const piece of splitStatements(text).pieces) {
    if (!MATTERS.test(piece.text)) continue;
    const place = { file: from.file, line: from.line + lineIn(starts, piece.start) - 1 };
    try {
      const tree = await repository.parsers.sql(piece.text);
      for (const raw of list(fieldOf(tree, "stmts"))) {
        const statement = fieldOf(raw, "stmt");
        await applyBlock(sql, statement, place, repository);
        sql.state.apply(statement, place);
        protectCall(sql.state, statement, place);
      }
    } catch (error) {
      if (!SPEAKS.test(piece.text.slice(0, 5_000))) continue;
      repository.note({ ...place, reason: `its SQL can't be read: ${reasonOf(error)}` });
      sql.unread.push(place);
    }
  }
}

const SECURITY = /row\s+level\s+security|create\s+policy/i;

/** `do $$ … execute format('alter table %I enable row level security', t) … $$` over a list that is written out. */
async function applyBlock(
  sql: Sql,
  statement: unknown,
  place: SqlPlace,
  repository: Repository,
): Promise<void> {
  const block = as(statement, "DoStmt");
  if (!block) return;
  let body = "";
  for (const [type, node] of walk(block)) {
    if (type === "String") body = String(fieldOf(node, "sval") ?? body);
  }
  if (!SECURITY.test(body)) return;
  const values = listed(body);
  for (
    const { 1: template = "" } of body.matchAll(
      /'((?:[^']|'')*(?:row\s+level\s+security|create\s+policy\s+\S)(?:[^']|'')*)'/gi,
    )
  ) {
    const text = template.replace(/''/g, "'");
    if (!/%\d*\$?[Is]/.test(text)) {
      await readText(sql, text, place, repository, false);
    } else if (values === "every" && /enable\s+row\s+level/i.test(text)) {
      for (const table of sql.state.tables.values()) table.rowSecurity ??= place;
    } else if (Array.isArray(values)) {
      for (const value of values) {
        const name = value.includes(".") ? value : `"${value.replace(/"/g, "")}"`;
        const made = text.replace(/%(?:\d+\$)?[Is]\.%(?:\d+\$)?[Is]/g, `public.${name}`)
          .replace(/%(?:\d+\$)?[Is]/g, name);
        await readText(sql, made, place, repository, false);
      }
    } else sql.state.dynamic.push(place);
  }
  // Statements of the block itself, without execute.
  if (!/\bexecute\b/i.test(body)) {
    const inner = body.replace(/^[\s\S]*?\bbegin\b/i, "").replace(
      /\b(if|then|else|end)\b[^;]*?(?=\balter\b|\bcreate\b)/gi,
      ";",
    );
    await readText(sql, inner, place, repository, false);
  }
}

/** What the loop of a block goes over: names that are written out, every table, or nobody knows. */
function listed(body: string): string[] | "every" | null {
  const array =
    /\barray\s*\[([^\]]*)\]|\bin\s*\(\s*((?:'[^']*'\s*,?\s*)+)\)|unnest\s*\(\s*'\{([^}]*)\}'|\bvalues\s*((?:\(\s*'[^']*'\s*\)\s*,?\s*)+)/i
      .exec(body);
  const inside = array?.[1] ?? array?.[2] ?? array?.[4];
  if (inside !== undefined) return [...inside.matchAll(/'([^']+)'/g)].map((one) => one[1] ?? "");
  if (array?.[3] !== undefined) return array[3].split(",").map((one) => one.trim());
  const query =
    /\bfrom\s+(?:pg_catalog\.)?(?:pg_tables|information_schema\.tables)\b([\s\S]*?)\bloop\b/i.exec(
      body,
    );
  if (!query) return null;
  const conditions = (query[1] ?? "").replace(
    /(table_)?schema(name)?\s*=\s*'public'|table_type\s*=\s*'BASE TABLE'/gi,
    "",
  );
  return /[=<>]|\blike\b|\bin\b/i.test(conditions) ? null : "every";
}

/** `select bulkhead.protect('public.orders')` switches row security on, and forces it. */
function protectCall(state: SqlState, statement: unknown, place: SqlPlace): void {
  for (const target of list(fieldOf(as(statement, "SelectStmt"), "targetList"))) {
    const call = as(fieldOf(as(target, "ResTarget"), "val"), "FuncCall");
    if (!call || names(fieldOf(call, "funcname")).join(".") !== "bulkhead.protect") continue;
    const [first] = list(fieldOf(call, "args"));
    const constant = as(first, "A_Const") ?? as(fieldOf(as(first, "TypeCast"), "arg"), "A_Const");
    const name = fieldOf(fieldOf(constant, "sval"), "sval");
    if (typeof name !== "string") {
      state.dynamic.push(place);
      continue;
    }
    const table = state.table(qualified(name));
    if (table) [table.rowSecurity, table.isForced] = [place, true];
  }
}

function isSupabase(repository: Repository): boolean {
  return repository.matching(/(^|\/)supabase\/(config\.toml|migrations\/[^/]+\.sql)$/).length > 0 ||
    repository.matching(/(^|\/)package\.json$/).some(({ text }) =>
      text?.includes('"@supabase/supabase-js"') || text?.includes('"@supabase/ssr"')
    ) ||
    repository.matching(/(^|\/)(requirements[^/]*\.txt|pyproject\.toml|Pipfile)$/).some((
      { text },
    ) => /^\s*"?supabase\b/m.test(text ?? ""));
}
