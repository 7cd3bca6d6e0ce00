/** One statement of a script and where it starts. */
export type Statement = { text: string; offset: number };

/** What may hide a semicolon: comments, strings, quoted names, dollar quotes. */
const OPAQUE = /--[^\n]*|\/\*|'|"|\$([a-z_][a-z_0-9]*)?\$|;/giy;

/**
 * Split a script into its statements as psql does, so that each is sent by itself: several in one message would be one
 * transaction, whatever `begin` and `rollback` say in between.
 *
 * @example
 * splitStatements("select 1; select ';'").length; // 2
 */
export function splitStatements(script: string): Statement[] {
  const statements: Statement[] = [];
  let start = 0;
  let at = 0;
  const push = (end: number) => {
    const raw = script.slice(start, end);
    const text = raw.trim();
    if (stripComments(text) !== "") {
      statements.push({ text, offset: start + raw.indexOf(text) });
    }
    start = end + 1;
  };
  while (at < script.length) {
    OPAQUE.lastIndex = at;
    const found = OPAQUE.exec(script);
    if (!found) at++;
    else if (found[0] === ";") {
      push(at);
      at++;
    } else if (found[0].startsWith("--")) at += found[0].length;
    else if (found[0] === "/*") at = endOfComment(script, at);
    else if (found[0] === "'") at = endOfString(script, at);
    else if (found[0] === '"') at = after(script, '"', at + 1);
    else if (/[a-z_0-9$]/i.test(script[at - 1] ?? "")) at++; // a$b$c is a name
    else at = after(script, found[0], at + found[0].length);
  }
  push(script.length);
  return statements;
}

function after(script: string, end: string, from: number): number {
  const found = script.indexOf(end, from);
  return found < 0 ? script.length : found + end.length;
}

/** '' needs no care: it ends one string and starts the next. Only e'…' has backslashes. */
function endOfString(script: string, at: number): number {
  const escapes = /(^|[^a-z_0-9])e$/i.test(script.slice(Math.max(0, at - 2), at));
  for (let i = at + 1; i < script.length; i++) {
    if (escapes && script[i] === "\\") i++;
    else if (script[i] === "'") return i + 1;
  }
  return script.length;
}

/** Block comments nest. */
function endOfComment(script: string, at: number): number {
  let depth = 0;
  for (let i = at; i < script.length; i++) {
    if (script.startsWith("/*", i)) depth++, i++;
    else if (script.startsWith("*/", i)) {
      depth--, i++;
      if (depth === 0) return i + 1;
    }
  }
  return script.length;
}

function stripComments(text: string): string {
  return text.replace(/--[^\n]*(\n|$)/g, "").replace(/\/\*[\s\S]*?\*\//g, "").trim();
}
