/** A directive of a Caddyfile or of nginx: `client_max_body_size 10m;`, `example.com { … }`. Lines from 1. */
export type Directive = {
  /** The first word: in a Caddyfile a site's address, a snippet's `(name)`, a matcher's `@name` as well. */
  name: string;
  args: string[];
  line: number;
  block: Directive[];
};

type Token = { text: string; line: number; isQuoted: boolean; isFirst: boolean };

const MOST_TOKENS = 200_000;
const MOST_LEVELS = 50;

/**
 * The directives of a Caddyfile. A line is a directive; `{` at the end of one opens its block.
 *
 * @example
 * parseCaddyfile("example.com {\n reverse_proxy app:8000\n}")[0]?.block[0]?.name; // "reverse_proxy"
 * @throws SyntaxError where a block doesn't close, or it never ends.
 */
export function parseCaddyfile(text: string): Directive[] {
  const tokens = tokenize(text, { quotes: '"`', hasHeredocs: true, ends: false });
  let next = 0;
  const blockOf = (level: number): Directive[] => {
    if (level > MOST_LEVELS) throw new SyntaxError("its blocks are nested too deeply");
    const found: Directive[] = [];
    while (next < tokens.length) {
      const first = tokens[next];
      if (!first) break;
      if (first.text === "}" && !first.isQuoted) {
        if (level === 0) throw new SyntaxError(`line ${first.line} closes what is not open`);
        next++;
        return found;
      }
      const one: Directive = { name: first.text, args: [], line: first.line, block: [] };
      found.push(one);
      if (first.text === "{" && !first.isQuoted) {
        // The global options: a block without a name.
        one.name = "";
        next++;
        one.block = blockOf(level + 1);
        continue;
      }
      next++;
      while (next < tokens.length) {
        const token = tokens[next];
        // Addresses of a site go on behind a comma on the next line.
        const isSame = token && (!token.isFirst || (tokens[next - 1]?.text.endsWith(",") ?? false));
        if (!token || !isSame || (token.text === "}" && !token.isQuoted)) break;
        next++;
        if (token.text === "{" && !token.isQuoted) {
          one.block = blockOf(level + 1);
          break;
        }
        one.args.push(token.text);
      }
    }
    if (level > 0) throw new SyntaxError("a block doesn't close");
    return found;
  };
  return blockOf(0);
}

/**
 * The directives of an nginx configuration: words up to `;` or a block.
 *
 * @example
 * parseNginx("server { listen 80; }")[0]?.block[0]?.args; // ["80"]
 * @throws SyntaxError where a block doesn't close, or it never ends.
 */
export function parseNginx(text: string): Directive[] {
  const tokens = tokenize(text, { quotes: "\"'", hasHeredocs: false, ends: true });
  let next = 0;
  const blockOf = (level: number): Directive[] => {
    if (level > MOST_LEVELS) throw new SyntaxError("its blocks are nested too deeply");
    const found: Directive[] = [];
    let open: Directive | null = null;
    while (next < tokens.length) {
      const token = tokens[next++];
      if (!token) break;
      const sign = token.isQuoted ? "" : token.text;
      if (sign === "}") {
        if (level === 0) throw new SyntaxError(`line ${token.line} closes what is not open`);
        return found;
      }
      if (sign === ";") open = null;
      else if (sign === "{") {
        if (open) open.block = blockOf(level + 1);
        else blockOf(level + 1);
        open = null;
      } else if (open) open.args.push(token.text);
      else found.push(open = { name: token.text, args: [], line: token.line, block: [] });
    }
    if (level > 0) throw new SyntaxError("a block doesn't close");
    return found;
  };
  return blockOf(0);
}

type Grammar = { quotes: string; hasHeredocs: boolean; ends: boolean };

function tokenize(text: string, { quotes, hasHeredocs, ends }: Grammar): Token[] {
  const tokens: Token[] = [];
  let line = 1;
  let isFirst = true;
  const push = (one: string, at: number, isQuoted = false) => {
    if (tokens.length >= MOST_TOKENS) throw new SyntaxError("it has too many words");
    tokens.push({ text: one, line: at, isQuoted, isFirst });
    isFirst = false;
  };
  for (let at = text.startsWith("\uFEFF") ? 1 : 0; at < text.length;) {
    const char = text[at] ?? "";
    if (char === "\n") {
      line++;
      isFirst = true;
      at++;
    } else if (/\s/.test(char)) at++;
    else if (char === "\\" && /^\r?\n/.test(text.slice(at + 1, at + 3))) {
      at += text[at + 1] === "\r" ? 3 : 2;
      line++;
    } else if (char === "#") {
      const end = text.indexOf("\n", at);
      at = end === -1 ? text.length : end;
    } else if (quotes.includes(char)) {
      const start = line;
      let word = "";
      for (at++; at < text.length && text[at] !== char; at++) {
        if (text[at] === "\\" && char !== "`" && at + 1 < text.length) at++;
        if (text[at] === "\n") line++;
        word += text[at];
      }
      at++;
      push(word, start, true);
    } else if (ends && (char === ";" || char === "{" || char === "}")) {
      push(char, line);
      at++;
    } else {
      const heredoc = hasHeredocs ? /^<<([\w-]+)\r?\n/.exec(text.slice(at, at + 100)) : null;
      if (heredoc) {
        const start = line;
        const from = at + heredoc[0].length;
        const rest = text.slice(from).split("\n");
        const end = rest.findIndex((one) => one.trimStart().split(/\s/)[0] === heredoc[1]);
        if (end === -1) throw new SyntaxError(`the heredoc "${heredoc[1]}" has no end`);
        const body = rest.slice(0, end).join("\n");
        push(body, start, true);
        line += end + 1;
        at = from + body.length + (end > 0 ? 1 : 0);
        at += (rest[end] ?? "").indexOf(heredoc[1] ?? "") + (heredoc[1] ?? "").length;
        continue;
      }
      const from = at;
      // In nginx `${name}` is part of a word; its braces open nothing.
      for (; at < text.length && !/\s/.test(text[at] ?? ""); at++) {
        if (!ends) continue;
        if (text.startsWith("${", at)) {
          const close = text.indexOf("}", at);
          if (close !== -1 && close - at < 100) at = close;
        } else if (text[at] === ";" || text[at] === "{" || text[at] === "}") break;
      }
      push(text.slice(from, at), line);
    }
  }
  return tokens;
}

/** Every directive of a tree, parents first. */
export function walk(directives: readonly Directive[]): Directive[] {
  return directives.flatMap((one) => [one, ...walk(one.block)]);
}
