import { gap, strength, weakness } from "../evidence.ts";
import { withoutWorkflows } from "../models/ci-absence.ts";
import { unreadWorkflows, type Workflow, workflowsOf } from "../models/workflows.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** Without a word about them, a token gets what the repository's settings give, which used to be everything. */
export const workflowPermissions: Rule = {
  id: "CI-05",
  name: "workflow-permissions",
  area: "ci",
  severity: "p1",
  confidence: "high",
  section: 4,
  title: "Every workflow says what its token may do, and no more than it needs",
  remedy: "write `permissions: contents: read` at the top, and what one job needs at that job",
  check(repository) {
    const workflows = workflowsOf(repository);
    const evidence = workflows.all
      .filter(({ kind, jobs }) => kind === "workflow" && jobs.length > 0)
      .flatMap(judge);
    evidence.push(...unreadWorkflows(workflows));
    return conclude(evidence, withoutWorkflows(repository, "no workflow has a token of its own"));
  },
};

function judge({ file, permissions, jobs, triggers }: Workflow): Evidence[] {
  const evidence: Evidence[] = [];
  if (permissions?.all === "write") {
    evidence.push(gap(file, permissions.line, "write-all gives every job every right"));
  }
  for (const { id, permissions: own } of jobs) {
    if (own?.all === "write") {
      evidence.push(gap(file, own.line, `the job ${id} has write-all`));
    }
  }
  const bare = permissions ? [] : jobs.filter((job) => !job.permissions);
  // A workflow that only others call gets what they give it.
  const isCalled = triggers.length > 0 && triggers.every(({ name }) => name === "workflow_call");
  if (bare.length > 0 && !isCalled) {
    const names = bare.map(({ id }) => id);
    const whose = names.length > 3 ? `${names.length} jobs` : names.join(", ");
    evidence.push(
      gap(file, bare[0]?.line ?? null, `no permissions are set for ${whose}`),
    );
  }
  const writes = [...permissions?.scopes ?? []].filter(([, { access }]) => access === "write");
  const inherit = jobs.filter((job) => !job.permissions);
  if (writes.length > 0 && inherit.length > 1) {
    const [scope, { line }] = writes[0] ?? ["", { line: permissions?.line ?? 1 }];
    const message = `all ${inherit.length} jobs may write ${scope}: give it to the one that does`;
    evidence.push(weakness(file, line, message, { severity: "p2" }));
  }
  if (evidence.length > 0) return evidence;
  if (permissions) return [strength(file, permissions.line, "the token's rights are set")];
  const [first] = jobs.flatMap((job) => job.permissions ?? []);
  return first ? [strength(file, first.line, "each job sets its token's rights")] : [];
}
