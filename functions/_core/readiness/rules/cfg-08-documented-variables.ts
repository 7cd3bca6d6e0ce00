import { envExamples } from "../models/env-examples.ts";
import { type Setting, settingsOf } from "../models/settings.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** Variables that a platform or a framework sets or explains. */
const KNOWN =
  /^(PORT|HOST|HOSTNAME|NODE_ENV|CI|PATH|HOME|USER|PWD|TZ|LANG|LC_\w+|SHELL|TERM|TMPDIR|TEMP|NO_COLOR|FORCE_COLOR|DEBUG|ANALYZE|PYTHON\w*|DJANGO_SETTINGS_MODULE|VERCEL\w*|NEXT_(RUNTIME|PHASE|PUBLIC_VERCEL\w*)|NETLIFY|CF_PAGES\w*|RAILWAY_\w+|RENDER\w*|FLY_\w+|K_\w+|DYNO|HEROKU_\w+|GITHUB_\w+|RUNNER_\w+|npm_\w+|AWS_(REGION|DEFAULT_REGION|LAMBDA_\w+|EXECUTION_ENV)|ECS_\w+|KUBERNETES_\w+|POD_\w+|TURBO_\w+|MODE|DEV|PROD|SSR|BASE_URL|JEST_WORKER_ID|VITEST\w*|PLAYWRIGHT\w*|WEB_CONCURRENCY|GUNICORN\w*|SKIP_ENV_VALIDATION|npm_package_\w+)$/i;
const SHOWN =
  /\.(md|mdx|rst|adoc)$|(^|\/)[^/]*compose[^/]*\.ya?ml$|(^|\/)(values[^/]*|[^/]*configmap[^/]*|render)\.ya?ml$|(^|\/)app\.json$/i;

/** A variable that nobody wrote down is found missing in production. */
export const documentedVariables: Rule = {
  id: "CFG-08",
  name: "documented-variables",
  area: "config",
  severity: "p2",
  confidence: "medium",
  section: 1,
  title: "Every variable that the code reads is written down",
  remedy: "add the names to .env.example, with a word on what each is for",
  async check(repository) {
    const { settings } = await settingsOf(repository);
    const documented = namesShown(repository);
    const reads = settings.filter((one) =>
      one.variable !== null && !one.isDevelopment && !KNOWN.test(one.variable) &&
      repository.file(one.file)?.context === "prod"
    );
    const missing = new Map<string, Setting>();
    for (const one of reads) {
      const name = (one.variable ?? "").toUpperCase();
      if (!documented.has(name) && !missing.has(name)) missing.set(name, one);
    }
    const evidence: Evidence[] = [];
    const [example] = envExamples(repository);
    const byFile = byFileOf([...missing.values()]);
    for (const [file, own] of byFile) {
      const needed = own.filter(({ fallback }) =>
        fallback.kind === "required" || fallback.kind === "empty"
      );
      const shown = (needed.length > 0 ? needed : own).map(({ variable }) => variable ?? "");
      const [first] = needed.length > 0 ? needed : own;
      if (!first) continue;
      evidence.push({
        kind: needed.length > 0 ? "gap" : "weakness",
        file,
        line: first.line,
        message: `${example ? "not" : "no .env.example, and not"} written down: ${
          shown.slice(0, 10).join(", ")
        }${shown.length > 10 ? ` and ${shown.length - 10} more` : ""}`,
      });
    }
    if (reads.length > 0 && missing.size === 0) {
      const [first] = reads;
      const place = example ?? first;
      if (place) {
        evidence.push({
          kind: "strength",
          file: place.file,
          line: place.line,
          message: `all ${
            new Set(reads.map(({ variable }) => variable)).size
          } variables are written down`,
        });
      }
    }
    return conclude(evidence, {
      status: "not-applicable",
      summary: "no back end reads variables of its own",
    });
  },
};

/** The names in example files, documents and compose files. */
function namesShown(repository: Repository): Set<string> {
  const names = new Set(envExamples(repository).map(({ name }) => name));
  for (const { text } of repository.matching(SHOWN)) {
    for (
      const [name] of (text ?? "").slice(0, 500_000).matchAll(
        /\b[A-Z][A-Z0-9]*(_[A-Z0-9]+)+\b|\b[A-Z]{4,}\b/g,
      )
    ) names.add(name);
  }
  return names;
}

function byFileOf(settings: readonly Setting[]): Map<string, Setting[]> {
  const found = new Map<string, Setting[]>();
  for (const one of settings) found.set(one.file, [...found.get(one.file) ?? [], one]);
  return found;
}
