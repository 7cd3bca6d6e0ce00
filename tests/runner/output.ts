import pc from "picocolors";
import type { Result } from "./suite.ts";

/** What the reader of a test run sees. */
export type Output = {
  started(suite: string): void;
  progress(suite: string, tests: number): void;
  skipped(suite: string, why: string): void;
  ended(suite: string, results: Result[], ms: number): void;
  /** The last line, `N passed, N failed`, after the failures once more. */
  finished(passed: number, failed: number): void;
};

/**
 * Lines as suites end; on a terminal a last line that lives, saying what runs and how far it is.
 *
 * @example
 * const output = createOutput(suites.length);
 */
export function createOutput(total: number, stream: NodeJS.WriteStream = process.stdout): Output {
  const live = stream.isTTY === true;
  const running = new Map<string, number>();
  const failures: { suite: string; result: Result }[] = [];
  let done = 0;

  const status = () => {
    if (!live) return;
    const names = [...running].map(([name, tests]) => tests > 0 ? `${name} ${tests}` : name).join(
      ", ",
    );
    const text = `[${done}/${total}] ${names}`.slice(0, (stream.columns ?? 80) - 1);
    stream.write(`\r\x1b[2K${running.size > 0 ? pc.dim(text) : ""}`);
  };
  const print = (text: string) => {
    stream.write(`${live ? "\r\x1b[2K" : ""}${text}\n`);
    status();
  };
  return {
    started(suite) {
      running.set(suite, 0);
      status();
    },
    progress(suite, tests) {
      running.set(suite, tests);
      status();
    },
    skipped(suite, why) {
      done++;
      print(`${pc.yellow("skipped")}  ${suite}: ${why}`);
    },
    ended(suite, results, ms) {
      done++;
      running.delete(suite);
      const count = (wanted: Result["status"]) =>
        results.filter(({ status }) => status === wanted).length;
      const parts = [`${count("passed")} passed`];
      if (count("failed") > 0) parts.push(`${count("failed")} failed`);
      if (count("skipped") > 0) parts.push(`${count("skipped")} skipped`);
      const mark = count("failed") > 0 ? pc.red("failed ") : pc.green("ok     ");
      print(`${mark}  ${suite}  ${pc.dim(`${parts.join(", ")}, ${(ms / 1000).toFixed(1)} s`)}`);
      for (const result of results) {
        if (result.status === "skipped") {
          print(`         skipped: ${result.name}: ${result.message ?? ""}`);
        }
        if (result.status !== "failed") continue;
        failures.push({ suite, result });
        print(describe(result));
      }
    },
    finished(passed, failed) {
      running.clear();
      if (failures.length > 0 && total > 1) {
        print("\nWhat failed:");
        for (const { suite, result } of failures) print(`  ${suite}: ${result.name}`);
      }
      print(`${passed} passed, ${failed} failed`);
    },
  };
}

function describe({ name, message = "" }: Result): string {
  const lines = message.trim().split("\n").slice(0, 40).map((line) => `           ${line}`);
  return [`  ${pc.red("✗")}      ${name}`, ...(message ? lines : [])].join("\n");
}
