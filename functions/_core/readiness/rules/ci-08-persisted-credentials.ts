import { gap, strength, weakness } from "../evidence.ts";
import { withoutWorkflows } from "../models/ci-absence.ts";
import { type Job, unreadWorkflows, type Workflow, workflowsOf } from "../models/workflows.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const PUSHERS =
  /auto-commit|create-pull-request|semantic-release|changesets\/action|release-please|gh-pages|github-pages-deploy|add-and-commit|push-action|helm\/chart-releaser|pages-deploy/;

/** `actions/checkout` leaves the token in .git/config, where every later step and every artifact finds it. */
export const persistedCredentials: Rule = {
  id: "CI-08",
  name: "persisted-credentials",
  area: "ci",
  severity: "p2",
  confidence: "medium",
  section: 4,
  title: "A checkout doesn't leave a token that may write on the disk",
  remedy: "set `persist-credentials: false` at the checkout, except in a job that pushes",
  check(repository) {
    const workflows = workflowsOf(repository);
    const evidence = workflows.all.flatMap((workflow) =>
      workflow.jobs.flatMap((job) => judge(workflow, job))
    );
    evidence.push(...unreadWorkflows(workflows));
    return conclude(evidence, withoutWorkflows(repository, "no workflow checks anything out"));
  },
};

function judge({ file, kind, permissions }: Workflow, job: Job): Evidence[] {
  const checkouts = job.steps.filter(({ uses }) => uses?.repository === "actions/checkout");
  if (checkouts.length === 0) return [];
  const pushes = job.steps.some(({ uses, run }) =>
    PUSHERS.test(uses?.repository ?? "") ||
    run?.shell?.commands.some(({ program, args }) =>
      (program === "git" && args.includes("push")) ||
      /semantic-release|lerna|changeset/.test(program)
    )
  );
  const set = job.permissions ?? permissions;
  const writes = set !== null &&
    (set.all === "write" || set.scopes.get("contents")?.access === "write" ||
      set.scopes.get("packages")?.access === "write");
  const uploads = job.steps.some(({ uses, with: given }) =>
    uses?.repository === "actions/upload-artifact" &&
    given.some(({ name, value }) =>
      name === "path" &&
      value.split("\n").some((one) =>
        /^(\.\/?|\*\*\/?\*?|\$\{\{\s*github\.workspace\s*\}\}\/?)$/
          .test(one.trim())
      )
    )
  );
  return checkouts.map(({ uses, with: given, line: own }) => {
    const line = uses?.line ?? own;
    const persist = given.find(({ name }) => name === "persist-credentials");
    if (persist?.value === "false") return strength(file, persist.line, "the token is not kept");
    if (uploads) return gap(file, line, "the token is kept, and the job uploads its folder");
    if (pushes) return strength(file, line, "the job pushes with the token that is kept");
    if (writes) return gap(file, line, "a token that may write is kept on the disk");
    if (set === null && kind === "workflow") {
      return weakness(file, line, "the token is kept, and nothing says what it may do");
    }
    return strength(file, line, "the token that is kept may only read");
  });
}
