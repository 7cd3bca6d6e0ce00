import type { Repository } from "../repository.ts";
import { at, entries, text } from "../yaml-node.ts";
import { compose, isOptional, type Project } from "./compose.ts";
import { buildOf, type Service } from "./compose-service.ts";
import { dockerCommands } from "./docker-commands.ts";
import { type Dockerfile, dockerfiles, type Stage } from "./dockerfiles.ts";

/** An image that somebody builds: a Dockerfile, the stage it ends in, and what is sent to the builder. */
export type Image = {
  dockerfile: Dockerfile;
  stage: Stage;
  /** The directory that is sent, from the root; null where nothing says. */
  context: string | null;
  isProduction: boolean;
  /** What builds it; null where it is taken for built because it is there. */
  by: { file: string; line: number } | null;
  /** The services of compose that run it. */
  services: { service: Service; project: Project }[];
};

/**
 * The images of a repository, each with the stage that production ends in: what compose, workflows and scripts say, or
 * the last stage. A Dockerfile for development alone is production's where there is no other.
 *
 * @example
 * images(repository).filter(({ isProduction }) => isProduction).map(({ stage }) => effective(stage, "USER"));
 */
export function images(repository: Repository): Image[] {
  return repository.once("images", () => {
    const found = new Map<string, Image>();
    const all = dockerfiles(repository);
    const add = (
      path: string | null,
      target: string | null,
      rest: Pick<Image, "context" | "isProduction" | "by" | "services">,
    ) => {
      const dockerfile = all.find((one) => one.path === path);
      const stage = dockerfile && stageOf(dockerfile, target);
      if (!dockerfile || !stage) return;
      const key = `${dockerfile.path}#${stage.index}`;
      const known = found.get(key);
      if (!known) found.set(key, { dockerfile, stage, ...rest });
      else {
        known.isProduction ||= rest.isProduction;
        known.context ??= rest.context;
        known.services.push(...rest.services);
      }
    };
    for (const project of compose(repository).projects) {
      for (const service of project.services) {
        const build = buildOf(service, project.directory);
        if (!build) continue;
        add(build.dockerfile, build.target, {
          context: build.context,
          isProduction: project.isProduction && !isOptional(service),
          by: { file: build.file, line: build.line },
          services: [{ service, project }],
        });
      }
    }
    for (
      const { kind, files, target, context, purpose, file, line } of dockerCommands(repository)
    ) {
      if (kind !== "build") continue;
      const [path = null] = files;
      const isProduction = purpose === "deploy";
      add(path, target, { context, isProduction, by: { file, line }, services: [] });
    }
    for (const one of pushed(repository)) add(one.path, one.target, one);
    const isDev = ({ file, path }: Dockerfile) =>
      file.context !== "prod" || /(^|[._-])dev(el\w*)?([._-]|$)/i.test(path);
    const covered = new Set(
      [...found.values()].flatMap((one) => one.isProduction ? [one.dockerfile.path] : []),
    );
    const hasProduction = covered.size > 0 || all.some((one) => !isDev(one));
    for (const dockerfile of all) {
      // What production is never told to build is still an image of its last stage.
      if (covered.has(dockerfile.path)) continue;
      const isAside = ["test", "docs", "ci"].includes(dockerfile.file.context);
      const isProduction = isDev(dockerfile) ? !hasProduction && !isAside : true;
      add(dockerfile.path, null, { context: null, isProduction, by: null, services: [] });
    }
    return [...found.values()];
  });
}

/** The images that production runs. */
export function productionImages(repository: Repository): Image[] {
  return images(repository).filter(({ isProduction }) => isProduction);
}

/** A stage by its name or its number, the last without one. */
function stageOf({ stages }: Dockerfile, target: string | null): Stage | null {
  if (target === null || target === "") return stages.at(-1) ?? null;
  const named = stages.find(({ alias }) => alias === target.toLowerCase());
  return named ?? (/^\d+$/.test(target) ? stages[Number(target)] : null) ?? null;
}

type Pushed = Pick<Image, "context" | "isProduction" | "by" | "services"> & {
  path: string;
  target: string | null;
};

/** What docker/build-push-action builds, and what Fly and Render name. */
function pushed(repository: Repository): Pushed[] {
  const found: Pushed[] = [];
  for (const file of repository.matching(/^\.github\/workflows\/[^/]+\.ya?ml$/)) {
    if (!file.text?.includes("build-push-action")) continue;
    const [root] = repository.parse(file, repository.parsers.yaml) ?? [];
    for (const { key, value: job } of entries(at(root ?? null, "jobs"))) {
      const steps = at(job, "steps");
      for (const step of steps?.kind === "seq" ? steps.items : []) {
        if (!/build-push-action/.test(text(at(step, "uses")) ?? "")) continue;
        const given = at(step, "with");
        const context = (text(at(given, "context")) ?? ".").replace(/^\.\/?/, "").replace(
          /\/$/,
          "",
        );
        const path = (text(at(given, "file")) ?? `${context}/Dockerfile`).replace(/^\.?\//, "");
        found.push({
          path,
          target: text(at(given, "target")),
          context: /\$/.test(context) ? null : context,
          isProduction: text(at(given, "push")) !== "false" && !/test|e2e|scan|lint/i.test(key),
          by: { file: file.path, line: step.line },
          services: [],
        });
      }
    }
  }
  for (const file of repository.matching(/(^|\/)fly(\.[\w-]+)?\.toml$/)) {
    const build = repository.parse(file, repository.parsers.toml)?.["build"];
    if (typeof build !== "object" || build === null) continue;
    const given = new Map(Object.entries(build));
    const folder = file.path.split("/").slice(0, -1).join("/");
    const dockerfile = given.get("dockerfile");
    const target = given.get("build-target");
    const name = typeof dockerfile === "string" ? dockerfile : "Dockerfile";
    found.push({
      path: [folder, name.replace(/^\.\//, "")].filter((one) => one !== "").join("/"),
      target: typeof target === "string" ? target : null,
      context: folder,
      isProduction: true,
      by: { file: file.path, line: 1 },
      services: [],
    });
  }
  for (const file of repository.matching(/(^|\/)render\.ya?ml$/)) {
    const [root] = repository.parse(file, repository.parsers.yaml) ?? [];
    const services = at(root ?? null, "services");
    for (const one of services?.kind === "seq" ? services.items : []) {
      const path = text(at(one, "dockerfilePath"));
      if (path === null) continue;
      const context = text(at(one, "dockerContext"))?.replace(/^\.\/?/, "") ?? "";
      found.push({
        path: path.replace(/^\.\//, ""),
        target: null,
        context,
        isProduction: true,
        by: { file: file.path, line: one.line },
        services: [],
      });
    }
  }
  return found;
}
