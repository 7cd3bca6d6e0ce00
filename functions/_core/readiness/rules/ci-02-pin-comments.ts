import { gap, strength } from "../evidence.ts";
import { withoutWorkflows } from "../models/ci-absence.ts";
import { unreadWorkflows, workflowsOf } from "../models/workflows.ts";
import { conclude, type Rule } from "../rule.ts";

/** Forty digits tell a reviewer nothing, and bots that update pins read the comment. */
export const pinComments: Rule = {
  id: "CI-02",
  name: "pin-comments",
  area: "ci",
  severity: "p2",
  confidence: "high",
  section: 4,
  title: "A pinned commit says in a comment which version it is",
  remedy: "put `# v1.2.3` behind the commit, on the same line",
  check(repository) {
    const workflows = workflowsOf(repository);
    const pinned = workflows.all.flatMap(({ file, jobs }) =>
      jobs.flatMap(({ uses, steps }) =>
        [uses, ...steps.map((step) => step.uses)].flatMap((one) =>
          one && one.isPinned && one.repository !== "" ? [{ file, uses: one }] : []
        )
      )
    );
    const evidence = pinned.map(({ file, uses: { comment, line, repository: name, ref } }) =>
      comment !== null && /\d|\b(main|master)\b/.test(comment)
        ? strength(file, line, `${name} says ${comment.slice(0, 40)}`)
        : gap(file, line, `${name}@${ref.slice(0, 7)}… doesn't say which version it is`)
    );
    evidence.push(...unreadWorkflows(workflows));
    return conclude(evidence, withoutWorkflows(repository, "no action is pinned to a commit"));
  },
};
