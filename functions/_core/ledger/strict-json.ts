import { endOfString } from "./exact-json.ts";

const HALF = /\p{Cs}/u;
const AFTER = /\s*:?/y;

/**
 * Parse JSON that has one reading only. What names a member twice, or holds half of a surrogate pair, can show a
 * reader another value than the one that was hashed: undefined, as for what is no JSON.
 *
 * @example
 * strictParse('{"actor":"ada"}'); // { actor: "ada" }
 * strictParse('{"actor":"eve","actor":"ada"}'); // undefined
 */
export function strictParse(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const isHalved = /\\u[dD][89a-fA-F]/.test(text) && hasHalf(value);
  return isHalved || membersIn(text) !== membersOf(value) ? undefined : value;
}

/** How many strings of a JSON text are followed by a colon. */
function membersIn(text: string): number {
  let members = 0;
  for (let at = text.indexOf('"'); at !== -1; at = text.indexOf('"', AFTER.lastIndex)) {
    AFTER.lastIndex = endOfString(text, at);
    if (AFTER.exec(text)?.[0].endsWith(":")) members++;
  }
  return members;
}

function membersOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  const inner = Object.values(value).reduce((sum: number, part) => sum + membersOf(part), 0);
  return Array.isArray(value) ? inner : inner + Object.keys(value).length;
}

function hasHalf(value: unknown): boolean {
  if (typeof value === "string") return HALF.test(value);
  return typeof value === "object" && value !== null && Object.values(value).some(hasHalf);
}
