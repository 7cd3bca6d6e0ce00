import { lineAt } from "../../lines.ts";
import type { Repository } from "../repository.ts";

/** Where something other than compose runs the application. */
export type Platform = { name: string; file: string; line: number };

const FILES: readonly (readonly [RegExp, string, RegExp?])[] = [
  [/(^|\/)fly(\.[\w-]+)?\.toml$/, "Fly.io"],
  [/(^|\/)render\.ya?ml$/, "Render"],
  [/(^|\/)vercel\.json$/, "Vercel"],
  [/(^|\/)netlify\.toml$/, "Netlify"],
  [/(^|\/)railway\.(json|toml)$/, "Railway"],
  [/(^|\/)nixpacks\.toml$/, "Nixpacks"],
  [
    /(^|\/)(app|service)\.ya?ml$/,
    "App Engine or Cloud Run",
    /^(runtime:|apiVersion: serving\.knative)/m,
  ],
  [/(^|\/)app\.json$/, "Heroku", /"(buildpacks|formation|addons)"/],
  [/(^|\/)Procfile$/, "Heroku"],
  [/(^|\/)heroku\.yml$/, "Heroku"],
  [/(^|\/)(zeabur|koyeb)\.ya?ml$/, "a platform"],
  [/(^|\/)\.do\/[\w.-]*app\.ya?ml$/, "DigitalOcean Apps"],
  [/(^|\/)copilot\/[\w-]+\/manifest\.yml$/, "AWS Copilot"],
  [/(^|\/)apprunner\.ya?ml$/, "AWS App Runner"],
  [/(^|\/)serverless\.ya?ml$/, "Serverless"],
  [/(^|\/)(sst\.config\.ts|cdk\.json)$/, "AWS"],
  [/(^|\/)wrangler\.(toml|jsonc?)$/, "Cloudflare"],
  [/(^|\/)Chart\.ya?ml$/, "Helm"],
  [/(^|\/)kustomization\.ya?ml$/, "Kubernetes"],
  [/(^|\/)config\/deploy(\.\w+)?\.yml$/, "Kamal", /^service:/m],
  [/(^|\/)captain-definition$/, "CapRover"],
  [/task[-_]?def(inition)?[\w.-]*\.json$/i, "ECS", /containerDefinitions/],
  [
    /\.tf$/,
    "Terraform",
    /resource\s+"(aws_ecs_(service|task_definition)|google_cloud_run(_v2)?_service|azurerm_(container_app|linux_web_app)|aws_apprunner_service|kubernetes_deployment\w*|aws_lambda_function)"/,
  ],
  [/\.ya?ml$/, "Kubernetes", /^kind:\s*["']?(Deployment|StatefulSet|DaemonSet|Rollout)["']?\s*$/m],
];

/** What a workflow runs to deploy elsewhere. */
const STEPS: readonly (readonly [RegExp, string])[] = [
  [/flyctl\s+deploy|fly\s+deploy|superfly\/flyctl-actions/, "Fly.io"],
  [/amondnet\/vercel-action|vercel\s+(deploy|--prod)/, "Vercel"],
  [
    /google-github-actions\/deploy-(cloudrun|appengine)|gcloud\s+(run|app)\s+deploy/,
    "Google Cloud",
  ],
  [/aws-actions\/amazon-ecs-deploy|aws\s+ecs\s+update-service/, "ECS"],
  [
    /azure\/(webapps-deploy|container-apps-deploy-action|k8s-deploy)|az\s+(webapp|containerapp)\s/,
    "Azure",
  ],
  [/akhileshns\/heroku-deploy|heroku\s+container:release/, "Heroku"],
  [/kubectl\s+(apply|set\s+image|rollout)|helm\s+upgrade/, "Kubernetes"],
  [/railway\s+up\b/, "Railway"],
  [/digitalocean\/app_action|doctl\s+apps/, "DigitalOcean Apps"],
  [/api\.render\.com\/deploy|render-deploy/i, "Render"],
  [/wrangler(-action)?(@\S+)?\s+(pages\s+)?deploy|cloudflare\/wrangler-action/, "Cloudflare"],
];

/**
 * The platforms, apart from compose, that a repository deploys to: one entry a file.
 *
 * @example
 * if (platforms(repository).length > 0) … // compose may be for development alone
 */
export function platforms(repository: Repository): Platform[] {
  return repository.once("platforms", () => {
    const found: Platform[] = [];
    for (const { path, text, context } of repository.files) {
      if (context === "vendored" || context === "test" || context === "docs" || text === null) {
        continue;
      }
      const isWorkflow = /^\.github\/workflows\/|^\.gitlab-ci\.yml$|\.circleci\/config\.yml$/.test(
        path,
      );
      if (isWorkflow) {
        for (const [step, name] of STEPS) {
          const at = text.search(step);
          if (at !== -1) found.push({ name, file: path, line: lineAt(text, at) });
        }
        continue;
      }
      for (const [pattern, name, inside] of FILES) {
        if (!pattern.test(path)) continue;
        const at = inside ? text.search(inside) : 0;
        if (at === -1) continue;
        found.push({ name, file: path, line: lineAt(text, at) });
        break;
      }
    }
    return found;
  });
}
