import type { Repository } from "../repository.ts";
import { at, entries, items, text } from "../yaml-node.ts";
import { type CiJob, ciOf } from "./ci-commands.ts";
import { gitlabTemplates } from "./gitlab.ts";
import {
  ACTIONS,
  type Asked,
  HOOKS,
  PROGRAMS,
  type ScannerClass,
  TEMPLATES,
} from "./scanner-tools.ts";
import { toolOf } from "./shell-tools.ts";
import { isRecord } from "./task-files.ts";
import { stepsOf, workflowsOf } from "./workflows.ts";

/** A scanner where it is asked. */
export type Found = {
  looksFor: ScannerClass;
  tool: string;
  file: string;
  line: number;
  /** `hook`: on a developer's machine, where nobody need have it. */
  where: "ci" | "hook";
  job: CiJob | null;
  /** Why a finding stops nothing. */
  soft: { reason: string; file: string; line: number } | null;
};

/**
 * Every scanner that CI runs or a hook offers.
 *
 * @example
 * scannersOf(repository).some(({ looksFor, where }) => looksFor === "secrets" && where === "ci");
 */
export function scannersOf(repository: Repository): Found[] {
  return repository.once("scanners", () => [
    ...inActions(repository),
    ...inCommands(repository),
    ...inTemplates(repository),
    ...inHooks(repository),
  ]);
}

function inActions(repository: Repository): Found[] {
  const jobs = ciOf(repository).jobs;
  return stepsOf(workflowsOf(repository)).flatMap(({ workflow, job, step }): Found[] => {
    const { uses } = step;
    if (!uses) return [];
    const image = uses.kind === "docker" ? uses.path.split(/[:@]/)[0]?.split("/").at(-1) : null;
    const input = (name: string) =>
      step.with.find((one) => one.name.toLowerCase() === name)?.value ?? null;
    const asked: Asked = { input, args: (input("args") ?? "").split(/\s+/).filter(Boolean) };
    const scanner = image
      ? Object.hasOwn(PROGRAMS, image) ? PROGRAMS[image] : undefined
      : ACTIONS.find(([name]) => name.test(uses.repository))?.[1];
    if (!scanner) return [];
    // CodeQL's parts: only the analysis looks at anything.
    if (scanner.tool === "codeql" && uses.path !== "analyze") return [];
    const own = step.continues.value === "yes"
      ? { reason: "its step continues on error", line: step.continues.line ?? uses.line }
      : job.continues.value === "yes"
      ? { reason: "its job continues on error", line: job.continues.line ?? uses.line }
      : null;
    const asks = scanner.soft?.(asked) ?? null;
    const soft = own ?? (asks === null ? null : { reason: asks, line: uses.line });
    const one = jobs.find(({ github }) => github?.job === job) ?? null;
    return scanner.looksFor(asked).map((looksFor) => ({
      ...{ looksFor, tool: scanner.tool, file: workflow.file, line: uses.line, where: "ci" },
      ...{ job: one, soft: soft && { ...soft, file: workflow.file } },
    }));
  });
}

function inCommands(repository: Repository): Found[] {
  return ciOf(repository).commands.flatMap(({ command, file, line, job, soft }): Found[] => {
    const { name, args } = inContainer(toolOf(command));
    if (name === "cargo" && args[0] === "audit") {
      const tool = "cargo audit";
      return [{ looksFor: "dependencies", tool, file, line, where: "ci", job, soft }];
    }
    const rules = ruffSecurity(repository);
    if (name === "ruff" && args[0] === "check" && (rules || selectsSecurity(args))) {
      const quiet = args.includes("--exit-zero") ? { reason: "`--exit-zero`", file, line } : null;
      const tool = "ruff (flake8-bandit)";
      return [{ looksFor: "code", tool, file, line, where: "ci", job, soft: soft ?? quiet }];
    }
    const scanner = Object.hasOwn(PROGRAMS, name) ? PROGRAMS[name] : undefined;
    if (!scanner || args.some((one) => /^(--version|--help|-h|version|help)$/.test(one))) return [];
    const asked: Asked = { input: () => null, args };
    const asks = scanner.soft?.(asked) ?? null;
    const own = soft ?? (asks === null ? null : { reason: asks, file, line });
    return scanner.looksFor(asked).map((looksFor) => ({
      ...{ looksFor, tool: scanner.tool, file, line, where: "ci", job, soft: own },
    }));
  });
}

/** `docker run --rm -v … aquasec/trivy image x` is `trivy image x`. */
export function inContainer(
  { name, args }: { name: string; args: string[] },
): { name: string; args: string[] } {
  if (name !== "docker" || args[0] !== "run") return { name, args };
  const image = args.findIndex((one, index) =>
    index > 0 && /^[\w.-]+(\.[\w.-]+)?(\/[\w.-]+)*(:[\w.-]+)?(@sha256:\w+)?$/.test(one) &&
    Object.hasOwn(PROGRAMS, programOf(one))
  );
  return image < 0 ? { name, args } : {
    name: programOf(args[image] ?? ""),
    args: args.slice(image + 1),
  };
}

function programOf(image: string): string {
  return image.split("@")[0]?.split("/").at(-1)?.split(":")[0] ?? "";
}

const selectsSecurity = (args: readonly string[]) =>
  args.some((one, index) =>
    /^--(extend-)?select=.*\bS\b/.test(one) ||
    (/^--(extend-)?select$/.test(one) && /\b(S|ALL)\b/.test(args[index + 1] ?? ""))
  );

/** Whether ruff's settings ask for the security rules. */
function ruffSecurity(repository: Repository): boolean {
  return repository.once(
    "ruff security",
    () =>
      repository.matching(/(^|\/)(pyproject|\.?ruff)\.toml$/).some((file) => {
        const toml = repository.parse(file, repository.parsers.toml);
        const tool = isRecord(toml?.["tool"]) ? toml["tool"]["ruff"] : toml;
        if (!isRecord(tool)) return false;
        const places = [tool, isRecord(tool["lint"]) ? tool["lint"] : {}];
        return places.some((place) =>
          [place["select"], place["extend-select"]].some((list) =>
            Array.isArray(list) && list.some((one) => /^(ALL|S\d*)$/.test(String(one)))
          )
        );
      }),
  );
}

function inTemplates(repository: Repository): Found[] {
  return gitlabTemplates(repository).flatMap(({ name, file, line }) =>
    TEMPLATES.flatMap(([template, looksFor]): Found[] =>
      template.test(name)
        ? [{ looksFor, tool: name, file, line, where: "ci", job: null, soft: null }]
        : []
    )
  );
}

/** Hooks: enforced where CI runs pre-commit on all files, or its service does. */
function inHooks(repository: Repository): Found[] {
  const run = ciOf(repository).commands.find(({ command }) => {
    const { name, args } = toolOf(command);
    return (name === "pre-commit" || name === "prek") && args[0] === "run";
  });
  const action = stepsOf(workflowsOf(repository)).find(({ step }) =>
    step.uses?.repository === "pre-commit/action" || step.uses?.repository === "j178/prek-action"
  );
  return repository.matching(/^\.pre-commit-config\.ya?ml$/).flatMap((file) => {
    const root = repository.parse(file, repository.parsers.yaml)?.[0] ?? null;
    const isService = entries(root).some(({ key }) => key === "ci");
    const isEnforced = run !== undefined || action !== undefined || isService;
    return items(at(root, "repos")).flatMap((repo) =>
      items(at(repo, "hooks")).flatMap((hook): Found[] => {
        const id = text(at(hook, "id")) ?? "";
        const looksFor = Object.hasOwn(HOOKS, id) ? HOOKS[id] : undefined;
        return looksFor
          ? [{
            ...{ looksFor, tool: `the hook ${id}`, file: file.path, line: hook.line },
            ...{ where: isEnforced ? "ci" : "hook", job: null, soft: run?.soft ?? null },
          }]
          : [];
      })
    );
  });
}
