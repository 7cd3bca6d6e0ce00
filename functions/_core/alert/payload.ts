import * as z from "zod";

const severity = z.enum(["critical", "warning", "info"]);
const text = z.string().nullish().transform((value) => value ?? "");

/** The payload of an incident's message, as `bulkhead.notify_incident` writes it. */
export const incidentPayload = z.object({
  name: z.string(),
  title: z.string(),
  subject: text,
  severity,
  status: z.enum(["fail", "unknown"]),
  observed: z.number().nullish(),
  threshold: z.number().nullish(),
  detail: text,
  tenants: text,
  remediation: text,
  sample_ids: z.array(z.string()).nullish().transform((ids) => ids ?? []),
  reproduce_sql: text,
  runbook: text,
  fingerprint: z.string(),
  incident_id: z.number(),
  sequence: z.number(),
  breaches: z.number(),
  opened_at: z.coerce.date(),
  last_seen_at: z.coerce.date(),
  resolved_at: z.coerce.date().nullish(),
  database: text,
});

/** The payload of a notice: a drill that passed, a backup that failed. */
export const noticePayload = z.object({
  title: z.string(),
  detail: text,
  facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).nullish()
    .transform((facts) => facts ?? {}),
  actions: z.array(z.string()).nullish().transform((actions) => actions ?? []),
  runbook: text,
});

/** One message of the outbox, parsed. */
export const alert = z.discriminatedUnion("kind", [
  z.object({
    kind: z.enum(["opened", "worsened", "repeated", "resolved"]),
    severity,
    sequence: z.number(),
    payload: incidentPayload,
  }),
  z.object({
    kind: z.literal("notice"),
    /** Of the outbox: a notice delivered twice shows the same one. */
    id: z.string().optional(),
    severity,
    sequence: z.number(),
    payload: noticePayload,
  }),
]);

export type Alert = z.infer<typeof alert>;
export type IncidentAlert = Extract<Alert, { payload: { fingerprint: string } }>;
export type NoticeAlert = Extract<Alert, { kind: "notice" }>;
