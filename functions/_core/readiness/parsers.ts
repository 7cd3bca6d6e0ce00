import type { Parsed } from "../lint/syntax.ts";

/**
 * A YAML node without the library: aliases and merge keys resolved (a bounded number of them), lines from 1. `comment`
 * is what stands behind the value on its line, without `#`.
 */
export type YamlNode =
  & { line: number; endLine: number; comment?: string }
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

/** A node of a Python tree: tree-sitter's types and fields, lines from 1. Made on demand, good until `release()`. */
export type PythonNode = {
  type: string;
  text: string;
  line: number;
  endLine: number;
  start: number;
  end: number;
  /** Named children in order. */
  children: PythonNode[];
  /** The child in a field of the grammar: `name`, `body`, `arguments`, `value`, … */
  field: (name: string) => PythonNode | null;
};
export type PythonTree = { root: PythonNode; hasErrors: boolean; release: () => void };

/** The front of each language; adapters/readiness-parsers.ts has them all. Each throws a SyntaxError for what it can't read. */
export type Parsers = {
  /** The documents of a file. */
  yaml: (text: string) => YamlNode[];
  dockerfile: (text: string) => DockerInstruction[];
  /** The tree of unbash, which documents its shape; read it through models/shell.ts. */
  shell: (text: string) => unknown;
  python: (text: string) => PythonTree;
  script: (path: string, text: string) => Parsed;
  /** The tree of libpg-query. */
  sql: (text: string) => Promise<unknown>;
  toml: (text: string) => Record<string, unknown>;
};
