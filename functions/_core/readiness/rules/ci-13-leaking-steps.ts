import { gap, quote, strength, weakness } from "../evidence.ts";
import { withoutWorkflows } from "../models/ci-absence.ts";
import { handsSecrets, readsSecret, secretSettings } from "../models/job-secrets.ts";
import type { Command } from "../models/shell.ts";
import {
  type Job,
  type Step,
  stepsOf,
  unreadWorkflows,
  type Workflow,
  workflowsOf,
} from "../models/workflows.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

type Place = { workflow: Workflow; job: Job; step: Step };

/** GitHub masks the exact text of a secret: part of it, or its base64, it prints. */
export const leakingSteps: Rule = {
  id: "CI-13",
  name: "leaking-steps",
  area: "ci",
  severity: "p1",
  confidence: "medium",
  section: 4,
  title: "No step prints the environment or uploads what holds secrets",
  remedy: "name the files that are uploaded, and print the one variable that is looked for",
  check(repository) {
    const workflows = workflowsOf(repository);
    const steps = stepsOf(workflows);
    const evidence = steps.flatMap((place) => [...uploads(place), ...prints(place)]);
    evidence.push(...unreadWorkflows(workflows));
    const [first] = steps;
    if (first) {
      const message = `${steps.length} steps were read`;
      evidence.push(strength(first.workflow.file, first.step.line, message));
    }
    return conclude(evidence, withoutWorkflows(repository, "no workflow has a step"));
  },
};

const WHOLE =
  /^(\.\/?|\*\*?(\/\*\*?)?|\.\/\*\*?(\/\*)?|\$\{\{\s*github\.workspace\s*\}\}(\/(\*\*?)?)?|~\/?)$/;
const SECRET_FILES =
  /(^|\/)(\.env(\.(?!example|sample|template|test)[\w.-]+)?|[^/]*\.(pem|key|p12|pfx|jks)|\.aws(\/.*)?|\.ssh(\/.*)?|\.npmrc|\.netrc|\.git(\/.*)?|\.docker(\/.*)?|kubeconfig|id_rsa|terraform\.tfstate|[^/]*\.tfstate)$/i;

function uploads({ workflow, step }: Place): Evidence[] {
  if (step.uses?.repository !== "actions/upload-artifact") return [];
  const setting = step.with.find(({ name }) => name === "path");
  if (!setting) return [];
  const { node } = setting;
  const first = node.kind === "scalar" && node.style === "block" ? node.line + 1 : node.line;
  return setting.value.split("\n").flatMap((raw, at): Evidence[] => {
    const path = raw.trim();
    const line = Math.min(node.endLine, first + at);
    if (path === "" || path.startsWith("!")) return [];
    if (WHOLE.test(path)) {
      return [
        gap(
          workflow.file,
          line,
          `the artifact is the whole folder (${path}), .git and .env with it`,
        ),
      ];
    }
    if (SECRET_FILES.test(path)) {
      return [gap(workflow.file, line, `the artifact holds ${quote(path)}`)];
    }
    const what = /playwright-report|test-results|cypress\/(screenshots|videos)/.test(path)
      ? "may hold cookies and tokens of the session"
      : /\.log$|(^|\/)logs?\/?(\*\*?)?$/.test(path)
      ? "may hold what the application logs"
      : null;
    return what
      ? [weakness(workflow.file, line, `${quote(path)} ${what}`, { severity: "p2" })]
      : [];
  });
}

function prints(place: Place): Evidence[] {
  const { workflow, job, step } = place;
  const { file } = workflow;
  const { run } = step;
  const evidence: Evidence[] = [];
  for (const { value, line } of [...step.env, ...step.with]) {
    if (/tojson\(\s*secrets\s*\)/i.test(value)) {
      evidence.push(gap(file, line, "every secret of the repository is handed over at once"));
    }
  }
  if (!run) return evidence;
  const secrets = secretSettings(place);
  // A file of secrets that an earlier step wrote is read by what this one prints.
  const isFed = secrets.length > 0 || readsSecret(run.text) ||
    job.steps.some((one) => one.run !== null && readsSecret(one.run.text));
  // Files may be filled from any secret of the job.
  const holdsAny = isFed || handsSecrets(place);
  const names = secrets.map(({ name }) => name);
  for (const command of run.shell?.commands ?? []) {
    const leak = leakOf(command, { names, isFed, holdsAny });
    if (!leak) continue;
    const { what, severity } = leak;
    evidence.push(gap(file, command.line, what, severity ? { severity } : {}));
  }
  return evidence;
}

type Leak = { what: string; severity?: "p2" };

function leakOf(
  command: Command,
  { names, isFed, holdsAny }: { names: readonly string[]; isFed: boolean; holdsAny: boolean },
): Leak | null {
  const { program, args, words, redirects, pipes, via } = command;
  const isKept = via === "command" ||
    redirects.some(({ operator, descriptor, target }) =>
      operator.startsWith(">") && operator !== ">&" && (descriptor ?? 1) === 1 && target !== null
    );
  if (program === "set") {
    const isTraced = args.some((one, at) =>
      /^-[a-wyz]*x[a-z]*$/.test(one) || (one === "xtrace" && args[at - 1] === "-o")
    );
    return isFed && isTraced ? { what: "`set -x` prints every command with its secrets" } : null;
  }
  if (isKept) return null;
  const isLast = pipes.every(({ stage, stages }) => stage === stages - 1);
  if (isFed && isWhole(program, args)) {
    return { what: `\`${program}\` prints the environment, secrets among it` };
  }
  const asked = program === "printenv" ? args.find((one) => names.includes(one)) : undefined;
  if (asked) return { what: `\`printenv ${asked}\` prints a secret` };
  // What goes into another program is not printed here.
  if (!isLast) return null;
  if (holdsAny && isComposeConfig(program, args)) {
    return { what: "`docker compose config` prints every variable that it fills in" };
  }
  if (program === "cat" && holdsAny) {
    const file = args.find((one) => SECRET_FILES.test(one) && !/\.git(\/|$)/.test(one));
    return file ? { what: `\`cat ${quote(file, 40)}\` prints what it holds` } : null;
  }
  if (program !== "echo" && program !== "printf") return null;
  const isShown = words.some(({ value, variables }) =>
    !value.includes("::add-mask::") &&
    (readsSecret(value) || variables.some((one) => names.includes(one)))
  ) && !args.some((one) => one.includes("::add-mask::"));
  return isShown
    ? { what: "a secret is printed: only its exact text is masked", severity: "p2" }
    : null;
}

function isWhole(program: string, args: readonly string[]): boolean {
  if (program === "printenv") return args.length === 0;
  if (program === "export") return args.length === 0 || args[0] === "-p";
  return program === "env" && args.every((one) => one.startsWith("-"));
}

function isComposeConfig(program: string, args: readonly string[]): boolean {
  if (program !== "docker-compose" && !(program === "docker" && args[0] === "compose")) {
    return false;
  }
  const rest = program === "docker" ? args.slice(1) : args;
  const verb = rest.find((one, at) =>
    !one.startsWith("-") &&
    !/^(-f|--file|-p|--project-name|--env-file|--profile)$/.test(rest[at - 1] ?? "")
  );
  return verb === "config" &&
    !rest.some((one) =>
      /^(-q|--quiet|--services|--images|--volumes|--profiles|--no-interpolate|--hash.*)$/.test(one)
    );
}
