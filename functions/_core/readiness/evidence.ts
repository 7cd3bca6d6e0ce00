import type { Evidence } from "./rule.ts";

type More = Pick<Evidence, "severity" | "isProduction">;
type Make = (file: string, line: number | null, message: string, more?: More) => Evidence;

const make = (kind: Evidence["kind"]): Make => (file, line, message, more = {}) => ({
  ...{ kind, file, line, message },
  ...more,
});

/**
 * Evidence in one line each.
 *
 * @example
 * gap("compose.yml", 12, "the service api has no limits");
 */
export const gap: Make = make("gap");
export const weakness: Make = make("weakness");
export const strength: Make = make("strength");
export const unknown: Make = make("unknown");

/** A text as evidence may quote it: one line, and not long. */
export function quote(text: string, most = 80): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > most ? `${line.slice(0, most - 1)}…` : line;
}
