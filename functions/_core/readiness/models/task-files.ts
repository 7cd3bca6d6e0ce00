import type { Repository } from "../repository.ts";
import { readShell, type Shell } from "./shell.ts";

/** What a name in a Makefile, a justfile or a package.json runs. */
export type Task = {
  file: string;
  line: number;
  name: string;
  shells: { shell: Shell; isForgiven: boolean }[];
  /** Tasks of the same file that run before. */
  needs: string[];
};

/** A package.json as far as scripts go; `line` is that of a script. */
export type Package = {
  file: string;
  folder: string;
  json: Record<string, unknown>;
  tasks: Map<string, Task>;
};

const folderOf = (path: string) => path.slice(0, Math.max(0, path.lastIndexOf("/")));

/**
 * Every package.json that is judged, with its scripts.
 *
 * @example
 * packagesOf(repository).find(({ folder }) => folder === "web")?.tasks.get("test");
 */
export function packagesOf(repository: Repository): Package[] {
  return repository.once(
    "packages",
    () =>
      repository.matching(/(^|\/)package\.json$/).flatMap((file) => {
        const json = repository.parse(file, (text): unknown => JSON.parse(text));
        if (!isRecord(json)) return [];
        const scripts = isRecord(json["scripts"]) ? Object.entries(json["scripts"]) : [];
        const lines = (file.text ?? "").split("\n");
        const first = lines.findIndex((line) => line.includes('"scripts"'));
        const tasks = new Map<string, Task>();
        for (const [name, script] of scripts) {
          if (typeof script !== "string") continue;
          const sign = `${JSON.stringify(name)}`;
          const found = lines.findIndex((line, at) => at >= first && line.includes(sign));
          const line = Math.max(0, found) + 1;
          const shell = readShell(repository.parsers, script, () => line);
          tasks.set(name, {
            ...{ file: file.path, line, name, needs: [] },
            shells: [{ shell, isForgiven: false }],
          });
        }
        return [{ file: file.path, folder: folderOf(file.path), json, tasks }];
      }),
  );
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The targets of the Makefiles and justfiles of a folder.
 *
 * @example
 * targetsOf(repository, "").get("test")?.needs;
 */
export function targetsOf(repository: Repository, folder: string): Map<string, Task> {
  return repository.once(`targets ${folder}`, () => {
    const tasks = new Map<string, Task>();
    const prefix = folder === "" ? "" : `${folder}/`;
    for (const name of ["GNUmakefile", "makefile", "Makefile", "justfile", "Justfile"]) {
      const file = repository.file(prefix + name);
      if (!file?.text) continue;
      for (const task of readTargets(repository, file.path, file.text)) {
        if (!tasks.has(task.name)) tasks.set(task.name, task);
      }
    }
    return tasks;
  });
}

/** No hand writes a line of a Makefile that is longer, and the expression below needs its square. */
const LONGEST = 2_000;

/** Makefiles and justfiles alike: a name, a colon, and indented lines that a shell runs. */
function readTargets(repository: Repository, path: string, text: string): Task[] {
  const tasks: Task[] = [];
  let open: Task[] = [];
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? "";
    if (line.length > LONGEST) continue;
    const head = /^@?([A-Za-z0-9_.%/-][A-Za-z0-9_.%/ -]*?)(?: [^:=]*)?:(?![:=])([^=#]*)/.exec(line);
    if (head) {
      const needs = (head[2] ?? "").trim().split(/\s+/).filter(Boolean);
      open = (head[1] ?? "").trim().split(/\s+/).map((name) => ({
        ...{ file: path, line: at + 1, name, shells: [], needs },
      }));
      tasks.push(...open);
    } else if (/^[\t ]+\S/.test(line) && open.length > 0) {
      const start = at;
      let recipe = line;
      while (recipe.endsWith("\\") && at + 1 < lines.length) recipe += `\n${lines[++at] ?? ""}`;
      const signs = /^[\t ]+[@+-]*/.exec(recipe)?.[0] ?? "";
      // What Make expands is no substitution of the shell; `$$` is the shell's own sign.
      const script = recipe.slice(signs.length)
        .replace(/\$\(([A-Za-z_][A-Za-z0-9_]*)\)/g, "${$1}").replaceAll("$$", "$");
      const shell = readShell(repository.parsers, script, (one) => start + one);
      for (const task of open) task.shells.push({ shell, isForgiven: signs.includes("-") });
    } else if (line.trim() !== "" && !/^[\t #]/.test(line)) open = [];
  }
  return tasks;
}

/**
 * A shell script of the tree, parsed once; null where there is none.
 *
 * @example
 * scriptAt(repository, "scripts/deploy.sh")?.commands.length;
 */
export function scriptAt(repository: Repository, path: string): Shell | null {
  const file = repository.file(path);
  if (!file || file.context === "vendored") return null;
  return repository.once(`script ${path}`, () => {
    const text = repository.parse(file, (one) => one);
    if (text === null || !isShellScript(path, text)) return null;
    const shell = readShell(repository.parsers, text);
    if (shell.problem) {
      const { line, message } = shell.problem;
      repository.note({ file: path, line, reason: `its shell can't be read: ${message}` });
    }
    return shell;
  });
}

/** Every shell script of the tree, by its ending or its first line. */
export function scriptsOf(repository: Repository): { file: string; shell: Shell }[] {
  return repository.once(
    "shell scripts",
    () =>
      repository.files.flatMap(({ path, text, context }) => {
        if (context === "vendored" || text === null || !isShellScript(path, text)) return [];
        const shell = scriptAt(repository, path);
        return shell ? [{ file: path, shell }] : [];
      }),
  );
}

function isShellScript(path: string, text: string): boolean {
  if (/\.(sh|bash)$/.test(path)) return true;
  return /^#!\s*\S*(?:\/env\s+(?:-S\s+)?)?\/?(?:ba|da|a|z|k)?sh\b/.test(text.slice(0, 100)) ||
    /^#!\s*\S*\/env (?:ba|z|da)?sh\b/.test(text.slice(0, 100));
}
