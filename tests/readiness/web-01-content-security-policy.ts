import type { Cases } from "../support/readiness-cases.ts";

const NEXT = { "package.json": '{ "dependencies": { "next": "16" } }' };

export const cases: Cases = {
  rule: "WEB-01",
  cases: {
    "Next without a policy": {
      files: { ...NEXT, "next.config.ts": "export default { reactStrictMode: true };" },
      status: "fail",
      severity: "p1",
      at: ["next.config.ts"],
    },
    "a policy that only reports": {
      files: {
        ...NEXT,
        "middleware.ts":
          'response.headers.set("Content-Security-Policy-Report-Only", "default-src self");',
      },
      status: "warn",
    },
    "in the config, in proxy.ts of Next 16, and at the proxy": {
      files: {
        ...NEXT,
        "next.config.js":
          'module.exports = { headers: async () => [{ source: "/(.*)", headers: [{ key: "Content-Security-Policy", value: "default-src \'self\'" }] }] };',
        "src/proxy.ts":
          'export function proxy() { response.headers.set("content-security-policy", csp); }',
        "Caddyfile": "app.acme.io {\n\theader Content-Security-Policy \"default-src 'self'\"\n}\n",
      },
      status: "pass",
    },
    "a list of headers that nothing loads": {
      files: {
        ...NEXT,
        "lib/headers.ts":
          'export const list = [{ key: "Content-Security-Policy", value: "default-src x" }];',
      },
      status: "warn",
    },
    "only development has one": {
      files: {
        ...NEXT,
        "middleware.ts":
          'if (process.env.NODE_ENV === "development") { res.headers.set("Content-Security-Policy", "default-src *"); }',
      },
      status: "fail",
    },
    "a single-page application whose host is not here": {
      files: { "package.json": '{ "dependencies": { "react-dom": "19", "vite": "7" } }' },
      status: "unknown",
    },
    "no web": {
      files: { "package.json": '{ "dependencies": { "express": "5" } }' },
      status: "not-applicable",
    },
  },
};
