import { gap, quote, strength, unknown } from "../evidence.ts";
import { type Download, downloadOf, piped } from "../models/downloads.ts";
import { holdsSecrets } from "../models/job-secrets.ts";
import { mayDownload, type ShellSource, shellSources } from "../models/shell-sources.ts";
import { stepsOf, unreadWorkflows, workflowsOf } from "../models/workflows.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule, type Severity } from "../rule.ts";

/** Whatever the server sends today runs, with the rights of the job, and half of it when the line breaks. */
export const pipedInstallers: Rule = {
  id: "CI-03",
  name: "piped-installers",
  area: "ci",
  severity: "p1",
  confidence: "high",
  section: 4,
  title: "Nothing that is downloaded goes straight into a shell",
  remedy:
    "download to a file, compare its SHA-256, then run it; or use the vendor's package or pinned action",
  check(repository) {
    const sources = shellSources(repository);
    const evidence = sources.flatMap((source) => judge(repository, source));
    evidence.push(...inPowerShell(repository), ...unreadWorkflows(workflowsOf(repository)));
    const first = sources[0];
    if (first) {
      const message = `${sources.length} shell texts were read`;
      evidence.push(strength(first.file, first.line, message));
    }
    return conclude(evidence, { status: "not-applicable", summary: "there is no shell text" });
  },
};

function judge(repository: Repository, source: ShellSource): Evidence[] {
  const { file, shell, step, kind } = source;
  const evidence = shell.commands.flatMap((command): Evidence[] => {
    const download = downloadOf(command);
    const runner = download && piped(download, shell);
    if (!download || !runner) return [];
    const job = step ? { severity: holdsSecrets(step) ? "p0" : "p1" } as const : {};
    const isManual = kind === "script" || kind === "make";
    const weight: { severity?: Severity } = isManual ? { severity: "p2" } : job;
    return [gap(file, command.line, says(download, runner.program, step !== null), weight)];
  });
  if (evidence.length === 0 && shell.problem && mayDownload(repository, source)) {
    return [unknown(file, shell.problem.line, `the shell here can't be read`)];
  }
  return evidence;
}

function says({ url }: Download, runner: string, isJob: boolean): string {
  const what = url ? quote(url, 60) : "what it downloads";
  return `${what} goes straight into ${runner}${isJob ? " in a job" : ""}`;
}

/** PowerShell's own form of it; its language is not parsed, the line is looked at. */
function inPowerShell(repository: Repository): Evidence[] {
  return stepsOf(workflowsOf(repository)).flatMap(({ workflow, step }) => {
    const { run } = step;
    if (!run || run.shell) return [];
    return run.text.split("\n").flatMap((line, at) =>
      /^\s*#/.test(line) ||
        !/\b(irm|iwr|invoke-restmethod|invoke-webrequest|downloadstring)\b/i.test(line) ||
        !/\b(iex|invoke-expression)\b/i.test(line)
        ? []
        : [
          gap(workflow.file, run.lineOf(at + 1), "what it downloads goes straight into PowerShell"),
        ]
    );
  });
}
