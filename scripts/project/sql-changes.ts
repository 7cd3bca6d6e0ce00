import { createHash } from "node:crypto";
import {
  argumentNames,
  functionShape,
  normalise,
  parseMigration,
  type Statement,
  tableParts,
} from "./sql-statements.ts";

/** What was installed: the key of each object and a fingerprint of its definition. It is kept in the lock file. */
export type Inventory = Record<string, string>;

/** What lies between two versions of the kit. */
export type Upgrade = {
  /** Statements in the order in which they must run; empty when the database half did not change. */
  statements: string[];
  /** One line an object: what happens to it. */
  changed: string[];
  /** Objects that the new version no longer has, with the statement that drops them: for a human. */
  removed: string[];
  /** What no statement here can do, and why. Nothing is written while there is one. */
  refused: { object: string; reason: string }[];
};

/** configure() writes these two for each project; the kit's own text of them is only the start. */
export const GENERATED: ReadonlySet<string> = new Set([
  "function bulkhead.canonical_tenant(text)",
  "function bulkhead.member_tenants(jsonb,text)",
  "function bulkhead.is_platform(name)",
]);
/** A change of one of these changes what protect() left on the project's tables. */
const GENERATORS =
  /^function bulkhead\.(protect|close_table|cover_children|create_audit_function|same_value|ledger_\w+|attach_triggers|register_table|observed_state)\(/;

/** The statements of all files, each key once; those without a name of their own are numbered within their file. */
export function kitStatements(files: readonly { name: string; text: string }[]): Statement[] {
  const found = new Map<string, Statement>();
  for (const { name, text } of files) {
    const seen = new Map<string, number>();
    for (const statement of parseMigration(text)) {
      if (statement.kind !== "do" && statement.kind !== "insert") {
        if (!found.has(statement.key)) found.set(statement.key, statement);
        continue;
      }
      const nth = (seen.get(statement.key) ?? 0) + 1;
      seen.set(statement.key, nth);
      const key = `${statement.key}${nth === 1 ? "" : ` #${nth}`} in ${name}`;
      found.set(key, { ...statement, key });
    }
  }
  return [...found.values()];
}

/**
 * The inventory of a version: what {@link upgradeSql} compares with the next one.
 *
 * @example
 * const installed = inventory(kitStatements(kit.migrations));
 */
export function inventory(statements: readonly Statement[]): Inventory {
  const found: Inventory = {};
  for (const { key, kind, name, text } of statements) {
    if (kind === "function") found[key] = `${hash(definition(text))} ${hash(functionShape(text))}`;
    else if (kind === "table") {
      const { columns, constraints, tail } = tableParts(text);
      found[key] = hash(tail);
      for (const [column, line] of columns) found[`column ${name}.${column}`] = hash(line);
      for (const [constraint, line] of constraints) {
        found[`constraint ${constraint} on ${name}`] = hash(line);
      }
    } else found[key] = key === normalise(text) ? "" : hash(definition(text));
  }
  return Object.fromEntries(Object.entries(found).sort(([a], [b]) => a < b ? -1 : 1));
}

/**
 * The statements that bring a database from what was installed to the new version, object by object.
 * Nothing is dropped that the new version does not define again. `done` names objects that a person has changed already.
 *
 * @example
 * const { statements, refused } = upgradeSql(lock.objects, kitStatements(kit.migrations));
 */
export function upgradeSql(
  installed: Inventory,
  statements: readonly Statement[],
  done: ReadonlySet<string> = new Set(),
): Upgrade {
  const next = inventory(statements);
  const upgrade: Upgrade = { statements: [], changed: [], removed: [], refused: [] };
  const written = new Set<string>();
  const restated = new Set<string>();
  const emit = (text: string) => {
    if (!written.has(text)) upgrade.statements.push(text);
    written.add(text);
  };
  const change = (verb: string, key: string, ...texts: string[]) => {
    upgrade.changed.push(`${verb} ${key}`);
    texts.forEach(emit);
  };
  const refuse = (object: string, reason: string) => upgrade.refused.push({ object, reason });
  let mustConfigure = false;
  let mustProtect = false;
  let hasDropped = false;

  for (const statement of statements) {
    const { key, kind, name, text } = statement;
    if (done.has(key)) continue;
    const [before, after] = [installed[key], next[key]];
    if (kind === "table") {
      if (before === undefined) {
        change("create", key, text);
        restated.add(name);
      } else alterTable(statement);
      continue;
    }
    if (before === after) {
      if (kind === "attached" && mentions(text, restated)) emitAttached(text);
      continue;
    }
    if (kind === "function") {
      if (GENERATED.has(key) && before !== undefined) {
        mustConfigure = true;
        change("regenerate", key, unlessConfigured(text));
        continue;
      }
      if (name === "bulkhead.configure") mustConfigure = true;
      if (GENERATORS.test(key)) mustProtect = true;
      const isSameShape = before?.split(" ")[1] === after?.split(" ")[1];
      if (before !== undefined && isSameShape) change("replace", key, orReplace(text));
      else {
        // A changed signature: the old one would make calls with defaults ambiguous. Without cascade: what the
        // project built on it stops the migration as a whole.
        const old = before === undefined
          ? Object.keys(installed).filter((other) =>
            isOverload(other, name) && next[other] === undefined
          )
          : [key];
        change(
          old.length > 0 ? "replace (new signature)" : "create",
          key,
          ...old.map((other) => `drop ${other}`),
          orReplace(text),
        );
        restated.add(name);
        hasDropped ||= old.length > 0;
      }
    } else if (kind === "view") {
      if (before === undefined) change("create", key, text);
      else change("replace", key, replaceView(name, text));
      restated.add(name);
    } else if (kind === "schema" || kind === "call") change("run", key, text);
    else if (kind === "type") {
      if (before === undefined) {
        change("create", key, text);
        restated.add(name);
      } else refuse(key, "columns and functions may use the type, so it is altered by a person");
    } else if (kind === "index" || kind === "policy" || kind === "trigger") {
      if (before === undefined) change("create", key, text);
      else change("replace", key, `drop ${key}`, text);
    } else if (kind === "insert") {
      const isNewTable = installed[`table ${name}`] === undefined;
      if (isNewTable || /\bon conflict\b/i.test(text)) change("run", key, text);
      else refuse(key, `its rows may be there already, or changed by you, in ${name}`);
    } else if (kind === "attached") {
      upgrade.changed.push(key);
      emitAttached(text);
    } else if (kind === "do" && before === undefined) change("run", key, text);
    else refuse(key, "nothing says whether it may run a second time");
  }

  for (const key of Object.keys(installed)) {
    if (next[key] !== undefined || done.has(key)) continue;
    const drop = dropOf(key, next);
    if (drop !== undefined) upgrade.removed.push(drop);
  }
  if (upgrade.refused.length > 0) return upgrade;
  const generation = mustConfigure ? reconfigure(statements) : undefined;
  if (generation !== undefined) emit(generation);
  if (mustProtect) emit(REPROTECT);
  if (upgrade.statements.length > 0) {
    if (hasDropped && next["table bulkhead.kit_functions"] !== undefined) {
      emit("delete from bulkhead.kit_functions where to_regprocedure(signature) is null");
    }
    // Last, whatever ran before: the timetable, and what the kit's functions are from now on.
    const closing = ["select bulkhead.schedule()", "select bulkhead.declare_kit()"];
    upgrade.statements.push(...closing.filter((call) => next[call] !== undefined));
  }
  return upgrade;

  function alterTable({ name, text, key }: Statement): void {
    const { columns, constraints } = tableParts(text);
    if (installed[key] !== next[key]) {
      refuse(key, "what follows its columns (partitions, options) changed");
    }
    for (const [column, line] of columns) {
      const object = `column ${name}.${column}`;
      const before = installed[object];
      if (before === next[object] || done.has(object)) continue;
      if (before !== undefined) {
        refuse(object, "its type, default or checks changed, and the column holds data");
      } else if (
        /\bnot null\b|\bprimary key\b/i.test(line) && !/\b(default|generated)\b/i.test(line)
      ) {
        refuse(object, "it is NOT NULL without a default, and the table may hold rows");
      } else change("add", object, `alter table ${name} add column ${line}`);
    }
    for (const [constraint, line] of constraints) {
      const object = `constraint ${constraint} on ${name}`;
      const before = installed[object];
      if (before === next[object] || done.has(object)) continue;
      if (constraint === line) refuse(object, "it has no name by which the old one could be told");
      else {
        change(
          before === undefined ? "add" : "replace",
          object,
          ...(before === undefined ? [] : [`alter table ${name} drop constraint ${constraint}`]),
          `alter table ${name} add ${line}`,
        );
      }
    }
  }

  function emitAttached(text: string): void {
    const [, owner] = /^alter function [\s\S]* owner to (\w+)$/i.exec(text) ?? [];
    if (owner === undefined) return emit(text);
    // Only who may create in the schema may be given a function there.
    emit(
      `grant create on schema bulkhead to ${owner};\n${text};\nrevoke create on schema bulkhead from ${owner}`,
    );
  }
}

/**
 * What configure() generated once is generated again, from the settings as they are: its arguments bear the names of
 * their columns.
 */
function reconfigure(statements: readonly Statement[]): string | undefined {
  const configure = statements.find(({ kind, name }) =>
    kind === "function" && name === "bulkhead.configure"
  );
  const settings = statements.find(({ key }) => key === "table bulkhead.settings");
  if (configure === undefined || settings === undefined) return undefined;
  const { columns } = tableParts(settings.text);
  const given = argumentNames(configure.text).filter((name) => columns.has(name)).map((name) =>
    // null would take the place of the default.
    `    ${name} => ${name === "membership_user_column" ? `coalesce(${name}, 'user_id')` : name}`
  );
  return `select bulkhead.configure(
${given.join(",\n")}
)
from bulkhead.settings
where tenants_table is not null`;
}

const REPROTECT = `select bulkhead.protect(relation, tenant_column)
from bulkhead.protected_tables
where parent is null
order by relation`;

const isOverload = (key: string, name: string): boolean =>
  key.startsWith(`function ${name}(`) || key.startsWith(`procedure ${name}(`);
const hash = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 16);
const definition = (text: string): string =>
  text.replace(/^create or replace /i, "create ").replace(/\r\n/g, "\n");
const orReplace = (text: string): string =>
  text.replace(/^create (?:or replace )?(function|procedure)/i, "create or replace $1");

/** What configure() has written stays until it writes it again. */
function unlessConfigured(text: string): string {
  return `do $upgrade$
begin
    if not exists (select from bulkhead.settings where tenants_table is not null) then
        execute $stub$${orReplace(text)}$stub$;
    end if;
end
$upgrade$`;
}

/** `create or replace` refuses other columns; then the view is dropped, without cascade, and made again. */
function replaceView(name: string, text: string): string {
  return `do $upgrade$
declare
    definition text := $view$${
    text.replace(/^create (or replace )?view/i, "create or replace view")
  }$view$;
begin
    execute definition;
exception
    when invalid_table_definition then
        drop view ${name};
        execute definition;
end
$upgrade$`;
}

function mentions(text: string, names: ReadonlySet<string>): boolean {
  return [...names].some((name) =>
    new RegExp(`(^|[^\\w.])${name.replace(/\./g, "\\.")}($|[^\\w])`).test(text)
  );
}

/** The statement that removes what the kit no longer has; undefined where nothing is left behind. */
function dropOf(key: string, next: Inventory): string | undefined {
  const [, kind = "", rest = ""] = /^(\w+) ([\s\S]*)$/.exec(key) ?? [];
  if (kind === "function" || kind === "procedure") {
    const name = rest.slice(0, rest.indexOf("("));
    const isReplaced = Object.keys(next).some((other) => isOverload(other, name));
    return isReplaced ? undefined : `drop ${key};`;
  }
  if (/^(table|view|type|schema|index|policy|trigger)$/.test(kind)) return `drop ${key};`;
  if (kind === "column") {
    const [, table = "", column = ""] = /^(.*)\.([^.]+)$/.exec(rest) ?? [];
    return next[`table ${table}`] && `alter table ${table} drop column ${column};`;
  }
  if (kind === "constraint") {
    const [, constraint = "", table = ""] = /^([\s\S]*) on (\S+)$/.exec(rest) ?? [];
    return next[`table ${table}`] && `alter table ${table} drop constraint ${constraint};`;
  }
  if (kind === "grant") {
    const [, called] = / on (function \S+?\(.*?\))/.exec(key) ?? [];
    if (called !== undefined && next[called] === undefined) return undefined;
    return `${key.replace(/^grant/, "revoke").replace(/ to (?=[^']*$)/, " from ")};`;
  }
  return undefined;
}
