import type { Cases } from "../support/readiness-cases.ts";

const AUTH = { "package.json": '{ "dependencies": { "next-auth": "5" } }' };

export const cases: Cases = {
  rule: "WEB-06",
  cases: {
    "the access token goes to the page": {
      files: {
        ...AUTH,
        "auth.ts":
          'import NextAuth from "next-auth";\nNextAuth({ callbacks: { session({ session, token }) {\n  session.accessToken = token.accessToken as string;\n  return session; } } });',
      },
      status: "fail",
      severity: "p2",
      at: ["auth.ts:3"],
    },
    "an id is no token": {
      files: {
        ...AUTH,
        "auth.ts":
          'import NextAuth from "next-auth";\nNextAuth({ providers: [], callbacks: { session({ session, token }) { session.user.id = token.sub; return session; } } });',
      },
      status: "pass",
    },
    "the token stays in the JWT": {
      files: {
        ...AUTH,
        "auth.ts":
          'import NextAuth from "next-auth";\nNextAuth({ callbacks: { jwt({ token, account }) { token.accessToken = account.access_token; return token; } } });',
      },
      status: "pass",
    },
    "no such library": { files: { "a.ts": "session.accessToken = x" }, status: "not-applicable" },
  },
};
