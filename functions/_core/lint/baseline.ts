import * as z from "zod";
import { BulkheadError } from "../errors.ts";
import { parseJson } from "../json.ts";
import type { Finding } from "./finding.ts";

/** What was there when the linter came: by rule, file and the text of the line, so that lines may move. */
const baselineSchema = z.object({
  version: z.literal(1),
  findings: z.array(
    z.object({
      rule: z.string(),
      file: z.string(),
      text: z.string(),
      count: z.number().int().positive(),
    }),
  ),
});

export type Baseline = z.infer<typeof baselineSchema>;

/**
 * Write down what is found today; infos are never part of it.
 *
 * @example
 * await writeFile("bulkhead-lint.json", JSON.stringify(makeBaseline(findings), null, 2));
 */
export function makeBaseline(findings: readonly Finding[]): Baseline {
  const counts = new Map<string, Baseline["findings"][number]>();
  for (const one of findings) {
    if (one.severity === "info") continue;
    const entry = counts.get(keyOf(one.rule, one.file, textOf(one)));
    if (entry) entry.count++;
    else {
      counts.set(keyOf(one.rule, one.file, textOf(one)), {
        rule: one.rule,
        file: one.file,
        text: textOf(one),
        count: 1,
      });
    }
  }
  return { version: 1, findings: [...counts.values()] };
}

/** Read a baseline. @throws BulkheadError `BH_LINT_BASELINE` when it is none. */
export function parseBaseline(text: string, path: string): Baseline {
  const parsed = baselineSchema.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw new BulkheadError(
    "BH_LINT_BASELINE",
    `Cannot read "${path}": it is no baseline of bulkhead lint`,
    {
      kind: "usage",
      hint: "write it with --update-baseline",
    },
  );
}

/** The findings that are new, how many are known, and how many of the known ones are gone. */
export function compare(
  findings: readonly Finding[],
  baseline: Baseline,
): { fresh: Finding[]; known: number; gone: number } {
  const left = new Map<string, number>();
  for (const one of baseline.findings) {
    const key = keyOf(one.rule, one.file, one.text);
    left.set(key, (left.get(key) ?? 0) + one.count);
  }
  const fresh = findings.filter((one) => {
    const key = keyOf(one.rule, one.file, textOf(one));
    const rest = left.get(key) ?? 0;
    if (one.severity === "info" || rest === 0) return true;
    left.set(key, rest - 1);
    return false;
  });
  const gone = [...left.values()].reduce((sum, count) => sum + count, 0);
  return { fresh, known: findings.length - fresh.length, gone };
}

/** Blanks do not count: a formatter changes them. */
function textOf(finding: Finding): string {
  return finding.source.replace(/\s+/g, " ").trim().slice(0, 300);
}

function keyOf(rule: string, file: string, text: string): string {
  return `${rule}\0${file}\0${text}`;
}
