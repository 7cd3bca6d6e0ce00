import type { Cases } from "../support/readiness-cases.ts";

const NEXT = { "package.json": '{ "dependencies": { "next": "16" } }' };

export const cases: Cases = {
  rule: "WEB-03",
  cases: {
    "none of them": {
      files: NEXT,
      status: "fail",
      severity: "p2",
      says: /Strict-Transport-Security/,
    },
    "all of them, frames by the policy": {
      files: {
        ...NEXT,
        "next.config.mjs": `const list = [
          { key: "Strict-Transport-Security", value: "max-age=63072000" }, { key: "X-Content-Type-Options", value: "nosniff" },
          { key: "Referrer-Policy", value: "same-origin" }, { key: "Content-Security-Policy", value: "frame-ancestors 'none'" }];
          export default { headers: async () => [{ source: "/:path*", headers: list }] };`,
      },
      status: "pass",
    },
    "TLS that ends before it": {
      files: {
        ...NEXT,
        "nginx.conf":
          'add_header X-Frame-Options "DENY" always;\nadd_header X-Content-Type-Options nosniff;\nadd_header Referrer-Policy no-referrer;\n',
      },
      status: "warn",
    },
    "helmet sets them all": {
      files: {
        "package.json": '{ "dependencies": { "react-dom": "19" } }',
        "server.js": 'const helmet = require("helmet"); app.use(helmet());',
      },
      status: "pass",
    },
    "no web": { files: { "a.py": "" }, status: "not-applicable" },
  },
};
