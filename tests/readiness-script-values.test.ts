import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { scripts } from "../functions/_core/readiness/models/scripts.ts";
import { branches, textOf } from "../functions/_core/readiness/models/script-values.ts";
import { repositoryOf } from "./support/readiness-cases.ts";

/** Everything that the export `csp` of a file may be, each with its mode. */
function texts(code: string, others: Record<string, string> = {}): string[] {
  const all = scripts(repositoryOf({ "a.ts": code, ...others }));
  const module = all.at("a.ts");
  const init = module?.scope.find("csp")?.references[0] ?? module?.scope.find("csp")?.init;
  assert.ok(module && init);
  return branches(init, module, all).map(({ value, when }) =>
    `${when === "any" ? "" : `${when}: `}${textOf(value)}`
  );
}

describe("branches()", () => {
  it("puts lists, templates, ternaries and spreads together, a branch for each mode", () => {
    const found = texts(`
      const isDev = process.env.NODE_ENV === "development";
      const csp = ["default-src 'self'", \`script-src 'self' 'nonce-\${nonce}' \${isDev ? "'unsafe-eval'" : ""}\`,
        ...(isDev ? ["connect-src ws:"] : []), !isDev && "upgrade-insecure-requests"].filter(Boolean).join("; ").trim();`);
    assert.deepEqual(found, [
      "development: default-src 'self'; script-src 'self' 'nonce-…' 'unsafe-eval'; connect-src ws:",
      "production: default-src 'self'; script-src 'self' 'nonce-…' ; upgrade-insecure-requests",
    ]);
  });

  it("goes through an object of directives with entries, map and functions of other files", () => {
    const found = texts(
      `import { build, directives } from "./csp";
       const csp = build({ ...directives, "img-src": ["*"] });`,
      {
        "csp.ts":
          `export const directives = { "default-src": ["'self'"], "script-src": ["'self'", "https://x.example"] };
          export function build(all, sep = "; ") {
            return Object.entries(all).map(([name, values]) => \`\${name} \${values.join(" ")}\`).join("; ");
          }`,
      },
    );
    assert.deepEqual(found, [
      "default-src 'self'; script-src 'self' https://x.example; img-src *",
    ]);
  });

  it("follows what happens to a variable, and knows when", () => {
    const found = texts(`
      let csp = "script-src 'self'";
      if (process.env.NODE_ENV !== "production") { csp += " 'unsafe-eval'"; }
      csp = csp + ' blob:';`);
    assert.ok(
      found.some((one) => one === "development: script-src 'self' 'unsafe-eval' blob:"),
      found.join(),
    );
    assert.ok(found.some((one) => one === "production: script-src 'self' blob:"), found.join());
    assert.deepEqual(
      texts(`
      const csp = ["a"]; csp.push("b", c); use(csp);`),
      ["a,b,…"],
    );
  });

  it("cleans white space out of a template as its code does, and leaves a hole for what is unknown", () => {
    assert.deepEqual(
      texts("const csp = `a 'self';\n   b ${process.env.X};`.replace(/\\s{2,}/g, ' ').trim();"),
      ["a 'self'; b …;"],
    );
  });

  it("ends where code runs in a ring, and where cases multiply", () => {
    assert.ok(
      texts("const csp = a(); function a() { return b(); } function b() { return a() + csp; }")
        .length > 0,
    );
    const many = Array.from({ length: 40 }, (_, n) => `(x${n} ? "a${n}" : "b${n}")`).join(" + ");
    assert.ok(texts(`const csp = ${many};`).length <= 24);
    const deep = `${"[".repeat(200)}1${"]".repeat(200)}`;
    assert.ok(texts(`const csp = ${deep};`).length === 1);
  });
});
