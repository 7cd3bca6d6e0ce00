import { conclude, type Evidence, type Rule } from "../rule.ts";
import { code, type CodeFile, type Expr, type Fn, type Klass, withCode } from "../models/code.ts";
import { limiterIn, mountedLimits } from "../models/limiters.ts";
import { last, type Names, names, option, walk } from "../models/names.ts";
import { type Guard, routes } from "../models/routes.ts";
import { edge, place, processes } from "../models/servers.ts";

/** Packages that keep counts in memory unless they are given a store, and the options that give one. */
const STORES: [RegExp, string[]][] = [
  [/^slowapi\.Limiter$|^slowapi\.extension\.Limiter$/, ["storage_uri"]],
  [/^flask_limiter\.Limiter$/, ["storage_uri"]],
  [/^express-rate-limit(\.rateLimit)?$|^express-slow-down(\.slowDown)?$/, ["store"]],
  [/^hono-rate-limiter\.rateLimiter$/, ["store"]],
  [/^koa-ratelimit$/, ["db"]],
  [/^@nestjs\/throttler\.ThrottlerModule\.forRoot(Async)?$/, ["storage"]],
];
const SHARED =
  /^(fastapi_limiter\.FastAPILimiter\.init|@upstash\/ratelimit\.Ratelimit|rate-limiter-flexible\.RateLimiter(Redis|Postgres|Mongo|MySQL|Memcache|Prisma|Drizzle|Valkey)\w*|@arcjet\/\w+)$/;
const MEMORY = /^rate-limiter-flexible\.RateLimiterMemory$/;
const REMOTE = /redis|valkey|memcache|postgres|mongo|upstash|dragonfly|database|prisma|supabase/i;

/** A count that each process keeps for itself lets through as many times more as there are processes. */
export const sharedLimiter: Rule = {
  id: "APP-05",
  name: "shared-limiter",
  area: "security",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "Rate limits are counted in a store that all processes share",
  remedy: "give the limiter a Redis (or another shared) store",
  check: withCode((repository) => {
    const all = names(repository);
    const many = processes(repository);
    const isServerless = /vercel|netlify|open-next/.test(edge(repository) ?? "");
    const inMemory = (file: CodeFile, line: number, what: string): Evidence =>
      many
        ? place(
          "gap",
          { file, line },
          `${what} counts in memory and ${many.count} processes answer (${many.file}:${many.line})`,
        )
        : isServerless
        ? place(
          "gap",
          { file, line },
          `${what} counts in memory, which a serverless function forgets`,
        )
        : place(
          "weakness",
          { file, line },
          `${what} counts in memory: each further process counts anew`,
          "p2",
        );
    const evidence: Evidence[] = [];
    for (const file of code(repository)) {
      for (const call of file.calls) {
        const origin = all.calls(file, call.callee);
        const what = last(call.callee);
        const isPlugin = last(call.callee) === "register" && call.args[0]?.kind === "name" &&
          /^@?fastify[/-]rate-limit/.test(all.origin(file, call.args[0].name));
        const options = isPlugin
          ? ["redis", "store"]
          : STORES.find(([one]) => one.test(origin))?.[1];
        if (SHARED.test(origin)) {
          evidence.push(
            place("strength", { file, line: call.line }, `${what} counts in a shared store`),
          );
        } else if (MEMORY.test(origin)) evidence.push(inMemory(file, call.line, what));
        else if (options) {
          const store = options.map((name) => option(call, name)).find((one) => one !== null);
          const kind = store ? storeOf(all, file, store) : "memory";
          const named = isPlugin ? "@fastify/rate-limit" : what;
          if (kind === "memory") evidence.push(inMemory(file, call.line, named));
          else if (kind === "shared") {
            evidence.push(
              place("strength", { file, line: call.line }, `${named} counts in a shared store`),
            );
          } else {
            evidence.push(
              place(
                "unknown",
                { file, line: call.line },
                `${named}: where it counts is not to be seen here`,
              ),
            );
          }
        }
      }
    }
    if (evidence.length === 0) evidence.push(...own());
    return conclude(evidence, { status: "not-applicable", summary: "no rate limiter is wired" });

    /** Limiters that the repository wrote itself: what they are made of says where they count. */
    function own(): Evidence[] {
      const wired: { guard: Guard; at: { file: CodeFile; line: number } }[] = [
        ...mountedLimits(repository).map(({ mount, limit }) => ({ guard: mount, at: limit })),
        ...routes(repository).routes.flatMap(({ guards }) => guards)
          .filter(({ file, value }) => limiterIn(all, file, value) !== null)
          .map((guard) => ({ guard, at: guard })),
      ];
      const done = new Set<unknown>();
      return wired.flatMap(({ guard, at: { file, line } }): Evidence[] => {
        const name = [...walk(guard.value)].flatMap((one) =>
          one.kind === "name" ? [one.name] : one.kind === "call" ? [one.call.callee] : []
        ).find((one) =>
          /limit|throttl|brute/i.test(last(one))
        ) ?? "";
        const found = classOrFunction(all, guard.file, name);
        if (found === null || done.has(found.made)) return [];
        done.add(found.made);
        const at = { file, line };
        const inside = found.file.statements.filter((one) =>
          one.klass === found.made || one.fn === found.made
        );
        const names = inside.flatMap((one) => [...walk(one.value)]).flatMap((one) =>
          one.kind === "name" ? [one.name] : one.kind === "call" ? [one.call.callee] : []
        );
        const held = names.flatMap((one) => {
          const value = all.define(found.file, one.split(".")[0] ?? "");
          return value?.kind === "value" ? [...walk(value.value)] : [];
        }).flatMap((one) =>
          one.kind === "call" ? [one.call.callee] : one.kind === "map" ? ["dict"] : []
        );
        const words = held.concat(
          inside.flatMap((one) => [...walk(one.value)]).flatMap((one) =>
            one.kind === "name" ? [one.name] : one.kind === "call" ? [one.call.callee] : []
          ),
        );
        if (words.some((one) => REMOTE.test(one))) {
          return [place("strength", at, `${name} counts in a shared store`)];
        }
        const isLocal = inside.some((one) =>
          one.value.kind === "map" ||
          words.some((word) =>
            /^(defaultdict|dict|deque|Map|Counter|TTLCache|LRUCache)$/.test(word)
          )
        );
        return isLocal ? [inMemory(at.file, at.line, name)] : [];
      });
    }
  }),
};

function storeOf(all: Names, file: CodeFile, value: Expr): "memory" | "shared" | "unknown" {
  for (const one of walk(value)) {
    if (one.kind === "text") {
      if (/^memory:|^async\+memory/.test(one.value)) return "memory";
      if (REMOTE.test(one.value)) return "shared";
    }
    const name = one.kind === "name" ? one.name : one.kind === "call" ? one.call.callee : "";
    if (/memory/i.test(last(name))) return "memory";
    if (REMOTE.test(name)) return "shared";
    const found = name === "" ? null : all.define(file, name);
    if (found?.kind === "value" && found.value !== value) {
      const inner = [...walk(found.value)].some((part) =>
        (part.kind === "text" && REMOTE.test(part.value)) ||
        (part.kind === "name" && REMOTE.test(part.name)) ||
        (part.kind === "call" && REMOTE.test(part.call.callee))
      );
      if (inner) return "shared";
    }
  }
  return "unknown";
}

/** The class or function behind a name, through an alias (`Annotated[None, Depends(limiter)]`) or an instance. */
function classOrFunction(
  all: Names,
  file: CodeFile,
  name: string,
  steps = 0,
): { file: CodeFile; made: Klass | Fn } | null {
  const found = name === "" || steps > 3 ? null : all.define(file, name);
  if (found?.kind === "class") return { file: found.file, made: found.klass };
  if (found?.kind === "function") return { file: found.file, made: found.fn };
  if (found?.kind !== "value") return null;
  for (const one of [...walk(found.value)].slice(0, 50)) {
    const inner = one.kind === "name" ? one.name : one.kind === "call" ? one.call.callee : "";
    const next = /limit|throttl|brute/i.test(last(inner))
      ? classOrFunction(all, found.file, inner, steps + 1)
      : null;
    if (next) return next;
  }
  return null;
}
