import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Context, contextOf } from "../functions/_core/readiness/context.ts";

const PATHS: Record<Context, string[]> = {
  prod: [
    ...["Dockerfile", "docker-compose.yml", "compose.prod.yaml", ".env", ".env.production"],
    ...["apps/api/main.py", "src/app/docs/page.tsx", "src/app/vendor/page.tsx", "vendor/models.py"],
    ...["apps/market/vendor/models.py", "vendor/migrations/0001_initial.py", "api/docs.py"],
    ...["rootfs/usr/local/bin/start.sh", "config/settings/production.py", "src/latest/a.ts"],
    ...["requirements.txt", "src/contest/score.py", "compose/production/django/Dockerfile"],
    ...[
      "k8s/overlays/staging/patch.yaml",
      "devices/api.py",
      "src/local-storage.ts",
      "pages/docs/a.tsx",
    ],
  ],
  dev: [
    ...[
      "docker-compose.override.yml",
      "docker-compose.dev.yml",
      "Dockerfile.dev",
      "dev.Dockerfile",
    ],
    ...[".devcontainer/devcontainer.json", ".env.local", "compose/local/django/Dockerfile"],
    ...[
      "config/settings/local.py",
      "requirements-dev.txt",
      "requirements/local.txt",
      ".husky/pre-commit",
    ],
    ...["compose-dev.yaml", "infra/dev/main.tf", "Tiltfile", "local.docker-compose.yml"],
  ],
  test: [
    ...["tests/test_a.py", "apps/api/tests/login.py", "src/a.test.ts", "src/a_test.py", "e2e/a.ts"],
    ...["integration-tests/a.py", "load_tests/run.js", "docker-compose.test.yml", "Dockerfile.ci"],
    ...[
      "config/settings/test.py",
      ".env.test",
      "playwright.config.ts",
      "conftest.py",
      "cypress/a.js",
    ],
  ],
  ci: [
    ...[
      ".github/workflows/ci.yml",
      ".gitlab-ci.yml",
      ".github/actions/setup/action.yml",
      "Jenkinsfile",
    ],
    ...[".circleci/config.yml", "azure-pipelines.yml", "bitbucket-pipelines.yml"],
  ],
  docs: [
    "README.md",
    "docs/conf.py",
    "examples/basic/compose.yml",
    "src/a/NOTES.md",
    "packages/x/docs/a.ts",
  ],
  vendored: [
    ...[
      "node_modules/a/index.js",
      "vendor/autoload.php",
      "static/vendor/jquery.js",
      "a/.venv/lib/x.py",
    ],
    ...["third_party/a.c", "public/app.min.js", "lib/python3.12/site-packages/a.py"],
  ],
};

describe("contextOf()", () => {
  for (const [context, paths] of Object.entries(PATHS)) {
    it(`knows ${context}`, () => {
      for (const path of paths) assert.equal(contextOf(path), context, path);
    });
  }

  it("is not slowed by any path", () => {
    const began = performance.now();
    for (
      const part of [
        "a/",
        "local/",
        "src/",
        "docs-",
        "test_",
        "_test",
        "compose.",
        "usr/local",
        "vendor/",
      ]
    ) {
      contextOf(part.repeat(Math.floor(4000 / part.length)));
    }
    assert.ok(performance.now() - began < 500);
  });
});
