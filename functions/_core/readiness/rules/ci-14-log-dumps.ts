import { strength, weakness } from "../evidence.ts";
import { withoutWorkflows } from "../models/ci-absence.ts";
import { ciOf } from "../models/ci-commands.ts";
import type { Command } from "../models/shell.ts";
import { stepsOf, unreadWorkflows, workflowsOf } from "../models/workflows.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** In a public repository everybody reads the log of a job. */
export const logDumps: Rule = {
  id: "CI-14",
  name: "log-dumps",
  area: "ci",
  severity: "p2",
  confidence: "medium",
  section: 4,
  title: "Jobs don't print the application's logs whole",
  remedy: "filter what is printed, or keep it as an artifact for a few days",
  check(repository) {
    const workflows = workflowsOf(repository);
    const seen = new Set<string>();
    const evidence = ciOf(repository).commands.flatMap(({ command, file, line }): Evidence[] => {
      const what = dumpOf(command);
      if (!what || seen.has(`${file}:${line}`)) return [];
      seen.add(`${file}:${line}`);
      return [
        weakness(
          file,
          line,
          `\`${what}\` prints logs to where everybody reads them, if the repository is public`,
        ),
      ];
    });
    evidence.push(...unreadWorkflows(workflows));
    const [first] = stepsOf(workflows);
    if (first && evidence.length === 0) {
      evidence.push(
        strength(first.workflow.file, first.step.line, "no step prints a service's logs"),
      );
    }
    return conclude(evidence, withoutWorkflows(repository, "no workflow has a step"));
  },
};

function dumpOf({ program, args, redirects, pipes }: Command): string | null {
  if (
    redirects.some(({ operator, target }) =>
      operator.startsWith(">") && operator !== ">&" && target
    )
  ) return null;
  // `logs | grep -q ready` asks; it doesn't print.
  if (pipes.some(({ stage, stages }) => stage < stages - 1)) return null;
  const words = args.filter((one) => !one.startsWith("-"));
  if (program === "docker-compose" && words.includes("logs")) return "docker-compose logs";
  if (program === "docker" && args[0] === "compose" && words.includes("logs")) {
    return "docker compose logs";
  }
  if (
    program === "docker" && (args[0] === "logs" || (args[0] === "service" && args[1] === "logs"))
  ) return "docker logs";
  if ((program === "kubectl" || program === "oc") && words.includes("logs")) return "kubectl logs";
  return null;
}
