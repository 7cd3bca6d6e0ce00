import { gap, quote, strength, weakness } from "../evidence.ts";
import { builtCommands, type Placed } from "../models/installs.ts";
import { type Package, packagesOf } from "../models/task-files.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const LOCKS: Record<string, string> = {
  "package-lock.json": "npm",
  "npm-shrinkwrap.json": "npm",
  "yarn.lock": "yarn",
  "pnpm-lock.yaml": "pnpm",
  "bun.lock": "bun",
  "bun.lockb": "bun",
};

/** A caret in package.json is fine: the lockfile decides, where the install asks it. */
export const jsLockfiles: Rule = {
  id: "CI-19",
  name: "js-lockfiles",
  area: "ci",
  severity: "p2",
  confidence: "medium",
  section: 3,
  title: "JavaScript is installed from one lockfile, exactly",
  remedy:
    "commit the lockfile of one package manager, and install with `npm ci` or `--frozen-lockfile`",
  check(repository) {
    const packages = packagesOf(repository).filter(({ file, json }) => {
      const context = repository.file(file)?.context;
      const needs = Object.keys({
        ...Object(json["dependencies"]),
        ...Object(json["devDependencies"]),
      });
      return context !== "test" && context !== "docs" && needs.length > 0;
    });
    const evidence = packages.flatMap((one) => lockOf(repository, one));
    if (packages.length > 0) {
      evidence.push(...builtCommands(repository).flatMap((one) => installs(repository, one)));
    }
    return conclude(evidence, {
      status: "not-applicable",
      summary: "no package.json with dependencies",
    });
  },
};

const folderOf = (path: string) => path.slice(0, Math.max(0, path.lastIndexOf("/")));

/** The lockfiles of a folder, or of the workspace it belongs to. */
function locksIn(repository: Repository, folder: string): { path: string; manager: string }[] {
  for (
    let here: string | null = folder;
    here !== null;
    here = here === "" ? null : folderOf(here)
  ) {
    const prefix = here === "" ? "" : `${here}/`;
    const found = Object.entries(LOCKS).flatMap(([name, manager]) =>
      repository.file(prefix + name) ? [{ path: prefix + name, manager }] : []
    );
    if (found.length > 0) return found;
  }
  return [];
}

function lockOf(repository: Repository, { file, folder, json }: Package): Evidence[] {
  const locks = locksIn(repository, folder);
  const managers = [...new Set(locks.map(({ manager }) => manager))];
  if (managers.length === 0) return [gap(file, null, `${file} has no lockfile`)];
  const first = locks[0]?.path ?? file;
  // A workspace's members share its lockfile: it is spoken of once.
  if (folderOf(first) !== folder) return [];
  if (managers.length > 1) {
    const names = locks.map(({ path }) => path).join(" and ");
    return [gap(first, null, `${names} may disagree: keep one`, { severity: "p1" })];
  }
  const ignored = repository.file(`${folder === "" ? "" : `${folder}/`}.dockerignore`)?.text ?? "";
  const name = first.split("/").at(-1) ?? first;
  const evidence = [strength(first, 1, `${first} holds the versions`)];
  if (ignored.split("\n").some((line) => line.trim() === name)) {
    evidence.push(
      gap(
        `${folder === "" ? "" : `${folder}/`}.dockerignore`,
        null,
        `it keeps ${name} out of the image`,
      ),
    );
  }
  const isPinned = typeof json["packageManager"] === "string" || managers[0] === "npm" ||
    managers[0] === "bun";
  if (!isPinned) {
    evidence.push(
      weakness(file, 1, `no \`packageManager\` says which ${managers[0]} writes ${name}`),
    );
  }
  return evidence;
}

function installs(repository: Repository, { command, file, line, where }: Placed): Evidence[] {
  const { program, args } = command;
  const words = args.filter((one) => !one.startsWith("-"));
  const has = (...names: string[]) =>
    args.some((one) => names.some((name) => one === name || one.startsWith(`${name}=`)));
  if (has("-g", "--global", "--version", "--help")) return [];
  const shown = `\`${quote(command.text, 60)}\``;
  const loose = (
    fix: string,
  ) => [gap(file, line, `${shown} may change what the lockfile says: ${fix}`)];
  const exact = () => [strength(file, line, `${shown} installs what the lockfile says`)];
  if (program === "npm") {
    if (/^(ci|clean-install|ic)$/.test(words[0] ?? "")) return exact();
    return /^(install|i)$/.test(words[0] ?? "") && words.length === 1 ? loose("use `npm ci`") : [];
  }
  const isInstall = words[0] === "install" || words[0] === "i";
  if (program === "pnpm") {
    if (!isInstall || words.length > 1) return [];
    if (has("--no-frozen-lockfile", "--fix-lockfile")) return loose("leave the option out");
    // In CI pnpm is exact by itself; in an image nothing says that it is CI.
    return has("--frozen-lockfile", "--offline", "--prefer-frozen-lockfile") || where === "ci"
      ? exact()
      : loose("add `--frozen-lockfile`");
  }
  if (program === "yarn") {
    if (words.length > (isInstall ? 1 : 0)) return [];
    if (has("--immutable", "--frozen-lockfile", "--immutable-cache")) return exact();
    const isModern = repository.files.some(({ path }) => /(^|\/)\.yarnrc\.yml$/.test(path));
    if (isModern && where === "ci" && !has("--no-immutable")) return exact();
    return loose(isModern ? "add `--immutable`" : "add `--frozen-lockfile`");
  }
  if (program === "bun") {
    if (words[0] === "ci") return exact();
    if (!isInstall || words.length > 1) return [];
    return has("--frozen-lockfile") ? exact() : loose("add `--frozen-lockfile`");
  }
  return [];
}
