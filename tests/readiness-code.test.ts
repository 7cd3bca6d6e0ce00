import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { audit } from "../functions/_core/readiness/audit.ts";
import { code, type CodeFile, withCode } from "../functions/_core/readiness/models/code.ts";
import { names } from "../functions/_core/readiness/models/names.ts";
import { routes } from "../functions/_core/readiness/models/routes.ts";
import type { Repository } from "../functions/_core/readiness/repository.ts";
import { conclude } from "../functions/_core/readiness/rule.ts";
import { RULES } from "../functions/_core/readiness/rules/index.ts";
import { depth } from "./support/depth.ts";
import { repositoryOf } from "./support/readiness-cases.ts";

const MINE = RULES.filter(({ id }) =>
  /^(APP-(0[245689]|1[0-2])|JOB-0[1-3]|OBS-..|DEP-09)$/.test(id)
);

async function read(files: Record<string, string>): Promise<Repository> {
  const repository = repositoryOf(files);
  await withCode(() => conclude([], { status: "unknown", summary: "read" }))(repository);
  return repository;
}

async function only(path: string, text: string): Promise<CodeFile> {
  const [file] = code(await read({ [path]: text }));
  assert.ok(file);
  return file;
}

/** One meaning in both languages: what rules see of it must be the same. */
const TWINS: [string, string, string][] = [
  ["calls", "a.b(1, x)", "a.b(1, x);"],
  ["joined text", "q(f'one {two}')", "q(`one ${two}`);"],
  ["choices", "v = a if t else b", "v = t ? a : b;"],
  ["conditions", "if on:\n    f()", "if (on) { f(); }"],
  ["functions", "def f(a, b=1):\n    return g(a)", "function f(a, b = 1) { return g(a); }"],
  ["handlers", "try:\n    f()\nexcept E as e:\n    g(e)", "try { f(); } catch (e) { g(e); }"],
];

/** A file's facts without its lines and types: what is the same in both languages. */
function shape(file: CodeFile): unknown {
  return {
    calls: file.calls.map(({ callee, args, site }) => ({
      callee,
      args: args.map(({ kind }) => kind),
      when: site.when.length,
      caught: site.caught?.name ?? null,
      fn: site.fn?.name ?? null,
    })),
    functions: file.functions.map(({ name, params }) => [name, params.map((one) => one.name)]),
    statements: file.statements.map(({ kind, target, value }) => [kind, target, value.kind]),
  };
}

describe("code", () => {
  for (const [name, python, script] of TWINS) {
    it(`reads ${name} alike in Python and JavaScript`, async () => {
      assert.deepEqual(
        shape(await only("a.py", `${python}\n`)),
        shape(await only("a.ts", `${script}\n`)),
      );
    });
  }

  it("follows a name through files and packages", async () => {
    const repository = await read({
      "app/limits.py": "from slowapi import Limiter\nlimiter = Limiter()\n",
      "app/main.py": "from .limits import limiter as guard\nguard.limit('5/minute')\n",
      "web/a.ts": 'import make from "express-rate-limit";\nexport const guard = make();\n',
      "web/b.ts": 'import { guard } from "./a.ts";\nguard.reset();\n',
    });
    const all = names(repository);
    const at = (path: string) => {
      const file = code(repository).find((one) => one.path === path);
      assert.ok(file);
      return file;
    };
    assert.equal(all.calls(at("app/main.py"), "guard.limit"), "slowapi.Limiter().limit");
    assert.equal(all.calls(at("web/b.ts"), "guard.reset"), "express-rate-limit().reset");
  });

  it("joins the prefixes of routers", async () => {
    const repository = await read({
      "app/main.py":
        "from app import v1\napp = FastAPI()\napp.include_router(v1.router, prefix='/api')\n",
      "app/v1.py":
        "from app import users\nrouter = APIRouter(prefix='/v1')\nrouter.include_router(users.router, prefix='/users')\n",
      "app/users.py": "router = APIRouter()\n@router.post('/login')\ndef login(): ...\n",
    });
    assert.deepEqual(routes(repository).routes.map(({ path }) => path), ["/api/v1/users/login"]);
  });
});

const DEEP = 20_000;
const HOSTILE: Record<string, Record<string, string>> = {
  "brackets": {
    "a.py": `x = ${"[".repeat(DEEP)}${"]".repeat(DEEP)}\n`,
    "a.ts": `x = ${"[".repeat(DEEP)}`,
  },
  "calls in calls": {
    "a.py": `${"f(".repeat(3_000)}${")".repeat(3_000)}\n`,
    "a.ts": `${"f(".repeat(1_000)}${")".repeat(1_000)};`,
  },
  "chains": { "a.py": `x${".f()".repeat(3_000)}\n`, "a.ts": `x${".f()".repeat(3_000)};` },
  "sums": {
    "a.py": `execute("select " + ${"a + ".repeat(3_000)} b)\n`,
    "a.ts": `query("select " + ${"a + ".repeat(3_000)} b);`,
  },
  "branches": {
    "a.py": `if a:\n    f()\n${"elif b:\n    g()\n".repeat(5_000)}`,
    "a.ts": `${"if (a) f(); else ".repeat(500)} g();`,
  },
  "names of names": {
    "app.py": `from fastapi import FastAPI\n${
      Array.from({ length: 30 }, (_, index) =>
        `n${index} = ${Array(40).fill(`n${index + 1}`).join(" or ")}`).join("\n")
    }\nif n0:\n    app.add_middleware(RateLimitMiddleware)\nexecute(f"select {n0}")\nstructlog.configure(processors=[n0])\n`,
  },
  "routers in each other": {
    "a.py":
      "a = APIRouter()\nb = APIRouter()\na.include_router(b)\nb.include_router(a)\n@a.post('/login')\ndef login():\n    login()\n",
    "a.ts":
      'import { b } from "./b.ts";\nexport const a = b;\na.use(b);\nb.use(a);\na.post("/login", a);\n',
    "b.ts": 'export { a as b } from "./a.ts";\nimport { a } from "./a.ts";\nexport const b = a;\n',
  },
  "headers everywhere": {
    "a.ts": Array.from(
      { length: 400 },
      (_, index) =>
        `function f${index}(req) { return f${(index + 1) % 400}(req.headers["x-forwarded-for"]); }`,
    ).join("\n"),
  },
};

describe("the rules that read code", () => {
  for (const [name, files] of Object.entries(HOSTILE)) {
    it(`end in time on ${name}`, { timeout: 30_000 }, async () => {
      const { judgements } = await audit(repositoryOf(files), { rules: MINE });
      assert.equal(judgements.length, MINE.length);
      const failed = judgements.filter(({ outcome }) => /^the rule failed/.test(outcome.summary));
      assert.deepEqual(failed.map(({ rule, outcome }) => [rule.id, outcome.summary]), []);
    });
  }

  it("neither throw nor hang on what nobody would write", { timeout: 120_000 }, async () => {
    const words = fc.constantFrom(
      ...[
        "def f(",
        "):",
        "\n",
        "    ",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "f'",
        "'",
        '"',
        "`",
        "${",
        "=>",
      ],
      ...[
        "@app.post('/login')",
        "app.use(",
        "limiter",
        "import x from 'express'",
        "from fastapi import *",
      ],
      ...[
        "try:",
        "except E as e:",
        "catch (e) {",
        "return",
        "res.json(e)",
        "execute(f'select {q}')",
        ";",
        ",",
      ],
      ...[
        "class A(B):",
        "class A {",
        "if x:",
        "else:",
        "await",
        "yield",
        "print(token)",
        "req.headers['x-real-ip']",
      ],
    );
    await fc.assert(
      fc.asyncProperty(fc.array(words, { maxLength: 60 }), async (parts) => {
        const text = parts.join(" ");
        const { judgements } = await audit(
          repositoryOf({ "app/a.py": text, "src/a.ts": text, "src/b.js": text }),
          { rules: MINE },
        );
        for (const { outcome } of judgements) {
          assert.doesNotMatch(outcome.summary, /^the rule failed/, text);
        }
      }),
      { numRuns: depth({ quick: 30, full: 500 }) },
    );
  });
});
