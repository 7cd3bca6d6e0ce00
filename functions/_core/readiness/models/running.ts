import { unknown } from "../evidence.ts";
import type { Repository } from "../repository.ts";
import type { Evidence } from "../rule.ts";
import {
  compose,
  isOneShot,
  isOptional,
  isStore,
  isStoreImage,
  productionProjects,
  type Project,
} from "./compose.ts";
import { buildOf, type Service, textAt } from "./compose-service.ts";
import { effective, root, type Stage } from "./dockerfiles.ts";
import { productionImages } from "./images.ts";
import { platforms } from "./platforms.ts";
import { isProxyImage, proxyServices } from "./proxies.ts";

/** A service of production's compose and what it is. */
export type Running = {
  service: Service;
  project: Project;
  /** `store` keeps data, `proxy` stands in front, `application` is built here or is anything else. */
  kind: "application" | "store" | "proxy";
  isOneShot: boolean;
  /** Whether the repository builds its image. */
  isBuilt: boolean;
  /** The stage that its image ends in, where it is built here. */
  stage: Stage | null;
};

/**
 * What production's compose runs, services behind a profile left out.
 *
 * @example
 * for (const { service, kind } of running(repository).filter(({ isOneShot }) => !isOneShot)) …
 */
export function running(repository: Repository): Running[] {
  return repository.once("running", () => {
    const seen = new Set<Service>();
    return productionProjects(repository).flatMap((project) => {
      const proxies = new Set(proxyServices(project).map(({ service }) => service));
      return project.services.flatMap((service): Running[] => {
        if (isOptional(service) || seen.has(service)) return [];
        seen.add(service);
        const build = buildOf(service, project.directory);
        const image = textAt(service, "image");
        const stage = productionImages(repository).find(({ services }) =>
          services.some((one) =>
            one.service === service
          )
        )?.stage ?? null;
        const shared = stage ?? sharedStage(repository, project, service, image);
        const base = shared ? root(shared).base.image ?? "" : "";
        return [{
          service,
          project,
          kind: isStore(service) || isStoreImage(base)
            ? "store"
            : proxies.has(service) || isProxy(service.name, base)
            ? "proxy"
            : "application",
          isOneShot: isOneShot(service, project),
          isBuilt: build !== null || shared !== null,
          stage: shared,
        }];
      });
    });
  });
}

/** An image on nginx may be a web that it serves; one on traefik, or one that is called a proxy, is none. */
function isProxy(name: string, base: string): boolean {
  return /(^|\/)(traefik|haproxy|envoy)/i.test(base) ||
    (isProxyImage(base) && /proxy|nginx|caddy|gateway|ingress/i.test(name));
}

/** The stage of another service that builds and names the same image. */
function sharedStage(
  repository: Repository,
  project: Project,
  service: Service,
  image: string | null,
): Stage | null {
  const written = textAtRaw(service);
  if (image === null && written === null) return null;
  const other = project.services.find((one) =>
    one !== service && buildOf(one, project.directory) && textAtRaw(one) === written
  );
  return productionImages(repository).find(({ services }) =>
    services.some((one) => one.service === other)
  )?.stage ?? null;
}

function textAtRaw(service: Service): string | null {
  for (const { node } of service.layers.toReversed()) {
    if (node.kind !== "map") continue;
    const found = node.entries.find(({ key }) => key === "image")?.value;
    if (found?.kind === "scalar") return String(found.value);
  }
  return null;
}

/** Compose files that could not be read, as evidence. */
export function unreadCompose(repository: Repository): Evidence[] {
  return compose(repository).unread.map((file) => unknown(file, null, "it can't be read as YAML"));
}

/**
 * What to conclude where production's compose shows nothing: where another platform runs it, the question stands and
 * compose doesn't answer it (`asks`), or it is compose's alone.
 *
 * @example
 * return conclude(evidence, withoutCompose(repository, { asks: true }));
 */
export function withoutCompose(
  repository: Repository,
  { asks, nothing }: { asks: boolean; nothing?: string },
): { status: "unknown" | "not-applicable"; summary: string } {
  const status = asks ? "unknown" : "not-applicable";
  if (productionProjects(repository).length > 0) {
    return { status: "not-applicable", summary: nothing ?? "compose runs nothing that it asks of" };
  }
  const [platform] = platforms(repository);
  if (platform) {
    return {
      status,
      summary:
        `${platform.name} runs production (${platform.file}), which the files say too little of`,
    };
  }
  const hasImages = productionImages(repository).length > 0;
  return hasImages
    ? { status, summary: "nothing in the repository says what runs its images" }
    : { status: "not-applicable", summary: "nothing here runs in containers" };
}

/** The health check of an image, as far as its Dockerfile tells: null where it has none. */
export function healthOf(
  stage: Stage | null,
): { line: number; isNone: boolean; file: string } | null {
  const placed = stage && effective(stage, "HEALTHCHECK");
  if (!placed) return null;
  const { instruction } = placed;
  return {
    line: instruction.line,
    isNone: /^NONE\b/i.test(instruction.arguments),
    file: placed.stage.path,
  };
}
