import type { Repository, RepositoryFile } from "../repository.ts";
import { words } from "./dockerfiles.ts";
import { join } from "./compose-service.ts";

/** A place that runs docker: `docker compose -f a -f b up`, `docker build --target production .`. */
export type DockerCommand = {
  file: string;
  line: number;
  /** What runs it: a deploy, a test, a developer at a desk, or a text that tells somebody to. */
  purpose: "deploy" | "test" | "dev" | "docs";
  kind: "compose" | "build";
  /** compose: up, build, run, …, `stack` for a swarm; empty where it is in a variable. */
  verb: string;
  /** The compose files or the Dockerfile that it names, from the root. */
  files: string[];
  profiles: string[];
  target: string | null;
  /** build: the directory that is sent. */
  context: string | null;
};

const HOLDERS =
  /(^|\/)(\.github\/(workflows|actions)\/.*\.ya?ml|\.gitlab-ci\.yml|\.circleci\/config\.yml|bitbucket-pipelines\.yml|azure-pipelines\.ya?ml|Jenkinsfile|(GNU)?[Mm]akefile|[\w.-]+\.mk|[Jj]ustfile|\.justfile|Taskfile\.ya?ml|package\.json|Procfile|[\w.-]+\.(sh|bash|ps1|md|mdx|rst|service))$/;
const ASKED = /docker[ -]compose|docker\s+(buildx\s+)?build|docker\s+stack\s+deploy|podman[ -]/;
const MOST_LINES = 20_000;

/**
 * Every command of docker in workflows, scripts, Makefiles and texts.
 *
 * @example
 * dockerCommands(repository).filter(({ purpose }) => purpose === "deploy");
 */
export function dockerCommands(repository: Repository): DockerCommand[] {
  return repository.once("docker-commands", () =>
    repository.matching(HOLDERS).flatMap((file) => {
      if (file.text === null || !ASKED.test(file.text)) return [];
      return commandsOf(repository, file, file.text);
    }));
}

function commandsOf(repository: Repository, file: RepositoryFile, whole: string): DockerCommand[] {
  const found: DockerCommand[] = [];
  const lines = whole.split(/\r?\n/).slice(0, MOST_LINES);
  let job = "";
  for (let at = 0; at < lines.length; at++) {
    const line = at + 1;
    let text = lines[at] ?? "";
    // A target of a Makefile or a job names what its lines are for.
    const heading = /^\s{0,4}([\w.-]+):(\s|$)/.exec(text) ?? /^\s{0,4}"([\w:.-]+)":\s*"/.exec(text);
    if (heading) job = heading[1] ?? "";
    if (/^\s*(#|\/\/)/.test(text) && !/\.(md|mdx|rst)$/.test(file.path)) continue;
    while (/\\\s*$/.test(text) && at + 1 < lines.length && text.length < 4_000) {
      text = text.replace(/\\\s*$/, "") + " " + (lines[++at] ?? "");
    }
    if (text.length > 8_000 || !ASKED.test(text)) continue;
    for (const part of text.split(/&&|\|\||[;|`]/)) {
      const command = read(repository, file.path, part);
      if (command) {
        found.push({ ...command, file: file.path, line, purpose: purposeOf(file, job, command) });
      }
    }
  }
  return found;
}

type Read = Omit<DockerCommand, "file" | "line" | "purpose">;

function read(repository: Repository, from: string, part: string): Read | null {
  const all = words(part.replaceAll('\\"', '"')).map((word) =>
    word.replace(/^["'([]+|["',)\]]+$/g, "")
  );
  const start = all.findIndex((word, index) =>
    /(^|\/)docker-compose$/.test(word) ||
    (/(^|\/)(docker|podman)$/.test(word) &&
      ["compose", "build", "buildx", "stack"].includes(all[index + 1] ?? ""))
  );
  if (start === -1) return null;
  const isDashed = /compose$/.test(all[start] ?? "");
  let rest = all.slice(start + (isDashed ? 1 : 2));
  const second = isDashed ? "compose" : all[start + 1];
  if (second === "buildx") {
    if (rest[0] !== "build") return null;
    rest = rest.slice(1);
  }
  if (second === "stack") {
    if (rest[0] !== "deploy") return null;
    const files = option(rest, "-c", "--compose-file").flatMap((one) =>
      place(repository, from, one)
    );
    return { kind: "compose", verb: "stack", files, profiles: [], target: null, context: null };
  }
  if (second === "compose") {
    const files = option(rest, "-f", "--file").flatMap((one) => place(repository, from, one));
    const verb = rest.find((word) => VERBS.has(word)) ?? "";
    const profiles = option(rest, "--profile", "--profile");
    return { kind: "compose", verb, files, profiles, target: null, context: null };
  }
  const [given] = option(rest, "-f", "--file");
  const [target = null] = option(rest, "--target", "--target");
  const last = rest.findLast((word) => !word.startsWith("-")) ?? ".";
  const context = /^[\w./-]+$/.test(last) ? folder(repository, from, last) : null;
  const files = given
    ? place(repository, from, given)
    : context === null
    ? []
    : place(repository, from, `${context === "" ? "." : context}/Dockerfile`);
  return { kind: "build", verb: "build", files, profiles: [], target, context };
}

const VERBS = new Set(
  "up build run start restart pull push down stop logs exec config create ps rm kill watch wait"
    .split(" "),
);

/** The values of an option in its three forms: `-f a`, `--file a`, `--file=a`. */
function option(all: readonly string[], short: string, long: string): string[] {
  return all.flatMap((word, index) => {
    if (word === short || word === long) return all[index + 1] ?? [];
    if (word.startsWith(`${long}=`)) return word.slice(long.length + 1);
    return [];
  });
}

/** A path as a command names it may count from the root, from the file's own folder, or from a folder gone into. */
function place(repository: Repository, from: string, written: string): string[] {
  const bare = written.replace(
    /^(\$\{?\w+\}?|~|\/[\w/-]*)?\//,
    (head) => head.startsWith("/") ? "/" : "",
  );
  const own = from.split("/").slice(0, -1).join("/");
  const tries = [join("", bare.replace(/^\/+/, "")), join(own, bare), join(`${own}/..`, bare)];
  for (const one of tries) if (one !== null && repository.file(one)) return [one];
  const tail = bare.replace(/^(\.{0,2}\/)+/, "");
  const ends = repository.files.filter(({ path, context }) =>
    context !== "vendored" && (path === tail || path.endsWith(`/${tail}`))
  );
  return ends.length === 1 && ends[0] ? [ends[0].path] : [];
}

function folder(repository: Repository, from: string, written: string): string | null {
  const own = from.split("/").slice(0, -1).join("/");
  for (const one of [join("", written), join(own, written)]) {
    if (one === null) continue;
    if (one === "" || repository.files.some(({ path }) => path.startsWith(`${one}/`))) return one;
  }
  return null;
}

const DEPLOYS =
  /deploy|release|prod(uction)?\b|\bprod|live\b|staging|publish|rollout|provision|\bcd\b/i;
const TESTS = /(^|[^a-z])(tests?|ci|lint|e2e|check|playwright|smoke|verify)([^a-z]|$)/i;
const DEVELOPS = /(^|[^a-z])(dev|develop|development|local|watch|debug)([^a-z]|$)/i;

function purposeOf(
  file: RepositoryFile,
  job: string,
  command: { files: readonly string[]; verb: string },
): DockerCommand["purpose"] {
  const isText = /\.(md|mdx|rst)$/i.test(file.path);
  const named = `${file.path.split("/").slice(-2).join("/")} ${job}`;
  if (command.files.some((path) => /prod|deploy|release|live/i.test(path.split("/").pop() ?? ""))) {
    return isText ? "docs" : "deploy";
  }
  if (isText) return "docs";
  if (DEPLOYS.test(named)) return "deploy";
  if (TESTS.test(named)) return "test";
  if (DEVELOPS.test(named)) return "dev";
  return file.context === "ci" ? "test" : "dev";
}
