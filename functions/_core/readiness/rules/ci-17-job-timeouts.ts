import { gap, strength } from "../evidence.ts";
import { withoutWorkflows } from "../models/ci-absence.ts";
import { deploysOf } from "../models/deploys.ts";
import { unreadWorkflows, workflowsOf } from "../models/workflows.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** A job that hangs blocks the queue for six hours, and two deploys at once leave either's half. */
export const jobTimeouts: Rule = {
  id: "CI-17",
  name: "job-timeouts",
  area: "ci",
  severity: "p2",
  confidence: "high",
  section: 4,
  title: "Jobs end in time, and only one deploys at once",
  remedy: "set `timeout-minutes` at every job, and a `concurrency` group where something deploys",
  check(repository) {
    const workflows = workflowsOf(repository);
    const live = workflows.all.filter(({ kind }) => kind === "workflow");
    const evidence: Evidence[] = live.flatMap(({ file, jobs }) =>
      // A job that calls a workflow can't set a time.
      jobs.filter(({ uses }) => !uses).map(({ id, line, timeout }) =>
        timeout
          ? strength(file, timeout.line, `the job ${id} ends after ${timeout.value} minutes`)
          : gap(file, line, `the job ${id} may run for six hours`)
      )
    );
    for (const { workflow, job } of deploysOf(repository)) {
      if (workflow.kind === "action" || job.concurrency || workflow.concurrency) continue;
      evidence.push(gap(workflow.file, job.line, `two runs of ${job.id} may deploy at once`));
    }
    evidence.push(...unreadWorkflows(workflows));
    return conclude(evidence, withoutWorkflows(repository, "no job could hang"));
  },
};
