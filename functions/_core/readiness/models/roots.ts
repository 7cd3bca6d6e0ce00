import type { Repository, RepositoryFile } from "../repository.ts";
import { compose } from "./compose.ts";
import { otherSystems } from "./gitlab.ts";
import { dependenciesOf } from "./manifests.ts";
import { platforms } from "./platforms.ts";
import { proxyFiles, proxyServices } from "./proxies.ts";
import { workflowsOf } from "./workflows.ts";

/** A part of the application, found by what a file says and not by where it lies. */
export type Root = {
  kind: "back end" | "web" | "deployment" | "proxy" | "workflows" | "migrations";
  /** The folder, empty for the repository's own. */
  folder: string;
  /** As `fastapi`, `next`, `compose`, `caddy`, `alembic`. */
  what: string;
  file: string;
  line: number;
};

const BACK_ENDS: ReadonlySet<string> = new Set([
  ...[
    "fastapi",
    "flask",
    "django",
    "starlette",
    "litestar",
    "sanic",
    "quart",
    "aiohttp",
    "tornado",
  ],
  ...["falcon", "bottle", "pyramid", "robyn", "connexion", "flask-restful", "djangorestframework"],
  ...[
    "express",
    "fastify",
    "hono",
    "koa",
    "@nestjs/core",
    "@hapi/hapi",
    "elysia",
    "restify",
    "polka",
  ],
  ...[
    "@hono/node-server",
    "@adonisjs/core",
    "@feathersjs/feathers",
    "@trpc/server",
    "h3",
    "nitropack",
  ],
]);
const WEB: ReadonlySet<string> = new Set([
  ...["next", "nuxt", "astro", "gatsby", "react-scripts", "@sveltejs/kit", "@angular/core", "vue"],
  ...["@remix-run/react", "@react-router/dev", "@solidjs/start", "@tanstack/react-start", "preact"],
  ...["svelte", "solid-js", "react-dom", "vite", "@builder.io/qwik", "ember-source"],
]);
/** The more a name says the better: an app with next has react-dom as well. */
const VAGUE: ReadonlySet<string> = new Set([
  "react-dom",
  "vite",
  "vue",
  "svelte",
  "preact",
  "solid-js",
  "h3",
  "starlette",
  "@trpc/server",
  "aiohttp",
]);

/** Back ends in languages that no rule reads: known to be there, and not judged. */
const FOREIGN: readonly (readonly [RegExp, RegExp, string])[] = [
  [
    /(^|\/)go\.mod$/,
    /github\.com\/(gin-gonic\/gin|labstack\/echo|gofiber\/fiber|go-chi\/chi|gorilla\/mux)|connectrpc|grpc/,
    "Go",
  ],
  [/(^|\/)Cargo\.toml$/, /^\s*(axum|actix-web|rocket|warp|tonic)\b/m, "Rust"],
  [/(^|\/)Gemfile$/, /gem\s+["'](rails|sinatra|hanami|roda)["']/, "Ruby"],
  [/(^|\/)composer\.json$/, /"(laravel\/framework|symfony\/framework-bundle|slim\/slim)"/, "PHP"],
  [/(^|\/)(pom\.xml|build\.gradle(\.kts)?)$/, /spring-boot|quarkus|micronaut|ktor/, "Java"],
  [/(^|\/)[^/]+\.csproj$/, /Microsoft\.NET\.Sdk\.Web/, ".NET"],
  [/(^|\/)mix\.exs$/, /:phoenix\b/, "Elixir"],
];

const MIGRATIONS: readonly (readonly [RegExp, string])[] = [
  [/^(.*\/)?supabase\/migrations\/[^/]+\.sql$/, "supabase"],
  [/^(.*\/)?prisma\/(?:[^/]+\/)?migrations\/[^/]+\/migration\.sql$/, "prisma"],
  [/^(.*\/)?[^/]+\/meta\/_journal\.json$/, "drizzle"],
  [/^(.*\/)?[^/]+\/versions\/[^/]+\.py$/, "alembic"],
  [/^(.*\/)?migrations\/\d{4}_[^/]+\.py$/, "django"],
  [/^(.*\/)?V\d[\w.]*__[^/]+\.sql$/, "flyway"],
  [/^(.*\/)?migrations?\/(?:[^/]+\/)?\d[^/]*\.(sql|ts|js|mjs|cjs)$/, "migrations"],
  [/^(.*\/)?migrations?\/(?:[^/]+\/)?(up|down)\.sql$/, "migrations"],
];

const folderOf = (path: string) => path.slice(0, Math.max(0, path.lastIndexOf("/")));
const isJudged = ({ context }: RepositoryFile) => context === "prod" || context === "dev";

/**
 * The parts of a repository by the content of its manifests, several in a monorepo. What lies among tests, documents
 * and examples counts only where there is nothing else.
 *
 * @example
 * rootsOf(repository).filter(({ kind }) => kind === "back end").map(({ folder }) => folder); // ["apps/api"]
 */
export function rootsOf(repository: Repository): Root[] {
  return repository.once("roots", () => [
    ...applications(repository),
    ...deployments(repository),
    ...proxies(repository),
    ...workflows(repository),
    ...migrations(repository),
  ]);
}

function applications(repository: Repository): Root[] {
  const wanted = dependenciesOf(repository);
  const own = wanted.filter(({ file }) => isJudged(file));
  const from = own.length > 0 ? own : wanted;
  const known = new Map<string, Root>();
  const add = (root: Root) => {
    const key = `${root.kind} ${root.folder}`;
    const before = known.get(key);
    if (!before || (VAGUE.has(before.what) && !VAGUE.has(root.what))) known.set(key, root);
  };
  for (const { name, file, line, isDev } of from) {
    const folder = folderOf(file.path).replace(/(^|\/)requirements$/, "");
    if (BACK_ENDS.has(name) && !isDev) {
      add({ kind: "back end", folder, what: name, file: file.path, line });
    }
    const isApplication = WEB.has(name) && (!isDev || BUNDLERS.has(name)) &&
      !isLibrary(wanted, folder, name);
    if (isApplication) {
      add({ kind: "web", folder, what: name, file: file.path, line });
    }
  }
  for (const [path, sign, what] of FOREIGN) {
    for (const file of repository.matching(path)) {
      if (!isJudged(file) || !sign.test(file.text ?? "")) continue;
      add({ kind: "back end", folder: folderOf(file.path), what, file: file.path, line: 1 });
    }
  }
  return [...known.values()].toSorted((a, b) => (a.kind < b.kind ? -1 : a.kind > b.kind ? 1 : 0));
}

/** What builds a web is a tool of development, wherever it is written. */
const BUNDLERS: ReadonlySet<string> = new Set([
  ...["vite", "astro", "gatsby", "react-scripts", "@sveltejs/kit", "@react-router/dev"],
]);

/** `vite` and `react-dom` stand in packages that are no application: tools and libraries of components. */
function isLibrary(
  all: ReturnType<typeof dependenciesOf>,
  folder: string,
  name: string,
): boolean {
  if (!VAGUE.has(name)) return false;
  const beside = all.filter(({ file }) => folderOf(file.path) === folder);
  return name === "vite"
    ? !beside.some((one) =>
      VAGUE.has(one.name) && WEB.has(one.name) && one.name !== "vite" && !one.isDev
    )
    : !beside.some((one) =>
      ["vite", "webpack", "parcel", "@rsbuild/core", "react-scripts"].includes(one.name)
    );
}

function deployments(repository: Repository): Root[] {
  const composed = compose(repository).projects.filter(({ isProduction }) => isProduction)
    .flatMap(({ files: [file], directory }): Root[] =>
      file ? [{ kind: "deployment", folder: directory, what: "compose", file, line: 1 }] : []
    );
  const platform = platforms(repository).map(({ name, file, line }): Root => ({
    kind: "deployment",
    folder: folderOf(file),
    what: name,
    file,
    line,
  }));
  const images = composed.length + platform.length > 0
    ? []
    : repository.matching(/(^|\/)(Dockerfile|Containerfile)([._-][\w.-]+)?$/).filter(isJudged)
      .map(({ path }): Root => ({
        kind: "deployment",
        folder: folderOf(path),
        what: "image",
        file: path,
        line: 1,
      }));
  return [...composed, ...platform, ...images];
}

function proxies(repository: Repository): Root[] {
  const files = proxyFiles(repository).filter(({ file }) => isJudged(file))
    .map(({ kind, file: { path } }): Root => ({
      kind: "proxy",
      folder: folderOf(path),
      what: kind,
      file: path,
      line: 1,
    }));
  const services = compose(repository).projects.flatMap((project) =>
    proxyServices(project).flatMap(({ kind }): Root[] => {
      const [file] = project.files;
      const isFile = files.some(({ what }) => what === kind);
      return file && !isFile
        ? [{ kind: "proxy", folder: project.directory, what: kind, file, line: 1 }]
        : [];
    })
  );
  return [...files, ...services.filter((one, n) => services.findIndex(same(one)) === n)];
}

const same = (one: Root) => ({ what, file }: Root) => what === one.what && file === one.file;

function workflows(repository: Repository): Root[] {
  const own = workflowsOf(repository).all.filter(({ kind }) => kind === "workflow")
    .map(({ file }): Root => ({
      kind: "workflows",
      folder: ".github/workflows",
      what: "GitHub Actions",
      file,
      line: 1,
    }));
  const others = otherSystems(repository).map(({ name, file }): Root => ({
    kind: "workflows",
    folder: folderOf(file),
    what: name,
    file,
    line: 1,
  }));
  return [...own, ...others];
}

function migrations(repository: Repository): Root[] {
  const known = new Map<string, Root>();
  for (const file of repository.files) {
    if (!isJudged(file)) continue;
    for (const [path, what] of MIGRATIONS) {
      if (!path.test(file.path)) continue;
      if (what === "alembic" && !/^(down_)?revision\b/m.test(file.text ?? "")) continue;
      if (what === "drizzle" && !/"entries"/.test(file.text ?? "")) continue;
      const folder = folderOf(file.path).replace(/\/(meta|versions)$/, "");
      const root = what === "prisma" ? folderOf(folder) : folder;
      if (!known.has(root)) {
        known.set(root, { kind: "migrations", folder: root, what, file: file.path, line: 1 });
      }
      break;
    }
  }
  return [...known.values()];
}
