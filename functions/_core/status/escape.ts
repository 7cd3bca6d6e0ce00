import { counted } from "../counted.ts";

/**
 * Text as it may stand in HTML, attributes included.
 *
 * @example
 * `<p>${escapeHtml(name)}</p>`
 */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** A moment as people read it, and as machines do. */
export function timeHtml(value: string): string {
  const shown = value.replace("T", " ").replace(/\.\d+/, "").replace(/(\+00:00|Z)$/, " UTC");
  return `<time datetime="${escapeHtml(value)}">${escapeHtml(shown)}</time>`;
}

/**
 * How long ago, in the largest unit that says it.
 *
 * @example
 * ageOf("2026-11-21T01:00:00Z", "2026-11-21T03:30:00Z"); // "2 hours"
 */
export function ageOf(from: string, to: string): string {
  const seconds = Math.max(0, (Date.parse(to) - Date.parse(from)) / 1000);
  for (const [unit, size] of UNITS) {
    const count = Math.floor(seconds / size);
    if (count >= 1) return counted(count, unit);
  }
  return "less than a minute";
}

const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60]] as const;
