import type { Comment } from "./syntax.ts";

/** One statement of a file, without its semicolon, and where it begins. */
export type SqlPiece = { text: string; start: number };

const TOKEN =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*(?:[^*]|\*(?!\/))*\*\/|\$([A-Za-z_]\w*)?\$|;|\b(?:begin\s+atomic|case|end)\b/gi;

/**
 * Split a file into statements and comments; semicolons in strings, dollar quotes and `begin atomic … end` do not
 * count.
 *
 * @example
 * splitStatements("select 1; select ';'").pieces.length; // 2
 */
export function splitStatements(text: string): { pieces: SqlPiece[]; comments: Comment[] } {
  const pieces: SqlPiece[] = [];
  const comments: Comment[] = [];
  const token = new RegExp(TOKEN.source, "gi");
  let start = 0;
  let depth = 0;
  const push = (end: number) => {
    const raw = text.slice(start, end);
    const lead =
      /^(?:\s+|--[^\n]*(?:\n|$)|\/\*(?:[^*]|\*(?!\/))*\*\/|\\[^\n]*(?:\n|$))*/.exec(raw)?.[0]
        .length ?? 0;
    const body = raw.slice(lead).trimEnd();
    if (body !== "") pieces.push({ text: body, start: start + lead });
  };
  for (let found = token.exec(text); found; found = token.exec(text)) {
    const [whole] = found;
    const first = whole.toLowerCase();
    if (whole.startsWith("$")) {
      const end = text.indexOf(whole, token.lastIndex);
      token.lastIndex = end < 0 ? text.length : end + whole.length;
    } else if (whole.startsWith("--") || whole.startsWith("/*")) {
      const inner = whole.startsWith("--") ? whole.slice(2) : whole.slice(2, -2);
      comments.push({ text: inner, start: found.index, end: found.index + whole.length });
    } else if (first.startsWith("begin")) depth++;
    else if (first === "case" && depth > 0) depth++;
    else if (first === "end" && depth > 0) depth--;
    else if (whole === ";" && depth === 0) {
      push(found.index);
      start = found.index + 1;
    }
  }
  push(text.length);
  return { pieces, comments };
}
