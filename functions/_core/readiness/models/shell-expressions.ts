// GitHub puts `${{ … }}` into a script before the shell sees it, and to the shell's grammar it is nonsense. While the
// script is parsed, letters of the same length from Unicode's private area stand in its place, so offsets hold.
const FIRST = "\ue100";
const NUMBERS = 0xe200;
const MOST = 0x1500;
const FILL = "\ue000";

/** A text with a word of the same length for each `${{ … }}`, and what they were. */
export type Masked = { text: string; expressions: string[] };

/**
 * Take the expressions out of a script.
 *
 * @example
 * mask("echo ${{ github.ref }}").expressions; // ["${{ github.ref }}"]
 */
export function mask(text: string): Masked {
  const expressions: string[] = [];
  let [masked, from] = ["", 0];
  while (expressions.length < MOST) {
    const start = text.indexOf("${{", from);
    const end = start < 0 ? -1 : text.indexOf("}}", start);
    if (end < 0) break;
    const found = text.slice(start, end + 2);
    masked += text.slice(from, start) + FIRST + String.fromCharCode(NUMBERS + expressions.length) +
      FILL.repeat(found.length - 2);
    expressions.push(found);
    from = end + 2;
  }
  return { text: masked + text.slice(from), expressions };
}

/** Put back what {@link mask} took out, in any part of its text. */
export function unmask(part: string, { expressions }: Masked): string {
  if (expressions.length === 0 || !part.includes(FIRST)) return part;
  return part.replace(
    /\ue100([\ue200-\uf6ff])\ue000*/g,
    (whole, number: string) => expressions[number.charCodeAt(0) - NUMBERS] ?? whole,
  );
}
