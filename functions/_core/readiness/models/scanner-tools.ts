/** What a scanner looks for. */
export type ScannerClass = "secrets" | "dependencies" | "code" | "images" | "workflows";

/** How a scanner is asked: the inputs of an action, or the words behind a program. */
export type Asked = { input: (name: string) => string | null; args: readonly string[] };

/** A scanner: what it looks for, and why a finding stops nothing (null where it fails the job). */
type Scanner = {
  tool: string;
  looksFor: (asked: Asked) => ScannerClass[];
  soft?: (asked: Asked) => string | null;
};

const always = (...classes: ScannerClass[]) => () => classes;
const has = ({ args }: Asked, ...names: string[]) =>
  args.some((one) => names.some((name) => one === name || one.startsWith(`${name}=`)));
const valueOf = ({ args }: Asked, name: string): string | null => {
  const at = args.findIndex((one) => one === name || one.startsWith(`${name}=`));
  if (at < 0) return null;
  const [, value] = (args[at] ?? "").split("=", 2);
  return value ?? args[at + 1] ?? "";
};
const isOn = (value: string | null) => /^['"]?true['"]?$/i.test(value ?? "");

function trivyClasses(kind: string, scanners: string | null): ScannerClass[] {
  const classes: ScannerClass[] = [];
  if (kind === "image") classes.push("images");
  if (/^(fs|filesystem|repo|repository|rootfs|sbom)$/.test(kind)) {
    const asked = scanners ?? "vuln,secret";
    if (asked.includes("vuln")) classes.push("dependencies");
    if (asked.includes("secret")) classes.push("secrets");
  }
  if (kind === "config" || scanners?.includes("misconfig")) classes.push("code");
  return classes;
}

/** Actions, by a part of `owner/repository`. */
export const ACTIONS: [RegExp, Scanner][] = [
  [/^aquasecurity\/trivy-action$/, {
    tool: "trivy",
    looksFor: ({ input }) =>
      trivyClasses(input("scan-type") ?? "image", input("scanners") ?? input("security-checks")),
    soft: ({ input }) =>
      /^['"]?[1-9]/.test(input("exit-code") ?? "0") || (input("exit-code") ?? "").includes("$")
        ? null
        : input("exit-code") === null
        ? "trivy's exit code is 0 unless `exit-code` is set"
        : "`exit-code: 0` lets every finding through",
  }],
  [/^anchore\/scan-action$/, {
    tool: "grype",
    looksFor: ({ input }) => input("image") ? ["images"] : ["dependencies"],
    soft: ({ input }) => input("fail-build") === "false" ? "`fail-build: false`" : null,
  }],
  [/^(gitleaks\/gitleaks-action|zricethezav\/gitleaks-action)$/, {
    tool: "gitleaks",
    looksFor: always("secrets"),
  }],
  [/^trufflesecurity\/trufflehog$/, { tool: "trufflehog", looksFor: always("secrets") }],
  [/^gitguardian\/ggshield(-action)?$/, { tool: "ggshield", looksFor: always("secrets") }],
  [/^(secretlint|talisman)/, { tool: "secretlint", looksFor: always("secrets") }],
  [/^github\/codeql-action$/, { tool: "codeql", looksFor: always("code") }],
  [/^(semgrep|returntocorp)\/semgrep-action$/, { tool: "semgrep", looksFor: always("code") }],
  [/^(pycqa|mdegis|shundor|tj-actions|jpetrucciani)\/.*bandit/, {
    tool: "bandit",
    looksFor: always("code"),
    soft: ({ input }) => isOn(input("exit_zero")) ? "`exit_zero: true`" : null,
  }],
  [/^(sonarsource\/sonar|sonarsource\/sonarqube|sonarsource\/sonarcloud)/, {
    tool: "sonar",
    looksFor: always("code"),
    soft: ({ input }) =>
      /qualitygate\.wait=true/.test(input("args") ?? "")
        ? null
        : "the quality gate is not waited for",
  }],
  [/^actions\/dependency-review-action$/, {
    tool: "dependency-review",
    looksFor: always("dependencies"),
    soft: ({ input }) => isOn(input("warn-only")) ? "`warn-only: true`" : null,
  }],
  [/^(pypa\/gh-action-pip-audit|trailofbits\/gh-action-pip-audit)$/, {
    tool: "pip-audit",
    looksFor: always("dependencies"),
  }],
  [/^google\/osv-scanner(-action)?$/, { tool: "osv-scanner", looksFor: always("dependencies") }],
  [/^(pyupio\/safety(-action)?)$/, { tool: "safety", looksFor: always("dependencies") }],
  [/^snyk\/actions/, {
    tool: "snyk",
    looksFor: ({ input }) =>
      input("command")?.startsWith("code")
        ? ["code"]
        : input("image")
        ? ["images"]
        : ["dependencies"],
  }],
  [/^(bridgecrewio\/checkov-action)$/, {
    tool: "checkov",
    looksFor: always("code"),
    soft: ({ input }) => isOn(input("soft_fail")) ? "`soft_fail: true`" : null,
  }],
  [/^docker\/scout-action$/, {
    tool: "docker scout",
    looksFor: always("images"),
    soft: ({ input }) => isOn(input("exit-code")) ? null : "docker scout needs `exit-code: true`",
  }],
  [/^(zizmorcore|woodruffw)\/zizmor-action$/, {
    tool: "zizmor",
    looksFor: always("workflows"),
    soft: ({ input }) =>
      input("advanced-security") === "false"
        ? null
        : "it reports to code scanning and passes, unless `advanced-security: false`",
  }],
  [/^(rhysd|raven-actions|reviewdog\/action)\/?-?actionlint/, {
    tool: "actionlint",
    looksFor: always("workflows"),
  }],
  [/^ossf\/scorecard-action$/, { tool: "scorecard", looksFor: always("workflows") }],
  [/^(azure|sysdiglabs|crazy-max|aquasecurity)\/.*(container-scan|scan-action)/, {
    tool: "an image scanner",
    looksFor: always("images"),
  }],
];

/** Programs, by name. */
export const PROGRAMS: Record<string, Scanner> = {
  trivy: {
    tool: "trivy",
    looksFor: (asked) => {
      const kind = asked.args.find((one) => !one.startsWith("-")) ?? "";
      return trivyClasses(kind === "i" ? "image" : kind, valueOf(asked, "--scanners"));
    },
    soft: (asked) =>
      /^[1-9$]/.test(valueOf(asked, "--exit-code") ?? "0")
        ? null
        : "trivy exits with 0 without `--exit-code 1`",
  },
  grype: {
    tool: "grype",
    looksFor: ({ args }) =>
      args.some((one) => /^(dir|sbom|file):|^\./.test(one)) ? ["dependencies"] : ["images"],
    soft: (asked) =>
      has(asked, "--fail-on", "-f") ? null : "grype exits with 0 without `--fail-on`",
  },
  gitleaks: {
    tool: "gitleaks",
    looksFor: always("secrets"),
    soft: (asked) => valueOf(asked, "--exit-code") === "0" ? "`--exit-code 0`" : null,
  },
  trufflehog: {
    tool: "trufflehog",
    looksFor: always("secrets"),
    soft: (asked) => has(asked, "--fail") ? null : "trufflehog exits with 0 without `--fail`",
  },
  ggshield: { tool: "ggshield", looksFor: always("secrets") },
  "detect-secrets": {
    tool: "detect-secrets",
    looksFor: always("secrets"),
    soft: ({ args }) => args[0] === "scan" ? "`detect-secrets scan` lists and never fails" : null,
  },
  "detect-secrets-hook": { tool: "detect-secrets", looksFor: always("secrets") },
  secretlint: { tool: "secretlint", looksFor: always("secrets") },
  "pip-audit": { tool: "pip-audit", looksFor: always("dependencies") },
  safety: {
    tool: "safety",
    looksFor: ({ args }) =>
      /^(check|scan)$/.test(args.find((one) => !one.startsWith("-")) ?? "") ? ["dependencies"] : [],
    soft: (asked) => has(asked, "--continue-on-error") ? "`--continue-on-error`" : null,
  },
  "osv-scanner": { tool: "osv-scanner", looksFor: always("dependencies") },
  "audit-ci": { tool: "audit-ci", looksFor: always("dependencies") },
  "better-npm-audit": { tool: "better-npm-audit", looksFor: always("dependencies") },
  npm: { tool: "npm audit", looksFor: audits, soft: fixes },
  pnpm: { tool: "pnpm audit", looksFor: audits, soft: fixes },
  yarn: {
    tool: "yarn audit",
    looksFor: ({ args }) =>
      args[0] === "audit" || (args[0] === "npm" && args[1] === "audit") ? ["dependencies"] : [],
  },
  bun: { tool: "bun audit", looksFor: audits },
  uv: {
    tool: "uv audit",
    looksFor: ({ args }) => args[0] === "audit" ? ["dependencies"] : [],
  },
  snyk: {
    tool: "snyk",
    looksFor: ({ args }) =>
      args[0] === "code"
        ? ["code"]
        : args[0] === "container"
        ? ["images"]
        : args[0] === "test"
        ? ["dependencies"]
        : [],
  },
  bandit: {
    tool: "bandit",
    looksFor: always("code"),
    soft: (asked) => has(asked, "--exit-zero") ? "`--exit-zero`" : null,
  },
  semgrep: {
    tool: "semgrep",
    looksFor: always("code"),
    soft: (asked) =>
      asked.args[0] === "ci" || has(asked, "--error")
        ? null
        : "`semgrep scan` exits with 0 without `--error`",
  },
  opengrep: { tool: "opengrep", looksFor: always("code") },
  checkov: {
    tool: "checkov",
    looksFor: always("code"),
    soft: (asked) => has(asked, "--soft-fail", "-s") ? "`--soft-fail`" : null,
  },
  gosec: {
    tool: "gosec",
    looksFor: always("code"),
    soft: (asked) => has(asked, "-no-fail") ? "`-no-fail`" : null,
  },
  govulncheck: { tool: "govulncheck", looksFor: always("dependencies") },
  "cargo-audit": { tool: "cargo audit", looksFor: always("dependencies") },
  brakeman: { tool: "brakeman", looksFor: always("code") },
  "sonar-scanner": { tool: "sonar", looksFor: always("code") },
  njsscan: { tool: "njsscan", looksFor: always("code") },
  zizmor: { tool: "zizmor", looksFor: always("workflows") },
  bulkhead: {
    tool: "bulkhead",
    looksFor: ({ args }) =>
      args[0] === "readiness" ? ["secrets", "workflows"] : args[0] === "lint" ? ["code"] : [],
  },
  actionlint: { tool: "actionlint", looksFor: always("workflows") },
};

function audits({ args }: Asked): ScannerClass[] {
  return args[0] === "audit" && args[1] !== "signatures" ? ["dependencies"] : [];
}

function fixes({ args }: Asked): string | null {
  return args[1] === "fix" ? "`audit fix` mends and doesn't judge" : null;
}

/** Hooks of pre-commit, by id. */
export const HOOKS: Record<string, ScannerClass> = {
  gitleaks: "secrets",
  "gitleaks-docker": "secrets",
  "gitleaks-system": "secrets",
  "detect-secrets": "secrets",
  trufflehog: "secrets",
  ggshield: "secrets",
  "detect-private-key": "secrets",
  "detect-aws-credentials": "secrets",
  "pip-audit": "dependencies",
  "python-safety-dependencies-check": "dependencies",
  bandit: "code",
  semgrep: "code",
  zizmor: "workflows",
  actionlint: "workflows",
  "actionlint-docker": "workflows",
};

/** GitLab's own templates, by a part of their names. */
export const TEMPLATES: [RegExp, ScannerClass][] = [
  [/Secret-Detection/i, "secrets"],
  [/Dependency-Scanning/i, "dependencies"],
  [/SAST/i, "code"],
  [/Container-Scanning/i, "images"],
];
