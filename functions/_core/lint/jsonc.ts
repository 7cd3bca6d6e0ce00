import { parseJson } from "../json.ts";

/**
 * Parse JSON as tsconfig.json and deno.jsonc have it: with comments and trailing commas. Null when it is neither.
 *
 * @example
 * parseJsonc('{ "a": 1, // one\n}'); // { a: 1 }
 */
export function parseJsonc(text: string): unknown {
  const plain = text.replace(/^\uFEFF/, "").replace(
    /"(?:[^"\\\n]|\\.)*"|\/\/[^\n]*|\/\*[\s\S]*?\*\//g,
    (found) => found.startsWith('"') ? found : " ",
  ).replace(
    /("(?:[^"\\\n]|\\.)*")|,(\s*[}\]])/g,
    (_, quoted?: string, end?: string) => quoted ?? end ?? "",
  );
  return parseJson(plain) ?? null;
}

/** A field of something parsed, undefined when there is none. */
export function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? new Map(Object.entries(value)).get(name)
    : undefined;
}

/** A field that holds a text. */
export function textField(value: unknown, name: string): string | null {
  const found = field(value, name);
  return typeof found === "string" ? found : null;
}

/** The entries of a field that holds an object. */
export function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.entries(value)
    : [];
}
