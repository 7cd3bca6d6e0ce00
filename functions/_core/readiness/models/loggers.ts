import type { Repository } from "../repository.ts";
import { type Call, code, type CodeFile, type Expr } from "./code.ts";
import { last, names, option, walk } from "./names.ts";
import { words } from "./sensitive.ts";

/** A call that writes a line for people: a print, a logger, an error tracker. */
export type LogCall = { file: CodeFile; call: Call; sink: "print" | "logger" | "tracker" };

const LEVEL =
  "(debug|info|warn|warning|error|exception|critical|fatal|log|trace|success|notice|silly|verbose|http)";
const LOGGER = new RegExp(
  `(^|\\.)_{0,2}(logger|log|logging|winston|pino|structlog|slog|rootLogger|appLogger)(\\.\\w+\\(\\)){0,3}\\.${LEVEL}$`,
  "i",
);
const PRINT = new RegExp(`^(print|pprint|pp|sys\\.(stdout|stderr)\\.write|console\\.${LEVEL})$`);
const TRACKER =
  /(^|\.)(Sentry|sentry_sdk|scope|Bugsnag|Rollbar|rollbar)\.(setUser|set_user|setContext|set_context|setExtra|set_extra|setTag|set_tag|captureMessage|capture_message)$/;
/** What makes a value harmless on its way into a line. */
const HARMLESS =
  /mask|redact|hash|hmac|digest|sha\d|obfusc|sanitiz|fingerprint|^len$|^bool$|^Boolean$|^type$|typeof|^isinstance|exists|truncat|anonymi|pseudonym|scrub|^count$|encrypt/i;

/**
 * The calls that log in code that runs on a server; what the browser prints its own user sees.
 *
 * @example
 * for (const { file, call } of logCalls(repository)) …
 */
export function logCalls(repository: Repository): LogCall[] {
  return repository.once("log-calls", () =>
    code(repository).flatMap((file) => {
      if (file.directives.includes("use client")) return [];
      return file.calls.flatMap((call): LogCall[] => {
        const { callee } = call;
        if (TRACKER.test(callee)) return [{ file, call, sink: "tracker" }];
        if (PRINT.test(callee)) return [{ file, call, sink: "print" }];
        if (LOGGER.test(callee) && !/^Math\./.test(callee)) return [{ file, call, sink: "logger" }];
        return [];
      });
    }));
}

/** A value that a line shows: a name, or a key with what it holds. */
export type Shown = { name: string; line: number };

/** The names that a logging call shows, what is hashed, cut, counted or compared on the way left out. */
export function shownBy(call: Call): Shown[] {
  const found: Shown[] = [];
  const stack: Expr[] = [...call.args];
  for (const { name, value } of call.named) {
    keyed(name, value);
    stack.push(value);
  }
  function keyed(name: string | null, value: Expr): void {
    const isHeld = ["name", "call", "index", "choice", "join"].includes(value.kind);
    if (name !== null && isHeld && !isHarmless(value)) found.push({ name, line: value.line });
  }
  for (let one = stack.pop(); one; one = stack.pop()) {
    switch (one.kind) {
      case "name":
        found.push({ name: one.name, line: one.line });
        break;
      case "call":
        if (isHarmless(one)) break;
        stack.push(...one.call.args, ...one.call.named.map(({ value }) => value));
        if (/\.(json|body|form|model_dump|dict|toJSON|headers)$/.test(one.call.callee)) {
          found.push({ name: `${one.call.callee}()`, line: one.line });
        }
        break;
      case "map":
        for (const { key, value } of one.entries) {
          keyed(key, value);
          stack.push(value);
        }
        break;
      case "list":
        stack.push(...one.items);
        break;
      case "join":
        stack.push(...one.parts);
        break;
      case "choice":
        stack.push(...one.options);
        break;
      case "index":
        if (one.key.kind === "text") {
          found.push({ name: one.key.value, line: one.line });
        }
        break;
      case "other":
        if (/^(await|type|SpreadElement|dictionary_splat|list_splat|%)$/.test(one.operator)) {
          stack.push(...one.parts);
        }
        break;
    }
  }
  return found;
}

function isHarmless(value: Expr): boolean {
  if (value.kind === "index") return isCut(value);
  if (value.kind !== "call") return false;
  const { callee } = value.call;
  return HARMLESS.test(last(callee)) || /\.(slice|substring|substr|length)$/.test(callee) ||
    words(callee).includes("mask");
}

/** `token[:4]`. */
function isCut(value: Expr): boolean {
  return value.kind === "index" && value.key.kind === "other" && value.key.operator === "slice";
}

/** Where a redactor is wired into a logger; null where none is. */
export function redactor(
  repository: Repository,
): { file: CodeFile; line: number; what: string } | null {
  return repository.once("redactor", () => {
    const all = names(repository);
    for (const file of code(repository)) {
      for (const call of file.calls) {
        if (call.site.fn && !all.isUsed(call.site.fn)) continue;
        const redact = deepOption(call, "redact");
        const isLogger = /pino|LoggerModule\.forRoot|fastify|createLogger|Logger$|AutoLoggerModule/i
          .test(all.calls(file, call.callee)) || /pino|fastify|logger/i.test(call.callee);
        if (redact && isLogger && redact.kind !== "none") {
          return { file, line: redact.line, what: "redact" };
        }
        const isWiring =
          /(^|\.)(addFilter|configure|basicConfig|dictConfig|combine|patch|createLogger|add)$/.test(
            call.callee,
          ) && /log|structlog|winston|format|handler|dictConfig/i.test(call.callee);
        if (!isWiring) continue;
        for (const arg of [...call.args, ...call.named.map(({ value }) => value)]) {
          for (const one of expand(file, arg)) {
            const name = one.kind === "name"
              ? one.name
              : one.kind === "call"
              ? one.call.callee
              : "";
            if (REDACTOR.test(last(name))) return { file, line: call.line, what: last(name) };
          }
        }
      }
    }
    return null;

    function* expand(file: CodeFile, expr: Expr): Generator<Expr> {
      for (const one of walk(expr)) {
        yield one;
        const found = one.kind === "name" ? all.define(file, one.name) : null;
        if (found?.kind === "value" && found.value !== expr) yield* walk(found.value);
      }
    }
  });
}

const REDACTOR = /redact|mask|scrub|sanitiz|sensitive|pii/i;

function deepOption(call: Call, name: string): Expr | null {
  const own = option(call, name);
  if (own) return own;
  for (const arg of [...call.args, ...call.named.map(({ value }) => value)]) {
    for (const one of walk(arg)) {
      if (one.kind !== "map") continue;
      const entry = one.entries.find(({ key }) => key === name);
      if (entry) return entry.value;
    }
  }
  return null;
}
