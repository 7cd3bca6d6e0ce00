import type { Repository } from "../repository.ts";
import { otherSystems } from "./gitlab.ts";
import { workflowsOf } from "./workflows.ts";

type Otherwise = { status: "unknown" | "not-applicable"; summary: string };

/**
 * What to conclude where GitHub's workflows show nothing: another system's pipeline is `unknown`, as it may well do
 * what the rule asks for.
 *
 * @example
 * return conclude(evidence, withoutWorkflows(repository, "no action is used"));
 */
export function withoutWorkflows(repository: Repository, nothing: string): Otherwise {
  if (workflowsOf(repository).all.length > 0) return { status: "not-applicable", summary: nothing };
  const [other] = otherSystems(repository);
  return other
    ? {
      status: "unknown",
      summary: `CI runs on ${other.name} (${other.file}), which this rule doesn't read`,
    }
    : { status: "not-applicable", summary: "there is no workflow" };
}
