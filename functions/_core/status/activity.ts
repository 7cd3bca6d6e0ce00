import * as z from "zod";
import { checkStatus } from "./contract.ts";

/** Hours that the history of a canary goes back. */
export const HISTORY_HOURS = 48;

const time = z.string();

/** What happened lately: the part of `/status.json` that a report of one moment cannot say. Times are RFC 3339. */
export const activity = z.object({
  /** Open ones, and those of the last 30 days; the newest first. */
  incidents: z.array(z.object({
    id: z.number(),
    name: z.string(),
    subject: z.string().nullable(),
    title: z.string(),
    severity: z.enum(["critical", "warning"]),
    fingerprint: z.string(),
    opened_at: time,
    resolved_at: time.nullable(),
  })),
  /** One entry an hour, the oldest first; null where the canary did not run. */
  canaries: z.array(z.object({
    name: z.string(),
    title: z.string(),
    hours: z.array(checkStatus.nullable()).length(HISTORY_HOURS),
    last_run_at: time.nullable(),
  })),
  /** The newest backup of each tenant, the 50 oldest ones; who has none at all is `tenant_without_backup`. */
  tenants: z.array(z.object({
    tenant: z.string(),
    backup_id: z.string(),
    backed_up_at: time,
    stored_bytes: z.number().nullable(),
  })),
  /** The newest backup that was read back to the last byte. */
  verified: z.object({ backup_id: z.string(), verified_at: time }).nullable(),
  /** The newest twelve. */
  drills: z.array(z.object({
    backup_id: z.string(),
    finished_at: time,
    is_passed: z.boolean(),
    rows: z.number(),
    rto_seconds: z.number(),
    rpo_seconds: z.number(),
  })),
  ledger: z.object({
    /** The chain's newest hash, in hex. */
    head: z.string(),
    seals: z.number(),
    sealed_at: time.nullable(),
    /** The newest manifest that carries a head outside. */
    anchored_at: time.nullable(),
  }),
  /** The newest migration that the Supabase CLI applied. */
  migration: z.string().nullable(),
});

export type Activity = z.infer<typeof activity>;
