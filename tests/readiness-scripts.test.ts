import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  callsIn,
  environmentReads,
  lineOf,
  originOf,
  scripts,
} from "../functions/_core/readiness/models/scripts.ts";
import { child, word } from "../functions/_core/lint/syntax.ts";
import { repositoryOf } from "./support/readiness-cases.ts";

/** The origins of every callee in a file, by what is written there. */
function origins(files: Record<string, string>, path: string): Record<string, string | null> {
  const all = scripts(repositoryOf(files));
  const module = all.at(path);
  assert.ok(module);
  return Object.fromEntries(
    callsIn(module).map((
      { callee, node },
    ) => [callee, originOf(child(node, "callee"), module, all)]),
  );
}

describe("originOf()", () => {
  it("follows packages through variables, require, re-exports and aliases of paths", () => {
    const found = origins({
      "package.json": "{}",
      "src/app.ts":
        'import express, { Router } from "express";\nexport const app = express();\nexport const api = Router();',
      "src/barrel.ts":
        'export * from "./app.js"; export { rateLimit as limit } from "express-rate-limit";',
      "src/main.ts": [
        'import { api, app, limit } from "@/barrel";',
        'const { cors } = require("npm:hono@4/cors");',
        "app.use(limit({ max: 5 })); api.get('/x', f); cors(); console.log(1); localStorage.setItem('a', 'b');",
        "function f(app) { app.listen(1); }",
      ].join("\n"),
    }, "src/main.ts");
    assert.deepEqual(found, {
      require: "require",
      "app.use": "express().use",
      limit: "express-rate-limit.rateLimit",
      "api.get": "express.Router().get",
      cors: "hono/cors.cors",
      "console.log": "console.log",
      "localStorage.setItem": "localStorage.setItem",
      "app.listen": null,
    });
  });

  it("ends in a ring of files and of names", () => {
    const found = origins({
      "a.ts": 'import { x } from "./b"; x(); const y = z, z = y; y();',
      "b.ts": 'export { x } from "./c";',
      "c.ts": 'export * from "./b"; export { x } from "./b";',
    }, "a.ts");
    assert.deepEqual(found, { x: null, y: null });
  });
});

describe("environmentReads()", () => {
  it("finds each way to read a variable, its line and what stands in for it", () => {
    const all = scripts(repositoryOf({
      "env.ts": [
        "const secret = process.env.JWT_SECRET || 'dev';",
        "const { PORT = 3000, HOST } = process.env;",
        "const env = process.env; const url = (env.DATABASE_URL as string) ?? other;",
        "const key = import.meta.env.VITE_KEY, token = Deno.env.get('TOKEN');",
        "process.env.TZ = 'UTC'; config.env.NAME;",
      ].join("\n"),
    }));
    const module = all.at("env.ts");
    assert.ok(module);
    const reads = environmentReads(module, all).map(({ name, line, fallback }) =>
      `${line} ${name}${
        fallback ? ` ${word(fallback, "value") || word(fallback, "name") || fallback.type}` : ""
      }`
    );
    assert.deepEqual(reads.toSorted(), [
      "1 JWT_SECRET dev",
      "2 HOST",
      "2 PORT NumericLiteral",
      "3 DATABASE_URL other",
      "4 TOKEN",
      "4 VITE_KEY",
    ]);
  });
});

describe("scripts()", () => {
  it("parses what is asked for, once, and notes what can't be parsed", () => {
    const repository = repositoryOf({
      "a.ts": "export const a = limiter();",
      "b.ts": "export const b = (((;",
      "c.min.js": "limiter()",
      "node_modules/x/index.js": "limiter()",
    });
    const all = scripts(repository);
    assert.deepEqual(all.files.map(({ path }) => path), ["a.ts", "b.ts"]);
    const [module] = all.mentioning(/limiter/);
    assert.ok(module);
    assert.equal(all.at("a.ts"), module);
    assert.equal(lineOf(module, module.program), 1);
    assert.equal(repository.unread.length, 0);
    assert.equal(all.at("b.ts"), null);
    assert.deepEqual(repository.unread.map(({ file }) => file), ["b.ts"]);
  });
});
