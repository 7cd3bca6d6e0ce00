import type { Repository } from "../repository.ts";
import type { Command } from "./shell.ts";
import { toolOf } from "./shell-tools.ts";
import { ciOf } from "./ci-commands.ts";
import type { Job, Step, Workflow } from "./workflows.ts";

/** A job that puts something live, or gives it out: `line` is what does. */
export type Delivery = { workflow: Workflow; job: Job; what: string; line: number; file: string };

const DEPLOYING =
  /^(superfly\/flyctl-actions|amondnet\/vercel-action|vercel\/.*|aws-actions\/amazon-ecs-deploy-task-definition|azure\/(webapps-deploy|container-apps-deploy-action|k8s-deploy|aks-.*|functions-action|static-web-apps-deploy)|google-github-actions\/deploy-[\w-]+|cloudflare\/(wrangler-action|pages-action)|akhileshns\/heroku-deploy|appleboy\/ssh-action|fifsky\/ssh-action|digitalocean\/app_action|bervproject\/railway-deploy|johnbeynon\/render-deploy-action|nwtgck\/actions-netlify|easingthemes\/ssh-deploy|burnett01\/rsync-deployments|appleboy\/scp-action|garygrossgarten\/github-action-ssh|serverless\/github-action|pulumi\/actions|einaregilsson\/beanstalk-deploy|hashicorp\/tfc-workflows-github|azure\/helm-deploy|koyeb\/action-git-deploy|firebaseextended\/action-hosting-deploy)$/;

/**
 * The jobs that put something live.
 *
 * @example
 * deploysOf(repository).filter(({ job }) => !job.environment);
 */
export function deploysOf(repository: Repository): Delivery[] {
  return repository.once("deploys", () => {
    const found = delivered(repository, DEPLOYING, deploys);
    // A job that is called so and runs something does so, by whatever means.
    const called = ciOf(repository).jobs.flatMap(({ github, file }): Delivery[] => {
      if (!github || github.workflow.kind === "action") return [];
      const { job } = github;
      const isNamed = /(^|[-_ ])deploy(ment)?($|[-_ ])/i.test(job.id) &&
        !/docs|pages|preview/i.test(job.id);
      const isPages = job.steps.some(({ uses }) => /pages/.test(uses?.repository ?? ""));
      const runs = job.steps.some(({ run }) => run !== null);
      return isNamed && runs && !isPages && !found.some((one) => one.job === job)
        ? [{ ...github, what: `it is called ${job.id}`, line: job.line, file }]
        : [];
    });
    return [...found, ...called];
  });
}

const PUBLISHING =
  /^(pypa\/gh-action-pypi-publish|js-devtools\/npm-publish|softprops\/action-gh-release|ncipollo\/release-action|goreleaser\/goreleaser-action|cycjimmy\/semantic-release-action|changesets\/action|actions\/upload-release-asset|svenstaro\/upload-release-action|googleapis\/release-please-action)$/;

/** The jobs that give out packages or release files. */
export function releasesOf(repository: Repository): Delivery[] {
  return repository.once("releases", () =>
    delivered(repository, PUBLISHING, (command) => {
      const { name, args } = toolOf(command);
      if (
        /^(npm|pnpm|yarn|cargo|uv|poetry|hatch|flit|lerna)$/.test(name) && args[0] === "publish"
      ) return true;
      return name === "twine" && args[0] === "upload" || name === "goreleaser" ||
        (name === "gh" && args[0] === "release" && /create|upload/.test(args[1] ?? ""));
    }));
}

/** The jobs that push images to a registry. */
export function imagePushesOf(repository: Repository): Delivery[] {
  return repository.once("image pushes", () => [
    ...delivered(repository, /^$/, (command) => {
      const { name, args } = toolOf(command);
      if (name === "docker" || name === "podman" || name === "buildah" || name === "nerdctl") {
        const rest = args[0] === "image" || args[0] === "compose" ? args.slice(1) : args;
        return rest.includes("push") || args.includes("--push") ||
          args.some((one) => /type=(registry|image,.*push=true)/.test(one));
      }
      if (name === "crane" || name === "skopeo") return /^(push|copy|cp)$/.test(args[0] ?? "");
      return name === "ko" || /^(kaniko|executor)$/.test(name);
    }),
    ...steps(repository).flatMap(({ workflow, job, step }) => {
      const { uses } = step;
      if (!uses || !/^docker\/(build-push-action|bake-action)$/.test(uses.repository)) return [];
      const input = (name: string) => step.with.find((one) => one.name === name)?.value ?? "";
      const pushes = !/^(false)?$/.test(input("push")) ||
        /type=registry|push=true/.test(`${input("outputs")} ${input("set")}`);
      return pushes
        ? [{ workflow, job, what: uses.repository, line: uses.line, file: workflow.file }]
        : [];
    }),
  ]);
}

function steps(repository: Repository): { workflow: Workflow; job: Job; step: Step }[] {
  return ciOf(repository).jobs.flatMap(({ github }) =>
    (github?.job.steps ?? []).flatMap((step) => github ? [{ ...github, step }] : [])
  );
}

function delivered(
  repository: Repository,
  actions: RegExp,
  asks: (command: Command, job: Job) => boolean,
): Delivery[] {
  const found = new Map<Job, Delivery>();
  for (const { workflow, job, step } of steps(repository)) {
    const { uses } = step;
    if (!uses || !actions.test(uses.repository) || found.has(job)) continue;
    found.set(job, { workflow, job, what: uses.repository, line: uses.line, file: workflow.file });
  }
  for (const { command, job: { github }, file, line } of ciOf(repository).commands) {
    if (!github || found.has(github.job) || !asks(command, github.job)) continue;
    found.set(github.job, { ...github, what: `\`${command.text.slice(0, 60)}\``, line, file });
  }
  return [...found.values()];
}

function deploys(command: Command, { runsOn }: Job): boolean {
  const { name, args } = toolOf(command);
  const [first = "", second = ""] = args.filter((one) => !one.startsWith("-"));
  if (args.some((one) => /^(--dry-run(=.*)?|--help|--version|--check)$/.test(one))) return false;
  if (name === "docker" || name === "docker-compose") {
    if (first === "stack" && second === "deploy") return true;
    const isUp = args.includes("up") && (name === "docker-compose" || first === "compose");
    // On a machine of one's own, or sent to one, `up` is the deploy.
    const isThere = /self-hosted/.test(runsOn) && !/test|ci\b/i.test(runsOn);
    return isUp && (command.via === "remote" || isThere || args.includes("-H"));
  }
  if (command.via === "remote") {
    return name === "git" && args.includes("pull") ||
      name === "systemctl" && args.includes("restart") || name === "pm2";
  }
  switch (name) {
    case "kubectl":
    case "oc":
      return /^(apply|set|rollout|replace)$/.test(first) && second !== "status";
    case "helm":
      return first === "upgrade" || first === "install";
    case "flyctl":
    case "fly":
    case "kamal":
    case "sst":
    case "serverless":
    case "sls":
    case "cdk":
    case "eb":
    case "wrangler":
    case "netlify":
    case "firebase":
    case "cap":
      return args.includes("deploy");
    case "vercel":
      return first === "deploy" || first === "" || args.includes("--prod");
    case "railway":
      return first === "up";
    case "terraform":
    case "tofu":
    case "terragrunt":
      return first === "apply";
    case "pulumi":
      return first === "up";
    case "ansible-playbook":
      return true;
    case "aws":
      return args.includes("update-service") || args.includes("update-function-code") ||
        (first === "s3" && second === "sync") || args.includes("create-deployment");
    case "gcloud":
      return args.includes("deploy");
    case "az":
      return /^(webapp|containerapp|functionapp)$/.test(first);
    case "supabase":
      return (first === "db" && second === "push") ||
        (first === "functions" && second === "deploy");
    case "rsync":
    case "scp":
      return args.some((one) => /^[^/\s]*@?[^/\s]+:/.test(one) && !one.startsWith("-"));
    case "curl":
      return /api\.render\.com\/deploy|RENDER_DEPLOY_HOOK|COOLIFY|\/deploy\b.*webhook|DEPLOY_(HOOK|WEBHOOK)/i
        .test(command.text.slice(0, 2_000));
    default:
      return false;
  }
}
