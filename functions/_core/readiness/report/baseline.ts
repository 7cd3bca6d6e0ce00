import * as z from "zod";
import { BulkheadError } from "../../errors.ts";
import { parseJson } from "../../json.ts";
import type { Report } from "./contract.ts";
import { type OpenPlace, openPlaces } from "./open-places.ts";

/** What was open when the audit came. The message is for people: what counts is the fingerprint. */
const baselineSchema = z.object({
  format: z.literal("bulkhead-readiness-baseline"),
  version: z.literal(1),
  places: z.array(
    z.object({ rule: z.string(), fingerprint: z.string(), file: z.string(), message: z.string() }),
  ),
});

export type Baseline = z.infer<typeof baselineSchema>;

/**
 * Write down what is open today; what is ignored is not part of it.
 *
 * @example
 * await writeFile("readiness-baseline.json", JSON.stringify(makeBaseline(report), null, 2));
 */
export function makeBaseline(report: Report): Baseline {
  return {
    format: "bulkhead-readiness-baseline",
    version: 1,
    places: openPlaces(report).map(({ rule, evidence: { fingerprint, file, message } }) => ({
      rule: rule.id,
      fingerprint,
      file,
      message,
    })),
  };
}

/** Read a baseline. @throws BulkheadError `BH_READINESS_BASELINE` when it is none. */
export function parseBaseline(text: string, path: string): Baseline {
  const parsed = baselineSchema.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw new BulkheadError(
    "BH_READINESS_BASELINE",
    `Cannot read "${path}": it is no baseline of bulkhead readiness`,
    { kind: "usage", hint: `bulkhead readiness --baseline ${path} --update-baseline` },
  );
}

/** The open places that a baseline doesn't know, how many it knows, and how many of its own are gone. */
export function compare(
  report: Report,
  baseline: Baseline,
): { fresh: OpenPlace[]; known: number; gone: number } {
  const open = openPlaces(report);
  const asked = new Set(report.rules.map(({ id }) => id));
  const keys = new Set(baseline.places.map(({ rule, fingerprint }) => `${rule} ${fingerprint}`));
  const keyOf = ({ rule, evidence }: OpenPlace) => `${rule.id} ${evidence.fingerprint}`;
  const here = new Set(open.map(keyOf));
  const fresh = open.filter((one) => !keys.has(keyOf(one)));
  const gone = baseline.places.filter(({ rule, fingerprint }) =>
    asked.has(rule) && !here.has(`${rule} ${fingerprint}`)
  );
  return { fresh, known: open.length - fresh.length, gone: gone.length };
}
