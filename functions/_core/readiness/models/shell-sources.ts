import type { Repository, RepositoryFile } from "../repository.ts";
import { dockerfiles } from "./dockerfiles.ts";
import { gitlabJobs } from "./gitlab.ts";
import { readShell, type Shell } from "./shell.ts";
import { scriptsOf, targetsOf } from "./task-files.ts";
import { type Job, type Step, stepsOf, type Workflow, workflowsOf } from "./workflows.ts";

/** A shell text of the repository, wherever it stands; its commands' lines are those of `file`. */
export type ShellSource = {
  file: string;
  kind: "workflow" | "gitlab" | "image" | "script" | "make";
  shell: Shell;
  line: number;
  /** Where it stands in a workflow. */
  step: { workflow: Workflow; job: Job; step: Step } | null;
};

/**
 * Every shell text: steps of workflows, RUN instructions, scripts, recipes.
 *
 * @example
 * shellSources(repository).flatMap(({ shell }) => shell.commands);
 */
export function shellSources(repository: Repository): ShellSource[] {
  return repository.once("shell sources", () => {
    const sources: ShellSource[] = [];
    for (const place of stepsOf(workflowsOf(repository))) {
      const { run } = place.step;
      const { file } = place.workflow;
      if (!run?.shell) continue;
      sources.push({ file, kind: "workflow", shell: run.shell, line: run.line, step: place });
    }
    for (const { runs } of gitlabJobs(repository)) {
      for (const { run, file } of runs) {
        if (!run.shell) continue;
        sources.push({ file, kind: "gitlab", shell: run.shell, line: run.line, step: null });
      }
    }
    sources.push(...imageSources(repository));
    for (const { file, shell } of scriptsOf(repository)) {
      sources.push({ file, kind: "script", shell, line: 1, step: null });
    }
    for (const { path } of repository.matching(/(^|\/)((GNU)?[Mm]akefile|[Jj]ustfile)$/)) {
      const tasks = [...targetsOf(repository, folderOf(path)).values()];
      for (const { shells } of tasks.filter((one) => one.file === path)) {
        for (const { shell } of shells) {
          const line = shell.commands[0]?.line ?? 1;
          sources.push({ file: path, kind: "make", shell, line, step: null });
        }
      }
    }
    return sources;
  });
}

const folderOf = (path: string) => path.slice(0, Math.max(0, path.lastIndexOf("/")));

function imageSources(repository: Repository): ShellSource[] {
  return dockerfiles(repository).flatMap(({ file, stages }) =>
    stages.flatMap(({ instructions }) =>
      instructions.flatMap(({ keyword, line, endLine, exec, heredocs }): ShellSource[] => {
        if (keyword !== "RUN" || exec) return [];
        const base = { file: file.path, kind: "image", line, step: null } as const;
        if (heredocs.length > 0) {
          return heredocs.map((one) => ({
            ...base,
            shell: readShell(repository.parsers, one.text, (at) => one.line + at - 1),
          }));
        }
        const text = runText(file, line, endLine);
        const lineOf = (at: number) => Math.min(endLine, line + at - 1);
        return [{ ...base, shell: readShell(repository.parsers, text, lineOf) }];
      })
    )
  );
}

/** A RUN as it stands in the file, so that its lines hold; comments inside it vanish, as the builder drops them. */
function runText({ text }: RepositoryFile, line: number, endLine: number): string {
  const lines = (text ?? "").split("\n").slice(line - 1, endLine);
  const kept = lines.map((one, at) => {
    const bare = one.replace(/\r$/, "").replace(/\\[ \t]+$/, "\\");
    return at > 0 && (/^\s*#/.test(bare) || bare.trim() === "") ? "\\" : bare;
  });
  kept[0] = (kept[0] ?? "").replace(/^\s*(ONBUILD\s+)?RUN\s+/i, "").replace(/^(--\S+\s+)+/, "");
  // Flags may go on on the next lines.
  for (let at = 0; at < kept.length - 1 && /^\s*(--\S+\s*)*\\?$/.test(kept[at] ?? ""); at++) {
    kept[at] = "\\";
    kept[at + 1] = (kept[at + 1] ?? "").replace(/^\s*(--\S+\s*)+/, "");
  }
  return kept.join("\n");
}

/** Whether a text that could not be read whole speaks of downloads: only then does it matter to those who ask. */
export function mayDownload(repository: Repository, { file, step }: ShellSource): boolean {
  const text = step?.step.run?.text ?? repository.file(file)?.text ?? "";
  return /\b(curl|wget)\b/.test(text);
}
