import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, realpathSync, rmSync, symlinkSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { readRepository, type TreeLimits } from "../functions/_core/adapters/readiness-tree.ts";
import { GitIgnore } from "../functions/_core/lint/gitignore.ts";
import { writeFiles } from "./support/project.ts";

const homes: string[] = [];
after(() => homes.forEach((home) => rmSync(home, { recursive: true, force: true })));

/** A folder with these files. */
function folder(files: Record<string, string | Uint8Array>): string {
  const home = realpathSync(mkdtempSync(join(tmpdir(), "bulkhead-tree-")));
  homes.push(home);
  return writeFiles(home, files);
}

function git(home: string, ...args: string[]): void {
  execFileSync("git", ["-c", "user.name=A", "-c", "user.email=a@example.org", ...args], {
    cwd: home,
    env: { ...process.env, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" },
  });
}

async function read(home: string, limits?: Partial<TreeLimits>) {
  const { files, unread } = await readRepository(home, limits);
  const file = (path: string) => files.find((one) => one.path === path);
  const judged = files.filter(({ context }) => context !== "vendored").map(({ path }) => path);
  return { files, unread, file, judged };
}

describe("readRepository()", () => {
  it("reads the files that matter, dots and missing endings included", async () => {
    const paths = [
      ...[".dockerignore", ".env.example", ".github/workflows/ci.yml", ".gitlab-ci.yml"],
      ...[".devcontainer/devcontainer.json", ".husky/pre-commit", ".pre-commit-config.yaml"],
      ...["Caddyfile", "Dockerfile", "Dockerfile.worker", "Makefile", "Procfile", "bin/serve"],
    ];
    const home = folder(Object.fromEntries(paths.map((path) => [path, `# ${path}\n`])));
    const { judged, files, unread } = await read(home);
    assert.deepEqual(judged, paths.toSorted());
    for (const { path, text, isTracked } of files) {
      assert.equal(text, `# ${path}\n`);
      assert.equal(isTracked, null, "there is no git to ask");
    }
    assert.deepEqual(unread, []);
  });

  it("lists what is vendored and reads none of it, and passes over caches", async () => {
    const home = folder({
      "src/a.py": "a = 1\n",
      "node_modules/x/index.js": "x\n",
      "api/env/pyvenv.cfg": "home = /usr\n",
      "api/env/lib/x.py": "x\n",
      ".next/server/a.js": "x\n",
      "src/__pycache__/a.pyc": "x\n",
    });
    const { judged, files, file } = await read(home);
    assert.deepEqual(judged, ["src/a.py"]);
    assert.equal(file("node_modules/x/index.js")?.text, null);
    assert.equal(file("api/env/lib/x.py")?.context, "vendored");
    assert.equal(files.length, 4);
  });

  it("leaves out what git leaves out, but for what git has all the same", async () => {
    const home = folder({
      ".gitignore": ".env\nbuild/\n*.log\n!keep.log\n",
      ".env": "A=1\n",
      "api/.env": "A=1\n",
      "build/a.py": "a\n",
      "build/deep/tracked.py": "a\n",
      "app.log": "a\n",
      "keep.log": "a\n",
      "new.py": "a\n",
    });
    git(home, "init", "-q");
    git(home, "add", "-f", ".gitignore", "api/.env", "build/deep/tracked.py");
    const { files } = await read(home);
    assert.deepEqual(files.map(({ path, isTracked }) => [path, isTracked]), [
      [".gitignore", true],
      ["api/.env", true],
      ["build/deep/tracked.py", true],
      ["keep.log", false],
      ["new.py", false],
    ]);
  });

  for (
    const [what, ...config] of [
      ["version 2", "index.version=2"],
      ["version 3", "index.version=3"],
      ["version 4", "index.version=4"],
    ]
  ) {
    it(`reads git's index, ${what}`, async () => {
      const paths = ["a.py", "a/b/c.py", "a/b/cd.py", `long/${"n".repeat(200)}.py`, "ä ö.py", "z"];
      const home = folder(Object.fromEntries(paths.map((path) => [path, "x\n"])));
      git(home, "init", "-q");
      git(home, ...config.flatMap((one) => ["-c", one]), "add", ...paths.slice(0, -1));
      // Only an index with such a mark is of version 3.
      if (what === "version 3") git(home, "add", "--intent-to-add", "z");
      const { files, unread } = await read(home);
      const tracked = files.filter((one) => one.isTracked).map(({ path }) => path);
      const expected = what === "version 3" ? paths : paths.slice(0, -1);
      assert.deepEqual(tracked, expected.toSorted());
      assert.deepEqual(unread, []);
    });
  }

  it("reads the index of a repository with SHA-256 names, of a worktree, and from a folder below", async () => {
    const home = folder({
      "apps/api/a.py": "x\n",
      "apps/api/b.tmp": "x\n",
      ".gitignore": "*.tmp\n",
    });
    git(home, "init", "-q", "--object-format=sha256");
    git(home, "add", ".");
    git(home, "commit", "-q", "-m", "first");
    git(home, "worktree", "add", "-q", join(home, "tree"));
    for (
      const [root, path] of [["", "apps/api/a.py"], ["apps/api", "a.py"], ["tree", ".gitignore"]]
    ) {
      const { file, judged } = await read(join(home, root ?? ""));
      assert.equal(file(path ?? "")?.isTracked, true, root);
      assert.ok(!judged.includes("b.tmp"), "the patterns above hold below");
    }
  });

  it("does not know what is tracked where the index is broken or split, and says so", async () => {
    const home = folder({ "a.py": "x\n", ".git/index": "DIRC\0\0\0\x02\xff\xff\xff\xff" });
    const broken = await read(home);
    assert.equal(broken.file("a.py")?.isTracked, null);
    assert.match(broken.unread[0]?.reason ?? "", /git's index/);
    const other = folder({ "a.py": "x\n" });
    git(other, "init", "-q");
    git(other, "-c", "core.splitIndex=true", "add", "a.py");
    git(other, "update-index", "--split-index");
    assert.match((await read(other)).unread[0]?.reason ?? "", /it is split/);
  });

  it("follows no link out of the tree, into .git or round in circles; one within shows what it names", async () => {
    const outside = folder({ "secret.txt": "outside\n" });
    const home = folder({
      "deploy/compose.yml": "services: {}\n",
      ".gitignore": ".env\n",
      ".env": "A=1\n",
    });
    const links = {
      "compose.yml": "deploy/compose.yml",
      "deploy/again.yml": "../compose.yml",
      "out.txt": join(outside, "secret.txt"),
      "up.txt": `../${outside.split("/").at(-1)}/secret.txt`,
      "etc": "/etc",
      "here": ".",
      "self": "self",
      "hidden": ".env",
      "gone": "nowhere",
    };
    for (const [path, target] of Object.entries(links)) symlinkSync(target, join(home, path));
    const { file, files } = await read(home);
    assert.equal(file("compose.yml")?.text, "services: {}\n");
    assert.equal(file("deploy/again.yml")?.text, "services: {}\n");
    for (const path of ["out.txt", "up.txt", "etc", "here", "self", "hidden", "gone"]) {
      assert.equal(file(path)?.text, null, path);
    }
    assert.equal(files.length, 11);
  });

  it("opens no pipe, no huge file and no binary, reads UTF-16, and shows what is no UTF-8", async () => {
    const home = folder({
      "app.py": "",
      "blob.py": new Uint8Array([1, 0, 2]),
      "logo.png": "text all the same\n",
      "utf16.yml": Buffer.from("\ufeffa: 1\n", "utf16le"),
      "bom.yml": "\ufeffa: 1\n",
      "latin.py": Buffer.from("a = 'caf\xe9'\n", "latin1"),
      "rows.csv": "",
    });
    for (const name of ["app.py", "rows.csv"]) truncateSync(join(home, name), 1_000_000_000);
    execFileSync("mkfifo", [join(home, "pipe.sh")]);
    const { file, unread } = await read(home);
    assert.equal(file("utf16.yml")?.text, "a: 1\n");
    assert.equal(file("bom.yml")?.text, "a: 1\n");
    assert.equal(file("latin.py")?.text, "a = 'caf\ufffd'\n");
    assert.equal(file("pipe.sh")?.unread, "it is no regular file");
    assert.equal(file("logo.png")?.text, null);
    assert.equal(file("rows.csv")?.text, null);
    assert.deepEqual(unread, [
      { file: "app.py", reason: "it is larger than 2 MB" },
      { file: "blob.py", reason: "it is binary" },
    ]);
  });

  it("takes any name that a file system takes", async () => {
    const names = [
      "a\nb.py",
      "\x1b[31mred.py",
      "-rf",
      "a'b\"c.py",
      "\u202egnp.py",
      "..py",
      "C:\\a.py",
    ];
    const home = folder(Object.fromEntries(names.map((name) => [name, "x\n"])));
    assert.deepEqual((await read(home)).judged, names.toSorted());
  });

  it("stops at its limits and says what it left", async () => {
    const home = folder({
      ...Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`src/${n}.py`, "x = 1\n"])),
      [`${"d/".repeat(120)}a.py`]: "x\n",
    });
    const few = await read(home, { files: 10 });
    assert.equal(few.files.length, 10);
    assert.match(few.unread.map(({ reason }) => reason).join(), /more than 10 files/);
    const small = await read(home, { bytes: 60 });
    assert.equal(small.files.filter(({ text }) => text !== null).length, 10);
    assert.match(small.unread.at(-1)?.reason ?? "", /MB of text/);
    assert.match((await read(home, { seconds: 0 })).unread[0]?.reason ?? "", /longer than 0 s/);
    assert.match((await read(home)).unread[0]?.reason ?? "", /nested more than 100 deep/);
  });

  it("says what it may not read", async () => {
    const home = folder({ "a.py": "x\n", "b/c.py": "x\n" });
    for (const [path, mode] of [["", 0o755], ["a.py", 0], ["b", 0]] as const) {
      chmodSync(join(home, path), mode);
    }
    // Nothing is forbidden to root.
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(65_534);
    try {
      const { unread } = await read(home);
      assert.deepEqual(unread.map(({ file }) => file), ["a.py", "b"]);
    } finally {
      if (isRoot) process.seteuid?.(0);
      chmodSync(join(home, "b"), 0o700);
    }
  });
});

describe("GitIgnore", () => {
  const has = (text: string, path: string, isFolder = false) =>
    new GitIgnore().with("", text).has(path, isFolder);

  it("reads patterns as git does", () => {
    const cases: [pattern: string, ...paths: string[]][] = [
      ["foo", "foo", "a/b/foo", "foo/a", "food"],
      ["/foo", "foo", "a/foo"],
      ["a/foo", "a/foo", "b/a/foo"],
      ["foo/", "foo", "foo/", "a/foo/"],
      ["**/foo/bar", "foo/bar", "x/y/foo/bar", "x/foo/y/bar"],
      ["foo/**", "foo/a/b", "a/foo/b"],
      ["a/**/b", "a/b", "a/x/y/b", "ab"],
      ["a/**/b/**/c", "a/b/x/b/c", "a/c"],
      ["*.py[co]", "a/b.pyc", "a.py", "a.pyx"],
      ["[!a]x", "ax", "bx"],
      ["[a-c]x", "bx", "dx"],
      ["a*b*c", "aXbYc", "aXc", "abcb"],
      ["a**b", "axb", "a/b"],
      ["a/*.log", "a/b.log", "a/b/c.log"],
      ["\\#a", "#a", "\\#a"],
      ["\\!a", "!a"],
      ["a b  ", "a b", "a b  "],
      ["[a", "[a", "a"],
      ["*", "x", "x/y"],
      ["/", "x", "x/"],
      ["a?c", "abc", "a/c", "ac"],
      ["*.log\n!keep.log", "keep.log", "a.log"],
    ];
    for (const [pattern, ...paths] of cases) {
      const home = folder({ ".gitignore": pattern });
      git(home, "init", "-q");
      const answer = spawnSync("git", ["check-ignore", "--stdin", "-z", "--no-index"], {
        cwd: home,
        input: paths.join("\0"),
        encoding: "utf8",
      });
      for (const path of paths) {
        const parts = path.split("/").filter(Boolean);
        // A folder that is ignored takes all of its inside along, as the walk does.
        const isIgnored = parts.some((_, n) =>
          has(pattern, parts.slice(0, n + 1).join("/"), n + 1 < parts.length || path.endsWith("/"))
        );
        assert.equal(isIgnored, answer.stdout.split("\0").includes(path), `${pattern} on ${path}`);
      }
    }
  });

  it("is not slowed by any pattern", () => {
    const began = performance.now();
    assert.equal(has(`${"*a".repeat(100)}*b`, "a".repeat(255)), false);
    assert.equal(has(`${"**/a/".repeat(100)}b`, "a/".repeat(500) + "a"), false);
    assert.ok(performance.now() - began < 1000);
  });
});
