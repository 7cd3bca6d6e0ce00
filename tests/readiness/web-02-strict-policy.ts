import type { Cases } from "../support/readiness-cases.ts";

const config = (value: string, before = "") => ({
  "package.json": '{ "dependencies": { "next": "16" } }',
  "next.config.js":
    `${before}\nmodule.exports = { headers: async () => [{ headers: [{ key: "Content-Security-Policy", value: ${value} }] }] };`,
});

export const cases: Cases = {
  rule: "WEB-02",
  cases: {
    "scripts that may be inline and evaluated": {
      files: config(
        "[\"default-src 'self'\", `script-src 'self' 'unsafe-inline' 'unsafe-eval'`].join('; ')",
      ),
      status: "fail",
      severity: "p1",
      says: /'unsafe-eval' and 'unsafe-inline'/,
    },
    "the branch of production counts, a template's too": {
      files: config(
        "csp",
        "const csp = `script-src 'self' ${process.env.NODE_ENV === 'production' ? \"'unsafe-inline'\" : ''}`;",
      ),
      status: "fail",
    },
    "only development evaluates": {
      files: config(
        "csp",
        "const isDev = process.env.NODE_ENV !== 'production';\nconst csp = `script-src 'self'${isDev ? \" 'unsafe-eval'\" : ''}; style-src 'self'`;",
      ),
      status: "pass",
    },
    "beside a nonce 'unsafe-inline' means nothing": {
      files: {
        "middleware.ts":
          "const nonce = make();\nres.headers.set('Content-Security-Policy', `script-src 'self' 'nonce-${nonce}' 'strict-dynamic' 'unsafe-inline' https:; style-src 'self'`);",
      },
      status: "pass",
    },
    "styles are a weakness": {
      files: config("\"default-src 'self'; style-src 'self' 'unsafe-inline'\""),
      status: "warn",
      severity: "p2",
    },
    "a policy about frames alone": { files: config("\"frame-ancestors 'none'\""), status: "fail" },
    "a policy that nobody can read": { files: config("process.env.CSP"), status: "unknown" },
    "no policy": { files: { "a.ts": "" }, status: "not-applicable" },
  },
};
