import type { YamlNode } from "../parsers.ts";
import type { Repository, RepositoryFile } from "../repository.ts";
import type { Evidence } from "../rule.ts";
import { at, entries, items, text } from "../yaml-node.ts";
import { readShell, type Shell } from "./shell.ts";
import {
  type Permissions,
  readPermissions,
  readSettings,
  readTriggers,
  readUses,
  type Setting,
  type Uses,
} from "./workflow-parts.ts";

/** A text that a step runs: a shell's commands, or null where another language's interpreter reads it. */
export type Run = {
  text: string;
  line: number;
  endLine: number;
  shell: Shell | null;
  /** The line of the file where the text's line n (from 1) stands. */
  lineOf: (line: number) => number;
  /** Where it runs: a folder from the root, empty for the root; null where an expression says. */
  folder: string | null;
  /** Whether a pipe's early stages count: `shell: bash` says so, GitHub's default shell doesn't. */
  hasPipefail: boolean;
};

export type Step = {
  name: string;
  line: number;
  uses: Uses | null;
  with: Setting[];
  run: Run | null;
  env: Setting[];
  if: string | null;
  /** Whether the job goes on when it fails; `maybe` where an expression says. */
  continues: Continues;
};
export type Continues = { value: "yes" | "no" | "maybe"; line: number | null };

export type Job = {
  id: string;
  name: string;
  line: number;
  endLine: number;
  runsOn: string;
  permissions: Permissions | null;
  env: Setting[];
  environment: { name: string; line: number } | null;
  timeout: { value: string; line: number } | null;
  concurrency: { line: number } | null;
  if: string | null;
  continues: Continues;
  needs: string[];
  /** The reusable workflow it calls. */
  uses: Uses | null;
  with: Setting[];
  secrets: YamlNode | null;
  /** Names of the matrix that it is given at run time. */
  matrix: YamlNode | null;
  steps: Step[];
};

/** A workflow that GitHub runs, or an action of this repository that one uses (its steps stand in one job). */
export type Workflow = {
  file: string;
  kind: "workflow" | "action";
  name: string;
  triggers: { name: string; line: number; node: YamlNode }[];
  permissions: Permissions | null;
  env: Setting[];
  concurrency: { line: number } | null;
  /** The inputs of `workflow_dispatch`, `workflow_call` or the action: name to type. */
  inputs: Map<string, string>;
  jobs: Job[];
};

export type Workflows = {
  all: Workflow[];
  /** Live files that could not be read. */
  unread: string[];
};

const LIVE = /^\.github\/workflows\/[^/]+\.ya?ml$/;

/**
 * The workflows that GitHub would run, and the local actions they use. Files elsewhere are inert.
 *
 * @example
 * for (const { file, jobs } of workflowsOf(repository).all) console.log(file, jobs.length);
 */
export function workflowsOf(repository: Repository): Workflows {
  return repository.once("workflows", () => readWorkflows(repository));
}

/** Evidence that something live could not be read: no rule passes over it. */
export function unreadWorkflows({ unread }: Workflows): Evidence[] {
  return unread.map((file) => ({
    kind: "unknown",
    file,
    line: null,
    message: "this workflow can't be read",
  }));
}

/** Every step with its job and its workflow; a part that `if: false` turns off is left out. */
export function stepsOf(
  workflows: Workflows,
): { workflow: Workflow; job: Job; step: Step }[] {
  return workflows.all.flatMap((workflow) =>
    workflow.jobs.flatMap((job) => job.steps.map((step) => ({ workflow, job, step })))
  );
}

function readWorkflows(repository: Repository): Workflows {
  const all: Workflow[] = [];
  const unread: string[] = [];
  const read = (file: RepositoryFile, kind: Workflow["kind"]) => {
    const documents = repository.parse(file, repository.parsers.yaml);
    const root = documents?.[0];
    if (!documents || (root && root.kind !== "map")) {
      if (documents) repository.note({ file: file.path, reason: "it is no workflow" });
      unread.push(file.path);
    } else if (root) all.push(readWorkflow(repository, { file: file.path, kind, root }));
  };
  for (const file of repository.files) if (LIVE.test(file.path)) read(file, "workflow");
  // Actions are found from their users, actions that use others too.
  const seen = new Set<string>();
  for (let index = 0; index < all.length; index++) {
    for (const { uses } of all[index]?.jobs.flatMap(({ steps }) => steps) ?? []) {
      if (uses?.kind !== "local" || seen.has(uses.path)) continue;
      seen.add(uses.path);
      const folder = uses.path === "" || uses.path === "." ? "" : `${uses.path}/`;
      const file = repository.file(`${folder}action.yml`) ??
        repository.file(`${folder}action.yaml`);
      if (file) read(file, "action");
    }
  }
  return { all, unread };
}

type Origin = { file: string; kind: Workflow["kind"]; root: YamlNode };

function readWorkflow(repository: Repository, { file, kind, root }: Origin): Workflow {
  const triggers = readTriggers(root);
  const inputs = new Map<string, string>();
  const sources = kind === "action"
    ? [at(root, "inputs")]
    : triggers.map(({ node }) => at(node, "inputs"));
  for (const source of sources) {
    for (const { key, value } of entries(source)) {
      inputs.set(key.toLowerCase(), text(at(value, "type")) ?? "string");
    }
  }
  const defaults = at(root, "defaults", "run");
  const jobs = kind === "workflow"
    ? entries(at(root, "jobs")).map(({ key, line, value }) =>
      readJob(repository, { id: key, line, node: value, defaults })
    )
    : [readJob(repository, {
      id: text(at(root, "name")) ?? "action",
      line: at(root, "runs")?.line ?? 1,
      node: at(root, "runs") ?? root,
      defaults: null,
    })];
  const concurrency = at(root, "concurrency");
  return {
    ...{ file, kind, triggers, inputs },
    name: text(at(root, "name")) ?? file,
    permissions: readPermissions(at(root, "permissions")),
    env: readSettings(at(root, "env")),
    concurrency: concurrency && { line: concurrency.line },
    jobs: jobs.filter((job) => !isOff(job.if)),
  };
}

function readJob(
  repository: Repository,
  { id, line, node, defaults }: {
    id: string;
    line: number;
    node: YamlNode;
    defaults: YamlNode | null;
  },
): Job {
  const runsOn = items(at(node, "runs-on")).map((one) => text(one) ?? "").join(" ");
  const own = at(node, "defaults", "run");
  const shell = text(at(own, "shell")) ?? text(at(defaults, "shell"));
  const folder = text(at(own, "working-directory")) ?? text(at(defaults, "working-directory"));
  const environment = at(node, "environment");
  const timeout = at(node, "timeout-minutes");
  const concurrency = at(node, "concurrency");
  return {
    ...{ id, line, endLine: node.endLine, runsOn },
    name: text(at(node, "name")) ?? id,
    permissions: readPermissions(at(node, "permissions")),
    env: readSettings(at(node, "env")),
    environment: environment && {
      name: text(environment) ?? text(at(environment, "name")) ?? "",
      line: environment.line,
    },
    timeout: timeout && { value: text(timeout) ?? "", line: timeout.line },
    concurrency: concurrency && { line: concurrency.line },
    if: text(at(node, "if")),
    continues: readContinues(node),
    needs: items(at(node, "needs")).flatMap((one) => text(one) ?? []),
    uses: readUses(at(node, "uses")),
    with: readSettings(at(node, "with")),
    secrets: at(node, "secrets"),
    matrix: at(node, "strategy", "matrix"),
    steps: items(at(node, "steps"))
      .map((step) =>
        readStep(repository, step, {
          shell: shell ?? (/windows/i.test(runsOn) ? "pwsh" : "sh"),
          folder: folder ?? "",
        })
      )
      .filter((step) => !isOff(step.if)),
  };
}

function readStep(
  repository: Repository,
  node: YamlNode,
  defaults: { shell: string; folder: string },
): Step {
  const uses = readUses(at(node, "uses"));
  const settings = readSettings(at(node, "with"));
  const run = at(node, "run");
  // What ssh actions send is shell as well.
  const sent = uses && /ssh/.test(uses.repository)
    ? settings.find(({ name }) => name === "script" || name === "command")?.node ?? null
    : null;
  const shell = text(at(node, "shell")) ?? defaults.shell;
  const folder = text(at(node, "working-directory")) ?? defaults.folder;
  return {
    name: text(at(node, "name")) ?? uses?.text ?? "",
    line: node.line,
    uses,
    with: settings,
    run: readRun(repository, run ?? sent, {
      isShell: sent !== null || /^(ba|z|da)?sh\b/.test(shell.trim()),
      hasPipefail: shell === "bash" || shell.includes("pipefail"),
      folder: folder.includes("${{") ? null : folder.replace(/^\.\/?/, "").replace(/\/+$/, ""),
    }),
    env: readSettings(at(node, "env")),
    if: text(at(node, "if")),
    continues: readContinues(node),
  };
}

/** A scalar that a shell runs, of a workflow or any other YAML. */
export function readRun(
  repository: Repository,
  node: YamlNode | null,
  { isShell, folder, hasPipefail }: {
    isShell: boolean;
    folder: string | null;
    hasPipefail: boolean;
  },
): Run | null {
  const script = text(node);
  if (node?.kind !== "scalar" || script === null) return null;
  // A block's text begins on the line behind its sign.
  const first = node.style === "block" ? node.line + 1 : node.line;
  const lineOf = (line: number) => Math.min(node.endLine, first + line - 1);
  return {
    ...{ text: script, line: node.line, endLine: node.endLine, folder, lineOf, hasPipefail },
    shell: isShell ? readShell(repository.parsers, script, lineOf) : null,
  };
}

function readContinues(node: YamlNode): Continues {
  const continues = at(node, "continue-on-error");
  const word = text(continues)?.trim().toLowerCase() ?? "false";
  const value = word === "true" ? "yes" : word === "false" ? "no" : "maybe";
  return { value, line: continues?.line ?? null };
}

function isOff(condition: string | null): boolean {
  return condition !== null && /^(\$\{\{)?\s*false\s*(\}\})?$/i.test(condition.trim());
}
