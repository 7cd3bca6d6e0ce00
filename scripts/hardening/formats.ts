import { renderHtml } from "../../functions/_core/status/html.ts";
import { renderMarkdown } from "../../functions/_core/status/markdown.ts";
import { toSarif } from "../../functions/_core/status/sarif.ts";
import type { StatusReport } from "../../functions/_core/status/contract.ts";
import { packageVersion } from "../cli/package.ts";

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
      return `${JSON.stringify(toSarif(report, packageVersion()), null, 2)}\n`;
    case "json":
      return `${JSON.stringify(report, null, 2)}\n`;
  }
}
