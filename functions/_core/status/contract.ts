import * as z from "zod";

/** `fail` is red, `unknown` could not be evaluated and is never green. */
export const checkStatus = z.enum(["pass", "fail", "unknown"]);
/** The verdict of a whole report. */
export const verdict = z.enum(["green", "red", "unknown"]);

/** One row of `bulkhead.checks()`; the same shape for every rule, canary and job. */
export const check = z.object({
  /** The rule: `docs/checks/<name>.md`. */
  name: z.string().regex(/^[a-z][a-z0-9_]*$/),
  /** What it speaks of, `public.messages` or `database`. */
  subject: z.string(),
  title: z.string(),
  severity: z.enum(["critical", "warning", "info"]),
  category: z.string(),
  status: checkStatus,
  observed: z.number().nullable(),
  threshold: z.number().nullable(),
  detail: z.string().nullable(),
  /** SQL to run, or a sentence that says what to do. */
  remediation: z.string().nullable(),
  sample_ids: z.array(z.string()).nullable(),
  /** Shows the offenders again. */
  reproduce_sql: z.string().nullable(),
  /** Stable over runs: name and subject. */
  fingerprint: z.string(),
});

/** What `bulkhead.status()` answers, what `--json` prints and what `/status.json` serves with signed access. */
export const statusReport = z.object({
  verdict,
  /** RFC 3339. */
  checked_at: z.string(),
  /** The one category that was asked for, or null for all. */
  category: z.string().nullable(),
  database: z.string(),
  server_version: z.string(),
  counts: z.object({
    pass: z.int().nonnegative(),
    fail: z.int().nonnegative(),
    unknown: z.int().nonnegative(),
  }),
  checks: z.array(check),
});

/** What everybody may know: no subject, no detail, no tenant. */
export const publicStatus = z.object({
  verdict,
  checked_at: z.string(),
  counts: statusReport.shape.counts,
  categories: z.array(
    z.object({ category: z.string(), verdict, ...statusReport.shape.counts.shape }),
  ),
});

export type Check = z.infer<typeof check>;
export type CheckStatus = z.infer<typeof checkStatus>;
export type Verdict = z.infer<typeof verdict>;
export type StatusReport = z.infer<typeof statusReport>;
export type PublicStatus = z.infer<typeof publicStatus>;
