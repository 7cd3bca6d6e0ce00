import { gap, strength, unknown, weakness } from "../evidence.ts";
import type { CiJob } from "../models/ci-commands.ts";
import { unseenSystems } from "../models/ci-absence.ts";
import { type Component, componentsOf, type TestRun, testRunsOf } from "../models/tests.ts";
import { at, items, text } from "../yaml-node.ts";
import { unreadWorkflows, workflowsOf } from "../models/workflows.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** Tests that run after the merge tell who broke it, not that it would break. */
export const testsOnPullRequests: Rule = {
  id: "CI-16",
  name: "tests-on-pull-requests",
  area: "ci",
  severity: "p1",
  confidence: "medium",
  section: 4,
  title: "The tests of every part run on pull requests, and stop them",
  remedy: "run them in a workflow on `pull_request`, and require it before merging",
  check(repository) {
    const components = componentsOf(repository);
    const runs = testRunsOf(repository);
    const kinds = new Map(components.map((one) => [`${one.kind} ${one.language}`, one]));
    const unread = unreadWorkflows(workflowsOf(repository));
    const evidence = [...kinds.values()].map((one) =>
      judge(repository, one, { runs, several: components, isPartial: unread.length > 0 })
    );
    if (components.length === 0) {
      const run = runs.find(({ job, soft }) => isOnPull(job) && !soft);
      if (run) evidence.push(strength(run.file, run.line, "tests run on pull requests"));
    }
    evidence.push(...unread);
    return conclude(evidence, {
      status: "not-applicable",
      summary: "no back end and no web application was found",
    });
  },
};

type Sight = { runs: readonly TestRun[]; several: readonly Component[]; isPartial: boolean };

function judge(
  repository: Repository,
  { kind, language, file }: Component,
  { runs, several, isPartial }: Sight,
): Evidence {
  const own = runs.filter((run) => run.language === language && isOf(run, kind, several));
  const onPull = own.filter(({ job }) => isOnPull(job));
  const hard = onPull.find(({ soft }) => !soft);
  if (hard) return strength(hard.file, hard.line, `the ${kind}'s tests run on pull requests`);
  const [soft] = onPull;
  if (soft?.soft) {
    return gap(soft.file, soft.line, `the ${kind}'s tests stop nothing: ${soft.soft.reason}`);
  }
  const [late] = own;
  if (late) {
    return weakness(late.file, late.line, `the ${kind}'s tests run, but not on pull requests`);
  }
  const [other] = unseenSystems(repository);
  if (other || isPartial) {
    return unknown(other?.file ?? file, null, `whether CI runs the ${kind}'s tests can't be read`);
  }
  return gap(file, null, `nothing in CI runs tests of the ${kind}`);
}

/** Where web and back end are of one language, a run belongs to the one in whose folder it works. */
function isOf(run: TestRun, kind: Component["kind"], components: readonly Component[]): boolean {
  const same = components.filter(({ language }) => language === run.language);
  if (new Set(same.map((one) => one.kind)).size < 2) return true;
  const folder = run.file.startsWith(".github/") ? run.step?.run?.folder ?? "" : run.file;
  const owner = same.filter((one) => one.folder !== "" && folder.startsWith(one.folder));
  return owner.length === 0 || owner.some((one) => one.kind === kind);
}

function isOnPull({ triggers, github, system }: CiJob): boolean {
  if (system === "gitlab") return true;
  const condition = github?.job.if ?? "";
  if (/event_name\s*==\s*'(push|schedule|workflow_dispatch|release)'/.test(condition)) return false;
  if (/event_name\s*!=\s*'pull_request'/.test(condition)) return false;
  if (triggers.some((one) => /^(pull_request|pull_request_target|merge_group)$/.test(one))) {
    return true;
  }
  const push = github?.workflow.triggers.find(({ name }) => name === "push");
  if (!push) return false;
  // Without a filter, a branch is tested as soon as it is pushed.
  const branches = items(at(push.node, "branches")).map((one) => text(one) ?? "");
  const hasTags = at(push.node, "tags") !== null;
  return branches.length === 0 ? !hasTags : branches.some((one) => one === "**" || one === "*");
}
