import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "SEC-10",
  cases: {
    "a secret with a prefix that publishes it": {
      files: {
        "web/.env.example": "NEXT_PUBLIC_JWT_SECRET=\n",
        "web/lib/auth.ts": "export const a = 1;\nconst key = process.env.NEXT_PUBLIC_JWT_SECRET;\n",
        "web/src/ai.ts": "const k = import.meta.env.VITE_OPENAI_API_KEY;\n",
      },
      status: "fail",
      severity: "p0",
      at: ["web/lib/auth.ts:2", "web/src/ai.ts:1"],
    },
    "the service role": {
      files: { "Dockerfile": "ARG NEXT_PUBLIC_SUPABASE_SERVICE_ROLE_KEY\n" },
      status: "fail",
      severity: "p0",
    },
    "a token that may be one": {
      files: { "a.ts": "fetch(x, process.env.NEXT_PUBLIC_API_TOKEN)" },
      status: "warn",
      severity: "p1",
    },
    "what services hand out for browsers": {
      files: {
        "a.ts":
          "const e = process.env; [e.NEXT_PUBLIC_SENTRY_DSN, e.NEXT_PUBLIC_POSTHOG_KEY, e.NEXT_PUBLIC_SUPABASE_ANON_KEY, e.NEXT_PUBLIC_STRIPE_PUBLISHABLE_KEY, e.NEXT_PUBLIC_PUSHER_APP_KEY, e.NEXT_PUBLIC_TURNSTILE_SITE_KEY, e.NEXT_PUBLIC_MAPBOX_TOKEN, e.NEXT_PUBLIC_FIREBASE_API_KEY, e.NEXT_PUBLIC_PASSWORD_RESET_URL, e.NEXT_PUBLIC_TOKEN_ADDRESS];",
      },
      status: "pass",
    },
    "a comment and a test publish nothing": {
      files: {
        "a.ts": "// NEXT_PUBLIC_API_SECRET was a mistake\n",
        "tests/a.test.ts": "NEXT_PUBLIC_API_SECRET",
      },
      status: "not-applicable",
    },
  },
};
