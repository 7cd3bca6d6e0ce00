import { gap, strength, unknown, weakness } from "../evidence.ts";
import { code, type CodeFile, type Expr, withCode } from "../models/code.ts";
import { walk } from "../models/directives.ts";
import { last, literal, names, option, walk as inside } from "../models/names.ts";
import { proxyFiles, traefikMiddlewares } from "../models/proxies.ts";
import { edge, servers, unreadSources } from "../models/servers.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** Without a limit one request fills the memory, or the disk. */
export const bodyLimit: Rule = {
  id: "APP-07",
  name: "body-limit",
  area: "security",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "Requests have a largest size, at the proxy or in the back end",
  remedy: "set it at the proxy (Caddy: `request_body max_size`, nginx: `client_max_body_size`)",
  check: withCode((repository) => {
    const found = servers(repository);
    if (found.size === 0) return conclude([], { status: "not-applicable", summary: "no back end" });
    const evidence = [...atProxy(repository), ...inCode(repository)];
    const isLimited = evidence.some(({ kind }) => kind === "strength");
    if (evidence.some(({ kind }) => kind === "gap")) return conclude(evidence, NOTHING);
    if (!isLimited) {
      const place = edge(repository);
      const [name, file] = [...found].find(([one]) => NO_LIMIT.test(one)) ?? [];
      if (place) evidence.push(unknown(place, null, "what stands in front may limit it"));
      else if (name && file) {
        const line = file.imports.find(({ module }) => module.startsWith(name))?.line ?? null;
        evidence.push(
          gap(file.path, line, `${name} reads bodies of any size, and no proxy here limits them`),
        );
      }
      evidence.push(...unreadSources(repository));
    }
    return conclude(evidence, NOTHING);
  }),
};

const NOTHING = { status: "unknown", summary: "nothing says how large a request may be" } as const;
/** Frameworks that read what comes. */
const NO_LIMIT = /^(fastapi|starlette|flask|litestar|quart|hono|@hono\/node-server|koa|polka)/;

function atProxy(repository: Repository): Evidence[] {
  const evidence: Evidence[] = [];
  for (const { kind, file, directives } of proxyFiles(repository)) {
    if (["test", "docs", "dev"].includes(file.context)) continue;
    const all = walk(directives);
    if (kind === "nginx") {
      const set = all.filter(({ name }) => name === "client_max_body_size");
      for (const { args, line } of set) {
        evidence.push(
          args[0] === "0"
            ? gap(file.path, line, "client_max_body_size 0 takes bodies of any size")
            : strength(file.path, line, `nginx takes bodies up to ${args[0] ?? "?"}`),
        );
      }
      const pass = all.find(({ name }) => name === "proxy_pass");
      if (set.length === 0 && pass) {
        evidence.push(strength(file.path, pass.line, "nginx takes bodies up to 1 MB by itself"));
      }
    } else {
      const limit = all.find(({ name, args, block }) =>
        name === "request_body" &&
        (args.includes("max_size") || block.some((one) => one.name === "max_size"))
      );
      if (limit) evidence.push(strength(file.path, limit.line, "Caddy limits bodies"));
    }
  }
  for (const { kind, option: name, file, line } of traefikMiddlewares(repository)) {
    if (kind === "buffering" && name.startsWith("maxrequestbodybytes")) {
      evidence.push(strength(file, line, "traefik limits bodies"));
    }
  }
  return evidence;
}

const NAMED =
  /(body|content|request|payload|upload).*(size|limit|length)|(size|limit|max).*(body|content|request|payload|upload)/i;

function inCode(repository: Repository): Evidence[] {
  const all = names(repository);
  const evidence: Evidence[] = [];
  for (const file of code(repository)) {
    for (const call of file.calls) {
      const name = last(call.callee);
      const at = [file.path, call.line] as const;
      if (name === "add_middleware") {
        const [first] = call.args;
        const named = first?.kind === "name" ? last(first.name) : "";
        if (NAMED.test(named) && !/rate/i.test(named)) {
          evidence.push(strength(...at, `${named} is wired`));
        }
      }
      if (/^(use|register)$/.test(name)) {
        const inner = call.args.find((one) => one.kind === "call");
        const named = inner?.kind === "call" ? last(inner.call.callee) : "";
        if (/^bodyLimit$/.test(named)) evidence.push(strength(...at, "hono's bodyLimit is wired"));
      }
      const origin = all.calls(file, call.callee);
      if (/^express(\.default)?\.(json|urlencoded|raw|text)$|^body-parser\b/.test(origin)) {
        evidence.push(
          strength(...at, `express takes ${shownLimit(literal(option(call, "limit")))}`),
        );
      }
      if (/^fastify(\.default|\.fastify)?(\(\))?$/.test(origin) && call.args.length <= 1) {
        evidence.push(strength(...at, "fastify takes bodies up to 1 MB by itself"));
      }
    }
    evidence.push(...settingsOf(file));
    const refused = file.statements.find((one) => one.fn !== null && refuses(one.value));
    if (refused) {
      evidence.push(
        weakness(file.path, refused.line, "one place refuses what is too large", {
          severity: "p2",
        }),
      );
    }
  }
  // A limit for all makes that of one place a detail.
  return evidence.some(({ kind }) => kind === "strength")
    ? evidence.filter(({ kind }) => kind !== "weakness")
    : evidence;
}

/** Whether a value answers 413. */
function refuses(value: Expr): boolean {
  return [...inside(value)].some((one) =>
    (one.kind === "number" && one.value === 413) || (one.kind === "name" && /413/.test(one.name))
  );
}

const shownLimit = (limit: string | null) =>
  limit === null ? "JSON up to 100 kB by itself" : `bodies up to ${limit}`;

/** Flask's and Django's own settings. */
function settingsOf(file: CodeFile): Evidence[] {
  return file.statements.flatMap(({ target, value, line }) => {
    if (target === null || !/(MAX_CONTENT_LENGTH|DATA_UPLOAD_MAX_MEMORY_SIZE)/.test(target)) {
      return [];
    }
    return value.kind === "none"
      ? [gap(file.path, line, `${target} is None: bodies of any size`)]
      : [strength(file.path, line, `${target} is set`)];
  });
}
