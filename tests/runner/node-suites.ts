import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import { ROOT } from "../support/sql-files.ts";
import { runProgram } from "./child.ts";
import type { Depth, Result, Suite } from "./suite.ts";

const line = z.object({
  name: z.string(),
  status: z.enum(["passed", "failed", "skipped"]),
  message: z.string().optional(),
});

/** What a test file needs beyond npm ci, in a comment of its first lines: `// needs: postgres-15, pg_cron`. */
const NEEDS = /^\/\/ needs: (.+)$/m;

/**
 * Every tests/**\/*.test.ts, each a suite in a process of its own, named by its path below tests/ without `.test.ts`.
 *
 * @example
 * nodeSuites("quick").map((suite) => suite.name); // ["conventions", "e2e/demo", …]
 */
export function nodeSuites(depth: Depth): Suite[] {
  const tests = join(ROOT, "tests");
  const files = readdirSync(tests, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".test.ts") && !file.includes("node_modules")).sort();
  return files.map((file) => {
    const path = join(tests, file);
    const [, needs = ""] = NEEDS.exec(readFileSync(path, "utf8").slice(0, 1000)) ?? [];
    return {
      name: file.slice(0, -".test.ts".length),
      needs: needs.split(",").map((need) => need.trim()).filter(Boolean),
      run: (report) => runFile(path, depth, report),
    };
  });
}

async function runFile(
  path: string,
  depth: Depth,
  report: (result: Result) => void,
): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), "bulkhead-results-"));
  const results = join(home, "results.jsonl");
  const remove = () => rmSync(home, { recursive: true, force: true });
  process.once("exit", remove);
  try {
    const { code, output, timedOut } = await runProgram(process.execPath, [
      ...["--no-warnings", "--import", "tsx"],
      ...["--test-reporter", fileURLToPath(new URL("reporter.mjs", import.meta.url))],
      ...["--test-reporter-destination", results],
      path,
    ], {
      env: { ...process.env, BULKHEAD_DEPTH: depth, FORCE_COLOR: "0" },
      timeoutMs: depth === "full" ? 1_800_000 : 300_000,
    });
    const ended = readResults(results);
    for (const result of ended) report(result);
    const file = relative(ROOT, path);
    const tail = output.trim().split("\n").slice(-20).join("\n");
    if (timedOut) report({ name: `${file} ends in time`, status: "failed", message: tail });
    else if (code !== 0 && !ended.some((result) => result.status === "failed")) {
      report({ name: `${file} ends without an error`, status: "failed", message: tail });
    } else if (ended.length === 0) {
      report({ name: `${basename(file)} has tests`, status: "failed", message: "it ran none" });
    }
  } finally {
    process.removeListener("exit", remove);
    remove();
  }
}

function readResults(path: string): Result[] {
  let text = "";
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return []; // it ended before the first test
  }
  return text.split("\n").filter(Boolean).map((json) => {
    const { name, status, message } = line.parse(JSON.parse(json));
    return message === undefined ? { name, status } : { name, status, message };
  });
}
