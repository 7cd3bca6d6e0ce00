/** What stands between two slashes: literal text, or signs with stars among them. `null` is `**`: any folders. */
type Segment = string | readonly Sign[] | null;
type Sign = "*" | ((char: string) => boolean);

/** One line of a .gitignore, and the folder that it stands in. */
type Pattern = {
  base: string;
  segments: readonly Segment[];
  isNegated: boolean;
  foldersOnly: boolean;
};

/** More lines than a hand writes: every path is held against every line. */
const MOST_PATTERNS = 2_000;

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
    if (added.length === 0) return this;
    return new GitIgnore([...this.#patterns, ...added].slice(0, MOST_PATTERNS));
  }

  /** Whether git would leave the path out; the last pattern that matches decides. */
  has(path: string, isFolder: boolean): boolean {
    for (let index = this.#patterns.length - 1; index >= 0; index--) {
      const one = this.#patterns[index];
      if (!one || (one.foldersOnly && !isFolder)) continue;
      const inside = one.base === "" ? path : path.slice(one.base.length + 1);
      if (matches(one.segments, inside)) return !one.isNegated;
    }
    return false;
  }
}

function pattern(line: string, base: string): Pattern | null {
  let text = line.replace(/(?<!\\)[ \t]+$/, "");
  if (text === "" || text.startsWith("#") || text.length > 1000) return null;
  const isNegated = text.startsWith("!");
  if (isNegated) text = text.slice(1);
  const foldersOnly = text.endsWith("/");
  text = text.replace(/\/+$/, "");
  if (text === "") return null;
  const isAnchored = text.includes("/");
  const segments = text.replace(/^\//, "").split("/").map(segment);
  if (segments.includes(undefined)) return null; // a character class that is none
  const whole = segments.filter((one) => one !== undefined);
  return { base, segments: isAnchored ? whole : [null, ...whole], isNegated, foldersOnly };
}

function segment(text: string): Segment | undefined {
  if (text === "**") return null;
  if (!/[*?[\\]/.test(text)) return text;
  const signs: Sign[] = [];
  for (let index = 0; index < text.length; index++) {
    const char = text.charAt(index);
    if (char === "*") {
      if (signs.at(-1) !== "*") signs.push("*");
    } else if (char === "?") signs.push(() => true);
    else if (char === "[") {
      const end = text.indexOf("]", index + 2);
      if (end < 0) return undefined;
      const inside = text.slice(index + 1, end).replace(/^!/, "^").replace(/[\\[]/g, "\\$&");
      try {
        const set = new RegExp(`^[${inside}]$`);
        signs.push((other) => set.test(other));
      } catch {
        return undefined;
      }
      index = end;
    } else {
      const literal = char === "\\" && index + 1 < text.length ? text.charAt(++index) : char;
      signs.push((other) => other === literal);
    }
  }
  return signs;
}

/** Go back to the last `**` alone: what stood before it fits already, so no pattern makes this slow. */
function matches(segments: readonly Segment[], path: string): boolean {
  const parts = path.split("/");
  let [at, part, star, from] = [0, 0, -1, 0];
  while (part < parts.length) {
    const here = segments[at];
    if (here === null) {
      [star, from] = [at, part];
      at++;
      // At the end it stands for what is inside, and there is something.
      if (at === segments.length) return true;
    } else if (here !== undefined && fits(here, parts[part] ?? "")) {
      at++;
      part++;
    } else if (star >= 0) {
      from++;
      [at, part] = [star + 1, from];
    } else return false;
  }
  return at === segments.length;
}

/** The same with `*` and characters. */
function fits(signs: string | readonly Sign[], text: string): boolean {
  if (typeof signs === "string") return signs === text;
  let [at, char, star, from] = [0, 0, -1, 0];
  while (char < text.length) {
    const here = signs[at];
    if (here === "*") {
      [star, from] = [at, char];
      at++;
    } else if (here?.(text.charAt(char))) {
      at++;
      char++;
    } else if (star >= 0) {
      from++;
      [at, char] = [star + 1, from];
    } else return false;
  }
  while (signs[at] === "*") at++;
  return at === signs.length;
}
