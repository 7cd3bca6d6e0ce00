import { gap, quote, strength, weakness } from "../evidence.ts";
import { withoutWorkflows } from "../models/ci-absence.ts";
import {
  type Job,
  type Step,
  unreadWorkflows,
  type Workflow,
  workflowsOf,
} from "../models/workflows.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const PRIVILEGED: ReadonlySet<string> = new Set([
  ...["pull_request_target", "workflow_run", "issue_comment"],
]);
/** What names a stranger's commit. */
const HEAD =
  /github\.head_ref|github\.event\.pull_request\.head\.|github\.event\.workflow_run\.(head_|pull_requests)|refs\/pull\/|github\.event\.(issue|pull_request)\.number/;
/** What keeps strangers out: the same repository, a known author, a push. */
const GUARD =
  /head\.repo\.full_name\s*==\s*github\.repository|head\.repo\.fork\s*(==\s*false|\))|!\s*github\.event\.pull_request\.head\.repo\.fork|author_association|workflow_run\.event\s*==\s*'(push|schedule|workflow_dispatch)'|head_repository\.full_name\s*==\s*github\.repository|github\.actor\s*==/;

/** Code of a stranger's branch, run with the token and the secrets of this repository. */
export const untrustedCheckout: Rule = {
  id: "CI-06",
  name: "untrusted-checkout",
  area: "ci",
  severity: "p0",
  confidence: "high",
  section: 4,
  title: "No workflow runs a stranger's code with the repository's rights",
  remedy: "run it on `pull_request`, without secrets, and hand results on as artifacts",
  check(repository) {
    const workflows = workflowsOf(repository);
    const live = workflows.all.filter(({ kind }) => kind === "workflow");
    const evidence = live.flatMap(judge);
    evidence.push(...unreadWorkflows(workflows));
    const [first] = live;
    if (first) {
      const message = `the triggers of ${live.length} workflows were read`;
      evidence.push(strength(first.file, first.triggers[0]?.line ?? 1, message));
    }
    return conclude(evidence, withoutWorkflows(repository, "no workflow is live"));
  },
};

function judge(workflow: Workflow): Evidence[] {
  const { file, triggers, jobs } = workflow;
  const trigger = triggers.find(({ name }) => PRIVILEGED.has(name));
  if (!trigger) return [];
  const evidence = jobs.flatMap((job) =>
    job.steps.flatMap((step) => {
      const what = takesHead(step, workflow, job);
      if (!what) return [];
      const isGuarded = GUARD.test(`${job.if ?? ""} ${step.if ?? ""}`);
      const line = step.uses?.line ?? step.run?.line ?? step.line;
      const message = `on ${trigger.name}, ${what}`;
      return [
        isGuarded
          ? weakness(file, line, `${message}; a condition keeps forks out`, { severity: "p2" })
          : gap(file, line, message),
      ];
    })
  );
  if (evidence.length > 0) return evidence;
  const fetches = jobs.some(({ steps }) =>
    steps.some(({ uses }) => /download-artifact/.test(uses?.repository ?? ""))
  );
  const message = `${trigger.name} runs with secrets and a token that may write` +
    (fetches ? "; what it downloads must be taken for data, never run" : "");
  return [weakness(file, trigger.line, message, { severity: "p2" })];
}

/** How a step comes to a stranger's commit. */
function takesHead(step: Step, workflow: Workflow, job: Job): string | null {
  const resolve = (value: string): string =>
    value.replace(/\$\{\{\s*env\.([A-Za-z_]\w*)\s*\}\}|\$\{?([A-Za-z_]\w*)\}?/g, (whole, a, b) => {
      const all = [...step.env, ...job.env, ...workflow.env];
      return all.find(({ name }) => name === (a ?? b))?.value ?? whole;
    });
  if (step.uses?.repository === "actions/checkout") {
    const ref = step.with.find(({ name }) => name === "ref" || name === "repository");
    const refs = step.with.filter(({ name }) => name === "ref" || name === "repository");
    const bad = refs.find(({ value }) => HEAD.test(resolve(value)));
    return bad && ref ? `the checkout takes ${quote(bad.value)}` : null;
  }
  for (const { program, args, text } of step.run?.shell?.commands ?? []) {
    if (program === "gh" && args[0] === "pr" && args[1] === "checkout") {
      return "`gh pr checkout` takes the branch";
    }
    const isGit = program === "git" && /^(checkout|switch|fetch|pull|merge)$/.test(args[0] ?? "");
    if (isGit && (HEAD.test(resolve(text)) || /\bpull\/\S+\/(head|merge)/.test(text))) {
      return `\`${quote(text)}\` takes the branch`;
    }
  }
  return null;
}
