import type { Cases } from "../support/readiness-cases.ts";

const of = (...lines: string[]) =>
  [
    "services:",
    "  api:",
    "    image: a:1",
    "    environment:",
    ...lines.map((one) => `      ${one}`),
    "",
  ].join("\n");

export const cases: Cases = {
  rule: "SEC-07",
  cases: {
    "a literal, a default, a password in a URL": {
      files: {
        "compose.yaml": of(
          "POSTGRES_PASSWORD: correct-horse",
          "SECRET_KEY: ${SECRET_KEY:-battery-staple}",
          "DATABASE_URL: postgres://app:nosy-parker@db/app",
          "REDIS_URL: redis://:${REDIS_PASSWORD:-lazy-dog}@cache",
        ),
      },
      status: "fail",
      severity: "p1",
      at: ["compose.yaml:5", "compose.yaml:6", "compose.yaml:7", "compose.yaml:8"],
      hides: ["correct-horse", "battery-staple", "nosy-parker", "lazy-dog"],
    },
    "the list form, and a command's password": {
      files: {
        "compose.yaml":
          "services:\n  cache:\n    image: redis:8\n    command: redis-server --requirepass quick-fox\n" +
          "    environment:\n      - API_TOKEN=brown-bear\n",
      },
      status: "fail",
      at: ["compose.yaml:4", "compose.yaml:6"],
      hides: ["quick-fox", "brown-bear"],
    },
    "what refuses to start, an empty default, a file, a switch, a public key": {
      files: {
        "compose.yaml": of(
          "SECRET_KEY: ${SECRET_KEY:?set it}",
          "SMTP_PASSWORD: ${SMTP_PASSWORD:-}",
          "POSTGRES_PASSWORD_FILE: /run/secrets/db",
          "ACCESS_TOKEN_EXPIRE_MINUTES: 30",
          "SUPABASE_ANON_KEY: abcdefghijklmnop",
          "DATABASE_URL: postgres://app:${DB_PASSWORD?set}@db/app",
        ),
      },
      status: "pass",
    },
    "empty when unset warns": {
      files: { "compose.yaml": of("SECRET_KEY: ${SECRET_KEY}", "JWT_SECRET: ${JWT_SECRET}") },
      status: "warn",
      severity: "p2",
      at: ["compose.yaml:5"],
    },
    "what only development runs warns": {
      files: {
        "compose.yaml": of("SECRET_KEY: ${SECRET_KEY:?set it}"),
        "compose.override.yaml": of("SECRET_KEY: only-here"),
      },
      status: "warn",
      severity: "p2",
      hides: ["only-here"],
    },
    "compose names no secret": {
      files: { "compose.yaml": of("LOG_LEVEL: info") },
      status: "not-applicable",
    },
    "no compose": { files: { "a.py": "" }, status: "not-applicable" },
  },
};
