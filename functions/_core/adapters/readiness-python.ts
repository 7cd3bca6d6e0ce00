import treeSitter from "@vscode/tree-sitter-wasm";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { lineIn, lineStarts } from "../lines.ts";
import type { PythonNode, PythonTree } from "../readiness/parsers.ts";

/** A person's file takes milliseconds; what takes longer was written to. */
const MOST_MILLISECONDS = 3_000;
const MOST_NODES = 500_000;
const GRAMMAR = "@vscode/tree-sitter-wasm/wasm/tree-sitter-python.wasm";

let parser: Promise<(text: string) => PythonTree> | null = null;

/**
 * The parser of Python, loaded once in a process.
 *
 * @example
 * const parsePython = await loadPython();
 * parsePython("debug = True").root.children[0]?.type; // "expression_statement"
 */
export function loadPython(): Promise<(text: string) => PythonTree> {
  return parser ??= load();
}

async function load(): Promise<(text: string) => PythonTree> {
  const { Language, Parser } = treeSitter;
  await Parser.init();
  const language = await Language.load(
    await readFile(createRequire(import.meta.url).resolve(GRAMMAR)),
  );
  const grammar: Grammar = {
    types: language.types.map((name, id) => language.nodeTypeIsNamed(id) && name ? name : ""),
    words: language.types.map((name) => name ?? ""),
    fields: language.fields.map((name) => name ?? ""),
  };
  const engine = new Parser();
  engine.setLanguage(language);
  return (text) => {
    const end = performance.now() + MOST_MILLISECONDS;
    const tree = engine.parse(text, null, { progressCallback: () => performance.now() > end });
    if (!tree) {
      engine.reset();
      throw new SyntaxError("it takes too long to parse");
    }
    const cursor = tree.walk();
    try {
      return { root: compact(cursor, text, grammar), hasErrors: tree.rootNode.hasError };
    } finally {
      cursor.delete();
      tree.delete();
    }
  };
}

type Cursor = InstanceType<typeof treeSitter.TreeCursor>;
/** Names by number. `types` is empty where a node is a sign or a keyword, `words` has those too. */
type Grammar = { types: string[]; words: string[]; fields: string[] };

/** What rules never ask for. */
const SKIPPED = new Set(["comment", "line_continuation", "string_start", "string_end"]);

/** A tree as columns: a node is a row, rows stand in the order of the text, `after` is the row behind a node's last. */
type Columns = {
  text: string;
  lines: Int32Array;
  grammar: Grammar;
  type: Uint16Array;
  field: Uint16Array;
  start: Int32Array;
  end: Int32Array;
  after: Int32Array;
  parent: Int32Array;
};

/** Rows as they are found, six numbers each; kept between files, so that it grows once. */
let rows = new Int32Array(6 * 4_096);

/** Walk once, without recursion, and keep the named nodes and the signs that have a field. */
function compact(cursor: Cursor, text: string, grammar: Grammar): PythonNode {
  const open: number[] = [];
  let count = 0;
  walk: for (;;) {
    const type = cursor.nodeTypeId;
    const name = grammar.types[type] ?? "ERROR";
    const field = cursor.currentFieldId;
    const row = (name === "" ? field > 0 : !SKIPPED.has(name)) ? count++ : -1;
    if (row >= 0) {
      if (row === MOST_NODES) throw new SyntaxError("it has more nodes than anybody writes");
      if (rows.length < 6 * count) rows = grown(rows);
      const at = row * 6;
      rows[at] = type;
      rows[at + 1] = field;
      rows[at + 2] = cursor.startIndex;
      rows[at + 3] = cursor.endIndex;
      rows[at + 4] = count;
      rows[at + 5] = open.findLast((one) => one >= 0) ?? -1;
    }
    if (cursor.gotoFirstChild()) {
      open.push(row);
      continue;
    }
    while (!cursor.gotoNextSibling()) {
      if (!cursor.gotoParent()) break walk;
      const left = open.pop() ?? -1;
      if (left >= 0) rows[left * 6 + 4] = count;
    }
  }
  const column = <Numbers extends Int32Array | Uint16Array>(numbers: Numbers, at: number) => {
    for (let row = 0; row < count; row++) numbers[row] = rows[row * 6 + at] ?? 0;
    return numbers;
  };
  return new View({
    text,
    lines: lineStarts(text),
    grammar,
    type: column(new Uint16Array(count), 0),
    field: column(new Uint16Array(count), 1),
    start: column(new Int32Array(count), 2),
    end: column(new Int32Array(count), 3),
    after: column(new Int32Array(count), 4),
    parent: column(new Int32Array(count), 5),
  }, 0);
}

function grown(numbers: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const more = new Int32Array(numbers.length * 2);
  more.set(numbers);
  return more;
}

class View implements PythonNode {
  readonly #tree: Columns;
  readonly #row: number;

  constructor(tree: Columns, row: number) {
    this.#tree = tree;
    this.#row = row;
  }

  get type(): string {
    const id = this.#tree.type[this.#row] ?? 0;
    return this.#tree.grammar.words[id] ?? "ERROR";
  }
  get start(): number {
    return this.#tree.start[this.#row] ?? 0;
  }
  get end(): number {
    return this.#tree.end[this.#row] ?? 0;
  }
  get text(): string {
    return this.#tree.text.slice(this.start, this.end);
  }
  get line(): number {
    return lineIn(this.#tree.lines, this.start);
  }
  get endLine(): number {
    return lineIn(this.#tree.lines, Math.max(this.start, this.end - 1));
  }
  get parent(): PythonNode | null {
    const row = this.#tree.parent[this.#row] ?? -1;
    return row < 0 ? null : new View(this.#tree, row);
  }
  get children(): PythonNode[] {
    const found: PythonNode[] = [];
    const end = this.#after(this.#row);
    for (let row = this.#row + 1; row < end; row = this.#after(row)) {
      if (this.#isNamed(row)) found.push(new View(this.#tree, row));
    }
    return found;
  }

  field(name: string): PythonNode | null {
    const id = this.#tree.grammar.fields.indexOf(name);
    const end = this.#after(this.#row);
    for (let row = this.#row + 1; row < end && id > 0; row = this.#after(row)) {
      if (this.#tree.field[row] === id) return new View(this.#tree, row);
    }
    return null;
  }

  all(...types: string[]): PythonNode[] {
    const found: PythonNode[] = [];
    const end = this.#after(this.#row);
    for (let row = this.#row + 1; row < end; row++) {
      if (!this.#isNamed(row)) continue;
      const type = this.#tree.grammar.words[this.#tree.type[row] ?? 0] ?? "ERROR";
      if (types.length === 0 || types.includes(type)) found.push(new View(this.#tree, row));
    }
    return found;
  }

  #after(row: number): number {
    return this.#tree.after[row] ?? 0;
  }

  #isNamed(row: number): boolean {
    return this.#tree.grammar.types[this.#tree.type[row] ?? 0] !== "";
  }
}
