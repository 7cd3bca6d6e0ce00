import type { YamlNode } from "../parsers.ts";
import type { Repository, RepositoryFile } from "../repository.ts";
import { at, entries, items, text } from "../yaml-node.ts";
import { buildOf, dependencies, join, layered, type Service, textAt } from "./compose-service.ts";
import { dockerCommands } from "./docker-commands.ts";
import { interpolate, settled } from "./interpolation.ts";
import { platforms } from "./platforms.ts";

/** Fragments that run together, merged as `docker compose -f a -f b` does. */
export type Project = {
  /** The fragments in order, what they include left out. */
  files: string[];
  /** Paths count from here. */
  directory: string;
  services: Service[];
  isProduction: boolean;
  /** Why it is taken for production, or not, in a few words. */
  why: string;
  /** Whether `docker stack deploy` runs it. */
  isSwarm: boolean;
};

export type Compose = {
  projects: Project[];
  /** Fragments that could not be read. */
  unread: string[];
};

type Fragment = { file: RepositoryFile; root: YamlNode };

/** What reads fragments: each file once, and no more merges than any repository needs. */
type Reader = {
  repository: Repository;
  fragments: ReadonlyMap<string, Fragment>;
  others: Map<string, YamlNode | null>;
  left: number;
};

const NAMED = /(^|\/)([\w.-]*compose[\w.-]*|stack|docker-stack[\w.-]*)\.ya?ml$/i;
const DEFAULT = /(^|\/)(docker-)?compose\.ya?ml$/;
const OVERRIDE = /(^|\/)(docker-)?compose\.override\.ya?ml$/;
const PRODUCTION =
  /(^|[._\/-])(prod|production|deploy|release|live|staging|stage|swarm|stack|server)([._-]|$)/i;
const DEVELOPMENT =
  /(^|[._\/-])(dev|develop|development|local|override|debug|test|tests|testing|ci|e2e|playwright|example|sample|demo)([._-]|$)/i;
const MOST_LEVELS = 8;
const MOST_MERGES = 2_000;
/** What stands behind is noted, not judged: rules ask services about each other. */
const MOST_SERVICES = 400;

/**
 * What compose runs: each set of fragments merged, and which of them is production. A deploy that names fragments
 * decides; then a name that says so; then the default file without its override. Where the repository deploys to
 * another platform and nothing names compose, no project is production.
 *
 * @example
 * for (const { services } of compose(repository).projects) …
 */
export function compose(repository: Repository): Compose {
  return repository.once("compose", () => read(repository));
}

/** The projects that production runs. */
export function productionProjects(repository: Repository): Project[] {
  return compose(repository).projects.filter(({ isProduction }) => isProduction);
}

function read(repository: Repository): Compose {
  const unread: string[] = [];
  const fragments = new Map<string, Fragment>();
  for (const file of repository.matching(NAMED)) {
    if (/^\.github\//.test(file.path)) continue;
    const documents = repository.parse(file, repository.parsers.yaml);
    if (!documents) unread.push(file.path);
    const [root] = documents ?? [];
    const isCompose = ["services", "include"].some((key) => at(root ?? null, key));
    if (root && isCompose && at(root, "kind") === null) fragments.set(file.path, { file, root });
  }
  const sets = choose(repository, fragments);
  const reader: Reader = { repository, fragments, others: new Map(), left: MOST_MERGES };
  const projects = sets.flatMap(({ files, isProduction, why }): Project[] => {
    const [first] = files;
    if (!first) return [];
    const directory = first.split("/").slice(0, -1).join("/");
    const all = merge(reader, files, 0);
    const services = all.slice(0, MOST_SERVICES);
    if (all.length > MOST_SERVICES) {
      repository.note({
        file: first,
        reason: `it has ${all.length} services: ${MOST_SERVICES} are read`,
      });
      unread.push(first);
    }
    const isSwarm = dockerCommands(repository).some((one) =>
      one.verb === "stack" && one.files.some((path) => files.includes(path))
    );
    return services.length === 0
      ? []
      : [{ files, directory, services, isProduction, why, isSwarm }];
  });
  return { projects, unread };
}

type Chosen = { files: string[]; isProduction: boolean; why: string };

/** Which fragments run together, and where. */
function choose(repository: Repository, fragments: ReadonlyMap<string, Fragment>): Chosen[] {
  const chosen = new Map<string, Chosen>();
  const add = (files: string[], isProduction: boolean, why: string) => {
    const key = files.join("\n");
    const known = chosen.get(key);
    if (!known || (isProduction && !known.isProduction)) {
      chosen.set(key, { files, isProduction, why });
    }
  };
  const paths = [...fragments.keys()];
  const ran = dockerCommands(repository).filter(({ kind }) => kind === "compose");
  const deploys = ran.filter(({ purpose }) => purpose === "deploy");
  // Where images are only built with some fragments and run with others, those that run count.
  const isUp = (verb: string) =>
    ["up", "run", "pull", "restart", "stack", "start", ""].includes(verb);
  const ups = deploys.filter(({ verb, files }) => isUp(verb) && files.length > 0);
  for (const { files, purpose, file, line, verb } of ups.length > 0 ? ups : deploys) {
    const known = files.filter((path) => fragments.has(path));
    const isRun = isUp(verb) || ["build", "create", "push"].includes(verb);
    if (known.length > 0 && purpose === "deploy" && isRun) {
      const isTest = known.every((path) => fragments.get(path)?.file.context === "test");
      add(known, !isTest, `${file}:${line} runs it`);
    }
  }
  const isTaken = (path: string) => [...chosen.values()].some(({ files }) => files.includes(path));
  // Texts tell people what to run in production; they decide where no script does.
  for (const { files, file, line } of ran.filter(({ purpose }) => purpose === "docs")) {
    const known = files.filter((path) => fragments.has(path));
    const last = known.at(-1);
    if (last && PRODUCTION.test(base(last)) && !isTaken(last)) {
      add(known, true, `${file}:${line} says so`);
    }
  }
  for (const path of paths) {
    if (!PRODUCTION.test(base(path)) || isTaken(path)) continue;
    if (DEVELOPMENT.test(base(path)) || isAside(fragments, path)) continue;
    const main = paths.find((one) => DEFAULT.test(one) && folder(one) === folder(path)) ??
      paths.find((one) => DEFAULT.test(one));
    const needsMain = main !== undefined && main !== path && leansOn(fragments, path);
    add(needsMain ? [main, path] : [path], true, "its name says so");
  }
  const deployed = ran.some(({ purpose, verb, files }) =>
    purpose === "deploy" && files.length === 0 && ["up", "pull", "run", ""].includes(verb)
  );
  const elsewhere = platforms(repository).filter(({ name }) =>
    !["Terraform", "Nixpacks"].includes(name)
  );
  const hasProduction = () => [...chosen.values()].some((one) => one.isProduction);
  const named = hasProduction();
  for (const path of paths) {
    if (!DEFAULT.test(path) || isTaken(path)) continue;
    const override = paths.find((one) => OVERRIDE.test(one) && folder(one) === folder(path));
    if (isAside(fragments, path) || fragments.get(path)?.file.context === "dev") continue;
    const sibling = named && !deployed;
    const [other] = elsewhere;
    const isProduction = !sibling && (deployed || other === undefined || isServed(fragments, path));
    add(
      [path],
      isProduction,
      isProduction
        ? "it is the file that compose takes by itself"
        : sibling
        ? "another file is production's"
        : `${other?.name} runs production (${other?.file})`,
    );
    if (override) add([path, override], false, "its override is for development");
  }
  for (const path of paths) {
    if (isTaken(path)) continue;
    const isAlone = !leansOn(fragments, path) && !DEVELOPMENT.test(base(path)) &&
      !OVERRIDE.test(path) && !isAside(fragments, path) &&
      fragments.get(path)?.file.context === "prod";
    const isProduction = isAlone && elsewhere.length === 0;
    const main = paths.find((one) => DEFAULT.test(one) && folder(one) === folder(path));
    const files = main && main !== path && leansOn(fragments, path) ? [main, path] : [path];
    add(
      files,
      isProduction,
      isProduction ? "it stands by itself" : "its name or its place says so",
    );
  }
  // Where all there is is for development, that is what there is to judge.
  if (!hasProduction() && elsewhere.length === 0) {
    for (const one of chosen.values()) {
      if (!one.files.some((path) => isAside(fragments, path))) {
        one.isProduction = true;
        one.why = "there is no other";
      }
    }
  }
  return [...chosen.values()];
}

const base = (path: string) => path.split("/").pop() ?? "";
const folder = (path: string) => path.split("/").slice(0, -1).join("/");

/** For tests, documentation, an editor's container. */
function isAside(fragments: ReadonlyMap<string, Fragment>, path: string): boolean {
  const context = fragments.get(path)?.file.context;
  return context === "test" || context === "docs" || /(^|\/)\.devcontainer\//.test(path);
}

/** Whether a proxy of the file publishes the web's own ports: then it serves, whatever else deploys. */
function isServed(fragments: ReadonlyMap<string, Fragment>, path: string): boolean {
  const services = entries(at(fragments.get(path)?.root ?? null, "services"));
  return services.some(({ value }) =>
    items(at(value, "ports")).some((port) => /(^|:)443:/.test(text(port) ?? ""))
  );
}

/** Whether a fragment means nothing by itself: a service without an image, a name that it doesn't define. */
function leansOn(fragments: ReadonlyMap<string, Fragment>, path: string): boolean {
  const root = fragments.get(path)?.root ?? null;
  const services = entries(at(root, "services"));
  const known = new Set(services.map(({ key }) => key));
  const volumes = new Set(entries(at(root, "volumes")).map(({ key }) => key));
  if (items(at(root, "include")).length > 0) return false;
  return services.some(({ value }) => {
    const own = ["image", "build", "extends"].some((key) => at(value, key));
    const needs = at(value, "depends_on");
    const needed = needs?.kind === "map"
      ? needs.entries.map(({ key }) => key)
      : items(needs).map((item) => text(item) ?? "");
    const named = items(at(value, "volumes")).flatMap((item) => {
      const [source = ""] = (text(item) ?? "").split(":");
      return /^[\w-]+$/.test(source) && (text(item) ?? "").includes(":") ? [source] : [];
    });
    return !own || needed.some((name) => !known.has(name)) ||
      named.some((name) => !volumes.has(name));
  });
}

function merge(reader: Reader, files: readonly string[], level: number): Service[] {
  const merged = new Map<string, Service>();
  for (const path of files) {
    if (level > MOST_LEVELS || --reader.left < 0) break;
    const root = fragmentAt(reader, path);
    if (!root) continue;
    for (const included of includes(root, path)) {
      for (const one of merge(reader, included, level + 1)) {
        if (!merged.has(one.name)) merged.set(one.name, one);
      }
    }
    for (const { key, line, value } of entries(at(root, "services"))) {
      if (value.tag === "!reset") merged.delete(key);
      if (value.kind !== "map") continue;
      const layers = [...extended(reader, path, value, level), { file: path, node: value }];
      const known = merged.get(key);
      if (known) known.layers.push(...layers);
      else merged.set(key, { name: key, file: path, line, layers });
    }
  }
  return [...merged.values()];
}

/** A fragment, or any file that `include` and `extends` name. */
function fragmentAt({ repository, fragments, others }: Reader, path: string): YamlNode | null {
  const known = fragments.get(path)?.root ?? others.get(path);
  if (known !== undefined) return known;
  const file = repository.file(path);
  const root = file ? repository.parse(file, repository.parsers.yaml)?.[0] ?? null : null;
  others.set(path, root);
  return root;
}

function includes(root: YamlNode, path: string): string[][] {
  return items(at(root, "include")).map((item) => {
    const written = item.kind === "map" ? items(at(item, "path")) : [item];
    return written.flatMap((one) => {
      const settledPath = settled(interpolate(text(one) ?? ""));
      return settledPath === null ? [] : join(folder(path), settledPath) ?? [];
    });
  });
}

/** What a service extends, the farthest first. */
function extended(
  reader: Reader,
  path: string,
  service: YamlNode,
  level: number,
): Service["layers"] {
  const given = at(service, "extends");
  if (!given || level > MOST_LEVELS) return [];
  const name = text(given) ?? text(at(given, "service"));
  const written = text(at(given, "file"));
  const file = written === null ? path : join(folder(path), written);
  if (name === null || file === null) return [];
  const node = at(fragmentAt(reader, file), "services", name);
  if (!node || node === service) return [];
  return [...extended(reader, file, node, level + 1), { file, node }];
}

/** Whether a service runs only where somebody asks for it, or for development. */
export function isOptional(service: Service): boolean {
  return layered(service, "profiles").some(({ node }) => items(node).length > 0);
}

/** Whether a service ends by itself: a migration, a seed; it needs no health check and no restart. */
export function isOneShot(service: Service, project: Project): boolean {
  const restart = textAt(service, "restart") ??
    textAt(service, "deploy", "restart_policy", "condition");
  if (
    project.services.some((one) =>
      dependencies(one).some(({ name, condition }) =>
        name === service.name && condition === "service_completed_successfully"
      )
    )
  ) return true;
  if (restart !== null && !/^(no|false|none|on-failure)/.test(restart)) return false;
  return /(^|[-_])(migrat\w*|prestart|seed\w*|init\w*|setup|bootstrap|provision\w*|backup|createbuckets?|mc)([-_]|$)/i
    .test(service.name);
}

/** The images of stores and proxies: what an application stands on, not the application. */
const STORES =
  /(^|\/)(postgres|postgis|pgvector|timescaledb|mysql|mariadb|mongo|redis|valkey|keydb|dragonfly|memcached|rabbitmq|kafka|zookeeper|nats|elasticsearch|opensearch|clickhouse[\w-]*|minio|mailhog|mailpit|maildev|mailcatcher|localstack|cockroach|qdrant|weaviate|meilisearch|typesense|neo4j|influxdb|cassandra|etcd|mssql|supabase)/i;

/** Whether an image is that of a database, a cache, a queue. */
export function isStoreImage(image: string): boolean {
  return STORES.test(image.split("@")[0] ?? "");
}

/** Whether a service is a database, a cache, a queue. */
export function isStore(service: Service): boolean {
  const image = textAt(service, "image") ?? "";
  return buildOf(service, "") === null && STORES.test(image.split("@")[0] ?? "");
}
