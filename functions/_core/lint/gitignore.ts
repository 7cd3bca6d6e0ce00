/** One line of a .gitignore, and the folder that it stands in. */
type Pattern = { base: string; matches: RegExp; isNegated: boolean; foldersOnly: boolean };

/**
 * The patterns of the .gitignore files on the way to a file.
 *
 * @example
 * const ignored = new GitIgnore().with("", "dist/\n!keep.ts");
 * ignored.has("dist", true); // true
 */
export class GitIgnore {
  readonly #patterns: readonly Pattern[];

  constructor(patterns: readonly Pattern[] = []) {
    this.#patterns = patterns;
  }

  /** The same and the patterns of one more file, in `folder`. */
  with(folder: string, text: string): GitIgnore {
    const added = text.replace(/^\uFEFF/, "").split(/\r?\n/).flatMap((line) =>
      pattern(line, folder) ?? []
    );
    return added.length === 0 ? this : new GitIgnore([...this.#patterns, ...added]);
  }

  /** Whether git would leave the path out; the last pattern that matches decides. */
  has(path: string, isFolder: boolean): boolean {
    for (let index = this.#patterns.length - 1; index >= 0; index--) {
      const one = this.#patterns[index];
      if (!one || (one.foldersOnly && !isFolder)) continue;
      const inside = one.base === "" ? path : path.slice(one.base.length + 1);
      if (one.matches.test(inside)) return !one.isNegated;
    }
    return false;
  }
}

function pattern(line: string, base: string): Pattern | null {
  let text = line.replace(/(?<!\\)\s+$/, "");
  if (text === "" || text.startsWith("#") || text.length > 1000) return null;
  const isNegated = text.startsWith("!");
  if (isNegated) text = text.slice(1);
  const foldersOnly = text.endsWith("/");
  text = text.replace(/\/+$/, "");
  const isAnchored = text.includes("/");
  text = text.replace(/^\//, "");
  let source = "";
  for (let index = 0; index < text.length; index++) {
    const char = text.charAt(index);
    if (text.startsWith("**/", index)) {
      source += "(?:[^/]+/)*";
      index += 2;
    } else if (text.startsWith("**", index)) {
      source += ".*";
      index += 1;
    } else if (char === "*") {
      // Stars in a row are one: no pattern can make the match slow.
      if (!source.endsWith("[^/]*")) source += "[^/]*";
    } else if (char === "?") source += "[^/]";
    else if (char === "\\" && index + 1 < text.length) source += escape(text.charAt(++index));
    else if (char === "[") {
      const end = text.indexOf("]", index + 2);
      if (end < 0) source += "\\[";
      else {
        source += `[${text.slice(index + 1, end).replace(/^!/, "^").replace(/\\/g, "\\\\")}]`;
        index = end;
      }
    } else source += escape(char);
  }
  try {
    return {
      base,
      matches: new RegExp(`^${isAnchored ? "" : "(?:.*/)?"}${source}$`),
      isNegated,
      foldersOnly,
    };
  } catch {
    return null; // a character class that is none
  }
}

function escape(char: string): string {
  return char.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}
