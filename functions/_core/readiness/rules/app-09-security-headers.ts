import { conclude, type Evidence, type Rule } from "../rule.ts";
import { code, type CodeFile, type Fn, withCode } from "../models/code.ts";
import { djangoLists } from "../models/logins.ts";
import { last, type Names, names, walk } from "../models/names.ts";
import { proxyLines } from "../models/proxy-lines.ts";
import { routes } from "../models/routes.ts";
import { edge, hasServer, place, servers } from "../models/servers.ts";

const PACKAGES =
  /^(helmet|@fastify\/helmet|fastify-helmet|koa-helmet|hono\/secure-headers|hono\/helmet|secure|flask_talisman|talisman|starlette_securityheaders|fastapi_security_headers|secweb|Secweb)\b/i;
const HEADER =
  /^(x-content-type-options|strict-transport-security|x-frame-options|content-security-policy|referrer-policy)$/i;
const PROXY_HEADER =
  /(add_header\s+|header_up\s+|\s|^|\.)["']?(X-Content-Type-Options|Strict-Transport-Security)\b|stsSeconds|contentTypeNosniff|headers\.(sts|contentType|frameDeny)/i;

/** A few lines that tell browsers not to guess, not to frame, and not to come back without TLS. */
export const securityHeaders: Rule = {
  id: "APP-09",
  name: "security-headers",
  area: "security",
  severity: "p2",
  confidence: "medium",
  section: 2,
  title: "The back end or its proxy sets security headers on every answer",
  remedy: "add helmet (or the like) before all routes, or set the headers in the proxy",
  check: withCode((repository) => {
    const kinds = [...servers(repository)].filter(([name]) => name !== "next");
    const [home] = kinds;
    if (!hasServer(repository) || !home) {
      return conclude([], {
        status: "not-applicable",
        summary: "no back end besides the web's own",
      });
    }
    const all = names(repository);
    const evidence: Evidence[] = [];
    for (const mount of routes(repository).mounts) {
      for (const one of walk(mount.value)) {
        const name = one.kind === "name" ? one.name : one.kind === "call" ? one.call.callee : "";
        if (name !== "" && PACKAGES.test(all.calls(mount.file, name))) {
          evidence.push(place("strength", mount, `${last(name)} stands before every route`));
          continue;
        }
        const found = one.kind === "function"
          ? { fns: all.reach({ file: mount.file, fn: one.fn }, 1).map(({ fn }) => fn) }
          : definedIn(all, mount.file, name);
        const sets = found?.fns.some((fn) =>
          all.body(fn).some((statement) =>
            HEADER.test(/\[\s*["']([\w-]+)["']\s*\]/.exec(statement.target ?? "")?.[1] ?? "") ||
            [...walk(statement.value)].some((part) =>
              (part.kind === "text" && HEADER.test(part.value)) ||
              (part.kind === "map" && part.entries.some(({ key }) => HEADER.test(key ?? "")))
            )
          )
        );
        if (sets) {
          evidence.push(
            place("strength", mount, `${name || "a middleware"} sets security headers`),
          );
        }
      }
    }
    const django = djangoLists(repository).find(({ list, value }) =>
      list === "MIDDLEWARE" && value === "django.middleware.security.SecurityMiddleware"
    );
    if (django) {
      const hsts = code(repository).flatMap((file) =>
        file.statements.filter((one) =>
          one.target === "SECURE_HSTS_SECONDS"
        ).map((one) => ({ file, line: one.line }))
      )[0];
      evidence.push(
        hsts ? place("strength", hsts, "SecurityMiddleware with HSTS") : place(
          "weakness",
          django,
          "SecurityMiddleware is added, and SECURE_HSTS_SECONDS is not set",
        ),
      );
    }
    const [line] = proxyLines(repository, PROXY_HEADER);
    if (line) evidence.push(place("strength", line, "the proxy sets security headers"));
    if (evidence.length === 0) {
      const before = edge(repository);
      evidence.push(
        before
          ? place(
            "unknown",
            { file: home[1], line: null },
            `no code sets security headers; what ${before} adds is not to be seen here`,
          )
          : place(
            "gap",
            { file: home[1], line: null },
            "neither the back end nor a proxy sets security headers",
          ),
      );
    }
    return conclude(evidence, { status: "unknown", summary: "" });
  }),
};

/** The functions behind a name: its own and what it calls, or a class's methods. */
function definedIn(all: Names, file: CodeFile, name: string): { fns: Fn[] } | null {
  const target = name === "" ? null : all.define(file, name);
  if (target?.kind === "function") {
    return { fns: all.reach({ file: target.file, fn: target.fn }, 1).map(({ fn }) => fn) };
  }
  if (target?.kind !== "class") return null;
  return { fns: target.file.functions.filter(({ klass }) => klass === target.klass) };
}
