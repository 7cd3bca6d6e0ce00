import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "OBS-03",
  cases: {
    "a reset token is printed": {
      files: { "app/auth.py": 'def reset(user):\n    print(f"reset: {reset_token}")\n' },
      status: "fail",
      severity: "p1",
      at: ["app/auth.py:2"],
    },
    "a link that holds one": {
      files: { "app/auth.py": 'def reset(user):\n    logger.info("go to %s", reset_link)\n' },
      status: "fail",
    },
    "as a field of the line": {
      files: { "app/auth.py": 'logger.info("login", password=form.password)\n' },
      status: "fail",
    },
    "a setting": {
      files: { "app/main.py": 'logger.debug("key " + settings.SECRET_KEY)\n' },
      status: "fail",
    },
    "counts, addresses of tokens and flags": {
      files: {
        "app/llm.py": `logger.info(f"{token_count} of {max_tokens}, {prompt_tokens}, {token_url}")
logger.info("has %s", has_password)
logger.info("changed", extra={"password_changed": True})
logger.info("your password was changed")
`,
      },
      status: "pass",
    },
    "what is masked, cut or counted": {
      files: {
        "app/auth.py": `logger.info(f"{mask(token)} {token[:4]} {len(password)} {bool(api_key)}")
`,
      },
      status: "pass",
    },
    "a comparison is no value": {
      files: { "app/auth.py": 'logger.info("same: %s", token == other_token)\n' },
      status: "pass",
    },
    "console with a token": {
      files: { "src/auth.ts": 'console.log("token", token);\n' },
      status: "fail",
      at: ["src/auth.ts:1"],
    },
    "an object with a password, and one with its id": {
      files: {
        "src/auth.ts":
          'logger.info({ password: body.password }, "in");\nlogger.info({ tokenId: token.id }, "in");\n',
      },
      status: "fail",
      at: ["src/auth.ts:1"],
    },
    "the whole environment": {
      files: { "src/start.ts": "console.log(process.env);\n" },
      status: "fail",
    },
    "one harmless variable of it": {
      files: { "src/start.ts": "console.log(process.env.PORT);\n" },
      status: "pass",
    },
    "every header": {
      files: { "src/app.ts": 'app.use((req) => logger.info({ headers: req.headers }, "in"));\n' },
      status: "fail",
    },
    "a seed that prints its password to whoever runs it": {
      files: { "scripts/seed.ts": "console.log(`admin / ${password}`);\n" },
      status: "fail",
      severity: "p2",
    },
    "code of a browser": {
      files: { "web/form.ts": '"use client";\nconsole.log(token);\n' },
      status: "not-applicable",
    },
    "nothing is logged": { files: { "src/a.ts": "export {};\n" }, status: "not-applicable" },
  },
};
