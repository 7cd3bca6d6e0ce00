import type { Repository } from "../repository.ts";
import { type CiSystem, otherSystems } from "./gitlab.ts";
import { testRunsOf } from "./tests.ts";
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

/**
 * The systems that may do what isn't seen here. Where GitHub's workflows run the tests, an old file of another system
 * is a leftover; GitLab's pipeline is read and says itself what it does.
 *
 * @example
 * if (unseenSystems(repository).length > 0) … // unknown
 */
export function unseenSystems(repository: Repository): CiSystem[] {
  const tests = testRunsOf(repository).some(({ job }) => job.system === "github");
  return tests ? [] : otherSystems(repository).filter(({ name }) => name !== "GitLab CI");
}
