import { readFile } from "node:fs/promises";
import * as z from "zod";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { parseJson } from "../../functions/_core/json.ts";

const HEAD = /^[0-9a-f]{64}$/;
const head = z.string().regex(HEAD);
/** A backup's manifest, an evidence folder's document, or what `bulkhead audit export --json` printed. */
const holders = z.union([
  z.looseObject({ manifest: z.looseObject({ auditHead: head }) }).transform((m) =>
    m.manifest.auditHead
  ),
  z.looseObject({ auditHead: head }).transform((m) => m.auditHead),
  z.looseObject({ head }).transform((m) => m.head),
]);

/**
 * The head that `--anchor` means: 64 hexadecimal digits, or a file that holds them (a backup's manifest.json,
 * the output of `audit export --json`, a text file with nothing else).
 *
 * @example
 * await readAnchor("manifest.json"); // "9f2c…"
 */
export async function readAnchor(value: string): Promise<string> {
  const text = value.trim().toLowerCase();
  if (HEAD.test(text)) return text;
  let content: string;
  try {
    content = await readFile(value, "utf8");
  } catch (cause) {
    throw new BulkheadError(
      "BH_ANCHOR",
      `Cannot read the anchor "${value}": it is neither 64 hexadecimal digits nor a file`,
      { kind: "usage", hint: "name a head, or the manifest.json of a backup", cause },
    );
  }
  const found = HEAD.test(content.trim().toLowerCase())
    ? content.trim().toLowerCase()
    : holders.safeParse(parseJson(content)).data;
  if (found !== undefined) return found;
  throw new BulkheadError("BH_ANCHOR", `Cannot read the anchor "${value}": it holds no head`, {
    kind: "usage",
    hint: "a manifest has it as auditHead; one that was written before the first seal has none",
  });
}
