import type { Repository } from "../repository.ts";
import { commandAt, join, type Service } from "./compose-service.ts";
import { effective, lineage, type Placed, type Stage, words } from "./dockerfiles.ts";
import { images } from "./images.ts";
import { interpolate, settled } from "./interpolation.ts";
import { type Command, isShell, readShell, type Shell } from "./shell.ts";
import { packagesOf, scriptAt } from "./task-files.ts";

/** A command that runs when a container starts, and where it is written. */
export type Started = { command: Command; file: string };

/** How a container starts. */
export type Start = {
  file: string;
  line: number;
  /** Every command on the way, scripts and package scripts followed, in order. */
  commands: Started[];
  /**
   * Whether the last process is the container's own, so that signals reach it: null where it can't be told (a script
   * of the base image).
   */
  takesSignals: boolean | null;
  /** Why not, and where: a sentence without a subject. */
  why: { file: string; line: number; message: string; isMild: boolean } | null;
  /** tini, dumb-init or compose's `init: true` stands in front. */
  hasInit: boolean;
};

const INITS = new Set(["tini", "dumb-init", "docker-init", "catatonit", "s6-svscan", "init"]);
const MOST_STEPS = 8;

/**
 * How an image starts, with what compose puts in the place of its command; null where nothing says.
 *
 * @example
 * startOf(repository, { stage, service })?.commands.some(({ command }) => command.program === "alembic");
 */
export function startOf(
  repository: Repository,
  { stage, service }: { stage: Stage | null; service?: Service | null },
): Start | null {
  const entry = (service && commandAt(service, "entrypoint")) ?? null;
  const command = (service && commandAt(service, "command")) ?? null;
  const ownEntry = entry ? null : stage && effective(stage, "ENTRYPOINT");
  // Compose's entry point takes the image's command away.
  const ownCommand = command || entry ? null : stage && effective(stage, "CMD");
  const head = entry ?? (ownEntry && written(ownEntry));
  const tail = command ?? (ownCommand && written(ownCommand));
  const first = tail ?? head;
  if (!first) return null;
  const isShellEntry = ownEntry !== null && ownEntry !== undefined &&
    ownEntry.instruction.exec === null;
  const place = tail && !isShellEntry ? tail : head ?? first;
  const start: Start = {
    file: place.file,
    line: place.line,
    commands: [],
    takesSignals: null,
    why: null,
    hasInit: service ? isInit(service) : false,
  };
  const argv = [...head?.words ?? [], ...isShellEntry ? [] : tail?.words ?? []];
  follow({ repository, stage, start }, argv, { file: place.file, line: place.line }, 0);
  return start;
}

function isInit(service: Service): boolean {
  return service.layers.some(({ node }) =>
    node.kind === "map" &&
    node.entries.some(({ key, value }) =>
      key === "init" && value.kind === "scalar" && value.value === true
    )
  );
}

/** What an instruction runs: the shell form is a text given to a shell. */
function written({ instruction, stage }: Placed): { file: string; line: number; words: string[] } {
  const { exec, line } = instruction;
  const text = instruction.arguments;
  const shell = shellOf(stage);
  return { file: stage.path, line, words: exec ?? [...shell, text] };
}

function shellOf(stage: Stage): string[] {
  for (const one of lineage(stage)) {
    const set = one.instructions.findLast(({ keyword }) => keyword === "SHELL");
    if (set?.exec) return set.exec;
  }
  return ["/bin/sh", "-c"];
}

type Walk = { repository: Repository; stage: Stage | null; start: Start };
type Place = { file: string; line: number };

/** Take the words that a process is started with to what it starts. */
function follow(walk: Walk, argv: readonly string[], place: Place, step: number): void {
  const { start } = walk;
  if (argv.length === 0 || step > MOST_STEPS) return;
  const [first = "", ...rest] = argv;
  const name = first.split("/").pop() ?? "";
  if (INITS.has(name)) {
    start.hasInit = true;
    const from = rest.findIndex((word) => !word.startsWith("-"));
    if (rest.includes("--")) follow(walk, rest.slice(rest.indexOf("--") + 1), place, step + 1);
    else if (from >= 0) follow(walk, rest.slice(from), place, step + 1);
    return;
  }
  if (isShell(name)) {
    const flag = rest.findIndex((word) => /^-[a-z]*c$/.test(word));
    if (flag >= 0) {
      const text = rest.slice(flag + 1).find((word) => word !== "--") ?? "";
      const shell = readShell(walk.repository.parsers, text, () => place.line);
      inShell(walk, shell, { ...place, file: place.file }, { argv: [], step, isScript: false });
      return;
    }
    const script = rest.findIndex((word) => !word.startsWith("-"));
    if (script < 0) return;
    return intoScript(walk, rest[script] ?? "", rest.slice(script + 1), place, step);
  }
  if (isScriptName(first)) return intoScript(walk, first, rest, place, step);
  const shell = readShell(walk.repository.parsers, argv.map(quote).join(" "), () => place.line);
  for (const command of shell.commands) start.commands.push({ command, file: place.file });
  const [own] = shell.commands;
  if (own && intoPackage(walk, own, place, step)) return;
  start.takesSignals = true;
}

const quote = (word: string) =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
const isScriptName = (word: string) =>
  /\.(sh|bash)$/.test(word) || /(entrypoint|start|prestart|run|boot)[\w-]*$/.test(word);

/** A script of the tree that the image copied; one of the base image can't be read. */
function intoScript(
  walk: Walk,
  path: string,
  args: readonly string[],
  place: Place,
  step: number,
): void {
  const found = fileOf(walk, path);
  const shell = found === null ? null : scriptAt(walk.repository, found);
  if (found === null || !shell || shell.problem) {
    const known = readShell(
      walk.repository.parsers,
      [path, ...args].map(quote).join(" "),
      () => place.line,
    );
    for (const command of known.commands) walk.start.commands.push({ command, file: place.file });
    if (
      !/\.(sh|bash)$/.test(path) && found === null && !path.startsWith("/") && !path.startsWith(".")
    ) {
      walk.start.takesSignals = true;
    }
    return;
  }
  inShell(walk, shell, { file: found, line: 1 }, { argv: args, step, isScript: true });
}

/** Where a file of the image comes from: what its COPY says, or the only file of the tree that ends so. */
function fileOf({ repository, stage }: Walk, path: string): string | null {
  const clean = path.replace(/^\.\//, "");
  const context = stage
    ? images(repository).find((one) => one.stage === stage)?.context ?? folder(stage.path)
    : "";
  for (const one of stage ? lineage(stage) : []) {
    for (const { keyword, arguments: text, exec, flags } of one.instructions) {
      if (keyword !== "COPY" && keyword !== "ADD") continue;
      if (flags.some(({ name }) => name === "from")) continue;
      const all = exec ?? words(text);
      const target = all.at(-1) ?? "";
      for (const source of all.slice(0, -1)) {
        const settledSource = settled(interpolate(source)) ?? source;
        if (base(settledSource) === base(clean) || base(target) === base(clean)) {
          const at = join(context, settledSource);
          if (at !== null && repository.file(at)) return at;
        }
      }
    }
  }
  // What `COPY . /app` brought lies below the context as it lies below /app.
  const steps = clean.split("/").filter((one) => one !== "");
  for (let from = 0; from < steps.length - 1; from++) {
    const at = join(context, steps.slice(from).join("/"));
    if (at !== null && repository.file(at)) return at;
  }
  const name = base(clean);
  const near = repository.files.filter((file) =>
    file.context !== "vendored" && (file.path === name || file.path.endsWith(`/${name}`))
  );
  const own = near.filter((file) => context === "" || file.path.startsWith(`${context}/`));
  const pick = own.length === 1 ? own[0] : near.length === 1 ? near[0] : undefined;
  return pick?.path ?? null;
}

const base = (path: string) => path.split("/").pop() ?? "";
const folder = (path: string) => path.split("/").slice(0, -1).join("/");

/** The last command of a shell text decides: `exec` hands the process over, anything else keeps the shell in front. */
function inShell(
  walk: Walk,
  shell: Shell,
  place: Place,
  { argv, step, isScript }: { argv: readonly string[]; step: number; isScript: boolean },
): void {
  const { start } = walk;
  const own = shell.commands.filter(({ parent, program }) => parent === null && program !== "");
  for (const command of shell.commands) start.commands.push({ command, file: place.file });
  const execs = own.filter(({ wrappers }) => wrappers.includes("exec"));
  const last = execs.at(-1) ?? own.at(-1);
  if (!last) return;
  const isHandedOn = ["$@", "${@}", "$*"].includes(last.words[0]?.value ?? "");
  if (last.wrappers.includes("exec") || last.wrappers.some((one) => INITS.has(one))) {
    if (last.wrappers.some((one) => INITS.has(one))) start.hasInit = true;
    if (
      isHandedOn || last.program === "@" ||
      last.words.some(({ value }) => value === "$@") && last.words.length === 1
    ) {
      if (argv.length > 0) follow(walk, argv, { file: start.file, line: start.line }, step + 1);
      else start.takesSignals = true;
      return;
    }
    const words = last.words.map(({ value }) => value);
    if (isShell(last.program) || isScriptName(words[0] ?? "")) {
      start.commands = start.commands.filter(({ command }) => command !== last);
      return follow(walk, words, { ...place, line: last.line }, step + 1);
    }
    if (intoPackage(walk, last, { ...place, line: last.line }, step)) return;
    start.takesSignals = true;
    return;
  }
  if (isHandedOn && argv.length > 0) {
    follow(walk, argv, { file: start.file, line: start.line }, step + 1);
  }
  const waits = own.some(({ program }) => program === "trap");
  const background = own.filter(({ isBackground }) => isBackground);
  const lone = !isScript && own.length === 1 && background.length === 0;
  // What the shell runs in turn (a script without exec) may start more.
  for (const one of own) {
    if (one === last && isHandedOn) continue;
    if (isScriptName(one.words[0]?.value ?? "") || isShell(one.program)) {
      const [before, reason] = [start.takesSignals, start.why];
      const words = one.words.map(({ value }) => value);
      if (words.some((word) => /^-[a-z]*c$/.test(word))) continue;
      follow(walk, words, { ...place, line: one.line }, step + 1);
      start.takesSignals = before;
      start.why = reason;
    } else intoPackage(walk, one, { ...place, line: one.line }, step, true);
  }
  if (waits) {
    start.takesSignals = true;
    return;
  }
  start.takesSignals = false;
  start.why = {
    file: place.file,
    line: last.line,
    message: background.length > 0
      ? `starts ${background[0]?.program ?? "a process"} in the background and traps no signal`
      : lone
      ? `runs ${last.program} under a shell: the shell form, without exec`
      : `keeps a shell in front of ${last.program}, which never gets the signal: no exec`,
    isMild: lone,
  };
}

/** What `npm start` and its like run, as package.json says. */
function intoPackage(
  walk: Walk,
  command: Command,
  place: Place,
  step: number,
  isAside = false,
): boolean {
  if (!/^(npm|yarn|pnpm|bun)$/.test(command.program) || step > MOST_STEPS) return false;
  const verbs = command.args.filter((word) => !word.startsWith("-"));
  const name = verbs[0] === "run" || verbs[0] === "run-script" ? verbs[1] : verbs[0];
  if (!name) return false;
  const near = folder(walk.stage?.path ?? place.file);
  const all = packagesOf(walk.repository).filter(({ tasks }) => tasks.has(name));
  const context = images(walk.repository).find(({ stage }) => stage === walk.stage)?.context ??
    near;
  const one = all.find((each) => each.folder === near) ??
    all.find((each) => each.folder === context) ??
    (all.length === 1 ? all[0] : undefined);
  const task = one?.tasks.get(name);
  for (const { shell } of task?.shells ?? []) {
    for (const each of shell.commands) {
      walk.start.commands.push({ command: each, file: task?.file ?? place.file });
    }
  }
  if (isAside) return true;
  walk.start.takesSignals = false;
  walk.start.why = {
    file: place.file,
    line: place.line,
    message: `starts ${command.program}, which stands between the signal and the server`,
    isMild: true,
  };
  return true;
}
