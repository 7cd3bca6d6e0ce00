import { child, children, keyName, type Node } from "../../lint/syntax.ts";
import { envExamples } from "../models/env-examples.ts";
import { withCode } from "../models/code.ts";
import { type Python, type PythonModule, pythonOf } from "../models/python.ts";
import { branches } from "../models/script-values.ts";
import { callsIn, originOf, scripts } from "../models/scripts.ts";
import { processes } from "../models/servers.ts";
import type { PythonNode } from "../parsers.ts";
import { argumentsOf, bare, dotted, literalOf, pairs } from "../python-node.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** What PostgreSQL allows unless somebody says otherwise. */
const MOST_CONNECTIONS = 100;
const ASIDE = /(^|\/)(alembic|migrations?|scripts?|seeds?|tools?|bin|prisma)\//;

/** A pool is a promise to the database: so many connections from each process, and no request that waits for ever. */
export const connectionPool: Rule = {
  id: "DB-07",
  name: "connection-pool",
  area: "db",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "The pool's size fits the database, and dead connections are noticed",
  remedy:
    "set pool_size, max_overflow, pool_timeout and pool_pre_ping so that workers × pool stays under max_connections",
  check: withCode(async (repository) => {
    const evidence = [
      ...ofPython(repository, await pythonOf(repository)),
      ...ofScripts(repository),
    ];
    return conclude(evidence, {
      status: "not-applicable",
      summary: "no pool of database connections is made here",
    });
  }),
};

function ofPython(repository: Repository, python: Python): Evidence[] {
  const found: Evidence[] = [];
  for (
    const { module, node, line } of python.calls(
      "create_engine",
      "create_async_engine",
      "create_pool",
      "ConnectionPool",
      "AsyncConnectionPool",
    )
  ) {
    if (ASIDE.test(module.path)) continue;
    const full = python.fullName(module, node.field("function")) ?? "";
    if (/redis/i.test(full)) continue;
    if (/sqlite/.test(argumentsOf(node).positional[0]?.text ?? "")) continue;
    found.push(
      engine(
        repository,
        python,
        module,
        node,
        line,
        /^(sqlalchemy|sqlmodel|create_(async_)?engine)/.test(full),
      ),
    );
  }
  for (const module of python.modules) {
    const databases = module.constants.get("DATABASES");
    if (
      !databases?.value || /(^|\/)(dev|local|test)\w*\.py$/.test(module.path) ||
      /sqlite3/.test(databases.value.text)
    ) continue;
    const isKept = /CONN_MAX_AGE|["']pool["']|conn_max_age/.test(databases.value.text) ||
      module.constants.has("CONN_MAX_AGE");
    found.push({
      kind: isKept ? "strength" : "weakness",
      severity: "p2",
      file: module.path,
      line: databases.line,
      message: isKept
        ? "Django keeps its connections"
        : "Django opens a connection for each request: CONN_MAX_AGE is 0 by default",
    });
  }
  return found;
}

function engine(
  repository: Repository,
  python: Python,
  module: PythonModule,
  node: PythonNode,
  line: number,
  isAlchemy: boolean,
): Evidence {
  const { options, isOpen } = optionsOf(python, module, node);
  const at = { file: module.path, line };
  const pool = options.get("poolclass")?.text ?? "";
  if (/NullPool|StaticPool/.test(pool)) {
    return { ...at, kind: "strength", message: `${pool}: a pooler keeps the connections` };
  }
  const number = (name: string): number | null => {
    const node = options.get(name);
    if (!node) return null;
    const value = literalOf(node) ?? settingOf(python, node);
    return typeof value === "number" ? value : null;
  };
  const sizeName = isAlchemy ? "pool_size" : "max_size";
  const size = number(sizeName) ?? (isAlchemy ? 5 : 10);
  const overflow = isAlchemy ? number("max_overflow") ?? 10 : 0;
  const { count, source } = workersOf(repository);
  const sum = count * (size + overflow);
  if (sum > MOST_CONNECTIONS && overflow >= 0) {
    return {
      ...at,
      kind: "gap",
      message:
        `${count} processes (${source}) × (${size} + ${overflow}) connections are ${sum}; a database allows ${MOST_CONNECTIONS} by default`,
    };
  }
  if (!options.has(sizeName) && !options.has("max_overflow")) {
    if (isOpen) {
      return {
        ...at,
        kind: "unknown",
        message: "the options of the pool are put together where it runs",
      };
    }
    return {
      ...at,
      kind: "weakness",
      message: isAlchemy
        ? "the pool is the default: 5 + 10 connections a process, and each request waits 30 s for one"
        : "the pool's size is the default",
    };
  }
  const lacks =
    isAlchemy && !options.has("pool_pre_ping") && !options.has("pool_recycle") && !isOpen
      ? "pool_pre_ping"
      : null;
  return lacks
    ? {
      ...at,
      kind: "weakness",
      severity: "p2",
      message: `the pool has a size and no ${lacks}: a connection that died is handed out`,
    }
    : {
      ...at,
      kind: "strength",
      message: `the pool is sized: ${size} + ${overflow} connections a process`,
    };
}

/** The options of an engine, through `**options` that are a dictionary of the module or of the function. */
function optionsOf(
  python: Python,
  module: PythonModule,
  node: PythonNode,
): { options: Map<string, PythonNode>; isOpen: boolean } {
  const { positional, keywords } = argumentsOf(node);
  const options = new Map(keywords);
  let isOpen = false;
  for (const one of positional) {
    if (one.type !== "dictionary_splat") continue;
    const inner = one.children[0];
    const name = dotted(inner ?? null);
    const local = name
      ? module.functionAt(node)?.body.all("assignment").find((each) =>
        each.field("left")?.text === name
      )?.field("right")
      : null;
    const constant = name ? python.definition(module, name) : null;
    const value = local ??
      (constant && "kind" in constant && constant.kind === "constant" ? constant.value : inner);
    const own = value ? pairs(bare(value)) : [];
    if (own.length === 0) isOpen = true;
    for (const { key, value } of own) if (key !== null) options.set(key, value);
  }
  return { options, isOpen };
}

/** The default of `settings.pool_size`. */
function settingOf(python: Python, node: PythonNode): unknown {
  const name = node.type === "attribute" ? node.field("attribute")?.text : null;
  if (!name) return null;
  for (const module of python.modules) {
    for (const one of module.classes) {
      const field = one.fields.find((each) => each.name === name);
      if (!field?.value) continue;
      const value = field.value.type === "call"
        ? argumentsOf(field.value).keywords.get("default") ??
          argumentsOf(field.value).positional[0] ?? null
        : field.value;
      return literalOf(value) ?? null;
    }
  }
  return null;
}

function workersOf(repository: Repository): { count: number; source: string } {
  const found = processes(repository);
  const count = Number(found?.count);
  return found && Number.isInteger(count) && count > 0
    ? { count, source: `${found.file}:${found.line}` }
    : { count: 1, source: "one is assumed" };
}

const POOLS: [RegExp, RegExp][] = [
  [
    /^pg(\.default)?\.Pool\(\)$|^@neondatabase\/serverless\.Pool\(\)$/,
    /^(max|connectionTimeoutMillis)$/,
  ],
  [/^postgres\(\)$/, /^(max|idle_timeout|connect_timeout)$/],
  [/^mysql2(\/promise)?\.createPool\(\)$/, /^connectionLimit$/],
  [/^knex(\.knex)?\(\)$/, /^pool$/],
  [/^typeorm\.(DataSource|createConnection)\(\)$/, /^(extra|poolSize)$/],
  [/^sequelize\.Sequelize\(\)$/, /^pool$/],
];

function ofScripts(repository: Repository): Evidence[] {
  const all = scripts(repository);
  const found: Evidence[] = [];
  for (
    const module of all.mentioning(
      /["'](pg|postgres|knex|typeorm|sequelize|mysql2(\/promise)?|@prisma\/client|@neondatabase\/serverless)["']/,
    )
  ) {
    if (repository.file(module.path)?.context !== "prod" || ASIDE.test(module.path)) continue;
    for (const call of callsIn(module)) {
      const origin = originOf(call.node, module, all) ?? "";
      const at = { file: module.path, line: call.line };
      if (/^@prisma\/client\.PrismaClient\(\)$/.test(origin)) {
        const limit = envExamples(repository).find(({ value }) =>
          /connection_limit=|pgbouncer=true/.test(value)
        );
        const text = module.text;
        found.push(
          limit || /connection_limit|adapter/.test(text)
            ? {
              ...at,
              kind: "strength",
              message: "Prisma's pool is limited" +
                (limit ? ` by ${limit.name} (${limit.file}:${limit.line})` : ""),
            }
            : {
              ...at,
              kind: "weakness",
              severity: "p2",
              message:
                "Prisma's pool is the default: two connections a core and one, in each process",
            },
        );
        continue;
      }
      const options = POOLS.find(([name]) => name.test(origin))?.[1];
      if (!options) continue;
      const isSet = call.args.some((one) =>
        hasKey(one, options) ||
        branches(one, module, all).some(({ value }) =>
          value.kind === "object" && [...value.entries.keys()].some((key) => options.test(key))
        )
      );
      found.push(
        isSet
          ? { ...at, kind: "strength", message: "the pool is sized" }
          : { ...at, kind: "weakness", message: "the pool's size is the default of its library" },
      );
    }
  }
  return found;
}

function hasKey(node: Node, name: RegExp): boolean {
  return children(node, "properties").some((one) =>
    name.test(keyName(one) ?? "") && child(one, "value") !== null
  );
}
