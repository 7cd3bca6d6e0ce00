import * as z from "zod";
import { parseJson } from "../json.ts";

/** What the first line of an export says of itself. */
export const FORMAT = "bulkhead-audit-export";
export const VERSION = 1;

const number = z.string().regex(/^(0|-?[1-9][0-9]{0,18})$/);
const hash = z.string().regex(/^[0-9a-f]{64}$/);
/** A salt, or the hash that took its place. */
const salt = z.string().regex(/^([0-9a-f]{32}|[0-9a-f]{64})$/);
const field = z.string().nullable();

const scope = z.union([
  z.strictObject({ tenant: z.string() }),
  z.strictObject({ part: z.string() }),
  z.strictObject({}),
]);

/** The first line. */
export const headerLine = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  scope,
  exported_at: z.string(),
});

const link = z.strictObject({
  seq: number,
  kind: z.enum(["era", "seal", "retire"]),
  part: field,
  era: number,
  lo: number,
  hi: number,
  events: number,
  xid: number,
  sealed_at: number,
  root: hash,
});

const share = z.strictObject({
  tenant_id: field,
  previous: number,
  events: number,
  size: z.int().positive().optional(),
  index: z.int().nonnegative().optional(),
  path: z.array(hash).optional(),
});

const event = z.strictObject({
  id: number,
  created_at: number,
  xid: number,
  tenant_id: field,
  actor_role: z.string(),
  table_name: z.string(),
  operation: z.string(),
  actor: field,
  request_id: field,
  application_name: field,
  ip_address: field,
  record_id: field,
  before: field,
  after: field,
  metadata: field,
  who: salt,
  what: salt,
  leaf: hash,
});

/** Every other line: exactly one of these members. */
export const exportLine = z.union([
  z.strictObject({ event }),
  z.strictObject({ body: hash }),
  z.strictObject({ share }),
  z.strictObject({ link }),
  z.strictObject({ end: z.strictObject({ links: number, events: number, head: hash }) }),
]);

export type Scope = z.infer<typeof scope>;
export type ShareLine = z.infer<typeof share>;
export type EventLine = z.infer<typeof event>;
export type ExportLine = z.infer<typeof exportLine>;

const erasure = z.object({
  erased: z.array(z.enum(["who", "what"])),
  ids: z.array(z.tuple([number, number])),
});

/** What a record of an erasure took away; null when its text is none. */
export function parseErasure(metadata: string | null): z.infer<typeof erasure> | null {
  return erasure.safeParse(parseJson(metadata ?? "")).data ?? null;
}
