import { conclude, type Evidence, type Outcome } from "../rule.ts";
import type { Repository } from "../repository.ts";
import { code, type CodeFile, type Expr, unreadCode, withCode } from "./code.ts";
import { names, option } from "./names.ts";
import { routes } from "./routes.ts";

const FRAMEWORKS =
  /^(fastapi|flask|django|starlette|sanic|litestar|quart|aiohttp\.web|tornado|bottle|falcon|express|fastify|hono|koa|@nestjs\/core|@nestjs\/common|@hono\/node-server|@hapi\/hapi|restify|polka|elysia|h3|@trpc\/server)\b/;

/** The frameworks of back ends that the code imports, by file; Next's own routes are counted as `next`. */
export function servers(repository: Repository): Map<string, CodeFile> {
  return repository.once("servers", () => {
    const found = new Map<string, CodeFile>();
    for (const file of code(repository)) {
      for (const { module } of file.imports) {
        const name = FRAMEWORKS.exec(module)?.[1];
        if (!name) continue;
        const known = found.get(name);
        if (!known || (!makes(known) && makes(file))) found.set(name, file);
      }
    }
    for (const route of routes(repository).routes) {
      const isNext = /(^|\/)(app\/.*route|pages\/api\/.*)\.[jt]sx?$/.test(route.file.path) ||
        route.kind === "action";
      if (isNext && !found.has("next")) found.set("next", route.file);
    }
    return found;
  });
}

/** Whether a file makes the application: that is where an absence is best shown. */
function makes(file: CodeFile): boolean {
  return file.calls.some(({ callee }) =>
    /^(express|[Ff]astify|FastAPI|Flask|Starlette|Hono|Koa|NestFactory\.create|get_wsgi_application)$|\.(FastAPI|Flask)$/
      .test(callee)
  );
}

/** Whether there is a back end at all. */
export function hasServer(repository: Repository): boolean {
  return servers(repository).size > 0;
}

/**
 * A rule's check of a back end, which finds the code read.
 *
 * @example
 * check: withServer((repository) => conclude(…code(repository)…))
 */
export function withServer(
  check: (repository: Repository) => Outcome | Promise<Outcome>,
): (repository: Repository) => Promise<Outcome> {
  return withCode((repository) =>
    hasServer(repository)
      ? check(repository)
      : conclude([], { status: "not-applicable", summary: "no back end was found" })
  );
}

/** Sources that no rule could read: what they hold is unknown. For rules that pass by what they did not find. */
export function unreadSources(repository: Repository): Evidence[] {
  return unreadCode(repository).slice(0, 10).map((file) => ({
    kind: "unknown",
    file,
    line: null,
    message: `${file} could not be read`,
  }));
}

/** A place as evidence. */
export function place(
  kind: Evidence["kind"],
  at: { file: CodeFile | string; line: number | null },
  message: string,
  severity?: Evidence["severity"],
): Evidence {
  const file = typeof at.file === "string" ? at.file : at.file.path;
  return { kind, file, line: at.line, message, ...(severity ? { severity } : {}) };
}

/** How many processes answer at once, as far as deployment files say; null where they don't. */
export function processes(
  repository: Repository,
): { count: string; file: string; line: number } | null {
  return repository.once("processes", () => {
    const files = repository.matching(
      /(^|\/)(Dockerfile[^/]*|[^/]*compose[^/]*\.ya?ml|Procfile|[^/]*\.sh|fly\.toml|gunicorn[^/]*\.py|ecosystem\.config\.[cm]?js|[^/]*deployment[^/]*\.ya?ml|values[^/]*\.ya?ml|start[^/]*)$/i,
    );
    for (const { path, text, context } of files) {
      if (text === null || context === "dev" || context === "test") continue;
      const lines = text.split("\n");
      for (const [index, line] of lines.entries()) {
        if (line.length > 2_000 || /^\s*#/.test(line)) continue;
        const found = MANY.exec(line);
        if (!found) continue;
        const count = found.slice(1).find((one) => one !== undefined) ?? "";
        if (/^[01]$/.test(count)) continue;
        return { count, file: path, line: index + 1 };
      }
    }
    return null;
  });
}

const MANY =
  /--workers[= "',]+(\d+|\$\S+)|\bgunicorn\b.*\s-w[= ]*(\d+)|\bWEB_CONCURRENCY[:= ]+["']?(\d+)|^\s*replicas:\s*(\d+)|^workers\s*=\s*(\S.*)|\binstances:\s*["']?(\d+|max)|"fastapi", "run".*"--workers", "(\d+)"/;

/** Whether something stands before the repository's servers that the files don't show: a CDN, a gateway. */
export function edge(repository: Repository): string | null {
  return repository.once("edge", () => {
    for (const file of repository.files) {
      if (
        /(^|\/)(vercel\.json|netlify\.toml|wrangler\.(toml|jsonc?)|open-next\.config\.[jt]s)$/.test(
          file.path,
        )
      ) {
        return file.path;
      }
      if (/\.(tf|ya?ml)$/.test(file.path) && file.text !== null && file.context !== "vendored") {
        const isEdge =
          /cloudflared|resource "cloudflare_|aws_wafv2|aws_cloudfront|google_compute_security_policy|api_gateway|kong:/
            .test(file.text);
        if (isEdge) return file.path;
      }
    }
    return null;
  });
}

/** Sentry's initialisation, wherever it stands. */
export function sentryInits(repository: Repository) {
  const all = names(repository);
  return code(repository).flatMap((file) =>
    file.calls.flatMap((call) => {
      const origin = all.calls(file, call.callee);
      const isInit = /^(sentry_sdk|@sentry\/[\w-]+)(\.\w+)*\.init$/.test(origin) ||
        /^Sentry\.init$/.test(call.callee);
      return isInit ? [{ file, call }] : [];
    })
  );
}

/** A number or a text that an option holds, as a reader would write it; empty where it is computed. */
export function shown(expr: Expr | null): string {
  if (expr?.kind === "text" || expr?.kind === "number" || expr?.kind === "flag") {
    return String(expr.value).slice(0, 40);
  }
  return expr?.kind === "name" ? expr.name : "";
}

export { option };
