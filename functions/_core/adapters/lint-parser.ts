import { parse, type ParserPlugin } from "@babel/parser";
import { isNode, type Node, type Parsed } from "../lint/syntax.ts";

const TYPESCRIPT = /\.(ts|mts|cts)$/;
const TSX = /\.(tsx|svelte|vue|astro)$/;

/**
 * Parse a file of TypeScript or JavaScript; of .vue, .svelte and .astro files the scripts, each where it stands.
 * Small errors are forgiven, as bundlers do.
 *
 * @example
 * const { program } = parseScript("a.ts", "export const a: number = 1;");
 * @throws SyntaxError when there is no tree to be had.
 */
export function parseScript(path: string, text: string): Parsed {
  const source = /\.(svelte|vue|astro)$/.test(path) ? scriptsOnly(path, text) : text;
  if (isBottomless(source)) throw new RangeError("it is nested too deeply");
  const dialects: ParserPlugin[][] = TYPESCRIPT.test(path)
    ? [["typescript"]]
    : TSX.test(path)
    ? [["typescript", "jsx"], ["typescript"]]
    : [["jsx"], ["jsx", "flow"], ["jsx", "typescript"]];
  let failure: unknown;
  for (const dialect of dialects) {
    try {
      const file = parse(source, {
        sourceType: "unambiguous",
        errorRecovery: true,
        attachComment: false,
        allowReturnOutsideFunction: true,
        allowAwaitOutsideFunction: true,
        plugins: [
          ...dialect,
          "decorators-legacy",
          "explicitResourceManagement",
          "importAttributes",
        ],
      });
      const program: unknown = file.program;
      if (!isNode(program)) throw new SyntaxError("no program");
      trim(program);
      return {
        program,
        comments: (file.comments ?? []).map((one) => ({
          text: one.value,
          start: one.start ?? 0,
          end: one.end ?? 0,
        })),
      };
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

const MOST_LEVELS = 200;

/** Whether brackets open that never close, or nest as no hand does: the parser's time grows with the square of it. */
function isBottomless(text: string): boolean {
  let level = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    // ( [ { and ) ] }
    if (code === 40 || code === 91 || code === 123) {
      if (++level > MOST_LEVELS) return true;
    } else if ((code === 41 || code === 93 || code === 125) && level > 0) level--;
  }
  return false;
}

/**
 * A tree is kept for every file: what nobody reads goes (lines and columns, offsets say where a node stands), and lists
 * that grew by pushing give back the room for sixteen more.
 */
function trim(program: Node): void {
  const stack: Node[] = [program];
  for (let node = stack.pop(); node; node = stack.pop()) {
    // Not deleted: the objects keep their shape.
    node["loc"] = undefined;
    for (const field of Object.keys(node)) {
      const value = node[field];
      if (Array.isArray(value)) {
        node[field] = value.slice();
        for (const one of value) if (isNode(one)) stack.push(one);
      } else if (isNode(value)) stack.push(value);
    }
  }
}

/** The text with all but the scripts blanked, so that every offset stays what it was. */
function scriptsOnly(path: string, text: string): string {
  const kept: [number, number][] = [];
  if (path.endsWith(".astro")) {
    const front = /^\s*---\r?\n([\s\S]*?)\r?\n---/.exec(text);
    if (front?.[1] !== undefined) {
      const start = text.indexOf(front[1]);
      kept.push([start, start + front[1].length]);
    }
  }
  for (const found of text.matchAll(/<script\b[^>]*>([\s\S]*?)<\/script\s*>/gi)) {
    const start = found.index + found[0].indexOf(">") + 1;
    kept.push([start, start + (found[1]?.length ?? 0)]);
  }
  let blank = "";
  let at = 0;
  for (const [from, to] of kept) {
    blank += text.slice(at, from).replace(/[^\n]/g, " ") + text.slice(from, to);
    at = to;
  }
  return blank + text.slice(at).replace(/[^\n]/g, " ");
}
