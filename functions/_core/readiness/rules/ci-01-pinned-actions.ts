import { gap, strength } from "../evidence.ts";
import { withoutWorkflows } from "../models/ci-absence.ts";
import type { Uses } from "../models/workflow-parts.ts";
import { unreadWorkflows, workflowsOf } from "../models/workflows.ts";
import { conclude, type Rule } from "../rule.ts";

/** A tag can be moved to other code by whoever holds its repository; a commit can't. */
export const pinnedActions: Rule = {
  id: "CI-01",
  name: "pinned-actions",
  area: "ci",
  severity: "p1",
  confidence: "high",
  section: 4,
  title: "Every action and reusable workflow is pinned to a whole commit",
  remedy: "write the 40 digits of the commit, with the version as a comment behind it",
  check(repository) {
    const workflows = workflowsOf(repository);
    const found = workflows.all.flatMap(({ file, jobs }) =>
      jobs.flatMap(({ uses, steps }) =>
        [uses, ...steps.map((step) => step.uses)].flatMap((one) => one ? [{ file, uses: one }] : [])
      )
    );
    // `owner/self/.github/workflows/x.yml@main` of a file that is here is this repository's own.
    const isOwn = ({ kind, path }: Uses) => kind === "workflow" && repository.file(path) !== null;
    const foreign = found.filter(({ uses }) => uses.kind !== "local" && !isOwn(uses));
    const pinned = foreign.filter(({ uses }) => uses.isPinned);
    const evidence = foreign.filter(({ uses }) => !uses.isPinned).map(({ file, uses }) =>
      gap(
        file,
        uses.line,
        uses.ref === "" && uses.kind !== "docker"
          ? `${uses.text} names no version`
          : `${uses.text} is pinned to a name that can move`,
      )
    );
    evidence.push(...unreadWorkflows(workflows));
    for (const { file, uses } of pinned) {
      evidence.push(strength(file, uses.line, `${uses.text.slice(0, 120)} can't move`));
    }
    const outcome = conclude(evidence, withoutWorkflows(repository, "no foreign action is used"));
    return outcome.status !== "fail" ? outcome : {
      ...outcome,
      summary: `${
        foreign.length - pinned.length
      } of ${foreign.length} actions are not pinned to a commit`,
    };
  },
};
