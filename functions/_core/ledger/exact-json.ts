// A character of the private use area marks a number that is kept as its text; where data has the character, it doubles.
const MARK = "\uE000";
const NUMBER = /-?\d[\d.eE+-]*/g;
const MARKED = /"\uE000(-?\d[\d.eE+-]*)"|\uE000\uE000/g;

/**
 * Parse JSON without losing what JavaScript's numbers can't hold: 1.00 and 9007199254740993 stay what they are.
 * Only for {@link exactString}: a number comes as a marked string.
 *
 * @example
 * exactString(exactParse('{"n": 1.00}')); // {"n":1.00}
 */
export function exactParse(text: string): unknown {
  let marked = "";
  for (let at = 0; at < text.length;) {
    const quote = text.indexOf('"', at);
    const start = quote === -1 ? text.length : quote;
    const end = quote === -1 ? start : endOfString(text, start);
    marked += text.slice(at, start).replace(NUMBER, (number) => `"${MARK}${number}"`) +
      text.slice(start, end).replaceAll(MARK, MARK + MARK);
    at = end;
  }
  return JSON.parse(marked);
}

/**
 * Where the JSON string that begins at `start` ends, behind its quote; the end of the text if it does not. By hand:
 * a regular expression over a value of many megabytes exceeds the stack.
 *
 * @example
 * endOfString('"a\\"b": 1', 0); // 6
 */
export function endOfString(text: string, start: number): number {
  for (let quote = start;;) {
    quote = text.indexOf('"', quote + 1);
    if (quote === -1) return text.length;
    let first = quote;
    while (text[first - 1] === "\\") first--;
    if ((quote - first) % 2 === 0) return quote + 1;
  }
}

/**
 * The JSON of what {@link exactParse} read, its numbers as they were.
 *
 * @example
 * exactString(exactParse("9007199254740993")); // 9007199254740993
 */
export function exactString(value: unknown): string {
  return JSON.stringify(value).replace(MARKED, (_, number) => number ?? MARK);
}
