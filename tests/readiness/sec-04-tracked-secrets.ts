import type { Cases } from "../support/readiness-cases.ts";

const REAL = ["q7Rk2", "Zp9vX", "m4Tb8", "Lc6Wd"].join("");
const PEM = (kind: string) => `-----BEGIN ${kind}-----\nMIIB…\n-----END ${kind}-----\n`;

export const cases: Cases = {
  rule: "SEC-04",
  cases: {
    "a .env with a secret that git has": {
      files: { "backend/.env": `# local\nDEBUG=1\nexport JWT_SECRET="${REAL}" # signing\n` },
      status: "fail",
      severity: "p0",
      at: ["backend/.env:3"],
      hides: [REAL],
    },
    "an address with its password": {
      files: { ".env.production": `DATABASE_URL=postgres://app:${REAL}@db.acme.io/app\n` },
      status: "fail",
      severity: "p0",
      hides: [REAL],
    },
    "a placeholder that git has is what somebody runs with": {
      files: { ".env": "SECRET_KEY=changethis\nPROJECT_NAME=app\n" },
      status: "fail",
      severity: "p1",
      at: [".env:1"],
    },
    "a private key, and a certificate that is public": {
      files: { "certs/server.key": PEM("RSA PRIVATE KEY"), "certs/ca.pem": PEM("CERTIFICATE") },
      status: "fail",
      severity: "p0",
      at: ["certs/server.key:1"],
    },
    "a template with placeholders": {
      files: {
        ".env.example":
          "JWT_SECRET=changeme\nSTRIPE_KEY=\nDB_URL=postgres://postgres:postgres@localhost/x\nTOKEN=your-token-here\nAPI_KEY=${API_KEY}\n",
      },
      status: "pass",
    },
    "public names and plain settings are no secrets": {
      files: {
        "web/.env":
          "VITE_API_URL=https://api.acme.io\nPORT=3000\nTOKEN_TTL=3600\nNEXT_PUBLIC_SENTRY_DSN=https://k@o1.sentry.example/2\n",
      },
      status: "pass",
    },
    "a template that somebody filled in": {
      files: { ".env.example": `JWT_SECRET=${REAL}\n` },
      status: "warn",
      hides: [REAL],
    },
    "nothing there, and git ignores it": {
      files: { ".gitignore": "node_modules\n.env*\n" },
      status: "pass",
    },
    "nothing there, and nothing keeps it out": { files: { "README.md": "x" }, status: "unknown" },
  },
};
