/** A reference in a text of compose or of a Dockerfile: `${NAME:-otherwise}`. */
export type Reference = {
  name: string;
  /** Empty for `$NAME` and `${NAME}`. */
  operator: "" | ":-" | "-" | ":?" | "?" | ":+" | "+";
  /** What stands behind the operator. */
  operand: Part[];
};
export type Part = string | Reference;

const MOST_LEVELS = 8;

/**
 * The parts of a text with references, `$$` a dollar.
 *
 * @example
 * interpolate("postgres://u:${PASSWORD:-secret}@db"); // ["postgres://u:", { name: "PASSWORD", … }, "@db"]
 */
export function interpolate(text: string): Part[] {
  return partsOf(text, 0);
}

function partsOf(text: string, level: number): Part[] {
  const parts: Part[] = [];
  let plain = "";
  const push = (part: Reference) => {
    if (plain !== "") parts.push(plain);
    plain = "";
    parts.push(part);
  };
  for (let at = 0; at < text.length; at++) {
    const next = text[at + 1] ?? "";
    if (text[at] !== "$") plain += text[at];
    else if (next === "$") {
      plain += "$";
      at++;
    } else if (next === "{" && level < MOST_LEVELS) {
      const end = closing(text, at + 2);
      const inside = end === -1 ? null : /^([A-Za-z_]\w*)(:?[-?+])?/.exec(text.slice(at + 2, end));
      if (!inside) {
        plain += "$";
        continue;
      }
      const [head, name = "", operator = ""] = inside;
      push({
        name,
        // The expression above lets these seven through alone.
        operator: operator as Reference["operator"],
        operand: partsOf(text.slice(at + 2 + head.length, end), level + 1),
      });
      at = end;
    } else if (/[A-Za-z_]/.test(next)) {
      const [name = ""] = /^\w+/.exec(text.slice(at + 1, at + 201)) ?? [];
      push({ name, operator: "", operand: [] });
      at += name.length;
    } else plain += "$";
  }
  if (plain !== "") parts.push(plain);
  return parts;
}

/** Where the brace of a reference closes, braces of its operand aside; -1 where it doesn't. */
function closing(text: string, from: number): number {
  let open = 1;
  for (let at = from; at < text.length && at < from + 4_000; at++) {
    if (text[at] === "{" && text[at - 1] === "$") open++;
    else if (text[at] === "}" && --open === 0) return at;
  }
  return -1;
}

/**
 * The text with what its references say when nothing is set: their defaults, or what `values` knows. Null where one
 * has neither.
 *
 * @example
 * settled(interpolate("postgres:${TAG:-18}")); // "postgres:18"
 */
export function settled(
  parts: readonly Part[],
  values: ReadonlyMap<string, string> = new Map(),
): string | null {
  let text = "";
  for (const part of parts) {
    if (typeof part === "string") {
      text += part;
      continue;
    }
    const known = values.get(part.name);
    const operand = part.operator === ":-" || part.operator === "-"
      ? settled(part.operand, values)
      : null;
    const value = known ?? operand;
    if (value === null) return null;
    text += value;
  }
  return text;
}

/** The text when it has no reference at all, else null. */
export function literal(parts: readonly Part[]): string | null {
  return parts.every((part) => typeof part === "string") ? parts.join("") : null;
}

/** The references of a text, those inside operands too. */
export function references(parts: readonly Part[]): Reference[] {
  return parts.flatMap((part) =>
    typeof part === "string" ? [] : [part, ...references(part.operand)]
  );
}
