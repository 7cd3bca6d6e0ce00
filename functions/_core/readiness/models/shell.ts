import { reasonOf } from "../../errors.ts";
import { lineIn, lineStarts } from "../../lines.ts";
import type { Parsers, ShellCommand, ShellRedirect, ShellScript, ShellWord } from "../parsers.ts";
import { mask, unmask } from "./shell-expressions.ts";
import { unwrap } from "./shell-wrappers.ts";

/** A simple command as it runs: without `sudo`, `env` and the like, which `wrappers` names. */
export type Command =
  & Pick<ShellCommand, "pipes" | "lists" | "within" | "isTested" | "isBackground" | "assignments">
  & {
    /** The last part of the path of what runs: `/usr/bin/curl` is `curl`; empty where nothing runs (`A=b`). */
    program: string;
    /** The words behind the program, without their quotes. */
    args: string[];
    /** The program and its words as parsed. */
    words: ShellWord[];
    /** `exec`, `sudo`, `timeout`, …, the outermost first. */
    wrappers: string[];
    redirects: ShellRedirect[];
    /** The whole as written, on one line. */
    text: string;
    line: number;
    endLine: number;
    /**
     * The command it is part of, and how: in its words (`$(…)`, `<(…)`), as a script it is given (`sh -c`, a heredoc)
     * or sends elsewhere (`ssh host …`).
     */
    parent: Command | null;
    via: "command" | "process" | "script" | "remote" | null;
  };

/** The commands of a script in the order of its text; `problem` is what could not be read of it. */
export type Shell = { commands: Command[]; problem: { line: number; message: string } | null };

const MOST_NESTED = 4;
const SHELLS: ReadonlySet<string> = new Set(["sh", "bash", "dash", "ash", "zsh", "ksh"]);

/** Whether a program is a shell of the kind that is parsed here. */
export function isShell(program: string): boolean {
  return SHELLS.has(program);
}

/**
 * The commands of a shell text, those that `sh -c`, `eval`, heredocs and ssh run included. GitHub's `${{ … }}` stand as
 * one word. `lineOf` says where the text's line n (from 1) stands in its file.
 *
 * @example
 * readShell(repository.parsers, "apt-get update && bash -lc 'make all'").commands.map(({ program }) => program);
 * // ["apt-get", "bash", "make"]
 */
export function readShell(
  parsers: Parsers,
  text: string,
  lineOf: (line: number) => number = (line) => line,
): Shell {
  const shell: Shell = { commands: [], problem: null };
  try {
    add(shell, parsers, { text, lineOf, parent: null, via: null, depth: 0 });
  } catch (error) {
    shell.problem = { line: lineOf(1), message: reasonOf(error) };
  }
  return shell;
}

type Source = {
  text: string;
  lineOf: (line: number) => number;
  parent: Command | null;
  via: Command["via"];
  depth: number;
};

function add(shell: Shell, parsers: Parsers, source: Source): void {
  const masked = mask(source.text);
  const script = parsers.shell(masked.text);
  const lineAt = lines(source.text, source.lineOf);
  if (script.problem) {
    shell.problem ??= { line: lineAt(script.problem.start), message: script.problem.message };
  }
  const restore = (word: ShellWord): ShellWord => {
    const value = unmask(word.value, masked);
    return value === word.value
      ? word
      : { ...word, value, text: unmask(word.text, masked), isStatic: false };
  };
  // Pipelines and lists of a script within a script keep apart from those around it.
  const base = source.parent ? shell.commands.length * 1_000_000 : 0;
  const made: Command[] = [];
  for (const raw of script.commands) {
    const words = raw.words.map(restore);
    const { from, wrappers } = unwrap(words.map(({ value }) => value));
    const own = words.slice(from);
    const command: Command = {
      program: (own[0]?.value ?? "").split("/").at(-1) ?? "",
      args: own.slice(1).map(({ value }) => value),
      words: own,
      wrappers,
      assignments: raw.assignments.map(({ name, value }) => ({
        name,
        value: value && restore(value),
      })),
      redirects: raw.redirects.map((one) => ({
        ...one,
        target: one.target && restore(one.target),
        heredoc: one.heredoc &&
          { ...one.heredoc, text: unmask(one.heredoc.text, masked) },
      })),
      text: source.text.slice(raw.start, raw.end).replace(/\s*\\?\n\s*/g, " ").trim(),
      line: lineAt(raw.start),
      endLine: lineAt(Math.max(raw.start, raw.end - 1)),
      pipes: raw.pipes.map((one) => ({ ...one, id: base + one.id })),
      lists: raw.lists.map((one) => ({ ...one, id: base + one.id })),
      within: raw.within,
      isTested: raw.isTested,
      isBackground: raw.isBackground,
      parent: raw.parent === null ? source.parent : made[raw.parent] ?? null,
      via: raw.parent === null ? source.via : raw.via,
    };
    made.push(command);
    shell.commands.push(command);
    if (source.depth < MOST_NESTED) nest(shell, parsers, source, { raw, command, lineAt });
  }
}

/** What the command runs that was given as text. */
function nest(
  shell: Shell,
  parsers: Parsers,
  source: Source,
  { raw, command, lineAt }: {
    raw: ShellScript["commands"][number];
    command: Command;
    lineAt: (offset: number) => number;
  },
): void {
  const given = textOf(command);
  if (!given) return;
  const { text, start, via } = given;
  const first = lineAt(start ?? raw.start);
  const before = shell.commands.length;
  add(shell, parsers, {
    text,
    lineOf: (line) => first + line - 1,
    parent: command,
    via,
    depth: source.depth + 1,
  });
  // The substitutions of a word in double quotes were seen in the word.
  if (given.isExpanded) {
    const kept = shell.commands.slice(before).filter((one) => isOfScript(one, command));
    shell.commands.splice(before, shell.commands.length - before, ...kept);
  }
}

function isOfScript(one: Command, script: Command): boolean {
  let here: Command | null = one;
  while (here && here !== script) {
    if (here.via === "command" || here.via === "process") return false;
    here = here.parent;
  }
  return true;
}

function textOf(
  { program, words, redirects }: Command,
): { text: string; start: number | null; isExpanded: boolean; via: "script" | "remote" } | null {
  const wordAt = (index: number, via: "script" | "remote" = "script") => {
    const word = words[index];
    return word ? { text: word.value, start: word.start, isExpanded: !word.isStatic, via } : null;
  };
  const heredoc = redirects.find((one) => one.heredoc)?.heredoc;
  const fed = (via: "script" | "remote") =>
    heredoc ? { text: heredoc.text, start: heredoc.start, isExpanded: false, via } : null;
  if (program === "eval") return words.length === 2 ? wordAt(1) : null;
  if (SHELLS.has(program)) {
    const flag = words.findIndex(({ value }) => /^-[a-z]*c[a-z]*$/.test(value));
    if (flag > 0) {
      // `-eo pipefail -c`, `-c -- …`: the script is the first word behind that is no option.
      const index = words.findIndex(({ value }, at) => at > flag && !/^[-+]/.test(value));
      return index > 0 ? wordAt(index) : null;
    }
    const hasFile = words.some(({ value }, at) =>
      at > 0 && !/^[-+]/.test(value) && !/^-[a-z]*o$/.test(words[at - 1]?.value ?? "")
    );
    return hasFile && !words.some(({ value }) => /^-[a-z]*s/.test(value)) ? null : fed("script");
  }
  if (program === "ssh") {
    const host = words.findIndex(({ value }, at) =>
      at > 0 && !value.startsWith("-") &&
      !/^-[bcDEeFIiJLlmOopQRSWw]$/.test(words[at - 1]?.value ?? "")
    );
    if (host < 0) return null;
    const rest = words.slice(host + 1);
    if (rest.length === 0) return fed("remote");
    if (rest.length === 1) return wordAt(host + 1, "remote");
    const text = rest.map(({ value }) => value).join(" ");
    return {
      ...{ text, start: rest[0]?.start ?? null, via: "remote" },
      isExpanded: rest.some(({ isStatic }) => !isStatic),
    };
  }
  return null;
}

/** The line of the file at an offset of the text. */
function lines(text: string, lineOf: (line: number) => number): (offset: number) => number {
  const starts = lineStarts(text);
  return (offset) => lineOf(lineIn(starts, offset));
}
