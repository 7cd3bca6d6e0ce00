import type { Cases } from "../support/readiness-cases.ts";

const AUTH = { "package.json": '{ "dependencies": { "next-auth": "5" } }' };
const file = (options: string) => ({
  ...AUTH,
  "auth.ts": `import NextAuth from "next-auth";\nNextAuth({ ${options} });`,
});

export const cases: Cases = {
  rule: "WEB-08",
  cases: {
    "accounts by e-mail alone": {
      files: file("providers: [Google({ allowDangerousEmailAccountLinking: true })]"),
      status: "fail",
      severity: "p1",
      at: ["auth.ts:2"],
    },
    "the host of the request": {
      files: file("providers: [], trustHost: true"),
      status: "warn",
      severity: "p2",
    },
    "both off": {
      files: file("providers: [Google({ allowDangerousEmailAccountLinking: false })]"),
      status: "pass",
    },
    "no such library": {
      files: { "a.ts": "const x = { trustHost: true };" },
      status: "not-applicable",
    },
  },
};
