import * as z from "zod";
import { AREAS } from "../rule.ts";

const severitySchema = z.enum(["p0", "p1", "p2"]);

/** One place, with a fingerprint that stays the same when lines move. */
const evidenceSchema = z.object({
  kind: z.enum(["gap", "weakness", "strength", "unknown"]),
  file: z.string(),
  line: z.number().int().positive().nullable(),
  message: z.string(),
  severity: severitySchema.optional(),
  ignored: z.object({ reason: z.string(), until: z.string() }).optional(),
  fingerprint: z.string(),
});

const ruleSchema = z.object({
  id: z.string(),
  name: z.string(),
  area: z.enum(AREAS),
  section: z.number().int(),
  title: z.string(),
  remedy: z.string(),
  /** What the rule weighs at most. */
  rated: severitySchema,
  confidence: z.enum(["high", "medium", "low"]),
  status: z.enum(["pass", "fail", "warn", "unknown", "not-applicable"]),
  /** What its heaviest open place weighs, null where none is open. */
  severity: severitySchema.nullable(),
  summary: z.string(),
  evidence: z.array(evidenceSchema),
});

const areaSchema = z.object({
  area: z.enum(AREAS),
  /** 0 to 100 over the rules that could be evaluated, null where none could. An open P0 caps it at 39. */
  score: z.number().int().min(0).max(100).nullable(),
  pass: z.number().int(),
  warn: z.number().int(),
  fail: z.number().int(),
  unknown: z.number().int(),
  not_applicable: z.number().int(),
  /** Whether at least 60% of the rules that apply could be evaluated. */
  is_sufficient: z.boolean(),
  /** The open P0 that holds the score down. */
  capped_by: z.array(z.string()),
});

const answerSchema = z.object({
  answer: z.enum(["go", "no-go", "unproven"]),
  /** The rules and areas that decide, the heaviest first; empty for a go. */
  decided_by: z.array(z.string()),
  because: z.string(),
});

/** What `bulkhead readiness --json` prints: version 1, described in docs/readiness/README.md. */
export const reportSchema = z.object({
  format: z.literal("bulkhead-readiness"),
  version: z.literal(1),
  tool_version: z.string(),
  repository: z.string(),
  generated_at: z.iso.datetime(),
  maturity: z.enum(["prototype", "pilot", "production", "enterprise"]),
  verdict: z.object({ pilot: answerSchema, standard: answerSchema, enterprise: answerSchema }),
  areas: z.array(areaSchema),
  rules: z.array(ruleSchema),
  risks: z.array(z.object({
    risk: z.enum(["security", "data isolation", "operations", "scaling"]),
    rules: z.array(z.string()),
  })),
  roadmap: z.array(z.object({
    phase: z.enum(["A safety", "B hardening", "C enterprise"]),
    rules: z.array(z.string()),
  })),
  /** Compared with an earlier report, where one was given. */
  since: z.object({
    generated_at: z.iso.datetime(),
    fixed: z.array(z.object({ rule: z.string(), file: z.string(), message: z.string() })),
    fresh: z.array(z.string()).describe("fingerprints"),
    unchanged: z.number().int(),
  }).nullable(),
  /** What to know of the ignores: expired, without a reason or a date, covering nothing. */
  notices: z.array(
    z.object({ file: z.string(), line: z.number().int().nullable(), message: z.string() }),
  ),
  /** Every file, what it is for, and why it was not read where it was not. */
  files: z.array(z.object({
    path: z.string(),
    context: z.enum(["prod", "dev", "test", "ci", "docs", "vendored"]),
    unread: z.string().optional(),
  })),
  /** Parts that a rule wanted to read and could not. */
  unread: z.array(
    z.object({ file: z.string(), line: z.number().int().optional(), reason: z.string() }),
  ),
});

export type Report = z.infer<typeof reportSchema>;
export type ReportRule = Report["rules"][number];
export type ReportEvidence = ReportRule["evidence"][number];
export type AreaScore = Report["areas"][number];
export type Answer = Report["verdict"]["pilot"];
