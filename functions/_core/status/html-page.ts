import { EMBLEM, STYLE } from "./html-style.ts";

/**
 * A page without any external resource or script: opened from disk, mailed or printed it looks the same. Everything is
 * HTML already, the title too.
 *
 * @example
 * htmlPage({ title: "Green · Bulkhead status", body: "<header>…</header>", footer: "12 pass" });
 */
export function htmlPage(
  { title, style = "", body, footer }: {
    title: string;
    /** What this page has and others have not. */
    style?: string;
    body: string;
    footer: string;
  },
): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${STYLE}${style}</style>
</head>
<body>
<main>
<p class="brand">${EMBLEM} Bulkhead</p>
${body}
<footer>${footer}</footer>
</main>
</body>
</html>
`;
}
