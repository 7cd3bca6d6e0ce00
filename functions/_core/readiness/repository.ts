import { reasonOf } from "../errors.ts";
import type { Context } from "./context.ts";
import type { Parsers } from "./parsers.ts";

/** A file of the tree, its path from the root with forward slashes. `text` is null where it was not read, and why. */
export type RepositoryFile = {
  path: string;
  size: number;
  context: Context;
  /** Whether git has it; null where there is no git to ask. */
  isTracked: boolean | null;
  text: string | null;
  /** Why there is no text: `binary`, `larger than 2 MB`, … */
  unread?: string;
};

/** A part of the tree that no rule could look at, and why: what it might hold is unknown. */
export type Unread = { file: string; line?: number; reason: string };

/**
 * The repository as rules see it: read once, never changed, each model of it made once.
 *
 * @example
 * const workflows = (repository: Repository) => repository.once("workflows", () => readWorkflows(repository));
 */
export class Repository {
  readonly files: readonly RepositoryFile[];
  readonly parsers: Parsers;
  readonly #byPath: ReadonlyMap<string, RepositoryFile>;
  readonly #made = new Map<string, unknown>();
  readonly #unread = new Map<string, Unread>();

  constructor(files: readonly RepositoryFile[], parsers: Parsers) {
    this.files = files;
    this.parsers = parsers;
    this.#byPath = new Map(files.map((file) => [file.path, file]));
  }

  /** The file at a path, null when there is none. */
  file(path: string): RepositoryFile | null {
    return this.#byPath.get(path) ?? null;
  }

  /** The files that are judged (vendored ones are not) and whose path matches. */
  matching(path: RegExp): RepositoryFile[] {
    return this.files.filter((file) => file.context !== "vendored" && path.test(file.path));
  }

  /** What `make` answers, made once for a name; a promise too. */
  once<Value>(name: string, make: () => Value): Value {
    if (!this.#made.has(name)) this.#made.set(name, make());
    // The name stands for one model, and a model's name is written in one place.
    return this.#made.get(name) as Value;
  }

  /** Parse a file, or note that it can't be: the report lists it, and rules that wanted it say unknown. */
  parse<Tree>(file: RepositoryFile, parse: (text: string) => Tree): Tree | null {
    if (file.text === null) {
      this.note({ file: file.path, reason: file.unread ?? "it was not read" });
      return null;
    }
    try {
      return parse(file.text);
    } catch (error) {
      this.note({ file: file.path, reason: reasonOf(error) });
      return null;
    }
  }

  /** Note a part that no rule can look at; the same note once. */
  note(unread: Unread): void {
    const { file, line, reason } = unread;
    const key = `${file}\0${line}\0${reason}`;
    if (!this.#unread.has(key)) this.#unread.set(key, unread);
  }

  get unread(): readonly Unread[] {
    return [...this.#unread.values()];
  }
}
