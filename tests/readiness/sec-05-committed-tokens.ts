import type { Cases } from "../support/readiness-cases.ts";

const part = (...parts: string[]) => parts.join("");
const STRIPE = part("sk", "_live_", "8Hq2LmZ4vT", "9xWc7RbN3kPd");
const GITHUB = part("gh", "p_", "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx");
const jwt = (role: string) =>
  [
    "eyJhbGciOiJIUzI1NiJ9",
    btoa(JSON.stringify({ iss: "supabase", ref: "abcdefgh", role })),
    "c2lnbmF0dXJlLW9mLXRlc3Q",
  ]
    .map((one) => one.replace(/=+$/, "")).join(".");

export const cases: Cases = {
  rule: "SEC-05",
  cases: {
    "tokens of services, wherever they are written": {
      files: {
        "api/pay.py": `import stripe\nstripe.api_key = "${STRIPE}"\n`,
        "deploy.sh": `curl -H "Authorization: token ${GITHUB}" https://api.github.com\n`,
      },
      status: "fail",
      severity: "p0",
      at: ["api/pay.py:2", "deploy.sh:1"],
      hides: [STRIPE, GITHUB],
    },
    "the service key of Supabase, by what it says of itself": {
      files: { "src/a.ts": `const key = "${jwt("service_role")}";\n` },
      status: "fail",
      severity: "p0",
      hides: [jwt("service_role")],
    },
    "the anon key is public": {
      files: { "src/a.ts": `const key = "${jwt("anon")}";\n` },
      status: "pass",
    },
    "an address of a host with its password": {
      files: { "config.yml": "url: postgres://app:Zp9vXm4Tb8@db.acme.io:5432/app\n" },
      status: "fail",
      hides: ["Zp9vXm4Tb8"],
    },
    "addresses of this machine, of examples and with variables": {
      files: {
        "a.yml":
          "a: postgres://postgres:postgres@localhost/x\nb: postgres://app:Zp9vXm4Tb8@db:5432/app\nc: https://user:password@example.com\nd: postgres://app:${PASSWORD}@db.acme.io/app\n",
      },
      status: "pass",
    },
    "hashes, and tokens with nothing in them": {
      files: {
        "a.ts": `const sha = "${"0a1b2c3d4e".repeat(4)}"; const k = "${
          part("sk", "_live_", "x".repeat(24))
        }";\n`,
        "package-lock.json": `{ "integrity": "${GITHUB}" }`,
      },
      status: "pass",
    },
    "in a test it may be made up": {
      files: { "tests/test_pay.py": `KEY = "${STRIPE}"\n` },
      status: "warn",
      hides: [STRIPE],
    },
    "nothing to look at": { files: {}, status: "unknown" },
  },
};
