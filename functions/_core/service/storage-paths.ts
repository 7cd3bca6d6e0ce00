import { BulkheadError } from "../errors.ts";
import { printable, type TenantScope } from "./tenant-scope.ts";

/** What Supabase Storage takes in a key, without what a URL or a proxy could read as something else (`%`, `?`, `\`). */
const SEGMENT = /^[A-Za-z0-9_!\-.*'() &$@=;:+,]+$/;
const BUCKET = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$/;

/**
 * The folder of a tenant in every bucket: its id, with whatever is no small letter, digit or hyphen written `=hex`.
 * Storage lists folders with ILIKE, so `a_b` would find `axb` and `Acme` would find `acme` if they stayed as they are.
 *
 * @example
 * tenantFolder("6f9619ff-8b86-d011-b42d-00c04fc964ff"); // itself
 * tenantFolder("Acme_1"); // "=41cme=5f1"
 */
export function tenantFolder(tenantId: string): string {
  return tenantId.replace(
    /[^a-z0-9-]/g,
    (letter) => `=${letter.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/**
 * A path of the caller's below the tenant's folder. Refused: absolute ones, `.` and `..`, empty segments, backslashes,
 * percent signs (so every encoding of the former), control characters and everything that is not ASCII.
 *
 * @example
 * tenantPath(scope, "contracts/7.pdf"); // "6f9619ff-…/contracts/7.pdf"
 * @throws BulkheadError `BH_STORAGE_PATH`, kind `refused`.
 */
export function tenantPath(scope: TenantScope, path: unknown): string {
  const segments = typeof path === "string" ? path.split("/") : [];
  if (segments.length === 0 || !segments.every(isSegment)) throw unusable("path", path);
  return `${tenantFolder(scope.tenantId)}/${segments.join("/")}`;
}

/** A folder to list: like {@link tenantPath}, or nothing for the tenant's own folder. */
export function tenantPrefix(scope: TenantScope, folder: unknown): string {
  if (folder === undefined || folder === null || folder === "") {
    return tenantFolder(scope.tenantId);
  }
  return tenantPath(scope, typeof folder === "string" ? folder.replace(/\/$/, "") : folder);
}

/** The path as the caller knows it, without the tenant's folder. */
export function ownPath(scope: TenantScope, path: string): string {
  const folder = `${tenantFolder(scope.tenantId)}/`;
  return path.startsWith(folder) ? path.slice(folder.length) : path;
}

/** A bucket's name, or throw. */
export function bucketName(name: unknown): string {
  if (typeof name === "string" && BUCKET.test(name) && !name.includes("..")) return name;
  throw unusable("bucket", name);
}

/**
 * Whether a path, as it stands in an address or a body, lies below the tenant's folder.
 *
 * @example
 * isTenantPath(scope, "6f9619ff-…/contracts/7.pdf");
 */
export function isTenantPath(scope: TenantScope, path: unknown): boolean {
  if (typeof path !== "string") return false;
  const [folder, ...rest] = path.split("/");
  return folder === tenantFolder(scope.tenantId) && rest.length > 0 && rest.every(isSegment);
}

function isSegment(segment: string): boolean {
  return SEGMENT.test(segment) && !/^\.+$/.test(segment) && segment.trim() === segment;
}

function unusable(what: "path" | "bucket", value: unknown): BulkheadError {
  return new BulkheadError(
    "BH_STORAGE_PATH",
    `Cannot use the ${what} "${printable(value)}": it could lead out of the tenant's folder`,
    {
      kind: "refused",
      hint: what === "path"
        ? "Pass a path like contracts/7.pdf, relative to the tenant's folder, in plain ASCII and unencoded."
        : "Pass the bucket's id alone; the tenant's folder in it is chosen by the client.",
    },
  );
}
