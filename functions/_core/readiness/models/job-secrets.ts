import type { Job, Step, Workflow } from "./workflows.ts";
import { expressionsOf, type Setting } from "./workflow-parts.ts";

const SECRET = /\bsecrets\s*(\.|\[)/i;
const TOKEN = /\bsecrets\s*(\.\s*github_token\b|\[\s*'github_token'\s*\])/gi;

/** Whether a text reads a secret other than the job's own token. */
export function readsSecret(value: string): boolean {
  return expressionsOf(value).some(({ text }) =>
    SECRET.test(text.replace(TOKEN, "")) || /tojson\(\s*secrets\s*\)/i.test(text)
  );
}

/** The settings that carry secrets into a step: the workflow's, the job's and its own. */
export function secretSettings(
  { workflow, job, step }: { workflow: Workflow; job: Job; step: Step },
): Setting[] {
  return [...workflow.env, ...job.env, ...step.env].filter(({ value }) => readsSecret(value));
}

/**
 * Whether code that runs in a job comes near secrets or a cloud's identity: what one step starts can wait for the next.
 *
 * @example
 * holdsSecrets({ workflow, job });
 */
export function holdsSecrets({ workflow, job }: { workflow: Workflow; job: Job }): boolean {
  const rights = job.permissions ?? workflow.permissions;
  if (rights?.all === "write" || rights?.scopes.get("id-token")?.access === "write") return true;
  return handsSecrets({ workflow, job });
}

/** Whether any part of a job is given a secret. */
export function handsSecrets({ workflow, job }: { workflow: Workflow; job: Job }): boolean {
  const settings = [
    ...[workflow.env, job.env, job.with],
    ...job.steps.flatMap((step) => [step.env, step.with]),
  ].flat();
  return settings.some(({ value }) => readsSecret(value)) ||
    job.steps.some(({ run }) => run !== null && readsSecret(run.text));
}
