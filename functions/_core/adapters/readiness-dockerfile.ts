import type { DockerInstruction } from "../readiness/parsers.ts";

/** More instructions than any image has layers. */
const MOST_INSTRUCTIONS = 5_000;

/**
 * The instructions of a Dockerfile, by the rules of BuildKit: the escape directive, comments and blank lines inside a
 * continuation, heredocs, flags, the JSON form. In one pass; dockerfile-ast is not used, because it drops the spaces
 * of the words of a JSON form and needs the square of an instruction's length.
 *
 * @example
 * parseDockerfile('FROM node:22\nCMD ["node", "server.js"]')[1]?.exec; // ["node", "server.js"]
 * @throws SyntaxError where a heredoc has no end, or nothing is an instruction.
 */
export function parseDockerfile(text: string): DockerInstruction[] {
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  const escape = escapeOf(lines);
  const found: DockerInstruction[] = [];
  for (let at = 0; at < lines.length; at++) {
    if (isSkipped(lines[at])) continue;
    const line = at + 1;
    const parts: string[] = [];
    for (; at < lines.length; at++) {
      const part = lines[at] ?? "";
      // Inside a continuation, comments and blank lines vanish.
      if (isSkipped(part)) {
        if (parts.length === 0) break;
        continue;
      }
      const kept = withoutEscape(part, escape);
      parts.push(kept ?? part);
      if (kept === null) break;
    }
    const whole = parts.join("").trim();
    const [keyword = "", rest] = splitFirst(whole);
    if (!/^[A-Za-z]+$/.test(keyword)) {
      throw new SyntaxError(`line ${line} is no instruction of a Dockerfile`);
    }
    const name = keyword.toUpperCase();
    const heredocs: DockerInstruction["heredocs"] = [];
    for (const { end, isChomped } of heredocsOf(name, rest)) {
      const body: string[] = [];
      const first = at + 2;
      for (at++;; at++) {
        const here = lines[at];
        if (here === undefined) throw new SyntaxError(`the heredoc "${end}" has no end`);
        const bare = isChomped ? here.replace(/^\t+/, "") : here;
        if (bare === end) break;
        body.push(bare);
      }
      heredocs.push({ text: body.join("\n"), line: first });
    }
    const { flags, left } = flagsOf(rest);
    if (found.length >= MOST_INSTRUCTIONS) throw new SyntaxError("it has too many instructions");
    found.push({
      keyword: name,
      arguments: left,
      line,
      endLine: Math.min(at + 1, lines.length),
      flags,
      exec: execOf(name, left),
      heredocs,
    });
  }
  if (found.length === 0) throw new SyntaxError("it has no instruction");
  return found;
}

function isSkipped(line: string | undefined): boolean {
  const bare = (line ?? "").trimStart();
  return bare === "" || bare.startsWith("#");
}

/** Directives are comments of the form `# name=value` before anything else. */
function escapeOf(lines: readonly string[]): string {
  for (const line of lines) {
    const directive = /^\s*#\s*([A-Za-z]+)\s*=\s*(\S+)/.exec(line);
    if (!directive) break;
    if (directive[1]?.toLowerCase() === "escape") return directive[2] === "`" ? "`" : "\\";
  }
  return "\\";
}

/** The line without the escape that continues it, null where it doesn't go on. */
function withoutEscape(line: string, escape: string): string | null {
  const bare = line.trimEnd();
  if (!bare.endsWith(escape) || bare.endsWith(escape + escape)) return null;
  return bare.slice(0, -1);
}

function splitFirst(text: string): [string, string] {
  const gap = text.search(/\s/);
  return gap === -1 ? [text, ""] : [text.slice(0, gap), text.slice(gap).trim()];
}

/** The heredocs that a line opens: `<<EOF`, `<<-"EOF"`, `0<<EOF`; `<<<` is the shell's own. */
function heredocsOf(keyword: string, rest: string): { end: string; isChomped: boolean }[] {
  const isOnbuild = keyword === "ONBUILD";
  const name = isOnbuild ? splitFirst(rest)[0].toUpperCase() : keyword;
  if (!["RUN", "COPY", "ADD"].includes(name)) return [];
  return wordsOf(rest).flatMap((word) => {
    const [, dash, quoted] = /^\d*<<([-~]?)([^<]+)$/.exec(word) ?? [];
    if (quoted === undefined) return [];
    const end = quoted.replace(/^(["'])(.*)\1$/, "$2");
    return end === "" || /\s/.test(end) ? [] : [{ end, isChomped: dash === "-" }];
  });
}

/** Words as the builder splits them, their quotes kept. */
function wordsOf(text: string): string[] {
  const words: string[] = [];
  let word = "";
  let quote = "";
  for (const char of text) {
    if (quote !== "") {
      if (char === quote) quote = "";
      word += char;
    } else if (char === " " || char === "\t") {
      if (word !== "") words.push(word);
      word = "";
    } else {
      if (char === '"' || char === "'") quote = char;
      word += char;
    }
  }
  return word === "" ? words : [...words, word];
}

function flagsOf(rest: string): { flags: DockerInstruction["flags"]; left: string } {
  const flags: DockerInstruction["flags"] = [];
  let left = rest;
  while (left.startsWith("--")) {
    const [word, after] = splitFirst(left);
    if (word === "--") return { flags, left: after };
    const [, name = "", value = ""] = /^--([^=]*)=?(.*)$/s.exec(word) ?? [];
    flags.push({ name, value });
    left = after;
  }
  return { flags, left };
}

const WITH_JSON = new Set(["CMD", "ENTRYPOINT", "RUN", "SHELL", "ADD", "COPY", "VOLUME"]);

function execOf(keyword: string, rest: string): string[] | null {
  const json = keyword === "HEALTHCHECK" && /^CMD\s/i.test(rest)
    ? rest.slice(3).trim()
    : WITH_JSON.has(keyword)
    ? rest
    : "";
  if (!json.startsWith("[")) return null;
  try {
    const words: unknown = JSON.parse(json);
    return Array.isArray(words) && words.every((word) => typeof word === "string") ? words : null;
  } catch {
    // The builder takes what is no JSON for the shell form.
    return null;
  }
}
