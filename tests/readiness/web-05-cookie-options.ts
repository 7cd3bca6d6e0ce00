import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "WEB-05",
  cases: {
    "a session that scripts can read": {
      files: {
        "a.ts":
          '(await cookies()).set("session", id);\nres.cookie("access_token", t, { secure: true, sameSite: "lax" });\ndocument.cookie = `auth_token=${t}; path=/`;\nCookies.set("jwt", t);\n',
      },
      status: "fail",
      severity: "p1",
      at: ["a.ts:1", "a.ts:2", "a.ts:3", "a.ts:4"],
    },
    "options from a variable, secure in production": {
      files: {
        "a.ts":
          'const options = { httpOnly: true, secure: process.env.NODE_ENV === "production", sameSite: "lax" as const };\nconst jar = await cookies();\ncookieStore.set("session", id, options);\ncookies().set({ name: "refreshToken", value: t, ...options });',
      },
      status: "pass",
    },
    "options that nobody can read": {
      files: { "a.ts": 'response.cookies.set("session", id, optionsFor(request));' },
      status: "unknown",
    },
    "taking a cookie back, and cookies of other kinds": {
      files: {
        "a.ts":
          'cookies().set("session", "", { maxAge: 0 }); document.cookie = "theme=dark"; res.cookie("csrf_token", t);',
      },
      status: "not-applicable",
    },
    "a missing SameSite is Lax": {
      files: { "a.ts": 'res.cookie("session", id, { httpOnly: true, secure: true });' },
      status: "warn",
      severity: "p2",
    },
  },
};
