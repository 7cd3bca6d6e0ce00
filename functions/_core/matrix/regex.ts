/**
 * A text that a simple regular expression accepts, or null where the pattern says more than this understands
 * (look-around, back references). The database has the last word: a sample is only a candidate.
 *
 * @example
 * sampleRegex("^[A-Z]{3}-\\d{4}$", 12); // "AAA-0012"
 */
export function sampleRegex(pattern: string, n: number): string | null {
  const reader = { text: pattern, at: 0 };
  try {
    const parts = alternatives(reader)[0] ?? [];
    if (reader.at < pattern.length) return null;
    return fill(parts, String(n)) + (/(^|[^\\])\$$/.test(pattern) ? "" : String(n));
  } catch {
    return null;
  }
}

type Reader = { text: string; at: number };
/** Characters that may stand here, and how often. */
type Atom = { set: string; min: number; max: number };

const DIGITS = "0123456789";
const LOWER = "abcdefghijklmnopqrstuvwxyz";
const WORD = LOWER + LOWER.toUpperCase() + DIGITS + "_";
const ANY = LOWER + DIGITS + LOWER.toUpperCase() + "-_ ";
const NAMED: Record<string, string> = {
  alpha: LOWER + LOWER.toUpperCase(),
  alnum: LOWER + DIGITS + LOWER.toUpperCase(),
  digit: DIGITS,
  lower: LOWER,
  upper: LOWER.toUpperCase(),
  space: " ",
  xdigit: DIGITS + "abcdefABCDEF",
  punct: "-_.!",
};

function alternatives(reader: Reader): Atom[][] {
  const found: Atom[][] = [sequence(reader)];
  while (reader.text[reader.at] === "|") {
    reader.at++;
    found.push(sequence(reader));
  }
  return found;
}

function sequence(reader: Reader): Atom[] {
  const atoms: Atom[] = [];
  while (reader.at < reader.text.length) {
    const char = reader.text[reader.at] ?? "";
    if (char === "|" || char === ")") break;
    reader.at++;
    if (char === "^" || char === "$") continue;
    let inner: Atom[];
    if (char === "(") {
      if (reader.text[reader.at] === "?") {
        if (reader.text[reader.at + 1] !== ":") throw new Error("look-around");
        reader.at += 2;
      }
      inner = alternatives(reader)[0] ?? [];
      if (reader.text[reader.at++] !== ")") throw new Error("unbalanced");
    } else inner = [{ set: setOf(char, reader), min: 1, max: 1 }];
    const { min, max } = quantifier(reader);
    if (inner.length === 1 && inner[0]?.min === 1 && inner[0].max === 1) {
      atoms.push({ set: inner[0].set, min, max });
    } else {for (let i = 0; i < Math.min(Math.max(min, Math.min(max, 1)), 64); i++) {
        atoms.push(...inner);
      }}
  }
  return atoms;
}

function setOf(char: string, reader: Reader): string {
  if (char === ".") return ANY;
  if (char === "\\") return escaped(reader.text[reader.at++] ?? "");
  return char === "[" ? bracket(reader) : char;
}

function escaped(char: string): string {
  if (char === "d") return DIGITS;
  if (char === "w") return WORD;
  if (char === "s") return " ";
  if (char === "S" || char === "D" || char === "W") return char === "W" ? "-" : LOWER;
  if (/[a-zA-Z0-9]/.test(char)) {
    if ("mMyAZ".includes(char)) return "";
    throw new Error("escape");
  }
  return char;
}

function bracket(reader: Reader): string {
  const negated = reader.text[reader.at] === "^";
  if (negated) reader.at++;
  let set = "";
  for (let first = true;; first = false) {
    const char = reader.text[reader.at++];
    if (char === undefined) throw new Error("unbalanced");
    if (char === "]" && !first) break;
    const named = /^\[:(\w+):\]/.exec(reader.text.slice(reader.at - 1));
    if (named) {
      set += NAMED[named[1] ?? ""] ?? "";
      reader.at += named[0].length - 1;
    } else if (char === "\\") set += escaped(reader.text[reader.at++] ?? "");
    else if (reader.text[reader.at] === "-" && reader.text[reader.at + 1] !== "]") {
      const end = reader.text[reader.at + 1] ?? char;
      for (let code = char.charCodeAt(0); code <= end.charCodeAt(0); code++) {
        set += String.fromCharCode(code);
      }
      reader.at += 2;
    } else set += char;
  }
  return negated ? [...ANY].filter((one) => !set.includes(one)).join("") : set;
}

function quantifier(reader: Reader): { min: number; max: number } {
  const rest = reader.text.slice(reader.at);
  const counted = /^\{(\d+)(,(\d*))?\}/.exec(rest);
  const length = counted ? counted[0].length : /^[*+?]/.test(rest) ? 1 : 0;
  reader.at += length;
  if (length > 0 && reader.text[reader.at] === "?") reader.at++;
  if (counted) {
    const min = Number(counted[1]);
    return {
      min,
      max: counted[2] === undefined ? min : counted[3] ? Number(counted[3]) : min + 12,
    };
  }
  if (length === 0) return { min: 1, max: 1 };
  return rest[0] === "?" ? { min: 0, max: 1 } : { min: rest[0] === "+" ? 1 : 0, max: 12 };
}

/** The last run that takes digits and is long enough carries the number, so that samples differ. */
function fill(atoms: readonly Atom[], number: string): string {
  const takes = (atom: Atom) => [...number].every((digit) => atom.set.includes(digit));
  const lengths = atoms.map((atom) => Math.max(atom.min, 0));
  let carrier = -1;
  for (const [at, atom] of atoms.entries()) {
    if (takes(atom) && atom.max >= number.length + (at === 0 ? 1 : 0)) carrier = at;
  }
  if (carrier < 0) carrier = atoms.findIndex((atom) => takes(atom) && atom.max >= number.length);
  // Without digits, letters count: a, b, c …
  const letters = carrier >= 0
    ? -1
    : atoms.findIndex((atom) => atom.set.length > 25 && atom.max > 0);
  return atoms.map((atom, at) => {
    const pick = [..."ax1"].find((one) => atom.set.includes(one)) ?? atom.set[0] ?? "";
    if (at === carrier) {
      const zero = atom.set.includes("0") ? "0" : pick;
      return zero.repeat(Math.max(0, (lengths[at] ?? 0) - number.length)) + number;
    }
    if (at === letters) {
      const one = atom.set[Number(number) % 26] ?? pick;
      return one.repeat(Math.max(1, lengths[at] ?? 1));
    }
    return pick.repeat(lengths[at] ?? 0);
  }).join("");
}
