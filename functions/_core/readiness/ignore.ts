import * as z from "zod";
import { BulkheadError } from "../errors.ts";
import { GitIgnore } from "../lint/gitignore.ts";
import type { Parsers } from "./parsers.ts";
import type { Repository, RepositoryFile } from "./repository.ts";
import { conclude, type Evidence, type Outcome } from "./rule.ts";

/** Where an ignore can be written besides comments. */
const IGNORE_FILE = "bulkhead-readiness.toml";
/** Nobody can answer for longer; as `bulkhead accept`. */
const MOST_DAYS = 366;
const LEAST_REASON = 10;

/** Somebody's answer for places of a rule, until a date. */
export type Ignore = {
  rule: string;
  reason: string;
  /** The last day that it counts, as `2027-01-31`. */
  until: string;
  /** Where it is written. */
  file: string;
  line: number | null;
  covers: (place: { file: string; line: number | null }) => boolean;
};

/** What a reader should know of the ignores: one that has expired, says too little, or does nothing. */
export type Notice = { file: string; line: number | null; message: string };

export type Ignores = { ignores: Ignore[]; notices: Notice[] };

/**
 * Every ignore of a repository that counts on that day: in comments (`# bulkhead-ignore CI-01 until 2027-01-31: a
 * reason`, on the line or the line before) and in bulkhead-readiness.toml. The others become notices.
 *
 * @example
 * const { ignores, notices } = readIgnores(repository, ["CI-01"], new Date());
 * @throws BulkheadError `BH_READINESS_CONFIG` when bulkhead-readiness.toml is malformed.
 */
export function readIgnores(
  repository: Repository,
  rules: readonly string[],
  now: Date,
): Ignores {
  const found: Ignores = { ignores: [], notices: [] };
  const take = (one: Ignore) => {
    const wrong = problem(one, rules, now);
    if (wrong === null) found.ignores.push(one);
    else found.notices.push({ file: one.file, line: one.line, message: wrong });
  };
  const file = repository.file(IGNORE_FILE);
  if (typeof file?.text === "string") {
    for (const one of ofConfig(file.text, repository.parsers)) take(one);
  }
  for (const one of repository.files) for (const ignore of ofComments(one)) take(ignore);
  return found;
}

/**
 * Mark what is ignored in an outcome. What is left decides; where all is ignored, the rule is unknown: answered for is
 * not proven.
 *
 * @example
 * const used = new Set<Ignore>();
 * applyIgnores("CI-01", outcome, ignores, used);
 */
export function applyIgnores(
  rule: string,
  outcome: Outcome,
  ignores: readonly Ignore[],
  used: Set<Ignore>,
): Outcome {
  const own = ignores.filter((one) => one.rule === rule);
  if (own.length === 0 || outcome.status === "pass" || outcome.status === "not-applicable") {
    return outcome;
  }
  // A rule that saw nothing has no place: only an answer for the whole of it covers that.
  const places: Evidence[] = outcome.evidence.length > 0
    ? outcome.evidence
    : [{ kind: "unknown", file: IGNORE_FILE, line: null, message: outcome.summary }];
  let isTouched = false;
  const evidence = places.map((one): Evidence => {
    if (one.kind === "strength") return one;
    const ignore = own.find(({ covers }) => covers(one));
    if (!ignore) return one;
    isTouched = true;
    used.add(ignore);
    return { ...one, ignored: { reason: ignore.reason, until: ignore.until } };
  });
  if (!isTouched) return outcome;
  const open = evidence.filter((one) => !one.ignored);
  const ignored = evidence.filter((one) => one.ignored);
  const left = open.some(({ kind }) => kind !== "strength")
    ? conclude(open, { status: "unknown", summary: "" })
    : {
      status: "unknown" as const,
      summary:
        `${ignored.length === 1 ? "the only place is" : `all ${ignored.length} places are`} ` +
        `ignored until ${ignored.map((one) => one.ignored?.until ?? "").toSorted()[0]}`,
    };
  return { status: left.status, summary: left.summary, evidence };
}

const configSchema = z.strictObject({
  ignore: z.array(z.strictObject({
    rule: z.string(),
    path: z.string().optional(),
    reason: z.string().default(""),
    until: z.union([z.string(), z.date()]).optional(),
  })).default([]),
});

function ofConfig(text: string, parsers: Parsers): Ignore[] {
  let parsed: z.ZodSafeParseResult<z.infer<typeof configSchema>>;
  try {
    parsed = configSchema.safeParse(parsers.toml(text));
  } catch (cause) {
    throw malformed("it is no TOML", cause);
  }
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw malformed(`${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`, parsed.error);
  }
  return parsed.data.ignore.map(({ rule, path, reason, until }, nth) => {
    const pattern = path === undefined ? null : new GitIgnore().with("", path);
    return {
      rule,
      reason: reason.trim(),
      // A date of TOML is a date of the library, which says itself as one.
      until: typeof until === "string" ? until : until?.toISOString().slice(0, 10) ?? "",
      file: IGNORE_FILE,
      line: lineOf(text, nth),
      covers: ({ file }) => pattern === null || isBelow(pattern, file),
    };
  });
}

/** Whether a pattern names the file or a folder above it. */
function isBelow(pattern: GitIgnore, file: string): boolean {
  const parts = file.split("/");
  return parts.some((_, n) => pattern.has(parts.slice(0, n + 1).join("/"), n + 1 < parts.length));
}

/** The line of the nth `[[ignore]]`; null where it is written in another way. */
function lineOf(text: string, nth: number): number | null {
  const lines = text.split("\n").flatMap((line, index) =>
    /^\s*\[\[\s*ignore\s*\]\]/.test(line) ? index + 1 : []
  );
  return lines[nth] ?? null;
}

function malformed(state: string, cause: unknown): BulkheadError {
  return new BulkheadError("BH_READINESS_CONFIG", `Cannot read "${IGNORE_FILE}": ${state}`, {
    kind: "usage",
    hint: 'write [[ignore]] with rule = "CI-01", path, reason and until = "2027-01-31"',
    cause,
  });
}

/** The comment signs of every language that is read, the word, and ids of rules: `bulkhead lint` has names instead. */
const COMMENT =
  /(?:#|\/\/|--|\/\*|\*|<!--|;|\{#|%)[ \t]*bulkhead-ignore[ \t]+([A-Z]{2,4}-\d\d(?:[ \t]*,[ \t]*[A-Z]{2,4}-\d\d){0,20})([^\n]*)/;
const TERMS = /^[ \t]+until[ \t]+([\w-]+)[ \t]*:[ \t]*(.*)$/;
/** A line of nothing but a comment: what it says is for the next line of code. */
const ALONE = /^\s*(#|\/\/|--|\/\*|\*|<!--|;|\{#|\{\s*\/\*|%)/;

function ofComments({ path, text, context }: RepositoryFile): Ignore[] {
  if (text === null || context === "vendored" || path === IGNORE_FILE) return [];
  if (!text.includes("bulkhead-ignore")) return [];
  const lines = text.split(/\r?\n/);
  return lines.flatMap((source, index) => {
    const found = source.length > 5_000 ? null : COMMENT.exec(source);
    if (!found) return [];
    const terms = TERMS.exec(found[2] ?? "");
    let line = index + 1;
    if (ALONE.test(source)) {
      do line++; while (
        line <= lines.length &&
        (ALONE.test(lines[line - 1] ?? "") || (lines[line - 1] ?? "").trim() === "")
      );
    }
    return (found[1] ?? "").split(",").map((rule): Ignore => ({
      rule: rule.trim(),
      reason: (terms?.[2] ?? "").replace(/[ \t]*(\*\/|-->|#\})[ \t]*\}?[ \t]*$/, "").trim(),
      until: terms?.[1] ?? "",
      file: path,
      line: index + 1,
      covers: (place) => place.file === path && place.line === line,
    }));
  });
}

function problem(
  { rule, reason, until }: Ignore,
  rules: readonly string[],
  now: Date,
): string | null {
  if (!rules.includes(rule)) {
    return `the ignore of ${rule} counts for nothing: there is no such rule`;
  }
  const ignore = `the ignore of ${rule} counts for nothing`;
  const last = /^\d{4}-\d\d-\d\d$/.test(until) ? Date.parse(`${until}T00:00:00Z`) : NaN;
  if (Number.isNaN(last) || new Date(last).toISOString().slice(0, 10) !== until) {
    return `${ignore}: it needs a last day, as "until 2027-01-31"`;
  }
  if (reason.length < LEAST_REASON) return `${ignore}: it needs a reason of ten characters`;
  const today = Date.parse(`${now.toISOString().slice(0, 10)}T00:00:00Z`);
  if (last < today) return `the ignore of ${rule} has expired on ${until}: what it covered is open`;
  return last - today > MOST_DAYS * 86_400_000
    ? `${ignore}: ${until} is more than a year away`
    : null;
}
