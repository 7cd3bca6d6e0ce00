import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join, relative, sep } from "node:path";
import { describe, it } from "node:test";
import { ROOT } from "./support/sql-files.ts";

const SKIPPED = new Set([
  "node_modules",
  ".git",
  "dist",
  "evidence",
  ".bulkhead",
  "reports",
  ".temp",
]);

/** Files of the repository, relative; links are left alone. No git: a downloaded archive has none. */
function files(folder = ROOT): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (SKIPPED.has(entry.name)) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return files(path);
    return entry.isFile() ? [relative(ROOT, path).split(sep).join("/")] : [];
  });
}

// The examples of `bulkhead readiness` are other people's repositories: their habits are theirs.
const all = files().filter((file) => !file.startsWith("examples/readiness/"));
const text = (file: string) => readFileSync(join(ROOT, file), "utf8");
const under = (folder: string, ending: RegExp) =>
  all.filter((file) => file.startsWith(folder) && ending.test(file));

/** The module specifiers of static and dynamic imports and of re-exports. */
function importsOf(file: string): string[] {
  const found = text(file).matchAll(
    /(?:^|\n)\s*(?:import|export)\b[^;"'`]*?\bfrom\s*["']([^"']+)["']|\bimport\s*\(\s*["']([^"']+)["']|(?:^|\n)import\s*["']([^"']+)["']/g,
  );
  return [...found].map((match) => match[1] ?? match[2] ?? match[3] ?? "");
}

/** A relative import as a path from the root. */
function target(file: string, specifier: string): string {
  return relative(ROOT, join(ROOT, file, "..", specifier)).split(sep).join("/");
}

describe("imports", () => {
  const code = all.filter((file) => /\.(ts|mjs|json)$/.test(file) && file !== "package-lock.json");

  it("come from npm, node: or the repository, never from another host", () => {
    const hosts = ["jsr", "https", "http"].map((scheme) => new RegExp(`["'\`]${scheme}:`));
    for (const file of code.filter((name) => /\.(ts|mjs)$/.test(name))) {
      for (const specifier of importsOf(file)) {
        assert.ok(
          !hosts.some((host) => host.test(`"${specifier}`)),
          `${file} imports ${specifier}`,
        );
      }
    }
    const mapped = text("deno.json");
    assert.doesNotMatch(mapped, /jsr:|esm\.sh|deno\.land/);
  });

  it("name relative files with their ending", () => {
    for (const file of code.filter((name) => name.endsWith(".ts"))) {
      for (const specifier of importsOf(file).filter((name) => name.startsWith("."))) {
        assert.match(specifier, /\.(ts|mjs|json)$/, `${file} imports ${specifier}`);
      }
    }
  });

  it("of the core stay inside the core, with zod as the only package", () => {
    const core = under("functions/_core/", /\.ts$/)
      .filter((file) =>
        !file.startsWith("functions/_core/adapters/") && !file.endsWith(".test.ts")
      );
    assert.ok(core.length > 0);
    for (const file of core) {
      for (const specifier of importsOf(file)) {
        if (specifier === "zod") continue;
        assert.ok(specifier.startsWith("."), `${file} imports ${specifier}`);
        const path = target(file, specifier);
        assert.ok(path.startsWith("functions/_core/"), `${file} imports ${path}`);
        assert.ok(!path.startsWith("functions/_core/adapters/"), `${file} imports an adapter`);
      }
    }
  });

  it("of functions and scripts meet only in the core", () => {
    for (const file of under("functions/", /\.ts$/)) {
      const own = file.split("/").slice(0, 2).join("/");
      for (const specifier of importsOf(file).filter((name) => name.startsWith("."))) {
        const path = target(file, specifier);
        const allowed = path.startsWith("functions/_core/") || path.startsWith(`${own}/`);
        assert.ok(allowed, `${file} imports ${path}`);
      }
    }
    for (const file of under("scripts/", /\.ts$/)) {
      for (const specifier of importsOf(file).filter((name) => name.startsWith("."))) {
        const path = target(file, specifier);
        const allowed = !path.startsWith("functions/") || path.startsWith("functions/_core/");
        assert.ok(allowed, `${file} imports ${path}`);
      }
    }
  });

  it("of what is published never lead to tests, which are not", () => {
    const { files: published } = JSON.parse(text("package.json")) as { files: string[] };
    assert.ok(published.includes("dist") && !published.some((path) => /^tests|^bench/.test(path)));
    for (const folder of ["functions/", "scripts/", "tools/"]) {
      for (const file of under(folder, /\.(ts|mjs)$/)) {
        assert.doesNotMatch(text(file), /"(?:\.\.\/)+tests\//, `${file} needs the folder tests`);
      }
    }
  });

  it("of commands that are compiled ask one file where the package lies: dist/ is a level deeper", () => {
    for (const file of under("scripts/", /\.ts$/)) {
      // A clone's alone.
      if (/^scripts\/(demo\/|local\/functions-host\.ts)/.test(file)) continue;
      const asks = text(file).replace(/(isMain|createRequire)\(import\.meta\.url\)/g, "")
        .match(/import\.meta\.\w+/g) ?? [];
      const expected = file === "scripts/cli/package.ts" ? 1 : 0;
      assert.equal(asks.length, expected, `${file}: take PACKAGE_ROOT of scripts/cli/package.ts`);
    }
  });

  it("of functions are pinned in deno.json to the versions of package.json", () => {
    const { imports } = JSON.parse(text("deno.json")) as { imports: Record<string, string> };
    const { dependencies } = JSON.parse(text("package.json")) as {
      dependencies: Record<string, string>;
    };
    for (const [name, specifier] of Object.entries(imports)) {
      assert.equal(specifier, `npm:${name}@${dependencies[name]}`);
    }
  });
});

describe("packages", () => {
  it("are pinned to exact versions", () => {
    const { dependencies, devDependencies } = JSON.parse(text("package.json")) as Record<
      string,
      Record<string, string>
    >;
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
      assert.match(version, /^(npm:[^@]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/, `${name}: ${version}`);
    }
  });
});

describe("package-lock.json", () => {
  it("has every package that another asks for, those of other platforms too, or npm ci refuses it", () => {
    type Locked = Record<
      "dependencies" | "optionalDependencies",
      Record<string, string> | undefined
    >;
    const { packages } = JSON.parse(text("package-lock.json")) as {
      packages: Record<string, Locked>;
    };
    for (const [path, { dependencies, optionalDependencies }] of Object.entries(packages)) {
      for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
        const folders = path.split("/node_modules/").map((_, i, all) =>
          all.slice(0, i + 1).join("/node_modules/")
        );
        const places = ["", ...folders].map((folder) =>
          `${folder && `${folder}/`}node_modules/${name}`
        );
        assert.ok(
          places.some((place) => place in packages),
          `${name}, which ${path || "the project"} needs`,
        );
      }
    }
  });
});

describe("SQL files", () => {
  const migrations = under("migrations/", /\.sql$/);

  it("of migrations/ have names that the Supabase CLI does not skip", () => {
    assert.ok(migrations.length > 0);
    for (const file of migrations) assert.match(basename(file), /^([0-9]+)_(.*)\.sql$/);
  });

  it("start with a header of at most ten lines that says what they are", () => {
    for (const file of all.filter((name) => /\.(sql|pgsql)$/.test(name))) {
      const lines = text(file).split("\n");
      const length = lines.findIndex((line) => !line.startsWith("--"));
      assert.ok(length >= 1, `${file} has no header`);
      assert.ok(length <= 10, `${file} has a header of ${length} lines`);
    }
  });

  it("are lower case outside strings and comments", () => {
    const keywords =
      /\b(SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|FROM|WHERE|GRANT|REVOKE|BEGIN|RETURNS|DECLARE)\b/;
    for (const file of migrations) {
      text(file).split("\n").forEach((line, index) => {
        const code = line.replace(/--.*$/, "").replace(/'[^']*'/g, "''");
        assert.doesNotMatch(code, keywords, `${file}:${index + 1}`);
      });
    }
  });

  it("of tests run without psql", () => {
    for (const file of under("tests/", /\.test\.sql$/)) {
      text(file).split("\n").forEach((line, index) =>
        assert.doesNotMatch(line, /^\\/, `${file}:${index + 1}`)
      );
      assert.match(text(file), /(^|\n)begin;/, `${file} has no begin`);
      assert.match(text(file).trimEnd(), /\nrollback;$/, `${file} does not end with rollback`);
    }
  });
});

describe("workflows", () => {
  const workflows = under(".github/workflows/", /\.ya?ml$/);

  it("pin each action to a commit and name its version", () => {
    assert.ok(workflows.length > 0);
    for (const file of workflows) {
      for (const [line, action] of text(file).matchAll(/^\s*(?:-\s*)?uses:\s*(\S+).*$/gm)) {
        if (action?.startsWith("./")) continue;
        assert.match(line, /@[0-9a-f]{40} # v\d+\.\d+\.\d+$/, `${file}: ${line.trim()}`);
      }
    }
  });

  it("say what they may do, at the top", () => {
    for (const file of workflows) {
      assert.match(text(file), /^permissions:/m, file);
      assert.doesNotMatch(text(file), /write-all|pull_request_target/, file);
    }
  });
});

describe("the repository", () => {
  it("names no folder of anybody's machine", () => {
    const private_ = new RegExp(
      ["/ho" + "me/[a-z]", "/ro" + "ot/", "/Us" + "ers/[a-z]", "/wo" + "rk/"].join("|"),
    );
    for (
      const file of all.filter((name) => /\.(ts|mjs|sql|pgsql|md|ya?ml|toml|json)$/.test(name))
    ) {
      if (file === "package-lock.json") continue;
      text(file).split("\n").forEach((line, index) =>
        assert.doesNotMatch(line, private_, `${file}:${index + 1}`)
      );
    }
  });
});
