import { type Finding, finding, position, type Report } from "./finding.ts";
import { findRule } from "./rules.ts";
import type { Comment } from "./syntax.ts";

/** A comment that asks not to report a rule on its own line or on the next statement. */
export type Ignore = {
  rules: string[];
  reason: string;
  /** The line of the code that it speaks of. */
  line: number;
  start: number;
  end: number;
};

const FORM = /^[\s*]*bulkhead-ignore\b[ \t]*([^:\n]*?)[ \t]*(?::[ \t]*([\s\S]*))?$/;

/** `bulkhead readiness` has ids where this has names. */
const OF_READINESS = /^[A-Z]{2,4}-\d\d\b/;

/**
 * The ignore comments of a file: `// bulkhead-ignore service-write: nightly clean-up of sessions`. One at the end of a
 * line speaks of that line, one on a line of its own of the next line with code.
 */
export function findIgnores(text: string, comments: readonly Comment[]): Ignore[] {
  if (!text.includes("bulkhead-ignore")) return [];
  const lines = text.split("\n");
  const taken = new Set<number>();
  for (const comment of comments) {
    const from = position(text, comment.start).line;
    const to = position(text, comment.end).line;
    for (let line = from; line <= to; line++) {
      const isAlone = /^\s*(\/\/|\/\*|\*|--|\{\s*\/\*|<!--|#)/.test(lines[line - 1] ?? "");
      if (isAlone) taken.add(line);
    }
  }
  return comments.flatMap((comment) => {
    const found = FORM.exec(comment.text);
    if (!found || OF_READINESS.test(found[1] ?? "")) return [];
    let line = position(text, comment.end).line;
    if (taken.has(position(text, comment.start).line)) {
      do line++; while (
        line <= lines.length && (taken.has(line) || (lines[line - 1] ?? "").trim() === "")
      );
    }
    return [{
      rules: (found[1] ?? "").split(/[\s,]+/).filter(Boolean),
      reason: (found[2] ?? "").replace(/\s*\*\/\s*\}?\s*$/, "").trim(),
      line,
      start: comment.start,
      end: comment.end,
    }];
  });
}

/** A finding on its way: where its statement begins, and where its clients were made. */
export type Candidate = Finding & { anchor: number; sites: { file: string; lines: number[] }[] };

/** Take out what is ignored for a reason; add a finding for each comment without one, and for each that did nothing. */
export function applyIgnores(
  files: readonly { path: string; text: string; ignores: readonly Ignore[] }[],
  candidates: readonly Candidate[],
  isOn: (rule: string) => boolean,
): { kept: Finding[]; ignored: number } {
  const used = new Set<Ignore>();
  const byFile = new Map(
    files.map(({ path, ignores }) => [path, ignores.filter((one) => problem(one) === null)]),
  );
  const covering = (file: string, lines: readonly number[], rule: string): Ignore | undefined =>
    byFile.get(file)?.find((one) =>
      lines.includes(one.line) && one.rules.some((name) => findRule(name)?.id === rule)
    );
  const kept = candidates.filter(({ file, line, anchor, rule, sites }) => {
    const own = covering(file, [line, anchor], rule);
    const all = own ? [own] : sites.map((site) => covering(site.file, site.lines, rule));
    const isIgnored = all.length > 0 && all.every((one) => one !== undefined);
    if (isIgnored) { for (const one of all) if (one) used.add(one); }
    return !isIgnored;
  });
  const complaints: Report[] = files.flatMap(({ path: file, text, ignores }) =>
    ignores.flatMap((ignore) => {
      const { start, end } = ignore;
      const wrong = problem(ignore);
      if (wrong !== null) {
        return [{ rule: "lint/ignore-without-reason", file, text, start, end, message: wrong }];
      }
      const isAsked = ignore.rules.every((name) => isOn(findRule(name)?.id ?? ""));
      if (used.has(ignore) || !isAsked) return [];
      const message = `nothing here breaks ${ignore.rules.join(" or ")}`;
      return [{ rule: "lint/ignore-unused", file, text, start, end, message }];
    })
  );
  return {
    kept: [
      ...kept.map(({ anchor: _, sites: __, ...rest }) => rest),
      ...complaints.filter((one) => isOn(one.rule)).map((one) =>
        finding(one, (severity) => severity)
      ),
    ],
    ignored: candidates.length - kept.length,
  };
}

function problem({ rules, reason }: Ignore): string | null {
  if (rules.length === 0) return "the comment names no rule";
  const unknown = rules.find((one) => findRule(one) === null);
  if (unknown !== undefined) return `"${unknown}" is no rule`;
  return reason.replace(/\W/g, "").length < 3 ? "the comment gives no reason" : null;
}
