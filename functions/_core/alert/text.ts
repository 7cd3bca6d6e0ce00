/** Slack reads these three, and nothing else, as markup for links and mentions. `&` has to be the first. */
const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/**
 * Text of unknown origin for a mrkdwn object: cut first, so that no entity is cut in half, then escaped. `max` holds for
 * the escaped text. Never cuts inside a character.
 *
 * @example
 * fit("<!channel>", 100); // "&lt;!channel&gt;"
 */
export function fit(text: string, max: number): string {
  const clean = text.replaceAll(CONTROL, " ").trim();
  const whole = escape(clean);
  if (whole.length <= max) return whole;
  let cut = "";
  for (const character of clean) {
    const next = cut + escape(character);
    if (next.length > max - 1) break;
    cut = next;
  }
  return `${cut}…`;
}

/**
 * The same inside backticks: a backtick in the text would end the code and let the rest be markup.
 *
 * @example
 * code("select 1", 50); // "`select 1`"
 */
export function code(text: string, max: number): string {
  const inside = fit(text.replaceAll("`", "'").replaceAll("\n", " "), max - 2);
  return inside === "" ? "" : `\`${inside}\``;
}

/** A block of code, for SQL. */
export function codeBlock(text: string, max: number): string {
  return `\`\`\`${fit(text.replaceAll("`", "'"), max - 6)}\`\`\``;
}

/**
 * Text for a plain_text object, where Slack escapes by itself.
 *
 * @example
 * plain("a\nb", 150); // "a b"
 */
export function plain(text: string, max: number): string {
  const clean = text.replaceAll(CONTROL, " ").replaceAll(/\s+/g, " ").trim();
  const characters = [...clean];
  let cut = "";
  for (const character of characters) {
    if (cut.length + character.length > max - 1) return `${cut}…`;
    cut += character;
  }
  return cut;
}

/** Control characters but the line break, and the marks that reverse the direction of text. */
// deno-lint-ignore no-control-regex
const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
