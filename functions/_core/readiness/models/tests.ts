import type { Repository } from "../repository.ts";
import { type CiCommand, ciOf } from "./ci-commands.ts";
import type { Command } from "./shell.ts";
import { toolOf } from "./shell-tools.ts";
import { packagesOf } from "./task-files.ts";

export type Language = "python" | "javascript";
/** A part of the application that ought to be tested: its manifest says what it is. */
export type Component = {
  language: Language;
  kind: "back end" | "web";
  file: string;
  folder: string;
};

const WEB =
  /"(next|react|react-dom|vue|svelte|@sveltejs\/kit|nuxt|@angular\/core|solid-js|astro|@remix-run\/react|preact)"\s*:/;
const SERVER =
  /"(express|fastify|@nestjs\/core|hono|koa|@hapi\/hapi|@trpc\/server|apollo-server|@apollo\/server)"\s*:/;
const PYTHON =
  /\b(fastapi|flask|django|starlette|litestar|sanic|aiohttp|tornado|uvicorn|gunicorn|celery)\b/i;

/**
 * The parts of the application by their manifests, the most telling ones first.
 *
 * @example
 * componentsOf(repository).map(({ kind, file }) => `${kind}: ${file}`);
 */
export function componentsOf(repository: Repository): Component[] {
  return repository.once("components", () => {
    const found: Component[] = [];
    const isApp = (context: string) => context === "prod" || context === "dev";
    const folderOf = (path: string) => path.slice(0, Math.max(0, path.lastIndexOf("/")));
    const manifests = repository.matching(
      /(^|\/)(pyproject\.toml|requirements[^/]*\.txt|Pipfile|setup\.py)$/,
    )
      .filter(({ context, text }) => isApp(context) && PYTHON.test(text ?? ""));
    for (const { path } of manifests) {
      const folder = folderOf(path);
      const isKnown = found.some((one) =>
        one.folder === folder || folder.startsWith(`${one.folder}/`)
      );
      if (!isKnown) found.push({ language: "python", kind: "back end", file: path, folder });
    }
    for (const { file, folder, json } of packagesOf(repository)) {
      const context = repository.file(file)?.context ?? "vendored";
      const whole = JSON.stringify({ ...Object(json["dependencies"]) });
      if (!isApp(context)) continue;
      if (WEB.test(whole) && !isLibrary(json)) {
        found.push({ language: "javascript", kind: "web", file, folder });
      } else if (SERVER.test(whole)) {
        found.push({ language: "javascript", kind: "back end", file, folder });
      }
    }
    return found;
  });
}

/** A package that others use (components, settings) is tested with them. */
const isLibrary = (json: Record<string, unknown>) =>
  (json["main"] !== undefined || json["exports"] !== undefined) && json["scripts"] === undefined;

/** Which language's tests a command runs, null where it runs none. */
function testsOf(command: Command): Language | "other" | null {
  const tool = toolOf(command);
  const { name } = tool;
  const own = testsOfTool(tool);
  if (own) return own;
  if (!/^(docker|docker-compose|podman|kubectl)$/.test(name)) return null;
  // `docker compose exec api pytest -q`
  const [at] = tool.args.flatMap((one, index) =>
    index > 0 &&
      /^(pytest|py\.test|python3?|uv|poetry|npm|pnpm|yarn|npx|vitest|jest|tox|bun|node)$/.test(one)
      ? [index]
      : []
  );
  if (at === undefined) return null;
  const inner = toolOf({ program: tool.args[at] ?? "", args: tool.args.slice(at + 1) });
  const runs = /^(npm|pnpm|yarn|bun)$/.test(inner.name) &&
    /^(test|t)(:|$)/.test(inner.args.filter((one) => one !== "run")[0] ?? "");
  return runs ? "javascript" : testsOfTool(inner);
}

function testsOfTool({ name, args }: { name: string; args: string[] }): Language | "other" | null {
  if (args.some((one) => /^(--version|--help|--collect-only|--co)$/.test(one))) return null;
  if (/^(pytest|py\.test|unittest|tox|nox|nose2|ward|trial)$/.test(name)) return "python";
  if (/^python[0-9.]*$/.test(name)) {
    return /manage\.py$/.test(args[0] ?? "") && args[1] === "test" ? "python" : null;
  }
  if (name === "django-admin" || name === "manage.py") return args[0] === "test" ? "python" : null;
  if (name === "hatch" && args[0] === "test") return "python";
  if (/^(vitest|jest|mocha|ava|tap|wdio|web-test-runner|qunit|uvu)$/.test(name)) {
    return "javascript";
  }
  if (
    name === "playwright" || name === "react-scripts" || name === "ng" ||
    name === "vue-cli-service" || name === "craco"
  ) {
    return /^test/.test(args[0] ?? "") ? "javascript" : null;
  }
  if (name === "cypress") return args[0] === "run" ? "javascript" : null;
  if (name === "node") return args.includes("--test") ? "javascript" : null;
  if (name === "tsx") return args.includes("--test") ? "javascript" : null;
  if (name === "bun" || name === "deno") return args[0] === "test" ? "javascript" : null;
  if (/^(go|cargo|mvn|gradle|gradlew|mix|dotnet)$/.test(name)) {
    return args.includes("test") ? "other" : null;
  }
  return /^(rspec|phpunit|pest)$/.test(name) ? "other" : null;
}

export type TestRun = CiCommand & { language: Language | "other" };

/** The tests that CI runs. */
export function testRunsOf(repository: Repository): TestRun[] {
  return repository.once("test runs", () =>
    ciOf(repository).commands.flatMap((one) => {
      const language = testsOf(one.command);
      return language ? [{ ...one, language }] : [];
    }));
}
