import { BulkheadError } from "../errors.ts";
import { GLOBAL_TENANT } from "./types.ts";

/** Where everything lies in a store, so that a listing of one prefix finds one kind of thing. */
export const PREFIX = {
  manifests: "manifests/",
  objects: "objects/",
  keyring: "keyring.json",
  certificates: "certificates/",
  recovery: "RECOVERY.md",
} as const;

/** `20261121T023000Z-1f2e3d4c`: sorts by time; the last five digits are random. */
export const BACKUP_ID: RegExp = /^\d{8}T\d{6}Z-[0-9a-f]{8}$/;

/**
 * A new backup's id: UTC to the second, the millisecond in three hexadecimal digits (two backups of one second sort
 * by time, too), and 20 random bits.
 *
 * @example
 * newBackupId(new Date("2026-11-21T02:30:00Z")); // "20261121T023000Z-000e3d4c"
 */
export function newBackupId(now: Date): string {
  const [random = 0] = crypto.getRandomValues(new Uint32Array(1));
  const millisecond = now.getUTCMilliseconds().toString(16).padStart(3, "0");
  const chance = (random >>> 12).toString(16).padStart(5, "0");
  return `${now.toISOString().slice(0, 19).replace(/[-:]/g, "")}Z-${millisecond}${chance}`;
}

/**
 * What a person typed as a backup's id, when it can be one.
 *
 * @throws BulkheadError `BH_BACKUP_ID`, kind `usage`.
 */
export function checkBackupId(id: string): string {
  if (BACKUP_ID.test(id)) return id;
  throw malformedId(id, "it is malformed");
}

/** The time inside a backup's id. */
export function backupIdTime(id: string): Date {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-/.exec(id);
  const time = match
    ? Date.parse(
      `${match[1]}-${match[2]}-${match[3]}T${match[4]}:${match[5]}:${match[6]}Z`,
    )
    : NaN;
  if (!Number.isNaN(time)) return new Date(time);
  throw malformedId(id, "it has no time");
}

function malformedId(id: string, state: string): BulkheadError {
  return new BulkheadError("BH_BACKUP_ID", `Cannot read the backup id "${id}": ${state}`, {
    kind: "usage",
    hint: "Ids look like 20261121T023000Z-1f2e3d4c; list them: npx bulkhead backups list",
  });
}

/**
 * A tenant id as one segment of a key: percent-encoded down to letters, digits, `_`, `-` and `~`.
 * Ids longer than 200 encoded characters are refused.
 */
export function tenantSegment(tenant: string): string {
  let segment = "";
  for (const byte of new TextEncoder().encode(tenant)) {
    const char = String.fromCharCode(byte);
    segment += /[A-Za-z0-9_~-]/.test(char)
      ? char
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  if (segment.length > 0 && segment.length <= 200) return segment;
  throw new BulkheadError(
    "BH_TENANT_ID",
    `Cannot name an object after the tenant "${tenant.slice(0, 40)}": ${
      segment ? "the id is longer than 200 characters" : "the id is empty"
    }`,
    { kind: "usage", hint: "Use tenant ids of 1 to 200 characters" },
  );
}

/**
 * Refuse a tenant whose id is the name of what belongs to none: its object would stand in the place of that one's.
 *
 * @throws BulkheadError `BH_TENANT_ID`, kind `usage`.
 */
export function refuseReserved(tenants: readonly string[]): void {
  if (!tenants.includes(GLOBAL_TENANT)) return;
  throw new BulkheadError(
    "BH_TENANT_ID",
    `Cannot back up the tenant "${GLOBAL_TENANT}": what belongs to no tenant is kept under that name`,
    { kind: "usage", hint: "Give that tenant another id" },
  );
}

/** The key of a tenant's (or the global) object; parts count from 1. */
export function objectKey(of: { tenant: string; backup: string; part: number }): string {
  const part = String(of.part).padStart(5, "0");
  return `${PREFIX.objects}${tenantSegment(of.tenant)}/${of.backup}-${part}.bhb`;
}

/** The key of a backup's manifest. */
export function manifestKey(backup: string): string {
  return `${PREFIX.manifests}${backup}.json`;
}
