// A character of the private use area marks a number that is kept as its text; where data has the character, it doubles.
const MARK = "\uE000";
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;
const MARKED = /"\uE000(-?\d[\d.eE+-]*)"|\uE000\uE000/g;

/**
 * Parse JSON without losing what JavaScript's numbers can't hold: 1.00 and 9007199254740993 stay what they are.
 * Only for {@link exactString}: a number comes as a marked string.
 *
 * @example
 * exactString(exactParse('{"n": 1.00}')); // {"n":1.00}
 */
export function exactParse(text: string): unknown {
  return JSON.parse(
    text.replace(
      TOKENS,
      (token) => token.startsWith('"') ? token.replaceAll(MARK, MARK + MARK) : `"${MARK}${token}"`,
    ),
  );
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
