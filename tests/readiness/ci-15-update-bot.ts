import type { Cases } from "../support/readiness-cases.ts";

const PATH = ".github/workflows/ci.yml";
const workflow = (on: string, ...steps: string[]) =>
  [`on: ${on}`, "jobs:", "  a:", "    runs-on: x", "    steps:", ...steps, ""].join("\n");

const BOT = ".github/dependabot.yml";
const APP = { "web/package.json": "{}", "requirements.txt": "a==1\n", Dockerfile: "FROM a\n" };
const bot = (...updates: string[]) => `version: 2\nupdates:\n${updates.join("")}`;
const update = (name: string, folder: string) =>
  `  - package-ecosystem: ${name}\n    directory: ${folder}\n`;

export const cases: Cases = {
  rule: "CI-15",
  cases: {
    "nobody raises anything": {
      files: APP,
      status: "fail",
      severity: "p2",
      at: [BOT],
    },
    "some of the ecosystems are left out": {
      files: { ...APP, [PATH]: workflow("push"), [BOT]: bot(update("npm", "/web")) },
      status: "fail",
      at: [`${BOT}:3`, `${BOT}:3`, `${BOT}:3`],
    },
    "a folder that is not looked into warns": {
      files: { "api/pyproject.toml": "", [BOT]: bot(update("uv", "/")) },
      status: "warn",
      at: [`${BOT}:3`],
    },
    "every ecosystem in its folder, by pattern and through a workspace": {
      files: {
        "package.json": '{ "workspaces": ["apps/*"] }',
        "apps/web/package.json": "{}",
        "services/api/requirements.txt": "a==1\n",
        [BOT]: bot(
          update("npm", "/"),
          "  - package-ecosystem: pip\n    directories: ['/services/*']\n",
        ),
      },
      status: "pass",
    },
    "Renovate finds manifests by itself": {
      files: { ...APP, "renovate.json": "{}" },
      status: "pass",
    },
    "manifests of examples ask for nothing": {
      files: { "examples/a/package.json": "{}", "a.txt": "a\n" },
      status: "not-applicable",
    },
  },
};
