import type { Repository, RepositoryFile } from "../repository.ts";
import { compose, type Project } from "./compose.ts";
import { labels, type Pair, type Service, textAt } from "./compose-service.ts";
import { type Directive, parseCaddyfile, parseNginx } from "./directives.ts";

/** A file that tells a proxy what to do. */
export type ProxyFile = {
  kind: "caddy" | "nginx";
  file: RepositoryFile;
  directives: Directive[];
};

const CADDY = /(^|\/)(Caddyfile([._-][\w.-]+)?|[\w.-]+\.(caddy|caddyfile))$/i;
const NGINX =
  /(^|\/)nginx[\w.-]*(\.conf([._-]?\w+)?|\.conf\.(template|tmpl|j2))$|(^|\/)(nginx|conf\.d|sites-(available|enabled)|nginx\/templates)\/[\w./-]*[\w-]+(\.conf(\.template)?|\.template)?$/i;

/**
 * The files of Caddy and nginx; one that can't be read is noted.
 *
 * @example
 * for (const { directives } of proxyFiles(repository)) walk(directives);
 */
export function proxyFiles(repository: Repository): ProxyFile[] {
  return repository.once("proxy-files", () => [
    ...repository.matching(CADDY).flatMap((file): ProxyFile[] => {
      const directives = repository.parse(file, parseCaddyfile);
      return directives ? [{ kind: "caddy", file, directives: imported(directives) }] : [];
    }),
    ...repository.matching(NGINX).flatMap((file): ProxyFile[] => {
      if (
        /\.(sh|md|ya?ml|json|html?|py|ts|js|crt|pem|key|Dockerfile)$|Dockerfile/i.test(file.path)
      ) return [];
      // A folder called nginx holds other files too: what has no directive of nginx is none of its own.
      if (
        !/^\s*(server|http|upstream|location|proxy_pass|proxy_set_header|client_max_body_size|add_header|worker_processes)\b/m
          .test(file.text ?? "")
      ) {
        return [];
      }
      const directives = repository.parse(file, (text) =>
        // A template's own braces would unbalance it.
        parseNginx(text.replace(/\{\{[^{}\n]*\}\}|\{%[^{}\n]*%\}/g, "x")));
      return directives ? [{ kind: "nginx", file, directives }] : [];
    }),
  ]);
}

/** Whether a file that is named as a proxy's could not be read. */
export function unreadProxies(repository: Repository): { file: string; reason: string }[] {
  proxyFiles(repository);
  return repository.unread.filter(({ file }) => CADDY.test(file) || NGINX.test(file));
}

/** A Caddyfile with its `import name` replaced by the `(name)` snippet, one level deep in each. */
function imported(directives: readonly Directive[]): Directive[] {
  const snippets = new Map(
    directives.flatMap((one): [string, Directive[]][] =>
      /^\(.+\)$/.test(one.name) ? [[one.name.slice(1, -1), one.block]] : []
    ),
  );
  let left = 5_000;
  const expand = (block: readonly Directive[], level: number): Directive[] =>
    block.flatMap((one) => {
      const snippet = one.name === "import" ? snippets.get(one.args[0] ?? "") : undefined;
      if (snippet && level < 5 && (left -= snippet.length) > 0) return expand(snippet, level + 1);
      return [{ ...one, block: expand(one.block, level) }];
    });
  return directives.map((one) => ({ ...one, block: expand(one.block, 0) }));
}

/** A router of traefik, from the labels of the service that it leads to. */
export type TraefikRouter = {
  name: string;
  service: Service;
  project: Project;
  rule: Pair | null;
  entrypoints: string[];
  /** Names of the middlewares in its chain, without `@docker`. */
  middlewares: string[];
  at: { file: string; line: number };
};

/**
 * Routers that labels of compose define.
 *
 * @example
 * traefikRouters(repository).filter(({ middlewares }) => middlewares.length === 0);
 */
export function traefikRouters(repository: Repository): TraefikRouter[] {
  return repository.once(
    "traefik-routers",
    () =>
      compose(repository).projects.flatMap((project) =>
        project.services.flatMap((service) => {
          const found = new Map<string, TraefikRouter>();
          const all = labels(service);
          if (
            all.some(({ name, value }) => name === "traefik.enable" && value === "false")
          ) return [];
          for (const label of all) {
            // Interpolation stands in names too: traefik.http.routers.${STACK}-api.rule
            const [, name = "", what = ""] =
              /^traefik\.http\.routers\.(.+)\.(rule|entrypoints|middlewares|service|tls[\w.]*|priority)$/i
                .exec(label.name) ?? [];
            if (name === "") continue;
            const known: TraefikRouter = found.get(name) ?? {
              name,
              service,
              project,
              rule: null,
              entrypoints: [],
              middlewares: [],
              at: { file: label.file, line: label.line },
            };
            found.set(name, known);
            const list = () =>
              (label.value ?? "").split(",").map((one) => one.trim().split("@")[0] ?? "");
            if (what.toLowerCase() === "rule") {
              known.rule = label;
              known.at = { file: label.file, line: label.line };
            }
            if (what.toLowerCase() === "entrypoints") known.entrypoints = list();
            if (what.toLowerCase() === "middlewares") known.middlewares = list();
          }
          return [...found.values()];
        })
      ),
  );
}

/** A middleware of traefik that labels define: `traefik.http.middlewares.NAME.KIND…=value`. */
export type TraefikMiddleware = {
  name: string;
  /** In lower case: basicauth, forwardauth, headers, buffering, ratelimit, redirectscheme, … */
  kind: string;
  /** What stands behind the kind, in lower case: `maxrequestbodybytes`. */
  option: string;
  value: string | null;
  file: string;
  line: number;
};

/** Middlewares that labels of compose define, an option each. */
export function traefikMiddlewares(repository: Repository): TraefikMiddleware[] {
  return repository.once(
    "traefik-middlewares",
    () =>
      compose(repository).projects.flatMap(({ services }) =>
        services.flatMap((service) =>
          labels(service).flatMap(({ name: label, value, file, line }): TraefikMiddleware[] => {
            const [, name, kind, option = ""] =
              /^traefik\.http\.middlewares\.([^.]+)\.([A-Za-z]+)\.?(.*)$/.exec(label) ?? [];
            if (!name || !kind) return [];
            return [{
              name,
              kind: kind.toLowerCase(),
              option: option.toLowerCase(),
              value,
              file,
              line,
            }];
          })
        )
      ),
  );
}

const PROXIES =
  /(?:^|\/)(traefik|caddy|nginx|haproxy|envoy|openresty|kong|apisix|nginx-proxy|nginx-proxy-manager|cloudflared|swag)(?:[:@-]|$)/i;

/** Whether an image is that of a proxy. */
export function isProxyImage(image: string): boolean {
  return PROXIES.test(image);
}

/** The service that is a proxy by its image, if compose runs one. */
export function proxyServices(project: Project): { service: Service; kind: string }[] {
  return project.services.flatMap((service) => {
    const image = textAt(service, "image") ?? "";
    const [, kind] = PROXIES
      .exec(image) ?? [];
    const built = textAt(service, "build", "context") ?? textAt(service, "build") ?? "";
    const own = /(^|\/)(nginx|caddy|traefik|haproxy|proxy)\/?$/i.exec(built)?.[2];
    const named = /^(caddy|nginx|traefik|haproxy)([-_]|$)/i.exec(service.name)?.[1];
    const one = kind ?? own ?? (image === "" || !built ? named : undefined);
    return one ? [{ service, kind: one.toLowerCase() }] : [];
  });
}
