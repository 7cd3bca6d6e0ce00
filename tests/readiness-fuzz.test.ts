import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { PARSERS } from "../functions/_core/adapters/readiness-parsers.ts";
import { audit } from "../functions/_core/readiness/audit.ts";
import { parseGitIndex } from "../functions/_core/readiness/git-index.ts";
import { readIgnores } from "../functions/_core/readiness/ignore.ts";
import type { Parsers } from "../functions/_core/readiness/parsers.ts";
import { reportOf } from "../functions/_core/readiness/report/report.ts";
import { renderTerminal } from "../functions/_core/readiness/report/terminal.ts";
import { RULES } from "../functions/_core/readiness/rules/index.ts";
import { depth } from "./support/depth.ts";
import { repositoryOf } from "./support/readiness-cases.ts";
import { ROOT } from "./support/sql-files.ts";

/** No single text of this size may take longer, on a machine that does other things too. */
const MOST_MILLISECONDS = 10_000;

/** A file of each kind, as somebody would write it: what is fuzzed is near enough to be looked at. */
const SAMPLES: Record<string, string> = {
  ".github/workflows/ci.yml":
    "on:\n  pull_request_target: {}\npermissions: &p { contents: read }\njobs:\n  a:\n    permissions: *p\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n        with: { ref: '${{ github.event.pull_request.head.sha }}' }\n      - run: |\n          curl -fsSL https://x.example | sh\n          echo ${{ github.head_ref }}\n",
  "compose.yml":
    "x-a: &a { restart: always }\nservices:\n  api:\n    <<: *a\n    build: .\n    ports: ['8000:8000']\n    environment: { SECRET_KEY: '${KEY:-dev}' }\n  db: { image: 'postgres:17' }\n",
  "Dockerfile":
    'ARG V=3\nFROM python:${V} AS base\nRUN <<EOF\npip install .\nEOF\nCOPY --from=base . .\nCMD ["sh", "-c", "./start.sh && uvicorn app:app"]\n',
  "start.sh":
    'set -e\nif [ -n "$A" ]; then (a | b) && c; fi\ncat <<\'EOF\'\nx\nEOF\nfor i in $(seq 3); do exec "$i" || true; done\n',
  "app.py":
    'from fastapi import FastAPI, Request\nfrom pydantic_settings import BaseSettings\n\nclass Settings(BaseSettings):\n    secret_key: str = "changethis"\n\napp = FastAPI(debug=True)\n\n@app.post("/login")\nasync def login(request: Request):\n    print(f"{request.headers[\'x-forwarded-for\']}")\n    return [x for x in (await session.execute(text(f"select {request}")))]\n',
  "web/server.ts":
    'import express from "express";\nconst app = express();\napp.post("/login", async (req, res) => { localStorage.setItem("token", `${req.body.a}`); });\nexport default { headers: async () => [{ key: "Content-Security-Policy", value: ["a", "b"].join(";") }] } satisfies X;\n',
  "migrations/1_a.sql":
    "create table public.a (id uuid primary key, tenant_id uuid);\ncreate policy p on public.a for all to anon using (true);\ndo $$ begin execute 'drop table b'; end $$;\n",
  "pyproject.toml":
    '[project]\nname = "a"\ndependencies = ["fastapi"]\n[tool.uv]\na = { b = [1, 2.5] }\n',
  "package.json":
    '{ "dependencies": { "next": "15", "express": "5" }, "scripts": { "start": "a && b" } }',
  "Caddyfile":
    "(a) {\n  header X-A b\n}\nexample.org {\n  import a\n  reverse_proxy api:8000 {\n    header_up X {remote_host}\n  }\n}\n",
  "nginx.conf":
    "http { server { listen 80; location / { proxy_pass http://a; proxy_set_header X $remote_addr; } } }\n",
  ".env": "A=1\nSECRET_KEY='x y'\nexport B=\"a\nb\"\n",
  "Makefile": "all: a\n\tcurl x | sh\na:\n\t@echo $(A)\n",
  "bulkhead-notes.md": "# bulkhead-ignore CI-01 until 2027-01-31: a reason of length\n",
};

const SPLICES = [
  ...[
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "'",
    '"',
    "`",
    "${",
    "${{",
    "}}",
    "$(",
    "<<",
    "<<EOF",
    "&a",
    "*a",
    "|",
    ">",
  ],
  ...[
    "\\",
    "\n",
    "\r\n",
    "\t",
    "  ",
    "\0",
    "\ufeff",
    "\u2028",
    "\ud800",
    "é",
    "😀",
    "#",
    "//",
    "/*",
    "*/",
    "--",
  ],
  ...[
    ": ",
    "- ",
    "? ",
    "!!js/function",
    "%",
    "@",
    "=",
    "==",
    ";",
    ";;",
    'f"{',
    "lambda: ",
    "def ",
    "class ",
  ],
  ...[
    "$$",
    "[[",
    "]]",
    "...",
    "=>",
    "<a>",
    "</",
    "async ",
    "await ",
    "import ",
    "export ",
    "ONBUILD ",
    "FROM ",
  ],
];

/** A text of a kind with some places cut, doubled, or spliced. */
function mutated(sample: string): fc.Arbitrary<string> {
  const change = fc.record({
    at: fc.nat(sample.length),
    cut: fc.nat(12),
    put: fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom(...SPLICES) },
      { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 12 }) },
      {
        weight: 1,
        arbitrary: fc.tuple(fc.constantFrom(...SPLICES), fc.integer({ min: 2, max: 400 })).map((
          [part, n],
        ) => part.repeat(n)),
      },
      { weight: 2, arbitrary: fc.constant(sample) },
    ),
  });
  return fc.array(change, { maxLength: 5 }).map((changes) =>
    changes.reduce(
      (text, { at, cut, put }) => text.slice(0, at) + put + text.slice(at + cut),
      sample,
    )
  );
}

/** A front either answers or throws an Error that says why, in bounded time. */
async function survives(parse: (text: string) => unknown, text: string): Promise<void> {
  const began = performance.now();
  try {
    await parse(text);
  } catch (error) {
    assert.ok(error instanceof Error, "it throws an Error");
  }
  assert.ok(
    performance.now() - began < MOST_MILLISECONDS,
    `it took too long: ${JSON.stringify(text.slice(0, 200))}`,
  );
}

const FRONTS: Record<
  Exclude<keyof Parsers, "tokens">,
  { files: string[]; parse: (text: string) => unknown }
> = {
  yaml: { files: [".github/workflows/ci.yml", "compose.yml"], parse: PARSERS.yaml },
  dockerfile: { files: ["Dockerfile"], parse: PARSERS.dockerfile },
  shell: { files: ["start.sh"], parse: PARSERS.shell },
  python: { files: ["app.py"], parse: async (text) => (await PARSERS.python())(text) },
  script: { files: ["web/server.ts"], parse: (text) => PARSERS.script("web/server.tsx", text) },
  sql: { files: ["migrations/1_a.sql"], parse: PARSERS.sql },
  toml: { files: ["pyproject.toml"], parse: PARSERS.toml },
};

describe("every parser front survives any text", () => {
  for (const [name, { files, parse }] of Object.entries(FRONTS)) {
    it(name, async () => {
      const texts = fc.oneof(
        ...files.map((file) => mutated(SAMPLES[file] ?? "")),
        fc.string({ unit: "binary", maxLength: 300 }),
        fc.array(fc.constantFrom(...SPLICES), { maxLength: 60 }).map((parts) => parts.join("")),
      );
      await fc.assert(fc.asyncProperty(texts, (text) => survives(parse, text)), {
        numRuns: depth({ quick: 150, full: 3_000 }),
      });
    });

    it(`${name}, nested without end or very long`, async () => {
      for (
        const part of [
          "[",
          "{",
          "(",
          "{a: ",
          "- ",
          "$(",
          "((",
          "a(",
          "[a,",
          "x.",
          "!",
          "f'{",
          "<a>",
          "(select ",
          "a = {",
          "${",
          "`",
          "if ",
        ]
      ) {
        await survives(parse, part.repeat(20_000));
      }
      await survives(parse, `a = ${'"x" + '.repeat(20_000)}"y"`);
      await survives(parse, `${"a".repeat(1_000_000)}\n`);
    });
  }
});

describe("the audit", () => {
  it("survives any files: no rule throws, every answer is one, and the report can be printed", async () => {
    const files = fc.record(
      Object.fromEntries(Object.entries(SAMPLES).map(([path, text]) => [path, mutated(text)])),
    );
    const now = new Date("2026-11-21T12:00:00Z");
    await fc.assert(
      fc.asyncProperty(files, async (texts) => {
        const began = performance.now();
        const repository = repositoryOf(texts);
        const ignores = readIgnores(repository, RULES.map(({ id }) => id), now);
        const found = await audit(repository, { ignores });
        const report = reportOf(found, repository, { repository: "a", toolVersion: "1.0.0", now });
        for (const { id, summary } of report.rules) {
          assert.doesNotMatch(summary, /^the rule failed/, `${id}: ${summary}`);
        }
        renderTerminal(report);
        assert.ok(performance.now() - began < 6 * MOST_MILLISECONDS, "it took too long");
      }),
      { numRuns: depth({ quick: 12, full: 200 }) },
    );
  });

  it("survives the small repositories with their files swapped for one another's", async () => {
    const home = join(ROOT, "examples/readiness/startup");
    const paths = readdirSync(home, { recursive: true, withFileTypes: true })
      .filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
    const texts = paths.map((path) => readFileSync(path, "utf8"));
    const names = paths.map((path) => path.slice(home.length + 1));
    const files = Object.fromEntries(
      names.map((name, n) => [name, texts[(n + 7) % texts.length] ?? ""]),
    );
    const { judgements } = await audit(repositoryOf(files));
    for (const { rule, outcome } of judgements) {
      assert.doesNotMatch(outcome.summary, /^the rule failed/, rule.id);
    }
  });
});

describe("git's index", () => {
  it("answers or throws a SyntaxError, whatever the bytes", () => {
    const head = (version: number, count: number) =>
      Uint8Array.from([0x44, 0x49, 0x52, 0x43, 0, 0, 0, version, 0, 0, 0, count]);
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 4 }),
        fc.nat(5),
        fc.uint8Array({ maxLength: 600 }),
        (version, count, rest) => {
          const bytes = new Uint8Array(12 + rest.length);
          bytes.set(head(version, count));
          bytes.set(rest, 12);
          try {
            parseGitIndex(bytes);
          } catch (error) {
            assert.ok(error instanceof SyntaxError, String(error));
          }
        },
      ),
      { numRuns: depth({ quick: 500, full: 20_000 }) },
    );
  });
});
