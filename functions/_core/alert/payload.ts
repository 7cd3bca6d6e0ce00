import * as z from "zod";

const severity = z.enum(["critical", "warning", "info"]);
const text = z.string().nullish().transform((value) => value ?? "");

const kind = z.enum(["opened", "worsened", "repeated", "resolved"]);

/** One of several incidents that a message tells of. */
const member = z.object({
  kind,
  name: z.string(),
  title: z.string(),
  subject: text,
  severity,
  observed: z.number().nullish(),
  threshold: z.number().nullish(),
  tenants: text,
  opened_at: z.coerce.date(),
  fingerprint: z.string(),
  incident_id: z.number(),
  sequence: z.number(),
});

/** The payload of an incident's message, as `bulkhead.notify_thread` writes it. */
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
  /** How often in a row it came back soon after its end. */
  relapses: z.number().nullish().transform((count) => count ?? 0),
  opened_at: z.coerce.date(),
  last_seen_at: z.coerce.date(),
  resolved_at: z.coerce.date().nullish(),
  database: text,
  acknowledged_by: text,
  /** The incidents of the message when there are several, the one above first; 20 at most. */
  members: z.array(member).nullish().transform((members) => members ?? []),
  /** How many there are. */
  total: z.number().nullish().transform((total) => total ?? 1),
  /** How many more of the same thread are open and not in this message. */
  others: z.number().nullish().transform((others) => others ?? 0),
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
    kind,
    /** Of the outbox: a message delivered twice has the same one. */
    id: z.string().optional(),
    severity,
    sequence: z.number(),
    payload: incidentPayload,
  }),
  z.object({
    kind: z.literal("notice"),
    id: z.string().optional(),
    severity,
    sequence: z.number(),
    payload: noticePayload,
  }),
]);

export type Alert = z.infer<typeof alert>;
export type Member = z.infer<typeof member>;
export type IncidentAlert = Extract<Alert, { payload: { fingerprint: string } }>;
export type NoticeAlert = Extract<Alert, { kind: "notice" }>;
