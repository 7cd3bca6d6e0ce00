// A node:test reporter: one JSON line a test that ended. Suites count only when they themselves failed (a hook did).
export default async function* reporter(events) {
  const path = [];
  for await (const { type, data } of events) {
    if (type === "test:start") path[data.nesting] = data.name;
    if (type !== "test:pass" && type !== "test:fail") continue;
    const error = data.details?.error;
    const isSuite = data.details?.type === "suite";
    if (isSuite && (type === "test:pass" || error?.failureType === "subtestsFailed")) continue;
    if (error?.failureType === "subtestsFailed") continue;
    const cause = error?.cause ?? error;
    const left = data.skip !== undefined && data.skip !== false ? data.skip : undefined;
    yield JSON.stringify({
      name: [...path.slice(0, data.nesting), data.name].join(" > "),
      status: type === "test:fail" ? "failed" : left === undefined ? "passed" : "skipped",
      message: type === "test:fail"
        ? describe(cause)
        : left === undefined
        ? undefined
        : String(left),
    }) + "\n";
  }
}

function describe(cause) {
  if (!(cause instanceof Error) && typeof cause?.message !== "string") return String(cause);
  const where = String(cause.stack ?? "").split("\n").find((line) => /\.(test\.)?ts:\d/.test(line));
  return [cause.message, where?.trim()].filter(Boolean).join("\n");
}
