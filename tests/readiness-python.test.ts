import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadPython } from "../functions/_core/adapters/readiness-python.ts";
import { type PythonModule, pythonOf } from "../functions/_core/readiness/models/python.ts";
import { argumentsOf, literalOf, stringOf } from "../functions/_core/readiness/python-node.ts";
import { repositoryOf } from "./support/readiness-cases.ts";

describe("loadPython()", async () => {
  const parse = await loadPython();
  it("answers nodes with their types, fields, lines and texts, signs in fields too", () => {
    const { root, hasErrors } = parse(
      '# é😀\nx = a is not b\n@app.get("/")\nasync def f(q: int = 3): ...\n',
    );
    assert.equal(hasErrors, false);
    const [comparison] = root.all("comparison_operator");
    assert.equal(comparison?.field("operators")?.text, "is not");
    assert.deepEqual(comparison?.children.map(({ text }) => text), ["a", "b"]);
    const [definition] = root.all("function_definition");
    assert.equal(definition?.line, 4);
    assert.equal(definition?.parent?.type, "decorated_definition");
    assert.equal(root.endLine, 4);
  });
  it("says that it left something out", () => {
    assert.equal(parse("{% if cookiecutter.x %}\ndebug = True\n").hasErrors, true);
  });
  const deep = 50_000;
  for (
    const [name, text] of Object.entries({
      "open parentheses": "(".repeat(deep),
      "lists in lists": "[".repeat(deep) + "]".repeat(deep),
      "an endless chain": "a" + ".a".repeat(deep),
      "an endless sum": "1" + "+1".repeat(deep),
      "blocks in blocks": Array.from({ length: 1_000 }, (_, at) => `${" ".repeat(at)}if x:`).join(
        "\n",
      ),
      "interpolations in interpolations": "f'{".repeat(deep),
      "bytes that are no text": "\0\u{ffff}\ud800",
    })
  ) {
    it(`survives ${name}`, () => {
      const { root } = parse(text);
      for (const node of root.all().slice(0, 500)) {
        stringOf(node);
        literalOf(node);
        argumentsOf(node);
      }
    });
  }
});

describe("pythonOf()", () => {
  const files = {
    "backend/app/__init__.py": "",
    "backend/app/core/__init__.py": "from .config import settings as conf\n",
    "backend/app/core/config.py": `from pydantic_settings import BaseSettings
class Base(BaseSettings, env_prefix="APP_"):
    debug: bool = False
class Settings(Base):
    secret: str = "a" 'b'
    class Config:
        env_file = ".env"
settings = Settings()
`,
    "backend/app/logging.py": "import logging\nlog = logging.getLogger()\n",
    "backend/app/main.py": `import logging
from fastapi.middleware.cors import CORSMiddleware as Cors
import app.core.config as configuration
from app.core import conf
from . import core
@app.get("/", tags=["a"])
async def home(request: Request, limit: int = 10, *args, **rest) -> str:
    import sentry_sdk
    return conf.secret
app.add_middleware(Cors, allow_origins=["*"])
`,
    "other/app/core/config.py": "settings = None\n",
    "backend/tests/test_main.py": "x = 1\n",
  };
  const model = pythonOf(repositoryOf(files));
  const module = async (path: string): Promise<PythonModule> => {
    const found = (await model).modules.find((one) => one.path === path);
    assert.ok(found);
    return found;
  };
  it("leaves tests out", async () => {
    assert.ok(!(await model).modules.some(({ path }) => path.includes("test")));
  });
  it("follows a name through imports and re-exports to the nearest definition", async () => {
    const python = await model;
    const main = await module("backend/app/main.py");
    for (const name of ["conf", "configuration.settings", "core.conf", "core.config.settings"]) {
      const found = python.definition(main, name);
      assert.ok(found && "kind" in found && found.kind === "constant", name);
      assert.equal(found.module.path, "backend/app/core/config.py");
      assert.equal(found.line, 8);
    }
    assert.equal(python.fullName(main, "Cors"), "fastapi.middleware.cors.CORSMiddleware");
    assert.equal(python.definition(main, "logging.getLogger"), null);
    assert.equal(main.imports.get("sentry_sdk")?.module, "sentry_sdk");
  });
  it("knows bases through bases, fields with defaults, and the keywords of a class", async () => {
    const python = await model;
    const [settings] = python.classes("Settings");
    assert.ok(settings);
    assert.equal(python.inherits(settings, "BaseSettings"), true);
    assert.equal(python.inherits(settings, "BaseModel"), false);
    const [base] = python.ancestors(settings);
    assert.equal(stringOf(base?.keywords.get("env_prefix") ?? null), "APP_");
    assert.deepEqual(settings.fields.map(({ name, value }) => [name, stringOf(value)]), [[
      "secret",
      "ab",
    ]]);
    assert.equal(settings.inner[0]?.fields[0]?.name, "env_file");
  });
  it("knows functions with decorators and parameters, and calls with keywords", async () => {
    const main = await module("backend/app/main.py");
    const [home] = main.functions;
    assert.equal(home?.isAsync, true);
    assert.deepEqual(home?.parameters.map(({ name, value }) => [name, value?.text ?? null]), [
      ["request", null],
      ["limit", "10"],
      ["args", null],
      ["rest", null],
    ]);
    assert.equal(home?.decorators[0]?.field("function")?.text, "app.get");
    const [call] = (await model).calls("add_middleware");
    assert.equal(call?.line, 10);
    assert.equal(argumentsOf(call?.node ?? null).keywords.get("allow_origins")?.text, '["*"]');
  });
  it("survives modules that import and inherit from each other", async () => {
    const python = await pythonOf(repositoryOf({
      "a.py": "from b import x\nfrom b import B\nclass A(B): pass\n",
      "b.py": "from a import x\nfrom a import A\nclass B(A): pass\n",
    }));
    const [a] = python.classes("A");
    assert.ok(a);
    assert.equal(python.inherits(a, "C"), false);
    assert.equal(python.definition(a.module, "x"), null);
    assert.equal(python.fullName(a.module, "x") !== null, true);
  });
});
