/**
 * Text as a terminal may have it: a name can hold escape codes and marks that turn the writing round; they become a
 * replacement sign.
 *
 * @example
 * plain("a\u001b[2Jb"); // "a\ufffd[2Jb"
 */
export function plain(text: string): string {
  return text.replace(
    /[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu,
    (char) => char === "\n" || char === "\t" ? char : "\ufffd",
  );
}

/** The text on one line, cut to a width. */
export function clip(text: string, width: number): string {
  const flat = plain(text).replace(/[\n\t]/g, " ");
  return flat.length <= width ? flat : `${flat.slice(0, Math.max(0, width - 1))}…`;
}

/** Words in lines of at most `width`; a word that is longer alone is left whole. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of plain(text).split(/\s+/)) {
    if (line !== "" && line.length + word.length + 1 > width) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  if (line !== "") lines.push(line);
  return lines;
}

const ANSI = { red: "31", green: "32", yellow: "33", cyan: "36", dim: "2", bold: "1" };

/** Colours a text, or doesn't. */
export type Paint = (text: string, style: keyof typeof ANSI) => string;

/** The colours of a terminal, none where `colour` is false. */
export function painter(colour: boolean): Paint {
  return (text, style) => colour ? `\u001b[${ANSI[style]}m${text}\u001b[0m` : text;
}
