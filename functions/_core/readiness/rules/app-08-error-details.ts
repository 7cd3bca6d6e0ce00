import { conclude, type Evidence, type Rule } from "../rule.ts";
import {
  type Catch,
  code,
  type CodeFile,
  type Expr,
  type Fn,
  type Statement,
} from "../models/code.ts";
import { holds } from "../models/conditions.ts";
import { last, literal, type Names, names, option, walk } from "../models/names.ts";
import { place, servers, unreadSources, withServer } from "../models/servers.ts";

const BROAD = /(^|\.)(Exception|BaseException|500|InternalServerError)$/;
/** What answers a request. */
const ANSWERS =
  /(^|\.)(json|send|end|write|html|text|jsonify|JSONResponse|ORJSONResponse|PlainTextResponse|HTMLResponse|Response|HttpResponse|JsonResponse|HTTPException|abort|make_response|InternalServerErrorException|HttpError|createError|TRPCError)$/;
const RESPONDER = /^(res|reply|response|c|ctx|context|NextResponse|Response|resp|h)\b/;
const KNOWN_ERROR =
  /operational|expose|isKnown|is_known|public|AppError|ApiError|HttpException|HTTPException|HttpError|ZodError|ValidationError|status_?code|statusCode|instanceof|isinstance|\bis[A-Z]\w*Error/i;
const MOST = 40;

/** What went wrong inside is for the log: outside it names tables, paths, hosts, now and then a password. */
export const errorDetails: Rule = {
  id: "APP-08",
  name: "error-details",
  area: "security",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "Unexpected errors are answered without their message or stack",
  remedy: "answer a fixed sentence and an id, and log the error under that id",
  check: withServer((repository) => {
    const all = names(repository);
    const evidence: Evidence[] = [];
    for (const file of code(repository)) {
      if (file.directives.includes("use client")) continue;
      for (const handler of handlers(all, file)) {
        const found = leaks(all, handler.file, handler.fn, handler.error);
        const at = { file: handler.file, line: found?.line ?? handler.fn.line };
        evidence.push(
          found
            ? place("gap", at, `the handler for every error answers with ${found.what}`)
            : place("strength", at, "the handler for every error answers without its details"),
        );
      }
      evidence.push(...inline(all, file));
    }
    const known = servers(repository);
    const fastify = known.get("fastify");
    const isHandled = [...code(repository)].some((file) =>
      file.calls.some(({ callee }) => /\.setErrorHandler$/.test(callee))
    );
    if (fastify && !isHandled) {
      evidence.push(
        place(
          "weakness",
          { file: fastify, line: null },
          "Fastify answers a 500 with the error's message: no error handler is set",
          "p2",
        ),
      );
    }
    const seen = new Set<string>();
    const found = evidence.filter(({ file, line }) => {
      const key = `${file}:${line}`;
      return !seen.has(key) && seen.add(key);
    }).slice(0, MOST);
    const [first] = [...known];
    const silent = first &&
      /^(fastapi|starlette|flask|django|@nestjs|hono|next|express)/.test(first[0]);
    if (found.length === 0 && first && silent) {
      found.push(
        place(
          "strength",
          { file: first[1], line: null },
          `${first[0]} answers unexpected errors without details, and no code adds any`,
        ),
      );
    }
    if (found.every(({ kind }) => kind === "strength")) found.push(...unreadSources(repository));
    return conclude(found, { status: "unknown", summary: "no error handler was found" });
  }),
};

type Handler = { file: CodeFile; fn: Fn; error: string };

/** Functions that are wired to answer any error. */
function handlers(all: Names, file: CodeFile): Handler[] {
  const found: Handler[] = [];
  const add = (value: Expr | undefined, index: number) => {
    const target = value?.kind === "function"
      ? { file, fn: value.fn }
      : value?.kind === "name"
      ? all.define(file, value.name)
      : null;
    const fn = target && "fn" in target ? target.fn : null;
    if (!fn || !target || !("file" in target)) return;
    const error = fn.params[index]?.name ?? "";
    if (error !== "") found.push({ file: target.file, fn, error });
  };
  for (const fn of file.functions) {
    for (const mark of fn.decorators) {
      if (
        mark.kind !== "call" ||
        !/\.(exception_handler|errorhandler|app_errorhandler)$/.test(mark.call.callee)
      ) continue;
      const [of] = mark.call.args;
      const isBroad = (of?.kind === "name" && BROAD.test(of.name)) ||
        (of?.kind === "number" && of.value === 500);
      const error = fn.params.at(-1)?.name ?? "";
      if (isBroad && error) found.push({ file, fn, error });
    }
    const catches = fn.klass?.decorators.some((one) =>
      one.kind === "call" && one.call.callee === "Catch" && one.call.args.length === 0
    );
    if (catches && fn.name === "catch") found.push({ file, fn, error: fn.params[0]?.name ?? "" });
  }
  for (const call of file.calls) {
    const name = last(call.callee);
    const [first, second] = call.args;
    if (
      name === "add_exception_handler" &&
      ((first?.kind === "name" && BROAD.test(first.name)) ||
        (first?.kind === "number" && first.value === 500))
    ) add(second, 1);
    else if (name === "setErrorHandler" || name === "onError") add(first, 0);
    else if (name === "use" && file.language === "script") {
      for (const value of call.args) {
        const target = value.kind === "function"
          ? value.fn
          : value.kind === "name"
          ? definedFn(all, file, value.name)
          : null;
        if (target && target.params.length === 4) add(value, 0);
      }
    }
  }
  const exception = file.statements.flatMap((one) =>
    one.kind === "assign" && one.value.kind === "call"
      ? [option(one.value.call, "exception_handlers")]
      : []
  ).find((one) => one !== null);
  if (exception?.kind === "map") {
    for (const { value } of exception.entries) {
      if (
        value.kind === "name" && /unhandled|generic|general|global|internal/i.test(value.name)
      ) add(value, 1);
    }
  }
  return found;
}

function definedFn(all: Names, file: CodeFile, name: string): Fn | null {
  const found = all.define(file, name);
  return found?.kind === "function" ? found.fn : null;
}

type Leak = { line: number; what: string };

function leaks(all: Names, file: CodeFile, fn: Fn, error: string): Leak | null {
  const inside = all.reach({ file, fn }, 0).map((one) => one.fn);
  for (const statement of inside.flatMap((one) => all.body(one))) {
    const answer = answerOf(statement);
    if (!answer) continue;
    if (isExcused(all, file, statement.when)) continue;
    const what = detailIn(all, file, statement.fn, answer, error, new Set());
    if (what) return { line: statement.line, what };
  }
  return null;
}

/** What a statement answers with, null where it answers nothing. */
function answerOf(statement: Statement): Expr | null {
  for (const one of walk(statement.value)) {
    if (one.kind !== "call" || !ANSWERS.test(one.call.callee)) continue;
    const isMethod = one.call.callee.includes(".") && /^[a-z]/.test(last(one.call.callee));
    if (
      isMethod && !RESPONDER.test(one.call.callee) &&
      !/^(jsonify|abort|flask\.|make_response)/.test(one.call.callee)
    ) continue;
    return one;
  }
  const isReturned = statement.kind === "return" && /^(map|list)$/.test(statement.value.kind);
  return isReturned ? statement.value : null;
}

/** Whether production never comes here, or only with errors that are meant to be read. */
function isExcused(all: Names, file: CodeFile, when: readonly Expr[]): boolean {
  return when.some((test) =>
    holds(all, file, test) === false ||
    (speaksOfKnown(test) && !(test.kind === "other" && test.operator === "not"))
  );
}

function speaksOfKnown(test: Expr): boolean {
  return [...walk(test)].some((one) =>
    (one.kind === "other" && one.operator === "instanceof") ||
    (one.kind === "name" && KNOWN_ERROR.test(one.name)) ||
    (one.kind === "call" && KNOWN_ERROR.test(one.call.callee))
  );
}

/** The part of an answer that shows the error: its text, message, stack, arguments or a traceback. */
function detailIn(
  all: Names,
  file: CodeFile,
  fn: Fn | null,
  root: Expr,
  error: string,
  seen: Set<string>,
): string | null {
  const stack: Expr[] = [root];
  for (let one = stack.pop(); one; one = stack.pop()) {
    switch (one.kind) {
      case "name": {
        if (one.name === error && one !== root) {
          return `${error} itself`;
        }
        const member = one.name.startsWith(`${error}.`) ? one.name.slice(error.length + 1) : "";
        if (/^(message|stack|args|detail|toString|cause|stderr)(\.|$)/.test(member)) {
          return one.name;
        }
        if (fn && !one.name.includes(".") && !seen.has(one.name)) {
          seen.add(one.name);
          const inner = assigned(all, file, fn, one.name, error, seen);
          if (inner) return inner;
        }
        break;
      }
      case "call": {
        const { callee, args } = one.call;
        if (
          /^(str|repr|String|format_exc|traceback\.format_exc|traceback\.format_exception|inspect|util\.inspect|JSON\.stringify)$/
            .test(callee)
        ) {
          if (/format_exc/.test(callee)) return `${callee}()`;
          if (args.some((arg) => arg.kind === "name" && arg.name === error)) {
            return `${callee}(${error})`;
          }
          break;
        }
        if (callee === `${error}.toString`) return `${callee}()`;
        const isErrorFn = args.some((arg) => arg.kind === "name" && arg.name === error) &&
          !ANSWERS.test(callee) && /message/i.test(last(callee));
        if (isErrorFn) return `${callee}(${error})`;
        if (!ANSWERS.test(callee) && !/^(res|reply|c|ctx)\b/.test(callee)) break;
        stack.push(...args, ...one.call.named.map(({ value }) => value));
        break;
      }
      case "map":
        stack.push(...one.entries.map(({ value }) => value));
        break;
      case "list":
        stack.push(...one.items);
        break;
      case "join":
        for (const part of one.parts) {
          if (part.kind === "name" && part.name === error) return `its text (${error})`;
          stack.push(part);
        }
        break;
      case "choice": {
        const [yes, no] = one.options;
        if (one.test === null) stack.push(...one.options);
        else {
          const holding = holds(all, file, one.test);
          const isClass = [...walk(one.test)].some((part) =>
            part.kind === "other" && part.operator === "instanceof"
          ) &&
            [...walk(one.test)].some((part) =>
              part.kind === "name" && part.name === "Error"
            );
          if (holding === null && !isClass && speaksOfKnown(one.test)) {
            if (no) stack.push(no);
          } else {
            if (yes && holding !== false) stack.push(yes);
            if (no && holding !== true) stack.push(no);
          }
        }
        break;
      }
      case "other":
        // `...(isDev && { stack })`.
        if (one.operator === "and") {
          const [test, ...rest] = one.parts;
          if (test && holds(all, file, test) === false) break;
          stack.push(...rest);
        } else if (!/^(==|!=|not|in|typeof|compare)$/.test(one.operator)) stack.push(...one.parts);
        break;
      case "index":
        stack.push(one.of);
        break;
    }
  }
  return null;
}

/** What a local name holds where production has passed all that fills it anew. */
function assigned(
  all: Names,
  file: CodeFile,
  fn: Fn,
  name: string,
  error: string,
  seen: Set<string>,
): string | null {
  let found: string | null = null;
  for (const one of all.body(fn)) {
    if (one.kind !== "assign" || !(one.target ?? "").split(",").includes(name)) continue;
    const isFixed = one.value.kind === "text";
    if (isFixed && one.when.length > 0) {
      if (one.when.every((test) => holds(all, file, test) !== false)) found = null;
      continue;
    }
    if (isExcused(all, file, one.when)) continue;
    if ((one.target ?? "").includes(",") && one.value.kind === "name" && one.value.name === error) {
      found = name === "message" || name === "stack" ? `${error}.${name}` : found;
    } else {found = detailIn(
        all,
        file,
        fn,
        { kind: "list", items: [one.value], line: one.line },
        error,
        seen,
      ) ?? found;}
  }
  return found;
}

/** `except Exception as e: raise HTTPException(500, str(e))`, and `catch (e) { res.json({ error: e.message }) }`. */
function inline(all: Names, file: CodeFile): Evidence[] {
  const found: Evidence[] = [];
  const done = new Set<Catch>();
  for (const statement of file.statements) {
    const { caught } = statement;
    const stack = stackIn(statement);
    if (stack && !isExcused(all, file, statement.when)) {
      found.push(place("gap", { file, line: statement.line }, `an answer holds ${stack}`));
      continue;
    }
    if (!caught?.name || done.has(caught)) continue;
    const isBroad = caught.types.length === 0 || caught.types.some((type) => BROAD.test(type));
    if (!isBroad || isExcused(all, file, statement.when)) continue;
    const answer = answerOf(statement);
    if (
      !answer ||
      (statement.kind === "return" && answer.kind !== "call" && !isRouteLike(file, statement))
    ) continue;
    const what = detailIn(
      all,
      file,
      statement.fn,
      { kind: "list", items: [answer], line: answer.line },
      caught.name,
      new Set(),
    );
    if (!what) continue;
    done.add(caught);
    const status = statusOf(answer);
    const isClient = status !== null && status >= 400 && status < 500;
    found.push(
      place(
        isClient ? "weakness" : "gap",
        { file, line: statement.line },
        `any error is answered with ${what}${status === null ? "" : ` and status ${status}`}`,
        isClient ? "p2" : "p1",
      ),
    );
  }
  return found;
}

/** A stack in an answer, of an error that was caught or that a client gave back. */
function stackIn(statement: Statement): string | null {
  const answer = answerOf(statement);
  if (answer?.kind !== "call") return null;
  // What a condition spreads into the answer is for that condition.
  const values = answer.call.args.flatMap((one) =>
    one.kind === "map" ? one.entries.map(({ value }) => value) : [one]
  );
  const found = values.find((one) =>
    one.kind === "name" && /^(e|err|error|exception|cause)\.stack$/i.test(one.name)
  );
  return found?.kind === "name" ? found.name : null;
}

/** A bare return is an answer only in what answers requests. */
function isRouteLike(file: CodeFile, statement: Statement): boolean {
  if (file.language === "python") {
    return statement.fn?.decorators.some((one) =>
      one.kind === "call" && /\.(get|post|put|patch|delete|route)$/.test(one.call.callee)
    ) ?? false;
  }
  return false;
}

function statusOf(answer: Expr): number | null {
  const found: number[] = [];
  for (const one of walk(answer)) {
    if (one.kind !== "call") continue;
    const given = [
      option(one.call, "status_code"),
      option(one.call, "status"),
      option(one.call, "code"),
      one.call.args[0],
      one.call.args[1],
    ];
    for (const value of given) {
      if (value?.kind === "number" && value.value >= 200 && value.value < 600) {
        found.push(value.value);
      }
      if (value?.kind === "name") {
        const spelled = /HTTP_(\d{3})_/.exec(value.name)?.[1];
        if (spelled) found.push(Number(spelled));
        if (/INTERNAL_SERVER_ERROR$/.test(value.name)) found.push(500);
        if (/BAD_REQUEST$/.test(value.name)) found.push(400);
      }
    }
  }
  const named = literalStatus(answer);
  return found[0] ?? named;
}

function literalStatus(answer: Expr): number | null {
  for (const one of walk(answer)) {
    if (one.kind !== "call") continue;
    const name = literal(option(one.call, "code"));
    if (name === "INTERNAL_SERVER_ERROR") return 500;
    if (name === "BAD_REQUEST") return 400;
  }
  return null;
}
