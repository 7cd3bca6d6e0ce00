/**
 * Whether a .dockerignore leaves a path out: the last pattern that matches decides, `!` takes back.
 *
 * @example
 * isIgnored("**\/.env*\n!.env.example", ".env"); // true
 */
export function isIgnored(patterns: string, path: string): boolean {
  let ignored = false;
  for (const line of patterns.split(/\r?\n/).slice(0, 2_000)) {
    const bare = line.trim();
    if (bare === "" || bare.startsWith("#")) continue;
    const isBack = bare.startsWith("!");
    const pattern = (isBack ? bare.slice(1) : bare).trim().replace(/^\.?\/+/, "").replace(
      /\/+$/,
      "",
    );
    if (pattern !== "" && matches(pattern, path)) ignored = !isBack;
  }
  return ignored;
}

/** A pattern matches a path or a folder above it. */
function matches(pattern: string, path: string): boolean {
  const steps = path.split("/");
  const wanted = pattern.split("/");
  return steps.some((_, end) => fits(wanted, steps.slice(0, end + 1)));
}

/** Step by step, `**` standing for any number of them; a table, so that no pattern takes long. */
function fits(wanted: readonly string[], steps: readonly string[]): boolean {
  let open = new Set([0]);
  const widen = (from: Set<number>) => {
    for (const at of from) if (wanted[at] === "**") from.add(at + 1);
    return from;
  };
  open = widen(open);
  for (const step of steps) {
    const next = new Set<number>();
    for (const at of open) {
      const one = wanted[at];
      if (one === "**") next.add(at);
      else if (one !== undefined && glob(one, step)) next.add(at + 1);
    }
    open = widen(next);
  }
  return open.has(wanted.length);
}

/** `*`, `?` and plain characters, without going back: a set of places again. */
function glob(pattern: string, text: string): boolean {
  const widen = (from: Set<number>) => {
    for (const at of from) if (pattern[at] === "*") from.add(at + 1);
    return from;
  };
  let open = widen(new Set([0]));
  for (const char of text) {
    const next = new Set<number>();
    for (const at of open) {
      const sign = pattern[at];
      if (sign === "*") next.add(at);
      else if (sign === "?" || sign === char) next.add(at + 1);
      else if (sign === "[") {
        const close = pattern.indexOf("]", at);
        if (close > at && pattern.slice(at + 1, close).includes(char)) next.add(close + 1);
      }
    }
    open = widen(next);
  }
  return open.has(pattern.length);
}
