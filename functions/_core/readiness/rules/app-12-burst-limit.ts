import { conclude, type Evidence, type Rule } from "../rule.ts";
import { limitsOf, mountedLimits } from "../models/limiters.ts";
import { logins } from "../models/logins.ts";
import { proxyLines } from "../models/proxy-lines.ts";
import { routes } from "../models/routes.ts";
import { edge, place, withServer } from "../models/servers.ts";

const PROXY_LIMIT = /^\s*limit_req\s+zone=|^\s*rate_limit\b|\.ratelimit\.average|^\s*rateLimit:/i;
const WRITES = new Set(["POST", "PUT", "PATCH", "DELETE"]);

/** One client in a loop is enough to use up a pool, a mail budget or an account with a provider. */
export const burstLimit: Rule = {
  id: "APP-12",
  name: "burst-limit",
  area: "security",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "Routes that write or cost stand behind a rate limit",
  remedy: "wire a limiter before all routes, with tighter ones where a request writes or costs",
  check: withServer((repository) => {
    const mounted = mountedLimits(repository);
    const on = mounted.filter(({ limit }) => !limit.isOff);
    const evidence: Evidence[] = on.filter(({ mount }) =>
      mount.path === "" || mount.path === "/" || /^\/api\/?$/.test(mount.path)
    )
      .map(({ limit }) => place("strength", limit, `${limit.what} stands before every route`));
    const [line] = proxyLines(repository, PROXY_LIMIT);
    if (line) evidence.push(place("strength", line, "the proxy limits requests"));
    if (evidence.length > 0) return conclude(evidence, { status: "unknown", summary: "" });
    for (const { limit } of mounted.filter((one) => one.limit.isOff)) {
      evidence.push(
        place("gap", limit, `${limit.what} is wired and off unless somebody switches it on`),
      );
    }
    const known = new Set(logins(repository).map(({ route }) => route));
    const writes = routes(repository).routes.filter((route) =>
      route.methods.some((one) => WRITES.has(one)) && !known.has(route)
    );
    if (writes.length === 0 && evidence.length === 0) {
      return conclude([], { status: "not-applicable", summary: "no route writes" });
    }
    const bare = writes.filter((route) => !limitsOf(repository, route).some(({ isOff }) => !isOff));
    const [first] = bare;
    if (!first) {
      evidence.push(
        ...writes.slice(0, 5).map((route) => place("strength", route, `${route.path} is limited`)),
      );
      return conclude(evidence, { status: "unknown", summary: "" });
    }
    const before = edge(repository);
    const message =
      `${bare.length} of ${writes.length} routes that write have no rate limit, ${first.path} among them`;
    if (before !== null && bare.length === writes.length && evidence.length === 0) {
      evidence.push(
        place(
          "unknown",
          first,
          `${message}; what ${before} puts before them is not to be seen here`,
        ),
      );
    } else evidence.push(place(bare.length === writes.length ? "gap" : "weakness", first, message));
    return conclude(evidence, { status: "unknown", summary: "" });
  }),
};
