import { conclude, type Evidence, type Rule } from "../rule.ts";
import { limitsOf } from "../models/limiters.ts";
import { djangoLists, logins, provider } from "../models/logins.ts";
import { names, option } from "../models/names.ts";
import { place, withServer } from "../models/servers.ts";
import type { Repository } from "../repository.ts";
import type { Route } from "../models/routes.ts";

/** Passwords are guessed by the thousand where nothing counts the guesses. */
export const loginRateLimit: Rule = {
  id: "APP-04",
  name: "login-rate-limit",
  area: "security",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "Routes that take credentials stand behind a rate limiter",
  remedy:
    "put a limiter before each login, registration, reset and code route, by address and by account",
  check: withServer((repository) => {
    const evidence = logins(repository).map(({ route, purpose }): Evidence => {
      const what = `${purpose} ${route.path}`;
      const own = packageLimit(repository, route);
      if (own) return place(own.kind, route, `${what}: ${own.message}`);
      const limits = bringsNoThrottles(route) ? [] : limitsOf(repository, route);
      const on = limits.find(({ isOff }) => !isOff);
      if (on) {
        return place(
          "strength",
          route,
          `${what} is limited by ${on.what} (${on.file.path}:${on.line})`,
        );
      }
      const [off] = limits;
      return off
        ? place(
          "gap",
          route,
          `${what}: its limiter ${off.what} is off unless somebody switches it on`,
        )
        : place("gap", route, `${what} has no rate limiter`);
    });
    if (evidence.length > 0) {
      return conclude(evidence, { status: "unknown", summary: "nothing was looked at" });
    }
    const other = provider(repository);
    return conclude([], {
      status: "not-applicable",
      summary: other
        ? `credentials go to an identity provider (${other.name}, ${other.file.path}:${other.line})`
        : "no route takes credentials",
    });
  }),
};

/** Limits that a package brings by itself. */
function packageLimit(
  repository: Repository,
  route: Route,
): { kind: "strength" | "gap"; message: string } | null {
  const all = names(repository);
  for (const call of route.file.calls) {
    if (!/(^|\.)betterAuth$/.test(all.calls(route.file, call.callee))) continue;
    if (!route.path.startsWith("/api/auth/sign-in")) continue;
    const limit = option(call, "rateLimit");
    const isOff = limit?.kind === "map" &&
      limit.entries.some(({ key, value }) =>
        key === "enabled" && value.kind === "flag" && !value.value
      );
    return isOff
      ? { kind: "gap", message: "better-auth's own rate limit is switched off" }
      : { kind: "strength", message: "better-auth limits it by itself in production" };
  }
  const isAllauth = route.kind === "generated" &&
    djangoLists(repository).some(({ value }) => /^allauth\b/.test(value)) &&
    /account|allauth/.test(route.path);
  if (isAllauth) return { kind: "strength", message: "allauth limits it by itself" };
  const axes = djangoLists(repository).find(({ list, value }) =>
    list === "MIDDLEWARE" && /^axes\./.test(value)
  );
  if (axes && route.file.language === "python") {
    return {
      kind: "strength",
      message: `django-axes counts attempts (${axes.file.path}:${axes.line})`,
    };
  }
  return null;
}

/** DRF's own view for tokens sets its throttles to none: the defaults do not reach it. */
function bringsNoThrottles(route: Route): boolean {
  return route.guards.some(({ value }) =>
    value.kind === "name" && /(^|\.)(obtain_auth_token|ObtainAuthToken)$/.test(value.name)
  );
}
