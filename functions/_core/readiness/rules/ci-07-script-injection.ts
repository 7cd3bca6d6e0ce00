import { lineIn, lineStarts } from "../../lines.ts";
import { gap, quote, strength, weakness } from "../evidence.ts";
import { withoutWorkflows } from "../models/ci-absence.ts";
import { taintOf } from "../models/taint.ts";
import { expressionsOf } from "../models/workflow-parts.ts";
import {
  type Step,
  stepsOf,
  unreadWorkflows,
  type Workflow,
  type Workflows,
  workflowsOf,
} from "../models/workflows.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** GitHub puts an expression's text into the script before the shell reads it: a title with `$(…)` in it runs. */
export const scriptInjection: Rule = {
  id: "CI-07",
  name: "script-injection",
  area: "ci",
  severity: "p1",
  confidence: "high",
  section: 4,
  title: "No script is built from what strangers write",
  remedy: "hand the text over in `env:` and read it as a quoted variable",
  check(repository) {
    const workflows = workflowsOf(repository);
    const reached = reachedInputs(workflows);
    const evidence: Evidence[] = [];
    let scripts = 0;
    for (const { workflow, step } of stepsOf(workflows)) {
      const texts = new Set(
        [...workflow.inputs].flatMap(([name, type]) =>
          type === "string" && workflow.kind === "workflow" ? [name] : []
        ),
      );
      for (const { text, lineOf } of textsOf(step)) {
        scripts++;
        const starts = lineStarts(text);
        for (const { text: inner, offset } of expressionsOf(text)) {
          const taint = taintOf(inner, { inputs: reached.get(workflow.file) ?? new Set(), texts });
          if (!taint) continue;
          const line = lineOf(lineIn(starts, offset));
          const shown = `\${{ ${quote(inner, 60)} }}`;
          evidence.push(
            taint === "stranger"
              ? gap(workflow.file, line, `a stranger writes ${shown}, and the script runs it`)
              : weakness(workflow.file, line, `who starts it writes ${shown} into the script`, {
                severity: "p2",
              }),
          );
        }
      }
    }
    evidence.push(...unreadWorkflows(workflows));
    const [first] = workflows.all;
    if (scripts > 0 && first) {
      evidence.push(strength(first.file, 1, `the expressions of ${scripts} scripts were read`));
    }
    return conclude(evidence, withoutWorkflows(repository, "no workflow runs a script"));
  },
};

/** The scripts of a step, whatever reads them. */
function textsOf(step: Step): { text: string; lineOf: (line: number) => number }[] {
  if (step.run) return [step.run];
  const isScript = step.uses?.repository === "actions/github-script";
  const script = isScript ? step.with.find(({ name }) => name === "script") : undefined;
  if (!script) return [];
  const { node, value } = script;
  const first = node.kind === "scalar" && node.style === "block" ? node.line + 1 : node.line;
  return [{ text: value, lineOf: (line) => Math.min(node.endLine, first + line - 1) }];
}

/** The inputs of local actions and workflows that a caller fills with a stranger's text: file to names. */
function reachedInputs({ all }: Workflows): Map<string, Set<string>> {
  const reached = new Map<string, Set<string>>();
  const calls = all.flatMap(({ jobs }) =>
    jobs.flatMap((job) => [job, ...job.steps]).flatMap(({ uses, with: given }) =>
      uses?.kind === "local" ? [{ path: uses.path, given }] : []
    )
  );
  for (const { path, given } of calls) {
    const callee = all.find((one) => isAt(one, path));
    for (const { name, value } of callee ? given : []) {
      if (!expressionsOf(value).some(({ text }) => taintOf(text) === "stranger")) continue;
      const names = reached.get(callee?.file ?? "") ?? new Set();
      reached.set(callee?.file ?? "", names.add(name.toLowerCase()));
    }
  }
  return reached;
}

function isAt({ file }: Workflow, path: string): boolean {
  return file === path || file.replace(/\/?action\.ya?ml$/, "") === path;
}
