import * as z from "zod";

const text = z.object({ text: z.string() });
const block = z.object({
  type: z.string(),
  text: text.optional(),
  fields: z.array(text).optional(),
  elements: z.array(z.looseObject({ text: z.string().optional() })).optional(),
});
const message = z.object({ text: z.string(), blocks: z.array(block).optional() });

/** The words of a Slack message as lines for a terminal. */
export function slackLines(body: string): string[] {
  const { text, blocks = [] } = message.parse(JSON.parse(body));
  const parts = blocks.flatMap((b) => [
    ...(b.text ? [b.text.text] : []),
    ...(b.fields ?? []).map((f) => f.text.replace("\n", " ")),
    ...(b.elements ?? []).flatMap((e) => e.text ?? []),
  ]);
  return (parts.length > 0 ? parts : [text])
    .flatMap((part) => part.split("\n"))
    .map((line) =>
      // Bold and code lose their marks; the star of a `select *` stays.
      line.replaceAll(/(^|\s)\*(\S|\S[^*]*\S)\*(?=\s|$)/g, "$1$2").replaceAll("`", "")
        .replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&")
    )
    .filter((line) => line.trim() !== "")
    .flatMap((line) => wrap(line, 72));
}

function wrap(line: string, width: number): string[] {
  const lines: string[] = [];
  let rest = line;
  while (rest.length > width) {
    const space = rest.lastIndexOf(" ", width);
    const at = space > 20 ? space : width;
    lines.push(rest.slice(0, at));
    rest = rest.slice(at).trimStart();
  }
  return [...lines, rest];
}
