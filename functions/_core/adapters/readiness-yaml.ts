import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  Scalar,
} from "yaml";
import type { YamlEntry, YamlNode } from "../readiness/parsers.ts";

/** More nodes than any hand writes: aliases of aliases of aliases end here. */
const MOST_NODES = 200_000;
const MOST_DEPTH = 100;

/**
 * Parse YAML into plain nodes: aliases and merge keys resolved, lines kept.
 *
 * @example
 * const [compose] = parseYaml("services: { api: { image: app } }");
 * @throws SyntaxError where it is no YAML, or grows beyond what a person writes.
 */
export function parseYaml(text: string): YamlNode[] {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    merge: true,
    uniqueKeys: false,
    logLevel: "silent",
    stringKeys: false,
  });
  if (!Array.isArray(documents)) return [];
  return documents.flatMap((document) => {
    const [error] = document.errors;
    if (error) throw new SyntaxError(error.message.split("\n")[0] ?? "it is no YAML");
    if (document.contents === null) return [];
    let left = MOST_NODES;
    const lineOf = (node: Node, end = false): number =>
      lines.linePos(Math.max(0, end ? (node.range?.[1] ?? 1) - 1 : node.range?.[0] ?? 0)).line;
    const convert = (node: unknown, depth: number): YamlNode => {
      if (--left < 0 || depth > MOST_DEPTH) {
        throw new SyntaxError("its aliases or levels never end");
      }
      if (isAlias(node)) {
        const target = node.resolve(document);
        const line = lineOf(node);
        if (!target) throw new SyntaxError(`the alias *${node.source} stands for nothing`);
        return { ...convert(target, depth + 1), line, endLine: line };
      }
      if (isMap(node)) {
        const entries = new Map<string, YamlEntry>();
        const merged: YamlEntry[] = [];
        for (const pair of node.items) {
          // The library's own sign for a plain `<<`; a quoted one is a key like any other.
          const isMerge = isScalar(pair.key) && typeof pair.key.value === "symbol";
          const key = isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
          const line = isScalar(pair.key) ? lineOf(pair.key) : lineOf(node);
          const value = pair.value === null
            ? {
              kind: "scalar",
              value: null,
              text: "",
              style: "plain",
              line,
              endLine: line,
            } as const
            : convert(pair.value, depth + 1);
          if (isMerge) {
            const sources = value.kind === "seq" ? value.items : [value];
            for (const source of sources) if (source.kind === "map") merged.push(...source.entries);
          } else entries.set(key, { key, line, value });
        }
        for (const entry of merged) if (!entries.has(entry.key)) entries.set(entry.key, entry);
        return {
          kind: "map",
          entries: [...entries.values()],
          line: lineOf(node),
          endLine: lineOf(node, true),
          ...tagOf(node),
        };
      }
      if (isSeq(node)) {
        const items = node.items.map((item) => convert(item, depth + 1));
        return {
          kind: "seq",
          items,
          line: lineOf(node),
          endLine: lineOf(node, true),
          ...tagOf(node),
        };
      }
      if (isScalar(node)) {
        const { value } = node;
        const plain = value === null || ["string", "number", "boolean"].includes(typeof value);
        return {
          kind: "scalar",
          value: plain ? value as string | number | boolean | null : String(value),
          text: node.source ?? String(value ?? ""),
          style: node.type === Scalar.BLOCK_FOLDED || node.type === Scalar.BLOCK_LITERAL
            ? "block"
            : node.type === Scalar.QUOTE_DOUBLE || node.type === Scalar.QUOTE_SINGLE
            ? "quoted"
            : "plain",
          line: lineOf(node),
          endLine: lineOf(node, true),
          ...tagOf(node),
          ...(node.comment ? { comment: node.comment.trim() } : {}),
        };
      }
      throw new SyntaxError("it has a node of no known kind");
    };
    return [convert(document.contents, 0)];
  });
}

/** A tag of the file's own, as compose has `!reset`. */
function tagOf({ tag }: Node): { tag: string } | Record<never, never> {
  return tag && tag.startsWith("!") && !tag.startsWith("!!") ? { tag } : {};
}
