import type { PythonNode } from "../parsers.ts";
import {
  argument,
  argumentsOf,
  bare,
  dotted,
  enclosing,
  literalOf,
  stringOf,
} from "../python-node.ts";
import type { Repository } from "../repository.ts";
import { type PythonFunction, type PythonModule, pythonOf } from "./python.ts";
import { qualified, type SqlPlace, type SqlState } from "./sql-state.ts";

/** One thing that a migration of Alembic does: a text of SQL in all its forms (null: nobody knows), or a change. */
export type AlembicStep =
  | { place: SqlPlace; text: string[] | null }
  | { place: SqlPlace; text?: undefined; apply: (state: SqlState) => void };

/** What the migrations of Alembic do, in the order in which they run. */
export async function readAlembic(repository: Repository): Promise<AlembicStep[]> {
  if (repository.matching(/\.py$/).every(({ text }) => !text?.includes("down_revision"))) return [];
  const python = await pythonOf(repository);
  const steps: AlembicStep[] = [];
  for (
    const module of inOrder(python.modules.filter((one) => one.constants.has("down_revision")))
  ) {
    const upgrade = module.functions.find(({ name, owner }) => name === "upgrade" && !owner);
    const called = upgrade ? reached(upgrade, module) : [];
    const calls = module.calls.filter((call) => {
      const fn = module.functionAt(call.node);
      return fn !== null && called.includes(fn);
    });
    for (const { node, line } of calls) {
      const step = stepOf(node, module, { file: module.path, line });
      if (step) steps.push(step);
    }
  }
  return steps;
}

/** `upgrade()` and the functions of the file that it calls. */
function reached(upgrade: PythonFunction, module: PythonModule): PythonFunction[] {
  const found = [upgrade];
  for (const fn of found) {
    for (const call of fn.body.all("call")) {
      const name = dotted(call.field("function"));
      const target = module.functions.find((one) => one.name === name && !one.owner);
      if (target && !found.includes(target)) found.push(target);
    }
  }
  return found;
}

/** Each migration behind the one that it builds on. */
function inOrder(modules: readonly PythonModule[]): PythonModule[] {
  const text = (module: PythonModule, name: string) =>
    stringOf(module.constants.get(name)?.value ?? null);
  const below = new Map<string, PythonModule[]>();
  for (const one of modules) {
    const on = text(one, "down_revision") ?? "";
    below.set(on, [...below.get(on) ?? [], one]);
  }
  const found: PythonModule[] = [];
  const stack = [...below.get("") ?? []].reverse();
  for (let one = stack.pop(); one; one = stack.pop()) {
    if (found.includes(one)) continue;
    found.push(one);
    stack.push(...below.get(text(one, "revision") ?? "") ?? []);
  }
  return [...found, ...modules.filter((one) => !found.includes(one))];
}

function stepOf(call: PythonNode, module: PythonModule, place: SqlPlace): AlembicStep | null {
  const name = dotted(call.field("function")) ?? "";
  const method = /^(?:op|batch_op)\.(\w+)$/.exec(name)?.[1];
  const args = argumentsOf(call).positional;
  const schema = stringOf(argumentsOf(call).keywords.get("schema") ?? null);
  const full = (one: PythonNode | null | undefined) => {
    const table = stringOf(one ?? null);
    return table === null ? null : qualified(schema ? `${schema}.${table}` : table);
  };
  if (
    /^(conn|connection|bind|session|op\.get_bind\(\))\.execute$/.test(name) || method === "execute"
  ) {
    return args[0] ? { place, text: texts(args[0], module) } : null;
  }
  const batch = name.startsWith("batch_op.") ? batchTable(call) : null;
  const table = full(batch ?? args[0]);
  const rest = batch ? args : args.slice(1);
  if (table === null) return null;
  switch (method) {
    case "create_table":
      return {
        place,
        apply: (state) => {
          const made = state.make(table, place);
          Object.assign(made, place, { isMade: true });
          for (const one of args.slice(1)) element(state, table, one);
        },
      };
    case "add_column":
      return { place, apply: (state) => rest[0] && element(state, table, rest[0]) };
    case "drop_table":
      return {
        place,
        apply: (state) => {
          state.risk("drop", `table ${table}`, table, place);
          state.tables.delete(table);
        },
      };
    case "drop_column": {
      const column = stringOf(rest[0] ?? null) ?? "…";
      return {
        place,
        apply: (state) => {
          state.risk("drop", `column ${table}.${column}`, table, place);
          state.table(table)?.columns.delete(column);
        },
      };
    }
    case "alter_column": {
      const column = stringOf(rest[0] ?? null) ?? "…";
      const nullable = literalOf(argumentsOf(call).keywords.get("nullable") ?? null);
      const isRetyped = argumentsOf(call).keywords.has("type_");
      return {
        place,
        apply: (state) => {
          const known = state.table(table)?.columns.get(column);
          if (known && typeof nullable === "boolean") known.isNotNull = !nullable;
          if (isRetyped) state.risk("type", `column ${table}.${column}`, table, place);
        },
      };
    }
    case "create_index": {
      const target = full(argument(call, 1, "table_name"));
      const columns = listOf(argument(call, 2, "columns"));
      const isConcurrent =
        literalOf(argumentsOf(call).keywords.get("postgresql_concurrently") ?? null) === true;
      return target === null ? null : {
        place,
        apply: (state) => {
          state.table(target)?.indexes.push(columns);
          if (!isConcurrent) state.risk("index", `table ${target}`, target, place);
        },
      };
    }
    case "create_foreign_key": {
      const source = full(argument(call, 1, "source_table"));
      const target = full(argument(call, 2, "referent_table"));
      const columns = listOf(argument(call, 3, "local_cols"));
      return source === null || target === null ? null : {
        place,
        apply: (state) => {
          for (const one of columns) {
            const known = state.table(source)?.columns.get(one);
            if (known) known.references ??= target;
          }
        },
      };
    }
    default:
      return null;
  }
}

/** `sa.Column("org_id", …, sa.ForeignKey("orgs.id"), nullable=False)` and the constraints of a table. */
function element(state: SqlState, name: string, node: PythonNode): void {
  const table = state.table(name);
  const call = bare(node);
  if (!table || call.type !== "call") return;
  const kind = (dotted(call.field("function")) ?? "").split(".").at(-1);
  const { positional, keywords } = argumentsOf(call);
  const place = { file: table.file, line: call.line };
  if (kind === "Column") {
    const column = stringOf(positional[0] ?? keywords.get("name") ?? null);
    if (column === null) return;
    const foreign = positional.find((one) =>
      /(^|\.)ForeignKey$/.test(dotted(one.field("function")) ?? "")
    );
    const target = foreign ? stringOf(argumentsOf(foreign).positional[0] ?? null) : null;
    const isPrimary = literalOf(keywords.get("primary_key") ?? null) === true;
    state.column(table, {
      name: column,
      type: (dotted(positional[1]?.field("function") ?? positional[1] ?? null) ?? "").toLowerCase(),
      isNotNull: isPrimary || literalOf(keywords.get("nullable") ?? null) === false,
      references: target ? qualified(target.split(".").slice(0, -1).join(".")) : null,
    }, place);
    const isKey = isPrimary ||
      ["index", "unique"].some((one) => literalOf(keywords.get(one) ?? null) === true);
    if (isKey) table.indexes.push([column]);
  } else if (kind === "PrimaryKeyConstraint" || kind === "UniqueConstraint") {
    const keys = positional.flatMap((one) => stringOf(one) ?? []);
    table.indexes.push(keys);
    if (kind !== "PrimaryKeyConstraint") return;
    for (const key of keys) {
      const column = table.columns.get(key);
      if (column) column.isNotNull = true;
    }
  } else if (kind === "ForeignKeyConstraint") {
    const target = listOf(positional[1] ?? null)[0]?.split(".").slice(0, -1).join(".");
    for (const key of listOf(positional[0] ?? null)) {
      const column = table.columns.get(key);
      if (column && target) column.references ??= qualified(target);
    }
  }
}

/** The table of `with op.batch_alter_table("orders") as batch_op:`. */
function batchTable(call: PythonNode): PythonNode | null {
  const block = enclosing(call, "with_statement");
  const made = block?.all("call").find((one) =>
    dotted(one.field("function")) === "op.batch_alter_table"
  );
  return made ? argumentsOf(made).positional[0] ?? null : null;
}

function listOf(node: PythonNode | null): string[] {
  if (!node) return [];
  const here = bare(node);
  return here.type === "list" || here.type === "tuple"
    ? here.children.map((one) => stringOf(one) ?? "")
    : [];
}

/** All that a text can be: literals, constants, f-strings over a list that is written out; null where nobody knows. */
function texts(node: PythonNode, module: PythonModule, depth = 0): string[] | null {
  const here = bare(node);
  const plain = stringOf(here);
  if (plain !== null) return [plain];
  if (depth > 5) return null;
  if (here.type === "identifier") return named(here, module, depth);
  if (here.type === "call") {
    const name = dotted(here.field("function")) ?? "";
    const [first] = argumentsOf(here).positional;
    // `sa.text(…)`, `dedent(…)`, `"…".strip()`
    if (/(^|\.)(text|dedent|cleandoc|DDL)$/.test(name) && first) {
      return texts(first, module, depth + 1);
    }
    const owner = here.field("function")?.field("object");
    const method = here.field("function")?.field("attribute")?.text;
    if (owner && method === "strip") return texts(owner, module, depth + 1);
    if (owner && method === "format") {
      return filled(texts(owner, module, depth + 1), here, module, depth);
    }
    return null;
  }
  if (here.type === "concatenated_string" || here.type === "string") {
    const parts = here.type === "string" ? [here] : here.children;
    return parts.reduce<string[] | null>(
      (sofar, part) => product(sofar, interpolated(part, module, depth)),
      [""],
    );
  }
  if (here.type === "binary_operator" && here.field("operator")?.text === "+") {
    const [left, right] = [here.field("left"), here.field("right")];
    return left && right
      ? product(texts(left, module, depth + 1), texts(right, module, depth + 1))
      : null;
  }
  return null;
}

function interpolated(node: PythonNode, module: PythonModule, depth: number): string[] | null {
  const plain = stringOf(node);
  if (plain !== null) return [plain];
  let found: string[] | null = [""];
  for (const part of node.children) {
    if (part.type === "string_content") found = product(found, [part.text]);
    if (part.type === "interpolation") {
      const inner = part.children[0];
      found = product(found, inner ? texts(inner, module, depth + 1) : null);
    }
  }
  return found;
}

/** `"alter table {} enable …".format(table)`, `{table}` by name. */
function filled(
  templates: string[] | null,
  call: PythonNode,
  module: PythonModule,
  depth: number,
): string[] | null {
  const { positional, keywords } = argumentsOf(call);
  let found = templates;
  for (
    const [name, value] of [...positional.map((one, at) => [String(at), one] as const), ...keywords]
  ) {
    const values = texts(value, module, depth + 1);
    if (!found || !values) return null;
    found = found.flatMap((one) =>
      values.map((each) => one.replaceAll(`{${name}}`, each).replace("{}", () => each))
    ).slice(0, 500);
  }
  return found;
}

function product(a: string[] | null, b: string[] | null): string[] | null {
  return a && b ? a.flatMap((one) => b.map((other) => one + other)).slice(0, 500) : null;
}

/** A name: of a loop over a list, of a parameter that the file's own calls fill, of a constant. */
function named(node: PythonNode, module: PythonModule, depth: number): string[] | null {
  const name = node.text;
  for (let at = enclosing(node, "for_statement"); at; at = enclosing(at, "for_statement")) {
    const left = at.field("left");
    if (left?.type === "identifier" && left.text === name) {
      return itemsOf(at.field("right"), module, depth);
    }
  }
  const fn = module.functionAt(node);
  const index = fn?.parameters.findIndex((one) => one.name === name) ?? -1;
  if (fn && index >= 0) {
    const passed = module.calls.filter((call) => dotted(call.node.field("function")) === fn.name)
      .map((call) => argument(call.node, index, name))
      .map((one) => one ? texts(one, module, depth + 1) : null);
    return passed.length > 0 && !passed.includes(null) ? passed.flatMap((one) => one ?? []) : null;
  }
  const local = fn?.body.all("assignment").find((one) => one.field("left")?.text === name)?.field(
    "right",
  );
  const value = local ?? module.constants.get(name)?.value;
  return value ? texts(value, module, depth + 1) : null;
}

function itemsOf(node: PythonNode | null, module: PythonModule, depth: number): string[] | null {
  if (!node) return null;
  const here = bare(node);
  if (here.type === "identifier" && depth < 5) {
    const fn = module.functionAt(node);
    const local = fn?.body.all("assignment").find((one) => one.field("left")?.text === here.text)
      ?.field("right");
    return itemsOf(local ?? module.constants.get(here.text)?.value ?? null, module, depth + 1);
  }
  if (!["list", "tuple", "set"].includes(here.type)) return null;
  const found = here.children.map(stringOf);
  return found.includes(null) ? null : found.flatMap((one) => one ?? []);
}
