import { conclude, type Evidence, type Rule } from "../rule.ts";
import { type Call, code, type CodeFile, type Expr } from "../models/code.ts";
import { holds } from "../models/conditions.ts";
import { logCalls } from "../models/loggers.ts";
import { last, type Names, names, option, walk } from "../models/names.ts";
import { place, withServer } from "../models/servers.ts";

const JSON_NAME =
  /(^|\.)(JSONRenderer|JsonFormatter|JSONFormatter|\w*Json\w*Formatter|\w*JSON\w*Formatter|JsonLogFormatter|ECSFormatter|StdlibFormatter|GCPLogFormatter|StackdriverFormatter|LogstashFormatter\w*)$/;
const TOOLS = /(^|\/)(gulpfile|gruntfile|webpack|vite|rollup|[\w.]+\.config)[^/]*$/i;
const KNOWN = /^(pino|winston|bunyan|loglevel|debug|log4js|consola|signale|\.|@\/|~)/;
const PYTHON_SINK =
  /(^|\.)(configure|setFormatter|dictConfig|basicConfig|ProcessorFormatter|configure_once|StreamHandler|extend|append)$/;

/** A line that a machine can read is found again; one that only a person can read is grepped for at night. */
export const jsonLogs: Rule = {
  id: "OBS-01",
  name: "json-logs",
  area: "observability",
  severity: "p1",
  confidence: "medium",
  section: 5,
  title: "Production logs structured lines, and the formatter is wired",
  remedy: "wire a JSON formatter (structlog, python-json-logger, pino, winston) for production",
  check: withServer((repository) => {
    const all = names(repository);
    const evidence: Evidence[] = [];
    for (const file of code(repository)) {
      for (const call of file.calls) {
        const wiring = file.language === "python"
          ? pythonWiring(all, file, call)
          : scriptWiring(all, file, call);
        if (wiring === null) continue;
        const at = { file, line: call.line };
        const isDead = call.site.fn !== null && !all.isUsed(call.site.fn);
        const isDev = wiring.isDev ||
          call.site.when.some((one) => holds(all, file, one, { fn: call.site.fn }) === false);
        if (isDead) {
          evidence.push(
            place(
              "gap",
              at,
              `${wiring.what} is set up in ${call.site.fn?.name ?? ""}(), which nothing calls`,
            ),
          );
        } else if (!isDev) evidence.push(place("strength", at, `${wiring.what} writes JSON`));
        else {
          const message =
            `${wiring.what} is set up, and production as it is by default does not use it for JSON`;
          evidence.push(place("gap", at, message));
        }
      }
      evidence.push(...configured(file));
    }
    if (!evidence.some(({ kind }) => kind === "strength")) evidence.push(...unwired());
    const isWired = evidence.some(({ kind }) => kind === "strength");
    return conclude(isWired ? evidence.filter(({ kind }) => kind === "strength") : evidence, {
      status: "unknown",
      summary: "nothing logs",
    });

    function unwired(): Evidence[] {
      const known = evidence.length > 0;
      for (const file of code(repository)) {
        for (const klass of file.classes) {
          if (JSON_NAME.test(klass.name) || klass.bases.some((one) => JSON_NAME.test(one))) {
            return [
              place(
                "gap",
                { file, line: klass.line },
                `${klass.name} is defined and nothing uses it`,
              ),
            ];
          }
        }
      }
      if (known) return [];
      for (const file of code(repository)) {
        const made = file.calls.find((call) =>
          /^(winston\.createLogger|logging\.basicConfig|logging\.config\.dictConfig|structlog\.configure|pino)$/
            .test(all.calls(file, call.callee))
        );
        if (made) {
          return [
            place(
              "gap",
              { file, line: made.line },
              `${made.callee} writes plain text in production`,
            ),
          ];
        }
      }
      const first = logCalls(repository).find(({ file }) => !TOOLS.test(file.path));
      if (!first) return [];
      for (const file of code(repository)) {
        const other = file.imports.find(({ module, local }) =>
          /^(logging|logger|log)$/.test(local) && /^@?[\w/-]*log(ging|ger)?\b/.test(module) &&
          !KNOWN.test(module) && all.module(file, module) === null
        );
        if (other && file.language === "script") {
          return [
            place(
              "unknown",
              { file, line: other.line },
              `logs go through ${other.module}, whose format is not to be seen here`,
            ),
          ];
        }
      }
      return [
        place(
          "gap",
          { file: first.file, line: first.call.line },
          "logs are plain text: no JSON formatter is wired",
        ),
      ];
    }
  }),
};

type Wiring = { what: string; isDev: boolean };

/** JSON formatters as arguments of what configures logging, choices followed to what production takes. */
function pythonWiring(all: Names, file: CodeFile, call: Call): Wiring | null {
  const serialize = option(call, "serialize");
  if (serialize && last(call.callee) === "add" && /(^|\.)logger\.add$/.test(call.callee)) {
    const value = holds(all, file, serialize, { fn: call.site.fn });
    return value === false ? null : { what: "loguru", isDev: false };
  }
  if (/(^|\.)logfire\.configure$|^json_logging\.init_\w+$/.test(call.callee)) {
    return { what: call.callee, isDev: false };
  }
  if (!PYTHON_SINK.test(call.callee)) return null;
  for (const arg of [...call.args, ...call.named.map(({ value }) => value)]) {
    for (const one of taken(all, file, arg, new Set())) {
      const name = one.kind === "name"
        ? one.name
        : one.kind === "call"
        ? one.call.callee
        : one.kind === "text"
        ? one.value
        : "";
      if (JSON_NAME.test(name) || /^pythonjsonlogger\./.test(name)) {
        return { what: last(name), isDev: false };
      }
      const found = one.kind === "call" || one.kind === "name" ? all.define(file, name) : null;
      if (found?.kind === "class" && found.klass.bases.some((base) => JSON_NAME.test(base))) {
        return { what: last(name), isDev: false };
      }
      const isFormatter = found?.kind === "class" &&
        found.klass.bases.some((base) => /Formatter$/.test(base));
      if (isFormatter && dumps(found.file, found.klass.name)) {
        return { what: last(name), isDev: false };
      }
    }
  }
  return null;
}

function dumps(file: CodeFile, klass: string): boolean {
  return file.calls.some((call) =>
    call.site.klass?.name === klass && /(^|\.)(json|orjson|ujson)\.dumps$/.test(call.callee)
  );
}

/** The parts that production takes: of a choice the branch that holds, of a local name its values. */
function* taken(all: Names, file: CodeFile, expr: Expr, seen: Set<string>): Generator<Expr> {
  for (const one of walk(expr)) {
    yield one;
    const key = one.kind === "name" ? `${file.path}:${one.name}` : "";
    if (one.kind !== "name" || seen.has(key)) continue;
    seen.add(key);
    for (const statement of file.statements) {
      if (statement.kind !== "assign" || statement.target !== one.name) continue;
      if (statement.when.some((test) => holds(all, file, test, { fn: statement.fn }) === false)) {
        continue;
      }
      const { value } = statement;
      if (value.kind === "choice" && value.test) {
        const holding = holds(all, file, value.test, { fn: statement.fn });
        const branch = holding === null ? null : value.options[holding ? 0 : 1];
        if (branch) {
          yield* taken(all, file, branch, seen);
          continue;
        }
      }
      if (value !== expr) yield* taken(all, file, value, seen);
    }
    const found = all.define(file, one.name);
    if (found?.kind === "value" && found.file !== file) {
      yield* taken(all, found.file, found.value, seen);
    }
  }
}

/** `LOGGING = {"formatters": {"json": {"()": "pythonjsonlogger…"}}}`: Django applies it by itself. */
function configured(file: CodeFile): Evidence[] {
  return file.statements.flatMap((one) => {
    if (one.kind !== "assign" || one.target !== "LOGGING" || one.fn !== null) return [];
    const isJson = [...walk(one.value)].some((part) =>
      (part.kind === "text" &&
        (JSON_NAME.test(part.value) || /^pythonjsonlogger\./.test(part.value))) ||
      (part.kind === "name" && JSON_NAME.test(part.name)) ||
      (part.kind === "call" && JSON_NAME.test(part.call.callee))
    );
    const at = { file, line: one.line };
    if (isJson) return [place("strength", at, "LOGGING has a JSON formatter")];
    return one.value.kind === "map" ? [place("gap", at, "LOGGING has no JSON formatter")] : [];
  });
}

/** pino writes JSON unless a pretty transport stands before it; winston where its format says so. */
function scriptWiring(all: Names, file: CodeFile, call: Call): Wiring | null {
  const origin = all.calls(file, call.callee);
  if (/^(pino|pino-http|hono-pino)(\.(pino|pinoLogger|pinoHttp))?$/.test(origin)) {
    return { what: "pino", isDev: isPretty(all, file, call) };
  }
  if (/^nestjs-pino\.LoggerModule\.forRoot(Async)?$/.test(origin)) {
    return { what: "nestjs-pino", isDev: isPretty(all, file, call) };
  }
  if (
    /^bunyan\.createLogger$|^@google-cloud\/logging-winston|^@aws-lambda-powertools\/logger/.test(
      origin,
    )
  ) return { what: last(call.callee), isDev: false };
  if (/^fastify(\.(fastify|default))?$/.test(origin)) {
    const logger = option(call, "logger");
    if (!logger || (logger.kind === "flag" && !logger.value)) return null;
    return { what: "Fastify's pino", isDev: isPretty(all, file, call) };
  }
  if (/^winston\.createLogger$|^createLogger$/.test(origin) || origin === "winston.createLogger") {
    for (const arg of call.args) {
      for (const one of taken(all, file, arg, new Set())) {
        if (one.kind === "call" && /(^|\.)json$/.test(one.call.callee)) {
          return { what: "winston", isDev: false };
        }
      }
    }
  }
  return null;
}

/** Whether production too writes for people: `pino-pretty` that no condition keeps to development. */
function isPretty(all: Names, file: CodeFile, call: Call): boolean {
  const stack: Expr[] = [...call.args];
  for (let one = stack.pop(); one; one = stack.pop()) {
    if (one.kind === "text" && one.value === "pino-pretty") return true;
    if (one.kind === "map") stack.push(...one.entries.map(({ value }) => value));
    else if (one.kind === "list") stack.push(...one.items);
    else if (one.kind === "call") stack.push(...one.call.args);
    else if (one.kind === "other" && one.operator === "and") {
      const [test, ...rest] = one.parts;
      if (test && holds(all, file, test) !== false) stack.push(...rest);
    } else if (one.kind === "other") stack.push(...one.parts);
    else if (one.kind === "choice") {
      const holding = one.test ? holds(all, file, one.test) : null;
      const branch = holding === null ? null : one.options[holding ? 0 : 1];
      if (branch) stack.push(branch);
      else if (one.test === null) stack.push(...one.options);
    } else if (one.kind === "name") {
      const found = all.define(file, one.name);
      if (found?.kind === "value" && found.value.kind !== "name") stack.push(found.value);
    }
  }
  return false;
}
