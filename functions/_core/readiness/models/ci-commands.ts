import type { Repository } from "../repository.ts";
import { gitlabJobs } from "./gitlab.ts";
import { type Command, isShell, type Shell } from "./shell.ts";
import { toolOf } from "./shell-tools.ts";
import { packagesOf, scriptAt, targetsOf, type Task } from "./task-files.ts";
import { type Job, type Run, type Step, type Workflow, workflowsOf } from "./workflows.ts";

/** What runs in CI: a job of a workflow, or of GitLab. */
export type CiJob = {
  file: string;
  id: string;
  system: "github" | "gitlab";
  /** The events of its workflow; `pull_request` and `push` stand for GitLab's pipelines. */
  triggers: string[];
  github: { workflow: Workflow; job: Job } | null;
  /** GitLab's `allow_failure` or GitHub's `continue-on-error`. */
  isSoft: boolean;
};

/** A command that CI runs, in a step or in what a step calls (scripts, make, package scripts), where it stands. */
export type CiCommand = {
  command: Command;
  shell: Shell;
  file: string;
  line: number;
  job: CiJob;
  step: Step | null;
  /** Why its failure stops nothing, null where it does stop the job. */
  soft: { reason: string; file: string; line: number } | null;
};

export type Ci = { jobs: CiJob[]; commands: CiCommand[] };

const MOST_CALLS = 4;
const MOST_COMMANDS = 20_000;
const MOST_JUDGED = 3_000;

/**
 * Every command that CI reaches.
 *
 * @example
 * ciOf(repository).commands.filter(({ command }) => toolOf(command).name === "pytest");
 */
export function ciOf(repository: Repository): Ci {
  return repository.once("ci", () => {
    const ci: Ci = { jobs: [], commands: [] };
    const workflows = workflowsOf(repository).all;
    for (const workflow of workflows) {
      for (const job of workflow.jobs) {
        const one: CiJob = {
          ...{ file: workflow.file, id: job.id, system: "github" },
          triggers: triggersOf(workflow, workflows, 0),
          github: { workflow, job },
          isSoft: job.continues.value === "yes",
        };
        ci.jobs.push(one);
        for (const step of job.steps) {
          if (step.run) addRun(repository, ci, { run: step.run, job: one, step, file: one.file });
        }
      }
    }
    for (const { job, runs } of gitlabJobs(repository)) {
      ci.jobs.push(job);
      for (const { run, file } of runs) addRun(repository, ci, { run, job, step: null, file });
    }
    return ci;
  });
}

/** The events that start a workflow, those of its callers among them. */
function triggersOf(workflow: Workflow, all: readonly Workflow[], depth: number): string[] {
  const own = workflow.triggers.map(({ name }) => name);
  if (depth > 3) return own;
  const folder = workflow.file.replace(/\/?action\.ya?ml$/, "");
  const callers = all.filter(({ jobs }) =>
    jobs.some((job) =>
      [job, ...job.steps].some(({ uses }) =>
        uses !== null && uses.path !== "" && (uses.path === workflow.file || uses.path === folder)
      )
    )
  );
  return [
    ...new Set([...own, ...callers.flatMap((one) => triggersOf(one, all, depth + 1))]),
  ];
}

type At = {
  file: string;
  job: CiJob;
  step: Step | null;
  folder: string | null;
  soft: CiCommand["soft"];
  hasPipefail: boolean;
  calls: readonly string[];
};

function addRun(
  repository: Repository,
  ci: Ci,
  { run, job, step, file }: { run: Run; job: CiJob; step: Step | null; file: string },
) {
  if (!run.shell) return;
  const line = step?.continues.line ?? null;
  const soft = step?.continues.value === "yes" && line !== null
    ? { reason: "its step continues on error", file, line }
    : job.isSoft
    ? { reason: "its job may fail", file, line: job.github?.job.continues.line ?? run.line }
    : null;
  const here = { file, job, step, folder: run.folder, soft, calls: [] };
  addShell(repository, ci, run.shell, { ...here, hasPipefail: run.hasPipefail });
}

function addShell(repository: Repository, ci: Ci, shell: Shell, at: At): void {
  let { folder, hasPipefail } = at;
  for (const command of shell.commands) {
    if (ci.commands.length >= MOST_COMMANDS) return;
    const { program, args } = command;
    if (program === "set" && args.some((one) => one === "pipefail")) hasPipefail = true;
    const why = softness(command, shell, hasPipefail);
    const soft = at.soft ?? (why ? { reason: why, file: at.file, line: command.line } : null);
    const { file, job, step } = at;
    ci.commands.push({ command, shell, file, line: command.line, job, step, soft });
    if (command.via === "remote") continue;
    if (program === "cd" && command.parent === null && !command.within.includes("subshell")) {
      folder = join(folder, args[0] ?? "");
    }
    if (at.calls.length >= MOST_CALLS) continue;
    const inner = { ...at, folder, soft, hasPipefail: false };
    for (const task of tasksOf(repository, command, folder)) addTask(repository, ci, task, inner);
    const script = scriptOf(repository, command, folder);
    if (script && !at.calls.includes(script.path)) {
      const calls = [...at.calls, script.path];
      addShell(repository, ci, script.shell, { ...inner, file: script.path, calls });
    }
  }
}

function addTask(repository: Repository, ci: Ci, task: Task, at: At): void {
  const call = `${task.file}#${task.name}`;
  if (at.calls.includes(call) || at.calls.length >= MOST_CALLS) return;
  const calls = [...at.calls, call];
  const folder = task.file.slice(0, Math.max(0, task.file.lastIndexOf("/")));
  for (const name of task.needs) {
    const need = targetsOf(repository, folder).get(name);
    if (need) addTask(repository, ci, need, { ...at, calls });
  }
  for (const { shell, isForgiven } of task.shells) {
    const soft = at.soft ??
      (isForgiven
        ? { reason: "make goes on when it fails", file: task.file, line: task.line }
        : null);
    addShell(repository, ci, shell, { ...at, file: task.file, folder, soft, calls });
  }
}

/** Why the status of a command is lost in its own script. */
function softness(command: Command, shell: Shell, hasPipefail: boolean): string | null {
  if (shell.commands.length > MOST_JUDGED) return "its script is too long to be judged";
  for (const { id, item, operators } of command.lists) {
    const or = operators.indexOf("||", item);
    if (or < 0) continue;
    const otherwise = shell.commands.filter(({ lists }) =>
      lists.some((one) => one.id === id && one.item > or)
    );
    if (otherwise.length > 0 && otherwise.every(isHarmless)) {
      return `\`|| ${otherwise[0]?.text ?? "true"}\` follows it`;
    }
  }
  const isLast = command.pipes.every(({ stage, stages }) => stage === stages - 1);
  if (!isLast && !hasPipefail) return "a pipe without pipefail hides its status";
  const fails = () =>
    shell.commands.some((one) =>
      (one.program === "exit" || one.program === "return") && one.args[0] !== "0"
    );
  if (command.isTested && !fails()) return "a condition takes its status";
  return command.isBackground ? "it runs in the background" : null;
}

function isHarmless({ program, args }: Command): boolean {
  return ["true", ":", "echo", "printf", "cat"].includes(program) ||
    (program === "exit" && args[0] === "0");
}

/** A path from the root of the tree, null where it can't be told. */
function join(folder: string | null, path: string): string | null {
  if (folder === null || path === "" || /[$`*~]/.test(path) || path.startsWith("/")) return null;
  const parts = folder === "" ? [] : folder.split("/");
  for (const part of path.split("/")) {
    if (part === "..") {
      if (parts.pop() === undefined) return null;
    } else if (part !== "." && part !== "") parts.push(part);
  }
  return parts.join("/");
}

function scriptOf(
  repository: Repository,
  command: Command,
  folder: string | null,
): { path: string; shell: Shell } | null {
  const { program, words } = command;
  // `uv run bash scripts/test.sh` is the script, too.
  const tool = toolOf(command);
  if (program === "docker" || program === "docker-compose") {
    return inContainer(repository, tool.args);
  }
  const isRun = isShell(tool.name) || tool.name === "source" || tool.name === ".";
  const given = isRun
    ? tool.args.find((one) => !/^[-+]/.test(one))
    : /\.sh$/.test(tool.name)
    ? words.find(({ value }) => value.endsWith(tool.name))?.value
    : words[0]?.value;
  if (!given?.includes("/") && !given?.endsWith(".sh")) return null;
  for (const from of [folder, ""]) {
    const path = join(from, given);
    const shell = path === null || path === "" ? null : scriptAt(repository, path);
    if (path !== null && shell) return { path, shell };
  }
  return null;
}

/** `docker compose exec api bash scripts/test.sh`: the path counts from the image's folder, so its end is looked for. */
function inContainer(
  repository: Repository,
  args: readonly string[],
): { path: string; shell: Shell } | null {
  if (!args.includes("exec") && !args.includes("run")) return null;
  const given = args.find((one) => /^[\w./-]+\.sh$/.test(one))?.replace(
    /^(\.?\/)+(app\/|code\/|src\/)?/,
    "",
  );
  if (!given) return null;
  const file = repository.files.find(({ path }) => path === given || path.endsWith(`/${given}`));
  const shell = file ? scriptAt(repository, file.path) : null;
  return file && shell ? { path: file.path, shell } : null;
}

const RUNNERS = new Set(["npm", "pnpm", "yarn", "bun"]);

/** The tasks that a command names. */
function tasksOf(repository: Repository, command: Command, folder: string | null): Task[] {
  const { name, args } = toolOf(command);
  if (["make", "gmake", "just"].includes(name)) {
    const option = args.findIndex((one) => /^(-C|--directory)$/.test(one));
    const where = option < 0 ? folder ?? "" : join(folder ?? "", args[option + 1] ?? "");
    const targets = targetsOf(repository, where ?? "");
    const names = args.filter((one, at) =>
      !/^-|=/.test(one) && !/^(-C|-f|-j|--directory)$/.test(args[at - 1] ?? "")
    );
    if (names.length === 0 && targets.size > 0) names.push(targets.keys().next().value ?? "");
    return names.flatMap((one) => targets.get(one) ?? []);
  }
  const packages = packagesOf(repository);
  const isMany = name === "turbo" || name === "nx" || name === "lerna";
  if (!RUNNERS.has(name) && !isMany && !/^(run-[sp]|npm-run-all\d?)$/.test(name)) return [];
  const option = args.findIndex((one) => /^(-C|--prefix|--cwd|--dir)$/.test(one));
  const where = option < 0 ? folder : join(folder, args[option + 1] ?? "");
  const isWide = isMany ||
    args.some((one) => /^(-r|--recursive|--workspaces?|-ws|-w|--filter|-F)\b/.test(one)) ||
    args[0] === "workspace" || args[0] === "workspaces";
  const own = packages.filter((one) => one.folder === (where ?? ""));
  const names = args.filter((one) => !one.startsWith("-"));
  const asked = new Set(names.map((one) => one === "t" ? "test" : one));
  const among = isWide ? packages : own;
  return among.flatMap(({ tasks }) =>
    [...tasks.values()].filter(({ name: one }) => asked.has(one))
  );
}
