import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "DR-06",
  cases: {
    "nothing is written down": {
      files: { "README.md": "# App\n\nRun `make`.\n" },
      status: "fail",
      severity: "p2",
      at: ["docs/runbook.md", "docs/runbook.md"],
    },
    "a runbook without targets warns": {
      files: { "docs/runbook.md": "# Runbook\n\nRestart it.\n" },
      status: "warn",
      at: ["docs/runbook.md:1"],
    },
    "both pass": {
      files: { "docs/ops.md": "# Ops\n\n## Incident\n\nCall.\n\nRPO 24 hours, RTO 4 hours.\n" },
      status: "pass",
    },
    "a list of changes is no runbook": {
      files: { "CHANGELOG.md": "## Incident page\n\nRTO\n" },
      status: "fail",
    },
  },
};
