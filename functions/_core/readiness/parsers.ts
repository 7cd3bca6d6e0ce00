import type { Parsed } from "../lint/syntax.ts";

/**
 * A YAML node without the library: aliases and merge keys resolved (a bounded number of them), lines from 1. `comment`
 * is what stands behind the value on its line, without `#`; `tag` is one of the file's own (`!reset`).
 */
export type YamlNode =
  & { line: number; endLine: number; comment?: string; tag?: string }
  & (
    | { kind: "map"; entries: YamlEntry[] }
    | { kind: "seq"; items: YamlNode[] }
    | { kind: "scalar"; value: string | number | boolean | null; text: string; style: YamlStyle }
  );
export type YamlEntry = { key: string; line: number; value: YamlNode };
export type YamlStyle = "plain" | "quoted" | "block";

/** An instruction of a Dockerfile as written, ONBUILD and heredocs included; lines from 1. */
export type DockerInstruction = {
  /** In capitals: `RUN`. */
  keyword: string;
  /** What stands behind it, continuation lines joined, flags and heredoc bodies left out. */
  arguments: string;
  line: number;
  endLine: number;
  flags: { name: string; value: string }[];
  /** The words of the JSON (exec) form, null in the shell form. */
  exec: string[] | null;
  heredocs: { text: string; line: number }[];
};

/**
 * A node of a Python file: tree-sitter's types and fields, comments left out, lines from 1. It is a view that is made
 * when asked for; the tree behind it is a few numbers a node, so that a model may keep it.
 */
export type PythonNode = {
  readonly type: string;
  readonly text: string;
  readonly line: number;
  readonly endLine: number;
  /** Offsets in the text; two views of one node have the same. */
  readonly start: number;
  readonly end: number;
  readonly parent: PythonNode | null;
  /** Named children in order. */
  readonly children: PythonNode[];
  /** The first child in a field of the grammar: `name`, `body`, `arguments`, `operator`, … */
  field: (name: string) => PythonNode | null;
  /** Every node below of these types, in order; without types, every node below. */
  all: (...types: string[]) => PythonNode[];
};
/** `hasErrors`: some of the text is no Python, and the tree leaves it out. */
export type PythonTree = { root: PythonNode; hasErrors: boolean };

/** A word of a shell command; `value` is without its quotes, and what it expands stands in it as written. */
export type ShellWord = {
  text: string;
  value: string;
  /** Whether the shell puts nothing in its place: no variable, no substitution, no glob. */
  isStatic: boolean;
  /** The variables it expands. */
  variables: string[];
  start: number;
};
export type ShellRedirect = {
  /** `>`, `>>`, `<`, `<<`, `<<<`, `&>`, … */
  operator: string;
  descriptor: number | null;
  target: ShellWord | null;
  heredoc: { text: string; start: number } | null;
};

/** A simple command of a script, and where it stands; offsets count from the start of the text. */
export type ShellCommand = {
  words: ShellWord[];
  assignments: { name: string; value: ShellWord | null }[];
  redirects: ShellRedirect[];
  start: number;
  end: number;
  /** The pipelines it is part of, the innermost first: `(a; b) | c` holds `a` in two. */
  pipes: { id: number; stage: number; stages: number }[];
  /** The `&&` and `||` lists it is part of, the innermost first: what follows item i is joined by operators[i]. */
  lists: { id: number; item: number; operators: ("&&" | "||")[] }[];
  /** The compound commands and functions around it, the innermost first. */
  within: ShellBlock[];
  /** Whether an `if`, `while` or `until` asks for its status, or a `!` turns it around. */
  isTested: boolean;
  isBackground: boolean;
  /** The command in whose words it stands, by its number, and how: `$(…)` or `<(…)`. */
  parent: number | null;
  via: "command" | "process" | null;
};
export type ShellBlock =
  | "if"
  | "loop"
  | "case"
  | "function"
  | "subshell"
  | "group"
  | "test"
  | "coproc";
/** Every simple command in the order of the text; `problem` is the first thing that could not be read. */
export type ShellScript = {
  commands: ShellCommand[];
  problem: { message: string; start: number } | null;
};

/** A token of a known service in a text, `github` for instance; offsets. */
export type Token = { kind: string; start: number; end: number };

/** The front of each language; adapters/readiness-parsers.ts has them all. Each throws a SyntaxError for what it can't read. */
export type Parsers = {
  /** The documents of a file. */
  yaml: (text: string) => YamlNode[];
  dockerfile: (text: string) => DockerInstruction[];
  /** Read it through models/shell.ts, which knows lines, `sudo` and `sh -c`. */
  shell: (text: string) => ShellScript;
  /** Loads its parser when it is asked for; `(await python())(text)`. Read it through models/python.ts. */
  python: () => Promise<(text: string) => PythonTree>;
  script: (path: string, text: string) => Parsed;
  /** The tree of libpg-query. */
  sql: (text: string) => Promise<unknown>;
  toml: (text: string) => Record<string, unknown>;
  /** The tokens of known services in any text. */
  tokens: (path: string, text: string) => Promise<Token[]>;
};
