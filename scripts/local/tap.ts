/** One test that ended. `message` says why it failed or was skipped. */
export type Result = {
  name: string;
  status: "passed" | "failed" | "skipped";
  message?: string;
};

/**
 * Read TAP as pgTAP writes it: a failed test's diagnostics follow it, a plan that does not match the tests is a failure,
 * unless the script is known to have been `cut` short.
 *
 * @example
 * parseTap(["1..1", "ok 1 - the row is there"], "rows.test.sql"); // [{ name: "…", status: "passed" }]
 */
export function parseTap(
  lines: readonly string[],
  file: string,
  options: { cut?: boolean } = {},
): Result[] {
  const results: Result[] = [];
  let plan: number | undefined;
  for (const text of lines.flatMap((line) => line.split("\n"))) {
    const [, planned] = /^1\.\.(\d+)/.exec(text) ?? [];
    const [, not, number, title, directive] =
      /^(not )?ok (\d+)(?: - (.*?))?(?:\s*# (SKIP|TODO)\b.*)?$/i.exec(text) ?? [];
    if (planned !== undefined) plan = Number(planned);
    else if (number !== undefined) {
      const status = /skip/i.test(directive ?? "")
        ? "skipped"
        : not && !directive
        ? "failed"
        : "passed";
      results.push({ name: `${file} > ${title || `test ${number}`}`, status });
    } else if (text.startsWith("#")) {
      const last = results.at(-1);
      if (last?.status === "failed") {
        last.message = `${last.message ?? ""}${text.slice(1).trim()}\n`;
      }
    }
  }
  if (!options.cut && results.length !== plan) {
    const message = plan === undefined
      ? "it has no plan"
      : `planned ${plan}, ran ${results.length}`;
    results.push({ name: `${file} runs what it planned`, status: "failed", message });
  }
  return results;
}
