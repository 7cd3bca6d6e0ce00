import { gap, quote, strength, weakness } from "../evidence.ts";
import { builtCommands, type Placed } from "../models/installs.ts";
import { dockerfiles } from "../models/dockerfiles.ts";
import { isRecord } from "../models/task-files.ts";
import { toolOf } from "../models/shell-tools.ts";
import type { Repository, RepositoryFile } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const LOCKS = [
  "uv.lock",
  "poetry.lock",
  "pdm.lock",
  "Pipfile.lock",
  "pylock.toml",
  "pixi.lock",
  "requirements.lock",
];

/** Without a lock, two builds of one commit hold different code, and the second may hold a stranger's. */
export const pythonLocks: Rule = {
  id: "CI-20",
  name: "python-locks",
  area: "ci",
  severity: "p2",
  confidence: "medium",
  section: 4,
  title: "Python is installed from a lock, exactly",
  remedy:
    "commit uv.lock or poetry.lock and install with `--locked` or `--frozen`, or pin every requirement",
  check(repository) {
    const manifests = repository.matching(
      /(^|\/)(pyproject\.toml|Pipfile|requirements[\w.-]*\.(txt|in))$/,
    )
      .filter(({ context }) => context !== "test" && context !== "docs");
    const evidence = manifests.flatMap((file) => lockOf(repository, file, manifests));
    if (manifests.length > 0) {
      evidence.push(...builtCommands(repository).flatMap((one) => installs(repository, one)));
      evidence.push(...keptOut(repository));
    }
    return conclude(evidence, { status: "not-applicable", summary: "no Python dependencies" });
  },
};

const folderOf = (path: string) => path.slice(0, Math.max(0, path.lastIndexOf("/")));
const inFolder = (folder: string, name: string) => folder === "" ? name : `${folder}/${name}`;

/** The lock of a folder, or of a workspace around it. */
function findLock(repository: Repository, folder: string): string | null {
  for (
    let here: string | null = folder;
    here !== null;
    here = here === "" ? null : folderOf(here)
  ) {
    const name = LOCKS.find((one) => repository.file(inFolder(here ?? "", one)));
    if (name) return inFolder(here, name);
  }
  return null;
}

function lockOf(
  repository: Repository,
  file: RepositoryFile,
  manifests: readonly RepositoryFile[],
): Evidence[] {
  const folder = folderOf(file.path);
  const lock = findLock(repository, folder);
  if (/\.in$/.test(file.path)) return [];
  if (/requirements[\w.-]*\.txt$/.test(file.path)) return lock ? [] : requirements(file);
  if (lock) {
    return folderOf(lock) === folder ? [strength(lock, 1, `${lock} holds the versions`)] : [];
  }
  if (!needsAny(repository, file)) return [];
  const beside = manifests.some(({ path }) =>
    /requirements[\w.-]*\.txt$/.test(path) && folderOf(path).startsWith(folder)
  );
  return beside ? [] : [gap(file.path, null, `${file.path} has no lock beside it`)];
}

/** Settings of tools alone need no lock. */
function needsAny(repository: Repository, file: RepositoryFile): boolean {
  if (/Pipfile$/.test(file.path)) return true;
  const toml = repository.parse(file, repository.parsers.toml);
  const project = isRecord(toml?.["project"]) ? toml["project"] : {};
  const tool = isRecord(toml?.["tool"]) ? toml["tool"] : {};
  const poetry = isRecord(tool["poetry"]) ? tool["poetry"] : {};
  const listed = Array.isArray(project["dependencies"]) ? project["dependencies"].length : 0;
  const named = Object.keys(isRecord(poetry["dependencies"]) ? poetry["dependencies"] : {});
  return listed > 0 || named.some((one) => one !== "python");
}

function requirements({ path, text }: RepositoryFile): Evidence[] {
  const lines = (text ?? "").split("\n");
  const isDev = /(dev|test|lint|docs|local)/i.test(path.split("/").at(-1) ?? "");
  const loose = lines.flatMap((raw, at) => {
    const line = raw.replace(/(^|\s)#.*$/, "").trim();
    if (line === "" || line.startsWith("-") || line.startsWith("--") || line.startsWith("\\")) {
      return [];
    }
    const isPinned = /===?\s*[\w.!+-]+(\s*\\)?\s*(;.*)?$/.test(line.replace(/\s--hash=\S+/g, "")) &&
      !/==[^;]*\*/.test(line);
    const isCommit = /@\s*(git\+)?\S+@[0-9a-f]{40}/.test(line) || /#sha256=/.test(line);
    return isPinned || isCommit ? [] : [at + 1];
  });
  const [first] = loose;
  const total = lines.filter((line) => /^\s*[A-Za-z0-9]/.test(line)).length;
  if (first !== undefined) {
    const message =
      `${loose.length} of ${total} requirements of ${path} may change between two builds`;
    return [isDev ? weakness(path, first, message) : gap(path, first, message)];
  }
  if (total === 0) return [];
  return lines.some((line) => line.includes("--hash="))
    ? [strength(path, 1, `${path} is pinned with hashes`)]
    : [strength(path, 1, `${path} is pinned, though without hashes, and only as far as it lists`)];
}

function installs(repository: Repository, { command, file, line }: Placed): Evidence[] {
  const { program, args, assignments } = command;
  const shown = `\`${quote(command.text, 60)}\``;
  const exact = () => [strength(file, line, `${shown} installs what the lock says`)];
  const words = args.filter((one) => !one.startsWith("-"));
  const isFrozen = args.some((one) => /^--(frozen|locked)$/.test(one)) ||
    assignments.some(({ name }) => /^UV_(FROZEN|LOCKED)$/.test(name)) ||
    saysFrozen(repository, file);
  if (program === "uv" && words[0] === "sync") {
    return isFrozen
      ? exact()
      : [gap(file, line, `${shown} may rewrite the lock: add \`--locked\``)];
  }
  if (program === "pdm" && words[0] === "install") {
    return args.includes("--frozen-lockfile") || args.includes("--check")
      ? exact()
      : [gap(file, line, `${shown} may rewrite the lock: add \`--frozen-lockfile\``)];
  }
  if (program === "pdm" && words[0] === "sync") return exact();
  if (program === "poetry" && /^(install|sync)$/.test(words[0] ?? "")) return exact();
  if (program === "poetry" && words[0] === "update") {
    return [gap(file, line, `${shown} takes whatever is newest`)];
  }
  if (program === "pipenv" && (words[0] === "sync" || args.includes("--deploy"))) return exact();
  if (program === "pipenv" && words[0] === "install") {
    return [gap(file, line, `${shown} may rewrite the lock: add \`--deploy\``)];
  }
  const pip = program === "uv" && words[0] === "pip"
    ? { name: "pip", args: args.slice(args.indexOf("pip") + 1) }
    : toolOf(command);
  if (!/^pip[0-9.]*$/.test(pip.name) || pip.args[0] !== "install") return [];
  return pipInstalls(pip.args.slice(1), { shown, file, line });
}

function pipInstalls(
  args: readonly string[],
  { shown, file, line }: { shown: string; file: string; line: number },
): Evidence[] {
  if (args.includes("--require-hashes")) return [strength(file, line, `${shown} asks for hashes`)];
  const fromFile = args.some((one) => /^(-r|--requirement|-c|--constraint)/.test(one));
  if (fromFile) return [];
  const valued =
    /^(-t|--target|-i|--index-url|--extra-index-url|-f|--find-links|--prefix|--root|--cache-dir|--timeout)$/;
  const named = args.filter((one, at) => !one.startsWith("-") && !valued.test(args[at - 1] ?? ""));
  const loose = named.filter((one) =>
    !/^(pip|setuptools|wheel|uv|poetry|pipenv|pipx|build|pip-tools|hatch|pdm|virtualenv)(\[[^\]]*\])?([<>=!~].*)?$/
      .test(one) &&
    !/==|\.(whl|tar\.gz)$|[$`{]|@[0-9a-f]{40}/.test(one)
  );
  if (loose.length === 0) return [];
  const isSelf = loose.every((one) => /^(\.|\/)/.test(one));
  if (isSelf && args.some((one) => one === "--no-deps")) return [];
  return [weakness(file, line, `${shown} takes whatever version is newest`)];
}

/** `ENV UV_FROZEN=1` or `UV_LOCKED=1` in the Dockerfile, or `env:` of the workflow. */
function saysFrozen(repository: Repository, file: string): boolean {
  return /\bUV_(FROZEN|LOCKED)\s*[=:]\s*["']?(1|true)/i.test(repository.file(file)?.text ?? "");
}

/** A lock that .dockerignore keeps out can't be what the image installs. */
function keptOut(repository: Repository): Evidence[] {
  const folders = new Set(dockerfiles(repository).map(({ path }) => folderOf(path)));
  return repository.matching(/(^|\/)\.dockerignore$/).flatMap(({ path, text }) => {
    const folder = folderOf(path);
    if (![...folders].some((one) => one.startsWith(folder))) return [];
    return (text ?? "").split("\n").flatMap((line, at) => {
      const name = line.trim().replace(/^\/|^\*\*\//, "");
      return LOCKS.includes(name) && repository.file(inFolder(folder, name))
        ? [gap(path, at + 1, `it keeps ${name} out of the image`)]
        : [];
    });
  });
}
