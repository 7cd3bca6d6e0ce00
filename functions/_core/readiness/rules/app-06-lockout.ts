import { conclude, type Evidence, type Rule } from "../rule.ts";
import { djangoLists, logins, provider } from "../models/logins.ts";
import { names, walk } from "../models/names.ts";
import { place, withServer } from "../models/servers.ts";

const LOCKOUT =
  /failed_?(login|attempt|password|sign_?in)|(login|sign_?in|password|auth)_?(attempts|failures|tries)|lock(ed)?_?(until|at|out|account)|account_?lock|(too_?many|max|remaining|increment|record|reset|clear|register|check)_?(failed_?)?(login_?)?attempts|consecutive_?fail|is_?locked|backoff_?(until|login)/i;

/** A limiter by address does not see a thousand addresses that try one account. */
export const lockout: Rule = {
  id: "APP-06",
  name: "lockout",
  area: "auth",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "Failed logins are counted by account and slow down or lock it",
  remedy: "count failures for each account, and delay or lock it for a while after a handful",
  check: withServer((repository) => {
    const all = names(repository);
    const evidence: Evidence[] = [];
    for (const { route, purpose } of logins(repository)) {
      if (purpose !== "login") continue;
      const packaged = djangoLists(repository).find(({ list, value }) =>
        (list === "MIDDLEWARE" && /^axes\.|defender\./.test(value)) ||
        (list.endsWith("APPS") && /^allauth(\.account)?$/.test(value) &&
          /account|allauth/.test(route.path))
      );
      if (packaged && route.file.language === "python") {
        evidence.push(
          place("strength", packaged, `${route.path}: ${packaged.value} counts failures`),
        );
        continue;
      }
      if (!route.handler) {
        evidence.push(
          route.kind === "generated"
            ? place("gap", route, `${route.path}: the package's login counts no failures`)
            : place("unknown", route, `${route.path}: its handler was not found`),
        );
        continue;
      }
      const start = { file: route.handlerFile, fn: route.handler };
      let seen: { file: string; line: number; word: string } | null = null;
      for (const { file, fn } of all.reach(start, 3)) {
        for (const statement of all.body(fn)) {
          const words = [...walk(statement.value)].flatMap((one) =>
            one.kind === "name"
              ? [one.name]
              : one.kind === "call"
              ? [one.call.callee]
              : one.kind === "text" && one.value.length < 60 && /^[\w:-]+$/.test(one.value)
              ? [one.value]
              : []
          );
          const word = [statement.target ?? "", ...words].find((one) => LOCKOUT.test(one));
          if (word) seen ??= { file: file.path, line: statement.line, word };
        }
      }
      evidence.push(
        seen
          ? place("strength", seen, `${route.path} keeps count of failures (${seen.word})`)
          : place("gap", route, `${route.path} does not count an account's failed logins`),
      );
    }
    const other = provider(repository);
    return conclude(evidence, {
      status: "not-applicable",
      summary: other ? `passwords are checked by ${other.name}` : "no route checks a password",
    });
  }),
};
