import type { Cases } from "../support/readiness-cases.ts";

const config = (field: string) =>
  `from pydantic_settings import BaseSettings\nclass Settings(BaseSettings):\n    ${field}\nsettings = Settings()\n`;

export const cases: Cases = {
  rule: "SEC-02",
  cases: {
    "an empty secret that a webhook compares": {
      files: {
        "app/config.py": config('webhook_secret: str = ""'),
        "app/hooks.py": `import hmac
from app.config import settings
def check(given):
    expected = settings.webhook_secret
    return hmac.compare_digest(given, expected)
`,
      },
      status: "fail",
      severity: "p1",
      at: ["app/hooks.py:5"],
    },
    "a key that is compared with a header": {
      files: {
        "app/config.py": config("internal_api_key: str | None = None"),
        "app/hooks.py": `from app.config import settings
def check(request):
    if request.headers.get("x-key") != settings.internal_api_key:
        raise HTTPException(403)
`,
      },
      status: "fail",
      at: ["app/hooks.py:3"],
    },
    "a consumer that asks first is closed, and an integration that is off is fine": {
      files: {
        "app/config.py": config(
          'webhook_secret: str = ""\n    slack_token: str = ""\n    secret_key: str',
        ),
        "app/hooks.py": `import hmac
from app.config import settings
def check(given):
    if not settings.webhook_secret:
        raise HTTPException(503)
    return hmac.compare_digest(given, settings.webhook_secret)
def notify(text):
    if settings.slack_token:
        send(settings.slack_token, text)
`,
      },
      status: "pass",
      at: [],
    },
    "a job's secret in a text that is compared": {
      files: {
        "app/api/cron/route.ts": `export async function GET(request: Request) {
  if (request.headers.get("authorization") !== \`Bearer \${process.env.CRON_SECRET}\`) {
    return new Response("no", { status: 401 });
  }
  return run();
}
`,
      },
      status: "fail",
      at: ["app/api/cron/route.ts:2"],
    },
    "the same with a question before it": {
      files: {
        "app/api/cron/route.ts": `export async function GET(request: Request) {
  if (!process.env.CRON_SECRET || request.headers.get("authorization") !== \`Bearer \${process.env.CRON_SECRET}\`) {
    return new Response("no", { status: 401 });
  }
  return run();
}
`,
      },
      status: "unknown",
      at: [],
    },
    "no secret, no question": {
      files: { "app/config.py": config("name: str = 'a'") },
      status: "not-applicable",
    },
  },
};
