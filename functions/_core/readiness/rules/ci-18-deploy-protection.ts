import { gap, strength, weakness } from "../evidence.ts";
import { withoutWorkflows } from "../models/ci-absence.ts";
import { type Delivery, deploysOf } from "../models/deploys.ts";
import { readsSecret } from "../models/job-secrets.ts";
import { unreadWorkflows, workflowsOf } from "../models/workflows.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** An environment is where GitHub keeps who may deploy, from which branch, and with which secrets. */
export const deployProtection: Rule = {
  id: "CI-18",
  name: "deploy-protection",
  area: "ci",
  severity: "p1",
  confidence: "medium",
  section: 4,
  title: "Jobs that deploy run in an environment, with secrets that no other job sees",
  remedy:
    "name an `environment:` at the job, require a reviewer for it, and move its secrets there",
  check(repository) {
    const evidence = deploysOf(repository).flatMap(judge);
    evidence.push(...unreadWorkflows(workflowsOf(repository)));
    return conclude(evidence, withoutWorkflows(repository, "no workflow deploys"));
  },
};

function judge({ workflow, job, what }: Delivery): Evidence[] {
  const { file, triggers, env } = workflow;
  const evidence: Evidence[] = [];
  if (workflow.kind === "action") return [];
  if (!job.environment) {
    evidence.push(gap(file, job.line, `the job ${job.id} deploys (${what}) in no environment`));
  }
  const secret = env.find(({ value }) => readsSecret(value));
  if (secret) {
    evidence.push(
      gap(
        file,
        secret.line,
        `every job of the workflow that deploys has the secret ${secret.name}`,
      ),
    );
  }
  const pull = triggers.find(({ name }) => /^pull_request(_target)?$/.test(name));
  const conditions = [job.if, ...job.steps.map((step) => step.if)].join(" ");
  const isGuarded = /github\.(ref|event_name|base_ref)|merged|refs\/heads|push/.test(conditions);
  const isPreview = /preview|review|pr-|staging|dev/i.test(
    `${job.environment?.name} ${job.id} ${job.name}`,
  );
  if (pull && !isGuarded && !isPreview) {
    const isMerged = /closed/.test(JSON.stringify(pull.node));
    if (!isMerged) {
      evidence.push(gap(file, pull.line, `the job ${job.id} deploys from any pull request`));
    }
  }
  if (evidence.length > 0 || !job.environment) return evidence;
  const { name, line } = job.environment;
  return name === "" || /^\$\{\{/.test(name)
    ? [weakness(file, line, "which environment it is, is decided when it runs", { severity: "p2" })]
    : [
      strength(
        file,
        line,
        `it deploys in the environment ${name}; who must approve isn't in the files`,
      ),
    ];
}
