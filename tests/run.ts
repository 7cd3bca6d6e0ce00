/**
 * The test command: every suite that this machine can run, two at a time, and one line for each that it cannot.
 *
 *   npm test                    everything
 *   npm test -- seal pgtap      the suites whose names contain one of the words
 *   npm test -- --list          the names
 *
 * BULKHEAD_DEPTH=quick|full scales the long suites; BULKHEAD_REQUIRE_ALL=1 makes a skipped suite or test a failure.
 */
import * as z from "zod";
import { checkSuites } from "./runner/check-suites.ts";
import { missing } from "./runner/components.ts";
import { nodeSuites } from "./runner/node-suites.ts";
import { createOutput } from "./runner/output.ts";
import { sqlSuites } from "./runner/sql-suites.ts";
import type { Result, Suite } from "./runner/suite.ts";

const CONCURRENCY = 2;

const environment = z.object({
  BULKHEAD_DEPTH: z.enum(["quick", "full"]).default("quick"),
  BULKHEAD_REQUIRE_ALL: z.string().optional().transform((value) => value === "1"),
});

const parsed = environment.safeParse({
  ...process.env,
  BULKHEAD_DEPTH: process.env["BULKHEAD_DEPTH"] || undefined,
});
const flags = process.argv.slice(2).filter((word) => word.startsWith("-"));
const words = process.argv.slice(2).filter((word) => !word.startsWith("-"));
const unknown = flags.find((flag) => flag !== "--list");
if (!parsed.success) {
  usage("Cannot read BULKHEAD_DEPTH: it must be quick or full", "BULKHEAD_DEPTH=quick npm test");
}
if (unknown) usage(`Cannot read the flag "${unknown}": there is only --list`, "npm test -- --list");

const env = parsed.data;
const all: Suite[] = [...checkSuites, ...sqlSuites, ...nodeSuites(env.BULKHEAD_DEPTH)];
const suites = words.length === 0 ? all : pick(all);
if (flags.includes("--list")) {
  for (const { name, needs } of suites) {
    console.log(needs.length > 0 ? `${name}  (${needs.join(", ")})` : name);
  }
  process.exit(0);
}
if (suites.length === 0) {
  usage(`Cannot find a suite named "${words.join(" ")}"`, "npm test -- --list");
}

// an exit ends the children, a signal alone would not
process.once("SIGINT", () => process.exit(130));
process.once("SIGTERM", () => process.exit(143));

const output = createOutput(suites.length);
let passed = 0;
let failed = 0;

async function runSuite(suite: Suite): Promise<void> {
  const lacks = missing(suite.needs);
  if (lacks) {
    output.skipped(
      suite.name,
      `needs ${lacks.names.join(", ")}; install it with: ${lacks.install}`,
    );
    if (env.BULKHEAD_REQUIRE_ALL) failed++;
    return;
  }
  const results: Result[] = [];
  const started = Date.now();
  output.started(suite.name);
  const report = (result: Result) => {
    const counts = result.status === "skipped" && env.BULKHEAD_REQUIRE_ALL;
    const final: Result = counts
      ? { ...result, status: "failed", message: `skipped: ${result.message ?? ""}` }
      : result;
    results.push(final);
    output.progress(suite.name, results.length);
  };
  try {
    await suite.run(report);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    report({ name: `${suite.name} runs`, status: "failed", message });
  }
  passed += results.filter((result) => result.status === "passed").length;
  failed += results.filter((result) => result.status === "failed").length;
  output.ended(suite.name, results, Date.now() - started);
}

const queue = [...suites];
async function worker(): Promise<void> {
  for (let suite = queue.shift(); suite; suite = queue.shift()) await runSuite(suite);
}
await Promise.all(Array.from({ length: CONCURRENCY }, worker));
output.finished(passed, failed);
process.exit(failed > 0 || passed === 0 ? 1 : 0);

/** A name in full picks that suite alone; otherwise every suite that contains one of the words. */
function pick(from: Suite[]): Suite[] {
  return from.filter(({ name }) =>
    words.some((word) =>
      from.some((suite) => suite.name === word) ? name === word : name.includes(word)
    )
  );
}

function usage(message: string, hint: string): never {
  console.error(`Error: ${message}\nTry: ${hint}`);
  process.exit(2);
}
