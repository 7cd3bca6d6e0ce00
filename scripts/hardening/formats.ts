import { readFileSync } from "node:fs";
import * as z from "zod";
import { renderHtml } from "../../functions/_core/status/html.ts";
import { renderMarkdown } from "../../functions/_core/status/markdown.ts";
import { toSarif } from "../../functions/_core/status/sarif.ts";
import type { StatusReport } from "../../functions/_core/status/contract.ts";

/** Every format that a status report can be written in; also its file extension. */
export const FORMATS = ["md", "json", "html", "sarif"] as const;
export type Format = typeof FORMATS[number];

/**
 * A report as the text of one format.
 *
 * @example
 * await writeFile(`status.${format}`, renderReport(report, format));
 */
export function renderReport(report: StatusReport, format: Format): string {
  switch (format) {
    case "md":
      return renderMarkdown(report);
    case "html":
      return renderHtml(report);
    case "sarif":
      return `${JSON.stringify(toSarif(report, kitVersion()), null, 2)}\n`;
    case "json":
      return `${JSON.stringify(report, null, 2)}\n`;
  }
}

/** The version in package.json. */
export function kitVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version;
}
