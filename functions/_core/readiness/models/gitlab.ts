import type { YamlNode } from "../parsers.ts";
import type { Repository } from "../repository.ts";
import { at, entries, items, text } from "../yaml-node.ts";
import type { CiJob } from "./ci-commands.ts";
import { readRun, type Run } from "./workflows.ts";

/** Words of a pipeline's first level that are no jobs. */
const RESERVED: ReadonlySet<string> = new Set([
  ...["default", "include", "stages", "variables", "workflow", "image", "services", "cache"],
  ...["before_script", "after_script", "spec"],
]);

/** A CI system that leaves a file in the tree. */
export type CiSystem = { name: string; file: string };

const OTHERS: [string, RegExp][] = [
  ["GitLab CI", /^\.gitlab-ci\.ya?ml$/],
  ["CircleCI", /^\.circleci\/config\.ya?ml$/],
  ["Azure Pipelines", /^\.?azure-pipelines[^/]*\.ya?ml$|^\.azuredevops\/[^/]*\.ya?ml$/],
  ["Jenkins", /(^|\/)Jenkinsfile[^/]*$/],
  ["Bitbucket Pipelines", /^bitbucket-pipelines\.ya?ml$/],
  ["Drone or Woodpecker", /^\.(drone|woodpecker)\.ya?ml$|^\.woodpecker\/[^/]*\.ya?ml$/],
  ["Travis CI", /^\.travis\.ya?ml$/],
  ["Buildkite", /^\.buildkite\/[^/]*\.ya?ml$/],
  ["Cloud Build", /^cloudbuild[^/]*\.ya?ml$/],
  ["AWS CodeBuild", /^buildspec[^/]*\.ya?ml$/],
  ["Forgejo or Gitea Actions", /^\.(forgejo|gitea)\/workflows\/[^/]+\.ya?ml$/],
];

/**
 * CI systems other than GitHub's, which are not judged in full: a rule that finds nothing says `unknown`.
 *
 * @example
 * otherSystems(repository).map(({ name }) => name); // ["GitLab CI"]
 */
export function otherSystems(repository: Repository): CiSystem[] {
  return repository.once("other ci", () =>
    OTHERS.flatMap(([name, path]) => {
      const file = repository.files.find((one) => path.test(one.path));
      return file ? [{ name, file: file.path }] : [];
    }));
}

/** The templates that .gitlab-ci.yml includes, with their lines. */
export function gitlabTemplates(
  repository: Repository,
): { name: string; file: string; line: number }[] {
  return gitlabOf(repository).templates;
}

/** The jobs of .gitlab-ci.yml and of the local files it includes, with the scripts they run. */
export function gitlabJobs(
  repository: Repository,
): { job: CiJob; runs: { run: Run; file: string }[]; node: YamlNode }[] {
  return gitlabOf(repository).jobs;
}

type Gitlab = {
  jobs: ReturnType<typeof gitlabJobs>;
  templates: { name: string; file: string; line: number }[];
};

function gitlabOf(repository: Repository): Gitlab {
  return repository.once("gitlab", () => {
    const found: Gitlab = { jobs: [], templates: [] };
    const waiting = repository.files.filter(({ path }) => /^\.gitlab-ci\.ya?ml$/.test(path));
    const seen = new Set(waiting.map(({ path }) => path));
    for (let index = 0; index < waiting.length; index++) {
      const file = waiting[index];
      // `!reference [job, script]` and the like are tags: their parts are read as plain lists.
      const root = file ? repository.parse(file, repository.parsers.yaml)?.at(-1) : null;
      if (!file || root?.kind !== "map") continue;
      const includes = at(root, "include");
      for (const one of includes?.kind === "map" ? [includes] : items(includes)) {
        const template = text(at(one, "template"));
        if (template) found.templates.push({ name: template, file: file.path, line: one.line });
        const local = text(at(one, "local")) ?? (one.kind === "scalar" ? text(one) : null);
        const next = local === null ? null : repository.file(local.replace(/^\/+/, ""));
        if (next && !seen.has(next.path)) {
          seen.add(next.path);
          waiting.push(next);
        }
      }
      for (const { key, value } of root.entries) {
        if (RESERVED.has(key) || key.startsWith(".") || value.kind !== "map") continue;
        found.jobs.push(readJob(repository, { file: file.path, id: key, node: value, root }));
      }
    }
    return found;
  });
}

function readJob(
  repository: Repository,
  { file, id, node, root }: { file: string; id: string; node: YamlNode; root: YamlNode },
): Gitlab["jobs"][number] {
  const whole = inherit(root, node, 0);
  const scripts = ["before_script", "script", "after_script"].flatMap((name) =>
    items(at(whole, name) ?? at(root, "default", name) ?? at(root, name))
  );
  const runs = scripts.flatMap((one) => {
    const run = readRun(repository, one, { isShell: true, folder: "", hasPipefail: true });
    return run ? [{ run, file }] : [];
  });
  const soft = at(whole, "allow_failure");
  const job: CiJob = {
    ...{ file, id, system: "gitlab", github: null, triggers: ["push", "pull_request"] },
    isSoft: soft !== null && (soft.kind === "map" || text(soft) === "true"),
  };
  return { job, runs, node: whole };
}

/** A job with what its `extends` gives it; each is worked out once, as they may name each other in any number. */
function inherit(
  root: YamlNode,
  node: YamlNode,
  depth: number,
  known: Map<YamlNode, YamlNode> = new Map(),
): YamlNode {
  const bases = items(at(node, "extends"));
  if (bases.length === 0 || depth > 5 || node.kind !== "map") return node;
  const done = known.get(node);
  if (done) return done;
  known.set(node, node);
  const keys = new Set(node.entries.map(({ key }) => key));
  const given = bases.toReversed().flatMap((one) => {
    const base = at(root, text(one) ?? "");
    return base ? entries(inherit(root, base, depth + 1, known)) : [];
  });
  const whole = {
    ...node,
    entries: [...node.entries, ...given.filter(({ key }) => !keys.has(key))],
  };
  known.set(node, whole);
  return whole;
}
