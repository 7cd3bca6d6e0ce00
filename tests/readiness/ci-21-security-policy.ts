import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "CI-21",
  cases: {
    "neither file is a gap each": {
      files: { "README.md": "# App\n" },
      status: "fail",
      severity: "p2",
      at: ["SECURITY.md", ".github/CODEOWNERS"],
    },
    "both files pass, wherever the platform reads them": {
      files: { "docs/SECURITY.md": "Write to security@…\n", ".github/CODEOWNERS": "* @team\n" },
      status: "pass",
    },
    "an empty policy is none": {
      files: { "SECURITY.md": "\n", CODEOWNERS: "* @team\n" },
      status: "fail",
      at: ["SECURITY.md"],
    },
    "a page about security in a package is not the repository's policy": {
      files: { "packages/auth/SECURITY.md": "Tokens …\n", CODEOWNERS: "* @team\n" },
      status: "fail",
      at: ["SECURITY.md"],
    },
  },
};
