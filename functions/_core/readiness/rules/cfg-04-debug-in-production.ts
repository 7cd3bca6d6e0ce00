import { gap, strength, unknown } from "../evidence.ts";
import { type Call, code, withCode } from "../models/code.ts";
import { environment } from "../models/compose-service.ts";
import { environmentOf } from "../models/dockerfiles.ts";
import { productionImages } from "../models/images.ts";
import { interpolate, settled } from "../models/interpolation.ts";
import { names, option, walk } from "../models/names.ts";
import { running } from "../models/running.ts";
import { hasServer, unreadSources } from "../models/servers.ts";
import { toolOf } from "../models/shell-tools.ts";
import { type Started, startOf } from "../models/start.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** A debugger on the web runs whatever it is sent; a reloading server serves one request at a time. */
export const debugInProduction: Rule = {
  id: "CFG-04",
  name: "debug-in-production",
  area: "config",
  severity: "p1",
  confidence: "high",
  section: 1,
  title: "Production starts a production server, without debug or reload",
  remedy:
    "start the server of production in the image's CMD, and let the environment ask for debug",
  check: withCode((repository) => {
    const evidence = [...started(repository), ...switches(repository), ...calls(repository)];
    const isOpen = evidence.some(({ kind }) => kind === "gap");
    if (evidence.length === 0 && hasServer(repository)) evidence.push(...unreadSources(repository));
    return conclude(
      evidence,
      hasServer(repository) || isOpen
        ? { status: "unknown", summary: "nothing says how production starts the server" }
        : { status: "not-applicable", summary: "no server" },
    );
  }),
};

/** What the images and compose start, scripts followed. */
function started(repository: Repository): Evidence[] {
  const evidence: Evidence[] = [];
  const seen = new Set<string>();
  const services = running(repository).filter(({ isBuilt, isOneShot }) => isBuilt && !isOneShot);
  const covered = new Set(services.map(({ stage }) => stage));
  const starts = [
    ...services.map(({ stage, service }) => startOf(repository, { stage, service })),
    ...productionImages(repository).filter(({ stage }) => !covered.has(stage))
      .map(({ stage }) => startOf(repository, { stage })),
  ];
  for (const start of starts) {
    for (const one of start?.commands ?? []) {
      const what = debugging(one);
      const { file, command: { line } } = one;
      const key = `${file}:${line}`;
      if (what === null || seen.has(key)) continue;
      seen.add(key);
      evidence.push(
        what.isBad
          ? gap(file, line, `production starts ${what.text}`, { isProduction: true })
          : strength(file, line, `production starts ${what.text}`),
      );
    }
  }
  return evidence;
}

function debugging({ command }: Started): { text: string; isBad: boolean } | null {
  const { name, args } = toolOf(command);
  const has = (pattern: RegExp) => args.find((one) => pattern.test(one));
  const bad = (text: string) => ({ text, isBad: true });
  if (name === "fastapi") {
    return args[0] === "dev" ? bad("fastapi dev") : { text: "fastapi run", isBad: false };
  }
  if (/^(uvicorn|gunicorn|hypercorn|granian|daphne)$/.test(name)) {
    const reload = has(/^--reload$|^--debug$/);
    return reload ? bad(`${name} ${reload}`) : { text: name, isBad: false };
  }
  if (name === "flask") {
    return args.includes("run") ? bad("flask run, a server for development") : null;
  }
  if (args.includes("runserver")) return bad("runserver, Django's server for development");
  if (/^(nodemon|ts-node-dev|tsx)$/.test(name)) {
    return name === "tsx" && !has(/^watch$/) ? null : bad(`${name}, which watches its files`);
  }
  if (/^(next|nuxt|nuxi|astro|remix|vite|react-scripts|svelte-kit)$/.test(name)) {
    const isDev = args[0] === "dev" ||
      (name === "vite" && (args.length === 0 || args[0]?.startsWith("-"))) ||
      (name === "react-scripts" && args[0] === "start");
    if (isDev) return bad(`${name} ${args[0] ?? ""}`.trim());
    return /^(start|preview)$/.test(args[0] ?? "")
      ? { text: `${name} ${args[0]}`, isBad: false }
      : null;
  }
  if (name === "node") {
    return {
      text: has(/^--watch|^--inspect/) ? "node that watches or listens for a debugger" : "node",
      isBad: has(/^--watch|^--inspect/) !== undefined,
    };
  }
  return null;
}

const DEBUG = /^(DEBUG|FLASK_DEBUG|DJANGO_DEBUG|APP_DEBUG|FASTAPI_DEBUG|RELOAD|UVICORN_RELOAD)$/;
const TRUE = /^(1|true|yes|on)$/i;

/** DEBUG=true and its like, in the image or in production's compose. */
function switches(repository: Repository): Evidence[] {
  const evidence: Evidence[] = [];
  const judge = (name: string, value: string, file: string, line: number) => {
    const isBad = (DEBUG.test(name) && TRUE.test(value)) ||
      (/^(NODE_ENV|FLASK_ENV)$/.test(name) && value === "development");
    if (isBad) {
      evidence.push(gap(file, line, `production sets ${name}=${value}`, { isProduction: true }));
    }
  };
  for (const { stage } of productionImages(repository)) {
    for (const [name, { value, placed }] of environmentOf(stage)) {
      judge(name, value, placed.stage.path, placed.instruction.line);
    }
  }
  for (const { service, isBuilt, kind } of running(repository)) {
    if (!isBuilt && kind !== "application") continue;
    for (const { name, parts, file, line } of environment(service)) {
      judge(name, settled(parts.length > 0 ? parts : interpolate("")) ?? "", file, line);
    }
  }
  return evidence;
}

const APPS =
  /^(fastapi\.FastAPI|starlette\.applications\.Starlette|litestar\.Litestar|sanic\.Sanic)$/;

/** `FastAPI(debug=True)`, `app.run(debug=True)`, `DEBUG = True`. */
function calls(repository: Repository): Evidence[] {
  const all = names(repository);
  const evidence: Evidence[] = [];
  for (const file of code(repository)) {
    if (
      file.language !== "python" ||
      /(^|[._/-])(dev|development|local|test|manage)([._/-]|$)/i.test(file.path)
    ) continue;
    for (const call of file.calls) {
      const origin = all.calls(file, call.callee);
      const isApp = APPS.test(origin);
      const isRun = /(^|\.)uvicorn\.run$/.test(origin) ||
        /(^|\.)(app|application)\.run$/.test(call.callee);
      if (!isApp && !isRun) continue;
      const found = on(call, "debug") ?? (isRun ? on(call, "reload") : null);
      if (found === null) continue;
      if (found === "maybe") continue;
      // Under `if __name__ == "__main__"` a developer starts it.
      const isMain = call.site.when.some((test) =>
        [...walk(test)].some((one) => one.kind === "text" && one.value === "__main__")
      );
      const message = `${call.callee} has ${found} on, whatever the environment`;
      if (isMain) evidence.push(gap(file.path, call.line, message, { severity: "p2" }));
      else evidence.push(gap(file.path, call.line, message));
    }
    const isSettings = /(^|\/)settings(\/|\.py$)|(^|\/)settings[\w]*\.py$/.test(file.path) &&
      file.statements.some(({ target }) => target === "INSTALLED_APPS");
    for (const one of isSettings ? file.statements : []) {
      if (one.target !== "DEBUG" || one.fn || one.klass || one.when.length > 0) continue;
      if (one.value.kind === "flag") {
        evidence.push(
          one.value.value
            ? gap(file.path, one.line, "DEBUG is True, whatever the environment")
            : strength(file.path, one.line, "DEBUG is False"),
        );
      } else evidence.push(unknown(file.path, one.line, "DEBUG comes from outside"));
    }
  }
  // What the environment decides is for CFG-03; it only tells us nothing here.
  return evidence.some(({ kind }) => kind === "gap")
    ? evidence
    : evidence.filter(({ kind }) => kind !== "unknown");
}

function on(call: Call, name: string): string | "maybe" | null {
  const value = option(call, name);
  if (!value) return null;
  if (value.kind === "flag") return value.value ? name : null;
  return "maybe";
}
