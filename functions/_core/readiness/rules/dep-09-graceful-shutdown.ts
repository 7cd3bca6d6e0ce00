import { conclude, type Evidence, type Rule } from "../rule.ts";
import { code, type CodeFile, type Fn, withCode } from "../models/code.ts";
import { last, literal, type Names, names, option, walk } from "../models/names.ts";
import { processLines } from "../models/proxy-lines.ts";
import { place, servers } from "../models/servers.ts";
import type { Repository } from "../repository.ts";

const CLOSES =
  /(^|\.)(dispose|aclose|close|close_all|disconnect|\$disconnect|end|shutdown|quit|destroy|stop|drain|terminate|wait_closed|flush|disposeEngine|closeAll|closePool)$|dispose|close_?(db|pool|engine|redis|connections?)|disconnect|shut_?down|teardown/i;
const HELPERS =
  /^(close-with-grace|http-graceful-shutdown|@godaddy\/terminus|lightship|stoppable|http-terminator|fastify-graceful-shutdown|graceful-fs-shutdown|node-graceful-shutdown|@tygra\/\w+)$/;

/** A deploy ends processes by the dozen: what they were doing must end well, and what they hold must be given back. */
export const gracefulShutdown: Rule = {
  id: "DEP-09",
  name: "graceful-shutdown",
  area: "deployment",
  severity: "p2",
  confidence: "medium",
  section: 5,
  title: "A process that is told to end finishes its requests and gives back its connections",
  remedy: "close the listener on SIGTERM, wait for what runs, then dispose pools and clients",
  check: withCode((repository) => {
    const kinds = servers(repository);
    const all = names(repository);
    const evidence: Evidence[] = [];
    const python =
      ["fastapi", "starlette", "litestar", "sanic", "aiohttp.web", "quart"].flatMap((one) =>
        kinds.get(one) ?? []
      )[0];
    const node = [
      "express",
      "fastify",
      "hono",
      "koa",
      "@nestjs/core",
      "@hapi/hapi",
      "restify",
      "polka",
      "@hono/node-server",
    ].flatMap((one) => kinds.get(one) ?? [])[0];
    if (python) evidence.push(...pythonSide(repository, all, python));
    if (node) evidence.push(...nodeSide(repository, all, node));
    return conclude(evidence, {
      status: "not-applicable",
      summary: kinds.size === 0 ? "no back end was found" : "its server ends processes by itself",
    });
  }),
};

/** uvicorn drains by itself: what is asked is whether what was opened is closed. */
function pythonSide(repository: Repository, all: Names, home: CodeFile): Evidence[] {
  const found: Evidence[] = [];
  for (const file of code(repository)) {
    for (const fn of file.functions) {
      const marks = fn.decorators.map((one) =>
        one.kind === "name" ? one.name : one.kind === "call" ? one.call.callee : ""
      );
      const isLifespan = marks.some((one) => /asynccontextmanager$/.test(one)) &&
        /lifespan|startup|life_?cycle|app/i.test(fn.name);
      const isHook = fn.decorators.some((one) =>
        one.kind === "call" && /\.on_event$/.test(one.call.callee) &&
        literal(one.call.args[0]) === "shutdown"
      );
      if (isLifespan || isHook) {
        const after = isHook ? 0 : yields(all, fn);
        const closer = fn.calls.find((call) => call.line >= after && CLOSES.test(call.callee)) ??
          all.reach({ file, fn }, 2).flatMap((one) => one.fn === fn ? [] : one.fn.calls).find((
            call,
          ) => isHook && CLOSES.test(call.callee));
        const within = fn.calls.some((call) =>
          /(^|\.)(AsyncExitStack|enter_async_context|LifespanManager)$/.test(call.callee)
        );
        if (closer || within) {
          found.push(
            place(
              "strength",
              { file, line: closer?.line ?? fn.line },
              `${fn.name}() closes what was opened`,
            ),
          );
        }
      }
    }
    for (const call of file.calls) {
      if (/(^|\.)add_event_handler$/.test(call.callee) && literal(call.args[0]) === "shutdown") {
        found.push(place("strength", { file, line: call.line }, "a handler runs at shutdown"));
      }
      const hooks = option(call, "on_shutdown");
      if (hooks) {
        found.push(place("strength", { file, line: call.line }, "handlers run at shutdown"));
      }
    }
  }
  for (
    const line of processLines(
      repository,
      /timeout[-_]graceful[-_]shutdown|--graceful-timeout|stop_grace_period/,
    ).slice(0, 2)
  ) {
    found.push(place("strength", line, "the process is given time to end"));
  }
  if (found.length > 0) return found;
  const engine =
    code(repository).flatMap((file) =>
      file.language === "python"
        ? file.calls.filter((call) =>
          /(^|\.)(create_async_engine|create_engine|create_pool|AsyncEngine|from_url|ConnectionPool|AsyncConnectionPool|MongoClient|AsyncIOMotorClient)$/
            .test(call.callee)
        ).map((call) => ({ file, line: call.line }))
        : []
    )[0];
  return engine
    ? [
      place(
        "gap",
        engine,
        "connections are opened here and nothing closes them when the process ends",
      ),
    ]
    : [
      place(
        "unknown",
        { file: home, line: null },
        "nothing runs at shutdown, and nothing was seen that would need it",
      ),
    ];
}

function yields(all: Names, fn: Fn): number {
  return all.body(fn).find((one) =>
    [...walk(one.value)].some((part) => part.kind === "other" && part.operator === "yield")
  )?.line ?? fn.endLine;
}

/** Node ends at once unless somebody listens for the signal. */
function nodeSide(repository: Repository, all: Names, home: CodeFile): Evidence[] {
  const found: Evidence[] = [];
  for (const file of code(repository)) {
    if (file.language !== "script") continue;
    for (const { module, line } of file.imports) {
      if (HELPERS.test(module)) {
        found.push(place("strength", { file, line }, `${module} closes the server on a signal`));
      }
    }
    for (const call of file.calls) {
      if (/(^|\.)enableShutdownHooks$/.test(call.callee) && !/\$on|prisma/.test(call.callee)) {
        found.push(place("strength", { file, line: call.line }, "Nest's shutdown hooks are on"));
      }
      const isSignal = /(^|\.)process\.(on|once)$|^Deno\.addSignalListener$/.test(call.callee) &&
        signalsOf(call.args[0], all, file).includes("SIGTERM");
      if (!isSignal) continue;
      const handler = call.args[1];
      const start = handler?.kind === "function"
        ? { file, fn: handler.fn }
        : handler?.kind === "name"
        ? all.entered(file, handler.name)[0] ?? local(file, handler.name)
        : handler?.kind === "call"
        ? local(file, handler.call.callee)
        : null;
      const closer = start
        ? all.reach(start, 2).flatMap(({ fn }) => fn.calls).find((one) => CLOSES.test(one.callee))
        : undefined;
      found.push(
        closer
          ? place("strength", { file, line: call.line }, `SIGTERM closes (${last(closer.callee)})`)
          : place("weakness", { file, line: call.line }, "SIGTERM is taken and nothing is closed"),
      );
    }
  }
  if (found.some(({ kind }) => kind === "strength")) {
    return found.filter(({ kind }) => kind === "strength");
  }
  const isDenied = /(^|\/)(wrangler\.(toml|jsonc?)|vercel\.json|serverless\.ya?ml)$/;
  if (found.length === 0 && repository.files.some(({ path }) => isDenied.test(path))) return [];
  return found.length > 0 ? found : [
    place(
      "gap",
      { file: home, line: null },
      "SIGTERM ends the process at once: nothing closes the listener or the pools",
    ),
  ];
}

function local(file: CodeFile, name: string): { file: CodeFile; fn: Fn } | null {
  const fn = file.functions.find((one) => one.name === name);
  return fn ? { file, fn } : null;
}

/** The signals that a registration means, a loop's list too. */
function signalsOf(
  value: ReturnType<typeof option> | undefined,
  all: Names,
  file: CodeFile,
): string[] {
  if (!value) return [];
  const own = literal(value);
  if (own !== null) return [own];
  if (value.kind !== "name") return [];
  const found = all.define(file, value.name);
  const texts = (found?.kind === "value" ? [...walk(found.value)] : []).flatMap((one) =>
    literal(one) ?? []
  );
  if (texts.length > 0) return texts;
  // The variable of a loop or of forEach: any list of signals in the file.
  return file.statements.flatMap((one) => [...walk(one.value)]).flatMap((one) => literal(one) ?? [])
    .filter((one) => /^SIG/.test(one));
}
