import { reasonOf } from "../errors.ts";
import type { Report } from "./finding.ts";
import { position } from "./finding.ts";
import { sessionContext } from "./check-context.ts";
import { placeOf } from "./place.ts";
import { judgeFunction, readFunction, type SqlFunction } from "./sql-function.ts";
import { splitStatements, type SqlPiece } from "./sql-split.ts";
import type { TenantNames } from "./names.ts";
import type { Comment } from "./syntax.ts";
import { as, fieldOf, list, names } from "./sql-tree.ts";

/** Postgres' own parser: the statements of a text, as libpg-query shapes them. */
export type SqlParser = (sql: string) => Promise<unknown>;

/** What happens to a function after it was made; `of` is its name, or its schema with a star. */
type Change = {
  of: string;
  kind: "search_path" | "drop" | "revoke" | "grant";
  roles: string[];
  start: number;
};

/** One SQL file: the functions it makes and drops, and what could not be parsed. */
export type SqlFile = {
  path: string;
  text: string;
  comments: Comment[];
  functions: SqlFunction[];
  /** `alter function`, `drop function`, `grant` and `revoke`. */
  changes: Change[];
  tables: { name: string; columns: string[]; isOpen: boolean }[];
  contexts: { start: number; end: number; name: string }[];
  unread: { line: number; reason: string }[];
};

/** Statements that no rule looks at are not parsed: whatever dialect they are in, nothing depends on them. */
const MATTERS =
  /\b(create\s+(or\s+replace\s+)?(function|procedure)|alter\s+(function|procedure|routine)|drop\s+(function|procedure|routine)|create\s+(unlogged\s+)?table|alter\s+table|set_config|(grant|revoke)\b[\s\S]*\b(function|functions|routines?|procedures?))\b/i;

/** Read one SQL file. */
export async function readSql(path: string, text: string, parser: SqlParser): Promise<SqlFile> {
  const { pieces, comments } = splitStatements(text);
  const file: SqlFile = {
    path,
    text,
    comments,
    functions: [],
    changes: [],
    tables: [],
    contexts: [],
    unread: [],
  };
  for (const piece of pieces) {
    if (!MATTERS.test(piece.text.slice(0, 20_000))) continue;
    try {
      await readPiece(file, piece, parser);
    } catch (error) {
      file.unread.push({ line: position(text, piece.start).line, reason: reasonOf(error) });
    }
  }
  return file;
}

async function readPiece(file: SqlFile, piece: SqlPiece, parser: SqlParser): Promise<void> {
  for (const raw of list(fieldOf(await parser(piece.text), "stmts"))) {
    const statement = fieldOf(raw, "stmt");
    const made = as(statement, "CreateFunctionStmt");
    if (made) file.functions.push(await readFunction(made, piece, parser));
    const altered = as(statement, "AlterFunctionStmt");
    if (altered && JSON.stringify(altered).includes('"search_path"')) {
      const name = names(fieldOf(fieldOf(altered, "func"), "objname")).join(".");
      file.changes.push({ of: name, kind: "search_path", roles: [], start: piece.start });
    }
    const dropped = as(statement, "DropStmt");
    if (dropped && /FUNCTION|PROCEDURE|ROUTINE/.test(String(fieldOf(dropped, "removeType")))) {
      for (const one of list(fieldOf(dropped, "objects"))) {
        const name = names(fieldOf(as(one, "ObjectWithArgs"), "objname")).join(".");
        file.changes.push({ of: name, kind: "drop", roles: [], start: piece.start });
      }
    }
    readGrant(file, statement, piece.start);
    readTable(file, statement);
    const name = as(statement, "SelectStmt") ? sessionContext(piece.text) : null;
    // What a migration sets for itself ends with it, unless it names a tenant or a claim.
    if (name?.includes(".") && placeOf(file.path) === "production") {
      file.contexts.push({ start: piece.start, end: piece.start + piece.text.length, name });
    }
  }
}

function readGrant(file: SqlFile, statement: unknown, start: number): void {
  const grant = as(statement, "GrantStmt");
  if (!grant) return;
  const kind = fieldOf(grant, "is_grant") === true ? "grant" : "revoke";
  const roles = list(fieldOf(grant, "grantees")).map((one) => {
    const role = as(one, "RoleSpec");
    return String(
      fieldOf(role, "rolename") ?? String(fieldOf(role, "roletype")).replace("ROLESPEC_", ""),
    ).toLowerCase();
  });
  for (const object of list(fieldOf(grant, "objects"))) {
    const name = names(fieldOf(as(object, "ObjectWithArgs"), "objname")).join(".");
    if (name !== "") file.changes.push({ of: name, kind, roles, start });
    else if (
      String(fieldOf(grant, "targtype")) === "ACL_TARGET_ALL_IN_SCHEMA" &&
      String(fieldOf(grant, "objtype")) !== "OBJECT_TABLE"
    ) {
      file.changes.push({
        of: `${String(fieldOf(as(object, "String"), "sval"))}.*`,
        kind,
        roles,
        start,
      });
    }
  }
}

function readTable(file: SqlFile, statement: unknown): void {
  const made = as(statement, "CreateStmt");
  if (made) {
    const name = String(fieldOf(fieldOf(made, "relation"), "relname") ?? "");
    const elements = list(fieldOf(made, "tableElts"));
    const columns = elements.flatMap((one) => {
      const column = as(one, "ColumnDef");
      return column ? [String(fieldOf(column, "colname"))] : [];
    });
    const isOpen = fieldOf(made, "inhRelations") !== undefined || columns.length === 0 ||
      elements.some((one) => as(one, "TableLikeClause"));
    file.tables.push({ name, columns, isOpen });
  }
  const altered = as(statement, "AlterTableStmt");
  if (!altered) return;
  const name = String(fieldOf(fieldOf(altered, "relation"), "relname") ?? "");
  const columns = list(fieldOf(altered, "cmds")).flatMap((one) => {
    const column = as(fieldOf(as(one, "AlterTableCmd"), "def"), "ColumnDef");
    return column ? [String(fieldOf(column, "colname"))] : [];
  });
  if (columns.length > 0) file.tables.push({ name, columns, isOpen: false });
}

/** Rules for SQL files. Of a function that is made again later only the last form counts. */
export function checkSql(files: readonly SqlFile[], tenants: TenantNames): Report[] {
  const reports: Report[] = [];
  const folders = new Map<string, SqlFile[]>();
  for (const file of files) {
    if (placeOf(file.path) === "test") continue;
    const folder = file.path.slice(0, file.path.lastIndexOf("/") + 1);
    folders.set(folder, [...folders.get(folder) ?? [], file]);
  }
  for (const own of folders.values()) {
    own.sort((a, b) => a.path < b.path ? -1 : 1);
    for (const { file, fn, hasPath, callers } of lastForms(own)) {
      const isCalled = ["public", "anon", "authenticated"].some((role) => callers.has(role));
      for (const one of judgeFunction(fn, { hasPath, isCalled, tenants })) {
        reports.push({ file: file.path, text: file.text, anchor: fn.start, ...one });
      }
    }
    for (const file of own) {
      for (const { start, end, name } of file.contexts) {
        reports.push({
          rule: "lint/session-context",
          file: file.path,
          text: file.text,
          start,
          end,
          message: `"${name}" is set for the whole session`,
        });
      }
    }
  }
  return reports;
}

type Form = { file: SqlFile; fn: SqlFunction; hasPath: boolean; callers: Set<string> };

function lastForms(files: readonly SqlFile[]): Form[] {
  const forms = new Map<string, Form>();
  for (const file of files) {
    const events = [
      ...file.functions.map((fn) => ({ start: fn.start, fn, change: null })),
      ...file.changes.map((change) => ({ start: change.start, fn: null, change })),
    ].sort((a, b) => a.start - b.start);
    for (const { fn, change } of events) {
      if (fn) {
        // Made again, a function keeps its grants. At first Postgres gives it to all, Supabase to its roles too.
        const callers = forms.get(fn.key)?.callers ?? new Set(["public", "anon", "authenticated"]);
        forms.set(fn.key, { file, fn, hasPath: fn.hasSearchPath, callers });
      }
      if (!change) continue;
      for (const [key, form] of forms) {
        if (!isAbout(change.of, form.fn.name)) continue;
        if (change.kind === "drop") forms.delete(key);
        else if (change.kind === "search_path") form.hasPath = true;
        else {
          for (const role of change.roles) {
            if (change.kind === "grant") form.callers.add(role);
            else form.callers.delete(role);
          }
        }
      }
    }
  }
  return [...forms.values()];
}

function isAbout(of: string, name: string): boolean {
  const full = (one: string) => one.includes(".") ? one : `public.${one}`;
  const [a, b] = [full(of), full(name)];
  return a === b || (a.endsWith(".*") && b.startsWith(a.slice(0, -1)));
}
