import type { Repository } from "../repository.ts";
import type { CodeFile, Expr, Fn } from "./code.ts";
import { holds } from "./conditions.ts";
import { last, type Names, names, option, walk } from "./names.ts";
import { type Guard, type Mount, type Route, routes } from "./routes.ts";

/** Something that counts requests and is wired; `isOff` where a switch that is off by default stands before it. */
export type Limit = { file: CodeFile; line: number; what: string; isOff: boolean };

const PACKAGES =
  /^(slowapi|fastapi_limiter|flask_limiter|django_ratelimit|ratelimit|limits|pyrate_limiter|throttled|asgi_ratelimit|fastapi_throttle|starlette_limiter|rest_framework\.throttling|express-rate-limit|express-slow-down|rate-limiter-flexible|@?fastify[/-]rate-limit|hono-rate-limiter|@hono-rate-limiter|@nestjs\/throttler|@upstash\/ratelimit|koa-ratelimit|koa2-ratelimit|express-brute|@arcjet|elysia-rate-limit|next-rate-limit)\b/;
const NAMED =
  /rate_?limit|throttl|limiter|slow_?down|brute_?force|login_?attempt|too_?many_?(attempts|requests)|check_?attempts/i;
/** What speaks of limits and sets none: the error, its handler, the key function, an exemption, a front end's debounce. */
const OTHER =
  /exceeded|errors?\b|_handler$|handler$|get_remote_address|get_ipaddr|exempt|skip_?throttle|too_?many_?requests(exception|error)|lodash|headers?$|status$/i;

/** Whether an expression limits; with what, as it is written. */
export function limiterIn(names: Names, file: CodeFile, expr: Expr): string | null {
  for (const one of walk(expr)) {
    if (one.kind === "map") {
      const entry = one.entries.find(({ key }) => key === "rateLimit" || key === "throttle");
      if (entry && !(entry.value.kind === "flag" && !entry.value.value)) return "rateLimit";
    }
    const written = one.kind === "call"
      ? one.call.callee
      : one.kind === "name"
      ? one.name
      : one.kind === "text" && /[._]/.test(one.value) && !/\s/.test(one.value)
      ? one.value
      : "";
    if (written !== "" && isLimiterName(names, file, written)) return written;
  }
  return null;
}

function isLimiterName(names: Names, file: CodeFile, written: string): boolean {
  if (OTHER.test(last(written)) || /^[A-Z0-9_]+$/.test(last(written))) return false;
  const origin = names.calls(file, written);
  if (OTHER.test(last(origin)) || /^lodash/.test(origin)) return false;
  return PACKAGES.test(origin) || NAMED.test(last(written)) ||
    /(^|\.)\w*(limiter|rate_?limits?|throttle)\w*\.(limit|consume|check|protect|hit|acquire|test)$/i
      .test(written) ||
    /(^|\.)(brute(_?force)?|rate_?limit(er|ing|s)?|limiters?|throttles?)\.\w+$/i.test(written) &&
      !/\.(get|find|findMany|create|update|delete|get_multi|exists|count|upsert)$/.test(written);
}

/** The limiter that a function asks, itself or two calls below. */
function limiterBelow(names: Names, start: { file: CodeFile; fn: Fn }): Limit | null {
  for (const { file, fn } of names.reach(start)) {
    if (NAMED.test(fn.name) && fn !== start.fn && !OTHER.test(fn.name)) {
      return { file, line: fn.line, what: fn.name, isOff: false };
    }
    const refusal = names.body(fn).find((one) =>
      one.kind !== "test" && [...walk(one.value)].some(isTooMany)
    );
    if (refusal) return { file, line: refusal.line, what: fn.name || "a handler", isOff: false };
    for (const call of fn.calls) {
      if (call.callee === "" || !isLimiterName(names, file, call.callee)) continue;
      const isOff = call.site.when.some((one) => holds(names, file, one, { fn }) === false);
      return { file, line: call.line, what: call.callee, isOff };
    }
  }
  return null;
}

/** `res.status(429)`, `HTTPException(429)`: what refuses, counts. A comparison with an answer's status does not. */
function isTooMany(expr: Expr): boolean {
  if (expr.kind !== "call") return false;
  const { call } = expr;
  return [...call.args, option(call, "status"), option(call, "status_code")].some((one) =>
    (one?.kind === "number" && one.value === 429) ||
    (one?.kind === "name" && /TOO_MANY_REQUESTS$/.test(one.name))
  );
}

/** What limits one route: its own guards, its handler's calls, what is mounted before it. */
export function limitsOf(repository: Repository, route: Route): Limit[] {
  const all = names(repository);
  const found: Limit[] = [];
  for (const one of route.guards) found.push(...fromGuard(all, one));
  if (route.handler && found.length === 0) {
    const inner = limiterBelow(all, { file: route.handlerFile, fn: route.handler });
    if (inner) found.push(inner);
  }
  const wired = mountedLimits(repository);
  const isNest = found.some(({ what }) => /^Throttle$/.test(what));
  if (isNest && !hasThrottlerGuard(repository, route)) found.length = 0;
  for (const { mount, limit } of wired) {
    if (mount.file.language !== route.file.language) continue;
    if (mount.path !== "" && !isBelow(route, mount.path)) continue;
    found.push(limit);
  }
  return found;
}

/** Whether a route stands below a path; where its beginning is unknown, its file's name has to tell. */
function isBelow(route: Route, path: string): boolean {
  if (route.path.startsWith(path)) return true;
  if (route.isWhole) return false;
  const end = path.split("/").findLast((one) => one !== "") ?? "";
  return end !== "" && route.file.path.split(/[/.]/).includes(end);
}

function fromGuard(all: Names, { file, value, line }: Guard): Limit[] {
  const what = limiterIn(all, file, value);
  if (what !== null) return [{ file, line, what, isOff: false }];
  for (const one of walk(value)) {
    const name = one.kind === "name" ? one.name : one.kind === "call" ? one.call.callee : "";
    if (one.kind === "function") {
      const inner = limiterBelow(all, { file, fn: one.fn });
      if (inner) return [inner];
    }
    const found = name === "" ? null : all.define(file, name);
    if (found?.kind === "function") {
      const inner = limiterBelow(all, { file: found.file, fn: found.fn });
      if (inner) return [inner];
    } else if (found?.kind === "value") {
      const inner = limiterIn(all, found.file, found.value);
      if (inner !== null) return [{ file, line, what: name, isOff: false }];
    } else if (found?.kind === "class") {
      for (const fn of found.file.functions) {
        if (fn.klass !== found.klass) continue;
        const inner = limiterBelow(all, { file: found.file, fn });
        if (inner) return [inner];
      }
    }
  }
  return [];
}

/** What limits every route, or every route below a path. Only what is wired: a class that nobody adds is none. */
export function mountedLimits(repository: Repository): { mount: Mount; limit: Limit }[] {
  return repository.once("mounted-limits", () => {
    const all = names(repository);
    return routes(repository).mounts.flatMap((mount) => {
      if (!limitsByDefault(all, mount)) return [];
      const [limit] = fromGuard(all, mount);
      if (!limit) return [];
      const isOff = limit.isOff ||
        mount.when.some((one) => holds(all, mount.file, one) === false);
      return [{ mount, limit: { ...limit, line: mount.line, file: mount.file, isOff } }];
    });
  });
}

/** Some are put before everything and do nothing until a route asks: no default limits, `global: false`. */
function limitsByDefault(all: Names, mount: Mount): boolean {
  const { value, file } = mount;
  if (value.kind === "map") {
    // Django: rates without classes are asked by nobody.
    return value.entries.some(({ key, value: classes }) =>
      key === "DEFAULT_THROTTLE_CLASSES" && classes.kind === "list" && classes.items.length > 0
    );
  }
  const call = value.kind === "call" ? value.call : null;
  if (call && last(call.callee) === "register") {
    const global = option(call, "global");
    return !(global?.kind === "flag" && !global.value);
  }
  const isSlow = call?.args[0]?.kind === "name" && /SlowAPI/.test(call.args[0].name);
  const isFlask = value.kind === "name" || (call !== null && /Limiter$/.test(last(call.callee)));
  if (!isSlow && !isFlask) return true;
  if (value.kind === "name") {
    const found = all.define(file, value.name);
    if (found?.kind !== "value" || found.value.kind !== "call") return true;
    if (!/Limiter$/.test(found.value.call.callee)) return true;
    return hasDefaults(found.value.call);
  }
  if (isFlask && call && !isSlow) return hasDefaults(call);
  return all.files.some((one) =>
    one.calls.some((made) =>
      /(^|\.)Limiter$/.test(made.callee) && one.language === "python" && hasDefaults(made)
    )
  );
}

function hasDefaults(call: Parameters<typeof option>[0]): boolean {
  return ["default_limits", "application_limits"].some((name) => {
    const value = option(call, name);
    return value !== null && !(value.kind === "list" && value.items.length === 0);
  });
}

function hasThrottlerGuard(repository: Repository, route: Route): boolean {
  const guards: Guard[] = [...route.guards, ...routes(repository).mounts];
  return guards.some(({ value }) =>
    [...walk(value)].some((one) => one.kind === "name" && /Throttl\w*Guard/.test(one.name))
  );
}
