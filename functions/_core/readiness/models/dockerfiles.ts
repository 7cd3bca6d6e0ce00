import type { DockerInstruction } from "../parsers.ts";
import type { Repository, RepositoryFile } from "../repository.ts";
import { interpolate, settled } from "./interpolation.ts";

/** A stage: what stands between one FROM and the next. */
export type Stage = {
  /** The file it stands in. */
  path: string;
  index: number;
  /** As `builder` in `FROM node AS builder`, in lower case. */
  alias: string | null;
  /** The line of its FROM. */
  line: number;
  /** The image as written, and with the defaults of its ARGs; null where an ARG has none. */
  base: { written: string; image: string | null };
  /** The stage that it builds on, null for an image from elsewhere. */
  parent: Stage | null;
  /** What follows FROM. */
  instructions: DockerInstruction[];
};

/** A Dockerfile that could be read. */
export type Dockerfile = {
  path: string;
  file: RepositoryFile;
  /** The ARGs before the first FROM. */
  args: DockerInstruction[];
  stages: Stage[];
};

const NAMED =
  /(^|\/)(Dockerfile|Containerfile)([._-](?!dockerignore$|containerignore$|md$|txt$|j2$|jinja2?$|tmpl$|tpl$|erb$)[\w.-]+)?$|[\w-]\.(Dockerfile|Containerfile)$/i;

/**
 * Every Dockerfile with its stages; what can't be read is noted.
 *
 * @example
 * for (const { stages } of dockerfiles(repository)) …
 */
export function dockerfiles(repository: Repository): Dockerfile[] {
  return repository.once("dockerfiles", () =>
    repository.matching(NAMED)
      .filter(({ path }) =>
        !/\.(dockerignore|containerignore|md|txt|j2|tmpl|tpl|ya?ml|json|sh|py)$/i.test(path)
      )
      .flatMap((file) => {
        const instructions = repository.parse(file, repository.parsers.dockerfile);
        return instructions ? [read(file, instructions)] : [];
      }));
}

/** Whether a file that is named as a Dockerfile could not be read: then rules on images say unknown. */
export function unreadDockerfiles(repository: Repository): { file: string; reason: string }[] {
  const read = new Set(dockerfiles(repository).map(({ path }) => path));
  return repository.unread.filter(({ file }) => NAMED.test(file) && !read.has(file));
}

function read(file: RepositoryFile, instructions: readonly DockerInstruction[]): Dockerfile {
  const first = instructions.findIndex(({ keyword }) => keyword === "FROM");
  const args = instructions.slice(0, first === -1 ? 0 : first)
    .filter(({ keyword }) => keyword === "ARG");
  const values = new Map<string, string>();
  for (const { arguments: written } of args) {
    for (const { name, value } of pairs(written)) {
      const text = value === null ? null : settled(interpolate(value), values);
      if (text !== null) values.set(name, text);
    }
  }
  const stages: Stage[] = [];
  for (const one of first === -1 ? [] : instructions.slice(first)) {
    if (one.keyword !== "FROM") {
      stages.at(-1)?.instructions.push(one);
      continue;
    }
    const [written = "", as, alias] = one.arguments.split(/\s+/);
    const image = settled(interpolate(written), values);
    const named = (image ?? written).toLowerCase();
    stages.push({
      path: file.path,
      index: stages.length,
      alias: as?.toUpperCase() === "AS" && alias ? alias.toLowerCase() : null,
      line: one.line,
      base: { written, image: image === "" ? null : image },
      parent: stages.findLast((stage) => stage.alias === named) ?? null,
      instructions: [],
    });
  }
  return { path: file.path, file, args, stages };
}

/**
 * The names and values of ENV, ARG and LABEL, in both forms: `A=1 B="x y"` and the old `A x y`. A value is null for
 * an ARG without one.
 *
 * @example
 * pairs('A=1 B="x y"'); // [{ name: "A", value: "1" }, { name: "B", value: "x y" }]
 */
export function pairs(written: string): { name: string; value: string | null }[] {
  const [head = ""] = /^\S*/.exec(written) ?? [];
  if (!head.includes("=")) {
    const value = written.slice(head.length).trim();
    return head === "" ? [] : [{ name: head, value: value === "" ? null : value }];
  }
  const found: { name: string; value: string | null }[] = [];
  for (const word of words(written)) {
    const equals = word.indexOf("=");
    found.push(
      equals === -1
        ? { name: word, value: null }
        : { name: word.slice(0, equals), value: word.slice(equals + 1) },
    );
  }
  return found;
}

/** Words of a line of shell without the shell: quotes taken off, escapes resolved, nothing expanded. */
export function words(line: string): string[] {
  const found: string[] = [];
  let word: string | null = null;
  let quote = "";
  for (let at = 0; at < line.length; at++) {
    const char = line[at] ?? "";
    if (char === "\\" && quote !== "'" && at + 1 < line.length) word = (word ?? "") + line[++at];
    else if (quote !== "") {
      if (char === quote) quote = "";
      else word = (word ?? "") + char;
    } else if (char === '"' || char === "'") {
      quote = char;
      word ??= "";
    } else if (/\s/.test(char)) {
      if (word !== null) found.push(word);
      word = null;
    } else word = (word ?? "") + char;
  }
  return word === null ? found : [...found, word];
}

/** The stage and those it builds on, itself first. */
export function lineage(stage: Stage): Stage[] {
  const found: Stage[] = [];
  for (let here: Stage | null = stage; here; here = here.parent) found.push(here);
  return found;
}

/** An instruction and the stage that has it. */
export type Placed = { instruction: DockerInstruction; stage: Stage };

/**
 * The instruction that holds at the end of a stage: the last of its keyword, inherited from the stages it builds on.
 * An ENTRYPOINT of its own takes an inherited CMD away, as the builder does.
 *
 * @example
 * effective(stage, "USER")?.instruction.arguments; // "node"
 */
export function effective(
  stage: Stage,
  keyword: "USER" | "CMD" | "ENTRYPOINT" | "HEALTHCHECK" | "WORKDIR" | "STOPSIGNAL" | "SHELL",
): Placed | null {
  for (const one of lineage(stage)) {
    const instruction = one.instructions.findLast((each) => each.keyword === keyword);
    if (instruction) return { instruction, stage: one };
    if (keyword === "CMD" && one.instructions.some((each) => each.keyword === "ENTRYPOINT")) {
      return null;
    }
  }
  return null;
}

/** The image from elsewhere that a stage rests on at last: `python:3.12-slim`; null where an ARG hides it. */
export function root(stage: Stage): Stage {
  return lineage(stage).at(-1) ?? stage;
}

/** What holds of a stage: its own ENV and those it inherits, the last word first. */
export function environmentOf(stage: Stage): Map<string, { value: string; placed: Placed }> {
  const found = new Map<string, { value: string; placed: Placed }>();
  for (const one of lineage(stage).toReversed()) {
    for (const instruction of one.instructions) {
      if (instruction.keyword !== "ENV") continue;
      for (const { name, value } of pairs(instruction.arguments)) {
        found.set(name, { value: value ?? "", placed: { instruction, stage: one } });
      }
    }
  }
  return found;
}
