import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { makeResolver } from "../functions/_core/lint/resolve.ts";
import { splitStatements } from "../functions/_core/lint/sql-split.ts";
import { found, lintFiles, lintText } from "./support/lint-fixtures.ts";

/** What `specifier` in `from` means, in a tree of empty files and the given configurations. */
function resolve(
  files: string[],
  configs: Record<string, unknown>,
  from: string,
  specifier: string,
) {
  const texts = Object.entries(configs).map(([path, value]) =>
    [path, typeof value === "string" ? value : JSON.stringify(value)] as const
  );
  return makeResolver({ files: new Set(files), configs: new Map(texts) })(from, specifier);
}

describe("makeResolver()", () => {
  it("reads a .js that means a .ts, index files and folders", () => {
    const files = ["a/b.ts", "a/c/index.tsx", "a/d.mts", "e.ts"];
    assert.deepEqual(resolve(files, {}, "a/x.ts", "./b.js"), { file: "a/b.ts" });
    assert.deepEqual(resolve(files, {}, "a/x.ts", "./c"), { file: "a/c/index.tsx" });
    assert.deepEqual(resolve(files, {}, "a/x.ts", "./d.mjs"), { file: "a/d.mts" });
    assert.deepEqual(resolve(files, {}, "a/x.ts", "../e"), { file: "e.ts" });
    assert.deepEqual(resolve(files, {}, "a/x.ts", "../../e"), { specifier: "../../e" });
  });

  it("reads paths of an extended tsconfig.json from the folder that it stands in", () => {
    const configs = {
      "base.json": "{}",
      "config/tsconfig.base.json": { compilerOptions: { paths: { "@lib/*": ["../lib/*"] } } },
      "web/tsconfig.json": { extends: "../config/tsconfig.base.json" },
    };
    assert.deepEqual(resolve(["lib/a.ts"], configs, "web/src/x.ts", "@lib/a"), {
      file: "lib/a.ts",
    });
  });

  it("survives a tsconfig.json that extends itself, and one that is no JSON", () => {
    const configs = {
      "tsconfig.json": { extends: "./tsconfig.json" },
      "a/tsconfig.json": "{ nonsense",
    };
    assert.deepEqual(resolve(["x.ts"], configs, "a/y.ts", "lib"), { specifier: "lib" });
  });

  it("prefers the longest pattern", () => {
    const configs = {
      "tsconfig.json": { compilerOptions: { paths: { "@/*": ["src/*"], "@/db/*": ["db/*"] } } },
    };
    const files = ["src/db/a.ts", "db/a.ts"];
    assert.deepEqual(resolve(files, configs, "src/x.ts", "@/db/a"), { file: "db/a.ts" });
  });

  it("reads what a workspace package exports from its sources", () => {
    const configs = {
      "packages/db/package.json": {
        name: "@acme/db",
        exports: {
          ".": { types: "./dist/index.d.ts", import: "./dist/index.js" },
          "./*": "./dist/*.js",
        },
      },
    };
    const files = ["packages/db/src/index.ts", "packages/db/src/admin.ts"];
    assert.deepEqual(resolve(files, configs, "apps/a.ts", "@acme/db"), { file: files[0] });
    assert.deepEqual(resolve(files, configs, "apps/a.ts", "@acme/db/admin"), { file: files[1] });
  });

  it("reads an import map, in place or named by deno.json", () => {
    const configs = {
      "functions/deno.jsonc": '{ "importMap": "./import_map.json" } // here',
      "functions/import_map.json": {
        imports: { "lib/": "./_shared/", "sb": "npm:@supabase/supabase-js@2" },
      },
    };
    const files = ["functions/_shared/a.ts"];
    assert.deepEqual(resolve(files, configs, "functions/f/index.ts", "lib/a.ts"), {
      file: files[0],
    });
    assert.deepEqual(resolve(files, configs, "functions/f/index.ts", "sb"), {
      specifier: "npm:@supabase/supabase-js@2",
    });
  });
});

describe("values are followed", () => {
  const client = 'import { createClient } from "@supabase/supabase-js";\n';
  const admin = `${client}const admin = createClient(u, process.env.SUPABASE_SERVICE_ROLE_KEY);\n`;

  it("through a circle of imports and of functions without end", async () => {
    const result = await lintFiles([
      {
        path: "a.ts",
        text:
          'export * from "./b"; import { b } from "./b"; export const a = () => b(); a().from("x").insert({});',
      },
      {
        path: "b.ts",
        text: 'export * from "./a"; import { a } from "./a"; export const b = () => a();',
      },
    ]);
    assert.deepEqual(result.findings, []);
  });

  it("into every call of a function, not from one call into another", async () => {
    const text = `${client}
const make = (key) => createClient("u", key);
make(process.env.SUPABASE_ANON_KEY).from("a").insert({});
make(process.env.SUPABASE_SERVICE_ROLE_KEY).from("b").insert({});`;
    assert.deepEqual(found(await lintText(text)), [
      "src/a.ts:3 service-client",
      "src/a.ts:5 service-write",
    ]);
  });

  it("past awaits, casts, non-null signs, conditions and optional calls", async () => {
    const text =
      `${admin}export const go = async (x) => (await (x ? (admin as any)! : null))?.from("a")?.delete();`;
    assert.deepEqual(found(await lintText(text)), [
      "src/a.ts:2 service-client",
      "src/a.ts:3 service-write",
    ]);
  });

  it("through an object of clients, a getter and a spread", async () => {
    const text = `${admin}
const base = { get db() { return admin; } };
const all = { ...base, other: 1 };
export const go = ({ db } = all) => db.from("a").upsert({});`;
    assert.deepEqual(found(await lintText(text)), [
      "src/a.ts:2 service-client",
      "src/a.ts:6 service-write",
    ]);
  });

  it("of 300 functions that call each other, in bounded time", async () => {
    const calls = Array.from(
      { length: 300 },
      (_, n) =>
        `const f${n} = (a, b) => a ? f${(n * 7 + 1) % 300}(b, a) : f${(n * 13 + 5) % 300}(a, b);`,
    ).join("\n");
    const began = performance.now();
    await lintText(`${admin}${calls}\nf0(admin, 1).from("x").insert({});`);
    assert.ok(performance.now() - began < 60_000);
  });
});

describe("splitStatements()", () => {
  it("leaves strings, comments, dollar quotes and atomic bodies whole", () => {
    const text = `select ';'; -- a; b
create function f() returns int language sql begin atomic; select case when 1 = 1 then 2 end; end;
create function g() returns void as $x$ begin perform 1; end $x$ language plpgsql;
/* ; */ select "a;b"`;
    assert.equal(splitStatements(text).pieces.length, 4);
  });
});
